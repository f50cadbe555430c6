//! `ghost log`.

use std::ffi::OsString;

use bstr::{BString, ByteSlice as _};
use ghost_plumbing::history::{PathChange, path_change};
use ghost_plumbing::object::{ObjectId, ObjectKind, Snapshot};
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::refs::{FORGOTTEN, Forgotten, short_name};
use ghost_plumbing::repository::Repository;
use serde::Serialize;

use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::history::{self, History};
use crate::records::{PathField, SnapshotRecord};
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::{Size, counted};
use crate::ui::time::local;

/// List snapshots, newest first
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// List at most COUNT snapshots
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub max_count: Option<u64>,
    /// One line a snapshot
    #[arg(long)]
    pub oneline: bool,
    /// Begin with the snapshots that any ref names, and list forgotten ones too
    #[arg(long, conflicts_with = "revisions")]
    pub all: bool,
    /// List only snapshots in which PATH changed, with what became of it; may be given again
    #[arg(short, long = "path", value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Where PATH was moved to its place, go on with the place that it came from
    #[arg(long, requires = "paths")]
    pub follow: bool,
    /// Where to begin [default: the newest snapshot of the current line]
    #[arg(value_name = "REV")]
    pub revisions: Vec<OsString>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    snapshots: u64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository_for(arguments.revisions.iter().map(|text| &**text))?;
    let names = history::refs_by_id(&repository)?;
    let tips = tips(app, &repository, arguments)?;
    if tips.is_empty() && !app.output.json() {
        return Ok(app.output.say(match repository.refs.forgotten()?.is_empty() {
            true => "There is no snapshot yet; `ghost snapshot DIR` takes one.",
            false => "All snapshots of this line are forgotten; `ghost log --all` shows them.",
        })?);
    }
    let limit = arguments.max_count.unwrap_or(u64::MAX);
    let mut paths: Vec<BString> = arguments.paths.iter().map(trimmed).collect();
    let mut count = 0;
    let mut snapshots = match arguments.all {
        true => History::new(&repository.store, tips)?,
        false => History::left(&repository, tips)?,
    };
    let forgotten = repository.refs.forgotten()?;
    while count < limit
        && let Some(next) = snapshots.next()
    {
        let (id, snapshot) = next?;
        app.check_interrupt()?;
        let changes = path_changes(&repository, &forgotten, (&id, &snapshot), &mut paths, arguments.follow)?;
        if !paths.is_empty() && changes.is_empty() {
            continue;
        }
        let refs = names.get(&id).cloned().unwrap_or_default();
        if app.output.json() {
            app.output.record(&SnapshotRecord::new(&id, &snapshot, refs))?;
            for (path, change) in &changes {
                app.output.record(&PathRecord::new(&id, path, change))?;
            }
        } else if arguments.oneline {
            one_line(app, &id, &snapshot, &refs)?;
        } else {
            if count > 0 {
                app.output.line("")?;
            }
            paragraph(app, &id, &snapshot, &refs)?;
        }
        if !app.output.json() {
            tell_changes(app, &changes)?;
        }
        count += 1;
    }
    if app.output.json() {
        app.output.record(&Summary {
            command: "log",
            snapshots: count,
        })?;
    }
    Ok(())
}

/// What became of a path in a snapshot.
#[derive(Serialize)]
#[serde(tag = "type", rename = "path-change")]
struct PathRecord {
    snapshot: String,
    #[serde(flatten)]
    path: PathField,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

impl PathRecord {
    fn new(id: &ObjectId, path: &BString, change: &PathChange) -> Self {
        let from = match change {
            PathChange::Moved { from } => Some(from.to_string()),
            _ => None,
        };
        Self {
            snapshot: id.to_string(),
            path: PathField::new(path),
            change: change.name(),
            from,
        }
    }
}

/// A path as trees have it: no slashes at its ends.
fn trimmed(path: &OsString) -> BString {
    path.as_encoded_bytes().trim_with(|letter| letter == '/').into()
}

/// What became of the paths since the snapshot before one; paths that were moved go by their old place from here on, if
/// that is asked for. Of what is forgotten nobody knows the tree.
fn path_changes(
    repository: &Repository,
    forgotten: &Forgotten,
    (id, snapshot): (&ObjectId, &Snapshot),
    paths: &mut [BString],
    follow: bool,
) -> Outcome<Vec<(BString, PathChange)>> {
    let store = &repository.store;
    let mut changes = Vec::new();
    if paths.is_empty() || forgotten.contains(id) {
        return Ok(changes);
    }
    let before = match forgotten.live_parent(store, snapshot)? {
        Some(parent) => Some(read_snapshot(store, &parent)?.tree),
        None => None,
    };
    for path in paths {
        let Some(change) = path_change(store, before, snapshot.tree, path.as_bstr(), follow)? else {
            continue;
        };
        let was = match &change {
            PathChange::Moved { from } => std::mem::replace(path, from.clone()),
            _ => path.clone(),
        };
        changes.push((was, change));
    }
    Ok(changes)
}

fn tell_changes(app: &mut App, changes: &[(BString, PathChange)]) -> Outcome {
    for (path, change) in changes {
        let from = match change {
            PathChange::Moved { from } => format!(" from {}", show::bytes(from)),
            _ => String::new(),
        };
        app.output
            .line(format_args!("Path:    {} {}{from}", show::bytes(path), change.name()))?;
    }
    Ok(())
}

fn tips(app: &App, repository: &Repository, arguments: &Arguments) -> Outcome<Vec<ObjectId>> {
    if arguments.all {
        return all_tips(repository);
    }
    if arguments.revisions.is_empty() {
        let newest = history::newest(repository, &repository.settings().core_line)?;
        return Ok(newest.map(|(id, _)| id).into_iter().collect());
    }
    let resolved = arguments.revisions.iter().map(|text| app.snapshot(repository, text));
    resolved.map(|found| Ok(found?.0)).collect::<Result<_, Failure>>()
}

/// The snapshots that any ref names.
pub fn all_tips(repository: &Repository) -> Outcome<Vec<ObjectId>> {
    let mut tips = Vec::new();
    for (_, id) in repository.refs.tips()? {
        if repository.store.kind_of(&id)? == Some(ObjectKind::Snapshot) {
            tips.push(id);
        }
    }
    Ok(tips)
}

fn shown_refs(refs: &[String]) -> String {
    if refs.is_empty() {
        return String::new();
    }
    let name = |name: &String| match name.starts_with(FORGOTTEN) {
        true => "forgotten".to_owned(),
        false => show::text(short_name(name)),
    };
    let names: Vec<_> = refs.iter().map(name).collect();
    format!(" ({})", names.join(", "))
}

fn one_line(app: &mut App, id: &ObjectId, snapshot: &Snapshot, refs: &[String]) -> Outcome {
    let id = app.output.paint(Style::Id, short_id(id)).to_string();
    let refs = app.output.paint(Style::Added, shown_refs(refs)).to_string();
    let when = local(snapshot.time);
    let what = match snapshot.message.lines().next() {
        Some(first) => show::text(first),
        None => roots(snapshot),
    };
    Ok(app.output.line(format_args!("{id} {when}{refs} {what}"))?)
}

fn roots(snapshot: &Snapshot) -> String {
    let roots: Vec<_> = snapshot.roots.iter().map(|root| show::bytes(&root.path)).collect();
    roots.join(", ")
}

/// A snapshot with everything that people ask of it.
pub fn paragraph(app: &mut App, id: &ObjectId, snapshot: &Snapshot, refs: &[String]) -> Outcome {
    let heading = app.output.paint(Style::Id, format_args!("snapshot {id}")).to_string();
    let names = app.output.paint(Style::Added, shown_refs(refs)).to_string();
    app.output.line(format_args!("{heading}{names}"))?;
    if snapshot.parents.len() > 1 {
        let parents: Vec<_> = snapshot.parents.iter().map(short_id).collect();
        app.output.line(format_args!("Parents: {}", parents.join(" ")))?;
    }
    app.output.line(format_args!("Date:    {}", local(snapshot.time)))?;
    let (host, author) = (show::text(&snapshot.host), show::text(&snapshot.author));
    app.output.line(format_args!("Host:    {host} ({author})"))?;
    for root in &snapshot.roots {
        app.output.line(format_args!("Root:    {}", show::bytes(&root.path)))?;
    }
    for place in snapshot.condensed_of().into_iter().flat_map(bstr::ByteSlice::lines) {
        let shown = show::bytes(place).replace("\\t", " ");
        app.output.line(format_args!("Of:      {shown}"))?;
    }
    if !snapshot.tags.is_empty() {
        let tags: Vec<_> = snapshot.tags.iter().map(|tag| show::text(tag)).collect();
        app.output.line(format_args!("Tags:    {}", tags.join(", ")))?;
    }
    app.output.line(format_args!("Holds:   {}", holds(snapshot)))?;
    if !snapshot.message.is_empty() {
        app.output.line("")?;
        for line in show::lines(&snapshot.message).lines() {
            app.output.line(format_args!("    {line}"))?;
        }
    }
    Ok(())
}

/// `78,123 files, 5,000 folders, 1.20 GiB`.
pub fn holds(snapshot: &Snapshot) -> String {
    let totals = &snapshot.totals;
    let mut parts = vec![
        counted(totals.files, "file", "files"),
        counted(totals.directories, "folder", "folders"),
    ];
    if totals.others > 0 {
        parts.push(counted(totals.others, "other", "others"));
    }
    parts.push(Size(totals.bytes).to_string());
    let mut holds = parts.join(", ");
    if snapshot.is_ghosts_only() {
        holds.push_str("; of ghosts only: contents are described, not stored");
    }
    holds
}
