//! Every way in which a base can be wrong, one by one: what is told names the object, its base and the data file; it takes no time
//! and no memory to speak of; and nothing else is hurt.

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::limits::DELTA_LINKS_MAX;

/// A store with something sound, something bad, and what the error about that must say.
struct Case {
    what: &'static str,
    disk: Arc<MemoryDisk>,
    /// The object that does not read.
    bad: ObjectId,
    says: Vec<String>,
    /// Objects that read as ever.
    sound: Vec<(ObjectId, Vec<u8>)>,
}

fn old() -> Vec<u8> {
    text(0..300)
}

fn new() -> Vec<u8> {
    edited(&old(), 50)
}

/// The new version as a difference from a base of this row.
fn forged(store: &Store, base: Row) -> ObjectId {
    let (old, new) = (old(), new());
    forge(
        store,
        &[(id(&new), new.len() as u32, &[base], &delta(&old, &new))],
        |part| part,
    );
    id(&new)
}

fn case(what: &'static str, make: impl FnOnce(&Arc<MemoryDisk>, &Store) -> (ObjectId, Vec<String>)) -> Case {
    let disk = disk();
    let store = open(&disk);
    let noise = text(90_000..90_300);
    let beside = edited(&noise, 70);
    let base = put(&store, &noise, &[]);
    put(&store, &beside, &[base]);
    let (bad, says) = make(&disk, &store);
    let sound = vec![(base, noise), (id(&beside), beside)];
    Case {
        what,
        disk,
        bad,
        says,
        sound,
    }
}

/// Changes a byte of the payload of the frame in which an object lies.
fn damage(disk: &Arc<MemoryDisk>, store: &Store, object: &ObjectId) {
    let (file, head) = store.head(store.locate(object).unwrap().unwrap()).unwrap();
    let (writable, at) = (disk.open(&file.path, OpenMode::Write).unwrap(), head.end() - 40);
    let mut byte = [0];
    writable.read_at(&mut byte, at).unwrap();
    writable.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
}

fn cases() -> Vec<Case> {
    let base = id(&old());
    let row_of = |bytes: usize| row(base, bytes);
    let length = old().len();
    let missing = case("a base that is missing", |_, store| {
        (
            forged(store, row_of(length)),
            vec![base.to_string(), "base of other objects".into()],
        )
    });
    let damaged = case("a base that is damaged", |disk, store| {
        put(store, &old(), &[]);
        let bad = put(store, &new(), &[base]);
        damage(disk, store, &base);
        (bad, vec![base.to_string()])
    });
    let longer = case("a base that is shorter than is said", |_, store| {
        put(store, &old(), &[]);
        (
            forged(store, row_of(length + 1)),
            vec![
                base.to_string(),
                format!("a base of {length} bytes, not {}", length + 1),
            ],
        )
    });
    let shorter = case("a base that is longer than is said", |_, store| {
        put(store, &old(), &[]);
        (
            forged(store, row_of(length - 1)),
            vec![
                base.to_string(),
                format!("a base of {length} bytes, not {}", length - 1),
            ],
        )
    });
    let itself = case("an object that is made from itself", |_, store| {
        (
            forged(store, row(id(&new()), new().len())),
            vec![id(&new()).to_string(), "made from itself".into()],
        )
    });
    let ring = case("objects that are made from each other", |_, store| {
        let ids: Vec<ObjectId> = (0..3u8).map(|n| id(&[n; 64])).collect();
        let stored = delta(b"", &[7; 64]);
        let bases: Vec<[Row; 1]> = (0..3).map(|n| [row(ids[(n + 1) % 3], 64)]).collect();
        let objects: Vec<_> = ids
            .iter()
            .zip(&bases)
            .map(|(id, bases)| (*id, 64, &bases[..], &stored[..]))
            .collect();
        forge(store, &objects, |part| part);
        (ids[0], vec![ids[1].to_string(), "or a cycle".into()])
    });
    let deep = case("a chain that is deeper than the limit", |_, store| {
        let (mut below, mut bytes) = (put(store, &[9; 64], &[]), vec![9; 64]);
        for level in 0..=DELTA_LINKS_MAX {
            let next = vec![level + 100; 64];
            forge(
                store,
                &[(id(&next), 64, &[row(below, 64)], &delta(&bytes, &next))],
                |part| part,
            );
            (below, bytes) = (id(&next), next);
        }
        (
            below,
            vec![
                below.to_string(),
                format!("a chain of more than {DELTA_LINKS_MAX} bases"),
            ],
        )
    });
    let bush = case("more bases than the limit, each at a small depth", |_, store| {
        let mut below = put(store, &[9; 64], &[]);
        for level in 0..9u8 {
            let bytes = [level; 64];
            forge(
                store,
                &[(id(&bytes), 64, &[row(below, 64); 8], &delta(&[9; 512], &bytes))],
                |part| part,
            );
            below = id(&bytes);
        }
        (
            below,
            vec![below.to_string(), format!("more than {DELTA_READS_MAX} bases")],
        )
    });
    vec![missing, damaged, longer, shorter, itself, ring, deep, bush]
}

#[test]
fn each_bad_base_is_told_with_ids_and_path_and_hurts_nothing_else() {
    for case in cases() {
        let Case {
            what,
            disk,
            bad,
            says,
            sound,
        } = case;
        let store = open(&disk);
        let error = store.get(&bad).unwrap_err();
        let told = error.to_string();
        assert!(error.is_damage(), "{what}: {told}");
        for wanted in says.iter().map(String::as_str).chain([".gd"]) {
            assert!(told.contains(wanted), "{what}: no {wanted:?} in: {told}");
        }
        for (id, bytes) in &sound {
            assert_eq!(store.get(id).unwrap().as_ref(), Some(bytes), "{what}");
        }
        // With a new index it is told again, or not found.
        open(&disk).rebuild_index().unwrap();
        assert!(!matches!(open(&disk).get(&bad), Ok(Some(_))), "{what}");
        // What is like it is stored, and reads.
        let next = edited(&new(), 400);
        let next_id = put(&store, &next, &[bad, id(&old())]);
        assert_eq!(open(&disk).get(&next_id).unwrap(), Some(next), "{what}");
    }
}
