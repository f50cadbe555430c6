//! Frames of a stream, checked on several threads.
//!
//! 1. The caller's thread reads frames from the stream and hands them on, as long as few bytes are on their way.
//! 2. Each frame is one worker's: it compares the digest, decompresses, and hashes every object.
//! 3. A worker keeps its frame ([`Takes::keep`]) when all that came before are kept: one after the other, in the order of
//!    the stream.
//! 4. Then it shows it ([`Takes::show`]), beside the others: whoever can use the objects now need not read them again.
//!
//! A delta frame is begun when the last frame in front of it that holds one of its bases is kept.
//!
//! Invariants:
//!
//! - What an error leaves behind is the frames in front of the one that failed, all of them.
//! - At most [`AHEAD_BYTES`] are on their way, or one frame, however long the pack is.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;

use hashbrown::HashSet;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::pack::read::{PackReader, Raw};
use super::wire::Tally;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::data::read::Head;
use crate::store::{Frame, Store};

/// Bytes of frames, stored and decompressed, that are on their way at a time, unless one alone is longer.
const AHEAD_BYTES: usize = 48 << 20;
/// Frames that are on their way at a time.
const AHEAD_FRAMES: usize = 64;

/// Tells how far it is.
pub type Watch<'w> = dyn FnMut(&Tally) + 'w;

/// What becomes of frames that were checked.
pub(super) trait Takes: Sync {
    /// Takes a frame; in the order of the stream, one at a time.
    fn keep(&self, raw: &Raw, frame: &Frame) -> Result<()>;

    /// Uses a frame that was kept; several at a time, in any order.
    fn show(&self, _frame: &Frame) {}
}

/// Reads all frames of a pack, which errors call `name`, with so many threads that check. `store` is asked for bases.
pub(super) fn take_frames<R: Read>(
    reader: &mut PackReader<R>,
    (store, takes): (&Store, &dyn Takes),
    (name, threads): (&Path, usize),
    progress: &Progress,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let intake = Intake {
        store,
        takes,
        name,
        state: Mutex::default(),
        changed: Condvar::new(),
    };
    let ended = std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| intake.work());
        }
        let ended = intake.read(reader, progress, watch);
        intake.end();
        ended
    });
    // What is wrong with a frame comes before what is wrong with the stream behind it.
    intake.state.into_inner().failed.map_or(ended, Err)
}

/// A frame on its way.
struct Job {
    number: u64,
    raw: Raw,
    /// It is begun when so many frames are kept.
    after: u64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Of the frames on their way, with those that are being checked.
    bytes: usize,
    frames: usize,
    /// Frames that were kept.
    done: u64,
    has_ended: bool,
    failed: Option<Error>,
}

struct Intake<'i> {
    store: &'i Store,
    takes: &'i dyn Takes,
    name: &'i Path,
    state: Mutex<State>,
    changed: Condvar,
}

/// The ids of the frames on their way.
#[derive(Default)]
struct Ahead(VecDeque<(u64, HashSet<ObjectId>)>);

impl Ahead {
    /// Notes a frame; gives the number of frames that must be kept before its bases are there.
    fn note(&mut self, number: u64, head: &Head, done: u64) -> u64 {
        while self.0.front().is_some_and(|(number, _)| *number < done) {
            self.0.pop_front();
        }
        let holds_base = |ids: &HashSet<ObjectId>| head.bases.iter().any(|base| ids.contains(&base.id));
        let last = self.0.iter().rev().find(|(_, ids)| holds_base(ids));
        let after = last.map_or(0, |(number, _)| number + 1);
        self.0.push_back((number, head.rows.iter().map(|row| row.id).collect()));
        after
    }
}

impl Intake<'_> {
    fn read<R: Read>(&self, reader: &mut PackReader<R>, progress: &Progress, watch: &mut Watch<'_>) -> Result<()> {
        let mut ahead = Ahead::default();
        let mut tally = Tally::default();
        for number in 0.. {
            let before = reader.bytes();
            let Some(raw) = reader.next_raw()? else { break };
            progress.check()?;
            tally.objects += raw.head.rows.len() as u64;
            let after = ahead.note(number, &raw.head, self.state.lock().done);
            if !self.hand_on(Job { number, raw, after }) {
                break;
            }
            let bytes = reader.bytes() - before;
            tally.bytes += bytes;
            progress.add(0, bytes);
            watch(&tally);
        }
        Ok(())
    }

    /// Hands a frame on when there is room for it; not where one before it failed.
    fn hand_on(&self, job: Job) -> bool {
        let bytes = job.raw.bytes();
        let mut state = self.state.lock();
        let is_full = |state: &State| state.frames >= AHEAD_FRAMES || state.bytes + bytes > AHEAD_BYTES;
        while state.failed.is_none() && state.frames > 0 && is_full(&state) {
            self.changed.wait(&mut state);
        }
        if state.failed.is_some() {
            return false;
        }
        state.bytes += bytes;
        state.frames += 1;
        state.waiting.push_back(job);
        self.changed.notify_all();
        true
    }

    fn end(&self) {
        self.state.lock().has_ended = true;
        self.changed.notify_all();
    }

    fn work(&self) {
        let mut frame = Frame::default();
        while let Some(job) = self.next() {
            let checked = self.until(job.after).map(|state| {
                drop(state);
                job.raw.check(self.name, &mut frame, &self.store.near())
            });
            let kept = checked.and_then(|checked| {
                // From here on it is this one's turn, until it says that it is done.
                drop(self.until(job.number)?);
                Some(checked.and_then(|()| self.takes.keep(&job.raw, &frame)))
            });
            let is_kept = matches!(kept, Some(Ok(())));
            {
                let mut state = self.state.lock();
                match kept {
                    Some(Ok(())) => state.done += 1,
                    Some(Err(error)) => state.failed = state.failed.take().or(Some(error)),
                    None => {}
                }
                self.changed.notify_all();
            }
            if is_kept {
                self.takes.show(&frame);
            }
            let mut state = self.state.lock();
            state.bytes -= job.raw.bytes();
            state.frames -= 1;
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            if state.has_ended {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Waits until so many frames are kept; nothing where one of them failed.
    fn until(&self, done: u64) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        while state.failed.is_none() && state.done < done {
            self.changed.wait(&mut state);
        }
        state.failed.is_none().then_some(state)
    }
}
