//! Snapshots of real directories into a repository in memory.

mod deltas;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::chunk;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::object::tree::{Entries, lookup};
use crate::object::{HashAlgo, Node};
use crate::store::Options;
use crate::time::Timestamp;
use crate::walk::{self, Rules};

struct World {
    disk: Arc<MemoryDisk>,
    folder: tempfile::TempDir,
    /// Seconds ahead of the clock: what was just written counts as settled.
    ahead: i64,
    /// Makes every snapshot differ from those before.
    taken: std::cell::Cell<u32>,
}

impl World {
    fn new() -> Self {
        let disk = Arc::new(MemoryDisk::default());
        for folder in ["/g", "/g/data", "/g/index", "/g/cache"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        Self {
            disk,
            folder: tempfile::tempdir().unwrap(),
            ahead: 10,
            taken: std::cell::Cell::new(0),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> Store {
        let disk = self.disk.clone();
        let store = Store::open(disk, Path::new("/g"), [7; 16], HashAlgo::Sha256, Options::default()).unwrap();
        store.allow_deltas(|| Ok(()));
        store
    }

    fn take(&self, change: impl FnOnce(&mut Request)) -> Outcome {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + self.ahead;
        let mut request = Request {
            roots: vec![self.folder.path().to_owned()],
            rules: Rules::new(walk::RuleOptions::default()),
            rules_text: Vec::new(),
            trust_hash: false,
            dry_run: false,
            keep: Keep::Everything,
            threads: 3,
            chunk: chunk::Params::default(),
            xattrs: true,
            birth_time: false,
            coarse: Duration::from_secs(1),
            unless_same_as: None,
            began: Timestamp::new(now, 0),
            about: About {
                time: Timestamp::new(now, 0),
                offset_minutes: 0,
                host: String::new(),
                author: String::new(),
                message: self.taken.replace(self.taken.get() + 1).to_string(),
                tags: Vec::new(),
                parents: Vec::new(),
            },
        };
        change(&mut request);
        let store = self.store();
        let place = Place {
            disk: &*self.disk,
            ghost_dir: Some("/g".into()),
            uuid: [7; 16],
            store: &store,
        };
        let progress = Progress::default();
        let outcome = take(&place, &request, &progress).unwrap();
        assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
        let (told, counters) = (progress.counters(), &outcome.counters);
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!(told.new_blocks, get(&counters.new_objects));
        assert_eq!(told.new_bytes, get(&counters.new_bytes));
        assert_eq!(told.known_blocks, get(&counters.existing_objects));
        assert_eq!(told.known_bytes, get(&counters.existing_bytes));
        outcome
    }

    /// The tree of a scan that knows nothing of those before.
    fn tree_afresh(&self) -> ObjectId {
        self.take(|request| {
            request.trust_hash = true;
            request.rules_text = vec!["another cache".to_owned()];
        })
        .snapshot
        .tree
    }

    fn group(&self, tree: ObjectId, path: &[&str]) -> Option<[u8; 16]> {
        let store = self.store();
        let mut tree = tree;
        for (at, name) in path.iter().enumerate() {
            let entry = lookup(&store, tree, name.as_bytes()).unwrap().unwrap();
            match entry.node {
                Node::Directory { tree: below } if at + 1 < path.len() => tree = below,
                _ => return entry.meta.links,
            }
        }
        None
    }
}

#[test]
fn nothing_is_read_again_and_what_changed_is() {
    let world = World::new();
    for dir in 0..20 {
        fs::create_dir_all(world.path(&format!("d{dir}/deep"))).unwrap();
        for file in 0..30 {
            fs::write(world.path(&format!("d{dir}/deep/f{file}")), format!("{dir} {file}")).unwrap();
        }
    }
    let first = world.take(|_| ());
    assert_eq!(first.snapshot.totals.files, 600);
    let again = world.take(|_| ());
    assert_eq!(again.snapshot.tree, first.snapshot.tree);
    let put = |outcome: &Outcome| outcome.counters.new_objects.load(Ordering::Relaxed);
    let seen = |outcome: &Outcome| outcome.counters.existing_objects.load(Ordering::Relaxed);
    assert_eq!((put(&again), seen(&again)), (1, 0), "only the snapshot itself");
    fs::write(world.path("d7/deep/f3"), "other").unwrap();
    let third = world.take(|_| ());
    // The block, three directories, the snapshot.
    assert_eq!((put(&third), seen(&third)), (5, 0));
    assert_eq!(third.snapshot.tree, world.tree_afresh());
    fs::remove_file(world.path("d7/deep/f3")).unwrap();
    fs::rename(world.path("d8"), world.path("e8")).unwrap();
    assert_eq!(world.take(|_| ()).snapshot.tree, world.tree_afresh());
}

#[test]
fn an_entry_too_fresh_is_read_again() {
    let mut world = World::new();
    world.ahead = -10;
    fs::write(world.path("f"), "one").unwrap();
    world.take(|_| ());
    let again = world.take(|_| ());
    assert_eq!(
        again.counters.existing_objects.load(Ordering::Relaxed),
        2,
        "the file and its directory"
    );
}

#[test]
fn a_directory_of_many_windows() {
    let world = World::new();
    for file in 0..9000 {
        fs::write(world.path(&format!("f{file:05}")), format!("{}", file % 100)).unwrap();
    }
    fs::create_dir(world.path("f04000-dir")).unwrap();
    let first = world.take(|_| ());
    let store = world.store();
    let names = Entries::new(&store, first.snapshot.tree).map(|entry| entry.unwrap().name);
    assert!(names.map(|name| name.to_string()).is_sorted());
    fs::write(world.path("f08999"), "changed").unwrap();
    fs::remove_file(world.path("f00000")).unwrap();
    fs::write(world.path("f04000-dir/new"), "new").unwrap();
    let second = world.take(|_| ());
    assert_eq!(second.snapshot.totals.files, 9000);
    assert_eq!(second.snapshot.tree, world.tree_afresh());
    fs::write(world.path("f04000-dir/newer"), "newer").unwrap();
    assert_eq!(world.take(|_| ()).snapshot.tree, world.tree_afresh());
}

#[test]
fn hard_links_are_groups_of_names_in_the_tree() {
    let world = World::new();
    for dir in ["a", "b", "c"] {
        fs::create_dir(world.path(dir)).unwrap();
    }
    fs::write(world.path("a/x"), "linked").unwrap();
    fs::hard_link(world.path("a/x"), world.path("c/x")).unwrap();
    fs::write(world.path("b/alone"), "alone").unwrap();
    let outside = tempfile::tempdir_in(world.folder.path().parent().unwrap()).unwrap();
    fs::hard_link(world.path("b/alone"), outside.path().join("alone")).unwrap();
    let first = world.take(|_| ()).snapshot.tree;
    let group = crate::object::tree::link_group(b"a/x");
    assert_eq!(world.group(first, &["a", "x"]), Some(group));
    assert_eq!(world.group(first, &["c", "x"]), Some(group));
    assert_eq!(world.group(first, &["b", "alone"]), None, "its other name is elsewhere");
    assert_eq!(world.take(|_| ()).snapshot.tree, first);
    // No time in `c` or of the file changes, but the first path does.
    fs::rename(world.path("a"), world.path("d")).unwrap();
    let second = world.take(|_| ()).snapshot.tree;
    assert_eq!(
        world.group(second, &["c", "x"]),
        Some(crate::object::tree::link_group(b"c/x"))
    );
    assert_eq!(world.group(second, &["d", "x"]), world.group(second, &["c", "x"]));
    assert_eq!(second, world.tree_afresh());
    fs::remove_file(world.path("d/x")).unwrap();
    let third = world.take(|_| ()).snapshot.tree;
    assert_eq!(world.group(third, &["c", "x"]), None);
    assert_eq!(third, world.tree_afresh());
}

#[test]
fn a_sparse_file_is_runs_and_a_large_one_is_the_same_as_read_at_once() {
    let world = World::new();
    let file = fs::File::create(world.path("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"island", 30 << 20).unwrap();
    let bytes: Vec<u8> = (0..5u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(world.path("large"), &bytes).unwrap();
    // Zeros that are written, and begin and end anywhere in what is read at once.
    let with_zeros: Vec<(String, Vec<u8>)> = [
        (1 << 20, 2_500_000),
        (1_000_000, 70_000),
        (900_000, 300_000),
        (0, 3 << 20),
    ]
    .map(|(from, length)| {
        let mut bytes = bytes.clone();
        bytes[from..from + length].fill(0);
        (format!("zeros-{from}"), bytes)
    })
    .into();
    for (name, bytes) in &with_zeros {
        fs::write(world.path(name), bytes).unwrap();
    }
    let outcome = world.take(|_| ());
    assert!(outcome.counters.new_bytes.load(Ordering::Relaxed) < 22 << 20);
    let store = world.store();
    let hashed = |name: &str, bytes: &[u8]| {
        let entry = lookup(&store, outcome.snapshot.tree, name.as_bytes()).unwrap().unwrap();
        let whole = content::store_many(
            &mut content::HashOnly(HashAlgo::Sha256),
            chunk::Params::default(),
            &[bytes],
        );
        let content::Stored { content, fullhash } = whole.unwrap().remove(0);
        assert_eq!(entry.node, Node::File { content, fullhash }, "{name}");
    };
    hashed("large", &bytes);
    for (name, bytes) in &with_zeros {
        hashed(name, bytes);
    }
    hashed("sparse", &fs::read(world.path("sparse")).unwrap());
}

#[test]
fn a_snapshot_of_ghosts_has_the_tree_of_a_full_one_and_never_stands_for_it() {
    let place = World::new();
    let noise: Vec<u8> = (0..300_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(place.path("long"), &noise).unwrap();
    fs::write(place.path("short"), b"short").unwrap();
    fs::write(place.path("empty"), b"").unwrap();
    let ghosts = |request: &mut Request| request.keep = Keep::Ghosts;
    let blocks = |tree| {
        let store = place.store();
        Entries::new(&store, tree)
            .map(|entry| {
                let entry = entry.unwrap();
                let Node::File { content, .. } = &entry.node else {
                    panic!("only files")
                };
                crate::content::copy_to(&store, content, &mut std::io::sink()).is_ok()
            })
            .collect::<Vec<bool>>()
    };
    let described = place.take(ghosts);
    assert!(described.snapshot.is_ghosts_only());
    assert_eq!(described.counters.described_bytes.into_inner(), 300_005);
    assert_eq!(blocks(described.snapshot.tree), [true, false, false]);
    // The files look as they did, and yet they are read and stored.
    let full = place.take(|request| request.unless_same_as = Some(described.id));
    assert_ne!(full.id, described.id);
    assert!(!full.snapshot.is_ghosts_only());
    assert_eq!(full.snapshot.tree, described.snapshot.tree);
    assert_eq!(blocks(full.snapshot.tree), [true, true, true]);
    // What is stored stays stored: after a full one there is nothing that one of ghosts would tell.
    let again = place.take(|request| {
        ghosts(request);
        request.unless_same_as = Some(full.id);
    });
    assert_eq!((again.id, again.snapshot.tree), (full.id, full.snapshot.tree));
    let afresh = place.take(|request| request.trust_hash = true);
    assert_eq!(
        afresh.counters.new_bytes.into_inner(),
        afresh.snapshot.encode().len() as u64
    );
}

#[test]
fn without_a_folder_nothing_is_remembered() {
    let place = World::new();
    fs::write(place.path("short"), b"short").unwrap();
    let full = place.take(|_| {});
    let caches = || place.disk.list(Path::new("/g/cache")).unwrap().len();
    assert_eq!(caches(), 1);
    place.take(|request| request.keep = Keep::Ghosts);
    assert_eq!(caches(), 2);
    let store = place.store();
    let at = Place {
        disk: &*place.disk,
        ghost_dir: None,
        uuid: [7; 16],
        store: &store,
    };
    let taken = place.take(|request| {
        request.rules_text = vec!["another cache".to_owned()];
        let outcome = take(&at, request, &Progress::default()).unwrap();
        assert_eq!(outcome.snapshot.tree, full.snapshot.tree);
        assert_eq!(caches(), 2);
    });
    assert_eq!(taken.snapshot.tree, full.snapshot.tree);
}
