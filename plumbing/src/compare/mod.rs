//! What differs between two sides, each a stored directory or a live one, in path order and as late as possible.
//!
//! 1. Each pair of directories is a level of a stack; a level has a cursor into either side.
//! 2. While both cursors stand in front of nodes with one id they step over them, so a large directory costs what
//!    changed in it ([`stored`]). Otherwise the side that is behind reads its next node.
//! 3. Entries are merged by name. What is on one side only was added or removed; a pair is compared by kind, by
//!    content, and by metadata.
//! 4. Of a pair of directories, the level below is put on the stack unless both have the same tree id; so is a
//!    directory on one side only, against nothing, to name all that is in it.
//!
//! Moves and copies need all changes at once and are a second pass: [`find_moves`].
//!
//! Invariants: paths ascend by [`compare_paths`](crate::object::tree::compare_paths), a directory before what is in it;
//! nothing is read that equal ids show to be equal; memory is one node a level and side.

mod change;
mod moves;
mod stored;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use bstr::BString;

pub use change::{Change, ChangeKind, Content, Fields, Item};
pub use moves::find_moves;

use crate::error::Result;
use crate::object::{Entry, Kind, Node, ObjectId, ObjectSource};
use stored::{Head, Reads};

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
}

/// What is compared and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Go into directories. Without it a directory whose content differs is told as modified.
    pub recurse: bool,
    /// Going into directories, name all that is in one that was added or removed, not only the directory.
    pub expand: bool,
    /// Going into directories, tell also of those that differ only in what is in them.
    pub parents: bool,
    /// The metadata that counts.
    pub fields: Fields,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            recurse: true,
            expand: true,
            parents: false,
            fields: Fields::ALL,
        }
    }
}

/// The differences, in path order. After an error there are no more.
pub struct Changes<'a> {
    options: Options,
    levels: Vec<Level<'a>>,
}

/// A pair of directories.
struct Level<'a> {
    /// Its path, with a slash at the end unless it is the top.
    path: BString,
    old: Cursor<'a>,
    new: Cursor<'a>,
}

enum Cursor<'a> {
    Nothing,
    Stored(stored::Cursor<'a>),
}

/// An entry of one side.
enum Found<'a> {
    Stored(Entry, &'a dyn ObjectSource),
}

impl<'a> From<Side<'a>> for Cursor<'a> {
    fn from(side: Side<'a>) -> Self {
        match side {
            Side::Nothing => Self::Nothing,
            Side::Stored { source, tree } => Self::Stored(stored::Cursor::new(source, tree)),
        }
    }
}

impl<'a> Cursor<'a> {
    fn head(&self) -> Head<'_> {
        match self {
            Self::Nothing => Head::End,
            Self::Stored(cursor) => cursor.head(),
        }
    }

    fn read_node(&mut self) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Stored(cursor) => cursor.read_node(),
        }
    }

    fn skip_node(&mut self) {
        match self {
            Self::Nothing => {}
            Self::Stored(cursor) => cursor.skip_node(),
        }
    }

    fn take(&mut self) -> Option<Found<'a>> {
        match self {
            Self::Nothing => None,
            Self::Stored(cursor) => cursor.take().map(|entry| Found::Stored(entry, cursor.source())),
        }
    }
}

impl<'a> Found<'a> {
    fn name(&self) -> &[u8] {
        match self {
            Self::Stored(entry, _) => &entry.name,
        }
    }

    /// A cursor into the directory; nothing for all that is none.
    fn descend(&self) -> Cursor<'a> {
        match self {
            Self::Stored(entry, source) => match entry.node {
                Node::Directory { tree } => Cursor::Stored(stored::Cursor::new(*source, tree)),
                _ => Cursor::Nothing,
            },
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Stored(entry, _) => entry.kind(),
        }
    }

    fn into_item(self) -> Item {
        match self {
            Self::Stored(entry, _) => entry.into(),
        }
    }
}

/// Compares two sides.
pub fn compare<'a>(old: Side<'a>, new: Side<'a>, options: Options) -> Changes<'a> {
    let top = Level {
        path: BString::default(),
        old: old.into(),
        new: new.into(),
    };
    Changes {
        options,
        levels: vec![top],
    }
}

impl<'a> Changes<'a> {
    fn advance(&mut self) -> Result<Option<Change>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(next) = level.next_pair()? else {
                self.levels.pop();
                continue;
            };
            let path = level.path_of(&next);
            let change = match next {
                (Some(old), Some(new)) => self.pair(path, old, new)?,
                (old, new) => self.one_sided(path, old, new),
            };
            if change.is_some() {
                return Ok(change);
            }
        }
        Ok(None)
    }

    fn one_sided(&mut self, path: BString, old: Option<Found<'a>>, new: Option<Found<'a>>) -> Option<Change> {
        if self.options.recurse && self.options.expand {
            let descend = |side: &Option<Found<'a>>| side.as_ref().map_or(Cursor::Nothing, Found::descend);
            self.push_level(&path, descend(&old), descend(&new));
        }
        let kind = if old.is_none() {
            ChangeKind::Added
        } else {
            ChangeKind::Removed
        };
        Some(Change {
            path,
            kind,
            old: old.map(Found::into_item),
            new: new.map(Found::into_item),
            fields: Fields::NONE,
        })
    }

    fn pair(&mut self, path: BString, old: Found<'a>, new: Found<'a>) -> Result<Option<Change>> {
        let (old_kind, new_kind) = (old.kind(), new.kind());
        let same_kind = old_kind == new_kind;
        let same_content = same_kind && same_content(&old, &new)?;
        let descend = self.options.recurse && !same_content && (same_kind || self.options.expand);
        if descend {
            self.push_level(&path, old.descend(), new.descend());
        }
        let (old, new) = (old.into_item(), new.into_item());
        let fields = Fields::differing(&old.meta, &new.meta).and(self.options.fields);
        let is_told = old_kind != Kind::Directory || !self.options.recurse || self.options.parents;
        let kind = if !same_kind {
            ChangeKind::TypeChanged
        } else if !same_content && is_told {
            ChangeKind::Modified
        } else if !fields.is_empty() {
            ChangeKind::Metadata
        } else {
            return Ok(None);
        };
        Ok(Some(Change {
            path,
            kind,
            old: Some(old),
            new: Some(new),
            fields,
        }))
    }

    fn push_level(&mut self, path: &BString, old: Cursor<'a>, new: Cursor<'a>) {
        if matches!((&old, &new), (Cursor::Nothing, Cursor::Nothing)) {
            return;
        }
        let mut path = path.clone();
        path.push(b'/');
        self.levels.push(Level { path, old, new });
    }
}

impl<'a> Level<'a> {
    /// The next name, with what either side has of it.
    fn next_pair(&mut self) -> Result<Option<(Option<Found<'a>>, Option<Found<'a>>)>> {
        loop {
            let (old, new) = (self.old.head(), self.new.head());
            match Reads::decide(&old, &new) {
                Reads::Skip => {
                    self.old.skip_node();
                    self.new.skip_node();
                }
                Reads::Old => self.old.read_node()?,
                Reads::New => self.new.read_node()?,
                Reads::Both => {
                    self.old.read_node()?;
                    self.new.read_node()?;
                }
                Reads::Neither => {
                    // What is not read yet is behind the other side's name: that one goes first.
                    let order = match (old, new) {
                        (Head::Name(old), Head::Name(new)) => old.cmp(new),
                        (Head::Name(_), _) => Ordering::Less,
                        (_, Head::Name(_)) => Ordering::Greater,
                        _ => return Ok(None),
                    };
                    let old = if order.is_le() { self.old.take() } else { None };
                    let new = if order.is_ge() { self.new.take() } else { None };
                    return Ok(Some((old, new)));
                }
            }
        }
    }

    fn path_of(&self, pair: &(Option<Found<'a>>, Option<Found<'a>>)) -> BString {
        let name = match pair {
            (Some(found), _) | (None, Some(found)) => found.name(),
            (None, None) => &[],
        };
        let mut path = self.path.clone();
        path.extend_from_slice(name);
        path
    }
}

fn same_content(old: &Found<'_>, new: &Found<'_>) -> Result<bool> {
    match (old, new) {
        (Found::Stored(old, _), Found::Stored(new, _)) => Ok(same_node(&old.node, &new.node)),
    }
}

/// Whether two nodes of one kind have the same content. Files that were cut in different ways are told by their hash.
fn same_node(old: &Node, new: &Node) -> bool {
    match (old, new) {
        (Node::File { content: a, .. }, Node::File { content: b, .. }) => {
            let same_hash = || old.fullhash().is_some_and(|id| new.fullhash() == Some(id));
            a == b || (a.len() == b.len() && same_hash())
        }
        _ => old == new,
    }
}

impl Iterator for Changes<'_> {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.levels.clear();
        }
        next.transpose()
    }
}
