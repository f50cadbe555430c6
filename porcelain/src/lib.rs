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
pub mod cli;
pub mod commands;
pub mod environment;
pub mod error;
pub mod history;
pub mod records;
pub mod rules;
pub mod topics;
pub mod tree_argument;
pub mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::app::App;
use crate::cli::Cli;
use crate::environment::Environment;

/// Runs `ghost` with the words of a command line, the name of the program first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = cli::command()
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
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
    let mut app = App::new(&cli.global, environment);
    let result = app.enter(&cli.global).and_then(|()| cli.command.run(&mut app));
    app.finish(result)
}
