//! `ghost find`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bstr::BString;
use ghost_plumbing::history::{Found, find};
use ghost_plumbing::object::{Entry, HashAlgo, Hasher, Kind, ObjectId, Snapshot};
use ghost_plumbing::refs::parse_when;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::parse_bytes;
use ghost_plumbing::time::Timestamp;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Serialize;

use crate::app::App;
use crate::commands::log::all_tips;
use crate::error::{Failure, Outcome};
use crate::history::{self, History};
use crate::records::EntryRecord;
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::Size;
use crate::ui::time::local;

/// Find files in all snapshots of a line
///
/// Names every file, folder or link that fits, with the first and the last snapshot that hold it as it is. PATTERN is a
/// glob: without a slash it is compared with the last component of a path, else with the whole path; `**` goes over
/// slashes. Folders that snapshots have in common are looked at once.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Look through the snapshots behind REV; may be given again [default: the current line]
    #[arg(short, long = "rev", value_name = "REV")]
    pub revisions: Vec<OsString>,
    /// Look through the snapshots that any ref names, and those before them
    #[arg(long, conflicts_with = "revisions")]
    pub all: bool,
    /// Only what is of this kind: file, dir, symlink, fifo, socket, chardev or blockdev
    #[arg(short, long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only files of at least SIZE bytes
    #[arg(long, value_name = "SIZE")]
    pub min_size: Option<String>,
    /// Only files of at most SIZE bytes
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<String>,
    /// Only what was changed at WHEN or later
    #[arg(long, value_name = "WHEN")]
    pub newer: Option<String>,
    /// Only what was changed before WHEN
    #[arg(long, value_name = "WHEN")]
    pub older: Option<String>,
    /// Only files with this content: a FULLHASH, or a file that has it
    #[arg(long, value_name = "ID|FILE")]
    pub content: Option<OsString>,
    /// Match letters whatever their case
    #[arg(short, long)]
    pub ignore_case: bool,
    /// Print only paths, each with a NUL behind it
    #[arg(short = '0', long)]
    pub null: bool,
    /// What to find [default: everything that the options leave]
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "found")]
struct FoundRecord {
    first_snapshot: String,
    first_time: String,
    last_snapshot: String,
    last_time: String,
    entry: EntryRecord,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    found: u64,
    snapshots: u64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let filter = Filter::new(app, &repository, arguments)?;
    let snapshots = snapshots(app, &repository, arguments)?;
    let trees: Vec<ObjectId> = snapshots.iter().map(|(_, snapshot)| snapshot.tree).collect();
    let found = find(&repository.store, &trees, &mut |path, entry| {
        app.check_interrupt()?;
        Ok(filter.wants(path, entry))
    })?;
    for found in &found {
        tell(app, arguments, &snapshots, found)?;
    }
    if app.output.json() {
        app.output.record(&Summary {
            command: "find",
            found: found.len() as u64,
            snapshots: snapshots.len() as u64,
        })?;
    }
    Ok(())
}

/// The snapshots to look through, oldest first.
fn snapshots(app: &App, repository: &Repository, arguments: &Arguments) -> Outcome<Vec<(ObjectId, Snapshot)>> {
    let tips = if arguments.all {
        all_tips(repository)?
    } else if arguments.revisions.is_empty() {
        let newest = history::newest(repository, &repository.settings().core_line)?;
        newest.map(|(id, _)| id).into_iter().collect()
    } else {
        let named = arguments
            .revisions
            .iter()
            .map(|text| Ok(app.snapshot(repository, text)?.0));
        named.collect::<Outcome<_>>()?
    };
    let mut snapshots = History::left(repository, tips)?.collect::<Result<Vec<_>, _>>()?;
    snapshots.reverse();
    Ok(snapshots)
}

fn tell(app: &mut App, arguments: &Arguments, snapshots: &[(ObjectId, Snapshot)], found: &Found) -> Outcome {
    let [(first, first_taken), (last, last_taken)] = [&snapshots[found.first], &snapshots[found.last]];
    let output = &mut app.output;
    if output.json() {
        return Ok(output.record(&FoundRecord {
            first_snapshot: first.to_string(),
            first_time: crate::ui::time::rfc3339(first_taken.time, first_taken.offset_minutes),
            last_snapshot: last.to_string(),
            last_time: crate::ui::time::rfc3339(last_taken.time, last_taken.offset_minutes),
            entry: EntryRecord::new(&found.path, &found.entry),
        })?);
    }
    if arguments.null {
        return Ok(output.bytes(&[found.path.as_slice(), b"\0"].concat())?);
    }
    let folder = if found.entry.kind() == Kind::Directory { "/" } else { "" };
    let size = match found.entry.kind() {
        Kind::File => Size(found.entry.size()).to_string(),
        _ => "-".to_owned(),
    };
    let range = if first == last {
        short_id(first)
    } else {
        format!("{}..{}", short_id(first), short_id(last))
    };
    let range = output.paint(Style::Id, range).to_string();
    let when = local(found.entry.meta.mtime);
    let path = show::bytes(&found.path);
    Ok(output.line(format_args!("{range} {size:>9} {when} {path}{folder}"))?)
}

/// What is wanted of an entry.
struct Filter {
    /// Compared with the last component.
    names: GlobSet,
    /// Compared with the whole path.
    paths: GlobSet,
    has_patterns: bool,
    kind: Option<Kind>,
    sizes: (u64, u64),
    newer: Option<Timestamp>,
    older: Option<Timestamp>,
    content: Option<ObjectId>,
}

impl Filter {
    fn new(app: &App, repository: &Repository, arguments: &Arguments) -> Outcome<Self> {
        let now = app.environment.zoned_now();
        let when = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => parse_when(text, &now).map(Some),
        };
        let is_path = |pattern: &&String| pattern.contains('/');
        let patterns = arguments.patterns.iter();
        Ok(Self {
            names: globs(
                patterns.clone().filter(|pattern| !is_path(pattern)),
                arguments.ignore_case,
            )?,
            paths: globs(patterns.filter(is_path), arguments.ignore_case)?,
            has_patterns: !arguments.patterns.is_empty(),
            kind: arguments.kind.as_deref().map(kind).transpose()?,
            sizes: (
                size(arguments.min_size.as_deref(), "--min-size", 0)?,
                size(arguments.max_size.as_deref(), "--max-size", u64::MAX)?,
            ),
            newer: when(&arguments.newer)?,
            older: when(&arguments.older)?,
            content: match &arguments.content {
                Some(text) => Some(content(repository.format.hash, text)?),
                None => None,
            },
        })
    }

    fn wants(&self, path: &BString, entry: &Entry) -> bool {
        let is_file = entry.kind() == Kind::File;
        let has_sizes = self.sizes != (0, u64::MAX);
        let text = Path::new(std::ffi::OsStr::from_bytes(path));
        let name = Path::new(std::ffi::OsStr::from_bytes(&entry.name));
        (!self.has_patterns || self.names.is_match(name) || self.paths.is_match(text))
            && self.kind.is_none_or(|kind| kind == entry.kind())
            && (!has_sizes || (is_file && (self.sizes.0..=self.sizes.1).contains(&entry.size())))
            && self.newer.is_none_or(|newer| entry.meta.mtime >= newer)
            && self.older.is_none_or(|older| entry.meta.mtime < older)
            && self.content.is_none_or(|content| entry.fullhash() == Some(content))
    }
}

fn size(text: Option<&str>, option: &str, default: u64) -> Outcome<u64> {
    let Some(text) = text else { return Ok(default) };
    parse_bytes(text).ok_or_else(|| {
        let message = format!("{option} {text}: expected a size");
        Failure::usage(message, "write it as 1048576, 500K, 20MiB or 4G")
    })
}

fn globs<'p>(patterns: impl Iterator<Item = &'p String>, ignore_case: bool) -> Outcome<GlobSet> {
    let wrong = |error: globset::Error| Failure::usage(error.to_string(), "quote a bracket as [[] or \\[");
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.trim_start_matches('/').trim_end_matches('/');
        let mut glob = GlobBuilder::new(pattern);
        glob.literal_separator(true).case_insensitive(ignore_case);
        set.add(glob.build().map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

fn kind(name: &str) -> Outcome<Kind> {
    let kinds = [
        ("file", Kind::File),
        ("dir", Kind::Directory),
        ("symlink", Kind::Symlink),
        ("fifo", Kind::Fifo),
        ("socket", Kind::Socket),
        ("chardev", Kind::CharDevice),
        ("blockdev", Kind::BlockDevice),
    ];
    let found = kinds.iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
        Failure::usage(
            format!("--kind {name}: not a kind"),
            format!("kinds are {}", names.join(", ")),
        )
    })
}

/// The FULLHASH that is meant: written out, or that of a file.
fn content(algo: HashAlgo, text: &OsString) -> Outcome<ObjectId> {
    if let Some(id) = text.to_str().and_then(|text| text.parse().ok()) {
        return Ok(id);
    }
    let path = Path::new(text);
    let failed = |source| ghost_plumbing::Error::Io {
        op: "read",
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hasher = Hasher::new(algo);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(failed)? {
            0 => return Ok(hasher.finish()),
            found => hasher.update(&buffer[..found]),
        }
    }
}
