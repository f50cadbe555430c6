//! What is in memory of frames, how much it is, and which copy of a base is taken.

use super::*;

#[test]
fn heads_are_kept_of_what_segments_vouch_for_alone() {
    let disk = disk();
    let store = open(&disk);
    let (old, new) = (text(0..3000), edited(&text(0..3000), 20_000));
    let base = put(&store, &old, &[]);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer
        .put_against(Class::Small, ObjectKind::Block, id(&new), &new, &[base])
        .unwrap();
    packer.flush().unwrap();
    drop(packer);
    let kept = || {
        let at = store.locate(&id(&new)).unwrap().unwrap();
        store.frames.drop_all();
        assert_eq!(store.bases_at(at).unwrap(), [row(base, old.len())]);
        store.frames.drop_all();
        assert_eq!(store.get(&id(&new)).unwrap().unwrap(), new);
        store.deltas.row_at_hand(at).map(|row| row.id)
    };
    assert_eq!(kept(), None, "it may be withdrawn");
    writer.commit().unwrap();
    assert_eq!(kept(), Some(id(&new)));
}

/// Objects that one block of zstd does not hold, in one frame.
fn long_frame(store: &Store) -> Vec<(ObjectId, Location)> {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let put = |n: u8| {
        let bytes = vec![n; 400_000];
        packer
            .put_in(Class::Small, ObjectKind::Block, id(&bytes), &bytes)
            .unwrap();
        id(&bytes)
    };
    let ids: Vec<ObjectId> = (1..4).map(put).collect();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let at = ids.iter().map(|id| store.locate(id).unwrap().unwrap());
    let found: Vec<_> = ids.iter().copied().zip(at).collect();
    assert!(found.iter().all(|(_, at)| at.frame == found[0].1.frame));
    found
}

#[test]
fn the_front_of_a_frame_serves_those_who_need_no_more() {
    let store = open(&disk());
    let objects = long_frame(&store);
    let (first, last) = (objects[0].1, objects[2].1);
    let front = store.load_front(first, Some(first.slot)).unwrap();
    assert!(front.reaches(Some(first.slot)));
    assert!(!front.reaches(Some(last.slot)) && !front.reaches(None));
    let again = store.load_front(first, Some(first.slot)).unwrap();
    assert!(Arc::ptr_eq(&front, &again), "it is at hand");
    let all = store.load_front(last, None).unwrap();
    assert!(all.reaches(Some(first.slot)) && all.reaches(Some(last.slot)) && all.reaches(None));
    for (at, slot) in [(first, Some(first.slot)), (last, Some(last.slot)), (last, None)] {
        assert!(Arc::ptr_eq(&all, &store.load_front(at, slot).unwrap()));
    }
    // Whoever needs more than is at hand gets it.
    store.frames.drop_all();
    store.load_front(first, Some(first.slot)).unwrap();
    for (number, (id, _)) in (1..).zip(&objects) {
        assert_eq!(store.get(id).unwrap().unwrap(), vec![number; 400_000]);
    }
}

#[test]
fn what_is_kept_counts_with_the_memory_that_it_takes() {
    let store = open(&disk());
    let objects = long_frame(&store);
    let whole = store.load_front(objects[2].1, None).unwrap();
    let Loaded::Whole(frame) = &*whole else {
        panic!("it has no bases");
    };
    assert_eq!(whole.bytes(), frame.memory_bytes());
    assert!(whole.bytes() >= 1_200_000);
    let old = text(0..300);
    let base = put(&store, &old, &[]);
    let changed = put(&store, &edited(&old, 70), &[base]);
    let at = store.locate(&changed).unwrap().unwrap();
    let parts = store.parts(at).unwrap().unwrap();
    let (_, head) = store.head(at).unwrap();
    assert!(parts.reaches(None) && parts.reaches(Some(70)));
    let expected = head.header.stored_bytes as usize + head.header.table_bytes();
    assert_eq!(parts.bytes(), expected);
    assert!(store.parts(store.locate(&base).unwrap().unwrap()).unwrap().is_none());
}

#[test]
fn at_hand_is_what_lies_in_that_frame_under_that_id_alone() {
    let store = open(&disk());
    let objects = long_frame(&store);
    let other = put(&store, &text(0..300), &[]);
    let elsewhere = store.locate(&other).unwrap().unwrap();
    let mut frame = Frame::default();
    store.read_frame(objects[0].1, &mut frame).unwrap();
    let near = Near::new(&store, objects[0].1, &frame);
    for (number, (id, at)) in (1..).zip(&objects) {
        assert_eq!(near.at_hand(*at, id), Some(&[number; 400_000][..]));
        assert_eq!(near.at_hand(*at, &other), None, "another id");
        let file = at.file + 1;
        assert_eq!(near.at_hand(Location { file, ..*at }, id), None, "another data file");
    }
    assert_eq!(elsewhere.slot, 0);
    assert_eq!(near.at_hand(elsewhere, &other), None, "another frame");
    assert_eq!(near.at_hand(elsewhere, &objects[0].0), None, "another frame");
    assert_eq!(store.near().at_hand(objects[0].1, &objects[0].0), None, "none");
}

#[test]
fn a_frame_at_hand_is_a_decompressed_one_that_goes_far_enough() {
    let store = open(&disk());
    let objects = long_frame(&store);
    let (first, last) = (objects[0].1, objects[2].1);
    assert!(store.at_hand(first, first.slot).is_none(), "nobody has read it");
    let front = store.load_front(first, Some(first.slot)).unwrap();
    assert!(
        store
            .at_hand(first, first.slot)
            .is_some_and(|found| Arc::ptr_eq(&front, &found))
    );
    assert!(store.at_hand(first, last.slot).is_none());
    store.load_front(last, None).unwrap();
    assert!(store.at_hand(first, last.slot).is_some());
    let old = text(0..300);
    let base = put(&store, &old, &[]);
    let changed = put(&store, &edited(&old, 70), &[base]);
    let at = store.locate(&changed).unwrap().unwrap();
    assert_eq!(store.get(&changed).unwrap().unwrap(), edited(&old, 70));
    assert!(store.frames.get((at.file, at.frame)).is_some());
    assert!(store.at_hand(at, at.slot).is_none(), "it holds differences");
}

#[test]
fn another_object_in_a_row_is_told_as_that_and_nothing_of_it_is_given() {
    let store = open(&disk());
    let old = text(0..300);
    let base = put(&store, &old, &[]);
    let changed = put(&store, &edited(&old, 70), &[base]);
    let [base_at, changed_at] = [base, changed].map(|id| store.locate(&id).unwrap().unwrap());
    for (at, id) in [(base_at, changed), (changed_at, base)] {
        let mut bytes = b"before".to_vec();
        let error = store.near().read(at, &id, &mut bytes).unwrap_err();
        let told = error.to_string();
        assert!(
            error.is_damage() && told.contains("another in its row, or none"),
            "{told}"
        );
        assert!(told.contains(&id.to_string()) && told.contains(".gd"), "{told}");
        assert!(bytes.is_empty());
    }
    let mut bytes = Vec::new();
    let behind = Location { slot: 1, ..base_at };
    let error = store.near().read(behind, &base, &mut bytes).unwrap_err().to_string();
    assert!(error.contains("another in its row, or none"), "{error}");
}

#[test]
fn frames_without_bases_are_remembered_up_to_a_number() {
    let store = open(&disk());
    let places: Vec<Location> = (0..3)
        .map(|n| put(&store, &text(1000 * n..1000 * n + 100), &[]))
        .map(|id| store.locate(&id).unwrap().unwrap())
        .collect();
    let remembered = |at: Location| store.deltas.plain.lock().contains(&(at.file, at.frame));
    let count = || store.deltas.plain.lock().len();
    store.frames.drop_all();
    for (number, at) in (1..).zip(&places) {
        assert!(!remembered(*at));
        assert!(store.bases_at(*at).unwrap().is_empty());
        assert!(remembered(*at));
        assert_eq!(count(), number);
    }
    let fill = |to: usize| {
        let mut plain = store.deltas.plain.lock();
        plain.clear();
        plain.extend((0..to as u64).map(|n| (99, n)));
    };
    for (before, after) in [(65_535, 65_536), (65_536, 1)] {
        fill(before);
        assert!(store.bases_at(places[0]).unwrap().is_empty());
        assert_eq!(count(), after);
        assert!(remembered(places[0]));
    }
}

#[test]
fn of_a_base_the_copy_is_taken_that_stands_whichever_is_found_first() {
    let old = text(0..300);
    let (middle, new) = (edited(&old, 500), edited(&edited(&old, 500), 900));
    for is_broken_first in [true, false] {
        let store = open(&disk());
        let base = put(&store, &old, &[]);
        let missing = id(b"missing");
        let mut copies = [missing, base];
        if !is_broken_first {
            copies.reverse();
        }
        for base in copies {
            let stored = delta(&old, &middle);
            let objects = [(
                id(&middle),
                middle.len() as u32,
                &[row(base, old.len())][..],
                &stored[..],
            )];
            forge(&store, &objects, |part| part);
        }
        let stored = delta(&middle, &new);
        let objects = [(
            id(&new),
            new.len() as u32,
            &[row(id(&middle), middle.len())][..],
            &stored[..],
        )];
        forge(&store, &objects, |part| part);
        assert_eq!(store.get(&id(&new)).unwrap().unwrap(), new, "{is_broken_first}");
    }
}

#[test]
fn a_store_says_whether_it_takes_differences() {
    let store = open(&disk());
    assert_eq!(format!("{:?}", store.deltas), "Deltas(allowed: true)");
    assert_eq!(format!("{:?}", Deltas::default()), "Deltas(allowed: false)");
}
