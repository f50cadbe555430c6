//! What commands share: the surroundings, the interrupt flag, the streams, the repository.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ghost_plumbing::object::HashAlgo;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::Global;
use crate::environment::Environment;
use crate::error::{DONE, Failure, INTERRUPTED, Outcome, Report};
use crate::ui::Output;
use crate::ui::output::Manner;

/// One run of the program.
#[derive(Debug)]
pub struct App {
    /// What surrounds the process.
    pub environment: Environment,
    /// The streams.
    pub output: Output,
    /// Set by the first Ctrl-C or SIGTERM; long jobs poll it.
    pub interrupt: Arc<AtomicBool>,
    /// `--repo`.
    pub repo: Option<PathBuf>,
    /// `-c KEY=VALUE`, in order.
    pub overrides: Vec<String>,
}

impl App {
    /// From the global options.
    pub fn new(global: &Global, environment: Environment) -> Self {
        let manner = Manner {
            color: global.color.enabled(environment.stdout_is_terminal, environment.plain),
            color_errors: global.color.enabled(environment.stderr_is_terminal, environment.plain),
            json: global.json,
            quiet: global.quiet,
            verbosity: global.verbose,
        };
        Self {
            environment,
            output: Output::new(manner),
            interrupt: Arc::default(),
            repo: global.repo.clone(),
            overrides: global.config.clone(),
        }
    }

    /// Catches signals and goes where `-C` says.
    pub fn enter(&mut self, global: &Global) -> Outcome {
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the second signal finds the flag set by the first and ends the process at once.
            signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), self.interrupt.clone())
                .and_then(|_| signal_hook::flag::register(signal, self.interrupt.clone()))
                .map_err(|error| Failure::Other {
                    message: format!("cannot catch signal {signal}: {error}"),
                    hint: None,
                })?;
        }
        if let Some(directory) = &global.directory {
            self.environment.enter(directory).map_err(|source| {
                Failure::Library(ghost_plumbing::Error::Io {
                    op: "work in",
                    path: directory.clone(),
                    source,
                })
            })?;
        }
        Ok(())
    }

    /// Runs a low-level command, which writes to standard output by itself.
    pub fn run_plumbing(&mut self, command: ghost_plumbing_commands::Command) -> Outcome {
        let now = self.environment.now();
        let json = self.output.json();
        let mut context = ghost_plumbing_commands::Context {
            input: &mut std::io::stdin().lock(),
            out: self.output.writer(),
            algo: HashAlgo::default(),
            now,
            zone: jiff::tz::TimeZone::system(),
            host: self.environment.host.clone(),
            author: self.environment.user.clone(),
            json,
        };
        match command.run(&mut context)?.exit_code() {
            DONE => Ok(()),
            code => Err(Failure::Code(code)),
        }
    }

    /// Says what went wrong and gives the exit code.
    pub fn finish(&mut self, result: Outcome) -> ExitCode {
        let result = match self.output.flush() {
            Err(error) if result.is_ok() => Err(Failure::Output(error)),
            _ => result,
        };
        match result {
            Ok(()) => ExitCode::from(DONE),
            Err(failure) => {
                let report = Report::of(&failure);
                self.output.error(&report);
                ExitCode::from(report.code)
            }
        }
    }
}
