//! Changing snapshots of the past: others take their places, and the lines move to them.
//!
//! 1. All snapshots behind lines and tags are read, and looked at in the order of history, the oldest first.
//! 2. An [`Edit`] says what becomes of each. One that is edited, or has a parent that was, is made anew: with its new
//!    parents, and else as it was. So the chain of a line is whole at all times.
//! 3. The new objects are made durable.
//! 4. In one record of the ref log, every line and tag that names one that was made anew moves to it, and so do the marks
//!    of forgotten ones: what was forgotten stays so.
//!
//! Nothing is destroyed: the old snapshots stay behind the ref log until a collection, and undoing the one record brings
//! all of it back. Where a line moved meanwhile, nothing is changed; who calls again reads only what is new
//! ([`Rewriter`] remembers the rest).
//!
//! - [`edits`]: what can be changed of a snapshot
//! - [`trees`]: trees without some paths

pub mod edits;
pub mod trees;

use hashbrown::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::limits::{REF_CHANGES_MAX, SNAPSHOT_BYTES_MAX};
use crate::object::content::PutObject;
use crate::object::{ObjectId, ObjectKind, ObjectSource, Snapshot, Totals};
use crate::refs::revision::read_snapshot;
use crate::refs::{Expected, FORGOTTEN, LINES, RefChange, forgotten_ref};
use crate::retention::plan::{Values, children_first};

pub use self::edits::{Amend, Amendment, Exclude};
pub use self::trees::{Dropper, LeavesOut, Rewritten};

/// Where tags live.
const TAGS: &str = "refs/tags/";

/// What becomes of snapshots.
pub trait Edit {
    /// Changes a snapshot, or leaves it as it is. Its parents are not for an edit to change. `put` stores what it needs.
    fn edit(&mut self, id: &ObjectId, snapshot: &mut Snapshot, put: &mut PutObject<'_>) -> Result<()>;
}

/// A snapshot that another one takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The old one.
    pub old: ObjectId,
    /// The new one.
    pub new: ObjectId,
    /// Whether it was edited itself, not only given new parents.
    pub is_edited: bool,
    /// The tree before and after, where that differs.
    pub trees: Option<(ObjectId, ObjectId)>,
    /// What it holds less than the old one.
    pub dropped: Totals,
}

/// Makes snapshots anew, and remembers what became of each.
#[derive(Debug, Default)]
pub struct Rewriter {
    snapshots: HashMap<ObjectId, Snapshot>,
    /// What became of those that were looked at; itself where it stays.
    became: HashMap<ObjectId, ObjectId>,
    /// All that were made anew, parents before children.
    pub replaced: Vec<Replaced>,
}

impl Rewriter {
    /// Makes anew what `edit` changes of the snapshots behind the lines and tags of `values`, and all that come after it.
    pub fn run(
        &mut self,
        values: &Values,
        objects: &dyn ObjectSource,
        edit: &mut dyn Edit,
        put: &mut PutObject<'_>,
    ) -> Result<()> {
        let mut open: Vec<ObjectId> = Vec::new();
        for (_, id) in values.iter().filter(|(name, _)| moves(name)) {
            // Lines and tags may name trees, which have no history.
            let known = self.snapshots.contains_key(id);
            open.extend((known || objects.tree_node(id).is_err()).then_some(*id));
        }
        while let Some(id) = open.pop() {
            if !self.snapshots.contains_key(&id) {
                let snapshot = read_snapshot(objects, &id)?;
                open.extend_from_slice(&snapshot.parents);
                self.snapshots.insert(id, snapshot);
            }
        }
        for id in children_first(&self.snapshots).into_iter().rev() {
            if !self.became.contains_key(&id) {
                let new = self.remake(id, edit, put)?;
                self.became.insert(id, new);
            }
        }
        Ok(())
    }

    fn remake(&mut self, id: ObjectId, edit: &mut dyn Edit, put: &mut PutObject<'_>) -> Result<ObjectId> {
        let old = &self.snapshots[&id];
        let mut snapshot = old.clone();
        edit.edit(&id, &mut snapshot, put)?;
        let is_edited = snapshot != *old;
        for parent in &mut snapshot.parents {
            if let Some(new) = self.became.get(parent) {
                *parent = *new;
            }
        }
        if snapshot == *old {
            return Ok(id);
        }
        let encoded = snapshot.encode();
        if encoded.len() > SNAPSHOT_BYTES_MAX {
            let problem = format_args!("{} bytes, the limit is {SNAPSHOT_BYTES_MAX}", encoded.len());
            return Err(Error::invalid("snapshot", id, problem));
        }
        // What is over a limit is refused here, before it is stored.
        Snapshot::decode(&encoded)?;
        let new = put(ObjectKind::Snapshot, encoded)?;
        self.replaced.push(Replaced {
            old: id,
            new,
            is_edited,
            trees: (snapshot.tree != old.tree).then_some((old.tree, snapshot.tree)),
            dropped: less(&old.totals, &snapshot.totals),
        });
        Ok(new)
    }

    /// Whether a line or tag leads to a snapshot.
    pub fn has_met(&self, id: &ObjectId) -> bool {
        self.became.contains_key(id)
    }

    /// What took the place of a snapshot; none where it stays or was not looked at.
    pub fn successor(&self, id: &ObjectId) -> Option<ObjectId> {
        self.became.get(id).copied().filter(|new| new != id)
    }

    /// The refs that do not move and still lead to snapshots that were made anew: what those hold stays with them.
    pub fn left_behind<'v>(&self, values: &'v Values, objects: &dyn ObjectSource) -> Result<Vec<&'v str>> {
        let mut names = Vec::new();
        let others = values
            .iter()
            .filter(|(name, _)| !moves(name) && !name.starts_with(FORGOTTEN));
        for (name, id) in others {
            let is_snapshot = self.became.contains_key(id) || objects.tree_node(id).is_err();
            if is_snapshot
                && edits::behind(objects, [*id])?
                    .iter()
                    .any(|id| self.successor(id).is_some())
            {
                names.push(name.as_str());
            }
        }
        Ok(names)
    }

    /// The changes of refs that put the new snapshots in the place of the old ones.
    ///
    /// Fails where they are more than one record holds.
    pub fn changes(&self, values: &Values) -> Result<Vec<RefChange>> {
        let mut changes = Vec::new();
        let mut marked = HashSet::new();
        for (name, id) in values {
            let Some(new) = self.successor(id) else { continue };
            if moves(name) {
                changes.push(RefChange {
                    name: name.clone(),
                    expected: Expected::Is(*id),
                    new: Some(new),
                });
            } else if name.starts_with(FORGOTTEN) {
                changes.push(RefChange {
                    name: name.clone(),
                    expected: Expected::Is(*id),
                    new: None,
                });
                // Two that were forgotten may have become the same.
                if marked.insert(new) {
                    changes.push(RefChange {
                        name: forgotten_ref(&new),
                        expected: Expected::Any,
                        new: Some(new),
                    });
                }
            }
        }
        if changes.len() > REF_CHANGES_MAX {
            let problem =
                format_args!("expected at most {REF_CHANGES_MAX}: forget fewer snapshots, or rewrite one line");
            return Err(Error::invalid("number of refs to change", changes.len(), problem));
        }
        Ok(changes)
    }
}

/// Whether a ref moves to what took the place of its value: lines and tags do; what a remote has stays as it is there.
fn moves(name: &str) -> bool {
    name.starts_with(LINES) || name.starts_with(TAGS)
}

fn less(old: &Totals, new: &Totals) -> Totals {
    Totals {
        files: old.files.saturating_sub(new.files),
        directories: old.directories.saturating_sub(new.directories),
        others: old.others.saturating_sub(new.others),
        bytes: old.bytes.saturating_sub(new.bytes),
    }
}

#[cfg(test)]
mod tests;
