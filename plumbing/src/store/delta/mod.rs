//! Objects that are compressed against others of the store: where their bases come from.
//!
//! - here: reading them
//! - [`plan`]: choosing among bases
//! - [`pending`]: what waits to be compressed
//! - [`settle`]: compressing, and what does not pay
//! - [`sweep`]: checking many
//! - [`memo`]: reading many
//! - [`elsewhere`]: bases that are in another store
//! - [`heads`]: what objects are made from; [`aging`]: what is kept of that, and of objects that were read
//! - [`regroup`]: frames of single differences, as they are stored
//! - [`sketch`], [`likeness`]: what a block is like that replaces nothing
//!
//! To read an object of a delta frame:
//!
//! 1. The frame is held as it is stored, a few per cent of what is in it, in the same cache as decompressed ones.
//! 2. Each of its bases is located by id and read in the same way, down to objects that have none.
//! 3. Only what is asked for is decompressed, never the whole frame.
//!
//! The *root* of an object is what lies at the end of the chain of its first bases. Who reads many objects sorts them by
//! the frames of their roots, has one of these at hand at a time ([`Near`]), and so decompresses each frame once.
//!
//! [`data::delta`](super::data::delta) bounds time and memory, whatever the tables say.

mod aging;
mod elsewhere;
mod heads;
mod likeness;
mod memo;
pub(super) mod pending;
pub(super) mod plan;
mod regroup;
pub(super) mod settle;
mod sketch;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::HashSet;
use parking_lot::{Mutex, RwLock};

pub use self::memo::Memo;
pub use self::sweep::{Checking, Gathered, Leaning};
use super::data::delta::{Bases, Decoder, Piece};
use super::data::format::{Codec, FRAME_HEADER_BYTES, Row};
use super::data::frame::Scratch;
use super::data::read::{DataFile, Head};
use super::{Frame, Location, Store};
use crate::error::{Error, Result};
use crate::object::ObjectId;

/// Frames that are known to have no bases; about 40 bytes each.
const PLAIN_MAX: usize = 64 << 10;

/// Stands before the id of what something is made from, in what is told of damage.
const FROM_OBJECT: &str = " from object ";

/// What is done before the first delta frame is written.
type BeforeFirst = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// What a store keeps for objects that have bases.
#[derive(Default)]
pub(super) struct Deltas {
    before_first: RwLock<Option<BeforeFirst>>,
    /// Whether that was done.
    begun: AtomicBool,
    /// Frames that were found to be no delta frames.
    plain: Mutex<HashSet<(u32, u64)>>,
    heads: heads::Heads,
    /// What threads that read use in turn.
    scratches: Mutex<Vec<Scratch>>,
    /// Where bases are looked for that are not in the store.
    elsewhere: OnceLock<Arc<Store>>,
    likeness: likeness::Likeness,
}

impl Deltas {
    /// What the table of a delta frame says of an object, if it was asked for lately.
    pub(super) fn row_at_hand(&self, at: Location) -> Option<Row> {
        let head = self.heads.get((at.file, at.frame))?;
        head.rows.get(usize::from(at.slot)).copied()
    }
}

impl fmt::Debug for Deltas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deltas(allowed: {})", self.before_first.read().is_some())
    }
}

/// A frame in memory.
#[derive(Debug)]
pub(super) enum Loaded {
    /// Decompressed, at least in part.
    Whole(Frame),
    /// A delta frame as it is stored.
    Parts(Parts),
}

/// A delta frame as it is stored.
#[derive(Debug)]
pub(super) struct Parts {
    file: DataFile,
    head: Arc<Head>,
    stored: Vec<u8>,
    /// Where the bytes of each object begin in `stored`.
    starts: Vec<u32>,
}

impl Loaded {
    /// Whether it is there as a whole, or at least as far as the object `last`.
    fn reaches(&self, last: Option<u16>) -> bool {
        match self {
            Self::Whole(frame) => frame.reaches(last),
            Self::Parts(_) => true,
        }
    }

    /// Memory that it takes in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Whole(frame) => frame.memory_bytes(),
            Self::Parts(parts) => parts.stored.len() + parts.head.header.table_bytes(),
        }
    }
}

impl Parts {
    fn read(file: DataFile, head: Arc<Head>) -> Result<Self> {
        let mut stored = Vec::new();
        file.stored(&head, &mut stored)?;
        let mut starts = Vec::with_capacity(head.parts.len());
        let mut start = 0;
        for part in &head.parts {
            starts.push(start);
            start += part.stored_bytes;
        }
        Ok(Self {
            file,
            head,
            stored,
            starts,
        })
    }

    fn append(&self, slot: u16, out: &mut Vec<u8>, bases: &dyn Bases, decoder: &mut Decoder) -> Result<()> {
        let mut at = self.starts.get(usize::from(slot)).map_or(usize::MAX, |&at| at as usize);
        let piece = Piece::new(&self.file.path, &self.head, slot, &self.stored, &mut at)?;
        piece.append_to(out, bases, decoder)
    }
}

/// A store with one decompressed frame of it at hand.
#[derive(Clone, Copy, Debug)]
pub struct Near<'a> {
    store: &'a Store,
    frame: Option<((u32, u64), &'a Frame)>,
    /// Of other frames nothing is decompressed behind what is needed.
    is_sparing: bool,
    /// What does not read is told without why: finding out reads all that it is made from, and passes over what does not.
    is_quiet: bool,
}

impl Bases for Near<'_> {
    fn append(&self, base: &Row, out: &mut Vec<u8>, decoder: &mut Decoder) -> Result<()> {
        self.append_base(base, out, self, decoder)
    }

    fn tell_hurt(&self, bases: &[Row], told: &mut String) {
        for base in bases.iter().filter(|_| !self.is_quiet) {
            let elsewhere = self.store.elsewhere_for(&base.id);
            let read = elsewhere.and_then(|other| other.unwrap_or(self.store).get(&base.id));
            if let Err(error) = read {
                // However many are between: where the damage is stands at the end.
                let why = error.to_string();
                told.push_str(&match why.rsplit_once(FROM_OBJECT) {
                    Some((_, last)) => format!("; it is made{FROM_OBJECT}{}, and that{FROM_OBJECT}{last}", base.id),
                    None => format!("; it is made{FROM_OBJECT}{}: {why}", base.id),
                });
            }
        }
    }
}

impl<'a> Near<'a> {
    /// With the frame that was read from `at`.
    pub fn new(store: &'a Store, at: Location, frame: &'a Frame) -> Self {
        Self {
            frame: Some(((at.file, at.frame), frame)),
            ..store.near()
        }
    }

    /// The same where little is needed of other frames, and nothing is likely to be needed again.
    fn sparing(mut self) -> Self {
        self.is_sparing = true;
        self
    }

    /// The same for whoever asks only whether something reads. Look-ups find afterwards what they found before.
    pub(crate) fn quiet(mut self) -> Self {
        self.is_quiet = true;
        self
    }

    /// Puts the bytes of the object at `at`, whose id must be `id`, in place of those of `out`; their hash is compared.
    pub fn read(&self, at: Location, id: &ObjectId, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        self.store.with_scratch(|scratch| {
            scratch.decoder.begin();
            self.append_at(at, id, out, self, &mut scratch.decoder)
        })?;
        self.check_hash(at, id, out)
    }

    /// Compares the hash of an object that was read from `at`. Where it has bases, those that are hurt are named.
    fn check_hash(&self, at: Location, id: &ObjectId, bytes: &[u8]) -> Result<()> {
        let hash = ObjectId::hash(id.algo(), bytes);
        if hash == *id {
            return Ok(());
        }
        let mut found = format!("bytes of {hash}");
        self.tell_hurt(&self.store.bases_at(at)?, &mut found);
        let row = at.frame + (FRAME_HEADER_BYTES + usize::from(at.slot) * super::data::format::ROW_BYTES) as u64;
        let path = self.store.data_file(at.file)?.path;
        Err(Error::damaged(path, row, format_args!("object {id}"), found))
    }

    /// Appends the bytes of the object at `at`, not hashed; an error if `object` is among those that it is made from.
    fn append_without(&self, at: Location, row: &Row, object: &ObjectId, out: &mut Vec<u8>) -> Result<()> {
        self.store.with_scratch(|scratch| {
            scratch.decoder.begin_without(*object);
            self.append_at(at, &row.id, out, self, &mut scratch.decoder)
        })
    }

    /// The bytes of the object at `at`, not hashed, if it is in the frame at hand.
    fn at_hand(&self, at: Location, id: &ObjectId) -> Option<&'a [u8]> {
        let (_, frame) = self.frame.filter(|(key, _)| *key == (at.file, at.frame))?;
        let (_, found, bytes) = frame.object(at.slot)?;
        (found == *id).then_some(bytes)
    }

    /// Appends the bytes of an object that others are made from; its own bases come from `bases`.
    fn append_base(&self, base: &Row, out: &mut Vec<u8>, bases: &dyn Bases, decoder: &mut Decoder) -> Result<()> {
        if let Some(other) = self.store.elsewhere_for(&base.id)? {
            let near = other.near();
            return near.append_base(base, out, &near, decoder);
        }
        let needed_as = "base of other objects";
        let at = self.store.locate_to_read(&base.id)?;
        let at = at.or_else(|| self.store.passed_over(&base.id));
        let missing = || Error::Missing { id: base.id, needed_as };
        let mut at = at.ok_or_else(|| self.store.reason_of(&base.id).unwrap_or_else(missing))?;
        let (start, links) = (out.len(), decoder.links());
        loop {
            let error = match self.append_at(at, &base.id, out, bases, decoder) {
                // What this copy is made from went with a gc that knew of nobody who needs it; another may stand.
                Err(error @ Error::Missing { .. }) => error,
                done => return done,
            };
            out.truncate(start);
            decoder.back_to(links);
            self.store.distrust(&[at])?;
            at = match self.store.locate(&base.id)? {
                Some(next) if next != at => next,
                _ => return Err(error),
            };
        }
    }

    fn append_at(
        &self,
        at: Location,
        id: &ObjectId,
        out: &mut Vec<u8>,
        bases: &dyn Bases,
        decoder: &mut Decoder,
    ) -> Result<()> {
        if let Some((key, frame)) = self.frame
            && key == (at.file, at.frame)
            && frame.reaches(Some(at.slot))
        {
            return self.store.append_of(frame, at, id, out);
        }
        match &*self.store.load_front(at, self.is_sparing.then_some(at.slot))? {
            Loaded::Whole(frame) => self.store.append_of(frame, at, id, out),
            Loaded::Parts(parts) => match parts.head.rows.get(usize::from(at.slot)) {
                Some(row) if row.id == *id => parts.append(at.slot, out, bases, decoder),
                _ => Err(self.store.no_such_row(at, id)),
            },
        }
    }
}

impl Store {
    /// Lets writers store objects as differences from others; `before_first` is called once, before the first of these
    /// is written, and must have made it known that they are there.
    pub fn allow_deltas(&self, before_first: impl Fn() -> Result<()> + Send + Sync + 'static) {
        *self.deltas.before_first.write() = Some(Arc::new(before_first));
    }

    /// Whether writers may store objects as differences from others.
    pub(crate) fn allows_deltas(&self) -> bool {
        self.options.delta.enabled && !self.is_single() && self.deltas.before_first.read().is_some()
    }

    /// To be called before a delta frame is written.
    pub(crate) fn begin_deltas(&self) -> Result<()> {
        if self.deltas.begun.load(Ordering::Acquire) {
            return Ok(());
        }
        let before_first = self.deltas.before_first.read().clone();
        match before_first {
            Some(before_first) => before_first()?,
            None => {
                return Err(Error::invalid(
                    "delta frame",
                    self.place().display(),
                    "they are not allowed here",
                ));
            }
        }
        self.deltas.begun.store(true, Ordering::Release);
        Ok(())
    }

    /// The frame at `at` if it is a delta frame.
    fn parts(&self, at: Location) -> Result<Option<Arc<Loaded>>> {
        match self.delta_head(at)? {
            Some(_) => self.load_front(at, None).map(Some),
            None => Ok(None),
        }
    }

    /// The frame at `at`, decompressed at least up to the object `last`, if it is in the cache.
    fn at_hand(&self, at: Location, last: u16) -> Option<Arc<Loaded>> {
        let kept = self.frames.get((at.file, at.frame));
        kept.filter(|loaded| matches!(&**loaded, Loaded::Whole(frame) if frame.reaches(Some(last))))
    }

    /// Reads a frame, of which nothing behind the object `last` is needed, reusing the buffers of `into`.
    fn read_front(&self, at: Location, last: u16, into: &mut Frame) -> Result<()> {
        into.clear();
        let (file, head) = self.head(at)?;
        into.read_front(&file, head, last, &self.near())
    }

    /// The frame at `at` from the cache or from its data file; where nothing behind the object `last` is needed, if there is
    /// one, it may end there.
    fn load_front(&self, at: Location, last: Option<u16>) -> Result<Arc<Loaded>> {
        let key = (at.file, at.frame);
        if let Some(loaded) = self.frames.get(key)
            && loaded.reaches(last)
        {
            return Ok(loaded);
        }
        let (file, head) = self.shared_head(at)?;
        if head.header.codec == Codec::Delta {
            return self.keep(key, Loaded::Parts(Parts::read(file, head)?));
        }
        // That of any other frame is nobody else's.
        let head = Arc::unwrap_or_clone(head);
        let mut frame = self
            .frames
            .make_room(head.header.raw_bytes as usize)
            .unwrap_or_default();
        self.with_scratch(|scratch| {
            // Frames that are kept do not need their own.
            frame.swap_scratch(scratch);
            let read = match last {
                Some(last) => frame.read_front(&file, head, last, &self.near()),
                None => frame.read_payload(&file, head, &self.near()),
            };
            frame.swap_scratch(scratch);
            read
        })?;
        self.keep(key, Loaded::Whole(frame))
    }

    /// Lends what decompressing takes.
    fn with_scratch<T>(&self, act: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.deltas.scratches.lock().pop().unwrap_or_default();
        let done = act(&mut scratch);
        self.deltas.scratches.lock().push(scratch);
        done
    }

    fn keep(&self, key: (u32, u64), loaded: Loaded) -> Result<Arc<Loaded>> {
        let loaded = Arc::new(loaded);
        self.frames.put(key, loaded.clone());
        Ok(loaded)
    }

    /// The store as a source of bases.
    pub fn near(&self) -> Near<'_> {
        Near {
            store: self,
            frame: None,
            is_sparing: false,
            is_quiet: false,
        }
    }

    fn append_of(&self, frame: &Frame, at: Location, id: &ObjectId, out: &mut Vec<u8>) -> Result<()> {
        match frame.object(at.slot) {
            Some((_, found, bytes)) if found == *id => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            _ => Err(self.no_such_row(at, id)),
        }
    }

    fn no_such_row(&self, at: Location, id: &ObjectId) -> Error {
        let path = self.data_file(at.file).map(|file| file.path).unwrap_or_default();
        Error::damaged(
            path,
            at.frame,
            format_args!("object {id}"),
            "another in its row, or none",
        )
    }
}
