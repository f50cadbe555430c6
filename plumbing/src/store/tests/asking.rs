//! A disk in memory that asks the test before each operation: what fails is told by it, and what others do meanwhile.

use std::ffi::OsString;
use std::fmt;
use std::io;

use super::*;
use crate::disk::{DiskFile, LockKind, Mapped};

/// Is told an operation, of which path, and at which offset.
type Ask = dyn Fn(&str, &Path, u64) -> io::Result<()> + Send + Sync;

/// The disk. Clones share their files.
#[derive(Clone)]
pub(in crate::store) struct AskingDisk {
    disk: Arc<dyn Disk>,
    ask: Arc<Ask>,
}

struct AskingFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    ask: Arc<Ask>,
}

impl AskingDisk {
    /// A disk with the files of another. Opening is to "open" or, to write as well, to "change" or "create" a file.
    pub(in crate::store) fn on(
        disk: &MemoryDisk,
        ask: impl Fn(&str, &Path, u64) -> io::Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::of(Arc::new(disk.clone()), ask)
    }

    /// The same of any disk.
    pub(in crate::store) fn of(
        disk: Arc<dyn Disk>,
        ask: impl Fn(&str, &Path, u64) -> io::Result<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let ask = Arc::new(ask);
        Arc::new(Self { disk, ask })
    }

    fn ask(&self, op: &str, path: &Path) -> io::Result<()> {
        (self.ask)(op, path, 0)
    }
}

impl AskingFile {
    fn ask(&self, op: &str, offset: u64) -> io::Result<()> {
        (self.ask)(op, &self.path, offset)
    }
}

impl fmt::Debug for AskingDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl fmt::Debug for AskingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl DiskFile for AskingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.ask("read", offset)?;
        self.file.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.ask("write", offset)?;
        self.file.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.ask("stat", 0)?;
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.ask("cut", bytes)?;
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.ask("sync", 0)?;
        self.file.sync_data()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.ask("lock", 0)?;
        self.file.try_lock(kind)
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        self.ask("lock", 0)?;
        self.file.lock(kind)
    }

    fn unlock(&self) -> io::Result<()> {
        self.ask("unlock", 0)?;
        self.file.unlock()
    }
}

impl Disk for AskingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let op = match mode {
            OpenMode::Read => "open",
            OpenMode::Write => "change",
            OpenMode::Create | OpenMode::CreateNew => "create",
        };
        self.ask(op, path)?;
        Ok(Arc::new(AskingFile {
            file: self.disk.open(path, mode)?,
            path: path.to_owned(),
            ask: self.ask.clone(),
        }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.ask("map", path)?;
        self.disk.map(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.ask("list", path)?;
        self.disk.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.ask("make folder", path)?;
        self.disk.create_dir(path)
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.disk.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask("rename", from)?;
        self.disk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask("rename", from)?;
        self.disk.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.ask("remove", path)?;
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.ask("sync", path)?;
        self.disk.sync_dir(path)
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.disk.random(bytes)
    }
}
