//! Requests and lists of refs that no honest peer would send.

use super::super::world::*;
use super::packs::{id, pack_of, sealed, sound};
use super::peer::{Script, attack, fetch_from, listing, push_head, to};
use crate::error::Error;
use crate::object::codec::put_varint;
use crate::remote::message::{self, Listing};
use crate::remote::policy::Policy;
use crate::remote::wire::format::{FrameType, Greeting};

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
