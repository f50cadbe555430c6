//! Frames that are kept: how many, which of them go, and what becomes of their buffers.

use super::*;
use crate::store::cache::FrameCache;
use crate::store::data::delta::NoBases;
use crate::store::data::format::Row;
use crate::store::data::frame::Scratch;
use crate::store::data::read::Head;
use crate::store::delta::Loaded;

const MIB: usize = 1 << 20;

/// A frame of so many objects of so many bytes.
fn frame(objects: usize, bytes: usize) -> Frame {
    let row = Row {
        id: ObjectId::hash(HashAlgo::Sha256, b""),
        kind: ObjectKind::Block,
        bytes: bytes as u32,
    };
    let mut rows = Vec::with_capacity(objects);
    rows.resize(objects, row);
    let head = Head::nowhere(Codec::Raw, rows, Vec::new());
    let mut frame = Frame::default();
    frame
        .decompress_from(Path::new("f"), head, &vec![1; objects * bytes], &NoBases)
        .unwrap();
    frame
}

/// One that takes so much memory.
fn taking(bytes: usize) -> Arc<Loaded> {
    let frame = frame(1, bytes - size_of::<Row>());
    assert_eq!(frame.memory_bytes(), bytes);
    Arc::new(Loaded::Whole(frame))
}

fn kept<const N: usize>(cache: &FrameCache, keys: [u32; N]) -> [bool; N] {
    keys.map(|key| cache.get((key, 64)).is_some())
}

fn filled() -> FrameCache {
    let cache = FrameCache::default();
    (0..3).for_each(|key| cache.put((key, 64), taking(8 * MIB)));
    cache
}

#[test]
fn a_frame_takes_its_bytes_and_its_rows() {
    let frame = frame(3, 100);
    assert_eq!((frame.count(), frame.raw_bytes()), (3, 300));
    assert_eq!(frame.memory_bytes(), 300 + 3 * size_of::<Row>());
    let none = Frame::default();
    assert_eq!((none.count(), none.raw_bytes(), none.memory_bytes()), (0, 0, 0));
}

#[test]
fn frames_are_kept_up_to_a_limit_of_bytes_and_the_one_used_last_stays() {
    let cache = filled();
    assert_eq!(kept(&cache, [0, 1, 2]), [true; 3], "they fit exactly");
    // The order in which they were used is now 1, 2, 0.
    cache.get((0, 64)).unwrap();
    cache.put((3, 64), taking(200));
    assert_eq!(kept(&cache, [1, 2, 0, 3]), [false, true, true, true]);
    // As many go as are in the way of a longer one.
    let cache = filled();
    cache.put((3, 64), taking(10 * MIB));
    assert_eq!(kept(&cache, [0, 1, 2, 3]), [false, false, true, true]);
    // One that is longer than all together takes their place.
    let cache = filled();
    cache.put((3, 64), taking(25 * MIB));
    assert_eq!(kept(&cache, [0, 1, 2, 3]), [false, false, false, true]);
}

#[test]
fn no_more_than_so_many_frames_are_kept() {
    let cache = FrameCache::default();
    for key in 0..256 {
        cache.put((key, 64), taking(100));
    }
    assert_eq!(kept(&cache, [0]), [true]);
    // The order in which they were used begins with 1 now.
    cache.put((256, 64), taking(100));
    let all = (0..=256).filter(|key| *key != 1);
    assert_eq!(kept(&cache, [1]), [false]);
    assert!(all.into_iter().all(|key| cache.get((key, 64)).is_some()));
}

#[test]
fn a_frame_that_two_have_read_is_kept_once() {
    let cache = filled();
    cache.put((1, 64), taking(8 * MIB));
    assert_eq!(kept(&cache, [0, 1, 2]), [true; 3]);
}

#[test]
fn a_buffer_is_given_away_where_it_fits_and_nobody_reads_it() {
    let of_room = |cache: &FrameCache, bytes: usize| cache.make_room(bytes).map(|frame| frame.memory_bytes());
    assert_eq!(of_room(&filled(), 8 * MIB), Some(8 * MIB));
    assert_eq!(of_room(&filled(), 4 * MIB), Some(8 * MIB));
    assert_eq!(of_room(&filled(), 4 * MIB - 1), None, "it is much too long");
    assert_eq!(of_room(&filled(), 8 * MIB + 1), None, "it is too short");
    for is_read in [false, true] {
        let cache = FrameCache::default();
        cache.put((0, 64), taking(20 * MIB));
        let read = cache.get((0, 64)).filter(|_| is_read);
        assert_eq!(of_room(&cache, 12 * MIB).is_some(), read.is_none());
        assert_eq!(kept(&cache, [0]), [false]);
    }
    let cache = FrameCache::default();
    assert_eq!(of_room(&cache, 8 * MIB), None, "there is none");
    cache.put((0, 64), taking(8 * MIB));
    assert_eq!(of_room(&cache, 8 * MIB), None, "there is room");
    assert_eq!(kept(&cache, [0]), [true]);
}

#[test]
fn what_a_frame_was_decompressed_with_goes_to_the_next() {
    let store = open(&disk());
    let ids = add(&store, 96..97);
    let (file, head) = store.head(store.locate(&ids[0].0).unwrap().unwrap()).unwrap();
    assert_eq!(head.header.codec, Codec::Zstd);
    let mut frame = Frame::default();
    frame.read_payload(&file, head, &NoBases).unwrap();
    let mut scratch = Scratch::default();
    let unused = format!("{scratch:?}");
    frame.swap_scratch(&mut scratch);
    assert_ne!(format!("{scratch:?}"), unused, "it holds what was read");
    frame.swap_scratch(&mut scratch);
    assert_eq!(format!("{scratch:?}"), unused);
    assert_eq!(frame.payload(), block(96));
}

#[test]
fn a_frame_that_is_cleared_holds_nothing() {
    let mut frame = frame(3, 100);
    assert_eq!(format!("{frame:?}"), "Frame(3 objects, 300 bytes)");
    assert_eq!(frame.objects().count(), 3);
    frame.clear();
    assert_eq!(format!("{frame:?}"), "Frame(0 objects, 0 bytes)");
    assert!(frame.objects().next().is_none() && frame.object(0).is_none());
    assert!(frame.payload().is_empty() && frame.rows().is_empty());
}
