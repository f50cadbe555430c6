//! A disk in memory that refuses what it is told to refuse, or is one without locks.

use std::ffi::OsString;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU64};

use super::*;
use crate::disk::{DiskFile, LockKind, Mapped};

/// What is refused, and how; shared by the disk and its files.
#[derive(Debug)]
pub(super) struct Refused {
    /// Listing this folder.
    pub list: Mutex<Option<PathBuf>>,
    /// Mapping anything in this folder.
    pub map: Mutex<Option<PathBuf>>,
    /// Not refused, but listed in its folder though it is not there.
    pub phantom: Mutex<Option<PathBuf>>,
    /// Reads at this offset.
    pub read_at: AtomicU64,
    /// Writes, with this number of the system; none where it is 0.
    pub write: AtomicI32,
}

#[derive(Clone, Debug)]
pub(super) struct Odd {
    pub disk: Arc<MemoryDisk>,
    pub refused: Arc<Refused>,
    pub is_plain: bool,
}

#[derive(Debug)]
struct OddFile(Arc<dyn DiskFile>, Arc<Refused>);

impl Odd {
    pub fn on(disk: Arc<MemoryDisk>) -> Self {
        let refused = Refused {
            list: Mutex::default(),
            map: Mutex::default(),
            phantom: Mutex::default(),
            read_at: AtomicU64::new(u64::MAX),
            write: AtomicI32::new(0),
        };
        Self {
            disk,
            refused: Arc::new(refused),
            is_plain: false,
        }
    }

    pub fn open_store(&self) -> Store {
        let disk = Arc::new(self.clone());
        Store::open(disk, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap()
    }
}

impl DiskFile for OddFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match offset == self.1.read_at.load(Relaxed) {
            true => Err(io::ErrorKind::Other.into()),
            false => self.0.read_at(buffer, offset),
        }
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.1.write.load(Relaxed) {
            0 => self.0.write_all_at(bytes, offset),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.0.try_lock(kind)
    }
    fn lock(&self, kind: LockKind) -> io::Result<()> {
        self.0.lock(kind)
    }
    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

impl Disk for Odd {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(OddFile(file, self.refused.clone())))
    }
    fn map(&self, path: &Path) -> io::Result<Mapped> {
        match path.parent() == self.refused.map.lock().as_deref() {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => self.disk.map(path),
        }
    }
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        match self.refused.list.lock().as_deref() == Some(path) {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => {
                let mut names = self.disk.list(path)?;
                let phantom = self.refused.phantom.lock();
                let phantom = phantom.as_ref().filter(|phantom| phantom.parent() == Some(path));
                names.extend(phantom.and_then(|phantom| phantom.file_name()).map(ToOwned::to_owned));
                Ok(names)
            }
        }
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
    fn is_plain(&self) -> bool {
        self.is_plain
    }
}
