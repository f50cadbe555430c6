//! What `ghost snapshot` says at the end.

use std::sync::atomic::{AtomicU64, Ordering};

use ghost_plumbing::refs::short_name;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::LogLevel;
use ghost_plumbing::snapshot::Outcome as Taken;
use serde::Serialize;

use super::{Arguments, Done};
use crate::app::App;
use crate::commands::log;
use crate::error::Outcome;
use crate::records::{ProblemRecord, SnapshotRecord};
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::{Count, Size, counted};
use crate::ui::time::Length;

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    snapshot: Option<String>,
    tree: String,
    line: String,
    unchanged: bool,
    dry_run: bool,
    new_objects: u64,
    new_bytes: u64,
    known_objects: u64,
    known_bytes: u64,
    ghosts_only: bool,
    described_objects: u64,
    described_bytes: u64,
    stored_bytes: u64,
    delta_objects: u64,
    delta_bytes: u64,
    delta_stored_bytes: u64,
    excluded: u64,
    problems: u64,
    seconds: f64,
}

/// Tells what was kept, or what would be.
pub fn tell(app: &mut App, repository: &Repository, arguments: &Arguments, taken: &Taken, done: &Done) -> Outcome {
    if let Some(reason) = &taken.cache_rejected {
        app.output
            .note(1, format_args!("everything was read again: {}", show::text(reason)));
    }
    for problem in &taken.problems {
        if app.output.json() {
            app.output.record(&ProblemRecord::new(&problem.path, &problem.error))?;
        }
        app.output.failed_path(&problem.path, &problem.error);
    }
    journal(app, taken, done);
    if app.output.json() {
        return tell_json(app, arguments, taken, done);
    }
    if let Some(made) = &done.made {
        let shown = app.shown(made);
        app.output.say(format_args!(
            "Made a repository in {shown} ({}).",
            repository.format.hash
        ))?;
    }
    let line = show::text(short_name(&done.line));
    let id = app.output.paint(Style::Id, short_id(&taken.id)).to_string();
    let heading = match done.id {
        Some(_) => format!("Snapshot {id} on line {line}: {}", log::holds(&taken.snapshot)),
        None if arguments.dry_run => format!("A snapshot would hold {}", log::holds(&taken.snapshot)),
        None => format!("Nothing changed since the newest snapshot of line {line}; none was taken."),
    };
    app.output.say(heading)?;
    if arguments.dry_run || done.id.is_some() {
        tell_counts(app, arguments, taken, done)?;
    }
    if done.is_first && done.id.is_some() {
        app.output.say("What to try next:")?;
        for (command, what) in [
            ("ghost log", "lists the snapshots"),
            ("ghost ls @:", "shows what this one holds"),
            ("ghost status", "shows what changed since"),
            ("ghost reconstruct @ DIR", "fills DIR with it"),
        ] {
            app.output.say(format_args!("  {command:<24} {what}"))?;
        }
    }
    Ok(())
}

/// A line of the repository's log about what came of it.
fn journal(app: &App, taken: &Taken, done: &Done) {
    let what = match done.id {
        Some(id) => format!("snapshot {id} on {}", done.line),
        None => "no snapshot was recorded".to_owned(),
    };
    let text = format!(
        "{what}: {}; new: {} bytes in {} objects, {} bytes on disk; known: {} bytes in {} objects; {} problems",
        log::holds(&taken.snapshot),
        get(&taken.counters.new_bytes),
        get(&taken.counters.new_objects),
        get(&taken.counters.stored_bytes),
        get(&taken.counters.existing_bytes),
        get(&taken.counters.existing_objects),
        taken.problems.len(),
    );
    app.output.journal.write(LogLevel::Info, &text);
}

fn tell_counts(app: &mut App, arguments: &Arguments, taken: &Taken, done: &Done) -> Outcome {
    let counters = &taken.counters;
    let new = format!(
        "  new: {} in {}",
        Size(get(&counters.new_bytes)),
        counted(get(&counters.new_objects), "object", "objects")
    );
    let stored = match arguments.dry_run {
        true => String::new(),
        false => format!(", {} on disk", Size(get(&counters.stored_bytes))),
    };
    let known = match get(&counters.existing_objects) {
        0 => String::new(),
        objects => format!("; known: {} in {}", Size(get(&counters.existing_bytes)), Count(objects)),
    };
    app.output
        .say(format_args!("{new}{stored}{known}; {}", Length(done.begun.elapsed())))?;
    if taken.snapshot.is_ghosts_only() {
        let objects = counted(get(&counters.described_objects), "block", "blocks");
        let bytes = Size(get(&counters.described_bytes));
        app.output
            .say(format_args!("  hashed and not stored: {bytes} in {objects}"))?;
    }
    if taken.excluded > 0 {
        let entries = counted(taken.excluded, "entry", "entries");
        app.output.say(format_args!("  {entries} left out by rules"))?;
    }
    if !taken.problems.is_empty() {
        let entries = counted(taken.problems.len() as u64, "entry", "entries");
        app.output
            .say(format_args!("  {entries} could not be read; each is named above"))?;
    }
    if done.unchanged {
        app.output.say("  nothing changed since the snapshot before")?;
    }
    Ok(())
}

fn tell_json(app: &mut App, arguments: &Arguments, taken: &Taken, done: &Done) -> Outcome {
    if let Some(id) = &done.id {
        app.output
            .record(&SnapshotRecord::new(id, &taken.snapshot, vec![done.line.clone()]))?;
    }
    let counters = &taken.counters;
    Ok(app.output.record(&Summary {
        command: "snapshot",
        snapshot: done.id.map(|id| id.to_string()),
        tree: taken.snapshot.tree.to_string(),
        line: done.line.clone(),
        unchanged: done.unchanged,
        dry_run: arguments.dry_run,
        new_objects: get(&counters.new_objects),
        new_bytes: get(&counters.new_bytes),
        known_objects: get(&counters.existing_objects),
        known_bytes: get(&counters.existing_bytes),
        ghosts_only: taken.snapshot.is_ghosts_only(),
        described_objects: get(&counters.described_objects),
        described_bytes: get(&counters.described_bytes),
        stored_bytes: get(&counters.stored_bytes),
        delta_objects: get(&counters.delta_objects),
        delta_bytes: get(&counters.delta_bytes),
        delta_stored_bytes: get(&counters.delta_stored_bytes),
        excluded: taken.excluded,
        problems: taken.problems.len() as u64,
        seconds: done.begun.elapsed().as_secs_f64(),
    })?)
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
