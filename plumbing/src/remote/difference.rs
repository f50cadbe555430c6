//! What new snapshots need that old ones do not have.
//!
//! Both sides know that a snapshot which is held whole implies all that is below it. So nobody has to ask for single
//! objects: the difference of two snapshots is found on one side alone.
//!
//! 1. [`new_snapshots`] follows parents from the tips until it meets snapshots that the other side holds, and orders
//!    what it passed so that parents come first.
//! 2. For each, [`Difference::tree`] compares its tree with that of its base, the first parent that is held or was
//!    handled before. Directories that differ are read on both sides; equal ones, and leaves that both sides of a large
//!    directory share, are not. All that the old side names is noted as held; what the new side names is put aside.
//! 3. What was put aside is told when all of the old side is known, so that what only moved is not told.
//!
//! Invariants:
//!
//! - Every object is told at most once, and a directory or list after its own bytes were read.
//! - What is told together with what the bases need is everything that the new snapshots need. Too much may be told (a
//!   file that came back after years); too little never, as long as bases are whole.
//! - Walks remember what they saw: a tree that names one directory a thousand times costs one visit.

use bstr::BString;
use hashbrown::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::limits::{DIRECTORY_DEPTH_MAX, NODE_DEPTH_MAX};
use crate::object::codec::Reader;
use crate::object::{ContentRef, Entry, Indirect, Node, ObjectId, ObjectKind, ObjectSource, Snapshot, TreeNode};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;

/// Takes an object that is needed: its kind, id, and of blocks the length in bytes.
pub type Tell<'t> = dyn FnMut(ObjectKind, ObjectId, u64) -> Result<()> + 't;

/// A snapshot that is to be handed over.
#[derive(Clone, Debug)]
pub struct New {
    /// Its id.
    pub id: ObjectId,
    /// What it says.
    pub snapshot: Snapshot,
    /// Whether its tree stays behind.
    pub is_bare: bool,
}

/// The snapshots behind `tips` that `is_held` does not know, parents before children. With a `depth`, those further than
/// that from every tip are marked: their trees stay behind.
pub fn new_snapshots(
    source: &dyn ObjectSource,
    tips: &[ObjectId],
    depth: Option<u64>,
    is_held: &mut dyn FnMut(&ObjectId) -> Result<bool>,
    progress: &Progress,
) -> Result<Vec<New>> {
    // Breadth first gives each snapshot its least distance from a tip.
    let mut found: HashMap<ObjectId, New> = HashMap::new();
    let mut level: Vec<ObjectId> = tips.to_vec();
    let mut distance = 0;
    while !level.is_empty() {
        distance += 1;
        let mut next = Vec::new();
        for id in level {
            progress.check()?;
            if found.contains_key(&id) || is_held(&id)? {
                continue;
            }
            let snapshot = read_snapshot(source, &id)?;
            let is_bare = depth.is_some_and(|depth| distance > depth);
            next.extend_from_slice(&snapshot.parents);
            found.insert(id, New { id, snapshot, is_bare });
        }
        level = next;
    }
    Ok(in_order(found, tips))
}

/// Parents before children, without recursion.
fn in_order(mut found: HashMap<ObjectId, New>, tips: &[ObjectId]) -> Vec<New> {
    let mut out = Vec::with_capacity(found.len());
    let mut open: HashSet<ObjectId> = HashSet::new();
    let mut stack: Vec<ObjectId> = tips.iter().rev().copied().collect();
    while let Some(id) = stack.last().copied() {
        let parents = match found.get(&id) {
            Some(new) if open.insert(id) => new.snapshot.parents.clone(),
            _ => {
                stack.pop();
                out.extend(found.remove(&id));
                continue;
            }
        };
        let left = parents
            .into_iter()
            .filter(|parent| found.contains_key(parent) && !open.contains(parent));
        stack.extend(left);
    }
    out
}

/// Compares trees, and tells what is new.
pub struct Difference<'a> {
    source: &'a dyn ObjectSource,
    progress: &'a Progress,
    /// Whether blocks are told, or only what describes.
    blocks: bool,
    /// What the other side has.
    held: HashSet<ObjectId>,
    /// What was told.
    told: HashSet<ObjectId>,
}

impl std::fmt::Debug for Difference<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Difference({} held, {} told)", self.held.len(), self.told.len())
    }
}

/// What the new side names, until all of the old side is known.
enum Aside {
    Nodes(Vec<ObjectId>),
    Directory(ObjectId),
    Content(ContentRef),
}

/// The leaves of a directory, and the nodes above them.
struct Leaves {
    inner: Vec<ObjectId>,
    leaves: Vec<ObjectId>,
}

impl<'a> Difference<'a> {
    /// Nothing compared yet.
    pub fn new(source: &'a dyn ObjectSource, blocks: bool, progress: &'a Progress) -> Self {
        Self {
            source,
            progress,
            blocks,
            held: HashSet::new(),
            told: HashSet::new(),
        }
    }

    /// Notes that the other side has an object with all that it needs.
    pub fn hold(&mut self, id: ObjectId) {
        self.held.insert(id);
    }

    /// Whether the other side is known to have an object.
    pub fn holds(&self, id: &ObjectId) -> bool {
        self.held.contains(id)
    }

    /// Notes what the tree `older`, which the other side has, names and the tree `newer` does not.
    pub fn hold_changes(&mut self, older: ObjectId, newer: ObjectId) -> Result<()> {
        self.compare(older, newer, &mut Vec::new())
    }

    /// Whether an object was told.
    pub fn has_told(&self, id: &ObjectId) -> bool {
        self.told.contains(id)
    }

    /// Tells one object unless it is held.
    pub fn object(&mut self, kind: ObjectKind, id: ObjectId, bytes: u64, tell: &mut Tell<'_>) -> Result<bool> {
        if self.held.contains(&id) || !self.told.insert(id) {
            return Ok(false);
        }
        tell(kind, id, bytes)?;
        Ok(true)
    }

    /// Tells what the tree `new` needs and the tree `base` does not have.
    pub fn tree(&mut self, new: ObjectId, base: Option<ObjectId>, tell: &mut Tell<'_>) -> Result<()> {
        let mut aside = Vec::new();
        match base {
            Some(base) if base == new => return Ok(()),
            Some(base) => self.compare(base, new, &mut aside)?,
            None => aside.push(Aside::Directory(new)),
        }
        for part in aside {
            match part {
                Aside::Nodes(nodes) => {
                    for id in nodes {
                        self.object(ObjectKind::Tree, id, 0, tell)?;
                    }
                }
                Aside::Directory(id) => self.walk(id, tell)?,
                Aside::Content(content) => self.content(&content, tell)?,
            }
        }
        Ok(())
    }

    /// Reads both sides where they differ.
    fn compare(&mut self, base: ObjectId, new: ObjectId, aside: &mut Vec<Aside>) -> Result<()> {
        let mut pairs = vec![(base, new)];
        let mut seen = HashSet::new();
        while let Some((old, new)) = pairs.pop() {
            self.progress.check()?;
            if old == new || !seen.insert((old, new)) {
                continue;
            }
            let before = match self.leaves(old) {
                Ok(before) => before,
                // What is not here any more cannot be leant on.
                Err(Error::Missing { .. }) => {
                    aside.push(Aside::Directory(new));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let after = self.leaves(new)?;
            let kept: HashSet<ObjectId> = after.leaves.iter().copied().collect();
            let mut known: HashMap<BString, Entry> = HashMap::new();
            for leaf in before.leaves.iter().filter(|leaf| !kept.contains(*leaf)) {
                let Ok(TreeNode::Leaf(entries)) = self.source.tree_node(leaf) else {
                    continue;
                };
                known.extend(entries.into_iter().map(|entry| (entry.name.clone(), entry)));
            }
            self.held.extend(before.inner.into_iter().chain(before.leaves));
            known.values().for_each(|entry| self.hold_entry(entry));
            aside.push(Aside::Nodes(after.inner));
            for leaf in after.leaves {
                if self.held.contains(&leaf) {
                    continue;
                }
                let TreeNode::Leaf(entries) = self.source.tree_node(&leaf)? else {
                    return Err(bad_level(leaf));
                };
                aside.push(Aside::Nodes(vec![leaf]));
                for entry in entries {
                    self.compare_entry(known.get(&entry.name), entry.node, &mut pairs, aside)?;
                }
            }
        }
        Ok(())
    }

    fn hold_entry(&mut self, entry: &Entry) {
        match &entry.node {
            Node::Directory { tree } => {
                self.held.insert(*tree);
            }
            Node::File { content, .. } => self.held.extend(content.object().map(|(_, id)| id)),
            _ => {}
        }
    }

    fn compare_entry(
        &mut self,
        old: Option<&Entry>,
        new: Node,
        pairs: &mut Vec<(ObjectId, ObjectId)>,
        aside: &mut Vec<Aside>,
    ) -> Result<()> {
        match (old.map(|entry| &entry.node), new) {
            (Some(Node::Directory { tree: old }), Node::Directory { tree: new }) => pairs.push((*old, new)),
            (_, Node::Directory { tree }) => aside.push(Aside::Directory(tree)),
            (old, Node::File { content, .. }) => {
                if let Some(Node::File { content: before, .. }) = old
                    && *before != content
                {
                    self.hold_parts(before)?;
                }
                aside.push(Aside::Content(content));
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes the parts of an old content: most of them are in the new one.
    fn hold_parts(&mut self, content: &ContentRef) -> Result<()> {
        let mut parts = vec![content.clone()];
        while let Some(part) = parts.pop() {
            match part {
                ContentRef::Block { id, .. } => {
                    self.held.insert(id);
                }
                ContentRef::Slice { of, .. } => parts.push(*of),
                ContentRef::Indirect { id, depth, bytes } => match self.list(id, depth, bytes) {
                    Ok(list) => {
                        self.held.insert(id);
                        parts.extend(list.refs);
                    }
                    Err(Error::Missing { .. }) => {}
                    Err(error) => return Err(error),
                },
                ContentRef::Run { .. } | ContentRef::Inline(_) => {}
            }
        }
        Ok(())
    }

    /// Tells a directory that the old side has nothing like, and all below it.
    fn walk(&mut self, top: ObjectId, tell: &mut Tell<'_>) -> Result<()> {
        let mut open = vec![(top, 0)];
        while let Some((directory, depth)) = open.pop() {
            self.progress.check()?;
            if depth > DIRECTORY_DEPTH_MAX {
                let problem = format!("directories nest deeper than {DIRECTORY_DEPTH_MAX}");
                return Err(Error::invalid("tree", top, problem));
            }
            let mut nodes = vec![(directory, u8::MAX)];
            while let Some((id, above)) = nodes.pop() {
                if self.held.contains(&id) || self.told.contains(&id) {
                    continue;
                }
                let node = self.source.tree_node(&id)?;
                self.object(ObjectKind::Tree, id, 0, tell)?;
                match node {
                    TreeNode::Inner { level, children } if level < above => {
                        nodes.extend(children.iter().rev().map(|child| (child.id, level)));
                    }
                    TreeNode::Inner { .. } => return Err(bad_level(id)),
                    TreeNode::Leaf(entries) => {
                        for entry in entries {
                            match entry.node {
                                Node::Directory { tree } => open.push((tree, depth + 1)),
                                Node::File { content, .. } => self.content(&content, tell)?,
                                _ => {}
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells the lists and blocks of a content.
    pub fn content(&mut self, content: &ContentRef, tell: &mut Tell<'_>) -> Result<()> {
        let mut parts = vec![content.clone()];
        while let Some(part) = parts.pop() {
            match part {
                ContentRef::Block { id, bytes } => {
                    if self.blocks {
                        self.object(ObjectKind::Block, id, bytes, tell)?;
                    }
                }
                ContentRef::Slice { of, .. } => parts.push(*of),
                ContentRef::Indirect { id, depth, bytes } if depth <= NODE_DEPTH_MAX => {
                    if self.held.contains(&id) || self.told.contains(&id) {
                        continue;
                    }
                    let list = self.list(id, depth, bytes)?;
                    self.object(ObjectKind::Indirect, id, 0, tell)?;
                    parts.extend(list.refs.into_iter().rev());
                }
                ContentRef::Indirect { .. } | ContentRef::Run { .. } | ContentRef::Inline(_) => {}
            }
        }
        Ok(())
    }

    fn list(&self, id: ObjectId, depth: u8, bytes: u64) -> Result<Indirect> {
        let encoded = self.source.object(ObjectKind::Indirect, &id)?;
        Indirect::decode(&encoded, depth, bytes).map_err(|source| Error::BadObject {
            id,
            source: Box::new(source),
        })
    }

    /// The nodes of a directory without the entries: of most, one leaf.
    fn leaves(&self, directory: ObjectId) -> Result<Leaves> {
        let mut out = Leaves {
            inner: Vec::new(),
            leaves: Vec::new(),
        };
        let mut nodes = vec![(directory, u8::MAX)];
        while let Some((id, above)) = nodes.pop() {
            // Children of a node of level 1 are leaves: they are read when it is known that they differ.
            if above == 1 {
                out.leaves.push(id);
                continue;
            }
            match self.source.tree_node(&id)? {
                TreeNode::Leaf(_) => out.leaves.push(id),
                TreeNode::Inner { level, children } if level < above => {
                    out.inner.push(id);
                    nodes.extend(children.iter().rev().map(|child| (child.id, level)));
                }
                TreeNode::Inner { .. } => return Err(bad_level(id)),
            }
        }
        Ok(out)
    }
}

fn bad_level(id: ObjectId) -> Error {
    let source = Reader::new("tree node", &[]).malformed("below a node of its own level");
    Error::BadObject {
        id,
        source: Box::new(source),
    }
}
