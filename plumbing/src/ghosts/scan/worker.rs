//! One thread of a scan: opens directories, compares them with the catalogue, reads files that are new.

use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bstr::BString;

use super::folder::{Before, Carried, Folder, Item, WINDOW, Window};
use super::outbox::Outbox;
use super::queue::Task;
use super::{Rotten, Shared, Told};
use crate::error::{Error, Result};
use crate::ghosts::catalogue::{Catalogue, Facts, FileSeen, Listing, Look, Row};
use crate::ghosts::digest::{Digest, Digester, GATHERED_FILE_BYTES_MAX};
use crate::object::Kind;
use crate::walk::{Reason, Stat};

/// Files that one task reads: enough to fill both lanes of the hasher for a while, few enough to share the work.
const FILES_PER_TASK: usize = 64;
/// How often a file that changes while it is read is read.
const TRIES: usize = 3;

/// One thread of a scan.
pub(super) struct Worker<'s> {
    shared: &'s Shared<'s>,
    catalogue: Catalogue,
    digester: Digester<'s>,
    listing: Listing,
    outbox: Outbox<Told>,
}

impl<'s> Worker<'s> {
    pub(super) fn new(shared: &'s Shared<'s>, catalogue: Catalogue, outbox: Outbox<Told>) -> Self {
        Self {
            shared,
            catalogue,
            digester: Digester::new(shared.request.algo, shared.progress),
            listing: Listing::default(),
            outbox,
        }
    }

    /// Works until all is done.
    pub(super) fn run(&mut self) -> Result<()> {
        while let Some(task) = self.shared.queue.pop() {
            let result = self.shared.progress.check().and_then(|()| self.work(task));
            self.shared.queue.done();
            if let Err(error) = result {
                // The others end at their next look.
                self.shared.queue.clear();
                return Err(error);
            }
        }
        Ok(())
    }

    fn work(&mut self, task: Task) -> Result<()> {
        match task {
            Task::Begin(folder) => self.windows(folder, Carried::default()),
            Task::File(folder, number) => self.one_file(folder, number),
            Task::Enter(parent, number) => self.enter(&parent, number),
            Task::Read(window, range) => {
                self.read(&window, range)?;
                match window.is_last() {
                    true => self.go_on(&window),
                    false => Ok(()),
                }
            }
        }
    }

    fn problem(&self, op: &'static str, path: &[u8], error: io::Error) -> Result<()> {
        let path = std::ffi::OsStr::from_bytes(path);
        self.outbox.tell(Told::Problem(Error::io(op, path)(error)))
    }

    /// Looks at one file, whatever else is in its directory.
    fn one_file(&mut self, folder: Arc<Folder>, number: u32) -> Result<()> {
        let row = self.catalogue.at(&self.shared.request.host, &folder.path_of(number))?;
        let mut window = Window::new(folder, Carried::default());
        window.next = usize::MAX;
        window.miss();
        self.look_at(&mut window, number, row.as_ref())?;
        for range in window.ranges(1) {
            self.read(&window, range)?;
        }
        self.send(&window)
    }

    /// Opens a directory and begins with it.
    fn enter(&mut self, parent: &Folder, number: u32) -> Result<()> {
        let path = parent.path_of(number);
        let name = parent.names.get(number as usize);
        let open = || -> io::Result<_> {
            let handle = parent.handle.open_child(parent.names.c_str(number as usize))?;
            let (names, stat) = (handle.read_names()?, handle.stat_self()?);
            let scope = parent.scope.enter(name, stat.dev, &handle, &names);
            Ok((handle, names, scope))
        };
        match open() {
            Ok((handle, names, scope)) => self.windows(
                Arc::new(Folder {
                    path,
                    handle,
                    names,
                    scope,
                }),
                Carried::default(),
            ),
            // It was there a moment ago; whether it is known is seen at the end.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => self.problem("open", &path, error),
        }
    }

    /// Looks at the names of a directory, window by window, as long as nothing is left to other threads.
    pub(super) fn windows(&mut self, folder: Arc<Folder>, mut carried: Carried) -> Result<()> {
        if carried.next == 0 {
            self.shared.directories.fetch_add(1, Ordering::Relaxed);
        }
        loop {
            let window = self.look(&folder, carried)?;
            let ranges = window.ranges(FILES_PER_TASK);
            if ranges.len() > 1 {
                let window = Arc::new(window);
                let tasks = ranges.into_iter().rev().map(|range| Task::Read(window.clone(), range));
                self.shared.queue.push(tasks);
                return Ok(());
            }
            for range in ranges {
                self.read(&window, range)?;
            }
            self.send(&window)?;
            carried = window.carry();
            if carried.next >= folder.names.len() {
                return Ok(());
            }
        }
    }

    /// Ends a window that several threads read, and begins with the next.
    fn go_on(&mut self, window: &Window) -> Result<()> {
        self.send(window)?;
        if window.next < window.folder.names.len() {
            return self.windows(window.folder.clone(), window.carry());
        }
        Ok(())
    }

    /// Looks at one window of names: compares files with the catalogue, leaves directories to whoever comes first.
    fn look(&mut self, folder: &Arc<Folder>, carried: Carried) -> Result<Window> {
        let (names, from) = (&folder.names, carried.next);
        let mut window = Window::new(folder.clone(), carried);
        window.next = names.len().min(from + WINDOW);
        let after = from.checked_sub(1).map_or(&b""[..], |before| names.get(before));
        let to = (window.next < names.len()).then(|| names.get(window.next - 1));
        let host = &self.shared.request.host;
        let mut listing = std::mem::take(&mut self.listing);
        self.catalogue
            .list_between(host, &folder.path, after, to, &mut listing)?;
        window.is_known |= !listing.is_empty();
        let mut known = listing.iter().peekable();
        let mut folders = Vec::new();
        for number in from..window.next {
            let name = names.get(number);
            while let Some((gone, _)) = known.next_if(|(known, _)| *known < name) {
                window.gone.push(gone.into());
            }
            let row = known.next_if(|(known, _)| *known == name).map(|(_, row)| row);
            // The numbers of names fit, as their offsets do.
            let number = number as u32;
            if let Looked::Folder = self.look_at(&mut window, number, row)? {
                folders.push(Task::Enter(folder.clone(), number));
            }
        }
        window.gone.extend(known.map(|(gone, _)| BString::from(gone)));
        self.listing = listing;
        folders.reverse();
        self.shared.queue.push(folders);
        Ok(window)
    }

    fn look_at(&self, window: &mut Window, number: u32, row: Option<&Row>) -> Result<Looked> {
        let folder = window.folder.clone();
        let name = folder.names.get(number as usize);
        let stat = match folder.handle.stat(folder.names.c_str(number as usize)) {
            Ok(stat) => stat,
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::NotFound => window.gone.extend(row.map(|_| name.into())),
                    _ => {
                        window.miss();
                        self.problem("look at", &folder.path_of(number), error)?;
                    }
                }
                return Ok(Looked::Done);
            }
        };
        if let Some(reason) = folder.scope.excluded(name, stat.kind, stat.size) {
            if reason != Reason::Repository {
                self.shared.excluded.fetch_add(1, Ordering::Relaxed);
            }
            if row.is_some() {
                window.miss();
            }
            return Ok(Looked::Done);
        }
        if stat.kind != Kind::File {
            window.gone.extend(row.map(|_| name.into()));
            return Ok(match stat.kind {
                Kind::Directory => Looked::Folder,
                _ => Looked::Done,
            });
        }
        self.shared.files.fetch_add(1, Ordering::Relaxed);
        self.shared.bytes.fetch_add(stat.size, Ordering::Relaxed);
        let before = Before::of(row, &stat);
        if matches!(before, Before::Proven(_)) && !self.shared.request.trust_hash {
            self.shared.unchanged.fetch_add(1, Ordering::Relaxed);
            self.shared.progress.add(1, 0);
        } else {
            self.shared.progress.add_totals(1, stat.size);
            window.items.push(Item {
                name: number,
                stat,
                before,
            });
        }
        Ok(Looked::Done)
    }

    /// Reads some files of a window: small ones are gathered and hashed together.
    fn read(&mut self, window: &Window, range: Range<usize>) -> Result<()> {
        for at in range {
            self.shared.progress.check()?;
            let item = &window.items[at];
            if let Some(digest) = self.shared.links.get(&item.stat) {
                self.found(window, item, item.stat, digest)?;
                continue;
            }
            if item.stat.size <= GATHERED_FILE_BYTES_MAX {
                let name = window.folder.names.c_str(item.name as usize);
                let gathered = window.folder.handle.open_file(name);
                if gathered.is_ok_and(|file| self.digester.gather(&file, &item.stat, at).unwrap_or(false)) {
                    if self.digester.is_full() {
                        self.finish(window)?;
                    }
                    continue;
                }
            }
            // Whatever is large or unusual goes the long way.
            self.finish(window)?;
            self.read_alone(window, item)?;
        }
        self.finish(window)
    }

    /// Hashes what was gathered.
    fn finish(&mut self, window: &Window) -> Result<()> {
        let mut digests = Vec::new();
        self.digester.finish(|at, digest| digests.push((at, digest)));
        for (at, digest) in digests {
            let item = &window.items[at];
            self.shared.links.set(&item.stat, digest);
            self.found(window, item, item.stat, digest)?;
        }
        Ok(())
    }

    /// Reads a file until it looks after the read as it did before.
    fn read_alone(&mut self, window: &Window, item: &Item) -> Result<()> {
        match self.try_read(window, item) {
            Ok(Some((stat, digest))) => {
                self.shared.links.set(&stat, digest);
                return self.found(window, item, stat, digest);
            }
            Ok(None) => {
                let problem = format!("it changed while it was read, {TRIES} times; it is not recorded");
                self.problem("read", &window.folder.path_of(item.name), io::Error::other(problem))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(Error::Interrupted),
            Err(error) => self.problem("read", &window.folder.path_of(item.name), error)?,
        }
        window.miss();
        Ok(())
    }

    fn try_read(&mut self, window: &Window, item: &Item) -> io::Result<Option<(Stat, Digest)>> {
        let (dir, name) = (&window.folder.handle, window.folder.names.c_str(item.name as usize));
        let mut stat = item.stat;
        for attempt in 1..=TRIES {
            if attempt > 1 {
                stat = dir.stat(name)?;
            }
            if stat.kind != Kind::File {
                return Ok(None);
            }
            let file = dir.open_file(name)?;
            if let Some(digest) = self.digester.full(&file, &stat)? {
                return Ok(Some((stat, digest)));
            }
        }
        Ok(None)
    }

    /// Notes a file that was read.
    fn found(&self, window: &Window, item: &Item, stat: Stat, digest: Digest) -> Result<()> {
        let shared = self.shared;
        shared.progress.add(1, 0);
        shared.read.fetch_add(1, Ordering::Relaxed);
        let before = match item.before {
            Before::Nothing => None,
            Before::Content(id) | Before::Proven(id) => self.catalogue.content(id)?,
        };
        let counter = match &before {
            None => &shared.new,
            Some(content) if content.fullhash == digest.fullhash => &shared.unchanged,
            Some(content) => {
                if matches!(item.before, Before::Proven(_)) && stat.same_content(&item.stat) {
                    self.outbox.tell(Told::Rotten(Rotten {
                        path: window.folder.path_of(item.name),
                        expected: content.fullhash,
                        found: digest.fullhash,
                    }))?;
                }
                &shared.changed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        window.found.lock().push(FileSeen {
            name: window.folder.names.get(item.name as usize).into(),
            stat,
            settled: shared.cutoff.is_settled(&stat),
            facts: Facts::Full(digest.fullhash, Some(digest.fasthash)),
        });
        Ok(())
    }

    /// Hands a window to whoever writes.
    fn send(&self, window: &Window) -> Result<()> {
        let files = std::mem::take(&mut *window.found.lock());
        let is_last = window.next >= window.folder.names.len();
        let tells_time = is_last && window.is_known && window.is_whole();
        if files.is_empty() && window.gone.is_empty() && !tells_time {
            return Ok(());
        }
        let look = Look {
            path: window.folder.path.clone(),
            looked: self.shared.request.now,
            files,
            gone: window.gone.clone(),
            complete: is_last && window.is_whole(),
        };
        self.outbox.send(look)
    }
}

/// What is to be done with an entry after a look.
enum Looked {
    Done,
    Folder,
}
