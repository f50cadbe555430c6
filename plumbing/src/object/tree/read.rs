//! Reading directories out of whatever gives the bytes of objects.

use bstr::BString;

use super::{Entry, TreeNode};
use crate::error::{Error, Result};
use crate::limits::NODE_DEPTH_MAX;
use crate::object::codec::Reader;
use crate::object::{ObjectId, ObjectKind};

/// Gives the bytes of objects: a store, a bundle, a remote.
pub trait ObjectSource: Sync {
    /// The bytes of an object that is needed as `kind`, with their hash checked.
    fn object(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>>;

    /// Says that these will be read soon: a source that has them elsewhere brings them at once.
    fn will_read(&self, _ids: &[ObjectId]) -> Result<()> {
        Ok(())
    }

    /// Reads one node of a directory; an error names its id.
    fn tree_node(&self, id: &ObjectId) -> Result<TreeNode> {
        let encoded = self.object(ObjectKind::Tree, id)?;
        TreeNode::decode(&encoded).map_err(|source| Error::BadObject {
            id: *id,
            source: Box::new(source),
        })
    }
}

/// Streams the entries of one directory in order. Memory is one node a level.
pub struct Entries<'a, S: ObjectSource + ?Sized> {
    source: &'a S,
    /// Nodes still to read, the next one last, with the level they must have.
    pending: Vec<(ObjectId, Option<u8>)>,
    leaf: std::vec::IntoIter<Entry>,
    leaf_id: Option<ObjectId>,
    last: Option<BString>,
}

impl<'a, S: ObjectSource + ?Sized> Entries<'a, S> {
    /// The entries of the directory `tree`.
    pub fn new(source: &'a S, tree: ObjectId) -> Self {
        Self {
            source,
            pending: vec![(tree, None)],
            leaf: Vec::new().into_iter(),
            leaf_id: None,
            last: None,
        }
    }

    /// The node that the entries which were given last come from.
    pub fn node(&self) -> Option<ObjectId> {
        self.leaf_id
    }

    fn advance(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.leaf.next() {
                if self.last.as_ref().is_some_and(|last| *last >= entry.name) {
                    let problem = "it repeats or is out of order";
                    return Err(Error::UnsafeName {
                        name: entry.name,
                        what: "directory",
                        problem,
                    });
                }
                if self.leaf.len() == 0 {
                    self.last = Some(entry.name.clone());
                }
                return Ok(Some(entry));
            }
            let Some((id, level)) = self.pending.pop() else {
                return Ok(None);
            };
            let node = self.source.tree_node(&id)?;
            let found = match &node {
                TreeNode::Leaf(_) => 0,
                TreeNode::Inner { level, .. } => *level,
            };
            if level.is_some_and(|level| level <= found) {
                let source =
                    Reader::new("tree node", &[]).malformed(format_args!("level {found} below level {level:?}"));
                return Err(Error::BadObject {
                    id,
                    source: Box::new(source),
                });
            }
            match node {
                TreeNode::Leaf(entries) => (self.leaf, self.leaf_id) = (entries.into_iter(), Some(id)),
                TreeNode::Inner { children, .. } => {
                    self.pending
                        .extend(children.into_iter().rev().map(|child| (child.id, Some(found))));
                }
            }
        }
    }
}

impl<S: ObjectSource + ?Sized> Iterator for Entries<'_, S> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.pending.clear();
            self.leaf = Vec::new().into_iter();
        }
        next.transpose()
    }
}

/// Finds one name in a directory by reading one path of its nodes.
pub fn lookup<S: ObjectSource + ?Sized>(source: &S, tree: ObjectId, name: &[u8]) -> Result<Option<Entry>> {
    let mut id = tree;
    for _ in 0..=NODE_DEPTH_MAX {
        match source.tree_node(&id)? {
            TreeNode::Leaf(entries) => {
                let found = entries.binary_search_by(|entry| entry.name.as_slice().cmp(name));
                return Ok(found.ok().and_then(|at| entries.into_iter().nth(at)));
            }
            TreeNode::Inner { children, .. } => {
                let after = children.partition_point(|child| child.first.as_slice() <= name);
                let Some(at) = after.checked_sub(1) else {
                    return Ok(None);
                };
                id = children[at].id;
            }
        }
    }
    let source = Reader::new("tree node", &[]).malformed("nested deeper than the limit");
    Err(Error::BadObject {
        id: tree,
        source: Box::new(source),
    })
}
