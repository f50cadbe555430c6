//! A disk on which a plain folder looks like the folder of a repository.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::log::PieceLog;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, DiskFile, LockKind, Mapped, OpenMode};

/// A file that is to be mapped is read instead, up to this length: on file systems of a network a map may fail later.
const READ_BYTES_MAX: u64 = 64 << 20;
/// Where data files are.
const DATA: &str = "data";
/// Where what is not needed any more goes.
const OLD: &str = "old";

/// A plain folder, as one process sees it. Clones are the same process.
#[derive(Clone, Debug)]
pub struct FolderDisk {
    inner: Arc<dyn Disk>,
    root: PathBuf,
    /// What only this process needs to know.
    memory: MemoryDisk,
}

/// Where a path of the repository is.
enum Place {
    /// In the folder.
    Folder,
    /// The ref log.
    Log,
    /// In memory.
    Memory,
}

impl FolderDisk {
    /// The folder at `root` of `inner`.
    pub fn new(inner: Arc<dyn Disk>, root: &Path) -> Self {
        let disk = Self {
            inner,
            root: root.to_owned(),
            memory: MemoryDisk::default(),
        };
        for name in ["", "locks", "refs"] {
            // It is new, so there is nothing in the way.
            let _ = disk.memory.create_dir(&root.join(name));
        }
        disk
    }

    fn place(&self, path: &Path) -> Place {
        let Ok(inside) = path.strip_prefix(&self.root) else {
            return Place::Memory;
        };
        let names: Vec<&str> = inside
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.to_str().unwrap_or_default(),
                _ => "",
            })
            .collect();
        match names[..] {
            [] | ["data" | "index" | OLD | "quarantine", ..] if !is_lock(&names) => Place::Folder,
            ["refs", "log"] => Place::Log,
            ["refs", name] if !name.starts_with("lock") => match name.starts_with("log.tmp-") {
                // The header, on its way to the first piece.
                true => Place::Folder,
                false if name.starts_with("checkpoint-") => Place::Folder,
                false => Place::Memory,
            },
            ["refs"] => Place::Folder,
            [name] if name == "format" || name.starts_with("format.tmp-") => Place::Folder,
            _ => Place::Memory,
        }
    }

    /// A data file that somebody has put aside since it was listed: it is as it was.
    fn open_old(&self, path: &Path) -> Option<Arc<dyn DiskFile>> {
        let inside = path.strip_prefix(self.root.join(DATA)).ok()?;
        let prefix = format!("{}.", inside.to_str()?);
        let old = self.root.join(OLD);
        let names = self.inner.list(&old).ok()?;
        let found = names
            .iter()
            .find(|name| name.to_str().is_some_and(|name| name.starts_with(&prefix)))?;
        self.inner.open(&old.join(found), OpenMode::Read).ok()
    }

    fn pieces(&self) -> PathBuf {
        self.root.join("refs/log")
    }
}

/// Whether this is a lock of a quarantine, or the folder of its leases.
fn is_lock(names: &[&str]) -> bool {
    matches!(
        names,
        ["quarantine", "lock"] | ["quarantine", _, "lock" | "locks" | "generation" | "reserve", ..]
    )
}

/// A file in the folder. Who made it has it for itself, and nobody else writes to it.
#[derive(Debug)]
struct PlainFile {
    file: Arc<dyn DiskFile>,
    is_own: bool,
}

impl DiskFile for PlainFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, _bytes: u64) -> io::Result<()> {
        Err(io::Error::new(
            ErrorKind::Unsupported,
            "files of a plain folder are only appended to",
        ))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        Ok(self.is_own || kind == LockKind::Shared)
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        match self.try_lock(kind)? {
            true => Ok(()),
            false => Err(io::Error::new(ErrorKind::Unsupported, "a plain folder has no locks")),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    fn start_writeback(&self, offset: u64, bytes: u64) {
        self.file.start_writeback(offset, bytes);
    }
}

impl Disk for FolderDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        match self.place(path) {
            Place::Folder => Ok(Arc::new(PlainFile {
                file: match self.inner.open(path, mode) {
                    Err(error) if error.kind() == ErrorKind::NotFound && mode == OpenMode::Read => {
                        self.open_old(path).ok_or(error)?
                    }
                    opened => opened?,
                },
                is_own: mode == OpenMode::CreateNew,
            })),
            Place::Log => Ok(Arc::new(PieceLog::open(self.inner.clone(), self.pieces())?)),
            Place::Memory => self.memory.open(path, mode),
        }
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let file = self.inner.open(path, OpenMode::Read)?;
        let bytes = file.len()?;
        if bytes > READ_BYTES_MAX {
            return self.inner.map(path);
        }
        let mut out = vec![0; bytes as usize];
        let found = file.read_at(&mut out, 0)?;
        out.truncate(found);
        Ok(Arc::new(out))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        match self.place(path) {
            Place::Memory => self.memory.list(path),
            _ => self.inner.list(path),
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        // Locks that belong to a folder there are beside it in memory.
        let here = self.memory.create_dir(path);
        match self.place(path) {
            Place::Memory => here,
            _ => self.inner.create_dir(path),
        }
    }

    /// Who owns files is not looked at.
    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.inner.list(path).map(|_| 0)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match (self.place(from), self.place(to)) {
            (Place::Folder, Place::Log) => match PieceLog::begin(&*self.inner, &self.pieces(), from) {
                // Somebody else has made it: that one stands.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => self.remove(from),
                begun => begun,
            },
            // The format that is there stands, too: it is never changed.
            (Place::Folder, _) if to == self.root.join("format") => match self.inner.rename_new(from, to) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => self.remove(from),
                renamed => renamed,
            },
            (Place::Folder, _) => self.inner.rename(from, to),
            _ => self.memory.rename(from, to),
        }
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.place(from) {
            Place::Folder => self.inner.rename_new(from, to),
            _ => self.memory.rename_new(from, to),
        }
    }

    /// Puts the file aside: in a plain folder nothing is removed.
    fn remove(&self, path: &Path) -> io::Result<()> {
        if !matches!(self.place(path), Place::Folder) {
            return self.memory.remove(path);
        }
        let old = self.root.join(OLD);
        match self.inner.create_dir(&old) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut random = [0; 8];
        self.inner.random(&mut random)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:016x}", u64::from_le_bytes(random)));
        self.inner.rename(path, &old.join(name))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self.place(path) {
            Place::Memory => Ok(()),
            _ => self.inner.sync_dir(path),
        }
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.random(bytes)
    }

    fn is_plain(&self) -> bool {
        true
    }
}
