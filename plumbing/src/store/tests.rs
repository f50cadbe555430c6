//! The store on a disk in memory.

use super::*;
use crate::disk::OpenMode;
use crate::disk::memory::MemoryDisk;
use crate::object::{IdPrefix, ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::store::data::format::{Codec, FRAME_HEADER_BYTES, FrameKind, ROW_BYTES};

pub(super) mod asking;
mod bundles;
mod cached;
mod copies;
mod frames;
mod headers;
mod indexed;
mod leaning;
mod leases;
mod odd;
mod refreshed;
mod segments;
mod single;
mod standing;
mod supplied;
mod swept;
mod syncs;
mod walks;
mod writing;

fn disk() -> Arc<MemoryDisk> {
    let disk = MemoryDisk::default();
    for folder in ["/g", "/g/data", "/g/index"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    Arc::new(disk)
}

fn open(disk: &Arc<MemoryDisk>) -> Store {
    Store::open(
        disk.clone(),
        Path::new("/g"),
        [7; 16],
        HashAlgo::Sha256,
        Options::default(),
    )
    .unwrap()
}

fn block(i: u32) -> Vec<u8> {
    let mut bytes = format!("block {i} ").repeat(1 + (i % 97) as usize).into_bytes();
    bytes.extend_from_slice(&i.to_le_bytes());
    bytes
}

fn add(store: &Store, range: std::ops::Range<u32>) -> Vec<(ObjectId, Added)> {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let ids = range
        .map(|i| packer.put(ObjectKind::Block, &block(i)).unwrap())
        .collect();
    packer.flush().unwrap();
    writer.commit().unwrap();
    ids
}

fn only_file(disk: &MemoryDisk) -> PathBuf {
    let names = disk.list(Path::new("/g/data")).unwrap();
    assert_eq!(names.len(), 1);
    Path::new("/g/data").join(&names[0])
}

#[test]
fn what_was_put_is_there_after_reopening() {
    let disk = disk();
    let ids = add(&open(&disk), 0..20_000);
    let again = open(&disk);
    assert!(again.recent.count() == 0, "the segment covers everything");
    assert!(
        again
            .state
            .read()
            .segments
            .iter()
            .all(|mapped| !mapped.segment.is_empty())
    );
    assert_eq!(again.uuid(), [7; 16]);
    for (i, (id, added)) in (0..).zip(&ids) {
        assert_eq!(*added, Added::New);
        assert_eq!(again.get(id).unwrap().unwrap(), block(i));
    }
    assert!(
        add(&again, 0..20_000)
            .iter()
            .all(|(_, added)| *added == Added::Existing)
    );
    assert_eq!(
        again.get(&ObjectId::hash(HashAlgo::Sha256, b"not there")).unwrap(),
        None
    );
    let prefix: IdPrefix = ids[77].0.hex()[..9].parse().unwrap();
    assert_eq!(again.find_prefix(&prefix, 10).unwrap(), [ids[77].0]);
}

#[test]
fn an_index_is_rebuilt_from_the_data_files() {
    let disk = disk();
    let mut ids = Vec::new();
    for round in 0..30 {
        ids.extend(add(&open(&disk), round * 10..round * 10 + 10));
    }
    assert!(disk.list(Path::new("/g/index")).unwrap().len() <= index::merge::SEGMENTS_MAX + 1);
    for name in disk.list(Path::new("/g/index")).unwrap() {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
    let store = open(&disk);
    assert!(ids.iter().all(|(id, _)| store.contains(id).unwrap()));
    assert_eq!(store.rebuild_index().unwrap(), 300);
    assert!(ids.iter().all(|(id, _)| store.contains(id).unwrap()));
    assert_eq!(open(&disk).segment_sizes(), [300]);
}

#[test]
fn a_damaged_segment_costs_time_only() {
    let disk = disk();
    let ids = add(&open(&disk), 0..40);
    let names = || disk.list(Path::new("/g/index")).unwrap();
    let path = Path::new("/g/index").join(&names()[0]);
    let whole = crate::disk::read_file(&*disk, &path, 1 << 20).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        crate::disk::replace_file(&*disk, &path, &damaged).unwrap();
        let store = open(&disk);
        for (i, (id, _)) in (0..).zip(&ids) {
            assert_eq!(
                store.get(id).unwrap().as_deref(),
                Some(&block(i)[..]),
                "byte {at} of the segment"
            );
        }
    }
    // Whoever writes a segment next takes the damaged one away.
    let store = open(&disk);
    assert_eq!(store.get(&ids[0].0).unwrap().unwrap(), block(0));
    assert!(!store.verify_index().unwrap().is_empty());
    add(&store, 40..50);
    assert!(!names().iter().any(|name| path.ends_with(name)), "{:?}", names());
    assert_eq!(open(&disk).segment_sizes(), [50]);
}

#[test]
fn a_cut_at_any_byte_loses_nothing_that_was_committed() {
    let disk = disk();
    let first = add(&open(&disk), 0..40);
    let path = only_file(&disk);
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let durable = file.len().unwrap();
    add(&open(&disk), 40..80);
    let mut whole = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut whole, 0).unwrap();
    for cut in durable..=whole.len() as u64 {
        for name in disk.list(Path::new("/g/index")).unwrap() {
            disk.remove(&Path::new("/g/index").join(name)).unwrap();
        }
        file.set_len(0).unwrap();
        file.write_all_at(&whole[..cut as usize], 0).unwrap();
        let store = open(&disk);
        for (i, (id, _)) in (0..).zip(&first) {
            assert_eq!(store.get(id).unwrap().as_deref(), Some(&block(i)[..]), "cut at {cut}");
        }
        let again = add(&store, 0..80);
        assert!(again[..40].iter().all(|(_, added)| *added == Added::Existing));
        let store = open(&disk);
        assert!((0..80).all(|i| store.get(&again[i as usize].0).unwrap().unwrap() == block(i)));
        let mut damage = 0;
        for (file, _) in store.data_files() {
            data::verify::walk(&file, &mut |finding| {
                damage += usize::from(matches!(finding, data::verify::Finding::Damage(_)));
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(damage, 0, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let disk = disk();
    let ids = add(&open(&disk), 0..20);
    let path = only_file(&disk);
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let mut whole = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut whole, 0).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            file.write_all_at(&[whole[at] ^ 1 << bit], at as u64).unwrap();
            let Ok(data_file) = DataFile::open(&*disk, &path, OpenMode::Read, &[7; 16]) else {
                continue;
            };
            let mut damage = false;
            let mut frame = Frame::default();
            let mut payload = Vec::new();
            data::verify::walk(&data_file, &mut |finding| {
                damage |= match finding {
                    data::verify::Finding::Damage(_) | data::verify::Finding::Tail { .. } => true,
                    data::verify::Finding::Commit(_) => false,
                    data::verify::Finding::Frame(head) => {
                        data_file.stored_checked(&head, &mut payload).is_err()
                            || !data::verify::check_objects(&data_file, head, &mut frame, None)
                                .unwrap()
                                .is_empty()
                    }
                };
                Ok(())
            })
            .unwrap();
            assert!(damage, "bit {bit} of byte {at}");
        }
        file.write_all_at(&whole[at..=at], at as u64).unwrap();
    }
    assert_eq!(ids.len(), 20);
}

#[test]
fn compression_is_the_same_everywhere() {
    // Not for correctness, but so that a change of the library or its parameters is a decision.
    let words = [
        "struct", "page", "*", "lock", "(", "unsigned", "long", ")", ";", "\n\t", "return", "0x1f",
    ];
    let mut state = 1u32;
    let text: Vec<u8> = (0..200_000)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            words[(state >> 16) as usize % words.len()].bytes()
        })
        .collect();
    for (class, known) in [
        (pack::Class::Small, "87648597fb67636c"),
        (pack::Class::Large, "660ec87941410409"),
        (pack::Class::Meta, "9f11ab1e32257b92"),
    ] {
        let mut stored = Vec::with_capacity(zstd::zstd_safe::compress_bound(text.len()));
        let mut context = zstd::zstd_safe::CCtx::create();
        pack::compress(&mut context, 3, pack::logs(class), &text, &mut stored).unwrap();
        assert_eq!(blake3::hash(&stored).to_hex()[..16], *known, "{class:?}");
    }
}

#[test]
fn a_record_is_compressed_where_that_makes_it_shorter() {
    let noise = crate::disk::simulated::Dice::new(1).bytes(1000);
    for (payload, codec) in [
        (noise, data::format::Codec::Raw),
        (vec![7; 1000], data::format::Codec::Zstd),
    ] {
        let sealed = pack::seal_record(&payload, 3).unwrap();
        let stored = sealed.stored.len();
        assert!(
            sealed.codec == codec && stored <= payload.len(),
            "{codec:?}: {stored} bytes"
        );
    }
}

#[test]
fn what_lies_in_front_in_a_frame_is_decompressed_without_the_rest() {
    let store = open(&disk());
    // One frame, longer than two blocks of zstd.
    let ids = add(&store, 0..1000);
    let (first, last) = (ids[0].0, ids[999].0);
    let (at, end) = (
        store.locate(&first).unwrap().unwrap(),
        store.locate(&last).unwrap().unwrap(),
    );
    assert_eq!((at.frame, at.slot, end.slot), (end.frame, 0, 999));
    let mut frame = data::frame::Frame::default();
    let mut read = |slot| {
        let (file, head) = store.head(at).unwrap();
        frame.read_front(&file, head, slot, &store.near()).unwrap();
        let holds = [0, 999].map(|slot| frame.object(slot).is_some());
        (
            holds,
            frame.reaches(Some(0)),
            frame.reaches(Some(999)),
            frame.reaches(None),
        )
    };
    assert_eq!(read(0), ([true, false], true, false, false));
    assert_eq!(read(999), ([true, true], true, true, true));
    assert_eq!(frame.verified(999, &last).unwrap(), block(999));
}

#[test]
fn objects_of_a_frame_are_verified_all_at_once() {
    let disk = disk();
    let store = open(&disk);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    // Noise is stored as it is.
    let mut dice = crate::disk::simulated::Dice::new(1);
    let mut put = || packer.put(ObjectKind::Block, &dice.bytes(500)).unwrap().0;
    let ids: Vec<ObjectId> = (0..5).map(|_| put()).collect();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let mut frame = data::frame::Frame::default();
    let (file, head) = store.head(store.locate(&ids[3]).unwrap().unwrap()).unwrap();
    assert_eq!(head.header.codec, data::format::Codec::Raw);
    let payload = FRAME_HEADER_BYTES + ids.len() * ROW_BYTES;
    let inside = head.offset + (payload + 3 * 500 + 7) as u64;
    let mut verify = || {
        let head = file.head(head.offset).unwrap().unwrap();
        frame.read_payload(&file, head, &store.near()).unwrap();
        let all = frame.verify_all();
        let each = [0, 1, 2, 3, 4].map(|slot| frame.verified(slot, &ids[usize::from(slot)]).is_ok());
        (all, each)
    };
    assert_eq!(verify(), (true, [true; 5]));
    let other = disk.open(&only_file(&disk), OpenMode::Write).unwrap();
    let mut byte = [0];
    other.read_at(&mut byte, inside).unwrap();
    other.write_all_at(&[byte[0] ^ 1], inside).unwrap();
    assert_eq!(verify(), (false, [true, true, true, false, true]));
}

#[test]
fn a_file_holds_a_commit_up_to_its_end_and_not_before() {
    let disk = disk();
    add(&open(&disk), 0..20);
    let file = DataFile::open(&*disk, &only_file(&disk), OpenMode::Read, &[7; 16]).unwrap();
    let mut commits = Vec::new();
    data::verify::walk(&file, &mut |finding| {
        if let data::verify::Finding::Commit(head) = finding {
            commits.push(head);
        }
        Ok(())
    })
    .unwrap();
    let [commit] = &commits[..] else { panic!("{commits:?}") };
    let begin = data::format::FILE_HEADER_BYTES;
    let holds = |from, length| data::verify::holds_commit(&file, from, length).unwrap();
    assert!(commit.offset > begin && holds(begin, commit.end()) && holds(commit.offset, commit.end()));
    assert!(!holds(begin, commit.offset), "frames of objects are none");
    assert!(!holds(begin, commit.end() - 1) && !holds(commit.offset + 1, commit.end()));
    // Without it the frames are a tail.
    let writable = disk.open(&only_file(&disk), OpenMode::Write).unwrap();
    writable.set_len(commit.offset).unwrap();
    let mut tail = None;
    data::verify::walk(&file, &mut |finding| {
        if let data::verify::Finding::Tail { offset, bytes } = finding {
            tail = Some((offset, bytes));
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(tail, Some((begin, commit.offset - begin)));
}

#[test]
fn a_segment_covers_as_many_files_as_the_limit_and_no_more() {
    let disk = disk();
    let covers: Vec<index::format::Cover> = (0..=index::format::COVERS_MAX as u128)
        .map(|number| index::format::Cover {
            file: number.to_be_bytes(),
            from: data::format::FILE_HEADER_BYTES,
            to: 4096,
        })
        .collect();
    let write = |covers: &[index::format::Cover]| {
        index::write::SegmentWriter::create(&*disk, Path::new("/g/index"), &[7; 16], covers, 0)
            .and_then(index::write::SegmentWriter::finish)
    };
    let refused = write(&covers).unwrap_err().to_string();
    assert!(refused.contains("at most 65536"), "{refused}");
    let path = write(&covers[1..]).unwrap();
    let segment = Segment::open(&*disk, &path, &[7; 16]).unwrap();
    assert_eq!(segment.covers(), &covers[1..]);
    assert!(segment.is_empty());
}

#[test]
fn where_the_generation_does_not_read_all_is_read_and_nothing_written() {
    let disk = disk();
    let ids = add(&open(&disk), 0..5);
    let path = Path::new("/g/generation");
    crate::disk::replace_file(&*disk, path, b"not what it was").unwrap();
    let store = open(&disk);
    assert_eq!((store.get(&ids[2].0).unwrap(), store.leased()), (Some(block(2)), None));
    let refused = store.writer().map(drop).unwrap_err();
    assert!(
        refused.is_damage() && refused.to_string().contains("/g/generation"),
        "{refused}"
    );
    disk.remove(path).unwrap();
    // The same store goes on once it can have a lease.
    assert!(add(&store, 5..9).iter().all(|(_, added)| *added == Added::New));
    assert_eq!(store.leased(), Some(0));
}

#[test]
fn what_was_passed_over_and_stays_is_found_again() {
    let disk = disk();
    let ids = add(&open(&disk), 0..5);
    // No segment covers it.
    for name in disk.list(Path::new("/g/index")).unwrap() {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
    let store = open(&disk);
    let found = || ids.iter().filter(|(id, _)| store.contains(id).unwrap()).count();
    assert_eq!(found(), 5);
    store.pass_over(&[0]);
    assert_eq!(found(), 0);
    assert!(store.locate_condemned(&ids[0].0).unwrap().is_some());
    store.pass_over_no_more(&[0]);
    assert_eq!(found(), 5);
}

#[test]
fn an_object_may_be_as_long_as_the_limit_and_no_longer() {
    let store = open(&disk());
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let mut bytes = vec![0; crate::limits::BLOCK_BYTES_MAX];
    let (id, added) = packer.put(ObjectKind::Block, &bytes).unwrap();
    assert_eq!(added, Added::New);
    bytes.push(0);
    let refused = packer.put(ObjectKind::Block, &bytes).unwrap_err().to_string();
    assert!(refused.contains("the limit is 16777216"), "{refused}");
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    bytes.pop();
    assert_eq!(store.get(&id).unwrap().unwrap(), bytes);
}

#[test]
fn what_was_added_and_what_was_known_is_told() {
    let disk = disk();
    add(&open(&disk), 0..3);
    let (store, progress) = (open(&disk), Progress::default());
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    for i in 1..5 {
        packer.put(ObjectKind::Block, &block(i)).unwrap();
    }
    packer.counters().tell(&progress);
    let told = progress.counters();
    let bytes = |range: std::ops::Range<u32>| range.map(|i| block(i).len() as u64).sum::<u64>();
    assert_eq!((told.new_blocks, told.new_bytes), (2, bytes(3..5)));
    assert_eq!((told.known_blocks, told.known_bytes), (2, bytes(1..3)));
}
