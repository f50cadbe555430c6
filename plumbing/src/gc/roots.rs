//! What refs keep, as roots of a mark.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use super::mark::{Needs, Root};
use crate::error::Result;
use crate::object::{ContentRef, ObjectId, ObjectKind};
use crate::refs::revision::read_snapshot;
use crate::refs::{RefStore, Sequence};
use crate::retention::{Ancestry, LiveSnapshot, Logged};
use crate::store::Store;
use crate::verify::recorded::{DAMAGED, LOST};

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
        let records = || values.iter().filter(|(name, _)| name.starts_with(DAMAGED));
        let recorded: HashSet<&str> = records().filter_map(|(name, _)| name.strip_prefix(DAMAGED)).collect();
        // Their files keep entries of what is lost.
        let replacements: HashSet<ObjectId> = records().map(|(_, id)| *id).collect();
        for snapshot in live.snapshots {
            // What is recorded as lost is missed no more; what is left of it stays.
            let is_recorded = recorded.contains(snapshot.id.hex().as_str()) || replacements.contains(&snapshot.id);
            let needs = match is_recorded {
                true => Needs::Nothing,
                false => contents_of(store, &snapshot),
            };
            keep(Needs::All, ObjectKind::Snapshot, snapshot.id);
            keep(needs, ObjectKind::Tree, snapshot.tree);
        }
        // So that those behind it are found.
        live.forgotten
            .into_iter()
            .for_each(|id| keep(Needs::All, ObjectKind::Snapshot, id));
        live.trees
            .into_iter()
            .for_each(|id| keep(data_of(store), ObjectKind::Tree, id));
        for snapshot in live.logged {
            keep(Needs::Nothing, ObjectKind::Snapshot, snapshot.id);
            keep(Needs::Nothing, ObjectKind::Tree, snapshot.tree);
        }
        for (_, id) in records() {
            if let Some((kind, id)) = list_of_losses(store, id)? {
                keep(Needs::All, kind, id);
            }
        }
        live.logged_trees
            .into_iter()
            .for_each(|id| keep(Needs::Nothing, ObjectKind::Tree, id));
        Ok(roots)
    }
}

/// The list of what is lost, which a replacement names beside its tree.
fn list_of_losses(store: &Store, replacement: &ObjectId) -> Result<Option<(ObjectKind, ObjectId)>> {
    let snapshot = read_snapshot(store, replacement)?;
    let list = snapshot.extra.iter().find(|(key, _)| key == LOST);
    let text = list.and_then(|(_, value)| std::str::from_utf8(value).ok());
    let content: Option<ContentRef> = text.and_then(|text| text.parse().ok());
    Ok(content.and_then(|content| content.object()))
}

fn contents_of(store: &Store, snapshot: &LiveSnapshot) -> Needs {
    match snapshot.ghosts_only {
        true => Needs::Descriptions,
        false => data_of(store),
    }
}

/// How much of a tree must be there whose bytes are stored: of a lazy repository some are with others.
fn data_of(store: &Store) -> Needs {
    match store.may_lack_blocks() {
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
