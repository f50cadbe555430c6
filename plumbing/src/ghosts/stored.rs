//! A stored tree as a forest: of a repository, of a bundle, of whatever gives objects.
//!
//! Full hashes come from the tree: a content of one block is named by it, and others have theirs in the entry. Bytes
//! are read only where they are asked for.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use bstr::{BStr, BString, ByteSlice};

use super::forest::{Forest, Leaf, Origin, PART_ENTRIES, Part, Parts};
use crate::content::{copy_to, read_range};
use crate::error::{Error, Result};
use crate::limits::BLOCK_BYTES_MAX;
use crate::object::tree::Entries;
use crate::object::{ContentRef, Entry, HashAlgo, Hasher, Metadata, Node, ObjectId, ObjectSource};
use crate::refs::revision::entry_at;

/// Bytes that a reader asks for at once: a block, mostly.
const READ_BYTES: usize = 4 << 20;

/// A tree in a store.
pub struct Stored<'a> {
    label: BString,
    source: &'a dyn ObjectSource,
    algo: HashAlgo,
    root: Node,
}

impl<'a> Stored<'a> {
    /// The tree, or the file, `root` of `source`, which people call `label`. Its full hashes are of `algo`: those that
    /// the tree has of another function are computed again.
    pub fn new(source: &'a dyn ObjectSource, root: Node, label: &[u8], algo: HashAlgo) -> Self {
        Self {
            label: label.into(),
            source,
            algo,
            root,
        }
    }

    /// Where its objects come from.
    pub fn source(&self) -> &'a dyn ObjectSource {
        self.source
    }

    fn leaf(&self, path: BString, entry: Entry) -> Leaf {
        let empty = matches!(&entry.node, Node::File { content, .. } if content.is_empty());
        let known = match empty {
            true => Some(ObjectId::hash(self.algo, b"")),
            false => entry.fullhash().filter(|id| id.algo() == self.algo),
        };
        Leaf {
            path,
            kind: entry.kind(),
            size: entry.size(),
            mtime: entry.meta.mtime,
            fullhash: known,
            fasthash: None,
            origin: Origin::Stored(Box::new(entry)),
        }
    }
}

/// The content of a stored file.
fn content(file: &Leaf) -> Result<&ContentRef> {
    match &file.origin {
        Origin::Stored(entry) => match &entry.node {
            Node::File { content, .. } => Ok(content),
            _ => Err(not_as_expected(file, "a file")),
        },
        Origin::Live { .. } => Err(not_as_expected(file, "an entry of this tree")),
    }
}

fn not_as_expected(leaf: &Leaf, expected: &str) -> Error {
    Error::invalid("entry", &leaf.path, format_args!("expected {expected}"))
}

impl Forest for Stored<'_> {
    fn label(&self) -> &BStr {
        self.label.as_bstr()
    }

    fn algo(&self) -> HashAlgo {
        self.algo
    }

    fn root(&self) -> Result<Leaf> {
        let entry = Entry {
            name: BString::default(),
            meta: Metadata::default(),
            node: self.root.clone(),
        };
        Ok(self.leaf(BString::default(), entry))
    }

    fn enter(&self, folder: &Leaf) -> Result<Parts<'_>> {
        let Origin::Stored(entry) = &folder.origin else {
            return Err(not_as_expected(folder, "an entry of this tree"));
        };
        let Node::Directory { tree } = &entry.node else {
            return Err(not_as_expected(folder, "a directory"));
        };
        let folder = folder.clone();
        let mut entries = Entries::new(self.source, *tree).peekable();
        let mut is_over = false;
        Ok(Box::new(std::iter::from_fn(move || {
            if is_over {
                return None;
            }
            let mut part = Part::default();
            for entry in entries.by_ref().take(PART_ENTRIES) {
                match entry {
                    Ok(entry) => part.leaves.push(self.leaf(folder.child_path(&entry.name), entry)),
                    Err(problem) => part.problems.push(problem),
                }
            }
            is_over = entries.peek().is_none();
            part.is_last = is_over;
            Some(part)
        })))
    }

    fn open(&self, file: &Leaf) -> Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Reader {
            source: self.source,
            content: content(file)?.clone(),
            offset: 0,
            ready: io::Cursor::default(),
        }))
    }

    fn read_at(&self, file: &Leaf, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        read_range(self.source, content(file)?, offset, bytes)
    }

    fn full_hash(&self, file: &Leaf) -> Result<ObjectId> {
        if let Some(known) = file.fullhash.filter(|id| id.algo() == self.algo) {
            return Ok(known);
        }
        let mut hash = HashWriter(Hasher::new(self.algo));
        copy_to(self.source, content(file)?, &mut hash)?;
        Ok(hash.0.finish())
    }

    fn find(&self, path: &BStr) -> Result<Leaf> {
        let root = self.root()?;
        match &self.root {
            Node::Directory { tree } => match entry_at(self.source, *tree, path)? {
                Some(entry) => Ok(self.leaf(path.into(), entry)),
                None => Ok(root),
            },
            _ if path.is_empty() => Ok(root),
            _ => Err(not_as_expected(&root, "a directory")),
        }
    }

    fn live_path(&self, _path: &BStr) -> Option<PathBuf> {
        None
    }
}

/// Streams a content by ranges.
struct Reader<'a> {
    source: &'a dyn ObjectSource,
    content: ContentRef,
    offset: u64,
    ready: io::Cursor<Vec<u8>>,
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ready.position() >= self.ready.get_ref().len() as u64 {
            let next = read_range(self.source, &self.content, self.offset, READ_BYTES.min(BLOCK_BYTES_MAX));
            let next = next.map_err(io::Error::other)?;
            self.offset += next.len() as u64;
            self.ready = io::Cursor::new(next);
        }
        self.ready.read(out)
    }
}

struct HashWriter(Hasher);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
