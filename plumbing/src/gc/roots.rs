//! What refs keep, as roots of a mark.

use std::collections::BTreeMap;

use super::mark::{Needs, Root};
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind};
use crate::refs::{RefStore, Sequence};
use crate::retention::{Ancestry, LiveSnapshot, Logged};
use crate::store::Store;

/// Says what refs keep; asked again, it reads only what is new.
#[derive(Debug, Default)]
pub(super) struct Roots {
    pub(super) ancestry: Ancestry,
    /// What records of the ref log keep that refs do not.
    pub(super) logged: Logged,
}

impl Roots {
    /// The roots for these values of refs.
    pub(super) fn of(&mut self, store: &Store, values: &BTreeMap<String, ObjectId>) -> Result<Vec<Root>> {
        let values: Vec<_> = values.iter().map(|(name, id)| (name.clone(), *id)).collect();
        let live = self.ancestry.live_roots(&values, &self.logged, store)?;
        let mut roots = Vec::new();
        let mut keep = |needs, kind, id| roots.push(Root { needs, kind, id });
        for snapshot in live.snapshots {
            keep(Needs::All, ObjectKind::Snapshot, snapshot.id);
            keep(contents_of(&snapshot), ObjectKind::Tree, snapshot.tree);
        }
        // So that those behind it are found.
        live.forgotten
            .into_iter()
            .for_each(|id| keep(Needs::All, ObjectKind::Snapshot, id));
        live.trees
            .into_iter()
            .for_each(|id| keep(Needs::All, ObjectKind::Tree, id));
        for snapshot in live.logged {
            keep(Needs::Nothing, ObjectKind::Snapshot, snapshot.id);
            keep(Needs::Nothing, ObjectKind::Tree, snapshot.tree);
        }
        live.logged_trees
            .into_iter()
            .for_each(|id| keep(Needs::Nothing, ObjectKind::Tree, id));
        Ok(roots)
    }
}

fn contents_of(snapshot: &LiveSnapshot) -> Needs {
    match snapshot.ghosts_only {
        true => Needs::Descriptions,
        false => Needs::All,
    }
}

/// The values of all refs, and the number of the last record.
pub(super) fn values(refs: &RefStore) -> Result<(Option<Sequence>, BTreeMap<String, ObjectId>)> {
    loop {
        let before = refs.sequence()?;
        let values = refs.list("refs/")?.into_iter().collect();
        if refs.sequence()? == before {
            return Ok((before, values));
        }
    }
}
