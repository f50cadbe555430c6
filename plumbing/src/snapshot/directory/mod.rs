//! One directory on its way to a tree.
//!
//! 1. Its names are listed and looked at; each entry gets a fingerprint. If all are those of the last scan, nothing in
//!    it is read: only its child directories are gone into, and when their trees too are those of then, so is its own.
//! 2. Otherwise its entries are taken in windows of [`WINDOW`]: what is unchanged is copied from the last tree
//!    ([`last`]), what is not is read, and when all of a window is known it is added to the new tree ([`build`]).
//!    Memory is one window, however many entries there are.
//! 3. When the tree is known the directory above is told. A directory that holds a name of an inode whose other names
//!    were not all seen waits until the walk is over (see [`super::links`]).

mod build;
mod last;
mod moved;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use self::build::Build;
use self::last::{Known, Old};
pub use self::moved::Gone;
use super::links::{Group, Key};
use super::queue::Task;
use super::worker::Worker;
use crate::error::Result;
use crate::object::{Entry, Kind, Node, ObjectId};
use crate::walk::cache::{DirKey, Fingerprint};
use crate::walk::{DirHandle, Names, Reason, Scope, Stat};

/// Entries that are looked at together.
const WINDOW: usize = 4096;
/// Files that one task reads.
const FILES_PER_TASK: usize = 48;

/// A directory on its way.
pub struct Dir {
    /// Its path below the root, without slashes at the ends; empty for the root.
    pub path: Box<[u8]>,
    pub key: DirKey,
    parent: Option<(Arc<Dir>, usize)>,
    /// Tasks of the current window that are not done, and one for whoever adds them.
    waiting: AtomicUsize,
    pub inner: Mutex<Inner>,
}

/// What changes while a directory is on its way.
pub struct Inner {
    pub handle: Option<Arc<DirHandle>>,
    pub scope: Scope,
    pub names: Arc<Names>,
    /// Numbers of the names that the rules keep.
    kept: Vec<u32>,
    prints: Vec<Fingerprint>,
    /// The stats of all kept names, where they fit one window.
    stats: Vec<Stat>,
    pub window: Vec<Item>,
    next: usize,
    /// All entries look as they did, and this was the tree then.
    same: Option<ObjectId>,
    links: Vec<(usize, Key)>,
    /// Its tree in an earlier snapshot, where the last scan did not see it.
    before: Option<ObjectId>,
    old: Old,
    build: Build,
}

/// One entry of a window.
pub struct Item {
    pub name: u32,
    pub stat: Stat,
    pub print: Fingerprint,
    pub link: Option<Key>,
    /// What the name stood for before, if it is to be read and that is known.
    pub before: Option<Box<Node>>,
    /// The leaf of the last tree that holds the names around its own.
    pub like: Option<ObjectId>,
    pub found: Found,
}

/// What became of an entry.
pub enum Found {
    /// It is to be read.
    Open,
    /// It could not be read, or is gone.
    Nothing,
    /// It is known.
    Entry(Box<Entry>),
    /// The tree of a directory whose own entry is in the tree that it had.
    Child {
        /// Its tree.
        tree: ObjectId,
        /// Whether that is the tree it had.
        unchanged: bool,
    },
}

impl Dir {
    pub fn new(path: Box<[u8]>, key: DirKey, parent: Option<(Arc<Dir>, usize)>, inner: Inner) -> Arc<Self> {
        Arc::new(Self {
            path,
            key,
            parent,
            waiting: AtomicUsize::new(1),
            inner: Mutex::new(inner),
        })
    }

    /// The path of an entry below the root.
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.len());
        path.extend_from_slice(&self.path);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }
}

impl Inner {
    /// `before` is the tree that the directory had in an earlier snapshot, if that is known.
    pub fn new(handle: DirHandle, scope: Scope, names: Names, before: Option<ObjectId>) -> Self {
        let inner = Self::with(Some(Arc::new(handle)), scope, Arc::new(names));
        Self { before, ..inner }
    }

    fn with(handle: Option<Arc<DirHandle>>, scope: Scope, names: Arc<Names>) -> Self {
        Self {
            handle,
            scope,
            names,
            kept: Vec::new(),
            prints: Vec::new(),
            stats: Vec::new(),
            window: Vec::new(),
            next: 0,
            same: None,
            links: Vec::new(),
            before: None,
            old: Old::default(),
            build: Build::default(),
        }
    }
}

impl Inner {
    /// Whether all entries look as they did.
    pub fn is_same(&self) -> bool {
        self.same.is_some()
    }
}

impl Worker<'_, '_> {
    /// Looks at the entries of a directory that was just opened, and begins with them.
    pub fn begin(&mut self, dir: &Arc<Dir>) -> Result<()> {
        let mut inner = dir.inner.lock();
        self.look(dir, &mut inner)?;
        let record = self.scan.cache.as_ref().and_then(|cache| cache.directory(&dir.key));
        if let Some(record) = record {
            // One more stands for hard-link groups, if there were any; it is compared when they are known.
            let (now, was) = (inner.prints.len(), record.fingerprints.len());
            let same = (was == now || (was == now + 1 && !inner.links.is_empty()))
                && inner
                    .prints
                    .iter()
                    .zip(record.fingerprints.iter())
                    .all(|(now, was)| now.matches(was));
            if same && !self.scan.request.trust_hash {
                inner.same = Some(record.tree);
            } else {
                inner.old = Old::new(record.tree, record.fingerprints.iter().collect());
            }
        } else if let Some(before) = inner.before {
            // Without fingerprints nothing in it is trusted; but what changed is likely to be like it.
            inner.old = Old::new(before, Vec::new());
        }
        if inner.same.is_none() {
            drop(inner);
            return self.next_window(dir);
        }
        // Only directories need a look; the rest of the window stays empty.
        let names = inner.names.clone();
        let stats = std::mem::take(&mut inner.stats);
        let mut window = Vec::new();
        for (at, &name) in inner.kept.iter().enumerate() {
            let stat = match stats.get(at) {
                Some(stat) => *stat,
                None if names.kind(name as usize).is_some_and(|kind| kind != Kind::Directory) => continue,
                None => match self.stat(&inner, name) {
                    Ok(stat) => stat,
                    Err(_) => continue,
                },
            };
            if stat.kind == Kind::Directory {
                let print = inner.prints[at];
                window.push(Item {
                    name,
                    stat,
                    print,
                    link: None,
                    before: None,
                    like: None,
                    found: Found::Open,
                });
            }
        }
        let files = (inner.kept.len() - window.len()) as u64;
        self.scan.progress.add(files, 0);
        inner.window = window;
        let children = (0..inner.window.len()).collect();
        drop(inner);
        self.enter(dir, children, &[])?;
        self.release(dir.clone())
    }

    fn stat(&self, inner: &Inner, name: u32) -> std::io::Result<Stat> {
        match &inner.handle {
            Some(handle) => handle.stat(inner.names.c_str(name as usize)),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    /// Looks at all names and drops those that the rules leave out.
    fn look(&mut self, dir: &Dir, inner: &mut Inner) -> Result<()> {
        if inner.scope.keeps_nothing() {
            return Ok(());
        }
        let one_window = inner.names.len() <= WINDOW;
        let names = inner.names.clone();
        inner.prints.reserve_exact(names.len());
        for number in 0..names.len() as u32 {
            let name = names.get(number as usize);
            let stat = match self.stat(inner, number) {
                Ok(stat) => stat,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => {
                    self.problem(dir.path_of(name), "stat", e);
                    continue;
                }
            };
            if let Some(reason) = inner.scope.excluded(name, stat.kind, stat.size) {
                // That a repository is not in itself needs no mention.
                if reason != Reason::Repository {
                    self.scan.count_excluded();
                }
                continue;
            }
            let at = inner.kept.len();
            inner.kept.push(number);
            inner.prints.push(self.scan.prints.entry(name, &stat));
            if stat.nlink > 1 && stat.kind != Kind::Directory {
                inner.links.push((at, self.scan.links.see(&stat, &dir.path_of(name))));
            }
            self.scan.count(&stat);
            if one_window {
                inner.stats.push(stat);
            }
        }
        self.scan.check()
    }

    /// Takes the next entries, or ends the directory when there are none.
    fn next_window(&mut self, dir: &Arc<Dir>) -> Result<()> {
        let mut inner = dir.inner.lock();
        let names = inner.names.clone();
        let (from, to) = (inner.next, (inner.next + WINDOW).min(inner.kept.len()));
        inner.next = to;
        let mut window = Vec::with_capacity(to - from);
        let stats = std::mem::take(&mut inner.stats);
        let (mut children, mut files) = (Vec::new(), Vec::new());
        for at in from..to {
            let number = inner.kept[at];
            let name = names.get(number as usize);
            let stat = match stats.get(at) {
                Some(stat) => *stat,
                None => match self.stat(&inner, number) {
                    Ok(stat) => stat,
                    Err(_) => continue,
                },
            };
            // It was looked at twice in a long directory; between, it may have changed.
            let print = self.scan.prints.entry(name, &stat);
            let link = inner
                .links
                .binary_search_by_key(&at, |link| link.0)
                .ok()
                .map(|i| inner.links[i].1);
            let is_doubted = self.scan.request.trust_hash && stat.kind == Kind::File;
            let (found, before) = match inner.old.find(self.scan.store, name, print) {
                Some(Known::Same(entry)) if entry.kind() == stat.kind && !is_doubted => match stat.kind {
                    Kind::Directory => (Found::Open, Some(entry.node)),
                    _ => {
                        self.scan.progress.add(1, 0);
                        (Found::Entry(Box::new(entry)), None)
                    }
                },
                Some(Known::Same(entry)) => (Found::Open, Some(entry.node)),
                Some(Known::Other(node)) => (Found::Open, Some(node)),
                None => (Found::Open, None),
            };
            match (&found, stat.kind) {
                (Found::Open, Kind::Directory) => children.push(window.len()),
                (Found::Open, _) => files.push(window.len()),
                _ => {}
            }
            window.push(Item {
                name: number,
                stat,
                print,
                link,
                before: before.map(Box::new),
                like: inner.old.leaf(),
                found,
            });
        }
        let is_last = to == inner.kept.len();
        let gone = inner.old.gone(self.scan.store, is_last);
        self.guess_before(&names, &mut window, gone);
        inner.window = window;
        dir.waiting.store(1, Ordering::Release);
        drop(inner);
        self.enter(dir, children, &files)?;
        self.release(dir.clone())
    }

    /// Looks for what names that are new may have been before, among what is gone.
    fn guess_before(&self, names: &Names, window: &mut [Item], gone: Vec<Entry>) {
        for item in window {
            if !matches!(item.found, Found::Open) || item.before.is_some() || !self.packer.takes_bases() {
                continue;
            }
            let (name, kind, bytes) = (names.get(item.name as usize), item.stat.kind, item.stat.size);
            let before = moved::renamed(&gone, name, kind, bytes).or_else(|| self.scan.gone.find(name, kind, bytes));
            item.before = before.map(Box::new);
        }
        self.scan.gone.add(gone);
    }

    /// Adds the tasks of a window; few files are read at once.
    fn enter(&mut self, dir: &Arc<Dir>, children: Vec<usize>, files: &[usize]) -> Result<()> {
        let batches = if files.len() > 2 * FILES_PER_TASK {
            files.chunks(FILES_PER_TASK).len()
        } else {
            0
        };
        dir.waiting.fetch_add(children.len() + batches, Ordering::AcqRel);
        let child = |slot| Task::Directory {
            parent: dir.clone(),
            slot,
        };
        self.scan.queue.push(children.into_iter().rev().map(child));
        if batches == 0 {
            return self.read_files(dir, files);
        }
        let task = |slots: &[usize]| Task::Files {
            dir: dir.clone(),
            slots: slots.to_vec(),
        };
        self.scan.queue.push(files.chunks(FILES_PER_TASK).rev().map(task));
        Ok(())
    }

    /// Notes that a task of the directory is done; the last one goes on with it, and with those above.
    pub fn release(&mut self, dir: Arc<Dir>) -> Result<()> {
        let mut dir = dir;
        while dir.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            match self.window_done(&dir)? {
                Some(parent) => dir = parent,
                None => break,
            }
        }
        Ok(())
    }

    /// All of a window is known. Gives the directory above when this one is finished.
    fn window_done(&mut self, dir: &Arc<Dir>) -> Result<Option<Arc<Dir>>> {
        let mut inner = dir.inner.lock();
        if inner.same.is_none() {
            self.add_window(&mut inner)?;
            if inner.next < inner.kept.len() {
                drop(inner);
                self.next_window(dir)?;
                return Ok(None);
            }
        }
        drop(inner);
        self.finish(dir)
    }

    /// Ends a directory, unless it must wait for the end of the walk. Gives the directory above.
    pub fn finish(&mut self, dir: &Arc<Dir>) -> Result<Option<Arc<Dir>>> {
        let mut inner = dir.inner.lock();
        let unknown = inner
            .links
            .iter()
            .any(|(_, key)| self.scan.links.group(key) == Group::Unknown);
        if unknown && self.scan.links.defer(dir) {
            inner.handle = None;
            return Ok(None);
        }
        let (tree, unchanged) = match inner.same {
            Some(tree) => match self.finish_same(dir, &mut inner, tree) {
                Ok(done) => done,
                Err(e) if e.is_damage() && inner.handle.is_some() => {
                    // The last tree cannot be read: everything is read again.
                    (inner.same, inner.build) = (None, Build::default());
                    drop(inner);
                    self.next_window(dir)?;
                    return Ok(None);
                }
                Err(e) => return Err(e),
            },
            None => (self.finish_built(&mut inner)?, false),
        };
        self.scan.keep_record(dir.key, tree, &inner.build.prints);
        // A directory may be kept for long by those below it that wait for the end of the walk.
        let scope = inner.scope.clone();
        *inner = Inner::with(None, scope, Arc::default());
        drop(inner);
        let Some((parent, slot)) = dir.parent.clone() else {
            self.scan.set_root(tree);
            return Ok(None);
        };
        if let Some(item) = parent.inner.lock().window.get_mut(slot) {
            item.found = match std::mem::replace(&mut item.found, Found::Nothing) {
                Found::Entry(mut entry) => {
                    entry.node = Node::Directory { tree };
                    Found::Entry(entry)
                }
                _ => Found::Child { tree, unchanged },
            };
        }
        Ok(Some(parent))
    }
}
