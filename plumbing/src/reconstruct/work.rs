//! The workers: each takes the pieces of one frame, decompresses it, hashes each block that is needed once, and writes
//! the pieces to their files.

use super::Context;
use super::batch::{Batch, Part, Piece, Queue};
use super::last;
use super::made::Made;
use super::sources;
use crate::content::{check_block_bytes, sub_slice};
use crate::error::Result;
use crate::object::ObjectId;
use crate::store::Frame;

/// Writes a batch with one thread for each of `frames`.
pub(super) fn write<'j>(context: &'j Context<'j>, made: &Made<'j>, batch: Batch<'j>, frames: &mut [Frame]) {
    let (queue, last) = batch.into_parts();
    std::thread::scope(|scope| {
        for frame in frames {
            scope.spawn(|| work(context, made, &queue, frame));
        }
    });
    sources::fill(context, made);
    for item in last {
        if context.progress.should_stop() {
            break;
        }
        last::make(made, item);
    }
}

fn work<'j>(context: &Context<'j>, made: &Made<'j>, queue: &Queue<'j>, frame: &mut Frame) {
    let mut unit = Vec::new();
    loop {
        queue.take(&mut unit);
        if unit.is_empty() || context.progress.should_stop() {
            return;
        }
        write_unit(context, made, &mut unit, frame);
    }
}

/// Writes all pieces that need one frame.
fn write_unit<'j>(context: &Context<'j>, made: &Made<'j>, unit: &mut Vec<Piece<'j>>, frame: &mut Frame) {
    let Some(at) = unit.first().map(|piece| piece.at) else {
        return;
    };
    let mut unread = match at {
        Some(at) => context.store.read_frame(at, frame).err(),
        None => None,
    };
    // Many hashes at once are faster, also where some of them are not needed.
    if at.is_some() && unread.is_none() && 2 * unit.len() >= frame.count() {
        frame.verify_all();
    }
    let mut checked = None;
    for piece in unit.drain(..) {
        if piece.job.has_failed() {
            continue;
        }
        if let Some(error) = unread.take() {
            piece.job.fail(error);
            // Each file is to be named with the error, and reading again is how to get another one like it.
            unread = at.and_then(|at| context.store.read_frame(at, frame).err());
            continue;
        }
        match write_piece(&piece, frame, &mut checked) {
            Ok(()) => piece.job.piece_done(made),
            Err(error) => piece.job.fail(error),
        }
    }
}

/// Writes one piece. `checked` is the slot of the block that was hashed last, with its id.
fn write_piece(piece: &Piece<'_>, frame: &Frame, checked: &mut Option<(u16, ObjectId)>) -> Result<()> {
    let Piece { at, job, offset, part } = piece;
    match (part, at) {
        (
            Part::Block {
                id,
                block_bytes,
                from,
                bytes,
            },
            Some(at),
        ) => {
            let block = match frame.object(at.slot) {
                Some((_, _, block)) if *checked == Some((at.slot, *id)) => block,
                _ => frame.verified(at.slot, id)?,
            };
            *checked = Some((at.slot, *id));
            check_block_bytes(id, *block_bytes, block.len())?;
            job.write(sub_slice(block, *from, *bytes)?, *offset)
        }
        (Part::Inline(bytes), _) => job.write(bytes, *offset),
        (Part::Run { byte, bytes }, _) => job.write_run(*byte, *bytes, *offset),
        (Part::Nothing | Part::Block { .. }, _) => job.file().map(drop),
    }
}
