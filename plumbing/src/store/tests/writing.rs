//! Packers and writers: what goes where, what is told apart, and what is committed when.

use std::sync::atomic::Ordering::Relaxed;

use super::frames::{frame, row};
use super::odd::Odd;
use super::*;
use crate::disk::simulated::Dice;
use crate::error::Error;
use crate::store::data::format::{FILE_HEADER_BYTES, Row};
use crate::store::data::verify::{Finding, walk};
use crate::store::delta::tests::{delta, edited, forge, row as delta_row, text};

fn allowing(disk: &Arc<MemoryDisk>) -> Store {
    let store = open(disk);
    store.allow_deltas(|| Ok(()));
    store
}

fn id(bytes: &[u8]) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, bytes)
}

#[test]
fn an_object_that_waits_in_a_packer_is_stored_once() {
    let disk = disk();
    let store = open(&disk);
    let (first, second) = (store.writer().unwrap(), store.writer().unwrap());
    let (mut packer, mut other) = (first.packer(), second.packer());
    let mut put = |i| packer.put(ObjectKind::Block, &block(i)).unwrap().1;
    assert_eq!(
        [put(1), put(1), put(2), put(1)],
        [Added::New, Added::Existing, Added::New, Added::Existing]
    );
    // Another writer of the store has nothing to add, and takes nothing with it when it goes.
    assert_eq!(other.put(ObjectKind::Block, &block(1)).unwrap().1, Added::Existing);
    drop(other);
    drop(second);
    assert_eq!(put(1), Added::Existing);
    packer.flush().unwrap();
    drop(packer);
    first.commit().unwrap();
    let counters = first.into_counters();
    assert_eq!(
        (
            counters.new_objects.load(Relaxed),
            counters.existing_objects.load(Relaxed)
        ),
        (2, 3)
    );
    assert_eq!(open(&disk).rebuild_index().unwrap(), 2);
}

#[test]
fn without_data_all_blocks_but_empty_ones_are_left_out() {
    let disk = disk();
    let store = open(&disk);
    let mut writer = store.writer().unwrap();
    writer.set_keeps_data(false);
    let mut packer = writer.packer();
    let mut put = |kind, bytes: &[u8]| packer.put(kind, bytes).unwrap().1;
    assert_eq!(put(ObjectKind::Block, b""), Added::New);
    assert_eq!(put(ObjectKind::Block, b"x"), Added::Existing);
    assert_eq!(put(ObjectKind::Block, b"four"), Added::Existing);
    assert_eq!(put(ObjectKind::Tree, b"tree"), Added::New);
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let counters = &writer.counters;
    assert_eq!(
        (
            counters.described_objects.load(Relaxed),
            counters.described_bytes.load(Relaxed)
        ),
        (2, 5)
    );
    let there = [&b""[..], b"x", b"four", b"tree"].map(|bytes| store.contains(&id(bytes)).unwrap());
    assert_eq!(there, [true, false, false, true]);
}

#[test]
fn noise_of_blocks_has_frames_of_its_own() {
    let store = open(&disk());
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    assert_eq!(format!("{packer:?}"), "Packer(0 bytes)");
    let mut dice = Dice::new(5);
    let mut put = |kind, bytes: &[u8]| packer.put(kind, bytes).unwrap().0;
    let blocks = [
        put(ObjectKind::Block, &text(0..300)),
        put(ObjectKind::Block, &dice.bytes(5000)),
    ];
    let trees = [
        put(ObjectKind::Tree, &text(0..200)),
        put(ObjectKind::Tree, &dice.bytes(5001)),
    ];
    let bytes = text(0..300).len() + text(0..200).len() + 10_001;
    assert_eq!(format!("{packer:?}"), format!("Packer({bytes} bytes)"));
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let frame = |id: &ObjectId| store.locate(id).unwrap().unwrap().frame;
    assert_ne!(frame(&blocks[0]), frame(&blocks[1]));
    assert_eq!(frame(&trees[0]), frame(&trees[1]), "what describes is read together");
    let codec = |id: &ObjectId| {
        let (_, head) = store.head(store.locate(id).unwrap().unwrap()).unwrap();
        head.header.codec
    };
    assert_eq!((codec(&blocks[0]), codec(&blocks[1])), (Codec::Zstd, Codec::Raw));
}

#[test]
fn what_blocks_are_like_is_noted_where_it_is_asked_for_and_of_blocks_alone() {
    let noted = |kind: ObjectKind, finds_alike: bool| {
        let disk = disk();
        disk.create_dir(Path::new("/g/cache")).unwrap();
        let store = allowing(&disk);
        let mut writer = store.writer().unwrap();
        if finds_alike {
            writer.find_alike();
        }
        let mut packer = writer.packer();
        packer.put(kind, &text(0..3000)).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        !disk.list(Path::new("/g/cache")).unwrap().is_empty()
    };
    assert!(noted(ObjectKind::Block, true));
    assert!(!noted(ObjectKind::Block, false));
    assert!(!noted(ObjectKind::Tree, true));
    assert!(!noted(ObjectKind::Tree, false));
}

#[test]
fn bases_are_of_use_where_differences_are_stored() {
    let disk = disk();
    let takes = |writer: &Writer<'_>| writer.packer().takes_bases();
    assert!(!takes(&open(&disk).writer().unwrap()), "nobody allowed them");
    let store = allowing(&disk);
    assert!(takes(&store.writer().unwrap()));
    assert!(!takes(&store.dry_writer()));
}

#[test]
fn what_is_made_from_something_that_is_gone_is_stored_anew() {
    let (old, new) = (text(0..300), edited(&text(0..300), 50));
    let (base, bytes) = (delta_row(id(&old), old.len()), new.len() as u32);
    for (is_in_segment, trusts_bases) in [(true, true), (true, false), (false, true), (false, false)] {
        let disk = disk();
        // What a killed process left: nobody has its base.
        let forged = [(id(&new), bytes, &[base][..], &delta(&old, &new)[..])];
        forge(&allowing(&disk), &forged, |part| part);
        if !is_in_segment {
            for name in disk.list(Path::new("/g/index")).unwrap() {
                disk.remove(&Path::new("/g/index").join(name)).unwrap();
            }
        }
        let store = allowing(&disk);
        assert_eq!(store.recent.count(), usize::from(!is_in_segment));
        // A gc that passes over files has begun, so bases are looked for.
        store.pass_over(&[]);
        let mut writer = store.writer().unwrap();
        if trusts_bases {
            writer.trust_bases();
        }
        let mut packer = writer.packer();
        let (_, added) = packer.put(ObjectKind::Block, &new).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        drop(writer);
        drop(store);
        // Who trusts says that the base is about to be copied.
        let expected = if trusts_bases { Added::Existing } else { Added::New };
        assert_eq!(added, expected, "{is_in_segment}");
        assert_eq!(
            open(&disk).get(&id(&new)).ok(),
            (!trusts_bases).then(|| Some(new.clone()))
        );
    }
}

#[test]
fn taking_over_where_nothing_is_makes_no_data_file() {
    let disk = disk();
    let store = open(&disk);
    store.writer().unwrap().take_over().unwrap();
    assert!(disk.list(Path::new("/g/data")).unwrap().is_empty());
    // In a plain folder a file is of who made it.
    add(&store, 0..1);
    drop(store);
    let plain = Odd {
        is_plain: true,
        ..Odd::on(disk.clone())
    };
    plain.open_store().writer().unwrap().take_over().unwrap();
    only_file(&disk);
}

#[test]
fn who_comes_after_a_failure_is_told_what_the_system_said() {
    const STORAGE_FULL: i32 = 28;
    let odd = Odd::on(disk());
    let store = odd.open_store();
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer.put(ObjectKind::Block, &block(1)).unwrap();
    packer.flush().unwrap();
    packer.put(ObjectKind::Block, &block(2)).unwrap();
    odd.refused.write.store(STORAGE_FULL, Relaxed);
    let number = |failed: Result<()>| match failed {
        Err(Error::Io { source, .. }) => source.raw_os_error(),
        other => panic!("{other:?}"),
    };
    assert_eq!(number(packer.flush()), Some(STORAGE_FULL));
    odd.refused.write.store(0, Relaxed);
    assert_eq!(number(writer.commit()), Some(STORAGE_FULL));
    packer.put(ObjectKind::Block, &block(3)).unwrap();
    assert_eq!(number(packer.flush()), Some(STORAGE_FULL));
    assert_eq!(number(writer.commit()), Some(STORAGE_FULL));
}

/// Commit records in the data file of a store.
fn commits(store: &Store) -> usize {
    let mut commits = 0;
    let (file, _) = store.data_files().remove(0);
    walk(&file, &mut |finding| {
        commits += usize::from(matches!(finding, Finding::Commit(_)));
        Ok(())
    })
    .unwrap();
    commits
}

/// Ids move to a segment in the middle of a job where they have become many.
#[test]
fn a_group_is_closed_when_it_is_long_and_its_ids_go_to_a_segment_when_they_are_many() {
    const LONG: usize = 16 << 20;
    let store = open(&disk());
    let writer = store.writer().unwrap();
    let long = Row {
        bytes: LONG as u32,
        ..row(b"long")
    };
    let frame_of_many = frame(&[long], &vec![0; LONG]);
    let id = |number: u64| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest[19] = number as u8;
        ObjectId::from_padded(HashAlgo::Sha256, digest).unwrap()
    };
    let at = Location {
        file: 0,
        frame: FILE_HEADER_BYTES,
        slot: 0,
    };
    (4..=128 << 10).for_each(|number| store.recent.set(id(number), at));
    for number in 0..4 {
        assert!(number == 0 || commits(&store) == 0, "not before it is long");
        writer.append(&frame_of_many, &[id(number)]).unwrap();
    }
    assert_eq!(store.recent.count(), 0);
    assert_eq!((commits(&store), store.segment_sizes()), (1, vec![(128 << 10) + 1]));
    let small = frame(&[row(b"small")], b"small");
    writer.append(&small, &[row(b"small").id]).unwrap();
    assert_eq!(
        (commits(&store), store.recent.count()),
        (1, 1),
        "the next is not long yet"
    );
    writer.commit().unwrap();
    assert_eq!((commits(&store), store.recent.count()), (2, 0));
}

#[test]
fn a_frame_is_compressed_where_that_saves_more_than_a_thirty_second_part() {
    let payload = |noise: usize| {
        let mut payload = vec![0; 3200 - noise];
        payload.extend(Dice::new(4).bytes(noise));
        payload
    };
    let compressed = |noise: usize| {
        let (payload, mut stored) = (payload(noise), Vec::with_capacity(8000));
        let mut context = zstd::zstd_safe::CCtx::create();
        pack::compress(&mut context, 3, pack::logs(Class::Meta), &payload, &mut stored).unwrap();
        stored.len()
    };
    for (bytes, codec) in [(3099, Codec::Zstd), (3100, Codec::Raw), (3101, Codec::Raw)] {
        let noise = (3000..3100).find(|&noise| compressed(noise) == bytes).unwrap();
        let store = open(&disk());
        let writer = store.writer().unwrap();
        let mut packer = writer.packer();
        let (id, _) = packer.put(ObjectKind::Tree, &payload(noise)).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        let (_, head) = store.head(store.locate(&id).unwrap().unwrap()).unwrap();
        assert_eq!(head.header.codec, codec, "{bytes} bytes");
    }
}

#[test]
fn a_packer_knows_what_is_there_and_what_is_on_its_way() {
    let disk = disk();
    add(&open(&disk), 0..2);
    let store = open(&disk);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer.put(ObjectKind::Block, &block(5)).unwrap();
    let known = [0, 1, 5, 6].map(|i| packer.knows(&id(&block(i))).unwrap());
    assert_eq!(known, [true, true, true, false]);
}

#[test]
fn a_record_is_as_long_as_a_frame_may_be_and_no_longer() {
    let path = Path::new("/g/b.gfs");
    let store = Store::create_bundle(disk(), path, HashAlgo::Sha256, Options::default()).unwrap();
    let writer = store.writer().unwrap();
    let mut payload = vec![0; crate::limits::FRAME_RAW_BYTES_MAX];
    writer.append_record(FrameKind::Roots, &payload).unwrap();
    payload.push(0);
    let refused = writer
        .append_record(FrameKind::Roots, &payload)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("the limit is 33554432"), "{refused}");
    writer.commit().unwrap();
    store.refresh().unwrap();
    assert_eq!(store.records(FrameKind::Roots).len(), 1);
}
