//! What a name that is new may have been before: something that is gone, and was called much like it.
//!
//! Files and folders are renamed, and moved from folder to folder, with changes in them. What an old tree has and the
//! folder has no more is remembered: first for its own folder, where a name that is like it is enough; then for the rest
//! of the scan, by its very name. A file must also be about as long. No data is read for this, and a wrong guess costs
//! time, as the store compares before it uses one.

use bstr::BString;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::object::{Entry, Kind, Node};

/// Entries that are remembered of one window of a folder.
pub const GONE_MAX: usize = 256;
/// Entries that are remembered for the rest of the scan.
const MOVED_MAX: usize = 8192;
/// A name is like another if so many of a hundred bytes, at both ends, are the same.
const LIKE_PERCENT: usize = 60;

/// What is gone from the folders of a scan, by name.
#[derive(Default)]
pub struct Gone(Mutex<HashMap<BString, Node>>);

impl Gone {
    /// Remembers what is gone from a folder, as far as there is room.
    pub fn add(&self, gone: Vec<Entry>) {
        let mut known = self.0.lock();
        for entry in gone {
            if known.len() >= MOVED_MAX {
                return;
            }
            if matches!(entry.node, Node::File { .. } | Node::Directory { .. }) {
                known.insert(entry.name, entry.node);
            }
        }
    }

    /// What had this name elsewhere and is gone from there.
    pub fn find(&self, name: &[u8], kind: Kind, bytes: u64) -> Option<Node> {
        let known = self.0.lock();
        known.get(name).filter(|node| fits(node, kind, bytes)).cloned()
    }
}

/// What in `gone` was called most like `name`.
pub fn renamed(gone: &[Entry], name: &[u8], kind: Kind, bytes: u64) -> Option<Node> {
    let likely = gone.iter().filter(|entry| fits(&entry.node, kind, bytes));
    let (percent, entry) = likely
        .map(|entry| (likeness(&entry.name, name), entry))
        .max_by_key(|(percent, _)| *percent)?;
    (percent >= LIKE_PERCENT).then(|| entry.node.clone())
}

/// Whether a node can have become something of this kind and length.
fn fits(node: &Node, kind: Kind, bytes: u64) -> bool {
    match node {
        Node::Directory { .. } => kind == Kind::Directory,
        Node::File { content, .. } => {
            let before = content.len();
            kind == Kind::File && before / 2 <= bytes && bytes / 2 <= before
        }
        _ => false,
    }
}

/// How many of a hundred bytes two names have in common at their beginnings and ends.
fn likeness(a: &[u8], b: &[u8]) -> usize {
    let same = |(x, y): &(&u8, &u8)| x == y;
    let front = a.iter().zip(b).take_while(same).count();
    let back = a[front..]
        .iter()
        .rev()
        .zip(b[front..].iter().rev())
        .take_while(same)
        .count();
    200 * (front + back) / (a.len() + b.len()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{ContentRef, HashAlgo, Metadata, ObjectId};

    fn file(name: &str, bytes: u64) -> Entry {
        let id = ObjectId::hash(HashAlgo::Sha256, name.as_bytes());
        Entry {
            name: name.into(),
            meta: Metadata::default(),
            node: Node::File {
                content: ContentRef::Block { id, bytes },
                fullhash: None,
            },
        }
    }

    #[test]
    fn names_that_are_alike_are_found() {
        assert_eq!(likeness(b"report-2025.txt", b"report-2026.txt"), 93);
        assert_eq!(likeness(b"abc", b"abc"), 100);
        assert_eq!(likeness(b"", b""), 0);
        assert_eq!(likeness(b"aa", b"aaa"), 80);
        let gone = [
            file("report-2024.txt", 1000),
            file("other.bin", 1000),
            file("report-2025.txt", 1000),
        ];
        let found = renamed(&gone, b"report-2025-v2.txt", Kind::File, 1100);
        assert_eq!(found.as_ref(), Some(&gone[2].node));
        assert_eq!(renamed(&gone, b"something else", Kind::File, 1000), None);
        assert_eq!(
            renamed(&gone, b"report-2025.txt", Kind::File, 9000),
            None,
            "another length"
        );
        assert_eq!(renamed(&gone, b"report-2025.txt", Kind::Directory, 1000), None);
    }

    #[test]
    fn what_moved_to_another_folder_has_its_name() {
        let gone = Gone::default();
        gone.add(vec![file("a", 100), file("b", 100)]);
        assert!(gone.find(b"a", Kind::File, 120).is_some());
        assert!(gone.find(b"a", Kind::File, 1200).is_none());
        assert!(gone.find(b"c", Kind::File, 100).is_none());
        gone.add((0..2 * MOVED_MAX).map(|n| file(&n.to_string(), 1)).collect());
        assert_eq!(gone.0.lock().len(), MOVED_MAX);
    }
}
