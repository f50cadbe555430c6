//! What snapshots need: every tree is read, every block looked up.
//!
//! Trees that were found whole are remembered and not gone into again; a tree that is hurt, or holds what is hurt, is
//! walked again for each path that leads to it, so that all of them are named. Snapshots of ghosts come last: what
//! others need has been looked for by then, and what only they name may be missing.

use std::collections::BTreeSet;

use bstr::BString;
use hashbrown::{HashMap, HashSet};

use super::{Bad, Hurt, Target};
use crate::error::{Error, Result};
use crate::limits::DIRECTORY_DEPTH_MAX;
use crate::object::{ContentRef, Entry, Indirect, Node, ObjectId, ObjectKind, ObjectSource, Snapshot, TreeNode};
use crate::progress::Progress;
use crate::store::Store;

/// What a walk found.
#[derive(Debug, Default)]
pub struct Reached {
    /// Paths that are hurt.
    pub hurt: Vec<Hurt>,
    /// The frames that hold what was reached, if they were asked for.
    pub frames: Vec<(u32, u64)>,
    /// Contents that are described only, and their bytes.
    pub not_stored: (u64, u64),
}

/// Walks everything that the targets reach.
pub fn check(
    store: &Store,
    targets: &[Target],
    readable: &HashSet<(u32, u64)>,
    bad: &Bad,
    note_frames: bool,
    progress: &Progress,
) -> Result<Reached> {
    let mut walk = Walk {
        store,
        readable,
        bad,
        progress,
        whole: HashSet::new(),
        frames: note_frames.then(BTreeSet::new),
        snapshot: String::new(),
        hurt: Vec::new(),
        may_lack: None,
    };
    let mut lacking = Vec::new();
    for target in targets {
        walk.snapshot.clone_from(&target.name);
        if let Some(tree) = walk.target(target, &mut lacking)? {
            walk.tree(tree)?;
        }
    }
    walk.may_lack = Some(HashMap::new());
    for (target, tree) in lacking {
        walk.snapshot.clone_from(&target.name);
        walk.tree(tree)?;
    }
    let described = walk.may_lack.unwrap_or_default();
    Ok(Reached {
        not_stored: (described.len() as u64, described.values().sum()),
        hurt: walk.hurt,
        frames: walk.frames.unwrap_or_default().into_iter().collect(),
    })
}

struct Walk<'a> {
    store: &'a Store,
    /// Frames whose headers read.
    readable: &'a HashSet<(u32, u64)>,
    bad: &'a Bad,
    progress: &'a Progress,
    /// Trees and indirect blocks below which nothing is hurt.
    whole: HashSet<ObjectId>,
    frames: Option<BTreeSet<(u32, u64)>>,
    snapshot: String,
    hurt: Vec<Hurt>,
    /// Where bytes may be missing: contents of which some are, with their lengths.
    may_lack: Option<HashMap<ObjectId, u64>>,
}

/// A directory that is being walked.
struct Open {
    tree: ObjectId,
    /// Length of the path that leads to it.
    path_bytes: usize,
    entries: Vec<Entry>,
    hurt_before: usize,
}

impl Walk<'_> {
    fn hurt(&mut self, path: &[u8], id: ObjectId, reason: impl ToString) {
        let snapshot = self.snapshot.clone();
        self.hurt.push(Hurt {
            snapshot,
            path: path.into(),
            id,
            reason: reason.to_string(),
        });
    }

    /// Why an object cannot be used, if it cannot.
    fn fault(&mut self, id: &ObjectId, kind: ObjectKind) -> Result<Option<String>> {
        let Some(at) = self.store.locate(id)? else {
            return Ok(Some(format!("the {} is not in this repository", kind.name())));
        };
        if let Some(frames) = &mut self.frames {
            frames.insert((at.file, at.frame));
        }
        if !self.readable.contains(&(at.file, at.frame)) {
            return Ok(Some(format!(
                "the frame at offset {} of its data file does not read",
                at.frame
            )));
        }
        let copies = self.bad.get(id).map(Vec::as_slice).unwrap_or_default();
        Ok(copies
            .iter()
            .find(|(bad, _)| *bad == at)
            .map(|(_, reason)| reason.clone()))
    }

    /// The tree of a target, unless it is one that may lack bytes: those are put aside.
    fn target<'t>(
        &mut self,
        target: &'t Target,
        lacking: &mut Vec<(&'t Target, ObjectId)>,
    ) -> Result<Option<ObjectId>> {
        if target.kind == ObjectKind::Tree {
            if target.needs_data == Some(false) {
                lacking.push((target, target.id));
                return Ok(None);
            }
            return Ok(Some(target.id));
        }
        if let Some(fault) = self.fault(&target.id, ObjectKind::Snapshot)? {
            self.hurt(b"", target.id, fault);
            return Ok(None);
        }
        let read = self
            .store
            .object(ObjectKind::Snapshot, &target.id)
            .and_then(|bytes| Snapshot::decode(&bytes));
        match read {
            Ok(snapshot) if target.needs_data.unwrap_or(!snapshot.is_ghosts_only()) => Ok(Some(snapshot.tree)),
            Ok(snapshot) => {
                lacking.push((target, snapshot.tree));
                Ok(None)
            }
            Err(e) if e.is_damage() => {
                self.hurt(b"", target.id, e);
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Walks a directory and all below it, without recursion: depth has no limit but its own.
    fn tree(&mut self, top: ObjectId) -> Result<()> {
        let mut path = BString::default();
        let mut open = Vec::new();
        open.extend(self.open(top, &path)?);
        while let Some(dir) = open.last_mut() {
            path.truncate(dir.path_bytes);
            let Some(entry) = dir.entries.pop() else {
                if self.hurt.len() == dir.hurt_before {
                    self.whole.insert(dir.tree);
                }
                open.pop();
                continue;
            };
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&entry.name);
            match entry.node {
                Node::Directory { tree } if open.len() >= DIRECTORY_DEPTH_MAX => {
                    self.hurt(&path, tree, "directories nest deeper than the limit");
                }
                Node::Directory { tree } => open.extend(self.open(tree, &path)?),
                Node::File { content, .. } => self.content(&content, &path)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the entries of a directory that was not found whole before.
    fn open(&mut self, tree: ObjectId, path: &[u8]) -> Result<Option<Open>> {
        if self.whole.contains(&tree) {
            return Ok(None);
        }
        self.progress.check()?;
        let hurt_before = self.hurt.len();
        let mut entries = Vec::new();
        let mut nodes = vec![(tree, u8::MAX)];
        while let Some((id, above)) = nodes.pop() {
            if let Some(fault) = self.fault(&id, ObjectKind::Tree)? {
                self.hurt(path, id, fault);
                continue;
            }
            match self.store.tree_node(&id) {
                Ok(TreeNode::Leaf(leaf)) => entries.extend(leaf),
                Ok(TreeNode::Inner { level, children }) if level < above => {
                    nodes.extend(children.iter().rev().map(|child| (child.id, level)));
                }
                Ok(TreeNode::Inner { .. }) => self.hurt(path, id, "a node lies below one of its own level"),
                Err(e) if e.is_damage() => self.hurt(path, id, e),
                Err(e) => return Err(e),
            }
        }
        entries.reverse();
        Ok(Some(Open {
            tree,
            path_bytes: path.len(),
            entries,
            hurt_before,
        }))
    }

    /// Looks up all blocks of a content.
    fn content(&mut self, content: &ContentRef, path: &[u8]) -> Result<()> {
        // Nobody reads the block that stands for no bytes.
        let mut parts = if content.is_empty() {
            Vec::new()
        } else {
            vec![content.clone()]
        };
        while let Some(part) = parts.pop() {
            let part = match part {
                ContentRef::Slice { of, .. } => *of,
                part => part,
            };
            let Some((kind, id)) = part.object() else { continue };
            if self.whole.contains(&id) {
                continue;
            }
            if kind == ObjectKind::Block
                && let Some(described) = &mut self.may_lack
                && self.store.locate(&id)?.is_none()
            {
                let whole = content.object().map_or(id, |(_, id)| id);
                described.insert(whole, content.len());
                continue;
            }
            if let Some(fault) = self.fault(&id, kind)? {
                self.hurt(path, id, fault);
                continue;
            }
            let ContentRef::Indirect { depth, bytes, .. } = part else {
                continue;
            };
            match self
                .store
                .object(kind, &id)
                .and_then(|encoded| Indirect::decode(&encoded, depth, bytes))
            {
                Ok(list) => parts.extend(list.refs),
                Err(e @ Error::Io { .. }) => return Err(e),
                Err(e) => self.hurt(path, id, e),
            }
        }
        Ok(())
    }
}
