//! Storing one large file with all threads.
//!
//! 1. One thread reads and cuts; it hands on batches of whole parts and goes on.
//! 2. Any thread takes a batch, the oldest first, and names its parts. The hash of the whole file goes from batch to
//!    batch in order: who finds that the next one is at hand and nobody is at it does it beside the naming, which then
//!    costs hardly more ([`hash_beside`](crate::object::sha256x2::hash_beside)). Only then are the parts stored: now and then that means to compress a frame,
//!    for which nobody should have to wait.
//! 3. The reading thread lists the parts, in order, as batches are named. When [`BATCHES_MAX`] are on their way, not
//!    named or not in the hash of the whole, it helps until half of them are done, which bounds the memory. A batch that
//!    it has just handed on it leaves to the others, who are only waking up, and goes on with the hash of the whole: if it
//!    took each as soon as it is there, it would do all the work alone, with the others waiting.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rustix::buffer::spare_capacity;

use super::before::Before;
use super::content::{Sink, Stored, class_of, hash_run, name_parts, name_parts_beside, put_parts, stored};
use super::worker::Worker;
use crate::chunk::{Chunker, Follows, Part, RUN_BYTES_MIN};
use crate::error::Result;
use crate::object::{ContentRef, Hasher, IndirectBuilder};
use crate::store::Class;
use crate::walk::{Stat, hole_map};

/// Bytes read into one batch: with few and long ones the threads wait for each other.
const BATCH_BYTES: usize = 1 << 20;
/// Batches on their way: more than a frame takes, so that one thread has enough to do while another compresses one.
const BATCHES_MAX: usize = 16;

/// A part of a file on its way.
pub struct Batch {
    file: Arc<Large>,
    index: usize,
    /// Where it begins in the file, in bytes.
    offset: u64,
    buffer: Vec<u8>,
    parts: Vec<Part>,
    class: Class,
}

/// A file on its way.
pub struct Large {
    state: Mutex<State>,
    changed: Condvar,
    before: Option<Before>,
    /// Buffers of batches that are done: memory that is there need not be asked for, and be cleared, again.
    spare: Mutex<Vec<Vec<u8>>>,
}

#[derive(Default)]
struct State {
    /// Refs of batches that are named and not listed yet.
    named: BTreeMap<usize, Vec<ContentRef>>,
    /// How many somebody took to name them.
    taken: usize,
    /// Batches that wait for their turn with the hash of the whole.
    to_hash: BTreeMap<usize, Arc<Batch>>,
    /// How many are in the hash of the whole.
    hashed: usize,
    hasher: Option<Hasher>,
}

impl Batch {
    /// Names the parts, does what is at hand of the hash of the whole, and stores the parts.
    pub fn run(self: Arc<Self>, sink: &mut dyn Sink) -> Result<()> {
        let file = self.file.clone();
        {
            let mut state = file.state.lock();
            state.taken += 1;
            state.to_hash.insert(self.index, self.clone());
        }
        let refs = match file.take_turn() {
            Some(turn) => file.hash(turn, Some(&self)),
            None => name_parts(sink.algo(), &self.buffer, &self.parts),
        };
        file.state.lock().named.insert(self.index, refs.clone());
        file.changed.notify_all();
        let before = file.before.as_ref().map(|before| (before, self.offset));
        put_parts(sink, self.class, &self.buffer, &self.parts, &refs, before)
    }

    /// Whether both are parts of one file.
    pub fn is_of_file_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }

    /// The hash of the whole goes past this batch, and the refs of the parts of `beside` are made, where there is one.
    fn hash_into(&self, hasher: &mut Hasher, beside: Option<&Self>) -> Vec<ContentRef> {
        if let (Some(beside), Some(bytes)) = (beside, self.without_zeros()) {
            return name_parts_beside(hasher, bytes, &beside.buffer, &beside.parts);
        }
        for part in &self.parts {
            match *part {
                Part::Data { start, bytes, .. } => hasher.update(&self.buffer[start..start + bytes]),
                Part::Zeros { bytes } => hash_run(hasher, 0, bytes),
            }
        }
        beside.map_or_else(Vec::new, |beside| {
            name_parts(hasher.algo(), &beside.buffer, &beside.parts)
        })
    }

    /// All bytes of the parts, where none is a run of zeros. The buffer may end with the beginning of one, which is a part of
    /// a later batch.
    fn without_zeros(&self) -> Option<&[u8]> {
        let mut end = 0;
        for part in &self.parts {
            match *part {
                Part::Data { start, bytes, .. } if start == end => end += bytes,
                _ => return None,
            }
        }
        self.buffer.get(..end)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.file.spare.lock().push(std::mem::take(&mut self.buffer));
    }
}

/// The right to go on with the hash of the whole, which one thread has at a time.
struct Turn {
    hasher: Hasher,
    batch: Arc<Batch>,
}

impl Large {
    /// An empty buffer.
    fn buffer(&self, bytes: usize) -> Vec<u8> {
        let mut buffer = self.spare.lock().pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve(bytes);
        buffer
    }

    /// The next batch of the hash of the whole, where it is at hand and nobody is at it.
    fn take_turn(&self) -> Option<Turn> {
        let mut state = self.state.lock();
        let hasher = state.hasher.take()?;
        let next = state.hashed;
        let Some(batch) = state.to_hash.remove(&next) else {
            state.hasher = Some(hasher);
            return None;
        };
        Some(Turn { hasher, batch })
    }

    /// Does a turn, names the parts of `beside` meanwhile, and gives the turn back.
    fn hash(&self, mut turn: Turn, beside: Option<&Batch>) -> Vec<ContentRef> {
        let refs = turn.batch.hash_into(&mut turn.hasher, beside);
        drop(turn.batch);
        let mut state = self.state.lock();
        state.hashed += 1;
        state.hasher = Some(turn.hasher);
        self.changed.notify_all();
        refs
    }
}

/// The reading side.
struct Reading<'f> {
    fd: &'f OwnedFd,
    chunker: Chunker,
    buffer: Vec<u8>,
    /// Offset of the next byte to read.
    at: u64,
}

impl Reading<'_> {
    /// Reads up to `end` until the buffer is full; `false` where the file ends before.
    fn fill(&mut self, end: u64, limit: usize) -> std::io::Result<bool> {
        while self.at < end && self.buffer.len() < limit {
            let filled = self.buffer.len();
            let wanted = (limit - filled).min(usize::try_from(end - self.at).unwrap_or(usize::MAX));
            self.buffer.reserve(wanted);
            let found = loop {
                match rustix::io::pread(self.fd, spare_capacity(&mut self.buffer), self.at) {
                    Err(rustix::io::Errno::INTR) => {}
                    found => break found?.min(wanted),
                }
            };
            // There may be more room than is wanted.
            self.buffer.truncate(filled + found);
            self.at += found as u64;
            if found == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What became of a large file.
pub enum Read {
    /// It was stored.
    Stored(Stored),
    /// It could not be read.
    Failed(std::io::Error),
}

impl Worker<'_, '_> {
    /// Stores the content of an open file that looked like `stat` and held `before`. A file that ends early is stored up to
    /// there; the caller looks at it again.
    pub fn store_large(&mut self, fd: &OwnedFd, stat: &Stat, before: Option<Before>) -> Result<Read> {
        let algo = Sink::algo(&self.packer);
        let file = Arc::new(Large {
            state: Mutex::new(State {
                hasher: Some(Hasher::new(algo)),
                ..State::default()
            }),
            changed: Condvar::new(),
            before,
            spare: Mutex::default(),
        });
        let chunker = Chunker::new(self.scan.request.chunk);
        let limit = BATCH_BYTES.max(chunker.buffer_bytes_min());
        let mut reading = Reading {
            fd,
            chunker,
            buffer: Vec::with_capacity(limit),
            at: 0,
        };
        let mut listing = Listing {
            file,
            builder: IndirectBuilder::new(algo),
            sent: 0,
            sent_bytes: 0,
            listed: 0,
            hashed: 0,
        };
        let mut failed = None;
        for (data_end, hole) in ranges(fd, stat) {
            if let Err(e) = self.read_range(&mut reading, &mut listing, (data_end, hole, limit), class_of(stat.size))? {
                failed = Some(e);
                break;
            }
        }
        while listing.on_the_way() > 0 {
            self.help(&mut listing)?;
        }
        if let Some(error) = failed {
            return Ok(Read::Failed(error));
        }
        let packer = &mut self.packer;
        let content = listing
            .builder
            .finish(&mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
        let hasher = listing.file.state.lock().hasher.take();
        let fullhash = hasher.unwrap_or_else(|| Hasher::new(algo)).finish();
        Ok(Read::Stored(stored(content, fullhash)))
    }

    /// Reads and hands on the bytes up to `data_end`, and the hole behind them.
    fn read_range(
        &mut self,
        reading: &mut Reading<'_>,
        listing: &mut Listing,
        (data_end, hole, limit): (u64, Option<u64>, usize),
        class: Class,
    ) -> Result<std::io::Result<()>> {
        loop {
            self.scan.check()?;
            let there = match reading.fill(data_end, limit) {
                Ok(there) => there,
                Err(e) => return Ok(Err(e)),
            };
            let is_last = !there || reading.at >= data_end;
            let follows = match hole {
                _ if !is_last => Follows::Data,
                None => Follows::End,
                Some(bytes) if bytes as usize >= RUN_BYTES_MIN => Follows::Hole(bytes),
                Some(bytes) => {
                    // Too short for a run of its own: it is read as zeros.
                    reading.buffer.resize(reading.buffer.len() + bytes as usize, 0);
                    Follows::Data
                }
            };
            let mut parts = Vec::new();
            let taken = reading.chunker.cut(&reading.buffer, follows, &mut parts);
            let mut rest = listing.file.buffer(limit);
            rest.extend_from_slice(&reading.buffer[taken..]);
            let mut buffer = std::mem::replace(&mut reading.buffer, rest);
            buffer.truncate(taken);
            self.scan.progress.add(0, taken as u64);
            self.packer.counters().tell(self.scan.progress);
            if !parts.is_empty() {
                self.send(
                    listing,
                    Batch {
                        file: listing.file.clone(),
                        index: listing.sent,
                        offset: listing.sent_bytes,
                        buffer,
                        parts,
                        class,
                    },
                )?;
            }
            if is_last {
                reading.at += hole.unwrap_or(0);
                return Ok(Ok(()));
            }
        }
    }

    fn send(&mut self, listing: &mut Listing, batch: Batch) -> Result<()> {
        listing.sent += 1;
        listing.sent_bytes += batch.parts.iter().map(part_bytes).sum::<u64>();
        self.scan.queue.push_batch(Arc::new(batch));
        self.list_named(listing)?;
        if listing.on_the_way() >= BATCHES_MAX {
            while listing.on_the_way() > BATCHES_MAX / 2 {
                self.help(listing)?;
            }
        }
        Ok(())
    }

    /// Works on a batch that the others are too busy for, or on the hash of the whole, or on any batch, or waits for one.
    fn help(&mut self, listing: &mut Listing) -> Result<()> {
        let waiting = listing.sent - listing.file.state.lock().taken;
        let turn = if waiting > 1 { None } else { listing.file.take_turn() };
        if let Some(turn) = turn {
            listing.file.hash(turn, None);
        } else if let Some(batch) = self.scan.queue.pop_batch() {
            let stored = batch.run(&mut self.packer);
            self.scan.queue.done();
            stored?;
        } else if let Some(turn) = listing.file.take_turn() {
            listing.file.hash(turn, None);
        } else {
            let mut state = listing.file.state.lock();
            if !state.named.contains_key(&listing.listed) && state.hashed == listing.hashed {
                listing.file.changed.wait(&mut state);
            }
        }
        self.list_named(listing)
    }

    /// Lists what is named, in order.
    fn list_named(&mut self, listing: &mut Listing) -> Result<()> {
        loop {
            let refs = {
                let mut state = listing.file.state.lock();
                listing.hashed = state.hashed;
                state.named.remove(&listing.listed)
            };
            let Some(refs) = refs else { return Ok(()) };
            listing.listed += 1;
            for part in refs {
                let packer = &mut self.packer;
                listing
                    .builder
                    .push(part, &mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
            }
        }
    }
}

struct Listing {
    file: Arc<Large>,
    builder: IndirectBuilder,
    sent: usize,
    /// Bytes of the file in them.
    sent_bytes: u64,
    listed: usize,
    /// How many were in the hash of the whole at the last look.
    hashed: usize,
}

impl Listing {
    /// Batches that are not named and listed, or not in the hash of the whole.
    fn on_the_way(&self) -> usize {
        self.sent - self.listed.min(self.hashed)
    }
}

fn part_bytes(part: &Part) -> u64 {
    match *part {
        Part::Data { bytes, .. } => bytes as u64,
        Part::Zeros { bytes } => bytes,
    }
}

/// Ends of data with the length of the hole behind each; nothing is behind the last.
fn ranges(fd: &OwnedFd, stat: &Stat) -> Vec<(u64, Option<u64>)> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut known = stat.may_have_holes();
    if known {
        for range in hole_map(fd, stat.size) {
            // A file system that cannot say where data is gets read from here to the end.
            let Ok(range) = range else {
                known = false;
                break;
            };
            if range.offset > at {
                out.push((at, Some(range.offset - at)));
            }
            at = range.offset + range.bytes;
        }
    }
    if known && at < stat.size {
        out.push((at, Some(stat.size - at)));
    }
    out.push((stat.size, None));
    out
}
