//! The one algebra over trees: what a live directory, a stored tree and a bundle have in common.
//!
//! A [`Forest`] answers three questions: what its top is ([`Forest::root`]), what is in one folder ([`Forest::enter`]),
//! and what the bytes of one file are ([`Forest::open`], [`Forest::read_at`], [`Forest::full_hash`]). A folder is handed
//! over in parts ([`Part`]), so that one of a million entries takes no more memory than many of a thousand. Walks are
//! made of these:
//!
//! 1. [`leaves`] goes through a forest in path order, one part at a time, and gives each entry as soon as its part was
//!    read
//! 2. [`each_part`] goes through it with several threads, in no order, for jobs that need all of it soon
//!
//! Invariants: what cannot be read is told as a problem, by path, and never ends a walk; nothing is hashed by walking;
//! paths are bytes below the root, without a slash at either end, and that of the root is empty. Entries of a folder
//! ascend by name, from part to part.

use std::io::Read;
use std::path::PathBuf;

use bstr::{BStr, BString, ByteSlice};
use parking_lot::Mutex;

use super::fasthash::{self, FastHash};
use super::live::Live;
use crate::error::{Error, Result};
use crate::object::{Entry, HashAlgo, Kind, ObjectId};
use crate::progress::Progress;
use crate::tasks::Stack;
use crate::time::Timestamp;
use crate::walk::{Scope, Stat};

/// What an entry was found as.
#[derive(Clone, Debug)]
pub enum Origin {
    /// On a disk.
    Live {
        /// As it was when its folder was read.
        stat: Stat,
        /// The rules of the folder that holds it; kept for folders only.
        scope: Option<Box<Scope>>,
    },
    /// In a stored tree, with its name, metadata and content.
    Stored(Box<Entry>),
}

/// One entry of a forest.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Below the root, names with slashes between; empty for the root itself.
    pub path: BString,
    /// File, folder, link...
    pub kind: Kind,
    /// Bytes of a file's content.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// The plain hash of a file's bytes, where it is known without reading them.
    pub fullhash: Option<ObjectId>,
    /// Its sampled hash, where it is known.
    pub fasthash: Option<FastHash>,
    /// What else is known, by the kind of forest.
    pub origin: Origin,
}

impl Leaf {
    /// The last name of the path.
    pub fn name(&self) -> &BStr {
        let after = self.path.rfind_byte(b'/').map_or(0, |slash| slash + 1);
        self.path[after..].as_bstr()
    }

    /// How a live entry looked.
    pub fn stat(&self) -> Option<&Stat> {
        match &self.origin {
            Origin::Live { stat, .. } => Some(stat),
            Origin::Stored(_) => None,
        }
    }

    /// The path of what goes by `name` in this folder.
    pub fn child_path(&self, name: &[u8]) -> BString {
        match self.path.is_empty() {
            true => name.into(),
            false => [self.path.as_slice(), b"/", name].concat().into(),
        }
    }
}

/// Entries of one part: a third of a KiB each, and several parts are on their way at once.
pub const PART_ENTRIES: usize = 1024;

/// Some of what is in one folder: at most [`PART_ENTRIES`] entries.
#[derive(Debug, Default)]
pub struct Part {
    /// Entries, sorted by name.
    pub leaves: Vec<Leaf>,
    /// What could not be looked at, by path.
    pub problems: Vec<Error>,
    /// No part of this folder comes behind it.
    pub is_last: bool,
}

impl From<Error> for Part {
    /// All that is told of a folder that cannot be read.
    fn from(problem: Error) -> Self {
        Self {
            leaves: Vec::new(),
            problems: vec![problem],
            is_last: true,
        }
    }
}

/// The parts of a folder, each read when it is asked for. What is held in between is no more than the names.
pub type Parts<'f> = Box<dyn Iterator<Item = Part> + Send + 'f>;

/// A file that is known by path and length, to be found again.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// Its path in the forest.
    pub path: &'a BStr,
    /// Bytes of its content; a file with more or fewer is another one by now.
    pub size: u64,
}

/// A tree of files, wherever it is. All methods may be called from several threads at once.
pub trait Forest: Sync {
    /// How people name it: a path or a revision.
    fn label(&self) -> &BStr;

    /// The hash function of the full hashes that it gives.
    fn algo(&self) -> HashAlgo;

    /// Its top: a folder, or a single file.
    fn root(&self) -> Result<Leaf>;

    /// What is in a folder, part by part. Fails where nothing of it can be read.
    fn enter(&self, folder: &Leaf) -> Result<Parts<'_>>;

    /// The bytes of a file from its beginning. A live file that changed since it was looked at is refused.
    fn open(&self, file: &Leaf) -> Result<Box<dyn Read + Send + '_>>;

    /// Up to `bytes` bytes of a file from `offset`; less where it ends before.
    fn read_at(&self, file: &Leaf, offset: u64, bytes: usize) -> Result<Vec<u8>>;

    /// The plain hash of a file's bytes: as it is known, else by reading them. An error where a live file changed
    /// since it was looked at.
    fn full_hash(&self, file: &Leaf) -> Result<ObjectId>;

    /// What is at a path; an error where nothing is.
    fn find(&self, path: &BStr) -> Result<Leaf>;

    /// Where what is at a path is on this machine; none where it is in a store.
    fn live_path(&self, path: &BStr) -> Option<PathBuf>;

    /// The live tree that this is, if it is one: to act upon.
    fn as_live(&self) -> Option<&Live> {
        None
    }

    /// The sampled hash of a file.
    fn fast_hash(&self, file: &Sought<'_>) -> Result<FastHash> {
        let leaf = find_same(self, file)?;
        fasthash::of_parts(leaf.size, |offset, part| {
            let found = self.read_at(&leaf, offset, part.len())?;
            if found.len() != part.len() {
                return Err(changed(self, file.path));
            }
            part.copy_from_slice(&found);
            Ok(())
        })
    }

    /// The plain hashes of several files, each given to `each` with its number, in any order. For many small files this
    /// costs less than one after another.
    fn full_hashes(&self, files: &[Sought<'_>], progress: &Progress, each: &mut dyn FnMut(usize, Result<ObjectId>)) {
        for (number, file) in files.iter().enumerate() {
            let hash = progress.check().and_then(|()| self.full_hash(&find_same(self, file)?));
            progress.add(0, file.size);
            each(number, hash);
        }
    }
}

/// What is at a path, if it is a file of the length that is sought.
pub(super) fn find_same<F: Forest + ?Sized>(forest: &F, file: &Sought<'_>) -> Result<Leaf> {
    let leaf = forest.find(file.path)?;
    match leaf.kind == Kind::File && leaf.size == file.size {
        true => Ok(leaf),
        false => Err(changed(forest, file.path)),
    }
}

/// A file is not what it was when its folder was read.
pub(super) fn changed<F: Forest + ?Sized>(forest: &F, path: &BStr) -> Error {
    let whole = forest
        .live_path(path)
        .unwrap_or_else(|| PathBuf::from(path.to_string()));
    Error::io("read", whole)(std::io::Error::other("it changed since it was looked at"))
}

/// The entries of a forest in path order, folders before what is in them, the root left out unless it is a file.
///
/// An item that is an error is one thing that could not be read; the walk goes on behind it.
pub fn leaves(forest: &dyn Forest) -> Leaves<'_> {
    Leaves {
        forest,
        levels: Vec::new(),
        begun: false,
    }
}

/// See [`leaves`].
pub struct Leaves<'a> {
    forest: &'a dyn Forest,
    /// What is still to be given of each folder down to the current one.
    levels: Vec<Level<'a>>,
    begun: bool,
}

struct Level<'a> {
    parts: Parts<'a>,
    leaves: std::vec::IntoIter<Leaf>,
    problems: std::vec::IntoIter<Error>,
}

impl Level<'_> {
    /// Goes on with the next part; false where there is none.
    fn go_on(&mut self) -> bool {
        let Some(part) = self.parts.next() else { return false };
        self.leaves = part.leaves.into_iter();
        self.problems = part.problems.into_iter();
        true
    }
}

impl Leaves<'_> {
    fn enter(&mut self, folder: &Leaf) {
        self.levels.push(Level {
            parts: parts_of(self.forest, folder),
            leaves: Vec::new().into_iter(),
            problems: Vec::new().into_iter(),
        });
    }

    fn begin(&mut self) -> Option<Result<Leaf>> {
        match self.forest.root() {
            Ok(root) if root.kind == Kind::Directory => {
                self.enter(&root);
                None
            }
            root => Some(root),
        }
    }
}

impl Iterator for Leaves<'_> {
    type Item = Result<Leaf>;

    fn next(&mut self) -> Option<Self::Item> {
        if !std::mem::replace(&mut self.begun, true)
            && let Some(root) = self.begin()
        {
            return Some(root);
        }
        loop {
            let level = self.levels.last_mut()?;
            if let Some(problem) = level.problems.next() {
                return Some(Err(problem));
            }
            match level.leaves.next() {
                Some(leaf) => {
                    if leaf.kind == Kind::Directory {
                        self.enter(&leaf);
                    }
                    return Some(Ok(leaf));
                }
                None if level.go_on() => {}
                None => drop(self.levels.pop()),
            }
        }
    }
}

/// The parts of a folder; of one that cannot be read, the problem.
fn parts_of<'f>(forest: &'f dyn Forest, folder: &Leaf) -> Parts<'f> {
    let parts = forest.enter(folder);
    parts.unwrap_or_else(|problem| Box::new(std::iter::once(Part::from(problem))))
}

/// What a thread of a walk does next.
enum Task<'f> {
    /// Begins with a folder.
    Enter(Leaf),
    /// Goes on with one, of which some was read.
    GoOn(Leaf, Parts<'f>),
}

/// Goes through a forest with up to `threads` threads, in no order, and hands each part of a folder that was read, with
/// the folder's leaf, to `take` (from any thread). A root that is a file comes as the only leaf of a folder that is itself.
///
/// What `take` fails with ends the walk; a folder that cannot be read is one with a problem and nothing else. What is
/// below a part goes before the next part, so that few folders wait, however many one holds.
pub fn each_part(
    forest: &dyn Forest,
    threads: usize,
    progress: &Progress,
    take: &(dyn Fn(&Leaf, Part) -> Result<()> + Sync),
) -> Result<()> {
    let root = forest.root()?;
    if root.kind != Kind::Directory {
        let part = Part {
            leaves: vec![root.clone()],
            is_last: true,
            ..Part::default()
        };
        return take(&root, part);
    }
    let tasks = Stack::default();
    tasks.push([Task::Enter(root)]);
    let failed = Mutex::new(None);
    let walk = || {
        while let Some(task) = tasks.pop() {
            let has_failed = failed.lock().is_some();
            if has_failed {
                tasks.clear();
            } else if let Err(error) = step(forest, task, &tasks, progress, take) {
                failed.lock().get_or_insert(error);
            }
            tasks.done();
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(walk);
        }
        walk();
    });
    failed.into_inner().map_or(Ok(()), Err)
}

/// Reads a part of a folder and hands it on; others may go on behind and below it meanwhile.
fn step<'f>(
    forest: &'f dyn Forest,
    task: Task<'f>,
    tasks: &Stack<Task<'f>>,
    progress: &Progress,
    take: &(dyn Fn(&Leaf, Part) -> Result<()> + Sync),
) -> Result<()> {
    let (at, mut parts) = match task {
        Task::Enter(at) => {
            let parts = parts_of(forest, &at);
            (at, parts)
        }
        Task::GoOn(at, parts) => (at, parts),
    };
    progress.check()?;
    let Some(part) = parts.next() else { return Ok(()) };
    let rest = (!part.is_last).then(|| Task::GoOn(at.clone(), parts));
    let below = part.leaves.iter().rev().filter(|leaf| leaf.kind == Kind::Directory);
    // The last is done first.
    tasks.push(rest.into_iter().chain(below.cloned().map(Task::Enter)));
    take(&at, part)
}
