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
mod live;
mod moves;
mod side;
mod stored;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use bstr::BString;

pub use change::{Change, ChangeKind, Content, Fields, Item};
pub use live::{Live, Trust};
pub use moves::find_moves;
pub use side::Side;

use self::live::{OPEN_LEVELS_MAX, Problems, Seen};
use self::side::{Cursor, Found};
use self::stored::{Head, Reads};
use crate::error::{Error, Result};
use crate::object::{Kind, Node, ObjectId};

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
    problems: Problems,
}

/// A pair of directories.
struct Level<'a> {
    /// Its path, with a slash at the end unless it is the top.
    path: BString,
    old: Cursor<'a>,
    new: Cursor<'a>,
}

/// Either side of one name; at least one is there.
type Pair = (Option<Found>, Option<Found>);

/// What is known of the contents of a pair.
struct Judged {
    same: bool,
    old_hash: Option<ObjectId>,
    new_hash: Option<ObjectId>,
}

impl Judged {
    fn of(same: bool) -> Self {
        Self {
            same,
            old_hash: None,
            new_hash: None,
        }
    }
}

/// Compares two sides. Fails where a live one cannot be read at all.
pub fn compare<'a>(old: Side<'a>, new: Side<'a>, options: Options) -> Result<Changes<'a>> {
    let problems = Problems::default();
    let (old_tree, new_tree) = (old.tree(), new.tree());
    let top = Level {
        path: BString::default(),
        old: Cursor::new(old, options.fields, &problems, new_tree)?,
        new: Cursor::new(new, options.fields, &problems, old_tree)?,
    };
    Ok(Changes {
        options,
        levels: vec![top],
        problems,
    })
}

impl<'a> Changes<'a> {
    /// What could not be looked at or read so far, each with its path. Nothing is said of the changes there.
    pub fn take_problems(&mut self) -> Vec<Error> {
        std::mem::take(&mut *self.problems.borrow_mut())
    }

    fn advance(&mut self) -> Result<Option<Change>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(pair) = level.next_pair()? else {
                self.pop_level()?;
                continue;
            };
            let path = level.path_of(&pair);
            let change = match pair {
                (Some(old), Some(new)) => self.pair(path, old, new)?,
                (old, new) => self.one_sided(path, old, new),
            };
            if change.is_some() {
                return Ok(change);
            }
        }
        Ok(None)
    }

    fn one_sided(&mut self, path: BString, old: Option<Found>, new: Option<Found>) -> Option<Change> {
        let level = self.levels.last()?;
        let below = (self.options.recurse && self.options.expand).then(|| level.descend(old.as_ref(), new.as_ref()));
        let kind = if old.is_none() {
            ChangeKind::Added
        } else {
            ChangeKind::Removed
        };
        let old = old.and_then(|found| level.old.item(found, None));
        let new = new.and_then(|found| level.new.item(found, None));
        self.push_level(&path, below.flatten());
        // What cannot be looked at has been told as a problem.
        (old.is_some() || new.is_some()).then_some(Change {
            path,
            kind,
            old,
            new,
            fields: Fields::NONE,
        })
    }

    fn pair(&mut self, path: BString, old: Found, new: Found) -> Result<Option<Change>> {
        let (Some(old_kind), Some(new_kind), Some(level)) = (old.kind(), new.kind(), self.levels.last_mut()) else {
            return Ok(None);
        };
        let same_kind = old_kind == new_kind;
        let counted = level.counted(self.options.fields);
        let seen = if same_kind { level.seen(&old, &new) } else { Seen::Never };
        if seen == Seen::Same && old_kind != Kind::Directory {
            return Ok(None);
        }
        let judged = match old_kind {
            _ if !same_kind => Judged::of(false),
            Kind::File => level.judge_files(&old, &new, seen)?,
            Kind::Directory => Judged::of(old.tree().is_some() && old.tree() == new.tree()),
            _ => Judged::of(true),
        };
        let descend = self.options.recurse && !judged.same && (same_kind || self.options.expand);
        let below = descend.then(|| level.descend(Some(&old), Some(&new))).flatten();
        let items = (seen != Seen::Same).then(|| {
            let old = level.old.item(old, judged.old_hash)?;
            Some((old, level.new.item(new, judged.new_hash)?))
        });
        self.push_level(&path, below);
        let Some((old, new)) = items.flatten() else {
            return Ok(None);
        };
        let fields = differing(&old, &new).and(counted);
        // Of files and directories that is decided; all else is small enough to compare as it is.
        let same = judged.same && (matches!(old_kind, Kind::File | Kind::Directory) || old.content == new.content);
        let kind = if !same_kind {
            ChangeKind::TypeChanged
        } else if !same && self.tells_content(&old) && self.tells_content(&new) {
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

    /// Whether other content of this is a change of its own.
    fn tells_content(&self, item: &Item) -> bool {
        match &item.content {
            Content::LiveDirectory => false,
            Content::Known(Node::Directory { .. }) => !self.options.recurse || self.options.parents,
            _ => true,
        }
    }

    fn push_level(&mut self, path: &BString, below: Option<(Cursor<'a>, Cursor<'a>)>) {
        let Some((old, new)) = below.filter(|(old, new)| !(old.is_nothing() && new.is_nothing())) else {
            return;
        };
        let mut path = path.clone();
        path.push(b'/');
        self.levels.push(Level { path, old, new });
        if let Some(far) = self.levels.len().checked_sub(OPEN_LEVELS_MAX + 1) {
            self.levels[far].old.close();
            self.levels[far].new.close();
        }
    }

    fn pop_level(&mut self) -> Result<()> {
        if let (Some(child), Some(level)) = (self.levels.pop(), self.levels.last_mut()) {
            level.old.reopen(&child.old)?;
            level.new.reopen(&child.new)?;
        }
        Ok(())
    }
}

impl<'a> Level<'a> {
    /// The next name, with what either side has of it.
    fn next_pair(&mut self) -> Result<Option<Pair>> {
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

    fn path_of(&self, pair: &Pair) -> BString {
        let name = match pair {
            (Some(found), _) | (None, Some(found)) => found.name(),
            (None, None) => &[],
        };
        [self.path.as_slice(), name].concat().into()
    }

    /// Cursors into a pair; none where either cannot be read.
    fn descend(&self, old: Option<&Found>, new: Option<&Found>) -> Option<(Cursor<'a>, Cursor<'a>)> {
        let (old_tree, new_tree) = (old.and_then(Found::tree), new.and_then(Found::tree));
        Some((self.old.descend(old, new_tree)?, self.new.descend(new, old_tree)?))
    }

    /// What the stat cache says of a live entry and the stored one; nothing of what is in a directory.
    fn seen(&mut self, old: &Found, new: &Found) -> Seen {
        match (&mut self.old, &mut self.new, old, new) {
            (Cursor::Stored(tree), Cursor::Live(dir), _, Found::Live(entry))
            | (Cursor::Live(dir), Cursor::Stored(tree), Found::Live(entry), _) => {
                // The entry was just taken.
                dir.seen(tree.taken() - 1, entry)
            }
            _ => Seen::Never,
        }
    }

    /// The fields of `fields` that both sides know.
    fn counted(&self, fields: Fields) -> Fields {
        match (&self.old, &self.new) {
            (Cursor::Live(_), _) | (_, Cursor::Live(_)) => fields.without(Fields::LINKS),
            _ => fields,
        }
    }

    /// Compares the contents of two files.
    fn judge_files(&self, old: &Found, new: &Found, seen: Seen) -> Result<Judged> {
        if let (Found::Stored(old), Found::Stored(new)) = (old, new) {
            return Ok(Judged::of(same_file(&old.node, &new.node)));
        }
        if old.size() != new.size() {
            return Ok(Judged::of(false));
        }
        let trusts_stat = self.old.trusts_stat() && self.new.trusts_stat() && seen != Seen::Otherwise;
        if trusts_stat && old.mtime() == new.mtime() {
            return Ok(Judged::of(true));
        }
        let algo = [old, new].into_iter().find_map(Found::algo).unwrap_or_default();
        let old_hash = self.old.fullhash(old, algo)?;
        let new_hash = self.new.fullhash(new, algo)?;
        Ok(Judged {
            same: old_hash.is_some() && old_hash == new_hash,
            old_hash,
            new_hash,
        })
    }
}

/// The fields in which two sides differ. Where birth is not kept, nothing is said of it.
fn differing(old: &Item, new: &Item) -> Fields {
    let fields = Fields::differing(&old.meta, &new.meta);
    match (old.meta.btime, new.meta.btime) {
        (Some(_), Some(_)) => fields,
        _ => fields.without(Fields::BTIME),
    }
}

/// Whether two stored files have the same bytes. Files that were cut in different ways are told by their hash.
fn same_file(old: &Node, new: &Node) -> bool {
    match (old, new) {
        (Node::File { content: a, .. }, Node::File { content: b, .. }) => {
            let same_hash = || old.fullhash().is_some_and(|id| new.fullhash() == Some(id));
            a == b || (a.len() == b.len() && same_hash())
        }
        _ => false,
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
