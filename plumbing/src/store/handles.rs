//! The data files that are open: a bounded number, however many a repository has.
//!
//! 1. A data file of a repository is read through a [`Pooled`] file, which opens it when it is read.
//! 2. What is open stands in a ring. When there are more than [`OPEN_MAX`], the hand of the ring goes round: what was
//!    read since it last came by stays, the first that was not is closed. Where the system has no more to give before
//!    that, all are, and the limit is half of what was open: others need room, too.
//! 3. A file that is opened again must begin with the header that it had: its id and its salt are in no other file.
//!
//! Data files that this process has made are not among them: they stay open, since the lock that keeps gc from them goes
//! when they are closed. A process that makes a thousand of them has written a terabyte.
//!
//! Invariants: whoever is reading keeps the handle for as long; a pooled file is never written to, and holds no lock,
//! since closing it would give the lock back: writers open their data files for themselves. Locks are taken in the order
//! ring, file; a file is never opened under the lock of the ring.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::data::format::FILE_HEADER_BYTES;
use super::data::read::DataFile;
use crate::disk::{Disk, DiskFile, LockKind, OpenMode};
use crate::error::Error;

/// Data files that one store has open. A process may mostly have 1,024 files open; others than these are few.
pub(super) const OPEN_MAX: usize = 128;

/// The system's numbers for "too many open files", of the process and of the machine.
const TOO_MANY: [i32; 2] = [
    rustix::io::Errno::MFILE.raw_os_error(),
    rustix::io::Errno::NFILE.raw_os_error(),
];

/// Errors that may say that too many files are open.
pub(super) trait IsTooMany {
    /// Whether it does.
    fn is_too_many(&self) -> bool;
}

impl IsTooMany for io::Error {
    fn is_too_many(&self) -> bool {
        self.raw_os_error().is_some_and(|number| TOO_MANY.contains(&number))
    }
}

impl IsTooMany for Error {
    fn is_too_many(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.is_too_many())
    }
}

/// The data files of a store that are open.
#[derive(Debug)]
pub(super) struct Handles {
    open_max: AtomicUsize,
    ring: Mutex<VecDeque<Weak<Slot>>>,
}

impl Default for Handles {
    fn default() -> Self {
        Self::with_max(OPEN_MAX)
    }
}

/// One data file.
#[derive(Debug)]
struct Slot {
    path: PathBuf,
    header: [u8; FILE_HEADER_BYTES as usize],
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    /// It was read since the hand came by.
    was_used: AtomicBool,
}

/// A data file that is opened when it is read.
#[derive(Debug)]
struct Pooled {
    disk: Arc<dyn Disk>,
    handles: Arc<Handles>,
    slot: Arc<Slot>,
}

impl Handles {
    fn with_max(open_max: usize) -> Self {
        Self {
            open_max: AtomicUsize::new(open_max),
            ring: Mutex::default(),
        }
    }

    /// The same data file, open only while it is used or few others are.
    pub(super) fn pool(self: &Arc<Self>, disk: &Arc<dyn Disk>, file: DataFile) -> DataFile {
        let slot = Arc::new(Slot {
            path: file.path.clone(),
            header: file.header.encode(),
            file: Mutex::new(Some(file.file)),
            was_used: AtomicBool::new(false),
        });
        self.opened(&slot);
        let pooled = Pooled {
            disk: disk.clone(),
            handles: self.clone(),
            slot,
        };
        DataFile {
            file: Arc::new(pooled),
            ..file
        }
    }

    /// Adds a file that was opened, and closes others that are too many.
    fn opened(&self, slot: &Arc<Slot>) {
        let mut ring = self.ring.lock();
        ring.push_back(Arc::downgrade(slot));
        // Each is met at most twice: the hand takes away what kept it.
        while ring.len() > self.open_max.load(Relaxed) {
            let Some(next) = ring.pop_front() else { return };
            match next.upgrade() {
                Some(slot) if slot.was_used.swap(false, Relaxed) => ring.push_back(next),
                Some(slot) => *slot.file.lock() = None,
                None => {}
            }
        }
    }

    /// Opens a file; where too many are open, once more when those of the store are closed.
    pub(super) fn open<T, E: IsTooMany>(&self, open: impl Fn() -> Result<T, E>) -> Result<T, E> {
        match open() {
            Err(error) if error.is_too_many() => {
                self.close_all();
                open()
            }
            opened => opened,
        }
    }

    /// Closes all of them, but for those that somebody is reading, and keeps fewer open from now on.
    fn close_all(&self) {
        let mut ring = self.ring.lock();
        self.open_max.fetch_min((ring.len() / 2).max(1), Relaxed);
        for slot in ring.drain(..) {
            if let Some(slot) = slot.upgrade() {
                *slot.file.lock() = None;
            }
        }
    }
}

impl Pooled {
    fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        let mut own = self.slot.file.lock();
        if let Some(file) = &*own {
            self.slot.was_used.store(true, Relaxed);
            return Ok(file.clone());
        }
        let file = match self.open() {
            Err(error) if error.is_too_many() => {
                drop(own);
                self.handles.close_all();
                own = self.slot.file.lock();
                match &*own {
                    Some(file) => return Ok(file.clone()),
                    None => self.open()?,
                }
            }
            opened => opened?,
        };
        *own = Some(file.clone());
        drop(own);
        self.slot.was_used.store(true, Relaxed);
        self.handles.opened(&self.slot);
        Ok(file)
    }

    fn open(&self) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(&self.slot.path, OpenMode::Read)?;
        let mut header = [0; FILE_HEADER_BYTES as usize];
        let found = file.read_at(&mut header, 0)?;
        match header[..found] == self.slot.header {
            true => Ok(file),
            false => Err(io::Error::other(
                "another file has its name now, with another header; run the command again",
            )),
        }
    }
}

impl DiskFile for Pooled {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file()?.read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file()?.len()
    }

    /// Whatever handle it is asked through, the system makes durable what anybody wrote.
    fn sync_data(&self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(only_read())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(only_read())
    }

    fn try_lock(&self, _: LockKind) -> io::Result<bool> {
        Err(only_read())
    }

    fn lock(&self, _: LockKind) -> io::Result<()> {
        Err(only_read())
    }

    fn unlock(&self) -> io::Result<()> {
        Err(only_read())
    }
}

fn only_read() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "a data file that is shared with others is only read",
    )
}

#[cfg(test)]
mod tests;
