//! Any tree over any other gives what it gives in an empty directory.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::ghosts::scan::{self, scan};
use crate::ghosts::{Catalogue, Ghost, Ghosts};
use crate::object::{Root, Snapshot};
use crate::walk::{RuleOptions, Rules};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Few names, contents and times, so that trees share much. Contents differ in length, as a size and a time that are
/// the same are trusted.
fn random_items(random: &mut Random, depth: u64) -> Vec<Item> {
    let mut items = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let mut made = match random.below(10) {
            0 | 1 if depth > 0 => dir(name, random_items(random, depth - 1)),
            2 => link(name, ["x", "y"][random.below(2) as usize]),
            3 => item(name, 0o644, What::Node(Node::Fifo)),
            // All names of a group have the same content and metadata.
            group @ 4..6 => {
                items.push(file(name, &vec![0; group as usize]).linked(group as u8));
                continue;
            }
            6..9 => {
                let seed = random.below(3);
                file(name, &bytes(seed, 20 + seed as usize))
            }
            _ => continue,
        };
        made.meta.mtime = Timestamp::new(random.below(2) as i64, 5);
        if !matches!(made.what, What::Node(Node::Symlink { .. })) {
            made.meta.mode ^= random.below(2) as u32;
        }
        if matches!(made.what, What::Bytes(_) | What::Items(_)) && random.below(4) == 0 {
            made.meta.xattrs = vec![("user.a".into(), vec![random.below(2) as u8])];
        }
        items.push(made);
    }
    items
}

/// One line a name: path, kind and mode, owner, time, content, attribute, first name of the inode.
fn describe(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inodes: HashMap<u64, PathBuf> = HashMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder_here) = pending.pop() {
        let mut paths: Vec<_> = std::fs::read_dir(&folder_here)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths {
            let stat = path.symlink_metadata().unwrap();
            let mut value = [0u8; 16];
            let xattr = rustix::fs::lgetxattr(&path, "user.a", &mut value[..]).map(|length| value[..length].to_vec());
            let content = match stat.mode() & 0o170_000 {
                0o120_000 => std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec(),
                0o100_000 => std::fs::read(&path).unwrap(),
                _ => Vec::new(),
            };
            let name = path.strip_prefix(folder).unwrap().to_owned();
            let first = inodes.entry(stat.ino()).or_insert_with(|| name.clone());
            let (mode, time) = (stat.mode(), (stat.mtime(), stat.mtime_nsec()));
            lines.push(format!(
                "{name:?} {mode:o} {} {} {time:?} {content:?} {xattr:?} {first:?}",
                stat.uid(),
                stat.gid()
            ));
            if stat.is_dir() {
                pending.push(path);
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn any_tree_over_any_other() {
    let bench = Bench::new();
    let fresh = bench.folder.path().join("fresh");
    for seed in 0..60 {
        let tree = bench.tree(random_items(&mut Random(seed * 7919), 3));
        let delete = Options {
            delete: true,
            overwrite: if seed % 2 == 0 {
                Overwrite::Always
            } else {
                Overwrite::IfChanged
            },
            ..options()
        };
        // The target holds the tree of the seed before.
        let report = bench.rehearse_and_run(tree, &delete);
        assert!(report.is_complete());
        reconstruct(&bench.store, tree, None, &fresh, &options(), &Progress::default()).unwrap();
        let (found, expected) = (describe(&bench.target()), describe(&fresh));
        let differs: Vec<_> = found.iter().zip(&expected).filter(|(a, b)| a != b).collect();
        assert!(
            found.len() == expected.len() && differs.is_empty(),
            "seed {seed}: {differs:#?}"
        );
        let again = bench.rehearse_and_run(tree, &delete);
        assert_eq!((again.created, again.updated, again.deleted), (0, 0, 0), "seed {seed}");
        std::fs::remove_dir_all(&fresh).unwrap();
    }
}

/// What a description says of a content, wherever the tree is: its hash, length and oldest time, and where in the tree it
/// is, each with its time.
type Said = (ObjectId, u64, Option<Timestamp>, Vec<(BString, Option<Timestamp>)>);

fn said(ghost: &Ghost) -> Said {
    let places = ghost.present().map(|place| (place.relative().into(), place.mtime));
    (ghost.fullhash, ghost.size, ghost.lastmod, places.collect())
}

/// What a snapshot of a tree tells of its files.
fn told(bench: &Bench, tree: ObjectId) -> Vec<Said> {
    let snapshot = Snapshot {
        time: Timestamp::new(1_000, 0),
        host: "loom".into(),
        roots: vec![Root {
            path: "/top".into(),
            meta: Some(meta(0o755)),
        }],
        ..Snapshot::bare(tree)
    };
    let mut ghosts = Ghosts::default();
    let progress = Progress::default();
    ghosts.add_snapshot(&bench.store, &snapshot, None, &progress).unwrap();
    ghosts.sorted().unwrap().map(|ghost| said(&ghost.unwrap())).collect()
}

/// What a scan of a folder finds.
fn scanned(folder: &Path, database: &Path) -> Vec<Said> {
    let now = Timestamp::new(2_000, 0);
    let mut catalogue = Catalogue::open(database, now).unwrap().catalogue;
    let request = scan::Request {
        roots: vec![folder.canonicalize().unwrap()],
        rules: Rules::new(RuleOptions::default()),
        trust_hash: false,
        keep_trust: None,
        host: "tern".into(),
        algo: HashAlgo::Sha256,
        threads: 2,
        now,
        began: now,
        coarse: std::time::Duration::from_secs(2),
    };
    let none = &mut |told| panic!("{told:?}");
    scan(&mut catalogue, &request, &Progress::default(), none).unwrap();
    let mut found = Vec::new();
    let mut last = None;
    while let Some(content) = catalogue.content_after(last.as_ref()).unwrap() {
        last = Some(content.fullhash);
        found.push(said(&catalogue.ghost_of(content).unwrap()));
    }
    found
}

#[test]
fn reconstruct_then_scan_gives_the_same_descriptors() {
    let bench = Bench::new();
    for seed in 0..25 {
        let tree = bench.tree(random_items(&mut Random(seed * 104_729 + 3), 3));
        let report = bench.run(tree, &options());
        assert!(report.is_complete());
        let database = bench.folder.path().join(format!("{seed}.db"));
        assert_eq!(scanned(&bench.target(), &database), told(&bench, tree), "seed {seed}");
        std::fs::remove_dir_all(bench.target()).unwrap();
    }
}
