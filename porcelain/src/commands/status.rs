//! `ghost status`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ghost_plumbing::object::{ObjectId, Snapshot};
use ghost_plumbing::refs::{line_ref, short_name};
use ghost_plumbing::repository::Repository;

use crate::app::App;
use crate::commands::diff::print::{Format, Printer};
use crate::commands::diff::{Options, compare_all, sides};
use crate::error::{Failure, Outcome, PARTIAL};
use crate::history::History;
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::time::local;

/// Show what changed since the last snapshot
///
/// Compares the newest snapshot of the line that was taken of the working directory, or of a folder above it, with
/// what is there now; without one, the newest snapshot of the line with what it was taken of. Letters are those of
/// `ghost diff`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The line to look at [default: the setting core.line]
    #[arg(long = "ref", value_name = "LINE")]
    pub line: Option<String>,
    /// What proves that a file did not change: its stat values, or only its bytes
    #[arg(long, value_name = "HOW", value_parser = ["stat", "hash"], default_value = "stat")]
    pub trust: String,
    /// Tell also of folders of which only the time differs
    #[arg(long)]
    pub all_metadata: bool,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let line = line_ref(arguments.line.as_deref().unwrap_or(&repository.settings().core_line))?;
    let Some(tip) = repository.refs.get(&line)? else {
        let line = show::text(short_name(&line));
        let message = format!("there is no snapshot on line {line} yet");
        return Err(Failure::other(message, "take one with `ghost snapshot DIR`"));
    };
    let (id, snapshot) = last_of_here(app, &repository, tip)?;
    let sides = sides::with_now(app, &repository, &snapshot, sides::trust(&arguments.trust))?;
    let shown = app.output.paint(Style::Id, short_id(&id)).to_string();
    let line = show::text(short_name(&line));
    app.output.say(format_args!(
        "Since snapshot {shown} on line {line}, {}:",
        local(snapshot.time)
    ))?;
    let options = Options {
        moves: true,
        all_metadata: arguments.all_metadata,
        ..Options::default()
    };
    let mut printer = Printer::new(&repository, Format::Names);
    let problems = compare_all(app, &repository, &sides, &options, &mut printer)?;
    printer.finish(app, "status")?;
    app.output.say(printer.totals.words())?;
    match problems {
        0 => Ok(()),
        _ => Err(Failure::Code(PARTIAL)),
    }
}

/// The newest snapshot with a root that the working directory is in, or the newest of all.
fn last_of_here(app: &App, repository: &Repository, tip: ObjectId) -> Outcome<(ObjectId, Snapshot)> {
    let here = app.environment.resolved(Path::new("."));
    let mut newest = None;
    for found in History::left(repository, [tip])? {
        let (id, snapshot) = found?;
        let roots = snapshot
            .roots
            .iter()
            .map(|root| Path::new(OsStr::from_bytes(&root.path)));
        if roots.into_iter().any(|root| here.starts_with(root)) {
            return Ok((id, snapshot));
        }
        newest.get_or_insert((id, snapshot));
        app.check_interrupt()?;
    }
    newest.ok_or_else(|| crate::history::nothing_yet("main").into())
}
