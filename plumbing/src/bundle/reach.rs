//! Everything that roots need, in the order in which a reader meets it.
//!
//! A node of a directory or a list of parts that was met before is not gone into again, so that each is told once.
//! Blocks are told as often as files name them, each with the path of the file.

use bstr::{BStr, BString};
use hashbrown::HashSet;

use super::Root;
use crate::error::{Error, Result};
use crate::limits::{DIRECTORY_DEPTH_MAX, NODE_DEPTH_MAX};
use crate::object::codec::Reader;
use crate::object::{ContentRef, Entry, Indirect, Node, ObjectId, ObjectKind, ObjectSource, Snapshot, TreeNode};
use crate::progress::Progress;

/// An object that is needed.
#[derive(Clone, Copy, Debug)]
pub enum Needed<'a> {
    /// A snapshot, a node of a tree, an indirect block: what describes.
    Metadata(ObjectKind, ObjectId),
    /// A block.
    Block {
        /// Its id.
        id: ObjectId,
        /// Its length in bytes. Of a block without bytes nothing can be missing.
        bytes: u64,
        /// The file that it belongs to, from the top of the tree.
        path: &'a BStr,
    },
}

/// Takes what is found.
type Tell<'t> = dyn FnMut(Needed<'_>) -> Result<()> + 't;

/// Tells everything that `roots` need. Each object that describes must be in `source`; blocks need not.
pub fn walk(source: &dyn ObjectSource, roots: &[Root], progress: &Progress, tell: &mut Tell<'_>) -> Result<()> {
    let mut walk = Walk {
        source,
        progress,
        seen: HashSet::new(),
        tell,
    };
    for root in roots {
        let tree = match root.kind {
            ObjectKind::Snapshot => {
                (walk.tell)(Needed::Metadata(ObjectKind::Snapshot, root.id))?;
                Snapshot::decode(&source.object(ObjectKind::Snapshot, &root.id)?)?.tree
            }
            _ => root.id,
        };
        walk.tree(tree)?;
    }
    Ok(())
}

struct Walk<'w, 't> {
    source: &'w dyn ObjectSource,
    progress: &'w Progress,
    seen: HashSet<ObjectId>,
    tell: &'w mut Tell<'t>,
}

/// Nodes and entries of a directory that are still to be met, the next one last.
struct Open {
    path_bytes: usize,
    nodes: Vec<(ObjectId, u8)>,
    entries: Vec<Entry>,
}

impl Open {
    fn new(tree: ObjectId, path: &BString) -> Self {
        Self {
            path_bytes: path.len(),
            nodes: vec![(tree, u8::MAX)],
            entries: Vec::new(),
        }
    }
}

impl Walk<'_, '_> {
    /// Walks a directory and all below it, without recursion.
    fn tree(&mut self, top: ObjectId) -> Result<()> {
        let mut path = BString::default();
        let mut open = vec![Open::new(top, &path)];
        while let Some(dir) = open.last_mut() {
            path.truncate(dir.path_bytes);
            let Some(entry) = dir.entries.pop() else {
                match dir.nodes.pop() {
                    Some((node, above)) => self.node(dir, node, above)?,
                    None => {
                        open.pop();
                    }
                }
                continue;
            };
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&entry.name);
            match entry.node {
                Node::Directory { .. } if open.len() >= DIRECTORY_DEPTH_MAX => {
                    let problem = format!("directories nest deeper than {DIRECTORY_DEPTH_MAX}");
                    return Err(Error::invalid("tree", top, problem));
                }
                Node::Directory { tree } => open.push(Open::new(tree, &path)),
                Node::File { content, .. } => self.content(&content, path.as_ref())?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads one node of a directory that was not met before.
    fn node(&mut self, dir: &mut Open, id: ObjectId, above: u8) -> Result<()> {
        self.progress.check()?;
        if !self.seen.insert(id) {
            return Ok(());
        }
        (self.tell)(Needed::Metadata(ObjectKind::Tree, id))?;
        match self.source.tree_node(&id)? {
            TreeNode::Leaf(mut entries) => {
                entries.reverse();
                dir.entries = entries;
            }
            TreeNode::Inner { level, children } if level < above => {
                dir.nodes.extend(children.iter().rev().map(|child| (child.id, level)));
            }
            TreeNode::Inner { .. } => {
                let source = Reader::new("tree node", &[]).malformed("below a node of its own level");
                let source = Box::new(source);
                return Err(Error::BadObject { id, source });
            }
        }
        Ok(())
    }

    /// Tells the blocks of a content.
    fn content(&mut self, content: &ContentRef, path: &BStr) -> Result<()> {
        let mut parts = vec![content.clone()];
        while let Some(part) = parts.pop() {
            match part {
                ContentRef::Block { id, bytes } => (self.tell)(Needed::Block { id, bytes, path })?,
                ContentRef::Slice { of, .. } => parts.push(*of),
                ContentRef::Indirect { id, depth, bytes } if depth <= NODE_DEPTH_MAX => {
                    if !self.seen.insert(id) {
                        continue;
                    }
                    (self.tell)(Needed::Metadata(ObjectKind::Indirect, id))?;
                    let encoded = self.source.object(ObjectKind::Indirect, &id)?;
                    let list = Indirect::decode(&encoded, depth, bytes).map_err(|source| Error::BadObject {
                        id,
                        source: Box::new(source),
                    })?;
                    parts.extend(list.refs.into_iter().rev());
                }
                ContentRef::Indirect { .. } | ContentRef::Run { .. } | ContentRef::Inline(_) => {}
            }
        }
        Ok(())
    }
}
