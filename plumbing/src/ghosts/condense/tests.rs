use std::collections::BTreeSet;
use std::collections::HashMap;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::ghosts::{Ghost, Ghosts};
use crate::object::{ContentRef, ObjectKind, Root};

/// Objects in memory.
#[derive(Default)]
struct Shelf(Mutex<HashMap<[u8; 32], Vec<u8>>>);

impl Shelf {
    fn put(&self, _: ObjectKind, bytes: Vec<u8>) -> Result<ObjectId> {
        let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
        self.0.lock().insert(*id.padded(), bytes);
        Ok(id)
    }
}

impl ObjectSource for Shelf {
    fn object(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        let found = self.0.lock().get(id.padded()).cloned();
        found.ok_or(Error::Missing {
            id: *id,
            needed_as: kind.name(),
        })
    }
}

/// What may be at a name.
#[derive(Clone, Debug)]
enum Made {
    File(u8, i64),
    Link(u8, i64),
    Folder(Vec<(u8, Made)>, i64),
}

fn made() -> impl Strategy<Value = Vec<(u8, Made)>> {
    let leaf = prop_oneof![
        (0..3u8, 0..3i64).prop_map(|(content, mtime)| Made::File(content, mtime)),
        (0..2u8, 0..3i64).prop_map(|(target, mtime)| Made::Link(target, mtime)),
    ];
    let node = leaf.prop_recursive(3, 24, 4, |inner| {
        (prop::collection::vec((0..4u8, inner), 0..4), 0..3i64).prop_map(|(names, mtime)| Made::Folder(names, mtime))
    });
    prop::collection::vec((0..4u8, node), 0..5)
}

/// A name; some say the hash of a content that a file may or may not have.
fn name_of(number: u8, content: Option<u8>) -> BString {
    let hash = |content: u8| ObjectId::hash(HashAlgo::Sha256, &[content]).hex();
    match number {
        3 => format!("n0~{}", &hash(content.unwrap_or(0))[..12]).into(),
        2 => format!("n0~{}", &hash(1)[..12]).into(),
        number => format!("n{number}").into(),
    }
}

fn store(shelf: &Shelf, names: &[(u8, Made)]) -> ObjectId {
    let mut entries: BTreeMap<BString, Entry> = BTreeMap::new();
    for (number, made) in names {
        let (node, mtime, content) = match made {
            Made::File(content, mtime) => {
                let id = ObjectId::hash(HashAlgo::Sha256, &[*content]);
                let block = ContentRef::Block { id, bytes: 1 };
                let node = Node::File {
                    content: block,
                    fullhash: None,
                };
                (node, mtime, Some(*content))
            }
            Made::Link(target, mtime) => (
                Node::Symlink {
                    target: vec![b'a' + target].into(),
                },
                mtime,
                None,
            ),
            Made::Folder(names, mtime) => (
                Node::Directory {
                    tree: store(shelf, names),
                },
                mtime,
                None,
            ),
        };
        let name = name_of(*number, content);
        let meta = Metadata {
            mode: 0o644,
            mtime: Timestamp::new(*mtime, 0),
            links: content.map(|content| [content; 16]),
            ..Metadata::default()
        };
        let name_here = name.clone();
        entries.insert(
            name,
            Entry {
                name: name_here,
                meta,
                node,
            },
        );
    }
    let mut builder = TreeBuilder::new();
    let mut put = |kind, bytes| shelf.put(kind, bytes);
    for entry in entries.values() {
        builder.push(entry, &mut put).unwrap();
    }
    builder.finish(&mut put).unwrap()
}

/// The union; none where names cannot be settled.
fn united(shelf: &Shelf, trees: &[ObjectId]) -> ObjectId {
    let inputs: Vec<Input<'_>> = trees.iter().map(|&tree| Input { source: shelf, tree }).collect();
    let mut put = |kind, bytes| shelf.put(kind, bytes);
    unite(&inputs, HashAlgo::Sha256, &mut put, &Progress::default())
        .unwrap()
        .0
}

/// Folder and content of every file; the names in it only where they are no matter of the union.
fn contents(shelf: &Shelf, tree: ObjectId, folder: &str, out: &mut BTreeSet<(String, ObjectId)>) {
    for entry in Entries::new(shelf, tree) {
        let entry = entry.unwrap();
        match entry.node {
            Node::Directory { tree } => contents(shelf, tree, &format!("{folder}/{}", entry.name), out),
            _ => {
                out.insert((folder.to_owned(), id_of(&entry, HashAlgo::Sha256)));
            }
        }
    }
}

fn snapshot(tree: ObjectId, host: &str, time: i64) -> Snapshot {
    Snapshot {
        time: Timestamp::new(time, 0),
        host: host.to_owned(),
        roots: vec![Root {
            path: "/top".into(),
            meta: Some(Metadata::default()),
        }],
        ..Snapshot::bare(tree)
    }
}

/// All of a pile, by content.
type All = BTreeMap<ObjectId, Ghost>;

fn all_of(ghosts: &Ghosts) -> All {
    let all = ghosts.sorted().unwrap().map(Result::unwrap);
    all.map(|ghost| (ghost.fullhash, ghost)).collect()
}

fn described(shelf: &Shelf, snapshots: &[&Snapshot]) -> All {
    let mut ghosts = Ghosts::default();
    for snapshot in snapshots {
        ghosts
            .add_snapshot(shelf, snapshot, None, &Progress::default())
            .unwrap();
    }
    all_of(&ghosts)
}

fn put_together(parts: &[&All]) -> All {
    let mut all = Ghosts::default();
    for ghost in parts.iter().flat_map(|part| part.values()) {
        all.add(ghost.clone()).unwrap();
    }
    all_of(&all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn uniting_is_associative_commutative_and_idempotent(a in made(), b in made(), c in made()) {
        let shelf = Shelf::default();
        let [a, b, c] = [a, b, c].map(|names| store(&shelf, &names));
        let all = united(&shelf, &[a, b, c]);
        prop_assert_eq!(all, united(&shelf, &[c, b, a]));
        prop_assert_eq!(all, united(&shelf, &[united(&shelf, &[a, b]), c]));
        prop_assert_eq!(all, united(&shelf, &[a, united(&shelf, &[b, c])]));
        prop_assert_eq!(all, united(&shelf, &[all, b, all]));
        let one = united(&shelf, &[a]);
        prop_assert_eq!(one, united(&shelf, &[a, a]));
        prop_assert_eq!(one, united(&shelf, &[one]));
        // Nothing is lost and nothing made up.
        let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
        for tree in [a, b, c] {
            contents(&shelf, tree, "", &mut before);
        }
        contents(&shelf, all, "", &mut after);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn descriptions_come_together_in_any_order(a in made(), b in made(), times in [0..9i64, 0..9i64]) {
        let shelf = Shelf::default();
        let first = snapshot(store(&shelf, &a), "loom", times[0]);
        let second = snapshot(store(&shelf, &b), "tern", times[1]);
        let (one, two) = (described(&shelf, &[&first]), described(&shelf, &[&second]));
        let both = described(&shelf, &[&first, &second]);
        prop_assert_eq!(&both, &described(&shelf, &[&second, &first]));
        prop_assert_eq!(&both, &put_together(&[&one, &two]));
        prop_assert_eq!(&both, &put_together(&[&two, &both, &one, &both]));
        for ghost in both.values() {
            let of = |part: &All| part.get(&ghost.fullhash).cloned();
            let parts: Vec<Ghost> = [of(&one), of(&two)].into_iter().flatten().collect();
            prop_assert_eq!(Some(ghost.found_first), parts.iter().map(|part| part.found_first).min());
            prop_assert_eq!(Some(ghost.found_last), parts.iter().map(|part| part.found_last).max());
            prop_assert_eq!(ghost.places.len(), parts.iter().map(|part| part.places.len()).sum::<usize>());
        }
    }
}

#[test]
fn what_differs_stays_side_by_side_and_the_newest_keeps_the_name() {
    let shelf = Shelf::default();
    let old = store(
        &shelf,
        &[(0, Made::File(0, 1)), (1, Made::Folder(vec![(0, Made::File(2, 1))], 1))],
    );
    let new = store(&shelf, &[(0, Made::File(1, 2)), (1, Made::File(0, 9))]);
    let tree = united(&shelf, &[old, new]);
    let names: Vec<String> = Entries::new(&shelf, tree)
        .map(|entry| entry.unwrap().name.to_string())
        .collect();
    let zero = ObjectId::hash(HashAlgo::Sha256, &[0]).hex();
    let digits = &zero[..12];
    assert_eq!(
        names,
        [
            "n0".to_owned(),
            format!("n0~{digits}"),
            "n1".to_owned(),
            format!("n1~{digits}")
        ]
    );
    let kept = crate::object::tree::lookup(&shelf, tree, b"n0").unwrap().unwrap();
    assert_eq!(kept.fullhash(), Some(ObjectId::hash(HashAlgo::Sha256, &[1])));
    let folder = crate::object::tree::lookup(&shelf, tree, b"n1").unwrap().unwrap();
    assert_eq!(folder.kind(), Kind::Directory, "a folder keeps its name, however old");
}

#[test]
fn a_path_is_placed_below_the_root_that_it_came_from() {
    let tree = ObjectId::hash(HashAlgo::Sha256, &[]);
    let mut snapshot = snapshot(tree, "loom", 0);
    assert_eq!(place_of(&snapshot, &"a/b".into()), ("/top".into(), "/top/a/b".into()));
    snapshot.roots = ["/etc", "/srv/data", "/home/ann/note"]
        .map(|path| Root {
            path: path.into(),
            meta: None,
        })
        .to_vec();
    assert_eq!(
        place_of(&snapshot, &"data/x".into()),
        ("/srv/data".into(), "/srv/data/x".into())
    );
    assert_eq!(
        place_of(&snapshot, &"note".into()),
        ("/home/ann/note".into(), "/home/ann/note".into())
    );
    assert_eq!(
        place_of(&snapshot, &"other/x".into()),
        (BString::default(), "other/x".into())
    );
}
