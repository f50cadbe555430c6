//! Writing a segment: columns streamed to a temporary file, synced, renamed to a name that was not there. One that is of use
//! to this process alone is not synced, and loses its name as soon as it is mapped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{COVERS_MAX, Cover, EXTENSION, FOOTER_BYTES, HEADER_BYTES, Layout, MAGIC, VERSION};
use super::read::Segment;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::store::data::read::hex;

const BUFFER_BYTES: usize = 256 << 10;

/// Writes segments whose entries come in order of their prefixes.
pub struct SegmentWriter<'d> {
    disk: &'d dyn Disk,
    repository: [u8; 16],
    temporary: PathBuf,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    layout: Layout,
    entries: u64,
    written: u64,
    bucket_starts: Vec<u32>,
    prefixes: Column,
    locators: Column,
    last: u64,
    head: Vec<u8>,
}

struct Column {
    offset: u64,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
}

impl Column {
    fn new(offset: usize) -> Self {
        Self {
            offset: offset as u64,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            hasher: blake3::Hasher::new(),
        }
    }

    fn push(&mut self, value: u64, file: &dyn DiskFile) -> std::io::Result<()> {
        self.buffer.extend_from_slice(&value.to_le_bytes());
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush(file)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self, file: &dyn DiskFile) -> std::io::Result<()> {
        file.write_all_at(&self.buffer, self.offset)?;
        self.hasher.update(&self.buffer);
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl<'d> SegmentWriter<'d> {
    /// Begins a segment of exactly `entries` entries, in `folder`.
    pub fn create(
        disk: &'d dyn Disk,
        folder: &Path,
        repository: &[u8; 16],
        covers: &[Cover],
        entries: u64,
    ) -> Result<Self> {
        let mut id = [0; 16];
        disk.random(&mut id)
            .map_err(Error::io("get random bytes for", folder))?;
        let path = folder.join(format!("{}.{EXTENSION}", hex(&id)));
        Self::begin(disk, path.with_extension("tmp"), path, repository, covers, entries)
    }

    /// The same for a segment that gets no name: `temporary` is its name until it is complete.
    pub fn create_unnamed(
        disk: &'d dyn Disk,
        temporary: PathBuf,
        repository: &[u8; 16],
        covers: &[Cover],
        entries: u64,
    ) -> Result<Self> {
        Self::begin(disk, temporary.clone(), temporary, repository, covers, entries)
    }

    fn begin(
        disk: &'d dyn Disk,
        temporary: PathBuf,
        path: PathBuf,
        repository: &[u8; 16],
        covers: &[Cover],
        entries: u64,
    ) -> Result<Self> {
        if covers.len() > COVERS_MAX || entries > u64::from(u32::MAX) {
            let problem = format!("at most {COVERS_MAX} data files and {} objects fit", u32::MAX);
            return Err(Error::invalid("index segment", path.display(), problem));
        }
        let file = disk
            .open(&temporary, OpenMode::CreateNew)
            .map_err(Error::io("create", &temporary))?;
        let layout = Layout::new(entries, covers.len());
        let mut head = Vec::with_capacity(layout.buckets);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 6]);
        head.extend_from_slice(repository);
        head.extend_from_slice(&entries.to_le_bytes());
        head.extend_from_slice(&(covers.len() as u64).to_le_bytes());
        head.resize(HEADER_BYTES, 0);
        covers.iter().for_each(|cover| cover.encode(&mut head));
        let check = header_check(&head);
        head[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&check.to_le_bytes());
        head.resize(layout.buckets, 0);
        Ok(Self {
            disk,
            repository: *repository,
            temporary,
            path,
            file,
            layout,
            entries,
            written: 0,
            bucket_starts: Vec::with_capacity((1 << layout.bucket_bits) + 1),
            prefixes: Column::new(layout.prefixes),
            locators: Column::new(layout.locators),
            last: 0,
            head,
        })
    }

    /// Adds the next entry.
    pub fn push(&mut self, prefix: u64, locator: u64) -> Result<()> {
        debug_assert!(prefix >= self.last);
        self.last = prefix;
        let bucket = self.layout.bucket(prefix);
        while self.bucket_starts.len() <= bucket {
            self.bucket_starts.push(self.written as u32);
        }
        self.written += 1;
        let file = &*self.file;
        let result = self
            .prefixes
            .push(prefix, file)
            .and_then(|()| self.locators.push(locator, file));
        result.map_err(Error::io("write", &self.temporary))
    }

    /// Ends the segment and gives its path.
    pub fn finish(mut self) -> Result<PathBuf> {
        let result = self.publish();
        if result.is_err() {
            // The error that led here is the one to tell.
            let _ = self.disk.remove(&self.temporary);
        }
        result.map(|()| self.path)
    }

    /// Ends a segment without a name, and maps it. Nothing of it stays when it is dropped.
    pub fn finish_unnamed(mut self) -> Result<Segment> {
        let completed = self.complete();
        let mapped = completed.and_then(|()| Segment::open(self.disk, &self.temporary, &self.repository));
        let removed = self.disk.remove(&self.temporary);
        let mapped = mapped?;
        removed.map_err(Error::io("remove", &self.temporary))?;
        Ok(mapped)
    }

    fn publish(&mut self) -> Result<()> {
        self.complete()?;
        self.file.sync_data().map_err(Error::io("sync", &self.temporary))?;
        self.disk
            .rename_new(&self.temporary, &self.path)
            .map_err(Error::io("rename onto", &self.path))
    }

    /// Writes what is left, and the checks.
    fn complete(&mut self) -> Result<()> {
        if self.written != self.entries {
            let problem = format!("{} entries announced, {} given", self.entries, self.written);
            return Err(Error::invalid("index segment", self.path.display(), problem));
        }
        self.bucket_starts
            .resize((1 << self.layout.bucket_bits) + 1, self.written as u32);
        for start in &self.bucket_starts {
            self.head.extend_from_slice(&start.to_le_bytes());
        }
        self.head.resize(self.layout.prefixes, 0);
        let file = &*self.file;
        let io = |result: std::io::Result<()>| result.map_err(Error::io("write", &self.temporary));
        io(file.write_all_at(&self.head, 0))?;
        io(self.prefixes.flush(file))?;
        io(self.locators.flush(file))?;
        let check = file_check(&self.head, &self.prefixes.hasher, &self.locators.hasher);
        io(file.write_all_at(&check, self.layout.footer as u64))
    }
}

/// The check in the header: over the header without it, and the covered ranges.
pub fn header_check(head: &[u8]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(&head[..HEADER_BYTES - 8]);
    hasher.update(&head[HEADER_BYTES..]);
    hasher.digest()
}

/// The check at the end: BLAKE3 over the BLAKE3 of everything before the columns and of each column.
pub fn file_check(head: &[u8], prefixes: &blake3::Hasher, locators: &blake3::Hasher) -> [u8; FOOTER_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(blake3::hash(head).as_bytes());
    hasher.update(prefixes.finalize().as_bytes());
    hasher.update(locators.finalize().as_bytes());
    *hasher.finalize().as_bytes()
}
