//! Heads of delta frames, for those who ask what objects are made from, again and again, and read nothing of them.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::store::data::read::Head;

/// Bytes of the young; of both generations twice as many are kept at most.
const BYTES_MAX: usize = 4 << 20;

type Key = (u32, u64);

/// Heads that were asked for lately, by data file and frame.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<Kept>);

/// In two generations: when the young are many they become the old ones, and those go that nobody asked for meanwhile.
#[derive(Debug, Default)]
struct Kept {
    young: HashMap<Key, Arc<Head>>,
    /// What the young take.
    bytes: usize,
    old: HashMap<Key, Arc<Head>>,
}

impl Heads {
    /// The head of the frame, if it is at hand.
    pub fn get(&self, key: Key) -> Option<Arc<Head>> {
        let mut kept = self.0.lock();
        if let Some(head) = kept.young.get(&key) {
            return Some(head.clone());
        }
        let head = kept.old.remove(&key)?;
        kept.put(key, head.clone());
        Some(head)
    }

    /// Keeps a head.
    pub fn put(&self, key: Key, head: Arc<Head>) {
        self.0.lock().put(key, head);
    }
}

impl Kept {
    fn put(&mut self, key: Key, head: Arc<Head>) {
        let bytes = head.memory_bytes();
        if self.bytes + bytes > BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(key, head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{HashAlgo, ObjectId, ObjectKind};
    use crate::store::data::format::{Codec, Row};

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let head = |count: u32| {
            let row = |number: u32| Row {
                id: ObjectId::hash(HashAlgo::Sha256, &number.to_le_bytes()),
                kind: ObjectKind::Block,
                bytes: 1,
            };
            Arc::new(Head::nowhere(Codec::Delta, (0..count).map(row).collect(), Vec::new()))
        };
        let heads = Heads::default();
        let fits = BYTES_MAX / head(100).memory_bytes();
        for number in 0..10 * fits as u64 {
            heads.put((1, number), head(100));
            assert_eq!(heads.get((1, 0)).unwrap().rows.len(), 100, "{number}");
        }
        let left = (1..10 * fits as u64).filter(|number| heads.get((1, *number)).is_some());
        let left: Vec<u64> = left.collect();
        assert!(
            left.len() >= fits - 2 && left.len() <= 2 * fits,
            "{} of {fits}",
            left.len()
        );
        assert_eq!(left.last(), Some(&(10 * fits as u64 - 1)));
        assert!(heads.get((2, 0)).is_none());
    }

    #[test]
    fn the_young_take_all_that_they_may_and_no_more() {
        let head = Arc::new(Head::nowhere(Codec::Delta, Vec::new(), Vec::new()));
        for (more, is_young) in [(0, true), (1, false)] {
            let heads = Heads::default();
            heads.put((1, 1), head.clone());
            heads.0.lock().bytes = BYTES_MAX - head.memory_bytes() + more;
            heads.put((1, 2), head.clone());
            let kept = heads.0.lock();
            assert_eq!(kept.young.contains_key(&(1, 1)), is_young);
            assert_eq!(kept.old.contains_key(&(1, 1)), !is_young);
            assert!(kept.young.contains_key(&(1, 2)));
            let bytes = if is_young { BYTES_MAX } else { head.memory_bytes() };
            assert_eq!(kept.bytes, bytes);
        }
    }
}
