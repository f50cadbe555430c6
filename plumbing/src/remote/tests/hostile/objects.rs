//! Servers that lie about objects that are asked for by their ids, and questions that are no good.

use std::time::Duration;

use super::deltas::{self, A, B, C, block_of};
use super::packs::{Object, file, leaf, pack_of, sealed, top};
use crate::error::Error;
use crate::object::{HashAlgo, ObjectId, ObjectKind};
use crate::remote::message::{self, GetRequest};
use crate::remote::pack::PackWriter;
use crate::remote::tests::objects::{Asked, id};
use crate::remote::tests::world::*;
use crate::remote::wire::Code;
use crate::store::data::format::{Codec, FrameKind, Row};
use crate::store::data::write::Sealed;

/// A frame of blocks, each with the id that it is said to have.
fn frame(blocks: &[(ObjectId, &[u8])]) -> Sealed {
    let (mut table, mut stored) = (Vec::new(), Vec::new());
    for (id, bytes) in blocks {
        let row = Row {
            id: *id,
            kind: ObjectKind::Block,
            bytes: bytes.len() as u32,
        };
        row.encode(&mut table);
        stored.extend_from_slice(bytes);
    }
    Sealed::new(Codec::Raw, stored.len() as u32, blocks.len() as u32, table, stored)
}

fn pack(frames: &[(FrameKind, Sealed)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = PackWriter::begin(&mut out, HashAlgo::Sha256, [7; 24]).unwrap();
    for (kind, frame) in frames {
        writer.frame(*kind, frame).unwrap();
    }
    writer.finish().unwrap();
    out
}

fn blocks(blocks: &[&[u8]]) -> (FrameKind, Sealed) {
    let named: Vec<(ObjectId, &[u8])> = blocks.iter().map(|bytes| (id(bytes), *bytes)).collect();
    (FrameKind::Objects, frame(&named))
}

/// What a hostile server answers to who asks for "one" and "two": its stream, its reply, and what comes of it.
fn lies() -> Vec<(&'static str, Vec<u8>, Vec<u8>, &'static str)> {
    let none = message::encode_ids(&[]);
    let both = || pack(&[blocks(&[b"one", b"two"])]);
    let mut cut = both();
    cut.truncate(cut.len() - 70);
    let mut long = both();
    long.extend_from_slice(b"more");
    let flood: Vec<_> = (0..2000u32).map(|number| blocks(&[&number.to_le_bytes()])).collect();
    let mut huge = message::encode_ids(&[]);
    huge[0] = 0xff;
    huge.extend_from_slice(&[0xff, 0xff, 0x7f]);
    vec![
        (
            "an object under the id of another",
            pack(&[(FrameKind::Objects, frame(&[(id(b"one"), b"eno")]))]),
            none.clone(),
            "hash",
        ),
        (
            "one that nobody asked for",
            pack(&[blocks(&[b"one", b"two", b"three"])]),
            none.clone(),
            "at most 2 objects",
        ),
        (
            "another in its place",
            pack(&[blocks(&[b"one", b"ten"])]),
            none.clone(),
            "asked for",
        ),
        (
            "the same twice",
            pack(&[blocks(&[b"one"]), blocks(&[b"one"])]),
            none.clone(),
            "asked for",
        ),
        ("a flood of them", pack(&flood), none.clone(), "asked for"),
        (
            "a frame that is no objects",
            pack(&[(FrameKind::Roots, Sealed::plain(vec![0]))]),
            none.clone(),
            "frames of objects",
        ),
        (
            "nothing, and no word of it",
            pack(&[]),
            none.clone(),
            "word that it is missing",
        ),
        (
            "one, and no word of the other",
            pack(&[blocks(&[b"one"])]),
            none.clone(),
            "word that it is missing",
        ),
        (
            "both, and one called missing",
            both(),
            message::encode_ids(&[id(b"one")]),
            "was asked for",
        ),
        (
            "another one called missing",
            pack(&[]),
            message::encode_ids(&[id(b"x")]),
            "was asked for",
        ),
        ("a reply that is no list", both(), b"what?".to_vec(), "list of ids"),
        ("a reply that announces too many", pack(&[]), huge, "list of ids"),
        ("half a pack", cut, none.clone(), "a payload of 56 bytes, found 2"),
        ("no pack at all", Vec::new(), none.clone(), "the end of the stream"),
        (
            "text in its place",
            b"Welcome to this machine! Have a lot of fun.".repeat(3),
            none,
            "the magic",
        ),
    ]
}

/// What a hostile server answers to who asks for a snapshot and one behind it.
#[test]
fn history_of_hostile_servers_is_refused() {
    let tree = leaf(&[]);
    let stranger = top(&tree, &[id(b"nobody's")]);
    let first = top(&tree, &[]);
    let second = top(&tree, &[id(&first.1)]);
    let third = top(&tree, &[id(&second.1)]);
    let asked_for = id(&third.1);
    for (name, objects, expected) in [
        ("one that leads nowhere", vec![third.clone(), stranger], "behind those"),
        (
            "one that the next would lead to",
            vec![third.clone(), first.clone()],
            "behind those",
        ),
        ("a tree along with it", vec![third.clone(), tree], "what was asked for"),
        (
            "the same twice",
            vec![third.clone(), third.clone()],
            "what was asked for",
        ),
        (
            "more than was allowed",
            vec![third.clone(), second.clone(), first],
            "at most 2 objects",
        ),
        ("what is behind it alone", vec![second], "behind those"),
    ] {
        let frames: Vec<_> = objects
            .into_iter()
            .map(|object| (FrameKind::Objects, sealed(&[object])))
            .collect();
        let stream = pack(&frames);
        let asked = Asked::answering(move |request, channel| {
            assert_eq!(request.history, 1);
            let _ = channel.send(&stream).and_then(|()| channel.end());
            let _ = channel.reply(message::encode_ids(&[]));
        });
        let side = Side::new(3);
        let repository = side.open();
        let writer = repository.store.writer().unwrap();
        let done = asked.with(|client| client.bring_history(&writer, asked_for, 1));
        let error = done.expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
        side.verify();
    }
}

#[test]
fn objects_of_hostile_servers_are_refused() {
    for (name, stream, reply, expected) in lies() {
        let asked = Asked::answering(move |_, channel| {
            // It may be hung up on before all is said.
            let _ = channel.send(&stream).and_then(|()| channel.end());
            let _ = channel.reply(reply.clone());
        });
        let side = Side::new(3);
        let repository = side.open();
        let writer = repository.store.writer().unwrap();
        let ids = [id(b"one"), id(b"two")];
        let error = asked
            .with(|client| client.bring_objects(&writer, &ids))
            .expect_err(name);
        assert!(error.to_string().contains(expected), "{name}: {error}");
        writer.commit().unwrap();
        for (bytes, id) in [&b"one"[..], b"two"].into_iter().zip(ids) {
            let found = repository.store.get(&id).unwrap();
            assert!(found.is_none_or(|found| found == bytes), "{name}");
        }
        side.verify();
    }
}

/// What a hostile server answers to who asks for "one" and "two" and takes whole frames.
#[test]
fn whole_frames_of_hostile_servers_are_refused() {
    let none = message::encode_ids(&[]);
    let half = || blocks(&[b"one", b"two", b"san", b"shi"]);
    for (name, frames, expected) in [
        ("half of it", vec![half()], None),
        (
            "more than half, and less",
            vec![blocks(&[b"one", b"san"]), blocks(&[b"two"])],
            None,
        ),
        (
            "less by objects",
            vec![blocks(&[b"one", b"a", b"b"])],
            Some("asked for"),
        ),
        (
            "less by bytes",
            vec![blocks(&[b"one", b"two", b"seven!!"])],
            Some("asked for"),
        ),
        (
            "nothing of it",
            vec![half(), blocks(&[b"ten"])],
            Some("at most 4 objects"),
        ),
        ("first nothing of it", vec![blocks(&[b"ten"])], Some("asked for")),
        ("the same again", vec![half(), half()], Some("at most 4 objects")),
        (
            "a wrong hash beside",
            vec![(FrameKind::Objects, frame(&[(id(b"one"), b"one"), (id(b"san"), b"nas")]))],
            Some("hash"),
        ),
        (
            "one, and no word of the other",
            vec![blocks(&[b"one"])],
            Some("word that it is missing"),
        ),
    ] {
        let (stream, reply) = (pack(&frames), none.clone());
        let asked = Asked::answering_as(&[message::WHOLE], move |request, channel| {
            assert!(request.whole_frames && !request.leaning_frames);
            let _ = channel.send(&stream).and_then(|()| channel.end());
            let _ = channel.reply(reply.clone());
        });
        let side = Side::new(3);
        let repository = side.open();
        let writer = repository.store.writer().unwrap();
        let ids = [id(b"one"), id(b"two")];
        let done = asked.with(|client| client.bring_shown(&writer, &ids, &|_| ()));
        match (done, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{name}: {error}"),
            (done, _) => panic!("{name}: {done:?}"),
        }
        writer.commit().unwrap();
        side.verify();
    }
}

/// What a hostile server answers to who asks for A and B and takes differences.
#[test]
fn leaning_frames_of_hostile_servers_are_refused() {
    let of_a = || deltas::frame(&[deltas::made(B, &[A])], deltas::honest);
    let many: Vec<Vec<u8>> = (0..40u32).map(|n| [A, &n.to_le_bytes()].concat()).collect();
    let made_many: Vec<deltas::Made> = many.iter().map(|bytes| deltas::made(bytes, &[A])).collect();
    let mut wrong = deltas::made(B, &[A]);
    wrong.row.id = id(b"something else");
    let wrong = deltas::frame(&[wrong, deltas::made(B, &[A])], deltas::honest);
    let two_that_lean_on_each_other = [
        deltas::frame(&[deltas::made(A, &[B])], deltas::honest),
        deltas::frame(&[deltas::made(B, &[A])], deltas::honest),
    ];
    let many_trees: Vec<Object> = (0..40u8).map(|n| leaf(&[(&[b'a', n], file(b"x"))])).collect();
    for (name, frames, expected) in [
        ("behind its base", vec![block_of(A), of_a()], None),
        ("in front of it", vec![of_a(), block_of(A)], Some("no such base")),
        ("without it", vec![of_a()], Some("no such base")),
        (
            "behind another's",
            vec![block_of(A), deltas::frame(&[deltas::made(B, &[C])], deltas::honest)],
            Some("no such base"),
        ),
        ("a ring", Vec::from(two_that_lean_on_each_other), Some("no such base")),
        ("another hash", vec![block_of(A), wrong], Some("another hash")),
        (
            "more than so many are made from",
            vec![block_of(A), deltas::frame(&made_many, deltas::honest)],
            Some("asked for"),
        ),
        ("one in 40 that describe", vec![sealed(&many_trees)], Some("asked for")),
        (
            "contents beside it, and more",
            vec![block_of(A), block_of(C)],
            Some("asked for"),
        ),
    ] {
        let (stream, reply) = (pack_of(&frames), message::encode_ids(&[]));
        let asked = Asked::answering(move |request, channel| {
            assert!(request.leaning_frames);
            let _ = channel.send(&stream).and_then(|()| channel.end());
            let _ = channel.reply(reply.clone());
        });
        let side = Side::new(3);
        let repository = side.open();
        let writer = repository.store.writer().unwrap();
        let done = asked.with(|client| client.bring_shown(&writer, &[id(A), id(B)], &|_| ()));
        match (done, expected) {
            (Ok(_), None) => assert_eq!(repository.store.get(&id(B)).unwrap().as_deref(), Some(B)),
            (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{name}: {error}"),
            (done, _) => panic!("{name}: {done:?}"),
        }
    }
}

#[test]
fn a_server_that_refuses_is_quoted_and_one_that_says_nothing_is_left() {
    let asked = Asked::answering(|_, channel| channel.fail(&crate::remote::policy::forbidden("not for you")));
    let repository = Side::new(3).open();
    let writer = repository.store.writer().unwrap();
    let error = asked
        .with(|client| client.bring_objects(&writer, &[id(b"x")]))
        .unwrap_err();
    assert!(
        matches!(error, Error::Refused { code, .. } if code == Code::Forbidden as u16),
        "{error}"
    );
    // It takes the question and is silent: the clock, which is handed in, ends the wait.
    let asked = Asked::running(|connection| {
        let request = connection.accept();
        let _ = connection.accept();
        drop(request);
    });
    let connection = asked.connection.as_ref().unwrap();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| asked.with(|client| client.bring_objects(&writer, &[id(b"x")])));
        let mut now = Duration::ZERO;
        while !waiting.is_finished() {
            now += Duration::from_secs(30);
            connection.tick(now);
            std::thread::yield_now();
        }
        let error = waiting.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    });
}

#[test]
fn hostile_questions_end_in_an_error_and_the_server_goes_on() {
    let far = Side::new(2);
    far.commit(MAIN, &[("a", b"one")]);
    let asked = Asked::serving(&far);
    let ask = |bytes: &[u8]| {
        asked.with(|client| {
            let channel = client.connection.open(message::GET, &[])?;
            message::send(&channel, bytes)?;
            channel.finish(&mut |_| ())
        })
    };
    let many = [&[0][..], &[0xff, 0xff, 0xff, 0x7f]].concat();
    for (name, question) in [
        ("no bytes", &[][..]),
        ("unknown flags", &[32, 0]),
        ("more ids than the limit", &many),
        ("fewer ids than announced", &[0, 2, 1]),
        ("no id", &[0, 1, 99]),
    ] {
        let error = ask(question).expect_err(name).to_string();
        assert!(error.contains("request for objects"), "{name}: {error}");
    }
    let nowhere: Vec<ObjectId> = (0..5000u32).map(|number| id(&number.to_le_bytes())).collect();
    let request = GetRequest {
        ids: nowhere.clone(),
        ..GetRequest::default()
    };
    let reply = ask(&request.encode()).unwrap();
    let named = message::decode_ids(&reply.payload).unwrap();
    assert_eq!(named.len(), message::MISSING_NAMED_MAX, "no more than one frame holds");
    let repository = Side::new(3).open();
    let writer = repository.store.writer().unwrap();
    let brought = asked.with(|client| client.bring_objects(&writer, &nowhere)).unwrap();
    assert_eq!(brought.missing, nowhere);
}
