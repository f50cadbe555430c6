//! What a command is handed, and what it hands back.
//!
//! A command reads and writes only through its [`Context`]: it takes no clock, no environment and no terminal of its
//! own, and it never prints an error. The repository is opened when it is first asked for, so that commands which
//! need none work outside of one.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use ghost_plumbing::Error;
use ghost_plumbing::object::{ContentRef, HashAlgo, IdPrefix, ObjectId};
use ghost_plumbing::refs::revision::{Named, Revision, resolve};
use ghost_plumbing::refs::when::parse_when;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::time::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::entry_line::parse_seconds;
use crate::output::json_line;

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

/// A repository that is opened when it is first asked for.
pub struct LazyRepository<'a> {
    open: Cell<Option<Open<'a>>>,
    opened: OnceCell<Rc<Repository>>,
}

type Open<'a> = Box<dyn FnOnce() -> ghost_plumbing::Result<Repository> + 'a>;

impl<'a> LazyRepository<'a> {
    /// A repository that `open` opens.
    pub fn new(open: impl FnOnce() -> ghost_plumbing::Result<Repository> + 'a) -> Self {
        Self {
            open: Cell::new(Some(Box::new(open))),
            opened: OnceCell::new(),
        }
    }

    /// The repository. It is tried once: after an error it is not there.
    fn get(&self) -> ghost_plumbing::Result<Rc<Repository>> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened.clone());
        }
        let Some(open) = self.open.take() else {
            return Err(Error::NoRepository { path: ".".into() });
        };
        let opened = Rc::new(open()?);
        Ok(self.opened.get_or_init(|| opened).clone())
    }
}

/// What a command may use.
pub struct Context<'a> {
    /// Standard input.
    pub input: &'a mut dyn BufRead,
    /// Standard output; flushed by [`Command::run`](crate::Command::run).
    pub out: &'a mut dyn Write,
    /// The repository.
    pub repository: LazyRepository<'a>,
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

impl Context<'_> {
    /// The repository.
    pub fn repository(&self) -> CommandResult<Rc<Repository>> {
        Ok(self.repository.get()?)
    }

    /// The repository, to write.
    pub fn writable(&self) -> CommandResult<Rc<Repository>> {
        let repository = self.repository()?;
        repository.check_writable()?;
        Ok(repository)
    }

    /// The repository if there is one.
    pub fn repository_if_any(&self) -> CommandResult<Option<Rc<Repository>>> {
        match self.repository.get() {
            Ok(repository) => Ok(Some(repository)),
            Err(Error::NoRepository { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a revision names.
    pub fn resolve(&self, text: impl AsRef<OsStr>) -> CommandResult<Revision> {
        let text = text.as_ref();
        let repository = self.repository()?;
        let context = repository.revisions(self.zoned_now());
        Ok(resolve(&*repository, &context, text.as_bytes())?)
    }

    /// The tree that a revision leads to.
    pub fn tree(&self, text: impl AsRef<OsStr>) -> CommandResult<ObjectId> {
        let text = text.as_ref();
        let named = self.resolve(text)?.named;
        Ok(named.tree(&self.repository()?.store)?)
    }

    /// The snapshot that a revision names.
    pub fn snapshot(&self, text: impl AsRef<OsStr>) -> CommandResult<ObjectId> {
        let text = text.as_ref();
        match self.resolve(text)?.named {
            Named::Snapshot(id) => Ok(id),
            _ => Err(Error::invalid("revision", text.display(), "expected a snapshot").into()),
        }
    }

    /// The content that a revision names.
    pub fn content(&self, text: impl AsRef<OsStr>) -> CommandResult<ContentRef> {
        let text = text.as_ref();
        let named = self.resolve(text)?.named;
        let problem = || Error::invalid("revision", text.display(), "expected the content of a file").into();
        named.content().cloned().ok_or_else(problem)
    }

    /// The object that a revision names; a full id is taken as it is, whether it is stored or not.
    pub fn object_id(&self, text: impl AsRef<OsStr>) -> CommandResult<ObjectId> {
        let text = text.as_ref();
        if let Some(prefix) = text.to_str().and_then(|text| text.parse::<IdPrefix>().ok()) {
            let algo = self
                .repository_if_any()?
                .map_or(self.algo, |repository| repository.format.hash);
            if let Some(id) = prefix.full_or(algo) {
                return Ok(id);
            }
        }
        let problem = || Error::invalid("revision", text.display(), "expected something that is an object").into();
        self.resolve(text)?.named.id().ok_or_else(problem)
    }

    /// An instant as revisions have it, or `@SECONDS.NANOS` since 1970.
    pub fn parse_time(&self, text: &str) -> CommandResult<Timestamp> {
        if let Some(time) = text.strip_prefix('@').and_then(parse_seconds) {
            return Ok(time);
        }
        Ok(parse_when(text, &self.zoned_now())?)
    }

    /// Minutes east of UTC at an instant.
    pub fn offset_minutes(&self, time: Timestamp) -> i64 {
        i64::from(self.zone.to_offset(instant(time)).seconds()) / 60
    }

    /// Prints the id of an object that was made.
    pub fn print_id(&mut self, kind: &str, id: &ObjectId) -> CommandResult<()> {
        if self.json {
            json_line(self.out, kind, &BTreeMap::from([("id", id.to_string())]))?;
        } else {
            writeln!(self.out, "{id}")?;
        }
        Ok(())
    }

    fn zoned_now(&self) -> Zoned {
        instant(self.now).to_zoned(self.zone.clone())
    }
}

/// The instant; the first or last that there is, where it is outside of the calendar.
fn instant(time: Timestamp) -> jiff::Timestamp {
    let nanos = i32::try_from(time.nanos).unwrap_or_default();
    jiff::Timestamp::new(time.seconds, nanos).unwrap_or(match time.seconds {
        ..0 => jiff::Timestamp::MIN,
        _ => jiff::Timestamp::MAX,
    })
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
