//! Bringing the trees of snapshots that came without them.
//!
//! 1. From the tips given, snapshots are followed back through those whose trees stayed behind, as far as is asked for.
//! 2. The other side is asked which of them it has whole: it may have forgotten some, too.
//! 3. Their trees come as any pack does. When all of it is there and checked, the marks that said that they were gone go,
//!    in one record.

use hashbrown::HashMap;

use super::{Client, Fetch};
use crate::error::Result;
use crate::object::ObjectId;
use crate::refs::revision::read_snapshot;
use crate::refs::{Expected, RefChange, Sequence, Who, forgotten_ref};
use crate::remote::check::Reachable;
use crate::remote::message::{Have, IDS_MAX, Listing};
use crate::remote::pack::PackCount;
use crate::repository::{Leans, Repository};

/// What is to be brought.
#[derive(Clone, Debug)]
pub struct Deepen {
    /// Snapshots whose past is meant.
    pub tips: Vec<ObjectId>,
    /// So many snapshots behind the last that has its tree; none is all of them.
    pub more: Option<u64>,
    /// For the ref log.
    pub who: Who,
    /// For the ref log.
    pub message: String,
}

/// What was brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deepened {
    /// Snapshots that have their trees again.
    pub snapshots: usize,
    /// What came.
    pub count: PackCount,
    /// The record of the ref log; none where nothing was to be done.
    pub sequence: Option<Sequence>,
}

impl Client<'_> {
    /// Brings the trees of older snapshots. Those that the other side does not have are passed over.
    pub fn deepen(&self, repository: &Repository, listing: &Listing, deepen: &Deepen) -> Result<Deepened> {
        repository.check_writable()?;
        let mut chosen = bare(repository, deepen)?;
        chosen.truncate(IDS_MAX);
        if chosen.is_empty() {
            return Ok(Deepened::default());
        }
        let ids: Vec<ObjectId> = chosen.iter().map(|(id, _)| *id).collect();
        let answers = self.have(&ids)?;
        let whole = chosen.into_iter().zip(answers).filter(|(_, have)| *have == Have::Whole);
        let (ids, trees): (Vec<ObjectId>, Vec<ObjectId>) = whole.map(|(chosen, _)| chosen).unzip();
        if ids.is_empty() {
            return Ok(Deepened::default());
        }
        let wish = Fetch {
            mappings: Vec::new(),
            ids: trees,
            delete: Vec::new(),
            depth: None,
            without_blocks: repository.is_lazy(),
            deltas: true,
            who: deepen.who.clone(),
            message: deepen.message.clone(),
        };
        let count = self.fetch(repository, listing, &wish)?.count;
        let marks: Vec<RefChange> = ids
            .iter()
            .map(|id| RefChange {
                name: forgotten_ref(id),
                expected: Expected::Is(*id),
                new: None,
            })
            .collect();
        let sequence = repository.commit(&marks, &deepen.who, &deepen.message, Leans::Anything)?;
        Ok(Deepened {
            snapshots: ids.len(),
            count,
            sequence: Some(sequence),
        })
    }
}

/// The snapshots behind the tips that are marked as forgotten, with their trees, the nearest first. What was one of ghosts only
/// has no blocks anywhere.
fn bare(repository: &Repository, deepen: &Deepen) -> Result<Vec<(ObjectId, ObjectId)>> {
    let held = Reachable::of_refs(&repository.refs)?;
    let store = &repository.store;
    let most = deepen.more.unwrap_or(u64::MAX);
    // The least distance from a snapshot that has its tree; nearer ones are looked at first.
    let mut distances: HashMap<ObjectId, u64> = HashMap::new();
    let mut found = Vec::new();
    let mut level: Vec<(ObjectId, u64)> = deepen.tips.iter().map(|tip| (*tip, 0)).collect();
    while let Some((id, behind)) = level.pop() {
        let distance = match held.is_forgotten(&id) {
            true => behind + 1,
            false => 0,
        };
        if distance > most || distances.get(&id).is_some_and(|known| *known <= distance) || !store.contains(&id)? {
            continue;
        }
        let snapshot = read_snapshot(store, &id)?;
        if distance > 0 && distances.insert(id, distance).is_none() && !snapshot.is_ghosts_only() {
            found.push((id, snapshot.tree));
        }
        distances.insert(id, distance);
        level.extend(snapshot.parents.iter().map(|parent| (*parent, distance)));
    }
    found.sort_by_key(|(id, _)| distances.get(id).copied());
    Ok(found)
}
