mod examples;
mod faults;
mod limits;
mod reads;
mod reports;
mod salvage;

use proptest::prelude::*;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::read_file;
use crate::object::HashAlgo;

const UUID: [u8; 16] = *b"0123456789abcdef";

fn id(n: u64) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, &n.to_le_bytes())
}

fn who(seconds: i64) -> Who {
    Who {
        author: "a person".into(),
        host: "here".into(),
        time: Timestamp::new(seconds, 5),
    }
}

fn set(name: &str, expected: Expected, new: Option<ObjectId>) -> RefChange {
    RefChange {
        name: format!("refs/snapshots/{name}"),
        expected,
        new,
    }
}

fn folder() -> PathBuf {
    PathBuf::from("/r/refs")
}

fn new_store() -> (MemoryDisk, RefStore) {
    let disk = MemoryDisk::default();
    disk.create_dir(&folder()).unwrap();
    let store = RefStore::create(Arc::new(disk.clone()), &folder(), UUID).unwrap();
    (disk, store)
}

fn reopen(disk: &MemoryDisk) -> RefStore {
    RefStore::open(Arc::new(disk.clone()), &folder(), UUID)
}

fn log_bytes(disk: &MemoryDisk) -> Vec<u8> {
    read_file(disk, &folder().join("log"), usize::MAX).unwrap()
}

fn put_log(disk: &MemoryDisk, bytes: &[u8]) {
    let file = disk.open(&folder().join("log"), OpenMode::Write).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

/// A log of three records, and the offset behind each, the header first.
fn small_log() -> (MemoryDisk, Vec<usize>) {
    let (disk, store) = new_store();
    let mut ends = vec![log_bytes(&disk).len()];
    for n in 1..4 {
        let changes = [
            set("main", Expected::Any, Some(id(n))),
            set("other", Expected::Any, Some(id(n + 10))),
        ];
        store.transaction(&changes, &who(n as i64), "why").unwrap();
        ends.push(log_bytes(&disk).len());
    }
    (disk, ends)
}

fn main_of(store: &RefStore) -> Result<Option<ObjectId>> {
    store.get("refs/snapshots/main")
}

#[test]
fn compare_and_swap() {
    let (disk, store) = new_store();
    assert_eq!(store.sequence().unwrap(), None);
    let first = store
        .transaction(&[set("main", Expected::Absent, Some(id(1)))], &who(1), "first")
        .unwrap();
    assert_eq!(first, Sequence(1));
    let moved = store
        .transaction(&[set("main", Expected::Absent, Some(id(2)))], &who(2), "")
        .unwrap_err();
    assert!(matches!(moved, Error::RefMoved { .. }), "{moved}");
    // One that fails takes the others with it.
    let both = [
        set("other", Expected::Any, Some(id(3))),
        set("main", Expected::Is(id(9)), Some(id(2))),
    ];
    assert!(store.transaction(&both, &who(2), "").is_err());
    assert_eq!(
        reopen(&disk).list("refs/").unwrap(),
        [("refs/snapshots/main".to_owned(), id(1))]
    );

    // What changes nothing is checked and leaves no record.
    let same = store
        .transaction(&[set("main", Expected::Is(id(1)), Some(id(1)))], &who(3), "")
        .unwrap();
    assert_eq!(same, first);
    store
        .transaction(&[set("main", Expected::Is(id(1)), None)], &who(4), "gone")
        .unwrap();
    assert_eq!(main_of(&reopen(&disk)).unwrap(), None);
    let history = store.history("refs/snapshots/main").unwrap();
    let seen: Vec<_> = history
        .iter()
        .map(|h| (h.sequence.0, h.old, h.new, h.message.as_str()))
        .collect();
    assert_eq!(seen, [(2, Some(id(1)), None, "gone"), (1, None, Some(id(1)), "first")]);
    assert_eq!(history[0].time, Timestamp::new(4, 5));
}

#[test]
fn a_ref_is_no_folder_of_another() {
    let (_, store) = new_store();
    store
        .transaction(&[set("a/b", Expected::Any, Some(id(1)))], &who(1), "")
        .unwrap();
    for name in ["a", "a/b/c"] {
        let error = store
            .transaction(&[set(name, Expected::Any, Some(id(1)))], &who(1), "")
            .unwrap_err();
        assert!(error.to_string().contains("refs/snapshots/a/b"), "{error}");
    }
    let swap = [set("a/b", Expected::Any, None), set("a", Expected::Any, Some(id(2)))];
    store.transaction(&swap, &who(2), "").unwrap();
    let both = [
        set("x", Expected::Any, Some(id(1))),
        set("x/y", Expected::Any, Some(id(2))),
    ];
    assert!(store.transaction(&both, &who(3), "").is_err());
}

#[test]
fn bad_requests_are_refused() {
    let (_, store) = new_store();
    let twice = [set("a", Expected::Any, Some(id(1))), set("a", Expected::Any, None)];
    assert!(store.transaction(&twice, &who(1), "").is_err());
    assert!(
        store
            .transaction(&[set("a b", Expected::Any, None)], &who(1), "")
            .is_err()
    );
    let long = "x".repeat(crate::limits::MESSAGE_BYTES_MAX + 1);
    assert!(
        store
            .transaction(&[set("a", Expected::Any, Some(id(1)))], &who(1), &long)
            .is_err()
    );
    let guard = || Err(Error::Interrupted);
    let options = TransactionOptions {
        before_append: Some(&guard),
        ..TransactionOptions::default()
    };
    let stopped = store.transaction_with(&[set("a", Expected::Any, Some(id(1)))], &who(1), "", &options);
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_eq!(store.list("").unwrap(), []);
    let store = store.read_only("some-feature".into());
    let error = store
        .transaction(&[set("a", Expected::Any, Some(id(1)))], &who(1), "")
        .unwrap_err();
    assert!(error.to_string().contains("some-feature"));
}

#[test]
fn every_flipped_bit_is_found() {
    let (disk, ends) = small_log();
    let good = log_bytes(&disk);
    assert!(reopen(&disk).verify().unwrap().problems.is_empty());
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        put_log(&disk, &bytes);
        let report = reopen(&disk).verify().unwrap();
        let named = report.problems.iter().any(|problem| match problem {
            Error::Damaged { offset, .. } => *offset as usize <= bit / 8,
            _ => false,
        });
        // Of the last record, too: it was acknowledged.
        assert!(named, "bit {bit}");
        let torn = report.torn_tail.map(|tail| tail.offset as usize);
        assert_eq!(torn, (bit / 8 >= ends[2]).then_some(ends[2]), "bit {bit}");
        match main_of(&reopen(&disk)) {
            // In the last record: the state before it.
            Ok(found) => assert!(bit / 8 >= ends[2] && found == Some(id(2)), "bit {bit}"),
            Err(Error::Damaged { .. }) => assert!(bit / 8 < ends[2], "bit {bit}"),
            Err(e) => panic!("bit {bit}: {e}"),
        }
    }
}

#[test]
fn a_cut_log_opens_to_an_old_state_and_goes_on() {
    let (disk, ends) = small_log();
    let good = log_bytes(&disk);
    for len in ends[0]..=good.len() {
        put_log(&disk, &good[..len]);
        let whole = ends.iter().filter(|end| **end <= len).count() - 1;
        let expected = (whole > 0).then(|| id(whole as u64));
        let store = reopen(&disk);
        assert_eq!(main_of(&store).unwrap(), expected, "cut at {len}");
        assert!(store.verify().unwrap().problems.is_empty());
        store
            .transaction(&[set("main", Expected::Any, Some(id(99)))], &who(9), "")
            .unwrap();
        let report = reopen(&disk).verify().unwrap();
        assert!(report.problems.is_empty() && report.torn_tail.is_none());
        assert_eq!(
            (report.records, main_of(&reopen(&disk)).unwrap()),
            (whole as u64 + 1, Some(id(99)))
        );
    }
    // Nothing is left without a header, and nothing is written over it.
    put_log(&disk, &good[..ends[0] - 1]);
    assert!(matches!(main_of(&reopen(&disk)), Err(Error::Damaged { offset: 0, .. })));
    assert!(RefStore::create(Arc::new(disk.clone()), &folder(), UUID).is_err());
}

#[test]
fn damage_in_front_of_a_record_is_never_cut() {
    let (disk, ends) = small_log();
    let mut bytes = log_bytes(&disk);
    bytes[ends[1] + 100] ^= 1;
    put_log(&disk, &bytes);
    let store = reopen(&disk);
    let error = store
        .transaction(&[set("main", Expected::Any, Some(id(99)))], &who(9), "")
        .unwrap_err();
    assert!(
        matches!(error, Error::Damaged { offset, .. } if offset as usize == ends[1]),
        "{error}"
    );
    assert_eq!(log_bytes(&disk), bytes);
    assert_eq!(store.verify().unwrap().problems.len(), 1);
}

#[test]
fn behind_several_damaged_records_the_next_whole_one_is_found() {
    let (disk, ends) = small_log();
    let mut bytes = log_bytes(&disk);
    bytes[ends[0] + 100] ^= 1;
    bytes[ends[1] + 100] ^= 1;
    put_log(&disk, &bytes);
    let error = main_of(&reopen(&disk)).unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { offset, .. } if *offset as usize == ends[0]),
        "{error}"
    );
    let next = format!("the log goes on at {}", ends[2]);
    assert!(error.to_string().contains(&next), "{error}");
}

#[test]
fn who_saw_a_record_that_was_withdrawn_sees_what_took_its_place() {
    let (disk, ends) = small_log();
    let (reader, bytes) = (reopen(&disk), log_bytes(&disk));
    assert_eq!(main_of(&reader).unwrap(), Some(id(3)));
    put_log(&disk, &bytes[..ends[2]]);
    let changes = [
        set("main", Expected::Any, Some(id(30))),
        set("other", Expected::Any, Some(id(40))),
    ];
    reopen(&disk).transaction(&changes, &who(3), "why").unwrap();
    assert_eq!(log_bytes(&disk).len(), bytes.len());
    assert_eq!(main_of(&reader).unwrap(), Some(id(30)));
}

#[test]
fn a_damaged_last_record_is_kept_aside() {
    let (disk, ends) = small_log();
    let mut bytes = log_bytes(&disk);
    bytes[ends[2] + 100] ^= 1;
    put_log(&disk, &bytes);
    assert_eq!(reopen(&disk).verify().unwrap().problems.len(), 1);
    reopen(&disk)
        .transaction(&[set("main", Expected::Any, Some(id(99)))], &who(9), "")
        .unwrap();
    let aside = folder().join(format!("cut-{:020}", ends[2]));
    assert_eq!(read_file(&disk, &aside, usize::MAX).unwrap(), bytes[ends[2]..]);
}

#[test]
fn an_append_that_was_cut_short_is_not_kept_aside() {
    let (disk, ends) = small_log();
    let whole = log_bytes(&disk);
    let record = &whole[ends[2]..];
    let mut torn = record[..record.len() - 1].to_vec();
    torn[..64].fill(0);
    for left in [&record[..20], &record[..100], &record[..record.len() - 1], &torn] {
        put_log(&disk, &[&whole[..ends[2]], left].concat());
        reopen(&disk)
            .transaction(&[set("main", Expected::Any, Some(id(99)))], &who(9), "")
            .unwrap();
        let aside = folder().join(format!("cut-{:020}", ends[2]));
        assert!(
            read_file(&disk, &aside, usize::MAX).is_err(),
            "{} bytes of a record",
            left.len()
        );
    }
}

#[test]
fn records_left_out_or_repeated_are_found() {
    let (disk, ends) = small_log();
    let good = log_bytes(&disk);
    let without = [&good[..ends[1]], &good[ends[2]..]].concat();
    let twice = [&good[..ends[2]], &good[ends[1]..]].concat();
    for bytes in [without, twice] {
        put_log(&disk, &bytes);
        assert!(matches!(main_of(&reopen(&disk)), Err(Error::Damaged { .. })));
        assert!(!reopen(&disk).verify().unwrap().problems.is_empty());
    }
    // The log of another repository.
    put_log(&disk, &good);
    let foreign = RefStore::open(Arc::new(disk.clone()), &folder(), *b"another one 0000");
    assert!(main_of(&foreign).unwrap_err().to_string().contains("repository"));
}

#[test]
fn checkpoints_are_written_used_and_passed_over() {
    let (disk, store) = new_store();
    for n in 0..3 * CHECKPOINT_EVERY_RECORDS {
        let name = format!("line{}", n % 7);
        store
            .transaction(&[set(&name, Expected::Any, Some(id(n)))], &who(n as i64), "")
            .unwrap();
    }
    let names = |disk: &MemoryDisk| {
        let mut names = disk.list(&folder()).unwrap();
        names.sort();
        names
            .into_iter()
            .filter_map(|n| n.into_string().ok())
            .filter(|n| n.starts_with("check"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&disk),
        ["checkpoint-00000000000000000512", "checkpoint-00000000000000000768"]
    );
    let all = store.list("refs/").unwrap();
    assert_eq!(reopen(&disk).list("refs/").unwrap(), all);
    let report = reopen(&disk).verify().unwrap();
    assert_eq!((report.records, report.checkpoints, report.problems.len()), (768, 2, 0));
    assert_eq!(store.history("refs/snapshots/line0").unwrap().len(), 110);

    // A checkpoint with a flipped bit gives way to the one before.
    let newest = folder().join(&names(&disk)[1]);
    let good = read_file(&disk, &newest, usize::MAX).unwrap();
    for byte in (0..good.len()).step_by(11) {
        let mut bytes = good.clone();
        bytes[byte] ^= 4;
        replace_file(&disk, &newest, &bytes).unwrap();
        assert_eq!(reopen(&disk).list("refs/").unwrap(), all);
        assert_eq!(reopen(&disk).verify().unwrap().problems.len(), 1, "byte {byte}");
    }
    replace_file(&disk, &newest, &good).unwrap();

    // A log that is shorter than a checkpoint knows has lost acknowledged records.
    let log = log_bytes(&disk);
    put_log(&disk, &log[..log.len() - 1]);
    assert!(matches!(reopen(&disk).list(""), Err(Error::Damaged { .. })));
}

#[test]
fn one_of_many_racers_wins() {
    let (disk, _) = new_store();
    for round in 0..20 {
        let expected = main_of(&reopen(&disk)).unwrap().map_or(Expected::Absent, Expected::Is);
        let won = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4)
                .map(|racer| {
                    let store = reopen(&disk);
                    let change = set("main", expected, Some(id(100 * round + racer)));
                    scope.spawn(move || store.transaction(&[change], &who(1), "").is_ok())
                })
                .collect();
            racers
                .into_iter()
                .filter_map(|racer| racer.join().ok())
                .filter(|won| *won)
                .count()
        });
        assert_eq!(won, 1);
    }
    assert_eq!(reopen(&disk).verify().unwrap().records, 20);
}

#[test]
fn two_stores_see_each_other() {
    let (disk, a) = new_store();
    let b = reopen(&disk);
    for n in 0..5 {
        a.transaction(&[set("main", Expected::Any, Some(id(2 * n)))], &who(1), "")
            .unwrap();
        assert_eq!(main_of(&b).unwrap(), Some(id(2 * n)));
        b.transaction(
            &[set("main", Expected::Is(id(2 * n)), Some(id(2 * n + 1)))],
            &who(1),
            "",
        )
        .unwrap();
        assert_eq!(main_of(&a).unwrap(), Some(id(2 * n + 1)));
    }
}

proptest! {
    #[test]
    fn a_log_gives_what_a_map_gives(steps in prop::collection::vec((0..6u8, prop::option::of(0..5u64)), 1..60)) {
        let (disk, store) = new_store();
        let mut model = std::collections::BTreeMap::new();
        for (name, value) in steps {
            let change = set(&format!("line{name}"), Expected::Any, value.map(id));
            match value {
                Some(value) => drop(model.insert(change.name.clone(), id(value))),
                None => drop(model.remove(&change.name)),
            }
            store.transaction(&[change], &who(0), "step").unwrap();
        }
        let expected: Vec<_> = model.into_iter().collect();
        prop_assert_eq!(store.list("refs/").unwrap(), expected.clone());
        prop_assert_eq!(reopen(&disk).list("refs/").unwrap(), expected);
        prop_assert!(store.verify().unwrap().problems.is_empty());
    }

    #[test]
    fn any_bytes_behind_the_log_are_a_torn_tail(tail in prop::collection::vec(any::<u8>(), 1..300)) {
        let (disk, _) = small_log();
        let mut bytes = log_bytes(&disk);
        bytes.extend_from_slice(&tail);
        put_log(&disk, &bytes);
        let store = reopen(&disk);
        prop_assert_eq!(main_of(&store).unwrap(), Some(id(3)));
        store.transaction(&[set("main", Expected::Is(id(3)), Some(id(4)))], &who(0), "").unwrap();
        prop_assert!(reopen(&disk).verify().unwrap().problems.is_empty());
    }
}

#[test]
fn what_is_done_while_no_ref_can_move_sees_the_last_record() {
    let (_, store) = new_store();
    let seen = |store: &RefStore| {
        let seen = store.locked(|sequence, refs| Ok((sequence, refs.len())));
        seen.unwrap()
    };
    assert_eq!(seen(&store), (None, 0), "there is no record yet");
    store
        .transaction(&[set("main", Expected::Absent, Some(id(1)))], &who(1), "")
        .unwrap();
    assert_eq!(seen(&store), (Some(Sequence(1)), 1));
}
