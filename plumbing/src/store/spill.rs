//! Ids of bundles and spools that are too many for memory.
//!
//! Such stores have no folder of segments. Where [`recent`](super::recent) holds more than [`IDS_MAX`] of their ids:
//!
//! 1. all of them go to an index segment in a file beside the store, which loses its name as soon as it is mapped;
//! 2. small ones are merged as those of a repository are, so that few are asked.
//!
//! Where no such file can be made, ids stay in memory, as many as they are.
//!
//! Invariants: an id is in `recent`, or in a segment, or about to be in one while this holds the lock of the state, for
//! which whoever does not find it in `recent` waits. Segments are of use to this process alone: nothing is synced.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::data::format::FILE_HEADER_BYTES;
use super::index::format::{Cover, pack};
use super::index::merge::{merge_unnamed, plan};
use super::index::read::Segment;
use super::index::write::SegmentWriter;
use super::segments::with_numbers;
use super::{Known, Layout, Location, State, Store};
use crate::disk::temporary_beside;
use crate::error::{Error, Result};
use crate::object::ObjectId;

/// Ids of bundles that are kept in memory: about two megabytes a store, of which a job may have several.
pub(super) const IDS_MAX: usize = 32 << 10;

impl Store {
    /// Moves ids of bundles to a segment where they have become many.
    pub(super) fn spill_if_many(&self) {
        if self.has_too_many() {
            self.spill(&mut self.state.write());
        }
    }

    /// The same with the lock held.
    pub(super) fn spill_if_many_in(&self, state: &mut State) {
        if self.has_too_many() {
            self.spill(state);
        }
    }

    fn has_too_many(&self) -> bool {
        self.recent.count() > self.recent_max.load(Relaxed)
    }

    fn spill(&self, state: &mut State) {
        // What a repository has is covered by segments with names.
        let is_ours = |known: &Known| known.is_attached || self.is_single();
        let numbers: Vec<bool> = state.files.iter().map(is_ours).collect();
        let ids = self
            .recent
            .drain(&|file| numbers.get(file as usize).copied().unwrap_or(false));
        let limit = self.recent_max.load(Relaxed);
        let written = match ids.len() > limit / 2 {
            true => self.write_spilled(state, &ids).ok(),
            false => None,
        };
        if let Some(segment) = written {
            let mapped = with_numbers(state, segment);
            state.spilled.push(Arc::new(mapped));
            return self.merge_spilled(state);
        }
        // Most are of others, or nothing can be written here: memory is what is left, and to try again for each frame
        // would only take time.
        self.recent_max.store(limit.saturating_mul(2), Relaxed);
        ids.into_iter().for_each(|(id, at)| self.recent.set(id, at));
    }

    /// For tests: so many ids are kept in memory.
    #[cfg(test)]
    pub(crate) fn keep_in_memory(&self, ids: usize) {
        self.recent_max.store(ids, Relaxed);
    }

    fn write_spilled(&self, state: &State, ids: &[(ObjectId, Location)]) -> Result<Segment> {
        let mut covers: Vec<Cover> = state.files.iter().map(whole).collect();
        covers.sort();
        let place = |number: u32| {
            let file = state.files.get(number as usize).map(|known| known.file.header.file);
            file.map_or(u16::MAX, |file| {
                covers.partition_point(|cover| cover.file < file) as u16
            })
        };
        let places: Vec<u16> = (0..state.files.len() as u32).map(place).collect();
        let entry = |(id, at): &(ObjectId, Location)| {
            let place = places.get(at.file as usize).copied().unwrap_or(u16::MAX);
            (id.prefix(), pack(place, at.frame, at.slot))
        };
        let mut entries: Vec<(u64, u64)> = ids.iter().map(entry).collect();
        entries.sort_unstable();
        let temporary = self.unnamed_path(state)?;
        let count = entries.len() as u64;
        let mut writer =
            SegmentWriter::create_unnamed(&*self.disk, temporary.clone(), &self.repository, &covers, count)?;
        let pushed = entries
            .into_iter()
            .try_for_each(|(prefix, locator)| writer.push(prefix, locator));
        if pushed.is_err() {
            // The error that led here is the one to tell.
            let _ = self.disk.remove(&temporary);
        }
        pushed?;
        writer.finish_unnamed()
    }

    /// Merges the smallest, if they have become many. They are as good as they are where this fails.
    fn merge_spilled(&self, state: &mut State) {
        state.spilled.sort_by_key(|mapped| mapped.segment.len());
        let sizes: Vec<usize> = state.spilled.iter().map(|mapped| mapped.segment.len()).collect();
        let count = plan(&sizes);
        if count < 2 {
            return;
        }
        let inputs: Vec<&Segment> = state.spilled[..count].iter().map(|mapped| &mapped.segment).collect();
        let merged = self
            .unnamed_path(state)
            .and_then(|temporary| merge_unnamed(&*self.disk, temporary, &self.repository, &inputs));
        if let Ok(segment) = merged {
            let mapped = with_numbers(state, segment);
            state.spilled.splice(..count, [Arc::new(mapped)]);
        }
    }

    /// A name beside the store that nothing has.
    fn unnamed_path(&self, state: &State) -> Result<PathBuf> {
        let beside = match (&self.layout, state.files.first()) {
            (Layout::Repository { index, .. }, _) => &index.join("attached"),
            (Layout::Bundle(path), _) => path,
            (Layout::Spool, Some(known)) => &known.file.path,
            (Layout::Spool, None) => return Err(Error::invalid("spool", "index", "it has no file")),
        };
        temporary_beside(&*self.disk, beside)
    }
}

/// All of a file: where it ends does not matter to whom it is for.
fn whole(known: &Known) -> Cover {
    Cover {
        file: known.file.header.file,
        from: FILE_HEADER_BYTES,
        to: u64::MAX,
    }
}

#[cfg(test)]
mod tests;
