//! What is remembered never says more than what was read.

use std::sync::Arc;

use super::*;
use crate::disk::OpenMode;
use crate::disk::memory::MemoryDisk;
use crate::object::HashAlgo;
use crate::store::Options;

const UUID: [u8; 16] = [7; 16];

fn store(disk: &Arc<MemoryDisk>) -> Store {
    Store::open(
        disk.clone(),
        Path::new("/g"),
        UUID,
        HashAlgo::Sha256,
        Options::default(),
    )
    .unwrap()
}

fn grow(disk: &Arc<MemoryDisk>, text: &str) {
    let store = store(disk);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer.put(ObjectKind::Block, text.as_bytes()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
}

fn disk() -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::default());
    for folder in ["/g", "/g/data", "/g/index", "/g/cache"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    grow(&disk, "first");
    disk
}

fn target(text: &str) -> Target {
    Target::snapshot(text.to_owned(), ObjectId::hash(HashAlgo::Sha256, text.as_bytes()))
}

/// Everything that is there, read at `seconds`; and a proof.
fn all(disk: &Arc<MemoryDisk>, seconds: i64) -> Ledger {
    let mut ledger = Ledger::new(UUID);
    for (file, committed) in store(disk).data_files() {
        let from = FILE_HEADER_BYTES;
        ledger
            .note_file(
                &file,
                committed,
                [Extent {
                    from,
                    to: committed,
                    seconds,
                }],
            )
            .unwrap();
    }
    ledger.note_proofs(&[target("a")]);
    ledger
}

fn end_of(disk: &Arc<MemoryDisk>) -> ([u8; 16], u64) {
    let (file, end) = store(disk).data_files().remove(0);
    (file.header.file, end)
}

#[test]
fn a_ledger_is_written_and_read_and_damage_makes_it_empty() {
    let disk = disk();
    let ledger = all(&disk, 50);
    let load = || Ledger::load(&*disk, Path::new("/g"), UUID);
    assert_eq!(load(), Ledger::new(UUID));
    ledger.save(&*disk, Path::new("/g")).unwrap();
    assert_eq!(load(), ledger);
    assert_eq!(
        Ledger::load(&*disk, Path::new("/g"), [8; 16]).files(),
        0,
        "it is of another repository"
    );
    let file = disk.open(&path(Path::new("/g")), OpenMode::Write).unwrap();
    for at in 0..file.len().unwrap() {
        let mut byte = [0];
        file.read_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
        assert_eq!(load(), Ledger::new(UUID), "byte {at}");
        file.write_all_at(&byte, at).unwrap();
    }
    assert_eq!(load(), ledger);
}

#[test]
fn what_was_appended_is_due_and_dates_of_the_future_do_not_count() {
    let disk = disk();
    let mut ledger = all(&disk, 50);
    let (file, end) = end_of(&disk);
    grow(&disk, "second");
    let (_, longer) = end_of(&disk);
    ledger.settle(&store(&disk), Timestamp::new(50, 0)).unwrap();
    assert_eq!(ledger.last_read(&file, 64, end), Some(50));
    assert_eq!(ledger.last_read(&file, 64, longer), None);
    assert!(ledger.has_proven(&target("a")) && !ledger.has_proven(&target("b")));
    ledger.settle(&store(&disk), Timestamp::new(49, 999)).unwrap();
    assert_eq!(ledger.last_read(&file, 64, end), None, "it was read tomorrow");
}

#[test]
fn a_file_that_is_gone_or_differs_takes_its_dates_and_all_proofs_with_it() {
    let now = Timestamp::new(99, 0);
    // Gone.
    let disk = disk();
    let mut ledger = all(&disk, 50);
    let (file, _) = end_of(&disk);
    let path = store(&disk).data_files().remove(0).0.path;
    disk.remove(&path).unwrap();
    ledger.settle(&store(&disk), now).unwrap();
    assert!(!ledger.has_proven(&target("a")) && ledger.files() == 0);
    // As long as it was, with another commit record.
    let disk = self::disk();
    let mut ledger = all(&disk, 50);
    let (file_id, end) = (file, end_of(&disk).1);
    let path = store(&disk).data_files().remove(0).0.path;
    let file = disk.open(&path, OpenMode::Write).unwrap();
    file.write_all_at(&[1], end - 100).unwrap();
    ledger.settle(&store(&disk), now).unwrap();
    assert!(!ledger.has_proven(&target("a")));
    assert_eq!(ledger.last_read(&file_id, 64, 65), None);
}

#[test]
fn many_stretches_are_united_and_the_oldest_date_counts() {
    let disk = disk();
    let (file, end) = store(&disk).data_files().remove(0);
    let mut ledger = Ledger::new(UUID);
    // One byte an extent, newer ones behind; then a hole.
    let extents = (64..end - 1).filter(|at| *at != 100).map(|at| Extent {
        from: at,
        to: at + 1,
        seconds: at as i64,
    });
    ledger.note_file(&file, end, extents).unwrap();
    let id = file.header.file;
    assert!(ledger.files[&id].extents.len() <= EXTENTS_MAX);
    for at in (64..end - 1).filter(|at| *at != 100) {
        let read = ledger.last_read(&id, at, at + 1);
        assert!(read.is_none_or(|read| read <= at as i64), "{at}: {read:?}");
    }
    assert_eq!(ledger.last_read(&id, 99, 102), None, "over the hole");
    assert_eq!(ledger.last_read(&id, end - 1, end), None);
    let kept: u64 = ledger.files[&id]
        .extents
        .iter()
        .map(|extent| extent.to - extent.from)
        .sum();
    assert!(kept + 3 >= end - 64 - 2, "{kept} of {end}");
}

#[test]
fn the_worked_example_is_that_of_the_page() {
    let page = include_str!("../../../../object-format.md");
    let mut ledger = Ledger::new(UUID);
    let extents = vec![Extent {
        from: 64,
        to: 208,
        seconds: 1_800_000_000,
    }];
    let read = Read {
        mark: [2; 16],
        bytes: 208,
        extents,
    };
    ledger.files.insert([1; 16], read);
    ledger.note_proofs(&[target("abc")]);
    let line = |chunk: &[u8]| {
        chunk
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let hex: Vec<String> = ledger.encode().chunks(16).map(line).collect();
    let hex = hex.join("\n");
    assert!(page.contains(&format!("```hex ledger\n{hex}\n```")), "{hex}");
}
