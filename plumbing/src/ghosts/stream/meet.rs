//! Files that wait for one which they may be compared with, by what they have in common.
//!
//! Those with one key are a chain: each knows the one that came before it, so that however many wait, each costs one
//! number. When the first comes that is compared with those that wait, all of them are let go, with it; those that come
//! later do not wait.

use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// In place of a row: the chain ends.
const NONE: u32 = u32::MAX;

/// What came of a key so far.
#[derive(Clone, Copy, Debug)]
pub(in crate::ghosts) enum Met {
    /// Rows wait; this is the last.
    Waiting(u32),
    /// Nothing waits any more.
    Open,
}

/// For each row the one before it in the chain in which it waits.
#[derive(Debug, Default)]
pub(in crate::ghosts) struct Chains(Vec<u32>);

impl Chains {
    /// Makes room for rows up to `len`.
    pub(in crate::ghosts) fn grow(&mut self, len: usize) {
        self.0.resize(len, NONE);
    }

    /// Puts a row behind `last`; gives the new last of the chain.
    pub(in crate::ghosts) fn push(&mut self, row: usize, last: Option<u32>) -> u32 {
        self.0[row] = last.unwrap_or(NONE);
        // A table has no more rows than that.
        row as u32
    }

    /// The row before one in its chain.
    pub(in crate::ghosts) fn before(&self, row: u32) -> Option<u32> {
        self.0.get(row as usize).copied().filter(|before| *before != NONE)
    }

    /// The rows of a chain in the order in which they came.
    pub(in crate::ghosts) fn of(&self, last: u32) -> Vec<usize> {
        let all = std::iter::successors(Some(last), |row| self.before(*row)).map(|row| row as usize);
        // A chain that goes round would have no end.
        let mut rows: Vec<usize> = all.take(self.0.len() + 1).collect();
        debug_assert!(rows.len() <= self.0.len(), "a row is in a chain twice");
        rows.reverse();
        rows
    }

    /// Notes that a row has `key`, and gives those that are to be examined now; `pairs` says whether two rows are compared.
    pub(in crate::ghosts) fn meet<K: Hash + Eq>(
        &mut self,
        met: &mut HashMap<K, Met>,
        key: K,
        row: usize,
        pairs: impl Fn(usize, usize) -> bool,
    ) -> Vec<usize> {
        match met.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Met::Waiting(self.push(row, None)));
                Vec::new()
            }
            Entry::Occupied(mut known) => match *known.get() {
                Met::Open => vec![row],
                Met::Waiting(last) if !pairs(last as usize, row) => {
                    known.insert(Met::Waiting(self.push(row, Some(last))));
                    Vec::new()
                }
                Met::Waiting(last) => {
                    known.insert(Met::Open);
                    let mut rows = self.of(last);
                    rows.push(row);
                    rows
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_wait_for_one_of_the_other_side() {
        let mut chains = Chains::default();
        chains.grow(9);
        let mut met = HashMap::new();
        // Even rows are of one side, odd ones of the other.
        let mut meet = |key: u8, row: usize| chains.meet(&mut met, key, row, |a, b| a % 2 != b % 2);
        assert!(meet(1, 0).is_empty());
        assert!(meet(2, 1).is_empty());
        assert!(meet(1, 2).is_empty());
        assert!(meet(1, 4).is_empty());
        assert_eq!(meet(1, 3), [0, 2, 4, 3]);
        assert_eq!(meet(1, 6), [6], "nobody waits any more");
        assert_eq!(meet(2, 8), [1, 8]);
    }
}
