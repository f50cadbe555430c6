//! Writing a pack to a stream.

use std::io::Write;

use super::PackCount;
use crate::error::{Error, Result};
use crate::object::HashAlgo;
use crate::remote::wire::channel::from_stream;
use crate::store::data::format::{
    Commit, Container, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, FrameKind, TRAILER_BYTES,
    trailer,
};
use crate::store::data::write::Sealed;

/// Writes the bytes of a bundle.
pub struct PackWriter<W: Write> {
    out: W,
    salt: u64,
    offset: u64,
    frames: u64,
    headers: blake3::Hasher,
    /// What was written.
    pub count: PackCount,
}

impl<W: Write> std::fmt::Debug for PackWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackWriter({} bytes)", self.offset)
    }
}

impl<W: Write> PackWriter<W> {
    /// Writes the header. `random` makes the pack unlike all others: an id of 16 bytes and a salt of 8.
    pub fn begin(mut out: W, algo: HashAlgo, random: [u8; 24]) -> Result<Self> {
        let (mut id, mut salt) = ([0; 16], [0; 8]);
        id.copy_from_slice(&random[..16]);
        salt.copy_from_slice(&random[16..]);
        let header = FileHeader {
            container: Container::Bundle(algo),
            repository: id,
            file: id,
            salt: u64::from_le_bytes(salt),
        };
        out.write_all(&header.encode()).map_err(from_stream)?;
        Ok(Self {
            out,
            salt: header.salt,
            offset: FILE_HEADER_BYTES,
            frames: 0,
            headers: blake3::Hasher::new(),
            count: PackCount::default(),
        })
    }

    /// Writes a frame.
    pub fn frame(&mut self, kind: FrameKind, frame: &Sealed) -> Result<()> {
        let encoded = self.write(kind, frame)?;
        self.headers.update(&encoded);
        self.frames += 1;
        self.count.frames += 1;
        self.count.objects += u64::from(frame.objects);
        self.count.raw_bytes += u64::from(frame.raw_bytes);
        Ok(())
    }

    /// Writes the commit record: without it the pack counts for nothing.
    pub fn finish(mut self) -> Result<PackCount> {
        let commit = Commit {
            first: FILE_HEADER_BYTES,
            frames: self.frames,
            objects: self.count.objects,
            digest: *self.headers.finalize().as_bytes(),
        };
        self.write(FrameKind::Commit, &Sealed::plain(commit.encode().to_vec()))?;
        self.out.flush().map_err(from_stream)?;
        self.count.bytes = self.offset;
        Ok(self.count)
    }

    /// Bytes that were written.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    fn write(&mut self, kind: FrameKind, frame: &Sealed) -> Result<[u8; FRAME_HEADER_BYTES]> {
        let stored_bytes = u32::try_from(frame.stored.len())
            .map_err(|_| Error::invalid("frame", frame.stored.len(), "expected at most 33 MiB"))?;
        let header = FrameHeader {
            kind,
            codec: frame.codec,
            bases: frame.bases,
            objects: frame.objects,
            raw_bytes: frame.raw_bytes,
            stored_bytes,
            group: FILE_HEADER_BYTES,
            digest: frame.digest,
        };
        let encoded = header.encode(self.salt, self.offset, &frame.table);
        let whole = header.frame_bytes();
        let padding = whole as usize - FRAME_HEADER_BYTES - frame.table.len() - frame.stored.len() - TRAILER_BYTES;
        for part in [
            &encoded[..],
            &frame.table,
            &frame.stored,
            &[0; 16][..padding],
            &trailer(whole, self.salt),
        ] {
            self.out.write_all(part).map_err(from_stream)?;
        }
        self.offset += whole;
        Ok(encoded)
    }
}
