//! `ghost heal`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::bundle::Bundle;
use ghost_plumbing::repair::{self, Healed, Options, Place};
use ghost_plumbing::repository::{self, Repository};
use ghost_plumbing::verify::Hurt;
use serde::Serialize;

use crate::app::App;
use crate::bundles;
use crate::commands::repair::{tell_aside, who};
use crate::error::{DAMAGE, Failure, Outcome};
use crate::records::PathField;
use crate::ui::Style;
use crate::ui::show;
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

/// Paths that are named at the end.
const PATHS_NAMED: usize = 20;

/// Put back what is lost or damaged, from files as they are now or from another repository
///
/// Checks all of the repository; then looks for what is missing, and only for that, in each PLACE: in another repository
/// or bundle by its hash; in a directory by scanning it for lost folders, as the damaged snapshot was taken, and by reading
/// files at the paths of damaged ones, then files of their length, then all others, cut as they were when they were
/// stored. What is found is compared with its hash and stored; damaged
/// data files are put aside as by `ghost repair`. Ends with code 4 where something is missing still.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to look: a directory, one with a repository in it (taken for that; DIR/. for its files), gfs:FILE or
    /// snap:FILE; may be given again
    #[arg(long, value_name = "PLACE", required = true, value_hint = ValueHint::AnyPath)]
    pub from: Vec<OsString>,
    /// Change nothing; tell what is missing and whether it is to be had
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "damaged_path")]
struct LeftRecord<'a> {
    snapshot: &'a str,
    snapshot_id: String,
    #[serde(flatten)]
    path: PathField,
    id: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    dry_run: bool,
    wanted_objects: u64,
    found_objects: u64,
    found_bytes: u64,
    aside: usize,
    whole_again: usize,
    missing_paths: usize,
    seconds: f64,
}

/// A place, open.
enum Source {
    Repository(Box<Repository>),
    Bundle(Box<Bundle>),
    Tree(PathBuf),
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    let repository = app.repository()?;
    let sources: Vec<Source> = arguments
        .from
        .iter()
        .map(|text| open(app, &repository, text))
        .collect::<Outcome<_>>()?;
    let places: Vec<Place<'_>> = sources
        .iter()
        .map(|source| match source {
            Source::Repository(other) => Place::Store(&other.store),
            Source::Bundle(bundle) => Place::Store(bundle.store()),
            Source::Tree(path) => Place::Tree(path.clone()),
        })
        .collect();
    let options = Options {
        dry_run: arguments.dry_run,
        threads: app.threads(repository.settings()),
    };
    let who = who(app, &repository);
    let progress = Arc::new(app.gentle(&repository));
    let healed = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        repair::heal(&repository, &places, &options, &who, &progress)?
    };
    tell(app, &healed, arguments.dry_run, begun)?;
    let is_whole = match arguments.dry_run {
        true => healed.objects == healed.wanted,
        false => healed.left.hurt.is_empty() && healed.left.recorded.is_empty(),
    };
    match is_whole {
        true => Ok(()),
        false => Err(Failure::Code(DAMAGE)),
    }
}

fn open(app: &App, own: &Repository, text: &OsStr) -> Outcome<Source> {
    if bundles::is_named(text) {
        return Ok(Source::Bundle(Box::new(bundles::find(app, text)?.bundle)));
    }
    let path = app.environment.absolute(Path::new(text));
    let wants_files = text.as_encoded_bytes().ends_with(b"/.") || text == ".";
    if !wants_files {
        match repository::locate(&*app.disk, &path) {
            Ok(ghost_dir) if ghost_dir != own.ghost_dir => {
                return Ok(Source::Repository(Box::new(app.open(&ghost_dir)?)));
            }
            // Its own files may have what it has lost.
            Ok(_) | Err(Error::NoRepository { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let path = app.environment.resolved(&path);
    match path.is_dir() {
        true => Ok(Source::Tree(path)),
        false => Err(Failure::usage(
            format!(
                "{} is neither a directory nor a bundle",
                show::bytes(text.as_encoded_bytes())
            ),
            "name a directory, a repository, gfs:FILE or snap:FILE",
        )),
    }
}

fn tell(app: &mut App, healed: &Healed, dry_run: bool, begun: Instant) -> Outcome {
    for aside in &healed.aside {
        tell_aside(app, aside, dry_run)?;
    }
    let left = match dry_run {
        true => Vec::new(),
        false => missing(healed),
    };
    for (number, hurt) in left.iter().enumerate() {
        if app.output.json() {
            app.output.record(&LeftRecord {
                snapshot: &hurt.snapshot,
                snapshot_id: hurt.target.to_string(),
                path: PathField::new(&hurt.path),
                id: hurt.id.to_string(),
            })?;
        } else if number < PATHS_NAMED {
            let word = app.output.paint(Style::Deleted, "missing:").to_string();
            let (snapshot, path) = (show::text(&hurt.snapshot), show::bytes(&hurt.path));
            app.output.line(format_args!("{word} {snapshot}:{path}"))?;
        }
    }
    if app.output.json() {
        return Ok(app.output.record(&Summary {
            command: "heal",
            dry_run,
            wanted_objects: healed.wanted,
            found_objects: healed.objects,
            found_bytes: healed.bytes,
            aside: healed.aside.len(),
            whole_again: healed.whole.len(),
            missing_paths: left.len(),
            seconds: begun.elapsed().as_secs_f64(),
        })?);
    }
    let length = Length(begun.elapsed());
    if healed.wanted == 0 {
        let rest = if healed.found.is_clean() {
            ""
        } else {
            "; no snapshot needs what was damaged"
        };
        return Ok(app.output.say(format_args!("Nothing is missing{rest}; {length}"))?);
    }
    let found = counted(healed.objects, "object", "objects");
    let word = if dry_run { "can be put back" } else { "put back" };
    app.output.say(format_args!(
        "{found} of {} {word}, of {} that were missing; {length}",
        Size(healed.bytes),
        healed.wanted
    ))?;
    if !left.is_empty() {
        let paths = counted(left.len() as u64, "path is", "paths are");
        app.output.say(format_args!(
            "{paths} not whole still; try another PLACE, or `ghost repair` to record what is lost"
        ))?;
    }
    Ok(())
}

/// What is missing still, a path once.
fn missing(healed: &Healed) -> Vec<&Hurt> {
    let mut left: Vec<&Hurt> = healed.left.hurt.iter().chain(&healed.left.recorded).collect();
    left.dedup_by(|a, b| (a.target, &a.path) == (b.target, &b.path));
    left
}
