//! Data files from one end to the other: what counts, what is told, what is taken over and written again.

use super::frames::{appender, frame, row, told};
use super::odd::Odd;
use super::*;
use crate::disk::simulated::{Dice, Op, SimulatedDisk};
use crate::store::data::format::{Container, FILE_HEADER_BYTES, FileHeader};
use crate::store::data::read::{Head, Scanned, scan};
use crate::store::data::verify::next_frame;
use crate::store::data::write::{Appender, Sealed, renew_committed};

fn noise(bytes: usize) -> Sealed {
    let bytes = Dice::new(3).bytes(bytes);
    frame(&[row(&bytes)], &bytes)
}

/// Offset of the payload of a frame with one row.
fn payload_of(at: u64) -> u64 {
    at + (FRAME_HEADER_BYTES + ROW_BYTES) as u64
}

fn flip(file: &DataFile, at: u64) {
    let mut byte = [0];
    file.file.read_at(&mut byte, at).unwrap();
    file.file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn scanned(file: &DataFile, vouched: u64) -> (Scanned, usize) {
    let mut visited = 0;
    let scanned = scan(file, FILE_HEADER_BYTES, vouched, &mut |_| visited += 1).unwrap();
    (scanned, visited)
}

/// A file as `make` makes it in a folder of the disk, written to by nobody.
fn released(appender: Appender) -> DataFile {
    appender.file.file.unlock().unwrap();
    appender.file
}

#[test]
fn the_last_group_is_read_unless_all_of_it_is_vouched_for() {
    let (_, mut appender) = appender();
    appender.append(&noise(100)).unwrap();
    let first = appender.commit().unwrap();
    let at = appender.append(&noise(200)).unwrap();
    let end = appender.commit().unwrap();
    let file = appender.file;
    flip(&file, payload_of(at));
    for (vouched, committed, visited) in [(first, first, 1), (end - 1, first, 1), (end, end, 2), (end + 1, end, 2)] {
        let (scanned, found) = scanned(&file, vouched);
        assert_eq!(
            (scanned.committed, found),
            (committed, visited),
            "vouched up to {vouched}"
        );
        assert_eq!((scanned.doubtful, scanned.tail.len()), (first, 2 - visited));
    }
}

#[test]
fn frames_of_a_bundle_are_durable_before_their_commit_record_and_are_not_read() {
    let disk = disk();
    let mut appender = Appender::create_bundle(&*disk, Path::new("/g/b.gfs"), HashAlgo::Sha256).unwrap();
    let at = appender.append(&noise(100)).unwrap();
    let record = appender.end();
    let end = appender.commit().unwrap();
    flip(&appender.file, payload_of(at));
    let (scanned, visited) = scanned(&appender.file, FILE_HEADER_BYTES);
    assert_eq!((scanned.committed, scanned.doubtful, visited), (end, record, 1));
}

#[test]
fn a_read_that_fails_is_no_damage() {
    let odd = Odd::on(disk());
    let mut appender = Appender::create(&odd, Path::new("/g/data"), [7; 16]).unwrap();
    let at = appender.append(&noise(100)).unwrap();
    appender.commit().unwrap();
    odd.refused
        .read_at
        .store(payload_of(at), std::sync::atomic::Ordering::Relaxed);
    let scanned = scan(&appender.file, FILE_HEADER_BYTES, FILE_HEADER_BYTES, &mut |_| {});
    assert!(matches!(scanned, Err(Error::Io { op: "read", .. })), "{scanned:?}");
}

#[test]
fn a_payload_that_is_cut_is_told_with_what_is_left() {
    let (_, mut appender) = appender();
    let at = appender.append(&noise(100)).unwrap();
    let file = appender.file;
    let head = file.head(at).unwrap().unwrap();
    file.file.set_len(payload_of(at) + 100).unwrap();
    let mut payload = Vec::new();
    file.stored(&head, &mut payload).unwrap();
    file.file.set_len(payload_of(at) + 99).unwrap();
    let Err(Error::Damaged { offset, found, .. }) = file.stored(&head, &mut payload) else {
        panic!("it reads")
    };
    assert_eq!((offset, &found[..]), (payload_of(at), "99 bytes and the end"));
}

#[test]
fn a_trailer_that_is_cut_is_damage_whatever_its_last_bytes_were() {
    let disk = disk();
    let path = PathBuf::from("/g/data/f");
    // The trailer ends with zeros, as a buffer does into which it is read.
    let header = FileHeader {
        container: Container::Data,
        repository: [7; 16],
        file: [1; 16],
        salt: 1,
    };
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    let mut appender = Appender::at(DataFile { path, header, file }, FILE_HEADER_BYTES, false);
    let at = appender.append(&noise(100)).unwrap();
    let file = appender.file;
    let head = file.head(at).unwrap().unwrap();
    let mut payload = Vec::new();
    file.stored_checked(&head, &mut payload).unwrap();
    file.file.set_len(head.end() - 1).unwrap();
    let cut = file.stored_checked(&head, &mut payload).unwrap_err();
    assert!(
        cut.is_damage() && cut.to_string().contains("the length of the frame"),
        "{cut}"
    );
}

#[test]
fn a_walk_goes_on_behind_a_frame_that_is_hurt_and_tells_of_it_once() {
    let (_, mut appender) = appender();
    let hurt = appender.append(&frame(&[row(b"abc")], b"abc")).unwrap();
    let next = appender.append(&frame(&[row(b"de")], b"de")).unwrap();
    let commit = appender.end();
    appender.commit().unwrap();
    let last = appender.append(&frame(&[row(b"f")], b"f")).unwrap();
    let end = appender.end();
    appender.commit().unwrap();
    flip(&appender.file, hurt + 40);
    let expected = [
        // Where the check stands that does not fit.
        format!("damage {}", hurt + 64),
        format!("frame {next}"),
        format!("commit {commit}"),
        format!("frame {last}"),
        format!("commit {end}"),
    ];
    assert_eq!(told(&appender.file), expected);
}

#[test]
fn a_frame_that_ends_behind_the_file_is_a_tail() {
    let (_, mut appender) = appender();
    let whole = appender.append(&noise(100)).unwrap();
    let commit = appender.end();
    appender.commit().unwrap();
    let torn = appender.append(&noise(1000)).unwrap();
    let end = appender.end();
    for missing in [1, 900] {
        appender.file.file.set_len(end - missing).unwrap();
        let expected = [
            format!("frame {whole}"),
            format!("commit {commit}"),
            format!("tail {torn} {}", end - missing - torn),
        ];
        assert_eq!(told(&appender.file), expected);
    }
}

#[test]
fn frames_are_looked_for_up_to_a_length_and_not_behind_it() {
    let (_, mut appender) = appender();
    let first = appender.append(&noise(100)).unwrap();
    let second = appender.append(&noise(100)).unwrap();
    let file = &appender.file;
    let next = |from, length| next_frame(file, from, length).unwrap();
    assert_eq!(next(first, second), Some(first));
    assert_eq!(next(first + 1, appender.end()), Some(second));
    assert_eq!(next(second, second + 1), Some(second));
    assert_eq!(next(second, second), None, "another process may be writing it");
    assert_eq!(next(second + 1, appender.end()), None);
}

#[test]
fn a_group_is_closed_once() {
    let (_, mut appender) = appender();
    assert!(!appender.is_dirty());
    assert_eq!(appender.commit().unwrap(), FILE_HEADER_BYTES, "nothing is to be closed");
    appender.append(&noise(100)).unwrap();
    assert!(appender.is_dirty());
    let end = appender.commit().unwrap();
    assert!(!appender.is_dirty());
    assert_eq!(appender.commit().unwrap(), end);
    assert_eq!(
        (appender.file.file.len().unwrap(), appender.end(), appender.group()),
        (end, end, end)
    );
}

#[test]
fn a_file_is_taken_that_has_room_and_all_that_is_vouched_for() {
    let (disk, mut appender) = appender();
    appender.append(&noise(100)).unwrap();
    let end = appender.commit().unwrap();
    let path = released(appender).path;
    let is_taken = |vouched, file_bytes_max| {
        let acquired = Appender::acquire(&*disk, &path, &[7; 16], vouched, file_bytes_max, &mut |_| {}).unwrap();
        acquired.map(|appender| appender.end())
    };
    assert_eq!(is_taken(end, end + 1), Some(end));
    assert_eq!(is_taken(FILE_HEADER_BYTES, end + 1), Some(end));
    assert_eq!(is_taken(end, end), None, "it is full");
    assert_eq!(is_taken(end + 1, end + 2), None, "it is shorter than it was");
    assert_eq!(is_taken(end + 1, end), None);
}

#[test]
fn what_is_torn_is_cut_and_what_is_whole_is_adopted() {
    // Nothing, a part of a header, all but a byte of the payload, and one that is written over with zeros.
    for (left, is_zero) in [
        (None, false),
        (Some(40), false),
        (Some(5000), false),
        (Some(5000), true),
    ] {
        let (disk, mut appender) = appender();
        appender.append(&noise(100)).unwrap();
        let committed = appender.commit().unwrap();
        let open = appender.append(&noise(200)).unwrap();
        let torn = appender.append(&noise(6000)).unwrap();
        let file = released(appender);
        match left {
            Some(bytes) => file.file.set_len(torn + bytes).unwrap(),
            None => file.file.set_len(torn).unwrap(),
        }
        if is_zero {
            file.file.set_len(payload_of(torn)).unwrap();
            file.file.set_len(torn + 6000 + 120).unwrap();
        }
        let simulated = SimulatedDisk::on((*disk).clone());
        let mut adopted = Vec::new();
        let mut adopt = |head: &Head| adopted.push(head.offset);
        let taken = Appender::acquire(&simulated, &file.path, &[7; 16], committed, 1 << 20, &mut adopt);
        let mut taken = taken.unwrap().unwrap();
        assert_eq!((taken.group(), taken.end()), (committed, torn), "{left:?}");
        assert_eq!(adopted, [open]);
        assert_eq!(file.file.len().unwrap(), torn);
        let journal = simulated.journal();
        let cuts = journal.ops().iter().filter(|op| matches!(op, Op::SetLen { .. }));
        assert_eq!(cuts.count(), usize::from(left.is_some()), "{left:?}");
        // The record closes what was adopted.
        let end = taken.commit().unwrap();
        let (scanned, visited) = scanned(&file, committed);
        assert_eq!((scanned.committed, visited), (end, 2));
    }
}

#[test]
fn what_another_has_committed_is_written_again_as_it_is_and_once() {
    let simulated = SimulatedDisk::on((*disk()).clone());
    let mut appender = Appender::create(&simulated, Path::new("/g/data"), [7; 16]).unwrap();
    appender.append(&noise(100)).unwrap();
    let first = appender.commit().unwrap();
    // Longer than what is written again at once.
    appender.append(&noise((1 << 20) + 5000)).unwrap();
    let end = appender.commit().unwrap();
    appender.append(&noise(300)).unwrap();
    let path = released(appender).path;
    let before = crate::disk::read_file(&simulated, &path, 1 << 24).unwrap();
    let done = simulated.journal().ops().len();
    assert_eq!(renew_committed(&simulated, &path, &[7; 16], first).unwrap(), end);
    let mut at = first;
    for op in &simulated.journal().ops()[done..] {
        let Op::Write { offset, bytes, .. } = op else {
            panic!("{op:?}")
        };
        assert_eq!(*offset, at);
        assert!(
            bytes.len() == 1 << 20 || at + bytes.len() as u64 == end,
            "{}",
            bytes.len()
        );
        at += bytes.len() as u64;
    }
    assert_eq!(at, end);
    assert_eq!(crate::disk::read_file(&simulated, &path, 1 << 24).unwrap(), before);
}

#[test]
fn a_frame_is_found_however_far_behind_the_damage_it_is() {
    let (_, mut appender) = appender();
    let hurt = appender.append(&noise((1 << 20) + 100)).unwrap();
    let next = appender.append(&noise(100)).unwrap();
    let commit = appender.end();
    appender.commit().unwrap();
    let file = &appender.file;
    assert_eq!(next_frame(file, hurt + 16, appender.end()).unwrap(), Some(next));
    flip(file, hurt + 40);
    let expected = [
        format!("damage {}", hurt + 64),
        format!("frame {next}"),
        format!("commit {commit}"),
    ];
    assert_eq!(told(file), expected);
}

#[test]
fn what_lies_before_something_that_may_have_been_acknowledged_is_not_cut() {
    let (disk, mut appender) = appender();
    appender.append(&noise(100)).unwrap();
    let committed = appender.commit().unwrap();
    let hurt = appender.append(&noise(200)).unwrap();
    let next = appender.append(&noise(300)).unwrap();
    let file = released(appender);
    flip(&file, payload_of(hurt));
    let length = file.file.len().unwrap();
    let acquire = || Appender::acquire(&*disk, &file.path, &[7; 16], committed, 1 << 20, &mut |_| {}).unwrap();
    assert!(acquire().is_none(), "another frame follows");
    assert_eq!(file.file.len().unwrap(), length);
    file.file.set_len(next + 71).unwrap();
    assert!(acquire().is_some(), "that one has no whole header");
    assert_eq!(file.file.len().unwrap(), hurt);
}

#[test]
fn of_a_bundle_that_is_told_by_a_commit_record() {
    for is_closed in [false, true] {
        let disk = disk();
        let path = Path::new("/g/b.gfs");
        let mut appender = Appender::create_bundle(&*disk, path, HashAlgo::Sha256).unwrap();
        let hurt = appender.append(&noise(200)).unwrap();
        appender.append(&noise(300)).unwrap();
        if is_closed {
            appender.commit().unwrap();
        }
        let file = released(appender);
        // The header of the first frame.
        flip(&file, hurt + 40);
        let length = file.file.len().unwrap();
        let taken = Appender::acquire_bundle(&*disk, path, &mut |_| {});
        assert_eq!(taken.is_err(), is_closed);
        assert_eq!(file.file.len().unwrap(), if is_closed { length } else { hurt });
        if let Err(error) = taken {
            assert!(
                error.is_damage() && error.to_string().contains("ghost verify"),
                "{error}"
            );
        }
    }
}
