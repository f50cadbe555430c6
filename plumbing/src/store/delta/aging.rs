//! What was asked for lately, within a bound.
//!
//! In two ages: when the young are many they become the old ones, and those go that nobody asked for meanwhile.

use std::hash::Hash;

use hashbrown::HashMap;

/// Values that are cheap to clone, by key.
#[derive(Debug)]
pub(super) struct Aging<K, V> {
    young: HashMap<K, V>,
    /// What the young take.
    bytes: usize,
    old: HashMap<K, V>,
    bytes_max: usize,
    bytes_of: fn(&V) -> usize,
}

impl<K: Copy + Eq + Hash, V: Clone> Aging<K, V> {
    /// Each age takes `bytes_max` bytes at most, and one value more; `bytes_of` says what one takes.
    pub(super) fn new(bytes_max: usize, bytes_of: fn(&V) -> usize) -> Self {
        Self {
            young: HashMap::new(),
            bytes: 0,
            old: HashMap::new(),
            bytes_max,
            bytes_of,
        }
    }

    /// The value, if it is at hand.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.put(*key, value.clone());
        Some(value)
    }

    /// Keeps a value.
    pub(super) fn put(&mut self, key: K, value: V) {
        let bytes = (self.bytes_of)(&value);
        if self.bytes + bytes > self.bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut aging: Aging<u64, usize> = Aging::new(1000, |bytes| *bytes);
        for number in 0..1000 {
            aging.put(number, 10);
            assert_eq!(aging.get(&0), Some(10), "{number}");
        }
        let left: Vec<u64> = (1..1000).filter(|number| aging.get(number).is_some()).collect();
        assert!((98..=200).contains(&left.len()), "{} of 100", left.len());
        assert_eq!(left.last(), Some(&999));
        assert_eq!(aging.get(&1000), None);
    }

    #[test]
    fn the_young_take_all_that_they_may_and_no_more() {
        for (more, is_young) in [(0, true), (1, false)] {
            let mut aging: Aging<u64, usize> = Aging::new(1000, |bytes| *bytes);
            aging.put(1, 400 + more);
            aging.put(2, 600);
            assert_eq!(aging.young.contains_key(&1), is_young);
            assert_eq!(aging.old.contains_key(&1), !is_young);
            assert!(aging.young.contains_key(&2));
            assert_eq!(aging.bytes, if is_young { 1000 } else { 600 });
        }
    }
}
