//! `ghost reconstruct`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::compare::{Fields, Trust};
use ghost_plumbing::object::{Metadata, ObjectId, ObjectSource};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::reconstruct::{self, Options, Overwrite, Reflink, Report};
use ghost_plumbing::refs::Named;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::walk::Owners;
use serde::Serialize;

use crate::app::App;
use crate::commands::diff;
use crate::commands::diff::print::{Format, Printer};
use crate::commands::diff::sides::{End, Pair, Sides};
use crate::error::{DAMAGE, Failure, Outcome, PARTIAL};
use crate::records::{PathField, ProblemRecord};
use crate::ui::size::{Count, Size, counted};
use crate::ui::time::Length;

/// Fill a folder with what a snapshot holds
///
/// Where DIR holds part of the tree already, only what differs is touched. Without --delete, what the snapshot does
/// not have stays. Without --privileged, setuid and setgid bits of files, devices and security.* attributes are left
/// out, since they give power to whoever made the snapshot.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The snapshot, or a folder in it
    #[arg(value_name = "REV[:PATH]")]
    pub revision: OsString,
    /// The folder to fill; made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Only these paths of the snapshot and what is below them
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Write nothing; name what would be created, changed or deleted
    #[arg(long)]
    pub test: bool,
    /// Remove what the snapshot does not have
    #[arg(long)]
    pub delete: bool,
    /// When a file that is there is written again
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub overwrite: OverwriteChoice,
    /// Make holes of zeros, also where the source had none
    #[arg(long)]
    pub sparse: bool,
    /// Whether files of equal content share their blocks on disk
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub reflink: ReflinkChoice,
    /// Restore owners by number, not by name
    #[arg(long)]
    pub numeric_owner: bool,
    /// Restore also setuid and setgid bits, devices, security.* and trusted.* attributes
    #[arg(long)]
    pub privileged: bool,
}

/// The values of `--overwrite`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OverwriteChoice {
    /// When its content differs, which is found by reading it
    Always,
    /// When its size differs, or its time and then its content
    #[default]
    IfChanged,
    /// Never: what is there stays as it is
    Never,
}

/// The values of `--reflink`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReflinkChoice {
    /// Where the file system can
    #[default]
    Auto,
    /// Always; a file that cannot is a problem
    Always,
    /// Never
    Never,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    #[serde(flatten)]
    path: PathField,
    tree: String,
    test: bool,
    created: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    skipped: u64,
    written_bytes: u64,
    withheld: u64,
    not_owned: u64,
    problems: u64,
    seconds: f64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    let repository = app.repository()?;
    let named = app.resolve(&repository, &arguments.revision)?.named;
    let (tree, root) = source(&repository, &named)?;
    let target = app.environment.absolute(&arguments.directory);
    let options = options(app, &repository, arguments)?;
    // A revision without its tree must not leave an empty folder behind.
    repository.store.tree_node(&tree)?;
    if arguments.test || app.output.manner().verbosity > 0 {
        name_changes(app, &repository, tree, &target, arguments)?;
    }
    if !arguments.test {
        fs_err::create_dir_all(&target).map_err(|source| Error::Io {
            op: "make folder",
            path: target.clone(),
            source,
        })?;
    }
    let progress = Arc::new(Progress::new(app.interrupt.clone()));
    let report = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        reconstruct::reconstruct(&repository.store, tree, root.as_ref(), &target, &options, &progress)?
    };
    tell(app, arguments, &target, tree, &report, begun)?;
    match report.problems.iter().any(|problem| problem.error.is_damage()) {
        true => Err(Failure::Code(DAMAGE)),
        false if report.is_complete() => Ok(()),
        false => Err(Failure::Code(PARTIAL)),
    }
}

/// Names everything that would be touched.
fn name_changes(
    app: &mut App,
    repository: &Repository,
    tree: ObjectId,
    target: &Path,
    arguments: &Arguments,
) -> Outcome {
    let trust = match arguments.overwrite {
        OverwriteChoice::Always => Trust::Hash,
        OverwriteChoice::IfChanged | OverwriteChoice::Never => Trust::Stat,
    };
    let now = match target.is_dir() {
        true => End::plain_live(app, repository, target, trust),
        false => End::Nothing,
    };
    let mut ignored = Fields::LINKS;
    if arguments.numeric_owner {
        ignored = ignored | Fields::USER | Fields::GROUP;
    }
    if app.environment.uid != 0 {
        ignored = ignored | Fields::UID | Fields::GID | Fields::USER | Fields::GROUP;
    }
    let options = diff::Options {
        paths: arguments
            .paths
            .iter()
            .map(|path| path.as_encoded_bytes().into())
            .collect(),
        without_deleted: !arguments.delete,
        only_added: arguments.overwrite == OverwriteChoice::Never,
        ignored,
        ..diff::Options::default()
    };
    let sides = Sides {
        pairs: vec![Pair::new(now, End::Stored(tree))],
        ..Sides::default()
    };
    let mut printer = Printer::new(repository, Format::Names);
    diff::compare_all(app, repository, &sides, &options, &mut printer)?;
    Ok(())
}

/// The tree, and the metadata of its top folder where that is known.
fn source(repository: &Repository, named: &Named) -> Outcome<(ObjectId, Option<Metadata>)> {
    Ok(match named {
        Named::Snapshot(id) => {
            let snapshot = read_snapshot(&repository.store, id)?;
            (snapshot.tree, snapshot.root_meta().cloned())
        }
        Named::Entry { entry, .. } => (named.tree(&repository.store)?, Some(entry.meta.clone())),
        Named::Tree(_) | Named::Content(_) => (named.tree(&repository.store)?, None),
    })
}

fn options(app: &App, repository: &Repository, arguments: &Arguments) -> Outcome<Options> {
    Ok(Options {
        paths: arguments
            .paths
            .iter()
            .map(|path| path.as_encoded_bytes().into())
            .collect(),
        test: arguments.test,
        delete: arguments.delete,
        overwrite: match arguments.overwrite {
            OverwriteChoice::Always => Overwrite::Always,
            OverwriteChoice::IfChanged => Overwrite::IfChanged,
            OverwriteChoice::Never => Overwrite::Never,
        },
        sparse: arguments.sparse,
        reflink: match arguments.reflink {
            ReflinkChoice::Auto => Reflink::Auto,
            ReflinkChoice::Always => Reflink::Always,
            ReflinkChoice::Never => Reflink::Never,
        },
        numeric_owner: arguments.numeric_owner,
        owners: Owners::system().map_err(Error::io("read", "/etc/passwd"))?,
        privileged: arguments.privileged,
        is_root: app.environment.uid == 0,
        threads: app.threads(repository.settings()),
    })
}

fn tell(
    app: &mut App,
    arguments: &Arguments,
    target: &Path,
    tree: ObjectId,
    report: &Report,
    begun: Instant,
) -> Outcome {
    for problem in &report.problems {
        let path = problem.path.as_os_str().as_encoded_bytes();
        if app.output.json() {
            app.output.record(&ProblemRecord::new(path, &problem.error))?;
        }
        app.output.failed_path(path, &problem.error);
    }
    if report.problems_left_out > 0 {
        let more = Count(report.problems_left_out);
        app.output.warn(format_args!("{more} more problems are not listed"));
    }
    if app.output.json() {
        return Ok(app.output.record(&Summary {
            command: "reconstruct",
            path: PathField::new(target.as_os_str().as_encoded_bytes()),
            tree: tree.to_string(),
            test: arguments.test,
            created: report.created,
            updated: report.updated,
            unchanged: report.unchanged,
            deleted: report.deleted,
            skipped: report.skipped,
            written_bytes: report.bytes,
            withheld: report.withheld,
            not_owned: report.not_owned,
            problems: report.problem_count(),
            seconds: begun.elapsed().as_secs_f64(),
        })?);
    }
    let shown = app.shown(target);
    let heading = match arguments.test {
        true => format!("Would fill {shown}: {}", counts(report)),
        false => format!("Filled {shown}: {}", counts(report)),
    };
    app.output.say(format_args!("{heading}; {}", Length(begun.elapsed())))?;
    if report.withheld > 0 {
        let files = counted(report.withheld, "entry", "entries");
        app.output.say(format_args!(
            "  {files} without setuid, setgid or security attributes; --privileged restores them"
        ))?;
    }
    if report.not_owned > 0 {
        let files = counted(report.not_owned, "entry", "entries");
        app.output.say(format_args!(
            "  {files} belong to you, not to the recorded owner; root can restore owners"
        ))?;
    }
    Ok(())
}

fn counts(report: &Report) -> String {
    let parts = [
        (report.created, "created"),
        (report.updated, "updated"),
        (report.unchanged, "unchanged"),
        (report.deleted, "deleted"),
        (report.skipped, "left alone"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let mut words: Vec<String> = told.map(|(count, what)| format!("{} {what}", Count(*count))).collect();
    if words.is_empty() {
        words.push("nothing to do".to_owned());
    }
    if report.bytes > 0 {
        words.push(Size(report.bytes).to_string());
    }
    words.join(", ")
}
