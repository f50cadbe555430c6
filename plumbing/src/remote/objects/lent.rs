//! Files that can be taken back: what a store reads of a file that was given up is its end.
//!
//! A store keeps the files open that are attached to it. What is read once would so take room on the disk until the
//! process ends. Here every handle of a file hangs on one switch. Nothing is made durable: what is lost is fetched again.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::disk::{Disk, DiskFile, LockKind, Mapped, OpenMode};

/// A disk whose open files can be taken back, all at once.
#[derive(Debug)]
pub(super) struct LendingDisk {
    inner: Arc<dyn Disk>,
    lent: Mutex<Vec<Arc<Lent>>>,
}

/// An open file until it is taken back.
#[derive(Debug)]
struct Lent {
    file: RwLock<Option<Arc<dyn DiskFile>>>,
    /// Its length when it was taken back.
    bytes: AtomicU64,
}

impl LendingDisk {
    /// Over another disk.
    pub(super) fn new(inner: Arc<dyn Disk>) -> Self {
        Self {
            inner,
            lent: Mutex::default(),
        }
    }

    /// Closes all files that were opened through this. Reads of them find nothing from now on, writes fail.
    pub(super) fn take_back(&self) {
        for lent in self.lent.lock().drain(..) {
            let file = lent.file.write().take();
            let bytes = file.and_then(|file| file.len().ok()).unwrap_or(0);
            lent.bytes.store(bytes, Ordering::Relaxed);
        }
    }
}

impl Lent {
    fn with<T>(&self, act: impl FnOnce(&dyn DiskFile) -> io::Result<T>) -> io::Result<T> {
        match &*self.file.read() {
            Some(file) => act(&**file),
            None => Err(io::Error::other("the file was given up to make room in the cache")),
        }
    }
}

impl Disk for LendingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let lent = Arc::new(Lent {
            file: RwLock::new(Some(self.inner.open(path, mode)?)),
            bytes: AtomicU64::new(0),
        });
        self.lent.lock().push(lent.clone());
        Ok(lent)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.inner.map(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.inner.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.random(bytes)
    }
}

impl DiskFile for Lent {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &*self.file.read() {
            Some(file) => file.read_at(buffer, offset),
            None => Ok(0),
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|file| file.write_all_at(bytes, offset))
    }

    fn len(&self) -> io::Result<u64> {
        match &*self.file.read() {
            Some(file) => file.len(),
            None => Ok(self.bytes.load(Ordering::Relaxed)),
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.with(|file| file.set_len(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.with(|file| file.try_lock(kind))
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        self.with(|file| file.lock(kind))
    }

    fn unlock(&self) -> io::Result<()> {
        self.with(|file| file.unlock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::memory::MemoryDisk;

    #[test]
    fn what_was_taken_back_reads_as_the_end_of_the_file() {
        let disk = LendingDisk::new(Arc::new(MemoryDisk::default()));
        disk.create_dir(Path::new("/d")).unwrap();
        let file = disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap();
        file.write_all_at(b"abc", 0).unwrap();
        let again = disk.open(Path::new("/d/f"), OpenMode::Read).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(again.read_at(&mut buffer, 0).unwrap(), 3);
        disk.take_back();
        for file in [&file, &again] {
            assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 0);
            assert_eq!(file.len().unwrap(), 3, "who knows the length finds it unchanged");
            assert!(file.write_all_at(b"x", 0).is_err());
        }
        let fresh = disk.open(Path::new("/d/f"), OpenMode::Read).unwrap();
        assert_eq!(
            fresh.read_at(&mut buffer, 0).unwrap(),
            3,
            "the file itself is untouched"
        );
    }
}
