//! Objects that have bases, gathered and checked many at a time.

use super::refusing::while_refused;
use super::*;
use crate::store::data::format::FILE_HEADER_BYTES;
use crate::store::data::read::scan;

/// Three families of six versions each, and the heads of their frames.
fn families() -> (Store, Vec<Head>) {
    let store = open(&disk());
    for version in 0..7usize {
        for family in 0..3 {
            let edits =
                |count: usize| (1..=count).fold(text(family * 900..family * 900 + 300), |all, n| edited(&all, n * 700));
            let base = version.checked_sub(1).map(|before| id(&edits(before)));
            put(&store, &edits(version), base.as_slice());
        }
    }
    let heads = heads(&store);
    (store, heads)
}

/// The heads of all delta frames, as they lie.
fn heads(store: &Store) -> Vec<Head> {
    let (file, committed) = store.data_files().remove(0);
    let mut heads = Vec::new();
    scan(&file, FILE_HEADER_BYTES, committed, &mut |head| {
        heads.push(head.clone())
    })
    .unwrap();
    heads.retain(|head| !head.parts.is_empty());
    heads
}

/// Whatever the order is in which frames are added, the end of each chain is that which following it finds; and a check with that at
/// hand tells of each object once.
#[test]
fn ends_of_chains_are_those_of_their_bases() {
    let (store, mut heads) = families();
    for is_reversed in [false, true] {
        let mut gathered = Gathered::default();
        for head in &heads {
            gathered.add(&store, 0, head).unwrap();
        }
        assert_eq!(gathered.count(), 18);
        for object in gathered.objects() {
            let root = store.root_of(object.at).unwrap();
            assert_eq!(object.root, (root.file, root.frame));
        }
        gathered.sort();
        let mut told = Vec::new();
        let mut checking = Checking::default();
        for unit in gathered.objects().chunk_by(|a, b| a.root == b.root) {
            let (mut frame, root) = (Frame::default(), store.root_of(unit[0].at).unwrap());
            store.read_frame(root, &mut frame).unwrap();
            let mut tell = |at: Location, _: ObjectId, checked: Result<usize>| -> Result<()> {
                told.push((at, checked.unwrap()));
                Ok(())
            };
            store
                .check_leaning(unit, Some(&frame), &mut checking, &mut tell)
                .unwrap();
        }
        assert_eq!(told.len(), 18, "{is_reversed}");
        told.sort();
        told.dedup_by_key(|(at, _)| *at);
        assert_eq!(told.len(), 18, "{is_reversed}");
        heads.reverse();
    }
}

#[test]
fn in_whatever_order_they_were_added_they_are_sorted_by_their_roots_and_then_by_depth() {
    let (store, heads) = families();
    let sorted = |heads: &mut dyn Iterator<Item = &Head>| {
        let mut gathered = Gathered::default();
        heads.for_each(|head| gathered.add(&store, 0, head).unwrap());
        gathered.sort();
        gathered.objects().to_vec()
    };
    let objects = sorted(&mut heads.iter());
    assert_eq!(objects, sorted(&mut heads.iter().rev()));
    assert!(objects.is_sorted());
    let depths = objects
        .iter()
        .map(|object| store.depth_and_weight(object.at).unwrap().0);
    assert_eq!(depths.collect::<Vec<u8>>(), [1, 2, 3, 4, 5, 6].repeat(3));
}

#[test]
fn those_of_one_frame_are_what_is_gathered_of_it() {
    let (store, heads) = families();
    let mut gathered = Gathered::default();
    for head in &heads {
        let leaning = store.leaning(0, head).unwrap();
        assert_eq!(leaning.len(), head.rows.len());
        assert!(!gathered.has_frame((0, head.offset)));
        gathered.add(&store, 0, head).unwrap();
        assert!(gathered.has_frame((0, head.offset)));
        assert!(!gathered.has_frame((1, head.offset)) && !gathered.has_frame((0, head.offset + 1)));
        assert_eq!(leaning, gathered.objects()[gathered.count() - leaning.len()..]);
    }
    let plain = store.root_of(gathered.objects()[0].at).unwrap();
    let (_, head) = store.head(plain).unwrap();
    assert!(store.leaning(0, &head).unwrap().is_empty());
}

#[test]
fn an_object_whose_chain_does_not_read_is_its_own_end_and_those_beside_it_have_theirs() {
    let store = open(&disk());
    let old = text(0..300);
    let (sound, hurt) = (edited(&old, 500), edited(&old, 900));
    let base = put(&store, &old, &[]);
    // A frame whose table nobody reads: too deep.
    forge(
        &store,
        &[(
            id(&hurt),
            hurt.len() as u32,
            &[row(base, old.len())],
            &delta(&old, &hurt),
        )],
        |part| Part { depth: 9, ..part },
    );
    let objects = [
        (id(b"hurt"), 9, &[row(id(&hurt), hurt.len())][..], &b"x"[..]),
        (
            id(&sound),
            sound.len() as u32,
            &[row(base, old.len())],
            &delta(&old, &sound),
        ),
    ];
    forge(&store, &objects, |part| part);
    let at = store.locate(&id(&sound)).unwrap().unwrap();
    let (_, head) = store.head(at).unwrap();
    let mut gathered = Gathered::default();
    gathered.add(&store, at.file, &head).unwrap();
    let base = store.locate(&base).unwrap().unwrap();
    let found: Vec<_> = gathered
        .objects()
        .iter()
        .map(|object| (object.at.slot, object.root))
        .collect();
    assert_eq!(found, [(0, (at.file, at.frame)), (1, (base.file, base.frame))]);
}

#[test]
fn where_the_disk_fails_nothing_of_a_frame_is_added() {
    let disk = disk();
    let before = open(&disk);
    let contents = [text(0..300), text(5000..5300)];
    let bases = contents.each_ref().map(|bytes| put(&before, bytes, &[]));
    let rows = [0, 1].map(|n: usize| [row(bases[n], contents[n].len())]);
    let changed = contents.each_ref().map(|bytes| edited(bytes, 500));
    let stored = [0, 1].map(|n: usize| delta(&contents[n], &changed[n]));
    let objects = [0, 1].map(|n: usize| (id(&changed[n]), changed[n].len() as u32, &rows[n][..], &stored[n][..]));
    forge(&before, &objects, |part| part);
    // It has nothing in memory.
    let store = open(&disk);
    let head = heads(&store).remove(0);
    let last = before.locate(&bases[1]).unwrap().unwrap();
    let mut gathered = Gathered::default();
    let error = while_refused(&store, last, || gathered.add(&store, 0, &head)).unwrap_err();
    assert!(!error.is_damage() && error.to_string().contains("refused"), "{error}");
    assert_eq!(gathered.count(), 0);
    assert!(!gathered.has_frame((0, head.offset)));
    gathered.add(&store, 0, &head).unwrap();
    assert_eq!(gathered.count(), 2);
}

#[test]
fn what_is_added_after_sorting_has_its_own_roots() {
    let (store, heads) = families();
    let mut gathered = Gathered::default();
    for (number, head) in heads.iter().enumerate() {
        if number % 4 == 0 {
            gathered.sort();
        }
        gathered.add(&store, 0, head).unwrap();
    }
    assert_eq!(gathered.count(), 18);
    for object in gathered.objects() {
        let root = store.root_of(object.at).unwrap();
        assert_eq!(object.root, (root.file, root.frame));
    }
}

/// A difference from each root in turn and one that is damaged, as they are told: the number of the root, and whether it reads.
fn told_of_roots(bytes: usize) -> Vec<(usize, bool)> {
    let store = open(&disk());
    let roots = [b'a', b'b'].map(|byte| vec![byte; bytes]);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    for bytes in &roots {
        packer
            .put_in(Class::Small, ObjectKind::Block, id(bytes), bytes)
            .unwrap();
    }
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    drop(writer);
    let rows = roots.each_ref().map(|bytes| [row(id(bytes), bytes.len())]);
    let changed: Vec<(usize, Vec<u8>)> = [(0, 500), (0, 900), (1, 500), (1, 900)]
        .map(|(root, at)| (root, edited(&roots[root], at)))
        .to_vec();
    let stored: Vec<Vec<u8>> = changed
        .iter()
        .map(|(root, bytes)| delta(&roots[*root], bytes))
        .collect();
    let mut objects: Vec<_> = changed
        .iter()
        .zip(&stored)
        .map(|((root, bytes), stored)| (id(bytes), bytes.len() as u32, &rows[*root][..], &stored[..]))
        .collect();
    for (number, rows) in rows.iter().enumerate() {
        objects.push((id(&[number as u8; 9]), 9, rows, b"x"));
    }
    forge(&store, &objects, |part| part);
    let leaning = store.leaning(0, &heads(&store)[0]).unwrap();
    let mut frame = Frame::default();
    store
        .read_frame(store.root_of(leaning[0].at).unwrap(), &mut frame)
        .unwrap();
    let mut told = Vec::new();
    let mut tell = |_: Location, found: ObjectId, checked: Result<usize>| -> Result<()> {
        let row = objects.iter().find(|object| object.0 == found).unwrap().2[0];
        told.push((usize::from(row == rows[1][0]), checked.is_ok()));
        Ok(())
    };
    store
        .check_leaning(&leaning, Some(&frame), &mut Checking::default(), &mut tell)
        .unwrap();
    told
}

#[test]
fn much_that_is_made_from_one_root_is_told_before_the_next_and_little_at_the_end() {
    // What is damaged is told at once, what reads when it is hashed.
    let much = [(0, false), (0, true), (0, true), (1, false), (1, true), (1, true)];
    assert_eq!(told_of_roots(600_000), much);
    let little = [(0, false), (1, false), (0, true), (0, true), (1, true), (1, true)];
    assert_eq!(told_of_roots(6000), little);
}
