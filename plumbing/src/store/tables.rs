//! The index as gc reads it: entries by position, look-ups that touch prefixes only.

use std::sync::Arc;

use super::data::format::Row;
use super::data::read::{DataFile, scan};
use super::index::format::{pack, unpack};
use super::{Location, Mapped, Store};
use crate::disk::{DiskFile, LockKind, OpenMode};
use crate::error::{Error, Result};

/// Entries in order of their prefixes, with the data files that they lead to.
#[derive(Debug)]
pub struct IndexTable {
    entries: Entries,
    /// The number of each data file in this process; none of those that are condemned or gone.
    files: Vec<Option<u32>>,
}

#[derive(Debug)]
enum Entries {
    Segment(Arc<Mapped>),
    /// What no segment has: prefix, locator.
    Recent(Vec<(u64, u64)>),
}

impl IndexTable {
    /// Entries.
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Segment(mapped) => mapped.segment.len(),
            Entries::Recent(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first eight bytes of the id of an entry.
    pub fn prefix(&self, at: usize) -> u64 {
        match &self.entries {
            Entries::Segment(mapped) => mapped.segment.prefix(at),
            Entries::Recent(entries) => entries[at].0,
        }
    }

    /// Where an entry leads; none where that data file is condemned or gone.
    pub fn place(&self, at: usize) -> Option<Location> {
        let locator = match &self.entries {
            Entries::Segment(mapped) => mapped.segment.entry(at).1,
            Entries::Recent(entries) => entries[at].1,
        };
        let (file, frame, slot) = unpack(locator);
        let file = self.files.get(usize::from(file)).copied().flatten()?;
        Some(Location { file, frame, slot })
    }

    /// The first entry with this prefix or a greater one.
    pub fn lower_bound(&self, prefix: u64) -> usize {
        match &self.entries {
            Entries::Segment(mapped) => mapped.segment.lower_bound(prefix),
            Entries::Recent(entries) => entries.partition_point(|entry| entry.0 < prefix),
        }
    }

    /// Gives back the memory that the entries take, where they can be had from a file again.
    pub fn release(&self) {
        if let Entries::Segment(mapped) = &self.entries {
            mapped.segment.release();
        }
    }

    /// From now on entries lead to none of these data files.
    pub fn drop_files(&mut self, is_dropped: &dyn Fn(u32) -> bool) {
        for file in &mut self.files {
            *file = file.filter(|number| !is_dropped(*number));
        }
    }
}

/// A data file that gc has locked: nobody adds to it, and nobody else condemns it.
#[derive(Debug)]
pub struct LockedFile {
    _file: Arc<dyn DiskFile>,
}

/// A data file that is not condemned.
#[derive(Clone, Debug)]
pub struct StandingFile {
    /// Its number in this process.
    pub number: u32,
    /// The file.
    pub file: DataFile,
    /// The length in bytes up to which it is committed.
    pub committed: u64,
}

impl Store {
    /// The index as it is now, and the data files that it speaks of, each up to where it does. What is not committed is
    /// not in it.
    pub fn index_tables(&self) -> (Vec<IndexTable>, Vec<StandingFile>) {
        let state = self.state.read();
        let is_usable = |number: &u32| {
            let known = state.files.get(*number as usize);
            known.is_some_and(|known| !known.is_condemned)
        };
        let of_segment = |mapped: &Arc<Mapped>| IndexTable {
            files: mapped.files.iter().map(|file| file.filter(is_usable)).collect(),
            entries: Entries::Segment(mapped.clone()),
        };
        let mut tables: Vec<IndexTable> = state.segments.iter().map(of_segment).collect();
        let mut recent = Vec::new();
        self.recent.each(&mut |id, at| {
            let known = state.files.get(at.file as usize);
            if known.is_some_and(|known| at.frame < known.committed) {
                recent.push((id.prefix(), pack(at.file as u16, at.frame, at.slot)));
            }
        });
        recent.sort_unstable();
        tables.push(IndexTable {
            files: (0..state.files.len() as u32)
                .map(|number| Some(number).filter(is_usable))
                .collect(),
            entries: Entries::Recent(recent),
        });
        let standing = (0..)
            .zip(&state.files)
            .filter(|(_, known)| !known.is_condemned && !known.is_attached);
        let files = standing.map(|(number, known)| StandingFile {
            number,
            file: known.file.clone(),
            committed: known.committed,
        });
        (tables, files.collect())
    }

    /// One row of a frame's table, unchecked but for the row itself.
    pub fn row(&self, at: Location) -> Result<Option<Row>> {
        self.data_file(at.file)?.row(at.frame, at.slot)
    }

    /// Locks a data file that is committed up to `committed` and to which nobody has added since; none where somebody has,
    /// or does. Frames that no commit record closes are nobody's: who wrote them is dead, or this lock could not be had.
    pub fn lock_data_file(&self, number: u32, committed: u64) -> Result<Option<LockedFile>> {
        let mut file = self.data_file(number)?;
        let path = file.path.clone();
        file.file = self
            .disk
            .open(&path, OpenMode::Write)
            .map_err(Error::io("open", &path))?;
        if !file
            .file
            .try_lock(LockKind::Exclusive)
            .map_err(Error::io("lock", &path))?
        {
            return Ok(None);
        }
        let now = scan(&file, committed, committed, &mut |_| {})?.committed;
        Ok((now == committed).then_some(LockedFile { _file: file.file }))
    }
}
