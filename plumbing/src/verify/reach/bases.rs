//! Whether what objects are made from is there.
//!
//! 1. A frame *stands* if all of its bases are there, in frames that stand. That is found out once for each frame, from the
//!    tables alone, and is so for nearly all. A chain of frames may be as long as the history: each snapshot's leans on that of
//!    the one before, though no object has more than a few bases one below the other. So it is followed with a stack of its
//!    own and has no limit.
//! 2. Objects of a frame that does not stand are looked at one by one. Their chains are followed as far as who reads them does.

use std::collections::BTreeSet;

use super::{Header, Walk};
use crate::error::Result;
use crate::limits::DELTA_LINKS_MAX;
use crate::object::ObjectId;
use crate::store::Location;
use crate::store::data::format::Row;

/// A frame that is being looked at.
struct Visit {
    place: (u32, u64),
    /// Its bases are all there, as far as is known.
    stands: bool,
    /// Frames that it leans on and that are still to be asked.
    below: Vec<(u32, u64)>,
}

impl Walk<'_> {
    /// What is wrong with the objects that the one at `at` is made from.
    pub(super) fn fault_of_bases(&mut self, at: Location) -> Result<Option<String>> {
        if self.stands((at.file, at.frame))? {
            return Ok(None);
        }
        let (_, head) = self.scope.store.head(at)?;
        for base in head.bases_of(at.slot) {
            let fault = self.fault_of_base(base)?;
            self.bases.insert(base.id, fault.clone());
            if let Some(fault) = fault {
                return Ok(Some(format!("it is made from object {}: {fault}", base.id)));
            }
        }
        Ok(None)
    }

    /// What is wrong with an object that others are made from.
    fn fault_of_base(&mut self, base: &Row) -> Result<Option<String>> {
        if let Some(known) = self.bases.get(&base.id) {
            return Ok(known.clone());
        }
        if self.links == DELTA_LINKS_MAX {
            return Ok(Some(format!(
                "a chain of more than {DELTA_LINKS_MAX} bases, or a cycle"
            )));
        }
        self.links += 1;
        let fault = self.fault(&base.id, base.kind);
        self.links -= 1;
        fault
    }

    /// Whether a frame stands. One that leads back to itself does not.
    fn stands(&mut self, place: (u32, u64)) -> Result<bool> {
        if let Some(&known) = self.standing.get(&place) {
            return Ok(known);
        }
        let mut stack = vec![self.visit(place)?];
        while let Some(visit) = stack.last_mut() {
            if let Some(below) = visit.below.pop() {
                match self.standing.get(&below) {
                    Some(true) => {}
                    Some(false) => visit.stands = false,
                    // It is asked again when it is known.
                    None => {
                        visit.below.push(below);
                        let deeper = self.visit(below)?;
                        stack.push(deeper);
                    }
                }
            } else {
                self.standing.insert(visit.place, visit.stands);
                stack.pop();
            }
        }
        Ok(self.standing.get(&place) == Some(&true))
    }

    /// Begins with a frame that has bases.
    fn visit(&mut self, place: (u32, u64)) -> Result<Visit> {
        let (file, frame) = place;
        let (_, head) = self.scope.store.head(Location { file, frame, slot: 0 })?;
        let (mut stands, mut below) = (true, BTreeSet::new());
        for base in &head.bases {
            match self.place_of_base(&base.id)? {
                Some((place, Header { has_bases: true })) => drop(below.insert(place)),
                Some(_) => {}
                None => stands = false,
            }
        }
        // Who comes back here meanwhile is part of a cycle.
        self.standing.insert(place, false);
        Ok(Visit {
            place,
            stands,
            below: below.into_iter().collect(),
        })
    }

    /// The frame in which a base lies, if that reads.
    fn place_of_base(&mut self, id: &ObjectId) -> Result<Option<((u32, u64), Header)>> {
        let Some(at) = self.scope.store.locate(id)? else {
            return Ok(None);
        };
        let place = (at.file, at.frame);
        if let Some(frames) = &mut self.frames {
            frames.insert(place);
        }
        let header = self.scope.readable.header(self.scope.store, at)?;
        Ok(header.map(|header| (place, header)))
    }
}
