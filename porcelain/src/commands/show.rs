//! `ghost show`.

use std::ffi::OsString;

use ghost_plumbing::Error;
use ghost_plumbing::object::{Entry, Node, ObjectId, Snapshot};
use ghost_plumbing::refs::Named;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::repository::Repository;
use serde::Serialize;

use crate::app::App;
use crate::commands::diff::print::{Format, Printer};
use crate::commands::diff::sides::{End, Pair, Sides};
use crate::commands::diff::{Options, compare_all};
use crate::commands::fetch::RateArguments;
use crate::commands::{log, ls};
use crate::error::Outcome;
use crate::history;
use crate::records::{EntryRecord, SnapshotRecord};
use crate::ui::show;
use crate::ui::size::Count;
use crate::ui::time::local;

/// Show a snapshot and what it changed, or a file or folder in one
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to show
    #[arg(value_name = "REV[:PATH]", default_value = "@")]
    pub revision: OsString,
    /// Count changed lines and bytes
    #[arg(long, conflicts_with = "patch")]
    pub stat: bool,
    /// Show changed lines of text
    #[arg(short, long)]
    pub patch: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository_for([&*arguments.revision])?;
    match app.resolve(&repository, &arguments.revision)?.named {
        Named::Snapshot(id) => snapshot(app, &repository, &id, arguments),
        Named::Entry { entry, path } => {
            show_entry(app, &path, &entry)?;
            summary(app)
        }
        Named::Tree(_) => ls::run(
            app,
            &ls::Arguments {
                long: true,
                recursive: false,
                revision: arguments.revision.clone(),
                rate: RateArguments::default(),
            },
        ),
        Named::Content(content) => {
            app.output.line(format_args!("content {content}"))?;
            Ok(app
                .output
                .line(format_args!("Size:    {} bytes", Count(content.len())))?)
        }
    }
}

fn summary(app: &mut App) -> Outcome {
    if app.output.json() {
        app.output.record(&Summary { command: "show" })?;
    }
    Ok(())
}

fn snapshot(app: &mut App, repository: &Repository, id: &ObjectId, arguments: &Arguments) -> Outcome {
    let snapshot = read_snapshot(&repository.store, id)?;
    let refs = history::refs_by_id(repository)?.remove(id).unwrap_or_default();
    if app.output.json() {
        app.output.record(&SnapshotRecord::new(id, &snapshot, refs))?;
    } else {
        log::paragraph(app, id, &snapshot, &refs)?;
        details(app, &snapshot)?;
    }
    let forgotten = repository.refs.forgotten()?;
    if forgotten.contains(id) {
        app.output
            .say("\nIt is forgotten: `ghost forget --restore` brings it back until a gc frees its contents.")?;
        return summary(app);
    }
    let Some(parent) = forgotten.live_parent(&repository.store, &snapshot)? else {
        app.output.say("\nIt is the first of its line.")?;
        return summary(app);
    };
    let parent = match read_snapshot(&repository.store, &parent) {
        Ok(parent) => parent,
        // A bundle holds what was added to it, not what was before.
        Err(Error::Missing { .. }) if repository.store.has_attached() => {
            app.output.say("\nThe snapshot before it is not there.")?;
            return summary(app);
        }
        Err(error) => return Err(error.into()),
    };
    let sides = Sides {
        pairs: vec![Pair::new(End::Stored(parent.tree), End::Stored(snapshot.tree))],
        ..Sides::default()
    };
    let format = match (arguments.patch, arguments.stat) {
        (true, _) => Format::Patch { context: 3 },
        (_, true) => Format::Stat,
        _ => Format::Names,
    };
    let options = Options {
        moves: true,
        ..Options::default()
    };
    app.output.say("")?;
    let mut printer = Printer::new(repository, format);
    compare_all(app, repository, &sides, &options, &mut printer)?;
    printer.finish(app, "show")?;
    let words = printer.totals.words();
    Ok(app.output.say(format_args!("Since the snapshot before: {words}"))?)
}

/// What `log` does not tell.
fn details(app: &mut App, snapshot: &Snapshot) -> Outcome {
    app.output.line("")?;
    app.output.line(format_args!("Tree:    {}", snapshot.tree))?;
    for parent in &snapshot.parents {
        app.output.line(format_args!("Parent:  {parent}"))?;
    }
    for rule in &snapshot.rules {
        app.output.line(format_args!("Rule:    {}", show::text(rule)))?;
    }
    Ok(())
}

fn show_entry(app: &mut App, path: &[u8], entry: &Entry) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&EntryRecord::new(path, entry))?);
    }
    let meta = &entry.meta;
    app.output.line(show::bytes(path))?;
    app.output
        .line(format_args!("Mode:    {}", show::mode(entry.kind(), meta.mode)))?;
    let (user, group) = (show::bytes(&meta.user), show::bytes(&meta.group));
    app.output.line(format_args!(
        "Owner:   {user} ({}), group {group} ({})",
        meta.uid, meta.gid
    ))?;
    app.output.line(format_args!("Changed: {}", local(meta.mtime)))?;
    match &entry.node {
        Node::File { content, .. } => {
            app.output
                .line(format_args!("Size:    {} bytes", Count(content.len())))?;
            app.output.line(format_args!("Content: {content}"))?;
            if let Some(fullhash) = entry.fullhash() {
                app.output.line(format_args!("Hash:    {fullhash}"))?;
            }
        }
        Node::Directory { tree } => app.output.line(format_args!("Tree:    {tree}"))?,
        Node::Symlink { target } => app.output.line(format_args!("Target:  {}", show::bytes(target)))?,
        Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => {
            app.output.line(format_args!("Device:  {major}, {minor}"))?;
        }
        Node::Fifo | Node::Socket | Node::Whiteout => {}
    }
    if let Some(links) = &meta.links {
        app.output
            .line(format_args!("Links:   group {}", crate::records::hex(links)))?;
    }
    for (name, value) in &meta.xattrs {
        let (name, value) = (show::bytes(name), show::bytes(value));
        app.output.line(format_args!("Xattr:   {name} = {value}"))?;
    }
    Ok(())
}
