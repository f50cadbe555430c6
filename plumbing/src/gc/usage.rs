//! How much of each data file lives, as it becomes more.
//!
//! 1. A walk over all frames counts what lives of each ([`Usage::count`]). Those of which not all does are noted.
//! 2. What is found to stay after that is added to the frames in which it lies ([`Usage::add`]).

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::tables::Entry;
use super::walk::astray;
use crate::error::Result;
use crate::store::data::format::Row;
use crate::store::data::read::Head;
use crate::store::{StandingFile, Store};

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

/// Some objects of a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    count: u32,
    /// Their lengths together. Those of all objects of a frame are below 2^32.
    bytes: u32,
}

impl Rows {
    fn add(&mut self, row: &Row) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(row.bytes);
    }
}

/// A frame.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// What it takes as it is stored.
    stored_bytes: u64,
    all: Rows,
}

impl Extent {
    fn of(head: &Head) -> Self {
        Self {
            stored_bytes: head.header.frame_bytes(),
            all: Rows {
                count: head.header.objects,
                bytes: head.header.raw_bytes,
            },
        }
    }

    /// What these objects take of it, in bytes: their share by length.
    fn share(&self, some: Rows) -> u64 {
        let Self { stored_bytes, all } = *self;
        match some.count {
            0 => 0,
            count if count >= all.count => stored_bytes,
            _ => {
                let others = u64::from(all.bytes.saturating_sub(some.bytes));
                // Lengths are below 2^32 each.
                stored_bytes - stored_bytes * others / u64::from(all.bytes).max(1)
            }
        }
    }
}

/// What these objects of a frame take of it, in bytes: their share by length.
pub(super) fn share(head: &Head, slots: &[u16]) -> u64 {
    Extent::of(head).share(rows(head, slots))
}

/// What a frame stores of objects that nothing needs, in bytes.
pub(super) fn unused(head: &Head, slots: &[u16]) -> u64 {
    head.header.frame_bytes() - share(head, slots)
}

fn rows(head: &Head, slots: &[u16]) -> Rows {
    let mut some = Rows::default();
    let found = slots.iter().filter_map(|slot| head.rows.get(usize::from(*slot)));
    found.for_each(|row| some.add(row));
    some
}

/// A frame of which not all objects lived when it was counted.
#[derive(Debug)]
struct Partly {
    extent: Extent,
    live: Rows,
    /// Those of the live ones that were added.
    added: Rows,
}

/// How much of each data file lives.
#[derive(Debug, Default)]
pub(super) struct Usage {
    files: BTreeMap<u32, FileUse>,
    /// About 60 bytes each.
    partly: HashMap<(u32, u64), Partly>,
}

impl Usage {
    /// Begins with a data file, whose frames are counted after it.
    pub(super) fn begin(&mut self, standing: &StandingFile) {
        let (number, file, bytes) = (standing.number, standing.file.header.file, standing.committed);
        let usage = FileUse {
            number,
            file,
            bytes,
            ..FileUse::default()
        };
        self.files.insert(number, usage);
    }

    /// Counts a frame of a data file, in which the objects in these slots live.
    pub(super) fn count(&mut self, number: u32, head: &Head, slots: &[u16]) {
        let usage = self.files.entry(number).or_default();
        usage.objects += head.rows.len() as u64;
        usage.live_objects += slots.len() as u64;
        if slots.len() < head.rows.len() {
            let (extent, live, added) = (Extent::of(head), rows(head, slots), Rows::default());
            usage.unused_bytes += extent.stored_bytes - extent.share(live);
            let partly = Partly { extent, live, added };
            self.partly.insert((number, head.offset), partly);
        }
    }

    /// Adds copies that live, too. Gives what they take, in bytes as they are stored.
    pub(super) fn add(&mut self, store: &Store, mut entries: Vec<Entry>) -> Result<u64> {
        entries.sort_unstable();
        // Two entries of the index may lead to one copy.
        entries.dedup_by_key(|entry| entry.at);
        let mut bytes = 0;
        for unit in entries.chunk_by(Entry::is_with) {
            let Some(first) = unit.first() else { continue };
            let (number, frame) = (first.at.file, first.at.frame);
            let (file, head) = store.shared_head(first.at)?;
            let found = (self.files.get_mut(&number), self.partly.get_mut(&(number, frame)));
            let (Some(usage), Some(partly)) = found else {
                return Err(astray(&file, &first.at, first.prefix));
            };
            let (before, mut more) = (partly.extent.share(partly.live), Rows::default());
            for entry in unit {
                let row = head.rows.get(usize::from(entry.at.slot));
                let row = row.filter(|row| row.id.prefix() == entry.prefix);
                let row = row.ok_or_else(|| astray(&file, &entry.at, entry.prefix))?;
                for some in [&mut more, &mut partly.live, &mut partly.added] {
                    some.add(row);
                }
            }
            usage.live_objects += unit.len() as u64;
            usage.unused_bytes -= partly.extent.share(partly.live) - before;
            bytes += partly.extent.share(more);
        }
        Ok(bytes)
    }

    /// What was added, in objects and in bytes as they are stored.
    pub(super) fn added(&self) -> (u64, u64) {
        self.partly.values().fold((0, 0), |(objects, bytes), partly| {
            let Partly { extent, added, .. } = partly;
            (objects + u64::from(added.count), bytes + extent.share(*added))
        })
    }

    /// Every data file, in the order of their numbers.
    pub(super) fn files(self) -> Vec<FileUse> {
        self.files.into_values().collect()
    }
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
