//! What became of a path from one snapshot to the next: only the folders that lead to it are read, unless a move is
//! looked for.

use bstr::{BStr, BString};

use crate::compare::{self, ChangeKind, Options, Side};
use crate::error::{Error, Result};
use crate::object::{Entry, Node, ObjectId, ObjectSource};
use crate::refs::revision::entry_at;

/// What became of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// It was not there before.
    Added,
    /// It is there no more.
    Removed,
    /// Its content differs, or what is in it.
    Modified,
    /// Only its metadata differs.
    Metadata,
    /// It was at `from`, which is there no more, with the same content.
    Moved {
        /// The old path.
        from: BString,
    },
}

impl PathChange {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Modified => "modified",
            Self::Metadata => "metadata",
            Self::Moved { .. } => "moved",
        }
    }
}

/// What became of `path` between two trees; none if nothing did. No `old` is a tree with nothing in it. With
/// `follows_moves`, a file that was added is looked for among those that were removed, for which the trees are compared.
pub fn path_change(
    source: &dyn ObjectSource,
    old: Option<ObjectId>,
    new: ObjectId,
    path: &BStr,
    follows_moves: bool,
) -> Result<Option<PathChange>> {
    if old == Some(new) {
        return Ok(None);
    }
    let was = match old {
        Some(old) => at(source, old, path)?,
        None => None,
    };
    Ok(match (was, at(source, new, path)?) {
        (None, None) => None,
        (Some(_), None) => Some(PathChange::Removed),
        (Some(was), Some(is)) => differing(&was, &is),
        (None, Some(is)) => Some(
            match old.filter(|_| follows_moves && matches!(is.node, Node::File { .. })) {
                Some(old) => match origin(source, old, new, path)? {
                    Some(from) => PathChange::Moved { from },
                    None => PathChange::Added,
                },
                None => PathChange::Added,
            },
        ),
    })
}

/// What is at `path`, if anything is.
fn at(source: &dyn ObjectSource, tree: ObjectId, path: &BStr) -> Result<Option<Entry>> {
    match entry_at(source, tree, path) {
        Err(Error::NotFound { .. }) => Ok(None),
        found => found,
    }
}

fn differing(was: &Entry, is: &Entry) -> Option<PathChange> {
    if was.node != is.node {
        Some(PathChange::Modified)
    } else {
        (was.meta != is.meta).then_some(PathChange::Metadata)
    }
}

/// Where the file at `path` was before.
fn origin(source: &dyn ObjectSource, old: ObjectId, new: ObjectId, path: &BStr) -> Result<Option<BString>> {
    let side = |tree| Side::Stored { source, tree };
    let changes = compare::compare(side(old), side(new), Options::default())?.collect::<Result<_>>()?;
    let changes = compare::find_moves(changes, &mut |_| Ok(None))?;
    let moved = changes.into_iter().find(|change| change.path == path);
    Ok(moved.and_then(|change| match change.kind {
        ChangeKind::Moved { from } => Some(from),
        _ => None,
    }))
}
