//! Delta frames that are sound, odd or too deep, and those whose bases are hurt where they arrive.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::objects::Asked;
use super::super::world::*;
use super::deltas::{A, B, C, Made, around, block_of, frame, honest, made, push_of, row};
use super::packs::{Object, block, id, pack_of, sealed};
use super::peer::{attack, fetch_from, listing};
use crate::disk::OpenMode;
use crate::error::Result;
use crate::limits::{DELTA_BASES_MAX, DELTA_DEPTH_MAX, DELTA_WEIGHT_MAX};
use crate::object::{ObjectId, ObjectKind};
use crate::remote::message;
use crate::remote::policy::Policy;
use crate::store::Store;
use crate::store::data::format::{FRAME_HEADER_BYTES, Part};

#[test]
fn sound_delta_frames_come_through_and_need_be_asked_for() {
    let remote = Side::new(2);
    let (objects, tip) = around(&[A, B, C]);
    let deeper = |part: Part| Part {
        depth: 2,
        weight: 3,
        ..part
    };
    let plain = sealed(&[(ObjectKind::Block, A.to_vec())]);
    let frames = [
        sealed(&objects),
        plain,
        frame(&[made(B, &[A])], honest),
        frame(&[made(C, &[B])], deeper),
    ];
    let pack = pack_of(&frames);
    let mut closed = exports(&remote, Policy::default());
    Arc::get_mut(&mut closed.export).unwrap().repository = remote.open_without_deltas();
    let error = attack(&closed, &push_of(1, tip, &pack)).unwrap_err().to_string();
    assert!(error.contains("leans on others"), "{error}");
    drop(closed);
    let open = exports(&remote, Policy::default());
    attack(&open, &push_of(2, tip, &pack)).unwrap();
    remote.verify();
    let store = remote.open().store;
    let at = store.locate(&id(C)).unwrap().unwrap();
    assert_eq!(store.bases_at(at).unwrap(), [row(B)]);
}

/// One byte string may be stored as two kinds, and a prefix may repeat itself: neither is a lie.
#[test]
fn a_base_of_another_kind_and_one_that_is_repeated_are_read_as_they_are() {
    let remote = Side::new(2);
    let (objects, tip) = around(&[A, B, C]);
    let mut of_a_tree = made(B, &[A]);
    of_a_tree.bases[0].kind = ObjectKind::Tree;
    let frames = [
        sealed(&objects),
        block_of(A),
        frame(&[of_a_tree], honest),
        frame(&[made(C, &[A; DELTA_BASES_MAX])], honest),
    ];
    let exports = exports(&remote, Policy::default());
    attack(&exports, &push_of(1, tip, &pack_of(&frames))).unwrap();
    remote.verify();
    let store = remote.open().store;
    assert_eq!(
        store.bases_at(store.locate(&id(C)).unwrap().unwrap()).unwrap().len(),
        DELTA_BASES_MAX
    );
    for bytes in [A, B, C] {
        assert_eq!(store.get(&id(bytes)).unwrap().as_deref(), Some(bytes));
    }
}

/// Hands a pack to a repository in both ways, and gives it after each.
fn taken_over(tip: ObjectId, pack: &[u8]) -> [Side; 2] {
    let (local, remote) = (Side::new(1), Side::new(2));
    attack(&exports(&remote, Policy::default()), &push_of(1, tip, pack)).unwrap();
    fetch_from(&local, listing(tip).encode(), pack).unwrap();
    [local, remote]
}

/// How deep an object really lies, and how many objects getting it takes.
fn cost(store: &Store, object: &ObjectId, known: &mut HashMap<ObjectId, (u32, u64)>) -> (u32, u64) {
    if let Some(cost) = known.get(object) {
        return *cost;
    }
    let (mut depth, mut weight) = (0, 1);
    for base in store.bases_at(store.locate(object).unwrap().unwrap()).unwrap() {
        let below = cost(store, &base.id, known);
        (depth, weight) = (depth.max(below.0 + 1), weight + below.1);
    }
    known.insert(*object, (depth, weight));
    (depth, weight)
}

fn assert_within_limits(side: &Side, objects: &[Vec<u8>]) {
    side.verify();
    let (store, mut known) = (side.open().store, HashMap::new());
    for bytes in objects {
        let (depth, weight) = cost(&store, &id(bytes), &mut known);
        assert!(
            depth <= DELTA_DEPTH_MAX.into() && weight <= DELTA_WEIGHT_MAX.into(),
            "{depth} {weight}"
        );
    }
}

/// Each frame is one deeper than the last, and each says that it is the first.
#[test]
fn chains_that_say_they_are_short_are_not_taken_over_as_they_are() {
    let versions: Vec<Vec<u8>> = (0..60u8).map(|n| [A, &[b'0' + n]].concat()).collect();
    let contents: Vec<&[u8]> = versions.iter().map(Vec::as_slice).collect();
    let (objects, tip) = around(&contents);
    let mut frames = vec![sealed(&objects), block_of(&versions[0])];
    for pair in versions.windows(2) {
        frames.push(frame(&[made(&pair[1], &[&pair[0]])], honest));
    }
    for side in taken_over(tip, &pack_of(&frames)) {
        assert_within_limits(&side, &versions);
    }
}

/// Each object of a level is made from all of the level below, and says that these stand for themselves.
#[test]
fn bushes_that_say_they_are_light_are_not_taken_over_as_they_are() {
    let object = |level: u8, n: u8| [A, &[b'0' + level, b'0' + n]].concat();
    let levels: Vec<Vec<Vec<u8>>> = (0..7).map(|level| (0..8).map(|n| object(level, n)).collect()).collect();
    let all = levels.concat();
    let contents: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let (objects, tip) = around(&contents);
    let lowest: Vec<Object> = levels[0].iter().map(|bytes| block(bytes)).collect();
    let mut frames = vec![sealed(&objects), sealed(&lowest)];
    for pair in levels.windows(2) {
        let bases: Vec<&[u8]> = pair[0].iter().map(Vec::as_slice).collect();
        let objects: Vec<Made> = pair[1].iter().map(|bytes| made(bytes, &bases)).collect();
        frames.push(frame(&objects, honest));
    }
    for side in taken_over(tip, &pack_of(&frames)) {
        assert_within_limits(&side, &all);
    }
}

/// The data file in which an object lies, and where its frame and the payload of that begin.
fn place(side: &Side, object: &ObjectId) -> (PathBuf, [u64; 2]) {
    let store = side.open().store;
    let (file, head) = store.head(store.locate(object).unwrap().unwrap()).unwrap();
    let table_end = FRAME_HEADER_BYTES + head.header.table_bytes();
    (file.path, [head.offset, head.offset + table_end as u64])
}

/// Changes a byte; once more, and it is as it was.
fn flip(side: &Side, path: &Path, at: u64) {
    let file = side.disk.open(path, OpenMode::Write).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
}

#[test]
fn differences_from_what_is_hurt_here_are_refused_until_it_is_mended() {
    let (objects, tip) = around(&[B]);
    let pack = pack_of(&[sealed(&objects), frame(&[made(B, &[A])], honest)]);
    let push = |side: &Side, number| {
        let exports = exports(side, Policy::default());
        attack(&exports, &push_of(number, tip, &pack)).map(drop)
    };
    let fetch = |side: &Side, _| fetch_from(side, listing(tip).encode(), &pack);
    type Take<'t> = &'t dyn Fn(&Side, u8) -> Result<()>;
    for (number, (what, take)) in (0..).zip([("push", &push as Take<'_>), ("fetch", &fetch)]) {
        for (part, name) in ["the header", "the bytes"].into_iter().enumerate() {
            let side = Side::new(number + 1);
            side.commit("refs/snapshots/kept", &[("a", A)]);
            let (before, (path, starts)) = (side.refs(), place(&side, &id(A)));
            let at = starts[part] + 9;
            flip(&side, &path, at);
            let told = take(&side, 1).expect_err(name).to_string();
            for wanted in [id(A).to_string(), id(B).to_string(), path.display().to_string()] {
                assert!(told.contains(&wanted), "{what}, {name}: no {wanted} in: {told}");
            }
            assert_eq!(side.refs(), before, "{what}, {name}");
            flip(&side, &path, at);
            take(&side, 2).unwrap_or_else(|error| panic!("{what}, {name}: {error}"));
            assert_ne!(side.refs(), before, "{what}, {name}");
            side.verify();
        }
    }
}

#[test]
fn objects_that_were_asked_for_do_not_come_as_differences() {
    let stream = pack_of(&[frame(&[made(B, &[A])], honest)]);
    let asked = Asked::answering(move |_, channel| {
        // It may be hung up on before all is said.
        let _ = channel.send(&stream).and_then(|()| channel.end());
        let _ = channel.reply(message::encode_ids(&[]));
    });
    let side = Side::new(3);
    side.commit(MAIN, &[("a", A)]);
    let repository = side.open();
    let writer = repository.store.writer().unwrap();
    let error = asked
        .with(|client| client.bring_objects(&writer, &[id(B)]))
        .unwrap_err();
    assert!(error.to_string().contains("leans on others"), "{error}");
    drop(writer);
    assert!(!side.open().store.contains(&id(B)).unwrap());
    side.verify();
}
