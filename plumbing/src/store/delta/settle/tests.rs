//! What becomes of what waits: what pays, what its bases are, and how much one frame takes.

use super::*;
use crate::store::Store;
use crate::store::data::format::Part;
use crate::store::delta::tests::refusing::while_refused;
use crate::store::delta::tests::{delta, disk, edited, forge, id, open, put, row, text};

/// What comes of a block like others, where the data file of `hidden` is not read from its frame on when it is compressed.
fn put_refused(store: &Store, bytes: &[u8], base: ObjectId, hidden: ObjectId) -> Result<()> {
    let hidden = store.locate(&hidden).unwrap().unwrap();
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer
        .put_against(Class::Small, ObjectKind::Block, id(bytes), bytes, &[base])
        .unwrap();
    store.frames.drop_all();
    while_refused(store, hidden, || packer.flush())
}

fn depth(store: &Store, id: &ObjectId) -> u8 {
    store.depth_and_weight(store.locate(id).unwrap().unwrap()).unwrap().0
}

/// A difference from `bases` that says to be `says`, whatever it is.
fn forged(store: &Store, says: ObjectId, bases: &[Row], prefix: &[u8], raw: &[u8]) -> ObjectId {
    let stored = delta(prefix, raw);
    forge(store, &[(says, raw.len() as u32, bases, &stored)], |part| part);
    says
}

#[test]
fn a_disk_that_does_not_read_a_base_is_an_error_and_no_reason_to_store_all_of_it() {
    let store = open(&disk());
    let old = text(0..300);
    let changed = edited(&old, 500);
    let base = put(&store, &old, &[]);
    let between = put(&store, &changed, &[base]);
    let next = edited(&changed, 900);
    for hidden in [base, between] {
        let error = put_refused(&store, &next, between, hidden).unwrap_err();
        assert!(!error.is_damage() && error.to_string().contains("refused"), "{error}");
    }
    put(&store, &next, &[between]);
    assert_eq!(depth(&store, &id(&next)), 2);
}

#[test]
fn what_is_like_something_made_from_what_is_missing_is_stored_whole() {
    let store = open(&disk());
    let old = text(0..300);
    let changed = edited(&old, 500);
    let base = put(&store, &old, &[]);
    let bases = [row(base, old.len()), row(id(b"missing"), 70)];
    let broken = forged(&store, id(&changed), &bases, &old, &changed);
    let next = edited(&changed, 900);
    put(&store, &next, &[broken]);
    assert_eq!(depth(&store, &id(&next)), 0);
    assert_eq!(store.get(&id(&next)).unwrap().unwrap(), next);
}

#[test]
fn nothing_is_made_from_bytes_that_are_not_those_of_the_base() {
    let store = open(&disk());
    let old = text(0..300);
    let base = put(&store, &old, &[]);
    let (sound, changed) = (edited(&old, 500), edited(&old, 900));
    let sound = put(&store, &sound, &[base]);
    // One bit is another.
    let mut bytes = changed.clone();
    bytes[1500] ^= 1;
    let wrong = forged(&store, id(&changed), &[row(base, old.len())], &old, &bytes);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let mut expected = Vec::new();
    for (number, bases, depth) in [
        (1, &[wrong][..], 0),
        (2, &[sound], 2),
        (3, &[sound, wrong], 0),
        (4, &[wrong, sound], 0),
        (5, &[base, sound], 2),
        (6, &[base], 1),
    ] {
        let bytes = edited(&changed, 70 * number);
        packer
            .put_against(Class::Small, ObjectKind::Block, id(&bytes), &bytes, bases)
            .unwrap();
        expected.push((bytes, depth));
    }
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    for (number, (bytes, wanted)) in (1..).zip(expected) {
        assert_eq!(depth(&store, &id(&bytes)), wanted, "object {number}");
        assert_eq!(store.get(&id(&bytes)).unwrap().unwrap(), bytes, "object {number}");
    }
}

#[test]
fn a_tenth_of_the_bytes_pays_however_well_the_base_is_compressed() {
    // The base takes less than what is changed.
    let old = vec![b'x'; 20_000];
    let noise: Vec<u8> = (0..150u8).flat_map(|n| id(&[n]).digest().to_vec()).collect();
    for (changed, expected) in [(500, 1), (1500, 1), (2500, 0), (4000, 0)] {
        let store = open(&disk());
        let base = put(&store, &old, &[]);
        let mut new = old.clone();
        new[3000..3000 + changed].copy_from_slice(&noise[..changed]);
        put(&store, &new, &[base]);
        assert_eq!(depth(&store, &id(&new)), expected, "{changed} bytes");
        assert_eq!(store.get(&id(&new)).unwrap().unwrap(), new);
    }
}

#[test]
fn what_does_not_compress_is_compared_with_all_of_its_bytes() {
    let noise: Vec<u8> = (0..400u16)
        .flat_map(|n| id(&n.to_le_bytes()).digest().to_vec())
        .collect();
    let mut old = vec![b'x'; 80_000];
    old[20_000..28_000].copy_from_slice(&noise[..8000]);
    // A third of it is new: more than others take in the frame of the base, less than it takes alone.
    for (new, expected) in [(&noise[..12_000], 1), (&noise[7000..], 0)] {
        let store = open(&disk());
        let base = put(&store, &old, &[]);
        put(&store, new, &[base]);
        assert_eq!(depth(&store, &id(new)), expected);
        assert_eq!(store.get(&id(new)).unwrap().unwrap(), new);
    }
}

#[test]
fn a_frame_is_full_when_one_more_object_might_not_fit() {
    let object = |number: u32, bytes: usize| row(id(&number.to_le_bytes()), bytes);
    let add = |group: &mut Group, number: u32, bytes: usize, bases: &[Row]| {
        group.push(object(number, bytes), bases, (1, 2), b"x");
    };
    // Objects, all of one base.
    let mut group = Group::default();
    assert!(group.is_empty() && !group.is_full());
    let base = [object(u32::MAX, 9)];
    for number in 1..FRAME_OBJECTS_MAX as u32 {
        add(&mut group, number, 1, &base);
    }
    assert!(!group.is_empty() && !group.is_full());
    add(&mut group, 0, 1, &base);
    assert!(group.is_full());
    // Bases: the row of an object says with 16 bits where its own begin, and a frame has as many as objects at most.
    let mut group = Group::default();
    let mut count = 0u32;
    while group.bases.len() < FRAME_OBJECTS_MAX - DELTA_BASES_MAX {
        assert!(!group.is_full(), "{} bases", group.bases.len());
        let bases: Vec<Row> = (0..8).map(|n| object(1_000_000 + 8 * count + n, 9)).collect();
        add(&mut group, count, 1, &bases);
        count += 1;
    }
    assert_eq!(group.bases.len(), FRAME_OBJECTS_MAX - DELTA_BASES_MAX);
    assert!(!group.is_full(), "another eight fit");
    add(&mut group, count, 1, &[object(u32::MAX, 9)]);
    assert!(group.is_full());
    // Bytes: 8 MiB.
    let mut group = Group::default();
    add(&mut group, 1, (8 << 20) - 1, &base);
    assert!(!group.is_full());
    add(&mut group, 2, 1, &base);
    assert!(group.is_full());
}

#[test]
fn neighbours_share_the_bases_that_they_have_in_common() {
    let object = |number: u8| row(id(&[number]), 9);
    let [a, b, c] = [1, 2, 3].map(object);
    let mut group = Group::default();
    let mut lengths = Vec::new();
    for (number, bases) in (10..).zip([&[a, b][..], &[a, b], &[b], &[b, c], &[c, a], &[b, c, a], &[a]]) {
        group.push(object(number), bases, (1, 1 + bases.len() as u16), &[number; 3]);
        lengths.push(group.bases.len());
    }
    assert_eq!(lengths, [2, 2, 2, 3, 4, 4, 4]);
    assert_eq!(group.bases, [a, b, c, a]);
    let parts: Vec<(u16, u8)> = group
        .parts
        .as_chunks()
        .0
        .iter()
        .map(|part| Part::decode(part, 4).unwrap())
        .map(|part| (part.first, part.count))
        .collect();
    assert_eq!(parts, [(0, 2), (0, 2), (1, 1), (1, 2), (2, 2), (1, 3), (3, 1)]);
}

#[test]
fn a_full_frame_goes_at_once_and_differences_of_what_describes_wait_apart() {
    for (kind, class, number) in [
        (ObjectKind::Block, Class::Small, 1),
        (ObjectKind::Tree, Class::Meta, 0),
        (ObjectKind::Snapshot, Class::Meta, 0),
    ] {
        let store = open(&disk());
        let old = text(0..300);
        let base = put(&store, &old, &[]);
        let writer = store.writer().unwrap();
        let mut packer = writer.packer();
        let settle = |packer: &mut Packer<'_>, bytes: &[u8]| {
            packer.put_against(class, kind, id(bytes), bytes, &[base]).unwrap();
            packer.settle(writer.take_waiting().unwrap()).unwrap();
            packer.deltas.each_ref().map(|group| group.ids.len())
        };
        let first = settle(&mut packer, &edited(&old, 100));
        assert_eq!((first[number], first[1 - number]), (1, 0), "{kind:?}");
        // A stand-in for as many bytes as a frame has.
        let long = row(id(b"long"), 8 << 20);
        packer.deltas[number].push(Row { kind, ..long }, &[row(base, old.len())], (1, 2), b"x");
        let last = edited(&old, 300);
        assert_eq!(settle(&mut packer, &last), [0, 0], "{kind:?}");
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        assert_eq!(store.get(&id(&last)).unwrap().unwrap(), last);
        assert_eq!(depth(&store, &id(&last)), 1);
    }
}
