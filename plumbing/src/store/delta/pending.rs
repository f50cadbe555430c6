//! What waits to be compressed against bases: gathered by all threads of a job, by the frame in which the chains of its
//! bases end, its *root*.
//!
//! 1. An object is added to the unit of its root. Nothing is decompressed for that.
//! 2. Where all units together take more than [`WAITING_BYTES_MAX`], the one to which nothing was added for longest is taken out: a
//!    walk comes along in about the order in which the frames were written, so that one is most likely complete.
//! 3. One that has [`UNIT_BYTES_MAX`] is taken out at once: of a large file in which everything changed, a frame's worth would wait
//!    here while as much is in the hands of each thread.
//! 4. At the end each thread takes one unit after the other until there are none.
//!
//! So a frame is decompressed about once a job, however its objects were mixed, memory is bounded, and no thread is left
//! alone with what waited.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::plan::Plan;
use crate::object::{ObjectId, ObjectKind};
use crate::store::data::format::Row;
use crate::store::{Class, Location};

/// Bytes that wait: those of about a hundred times as much that did not change, in a tree of sources.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Bytes of one unit: a long frame of bases is decompressed some times for that, as far as is needed each time.
const UNIT_BYTES_MAX: usize = 5 << 20;
/// What an object takes beside its bytes, about.
const OBJECT_BYTES: usize = 256;

/// Objects that wait.
#[derive(Debug, Default)]
pub struct Pending {
    units: HashMap<(u32, u64), Unit>,
    /// Units by when something was last added to them.
    order: BTreeMap<u64, (u32, u64)>,
    /// Units that have all that they may.
    full: Vec<(u32, u64)>,
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

impl Waiting {
    /// Its row in a table.
    pub fn row(&self) -> Row {
        Row {
            id: self.id,
            kind: self.kind,
            bytes: self.raw.len() as u32,
        }
    }
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
        if unit.bytes >= UNIT_BYTES_MAX {
            self.full.push((root.file, root.frame));
        }
        self.bytes += bytes;
    }

    /// A unit that is full, or any where more waits than should.
    pub fn take_excess(&mut self) -> Option<Unit> {
        while let Some(key) = self.full.pop() {
            // It may have been taken meanwhile.
            if let Some(unit) = self.remove(key) {
                return Some(unit);
            }
        }
        (self.bytes > WAITING_BYTES_MAX).then(|| self.take()).flatten()
    }

    /// The unit to which nothing was added for longest.
    pub fn take(&mut self) -> Option<Unit> {
        let (_, key) = self.order.first_key_value()?;
        self.remove(*key)
    }

    fn remove(&mut self, key: (u32, u64)) -> Option<Unit> {
        let unit = self.units.remove(&key)?;
        self.order.remove(&unit.last);
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
    fn what_is_full_goes_at_once() {
        let mut pending = Pending::default();
        pending.push(waiting(1, 1000));
        for _ in 0..4 {
            assert!(pending.take_excess().is_none());
            pending.push(waiting(2, UNIT_BYTES_MAX / 4));
        }
        let unit = pending.take_excess().unwrap();
        assert_eq!((unit.root.frame, unit.objects.len()), (2, 4));
        assert!(pending.take_excess().is_none());
        assert_eq!(pending.take().unwrap().root.frame, 1);
        assert_eq!((pending.bytes, pending.order.len()), (0, 0));
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

    #[test]
    fn a_unit_needs_its_frame_as_far_as_the_last_of_its_roots() {
        let slots = |slots: &[u16]| {
            let mut pending = Pending::default();
            for &slot in slots {
                let mut object = waiting(3, 10);
                object.plan.root.slot = slot;
                pending.push(object);
            }
            pending.take().unwrap().last_slot()
        };
        assert_eq!(slots(&[0]), 0);
        assert_eq!(slots(&[2, 7, 5]), 7);
        let (root, objects) = (waiting(3, 10).plan.root, Vec::new());
        let root = Location { slot: 4, ..root };
        let empty = Unit {
            root,
            objects,
            bytes: 0,
            last: 0,
        };
        assert_eq!(empty.last_slot(), 4);
    }

    #[test]
    fn as_much_waits_as_may_and_what_is_taken_waits_no_more() {
        let half = (4 << 20) - OBJECT_BYTES;
        for (more, is_taken) in [(0, false), (1, true)] {
            let mut pending = Pending::default();
            pending.push(waiting(1, half));
            pending.push(waiting(2, half + more));
            assert_eq!(pending.bytes, (8 << 20) + more);
            assert_eq!(pending.take_excess().is_some(), is_taken);
        }
        let mut pending = Pending::default();
        pending.push(waiting(1, 1000));
        pending.push(waiting(2, 300));
        pending.push(waiting(2, 30));
        assert_eq!(pending.take().unwrap().bytes, 1000 + OBJECT_BYTES);
        assert_eq!(pending.bytes, 330 + 2 * OBJECT_BYTES);
        pending.take().unwrap();
        assert_eq!(pending.bytes, 0);
        assert!(pending.take().is_none());
    }
}
