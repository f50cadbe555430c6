//! Damage is named by snapshot and path.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, OpenMode};
use crate::object::{ContentRef, Entry, HashAlgo, Metadata, Node, ObjectKind, Snapshot, Totals, TreeBuilder};
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
    let targets = vec![Target {
        name: "main".to_owned(),
        id,
    }];
    let request = Request {
        targets,
        everything,
        depth: Depth::Data,
        threads: 2,
    };
    run(&open(disk), &refs, &request, &Progress::default()).unwrap()
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
