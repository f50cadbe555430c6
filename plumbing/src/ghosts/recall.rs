//! What a catalogue knows of live files, for walks: read a folder at a time, and written back by thousands.
//!
//! 1. A walk hands in each folder that it read; files that look as they did get the number of their content
//!    ([`Recall::fill`]). That is one range of rows a folder and no question a file.
//! 2. Who needs hashes asks for all numbers at once ([`Recall::hashes`]).
//! 3. What is hashed is noted ([`Recall::learn`]) and recorded by whoever made the notes too many, while others go on.
//!
//! Invariants: only what looks as it did in size, times and inode is taken for the same; what changed too close to the
//! beginning of the job is noted in a way that no later job trusts its times. A catalogue that fails costs time only:
//! the first error is kept ([`Recall::finish`]), and what it would have known is read again.

use std::collections::BTreeMap;

use bstr::BString;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::catalogue::{Catalogue, ContentId, Facts, FileSeen, Listing, Look};
use super::digest::Digest;
use super::fasthash::FastHash;
use super::forest::Leaf;
use crate::error::{Error, Result};
use crate::object::{Kind, ObjectId};
use crate::time::Timestamp;
use crate::walk::Stat;
use crate::walk::cache::Cutoff;

/// Notes that are recorded at once: files are hashed by size, so a few thousand of them lie in as many folders, and a
/// catalogue takes ten times as long for them as for whole folders in order. About 60 MB.
const NOTES: usize = 256 << 10;

/// See the module. Shared by all live trees of a job.
pub struct Recall {
    host: String,
    /// When the job began.
    looked: Timestamp,
    cutoff: Cutoff,
    /// Connections that no thread uses.
    idle: Mutex<Vec<(Catalogue, Listing)>>,
    notes: Mutex<Notes>,
    failed: Mutex<Option<Error>>,
}

#[derive(Default)]
struct Notes {
    folders: BTreeMap<BString, Vec<FileSeen>>,
    files: usize,
}

impl Recall {
    /// What `catalogue` knows of the machine `host`. `looked` is the time by the clock that stamps files, read before
    /// anything is looked at; `cutoff` is made of it.
    pub fn new(catalogue: Catalogue, host: &str, looked: Timestamp, cutoff: Cutoff) -> Self {
        Self {
            host: host.to_owned(),
            looked,
            cutoff,
            idle: Mutex::new(vec![(catalogue, Listing::default())]),
            notes: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Uses a connection that no other thread uses.
    fn with<T>(&self, use_it: impl FnOnce(&mut Catalogue, &mut Listing) -> Result<T>) -> Option<T> {
        let result = self.connection().and_then(|(mut catalogue, mut listing)| {
            let result = use_it(&mut catalogue, &mut listing);
            self.idle.lock().push((catalogue, listing));
            result
        });
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed.lock().get_or_insert(error);
                None
            }
        }
    }

    fn connection(&self) -> Result<(Catalogue, Listing)> {
        let mut idle = self.idle.lock();
        // The last one stays, so that there is always one to make another from.
        match idle.len() {
            0 => Err(Error::invalid(
                "catalogue",
                &self.host,
                "all its connections are in use",
            )),
            1 => Ok((idle[0].0.again()?, Listing::default())),
            _ => idle.pop().ok_or(Error::Interrupted),
        }
    }

    /// Gives those leaves of the folder at the absolute path `folder` that look as they did the number of their content.
    pub(super) fn fill(&self, folder: &[u8], leaves: &mut [Leaf]) {
        self.with(|catalogue, listing| {
            catalogue.list(&self.host, folder, listing)?;
            let mut rows = listing.iter().peekable();
            for leaf in leaves.iter_mut().filter(|leaf| leaf.kind == Kind::File) {
                while rows.next_if(|(name, _)| *name < leaf.name()).is_some() {}
                let row = rows.next_if(|(name, _)| *name == leaf.name());
                let same = row.filter(|(_, row)| leaf.stat().is_some_and(|stat| row.is_unchanged(stat)));
                if let Some((_, row)) = same {
                    (leaf.content, leaf.fasthash) = (row.content, row.fasthash);
                }
            }
            Ok(())
        });
    }

    /// Full and fast hashes of contents, as far as they are known; `numbers` must ascend.
    pub(super) fn hashes(&self, numbers: &[ContentId]) -> HashMap<ContentId, (ObjectId, Option<FastHash>)> {
        let mut found = HashMap::with_capacity(numbers.len());
        self.with(|catalogue, _| {
            catalogue.hashes(numbers, |number, full, fast| {
                found.insert(number, (full, fast));
            })
        });
        found
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
        let seen = FileSeen {
            name: name.into(),
            stat: *stat,
            settled: self.cutoff.is_settled(stat),
            facts,
        };
        let mut notes = self.notes.lock();
        match notes.folders.get_mut(folder) {
            Some(files) => files.push(seen),
            None => drop(notes.folders.insert(folder.into(), vec![seen])),
        }
        notes.files += 1;
        if notes.files >= NOTES {
            let full = std::mem::take(&mut *notes);
            drop(notes);
            self.record(full);
        }
    }

    fn record(&self, notes: Notes) {
        let look = |(path, mut files): (_, Vec<FileSeen>)| {
            files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Look {
                path,
                looked: self.looked,
                files,
                gone: Vec::new(),
                complete: false,
            }
        };
        let looks: Vec<Look> = notes.folders.into_iter().map(look).collect();
        if !looks.is_empty() {
            self.with(|catalogue, _| catalogue.record(&self.host, &looks));
        }
    }

    /// Records what was noted, and tells the first thing that failed, if any did: then something was read that need not
    /// have been, or will be.
    pub fn finish(&self) -> Result<()> {
        let notes = std::mem::take(&mut *self.notes.lock());
        self.record(notes);
        self.failed.lock().take().map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recall({})", self.host)
    }
}
