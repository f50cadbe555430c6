//! Snapshots under the ids of another hash: what they hold, what is read again, and who is not believed.

use hashbrown::HashSet;

use super::world::*;
use crate::content::read_all;
use crate::error::Error;
use crate::object::tree::lookup;
use crate::object::{HashAlgo, Node, ObjectId, ObjectKind, Snapshot};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::remote::rehash::{REHASHED_FROM, Rehasher, made_from};

const HASH: HashAlgo = HashAlgo::Blake3;

/// Copies a snapshot; gives the new one and how many were made. The target's line moves to it.
fn copy(from: &Side, to: &Side, tip: ObjectId, forgotten: &[ObjectId]) -> crate::error::Result<(ObjectId, u64)> {
    let (source, target) = (from.open(), to.open());
    let tips: Vec<ObjectId> = to.get(MAIN).into_iter().collect();
    let progress = Progress::default();
    let forgotten: HashSet<ObjectId> = forgotten.iter().copied().collect();
    let mut rehasher = Rehasher::new((&source.store, &target.store), &tips, forgotten, &progress)?;
    let writer = target.store.writer()?;
    let new = rehasher.copy(tip, &writer);
    writer.commit()?;
    let new = new?;
    to.set(MAIN, Some(new));
    Ok((new, rehasher.made))
}

/// The bytes of a file, and the hash by which its entry names it.
fn file(side: &Side, id: &ObjectId, path: [&str; 2]) -> (Vec<u8>, ObjectId) {
    let store = side.open().store;
    let top = read_snapshot(&store, id).unwrap().tree;
    let Node::Directory { tree } = lookup(&store, top, path[0].as_bytes()).unwrap().unwrap().node else {
        panic!("{} is no folder", path[0]);
    };
    let entry = lookup(&store, tree, path[1].as_bytes()).unwrap().unwrap();
    let Node::File { content, .. } = &entry.node else {
        panic!("{} is no file", path[1]);
    };
    (read_all(&store, content, 1 << 20).unwrap(), entry.fullhash().unwrap())
}

#[test]
fn history_comes_under_other_ids_and_back_again() {
    let (from, to) = (Side::new(2), Side::with_hash(3, HASH));
    let first = from.commit(MAIN, &[("f/a", b"one"), ("f/b", b""), ("g/c", b"three")]);
    let second = from.commit(MAIN, &[("f/a", b"two"), ("f/b", b""), ("g/c", b"three")]);
    let (new, made) = copy(&from, &to, second, &[]).unwrap();
    assert_eq!(made, 2);
    to.verify();
    let store = to.open().store;
    let [old, copied] = [(&from, second), (&to, new)].map(|(side, id)| read_snapshot(&side.open().store, &id).unwrap());
    assert_eq!(made_from(&copied), Some(second));
    assert_eq!(copied.time, old.time);
    let parent = read_snapshot(&store, &copied.parents[0]).unwrap();
    assert_eq!(made_from(&parent), Some(first));
    for (path, bytes) in [(["f", "a"], &b"two"[..]), (["f", "b"], b""), (["g", "c"], b"three")] {
        assert_eq!(file(&to, &new, path), (bytes.to_vec(), ObjectId::hash(HASH, bytes)));
    }
    assert_eq!(file(&to, &copied.parents[0], ["f", "a"]).0, b"one");
    // Once more, elsewhere: the same ids. Once more, here: nothing.
    let other = Side::with_hash(4, HASH);
    assert_eq!(copy(&from, &other, second, &[]).unwrap(), (new, 2));
    assert_eq!(copy(&from, &to, second, &[]).unwrap(), (new, 0));
    // One more on top costs one.
    let third = from.commit(MAIN, &[("f/a", b"two"), ("g/c", b"3")]);
    let (new, made) = copy(&from, &to, third, &[]).unwrap();
    assert_eq!(made, 1);
    assert_eq!(copy(&from, &other, third, &[]).unwrap(), (new, 1));
    assert_eq!(file(&to, &new, ["g", "c"]).0, b"3");
    let back = Side::new(5);
    let (home, _) = copy(&to, &back, new, &[]).unwrap();
    let tree = |side: &Side, id: &ObjectId| read_snapshot(&side.open().store, id).unwrap().tree;
    assert_eq!(
        tree(&back, &home),
        tree(&from, &third),
        "the same tree has the same id again"
    );
}

/// A snapshot that only says that it is the copy of another is like it in all but one file, which is as long.
#[test]
fn who_says_that_it_is_a_copy_is_not_believed() {
    let (from, to) = (Side::new(2), Side::with_hash(3, HASH));
    let first = from.commit(MAIN, &[("f/a", b"true"), ("f/b", b"same"), ("g/c", b"also")]);
    let lie = to.store(&[("f/a", b"lies"), ("f/b", b"same"), ("g/c", b"also")], &[]);
    let false_copy = {
        let repository = to.open();
        let lie = read_snapshot(&repository.store, &lie).unwrap();
        let snapshot = Snapshot {
            extra: vec![(REHASHED_FROM.to_owned(), first.to_string().into_bytes())],
            ..lie
        };
        let writer = repository.store.writer().unwrap();
        let mut packer = writer.packer();
        let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        id
    };
    to.set(MAIN, Some(false_copy));
    // Asked for itself it is read, and made right.
    let honest = {
        let (source, target) = (from.open(), to.open());
        let progress = Progress::default();
        let stores = (&source.store, &target.store);
        let mut rehasher = Rehasher::new(stores, &[false_copy], HashSet::new(), &progress).unwrap();
        let writer = target.store.writer().unwrap();
        let honest = rehasher.copy(first, &writer).unwrap();
        assert_eq!((rehasher.made, rehasher.known), (1, 0));
        writer.commit().unwrap();
        honest
    };
    assert_ne!(honest, false_copy);
    assert_eq!(file(&to, &honest, ["f", "a"]).0, b"true");
    let second = from.commit(MAIN, &[("f/a", b"true"), ("f/b", b"same"), ("g/c", b"new")]);
    let (new, made) = copy(&from, &to, second, &[]).unwrap();
    assert_eq!(made, 1, "it is like the first in all that its snapshot says");
    assert_eq!(file(&to, &new, ["f", "a"]).0, b"true");
    assert_eq!(file(&to, &new, ["f", "b"]).0, b"same");
    // One that is not even like it is made anew.
    let to = Side::with_hash(4, HASH);
    let stranger = to.commit(MAIN, &[("x/y", b"z")]);
    let (new, made) = copy(&from, &to, second, &[]).unwrap();
    assert_eq!(made, 2);
    assert_ne!(new, stranger);
}

#[test]
fn what_was_forgotten_is_passed_over_and_what_has_no_bytes_is_refused() {
    let (from, to) = (Side::new(2), Side::with_hash(3, HASH));
    let first = from.commit(MAIN, &[("f/a", b"one")]);
    let second = from.commit(MAIN, &[("f/a", b"two")]);
    let third = from.commit(MAIN, &[("f/a", b"three")]);
    let (new, made) = copy(&from, &to, third, &[second]).unwrap();
    assert_eq!(made, 2);
    let store = to.open().store;
    let parents = read_snapshot(&store, &new).unwrap().parents;
    assert_eq!(made_from(&read_snapshot(&store, &parents[0]).unwrap()), Some(first));
    let ghosts = from.store_as(&[("f/a", b"seen, not stored")], &[], true);
    let error = copy(&from, &to, ghosts, &[]).unwrap_err();
    assert!(error.to_string().contains("described, not stored"), "{error}");
    let nowhere = ObjectId::hash(HashAlgo::Sha256, b"nowhere");
    assert!(matches!(copy(&from, &to, nowhere, &[]), Err(Error::Missing { .. })));
    to.verify();
}
