//! Every file of a small repository, hurt in every place and way: what is said to be hurt is what does not read.
//!
//! The repository has every record: blocks, lists, trees of several nodes, two snapshots, commit records, two segments, a
//! ref log and a checkpoint. `GHOST_TEST_ALL=1` flips each byte instead of each 37th.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, OpenMode, read_file};
use crate::object::{ContentRef, Entry, Indirect, Metadata, Node, ObjectSource as _, Snapshot, TreeBuilder, TreeNode};
use crate::refs::revision::read_snapshot;
use crate::refs::{Expected, RefChange, Who};
use crate::repository::{InitOptions, OpenOptions, Repository, init};
use crate::snapshot::content::store_many;
use crate::time::Timestamp;

const GHOST: &str = "/r/.ghost";
const STEP: usize = 37;

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// The files of a state: small text, one content of several blocks, a folder of so many that its tree has several nodes.
fn files(state: u64) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("large".to_owned(), noise(9, 24_000)),
        ("changes".to_owned(), format!("state {state} ").repeat(50).into_bytes()),
    ];
    files.extend((0..70).map(|i| (format!("many/file-with-a-longer-name-{i:03}"), noise(i, 90))));
    files.push((format!("new/only-{state}"), noise(1000 + state, 700)));
    files
}

fn open(disk: &Arc<MemoryDisk>) -> Result<Repository> {
    Repository::open(disk.clone(), Path::new(GHOST), &OpenOptions::default())
}

fn who() -> Who {
    Who {
        author: "ann".into(),
        host: "loom".into(),
        time: Timestamp::new(1_800_000_000, 0),
    }
}

/// Stores a state as a snapshot of the line.
fn take(disk: &Arc<MemoryDisk>, state: u64, parent: Option<ObjectId>) -> ObjectId {
    let repository = open(disk).unwrap();
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    let params = repository.settings().chunk_params();
    let mut folders: Vec<(String, TreeBuilder)> = Vec::new();
    let mut top: Vec<(String, Node)> = Vec::new();
    for (path, bytes) in files(state) {
        let stored = store_many(&mut packer, params, &[&bytes]).unwrap().remove(0);
        let node = Node::File {
            content: stored.content,
            fullhash: stored.fullhash,
        };
        match path.split_once('/') {
            None => top.push((path, node)),
            Some((folder, name)) => {
                if folders.last().is_none_or(|(last, _)| last != folder) {
                    folders.push((folder.to_owned(), TreeBuilder::new()));
                }
                let builder = &mut folders.last_mut().unwrap().1;
                push(builder, &mut packer, name, node);
            }
        }
    }
    for (name, builder) in folders {
        let tree = builder
            .finish(&mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))
            .unwrap();
        top.push((name, Node::Directory { tree }));
    }
    top.sort_by(|a, b| a.0.cmp(&b.0));
    let mut builder = TreeBuilder::new();
    for (name, node) in top {
        push(&mut builder, &mut packer, &name, node);
    }
    let tree = builder
        .finish(&mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))
        .unwrap();
    let snapshot = Snapshot {
        parents: parent.into_iter().collect(),
        time: Timestamp::new(state as i64, 0),
        host: "loom".into(),
        author: "ann".into(),
        ..Snapshot::bare(tree)
    };
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    set(&repository, "refs/snapshots/main", id);
    id
}

fn push(builder: &mut TreeBuilder, packer: &mut crate::store::Packer<'_>, name: &str, node: Node) {
    let entry = Entry {
        name: name.into(),
        meta: Metadata::default(),
        node,
    };
    builder
        .push(&entry, &mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))
        .unwrap();
}

fn set(repository: &Repository, name: &str, id: ObjectId) {
    let change = RefChange {
        name: name.to_owned(),
        expected: Expected::Any,
        new: Some(id),
    };
    repository.refs.transaction(&[change], &who(), "t").unwrap();
}

struct World {
    disk: Arc<MemoryDisk>,
    /// Snapshots with their states.
    snapshots: Vec<(ObjectId, u64)>,
    /// What each path of each snapshot needs: to be reached, and as content.
    needs: BTreeMap<(ObjectId, String), Vec<ObjectId>>,
    /// The nodes of each folder.
    nodes: BTreeMap<(ObjectId, String), Vec<ObjectId>>,
}

impl World {
    /// Finds out what is needed, while everything reads.
    fn learn(&mut self) {
        let store = open(&self.disk).unwrap().store;
        for &(id, state) in &self.snapshots {
            let tree = read_snapshot(&store, &id).unwrap().tree;
            self.nodes.insert((id, String::new()), all_nodes(&store, tree));
            for (path, _) in files(state) {
                let mut needed = vec![id];
                let mut folder = tree;
                for name in path.split('/') {
                    let entry = step(&store, folder, name, &mut needed);
                    match entry.node {
                        Node::Directory { tree } => {
                            self.nodes.insert((id, name.to_owned()), all_nodes(&store, tree));
                            folder = tree;
                        }
                        Node::File { content, .. } => contents(&store, &content, &mut needed),
                        _ => {}
                    }
                }
                self.needs.insert((id, path), needed);
            }
        }
    }
}

/// Finds a name as a reader does; notes the nodes on the way.
fn step(store: &Store, tree: ObjectId, name: &str, needed: &mut Vec<ObjectId>) -> Entry {
    let mut id = tree;
    loop {
        needed.push(id);
        match store.tree_node(&id).unwrap() {
            TreeNode::Leaf(entries) => return entries.into_iter().find(|entry| entry.name == name).unwrap(),
            TreeNode::Inner { children, .. } => {
                let mut before = children.iter().rev();
                id = before
                    .find(|child| child.first.as_slice() <= name.as_bytes())
                    .unwrap()
                    .id;
            }
        }
    }
}

fn all_nodes(store: &Store, tree: ObjectId) -> Vec<ObjectId> {
    let mut nodes = vec![tree];
    if let TreeNode::Inner { children, .. } = store.tree_node(&tree).unwrap() {
        nodes.extend(children.iter().flat_map(|child| all_nodes(store, child.id)));
    }
    nodes
}

fn contents(store: &Store, content: &ContentRef, needed: &mut Vec<ObjectId>) {
    let Some((kind, id)) = content.object() else { return };
    needed.push(id);
    if let ContentRef::Indirect { depth, bytes, .. } = content {
        let list = Indirect::decode(&store.object(kind, &id).unwrap(), *depth, *bytes).unwrap();
        list.refs.iter().for_each(|part| contents(store, part, needed));
    }
}

fn world() -> World {
    let disk = Arc::new(MemoryDisk::default());
    let shared: Arc<dyn Disk> = disk.clone();
    init(&shared, Path::new("/r"), &InitOptions::default()).unwrap();
    let config = disk.open(&Path::new(GHOST).join("config"), OpenMode::Create).unwrap();
    let text = b"[data]\nframe-bytes = 4096\nmeta-frame-bytes = 4096\n[chunk]\nmin = 1024\navg = 2048\nmax = 4096\n";
    config.set_len(0).unwrap();
    config.write_all_at(text, 0).unwrap();
    let first = take(&disk, 1, None);
    let second = take(&disk, 2, Some(first));
    // So many changes that there is a checkpoint.
    let repository = open(&disk).unwrap();
    for n in 0..256 {
        set(&repository, "refs/tags/t", if n % 2 == 0 { first } else { second });
    }
    let mut world = World {
        disk,
        snapshots: vec![(second, 2), (first, 1)],
        needs: BTreeMap::new(),
        nodes: BTreeMap::new(),
    };
    world.learn();
    world
}

impl World {
    /// All files of a folder of the repository with their bytes.
    fn files(&self, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(GHOST).join(folder);
        let mut names = self.disk.list(&folder).unwrap();
        names.retain(|name| name != "lock");
        names.sort();
        let read = |path: PathBuf| (path.clone(), read_file(&*self.disk, &path, usize::MAX).unwrap());
        names.into_iter().map(|name| read(folder.join(name))).collect()
    }

    fn put(&self, path: &Path, bytes: &[u8]) {
        let file = self.disk.open(path, OpenMode::Create).unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }

    fn has_clean_refs(&self) -> bool {
        let refs = open(&self.disk).map(|repository| repository.refs);
        refs.and_then(|refs| refs.verify())
            .is_ok_and(|report| report.problems.is_empty())
    }

    /// Checks, and compares what is told with what reads. Gives whether the repository is said to be clean.
    fn judge(&self, what: &str) -> bool {
        let Ok(repository) = open(&self.disk) else { return false };
        let targets = self
            .snapshots
            .iter()
            .map(|(id, state)| Target::snapshot(format!("s{state}"), *id));
        let request = Request {
            targets: targets.collect(),
            everything: true,
            depth: Depth::Data,
            threads: 1,
        };
        // A log that is gone is an error of its own.
        let Ok(report) = run(
            &repository.store,
            Some(&repository.refs),
            &request,
            &Progress::default(),
        ) else {
            return false;
        };
        // With fresh eyes: what was found must not help.
        let store = open(&self.disk).unwrap().store;
        let mut asked: HashMap<ObjectId, bool> = HashMap::new();
        let mut reads = |ids: &[ObjectId]| {
            let read = |id: &ObjectId| store.get(id).is_ok_and(|found| found.is_some());
            ids.iter().all(|id| *asked.entry(*id).or_insert_with(|| read(id)))
        };
        let told = |id: &ObjectId, path: &str| report.hurt.iter().any(|hurt| hurt.target == *id && hurt.path == path);
        for ((id, path), needed) in &self.needs {
            let above = told(id, "") || path.split_once('/').is_some_and(|(folder, _)| told(id, folder));
            let (reads, itself) = (reads(needed), told(id, path));
            assert!(!(reads && itself), "{what}: {path} is said to be hurt and reads");
            assert!(
                reads || itself || above,
                "{what}: {path} does not read, and nobody says so"
            );
        }
        for ((id, path), nodes) in self.nodes.iter().filter(|((id, path), _)| told(id, path)) {
            let whole = reads(nodes) && (!path.is_empty() || reads(&[*id]));
            assert!(!whole, "{what}: {path} is said to be hurt and reads");
        }
        report.is_clean()
    }
}

#[test]
fn each_flipped_bit_is_found_and_just_what_it_hurts_is_named() {
    let world = world();
    assert!(world.judge("whole"));
    let step = if std::env::var_os("GHOST_TEST_ALL").is_some() {
        1
    } else {
        STEP
    };
    let mut flips = 0;
    for folder in ["data", "index", "refs"] {
        for (path, bytes) in world.files(folder) {
            let file = world.disk.open(&path, OpenMode::Write).unwrap();
            for at in (0..bytes.len()).step_by(step) {
                file.write_all_at(&[bytes[at] ^ (1 << (at / step % 8))], at as u64)
                    .unwrap();
                let what = format!("{} byte {at}", path.display());
                // What refs say hurts no data: now and then that is looked at, too.
                let is_clean = match folder {
                    "refs" if at / step % 50 != 0 => world.has_clean_refs(),
                    _ => world.judge(&what),
                };
                assert!(!is_clean, "{what} goes unseen");
                file.write_all_at(&bytes[at..=at], at as u64).unwrap();
                flips += 1;
            }
        }
    }
    assert!(flips > 1000 && world.judge("whole again"), "{flips}");
}

#[test]
fn files_that_are_gone_cut_longer_swapped_or_doubled_are_found() {
    let world = world();
    for folder in ["data", "index", "refs"] {
        let files = world.files(folder);
        for (number, (path, bytes)) in files.iter().enumerate() {
            let name = path.display().to_string();
            world.disk.remove(path).unwrap();
            // An index may be deleted, and one checkpoint less is no loss.
            let is_cache = folder == "index" || name.contains("checkpoint-");
            assert_eq!(world.judge(&format!("{name} gone")), is_cache, "{name} gone");
            for cut in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
                world.put(path, &bytes[..cut]);
                // A log that ends early looks like an append that was cut short, if no checkpoint knows better.
                let is_torn = name.ends_with("refs/log") && cut > bytes.len() / 2;
                assert!(
                    !world.judge(&format!("{name} cut to {cut}")) || is_torn,
                    "{name} cut to {cut}"
                );
            }
            for more in [vec![0; 100], noise(5, 5000), bytes.clone()] {
                world.put(path, &[bytes.clone(), more].concat());
                // What follows the last commit record or ref was never acknowledged.
                let is_tail = folder != "index" && !name.contains("checkpoint-");
                assert!(!world.judge(&format!("{name} longer")) || is_tail, "{name} longer");
            }
            world.put(path, bytes);
            for (other, theirs) in files.iter().skip(number + 1) {
                world.put(path, theirs);
                world.put(other, bytes);
                // A segment is a segment, whatever it is called.
                let what = format!("{name} swapped with {}", other.display());
                assert!(!world.judge(&what) || folder == "index", "{what}");
                world.put(path, bytes);
                world.put(other, theirs);
            }
            let mut double = path.clone();
            double.set_file_name(match folder {
                "data" => "00112233445566778899aabbccddeeff.gd",
                "index" => "00112233445566778899aabbccddeeff.gi",
                _ => "checkpoint-00000000000000000009",
            });
            world.put(&double, bytes);
            // A second segment of the same ranges says nothing wrong.
            assert!(
                !world.judge(&format!("{name} twice")) || folder == "index",
                "{name} twice"
            );
            world.disk.remove(&double).unwrap();
            assert!(world.judge(&format!("{name} whole again")));
        }
    }
}
