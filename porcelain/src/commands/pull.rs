//! `ghost pull`.

use std::ffi::OsString;
use std::sync::Arc;

use ghost_plumbing::Error;
use ghost_plumbing::refs::{Expected, RefChange, line_ref, short_name};
use ghost_plumbing::remote::check::follows;
use ghost_plumbing::repository::Leans;

use crate::app::App;
use crate::commands::fetch::{self, Order, RateArguments, who};
use crate::error::{Failure, Outcome};
use crate::remote::names;
use crate::remote::session::Reach;
use crate::remote::tell;

/// Fetch a line, and move the own one forward to it
///
/// Where both have snapshots that the other lacks, nothing moves and the command says so: the lines have parted.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The remote [default: origin]
    #[arg(value_name = "REMOTE")]
    pub remote: Option<OsString>,
    /// The line [default: the current line]
    #[arg(value_name = "LINE")]
    pub line: Option<String>,
    /// How it is done
    #[command(flatten)]
    pub rate: RateArguments,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let remote = names::find(&repository.config, arguments.remote.as_deref())?;
    let ours = line_ref(arguments.line.as_ref().unwrap_or(&repository.settings().core_line))?;
    let line = short_name(&ours).to_owned();
    let Some(theirs) = remote.tracking(&line) else {
        let message = format!("{} has no name here, so its lines would have none", remote.text);
        return Err(Failure::usage(message, "`ghost remote add NAME URL` gives it one"));
    };
    let lines = [line.clone()];
    let order = Order {
        lines: &lines,
        prune: false,
        depth: None,
        deepen: None,
        who: who(app, &repository),
    };
    let reach = Reach::new(app, repository.settings(), Some(repository.format.uuid))?;
    let progress = Arc::new(arguments.rate.progress(app)?);
    let monitor = app.monitor(&progress, &repository.config)?;
    let done = fetch::fetch(&reach, &repository, &remote, &order, &progress);
    drop(monitor);
    fetch::show(app, &remote, &done?, "pull")?;
    let new = repository.refs.get(&theirs)?.ok_or_else(|| Error::NotFound {
        what: "line of the remote",
        name: line.clone(),
    })?;
    let old = repository.refs.get(&ours)?;
    if old == Some(new) {
        return Ok(app.output.say(format_args!("{line} is there already"))?);
    }
    if let Some(old) = old
        && !follows(&repository.store, new, old)?
    {
        if follows(&repository.store, old, new)? {
            return Ok(app.output.say(format_args!(
                "{line} is ahead of {}: nothing moves",
                short_name(&theirs)
            ))?);
        }
        return Err(Failure::other(
            format!(
                "{line} and {} have parted: each has snapshots that the other lacks",
                short_name(&theirs)
            ),
            format!("`ghost diff {line} {}` shows how they differ", short_name(&theirs)),
        ));
    }
    let change = RefChange {
        name: ours.clone(),
        expected: old.map_or(Expected::Absent, Expected::Is),
        new: Some(new),
    };
    let message = format!("pull from {}", remote.shown());
    repository.commit(&[change], &order.who, &message, Leans::Anything)?;
    tell::change(app, &ours, &theirs, old, Some(new))
}
