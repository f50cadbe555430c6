//! The files of the target and of the sources whose size is wanted.
//!
//! 1. The sizes of all files of the tree are collected, and numbered in their order.
//! 2. Each directory is walked once, in path order and with one open handle at a time. A file is noted as the number of
//!    its size and where its name begins in the names of all; all else is forgotten at once.
//! 3. The candidates are sorted by size, name and place, in this order: the target, the sources as they were given. So
//!    those of one size are a range, and those of one name in it, too; and the numbers of their sizes go.
//!
//!    A candidate's directory is the one that was walked when its name was added. So a source of a million files costs
//!    what its candidates cost: four bytes each, two, and those of its name.
//! 4. What is found out about those of one size is kept by their [`Group`].
//!
//! A walk follows no link, and enters neither a `.ghost` nor, in a source, the target. What it cannot read is a note.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hashbrown::HashSet;
use rustix::fs::{Mode, OFlags};

use super::Elsewhere;
use super::Why;
use super::assemble::Kin;
use super::group::{Findings, Group, Number};
use super::names::Names;
use super::open::{Opened, open_any_beneath, open_beneath};
use super::second::SecondNames;
use crate::error::{Error, Result};
use crate::object::tree::Entries;
use crate::object::{Kind, Node, ObjectId};
use crate::reconstruct::Context;
use crate::reconstruct::target::is_repository;
use crate::store::Store;
use crate::walk::DirHandle;

/// Stands above the top of a tree.
const NONE: u32 = u32::MAX;

/// A directory of which files may be used.
#[derive(Debug)]
struct Tree {
    path: PathBuf,
    root: OwnedFd,
    is_target: bool,
}

/// A directory of one of them, or its top.
#[derive(Clone, Copy, Debug)]
struct Folder {
    above: u32,
    name: NameAt,
    tree: u16,
}

/// A file that may have a wanted content, before all are sorted.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// The number of its size.
    size: u32,
    name: NameAt,
}

/// Where a name begins in the names of all. What was found later has the greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NameAt(u32);

impl NameAt {
    /// Adds a name. None where there are more than four billion bytes of names, or of this one more than Linux knows.
    fn add(names: &mut Names, name: &[u8]) -> Option<Self> {
        let at = u32::try_from(names.end()).ok()?;
        names.add(name).then_some(Self(at))
    }

    fn of(self, names: &Names) -> &[u8] {
        names.get(self.0 as usize)
    }
}

/// All candidates.
#[derive(Debug)]
pub(super) struct Index {
    trees: Vec<Tree>,
    folders: Vec<Folder>,
    /// Directories in the order in which they were walked, each behind where the names in it begin.
    walked: Vec<(NameAt, u32)>,
    /// Sorted. There may be millions.
    candidates: Vec<NameAt>,
    names: Names,
    /// All wanted sizes, ascending.
    sizes: Vec<u64>,
    /// Where the candidates of each size begin, and where the last end.
    starts: Vec<u32>,
    findings: Findings,
    /// The second names of what was replaced in the target.
    pub second: SecondNames,
}

impl Index {
    /// Walks the target and all sources. What cannot be read is reported and left out.
    pub fn build(context: &Context<'_>, elsewhere: &Elsewhere<'_>) -> Self {
        let mut index = Self {
            trees: Vec::new(),
            folders: Vec::new(),
            walked: Vec::new(),
            candidates: Vec::new(),
            names: Names::default(),
            sizes: wanted_sizes(context.store, elsewhere.tree),
            starts: Vec::new(),
            findings: Findings::of(0),
            second: SecondNames::new(context.temporary.0),
        };
        let mut found = Vec::new();
        let roots = std::iter::once(&context.target).chain(&elsewhere.sources.trees);
        for (number, path) in roots.enumerate() {
            // A target that a rehearsal would make is not there.
            let is_target = number == 0;
            match index.add_tree(context, path, is_target, &mut found) {
                Err(Error::Io { source, .. }) if is_target && source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => context.report.unread_source(path.clone(), error),
                Ok(()) => {}
            }
        }
        index.sort(found);
        index
    }

    /// Takes all candidates in.
    fn sort(&mut self, mut found: Vec<Candidate>) {
        let key = |candidate: &Candidate| (candidate.size, candidate.name.of(&self.names), candidate.name);
        // No two are equal, and those of one tree stay in path order.
        found.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let start = |size: usize| found.partition_point(|candidate| (candidate.size as usize) < size);
        // Each has a name, and there is no room for more than four billion of them.
        self.starts = (0..=self.sizes.len()).map(|size| start(size) as u32).collect();
        self.candidates = found.iter().map(|candidate| candidate.name).collect();
        self.findings = Findings::of(self.candidates.len());
    }

    fn add_tree(
        &mut self,
        context: &Context<'_>,
        path: &Path,
        is_target: bool,
        found: &mut Vec<Candidate>,
    ) -> Result<()> {
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
        let mut pending: Vec<u32> = self.add_folder(NONE, b"", tree).into_iter().collect();
        while let Some(folder) = pending.pop() {
            context.progress.check()?;
            let below = self.folders.len();
            if let Err(source) = self.walk_folder(folder, target.as_ref(), found) {
                let path = self.folder_path(folder);
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
    fn walk_folder(
        &mut self,
        folder: u32,
        target: Option<&rustix::fs::Stat>,
        found: &mut Vec<Candidate>,
    ) -> std::io::Result<()> {
        let handle = self.open_folder(folder)?;
        let here = handle.stat_self()?;
        if target.is_some_and(|target| (target.st_dev, target.st_ino) == (here.dev, here.ino)) {
            return Ok(());
        }
        let tree = self.folder(folder).tree;
        let names = handle.read_names()?;
        if let Ok(end) = u32::try_from(self.names.end()) {
            self.walked.push((NameAt(end), folder));
        }
        for at in 0..names.len() {
            let name = names.get(at);
            let kind = match names.kind(at) {
                Some(kind) => kind,
                None => handle.stat(names.c_str(at))?.kind,
            };
            match kind {
                Kind::Directory if !is_repository(name) => {
                    self.add_folder(folder, name, tree);
                }
                Kind::File => {
                    // A file that vanished meanwhile is no candidate.
                    let Ok(stat) = handle.stat(names.c_str(at)) else {
                        continue;
                    };
                    if stat.kind == Kind::File {
                        found.extend(self.candidate(name, stat.size));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes a directory, and gives its number. One of more than [`NameAt`] takes is left out.
    fn add_folder(&mut self, above: u32, name: &[u8], tree: u16) -> Option<u32> {
        let number = u32::try_from(self.folders.len())
            .ok()
            .filter(|number| *number != NONE)?;
        let name = NameAt::add(&mut self.names, name)?;
        self.folders.push(Folder { above, name, tree });
        Some(number)
    }

    /// A file in the directory that is walked, if its size is wanted. One of more than [`NameAt`] takes is left out: nobody
    /// has looked for it then.
    fn candidate(&mut self, name: &[u8], bytes: u64) -> Option<Candidate> {
        let size = self.size(bytes)?;
        let name = NameAt::add(&mut self.names, name)?;
        Some(Candidate { size, name })
    }

    /// The number of a size, if that is wanted.
    fn size(&self, bytes: u64) -> Option<u32> {
        let found = self.sizes.binary_search(&bytes).ok()?;
        u32::try_from(found).ok()
    }

    fn folder(&self, folder: u32) -> Folder {
        self.folders[folder as usize]
    }

    fn tree(&self, folder: u32) -> &Tree {
        &self.trees[usize::from(self.folder(folder).tree)]
    }

    fn name(&self, number: Number) -> &[u8] {
        self.candidates[number.0 as usize].of(&self.names)
    }

    /// The directory of a candidate.
    fn folder_of(&self, number: Number) -> u32 {
        let name = self.candidates[number.0 as usize];
        // Of those that begin at the same name all but the last are empty.
        let behind = self.walked.partition_point(|(begin, _)| *begin <= name);
        self.walked[behind - 1].1
    }

    /// The length of a candidate, in bytes.
    fn bytes(&self, number: Number) -> u64 {
        // Of those that begin at the same candidate all but the last have none.
        let behind = self.starts.partition_point(|start| *start <= number.0);
        self.sizes[behind - 1]
    }

    /// Opens a directory of a tree by its names, so that no more than one is open at a time.
    fn open_folder(&self, folder: u32) -> std::io::Result<DirHandle> {
        let mut handle = DirHandle::open_root(&self.tree(folder).path)?;
        for name in self.folder_names(folder) {
            handle = handle.open_child(name)?;
        }
        Ok(handle)
    }

    /// The names that lead to a directory from the top of its tree.
    fn folder_names(&self, folder: u32) -> Vec<&[u8]> {
        let mut names = Vec::new();
        let mut at = self.folder(folder);
        while at.above != NONE {
            names.push(at.name.of(&self.names));
            at = self.folder(at.above);
        }
        names.reverse();
        names
    }

    fn folder_path(&self, folder: u32) -> PathBuf {
        let mut path = self.tree(folder).path.clone();
        path.extend(self.folder_names(folder).into_iter().map(std::ffi::OsStr::from_bytes));
        path
    }

    /// The path of a candidate.
    pub fn path(&self, number: Number) -> PathBuf {
        let mut path = self.folder_path(self.folder_of(number));
        path.push(std::ffi::OsStr::from_bytes(self.name(number)));
        path
    }

    /// Whether a candidate is a file of the target.
    pub fn is_in_target(&self, number: Number) -> bool {
        self.tree(self.folder_of(number)).is_target
    }

    /// Whether there are candidates of a size.
    pub fn has_size(&self, bytes: u64) -> bool {
        !self.range(bytes).is_empty()
    }

    /// The files at a path of the tree, in the target and in all sources, however long they are.
    pub fn kin(&self, path: &[u8]) -> Vec<Kin> {
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let at = |tree: &Tree| {
            let opened = open_any_beneath(tree.root.as_fd(), &names, None).ok()?;
            let path = tree.path.join(std::ffi::OsStr::from_bytes(path));
            Some(Kin { path, opened })
        };
        self.trees.iter().filter_map(at).collect()
    }

    /// Opens a candidate: by its second name, if it has one, as something else may have the first by now.
    pub fn open(&self, number: Number) -> Result<Opened, Why> {
        let folder = self.folder_of(number);
        let tree = self.tree(folder);
        let mut names = self.folder_names(folder);
        names.push(self.name(number));
        let second = tree.is_target.then_some(&self.second);
        open_beneath(tree.root.as_fd(), &names, second, self.bytes(number))
    }

    /// The candidates of a size. Waits while somebody else has them.
    pub fn group(&self, bytes: u64) -> Group<'_> {
        Group::new(self, &self.findings, self.range(bytes))
    }

    /// Where the candidates of a size stand.
    fn range(&self, bytes: u64) -> Range<u32> {
        let Some(size) = self.size(bytes) else {
            return u32::MAX..u32::MAX;
        };
        self.starts[size as usize]..self.starts[size as usize + 1]
    }

    /// Where those of a name stand among the candidates of one size.
    pub fn namesakes(&self, range: Range<u32>, name: &[u8]) -> Range<u32> {
        let all = self.candidates.get(range.start as usize..range.end as usize);
        let all = all.unwrap_or_default();
        // Neither is beyond the end of the range.
        let behind = |count: usize| range.start + count as u32;
        behind(all.partition_point(|found| found.of(&self.names) < name))
            ..behind(all.partition_point(|found| found.of(&self.names) <= name))
    }

    /// Whether a candidate has this path in its tree.
    pub fn is_at(&self, number: Number, path: &[u8]) -> bool {
        let mut rest = path.strip_suffix(self.name(number));
        let mut folder = self.folder(self.folder_of(number));
        while let Some(above) = rest {
            if folder.above == NONE {
                return above.is_empty();
            }
            let name = folder.name.of(&self.names);
            rest = above.strip_suffix(b"/").and_then(|above| above.strip_suffix(name));
            folder = self.folder(folder.above);
        }
        false
    }
}

/// The sizes of all files of a tree whose bytes are named by an object, ascending. What cannot be read is left out: the job itself
/// says so.
fn wanted_sizes(store: &Store, tree: ObjectId) -> Vec<u64> {
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
    let mut sizes: Vec<u64> = sizes.into_iter().collect();
    sizes.sort_unstable();
    sizes
}
