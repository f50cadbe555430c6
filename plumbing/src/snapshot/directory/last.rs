//! The tree that a directory had at the last scan, read along with its entries of now.

use std::collections::VecDeque;

use crate::object::{Entry, ObjectId, ObjectSource, TreeNode};
use crate::store::Store;
use crate::walk::cache::Fingerprint;

/// The entries that the directory had, read along with the new ones.
#[derive(Default)]
pub struct Old {
    /// Nodes to read, the next one last.
    pending: Vec<ObjectId>,
    leaf: VecDeque<Entry>,
    prints: Vec<Fingerprint>,
    /// The place of the next entry.
    at: usize,
}

impl Old {
    pub fn new(tree: ObjectId, prints: Vec<Fingerprint>) -> Self {
        Self {
            pending: vec![tree],
            leaf: VecDeque::new(),
            prints,
            at: 0,
        }
    }

    /// The entry of this name, if it looked as it does now. Names must be asked for in order. Where the last tree cannot
    /// be read there is none, and what it named is read again.
    pub fn find(&mut self, store: &Store, name: &[u8], print: Fingerprint) -> Option<Entry> {
        loop {
            while let Some(entry) = self.leaf.front() {
                if entry.name.as_slice() > name {
                    return None;
                }
                let was = self.prints.get(self.at).copied().unwrap_or(Fingerprint::NEVER);
                let entry = self.leaf.pop_front()?;
                self.at += 1;
                if entry.name.as_slice() == name {
                    return print.matches(was).then_some(entry);
                }
            }
            match store.tree_node(&self.pending.pop()?) {
                Ok(TreeNode::Leaf(entries)) => self.leaf = entries.into(),
                Ok(TreeNode::Inner { children, .. }) => {
                    self.pending.extend(children.iter().rev().map(|child| child.id))
                }
                Err(_) => *self = Self::default(),
            }
        }
    }
}
