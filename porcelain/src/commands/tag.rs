//! `ghost tag`.

use std::ffi::OsString;

use ghost_plumbing::Error;
use ghost_plumbing::object::{ObjectId, ObjectKind};
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::refs::{Expected, LINES, Named, RefChange, check_ref_name};
use ghost_plumbing::repository::Repository;
use globset::Glob;
use serde::Serialize;

use crate::app::App;
use crate::changing;
use crate::error::{Failure, Outcome};
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::time::{local, rfc3339};

/// Where tags live.
const TAGS: &str = "refs/tags/";

/// Give snapshots names, list them, take them away
///
/// A tag is a ref, refs/tags/NAME: a name for one snapshot (or tree) that stands in revisions and keeps it from being
/// forgotten. A label is a word in a snapshot, which many may have: `ghost snapshot --tag` sets it, `ghost amend --tag`
/// changes it, `ghost forget --keep-tag` goes by it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Take the tags NAME away; what they name stays
    #[arg(short, long, requires = "name", conflicts_with_all = ["force", "list"])]
    pub delete: bool,
    /// Move a tag that is there
    #[arg(short, long, requires = "name")]
    pub force: bool,
    /// List the tags that a glob matches
    #[arg(short, long, value_name = "GLOB", conflicts_with = "name")]
    pub list: Option<String>,
    /// The tag [default: list all]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// What it names: a snapshot or a tree; with -d, more tags. The newest snapshot (`@`) if left out
    #[arg(value_name = "REV")]
    pub revisions: Vec<OsString>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "tag")]
struct TagRecord<'a> {
    name: &'a str,
    id: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    listed: u64,
    set: u64,
    deleted: u64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let mut summary = Summary {
        command: "tag",
        listed: 0,
        set: 0,
        deleted: 0,
    };
    match &arguments.name {
        None => summary.listed = list(app, &repository, arguments.list.as_deref())?,
        Some(name) => {
            repository.check_writable()?;
            if arguments.delete {
                summary.deleted = delete(app, &repository, name, &arguments.revisions)?;
            } else {
                set(app, &repository, name, arguments)?;
                summary.set = 1;
            }
        }
    }
    if app.output.json() {
        app.output.record(&summary)?;
    }
    Ok(())
}

fn list(app: &mut App, repository: &Repository, glob: Option<&str>) -> Outcome<u64> {
    let wrong = |error: globset::Error| Failure::usage(error.to_string(), "quote a bracket as [[] or \\[");
    let glob = glob
        .map(Glob::new)
        .transpose()
        .map_err(wrong)?
        .map(|glob| glob.compile_matcher());
    let mut count = 0;
    for (full, id) in repository.refs.list(TAGS)? {
        let name = &full[TAGS.len()..];
        if glob.as_ref().is_some_and(|glob| !glob.is_match(name)) {
            continue;
        }
        tell(app, repository, name, &id)?;
        count += 1;
    }
    Ok(count)
}

fn tell(app: &mut App, repository: &Repository, name: &str, id: &ObjectId) -> Outcome {
    let snapshot = match repository.store.kind_of(id)? {
        Some(ObjectKind::Tree) => None,
        _ => Some(read_snapshot(&repository.store, id)?),
    };
    if app.output.json() {
        return Ok(app.output.record(&TagRecord {
            name,
            id: id.to_string(),
            kind: if snapshot.is_some() { "snapshot" } else { "tree" },
            time: snapshot
                .as_ref()
                .map(|snapshot| rfc3339(snapshot.time, snapshot.offset_minutes)),
            message: snapshot.map(|snapshot| snapshot.message),
        })?);
    }
    let id = app.output.paint(Style::Id, short_id(id)).to_string();
    let what = match &snapshot {
        Some(snapshot) => {
            let message = snapshot.message.lines().next().map(show::text).unwrap_or_default();
            format!("{} {message}", local(snapshot.time))
        }
        None => "a tree".to_owned(),
    };
    let line = format!("{:<20} {id} {what}", show::text(name));
    Ok(app.output.line(line.trim_end())?)
}

fn set(app: &mut App, repository: &Repository, name: &str, arguments: &Arguments) -> Outcome {
    let full = full_name(name)?;
    let revision = match &arguments.revisions[..] {
        [] => OsString::from("@"),
        [revision] => revision.clone(),
        _ => {
            return Err(Failure::usage(
                "a tag names one snapshot",
                "name one: `ghost tag NAME REV`",
            ));
        }
    };
    let id = match app.resolve(repository, &revision)?.named {
        Named::Snapshot(id) | Named::Tree(id) => id,
        named => named.tree(&repository.store)?,
    };
    if repository.refs.forgotten()?.contains(&id) {
        let message = format!("snapshot {} is forgotten: its contents may be gone", short_id(&id));
        let hint = format!("`ghost forget --restore {}` first", short_id(&id));
        return Err(Failure::other(message, hint));
    }
    let old = repository.refs.get(&full)?;
    if let Some(old) = old.filter(|old| *old != id && !arguments.force) {
        let message = format!("there is a tag {} of {}", show::text(name), short_id(&old));
        return Err(Failure::other(message, "--force moves it"));
    }
    let change = RefChange {
        name: full,
        expected: old.map_or(Expected::Absent, Expected::Is),
        new: Some(id),
    };
    changing::commit(app, repository, &[change], "tag")?;
    if repository.refs.get(&format!("{LINES}{name}"))?.is_some() {
        let name = show::text(name);
        let text = format_args!("the line {name} goes before the tag in revisions: call it tags/{name}");
        app.output.warn(text);
    }
    let (name, shown) = (show::text(name), short_id(&id));
    let was = match old.filter(|old| *old != id) {
        Some(old) => format!(", not {}", short_id(&old)),
        None => String::new(),
    };
    Ok(app.output.say(format_args!("Tag {name} names {shown}{was}"))?)
}

fn delete(app: &mut App, repository: &Repository, name: &str, more: &[OsString]) -> Outcome<u64> {
    let mut changes = Vec::new();
    for name in std::iter::once(name.into()).chain(more.iter().map(|name| name.to_string_lossy())) {
        let full = full_name(&name)?;
        let Some(id) = repository.refs.get(&full)? else {
            let message = format!("there is no tag {}", show::text(&name));
            return Err(Failure::other(message, "`ghost tag` lists them"));
        };
        changes.push(RefChange {
            name: full,
            expected: Expected::Is(id),
            new: None,
        });
    }
    changing::commit(app, repository, &changes, "tag -d")?;
    for change in &changes {
        let Expected::Is(id) = change.expected else { continue };
        let name = show::text(&change.name[TAGS.len()..]);
        let shown = short_id(&id);
        app.output.say(format_args!("Tag {name} is gone; it named {shown}"))?;
    }
    Ok(changes.len() as u64)
}

fn full_name(name: &str) -> Outcome<String> {
    let full = match name.starts_with(TAGS) {
        true => name.to_owned(),
        false => format!("{TAGS}{name}"),
    };
    check_ref_name(&full)?;
    if full[TAGS.len()..].starts_with('-') {
        return Err(Error::invalid(
            "name of a tag",
            name,
            "expected no dash in front: it would be read as an option",
        )
        .into());
    }
    Ok(full)
}
