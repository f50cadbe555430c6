//! Objects that are stored as differences, on their way.

use super::world::*;
use crate::disk::simulated::Dice;
use crate::gc;
use crate::object::{HashAlgo, ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::refs::FORGOTTEN;
use crate::remote::policy::Policy;
use crate::retention::KeepLog;
use crate::store::data::format::{Codec, FILE_HEADER_BYTES, FrameKind};
use crate::store::{Class, Store};

/// Lines that no other seed has, of about 40 bytes each.
pub(super) fn text(seed: u64, lines: usize) -> Vec<u8> {
    let words = noise(seed, lines * 16);
    let line = |(n, words): (usize, &[u8])| format!("{n} {:032x}\n", u128::from_le_bytes(words.try_into().unwrap()));
    words
        .chunks_exact(16)
        .enumerate()
        .map(line)
        .collect::<String>()
        .into_bytes()
}

pub(super) fn edited(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.splice(at..at + 3, *b"an edit");
    bytes
}

fn id(bytes: &[u8]) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, bytes)
}

/// Stores blocks as differences from others, in one frame.
pub(super) fn like(side: &Side, pairs: &[(&[u8], &[u8])]) {
    let repository = side.open();
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    for (bytes, base) in pairs {
        packer
            .put_against(Class::Small, ObjectKind::Block, id(bytes), bytes, &[id(base)])
            .unwrap();
    }
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
}

/// Frames with differences, and the bytes of all data files.
fn stored(side: &Side) -> (usize, u64) {
    let repository = side.open();
    let (mut deltas, mut bytes) = (0, 0);
    for (file, end) in repository.store.data_files() {
        bytes += end;
        let mut at = FILE_HEADER_BYTES;
        while at < end {
            let head = file.head(at).unwrap().unwrap();
            at = head.end();
            deltas += usize::from(head.header.kind == FrameKind::Objects && head.header.codec == Codec::Delta);
        }
    }
    (deltas, bytes)
}

pub(super) fn is_delta(store: &Store, bytes: &[u8]) -> bool {
    let at = store.locate(&id(bytes)).unwrap().unwrap();
    !store.bases_at(at).unwrap().is_empty()
}

/// Twenty files, and the same with an edit in each.
fn versions() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let old: Vec<Vec<u8>> = (0..20).map(|seed| text(seed, 500)).collect();
    let new = old.iter().map(|bytes| edited(bytes, 7000)).collect();
    (old, new)
}

fn named<'f>(names: &'f [String], files: &'f [Vec<u8>]) -> Vec<(&'f str, &'f [u8])> {
    names
        .iter()
        .map(String::as_str)
        .zip(files.iter().map(Vec::as_slice))
        .collect()
}

fn names() -> Vec<String> {
    (0..20).map(|n| format!("dir{}/file{n:02}", n % 3)).collect()
}

fn pairs<'f>(new: &'f [Vec<u8>], old: &'f [Vec<u8>]) -> Vec<(&'f [u8], &'f [u8])> {
    new.iter()
        .map(Vec::as_slice)
        .zip(old.iter().map(Vec::as_slice))
        .collect()
}

/// Two versions of files here, the second as differences from the first.
fn two_versions(side: &Side) -> (ObjectId, ObjectId) {
    let (old, new) = versions();
    let first = side.commit(MAIN, &named(&names(), &old));
    like(side, &pairs(&new, &old));
    (first, side.commit(MAIN, &named(&names(), &new)))
}

#[test]
fn an_update_travels_as_it_is_stored() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let exports = exports(&remote, Policy::default());
    let (old, new) = versions();
    local.commit(MAIN, &named(&names(), &old));
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    let before = stored(&local).1;
    like(&local, &pairs(&new, &old));
    let tip = local.commit(MAIN, &named(&names(), &new));
    let (deltas, after) = stored(&local);
    assert!(deltas > 0);
    with_server(&local, &exports, |client| {
        push(client, &local, &[MAIN]).unwrap();
        let traffic = client.connection.traffic();
        // Greeting, list and answers are some hundred bytes, whatever the update.
        let wire = traffic.sent + traffic.received - 1000;
        let added = after - before;
        assert!(wire * 100 <= added * 105, "{wire} bytes on the wire for {added}");
    });
    assert_eq!(remote.get(MAIN), Some(tip));
    assert_eq!(stored(&remote).0, deltas);
    remote.verify();
    // The same the other way.
    let third = Side::new(3);
    with_server(&third, &exports, |client| fetch(client, &third).unwrap());
    assert_eq!(stored(&third).0, deltas, "both versions in one pack");
    third.verify();
    let next: Vec<Vec<u8>> = new.iter().map(|bytes| edited(bytes, 9000)).collect();
    like(&local, &pairs(&next, &new));
    local.commit(MAIN, &named(&names(), &next));
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    let fetched = with_server(&third, &exports, |client| fetch(client, &third).unwrap());
    assert!(fetched.count.bytes < 12_000, "{:?}", fetched.count);
    assert_eq!(stored(&third).0, 2 * deltas);
    third.verify();
}

#[test]
fn bases_are_found_in_what_is_older_and_in_what_did_not_change() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let exports = exports(&remote, Policy::default());
    let (kept, first) = (text(1, 2000), text(2, 2000));
    let push_it = || with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap().count);
    local.commit(MAIN, &[("keep/a", &kept), ("b", &first)]);
    push_it();
    let second = text(3, 100);
    local.commit(MAIN, &[("keep/a", &kept), ("b", &second)]);
    push_it();
    // Made from what was there two snapshots ago, and a copy of a file in a folder that stays as it is.
    let (third, copy) = (edited(&first, 500), edited(&kept, 900));
    like(&local, &[(&third, &first), (&copy, &kept)]);
    local.commit(MAIN, &[("keep/a", &kept), ("b", &third), ("new/c", &copy)]);
    let count = push_it();
    assert!(count.bytes < 2500, "{count:?}");
    let store = remote.open().store;
    assert!(is_delta(&store, &third) && is_delta(&store, &copy));
    remote.verify();
}

#[test]
fn a_peer_without_deltas_gets_none() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let (_, tip) = two_versions(&local);
    let mut plain = exports(&remote, Policy::default());
    std::sync::Arc::get_mut(&mut plain.export).unwrap().repository = remote.open_without_deltas();
    with_server(&local, &plain, |client| {
        assert!(!client.list().unwrap().knows_deltas);
        push(client, &local, &[MAIN]).unwrap();
    });
    assert_eq!((remote.get(MAIN), stored(&remote).0), (Some(tip), 0));
    remote.verify();
    // One that asks for none gets none, either.
    let third = Side::new(3);
    let full = exports(&local, Policy::default());
    with_server(&third, &full, |client| {
        fetch_by(client, &third, |fetch| fetch.deltas = false).unwrap()
    });
    assert_eq!(stored(&third).0, 0);
    third.verify();
}

#[test]
fn what_leans_on_a_tree_that_is_not_there_comes_decoded() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let (_, tip) = two_versions(&remote);
    let exports = exports(&remote, Policy::default());
    let fetch_it = || {
        with_server(&local, &exports, |client| {
            fetch_by(client, &local, |fetch| fetch.depth = Some(1)).unwrap()
        })
    };
    assert_eq!(fetch_it().bare, 1);
    assert_eq!(stored(&local).0, 0);
    local.verify();
    // What follows leans on what is here now, however deep it is there.
    let (old, new) = versions();
    let next: Vec<Vec<u8>> = new.iter().map(|bytes| edited(bytes, 9000)).collect();
    like(&remote, &pairs(&next, &new));
    remote.commit(MAIN, &named(&names(), &next));
    let count = fetch_it().count;
    assert!(count.bytes < 12_000, "{count:?}");
    let store = local.open().store;
    assert!(is_delta(&store, &next[0]) && !is_delta(&store, &new[0]));
    // Another line that goes on from the tree that is not there, with differences from that.
    let aside: Vec<Vec<u8>> = old.iter().map(|bytes| edited(bytes, 3000)).collect();
    like(&remote, &pairs(&aside, &old));
    let parent = crate::refs::revision::read_snapshot(&remote.open().store, &tip)
        .unwrap()
        .parents[0];
    let side = remote.store(&named(&names(), &aside), &[parent]);
    remote.set("refs/snapshots/aside", Some(side));
    fetch_it();
    assert!(!is_delta(&local.open().store, &aside[0]));
    local.verify();
}

#[test]
fn what_has_come_once_is_not_taken_over_as_a_difference() {
    // Here B is made from A, there A from B: together they would be a ring.
    let (local, remote) = (Side::new(1), Side::new(2));
    let (a, b) = (text(1, 500), edited(&text(1, 500), 5000));
    local.commit(MAIN, &[("x", &b)]);
    like(&local, &[(&a, &b)]);
    local.commit(MAIN, &[("x", &a)]);
    remote.commit("refs/snapshots/other", &[("y", &a)]);
    like(&remote, &[(&b, &a)]);
    remote.commit("refs/snapshots/other", &[("y", &b)]);
    let exports = exports(&remote, Policy::default());
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    remote.verify();
    with_server(&local, &exports, |client| fetch(client, &local).unwrap());
    local.verify();
}

#[test]
fn chains_that_are_deeper_here_are_cut() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let exports = exports(&remote, Policy::default());
    let mut bytes = text(1, 500);
    remote.commit(MAIN, &[("x", &bytes)]);
    for round in 0..8 {
        let next = edited(&bytes, 100 * round + 50);
        like(&remote, &[(&next, &bytes)]);
        remote.commit(MAIN, &[("x", &next)]);
        bytes = next;
    }
    // The newest stands for itself on the other side, and eight differences follow it there.
    let tip = local.commit(MAIN, &[("x", &bytes)]);
    for round in 0..8 {
        let next = edited(&bytes, 100 * round + 2050);
        like(&local, &[(&next, &bytes)]);
        local.commit(MAIN, &[("x", &next)]);
        bytes = next;
    }
    remote.set("refs/snapshots/same", Some(remote.get(MAIN).unwrap()));
    remote.store(&[("x", &text(9, 3))], &[]);
    with_server(&local, &exports, |client| {
        push_by(client, &local, &[MAIN], true).unwrap();
    });
    let _ = tip;
    remote.verify();
    // Whatever is made from what came last can be read: depths are what they are said to be.
    let more = edited(&bytes, 9);
    like(&remote, &[(&more, &bytes)]);
    remote.commit(MAIN, &[("x", &more)]);
    remote.verify();
}

#[test]
fn large_updates_are_moved_and_their_bases_stay() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let exports = exports(&remote, Policy::default());
    let (old, new) = versions();
    local.commit(MAIN, &named(&names(), &old));
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    like(&local, &pairs(&new, &old));
    let names = names();
    let mut files = named(&names, &new);
    let blocks: Vec<Vec<u8>> = (0..5).map(|seed| noise(seed + 50, 8 << 20)).collect();
    let large = ["l0", "l1", "l2", "l3", "l4"];
    files.extend(large.into_iter().zip(blocks.iter().map(Vec::as_slice)));
    local.commit(MAIN, &files);
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    assert!(stored(&remote).0 > 0);
    assert!(remote.open().format.incompatible.iter().any(|name| name == "delta"));
    remote.verify();
    // When the old version is forgotten, what the new one is made from stays, whatever gc does.
    let tip = remote.get(MAIN).unwrap();
    let parent = crate::refs::revision::read_snapshot(&remote.open().store, &tip)
        .unwrap()
        .parents[0];
    remote.set(&format!("{FORGOTTEN}{}", parent.hex()), Some(parent));
    drop(exports);
    collect(&remote);
    assert_eq!(remote.open().store.get(&id(&new[3])).unwrap().unwrap(), new[3]);
    remote.verify();
}

fn collect(side: &Side) {
    let options = gc::Options {
        unused_max: gc::Allowance::Bytes(0),
        repack_bytes_max: u64::MAX,
        keep_log: KeepLog::Nothing,
        threads: 1,
        dry_run: false,
        is_over: &|| false,
    };
    gc::run(&side.open(), &options, &Progress::default()).unwrap();
}

#[test]
fn an_update_that_breaks_goes_on_where_it_stopped() {
    let (local, remote) = (Side::new(1), Side::new(2));
    let exports = exports(&remote, Policy::default());
    let (old, new) = versions();
    local.commit(MAIN, &named(&names(), &old));
    with_server(&local, &exports, |client| push(client, &local, &[MAIN]).unwrap());
    for (new, old) in pairs(&new, &old) {
        like(&local, &[(new, old)]);
    }
    let tip = local.commit(MAIN, &named(&names(), &new));
    for cut in (600..40_000).step_by(700) {
        let cut_off = with_server_cut(&local, &exports, (cut, u64::MAX), |client| {
            push(client, &local, &[MAIN])
        });
        if cut_off.is_ok() {
            assert_eq!(remote.get(MAIN), Some(tip));
            remote.verify();
            assert!(stored(&remote).0 > 10);
            return;
        }
        assert_ne!(remote.get(MAIN), Some(tip), "cut after {cut}");
    }
    panic!("it never came to its end");
}

/// Any history goes to and fro between three repositories, with gc in between.
#[test]
fn histories_travel_whole() {
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        let sides = [Side::new(1), Side::new(2), Side::new(3)];
        let mut files: Vec<Vec<u8>> = (0..4).map(|n| text(seed * 10 + n, 120)).collect();
        let names: Vec<String> = (0..4).map(|n| format!("d{}/f{n}", n % 2)).collect();
        sides[0].commit(MAIN, &named(&names, &files));
        for _ in 0..40 {
            match dice.roll() % 5 {
                0 | 1 => {
                    let at = dice.roll() as usize % 4;
                    let new = edited(&files[at], dice.roll() as usize % 3000);
                    like(&sides[0], &[(&new, &files[at])]);
                    files[at] = new;
                    sides[0].commit(MAIN, &named(&names, &files));
                }
                2 => {
                    let exports = exports(&sides[1], Policy::default());
                    with_server(&sides[0], &exports, |client| push(client, &sides[0], &[MAIN]).unwrap());
                    sides[1].verify();
                }
                3 => {
                    let exports = exports(&sides[1], Policy::default());
                    let depth = dice.roll().is_multiple_of(3).then_some(2);
                    with_server(&sides[2], &exports, |client| {
                        fetch_by(client, &sides[2], |fetch| fetch.depth = depth).unwrap()
                    });
                    sides[2].verify();
                }
                _ => collect(&sides[dice.roll() as usize % 3]),
            }
        }
    }
}
