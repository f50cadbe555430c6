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
    let mut marks = Marks::new(tables);
    let kind = ObjectKind::Tree;
    Marker::new(store, tables, &mut marks, &Progress::default()).mark(&[Root { needs, kind, id }])?;
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
