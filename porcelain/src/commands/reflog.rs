//! `ghost reflog`.

use ghost_plumbing::Error;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::refs::{Change, Expected, FORGOTTEN, Record, RefChange, candidates};
use serde::Serialize;

use crate::app::App;
use crate::changing::ref_words;
use crate::error::Outcome;
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::counted;
use crate::ui::time::{local, rfc3339};

/// Refs of one record that are named at most, unless -v wants all.
const NAMED_MAX: usize = 4;

/// Show what happened to refs, newest first: when, by whom, from where to where, and why
///
/// What happened together is one record with one number, which `ghost undo` takes. `ghost ref-log` prints the same for
/// scripts, and checks and mends the log.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Show at most COUNT records
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub max_count: Option<usize>,
    /// Only records of this ref, which may be gone [default: all]
    #[arg(value_name = "REF")]
    pub name: Option<String>,
}

#[derive(Serialize)]
struct JsonChange<'a> {
    name: &'a str,
    old: Option<String>,
    new: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "record")]
struct JsonRecord<'a> {
    sequence: u64,
    time: String,
    author: &'a str,
    host: &'a str,
    message: &'a str,
    changes: Vec<JsonChange<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    records: usize,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let names = arguments.name.as_deref().map(candidates);
    let limit = arguments.max_count.unwrap_or(usize::MAX);
    let mut count = 0;
    for record in repository.refs.records_backwards()? {
        if count == limit {
            break;
        }
        app.check_interrupt()?;
        let record = record?;
        let is_wanted = |change: &Change| names.as_ref().is_none_or(|names| names.contains(&change.name));
        if record.changes.iter().any(is_wanted) {
            tell(app, &record)?;
            count += 1;
        }
    }
    if count == 0
        && limit > 0
        && let Some(name) = &arguments.name
    {
        return Err(Error::NotFound {
            what: "ref in the log",
            name: name.clone(),
        }
        .into());
    }
    if app.output.json() {
        app.output.record(&Summary {
            command: "reflog",
            records: count,
        })?;
    }
    Ok(())
}

fn tell(app: &mut App, record: &Record) -> Outcome {
    if app.output.json() {
        return json(app, record);
    }
    let number = app.output.paint(Style::Id, record.sequence).to_string();
    let (when, who) = (local(record.time), show::text(&record.author));
    let (host, why) = (show::text(&record.host), show::text(&record.message));
    let line = format!("{number} {when} {who}@{host}  {why}");
    app.output.line(line.trim_end())?;
    let most = match app.output.manner().verbosity {
        0 => NAMED_MAX,
        _ => usize::MAX,
    };
    for change in record.changes.iter().take(most) {
        let words = change_words(app, &change.name, change.old, change.new);
        app.output.line(format_args!("  {words}"))?;
    }
    let more = record.changes.len().saturating_sub(most);
    if more > 0 {
        let more = counted(more as u64, "more ref", "more refs");
        app.output.line(format_args!("  and {more}; -v names all"))?;
    }
    Ok(())
}

fn json(app: &mut App, record: &Record) -> Outcome {
    let change = |change: &'_ Change| -> (Option<String>, Option<String>) {
        (change.old.map(|id| id.to_string()), change.new.map(|id| id.to_string()))
    };
    let changes = record.changes.iter().map(|found| {
        let (old, new) = change(found);
        let name = found.name.as_str();
        JsonChange { name, old, new }
    });
    Ok(app.output.record(&JsonRecord {
        sequence: record.sequence,
        time: rfc3339(record.time, 0),
        author: &record.author,
        host: &record.host,
        message: &record.message,
        changes: changes.collect(),
    })?)
}

/// What is expected of a ref; none where it must be absent, or anything will do.
pub fn expected(change: &RefChange) -> Option<ObjectId> {
    match change.expected {
        Expected::Is(id) => Some(id),
        Expected::Absent | Expected::Any => None,
    }
}

/// `line main 22dd87d493 -> 917ce670d6`, `snapshot 22dd87d493 forgotten`.
pub fn change_words(app: &App, name: &str, old: Option<ObjectId>, new: Option<ObjectId>) -> String {
    let id = |id: ObjectId| app.output.paint(Style::Id, short_id(&id)).to_string();
    if name.starts_with(FORGOTTEN) {
        return match (old, new) {
            (_, Some(new)) => format!("snapshot {} forgotten", id(new)),
            (Some(old), None) => format!("snapshot {} no longer forgotten", id(old)),
            (None, None) => show::text(name),
        };
    }
    let name = ref_words(name);
    match (old, new) {
        (None, Some(new)) => format!("{name} new at {}", id(new)),
        (Some(old), Some(new)) => format!("{name} {} -> {}", id(old), id(new)),
        (Some(old), None) => format!("{name} gone, was {}", id(old)),
        (None, None) => name,
    }
}
