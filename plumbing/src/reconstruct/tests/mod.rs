//! Reconstruction from hand-made trees, on a store in memory, into real directories.

mod existing;
mod fresh;
mod hostile;
mod random;
mod sources;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::BString;

use super::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::object::{ContentRef, Entry, HashAlgo, IndirectBuilder, Node, ObjectKind, TreeBuilder};
use crate::store;
use crate::time::Timestamp;

/// Enough to make a tree of a few thousand levels, without optimisation.
const BUILD_STACK_BYTES: usize = 64 << 20;

/// A store to put trees in, and a folder to restore them to.
struct Bench {
    store: Store,
    folder: tempfile::TempDir,
}

/// What a tree is made of in these tests.
struct Item {
    name: BString,
    meta: Metadata,
    what: What,
}

enum What {
    Bytes(Vec<u8>),
    Content(ContentRef),
    Items(Vec<Item>),
    Node(Node),
}

impl Bench {
    fn new() -> Self {
        let disk = MemoryDisk::default();
        for folder in ["/g", "/g/data", "/g/index"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        let options = store::Options::default();
        let store = Store::open(Arc::new(disk), Path::new("/g"), [7; 16], HashAlgo::Sha256, options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { store, folder }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    fn put(&self, kind: ObjectKind, bytes: &[u8]) -> ObjectId {
        let writer = self.store.writer().unwrap();
        let mut packer = writer.packer();
        let (id, _) = packer.put(kind, bytes).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        id
    }

    /// One block.
    fn block(&self, bytes: &[u8]) -> ContentRef {
        ContentRef::Block {
            id: self.put(ObjectKind::Block, bytes),
            bytes: bytes.len() as u64,
        }
    }

    /// An indirect block of these parts.
    fn parts(&self, parts: Vec<ContentRef>) -> ContentRef {
        let mut builder = IndirectBuilder::new(HashAlgo::Sha256);
        let put = &mut |kind, bytes: Vec<u8>| Ok(self.put(kind, &bytes));
        for part in parts {
            builder.push(part, put).unwrap();
        }
        builder.finish(put).unwrap()
    }

    /// Stores a tree, all its objects in one commit.
    fn tree(&self, items: Vec<Item>) -> ObjectId {
        let writer = self.store.writer().unwrap();
        let mut packer = writer.packer();
        let mut put = |kind, bytes: Vec<u8>| Ok(packer.put(kind, &bytes)?.0);
        // It is made by recursion, which may go deeper than the stack of a test.
        let id = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(BUILD_STACK_BYTES);
            thread
                .spawn_scoped(scope, || build(items, &mut put))
                .unwrap()
                .join()
                .unwrap()
        });
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        id
    }

    fn run(&self, tree: ObjectId, options: &Options) -> Report {
        let report = reconstruct(&self.store, tree, None, &self.target(), options, &Progress::default()).unwrap();
        for problem in &report.problems {
            eprintln!("{}: {}", problem.path.display(), problem.error);
        }
        report
    }

    /// Runs a rehearsal and then the job, and expects the same counts of both.
    fn rehearse_and_run(&self, tree: ObjectId, options: &Options) -> Report {
        let test = Options {
            test: true,
            ..options.clone()
        };
        let expected = self.run(tree, &test);
        let found = self.run(tree, options);
        assert_eq!(counts(&expected), counts(&found));
        assert_eq!(expected.problem_count(), found.problem_count());
        found
    }
}

fn build(items: Vec<Item>, put: &mut dyn FnMut(ObjectKind, Vec<u8>) -> Result<ObjectId>) -> ObjectId {
    let mut items = items;
    items.sort_by(|a, b| a.name.cmp(&b.name));
    let mut tree = TreeBuilder::new();
    for Item { name, meta, what } in items {
        let node = match what {
            What::Node(node) => node,
            What::Items(items) => Node::Directory {
                tree: build(items, put),
            },
            What::Content(content) => Node::File {
                content,
                fullhash: None,
            },
            What::Bytes(bytes) => Node::File {
                content: ContentRef::Block {
                    bytes: bytes.len() as u64,
                    id: put(ObjectKind::Block, bytes).unwrap(),
                },
                fullhash: None,
            },
        };
        tree.push(&Entry { name, meta, node }, put).unwrap();
    }
    tree.finish(put).unwrap()
}

/// Created, updated, unchanged, deleted, skipped, bytes.
fn counts(report: &Report) -> [u64; 6] {
    [
        report.created,
        report.updated,
        report.unchanged,
        report.deleted,
        report.skipped,
        report.bytes,
    ]
}

fn meta(mode: u32) -> Metadata {
    Metadata {
        mode,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        mtime: Timestamp::new(1_000_000_000, 123_456_789),
        ..Metadata::default()
    }
}

fn item(name: impl Into<BString>, mode: u32, what: What) -> Item {
    Item {
        name: name.into(),
        meta: meta(mode),
        what,
    }
}

fn file(name: &str, bytes: &[u8]) -> Item {
    item(name, 0o644, What::Bytes(bytes.to_vec()))
}

fn dir(name: &str, items: Vec<Item>) -> Item {
    item(name, 0o755, What::Items(items))
}

fn link(name: &str, target: &str) -> Item {
    let target = target.into();
    item(name, 0o777, What::Node(Node::Symlink { target }))
}

impl Item {
    fn with(mut self, change: impl FnOnce(&mut Metadata)) -> Self {
        change(&mut self.meta);
        self
    }

    fn linked(self, group: u8) -> Self {
        self.with(|meta| meta.links = Some([group; 16]))
    }
}

fn options() -> Options {
    Options {
        is_root: rustix::process::geteuid().is_root(),
        ..Options::default()
    }
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) + 1;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
