//! Pushes and fetches that go well.

use super::world::*;
use crate::error::Error;
use crate::object::{ObjectKind, ObjectSource};
use crate::remote::client::{Deepen, Fetch};
use crate::remote::message::{GetRequest, Have};
use crate::remote::policy::Policy;
use crate::store::data::format::FrameKind;

#[test]
fn a_first_push_brings_everything_and_an_empty_one_nothing() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let tip = local.commit(MAIN, &[("a", b"one"), ("dir/b", &noise(1, 300_000)), ("empty", b"")]);
    let exports = exports(&remote, Policy::default());
    let pushed = with_server(&local, &exports, |client| {
        let pushed = push(client, &local, &[MAIN]).unwrap();
        assert_eq!(client.connection.traffic().round_trips, 2);
        pushed
    });
    assert_eq!(pushed.snapshots, 1);
    assert!(
        pushed.count.bytes > 300_000 && pushed.count.bytes < 310_000,
        "{:?}",
        pushed.count
    );
    assert_eq!(remote.get(MAIN), Some(tip));
    remote.verify();
    assert_eq!(
        *exports.received.lock(),
        [format!("pre {MAIN}"), format!("update {MAIN}"), format!("post {MAIN}")]
    );
    with_server(&local, &exports, |client| {
        assert!(push(client, &local, &[MAIN]).unwrap().reply.is_none());
        let traffic = client.connection.traffic();
        assert!(
            traffic.round_trips == 1 && traffic.sent + traffic.received < 1000,
            "{traffic:?}"
        );
    });
}

#[test]
fn an_update_brings_what_changed_and_frames_as_they_are() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let (old, new) = (noise(1, 200_000), noise(2, 100_000));
    local.commit(MAIN, &[("keep", &old), ("dir/x", b"1"), ("gone/y", b"2")]);
    let exports = exports(&remote, Policy::default());
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    // One file moves, one is new, one is changed; a second snapshot follows at once.
    local.commit(
        MAIN,
        &[("keep", &old), ("dir/x", b"3"), ("moved/y", b"2"), ("new", &new)],
    );
    let tip = local.commit(
        MAIN,
        &[("keep", &old), ("dir/x", b"4"), ("moved/y", b"2"), ("new", &new)],
    );
    let pushed = with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    assert_eq!(pushed.snapshots, 2);
    assert!(
        pushed.count.bytes > 100_000 && pushed.count.bytes < 105_000,
        "{:?}",
        pushed.count
    );
    assert_eq!(remote.get(MAIN), Some(tip));
    remote.verify();
    // The frame with the new file arrived as it is stored here.
    let digests = |side: &Side| {
        let mut found = Vec::new();
        for (file, end) in side.open().store.data_files() {
            let mut at = 64;
            while at < end {
                let head = file.head(at).unwrap().unwrap();
                at = head.end();
                if head.header.kind == FrameKind::Objects && head.rows.iter().any(|row| row.bytes == 100_000) {
                    found.push(head.header.digest);
                }
            }
        }
        found
    };
    assert_eq!(digests(&local), digests(&remote));
}

#[test]
fn a_fetch_mirrors_lines_and_tags() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let first = remote.commit(MAIN, &[("a", b"1")]);
    remote.set("refs/tags/v1", Some(first));
    remote.commit("refs/snapshots/side", &[("b", b"2")]);
    let exports = exports(&remote, Policy::default());
    with_server(&local, &exports, |client| fetch(client, &local).unwrap());
    let second = remote.commit(MAIN, &[("a", b"1"), ("c", &noise(3, 50_000))]);
    remote.set("refs/tags/v1", Some(second));
    let fetched = with_server(&local, &exports, |client| fetch(client, &local).unwrap());
    assert_eq!((fetched.snapshots, fetched.changes.len()), (1, 1));
    assert!(fetched.count.bytes < 52_000);
    assert_eq!(local.get("refs/remotes/origin/main"), Some(second));
    assert_eq!(local.get("refs/tags/v1"), Some(first), "a tag stays what it is");
    local.verify();
    let again = with_server(&local, &exports, |client| fetch(client, &local).unwrap());
    assert!(again.sequence.is_none() && again.changes.is_empty());
}

#[test]
fn large_transfers_are_moved_into_the_store_and_not_copied() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let blocks: Vec<Vec<u8>> = (0..5).map(|seed| noise(seed, 8 << 20)).collect();
    let names = ["a", "b", "c", "d", "e"];
    let files: Vec<(&str, &[u8])> = names.into_iter().zip(blocks.iter().map(Vec::as_slice)).collect();
    remote.commit(MAIN, &files);
    let exports = exports(&remote, Policy::default());
    with_server(&local, &exports, |client| fetch(client, &local).unwrap());
    local.verify();
    // What is in the store is found by whoever opens it, and nothing waits in quarantine.
    let key = remote.open().format.uuid;
    assert!(!crate::remote::quarantine::Quarantine::is_there(&local.open(), &key).unwrap());
}

#[test]
fn snapshots_of_ghosts_and_blocks_that_are_not_wanted() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let id = local.store_as(&[("a", b"never stored"), ("d/empty", b"")], &[], true);
    local.set(MAIN, Some(id));
    let files: &[(&str, &[u8])] = &[("a", b"never stored"), ("b", b"stored")];
    let full = local.store(files, &[id]);
    local.set("refs/snapshots/full", Some(full));
    let exports = exports(&remote, Policy::default());
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    remote.verify();
    // The blocks that the first lacks come with the second, though its tree was there.
    with_server(&local, &exports, |client| {
        push(client, &local, &["refs/snapshots/full"]).unwrap()
    });
    remote.verify();
    // A ref follows a snapshot of ghosts without its blocks, and no other: what a ref names is whole.
    let third = Side::new(3);
    with_server(&third, &exports, |client| {
        let error = fetch_by(client, &third, |fetch| fetch.without_blocks = true).unwrap_err();
        assert!(
            matches!(error, Error::Incomplete { target, .. } if target == full),
            "{error}"
        );
        assert!(third.refs().is_empty());
    });
    let fourth = Side::new(4);
    with_server(&fourth, &exports, |client| {
        let by_id = |fetch: &mut Fetch| {
            fetch.without_blocks = true;
            fetch.mappings.retain(|mapping| mapping.theirs == MAIN);
            fetch.ids.push(full);
        };
        fetch_by(client, &fourth, by_id).unwrap();
    });
    assert_eq!(fourth.refs(), [("refs/remotes/origin/main".to_owned(), id)]);
    fourth.verify();
    let repository = fourth.open();
    assert!(repository.store.contains(&full).unwrap());
    let block = crate::object::ObjectId::hash(crate::object::HashAlgo::Sha256, b"stored");
    assert!(!repository.store.contains(&block).unwrap());
    // It comes when it is asked for, with its hash checked.
    let mut got = Vec::new();
    with_server(&fourth, &exports, |client| {
        let request = GetRequest {
            ids: vec![block],
            ..GetRequest::default()
        };
        client
            .get(&request, &mut |kind, id, bytes| {
                got.push((kind, id, bytes.to_vec()));
                Ok(())
            })
            .unwrap();
    });
    assert_eq!(got, [(ObjectKind::Block, block, b"stored".to_vec())]);
}

#[test]
fn histories_are_cut_where_it_is_asked_for() {
    let (local, remote) = (Side::new(1), Side::new(2));
    for n in 0..5u8 {
        remote.commit(MAIN, &[("a", &[n]), ("b", &noise(u64::from(n), 10_000))]);
    }
    let exports = exports(&remote, Policy::default());
    let fetched = with_server(&local, &exports, |client| {
        fetch_by(client, &local, |fetch| fetch.depth = Some(2)).unwrap()
    });
    assert_eq!((fetched.snapshots, fetched.bare), (5, 3));
    assert!(fetched.count.bytes < 25_000, "{:?}", fetched.count);
    local.verify();
}

#[test]
fn what_was_left_behind_is_brought_later() {
    let (local, remote) = (Side::new(1), Side::new(2));
    for n in 0..6u8 {
        remote.commit(MAIN, &[("a", &[n]), ("b", &noise(u64::from(n), 10_000))]);
    }
    let exports = exports(&remote, Policy::default());
    with_server(&local, &exports, |client| {
        fetch_by(client, &local, |fetch| fetch.depth = Some(1)).unwrap();
        let left = || local.open().refs.list(crate::refs::FORGOTTEN).unwrap().len();
        let listing = client.list().unwrap();
        let deepen = |more| {
            let wish = Deepen {
                tips: vec![local.get("refs/remotes/origin/main").unwrap()],
                more,
                who: who(),
                message: "deepen".to_owned(),
            };
            client.deepen(&local.open(), &listing, &wish).unwrap()
        };
        assert_eq!(left(), 5);
        let done = deepen(Some(2));
        assert_eq!((done.snapshots, left()), (2, 3));
        assert!(
            done.count.bytes > 20_000 && done.count.bytes < 25_000,
            "{:?}",
            done.count
        );
        local.verify();
        assert_eq!((deepen(None).snapshots, left()), (3, 0));
        let again = deepen(None);
        assert!(again.snapshots == 0 && again.sequence.is_none());
    });
    local.verify();
    // What the other side has forgotten itself stays behind.
    let third = Side::new(3);
    let tip = remote.get(MAIN).unwrap();
    let parent = crate::refs::revision::read_snapshot(&remote.open().store, &tip)
        .unwrap()
        .parents[0];
    remote.set(&crate::refs::forgotten_ref(&parent), Some(parent));
    with_server(&third, &exports, |client| {
        fetch_by(client, &third, |fetch| fetch.depth = Some(1)).unwrap();
        let wish = Deepen {
            tips: vec![third.get("refs/remotes/origin/main").unwrap()],
            more: None,
            who: who(),
            message: String::new(),
        };
        let listing = client.list().unwrap();
        let done = client.deepen(&third.open(), &listing, &wish).unwrap();
        assert_eq!(done.snapshots, 4);
    });
    third.verify();
}

#[test]
fn lines_that_were_pushed_by_others_are_built_upon() {
    let (one, two, remote) = (Side::new(1), Side::new(2), Side::new(3));
    let exports = exports(&remote, Policy::default());
    let base = noise(7, 100_000);
    one.commit(MAIN, &[("base", &base)]);
    with_server(&one, &exports, |client| push(client, &one, &[MAIN]).unwrap());
    with_server(&two, &exports, |client| fetch(client, &two).unwrap());
    let tip = two.get("refs/remotes/origin/main").unwrap();
    // Two goes on and pushes; one does not know of it and pushes a line of its own.
    let next = two.store(&[("base", &base), ("two", b"2")], &[tip]);
    two.set(MAIN, Some(next));
    with_server(&two, &exports, |client| push(client, &two, &[MAIN]).unwrap());
    one.commit("refs/snapshots/other", &[("base", &base), ("one", b"1")]);
    one.commit(MAIN, &[("base", &base), ("one", b"x")]);
    with_server(&one, &exports, |client| {
        let error = push(client, &one, &[MAIN]).unwrap_err();
        assert!(error.to_string().contains("the lines have parted"), "{error}");
        // What the server has of the history is asked for, so the base does not travel again.
        let pushed = push_by(client, &one, &[MAIN], true).unwrap();
        assert!(pushed.count.bytes < 5000, "{:?}", pushed.count);
        assert_eq!(
            client.have(&[tip, next, one.get(MAIN).unwrap()]).unwrap(),
            [Have::Whole, Have::Object, Have::Whole]
        );
    });
    remote.verify();
}

#[test]
fn repositories_have_names_and_strangers_none() {
    let (local, remote) = (Side::new(1), Side::new(2));
    remote.commit(MAIN, &[("a", b"1")]);
    let exports = exports(&remote, Policy::default());
    with_server(&local, &exports, |client| {
        let status = client.status().unwrap();
        assert!(
            status.contains(r#""name":"main""#) && status.contains(r#""refs":"1""#),
            "{status}"
        );
        let error = client
            .connection
            .open(99, b"")
            .unwrap()
            .finish(&mut |_| ())
            .unwrap_err();
        assert!(matches!(error, Error::Refused { code: 2, .. }), "{error}");
        assert!(client.list().is_ok());
    });
    assert!(
        local
            .open()
            .store
            .object(ObjectKind::Snapshot, &remote.get(MAIN).unwrap())
            .is_err()
    );
}
