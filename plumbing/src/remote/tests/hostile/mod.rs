//! Peers that lie, in both directions: whatever they send ends in an error that says why, no ref changes, and what was
//! stored is whole.
//!
//! - [`bases`]: differences that are odd, or lean on what is hurt where they arrive
//! - [`packs`]: packs that are refused
//! - [`deltas`]: the same of objects that are made from others
//! - [`objects`]: answers and questions about objects by their ids
//! - [`peer`]: clients and servers that say what a test tells them to
//! - [`requests`]: requests and lists of refs that are refused

mod bases;
mod deltas;
mod objects;
mod packs;
mod peer;
mod requests;

use self::packs::{block, directory, file, id, leaf, pack_cases, pack_of, sealed, sound, top};
use self::peer::{Script, attack, fetch_from, listing, push_head, to};
use super::world::*;
use crate::remote::message::{self, PushHead};
use crate::remote::policy::Policy;

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
