//! What is to be written next, of bounded size, in the order in which it is read.
//!
//! A batch is a list of pieces, each a stretch of a file that one block, a run or inline bytes fill. Sorted by where
//! the blocks lie, it is read from front to back: a [`Queue`] hands out all pieces of one frame at a time, so that a
//! frame is decompressed once and by one worker. A block that is stored as a difference is taken with the frame in which
//! the chain of its bases ends.
//!
//! Where the store gets blocks from elsewhere, a batch asks for all of its blocks when it is its turn ([`Batch::bring`]), and
//! each piece is written when its block comes, out of the frame that was checked on its way; so is a piece of the next batch,
//! whose question is on its way meanwhile ([`Batch::expect`]), where its block lies in the same frame. So nothing is
//! decompressed twice, or kept until it is written. What was here before is written like any other batch.

use std::mem::size_of;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::Context;
use super::files::FileJob;
use super::last::Last;
use crate::content::{self, Source};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::store::Location;

/// Memory of one batch in bytes; two are alive at a time. Where blocks come from elsewhere it may be twice as much: what lies
/// together and is asked for with two questions is packed anew for each.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Memory of the first batch. Each may be twice as long as the one before, so that the workers have something to do
/// soon, and later are seldom stopped by the end of a batch.
const FIRST_BATCH_BYTES: usize = 256 << 10;
/// Memory that a piece takes whose block was not looked for, with its place among those that wait for what comes.
const UNLOCATED_BYTES: usize = 3 * size_of::<(ObjectId, Piece<'_>)>();
/// Pieces without a block that a worker takes at once.
const LOOSE_PIECES: usize = 64;

/// What fills a piece.
pub(super) enum Part {
    /// A part of a block.
    Block {
        id: ObjectId,
        block_bytes: u64,
        from: u64,
        bytes: u64,
    },
    /// These bytes.
    Inline(Vec<u8>),
    /// A run of something else than zero.
    Run { byte: u8, bytes: u64 },
    /// Nothing: the file is complete when all other pieces are.
    Nothing,
}

/// A piece of a file.
pub(super) struct Piece<'j> {
    /// Where its block lies; those without a block come first.
    pub at: Option<Location>,
    /// Where the chain of its bases ends: `at` itself, if it has none.
    pub root: Option<Location>,
    /// The file it belongs to.
    pub job: Arc<FileJob<'j>>,
    /// Where it begins in the file.
    pub offset: u64,
    /// What fills it.
    pub part: Part,
}

impl<'j> Piece<'j> {
    /// One whose block, if it has one, was not looked for.
    fn new(job: Arc<FileJob<'j>>, offset: u64, part: Part) -> Self {
        Self {
            at: None,
            root: None,
            job,
            offset,
            part,
        }
    }
}

/// What is to be written, of bounded size.
pub(super) struct Batch<'j> {
    /// Memory that it may take.
    bytes_max: usize,
    pieces: Vec<Piece<'j>>,
    /// What is made when all pieces are written.
    last: Vec<Last<'j>>,
    weight: usize,
    /// Files of several pieces.
    open_files: usize,
    /// Pieces that were not looked for, where the store gets blocks from elsewhere: they are asked for together.
    unlocated: Vec<(ObjectId, Piece<'j>)>,
    /// The blocks of those that wait.
    expected: Vec<ObjectId>,
}

/// Pieces that wait for their blocks: those of the batch that is written, and of the next one.
#[derive(Default)]
pub(super) struct Waiting<'j>(Mutex<ByBlock<'j>>);

/// What waits for each block, with its place in the order of the tree.
#[derive(Default)]
struct ByBlock<'j> {
    pieces: HashMap<ObjectId, Vec<(u64, Piece<'j>)>>,
    count: u64,
}

impl<'j> Waiting<'j> {
    fn add(&self, pieces: Vec<(ObjectId, Piece<'j>)>) {
        let mut waiting = self.0.lock();
        for (id, piece) in pieces {
            waiting.count += 1;
            let number = waiting.count;
            waiting.pieces.entry(id).or_default().push((number, piece));
        }
    }

    /// Those of these blocks that something waits for.
    fn awaited(&self, ids: Vec<ObjectId>) -> Vec<ObjectId> {
        let waiting = self.0.lock();
        ids.into_iter().filter(|id| waiting.pieces.contains_key(id)).collect()
    }

    /// Takes out what waits for a block.
    fn take(&self, id: &ObjectId) -> Vec<(u64, Piece<'j>)> {
        self.0.lock().pieces.remove(id).unwrap_or_default()
    }
}

impl Default for Batch<'_> {
    fn default() -> Self {
        Self::of_bytes(FIRST_BATCH_BYTES)
    }
}

impl<'j> Batch<'j> {
    fn of_bytes(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            pieces: Vec::new(),
            last: Vec::new(),
            weight: 0,
            open_files: 0,
            unlocated: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// Gives what is planned, and begins the next batch, which may be longer.
    pub fn take(&mut self) -> Self {
        let next = Self::of_bytes((2 * self.bytes_max).min(BATCH_BYTES_MAX));
        std::mem::replace(self, next)
    }

    /// Says that its blocks will be asked for when the batch before is written; what comes until then is written at once.
    pub fn expect(&mut self, context: &Context<'_>, waiting: &Waiting<'j>) -> Result<()> {
        let unlocated = std::mem::take(&mut self.unlocated);
        if unlocated.is_empty() {
            return Ok(());
        }
        self.expected = unlocated.iter().map(|(id, _)| *id).collect();
        waiting.add(unlocated);
        context.store.expect(&self.expected)
    }

    /// Brings the blocks that are not here, all with one question, and has what waits for each written by `write`, which
    /// is called by several threads. A file whose blocks nobody has fails by itself. Fails where nobody can be asked.
    pub fn bring(
        &mut self,
        context: &Context<'_>,
        waiting: &Waiting<'j>,
        write: &(dyn Fn(&Piece<'j>, &[u8]) + Sync),
    ) -> Result<()> {
        let ids = waiting.awaited(std::mem::take(&mut self.expected));
        context.store.bring_shown(&ids, &|frame| {
            for (_, id, bytes) in frame.objects() {
                let pieces = waiting.take(&id);
                if !context.progress.should_stop() {
                    pieces.iter().for_each(|(_, piece)| write(piece, bytes));
                }
            }
        })?;
        let here = ids
            .iter()
            .flat_map(|id| waiting.take(id).into_iter().map(|(number, piece)| (number, *id, piece)));
        let mut here: Vec<(u64, ObjectId, Piece<'j>)> = here.collect();
        // What is told of them is told in the order of the tree.
        here.sort_unstable_by_key(|(number, ..)| *number);
        for (_, id, piece) in here {
            match context.store.locate(&id) {
                Ok(Some(at)) => self.push_located(context, at, piece),
                Ok(None) => piece.job.fail(Error::Missing { id, needed_as: "block" }),
                Err(error) => piece.job.fail(error),
            }
        }
        Ok(())
    }

    /// Counts memory that belongs to the batch beside its pieces.
    pub fn add_weight(&mut self, bytes: usize) {
        self.weight += bytes;
    }

    /// Whether it should be written before more is planned.
    pub fn is_full(&self, context: &Context<'_>) -> bool {
        let lists = self.pieces.len() * size_of::<Piece<'_>>() + self.last.len() * size_of::<Last<'_>>();
        let bytes_max = match context.store.has_supply() {
            true => 2 * self.bytes_max,
            false => self.bytes_max,
        };
        self.weight + lists >= bytes_max || self.open_files >= context.open_files_max
    }

    /// Adds a file whose content is one block.
    pub fn push_block(&mut self, context: &Context<'_>, mut job: FileJob<'j>, id: ObjectId, bytes: u64) {
        job.set_whole();
        self.weight += size_of::<FileJob<'_>>();
        let job = Arc::new(job);
        if bytes == 0 {
            return self.push(job, 0, Part::Nothing);
        }
        let part = Part::Block {
            id,
            block_bytes: bytes,
            from: 0,
            bytes,
        };
        self.locate(context, job, 0, id, part);
    }

    /// Adds a file of several pieces, which follow.
    pub fn begin(&mut self, _job: &Arc<FileJob<'j>>) {
        self.weight += size_of::<FileJob<'_>>();
        self.open_files += 1;
    }

    /// Adds a piece of it.
    pub fn push_piece(&mut self, context: &Context<'_>, job: &Arc<FileJob<'j>>, piece: content::Piece) {
        let part = match piece.source {
            Source::Run(0) => {
                context.progress.add(0, piece.bytes);
                return;
            }
            Source::Run(byte) => Part::Run {
                byte,
                bytes: piece.bytes,
            },
            Source::Inline(bytes) => Part::Inline(bytes),
            Source::Block { id, block_bytes, from } => {
                job.expect_piece();
                let bytes = piece.bytes;
                let part = Part::Block {
                    id,
                    block_bytes,
                    from,
                    bytes,
                };
                return self.locate(context, job.clone(), piece.offset, id, part);
            }
        };
        job.expect_piece();
        self.push(job.clone(), piece.offset, part);
    }

    /// Says that no more pieces of it follow.
    pub fn push_end(&mut self, job: Arc<FileJob<'j>>) {
        self.push(job, 0, Part::Nothing);
    }

    /// Adds what is made when all pieces are written.
    pub fn push_last(&mut self, item: Last<'j>) {
        self.last.push(item);
    }

    /// The pieces, to be handed out, and what is made after them.
    pub fn into_parts(self) -> (Queue<'j>, Vec<Last<'j>>) {
        (Queue::new(self.pieces), self.last)
    }

    fn locate(&mut self, context: &Context<'_>, job: Arc<FileJob<'j>>, offset: u64, id: ObjectId, part: Part) {
        let piece = Piece::new(job, offset, part);
        if context.store.has_supply() {
            self.weight += UNLOCATED_BYTES;
            return self.unlocated.push((id, piece));
        }
        match context.store.locate_needed(&id) {
            Ok(Some(at)) => self.push_located(context, at, piece),
            Ok(None) => piece.job.fail(Error::Missing { id, needed_as: "block" }),
            Err(error) => piece.job.fail(error),
        }
    }

    fn push_located(&mut self, context: &Context<'_>, at: Location, piece: Piece<'j>) {
        match context.store.root_of(at) {
            Ok(root) => self.pieces.push(Piece {
                at: Some(at),
                root: Some(root),
                ..piece
            }),
            Err(error) => piece.job.fail(error),
        }
    }

    /// Adds a piece without a block.
    fn push(&mut self, job: Arc<FileJob<'j>>, offset: u64, part: Part) {
        if let Part::Inline(bytes) = &part {
            self.weight += bytes.len();
        }
        self.pieces.push(Piece::new(job, offset, part));
    }
}

/// The pieces of a batch, handed out a frame at a time.
pub(super) struct Queue<'j>(Mutex<std::iter::Peekable<std::vec::IntoIter<Piece<'j>>>>);

impl<'j> Queue<'j> {
    /// Hands out these pieces in the order of their blocks.
    fn new(mut pieces: Vec<Piece<'j>>) -> Self {
        pieces.sort_unstable_by_key(|piece| (frame_of(piece), piece.at));
        Self(Mutex::new(pieces.into_iter().peekable()))
    }

    /// Puts all pieces of the next frame into `unit`.
    pub fn take(&self, unit: &mut Vec<Piece<'j>>) {
        let mut pieces = self.0.lock();
        while let Some(piece) = pieces.next_if(|piece| match unit.first() {
            None => true,
            Some(first) => frame_of(first) == frame_of(piece) && (first.at.is_some() || unit.len() < LOOSE_PIECES),
        }) {
            unit.push(piece);
        }
    }
}

/// The frame that is decompressed for a piece.
fn frame_of(piece: &Piece<'_>) -> Option<(u32, u64)> {
    piece.root.map(|root| (root.file, root.frame))
}
