//! Reading a pack from a stream of somebody who is not trusted.
//!
//! 1. [`PackReader::next_raw`] reads a frame: header, table, payload, padding, trailer, all within the limits.
//! 2. [`Raw::check`] compares its digest, decompresses it and hashes its objects. That is most of the work, and any thread
//!    may do it.
//!
//! A delta frame is refused unless the reader was told that it may take them ([`PackReader::with_deltas`]): only who knows the
//! bases can.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::PackCount;
use crate::error::{Error, Result};
use crate::object::HashAlgo;
use crate::remote::wire::channel::from_stream;
use crate::store::Frame;
use crate::store::data::delta::{Bases, NoBases, check_parts};
use crate::store::data::format::{
    COMMIT_BYTES, Codec, Commit, Container, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, FrameKind,
    Row, TRAILER_BYTES, frame_digest, trailer,
};
use crate::store::data::read::Head;
use crate::store::data::table::Table;
use crate::store::data::write::Sealed;

/// What a pack may be, and what taking it in may cost.
#[derive(Clone, Copy, Debug)]
pub struct PackLimits {
    /// Objects in all.
    pub objects: u64,
    /// Bytes of the pack.
    pub bytes: u64,
    /// Threads that check what comes.
    pub threads: usize,
}

impl Default for PackLimits {
    fn default() -> Self {
        Self {
            objects: 1 << 32,
            bytes: 1 << 46,
            threads: 2,
        }
    }
}

/// A frame that arrived, checked.
#[derive(Debug)]
pub struct Arrived<'r> {
    /// What it is for.
    pub kind: FrameKind,
    /// It, as it was stored.
    pub sealed: &'r Sealed,
    /// Its objects.
    pub rows: &'r [Row],
    /// Its objects with their bytes; their hashes were compared. Of frames without objects, their payload.
    pub frame: &'r Frame,
}

/// A frame as it came. Of its payload nothing was looked at.
#[derive(Debug)]
pub struct Raw {
    /// Its header and table.
    pub head: Head,
    /// It, as it was stored.
    pub sealed: Sealed,
}

impl Raw {
    /// Compares the digest, decompresses the payload to `frame` and compares the hash of every object. `path` is what errors
    /// call the stream.
    pub fn check(&self, path: &Path, frame: &mut Frame, bases: &dyn Bases) -> Result<()> {
        self.check_digest(path)?;
        frame.decompress_from(path, self.head.clone(), &self.sealed.stored, bases)?;
        match frame.verify_all() {
            true => Ok(()),
            false => Err(self.wrong_hash(path, frame, bases)),
        }
    }

    /// Names the first object that has another hash than its row says, and those that it is made from, as far as they are hurt
    /// where they are.
    fn wrong_hash(&self, path: &Path, frame: &Frame, bases: &dyn Bases) -> Error {
        let mut rows = (0..).zip(&self.head.rows);
        let is_wrong = |(slot, row): &(u16, &Row)| frame.verified(*slot, &row.id).is_err();
        let Some((slot, row)) = rows.find(is_wrong) else {
            let expected = "objects whose ids are hashes of one kind";
            return Error::damaged(path, self.head.offset, expected, "several");
        };
        let mut found = "bytes with another hash".to_owned();
        bases.tell_hurt(self.head.bases_of(slot), &mut found);
        Error::damaged(path, self.head.offset, format_args!("object {}", row.id), found)
    }

    fn check_digest(&self, path: &Path) -> Result<()> {
        if frame_digest(&self.sealed.table, &self.sealed.stored) == self.sealed.digest {
            return Ok(());
        }
        let expected = "a payload with the digest in its header";
        Err(Error::damaged(path, self.head.offset, expected, "other bytes"))
    }

    /// Bytes of memory that it takes, with those of its objects.
    pub fn bytes(&self) -> usize {
        self.sealed.stored.len() + self.sealed.raw_bytes as usize
    }
}

/// Reads the bytes of a bundle from a stream.
pub struct PackReader<R: Read> {
    input: R,
    path: PathBuf,
    limits: PackLimits,
    salt: u64,
    /// The hash that the other side makes its ids with.
    pub algo: HashAlgo,
    offset: u64,
    frames: u64,
    headers: blake3::Hasher,
    takes_deltas: bool,
    raw: Option<Raw>,
    frame: Frame,
    count: PackCount,
}

impl<R: Read> std::fmt::Debug for PackReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackReader({} bytes)", self.offset)
    }
}

impl<R: Read> PackReader<R> {
    /// Reads the header. `name` is what errors call the stream.
    pub fn begin(mut input: R, name: &Path, limits: PackLimits) -> Result<Self> {
        let mut bytes = [0; FILE_HEADER_BYTES as usize];
        fill(&mut input, &mut bytes, name, 0)?;
        let header = FileHeader::decode_bundle(name, &bytes)?;
        let Container::Bundle(algo) = header.container else {
            return Err(Error::damaged(name, 0, "a pack", "a data file"));
        };
        Ok(Self {
            input,
            path: name.to_owned(),
            limits,
            salt: header.salt,
            algo,
            offset: FILE_HEADER_BYTES,
            frames: 0,
            headers: blake3::Hasher::new(),
            takes_deltas: false,
            raw: None,
            frame: Frame::default(),
            count: PackCount::default(),
        })
    }

    /// Bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Takes delta frames, too, if that is said.
    #[must_use]
    pub fn with_deltas(self, takes_deltas: bool) -> Self {
        Self { takes_deltas, ..self }
    }

    /// The next frame, checked; none when the commit record was read and closes over all of them.
    pub fn next_frame(&mut self) -> Result<Option<Arrived<'_>>> {
        let Some(raw) = self.next_raw()? else { return Ok(None) };
        raw.check(&self.path, &mut self.frame, &NoBases)?;
        let raw = self.raw.insert(raw);
        Ok(Some(Arrived {
            kind: raw.head.header.kind,
            sealed: &raw.sealed,
            rows: self.frame.rows(),
            frame: &self.frame,
        }))
    }

    /// The next frame as it came; none when the commit record was read and closes over all of them.
    pub fn next_raw(&mut self) -> Result<Option<Raw>> {
        let raw = self.read_raw()?;
        let header = &raw.head.header;
        if header.kind == FrameKind::Commit {
            raw.check_digest(&self.path)?;
            self.check_commit(&raw)?;
            return Ok(None);
        }
        self.headers.update(&raw.head.encoded);
        self.frames += 1;
        self.count.frames += 1;
        self.count.objects += raw.head.rows.len() as u64;
        self.count.raw_bytes += u64::from(header.raw_bytes);
        if self.count.objects > self.limits.objects || self.offset > self.limits.bytes {
            let expected = format!(
                "at most {} objects and {} bytes",
                self.limits.objects, self.limits.bytes
            );
            return Err(Error::damaged(&self.path, self.offset, expected, "more"));
        }
        Ok(Some(raw))
    }

    /// What was read, when the end was reached.
    pub fn count(&self) -> PackCount {
        PackCount {
            bytes: self.offset,
            ..self.count
        }
    }

    /// Gives the stream back.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// Reads a whole frame; its header, table and end are checked.
    fn read_raw(&mut self) -> Result<Raw> {
        let offset = self.offset;
        let mut encoded = [0; FRAME_HEADER_BYTES];
        fill(&mut self.input, &mut encoded, &self.path, offset)?;
        let header = FrameHeader::decode(&encoded, self.salt).map_err(|found| self.damaged("a frame", found))?;
        if !header.kind.is_in(Container::Bundle(self.algo)) {
            return Err(self.damaged("a frame of a pack", header.kind as u8));
        }
        if header.codec == Codec::Delta && !self.takes_deltas {
            return Err(self.damaged("a frame that stands for itself", "one that leans on others"));
        }
        let mut table = vec![0; header.table_bytes()];
        fill(&mut self.input, &mut table, &self.path, offset)?;
        let (check, found) = FrameHeader::checks(&encoded, &table, self.salt, offset);
        if check != found {
            return Err(self.damaged(format_args!("header check {check:016x}"), format_args!("{found:016x}")));
        }
        let read = Table::decode(&header, &table);
        let Table { rows, parts, bases } = read.map_err(|(_, expected)| self.damaged(expected, "other bytes"))?;
        self.check_lengths(&header, &rows)?;
        let stored = self.payload(&header)?;
        let sealed = Sealed {
            codec: header.codec,
            bases: header.bases,
            raw_bytes: header.raw_bytes,
            objects: header.objects,
            table,
            stored,
            digest: header.digest,
        };
        let head = Head {
            offset,
            header,
            encoded,
            rows,
            parts,
            bases,
        };
        check_parts(&head).map_err(|problem| self.damaged("a delta frame within its limits", problem))?;
        self.offset = head.end();
        Ok(Raw { head, sealed })
    }

    fn check_lengths(&self, header: &FrameHeader, rows: &[Row]) -> Result<()> {
        let sum: u64 = rows.iter().map(|row| u64::from(row.bytes)).sum();
        let expected = match header.kind {
            FrameKind::Objects => sum,
            FrameKind::Commit => COMMIT_BYTES as u64,
            FrameKind::Roots | FrameKind::Descriptors => u64::from(header.raw_bytes),
        };
        if u64::from(header.raw_bytes) != expected || (header.kind != FrameKind::Objects && !rows.is_empty()) {
            return Err(self.damaged(format_args!("a payload of {expected} bytes"), header.raw_bytes));
        }
        if header.codec == Codec::Raw && header.raw_bytes != header.stored_bytes {
            return Err(self.damaged(format_args!("{} raw bytes", header.raw_bytes), header.stored_bytes));
        }
        Ok(())
    }

    /// Reads payload and end of a frame. Memory grows as bytes come, not as they are announced.
    fn payload(&mut self, header: &FrameHeader) -> Result<Vec<u8>> {
        let wanted = u64::from(header.stored_bytes);
        let mut stored = Vec::new();
        let found = (&mut self.input)
            .take(wanted)
            .read_to_end(&mut stored)
            .map_err(from_stream)?;
        if found as u64 != wanted {
            return Err(self.damaged(
                format_args!("a payload of {wanted} bytes"),
                format_args!("{found} bytes"),
            ));
        }
        let end = header.frame_bytes() as usize - FRAME_HEADER_BYTES - header.table_bytes() - found;
        let mut tail = [0; 16 + TRAILER_BYTES];
        fill(&mut self.input, &mut tail[..end], &self.path, self.offset)?;
        let (zeros, last) = tail[..end].split_at(end - TRAILER_BYTES);
        if zeros.iter().any(|&byte| byte != 0) || last != trailer(header.frame_bytes(), self.salt) {
            return Err(self.damaged("zeros and the length of the frame", "other bytes"));
        }
        Ok(stored)
    }

    fn check_commit(&self, raw: &Raw) -> Result<()> {
        let expected = Commit {
            first: FILE_HEADER_BYTES,
            frames: self.frames,
            objects: self.count.objects,
            digest: *self.headers.finalize().as_bytes(),
        };
        if raw.sealed.codec != Codec::Raw || Commit::decode(&raw.sealed.stored) != Some(expected) {
            return Err(self.damaged("a commit record over all frames", "another"));
        }
        Ok(())
    }

    fn damaged(&self, expected: impl ToString, found: impl ToString) -> Error {
        Error::damaged(&self.path, self.offset, expected, found)
    }
}

fn fill(input: &mut impl Read, buffer: &mut [u8], path: &Path, offset: u64) -> Result<()> {
    let wanted = buffer.len();
    match input.read_exact(buffer) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            let found = "the end of the stream";
            Err(Error::damaged(path, offset, format_args!("{wanted} more bytes"), found))
        }
        Err(error) => Err(from_stream(error)),
    }
}
