//! What no index segment covers yet: ids that were scanned, or that this process is adding.
//!
//! Sharded by the last byte of the digest, so that threads that add objects seldom wait for each other. An entry takes
//! about 50 bytes; the writer moves entries to a segment before they become many.
//!
//! An object may lie in several places. One is told; the others are kept too, since a segment has an entry for each
//! object of each range that it covers: which of the copies is the last one to stay is not known here.

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use super::Location;
use super::index::format::{pack, unpack};
use crate::object::ObjectId;

const SHARDS: usize = 32;
/// In place of a locator: the object waits in a packer.
const PENDING: u64 = u64::MAX;

/// Ids without a segment.
#[derive(Debug)]
pub struct Recent {
    shards: Vec<Mutex<HashMap<ObjectId, u64>>>,
    /// Other places of ids that are in a shard.
    doubles: Mutex<HashSet<(ObjectId, u64)>>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            doubles: Mutex::default(),
        }
    }
}

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A packer holds it.
    Pending,
    /// It was appended.
    At(Location),
}

fn state(value: u64) -> State {
    if value == PENDING {
        return State::Pending;
    }
    let (file, frame, slot) = unpack(value);
    State::At(Location {
        file: u32::from(file),
        frame,
        slot,
    })
}

impl Recent {
    fn shard(&self, id: &ObjectId) -> &Mutex<HashMap<ObjectId, u64>> {
        &self.shards[usize::from(id.padded()[19]) % SHARDS]
    }

    /// What is known of `id`.
    pub fn get(&self, id: &ObjectId) -> Option<State> {
        self.shard(id).lock().get(id).map(|&value| state(value))
    }

    /// Marks `id` as waiting in a packer; `false` if it is known already.
    pub fn claim(&self, id: &ObjectId) -> bool {
        let mut shard = self.shard(id).lock();
        if shard.contains_key(id) {
            return false;
        }
        shard.insert(*id, PENDING);
        true
    }

    /// Forgets where `id` lies.
    pub fn remove(&self, id: &ObjectId) {
        self.shard(id).lock().remove(id);
    }

    /// Notes where `id` lies. The first place is told.
    pub fn set(&self, id: ObjectId, at: Location) {
        let value = pack(at.file as u16, at.frame, at.slot);
        let mut shard = self.shard(&id).lock();
        let known = shard.entry(id).or_insert(value);
        if *known == PENDING {
            *known = value;
        } else if *known != value {
            self.doubles.lock().insert((id, value));
        }
    }

    /// Entries, those in packers included.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Calls `visit` for every id that was appended, with each of its places.
    pub fn each(&self, visit: &mut dyn FnMut(&ObjectId, Location)) {
        for shard in &self.shards {
            for (id, &value) in &*shard.lock() {
                if let State::At(at) = state(value) {
                    visit(id, at);
                }
            }
        }
        for (id, value) in &*self.doubles.lock() {
            if let State::At(at) = state(*value) {
                visit(id, at);
            }
        }
    }

    /// Takes out what was appended to files that `is_taken` names by number: each id with each of its places.
    pub fn drain(&self, is_taken: &dyn Fn(u32) -> bool) -> Vec<(ObjectId, Location)> {
        let mut taken = Vec::new();
        let mut stays = |id: ObjectId, value: u64| {
            match state(value) {
                State::At(at) if is_taken(at.file) => taken.push((id, at)),
                _ => return true,
            }
            false
        };
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|id, value| stays(*id, *value));
            shard.shrink_to_fit();
        }
        self.doubles.lock().retain(|(id, value)| stays(*id, *value));
        taken
    }

    /// Forgets what waits in packers, and what `is_lost` names: it was not committed.
    pub fn give_up(&self, is_lost: &dyn Fn(Location) -> bool) {
        for shard in &self.shards {
            shard.lock().retain(|_, value| *value != PENDING);
        }
        self.forget(is_lost);
    }

    /// Forgets entries for which `covered` says that a segment has them now.
    pub fn forget(&self, covered: &dyn Fn(Location) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|_, value| !matches!(state(*value), State::At(at) if covered(at)));
            shard.shrink_to_fit();
        }
        let is_covered = |value: u64| matches!(state(value), State::At(at) if covered(at));
        let doubles = std::mem::take(&mut *self.doubles.lock());
        for (id, value) in doubles.into_iter().filter(|(_, value)| !is_covered(*value)) {
            if let State::At(at) = state(value) {
                self.set(id, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::HashAlgo;

    fn id(number: u32) -> ObjectId {
        ObjectId::hash(HashAlgo::Sha256, &number.to_le_bytes())
    }

    fn at(file: u32, slot: u16) -> Location {
        Location { file, frame: 64, slot }
    }

    fn all(recent: &Recent) -> Vec<(ObjectId, Location)> {
        let mut all = Vec::new();
        recent.each(&mut |id, at| all.push((*id, at)));
        all.sort_by_key(|(_, at)| *at);
        all
    }

    #[test]
    fn the_first_place_is_told_and_the_others_are_kept() {
        let recent = Recent::default();
        assert!(recent.claim(&id(1)) && !recent.claim(&id(1)));
        assert_eq!((recent.get(&id(1)), all(&recent)), (Some(State::Pending), Vec::new()));
        for place in [at(3, 0), at(1, 0), at(3, 0), at(2, 0)] {
            recent.set(id(1), place);
        }
        assert_eq!((recent.get(&id(1)), recent.count()), (Some(State::At(at(3, 0))), 1));
        assert_eq!(all(&recent), [1, 2, 3].map(|file| (id(1), at(file, 0))));
        assert!(!recent.claim(&id(1)));
        recent.forget(&|at| at.file == 3);
        assert_eq!(all(&recent), [1, 2].map(|file| (id(1), at(file, 0))));
        assert!(matches!(recent.get(&id(1)), Some(State::At(at)) if at.file < 3));
    }

    #[test]
    fn what_is_removed_may_be_claimed_again() {
        let recent = Recent::default();
        recent.set(id(1), at(0, 0));
        recent.set(id(2), at(0, 1));
        recent.remove(&id(1));
        assert_eq!((recent.get(&id(1)), recent.count()), (None, 1));
        assert!(recent.claim(&id(1)) && !recent.claim(&id(2)));
    }

    #[test]
    fn what_lies_in_some_files_is_taken_out_and_the_rest_stays() {
        let recent = Recent::default();
        for number in 0..10 {
            recent.set(id(u32::from(number)), at(u32::from(number) % 2, number));
        }
        recent.set(id(4), at(1, 10));
        recent.claim(&id(99));
        let mut taken = recent.drain(&|file| file == 1);
        taken.sort_by_key(|(_, at)| *at);
        let expected = [(1, 1), (3, 3), (5, 5), (7, 7), (9, 9), (4, 10)];
        assert_eq!(taken, expected.map(|(number, slot)| (id(number), at(1, slot))));
        assert_eq!(all(&recent), [0, 2, 4, 6, 8].map(|n| (id(u32::from(n)), at(0, n))));
        assert_eq!((recent.get(&id(99)), recent.count()), (Some(State::Pending), 6));
        recent.give_up(&|at| at.slot > 5);
        assert_eq!(all(&recent), [0, 2, 4].map(|n| (id(u32::from(n)), at(0, n))));
        assert_eq!(recent.count(), 3);
    }
}
