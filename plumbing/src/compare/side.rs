//! The two sides of a comparison behind one face: a cursor into a stored directory, into a live one, or into nothing.

use super::live::{self, Live, LiveEntry, Problems};
use super::stored::{self, Head};
use super::{Fields, Item};
use crate::content::copy_to;
use crate::error::Result;
use crate::object::{Entry, HashAlgo, Hasher, Kind, Node, ObjectId, ObjectSource};
use crate::time::Timestamp;

/// One side of a comparison.
pub enum Side<'a> {
    /// Nothing: everything on the other side was added or removed.
    Nothing,
    /// A stored directory.
    Stored {
        /// Gives its objects.
        source: &'a dyn ObjectSource,
        /// Its id.
        tree: ObjectId,
    },
    /// A stored directory of which only one entry is looked at.
    Entry {
        /// Gives the objects of the entry.
        source: &'a dyn ObjectSource,
        /// The entry.
        entry: Entry,
    },
    /// A directory as it is now.
    Live(Live<'a>),
}

impl Side<'_> {
    pub(super) fn tree(&self) -> Option<ObjectId> {
        match self {
            Self::Stored { tree, .. } => Some(*tree),
            _ => None,
        }
    }
}

/// A place in a directory of one side.
pub(super) enum Cursor<'a> {
    Nothing,
    Stored(stored::Cursor<'a>),
    Live(Box<live::Cursor<'a>>),
}

/// An entry of one side.
pub(super) enum Found {
    Stored(Entry),
    Live(LiveEntry),
}

impl Found {
    pub(super) fn name(&self) -> &[u8] {
        match self {
            Self::Stored(entry) => &entry.name,
            Self::Live(entry) => &entry.name,
        }
    }

    /// The kind; none where it could not be looked at.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Stored(entry) => Some(entry.kind()),
            Self::Live(entry) => entry.stat.map(|stat| stat.kind),
        }
    }

    /// Length of a file in bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Stored(entry) => entry.size(),
            Self::Live(entry) => entry.stat.map_or(0, |stat| stat.size),
        }
    }

    pub(super) fn mtime(&self) -> Option<Timestamp> {
        match self {
            Self::Stored(entry) => Some(entry.meta.mtime),
            Self::Live(entry) => entry.stat.map(|stat| stat.mtime),
        }
    }

    /// The hash function by which a stored file is known.
    pub(super) fn algo(&self) -> Option<HashAlgo> {
        match self {
            Self::Stored(entry) => entry.fullhash().map(|id| id.algo()),
            Self::Live(_) => None,
        }
    }

    /// The tree of a stored directory.
    pub(super) fn tree(&self) -> Option<ObjectId> {
        match self {
            Self::Stored(Entry {
                node: Node::Directory { tree },
                ..
            }) => Some(*tree),
            _ => None,
        }
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(side: Side<'a>, fields: Fields, problems: &Problems, against: Option<ObjectId>) -> Result<Self> {
        Ok(match side {
            Side::Nothing => Self::Nothing,
            Side::Stored { source, tree } => Self::Stored(stored::Cursor::new(source, tree)),
            Side::Entry { source, entry } => Self::Stored(stored::Cursor::of_entry(source, entry)),
            Side::Live(live) => Self::Live(Box::new(live::Cursor::root(live, fields, problems.clone(), against)?)),
        })
    }

    /// A cursor into `found` of this side, which is compared with the tree `against`; into nothing where `found` is no
    /// directory; none where it cannot be read.
    pub(super) fn descend(&self, found: Option<&Found>, against: Option<ObjectId>) -> Option<Self> {
        Some(match (self, found) {
            (Self::Stored(cursor), Some(found)) => match found.tree() {
                Some(tree) => Self::Stored(stored::Cursor::new(cursor.source(), tree)),
                None => Self::Nothing,
            },
            (Self::Live(cursor), Some(Found::Live(entry))) => match entry.stat {
                Some(stat) if stat.kind == Kind::Directory => Self::Live(Box::new(cursor.child(entry, against)?)),
                _ => Self::Nothing,
            },
            _ => Self::Nothing,
        })
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(super) fn head(&mut self) -> Head<'_> {
        match self {
            Self::Nothing => Head::End,
            Self::Stored(cursor) => cursor.head(),
            Self::Live(cursor) => cursor.head(),
        }
    }

    pub(super) fn read_node(&mut self) -> Result<()> {
        match self {
            Self::Stored(cursor) => cursor.read_node(),
            Self::Nothing | Self::Live(_) => Ok(()),
        }
    }

    /// Whether length and mtime prove that a file did not change.
    pub(super) fn trusts_stat(&self) -> bool {
        match self {
            Self::Live(cursor) => cursor.trusts_stat(),
            _ => true,
        }
    }

    /// Closes a live directory until [`reopen`](Self::reopen).
    pub(super) fn close(&mut self) {
        if let Self::Live(cursor) = self {
            cursor.close();
        }
    }

    /// Opens a live directory again, from one in it.
    pub(super) fn reopen(&mut self, child: &Self) -> Result<()> {
        match (self, child) {
            (Self::Live(cursor), Self::Live(child)) => cursor.reopen(child),
            _ => Ok(()),
        }
    }

    pub(super) fn skip_node(&mut self) {
        if let Self::Stored(cursor) = self {
            cursor.skip_node();
        }
    }

    pub(super) fn take(&mut self) -> Option<Found> {
        match self {
            Self::Nothing => None,
            Self::Stored(cursor) => cursor.take().map(Found::Stored),
            Self::Live(cursor) => cursor.take().map(Found::Live),
        }
    }

    /// What is told of an entry of this side; none where it cannot be read.
    pub(super) fn item(&self, found: Found, fullhash: Option<ObjectId>) -> Option<Item> {
        match (self, found) {
            (_, Found::Stored(entry)) => Some(entry.into()),
            (Self::Live(cursor), Found::Live(entry)) => cursor.item(&entry, fullhash),
            (_, Found::Live(_)) => None,
        }
    }

    /// The plain hash of a file's bytes, read where it is not known; none where it cannot be read.
    pub(super) fn fullhash(&self, found: &Found, algo: HashAlgo) -> Result<Option<ObjectId>> {
        match (self, found) {
            (Self::Live(cursor), Found::Live(entry)) => Ok(cursor.fullhash(entry, algo)),
            (Self::Stored(cursor), Found::Stored(entry)) => match &entry.node {
                Node::File { content, .. } => {
                    if let Some(id) = entry.fullhash().filter(|id| id.algo() == algo) {
                        return Ok(Some(id));
                    }
                    let mut hash = Hasher::new(algo);
                    copy_to(cursor.source(), content, &mut hash)?;
                    Ok(Some(hash.finish()))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }
}
