//! The workers: each takes the pieces of one frame, decompresses it, hashes each block that is needed once, and writes
//! the pieces to their files. A block that does not read comes from another copy of it, where the store has one.
//!
//! A file system lets one thread at a time write to a file. So where a frame is read whose file somebody writes to, it is
//! left to that one ([`Turns`]), and its reader goes on with the next frame; only a few are left, so memory is bounded.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Context;
use super::batch::{Batch, Part, Piece, Queue};
use super::files::FileJob;
use super::last;
use super::made::Made;
use super::sources;
use crate::content::{check_block_bytes, sub_slice};
use crate::error::Result;
use crate::object::ObjectId;
use crate::store::{Frame, Location, Near};

/// Frames that are read and left to the one who writes to their file.
const LEFT_MAX: usize = 2;

/// Writes a batch with one thread for each of `frames`.
pub(super) fn write<'j>(context: &'j Context<'j>, made: &Made<'j>, batch: Batch<'j>, frames: &mut [Frame]) {
    let (queue, last) = batch.into_parts();
    let turns = Turns::default();
    std::thread::scope(|scope| {
        for frame in frames {
            scope.spawn(|| work(context, made, (&queue, &turns), frame));
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

fn work<'j>(context: &Context<'j>, made: &Made<'j>, (queue, turns): (&Queue<'j>, &Turns<'j>), frame: &mut Frame) {
    let mut unit = Unit {
        frame: std::mem::take(frame),
        ..Unit::default()
    };
    loop {
        queue.take(&mut unit.pieces);
        if unit.pieces.is_empty() || context.progress.should_stop() {
            *frame = unit.frame;
            return;
        }
        unit.read(context);
        match turns.begin(&mut unit) {
            Begun::Left => {}
            Begun::Free => unit.write(context, made),
            Begun::Turn => {
                unit.write(context, made);
                turns.end(context, made);
            }
        }
    }
}

/// All pieces that need one frame.
#[derive(Default)]
struct Unit<'j> {
    pieces: Vec<Piece<'j>>,
    frame: Frame,
    /// Where the frame is, unless it does not read.
    root: Option<Location>,
}

impl<'j> Unit<'j> {
    fn read(&mut self, context: &Context<'j>) {
        let root = self.pieces.first().and_then(|piece| piece.root);
        self.root = root.filter(|root| context.store.read_frame(*root, &mut self.frame).is_ok());
        let is_direct = |piece: &&Piece<'_>| piece.at.map(frame_key) == root.map(frame_key);
        // Many hashes at once are faster, also where some of them are not needed.
        if self.root.is_some() && 2 * self.pieces.iter().filter(is_direct).count() >= self.frame.count() {
            self.frame.verify_all();
        }
    }

    /// The file, if it is one that has all the pieces and more than these.
    fn one_file(&self) -> Option<&Arc<FileJob<'j>>> {
        let (first, rest) = self.pieces.split_first()?;
        let is_alone = !rest.is_empty() && rest.iter().all(|piece| Arc::ptr_eq(&piece.job, &first.job));
        is_alone.then_some(&first.job)
    }

    fn write(&mut self, context: &Context<'j>, made: &Made<'j>) {
        let mut reading = Reading {
            context,
            frame: &self.frame,
            root: self.root,
            checked: None,
            bytes: Vec::new(),
        };
        for piece in self.pieces.drain(..) {
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
}

/// Who writes to a file of many pieces.
#[derive(Default)]
struct Turns<'j>(Mutex<Turn<'j>>);

#[derive(Default)]
struct Turn<'j> {
    /// The file that somebody writes to.
    file: Option<Arc<FileJob<'j>>>,
    /// What is left to that one, all of the same file.
    left: Vec<Unit<'j>>,
    /// Frames to read into next.
    spare: Vec<Frame>,
}

/// What is to be done with a unit.
enum Begun {
    /// Nothing: another thread does it.
    Left,
    /// To write it.
    Free,
    /// To write it, and what was left meanwhile.
    Turn,
}

impl<'j> Turns<'j> {
    /// Says who writes a unit. One that is left to somebody else is taken out of `unit`.
    fn begin(&self, unit: &mut Unit<'j>) -> Begun {
        let Some(file) = unit.one_file() else {
            return Begun::Free;
        };
        let mut turn = self.0.lock();
        match &turn.file {
            None => {
                turn.file = Some(file.clone());
                Begun::Turn
            }
            Some(other) if Arc::ptr_eq(other, file) && turn.left.len() < LEFT_MAX => {
                let frame = turn.spare.pop().unwrap_or_default();
                let next = Unit {
                    frame,
                    ..Unit::default()
                };
                turn.left.push(std::mem::replace(unit, next));
                Begun::Left
            }
            Some(_) => Begun::Free,
        }
    }

    /// Writes what was left, and gives the turn back when there is nothing more.
    fn end(&self, context: &Context<'j>, made: &Made<'j>) {
        loop {
            let mut turn = self.0.lock();
            let Some(mut unit) = turn.left.pop() else {
                turn.file = None;
                return;
            };
            drop(turn);
            unit.write(context, made);
            self.0.lock().spare.push(unit.frame);
        }
    }
}

/// Writes a piece from another copy of its block, if there is one that reads.
fn write_other_copy(context: &Context<'_>, piece: &Piece<'_>) -> bool {
    let Part::Block {
        id,
        block_bytes,
        from,
        bytes,
    } = &piece.part
    else {
        return false;
    };
    let Some(Ok(Some(block))) = piece.at.map(|at| context.store.another_copy(id, at)) else {
        return false;
    };
    check_block_bytes(id, *block_bytes, block.len())
        .and_then(|()| piece.job.write(sub_slice(&block, *from, *bytes)?, piece.offset))
        .is_ok()
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
            (
                Part::Block {
                    id,
                    block_bytes,
                    from,
                    bytes,
                },
                Some(at),
            ) => {
                let block = self.block(*at, id)?;
                check_block_bytes(id, *block_bytes, block.len())?;
                job.write(sub_slice(block, *from, *bytes)?, *offset)
            }
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
