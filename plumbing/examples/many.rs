//! Fills a repository with a snapshot of many small objects, to measure what marks them.
//!
//! usage: many GHOST_DIR [OBJECTS]
//!
//! GHOST_DIR is the `.ghost` of a new repository. A tenth of the objects are directories, each with nine files of eight
//! bytes that no other file has; a hundred directories lie in one above, and so on. Ten million take about 1 GB of disk.
#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own: what it is told and where it works is its own affair"
)]

use std::path::Path;
use std::sync::Arc;

use ghost_plumbing::disk::real::RealDisk;
use ghost_plumbing::object::{ContentRef, Entry, Metadata, Node, ObjectId, ObjectKind, Snapshot, TreeBuilder};
use ghost_plumbing::refs::{Expected, RefChange, Who};
use ghost_plumbing::repository::{Leans, OpenOptions, Repository};
use ghost_plumbing::store::Packer;
use ghost_plumbing::time::Timestamp;
use ghost_plumbing::{Error, Result};

const FILES: u64 = 9;
const FAN_OUT: usize = 100;

fn entry(name: String, node: Node) -> Entry {
    Entry {
        name: name.into(),
        meta: Metadata::default(),
        node,
    }
}

fn tree(packer: &mut Packer<'_>, entries: &[Entry]) -> Result<ObjectId> {
    let mut builder = TreeBuilder::new();
    for entry in entries {
        builder.push(entry, &mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
    }
    builder.finish(&mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))
}

/// A directory with files of its own.
fn leaf(packer: &mut Packer<'_>, number: u64) -> Result<ObjectId> {
    let mut entries = Vec::new();
    for file in 0..FILES {
        let bytes = (number * FILES + file).to_le_bytes();
        let (id, _) = packer.put(ObjectKind::Block, &bytes)?;
        let content = ContentRef::Block { id, bytes: 8 };
        let fullhash = None;
        entries.push(entry(format!("f{file}"), Node::File { content, fullhash }));
    }
    tree(packer, &entries)
}

fn fill(repository: &Repository, objects: u64) -> Result<()> {
    let writer = repository.store.writer()?;
    let mut packer = writer.packer();
    let mut level = Vec::new();
    for number in 0..(objects / (FILES + 1)).max(1) {
        level.push(leaf(&mut packer, number)?);
    }
    while level.len() > 1 {
        let mut above = Vec::new();
        for some in level.chunks(FAN_OUT) {
            let entries: Vec<Entry> = (0..)
                .zip(some)
                .map(|(number, tree): (u32, &ObjectId)| entry(format!("d{number:02}"), Node::Directory { tree: *tree }))
                .collect();
            above.push(tree(&mut packer, &entries)?);
        }
        level = above;
    }
    let top = level.first().copied();
    let snapshot = Snapshot::bare(top.ok_or_else(|| Error::invalid("count", objects, "at least one"))?);
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode())?;
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    drop(writer);
    let change = RefChange {
        name: "refs/snapshots/main".to_owned(),
        expected: Expected::Any,
        new: Some(id),
    };
    let who = Who {
        author: String::new(),
        host: String::new(),
        time: Timestamp::default(),
    };
    repository.commit(&[change], &who, "many", Leans::Own).map(drop)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".ghost".to_owned());
    let objects = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(10_000_000);
    let options = OpenOptions {
        allow_foreign: true,
        ..OpenOptions::default()
    };
    let repository = Repository::open(Arc::new(RealDisk), Path::new(&folder), &options)?;
    fill(&repository, objects)
}
