//! `ghost verify`.

mod tell;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueHint;
use ghost_plumbing::bundle::Root;
use ghost_plumbing::progress::Progress;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::verify::ledger::Ledger;
use ghost_plumbing::verify::{self, Depth, Due, Report, Request, Target};
use ghost_plumbing::{Error, Result};

use self::tell::tell;
use crate::app::App;
use crate::bundles;
use crate::commands::verify_path::{self, PathOptions, earlier};
use crate::error::{Failure, Outcome};
use crate::hooks::{self, Call, Hook};
use crate::tree_argument::{self, TreeArgument};

/// Check that everything stored is there and as it was written, or that files are as they were seen
///
/// Without arguments, or of a snapshot: reads the headers of all data files, the index, the ref log and every tree; each block must be there. With --data
/// also every stored byte is read and its hash compared; with --quick no tree is read. Every path that is damaged is
/// named, once a snapshot. Nothing is changed. Ends with code 4 where there is damage.
///
/// When each part of the data was last read whole is remembered. --max-age, --max-time and --sample read what was read
/// longest ago, or never, and pass over snapshots that were found whole while no data file was taken away. What is
/// damaged is read, and told, every time. `ghost repair` and `ghost heal` mend.
///
/// Of a PATH: reads again the files at and below it that are known, from a scan or a snapshot, those first that were
/// checked longest ago. One whose bytes differ though its size and mtime do not is rotten (code 4); others have changed,
/// vanished, or are found again. The catalogue keeps the dates. A text that begins with . or / is a path; any other is
/// one if something is there, else a revision; --path and --rev decide for all.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Check only what these snapshots need, or these files, or all of a bundle, gfs:FILE [default: all snapshots behind
    /// all refs]
    #[arg(value_name = "REV|PATH", value_hint = ValueHint::AnyPath)]
    pub revisions: Vec<OsString>,
    /// Take all arguments for paths
    #[arg(long, conflicts_with = "rev", requires = "revisions")]
    pub path: bool,
    /// Take all arguments for revisions
    #[arg(long)]
    pub rev: bool,
    /// Do not read trees
    #[arg(long, conflicts_with = "data")]
    pub quick: bool,
    /// Read every stored byte
    #[arg(long)]
    pub data: bool,
    /// What is passed over
    #[command(flatten)]
    pub files: PathOptions,
    /// Read this share of the stored bytes, such as 5%: those that were read longest ago. Means --data
    #[arg(long, value_name = "SHARE", value_parser = parse_share, help_heading = "A part of it")]
    pub sample: Option<u64>,
}

/// A share such as `5%` or `0.5%`, in hundredths of a percent.
fn parse_share(text: &str) -> Result<u64, String> {
    let expected = || "expected a share from 0.01% to 100%, such as 5%".to_owned();
    let number: f64 = text.strip_suffix('%').unwrap_or(text).parse().map_err(|_| expected())?;
    // In range, so that nothing is cut off.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to 10,000"
    )]
    let share = || (number * 100.0).round() as u64;
    match (0.01..=100.0).contains(&number) {
        true => Ok(share()),
        false => Err(expected()),
    }
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    if arguments.revisions.iter().any(|text| bundles::is_named(text)) {
        return arguments
            .revisions
            .iter()
            .try_for_each(|text| bundle(app, text, depth_of(arguments)));
    }
    if let Some(paths) = paths(app, arguments)? {
        let repository = app.repository()?;
        return verify_path::run(app, &repository, &paths, &arguments.files);
    }
    let depth = match is_partial(arguments)? {
        true => Depth::Data,
        false => depth_of(arguments),
    };
    let repository = app.repository()?;
    let request = Request {
        targets: targets(app, &repository, &arguments.revisions)?,
        everything: arguments.revisions.is_empty(),
        depth,
        threads: app.threads(repository.settings()),
    };
    let progress = Arc::new(app.gentle(&repository));
    let (report, unsaved) = {
        let due = due(app, arguments);
        let _monitor = app.monitor(&progress, &repository.config)?;
        check(&repository, &request, &due, &progress)?
    };
    if let Some(problem) = unsaved {
        app.output
            .warn(format_args!("what was read is not remembered: {problem}"));
    }
    let result = tell(app, &report, (depth, repository.is_lazy()), begun);
    let word = if report.is_clean() { "clean" } else { "damaged" };
    hooks::after(app, &repository, &Call::new(Hook::PostVerify).arguments([word]));
    result
}

/// Whether only what is due is to be read.
fn is_partial(arguments: &Arguments) -> Outcome<bool> {
    let partial = arguments.files.max_age.is_some() || arguments.files.max_time.is_some() || arguments.sample.is_some();
    let message = match () {
        () if !partial => return Ok(false),
        () if !arguments.revisions.is_empty() => {
            "--max-age, --max-time and --sample are for all of a repository, or for files"
        }
        () if arguments.quick => "--quick reads no stored bytes",
        () => return Ok(true),
    };
    Err(Failure::usage(
        message,
        "name no revision, and leave --quick out: `ghost verify --max-age 30d`",
    ))
}

fn due(app: &App, arguments: &Arguments) -> Due {
    let now = app.environment.now();
    Due {
        now,
        before: arguments.files.max_age.map(|age| earlier(now, age)),
        time_max: arguments.files.max_time,
        share: arguments.sample,
    }
}

/// Checks; everything with what earlier checks have read in mind. Gives also why that could not be written down.
fn check(
    repository: &Repository,
    request: &Request,
    due: &Due,
    progress: &Progress,
) -> Result<(Report, Option<Error>)> {
    let Repository {
        disk,
        ghost_dir,
        store,
        refs,
        ..
    } = repository;
    if !request.everything || request.depth != Depth::Data {
        return Ok((verify::run(store, Some(refs), request, progress)?, None));
    }
    let mut ledger = Ledger::load(&**disk, ghost_dir, repository.format.uuid);
    let report = verify::run_due(store, refs, request, (&mut ledger, due), progress)?;
    let unsaved = match repository.check_writable() {
        Ok(()) => ledger.save(&**disk, ghost_dir).err(),
        Err(error) => Some(error),
    };
    Ok((report, unsaved))
}

fn depth_of(arguments: &Arguments) -> Depth {
    match (arguments.quick, arguments.data) {
        (true, _) => Depth::Quick,
        (_, true) => Depth::Data,
        _ => Depth::Reachable,
    }
}

/// Checks a bundle with all that it holds, or what is named of it.
fn bundle(app: &mut App, text: &OsStr, depth: Depth) -> Outcome {
    let begun = Instant::now();
    if !bundles::is_named(text) {
        let hint = "check bundles and snapshots of the repository one after the other";
        return Err(Failure::usage(format!("{} is not in a bundle", text.display()), hint));
    }
    let path = app.environment.real(Path::new(bundles::without_tag(text)));
    let everything = path.is_file();
    let (mut bundle, roots) = match everything {
        true => {
            let bundle = bundles::open(app, &path)?;
            let roots = bundle.roots().to_vec();
            (bundle, roots)
        }
        false => {
            let found = bundles::find(app, text)?;
            (found.bundle, vec![found.root])
        }
    };
    let config = app.config()?;
    let target = |root: Root| Target {
        name: root.label,
        kind: root.kind,
        id: root.id,
        needs_data: Some(root.is_complete),
        needs_tree: true,
    };
    let request = Request {
        targets: roots.into_iter().map(target).collect(),
        everything,
        depth,
        threads: app.threads(config.typed()),
    };
    let progress = Arc::new(Progress::new(app.interrupt.clone()));
    let mut report = {
        let _monitor = app.monitor(&progress, &config)?;
        verify::run(bundle.store(), None, &request, &progress)?
    };
    let is_empty = bundle.roots().is_empty();
    let mut known: Vec<String> = report.damage.iter().map(ToString::to_string).collect();
    // A list of roots that does not read is found when the bundle is opened, and by nothing else.
    while let Some(problem) = bundle.take_problem() {
        if !known.contains(&problem.to_string()) {
            known.push(problem.to_string());
            report.damage.push(problem.into());
        }
    }
    if is_empty && report.damage.is_empty() && bundle.store().unfinished_bytes() > 0 {
        report.damage.push(bundle.nothing_inside().into());
    }
    tell(app, &report, (depth, false), begun)
}

/// The files that are meant, if files are meant.
fn paths(app: &App, arguments: &Arguments) -> Outcome<Option<Vec<PathBuf>>> {
    let mut paths = Vec::new();
    for text in &arguments.revisions {
        if arguments.path {
            paths.push(text.into());
        } else if !arguments.rev
            && let TreeArgument::Live(path) = tree_argument::parse(app, text)?
        {
            paths.push(path);
        }
    }
    if paths.is_empty() && arguments.files.fast {
        let message = "--fast is for files";
        return Err(Failure::usage(message, "name a path: `ghost verify --fast .`"));
    }
    if paths.is_empty() {
        return Ok(None);
    }
    if paths.len() < arguments.revisions.len() {
        let message = "paths and revisions cannot be checked in one run";
        return Err(Failure::usage(
            message,
            "run it once for each; --path or --rev decides for all arguments",
        ));
    }
    if arguments.quick || arguments.data || arguments.sample.is_some() {
        let message = "--quick, --data and --sample are for what is stored";
        return Err(Failure::usage(
            message,
            "leave them out: files are read in full unless --fast is given",
        ));
    }
    Ok(Some(paths))
}

fn targets(app: &App, repository: &Repository, revisions: &[OsString]) -> Outcome<Vec<Target>> {
    if revisions.is_empty() {
        return Ok(all_targets(app, repository)?);
    }
    let mut targets = Vec::new();
    for text in revisions {
        let (id, _) = app.snapshot(repository, text)?;
        let name = text.to_string_lossy().into_owned();
        targets.push(Target::snapshot(name, id));
    }
    Ok(targets)
}

/// Everything that refs lead to.
pub fn all_targets(app: &App, repository: &Repository) -> Result<Vec<Target>> {
    let progress = Progress::new(app.interrupt.clone());
    verify::targets::all(&repository.store, &repository.refs, &progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_from_a_hundredth_of_a_percent_to_all() {
        for (text, share) in [
            ("5%", 500),
            ("5", 500),
            ("0.01%", 1),
            ("100%", 10_000),
            ("33.33%", 3333),
        ] {
            assert_eq!(parse_share(text), Ok(share), "{text}");
        }
        for bad in ["", "0", "101%", "-5%", "NaN", "five"] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }
}
