//! One thread of a check.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bstr::BString;

use super::{Finding, Shared, State};
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
    outbox: Outbox,
}

impl<'s> Worker<'s> {
    pub(super) fn new(shared: &'s Shared<'s>, catalogue: Catalogue, outbox: Outbox) -> Self {
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

    /// Whether the time is up.
    fn is_late(&self) -> bool {
        let late = self.shared.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late {
            self.shared.stopped.store(true, Ordering::Relaxed);
        }
        late
    }

    fn folder(&mut self, folder: &BString) -> Result<()> {
        let handle = match DirHandle::open_root(Path::new(OsStr::from_bytes(folder))) {
            Ok(handle) => Some(handle),
            Err(error) if is_gone(&error) => None,
            Err(error) => {
                self.problem("open", folder, error);
                return Ok(());
            }
        };
        let mut after = None;
        loop {
            let (page, next) = self.catalogue.due(&self.shared.scope, folder, after.as_ref(), PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            let mut look = Look {
                path: folder.clone(),
                looked: self.shared.request.now,
                ..Look::default()
            };
            self.page(handle.as_ref(), &page, &mut look)?;
            if !(look.files.is_empty() && look.gone.is_empty()) {
                self.outbox.send(look)?;
            }
            if self.shared.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            after = next;
        }
    }

    /// Proves some files of a directory; small ones are gathered and hashed together.
    fn page(&mut self, handle: Option<&DirHandle>, page: &[Due], look: &mut Look) -> Result<()> {
        let mut gathered = Vec::new();
        for (at, due) in page.iter().enumerate() {
            self.shared.progress.check()?;
            if self.is_late() {
                break;
            }
            self.shared.files.fetch_add(1, Ordering::Relaxed);
            let stat = match handle.map(|handle| handle.stat(due.name.as_slice())) {
                Some(Ok(stat)) if stat.kind == Kind::File => stat,
                Some(Err(error)) if !is_gone(&error) => {
                    self.problem("look at", &join_path(&look.path, &due.name), error);
                    continue;
                }
                _ => {
                    self.tell(look, due, State::Vanished);
                    look.gone.push(due.name.clone());
                    continue;
                }
            };
            let Some(handle) = handle else { continue };
            if self.shared.request.fast && !has_moved(due, &stat) && due.content.fasthash.is_some() {
                self.fast(handle, due, &stat, look);
                continue;
            }
            if stat.size <= GATHERED_FILE_BYTES_MAX {
                let file = handle.open_file(due.name.as_slice());
                if file.is_ok_and(|file| self.digester.gather(&file, &stat, at).unwrap_or(false)) {
                    gathered.push((at, stat));
                    if self.digester.is_full() {
                        self.finish(page, &mut gathered, look);
                    }
                    continue;
                }
            }
            self.finish(page, &mut gathered, look);
            self.alone(handle, due, &stat, look)?;
        }
        self.finish(page, &mut gathered, look);
        Ok(())
    }

    fn finish(&mut self, page: &[Due], gathered: &mut Vec<(usize, Stat)>, look: &mut Look) {
        let mut digests = Vec::with_capacity(gathered.len());
        self.digester.finish(|_, digest| digests.push(digest));
        for ((at, stat), digest) in gathered.drain(..).zip(digests) {
            self.read(&page[at], &stat, digest, look);
        }
    }

    /// Reads one file by itself.
    fn alone(&mut self, handle: &DirHandle, due: &Due, stat: &Stat, look: &mut Look) -> Result<()> {
        let read = handle
            .open_file(due.name.as_slice())
            .and_then(|file| self.digester.full(&file, stat));
        match read {
            Ok(Some(digest)) => self.read(due, stat, digest, look),
            Ok(None) => self.changes(due, look),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(Error::Interrupted),
            Err(error) => self.problem("read", &join_path(&look.path, &due.name), error),
        }
        Ok(())
    }

    fn changes(&self, due: &Due, look: &Look) {
        let problem = io::Error::other("it changed while it was read; the next check takes it up again");
        self.problem("read", &join_path(&look.path, &due.name), problem);
    }

    /// Judges a file by its samples.
    fn fast(&self, handle: &DirHandle, due: &Due, stat: &Stat, look: &mut Look) {
        let read = handle
            .open_file(due.name.as_slice())
            .and_then(|file| digest::fast(&file, stat));
        let found = match read {
            Ok(Some(found)) => found,
            Ok(None) => return self.changes(due, look),
            Err(error) => return self.problem("read", &join_path(&look.path, &due.name), error),
        };
        self.shared.progress.add(1, 0);
        if due.content.fasthash != Some(found) {
            let ctime_moved = ctime_moved(due, stat);
            return self.tell(look, due, State::Rotten { ctime_moved });
        }
        self.shared.sound.fetch_add(1, Ordering::Relaxed);
        look.files.push(FileSeen {
            name: due.name.clone(),
            stat: *stat,
            // Samples prove nothing: what stat values proved before they still do, and no more.
            settled: due.row.is_unchanged(stat),
            facts: Facts::Same(due.content.id, found),
        });
    }

    /// Judges a file that was read.
    fn read(&self, due: &Due, stat: &Stat, digest: Digest, look: &mut Look) {
        self.shared.progress.add(1, 0);
        if digest.fullhash != due.content.fullhash && digest.fullhash.algo() == due.content.fullhash.algo() {
            if !has_moved(due, stat) {
                let ctime_moved = ctime_moved(due, stat);
                return self.tell(look, due, State::Rotten { ctime_moved });
            }
            self.tell(look, due, State::Changed);
        } else {
            self.shared.sound.fetch_add(1, Ordering::Relaxed);
        }
        look.files.push(FileSeen {
            name: due.name.clone(),
            stat: *stat,
            settled: self.shared.cutoff.is_settled(stat),
            facts: Facts::Full(digest.fullhash, Some(digest.fasthash)),
        });
    }

    fn tell(&self, look: &Look, due: &Due, state: State) {
        self.shared.findings.lock().push(Finding {
            path: join_path(&look.path, &due.name),
            expected: due.content.fullhash,
            state,
        });
    }

    fn problem(&self, op: &'static str, path: &[u8], error: io::Error) {
        let path = OsStr::from_bytes(path);
        self.shared.problems.lock().push(Error::io(op, path)(error));
    }
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
