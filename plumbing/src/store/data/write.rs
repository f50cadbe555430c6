//! Appending to a data file.
//!
//! 1. [`Appender::acquire`] locks an existing file that has room and adopts or cuts its tail, which only the holder
//!    of the lock may do; [`Appender::create`] makes a new one.
//! 2. [`Appender::append`] adds a frame.
//! 3. [`Appender::commit`] closes the group with a commit record; the caller syncs the file before the next commit.
//!
//! A write that fails spoils the appender: nothing more is appended, and the next writer cuts what was not committed. What it
//! takes over it writes again, since a sync of it may have failed ([`renew_committed`]).

use std::path::{Path, PathBuf};

use super::format::{
    Codec, Commit, Container, EXTENSION, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, FrameKind,
    TRAILER_BYTES, frame_digest, trailer,
};
use super::read::{DataFile, Head, hex, scan};
use super::verify::{holds_commit, next_frame};
use crate::disk::{Disk, DiskFile, LockKind, OpenMode};
use crate::error::{Error, Result};
use crate::object::HashAlgo;

/// Bytes that are written again at once.
const RENEW_BYTES: usize = 1 << 20;

/// A frame that is ready to be appended.
#[derive(Debug)]
pub struct Sealed {
    /// How the payload is stored.
    pub codec: Codec,
    /// Base rows in the table.
    pub bases: u16,
    /// Length of the payload in bytes, decompressed.
    pub raw_bytes: u32,
    /// Objects in the table.
    pub objects: u32,
    /// The table.
    pub table: Vec<u8>,
    /// The payload as stored.
    pub stored: Vec<u8>,
    /// BLAKE3 of table and payload.
    pub digest: [u8; 32],
}

impl Sealed {
    /// A payload without objects, as it is.
    pub fn plain(payload: Vec<u8>) -> Self {
        Self::new(Codec::Raw, payload.len() as u32, 0, Vec::new(), payload)
    }

    /// Computes the digest.
    pub fn new(codec: Codec, raw_bytes: u32, objects: u32, table: Vec<u8>, stored: Vec<u8>) -> Self {
        let digest = frame_digest(&table, &stored);
        Self {
            codec,
            bases: 0,
            raw_bytes,
            objects,
            table,
            stored,
            digest,
        }
    }

    /// The same for a delta frame whose table ends with so many base rows.
    pub fn delta(bases: u16, raw_bytes: u32, objects: u32, table: Vec<u8>, stored: Vec<u8>) -> Self {
        let sealed = Self::new(Codec::Delta, raw_bytes, objects, table, stored);
        Self { bases, ..sealed }
    }
}

/// The exclusive writer of one data file.
#[derive(Debug)]
pub struct Appender {
    /// The file.
    pub file: DataFile,
    /// Whether its name may not yet be durable in its folder: who made it may have been killed before that.
    pub is_name_unsynced: bool,
    end: u64,
    group: u64,
    frames: u64,
    objects: u64,
    headers: blake3::Hasher,
    spoiled: bool,
    /// What the system said then: every thread that comes after is told the same.
    failure: Option<i32>,
}

impl Appender {
    /// Makes a new data file in `folder` and locks it.
    pub fn create(disk: &dyn Disk, folder: &Path, repository: [u8; 16]) -> Result<Self> {
        let (file, salt) = random_id(disk, folder)?;
        let header = FileHeader {
            container: Container::Data,
            repository,
            file,
            salt,
        };
        let path = folder.join(format!("{}.{EXTENSION}", hex(&file)));
        Self::create_file(disk, path, header)
    }

    /// Makes a new bundle at `path`, where nothing must be, and locks it.
    pub fn create_bundle(disk: &dyn Disk, path: &Path, algo: HashAlgo) -> Result<Self> {
        let (file, salt) = random_id(disk, path)?;
        let header = FileHeader {
            container: Container::Bundle(algo),
            repository: file,
            file,
            salt,
        };
        Self::create_file(disk, path.to_owned(), header)
    }

    /// The file gets its name when its header is durable: whatever ends the process, a data file without a header is
    /// damage and not something left behind.
    fn create_file(disk: &dyn Disk, path: PathBuf, header: FileHeader) -> Result<Self> {
        // What a crash left under such a name must not be in the way of the next try.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".tmp-{:016x}", header.salt));
        let temporary = path.with_file_name(name);
        let file = disk
            .open(&temporary, OpenMode::CreateNew)
            .map_err(Error::io("create", &temporary))?;
        let named = Self::begin_file(disk, &*file, (&temporary, &path), &header);
        if named.is_err() {
            // The error that led here is the one to tell.
            let _ = disk.remove(&temporary);
        }
        named?;
        let file = DataFile { path, header, file };
        Ok(Self::at(file, FILE_HEADER_BYTES, true))
    }

    fn begin_file(
        disk: &dyn Disk,
        file: &dyn DiskFile,
        (temporary, path): (&Path, &Path),
        header: &FileHeader,
    ) -> Result<()> {
        if !file.try_lock(LockKind::Exclusive).map_err(Error::io("lock", path))? {
            let problem = "a new file is locked by another process";
            return Err(Error::invalid("lock", path.display(), problem));
        }
        file.write_all_at(&header.encode(), 0)
            .map_err(Error::io("write", temporary))?;
        file.sync_data().map_err(Error::io("sync", temporary))?;
        disk.rename_new(temporary, path).map_err(Error::io("create", path))
    }

    /// Locks the existing data file at `path`, if no other process writes to it and it has room for a frame.
    ///
    /// Frames behind the last commit record that read in full are adopted: they become part of the group that the
    /// next commit record closes, and are handed to `adopt`. So nothing that a killed process has stored is stored
    /// again, and nothing is lost when only a commit record is damaged. Bytes behind them are cut off, unless a
    /// frame follows: that is damage, and the file is left as it is. `vouched` is as for [`scan`].
    pub fn acquire(
        disk: &dyn Disk,
        path: &Path,
        repository: &[u8; 16],
        vouched: u64,
        file_bytes_max: u64,
        adopt: &mut dyn FnMut(&Head),
    ) -> Result<Option<Self>> {
        let file = DataFile::open(disk, path, OpenMode::Write, repository)?;
        if !file
            .file
            .try_lock(LockKind::Exclusive)
            .map_err(Error::io("lock", path))?
        {
            return Ok(None);
        }
        let length = file.file.len().map_err(Error::io("stat", path))?;
        if length >= file_bytes_max || length < vouched {
            return Ok(None);
        }
        Self::take_over(file, vouched, adopt)
    }

    /// The same for the bundle at `path`, whatever its length.
    pub fn acquire_bundle(disk: &dyn Disk, path: &Path, adopt: &mut dyn FnMut(&Head)) -> Result<Self> {
        let file = DataFile::open_bundle(disk, path, OpenMode::Write)?;
        let locked = file.file.try_lock(LockKind::Exclusive);
        if !locked.map_err(Error::io("lock", path))? {
            let problem = "another process is adding to it; try again when that is done";
            return Err(Error::invalid("bundle", path.display(), problem));
        }
        Self::take_over(file, FILE_HEADER_BYTES, adopt)?
            .ok_or_else(|| Error::damaged(path, 0, "frames without a gap", "damage; `ghost verify` tells where"))
    }

    /// Adopts or cuts what is behind the last commit record of a file that is locked; `None` where that is damage.
    fn take_over(file: DataFile, vouched: u64, adopt: &mut dyn FnMut(&Head)) -> Result<Option<Self>> {
        let path = &file.path;
        let length = file.file.len().map_err(Error::io("stat", path))?;
        let scanned = scan(&file, vouched.max(FILE_HEADER_BYTES), vouched, &mut |_| {})?;
        // A segment is written when what it covers is durable, with the name.
        let mut appender = Self::at(file.clone(), scanned.committed, vouched <= FILE_HEADER_BYTES);
        let mut payload = Vec::new();
        let mut adopted = 0;
        for head in &scanned.tail {
            if head.header.group != scanned.committed || file.stored_checked(head, &mut payload).is_err() {
                break;
            }
            appender.headers.update(&head.encoded);
            appender.frames += 1;
            appender.objects += head.rows.len() as u64;
            appender.end = head.end();
            adopted += 1;
        }
        if appender.end < length {
            // A torn frame may have left a whole header; what it announces is searched behind that.
            let torn_end = match file.head(appender.end) {
                Ok(Some(head)) => head.end(),
                _ => appender.end,
            };
            if is_damage(&file, torn_end, length)? {
                return Ok(None);
            }
            file.file
                .set_len(appender.end)
                .map_err(Error::io("cut the torn tail of", path))?;
        }
        renew(&appender.file, scanned.doubtful, appender.end)?;
        // Not before it is sure that the next commit record closes them.
        scanned.tail[..adopted].iter().for_each(adopt);
        Ok(Some(appender))
    }

    /// Appends to a file that only this process knows, behind `end`.
    pub fn at(file: DataFile, end: u64, is_name_unsynced: bool) -> Self {
        let headers = blake3::Hasher::new();
        Self {
            file,
            is_name_unsynced,
            end,
            group: end,
            frames: 0,
            objects: 0,
            headers,
            spoiled: false,
            failure: None,
        }
    }

    /// Length of the file with what was appended, in bytes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Offset of the first frame that the next commit record closes.
    pub fn group(&self) -> u64 {
        self.group
    }

    /// Whether frames were appended since the last commit record.
    pub fn is_dirty(&self) -> bool {
        self.frames > 0
    }

    /// Appends a frame and gives its offset.
    pub fn append(&mut self, frame: &Sealed) -> Result<u64> {
        self.append_kind(FrameKind::Objects, frame)
    }

    /// Appends a frame of any kind but a commit record, and gives its offset.
    pub fn append_kind(&mut self, kind: FrameKind, frame: &Sealed) -> Result<u64> {
        let (offset, header) = self.write(kind, frame)?;
        self.headers.update(&header);
        self.frames += 1;
        self.objects += u64::from(frame.objects);
        Ok(offset)
    }

    /// Closes the group; gives the offset behind the commit record. The caller must sync the file next.
    pub fn commit(&mut self) -> Result<u64> {
        if self.frames > 0 {
            let commit = Commit {
                first: self.group,
                frames: self.frames,
                objects: self.objects,
                digest: *self.headers.finalize().as_bytes(),
            };
            self.write(FrameKind::Commit, &Sealed::plain(commit.encode().to_vec()))?;
            *self = Self {
                spoiled: self.spoiled,
                failure: self.failure,
                ..Self::at(self.file.clone(), self.end, self.is_name_unsynced)
            };
        }
        Ok(self.end)
    }

    fn write(&mut self, kind: FrameKind, frame: &Sealed) -> Result<(u64, [u8; FRAME_HEADER_BYTES])> {
        if self.spoiled {
            return Err(Error::Io {
                op: "append to",
                path: self.file.path.clone(),
                source: self.failure.map_or_else(
                    || std::io::Error::other("an earlier write to it failed"),
                    std::io::Error::from_raw_os_error,
                ),
            });
        }
        let header = FrameHeader {
            kind,
            codec: frame.codec,
            bases: frame.bases,
            objects: frame.objects,
            raw_bytes: frame.raw_bytes,
            stored_bytes: frame.stored.len() as u32,
            group: self.group,
            digest: frame.digest,
        };
        let (offset, salt, length) = (self.end, self.file.header.salt, header.frame_bytes());
        let encoded = header.encode(salt, offset, &frame.table);
        let mut head = Vec::with_capacity(FRAME_HEADER_BYTES + frame.table.len());
        head.extend_from_slice(&encoded);
        head.extend_from_slice(&frame.table);
        let payload_at = offset + head.len() as u64;
        let tail_at = payload_at + frame.stored.len() as u64;
        let mut tail = vec![0; (offset + length - tail_at) as usize - TRAILER_BYTES];
        tail.extend_from_slice(&trailer(length, salt));
        self.spoiled = true;
        let file = &self.file.file;
        let written = file.write_all_at(&head, offset);
        let written = written.and_then(|()| file.write_all_at(&frame.stored, payload_at));
        let written = written.and_then(|()| file.write_all_at(&tail, tail_at));
        let written = written.inspect_err(|error| self.failure = error.raw_os_error());
        written.map_err(Error::io("append to", &self.file.path))?;
        self.spoiled = false;
        self.end += length;
        Ok((offset, encoded))
    }
}

/// Writes again what others have committed at the end of the data file at `path`, so that the next sync makes it durable
/// (see [`renew`]). Gives the offset behind the last commit record.
///
/// It may be done while another process appends: what is committed stays as it is.
pub fn renew_committed(disk: &dyn Disk, path: &Path, repository: &[u8; 16], vouched: u64) -> Result<u64> {
    let file = DataFile::open(disk, path, OpenMode::Write, repository)?;
    let scanned = scan(&file, vouched.max(FILE_HEADER_BYTES), vouched, &mut |_| {})?;
    renew(&file, scanned.doubtful, scanned.committed)?;
    Ok(scanned.committed)
}

/// Writes bytes of a file again as they are. After a sync that failed the system takes what it was to make durable for
/// clean, and a later sync that succeeds says nothing of it; so whoever leans on what another has left writes it again.
fn renew(file: &DataFile, from: u64, to: u64) -> Result<()> {
    let mut buffer = vec![0; RENEW_BYTES.min(to.saturating_sub(from) as usize)];
    let mut at = from;
    while at < to {
        let wanted = buffer.len().min((to - at) as usize);
        let read = file.file.read_at(&mut buffer[..wanted], at);
        let found = read.map_err(Error::io("read", &file.path))?;
        if found == 0 {
            break;
        }
        file.file
            .write_all_at(&buffer[..found], at)
            .map_err(Error::io("write again what is at the end of", &file.path))?;
        at += found as u64;
    }
    Ok(())
}

/// Whether what lies behind a frame that does not read is damage, which must not be cut off, and not what a crash tore.
///
/// Frames of a data file are committed at once: one that follows was perhaps acknowledged. Those of a bundle were durable
/// before their commit record was written: without one, a power cut has lost some of a group that nobody was told of.
fn is_damage(file: &DataFile, torn_end: u64, length: u64) -> Result<bool> {
    if file.is_committed_at_once() {
        Ok(next_frame(file, torn_end, length)?.is_some())
    } else {
        holds_commit(file, torn_end, length)
    }
}

/// An id and a salt for a new file.
fn random_id(disk: &dyn Disk, at: &Path) -> Result<([u8; 16], u64)> {
    let mut random = [0; 24];
    disk.random(&mut random)
        .map_err(Error::io("get random bytes for", at))?;
    let (mut id, mut salt) = ([0; 16], [0; 8]);
    id.copy_from_slice(&random[..16]);
    salt.copy_from_slice(&random[16..]);
    Ok((id, u64::from_le_bytes(salt)))
}
