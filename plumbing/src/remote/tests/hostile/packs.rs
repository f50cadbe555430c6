//! Packs that lie: about their frames, about their bytes, about what their objects name.

use super::super::world::*;
use crate::object::codec::{put_bytes, put_varint};
use crate::object::{ContentRef, HashAlgo, Indirect, Node, ObjectId, ObjectKind};
use crate::remote::pack::PackWriter;
use crate::store::data::format::{Codec, FrameKind, Row};
use crate::store::data::write::Sealed;

/// A pack, the tip that is asked for or pushed with it, and a part of the error that it must end in.
pub struct Case {
    pub name: &'static str,
    pub pack: Vec<u8>,
    pub tip: ObjectId,
    pub expected: &'static str,
}

pub type Object = (ObjectKind, Vec<u8>);

pub fn id(bytes: &[u8]) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, bytes)
}

/// A frame with these objects, as they are.
pub fn sealed(objects: &[Object]) -> Sealed {
    let (mut table, mut stored) = (Vec::new(), Vec::new());
    for (kind, bytes) in objects {
        let row = Row {
            id: id(bytes),
            kind: *kind,
            bytes: bytes.len() as u32,
        };
        row.encode(&mut table);
        stored.extend_from_slice(bytes);
    }
    Sealed::new(Codec::Raw, stored.len() as u32, objects.len() as u32, table, stored)
}

pub fn pack_of(frames: &[Sealed]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = PackWriter::begin(&mut out, HashAlgo::Sha256, [7; 24]).unwrap();
    for frame in frames {
        writer.frame(FrameKind::Objects, frame).unwrap();
    }
    writer.finish().unwrap();
    out
}

/// A node of a directory with these entries, which may be anything.
pub fn leaf(entries: &[(&[u8], Node)]) -> Object {
    let mut bytes = vec![1, 0];
    for (name, node) in entries {
        let encoded = {
            let mut out = Vec::new();
            entry("x", node.clone()).encode(&mut out);
            out
        };
        // The name comes first: a length and one byte.
        put_bytes(&mut bytes, name);
        bytes.extend_from_slice(&encoded[2..]);
    }
    (ObjectKind::Tree, bytes)
}

pub fn file(content: &[u8]) -> Node {
    Node::File {
        content: ContentRef::Block {
            id: id(content),
            bytes: content.len() as u64,
        },
        fullhash: None,
    }
}

pub fn directory(tree: &Object) -> Node {
    Node::Directory { tree: id(&tree.1) }
}

pub fn top(tree: &Object, parents: &[ObjectId]) -> Object {
    (ObjectKind::Snapshot, snapshot(id(&tree.1), parents, false).encode())
}

pub fn block(bytes: &[u8]) -> Object {
    (ObjectKind::Block, bytes.to_vec())
}

/// Objects that are whole and connected.
pub fn sound() -> (Vec<Object>, ObjectId) {
    let tree = leaf(&[(b"a", file(b"content"))]);
    let snapshot = top(&tree, &[]);
    let tip = id(&snapshot.1);
    (vec![snapshot, tree, block(b"content")], tip)
}

/// Frames that lie about themselves.
fn lying_frames() -> Vec<Case> {
    let (objects, tip) = sound();
    let mut cases = Vec::new();
    let mut lie = |name, expected, change: &dyn Fn(&mut Sealed)| {
        let mut frame = sealed(&objects);
        change(&mut frame);
        let pack = pack_of(&[frame]);
        cases.push(Case {
            name,
            pack,
            tip,
            expected,
        });
    };
    let again = |frame: &mut Sealed| {
        let (codec, raw) = (frame.codec, frame.raw_bytes);
        *frame = Sealed::new(codec, raw, frame.objects, frame.table.clone(), frame.stored.clone());
    };
    lie("a digest that is wrong", "digest", &|frame| frame.digest[3] ^= 1);
    lie("an object with another hash", "hash", &|frame| {
        frame.table[5] ^= 1;
        again(frame);
    });
    lie("bytes of another object", "hash", &|frame| {
        frame.stored[2] ^= 1;
        again(frame);
    });
    lie("a payload that is said to be longer", "payload", &|frame| {
        frame.raw_bytes += 5
    });
    lie("a payload of 2 GiB", "limit", &|frame| {
        frame.raw_bytes = i32::MAX as u32
    });
    lie("more objects than a frame may have", "limit", &|frame| {
        frame.objects = 5000;
        frame.table.resize(5000 * 36, 0);
    });
    lie("lengths that do not add up", "payload", &|frame| {
        frame.table[32] ^= 1;
        again(frame);
    });
    lie("a kind that nobody knows", "row", &|frame| {
        frame.table[35] |= 0x1e;
        again(frame);
    });
    lie("a hash that nobody knows", "row", &|frame| {
        frame.table[35] |= 0xe0;
        again(frame);
    });
    lie("an object longer than a block", "row", &|frame| {
        frame.table[32..35].copy_from_slice(&[0xff; 3]);
        frame.table[35] |= 1;
        again(frame);
    });
    lie("what is no zstd", "zstd", &|frame| {
        frame.codec = Codec::Zstd;
        again(frame);
    });
    lie("a bomb", "zstd", &|frame| {
        frame.codec = Codec::Zstd;
        frame.stored = zstd::bulk::compress(&vec![0; 8 << 20], 3).unwrap();
        again(frame);
    });
    lie("zstd that ends early", "payload", &|frame| {
        frame.codec = Codec::Zstd;
        frame.stored = zstd::bulk::compress(b"short", 3).unwrap();
        again(frame);
    });
    lie("raw bytes of another length", "raw bytes", &|frame| {
        frame.stored.push(0);
        again(frame);
    });
    cases
}

/// Packs that were hurt or cut, or are of another time.
fn hurt_packs() -> Vec<Case> {
    let (objects, tip) = sound();
    let whole = pack_of(&[sealed(&objects[..1]), sealed(&objects[1..])]);
    let mut cases = Vec::new();
    let mut hurt = |name, expected, change: &dyn Fn(&mut Vec<u8>)| {
        let mut pack = whole.clone();
        change(&mut pack);
        cases.push(Case {
            name,
            pack,
            tip,
            expected,
        });
    };
    hurt("nothing at all", "the end of the stream", &|pack| pack.clear());
    hurt("half a header", "the end of the stream", &|pack| pack.truncate(30));
    hurt("another magic", "magic", &|pack| pack[0] ^= 1);
    hurt("a header check that is wrong", "check", &|pack| pack[60] ^= 1);
    hurt("a newer version", "version", &|pack| {
        pack[8] = 9;
        let check = xxhash_rust::xxh3::xxh3_64(&pack[..56]);
        pack[56..64].copy_from_slice(&check.to_le_bytes());
    });
    hurt("a frame without its magic", "magic", &|pack| pack[64] ^= 1);
    hurt("a frame of an unknown type", "type of frame", &|pack| pack[72] = 9);
    hurt("a frame of an unknown codec", "codec", &|pack| pack[73] = 9);
    hurt("bases in a frame that has none", "bases", &|pack| pack[74] = 1);
    hurt("a stored length of 4 GiB", "limit", &|pack| pack[84..88].fill(0xff));
    hurt("a frame check that is wrong", "check", &|pack| pack[128] ^= 1);
    hurt("half of it", "the end of the stream", &|pack| {
        pack.truncate(pack.len() / 2)
    });
    hurt("no commit record", "the end of the stream", &|pack| {
        pack.truncate(pack.len() - 144)
    });
    hurt("a commit record cut off", "", &|pack| pack.truncate(pack.len() - 20));
    hurt("a trailer that is wrong", "length of the frame", &|pack| {
        let end = pack.len();
        pack[end - 1] ^= 1;
    });
    // A commit record of another pack, whose frames are not these.
    let other = pack_of(&[sealed(&objects)]);
    let mut mixed = pack_of(&[sealed(&objects)]);
    mixed.truncate(whole.len() - 144);
    mixed.extend_from_slice(&other[other.len() - 144..]);
    cases.push(Case {
        name: "a commit record of another place",
        pack: mixed,
        tip,
        expected: "",
    });
    cases
}

/// Objects that hash well and name what is not there, or what may not be.
fn bad_objects() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut with = |name, expected, objects: Vec<Object>| {
        let tip = id(&objects[0].1);
        let pack = pack_of(&[sealed(&objects)]);
        cases.push(Case {
            name,
            pack,
            tip,
            expected,
        });
    };
    let good = leaf(&[(b"a", file(b"content"))]);
    with("a tree that is missing", "tree", vec![top(&good, &[])]);
    with("a block that is missing", "block", vec![top(&good, &[]), good.clone()]);
    let above = leaf(&[(b"d", directory(&good))]);
    with(
        "a folder that is missing",
        "tree",
        vec![top(&above, &[]), above.clone(), block(b"content")],
    );
    let nobody = id(b"nobody");
    with(
        "a parent that is missing",
        "snapshot",
        vec![top(&good, &[nobody]), good.clone(), block(b"content")],
    );
    for (name, names) in [
        ("the name of the folder above", vec![&b".."[..]]),
        ("the name of this folder", vec![b"."]),
        ("a name with a slash", vec![b"a/b"]),
        ("a name with NUL", vec![b"a\0b"]),
        ("no name", vec![b""]),
        ("the name of a repository", vec![b".GHOST"]),
    ] {
        let entries: Vec<(&[u8], Node)> = names.into_iter().map(|name| (name, file(b"content"))).collect();
        let tree = leaf(&entries);
        with(name, "unsafe name", vec![top(&tree, &[]), tree, block(b"content")]);
    }
    let twice = leaf(&[(b"a", file(b"content")), (b"a", file(b"content"))]);
    with("a name twice", "", vec![top(&twice, &[]), twice, block(b"content")]);
    let unsorted = leaf(&[(b"b", file(b"content")), (b"a", file(b"content"))]);
    with(
        "names out of order",
        "",
        vec![top(&unsorted, &[]), unsorted, block(b"content")],
    );
    let cut = (ObjectKind::Tree, good.1[..good.1.len() - 1].to_vec());
    with(
        "a tree that is cut off",
        "",
        vec![top(&cut, &[]), cut, block(b"content")],
    );
    let mut long = good.clone();
    long.1.push(0);
    with(
        "a tree with more behind it",
        "",
        vec![top(&long, &[]), long, block(b"content")],
    );
    let node = |level: u8, child: &Object| {
        let mut bytes = vec![1, level];
        for name in [&b"a"[..], b"b"] {
            put_bytes(&mut bytes, name);
            put_varint(&mut bytes, 1);
            id(&child.1).encode(&mut bytes);
        }
        (ObjectKind::Tree, bytes)
    };
    let low = node(3, &good);
    let high = node(3, &low);
    with(
        "a node below its own level",
        "level",
        vec![top(&high, &[]), high, low, good.clone(), block(b"content")],
    );
    with("a block where a snapshot is asked for", "", vec![block(b"just bytes")]);
    let list = Indirect {
        depth: 1,
        refs: vec![
            ContentRef::Block { id: nobody, bytes: 3 },
            ContentRef::Run { byte: 0, bytes: 9 },
        ],
    };
    let list = (ObjectKind::Indirect, list.encode());
    let indirect = |bytes| Node::File {
        content: ContentRef::Indirect {
            id: id(&list.1),
            depth: 1,
            bytes,
        },
        fullhash: None,
    };
    let tree = leaf(&[(b"a", indirect(12))]);
    with(
        "a part of a file that is missing",
        "block",
        vec![top(&tree, &[]), tree, list.clone()],
    );
    let tree = leaf(&[(b"a", indirect(13))]);
    with(
        "a file of another length than its parts",
        "",
        vec![top(&tree, &[]), tree, list.clone()],
    );
    let tree = leaf(&[(b"a", indirect(12))]);
    with("a list that is missing", "indirect", vec![top(&tree, &[]), tree]);
    cases
}

pub fn pack_cases() -> Vec<Case> {
    let mut cases = lying_frames();
    cases.extend(hurt_packs());
    cases.extend(bad_objects());
    cases
}
