//! Delta frames on a disk in memory: sound ones, and such as only an enemy or a mistake writes.

mod bad;
mod checking;
mod loading;
pub(crate) mod refusing;

use std::path::Path;

use proptest::prelude::*;

use super::super::data::delta::{Encoder, NoBases, check_parts};
use super::super::data::format::Part;
use super::super::data::write::Sealed;
use super::super::{Class, DeltaOptions, Options, Store};
use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, OpenMode};
use crate::limits::{DELTA_DEPTH_MAX, DELTA_READS_MAX, DELTA_WEIGHT_MAX};
use crate::object::{HashAlgo, ObjectKind};

pub(crate) fn disk() -> Arc<MemoryDisk> {
    let disk = MemoryDisk::default();
    for folder in ["/g", "/g/data", "/g/index"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    Arc::new(disk)
}

pub(crate) fn open(disk: &Arc<MemoryDisk>) -> Store {
    let (disk, algo) = (disk.clone(), HashAlgo::Sha256);
    let store = Store::open(disk, Path::new("/g"), [7; 16], algo, Options::default()).unwrap();
    store.allow_deltas(|| Ok(()));
    store
}

/// Text in which every line is another.
pub(crate) fn text(lines: std::ops::Range<u32>) -> Vec<u8> {
    let line = |n: u32| format!("{:08x} line {n}\n", n.wrapping_mul(2_654_435_761));
    lines.flat_map(|n| line(n).into_bytes()).collect()
}

pub(crate) fn id(bytes: &[u8]) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, bytes)
}

/// Stores a block that is like others.
pub(crate) fn put(store: &Store, bytes: &[u8], bases: &[ObjectId]) -> ObjectId {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let id = id(bytes);
    packer
        .put_against(Class::Small, ObjectKind::Block, id, bytes, bases)
        .unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    id
}

fn depth(store: &Store, id: &ObjectId) -> (u8, u16) {
    store.depth_and_weight(store.locate(id).unwrap().unwrap()).unwrap()
}

/// Appends a delta frame whose rows say what they are told to.
pub(crate) fn forge(store: &Store, objects: &[(ObjectId, u32, &[Row], &[u8])], part: impl Fn(Part) -> Part) {
    let (mut table, mut parts, mut bases, mut stored) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    for (id, bytes, rows, payload) in objects {
        let (id, bytes, kind) = (*id, *bytes, ObjectKind::Block);
        Row { id, kind, bytes }.encode(&mut table);
        let honest = Part {
            stored_bytes: payload.len() as u32,
            first: count,
            count: rows.len() as u8,
            depth: 1,
            weight: 1 + rows.len() as u16,
        };
        part(honest).encode(&mut parts);
        rows.iter().for_each(|row| row.encode(&mut bases));
        count += rows.len() as u16;
        stored.extend_from_slice(payload);
    }
    table.append(&mut parts);
    table.append(&mut bases);
    let raw: u32 = objects.iter().map(|object| object.1).sum();
    let ids: Vec<ObjectId> = objects.iter().map(|object| object.0).collect();
    let writer = store.writer().unwrap();
    let sealed = Sealed::delta(count, raw, objects.len() as u32, table, stored);
    writer.append(&sealed, &ids).unwrap();
    writer.commit().unwrap();
}

pub(crate) fn row(id: ObjectId, bytes: usize) -> Row {
    let (kind, bytes) = (ObjectKind::Block, bytes as u32);
    Row { id, kind, bytes }
}

pub(crate) fn delta(prefix: &[u8], raw: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    Encoder::new(3).compress(prefix, raw, &mut stored).unwrap();
    stored
}

pub(crate) fn edited(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.splice(at..at + 3, *b"an edit");
    bytes
}

#[test]
fn a_changed_object_costs_what_changed() {
    let disk = disk();
    let store = open(&disk);
    let old = text(0..3000);
    let new = edited(&old, 20_000);
    let base = put(&store, &old, &[]);
    let before = store.data_files()[0].1;
    let changed = put(&store, &new, &[base]);
    let grown = store.data_files()[0].1 - before;
    assert!(grown < 500, "{grown} bytes for one edit");
    for store in [store, open(&disk)] {
        assert_eq!(store.get(&changed).unwrap().unwrap(), new);
        let at = store.locate(&changed).unwrap().unwrap();
        assert_eq!(store.bases_at(at).unwrap(), [row(base, old.len())]);
        let root = store.root_of(at).unwrap();
        assert_eq!(Some(root), store.locate(&base).unwrap());
        let mut frame = Frame::default();
        store.read_frame(at, &mut frame).unwrap();
        assert_eq!(frame.verified(at.slot, &changed).unwrap(), new);
        // With the root at hand nothing else is read.
        store.read_frame(root, &mut frame).unwrap();
        let mut bytes = Vec::new();
        Near::new(&store, root, &frame).read(at, &changed, &mut bytes).unwrap();
        assert_eq!(bytes, new);
    }
    for name in disk.list(Path::new("/g/index")).unwrap() {
        disk.remove(&Path::new("/g/index").join(name)).unwrap();
    }
    let store = open(&disk);
    assert_eq!(store.rebuild_index().unwrap(), 2);
    assert_eq!(store.get(&changed).unwrap().unwrap(), new);
}

#[test]
fn differences_are_counted_with_what_they_save() {
    let store = open(&disk());
    let old = text(0..3000);
    let base = put(&store, &old, &[]);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let new = edited(&old, 20_000);
    packer
        .put_against(Class::Small, ObjectKind::Block, id(&new), &new, &[base])
        .unwrap();
    packer.flush().unwrap();
    let counters = packer.counters();
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        (get(&counters.delta_objects), get(&counters.delta_bytes)),
        (1, new.len() as u64)
    );
    let stored = get(&counters.delta_stored_bytes);
    assert!((1..500).contains(&stored), "{stored}");
}

#[test]
fn what_is_not_like_its_base_is_stored_whole() {
    let store = open(&disk());
    let base = put(&store, &text(0..3000), &[]);
    let other = text(500_000..503_000);
    let other = put(&store, &other, &[base]);
    assert_eq!(depth(&store, &other), (0, 1));
    let tiny = put(&store, b"short", &[base]);
    assert_eq!(depth(&store, &tiny), (0, 1));
    let unknown = put(&store, &text(9..900), &[id(b"nobody has it")]);
    assert_eq!(depth(&store, &unknown), (0, 1));
}

#[test]
fn a_long_history_stays_shallow() {
    let disk = disk();
    let store = open(&disk);
    let mut versions = vec![text(0..2000)];
    let mut ids = vec![put(&store, &versions[0], &[])];
    let mut deltas = 0;
    for n in 1..60 {
        let next = edited(&versions[n - 1], 500 * n);
        let id = put(&store, &next, &[ids[n - 1]]);
        let (depth, weight) = depth(&store, &id);
        assert!(depth <= DELTA_DEPTH_MAX && weight <= DELTA_WEIGHT_MAX);
        deltas += usize::from(depth > 0);
        versions.push(next);
        ids.push(id);
    }
    assert_eq!(deltas, 59, "an older version serves where the last is too deep");
    let store = open(&disk);
    for (id, bytes) in ids.iter().zip(&versions) {
        assert_eq!(&store.get(id).unwrap().unwrap(), bytes);
    }
}

#[test]
fn many_bases_in_order_are_one_prefix() {
    let store = open(&disk());
    let parts: Vec<Vec<u8>> = (0..4).map(|n| text(n * 1000..n * 1000 + 1000)).collect();
    let bases: Vec<ObjectId> = parts.iter().map(|part| put(&store, part, &[])).collect();
    let all = put(&store, &parts.concat(), &bases);
    assert_eq!(depth(&store, &all), (1, 5));
    assert_eq!(store.get(&all).unwrap().unwrap(), parts.concat());
}

#[test]
fn bases_are_taken_as_far_as_the_window_goes() {
    let parts: Vec<Vec<u8>> = (1..4).map(|n| text(n * 1000..n * 1000 + 1000)).collect();
    let bytes = parts[0].len();
    for (window_bytes, expected) in [(3 * bytes, 3), (3 * bytes - 1, 2), (bytes, 1), (bytes - 1, 0)] {
        let delta = DeltaOptions {
            window_bytes,
            ..DeltaOptions::default()
        };
        let options = Options {
            delta,
            ..Options::default()
        };
        let store = Store::open(disk(), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap();
        store.allow_deltas(|| Ok(()));
        let bases: Vec<ObjectId> = parts.iter().map(|part| put(&store, part, &[])).collect();
        let all = put(&store, &parts.concat(), &bases);
        let at = store.locate(&all).unwrap().unwrap();
        assert_eq!(store.bases_at(at).unwrap().len(), expected, "{window_bytes} bytes");
    }
}

#[test]
fn a_base_that_looks_like_a_dictionary_is_none() {
    let store = open(&disk());
    let mut old = vec![0x37, 0xa4, 0x30, 0xec];
    old.extend(text(0..1000));
    let base = put(&store, &old, &[]);
    let new = edited(&old, 1000);
    let changed = put(&store, &new, &[base]);
    assert_eq!(depth(&store, &changed).0, 1);
    assert_eq!(store.get(&changed).unwrap().unwrap(), new);
}

#[test]
fn damage_in_a_base_is_told_of_all_that_lean_on_it_and_of_nothing_else() {
    let disk = disk();
    let store = open(&disk);
    let (old, noise) = (text(0..3000), text(70_000..73_000));
    let base = put(&store, &old, &[]);
    let at = store.locate(&base).unwrap().unwrap();
    let changed = put(&store, &edited(&old, 100), &[base]);
    let later = put(&store, &edited(&edited(&old, 100), 900), &[changed]);
    let other = put(&store, &noise, &[]);
    let (file, head) = store.head(at).unwrap();
    let payload = head.offset + 72 + 36;
    let writable = disk.open(&file.path, OpenMode::Write).unwrap();
    let mut bytes = [0; 40];
    writable.read_at(&mut bytes, payload + 5000).unwrap();
    writable
        .write_all_at(&bytes.map(|byte| byte ^ 0x55), payload + 5000)
        .unwrap();
    let store = open(&disk);
    for hurt in [changed, later] {
        let error = store.get(&hurt).unwrap_err();
        assert!(
            error.is_damage() && error.to_string().contains(&base.to_string()),
            "{error}"
        );
        assert!(error.to_string().contains(".gd"), "{error}");
    }
    assert_eq!(store.get(&other).unwrap().unwrap(), noise);
    // Nothing is made from what is damaged.
    let next = put(&store, &edited(&old, 2000), &[base]);
    assert_eq!(depth(&store, &next), (0, 1));
}

#[test]
fn bases_that_are_missing_or_not_what_they_are_said_to_be_are_named() {
    let store = open(&disk());
    let old = text(0..300);
    let base = put(&store, &old, &[]);
    let new = edited(&old, 50);
    let stored = delta(&old, &new);
    let missing = id(b"missing");
    let (bytes, new_id) = (new.len() as u32, id(&new));
    forge(
        &store,
        &[(new_id, bytes, &[row(missing, old.len())], &stored)],
        |part| part,
    );
    let error = store.get(&new_id).unwrap_err().to_string();
    assert!(
        error.contains(&missing.to_string()) && error.contains(&new_id.to_string()),
        "{error}"
    );

    let store = open(&disk());
    put(&store, &old, &[]);
    forge(
        &store,
        &[(new_id, bytes, &[row(base, old.len() + 1)], &stored)],
        |part| part,
    );
    let error = store.get(&new_id).unwrap_err().to_string();
    assert!(error.contains(&format!("not {}", old.len() + 1)), "{error}");

    // Another delta than the row says: too long, too short, of another object.
    for raw in [edited(&new, 10), new[1..].to_vec(), edited(&new[4..], 10)] {
        let store = open(&disk());
        put(&store, &old, &[]);
        let stored = delta(&old, &raw);
        forge(&store, &[(new_id, bytes, &[row(base, old.len())], &stored)], |part| {
            part
        });
        let error = store.get(&new_id).unwrap_err();
        assert!(
            error.is_damage() && error.to_string().contains(&new_id.to_string()),
            "{error}"
        );
    }
}

#[test]
fn cycles_and_bushes_end_soon() {
    let store = open(&disk());
    let (one, two) = (id(b"one"), id(b"two"));
    let stored = delta(b"", &[7; 64]);
    let objects = [
        (one, 64, &[row(two, 64)][..], &stored[..]),
        (two, 64, &[row(one, 64)][..], &stored[..]),
    ];
    forge(&store, &objects, |part| part);
    let error = store.get(&one).unwrap_err().to_string();
    assert!(error.contains("or a cycle"), "{error}");

    // Each object leans eight times on the one before: 8^9 reads, if somebody went through with it.
    let store = open(&disk());
    let mut below = put(&store, &[9; 64], &[]);
    for level in 0..9u8 {
        let bytes = [level; 64];
        let bases = [row(below, 64); 8];
        let stored = delta(&[9; 512], &bytes);
        below = id(&bytes);
        forge(&store, &[(below, 64, &bases, &stored)], |part| part);
    }
    let error = store.get(&below).unwrap_err().to_string();
    assert!(error.contains(&format!("more than {DELTA_READS_MAX} bases")), "{error}");
}

#[test]
fn tables_over_a_limit_are_refused_before_anything_is_read() {
    type Lie = fn(Part) -> Part;
    let lies: [Lie; 7] = [
        |part| Part { depth: 9, ..part },
        |part| Part { depth: 0, ..part },
        |part| Part { weight: 65, ..part },
        |part| Part { count: 0, ..part },
        |part| Part { first: 1, ..part },
        |part| Part { count: 9, ..part },
        |part| Part {
            stored_bytes: part.stored_bytes + 1,
            ..part
        },
    ];
    let old = text(0..300);
    let new = edited(&old, 50);
    for (number, lie) in lies.into_iter().enumerate() {
        let disk = disk();
        let store = open(&disk);
        let base = put(&store, &old, &[]);
        let stored = delta(&old, &new);
        forge(
            &store,
            &[(id(&new), new.len() as u32, &[row(base, old.len())], &stored)],
            lie,
        );
        let at = store.locate(&id(&new)).unwrap().unwrap();
        assert!(store.head(at).unwrap_err().is_damage(), "lie {number}");
        assert!(store.get(&base).unwrap().is_some());
    }
    // Bases whose lengths add up to more than a prefix may have, and an object made from itself.
    let store = open(&disk());
    let base = put(&store, &old, &[]);
    let long = [row(base, 9 << 20), row(base, 9 << 20)];
    forge(
        &store,
        &[(id(&new), 900, &long, b"x"), (id(b"x"), 1, &[row(base, 1)], b"x")],
        |part| part,
    );
    let at = store.locate(&id(&new)).unwrap().unwrap();
    assert!(store.head(at).unwrap_err().to_string().contains("bytes of bases"));
    let store = open(&disk());
    forge(&store, &[(id(&new), 900, &[row(id(&new), 900)], b"x")], |part| part);
    let at = store.locate(&id(&new)).unwrap().unwrap();
    assert!(store.head(at).unwrap_err().to_string().contains("from itself"));
}

#[test]
fn where_they_are_not_allowed_none_is_written() {
    let disk = disk();
    let algo = HashAlgo::Sha256;
    let store = Store::open(disk.clone(), Path::new("/g"), [7; 16], algo, Options::default()).unwrap();
    let old = text(0..300);
    let base = put(&store, &old, &[]);
    let changed = put(&store, &edited(&old, 50), &[base]);
    assert_eq!(depth(&store, &changed), (0, 1));
    // A bundle explains itself, whatever it is asked for.
    let bundle = Store::create_bundle(disk.clone(), Path::new("/g/b.gfs"), algo, Options::default()).unwrap();
    bundle.allow_deltas(|| Ok(()));
    let base = put(&bundle, &old, &[]);
    let changed = put(&bundle, &edited(&old, 50), &[base]);
    assert_eq!(depth(&bundle, &changed), (0, 1));
    // What must be said before the first is said once, and when it cannot be said nothing is written.
    let store = open(&disk);
    let said = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = said.clone();
    store.allow_deltas(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    put(&store, &edited(&old, 60), &[base]);
    put(&store, &edited(&old, 70), &[base]);
    assert_eq!(said.load(Ordering::Relaxed), 1);
}

#[test]
fn a_frame_that_is_read_without_its_store_says_what_it_lacks() {
    let disk = disk();
    let store = open(&disk);
    let old = text(0..300);
    let base = put(&store, &old, &[]);
    let changed = put(&store, &edited(&old, 50), &[base]);
    let (file, head) = store.head(store.locate(&changed).unwrap().unwrap()).unwrap();
    check_parts(&head).unwrap();
    let mut frame = Frame::default();
    let error = frame.read_payload(&file, head, &NoBases).unwrap_err().to_string();
    assert!(error.contains(&base.to_string()), "{error}");
}

/// A history: which content is changed, at which part of a thousand, and with what; and whether the last is its base.
fn histories() -> impl Strategy<Value = Vec<(u8, u16, Vec<u8>, bool, bool)>> {
    let edit = prop::collection::vec(any::<u8>(), 0..200);
    prop::collection::vec((0u8..4, 0u16..1000, edit, any::<bool>(), any::<bool>()), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_history_comes_back(history in histories()) {
        let disk = disk();
        let mut store = open(&disk);
        let mut contents: Vec<Vec<u8>> = (0..4).map(|n| text(n * 700..n * 700 + 400)).collect();
        let mut last: Vec<ObjectId> = contents.iter().map(|bytes| put(&store, bytes, &[])).collect();
        let mut known: Vec<(ObjectId, Vec<u8>)> = last.iter().copied().zip(contents.iter().cloned()).collect();
        for (which, at, edit, has_base, reopens) in history {
            let which = usize::from(which);
            let bytes = &mut contents[which];
            let at = bytes.len() * usize::from(at) / 1000;
            bytes.splice(at..(at + 20).min(bytes.len()), edit);
            // Another content beside it is no hindrance.
            let bases = [last[which], last[(which + 1) % 4]];
            last[which] = put(&store, bytes, if has_base { &bases } else { &[] });
            known.push((last[which], bytes.clone()));
            if reopens {
                store = open(&disk);
            }
        }
        let store = open(&disk);
        for (id, bytes) in known {
            prop_assert_eq!(store.get(&id).unwrap().unwrap(), bytes);
        }
    }
}
