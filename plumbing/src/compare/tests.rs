use std::collections::HashMap;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::object::tree::compare_paths;
use crate::object::{ContentRef, Entry, HashAlgo, Metadata, ObjectKind, ObjectSource, TreeBuilder, TreeNode};
use crate::time::Timestamp;

/// Objects in memory, with a count of reads.
#[derive(Default)]
struct Objects {
    all: Mutex<HashMap<ObjectId, Vec<u8>>>,
    reads: Mutex<usize>,
}

impl Objects {
    fn put(&self, bytes: Vec<u8>) -> ObjectId {
        let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
        self.all.lock().unwrap().insert(id, bytes);
        id
    }

    fn tree(&self, entries: impl IntoIterator<Item = Entry>) -> ObjectId {
        let mut put = |_, bytes| Ok(self.put(bytes));
        let mut builder = TreeBuilder::new();
        for entry in entries {
            builder.push(&entry, &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap()
    }

    fn compare(&self, old: ObjectId, new: ObjectId, options: Options) -> Vec<Change> {
        *self.reads.lock().unwrap() = 0;
        let side = |tree| Side::Stored { source: self, tree };
        compare(side(old), side(new), options)
            .unwrap()
            .collect::<Result<_>>()
            .unwrap()
    }
}

impl ObjectSource for Objects {
    fn object(&self, _: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        *self.reads.lock().unwrap() += 1;
        let missing = Error::Missing {
            id: *id,
            needed_as: "tree",
        };
        self.all.lock().unwrap().get(id).cloned().ok_or(missing)
    }
}

fn file(name: &str, bytes: &str) -> Entry {
    let content = ContentRef::Block {
        id: ObjectId::hash(HashAlgo::Sha256, bytes.as_bytes()),
        bytes: bytes.len() as u64,
    };
    Entry {
        name: name.into(),
        meta: Metadata::default(),
        node: Node::File {
            content,
            fullhash: None,
        },
    }
}

fn dir(name: &str, tree: ObjectId) -> Entry {
    Entry {
        name: name.into(),
        meta: Metadata::default(),
        node: Node::Directory { tree },
    }
}

/// One line a change: a letter, the path, and where it came from.
fn lines(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| match &change.kind {
        ChangeKind::Added => format!("A {}", change.path),
        ChangeKind::Removed => format!("D {}", change.path),
        ChangeKind::Modified => format!("M {}", change.path),
        ChangeKind::TypeChanged => format!("T {}", change.path),
        ChangeKind::Metadata => format!("P {} {}", change.path, change.fields),
        ChangeKind::Moved { from } => format!("R {} {from}", change.path),
        ChangeKind::Copied { from } => format!("C {} {from}", change.path),
    };
    changes.iter().map(line).collect()
}

#[test]
fn every_kind_of_change_is_told_in_path_order() {
    let objects = Objects::default();
    let sub = |text| objects.tree([file("x", text), file("y", "same")]);
    let touched = |entry: Entry| Entry {
        meta: Metadata {
            mode: 0o755,
            mtime: Timestamp::new(1, 0),
            ..entry.meta
        },
        ..entry
    };
    let old = objects.tree([
        dir("d", sub("1")),
        file("d.txt", "t"),
        dir("gone", sub("1")),
        file("p", "p"),
        file("t", "t"),
    ]);
    let new = objects.tree([
        dir("d", sub("2")),
        file("e", "e"),
        touched(file("p", "p")),
        dir("t", sub("1")),
    ]);
    let all = objects.compare(old, new, Options::default());
    let expected = [
        "M d/x",
        "D d.txt",
        "A e",
        "D gone",
        "D gone/x",
        "D gone/y",
        "P p mode,mtime",
        "T t",
        "A t/x",
        "A t/y",
    ];
    assert_eq!(lines(&all), expected);

    let flat = Options {
        recurse: false,
        ..Options::default()
    };
    let expected = ["M d", "D d.txt", "A e", "D gone", "P p mode,mtime", "T t"];
    assert_eq!(lines(&objects.compare(old, new, flat)), expected);

    let short = Options {
        expand: false,
        parents: true,
        fields: Fields::MTIME,
        ..Options::default()
    };
    let expected = ["M d", "M d/x", "D d.txt", "A e", "D gone", "P p mtime", "T t"];
    assert_eq!(lines(&objects.compare(old, new, short)), expected);
}

#[test]
fn equal_trees_are_not_read() {
    let objects = Objects::default();
    let tree = objects.tree([file("a", "1")]);
    assert!(objects.compare(tree, tree, Options::default()).is_empty());
    assert_eq!(*objects.reads.lock().unwrap(), 0);
}

#[test]
fn of_a_large_directory_only_what_differs_is_read() {
    let objects = Objects::default();
    let many = |skip: u32, add: Option<&str>| {
        let names = (0..50_000).filter(|i| *i != skip).map(|i| format!("{i:06}"));
        let mut names: Vec<String> = names.chain(add.map(str::to_owned)).collect();
        names.sort();
        objects.tree(names.iter().map(|name| file(name, name)))
    };
    let (old, new) = (many(7, None), many(40_000, Some("025000x")));
    let changes = objects.compare(old, new, Options::default());
    assert_eq!(lines(&changes), ["A 000007", "A 025000x", "D 040000"]);
    let reads = *objects.reads.lock().unwrap();
    assert!(reads <= 24, "{reads} nodes read for three changes");
}

#[test]
fn one_content_that_is_cut_in_two_ways_is_not_a_change() {
    let objects = Objects::default();
    let id = ObjectId::hash(HashAlgo::Sha256, b"all");
    let as_list = ContentRef::Indirect {
        id: ObjectId::hash(HashAlgo::Sha256, b"list"),
        depth: 1,
        bytes: 3,
    };
    let mut entry = file("f", "all");
    let old = objects.tree([entry.clone()]);
    entry.node = Node::File {
        content: as_list,
        fullhash: Some(id),
    };
    let new = objects.tree([entry]);
    assert!(objects.compare(old, new, Options::default()).is_empty());
}

#[test]
fn moves_and_copies_are_found_by_content() {
    let objects = Objects::default();
    let old = objects.tree([
        file("a", "moved"),
        file("b", "changes"),
        file("c", ""),
        file("keep", "k"),
    ]);
    let sub = objects.tree([file("a", "moved")]);
    let new = objects.tree([
        file("b", "changed"),
        file("b2", "changes"),
        dir("sub", sub),
        file("x", "moved"),
        file("z", ""),
    ]);
    let changes = objects.compare(old, new, Options::default());
    let found = find_moves(changes, &mut |_| panic!("stored files need no hashing")).unwrap();
    let expected = ["M b", "C b2 b", "D c", "D keep", "A sub", "R sub/a a", "C x a", "A z"];
    // `sub/a` is met before `x`, and has the name of the original as well.
    assert_eq!(lines(&found), expected);
    assert!(found[5].old.is_some());
}

#[test]
fn a_node_that_contradicts_the_one_above_is_refused() {
    let objects = Objects::default();
    let many = objects.tree((0..2000).map(|i| file(&format!("{i:04}"), "x")));
    let TreeNode::Inner { children, .. } = objects.tree_node(&many).unwrap() else {
        panic!("2000 entries do not fit one leaf");
    };
    // The bytes of another leaf in place of the second.
    let stolen = objects.object(ObjectKind::Tree, &children[0].id).unwrap();
    objects.all.lock().unwrap().insert(children[1].id, stolen);
    let side = Side::Stored {
        source: &objects,
        tree: many,
    };
    let mut changes = compare(Side::Nothing, side, Options::default()).unwrap();
    let error = changes.find_map(Result::err).unwrap();
    assert!(error.to_string().contains("the node above says"), "{error}");
    assert!(changes.next().is_none());
}

/// A directory of up to three levels; the value stands for content and for mtime.
fn any_tree() -> impl Strategy<Value = Vec<(String, u8)>> {
    proptest::collection::vec(("[abc](/[abc.-]{1,2}(/[ab])?)?", 0u8..3), 0..24)
}

/// Builds the tree of such paths; a path that is a directory elsewhere is left out. Gives what was built as well.
fn build(objects: &Objects, paths: &[(String, u8)], below: &str, seen: &mut Vec<(String, String)>) -> ObjectId {
    let mut names: Vec<&str> = paths.iter().map(|(path, _)| path.split('/').next().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    let mut entries = Vec::new();
    for name in names {
        let full = format!("{below}{name}");
        let inner: Vec<(String, u8)> = paths
            .iter()
            .filter_map(|(path, v)| Some((path.strip_prefix(name)?.strip_prefix('/')?.to_owned(), *v)))
            .filter(|(path, _)| !matches!(path.as_str(), "." | ".."))
            .filter(|(path, _)| !path.starts_with("./") && !path.starts_with("../"))
            .collect();
        if inner.is_empty() {
            let value = paths.iter().find(|(path, _)| path == name).map_or(0, |(_, v)| *v);
            seen.push((full, format!("file {value}")));
            entries.push(file(name, &value.to_string()));
        } else {
            seen.push((full.clone(), "dir".to_owned()));
            entries.push(dir(name, build(objects, &inner, &format!("{full}/"), seen)));
        }
    }
    objects.tree(entries)
}

proptest! {
    #[test]
    fn a_comparison_finds_what_a_plain_one_finds(old in any_tree(), new in any_tree()) {
        let objects = Objects::default();
        let (mut old_seen, mut new_seen) = (Vec::new(), Vec::new());
        let old = build(&objects, &old, "", &mut old_seen);
        let new = build(&objects, &new, "", &mut new_seen);
        let changes = objects.compare(old, new, Options::default());
        let old_map: HashMap<_, _> = old_seen.into_iter().collect();
        let new_map: HashMap<_, _> = new_seen.into_iter().collect();
        let mut expected: Vec<String> = old_map.keys().chain(new_map.keys()).filter_map(|path| {
            match (old_map.get(path), new_map.get(path)) {
                (Some(a), Some(b)) if a == b => None,
                (Some(a), Some(b)) if (a == "dir") != (b == "dir") => Some(format!("T {path}")),
                (Some(_), Some(_)) => Some(format!("M {path}")),
                (Some(_), None) => Some(format!("D {path}")),
                _ => Some(format!("A {path}")),
            }
        }).collect();
        expected.sort_by(|a, b| compare_paths(&a.as_bytes()[2..], &b.as_bytes()[2..]));
        expected.dedup();
        prop_assert_eq!(lines(&changes), expected);
    }
}

/// Live directories.
mod live {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::walk::cache::StatCache;
    use crate::walk::{DirHandle, Owners, RuleOptions, Rules, XattrReader, metadata, special_node};

    fn put(path: &Path, bytes: &str) {
        fs::write(path, bytes).unwrap();
        touch(path, 1000);
    }

    fn touch(path: &Path, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::open(path).unwrap().set_modified(time).unwrap();
    }

    /// A tree of a directory, made in the plainest way.
    fn store(objects: &Objects, dir: &DirHandle) -> ObjectId {
        let names = dir.read_names().unwrap();
        let entry = |name: &[u8]| {
            let stat = dir.stat(name).unwrap();
            let node = match special_node(dir, name, &stat).unwrap() {
                Some(node) => node,
                None if stat.kind == Kind::Directory => Node::Directory {
                    tree: store(objects, &dir.open_child(name).unwrap()),
                },
                None => {
                    let bytes = std::io::read_to_string(fs::File::from(dir.open_file(name).unwrap())).unwrap();
                    file("", &bytes).node
                }
            };
            let xattrs = XattrReader::new().read_at(dir, name, stat.dev).unwrap();
            let mut meta = metadata(&stat, &Owners::default(), xattrs);
            meta.btime = None;
            Entry {
                name: name.into(),
                meta,
                node,
            }
        };
        let entries: Vec<Entry> = names.iter().map(entry).collect();
        objects.tree(entries)
    }

    fn changes(objects: &Objects, tree: ObjectId, path: &Path, trust: Trust, rules: RuleOptions) -> Vec<String> {
        let owners = Owners::default();
        let live = Live {
            path,
            rules: Rules::new(rules),
            owners: &owners,
            trust,
            cache: None,
            only: None,
        };
        let old = Side::Stored { source: objects, tree };
        let mut changes = compare(old, Side::Live(live), Options::default()).unwrap();
        let found: Vec<Change> = changes.by_ref().collect::<Result<_>>().unwrap();
        assert!(changes.take_problems().is_empty());
        lines(&found)
    }

    #[test]
    fn every_change_of_a_live_directory_is_found() {
        let (objects, folder) = (Objects::default(), tempfile::tempdir().unwrap());
        let top = folder.path();
        for name in ["chmod", "gone", "grows", "rewritten", "same", "touched", "type"] {
            put(&top.join(name), "12345");
        }
        fs::create_dir_all(top.join("sub/deep")).unwrap();
        put(&top.join("sub/deep/f"), "1");
        symlink("a", top.join("link")).unwrap();
        let tree = store(&objects, &DirHandle::open_root(top).unwrap());
        let all = |trust| changes(&objects, tree, top, trust, RuleOptions::default());
        assert!(all(Trust::Stat).is_empty());
        assert!(all(Trust::Hash).is_empty());

        fs::set_permissions(top.join("chmod"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(top.join("gone")).unwrap();
        put(&top.join("grows"), "123456");
        fs::write(top.join("rewritten"), "54321").unwrap();
        touch(&top.join("touched"), 2000);
        fs::remove_file(top.join("type")).unwrap();
        symlink("x", top.join("type")).unwrap();
        fs::remove_file(top.join("link")).unwrap();
        symlink("b", top.join("link")).unwrap();
        put(&top.join("sub/deep/new"), "");
        let expected = [
            "P chmod mode",
            "D gone",
            "M grows",
            "M link",
            "M rewritten",
            "P sub/deep mtime",
            "A sub/deep/new",
            "T type",
            "P touched mtime",
        ];
        let mut expected = expected.map(str::to_owned);
        expected.sort_by(|a, b| a[2..].cmp(&b[2..]));
        assert_eq!(all(Trust::Stat), expected);
        assert_eq!(all(Trust::Hash), expected);
    }

    #[test]
    fn only_reading_finds_a_change_that_keeps_length_and_mtime() {
        let (objects, folder) = (Objects::default(), tempfile::tempdir().unwrap());
        put(&folder.path().join("f"), "12345");
        let tree = store(&objects, &DirHandle::open_root(folder.path()).unwrap());
        put(&folder.path().join("f"), "54321");
        let all = |trust| changes(&objects, tree, folder.path(), trust, RuleOptions::default());
        assert!(all(Trust::Stat).is_empty());
        assert_eq!(all(Trust::Hash), ["M f"]);
    }

    #[test]
    fn what_the_rules_leave_out_is_not_there() {
        let (objects, folder) = (Objects::default(), tempfile::tempdir().unwrap());
        let tree = objects.tree([]);
        fs::create_dir(folder.path().join(".ghost")).unwrap();
        put(&folder.path().join("a.o"), "1");
        put(&folder.path().join("a.c"), "1");
        let rules = RuleOptions {
            exclude: vec!["*.o".into()],
            ..RuleOptions::default()
        };
        assert_eq!(changes(&objects, tree, folder.path(), Trust::Stat, rules), ["A a.c"]);
    }

    #[test]
    fn depth_needs_no_more_open_directories() {
        let (objects, folder) = (Objects::default(), tempfile::tempdir().unwrap());
        let mut path = folder.path().to_owned();
        for level in 0..OPEN_LEVELS_MAX * 2 {
            fs::create_dir(path.join("d")).unwrap();
            put(&path.join(format!("e{level}")), "1");
            path.push("d");
        }
        let found = changes(
            &objects,
            objects.tree([]),
            folder.path(),
            Trust::Stat,
            RuleOptions::default(),
        );
        assert_eq!(found.len(), OPEN_LEVELS_MAX * 4);
        assert_eq!(found[0], "A d");
        assert_eq!(found.last().unwrap(), "A e0");
    }

    #[test]
    fn the_stat_cache_shows_what_length_and_mtime_hide() {
        use std::sync::Arc;

        use crate::chunk;
        use crate::disk::Disk;
        use crate::disk::real::RealDisk;
        use crate::progress::Progress;
        use crate::repository::{InitOptions, OpenOptions, Repository, init};
        use crate::snapshot::{About, Place, Request, last_scan, take};
        use crate::walk::cache::Cutoff;

        let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir(top.join("sub")).unwrap();
        for name in ["a", "b", "sub/c", "sub/d", "sub/e"] {
            put(&top.join(name), "12345");
        }
        // What changes this close to the scan is not trusted.
        std::thread::sleep(Duration::from_millis(60));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let made = init(&disk, home.path(), &InitOptions::default()).unwrap();
        let options = OpenOptions {
            allow_foreign: true,
            ..OpenOptions::default()
        };
        let repository = Repository::open(disk, made.ghost_dir(), &options).unwrap();
        let place = Place {
            disk: &*repository.disk,
            ghost_dir: Some(repository.ghost_dir.clone()),
            uuid: repository.format.uuid,
            store: &repository.store,
        };
        let now = || {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            Timestamp::new(since.as_secs() as i64, since.subsec_nanos())
        };
        let about = About {
            time: now(),
            offset_minutes: 0,
            host: String::new(),
            author: String::new(),
            message: String::new(),
            tags: Vec::new(),
            parents: Vec::new(),
        };
        let request = Request {
            roots: vec![top.clone()],
            rules: Rules::new(RuleOptions::default()),
            rules_text: Vec::new(),
            trust_hash: false,
            dry_run: false,
            keep: crate::snapshot::Keep::Everything,
            threads: 1,
            chunk: chunk::Params::default(),
            xattrs: true,
            birth_time: false,
            began: about.time,
            coarse: Duration::from_secs(2),
            unless_same_as: None,
            about,
        };
        let tree = take(&place, &request, &Progress::default()).unwrap().snapshot.tree;
        let cache = last_scan(&place, &request, &top).unwrap();
        let owners = Owners::system().unwrap();
        let found = |cache: Option<&StatCache>| {
            let live = Live {
                path: &top,
                rules: Rules::new(RuleOptions::default()),
                owners: &owners,
                trust: Trust::Stat,
                cache: cache.map(|cache| (cache, Cutoff::new(now(), Duration::from_secs(2)))),
                only: None,
            };
            let old = Side::Stored {
                source: &repository.store,
                tree,
            };
            let changes = compare(old, Side::Live(live), Options::default()).unwrap();
            lines(&changes.collect::<Result<Vec<_>>>().unwrap())
        };
        assert_eq!(found(Some(&cache)), Vec::<String>::new());
        let same_looks = |name: &str, bytes: &str| {
            fs::write(top.join(name), bytes).unwrap();
            touch(&top.join(name), 1000);
        };
        same_looks("b", "54321");
        same_looks("sub/d", "12345");
        same_looks("sub/e", "54321");
        assert_eq!(found(None), Vec::<String>::new());
        assert_eq!(found(Some(&cache)), ["M b", "M sub/e"]);
    }
}
