//! Refs: names for snapshots and trees, and every change they ever went through (object-format.md, "Ref log").
//!
//! One append-only log is the store of refs. A record holds old and new values of one or more refs, who, when and why;
//! several refs change in one record or not at all. To read: take the newest checkpoint (all values after some
//! record), then the records behind it. To write:
//!
//! 1. lock `refs/lock`, which the kernel gives back if the process dies
//! 2. read what others appended; compare with what the caller expects of each ref
//! 3. ask the caller's guard (gc's: is everything still there that the new values lean on?)
//! 4. cut a torn tail; append the record with one write; `fdatasync`
//! 5. acknowledge; now and then write a checkpoint
//!
//! Invariants:
//!
//! - A record is never changed. Each repeats the hash of the one before, so none can be left out or put in.
//! - Only a writer that holds the lock cuts, and only bytes behind the last valid record with no valid record behind
//!   them. Damage in front of a valid record is an error that names the offset.
//! - A checkpoint is written after the record that it covers is durable, so a checkpoint whose record is gone proves
//!   a loss. A damaged checkpoint is passed over, and named by `verify`; the one before is kept.
//! - After a failed `fdatasync` nothing is acknowledged and nothing synced again: the writer takes its record back by
//!   cutting the log where it began and refuses further changes. If even that fails, the record may or may not be
//!   there; whoever opens the log next decides by its check, and appends behind it or cuts it.
//!
//! A damaged log is made usable by [`RefStore::salvage`], which keeps the damaged one and runs only when asked.
//!
//! Readers take no lock: a record that is just being appended looks like a torn tail. A reader that meets damage looks
//! again under the lock before it says so.

mod forgotten;
pub mod format;
mod locked;
mod name;
mod read;
pub mod revision;
mod salvage;
mod undo;
mod verify;
pub mod when;
mod write;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::forgotten::{FORGOTTEN, Forgotten, forgotten_ref};
pub use self::format::{Change, Record};
pub use self::name::{LINES, SHORT_NAME_PREFIXES, candidates, check_ref_name, line_ref, short_name};
pub use self::revision::{Named, Revision, RevisionContext, RevisionSource, resolve, resolve_snapshot};
pub use self::salvage::Salvaged;
pub use self::undo::{Undo, Undone};
pub use self::verify::RefReport;
pub use self::when::parse_when;
pub(crate) use self::write::compare;
use crate::disk::{Disk, LockKind, OpenMode, replace_file};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::refs::format::{Check, Header};
use crate::refs::read::{LogReader, State, list_checkpoints, show};
use crate::time::Timestamp;

const LOG: &str = "log";
const LOCK: &str = "lock";
const CHECKPOINT_PREFIX: &str = "checkpoint-";
/// Records between two checkpoints: what a reader reads at most beside one.
pub const CHECKPOINT_EVERY_RECORDS: u64 = 256;

/// Number of a record of the log, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// Who changes refs, where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The person.
    pub author: String,
    /// The machine.
    pub host: String,
    /// The time.
    pub time: Timestamp,
}

/// What the caller of a change relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: whatever is there is replaced.
    Any,
    /// That there is no such ref.
    Absent,
    /// That the ref has this value.
    Is(ObjectId),
}

/// A change that a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefChange {
    /// Full name.
    pub name: String,
    /// What must be there now.
    pub expected: Expected,
    /// The new value; none deletes the ref.
    pub new: Option<ObjectId>,
}

/// What a ref went through in one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The record.
    pub sequence: Sequence,
    /// The value before.
    pub old: Option<ObjectId>,
    /// The value after.
    pub new: Option<ObjectId>,
    /// When.
    pub time: Timestamp,
    /// By whom.
    pub author: String,
    /// On which machine.
    pub host: String,
    /// Why.
    pub message: String,
}

/// Bytes behind the last valid record, with no valid record behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// What is wrong with them as a record.
    pub found: String,
    /// Whether they are as long as a record says it is at both of its ends: then it is likelier that a record was
    /// damaged than that an append was cut short.
    pub looks_complete: bool,
}

/// What a change of refs may need beside the values.
#[derive(Clone, Copy, Default)]
pub struct TransactionOptions<'a> {
    /// Called under the lock, after the comparison and before the append; its error ends the change.
    pub before_append: Option<&'a dyn Fn() -> Result<()>>,
    /// Names a push.
    pub push_id: Option<[u8; 16]>,
    /// The generation of the store that the caller relied on.
    pub generation: u64,
}

/// Where the files of the refs are, and whose they are.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    log: PathBuf,
    lock: PathBuf,
    uuid: [u8; 16],
}

/// The refs of a repository. All methods may be called from any thread and see what other processes appended.
#[derive(Debug)]
pub struct RefStore {
    disk: Arc<dyn Disk>,
    place: Arc<Place>,
    state: Mutex<Cached>,
    /// The feature that forbids writing, where there is one.
    read_only: Option<String>,
}

#[derive(Debug, Default)]
struct Cached {
    state: Option<State>,
    /// A sync failed: this value writes no more.
    abandoned: bool,
    /// Up to here this value has synced the log, in bytes; 0 where it has not yet.
    synced: u64,
}

impl RefStore {
    /// Makes an empty log in the folder `dir`, which must exist, or finishes what an interrupted call began. A log
    /// that is there is left as it is.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, uuid: [u8; 16]) -> Result<Self> {
        let store = Self::open(disk, dir, uuid);
        let place = &store.place;
        let lock = write::Lock::take(&*store.disk, &place.lock)?;
        match store.disk.open(&place.log, OpenMode::Read) {
            Ok(_) => {
                LogReader::open(&*store.disk, place).map(drop)?;
                // Who made it may have gone before its name was durable.
                store.disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let mut salt = [0; 8];
                store
                    .disk
                    .random(&mut salt)
                    .map_err(Error::io("get random bytes for", &place.log))?;
                replace_file(&*store.disk, &place.log, &Header { uuid, salt }.encode())?;
            }
            Err(e) => return Err(Error::io("open", &place.log)(e)),
        }
        drop(lock);
        Ok(store)
    }

    /// The refs in the folder `dir` of the repository `uuid`. Nothing is read yet: a damaged log is an error of the
    /// methods that need it, so that everything else of the repository stays within reach.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, uuid: [u8; 16]) -> Self {
        let place = Place {
            folder: dir.to_owned(),
            log: dir.join(LOG),
            lock: dir.join(LOCK),
            uuid,
        };
        Self {
            disk,
            place: Arc::new(place),
            state: Mutex::default(),
            read_only: None,
        }
    }

    /// Refuses changes from now on, because of a feature of the repository.
    #[must_use]
    pub fn read_only(mut self, feature: String) -> Self {
        self.read_only = Some(feature);
        self
    }

    /// The repository that the log in `dir` was made for; none if there is no log.
    pub fn uuid_of(disk: &dyn Disk, dir: &Path) -> Result<Option<[u8; 16]>> {
        let path = dir.join(LOG);
        match disk.open(&path, OpenMode::Read) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("open", &path)(e)),
            Ok(file) => {
                let mut bytes = [0; format::HEADER_BYTES];
                let count = file.read_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
                Ok(Some(Header::decode(&path, &bytes[..count])?.uuid))
            }
        }
    }

    /// The value of a ref.
    pub fn get(&self, name: &str) -> Result<Option<ObjectId>> {
        self.with_state(|state| state.refs.get(name).copied())
    }

    /// All refs whose full names begin with `prefix`, sorted by name.
    pub fn list(&self, prefix: &str) -> Result<Vec<(String, ObjectId)>> {
        self.with_state(|state| {
            let from = state
                .refs
                .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
            from.take_while(|(name, _)| name.starts_with(prefix))
                .map(|(name, id)| (name.clone(), *id))
                .collect()
        })
    }

    /// The number of the last record; none in a new log.
    pub fn sequence(&self) -> Result<Option<Sequence>> {
        self.with_state(|state| (state.sequence > 0).then_some(Sequence(state.sequence)))
    }

    /// Everything that a ref went through, newest first. A ref that was deleted has a history, too.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryEntry>> {
        let mut found = Vec::new();
        self.walk_history(name, &mut |entry| {
            found.push(entry);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Shows what a ref went through, newest first, and reads no further when `visit` breaks.
    pub fn walk_history(&self, name: &str, visit: &mut dyn FnMut(HistoryEntry) -> ControlFlow<()>) -> Result<()> {
        for record in self.records_backwards()? {
            let mut record = record?;
            let Ok(at) = record.changes.binary_search_by(|change| change.name.as_str().cmp(name)) else {
                continue;
            };
            let change = record.changes.swap_remove(at);
            let entry = HistoryEntry {
                sequence: Sequence(record.sequence),
                old: change.old,
                new: change.new,
                time: record.time,
                author: record.author,
                host: record.host,
                message: record.message,
            };
            if visit(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// All records, newest first, read as they are asked for.
    pub fn records_backwards(&self) -> Result<RecordsBackwards> {
        let (end, check) = self.with_state(|state| (state.end, state.check))?;
        let reader = LogReader::open(&*self.disk, &self.place)?;
        Ok(RecordsBackwards { reader, end, check })
    }

    /// The log's file, for messages.
    pub fn log_path(&self) -> &Path {
        &self.place.log
    }

    fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T> {
        let mut cached = self.state.lock();
        Ok(read(self.refresh(&mut cached)?))
    }

    /// Reads what others appended.
    fn refresh<'c>(&self, cached: &'c mut Cached) -> Result<&'c mut State> {
        match self.try_refresh(cached.state.take()) {
            Ok(state) => Ok(cached.state.insert(state)),
            Err(e @ Error::Damaged { .. }) => {
                // A writer may have been at work while the log was read. Under its lock there is none.
                let Ok(lock) = self.disk.open(&self.place.lock, OpenMode::Read) else {
                    return Err(e);
                };
                lock.lock(LockKind::Shared)
                    .map_err(Error::io("lock", &self.place.lock))?;
                Ok(cached.state.insert(State::load(&*self.disk, &self.place)?))
            }
            Err(e) => Err(e),
        }
    }

    fn try_refresh(&self, state: Option<State>) -> Result<State> {
        let Some(mut state) = state else {
            return State::load(&*self.disk, &self.place);
        };
        let mut reader = LogReader::open(&*self.disk, &self.place)?;
        if state.is_current(&mut reader)? {
            state.tail = None;
            return Ok(state);
        }
        if !state.is_prefix(&mut reader)? {
            return State::load(&*self.disk, &self.place);
        }
        state.follow(&mut reader)?;
        Ok(state)
    }
}

/// Iterates over the records of a log, newest first.
#[derive(Debug)]
pub struct RecordsBackwards {
    reader: LogReader,
    end: u64,
    check: Check,
}

impl Iterator for RecordsBackwards {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = std::mem::take(&mut self.end);
        match self.reader.step_back(end) {
            Ok(None) => None,
            Ok(Some((start, record, check))) if check == self.check => {
                self.end = start;
                self.check = record.previous;
                Some(Ok(record))
            }
            Ok(Some((start, record, _))) => {
                let expected = "the record that the one behind it follows";
                Some(Err(Error::damaged(
                    self.reader.path(),
                    start,
                    expected,
                    format_args!("record {}", record.sequence),
                )))
            }
            Err(e) => Some(Err(e)),
        }
    }
}

#[cfg(test)]
mod tests;
