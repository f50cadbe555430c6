//! The files of a group: one by one ([`Twin`]), and all of them in little room ([`Twins`]).

use crate::ghosts::names::{Name, Names};

/// One file of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// All its names that were found, in the order of forests and paths: several where it has hard links.
    pub names: Vec<Name>,
}

/// Files with the same bytes, in the order of forests and paths: two, or a million.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twins {
    names: Names,
    /// Where the names of each file end.
    ends: Vec<u32>,
}

impl Twins {
    /// With room for so many files.
    pub(super) fn with_capacity(files: usize) -> Self {
        Self {
            names: Names::default(),
            ends: Vec::with_capacity(files),
        }
    }

    /// Adds a file, whose names `add` adds.
    pub(super) fn push(&mut self, add: impl FnOnce(&mut Names)) {
        add(&mut self.names);
        // There are no more than a table has rows.
        self.ends.push(self.names.len() as u32);
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The names of the file at `at`, which must be below [`len`](Self::len).
    pub fn names(&self, at: usize) -> impl ExactSizeIterator<Item = Name> + '_ {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let names = start as usize..self.ends[at] as usize;
        names.map(|name| self.names.get(name))
    }

    /// The first name of the file at `at`, which must be below [`len`](Self::len).
    pub fn first_name(&self, at: usize) -> Name {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.names.get(start as usize)
    }

    /// The file at `at`, which must be below [`len`](Self::len).
    pub fn get(&self, at: usize) -> Twin {
        Twin {
            names: self.names(at).collect(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Twin> + '_ {
        (0..self.len()).map(|at| self.get(at))
    }
}
