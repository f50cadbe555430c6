//! What was where in which of many trees.
//!
//! 1. Trees are taken in order. A folder is known by its path and the id of its tree; one that was met before is not
//!    read again: only the number of the last tree that has it is noted.
//! 2. A folder that is new is read: what is wanted in it is a finding, told by path and content, and noted at the folder.
//! 3. At the end each folder hands the number on to those in it, upper ones first, and then to its findings.
//!
//! So the cost is that of the folders that differ, however many trees there are. Memory is one node a folder that differs.

use bstr::BString;
use hashbrown::HashMap;

use crate::error::Result;
use crate::object::tree::Entries;
use crate::object::{Entry, Node, ObjectId, ObjectSource};

/// Something that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path.
    pub path: BString,
    /// As it was in the first tree that has it.
    pub entry: Entry,
    /// The number of the first tree that has it with this content.
    pub first: usize,
    /// The number of the last one.
    pub last: usize,
}

/// A folder at one path with one tree.
struct Folder {
    depth: usize,
    last: usize,
    folders: Vec<usize>,
    found: Vec<usize>,
}

#[derive(Default)]
struct Search {
    folders: Vec<Folder>,
    by_tree: HashMap<(BString, ObjectId), usize>,
    found: Vec<Found>,
    by_content: HashMap<(BString, Node), usize>,
}

/// Finds what `wanted` says in any of `trees`, by path, then by the first tree that has it. `wanted` is asked once for
/// each entry of a folder that differs; it can end the search with an error.
pub fn find(
    source: &dyn ObjectSource,
    trees: &[ObjectId],
    wanted: &mut dyn FnMut(&BString, &Entry) -> Result<bool>,
) -> Result<Vec<Found>> {
    let mut search = Search::default();
    for (number, tree) in trees.iter().enumerate() {
        let (top, is_new) = search.folder(BString::default(), *tree, 0, number);
        let mut open = Vec::new();
        open.extend(is_new.then_some((top, BString::default(), *tree)));
        while let Some((folder, path, tree)) = open.pop() {
            for entry in Entries::new(source, tree) {
                let entry = entry?;
                let mut path = path.clone();
                path.extend_from_slice(&entry.name);
                if wanted(&path, &entry)? {
                    let found = search.found(&path, &entry, number);
                    search.folders[folder].found.push(found);
                }
                if let Node::Directory { tree } = entry.node {
                    path.push(b'/');
                    let depth = search.folders[folder].depth + 1;
                    let (child, is_new) = search.folder(path.clone(), tree, depth, number);
                    search.folders[folder].folders.push(child);
                    open.extend(is_new.then_some((child, path, tree)));
                }
            }
        }
    }
    Ok(search.finish())
}

impl Search {
    /// The folder, and whether it was not met before.
    fn folder(&mut self, path: BString, tree: ObjectId, depth: usize, number: usize) -> (usize, bool) {
        let next = self.folders.len();
        let at = *self.by_tree.entry((path, tree)).or_insert(next);
        if at == next {
            self.folders.push(Folder {
                depth,
                last: number,
                folders: Vec::new(),
                found: Vec::new(),
            });
        }
        self.folders[at].last = number;
        (at, at == next)
    }

    /// A finding, which other states of its folder may have already.
    fn found(&mut self, path: &BString, entry: &Entry, number: usize) -> usize {
        let next = self.found.len();
        let at = *self
            .by_content
            .entry((path.clone(), entry.node.clone()))
            .or_insert(next);
        if at == next {
            self.found.push(Found {
                path: path.clone(),
                entry: entry.clone(),
                first: number,
                last: number,
            });
        }
        at
    }

    fn finish(mut self) -> Vec<Found> {
        let mut order: Vec<usize> = (0..self.folders.len()).collect();
        order.sort_by_key(|&at| self.folders[at].depth);
        for at in order {
            let last = self.folders[at].last;
            for child in std::mem::take(&mut self.folders[at].folders) {
                let child = &mut self.folders[child];
                child.last = child.last.max(last);
            }
            for &found in &self.folders[at].found {
                let found = &mut self.found[found];
                found.last = found.last.max(last);
            }
        }
        self.found.sort_by(|a, b| (&a.path, a.first).cmp(&(&b.path, b.first)));
        self.found
    }
}
