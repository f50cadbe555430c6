//! What roots need, as it is marked.

use super::mark::{Needs, Root};
use super::tables::Tables;
use super::*;
use crate::object::HashAlgo;

/// Stores something and commits it.
fn stored<T>(store: &Store, act: impl FnOnce(&mut Packer<'_>) -> T) -> T {
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let done = act(&mut packer);
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    done
}

/// The bytes and the id of a folder of this one file.
fn folder(content: ContentRef) -> (ObjectId, Vec<u8>) {
    let mut builder = TreeBuilder::new();
    let mut last = None;
    let mut note = |_: ObjectKind, bytes: Vec<u8>| {
        let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
        last = Some((id, bytes));
        Ok(id)
    };
    let node = Node::File {
        content,
        fullhash: None,
    };
    builder.push(&entry("f", node), &mut note).unwrap();
    builder.finish(&mut note).unwrap();
    last.unwrap()
}

/// The positions that live where this folder is needed so much.
fn mark(store: &Store, tables: &Tables, needs: Needs, id: ObjectId) -> Result<Vec<usize>> {
    mark_with(1, store, tables, needs, id)
}

/// The same with so many threads that read.
fn mark_with(threads: usize, store: &Store, tables: &Tables, needs: Needs, id: ObjectId) -> Result<Vec<usize>> {
    let (mut marks, progress) = (Marks::new(tables), Progress::default());
    let marker = Marker::new(store, tables, &mut marks, &progress);
    let kind = ObjectKind::Tree;
    marker.with_threads(threads).mark(&[Root { needs, kind, id }])?;
    Ok(marks.live.ones(0).collect())
}

/// Position of the only entry of an object.
fn position(tables: &Tables, id: &ObjectId) -> usize {
    let mut entries = Vec::new();
    tables.find(id.prefix(), &mut entries);
    assert_eq!(entries.len(), 1);
    entries[0].position
}

#[test]
fn a_folder_is_not_taken_for_what_has_an_id_that_begins_alike() {
    for comes_first in [true, false] {
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let repository = open(&disk).unwrap();
        let store = &repository.store;
        let block = stored(store, |packer| packer.put(ObjectKind::Block, &[1; 300]).unwrap().0);
        let (tree, bytes) = folder(ContentRef::Block { id: block, bytes: 300 });
        let mut digest = [0; 32];
        digest.copy_from_slice(tree.digest());
        digest[31] ^= 1;
        let alike = ObjectId::from_digest(HashAlgo::Sha256, &digest).unwrap();
        let put = |is_tree: bool| {
            stored(store, |packer| match is_tree {
                true => packer.put_hashed(ObjectKind::Tree, tree, &bytes).unwrap(),
                false => packer.put_hashed(ObjectKind::Block, alike, &[2; 300]).unwrap(),
            })
        };
        put(comes_first);
        put(!comes_first);
        let tables = Tables::new(store);
        assert_eq!(tables.count(), 3);
        let live = mark(store, &tables, Needs::All, tree).unwrap();
        assert!(live.contains(&position(&tables, &block)), "{comes_first}: {live:?}");
        assert_eq!(live.len(), 2, "{comes_first}: {live:?}");
    }
}

/// A file without bytes has a content that need not be stored; where it is, it stays.
#[test]
fn the_content_without_bytes_is_missed_by_nobody() {
    let nothing = ObjectId::hash(HashAlgo::Sha256, b"");
    let (tree, bytes) = folder(ContentRef::Block { id: nothing, bytes: 0 });
    let (other, other_bytes) = folder(ContentRef::Block { id: nothing, bytes: 1 });
    for is_there in [false, true] {
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let repository = open(&disk).unwrap();
        let store = &repository.store;
        stored(store, |packer| {
            packer.put_hashed(ObjectKind::Tree, tree, &bytes).unwrap();
            packer.put_hashed(ObjectKind::Tree, other, &other_bytes).unwrap();
            if is_there {
                packer.put(ObjectKind::Block, b"").unwrap();
            }
        });
        let tables = Tables::new(store);
        for needs in [Needs::All, Needs::Descriptions, Needs::Nothing] {
            let live = mark(store, &tables, needs, tree).unwrap();
            assert_eq!(live.len(), if is_there { 2 } else { 1 }, "{needs:?}");
            // One of a byte is missed.
            let other = mark(store, &tables, needs, other);
            assert_eq!(other.is_ok(), is_there || needs != Needs::All, "{needs:?}: {other:?}");
        }
    }
}

/// More folders than one thread reads alone, with more in them than it hands over at a time.
#[test]
fn several_threads_find_what_one_finds_and_tell_what_one_tells() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let repository = open(&disk).unwrap();
    let store = &repository.store;
    let folders = |names: std::ops::Range<u32>, block: ObjectId, packer: &mut Packer<'_>| -> Vec<(String, ObjectId)> {
        let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
        let mut one = |n: u32| {
            let mut builder = TreeBuilder::new();
            for file in 0..10 {
                let content = ContentRef::Block { id: block, bytes: 300 };
                let fullhash = None;
                let node = Node::File { content, fullhash };
                builder.push(&entry(&format!("{n} {file}"), node), &mut put).unwrap();
            }
            builder.finish(&mut put).unwrap()
        };
        names.map(|n| (format!("{n:04}"), one(n))).collect()
    };
    let above = |folders: &[(String, ObjectId)], packer: &mut Packer<'_>| {
        let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
        let mut builder = TreeBuilder::new();
        for (name, tree) in folders {
            let node = Node::Directory { tree: *tree };
            builder.push(&entry(name, node), &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap()
    };
    let missing = ObjectId::hash(HashAlgo::Sha256, b"missing");
    let (whole, lacking, hurt) = stored(store, |packer| {
        let block = packer.put(ObjectKind::Block, &[1; 300]).unwrap().0;
        let all = folders(0..1200, block, packer);
        let whole = above(&all, packer);
        let mut lacking = all.clone();
        lacking.extend(folders(1200..1201, missing, packer));
        let lacking = above(&lacking, packer);
        let mut hurt = all;
        // Its hash is another.
        let id = ObjectId::hash(HashAlgo::Sha256, b"hurt");
        packer.put_hashed(ObjectKind::Tree, id, &[7; 400]).unwrap();
        hurt[1100].1 = id;
        (whole, lacking, above(&hurt, packer))
    });
    let tables = Tables::new(store);
    let live = mark_with(1, store, &tables, Needs::All, whole).unwrap();
    assert!(live.len() > 1201 && live.len() < tables.count(), "{}", live.len());
    for threads in [1, 2, 5] {
        let mark = |id| mark_with(threads, store, &tables, Needs::All, id);
        assert_eq!(mark(whole).unwrap(), live, "{threads}");
        let told = mark(lacking).unwrap_err();
        assert!(
            matches!(told, Error::Missing { id, .. } if id == missing),
            "{threads}: {told}"
        );
        let told = mark(hurt).unwrap_err();
        assert!(told.is_damage(), "{threads}: {told}");
        assert!(mark_with(threads, store, &tables, Needs::Nothing, hurt).unwrap().len() > 1200);
    }
}
