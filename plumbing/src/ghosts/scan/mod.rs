//! Finding what is on a file system, without storing any of it.
//!
//! 1. Threads share a stack of tasks ([`queue`]), all alike ([`worker`]): each opens a directory, looks at its entries, and
//!    compares them with one range read of the catalogue ([`folder`]). What looks as it did is not read.
//! 2. The others are read and hashed, small ones many at once; a file with several names once ([`links`]).
//! 3. What was found of a directory goes through a bounded channel ([`outbox`]) to the one thread that writes: thousands of
//!    files in one transaction. So a scan that is stopped keeps what it had found.
//! 4. At the end, directories that are known below the root and were not visited are looked at: what is gone moves to the
//!    past; what was left out by rules or could not be opened stays as it is known.
//!
//! What cannot be read, and whose bytes changed, is told as it is found ([`Told`]), and is no error.

mod folder;
mod links;
pub(super) mod outbox;
mod queue;
mod worker;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bstr::BString;
use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;

use self::folder::Folder;
use self::queue::Task;
use self::worker::Worker;
use super::catalogue::{Catalogue, Recorded};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, Kind, ObjectId};
use crate::progress::{Phase, Progress};
use crate::repository::config::Trust;
use crate::time::Timestamp;
use crate::walk::cache::Cutoff;
use crate::walk::{DirHandle, Rules};

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Directories or files, as absolute paths without links.
    pub roots: Vec<PathBuf>,
    /// What to leave out.
    pub rules: Arc<Rules>,
    /// Read every file, whatever its stat values say.
    pub trust_hash: bool,
    /// What later scans of these roots are to trust, where somebody decided it.
    pub keep_trust: Option<Trust>,
    /// The name of this machine.
    pub host: String,
    /// The hash that contents are named with.
    pub algo: HashAlgo,
    /// Threads that read, at least one.
    pub threads: usize,
    /// The date of all that is found.
    pub now: Timestamp,
    /// When the scan begins by the clock that stamps files; what changed later is read again next time.
    pub began: Timestamp,
    /// The granularity of times on file systems that keep whole seconds.
    pub coarse: Duration,
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Report {
    /// Files that were looked at.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Directories that were read.
    pub directories: u64,
    /// Files where none was known.
    pub new: u64,
    /// Files with another content than was known.
    pub changed: u64,
    /// Files with the content that was known.
    pub unchanged: u64,
    /// Files that were known and are gone.
    pub gone: u64,
    /// Files that were read.
    pub read: u64,
    /// Contents that were not known before.
    pub new_contents: u64,
    /// Entries that rules left out; a directory counts once.
    pub excluded: u64,
    /// Files whose bytes changed though nothing wrote to them.
    pub rotten: u64,
    /// What could not be looked at or read.
    pub problems: u64,
}

/// What a scan says of single files, as it finds it.
#[derive(Debug)]
pub enum Told {
    /// Its bytes changed though nothing wrote to it.
    Rotten(Rotten),
    /// It could not be looked at or read.
    Problem(Error),
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.directories += other.directories;
        self.new += other.new;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.gone += other.gone;
        self.read += other.read;
        self.new_contents += other.new_contents;
        self.excluded += other.excluded;
        self.rotten += other.rotten;
        self.problems += other.problems;
    }
}

/// A file with other bytes and the same stat values: the medium or the machine damaged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotten {
    /// Its absolute path.
    pub path: BString,
    /// The content that it should have.
    pub expected: ObjectId,
    /// The content that was read.
    pub found: ObjectId,
}

/// What the threads share.
struct Shared<'s> {
    request: &'s Request,
    progress: &'s Progress,
    cutoff: Cutoff,
    queue: queue::Queue,
    links: links::Links,
    files: AtomicU64,
    bytes: AtomicU64,
    directories: AtomicU64,
    new: AtomicU64,
    changed: AtomicU64,
    unchanged: AtomicU64,
    read: AtomicU64,
    excluded: AtomicU64,
}

impl<'s> Shared<'s> {
    fn new(request: &'s Request, progress: &'s Progress) -> Self {
        Self {
            request,
            progress,
            cutoff: Cutoff::new(request.began, request.coarse),
            queue: queue::Queue::default(),
            links: links::Links::default(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            directories: AtomicU64::new(0),
            new: AtomicU64::new(0),
            changed: AtomicU64::new(0),
            unchanged: AtomicU64::new(0),
            read: AtomicU64::new(0),
            excluded: AtomicU64::new(0),
        }
    }

    fn add_to(self, report: &mut Report) {
        let get = |counter: AtomicU64| counter.into_inner();
        report.files += get(self.files);
        report.bytes += get(self.bytes);
        report.directories += get(self.directories);
        report.new += get(self.new);
        report.changed += get(self.changed);
        report.unchanged += get(self.unchanged);
        report.read += get(self.read);
        report.excluded += get(self.excluded);
    }
}

/// Scans all roots, one after the other, and keeps what was found; `tell` gets what is to be said of single files. Fails
/// where a root is not there, and with what `tell` fails with.
pub fn scan(
    catalogue: &mut Catalogue,
    request: &Request,
    progress: &Progress,
    tell: &mut dyn FnMut(Told) -> Result<()>,
) -> Result<Report> {
    let mut report = Report::default();
    for (at, root) in request.roots.iter().enumerate() {
        let is_inside = |other: &PathBuf| root.starts_with(other) && root != other;
        if request.roots.iter().any(is_inside) || request.roots[..at].contains(root) {
            continue;
        }
        progress.set_phase(Phase::Reading);
        let start = Start::open(root)?;
        let is_folder = matches!(start, Start::Folder(..));
        let recorded = scan_root(catalogue, request, progress, start, &mut report, tell)?;
        report.new_contents += recorded.new_contents;
        report.gone += recorded.gone;
        if is_folder {
            progress.set_phase(Phase::Finishing);
            report.gone += forget_lost_folders(catalogue, request, root)?;
            let path = root.as_os_str().as_bytes();
            catalogue.keep_root(&request.host, path, request.keep_trust, request.now)?;
        }
    }
    Ok(report)
}

/// Where a scan begins.
enum Start {
    Folder(BString, DirHandle),
    /// A file: its folder and its name.
    File(BString, DirHandle, BString),
}

impl Start {
    /// What the first thread begins with.
    fn task(self, request: &Request) -> Result<Task> {
        let (path, handle, file) = match self {
            Self::Folder(path, handle) => (path, handle, None),
            Self::File(path, handle, name) => (path, handle, Some(name)),
        };
        let shown = Path::new(OsStr::from_bytes(&path)).to_owned();
        let names = handle.read_names().map_err(Error::io("list", &shown))?;
        let dev = handle.stat_self().map_err(Error::io("look at", &shown))?.dev;
        let scope = request.rules.root(dev, &handle, &names);
        let folder = Arc::new(Folder {
            path,
            handle,
            names,
            scope,
        });
        let Some(name) = file else {
            return Ok(Task::Begin(folder));
        };
        let number = folder.names.find(&name).and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| Error::io("list", &shown)(io::ErrorKind::NotFound.into()))?;
        Ok(Task::File(folder, number))
    }

    fn open(root: &Path) -> Result<Self> {
        let path = |path: &Path| BString::from(path.as_os_str().as_bytes());
        match DirHandle::open_root(root) {
            Ok(handle) => Ok(Self::Folder(path(root), handle)),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let (Some(above), Some(name)) = (root.parent(), root.file_name()) else {
                    return Err(Error::io("open", root)(error));
                };
                let handle = DirHandle::open_root(above).map_err(Error::io("open", above))?;
                let name = BString::from(name.as_bytes());
                let stat = handle.stat(name.as_slice()).map_err(Error::io("look at", root))?;
                if stat.kind != Kind::File {
                    return Err(Error::invalid("path", root.display(), "expected a directory or a file"));
                }
                Ok(Self::File(path(above), handle, name))
            }
            Err(error) => Err(Error::io("open", root)(error)),
        }
    }
}

/// Scans one root with all threads, while this one writes what they find.
fn scan_root(
    catalogue: &mut Catalogue,
    request: &Request,
    progress: &Progress,
    start: Start,
    report: &mut Report,
    tell: &mut dyn FnMut(Told) -> Result<()>,
) -> Result<Recorded> {
    let (outbox, inbox) = outbox::channel();
    let shared = Shared::new(request, progress);
    let count = &mut |told| {
        match &told {
            Told::Rotten(_) => report.rotten += 1,
            Told::Problem(_) => report.problems += 1,
        }
        tell(told)
    };
    shared.queue.push([start.task(request)?]);
    let mut workers = Vec::new();
    for _ in 0..request.threads.max(1) {
        workers.push(Worker::new(&shared, catalogue.again()?, outbox.clone()));
    }
    drop(outbox);
    let result = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|mut worker| scope.spawn(move || worker.run()))
            .collect();
        // Where writing fails, the readers end when they next have something to say.
        let recorded = inbox.write_all(catalogue, &request.host, count);
        let mut read = Ok(());
        for thread in threads {
            let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read = read.and(result);
        }
        let recorded = recorded?;
        read.map(|()| recorded)
    });
    shared.add_to(report);
    result
}

/// Moves the files of directories that are known below `root`, were not visited and are not there to the past.
fn forget_lost_folders(catalogue: &mut Catalogue, request: &Request, root: &Path) -> Result<u64> {
    let mut gone = 0;
    for path in catalogue.not_seen_since(&request.host, root.as_os_str().as_bytes(), request.now)? {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let is_lost = match rustix::fs::statat(CWD, path.as_slice(), flags) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode) != FileType::Directory,
            Err(errno) => matches!(errno, Errno::NOENT | Errno::NOTDIR),
        };
        if is_lost {
            gone += catalogue.lose_folder(&request.host, &path, request.now)?;
        }
    }
    Ok(gone)
}
