#![cfg_attr(test, allow(clippy::unwrap_used, missing_docs))]
//! The program `ghost`: what a person types and reads.
//!
//! The way of a command, top to bottom:
//!
//! 1. [`environment`] reads what surrounds the process: variables, home, clock, host, user
//! 2. [`cli`] says what can be typed; the doc comment of each command is its help
//! 3. [`app`] holds what commands share: the repository, the interrupt flag, the [`ui`]
//! 4. [`commands`] has one file a command, which calls the library and shows what it gives back
//! 5. [`error`] is the one place that turns an error into words, a hint and an exit code
//!
//! The library below (`ghost_plumbing`) is handed plain values and never prints; nothing here touches the files of
//! a repository directly.

pub mod app;
pub mod bundles;
pub mod changing;
pub mod cli;
pub mod commands;
pub mod copying;
pub mod environment;
pub mod error;
pub mod ghosts;
pub mod history;
pub mod hooks;
pub mod idle;
pub mod memory;
pub mod records;
pub mod remote;
pub mod rules;
pub mod telling;
pub mod topics;
pub mod tree_argument;
pub mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::app::App;
use crate::cli::Cli;
use crate::environment::Environment;
use crate::error::Report;
use crate::ui::journal::Journal;

/// The commands that change a repository, its catalogue or a tree that is restored: the log tells when they began and
/// ended.
const JOBS: &[&str] = &[
    "amend",
    "clone",
    "condense",
    "fetch",
    "forget",
    "gc",
    "import-desc",
    "index-data",
    "init",
    "mksnapshot",
    "mktree",
    "pull",
    "push",
    "receive-pack",
    "reconstruct",
    "rewrite",
    "scan",
    "snapshot",
    "tag",
    "undo",
    "update-ref",
];

/// Runs `ghost` with the words of a command line, the name of the program first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = cli::command().try_get_matches_from(&args).and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((name, Cli::from_arg_matches(&matches)?))
    });
    let (name, cli) = match parsed {
        Ok(cli) => cli,
        // Help and version go to standard output with code 0, wrong usage to standard error with code 2.
        Err(error) => {
            let code = if error.use_stderr() { error::USAGE } else { error::DONE };
            // A closed standard output leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let environment = Environment::of_process();
    let job = JOBS.contains(&name.as_str()).then(|| spelled(&args));
    let is_job = job.is_some();
    let journal = Journal::new(name.clone(), job, environment.time);
    let mut app = App::new(&cli.global, environment, journal);
    let result = app.enter(&cli.global).and_then(|()| cli.command.run(&mut app));
    let failed = result.as_ref().err().filter(|_| is_job).map(Report::of);
    let code = app.finish(result);
    if let Some(report) = failed.filter(|report| report.code != error::DONE) {
        hooks::on_failure(
            &mut app,
            &name,
            report.code,
            report.message.as_deref().unwrap_or_default(),
        );
    }
    code
}

/// A command line as one would type it, for the log.
fn spelled(args: &[OsString]) -> String {
    let rest = args.iter().skip(1).map(|word| word.to_string_lossy());
    std::iter::once("ghost".into())
        .chain(rest)
        .collect::<Vec<_>>()
        .join(" ")
}
