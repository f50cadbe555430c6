//! What earlier checks read, and when (object-format.md, "Checked data").
//!
//! 1. [`Ledger::load`] reads `cache/verified`; one that is missing, damaged or foreign is empty. [`Ledger::settle`] drops
//!    what the data files that are there do not bear out.
//! 2. A check asks of each frame when it was last read whole ([`Ledger::last_read`]), and of each snapshot whether
//!    everything behind it was found in the data files that are there now ([`Ledger::has_proven`]).
//! 3. Afterwards it notes what it read ([`Ledger::note_file`]) and what it proved, and the ledger is written anew.
//!
//! Invariants:
//!
//! - A date is the beginning of the run that read the bytes, in whole seconds, rounded down. A date in the future is not
//!   believed: the clock was or is wrong. So nothing counts as read later than it was by the clock of its time.
//! - What was hurt has no date. It comes first in every run, and is told by every run.
//! - A proof that a snapshot is whole counts only while every data file that was there then is there, up to the same
//!   commit record: data files only grow, so that all that was found still is in them. One that is gone or differs, and all
//!   snapshots are walked again.
//! - Losing the ledger costs time only.

mod format;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hashbrown::HashSet;

use super::Target;
use crate::disk::{Disk, read_file, replace_file};
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind};
use crate::store::Store;
use crate::store::data::format::FILE_HEADER_BYTES;
use crate::store::data::read::DataFile;
use crate::time::Timestamp;

/// Name of the ledger in the folder `cache`.
const FILE: &str = "verified";
/// Bytes that a ledger has at most: some million snapshots.
const LEDGER_BYTES_MAX: usize = 256 << 20;
/// Extents of one data file; more are united, and count as read when the first of them was.
const EXTENTS_MAX: usize = 256;
/// Bytes in front of an offset that tell whether a file is the same up to there: the commit record that ends there, which
/// holds the hash of the headers of its group.
const MARK_BYTES: u64 = 144;

/// Which snapshot was found whole, under which terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Proof {
    id: ObjectId,
    kind: ObjectKind,
    needs_data: Option<bool>,
}

impl From<&Target> for Proof {
    fn from(target: &Target) -> Self {
        Self {
            id: target.id,
            kind: target.kind,
            needs_data: target.needs_data,
        }
    }
}

/// A stretch of a data file that was read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first byte.
    pub from: u64,
    /// The byte behind its last.
    pub to: u64,
    /// When the run began that read it: seconds since 1970.
    pub seconds: i64,
}

/// What was read of one data file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    /// Tells whether the file is the same up to `bytes`.
    mark: [u8; 16],
    /// How long it was, up to its last commit record.
    bytes: u64,
    /// Sorted; they do not overlap.
    extents: Vec<Extent>,
}

/// What is remembered of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    repository: [u8; 16],
    /// By the id of the data file. All that were there when the proofs were made are among them.
    files: BTreeMap<[u8; 16], Read>,
    proven: HashSet<Proof>,
}

/// Where the ledger of a repository is.
pub fn path(ghost_dir: &Path) -> PathBuf {
    ghost_dir.join("cache").join(FILE)
}

impl Ledger {
    /// Remembers nothing of this repository.
    pub fn new(repository: [u8; 16]) -> Self {
        Self {
            repository,
            ..Self::default()
        }
    }

    /// Reads the ledger of the repository in `ghost_dir`; an empty one where none can be used.
    pub fn load(disk: &dyn Disk, ghost_dir: &Path, repository: [u8; 16]) -> Self {
        let path = path(ghost_dir);
        read_file(disk, &path, LEDGER_BYTES_MAX)
            .and_then(|bytes| Self::decode(&path, &bytes, repository))
            .unwrap_or_else(|_| Self::new(repository))
    }

    /// Writes it, whole or not at all.
    pub fn save(&self, disk: &dyn Disk, ghost_dir: &Path) -> Result<()> {
        replace_file(disk, &path(ghost_dir), &self.encode())
    }

    /// Forgets what the data files of the store do not bear out, and dates that lie behind `now`.
    pub fn settle(&mut self, store: &Store, now: Timestamp) -> Result<()> {
        let there = store.data_files();
        let before = self.files.len();
        let mut kept = BTreeMap::new();
        for (file, committed) in &there {
            let Some(mut read) = self.files.remove(&file.header.file) else {
                continue;
            };
            if read.bytes > *committed || mark(file, read.bytes)? != read.mark {
                continue;
            }
            read.extents.retain(|extent| extent.seconds <= now.seconds);
            kept.insert(file.header.file, read);
        }
        if kept.len() < before {
            self.proven.clear();
        }
        self.files = kept;
        Ok(())
    }

    /// When the bytes from `from` to `to` of a data file were last read, in seconds since 1970; `None` where they were not.
    pub fn last_read(&self, file: &[u8; 16], from: u64, to: u64) -> Option<i64> {
        let extents = &self.files.get(file)?.extents;
        let first = extents.partition_point(|extent| extent.to <= from);
        let mut at = from;
        let mut oldest = i64::MAX;
        for extent in &extents[first..] {
            if extent.from > at {
                break;
            }
            oldest = oldest.min(extent.seconds);
            at = extent.to;
            if at >= to {
                return Some(oldest);
            }
        }
        None
    }

    /// Whether everything behind a target was found whole.
    pub fn has_proven(&self, target: &Target) -> bool {
        self.proven.contains(&Proof::from(target))
    }

    /// Notes what is known of a data file now, from its header to `committed`: the stretches that have a date, in order.
    /// Neighbours of one date are united.
    pub fn note_file(
        &mut self,
        file: &DataFile,
        committed: u64,
        extents: impl IntoIterator<Item = Extent>,
    ) -> Result<()> {
        let mut united: Vec<Extent> = Vec::new();
        for extent in extents.into_iter().filter(|extent| extent.to <= committed) {
            match united.last_mut() {
                Some(last) if last.to == extent.from && last.seconds == extent.seconds => last.to = extent.to,
                _ => united.push(extent),
            }
        }
        while united.len() > EXTENTS_MAX {
            united = halve(&united);
        }
        let read = Read {
            mark: mark(file, committed)?,
            bytes: committed,
            extents: united,
        };
        self.files.insert(file.header.file, read);
        Ok(())
    }

    /// Notes that a data file is there, and leaves the dates as they are.
    pub fn note_unread(&mut self, file: &DataFile, committed: u64) -> Result<()> {
        let known = self.files.remove(&file.header.file);
        self.note_file(file, committed, known.map(|read| read.extents).unwrap_or_default())
    }

    /// Notes which targets are whole, and forgets all others.
    pub fn note_proofs<'t>(&mut self, whole: impl IntoIterator<Item = &'t Target>) {
        self.proven = whole.into_iter().map(Proof::from).collect();
    }

    /// Data files of which something is remembered.
    pub fn files(&self) -> usize {
        self.files.len()
    }
}

/// Unites each extent with the one behind it where they touch; else the shorter one is forgotten.
fn halve(extents: &[Extent]) -> Vec<Extent> {
    let unite = |pair: &[Extent]| match *pair {
        [a, b] if a.to == b.from => Extent {
            from: a.from,
            to: b.to,
            seconds: a.seconds.min(b.seconds),
        },
        [a, b] if b.to - b.from > a.to - a.from => b,
        _ => pair[0],
    };
    extents.chunks(2).map(unite).collect()
}

/// What tells that a file is the same up to `end`.
fn mark(file: &DataFile, end: u64) -> Result<[u8; 16]> {
    let start = end.saturating_sub(MARK_BYTES).max(FILE_HEADER_BYTES.min(end));
    let mut bytes = vec![0; (end - start) as usize];
    let found = file
        .file
        .read_at(&mut bytes, start)
        .map_err(Error::io("read", &file.path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file.header.salt.to_le_bytes());
    hasher.update(&end.to_le_bytes());
    hasher.update(&bytes[..found]);
    let mut mark = [0; 16];
    mark.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Ok(mark)
}
