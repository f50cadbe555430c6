//! Uniting trees and what is known of their contents.
//!
//! The united tree holds every path and every content of all trees:
//!
//! 1. Names of all trees are put together, folder by folder. Folders of one name are one folder.
//! 2. What else has one name and one content is one entry. Of its metadata, that with the newest mtime is kept.
//! 3. Where contents differ, all of them stay, side by side: a folder, else the one with the newest mtime, keeps the name;
//!    each other gets its name, `~`, and the first twelve digits of its hash behind it. A file that has such a name and
//!    the hash that it says is taken for what it is, another content of the name in front, so that uniting again gives
//!    the same.
//! 4. Hard links become files of one content: what names were one inode in one tree need not be in another.
//!
//! The result is a function of the set of (path, content, metadata), never of the order of the trees. So uniting is
//! associative, commutative and idempotent, and so is putting descriptions together ([`super::pile`]).
//!
//! Memory: the entries of the folders on the way to where the walk is.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice as _};

use crate::error::{Error, Result};
use crate::limits::DIRECTORY_DEPTH_MAX;
use crate::object::content::PutObject;
use crate::object::tree::{Entries, check_name};
use crate::object::{Entry, HashAlgo, Kind, Metadata, Node, ObjectId, ObjectSource, Snapshot, Totals, TreeBuilder};
use crate::progress::Progress;
use crate::time::Timestamp;

/// Digits of a hash behind a name; all of them where that name is taken.
const DIGITS: usize = 12;

/// A tree to unite with others.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Gives its nodes.
    pub source: &'a dyn ObjectSource,
    /// Its topmost node.
    pub tree: ObjectId,
}

/// All that inputs have of one name.
#[derive(Default)]
struct Group<'a> {
    /// The folders of the name.
    folders: Vec<Input<'a>>,
    folder_meta: Option<Metadata>,
    /// What else there is, by its id.
    others: BTreeMap<ObjectId, Entry>,
}

/// A folder that is being united.
struct Level<'a> {
    name: BString,
    meta: Metadata,
    /// Folders in it that are still to come.
    folders: Vec<(BString, Metadata, Vec<Input<'a>>)>,
    done: Vec<Entry>,
}

/// Unites trees; the nodes of the result go to `put`, which gives their ids. Gives its topmost node and what it holds.
pub fn unite(
    inputs: &[Input<'_>],
    algo: HashAlgo,
    put: &mut PutObject<'_>,
    progress: &Progress,
) -> Result<(ObjectId, Totals)> {
    let mut totals = Totals::default();
    let mut levels = vec![open(
        BString::default(),
        Metadata::default(),
        inputs,
        algo,
        &mut totals,
    )?];
    loop {
        progress.check()?;
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        if let Some((name, meta, inputs)) = level.folders.pop() {
            if depth >= DIRECTORY_DEPTH_MAX {
                let problem = format!("folders nest deeper than {DIRECTORY_DEPTH_MAX}");
                return Err(Error::invalid("tree", name, problem));
            }
            totals.directories += 1;
            levels.push(open(name, meta, &inputs, algo, &mut totals)?);
            continue;
        }
        let Some(mut level) = levels.pop() else { break };
        level.done.sort_by(|a, b| a.name.cmp(&b.name));
        let mut builder = TreeBuilder::new();
        for entry in &level.done {
            builder.push(entry, put)?;
        }
        let tree = builder.finish(put)?;
        let Some(above) = levels.last_mut() else {
            return Ok((tree, totals));
        };
        above.done.push(Entry {
            name: level.name,
            meta: level.meta,
            node: Node::Directory { tree },
        });
    }
    Err(Error::invalid("tree", "of all inputs", "there is none"))
}

/// Puts the names of folders together, and settles all that are no folders.
fn open<'a>(
    name: BString,
    meta: Metadata,
    inputs: &[Input<'a>],
    algo: HashAlgo,
    totals: &mut Totals,
) -> Result<Level<'a>> {
    let mut groups: BTreeMap<BString, Group<'a>> = BTreeMap::new();
    for input in inputs {
        for entry in Entries::new(input.source, input.tree) {
            add(&mut groups, input.source, entry?, algo);
        }
    }
    let mut level = Level {
        name,
        meta,
        folders: Vec::new(),
        done: Vec::new(),
    };
    let names: Vec<BString> = groups.keys().cloned().collect();
    let is_taken = |name: &BString| names.binary_search(name).is_ok();
    for (base, group) in groups {
        let newest = |(id, entry): &(&ObjectId, &Entry)| (entry.meta.mtime, **id);
        let first = match group.folders.is_empty() {
            true => group.others.iter().max_by_key(newest).map(|(id, _)| *id),
            false => None,
        };
        for (id, mut entry) in group.others {
            count(&entry, totals);
            if Some(id) != first {
                entry.name = beside(&base, &id, &is_taken)?;
            }
            level.done.push(entry);
        }
        if let Some(meta) = group.folder_meta {
            level.folders.push((base, meta, group.folders));
        }
    }
    // The last is taken first; the order does not matter to the result.
    level.folders.reverse();
    Ok(level)
}

fn add<'a>(groups: &mut BTreeMap<BString, Group<'a>>, source: &'a dyn ObjectSource, mut entry: Entry, algo: HashAlgo) {
    entry.meta.links = None;
    if let Node::Directory { tree } = entry.node {
        let group = groups.entry(entry.name).or_default();
        group.folders.push(Input { source, tree });
        let meta = match group.folder_meta.take() {
            Some(known) if rank_meta(&known) > rank_meta(&entry.meta) => known,
            _ => entry.meta,
        };
        group.folder_meta = Some(meta);
        return;
    }
    let id = id_of(&entry, algo);
    if let Some(base) = base_of(&entry.name, &id) {
        entry.name = base;
    }
    let others = &mut groups.entry(entry.name.clone()).or_default().others;
    match others.get(&id) {
        Some(known) if rank(known) >= rank(&entry) => {}
        _ => {
            others.insert(id, entry);
        }
    }
}

fn count(entry: &Entry, totals: &mut Totals) {
    match entry.kind() {
        Kind::File => {
            totals.files += 1;
            totals.bytes += entry.size();
        }
        _ => totals.others += 1,
    }
}

/// What tells one content of a name from another: the hash of a file, or of what a link, pipe or device is.
fn id_of(entry: &Entry, algo: HashAlgo) -> ObjectId {
    entry.fullhash().unwrap_or_else(|| {
        let plain = Entry {
            name: "entry".into(),
            meta: Metadata::default(),
            node: entry.node.clone(),
        };
        let mut encoded = Vec::new();
        plain.encode(&mut encoded);
        ObjectId::hash(algo, &encoded)
    })
}

/// Which of two entries of one content is kept: the one with the newest mtime, else the one whose encoding is greater.
fn rank(entry: &Entry) -> (Timestamp, Vec<u8>) {
    let mut encoded = Vec::new();
    entry.encode(&mut encoded);
    (entry.meta.mtime, encoded)
}

fn rank_meta(meta: &Metadata) -> (Timestamp, Vec<u8>) {
    rank(&Entry {
        name: "folder".into(),
        meta: meta.clone(),
        node: Node::Fifo,
    })
}

/// The name in front, where a name says the hash of what it names.
fn base_of(name: &BString, id: &ObjectId) -> Option<BString> {
    let at = name.rfind_byte(b'~')?;
    let (base, digits) = (&name[..at], &name[at + 1..]);
    let hex = id.hex();
    let says = digits.len() == DIGITS && hex.as_bytes().starts_with(digits) || digits == hex.as_bytes();
    (says && check_name(base, "tree").is_ok()).then(|| base.into())
}

/// The name of another content of `base`.
fn beside(base: &BString, id: &ObjectId, is_taken: &dyn Fn(&BString) -> bool) -> Result<BString> {
    let hex = id.hex();
    for digits in [&hex[..DIGITS], &hex] {
        let mut name = base.clone();
        name.push(b'~');
        name.extend_from_slice(digits.as_bytes());
        if !is_taken(&name) {
            check_name(&name, "united tree")?;
            return Ok(name);
        }
    }
    let problem = format!("other contents have this name and the same with ~{hex} behind it; rename one");
    Err(Error::invalid("name", base, problem))
}

/// Where a path of a snapshot was on its machine: the root, and the whole path.
pub fn place_of(snapshot: &Snapshot, path: &BString) -> (BString, BString) {
    let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    for root in &snapshot.roots {
        // The tree of several roots has an entry for each, by its last name.
        let rest = match root.meta {
            Some(_) => Some(path.as_slice()),
            None if root.path.rsplit(|&byte| byte == b'/').next() == Some(first) => Some(&path[first.len()..]),
            None => None,
        };
        let Some(rest) = rest else { continue };
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        let mut whole = root.path.clone();
        if !rest.is_empty() {
            if !whole.ends_with(b"/") {
                whole.push(b'/');
            }
            whole.extend_from_slice(rest);
        }
        return (root.path.clone(), whole);
    }
    (BString::default(), path.clone())
}

#[cfg(test)]
mod tests;
