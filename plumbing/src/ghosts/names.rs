//! Where files are: one by one ([`Name`]), and very many in little room ([`Names`]).
//!
//! Of many, the names lie one behind the other, and names that come from one folder share its path: a name costs its bytes
//! and eight more. There are a million of them where a million files are equal.

use std::cmp::Ordering;

use bstr::{BStr, BString, ByteSlice as _};

use super::catalogue::{join_path, split_path};
use crate::object::tree::compare_paths;

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The number of its forest.
    pub forest: usize,
    /// Its path there.
    pub path: BString,
}

impl Name {
    /// Compares by tree and path.
    pub fn in_order(&self, other: &Self) -> Ordering {
        let by_path = || compare_paths(&self.path, &other.path);
        self.forest.cmp(&other.forest).then_with(by_path)
    }
}

/// Where one file of many is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// The number of its folder.
    folder: u32,
    /// Where its last name ends in the string of all.
    end: u32,
}

/// Names, in the order in which they were added. At most 2^32 of them, and as many bytes of last names: whoever fills it
/// has a table with the same limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    folders: Vec<(usize, BString)>,
}

impl Names {
    /// Adds a name, by its folder, whose path may be empty, and its last name.
    pub(super) fn push(&mut self, forest: usize, folder: &BStr, name: &[u8]) {
        if self
            .folders
            .last()
            .is_none_or(|last| (last.0, last.1.as_bstr()) != (forest, folder))
        {
            self.folders.push((forest, folder.to_owned()));
        }
        self.bytes.extend_from_slice(name);
        self.slots.push(Slot {
            folder: self.folders.len() as u32 - 1,
            end: self.bytes.len() as u32,
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The name at `at`, which must be below [`len`](Self::len).
    pub fn get(&self, at: usize) -> Name {
        let start = at.checked_sub(1).map_or(0, |before| self.slots[before].end);
        let slot = self.slots[at];
        let (forest, folder) = &self.folders[slot.folder as usize];
        let name = &self.bytes[start as usize..slot.end as usize];
        Name {
            forest: *forest,
            path: join_path(folder, name),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Name> + '_ {
        (0..self.len()).map(|at| self.get(at))
    }
}

impl FromIterator<Name> for Names {
    fn from_iter<I: IntoIterator<Item = Name>>(all: I) -> Self {
        let mut names = Self::default();
        for Name { forest, path } in all {
            let (folder, name) = split_path(&path);
            names.push(forest, folder.as_bstr(), name);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were_added() {
        let added: Vec<Name> = [
            (0, "a/b"),
            (0, "a/c"),
            (1, "a/d"),
            (1, ""),
            (1, "e"),
            (1, "a/b/c"),
            (0, "a/\u{fffd}"),
        ]
        .into_iter()
        .map(|(forest, path)| Name {
            forest,
            path: path.into(),
        })
        .collect();
        let names: Names = added.iter().cloned().collect();
        assert_eq!(names.iter().collect::<Vec<_>>(), added);
        assert_eq!((names.len(), names.is_empty(), names.folders.len()), (7, false, 5));
        assert_eq!(names.get(2), added[2]);
        assert!(Names::default().is_empty());
    }
}
