//! Segments of an open store: which are used, what they cover, when they are merged, and what is written for whom.

use super::odd::Odd;
use super::*;
use crate::disk::simulated::{Fault, Injection, Op, SimulatedDisk};

fn index(disk: &MemoryDisk) -> Vec<PathBuf> {
    let names = disk.list(Path::new("/g/index")).unwrap();
    names.into_iter().map(|name| Path::new("/g/index").join(name)).collect()
}

fn remove_index(disk: &MemoryDisk) {
    index(disk).iter().for_each(|path| disk.remove(path).unwrap());
}

/// Adds so many blocks at a time, each time with a segment of their own.
fn add_each(store: &Store, counts: &[u32]) -> Vec<ObjectId> {
    let mut ids = Vec::new();
    for &count in counts {
        let from = ids.len() as u32;
        ids.extend(add(store, from..from + count).into_iter().map(|(id, _)| id));
    }
    ids
}

fn has_all(store: &Store, ids: &[ObjectId]) -> bool {
    ids.iter().all(|id| store.contains(id).unwrap())
}

/// A bundle with one block.
fn bundle(disk: &Arc<MemoryDisk>) -> (Store, ObjectId) {
    let path = Path::new("/g/b.gfs");
    let bundle = Store::create_bundle(disk.clone(), path, HashAlgo::Sha256, Options::default()).unwrap();
    let id = add(&bundle, 900..901)[0].0;
    (bundle, id)
}

#[test]
fn segments_that_touch_are_merged_and_no_more_than_those() {
    let disk = disk();
    let store = open(&disk);
    let ids = add_each(&store, &[1, 1, 12, 12, 12, 12, 12, 12]);
    assert_eq!(store.segment_sizes().len(), 8, "they may be as many");
    let more = add(&store, 200..212);
    assert_eq!(store.segment_sizes(), [12, 12, 12, 12, 12, 12, 12, 2]);
    assert_eq!(index(&disk).len(), 8);
    assert!(has_all(&store, &ids) && has_all(&open(&disk), &ids));
    assert!(more.iter().all(|(id, _)| open(&disk).contains(id).unwrap()));
    assert_eq!(store.verify_index().unwrap().len(), 0);
}

#[test]
fn segments_with_a_gap_between_them_are_merged_with_what_fills_it() {
    let disk = disk();
    let store = open(&disk);
    let ids = add_each(&store, &[1, 12, 12, 12, 12, 12, 12, 12]);
    assert_eq!(store.segment_sizes().len(), 8);
    // The two smallest are at the two ends of the file.
    let last = add(&store, 200..201)[0].0;
    assert_eq!(store.segment_sizes(), [86]);
    assert_eq!(index(&disk).len(), 1);
    for store in [store, open(&disk)] {
        assert!(has_all(&store, &ids) && store.contains(&last).unwrap());
        assert_eq!((store.recent.count(), store.segment_sizes()), (0, vec![86]));
    }
}

#[test]
fn segments_that_are_known_are_taken_as_they_are() {
    let disk = disk();
    let store = open(&disk);
    let ids = add_each(&store, &[40, 9, 1]);
    assert_eq!(index(&disk).len(), 3);
    for _ in 0..2 {
        store.refresh().unwrap();
        assert_eq!(store.segment_sizes(), [40, 9, 1]);
        assert!(has_all(&store, &ids));
    }
}

#[test]
fn a_segment_finds_its_data_file_when_that_comes_back() {
    let disk = disk();
    let ids = add_each(&open(&disk), &[5]);
    let path = only_file(&disk);
    let aside = Path::new("/g/aside");
    disk.rename(&path, aside).unwrap();
    let store = open(&disk);
    assert!(!has_all(&store, &ids) && !store.is_whole());
    disk.rename(aside, &path).unwrap();
    store.refresh().unwrap();
    assert!(has_all(&store, &ids) && store.is_whole());
}

#[test]
fn what_a_segment_covered_that_is_gone_is_scanned_again() {
    let disk = disk();
    let store = open(&disk);
    let ids = add_each(&store, &[40, 9]);
    let committed = store.data_files()[0].1;
    remove_index(&disk);
    store.refresh().unwrap();
    assert_eq!(store.segment_sizes(), [0; 0]);
    assert_eq!((store.recent.count(), store.data_files()[0].1), (49, committed));
    assert!(has_all(&store, &ids));
    // With all of it in one segment it is found there.
    store.publish_segment().unwrap();
    assert_eq!((store.recent.count(), store.segment_sizes()), (0, vec![49]));
}

#[test]
fn what_is_attached_is_covered_by_no_segment_and_stays_known() {
    let disk = disk();
    let (bundle, id) = bundle(&disk);
    let committed = bundle.data_files()[0].1;
    let store = open(&disk);
    store.attach(&bundle).unwrap();
    for _ in 0..2 {
        store.publish_segment().unwrap();
        store.refresh().unwrap();
        assert_eq!(store.data_files()[0].1, committed);
        assert!(store.contains(&id).unwrap());
        assert!(index(&disk).is_empty(), "{:?}", index(&disk));
    }
}

#[test]
fn nothing_new_makes_no_segment() {
    let disk = disk();
    let store = open(&disk);
    store.publish_segment().unwrap();
    assert!(index(&disk).is_empty());
    add_each(&store, &[5]);
    let before = index(&disk);
    assert_eq!(before.len(), 1);
    store.publish_segment().unwrap();
    assert_eq!((index(&disk), store.segment_sizes()), (before, vec![5]));
}

#[test]
fn an_index_that_is_not_there_is_none_and_one_that_cannot_be_listed_is_an_error() {
    let disk = disk();
    let ids = add_each(&open(&disk), &[5]);
    let odd = Odd::on(disk.clone());
    let store = odd.open_store();
    *odd.refused.list.lock() = Some("/g/index".into());
    let refused = store.refresh().unwrap_err().to_string();
    assert!(refused.contains("list") && refused.contains("/g/index"), "{refused}");
    *odd.refused.list.lock() = None;
    remove_index(&disk);
    disk.remove_dir(Path::new("/g/index")).unwrap();
    store.refresh().unwrap();
    assert!(has_all(&store, &ids) && has_all(&open(&disk), &ids));
    // It is made anew.
    assert_eq!(store.rebuild_index().unwrap(), 5);
}

#[test]
fn where_no_folder_can_be_made_for_the_index_that_is_told() {
    let disk = SimulatedDisk::on((*disk()).clone());
    let open = || {
        let disk = Arc::new(disk.clone());
        Store::open(disk, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap()
    };
    let store = open();
    add_each(&store, &[5]);
    disk.inject(Some(Injection {
        from: disk.asked(),
        count: 1,
        fault: Fault::Fails(std::io::ErrorKind::PermissionDenied),
    }));
    let refused = store.rebuild_index().unwrap_err().to_string();
    disk.inject(None);
    assert!(refused.contains("make folder"), "{refused}");
    assert_eq!(open().segment_sizes(), [5], "nothing was thrown away");
}

#[test]
fn a_file_as_long_as_the_limit_is_full() {
    let disk = disk();
    add_each(&open(&disk), &[5]);
    let length = disk.open(&only_file(&disk), OpenMode::Read).unwrap().len().unwrap();
    for (file_bytes_max, has_room) in [(length - 1, false), (length, false), (length + 1, true)] {
        let options = Options {
            file_bytes_max,
            ..Options::default()
        };
        let store = Store::open(disk.clone(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap();
        let count = |with_room| store.files_to_write(with_room).unwrap().len();
        assert_eq!(
            (count(true), count(false)),
            (usize::from(has_room), usize::from(!has_room))
        );
    }
}

#[test]
fn a_data_file_is_known_by_its_path() {
    let disk = disk();
    let (first, second) = (open(&disk), open(&disk));
    // Each holds the lock of a file of its own.
    let writers = [first.writer().unwrap(), second.writer().unwrap()];
    for (i, writer) in (0..).zip(&writers) {
        let mut packer = writer.packer();
        packer.put(ObjectKind::Block, &block(i)).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
    }
    let store = open(&disk);
    let files = store.data_files();
    assert_eq!(files.len(), 2);
    for (number, (file, _)) in (0..).zip(&files) {
        assert_eq!(store.ordinal_of(&file.path), Some(number));
    }
    assert_eq!(store.ordinal_of(Path::new("/g/data/other.gd")), None);
}

#[test]
fn what_others_have_committed_is_made_durable_with_the_name_of_its_file_and_once() {
    let memory = disk();
    add_each(&open(&memory), &[5]);
    remove_index(&memory);
    let path = only_file(&memory);
    let disk = SimulatedDisk::on((*memory).clone());
    let store = Store::open(
        Arc::new(disk.clone()),
        Path::new("/g"),
        [7; 16],
        HashAlgo::Sha256,
        Options::default(),
    )
    .unwrap();
    let ops = || disk.journal().ops().to_vec();
    let before = ops().len();
    store.make_durable().unwrap();
    let done = ops().split_off(before);
    assert_eq!(done[0], Op::SyncDir("/g/data".into()));
    assert!(matches!(done[done.len() - 1], Op::SyncData { .. }), "{done:?}");
    assert!(done[1..done.len() - 1].iter().all(|op| matches!(op, Op::Write { .. })));
    assert!(done.len() > 2, "it is written again: {path:?}");
    store.make_durable().unwrap();
    assert_eq!(ops().len(), before + done.len(), "it is durable now");
}

#[test]
fn what_is_attached_is_synced_and_never_written() {
    let memory = disk();
    for folder in ["/h", "/h/data", "/h/index"] {
        memory.create_dir(Path::new(folder)).unwrap();
    }
    let disk = SimulatedDisk::on((*memory).clone());
    let at = |folder: &str, repository| {
        let (disk, folder) = (Arc::new(disk.clone()), Path::new(folder));
        Store::open(disk, folder, repository, HashAlgo::Sha256, Options::default()).unwrap()
    };
    let (ours, other) = (at("/g", [7; 16]), at("/h", [8; 16]));
    let ids = add_each(&other, &[3]);
    ours.attach(&other).unwrap();
    assert!(has_all(&ours, &ids));
    let before = disk.journal().ops().len();
    ours.make_durable().unwrap();
    let journal = disk.journal();
    assert!(!journal.ops()[before..].iter().any(|op| matches!(op, Op::Write { .. })));
}

#[test]
fn what_another_process_added_to_a_bundle_is_made_durable_by_a_sync() {
    let disk = disk();
    let (first, _) = bundle(&disk);
    let second = Store::open_bundle(disk.clone(), Path::new("/g/b.gfs"), Options::default()).unwrap();
    let added = add(&first, 5..6)[0].0;
    drop(first);
    second.refresh().unwrap();
    assert!(second.contains(&added).unwrap());
    second.make_durable().unwrap();
    assert!(second.contains(&added).unwrap());
}

/// A segment without entries that covers these ranges of files, by the first byte of their ids.
fn covering(disk: &MemoryDisk, ranges: &[(u8, u64, u64)]) {
    let cover = |&(file, from, to): &(u8, u64, u64)| index::format::Cover {
        file: [file; 16],
        from,
        to,
    };
    let covers: Vec<_> = ranges.iter().map(cover).collect();
    let writer = index::write::SegmentWriter::create(disk, Path::new("/g/index"), &[7; 16], &covers, 0);
    writer.and_then(index::write::SegmentWriter::finish).unwrap();
}

#[test]
fn segments_are_merged_where_nothing_is_missing_between_them() {
    type Ranges = &'static [(u8, u64, u64)];
    let cases: [(&str, [Ranges; 2], usize); 6] = [
        ("one behind the other", [&[(1, 64, 500)], &[(1, 500, 600)]], 1),
        (
            "one in the other",
            [&[(1, 64, 500), (2, 64, 80)], &[(1, 100, 200), (1, 400, 600)]],
            1,
        ),
        ("of two files", [&[(1, 64, 500)], &[(2, 700, 900)]], 1),
        ("a gap", [&[(1, 64, 500)], &[(1, 501, 600)]], 4),
        (
            "a gap behind a longer file",
            [&[(1, 64, 9000), (2, 64, 100)], &[(2, 500, 600)]],
            4,
        ),
        (
            "a gap before a longer file",
            [&[(1, 64, 100), (2, 64, 9000)], &[(1, 500, 600)]],
            4,
        ),
    ];
    for (what, ranges, left) in cases {
        let disk = disk();
        ranges.iter().for_each(|ranges| covering(&disk, ranges));
        let store = open(&disk);
        let ids = add_each(&store, &[1, 1]);
        assert_eq!(index(&disk).len(), left, "{what}");
        assert_eq!(store.segment_sizes().len(), left, "{what}");
        for store in [store, open(&disk)] {
            assert!(has_all(&store, &ids), "{what}");
        }
    }
}

#[test]
fn a_segment_that_went_since_the_folder_was_listed_is_no_problem_and_one_that_cannot_be_read_is() {
    let disk = disk();
    let ids = add_each(&open(&disk), &[5]);
    let odd = Odd::on(disk.clone());
    *odd.refused.phantom.lock() = Some("/g/index/00.gi".into());
    assert_eq!(index::format::EXTENSION, "gi");
    let store = odd.open_store();
    assert_eq!(store.problems(), Vec::<String>::new());
    assert!(has_all(&store, &ids));
    *odd.refused.phantom.lock() = None;
    *odd.refused.map.lock() = Some("/g/index".into());
    let store = odd.open_store();
    let problems = store.problems();
    assert!(problems.len() == 1 && problems[0].contains("map"), "{problems:?}");
    assert!(has_all(&store, &ids), "it is scanned");
}

#[test]
fn what_is_not_committed_is_in_no_segment() {
    let disk = disk();
    add_each(&open(&disk), &[3]);
    remove_index(&disk);
    let store = open(&disk);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer.put(ObjectKind::Block, &block(9)).unwrap();
    packer.flush().unwrap();
    // It lies right behind what is committed.
    let at = store.locate(&ObjectId::hash(HashAlgo::Sha256, &block(9))).unwrap();
    assert_eq!(at.unwrap().frame, store.data_files()[0].1);
    store.publish_segment().unwrap();
    assert_eq!((store.segment_sizes(), store.recent.count()), (vec![3], 1));
    drop(packer);
    writer.commit().unwrap();
    assert_eq!((store.segment_sizes(), store.recent.count()), (vec![3, 1], 0));
}

#[test]
fn whether_a_segment_was_damaged_is_looked_at_once_and_told() {
    for is_damaged in [false, true] {
        let disk = disk();
        add_each(&open(&disk), &[30]);
        let store = open(&disk);
        let path = index(&disk).remove(0);
        drop(store);
        if is_damaged {
            let file = disk.open(&path, OpenMode::Write).unwrap();
            let at = file.len().unwrap() / 2;
            let mut byte = [0];
            file.read_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        }
        let store = open(&disk);
        assert_eq!(store.distrust_damaged_segments().unwrap(), is_damaged);
        assert!(!store.distrust_damaged_segments().unwrap(), "it is known by now");
    }
}
