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
//! Memory: a node of each tree for each folder on the way to where the walk is, and what waits for its place in the order of
//! names; however many entries a folder has.

use std::collections::{BTreeMap, BTreeSet};

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

impl<'a> Group<'a> {
    fn add(&mut self, source: &'a dyn ObjectSource, mut entry: Entry, algo: HashAlgo) {
        entry.meta.links = None;
        if let Node::Directory { tree } = entry.node {
            self.folders.push(Input { source, tree });
            let meta = match self.folder_meta.take() {
                Some(known) if rank_meta(&known) > rank_meta(&entry.meta) => known,
                _ => entry.meta,
            };
            self.folder_meta = Some(meta);
            return;
        }
        let id = id_of(&entry, algo);
        match self.others.get(&id) {
            Some(known) if rank(known) >= rank(&entry) => {}
            _ => drop(self.others.insert(id, entry)),
        }
    }

    fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.others.is_empty()
    }
}

/// The entries of one folder of one input that are still to come.
struct Head<'a> {
    source: &'a dyn ObjectSource,
    entries: Entries<'a, dyn ObjectSource + 'a>,
    next: Option<Entry>,
}

impl Head<'_> {
    fn advance(&mut self) -> Result<Option<Entry>> {
        let next = self.entries.next().transpose()?;
        Ok(std::mem::replace(&mut self.next, next))
    }
}

/// A folder that is being united.
struct Level<'a> {
    name: BString,
    meta: Metadata,
    heads: Vec<Head<'a>>,
    /// What has a name that says its hash, by the name in front.
    said: BTreeMap<BString, Vec<(&'a dyn ObjectSource, Entry)>>,
    /// Names with `~` that stay.
    taken: BTreeSet<BString>,
    /// Further contents of names that were settled, by the names that they get: their turn comes later.
    late: BTreeMap<BString, Entry>,
    builder: TreeBuilder,
}

/// A folder of the result that is to be united next.
type Below<'a> = (Metadata, Vec<Input<'a>>);

/// Unites trees; the nodes of the result go to `put`, which gives their ids. Gives its topmost node and what it holds.
pub fn unite(
    inputs: &[Input<'_>],
    algo: HashAlgo,
    put: &mut PutObject<'_>,
    progress: &Progress,
) -> Result<(ObjectId, Totals)> {
    let mut totals = Totals::default();
    let mut levels = vec![Level::open(BString::default(), Metadata::default(), inputs, algo)?];
    loop {
        progress.check()?;
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        if let Some((name, group)) = level.next_group(algo)? {
            if let Some((meta, folders)) = level.settle(&name, group, &mut totals, put)? {
                if depth >= DIRECTORY_DEPTH_MAX {
                    let problem = format!("folders nest deeper than {DIRECTORY_DEPTH_MAX}");
                    return Err(Error::invalid("tree", name, problem));
                }
                totals.directories += 1;
                levels.push(Level::open(name, meta, &folders, algo)?);
            }
            continue;
        }
        let Some(level) = levels.pop() else { break };
        let entry = level.finish(put)?;
        match (levels.last_mut(), &entry.node) {
            (Some(above), _) => above.builder.push(&entry, put)?,
            (None, Node::Directory { tree }) => return Ok((*tree, totals)),
            (None, _) => break,
        }
    }
    Err(Error::invalid("tree", "of all inputs", "there is none"))
}

impl<'a> Level<'a> {
    /// Begins with a folder of all `inputs`. Their entries are read twice: once for names that say a hash, since those
    /// belong to names that come before them.
    fn open(name: BString, meta: Metadata, inputs: &[Input<'a>], algo: HashAlgo) -> Result<Self> {
        let mut level = Self {
            name,
            meta,
            heads: Vec::new(),
            said: BTreeMap::new(),
            taken: BTreeSet::new(),
            late: BTreeMap::new(),
            builder: TreeBuilder::new(),
        };
        for &Input { source, tree } in inputs {
            for entry in Entries::new(source, tree) {
                let mut entry = entry?;
                match said_by(&entry, algo) {
                    Some(base) => {
                        level.taken.insert(base.clone());
                        entry.name = base.clone();
                        level.said.entry(base).or_default().push((source, entry));
                    }
                    None if entry.name.contains(&b'~') => drop(level.taken.insert(entry.name)),
                    None => {}
                }
            }
            let entries = Entries::new(source, tree);
            let mut head = Head {
                source,
                entries,
                next: None,
            };
            head.advance()?;
            level.heads.push(head);
        }
        Ok(level)
    }

    /// All that inputs have of the next name.
    fn next_group(&mut self, algo: HashAlgo) -> Result<Option<(BString, Group<'a>)>> {
        loop {
            let heads = self.heads.iter().filter_map(|head| Some(&head.next.as_ref()?.name));
            let Some(name) = heads.chain(self.said.keys().next()).min().cloned() else {
                return Ok(None);
            };
            let mut group = Group::default();
            for head in &mut self.heads {
                if head.next.as_ref().is_none_or(|next| next.name != name) {
                    continue;
                }
                if let Some(entry) = head.advance()?
                    && said_by(&entry, algo).is_none()
                {
                    group.add(head.source, entry, algo);
                }
            }
            for (source, entry) in self.said.remove(&name).unwrap_or_default() {
                group.add(source, entry, algo);
            }
            if !group.is_empty() {
                return Ok(Some((name, group)));
            }
        }
    }

    /// Gives each content of a name a name of its own; gives the folder of the name, if there is one.
    fn settle(
        &mut self,
        base: &BString,
        group: Group<'a>,
        totals: &mut Totals,
        put: &mut PutObject<'_>,
    ) -> Result<Option<Below<'a>>> {
        let newest = |(id, entry): &(&ObjectId, &Entry)| (entry.meta.mtime, **id);
        let first = match group.folders.is_empty() {
            true => group.others.iter().max_by_key(newest).map(|(id, _)| *id),
            false => None,
        };
        let mut own = None;
        for (id, mut entry) in group.others {
            count(&entry, totals);
            if Some(id) == first {
                own = Some(entry);
                continue;
            }
            entry.name = beside(base, &id, &|name| self.taken.contains(name))?;
            self.late.insert(entry.name.clone(), entry);
        }
        while let Some(late) = self.late.first_entry().filter(|late| late.key() < base) {
            self.builder.push(&late.remove(), put)?;
        }
        own.map_or(Ok(()), |own| self.builder.push(&own, put))?;
        Ok(group.folder_meta.map(|meta| (meta, group.folders)))
    }

    fn finish(mut self, put: &mut PutObject<'_>) -> Result<Entry> {
        for late in self.late.values() {
            self.builder.push(late, put)?;
        }
        Ok(Entry {
            name: self.name,
            meta: self.meta,
            node: Node::Directory {
                tree: self.builder.finish(put)?,
            },
        })
    }
}

/// The name in front, where the name of an entry says its hash.
fn said_by(entry: &Entry, algo: HashAlgo) -> Option<BString> {
    let may = entry.name.contains(&b'~') && entry.kind() != Kind::Directory;
    may.then(|| base_of(&entry.name, &id_of(entry, algo))).flatten()
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
