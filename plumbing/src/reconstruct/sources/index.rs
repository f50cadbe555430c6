//! The files of the target and of the sources whose size is wanted, and what has been found out about them.
//!
//! 1. The sizes of all files of the tree are collected.
//! 2. Each directory is walked once, in path order and with one open handle at a time. A file is kept as its size, its
//!    directory and its name; all else is forgotten at once, so that a source of a million files costs what its
//!    candidates cost.
//! 3. The candidates are sorted by size, name and place, in this order: the target, the sources as they were given. So
//!    those of one size are a range, and those of one name in it, too.
//! 4. A [`Group`] of one size is made when it is first asked for. It knows which candidates have been hashed, and to
//!    what.
//!
//! A walk follows no link, and enters neither a `.ghost` nor, in a source, the target. What it cannot read is a note.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BString, ByteSlice};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};

use super::Elsewhere;
use super::Why;
use super::assemble::Kin;
use super::open::{Opened, open_any_beneath, open_beneath};
use crate::error::{Error, Result};
use crate::ghosts::fasthash::FastHash;
use crate::object::tree::Entries;
use crate::object::{Kind, Node, ObjectId};
use crate::reconstruct::Context;
use crate::reconstruct::target::is_repository;
use crate::store::Store;
use crate::walk::DirHandle;

/// Stands for the top of a tree.
const TOP: u32 = u32::MAX;

/// A directory of which files may be used.
#[derive(Debug)]
struct Tree {
    path: PathBuf,
    root: OwnedFd,
    is_target: bool,
}

/// A directory of one of them.
#[derive(Debug)]
struct Folder {
    above: u32,
    name: Box<[u8]>,
}

/// A file that may have a wanted content: 24 bytes, since there may be millions.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    bytes: u64,
    folder: u32,
    /// Where its name begins in the names of all.
    name: u32,
    name_bytes: u16,
    tree: u16,
}

/// Names a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Number(u32);

/// The candidates of one size.
#[derive(Debug)]
pub(super) struct Group {
    /// Where they stand among all candidates.
    range: Range<usize>,
    /// How far all have been handed out.
    next: usize,
    /// Those handed out out of turn.
    early: HashSet<u32>,
    /// Those handed out and given back, not hashed.
    pub postponed: Vec<Number>,
    /// Those of which only the sampled hash is known.
    sampled: Vec<(Number, FastHash)>,
    /// By what they were hashed to, the last of each.
    known: HashMap<ObjectId, Number>,
    /// The one of the same content that was hashed before it, where there is one.
    before: HashMap<Number, Number>,
}

/// All candidates.
#[derive(Debug)]
pub(super) struct Index {
    trees: Vec<Tree>,
    folders: Vec<Folder>,
    candidates: Vec<Candidate>,
    /// The names of all candidates, one behind the other.
    names: Vec<u8>,
    groups: Mutex<HashMap<u64, Arc<Mutex<Group>>>>,
    /// The second names of files of the target that were replaced, by their paths in it.
    renamed: Mutex<HashMap<BString, BString>>,
}

impl Index {
    /// Walks the target and all sources. What cannot be read is reported and left out.
    pub fn build(context: &Context<'_>, elsewhere: &Elsewhere<'_>) -> Self {
        let mut index = Self {
            trees: Vec::new(),
            folders: Vec::new(),
            candidates: Vec::new(),
            names: Vec::new(),
            groups: Mutex::default(),
            renamed: Mutex::default(),
        };
        let wanted = wanted_sizes(context.store, elsewhere.tree);
        let roots = std::iter::once(&context.target).chain(&elsewhere.sources.trees);
        for (number, path) in roots.enumerate() {
            // A target that a rehearsal would make is not there.
            let is_target = number == 0;
            match index.add_tree(context, path, is_target, &wanted) {
                Err(Error::Io { source, .. }) if is_target && source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => context.report.unread_source(path.clone(), error),
                Ok(()) => {}
            }
        }
        let Self { candidates, names, .. } = &mut index;
        let key = |candidate: &Candidate| (candidate.bytes, name_in(names, candidate), candidate.tree);
        // Stable, so that those of one tree stay in path order.
        candidates.sort_by(|a, b| key(a).cmp(&key(b)));
        index
    }

    fn add_tree(&mut self, context: &Context<'_>, path: &Path, is_target: bool, wanted: &HashSet<u64>) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::sys("open", path))?;
        // Beyond what a command line can name.
        let Ok(tree) = u16::try_from(self.trees.len()) else {
            return Ok(());
        };
        self.trees.push(Tree {
            path: path.to_owned(),
            root,
            is_target,
        });
        let target = rustix::fs::stat(&context.target).ok().filter(|_| !is_target);
        let mut pending = vec![TOP];
        while let Some(folder) = pending.pop() {
            context.progress.check()?;
            let below = self.folders.len();
            if let Err(source) = self.add_folder(tree, folder, target.as_ref(), wanted) {
                let path = self.folder_path(tree, folder);
                let op = "list";
                context
                    .report
                    .unread_source(path.clone(), Error::Io { op, path, source });
            }
            // Reversed, so that they are visited in their order.
            pending.extend(
                (below..self.folders.len())
                    .rev()
                    .filter_map(|at| u32::try_from(at).ok()),
            );
        }
        Ok(())
    }

    /// Notes the files and folders in one directory.
    fn add_folder(
        &mut self,
        tree: u16,
        folder: u32,
        target: Option<&rustix::fs::Stat>,
        wanted: &HashSet<u64>,
    ) -> std::io::Result<()> {
        let handle = self.open_folder(tree, folder)?;
        let here = handle.stat_self()?;
        if target.is_some_and(|target| (target.st_dev, target.st_ino) == (here.dev, here.ino)) {
            return Ok(());
        }
        let names = handle.read_names()?;
        for at in 0..names.len() {
            let name = names.get(at);
            let kind = match names.kind(at) {
                Some(kind) => kind,
                None => handle.stat(names.c_str(at))?.kind,
            };
            match kind {
                Kind::Directory if !is_repository(name) => self.folders.push(Folder {
                    above: folder,
                    name: name.into(),
                }),
                Kind::File => {
                    // A file that vanished meanwhile is no candidate.
                    let Ok(stat) = handle.stat(names.c_str(at)) else {
                        continue;
                    };
                    if stat.kind == Kind::File && wanted.contains(&stat.size) {
                        self.add_candidate(tree, folder, name, stat.size);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes a file. One of more than four billion bytes of names is left out: nobody has looked for it then.
    fn add_candidate(&mut self, tree: u16, folder: u32, name: &[u8], bytes: u64) {
        let (Ok(start), Ok(name_bytes)) = (u32::try_from(self.names.len()), u16::try_from(name.len())) else {
            return;
        };
        self.names.extend_from_slice(name);
        self.candidates.push(Candidate {
            bytes,
            folder,
            name: start,
            name_bytes,
            tree,
        });
    }

    fn name(&self, candidate: &Candidate) -> &[u8] {
        name_in(&self.names, candidate)
    }

    /// Opens a directory of a tree by its names, so that no more than one is open at a time.
    fn open_folder(&self, tree: u16, folder: u32) -> std::io::Result<DirHandle> {
        let tree = &self.trees[usize::from(tree)];
        let mut handle = DirHandle::open_root(&tree.path)?;
        for name in self.folder_names(folder) {
            handle = handle.open_child(name)?;
        }
        Ok(handle)
    }

    /// The names that lead to a directory from the top of its tree.
    fn folder_names(&self, folder: u32) -> Vec<&[u8]> {
        let mut names = Vec::new();
        let mut at = folder;
        while let Some(folder) = self.folders.get(at as usize) {
            names.push(folder.name.as_ref());
            at = folder.above;
        }
        names.reverse();
        names
    }

    fn folder_path(&self, tree: u16, folder: u32) -> PathBuf {
        let mut path = self.trees[usize::from(tree)].path.clone();
        path.extend(self.folder_names(folder).into_iter().map(std::ffi::OsStr::from_bytes));
        path
    }

    fn candidate(&self, number: Number) -> &Candidate {
        &self.candidates[number.0 as usize]
    }

    /// The path of a candidate.
    pub fn path(&self, number: Number) -> PathBuf {
        let candidate = self.candidate(number);
        let mut path = self.folder_path(candidate.tree, candidate.folder);
        path.push(std::ffi::OsStr::from_bytes(self.name(candidate)));
        path
    }

    /// Whether a candidate is a file of the target.
    pub fn is_in_target(&self, number: Number) -> bool {
        self.trees[usize::from(self.candidate(number).tree)].is_target
    }

    /// Whether there are candidates of a size.
    pub fn has_size(&self, bytes: u64) -> bool {
        self.candidates
            .binary_search_by_key(&bytes, |candidate| candidate.bytes)
            .is_ok()
    }

    /// Notes that a file of the target has another name now.
    pub fn rename(&self, path: BString, name: BString) {
        self.renamed.lock().insert(path, name);
    }

    /// The files at a path of the tree, in the target and in all sources, however long they are.
    pub fn kin(&self, path: &[u8]) -> Vec<Kin> {
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let at = |tree: &Tree| {
            let opened = open_any_beneath(tree.root.as_fd(), &names).ok()?;
            let path = tree.path.join(std::ffi::OsStr::from_bytes(path));
            Some(Kin { path, opened })
        };
        self.trees.iter().filter_map(at).collect()
    }

    /// Opens a candidate.
    pub fn open(&self, number: Number) -> Result<Opened, Why> {
        let candidate = self.candidate(number);
        let mut names = self.folder_names(candidate.folder);
        names.push(self.name(candidate));
        let renamed = match self.is_in_target(number) {
            true => self.renamed.lock().get(bstr::join("/", &names).as_bstr()).cloned(),
            false => None,
        };
        if let (Some(name), Some(last)) = (&renamed, names.last_mut()) {
            *last = name;
        }
        open_beneath(self.root(candidate), &names, candidate.bytes)
    }

    fn root(&self, candidate: &Candidate) -> BorrowedFd<'_> {
        self.trees[usize::from(candidate.tree)].root.as_fd()
    }

    /// The candidates of a size.
    pub fn group(&self, bytes: u64) -> Arc<Mutex<Group>> {
        let mut groups = self.groups.lock();
        let group = groups.entry(bytes).or_insert_with(|| {
            let from = self.candidates.partition_point(|candidate| candidate.bytes < bytes);
            let to = self.candidates.partition_point(|candidate| candidate.bytes <= bytes);
            Arc::new(Mutex::new(Group {
                range: from..to,
                next: from,
                early: HashSet::new(),
                postponed: Vec::new(),
                sampled: Vec::new(),
                known: HashMap::new(),
                before: HashMap::new(),
            }))
        });
        group.clone()
    }

    /// Whether a candidate has this path in its tree.
    fn is_at(&self, candidate: &Candidate, path: &[u8]) -> bool {
        let mut names = self.folder_names(candidate.folder);
        names.push(self.name(candidate));
        bstr::join("/", names) == path
    }
}

/// The name of a candidate in the names of all.
fn name_in<'n>(names: &'n [u8], candidate: &Candidate) -> &'n [u8] {
    &names[candidate.name as usize..][..usize::from(candidate.name_bytes)]
}

impl Group {
    /// Those that were hashed to this, in the order in which that was done.
    pub fn known(&self, id: &ObjectId) -> Vec<Number> {
        let last = self.known.get(id).copied();
        let mut known: Vec<Number> = std::iter::successors(last, |number| self.before.get(number).copied()).collect();
        known.reverse();
        known
    }

    /// The next of this name that has not been hashed: the one with the path of the tree before all others.
    pub fn take_namesake(&mut self, index: &Index, path: &[u8]) -> Option<Number> {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let all = &index.candidates[self.range.clone()];
        let from = self.range.start + all.partition_point(|candidate| index.name(candidate) < name);
        let to = self.range.start + all.partition_point(|candidate| index.name(candidate) <= name);
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let free = |at: &usize| *at >= self.next && !self.early.contains(&number(*at));
        let here = |at: &usize| index.is_at(&index.candidates[*at], path);
        let found = (from..to).filter(free).find(here).or_else(|| (from..to).find(free))?;
        self.early.insert(number(found));
        Some(Number(number(found)))
    }

    /// The next that has not been hashed.
    pub fn take_any(&mut self) -> Option<Number> {
        loop {
            let at = self.next;
            if at >= self.range.end {
                return None;
            }
            self.next += 1;
            let number = u32::try_from(at).ok()?;
            if !self.early.remove(&number) {
                return Some(Number(number));
            }
        }
    }

    /// Whether there are some of which only the sampled hash is known.
    pub fn has_sampled(&self) -> bool {
        !self.sampled.is_empty()
    }

    /// One of which only the sampled hash is known, if it may be this; any where nothing is asked.
    pub fn take_sampled(&mut self, fast: Option<FastHash>) -> Option<Number> {
        let fits = |(_, found): &(Number, FastHash)| fast.is_none_or(|fast| fast == *found);
        let at = self.sampled.iter().position(fits)?;
        Some(self.sampled.swap_remove(at).0)
    }

    /// Notes the sampled hash of a candidate.
    pub fn note_sampled(&mut self, number: Number, fast: FastHash) {
        self.sampled.push((number, fast));
    }

    /// Notes what a candidate was hashed to, once.
    pub fn note(&mut self, number: Number, id: ObjectId) {
        if let Some(before) = self.known.insert(id, number) {
            self.before.insert(number, before);
        }
    }

    /// Forgets a candidate that is not what it was.
    pub fn forget(&mut self, number: Number, id: &ObjectId) {
        let mut others = self.known(id);
        others.retain(|known| *known != number);
        self.known.remove(id);
        for known in others.iter().chain([&number]) {
            self.before.remove(known);
        }
        others.into_iter().for_each(|known| self.note(known, *id));
    }
}

/// The sizes of all files of a tree whose bytes are named by an object. What cannot be read is left out: the job itself
/// says so.
fn wanted_sizes(store: &Store, tree: ObjectId) -> HashSet<u64> {
    let mut sizes = HashSet::new();
    let mut seen = HashSet::new();
    seen.insert(tree);
    let mut pending = vec![tree];
    while let Some(tree) = pending.pop() {
        for entry in Entries::new(store, tree).flatten() {
            match entry.node {
                Node::Directory { tree } if seen.insert(tree) => pending.push(tree),
                Node::File { content, .. } if content.object().is_some() => {
                    sizes.insert(content.len());
                }
                _ => {}
            }
        }
    }
    sizes
}
