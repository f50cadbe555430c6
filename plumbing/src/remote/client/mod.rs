//! The side that asks.
//!
//! A client says what it has and takes what it is given as if it came from an enemy: the same quarantine, hashes and
//! walk as on a server.
//!
//! Round trips: one for the refs, after which most runs know that nothing is to be done; one for a push or a fetch; and
//! one more only where the other side has snapshots that are not known here and much would be sent.

mod deepen;
mod fetch;
mod push;
pub mod relay;
mod tunnel;

pub use deepen::{Deepen, Deepened};
pub use fetch::{Fetch, Fetched, Mapping};
pub use push::{Push, Pushed};
pub use tunnel::Tunnel;

use super::message::{self, GetRequest, Have, Listing};
use super::pack::read::{PackLimits, PackReader};
use super::wire::{Channel, Connection, Reply, Tally};
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::store::data::format::FrameKind;

/// Longest list of refs in bytes that is taken.
const LISTING_BYTES_MAX: usize = 512 << 20;

/// Takes an object that came.
pub type Take<'t> = dyn FnMut(ObjectKind, ObjectId, &[u8]) -> Result<()> + 't;

/// Asks over one connection.
#[derive(Clone, Copy, Debug)]
pub struct Client<'c> {
    /// The connection.
    pub connection: &'c Connection,
    /// Counts what goes through; may be told to stop, and to go slowly.
    pub progress: &'c Progress,
    /// What one pack may be.
    pub limits: PackLimits,
}

impl<'c> Client<'c> {
    /// Asks over this connection.
    pub fn new(connection: &'c Connection, progress: &'c Progress) -> Self {
        Self {
            connection,
            progress,
            limits: PackLimits::default(),
        }
    }

    /// The refs of the other side.
    pub fn list(&self) -> Result<Listing> {
        let channel = self.connection.open(message::LIST, &[])?;
        channel.end()?;
        let bytes = channel.receive_all(LISTING_BYTES_MAX)?;
        self.finish(channel)?;
        Listing::decode(&bytes)
    }

    /// What the other side has of these.
    pub fn have(&self, ids: &[ObjectId]) -> Result<Vec<Have>> {
        let channel = self.connection.open(message::HAVE, &[])?;
        message::send(&channel, &message::encode_ids(ids))?;
        let bytes = channel.receive_all(ids.len() + 1)?;
        self.finish(channel)?;
        let answers: Option<Vec<Have>> = bytes.iter().map(|&byte| Have::from_byte(byte)).collect();
        answers.filter(|answers| answers.len() == ids.len()).ok_or_else(|| {
            super::wire::format::protocol("an answer", format_args!("{} verdicts", ids.len()), bytes.len())
        })
    }

    /// How the other side is: one JSON object.
    pub fn status(&self) -> Result<String> {
        let channel = self.connection.open(message::STATUS, &[])?;
        channel.end()?;
        let reply = self.finish(channel)?;
        Ok(super::wire::format::printable(&reply.payload))
    }

    /// Objects by their ids, each hashed, in any order; those that the other side does not have do not come. With
    /// `closure`, all below them comes, too.
    pub fn get(&self, request: &GetRequest, take: &mut Take<'_>) -> Result<()> {
        let channel = self.connection.open(message::GET, &[])?;
        message::send(&channel, &request.encode())?;
        let mut reader = PackReader::begin(&channel, std::path::Path::new("the pack of the server"), self.limits)?;
        loop {
            let before = reader.bytes();
            let Some(arrived) = reader.next_frame()? else { break };
            self.progress.check()?;
            if arrived.kind == FrameKind::Objects {
                for slot in 0..arrived.rows.len() {
                    let object = u16::try_from(slot).ok().and_then(|slot| arrived.frame.object(slot));
                    if let Some((kind, id, bytes)) = object {
                        take(kind, id, bytes)?;
                    }
                }
            }
            self.progress.add(0, reader.bytes() - before);
        }
        self.finish(channel)?;
        Ok(())
    }

    /// Waits for the answer, and shows how far the other side is.
    fn finish(&self, channel: Channel) -> Result<Reply> {
        channel.finish(&mut |_: &Tally| ())
    }
}
