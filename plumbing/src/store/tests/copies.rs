//! Several copies of one object: which is read, and what is told where none is.

use std::io::ErrorKind;

use super::asking::AskingDisk;
use super::*;
use crate::disk::simulated::Dice;
use crate::store::data::format::Row;
use crate::store::data::write::Sealed;
use crate::store::delta::tests::{edited, put};

/// An index and so many data files, each of which has a copy of one block, in the order in which they are found.
fn copies(count: u64) -> (MemoryDisk, Vec<Location>, ObjectId) {
    copies_of(count, &block(7))
}

fn copies_of(count: u64, bytes: &[u8]) -> (MemoryDisk, Vec<Location>, ObjectId) {
    let all = MemoryDisk::with_seed(1 << 40);
    for folder in ["/g", "/g/data", "/g/index"] {
        all.create_dir(Path::new(folder)).unwrap();
    }
    let mut id = None;
    for n in 1..=count {
        let disk = MemoryDisk::with_seed(n << 32);
        for folder in ["/g", "/g/data", "/g/index"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        id = Some(put(&on(Arc::new(disk.clone())), bytes, &[]));
        let path = only_file(&disk);
        let bytes = crate::disk::read_file(&disk, &path, 1 << 20).unwrap();
        assert!(all.place(&path, Arc::new(bytes)));
    }
    let id = id.unwrap();
    on(Arc::new(all.clone())).rebuild_index().unwrap();
    let store = on(Arc::new(all.clone()));
    let mut places = Vec::new();
    while let Some(at) = store.locate(&id).unwrap() {
        places.push(at);
        store.distrust(&[at]).unwrap();
    }
    assert_eq!(places.len() as u64, count);
    (all, places, id)
}

fn on(disk: Arc<dyn Disk>) -> Store {
    Store::open(disk, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap()
}

fn payload(at: Location) -> u64 {
    at.frame + (FRAME_HEADER_BYTES + ROW_BYTES) as u64
}

fn damage(disk: &MemoryDisk, at: Location) -> PathBuf {
    let path = on(Arc::new(disk.clone())).data_files()[at.file as usize].0.path.clone();
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, payload(at)).unwrap();
    file.write_all_at(&[byte[0] ^ 1], payload(at)).unwrap();
    path
}

#[test]
fn of_several_copies_the_one_that_reads_is_found() {
    let (disk, places, id) = copies(3);
    let first = damage(&disk, places[0]);
    damage(&disk, places[1]);
    assert_eq!(on(Arc::new(disk.clone())).get(&id).unwrap(), Some(block(7)));
    damage(&disk, places[2]);
    let store = on(Arc::new(disk));
    for _ in 0..2 {
        let error = store.get(&id).unwrap_err();
        assert!(
            matches!(&error, crate::error::Error::Damaged { path, .. } if *path == first),
            "the first that was tried is named: {error}"
        );
    }
}

#[test]
fn another_copy_is_given_as_long_as_there_is_one() {
    let (disk, places, id) = copies(3);
    let store = on(Arc::new(disk));
    assert_eq!(store.another_copy(&id, places[0]).unwrap(), Some(block(7)));
    assert_eq!(store.another_copy(&id, places[1]).unwrap(), Some(block(7)));
    assert_eq!(store.another_copy(&id, places[2]).unwrap(), None);
}

/// Nor does it read with a damaged base of which there is another copy, until that is found, however far down it is.
#[test]
fn what_is_made_from_an_object_with_several_copies_reads_if_one_of_these_does() {
    let noise = Dice::new(1).bytes(900);
    let (disk, places, id) = copies_of(2, &noise);
    let store = on(Arc::new(disk.clone()));
    store.allow_deltas(|| Ok(()));
    let (first, second) = (edited(&noise, 100), edited(&noise, 200));
    let between = put(&store, &first, &[id]);
    let last = put(&store, &second, &[between]);
    assert_ne!(store.bases_at(store.locate(&last).unwrap().unwrap()).unwrap(), []);
    drop(store);
    damage(&disk, places[0]);
    for made in [(between, &first), (last, &second)] {
        let store = on(Arc::new(disk.clone()));
        for _ in 0..2 {
            assert_eq!(store.get(&made.0).unwrap().as_ref(), Some(made.1));
        }
    }
    damage(&disk, places[1]);
    let store = on(Arc::new(disk));
    for _ in 0..2 {
        assert!(store.get(&last).is_err_and(|error| error.is_damage()));
    }
}

/// A cable that is loose is no damage: the copy may be as good as ever.
#[test]
fn what_the_system_does_not_read_is_told_and_no_other_copy_is_looked_for() {
    let (disk, places, id) = copies(3);
    let paths: Vec<PathBuf> = on(Arc::new(disk.clone()))
        .data_files()
        .into_iter()
        .map(|(file, _)| file.path)
        .collect();
    for refused in [0, 1] {
        let at = places[refused];
        let path = paths[at.file as usize].clone();
        let asking = AskingDisk::on(&disk, move |op, asked, offset| {
            match op == "read" && asked == path && offset >= payload(at) {
                true => Err(ErrorKind::TimedOut.into()),
                false => Ok(()),
            }
        });
        let store = on(asking);
        let error = store.get(&id).unwrap_err();
        let crate::error::Error::Io { source, path, .. } = &error else {
            panic!("{refused}: {error}")
        };
        assert_eq!((source.kind(), path), (ErrorKind::TimedOut, &paths[at.file as usize]));
        // The second is tried when the first is damaged.
        damage(&disk, places[0]);
    }
}

/// Ids that begin alike, in a frame that says so.
fn alike(count: u8) -> (Vec<ObjectId>, Sealed) {
    let mut digest = [0xab; 32];
    let ids = (0..count).map(|n| {
        digest[31] = n;
        ObjectId::from_digest(HashAlgo::Sha256, &digest).unwrap()
    });
    let ids: Vec<ObjectId> = ids.collect();
    let mut table = Vec::new();
    for &id in &ids {
        let (kind, bytes) = (ObjectKind::Block, 1);
        Row { id, kind, bytes }.encode(&mut table);
    }
    let sealed = Sealed::new(
        Codec::Raw,
        u32::from(count),
        u32::from(count),
        table,
        vec![0; ids.len()],
    );
    (ids, sealed)
}

#[test]
fn so_many_ids_with_a_prefix_are_told_as_are_wanted_at_most() {
    let disk = disk();
    let store = open(&disk);
    let (ids, frame) = alike(4);
    let writer = store.writer().unwrap();
    writer.append(&frame, &ids).unwrap();
    let prefix: IdPrefix = "abababababab".parse().unwrap();
    let told = |limit| store.find_prefix(&prefix, limit).unwrap();
    let counts = || [0, 1, 3, 4, 5].map(|limit| told(limit).len());
    assert_eq!(store.recent.count(), 4);
    assert_eq!(counts(), [0, 1, 3, 4, 4], "in memory");
    assert_eq!(told(9), ids);
    writer.commit().unwrap();
    assert_eq!(store.recent.count(), 0);
    assert_eq!(counts(), [0, 1, 3, 4, 4], "in a segment");
    assert_eq!(told(9), ids);
    let other: IdPrefix = "abababababac".parse().unwrap();
    assert_eq!(store.find_prefix(&other, 9).unwrap(), []);
}

#[test]
fn what_is_in_other_files_than_those_that_are_passed_over_is_found() {
    let (disk, places, id) = copies(3);
    let store = on(Arc::new(disk));
    let known = || store.locate(&id).unwrap();
    assert_eq!(known(), Some(places[0]));
    store.distrust_files(&[places[0].file]).unwrap();
    assert_eq!(known(), Some(places[1]));
    store.distrust_files(&[places[2].file]).unwrap();
    assert_eq!((known(), store.get(&id).unwrap()), (Some(places[1]), Some(block(7))));
    assert_eq!(
        store.files_to_write(true).unwrap().len(),
        1,
        "nothing is added to the others"
    );
    store.distrust_files(&[places[1].file]).unwrap();
    assert_eq!(known(), None);
}
