//! A store that reads what others have.
//!
//! One question at a time goes through the peers, in order: the first is asked for all, the next for what that one does
//! not have. A peer that cannot be asked is passed over while another one has what is needed; if none has, its error is
//! the one to tell.

use std::fmt::Debug;
use std::sync::Arc;

use hashbrown::HashSet;
use parking_lot::Mutex;

use super::Brought;
use super::cache::Cache;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::store::{Store, Supply, Writer};

/// Somebody who can be asked for objects.
pub trait Peer: Send + Sync + Debug {
    /// What to call it, for people.
    fn name(&self) -> String;
    /// Brings what it has of these ([`super::super::client::Client::bring_objects`]).
    fn bring(&self, writer: &Writer<'_>, ids: &[ObjectId]) -> Result<Brought>;
}

/// Peers, and what came from them.
#[derive(Debug)]
pub struct Peers {
    peers: Mutex<Vec<Arc<dyn Peer>>>,
    cache: Mutex<Cache>,
}

impl Peers {
    /// Nobody yet.
    pub fn new(cache: Cache) -> Self {
        Self {
            peers: Mutex::default(),
            cache: Mutex::new(cache),
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

impl Supply for Peers {
    fn bring(&self, store: &Store, absent: &[ObjectId], beside: &HashSet<u32>) -> Result<()> {
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
            match cache.take(store, beside, |writer| peer.bring(writer, &absent)) {
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
