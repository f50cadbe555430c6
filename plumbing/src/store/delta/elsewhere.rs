//! Objects whose bases are in another store.
//!
//! What arrives in quarantine may be made from what the repository has. So a store can be told of another one in which it
//! looks for bases that it does not have, and for nothing else. That both together are read like one store holds as long
//! as nobody removes what the other holds: who adopts from here makes sure of it before a ref changes.

use std::sync::Arc;

use crate::error::Result;
use crate::object::ObjectId;
use crate::store::Store;
use crate::store::data::read::Head;

impl Store {
    /// Looks for bases that are not here in `other` from now on. The first store that is given stays.
    pub(crate) fn lean_on(&self, other: Arc<Store>) {
        // There is one repository that a quarantine belongs to.
        let _ = self.deltas.elsewhere.set(other);
    }

    /// The store in which bases are that are not here.
    pub(crate) fn elsewhere(&self) -> Option<&Store> {
        self.deltas.elsewhere.get().map(|store| &**store)
    }

    /// The other store, if a base is to be looked for there.
    pub(super) fn elsewhere_for(&self, base: &ObjectId) -> Result<Option<&Self>> {
        match self.elsewhere() {
            Some(other) if self.locate(base)?.is_none() => Ok(Some(other)),
            _ => Ok(None),
        }
    }

    /// How deep the chain below an object is and how many objects getting it takes, here or where bases are looked for, by
    /// what its row says; none where it is in neither.
    fn depth_of(&self, id: &ObjectId) -> Result<Option<(u8, u16)>> {
        for store in std::iter::once(self).chain(self.elsewhere()) {
            if let Some(at) = store.locate(id)? {
                return store.depth_and_weight(at).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether the objects of a delta frame of another store are as deep and as heavy here as their rows say, at most. They
    /// are not where a base is stored in another way here than there, or where somebody lies: then they can be read, and
    /// must not be taken over as they are, since others would be made from them beyond the limits.
    pub(crate) fn bears(&self, head: &Head) -> Result<bool> {
        for (slot, part) in (0..).zip(&head.parts) {
            let (mut depth, mut weight) = (0, 1u16);
            for base in head.bases_of(slot) {
                let Some((base_depth, base_weight)) = self.depth_of(&base.id)? else {
                    return Ok(false);
                };
                depth = depth.max(base_depth);
                weight = weight.saturating_add(base_weight);
            }
            if depth >= part.depth || weight > part.weight {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::data::format::{Codec, Part};
    use crate::store::delta::tests::{disk, edited, id, open, put, row, text};

    #[test]
    fn rows_that_say_less_than_what_is_here_in_depth_or_in_weight_are_not_borne() {
        let store = open(&disk());
        let (old, new) = (text(0..300), edited(&text(0..300), 500));
        let base = put(&store, &old, &[]);
        let changed = put(&store, &new, &[base]);
        let head = |bases: &[ObjectId], depth: u8, weight: u16| {
            let bases: Vec<_> = bases.iter().map(|base| row(*base, 900)).collect();
            let part = Part {
                stored_bytes: 10,
                first: 0,
                count: bases.len() as u8,
                depth,
                weight,
            };
            let mut head = Head::nowhere(Codec::Delta, vec![row(id(b"next"), 900)], bases);
            head.parts.push(part);
            head
        };
        for (bases, depth, weight, expected) in [
            (&[base][..], 1, 2, true),
            (&[base], 1, 1, false),
            (&[base], 0, 2, false),
            (&[base], 2, 9, true),
            (&[base, base], 1, 3, true),
            (&[base, base], 1, 2, false),
            (&[changed], 2, 3, true),
            (&[changed], 2, 2, false),
            (&[changed], 1, 3, false),
            (&[changed, base], 2, 4, true),
            (&[base, id(b"nowhere")], 8, 64, false),
        ] {
            let borne = store.bears(&head(bases, depth, weight)).unwrap();
            assert_eq!(borne, expected, "{} bases, depth {depth}, weight {weight}", bases.len());
        }
    }
}
