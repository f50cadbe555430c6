//! Leases: which generations processes still rely on (object-format.md, "Generations").
//!
//! Every process that opens a repository holds a shared kernel lock on the lease file of the generation that it saw.
//! A data file that generation N condemned is unlinked only when nobody holds a lease of a generation before N; so
//! whoever began earlier reads on, and can write again what it leaned on. The kernel gives leases back when a process
//! dies, however it dies, so none goes stale and no clock is asked.
//!
//! 1. read the generation, lock its lease file
//! 2. read the generation again: where it moved, give the lease back and begin again
//!
//! So a lease of an old generation is never taken, and one that was found free stays free.
//!
//! Where a file system refuses locks or files (read-only, full, no permission), a reader goes on without a lease: its
//! open files stay readable on any local file system. A writer is refused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::generation::Generation;
use crate::disk::{Disk, DiskFile, LockKind, OpenMode};
use crate::error::{Error, Result};

const FOLDER: &str = "locks";
const PREFIX: &str = "lease-";
const COLLECT: &str = "gc";
/// How often a generation may move while a lease is taken.
const TRIES_MAX: usize = 1000;

/// A shared lock on the lease file of a generation, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    number: u64,
    _file: Arc<dyn DiskFile>,
}

impl Lease {
    /// Takes a lease of the generation that stands, as `read` reads it.
    pub fn take(
        disk: &dyn Disk,
        ghost_dir: &Path,
        read: &dyn Fn() -> Result<Generation>,
    ) -> Result<(Generation, Self)> {
        for _ in 0..TRIES_MAX {
            let generation = read()?;
            let path = lease_path(ghost_dir, generation.number);
            let file = open_or_make(disk, ghost_dir, &path)?;
            file.lock(LockKind::Shared).map_err(Error::io("lock", &path))?;
            if read()?.number == generation.number {
                let number = generation.number;
                return Ok((generation, Self { number, _file: file }));
            }
        }
        let problem = "it moves faster than a lease can be taken";
        Err(Error::invalid("generation", ghost_dir.display(), problem))
    }

    /// The same; without a lease where the file system refuses files or locks.
    pub(super) fn take_to_read(
        disk: &dyn Disk,
        ghost_dir: &Path,
        read: &dyn Fn() -> Result<Generation>,
    ) -> Result<(Generation, Option<Self>)> {
        match Self::take(disk, ghost_dir, read) {
            Ok((generation, lease)) => Ok((generation, Some(lease))),
            Err(Error::Io { source, .. }) if is_refusal(&source) => Ok((read()?, None)),
            Err(e) => Err(e),
        }
    }

    /// The generation.
    pub fn number(&self) -> u64 {
        self.number
    }
}

fn lease_path(ghost_dir: &Path, number: u64) -> PathBuf {
    ghost_dir.join(FOLDER).join(format!("{PREFIX}{number}"))
}

/// Makes the lease file of a generation, so that processes that may not make files can lock it.
pub(crate) fn prepare(disk: &dyn Disk, ghost_dir: &Path, number: u64) {
    // Whoever needs it makes it where this fails.
    let _ = open_or_make(disk, ghost_dir, &lease_path(ghost_dir, number));
}

fn open_or_make(disk: &dyn Disk, ghost_dir: &Path, path: &Path) -> Result<Arc<dyn DiskFile>> {
    // A shared lock needs no permission to write.
    match disk.open(path, OpenMode::Read) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map_err(Error::io("open", path)),
    }
    match disk.open(path, OpenMode::Create) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let folder = ghost_dir.join(FOLDER);
            match disk.create_dir(&folder) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("make folder", folder)(e)),
                _ => disk.open(path, OpenMode::Create).map_err(Error::io("create", path)),
            }
        }
        opened => opened.map_err(Error::io("create", path)),
    }
}

/// Whether the system refuses what a lease needs, for a reason that does not keep anybody from reading.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull, Unsupported};
    let kinds = [
        PermissionDenied,
        QuotaExceeded,
        ReadOnlyFilesystem,
        StorageFull,
        Unsupported,
    ];
    kinds.contains(&error.kind()) || is_without_locks(error)
}

/// Whether the error says that the file system knows no locks.
fn is_without_locks(error: &io::Error) -> bool {
    let codes = [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&Errno::from_raw_os_error(code)))
}

/// What is known of the leases that others hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Living {
    /// The oldest generation, not after the one that stands, of which somebody holds a lease.
    pub oldest: u64,
}

/// Looks for leases of generations before `current`, and removes the files of those that nobody holds.
pub(crate) fn living(disk: &dyn Disk, ghost_dir: &Path, current: u64) -> Result<Living> {
    let mut oldest = current;
    for (number, path) in lease_files(disk, ghost_dir)? {
        if number >= current {
            continue;
        }
        let file = match disk.open(&path, OpenMode::Write) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("open", &path)(e)),
        };
        if file.try_lock(LockKind::Exclusive).map_err(Error::io("lock", &path))? {
            // Nobody takes it any more: the generation that stands is a later one.
            let _ = disk.remove(&path);
        } else {
            oldest = oldest.min(number);
        }
    }
    Ok(Living { oldest })
}

/// Runs `act` while no other process has this repository open, if that is so now; `own` is the caller's lease, which
/// it holds again afterwards.
pub(crate) fn while_alone<T>(
    disk: &dyn Disk,
    ghost_dir: &Path,
    own: Lease,
    act: impl FnOnce() -> T,
) -> Result<(Lease, Option<T>)> {
    let number = own.number;
    if living(disk, ghost_dir, number)?.oldest < number {
        return Ok((own, None));
    }
    let path = lease_path(ghost_dir, number);
    let failed = |op| Error::io(op, &path);
    let file = disk.open(&path, OpenMode::Write).map_err(failed("open"))?;
    drop(own);
    let alone = file.try_lock(LockKind::Exclusive).map_err(failed("lock"))?;
    // Whoever opens the repository meanwhile waits for this lock.
    let done = alone.then(act);
    file.lock(LockKind::Shared).map_err(failed("lock"))?;
    Ok((Lease { number, _file: file }, done))
}

/// The newest generation of which there is a lease file, held or not.
pub(crate) fn newest(disk: &dyn Disk, ghost_dir: &Path) -> Result<u64> {
    Ok(lease_files(disk, ghost_dir)?.last().map_or(0, |(number, _)| *number))
}

fn lease_files(disk: &dyn Disk, ghost_dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let folder = ghost_dir.join(FOLDER);
    let names = match disk.list(&folder) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io("list", folder)(e)),
    };
    let number = |name: &std::ffi::OsString| name.to_str()?.strip_prefix(PREFIX)?.parse().ok();
    let mut found: Vec<_> = names
        .iter()
        .filter_map(|name| Some((number(name)?, folder.join(name))))
        .collect();
    found.sort();
    Ok(found)
}

/// The lock of whoever condemns or removes data files: gc, and what repairs. One process has it at a time.
#[derive(Debug)]
pub struct CollectLock {
    _file: Arc<dyn DiskFile>,
}

impl CollectLock {
    /// Takes the lock. Refused where another process has it, and where the file system's locks do not work: then nobody
    /// could know which processes rely on what is to be removed.
    pub fn take(disk: &dyn Disk, ghost_dir: &Path) -> Result<Self> {
        match Self::try_take(disk, ghost_dir)? {
            Some(lock) => Ok(lock),
            None => Err(Error::Busy {
                path: ghost_dir.join(FOLDER).join(COLLECT),
                what: "another process is collecting garbage or repairing here",
            }),
        }
    }

    /// The same; none where another process has it.
    pub fn try_take(disk: &dyn Disk, ghost_dir: &Path) -> Result<Option<Self>> {
        let path = ghost_dir.join(FOLDER).join(COLLECT);
        let file = match disk.open(&path, OpenMode::Write) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                drop(open_or_make(disk, ghost_dir, &path)?);
                disk.open(&path, OpenMode::Write).map_err(Error::io("open", &path))?
            }
            Err(e) => return Err(Error::io("open", &path)(e)),
        };
        match file.try_lock(LockKind::Exclusive) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(e) if is_without_locks(&e) => return Err(without_locks(&path, &e.to_string())),
            Err(e) => return Err(Error::io("lock", &path)(e)),
        }
        // Some network and user-space file systems grant every lock.
        let again = disk.open(&path, OpenMode::Write).map_err(Error::io("open", &path))?;
        if again.try_lock(LockKind::Exclusive).map_err(Error::io("lock", &path))? {
            return Err(without_locks(&path, "the same lock was granted twice"));
        }
        Ok(Some(Self { _file: file }))
    }
}

fn without_locks(path: &Path, found: &str) -> Error {
    let problem = format!(
        "locks do not work on this file system ({found}), so that nobody can tell which processes still read what \
         would be removed; work on a copy of the repository on a local file system"
    );
    Error::invalid("lock", path.display(), problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::memory::MemoryDisk;
    use crate::disk::replace_file;

    fn disk() -> (MemoryDisk, &'static Path) {
        let disk = MemoryDisk::default();
        let ghost_dir = Path::new("/g");
        disk.create_dir(ghost_dir).unwrap();
        (disk, ghost_dir)
    }

    fn take(disk: &MemoryDisk, ghost_dir: &Path) -> (Generation, Lease) {
        let read = || Ok(Generation::read(disk, ghost_dir, &[7; 16])?.unwrap_or_default());
        Lease::take(disk, ghost_dir, &read).unwrap()
    }

    fn publish(disk: &MemoryDisk, number: u64) {
        let generation = Generation {
            number,
            ..Generation::default()
        };
        let text = generation.encode(&[7; 16]);
        replace_file(disk, Path::new("/g/generation"), text.as_bytes()).unwrap();
    }

    #[test]
    fn the_oldest_lease_that_is_held_is_found_and_free_ones_go() {
        let (disk, ghost_dir) = disk();
        let (_, first) = take(&disk, ghost_dir);
        publish(&disk, 1);
        let (generation, second) = take(&disk, ghost_dir);
        assert_eq!((first.number(), second.number(), generation.number), (0, 1, 1));
        publish(&disk, 2);
        assert_eq!(living(&disk, ghost_dir, 2).unwrap().oldest, 0);
        drop(first);
        assert_eq!(living(&disk, ghost_dir, 2).unwrap().oldest, 1);
        drop(second);
        assert_eq!(living(&disk, ghost_dir, 2).unwrap().oldest, 2);
        assert!(lease_files(&disk, ghost_dir).unwrap().is_empty());
    }

    #[test]
    fn alone_is_who_holds_the_only_lease() {
        let (disk, ghost_dir) = disk();
        let (_, own) = take(&disk, ghost_dir);
        let (own, done) = while_alone(&disk, ghost_dir, own, || 1).unwrap();
        assert_eq!(done, Some(1));
        let (_, other) = take(&disk, ghost_dir);
        let (own, done) = while_alone(&disk, ghost_dir, own, || 1).unwrap();
        assert_eq!(done, None);
        drop(other);
        publish(&disk, 1);
        let (_, later) = take(&disk, ghost_dir);
        assert_eq!(
            while_alone(&disk, ghost_dir, later, || 1).unwrap().1,
            None,
            "an older one is held"
        );
        drop(own);
    }

    #[test]
    fn one_process_collects_at_a_time() {
        let (disk, ghost_dir) = disk();
        let lock = CollectLock::take(&disk, ghost_dir).unwrap();
        assert!(matches!(CollectLock::take(&disk, ghost_dir), Err(Error::Busy { .. })));
        drop(lock);
        CollectLock::take(&disk, ghost_dir).unwrap();
    }
}
