//! `ghost rewrite`.
//!
//! 1. The snapshots behind REV are looked at, oldest first; trees that differ lose what the patterns match.
//! 2. New trees and snapshots are made durable, then all lines and tags move in one record. Where one moved meanwhile,
//!    only what is new is looked at, and the record is tried again.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use bstr::BString;
use clap::ValueHint;
use ghost_plumbing::object::Totals;
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::{LINES, RefChange, line_ref};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::rewrite::edits::{self, Selected};
use ghost_plumbing::rewrite::{Exclude, Replaced, Rewriter};
use ghost_plumbing::store::Counters;
use ghost_plumbing::walk::{RuleOptions, Rules};
use serde::Serialize;

use crate::app::App;
use crate::changing::{self, TRIES_MAX, moved_words, ref_words};
use crate::error::{Failure, Outcome};
use crate::rules::patterns_in;
use crate::ui::Style;
use crate::ui::show::short_id;
use crate::ui::size::{Size, counted};

/// Drop files and folders from snapshots of the past
///
/// New snapshots without what matches take the places of the old ones; all lines and tags that lead to them move, in one
/// record of the ref log. Trees in which nothing matches are used again, so the cost is that of what differs. The old
/// snapshots stay until a gc, and `ghost undo` brings them back: only `ghost gc` frees bytes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Drop what GLOB matches, as a line of .gitignore would, from the top of the snapshot; ! in front keeps; may be given
    /// again
    #[arg(long, value_name = "GLOB", required_unless_present = "exclude_from")]
    pub exclude: Vec<String>,
    /// Drop what the patterns in FILE match
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub exclude_from: Vec<PathBuf>,
    /// Look at the snapshots behind all lines and tags
    #[arg(long, conflicts_with = "revisions")]
    pub all: bool,
    /// Change nothing; tell what would be dropped
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Look at the snapshots behind REV [default: the current line]
    #[arg(value_name = "REV")]
    pub revisions: Vec<OsString>,
}

/// A snapshot that another one takes the place of.
#[derive(Serialize)]
#[serde(tag = "type", rename = "replaced")]
struct ReplacedRecord {
    old: String,
    new: String,
    tree: Option<String>,
    dropped_files: u64,
    dropped_directories: u64,
    dropped_others: u64,
    dropped_bytes: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    dry_run: bool,
    changed: u64,
    replaced: u64,
    refs: Vec<String>,
    left_behind: Vec<String>,
    new_objects: u64,
    stored_bytes: u64,
    sequence: Option<u64>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    if !arguments.dry_run {
        repository.check_writable()?;
    }
    let (patterns, lines) = patterns(arguments)?;
    let leaves_out = |path: &[u8], is_directory: bool| patterns.leaves_out(path, is_directory);
    let progress = Arc::new(Progress::new(app.interrupt.clone()));
    let mut exclude = Exclude::new(&repository.store, &leaves_out, &lines, &progress);
    let mut rewriter = Rewriter::default();
    let mut done = Done {
        new_objects: 0,
        stored_bytes: 0,
        changes: Vec::new(),
        left_behind: Vec::new(),
        sequence: None,
    };
    for tries in 0.. {
        let (values, (selected, forgotten)) = changing::among_refs(&repository, || {
            Ok((selected(app, &repository, arguments)?, repository.refs.forgotten()?))
        })?;
        exclude.select(selected, forgotten);
        let writer = match arguments.dry_run {
            true => repository.store.dry_writer(),
            false => repository.store.writer()?,
        };
        changing::storing(&writer, |put| {
            rewriter.run(&values, &repository.store, &mut exclude, put)
        })?;
        done.add(&writer.into_counters());
        done.changes = rewriter.changes(&values)?;
        let left = rewriter.left_behind(&values, &repository.store)?;
        done.left_behind = left.into_iter().map(str::to_owned).collect();
        if arguments.dry_run || done.changes.is_empty() {
            break;
        }
        match changing::commit(
            app,
            &repository,
            &done.changes,
            &format!("rewrite: {}", lines.join(", ")),
        ) {
            Ok(sequence) => {
                done.sequence = Some(sequence.0);
                break;
            }
            Err(error) if changing::lost_race(&error) && tries < TRIES_MAX => {}
            Err(error) => return Err(error.into()),
        }
    }
    tell(app, arguments, &rewriter, &done)
}

/// What was stored, and which refs moved.
struct Done {
    new_objects: u64,
    stored_bytes: u64,
    changes: Vec<RefChange>,
    /// Refs that still lead to old snapshots.
    left_behind: Vec<String>,
    sequence: Option<u64>,
}

impl Done {
    fn add(&mut self, counters: &Counters) {
        use std::sync::atomic::Ordering::Relaxed;
        self.new_objects += counters.new_objects.load(Relaxed);
        self.stored_bytes += counters.stored_bytes.load(Relaxed);
    }
}

/// The patterns, and the lines by which a snapshot tells of them.
fn patterns(arguments: &Arguments) -> Outcome<(Arc<Rules>, Vec<String>)> {
    let mut exclude: Vec<BString> = Vec::new();
    for path in &arguments.exclude_from {
        exclude.extend(patterns_in(path)?.into_iter().map(BString::from));
    }
    exclude.extend(arguments.exclude.iter().map(|glob| BString::from(glob.as_str())));
    let options = RuleOptions {
        exclude,
        ..RuleOptions::default()
    };
    let lines = options.to_lines();
    if lines.is_empty() {
        return Err(Failure::usage(
            "there is no pattern",
            "name what is to go: `ghost rewrite --exclude GLOB`",
        ));
    }
    Ok((Rules::new(options), lines))
}

/// The snapshots that are looked at; none are all.
fn selected(app: &App, repository: &Repository, arguments: &Arguments) -> Outcome<Selected> {
    if arguments.all {
        return Ok(None);
    }
    let mut tips = Vec::new();
    for text in &arguments.revisions {
        // A line with all that is on it, forgotten or not.
        let line = text.to_str().and_then(|text| line_ref(text).ok());
        let tip = match line.filter(|line| line.starts_with(LINES)) {
            Some(line) => repository.refs.get(&line)?,
            None => None,
        };
        tips.push(match tip {
            Some(tip) => tip,
            None => app.snapshot(repository, text)?.0,
        });
    }
    if arguments.revisions.is_empty() {
        let line = &repository.settings().core_line;
        let tip = repository.refs.get(&line_ref(line)?)?;
        tips.push(tip.ok_or_else(|| crate::history::nothing_yet(line))?);
    }
    Ok(Some(edits::behind(&repository.store, tips)?))
}

fn tell(app: &mut App, arguments: &Arguments, rewriter: &Rewriter, done: &Done) -> Outcome {
    let changed: Vec<&Replaced> = rewriter.replaced.iter().filter(|replaced| replaced.is_edited).collect();
    if app.output.json() {
        return json(app, arguments, rewriter, changed.len() as u64, done);
    }
    if changed.is_empty() {
        return Ok(app.output.say("No snapshot holds any of that; nothing changed.")?);
    }
    for replaced in &changed {
        let [old, new] = [replaced.old, replaced.new].map(|id| app.output.paint(Style::Id, short_id(&id)).to_string());
        app.output
            .say(format_args!("{old} -> {new}  without {}", dropped(&replaced.dropped)))?;
    }
    let after = match rewriter.replaced.len() - changed.len() {
        0 => String::new(),
        count => format!(
            ", and {} after them made anew",
            counted(count as u64, "snapshot", "snapshots")
        ),
    };
    let count = counted(changed.len() as u64, "snapshot", "snapshots");
    if arguments.dry_run {
        return Ok(app
            .output
            .say(format_args!("{count} would change{after}; nothing was changed"))?);
    }
    let (objects, bytes) = (counted(done.new_objects, "object", "objects"), Size(done.stored_bytes));
    app.output
        .say(format_args!("{count} changed{after}; new: {objects}, {bytes} on disk"))?;
    app.output
        .say(format_args!("  moved: {}", moved_words(&done.changes)))?;
    for name in &done.left_behind {
        let name = ref_words(name);
        app.output.warn(format_args!(
            "{name} still leads to old snapshots, and keeps what they hold"
        ));
    }
    app.output
        .say("  `ghost undo` brings the old back; `ghost gc` frees what only they have")?;
    Ok(app
        .output
        .say("  the next snapshot holds it again unless snapshot.exclude or .ghostignore leaves it out")?)
}

/// `3 files, 1 folder, 12.0 MiB`.
fn dropped(totals: &Totals) -> String {
    let mut parts = Vec::new();
    for (count, one, many) in [
        (totals.files, "file", "files"),
        (totals.directories, "folder", "folders"),
        (totals.others, "other", "others"),
    ] {
        parts.extend((count > 0).then(|| counted(count, one, many)));
    }
    parts.push(Size(totals.bytes).to_string());
    parts.join(", ")
}

fn json(app: &mut App, arguments: &Arguments, rewriter: &Rewriter, changed: u64, done: &Done) -> Outcome {
    for replaced in &rewriter.replaced {
        app.output.record(&ReplacedRecord {
            old: replaced.old.to_string(),
            new: replaced.new.to_string(),
            tree: replaced.trees.map(|(_, new)| new.to_string()),
            dropped_files: replaced.dropped.files,
            dropped_directories: replaced.dropped.directories,
            dropped_others: replaced.dropped.others,
            dropped_bytes: replaced.dropped.bytes,
        })?;
    }
    Ok(app.output.record(&Summary {
        command: "rewrite",
        dry_run: arguments.dry_run,
        changed,
        replaced: rewriter.replaced.len() as u64,
        refs: done.changes.iter().map(|change| change.name.clone()).collect(),
        left_behind: done.left_behind.clone(),
        new_objects: done.new_objects,
        stored_bytes: done.stored_bytes,
        sequence: done.sequence,
    })?)
}
