//! Looking objects up, and reading them.
//!
//! 1. `recent` is asked first, then each segment, the largest first; every hit is compared with the id in the data file.
//! 2. A miss of something that is needed is not believed at once ([`supply`](super::supply)).
//! 3. Where one copy of an object does not read, another is looked for.

use super::data::format::Row;
use super::data::read::{DataFile, Frame};
use super::delta::Deltas;
use super::index::format::unpack;
use super::recent::State as RecentState;
use super::{Location, Mapped, State, Store};
use crate::error::{Error, Result};
use crate::object::{IdPrefix, ObjectId, ObjectKind};

impl Store {
    /// Where an object lies.
    pub fn locate(&self, id: &ObjectId) -> Result<Option<Location>> {
        match self.recent.get(id) {
            Some(RecentState::At(at)) => Ok(Some(at)),
            _ => self.locate_in_segments(id),
        }
    }

    pub(super) fn locate_in_segments(&self, id: &ObjectId) -> Result<Option<Location>> {
        let state = self.state.read();
        for mapped in state.segments.iter().chain(&state.spilled) {
            for locator in mapped.segment.candidates(id.prefix()) {
                if let Some((at, _)) = confirm(&self.deltas, &state, mapped, locator, |found| found == id)?
                    && !state.files[at.file as usize].is_condemned
                {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    /// Whether the object is there.
    pub fn contains(&self, id: &ObjectId) -> Result<bool> {
        Ok(self.locate(id)?.is_some())
    }

    /// The kind that the object was stored as.
    pub fn kind_of(&self, id: &ObjectId) -> Result<Option<ObjectKind>> {
        let Some(at) = self.locate_to_read(id)? else {
            return Ok(None);
        };
        Ok(self.row_at(at)?.map(|row| row.kind))
    }

    /// The row of the object at `at`, unchecked but for the row itself.
    pub(crate) fn row_at(&self, at: Location) -> Result<Option<Row>> {
        self.data_file(at.file)?.row(at.frame, at.slot)
    }

    /// The bytes of an object, hash checked. Where one copy does not read, another is looked for.
    pub fn get(&self, id: &ObjectId) -> Result<Option<Vec<u8>>> {
        let Some(at) = self.locate_to_read(id)? else {
            return self.reason_of(id).map_or(Ok(None), Err);
        };
        match self.get_at(id, at) {
            Err(error) if error.is_damage() => self.get_elsewhere(id, at, error).map(Some),
            read => read.map(Some),
        }
    }

    pub(super) fn get_at(&self, id: &ObjectId, at: Location) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.near().read(at, id, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads and decompresses one frame (the slot is not looked at), reusing the buffers of `into`.
    pub fn read_frame(&self, at: Location, into: &mut Frame) -> Result<()> {
        into.clear();
        let (file, head) = self.head(at)?;
        into.read_payload(&file, head, &self.near())
    }

    pub(super) fn data_file(&self, number: u32) -> Result<DataFile> {
        let state = self.state.read();
        let known = state.files.get(number as usize);
        known.map(|known| known.file.clone()).ok_or_else(|| {
            Error::invalid(
                "location",
                number,
                "no data file has that number; it is from another run",
            )
        })
    }

    /// Ids that begin so: at most `limit`.
    pub fn find_prefix(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<ObjectId>> {
        let (low, high) = prefix.range();
        let mut found: Vec<ObjectId> = Vec::new();
        self.recent.each(&mut |id, _| {
            if prefix.matches(id) && found.len() < limit {
                found.push(*id);
            }
        });
        let state = self.state.read();
        for mapped in state.segments.iter().chain(&state.spilled) {
            let segment = &mapped.segment;
            for at in segment.lower_bound(low)..segment.len() {
                let (found_prefix, locator) = segment.entry(at);
                if found_prefix > high || found.len() >= limit {
                    break;
                }
                if let Some((_, id)) = confirm(&self.deltas, &state, mapped, locator, |id| prefix.matches(id))? {
                    found.push(id);
                }
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// Follows a locator and compares the id in the data file; a locator that leads nowhere is no hit.
pub(super) fn confirm(
    deltas: &Deltas,
    state: &State,
    mapped: &Mapped,
    locator: u64,
    is_wanted: impl Fn(&ObjectId) -> bool,
) -> Result<Option<(Location, ObjectId)>> {
    let (file, frame, slot) = unpack(locator);
    let Some(Some(number)) = mapped.files.get(usize::from(file)) else {
        return Ok(None);
    };
    let Some(known) = state.files.get(*number as usize) else {
        return Ok(None);
    };
    let at = Location {
        file: *number,
        frame,
        slot,
    };
    if state.distrust.has(&at) {
        return Ok(None);
    }
    let at_hand = deltas.row_at_hand(at);
    let row = match state.window.try_lock() {
        _ if at_hand.is_some() => at_hand,
        Some(mut window) => known.file.row_through(&mut window, known.covered, frame, slot)?,
        None => known.file.row(frame, slot)?,
    };
    Ok(row.filter(|row| is_wanted(&row.id)).map(|row| (at, row.id)))
}
