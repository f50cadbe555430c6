//! Collecting garbage in repositories whose every content is known: what lives restores byte for byte, whatever happens.

mod announced;
mod basics;
mod chain_crashes;
mod chains;
mod crash;
mod deltas;
mod ends;
mod failing;
mod folders;
mod found;
mod histories;
mod interleaved;
mod lost;
mod marked;
mod model;
mod parity;
mod places;
mod props;
mod schedule;
mod twice;
mod used;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::Dice;
use crate::object::tree::Entries;
use crate::object::{ContentRef, Entry, Metadata, Node, ObjectKind, ObjectSource as _, Snapshot, TreeBuilder};
use crate::refs::{Expected, RefChange, Who};
use crate::repository::{InitOptions, Leans, OpenOptions, init};
use crate::store::{Class, Options as StoreOptions, Packer, Store, Writer};
use crate::time::Timestamp;

/// What a snapshot holds: folder, name, content.
type Files = BTreeMap<(String, String), Vec<u8>>;

const MAIN: &str = "refs/snapshots/main";

/// Puts some files in, changes some, takes some out.
fn change(files: &mut Files, dice: &mut Dice) {
    for _ in 0..3 {
        let key = (format!("d{}", dice.below(3)), format!("f{}", dice.below(6)));
        match (dice.below(5), files.get_mut(&key)) {
            (0, _) => drop(files.remove(&key)),
            // A few bytes are others: it is stored as the difference.
            (1 | 2, Some(bytes)) if !bytes.is_empty() => {
                let at = dice.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1;
            }
            _ => {
                let count = 300 + dice.below(900) as usize;
                files.insert(key, dice.bytes(count));
            }
        }
    }
}

/// Whether there is time for more, where `GHOST_TEST_MINUTES` says how much there is.
fn is_time_left(begun: Instant) -> bool {
    let most = std::env::var("GHOST_TEST_MINUTES").map_or(u64::MAX, |text| 60 * text.parse::<u64>().unwrap());
    begun.elapsed().as_secs() < most
}

/// A disk with an empty repository.
fn new_disk() -> MemoryDisk {
    let memory = MemoryDisk::default();
    memory.create_dir(Path::new("/")).unwrap();
    memory.create_dir(Path::new("/r")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    init(&disk, Path::new("/r"), &InitOptions::default()).unwrap();
    memory
}

fn ghost_dir() -> &'static Path {
    Path::new("/r/.ghost")
}

/// Opens it as a process of its own would, with data files of some kilobytes.
fn open(disk: &Arc<dyn Disk>) -> Result<Repository> {
    open_with(disk, 0)
}

/// The same, with so many percent of parity.
fn open_with(disk: &Arc<dyn Disk>, parity_percent: u64) -> Result<Repository> {
    let mut repository = Repository::open(disk.clone(), ghost_dir(), &OpenOptions::default())?;
    let options = StoreOptions {
        file_bytes_max: 6000,
        frame_bytes: 1000,
        large_frame_bytes: 2000,
        meta_frame_bytes: 400,
        parity_percent,
        ..repository.store_options()
    };
    let format = &repository.format;
    repository.store = Store::open(disk.clone(), ghost_dir(), format.uuid, format.hash, options)?;
    repository.store.allow_deltas(|| Ok(()));
    Ok(repository)
}

fn who() -> Who {
    Who {
        author: "who".into(),
        host: "host".into(),
        time: Timestamp::new(1_795_251_600, 0),
    }
}

/// The blocks of the files of an earlier snapshot, as far as they are there.
fn blocks(store: &Store, snapshot: ObjectId) -> BTreeMap<(String, String), ObjectId> {
    let mut found = BTreeMap::new();
    let Ok(bytes) = store.object(ObjectKind::Snapshot, &snapshot) else {
        return found;
    };
    for folder in Entries::new(store, Snapshot::decode(&bytes).unwrap().tree).flatten() {
        let Node::Directory { tree } = folder.node else {
            continue;
        };
        for file in Entries::new(store, tree).flatten() {
            if let Node::File { content, .. } = file.node
                && let Some((_, id)) = content.object()
            {
                found.insert((folder.name.to_string(), file.name.to_string()), id);
            }
        }
    }
    found
}

/// Puts a tree of these files; `like` is a snapshot of files that may be like them.
fn put_tree(packer: &mut Packer<'_>, files: &Files, like: Option<ObjectId>) -> Result<ObjectId> {
    let like = like.map(|like| blocks(packer.store(), like)).unwrap_or_default();
    let mut folders: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    for (key, bytes) in files {
        let (folder, name) = key;
        let id = ObjectId::hash(packer.store().algo(), bytes);
        let bases: Vec<ObjectId> = like.get(key).copied().into_iter().collect();
        packer.put_against(Class::Small, ObjectKind::Block, id, bytes, &bases)?;
        let content = ContentRef::Block {
            id,
            bytes: bytes.len() as u64,
        };
        let node = Node::File {
            content,
            fullhash: None,
        };
        folders.entry(folder).or_default().push(entry(name, node));
    }
    let mut top = TreeBuilder::new();
    for (folder, entries) in folders {
        let mut builder = TreeBuilder::new();
        for entry in &entries {
            builder.push(entry, &mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
        }
        let tree = builder.finish(&mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))?;
        top.push(&entry(folder, Node::Directory { tree }), &mut |kind, bytes| {
            packer.put(kind, &bytes).map(|(id, _)| id)
        })?;
    }
    top.finish(&mut |kind, bytes| packer.put(kind, &bytes).map(|(id, _)| id))
}

fn entry(name: &str, node: Node) -> Entry {
    Entry {
        name: name.into(),
        meta: Metadata::default(),
        node,
    }
}

/// Puts a snapshot of these files and makes it durable.
fn put(writer: &Writer<'_>, files: &Files, parents: Vec<ObjectId>, message: &str) -> Result<ObjectId> {
    let like = parents.first().copied();
    put_like(writer, files, parents, message, like)
}

/// The same; `like` is a snapshot of files that may be like these.
fn put_like(
    writer: &Writer<'_>,
    files: &Files,
    parents: Vec<ObjectId>,
    message: &str,
    like: Option<ObjectId>,
) -> Result<ObjectId> {
    let mut packer = writer.packer();
    let tree = put_tree(&mut packer, files, like)?;
    let snapshot = Snapshot {
        parents,
        message: message.to_owned(),
        ..Snapshot::bare(tree)
    };
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode())?;
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    Ok(id)
}

fn set(name: &str, expected: Expected, new: Option<ObjectId>) -> RefChange {
    RefChange {
        name: name.to_owned(),
        expected,
        new,
    }
}

/// Takes a snapshot and moves a line to it.
fn take(repository: &Repository, line: &str, files: &Files, message: &str) -> Result<ObjectId> {
    let before = repository.refs.get(line)?;
    let writer = repository.store.writer()?;
    let id = put(&writer, files, before.into_iter().collect(), message)?;
    drop(writer);
    let change = set(line, before.map_or(Expected::Absent, Expected::Is), Some(id));
    repository.commit(&[change], &who(), message, Leans::Own)?;
    Ok(id)
}

/// Takes a snapshot that follows none, and moves a line to it; `like` is one of files that may be like these.
fn take_alone(
    repository: &Repository,
    line: &str,
    files: &Files,
    message: &str,
    like: Option<ObjectId>,
) -> Result<ObjectId> {
    let writer = repository.store.writer()?;
    let id = put_like(&writer, files, Vec::new(), message, like)?;
    drop(writer);
    repository.commit(&[set(line, Expected::Any, Some(id))], &who(), message, Leans::Own)?;
    Ok(id)
}

/// Deletes a ref.
fn delete(repository: &Repository, name: &str) {
    let change = set(name, Expected::Any, None);
    repository.commit(&[change], &who(), "delete", Leans::Anything).unwrap();
}

/// What a snapshot holds.
fn restore(repository: &Repository, id: &ObjectId) -> Result<Files> {
    let store = &repository.store;
    let snapshot = Snapshot::decode(&store.object(ObjectKind::Snapshot, id)?)?;
    let mut files = Files::new();
    for folder in Entries::new(store, snapshot.tree) {
        let folder = folder?;
        let Node::Directory { tree } = folder.node else {
            continue;
        };
        for file in Entries::new(store, tree) {
            let file = file?;
            let Node::File { content, .. } = file.node else {
                continue;
            };
            let bytes = crate::content::read_all(store, &content, 1 << 20)?;
            files.insert((folder.name.to_string(), file.name.to_string()), bytes);
        }
    }
    Ok(files)
}

/// Fails the test unless everything that refs lead to restores as it was.
fn check(repository: &Repository, known: &BTreeMap<ObjectId, Files>, what: &dyn std::fmt::Debug) {
    let (_, values) = values(&repository.refs).unwrap();
    let mut pending: Vec<ObjectId> = values.values().copied().collect();
    while let Some(id) = pending.pop() {
        let found = restore(repository, &id).unwrap_or_else(|error| panic!("{what:?}: {id}: {error}"));
        assert!(found == known[&id], "{what:?}: {id} restores as something else");
        let bytes = repository.store.object(ObjectKind::Snapshot, &id).unwrap();
        pending.extend(Snapshot::decode(&bytes).unwrap().parents);
    }
}

fn collect(repository: &Repository, unused_max: Allowance) -> Result<Report> {
    let options = Options {
        unused_max,
        repack_bytes_max: u64::MAX,
        keep_log: KeepLog::Nothing,
        threads: 1,
        dry_run: false,
        is_over: &|| false,
    };
    run(repository, &options, &Progress::default())
}

/// Whether nothing unused and no temporary file is left after some gcs: what dead objects are made from is kept where they
/// stay, and goes when they have gone.
fn settles(disk: &Arc<dyn Disk>) -> bool {
    (0..5).any(|_| {
        let report = collect(&open(disk).unwrap(), Allowance::Share(0)).unwrap();
        (report.totals().1, report.leftovers, report.swept.waiting_files) == (0, 0, 0)
    })
}

/// Bytes of all data files.
fn data_bytes(disk: &Arc<dyn Disk>) -> u64 {
    let folder = ghost_dir().join("data");
    let names = disk.list(&folder).unwrap();
    let length = |name: &std::ffi::OsString| {
        disk.open(&folder.join(name), crate::disk::OpenMode::Read)
            .unwrap()
            .len()
    };
    names.iter().map(|name| length(name).unwrap()).sum()
}
