//! Peers that lie, in both directions: whatever they send ends in an error that says why, no ref changes, and what was
//! stored is whole.

use std::io::{Read, Write, pipe};

use super::world::*;
use crate::error::{Error, Result};
use crate::object::codec::{put_bytes, put_varint};
use crate::object::{ContentRef, HashAlgo, Indirect, Node, ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::remote::message::{self, Listing, PushChange, PushHead};
use crate::remote::pack::PackWriter;
use crate::remote::policy::Policy;
use crate::remote::server::serve;
use crate::remote::wire::failure::Failure;
use crate::remote::wire::format::{Frame, FrameType, Greeting};
use crate::remote::wire::{Connection, Limits, Role};
use crate::store::data::format::{Codec, FrameKind, Row};
use crate::store::data::write::Sealed;

/// A pack, the tip that is asked for or pushed with it, and a part of the error that it must end in.
struct Case {
    name: &'static str,
    pack: Vec<u8>,
    tip: ObjectId,
    expected: &'static str,
}

type Object = (ObjectKind, Vec<u8>);

fn id(bytes: &[u8]) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, bytes)
}

/// A frame with these objects, as they are.
fn sealed(objects: &[Object]) -> Sealed {
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

fn pack_of(frames: &[Sealed]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = PackWriter::begin(&mut out, HashAlgo::Sha256, [7; 24]).unwrap();
    for frame in frames {
        writer.frame(FrameKind::Objects, frame).unwrap();
    }
    writer.finish().unwrap();
    out
}

/// A node of a directory with these entries, which may be anything.
fn leaf(entries: &[(&[u8], Node)]) -> Object {
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

fn file(content: &[u8]) -> Node {
    Node::File {
        content: ContentRef::Block {
            id: id(content),
            bytes: content.len() as u64,
        },
        fullhash: None,
    }
}

fn directory(tree: &Object) -> Node {
    Node::Directory { tree: id(&tree.1) }
}

fn top(tree: &Object, parents: &[ObjectId]) -> Object {
    (ObjectKind::Snapshot, snapshot(id(&tree.1), parents, false).encode())
}

fn block(bytes: &[u8]) -> Object {
    (ObjectKind::Block, bytes.to_vec())
}

/// Objects that are whole and connected.
fn sound() -> (Vec<Object>, ObjectId) {
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

fn pack_cases() -> Vec<Case> {
    let mut cases = lying_frames();
    cases.extend(hurt_packs());
    cases.extend(bad_objects());
    cases
}

/// What a peer says: frames, numbered as they are written.
#[derive(Default)]
struct Script {
    bytes: Vec<u8>,
    frames: u64,
}

impl Script {
    fn greeted() -> Self {
        Self {
            bytes: Greeting::new("hostile", 64 << 20).encode(),
            frames: 0,
        }
    }

    fn say(mut self, kind: FrameType, channel: u32, payload: &[u8]) -> Self {
        let frame = Frame::new(kind, channel, payload.to_vec());
        frame.write(&mut self.bytes, self.frames).unwrap();
        self.frames += 1;
        self
    }

    fn open(self, method: u64) -> Self {
        let mut payload = Vec::new();
        put_varint(&mut payload, method);
        self.say(FrameType::Open, 1, &payload)
    }

    fn data(mut self, channel: u32, bytes: &[u8]) -> Self {
        for piece in bytes.chunks(60_000) {
            self = self.say(FrameType::Data, channel, piece);
        }
        self
    }

    fn end(self, channel: u32) -> Self {
        self.say(FrameType::End, channel, b"")
    }
}

/// What a server says to a script, until it answers the first request or hangs up: its reply, or its error.
fn attack(exports: &One, script: &[u8]) -> Result<Vec<u8>> {
    let (mut client_in, server_out) = pipe().unwrap();
    let (server_in, mut client_out) = pipe().unwrap();
    std::thread::scope(|threads| {
        let serving = threads.spawn(|| {
            let greeting = Greeting::new("server", 1 << 20);
            let connection = Connection::start(Role::Server, server_in, server_out, &greeting, Limits::default());
            serve(&connection, exports, &Progress::default())
        });
        let writing = threads.spawn(move || {
            // It may hang up before it heard all.
            let _ = client_out.write_all(script);
            client_out
        });
        let answer = first_answer(&mut client_in);
        drop(writing.join().unwrap());
        // What it says after that is of no interest, but it must not wait to say it.
        let _ = std::io::copy(&mut client_in, &mut std::io::sink());
        let served = serving.join().unwrap();
        match answer {
            Some(answer) => answer,
            None => Err(served.expect_err("it hung up without a word")),
        }
    })
}

fn first_answer(input: &mut dyn Read) -> Option<Result<Vec<u8>>> {
    Greeting::read(input).ok()?;
    for number in 0.. {
        let frame = Frame::read(input, number).ok()??;
        match frame.kind {
            FrameType::Reply => return Some(Ok(frame.payload)),
            FrameType::Error => return Some(Err(Failure::decode(&frame.payload).unwrap().into_error())),
            _ => {}
        }
    }
    None
}

fn push_head(change: Option<PushChange>) -> PushHead {
    PushHead {
        push_id: [3; 16],
        who: who(),
        message: String::new(),
        changes: change.into_iter().collect(),
        roots: Vec::new(),
        has_pack: true,
    }
}

fn to(name: &str, expected: Option<ObjectId>, new: Option<ObjectId>) -> Option<PushChange> {
    Some(PushChange {
        name: name.to_owned(),
        expected,
        new,
        force: true,
    })
}

#[test]
fn sound_scripts_are_answered() {
    let (objects, tip) = sound();
    let remote = Side::new(2);
    let exports = exports(&remote, Policy::default());
    let head = push_head(to(MAIN, None, Some(tip)));
    let pack = pack_of(&[sealed(&objects)]);
    let script = Script::greeted()
        .open(message::PUSH)
        .data(1, &head.encode())
        .data(1, &pack)
        .end(1);
    let reply = attack(&exports, &script.bytes).unwrap();
    assert_eq!(reply, [1, 0, 3], "the first record, made now, with three objects");
    assert_eq!(remote.get(MAIN), Some(tip));
    remote.verify();
}

#[test]
fn packs_of_hostile_clients_are_refused() {
    let remote = Side::new(2);
    remote.commit("refs/snapshots/kept", &[("k", b"kept")]);
    let exports = exports(&remote, Policy::default());
    let before = remote.refs();
    for (number, case) in (0..).zip(pack_cases()) {
        // Each is a push of its own: whole frames of one that failed would be taken up by the next with its id.
        let head = PushHead {
            push_id: [number; 16],
            ..push_head(to(MAIN, None, Some(case.tip)))
        };
        let script = Script::greeted()
            .open(message::PUSH)
            .data(1, &head.encode())
            .data(1, &case.pack)
            .end(1);
        let error = attack(&exports, &script.bytes).expect_err(case.name).to_string();
        assert!(error.contains(case.expected), "{}: {error}", case.name);
        assert_eq!(remote.refs(), before, "{}", case.name);
    }
    remote.verify();
}

#[test]
fn packs_of_hostile_servers_are_refused() {
    for case in pack_cases() {
        let local = Side::new(1);
        local.commit(MAIN, &[("k", b"kept")]);
        let before = local.refs();
        let error = fetch_from(&local, listing(case.tip).encode(), &case.pack)
            .unwrap_err()
            .to_string();
        assert!(error.contains(case.expected), "{}: {error}", case.name);
        assert_eq!(local.refs(), before, "{}", case.name);
        local.verify();
    }
    let (objects, tip) = sound();
    let local = Side::new(1);
    fetch_from(&local, listing(tip).encode(), &pack_of(&[sealed(&objects)])).unwrap();
    assert_eq!(local.get("refs/remotes/origin/main"), Some(tip));
}

fn listing(tip: ObjectId) -> Listing {
    Listing {
        uuid: [5; 16],
        hash: HashAlgo::Sha256,
        is_append_only: false,
        is_read_only: false,
        sequence: 1,
        line: MAIN.to_owned(),
        refs: vec![(MAIN.to_owned(), tip)],
        held: Vec::new(),
    }
}

/// Fetches from a server that says these bytes, whatever it is asked.
fn fetch_from(local: &Side, listing: Vec<u8>, pack: &[u8]) -> Result<()> {
    let (client_in, mut server_out) = pipe().unwrap();
    let (mut server_in, client_out) = pipe().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let first = Script::greeted();
            let mut said = first.bytes.len();
            let _ = server_out.write_all(&first.bytes);
            let first = first.data_after(&mut said, &mut server_out, &mut server_in, 1, &listing);
            first.data_after(&mut said, &mut server_out, &mut server_in, 3, pack);
            drop(server_out);
            let _ = std::io::copy(&mut server_in, &mut std::io::sink());
        });
        let connection = Connection::start(Role::Client, client_in, client_out, &greeting(local), Limits::default());
        let progress = Progress::default();
        let result = fetch(&crate::remote::client::Client::new(&connection, &progress), local);
        drop(connection);
        result.map(drop)
    })
}

impl Script {
    /// Waits until the client has opened a channel, and answers it with a stream and a reply.
    fn data_after(
        self,
        said: &mut usize,
        out: &mut dyn Write,
        input: &mut dyn Read,
        channel: u32,
        bytes: &[u8],
    ) -> Self {
        // The greeting comes once; whatever is read here is only waited for.
        let mut heard = [0; 1 << 16];
        while input.read(&mut heard).is_ok_and(|count| count > 0) {
            let open = heard.windows(5).any(|bytes| bytes == [1, 0, 0, 0, channel as u8]);
            if open {
                break;
            }
        }
        let script = self
            .data(channel, bytes)
            .end(channel)
            .say(FrameType::Reply, channel, b"");
        let _ = out.write_all(&script.bytes[*said..]);
        *said = script.bytes.len();
        script
    }
}

#[test]
fn hostile_lists_of_refs_are_refused() {
    let (objects, tip) = sound();
    let pack = pack_of(&[sealed(&objects)]);
    let good = listing(tip);
    let named = |names: &[&str]| {
        let refs = names.iter().map(|name| ((*name).to_owned(), tip)).collect();
        Listing { refs, ..good.clone() }.encode()
    };
    let mut endless = good.encode();
    let at = 16 + 1 + 1 + 1 + 1 + MAIN.len();
    endless.splice(at..at + 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a ref outside of refs", named(&["heads/main"])),
        ("a ref that climbs", named(&["refs/snapshots/../../config"])),
        ("a ref that steers a terminal", named(&["refs/snapshots/\x1b[2J"])),
        ("a ref with a line end", named(&["refs/snapshots/a\nb"])),
        ("refs out of order", named(&["refs/snapshots/b", "refs/snapshots/a"])),
        ("a ref twice", named(&["refs/snapshots/a", "refs/snapshots/a"])),
        ("2^63 refs", endless),
        ("a list that is cut off", good.encode()[..40].to_vec()),
        ("a list with more behind it", [good.encode(), vec![0]].concat()),
        ("an unknown hash", {
            let mut bytes = good.encode();
            bytes[16] = 99;
            bytes
        }),
    ];
    for (name, bytes) in cases {
        let local = Side::new(1);
        let error = fetch_from(&local, bytes, &pack).unwrap_err();
        assert!(
            matches!(error, Error::Malformed { .. } | Error::Invalid { .. }),
            "{name}: {error}"
        );
        assert!(local.refs().is_empty(), "{name}");
    }
}

#[test]
fn hostile_requests_are_refused_and_the_server_goes_on() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let tip = remote.commit(MAIN, &[("k", b"kept")]);
    let exports = exports(&remote, Policy::default());
    let before = remote.refs();
    let ask = |method, bytes: &[u8]| Script::greeted().open(method).data(1, bytes).end(1).bytes;
    let mut huge = Vec::new();
    put_varint(&mut huge, 0);
    put_varint(&mut huge, 0);
    put_varint(&mut huge, 1 << 62);
    let head = |change| push_head(change).encode();
    let mut unsorted = push_head(None);
    unsorted.changes.extend(to("refs/snapshots/b", None, Some(tip)));
    unsorted.changes.extend(to("refs/snapshots/a", None, Some(tip)));
    let other = id(b"other");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("2^62 ids", ask(message::FETCH, &huge), "limit"),
        (
            "a snapshot that nobody has",
            ask(message::FETCH, &{
                let request = message::FetchRequest {
                    wants: vec![other],
                    ..Default::default()
                };
                request.encode()
            }),
            "not in this repository",
        ),
        ("nothing where ids should be", ask(message::HAVE, b""), "expected"),
        ("ids of an unknown hash", ask(message::HAVE, &[1, 99, 0, 0]), ""),
        ("bytes instead of a request", ask(message::GET, b"\xff\xff\xff"), ""),
        ("a head of 4 GiB", ask(message::PUSH, &[0xff; 8]), "at most"),
        (
            "a head that ends",
            ask(message::PUSH, &[200, 0, 0, 0, 1, 2]),
            "head of 200",
        ),
        (
            "a ref outside of refs",
            ask(message::PUSH, &head(to("config", None, Some(tip)))),
            "ref name",
        ),
        (
            "a ref that climbs",
            ask(message::PUSH, &head(to("refs/a/../b", None, Some(tip)))),
            "ref name",
        ),
        (
            "refs out of order",
            ask(message::PUSH, &unsorted.encode()),
            "out of order",
        ),
        (
            "a value that nobody has",
            ask(message::PUSH, &{
                let mut head = push_head(to("refs/snapshots/x", None, Some(other)));
                head.has_pack = false;
                head.encode()
            }),
            "not in this repository",
        ),
        (
            "a stale value",
            ask(message::PUSH, &head(to(MAIN, Some(other), Some(tip)))),
            "moved",
        ),
        (
            "a value where there is none",
            ask(message::PUSH, &head(to("refs/snapshots/x", Some(tip), Some(tip)))),
            "moved",
        ),
        ("an unknown request", ask(4711, b""), "request 4711"),
        (
            "an answer from who asks",
            Script::greeted()
                .open(message::PUSH)
                .say(FrameType::Reply, 1, b"")
                .bytes,
            "",
        ),
        (
            "an even channel",
            Script::greeted().say(FrameType::Open, 2, &[1]).bytes,
            "odd channel",
        ),
        (
            "data for nobody",
            Script::greeted().say(FrameType::Data, 9, b"x").bytes,
            "an open channel",
        ),
        (
            "a channel twice",
            Script::greeted().open(message::HAVE).open(message::HAVE).bytes,
            "odd channel",
        ),
        (
            "more than was granted",
            Script::greeted()
                .open(message::PUSH)
                .data(1, &vec![0xff; 3 << 20])
                .bytes,
            "",
        ),
        (
            "a newer greeting",
            {
                let mut greeting = Greeting::new("x", 1 << 20);
                (greeting.version, greeting.version_min) = (8, 8);
                greeting.encode()
            },
            "wire protocol 8",
        ),
        (
            "a browser",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "GET / HTTP/1.1",
        ),
        (
            "a repository that climbs",
            Greeting::new("x", 1 << 20)
                .with(message::REPOSITORY, "../../etc")
                .encode(),
            "repository",
        ),
    ];
    for (name, script, expected) in cases {
        let error = attack(&exports, &script).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert!(!error.chars().any(char::is_control), "{name}: {error}");
        assert_eq!(remote.refs(), before, "{name}");
    }
    with_server(&local, &exports, |client| fetch(client, &local).unwrap());
    remote.verify();
}

#[test]
fn a_tree_that_would_unfold_to_more_than_all_disks_is_walked_in_no_time() {
    let mut objects = vec![block(b"x"), leaf(&[(b"f", file(b"x"))])];
    for _ in 0..200 {
        let child = objects.last().unwrap().clone();
        objects.push(leaf(&[(b"a", directory(&child)), (b"b", directory(&child))]));
    }
    let snapshot = top(objects.last().unwrap(), &[]);
    let tip = id(&snapshot.1);
    objects.push(snapshot);
    let pack = pack_of(&[sealed(&objects)]);
    let local = Side::new(1);
    fetch_from(&local, listing(tip).encode(), &pack).unwrap();
    assert_eq!(local.get("refs/remotes/origin/main"), Some(tip));
    // One that comes with too many objects is stopped on the way.
    let remote = Side::new(2);
    let mut exports = exports(&remote, Policy::default());
    let export = std::sync::Arc::get_mut(&mut exports.export).unwrap();
    export.limits.objects = 100;
    let head = push_head(to(MAIN, None, Some(tip)));
    let script = Script::greeted()
        .open(message::PUSH)
        .data(1, &head.encode())
        .data(1, &pack)
        .end(1);
    let error = attack(&exports, &script.bytes).unwrap_err().to_string();
    assert!(
        error.contains("at most 100 objects") && remote.refs().is_empty(),
        "{error}"
    );
}
