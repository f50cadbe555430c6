//! The names of one directory: sorted, in one arena, with the kind that the kernel gave along with each.
//!
//! 1. Directory records are read in large buffers; each name goes to the arena with a NUL behind it, so that system
//!    calls take it as it lies there.
//! 2. Names are sorted by raw bytes. The sort compares eight bytes at a time, taken from behind what all names begin
//!    with, and looks into the arena only where these are equal; of very many names it looks there at once.
//! 3. A name that the kernel gave twice, because the directory changed meanwhile, is kept once.
//!
//! Invariants: names ascend strictly; none is empty, `.`, `..` or holds a slash or NUL; each costs its bytes and nine
//! more.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, RawDir, SeekFrom};
use rustix::io::Errno;

use crate::object::Kind;

/// Length of the buffer for directory records in bytes: a thousand names or more a call.
const RECORDS_BYTES: usize = 64 << 10;

/// Most names that are sorted by keys laid out for it, sixteen bytes each. Of more, the keys would take more than the names,
/// and what they leave behind when they go would be memory that nobody uses.
const KEYED_MAX: usize = 1 << 16;

/// Where a name lies in the arena.
#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: u32,
    bytes: u16,
    kind: Option<Kind>,
}

/// The names of one directory, in ascending order of their bytes.
#[derive(Debug, Default)]
pub struct Names {
    arena: Vec<u8>,
    slots: Vec<Slot>,
}

impl Names {
    /// Reads and sorts the names of an open directory, from its beginning.
    pub(super) fn read(dir: BorrowedFd<'_>) -> io::Result<Self> {
        // Memory that is not initialised costs nothing where it stays unused.
        let mut records = Vec::<u8>::with_capacity(RECORDS_BYTES);
        let mut names = Self::default();
        rustix::fs::seek(dir, SeekFrom::Start(0))?;
        let mut entries = RawDir::new(dir, records.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) => names.push(entry.file_name(), entry.file_type())?,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        names.sort();
        Ok(names)
    }

    /// One name, of which the kind is not known. Whether it is there is not asked.
    pub(crate) fn one(name: &[u8]) -> io::Result<Self> {
        let mut names = Self::default();
        names.push(&CString::new(name)?, FileType::Unknown)?;
        Ok(names)
    }

    fn push(&mut self, name: &CStr, kind: FileType) -> io::Result<()> {
        let bytes = name.to_bytes();
        if matches!(bytes, b"." | b"..") {
            return Ok(());
        }
        if bytes.is_empty() || bytes.contains(&b'/') {
            let problem = format!("the file system gave the impossible name {name:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let too_large = |_| io::Error::new(io::ErrorKind::FileTooLarge, "the names of one directory exceed 4 GiB");
        self.slots.push(Slot {
            offset: u32::try_from(self.arena.len()).map_err(too_large)?,
            bytes: u16::try_from(bytes.len()).map_err(too_large)?,
            kind: known_kind(kind),
        });
        self.arena.extend_from_slice(name.to_bytes_with_nul());
        Ok(())
    }

    fn sort(&mut self) {
        let arena = &self.arena;
        let name = |slot: &Slot| {
            let start = slot.offset as usize;
            &arena[start..start + usize::from(slot.bytes)]
        };
        if self.slots.is_sorted_by(|a, b| name(a) < name(b)) {
            return;
        }
        if self.slots.len() > KEYED_MAX {
            self.slots.sort_unstable_by(|a, b| name(a).cmp(name(b)));
            self.slots.dedup_by(|a, b| name(a) == name(b));
            return;
        }
        let first = self.slots.first().map(name).unwrap_or_default();
        let shared = self.slots.iter().fold(first.len(), |shared, slot| {
            let same = first[..shared].iter().zip(name(slot)).take_while(|(a, b)| a == b);
            same.count()
        });
        let mut keyed: Vec<(u64, Slot)> = self
            .slots
            .iter()
            .map(|slot| (sort_key(&name(slot)[shared..]), *slot))
            .collect();
        keyed.sort_unstable_by(|(a_key, a), (b_key, b)| a_key.cmp(b_key).then_with(|| name(a).cmp(name(b))));
        keyed.dedup_by(|(a_key, a), (b_key, b)| a_key == b_key && name(a) == name(b));
        self.slots.clear();
        self.slots.extend(keyed.iter().map(|(_, slot)| *slot));
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The name at `index`, which must be below [`len`](Self::len).
    pub fn get(&self, index: usize) -> &[u8] {
        self.bytes(&self.slots[index])
    }

    /// The name at `index` as system calls take it, without a copy.
    pub fn c_str(&self, index: usize) -> &CStr {
        let slot = &self.slots[index];
        let start = slot.offset as usize;
        // Every slot was made from a `CStr`: the empty string is never given.
        CStr::from_bytes_until_nul(&self.arena[start..]).unwrap_or_default()
    }

    /// The kind of the entry at `index`, where the file system tells it along with the name. It may be outdated.
    pub fn kind(&self, index: usize) -> Option<Kind> {
        self.slots[index].kind
    }

    /// Where `name` stands, if it is there.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.slots.binary_search_by(|slot| self.bytes(slot).cmp(name)).ok()
    }

    /// All names in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        self.slots.iter().map(|slot| self.bytes(slot))
    }

    fn bytes(&self, slot: &Slot) -> &[u8] {
        let start = slot.offset as usize;
        &self.arena[start..start + usize::from(slot.bytes)]
    }
}

/// The first eight bytes as a number that sorts as they do. Names hold no NUL, so padding with it puts a shorter name
/// first; equal keys say nothing.
fn sort_key(name: &[u8]) -> u64 {
    let mut key = [0; 8];
    let bytes = name.len().min(8);
    key[..bytes].copy_from_slice(&name[..bytes]);
    u64::from_be_bytes(key)
}

fn known_kind(kind: FileType) -> Option<Kind> {
    Some(match kind {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::CString;

    use proptest::prelude::*;

    use super::*;

    fn names_of(list: &[Vec<u8>]) -> Names {
        let mut names = Names::default();
        for name in list {
            names
                .push(&CString::new(name.as_slice()).unwrap(), FileType::Unknown)
                .unwrap();
        }
        names.sort();
        names
    }

    #[test]
    fn a_slot_is_small() {
        assert_eq!(size_of::<Slot>(), 8);
    }

    #[test]
    fn very_many_names_are_sorted_too() {
        let all = KEYED_MAX + 100;
        let name = |number: usize| format!("{:06}", number * 7919 % all).into_bytes();
        // Some are there twice.
        let list: Vec<Vec<u8>> = (0..all).chain(5..50).map(name).collect();
        let expected: BTreeSet<Vec<u8>> = list.iter().cloned().collect();
        assert!(names_of(&list).iter().eq(expected.iter().map(Vec::as_slice)));
    }

    #[test]
    fn dots_are_left_out_and_impossible_names_refused() {
        assert!(names_of(&[b".".to_vec(), b"..".to_vec()]).is_empty());
        for bad in [c"", c"a/b"] {
            assert!(Names::default().push(bad, FileType::Unknown).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn names_come_out_as_a_sorted_set(
            prefix in prop::collection::vec(1u8..=255, 0..10),
            tails in prop::collection::vec(prop::collection::vec(prop_oneof![Just(1u8), Just(97), Just(255)], 0..12), 0..40),
        ) {
            let list: Vec<Vec<u8>> = tails
                .into_iter()
                .map(|tail| [b"n".as_slice(), &prefix, &tail].concat())
                .map(|name| name.into_iter().filter(|&byte| byte != b'/').collect())
                .collect();
            let expected: BTreeSet<Vec<u8>> = list.iter().cloned().collect();
            let names = names_of(&list);
            let found: Vec<Vec<u8>> = names.iter().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(&found, &expected.into_iter().collect::<Vec<_>>());
            for (index, name) in found.iter().enumerate() {
                prop_assert_eq!(names.c_str(index).to_bytes(), name.as_slice());
                prop_assert_eq!(names.find(name), Some(index));
            }
            prop_assert_eq!(names.find(b"absent"), None);
        }
    }
}
