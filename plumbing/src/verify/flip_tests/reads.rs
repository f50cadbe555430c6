//! Which bytes an answer depends on: those that were read for it.

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, DiskFile, LockKind, Mapped, OpenMode};

/// A file and some of its bytes.
pub type Read = (PathBuf, Range<u64>);
type Log = Arc<Mutex<Vec<Read>>>;

/// A disk that notes what is read. A file that is mapped counts as read whole.
#[derive(Clone, Debug)]
pub struct NotingDisk {
    disk: MemoryDisk,
    log: Log,
}

impl NotingDisk {
    /// Notes what is read of `disk`.
    pub fn new(disk: MemoryDisk) -> Self {
        let log = Log::default();
        Self { disk, log }
    }

    /// What was read since this was last asked.
    pub fn take(&self) -> Vec<Read> {
        std::mem::take(&mut *self.log.lock())
    }
}

#[derive(Debug)]
struct NotingFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    log: Log,
}

impl DiskFile for NotingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let range = offset..offset + buffer.len() as u64;
        self.log.lock().push((self.path.clone(), range));
        self.file.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.file.try_lock(kind)
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        self.file.lock(kind)
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

impl Disk for NotingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(NotingFile {
            file: self.disk.open(path, mode)?,
            path: path.to_owned(),
            log: self.log.clone(),
        }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let mapped = self.disk.map(path)?;
        self.log.lock().push((path.to_owned(), 0..mapped.len() as u64));
        Ok(mapped)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.disk.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.disk.random(bytes)
    }
}
