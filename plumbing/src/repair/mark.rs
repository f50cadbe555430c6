//! Recording what is lost: replacements of snapshots (object-format.md, "Losses").
//!
//! 1. What a check found missing is gathered by snapshot, with what was recorded before.
//! 2. A folder of which nodes are missing is put together anew of the entries that are left, and so are all above it. Files
//!    whose bytes are gone keep their entries: they say what is sought, and `reconstruct` looks for it elsewhere.
//! 3. The list of what is lost and the replacement are stored, then all refs are set in one change.
//!
//! The same damage gives the same replacement, whoever records it.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice as _};

use crate::error::{Error, Result};
use crate::object::{Entry, Node, ObjectId, ObjectKind, ObjectSource as _, Snapshot, TreeBuilder, TreeNode};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::refs::{Expected, RefChange, Who};
use crate::repository::Repository;
use crate::snapshot::content::store_reader;
use crate::store::{Packer, Store};
use crate::verify::recorded::{DAMAGED, LOST, Loss, REPAIRED_FROM, encode, list_value, ref_of};
use crate::verify::{Hurt, Report as Checked};

/// A snapshot of which something is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// What it is called.
    pub name: String,
    /// Its id.
    pub damaged: ObjectId,
    /// The id of its replacement; none where nothing was done yet.
    pub replacement: Option<ObjectId>,
    /// What is lost, sorted by path.
    pub losses: Vec<Loss>,
}

impl Marked {
    /// The paths, each once.
    pub fn paths(&self) -> Vec<BString> {
        let mut paths: Vec<BString> = self.losses.iter().map(|loss| loss.path.clone()).collect();
        paths.dedup();
        paths
    }
}

/// What would be recorded.
pub fn preview(found: &Checked) -> Vec<Marked> {
    let mut marked: BTreeMap<ObjectId, Marked> = BTreeMap::new();
    let names_replacement = |hurt: &&Hurt| is_replacement(&hurt.snapshot);
    for hurt in found
        .hurt
        .iter()
        .chain(&found.recorded)
        .filter(|hurt| !names_replacement(hurt))
    {
        let entry = marked.entry(hurt.target).or_insert_with(|| Marked {
            name: hurt.snapshot.clone(),
            damaged: hurt.target,
            replacement: None,
            losses: Vec::new(),
        });
        entry.losses.push(Loss {
            path: hurt.path.clone(),
            kind: hurt.kind,
            id: hurt.id,
        });
    }
    // What was recorded before and is all there is was told then.
    let is_new = |marked: &Marked| found.hurt.iter().any(|hurt| hurt.target == marked.damaged);
    let mut marked: Vec<Marked> = marked.into_values().filter(is_new).collect();
    for marked in &mut marked {
        marked.losses.sort();
        marked.losses.dedup();
    }
    marked
}

/// Whether a target is called as replacements are.
fn is_replacement(name: &str) -> bool {
    name.starts_with(DAMAGED.trim_start_matches("refs/"))
}

/// Stores replacements and sets the refs to them.
pub fn record(
    store: &Store,
    repository: &Repository,
    found: &Checked,
    who: &Who,
    progress: &Progress,
) -> Result<Vec<Marked>> {
    let mut marked = preview(found);
    if marked.is_empty() {
        return Ok(marked);
    }
    let writer = store.writer()?;
    let mut packer = writer.packer();
    for one in &mut marked {
        progress.check()?;
        let mut replacement = replacement(store, repository, &mut packer, one)?;
        let text = encode(&one.losses);
        let params = repository.settings().chunk_params();
        let (list, _) = store_reader(&mut packer, params, &mut &*text)?;
        set_extra(&mut replacement, LOST, list_value(&list.content));
        set_extra(&mut replacement, REPAIRED_FROM, one.damaged.to_string().into_bytes());
        let (id, _) = packer.put(ObjectKind::Snapshot, &replacement.encode())?;
        one.replacement = Some(id);
    }
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    let changes: Vec<RefChange> = marked
        .iter()
        .map(|marked| RefChange {
            name: ref_of(&marked.damaged),
            expected: Expected::Any,
            new: marked.replacement,
        })
        .collect();
    let paths: usize = marked.iter().map(|marked| marked.paths().len()).sum();
    let message = format!("repair: {paths} paths are lost");
    repository.refs.transaction(&changes, who, &message)?;
    Ok(marked)
}

/// What is left of a snapshot.
fn replacement(store: &Store, repository: &Repository, packer: &mut Packer<'_>, marked: &Marked) -> Result<Snapshot> {
    let is_tree = marked
        .losses
        .iter()
        .any(|loss| loss.id == marked.damaged && loss.kind == ObjectKind::Tree);
    let kind = store.kind_of(&marked.damaged)?;
    let snapshot = match kind {
        Some(ObjectKind::Snapshot) => read_snapshot(store, &marked.damaged).ok(),
        Some(ObjectKind::Tree) => Some(bare(marked.damaged, marked)),
        _ if is_tree => Some(bare(marked.damaged, marked)),
        _ => None,
    };
    match snapshot {
        Some(mut snapshot) => {
            snapshot.tree = rebuild(store, packer, snapshot.tree, &marked.losses)?;
            Ok(snapshot)
        }
        // The snapshot itself is gone: nothing is known but what the ref log says was there before.
        None => {
            let empty = TreeBuilder::new().finish(&mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))?;
            let mut snapshot = bare(empty, marked);
            snapshot.parents = before(store, repository, &marked.damaged)?;
            Ok(snapshot)
        }
    }
}

/// A snapshot of which nothing is known but its tree.
fn bare(tree: ObjectId, marked: &Marked) -> Snapshot {
    Snapshot {
        message: format!("what is left of {}", marked.damaged),
        ..Snapshot::bare(tree)
    }
}

/// The snapshots that refs had before they had this one, as far as they read. So what was behind it stays within reach.
fn before(store: &Store, repository: &Repository, lost: &ObjectId) -> Result<Vec<ObjectId>> {
    let mut found = Vec::new();
    for record in repository.refs.records_backwards()? {
        let record = match record {
            Ok(record) => record,
            Err(error) if error.is_damage() => break,
            Err(error) => return Err(error),
        };
        let olds = record
            .changes
            .iter()
            .filter(|change| change.new == Some(*lost))
            .filter_map(|change| change.old);
        for old in olds {
            if !found.contains(&old) && old != *lost && read_snapshot(store, &old).is_ok() {
                found.push(old);
            }
        }
    }
    Ok(found)
}

fn set_extra(snapshot: &mut Snapshot, key: &str, value: Vec<u8>) {
    snapshot.extra.retain(|(found, _)| found != key);
    let at = snapshot.extra.partition_point(|(found, _)| found.as_str() < key);
    snapshot.extra.insert(at, (key.to_owned(), value));
}

/// A tree in which folders of which nodes are lost have what is left of them.
fn rebuild(store: &Store, packer: &mut Packer<'_>, top: ObjectId, losses: &[Loss]) -> Result<ObjectId> {
    // All folders on the way to one that is hurt, sorted: each comes behind the one above it.
    let mut folders: BTreeMap<BString, Option<(ObjectId, Vec<Entry>)>> = BTreeMap::new();
    for loss in losses.iter().filter(|loss| loss.kind == ObjectKind::Tree) {
        folders.insert(BString::default(), None);
        let ends = loss
            .path
            .find_iter(b"/")
            .chain((!loss.path.is_empty()).then_some(loss.path.len()));
        ends.for_each(|end| drop(folders.insert(loss.path[..end].into(), None)));
    }
    if folders.is_empty() {
        return Ok(top);
    }
    let mut trees: BTreeMap<BString, ObjectId> = BTreeMap::from([(BString::default(), top)]);
    for (path, folder) in &mut folders {
        let Some(tree) = trees.get(path).copied() else { continue };
        let entries = what_is_left(store, tree)?;
        for entry in &entries {
            if let Node::Directory { tree } = entry.node {
                trees.insert(below(path, &entry.name), tree);
            }
        }
        *folder = Some((tree, entries));
    }
    // From the deepest to the top, each in the one above it.
    let mut made: BTreeMap<BString, ObjectId> = BTreeMap::new();
    let mut paths: Vec<&BString> = folders.keys().collect();
    paths.sort_by_key(|path| std::cmp::Reverse((depth(path), path.len())));
    for path in paths {
        let Some(Some((_, entries))) = folders.get(path) else {
            continue;
        };
        let mut builder = TreeBuilder::new();
        let mut put = |kind, bytes: Vec<u8>| Ok(packer.put(kind, &bytes)?.0);
        for entry in entries {
            let mut entry = entry.clone();
            if let Node::Directory { tree } = &mut entry.node
                && let Some(new) = made.get(&below(path, &entry.name))
            {
                *tree = *new;
            }
            builder.push(&entry, &mut put)?;
        }
        made.insert(path.clone(), builder.finish(&mut put)?);
    }
    made.remove(&BString::default()).ok_or(Error::Missing {
        id: top,
        needed_as: "tree",
    })
}

fn depth(path: &[u8]) -> usize {
    match path.is_empty() {
        true => 0,
        false => 1 + path.iter().filter(|byte| **byte == b'/').count(),
    }
}

fn below(path: &BString, name: &BString) -> BString {
    match path.is_empty() {
        true => name.clone(),
        false => bstr::join("/", [path, name]).into(),
    }
}

/// The entries of a folder that can be read, in order.
fn what_is_left(store: &Store, tree: ObjectId) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut nodes = vec![(tree, u8::MAX)];
    while let Some((id, above)) = nodes.pop() {
        match store.tree_node(&id) {
            Ok(TreeNode::Leaf(leaf)) => entries.extend(leaf),
            Ok(TreeNode::Inner { level, children }) if level < above => {
                nodes.extend(children.iter().rev().map(|child| (child.id, level)));
            }
            Ok(TreeNode::Inner { .. }) => {}
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    entries.dedup_by(|next, entry| next.name <= entry.name);
    Ok(entries)
}
