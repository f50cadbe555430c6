//! Bringing snapshots to the other side.

use hashbrown::HashSet;

use super::Client;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::refs::{FORGOTTEN, Forgotten, Who, forgotten_ref};
use crate::remote::check::Reachable;
use crate::remote::message::{self, Have, Listing, PushChange, PushHead, PushReply};
use crate::remote::offer::{Ask, Offer, prepare};
use crate::remote::pack::{PackCount, PackWriter};
use crate::remote::wire::Channel;
use crate::repository::Repository;

/// Most snapshots that the other side is asked about in one go.
const ASKED_MAX: usize = 16_384;

/// What is to be pushed.
#[derive(Clone, Debug)]
pub struct Push {
    /// The refs there, sorted by name.
    pub changes: Vec<PushChange>,
    /// Objects that are brought without a ref: snapshots or trees.
    pub roots: Vec<ObjectId>,
    /// For the ref log there.
    pub who: Who,
    /// For the ref log there.
    pub message: String,
}

/// What a push did.
#[derive(Debug)]
pub struct Pushed {
    /// What the server answered; none where there was nothing to do.
    pub reply: Option<PushReply>,
    /// Snapshots that are new there.
    pub snapshots: usize,
    /// What was sent.
    pub count: PackCount,
}

impl Client<'_> {
    /// Brings what the refs need, and moves them: all or none. `before` is called when it is known what will be done;
    /// its error ends the push.
    pub fn push(
        &self,
        repository: &Repository,
        listing: &Listing,
        push: &Push,
        before: &dyn Fn(&[PushChange]) -> Result<()>,
    ) -> Result<Pushed> {
        let mut changes = unmoved(listing, &push.changes);
        if changes.is_empty() && push.roots.is_empty() {
            return Ok(Pushed {
                reply: None,
                snapshots: 0,
                count: PackCount::default(),
            });
        }
        let forgotten = Reachable::of_refs(&repository.refs)?;
        let offer = self.offer(repository, listing, push, &changes)?;
        for new in offer.new.iter().filter(|new| forgotten.is_forgotten(&new.id)) {
            let name = forgotten_ref(&new.id);
            changes.push(PushChange {
                expected: listing.get(&name),
                name,
                new: Some(new.id),
                force: false,
            });
        }
        changes.sort_by(|a, b| a.name.cmp(&b.name));
        before(&changes)?;
        let head = PushHead {
            push_id: push_id(&repository.format.uuid, listing, &changes, &push.roots),
            who: push.who.clone(),
            message: push.message.clone(),
            changes,
            roots: push.roots.clone(),
            has_pack: !offer.plan.is_empty(),
        };
        let channel = self.connection.open(message::PUSH, &[])?;
        let count = match self.send(&channel, repository, listing, &head, &offer) {
            Ok(count) => count,
            // A server that refuses does not read to the end: what it says is the reason.
            Err(Error::Disconnected { .. }) => PackCount::default(),
            Err(error) => return Err(error),
        };
        let reply = PushReply::decode(&self.finish(channel)?.payload)?;
        Ok(Pushed {
            reply: Some(reply),
            snapshots: offer.new.len(),
            count,
        })
    }

    /// What the other side lacks.
    fn offer(&self, repository: &Repository, listing: &Listing, push: &Push, changes: &[PushChange]) -> Result<Offer> {
        let store = &repository.store;
        let hidden = forgotten_there(listing);
        let mut forgotten = Reachable::of_refs(&repository.refs)?;
        forgotten.forget(hidden.iter().copied());
        let theirs = listing
            .refs
            .iter()
            .filter(|(name, id)| !name.starts_with(FORGOTTEN) && !hidden.contains(id));
        let mut ask = Ask {
            haves: theirs.map(|(_, id)| *id).collect(),
            deltas: listing.knows_deltas,
            ..Ask::default()
        };
        let known: HashSet<ObjectId> = ask.haves.iter().copied().collect();
        let new = changes
            .iter()
            .filter_map(|change| change.new)
            .chain(push.roots.iter().copied());
        for id in new.filter(|id| !known.contains(id)) {
            ask.add(store, id)?;
        }
        let mut is_foreign = false;
        for id in &ask.haves {
            is_foreign |= !store.contains(id)?;
        }
        if is_foreign && !ask.snapshots.is_empty() {
            let more = self.common(repository, &ask)?;
            ask.haves.extend(more);
        }
        prepare(store, &ask, &forgotten, self.progress)
    }

    /// Snapshots on the way that the other side holds, though none of its refs that are known here says so.
    fn common(&self, repository: &Repository, ask: &Ask) -> Result<Vec<ObjectId>> {
        let store = &repository.store;
        let mut held = Reachable::of(ask.haves.iter().copied());
        let is_held = &mut |id: &ObjectId| held.contains(store, id);
        let new = crate::remote::difference::new_snapshots(store, &ask.snapshots, None, is_held, self.progress)?;
        let mut ids: Vec<ObjectId> = new.iter().map(|new| new.id).collect();
        if ids.len() < 2 {
            return Ok(Vec::new());
        }
        // The newest are the likeliest to be unknown, the oldest to be of no use.
        ids.reverse();
        ids.truncate(ASKED_MAX);
        let answers = self.have(&ids)?;
        let whole = ids.into_iter().zip(answers).filter(|(_, have)| *have == Have::Whole);
        Ok(whole.map(|(id, _)| id).collect())
    }

    fn send(
        &self,
        channel: &Channel,
        repository: &Repository,
        listing: &Listing,
        head: &PushHead,
        offer: &Offer,
    ) -> Result<PackCount> {
        channel.send(&head.encode())?;
        let mut count = PackCount::default();
        if head.has_pack {
            let held: HashSet<[u8; 32]> = listing.held.iter().copied().collect();
            let mut random = [0; 24];
            let disk = &repository.disk;
            disk.random(&mut random)
                .map_err(Error::io("get random bytes for", "a pack"))?;
            self.progress.set_totals(0, offer.plan.total.bytes_total);
            let writer = PackWriter::begin(channel, repository.format.hash, random)?;
            count = offer
                .plan
                .send_all(&repository.store, writer, &held, self.progress, &mut |_| Ok(()))?;
        }
        channel.end()?;
        Ok(count)
    }
}

/// The snapshots whose trees the other side may not have.
pub(super) fn forgotten_there(listing: &Listing) -> Forgotten {
    Forgotten::of(listing.refs.iter().map(|(name, id)| (name.as_str(), *id)))
}

/// The changes that are not done yet.
pub(super) fn unmoved(listing: &Listing, changes: &[PushChange]) -> Vec<PushChange> {
    let is_change = |change: &&PushChange| listing.get(&change.name) != change.new;
    changes.iter().filter(is_change).cloned().collect()
}

/// The same for the same push, so that one whose answer was lost is known again.
pub(super) fn push_id(uuid: &[u8; 16], listing: &Listing, changes: &[PushChange], roots: &[ObjectId]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("ghost push: identity, version 1");
    hasher.update(uuid);
    hasher.update(&listing.uuid);
    let mut parts = Vec::new();
    for change in changes {
        crate::object::codec::put_bytes(&mut parts, change.name.as_bytes());
        for id in [change.expected, change.new] {
            parts.push(u8::from(id.is_some()));
            if let Some(id) = id {
                id.encode(&mut parts);
            }
        }
    }
    roots.iter().for_each(|id| id.encode(&mut parts));
    hasher.update(&parts);
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    id
}
