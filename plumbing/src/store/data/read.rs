//! Reading data files: frames, and the scan that finds what is committed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::delta::check_parts;
use super::format::{
    COMMIT_BYTES, Commit, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, FrameKind, Part, ROW_BYTES,
    Row, frame_digest, trailer,
};
pub use super::frame::Frame;
use super::table::Table;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};

/// Bytes read at once in the hope that they hold a frame's header and its table.
const HEAD_GUESS_BYTES: usize = 8192;
/// Bytes of a table that are read for one row: about as cheap as the row alone.
const WINDOW_BYTES: usize = 4096;

/// An open data file with its header.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its header.
    pub header: FileHeader,
    /// The file.
    pub file: Arc<dyn DiskFile>,
}

/// A frame's header and table, checked.
#[derive(Clone, Debug)]
pub struct Head {
    /// Offset of the frame.
    pub offset: u64,
    /// The header.
    pub header: FrameHeader,
    /// The header's bytes, as commit records hash them.
    pub encoded: [u8; FRAME_HEADER_BYTES],
    /// The table.
    pub rows: Vec<Row>,
    /// Of a delta frame: how each object is stored.
    pub parts: Vec<Part>,
    /// Of a delta frame: what its objects are compressed against.
    pub bases: Vec<Row>,
}

impl Head {
    /// That of a frame that is nowhere, with these tables: what plans are tried on.
    #[cfg(test)]
    pub fn nowhere(codec: super::format::Codec, rows: Vec<Row>, bases: Vec<Row>) -> Self {
        let raw_bytes = rows.iter().map(|row| row.bytes).sum();
        let header = FrameHeader {
            kind: FrameKind::Objects,
            codec,
            bases: bases.len() as u16,
            objects: rows.len() as u32,
            raw_bytes,
            stored_bytes: raw_bytes,
            group: 0,
            digest: [0; 32],
        };
        Self {
            offset: 0,
            header,
            encoded: [0; FRAME_HEADER_BYTES],
            rows,
            parts: Vec::new(),
            bases,
        }
    }

    /// The objects that the one in this slot is compressed against, in the order of its prefix; mostly none.
    pub fn bases_of(&self, slot: u16) -> &[Row] {
        let range = self.parts.get(usize::from(slot)).map(Part::range);
        range.and_then(|range| self.bases.get(range)).unwrap_or_default()
    }

    /// The bytes of the table, as the digest covers them.
    pub fn encode_table(&self) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.header.table_bytes());
        self.rows.iter().for_each(|row| row.encode(&mut table));
        self.parts.iter().for_each(|part| part.encode(&mut table));
        self.bases.iter().for_each(|row| row.encode(&mut table));
        table
    }

    /// Memory that it takes in bytes.
    pub(in crate::store) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + (self.rows.len() + self.bases.len()) * size_of::<Row>()
            + self.parts.len() * size_of::<Part>()
    }

    /// Offset of the byte behind the frame.
    pub fn end(&self) -> u64 {
        self.offset + self.header.frame_bytes()
    }

    pub(crate) fn payload_offset(&self) -> u64 {
        self.offset + (FRAME_HEADER_BYTES + self.header.table_bytes()) as u64
    }
}

/// A stretch of a data file that was read for a row.
#[derive(Debug, Default)]
pub struct Window {
    file: [u8; 16],
    start: u64,
    bytes: Vec<u8>,
    /// Bytes that were there.
    filled: usize,
}

impl Window {
    fn row(&self, file: &[u8; 16], at: u64) -> Option<&[u8; ROW_BYTES]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        let rest = self.bytes[..self.filled].get(from..)?;
        (*file == self.file).then(|| rest.first_chunk()).flatten()
    }
}

impl DataFile {
    /// Opens the data file at `path` of the repository `repository` and checks that its header and name belong to it.
    pub fn open(disk: &dyn Disk, path: &Path, mode: OpenMode, repository: &[u8; 16]) -> Result<Self> {
        let file = disk.open(path, mode).map_err(Error::io("open", path))?;
        let header = read_header(path, &*file, FileHeader::decode)?;
        if header.repository != *repository {
            let expected = format!("repository {}", hex(repository));
            return Err(Error::damaged(
                path,
                16,
                expected,
                format_args!("repository {}", hex(&header.repository)),
            ));
        }
        let stem = path.file_stem().unwrap_or_default();
        if stem != hex(&header.file).as_str() {
            let expected = format!("id {}", stem.to_string_lossy());
            return Err(Error::damaged(
                path,
                32,
                expected,
                format_args!("id {}", hex(&header.file)),
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            header,
            file,
        })
    }

    fn damaged(&self, offset: u64, expected: impl ToString, found: impl ToString) -> Error {
        Error::damaged(&self.path, offset, expected, found)
    }

    /// Reads and checks the header and table of the frame at `offset`; `None` at the end of the file.
    pub fn head(&self, offset: u64) -> Result<Option<Head>> {
        let mut buffer = vec![0; HEAD_GUESS_BYTES];
        let found = self
            .file
            .read_at(&mut buffer, offset)
            .map_err(Error::io("read", &self.path))?;
        if found == 0 {
            return Ok(None);
        }
        let header = FrameHeader::decode(&buffer[..found], self.header.salt)
            .map_err(|problem| self.damaged(offset, "a frame", problem))?;
        if !header.kind.is_in(self.header.container) {
            let found = format!("one of type {}, which only bundles have", header.kind as u8);
            return Err(self.damaged(offset, "a frame", found));
        }
        let wanted = FRAME_HEADER_BYTES + header.table_bytes();
        if wanted > found {
            buffer.resize(wanted, 0);
            let more = self.file.read_at(&mut buffer[found..], offset + found as u64);
            if more.map_err(Error::io("read", &self.path))? + found < wanted {
                return Err(self.damaged(offset, format_args!("a table of {} rows", header.objects), "the end"));
            }
        }
        let table = &buffer[FRAME_HEADER_BYTES..wanted];
        let (check, there) = FrameHeader::checks(&buffer, table, self.header.salt, offset);
        if check != there {
            let found = format!("{there:016x}");
            return Err(self.damaged(offset + 64, format_args!("header check {check:016x}"), found));
        }
        let Table { rows, parts, bases } = Table::decode(&header, table).map_err(|(at, expected)| {
            self.damaged(offset + (FRAME_HEADER_BYTES + at) as u64, expected, "other bytes")
        })?;
        let total: u64 = rows.iter().map(|row| u64::from(row.bytes)).sum();
        let expected = match header.kind {
            FrameKind::Objects => total,
            FrameKind::Commit => COMMIT_BYTES as u64,
            FrameKind::Roots | FrameKind::Descriptors => u64::from(header.raw_bytes),
        };
        if header.kind != FrameKind::Objects && header.objects > 0 {
            return Err(self.damaged(offset + 12, "no objects in a frame of this type", header.objects));
        }
        if u64::from(header.raw_bytes) != expected {
            let found = format!("{} bytes", header.raw_bytes);
            return Err(self.damaged(offset + 16, format_args!("a payload of {expected} bytes"), found));
        }
        let mut encoded = [0; FRAME_HEADER_BYTES];
        encoded.copy_from_slice(&buffer[..FRAME_HEADER_BYTES]);
        let head = Head {
            offset,
            header,
            encoded,
            rows,
            parts,
            bases,
        };
        check_parts(&head).map_err(|problem| self.damaged(offset, "a delta frame within its limits", problem))?;
        Ok(Some(head))
    }

    /// Reads one row of the table of the frame at `offset`, unchecked but for the row itself.
    pub fn row(&self, offset: u64, slot: u16) -> Result<Option<Row>> {
        let mut bytes = [0; ROW_BYTES];
        let at = offset + (FRAME_HEADER_BYTES + usize::from(slot) * ROW_BYTES) as u64;
        let found = self
            .file
            .read_at(&mut bytes, at)
            .map_err(Error::io("read", &self.path))?;
        Ok((found == ROW_BYTES).then(|| Row::decode(&bytes)).flatten())
    }

    /// The same for a row before the offset `fixed`, up to which the file never changes: it comes out of `window`, if it
    /// is there. Objects that belong together are looked up one after the other and have rows side by side.
    pub fn row_through(&self, window: &mut Window, fixed: u64, offset: u64, slot: u16) -> Result<Option<Row>> {
        let at = offset + (FRAME_HEADER_BYTES + usize::from(slot) * ROW_BYTES) as u64;
        if let Some(row) = window.row(&self.header.file, at) {
            return Ok(Row::decode(row));
        }
        let length = fixed.saturating_sub(at).min(WINDOW_BYTES as u64) as usize;
        if length < ROW_BYTES {
            return self.row(offset, slot);
        }
        window.bytes.resize(length, 0);
        window.filled = 0;
        let found = self.file.read_at(&mut window.bytes, at);
        (window.file, window.start) = (self.header.file, at);
        window.filled = found.map_err(Error::io("read", &self.path))?;
        Ok(window.row(&self.header.file, at).and_then(|row| Row::decode(row)))
    }

    /// Reads the payload of a frame as it is stored. Its digest is not compared.
    pub fn stored(&self, head: &Head, into: &mut Vec<u8>) -> Result<()> {
        into.resize(head.header.stored_bytes as usize, 0);
        let found = self
            .file
            .read_at(into, head.payload_offset())
            .map_err(Error::io("read", &self.path))?;
        if found < into.len() {
            let expected = format!("a payload of {} bytes", into.len());
            return Err(self.damaged(
                head.payload_offset(),
                expected,
                format_args!("{found} bytes and the end"),
            ));
        }
        Ok(())
    }

    /// Reads the payload of a frame and compares its digest and trailer.
    pub fn stored_checked(&self, head: &Head, into: &mut Vec<u8>) -> Result<()> {
        self.stored(head, into)?;
        if frame_digest(&head.encode_table(), into) != head.header.digest {
            return Err(self.damaged(
                head.payload_offset(),
                "a payload with the digest in its header",
                "other bytes",
            ));
        }
        self.check_padding(head)
    }

    /// The bytes behind a payload: zeros and the trailer.
    fn check_padding(&self, head: &Head) -> Result<()> {
        let start = head.payload_offset() + u64::from(head.header.stored_bytes);
        let mut found = [0; 32];
        let length = (head.end() - start) as usize;
        let read = self
            .file
            .read_at(&mut found[..length], start)
            .map_err(Error::io("read", &self.path))?;
        let (zeros, last) = found[..length].split_at(length - 8);
        if read < length
            || zeros.iter().any(|&b| b != 0)
            || last != trailer(head.header.frame_bytes(), self.header.salt)
        {
            return Err(self.damaged(start, "zeros and the length of the frame", "other bytes"));
        }
        Ok(())
    }
}

pub(crate) fn read_header(
    path: &Path,
    file: &dyn DiskFile,
    decode: impl Fn(&Path, &[u8]) -> Result<FileHeader>,
) -> Result<FileHeader> {
    let mut bytes = [0; FILE_HEADER_BYTES as usize];
    let found = file.read_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    decode(path, &bytes[..found])
}

/// What a scan found.
#[derive(Debug)]
pub struct Scanned {
    /// Offset behind the last valid commit record: what may be read.
    pub committed: u64,
    /// Heads of the frames that follow it, which no commit record closes. Their payloads were not read.
    pub tail: Vec<Head>,
    /// What lies behind this offset was perhaps never synced, or in vain: the last group, of a bundle its commit record.
    pub doubtful: u64,
}

/// Objects of one group, closed by a valid commit record.
struct Group {
    heads: Vec<Head>,
    first: u64,
    /// Offset of the commit record.
    commit: u64,
    end: u64,
}

/// Goes over the frames from `from`, which is the end of a commit record or of the file's header, and hands the heads
/// of committed frames to `visit`.
///
/// What lies behind that is not an error here: it may be a torn tail, or another process may be writing it.
/// `vouched` is an offset up to which everything is known to be durable. The last group, if it ends behind it, is read
/// in full, since a crash may have lost a part of it after its commit record reached the disk.
pub fn scan(file: &DataFile, from: u64, vouched: u64, visit: &mut dyn FnMut(&Head)) -> Result<Scanned> {
    let mut last: Option<Group> = None;
    let mut open = Group {
        heads: Vec::new(),
        first: from,
        commit: from,
        end: from,
    };
    while let Ok(Some(head)) = file.head(open.end) {
        (open.commit, open.end) = (head.offset, head.end());
        if head.header.kind != FrameKind::Commit {
            open.heads.push(head);
            continue;
        }
        if check_commit(file, &head, &open.heads, open.first).is_err() {
            break;
        }
        let next = Group {
            heads: Vec::new(),
            first: open.end,
            commit: open.end,
            end: open.end,
        };
        if let Some(durable) = last.replace(std::mem::replace(&mut open, next)) {
            durable.heads.iter().for_each(&mut *visit);
        }
    }
    let Some(group) = last else {
        return Ok(Scanned {
            committed: from,
            tail: open.heads,
            doubtful: from,
        });
    };
    if group.end > vouched && file.is_committed_at_once() {
        let mut payload = Vec::new();
        for head in &group.heads {
            match file.stored_checked(head, &mut payload) {
                Ok(()) => {}
                Err(e) if e.is_damage() => {
                    return Ok(Scanned {
                        committed: group.first,
                        tail: group.heads,
                        doubtful: group.first,
                    });
                }
                Err(e) => return Err(e),
            }
        }
    }
    group.heads.iter().for_each(&mut *visit);
    Ok(Scanned {
        committed: group.end,
        tail: open.heads,
        doubtful: if file.is_committed_at_once() {
            group.first
        } else {
            group.commit
        },
    })
}

/// Compares a commit record with the group before it.
pub fn check_commit(file: &DataFile, head: &Head, group: &[Head], first: u64) -> Result<()> {
    let mut payload = Vec::new();
    file.stored_checked(head, &mut payload)?;
    let mut hasher = blake3::Hasher::new();
    group.iter().for_each(|head| {
        hasher.update(&head.encoded);
    });
    let expected = Commit {
        first,
        frames: group.len() as u64,
        objects: group.iter().map(|head| head.rows.len() as u64).sum(),
        digest: *hasher.finalize().as_bytes(),
    };
    let at = head.offset + FRAME_HEADER_BYTES as u64;
    match Commit::decode(&payload) {
        Some(commit) if commit == expected => Ok(()),
        found => {
            let found = found.map_or("something else".to_owned(), |commit| format!("{commit:?}"));
            Err(Error::damaged(&file.path, at, format_args!("{expected:?}"), found))
        }
    }
}

/// Sixteen bytes as 32 hexadecimal digits: the name of a data file or segment.
pub fn hex(bytes: &[u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sixteen bytes that such a name stands for.
pub fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in out.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(out)
}
