//! Bringing snapshots from the other side.

use std::path::Path;

use hashbrown::HashSet;

use super::Client;
use super::push::forgotten_there;
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind, ObjectSource, Snapshot, TreeNode};
use crate::refs::{Expected, FORGOTTEN, Forgotten, RefChange, Sequence, Who, forgotten_ref};
use crate::remote::check::{Reachable, Tips, check};
use crate::remote::message::{self, FetchRequest, Listing};
use crate::remote::pack::PackCount;
use crate::remote::quarantine::{Both, Quarantine};
use crate::remote::wire::Code;
use crate::repository::{Leans, Repository};

/// Most snapshots that are named as held.
const HAVES_MAX: usize = 4096;

/// A ref of the other side and the one that is to follow it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its full name there.
    pub theirs: String,
    /// Its full name here.
    pub ours: String,
    /// It is made where it is missing and left alone where it is there: a tag.
    pub keep: bool,
}

/// What is to be fetched.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The refs.
    pub mappings: Vec<Mapping>,
    /// Snapshots by their ids, beside those.
    pub ids: Vec<ObjectId>,
    /// Refs here that go, since what they followed is gone.
    pub delete: Vec<String>,
    /// The trees of so many snapshots of each chain; older ones come as forgotten.
    pub depth: Option<u64>,
    /// Without the blocks of files. What a ref names must be whole, so that only snapshots of ghosts can be named by
    /// `mappings` then: others come by their `ids`, without a ref, and a ref to one fails with [`Error::Incomplete`].
    pub without_blocks: bool,
    /// Objects may come as differences from what is here: all blocks of what refs name are.
    pub deltas: bool,
    /// For the ref log.
    pub who: Who,
    /// For the ref log.
    pub message: String,
}

/// What a fetch did.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Refs that changed here, with their values before.
    pub changes: Vec<(RefChange, Option<ObjectId>)>,
    /// Snapshots that are new here.
    pub snapshots: usize,
    /// What came.
    pub count: PackCount,
    /// Snapshots whose trees stayed behind; they are forgotten here.
    pub bare: usize,
    /// The record of the ref log; none where nothing changed.
    pub sequence: Option<Sequence>,
}

impl Client<'_> {
    /// Brings what `fetch` names, and then moves the refs: all in one record, or none.
    pub fn fetch(&self, repository: &Repository, listing: &Listing, fetch: &Fetch) -> Result<Fetched> {
        repository.check_writable()?;
        let mut done = Fetched {
            changes: changes(repository, listing, fetch)?,
            ..Fetched::default()
        };
        let mut held = Reachable::of_refs(&repository.refs)?;
        let mut wants: Vec<ObjectId> = Vec::new();
        for id in done
            .changes
            .iter()
            .filter_map(|(change, _)| change.new)
            .chain(fetch.ids.iter().copied())
        {
            if !wants.contains(&id) && !held.contains(&repository.store, &id)? {
                wants.push(id);
            }
        }
        let mut forgotten = Vec::new();
        if !wants.is_empty() {
            forgotten = self.bring(repository, listing, fetch, wants, &mut held, &mut done)?;
        }
        let changes: Vec<RefChange> = done.changes.iter().map(|(change, _)| change.clone()).collect();
        if !forgotten.is_empty() {
            // Marks go first: a line that leads to a snapshot without its tree must find it marked.
            repository.commit(&forgotten, &fetch.who, &fetch.message, Leans::Anything)?;
        }
        if !changes.is_empty() {
            done.sequence = Some(repository.commit(&changes, &fetch.who, &fetch.message, Leans::Anything)?);
        }
        Ok(done)
    }

    /// Receives, checks and adopts. Gives marks for the new snapshots whose trees stay behind.
    fn bring(
        &self,
        repository: &Repository,
        listing: &Listing,
        fetch: &Fetch,
        wants: Vec<ObjectId>,
        held: &mut Reachable,
        done: &mut Fetched,
    ) -> Result<Vec<RefChange>> {
        let quarantine = Quarantine::open(repository, &listing.uuid)?.ok_or_else(|| Error::Refused {
            code: Code::Busy as u16,
            text: "another fetch from the same repository is under way".to_owned(),
            detail: String::new(),
        })?;
        let deltas = fetch.deltas && !fetch.without_blocks && repository.store.allows_deltas();
        let bare = held.forgotten().take(message::IDS_MAX).copied();
        let request = FetchRequest {
            without_blocks: fetch.without_blocks,
            deltas: deltas && listing.knows_deltas,
            bare: bare.filter(|_| listing.knows_deltas).collect(),
            depth: fetch.depth,
            haves: haves(repository, held)?,
            held: quarantine.digests()?,
            wants: wants.clone(),
        };
        let channel = self.connection.open(message::FETCH, &[])?;
        message::send(&channel, &request.encode())?;
        let name = Path::new("the pack of the server");
        let mut is_total_known = false;
        let received = quarantine.receive(&channel, name, self.limits, self.progress, &mut |_| {
            if !is_total_known && let Some(tally) = channel.tally() {
                is_total_known = true;
                self.progress.set_totals(0, tally.bytes_total);
            }
        })?;
        self.finish(channel)?;
        let both = Both {
            main: &repository.store,
            arrived: quarantine.store(),
        };
        let theirs = forgotten_there(listing);
        held.forget(theirs.iter().copied());
        let mut tips = Tips {
            depth: fetch.depth,
            without_blocks: fetch.without_blocks,
            ..Tips::default()
        };
        for id in wants {
            sort(&both, id, &mut tips)?;
        }
        let new = check(&both, &tips, held, self.progress)?;
        done.count = received.count;
        done.snapshots = new.len();
        done.bare = new.iter().filter(|new| new.is_bare).count();
        quarantine.adopt(repository)?;
        for (change, _) in &mut done.changes {
            change.new = change.new.map(|id| live(repository, &theirs, id)).transpose()?;
        }
        done.changes.retain(|(change, old)| change.new != *old);
        let forgotten = new
            .iter()
            .filter(|new| new.is_bare || theirs.contains(&new.id))
            .map(|new| RefChange {
                name: forgotten_ref(&new.id),
                expected: Expected::Any,
                new: Some(new.id),
            });
        Ok(forgotten.collect())
    }
}

/// The refs that will change here.
fn changes(repository: &Repository, listing: &Listing, fetch: &Fetch) -> Result<Vec<(RefChange, Option<ObjectId>)>> {
    let forgotten = forgotten_there(listing);
    let mut changes = Vec::new();
    for mapping in &fetch.mappings {
        let Some(new) = listing.get(&mapping.theirs) else {
            return Err(Error::NotFound {
                what: "ref of the far side",
                name: mapping.theirs.clone(),
            });
        };
        let new = match repository.store.contains(&new)? {
            true => live(repository, &forgotten, new)?,
            false => new,
        };
        let old = repository.refs.get(&mapping.ours)?;
        if old != Some(new) && !(mapping.keep && old.is_some()) {
            changes.push((change(&mapping.ours, old, Some(new)), old));
        }
    }
    for name in &fetch.delete {
        let old = repository.refs.get(name)?;
        if old.is_some() {
            changes.push((change(name, old, None), old));
        }
    }
    Ok(changes)
}

/// The newest snapshot at or behind `id` that has its tree: a ref of ours says that what it names is here.
fn live(repository: &Repository, forgotten: &Forgotten, id: ObjectId) -> Result<ObjectId> {
    if !forgotten.contains(&id) {
        return Ok(id);
    }
    Ok(forgotten.live(&repository.store, id)?.unwrap_or(id))
}

fn change(name: &str, old: Option<ObjectId>, new: Option<ObjectId>) -> RefChange {
    RefChange {
        name: name.to_owned(),
        expected: old.map_or(Expected::Absent, Expected::Is),
        new,
    }
}

/// Snapshots that are held here, the newest of each chain and then ever fewer, so that the other side finds one that it
/// knows whatever was added here since.
fn haves(repository: &Repository, held: &Reachable) -> Result<Vec<ObjectId>> {
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    for (name, tip) in repository.refs.list("refs/")? {
        if name.starts_with(FORGOTTEN) {
            continue;
        }
        let (mut next, mut distance, mut wanted) = (Some(tip), 0u64, 0u64);
        while let Some(id) = next.take() {
            let Ok(bytes) = repository.store.object(ObjectKind::Snapshot, &id) else {
                break;
            };
            let Ok(snapshot) = Snapshot::decode(&bytes) else { break };
            if distance == wanted {
                wanted = wanted * 2 + 1;
                if seen.insert(id) && !held.is_forgotten(&id) {
                    out.push(id);
                }
            }
            if out.len() >= HAVES_MAX {
                return Ok(out);
            }
            distance += 1;
            next = snapshot
                .parents
                .first()
                .copied()
                .filter(|parent| !seen.contains(parent));
        }
    }
    Ok(out)
}

/// Whether what was asked for is a snapshot or a tree.
fn sort(both: &Both<'_>, id: ObjectId, tips: &mut Tips) -> Result<()> {
    let bytes = both.object(ObjectKind::Snapshot, &id)?;
    if Snapshot::decode(&bytes).is_ok() {
        tips.snapshots.push(id);
    } else {
        TreeNode::decode(&bytes)?;
        tips.trees.push(id);
    }
    Ok(())
}
