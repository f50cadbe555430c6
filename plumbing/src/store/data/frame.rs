//! A decompressed frame: the objects of one read.

use std::path::{Path, PathBuf};

use super::delta::{Bases, Decoder, Piece};
use super::format::{Codec, FRAME_HEADER_BYTES, ROW_BYTES, Row};
use super::read::{DataFile, Head};
use crate::error::{Error, Result};
use crate::object::sha256x2::hash_all;
use crate::object::{ObjectId, ObjectKind};

/// A decompressed frame. Its buffers are reused from one read to the next.
#[derive(Default)]
pub struct Frame {
    rows: Vec<Row>,
    /// `starts[slot]` is the offset of an object in `payload`.
    starts: Vec<u32>,
    payload: Vec<u8>,
    stored: Vec<u8>,
    decoder: Decoder,
    path: PathBuf,
    offset: u64,
    /// The hash of every object was compared.
    is_verified: bool,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} objects, {} bytes)", self.rows.len(), self.payload.len())
    }
}

impl Frame {
    /// Objects in the frame.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Length of all objects in bytes.
    pub fn raw_bytes(&self) -> usize {
        self.payload.len()
    }

    /// All bytes, whatever they are; not checked.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Kind, id and bytes of one object. The bytes are not hashed: see [`Frame::verified`].
    pub fn object(&self, slot: u16) -> Option<(ObjectKind, ObjectId, &[u8])> {
        let row = self.rows.get(usize::from(slot))?;
        let start = *self.starts.get(usize::from(slot))? as usize;
        Some((row.kind, row.id, self.payload.get(start..start + row.bytes as usize)?))
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
        file.stored(&head, &mut self.stored)?;
        self.decompress_stored(file, head, bases)
    }

    /// Forgets what it holds.
    pub fn clear(&mut self) {
        self.is_verified = false;
        self.rows.clear();
        self.payload.clear();
    }

    /// Reads the payload of the frame whose head is given as it is stored, and compares its digest.
    pub fn read_stored_checked(&mut self, file: &DataFile, head: &Head) -> Result<()> {
        file.stored_checked(head, &mut self.stored)
    }

    /// The rows of its table.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Decompresses a payload that was read from somewhere else, which errors call `path`.
    pub fn decompress_from(&mut self, path: &Path, head: Head, stored: &[u8], bases: &dyn Bases) -> Result<()> {
        self.stored.clear();
        self.stored.extend_from_slice(stored);
        self.decompress_at(path, head, bases)
    }

    /// Decompresses what was read last.
    pub fn decompress_stored(&mut self, file: &DataFile, head: Head, bases: &dyn Bases) -> Result<()> {
        self.decompress_at(&file.path, head, bases)
    }

    fn decompress_at(&mut self, path: &Path, head: Head, bases: &dyn Bases) -> Result<()> {
        self.clear();
        let mut stored = std::mem::take(&mut self.stored);
        let result = match head.header.codec {
            Codec::Raw | Codec::Zstd => self.decompress(path, &head, &mut stored),
            Codec::Delta => self.decompress_parts(path, &head, &stored, bases),
        };
        self.stored = stored;
        result?;
        path.clone_into(&mut self.path);
        self.offset = head.offset;
        self.starts.clear();
        let mut start = 0;
        for row in &head.rows {
            self.starts.push(start);
            start += row.bytes;
        }
        self.rows = head.rows;
        Ok(())
    }

    /// Compares the hashes of all objects, which is faster than one at a time where most of them are needed.
    pub fn verify_all(&mut self) {
        self.is_verified = self.all_match();
    }

    /// Whether every object has the hash that its row says.
    pub fn all_match(&self) -> bool {
        let Some(first) = self.rows.first() else { return true };
        let algo = first.id.algo();
        let objects: Vec<&[u8]> = (0..self.rows.len() as u16)
            .filter_map(|slot| Some(self.object(slot)?.2))
            .collect();
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
        match head.header.codec {
            Codec::Raw => std::mem::swap(&mut self.payload, stored),
            Codec::Zstd | Codec::Delta => {
                // The declared length bounds what is written, whatever the stream says.
                self.payload.reserve_exact(raw_bytes);
                self.decoder.decompress(&mut self.payload, stored).map_err(failed)?;
            }
        }
        if self.payload.len() != raw_bytes {
            let found = format!("{} bytes", self.payload.len());
            self.payload.clear();
            return Err(failed(found));
        }
        Ok(())
    }

    /// All objects of a delta frame, one after the other.
    fn decompress_parts(&mut self, path: &Path, head: &Head, stored: &[u8], bases: &dyn Bases) -> Result<()> {
        let mut at = 0;
        for slot in 0..head.rows.len() as u16 {
            self.decoder.begin();
            let part = Piece::new(path, head, slot, stored, &mut at)?;
            part.append_to(&mut self.payload, bases, &mut self.decoder)?;
        }
        Ok(())
    }
}
