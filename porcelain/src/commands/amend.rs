//! `ghost amend`.

use std::ffi::OsString;

use ghost_plumbing::object::ObjectId;
use ghost_plumbing::refs::parse_when;
use ghost_plumbing::rewrite::{Amend, Amendment, Rewriter};
use serde::Serialize;

use crate::app::App;
use crate::changing::{self, TRIES_MAX, moved_words};
use crate::error::{Failure, Outcome};
use crate::ui::Style;
use crate::ui::show::short_id;
use crate::ui::size::counted;

/// Change what a snapshot says of itself: message, labels, machine, time
///
/// A new snapshot of the same tree takes its place. Those after it are made anew with it as parent, and all lines and tags
/// move, in one record of the ref log; no contents are written. The old ones stay until a gc: `ghost undo` brings them back.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Why it was taken
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Add the label T (+T or T), or take it away (-T); may be given again
    #[arg(long = "tag", value_name = "+T|-T", allow_hyphen_values = true)]
    pub tags: Vec<String>,
    /// The machine that it was taken on
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// When it was taken, such as 2026-11-01T12:00
    #[arg(long, value_name = "WHEN")]
    pub time: Option<String>,
    /// The snapshot
    #[arg(value_name = "REV", default_value = "@")]
    pub revision: OsString,
}

/// A snapshot that another one takes the place of.
#[derive(Serialize)]
#[serde(tag = "type", rename = "replaced")]
struct ReplacedRecord {
    old: String,
    new: String,
    amended: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    snapshot: Option<String>,
    replaced: u64,
    refs: Vec<String>,
    sequence: Option<u64>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    repository.check_writable()?;
    let amendment = amendment(app, arguments)?;
    let mut tries = 0;
    loop {
        // Anew each time: somebody may have put another in its place meanwhile.
        let (values, (id, _)) =
            changing::among_refs(&repository, || Ok(app.snapshot(&repository, &arguments.revision)?))?;
        let mut rewriter = Rewriter::default();
        let mut edit = Amend {
            id,
            amendment: &amendment,
        };
        let writer = repository.store.writer()?;
        changing::storing(&writer, |put| rewriter.run(&values, &repository.store, &mut edit, put))?;
        if !rewriter.has_met(&id) {
            return Err(loose(&id));
        }
        let changes = rewriter.changes(&values)?;
        if changes.is_empty() {
            return tell(app, &rewriter, &id, &[], None);
        }
        match changing::commit(app, &repository, &changes, "amend") {
            Ok(sequence) => return tell(app, &rewriter, &id, &changes, Some(sequence.0)),
            Err(error) if changing::lost_race(&error) && tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn amendment(app: &App, arguments: &Arguments) -> Outcome<Amendment> {
    let mut amendment = Amendment {
        message: arguments.message.clone(),
        host: arguments.host.clone(),
        ..Amendment::default()
    };
    if let Some(text) = &arguments.time {
        let time = parse_when(text, &app.environment.zoned_now())?;
        amendment.time = Some((time, app.environment.offset_minutes(time)));
    }
    for text in &arguments.tags {
        let (list, label) = match text.strip_prefix('-') {
            Some(label) => (&mut amendment.remove_tags, label),
            None => (&mut amendment.add_tags, text.strip_prefix('+').unwrap_or(text)),
        };
        if label.is_empty() {
            return Err(Failure::usage(
                "a label has at least one letter",
                "write --tag +T or --tag -T",
            ));
        }
        list.push(label.to_owned());
    }
    if amendment == Amendment::default() {
        let hint = "say what: -m TEXT, --tag +T, --tag -T, --host HOST or --time WHEN";
        return Err(Failure::usage("nothing is to be changed", hint));
    }
    Ok(amendment)
}

fn loose(id: &ObjectId) -> Failure {
    let message = format!("no line or tag leads to snapshot {}", short_id(id));
    Failure::other(message, "`ghost tag NAME REV` names it; then it can be amended")
}

fn tell(
    app: &mut App,
    rewriter: &Rewriter,
    id: &ObjectId,
    changes: &[ghost_plumbing::refs::RefChange],
    sequence: Option<u64>,
) -> Outcome {
    let new = rewriter.successor(id);
    if app.output.json() {
        for replaced in &rewriter.replaced {
            app.output.record(&ReplacedRecord {
                old: replaced.old.to_string(),
                new: replaced.new.to_string(),
                amended: replaced.is_edited,
            })?;
        }
        return Ok(app.output.record(&Summary {
            command: "amend",
            snapshot: new.map(|new| new.to_string()),
            replaced: rewriter.replaced.len() as u64,
            refs: changes.iter().map(|change| change.name.clone()).collect(),
            sequence,
        })?);
    }
    let old = app.output.paint(Style::Id, short_id(id)).to_string();
    let Some(new) = new else {
        return Ok(app
            .output
            .say(format_args!("Snapshot {old} says that already; nothing changed."))?);
    };
    let new = app.output.paint(Style::Id, short_id(&new)).to_string();
    let after = match rewriter.replaced.len() - 1 {
        0 => String::new(),
        count => format!(
            "; {} after it made anew",
            counted(count as u64, "snapshot", "snapshots")
        ),
    };
    app.output.say(format_args!("Snapshot {new} stands for {old}{after}"))?;
    Ok(app.output.say(format_args!(
        "  moved: {}; `ghost undo` brings the old back",
        moved_words(changes)
    ))?)
}
