//! Which of the added files are removed ones at another place, and which are copies.
//!
//! 1. What was removed, and the old side of what was modified, is listed by content.
//! 2. Each added file is looked up there. The first that has the content of a removed file is that file moved, and the
//!    removal is told no more; the next ones, and those with the content of a modified file, are copies.
//!
//! Where several files have one content the one of the same name is taken first, then the first by path, so the
//! result depends on nothing else. Empty files have no content to tell them by and are left alone.

use bstr::{BString, ByteSlice};
use hashbrown::{HashMap, HashSet};

use crate::compare::{Change, ChangeKind, Content, Fields, Item};
use crate::error::Result;
use crate::object::{ContentRef, Kind, Node, ObjectId};

/// What tells a content from others: its hash, or else how it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Hash(ObjectId),
    Ref(ContentRef),
}

/// An original: its place in the list of changes, and whether it may be moved away.
struct Original {
    at: usize,
    removed: bool,
}

/// Turns additions into moves and copies, where the content of a removed or modified file is found again. Changes stay
/// in path order; `fullhash` gives the hash of an added file in a live directory, or none where it cannot be read, and is
/// asked only for files with the length of some original.
pub fn find_moves(
    changes: Vec<Change>,
    fullhash: &mut dyn FnMut(&Change) -> Result<Option<ObjectId>>,
) -> Result<Vec<Change>> {
    let (originals, lengths) = originals(&changes);
    let mut moved_to: Vec<Option<usize>> = vec![None; changes.len()];
    let mut origins: Vec<Option<usize>> = vec![None; changes.len()];
    for (at, change) in changes.iter().enumerate() {
        let Some(new) = change.new.as_ref().filter(|_| change.kind == ChangeKind::Added) else {
            continue;
        };
        if !lengths.contains(&new.size()) {
            continue;
        }
        let key = match key(new) {
            Some(key) => key,
            None if matches!(new.content, Content::LiveFile { .. }) => match fullhash(change)? {
                Some(id) => Key::Hash(id),
                None => continue,
            },
            None => continue,
        };
        let Some(originals) = originals.get(&key) else {
            continue;
        };
        let best = best_original(&changes, originals, &moved_to, &change.path);
        origins[at] = best.map(|original| original.at);
        if let Some(original) = best.filter(|original| original.removed && moved_to[original.at].is_none()) {
            moved_to[original.at] = Some(at);
        }
    }
    Ok(rewrite(changes, &moved_to, &origins))
}

fn originals(changes: &[Change]) -> (HashMap<Key, Vec<Original>>, HashSet<u64>) {
    let mut by_content: HashMap<Key, Vec<Original>> = HashMap::new();
    let mut lengths = HashSet::new();
    for (at, change) in changes.iter().enumerate() {
        let Some(old) = &change.old else { continue };
        let counts = !matches!(change.kind, ChangeKind::Metadata) && old.size() > 0;
        if let Some(key) = key(old).filter(|_| counts) {
            let removed = change.kind == ChangeKind::Removed;
            by_content.entry(key).or_default().push(Original { at, removed });
            lengths.insert(old.size());
        }
    }
    (by_content, lengths)
}

fn key(item: &Item) -> Option<Key> {
    if item.kind() != Kind::File {
        return None;
    }
    let stored = match item.node() {
        Some(Node::File { content, .. }) => Some(Key::Ref(content.clone())),
        _ => None,
    };
    item.fullhash().map(Key::Hash).or(stored)
}

/// The original for the file at `path`: one that is still to be moved before others, then one of its name, then the
/// first.
fn best_original<'o>(
    changes: &[Change],
    originals: &'o [Original],
    moved_to: &[Option<usize>],
    path: &BString,
) -> Option<&'o Original> {
    let name = |path: &BString| {
        path.rsplit_once_str(b"/")
            .map_or_else(|| path.to_vec(), |(_, name)| name.to_vec())
    };
    let wanted = name(path);
    originals.iter().min_by_key(|original| {
        let free = original.removed && moved_to[original.at].is_none();
        (!free, name(&changes[original.at].path) != wanted, original.at)
    })
}

fn rewrite(changes: Vec<Change>, moved_to: &[Option<usize>], origins: &[Option<usize>]) -> Vec<Change> {
    let sources: Vec<Option<(BString, Option<Item>)>> = origins
        .iter()
        .map(|origin| origin.map(|at| (changes[at].path.clone(), changes[at].old.clone())))
        .collect();
    let mut out = Vec::with_capacity(changes.len());
    for (at, (mut change, source)) in changes.into_iter().zip(sources).enumerate() {
        if moved_to[at].is_some() {
            continue;
        }
        if let (Some((from, old)), Some(origin)) = (source, origins[at]) {
            change.kind = match moved_to[origin] == Some(at) {
                true => ChangeKind::Moved { from },
                false => ChangeKind::Copied { from },
            };
            if let (Some(old), Some(new)) = (&old, &change.new) {
                change.fields = Fields::differing(&old.meta, &new.meta);
            }
            change.old = old;
        }
        out.push(change);
    }
    out
}
