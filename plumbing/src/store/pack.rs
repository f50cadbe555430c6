//! Grouping objects into frames, for one thread.
//!
//! Objects that are alike share a frame: contents of small files, in the order of their directories; chunks of large
//! files, in longer frames with a longer window, since the likeness between large files lies further apart; what does
//! not compress, stored as it is; and metadata, so that trees are read without touching contents.
//!
//! Measured on 78,000 source files (1.2 GB): frames of 1 MiB for all take 197 MiB, this split 187 at the same time.

use zstd::zstd_safe::{self, CCtx, CParameter};

use super::data::format::{Codec, Row};
use super::data::write::Sealed;
use super::delta::pending::Waiting;
use super::delta::plan::Plan;
use super::delta::settle::Group as DeltaGroup;
use super::writer::Writer;
use super::{Added, Counters, Frame, Options, Store};
use crate::error::{Error, Result};
use crate::limits::{BLOCK_BYTES_MAX, FRAME_OBJECTS_MAX, FRAME_RAW_BYTES_MAX};
use crate::object::{ObjectId, ObjectKind};

/// Which frame an object goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Contents of small files.
    Small,
    /// Chunks of large files.
    Large,
    /// Chunks of files so long that the likeness which counts is within them, and that one file keeps all threads busy:
    /// its frames are shorter, so that no thread waits long for one, and less is decompressed for a part of the file.
    Huge,
    /// What does not compress.
    Dense,
    /// Trees, indirect blocks, snapshots.
    Meta,
}

impl Class {
    /// That of an object of which nothing but its bytes is known.
    fn of(kind: ObjectKind, bytes: &[u8]) -> Self {
        match kind {
            ObjectKind::Block if bytes.len() as u64 >= LARGE_FILE_BYTES => Self::Large,
            ObjectKind::Block => Self::Small,
            _ => Self::Meta,
        }
    }
}

const CLASSES: usize = 5;
/// A file of this many bytes or more is large.
pub const LARGE_FILE_BYTES: u64 = 128 << 10;
/// A file of this many bytes or more is huge.
pub const HUGE_FILE_BYTES: u64 = 64 << 20;
/// Bytes that are looked at to tell whether an object compresses.
const SAMPLE_BYTES: usize = 4096;
/// Bytes of what does not compress in one frame: a longer one would save nothing.
const DENSE_FRAME_BYTES: usize = 4 << 20;

#[derive(Default)]
struct Group {
    raw: Vec<u8>,
    table: Vec<u8>,
    ids: Vec<ObjectId>,
}

/// Groups objects into frames, for one thread. [`Packer::flush`] must be called before [`Writer::commit`].
pub struct Packer<'w> {
    writer: &'w Writer<'w>,
    groups: [Group; CLASSES],
    /// Delta frames on their way: of what describes, and of contents, which are read at different times.
    pub(super) deltas: [DeltaGroup; 2],
    /// What bases are read from.
    pub(super) frame: Frame,
    stored: Vec<u8>,
    zstd: CCtx<'static>,
}

impl std::fmt::Debug for Packer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Packer({} bytes)",
            self.groups.iter().map(|group| group.raw.len()).sum::<usize>()
        )
    }
}

impl<'w> Packer<'w> {
    pub(super) fn new(writer: &'w Writer<'w>) -> Self {
        Self {
            writer,
            groups: Default::default(),
            deltas: Default::default(),
            frame: Frame::default(),
            stored: Vec::new(),
            zstd: CCtx::create(),
        }
    }

    /// The store that is written to.
    pub fn store(&self) -> &'w Store {
        self.writer.store()
    }

    /// Whether it is of use to say what objects may be like.
    pub fn takes_bases(&self) -> bool {
        self.writer.compares(usize::MAX)
    }

    /// The same, for as long as the store lives.
    pub fn writer_store(&self) -> &'w Store {
        self.writer.store()
    }

    /// Whether the object is there or on its way.
    pub fn knows(&self, id: &ObjectId) -> Result<bool> {
        self.writer.knows(id)
    }

    /// What this packer and those beside it added and found.
    pub fn counters(&self) -> &Counters {
        &self.writer.counters
    }

    /// Hashes and adds an object.
    pub fn put(&mut self, kind: ObjectKind, bytes: &[u8]) -> Result<(ObjectId, Added)> {
        let id = ObjectId::hash(self.writer.store().algo(), bytes);
        Ok((id, self.put_hashed(kind, id, bytes)?))
    }

    /// Adds an object whose id is known to be the hash of `bytes`.
    pub fn put_hashed(&mut self, kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<Added> {
        self.put_in(Class::of(kind, bytes), kind, id, bytes)
    }

    /// The same, stored as the difference from these objects and no others, as far as they are there, the limits allow it, and
    /// it pays.
    pub(crate) fn put_on(&mut self, kind: ObjectKind, id: ObjectId, bytes: &[u8], bases: &[ObjectId]) -> Result<Added> {
        self.put_planned(Class::of(kind, bytes), kind, id, bytes, |packer, _| {
            match packer.writer.compares(bytes.len()) {
                true => packer.plan_on(&id, bases),
                false => Ok(None),
            }
        })
    }

    /// Adds an object whose id is known to the frames of `class`.
    pub fn put_in(&mut self, class: Class, kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<Added> {
        self.put_against(class, kind, id, bytes, &[])
    }

    /// The same for an object that may be like others of the store, which follow each other as what it is like does.
    /// Where they are there, and it pays, only the difference is stored.
    pub fn put_against(
        &mut self,
        class: Class,
        kind: ObjectKind,
        id: ObjectId,
        bytes: &[u8],
        bases: &[ObjectId],
    ) -> Result<Added> {
        self.put_planned(class, kind, id, bytes, |packer, class| {
            let alike =
                match kind == ObjectKind::Block && class != Class::Dense && packer.writer.finds_alike(bytes.len()) {
                    true => packer.store().alike(&id, bytes, !bases.is_empty())?,
                    false => Vec::new(),
                };
            let likely = if bases.is_empty() { &alike } else { bases };
            match likely.is_empty() || !packer.writer.compares(bytes.len()) {
                true => Ok(None),
                false => packer.plan(&id, likely),
            }
        })
    }

    /// Adds an object, as `plan` says for the class that it turns out to be of.
    fn put_planned(
        &mut self,
        class: Class,
        kind: ObjectKind,
        id: ObjectId,
        bytes: &[u8],
        plan: impl FnOnce(&mut Self, Class) -> Result<Option<Plan>>,
    ) -> Result<Added> {
        if bytes.len() > BLOCK_BYTES_MAX {
            let problem = format!("{} bytes, the limit is {BLOCK_BYTES_MAX}", bytes.len());
            return Err(Error::invalid("block", id, problem));
        }
        if self.writer.leaves_out(kind, bytes.len()) {
            return Ok(Added::Existing);
        }
        if !self.writer.claim(&id)? {
            self.writer.counters.known(bytes.len());
            return Ok(Added::Existing);
        }
        self.writer.counters.added(bytes.len());
        let class = if kind == ObjectKind::Block && is_dense(bytes) {
            Class::Dense
        } else {
            class
        };
        let plan = plan(self, class)?;
        let Some(plan) = plan else {
            self.group(class, kind, id, bytes)?;
            return Ok(Added::New);
        };
        let raw = bytes.to_vec();
        self.writer.let_wait(Waiting {
            id,
            kind,
            class,
            raw,
            plan,
        });
        while let Some(unit) = self.writer.take_excess() {
            self.settle(unit)?;
        }
        Ok(Added::New)
    }

    /// Adds an object to the frame of its class that is being filled.
    pub(super) fn group(&mut self, class: Class, kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<()> {
        let target = frame_bytes(class, self.writer.store().options());
        let group = &self.groups[class as usize];
        // A group is closed before it would grow past twice its target, and never past what a frame may hold.
        if group.raw.len() + bytes.len() > (2 * target).min(FRAME_RAW_BYTES_MAX) && !group.ids.is_empty() {
            self.seal(class)?;
        }
        let group = &mut self.groups[class as usize];
        group.raw.extend_from_slice(bytes);
        Row {
            id,
            kind,
            bytes: bytes.len() as u32,
        }
        .encode(&mut group.table);
        group.ids.push(id);
        if group.raw.len() >= target || group.ids.len() == FRAME_OBJECTS_MAX {
            self.seal(class)?;
        }
        Ok(())
    }

    /// Notes that what is written leans on an object, which other processes may have stored just now.
    pub(super) fn lean_on(&self, id: &ObjectId) {
        self.writer.lean_on(id);
    }

    /// Hands a frame to the appender.
    pub(super) fn append(&self, frame: &Sealed, ids: &[ObjectId]) -> Result<()> {
        self.writer.append(frame, ids)
    }

    /// Hands what waits and what is grouped to the appender.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(unit) = self.writer.take_waiting() {
            self.settle(unit)?;
        }
        self.seal_deltas()?;
        for class in [Class::Small, Class::Large, Class::Huge, Class::Dense, Class::Meta] {
            if !self.groups[class as usize].ids.is_empty() {
                self.seal(class)?;
            }
        }
        Ok(())
    }

    fn seal(&mut self, class: Class) -> Result<()> {
        let mut group = std::mem::take(&mut self.groups[class as usize]);
        if self.writer.is_dry() {
            return Ok(());
        }
        let raw_bytes = group.raw.len();
        // Buffers are used again: a fresh one costs a page fault for every 4 KiB.
        let mut stored = std::mem::take(&mut self.stored);
        let mut codec = Codec::Raw;
        if class != Class::Dense {
            stored.clear();
            stored.reserve(zstd_safe::compress_bound(raw_bytes));
            let level = self.writer.store().options().zstd_level;
            compress(&mut self.zstd, level, logs(class), &group.raw, &mut stored)?;
            if stored.len() < raw_bytes - raw_bytes / 32 {
                codec = Codec::Zstd;
            }
        }
        if codec == Codec::Raw {
            std::mem::swap(&mut stored, &mut group.raw);
        }
        let objects = group.ids.len() as u32;
        let sealed = Sealed::new(
            codec,
            raw_bytes as u32,
            objects,
            std::mem::take(&mut group.table),
            stored,
        );
        let result = self.writer.append(&sealed, &group.ids);
        let Sealed {
            mut table, mut stored, ..
        } = sealed;
        if codec == Codec::Raw {
            std::mem::swap(&mut stored, &mut group.raw);
        }
        self.stored = stored;
        table.clear();
        group.table = table;
        group.raw.clear();
        group.ids.clear();
        self.groups[class as usize] = group;
        result
    }
}

fn frame_bytes(class: Class, options: &Options) -> usize {
    match class {
        Class::Small => options.frame_bytes,
        Class::Dense => options.frame_bytes.min(DENSE_FRAME_BYTES),
        Class::Large => options.large_frame_bytes,
        Class::Huge => options.large_frame_bytes / 4 * 3,
        Class::Meta => options.meta_frame_bytes,
    }
}

/// A frame without objects.
pub(super) fn seal_record(payload: &[u8], level: i32) -> Result<Sealed> {
    let mut stored = Vec::with_capacity(zstd_safe::compress_bound(payload.len()));
    compress(&mut CCtx::create(), level, Logs::default(), payload, &mut stored)?;
    if stored.len() >= payload.len() {
        return Ok(Sealed::plain(payload.to_vec()));
    }
    Ok(Sealed::new(Codec::Zstd, payload.len() as u32, 0, Vec::new(), stored))
}

/// Binary logarithms of what zstd may take for a frame; what is left out is as the level has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logs {
    /// Bytes that it looks back.
    pub window: Option<u32>,
    /// Entries of the table of long matches (`hashLog`).
    pub long: Option<u32>,
    /// Entries of the table of short matches (`chainLog`).
    pub short: Option<u32>,
}

/// Windows that span a frame, as level 3 alone looks back 2 MiB; and tables half as long as it has, which stay in the
/// processor's second cache beside the input. On 78,000 source files that costs 0.6 % more space and 6 % less time.
pub(crate) fn logs(class: Class) -> Logs {
    let (window, long) = match class {
        Class::Large | Class::Huge => (24, None),
        Class::Small => (23, Some(16)),
        Class::Dense | Class::Meta => return Logs::default(),
    };
    Logs {
        window: Some(window),
        long,
        short: Some(15),
    }
}

/// Compresses as one zstd frame without content size, checksum and dictionary id, which the frame's header has.
pub fn compress(context: &mut CCtx<'_>, level: i32, logs: Logs, raw: &[u8], stored: &mut Vec<u8>) -> Result<()> {
    let failed = |code| Error::invalid("zstd parameter", level, zstd_safe::get_error_name(code));
    context
        .reset(zstd_safe::ResetDirective::SessionAndParameters)
        .map_err(failed)?;
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
        CParameter::DictIdFlag(false),
    ] {
        context.set_parameter(parameter).map_err(failed)?;
    }
    for parameter in [
        logs.window.map(CParameter::WindowLog),
        logs.long.map(CParameter::HashLog),
        logs.short.map(CParameter::ChainLog),
    ]
    .into_iter()
    .flatten()
    {
        context.set_parameter(parameter).map_err(failed)?;
    }
    context.compress2(stored, raw).map_err(failed)?;
    Ok(())
}

/// Whether the bytes look like noise: every value about as frequent as every other, in four samples spread over them.
/// The sum of squared counts is n²/256 + n for noise; text has four times that and more.
fn is_dense(bytes: &[u8]) -> bool {
    if bytes.len() < SAMPLE_BYTES {
        return false;
    }
    let mut counts = [0u32; 256];
    let quarter = SAMPLE_BYTES / 4;
    for sample in 0..4 {
        let start = (bytes.len() - quarter) / 3 * sample;
        for &byte in &bytes[start..start + quarter] {
            counts[usize::from(byte)] += 1;
        }
    }
    let squares: u64 = counts.iter().map(|&count| u64::from(count) * u64::from(count)).sum();
    let n = SAMPLE_BYTES as u64;
    squares < n * n / 256 * 6 / 5 + n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_their_class_asks_for() {
        let options = Options {
            frame_bytes: 5 << 20,
            large_frame_bytes: 16 << 20,
            meta_frame_bytes: 1 << 19,
            ..Options::default()
        };
        let classes = [Class::Small, Class::Dense, Class::Large, Class::Huge, Class::Meta];
        let expected = [5 << 20, 4 << 20, 16 << 20, 12 << 20, 1 << 19];
        assert_eq!(classes.map(|class| frame_bytes(class, &options)), expected);
        let short = Options {
            frame_bytes: 1 << 20,
            ..options
        };
        assert_eq!(frame_bytes(Class::Dense, &short), 1 << 20);
    }

    #[test]
    fn noise_is_dense_and_what_has_some_text_anywhere_is_not() {
        let noise = |seed: u8, count: usize| {
            let mut bytes = vec![0; count];
            blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
            bytes
        };
        for seed in 0..32 {
            assert!(is_dense(&noise(seed, SAMPLE_BYTES)) && is_dense(&noise(seed, 100_000)));
        }
        assert!(!is_dense(&noise(1, SAMPLE_BYTES - 1)), "too short to tell");
        for text in [0..40_000, 20_000..60_000, 50_000..100_000] {
            let mut bytes = noise(2, 100_000);
            bytes[text.clone()].fill(b'x');
            assert!(!is_dense(&bytes), "{text:?}");
        }
    }

    #[test]
    fn the_class_of_bytes_alone_is_that_of_their_length() {
        let bytes = vec![0; LARGE_FILE_BYTES as usize];
        assert_eq!(Class::of(ObjectKind::Block, &bytes), Class::Large);
        assert_eq!(Class::of(ObjectKind::Block, &bytes[1..]), Class::Small);
        assert_eq!(Class::of(ObjectKind::Tree, &bytes), Class::Meta);
    }

    #[test]
    fn bytes_are_dense_up_to_a_fifth_more_than_noise_has() {
        // Half of the values are by so much more frequent than sixteen times, the others by so much less.
        let uneven = |by: usize| {
            let bytes = (0..=255u8).flat_map(|value| {
                let count = if value < 128 { 16 + by } else { 16 - by };
                std::iter::repeat_n(value, count)
            });
            bytes.collect::<Vec<u8>>()
        };
        for (by, expected) in [(0, true), (6, true), (8, true), (9, false), (16, false)] {
            assert_eq!(
                (uneven(by).len(), is_dense(&uneven(by))),
                (SAMPLE_BYTES, expected),
                "{by}"
            );
        }
    }
}
