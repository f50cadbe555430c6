//! How condemned files go, and what stands in the way.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;

use super::asking::AskingDisk;
use super::standing::{id_of, publish};
use super::*;
use crate::disk::LockKind;
use crate::error::Error;
use crate::store::generation::{self, Generation};
use crate::store::lease::CollectLock;
use crate::store::sweep::Swept;

/// A store with a segment and a data file, which is condemned.
fn condemned() -> Arc<MemoryDisk> {
    let disk = disk();
    let store = open(&disk);
    add(&store, 0..5);
    publish(&disk, 1, &[id_of(&store, 0)]);
    disk
}

fn sweep(disk: &Arc<MemoryDisk>, store: &Store) -> Result<Swept> {
    store.sweep(&CollectLock::take(&**disk, Path::new("/g")).unwrap())
}

#[test]
fn what_is_in_the_way_of_a_sweep_is_told_and_what_is_gone_is_not() {
    for (op, folder) in [
        ("open", "data"),
        ("list", "index"),
        ("map", "index"),
        ("remove", "index"),
    ] {
        for (kind, is_done) in [(ErrorKind::TimedOut, false), (ErrorKind::NotFound, true)] {
            let disk = condemned();
            let fails = Arc::new(AtomicBool::new(false));
            let asked = fails.clone();
            let asking = AskingDisk::on(&disk, move |now, path, _| {
                let is_it = now == op && path.starts_with(Path::new("/g").join(folder));
                // Once: what comes after does not fail in its place.
                match is_it && asked.swap(false, Ordering::Relaxed) {
                    true => Err(io::Error::from(kind)),
                    false => Ok(()),
                }
            });
            let store = Store::open(asking, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap();
            fails.store(true, Ordering::Relaxed);
            let swept = sweep(&disk, &store);
            assert!(!fails.load(Ordering::Relaxed), "{op} is asked for");
            assert_eq!(swept.is_ok(), is_done, "{op} {folder}, {kind:?}: {swept:?}");
            if let Err(error) = swept {
                assert!(
                    matches!(&error, Error::Io { op: told, source, .. } if *told == op && source.kind() == kind),
                    "{op}: {error}"
                );
                // The next one goes on there.
                let next = open(&disk);
                assert_eq!(next.state.read().generation.condemned.len(), 1, "{op}");
                sweep(&disk, &next).unwrap();
            }
            assert!(open(&disk).state.read().generation.condemned.is_empty());
        }
    }
}

#[test]
fn a_file_that_went_while_a_store_was_open_has_no_bytes_and_gives_no_lock() {
    let disk = disk();
    let store = open(&disk);
    let ids = add(&store, 0..5);
    store.release_all();
    let bytes = store.data_files()[0].0.file.len().unwrap();
    publish(&disk, 1, &[id_of(&store, 0)]);
    let waiting = Swept {
        waiting_files: 1,
        waiting_bytes: bytes,
        ..Swept::default()
    };
    assert_eq!(
        sweep(&disk, &store).unwrap(),
        waiting,
        "this store holds a lease from before"
    );
    store.renew_lease().unwrap();
    let (files, bytes) = (1, bytes);
    let swept = Swept {
        files,
        bytes,
        ..Swept::default()
    };
    assert_eq!(sweep(&disk, &store).unwrap(), swept);
    assert_eq!(disk.list(Path::new("/g/data")).unwrap().len(), 0);
    assert_eq!(disk.list(Path::new("/g/index")).unwrap().len(), 0);
    assert_eq!(store.get(&ids[0].0).unwrap(), None);
    let gone = store.data_files().remove(0).0.file;
    assert_eq!((gone.len().unwrap(), gone.read_at(&mut [0], 0).unwrap()), (0, 0));
    assert!(!gone.try_lock(LockKind::Shared).unwrap());
    for refused in [gone.write_all_at(b"x", 0), gone.set_len(0), gone.lock(LockKind::Shared)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn only_temporary_names_are_removed_and_only_where_nobody_else_is() {
    let disk = disk();
    add(&open(&disk), 0..5);
    let (go, stay) = (
        [
            "generation.tmp-0123456789abcdef",
            "data/a.tmp-0123456789abcdef",
            "index/b.tmp",
        ],
        [
            "data/a.tmp",
            "data/a.tmp-0123456789abcde",
            "data/a.tmp-0123456789abcdef0",
            "data/a.tmp-0123456789abcdeg",
            "index/c.gi",
        ],
    );
    let all = || disk.files().into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    let store = open(&disk);
    let lock = CollectLock::take(&*disk, Path::new("/g")).unwrap();
    let before = all();
    for name in go.iter().chain(&stay) {
        disk.place(&Path::new("/g").join(name), Arc::default());
    }
    let other = open(&disk);
    assert_eq!(store.remove_leftovers(&lock).unwrap(), 0);
    drop(other);
    assert_eq!(store.remove_leftovers(&lock).unwrap(), 3);
    let mut expected: Vec<PathBuf> = stay.iter().map(|name| Path::new("/g").join(name)).collect();
    expected.extend(before);
    expected.sort();
    assert_eq!(all(), expected);
}

#[test]
fn what_waits_is_read_while_others_go() {
    let disk = disk();
    let options = Options {
        file_bytes_max: 1,
        ..Options::default()
    };
    let store = Store::open(disk.clone(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap();
    let ids = [add(&store, 0..1)[0].0, add(&store, 1..2)[0].0];
    let place = ids.map(|id| store.locate(&id).unwrap().unwrap().file as usize);
    let files = place.map(|number| id_of(&store, number));
    publish(&disk, 1, &files[..1]);
    store.renew_lease().unwrap();
    let both = Generation {
        number: 2,
        condemned: [(files[0], 1), (files[1], 2)].into(),
    };
    let path = generation::path(Path::new("/g"));
    crate::disk::replace_file(&*disk, &path, both.encode(&[7; 16]).as_bytes()).unwrap();
    store.advance().unwrap();
    let swept = sweep(&disk, &store).unwrap();
    assert_eq!((swept.files, swept.waiting_files), (1, 1));
    assert_eq!(store.get(&ids[0]).unwrap(), None);
    assert_eq!(store.get(&ids[1]).unwrap(), Some(block(1)));
}

#[test]
fn a_damaged_segment_is_not_in_the_way_of_a_sweep() {
    let disk = condemned();
    disk.place(Path::new("/g/index/0.gi"), Arc::new(b"not what it was".to_vec()));
    let store = open(&disk);
    assert_eq!(sweep(&disk, &store).unwrap().files, 1);
    assert!(open(&disk).state.read().generation.condemned.is_empty());
}

#[test]
fn who_holds_no_lease_of_what_stands_sweeps_nothing_on_the_way() {
    let disk = condemned();
    let data = || disk.list(Path::new("/g/data")).unwrap().len();
    disk.remove(Path::new("/g/locks/lease-0")).unwrap();
    let refuses = AskingDisk::on(&disk, |op, path, _| {
        match op == "lock" && path.starts_with("/g/locks/lease-1") {
            true => Err(ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        }
    });
    let store = Store::open(refuses, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap();
    assert_eq!((store.generation(), store.leased()), (1, None));
    store.sweep_if_due();
    assert_eq!(data(), 1);
    open(&disk).sweep_if_due();
    assert_eq!(data(), 0);
}
