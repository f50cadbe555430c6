//! `ghost diff`.
//!
//! 1. [`sides`]: what the arguments name, as pairs of directories
//! 2. the library compares each pair and finds what was moved
//! 3. [`mod@print`] names the changes, [`patch`] shows lines of text

pub mod patch;
pub mod print;
pub mod sides;

use std::ffi::OsString;

use bstr::{BString, ByteSlice as _};
use ghost_plumbing::compare::{self, Change, ChangeKind, Fields, Item, find_moves};
use ghost_plumbing::object::{Kind, ObjectId};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::walk::Owners;
use ghost_plumbing::{Error, Result};

use self::patch::TEXT_BYTES_MAX;
use self::print::{Format, Printer};
use self::sides::{Pair, Sides};
use crate::app::App;
use crate::commands::fetch::RateArguments;
use crate::error::{Failure, Outcome, PARTIAL};
use crate::remote::source::bring_changes;
use crate::ui::show;

/// Changes whose contents are asked of a remote at once.
const CHANGES_BROUGHT: usize = 64;

/// Show what differs between snapshots, folders in them and live folders
///
/// With no argument, the newest snapshot is compared with the folder that it was taken of; with one, that snapshot or
/// REV:PATH is; with two, any of them with each other. An argument that begins with `.` or `/`, or that is no revision
/// but a folder, is a live folder; URL:REV is a snapshot in a remote. Each change is one line: A added, D deleted, M modified, T of another kind, R
/// renamed or moved, C copied, m other metadata only.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The old side
    #[arg(value_name = "OLD")]
    pub old: Option<OsString>,
    /// The new side
    #[arg(value_name = "NEW")]
    pub new: Option<OsString>,
    /// Only what is at these paths or below them
    #[arg(last = true, value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Count changed lines and bytes
    #[arg(long, conflicts_with = "patch")]
    pub stat: bool,
    /// Show changed lines of text
    #[arg(short, long)]
    pub patch: bool,
    /// Lines around changed ones
    #[arg(short = 'U', long, value_name = "LINES", default_value_t = 3)]
    pub unified: usize,
    /// Do not look for what was moved or copied
    #[arg(long)]
    pub no_moves: bool,
    /// Tell also of folders of which only the time differs
    #[arg(long)]
    pub all_metadata: bool,
    /// What proves that a live file did not change: its stat values, or only its bytes
    #[arg(long, value_name = "HOW", value_parser = ["stat", "hash"], default_value = "stat")]
    pub trust: String,
    /// How what is elsewhere comes
    #[command(flatten)]
    pub rate: RateArguments,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    arguments.rate.limit_reads(app)?;
    let named = arguments.old.iter().chain(&arguments.new);
    let repository = app.repository_for(named.map(|text| &**text))?;
    let sides = sides::find(app, &repository, arguments)?;
    let format = match (arguments.patch, arguments.stat) {
        (true, _) => Format::Patch {
            context: arguments.unified,
        },
        (_, true) => Format::Stat,
        _ => Format::Names,
    };
    let options = Options {
        moves: !arguments.no_moves,
        all_metadata: arguments.all_metadata,
        paths: arguments
            .paths
            .iter()
            .map(|path| path.as_encoded_bytes().into())
            .collect(),
        ..Options::default()
    };
    let mut printer = Printer::new(&repository, format);
    let problems = compare_all(app, &repository, &sides, &options, &mut printer)?;
    printer.finish(app, "diff")?;
    match problems {
        0 => Ok(()),
        _ => Err(Failure::Code(PARTIAL)),
    }
}

/// What of the differences is told.
#[derive(Debug, Default)]
pub struct Options {
    /// Look for what was moved or copied.
    pub moves: bool,
    /// Tell also of folders of which only the time differs.
    pub all_metadata: bool,
    /// Only what is at these paths or below them.
    pub paths: Vec<BString>,
    /// Tell nothing of what is on the old side only.
    pub without_deleted: bool,
    /// Tell only of what is on the new side only.
    pub only_added: bool,
    /// Metadata that does not count.
    pub ignored: Fields,
}

impl Options {
    fn wants(&self, change: &Change) -> bool {
        match change.kind {
            ChangeKind::Removed if self.without_deleted => return false,
            ChangeKind::Added => {}
            _ if self.only_added => return false,
            _ => {}
        }
        let from = match &change.kind {
            ChangeKind::Moved { from } | ChangeKind::Copied { from } => Some(from),
            _ => None,
        };
        let named = |path: &BString| self.paths.iter().any(|of| is_below(path, of));
        let is_noise = change.kind == ChangeKind::Metadata
            && change.fields == Fields::MTIME
            && change.new.as_ref().map(Item::kind) == Some(Kind::Directory);
        let is_named = self.paths.is_empty() || named(&change.path) || from.is_some_and(named);
        is_named && (self.all_metadata || !is_noise)
    }
}

/// Whether `path` is `of` or below it.
fn is_below(path: &BString, of: &BString) -> bool {
    let of = of.trim_end_with(|c| c == '/');
    of.is_empty()
        || path
            .strip_prefix(of)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Compares all pairs and prints; gives the number of entries that could not be looked at.
pub fn compare_all(
    app: &mut App,
    repository: &Repository,
    sides: &Sides,
    options: &Options,
    printer: &mut Printer<'_>,
) -> Outcome<u64> {
    let mut problems = 0;
    for path in &sides.gone {
        let path = show::bytes(path.as_os_str().as_encoded_bytes());
        app.output.warn(format_args!("{path} is not there any more"));
    }
    for (path, old, new) in &sides.files {
        if let Some(change) = changed_file(path, old, new) {
            printer.change(app, &Pair::stored_files(), &change)?;
        }
    }
    let owners = Owners::system().map_err(Error::io("read", "/etc/passwd"))?;
    for pair in &sides.pairs {
        for error in compare_pair(app, repository, pair, &owners, options, printer)? {
            app.output.warn(show::text(&error.to_string()));
            problems += 1;
        }
    }
    Ok(problems)
}

/// Prints the changes of a pair as they are found, unless moves are looked for: they need all of them. Gives what could
/// not be looked at.
fn compare_pair(
    app: &mut App,
    repository: &Repository,
    pair: &Pair,
    owners: &Owners,
    options: &Options,
    printer: &mut Printer<'_>,
) -> Outcome<Vec<Error>> {
    let compared = compare::Options {
        fields: Fields::RESTORABLE.without(options.ignored),
        ..compare::Options::default()
    };
    pair.bring(app, repository)?;
    let (old, new) = (pair.old.side(repository, owners), pair.new.side(repository, owners));
    let mut found = compare::compare(old, new, compared)?;
    let mut changes = Vec::new();
    while let Some(change) = found.next().transpose()? {
        app.check_interrupt()?;
        changes.push(change);
        if !options.moves && changes.len() >= CHANGES_BROUGHT {
            print(app, repository, pair, std::mem::take(&mut changes), options, printer)?;
        }
    }
    if options.moves {
        let algo = repository.format.hash;
        // A file that cannot be read is told as added.
        let mut fullhash = |change: &Change| -> Result<Option<ObjectId>> { Ok(pair.new.hash(algo, &change.path)) };
        changes = find_moves(changes, &mut fullhash)?;
    }
    print(app, repository, pair, changes, options, printer)?;
    Ok(found.take_problems())
}

/// Prints those changes of a pair that are wanted, with paths from the top.
fn print(
    app: &mut App,
    repository: &Repository,
    pair: &Pair,
    mut changes: Vec<Change>,
    options: &Options,
    printer: &mut Printer<'_>,
) -> Outcome {
    changes.iter_mut().for_each(|change| pair.put_prefix(change));
    changes.retain(|change| options.wants(change));
    for some in changes.chunks(CHANGES_BROUGHT) {
        if printer.reads_contents() {
            bring_changes(app, &repository.store, some, TEXT_BYTES_MAX)?;
        }
        for change in some {
            printer.change(app, pair, change)?;
            app.check_interrupt()?;
        }
    }
    Ok(())
}

fn changed_file(path: &BString, old: &Item, new: &Item) -> Option<Change> {
    let fields = Fields::differing(&old.meta, &new.meta).and(Fields::RESTORABLE);
    let kind = match old.content == new.content {
        true if fields.is_empty() => return None,
        true => ChangeKind::Metadata,
        false if old.kind() == new.kind() => ChangeKind::Modified,
        false => ChangeKind::TypeChanged,
    };
    Some(Change {
        path: path.clone(),
        kind,
        old: Some(old.clone()),
        new: Some(new.clone()),
        fields,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_choose_whole_names() {
        let below = |path: &str, of: &str| is_below(&path.into(), &of.into());
        assert!(below("a/b", "a") && below("a/b", "a/") && below("a", "a") && below("a", ""));
        assert!(!below("ab", "a") && !below("a", "a/b"));
    }
}
