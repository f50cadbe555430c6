//! Whether all is stored that a snapshot or tree needs.
//!
//! 1. Of a snapshot, the trees and those of its ancestors, as far as no live ref needs them already: what a live ref
//!    needs is there.
//! 2. Directories are walked along with those of a base that is known to be whole: a node, directory or content that the
//!    base has at the same place is passed over. So a snapshot that follows another costs what changed.
//! 3. What only a condemned data file holds is read there and stored again, if the caller writes; else it is missing.

use std::collections::BTreeMap;

use bstr::BString;
use hashbrown::HashSet;

use crate::error::{Error, Result};
use crate::limits::{DELTA_READS_MAX, DIRECTORY_DEPTH_MAX, NODE_DEPTH_MAX};
use crate::object::{ContentRef, Indirect, Node, ObjectId, ObjectKind, ObjectSource as _, Snapshot, TreeNode};
use crate::store::{Packer, Store};

/// Looks for what trees need.
pub struct Closure<'s, 'w> {
    store: &'s Store,
    packer: Option<Packer<'w>>,
    /// Trees and lists that are whole; with the blocks, and without them.
    whole: [HashSet<ObjectId>; 2],
    target: ObjectId,
    needs_data: bool,
}

/// A directory to look into, with one that is whole and may be like it.
struct Open {
    tree: ObjectId,
    base: Option<ObjectId>,
    depth: usize,
}

impl<'s, 'w> Closure<'s, 'w> {
    /// Looks only.
    pub fn new(store: &'s Store) -> Self {
        Self {
            store,
            packer: None,
            whole: Default::default(),
            target: ObjectId::hash(store.algo(), b""),
            needs_data: true,
        }
    }

    /// Stores again what only condemned data files hold. The caller flushes and commits.
    pub fn rescue(packer: Packer<'w>) -> Self
    where
        'w: 's,
    {
        let store = packer.writer_store();
        Self {
            packer: Some(packer),
            ..Self::new(store)
        }
    }

    /// The packer, to flush it.
    pub fn into_packer(self) -> Option<Packer<'w>> {
        self.packer
    }

    /// Reads a snapshot.
    pub fn snapshot(&mut self, id: ObjectId) -> Result<Snapshot> {
        self.target = id;
        Snapshot::decode(&self.described(ObjectKind::Snapshot, id)?)
    }

    /// Looks for everything below a tree; `base` is one that is whole, with as much as is asked for here. Fails with
    /// [`Error::Incomplete`] where something is missing.
    pub fn tree(&mut self, target: ObjectId, tree: ObjectId, base: Option<ObjectId>, needs_data: bool) -> Result<()> {
        self.target = target;
        self.needs_data = needs_data;
        if base == Some(tree) {
            return Ok(());
        }
        let mut open = vec![Open { tree, base, depth: 0 }];
        while let Some(dir) = open.pop() {
            if self.whole[usize::from(needs_data)].insert(dir.tree) {
                self.directory(&dir, &mut open)?;
            }
        }
        Ok(())
    }

    fn directory(&mut self, dir: &Open, open: &mut Vec<Open>) -> Result<()> {
        if dir.depth >= DIRECTORY_DEPTH_MAX {
            let problem = format!("directories nest deeper than {DIRECTORY_DEPTH_MAX}");
            return Err(Error::invalid("tree", self.target, problem));
        }
        let known = match dir.base {
            Some(base) => self.node_ids(base)?,
            None => HashSet::new(),
        };
        let mut mine = HashSet::new();
        let mut entries = Vec::new();
        let mut nodes = vec![(dir.tree, u8::MAX)];
        while let Some((id, above)) = nodes.pop() {
            mine.insert(id);
            if known.contains(&id) {
                continue;
            }
            match self.node(id)? {
                TreeNode::Leaf(leaf) => entries.extend(leaf),
                TreeNode::Inner { level, children } if level < above => {
                    nodes.extend(children.iter().map(|child| (child.id, level)));
                }
                TreeNode::Inner { .. } => return Err(self.missing(id, ObjectKind::Tree)),
            }
        }
        let before = self.entries_of(known.difference(&mine))?;
        for entry in entries {
            let was = before.get(&entry.name);
            match entry.node {
                Node::Directory { tree } => {
                    let base = match was {
                        Some(Node::Directory { tree }) => Some(*tree),
                        _ => None,
                    };
                    if base != Some(tree) {
                        let depth = dir.depth + 1;
                        open.push(Open { tree, base, depth });
                    }
                }
                Node::File { content, .. } => match was {
                    Some(Node::File { content: was, .. }) if *was == content => {}
                    _ => self.content(content)?,
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// The nodes of a directory that is whole; leaves are not read.
    fn node_ids(&self, top: ObjectId) -> Result<HashSet<ObjectId>> {
        let mut ids = HashSet::from([top]);
        let mut inner = vec![top];
        while let Some(id) = inner.pop() {
            if let TreeNode::Inner { level, children } = self.base_node(id)? {
                ids.extend(children.iter().map(|child| child.id));
                if level > 1 {
                    inner.extend(children.iter().map(|child| child.id));
                }
            }
        }
        Ok(ids)
    }

    /// The entries in those of these nodes that are leaves.
    fn entries_of<'i>(&self, nodes: impl Iterator<Item = &'i ObjectId>) -> Result<BTreeMap<BString, Node>> {
        let mut entries = BTreeMap::new();
        for id in nodes {
            if let TreeNode::Leaf(leaf) = self.base_node(*id)? {
                entries.extend(leaf.into_iter().map(|entry| (entry.name, entry.node)));
            }
        }
        Ok(entries)
    }

    fn base_node(&self, id: ObjectId) -> Result<TreeNode> {
        let bytes = self.store.get(&id)?.ok_or_else(|| self.missing(id, ObjectKind::Tree))?;
        TreeNode::decode(&bytes)
    }

    fn node(&mut self, id: ObjectId) -> Result<TreeNode> {
        let bytes = self.described(ObjectKind::Tree, id)?;
        TreeNode::decode(&bytes).map_err(|source| Error::BadObject {
            id,
            source: Box::new(source),
        })
    }

    fn content(&mut self, content: ContentRef) -> Result<()> {
        if content.is_empty() {
            return Ok(());
        }
        let mut parts = vec![content];
        while let Some(part) = parts.pop() {
            match part {
                ContentRef::Block { id, bytes: 1.. } if self.needs_data => self.block(id)?,
                ContentRef::Slice { of, .. } => parts.push(*of),
                ContentRef::Indirect { id, depth, bytes } if depth <= NODE_DEPTH_MAX => {
                    if !self.whole[usize::from(self.needs_data)].insert(id) {
                        continue;
                    }
                    let encoded = self.described(ObjectKind::Indirect, id)?;
                    let list = Indirect::decode(&encoded, depth, bytes).map_err(|source| Error::BadObject {
                        id,
                        source: Box::new(source),
                    })?;
                    parts.extend(list.refs);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn block(&mut self, id: ObjectId) -> Result<()> {
        if self.is_stored(&id)? {
            return self.bases(&id);
        }
        match self.rescued(ObjectKind::Block, id)? {
            Some(_) => Ok(()),
            // It is with whoever gave what names it.
            None if self.store.may_lack_blocks() => Ok(()),
            None if self.store.locate_needed(&id)?.is_some() => self.bases(&id),
            None => Err(self.missing(id, ObjectKind::Block)),
        }
    }

    /// The bytes of an object that describes others.
    fn described(&mut self, kind: ObjectKind, id: ObjectId) -> Result<Vec<u8>> {
        if self.is_stored(&id)?
            && let Some(bytes) = self.store.get(&id)?
        {
            self.bases(&id)?;
            return Ok(bytes);
        }
        if let Some(bytes) = self.rescued(kind, id)? {
            return Ok(bytes);
        }
        match self.store.locate_needed(&id)? {
            Some(_) => {
                self.bases(&id)?;
                self.store.object(kind, &id)
            }
            None => Err(self.missing(id, kind)),
        }
    }

    /// Looks for what a stored object is made from.
    fn bases(&mut self, id: &ObjectId) -> Result<()> {
        if self.store.generation() == 0 {
            return Ok(());
        }
        let mut pending = vec![*id];
        // Who reads it takes no more, and says so where it would have to.
        for _ in 0..DELTA_READS_MAX {
            let Some(id) = pending.pop() else { break };
            let Some(at) = self.store.locate(&id)? else { continue };
            for base in self.store.bases_at(at)? {
                if self.is_stored(&base.id)? {
                    pending.push(base.id);
                } else if self.rescued(base.kind, base.id)?.is_none() {
                    // It went with a gc that knew of nobody who needs it. Another copy of the object may stand.
                    self.store.distrust(&[at])?;
                    if self.store.locate(&id)?.is_none_or(|next| next == at) {
                        return Err(self.missing(base.id, base.kind));
                    }
                    pending.push(id);
                    break;
                }
            }
        }
        Ok(())
    }

    fn is_stored(&self, id: &ObjectId) -> Result<bool> {
        match &self.packer {
            // The writer notes where it leans on what nothing vouches for yet.
            Some(packer) => packer.knows(id),
            None => Ok(self.store.locate(id)?.is_some()),
        }
    }

    /// Reads an object in a condemned data file and stores it again.
    fn rescued(&mut self, kind: ObjectKind, id: ObjectId) -> Result<Option<Vec<u8>>> {
        let Some(packer) = &mut self.packer else {
            return Ok(None);
        };
        if self.store.locate_condemned(&id)?.is_none() {
            return Ok(None);
        }
        let bytes = self.store.object(kind, &id)?;
        packer.put_hashed(kind, id, &bytes)?;
        Ok(Some(bytes))
    }

    fn missing(&self, id: ObjectId, kind: ObjectKind) -> Error {
        Error::Incomplete {
            target: self.target,
            id,
            needed_as: kind.name(),
        }
    }
}
