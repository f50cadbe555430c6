//! Bringing snapshots from one repository to another while neither is this one.
//!
//! 1. Both sides tell their refs. Of the history behind what is wanted, snapshots alone are read here, many in one answer,
//!    down to what the receiver has.
//! 2. The sender is asked for the rest as by any fetch, in the name of the receiver: what that holds, and what it has in its
//!    quarantine from a try that broke.
//! 3. The pack that comes is handed on as it comes, byte by byte; nothing of it is kept here. The receiver hashes and checks
//!    it as any push, and moves its refs by its own rules.
//!
//! So a copy needs no room here, goes on where it broke, and costs a receiver no trust in who copies.

use hashbrown::HashSet;

use super::Client;
use super::push::{forgotten_there, push_id, unmoved};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::refs::{FORGOTTEN, forgotten_ref};
use crate::remote::check::Reachable;
use crate::remote::client::Push;
use crate::remote::difference::{New, new_snapshots};
use crate::remote::message::{self, FetchRequest, Have, IDS_MAX, Listing, PushChange, PushHead, PushReply};
use crate::remote::offer::Ask;
use crate::remote::wire::Channel;
use crate::store::Store;

/// Ids that a side is asked about in one go.
const ASKED_MAX: usize = 16_384;
/// Bytes that are handed on at once.
const PIECE_BYTES: usize = 64 << 10;

/// One of the two, and what it said of itself.
#[derive(Clone, Copy, Debug)]
pub struct End<'e> {
    /// It is asked through this.
    pub client: &'e Client<'e>,
    /// Its refs.
    pub listing: &'e Listing,
}

/// What a copy did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relayed {
    /// What the receiver answered; none where there was nothing to do.
    pub reply: Option<PushReply>,
    /// Snapshots that are new there.
    pub snapshots: usize,
    /// Bytes of the pack.
    pub bytes: u64,
}

/// What the receiver lacks.
struct Lack {
    new: Vec<New>,
    wants: Vec<ObjectId>,
    haves: Vec<ObjectId>,
}

/// Brings what the refs of `push` need from one end to the other, and moves them there: all or none. `store` reads the
/// snapshots of the sender.
pub fn relay(from: End<'_>, to: End<'_>, store: &Store, push: &Push) -> Result<Relayed> {
    let mut changes = unmoved(to.listing, &push.changes);
    if changes.is_empty() {
        return Ok(Relayed::default());
    }
    let lack = lack(from, to, store, &changes)?;
    let theirs = forgotten_there(from.listing);
    for new in lack.new.iter().filter(|new| theirs.contains(&new.id)) {
        let name = forgotten_ref(&new.id);
        changes.push(PushChange {
            expected: to.listing.get(&name),
            name,
            new: Some(new.id),
            force: false,
        });
    }
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    let head = PushHead {
        push_id: push_id(&from.listing.uuid, to.listing, &changes, &[]),
        who: push.who.clone(),
        message: push.message.clone(),
        changes,
        roots: Vec::new(),
        has_pack: !lack.wants.is_empty(),
    };
    let source = match head.has_pack {
        true => Some(ask(from, to, &lack)?),
        false => None,
    };
    let channel = to.client.connection.open(message::PUSH, &[])?;
    let bytes = hand_on(source, &channel, &head, to.client)?;
    let reply = PushReply::decode(&to.client.finish(channel)?.payload)?;
    Ok(Relayed {
        reply: Some(reply),
        snapshots: lack.new.len(),
        bytes,
    })
}

/// What has to go over, and what the receiver has that the sender knows.
fn lack(from: End<'_>, to: End<'_>, store: &Store, changes: &[PushChange]) -> Result<Lack> {
    let hidden = forgotten_there(to.listing);
    let named = to.listing.refs.iter();
    let held = named.filter(|(name, id)| !name.starts_with(FORGOTTEN) && !hidden.contains(id));
    let held: HashSet<ObjectId> = held.map(|(_, id)| *id).collect();
    let mut ask = Ask::default();
    for id in changes.iter().filter_map(|change| change.new) {
        if !held.contains(&id) {
            ask.add(store, id)?;
        }
    }
    let mut haves = known(from, &held)?;
    let is_foreign = haves.len() < held.len();
    let mut reachable = Reachable::of(haves.iter().copied());
    let is_held = &mut |id: &ObjectId| reachable.contains(store, id);
    let mut new = new_snapshots(store, &ask.snapshots, None, is_held, to.client.progress)?;
    if is_foreign && !new.is_empty() {
        // None of the refs there that are known here says so, but they may have the same history all the same.
        let ids: Vec<ObjectId> = new.iter().rev().map(|new| new.id).take(IDS_MAX).collect();
        let whole: HashSet<ObjectId> = whole(to.client, &ids)?.collect();
        new.retain(|new| !whole.contains(&new.id));
        haves.extend(whole);
    }
    let lacking: HashSet<ObjectId> = new.iter().map(|new| new.id).collect();
    let mut wants = ask.snapshots;
    wants.retain(|id| lacking.contains(id));
    wants.extend(ask.trees);
    Ok(Lack { new, wants, haves })
}

/// Those of the receiver's that the sender has.
fn known(from: End<'_>, held: &HashSet<ObjectId>) -> Result<Vec<ObjectId>> {
    let named: HashSet<ObjectId> = from.listing.refs.iter().map(|(_, id)| *id).collect();
    let (mut known, mut open): (Vec<ObjectId>, Vec<ObjectId>) = held.iter().partition(|id| named.contains(*id));
    open.sort();
    for ids in open.chunks(ASKED_MAX) {
        let answers = ids.iter().zip(from.client.have(ids)?);
        known.extend(answers.filter(|(_, have)| *have != Have::Nothing).map(|(id, _)| *id));
    }
    Ok(known)
}

/// Those of these snapshots that a side has with all that they need.
fn whole<'i>(client: &Client<'_>, ids: &'i [ObjectId]) -> Result<impl Iterator<Item = ObjectId> + 'i> {
    let mut answers = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ASKED_MAX) {
        answers.extend(client.have(ids)?);
    }
    let pairs = ids.iter().zip(answers);
    Ok(pairs.filter(|(_, have)| *have == Have::Whole).map(|(id, _)| *id))
}

/// Asks the sender, in the name of the receiver.
fn ask(from: End<'_>, to: End<'_>, lack: &Lack) -> Result<Channel> {
    let deltas = from.listing.knows_deltas && to.listing.knows_deltas;
    let bare = forgotten_there(to.listing);
    let request = FetchRequest {
        deltas,
        bare: bare
            .iter()
            .copied()
            .filter(|_| from.listing.knows_deltas)
            .take(IDS_MAX)
            .collect(),
        haves: lack.haves.clone(),
        held: to.listing.held.clone(),
        wants: lack.wants.clone(),
        ..FetchRequest::default()
    };
    let channel = from.client.connection.open(message::FETCH, &[])?;
    message::send(&channel, &request.encode())?;
    Ok(channel)
}

/// Sends the head of a push, and behind it what comes. An error of the sender leaves the push unfinished: the receiver keeps
/// what it has for the next try, and changes nothing.
fn hand_on(source: Option<Channel>, to: &Channel, head: &PushHead, client: &Client<'_>) -> Result<u64> {
    let mut bytes = 0;
    if !is_heard(to.send(&head.encode()))? {
        return Ok(0);
    }
    if let Some(source) = source {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            client.progress.check()?;
            let count = source.receive(&mut piece)?;
            if count == 0 {
                break;
            }
            if let (0, Some(tally)) = (bytes, source.tally()) {
                client.progress.set_totals(0, tally.bytes_total);
            }
            if !is_heard(to.send(&piece[..count]))? {
                return Ok(bytes);
            }
            bytes += count as u64;
            client.progress.add(0, count as u64);
        }
        source.finish(&mut |_| ())?;
    }
    to.end()?;
    Ok(bytes)
}

/// Whether the receiver still listens. Where it does not, it has answered: what it says is the reason.
fn is_heard(sent: Result<()>) -> Result<bool> {
    match sent {
        Ok(()) => Ok(true),
        Err(Error::Disconnected { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
