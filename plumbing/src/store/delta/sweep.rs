//! Checking many objects that have bases: each frame is decompressed once, each object about once.
//!
//! 1. [`Gathered`] says of every object of a delta frame in which object of which frame its chain ends: its root. Of frames that
//!    follow each other, that is mostly what is known of its base.
//! 2. Sorted, the objects of one frame follow each other, those of one root side by side, those near to it first.
//! 3. [`Store::check_leaning`] takes them with the frame of their roots at hand, and keeps what it has decompressed, in
//!    bounds, as most of it is the base of what follows. What was kept is hashed together, two objects at a time.

use std::cell::RefCell;

use hashbrown::HashMap;

use super::{Near, Row};
use crate::error::Result;
use crate::object::ObjectId;
use crate::object::sha256x2::hash_all;
use crate::store::data::delta::{Bases, Decoder};
use crate::store::data::read::Head;
use crate::store::{Frame, Location, Store};

/// Bytes of decompressed objects that are kept while those of one frame are checked.
const KEPT_BYTES: usize = 8 << 20;
/// The same between two roots: what is kept then is the base of nothing that follows.
const KEPT_BETWEEN_BYTES: usize = 1 << 20;
/// Buffers that are used again, and the length up to which one is.
const SPARE_MAX: usize = 32;
const SPARE_BYTES_MAX: usize = 128 << 10;

/// An object that has bases. Sorted, those of one root follow each other, the less deep first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaning {
    /// Data file and offset of the frame in which the chain of its bases ends.
    pub root: (u32, u64),
    /// In which object of that.
    root_slot: u16,
    depth: u8,
    /// Where it lies.
    pub at: Location,
}

impl Leaning {
    fn root(&self) -> Location {
        Location {
            file: self.root.0,
            frame: self.root.1,
            slot: self.root_slot,
        }
    }
}

/// The objects of delta frames, as they were added.
#[derive(Debug, Default)]
pub struct Gathered {
    objects: Vec<Leaning>,
    /// The number of the first object of each frame.
    frames: HashMap<(u32, u64), usize>,
}

impl Gathered {
    /// Adds the objects of a delta frame of data file `file`; none of other frames, and none where that fails. Where a chain of
    /// bases is broken, its end is the object itself.
    pub fn add(&mut self, store: &Store, file: u32, head: &Head) -> Result<()> {
        let (first, frame) = (self.objects.len(), head.offset);
        for (slot, part) in (0..).zip(&head.parts) {
            let at = Location { file, frame, slot };
            let root = match self.root_of(store, at, head.bases_of(slot)) {
                // It cannot be read, and those beside it perhaps can: each is to be tried.
                Err(error) if error.is_damage() => at,
                Err(error) => {
                    self.objects.truncate(first);
                    return Err(error);
                }
                Ok(root) => root,
            };
            self.objects.push(Leaning {
                root: (root.file, root.frame),
                root_slot: root.slot,
                depth: part.depth,
                at,
            });
        }
        self.frames.insert((file, frame), first);
        Ok(())
    }

    fn root_of(&self, store: &Store, at: Location, bases: &[Row]) -> Result<Location> {
        let base = bases.first().map(|base| store.locate(&base.id)).transpose()?;
        let Some(base) = base.flatten() else { return Ok(at) };
        let first = self.frames.get(&(base.file, base.frame));
        let known = first.and_then(|first| self.objects.get(first + usize::from(base.slot)));
        match known.filter(|known| known.at == base) {
            Some(known) => Ok(known.root()),
            None => store.root_of(base),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.objects.len()
    }

    /// Whether the objects of the frame at this offset of a data file were added.
    pub fn has_frame(&self, place: (u32, u64)) -> bool {
        self.frames.contains_key(&place)
    }

    /// Sorts the objects by their roots. Frames that are added later are read to their ends.
    pub fn sort(&mut self) {
        self.objects.sort_unstable();
    }

    /// The objects, sorted if they were.
    pub fn objects(&self) -> &[Leaning] {
        &self.objects
    }
}

/// What checking takes, from one frame to the next.
#[derive(Debug, Default)]
pub struct Checking {
    decoder: Decoder,
    kept: Kept,
}

/// Objects that were decompressed.
#[derive(Debug, Default)]
struct Kept {
    /// None of them is hashed yet.
    objects: Vec<(Location, ObjectId, Vec<u8>)>,
    /// The number of each.
    numbers: HashMap<ObjectId, usize>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

impl Kept {
    fn get(&self, id: &ObjectId) -> Option<&[u8]> {
        let (_, _, bytes) = self.objects.get(*self.numbers.get(id)?)?;
        Some(bytes)
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn put(&mut self, at: Location, id: ObjectId, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.numbers.insert(id, self.objects.len());
        self.objects.push((at, id, bytes));
    }

    /// Forgets them all.
    fn clear(&mut self) {
        self.bytes = 0;
        self.numbers.clear();
        for (_, _, mut bytes) in self.objects.drain(..) {
            if self.spare.len() < SPARE_MAX && bytes.capacity() <= SPARE_BYTES_MAX {
                bytes.clear();
                self.spare.push(bytes);
            }
        }
    }
}

/// Is told the length of an object, or why it cannot be read.
type Tell<'t> = dyn FnMut(Location, ObjectId, Result<usize>) -> Result<()> + 't;

/// The objects whose roots lie in one frame.
struct Unit<'a> {
    near: Near<'a>,
    kept: RefCell<&'a mut Kept>,
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

impl Unit<'_> {
    /// Hashes what was kept, tells of it, and forgets it, if it is so many bytes.
    fn settle(&self, bytes: usize, tell: &mut Tell<'_>) -> Result<()> {
        let mut kept = self.kept.borrow_mut();
        if kept.bytes < bytes {
            return Ok(());
        }
        let contents: Vec<&[u8]> = kept.objects.iter().map(|(_, _, bytes)| &bytes[..]).collect();
        let hashes = hash_all(self.near.store.algo(), &contents);
        for ((at, id, bytes), hash) in kept.objects.iter().zip(hashes) {
            let checked = match hash == *id {
                true => Ok(()),
                // What it is made from may be a copy that does not read, of an object of which another does.
                false => self.near.read(*at, id, &mut Vec::new()),
            };
            tell(*at, *id, checked.map(|()| bytes.len()))?;
        }
        kept.clear();
        Ok(())
    }
}

impl Store {
    /// The objects of a delta frame of data file `file`, sorted by their roots; none of other frames.
    pub fn leaning(&self, file: u32, head: &Head) -> Result<Vec<Leaning>> {
        let mut gathered = Gathered::default();
        gathered.add(self, file, head)?;
        gathered.sort();
        Ok(gathered.objects)
    }

    /// Reads objects and compares their hashes. `frame` is that of their roots, if these are in one and it reads. What is found
    /// is told of each.
    pub fn check_leaning(
        &self,
        objects: &[Leaning],
        frame: Option<&Frame>,
        checking: &mut Checking,
        tell: &mut Tell<'_>,
    ) -> Result<()> {
        let Some(first) = objects.first() else { return Ok(()) };
        let Checking { decoder, kept } = checking;
        kept.clear();
        let unit = Unit {
            near: frame.map_or_else(|| self.near(), |frame| Near::new(self, first.root(), frame)),
            kept: RefCell::new(kept),
        };
        for of_one_root in objects.chunk_by(|a, b| a.root() == b.root()) {
            for object in of_one_root {
                // A row that does not read is damage of its frame, which is told with that.
                let Some(row) = self.row_at(object.at)? else { continue };
                let mut bytes = unit.kept.borrow_mut().buffer();
                decoder.begin();
                match unit.near.append_at(object.at, &row.id, &mut bytes, &unit, decoder) {
                    Ok(()) => unit.kept.borrow_mut().put(object.at, row.id, bytes),
                    Err(error) => tell(object.at, row.id, Err(error))?,
                }
                unit.settle(KEPT_BYTES, tell)?;
            }
            unit.settle(KEPT_BETWEEN_BYTES, tell)?;
        }
        unit.settle(0, tell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::delta::tests::{disk, id, open};

    fn put(kept: &mut Kept, number: u16, bytes: Vec<u8>) {
        let (file, frame, slot) = (3, 0, number);
        kept.put(Location { file, frame, slot }, id(&number.to_le_bytes()), bytes);
    }

    #[test]
    fn what_is_kept_is_found_and_counted_until_it_is_cleared() {
        let mut kept = Kept::default();
        put(&mut kept, 1, vec![1; 10]);
        put(&mut kept, 2, vec![2; 20]);
        let of = |kept: &Kept, number: u16| kept.get(&id(&number.to_le_bytes())).map(<[u8]>::to_vec);
        assert_eq!(of(&kept, 1), Some(vec![1; 10]));
        assert_eq!(of(&kept, 2), Some(vec![2; 20]));
        assert_eq!(of(&kept, 3), None);
        assert_eq!((kept.bytes, kept.objects.len()), (30, 2));
        kept.clear();
        assert_eq!((of(&kept, 1), of(&kept, 2)), (None, None));
        assert_eq!((kept.bytes, kept.objects.len(), kept.numbers.len()), (0, 0, 0));
        put(&mut kept, 2, vec![3; 5]);
        assert_eq!((of(&kept, 1), of(&kept, 2), kept.bytes), (None, Some(vec![3; 5]), 5));
    }

    #[test]
    fn buffers_serve_again_unless_they_are_many_or_long() {
        let mut kept = Kept::default();
        assert_eq!(kept.buffer().capacity(), 0, "there is none yet");
        put(&mut kept, 0, vec![7; (128 << 10) + 1]);
        put(&mut kept, 1, vec![7; 128 << 10]);
        kept.clear();
        assert_eq!(kept.spare.len(), 1);
        let buffer = kept.buffer();
        assert!(buffer.is_empty() && buffer.capacity() == 128 << 10);
        assert_eq!(kept.spare.len(), 0);
        for number in 0..=SPARE_MAX as u16 {
            put(&mut kept, number, vec![7; 3]);
        }
        kept.clear();
        assert_eq!(kept.spare.len(), SPARE_MAX);
        // Long ones are not kept where there is room, nor any where there is none.
        put(&mut kept, 1, vec![7; 3]);
        kept.clear();
        assert_eq!(kept.spare.len(), SPARE_MAX);
    }

    #[test]
    fn what_is_kept_is_told_when_it_is_so_much_and_then_no_more() {
        let store = open(&disk());
        let mut kept = Kept::default();
        for content in [b"one", b"two"] {
            let at = Location {
                file: 0,
                frame: 0,
                slot: content[0].into(),
            };
            kept.put(at, id(content), content.to_vec());
        }
        let unit = Unit {
            near: store.near(),
            kept: RefCell::new(&mut kept),
        };
        let mut told = Vec::new();
        let mut settle = |bytes: usize| {
            let mut tell = |_: Location, id: ObjectId, checked: Result<usize>| -> Result<()> {
                told.push((id, checked.unwrap()));
                Ok(())
            };
            unit.settle(bytes, &mut tell).unwrap();
            told.clone()
        };
        let both = [(id(b"one"), 3), (id(b"two"), 3)];
        assert_eq!(settle(7), []);
        assert_eq!(settle(6), both);
        assert_eq!(settle(1), both);
        assert_eq!(settle(0), both, "they are forgotten");
        // What is longer than so much is told, too.
        unit.kept.borrow_mut().put(
            Location {
                file: 0,
                frame: 0,
                slot: 0,
            },
            id(b"three"),
            b"three".to_vec(),
        );
        assert_eq!(settle(4).len(), 3);
    }
}
