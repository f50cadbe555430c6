//! What a revision names.

use bstr::BString;

use crate::error::{Error, Result};
use crate::object::text::{TextRef, quote_name};
use crate::object::tree::Node;
use crate::object::{ContentRef, Entry, ObjectId, ObjectSource};
use crate::refs::revision::read_snapshot;

/// What a revision names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A snapshot.
    Snapshot(ObjectId),
    /// A tree.
    Tree(ObjectId),
    /// An entry of a tree, and the path that led to it.
    Entry {
        /// The entry.
        entry: Box<Entry>,
        /// Its path below the tree.
        path: BString,
    },
    /// The content of a file.
    Content(ContentRef),
}

impl Named {
    /// The id of the object that is named, if it is one.
    pub fn id(&self) -> Option<ObjectId> {
        match self {
            Self::Snapshot(id) | Self::Tree(id) => Some(*id),
            Self::Entry { entry, .. } => match &entry.node {
                Node::Directory { tree } => Some(*tree),
                Node::File { content, .. } => content.object().map(|(_, id)| id),
                _ => None,
            },
            Self::Content(content) => content.object().map(|(_, id)| id),
        }
    }

    /// The tree: that of a snapshot, a tree itself, the one of a directory.
    pub fn tree(&self, objects: &dyn ObjectSource) -> Result<ObjectId> {
        match self {
            Self::Snapshot(id) => Ok(read_snapshot(objects, id)?.tree),
            Self::Tree(id) => Ok(*id),
            Self::Entry { entry, path } => match &entry.node {
                Node::Directory { tree } => Ok(*tree),
                _ => Err(Error::NotFound {
                    what: "directory",
                    name: quote_name(path).into_owned(),
                }),
            },
            Self::Content(content) => Err(Error::invalid(
                "tree",
                content,
                "expected a tree, found the content of a file",
            )),
        }
    }

    /// The content of a file; none of what is no file.
    pub fn content(&self) -> Option<&ContentRef> {
        match self {
            Self::Content(content) => Some(content),
            Self::Entry { entry, .. } => match &entry.node {
                Node::File { content, .. } => Some(content),
                _ => None,
            },
            Self::Snapshot(_) | Self::Tree(_) => None,
        }
    }

    /// The text form that needs no store to be understood; none of entries that have no content.
    pub fn text(&self) -> Option<TextRef> {
        Some(match self {
            Self::Snapshot(id) => TextRef::Snapshot(*id),
            Self::Tree(id) => TextRef::Tree(*id),
            Self::Entry { entry, .. } => match &entry.node {
                Node::Directory { tree } => TextRef::Tree(*tree),
                Node::File { content, .. } => TextRef::Content(content.clone()),
                _ => return None,
            },
            Self::Content(content) => TextRef::Content(content.clone()),
        })
    }
}
