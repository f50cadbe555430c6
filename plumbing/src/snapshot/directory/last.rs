//! The tree that a directory had at the last scan, read along with its entries of now.

use std::collections::VecDeque;

use super::moved::GONE_MAX;
use crate::object::{Entry, Node, ObjectId, ObjectSource, TreeNode};
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
    /// The leaf that was read last, and the topmost node.
    leaf_id: Option<ObjectId>,
    top: Option<ObjectId>,
    /// Entries whose names were passed over since [`Old::gone`] gave the last.
    gone: Vec<Entry>,
}

/// What the last tree says of a name.
pub enum Known {
    /// The entry looked as it does now.
    Same(Entry),
    /// It looked otherwise, or that is not known. This it was.
    Other(Node),
}

impl Old {
    pub fn new(tree: ObjectId, prints: Vec<Fingerprint>) -> Self {
        Self {
            pending: vec![tree],
            leaf: VecDeque::new(),
            prints,
            at: 0,
            leaf_id: None,
            top: Some(tree),
            gone: Vec::new(),
        }
    }

    /// The leaf that was read last.
    pub fn leaf(&self) -> Option<ObjectId> {
        self.leaf_id
    }

    /// The topmost node.
    pub fn top(&self) -> Option<ObjectId> {
        self.top
    }

    /// Entries that are not among the names that were asked for since the last call, as far as they are remembered; with
    /// `all`, those behind them too.
    pub fn gone(&mut self, store: &Store, all: bool) -> Vec<Entry> {
        while all && self.gone.len() < GONE_MAX {
            if let Some(entry) = self.leaf.pop_front() {
                self.gone.push(entry);
            } else if !self.next_leaf(store) {
                break;
            }
        }
        std::mem::take(&mut self.gone)
    }

    /// What was known of this name. Names must be asked for in order. Where the last tree cannot be read that is nothing,
    /// and what it named is read again.
    pub fn find(&mut self, store: &Store, name: &[u8], print: Fingerprint) -> Option<Known> {
        loop {
            while let Some(entry) = self.leaf.front() {
                if entry.name.as_slice() > name {
                    return None;
                }
                let was = self.prints.get(self.at).copied().unwrap_or(Fingerprint::NEVER);
                let entry = self.leaf.pop_front()?;
                self.at += 1;
                if entry.name.as_slice() < name && self.gone.len() < GONE_MAX {
                    self.gone.push(entry);
                    continue;
                }
                if entry.name.as_slice() == name {
                    return Some(match print.matches(was) {
                        true => Known::Same(entry),
                        false => Known::Other(entry.node),
                    });
                }
            }
            if !self.next_leaf(store) {
                return None;
            }
        }
    }

    /// Reads on to the next leaf; `false` where there is none.
    fn next_leaf(&mut self, store: &Store) -> bool {
        while let Some(id) = self.pending.pop() {
            match store.tree_node(&id) {
                Ok(TreeNode::Leaf(entries)) => {
                    (self.leaf, self.leaf_id) = (entries.into(), Some(id));
                    return true;
                }
                Ok(TreeNode::Inner { children, .. }) => {
                    self.pending.extend(children.iter().rev().map(|child| child.id))
                }
                Err(_) => *self = Self::default(),
            }
        }
        false
    }
}
