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

pub(super) fn astray(file: &DataFile, at: &Location, prefix: u64) -> Error {
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
