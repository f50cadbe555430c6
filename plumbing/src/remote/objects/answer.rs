//! The answer to one question for objects: what may come, where it goes, and what is missing.

use std::io::Read;

use hashbrown::HashSet;
use parking_lot::Mutex;

use super::Question;
use super::history::{Awaited, Beside};
use crate::error::Result;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::remote::intake::{Takes, take_frames};
use crate::remote::message::{MISSING_NAMED_MAX, decode_ids};
use crate::remote::pack::plan::Extent;
use crate::remote::pack::read::{PackReader, Raw};
use crate::remote::wire::format::protocol;
use crate::store::data::format::FrameKind;
use crate::store::{Frame, Packer, Show, Writer};

/// What errors call the answers.
pub(super) const PACK: &str = "the objects of the far side";

/// An answer that is taken in.
pub(super) struct Answer<'a> {
    question: Question<'a>,
    writer: &'a Writer<'a>,
    show: &'a Show<'a>,
    taking: Mutex<Taking<'a>>,
}

/// What one frame after the other changes.
struct Taking<'a> {
    awaited: Awaited,
    packer: Packer<'a>,
}

impl<'a> Answer<'a> {
    /// Nothing came yet.
    pub fn new(question: Question<'a>, writer: &'a Writer<'a>, show: &'a Show<'a>) -> Self {
        let taking = Taking {
            awaited: Awaited::new(question.ids, question.history),
            packer: writer.packer(),
        };
        Self {
            question,
            writer,
            show,
            taking: Mutex::new(taking),
        }
    }

    /// Objects at most.
    pub fn most(&self) -> u64 {
        self.taking.lock().awaited.most(self.question.extent)
    }

    /// Takes all frames in.
    pub fn take_in<R: Read>(&self, reader: &mut PackReader<R>, threads: usize, progress: &Progress) -> Result<()> {
        let takes = (self.writer.store(), self as &dyn Takes);
        take_frames(reader, takes, (PACK.as_ref(), threads), progress, &mut |_| ())
    }

    /// Compares what came with the question and the reply; gives what is missing, in the order of the question, and what
    /// came beside.
    pub fn finish(self, reply: &[u8]) -> Result<(Vec<ObjectId>, Beside)> {
        let Taking {
            mut awaited,
            mut packer,
        } = self.taking.into_inner();
        packer.flush()?;
        let beside = std::mem::take(&mut awaited.beside);
        if let Some(id) = awaited.unconnected() {
            return Err(protocol(PACK, "snapshots behind those that were asked for", id));
        }
        let mut missing = awaited.into_missing();
        check_named(reply, &missing)?;
        let ids = self.question.ids.iter();
        Ok((ids.filter(|id| missing.remove(*id)).copied().collect(), beside))
    }
}

impl Takes for Answer<'_> {
    fn keep(&self, raw: &Raw, frame: &Frame) -> Result<()> {
        let (kind, rows) = (raw.head.header.kind, &raw.head.rows);
        if kind != FrameKind::Objects {
            let found = format_args!("a frame of type {}", kind as u8);
            return Err(protocol(PACK, "frames of objects", found));
        }
        let mut taking = self.taking.lock();
        let extent = self.question.extent;
        let refused = match extent {
            Extent::Exact => taking.awaited.take_exactly(rows, frame),
            Extent::Whole => taking.awaited.take_whole(rows, 0),
            Extent::Leaning { beside } => taking.awaited.take_leaning(&raw.head, beside),
        };
        if let Some(id) = refused {
            return Err(protocol(PACK, "what was asked for, once", id));
        }
        if extent != Extent::Exact {
            return self.writer.append_anyway(&raw.sealed, rows);
        }
        if !self.writer.append_sealed(&raw.sealed, rows)? {
            for (slot, row) in (0..).zip(rows) {
                let bytes = frame.verified(slot, &row.id)?;
                taking.packer.put_hashed(row.kind, row.id, bytes)?;
            }
        }
        Ok(())
    }

    fn show(&self, frame: &Frame) {
        (self.show)(frame);
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
