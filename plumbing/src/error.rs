//! What can go wrong, as values. Each names the operation, the place, what was expected and what was found;
//! the porcelain turns them into words, a hint and an exit code.

use std::path::{Path, PathBuf};

use crate::object::ObjectId;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// A verb: "open", "read", "append to".
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the repository does not hold what was written to it.
    #[error("{} is damaged at offset {offset}: expected {expected}, found {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Byte offset in it.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The bytes of an object do not follow its format.
    #[error("{what} is malformed at byte {at}: {problem}")]
    Malformed {
        /// The kind of object, such as "tree node".
        what: &'static str,
        /// Offset in its bytes.
        at: usize,
        /// Expected and found.
        problem: String,
    },
    /// An object whose bytes do not follow its format, by name.
    #[error("object {id}: {source}")]
    BadObject {
        /// Its id.
        id: ObjectId,
        /// What is wrong.
        source: Box<Error>,
    },
    /// An object is not in the store.
    #[error("object {id} is not in this repository (needed as {needed_as})")]
    Missing {
        /// Its id.
        id: ObjectId,
        /// "block", "tree", "snapshot", "indirect block".
        needed_as: &'static str,
    },
    /// A repository, file or object that only a newer version can read.
    #[error("{} needs the feature \"{feature}\", which this version does not know", path.display())]
    Unsupported {
        /// The file that asks for it.
        path: PathBuf,
        /// The feature or version by name.
        feature: String,
    },
    /// Something that the caller gave does not have the form it must have.
    #[error("invalid {what} \"{value}\": {problem}")]
    Invalid {
        /// "revision", "ref name", "hash", "config key".
        what: &'static str,
        /// As given.
        value: String,
        /// What is expected instead.
        problem: String,
    },
    /// Nothing goes by that name.
    #[error("no {what} \"{name}\"")]
    NotFound {
        /// "ref", "snapshot", "path".
        what: &'static str,
        /// As given.
        name: String,
    },
    /// A prefix that several ids share.
    #[error("id prefix \"{prefix}\" is ambiguous: {} ids begin with it", candidates.len())]
    Ambiguous {
        /// As given.
        prefix: String,
        /// Some of the ids.
        candidates: Vec<ObjectId>,
    },
    /// A ref is not at the value that the caller expected: a compare-and-swap lost.
    #[error("ref {name} moved: expected {expected}, found {found}")]
    RefMoved {
        /// The ref.
        name: String,
        /// The id that the caller expected, or "nothing".
        expected: String,
        /// The id that is there, or "nothing".
        found: String,
    },
    /// No repository where one was looked for.
    #[error("no ghost repository in {} or any folder above it", path.display())]
    NoRepository {
        /// Where the search began.
        path: PathBuf,
    },
    /// The repository belongs to somebody else.
    #[error("repository {} belongs to user {owner}, not to user {user}", path.display())]
    Foreign {
        /// The repository.
        path: PathBuf,
        /// Numeric owner.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// A name that would leave the folder it belongs to, or that no entry may have.
    #[error("unsafe name {name:?} in {what}: {problem}")]
    UnsafeName {
        /// The name.
        name: bstr::BString,
        /// Where it stood.
        what: &'static str,
        /// Why it is refused.
        problem: &'static str,
    },
    /// Something that only one process may do at a time is being done.
    #[error("{}: {what}", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// What is being done.
        what: &'static str,
    },
    /// A ref would name something of which a part is not stored.
    #[error(
        "{target} is not whole: {needed_as} {id} is not in this repository (it was never stored, or no ref named it and gc removed it)"
    )]
    Incomplete {
        /// The snapshot or tree.
        target: ObjectId,
        /// What is missing.
        id: ObjectId,
        /// "block", "tree", "snapshot", "indirect block".
        needed_as: &'static str,
    },
    /// What the other side of a connection sent does not follow the protocol.
    #[error("the far side does not follow the protocol: {what}: expected {expected}, found {found}")]
    Protocol {
        /// What was being read, such as "a frame".
        what: &'static str,
        /// What should have come.
        expected: String,
        /// What came, made fit to be shown.
        found: String,
    },
    /// The other side of a connection answers that it cannot or will not. Its words are made fit to be shown.
    #[error("the far side answers: {text}")]
    Refused {
        /// The number of its reason (`remote::wire::Code`).
        code: u16,
        /// Its words.
        text: String,
        /// One JSON object with the parts of it, or nothing.
        detail: String,
    },
    /// The connection is no more.
    #[error("the connection to the far side broke: {reason}")]
    Disconnected {
        /// What ended it.
        reason: String,
    },
    /// An object is with somebody else who could not be asked.
    #[error("object {id} is not here, and asking {remote} for it failed: {source}")]
    Away {
        /// The first of those that were asked for.
        id: ObjectId,
        /// Who was asked last, as people call it.
        remote: String,
        /// What went wrong.
        source: Box<Error>,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// For `map_err`: an I/O error with its operation and path.
    pub fn io(op: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io {
            op,
            path: path.as_ref().to_owned(),
            source,
        }
    }

    /// For `map_err` on calls of `rustix`.
    pub fn sys(op: &'static str, path: impl AsRef<Path>) -> impl FnOnce(rustix::io::Errno) -> Error {
        move |errno| Error::Io {
            op,
            path: path.as_ref().to_owned(),
            source: errno.into(),
        }
    }

    /// Damage in a file of the repository.
    pub fn damaged(path: impl AsRef<Path>, offset: u64, expected: impl ToString, found: impl ToString) -> Error {
        Error::Damaged {
            path: path.as_ref().to_owned(),
            offset,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// Something the caller gave does not have the form it must have.
    pub fn invalid(what: &'static str, value: impl ToString, problem: impl ToString) -> Error {
        Error::Invalid {
            what,
            value: value.to_string(),
            problem: problem.to_string(),
        }
    }

    /// Whether a whole job ends with it, and not just the file at hand: nobody listens any more, or nobody answers.
    pub fn ends_job(&self) -> bool {
        matches!(self, Error::Interrupted | Error::Away { .. })
    }

    /// Whether stored bytes are damaged or gone: exit code 4.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Error::Damaged { .. } | Error::Malformed { .. } | Error::BadObject { .. } | Error::Missing { .. }
        )
    }
}
