//! Objects by their ids, from the other side into a store (object-format.md, "Objects by their ids").
//!
//! - here: asking for many at once, and taking what comes
//! - [`history`]: snapshots with those behind them, in one answer
//! - [`walk`]: trees, level by level
//! - [`fill`]: what one block or tree lacks, in either direction
//! - [`cache`]: where what came is kept; [`supply`]: a store that reads what others have
//!
//! 1. Ids are asked for some thousands in a request; the next request is under way before the answer to the one before
//!    is read.
//! 2. An answer is a pack. Each frame is checked and each object in it hashed before it is looked at, and one that was
//!    not asked for, or came before, ends the transfer. So an answer is never longer than the question.
//! 3. The reply names what the other side does not have. What neither came nor was named is an error.

pub mod cache;
pub mod fill;
mod history;
mod lent;
pub mod supply;
pub mod walk;

use std::collections::VecDeque;
use std::path::Path;

use hashbrown::HashSet;

use self::history::Awaited;
use super::client::Client;
use super::message::{self, GetRequest, MISSING_NAMED_MAX, decode_ids};
use super::pack::read::{PackLimits, PackReader};
use super::wire::Channel;
use super::wire::format::protocol;
use crate::error::Result;
use crate::limits::BLOCK_BYTES_MAX;
use crate::object::ObjectId;
use crate::store::data::format::FrameKind;
use crate::store::{Packer, Writer};

/// Ids in one request: a round trip for some MiB at least, and little to look up before the first byte comes.
const REQUEST_IDS: usize = 8192;
/// Requests that are under way at once. Each may fill a window of memory.
const REQUESTS_MAX: usize = 2;
/// Bytes of a pack for each object beside its payload: row, header, padding, trailer.
const BESIDE_OBJECT_BYTES: u64 = 4096;
/// What errors call the answers.
const PACK: &str = "the objects of the far side";

/// What came of what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// What the other side does not have.
    pub missing: Vec<ObjectId>,
    /// Objects that came.
    pub objects: u64,
    /// Bytes of the packs that they came in.
    pub bytes: u64,
}

impl Client<'_> {
    /// Brings these objects, each named once, into a store. They are flushed; to make them durable is the caller's
    /// affair. What the other side does not have is no error here, and told.
    pub fn bring_objects(&self, writer: &Writer<'_>, ids: &[ObjectId]) -> Result<Brought> {
        let mut brought = Brought::default();
        let mut requests = ids.chunks(REQUEST_IDS);
        let mut under_way: VecDeque<(Channel, &[ObjectId])> = VecDeque::new();
        let mut packer = writer.packer();
        loop {
            while under_way.len() < REQUESTS_MAX
                && let Some(ids) = requests.next()
            {
                under_way.push_back((self.ask(ids, 0)?, ids));
            }
            let Some((channel, ids)) = under_way.pop_front() else {
                break;
            };
            self.take(channel, (ids, 0), (writer, &mut packer), &mut brought)?;
        }
        packer.flush()?;
        Ok(brought)
    }

    fn ask(&self, ids: &[ObjectId], history: u64) -> Result<Channel> {
        let request = GetRequest {
            ids: ids.to_vec(),
            history,
            ..GetRequest::default()
        };
        let channel = self.connection.open(message::GET, &[])?;
        message::send(&channel, &request.encode())?;
        Ok(channel)
    }

    /// Takes the answer to one request.
    fn take(
        &self,
        channel: Channel,
        (ids, history): (&[ObjectId], u64),
        (writer, packer): (&Writer<'_>, &mut Packer<'_>),
        brought: &mut Brought,
    ) -> Result<()> {
        let mut awaited = Awaited::new(ids, history);
        let count = awaited.most();
        let limits = PackLimits {
            objects: count,
            bytes: (count + 1) * (BLOCK_BYTES_MAX as u64 + BESIDE_OBJECT_BYTES),
            ..PackLimits::default()
        };
        let mut reader = PackReader::begin(&channel, Path::new(PACK), limits)?;
        loop {
            let before = reader.bytes();
            let Some(arrived) = reader.next_frame()? else { break };
            self.progress.check()?;
            if arrived.kind != FrameKind::Objects {
                let found = format_args!("a frame of type {}", arrived.kind as u8);
                return Err(protocol(PACK, "frames of objects", found));
            }
            for (slot, row) in (0..).zip(arrived.rows) {
                let bytes = arrived.frame.object(slot).map_or(&[][..], |(_, _, bytes)| bytes);
                if !awaited.take(row, bytes) {
                    return Err(protocol(PACK, "what was asked for, once", row.id));
                }
            }
            if !writer.append_sealed(arrived.sealed, arrived.rows)? {
                for (slot, row) in (0..).zip(arrived.rows) {
                    let bytes = arrived.frame.object(slot).map_or(&[][..], |(_, _, bytes)| bytes);
                    packer.put_hashed(row.kind, row.id, bytes)?;
                }
            }
            self.progress.add(0, reader.bytes() - before);
        }
        brought.objects += reader.count().objects;
        brought.bytes += reader.bytes();
        drop(reader);
        let reply = channel.finish(&mut |_| ())?;
        if let Some(id) = awaited.unconnected() {
            return Err(protocol(PACK, "snapshots behind those that were asked for", id));
        }
        let mut missing = awaited.into_missing();
        check_named(&reply.payload, &missing)?;
        // In the order of the question.
        brought.missing.extend(ids.iter().filter(|id| missing.remove(*id)));
        Ok(())
    }
}

/// Compares what did not come with what the other side says that it does not have. One that is older says nothing.
fn check_named(payload: &[u8], awaited: &HashSet<ObjectId>) -> Result<()> {
    if payload.is_empty() {
        return Ok(());
    }
    let named: HashSet<ObjectId> = decode_ids(payload)?.into_iter().collect();
    if let Some(id) = named.iter().find(|id| !awaited.contains(*id)) {
        return Err(protocol(PACK, "word of what is missing and was asked for", id));
    }
    let unsaid = awaited.iter().find(|id| !named.contains(*id));
    match unsaid.filter(|_| named.len() < MISSING_NAMED_MAX) {
        Some(id) => Err(protocol(
            PACK,
            format_args!("object {id}, or word that it is missing"),
            "neither",
        )),
        None => Ok(()),
    }
}
