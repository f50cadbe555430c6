//! When segments are written, what they cover, when they are merged.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use super::asking::AskingDisk;
use super::*;
use crate::disk::simulated::{Op, SimulatedDisk};

fn index(disk: &MemoryDisk) -> Vec<std::ffi::OsString> {
    disk.list(Path::new("/g/index")).unwrap()
}

fn drop_index(disk: &MemoryDisk) {
    for name in index(disk) {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
}

#[test]
fn a_segment_is_written_of_what_none_covers_and_only_of_that() {
    let disk = disk();
    let store = open(&disk);
    add(&store, 0..5);
    // Others add to the same file.
    store.release_all();
    let before = index(&disk);
    store.publish_segment().unwrap();
    assert_eq!((index(&disk), store.segment_sizes()), (before, vec![5]));
    add(&open(&disk), 5..8);
    drop_index(&disk);
    store.refresh().unwrap();
    store.pass_over(&[0]);
    store.publish_segment().unwrap();
    assert_eq!(index(&disk).len(), 0, "nothing leans on what is passed over");
    store.pass_over_no_more(&[0]);
    store.publish_segment().unwrap();
    assert_eq!(store.segment_sizes(), [8]);
    let again = open(&disk);
    assert_eq!((again.segment_sizes(), again.recent.count()), (vec![8], 0));
}

/// A merged segment has one range of each file: what lies between the small ones is merged with them.
#[test]
fn small_segments_are_merged_with_the_large_one_between_them() {
    let disk = disk();
    let mut next = 0;
    for (count, sizes) in [
        (1, vec![1]),
        (1, vec![1, 1]),
        (50, vec![50, 1, 1]),
        (1, vec![50, 1, 1, 1]),
        (1, vec![54]),
    ] {
        let store = open(&disk);
        let ids = add(&store, next..next + count);
        next += count;
        assert_eq!(store.segment_sizes().iter().sum::<usize>(), next as usize);
        let again = open(&disk);
        assert_eq!((again.segment_sizes(), again.recent.count()), (sizes, 0));
        assert!(ids.iter().all(|(id, _)| again.contains(id).unwrap()));
    }
    assert_eq!(index(&disk).len(), 1);
    let store = open(&disk);
    assert!((0..next).all(|i| store.get(&ObjectId::hash(HashAlgo::Sha256, &block(i))).unwrap() == Some(block(i))));
}

#[test]
fn what_others_committed_is_made_durable_with_its_name_and_only_once() {
    let memory = disk();
    add(&open(&memory), 0..5);
    drop_index(&memory);
    let disk = SimulatedDisk::on((*memory).clone());
    let store = Store::open(
        Arc::new(disk.clone()),
        Path::new("/g"),
        [7; 16],
        HashAlgo::Sha256,
        Options::default(),
    )
    .unwrap();
    let done = || {
        let before = disk.journal().ops().len();
        store.make_durable().unwrap();
        disk.journal().ops()[before..].to_vec()
    };
    let ops = done();
    let name = ops.iter().position(|op| *op == Op::SyncDir("/g/data".into()));
    let data = ops.iter().filter(|op| matches!(op, Op::SyncData { .. })).count();
    assert!(name.is_some() && data > 0, "{ops:?}");
    assert_eq!(done(), [], "it is durable");
    store.publish_segment().unwrap();
    assert_eq!(done(), []);
    let again = open(&memory);
    assert_eq!((again.segment_sizes(), again.recent.count()), (vec![5], 0));
}

#[test]
fn the_large_one_stays_where_nothing_of_it_lies_between_the_small_ones() {
    let disk = disk();
    add(&open(&disk), 0..50);
    for i in 50..54 {
        add(&open(&disk), i..i + 1);
    }
    assert_eq!(open(&disk).segment_sizes(), [50, 4]);
}

#[test]
fn there_are_never_more_segments_than_the_limit() {
    let disk = disk();
    add(&open(&disk), 0..1);
    let mut most = 0;
    for round in 0..8 {
        // One is much smaller than all others, so that nothing else says to merge.
        add(&open(&disk), 1 + 8 * round..9 + 8 * round);
        most = most.max(index(&disk).len());
    }
    assert_eq!(most, index::merge::SEGMENTS_MAX);
    let store = open(&disk);
    assert!(store.segment_sizes().iter().sum::<usize>() == 65 && store.recent.count() == 0);
}

#[test]
fn segments_of_a_range_that_others_cover_too_are_merged() {
    let disk = disk();
    add(&open(&disk), 0..1);
    let first = index(&disk);
    add(&open(&disk), 1..2);
    for name in index(&disk).iter().filter(|name| !first.contains(name)) {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
    // It knows of a segment of the first and of none of the second, when others lose the index and make another.
    let late = open(&disk);
    drop_index(&disk);
    add(&open(&disk), 2..3);
    assert_eq!(open(&disk).segment_sizes(), [3]);
    late.publish_segment().unwrap();
    assert_eq!(open(&disk).segment_sizes(), [3, 1]);
    add(&open(&disk), 3..4);
    add(&open(&disk), 4..5);
    assert_eq!(index(&disk).len(), 1);
    let store = open(&disk);
    assert!(store.recent.count() == 0);
    assert!((0..5).all(|i| store.contains(&ObjectId::hash(HashAlgo::Sha256, &block(i))).unwrap()));
}

#[test]
fn segments_of_a_file_that_is_gone_are_not_merged_over_a_gap() {
    let disk = disk();
    let mut names = Vec::new();
    for i in 0..3 {
        add(&open(&disk), i..i + 1);
        names.extend(
            index(&disk)
                .into_iter()
                .filter(|name| !names.contains(name))
                .collect::<Vec<_>>(),
        );
    }
    disk.remove(&Path::new("/g/index").join(&names[1])).unwrap();
    disk.remove(&only_file(&disk)).unwrap();
    for i in 3..5 {
        add(&open(&disk), i..i + 1);
    }
    assert_eq!(index(&disk).len(), 4);
    let store = open(&disk);
    assert_eq!(store.missing_data().len(), 2);
    assert!((3..5).all(|i| store.contains(&ObjectId::hash(HashAlgo::Sha256, &block(i))).unwrap()));
}

/// It would get a check that holds.
#[test]
fn a_damaged_segment_is_not_merged() {
    let disk = disk();
    for round in 0..3 {
        add(&open(&disk), round * 10..round * 10 + 10);
    }
    let path = Path::new("/g/index").join(&index(&disk)[1]);
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let (mut byte, at) = ([0], file.len().unwrap() - 60);
    file.read_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    add(&open(&disk), 30..40);
    assert_eq!(open(&disk).segment_sizes(), [10, 10, 10, 10]);
    let looks = open(&disk);
    let damaged = [(); 2].map(|()| looks.distrust_damaged_segments().unwrap());
    assert_eq!(damaged, [true, false], "it looks once");
    let store = open(&disk);
    assert_eq!(store.verify_index().unwrap().len(), 1);
    assert!((0..40).all(|i| store.contains(&ObjectId::hash(HashAlgo::Sha256, &block(i))).unwrap()));
    // Whoever writes one next covers what it covered, and takes it away.
    add(&store, 40..50);
    assert!(!index(&disk).iter().any(|name| path.ends_with(name)));
    let again = open(&disk);
    assert_eq!(
        (again.recent.count(), again.distrust_damaged_segments().unwrap()),
        (0, false)
    );
    assert!((0..50).all(|i| again.contains(&ObjectId::hash(HashAlgo::Sha256, &block(i))).unwrap()));
    assert!(again.verify_index().unwrap().is_empty());
}

#[test]
fn a_segment_that_others_merged_meanwhile_is_no_problem_and_one_that_does_not_open_is() {
    let disk = disk();
    add(&open(&disk), 0..5);
    for (kind, problems) in [(ErrorKind::NotFound, 0), (ErrorKind::TimedOut, 1)] {
        let is_done = AtomicBool::new(false);
        let asking = AskingDisk::on(&disk, move |op, _, _| {
            match op == "map" && !is_done.swap(true, Ordering::Relaxed) {
                true => Err(kind.into()),
                false => Ok(()),
            }
        });
        let store = Store::open(asking, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap();
        assert_eq!(store.problems().len(), problems, "{kind:?}");
        let sizes = if problems == 0 { vec![5] } else { Vec::new() };
        assert_eq!((store.segment_sizes(), store.is_whole()), (sizes, problems == 0));
        assert!(store.contains(&ObjectId::hash(HashAlgo::Sha256, &block(3))).unwrap());
        store.refresh().unwrap();
        assert_eq!((store.segment_sizes(), store.problems().len()), (vec![5], 0));
    }
}

fn sized(disk: &Arc<MemoryDisk>, file_bytes_max: u64) -> Store {
    let options = Options {
        file_bytes_max,
        ..Options::default()
    };
    Store::open(disk.clone(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap()
}

fn leave_unfinished(stores: &[Store]) {
    let writers: Vec<Writer<'_>> = stores.iter().map(|store| store.writer().unwrap()).collect();
    for (i, writer) in (0..).zip(&writers) {
        let mut packer = writer.packer();
        packer.put(ObjectKind::Block, &block(i)).unwrap();
        packer.flush().unwrap();
    }
}

#[test]
fn what_killed_writers_left_in_several_files_is_found_where_it_lies() {
    let disk = disk();
    leave_unfinished(&[open(&disk), open(&disk)]);
    let stores = [open(&disk), open(&disk)];
    assert_eq!(stores[0].data_files().len(), 2);
    let writers = stores.each_ref().map(|store| store.writer().unwrap());
    for (n, writer) in (2..).zip(&writers) {
        let mut packer = writer.packer();
        packer.put(ObjectKind::Block, &block(n)).unwrap();
        packer.flush().unwrap();
    }
    let mut found = Vec::new();
    for (store, writer) in stores.iter().zip(&writers) {
        for i in 0..2 {
            let id = ObjectId::hash(HashAlgo::Sha256, &block(i));
            if let Some(at) = store.locate(&id).unwrap() {
                assert_eq!(store.get(&id).unwrap(), Some(block(i)));
                found.push((i, at.file));
            }
        }
        writer.commit().unwrap();
    }
    found.sort_unstable();
    assert_eq!(found.len(), 2);
    assert_ne!(found[0].1, found[1].1);
    let again = open(&disk);
    assert!((0..4).all(|i| again.get(&ObjectId::hash(HashAlgo::Sha256, &block(i))).unwrap() == Some(block(i))));
}

#[test]
fn a_file_of_just_the_longest_length_is_full_and_what_is_left_in_it_is_taken_over() {
    let disk = disk();
    leave_unfinished(&[open(&disk)]);
    let file = disk.open(&only_file(&disk), OpenMode::Read).unwrap();
    let bytes = file.len().unwrap();
    let id = ObjectId::hash(HashAlgo::Sha256, &block(0));
    // It has room for another byte, so it would be added to.
    assert_eq!(sized(&disk, bytes + 1).files_to_write(true).unwrap().len(), 1);
    let store = sized(&disk, bytes);
    let count = |with_room| store.files_to_write(with_room).unwrap().len();
    assert_eq!((count(true), count(false)), (0, 1));
    assert!(!store.contains(&id).unwrap());
    store.writer().unwrap().take_over().unwrap();
    assert_eq!(store.get(&id).unwrap(), Some(block(0)));
    assert_eq!(open(&disk).get(&id).unwrap(), Some(block(0)));
}

#[test]
fn entries_for_gc_are_those_that_are_committed() {
    let disk = disk();
    let store = open(&disk);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer.put(ObjectKind::Block, &block(0)).unwrap();
    packer.flush().unwrap();
    let entries = || store.index_tables().0.iter().map(IndexTable::len).sum::<usize>();
    assert_eq!((store.recent.count(), entries()), (1, 0));
    writer.commit().unwrap();
    assert_eq!(entries(), 1);
}

#[test]
fn what_is_not_committed_is_in_no_segment() {
    let disk = disk();
    let store = open(&disk);
    let writer = store.writer().unwrap();
    let put = |i| {
        let mut packer = writer.packer();
        packer.put(ObjectKind::Block, &block(i)).unwrap();
        packer.flush().unwrap();
    };
    put(0);
    writer.commit().unwrap();
    drop_index(&disk);
    store.refresh().unwrap();
    // It begins where what is committed ends.
    put(1);
    assert_eq!((store.recent.count(), store.segment_sizes()), (2, vec![]));
    store.publish_segment().unwrap();
    assert_eq!((store.recent.count(), store.segment_sizes()), (1, vec![1]));
    assert!(store.contains(&ObjectId::hash(HashAlgo::Sha256, &block(1))).unwrap());
    writer.commit().unwrap();
    assert_eq!((store.recent.count(), store.segment_sizes()), (0, vec![1, 1]));
}
