//! Damage of every sort to a repository that holds every type of record: all of it is told, and of it exactly the paths that
//! do not read.
//!
//! 1. A repository in memory; what each of its snapshots needs is listed while it is whole.
//! 2. A bit is flipped, or a file is removed, cut, extended, swapped or doubled, in a copy.
//! 3. The oracle is reading: an object is hurt if the store does not give its bytes.
//! 4. [`run`] must tell the damage, and as hurt just the paths for which reading fails.
//!
//! Caches of other modules and the configuration, which people edit, are left out: nothing is stored there.
//! `GHOST_TEST_ALL` flips each bit of a repository of 1 MiB, in an order that looks random, for `GHOST_TEST_MINUTES` at most.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bstr::BString;

use super::crash_tests::life::{LINES, Source, make, move_line, open, take};
use super::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::object::{ContentRef, Indirect, Node, ObjectSource, Snapshot, TreeNode};
use crate::refs::CHECKPOINT_EVERY_RECORDS;
use crate::repository::Repository;

/// Flips that are tried if nobody asks for all.
const FLIPS: u64 = 150;
/// A prime that is no factor of any count of bits here: steps of it meet every bit once.
const STEP: u64 = 2_147_483_647;

/// Something that a snapshot needs.
struct Item {
    /// The snapshot and the path in it.
    place: (String, BString),
    /// The objects that lead to it.
    chain: Vec<ObjectId>,
    object: ObjectId,
}

struct Sample {
    disk: MemoryDisk,
    values: Vec<ObjectId>,
    items: Vec<Item>,
    objects: Vec<ObjectId>,
    /// The files that are damaged.
    files: Vec<(PathBuf, Arc<Vec<u8>>)>,
}

impl Sample {
    /// A repository of about this many bytes: small files and long ones, what compresses and what does not, lists of
    /// blocks, a folder of several nodes, three snapshots, two checkpoints and records behind them, several segments.
    fn new(bytes: usize) -> Self {
        let disk = MemoryDisk::default();
        for folder in ["/", "/r"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        make(&shared).unwrap();
        let source = Source::new();
        for name in 0..400 {
            source.write(&format!("many/a-name-long-enough-for-several-nodes-{name}"), &[]);
        }
        source.write("long", &noise(1, bytes / 2));
        source.write(
            "text",
            "It is the same again and again. ".repeat(bytes / 100).as_bytes(),
        );
        let mut values = Vec::new();
        for n in 1..=3 {
            source.set(n);
            source.write(&format!("folder/noise-{n}"), &noise(n, bytes / 8));
            values.push(take(&shared, &source, n).unwrap());
            for _ in 0..CHECKPOINT_EVERY_RECORDS * 2 / 3 {
                move_line(&shared, "refs/snapshots/moves", &values).unwrap();
            }
        }
        let repository = open(&shared).unwrap();
        let items: Vec<Item> = values.iter().flat_map(|id| items_of(&repository.store, *id)).collect();
        let objects: BTreeSet<ObjectId> = items.iter().map(|item| item.object).collect();
        let is_stored = |path: &Path| {
            ["data", "refs", "index"]
                .iter()
                .any(|part| path.parent().unwrap().ends_with(part))
        };
        let mut files = disk.files();
        files.retain(|(path, _)| (is_stored(path) || path.ends_with("format")) && !path.ends_with("lock"));
        let kinds = |part: &str| {
            files
                .iter()
                .filter(|(path, _)| path.parent().unwrap().ends_with(part))
                .count()
        };
        assert!(
            kinds("index") >= 2 && kinds("refs") >= 3,
            "{:?}",
            files.iter().map(|it| &it.0).collect::<Vec<_>>()
        );
        Self {
            values,
            items,
            objects: objects.into_iter().collect(),
            files,
            disk,
        }
    }

    fn bits(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| 8 * bytes.len() as u64).sum()
    }

    /// A copy of the disk with one bit flipped, and where that is.
    fn flipped(&self, bit: u64) -> (MemoryDisk, String) {
        let mut at = (bit / 8) as usize;
        let found = self.files.iter().find(|(_, bytes)| {
            let is_here = at < bytes.len();
            at -= if is_here { 0 } else { bytes.len() };
            is_here
        });
        let (path, bytes) = found.unwrap();
        let disk = self.disk.copy(bit);
        let mut bytes = (**bytes).clone();
        bytes[at] ^= 1 << (bit % 8);
        disk.place(path, Arc::new(bytes));
        (disk, format!("bit {} of byte {at} of {}", bit % 8, path.display()))
    }

    /// Looks at a damaged copy: whether the damage was told. What is said to be hurt must be what does not read.
    fn look(&self, disk: &MemoryDisk, what: &str) -> bool {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let Ok(repository) = open(&shared) else { return true };
        let request = Request {
            targets: self
                .values
                .iter()
                .map(|id| Target::snapshot(id.to_string(), *id))
                .collect(),
            everything: true,
            depth: Depth::Data,
            threads: 1,
        };
        let report = match run(
            &repository.store,
            Some(&repository.refs),
            &request,
            &Progress::default(),
        ) {
            Ok(report) => report,
            // A log that is gone, for example.
            Err(error) => {
                assert!(
                    error.to_string().contains("/r/.ghost"),
                    "{what}: no file is named: {error}"
                );
                return true;
            }
        };
        let told: BTreeSet<(String, BString)> = report
            .hurt
            .iter()
            .map(|hurt| (hurt.snapshot.clone(), hurt.path.clone()))
            .collect();
        assert_eq!(told, self.hurt(&open(&shared).unwrap()), "{what}: {report:?}");
        !report.is_clean() || report.unfinished_bytes > 0
    }

    /// What cannot be read, by snapshot and path.
    fn hurt(&self, repository: &Repository) -> BTreeSet<(String, BString)> {
        let reads = |id: &&ObjectId| matches!(repository.store.get(id), Ok(Some(_)));
        let unread: HashSet<ObjectId> = self.objects.iter().filter(|id| !reads(id)).copied().collect();
        if unread.is_empty() {
            return BTreeSet::new();
        }
        let is_hurt = |item: &&Item| unread.contains(&item.object) && !item.chain.iter().any(|id| unread.contains(id));
        self.items
            .iter()
            .filter(is_hurt)
            .map(|item| item.place.clone())
            .collect()
    }

    /// Whether all that was acknowledged is there: every object, and refs that are those of the end or of some moment
    /// before it.
    fn is_harmless(&self, disk: &MemoryDisk) -> bool {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let repository = open(&shared).unwrap();
        let main = repository.refs.get(LINES[0]).unwrap();
        self.hurt(&repository).is_empty() && main.is_none_or(|id| self.values.contains(&id))
    }
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut out);
    out
}

/// All that a snapshot needs.
fn items_of(store: &Store, snapshot: ObjectId) -> Vec<Item> {
    let mut items = Vec::new();
    let name = snapshot.to_string();
    let mut note = |path: &BString, chain: &[ObjectId], object| {
        items.push(Item {
            place: (name.clone(), path.clone()),
            chain: chain.to_vec(),
            object,
        });
        [chain, &[object]].concat()
    };
    let top = note(&BString::default(), &[], snapshot);
    let tree = Snapshot::decode(&store.get(&snapshot).unwrap().unwrap()).unwrap().tree;
    let mut trees = vec![(BString::default(), tree, top)];
    while let Some((path, node, chain)) = trees.pop() {
        let chain = note(&path, &chain, node);
        let entries = match store.tree_node(&node).unwrap() {
            TreeNode::Leaf(entries) => entries,
            TreeNode::Inner { children, .. } => {
                trees.extend(children.iter().map(|child| (path.clone(), child.id, chain.clone())));
                continue;
            }
        };
        for entry in entries {
            let mut below = path.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(&entry.name);
            match entry.node {
                Node::Directory { tree } => trees.push((below, tree, chain.clone())),
                Node::File { content, .. } if !content.is_empty() => {
                    let mut parts = vec![(content, chain.clone())];
                    while let Some((part, chain)) = parts.pop() {
                        let Some((kind, id)) = part.object() else { continue };
                        let chain = note(&below, &chain, id);
                        if let ContentRef::Indirect { depth, bytes, .. } = part {
                            let list = store.object(kind, &id).unwrap();
                            let list = Indirect::decode(&list, depth, bytes).unwrap();
                            parts.extend(list.refs.into_iter().map(|part| (part, chain.clone())));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    items
}

#[test]
fn every_flipped_bit_is_told_with_just_the_paths_that_it_hurts() {
    let all = std::env::var_os("GHOST_TEST_ALL").is_some();
    let most = std::env::var("GHOST_TEST_MINUTES").map_or(u64::MAX, |text| 60 * text.parse::<u64>().unwrap());
    let sample = Sample::new(if all { 1_000_000 } else { 60_000 });
    assert!(
        !sample.look(&sample.disk.copy(1), "nothing is wrong"),
        "damage where there is none"
    );
    let bits = sample.bits();
    let flips = if all { bits } else { FLIPS };
    let (next, done, missed, begun) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    let work = || {
        while begun.elapsed().as_secs() < most {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= flips {
                return;
            }
            let (disk, what) =
                sample.flipped(u64::try_from(u128::from(number) * u128::from(STEP) % u128::from(bits)).unwrap());
            if !sample.look(&disk, &what) {
                missed.fetch_add(1, Ordering::Relaxed);
                eprintln!("{what} is not told");
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..if all {
            std::thread::available_parallelism().unwrap().get()
        } else {
            1
        } {
            scope.spawn(work);
        }
    });
    let (done, seconds) = (done.into_inner(), begun.elapsed().as_secs_f64());
    eprintln!(
        "figure: {done} of {bits} bits of {} files flipped, {} not told, {seconds:.0} s, {:.0} a second",
        sample.files.len(),
        missed.load(Ordering::Relaxed),
        done as f64 / seconds
    );
    assert_eq!(missed.into_inner(), 0, "bits whose flip was not told");
}

/// Files removed, emptied, cut, extended, swapped and doubled.
#[test]
fn every_file_that_is_not_what_it_was_is_told() {
    let sample = Sample::new(60_000);
    let mut counts: BTreeMap<(&str, &str), (u32, u32)> = BTreeMap::new();
    for (at, (path, bytes)) in sample.files.iter().enumerate() {
        let (other_path, other) = &sample.files[(at + 1) % sample.files.len()];
        let with = |change: &dyn Fn(&MemoryDisk)| {
            let disk = sample.disk.copy(at as u64);
            change(&disk);
            disk
        };
        let holding = |bytes: &[u8]| with(&|disk| assert!(disk.place(path, Arc::new(bytes.to_vec()))));
        let mut tries = vec![
            ("remove", with(&|disk| disk.remove(path).unwrap())),
            ("empty", holding(&[])),
            ("extend by zeros", holding(&[bytes.as_slice(), &[0; 5000]].concat())),
            (
                "extend by noise",
                holding(&[bytes.as_slice(), &noise(3, 5000)].concat()),
            ),
            (
                "extend by itself",
                holding(&[bytes.as_slice(), bytes.as_slice()].concat()),
            ),
            (
                "swap",
                with(&|disk| {
                    disk.place(path, other.clone());
                    disk.place(other_path, bytes.clone());
                }),
            ),
            (
                "double",
                with(&|disk| assert!(disk.place(&doubled(path), bytes.clone()))),
            ),
        ];
        tries.extend((1..64).map(|part| ("cut", holding(&bytes[..bytes.len() * part / 64]))));
        let part = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        for (action, disk) in tries {
            let what = format!("{action} {}", path.display());
            let is_told = sample.look(&disk, &what);
            let count = counts.entry((part, action)).or_default();
            *(if is_told { &mut count.0 } else { &mut count.1 }) += 1;
            // What is not told must do no harm: a segment that is gone or there twice, a log that ends a record earlier.
            assert!(is_told || sample.is_harmless(&disk), "{what} is not told");
            assert!(is_told || part != "data", "{what} is not told");
        }
    }
    for ((part, action), (told, harmless)) in counts {
        eprintln!("figure: {action} in {part}: {told} told, {harmless} harmless");
    }
}

/// A name of the same sort beside `path`.
fn doubled(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    let last = name.find('.').unwrap_or(name.len()) - 1;
    let other = if name.as_bytes()[last] == b'0' { "1" } else { "0" };
    path.with_file_name(format!("{}{other}{}", &name[..last], &name[last + 1..]))
}
