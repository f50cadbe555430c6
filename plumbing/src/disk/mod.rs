//! The one seam between a repository and its files.
//!
//! Everything that the store, the refs and the configuration do to files goes through [`Disk`], so that a test can
//! record it, make it fail, or stop it in the middle. Randomness comes through the same door. Reading what is backed
//! up does not: that is [`crate::walk`].
//!
//! Rules that implementations and callers keep: files are written with positional writes only, never through a map;
//! only files that are never changed again are mapped; a failed sync is never tried again on the same file.

pub mod memory;
pub mod real;
pub mod shared;
pub mod simulated;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A file that must not exist yet, with mode 0600, to read and write.
    CreateNew,
    /// A file that may exist, else made with mode 0600, to read and write.
    Create,
}

/// What a lock allows to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Other shared locks.
    Shared,
    /// Nothing.
    Exclusive,
}

/// An open file.
#[expect(
    clippy::len_without_is_empty,
    reason = "asking costs a system call and can fail; nobody asks for emptiness"
)]
pub trait DiskFile: Send + Sync + Debug {
    /// Reads at an offset; fewer bytes than asked for only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at an offset.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends the file.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Makes data and length durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// Takes a lock that the kernel gives back when the file is closed; `false` if others hold it.
    fn try_lock(&self, kind: LockKind) -> io::Result<bool>;
    /// Takes such a lock and waits for it.
    fn lock(&self, kind: LockKind) -> io::Result<()>;
    /// Gives the lock back.
    fn unlock(&self) -> io::Result<()>;
    /// Tells the kernel that what was written up to here will not be read soon and may go to the disk now.
    fn start_writeback(&self, _offset: u64, _bytes: u64) {}
}

/// Bytes of a file that never changes again, where they are read.
pub trait MappedBytes: Deref<Target = [u8]> + Send + Sync {
    /// Gives back the memory that they take, where they can be had from the file again. They stay readable.
    fn release(&self) {}
}

impl MappedBytes for Vec<u8> {}

/// Bytes of a file that never changes again.
pub type Mapped = Arc<dyn MappedBytes>;

/// A file system, as far as a repository needs one.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Maps a file that never changes again.
    fn map(&self, path: &Path) -> io::Result<Mapped>;
    /// The names in a folder, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Makes a folder with mode 0700.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Who owns a folder: a user id. An error where it is a link or not a folder.
    fn folder_owner(&self, path: &Path) -> io::Result<u32>;
    /// Renames over whatever is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames, and fails with `AlreadyExists` where something is there.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder in which nothing is.
    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Fills `bytes` with random ones.
    fn random(&self, bytes: &mut [u8]) -> io::Result<()>;
    /// Whether a file is written only by who made it, since there are no locks that others would keep.
    fn is_plain(&self) -> bool {
        false
    }
}

/// Reads a whole file of at most `max` bytes.
pub fn read_file(disk: &dyn Disk, path: &Path, max: usize) -> Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read).map_err(Error::io("open", path))?;
    let bytes = file.len().map_err(Error::io("stat", path))?;
    if bytes > max as u64 {
        return Err(Error::damaged(
            path,
            0,
            format_args!("at most {max} bytes"),
            format_args!("{bytes} bytes"),
        ));
    }
    let mut out = vec![0; bytes as usize];
    let found = file.read_at(&mut out, 0).map_err(Error::io("read", path))?;
    out.truncate(found);
    Ok(out)
}

/// A name for a temporary file beside `path`, which nothing has.
pub fn temporary_beside(disk: &dyn Disk, path: &Path) -> Result<PathBuf> {
    let mut random = [0; 8];
    disk.random(&mut random)
        .map_err(Error::io("get random bytes for", path))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{:016x}", u64::from_le_bytes(random)));
    Ok(path.with_file_name(name))
}

/// Puts a new content in place of a file, whole or not at all: written beside it, synced, renamed, folder synced.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    replace(disk, path, bytes, true)
}

/// The same for a file that may be lost, and that says itself whether it is whole: nothing is synced.
pub fn replace_cache(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    replace(disk, path, bytes, false)
}

/// The folder that a name is in.
pub fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8], is_synced: bool) -> Result<()> {
    let temporary = temporary_beside(disk, path)?;
    let result = (|| {
        let file = disk
            .open(&temporary, OpenMode::CreateNew)
            .map_err(Error::io("create", &temporary))?;
        file.write_all_at(bytes, 0).map_err(Error::io("write", &temporary))?;
        if is_synced {
            file.sync_data().map_err(Error::io("sync", &temporary))?;
        }
        disk.rename(&temporary, path).map_err(Error::io("rename onto", path))?;
        let folder = folder_of(path);
        match is_synced {
            true => disk.sync_dir(folder).map_err(Error::io("sync", folder)),
            false => Ok(()),
        }
    })();
    if result.is_err() {
        // The error that led here is the one to tell.
        let _ = disk.remove(&temporary);
    }
    result
}
