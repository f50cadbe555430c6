//! Segments byte by byte, and which of them are merged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{COVER_BYTES, COVERS_MAX, Cover, FOOTER_BYTES, HEADER_BYTES, Layout, MAGIC, VERSION, u32_at};
use super::merge::plan;
use super::read::Segment;
use super::write::{SegmentWriter, file_check, header_check};
use crate::disk::memory::MemoryDisk;
use crate::disk::real::RealDisk;
use crate::disk::simulated::{Op, SimulatedDisk};
use crate::disk::{Disk, read_file};
use crate::error::{Error, Result};

const REPOSITORY: [u8; 16] = [7; 16];

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::default();
    disk.create_dir(Path::new("/s")).unwrap();
    disk
}

fn cover() -> Cover {
    Cover {
        file: [3; 16],
        from: 64,
        to: 4096,
    }
}

/// A segment with these prefixes, whose locators are their numbers.
fn write(disk: &dyn Disk, folder: &Path, prefixes: &[u64]) -> PathBuf {
    let entries = prefixes.len() as u64;
    let mut writer = SegmentWriter::create(disk, folder, &REPOSITORY, &[cover()], entries).unwrap();
    for (number, prefix) in (0..).zip(prefixes) {
        writer.push(*prefix, number).unwrap();
    }
    writer.finish().unwrap()
}

/// Opens a segment of these bytes.
fn opened(bytes: Vec<u8>) -> Result<Segment> {
    let disk = disk();
    assert!(disk.place(Path::new("/s/x.gi"), Arc::new(bytes)));
    Segment::open(&disk, Path::new("/s/x.gi"), &REPOSITORY)
}

fn damage<T>(result: Result<T>) -> (u64, String, String) {
    match result {
        Err(Error::Damaged {
            offset,
            expected,
            found,
            ..
        }) => (offset, expected, found),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("no damage"),
    }
}

/// What becomes of a segment whose prefixes are these, under checks that are right.
fn verified(prefixes: &[u64]) -> (Layout, Result<()>) {
    let layout = Layout::new(prefixes.len() as u64, 0);
    let mut bytes = vec![0; layout.footer + FOOTER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(&REPOSITORY);
    bytes[32..40].copy_from_slice(&(prefixes.len() as u64).to_le_bytes());
    let check = header_check(&bytes[..HEADER_BYTES]);
    bytes[56..64].copy_from_slice(&check.to_le_bytes());
    let places = bytes[layout.prefixes..layout.locators].chunks_exact_mut(8);
    for (place, prefix) in places.zip(prefixes) {
        place.copy_from_slice(&prefix.to_le_bytes());
    }
    let hasher = |bytes: &[u8]| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(bytes);
        hasher
    };
    let check = file_check(
        &bytes[..layout.prefixes],
        &hasher(&bytes[layout.prefixes..layout.locators]),
        &hasher(&bytes[layout.locators..layout.footer]),
    );
    bytes[layout.footer..].copy_from_slice(&check);
    (layout, opened(bytes).unwrap().verify())
}

#[test]
fn prefixes_out_of_order_are_told_with_their_place() {
    assert!(verified(&[1, 1, 2, 9]).1.is_ok());
    let (layout, result) = verified(&[1, 5, 5, 4, 9]);
    let (offset, expected, _) = damage(result);
    assert_eq!(offset, layout.prefixes as u64 + 3 * 8);
    assert_eq!(expected, "prefixes in order");
}

#[test]
fn prefixes_out_of_order_are_told_with_their_place_behind_the_first_piece() {
    // Prefixes are read 2^20 at a time.
    let at = (1 << 20) + 5;
    let mut prefixes = vec![8; at];
    prefixes.extend([7, 9]);
    let (layout, result) = verified(&prefixes);
    assert_eq!(damage(result).0, (layout.prefixes + 8 * at) as u64);
}

#[test]
fn a_bucket_is_the_upper_bits_of_a_prefix() {
    let one = Layout::new(127, 0);
    assert_eq!((one.bucket_bits, one.bucket(0), one.bucket(u64::MAX)), (0, 0, 0));
    let four = Layout::new(4 * 64, 0);
    assert_eq!(four.bucket_bits, 2);
    let quarter = 1 << 62;
    let prefixes = [0, quarter - 1, quarter, 2 * quarter, 3 * quarter - 1, u64::MAX];
    assert_eq!(prefixes.map(|prefix| four.bucket(prefix)), [0, 0, 1, 2, 2, 3]);
}

#[test]
fn candidates_are_all_entries_with_a_prefix_and_no_others() {
    let disk = disk();
    let prefixes = [0, 0, 3, 5, 5, 5, 9, u64::MAX, u64::MAX];
    let path = write(&disk, Path::new("/s"), &prefixes);
    let segment = Segment::open(&disk, &path, &REPOSITORY).unwrap();
    for prefix in [0, 1, 3, 4, 5, 6, 9, 10, u64::MAX - 1, u64::MAX] {
        let expected = (0..).zip(prefixes).filter(|entry| entry.1 == prefix);
        let expected: Vec<u64> = expected.map(|entry| entry.0).collect();
        let found: Vec<u64> = segment.candidates(prefix).collect();
        assert_eq!(found, expected, "{prefix}");
        let before = prefixes.partition_point(|it| *it < prefix);
        assert_eq!(segment.lower_bound(prefix), before, "{prefix}");
    }
    let path = write(&disk, Path::new("/s"), &[]);
    let none = Segment::open(&disk, &path, &REPOSITORY).unwrap();
    assert_eq!((none.candidates(0).count(), none.lower_bound(u64::MAX)), (0, 0));
}

/// More entries than are gathered before they are written, on files that may have holes.
#[test]
fn a_segment_of_many_entries_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let count = 70_000;
    let prefixes: Vec<u64> = (0..count).map(|n| n * (u64::MAX / count)).collect();
    let path = write(&RealDisk, folder.path(), &prefixes);
    let segment = Segment::open(&RealDisk, &path, &REPOSITORY).unwrap();
    segment.verify().unwrap();
    assert_eq!((segment.len(), segment.covers()), (prefixes.len(), &[cover()][..]));
    for (at, prefix) in prefixes.iter().enumerate() {
        assert_eq!(segment.entry(at), (*prefix, at as u64));
    }
    // Each bucket begins where the prefixes begin that have its bits.
    let bytes = read_file(&RealDisk, &path, usize::MAX).unwrap();
    let layout = Layout::new(count, 1);
    assert_eq!(layout.bucket_bits, 10);
    for bucket in 0..=1 << layout.bucket_bits {
        let smaller = prefixes.partition_point(|prefix| prefix >> 54 < bucket);
        let start = u32_at(&bytes, layout.buckets + 4 * bucket as usize);
        assert_eq!(start as usize, smaller, "bucket {bucket}");
    }
}

#[test]
fn a_small_segment_is_written_at_its_end_and_piece_by_piece() {
    let disk = SimulatedDisk::on(disk());
    write(&disk, Path::new("/s"), &[1, 2, 3, 4, 5]);
    let journal = disk.journal();
    let written = journal.ops().iter().filter_map(|op| match op {
        Op::Write { offset, bytes, .. } => Some((*offset as usize, bytes.len())),
        _ => None,
    });
    // Everything in front of the columns, each column, the check.
    let layout = Layout::new(5, 1);
    let expected = [
        (0, layout.prefixes),
        (layout.prefixes, 40),
        (layout.locators, 40),
        (layout.footer, FOOTER_BYTES),
    ];
    assert_eq!(written.collect::<Vec<_>>(), expected);
}

#[test]
fn a_segment_may_be_of_as_many_entries_as_four_bytes_count_and_no_more() {
    let disk = disk();
    let create = |entries: u64| SegmentWriter::create(&disk, Path::new("/s"), &REPOSITORY, &[], entries).map(drop);
    let most = u64::from(u32::MAX);
    create(most).unwrap();
    let refused = create(most + 1).unwrap_err().to_string();
    assert!(refused.contains("4294967295 objects fit"), "{refused}");
}

#[test]
fn a_file_that_is_shorter_than_a_header_is_said_to_be() {
    for length in [0, 7, 63] {
        let found = damage(opened(vec![0; length]));
        assert_eq!(found, (0, "a header of 64 bytes".to_owned(), format!("{length} bytes")));
    }
    let (offset, expected, _) = damage(opened(vec![0; 64]));
    assert_eq!((offset, expected.as_str()), (0, "the magic \"ghostidx\""));
}

#[test]
fn damage_of_a_header_is_told_with_its_place() {
    let disk = disk();
    let path = write(&disk, Path::new("/s"), &[1, 2, 3]);
    let whole = read_file(&disk, &path, usize::MAX).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        damage(opened(bytes))
    };
    assert_eq!(flipped(0).0, 0);
    assert_eq!(flipped(16).0, 16);
    assert_eq!(flipped(32).0, 32);
    // What the check of the header is over, and that itself.
    for at in [10, 48, 56, 63, HEADER_BYTES, HEADER_BYTES + COVER_BYTES - 1] {
        let (offset, expected, _) = flipped(at);
        assert_eq!(
            (offset, expected.as_str()),
            (56, "the check of the header"),
            "byte {at}"
        );
    }
    let longer = damage(opened([&whole[..], &[0]].concat()));
    let (expected, found) = (format!("{} bytes", whole.len()), format!("{} bytes", whole.len() + 1));
    assert_eq!(longer, (32, expected, found));
}

#[test]
fn a_header_may_count_up_to_its_limits_and_no_further() {
    let counting = |entries: u64, covers: u64| {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&REPOSITORY);
        bytes[32..40].copy_from_slice(&entries.to_le_bytes());
        bytes[40..48].copy_from_slice(&covers.to_le_bytes());
        let (offset, expected, _) = damage(opened(bytes));
        assert_eq!(offset, 32);
        expected
    };
    // What is behind the header is missing.
    let (entries, covers) = (u64::from(u32::MAX), COVERS_MAX as u64);
    for (entries, covers) in [(entries, 0), (0, covers)] {
        let layout = Layout::new(entries, covers as usize);
        assert_eq!(
            counting(entries, covers),
            format!("{} bytes", layout.footer + FOOTER_BYTES)
        );
    }
    for (entries, covers) in [(entries + 1, 0), (0, covers + 1), (u64::MAX, u64::MAX)] {
        assert_eq!(counting(entries, covers), "counts within their limits");
    }
}

#[test]
fn a_segment_is_shown_with_its_path_and_its_length() {
    let disk = disk();
    let path = write(&disk, Path::new("/s"), &[1, 2, 3]);
    let segment = Segment::open(&disk, &path, &REPOSITORY).unwrap();
    let expected = format!("Segment({}, 3 entries)", path.display());
    assert_eq!(format!("{segment:?}"), expected);
}

#[test]
fn the_smallest_segments_are_merged_while_they_are_a_quarter_of_the_next() {
    for (sizes, expected) in [
        (&[][..], 0),
        (&[100], 0),
        // Too few to be worth a sync.
        (&[10, 10], 0),
        (&[10, 10, 10], 0),
        (&[10, 10, 10, 10], 4),
        (&[10, 10, 10, 10, 10], 5),
        // 40 is a quarter of 163, and not of 164.
        (&[10, 10, 10, 10, 163], 5),
        (&[10, 10, 10, 10, 164], 4),
        (&[10, 10, 10, 10, 164, 165], 4),
        (&[10, 10, 10, 164], 0),
        // Where there are many, few are merged as well; two at least.
        (&[1, 1, 1, 100, 900, 8000, 70_000, 600_000], 0),
        (&[1, 1, 1, 100, 900, 8000, 70_000, 600_000, 5_000_000], 3),
        (&[1, 1, 100, 900, 8000, 70_000, 600_000, 5_000_000, 40_000_000], 2),
        (&[1, 8, 64, 512, 4096, 32_768, 262_144, 2_097_152], 0),
        (&[1, 8, 64, 512, 4096, 32_768, 262_144, 2_097_152, 16_777_216], 2),
        (&[0, 0, 0, 0], 4),
    ] {
        assert_eq!(plan(sizes), expected, "{sizes:?}");
    }
}
