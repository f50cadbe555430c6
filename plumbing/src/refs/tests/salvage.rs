//! Making a usable log of a damaged one.

use super::*;

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
