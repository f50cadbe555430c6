//! All ghosts of a repository: `.ghost/catalogue.db`, a SQLite database (object-format.md, "Catalogue").
//!
//! 1. [`Catalogue::open`] makes the file, or checks that it is one of this version. One that is damaged is moved aside,
//!    and a new one begins.
//! 2. Readers take the files of a whole directory at once ([`Catalogue::list`]), in order of names, and compare them
//!    with what they see; a question for each file would cost more than looking at it.
//! 3. Writers hand in what they saw of many directories ([`Catalogue::record`]): one short transaction.
//! 4. Jobs that hash files on their way to something else keep what they found as memos ([`Catalogue::note`]), a blob a
//!    folder, which become rows when somebody asks for rows ([`Catalogue::unfold`]).
//!    Those of long jobs wait until all are there ([`Catalogue::lay_aside`]), so that each folder is written once.
//! 5. Before questions about what was, [`catch_up`] adds what snapshots hold that were taken since: taking one writes
//!    nothing here, and costs nothing.
//!
//! Invariants: a fact about a content is in its own row only; `place` holds what is there as far as is known, `past` what
//! was; the stat values of a place are kept only where they prove that its content is unchanged.
//!
//! It is a view: nothing durable depends on it, so SQLite reaches its files by itself and not through [`crate::disk`].
//! The seam is there to test what must survive a crash; this need not, and SQLite's own locks and log do.

mod absorb;
mod aside;
mod due;
mod learn;
mod memo;
mod open;
mod read;
mod rows;
mod schema;
mod write;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use bstr::BString;
use rusqlite::Connection;

use super::fasthash::FastHash;
use crate::error::Error;
use crate::object::ObjectId;
use crate::time::Timestamp;
use crate::walk::Stat;

pub use self::absorb::{catch_up, each_snapshot};
pub use self::aside::by_folder;
pub use self::due::{Due, Scope};
pub use self::memo::{Memo, name_of};
pub use self::open::Opened;
pub use self::read::Listing;
pub use self::write::{Facts, FileSeen, Look, Recorded};

/// Name of the file in a repository's folder.
pub const FILE: &str = "catalogue.db";

/// An open catalogue. Threads open one each ([`Catalogue::again`]).
#[derive(Debug)]
pub struct Catalogue {
    connection: Connection,
    path: PathBuf,
    is_read_only: bool,
    /// Reads of the transaction that memos are read in; 0 where there is none.
    reads: Cell<u32>,
}

/// The number of a content in one catalogue. It means nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(i64);

/// What a catalogue knows of a content, without its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its number.
    pub id: ContentId,
    /// The plain hash of all bytes.
    pub fullhash: ObjectId,
    /// The sampled hash, where one was computed.
    pub fasthash: Option<FastHash>,
    /// Length in bytes.
    pub size: u64,
    /// The oldest mtime that it was seen with.
    pub lastmod: Option<Timestamp>,
    /// When all bytes were last proven.
    pub verified_full: Option<Timestamp>,
    /// When the sampled hash was last proven.
    pub verified_fast: Option<Timestamp>,
    /// The oldest discovery.
    pub found_first: Timestamp,
    /// The newest discovery.
    pub found_last: Timestamp,
}

/// A file as a catalogue has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its content; none where only its fast hash is known.
    pub content: Option<ContentId>,
    /// Its fast hash, where that is all that is known.
    pub fasthash: Option<FastHash>,
    /// Length in bytes.
    pub size: u64,
    /// Last change of the content, where whoever told of the file knew it.
    pub mtime: Option<Timestamp>,
    /// What a later look is compared with beside size and mtime; none where stat values prove nothing.
    pub settled: Option<Settled>,
    /// When the content was first seen there.
    pub seen_first: Timestamp,
    /// When it was last seen there.
    pub seen_last: Timestamp,
}

/// Values of an inode that no program can set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Last change of content or metadata.
    pub ctime: Timestamp,
    /// The number of the inode.
    pub ino: u64,
}

impl Row {
    /// Whether a file that looks so now still has this content.
    pub fn is_unchanged(&self, stat: &Stat) -> bool {
        self.size == stat.size
            && self.mtime == Some(stat.mtime)
            && self
                .settled
                .is_some_and(|settled| settled.ctime == stat.ctime && settled.ino == stat.ino)
    }
}

impl Catalogue {
    /// The path of its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing can be written where it is. Whoever tries gets an error.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    fn failed(&self, op: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
        open::failed(op, &self.path)
    }

    fn malformed(&self, what: &str, found: impl std::fmt::Display) -> Error {
        Error::damaged(&self.path, 0, what, found)
    }
}

/// The folder of a path, and its last name: how places are kept.
pub fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The path of a name in a folder.
pub fn join_path(folder: &[u8], name: &[u8]) -> BString {
    let slash: &[u8] = if folder.is_empty() || folder.ends_with(b"/") {
        b""
    } else {
        b"/"
    };
    [folder, slash, name].concat().into()
}
