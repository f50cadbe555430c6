//! Delta frames that lie: about their bases, about how deep they are, about what they give.

use super::super::world::*;
use super::packs::{Case, Object, block, file, id, leaf, pack_of, sealed, top};
use super::peer::{Script, attack, fetch_from, listing, push_head, to};
use crate::error::Error;
use crate::limits::{DELTA_BASES_MAX, DELTA_DEPTH_MAX, DELTA_WEIGHT_MAX};
use crate::object::{Node, ObjectId, ObjectKind};
use crate::remote::message::{self, PushHead};
use crate::remote::policy::Policy;
use crate::store::data::delta::Encoder;
use crate::store::data::format::{PART_BYTES, Part, ROW_BYTES, Row};
use crate::store::data::write::Sealed;

/// An object of a delta frame: its bytes, what it is made from, and the zstd frame that gives it.
pub struct Made {
    pub row: Row,
    pub bases: Vec<Row>,
    pub stored: Vec<u8>,
}

pub fn row(bytes: &[u8]) -> Row {
    Row {
        id: id(bytes),
        kind: ObjectKind::Block,
        bytes: bytes.len() as u32,
    }
}

pub fn made(bytes: &[u8], bases: &[&[u8]]) -> Made {
    let prefix = bases.concat();
    let mut stored = Vec::new();
    Encoder::new(3).compress(&prefix, bytes, &mut stored).unwrap();
    Made {
        row: row(bytes),
        bases: bases.iter().map(|base| row(base)).collect(),
        stored,
    }
}

pub fn frame(objects: &[Made], change: impl Fn(Part) -> Part) -> Sealed {
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

pub fn honest(part: Part) -> Part {
    part
}

pub const A: &[u8] = b"a line that stands for itself, and that others are like";
pub const B: &[u8] = b"a line that stands by itself, and that others are like";
pub const C: &[u8] = b"a line that stands by itself, and that nobody else is like";

/// A snapshot with one file for each of these, without their blocks.
pub fn around(contents: &[&[u8]]) -> (Vec<Object>, ObjectId) {
    let names: Vec<Vec<u8>> = (0..contents.len()).map(|n| format!("f{n:02}").into_bytes()).collect();
    let entries: Vec<(&[u8], Node)> = names
        .iter()
        .zip(contents)
        .map(|(name, bytes)| (name.as_slice(), file(bytes)))
        .collect();
    let tree = leaf(&entries);
    let snapshot = top(&tree, &[]);
    let tip = id(&snapshot.1);
    (vec![snapshot, tree], tip)
}

/// A pack that is refused, with an error that names these objects.
struct Lie {
    case: Case,
    names: Vec<ObjectId>,
}

pub fn block_of(bytes: &[u8]) -> Sealed {
    sealed(&[block(bytes)])
}

/// Differences from what is not there, or not as it is said to be.
fn bad_bases() -> Vec<Lie> {
    let mut lies = Vec::new();
    let mut with = |name, expected, names: &[&[u8]], contents: &[&[u8]], frames: Vec<Sealed>| {
        lies.push(lie(name, expected, names, contents, frames));
    };
    let nobody_has = "no such base";
    with(
        "a base that nobody has",
        nobody_has,
        &[A, B],
        &[B],
        vec![frame(&[made(B, &[A])], honest)],
    );
    with(
        "a base that comes later",
        nobody_has,
        &[A, B],
        &[A, B],
        vec![frame(&[made(B, &[A])], honest), block_of(A)],
    );
    with("a base that is damaged", "another hash", &[A], &[A, B], {
        let mut base = block_of(A);
        base.stored[3] ^= 1;
        let damaged = Sealed::new(base.codec, base.raw_bytes, base.objects, base.table, base.stored);
        vec![damaged, frame(&[made(B, &[A])], honest)]
    });
    with(
        "two that are made from each other",
        nobody_has,
        &[A, B],
        &[A, B],
        vec![frame(&[made(A, &[B]), made(B, &[A])], honest)],
    );
    with(
        "two frames that are",
        nobody_has,
        &[A, B],
        &[A, B],
        vec![frame(&[made(A, &[B])], honest), frame(&[made(B, &[A])], honest)],
    );
    with(
        "a ring of three frames",
        nobody_has,
        &[A, C],
        &[A, B, C],
        vec![
            frame(&[made(A, &[C])], honest),
            frame(&[made(B, &[A])], honest),
            frame(&[made(C, &[B])], honest),
        ],
    );
    with(
        "one made from itself",
        "made from itself",
        &[A],
        &[A],
        vec![frame(&[made(A, &[A])], honest)],
    );
    for (name, bytes, expected) in [
        ("a base that is longer than is said", 54, "a base of 55 bytes, not 54"),
        ("a base that is shorter than is said", 56, "a base of 55 bytes, not 56"),
    ] {
        let mut lie = made(B, &[A]);
        lie.bases[0].bytes = bytes;
        with(
            name,
            expected,
            &[A, B],
            &[A, B],
            vec![block_of(A), frame(&[lie], honest)],
        );
    }
    with("bases of 17 MiB", "bases for object", &[B], &[A, B], {
        let mut lie = made(B, &[A, A]);
        for base in &mut lie.bases {
            base.bytes = 9 << 20;
        }
        vec![block_of(A), frame(&[lie], honest)]
    });
    lies
}

/// Differences that give something else, and tables that are over a limit.
fn bad_parts() -> Vec<Lie> {
    let mut lies = Vec::new();
    let mut with = |name, expected, names: &[&[u8]], change: &dyn Fn(&mut Made), part: fn(Part) -> Part| {
        let mut lie_of_b = made(B, &[A]);
        change(&mut lie_of_b);
        let frames = vec![block_of(A), frame(&[lie_of_b], part)];
        lies.push(lie(name, expected, names, &[A, B], frames));
    };
    let other_bytes = |made_of: &mut Made| made_of.stored = made(&C[..B.len()], &[A]).stored;
    with("bytes of another object", "another hash", &[B], &other_bytes, honest);
    let bomb = |lie: &mut Made| lie.stored = made(&vec![0; 8 << 20], &[A]).stored;
    with("a bomb", "zstd", &[B], &bomb, honest);
    let no_zstd = |lie: &mut Made| lie.stored.fill(7);
    with("what is no zstd", "zstd", &[B], &no_zstd, honest);
    let short = |lie: &mut Made| lie.stored = made(&B[..9], &[A]).stored;
    with("fewer bytes than its row says", "found 9 bytes", &[B], &short, honest);
    with("parts that do not add up", "payload", &[], &|_| (), |part| Part {
        stored_bytes: part.stored_bytes + 1,
        ..part
    });
    with("a depth over the limit", "limits", &[], &|_| (), |part| Part {
        depth: DELTA_DEPTH_MAX + 1,
        ..part
    });
    with("a weight over the limit", "limits", &[], &|_| (), |part| Part {
        weight: DELTA_WEIGHT_MAX + 1,
        ..part
    });
    with("bases beyond the table", "limits", &[], &|_| (), |part| Part {
        first: 1,
        ..part
    });
    let nine = |lie: &mut Made| lie.bases = vec![row(A); DELTA_BASES_MAX + 1];
    with("nine bases", "limits", &[], &nine, honest);
    let none = |lie: &mut Made| lie.bases.clear();
    with("no base", "0 bases in a frame of codec delta", &[], &none, honest);
    lies.push(lie("more base rows than a frame may have", "limit", &[], &[A, B], {
        let mut frame = frame(&[made(B, &[A])], honest);
        (frame.bases, frame.table) = (5000, vec![0; ROW_BYTES * 5001 + PART_BYTES]);
        vec![block_of(A), frame]
    }));
    lies
}

fn lie(name: &'static str, expected: &'static str, names: &[&[u8]], contents: &[&[u8]], frames: Vec<Sealed>) -> Lie {
    let (objects, tip) = around(contents);
    let mut all = vec![sealed(&objects)];
    all.extend(frames);
    let pack = pack_of(&all);
    let case = Case {
        name,
        pack,
        tip,
        expected,
    };
    let names = names.iter().map(|bytes| id(bytes)).collect();
    Lie { case, names }
}

fn lies() -> Vec<Lie> {
    let mut lies = bad_bases();
    lies.extend(bad_parts());
    lies
}

impl Lie {
    fn check(&self, error: &Error) {
        let (name, told) = (self.case.name, error.to_string());
        assert!(told.contains(self.case.expected), "{name}: {told}");
        for id in &self.names {
            assert!(told.contains(&id.to_string()), "{name}: no {id} in: {told}");
        }
    }
}

pub fn push_of(number: u8, tip: ObjectId, pack: &[u8]) -> Vec<u8> {
    let head = PushHead {
        push_id: [number; 16],
        ..push_head(to(MAIN, None, Some(tip)))
    };
    let script = Script::greeted().open(message::PUSH).data(1, &head.encode());
    script.data(1, pack).end(1).bytes
}

#[test]
fn delta_frames_of_hostile_clients_are_refused() {
    let remote = Side::new(2);
    remote.commit("refs/snapshots/kept", &[("k", b"kept")]);
    let exports = exports(&remote, Policy::default());
    let before = remote.refs();
    for (number, lie) in (0..).zip(lies()) {
        let push = push_of(number, lie.case.tip, &lie.case.pack);
        lie.check(&attack(&exports, &push).expect_err(lie.case.name));
        assert_eq!(remote.refs(), before, "{}", lie.case.name);
    }
    remote.verify();
}

#[test]
fn delta_frames_of_hostile_servers_are_refused() {
    for lie in lies() {
        let local = Side::new(1);
        local.commit(MAIN, &[("k", b"kept")]);
        let before = local.refs();
        let fetched = fetch_from(&local, listing(lie.case.tip).encode(), &lie.case.pack);
        lie.check(&fetched.expect_err(lie.case.name));
        assert_eq!(local.refs(), before, "{}", lie.case.name);
        local.verify();
    }
}
