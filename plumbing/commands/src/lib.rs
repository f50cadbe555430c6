//! The low-level commands of ghost: one file a command, stable output, made for pipes.
//!
//! Each command is a struct of arguments, whose doc comment is its help, with a function `run`. [`Command`] lists them;
//! the porcelain flattens it into its own. What they share:
//!
//! - [`context`]: what a command is handed, how it ends and how it fails
//! - [`output`]: names, escapes and records as they are printed
//! - [`entry_line`]: the line that `ls-tree` prints and `mktree` reads
//!
//! Nothing here prints an error, reads the environment or asks for the time.
#![cfg_attr(test, allow(clippy::unwrap_used, missing_docs))]

pub mod context;
pub mod output;

mod hash_object;

use std::io;

use clap::Subcommand;

pub use context::{CommandError, CommandResult, Context, Outcome};

/// The low-level commands.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    #[allow(missing_docs)]
    HashObject(hash_object::HashObject),
}

impl Command {
    /// Runs the command. A reader that has gone away ends it quietly.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let result = match self {
            Self::HashObject(args) => args.run(ctx),
        };
        let flushed = ctx.out.flush();
        match result.and_then(|outcome| Ok(flushed.map(|()| outcome)?)) {
            Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
            result => result,
        }
    }
}
