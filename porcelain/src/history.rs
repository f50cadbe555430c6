//! Snapshots behind others, newest first, read as they are asked for.
//!
//! A heap by time, then id, holds what was met and not told; parents are put on it when their child is told. So the
//! order is that of `git log`, and the first snapshot is told after reading one object. Forgotten snapshots are walked
//! through and, unless they are asked for, not told.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

use ghost_plumbing::object::{ObjectId, Snapshot};
use ghost_plumbing::refs::Forgotten;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::store::Store;
use ghost_plumbing::{Error, Result};

/// See the module.
pub struct History<'a> {
    store: &'a Store,
    /// What is not told.
    forgotten: Forgotten,
    open: BinaryHeap<ByTime>,
    seen: HashSet<ObjectId>,
}

struct ByTime {
    id: ObjectId,
    snapshot: Snapshot,
}

impl<'a> History<'a> {
    /// What is left of the history of these snapshots, with them.
    pub fn left(repository: &'a Repository, tips: impl IntoIterator<Item = ObjectId>) -> Result<Self> {
        let forgotten = repository.refs.forgotten()?;
        Ok(Self {
            forgotten,
            ..Self::new(&repository.store, tips)?
        })
    }

    /// The history of these snapshots, with them, and with what is forgotten.
    pub fn new(store: &'a Store, tips: impl IntoIterator<Item = ObjectId>) -> Result<Self> {
        let mut history = Self {
            store,
            forgotten: Forgotten::default(),
            open: BinaryHeap::new(),
            seen: HashSet::new(),
        };
        for tip in tips {
            history.add(tip)?;
        }
        Ok(history)
    }

    fn add(&mut self, id: ObjectId) -> Result<()> {
        if self.seen.insert(id) {
            let snapshot = read_snapshot(self.store, &id)?;
            self.open.push(ByTime { id, snapshot });
        }
        Ok(())
    }
}

impl Iterator for History<'_> {
    type Item = Result<(ObjectId, Snapshot)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step()? {
                Ok((id, _)) if self.forgotten.contains(&id) => {}
                found => return Some(found),
            }
        }
    }
}

impl History<'_> {
    fn step(&mut self) -> Option<Result<(ObjectId, Snapshot)>> {
        let ByTime { id, snapshot } = self.open.pop()?;
        for parent in &snapshot.parents {
            if let Err(error) = self.add(*parent) {
                // A bundle holds what was added to it, not what was before.
                if matches!(error, Error::Missing { .. }) && self.store.has_attached() {
                    continue;
                }
                self.open.clear();
                return Some(Err(error));
            }
        }
        Some(Ok((id, snapshot)))
    }
}

impl Ord for ByTime {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.snapshot.time, self.id).cmp(&(other.snapshot.time, other.id))
    }
}

impl PartialOrd for ByTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByTime {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByTime {}

/// The full names of the refs of each object that has some.
pub fn refs_by_id(repository: &Repository) -> Result<BTreeMap<ObjectId, Vec<String>>> {
    let mut names: BTreeMap<ObjectId, Vec<String>> = BTreeMap::new();
    for (name, id) in repository.refs.list("refs/")? {
        names.entry(id).or_default().push(name);
    }
    Ok(names)
}

/// The newest snapshot of a line that is not forgotten; none before the first.
pub fn newest(repository: &Repository, line: &str) -> Result<Option<(ObjectId, Snapshot)>> {
    let tip = repository.refs.get(&ghost_plumbing::refs::line_ref(line)?)?;
    let left = match tip {
        Some(tip) => repository.refs.forgotten()?.live(&repository.store, tip)?,
        None => None,
    };
    let Some(id) = left else {
        return Ok(None);
    };
    Ok(Some((id, read_snapshot(&repository.store, &id)?)))
}

/// The error where a line has no snapshot yet.
pub fn nothing_yet(line: &str) -> Error {
    Error::NotFound {
        what: "snapshot yet on line",
        name: line.to_owned(),
    }
}
