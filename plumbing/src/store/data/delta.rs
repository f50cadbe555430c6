//! Delta frames: each object is a zstd frame of its own, with earlier objects, its bases, as prefix
//! (object-format.md, "Delta frames").
//!
//! 1. The table says for each object which bases it has, how long they are, and what it costs to get it.
//! 2. Its bases are decompressed one behind the other: whoever reads says where they come from ([`Bases`]).
//! 3. The object is decompressed with them as prefix. Whoever uses it compares its hash.
//!
//! Invariants:
//! - A chain is followed for so many links, and an object decompressed with so many others, as [`Decoder`] allows, whatever
//!   the tables say: neither a cycle nor a bush of bases takes long.
//! - All lengths are known before memory is taken: those of objects from rows that are checked, those of prefixes from
//!   base rows whose sum has a limit.

use std::path::Path;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, ResetDirective, compress_bound, get_error_name};

use super::format::{Codec, Row};
use super::read::Head;
use crate::error::{Error, Result};
use crate::limits::{DELTA_LINKS_MAX, DELTA_PREFIX_BYTES_MAX, DELTA_READS_MAX};
use crate::object::ObjectId;

/// What a dictionary of zstd begins with. A prefix that does so is no dictionary, and is given in another way.
const DICTIONARY_MAGIC: &[u8; 4] = b"\x37\xa4\x30\xec";
/// Prefixes of this many bytes and more are searched by long-distance matching: the tables of low levels forget them.
const LONG_PREFIX_BYTES: usize = 512 << 10;

/// Up to this level objects are compressed as at level 1 with a longer table: most of each is one long match or a few, which
/// that finds in two thirds of the time. Measured on 4,539 changed files of the kernel's sources, 178 MB: 1.09 MB in 0.107 s, and
/// 0.99 in 0.156 at level 3.
const FAST_LEVEL_MAX: i32 = 3;
/// Entries of that table, as a binary logarithm: it holds what prefixes up to some hundred KiB have, and fits a processor's second cache.
const FAST_HASH_LOG: u32 = 17;

/// What zstd returns where the output does not fit: `ZSTD_error_dstSize_tooSmall`, which is stable, as an error.
const NO_ROOM: usize = 70_usize.wrapping_neg();

/// Where the bases of objects come from.
pub trait Bases {
    /// Appends the bytes of the object that `base` names to `out`. They are not hashed.
    fn append(&self, base: &Row, out: &mut Vec<u8>, decoder: &mut Decoder) -> Result<()>;

    /// Adds to what is told of an object which of its bases do not read, and why, as far as that is known.
    fn tell_hurt(&self, _bases: &[Row], _told: &mut String) {}
}

/// There are none: for frames that are read without a store.
#[derive(Clone, Copy, Debug)]
pub struct NoBases;

impl Bases for NoBases {
    fn append(&self, base: &Row, _out: &mut Vec<u8>, _decoder: &mut Decoder) -> Result<()> {
        let problem = "objects are compressed against it; open the repository to read them";
        Err(Error::invalid("base", base.id, problem))
    }
}

/// Decompresses, and counts what getting one object takes.
#[derive(Default)]
pub struct Decoder {
    zstd: Option<DCtx<'static>>,
    links: u8,
    reads: u16,
    /// An object that must not be among the bases.
    without: Option<ObjectId>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({} links, {} objects)", self.links, self.reads)
    }
}

impl Decoder {
    /// Begins to count for another object.
    pub fn begin(&mut self) {
        (self.links, self.reads, self.without) = (0, 0, None);
    }

    /// The same where `object` must not be among the bases, however far down.
    pub fn begin_without(&mut self, object: ObjectId) {
        self.begin();
        self.without = Some(object);
    }

    /// Counts an object that is read as a base.
    fn enter(&mut self, base: &ObjectId) -> Result<(), String> {
        self.links += 1;
        self.reads += 1;
        if self.without.as_ref() == Some(base) {
            return Err("a cycle".to_owned());
        }
        match (self.links > DELTA_LINKS_MAX, self.reads > DELTA_READS_MAX) {
            (true, _) => Err(format!("a chain of more than {DELTA_LINKS_MAX} bases, or a cycle")),
            (_, true) => Err(format!("more than {DELTA_READS_MAX} bases in all")),
            _ => Ok(()),
        }
    }

    /// Bases that are being read, each for the one before.
    pub fn links(&self) -> u8 {
        self.links
    }

    /// Takes up again where so many were being read: what was tried since then failed.
    pub fn back_to(&mut self, links: u8) {
        self.links = links;
    }

    /// Notes that it was read.
    fn leave(&mut self) {
        self.links = self.links.saturating_sub(1);
    }

    /// Decompresses to `out`, which must be long enough for all of it. Gives the length.
    pub fn decompress(&mut self, out: &mut [u8], stored: &[u8]) -> Result<usize, String> {
        let context = self.zstd.get_or_insert_with(DCtx::create);
        let done = context.decompress(out, stored);
        done.map_err(|code| format!("zstd: {}", get_error_name(code)))
    }

    /// Fills `out` with the front of what is stored, but for the last bytes, fewer than a block of zstd has. That these are
    /// right is not said: whoever uses them compares a hash.
    pub fn decompress_front(&mut self, out: &mut [u8], stored: &[u8]) -> Result<(), String> {
        let context = self.zstd.get_or_insert_with(DCtx::create);
        match context.decompress(out, stored) {
            // Blocks are decompressed one after the other, until there is no room for the next.
            Ok(_) | Err(NO_ROOM) => Ok(()),
            Err(code) => Err(format!("zstd: {}", get_error_name(code))),
        }
    }

    fn with_prefix(&mut self, out: &mut [u8], stored: &[u8], prefix: &[u8]) -> Result<usize, String> {
        let done = if prefix.starts_with(DICTIONARY_MAGIC) {
            let mut context = DCtx::create();
            context.ref_prefix(prefix).and_then(|_| context.decompress(out, stored))
        } else {
            let context = self.zstd.get_or_insert_with(DCtx::create);
            context.decompress_using_dict(out, stored, prefix)
        };
        done.map_err(|code| format!("zstd: {}", get_error_name(code)))
    }
}

/// One object of a delta frame as it is stored.
pub struct Piece<'f> {
    path: &'f Path,
    head: &'f Head,
    slot: u16,
    offset: u64,
    stored: &'f [u8],
}

impl<'f> Piece<'f> {
    /// The object in `slot`, whose bytes begin at `at` of the frame's payload; moves `at` behind them.
    pub fn new(path: &'f Path, head: &'f Head, slot: u16, payload: &'f [u8], at: &mut usize) -> Result<Self> {
        let part = head.parts.get(usize::from(slot));
        let bytes = part.map_or(0, |part| part.stored_bytes as usize);
        let stored = part.and_then(|_| payload.get(*at..*at + bytes)).ok_or_else(|| {
            let expected = format!("object {slot} of a frame of {}", head.parts.len());
            Error::damaged(path, head.offset, expected, "no such object")
        })?;
        let offset = head.payload_offset() + *at as u64;
        *at += bytes;
        Ok(Self {
            path,
            head,
            slot,
            offset,
            stored,
        })
    }

    /// Appends the bytes of the object to `out`. They are not hashed.
    pub fn append_to(&self, out: &mut Vec<u8>, bases: &dyn Bases, decoder: &mut Decoder) -> Result<()> {
        let Some(row) = self.head.rows.get(usize::from(self.slot)) else {
            return Ok(());
        };
        let bytes = row.bytes as usize;
        let rows = self.head.bases_of(self.slot);
        let mut prefix = Vec::with_capacity(rows.iter().map(|row| row.bytes as usize).sum());
        for base in rows {
            let expected = || format!("object {} of {bytes} bytes, made from object {}", row.id, base.id);
            let damaged = |found: String| Error::damaged(self.path, self.offset, expected(), found);
            let before = prefix.len();
            decoder.enter(&base.id).map_err(damaged)?;
            let is_first = decoder.links == 1;
            bases.append(base, &mut prefix, decoder).map_err(|error| match error {
                // Where and what is wrong stands in its own words; what is between them would only make it longer.
                error if is_first && error.is_damage() => damaged(format!("no such base: {error}")),
                error => error,
            })?;
            decoder.leave();
            if prefix.len() - before != base.bytes as usize {
                return Err(damaged(format!(
                    "a base of {} bytes, not {}",
                    prefix.len() - before,
                    base.bytes
                )));
            }
        }
        let start = out.len();
        // The declared length bounds what is written, whatever the stream says.
        out.resize(start + bytes, 0);
        let done = decoder.with_prefix(&mut out[start..], self.stored, &prefix);
        let problem = match done {
            Ok(found) if found == bytes => return Ok(()),
            Ok(found) => format!("{found} bytes"),
            Err(problem) => problem,
        };
        out.truncate(start);
        let expected = format!("object {} of {bytes} bytes", row.id);
        Err(Error::damaged(self.path, self.offset, expected, problem))
    }
}

/// Compresses objects against prefixes; reused for as many as live prefixes allow.
pub struct Encoder<'p> {
    zstd: CCtx<'p>,
    level: i32,
}

impl<'p> Encoder<'p> {
    /// Compresses at this level.
    pub fn new(level: i32) -> Self {
        let zstd = CCtx::create();
        Self { zstd, level }
    }

    /// Compresses `raw` into `stored`, which is emptied first, with `prefix` before it. Gives the length.
    pub fn compress(&mut self, prefix: &'p [u8], raw: &[u8], stored: &mut Vec<u8>) -> Result<usize> {
        let level = self.level;
        let failed = |code| Error::invalid("zstd parameter", level, get_error_name(code));
        stored.clear();
        stored.reserve(compress_bound(raw.len()));
        let zstd = &mut self.zstd;
        zstd.reset(ResetDirective::SessionAndParameters).map_err(failed)?;
        // The window spans all of the prefix from the last byte on.
        let window_log = (prefix.len() + raw.len()).next_power_of_two().ilog2().clamp(10, 26);
        for parameter in [
            CParameter::CompressionLevel(if level <= FAST_LEVEL_MAX { 1 } else { level }),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
            CParameter::WindowLog(window_log),
            CParameter::EnableLongDistanceMatching(prefix.len() >= LONG_PREFIX_BYTES),
        ] {
            zstd.set_parameter(parameter).map_err(failed)?;
        }
        if level <= FAST_LEVEL_MAX {
            zstd.set_parameter(CParameter::HashLog(FAST_HASH_LOG)).map_err(failed)?;
        }
        if !prefix.is_empty() {
            zstd.ref_prefix(prefix).map_err(failed)?;
        }
        zstd.compress2(stored, raw).map_err(failed)
    }
}

/// Checks what the rows of a delta frame say of each other, as far as one row alone cannot tell.
pub fn check_parts(head: &Head) -> Result<(), String> {
    if head.header.codec != Codec::Delta {
        return Ok(());
    }
    let stored: u64 = head.parts.iter().map(|part| u64::from(part.stored_bytes)).sum();
    if stored != u64::from(head.header.stored_bytes) {
        let expected = head.header.stored_bytes;
        return Err(format!("objects of {stored} stored bytes in a payload of {expected}"));
    }
    for (slot, row) in (0..).zip(&head.rows) {
        let bases = head.bases_of(slot);
        let prefix: usize = bases.iter().map(|base| base.bytes as usize).sum();
        if prefix > DELTA_PREFIX_BYTES_MAX {
            return Err(format!("{prefix} bytes of bases for object {}", row.id));
        }
        if bases.iter().any(|base| base.id == row.id) {
            return Err(format!("object {} made from itself", row.id));
        }
    }
    Ok(())
}
