//! Writing a stat cache: collected in memory, about 8 bytes an entry and 72 a directory, then written in one go.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use parking_lot::Mutex;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::fingerprint::Fingerprint;
use super::format::{
    CHECK_BYTES, DIRECTORIES_AT, DIRECTORY_BYTES, FINGERPRINT_BYTES, FINGERPRINTS_AT, GENERATION_AT, HEADER_BYTES,
    HEADER_CHECK_AT, MAGIC, REPOSITORY_AT, SCAN_AT, SECRET_AT, VERSION, VERSION_AT,
};
use super::key::{CacheIdentity, CacheSecret, DirKey};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::object::ObjectId;

/// Bytes that are collected before a write.
const WRITE_BYTES: usize = 256 << 10;

/// Collects the directories of a scan. Threads add them in any order.
#[derive(Debug)]
pub struct CacheWriter {
    secret: CacheSecret,
    identity: CacheIdentity,
    generation: u64,
    collected: Mutex<Collected>,
}

#[derive(Debug, Default)]
struct Collected {
    fingerprints: Vec<Fingerprint>,
    directories: Vec<Directory>,
}

#[derive(Debug)]
struct Directory {
    key: DirKey,
    tree: ObjectId,
    start: u64,
    count: u32,
}

impl CacheWriter {
    /// A cache with no directory yet. The secret is the one that the fingerprints were made with.
    pub fn new(secret: CacheSecret, identity: CacheIdentity) -> Self {
        Self {
            secret,
            identity,
            generation: 0,
            collected: Mutex::default(),
        }
    }

    /// Notes the generation of the store that the scan relies on.
    #[must_use]
    pub fn of_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// Adds a directory: the id of its tree, and the fingerprints of the entries in it, in their order.
    ///
    /// A directory of 2^32 entries or more is left out, and so read again the next time.
    pub fn add(&self, key: DirKey, tree: ObjectId, fingerprints: &[Fingerprint]) {
        let Ok(count) = u32::try_from(fingerprints.len()) else {
            return;
        };
        let mut collected = self.collected.lock();
        let start = collected.fingerprints.len() as u64;
        collected.fingerprints.extend_from_slice(fingerprints);
        collected.directories.push(Directory {
            key,
            tree,
            start,
            count,
        });
    }

    /// Replaces the file at `path`, whole or not at all.
    ///
    /// Nothing is synced: a file that a power cut leaves damaged is found out when it is opened. To be called only after
    /// all trees are durable in the store.
    pub fn finish(self, disk: &dyn Disk, path: &Path) -> Result<()> {
        let mut random = [0; 8];
        disk.random(&mut random)
            .map_err(Error::io("get random bytes for", path))?;
        let mut prefix = path.file_name().unwrap_or_default().to_owned();
        prefix.push(".tmp-");
        if let Some(folder) = path.parent() {
            // Mostly it is there; whoever removed all caches may have removed their folder.
            let _ = disk.create_dir(folder);
        }
        remove_leftovers(disk, path, &prefix);
        prefix.push(format!("{:016x}", u64::from_le_bytes(random)));
        let temporary = path.with_file_name(prefix);
        let result = self
            .write(disk, &temporary)
            .and_then(|()| disk.rename(&temporary, path).map_err(Error::io("rename onto", path)));
        if result.is_err() {
            // The error that led here is the one to tell.
            let _ = disk.remove(&temporary);
        }
        result
    }

    fn write(self, disk: &dyn Disk, path: &Path) -> Result<()> {
        let Collected {
            fingerprints,
            mut directories,
        } = self.collected.into_inner();
        directories.sort_by_key(|directory| directory.key);
        directories.dedup_by_key(|directory| directory.key);
        let file = disk
            .open(path, OpenMode::CreateNew)
            .map_err(Error::io("create", path))?;
        let mut out = CheckedOutput {
            file: &*file,
            path,
            offset: 0,
            buffer: Vec::with_capacity(WRITE_BYTES + DIRECTORY_BYTES),
            check: Xxh3::new(),
        };
        out.put(&header(
            &self.secret,
            &self.identity,
            self.generation,
            fingerprints.len(),
            directories.len(),
        ))?;
        for fingerprint in &fingerprints {
            out.put(&fingerprint.0.to_le_bytes())?;
        }
        for directory in &directories {
            out.put(&directory.encode())?;
        }
        out.finish()
    }
}

/// Removes what a run that was killed left behind. One that writes at this moment loses its cache, which costs it time.
fn remove_leftovers(disk: &dyn Disk, path: &Path, prefix: &OsStr) {
    let names = path.parent().and_then(|folder| disk.list(folder).ok());
    for name in names.unwrap_or_default() {
        if name.as_bytes().starts_with(prefix.as_bytes()) {
            // It can stay: nobody looks at it.
            let _ = disk.remove(&path.with_file_name(name));
        }
    }
}

fn header(
    secret: &CacheSecret,
    identity: &CacheIdentity,
    generation: u64,
    fingerprints: usize,
    directories: usize,
) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    let mut set = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, &MAGIC);
    set(VERSION_AT, &VERSION.to_le_bytes());
    set(REPOSITORY_AT, &identity.repository);
    set(SCAN_AT, &identity.scan);
    set(SECRET_AT, secret.bytes());
    set(FINGERPRINTS_AT, &(fingerprints as u64).to_le_bytes());
    set(DIRECTORIES_AT, &(directories as u64).to_le_bytes());
    set(GENERATION_AT, &generation.to_le_bytes());
    let check = xxh3_64(&out[..HEADER_CHECK_AT]).to_le_bytes();
    out[HEADER_CHECK_AT..].copy_from_slice(&check);
    out
}

impl Directory {
    fn encode(&self) -> [u8; DIRECTORY_BYTES] {
        let mut out = [0; DIRECTORY_BYTES];
        let parts: [&[u8]; 5] = [
            &self.key.0,
            self.tree.padded(),
            &self.start.to_le_bytes(),
            &self.count.to_le_bytes(),
            &[self.tree.algo() as u8],
        ];
        let mut at = 0;
        for part in parts {
            out[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        out
    }
}

/// Writes in large pieces and keeps the check over all of them.
struct CheckedOutput<'f> {
    file: &'f dyn DiskFile,
    path: &'f Path,
    offset: u64,
    buffer: Vec<u8>,
    check: Xxh3,
}

impl CheckedOutput<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            self.check.update(&self.buffer);
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.file
            .write_all_at(&self.buffer, self.offset)
            .map_err(Error::io("write", self.path))?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.check.update(&self.buffer);
        let check: [u8; CHECK_BYTES] = self.check.digest128().to_le_bytes();
        self.buffer.extend_from_slice(&check);
        self.flush()
    }
}

const _: () = assert!(size_of::<Fingerprint>() == FINGERPRINT_BYTES);
