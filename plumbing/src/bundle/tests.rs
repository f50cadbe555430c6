use std::path::PathBuf;

use super::*;
use crate::disk::OpenMode;
use crate::disk::memory::MemoryDisk;
use crate::object::{ContentRef, Entry, Indirect, Metadata, Node, TreeBuilder};
use crate::progress::Progress;
use crate::time::Timestamp;

const PATH: &str = "/f.gfs";

fn disk() -> Arc<MemoryDisk> {
    let disk = MemoryDisk::default();
    for folder in ["/", "/g", "/g/data", "/g/index"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    Arc::new(disk)
}

fn repository(disk: &Arc<MemoryDisk>) -> Store {
    let options = Options {
        frame_bytes: 4096,
        ..Options::default()
    };
    Store::open(disk.clone(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap()
}

/// Stores a tree of these files; `b"many"` in front of a content makes an indirect block of it.
fn put_tree(store: &Store, files: &[(&str, &[u8])]) -> ObjectId {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let mut builder = TreeBuilder::new();
    for (name, bytes) in files {
        let mut parts = Vec::new();
        for part in bytes.chunks(1000) {
            let (id, _) = packer.put(ObjectKind::Block, part).unwrap();
            let bytes = part.len() as u64;
            parts.push(ContentRef::Block { id, bytes });
        }
        let mut fullhash = None;
        let content = if parts.len() == 1 {
            parts.remove(0)
        } else {
            fullhash = Some(ObjectId::hash(HashAlgo::Sha256, bytes));
            let list = Indirect { depth: 1, refs: parts };
            let (id, _) = packer.put(ObjectKind::Indirect, &list.encode()).unwrap();
            let (depth, bytes) = (1, bytes.len() as u64);
            ContentRef::Indirect { id, depth, bytes }
        };
        let entry = Entry {
            name: (*name).into(),
            meta: Metadata::default(),
            node: Node::File { content, fullhash },
        };
        let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
        builder.push(&entry, &mut put).unwrap();
    }
    let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
    let tree = builder.finish(&mut put).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    tree
}

fn root(id: ObjectId, label: &str) -> Root {
    Root {
        kind: ObjectKind::Tree,
        id,
        is_complete: false,
        added: Timestamp::new(1_700_000_000, 5),
        label: label.into(),
    }
}

fn of_roots(roots: Vec<Root>) -> Addition {
    Addition {
        roots,
        ..Addition::default()
    }
}

fn create(disk: &Arc<MemoryDisk>) -> Bundle {
    Bundle::create(disk.clone(), Path::new(PATH), HashAlgo::Sha256, Options::default()).unwrap()
}

fn open(disk: &Arc<MemoryDisk>) -> Bundle {
    Bundle::open(disk.clone(), Path::new(PATH)).unwrap()
}

fn texts(bundle: &Bundle) -> Result<Vec<Vec<u8>>> {
    bundle.descriptors().collect()
}

fn bytes_of(disk: &MemoryDisk, path: &str) -> Vec<u8> {
    let file = disk.open(Path::new(path), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn write(disk: &MemoryDisk, path: &str, bytes: &[u8]) {
    let file = disk.open(&PathBuf::from(path), OpenMode::Create).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

/// The content of every file of a tree, or the error in its place.
fn files(source: &dyn ObjectSource, tree: ObjectId) -> Vec<(String, Result<Vec<u8>>)> {
    let entries = crate::object::tree::Entries::new(source, tree);
    let read = |entry: Result<Entry>| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return (String::new(), Err(error)),
        };
        let Node::File { content, .. } = &entry.node else {
            panic!("only files")
        };
        let mut out = Vec::new();
        let result = crate::content::copy_to(source, content, &mut out);
        (entry.name.to_string(), result.map(|()| out))
    };
    entries.map(read).collect()
}

#[test]
fn what_is_added_can_be_read_from_the_bundle_alone() {
    let disk = disk();
    let store = repository(&disk);
    let long: Vec<u8> = (0..40_000u32).map(|i| ((i * i) >> 7) as u8).collect();
    let first = put_tree(&store, &[("a", b"one"), ("long", &long)]);
    let second = put_tree(&store, &[("a", b"one"), ("b", b"two"), ("long", &long)]);
    let mut bundle = create(&disk);
    assert!(bundle.roots().is_empty());
    let progress = Progress::default();
    let added = bundle
        .add(&store, of_roots(vec![root(first, "main~1")]), &progress)
        .unwrap();
    assert_eq!(added.missing_files, 0);
    // The tree, the list, 41 blocks.
    assert_eq!(added.objects, 43);
    let grown = bundle
        .add(&store, of_roots(vec![root(second, "main")]), &progress)
        .unwrap();
    assert_eq!(grown.objects, 2, "the new tree and the new file");
    let length = bytes_of(&disk, PATH).len();
    let later = Root {
        added: Timestamp::new(1_800_000_000, 0),
        ..root(second, "main")
    };
    let again = bundle.add(&store, of_roots(vec![later]), &progress).unwrap();
    assert_eq!(again.objects, 0);
    assert_eq!(bytes_of(&disk, PATH).len(), length, "nothing new, nothing written");

    let bundle = open(&disk);
    assert!(bundle.problems().is_empty());
    let labels: Vec<&str> = bundle.roots().iter().map(|root| root.label.as_str()).collect();
    assert_eq!(labels, ["main", "main~1"]);
    assert!(bundle.roots().iter().all(|root| root.is_complete));
    let read = files(&bundle, second);
    assert_eq!(read[2].1.as_ref().unwrap(), &long);
    assert_eq!(read[1].1.as_ref().unwrap(), b"two");
}

#[test]
fn without_data_the_tree_is_there_and_later_data_makes_it_whole() {
    let disk = disk();
    let store = repository(&disk);
    let tree = put_tree(&store, &[("a", b"one"), ("b", b"two")]);
    let mut bundle = create(&disk);
    let progress = Progress::default();
    let addition = Addition {
        roots: vec![root(tree, "ghosts")],
        without_data: true,
        descriptors: vec![b"text".to_vec()],
    };
    let added = bundle.add(&store, addition, &progress).unwrap();
    assert_eq!((added.objects, added.missing_files), (1, 2));
    assert!(!bundle.top().unwrap().is_complete);
    let read = files(&bundle, tree);
    assert!(
        read.iter()
            .all(|(_, bytes)| matches!(bytes, Err(Error::Missing { .. })))
    );
    assert_eq!(texts(&open(&disk)).unwrap(), [b"text"]);
    // From a bundle without data nothing whole can be made.
    let mut other = Bundle::create(disk.clone(), Path::new("/h.gfs"), HashAlgo::Sha256, Options::default()).unwrap();
    let added = other
        .add(bundle.store(), of_roots(vec![root(tree, "x")]), &progress)
        .unwrap();
    let paths: Vec<String> = added.missing.iter().map(|missing| missing.path.to_string()).collect();
    assert_eq!(paths, ["a", "b"]);
    assert!(!other.top().unwrap().is_complete);
    let added = bundle
        .add(&store, of_roots(vec![root(tree, "whole")]), &progress)
        .unwrap();
    assert_eq!((added.objects, added.missing_files), (2, 0));
    let bundle = open(&disk);
    assert!(bundle.top().unwrap().is_complete);
    assert_eq!(bundle.roots().len(), 1);
    assert!(files(&bundle, tree).iter().all(|(_, bytes)| bytes.is_ok()));
}

#[test]
fn roots_and_trees_come_before_data() {
    let disk = disk();
    let store = repository(&disk);
    let tree = put_tree(&store, &[("a", &[1; 5000]), ("b", &[2; 3000])]);
    let mut bundle = create(&disk);
    let addition = Addition {
        roots: vec![root(tree, "x")],
        descriptors: vec![b"text".to_vec()],
        without_data: false,
    };
    bundle.add(&store, addition, &Progress::default()).unwrap();
    let (file, committed) = bundle.store().data_files().remove(0);
    let (mut offset, mut kinds) = (64, Vec::new());
    while offset < committed {
        let head = file.head(offset).unwrap().unwrap();
        let what = head.rows.first().map_or("", |row| row.kind.name());
        kinds.push(format!("{:?} {what}", head.header.kind));
        offset = head.end();
    }
    assert_eq!(
        kinds,
        ["Roots ", "Objects tree", "Descriptors ", "Objects block", "Commit "]
    );
}

/// A bundle of two groups, its two trees with the content of their files.
fn example(disk: &Arc<MemoryDisk>) -> [ObjectId; 2] {
    let store = repository(disk);
    let first = put_tree(&store, &[("a", b"one"), ("long", &[9; 2500])]);
    let second = put_tree(&store, &[("b", b"two")]);
    let mut bundle = create(disk);
    bundle
        .add(&store, of_roots(vec![root(first, "1")]), &Progress::default())
        .unwrap();
    let addition = Addition {
        roots: vec![root(second, "2")],
        descriptors: vec![b"text".to_vec()],
        without_data: false,
    };
    bundle.add(&store, addition, &Progress::default()).unwrap();
    [first, second]
}

/// All that can be read: descriptors, then files of both trees.
fn all(bundle: &Bundle, trees: [ObjectId; 2]) -> Vec<Option<Vec<u8>>> {
    let mut out = vec![texts(bundle).ok().map(|texts| texts.concat())];
    for tree in trees {
        out.extend(files(bundle, tree).into_iter().map(|(_, bytes)| bytes.ok()));
    }
    out
}

#[test]
fn every_flipped_byte_is_noticed_or_does_no_harm() {
    let disk = disk();
    let trees = example(&disk);
    let whole = bytes_of(&disk, PATH);
    let expected = all(&open(&disk), trees);
    assert!(expected.iter().all(Option::is_some) && expected.len() == 4);
    let mut harmless = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        write(&disk, PATH, &bytes);
        let Ok(bundle) = Bundle::open(disk.clone(), Path::new(PATH)) else {
            continue;
        };
        let found = all(&bundle, trees);
        if found == expected && bundle.roots().len() == 2 {
            harmless += 1;
            continue;
        }
        // What can still be read is right; what cannot is missing, and something says so.
        for value in found.iter().flatten().filter(|value| !value.is_empty()) {
            assert!(
                expected.iter().flatten().any(|right| right == value),
                "byte {at} gives {value:?}"
            );
        }
        let is_told = !bundle.problems().is_empty() || bundle.store().unfinished_bytes() > 0;
        assert!(is_told || found.iter().any(Option::is_none), "byte {at} goes unnoticed");
    }
    assert!(harmless < whole.len() / 2, "{harmless} of {}", whole.len());
}

#[test]
fn what_is_cut_off_is_as_if_it_had_never_been_added() {
    let disk = disk();
    let [first, second] = example(&disk);
    let whole = bytes_of(&disk, PATH);
    for length in 0..whole.len() {
        write(&disk, PATH, &whole[..length]);
        let Ok(bundle) = Bundle::open(disk.clone(), Path::new(PATH)) else {
            assert!(length < 64, "{length}");
            continue;
        };
        assert!(bundle.roots().len() < 2, "{length}");
        for root in bundle.roots() {
            assert_eq!(root.id, first);
            assert!(files(&bundle, first).iter().all(|(_, bytes)| bytes.is_ok()));
        }
        if length % 7 == 0 {
            // The next writer takes over what is whole, and what it adds is all there.
            let store = repository(&disk);
            let mut bundle = bundle;
            bundle
                .add(&store, of_roots(vec![root(second, "2")]), &Progress::default())
                .unwrap();
            let bundle = open(&disk);
            assert!(
                bundle.problems().is_empty() && bundle.store().unfinished_bytes() == 0,
                "{length}"
            );
            assert_eq!(bundle.top().unwrap().id, second);
            assert!(files(&bundle, second).iter().all(|(_, bytes)| bytes.is_ok()));
        }
    }
}

#[test]
fn foreign_and_newer_files_are_refused() {
    let disk = disk();
    example(&disk);
    let whole = bytes_of(&disk, PATH);
    let with_header = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        let check = xxhash_rust::xxh3::xxh3_64(&bytes[..56]);
        bytes[56..64].copy_from_slice(&check.to_le_bytes());
        write(&disk, PATH, &bytes);
        Bundle::open(disk.clone(), Path::new(PATH)).unwrap_err().to_string()
    };
    let said = with_header(&|bytes| bytes[8] = 2);
    assert!(said.contains("\"bundle version 2\""), "{said}");
    let said = with_header(&|bytes| bytes[10] = 9);
    assert!(said.contains("\"hash 9\""), "{said}");
    let said = with_header(&|bytes| bytes[..8].copy_from_slice(b"ghostdat"));
    assert!(said.contains("the magic \"ghostgfs\""), "{said}");
    write(&disk, PATH, b"not a bundle, and short");
    let said = Bundle::open(disk.clone(), Path::new(PATH)).unwrap_err().to_string();
    assert!(said.contains("a header of 64 bytes"), "{said}");
}

#[test]
fn one_process_adds_at_a_time() {
    let disk = disk();
    let store = repository(&disk);
    let tree = put_tree(&store, &[("a", b"one")]);
    let mut bundle = create(&disk);
    let held = disk.open(Path::new(PATH), OpenMode::Write).unwrap();
    assert!(held.try_lock(crate::disk::LockKind::Exclusive).unwrap());
    let addition = || of_roots(vec![root(tree, "x")]);
    let error = bundle.add(&store, addition(), &Progress::default()).unwrap_err();
    assert!(error.to_string().contains("another process is adding"), "{error}");
    drop(held);
    bundle.add(&store, addition(), &Progress::default()).unwrap();
}

#[test]
fn a_spool_keeps_only_what_the_bundle_does_not_have() {
    let disk = disk();
    let mut bundle = create(&disk);
    let progress = Progress::default();
    let spool = |bundle: &Bundle| {
        let spool = Store::spool(disk.clone(), Path::new(PATH), HashAlgo::Sha256, Options::default()).unwrap();
        spool.attach(bundle.store()).unwrap();
        spool
    };
    let first = spool(&bundle);
    let tree = put_tree(&first, &[("a", b"one"), ("b", b"two")]);
    let added = bundle.add(&first, of_roots(vec![root(tree, "1")]), &progress).unwrap();
    assert_eq!(added.objects, 3);
    let second = spool(&bundle);
    let tree = put_tree(&second, &[("a", b"one"), ("c", b"three")]);
    let added = bundle.add(&second, of_roots(vec![root(tree, "2")]), &progress).unwrap();
    assert_eq!(added.objects, 2);
    assert!(files(&open(&disk), tree).iter().all(|(_, bytes)| bytes.is_ok()));
    assert_eq!(
        disk.list(Path::new("/")).unwrap().len(),
        2,
        "the spools have no name: {:?}",
        disk.list(Path::new("/"))
    );
}

#[test]
fn an_attached_bundle_is_read_through_the_repository_which_then_takes_nothing() {
    let disk = disk();
    let [first, _] = example(&disk);
    disk.create_dir(Path::new("/h")).unwrap();
    disk.create_dir(Path::new("/h/data")).unwrap();
    disk.create_dir(Path::new("/h/index")).unwrap();
    let store = Store::open(
        disk.clone(),
        Path::new("/h"),
        [8; 16],
        HashAlgo::Sha256,
        Options::default(),
    )
    .unwrap();
    assert!(files(&store, first)[0].1.is_err());
    store.attach(open(&disk).store()).unwrap();
    assert!(files(&store, first).iter().all(|(_, bytes)| bytes.is_ok()));
    assert!(store.writer().is_err());
}

#[test]
fn the_bytes_are_those_of_the_page() {
    const PAGE: &str = include_str!("../../../object-format.md");
    let disk = disk();
    let store = repository(&disk);
    let tree = put_tree(&store, &[("abc", b"abc")]);
    create(&disk)
        .add(&store, of_roots(vec![root(tree, "main")]), &Progress::default())
        .unwrap();
    let bytes = bytes_of(&disk, PATH);
    let line = |chunk: &[u8]| {
        chunk
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
            + "\n"
    };
    let found: String = bytes.chunks(16).map(line).collect();
    let block = PAGE
        .split_once("```hex bundle\n")
        .and_then(|(_, rest)| rest.split_once("```"));
    assert_eq!(block.unwrap().0, found);
}
