//! A disk in memory, for tests that need no files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::{Disk, DiskFile, LockKind, Mapped, OpenMode};

/// A disk in memory. Clones share their files. Random bytes come from a counter, so runs repeat.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    counter: Arc<AtomicU64>,
}

impl MemoryDisk {
    /// An empty disk whose random bytes are not those of others.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            counter: Arc::new(AtomicU64::new(seed)),
            ..Self::default()
        }
    }

    /// Puts a file with these bytes in place, without copying them. False where its folder is not there.
    pub fn place(&self, path: &Path, bytes: Arc<Vec<u8>>) -> bool {
        let mut state = self.state.lock();
        if path.parent().is_some_and(|parent| !state.folders.contains(parent)) {
            return false;
        }
        let content = Content {
            bytes: RwLock::new(bytes),
            lock: Mutex::default(),
        };
        state.files.insert(path.to_owned(), Arc::new(content));
        true
    }

    /// All files and their bytes, in the order of their paths.
    pub fn files(&self) -> Vec<(PathBuf, Arc<Vec<u8>>)> {
        let state = self.state.lock();
        let file = |(path, content): (&PathBuf, &Arc<Content>)| (path.clone(), content.bytes.read().clone());
        state.files.iter().map(file).collect()
    }

    /// All folders.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.state.lock().folders.iter().cloned().collect()
    }

    /// A disk with the same files, which share their bytes until one of the two is written to. Locks are not taken over.
    pub fn copy(&self, seed: u64) -> Self {
        let copy = Self::with_seed(seed);
        let folders = self.state.lock().folders.clone();
        copy.state.lock().folders = folders;
        for (path, bytes) in self.files() {
            copy.place(&path, bytes);
        }
        copy
    }
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Content>>,
    folders: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Content {
    /// Shared with maps, and with the disks that these bytes were placed on, until somebody writes.
    bytes: RwLock<Arc<Vec<u8>>>,
    /// Shared holders, or -1 for one exclusive holder.
    lock: Mutex<i64>,
}

#[derive(Debug)]
struct MemoryFile {
    content: Arc<Content>,
    held: Mutex<Option<LockKind>>,
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl MemoryFile {
    fn release(&self) {
        if let Some(kind) = self.held.lock().take() {
            let mut lock = self.content.lock.lock();
            *lock = if kind == LockKind::Exclusive { 0 } else { *lock - 1 };
        }
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.release();
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.content.bytes.read();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_all_at(&self, new: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.content.bytes.write();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = Arc::make_mut(&mut bytes);
        if bytes.len() < start + new.len() {
            bytes.resize(start + new.len(), 0);
        }
        bytes[start..start + new.len()].copy_from_slice(new);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.bytes.read().len() as u64)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        Arc::make_mut(&mut self.content.bytes.write()).resize(bytes, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.release();
        let mut lock = self.content.lock.lock();
        match kind {
            LockKind::Shared if *lock >= 0 => *lock += 1,
            LockKind::Exclusive if *lock == 0 => *lock = -1,
            _ => return Ok(false),
        }
        *self.held.lock() = Some(kind);
        Ok(true)
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        while !self.try_lock(kind)? {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn unlock(&self) -> io::Result<()> {
        self.release();
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        let found = state.files.get(path).cloned();
        let content = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(content), _) => content,
            (None, OpenMode::Read | OpenMode::Write) => return Err(missing(path)),
            (None, _) => {
                if path.parent().is_some_and(|parent| !state.folders.contains(parent)) {
                    return Err(missing(path.parent().unwrap_or(path)));
                }
                let content = Arc::new(Content::default());
                state.files.insert(path.to_owned(), content.clone());
                content
            }
        };
        Ok(Arc::new(MemoryFile {
            content,
            held: Mutex::new(None),
        }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let state = self.state.lock();
        let content = state.files.get(path).ok_or_else(|| missing(path))?;
        let bytes: Arc<Vec<u8>> = content.bytes.read().clone();
        Ok(bytes)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.state.lock();
        if !state.folders.contains(path) {
            return Err(missing(path));
        }
        let all = state.files.keys().chain(state.folders.iter());
        Ok(all
            .filter(|p| p.parent() == Some(path))
            .filter_map(|p| p.file_name())
            .map(ToOwned::to_owned)
            .collect())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if !self.state.lock().folders.insert(path.to_owned()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        let found = self.state.lock().folders.contains(path);
        if found { Ok(0) } else { Err(missing(path)) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let content = state.files.remove(from).ok_or_else(|| missing(from))?;
        state.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.state.lock().files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state
            .lock()
            .files
            .remove(path)
            .map(|_| ())
            .ok_or_else(|| missing(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let all = || state.files.keys().chain(&state.folders);
        if all().any(|it| it.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let was_there = state.folders.remove(path);
        was_there.then_some(()).ok_or_else(|| missing(path))
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        for chunk in bytes.chunks_mut(8) {
            let value = self
                .counter
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&value.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
