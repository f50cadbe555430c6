//! Directories and contents under ids of another hash.
//!
//! 1. The entries of a directory are read in order, some hundred at a time: the source is told at once what will be read of
//!    their contents. Directories below come first. Walks hold their own stack.
//! 2. Beside it go the two directories of the same name in the snapshot before, under the old and the new ids. Where they
//!    agree in all but ids, what has not changed since is taken from there.
//! 3. Any other file is read piece by piece. Each block has the hash of its old id, which the source sees to, and is stored
//!    under its new one; runs stay runs, and the cuts between blocks stay where they were. The whole is hashed by both hashes:
//!    it must be what the old tree calls it, and its new name is kept as the old one was.
//!
//! Where the snapshot before is only said to be the same ([`Base::is_claimed`]), nothing is taken from it unread: every
//! content is read in the target, and hashed by the old hash.

use std::collections::VecDeque;
use std::io;

use bstr::{BString, ByteSlice as _};

use crate::content::{Pieces, Source, check_block_bytes, copy_to, sub_slice};
use crate::error::{Error, Result};
use crate::limits::DIRECTORY_DEPTH_MAX;
use crate::object::content::PutObject;
use crate::object::tree::Entries;
use crate::object::{
    ContentRef, Entry, HashAlgo, Hasher, IndirectBuilder, Node, ObjectId, ObjectKind, ObjectSource, TreeBuilder,
};
use crate::progress::Progress;

/// Entries that are looked at together, and bytes of their contents at most.
const AHEAD_ENTRIES: usize = 512;
const AHEAD_BYTES: u64 = 16 << 20;
/// Runs are hashed in units of this many bytes.
const RUN_BYTES: usize = 64 << 10;

/// A directory under ids of both hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub old: ObjectId,
    pub new: ObjectId,
    /// Nothing shows that they are the same but that somebody said so.
    pub is_claimed: bool,
}

/// From where to where.
pub(super) struct Trees<'a> {
    pub source: &'a dyn ObjectSource,
    pub target: &'a dyn ObjectSource,
    pub algo: HashAlgo,
    pub progress: &'a Progress,
}

/// An entry, with the one of the same name before, under both hashes.
type Item = (Entry, Option<(Node, Node)>);

/// A directory that is being made anew.
struct Open<'a> {
    entries: Entries<'a, dyn ObjectSource + 'a>,
    before: Option<Before<'a>>,
    items: VecDeque<Item>,
    builder: TreeBuilder,
    /// The directory whose content is made by the level above this one.
    below: Option<Entry>,
}

/// The directory before, under both hashes, side by side.
struct Before<'a> {
    old: Entries<'a, dyn ObjectSource + 'a>,
    new: Entries<'a, dyn ObjectSource + 'a>,
    is_claimed: bool,
    next: Option<(Entry, Entry)>,
}

impl<'a> Trees<'a> {
    /// Makes a tree anew; gives its new id. `base` is the one before it.
    pub fn copy(&self, top: ObjectId, base: Option<Base>, put: &mut PutObject<'_>) -> Result<ObjectId> {
        if let Some(base) = base.filter(|base| base.old == top && !base.is_claimed) {
            return Ok(base.new);
        }
        let mut stack = vec![self.open(top, base)?];
        loop {
            self.progress.check()?;
            let Some(open) = stack.last_mut() else {
                return Ok(top);
            };
            let Some((entry, before)) = self.next(open)? else {
                let Some(open) = stack.pop() else { continue };
                let tree = open.builder.finish(put)?;
                match stack.last_mut() {
                    None => return Ok(tree),
                    Some(above) => above.close(tree, put)?,
                }
                continue;
            };
            let is_claimed = open.before.as_ref().is_some_and(|before| before.is_claimed);
            if let Node::Directory { tree } = entry.node {
                let base = match before {
                    Some((Node::Directory { tree: old }, Node::Directory { tree: new })) => {
                        Some(Base { old, new, is_claimed })
                    }
                    _ => None,
                };
                open.below = Some(entry);
                match base.filter(|base| base.old == tree && !is_claimed) {
                    Some(base) => open.close(base.new, put)?,
                    None if stack.len() >= DIRECTORY_DEPTH_MAX => {
                        let problem = format!("directories nest deeper than {DIRECTORY_DEPTH_MAX}");
                        return Err(Error::invalid("tree", top, problem));
                    }
                    None => stack.push(self.open(tree, base)?),
                }
                continue;
            }
            let node = match self.node(&entry.node, before, is_claimed, put) {
                Ok(node) => node,
                Err(error) => return Err(at_path(&stack, &entry, error)),
            };
            if let Some(open) = stack.last_mut() {
                open.builder.push(&Entry { node, ..entry }, put)?;
            }
        }
    }

    fn open(&self, tree: ObjectId, base: Option<Base>) -> Result<Open<'a>> {
        let before = base.map(|base| Before {
            old: Entries::new(self.source, base.old),
            new: Entries::new(self.target, base.new),
            is_claimed: base.is_claimed,
            next: None,
        });
        Ok(Open {
            entries: Entries::new(self.source, tree),
            before,
            items: VecDeque::new(),
            builder: TreeBuilder::new(),
            below: None,
        })
    }

    /// The next entry of a directory.
    fn next(&self, open: &mut Open<'a>) -> Result<Option<Item>> {
        if open.items.is_empty() {
            self.look_ahead(open)?;
        }
        Ok(open.items.pop_front())
    }

    fn look_ahead(&self, open: &mut Open<'a>) -> Result<()> {
        let (mut ids, mut bytes) = (Vec::new(), 0);
        while open.items.len() < AHEAD_ENTRIES
            && bytes < AHEAD_BYTES
            && let Some(entry) = open.entries.next().transpose()?
        {
            let before = match &mut open.before {
                Some(before) => before.find(&entry)?,
                None => None,
            };
            if let Node::File {
                content: ContentRef::Block { id, bytes: more @ 1.. },
                ..
            } = &entry.node
                && before.as_ref().is_none_or(|(old, _)| *old != entry.node)
            {
                ids.push(*id);
                bytes += more;
            }
            open.items.push_back((entry, before));
        }
        self.source.will_read(&ids)
    }

    /// What an entry that is no directory becomes.
    fn node(
        &self,
        node: &Node,
        before: Option<(Node, Node)>,
        is_claimed: bool,
        put: &mut PutObject<'_>,
    ) -> Result<Node> {
        let Node::File { content, .. } = node else {
            return Ok(node.clone());
        };
        if let Some((old, new)) = before
            && old == *node
            && (!is_claimed || self.is_same(&new, node)?)
        {
            return Ok(new);
        }
        self.content(content, node.fullhash(), put)
    }

    /// Whether a file of the target has the bytes by which one of the source is known, and is known by what they are.
    fn is_same(&self, new: &Node, old: &Node) -> Result<bool> {
        let (Node::File { content, .. }, Some(expected)) = (new, old.fullhash()) else {
            return Ok(false);
        };
        let mut hashes = Both {
            old: Some(Hasher::new(expected.algo())),
            new: Hasher::new(self.algo),
        };
        match copy_to(self.target, content, &mut hashes) {
            Ok(_) => {
                Ok(hashes.old.map(Hasher::finish) == Some(expected) && Some(hashes.new.finish()) == new.fullhash())
            }
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a content and stores it under new ids.
    fn content(&self, content: &ContentRef, expected: Option<ObjectId>, put: &mut PutObject<'_>) -> Result<Node> {
        let mut builder = IndirectBuilder::new(self.algo);
        let mut hashes = Both {
            old: expected.map(|id| Hasher::new(id.algo())),
            new: Hasher::new(self.algo),
        };
        for piece in Pieces::new(self.source, content) {
            self.progress.check()?;
            let mut piece = piece?;
            match &mut piece.source {
                Source::Block { id, block_bytes, from } => {
                    let block = self.source.object(ObjectKind::Block, id)?;
                    check_block_bytes(id, *block_bytes, block.len())?;
                    hashes.update(sub_slice(&block, *from, piece.bytes)?);
                    *id = put(ObjectKind::Block, block)?;
                }
                Source::Run(byte) => {
                    let unit = [*byte; RUN_BYTES];
                    let mut left = piece.bytes;
                    while left > 0 {
                        self.progress.check()?;
                        // At most `RUN_BYTES`.
                        let count = left.min(RUN_BYTES as u64);
                        hashes.update(&unit[..count as usize]);
                        left -= count;
                    }
                }
                Source::Inline(bytes) => hashes.update(bytes),
            }
            self.progress.add(0, piece.bytes);
            builder.push(piece.content(), put)?;
        }
        let found = hashes.old.map(Hasher::finish);
        if let (Some(expected), Some(found)) = (expected, found.filter(|found| Some(*found) != expected)) {
            let problem = format!("its bytes have the hash {found}");
            return Err(Error::invalid("content", expected, problem));
        }
        let content = builder.finish(put)?;
        let is_one_block = matches!(content, ContentRef::Block { .. });
        let fullhash = (!is_one_block).then(|| hashes.new.finish());
        Ok(Node::File { content, fullhash })
    }
}

impl Open<'_> {
    /// Adds the directory that was made for the entry that waits.
    fn close(&mut self, tree: ObjectId, put: &mut PutObject<'_>) -> Result<()> {
        match self.below.take() {
            Some(entry) => self.builder.push(
                &Entry {
                    node: Node::Directory { tree },
                    ..entry
                },
                put,
            ),
            None => Ok(()),
        }
    }
}

impl Before<'_> {
    /// What was there under a name, under both hashes, if both agree in all but ids.
    fn find(&mut self, entry: &Entry) -> Result<Option<(Node, Node)>> {
        loop {
            if self.next.is_none() {
                let (Some(old), Some(new)) = (self.old.next().transpose()?, self.new.next().transpose()?) else {
                    return Ok(None);
                };
                self.next = Some((old, new));
            }
            let Some((old, new)) = &self.next else {
                return Ok(None);
            };
            if old.name > entry.name {
                return Ok(None);
            }
            let is_found = old.name == entry.name;
            let agree = old.name == new.name && old.kind() == new.kind() && old.size() == new.size();
            let found = self.next.take();
            if let Some((old, new)) = found.filter(|_| is_found) {
                return Ok(agree.then_some((old.node, new.node)));
            }
        }
    }
}

/// An error with the path of the file that it is about.
fn at_path(stack: &[Open<'_>], entry: &Entry, error: Error) -> Error {
    match error {
        Error::Invalid { what, value, problem } => {
            let above = stack
                .iter()
                .filter_map(|open| open.below.as_ref())
                .map(|entry| entry.name.as_bstr());
            let mut path = BString::default();
            for name in above.chain([entry.name.as_bstr()]) {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
            }
            Error::invalid(what, value, format_args!("{problem} ({path})"))
        }
        error => error,
    }
}

/// Hashes what is written by both hashes.
struct Both {
    /// Where the old name is known.
    old: Option<Hasher>,
    new: Hasher,
}

impl Both {
    fn update(&mut self, bytes: &[u8]) {
        self.new.update(bytes);
        if let Some(old) = &mut self.old {
            old.update(bytes);
        }
    }
}

impl io::Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
