//! What waits to be compressed against bases: gathered by all threads of a job, by the frame in which the chains of its
//! bases end, its *root*.
//!
//! 1. An object is added to the unit of its root. Nothing is decompressed for that.
//! 2. Where all units together take more than [`WAITING_BYTES_MAX`], the one to which nothing was added for longest is taken out: a
//!    walk comes along in about the order in which the frames were written, so that one is most likely complete.
//! 3. At the end each thread takes one unit after the other until there are none.
//!
//! So a frame is decompressed about once a job, however its objects were mixed, memory is bounded, and no thread is left
//! alone with what waited.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::plan::Plan;
use crate::object::{ObjectId, ObjectKind};
use crate::store::{Class, Location};

/// Bytes that wait: those of about a hundred times as much that did not change, in a tree of sources.
const WAITING_BYTES_MAX: usize = 12 << 20;
/// What an object takes beside its bytes, about.
const OBJECT_BYTES: usize = 256;

/// Objects that wait.
#[derive(Debug, Default)]
pub struct Pending {
    units: HashMap<(u32, u64), Unit>,
    /// Units by when something was last added to them.
    order: BTreeMap<u64, (u32, u64)>,
    bytes: usize,
    added: u64,
}

/// Objects of one root.
#[derive(Debug)]
pub struct Unit {
    /// Where the frame lies.
    pub root: Location,
    /// In the order in which they came.
    pub objects: Vec<Waiting>,
    bytes: usize,
    last: u64,
}

impl Unit {
    /// The last object of the frame that these need, as far as the chains of their first bases tell.
    pub fn last_slot(&self) -> u16 {
        let roots = self.objects.iter().map(|object| object.plan.root.slot);
        roots.max().unwrap_or(self.root.slot)
    }
}

/// An object that waits.
#[derive(Debug)]
pub struct Waiting {
    pub id: ObjectId,
    pub kind: ObjectKind,
    /// Where it goes if a delta does not pay.
    pub class: Class,
    /// Its bytes.
    pub raw: Vec<u8>,
    /// How it is to be compressed.
    pub plan: Plan,
}

impl Pending {
    /// Adds an object to the unit of its root.
    pub fn push(&mut self, object: Waiting) {
        let root = object.plan.root;
        let bytes = object.raw.len() + OBJECT_BYTES;
        self.added += 1;
        let unit = self.units.entry((root.file, root.frame)).or_insert_with(|| Unit {
            root,
            objects: Vec::new(),
            bytes: 0,
            last: 0,
        });
        self.order.remove(&unit.last);
        self.order.insert(self.added, (root.file, root.frame));
        unit.last = self.added;
        unit.bytes += bytes;
        unit.objects.push(object);
        self.bytes += bytes;
    }

    /// A unit, where more waits than should.
    pub fn take_excess(&mut self) -> Option<Unit> {
        (self.bytes > WAITING_BYTES_MAX).then(|| self.take()).flatten()
    }

    /// The unit to which nothing was added for longest.
    pub fn take(&mut self) -> Option<Unit> {
        let (_, key) = self.order.pop_first()?;
        let unit = self.units.remove(&key)?;
        self.bytes -= unit.bytes;
        Some(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::HashAlgo;

    fn waiting(frame: u64, bytes: usize) -> Waiting {
        let root = Location {
            file: 0,
            frame,
            slot: 0,
        };
        Waiting {
            id: ObjectId::hash(HashAlgo::Sha256, &[]),
            kind: ObjectKind::Block,
            class: Class::Small,
            raw: vec![0; bytes],
            plan: Plan::of_root(root),
        }
    }

    #[test]
    fn what_was_left_alone_for_longest_goes_first_and_only_when_room_is_wanted() {
        let mut pending = Pending::default();
        for frame in [1, 2, 3, 1] {
            pending.push(waiting(frame, WAITING_BYTES_MAX / 5));
            assert!(pending.take_excess().is_none());
        }
        pending.push(waiting(4, WAITING_BYTES_MAX / 4));
        let unit = pending.take_excess().unwrap();
        assert_eq!((unit.root.frame, unit.objects.len()), (2, 1));
        assert!(pending.take_excess().is_none());
        let rest: Vec<(u64, usize)> = std::iter::from_fn(|| pending.take())
            .map(|unit| (unit.root.frame, unit.objects.len()))
            .collect();
        assert_eq!(rest, [(3, 1), (1, 2), (4, 1)]);
        assert_eq!(pending.bytes, 0);
    }
}
