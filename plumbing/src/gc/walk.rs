//! The copies that live, in the order in which they lie in data files.
//!
//! The index is in the order of ids. To be read along with data files it is sorted by place, a bounded number of copies
//! at a time: their count in each stretch of each file is taken first, then the next stretches are gathered in one pass.

use std::collections::BTreeMap;

use super::bits::Bits;
use super::tables::Tables;
use crate::error::{Error, Result};
use crate::store::Location;
use crate::store::data::read::{DataFile, Head};

/// Copies that are held at a time; 16 bytes each.
const HELD_MAX: usize = 2 << 20;
/// Length of a stretch in bytes, as a power of two.
const STRETCH_LOG: u32 = 24;

type Stretch = (u32, u64);

/// A place, and the first eight bytes of the id that must be there.
type Held = (Location, u64);

/// Walks over the live copies in some data files.
#[derive(Debug)]
pub(super) struct LiveWalk<'t> {
    tables: &'t Tables,
    live: &'t Bits,
    /// Copies in each stretch that was not gathered yet.
    counts: BTreeMap<Stretch, usize>,
    held: Vec<Held>,
    next: usize,
}

fn stretch(at: &Location) -> Stretch {
    (at.file, at.frame >> STRETCH_LOG)
}

impl<'t> LiveWalk<'t> {
    /// Over the files for which `is_in` says so.
    pub(super) fn new(tables: &'t Tables, live: &'t Bits, is_in: &dyn Fn(u32) -> bool) -> Self {
        let mut counts = BTreeMap::new();
        for entry in tables.entries(live.ones(0)) {
            if is_in(entry.at.file) {
                *counts.entry(stretch(&entry.at)).or_default() += 1;
            }
        }
        Self {
            tables,
            live,
            counts,
            held: Vec::new(),
            next: 0,
        }
    }

    /// Copies in this file that were not gathered yet.
    pub(super) fn count(&self, file: u32) -> usize {
        self.counts
            .range((file, 0)..(file + 1, 0))
            .map(|(_, count)| count)
            .sum()
    }

    /// Gathers the next stretches.
    fn gather(&mut self) {
        let (mut stretches, mut count) = (Vec::new(), 0);
        while let Some((&stretch, &more)) = self.counts.first_key_value() {
            if count > 0 && count + more > HELD_MAX {
                break;
            }
            self.counts.pop_first();
            stretches.push(stretch);
            count += more;
        }
        self.held.clear();
        self.held.reserve_exact(count);
        self.next = 0;
        for entry in self.tables.entries(self.live.ones(0)) {
            if stretches.binary_search(&stretch(&entry.at)).is_ok() {
                self.held.push((entry.at, entry.prefix));
            }
        }
        self.held.sort_unstable();
        self.held.dedup();
    }

    /// The slots of a frame whose objects live. Frames must be asked for in order; what lies before the one that is asked
    /// for must be what was asked for before.
    pub(super) fn slots(&mut self, number: u32, file: &DataFile, head: &Head) -> Result<Vec<u16>> {
        let mut slots = Vec::new();
        let here = (number, head.offset);
        loop {
            if self.next == self.held.len() {
                let is_due = |(stretch, _): (&Stretch, &usize)| *stretch <= (number, head.offset >> STRETCH_LOG);
                if !self.counts.first_key_value().is_some_and(is_due) {
                    return Ok(slots);
                }
                self.gather();
                continue;
            }
            let (at, prefix) = self.held[self.next];
            if (at.file, at.frame) > here {
                return Ok(slots);
            }
            let row = head.rows.get(usize::from(at.slot));
            if (at.file, at.frame) < here || row.is_none_or(|row| row.id.prefix() != prefix) {
                return Err(astray(file, &at, prefix));
            }
            slots.push(at.slot);
            self.next += 1;
        }
    }

    /// Fails if copies of this file are left, all frames of which were asked for.
    pub(super) fn end_file(&mut self, number: u32, file: &DataFile) -> Result<()> {
        if self.next == self.held.len() && self.count(number) > 0 {
            self.gather();
        }
        match self.held.get(self.next) {
            Some((at, prefix)) if at.file <= number => Err(astray(file, at, *prefix)),
            _ => Ok(()),
        }
    }
}

fn astray(file: &DataFile, at: &Location, prefix: u64) -> Error {
    let expected = format!("an object whose id begins with {prefix:016x}, as the index says");
    Error::damaged(&file.path, at.frame, expected, "no such object, or no frame that reads")
}

/// Visits the frames of objects of a data file up to its last commit record, in order. What does not read is passed over.
pub(super) fn frames(file: &DataFile, committed: u64, visit: &mut dyn FnMut(Head) -> Result<()>) -> Result<()> {
    use crate::store::data::format::{FILE_HEADER_BYTES, FRAME_ALIGN, FrameKind};
    use crate::store::data::verify::next_frame;
    let mut offset = FILE_HEADER_BYTES;
    while offset < committed {
        match file.head(offset) {
            Ok(Some(head)) => {
                offset = head.end();
                if head.header.kind == FrameKind::Objects {
                    visit(head)?;
                }
            }
            Ok(None) => break,
            Err(e) if e.is_damage() => match next_frame(file, offset + FRAME_ALIGN, committed)? {
                Some(next) => offset = next,
                None => break,
            },
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// How much of a data file lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileUse {
    /// Number of the data file in this process.
    pub number: u32,
    /// Its id.
    pub file: [u8; 16],
    /// Bytes up to its last commit record.
    pub bytes: u64,
    /// Bytes of objects that nothing needs, as they are stored: of a frame in which some live, their share by length.
    pub unused_bytes: u64,
    /// Bytes in all files that stay only because objects of this one are made from them, and need not be: free when it is
    /// packed anew. None of them is among the unused ones of another file.
    pub held_bytes: u64,
    /// Objects that live.
    pub live_objects: u64,
    /// Objects in all.
    pub objects: u64,
}

impl FileUse {
    /// Bytes that are free when it is packed anew.
    pub fn waste_bytes(&self) -> u64 {
        self.unused_bytes + self.held_bytes
    }
}

/// Measures all data files that stand.
pub(super) fn measure(tables: &Tables, live: &Bits) -> Result<Vec<FileUse>> {
    let mut walk = LiveWalk::new(tables, live, &|_| true);
    let mut uses = Vec::new();
    for standing in tables.files() {
        let (number, file, committed) = (standing.number, &standing.file, standing.committed);
        let mut found = FileUse {
            number,
            file: file.header.file,
            bytes: committed,
            ..FileUse::default()
        };
        frames(file, committed, &mut |head| {
            let slots = walk.slots(number, file, &head)?;
            found.objects += head.rows.len() as u64;
            found.live_objects += slots.len() as u64;
            found.unused_bytes += unused(&head, &slots);
            Ok(())
        })?;
        walk.end_file(number, file)?;
        uses.push(found);
    }
    Ok(uses)
}

/// What a frame stores of objects that nothing needs, in bytes.
pub(super) fn unused(head: &Head, slots: &[u16]) -> u64 {
    head.header.frame_bytes() - share(head, slots)
}

/// What these objects of a frame take of it, in bytes: their share by length.
pub(super) fn share(head: &Head, slots: &[u16]) -> u64 {
    let (bytes, raw) = (head.header.frame_bytes(), u64::from(head.header.raw_bytes));
    if slots.len() == head.rows.len() || slots.is_empty() {
        return if slots.is_empty() { 0 } else { bytes };
    }
    let rows = slots.iter().filter_map(|slot| head.rows.get(usize::from(*slot)));
    let wanted: u64 = rows.map(|row| u64::from(row.bytes)).sum();
    // Lengths are below 2^32 each.
    bytes - bytes * (raw - wanted.min(raw)) / raw.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{HashAlgo, ObjectId, ObjectKind};
    use crate::store::data::format::{Codec, Row};

    /// A frame of objects of these lengths.
    fn head(lengths: &[u32]) -> Head {
        let row = |bytes: &u32| {
            let id = ObjectId::hash(HashAlgo::Sha256, &bytes.to_le_bytes());
            let (kind, bytes) = (ObjectKind::Block, *bytes);
            Row { id, kind, bytes }
        };
        Head::nowhere(Codec::Raw, lengths.iter().map(row).collect(), Vec::new())
    }

    #[test]
    fn objects_share_a_frame_by_their_lengths() {
        let of_three = head(&[1000, 3000, 0]);
        let bytes = of_three.header.frame_bytes();
        assert!(bytes > 4000);
        let quarter = bytes - bytes * 3 / 4;
        let expected = [
            (vec![], 0),
            (vec![0], quarter),
            (vec![0, 2], quarter),
            (vec![0, 1, 2], bytes),
        ];
        for (slots, taken) in expected {
            assert_eq!(
                (share(&of_three, &slots), unused(&of_three, &slots)),
                (taken, bytes - taken)
            );
        }
        let of_nothing = head(&[0]);
        assert_eq!(
            share(&of_nothing, &[]),
            0,
            "what is empty needs no frame either once nobody needs it"
        );
        assert_eq!(share(&of_nothing, &[0]), of_nothing.header.frame_bytes());
    }
}
