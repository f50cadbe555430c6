//! The workers: each takes the pieces of one frame, decompresses it, hashes each block that is needed once, and writes
//! the pieces to their files. A block that does not read comes from another copy of it, where the store has one. Blocks
//! that come from elsewhere are written when they come, by those who check them.

use super::Context;
use super::batch::{Batch, Part, Piece, Queue};
use super::last;
use super::made::Made;
use super::sources;
use crate::content::{check_block_bytes, sub_slice};
use crate::error::Result;
use crate::object::ObjectId;
use crate::store::{Frame, Location, Near};

/// Writes a batch with one thread for each of `frames`. Fails where nobody can be asked for what is not here.
pub(super) fn write<'j>(
    context: &'j Context<'j>,
    made: &Made<'j>,
    mut batch: Batch<'j>,
    frames: &mut [Frame],
) -> Result<()> {
    batch.bring(context, &made.waiting, &|piece, block| {
        if !piece.job.has_failed() {
            match write_block(piece, block) {
                Ok(()) => piece.job.piece_done(made),
                Err(error) => piece.job.fail(error),
            }
        }
    })?;
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
    Ok(())
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
    let Some(root) = unit.first().map(|piece| piece.root) else {
        return;
    };
    let is_readable = match root {
        Some(root) => context.store.read_frame(root, frame).is_ok(),
        None => true,
    };
    let is_direct = |piece: &&Piece<'_>| piece.at.map(frame_key) == root.map(frame_key);
    // Many hashes at once are faster, also where some of them are not needed.
    if root.is_some() && is_readable && 2 * unit.iter().filter(is_direct).count() >= frame.count() {
        frame.verify_all();
    }
    let mut reading = Reading {
        context,
        frame,
        root: root.filter(|_| is_readable),
        checked: None,
        bytes: Vec::new(),
    };
    for piece in unit.drain(..) {
        if piece.job.has_failed() {
            continue;
        }
        match reading.write(&piece) {
            Ok(()) => piece.job.piece_done(made),
            Err(error) if error.is_damage() && write_other_copy(context, &piece) => piece.job.piece_done(made),
            Err(error) => piece.job.fail(error),
        }
    }
}

/// Writes a piece from another copy of its block, if there is one that reads.
fn write_other_copy(context: &Context<'_>, piece: &Piece<'_>) -> bool {
    let Part::Block { id, .. } = &piece.part else {
        return false;
    };
    let Some(Ok(Some(block))) = piece.at.map(|at| context.store.another_copy(id, at)) else {
        return false;
    };
    write_block(piece, &block).is_ok()
}

/// Writes a piece that a block fills, all of which is given.
fn write_block(piece: &Piece<'_>, block: &[u8]) -> Result<()> {
    let Part::Block {
        id,
        block_bytes,
        from,
        bytes,
    } = &piece.part
    else {
        return Ok(());
    };
    check_block_bytes(id, *block_bytes, block.len())?;
    piece.job.write(sub_slice(block, *from, *bytes)?, piece.offset)
}

fn frame_key(at: Location) -> (u32, u64) {
    (at.file, at.frame)
}

/// Blocks out of one frame, and such as are made from what is in it.
struct Reading<'r, 'j> {
    context: &'r Context<'j>,
    frame: &'r Frame,
    /// Where the frame is, unless it does not read.
    root: Option<Location>,
    /// The block that was hashed last.
    checked: Option<(Location, ObjectId)>,
    /// Its bytes, if they are not in the frame.
    bytes: Vec<u8>,
}

impl Reading<'_, '_> {
    /// Writes one piece.
    fn write(&mut self, piece: &Piece<'_>) -> Result<()> {
        let Piece {
            at, job, offset, part, ..
        } = piece;
        match (part, at) {
            (Part::Block { id, .. }, Some(at)) => write_block(piece, self.block(*at, id)?),
            (Part::Inline(bytes), _) => job.write(bytes, *offset),
            (Part::Run { byte, bytes }, _) => job.write_run(*byte, *bytes, *offset),
            (Part::Nothing | Part::Block { .. }, _) => job.file().map(drop),
        }
    }

    /// The bytes of a block, whose hash is compared once where several pieces in a row need it.
    fn block(&mut self, at: Location, id: &ObjectId) -> Result<&[u8]> {
        let is_checked = self.checked == Some((at, *id));
        if self.root.map(frame_key) == Some(frame_key(at)) {
            let block = match self.frame.object(at.slot) {
                Some((_, _, block)) if is_checked => block,
                _ => self.frame.verified(at.slot, id)?,
            };
            self.checked = Some((at, *id));
            return Ok(block);
        }
        if !is_checked {
            self.checked = None;
            // Where the frame does not read this says what is wrong, once more for each file.
            let store = self.context.store;
            let near = match self.root {
                Some(root) => Near::new(store, root, self.frame),
                None => store.near(),
            };
            near.read(at, id, &mut self.bytes)?;
            self.checked = Some((at, *id));
        }
        Ok(&self.bytes)
    }
}
