//! How often the log is read, and what becomes of a read that fails.

use super::faults::FailingDisk;
use super::*;
use crate::disk::simulated::{Op, SimulatedDisk};

fn open(disk: &FailingDisk) -> RefStore {
    RefStore::open(Arc::new(disk.clone()), &folder(), UUID)
}

/// A log of so many records, all together shorter than what is read at once.
fn log_of(records: u64) -> (FailingDisk, RefStore) {
    let disk = FailingDisk::default();
    disk.create_dir(&folder()).unwrap();
    let store = RefStore::create(Arc::new(disk.clone()), &folder(), UUID).unwrap();
    for n in 0..records {
        append(&store, n);
    }
    (disk, store)
}

fn append(store: &RefStore, n: u64) {
    let change = set("main", Expected::Any, Some(id(n)));
    store.transaction(&[change], &who(n as i64), "why").unwrap();
}

#[test]
fn records_that_lie_together_are_read_together() {
    for records in [1, 40] {
        let (disk, _) = log_of(records);
        // The header, and all behind it.
        let (reads, values) = disk.reads_of(|| open(&disk).list("").unwrap());
        assert_eq!((reads, values.len()), (2, 1), "{records} records");
    }
}

#[test]
fn a_history_is_read_together_from_the_end() {
    let reads = [1, 40].map(|records| {
        let (disk, store) = log_of(records);
        let (reads, history) = disk.reads_of(|| store.history("refs/snapshots/main").unwrap());
        assert_eq!(history.len() as u64, records);
        reads
    });
    assert_eq!(reads[0], reads[1]);
}

#[test]
fn what_was_read_or_written_once_is_not_read_again() {
    let (disk, store) = log_of(3);
    let other = open(&disk);
    assert_eq!(main_of(&other).unwrap(), Some(id(2)));
    // The header, and from the check of the last record that is known to the end.
    for (who, store) in [("who wrote", &store), ("who read", &other)] {
        let (reads, found) = disk.reads_of(|| main_of(store).unwrap());
        assert_eq!((reads, found), (2, Some(id(2))), "{who}");
    }
    append(&store, 7);
    for (who, store) in [("who wrote", &store), ("who read", &other)] {
        let (reads, found) = disk.reads_of(|| main_of(store).unwrap());
        assert_eq!((reads, found), (2, Some(id(7))), "{who}, of one more record");
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_not_taken_for_one_that_is_not_there() {
    let (disk, _) = log_of(2);
    let before = log_bytes(&disk.disk);
    disk.fail_opens(1);
    let refused = RefStore::create(Arc::new(disk.clone()), &folder(), UUID).unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert_eq!(log_bytes(&disk.disk), before);
    disk.fail_opens(1);
    assert!(RefStore::uuid_of(&disk, &folder()).is_err());
    assert_eq!(RefStore::uuid_of(&disk, &folder()).unwrap(), Some(UUID));
}

#[test]
fn a_log_that_cannot_be_read_is_not_taken_for_a_damaged_one() {
    let (disk, store) = log_of(2);
    let before = log_bytes(&disk.disk);
    disk.fail_reads(1);
    let refused = store.salvage(&who(9)).unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert_eq!(log_bytes(&disk.disk), before);
    assert_eq!(store.salvage(&who(9)).unwrap(), None);
}

#[test]
fn a_check_of_a_log_that_cannot_be_read_fails_and_names_no_damage() {
    let (disk, store) = log_of(2);
    disk.fail_reads(1);
    let refused = store.verify().unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert_eq!(store.verify().unwrap().problems.len(), 0);
}

/// The next record is looked for in pieces of 64 KiB, and its marker of 12 bytes may lie across the end of one.
#[test]
fn the_record_behind_damage_is_found_wherever_it_begins() {
    let (disk, ends) = small_log();
    let whole = log_bytes(&disk);
    for short_of_piece in 0..=13 {
        let next = ends[1] + 1 + (64 << 10) - short_of_piece;
        let mut bytes = whole[..ends[1]].to_vec();
        bytes.resize(next, 0);
        bytes.extend_from_slice(&whole[ends[1]..]);
        put_log(&disk, &bytes);
        let error = main_of(&reopen(&disk)).unwrap_err();
        assert!(
            matches!(&error, Error::Damaged { offset, .. } if *offset as usize == ends[1]),
            "{error}"
        );
        let expected = format!("record 2 (the log goes on at {next})");
        assert!(error.to_string().contains(&expected), "{expected}: {error}");
    }
}

#[test]
fn a_first_record_is_written_behind_the_header_when_the_names_are_durable() {
    let disk = SimulatedDisk::on(MemoryDisk::default());
    disk.create_dir(&folder()).unwrap();
    let store = RefStore::create(Arc::new(disk.clone()), &folder(), UUID).unwrap();
    for expected in [&["sync /r/refs", "sync /r", "write at 80"][..], &["write at"]] {
        let before = disk.journal().ops().len();
        append(&store, before as u64);
        let journal = disk.journal();
        let done = journal.ops()[before..].iter().filter_map(|op| match op {
            Op::Write { offset, .. } => Some(format!("write at {offset}")),
            Op::SyncDir(path) => Some(format!("sync {}", path.display())),
            _ => None,
        });
        let done: Vec<String> = done.collect();
        let begins = done
            .iter()
            .zip(expected)
            .all(|(done, expected)| done.starts_with(expected));
        assert!(begins && done.len() == expected.len(), "{done:?}");
    }
}
