use std::collections::HashMap;

use parking_lot::Mutex;

use super::*;
use crate::ghosts::catalogue::{Facts, FileSeen, Look};
use crate::object::{ContentRef, HashAlgo, Metadata, Root, Totals, TreeBuilder};
use crate::time::Timestamp;
use crate::walk::Stat;

/// Keeps trees in memory, and counts what is read.
#[derive(Default)]
struct Shelf {
    objects: HashMap<ObjectId, Vec<u8>>,
    reads: Mutex<usize>,
}

impl ObjectSource for Shelf {
    fn object(&self, _kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        *self.reads.lock() += 1;
        let found = self.objects.get(id).cloned();
        found.ok_or(Error::Missing {
            id: *id,
            needed_as: "tree",
        })
    }
}

fn hash(text: &str) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, text.as_bytes())
}

impl Shelf {
    fn tree(&mut self, entries: &[(&str, Node)]) -> ObjectId {
        let mut put = |_kind, bytes: Vec<u8>| {
            let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
            self.objects.insert(id, bytes);
            Ok(id)
        };
        let mut builder = TreeBuilder::new();
        for (name, node) in entries {
            let entry = Entry {
                name: (*name).into(),
                meta: Metadata::default(),
                node: node.clone(),
            };
            builder.push(&entry, &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap()
    }
}

fn file(text: &str) -> Node {
    Node::File {
        content: ContentRef::Block {
            id: hash(text),
            bytes: text.len() as u64,
        },
        fullhash: None,
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0)
}

struct World {
    shelf: Shelf,
    catalogue: Catalogue,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.db");
        Self {
            shelf: Shelf::default(),
            catalogue: Catalogue::open(&path, time(0)).unwrap().catalogue,
            _folder: folder,
        }
    }

    /// Absorbs a snapshot of `/r`; gives how many objects were read for it.
    fn absorb(&mut self, seconds: i64, tree: ObjectId) -> usize {
        let root = Root {
            path: "/r".into(),
            meta: Some(Metadata::default()),
        };
        let snapshot = Snapshot {
            time: time(seconds),
            host: "h".to_owned(),
            roots: vec![root],
            ..Snapshot::bare(tree)
        };
        let id = hash(&seconds.to_string());
        *self.shelf.reads.lock() = 0;
        self.catalogue
            .absorb(&id, &snapshot, &self.shelf, &Progress::default())
            .unwrap();
        assert!(self.catalogue.is_absorbed(&id).unwrap());
        self.catalogue.check().unwrap();
        *self.shelf.reads.lock()
    }

    /// Each place of a content: path, first and last sighting, whether it is there.
    fn places(&self, text: &str) -> Vec<(String, i64, i64, bool)> {
        let Some(ghost) = self.catalogue.ghost(&hash(text)).unwrap() else {
            return Vec::new();
        };
        let place = |place: &crate::ghosts::Place| {
            let seconds = (place.seen_first.seconds, place.seen_last.seconds);
            (place.path.to_string(), seconds.0, seconds.1, place.present)
        };
        ghost.places.iter().map(place).collect()
    }

    fn live(&mut self, seconds: i64, name: &str, text: &str) {
        let folder = tempfile::tempdir().unwrap();
        let handle = crate::walk::DirHandle::open_root(folder.path()).unwrap();
        let stat = Stat {
            kind: crate::object::Kind::File,
            size: text.len() as u64,
            ..handle.stat_self().unwrap()
        };
        let look = Look {
            path: "/r".into(),
            looked: time(seconds),
            files: vec![FileSeen {
                name: name.into(),
                stat,
                settled: true,
                facts: Facts::Full(hash(text), None),
            }],
            gone: Vec::new(),
            complete: false,
        };
        self.catalogue.record("h", &[look]).unwrap();
    }
}

#[test]
fn what_is_the_same_is_not_read_again() {
    let mut world = World::new();
    let sub = world.shelf.tree(&[("b", file("b"))]);
    let lost = world.shelf.tree(&[("c", file("c"))]);
    let node = |tree| Node::Directory { tree };
    let first = world
        .shelf
        .tree(&[("a", file("a")), ("lost", node(lost)), ("sub", node(sub))]);
    assert_eq!(world.absorb(10, first), 3);
    assert_eq!(world.absorb(20, first), 0, "the catalogue says what the tree says");
    assert_eq!(world.places("b"), [("/r/sub/b".to_owned(), 10, 20, true)]);
    let second = world.shelf.tree(&[("a", file("A")), ("sub", node(sub))]);
    assert_eq!(world.absorb(30, second), 1, "only the directory that changed");
    assert_eq!(world.places("a"), [("/r/a".to_owned(), 10, 20, false)]);
    assert_eq!(world.places("A"), [("/r/a".to_owned(), 30, 30, true)]);
    assert_eq!(world.places("b"), [("/r/sub/b".to_owned(), 10, 30, true)]);
    assert_eq!(world.places("c"), [("/r/lost/c".to_owned(), 10, 20, false)]);
    assert_eq!(world.absorb(40, first), 2, "back again: the top, and what was lost");
    assert_eq!(world.places("a"), [("/r/a".to_owned(), 10, 40, true)]);
    assert_eq!(world.places("c"), [("/r/lost/c".to_owned(), 10, 40, true)]);
    assert_eq!(world.places("A"), [("/r/a".to_owned(), 30, 30, false)]);
}

#[test]
fn a_live_look_counts_for_more_than_an_older_snapshot() {
    let mut world = World::new();
    world.live(50, "a", "now");
    world.live(50, "left out", "live");
    let tree = world.shelf.tree(&[("a", file("then")), ("b", file("b"))]);
    world.absorb(10, tree);
    assert_eq!(world.places("now"), [("/r/a".to_owned(), 50, 50, true)]);
    assert_eq!(world.places("then"), [("/r/a".to_owned(), 10, 10, false)]);
    // A later one replaces what changed; what rules may have left out stays.
    assert!(world.absorb(60, tree) > 0, "the catalogue said otherwise");
    assert_eq!(world.places("now"), [("/r/a".to_owned(), 50, 50, false)]);
    assert_eq!(world.places("then"), [("/r/a".to_owned(), 10, 60, true)]);
    assert_eq!(world.places("live"), [("/r/left out".to_owned(), 50, 50, true)]);
    world.live(70, "a", "then");
    assert_eq!(world.places("then"), [("/r/a".to_owned(), 10, 70, true)]);
}

#[test]
fn several_roots_and_streams_have_their_places() {
    let mut world = World::new();
    let sub = world.shelf.tree(&[("b", file("b"))]);
    let tree = world
        .shelf
        .tree(&[("etc", Node::Directory { tree: sub }), ("f", file("f"))]);
    let root = |path: &str| Root {
        path: path.into(),
        meta: None,
    };
    let mut snapshot = Snapshot {
        tree,
        parents: Vec::new(),
        time: time(10),
        offset_minutes: 0,
        host: "h".to_owned(),
        author: String::new(),
        message: String::new(),
        tags: Vec::new(),
        roots: vec![root("/etc"), root("/home/f")],
        rules: Vec::new(),
        totals: Totals::default(),
        extra: Vec::new(),
    };
    let progress = Progress::default();
    world
        .catalogue
        .absorb(&hash("1"), &snapshot, &world.shelf, &progress)
        .unwrap();
    assert_eq!(world.places("b"), [("/etc/b".to_owned(), 10, 10, true)]);
    assert_eq!(world.places("f"), [("/home/f".to_owned(), 10, 10, true)]);
    snapshot.roots.clear();
    world
        .catalogue
        .absorb(&hash("2"), &snapshot, &world.shelf, &progress)
        .unwrap();
    assert_eq!(world.places("f")[1], ("f".to_owned(), 10, 10, true));
}

#[test]
fn a_lost_tree_is_an_error_and_the_snapshot_is_tried_again() {
    let mut world = World::new();
    let tree = world.shelf.tree(&[("gone", Node::Directory { tree: hash("gone") })]);
    let snapshot = Snapshot {
        time: time(10),
        host: "h".to_owned(),
        ..Snapshot::bare(tree)
    };
    let result = world
        .catalogue
        .absorb(&hash("1"), &snapshot, &world.shelf, &Progress::default());
    assert!(matches!(result, Err(Error::Missing { .. })));
    assert!(!world.catalogue.is_absorbed(&hash("1")).unwrap());
    assert!(world.catalogue.by_size(1).unwrap().is_empty());
}
