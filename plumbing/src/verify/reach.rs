//! What snapshots need: every tree is read, every block looked up.
//!
//! Trees that were found whole are remembered and not gone into again; a tree that is hurt, or holds what is hurt, is
//! walked again for each path that leads to it, so that all of them are named. Snapshots of ghosts come last: what
//! others need has been looked for by then, and what only they name may be missing.

mod bases;

use std::collections::BTreeSet;

use bstr::BString;
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use super::data::{Walked, Work};
use super::{Bad, Hurt, Target};
use crate::error::{Error, Result};
use crate::limits::DIRECTORY_DEPTH_MAX;
use crate::object::{ContentRef, Entry, Indirect, Node, ObjectId, ObjectKind, ObjectSource, Snapshot, TreeNode};
use crate::progress::Progress;
use crate::store::data::format::Codec;
use crate::store::{Location, Store};

/// What a walk found.
#[derive(Debug, Default)]
pub struct Reached {
    /// Paths that are hurt.
    pub hurt: Vec<Hurt>,
    /// The same, where what is missing was recorded as lost.
    pub recorded: Vec<Hurt>,
    /// Targets behind which nothing is missing.
    pub whole: HashSet<ObjectId>,
    /// The frames that hold what was reached, if they were asked for.
    pub frames: Vec<(u32, u64)>,
    /// Contents that are described only, and their bytes.
    pub not_stored: (u64, u64),
}

/// What a walk goes by.
pub struct Scope<'a> {
    pub store: &'a Store,
    pub readable: &'a Readable,
    /// Objects that were recorded as lost.
    pub lost: &'a HashSet<ObjectId>,
    pub progress: &'a Progress,
}

/// Which frames have headers that read: of files that were walked all are known, of others each is asked once.
#[derive(Debug)]
pub struct Readable {
    files: HashSet<u32>,
    frames: HashMap<(u32, u64), Header>,
    asked: Mutex<HashMap<(u32, u64), Option<Header>>>,
}

/// What a header says that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Objects of the frame are made from others.
    has_bases: bool,
}

impl Readable {
    /// After the walk over some files.
    pub fn new(walked: &Walked) -> Self {
        Self {
            files: walked.files.clone(),
            frames: walked.frames.iter().map(|work| (work.place(), work.into())).collect(),
            asked: Mutex::default(),
        }
    }

    /// The header of a frame, if it reads.
    fn header(&self, store: &Store, at: Location) -> Result<Option<Header>> {
        let place = (at.file, at.frame);
        if self.files.contains(&at.file) {
            return Ok(self.frames.get(&place).copied());
        }
        if let Some(header) = self.asked.lock().get(&place) {
            return Ok(*header);
        }
        let header = match store.head(at) {
            Ok((_, head)) => Some(Header {
                has_bases: head.header.codec == Codec::Delta,
            }),
            Err(error) if error.is_damage() => None,
            Err(error) => return Err(error),
        };
        self.asked.lock().insert(place, header);
        Ok(header)
    }
}

impl From<&Work> for Header {
    fn from(work: &Work) -> Self {
        let has_bases = work.has_bases;
        Self { has_bases }
    }
}

/// Walks everything that the targets reach.
pub fn check(scope: &Scope<'_>, targets: &[&Target], bad: &Bad, note_frames: bool) -> Result<Reached> {
    let mut walk = Walk {
        scope,
        bad,
        intact: HashSet::new(),
        standing: HashMap::new(),
        bases: HashMap::new(),
        links: 0,
        frames: note_frames.then(BTreeSet::new),
        target: None,
        faults: 0,
        found: Reached::default(),
        may_lack: None,
        promised: HashSet::new(),
    };
    // Of a lazy repository what others keep comes first: what its own snapshots share with that may be with them, too.
    let is_promised = |target: &Target| scope.store.may_lack_blocks() && target.needs_data == Some(false);
    walk.may_lack = scope.store.may_lack_blocks().then(HashMap::new);
    for &target in targets.iter().filter(|target| is_promised(target)) {
        let faults = walk.faults;
        walk.target = Some(target);
        let mut trees = Vec::new();
        walk.target(target, &mut trees)?;
        for (_, tree) in trees {
            walk.tree(tree)?;
        }
        if walk.faults == faults {
            walk.found.whole.insert(target.id);
        }
    }
    let promised = walk.may_lack.take().unwrap_or_default();
    let mut lacking = Vec::new();
    for &target in targets.iter().filter(|target| !is_promised(target)) {
        let faults = walk.faults;
        walk.target = Some(target);
        let before = lacking.len();
        if let Some(tree) = walk.target(target, &mut lacking)? {
            walk.tree(tree)?;
        }
        if walk.faults == faults && lacking.len() == before {
            walk.found.whole.insert(target.id);
        }
    }
    walk.may_lack = Some(promised);
    for (target, tree) in lacking {
        walk.target = Some(target);
        walk.tree(tree)?;
    }
    let described = walk.may_lack.unwrap_or_default();
    let mut found = walk.found;
    found.not_stored = (described.len() as u64, described.values().sum());
    found.frames = walk.frames.unwrap_or_default().into_iter().collect();
    Ok(found)
}

struct Walk<'a> {
    scope: &'a Scope<'a>,
    bad: &'a Bad,
    /// Trees and indirect blocks below which nothing is hurt.
    intact: HashSet<ObjectId>,
    /// Of frames whose objects are made from others, whether all of these are there, all the way down.
    standing: HashMap<(u32, u64), bool>,
    /// What is wrong with bases, if something is; of sound ones only those beside such.
    bases: HashMap<ObjectId, Option<String>>,
    /// Bases that lead to the one that is looked at.
    links: u8,
    frames: Option<BTreeSet<(u32, u64)>>,
    target: Option<&'a Target>,
    /// What was found hurt so far, recorded or not.
    faults: usize,
    found: Reached,
    /// Where bytes may be missing: contents of which some are, with their lengths.
    may_lack: Option<HashMap<ObjectId, u64>>,
    /// Of a lazy repository: blocks that are not here and that what others keep names.
    promised: HashSet<ObjectId>,
}

/// A directory that is being walked.
struct Open {
    tree: ObjectId,
    /// Length of the path that leads to it.
    path_bytes: usize,
    entries: Vec<Entry>,
    faults_before: usize,
}

impl Walk<'_> {
    fn hurt(&mut self, path: &[u8], (kind, id): (ObjectKind, ObjectId), reason: impl ToString) {
        let Some(target) = self.target else { return };
        self.faults += 1;
        let hurt = Hurt {
            snapshot: target.name.clone(),
            target: target.id,
            path: path.into(),
            id,
            kind,
            reason: reason.to_string(),
        };
        match self.scope.lost.contains(&id) {
            true => self.found.recorded.push(hurt),
            false => self.found.hurt.push(hurt),
        }
    }

    /// Why an object cannot be used, if it cannot: every copy of it is missing or damaged, or is made from what is and does
    /// not read for that.
    fn fault(&mut self, id: &ObjectId, kind: ObjectKind) -> Result<Option<String>> {
        let mut unreadable = None;
        while let Some(at) = self.scope.store.locate(id)? {
            if let Some(frames) = &mut self.frames {
                frames.insert((at.file, at.frame));
            }
            let fault = match self.scope.readable.header(self.scope.store, at)? {
                None => Some(format!(
                    "the frame at offset {} of its data file does not read",
                    at.frame
                )),
                Some(Header { has_bases: true }) => match self.fault_of_bases(at)? {
                    // Perhaps it takes nothing of what is damaged.
                    Some(_) if self.reads(at, id)? => None,
                    fault => fault,
                },
                Some(Header { has_bases: false }) => None,
            };
            if fault.is_none() {
                return Ok(None);
            }
            unreadable = fault;
            self.scope.store.distrust(&[at])?;
            if self.scope.store.locate(id)? == Some(at) {
                break;
            }
        }
        if let Some(fault) = &unreadable {
            // Look-ups pass over it from now on, so that this is not found out again.
            self.bases.insert(*id, Some(fault.clone()));
        }
        let known = || self.bases.get(id).cloned().flatten();
        let of_bad = || Some(self.bad.get(id)?.first()?.1.clone());
        let of_store = || Some(self.scope.store.reason_of(id)?.to_string());
        let missing = || format!("the {} is not in this repository", kind.name());
        Ok(Some(
            unreadable
                .or_else(known)
                .or_else(of_bad)
                .or_else(of_store)
                .unwrap_or_else(missing),
        ))
    }

    fn reads(&self, at: Location, id: &ObjectId) -> Result<bool> {
        match self.scope.store.near().read(at, id, &mut Vec::new()) {
            Ok(()) => Ok(true),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
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
            self.hurt(b"", (ObjectKind::Snapshot, target.id), fault);
            return Ok(None);
        }
        let read = self
            .scope
            .store
            .object(ObjectKind::Snapshot, &target.id)
            .and_then(|bytes| Snapshot::decode(&bytes));
        match read {
            Ok(_) if !target.needs_tree => Ok(None),
            Ok(snapshot) if target.needs_data.unwrap_or(!snapshot.is_ghosts_only()) => Ok(Some(snapshot.tree)),
            Ok(snapshot) => {
                lacking.push((target, snapshot.tree));
                Ok(None)
            }
            Err(e) if e.is_damage() => {
                self.hurt(b"", (ObjectKind::Snapshot, target.id), e);
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
                if self.faults == dir.faults_before {
                    self.intact.insert(dir.tree);
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
                    self.hurt(
                        &path,
                        (ObjectKind::Tree, tree),
                        "directories nest deeper than the limit",
                    );
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
        if self.intact.contains(&tree) {
            return Ok(None);
        }
        self.scope.progress.check()?;
        let faults_before = self.faults;
        let mut entries = Vec::new();
        let mut nodes = vec![(tree, u8::MAX)];
        while let Some((id, above)) = nodes.pop() {
            if let Some(fault) = self.fault(&id, ObjectKind::Tree)? {
                self.hurt(path, (ObjectKind::Tree, id), fault);
                continue;
            }
            match self.scope.store.tree_node(&id) {
                Ok(TreeNode::Leaf(leaf)) => entries.extend(leaf),
                Ok(TreeNode::Inner { level, children }) if level < above => {
                    nodes.extend(children.iter().rev().map(|child| (child.id, level)));
                }
                Ok(TreeNode::Inner { .. }) => {
                    self.hurt(path, (ObjectKind::Tree, id), "a node lies below one of its own level");
                }
                Err(e) if e.is_damage() => self.hurt(path, (ObjectKind::Tree, id), e),
                Err(e) => return Err(e),
            }
        }
        entries.reverse();
        Ok(Some(Open {
            tree,
            path_bytes: path.len(),
            entries,
            faults_before,
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
            if self.intact.contains(&id) {
                continue;
            }
            if kind == ObjectKind::Block && self.promised.contains(&id) {
                continue;
            }
            if kind == ObjectKind::Block
                && let Some(described) = &mut self.may_lack
                && self.scope.store.locate(&id)?.is_none()
            {
                let whole = content.object().map_or(id, |(_, id)| id);
                described.insert(whole, content.len());
                if self.scope.store.may_lack_blocks() {
                    self.promised.insert(id);
                }
                continue;
            }
            if let Some(fault) = self.fault(&id, kind)? {
                self.hurt(path, (kind, id), fault);
                continue;
            }
            let ContentRef::Indirect { depth, bytes, .. } = part else {
                continue;
            };
            match self
                .scope
                .store
                .object(kind, &id)
                .and_then(|encoded| Indirect::decode(&encoded, depth, bytes))
            {
                Ok(list) => parts.extend(list.refs),
                Err(e @ Error::Io { .. }) => return Err(e),
                Err(e) => self.hurt(path, (kind, id), e),
            }
        }
        Ok(())
    }
}
