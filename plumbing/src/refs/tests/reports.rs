//! What is told of damage, and of refs that are not where they were expected.

use super::*;
use crate::limits::REF_RECORD_BYTES_MAX;
use crate::refs::format::{Checkpoint, HEADER_BYTES, TRAILER_BYTES};

#[test]
fn a_ref_that_moved_is_told_with_both_values() {
    let (_, store) = new_store();
    let change = |expected| store.transaction(&[set("main", expected, Some(id(5)))], &who(1), "");
    let values = |error: Error| match error {
        Error::RefMoved { name, expected, found } => (name, expected, found),
        other => panic!("{other}"),
    };
    let name = || "refs/snapshots/main".to_owned();
    let moved = values(change(Expected::Is(id(1))).unwrap_err());
    assert_eq!(moved, (name(), id(1).to_string(), "nothing".to_owned()));
    change(Expected::Absent).unwrap();
    let moved = values(change(Expected::Absent).unwrap_err());
    assert_eq!(moved, (name(), "nothing".to_owned(), id(5).to_string()));
}

/// A log with these bytes behind its last record: what a check of all of it says of them, and what who reads it says.
fn tails_of(bytes: &[u8]) -> (RefReport, Option<Tail>, u64) {
    let (disk, _) = small_log();
    let whole = log_bytes(&disk);
    put_log(&disk, &[&whole, bytes].concat());
    let store = reopen(&disk);
    let read = State::load(&disk, &store.place).unwrap().tail;
    (store.verify().unwrap(), read, whole.len() as u64)
}

#[test]
fn a_torn_tail_is_told_with_its_place_and_its_length() {
    for bytes in [1, 70, 300] {
        let (report, read, offset) = tails_of(&vec![0xaa; bytes]);
        let tail = report.torn_tail.unwrap();
        assert_eq!((tail.offset, tail.bytes), (offset, bytes as u64));
        assert_eq!(read, Some(tail));
    }
}

#[test]
fn a_tail_looks_complete_where_it_ends_with_its_length_and_may_be_a_record() {
    for (bytes, length, expected) in [
        (99, 99, false),
        (100, 100, true),
        (100, 99, false),
        (101, 101, true),
        (300, 300, true),
    ] {
        let mut tail = vec![0; bytes];
        let at = bytes - TRAILER_BYTES;
        tail[at..at + 4].copy_from_slice(&u32::to_le_bytes(length));
        let (report, read, _) = tails_of(&tail);
        let looks_complete = report.torn_tail.unwrap().looks_complete;
        assert_eq!(looks_complete, expected, "{bytes} bytes that end with {length}");
        assert_eq!(read.unwrap().looks_complete, expected);
        assert_eq!(report.problems.len(), usize::from(expected));
    }
}

#[test]
fn on_the_way_back_a_wrong_length_is_told_from_a_wrong_record() {
    let (disk, store) = new_store();
    let log = disk.open(&folder().join("log"), OpenMode::Write).unwrap();
    // Zeros, and behind them the length of all of them as that of one record.
    let refused = |bytes: usize| {
        let end = (HEADER_BYTES + bytes) as u64;
        let trailer_at = end - TRAILER_BYTES as u64;
        log.set_len(end).unwrap();
        log.write_all_at(&(bytes as u32).to_le_bytes(), trailer_at).unwrap();
        let mut reader = LogReader::open(&disk, &store.place).unwrap();
        match reader.step_back(end).unwrap_err() {
            Error::Damaged { offset, expected, .. } => (offset, expected, trailer_at),
            other => panic!("{other}"),
        }
    };
    for bytes in [100, 5000, REF_RECORD_BYTES_MAX] {
        let (offset, expected, _) = refused(bytes);
        assert_eq!((offset, expected.as_str()), (HEADER_BYTES as u64, "a valid record"));
    }
    let (offset, expected, trailer_at) = refused(REF_RECORD_BYTES_MAX + 1);
    assert_eq!(
        (offset, expected.as_str()),
        (trailer_at, "the length of the record before")
    );
}

#[test]
fn on_the_way_back_a_record_begins_behind_the_header() {
    let (disk, store) = new_store();
    let log = disk.open(&folder().join("log"), OpenMode::Write).unwrap();
    let (end, trailer_at) = (400, 364);
    log.set_len(end).unwrap();
    for (length, at, expected) in [
        (0, 400, "a record that ends at 400"),
        (320, 80, "a valid record"),
        (321, trailer_at, "the length of the record before"),
        (400, trailer_at, "the length of the record before"),
    ] {
        log.write_all_at(&u32::to_le_bytes(length), trailer_at).unwrap();
        let mut reader = LogReader::open(&disk, &store.place).unwrap();
        let refused = reader.step_back(end).unwrap_err().to_string();
        let told = format!("offset {at}: expected {expected}");
        assert!(refused.contains(&told), "{length}: {refused}");
    }
}

/// The log is read from a checkpoint on; a history goes behind it.
#[test]
fn a_record_that_the_one_behind_it_does_not_follow_ends_a_history() {
    let (disk, ends) = small_log();
    let mut log = log_bytes(&disk);
    let header = Header::decode(Path::new("log"), &log[..HEADER_BYTES]).unwrap();
    let checkpoint = Checkpoint {
        uuid: UUID,
        salt: header.salt,
        sequence: 3,
        offset: ends[2] as u64,
        check: log[log.len() - 32..].try_into().unwrap(),
        refs: reopen(&disk).list("").unwrap().into_iter().collect(),
    };
    let name = folder().join(format!("{CHECKPOINT_PREFIX}{:020}", 3));
    replace_file(&disk, &name, &checkpoint.encode()).unwrap();
    let (mut second, _) = Record::decode(&log[ends[1]..ends[2]]).unwrap();
    second.message = "lie".into();
    log[ends[1]..ends[2]].copy_from_slice(&second.encode(&header).unwrap());
    put_log(&disk, &log);

    let store = reopen(&disk);
    assert_eq!(main_of(&store).unwrap(), Some(id(3)));
    let mut seen = Vec::new();
    let walked = store.walk_history("refs/snapshots/main", &mut |entry| {
        seen.push(entry.sequence.0);
        ControlFlow::Continue(())
    });
    let told = format!(
        "offset {}: expected the record that the one behind it follows, found record 2",
        ends[1]
    );
    let refused = walked.unwrap_err().to_string();
    assert!(refused.contains(&told), "{refused}");
    assert_eq!(seen, [3]);
}

#[test]
fn only_twenty_digits_are_the_number_of_a_checkpoint() {
    let (disk, store) = new_store();
    let names = [
        "3",
        "+0000000000000000003",
        "0000000000000000000x",
        "000000000000000000003",
    ];
    for digits in names.iter().chain(&["00000000000000000004"]) {
        replace_file(&disk, &folder().join(format!("{CHECKPOINT_PREFIX}{digits}")), b"").unwrap();
    }
    let found = list_checkpoints(&disk, &store.place).unwrap();
    assert_eq!(
        found,
        [(4, folder().join(format!("{CHECKPOINT_PREFIX}00000000000000000004")))]
    );
}

#[test]
fn on_the_way_back_a_record_that_ends_elsewhere_is_told_from_the_one_that_was_asked_for() {
    let (disk, ends) = small_log();
    let mut bytes = log_bytes(&disk);
    // The last record says at its end that it is as long as the last two.
    let length = (ends[3] - ends[1]) as u32;
    let at = ends[3] - TRAILER_BYTES;
    bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    put_log(&disk, &bytes);
    let store = reopen(&disk);
    let end = ends[3] as u64;
    let refused = LogReader::open(&disk, &store.place).unwrap().step_back(end);
    let expected = Error::damaged(
        store.log_path(),
        ends[1] as u64,
        format_args!("a record that ends at {end}"),
        "another",
    );
    assert_eq!(refused.unwrap_err().to_string(), expected.to_string());
}

#[test]
fn a_checkpoint_that_differs_from_the_log_is_told_with_the_ref_that_differs() {
    let (disk, ends) = small_log();
    let log = log_bytes(&disk);
    let header = Header::decode(Path::new("log"), &log[..HEADER_BYTES]).unwrap();
    let name = folder().join(format!("{CHECKPOINT_PREFIX}{:020}", 3));
    let main = ("refs/snapshots/main".to_owned(), id(3));
    let other = |n: u64| ("refs/snapshots/other".to_owned(), id(n));
    let third = || ("refs/snapshots/third".to_owned(), id(1));
    for (refs, differs) in [
        (vec![main.clone(), other(13)], None),
        (vec![main.clone(), other(14)], Some("refs/snapshots/other")),
        (vec![main.clone()], Some("refs/snapshots/other")),
        (vec![main.clone(), other(13), third()], Some("refs/snapshots/third")),
    ] {
        let checkpoint = Checkpoint {
            uuid: UUID,
            salt: header.salt,
            sequence: 3,
            offset: ends[2] as u64,
            check: log[log.len() - 32..].try_into().unwrap(),
            refs: refs.into_iter().collect(),
        };
        replace_file(&disk, &name, &checkpoint.encode()).unwrap();
        let report = reopen(&disk).verify().unwrap();
        let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        match differs {
            None => assert_eq!((problems, report.checkpoints), (vec![], 1)),
            Some(differs) => {
                assert_eq!((problems.len(), report.checkpoints), (1, 0));
                let told = format!("another value of {differs}");
                assert!(
                    problems[0].contains(&told) && problems[0].contains(CHECKPOINT_PREFIX),
                    "{problems:?}"
                );
            }
        }
    }
}

#[test]
fn a_checkpoint_whose_record_is_another_is_no_reason_to_pass_over_the_log() {
    let (disk, ends) = small_log();
    let log = log_bytes(&disk);
    let header = Header::decode(Path::new("log"), &log[..HEADER_BYTES]).unwrap();
    let check_of = |end: usize| log[end - 32..end].try_into().unwrap();
    // The record at that offset is the third, with its check; or another record with the check that is named.
    for (sequence, offset, check, is_right) in [
        (3, ends[2], check_of(ends[3]), true),
        (3, ends[2], [9; 32], false),
        (4, ends[2], check_of(ends[3]), false),
        (3, ends[1], check_of(ends[2]), false),
        (3, ends[3], check_of(ends[3]), false),
    ] {
        let checkpoint = Checkpoint {
            uuid: UUID,
            salt: header.salt,
            sequence,
            offset: offset as u64,
            check,
            refs: reopen(&disk).list("").unwrap().into_iter().collect(),
        };
        let name = folder().join(format!("{CHECKPOINT_PREFIX}{sequence:020}"));
        replace_file(&disk, &name, &checkpoint.encode()).unwrap();
        let (values, report) = (reopen(&disk).list(""), reopen(&disk).verify().unwrap());
        disk.remove(&name).unwrap();
        if is_right {
            assert_eq!((values.unwrap().len(), report.problems.len()), (2, 0));
            continue;
        }
        let expected = format!("record {sequence}, which {CHECKPOINT_PREFIX}{sequence:020} covers");
        for error in [&values.unwrap_err(), &report.problems[0]] {
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
}
