//! A cursor over a stored directory that reads its nodes as late as it can.
//!
//! The cursor stands in front of an entry or of a whole node that is not read yet. Two cursors in front of nodes of
//! one id have the same entries before them and may both step over; that is how a comparison leaves unread what did
//! not change. Cuts depend on names alone, so after a change the nodes of both sides soon begin with the same name
//! again.
//!
//! Invariants: names ascend strictly over all nodes, each node begins with the name that its parent gives, and levels
//! fall on the way down, so a hostile tree can neither loop nor repeat a name.

use std::cmp::Ordering;

use bstr::BString;

use crate::error::{Error, Result};
use crate::limits::NODE_DEPTH_MAX;
use crate::object::codec::Reader;
use crate::object::{Entry, ObjectId, ObjectSource, TreeNode};

/// A node that is not read yet.
pub(super) struct Unread {
    pub(super) id: ObjectId,
    /// The first name in it; not known of the topmost node.
    first: Option<BString>,
    /// The node's level is below this.
    level_below: u8,
}

/// What a cursor stands in front of.
pub(super) enum Head<'c> {
    /// A node.
    Unread(&'c Unread),
    /// An entry, of which only the name is shown.
    Name(&'c [u8]),
    /// Nothing more.
    End,
}

/// See the module.
pub(super) struct Cursor<'a> {
    source: &'a dyn ObjectSource,
    /// The next one last.
    unread: Vec<Unread>,
    leaf: std::vec::IntoIter<Entry>,
    /// Entries that were taken: where no node was stepped over, the position of the next one in the tree.
    taken: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a dyn ObjectSource, tree: ObjectId) -> Self {
        let top = Unread {
            id: tree,
            first: None,
            level_below: NODE_DEPTH_MAX + 1,
        };
        Self {
            source,
            unread: vec![top],
            leaf: Vec::new().into_iter(),
            taken: 0,
        }
    }

    /// A cursor over one entry.
    pub(super) fn of_entry(source: &'a dyn ObjectSource, entry: Entry) -> Self {
        Self {
            source,
            unread: Vec::new(),
            leaf: vec![entry].into_iter(),
            taken: 0,
        }
    }

    pub(super) fn source(&self) -> &'a dyn ObjectSource {
        self.source
    }

    pub(super) fn head(&self) -> Head<'_> {
        match (self.leaf.as_slice().first(), self.unread.last()) {
            (Some(entry), _) => Head::Name(&entry.name),
            (None, Some(node)) => Head::Unread(node),
            (None, None) => Head::End,
        }
    }

    /// Takes the entry that the cursor stands in front of.
    pub(super) fn take(&mut self) -> Option<Entry> {
        self.taken += 1;
        self.leaf.next()
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Steps over the node that the cursor stands in front of.
    pub(super) fn skip_node(&mut self) {
        self.unread.pop();
    }

    /// Reads the node that the cursor stands in front of.
    pub(super) fn read_node(&mut self) -> Result<()> {
        let Some(node) = self.unread.pop() else {
            return Ok(());
        };
        let read = self.source.tree_node(&node.id)?;
        let (level, first, last) = match &read {
            TreeNode::Leaf(entries) => (0, entries.first().map(|e| &e.name), entries.last().map(|e| &e.name)),
            TreeNode::Inner { level, children } => (
                *level,
                children.first().map(|c| &c.first),
                children.last().map(|c| &c.first),
            ),
        };
        let next = self.unread.last().and_then(|next| next.first.as_ref());
        let problem = if level >= node.level_below {
            format!("level {level}, expected one below {}", node.level_below)
        } else if node.first.is_some() && node.first.as_ref() != first {
            format!("begins with {first:?}, the node above says {:?}", node.first)
        } else if next.is_some() && last >= next {
            format!("ends with {last:?}, the next node begins with {next:?}")
        } else {
            match read {
                TreeNode::Leaf(entries) => self.leaf = entries.into_iter(),
                TreeNode::Inner { level, children } => {
                    self.unread.extend(children.into_iter().rev().map(|child| Unread {
                        id: child.id,
                        first: Some(child.first),
                        level_below: level,
                    }))
                }
            }
            return Ok(());
        };
        Err(Error::BadObject {
            id: node.id,
            source: Box::new(Reader::new("tree node", &[]).malformed(problem)),
        })
    }
}

/// Which of two cursors must read a node before they can be compared further.
pub(super) enum Reads {
    /// Neither: both stand in front of an entry or at the end.
    Neither,
    /// The first.
    Old,
    /// The second.
    New,
    /// Both.
    Both,
    /// None: their nodes have one id, and both step over them.
    Skip,
}

impl Reads {
    /// Decides by what the cursors stand in front of.
    pub(super) fn decide(old: &Head<'_>, new: &Head<'_>) -> Self {
        match (old, new) {
            (Head::Unread(old), Head::Unread(new)) => Self::decide_nodes(old, new),
            // What begins behind the other side's next name can wait.
            (Head::Unread(node), Head::Name(name)) if !node.is_behind(name) => Self::Old,
            (Head::Name(name), Head::Unread(node)) if !node.is_behind(name) => Self::New,
            (Head::Unread(_), Head::End) => Self::Old,
            (Head::End, Head::Unread(_)) => Self::New,
            _ => Self::Neither,
        }
    }

    fn decide_nodes(old: &Unread, new: &Unread) -> Self {
        if old.id == new.id {
            return Self::Skip;
        }
        // A side of which the first name is not known is at its top, and `None` is the least.
        match old.first.cmp(&new.first).then(new.level_below.cmp(&old.level_below)) {
            Ordering::Less => Self::Old,
            Ordering::Greater => Self::New,
            Ordering::Equal => Self::Both,
        }
    }
}

impl Unread {
    fn is_behind(&self, name: &[u8]) -> bool {
        self.first.as_ref().is_some_and(|first| first.as_slice() > name)
    }
}
