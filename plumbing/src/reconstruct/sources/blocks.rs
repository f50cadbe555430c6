//! Where blocks are that the store does not have: in files at any path.
//!
//! Asked for once a job, when a file is lost of which no kin has all that is missing ([`assemble`](super::assemble)):
//!
//! 1. The blocks that the tree names and the store has not are collected, by the first eight bytes of their ids.
//! 2. Trees that are known say which contents have such blocks. Files where these contents were seen are cut as the
//!    repository cuts files. That costs lists of blocks, and reads no file in vain.
//! 3. While blocks are still nowhere, every file of the sources and of the target is cut, unless it is shorter than each
//!    of them.
//!
//! Invariants: what is noted is a hint. Whoever takes a block from its place hashes it again. Each file is read once at
//! most, by the path that it was found at, on which no link is followed; what cannot be read is passed over.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hashbrown::{HashMap, HashSet};

use super::Elsewhere;
use super::open::{Opened, open_absolute_any, read_exact_at};
use crate::chunk::{Chunker, Follows, Params, Part};
use crate::content::{Pieces, Source};
use crate::error::Result;
use crate::ghosts::forest::leaves;
use crate::ghosts::live::Live;
use crate::object::tree::Entries;
use crate::object::{ContentRef, Entry, HashAlgo, Kind, Node, ObjectId};
use crate::reconstruct::Context;
use crate::store::Store;
use crate::walk::{RuleOptions, Rules};

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of its file.
    pub file: u32,
    /// From which byte on.
    pub offset: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    places: HashMap<u64, Place>,
    files: Vec<PathBuf>,
}

/// What is looked for.
struct Search<'s, 'j> {
    context: &'s Context<'j>,
    params: Params,
    algo: HashAlgo,
    /// The blocks that are wanted and were not met yet.
    wanted: HashSet<u64>,
    /// The length of the shortest.
    bytes_min: u64,
    /// Files that were cut.
    cut: HashSet<(u64, u64)>,
    found: Blocks,
}

impl Blocks {
    /// Looks for all blocks that the tree of a job names and its store has not.
    pub fn find(context: &Context<'_>, elsewhere: &Elsewhere<'_>) -> Result<Self> {
        let mut search = Search {
            context,
            params: elsewhere.sources.chunk,
            algo: context.store.algo(),
            wanted: HashSet::new(),
            bytes_min: u64::MAX,
            cut: HashSet::new(),
            found: Self::default(),
        };
        search.collect(elsewhere.tree)?;
        search.look_where_seen(elsewhere)?;
        for tree in elsewhere.sources.trees.iter().chain([&context.target]) {
            search.look_into(tree)?;
        }
        Ok(search.found)
    }

    /// Where a block may be.
    pub fn place(&self, id: &ObjectId) -> Option<Place> {
        self.places.get(&id.prefix()).copied()
    }

    /// The file of a place.
    pub fn path(&self, place: Place) -> Option<&Path> {
        self.files.get(place.file as usize).map(PathBuf::as_path)
    }
}

impl Search<'_, '_> {
    /// Collects what is wanted. What cannot be read is left out: the job itself says so.
    fn collect(&mut self, tree: ObjectId) -> Result<()> {
        let store = self.context.store;
        self.each_list(&[tree], &mut |search, _, content| {
            for (id, bytes) in blocks_of(store, content) {
                if store.locate(&id)?.is_none() {
                    search.wanted.insert(id.prefix());
                    search.bytes_min = search.bytes_min.min(bytes);
                }
            }
            Ok(())
        })
    }

    /// Cuts files where a content was seen that has blocks which are wanted.
    fn look_where_seen(&mut self, elsewhere: &Elsewhere<'_>) -> Result<()> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let (store, known) = (self.context.store, elsewhere.sources.known);
        let mut trees = known.trees();
        trees.push(elsewhere.tree);
        self.each_list(&trees, &mut |search, entry, content| {
            let is_of_use =
                |search: &Self| blocks_of(store, content).any(|(id, _)| search.wanted.contains(&id.prefix()));
            let Some(fullhash) = entry.fullhash().filter(|_| is_of_use(search)) else {
                return Ok(());
            };
            for path in known.places(&fullhash, content.len()) {
                search.cut(&path)?;
            }
            Ok(())
        })
    }

    /// Cuts the files below a directory.
    fn look_into(&mut self, tree: &Path) -> Result<()> {
        let rules = Rules::new(RuleOptions::default());
        let live = match Live::open(tree, tree.as_os_str().as_bytes(), self.algo, rules) {
            Ok(live) if !self.wanted.is_empty() => live,
            // That a source cannot be read was said when the sources were walked.
            _ => return Ok(()),
        };
        for leaf in leaves(&live) {
            self.context.progress.check()?;
            if self.wanted.is_empty() {
                return Ok(());
            }
            if let Ok(leaf) = leaf
                && leaf.kind == Kind::File
                && leaf.size >= self.bytes_min
            {
                self.cut(&live.full_path(&leaf.path))?;
            }
        }
        Ok(())
    }

    /// Cuts a file and notes which wanted blocks it has. A file that cannot be read has none.
    fn cut(&mut self, path: &Path) -> Result<()> {
        let Ok(opened) = open_absolute_any(path) else {
            return Ok(());
        };
        if self.wanted.is_empty() || !self.cut.insert((opened.stat.dev, opened.stat.ino)) {
            return Ok(());
        }
        let Ok(file) = u32::try_from(self.found.files.len()) else {
            return Ok(());
        };
        let before = self.wanted.len();
        let (algo, progress) = (self.algo, self.context.progress);
        cut(&opened, self.params, &|| progress.check(), &mut |offset, block| {
            let prefix = ObjectId::hash(algo, block).prefix();
            if self.wanted.remove(&prefix) {
                self.found.places.insert(prefix, Place { file, offset });
            }
            !self.wanted.is_empty()
        })?;
        if self.wanted.len() < before {
            self.found.files.push(path.to_owned());
        }
        Ok(())
    }

    /// Hands each file of trees whose content is a list of blocks to `each`, every list once.
    fn each_list(
        &mut self,
        trees: &[ObjectId],
        each: &mut dyn FnMut(&mut Self, &Entry, &ContentRef) -> Result<()>,
    ) -> Result<()> {
        let mut seen: HashSet<ObjectId> = HashSet::new();
        let mut pending = trees.to_vec();
        while let Some(tree) = pending.pop() {
            self.context.progress.check()?;
            if !seen.insert(tree) {
                continue;
            }
            for entry in Entries::new(self.context.store, tree).flatten() {
                match &entry.node {
                    Node::Directory { tree } => pending.push(*tree),
                    Node::File {
                        content: content @ ContentRef::Indirect { id, .. },
                        ..
                    } if seen.insert(*id) => each(self, &entry, content)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The blocks of a content with their lengths, as far as its lists can be read.
fn blocks_of<'s>(store: &'s Store, content: &ContentRef) -> impl Iterator<Item = (ObjectId, u64)> + use<'s> {
    Pieces::new(store, content)
        .map_while(Result::ok)
        .filter_map(|piece| match piece.source {
            Source::Block { id, block_bytes, .. } => Some((id, block_bytes)),
            _ => None,
        })
}

/// Cuts a file as the repository cuts files and hands each block with its offset to `each`, until that says `false`. A file
/// that cannot be read ends early.
pub(super) fn cut(
    opened: &Opened,
    params: Params,
    check: &dyn Fn() -> Result<()>,
    each: &mut dyn FnMut(u64, &[u8]) -> bool,
) -> Result<()> {
    let mut chunker = Chunker::new(params);
    let mut buffer = vec![0; 2 * chunker.buffer_bytes_min()];
    let (mut at, mut filled) = (0u64, 0usize);
    let mut parts = Vec::new();
    loop {
        check()?;
        let left = opened.stat.size - at - filled as u64;
        // At most the length of the buffer.
        let more = left.min((buffer.len() - filled) as u64) as usize;
        if read_exact_at(&opened.file, &mut buffer[filled..filled + more], at + filled as u64).is_err() {
            return Ok(());
        }
        filled += more;
        let is_end = left == more as u64;
        parts.clear();
        let follows = if is_end { Follows::End } else { Follows::Data };
        let taken = chunker.cut(&buffer[..filled], follows, &mut parts);
        for part in &parts {
            if let Part::Data { start, bytes, .. } = *part
                && !each(at + start as u64, &buffer[start..start + bytes])
            {
                return Ok(());
            }
        }
        if is_end {
            return Ok(());
        }
        buffer.copy_within(taken..filled, 0);
        at += taken as u64;
        filled -= taken;
    }
}
