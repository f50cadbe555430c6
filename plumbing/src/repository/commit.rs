//! Moving refs while gc may run.
//!
//! What a ref names must be whole for as long as the ref stands. A commit
//!
//! 1. reads the generation
//! 2. where the process holds a lease of just that one and has itself put all that the new values need, nothing can be
//!    missing; else looks for all that the change makes live ([`Closure`]), stores again what only condemned data files
//!    hold, and makes that durable
//! 3. changes the refs, under their lock, if the generation still stands; else it begins again
//!
//! gc publishes under the same lock after it has marked what refs name. So a commit comes before a publication, and is
//! marked, or after it, and sees it.

use std::cell::Cell;
use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::Repository;
use super::closure::Closure;
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind, Snapshot};
use crate::refs::{FORGOTTEN, Forgotten, RefChange, Sequence, TransactionOptions, Who, compare};

/// How often a generation may move while one change of refs is made.
const TRIES_MAX: usize = 100;

/// What the new values of a change lean on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leans {
    /// On objects that this process has put, each of them, since it opened the repository.
    Own,
    /// On anything: it is looked for.
    Anything,
}

impl Repository {
    /// Makes all changes in one record, or none, as [`crate::refs::RefStore::transaction`] does, after making sure that
    /// what they make live is whole. Fails with [`Error::Incomplete`] where it is not.
    pub fn commit(&self, changes: &[RefChange], who: &Who, message: &str, leans: Leans) -> Result<Sequence> {
        self.commit_with(changes, who, message, leans, None)
    }

    /// The same, with the name of a push.
    pub fn commit_with(
        &self,
        changes: &[RefChange],
        who: &Who,
        message: &str,
        leans: Leans,
        push_id: Option<[u8; 16]>,
    ) -> Result<Sequence> {
        for _ in 0..TRIES_MAX {
            let generation = self.store.advance()?;
            if leans == Leans::Anything || self.store.leased() != Some(generation) {
                self.secure(changes)?;
                self.store.make_durable()?;
            }
            let moved = Cell::new(false);
            let stands = || match self.store.advance()? {
                now if now == generation => Ok(()),
                _ => {
                    moved.set(true);
                    Err(Error::Interrupted)
                }
            };
            let options = TransactionOptions {
                before_append: Some(&stands),
                push_id,
                generation,
            };
            match self.refs.transaction_with(changes, who, message, &options) {
                Err(_) if moved.get() => {}
                Ok(sequence) => {
                    // A ref names what this process stored: gc sees it without the locks.
                    self.store.release_all();
                    self.store.sweep_if_due();
                    return Ok(sequence);
                }
                Err(e) => return Err(e),
            }
        }
        let problem = "garbage is collected again and again while refs are changed; try again";
        Err(Error::invalid("change of refs", self.ghost_dir.display(), problem))
    }

    /// Makes sure that all that a change makes live is stored where it stays, and durable.
    fn secure(&self, changes: &[RefChange]) -> Result<()> {
        let values: BTreeMap<String, ObjectId> = self.refs.list("refs/")?.into_iter().collect();
        // A line that moved meanwhile is told as such, and not by what its old value leads to.
        compare(&values, changes)?;
        let mut live = Live::new(self, values);
        let gains = live.gains(changes)?;
        if gains.is_empty() {
            return Ok(());
        }
        let writer = self.store.writer()?;
        let mut closure = Closure::rescue(writer.packer());
        let mut known = live;
        for gain in gains {
            known.check(&mut closure, gain)?;
        }
        if let Some(mut packer) = closure.into_packer() {
            packer.flush()?;
        }
        writer.commit()
    }
}

/// A value that a change makes live.
struct Gain {
    id: ObjectId,
    /// Its tree must be there.
    in_full: bool,
    /// What the ref named before: most of it may be the same.
    before: Option<ObjectId>,
}

/// What refs keep alive.
struct Live<'r> {
    repository: &'r Repository,
    values: BTreeMap<String, ObjectId>,
    forgotten: Forgotten,
    /// What is forgotten when the change is made.
    forgotten_after: Forgotten,
    tips: HashSet<ObjectId>,
    /// All snapshots that refs lead to, once they were needed, and those that this change adds.
    ancestors: Option<HashSet<ObjectId>>,
    added: HashSet<ObjectId>,
    snapshots: HashMap<ObjectId, Snapshot>,
}

impl<'r> Live<'r> {
    fn new(repository: &'r Repository, values: BTreeMap<String, ObjectId>) -> Self {
        let tips = tips(&values).into_iter().collect();
        Self {
            repository,
            forgotten: forgotten(&values),
            forgotten_after: Forgotten::default(),
            values,
            tips,
            ancestors: None,
            added: HashSet::new(),
            snapshots: HashMap::new(),
        }
    }

    fn gains(&mut self, changes: &[RefChange]) -> Result<Vec<Gain>> {
        let mut after = self.values.clone();
        for change in changes {
            match change.new {
                Some(id) => after.insert(change.name.clone(), id),
                None => after.remove(&change.name),
            };
        }
        self.forgotten_after = forgotten(&after);
        // All that refs lead to after the change, once it is asked for.
        let mut behind: Option<HashSet<ObjectId>> = None;
        let mut gains = Vec::new();
        for change in changes {
            let before = self.values.get(&change.name).copied();
            let is_mark = change.name.starts_with(FORGOTTEN);
            let id = match (is_mark, change.new) {
                (false, Some(id)) => id,
                // What is no longer forgotten is live again, if anything leads to it: others may have taken its place.
                (true, None) => {
                    if behind.is_none() {
                        behind = Some(self.behind(tips(&after))?);
                    }
                    match before.filter(|id| behind.as_ref().is_some_and(|behind| behind.contains(id))) {
                        Some(id) => id,
                        None => continue,
                    }
                }
                _ => continue,
            };
            gains.push(Gain {
                id,
                in_full: !self.forgotten_after.contains(&id),
                before: before.filter(|_| !is_mark),
            });
        }
        Ok(gains)
    }

    fn check(&mut self, closure: &mut Closure<'_, '_>, gain: Gain) -> Result<()> {
        let store = &self.repository.store;
        let is_known = self.tips.contains(&gain.id) || self.added.contains(&gain.id);
        if is_known && !(gain.in_full && self.forgotten.contains(&gain.id)) {
            return Ok(());
        }
        let kind = store.kind_of(&gain.id)?;
        if kind == Some(ObjectKind::Tree) {
            let base = self.base(gain.before);
            return closure.tree(gain.id, gain.id, base, true);
        }
        let mut pending = vec![(gain.id, gain.in_full, gain.before)];
        while let Some((id, in_full, before)) = pending.pop() {
            let is_live = self.is_live(&id)?;
            if is_live && !(in_full && self.forgotten.contains(&id)) {
                continue;
            }
            let snapshot = closure.snapshot(id)?;
            let in_full = in_full && (id == gain.id || !self.forgotten_after.contains(&id));
            if in_full {
                let base = self.base(
                    snapshot
                        .parents
                        .first()
                        .copied()
                        .filter(|id| self.tips.contains(id))
                        .or(before),
                );
                closure.tree(id, snapshot.tree, base, !snapshot.is_ghosts_only())?;
            }
            self.added.insert(id);
            pending.extend(snapshot.parents.iter().map(|parent| (*parent, true, None)));
        }
        Ok(())
    }

    /// Whether refs lead to this snapshot.
    fn is_live(&mut self, id: &ObjectId) -> Result<bool> {
        if self.tips.contains(id) || self.added.contains(id) {
            return Ok(true);
        }
        if self.ancestors.is_none() {
            self.ancestors = Some(self.behind(self.tips.iter().copied().collect())?);
        }
        Ok(self.ancestors.as_ref().is_some_and(|found| found.contains(id)))
    }

    /// Snapshots and all that are before them.
    fn behind(&mut self, mut pending: Vec<ObjectId>) -> Result<HashSet<ObjectId>> {
        let mut found = HashSet::new();
        while let Some(id) = pending.pop() {
            if found.insert(id)
                && let Some(snapshot) = self.read(id)?
            {
                pending.extend(snapshot.parents.iter().copied());
            }
        }
        Ok(found)
    }

    /// A tree that is whole with all bytes, of a snapshot or tree that a ref names.
    fn base(&mut self, id: Option<ObjectId>) -> Option<ObjectId> {
        let id = id.filter(|id| self.tips.contains(id) && !self.forgotten.contains(id))?;
        let kind = self.repository.store.kind_of(&id).ok().flatten();
        if kind == Some(ObjectKind::Tree) {
            return Some(id);
        }
        // Without a base more is looked at, and that is all.
        let snapshot = self.read(id).ok().flatten()?;
        (!snapshot.is_ghosts_only()).then_some(snapshot.tree)
    }

    /// A snapshot; none where the ref names something else.
    fn read(&mut self, id: ObjectId) -> Result<Option<&Snapshot>> {
        if !self.snapshots.contains_key(&id) {
            let store = &self.repository.store;
            if store.kind_of(&id)? != Some(ObjectKind::Snapshot) {
                return Ok(None);
            }
            let Some(bytes) = store.get(&id)? else { return Ok(None) };
            self.snapshots.insert(id, Snapshot::decode(&bytes)?);
        }
        Ok(self.snapshots.get(&id))
    }
}

/// What refs name, but for the marks of forgotten snapshots.
fn tips(values: &BTreeMap<String, ObjectId>) -> Vec<ObjectId> {
    let named = values.iter().filter(|(name, _)| !name.starts_with(FORGOTTEN));
    named.map(|(_, id)| *id).collect()
}

fn forgotten(values: &BTreeMap<String, ObjectId>) -> Forgotten {
    Forgotten::of(values.iter().map(|(name, id)| (name.as_str(), *id)))
}
