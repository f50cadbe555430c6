//! One thread of a check.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bstr::BString;

use super::{Finding, Shared, State, Told};
use crate::error::{Error, Result};
use crate::ghosts::catalogue::{Catalogue, Due, Facts, FileSeen, Look, join_path};
use crate::ghosts::digest::{self, Digest, Digester, GATHERED_FILE_BYTES_MAX};
use crate::ghosts::scan::outbox::Outbox;
use crate::object::Kind;
use crate::walk::{DirHandle, Stat};

/// Files that are taken together: memory is one page, however many files a directory has.
const PAGE: usize = 1024;

/// One thread of a check.
pub(super) struct Worker<'s> {
    shared: &'s Shared<'s>,
    catalogue: Catalogue,
    digester: Digester<'s>,
    outbox: Outbox<Told>,
}

impl<'s> Worker<'s> {
    pub(super) fn new(shared: &'s Shared<'s>, catalogue: Catalogue, outbox: Outbox<Told>) -> Self {
        Self {
            shared,
            catalogue,
            digester: Digester::new(shared.request.algo, shared.progress),
            outbox,
        }
    }

    /// Takes directories until none is left, or no time.
    pub(super) fn run(&mut self) -> Result<()> {
        loop {
            let Some(folder) = self.shared.folders.lock().pop_front() else {
                return Ok(());
            };
            self.folder(&folder)?;
            if self.shared.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    fn folder(&mut self, folder: &BString) -> Result<()> {
        let handle = match DirHandle::open_root(Path::new(OsStr::from_bytes(folder))) {
            Ok(handle) => Some(handle),
            Err(error) if is_gone(&error) => None,
            Err(error) => return self.outbox.tell(problem("open", folder, error)),
        };
        let shared = self.shared;
        let mut proving = Proving {
            shared,
            digester: &mut self.digester,
            outbox: &self.outbox,
            folder,
            handle,
        };
        self.catalogue.each_due(&shared.scope, folder, PAGE, &mut |page| {
            let look = proving.page(&page)?;
            if !(look.files.is_empty() && look.gone.is_empty()) {
                proving.outbox.send(look)?;
            }
            Ok(!shared.stopped.load(Ordering::Relaxed))
        })
    }
}

/// A directory whose files are being proven.
struct Proving<'w, 's> {
    shared: &'s Shared<'s>,
    digester: &'w mut Digester<'s>,
    outbox: &'w Outbox<Told>,
    folder: &'w BString,
    /// None where it is gone.
    handle: Option<DirHandle>,
}

impl Proving<'_, '_> {
    /// Whether the time is up.
    fn is_late(&self) -> bool {
        let late = self.shared.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late {
            self.shared.stopped.store(true, Ordering::Relaxed);
        }
        late
    }

    /// Proves some files; small ones are gathered and hashed together.
    fn page(&mut self, page: &[Due]) -> Result<Look> {
        let mut look = Look {
            path: self.folder.clone(),
            looked: self.shared.request.now,
            ..Look::default()
        };
        let mut gathered = Vec::new();
        for (at, due) in page.iter().enumerate() {
            self.shared.progress.check()?;
            if self.is_late() {
                break;
            }
            self.shared.files.fetch_add(1, Ordering::Relaxed);
            let Some(stat) = self.look_at(due, &mut look)? else {
                continue;
            };
            if self.shared.request.fast && !has_moved(due, &stat) && due.content.fasthash.is_some() {
                self.fast(due, &stat, &mut look)?;
                continue;
            }
            if stat.size <= GATHERED_FILE_BYTES_MAX {
                let file = self.open(due);
                if file.is_ok_and(|file| self.digester.gather(&file, &stat, at).unwrap_or(false)) {
                    gathered.push((at, stat));
                    if self.digester.is_full() {
                        self.finish(page, &mut gathered, &mut look)?;
                    }
                    continue;
                }
            }
            self.finish(page, &mut gathered, &mut look)?;
            self.alone(due, &stat, &mut look)?;
        }
        self.finish(page, &mut gathered, &mut look)?;
        Ok(look)
    }

    /// How a file looks; nothing where it is gone, which is noted, or cannot be looked at.
    fn look_at(&self, due: &Due, look: &mut Look) -> Result<Option<Stat>> {
        match self.handle.as_ref().map(|handle| handle.stat(due.name.as_slice())) {
            Some(Ok(stat)) if stat.kind == Kind::File => return Ok(Some(stat)),
            Some(Err(error)) if !is_gone(&error) => self.problem("look at", due, error)?,
            _ => {
                self.tell(due, State::Vanished)?;
                look.gone.push(due.name.clone());
            }
        }
        Ok(None)
    }

    fn open(&self, due: &Due) -> io::Result<OwnedFd> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        self.handle.as_ref().ok_or_else(gone)?.open_file(due.name.as_slice())
    }

    fn finish(&mut self, page: &[Due], gathered: &mut Vec<(usize, Stat)>, look: &mut Look) -> Result<()> {
        let mut digests = Vec::with_capacity(gathered.len());
        self.digester.finish(|_, digest| digests.push(digest));
        for ((at, stat), digest) in gathered.drain(..).zip(digests) {
            self.read(&page[at], &stat, digest, look)?;
        }
        Ok(())
    }

    /// Reads one file by itself.
    fn alone(&mut self, due: &Due, stat: &Stat, look: &mut Look) -> Result<()> {
        let read = self.open(due).and_then(|file| self.digester.full(&file, stat));
        match read {
            Ok(Some(digest)) => self.read(due, stat, digest, look),
            Ok(None) => self.changes(due),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Error::Interrupted),
            Err(error) => self.problem("read", due, error),
        }
    }

    fn changes(&self, due: &Due) -> Result<()> {
        let problem = io::Error::other("it changed while it was read; the next check takes it up again");
        self.problem("read", due, problem)
    }

    /// Judges a file by its samples.
    fn fast(&self, due: &Due, stat: &Stat, look: &mut Look) -> Result<()> {
        let found = match self.open(due).and_then(|file| digest::fast(&file, stat)) {
            Ok(Some(found)) => found,
            Ok(None) => return self.changes(due),
            Err(error) => return self.problem("read", due, error),
        };
        self.shared.progress.add(1, 0);
        if due.content.fasthash != Some(found) {
            let ctime_moved = ctime_moved(due, stat);
            return self.tell(due, State::Rotten { ctime_moved });
        }
        self.shared.sound.fetch_add(1, Ordering::Relaxed);
        look.files.push(FileSeen {
            name: due.name.clone(),
            stat: *stat,
            // Samples prove nothing: what stat values proved before they still do, and no more.
            settled: due.row.is_unchanged(stat),
            facts: Facts::Same(due.content.id, found),
        });
        Ok(())
    }

    /// Judges a file that was read.
    fn read(&self, due: &Due, stat: &Stat, digest: Digest, look: &mut Look) -> Result<()> {
        self.shared.progress.add(1, 0);
        if digest.fullhash != due.content.fullhash && digest.fullhash.algo() == due.content.fullhash.algo() {
            if !has_moved(due, stat) {
                let ctime_moved = ctime_moved(due, stat);
                return self.tell(due, State::Rotten { ctime_moved });
            }
            self.tell(due, State::Changed)?;
        } else {
            self.shared.sound.fetch_add(1, Ordering::Relaxed);
        }
        look.files.push(FileSeen {
            name: due.name.clone(),
            stat: *stat,
            settled: self.shared.cutoff.is_settled(stat),
            facts: Facts::Full(digest.fullhash, Some(digest.fasthash)),
        });
        Ok(())
    }

    fn tell(&self, due: &Due, state: State) -> Result<()> {
        self.outbox.tell(Told::Finding(Finding {
            path: join_path(self.folder, &due.name),
            expected: due.content.fullhash,
            state,
        }))
    }

    fn problem(&self, op: &'static str, due: &Due, error: io::Error) -> Result<()> {
        self.outbox.tell(problem(op, &join_path(self.folder, &due.name), error))
    }
}

fn problem(op: &'static str, path: &[u8], error: io::Error) -> Told {
    Told::Problem(Error::io(op, OsStr::from_bytes(path))(error))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether somebody wrote to a file, as far as its size and mtime tell.
fn has_moved(due: &Due, stat: &Stat) -> bool {
    due.row.size != stat.size || due.row.mtime.is_some_and(|mtime| mtime != stat.mtime)
}

fn ctime_moved(due: &Due, stat: &Stat) -> bool {
    due.row.settled.is_some_and(|settled| settled.ctime != stat.ctime)
}
