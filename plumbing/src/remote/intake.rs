//! Frames of a stream, checked on several threads.
//!
//! 1. The caller's thread reads frames from the stream and hands them on, as long as few bytes are on their way.
//! 2. Each frame is one worker's: it compares the digest, decompresses, and hashes every object.
//! 3. A worker keeps its frame ([`Takes::keep`]) when all that came before are kept: one after the other, in the order of
//!    the stream.
//! 4. Then it shows it ([`Takes::show`]), beside the others: whoever can use the objects now need not read them again.
//!
//! Delta frames that come right behind the frame that holds all of their bases are taken with it, by the same worker: what
//! they are made from is at hand. Any other is begun when the last frame in front of it that holds one of its bases is kept.
//!
//! Invariants:
//!
//! - What an error leaves behind is the frames in front of the one that failed, all of them.
//! - At most [`AHEAD_BYTES`] are on their way, or one frame, however long the pack is.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;

use hashbrown::{HashMap, HashSet};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::pack::read::{PackReader, Raw};
use super::wire::Tally;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::data::delta::{Bases, Decoder};
use crate::store::data::format::{Codec, Row};
use crate::store::data::read::Head;
use crate::store::{Frame, Near, Store};

/// Bytes of frames, stored and decompressed, that are on their way at a time, unless one alone is longer.
const AHEAD_BYTES: usize = 48 << 20;
/// Frames that are on their way at a time.
const AHEAD_FRAMES: usize = 64;

/// Bytes of a frame and those behind it that one worker takes, unless it alone is longer.
const UNIT_BYTES: usize = 16 << 20;

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

/// A frame on its way, and delta frames behind it that are made from nothing else.
struct Job {
    number: u64,
    frames: Vec<Raw>,
    /// It is begun when so many jobs are done.
    after: u64,
}

impl Job {
    fn bytes(&self) -> usize {
        self.frames.iter().map(Raw::bytes).sum()
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Of the frames on their way, with those that are being checked.
    bytes: usize,
    frames: usize,
    /// Jobs of which all frames were kept.
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

/// The ids of the jobs on their way.
#[derive(Default)]
struct Ahead(VecDeque<(u64, HashSet<ObjectId>)>);

impl Ahead {
    /// Notes the first frame of a job; gives the number of jobs that must be done before its bases are there.
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

    /// Notes a further frame of the last job, if all of its bases are there.
    fn joins(&mut self, head: &Head) -> bool {
        let Some((_, ids)) = self.0.back_mut() else {
            return false;
        };
        let joins = head.header.codec == Codec::Delta && head.bases.iter().all(|base| ids.contains(&base.id));
        if joins {
            ids.extend(head.rows.iter().map(|row| row.id));
        }
        joins
    }
}

/// The frames of a job that were checked, as a source of bases.
struct AtHand<'a> {
    frames: &'a [Frame],
    /// Frame and number of each object.
    places: &'a HashMap<ObjectId, (usize, u16)>,
    near: Near<'a>,
}

impl Bases for AtHand<'_> {
    fn append(&self, base: &Row, out: &mut Vec<u8>, decoder: &mut Decoder) -> Result<()> {
        let place = self.places.get(&base.id);
        let object = place.and_then(|&(number, slot)| self.frames.get(number)?.object(slot));
        match object {
            Some((_, _, bytes)) => out.extend_from_slice(bytes),
            None => self.near.append(base, out, decoder)?,
        }
        Ok(())
    }

    fn tell_hurt(&self, bases: &[Row], told: &mut String) {
        let is_elsewhere = |base: &&Row| !self.places.contains_key(&base.id);
        let elsewhere: Vec<Row> = bases.iter().filter(is_elsewhere).copied().collect();
        self.near.tell_hurt(&elsewhere, told);
    }
}

impl Intake<'_> {
    fn read<R: Read>(&self, reader: &mut PackReader<R>, progress: &Progress, watch: &mut Watch<'_>) -> Result<()> {
        let mut open = None;
        let ended = self.read_all(reader, &mut open, progress, watch);
        // What came is kept, whatever ended it.
        if let Some(job) = open {
            self.hand_on(job);
        }
        ended
    }

    /// Reads frames, and hands on each job when the frame behind it is there; the last one is left.
    fn read_all<R: Read>(
        &self,
        reader: &mut PackReader<R>,
        open: &mut Option<Job>,
        progress: &Progress,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let mut ahead = Ahead::default();
        let mut tally = Tally::default();
        let mut number = 0;
        loop {
            let before = reader.bytes();
            let Some(raw) = reader.next_raw()? else { return Ok(()) };
            progress.check()?;
            tally.objects += raw.head.rows.len() as u64;
            match open {
                Some(job) if job.bytes() + raw.bytes() <= UNIT_BYTES && ahead.joins(&raw.head) => job.frames.push(raw),
                _ => {
                    let after = ahead.note(number, &raw.head, self.state.lock().done);
                    let next = Job {
                        number,
                        frames: vec![raw],
                        after,
                    };
                    number += 1;
                    if let Some(job) = open.replace(next)
                        && !self.hand_on(job)
                    {
                        return Ok(());
                    }
                }
            }
            let bytes = reader.bytes() - before;
            tally.bytes += bytes;
            progress.add(0, bytes);
            watch(&tally);
        }
    }

    /// Hands a frame on when there is room for it; not where one before it failed.
    fn hand_on(&self, job: Job) -> bool {
        let bytes = job.bytes();
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
        let mut frames = Vec::new();
        while let Some(job) = self.next() {
            let count = job.frames.len();
            if frames.len() < count {
                frames.resize_with(count, Frame::default);
            }
            let checked = self.until(job.after).map(|state| {
                drop(state);
                self.check(&job, &mut frames)
            });
            let kept = checked.and_then(|checked| {
                // From here on it is this one's turn, until it says that it is done.
                drop(self.until(job.number)?);
                let mut checked_frames = job.frames.iter().zip(&frames);
                Some(checked.and_then(|()| checked_frames.try_for_each(|(raw, frame)| self.takes.keep(raw, frame))))
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
                frames.iter().take(count).for_each(|frame| self.takes.show(frame));
            }
            // Those of most jobs are one: more are not worth their memory.
            frames.truncate(1);
            let mut state = self.state.lock();
            state.bytes -= job.bytes();
            state.frames -= 1;
            self.changed.notify_all();
        }
    }

    /// Checks the frames of a job, those behind the first with what it holds at hand.
    fn check(&self, job: &Job, frames: &mut [Frame]) -> Result<()> {
        let mut places = HashMap::new();
        for (number, raw) in job.frames.iter().enumerate() {
            let (before, rest) = frames.split_at_mut(number);
            let Some(frame) = rest.first_mut() else { return Ok(()) };
            let at_hand = AtHand {
                frames: before,
                places: &places,
                near: self.store.near(),
            };
            raw.check(self.name, frame, &at_hand)?;
            if number + 1 < job.frames.len() {
                let rows = (0..).zip(&raw.head.rows);
                places.extend(rows.map(|(slot, row)| (row.id, (number, slot))));
            }
        }
        Ok(())
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
