//! Snapshots that were forgotten (object-format.md, "Forgotten snapshots").
//!
//! Forgetting is a state, not a rewrite: a ref `refs/forgotten/HEX` names the snapshot HEX. The snapshot object stays, so
//! that the chain of parents goes on through it; its tree goes with the next collection. Taking the ref away brings the
//! snapshot back.
//!
//! Invariants:
//!
//! - A snapshot that a ref outside of lines and of `refs/forgotten/` names straight away (a tag, a line of a remote) is
//!   not forgotten, whatever `refs/forgotten/` says: whoever named it wants it.
//! - The marks are no names to look through: listings, histories and collections begin with [`RefStore::tips`].

use std::ops::Bound::{Included, Unbounded};

use hashbrown::HashSet;

use crate::error::Result;
use crate::object::{ObjectId, ObjectSource, Snapshot};
use crate::refs::revision::read_snapshot;
use crate::refs::{LINES, RefStore};

/// Where the marks live.
pub const FORGOTTEN: &str = "refs/forgotten/";

/// The ref that marks a snapshot as forgotten.
pub fn forgotten_ref(id: &ObjectId) -> String {
    format!("{FORGOTTEN}{}", id.hex())
}

/// The snapshots that are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    ids: HashSet<ObjectId>,
}

impl Forgotten {
    /// From all refs of a repository, or from those of them that matter.
    pub fn of<'r>(refs: impl IntoIterator<Item = (&'r str, ObjectId)>) -> Self {
        let mut ids = HashSet::new();
        let mut named = Vec::new();
        for (name, id) in refs {
            if name.starts_with(FORGOTTEN) {
                ids.insert(id);
            } else if !name.starts_with(LINES) {
                named.push(id);
            }
        }
        for id in named {
            ids.remove(&id);
        }
        Self { ids }
    }

    /// Whether a snapshot is forgotten.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.ids.contains(id)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &ObjectId> {
        self.ids.iter()
    }

    /// The first snapshot at or behind `id`, along first parents, that is not forgotten. Reads only forgotten ones.
    pub fn live(&self, objects: &dyn ObjectSource, id: ObjectId) -> Result<Option<ObjectId>> {
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| self.contains(id)) {
            next = read_snapshot(objects, &id)?.parents.first().copied();
        }
        Ok(next)
    }

    /// The snapshot that history shows before this one: along first parents, the first that is not forgotten.
    pub fn live_parent(&self, objects: &dyn ObjectSource, snapshot: &Snapshot) -> Result<Option<ObjectId>> {
        match snapshot.parents.first() {
            Some(parent) => self.live(objects, *parent),
            None => Ok(None),
        }
    }
}

impl RefStore {
    /// The snapshots that are forgotten.
    pub fn forgotten(&self) -> Result<Forgotten> {
        self.with_state(|state| {
            let mut marks = state.refs.range::<str, _>((Included(FORGOTTEN), Unbounded));
            if !marks.next().is_some_and(|(name, _)| name.starts_with(FORGOTTEN)) {
                return Forgotten::default();
            }
            Forgotten::of(state.refs.iter().map(|(name, id)| (name.as_str(), *id)))
        })
    }

    /// All refs but the marks of forgotten snapshots, sorted by name.
    pub fn tips(&self) -> Result<Vec<(String, ObjectId)>> {
        self.with_state(|state| {
            let tips = state.refs.iter().filter(|(name, _)| !name.starts_with(FORGOTTEN));
            tips.map(|(name, id)| (name.clone(), *id)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::error::Error;
    use crate::object::{HashAlgo, ObjectKind};
    use crate::time::Timestamp;

    /// Snapshots in a map.
    #[derive(Default)]
    struct Objects(BTreeMap<ObjectId, Vec<u8>>);

    impl ObjectSource for Objects {
        fn object(&self, _: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
            let missing = Error::Missing {
                id: *id,
                needed_as: "snapshot",
            };
            self.0.get(id).cloned().ok_or(missing)
        }
    }

    impl Objects {
        fn snapshot(&mut self, number: i64, parents: &[ObjectId]) -> ObjectId {
            let snapshot = Snapshot {
                parents: parents.to_vec(),
                time: Timestamp::new(number, 0),
                ..Snapshot::bare(ObjectId::hash(HashAlgo::Sha256, b""))
            };
            let bytes = snapshot.encode();
            let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
            self.0.insert(id, bytes);
            id
        }
    }

    #[test]
    fn what_another_ref_names_is_not_forgotten() {
        let mut objects = Objects::default();
        let mut chain = vec![objects.snapshot(0, &[])];
        for number in 1..5 {
            let parent = chain[chain.len() - 1];
            chain.push(objects.snapshot(number, &[parent]));
        }
        let marks: Vec<(String, ObjectId)> = [0, 1, 3, 4]
            .map(|at: usize| (forgotten_ref(&chain[at]), chain[at]))
            .into();
        let mut refs = marks.clone();
        refs.push(("refs/snapshots/main".to_owned(), chain[4]));
        refs.push(("refs/tags/v1".to_owned(), chain[1]));
        let forgotten = Forgotten::of(refs.iter().map(|(name, id)| (name.as_str(), *id)));
        let is: Vec<bool> = chain.iter().map(|id| forgotten.contains(id)).collect();
        assert_eq!(is, [true, false, false, true, true]);
        assert_eq!(forgotten.live(&objects, chain[4]).unwrap(), Some(chain[2]));
        assert_eq!(forgotten.live(&objects, chain[2]).unwrap(), Some(chain[2]));
        assert_eq!(forgotten.live(&objects, chain[0]).unwrap(), None);
        let second = read_snapshot(&objects, &chain[2]).unwrap();
        assert_eq!(forgotten.live_parent(&objects, &second).unwrap(), Some(chain[1]));
        let first = read_snapshot(&objects, &chain[1]).unwrap();
        assert_eq!(forgotten.live_parent(&objects, &first).unwrap(), None);
    }
}
