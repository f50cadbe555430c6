//! Whether what arrived is connected: nothing is adopted that names what is not there.
//!
//! The same walk as on the side that sent ([`super::difference`]), over the objects of the repository and of the
//! quarantine together: from each new snapshot down to what snapshots behind refs have. Only those are trusted to be
//! whole; that an object is stored proves nothing for what it names. Blocks may be missing where the snapshot says that
//! it is one of ghosts, or where they were not asked for.

use hashbrown::{HashMap, HashSet};

use super::difference::{Difference, New, new_snapshots};
use super::quarantine::Both;
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::progress::Progress;
use crate::refs::RefStore;
use crate::refs::revision::read_snapshot;

/// The snapshots behind refs, found as far as somebody asks.
#[derive(Debug, Default)]
pub struct Reachable {
    known: HashSet<ObjectId>,
    /// Snapshots whose parents were not looked at yet.
    open: Vec<ObjectId>,
    /// Snapshots whose trees may be gone.
    forgotten: HashSet<ObjectId>,
}

impl Reachable {
    /// What these refs name and all behind it.
    pub fn of_refs(refs: &RefStore) -> Result<Self> {
        let mut reachable = Self::of(refs.tips()?.into_iter().map(|(_, id)| id));
        reachable.forget(refs.forgotten()?.iter().copied());
        Ok(reachable)
    }

    /// These snapshots and all behind them.
    pub fn of(tips: impl IntoIterator<Item = ObjectId>) -> Self {
        let known: HashSet<ObjectId> = tips.into_iter().collect();
        let open = known.iter().copied().collect();
        Self {
            known,
            open,
            forgotten: HashSet::new(),
        }
    }

    /// Whether the tree of a snapshot may be gone.
    pub fn is_forgotten(&self, id: &ObjectId) -> bool {
        self.forgotten.contains(id)
    }

    /// The snapshots whose trees may be gone.
    pub fn forgotten(&self) -> impl Iterator<Item = &ObjectId> {
        self.forgotten.iter()
    }

    /// Notes that the trees of these may be gone.
    pub fn forget(&mut self, ids: impl IntoIterator<Item = ObjectId>) {
        self.forgotten.extend(ids);
    }

    /// Whether a snapshot is one of them. Parents are read until it is found. A ref may name a tree, and a snapshot may
    /// have parents that are elsewhere: these have none.
    pub fn contains(&mut self, source: &dyn ObjectSource, id: &ObjectId) -> Result<bool> {
        while !self.known.contains(id) {
            let Some(next) = self.open.pop() else {
                return Ok(false);
            };
            let parents = match source.object(ObjectKind::Snapshot, &next) {
                Ok(bytes) => Snapshot::decode(&bytes)
                    .map(|snapshot| snapshot.parents)
                    .unwrap_or_default(),
                Err(Error::Missing { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            for parent in parents {
                if self.known.insert(parent) {
                    self.open.push(parent);
                }
            }
        }
        Ok(true)
    }
}

/// What must be whole.
#[derive(Clone, Debug, Default)]
pub struct Tips {
    /// Snapshots, with all behind them.
    pub snapshots: Vec<ObjectId>,
    /// Trees.
    pub trees: Vec<ObjectId>,
    /// The trees of so many snapshots of each chain; older ones may come without.
    pub depth: Option<u64>,
    /// Blocks need not be there.
    pub without_blocks: bool,
}

/// Fails with the first object that is missing. Gives the snapshots that are new, parents first.
pub fn check(both: &Both<'_>, tips: &Tips, held: &mut Reachable, progress: &Progress) -> Result<Vec<New>> {
    let new = new_snapshots(
        both,
        &tips.snapshots,
        tips.depth,
        &mut |id| held.contains(both.main, id),
        progress,
    )?;
    let mut difference = Difference::new(both, true, progress);
    let mut trees: HashMap<ObjectId, ObjectId> = HashMap::new();
    for snapshot in &new {
        if snapshot.is_bare || held.is_forgotten(&snapshot.id) {
            continue;
        }
        let may_lack = tips.without_blocks || snapshot.snapshot.is_ghosts_only();
        let base = base_of(both, snapshot, &trees, held)?;
        let tree = snapshot.snapshot.tree;
        difference.tree(tree, base, &mut |kind, id, bytes| {
            is_there(both, kind, id, bytes, may_lack)
        })?;
        if !may_lack {
            trees.insert(snapshot.id, tree);
        }
    }
    for &tree in &tips.trees {
        let may_lack = tips.without_blocks;
        difference.tree(tree, None, &mut |kind, id, bytes| {
            is_there(both, kind, id, bytes, may_lack)
        })?;
    }
    Ok(new)
}

/// The tree to compare with: that of the first parent, if it is whole with all blocks.
fn base_of(
    both: &Both<'_>,
    new: &New,
    handled: &HashMap<ObjectId, ObjectId>,
    held: &mut Reachable,
) -> Result<Option<ObjectId>> {
    let Some(parent) = new.snapshot.parents.first() else {
        return Ok(None);
    };
    if let Some(tree) = handled.get(parent) {
        return Ok(Some(*tree));
    }
    if held.is_forgotten(parent) || !held.contains(both.main, parent)? {
        return Ok(None);
    }
    let parent = read_snapshot(both, parent)?;
    Ok((!parent.is_ghosts_only()).then_some(parent.tree))
}

/// Refuses an object that is in neither store, unless it is a block that may be missing.
pub(super) fn is_there(both: &Both<'_>, kind: ObjectKind, id: ObjectId, bytes: u64, may_lack: bool) -> Result<()> {
    let may_lack = kind == ObjectKind::Block && (may_lack || bytes == 0);
    match may_lack || both.has(&id)? {
        true => Ok(()),
        false => Err(Error::Missing {
            id,
            needed_as: kind.name(),
        }),
    }
}

/// Whether `new` follows `old`: is it, or has it among its ancestors.
pub fn follows(source: &dyn ObjectSource, new: ObjectId, old: ObjectId) -> Result<bool> {
    Reachable::of([new]).contains(source, &old)
}
