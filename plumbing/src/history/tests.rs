use std::collections::HashMap;
use std::sync::Mutex;

use bstr::BString;

use super::*;
use crate::error::{Error, Result};
use crate::object::{ContentRef, Entry, HashAlgo, Metadata, Node, ObjectId, ObjectKind, ObjectSource, TreeBuilder};

/// Objects in memory, with a count of reads.
#[derive(Default)]
struct Objects {
    all: Mutex<HashMap<ObjectId, Vec<u8>>>,
    reads: Mutex<usize>,
}

impl ObjectSource for Objects {
    fn object(&self, _: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        *self.reads.lock().unwrap() += 1;
        let missing = Error::Missing {
            id: *id,
            needed_as: "tree",
        };
        self.all.lock().unwrap().get(id).cloned().ok_or(missing)
    }
}

impl Objects {
    /// A tree of files `a`, `d/e` and so on, each with its content.
    fn tree(&self, files: &[(&str, &str)]) -> ObjectId {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut folders: Vec<(&str, Vec<(&str, &str)>)> = Vec::new();
        for (path, content) in files {
            match path.split_once('/') {
                None => entries.push(((*path).to_owned(), file(content))),
                Some((folder, rest)) => match folders.last_mut().filter(|last| last.0 == folder) {
                    Some(last) => last.1.push((rest, content)),
                    None => folders.push((folder, vec![(rest, content)])),
                },
            }
        }
        for (name, files) in folders {
            let tree = self.tree(&files);
            entries.push((name.to_owned(), Node::Directory { tree }));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mut put = |_, bytes: Vec<u8>| {
            let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
            self.all.lock().unwrap().insert(id, bytes);
            Ok(id)
        };
        let mut builder = TreeBuilder::new();
        for (name, node) in entries {
            let (name, meta) = (name.into(), Metadata::default());
            builder.push(&Entry { name, meta, node }, &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap()
    }
}

fn file(content: &str) -> Node {
    let id = ObjectId::hash(HashAlgo::Sha256, content.as_bytes());
    let bytes = content.len() as u64;
    let content = ContentRef::Block { id, bytes };
    Node::File {
        content,
        fullhash: None,
    }
}

fn names(found: &[Found]) -> Vec<(String, usize, usize)> {
    let name = |found: &Found| (found.path.to_string(), found.first, found.last);
    found.iter().map(name).collect()
}

#[test]
fn the_first_and_the_last_tree_are_told() {
    let objects = Objects::default();
    let trees = [
        objects.tree(&[("a", "1"), ("d/e/x", "x"), ("d/y", "y")]),
        objects.tree(&[("a", "2"), ("d/e/x", "x"), ("d/y", "z")]),
        objects.tree(&[("a", "1"), ("d/e/x", "x"), ("d/y", "y")]),
        objects.tree(&[("b", "1")]),
    ];
    let files = &mut |_: &BString, entry: &Entry| Ok(matches!(entry.node, Node::File { .. }));
    let found = find(&objects, &trees, files).unwrap();
    let expected = [
        ("a", 0, 2),
        ("a", 1, 1),
        ("b", 3, 3),
        ("d/e/x", 0, 2),
        ("d/y", 0, 2),
        ("d/y", 1, 1),
    ];
    let expected: Vec<_> = expected
        .map(|(name, first, last)| (name.to_owned(), first, last))
        .into();
    assert_eq!(names(&found), expected);
}

#[test]
fn equal_folders_are_read_once() {
    let objects = Objects::default();
    let many: Vec<(String, String)> = (0..50).map(|n| (format!("d{n:02}/f"), n.to_string())).collect();
    let mut files: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut trees = vec![objects.tree(&files)];
    files[7].1 = "other";
    trees.extend([objects.tree(&files), objects.tree(&files)]);
    assert_eq!(find(&objects, &trees, &mut |_, _| Ok(false)).unwrap(), []);
    // All of the first tree, the top and the one folder of the second, nothing of the third.
    assert_eq!(*objects.reads.lock().unwrap(), 51 + 2);
}

#[test]
fn what_became_of_a_path() {
    let objects = Objects::default();
    let before = objects.tree(&[("a", "long content"), ("d/x", "x"), ("same", "s")]);
    let after = objects.tree(&[("d/new", "long content"), ("d/x", "y"), ("same", "s")]);
    let change = |path: &str, follows| path_change(&objects, Some(before), after, path.into(), follows).unwrap();
    assert_eq!(change("a", false), Some(PathChange::Removed));
    assert_eq!(change("d/x", false), Some(PathChange::Modified));
    assert_eq!(change("d", false), Some(PathChange::Modified));
    assert_eq!(change("same", false), None);
    assert_eq!(change("nothing", false), None);
    assert_eq!(change("d/new", false), Some(PathChange::Added));
    assert_eq!(change("d/new", true), Some(PathChange::Moved { from: "a".into() }));
    assert_eq!(
        path_change(&objects, None, after, "d/x".into(), true).unwrap(),
        Some(PathChange::Added)
    );
}
