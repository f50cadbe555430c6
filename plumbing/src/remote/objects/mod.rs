//! Objects by their ids, from the other side into a store (object-format.md, "Objects by their ids").
//!
//! - here: asking for many at once
//! - [`answer`]: taking what comes
//! - [`ahead`]: asking for what is needed next
//! - [`history`]: snapshots with those behind them, in one answer
//! - [`walk`]: trees, level by level
//! - [`fill`]: what one block or tree lacks, in either direction
//! - [`cache`]: where what came is kept; [`supply`]: a store that reads what others have
//!
//! 1. Ids are asked for some thousands in a request; the next request is under way before the answer to the one before
//!    is read.
//! 2. An answer is a pack. Its frames are checked on several threads, and each object in them is hashed before it is
//!    looked at. One that was not asked for, or came before, ends the transfer: so an answer is never longer than the
//!    question. Who has use for more allows whole frames, if enough of each was asked for, and differences with what they
//!    are made from ([`Extent`]): so nothing need be packed anew on the other side, and the answer has still a limit.
//! 3. The reply names what the other side does not have. What neither came nor was named is an error.

pub mod ahead;
mod answer;
pub mod cache;
pub mod fill;
mod history;
mod lent;
pub mod supply;
pub mod walk;

use std::collections::VecDeque;

use self::answer::{Answer, PACK};
use self::history::Beside;
use super::client::Client;
use super::message::{self, GetRequest, LEANING, WHOLE};
use super::pack::plan::Extent;
use super::pack::read::{PackLimits, PackReader};
use super::wire::Channel;
use crate::error::Result;
use crate::limits::BLOCK_BYTES_MAX;
use crate::object::ObjectId;
use crate::store::{Show, Writer};

/// Ids in one request: a round trip for many MiB, few frames that are in two answers, and some hundredths of a second to
/// look them up before the first byte comes.
const REQUEST_IDS: usize = 32 << 10;
/// Requests that are under way at once. Each may fill a window of memory.
const REQUESTS_MAX: usize = 2;
/// Bytes of a pack for each object beside its payload: row, header, padding, trailer.
const BESIDE_OBJECT_BYTES: u64 = 4096;

/// What is asked for at once.
#[derive(Clone, Copy)]
struct Question<'q> {
    ids: &'q [ObjectId],
    /// With so many snapshots behind them.
    history: u64,
    /// What may come beside.
    extent: Extent,
}

/// What came of what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// What the other side does not have.
    pub missing: Vec<ObjectId>,
    /// Objects that came.
    pub objects: u64,
    /// Bytes of the packs that they came in.
    pub bytes: u64,
    /// What came of contents without being asked for.
    pub beside: Beside,
}

impl Client<'_> {
    /// Brings these objects, each named once, and nothing else into a store. They are flushed; to make them durable is
    /// the caller's affair. What the other side does not have is no error here, and told.
    pub fn bring_objects(&self, writer: &Writer<'_>, ids: &[ObjectId]) -> Result<Brought> {
        self.bring_by(writer, ids, Extent::Exact, &|_| ())
    }

    /// The same into a store that may keep others, too: those that lie beside them. Each frame is shown when it came.
    pub fn bring_shown(&self, writer: &Writer<'_>, ids: &[ObjectId], show: &Show<'_>) -> Result<Brought> {
        self.bring_by(writer, ids, self.widest()?, show)
    }

    /// As much as the other side can add to an answer.
    fn widest(&self) -> Result<Extent> {
        let peer = self.connection.peer()?;
        Ok(match (peer.capability(LEANING), peer.capability(WHOLE)) {
            (Some(_), _) => Extent::Leaning { beside: 0 },
            (None, Some(_)) => Extent::Whole,
            (None, None) => Extent::Exact,
        })
    }

    fn bring_by(&self, writer: &Writer<'_>, ids: &[ObjectId], extent: Extent, show: &Show<'_>) -> Result<Brought> {
        let mut brought = Brought::default();
        let mut questions = ids.chunks(REQUEST_IDS).map(|ids| Question {
            ids,
            history: 0,
            extent,
        });
        let mut under_way: VecDeque<(Channel, Question<'_>)> = VecDeque::new();
        loop {
            while under_way.len() < REQUESTS_MAX
                && let Some(question) = questions.next()
            {
                under_way.push_back((self.ask(question)?, question));
            }
            let Some((channel, question)) = under_way.pop_front() else {
                return Ok(brought);
            };
            self.take(channel, question, (writer, show), &mut brought)?;
        }
    }

    fn ask(&self, question: Question<'_>) -> Result<Channel> {
        let request = GetRequest {
            ids: question.ids.to_vec(),
            history: question.history,
            whole_frames: question.extent != Extent::Exact,
            leaning_frames: question.extent.is_leaning(),
            beside: match question.extent {
                Extent::Leaning { beside } => beside,
                _ => 0,
            },
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
        question: Question<'_>,
        (writer, show): (&Writer<'_>, &Show<'_>),
        brought: &mut Brought,
    ) -> Result<()> {
        let answer = Answer::new(question, writer, show);
        let count = answer.most();
        let limits = PackLimits {
            objects: count,
            bytes: (count + 1) * (BLOCK_BYTES_MAX as u64 + BESIDE_OBJECT_BYTES),
            ..self.limits
        };
        let takes_deltas = question.extent.is_leaning();
        let mut reader = PackReader::begin(&channel, PACK.as_ref(), limits)?.with_deltas(takes_deltas);
        answer.take_in(&mut reader, limits.threads, self.progress)?;
        brought.objects += reader.count().objects;
        brought.bytes += reader.bytes();
        drop(reader);
        let reply = channel.finish(&mut |_| ())?;
        let (missing, beside) = answer.finish(&reply.payload)?;
        brought.missing.extend(missing);
        brought.beside.add(beside);
        Ok(())
    }
}
