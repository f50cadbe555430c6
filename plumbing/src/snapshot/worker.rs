//! One thread of a scan: opens directories, reads files.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::Scan;
use super::before::{Before, content_of, tree_of};
use super::content::{Stored, store_changed};
use super::directory::{Dir, Found, Inner, Item};
use super::large::Read;
use super::links::Key;
use super::queue::Task;
use crate::error::{Error, Result};
use crate::object::{ContentRef, Entry, Kind, Node, ObjectKind};
use crate::store::Packer;
use crate::walk::cache::Fingerprint;
use crate::walk::{DirHandle, Names, Stat, Xattrs, stat_fd};

/// A file of at most this many bytes is read as a whole.
const SMALL_BYTES: u64 = 4 << 20;
/// Files up to this many bytes are gathered and hashed together.
const GATHERED_FILE_BYTES: u64 = 128 << 10;
/// Bytes that are gathered.
const GATHERED_BYTES: u64 = 512 << 10;
/// How often a file that changes while it is read is read.
const TRIES: usize = 3;

/// One thread of a scan.
pub struct Worker<'s, 'w> {
    pub scan: &'s Scan<'s>,
    pub packer: Packer<'w>,
    buffer: Vec<u8>,
}

/// A small file in a shared buffer.
struct Gathered {
    slot: usize,
    stat: Stat,
    range: std::ops::Range<usize>,
    xattrs: Xattrs,
    /// What it held before.
    before: Option<ContentRef>,
}

/// A file that was read.
struct FileRead {
    stat: Stat,
    node: Node,
    xattrs: Xattrs,
    /// What was recorded is not the last word.
    is_partial: bool,
}

impl<'s, 'w> Worker<'s, 'w> {
    pub fn new(scan: &'s Scan<'s>, packer: Packer<'w>) -> Self {
        Self {
            scan,
            packer,
            buffer: Vec::new(),
        }
    }

    /// Works until all is done.
    pub fn run(&mut self) -> Result<()> {
        while let Some(task) = self.scan.queue.pop() {
            let result = match task {
                // The thread that reads the file waits for it, whatever else went wrong.
                Task::Batch(batch) => batch.run(&mut self.packer),
                task => self.scan.check().and_then(|()| self.work(task)),
            };
            self.scan.queue.done();
            self.packer.counters().tell(self.scan.progress);
            if let Err(error) = result {
                // The others end at their next look.
                self.scan.fail();
                self.scan.queue.stop();
                return Err(error);
            }
        }
        Ok(())
    }

    fn work(&mut self, task: Task) -> Result<()> {
        match task {
            Task::Directory { parent, slot } => self.open_child(&parent, slot),
            Task::Files { dir, slots } => {
                self.read_files(&dir, &slots)?;
                self.release(dir)
            }
            Task::Batch(batch) => batch.run(&mut self.packer),
        }
    }

    pub fn problem(&self, path: Vec<u8>, op: &'static str, source: std::io::Error) {
        let shown = std::ffi::OsStr::from_bytes(&path).into();
        self.scan.problem(
            path.into(),
            Error::Io {
                op,
                path: shown,
                source,
            },
        );
    }

    /// Opens a directory of a window and begins with it.
    fn open_child(&mut self, parent: &Arc<Dir>, slot: usize) -> Result<()> {
        let (handle, scope, names, number, stat, is_same, before) = {
            let inner = parent.inner.lock();
            let item = &inner.window[slot];
            (
                inner.handle.clone(),
                inner.scope.clone(),
                inner.names.clone(),
                item.name,
                item.stat,
                inner.is_same(),
                tree_of(item.before.as_deref()),
            )
        };
        let name = names.get(number as usize);
        let path = parent.path_of(name);
        let opened = handle
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
            .and_then(|handle| {
                let child = handle.open_child(names.c_str(number as usize))?;
                let found = child.read_names()?;
                Ok((child, found))
            });
        let key = self.scan.child_key(&parent.key, name);
        let (child, found) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // What it holds is unknown, but that it is there is not.
                self.problem(path, "open directory", error);
                let tree = self.packer.put(ObjectKind::Tree, &crate::object::tree::EMPTY)?.0;
                let entry = self.entry(name, &stat, Xattrs::new(), Node::Directory { tree });
                self.settle(parent, slot, Fingerprint::NEVER, Found::Entry(Box::new(entry)));
                return self.release(parent.clone());
            }
        };
        if !is_same {
            let xattrs = match self.xattrs(|reader| reader.read(&child, stat.dev)) {
                Ok(xattrs) => xattrs,
                Err(error) => {
                    self.problem(path.clone(), "read attributes of", error);
                    Xattrs::new()
                }
            };
            // The tree is filled in when it is known.
            let tree = crate::object::ObjectId::hash(self.scan.store.algo(), &[]);
            let entry = self.entry(name, &stat, xattrs, Node::Directory { tree });
            parent.inner.lock().window[slot].found = Found::Entry(Box::new(entry));
        }
        let scope = scope.enter(name, stat.dev, &child, &found);
        let inner = Inner::new(child, scope, found, before);
        let dir = Dir::new(path.into(), key, Some((parent.clone(), slot)), inner);
        self.begin(&dir)
    }

    fn settle(&self, dir: &Dir, slot: usize, print: Fingerprint, found: Found) {
        if let Some(item) = dir.inner.lock().window.get_mut(slot) {
            if print.is_never() {
                item.print = print;
            }
            item.found = found;
        }
    }

    fn xattrs(
        &self,
        read: impl FnOnce(&crate::walk::XattrReader) -> std::io::Result<Xattrs>,
    ) -> std::io::Result<Xattrs> {
        if self.scan.request.xattrs {
            read(&self.scan.xattrs)
        } else {
            Ok(Xattrs::new())
        }
    }

    pub fn entry(&self, name: &[u8], stat: &Stat, xattrs: Xattrs, node: Node) -> Entry {
        Entry {
            name: name.into(),
            meta: self.scan.metadata(stat, xattrs),
            node,
        }
    }

    /// Reads some files of a window: small ones are gathered and hashed together.
    pub fn read_files(&mut self, dir: &Arc<Dir>, slots: &[usize]) -> Result<()> {
        let (handle, names) = {
            let inner = dir.inner.lock();
            (inner.handle.clone(), inner.names.clone())
        };
        let Some(handle) = handle else { return Ok(()) };
        let mut gathered = Vec::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        for &slot in slots {
            self.scan.check()?;
            let (number, stat, link, before) = {
                let mut inner = dir.inner.lock();
                let item: &mut Item = &mut inner.window[slot];
                (item.name as usize, item.stat, item.link, content_of(item.before.take()))
            };
            let name = names.c_str(number);
            let is_small = stat.kind == Kind::File && link.is_none() && stat.size <= GATHERED_FILE_BYTES;
            if is_small && let Some(found) = self.gather(&handle, name, slot, &stat, &mut buffer) {
                gathered.push(Gathered { before, ..found });
                if buffer.len() as u64 >= GATHERED_BYTES {
                    self.store_gathered(dir, &names, &mut gathered, &mut buffer)?;
                }
                continue;
            }
            let read = self.read_entry(&handle, name, &stat, (link, before))?;
            self.note(dir, slot, names.get(number), &stat, read);
        }
        self.store_gathered(dir, &names, &mut gathered, &mut buffer)?;
        self.buffer = buffer;
        Ok(())
    }

    /// Notes what became of an entry.
    fn note(
        &self,
        dir: &Arc<Dir>,
        slot: usize,
        name: &[u8],
        stat: &Stat,
        read: Result<FileRead, (&'static str, std::io::Error)>,
    ) {
        let (print, found) = match read {
            Ok(read) => {
                let entry = self.entry(name, &read.stat, read.xattrs, read.node);
                let never = read.is_partial || !read.stat.same_content(stat);
                if read.is_partial {
                    let problem = "it grew while it was read, or ended early; recorded is what was read";
                    self.problem(dir.path_of(name), "read all of", std::io::Error::other(problem));
                }
                let print = if never {
                    Fingerprint::NEVER
                } else {
                    dir.inner.lock().window[slot].print
                };
                (print, Found::Entry(Box::new(entry)))
            }
            Err((op, error)) => {
                self.problem(dir.path_of(name), op, error);
                (Fingerprint::NEVER, Found::Nothing)
            }
        };
        self.scan.progress.add(1, 0);
        self.settle(dir, slot, print, found);
    }

    /// Reads a small file to the end of `buffer`, if it reads and stays as it is; whatever is unusual goes the long way.
    fn gather(
        &self,
        dir: &DirHandle,
        name: &std::ffi::CStr,
        slot: usize,
        stat: &Stat,
        buffer: &mut Vec<u8>,
    ) -> Option<Gathered> {
        let fd = dir.open_file(name).ok()?;
        let start = buffer.len();
        let end = start + stat.size as usize;
        buffer.resize(end, 0);
        let whole = read_up_to(&fd, &mut buffer[start..]).ok() == Some(end - start);
        let xattrs = self.xattrs(|reader| reader.read(&fd, stat.dev)).ok();
        let unchanged = stat_fd(&fd).is_ok_and(|after| after.same_content(stat));
        match xattrs {
            Some(xattrs) if whole && unchanged => Some(Gathered {
                slot,
                stat: *stat,
                range: start..end,
                xattrs,
                before: None,
            }),
            _ => {
                buffer.truncate(start);
                None
            }
        }
    }

    /// Stores what was gathered.
    fn store_gathered(
        &mut self,
        dir: &Arc<Dir>,
        names: &Names,
        gathered: &mut Vec<Gathered>,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let content = |found: &mut Gathered| {
            let before = found
                .before
                .take()
                .map(|before| Before::new(before, Some(found.stat.size)));
            (&buffer[found.range.clone()], before)
        };
        let contents: Vec<_> = gathered.iter_mut().map(content).collect();
        let stored = store_changed(&mut self.packer, self.scan.request.chunk, &contents)?;
        self.scan.progress.add(0, buffer.len() as u64);
        for (found, stored) in gathered.drain(..).zip(stored) {
            let number = dir.inner.lock().window[found.slot].name as usize;
            let node = Node::File {
                content: stored.content,
                fullhash: stored.fullhash,
            };
            let read = FileRead {
                stat: found.stat,
                node,
                xattrs: found.xattrs,
                is_partial: false,
            };
            self.note(dir, found.slot, names.get(number), &found.stat, Ok(read));
        }
        buffer.clear();
        Ok(())
    }

    /// Reads what is not a directory. The outer error ends the job, the inner one is of this entry.
    fn read_entry(
        &mut self,
        dir: &DirHandle,
        name: &std::ffi::CStr,
        stat: &Stat,
        (link, before): (Option<Key>, Option<ContentRef>),
    ) -> Result<Result<FileRead, (&'static str, std::io::Error)>> {
        if stat.kind == Kind::File {
            if let Some(node) = link.and_then(|key| self.scan.links.content(&key, stat)) {
                let xattrs = match self.xattrs(|reader| reader.read_at(dir, name.to_bytes(), stat.dev)) {
                    Ok(xattrs) => xattrs,
                    Err(error) => return Ok(Err(("read attributes of", error))),
                };
                self.scan.progress.add(0, stat.size);
                return Ok(Ok(FileRead {
                    stat: *stat,
                    node,
                    xattrs,
                    is_partial: false,
                }));
            }
            let read = self.read_file(dir, name, stat, before.as_ref())?;
            if let (Ok(read), Some(key)) = (&read, link) {
                self.scan.links.set_content(&key, read.stat, read.node.clone());
            }
            return Ok(read);
        }
        let node = match stat.kind {
            Kind::Symlink => match dir.read_link(name) {
                Ok(target) => Node::Symlink { target },
                Err(error) => return Ok(Err(("read link", error))),
            },
            Kind::Fifo => Node::Fifo,
            Kind::Socket => Node::Socket,
            Kind::CharDevice => Node::CharDevice {
                major: stat.rdev_major,
                minor: stat.rdev_minor,
            },
            Kind::BlockDevice => Node::BlockDevice {
                major: stat.rdev_major,
                minor: stat.rdev_minor,
            },
            Kind::Whiteout | Kind::File | Kind::Directory => Node::Whiteout,
        };
        let xattrs = match self.xattrs(|reader| reader.read_at(dir, name.to_bytes(), stat.dev)) {
            Ok(xattrs) => xattrs,
            Err(error) => return Ok(Err(("read attributes of", error))),
        };
        Ok(Ok(FileRead {
            stat: *stat,
            node,
            xattrs,
            is_partial: false,
        }))
    }

    /// Reads a file until it looks after the read as it did before.
    fn read_file(
        &mut self,
        dir: &DirHandle,
        name: &std::ffi::CStr,
        stat: &Stat,
        content: Option<&ContentRef>,
    ) -> Result<Result<FileRead, (&'static str, std::io::Error)>> {
        let mut before = *stat;
        for attempt in 1..=TRIES {
            let fd = match dir.open_file(name) {
                Ok(fd) => fd,
                Err(error) => return Ok(Err(("open", error))),
            };
            if attempt > 1 || stat.size > SMALL_BYTES {
                before = match stat_fd(&fd) {
                    Ok(now) if now.kind == Kind::File => now,
                    Ok(_) => return Ok(Err(("read", std::io::Error::other("it is no longer a file")))),
                    Err(error) => return Ok(Err(("stat", error))),
                };
            }
            let stored = match self.store_file(&fd, &before, content)? {
                Ok(stored) => stored,
                Err(error) => return Ok(Err(("read", error))),
            };
            let xattrs = match self.xattrs(|reader| reader.read(&fd, before.dev)) {
                Ok(xattrs) => xattrs,
                Err(error) => return Ok(Err(("read attributes of", error))),
            };
            let after = match stat_fd(&fd) {
                Ok(after) => after,
                Err(error) => return Ok(Err(("stat", error))),
            };
            let (same, all) = (after.same_content(&before), stored.content.len() == before.size);
            let is_partial = !same || !all;
            // A file that only grows, a log for instance, is recorded as it was at first; others are never half there.
            // One that ends early although nothing changed, as those of the kernel do, has no more to give.
            let grew = after.ino == before.ino && after.size > before.size && all;
            if !is_partial || (attempt == TRIES && (grew || same)) {
                let node = Node::File {
                    content: stored.content,
                    fullhash: stored.fullhash,
                };
                return Ok(Ok(FileRead {
                    stat: before,
                    node,
                    xattrs,
                    is_partial,
                }));
            }
        }
        let problem = format!("it changed while it was read, {TRIES} times; it is not recorded");
        Ok(Err(("read", std::io::Error::other(problem))))
    }

    /// Stores the content of a file that looks like `stat` and held `before`.
    fn store_file(
        &mut self,
        fd: &OwnedFd,
        stat: &Stat,
        before: Option<&ContentRef>,
    ) -> Result<std::io::Result<Stored>> {
        let before = before.map(|before| Before::new(before.clone(), Some(stat.size)));
        if stat.size > SMALL_BYTES {
            return Ok(match self.store_large(fd, stat, before)? {
                Read::Stored(stored) => Ok(stored),
                Read::Failed(error) => Err(error),
            });
        }
        let mut buffer = vec![0; stat.size as usize];
        match read_up_to(fd, &mut buffer) {
            Ok(found) => buffer.truncate(found),
            Err(error) => return Ok(Err(error)),
        }
        self.scan.progress.add(0, buffer.len() as u64);
        let stored = store_changed(&mut self.packer, self.scan.request.chunk, &[(&buffer, before)])?.pop();
        stored.map(Ok).ok_or(Error::Interrupted)
    }

    /// Reads an entry that is a root of its own, and held `before`.
    pub fn root_entry(
        &mut self,
        dir: &DirHandle,
        name: &std::ffi::CStr,
        stat: &Stat,
        before: Option<ContentRef>,
    ) -> Result<Option<Entry>> {
        match self.read_entry(dir, name, stat, (None, before))? {
            Ok(read) => Ok(Some(self.entry(name.to_bytes(), &read.stat, read.xattrs, read.node))),
            Err((op, error)) => {
                self.problem(name.to_bytes().to_vec(), op, error);
                Ok(None)
            }
        }
    }
}

/// Reads from the beginning of a file until the buffer is full or the file ends; gives the bytes read.
fn read_up_to(fd: &OwnedFd, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let space = &mut buffer[filled..];
        match rustix::io::retry_on_intr(|| rustix::io::pread(fd, &mut *space, filled as u64))? {
            0 => break,
            found => filled += found,
        }
    }
    Ok(filled)
}
