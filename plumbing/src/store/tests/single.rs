//! Stores of one file: which records and objects they know, whoever added them.

use super::*;

fn path() -> &'static Path {
    Path::new("/g/b.gfs")
}

fn create(disk: &Arc<MemoryDisk>) -> Store {
    Store::create_bundle(disk.clone(), path(), HashAlgo::Sha256, Options::default()).unwrap()
}

fn bundle(disk: &Arc<MemoryDisk>) -> Store {
    Store::open_bundle(disk.clone(), path(), Options::default()).unwrap()
}

/// Adds blocks and a record that says so.
fn append(store: &Store, range: std::ops::Range<u32>, record: &[u8]) {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    for i in range {
        packer.put(ObjectKind::Block, &block(i)).unwrap();
    }
    packer.flush().unwrap();
    drop(packer);
    writer.append_record(FrameKind::Roots, record).unwrap();
    writer.commit().unwrap();
}

fn records(store: &Store) -> Vec<Vec<u8>> {
    let records = store.records(FrameKind::Roots);
    for kind in [FrameKind::Objects, FrameKind::Commit, FrameKind::Descriptors] {
        assert_eq!(store.records(kind), [], "{kind:?}");
    }
    records
        .iter()
        .map(|record| store.read_record(record).unwrap())
        .collect()
}

fn known(store: &Store, range: std::ops::Range<u32>) -> usize {
    range
        .filter(|&i| store.contains(&ObjectId::hash(HashAlgo::Sha256, &block(i))).unwrap())
        .count()
}

#[test]
fn records_are_known_once_however_often_a_bundle_is_read() {
    let disk = disk();
    let store = create(&disk);
    assert_eq!(records(&store), Vec::<Vec<u8>>::new());
    append(&store, 0..3, b"first");
    store.refresh().unwrap();
    assert_eq!(records(&store), [b"first"], "what it added itself");
    append(&bundle(&disk), 3..6, b"other");
    for _ in 0..2 {
        store.refresh().unwrap();
        assert_eq!(records(&store), [b"first", b"other"]);
    }
    let at = store
        .locate(&ObjectId::hash(HashAlgo::Sha256, &block(4)))
        .unwrap()
        .unwrap();
    store.distrust(&[at]).unwrap();
    assert_eq!(
        (records(&store).len(), known(&store, 0..6)),
        (2, 5),
        "all is noted anew"
    );
    let again = bundle(&disk);
    assert_eq!((records(&again), known(&again, 0..6)), (records(&store), 6));
}

#[test]
fn what_another_process_added_before_this_one_is_known_to_both() {
    let disk = disk();
    let store = create(&disk);
    append(&store, 0..3, b"first");
    append(&bundle(&disk), 3..6, b"other");
    // It was not looked at since.
    append(&store, 6..9, b"third");
    store.refresh().unwrap();
    assert_eq!((known(&store, 0..9), store.recent.count()), (9, 9));
    assert_eq!(records(&store), [b"first", b"other", b"third"]);
    assert_eq!(known(&bundle(&disk), 0..9), 9);
}

#[test]
fn only_a_spool_has_the_file_of_one() {
    let disk = disk();
    let spool = Store::spool(disk.clone(), path(), HashAlgo::Sha256, Options::default()).unwrap();
    add(&spool, 0..3);
    let file = spool.spool_file().unwrap();
    assert_eq!(file.file.len().unwrap(), spool.data_files()[0].1);
    assert_eq!(file.header, spool.data_files()[0].0.header);
    let bundle = create(&disk);
    add(&bundle, 0..3);
    add(&open(&disk), 0..3);
    assert!(bundle.spool_file().is_none() && open(&disk).spool_file().is_none());
    assert!(spool.is_single() && bundle.is_single() && !open(&disk).is_single());
}

#[test]
fn what_is_attached_is_neither_covered_nor_renewed_by_whom_it_is_attached_to() {
    let disk = disk();
    let bundle = create(&disk);
    append(&bundle, 0..3, b"record");
    let store = open(&disk);
    store.attach(&bundle).unwrap();
    let committed = store.data_files()[0].1;
    assert_eq!((known(&store, 0..3), committed), (3, bundle.data_files()[0].1));
    store.publish_segment().unwrap();
    assert!(disk.list(Path::new("/g/index")).unwrap().is_empty());
    store.refresh().unwrap();
    assert_eq!((known(&store, 0..3), store.data_files()[0].1), (3, committed));
    store.make_durable().unwrap();
    let refused = store.writer().map(drop).unwrap_err().to_string();
    assert!(refused.contains("it can only be read"), "{refused}");
    // The other way round.
    let files = open(&disk);
    add(&files, 3..6);
    bundle.attach(&files).unwrap();
    assert_eq!(known(&bundle, 0..6), 6);
    bundle.make_durable().unwrap();
    let again = self::bundle(&disk);
    again.make_durable().unwrap();
    assert_eq!(known(&again, 0..3), 3);
}
