//! What a catalogue knows of live files, for walks: read a folder at a time, and written back when there is much of it.
//!
//! 1. A walk hands in each folder that it read, a large one in parts; files that look as they did get the hashes that
//!    they had ([`Recall::fill`]). That is one blob a folder ([`super::catalogue::Memo`]) and no question a file.
//! 2. What is hashed is noted ([`Recall::learn`]): packed at once, some ninety bytes a file.
//! 3. Whoever makes the notes too many lays them aside ([`Catalogue::lay_aside`]), while others go on. At the end all go
//!    to the catalogue, sorted by folder and name ([`Recall::finish`]).
//!
//! Invariants: only what looks as it did in size, times and inode is taken for the same; what changed too close to the
//! beginning of the job is noted in a way that no later job trusts its times. A catalogue that fails, or cannot be
//! written, costs time only: the first error is kept, and what it would have known is read again.

use std::path::Path;

use bstr::BString;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::catalogue::{Catalogue, Facts, FileSeen, Memo, by_folder, name_of};
use super::digest::Digest;
use super::fasthash::FastHash;
use super::forest::Leaf;
use crate::error::{Error, Result};
use crate::object::{HashAlgo, Kind};
use crate::repository::config::Trust;
use crate::time::Timestamp;
use crate::walk::Stat;
use crate::walk::cache::Cutoff;

/// Bytes of notes of some 20,000 files.
const NOTES_BYTES: usize = 2 << 20;

/// See the module. Shared by all live trees of a job.
pub struct Recall {
    host: String,
    /// When the job began.
    looked: Timestamp,
    cutoff: Cutoff,
    /// Nothing can be noted.
    is_read_only: bool,
    /// Bytes of notes that are held, and as much while it is laid aside.
    notes_bytes_max: usize,
    /// Connections that no thread uses.
    idle: Mutex<Vec<Catalogue>>,
    notes: Mutex<Notes>,
    /// The connection with what was laid aside.
    aside: Mutex<Option<Catalogue>>,
    failed: Mutex<Option<Error>>,
}

/// What was learnt, one packed note behind the other.
#[derive(Default)]
struct Notes {
    folders: HashMap<BString, u32>,
    /// The number of its folder, and where each note begins.
    files: Vec<(u32, u32)>,
    packed: Vec<u8>,
}

impl Notes {
    fn add(&mut self, folder: &[u8], memo: &Memo<'_>) {
        // Both numbers are far below the bytes that notes may have.
        let next = self.folders.len() as u32;
        let folder = match self.folders.get(folder) {
            Some(number) => *number,
            None => *self.folders.entry(folder.into()).insert(next).get(),
        };
        self.files.push((folder, self.packed.len() as u32));
        memo.encode(&mut self.packed);
    }

    /// Each note with its folder, in the order in which they were made.
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut folders = vec![&b""[..]; self.folders.len()];
        for (path, number) in &self.folders {
            folders[*number as usize] = path;
        }
        let ends = self.files.iter().skip(1).map(|(_, start)| *start as usize);
        let ends = ends.chain([self.packed.len()]);
        let files = self.files.iter().zip(ends);
        files.map(move |((folder, start), end)| (folders[*folder as usize], &self.packed[*start as usize..end]))
    }

    /// Folders in order of paths, with their notes in order of names: of two notes on one name, the later.
    fn sorted(&self) -> Vec<(&[u8], Vec<&[u8]>)> {
        let mut all: Vec<(&[u8], &[u8])> = self.iter().collect();
        // The sort is stable: of one name, the notes stay in the order in which they were made.
        all.sort_by_key(|(folder, packed)| (*folder, name_of(packed)));
        by_folder(all)
    }
}

impl Recall {
    /// What `catalogue` knows of the machine `host`. `looked` is the time by the clock that stamps files, read before
    /// anything is looked at; `cutoff` is made of it.
    pub fn new(catalogue: Catalogue, host: &str, looked: Timestamp, cutoff: Cutoff) -> Self {
        Self {
            host: host.to_owned(),
            looked,
            cutoff,
            is_read_only: catalogue.is_read_only(),
            notes_bytes_max: NOTES_BYTES,
            idle: Mutex::new(vec![catalogue]),
            notes: Mutex::default(),
            aside: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Holds no more than so many bytes of notes.
    #[cfg(test)]
    pub(super) fn holding(self, notes_bytes_max: usize) -> Self {
        Self {
            notes_bytes_max,
            ..self
        }
    }

    /// Uses a connection that no other thread uses.
    fn with<T>(&self, use_it: impl FnOnce(&mut Catalogue) -> Result<T>) -> Option<T> {
        let result = self.connection().and_then(|mut catalogue| {
            let result = use_it(&mut catalogue);
            self.idle.lock().push(catalogue);
            result
        });
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    fn connection(&self) -> Result<Catalogue> {
        let mut idle = self.idle.lock();
        // The last one stays, so that there is always one to make another from.
        match idle.len() {
            0 => Err(Error::invalid(
                "catalogue",
                &self.host,
                "all its connections are in use",
            )),
            1 => idle[0].again()?.with_small_cache(),
            _ => idle.pop().ok_or(Error::Interrupted),
        }
    }

    /// Whether somebody decided that of what lies at this absolute path nothing but bytes is to be trusted.
    pub fn distrusts(&self, path: &Path) -> bool {
        self.with(|catalogue| catalogue.trust(&self.host, path)) == Some(Some(Trust::Hash))
    }

    /// Gives those leaves of the folder at the absolute path `folder` that look as they did the hashes that they had: the
    /// full one where it is of `algo`. The leaves must ascend by name; `are_all`: there are no others in the folder.
    pub(super) fn fill(&self, folder: &[u8], are_all: bool, algo: HashAlgo, leaves: &mut [Leaf]) {
        if !leaves.iter().any(|leaf| leaf.kind == Kind::File) {
            return;
        }
        let ends = leaves.first().zip(leaves.last()).filter(|_| !are_all);
        let ends = ends.map(|(first, last)| (first.name().to_owned(), last.name().to_owned()));
        self.with(|catalogue| {
            let mut at = 0;
            let ends = ends.as_ref().map(|(first, last)| (first.as_slice(), last.as_slice()));
            catalogue.recall(&self.host, folder, ends, |memo| {
                while leaves.get(at).is_some_and(|leaf| leaf.name() < memo.name) {
                    at += 1;
                }
                let Some(leaf) = leaves.get_mut(at).filter(|leaf| leaf.name() == memo.name) else {
                    return;
                };
                if leaf.kind == Kind::File && leaf.stat().is_some_and(|stat| memo.is_unchanged(stat)) {
                    leaf.fullhash = memo.fullhash.filter(|id| id.algo() == algo);
                    leaf.fasthash = memo.fasthash;
                }
            })
        });
    }

    /// Notes both hashes of the file `name` in the folder at the absolute path `folder`, which looked like `stat`.
    pub(super) fn learn(&self, folder: &[u8], name: &[u8], stat: &Stat, digest: Digest) {
        self.note(folder, name, stat, Facts::Full(digest.fullhash, Some(digest.fasthash)));
    }

    /// Notes the fast hash alone.
    pub(super) fn learn_fast(&self, folder: &[u8], name: &[u8], stat: &Stat, fasthash: FastHash) {
        self.note(folder, name, stat, Facts::Fast(fasthash));
    }

    fn note(&self, folder: &[u8], name: &[u8], stat: &Stat, facts: Facts) {
        if self.is_read_only {
            return;
        }
        let seen = FileSeen {
            name: name.into(),
            stat: *stat,
            settled: self.cutoff.is_settled(stat),
            facts,
        };
        let Some(memo) = Memo::of(&seen, Some(self.looked)) else {
            return;
        };
        let mut notes = self.notes.lock();
        notes.add(folder, &memo);
        if notes.packed.len() >= self.notes_bytes_max {
            let full = std::mem::take(&mut *notes);
            drop(notes);
            let laid = self.lay_aside(&full, &mut self.aside.lock());
            laid.unwrap_or_else(|error| self.fail(error));
        }
    }

    fn lay_aside(&self, notes: &Notes, aside: &mut Option<Catalogue>) -> Result<()> {
        let catalogue = match aside {
            Some(catalogue) => catalogue,
            None => aside.insert(self.connection()?),
        };
        catalogue.lay_aside(notes.iter())
    }

    /// Hands all notes to the catalogue.
    fn record(&self) -> Result<()> {
        let notes = std::mem::take(&mut *self.notes.lock());
        let mut aside = self.aside.lock().take();
        match &mut aside {
            None if notes.files.is_empty() => Ok(()),
            None => self.connection()?.note(&self.host, notes.sorted()),
            Some(_) => {
                self.lay_aside(&notes, &mut aside)?;
                aside.map_or(Ok(()), |mut catalogue| catalogue.keep_aside(&self.host))
            }
        }
    }

    fn fail(&self, error: Error) {
        self.failed.lock().get_or_insert(error);
    }

    /// Records what was noted, and tells the first thing that failed, if any did: then something was read that need not
    /// have been, or will be.
    pub fn finish(&self) -> Result<()> {
        self.record().unwrap_or_else(|error| self.fail(error));
        self.failed.lock().take().map_or(Ok(()), Err)
    }

    /// Whether what is learnt cannot be kept, since nothing can be written where the catalogue is.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }
}

impl std::fmt::Debug for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recall({})", self.host)
    }
}
