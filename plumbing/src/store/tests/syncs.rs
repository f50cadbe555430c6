//! What is durable when a commit is acknowledged, where a sync of another writer failed.

use super::*;
use crate::disk::simulated::{Crash, Fate, Fault, Injection, Op, SimulatedDisk, Tail};

/// A store that puts one block into a data file of its own, and is not done yet.
struct Writing<'s> {
    writer: Writer<'s>,
    store: &'s Store,
}

impl<'s> Writing<'s> {
    fn begin(store: &'s Store, i: u32) -> Self {
        let writer = store.writer().unwrap();
        let begun = Self { writer, store };
        assert_eq!(begun.put(i), Added::New);
        begun
    }

    fn put(&self, i: u32) -> Added {
        let mut packer = self.writer.packer();
        let (_, added) = packer.put(ObjectKind::Block, &block(i)).unwrap();
        packer.flush().unwrap();
        added
    }

    /// What others have stored meanwhile is leant on.
    fn lean_on(&self, i: u32) -> Added {
        self.store.refresh().unwrap();
        self.put(i)
    }
}

fn on(disk: &SimulatedDisk) -> Store {
    let disk = Arc::new(disk.clone());
    Store::open(disk, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap()
}

/// Two writers, the first with a data file that is new. `count` operations of its commit fail, from the `from`th on; the
/// second finds there what it has, too. Gives the disk when the second has its acknowledgement, and whether the commit record
/// was written by then; nothing where no operation failed.
fn lean_on_what_failed(from: usize, count: usize) -> Option<(SimulatedDisk, bool)> {
    let disk = SimulatedDisk::on((*disk()).clone());
    Writing::begin(&on(&disk), 3).writer.commit().unwrap();
    let (first, second) = (on(&disk), on(&disk));
    let leans = Writing::begin(&second, 2);
    let fails = Writing::begin(&first, 1);
    let done = disk.journal().ops().len();
    disk.inject(Some(Injection {
        from: disk.asked() + from,
        count,
        fault: Fault::Fails(std::io::ErrorKind::Other),
    }));
    let result = fails.writer.commit();
    disk.inject(None);
    result.err()?;
    let journal = disk.journal();
    let has_commit = journal.ops()[done..].iter().any(|op| !matches!(op, Op::Write { .. }));
    // Without a commit record nothing is taken over.
    let expected = if has_commit { Added::Existing } else { Added::New };
    assert_eq!(leans.lean_on(1), expected, "{count} from {from}");
    leans.writer.commit().unwrap();
    Some((disk, has_commit))
}

/// Whether what is acknowledged is there after a power cut now.
fn check_durable(disk: &SimulatedDisk, blocks: &[u32], what: &dyn std::fmt::Debug) {
    let journal = disk.journal();
    for seed in 0..16 {
        let crash = Crash {
            after: journal.ops().len(),
            fate: Fate::PowerCut,
            sector: 512,
            tail: Tail::Zeros,
            seed,
        };
        let store = open(&Arc::new(journal.image(&crash)));
        for &i in blocks {
            let found = store.get(&ObjectId::hash(HashAlgo::Sha256, &block(i)));
            let found = found.unwrap_or_else(|error| panic!("{what:?}, {crash:?}: {error}"));
            assert_eq!(found, Some(block(i)), "block {i}, {what:?}, {crash:?}");
        }
    }
}

#[test]
fn what_another_could_not_sync_is_durable_before_it_is_leant_on() {
    for count in [1, usize::MAX] {
        let mut leant = 0;
        for from in 0.. {
            let Some((disk, has_commit)) = lean_on_what_failed(from, count) else {
                break;
            };
            leant += usize::from(has_commit);
            check_durable(&disk, &[1, 2, 3], &(count, from));
        }
        assert!(leant > 0, "nothing was leant on");
    }
}

#[test]
fn what_is_gone_when_it_is_leant_on_is_not_acknowledged() {
    let disk = SimulatedDisk::on((*disk()).clone());
    let (first, second) = (on(&disk), on(&disk));
    let (goes, leans) = (Writing::begin(&first, 1), Writing::begin(&second, 2));
    let file = first.data_files().remove(0).0;
    let begun = file.file.len().unwrap();
    goes.writer.commit().unwrap();
    // The second sees the commit record, and no segment that covers it.
    for name in disk.list(Path::new("/g/index")).unwrap() {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
    assert_eq!(leans.lean_on(1), Added::Existing);
    let opened = disk.open(&file.path, OpenMode::Write).unwrap();
    opened.set_len(begun).unwrap();
    let error = leans.writer.commit().unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert!(leans.writer.commit().is_err(), "asked again it is no less lost");
    assert!(error.to_string().contains("run this again"), "{error}");
    // And so it goes on.
    let third = on(&disk);
    let again = Writing::begin(&third, 1);
    again.writer.commit().unwrap();
    assert_eq!(
        on(&disk).get(&ObjectId::hash(HashAlgo::Sha256, &block(1))).unwrap(),
        Some(block(1))
    );
}

#[test]
fn the_name_of_a_file_that_is_taken_over_is_durable() {
    let disk = SimulatedDisk::on((*disk()).clone());
    drop(Writing::begin(&on(&disk), 1));
    let second = on(&disk);
    let takes_over = Writing::begin(&second, 2);
    takes_over.writer.commit().unwrap();
    assert_eq!(disk.list(Path::new("/g/data")).unwrap().len(), 1);
    check_durable(&disk, &[1, 2], &"taken over");
}

/// A process may go on with another writer where one was given up: what that one did not commit is not there.
#[test]
fn what_a_writer_did_not_commit_is_stored_anew_by_the_next_one_of_the_same_store() {
    // What it put, and what it adopted of a process that was killed.
    for i in [1, 3] {
        let disk = SimulatedDisk::on((*disk()).clone());
        drop(Writing::begin(&on(&disk), 3));
        let store = on(&disk);
        drop(Writing::begin(&store, 1));
        let next = Writing {
            writer: store.writer().unwrap(),
            store: &store,
        };
        next.put(i);
        next.writer.commit().unwrap();
        drop(next);
        drop(store);
        check_durable(&disk, &[i], &"given up");
    }
}

#[test]
fn a_writer_that_is_given_up_before_it_wrote_takes_nothing_with_it() {
    let disk = disk();
    let ids = add(&open(&disk), 0..5);
    // No segment covers them: what is known of them is in memory.
    for name in disk.list(Path::new("/g/index")).unwrap() {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
    let store = open(&disk);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer.put(ObjectKind::Block, &block(9)).unwrap();
    drop(packer);
    drop(writer);
    assert!(ids.iter().all(|(id, _)| store.contains(id).unwrap()));
    let (_, again) = store
        .writer()
        .unwrap()
        .packer()
        .put(ObjectKind::Block, &block(9))
        .unwrap();
    assert_eq!(again, Added::New);
}

/// The error is told once, and what comes after it must not look as if all were well.
#[test]
fn a_writer_that_failed_stays_failed() {
    let mut failures = 0;
    for from in 0..14 {
        let disk = SimulatedDisk::on((*disk()).clone());
        let store = on(&disk);
        let writer = store.writer().unwrap();
        let mut packer = writer.packer();
        packer.put(ObjectKind::Block, &block(1)).unwrap();
        disk.inject(Some(Injection {
            from: disk.asked() + from,
            count: 1,
            fault: Fault::Fails(std::io::ErrorKind::Other),
        }));
        let flushed = packer.flush();
        let committed = writer.commit();
        disk.inject(None);
        failures += usize::from(flushed.is_err() || committed.is_err());
        if flushed.is_err() || committed.is_err() {
            let again = packer.put(ObjectKind::Block, &block(1)).and_then(|_| packer.flush());
            let again = again.and_then(|()| writer.commit());
            if again.is_ok() {
                check_durable(&disk, &[1], &("again", from));
            }
        }
        drop(packer);
        drop(writer);
        let next = Writing {
            writer: store.writer().unwrap(),
            store: &store,
        };
        next.put(1);
        next.writer.commit().unwrap();
        drop(next);
        drop(store);
        check_durable(&disk, &[1], &from);
    }
    assert!(failures > 6, "{failures}");
}

/// Who may not, or cannot, make the file of a lease reads all the same; what else fails is told.
#[test]
fn where_no_lease_can_be_had_all_is_read() {
    let full = disk();
    let ids = add(&open(&full), 0..3);
    let folder = Path::new("/g/locks");
    for name in full.list(folder).unwrap() {
        full.remove(&folder.join(name)).unwrap();
    }
    use std::io::ErrorKind::{Other, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    for (kind, is_read) in [
        (StorageFull, true),
        (PermissionDenied, true),
        (ReadOnlyFilesystem, true),
        (Other, false),
    ] {
        let refuses = SimulatedDisk::on((*full).clone());
        refuses.inject(Some(Injection {
            from: 0,
            count: usize::MAX,
            fault: Fault::Fails(kind),
        }));
        let opened = Store::open(
            Arc::new(refuses),
            Path::new("/g"),
            [7; 16],
            HashAlgo::Sha256,
            Options::default(),
        );
        assert_eq!(opened.is_ok(), is_read, "{kind:?}");
        let Ok(store) = opened else { continue };
        assert_eq!(
            (store.get(&ids[1].0).unwrap(), store.leased()),
            (Some(block(1)), None),
            "{kind:?}"
        );
        assert!(store.writer().is_err(), "{kind:?}");
    }
}
