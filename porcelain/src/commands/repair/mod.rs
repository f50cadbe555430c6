//! `ghost repair`.

mod made_anew;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ghost_plumbing::Error;
use ghost_plumbing::refs::Who;
use ghost_plumbing::repair::{self, Aside, Marked, Mended, Options, Report, parity};
use ghost_plumbing::repository::Repository;
use serde::Serialize;

use crate::app::App;
use crate::error::{Failure, Outcome, PARTIAL};
use crate::records::PathField;
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

/// Paths of one snapshot that are named.
const PATHS_NAMED: usize = 20;
/// Percent of recovery data where none is set.
const PARITY_PERCENT: u64 = 5;

/// Save what reads of a damaged repository, and record what is lost
///
/// Makes the files `format` and `generation` anew where they are damaged or gone, from what else is there, and says what it
/// assumed. Uses parity where there is some; makes a usable ref log of a damaged one; copies all that reads of damaged data files
/// into new ones and moves the damaged ones to .ghost/damaged; makes the index anew. A snapshot of which something is
/// lost gets a replacement, refs/damaged/ID, with the list of what is lost: it can be reconstructed without it, and
/// `ghost verify` no longer calls it new damage. Nothing original is removed or changed. `ghost heal` puts back what is
/// lost from elsewhere, before or afterwards. Ends with code 3 where something is lost.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Change nothing; tell what is wrong and what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Write recovery data for what has none, and do nothing else: PERCENT of the data, else what data.parity says
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, value_parser = clap::value_parser!(u64).range(1..=100))]
    #[arg(require_equals = true, conflicts_with = "dry_run")]
    pub add_parity: Option<Option<u64>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "put_aside")]
struct AsideRecord {
    #[serde(flatten)]
    path: PathField,
    moved: Option<String>,
    saved_objects: u64,
    saved_bytes: u64,
    lost_objects: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "mended")]
struct MendedRecord {
    #[serde(flatten)]
    path: PathField,
    shards: usize,
    shard_bytes: u32,
    refused: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "lost")]
struct LostRecord<'a> {
    snapshot: &'a str,
    snapshot_id: String,
    replacement: Option<String>,
    #[serde(flatten)]
    path: PathField,
    kind: &'static str,
    id: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "covered")]
struct CoveredRecord {
    #[serde(flatten)]
    path: PathField,
}

#[derive(Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    dry_run: bool,
    sound: bool,
    mended_files: usize,
    mended_headers: usize,
    refs_salvaged: bool,
    aside: usize,
    saved_objects: u64,
    saved_bytes: u64,
    indexed_objects: Option<usize>,
    hurt_snapshots: usize,
    lost_paths: usize,
    seconds: f64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    let mended = mend_format(app, arguments)?;
    if mended && arguments.dry_run {
        return Ok(app
            .output
            .say("Nothing was changed; the rest can be looked at when it is made anew")?);
    }
    let repository = app.repository()?;
    if let Some(percent) = arguments.add_parity {
        return add_parity(app, &repository, percent, begun);
    }
    let options = Options {
        dry_run: arguments.dry_run,
        threads: app.threads(repository.settings()),
    };
    let who = who(app, &repository);
    let progress = Arc::new(app.gentle(&repository));
    let report = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        repair::run(&repository, &options, &who, &progress)?
    };
    tell(app, &report, arguments.dry_run, begun)?;
    let is_lost = !report.marked.is_empty() || report.mended.iter().any(|mended| mended.refused.is_some());
    match is_lost {
        true => Err(Failure::Code(PARTIAL)),
        false => Ok(()),
    }
}

/// Makes the file `format` anew that the repository cannot be opened without; says whether it did, or would.
fn mend_format(app: &mut App, arguments: &Arguments) -> Outcome<bool> {
    let depth = |path: &Path| path.components().count();
    let ghost_dir = match (app.ghost_dir(), app.remains()) {
        (Err(Error::NoRepository { .. }), Some(remains)) => remains,
        // The nearer one is meant, as it was when it was whole.
        (Ok(found), Some(remains)) if depth(&remains) > depth(&found) => remains,
        (found, _) => found?,
    };
    let mended = repair::mend_format(&app.disk, &ghost_dir, &app.open_options()?, arguments.dry_run)?;
    if let Some(mended) = &mended {
        made_anew::format(app, mended, arguments.dry_run)?;
    }
    Ok(mended.is_some())
}

/// Who mends.
pub fn who(app: &App, repository: &Repository) -> Who {
    let settings = repository.settings();
    Who {
        author: app.author(settings),
        host: app.host(settings),
        time: app.environment.now(),
    }
}

fn add_parity(app: &mut App, repository: &Repository, percent: Option<u64>, begun: Instant) -> Outcome {
    repository.check_writable()?;
    let percent = percent
        .or(Some(repository.settings().data_parity).filter(|percent| *percent > 0))
        .unwrap_or(PARITY_PERCENT);
    let progress = Arc::new(app.gentle(repository));
    let covered = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        parity::add(repository, percent, &progress)?
    };
    for path in &covered {
        if app.output.json() {
            let path = PathField::new(path.as_os_str().as_encoded_bytes());
            app.output.record(&CoveredRecord { path })?;
        }
    }
    if app.output.json() {
        return Ok(app.output.record(&Summary {
            command: "repair",
            sound: true,
            seconds: begun.elapsed().as_secs_f64(),
            ..Summary::default()
        })?);
    }
    let files = counted(covered.len() as u64, "file", "files");
    Ok(app.output.say(format_args!(
        "Wrote {percent}% of recovery data for {files}; {}",
        Length(begun.elapsed())
    ))?)
}

fn tell(app: &mut App, report: &Report, dry_run: bool, begun: Instant) -> Outcome {
    for mended in &report.mended {
        tell_mended(app, mended, dry_run)?;
    }
    if let Some(mended) = &report.generation {
        made_anew::generation(app, mended, dry_run)?;
    }
    for path in &report.headers {
        if !app.output.json() {
            let path = app.shown(path);
            let word = if dry_run {
                "header can be made anew:"
            } else {
                "header made anew:"
            };
            let word = app.output.paint(Style::Added, word).to_string();
            app.output.line(format_args!("{word} {path}"))?;
        }
    }
    if let Some(salvaged) = &report.refs {
        let kept = app.shown(&salvaged.kept);
        app.output.say(format_args!(
            "The ref log was damaged: {} kept, {} known; the damaged one is {kept}",
            counted(salvaged.records, "record", "records"),
            counted(salvaged.refs as u64, "ref", "refs"),
        ))?;
    }
    for aside in &report.aside {
        tell_aside(app, aside, dry_run)?;
    }
    for marked in &report.marked {
        tell_marked(app, marked)?;
    }
    if app.output.json() {
        let lost_paths = report.marked.iter().map(|marked| marked.paths().len()).sum();
        return Ok(app.output.record(&Summary {
            command: "repair",
            dry_run,
            sound: report.is_sound,
            mended_files: report.mended.len(),
            mended_headers: report.headers.len(),
            refs_salvaged: report.refs.is_some(),
            aside: report.aside.len(),
            saved_objects: report.aside.iter().map(|aside| aside.saved_objects).sum(),
            saved_bytes: report.aside.iter().map(|aside| aside.saved_bytes).sum(),
            indexed_objects: report.indexed,
            hurt_snapshots: report.marked.len(),
            lost_paths,
            seconds: begun.elapsed().as_secs_f64(),
        })?);
    }
    tell_end(app, report, dry_run, begun)
}

fn tell_end(app: &mut App, report: &Report, dry_run: bool, begun: Instant) -> Outcome {
    if let Some(objects) = report.indexed {
        let objects = counted(objects as u64, "object", "objects");
        app.output.say(format_args!("The index was made anew: {objects}"))?;
    }
    let length = Length(begun.elapsed());
    if report.is_sound {
        return Ok(app.output.say(format_args!("Nothing is damaged; {length}"))?);
    }
    let paths: usize = report.marked.iter().map(|marked| marked.paths().len()).sum();
    if dry_run {
        return Ok(app.output.say(format_args!(
            "Nothing was changed; `ghost repair` without --dry-run would record {} of {} as lost; {length}",
            counted(paths as u64, "path", "paths"),
            counted(report.marked.len() as u64, "snapshot", "snapshots"),
        ))?);
    }
    if report.marked.is_empty() {
        return Ok(app.output.say(format_args!("Repaired; nothing is lost; {length}"))?);
    }
    app.output.say(format_args!(
        "Repaired; {} of {} are lost; {length}",
        counted(paths as u64, "path", "paths"),
        counted(report.marked.len() as u64, "snapshot", "snapshots"),
    ))?;
    Ok(app.output.say(
        "`ghost heal --from PLACE` puts them back, from a directory, another repository or a bundle; \
         `ghost reconstruct REPLACEMENT DIR` restores the rest.",
    )?)
}

fn tell_mended(app: &mut App, mended: &Mended, dry_run: bool) -> Outcome {
    let refused = mended.refused.as_ref().map(ToString::to_string);
    if app.output.json() {
        return Ok(app.output.record(&MendedRecord {
            path: PathField::new(mended.path.as_os_str().as_encoded_bytes()),
            shards: mended.shards,
            shard_bytes: mended.shard_bytes,
            refused,
        })?);
    }
    let path = app.shown(&mended.path);
    let word = match dry_run {
        true => "parity can mend:",
        false => "mended by parity:",
    };
    let word = app.output.paint(Style::Added, word).to_string();
    let shards = counted(mended.shards as u64, "shard", "shards");
    app.output
        .line(format_args!("{word} {path}: {shards} of {} B", mended.shard_bytes))?;
    if let Some(refused) = refused {
        app.output.problem(&refused);
    }
    Ok(())
}

/// Names a file that was put aside.
pub fn tell_aside(app: &mut App, aside: &Aside, dry_run: bool) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&AsideRecord {
            path: PathField::new(aside.path.as_os_str().as_encoded_bytes()),
            moved: aside.moved.as_deref().map(Path::display).map(|path| path.to_string()),
            saved_objects: aside.saved_objects,
            saved_bytes: aside.saved_bytes,
            lost_objects: aside.lost_objects,
        })?);
    }
    let path = app.shown(&aside.path);
    let Some(moved) = aside.moved.as_deref().filter(|_| !dry_run) else {
        let word = app.output.paint(Style::Changed, "would be put aside:").to_string();
        return Ok(app.output.line(format_args!("{word} {path}"))?);
    };
    let word = app.output.paint(Style::Changed, "put aside:").to_string();
    let saved = counted(aside.saved_objects, "object", "objects");
    let lost = match aside.lost_objects {
        0 => String::new(),
        lost => format!(", {} did not read", counted(lost, "object", "objects")),
    };
    Ok(app.output.line(format_args!(
        "{word} {path} is now {}; {saved} of {} saved{lost}",
        app.shown(moved),
        Size(aside.saved_bytes)
    ))?)
}

fn tell_marked(app: &mut App, marked: &Marked) -> Outcome {
    if app.output.json() {
        for loss in &marked.losses {
            app.output.record(&LostRecord {
                snapshot: &marked.name,
                snapshot_id: marked.damaged.to_string(),
                replacement: marked.replacement.map(|id| id.to_string()),
                path: PathField::new(&loss.path),
                kind: loss.kind.name(),
                id: loss.id.to_string(),
            })?;
        }
        return Ok(());
    }
    let word = app.output.paint(Style::Deleted, "lost:").to_string();
    let name = show::text(&marked.name);
    let paths = marked.paths();
    for path in paths.iter().take(PATHS_NAMED) {
        app.output.line(format_args!("{word} {name}:{}", show::bytes(path)))?;
    }
    if paths.len() > PATHS_NAMED {
        let more = counted((paths.len() - PATHS_NAMED) as u64, "more path", "more paths");
        app.output.line(format_args!("{word} {name}: {more}"))?;
    }
    if let Some(replacement) = &marked.replacement {
        app.output.say(format_args!(
            "  what is left of {name} is snapshot {}",
            short_id(replacement)
        ))?;
    }
    Ok(())
}
