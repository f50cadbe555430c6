//! Where a store stands among the generations: what it passes over, what it takes for damage, which files it keeps.

use super::*;
use crate::store::generation::{self, Generation};

/// Publishes a generation that condemned these data files.
pub(super) fn publish(disk: &MemoryDisk, number: u64, condemned: &[[u8; 16]]) {
    let generation = Generation {
        number,
        condemned: condemned.iter().map(|file| (*file, number)).collect(),
    };
    let path = generation::path(Path::new("/g"));
    crate::disk::replace_file(disk, &path, generation.encode(&[7; 16]).as_bytes()).unwrap();
}

/// The id of a data file of a store, by number.
pub(super) fn id_of(store: &Store, number: usize) -> [u8; 16] {
    store.data_files()[number].0.header.file
}

fn index(disk: &MemoryDisk) -> Vec<std::ffi::OsString> {
    disk.list(Path::new("/g/index")).unwrap()
}

fn drop_index(disk: &MemoryDisk) {
    for name in index(disk) {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
}

fn with_generations(disk: &Arc<MemoryDisk>) -> Store {
    let options = Options {
        has_generations: true,
        ..Options::default()
    };
    Store::open(disk.clone(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap()
}

#[test]
fn a_generation_that_is_gone_though_there_was_one_is_damage() {
    let disk = disk();
    let ids = add(&open(&disk), 0..5);
    assert_eq!(open(&disk).problems(), Vec::<String>::new(), "there was none");
    let store = with_generations(&disk);
    let problems = store.problems();
    assert!(
        problems.len() == 1 && problems[0].contains("/g/generation") && problems[0].contains("found no file"),
        "{problems:?}"
    );
    assert_eq!((store.leased(), store.get(&ids[3].0).unwrap()), (None, Some(block(3))));
    assert!(store.writer().map(drop).unwrap_err().is_damage());
    store.refresh().unwrap();
    assert_eq!(store.problems(), problems, "it is told as long as it is so");
    publish(&disk, 1, &[]);
    let store = with_generations(&disk);
    assert_eq!((store.problems(), store.leased()), (Vec::new(), Some(1)));
}

#[test]
fn a_generation_does_not_go_back() {
    let disk = disk();
    publish(&disk, 2, &[]);
    let store = open(&disk);
    assert_eq!(store.advance().unwrap(), 2);
    let told = || {
        let error = store.advance().unwrap_err();
        assert!(error.is_damage(), "{error}");
        error.to_string()
    };
    publish(&disk, 1, &[]);
    assert!(
        told().contains("expected generation 2 or a later one, found generation 1"),
        "{}",
        told()
    );
    disk.remove(Path::new("/g/generation")).unwrap();
    assert!(
        told().contains("expected generation 2 or a later one, found no file"),
        "{}",
        told()
    );
    publish(&disk, 3, &[]);
    assert_eq!((store.advance().unwrap(), store.generation()), (3, 3));
}

/// Who began before needs them, and they go with the files.
#[test]
fn segments_that_name_condemned_files_are_not_merged() {
    let disk = disk();
    for round in 0..3 {
        add(&open(&disk), round * 10..round * 10 + 10);
    }
    let before = index(&disk);
    assert_eq!(before.len(), 3);
    let store = open(&disk);
    publish(&disk, 1, &[id_of(&store, 0)]);
    assert_eq!(store.advance().unwrap(), 1);
    let stay = || before.iter().filter(|name| index(&disk).contains(name)).count();
    for round in 3..6 {
        add(&store, round * 10..round * 10 + 10);
        assert_eq!(stay(), 3);
    }
    assert_eq!(index(&disk).len(), 6);
    add(&store, 60..70);
    assert_eq!((stay(), index(&disk).len()), (3, 4), "the others are merged");
    let old = ObjectId::hash(HashAlgo::Sha256, &block(5));
    assert!(!store.contains(&old).unwrap() && store.locate_condemned(&old).unwrap().is_some());
    assert_eq!(store.get(&old).unwrap(), Some(block(5)), "it began before");
}

#[test]
fn what_is_made_from_something_that_is_passed_over_does_not_stand() {
    let options = Options {
        file_bytes_max: 1,
        ..Options::default()
    };
    let store = Store::open(disk(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap();
    store.allow_deltas(|| Ok(()));
    let old = crate::disk::simulated::Dice::new(1).bytes(3000);
    let new = [&old[..], b"an edit"].concat();
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let mut put = |bytes: &[u8], bases: &[ObjectId]| {
        let id = ObjectId::hash(HashAlgo::Sha256, bytes);
        packer
            .put_against(Class::Small, ObjectKind::Block, id, bytes, bases)
            .unwrap();
        packer.flush().unwrap();
        store.locate(&id).unwrap().unwrap()
    };
    let base = put(&old, &[]);
    let made = put(&new, &[ObjectId::hash(HashAlgo::Sha256, &old)]);
    assert!(store.bases_at(made).unwrap().len() == 1 && base.file != made.file);
    assert!(store.stands(made).unwrap());
    store.pass_over(&[base.file]);
    assert!(!store.stands(made).unwrap());
    store.pass_over_no_more(&[base.file]);
    assert!(store.stands(made).unwrap());
}

#[test]
fn a_file_that_was_added_to_is_kept_from_gc_until_refs_name_what_was_added() {
    let disk = disk();
    let store = open(&disk);
    add(&store, 0..5);
    let other = open(&disk);
    let committed = other.data_files()[0].1;
    let is_locked = || other.lock_data_file(0, committed).unwrap().is_some();
    assert!(!is_locked());
    store.release_all();
    assert!(is_locked());
    add(&open(&disk), 5..6);
    assert!(!is_locked(), "there is more in it than is known");
}

#[test]
fn what_others_add_to_a_file_that_is_passed_over_is_passed_over() {
    let disk = disk();
    let store = open(&disk);
    add(&open(&disk), 0..5);
    store.refresh().unwrap();
    drop_index(&disk);
    store.refresh().unwrap();
    let committed = store.data_files()[0].1;
    store.pass_over(&[0]);
    assert_eq!(store.data_files()[0].1, committed);
    let ids = add(&open(&disk), 5..9);
    only_file(&disk);
    // No segment says where it is.
    drop_index(&disk);
    store.refresh().unwrap();
    assert!(ids.iter().all(|(id, _)| !store.contains(id).unwrap()));
    store.pass_over_no_more(&[0]);
    assert!(ids.iter().all(|(id, _)| store.contains(id).unwrap()));
}

#[test]
fn a_file_that_was_condemned_when_it_is_locked_is_not_added_to() {
    let disk = disk();
    add(&open(&disk), 0..5);
    let store = open(&disk);
    let (path, file) = (only_file(&disk), id_of(&store, 0));
    let bytes = disk.open(&path, OpenMode::Read).unwrap().len().unwrap();
    publish(&disk, 1, &[file]);
    let ids = add(&store, 5..7);
    assert_eq!(disk.open(&path, OpenMode::Read).unwrap().len().unwrap(), bytes);
    assert_eq!(disk.list(Path::new("/g/data")).unwrap().len(), 2);
    let later = open(&disk);
    assert!(later.data_files().len() == 1 && ids.iter().all(|(id, _)| later.contains(id).unwrap()));
}

#[test]
fn a_generation_that_cannot_be_read_is_not_taken_for_none() {
    use std::io::ErrorKind::{NotFound, TimedOut};
    let disk = disk();
    add(&open(&disk), 0..5);
    for (kind, is_none) in [(NotFound, true), (TimedOut, false)] {
        let asking = super::asking::AskingDisk::on(&disk, move |op, path, _| {
            match op == "open" && path == Path::new("/g/generation") {
                true => Err(kind.into()),
                false => Ok(()),
            }
        });
        let opened = Store::open(asking, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default());
        match opened {
            Ok(store) => assert!(is_none && store.leased() == Some(0)),
            Err(error) => assert!(
                !is_none && error.to_string().contains("cannot open /g/generation"),
                "{error}"
            ),
        }
    }
}
