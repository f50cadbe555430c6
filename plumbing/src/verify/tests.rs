//! Damage is named by snapshot and path.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, OpenMode};
use crate::object::{
    ContentRef, Entry, HashAlgo, Metadata, Node, ObjectKind, ObjectSource as _, Snapshot, Totals, TreeBuilder,
};
use crate::store::Options;
use crate::time::Timestamp;

const FILES: u32 = 200;

fn body(i: u32) -> Vec<u8> {
    format!("file {i}\n").repeat(1 + i as usize).into_bytes()
}

fn repository() -> (Arc<MemoryDisk>, ObjectId) {
    let disk = Arc::new(MemoryDisk::default());
    for folder in ["/g", "/g/data", "/g/index", "/g/refs"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    RefStore::create(disk.clone(), Path::new("/g/refs"), [7; 16]).unwrap();
    let store = open(&disk);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let mut builder = TreeBuilder::new();
    for i in 0..FILES {
        let bytes = body(i);
        let (id, _) = packer.put(ObjectKind::Block, &bytes).unwrap();
        let content = ContentRef::Block {
            id,
            bytes: bytes.len() as u64,
        };
        let node = Node::File {
            content,
            fullhash: None,
        };
        let entry = Entry {
            name: format!("f{i:04}").into(),
            meta: Metadata::default(),
            node,
        };
        builder
            .push(&entry, &mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))
            .unwrap();
    }
    let tree = builder
        .finish(&mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))
        .unwrap();
    let snapshot = Snapshot {
        tree,
        parents: Vec::new(),
        time: Timestamp::default(),
        offset_minutes: 0,
        host: String::new(),
        author: String::new(),
        message: String::new(),
        tags: Vec::new(),
        roots: Vec::new(),
        rules: Vec::new(),
        totals: Totals::default(),
        extra: Vec::new(),
    };
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    (disk, id)
}

fn open(disk: &Arc<MemoryDisk>) -> Store {
    let options = Options {
        frame_bytes: 20_000,
        ..Options::default()
    };
    Store::open(disk.clone(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap()
}

fn check(disk: &Arc<MemoryDisk>, id: ObjectId, everything: bool) -> Report {
    let refs = RefStore::open(disk.clone(), Path::new("/g/refs"), [7; 16]);
    let targets = vec![Target::snapshot("main".to_owned(), id)];
    let request = Request {
        targets,
        everything,
        depth: Depth::Data,
        threads: 2,
    };
    run(&open(disk), Some(&refs), &request, &Progress::default()).unwrap()
}

#[test]
fn a_whole_repository_is_clean_and_a_damaged_one_names_just_what_is_hurt() {
    let (disk, id) = repository();
    let clean = check(&disk, id, true);
    assert!(clean.is_clean(), "{clean:?}");
    assert!(clean.objects > u64::from(FILES));
    let name = disk.list(Path::new("/g/data")).unwrap().remove(0);
    let path = Path::new("/g/data").join(name);
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let length = file.len().unwrap();
    let mut hurt_once = 0;
    for at in (64..length).step_by(97) {
        let mut byte = [0];
        file.read_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        for everything in [true, false] {
            let report = check(&disk, id, everything);
            assert!(!report.is_clean(), "offset {at}");
            // What is not said to be hurt reads.
            let store = open(&disk);
            let hurt: Vec<_> = report.hurt.iter().map(|hurt| hurt.path.clone()).collect();
            hurt_once += usize::from(!hurt.is_empty() && hurt.len() < FILES as usize);
            for i in 0..FILES {
                let name = BString::from(format!("f{i:04}"));
                let reads = store
                    .get(&ObjectId::hash(HashAlgo::Sha256, &body(i)))
                    .is_ok_and(|found| found.is_some());
                let told = hurt.contains(&name) || hurt.iter().any(|path| path.is_empty());
                assert!(reads || told, "offset {at}: {name} does not read");
                assert!(!(reads && hurt.contains(&name)), "offset {at}: {name} reads");
            }
        }
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(hurt_once > 5, "most damage hurts some files only: {hurt_once}");
}

#[test]
fn what_a_snapshot_of_ghosts_lacks_is_counted_and_no_damage() {
    let (disk, id) = repository();
    let store = open(&disk);
    let full = Snapshot::decode(&store.object(ObjectKind::Snapshot, &id).unwrap()).unwrap();
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let bytes = b"described, not stored";
    let content = ContentRef::Block {
        id: ObjectId::hash(HashAlgo::Sha256, bytes),
        bytes: bytes.len() as u64,
    };
    let mut builder = TreeBuilder::new();
    let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
    for name in ["first", "second"] {
        let entry = Entry {
            name: name.into(),
            meta: Metadata::default(),
            node: Node::File {
                content: content.clone(),
                fullhash: None,
            },
        };
        builder.push(&entry, &mut put).unwrap();
    }
    let tree = builder.finish(&mut put).unwrap();
    let mut ghosts = Snapshot { tree, ..full };
    let mut targets = vec![Target::snapshot("main".to_owned(), id)];
    for is_ghosts_only in [true, false] {
        ghosts.set_ghosts_only(is_ghosts_only);
        let (id, _) = packer.put(ObjectKind::Snapshot, &ghosts.encode()).unwrap();
        targets.insert(0, Target::snapshot(format!("ghosts: {is_ghosts_only}"), id));
    }
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let check = |targets: &[Target]| {
        let request = Request {
            targets: targets.to_vec(),
            everything: true,
            depth: Depth::Data,
            threads: 2,
        };
        run(&open(&disk), None, &request, &Progress::default()).unwrap()
    };
    let report = check(&targets[1..]);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.not_stored, report.not_stored_bytes), (1, bytes.len() as u64));
    let report = check(&targets);
    assert_eq!(report.hurt.len(), 2, "a full one needs both: {report:?}");
}
