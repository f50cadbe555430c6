//! `ghost undo`.

use ghost_plumbing::refs::{Record, RefChange, Sequence, Undo, short_name};
use ghost_plumbing::{Error, Result};
use serde::Serialize;

use crate::app::App;
use crate::changing::{self, ref_words};
use crate::commands::reflog;
use crate::error::{Failure, MOVED, Outcome, Report};
use crate::ui::show;
use crate::ui::size::counted;
use crate::ui::time::local;

/// Refs that are named at most; others are counted.
const NAMED_MAX: usize = 8;

/// Take back what the last change of refs did, or that of a record
///
/// Snapshots, forget, tag, amend, rewrite and every other change of refs are records of the ref log (`ghost reflog`). A new
/// record sets the refs of one back to what they were before; nothing else is changed, and no file of yours. Where one of
/// them moved since, or where what it named is no longer stored, nothing is done. Undoing an undo does it again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Take back the last COUNT records together
    #[arg(short = 'n', long, value_name = "COUNT", conflicts_with = "record", value_parser = clap::value_parser!(u64).range(1..))]
    pub last: Option<u64>,
    /// Change nothing; tell what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Take back this record: its number in `ghost reflog` [default: the last]
    #[arg(value_name = "NUMBER")]
    pub record: Option<u64>,
}

/// A ref that is set back.
#[derive(Serialize)]
#[serde(tag = "type", rename = "ref-change")]
struct ChangeRecord<'a> {
    name: &'a str,
    old: Option<String>,
    new: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    dry_run: bool,
    undone: Vec<u64>,
    refs: u64,
    sequence: Option<u64>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    if !arguments.dry_run {
        repository.check_writable()?;
    }
    let which = match arguments.record {
        Some(number) => Undo::Record(Sequence(number)),
        None => Undo::Last(arguments.last.unwrap_or(1)),
    };
    let undone = repository.refs.undo(which)?;
    let done = match arguments.dry_run {
        true => check(&repository.refs, &undone.changes).map(|()| None),
        false => changing::commit(app, &repository, &undone.changes, &message(&undone.records)).map(Some),
    };
    match done {
        Ok(sequence) => tell(
            app,
            arguments,
            &undone.records,
            &undone.changes,
            sequence.map(|number| number.0),
        ),
        Err(Error::RefMoved { name, expected, found }) => Err(moved(app, &undone.records, &name, &expected, &found)),
        Err(error) => changing::brought_back(Err(error)),
    }
}

/// What a transaction would say.
fn check(refs: &ghost_plumbing::refs::RefStore, changes: &[RefChange]) -> Result<()> {
    for change in changes {
        let is = refs.get(&change.name)?;
        if reflog::expected(change) != is {
            let show =
                |id: Option<ghost_plumbing::object::ObjectId>| id.map_or("nothing".to_owned(), |id| id.to_string());
            return Err(Error::RefMoved {
                name: change.name.clone(),
                expected: show(reflog::expected(change)),
                found: show(is),
            });
        }
    }
    Ok(())
}

/// `undo 12 (snapshot)`, `undo 10 to 12`.
fn message(records: &[Record]) -> String {
    match records {
        [record] => format!("undo {} ({})", record.sequence, record.message),
        [newest, .., oldest] => format!("undo {} to {}", oldest.sequence, newest.sequence),
        [] => "undo".to_owned(),
    }
}

/// Says why nothing was done, and which records are in the way.
fn moved(app: &mut App, records: &[Record], name: &str, expected: &str, found: &str) -> Failure {
    let what = match records {
        [record] => format!("record {} cannot be taken back", record.sequence),
        _ => "these records cannot be taken back".to_owned(),
    };
    let message = format!(
        "{what}: {} moved since; expected {expected}, found {found}",
        ref_words(name)
    );
    let hint = format!(
        "`ghost reflog {}` shows by what; take the later records back first, or together with -n COUNT",
        show::text(short_name(name))
    );
    app.output.error(&Report {
        message: Some(message),
        hints: vec![hint],
        code: MOVED,
    });
    Failure::Code(MOVED)
}

fn tell(
    app: &mut App,
    arguments: &Arguments,
    records: &[Record],
    changes: &[RefChange],
    sequence: Option<u64>,
) -> Outcome {
    if app.output.json() {
        for change in changes {
            app.output.record(&ChangeRecord {
                name: &change.name,
                old: reflog::expected(change).map(|id| id.to_string()),
                new: change.new.map(|id| id.to_string()),
            })?;
        }
        return Ok(app.output.record(&Summary {
            command: "undo",
            dry_run: arguments.dry_run,
            undone: records.iter().map(|record| record.sequence).collect(),
            refs: changes.len() as u64,
            sequence,
        })?);
    }
    let word = if arguments.dry_run {
        "Would take back"
    } else {
        "Took back"
    };
    for record in records {
        let (number, when, why) = (record.sequence, local(record.time), show::text(&record.message));
        app.output
            .say(format_args!("{word} record {number} of {when}: {why}"))?;
    }
    for change in changes.iter().take(NAMED_MAX) {
        let line = reflog::change_words(app, &change.name, reflog::expected(change), change.new);
        app.output.say(format_args!("  {line}"))?;
    }
    if changes.len() > NAMED_MAX {
        let more = counted((changes.len() - NAMED_MAX) as u64, "more ref", "more refs");
        app.output.say(format_args!("  and {more}"))?;
    }
    if changes.is_empty() {
        app.output.say("  all refs are as they were before; nothing changed")?;
    }
    Ok(())
}
