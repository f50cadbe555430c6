//! Trees, level by level: a walk over what comes from elsewhere costs a round trip for each level, not for each
//! directory.
//!
//! A level is all directories that are as deep as each other, with the nodes of large ones and the lists of long files
//! one level below what names them. It is brought with one question ([`Store::bring`]), then read. What does not come or
//! does not read is passed over: whoever needs it finds out and says so. Equal ids are gone into once, so that a tree
//! that names one directory a thousand times costs one visit.

use hashbrown::HashSet;

use crate::error::Result;
use crate::limits::NODE_DEPTH_MAX;
use crate::object::{ContentRef, Indirect, Node, ObjectId, ObjectKind, ObjectSource as _, TreeNode};
use crate::progress::Progress;
use crate::store::Store;

/// What is brought of a tree beside its directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// Nothing: its top directory alone.
    Nothing,
    /// The directories below.
    Directories,
    /// The directories below, and the lists of long files.
    Lists,
    /// The directories below, lists, and the blocks of files.
    Blocks,
}

impl Below {
    fn has_lists(self) -> bool {
        matches!(self, Self::Lists | Self::Blocks)
    }
}

/// What a walk needs next.
#[derive(Debug, Default)]
struct Level {
    trees: Vec<ObjectId>,
    lists: Vec<(ObjectId, u8, u64)>,
    blocks: Vec<ObjectId>,
}

impl Level {
    fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.lists.is_empty() && self.blocks.is_empty()
    }

    fn ids(&self) -> Vec<ObjectId> {
        let lists = self.lists.iter().map(|(id, ..)| *id);
        self.trees
            .iter()
            .copied()
            .chain(lists)
            .chain(self.blocks.iter().copied())
            .collect()
    }
}

/// Goes down a tree, a level at a time.
#[derive(Debug)]
pub struct Descent {
    below: Below,
    seen: HashSet<ObjectId>,
    next: Level,
}

impl Descent {
    /// From these directories.
    pub fn new(tops: &[ObjectId], below: Below) -> Self {
        let mut seen = HashSet::new();
        let trees = tops.iter().copied().filter(|id| seen.insert(*id)).collect();
        Self {
            below,
            seen,
            next: Level {
                trees,
                ..Level::default()
            },
        }
    }

    /// From these contents of files.
    pub fn of_contents(contents: &[ContentRef], below: Below) -> Self {
        let mut descent = Self::new(&[], below);
        contents.iter().for_each(|content| descent.content(content));
        descent
    }

    /// Whether an object is of the next level.
    pub fn begins_with(&self, id: &ObjectId) -> bool {
        self.next.trees.contains(id)
    }

    /// The ids of the next level; none at the end. Nothing is told twice.
    pub fn level(&self) -> Option<Vec<ObjectId>> {
        (!self.next.is_empty()).then(|| self.next.ids())
    }

    /// Reads the level and finds the next one. Objects that do not read lead nowhere.
    pub fn descend(&mut self, store: &Store) -> Result<()> {
        let level = std::mem::take(&mut self.next);
        for id in level.trees {
            match store.tree_node(&id) {
                Ok(TreeNode::Inner { children, .. }) => children.iter().for_each(|child| self.tree(child.id)),
                Ok(TreeNode::Leaf(entries)) => entries.into_iter().for_each(|entry| self.node(entry.node)),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        for (id, depth, bytes) in level.lists {
            let read = store.object(ObjectKind::Indirect, &id);
            match read.and_then(|encoded| Indirect::decode(&encoded, depth, bytes)) {
                Ok(list) => list.refs.iter().for_each(|part| self.content(part)),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn node(&mut self, node: Node) {
        match node {
            Node::Directory { tree } if self.below != Below::Nothing => self.tree(tree),
            Node::File { content, .. } => self.content(&content),
            _ => {}
        }
    }

    fn tree(&mut self, id: ObjectId) {
        if self.seen.insert(id) {
            self.next.trees.push(id);
        }
    }

    fn content(&mut self, content: &ContentRef) {
        let mut part = content;
        while let ContentRef::Slice { of, .. } = part {
            part = of;
        }
        match part {
            ContentRef::Indirect { id, depth, bytes }
                if self.below.has_lists() && *depth <= NODE_DEPTH_MAX && self.seen.insert(*id) =>
            {
                self.next.lists.push((*id, *depth, *bytes));
            }
            ContentRef::Block { id, bytes: 1.. } if self.below == Below::Blocks && self.seen.insert(*id) => {
                self.next.blocks.push(*id);
            }
            _ => {}
        }
    }
}

/// Brings trees of a store that has a supply: directories, and as much more as `below` says, a level at a time.
pub fn bring_trees(store: &Store, tops: &[ObjectId], below: Below, progress: &Progress) -> Result<()> {
    if !store.has_supply() {
        return Ok(());
    }
    bring_all(store, Descent::new(tops, below), progress)
}

fn bring_all(store: &Store, mut descent: Descent, progress: &Progress) -> Result<()> {
    while let Some(ids) = descent.level() {
        progress.check()?;
        store.bring(&ids)?;
        descent.descend(store)?;
    }
    Ok(())
}

/// Brings what contents of files need: lists, and blocks if `below` says so.
pub fn bring_contents(store: &Store, contents: &[ContentRef], below: Below, progress: &Progress) -> Result<()> {
    match store.has_supply() {
        true => bring_all(store, Descent::of_contents(contents, below), progress),
        false => Ok(()),
    }
}

/// Brings of two trees what a comparison reads: of each level those directories that the other does not have.
pub fn bring_differing(store: &Store, old: ObjectId, new: ObjectId, progress: &Progress) -> Result<()> {
    if !store.has_supply() || old == new {
        return Ok(());
    }
    let mut sides = [old, new].map(|top| Descent::new(&[top], Below::Lists));
    loop {
        progress.check()?;
        let shared: HashSet<ObjectId> = {
            let [old, new] = sides
                .each_ref()
                .map(|side| side.next.trees.iter().copied().collect::<HashSet<_>>());
            old.intersection(&new).copied().collect()
        };
        let mut ids = Vec::new();
        for side in &mut sides {
            side.next.trees.retain(|id| !shared.contains(id));
            ids.extend(side.level().unwrap_or_default());
        }
        if ids.is_empty() {
            return Ok(());
        }
        store.bring(&ids)?;
        for side in &mut sides {
            side.descend(store)?;
        }
    }
}
