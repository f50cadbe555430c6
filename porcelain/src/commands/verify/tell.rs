//! What `ghost verify` says.

use std::collections::HashSet;
use std::time::Instant;

use ghost_plumbing::Error;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::verify::{Depth, Hurt, Report};
use serde::Serialize;

use crate::app::App;
use crate::error::{DAMAGE, Failure, Outcome};
use crate::records::PathField;
use crate::ui::Style;
use crate::ui::show;
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

#[derive(Serialize)]
#[serde(tag = "type", rename = "damaged_path")]
struct HurtRecord<'a> {
    snapshot: &'a str,
    snapshot_id: String,
    #[serde(flatten)]
    path: PathField,
    id: String,
    objects: Vec<String>,
    recorded: bool,
    reason: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "damaged_file")]
struct DamageRecord {
    message: String,
    rebuildable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    objects: Vec<String>,
}

impl DamageRecord {
    fn new(error: &Error, objects: &[ObjectId], rebuildable: bool) -> Self {
        let (file, offset) = match error {
            Error::Damaged { path, offset, .. } => (Some(path), Some(*offset)),
            Error::Io { path, .. } | Error::Unsupported { path, .. } => (Some(path), None),
            _ => (None, None),
        };
        Self {
            message: error.to_string(),
            rebuildable,
            file: file.map(|path| path.display().to_string()),
            offset,
            objects: objects.iter().map(ToString::to_string).collect(),
        }
    }
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
    recorded_paths: u64,
    damaged_files: u64,
    damaged_index_files: u64,
    unfinished_bytes: u64,
    remains: u64,
    left_bytes: u64,
    not_stored: u64,
    not_stored_bytes: u64,
    seconds: f64,
}

/// Tells the result, and gives the exit code that belongs to it.
pub fn tell(app: &mut App, report: &Report, (depth, is_lazy): (Depth, bool), begun: Instant) -> Outcome {
    tell_damage(app, report)?;
    if app.output.json() {
        app.output.record(&summary(report, depth, begun))?;
    } else {
        tell_result(app, report, (depth, is_lazy), begun)?;
    }
    match report.is_clean() {
        true => Ok(()),
        false => Err(Failure::Code(DAMAGE)),
    }
}

fn tell_damage(app: &mut App, report: &Report) -> Outcome {
    let damage = report
        .damage
        .iter()
        .map(|damage| (&damage.error, &*damage.objects, false));
    let index = report.index_damage.iter().map(|error| (error, [].as_slice(), true));
    for (error, objects, rebuildable) in damage.chain(index) {
        if app.output.json() {
            app.output.record(&DamageRecord::new(error, objects, rebuildable))?;
            continue;
        }
        let word = app.output.paint(Style::Deleted, "damaged file:").to_string();
        let text = show::text(&error.to_string());
        app.output.line(format_args!("{word} {text}"))?;
    }
    let told: HashSet<String> = report.damage.iter().map(ToString::to_string).collect();
    for hurt in paths_of(&report.hurt) {
        tell_path(app, hurt, told.contains(&hurt[0].reason), false)?;
    }
    if app.output.json() {
        for hurt in paths_of(&report.recorded) {
            tell_path(app, hurt, false, true)?;
        }
    }
    Ok(())
}

/// What is hurt, a path at a time: what belongs to one path comes one after the other.
fn paths_of(hurt: &[Hurt]) -> impl Iterator<Item = &[Hurt]> {
    hurt.chunk_by(|a, b| (a.target, &a.path) == (b.target, &b.path))
}

/// Names a path; the reason only if no line above has it.
fn tell_path(app: &mut App, objects: &[Hurt], is_told: bool, recorded: bool) -> Outcome {
    let Some(hurt) = objects.first() else { return Ok(()) };
    if app.output.json() {
        return Ok(app.output.record(&HurtRecord {
            snapshot: &hurt.snapshot,
            snapshot_id: hurt.target.to_string(),
            path: PathField::new(&hurt.path),
            id: hurt.id.to_string(),
            objects: objects.iter().map(|hurt| hurt.id.to_string()).collect(),
            recorded,
            reason: &hurt.reason,
        })?);
    }
    let word = app.output.paint(Style::Deleted, "damaged:").to_string();
    let (snapshot, path) = (show::text(&hurt.snapshot), show::bytes(&hurt.path));
    let more = match objects.len() {
        1 => hurt.id.to_string(),
        count => format!("{} and {} more", hurt.id, count - 1),
    };
    let reason = match is_told {
        true => String::new(),
        false => format!(": {}", show::text(&hurt.reason)),
    };
    Ok(app
        .output
        .line(format_args!("{word} {snapshot}:{path} ({more}){reason}"))?)
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
        damaged_paths: paths_of(&report.hurt).count() as u64,
        recorded_paths: paths_of(&report.recorded).count() as u64,
        damaged_files: report.damage.len() as u64,
        damaged_index_files: report.index_damage.len() as u64,
        unfinished_bytes: report.unfinished_bytes,
        remains: report.remains,
        left_bytes: report.left_bytes,
        not_stored: report.not_stored,
        not_stored_bytes: report.not_stored_bytes,
        seconds: begun.elapsed().as_secs_f64(),
    }
}

fn tell_result(app: &mut App, report: &Report, (depth, is_lazy): (Depth, bool), begun: Instant) -> Outcome {
    let mut checked = vec![counted(report.data_files, "data file", "data files")];
    if depth != Depth::Quick {
        checked.insert(0, counted(report.snapshots, "snapshot", "snapshots"));
    }
    if depth == Depth::Data {
        let objects = counted(report.objects, "object", "objects");
        checked.push(format!("{objects} of {}", Size(report.bytes)));
    }
    let length = Length(begun.elapsed());
    if !report.is_clean() {
        return tell_damaged(app, report, &checked.join(", "), length);
    }
    let word = app.output.paint(Style::Added, "No damage").to_string();
    app.output
        .say(format_args!("{word} in {}; {length}", checked.join(", ")))?;
    if report.not_stored > 0 {
        let contents = counted(report.not_stored, "content", "contents");
        let bytes = Size(report.not_stored_bytes);
        let why = match is_lazy {
            true => "are not here: they come from a remote when they are read (`ghost fetch --unlazy` brings all)",
            false => "are described by snapshots of ghosts only, not stored",
        };
        app.output.say(format_args!("{contents} of {bytes} {why}."))?;
    }
    tell_rest(app, report)?;
    if depth != Depth::Data {
        app.output.say("`ghost verify --data` also reads every stored byte.")?;
    }
    Ok(())
}

/// What is known to be lost, and what is left to read.
fn tell_rest(app: &mut App, report: &Report) -> Outcome {
    if !report.recorded.is_empty() {
        let paths = counted(paths_of(&report.recorded).count() as u64, "path", "paths");
        app.output.say(format_args!(
            "{paths} of earlier damage are lost and recorded so; `ghost heal --from PLACE` may bring them back."
        ))?;
    }
    if report.remains > 0 {
        let objects = counted(report.remains, "object", "objects");
        app.output.say(format_args!(
            "{objects} that nothing needs cannot be read: a gc that ended early has freed what they were made from. The \
             next gc frees them."
        ))?;
    }
    if report.left_bytes > 0 {
        let left = Size(report.left_bytes);
        app.output.say(format_args!(
            "{left} left for want of time: the next run begins with them"
        ))?;
    }
    Ok(())
}

fn tell_damaged(app: &mut App, report: &Report, checked: &str, length: Length) -> Outcome {
    let paths = counted(paths_of(&report.hurt).count() as u64, "damaged path", "damaged paths");
    let files = report.damage.len() + report.index_damage.len();
    let files = counted(files as u64, "piece of damage", "pieces of damage");
    app.output.say(format_args!(
        "{paths}, {files} in the repository's files; checked {checked}; {length}"
    ))?;
    tell_rest(app, report)?;
    if report.damage.is_empty() && report.hurt.is_empty() {
        app.output
            .say("Only the index is hurt: `ghost index-data` makes it anew from the data files.")?;
    } else {
        app.output.say(
            "`ghost heal --from PLACE` puts back what is missing, from the files as they are or another repository; \
             `ghost repair` saves the rest.",
        )?;
    }
    Ok(())
}
