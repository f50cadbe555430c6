//! Delta frames that lie: about their bases, about how deep they are, about what they give.

use super::super::world::*;
use super::packs::{Case, Object, id, leaf, pack_of, sealed, top};
use super::peer::{Script, attack, push_head, to};
use crate::limits::DELTA_DEPTH_MAX;
use crate::object::{ContentRef, Node, ObjectId, ObjectKind};
use crate::remote::message::{self, PushHead};
use crate::remote::policy::Policy;
use crate::store::data::delta::Encoder;
use crate::store::data::format::{Part, Row};
use crate::store::data::write::Sealed;

/// An object of a delta frame: its bytes, what it is made from, and the zstd frame that gives it.
struct Made {
    row: Row,
    bases: Vec<Row>,
    stored: Vec<u8>,
}

fn row(bytes: &[u8]) -> Row {
    Row {
        id: id(bytes),
        kind: ObjectKind::Block,
        bytes: bytes.len() as u32,
    }
}

fn made(bytes: &[u8], bases: &[&[u8]]) -> Made {
    let prefix = bases.concat();
    let mut stored = Vec::new();
    Encoder::new(3).compress(&prefix, bytes, &mut stored).unwrap();
    Made {
        row: row(bytes),
        bases: bases.iter().map(|base| row(base)).collect(),
        stored,
    }
}

fn frame(objects: &[Made], change: impl Fn(Part) -> Part) -> Sealed {
    let (mut table, mut parts, mut bases, mut stored) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    for made in objects {
        made.row.encode(&mut table);
        let part = Part {
            stored_bytes: made.stored.len() as u32,
            first: count,
            count: made.bases.len() as u8,
            depth: 1,
            weight: 1 + made.bases.len() as u16,
        };
        change(part).encode(&mut parts);
        made.bases.iter().for_each(|row| row.encode(&mut bases));
        count += made.bases.len() as u16;
        stored.extend_from_slice(&made.stored);
    }
    table.append(&mut parts);
    table.append(&mut bases);
    let raw: u32 = objects.iter().map(|made| made.row.bytes).sum();
    Sealed::delta(count, raw, objects.len() as u32, table, stored)
}

fn honest(part: Part) -> Part {
    part
}

const A: &[u8] = b"a line that stands for itself, and that others are like";
const B: &[u8] = b"a line that stands by itself, and that others are like";
const C: &[u8] = b"a line that stands by itself, and that nobody else is like";

/// A snapshot with one file for each of these, without their blocks.
fn around(contents: &[&[u8]]) -> (Vec<Object>, ObjectId) {
    let names: Vec<Vec<u8>> = (0..contents.len()).map(|n| format!("f{n:02}").into_bytes()).collect();
    let node = |bytes: &[u8]| Node::File {
        content: ContentRef::Block {
            id: id(bytes),
            bytes: bytes.len() as u64,
        },
        fullhash: None,
    };
    let entries: Vec<(&[u8], Node)> = names
        .iter()
        .zip(contents)
        .map(|(name, bytes)| (name.as_slice(), node(bytes)))
        .collect();
    let tree = leaf(&entries);
    let snapshot = top(&tree, &[]);
    let tip = id(&snapshot.1);
    (vec![snapshot, tree], tip)
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut with = |name, expected, contents: &[&[u8]], frames: Vec<Sealed>| {
        let (objects, tip) = around(contents);
        let mut all = vec![sealed(&objects)];
        all.extend(frames);
        let pack = pack_of(&all);
        cases.push(Case {
            name,
            pack,
            tip,
            expected,
        });
    };
    let block = |bytes: &[u8]| sealed(&[(ObjectKind::Block, bytes.to_vec())]);
    with(
        "a base that nobody has",
        "no such base",
        &[B],
        vec![frame(&[made(B, &[A])], honest)],
    );
    with(
        "a base that comes later",
        "no such base",
        &[A, B],
        vec![frame(&[made(B, &[A])], honest), block(A)],
    );
    with(
        "two that are made from each other",
        "no such base",
        &[A, B],
        vec![frame(&[made(A, &[B]), made(B, &[A])], honest)],
    );
    with(
        "two frames that are",
        "no such base",
        &[A, B],
        vec![frame(&[made(A, &[B])], honest), frame(&[made(B, &[A])], honest)],
    );
    with(
        "one made from itself",
        "made from itself",
        &[A],
        vec![frame(&[made(A, &[A])], honest)],
    );
    with("bytes of another object", "another hash", &[A, B], {
        let mut lie = made(C, &[A]);
        lie.row = Row {
            bytes: C.len() as u32,
            ..row(B)
        };
        vec![block(A), frame(&[lie], honest)]
    });
    with("a base of another length", "", &[A, B], {
        let mut lie = made(B, &[A]);
        lie.bases[0].bytes -= 1;
        vec![block(A), frame(&[lie], honest)]
    });
    with("a bomb", "zstd", &[A, B], {
        let mut lie = made(&vec![0; 8 << 20], &[A]);
        lie.row = row(B);
        vec![block(A), frame(&[lie], honest)]
    });
    with("what is no zstd", "zstd", &[A, B], {
        let mut lie = made(B, &[A]);
        lie.stored.fill(7);
        vec![block(A), frame(&[lie], honest)]
    });
    with("parts that do not add up", "payload", &[A, B], {
        let lie = |part: Part| Part {
            stored_bytes: part.stored_bytes + 1,
            ..part
        };
        vec![block(A), frame(&[made(B, &[A])], lie)]
    });
    with("a depth over the limit", "limits", &[A, B], {
        let lie = |part: Part| Part {
            depth: DELTA_DEPTH_MAX + 1,
            ..part
        };
        vec![block(A), frame(&[made(B, &[A])], lie)]
    });
    with("bases beyond the table", "limits", &[A, B], {
        let lie = |part: Part| Part { first: 1, ..part };
        vec![block(A), frame(&[made(B, &[A])], lie)]
    });
    with("bases of 17 MiB", "bases for object", &[A, B], {
        let mut lie = made(B, &[A, A]);
        for base in &mut lie.bases {
            base.bytes = 9 << 20;
        }
        vec![block(A), frame(&[lie], honest)]
    });
    cases
}

fn push_of(number: u8, tip: ObjectId, pack: &[u8]) -> Vec<u8> {
    let head = PushHead {
        push_id: [number; 16],
        ..push_head(to(MAIN, None, Some(tip)))
    };
    let script = Script::greeted().open(message::PUSH).data(1, &head.encode());
    script.data(1, pack).end(1).bytes
}

#[test]
fn delta_frames_of_hostile_peers_are_refused() {
    let remote = Side::new(2);
    remote.commit("refs/snapshots/kept", &[("k", b"kept")]);
    let exports = exports(&remote, Policy::default());
    let before = remote.refs();
    for (number, case) in (0..).zip(cases()) {
        let error = attack(&exports, &push_of(number, case.tip, &case.pack)).expect_err(case.name);
        let error = error.to_string();
        assert!(error.contains(case.expected), "{}: {error}", case.name);
        assert_eq!(remote.refs(), before, "{}", case.name);
    }
    remote.verify();
}

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
    std::sync::Arc::get_mut(&mut closed.export).unwrap().repository = remote.open_without_deltas();
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

/// Each frame is one deeper than the last, and each says that it is the first.
#[test]
fn chains_that_say_they_are_short_are_not_taken_over_as_they_are() {
    let remote = Side::new(2);
    let versions: Vec<Vec<u8>> = (0..60u8).map(|n| [A, &[b'0' + n]].concat()).collect();
    let contents: Vec<&[u8]> = versions.iter().map(Vec::as_slice).collect();
    let (objects, tip) = around(&contents);
    let mut frames = vec![sealed(&objects), sealed(&[(ObjectKind::Block, versions[0].clone())])];
    for pair in versions.windows(2) {
        frames.push(frame(&[made(&pair[1], &[&pair[0]])], honest));
    }
    let exports = exports(&remote, Policy::default());
    attack(&exports, &push_of(1, tip, &pack_of(&frames))).unwrap();
    remote.verify();
    let store = remote.open().store;
    let depth = |bytes: &Vec<u8>| {
        let (mut at, mut depth) = (store.locate(&id(bytes)).unwrap().unwrap(), 0);
        while let Some(base) = store.bases_at(at).unwrap().first() {
            at = store.locate(&base.id).unwrap().unwrap();
            depth += 1;
        }
        depth
    };
    assert!(versions.iter().all(|bytes| depth(bytes) <= u32::from(DELTA_DEPTH_MAX)));
}
