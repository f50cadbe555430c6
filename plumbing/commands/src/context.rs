//! What a command is handed, and what it hands back.
//!
//! A command reads and writes only through its [`Context`]: it takes no clock, no environment and no terminal of its
//! own, and it never prints an error. The repository is opened when it is first asked for, so that commands which
//! need none work outside of one.

use std::fmt;
use std::io::{self, BufRead, Write};

use ghost_plumbing::object::HashAlgo;
use ghost_plumbing::time::Timestamp;
use jiff::tz::TimeZone;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All was done: exit code 0.
    Done,
    /// Nothing was found; nothing was printed: exit code 1.
    Nothing,
    /// Done, but for some files, each of which was named: exit code 3.
    Incomplete,
    /// Damage was found and reported: exit code 4.
    Damage,
}

impl Outcome {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Nothing => 1,
            Self::Incomplete => 3,
            Self::Damage => 4,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The library refused.
    #[error(transparent)]
    Plumbing(#[from] ghost_plumbing::Error),
    /// Standard output took no more.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// A record of the input does not have the form it must have.
    #[error("{input} {number} is malformed: {problem}")]
    Input {
        /// "line" or "record" and of what.
        input: &'static str,
        /// Its number, from 1.
        number: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The command was called in a way that makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl CommandError {
    /// The exit code: see [`Outcome::exit_code`] for the others.
    pub fn exit_code(&self) -> u8 {
        use ghost_plumbing::Error;
        match self {
            Self::Usage(_) => 2,
            Self::Plumbing(error) if error.is_damage() => 4,
            Self::Plumbing(Error::RefMoved { .. }) => 5,
            Self::Plumbing(Error::Interrupted) => 130,
            Self::Plumbing(_) | Self::Output(_) | Self::Input { .. } => 1,
        }
    }
}

/// The result of a command.
pub type CommandResult<T = Outcome> = Result<T, CommandError>;

/// What a command may use.
pub struct Context<'a> {
    /// Standard input.
    pub input: &'a mut dyn BufRead,
    /// Standard output; flushed by [`Command::run`](crate::Command::run).
    pub out: &'a mut dyn Write,
    /// The hash that is used outside of a repository.
    pub algo: HashAlgo,
    /// The time that new records get.
    pub now: Timestamp,
    /// The zone that times are written and read in.
    pub zone: TimeZone,
    /// The machine that new records name.
    pub host: String,
    /// Who new records name.
    pub author: String,
    /// Whether records are printed as JSON, one object a line.
    pub json: bool,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("now", &self.now)
            .field("host", &self.host)
            .field("author", &self.author)
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}
