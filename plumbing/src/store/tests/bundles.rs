//! Stores of one file: what they note of themselves and of others, what goes to segments without names, and what comes from
//! elsewhere.

use hashbrown::HashSet;

use super::*;
use crate::disk::simulated::{Op, SimulatedDisk};
use crate::object::ObjectSource;

const PATH: &str = "/g/b.gfs";

fn bundle(disk: &Arc<MemoryDisk>) -> Store {
    Store::create_bundle(disk.clone(), Path::new(PATH), HashAlgo::Sha256, Options::default()).unwrap()
}

fn again(disk: &Arc<MemoryDisk>) -> Store {
    Store::open_bundle(disk.clone(), Path::new(PATH), Options::default()).unwrap()
}

fn spool(disk: Arc<dyn Disk>) -> Store {
    Store::spool(disk, Path::new("/g/s.gfs"), HashAlgo::Sha256, Options::default()).unwrap()
}

fn id(i: u32) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, &block(i))
}

fn spilled(store: &Store) -> Vec<usize> {
    let state = store.state.read();
    state.spilled.iter().map(|mapped| mapped.segment.len()).collect()
}

/// Appends one frame of these blocks.
fn put_frame(store: &Store, range: std::ops::Range<u32>) {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    for i in range {
        packer.put(ObjectKind::Block, &block(i)).unwrap();
    }
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
}

#[test]
fn what_another_process_added_before_is_noted_behind_what_this_one_adds() {
    let disk = disk();
    let first = bundle(&disk);
    put_frame(&first, 0..2);
    let second = again(&disk);
    put_frame(&first, 2..4);
    // The second has not seen that.
    put_frame(&second, 4..6);
    second.refresh().unwrap();
    for i in 0..6 {
        assert_eq!(second.get(&id(i)).unwrap(), Some(block(i)), "block {i}");
    }
}

#[test]
fn records_are_noted_once_each_whoever_added_them() {
    let disk = disk();
    let store = bundle(&disk);
    for round in 0..2u8 {
        let writer = store.writer().unwrap();
        let mut packer = writer.packer();
        packer.put(ObjectKind::Block, &block(round.into())).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.append_record(FrameKind::Roots, &[round; 40]).unwrap();
        writer.append_record(FrameKind::Descriptors, &[round; 41]).unwrap();
        writer.commit().unwrap();
        store.refresh().unwrap();
    }
    let check = |store: &Store| {
        let read = |kind| {
            let records = store.records(kind);
            let bytes = records.iter().map(|record| store.read_record(record).unwrap());
            bytes.collect::<Vec<_>>()
        };
        assert_eq!(read(FrameKind::Roots), [vec![0; 40], vec![1; 40]]);
        assert_eq!(read(FrameKind::Descriptors), [vec![0; 41], vec![1; 41]]);
        assert!(store.records(FrameKind::Objects).is_empty());
        assert!(store.records(FrameKind::Commit).is_empty());
    };
    for store in [store, again(&disk)] {
        check(&store);
        // Objects are noted anew where one is passed over, and records are not.
        let at = store.locate(&id(0)).unwrap().unwrap();
        store.distrust(&[at]).unwrap();
        assert!(!store.contains(&id(0)).unwrap() && store.contains(&id(1)).unwrap());
        check(&store);
    }
}

#[test]
fn what_is_appended_to_a_bundle_is_counted_by_its_length() {
    let disk = disk();
    let store = bundle(&disk);
    let writer = store.writer().unwrap();
    let length = || disk.open(Path::new(PATH), OpenMode::Read).unwrap().len().unwrap();
    let begun = length();
    let counted = || writer.counters.stored_bytes.load(std::sync::atomic::Ordering::Relaxed);
    for round in 1..4u8 {
        writer.append_record(FrameKind::Roots, &vec![round; 5000]).unwrap();
        assert_eq!(counted(), length() - begun);
        let mut packer = writer.packer();
        packer.put(ObjectKind::Block, &block(round.into())).unwrap();
        packer.flush().unwrap();
        assert_eq!(counted(), length() - begun);
    }
}

#[test]
fn a_spool_has_a_file_and_what_has_a_name_is_no_spool() {
    let disk = disk();
    let store = spool(disk.clone());
    put_frame(&store, 0..1);
    let file = store.spool_file().unwrap();
    assert_eq!(Some(&file.path), store.data_files().first().map(|(file, _)| &file.path));
    assert!(bundle(&disk).spool_file().is_none() && open(&disk).spool_file().is_none());
}

#[test]
fn a_repository_that_another_store_is_attached_to_is_not_written_to() {
    let disk = disk();
    let (store, other) = (open(&disk), bundle(&disk));
    assert!(!store.has_attached() && store.writer().is_ok());
    store.attach(&other).unwrap();
    assert!(store.has_attached());
    let refused = store.writer().map(drop).unwrap_err().to_string();
    assert!(refused.contains("can only be read"), "{refused}");
    // What leans on a spool goes with it.
    let spool = spool(disk);
    spool.attach(&other).unwrap();
    assert!(spool.has_attached() && spool.writer().is_ok());
}

#[test]
fn a_store_that_is_attached_has_a_number_and_others_have_none() {
    let disk = disk();
    add(&open(&disk), 0..3);
    let (store, attached) = (open(&disk), bundle(&disk));
    let other = spool(disk);
    assert_eq!(store.number_of(&attached), None);
    store.attach(&attached).unwrap();
    assert_eq!((store.number_of(&attached), store.number_of(&other)), (Some(1), None));
    store.attach(&other).unwrap();
    assert_eq!(
        (store.number_of(&attached), store.number_of(&other)),
        (Some(1), Some(2))
    );
    assert_eq!(attached.number_of(&attached), Some(0));
}

#[test]
fn ids_stay_in_memory_up_to_the_limit() {
    let store = spool(disk());
    store.keep_in_memory(5);
    put_frame(&store, 0..5);
    assert_eq!((spilled(&store), store.recent.count()), (vec![], 5));
    put_frame(&store, 5..6);
    assert_eq!((spilled(&store), store.recent.count()), (vec![6], 0));
}

#[test]
fn segments_without_names_are_merged_where_they_are_too_many() {
    let store = spool(disk());
    store.keep_in_memory(0);
    let mut next = 0;
    for count in [1, 1, 12, 12, 12, 12, 12, 12] {
        put_frame(&store, next..next + count);
        next += count;
    }
    assert_eq!(spilled(&store).len(), 8);
    put_frame(&store, next..next + 12);
    assert_eq!(spilled(&store), [2, 12, 12, 12, 12, 12, 12, 12]);
    assert!((0..next + 12).all(|i| store.contains(&id(i)).unwrap()));
}

#[test]
fn ids_of_others_are_moved_where_they_are_more_than_half_of_what_fits() {
    for (own, attached, moved) in [(3, 2, 0), (2, 3, 3), (1, 4, 4)] {
        let disk = disk();
        add(&open(&disk), 0..own);
        for name in disk.list(Path::new("/g/index")).unwrap() {
            disk.remove(&Path::new("/g/index").join(name)).unwrap();
        }
        let (store, other) = (open(&disk), bundle(&disk));
        put_frame(&other, 100..100 + attached);
        assert_eq!(store.recent.count(), own as usize);
        store.keep_in_memory(4);
        store.attach(&other).unwrap();
        let total = (own + attached) as usize;
        assert_eq!(
            (spilled(&store).iter().sum::<usize>(), store.recent.count()),
            (moved, total - moved),
            "{own} and {attached}"
        );
        assert!(
            (0..own)
                .chain(100..100 + attached)
                .all(|i| store.contains(&id(i)).unwrap())
        );
    }
}

#[test]
fn segments_without_names_are_made_beside_the_store() {
    let memory = disk();
    let disk = SimulatedDisk::on((*memory).clone());
    let made = |count: usize| {
        let ops = disk.journal().ops()[count..].to_vec();
        let made = ops.into_iter().filter_map(|op| match op {
            Op::Create { path, .. } => path.to_str().map(str::to_owned),
            _ => None,
        });
        made.collect::<Vec<String>>()
    };
    let spool = spool(Arc::new(disk.clone()));
    spool.keep_in_memory(1);
    let begun = disk.journal().ops().len();
    put_frame(&spool, 0..4);
    assert_eq!(spilled(&spool), [4]);
    let file = spool.place().to_str().unwrap().to_owned();
    let paths = made(begun);
    assert!(
        paths.len() == 1 && paths[0].starts_with(&format!("{file}.tmp-")),
        "{paths:?}"
    );
    // Those of a repository are in the folder of its index.
    let store = Store::open(
        Arc::new(disk.clone()),
        Path::new("/g"),
        [7; 16],
        HashAlgo::Sha256,
        Options::default(),
    )
    .unwrap();
    store.keep_in_memory(1);
    let begun = disk.journal().ops().len();
    store.attach(&spool).unwrap();
    assert_eq!(spilled(&store), [4]);
    let paths = made(begun);
    assert!(
        paths.len() == 1 && paths[0].starts_with("/g/index/attached.tmp-"),
        "{paths:?}"
    );
    let left = memory.list(Path::new("/g/index")).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// Notes what it is asked, and brings a spool with some blocks.
#[derive(Debug, Default)]
struct Asked {
    expected: Mutex<Vec<(Vec<ObjectId>, Vec<ObjectId>)>>,
    brought: Mutex<Vec<Vec<ObjectId>>>,
    beside: Mutex<Vec<u32>>,
}

impl Supply for Asked {
    fn bring(&self, store: &Store, absent: &[ObjectId], beside: &HashSet<u32>, _: Option<&Show<'_>>) -> Result<()> {
        self.brought.lock().push(absent.to_vec());
        self.beside.lock().extend(beside);
        let spool = spool(disk());
        put_frame(&spool, 50..52);
        store.attach(&spool)
    }

    fn expect(&self, absent: &[ObjectId], here: &[ObjectId]) {
        self.expected.lock().push((absent.to_vec(), here.to_vec()));
    }

    fn bring_history(&self, _: &Store, _: ObjectId) -> Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_not_here_is_asked_for_once_and_what_is_here_is_named() {
    let disk = disk();
    let ids = add(&open(&disk), 0..2);
    let store = open(&disk);
    let wanted = [id(50), ids[1].0, id(51), id(50), ids[1].0];
    store.expect(&wanted).unwrap();
    assert!(!store.has_supply());
    assert_eq!(store.get(&id(50)).unwrap(), None);
    let asked = Arc::new(Asked::default());
    store.supply_from(asked.clone());
    store.expect(&wanted).unwrap();
    assert_eq!(*asked.expected.lock(), [(vec![id(50), id(51)], vec![ids[1].0])]);
    assert!(asked.brought.lock().is_empty(), "nothing is needed yet");
    store.will_read(&wanted).unwrap();
    store.will_read(&wanted).unwrap();
    assert_eq!(*asked.brought.lock(), [[id(50), id(51)]]);
    assert_eq!(*asked.beside.lock(), [0]);
    assert_eq!(store.get(&id(51)).unwrap(), Some(block(51)));
    // It comes by itself where it is read.
    let other = open(&disk);
    other.supply_from(Arc::new(Asked::default()));
    assert_eq!(other.get(&id(51)).unwrap(), Some(block(51)));
    assert_eq!(other.get(&id(99)).unwrap(), None);
}

#[test]
fn what_somebody_keeps_is_not_stored_here() {
    let disk = disk();
    let store = open(&disk);
    store.count_on([id(3)].into_iter().collect());
    let added = add(&store, 2..5);
    let added: Vec<Added> = added.into_iter().map(|(_, added)| added).collect();
    assert_eq!(added, [Added::New, Added::Existing, Added::New]);
    let store = open(&disk);
    assert_eq!([2, 3, 4].map(|i| store.contains(&id(i)).unwrap()), [true, false, true]);
}

#[test]
fn what_is_retired_is_found_no_more_and_what_is_ours_stays() {
    let disk = disk();
    let ids = add(&open(&disk), 0..2);
    let (store, other) = (open(&disk), bundle(&disk));
    put_frame(&other, 50..52);
    store.attach(&other).unwrap();
    assert!(store.contains(&id(50)).unwrap());
    store.retire(&[0, store.number_of(&other).unwrap()]);
    store.refresh().unwrap();
    assert!(!store.contains(&id(50)).unwrap() && !store.contains(&id(51)).unwrap());
    assert!(ids.iter().all(|(id, _)| store.contains(id).unwrap()));
    assert!(other.contains(&id(50)).unwrap());
}
