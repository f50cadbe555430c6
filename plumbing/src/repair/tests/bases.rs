//! Objects that are made from what is damaged, and take nothing of it.

use super::*;
use crate::disk::LockKind;
use crate::store::data::read::DataFile;
use crate::store::delta::tests as deltas;

const BYTES: usize = 40_000;
/// What the second file has of its own.
const OWN: std::ops::Range<usize> = 10_000..10_500;

fn noise() -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Stores a block in a data file of its own, as a difference from others if there are some.
fn put(repository: &Repository, bytes: &[u8], bases: &[ObjectId]) -> ObjectId {
    let store = &repository.store;
    let lock = |(file, _): (DataFile, u64)| {
        let handle = repository.disk.open(&file.path, OpenMode::Write).unwrap();
        assert!(handle.try_lock(LockKind::Exclusive).unwrap());
        handle
    };
    let busy: Vec<_> = store.data_files().into_iter().map(lock).collect();
    let id = deltas::put(store, bytes, bases);
    drop(busy);
    id
}

/// A snapshot of two files, the second of them stored as the difference from the first, in another data file.
fn two() -> (World, [ObjectId; 2]) {
    let disk = Arc::new(MemoryDisk::default());
    let shared: Arc<dyn Disk> = disk.clone();
    init(&shared, Path::new("/r"), &InitOptions::default()).unwrap();
    let (old, mut new) = (noise(), noise());
    new[OWN].fill(7);
    let old = put(&open(&disk), &old, &[]);
    let repository = open(&disk);
    let ids = [old, put(&repository, &new, &[old])];
    let at = ids.map(|id| repository.store.locate(&id).unwrap().unwrap());
    assert_eq!(repository.store.bases_at(at[1]).unwrap().len(), 1, "a difference");
    assert_ne!(at[0].file, at[1].file);
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    let mut builder = TreeBuilder::new();
    for (name, id) in ["new", "old"].iter().zip([ids[1], ids[0]]) {
        let content = ContentRef::Block {
            id,
            bytes: BYTES as u64,
        };
        let node = Node::File {
            content,
            fullhash: None,
        };
        push(&mut builder, &mut packer, name, node);
    }
    let tree = builder
        .finish(&mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))
        .unwrap();
    let (id, _) = packer
        .put(ObjectKind::Snapshot, &Snapshot::bare(tree).encode())
        .unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    set_main(&repository, id, "two");
    (World { disk, id }, ids)
}

#[test]
fn what_takes_nothing_of_its_damaged_base_is_not_hurt_and_outlives_a_repair() {
    let (world, [old, new]) = two();
    assert!(world.check().is_clean());
    let repository = world.repository();
    let (file, head) = repository
        .store
        .head(repository.store.locate(&old).unwrap().unwrap())
        .unwrap();
    assert!(head.header.stored_bytes as usize >= BYTES, "noise is stored as it is");
    let payload = head.offset + (FRAME_HEADER_BYTES + head.header.table_bytes()) as u64;
    world.flip(&file.path, payload + OWN.start as u64 + 100);
    // Whatever was asked for before.
    let store = world.repository().store;
    for _ in 0..2 {
        assert!(store.get(&new).unwrap().is_some());
        assert!(store.get(&old).unwrap_err().is_damage());
    }
    let hurt = |found: &Checked| -> Vec<String> { found.hurt.iter().map(|hurt| hurt.path.to_string()).collect() };
    assert_eq!(hurt(&world.check()), ["old"]);
    let report = world.repair(&MEND);
    assert_eq!(hurt(&report.found), ["old"]);
    assert_eq!(report.marked.len(), 1, "{report:?}");
    let store = world.repository().store;
    assert!(store.get(&new).unwrap().is_some());
    assert!(store.get(&old).is_err() || store.get(&old).unwrap().is_none());
    let checked = world.check();
    assert!(checked.is_clean() && !checked.recorded.is_empty(), "{checked:?}");
    assert!(checked.recorded.iter().all(|hurt| hurt.path == "old"), "{checked:?}");
    assert!(world.repair(&MEND).is_sound, "again there is nothing to do");
}
