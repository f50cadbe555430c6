//! What is kept of what came, and for how long.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::objects::{Asked, cache_on, id, keeping, read, reader, spool};
use super::world::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::object::{Node, ObjectSource as _, TreeNode};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::remote::objects::cache::{Keeping, Place};
use crate::remote::objects::walk::{Below, bring_trees};
use crate::time::Timestamp;

#[test]
fn a_cache_stays_within_its_room() {
    let far = Side::new(2);
    let bytes: Vec<Vec<u8>> = (0..40).map(|number| noise(number, 1 << 20)).collect();
    far.commit_all(&bytes);
    let asked = Arc::new(Asked::serving(&far));
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::with_seed(3));
    let folder = Path::new("/cache");
    let room = 8 << 20;
    let cache = cache_on(&disk, keeping(Place::Folder(folder.into()), room));
    let (_side, repository) = reader(&asked, cache);
    for bytes in &bytes {
        assert!(read(&repository.store, bytes).unwrap() == *bytes);
    }
    assert_eq!(asked.questions.load(Relaxed), 40);
    let on_disk = || -> u64 {
        let names = disk.list(folder).unwrap();
        let open = |name| disk.open(&folder.join(name), crate::disk::OpenMode::Read).unwrap();
        names.into_iter().map(|name| open(name).len().unwrap()).sum()
    };
    assert!(on_disk() <= room + (3 << 20), "{} bytes", on_disk());
    // What went comes again; what stayed needs nobody.
    assert!(read(&repository.store, &bytes[39]).unwrap() == bytes[39]);
    assert_eq!(asked.questions.load(Relaxed), 40);
    assert!(read(&repository.store, &bytes[0]).unwrap() == bytes[0]);
    assert_eq!(asked.questions.load(Relaxed), 41);
    // Another run finds what this one left, within the room.
    let cache = cache_on(&disk, keeping(Place::Folder(folder.into()), room));
    assert!(on_disk() <= room);
    let (_side, later) = reader(&asked, cache);
    assert!(read(&later.store, &bytes[39]).unwrap() == bytes[39]);
    assert_eq!(asked.questions.load(Relaxed), 41);
    // And a later one finds that all of it is too old.
    let old = Keeping {
        time: Some(Duration::from_secs(60)),
        now: Timestamp::new(1_700_000_061, 0),
        ..keeping(Place::Folder(folder.into()), room)
    };
    assert_eq!(cache_on(&disk, old).bytes(), 0);
    assert_eq!(on_disk(), 0);
}

#[test]
fn what_is_damaged_in_a_cache_comes_again() {
    let far = Side::new(2);
    far.commit(MAIN, &[("a", b"one"), ("b", b"two")]);
    let asked = Arc::new(Asked::serving(&far));
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::with_seed(3));
    let folder = Path::new("/cache");
    let (_side, first) = reader(&asked, cache_on(&disk, keeping(Place::Folder(folder.into()), 1 << 20)));
    assert_eq!(read(&first.store, b"one").unwrap(), b"one");
    let name = disk.list(folder).unwrap().remove(0);
    let file = disk.open(&folder.join(name), crate::disk::OpenMode::Write).unwrap();
    let mut all = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut all, 0).unwrap();
    let at = all.windows(3).position(|bytes| bytes == b"one").unwrap();
    file.write_all_at(b"eno", at as u64).unwrap();
    let (_side, second) = reader(&asked, cache_on(&disk, keeping(Place::Folder(folder.into()), 1 << 20)));
    assert_eq!(read(&second.store, b"one").unwrap(), b"one");
    assert_eq!(asked.questions.load(Relaxed), 2);
}

/// Five times as much as there is room for goes through, used as it comes.
#[test]
fn directories_stay_while_files_go_through() {
    let far = Side::new(2);
    let contents: Vec<Vec<u8>> = (0..40).map(|number| noise(number, 1 << 20)).collect();
    let names: Vec<String> = (0..40).map(|number| format!("d{number:02}/f")).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(String::as_str)
        .zip(contents.iter().map(Vec::as_slice))
        .collect();
    let tip = far.commit(MAIN, &files);
    let asked = Arc::new(Asked::serving(&far));
    let (_side, repository) = reader(&asked, spool(8 << 20));
    let store = &repository.store;
    let tree = read_snapshot(store, &tip).unwrap().tree;
    bring_trees(store, &[tree], Below::Lists, &Progress::default()).unwrap();
    for bytes in &contents {
        store.bring_shown(&[id(bytes)], &|_| ()).unwrap();
    }
    let before = asked.questions.load(Relaxed);
    let TreeNode::Leaf(entries) = store.tree_node(&tree).unwrap() else {
        panic!()
    };
    for entry in entries {
        let Node::Directory { tree } = entry.node else { panic!() };
        store.tree_node(&tree).unwrap();
    }
    assert_eq!(asked.questions.load(Relaxed), before, "nothing is asked for twice");
    // The files went, but for the last ones.
    assert!(read(store, &contents[39]).unwrap() == contents[39]);
    assert_eq!(asked.questions.load(Relaxed), before);
    assert!(read(store, &contents[0]).unwrap() == contents[0]);
    assert_eq!(asked.questions.load(Relaxed), before + 1);
}
