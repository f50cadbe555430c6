//! `ghost verify`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueHint;
use ghost_plumbing::Result;
use ghost_plumbing::bundle::Root;
use ghost_plumbing::object::{ObjectId, ObjectKind};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::refs::{Forgotten, short_name};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::verify::{self, Depth, Hurt, Report, Request, Target};
use serde::Serialize;

use crate::app::App;
use crate::bundles;
use crate::commands::verify_path::{self, PathOptions};
use crate::error::{DAMAGE, Failure, Outcome};
use crate::hooks::{self, Call, Hook};
use crate::records::PathField;
use crate::tree_argument::{self, TreeArgument};
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

/// Check that everything stored is there and as it was written, or that files are as they were seen
///
/// Without arguments, or of a snapshot: reads the headers of all data files, the index, the ref log and every tree; each block must be there. With --data
/// also every stored byte is read and its hash compared; with --quick no tree is read. Every path that is damaged is
/// named, once a snapshot. Nothing is changed. Ends with code 4 where there is damage.
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
    /// How files are checked
    #[command(flatten)]
    pub files: PathOptions,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "damaged_path")]
struct HurtRecord<'a> {
    snapshot: &'a str,
    #[serde(flatten)]
    path: PathField,
    id: String,
    reason: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "damaged_file")]
struct DamageRecord {
    message: String,
    rebuildable: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    depth: &'static str,
    clean: bool,
    snapshots: u64,
    data_files: u64,
    checked_objects: u64,
    checked_bytes: u64,
    damaged_paths: u64,
    damaged_files: u64,
    damaged_index_files: u64,
    unfinished_bytes: u64,
    not_stored: u64,
    not_stored_bytes: u64,
    seconds: f64,
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
    let depth = depth_of(arguments);
    let repository = app.repository()?;
    let request = Request {
        targets: targets(app, &repository, &arguments.revisions)?,
        everything: arguments.revisions.is_empty(),
        depth,
        threads: app.threads(repository.settings()),
    };
    let progress = Arc::new(app.gentle(&repository));
    let report = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        verify::run(&repository.store, Some(&repository.refs), &request, &progress)?
    };
    let result = tell(app, &report, depth, begun);
    let word = if report.is_clean() { "clean" } else { "damaged" };
    hooks::after(app, &repository, &Call::new(Hook::PostVerify).arguments([word]));
    result
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
    let (bundle, roots) = match everything {
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
    };
    let request = Request {
        targets: roots.into_iter().map(target).collect(),
        everything,
        depth,
        threads: app.threads(config.typed()),
    };
    let progress = Arc::new(Progress::new(app.interrupt.clone()));
    let report = {
        let _monitor = app.monitor(&progress, &config)?;
        verify::run(bundle.store(), None, &request, &progress)?
    };
    tell(app, &report, depth, begun)
}

fn tell(app: &mut App, report: &Report, depth: Depth, begun: Instant) -> Outcome {
    tell_damage(app, report)?;
    if app.output.json() {
        app.output.record(&summary(report, depth, begun))?;
    } else {
        tell_result(app, report, depth, begun)?;
    }
    match report.is_clean() {
        true => Ok(()),
        false => Err(Failure::Code(DAMAGE)),
    }
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
    if paths.is_empty() && arguments.files.any() {
        let message = "--fast, --max-age and --max-time are for files";
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
    if arguments.quick || arguments.data {
        let message = "--quick and --data are for what is stored";
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

/// All trees that refs name and all snapshots behind all refs that are not forgotten, named as people would: `main`, `main~1`, and by id behind other parents.
pub fn all_targets(app: &App, repository: &Repository) -> Result<Vec<Target>> {
    let refs = repository
        .refs
        .tips()
        .and_then(|tips| Ok((tips, repository.refs.forgotten()?)));
    let (refs, forgotten) = match refs {
        Ok(refs) => refs,
        // The check of the log tells of it.
        Err(error) if error.is_damage() => Default::default(),
        Err(error) => return Err(error),
    };
    let mut walk = Targets {
        repository,
        forgotten,
        seen: HashSet::new(),
        found: Vec::new(),
        others: Vec::new(),
    };
    for (name, id) in refs {
        let kind = repository.store.kind_of(&id)?;
        match kind {
            Some(ObjectKind::Tree) if walk.seen.insert(id) => {
                walk.found.push(Target::tree(short_name(&name).to_owned(), id));
            }
            None | Some(ObjectKind::Snapshot) => walk.chain(app, short_name(&name), id)?,
            Some(_) => {}
        }
    }
    while let Some(id) = walk.others.pop() {
        walk.chain(app, &short_id(&id), id)?;
    }
    Ok(walk.found)
}

struct Targets<'a> {
    repository: &'a Repository,
    /// Their trees may be gone, and revisions do not count them.
    forgotten: Forgotten,
    seen: HashSet<ObjectId>,
    found: Vec<Target>,
    /// Parents that are not the first.
    others: Vec<ObjectId>,
}

impl Targets<'_> {
    /// Adds a snapshot and its first parents.
    fn chain(&mut self, app: &App, base: &str, tip: ObjectId) -> Result<()> {
        let mut next = Some(tip);
        let mut distance = 0u64;
        while let Some(id) = next.filter(|id| self.seen.insert(*id)) {
            app.check_interrupt()?;
            if !self.forgotten.contains(&id) {
                let name = match distance {
                    0 => base.to_owned(),
                    distance => format!("{base}~{distance}"),
                };
                self.found.push(Target::snapshot(name, id));
                distance += 1;
            }
            let snapshot = match read_snapshot(&self.repository.store, &id) {
                Ok(snapshot) => snapshot,
                // The check names it; what is behind it cannot be known.
                Err(error) if error.is_damage() => break,
                Err(error) => return Err(error),
            };
            self.others.extend(snapshot.parents.iter().skip(1));
            next = snapshot.parents.first().copied();
        }
        Ok(())
    }
}

fn tell_damage(app: &mut App, report: &Report) -> Outcome {
    for (errors, rebuildable) in [(&report.damage, false), (&report.index_damage, true)] {
        for error in errors {
            if app.output.json() {
                app.output.record(&DamageRecord {
                    message: error.to_string(),
                    rebuildable,
                })?;
                continue;
            }
            let word = app.output.paint(Style::Deleted, "damaged file:").to_string();
            let text = show::text(&error.to_string());
            app.output.line(format_args!("{word} {text}"))?;
        }
    }
    let told: HashSet<String> = report.damage.iter().map(ToString::to_string).collect();
    for hurt in &report.hurt {
        tell_path(app, hurt, told.contains(&hurt.reason))?;
    }
    Ok(())
}

/// Names a path; the reason only if no line above has it.
fn tell_path(app: &mut App, hurt: &Hurt, is_told: bool) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&HurtRecord {
            snapshot: &hurt.snapshot,
            path: PathField::new(&hurt.path),
            id: hurt.id.to_string(),
            reason: &hurt.reason,
        })?);
    }
    let word = app.output.paint(Style::Deleted, "damaged:").to_string();
    let (snapshot, path) = (show::text(&hurt.snapshot), show::bytes(&hurt.path));
    let reason = match is_told {
        true => String::new(),
        false => format!(": {}", show::text(&hurt.reason)),
    };
    Ok(app
        .output
        .line(format_args!("{word} {snapshot}:{path} ({}){reason}", hurt.id))?)
}

fn summary(report: &Report, depth: Depth, begun: Instant) -> Summary {
    Summary {
        command: "verify",
        depth: match depth {
            Depth::Quick => "quick",
            Depth::Reachable => "reachable",
            Depth::Data => "data",
        },
        clean: report.is_clean(),
        snapshots: report.snapshots,
        data_files: report.data_files,
        checked_objects: report.objects,
        checked_bytes: report.bytes,
        damaged_paths: report.hurt.len() as u64,
        damaged_files: report.damage.len() as u64,
        damaged_index_files: report.index_damage.len() as u64,
        unfinished_bytes: report.unfinished_bytes,
        not_stored: report.not_stored,
        not_stored_bytes: report.not_stored_bytes,
        seconds: begun.elapsed().as_secs_f64(),
    }
}

fn tell_result(app: &mut App, report: &Report, depth: Depth, begun: Instant) -> Outcome {
    let mut checked = vec![counted(report.data_files, "data file", "data files")];
    if depth != Depth::Quick {
        checked.insert(0, counted(report.snapshots, "snapshot", "snapshots"));
    }
    if depth == Depth::Data {
        let objects = counted(report.objects, "object", "objects");
        checked.push(format!("{objects} of {}", Size(report.bytes)));
    }
    let length = Length(begun.elapsed());
    if report.is_clean() {
        let word = app.output.paint(Style::Added, "No damage").to_string();
        app.output
            .say(format_args!("{word} in {}; {length}", checked.join(", ")))?;
        if report.not_stored > 0 {
            let contents = counted(report.not_stored, "content", "contents");
            let bytes = Size(report.not_stored_bytes);
            app.output.say(format_args!(
                "{contents} of {bytes} are described by snapshots of ghosts only, not stored."
            ))?;
        }
        if depth != Depth::Data {
            app.output.say("`ghost verify --data` also reads every stored byte.")?;
        }
        return Ok(());
    }
    let paths = counted(report.hurt.len() as u64, "damaged path", "damaged paths");
    let files = report.damage.len() + report.index_damage.len();
    let files = counted(files as u64, "piece of damage", "pieces of damage");
    app.output.say(format_args!(
        "{paths}, {files} in the repository's files; checked {}; {length}",
        checked.join(", ")
    ))?;
    if report.damage.is_empty() && report.hurt.is_empty() {
        app.output
            .say("Only the index is hurt: `ghost index-data` makes it anew from the data files.")?;
    } else {
        app.output
            .say("Where the sources are still there, `ghost snapshot --trust hash` stores again what is damaged.")?;
    }
    Ok(())
}
