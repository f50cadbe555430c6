//! What one side sends to the other: new snapshots with all that they need, and nothing that is held.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};

use super::bases::{HeldBases, whole_tree};
use super::check::Reachable;
use super::difference::{Difference, New, new_snapshots};
use super::pack::Plan;
use super::pack::plan::{Deltas, Extent, Wanted};
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::store::Store;

/// What is asked for, and what is there.
#[derive(Debug, Default)]
pub struct Ask {
    /// Snapshots.
    pub snapshots: Vec<ObjectId>,
    /// Trees, with all below.
    pub trees: Vec<ObjectId>,
    /// The trees of so many snapshots of each chain; older ones come without.
    pub depth: Option<u64>,
    /// Without the blocks of files.
    pub without_blocks: bool,
    /// Snapshots that the other side holds.
    pub haves: Vec<ObjectId>,
    /// The other side takes delta frames, and has the blocks of what it holds.
    pub deltas: bool,
}

/// What will be sent.
#[derive(Debug, Default)]
pub struct Offer {
    /// Snapshots that are new to the other side, parents first.
    pub new: Vec<New>,
    /// The frames.
    pub plan: Plan,
}

impl Ask {
    /// Sorts what is asked for by what it is here; an id that is not here is an error.
    pub fn add(&mut self, store: &Store, id: ObjectId) -> Result<()> {
        let missing = Error::Missing {
            id,
            needed_as: "snapshot",
        };
        let bytes = store.get(&id)?.ok_or(missing)?;
        match Snapshot::decode(&bytes) {
            Ok(_) => self.snapshots.push(id),
            Err(_) => self.trees.push(id),
        }
        Ok(())
    }
}

/// Finds what the other side lacks. Fails where something is asked for that is not whole here. `forgotten` says of which
/// snapshots the trees may be gone, here or there.
pub fn prepare(store: &Store, ask: &Ask, forgotten: &Reachable, progress: &Progress) -> Result<Offer> {
    let haves = known(store, &ask.haves)?;
    let mut held = Reachable::of(haves.iter().copied());
    let new = new_snapshots(
        store,
        &ask.snapshots,
        ask.depth,
        &mut |id| held.contains(store, id),
        progress,
    )?;
    let mut collect = Collect {
        wanted: Vec::new(),
        may_lack: HashSet::new(),
    };
    let mut difference = Difference::new(store, !ask.without_blocks, progress);
    let fallback = fallback(store, &haves, forgotten)?;
    let mut trees: HashMap<ObjectId, ObjectId> = HashMap::new();
    let mut edge: Vec<ObjectId> = Vec::new();
    for new in &new {
        collect.wanted.push((ObjectKind::Snapshot, new.id));
        if new.is_bare || forgotten.is_forgotten(&new.id) {
            continue;
        }
        let base = match new.snapshot.parents.first() {
            Some(parent) if trees.contains_key(parent) => trees.get(parent).copied(),
            Some(parent) if held.contains(store, parent)? && !forgotten.is_forgotten(parent) => {
                if !edge.contains(parent) {
                    edge.push(*parent);
                }
                whole_tree(store, parent)?
            }
            _ => fallback,
        };
        let tree = new.snapshot.tree;
        let is_ghosts_only = new.snapshot.is_ghosts_only();
        difference.tree(tree, base, &mut |kind, id, bytes| {
            collect.take(kind, id, bytes, is_ghosts_only)
        })?;
        if !is_ghosts_only {
            trees.insert(new.id, tree);
        }
    }
    for &tree in &ask.trees {
        difference.tree(tree, fallback, &mut |kind, id, bytes| {
            collect.take(kind, id, bytes, false)
        })?;
    }
    if edge.is_empty() {
        edge.clone_from(&haves);
    }
    let bases = HeldBases {
        store,
        progress,
        difference: &mut difference,
        edge,
        forgotten,
    };
    let plan = plan(bases, &collect.wanted, ask.deltas)?;
    // Of a lazy repository the other side may have what is not here: it checks that.
    let is_elsewhere = |kind: ObjectKind| kind == ObjectKind::Block && store.may_lack_blocks();
    let mut missing = plan.missing.iter();
    let lacking = missing.find(|(kind, id)| !collect.may_lack.contains(id) && !is_elsewhere(*kind));
    if let Some(&(kind, id)) = lacking {
        let needed_as = kind.name();
        return Err(Error::Missing { id, needed_as });
    }
    Ok(Offer { new, plan })
}

/// What the other side holds and this one does not know is of no use here.
fn known(store: &Store, haves: &[ObjectId]) -> Result<Vec<ObjectId>> {
    let mut known = Vec::new();
    for &id in haves {
        if store.contains(&id)? && read_snapshot(store, &id).is_ok() {
            known.push(id);
        }
    }
    Ok(known)
}

fn plan(mut bases: HeldBases<'_, '_>, wanted: &[Wanted], deltas: bool) -> Result<Plan> {
    let (store, progress) = (bases.store, bases.progress);
    let mut held_bases = |lacking: &mut HashSet<ObjectId>| bases.take_out(lacking);
    let deltas = match deltas {
        true => Deltas::AsTheyAre(&mut held_bases),
        false => Deltas::Decoded,
    };
    Plan::new(store, wanted, deltas, progress)
}

struct Collect {
    wanted: Vec<Wanted>,
    /// Blocks that are described only.
    may_lack: HashSet<ObjectId>,
}

impl Collect {
    fn take(&mut self, kind: ObjectKind, id: ObjectId, bytes: u64, is_ghosts_only: bool) -> Result<()> {
        if kind == ObjectKind::Block && (is_ghosts_only || bytes == 0) {
            self.may_lack.insert(id);
        }
        self.wanted.push((kind, id));
        Ok(())
    }
}

/// A tree that the other side holds, for snapshots whose parents it does not.
fn fallback(store: &Store, haves: &[ObjectId], forgotten: &Reachable) -> Result<Option<ObjectId>> {
    for id in haves.iter().filter(|id| !forgotten.is_forgotten(id)) {
        if let Some(tree) = whole_tree(store, id)? {
            return Ok(Some(tree));
        }
    }
    Ok(None)
}

/// Snapshots behind these that are here, the nearest first, `most` of them at most. What is no snapshot has none.
pub fn behind(store: &Store, ids: &[ObjectId], most: u64, progress: &Progress) -> Result<Vec<ObjectId>> {
    let mut seen: HashSet<ObjectId> = ids.iter().copied().collect();
    let mut found = Vec::new();
    let mut open: VecDeque<ObjectId> = ids.iter().copied().collect();
    while let Some(id) = open.pop_front().filter(|_| (found.len() as u64) < most) {
        progress.check()?;
        if store.kind_of(&id)? != Some(ObjectKind::Snapshot) {
            continue;
        }
        for parent in read_snapshot(store, &id)?.parents {
            if (found.len() as u64) < most && seen.insert(parent) && store.contains(&parent)? {
                found.push(parent);
                open.push_back(parent);
            }
        }
    }
    Ok(found)
}

/// Single objects, each once, and as `extent` allows what lies beside them. Those that are not here are among
/// [`Plan::missing`]: what other processes added is looked at once, before all of them.
pub fn prepare_objects(store: &Store, ids: &[ObjectId], extent: Extent, progress: &Progress) -> Result<Plan> {
    store.refresh()?;
    let mut seen = HashSet::with_capacity(ids.len());
    let ids: Vec<ObjectId> = ids.iter().filter(|id| seen.insert(**id)).copied().collect();
    Plan::of_ids(store, &ids, extent, progress)
}

/// Objects with all that is below them; those that are not here are left out.
pub fn prepare_closures(store: &Store, ids: &[ObjectId], without_blocks: bool, progress: &Progress) -> Result<Plan> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut difference = Difference::new(store, !without_blocks, progress);
    for &id in ids {
        let kind = store.kind_of(&id)?.unwrap_or(ObjectKind::Block);
        let mut take = |kind, id, _| {
            wanted.push((kind, id));
            Ok(())
        };
        match kind {
            ObjectKind::Tree => difference.tree(id, None, &mut take)?,
            ObjectKind::Snapshot => {
                difference.object(kind, id, 0, &mut take)?;
                difference.tree(read_snapshot(store, &id)?.tree, None, &mut take)?;
            }
            ObjectKind::Indirect => {
                let bytes = store.object(kind, &id)?;
                let list = crate::object::Indirect::decode_any(&bytes)?;
                difference.object(kind, id, 0, &mut take)?;
                for part in &list.refs {
                    difference.content(part, &mut take)?;
                }
            }
            ObjectKind::Block => drop(difference.object(kind, id, 0, &mut take)?),
        }
    }
    Plan::new(store, &wanted, Deltas::Decoded, progress)
}
