//! The worked examples of object-format.md, made here and compared with the page.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::OpenMode;
use crate::disk::memory::MemoryDisk;
use crate::object::{
    ContentRef, Entry, Indirect, Metadata, Node, ObjectId, ObjectKind, Root, Snapshot, Totals, TreeBuilder,
};
use crate::time::Timestamp;

const PAGE: &str = include_str!("../../../object-format.md");

/// The bytes in the fenced block `hex NAME` of the page.
fn on_page(name: &str) -> String {
    let start = format!("```hex {name}\n");
    let block = PAGE.split_once(&start).and_then(|(_, rest)| rest.split_once("```"));
    block
        .unwrap_or_else(|| panic!("object-format.md has no block {name}"))
        .0
        .to_owned()
}

fn lines(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| {
        chunk
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
            + "\n"
    };
    bytes.chunks(16).map(line).collect()
}

fn meta() -> Metadata {
    Metadata {
        mode: 0o644,
        uid: 1000,
        gid: 1000,
        user: "ann".into(),
        group: "ann".into(),
        mtime: Timestamp::new(1_000_000_000, 500),
        ..Metadata::default()
    }
}

fn block(bytes: &[u8]) -> ContentRef {
    ContentRef::Block {
        id: ObjectId::hash(HashAlgo::Sha256, bytes),
        bytes: bytes.len() as u64,
    }
}

fn put(out: &mut Vec<Vec<u8>>) -> impl FnMut(ObjectKind, Vec<u8>) -> Result<ObjectId> {
    |_, bytes| {
        let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
        out.push(bytes);
        Ok(id)
    }
}

fn tree() -> (ObjectId, Vec<u8>) {
    let mut made = Vec::new();
    let mut builder = TreeBuilder::new();
    let file = Entry {
        name: "abc".into(),
        meta: meta(),
        node: Node::File {
            content: block(b"abc"),
            fullhash: None,
        },
    };
    let link = Entry {
        name: "to".into(),
        meta: meta(),
        node: Node::Symlink { target: "abc".into() },
    };
    builder.push(&file, &mut put(&mut made)).unwrap();
    builder.push(&link, &mut put(&mut made)).unwrap();
    let id = builder.finish(&mut put(&mut made)).unwrap();
    (id, made.remove(0))
}

#[test]
fn objects_are_those_of_the_page() {
    let list = Indirect {
        depth: 1,
        refs: vec![
            block(b"abc"),
            ContentRef::Run {
                byte: 0,
                bytes: 1 << 20,
            },
        ],
    };
    assert_eq!(lines(&list.encode()), on_page("indirect-block"));
    let (id, node) = tree();
    assert_eq!(lines(&node), on_page("tree-leaf"));
    let snapshot = Snapshot {
        tree: id,
        parents: Vec::new(),
        time: Timestamp::new(1_763_715_600, 0),
        offset_minutes: 60,
        host: "loom".into(),
        author: "ann".into(),
        message: "first".into(),
        tags: vec!["keep".into()],
        roots: vec![Root {
            path: "/home/ann".into(),
            meta: None,
        }],
        rules: vec!["*.o".into()],
        totals: Totals {
            files: 1,
            directories: 0,
            others: 1,
            bytes: 3,
        },
        extra: Vec::new(),
    };
    assert_eq!(lines(&snapshot.encode()), on_page("snapshot"));
    assert_eq!(Snapshot::decode(&snapshot.encode()).unwrap(), snapshot);
}

#[test]
fn files_are_those_of_the_page() {
    let disk = Arc::new(MemoryDisk::default());
    for folder in ["/g", "/g/data", "/g/index"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    let store = Store::open(
        disk.clone(),
        Path::new("/g"),
        [7; 16],
        HashAlgo::Sha256,
        Options::default(),
    )
    .unwrap();
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer.put(ObjectKind::Block, b"abc").unwrap();
    packer.put(ObjectKind::Tree, &tree().1).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    for (folder, name) in [("/g/data", "data-file"), ("/g/index", "index-segment")] {
        let files = disk.list(Path::new(folder)).unwrap();
        assert_eq!(files.len(), 1);
        let file = disk.open(&Path::new(folder).join(&files[0]), OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        assert_eq!(lines(&bytes), on_page(name));
    }
}

#[test]
fn a_delta_frame_is_that_of_the_page() {
    let disk = Arc::new(MemoryDisk::default());
    for folder in ["/g", "/g/data", "/g/index"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    let (algo, options) = (HashAlgo::Sha256, Options::default());
    let store = Store::open(disk.clone(), Path::new("/g"), [7; 16], algo, options).unwrap();
    let (old, new) = (
        &b"the quick brown fox jumps over the lazy dog"[..],
        &b"the quick brown cat jumps over the lazy dog"[..],
    );
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    packer.put(ObjectKind::Block, old).unwrap();
    packer.flush().unwrap();
    drop(packer);
    let row = |bytes: &[u8]| data::format::Row {
        id: ObjectId::hash(algo, bytes),
        kind: ObjectKind::Block,
        bytes: bytes.len() as u32,
    };
    let mut stored = Vec::new();
    data::delta::Encoder::new(3).compress(old, new, &mut stored).unwrap();
    let part = data::format::Part {
        stored_bytes: stored.len() as u32,
        first: 0,
        count: 1,
        depth: 1,
        weight: 2,
    };
    let mut table = Vec::new();
    row(new).encode(&mut table);
    part.encode(&mut table);
    row(old).encode(&mut table);
    let sealed = data::write::Sealed::delta(1, new.len() as u32, 1, table, stored);
    writer.append(&sealed, &[row(new).id]).unwrap();
    writer.commit().unwrap();
    assert_eq!(store.get(&row(new).id).unwrap().unwrap(), new);
    let (file, head) = store.head(store.locate(&row(new).id).unwrap().unwrap()).unwrap();
    let mut bytes = vec![0; head.header.frame_bytes() as usize];
    file.file.read_at(&mut bytes, head.offset).unwrap();
    assert_eq!((head.offset, lines(&bytes)), (224, on_page("delta-frame")));
}
