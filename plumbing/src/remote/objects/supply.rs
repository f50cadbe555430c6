//! A store that reads what others have.
//!
//! One question at a time goes through the peers, in order: the first is asked for all, the next for what that one does
//! not have. A peer that cannot be asked is passed over while another one has what is needed; if none has, its error is
//! the one to tell.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use hashbrown::HashSet;
use parking_lot::Mutex;

use super::Brought;
use super::cache::{Cache, Use};
use super::history::step;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::store::{Show, Store, Supply, Writer};

/// Somebody who can be asked for objects.
pub trait Peer: Send + Sync + Debug {
    /// What to call it, for people.
    fn name(&self) -> String;
    /// Brings what it has of these ([`super::super::client::Client::bring_shown`]).
    fn bring(&self, writer: &Writer<'_>, ids: &[ObjectId], show: &Show<'_>) -> Result<Brought>;
    /// Is told what will be asked for next, and what else is needed then and here already ([`super::ahead`]).
    fn expect(&self, _ids: &[ObjectId], _here: &[ObjectId]) {}
    /// Brings a snapshot with some of those behind it ([`super::super::client::Client::bring_history`]).
    fn bring_history(&self, writer: &Writer<'_>, id: ObjectId, most: u64) -> Result<Brought>;
}

/// Peers, and what came from them.
#[derive(Debug)]
pub struct Peers {
    peers: Mutex<Vec<Arc<dyn Peer>>>,
    cache: Mutex<Cache>,
    /// Snapshots that were asked for so far, with those behind them.
    histories: AtomicU32,
}

impl Peers {
    /// Nobody yet.
    pub fn new(cache: Cache) -> Self {
        Self {
            peers: Mutex::default(),
            cache: Mutex::new(cache),
            histories: AtomicU32::new(0),
        }
    }

    /// Asks this one, too, after those that are known.
    pub fn add(&self, peer: Arc<dyn Peer>) {
        self.peers.lock().push(peer);
    }

    /// What those are called that are asked.
    pub fn names(&self) -> Vec<String> {
        self.peers.lock().iter().map(|peer| peer.name()).collect()
    }

    /// Lets `store` read what is in the cache, and ask for the rest.
    pub fn supply(self: &Arc<Self>, store: &Store) -> Result<()> {
        self.cache.lock().attach_to(store)?;
        store.supply_from(self.clone());
        Ok(())
    }
}

/// Asks one peer for what is missing still.
type Ask<'a> = dyn FnMut(&dyn Peer, &Writer<'_>, &[ObjectId]) -> Result<Brought> + 'a;

impl Peers {
    fn bring_by(
        &self,
        store: &Store,
        absent: &[ObjectId],
        (beside, purpose): (&HashSet<u32>, Use),
        ask: &mut Ask<'_>,
    ) -> Result<()> {
        let mut cache = self.cache.lock();
        // While this one waited, another thread may have brought them.
        let mut still = Vec::with_capacity(absent.len());
        for &id in absent {
            if store.locate(&id)?.is_none() {
                still.push(id);
            }
        }
        let mut absent = still;
        let mut failed = None;
        let peers = self.peers.lock().clone();
        for peer in peers {
            if absent.is_empty() {
                break;
            }
            match cache.take(store, (beside, purpose), |writer| ask(&*peer, writer, &absent)) {
                Ok(brought) => absent = brought.missing,
                Err(error @ (Error::Interrupted | Error::Io { .. })) => return Err(error),
                Err(error) => failed = Some((peer.name(), error)),
            }
        }
        match (absent.first(), failed) {
            (Some(&id), Some((remote, source))) => Err(Error::Away {
                id,
                remote,
                source: Box::new(source),
            }),
            _ => Ok(()),
        }
    }
}

impl Supply for Peers {
    fn bring(&self, store: &Store, absent: &[ObjectId], beside: &HashSet<u32>, show: Option<&Show<'_>>) -> Result<()> {
        let (purpose, show): (_, &Show<'_>) = match show {
            Some(show) => (Use::AsItComes, show),
            None => (Use::Later, &|_| ()),
        };
        let mut ask = |peer: &dyn Peer, writer: &Writer<'_>, ids: &[ObjectId]| peer.bring(writer, ids, show);
        self.bring_by(store, absent, (beside, purpose), &mut ask)
    }

    fn expect(&self, absent: &[ObjectId], here: &[ObjectId]) {
        let first = self.peers.lock().first().cloned();
        if let Some(peer) = first {
            peer.expect(absent, here);
        }
    }

    fn bring_history(&self, store: &Store, id: ObjectId) -> Result<()> {
        let most = step(self.histories.fetch_add(1, Relaxed));
        let mut ask = |peer: &dyn Peer, writer: &Writer<'_>, ids: &[ObjectId]| match ids {
            [id] => peer.bring_history(writer, *id, most),
            ids => peer.bring(writer, ids, &|_| ()),
        };
        self.bring_by(store, &[id], (&HashSet::new(), Use::Later), &mut ask)
    }
}
