//! A disk that records what is done to it, fails on request, and shows what a crash may leave.
//!
//! 1. Every operation that changes something is numbered, done in memory, and written to a [`Journal`]. Locks and reads
//!    are done and not numbered.
//! 2. An [`Injection`] makes some of the operations fail: at once, after half of a write, or, for a sync, without
//!    saying so.
//! 3. From the journal, [`Journal::image`] makes the disk as it may be found after a crash ([`crash`]). Where many images of
//!    one moment are wanted, [`Journal::at`] goes over the operations once.
//!
//! One thread gives one journal, whatever the machine: random bytes come from a counter. So a number and a seed repeat
//! a failure.

mod crash;
mod dice;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use crash::{Crash, Fate, Moment, Tail};
pub use dice::Dice;

use super::memory::MemoryDisk;
use super::{Disk, DiskFile, LockKind, Mapped, OpenMode};

/// A numbered operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A folder was made.
    CreateDir(PathBuf),
    /// A file was made.
    Create {
        /// Its name.
        path: PathBuf,
        /// What it is called from now on, whatever its name.
        inode: u64,
    },
    /// Bytes were written.
    Write {
        /// To which file.
        inode: u64,
        /// Where.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A file was cut or extended.
    SetLen {
        /// Which.
        inode: u64,
        /// To how many bytes.
        bytes: u64,
    },
    /// Data and length of a file were made durable.
    SyncData {
        /// Which.
        inode: u64,
    },
    /// A sync failed: the system takes what was written for clean all the same, so no later sync makes it durable.
    SyncFailed {
        /// Of which file.
        inode: u64,
    },
    /// A name was changed.
    Rename {
        /// From this.
        from: PathBuf,
        /// To this.
        to: PathBuf,
    },
    /// A name was removed.
    Remove(PathBuf),
    /// The names in a folder were made durable.
    SyncDir(PathBuf),
    /// The caller notes something, such as that a job was acknowledged.
    Mark(u64),
}

/// What was done to a disk, in order.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    ops: Vec<Op>,
    base: Base,
}

/// What was there, durable, before the first operation.
#[derive(Clone, Debug, Default)]
struct Base {
    folders: Vec<PathBuf>,
    files: Vec<(PathBuf, u64, Arc<Vec<u8>>)>,
}

impl Journal {
    /// The operations.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The last mark among the first `count` operations.
    pub fn last_mark(&self, count: usize) -> Option<u64> {
        self.ops[..count].iter().rev().find_map(|op| match op {
            Op::Mark(mark) => Some(*mark),
            _ => None,
        })
    }

    /// The same journal of a disk whose syncs lie from the operation `from` on: all say that they did, none did.
    pub fn lying(&self, from: usize) -> Self {
        let lies = |op: &Op| matches!(op, Op::SyncData { .. } | Op::SyncDir(_));
        let kept = self.ops.iter().enumerate();
        let kept = kept
            .filter(|(at, op)| *at < from || !lies(op))
            .map(|(_, op)| op.clone());
        Self {
            ops: kept.collect(),
            base: self.base.clone(),
        }
    }
}

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not done.
    Fails(io::ErrorKind),
    /// Of a write half is done; of all else nothing.
    Half(io::ErrorKind),
    /// A sync that says that all is well makes nothing durable. All else is done.
    Lies,
}

/// Which operations go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    /// Number of the first, from 0.
    pub from: usize,
    /// How many.
    pub count: usize,
    /// How.
    pub fault: Fault,
}

#[derive(Debug, Default)]
struct State {
    journal: Journal,
    names: BTreeMap<PathBuf, u64>,
    inodes: u64,
    /// Operations that were asked for, also those that failed.
    asked: usize,
    injection: Option<Injection>,
}

/// The disk. Clones share their files.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    memory: MemoryDisk,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct SimulatedFile {
    file: Arc<dyn DiskFile>,
    inode: u64,
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    /// A disk with what `memory` holds, as if all of it were durable.
    pub fn on(memory: MemoryDisk) -> Self {
        let mut state = State::default();
        state.journal.base.folders = memory.folders();
        for (path, bytes) in memory.files() {
            let inode = state.name(&path);
            // What is written later must not change what was there.
            let bytes = Arc::new(bytes.to_vec());
            state.journal.base.files.push((path, inode, bytes));
        }
        Self {
            memory,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Makes operations go wrong from now on, or none.
    pub fn inject(&self, injection: Option<Injection>) {
        self.state.lock().injection = injection;
    }

    /// How many operations were asked for.
    pub fn asked(&self) -> usize {
        self.state.lock().asked
    }

    /// Notes something in the journal.
    pub fn mark(&self, mark: u64) {
        self.state.lock().journal.ops.push(Op::Mark(mark));
    }

    /// What was done so far.
    pub fn journal(&self) -> Journal {
        self.state.lock().journal.clone()
    }
}

impl State {
    /// Counts an operation and says what is to go wrong with it.
    fn next(&mut self) -> Option<Fault> {
        let number = self.asked;
        self.asked += 1;
        self.injection
            .filter(|it| number >= it.from && number - it.from < it.count)
            .map(|it| it.fault)
    }

    /// Counts an operation that is either done or not.
    fn admit(&mut self) -> io::Result<()> {
        match self.next() {
            Some(Fault::Fails(kind) | Fault::Half(kind)) => Err(kind.into()),
            Some(Fault::Lies) | None => Ok(()),
        }
    }

    fn name(&mut self, path: &Path) -> u64 {
        let next = &mut self.inodes;
        *self.names.entry(path.to_owned()).or_insert_with(|| {
            *next += 1;
            *next
        })
    }
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let fault = state.next();
        let done = match fault {
            Some(Fault::Fails(kind)) => return Err(kind.into()),
            Some(Fault::Half(_)) => &bytes[..bytes.len() / 2],
            Some(Fault::Lies) | None => bytes,
        };
        self.file.write_all_at(done, offset)?;
        state.journal.ops.push(Op::Write {
            inode: self.inode,
            offset,
            bytes: done.into(),
        });
        match fault {
            Some(Fault::Half(kind)) => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.admit()?;
        self.file.set_len(bytes)?;
        state.journal.ops.push(Op::SetLen {
            inode: self.inode,
            bytes,
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.next() {
            Some(Fault::Fails(kind) | Fault::Half(kind)) => {
                state.journal.ops.push(Op::SyncFailed { inode: self.inode });
                return Err(kind.into());
            }
            Some(Fault::Lies) => return Ok(()),
            None => {}
        }
        state.journal.ops.push(Op::SyncData { inode: self.inode });
        Ok(())
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

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        let exists = self.memory.open(path, OpenMode::Read).is_ok();
        let makes = !exists && matches!(mode, OpenMode::CreateNew | OpenMode::Create);
        if makes {
            state.admit()?;
        }
        let file = self.memory.open(path, mode)?;
        let inode = state.name(path);
        if makes {
            state.journal.ops.push(Op::Create {
                path: path.to_owned(),
                inode,
            });
        }
        Ok(Arc::new(SimulatedFile {
            file,
            inode,
            state: self.state.clone(),
        }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.memory.map(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.memory.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.admit()?;
        self.memory.create_dir(path)?;
        state.journal.ops.push(Op::CreateDir(path.to_owned()));
        Ok(())
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.memory.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.admit()?;
        self.memory.rename(from, to)?;
        let inode = state.name(from);
        state.names.remove(from);
        state.names.insert(to.to_owned(), inode);
        state.journal.ops.push(Op::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.memory.open(to, OpenMode::Read).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.admit()?;
        self.memory.remove(path)?;
        state.names.remove(path);
        state.journal.ops.push(Op::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.next() {
            Some(Fault::Fails(kind) | Fault::Half(kind)) => return Err(kind.into()),
            Some(Fault::Lies) => return Ok(()),
            None => {}
        }
        state.journal.ops.push(Op::SyncDir(path.to_owned()));
        Ok(())
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.memory.random(bytes)
    }
}
