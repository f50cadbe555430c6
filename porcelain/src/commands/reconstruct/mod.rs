//! `ghost reconstruct`.
//!
//! - [`sources`]: where content may come from beside the repository
//! - [`orphans`]: files that were not located, and the file that they are listed in
//! - [`tell`]: what is said, while it runs and at its end

mod orphans;
mod sources;
mod tell;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bstr::{BString, ByteSlice as _};
use clap::ValueHint;
use ghost_plumbing::compare::{Fields, Trust};
use ghost_plumbing::ghosts::text::decode;
use ghost_plumbing::object::{Metadata, ObjectId, ObjectKind, ObjectSource, Snapshot};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::reconstruct::sources::Take;
use ghost_plumbing::reconstruct::{self, Options, Overwrite, Reflink, Sources};
use ghost_plumbing::refs::Named;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::remote::objects::walk::Below;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::verify::recorded;
use ghost_plumbing::walk::Owners;
use ghost_plumbing::{Error, Result};

use self::orphans::Orphans;
use self::sources::Places;
use self::tell::{Done, Teller};
use crate::app::App;
use crate::bundles;
use crate::commands::diff;
use crate::commands::diff::print::{Format, Printer};
use crate::commands::diff::sides::{End, Pair, Sides};
use crate::commands::fetch::RateArguments;
use crate::error::{DAMAGE, Failure, Outcome, PARTIAL};
use crate::remote::source::bring_below;
use crate::ui::show;

/// Fill a folder with what a snapshot holds
///
/// Where DIR holds part of the tree already, only what differs is touched. Without --delete, what the snapshot does
/// not have stays. Without --privileged, setuid and setgid bits of files, devices and security.* attributes are left
/// out, since they give power to whoever made the snapshot.
///
/// Content that the repository does not have, because the snapshot is of ghosts only or because blocks are damaged, is
/// looked for elsewhere, cheapest first: in other files of DIR, in the trees that --source names, where the snapshot
/// was taken, and at every path where the catalogue has seen it. Files are found by their size and hash, whatever their
/// names; only files whose size is wanted are ever read. A source is hashed again while it is used, and one that is not
/// what it was is passed over.
///
/// Files that are not located are listed in .ghost/runs/, one file a run. Given in place of a revision, that file asks
/// for just them: run it again with more sources, until nothing is missing.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The snapshot, or a folder in it, here or in a remote; or the list of what an earlier run did not locate
    #[arg(value_name = "[URL:]REV[:PATH]|ORPHANS")]
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
    /// Whether files of equal content share their blocks on disk; without WHEN, always
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub reflink: ReflinkChoice,
    /// Look for content in this tree, too: a directory, or a revision, snap:FILE or gfs:FILE; may be given again
    #[arg(long = "source", value_name = "TREE", value_hint = ValueHint::DirPath)]
    pub sources: Vec<OsString>,
    /// Make symbolic links to files that are found elsewhere; what is not comes from the repository
    ///
    /// A link shows whatever the file holds later, and nothing once it is gone. Metadata of the file stays that of the
    /// file.
    #[arg(long, conflicts_with = "hardlink")]
    pub symlink: bool,
    /// Make relative links
    #[arg(long, requires = "symlink")]
    pub relative: bool,
    /// Make hard links to files that are found elsewhere on the same device, and copies of others
    ///
    /// Both names are one file from then on: a change through one is a change of the other. Its metadata stays as it is.
    #[arg(long)]
    pub hardlink: bool,
    /// Say of each file where its content came from, and why other sources were passed over
    #[arg(long)]
    pub explain: bool,
    /// Restore owners by number, not by name
    #[arg(long)]
    pub numeric_owner: bool,
    /// Restore also setuid and setgid bits, devices, security.* and trusted.* attributes
    #[arg(long)]
    pub privileged: bool,
    /// How what is elsewhere comes
    #[command(flatten)]
    pub rate: RateArguments,
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

/// What is to be reconstructed.
struct Wish<'r> {
    tree: ObjectId,
    /// The metadata of its top folder, where that is known.
    root: Option<Metadata>,
    /// Where contents were seen before.
    places: Places<'r>,
    /// The bytes were not stored with the tree, or are known to be lost.
    unstored: bool,
    /// Folders of which what they held is lost.
    lost: Vec<BString>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    arguments.rate.limit_reads(app)?;
    let repository = app.repository_for(arguments.named())?;
    let wish = wish(app, &repository, arguments)?;
    let target = app.environment.absolute(&arguments.directory);
    let options = options(app, &repository, arguments)?;
    let trees = sources::trees(app, &repository, &arguments.sources)?;
    refuse_links_into_target(&target, &trees, arguments)?;
    // A revision without its tree must not leave an empty folder behind.
    repository.store.tree_node(&wish.tree)?;
    bring_below(app, &repository.store, wish.tree, &options.paths, Below::Lists)?;
    if !arguments.explain && (arguments.test || app.output.manner().verbosity > 0) {
        name_changes(app, &repository, wish.tree, &target, arguments)?;
    }
    if !arguments.test {
        fs_err::create_dir_all(&target).map_err(|source| Error::Io {
            op: "make folder",
            path: target.clone(),
            source,
        })?;
    }
    let mut orphans = Orphans::new(
        folder_of_runs(app, &repository),
        about_orphans(app, arguments, &target),
        wish.tree,
        wish.root.clone(),
    );
    let progress = Arc::new(Progress::new(app.interrupt.clone()));
    let report = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        let teller = Teller::new(
            &mut app.output,
            &mut orphans,
            &repository.store,
            &wish.places,
            arguments.explain,
        );
        let sources = Sources {
            trees,
            known: &wish.places,
            take: take(arguments),
            chunk: repository.settings().chunk_params(),
            unstored: wish.unstored,
            explain: arguments.explain,
            tell: &|told| teller.tell(told),
        };
        let (store, root) = (&repository.store, wish.root.as_ref());
        let report = reconstruct::reconstruct_from(store, wish.tree, root, &target, &options, &sources, &progress);
        // What was said in vain is said again as an error; a job that failed has the better one.
        let report = report?;
        teller.finish()?;
        report
    };
    if let Some(problem) = wish.places.problem() {
        app.output.warn(format_args!("the catalogue was not asked: {problem}"));
    }
    let done = Done {
        report: &report,
        target: &target,
        tree: wish.tree,
        test: arguments.test,
        from_elsewhere: wish.unstored || !arguments.sources.is_empty() || take(arguments) != Take::Copy,
        orphans: orphans.finish()?,
        seconds: begun.elapsed(),
    };
    done.tell(app)?;
    tell_lost(app, &wish.lost);
    verdict(&report, &wish.lost)
}

/// How the command ends.
fn verdict(report: &reconstruct::Report, lost: &[BString]) -> Outcome {
    match report.problems.iter().any(|problem| problem.error.is_damage()) {
        true => Err(Failure::Code(DAMAGE)),
        false if report.is_complete() && lost.is_empty() => Ok(()),
        false => Err(Failure::Code(PARTIAL)),
    }
}

fn take(arguments: &Arguments) -> Take {
    match (arguments.symlink, arguments.hardlink) {
        (true, _) => Take::Symlink {
            relative: arguments.relative,
        },
        (_, true) => Take::Hardlink,
        _ => Take::Copy,
    }
}

/// What the argument names: a revision, or what an earlier run did not locate.
fn wish<'r>(app: &App, repository: &'r Repository, arguments: &Arguments) -> Outcome<Wish<'r>> {
    let path = app.environment.absolute(Path::new(&arguments.revision));
    if orphans::is_orphan_file(&path) {
        if arguments.delete {
            return Err(Failure::usage(
                "a list of orphans does not say what else belongs to the tree, so --delete would remove all of it",
                "leave --delete out, or name the snapshot",
            ));
        }
        let missing = orphans::read(&path)?;
        repository.store.attach(&missing.store)?;
        let mut places = Places::new(app, repository, None, BString::default());
        places.describe(missing.ghosts)?;
        return Ok(Wish {
            tree: missing.tree,
            root: missing.root,
            places,
            unstored: true,
            lost: Vec::new(),
        });
    }
    let named = app.resolve(repository, &arguments.revision)?.named;
    let (tree, root) = source(repository, &named)?;
    let snapshot = snapshot_of(app, repository, &arguments.revision, &named)?;
    let inside = match &named {
        Named::Entry { path, .. } => path.clone(),
        _ => BString::default(),
    };
    let in_bundle = bundles::is_named(&arguments.revision);
    let mut places = Places::new(app, repository, snapshot.as_ref(), inside);
    if in_bundle {
        let bundle = bundles::find(app, &arguments.revision)?.bundle;
        for text in bundle.descriptors() {
            places.describe(decode(Path::new(&arguments.revision), &text?)?)?;
        }
    }
    Ok(Wish {
        tree,
        root,
        unstored: in_bundle
            || snapshot
                .as_ref()
                .is_some_and(|snapshot| snapshot.is_ghosts_only() || is_replacement(snapshot)),
        lost: match &snapshot {
            Some(snapshot) => lost_folders(repository, snapshot)?,
            None => Vec::new(),
        },
        places,
    })
}

/// Names folders that a repair could not read.
fn tell_lost(app: &mut App, lost: &[BString]) {
    for path in lost {
        let path = match path.is_empty() {
            true => "the top folder".to_owned(),
            false => show::bytes(path),
        };
        app.output.problem(&format!(
            "{path}: some or all of what was in it is lost, even its names"
        ));
    }
}

fn is_replacement(snapshot: &Snapshot) -> bool {
    recorded::replaces(snapshot).is_some()
}

/// The folders that `ghost repair` could not read, of a replacement.
fn lost_folders(repository: &Repository, snapshot: &Snapshot) -> Result<Vec<BString>> {
    let mut lost = recorded::losses(&repository.store, snapshot)?;
    lost.retain(|loss| loss.kind == ObjectKind::Tree);
    Ok(lost.into_iter().map(|loss| loss.path).collect())
}

/// The snapshot that a revision goes through, if it does.
fn snapshot_of(app: &App, repository: &Repository, text: &OsStr, named: &Named) -> Outcome<Option<Snapshot>> {
    if let Named::Snapshot(id) = named {
        return Ok(Some(read_snapshot(&repository.store, id)?));
    }
    // In `REV:PATH` the path may have colons, and so may REV.
    let text = text.as_encoded_bytes();
    let colons = text.rfind_iter(b":");
    let mut before = colons.map(|at| OsStr::from_bytes(&text[..at]));
    Ok(before.find_map(|revision| app.snapshot(repository, revision).ok().map(|(_, snapshot)| snapshot)))
}

/// Refuses to remove what links would lead to.
fn refuse_links_into_target(target: &Path, trees: &[PathBuf], arguments: &Arguments) -> Outcome {
    let target = fs_err::canonicalize(target).unwrap_or_else(|_| target.to_owned());
    let inside = trees.iter().find(|tree| tree.starts_with(&target));
    match inside {
        Some(tree) if arguments.delete && take(arguments) != Take::Copy => {
            let tree = show::bytes(tree.as_os_str().as_encoded_bytes());
            Err(Failure::usage(
                format!("the source {tree} is inside the target: --delete would remove what links lead to"),
                "leave out --delete, or --symlink and --hardlink",
            ))
        }
        _ => Ok(()),
    }
}

/// The lines at the top of a list of orphans.
fn about_orphans(app: &App, arguments: &Arguments, target: &Path) -> String {
    let shown = |text: &OsStr| show::bytes(text.as_encoded_bytes());
    format!(
        "files of {} that were not located for {} on {}\n\
         to complete it: ghost reconstruct --source=TREE THIS_FILE DIR",
        shown(&arguments.revision),
        shown(target.as_os_str()),
        app.environment.host,
    )
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

/// Where lists of orphans go: the working directory where a bundle is read without a repository.
fn folder_of_runs(app: &App, repository: &Repository) -> PathBuf {
    let runs = repository.ghost_dir.join("runs");
    if runs.is_dir() {
        runs
    } else {
        app.environment.cwd.clone()
    }
}

impl Arguments {
    /// What may name a bundle.
    fn named(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(&self.revision).chain(&self.sources).map(|text| &**text)
    }
}
