//! Checking many objects that have bases: each frame is decompressed once, each object about once.
//!
//! 1. [`Store::leaning`] says of every object of a delta frame in which frame its chain ends: its root.
//! 2. Sorted, the objects of one root follow each other, those near to it first.
//! 3. [`Store::check_leaning`] takes them with the frame of their root at hand, and keeps what it has decompressed, in
//!    bounds, as most of it is the base of what follows.

use std::cell::{Cell, RefCell};

use hashbrown::HashMap;

use super::{Near, Row};
use crate::error::Result;
use crate::object::ObjectId;
use crate::store::data::delta::{Bases, Decoder};
use crate::store::data::read::Head;
use crate::store::{Frame, Location, Store};

/// Bytes of decompressed objects that are kept while those of one root are checked.
const KEPT_BYTES: usize = 8 << 20;

/// An object that has bases. Sorted, those of one root follow each other, the less deep first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaning {
    /// Data file and offset of the frame in which the chain of its bases ends.
    pub root: (u32, u64),
    depth: u8,
    /// Where it lies.
    pub at: Location,
}

/// The objects of one root.
struct Unit<'a> {
    near: Near<'a>,
    kept: RefCell<HashMap<ObjectId, Vec<u8>>>,
    bytes: Cell<usize>,
}

impl Bases for Unit<'_> {
    fn append(&self, base: &Row, out: &mut Vec<u8>, decoder: &mut Decoder) -> Result<()> {
        if let Some(bytes) = self.kept.borrow().get(&base.id) {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        self.near.append_base(base, out, self, decoder)
    }
}

impl Store {
    /// The objects of a delta frame of data file `file`; none of other frames. Where a chain of bases is broken, its end
    /// is the object itself.
    pub fn leaning(&self, file: u32, head: &Head) -> Result<Vec<Leaning>> {
        let mut out = Vec::with_capacity(head.parts.len());
        for (slot, part) in (0..).zip(&head.parts) {
            let frame = head.offset;
            let at = Location { file, frame, slot };
            let root = match self.root_of(at) {
                // It cannot be read, and those beside it perhaps can: each is to be tried.
                Err(error) if error.is_damage() => at,
                root => root?,
            };
            out.push(Leaning {
                root: (root.file, root.frame),
                depth: part.depth,
                at,
            });
        }
        Ok(out)
    }

    /// Reads objects of one root and compares their hashes. `frame` is that of their root, if it reads. What is found is
    /// told: the length of the object, or why it cannot be read.
    pub fn check_leaning(
        &self,
        objects: &[Leaning],
        frame: Option<&Frame>,
        tell: &mut dyn FnMut(Location, ObjectId, Result<usize>) -> Result<()>,
    ) -> Result<()> {
        let Some(first) = objects.first() else { return Ok(()) };
        let root = Location {
            file: first.root.0,
            frame: first.root.1,
            slot: 0,
        };
        let unit = Unit {
            near: frame.map_or_else(|| self.near(), |frame| Near::new(self, root, frame)),
            kept: RefCell::default(),
            bytes: Cell::new(0),
        };
        let mut decoder = Decoder::default();
        for object in objects {
            // A row that does not read is damage of its frame, which is told with that.
            let Some(row) = self.row_at(object.at)? else { continue };
            let mut bytes = Vec::new();
            decoder.begin();
            let read = unit.near.append_at(object.at, &row.id, &mut bytes, &unit, &mut decoder);
            let checked = read.and_then(|()| self.check_hash(object.at, &row.id, &bytes));
            tell(object.at, row.id, checked.map(|()| bytes.len()))?;
            unit.keep(row.id, bytes);
        }
        Ok(())
    }
}

impl Unit<'_> {
    fn keep(&self, id: ObjectId, bytes: Vec<u8>) {
        let length = bytes.len();
        let mut kept = self.kept.borrow_mut();
        if self.bytes.get() + length > KEPT_BYTES {
            kept.clear();
            self.bytes.set(0);
        }
        if length <= KEPT_BYTES && kept.insert(id, bytes).is_none() {
            self.bytes.set(self.bytes.get() + length);
        }
    }
}
