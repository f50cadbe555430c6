//! What is in segments without names is found as what is in memory, and leaves nothing behind.

use std::path::Path;

use super::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Fault, Injection, SimulatedDisk};
use crate::object::{HashAlgo, ObjectKind};
use crate::store::{Added, Options};

const IDS: u32 = 3000;
const IN_MEMORY: usize = 128;

fn disk() -> Arc<MemoryDisk> {
    let disk = MemoryDisk::default();
    disk.create_dir(Path::new("/f")).unwrap();
    Arc::new(disk)
}

fn options() -> Options {
    Options {
        frame_bytes: 200,
        ..Options::default()
    }
}

fn spool(disk: Arc<dyn Disk>) -> Store {
    let spool = Store::spool(disk, Path::new("/f/b.gfs"), HashAlgo::Sha256, options()).unwrap();
    spool.keep_in_memory(IN_MEMORY);
    spool
}

fn block(number: u32) -> Vec<u8> {
    format!("block {number}").into_bytes()
}

fn id(number: u32) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, &block(number))
}

fn fill(store: &Store) {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    for number in 0..IDS {
        packer.put(ObjectKind::Block, &block(number)).unwrap();
    }
    packer.flush().unwrap();
    // Known again, whether in memory or not.
    for number in 0..IDS {
        let (_, added) = packer.put(ObjectKind::Block, &block(number)).unwrap();
        assert_eq!(added, Added::Existing, "{number}");
    }
    drop(packer);
    writer.commit().unwrap();
}

fn check(store: &Store) {
    for number in 0..IDS {
        assert_eq!(store.get(&id(number)).unwrap().unwrap(), block(number));
        assert!(store.contains(&id(number)).unwrap());
    }
    assert!(!store.contains(&id(IDS)).unwrap());
    let prefix = id(7).hex()[..16].parse().unwrap();
    assert_eq!(store.find_prefix(&prefix, 10).unwrap(), [id(7)]);
}

fn spilled(store: &Store) -> usize {
    store
        .state
        .read()
        .spilled
        .iter()
        .map(|mapped| mapped.segment.len())
        .sum()
}

#[test]
fn a_spool_keeps_few_ids_in_memory_and_knows_all() {
    let disk = disk();
    let store = spool(disk.clone());
    fill(&store);
    check(&store);
    assert!(store.recent.count() <= IN_MEMORY, "{}", store.recent.count());
    assert!(store.state.read().spilled.len() <= 9, "they are merged");
    assert_eq!(spilled(&store) + store.recent.count(), IDS as usize, "each once");
    // What this process has added is not noted again.
    store.refresh().unwrap();
    assert_eq!(spilled(&store) + store.recent.count(), IDS as usize);
    assert!(disk.list(Path::new("/f")).unwrap().is_empty(), "nothing has a name");
}

#[test]
fn what_is_attached_is_noted_once_however_often_it_grows() {
    let disk = disk();
    let first = spool(disk.clone());
    let second = spool(disk.clone());
    fill(&first);
    second.attach(&first).unwrap();
    check(&second);
    assert!(second.recent.count() <= IN_MEMORY);
    let writer = first.writer().unwrap();
    let mut packer = writer.packer();
    for number in IDS + 1..2 * IDS {
        packer.put(ObjectKind::Block, &block(number)).unwrap();
    }
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    second.refresh().unwrap();
    check(&second);
    assert!(second.contains(&id(2 * IDS - 1)).unwrap());
    assert_eq!(spilled(&second) + second.recent.count(), 2 * IDS as usize - 1);
}

#[test]
fn another_copy_is_found_when_one_is_passed_over() {
    let disk = disk();
    let (first, second) = (spool(disk.clone()), spool(disk.clone()));
    fill(&first);
    fill(&second);
    let both = spool(disk);
    both.attach(&first).unwrap();
    both.attach(&second).unwrap();
    let at = both.locate(&id(5)).unwrap().unwrap();
    both.distrust(&[at]).unwrap();
    let other = both.locate(&id(5)).unwrap().unwrap();
    assert_ne!(at.file, other.file);
    check(&both);
}

#[test]
fn where_nothing_can_be_written_ids_stay_in_memory() {
    let disk = SimulatedDisk::on(disk().as_ref().clone());
    let store = spool(Arc::new(disk.clone()));
    fill(&store);
    let reader = spool(Arc::new(disk.clone()));
    disk.inject(Some(Injection {
        from: disk.asked(),
        count: usize::MAX / 2,
        fault: Fault::Fails(std::io::ErrorKind::PermissionDenied),
    }));
    reader.attach(&store).unwrap();
    check(&reader);
    assert_eq!(spilled(&reader), 0);
}

fn put(store: &Store, numbers: std::ops::Range<u32>) {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    for number in numbers {
        packer.put(ObjectKind::Block, &block(number)).unwrap();
    }
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
}

#[test]
fn as_many_ids_as_may_be_are_in_memory_and_one_more_moves_all() {
    let store = spool(disk());
    store.keep_in_memory(10);
    put(&store, 0..10);
    assert_eq!((spilled(&store), store.recent.count()), (0, 10));
    put(&store, 10..11);
    assert_eq!((spilled(&store), store.recent.count()), (11, 0));
    put(&store, 11..14);
    assert_eq!((spilled(&store), store.recent.count()), (11, 3));
    assert!((0..14).all(|number| store.get(&id(number)).unwrap() == Some(block(number))));
}

/// To try again for each frame would only take time, where most of what is in memory stays there.
#[test]
fn ids_of_bundles_move_where_they_are_more_than_half_of_what_may_be_in_memory() {
    for (count, expected) in [(4, (0, 12)), (5, (5, 8))] {
        let disk = disk();
        for folder in ["/g", "/g/data", "/g/index"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        let open = || Store::open(disk.clone(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options()).unwrap();
        put(&open(), 100..108);
        for name in disk.list(Path::new("/g/index")).unwrap() {
            disk.remove(&Path::new("/g/index").join(name)).unwrap();
        }
        let (store, bundle) = (open(), spool(disk.clone()));
        put(&bundle, 0..count);
        store.keep_in_memory(8);
        store.attach(&bundle).unwrap();
        assert_eq!((spilled(&store), store.recent.count()), expected, "{count}");
        assert!(
            (0..count)
                .chain(100..108)
                .all(|number| store.contains(&id(number)).unwrap())
        );
        assert!(disk.list(Path::new("/g/index")).unwrap().is_empty(), "no name is left");
    }
}

#[test]
fn segments_without_names_are_made_beside_the_store() {
    use crate::disk::simulated::Op;
    let disk = SimulatedDisk::on(disk().as_ref().clone());
    let bundle = Store::create_bundle(
        Arc::new(disk.clone()),
        Path::new("/f/c.gfs"),
        HashAlgo::Sha256,
        options(),
    );
    for (store, beside) in [
        (spool(Arc::new(disk.clone())), "/f/b.gfs."),
        (bundle.unwrap(), "/f/c.gfs."),
    ] {
        store.keep_in_memory(10);
        let begin = disk.journal().ops().len();
        put(&store, 0..200);
        assert!(spilled(&store) > 100);
        let journal = disk.journal();
        let mut made = journal.ops()[begin..].iter().filter_map(|op| match op {
            Op::Create { path, .. } => Some(path.to_str().unwrap()),
            _ => None,
        });
        assert!(made.clone().count() > 3);
        assert!(made.all(|path| path.starts_with(beside)), "{beside}");
    }
}

#[test]
fn there_are_never_more_segments_without_names_than_the_limit() {
    let store = spool(disk());
    store.keep_in_memory(0);
    put(&store, 0..1);
    assert_eq!(spilled(&store), 1);
    store.keep_in_memory(7);
    let mut most = 0;
    for round in 0..8 {
        // One is much smaller than all others, so that nothing else says to merge.
        put(&store, 1 + 8 * round..9 + 8 * round);
        most = most.max(store.state.read().spilled.len());
    }
    assert_eq!((most, spilled(&store)), (8, 65));
    assert!((0..65).all(|number| store.contains(&id(number)).unwrap()));
}
