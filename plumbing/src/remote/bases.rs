//! Which bases of delta frames the other side has.
//!
//! Nobody is asked: a snapshot that the other side holds says what it has. Looked at in turn, as long as bases are unknown:
//!
//! 1. what was met when the new trees were compared with those that are held: mostly all of it
//! 2. how the snapshots before those differ from each other, some way back: where a chain became too long, an object is made
//!    from one that is older than the last
//! 3. all of the trees that are held nearest: what was copied or moved is made from a file that did not change
//!
//! What is not found counts as missing there. Then objects travel decoded, which costs bytes and nothing else.

use hashbrown::HashSet;

use super::check::Reachable;
use super::difference::Difference;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::store::Store;

/// Snapshots that are looked at, going back from one that is held.
const HISTORY_MAX: usize = 64;
/// Trees that are gone through.
const TREES_MAX: usize = 4;

/// Finds bases among what the other side holds.
pub(super) struct HeldBases<'h, 'd> {
    pub store: &'h Store,
    pub progress: &'h Progress,
    /// With what was met on the held side.
    pub difference: &'h mut Difference<'d>,
    /// Snapshots that are held with their trees and blocks, the nearest to what is new.
    pub edge: Vec<ObjectId>,
    /// Snapshots whose trees may be gone, here or there.
    pub forgotten: &'h Reachable,
}

impl HeldBases<'_, '_> {
    /// Takes out of `lacking` what the other side has.
    pub fn take_out(&mut self, lacking: &mut HashSet<ObjectId>) -> Result<()> {
        lacking.retain(|id| !self.difference.holds(id));
        for at in 0..self.edge.len() {
            self.go_back(self.edge[at], lacking)?;
        }
        for &id in self.edge.iter().take(TREES_MAX) {
            let Some(tree) = self.whole_tree(&id)?.filter(|_| !lacking.is_empty()) else {
                continue;
            };
            let mut all = Difference::new(self.store, true, self.progress);
            let gone_through = all.tree(tree, None, &mut |_, id, _| {
                lacking.remove(&id);
                Ok(())
            });
            match gone_through {
                // What is not here is no base of what is.
                Ok(()) | Err(Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn go_back(&mut self, from: ObjectId, lacking: &mut HashSet<ObjectId>) -> Result<()> {
        let (mut newer, mut id) = (None, from);
        for _ in 0..HISTORY_MAX {
            self.progress.check()?;
            lacking.remove(&id);
            if lacking.is_empty() {
                return Ok(());
            }
            let Some(tree) = self.whole_tree(&id)? else {
                return Ok(());
            };
            if let Some(newer) = newer {
                self.difference.hold_changes(tree, newer)?;
                lacking.retain(|id| !self.difference.holds(id));
            }
            newer = Some(tree);
            match read_snapshot(self.store, &id)?.parents.first() {
                Some(parent) if self.store.contains(parent)? => id = *parent,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// The tree of a snapshot that is held with all its blocks, as far as it is here.
    fn whole_tree(&self, id: &ObjectId) -> Result<Option<ObjectId>> {
        match self.forgotten.is_forgotten(id) {
            true => Ok(None),
            false => whole_tree(self.store, id),
        }
    }
}

/// The tree of a snapshot with all its blocks, where it is here.
pub(super) fn whole_tree(store: &Store, id: &ObjectId) -> Result<Option<ObjectId>> {
    let snapshot = read_snapshot(store, id)?;
    let is_here = store.contains(&snapshot.tree)?;
    Ok((is_here && !snapshot.is_ghosts_only()).then_some(snapshot.tree))
}
