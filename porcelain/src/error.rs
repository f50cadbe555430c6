//! The one place that turns an error into words, a hint and an exit code.
//!
//! A message names the file, what was expected and what was found; a line that begins with `hint:` says what to do
//! next. Scripts go by the exit code (`ghost help exit-codes`).

use std::io;

use ghost_plumbing::Error;
use ghost_plumbing::remote::wire::Code;
use ghost_plumbing_commands::CommandError;

/// Exit code: everything was done.
pub const DONE: u8 = 0;
/// Exit code: it failed.
pub const FAILED: u8 = 1;
/// Exit code: wrong usage.
pub const USAGE: u8 = 2;
/// Exit code: done, but some files could not be read or written; each was named.
pub const PARTIAL: u8 = 3;
/// Exit code: damage was found.
pub const DAMAGE: u8 = 4;
/// Exit code: a compare-and-swap lost.
pub const MOVED: u8 = 5;
/// Exit code: interrupted.
pub const INTERRUPTED: u8 = 130;

/// What a command gives back.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command does not end with code 0.
#[derive(Debug)]
pub enum Failure {
    /// An error of the library.
    Library(Error),
    /// What was typed makes no sense.
    Usage {
        /// What is wrong.
        message: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// Anything else that failed.
    Other {
        /// What failed.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// Standard output cannot be written.
    Output(io::Error),
    /// Everything was said already; only the code is left.
    Code(u8),
}

impl Failure {
    /// Wrong usage, with what to type instead.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// A failure with what to do next.
    pub fn other(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Other {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Plumbing(error) => Self::Library(error),
            CommandError::Output(error) => Self::Output(error),
            CommandError::Usage(message) => Self::Usage { message, hint: None },
            error => Self::Other {
                message: error.to_string(),
                hint: None,
            },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// An error as a person reads it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What happened; nothing where it was said already or nobody listens.
    pub message: Option<String>,
    /// What to do next, a line each.
    pub hints: Vec<String>,
    /// How the process ends.
    pub code: u8,
}

impl Report {
    /// The words for a failure.
    pub fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Library(error) => Self {
                message: Some(words(error)),
                hints: hints(error),
                code: code(error),
            },
            Failure::Usage { message, hint } => Self::new(message, hint, USAGE),
            Failure::Other { message, hint } => Self::new(message, hint, FAILED),
            // Whoever read standard output has seen enough (`ghost log | head`).
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Self::default(),
            Failure::Output(error) => Self::new(&format!("cannot write to standard output: {error}"), &None, FAILED),
            Failure::Code(code) => Self {
                code: *code,
                ..Self::default()
            },
        }
    }

    fn new(message: &str, hint: &Option<String>, code: u8) -> Self {
        Self {
            message: Some(message.to_owned()),
            hints: hint.iter().cloned().collect(),
            code,
        }
    }
}

/// The exit code that goes with an error of the library.
pub fn code(error: &Error) -> u8 {
    match error {
        Error::Interrupted => INTERRUPTED,
        Error::RefMoved { .. } => MOVED,
        Error::Refused { code, .. } if *code == Code::Moved as u16 => MOVED,
        Error::Invalid { .. } => USAGE,
        error if error.is_damage() => DAMAGE,
        _ => FAILED,
    }
}

fn words(error: &Error) -> String {
    match error {
        Error::Interrupted => "interrupted; what was stored is kept and is not stored again by the next run".to_owned(),
        error => error.to_string(),
    }
}

fn hints(error: &Error) -> Vec<String> {
    let hint = match error {
        Error::Io { source, .. } => match io_hint(source) {
            Some(hint) => hint,
            None => return Vec::new(),
        },
        Error::Damaged { path, .. } if path.ends_with("refs/log") => {
            "snapshots are still there by their ids; `ghost ref-log --check` names all damage, `ghost ref-log --salvage` \
             makes a usable log and keeps this one"
        }
        Error::Damaged { path, .. } if path.ends_with("format") || path.ends_with("generation") => {
            "`ghost repair` makes it anew from what else is there, and keeps the damaged one"
        }
        Error::Damaged { expected, .. } if expected.contains("as a bundle has it") => {
            "it is no bundle: name a file that `ghost snapshot -o`, `ghost condense` or `ghost gfs` made"
        }
        Error::Damaged { path, .. } if path.extension().is_some_and(|end| end == "gs" || end == "gfs") => {
            "nothing was taken from it; `ghost verify gfs:FILE` names all damage; ask for the file again, or make it again"
        }
        Error::Damaged { .. } | Error::Malformed { .. } | Error::BadObject { .. } | Error::Missing { .. } => {
            "`ghost verify` names every path that is damaged; a new `ghost snapshot --trust hash` of the source stores \
             again what is missing"
        }
        Error::Unsupported { .. } => "use the version of ghost that wrote it, or a newer one",
        Error::NoRepository { .. } => {
            "make one with `ghost init`, or name one with --repo DIR or the variable GHOST_DIR"
        }
        Error::Foreign { .. } => "its owner decides what runs there: work as that user, or take it over with chown",
        Error::RefMoved { .. } => "something else moved it meanwhile: look at `ghost log`, then try again",
        Error::Busy { .. } => "wait until it has ended, or stop it: its lock goes with the process",
        Error::Incomplete { .. } => {
            "store it again: `ghost snapshot` of the source, or `ghost hash-object -w` and `ghost mktree` where it was made so"
        }
        Error::Ambiguous { candidates, .. } => return ambiguous(candidates),
        Error::NotFound { what: "path", .. } => "`ghost ls REV:` lists what a snapshot holds",
        Error::NotFound { what, .. } if what.starts_with("snapshot left") => {
            "all of it are forgotten: `ghost log --all` shows them, `ghost forget --restore ID` brings one back"
        }
        Error::NotFound { what, .. } if what.starts_with("record of") => "`ghost reflog` lists the records",
        Error::NotFound { what, .. } if what.starts_with("snapshot yet") => "take one with `ghost snapshot DIR`",
        Error::NotFound { what, .. } if what.starts_with("known file") => {
            "nothing there was seen yet: `ghost scan PATH` finds what is on a file system"
        }
        Error::NotFound { .. } => "`ghost show-ref` lists the refs, `ghost log` the snapshots",
        Error::Invalid { what: "config key", .. } => "`ghost config dump` lists every key with its value",
        Error::Invalid { what: "revision", .. } => "`ghost help revisions` shows how snapshots are named",
        Error::Disconnected { .. } => {
            "look at what the far side said above; run it again: what came is kept and does not travel again"
        }
        Error::Away { .. } => {
            "run it again when it can be reached; what is here already needs nobody (`ghost remote status` asks all, \
             `ghost remote set-url` says where one is now)"
        }
        Error::Protocol { what: "a greeting", .. } => {
            "there must be ghost at the other end, and nothing that prints: try the command of ssh by hand"
        }
        Error::Refused { code, .. } if *code == Code::Incomplete as u16 => {
            "something is missing at one side: where one is a lazy clone, `ghost fetch --unlazy` there brings it"
        }
        Error::Refused { code, .. } if *code == Code::Moved as u16 => "somebody was faster: fetch, then try again",
        Error::UnsafeName { .. } => "nothing was written for it; whoever made this tree is not to be trusted",
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

fn ambiguous(candidates: &[ghost_plumbing::object::ObjectId]) -> Vec<String> {
    let mut hints = vec!["give more digits:".to_owned()];
    hints.extend(candidates.iter().take(8).map(|id| format!("  {id}")));
    hints
}

fn io_hint(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::PermissionDenied => "run as a user who may, or give yourself the permission",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space and run it again: nothing already stored is lost or stored twice"
        }
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only",
        io::ErrorKind::NotFound => "check the spelling, and that it is mounted",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error(kind: io::ErrorKind) -> Failure {
        Failure::Library(Error::Io {
            op: "open",
            path: "/x".into(),
            source: kind.into(),
        })
    }

    #[test]
    fn codes_are_those_documented() {
        let moved = Error::RefMoved {
            name: "refs/snapshots/main".into(),
            expected: "nothing".into(),
            found: "x".into(),
        };
        for (failure, code) in [
            (io_error(io::ErrorKind::PermissionDenied), 1),
            (Failure::usage("a", "b"), 2),
            (Failure::Code(PARTIAL), 3),
            (Error::damaged("/x", 7, "a", "b").into(), 4),
            (moved.into(), 5),
            (Error::Interrupted.into(), 130),
            (io::Error::from(io::ErrorKind::BrokenPipe).into(), 0),
            (io::Error::from(io::ErrorKind::StorageFull).into(), 1),
        ] {
            assert_eq!(Report::of(&failure).code, code, "{failure:?}");
            let listed = crate::topics::EXIT_CODES
                .lines()
                .any(|line| line.starts_with(&format!("  {code:<3} ")));
            assert!(listed, "exit code {code} is not documented");
        }
    }

    #[test]
    fn what_to_do_next_is_said() {
        let report = Report::of(&Failure::Library(Error::NoRepository { path: "/x".into() }));
        assert!(report.message.unwrap().contains("/x"));
        assert!(report.hints[0].contains("ghost init"));
        assert_eq!(
            Report::of(&io::Error::from(io::ErrorKind::BrokenPipe).into()),
            Report::default()
        );
    }
}
