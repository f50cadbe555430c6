//! t8: trees that were made to write where they must not, and a neighbour who swaps folders for links meanwhile.
//!
//! The trees are encoded by hand, past every check that a snapshot makes, as somebody could who writes a repository or a
//! bundle of his own. They are restored inside a fence: Landlock lets `ghost` write to its repository and to the folder
//! around the target, and nowhere else. A write that leads out is refused by the kernel and seen, since `ghost` then tells
//! of a permission that it lacks; and what lies outside is compared before and after.
//!
//! Here some of the trees are tried; with `GHOST_TEST_ALL=1` all of them, and more swaps.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ghost_plumbing::disk::real::RealDisk;
use ghost_plumbing::object::codec::{put_bytes, put_varint};
use ghost_plumbing::object::{ContentRef, Entry, Metadata, Node, ObjectId, ObjectKind};
use ghost_plumbing::repository::{OpenOptions, Repository};
use landlock::{
    ABI, Access as _, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
};
use rustix::fs::{CWD, RenameFlags};

use crate::harness::{Done, World};

fn tries_all() -> bool {
    std::env::var_os("GHOST_TEST_ALL").is_some()
}

/// Lets this thread, and what it starts, write below these folders alone. False where the kernel cannot do that.
fn fence(folders: &[PathBuf]) -> bool {
    let abi = ABI::V3;
    let beneath = |path: &Path, access| Some(PathBeneath::new(PathFd::new(path).ok()?, access));
    let restrict = || {
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(abi))
            .ok()?
            .create()
            .ok()?;
        rules = rules
            .add_rule(beneath(Path::new("/"), AccessFs::from_read(abi))?)
            .ok()?;
        for folder in folders {
            rules = rules.add_rule(beneath(folder, AccessFs::from_all(abi))?).ok()?;
        }
        let devices = AccessFs::from_file(abi);
        rules = rules.add_rule(beneath(Path::new("/dev/null"), devices)?).ok()?;
        rules.restrict_self().ok()
    };
    restrict().is_some_and(|status| status.ruleset == RulesetStatus::FullyEnforced)
}

/// Restores a tree inside the fence; none where there is no fence.
fn restore(world: &World, tree: &ObjectId) -> Option<Done> {
    let folders = [world.path("box"), world.path(".ghost")];
    let run = || {
        let arguments = ["reconstruct", &tree.to_string(), "box/target"];
        fence(&folders).then(|| world.ghost(arguments).run())
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// Everything outside of the target: names, bytes, modes and times of change.
fn outside(world: &World) -> BTreeMap<PathBuf, (u32, u64, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![world.path("outside"), world.root().join("home")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            if stat.is_dir() {
                folders.push(path.clone());
            }
            let bytes = if stat.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            found.insert(
                path,
                (stat.mode(), stat.nlink(), stat.ctime(), stat.ctime_nsec(), bytes),
            );
        }
        let stat = folder.metadata().unwrap();
        found.insert(folder, (stat.mode(), 0, stat.mtime(), stat.mtime_nsec(), Vec::new()));
    }
    // What this test itself makes beside the box is not there yet, and nothing may come.
    for entry in fs::read_dir(world.path("")).unwrap() {
        found.insert(entry.unwrap().path(), (0, 0, 0, 0, Vec::new()));
    }
    found
}

/// Makes objects without looking at them, and puts them into a repository all at once.
struct Forge {
    repository: Repository,
    content: ContentRef,
    made: RefCell<Vec<(ObjectKind, ObjectId, Vec<u8>)>>,
}

impl Forge {
    fn new(world: &World) -> Self {
        let options = OpenOptions {
            allow_foreign: true,
            ..OpenOptions::default()
        };
        let repository = Repository::open(Arc::new(RealDisk), &world.path(".ghost"), &options).unwrap();
        let bytes = b"escaped\n";
        let id = ObjectId::hash(repository.format.hash, bytes);
        let forge = Self {
            repository,
            content: ContentRef::Block {
                id,
                bytes: bytes.len() as u64,
            },
            made: RefCell::default(),
        };
        forge.make(ObjectKind::Block, bytes);
        forge
    }

    fn make(&self, kind: ObjectKind, bytes: &[u8]) -> ObjectId {
        let id = ObjectId::hash(self.repository.format.hash, bytes);
        self.made.borrow_mut().push((kind, id, bytes.to_vec()));
        id
    }

    /// Stores what was made.
    fn store(&self) {
        let writer = self.repository.store.writer().unwrap();
        let mut packer = writer.packer();
        for (kind, id, bytes) in self.made.take() {
            packer.put_hashed(kind, id, &bytes).unwrap();
        }
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
    }

    /// A node with these entries in this order.
    fn leaf(&self, entries: &[Entry]) -> ObjectId {
        let mut encoded = vec![1, 0];
        entries.iter().for_each(|entry| entry.encode(&mut encoded));
        self.make(ObjectKind::Tree, &encoded)
    }

    /// A node above others, which says that they begin with these names.
    fn inner(&self, children: &[(&[u8], ObjectId)]) -> ObjectId {
        let mut encoded = vec![1, 1];
        for (first, id) in children {
            put_bytes(&mut encoded, first);
            put_varint(&mut encoded, 1);
            id.encode(&mut encoded);
        }
        self.make(ObjectKind::Tree, &encoded)
    }

    fn file(&self, name: &[u8]) -> Entry {
        let content = self.content.clone();
        entry(
            name,
            Node::File {
                content,
                fullhash: None,
            },
        )
    }

    fn folder(&self, name: &[u8], entries: &[Entry]) -> Entry {
        let tree = self.leaf(entries);
        entry(name, Node::Directory { tree })
    }

    /// Entries of every kind with this name.
    fn of_every_kind(&self, name: &[u8]) -> Vec<Entry> {
        let mut linked = self.file(name);
        linked.meta.links = Some([7; 16]);
        let mut powerful = self.file(name);
        powerful.meta.mode = 0o6777;
        vec![
            self.file(name),
            self.folder(name, &[self.file(b"inner")]),
            link(name, b"../../outside"),
            entry(name, Node::Fifo),
            linked,
            powerful,
            entry(name, Node::Whiteout),
        ]
    }
}

fn entry(name: &[u8], node: Node) -> Entry {
    let meta = Metadata {
        mode: if matches!(node, Node::Directory { .. }) {
            0o755
        } else {
            0o644
        },
        ..Metadata::default()
    };
    Entry {
        name: name.into(),
        meta,
        node,
    }
}

fn link(name: &[u8], target: &[u8]) -> Entry {
    entry(name, Node::Symlink { target: target.into() })
}

/// A tree, what it tries, and whether it is so strange that not all of it can be restored.
type Hostile = (String, ObjectId);

/// Names that lead out, or that some systems take for others.
fn names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "..",
        ".",
        "",
        "/",
        "//",
        "a/b",
        "a/",
        "/a",
        "../escape",
        "../../outside/escape",
        "./a",
        "a/../../escape",
        "..\0",
        "a\0b",
        ".ghost",
        ".GHOST",
        ".GhOsT",
        ".ghost/hooks",
        "-rf",
        "~",
        " ",
        "\u{202e}gpj.exe",
        "\x1b[2J",
        "a\nb",
    ]
    .map(|name| name.as_bytes().to_vec())
    .to_vec();
    names.extend([
        vec![b'x'; 255],
        vec![b'x'; 256],
        vec![b'x'; 4096],
        vec![b'x'; 4097],
        vec![0xff, 0xfe],
        vec![b'.'; 3],
    ]);
    names
}

/// Names of every kind, at the top and below a folder.
fn by_name(forge: &Forge) -> Vec<Hostile> {
    let mut all = Vec::new();
    for (number, name) in names().into_iter().enumerate() {
        let shown = String::from_utf8_lossy(&name[..name.len().min(30)]).into_owned();
        for (kind, entry) in forge.of_every_kind(&name).into_iter().enumerate() {
            let tree = if (number + kind).is_multiple_of(2) {
                forge.leaf(&[entry])
            } else {
                forge.leaf(&[forge.folder(b"folder", &[entry])])
            };
            all.push((format!("{shown:?}, kind {kind}"), tree));
        }
    }
    all
}

/// A link and something that is to go through it, in all the ways in which both can have one name.
fn by_prefix(forge: &Forge) -> Vec<Hostile> {
    let mut all = Vec::new();
    let targets: [&[u8]; 5] = [
        b"../../outside",
        b"/tmp",
        b"..",
        b"../target/../../outside",
        b"outside-by-chain",
    ];
    for target in targets {
        let shown = String::from_utf8_lossy(target).into_owned();
        let way = link(b"d", target);
        let inside = || {
            forge.folder(
                b"d",
                &[forge.file(b"escape"), forge.folder(b"deeper", &[forge.file(b"escape")])],
            )
        };
        let chain = link(b"outside-by-chain", b"../../outside");
        for (how, entries) in [
            ("link, then folder", vec![way.clone(), inside()]),
            ("folder, then link", vec![inside(), way.clone()]),
            ("folder, link, folder", vec![inside(), way.clone(), inside()]),
            ("link in other case", vec![link(b"D", target), inside()]),
            ("link, then file through it", vec![way.clone(), forge.file(b"d/escape")]),
            ("link of a link", vec![way.clone(), chain.clone()]),
            (
                "link in a folder, then through it",
                vec![
                    forge.folder(b"a", std::slice::from_ref(&way)),
                    forge.file(b"a/d/escape"),
                ],
            ),
        ] {
            all.push((format!("{how}: {shown}"), forge.leaf(&entries)));
        }
        // Each node by itself is in order.
        let (one, two) = (forge.leaf(std::slice::from_ref(&way)), forge.leaf(&[inside()]));
        for (how, children) in [
            ("in two nodes", [(b"d".as_slice(), one), (b"e".as_slice(), two)]),
            (
                "in two nodes that say otherwise",
                [(b"a".as_slice(), two), (b"b".as_slice(), one)],
            ),
            ("in one node twice", [(b"d".as_slice(), one), (b"e".as_slice(), one)]),
        ] {
            all.push((format!("{how}: {shown}"), forge.inner(&children)));
        }
    }
    all
}

/// Hard links between what does not belong together, deep folders, odd metadata.
fn by_other_means(forge: &Forge) -> Vec<Hostile> {
    let group = |mut entry: Entry| {
        entry.meta.links = Some([9; 16]);
        entry
    };
    let mut all = Vec::new();
    let outside = link(b"a", b"../../outside/precious");
    all.push((
        "a link and a file of one group".into(),
        forge.leaf(&[group(outside.clone()), group(forge.file(b"b"))]),
    ));
    all.push((
        "a file and a link of one group".into(),
        forge.leaf(&[group(forge.file(b"a")), group(link(b"b", b"../../outside"))]),
    ));
    all.push((
        "a pipe and a file of one group".into(),
        forge.leaf(&[group(entry(b"a", Node::Fifo)), group(forge.file(b"b"))]),
    ));
    let through = forge.folder(b"d", &[group(forge.file(b"precious"))]);
    all.push((
        "a group across a link".into(),
        forge.leaf(&[link(b"c", b"../../outside"), through, group(forge.file(b"e"))]),
    ));
    let mut deep = forge.file(b"bottom");
    for _ in 0..600 {
        deep = forge.folder(b"..deep", &[deep]);
    }
    all.push(("600 folders deep".into(), forge.leaf(&[deep])));
    for target in [&b"x"[..], &[b'y'; 4095], &[b'z'; 65_536], b"", b"a\0b"] {
        all.push((
            format!("a link of {} bytes", target.len()),
            forge.leaf(&[link(b"l", target)]),
        ));
    }
    for (name, value) in [
        (
            "security.capability",
            &b"\x01\0\0\x02\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0"[..],
        ),
        ("trusted.overlay.opaque", b"y"),
        ("system.posix_acl_access", b"nonsense"),
        ("user.a\nb", b"1"),
        ("", b"1"),
    ] {
        let mut file = forge.file(b"f");
        file.meta.xattrs = vec![(name.into(), value.to_vec())];
        all.push((format!("attribute {name:?}"), forge.leaf(&[file])));
    }
    for mode in [0o4755, 0o2755, 0o1777, 0o7777, 0] {
        let mut folder = forge.folder(b"d", &[forge.file(b"f")]);
        folder.meta.mode = mode;
        all.push((format!("a folder of mode {mode:o}"), forge.leaf(&[folder])));
    }
    for node in [
        Node::CharDevice { major: 1, minor: 3 },
        Node::BlockDevice { major: 8, minor: 0 },
        Node::Socket,
    ] {
        all.push((format!("{node:?}"), forge.leaf(&[entry(b"device", node)])));
    }
    all
}

fn prepare() -> (World, Forge) {
    let world = World::in_memory();
    for folder in ["outside/d", "outside/deeper", "box"] {
        fs::create_dir_all(world.path(folder)).unwrap();
    }
    for file in ["precious", "inner", "escape", "d/escape", "deeper/escape"] {
        world.write(format!("outside/{file}"), "precious");
    }
    let forge = Forge::new(&world);
    (world, forge)
}

/// An empty target, or one in which somebody has laid links.
fn lay_out(world: &World, with_links: bool) {
    let folder = world.path("box");
    // A folder without rights may be in the way.
    world.shell("chmod -R u+rwx box; rm -rf box/target").ok();
    fs::create_dir(folder.join("target")).unwrap();
    if with_links {
        let target = folder.join("target");
        for name in ["d", "folder", "a", "D", "deeper"] {
            symlink("../../outside", target.join(name)).unwrap();
        }
        for name in ["f", "l", "b", "e", "bottom"] {
            symlink("../../outside/precious", target.join(name)).unwrap();
        }
    }
}

#[test]
fn no_tree_leads_out_of_the_target() {
    let (world, forge) = prepare();
    let mut trees = by_name(&forge);
    trees.extend(by_prefix(&forge));
    trees.extend(by_other_means(&forge));
    forge.store();
    let count = trees.len();
    assert!(count >= 200, "{count} trees");
    let step = if tries_all() { 1 } else { 19 };
    let mut codes: BTreeMap<i32, u32> = BTreeMap::new();
    for (number, (what, tree)) in trees.iter().enumerate().step_by(step) {
        for with_links in [false, true] {
            lay_out(&world, with_links);
            let before = outside(&world);
            let Some(done) = restore(&world, tree) else {
                return crate::harness::skip(module_path!(), "Landlock");
            };
            let what = format!("tree {number}, {what}, links laid: {with_links}");
            assert!(matches!(done.code, Some(0..=4)), "{what}: {done}");
            assert!(
                !done.stderr().contains("Permission denied"),
                "{what}: it tried to get out: {done}"
            );
            assert!(
                !done.seen().contains('\x1b'),
                "{what}: it sends codes to the terminal: {done}"
            );
            assert_eq!(before, outside(&world), "{what}: {done}");
            *codes.entry(done.code.unwrap_or(-1)).or_default() += 1;
        }
    }
    println!("figure: {count} hostile trees, every {step}th restored twice, exit codes {codes:?}; no write outside");
}

/// The fence itself: what is outside of it cannot be written to.
#[test]
fn the_fence_holds() {
    let world = World::in_memory();
    fs::create_dir(world.path("box")).unwrap();
    let run = || fence(&[world.path("box")]).then(|| world.shell("echo in > box/file; echo out > file").run());
    let Some(done) = std::thread::scope(|scope| scope.spawn(run).join().unwrap()) else {
        return crate::harness::skip(module_path!(), "Landlock");
    };
    assert!(
        done.code != Some(0) && done.stderr().contains("Permission denied"),
        "{done}"
    );
    assert!(world.path("box/file").exists() && !world.path("file").exists());
}

/// While a tree is restored, folders in the target are swapped for links that lead out, and back, as fast as can be.
#[test]
fn a_neighbour_who_swaps_folders_for_links_leads_nobody_out() {
    let world = World::in_memory();
    for number in 0..300 {
        world.write(format!("tree/d/e/{number}"), number.to_string());
        world.write(format!("tree/d/{number}/file"), number.to_string());
    }
    world.ghost(["snapshot", "tree"]).ok();
    let tree: ObjectId = world.ghost(["rev-parse", "@:"]).ok().word().parse().unwrap();
    fs::create_dir_all(world.path("outside/e")).unwrap();
    fs::create_dir_all(world.path("box")).unwrap();
    for number in 0..300 {
        world.write(format!("outside/e/{number}"), "precious");
        world.write(format!("outside/{number}/file"), "precious");
    }
    let mut swaps = 0;
    let rounds = if tries_all() { 300 } else { 2 };
    for round in 0..rounds {
        world.shell("rm -rf box/target box/link; mkdir -p box/target/d/e").ok();
        let (way, at) = [("../../outside", "d"), ("../../../outside/e", "d/e")][round % 2];
        symlink(way, world.path("box/link")).unwrap();
        let before = outside(&world);
        let (stop, from, to) = (
            AtomicBool::new(false),
            world.path("box/link"),
            world.path("box/target").join(at),
        );
        let swap = || {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                count += u64::from(rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::EXCHANGE).is_ok());
            }
            count
        };
        let done = std::thread::scope(|scope| {
            let swapper = scope.spawn(swap);
            let done = restore(&world, &tree);
            stop.store(true, Ordering::Relaxed);
            swaps += swapper.join().unwrap();
            done
        });
        let Some(done) = done else {
            return crate::harness::skip(module_path!(), "Landlock");
        };
        assert!(
            !done.stderr().contains("Permission denied"),
            "round {round}: it tried to get out: {done}"
        );
        let after: BTreeMap<_, _> = outside(&world);
        assert_eq!(before, after, "round {round}");
    }
    assert!(swaps > 0, "nothing was swapped");
    println!("figure: {rounds} restores with {swaps} swaps of a folder for a link; no write outside");
}
