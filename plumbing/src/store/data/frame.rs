//! A decompressed frame: the objects of one read.

use std::path::{Path, PathBuf};

use super::delta::{Bases, Decoder, Piece};
use super::format::{Codec, FRAME_HEADER_BYTES, ROW_BYTES, Row};
use super::read::{DataFile, Head};
use crate::error::{Error, Result};
use crate::object::sha256x2::hash_all;
use crate::object::{ObjectId, ObjectKind};

/// Longest block of a zstd frame in bytes.
const ZSTD_BLOCK_BYTES: usize = 128 << 10;

/// What decompressing takes beside the frame that comes of it.
#[derive(Debug, Default)]
pub struct Scratch {
    stored: Vec<u8>,
    /// Counts what getting one object takes.
    pub decoder: Decoder,
}

/// A decompressed frame. Its buffers are reused from one read to the next.
#[derive(Default)]
pub struct Frame {
    rows: Vec<Row>,
    /// `starts[slot]` is the offset of an object in `payload`.
    starts: Vec<u32>,
    /// The objects, one behind the other; what is behind [`Frame::filled`] is left from frames before.
    payload: Vec<u8>,
    /// Bytes of the payload that were decompressed: all, or those up to the last object that was asked for.
    filled: usize,
    is_whole: bool,
    /// Length of the payload as it is stored.
    stored_bytes: u32,
    scratch: Scratch,
    path: PathBuf,
    offset: u64,
    /// The hash of every object was compared.
    is_verified: bool,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} objects, {} bytes)", self.rows.len(), self.filled)
    }
}

impl Frame {
    /// Objects in the frame.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Length of all objects in bytes.
    pub fn raw_bytes(&self) -> usize {
        self.filled
    }

    /// Memory that its objects take in bytes, with what its buffer has to spare.
    pub(in crate::store) fn memory_bytes(&self) -> usize {
        self.payload.capacity() + self.rows.capacity() * std::mem::size_of::<Row>()
    }

    /// About what so many bytes take if they are compressed as these objects are.
    pub(in crate::store) fn stored_share(&self, bytes: usize) -> usize {
        let all = self.rows.iter().map(|row| u64::from(row.bytes)).sum::<u64>();
        let share = bytes as u64 * u64::from(self.stored_bytes) / all.max(1);
        usize::try_from(share).unwrap_or(usize::MAX)
    }

    /// Exchanges what it decompresses with.
    pub(in crate::store) fn swap_scratch(&mut self, scratch: &mut Scratch) {
        std::mem::swap(&mut self.scratch, scratch);
    }

    /// All bytes, whatever they are; not checked.
    pub fn payload(&self) -> &[u8] {
        &self.payload[..self.filled]
    }

    /// Kind, id and bytes of one object. The bytes are not hashed: see [`Frame::verified`].
    pub fn object(&self, slot: u16) -> Option<(ObjectKind, ObjectId, &[u8])> {
        let row = self.rows.get(usize::from(slot))?;
        let start = *self.starts.get(usize::from(slot))? as usize;
        Some((row.kind, row.id, self.payload().get(start..start + row.bytes as usize)?))
    }

    /// All objects that were decompressed, as [`Frame::object`] gives them.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectKind, ObjectId, &[u8])> {
        (0..self.rows.len() as u16).filter_map(|slot| self.object(slot))
    }

    /// Whether all of it was decompressed, or at least the object `last`.
    pub(in crate::store) fn reaches(&self, last: Option<u16>) -> bool {
        self.is_whole || last.is_some_and(|last| self.object(last).is_some())
    }

    /// The bytes of one object after their hash was compared with `id`.
    pub fn verified(&self, slot: u16, id: &ObjectId) -> Result<&[u8]> {
        let at = self.offset + (FRAME_HEADER_BYTES + usize::from(slot) * ROW_BYTES) as u64;
        let Some((_, found, bytes)) = self.object(slot) else {
            return Err(Error::damaged(
                &self.path,
                at,
                format_args!("object {id}"),
                "no such row",
            ));
        };
        if found != *id {
            return Err(Error::damaged(
                &self.path,
                at,
                format_args!("object {id}"),
                format_args!("object {found}"),
            ));
        }
        if self.is_verified {
            return Ok(bytes);
        }
        let hash = ObjectId::hash(id.algo(), bytes);
        if hash != *id {
            let found = format!("bytes of {hash}");
            return Err(Error::damaged(
                &self.path,
                self.offset,
                format_args!("object {id}"),
                found,
            ));
        }
        Ok(bytes)
    }

    /// Reads and decompresses the frame whose head is given; the bases of its objects, if it has some, come from `bases`.
    /// The digest of the frame is not compared, since whoever uses an object compares its hash.
    pub fn read_payload(&mut self, file: &DataFile, head: Head, bases: &dyn Bases) -> Result<()> {
        self.clear();
        file.stored(&head, &mut self.scratch.stored)?;
        self.decompress_stored(file, head, bases)
    }

    /// The same, where nothing behind the object `last` is needed: what is behind it is perhaps not decompressed.
    pub(in crate::store) fn read_front(
        &mut self,
        file: &DataFile,
        head: Head,
        last: u16,
        bases: &dyn Bases,
    ) -> Result<()> {
        let rows = head.rows.iter().take(usize::from(last) + 1);
        // A block of zstd that is begun is decompressed as a whole, or not.
        let limit = rows.map(|row| row.bytes as usize).sum::<usize>() + ZSTD_BLOCK_BYTES;
        if head.header.codec != Codec::Zstd || limit >= head.header.raw_bytes as usize {
            return self.read_payload(file, head, bases);
        }
        self.clear();
        file.stored(&head, &mut self.scratch.stored)?;
        self.reserve(limit);
        let (decoder, stored) = (&mut self.scratch.decoder, &self.scratch.stored);
        let done = decoder.decompress_front(&mut self.payload[..limit], stored);
        done.map_err(|found| {
            let expected = format!("a payload of {} bytes", head.header.raw_bytes);
            Error::damaged(&file.path, head.payload_offset(), expected, found)
        })?;
        self.filled = limit - ZSTD_BLOCK_BYTES;
        self.describe(&file.path, head);
        self.is_whole = false;
        Ok(())
    }

    /// Forgets what it holds.
    pub fn clear(&mut self) {
        self.is_verified = false;
        self.rows.clear();
        self.filled = 0;
    }

    /// Makes the buffer so long; only what is added to it is filled with zeros.
    fn reserve(&mut self, bytes: usize) {
        if self.payload.len() < bytes {
            self.payload.clear();
            self.payload.reserve_exact(bytes);
            self.payload.resize(bytes, 0);
        }
    }

    /// Takes over what the head says.
    fn describe(&mut self, path: &Path, head: Head) {
        self.stored_bytes = head.header.stored_bytes;
        path.clone_into(&mut self.path);
        self.offset = head.offset;
        self.starts.clear();
        let mut start = 0;
        for row in &head.rows {
            self.starts.push(start);
            start += row.bytes;
        }
        self.rows = head.rows;
    }

    /// Reads the payload of the frame whose head is given as it is stored, and compares its digest.
    pub fn read_stored_checked(&mut self, file: &DataFile, head: &Head) -> Result<()> {
        file.stored_checked(head, &mut self.scratch.stored)
    }

    /// The rows of its table.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Decompresses a payload that was read from somewhere else, which errors call `path`.
    pub fn decompress_from(&mut self, path: &Path, head: Head, stored: &[u8], bases: &dyn Bases) -> Result<()> {
        self.scratch.stored.clear();
        self.scratch.stored.extend_from_slice(stored);
        self.decompress_at(path, head, bases)
    }

    /// Decompresses what was read last.
    pub fn decompress_stored(&mut self, file: &DataFile, head: Head, bases: &dyn Bases) -> Result<()> {
        self.decompress_at(&file.path, head, bases)
    }

    fn decompress_at(&mut self, path: &Path, head: Head, bases: &dyn Bases) -> Result<()> {
        self.clear();
        let mut stored = std::mem::take(&mut self.scratch.stored);
        let result = match head.header.codec {
            Codec::Raw | Codec::Zstd => self.decompress(path, &head, &mut stored),
            Codec::Delta => self.decompress_parts(path, &head, &stored, bases),
        };
        self.scratch.stored = stored;
        result?;
        self.describe(path, head);
        self.is_whole = true;
        Ok(())
    }

    /// Compares the hashes of all objects, which is faster than one at a time where most of them are needed. Says whether
    /// they are right.
    pub fn verify_all(&mut self) -> bool {
        self.is_verified = self.all_match();
        self.is_verified
    }

    /// Whether every object has the hash that its row says.
    pub fn all_match(&self) -> bool {
        let Some(first) = self.rows.first() else { return true };
        let algo = first.id.algo();
        let objects: Vec<&[u8]> = self.objects().map(|(_, _, bytes)| bytes).collect();
        let rows = self.rows.iter();
        objects.len() == self.rows.len()
            && rows.clone().all(|row| row.id.algo() == algo)
            && rows.zip(hash_all(algo, &objects)).all(|(row, hash)| row.id == hash)
    }

    fn decompress(&mut self, path: &Path, head: &Head, stored: &mut Vec<u8>) -> Result<()> {
        let raw_bytes = head.header.raw_bytes as usize;
        let failed = |found: String| {
            let expected = format!("a payload of {raw_bytes} bytes");
            Error::damaged(path, head.payload_offset(), expected, found)
        };
        let found = match head.header.codec {
            Codec::Raw => {
                std::mem::swap(&mut self.payload, stored);
                self.payload.len()
            }
            Codec::Zstd | Codec::Delta => {
                // The declared length bounds what is written, whatever the stream says.
                self.reserve(raw_bytes);
                let decoder = &mut self.scratch.decoder;
                decoder
                    .decompress(&mut self.payload[..raw_bytes], stored)
                    .map_err(failed)?
            }
        };
        if found != raw_bytes {
            return Err(failed(format!("{found} bytes")));
        }
        self.filled = raw_bytes;
        Ok(())
    }

    /// All objects of a delta frame, one after the other.
    fn decompress_parts(&mut self, path: &Path, head: &Head, stored: &[u8], bases: &dyn Bases) -> Result<()> {
        let mut at = 0;
        self.payload.clear();
        for slot in 0..head.rows.len() as u16 {
            self.scratch.decoder.begin();
            let part = Piece::new(path, head, slot, stored, &mut at)?;
            part.append_to(&mut self.payload, bases, &mut self.scratch.decoder)?;
        }
        self.filled = self.payload.len();
        Ok(())
    }
}
