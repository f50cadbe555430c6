//! What a snapshot is asked to be, and what came of it: plain values.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;

use crate::chunk;
use crate::disk::Disk;
use crate::error::Error;
use crate::object::{ObjectId, Snapshot};
use crate::store::{Counters, Store};
use crate::time::Timestamp;
use crate::walk::Rules;

/// What is stored of contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Their bytes, too.
    #[default]
    Everything,
    /// Only what describes them: they are cut and hashed as ever, so that the tree is the same.
    Ghosts,
}

/// What a snapshot is to be of, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directories or files, as absolute paths. One directory is the tree; several are entries of it.
    pub roots: Vec<PathBuf>,
    /// What to leave out.
    pub rules: Arc<Rules>,
    /// The rules as they were given, to be kept in the snapshot.
    pub rules_text: Vec<String>,
    /// Read every file, whatever its times say.
    pub trust_hash: bool,
    /// Store nothing; tell what would be stored.
    pub dry_run: bool,
    /// What is stored of contents.
    pub keep: Keep,
    /// Threads, at least one.
    pub threads: usize,
    /// Where contents are cut.
    pub chunk: chunk::Params,
    /// Keep extended attributes.
    pub xattrs: bool,
    /// Keep times of birth.
    pub birth_time: bool,
    /// When the scan begins by the clock that stamps files; what changed later is read again next time.
    pub began: Timestamp,
    /// The granularity of times on file systems that keep whole seconds.
    pub coarse: Duration,
    /// If the tree and the roots are those of this snapshot, nothing is recorded.
    pub unless_same_as: Option<ObjectId>,
    /// What the snapshot object says beside the tree; `tree`, `roots`, `rules` and `totals` are filled in.
    pub about: About,
}

/// Who, when, why.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// When the snapshot was taken, as history shows it.
    pub time: Timestamp,
    /// Minutes east of UTC.
    pub offset_minutes: i64,
    /// The machine.
    pub host: String,
    /// Who takes it.
    pub author: String,
    /// Why.
    pub message: String,
    /// Labels; sorted here.
    pub tags: Vec<String>,
    /// The snapshots it follows.
    pub parents: Vec<ObjectId>,
}

/// An entry that could not be read as it should.
#[derive(Debug)]
pub struct Problem {
    /// Its path below the root.
    pub path: BString,
    /// What went wrong.
    pub error: Error,
}

/// What a job did.
#[derive(Debug)]
pub struct Outcome {
    /// The snapshot, which no ref names yet.
    pub snapshot: Snapshot,
    /// Its id.
    pub id: ObjectId,
    /// Entries that could not be read.
    pub problems: Vec<Problem>,
    /// Entries that rules left out; directories count once.
    pub excluded: u64,
    /// What was added to the store and what was there.
    pub counters: Counters,
    /// Why the last scan's stat cache could not be used, if there was one.
    pub cache_rejected: Option<String>,
}

/// Where a job finds a repository's parts.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The disk of the repository.
    pub disk: &'a dyn Disk,
    /// Its `.ghost` folder; none where nothing is to be remembered of a scan.
    pub ghost_dir: Option<PathBuf>,
    /// Its uuid.
    pub uuid: [u8; 16],
    /// Its objects.
    pub store: &'a Store,
}
