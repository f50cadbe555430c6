//! Damage is named by snapshot and path.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, OpenMode};
use crate::object::{
    ContentRef, Entry, HashAlgo, Metadata, Node, ObjectKind, ObjectSource as _, Snapshot, TreeBuilder,
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
    let snapshot = Snapshot::bare(tree);
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

/// A check of what is due, with this ledger.
fn check_due(disk: &Arc<MemoryDisk>, id: ObjectId, ledger: &mut ledger::Ledger, due: Due) -> Report {
    let refs = RefStore::open(disk.clone(), Path::new("/g/refs"), [7; 16]);
    let request = Request {
        targets: vec![Target::snapshot("main".to_owned(), id)],
        everything: true,
        depth: Depth::Data,
        threads: 2,
    };
    run_due(&open(disk), &refs, &request, (ledger, &due), &Progress::default()).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0)
}

#[test]
fn what_was_read_is_passed_over_until_it_is_due_again() {
    let (disk, id) = repository();
    let mut ledger = ledger::Ledger::new([7; 16]);
    let due = |now: i64, age: i64| Due {
        before: Some(at(now - age)),
        ..Due::all(at(now))
    };
    let all = check_due(&disk, id, &mut ledger, due(1000, 30));
    assert!(all.is_clean() && all.objects > u64::from(FILES), "{all:?}");
    for (now, age, reads) in [
        (1000, 30, false),
        (1030, 30, false),
        (1031, 30, true),
        (1032, 30, false),
        (900, 30, true),
    ] {
        let mut ledger = ledger.clone();
        if now == 1032 {
            check_due(&disk, id, &mut ledger, due(1031, 30));
        }
        let report = check_due(&disk, id, &mut ledger, due(now, age));
        assert_eq!(report.objects > 0, reads, "{now}");
        assert!(report.is_clean() && report.snapshots == 1);
    }
    // Without an age everything is read.
    assert_eq!(
        check_due(&disk, id, &mut ledger, Due::all(at(1001))).objects,
        all.objects
    );
}

#[test]
fn the_index_is_walked_by_runs_that_have_something_to_read() {
    let (disk, id) = repository();
    let mut ledger = ledger::Ledger::new([7; 16]);
    let due = |now: i64| Due {
        before: Some(at(now - 30)),
        ..Due::all(at(now))
    };
    assert!(check_due(&disk, id, &mut ledger, due(1000)).index_damage.is_empty());
    let segment = Path::new("/g/index").join(disk.list(Path::new("/g/index")).unwrap().remove(0));
    let file = disk.open(&segment, OpenMode::Write).unwrap();
    let middle = file.len().unwrap() / 2;
    let mut byte = [0];
    file.read_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    assert!(check_due(&disk, id, &mut ledger, due(1001)).index_damage.is_empty());
    assert_eq!(check_due(&disk, id, &mut ledger, due(1040)).index_damage.len(), 1);
}

#[test]
fn a_share_at_a_time_reads_everything_once_what_was_read_longest_ago_first() {
    let (disk, id) = repository();
    let mut ledger = ledger::Ledger::new([7; 16]);
    let all = check(&disk, id, true).objects;
    let mut read = Vec::new();
    for now in 0..100 {
        let share = Due {
            share: Some(1000),
            ..Due::all(at(now))
        };
        read.push(check_due(&disk, id, &mut ledger, share).objects);
        let path = store_path(&disk);
        let (file, end) = open(&disk).data_files().remove(0);
        assert!(path.is_some());
        if ledger.last_read(&file.header.file, 64, end).is_some() {
            break;
        }
    }
    assert!(read.len() > 3 && read.iter().sum::<u64>() == all, "{read:?} of {all}");
    // The next goes on with the oldest.
    let oldest = Due {
        before: Some(at(1)),
        ..Due::all(at(100))
    };
    assert_eq!(check_due(&disk, id, &mut ledger, oldest).objects, read[0]);
}

fn store_path(disk: &Arc<MemoryDisk>) -> Option<std::path::PathBuf> {
    Some(open(disk).data_files().first()?.0.path.clone())
}

#[test]
fn without_time_one_frame_is_read_and_the_next_run_goes_on() {
    let (disk, id) = repository();
    let mut ledger = ledger::Ledger::new([7; 16]);
    let all = check(&disk, id, true).objects;
    let (mut read, mut runs) = (0, 0);
    loop {
        let no_time = Due {
            time_max: Some(std::time::Duration::ZERO),
            before: Some(at(0)),
            ..Due::all(at(runs))
        };
        let report = check_due(&disk, id, &mut ledger, no_time);
        assert!(report.is_clean());
        read += report.objects;
        runs += 1;
        if report.left_bytes == 0 {
            break;
        }
    }
    assert!(runs > 3 && read == all, "{runs} runs read {read} of {all}");
}

#[test]
fn damage_is_told_by_every_run_and_no_snapshot_is_believed_over_it() {
    let (disk, id) = repository();
    let mut ledger = ledger::Ledger::new([7; 16]);
    let due = |now: i64| Due {
        before: Some(at(now - 30)),
        ..Due::all(at(now))
    };
    assert!(check_due(&disk, id, &mut ledger, due(100)).is_clean());
    let path = store_path(&disk).unwrap();
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, 5000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 5000).unwrap();
    // It is not due yet; then it is, and stays so until it is mended.
    assert!(check_due(&disk, id, &mut ledger, due(110)).is_clean());
    for now in [140, 141, 150] {
        let report = check_due(&disk, id, &mut ledger, due(now));
        assert!(!report.hurt.is_empty() && !report.damage.is_empty(), "{now}");
        assert!(!ledger.has_proven(&Target::snapshot("main".to_owned(), id)));
    }
    file.write_all_at(&byte, 5000).unwrap();
    assert!(check_due(&disk, id, &mut ledger, due(151)).is_clean());
    assert!(ledger.has_proven(&Target::snapshot("main".to_owned(), id)));
    assert_eq!(check_due(&disk, id, &mut ledger, due(152)).objects, 0);
}

#[test]
fn the_tree_of_a_forgotten_snapshot_may_be_gone() {
    let (disk, id) = repository();
    let store = open(&disk);
    let mut snapshot = Snapshot::decode(&store.object(ObjectKind::Snapshot, &id).unwrap()).unwrap();
    snapshot.tree = ObjectId::hash(HashAlgo::Sha256, b"taken by gc");
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let (gone, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let check = |target: Target| {
        let request = Request {
            targets: vec![target],
            everything: true,
            depth: Depth::Data,
            threads: 1,
        };
        run(&open(&disk), None, &request, &Progress::default()).unwrap()
    };
    assert_eq!(check(Target::snapshot("a".to_owned(), gone)).hurt.len(), 1);
    assert!(check(Target::forgotten("a".to_owned(), gone)).is_clean());
    let missing = ObjectId::hash(HashAlgo::Sha256, b"no snapshot");
    assert_eq!(check(Target::forgotten("a".to_owned(), missing)).hurt.len(), 1);
}
