//! Making a usable log of a damaged one.

use super::*;
use crate::refs::format::Checkpoint;

fn other_of(store: &RefStore) -> Option<ObjectId> {
    store.get("refs/snapshots/other").unwrap()
}

#[test]
fn any_flipped_bit_leaves_the_newest_values() {
    let (disk, ends) = small_log();
    let good = log_bytes(&disk);
    assert_eq!(reopen(&disk).salvage(&who(9)).unwrap(), None);
    for bit in (0..good.len() * 8).step_by(5) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        put_log(&disk, &bytes);
        let store = reopen(&disk);
        let Some(salvaged) = store.salvage(&who(9)).unwrap() else {
            assert!(bit / 8 >= ends[2], "bit {bit}");
            continue;
        };
        assert_eq!(read_file(&disk, &salvaged.kept, usize::MAX).unwrap(), bytes);
        assert_eq!(
            (main_of(&store).unwrap(), other_of(&store)),
            (Some(id(3)), Some(id(13))),
            "bit {bit}"
        );
        let damaged = ends.iter().filter(|end| **end <= bit / 8).count() as u64;
        assert_eq!(
            salvaged.lost,
            if damaged == 0 { vec![] } else { vec![damaged] },
            "bit {bit}"
        );
        let report = store.verify().unwrap();
        assert!(report.problems.is_empty() && report.torn_tail.is_none());
        store
            .transaction(&[set("main", Expected::Is(id(3)), Some(id(7)))], &who(9), "")
            .unwrap();
    }
}

#[test]
fn a_checkpoint_fills_the_gap() {
    let (disk, store) = new_store();
    for n in 0..CHECKPOINT_EVERY_RECORDS {
        let name = format!("line{n}");
        store
            .transaction(&[set(&name, Expected::Any, Some(id(n)))], &who(n as i64), "")
            .unwrap();
    }
    let all = store.list("").unwrap();
    // The log lost its second half.
    let log = log_bytes(&disk);
    put_log(&disk, &log[..log.len() / 2]);
    assert!(reopen(&disk).list("").unwrap_err().is_damage());
    let salvaged = reopen(&disk).salvage(&who(9)).unwrap().unwrap();
    assert_eq!(
        (salvaged.refs, salvaged.records + salvaged.lost.len() as u64),
        (256, 256)
    );
    assert_eq!(reopen(&disk).list("").unwrap(), all);
    let newest = &reopen(&disk).history("refs/snapshots/line255").unwrap()[0];
    assert!(newest.message.contains("refs/damaged-"), "{}", newest.message);
    assert!(reopen(&disk).verify().unwrap().problems.is_empty());
}

#[test]
fn the_log_of_another_repository_is_left_alone() {
    let (disk, _) = small_log();
    let before = log_bytes(&disk);
    let foreign = RefStore::open(Arc::new(disk.clone()), &folder(), *b"another one 0000");
    assert!(foreign.salvage(&who(1)).is_err());
    assert_eq!(log_bytes(&disk), before);
}

#[test]
fn the_salt_of_a_damaged_header_is_that_of_the_first_record() {
    for records in [1, 8] {
        let disk = MemoryDisk::with_seed(7);
        disk.create_dir(&folder()).unwrap();
        let store = RefStore::create(Arc::new(disk.clone()), &folder(), UUID).unwrap();
        for n in 1..=records {
            let change = set("main", Expected::Any, Some(id(n)));
            store.transaction(&[change], &who(n as i64), "why").unwrap();
        }
        let mut bytes = log_bytes(&disk);
        assert_ne!(bytes[32..40], [0; 8]);
        bytes[32..40].fill(0);
        put_log(&disk, &bytes);
        let salvaged = store.salvage(&who(9)).unwrap().unwrap();
        assert_eq!((salvaged.records, salvaged.lost, salvaged.refs), (records, vec![], 1));
        assert_eq!(main_of(&reopen(&disk)).unwrap(), Some(id(records)));
    }
}

#[test]
fn checkpoints_of_another_repository_or_under_another_number_tell_nothing() {
    for (uuid, sequence, tells) in [(*b"another one 0000", 10, false), (UUID, 9, false), (UUID, 10, true)] {
        let (disk, ends) = small_log();
        let mut bytes = log_bytes(&disk);
        bytes[ends[1] + 100] ^= 1;
        put_log(&disk, &bytes);
        let checkpoint = Checkpoint {
            uuid,
            salt: [0; 8],
            sequence,
            offset: 80,
            check: [0; 32],
            refs: [("refs/snapshots/main".to_owned(), id(77))].into(),
        };
        let name = folder().join(format!("{CHECKPOINT_PREFIX}{:020}", 10));
        replace_file(&disk, &name, &checkpoint.encode()).unwrap();
        let store = reopen(&disk);
        let salvaged = store.salvage(&who(9)).unwrap().unwrap();
        let (value, gaps) = if tells {
            (id(77), vec![2, 4, 5, 6, 7, 8, 9, 10])
        } else {
            (id(3), vec![2])
        };
        assert_eq!(
            (main_of(&store).unwrap(), salvaged.lost),
            (Some(value), gaps),
            "{sequence}"
        );
    }
}
