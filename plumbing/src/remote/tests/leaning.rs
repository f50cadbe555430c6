//! Differences that come as they are stored, to who asks for single objects. Who lies about them: [`super::hostile`].

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::deltas::{edited, is_delta, like, text};
use super::objects::{Asked, id, reader, spool};
use super::world::*;
use crate::object::{ObjectId, ObjectKind, ObjectSource as _};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::remote::objects::ahead::Ahead;
use crate::remote::objects::walk::{Below, bring_trees};
use crate::store::Store;

/// Ten files in one frame, then versions of the first two: each made from the one before.
struct World {
    far: Side,
    /// Of the same age each.
    versions: Vec<[Vec<u8>; 2]>,
    others: Vec<Vec<u8>>,
}

fn world(count: usize) -> World {
    let far = Side::new(2);
    let mut versions = vec![[text(100, 300), text(101, 300)]];
    let others: Vec<Vec<u8>> = (0..8).map(|seed| text(seed, 300)).collect();
    let names: Vec<String> = (0..8).map(|n| format!("other{n}")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("a", &versions[0][0]), ("b", &versions[0][1])];
    files.extend(names.iter().map(String::as_str).zip(others.iter().map(Vec::as_slice)));
    far.commit(MAIN, &files);
    for n in 0..count {
        let old = &versions[n];
        let new = [edited(&old[0], 500 * n + 1000), edited(&old[1], 500 * n + 1000)];
        like(&far, &[(&new[0], &old[0]), (&new[1], &old[1])]);
        versions.push(new);
    }
    World { far, versions, others }
}

impl World {
    fn others(&self) -> impl Iterator<Item = ObjectId> {
        self.others.iter().map(|bytes| id(bytes))
    }
}

fn read(store: &Store, bytes: &[u8]) {
    assert_eq!(store.object(ObjectKind::Block, &id(bytes)).unwrap(), bytes);
}

#[test]
fn differences_come_behind_the_frame_that_they_are_made_from() {
    let world = world(3);
    let [old, .., new] = &world.versions[..] else { panic!() };
    let wanted: Vec<ObjectId> = world.others().chain(new.iter().map(|bytes| id(bytes))).collect();
    for is_older in [false, true] {
        let asked = Arc::new(match is_older {
            false => Asked::serving(&world.far),
            true => Asked::serving_as_before(&world.far),
        });
        let (_side, repository) = reader(&asked, spool(1 << 20));
        let store = &repository.store;
        store.bring(&wanted).unwrap();
        for bytes in new {
            assert_eq!(is_delta(store, bytes), !is_older);
            read(store, bytes);
        }
        // Those between come along, as what the last ones are made from, and those that are in the frame.
        for bytes in &world.versions[1] {
            assert_eq!(store.locate(&id(bytes)).unwrap().is_some(), !is_older);
        }
        old.iter().chain(&world.others).for_each(|bytes| read(store, bytes));
    }
}

#[test]
fn a_difference_alone_comes_decoded() {
    let world = world(2);
    let asked = Arc::new(Asked::serving(&world.far));
    let (_side, repository) = reader(&asked, spool(1 << 20));
    let store = &repository.store;
    let [first, second] = &world.versions[2];
    store.bring(&[id(first), id(second)]).unwrap();
    assert!(!is_delta(store, first) && !is_delta(store, second));
    read(store, first);
    read(store, second);
    // So does one that is made from very many: they would all have to come along.
    let world = self::world(20);
    let asked = Arc::new(Asked::serving(&world.far));
    let (_side, repository) = reader(&asked, spool(1 << 20));
    let newest = world.versions.last().unwrap();
    let wanted: Vec<ObjectId> = world.others().chain(newest.iter().map(|bytes| id(bytes))).collect();
    repository.store.bring(&wanted).unwrap();
    newest.iter().for_each(|bytes| read(&repository.store, bytes));
}

#[test]
fn what_is_made_from_two_frames_comes_behind_both() {
    let far = Side::new(2);
    let halves = [text(1, 400), text(2, 400)];
    far.commit(MAIN, &[("a", &halves[0])]);
    far.commit("refs/snapshots/other", &[("b", &halves[1])]);
    let joined = halves.concat();
    {
        let repository = far.open();
        let writer = repository.store.writer().unwrap();
        let mut packer = writer.packer();
        let bases = [id(&halves[0]), id(&halves[1])];
        let class = crate::store::Class::Small;
        packer
            .put_against(class, ObjectKind::Block, id(&joined), &joined, &bases)
            .unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
    }
    assert!(is_delta(&far.open().store, &joined));
    let asked = Arc::new(Asked::serving(&far));
    let (_side, repository) = reader(&asked, spool(1 << 20));
    let wanted = [id(&joined), id(&halves[0]), id(&halves[1])];
    repository.store.bring(&wanted).unwrap();
    assert!(is_delta(&repository.store, &joined));
    read(&repository.store, &joined);
}

/// A repository that is filled holds what it asked for, and no more.
#[test]
fn who_fills_a_repository_gets_no_differences() {
    let world = world(1);
    let asked = Asked::serving(&world.far);
    let target = Side::new(3);
    let store = target.open().store;
    let writer = store.writer().unwrap();
    let new = &world.versions[1];
    let wanted: Vec<ObjectId> = world.others().chain(new.iter().map(|bytes| id(bytes))).collect();
    let brought = asked.with(|client| client.bring_objects(&writer, &wanted)).unwrap();
    assert_eq!(brought.objects, wanted.len() as u64);
    writer.commit().unwrap();
    assert!(new.iter().all(|bytes| !is_delta(&store, bytes)));
}

/// Directories that were not asked for come with those that were, so that the next levels are here.
#[test]
fn a_tree_comes_in_few_answers() {
    let far = Side::new(2);
    let tip = far.commit(MAIN, &[("a/x", b"1"), ("b/x", b"2"), ("c/x", b"3")]);
    for (asked, expected) in [(Asked::serving(&far), 2), (Asked::serving_as_before(&far), 3)] {
        let asked = Arc::new(asked);
        let (_side, repository) = reader(&asked, spool(1 << 20));
        let tree = read_snapshot(&repository.store, &tip).unwrap().tree;
        bring_trees(&repository.store, &[tree], Below::Lists, &Progress::default()).unwrap();
        assert_eq!(
            asked.questions.load(Relaxed),
            expected,
            "the snapshot, and what is below"
        );
        assert!(repository.store.locate(&id(b"1")).unwrap().is_none());
    }
}

#[test]
fn a_question_asked_ahead_is_taken_up_once() {
    let far = Side::new(2);
    far.commit(MAIN, &[("a", b"one"), ("b", b"two"), ("c", b"three")]);
    far.commit(MAIN, &[("d", &noise(4, 4000))]);
    let asked = Asked::serving(&far);
    let target = Side::new(3);
    let store = target.open().store;
    let writer = store.writer().unwrap();
    let [one, two, three, nowhere] = [&b"one"[..], b"two", b"three", b"nowhere"].map(id);
    let four = id(&noise(4, 4000));
    // In front of the connection: it ends when nothing is asked any more.
    let ahead = Ahead::default();
    asked.with(|client| {
        client.ask_ahead(&ahead, &[one, two, nowhere], &[]);
        client.ask_ahead(&ahead, &[three], &[]);
        let questions = || client.connection.traffic().round_trips;
        let before = questions();
        let brought = client.bring_ahead(&ahead, &writer, &[two, nowhere], &|_| ()).unwrap();
        assert_eq!(brought.missing, [nowhere]);
        assert_eq!(questions(), before + 1);
        // It is gone now: this one is asked anew.
        let brought = client.bring_ahead(&ahead, &writer, &[nowhere], &|_| ()).unwrap();
        assert_eq!((brought.missing, brought.objects), (vec![nowhere], 0));
        // What is needed and was not asked for ahead comes, too, if it is less than half.
        client.ask_ahead(&ahead, &[one, two], &[]);
        let before = questions();
        let wanted = [one, two, four];
        let brought = client.bring_ahead(&ahead, &writer, &wanted, &|_| ()).unwrap();
        assert_eq!(
            (brought.missing, brought.objects),
            (vec![], 4),
            "three lies beside two of them"
        );
        assert_eq!(questions(), before + 2, "one answer, and one for the rest");
    });
    writer.commit().unwrap();
    for bytes in [&b"one"[..], b"two"] {
        assert!(store.contains(&id(bytes)).unwrap());
    }
}

/// Three of ten files in a frame are asked for, and later the others.
#[test]
fn who_will_ask_for_the_rest_is_brought_it_before() {
    let far = Side::new(2);
    let contents: Vec<Vec<u8>> = (0..10).map(|number| noise(number, 1000)).collect();
    far.commit_all(&contents);
    let (large, small) = (noise(100, 14_000), noise(101, 13_999));
    far.commit(MAIN, &[("large", &large)]);
    far.commit(MAIN, &[("small", &small)]);
    let ids: Vec<ObjectId> = contents.iter().map(|bytes| id(bytes)).collect();
    for (first, counts) in [(&large, [1, 10, 2, 10]), (&small, [1, 3, 10, 10])] {
        let asked = Asked::serving(&far);
        let target = Side::new(3);
        let store = target.open().store;
        let writer = store.writer().unwrap();
        let ahead = Ahead::default();
        asked.with(|client| {
            let bring = |wanted: &[ObjectId], here: &[ObjectId]| {
                client.ask_ahead(&ahead, wanted, here);
                let brought = client.bring_ahead(&ahead, &writer, wanted, &|_| ()).unwrap();
                assert_eq!(brought.missing, []);
                brought.objects
            };
            // Half of what came may come beside, less what was not needed yet.
            let came = [
                bring(&[id(first)], &[]),
                bring(&ids[..3], &[]),
                bring(&ids[4..6], &[]),
                bring(&ids[6..8], &ids),
            ];
            assert_eq!(came, counts);
        });
    }
}
