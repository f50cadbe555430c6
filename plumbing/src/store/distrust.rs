//! Places that do not read. Look-ups pass over them, so that another copy of an object is found, or none: then it is
//! stored again by whoever brings it.
//!
//! What is distrusted is known to this process alone; a place is found again by whoever reads it. Damaged files leave
//! the look-ups for good when [`crate::repair`] has put them aside.
//!
//! What is made from a distrusted copy may read all the same, if it takes nothing of the damaged part: its own hash tells.
//! So where there is no other, whoever needs such a copy as a base still finds it ([`Store::passed_over`]). Whether an object
//! reads does so not depend on what was read before.

use hashbrown::{HashMap, HashSet};

use super::data::format::{FILE_HEADER_BYTES, Row};
use super::{Location, State, Store};
use crate::error::{Error, Result};
use crate::limits::DELTA_READS_MAX;
use crate::object::ObjectId;

/// What look-ups pass over.
#[derive(Debug, Default)]
pub(super) struct Distrust {
    places: HashSet<Location>,
    /// The first of these places of each object.
    copies: HashMap<ObjectId, Location>,
    files: HashSet<u32>,
    /// Why an object did not read, for whoever asks again and finds no other copy.
    reasons: HashMap<ObjectId, Reason>,
}

#[derive(Debug)]
struct Reason {
    path: std::path::PathBuf,
    offset: u64,
    expected: String,
    found: String,
}

impl Distrust {
    /// Whether look-ups pass over this place.
    pub(super) fn has(&self, at: &Location) -> bool {
        self.has_file(at.file) || (!self.places.is_empty() && self.places.contains(at))
    }

    /// Whether look-ups pass over the whole file.
    pub(super) fn has_file(&self, number: u32) -> bool {
        !self.files.is_empty() && self.files.contains(&number)
    }
}

impl Store {
    /// Passes over these places from now on. Where other copies of the objects are, they are found.
    pub fn distrust(&self, places: &[Location]) -> Result<()> {
        let mut state = self.state.write();
        let State { files, distrust, .. } = &mut *state;
        let before = distrust.places.len();
        for at in places.iter().filter(|at| distrust.places.insert(**at)) {
            // A row that does not read is of no use as a base either.
            let row = files
                .get(at.file as usize)
                .map(|known| known.file.row(at.frame, at.slot));
            if let Some(Ok(Some(row))) = row {
                distrust.copies.entry(row.id).or_insert(*at);
            }
        }
        match distrust.places.len() > before {
            true => self.look_again(&mut state),
            false => Ok(()),
        }
    }

    /// Where the copy of an object lies that look-ups pass over.
    pub(super) fn passed_over(&self, id: &ObjectId) -> Option<Location> {
        self.state.read().distrust.copies.get(id).copied()
    }

    /// Passes over everything in these data files, by their numbers. Nothing is appended to them either.
    pub fn distrust_files(&self, numbers: &[u32]) -> Result<()> {
        let mut state = self.state.write();
        state.distrust.files.extend(numbers);
        self.look_again(&mut state)
    }

    /// What no segment covers is scanned again: of several copies only the first was noted.
    fn look_again(&self, state: &mut State) -> Result<()> {
        let distrust = &state.distrust;
        self.recent.forget(&|at| distrust.has(&at));
        for known in &mut state.files {
            known.committed = known.covered;
            known.scanned = 0;
            known.noted_objects = FILE_HEADER_BYTES;
        }
        self.refresh_state(state)
    }

    /// The bytes of an object of which the copy at `at` did not read, from another copy; else the error.
    pub(super) fn get_elsewhere(&self, id: &ObjectId, mut at: Location, error: Error) -> Result<Vec<u8>> {
        self.note_reason(id, &error);
        if let Some(bytes) = unless_damaged(self.get_from_others(id, at))?.flatten() {
            return Ok(bytes);
        }
        loop {
            self.distrust(&[at])?;
            let Some(next) = self.locate_or_bring(id)? else {
                return Err(error);
            };
            match self.get_at(id, next) {
                Err(other) if other.is_damage() && next != at => at = next,
                read => return read,
            }
        }
    }

    /// The bytes of the object at `at`, which did not read, if it does now that all it is made from was read, from whichever
    /// copies of that do.
    fn get_from_others(&self, id: &ObjectId, at: Location) -> Result<Option<Vec<u8>>> {
        let bases = self.bases_at(at)?;
        if bases.is_empty() || !self.leads_to_few(&bases, id)? {
            return Ok(None);
        }
        for base in &bases {
            if self.get(&base.id)?.is_none() {
                return Ok(None);
            }
        }
        self.get_at(id, at).map(Some)
    }

    /// Whether these lead to no more bases than an object may have, and not back to `id`.
    fn leads_to_few(&self, bases: &[Row], id: &ObjectId) -> Result<bool> {
        let (mut pending, mut seen) = (bases.to_vec(), HashSet::new());
        while let Some(base) = pending.pop() {
            if base.id == *id || seen.len() == usize::from(DELTA_READS_MAX) {
                return Ok(false);
            }
            if seen.insert(base.id)
                && let Some(at) = self.locate(&base.id)?
            {
                pending.extend(self.bases_at(at)?);
            }
        }
        Ok(true)
    }

    /// The bytes of an object from another copy than the one at `at`, if there is one that reads.
    pub fn another_copy(&self, id: &ObjectId, at: Location) -> Result<Option<Vec<u8>>> {
        self.distrust(&[at])?;
        match self.locate_or_bring(id)? {
            Some(_) => self.get(id),
            None => Ok(None),
        }
    }

    fn note_reason(&self, id: &ObjectId, error: &Error) {
        if let Error::Damaged {
            path,
            offset,
            expected,
            found,
        } = error
        {
            let reason = Reason {
                path: path.clone(),
                offset: *offset,
                expected: expected.clone(),
                found: found.clone(),
            };
            self.state.write().distrust.reasons.insert(*id, reason);
        }
    }

    /// Why an object that is not found did not read, if somebody tried.
    pub(crate) fn reason_of(&self, id: &ObjectId) -> Option<Error> {
        let state = self.state.read();
        let reason = state.distrust.reasons.get(id)?;
        Some(Error::damaged(
            &reason.path,
            reason.offset,
            &reason.expected,
            &reason.found,
        ))
    }
}

/// What was read; none where it is damaged.
fn unless_damaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.is_damage() => Ok(None),
        read => read.map(Some),
    }
}
