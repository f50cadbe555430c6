//! t4: snapshot and reconstruct of everything that a file system holds, judged by tools that nobody here wrote.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use crate::harness::{World, is_root, noise, oracle, set_mode, trees};

/// Options that bring back all that root can bring back.
fn privileged() -> &'static [&'static str] {
    if is_root() { &["--privileged"] } else { &[] }
}

#[test]
fn a_nasty_tree_comes_back_whole() {
    need!("rsync");
    let world = World::with_repository();
    let missing = trees::nasty(&world.path("tree"), is_root());
    eprintln!("not made here: {missing:?}");
    world.ghost(["snapshot", "tree"]).ok();
    world
        .ghost([&["reconstruct", "@", "out", "--numeric-owner"], privileged()].concat())
        .ok();
    oracle::assert_same_for_rsync(&world.path("tree"), &world.path("out"));
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
    world.ghost(["verify", "--data"]).ok();
    // And what was restored is the same to ghost too.
    world.ghost(["snapshot", "out"]).ok();
    let ids = world.ghost(["rev-parse", "@:", "@~1:"]).ok().word();
    let (new, old) = ids.split_once('\n').unwrap();
    assert_eq!(new, old);
}

#[test]
fn holes_come_back_as_holes() {
    need!("rsync");
    let world = World::with_repository();
    let names = ["large/ten gibibytes", "small/a hole", "small/holes and data"];
    fs::create_dir_all(world.path("tree/large")).unwrap();
    fs::create_dir(world.path("tree/small")).unwrap();
    trees::sparse(&world.path("tree").join(names[0]), 10 << 30);
    fs::File::create(world.path("tree").join(names[1]))
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    trees::sparse(&world.path("tree").join(names[2]), 64 << 20);
    world.ghost(["snapshot", "tree"]).ok();
    assert!(oracle::data_bytes(&world.path(".ghost")) < 1_000_000);
    world.ghost(["reconstruct", "@", "out"]).ok();
    for name in names {
        let (source, copy) = (world.path("tree").join(name), world.path("out").join(name));
        oracle::assert_same_data(&source, &copy);
        let (source, copy) = (fs::metadata(source).unwrap(), fs::metadata(copy).unwrap());
        let (before, after) = (source.blocks(), copy.blocks());
        assert!(
            after <= before + 512,
            "{name} had {before} blocks of 512 bytes, has {after}"
        );
    }
    // rsync reads every hole as zeros, which is a minute for ten gibibytes.
    oracle::assert_same_for_rsync(&world.path("tree/small"), &world.path("out/small"));
    oracle::assert_same_metadata_for_rsync(&world.path("tree"), &world.path("out"));
}

/// Zeros that were written are holes only on request.
#[test]
fn sparse_restores_zeros_as_holes() {
    let world = World::with_repository();
    world.write("tree/zeros", vec![0; 5_000_000]);
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["reconstruct", "@", "out", "--sparse"]).ok();
    assert_eq!(fs::read(world.path("out/zeros")).unwrap(), vec![0; 5_000_000]);
    assert!(fs::metadata(world.path("out/zeros")).unwrap().blocks() < 100);
}

/// Makes folders below each other by descriptors until the path is longer than any system call takes.
fn deep_chain(root: &Path, levels: usize) {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(CWD, root, flags, Mode::empty()).unwrap();
    let name = "n".repeat(200);
    for level in 0..levels {
        rustix::fs::mkdirat(&folder, &*name, Mode::from_raw_mode(0o755)).unwrap();
        let below = rustix::fs::openat(&folder, &*name, flags, Mode::empty()).unwrap();
        let file = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&below, "file", file, Mode::from_raw_mode(0o644)).unwrap();
        rustix::io::write(&file, format!("level {level}").as_bytes()).unwrap();
        folder = below;
    }
}

/// What lies in such a chain, read by descriptors.
fn read_chain(root: &Path) -> Vec<String> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(CWD, root, flags, Mode::empty()).unwrap();
    let name = "n".repeat(200);
    let mut out = Vec::new();
    while let Ok(below) = rustix::fs::openat(&folder, &*name, flags, Mode::empty()) {
        let file = rustix::fs::openat(&below, "file", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let mut text = [0; 32];
        let bytes = rustix::io::read(&file, &mut text).unwrap();
        out.push(String::from_utf8_lossy(&text[..bytes]).into_owned());
        folder = below;
    }
    out
}

#[test]
fn paths_longer_than_any_call_takes() {
    let world = World::with_repository();
    fs::create_dir(world.path("tree")).unwrap();
    deep_chain(&world.path("tree"), 60);
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["reconstruct", "@", "out"]).ok();
    let chain = read_chain(&world.path("out"));
    assert_eq!(chain.len(), 60);
    assert_eq!(chain, read_chain(&world.path("tree")));
    world
        .ghost(["ls-tree", "-r", "--name-only", "@:"])
        .ok()
        .says(&["nnn/file"]);
    // Nothing else can remove them.
    world.shell("rm -rf tree out").ok();
}

#[test]
fn only_what_differs_is_touched() {
    let world = World::with_repository();
    trees::nasty(&world.path("tree"), false);
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["reconstruct", "@", "out"]).ok();
    let before = oracle::touched(&world.path("out"));
    world.ghost(["reconstruct", "@", "out"]).ok();
    assert_eq!(
        changed(&before, &oracle::touched(&world.path("out"))),
        Vec::<PathBuf>::new()
    );

    world.write("out/contents/byte", "y");
    world.write("out/contents/noise", noise(8, 6_000_000));
    set_mode(&world.path("out/modes/file 777"), 0o600);
    fs::remove_file(world.path("out/contents/ones")).unwrap();
    world.ghost(["reconstruct", "@", "out"]).ok();
    let expected = [
        "contents",
        "contents/byte",
        "contents/noise",
        "contents/ones",
        "modes/file 777",
    ];
    let touched = changed(&before, &oracle::touched(&world.path("out")));
    assert_eq!(touched, expected.map(PathBuf::from));
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
}

type Touched = BTreeMap<PathBuf, (u64, i64, i64)>;

fn changed(before: &Touched, after: &Touched) -> Vec<PathBuf> {
    after
        .iter()
        .filter(|(path, what)| before.get(*path) != Some(what))
        .map(|(path, _)| path.clone())
        .collect()
}

#[test]
fn what_is_not_in_the_tree_stays_unless_delete_is_asked_for() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["reconstruct", "@", "out"]).ok();
    world.write("out/extra/deep/file", "x");
    world.write("out/src/extra", "x");
    std::os::unix::fs::symlink(world.path("tree"), world.path("out/link out")).unwrap();
    world.ghost(["reconstruct", "@", "out"]).ok();
    assert!(world.path("out/extra/deep/file").exists() && world.path("out/src/extra").exists());
    let done = world.ghost(["reconstruct", "@", "out", "--delete", "--test"]).ok();
    done.says(&["extra"]);
    assert!(world.path("out/extra/deep/file").exists(), "--test changed something");
    world.ghost(["reconstruct", "@", "out", "--delete"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
    assert!(world.path("tree/README").exists(), "a link was followed");
}

#[test]
fn overwrite_always_if_changed_never() {
    let world = World::with_repository();
    world.write("tree/same", "same");
    world.write("tree/other", "stored");
    world.ghost(["snapshot", "tree"]).ok();
    let fill = || {
        let _ = fs::remove_dir_all(world.path("out"));
        world.shell("cp -a tree out").ok();
        world.write("out/other", "mine");
        fs::remove_file(world.path("out/same")).unwrap();
        world.shell("cp -a tree/same out/same").ok();
        fs::metadata(world.path("out/same")).unwrap().ctime_nsec()
    };
    let with = |mode: &str| world.ghost(["reconstruct", "@", "out", "--overwrite", mode]).ok();
    let ctime = fill();
    with("if-changed");
    assert_eq!(world.read("out/other"), b"stored");
    assert_eq!(fs::metadata(world.path("out/same")).unwrap().ctime_nsec(), ctime);
    fill();
    with("always");
    assert_eq!(world.read("out/other"), b"stored");
    fill();
    fs::remove_file(world.path("out/same")).unwrap();
    with("never");
    assert_eq!(world.read("out/other"), b"mine");
    assert_eq!(world.read("out/same"), b"same");
}

#[test]
fn test_mode_changes_nothing() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree"]).ok();
    let done = world.ghost(["reconstruct", "@", "out", "--test"]).ok();
    done.says(&["README"]);
    assert!(!world.path("out").exists());
}

#[test]
fn parts_of_a_tree() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["reconstruct", "@", "out", "src/deep/er", "README"]).ok();
    let found: Vec<PathBuf> = oracle::listing(&world.path("out")).into_keys().collect();
    let expected = ["README", "src", "src/deep", "src/deep/er", "src/deep/er/empty"];
    assert_eq!(found, expected.map(PathBuf::from));
    world.ghost(["reconstruct", "@:src", "sub"]).ok();
    oracle::assert_same_listing(&world.path("tree/src"), &world.path("sub"));
    world
        .ghost(["reconstruct", "@", "none", "no/such/path"])
        .code(1)
        .says(&["no/such/path"]);
}

#[test]
fn several_roots_are_kept_by_name() {
    let world = World::with_repository();
    trees::small(&world.path("one"));
    world.write("deep/two/file", "2");
    world.write("single", "a file");
    world.ghost(["snapshot", "one", "deep/two", "single"]).ok();
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_listing(&world.path("one"), &world.path("out/one"));
    oracle::assert_same_listing(&world.path("deep/two"), &world.path("out/two"));
    assert_eq!(world.read("out/single"), b"a file");
    world.ghost(["show", "@"]).ok().says(&["deep/two", "single"]);
    // Two roots of one name cannot both be kept.
    world.write("other/one/file", "x");
    let done = world.ghost(["snapshot", "one", "other/one"]).run();
    assert!(matches!(done.code, Some(1 | 2)), "{done}");
}

#[test]
fn nothing_changed_is_recorded_once() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree", "--skip-if-unchanged"]).ok();
    world.ghost(["snapshot", "tree", "--skip-if-unchanged"]).ok();
    let count = || world.ghost(["rev-list", "@"]).ok().out().lines().count();
    assert_eq!(count(), 1);
    world.ghost(["snapshot", "tree"]).ok();
    assert_eq!(count(), 2);
    world.write("tree/README", "changed");
    world.ghost(["snapshot", "tree", "--skip-if-unchanged"]).ok();
    assert_eq!(count(), 3);
}

#[test]
fn standard_input_becomes_a_file() {
    let world = World::with_repository();
    let content = noise(77, 3_000_000);
    world.ghost(["snapshot", "--stdin", "dump.sql"]).stdin(&content).ok();
    assert!(world.ghost(["cat", "@:dump.sql"]).ok().stdout == content);
    world.ghost(["snapshot", "--stdin", "empty"]).ok();
    assert_eq!(world.ghost(["cat", "@:empty"]).ok().stdout, b"");
}

#[test]
fn a_dry_run_stores_nothing() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    let before = oracle::listing(&world.path(".ghost"));
    world.ghost(["snapshot", "tree", "--dry-run"]).ok();
    assert_eq!(oracle::data_bytes(&world.path(".ghost")), 0);
    world.ghost(["rev-parse", "@"]).code(1);
    drop(before);
}

/// Nothing is written through what lies in the target already.
#[test]
fn links_in_the_target_are_not_followed() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.write("outside/file", "precious");
    world.write("outside/deep/noise", "precious");
    world.ghost(["snapshot", "tree"]).ok();
    fs::create_dir(world.path("out")).unwrap();
    std::os::unix::fs::symlink("../outside", world.path("out/src")).unwrap();
    std::os::unix::fs::symlink("../outside/file", world.path("out/README")).unwrap();
    let before = oracle::listing(&world.path("outside"));
    world.ghost(["reconstruct", "@", "out"]).run();
    assert_eq!(oracle::listing(&world.path("outside")), before);
    // A fifo that nobody reads must not stop it for ever.
    fs::remove_file(world.path("out/README")).unwrap();
    world
        .shell("mkfifo out/README; timeout 60 ghost reconstruct @ out || [ $? -ne 124 ]")
        .ok();
}

#[test]
fn a_restore_that_was_killed_is_finished_by_the_next() {
    need!("strace");
    let world = World::with_repository();
    if world.command("strace", ["-o", "/dev/null", "true"]).run().code != Some(0) {
        return crate::harness::skip(module_path!(), "ptrace");
    }
    trees::nasty(&world.path("tree"), is_root());
    world.ghost(["snapshot", "tree"]).ok();
    let options = privileged().join(" ");
    for when in [3, 60, 200] {
        let script = format!(
            "strace -f -o trace -e trace=openat,openat2,mkdirat -e inject=mkdirat:signal=SIGKILL:when={when} \
             ghost reconstruct @ out --numeric-owner {options}"
        );
        world.shell(&script).run();
    }
    world
        .ghost([&["reconstruct", "@", "out", "--numeric-owner"], privileged()].concat())
        .ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
}

/// Without root, what needs root is left out and named; the rest is there.
#[test]
fn without_privileges_setuid_and_devices_stay_away() {
    need_root!();
    let world = World::with_repository();
    trees::nasty(&world.path("tree"), true);
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["reconstruct", "@", "out"]).run();
    assert_eq!(
        fs::metadata(world.path("out/modes/program 4755")).unwrap().mode() & 0o7000,
        0
    );
    assert!(!world.path("out/special/null").exists());
    let attributes = world.shell("getfattr -d -m - out/attributes/*").run();
    attributes.hides(&["security.capability"]);
}

#[test]
fn ten_thousand_files_in_one_folder() {
    let world = World::in_memory();
    let folder = world.path("tree/many");
    fs::create_dir_all(&folder).unwrap();
    for number in 0..10_000 {
        fs::write(
            folder.join(OsString::from(format!("file-{number:05}"))),
            number.to_string(),
        )
        .unwrap();
    }
    world.ghost(["snapshot", "tree"]).ok();
    let first = oracle::data_bytes(&world.path(".ghost"));
    fs::write(folder.join("file-05000"), "changed").unwrap();
    world.ghost(["snapshot", "tree"]).ok();
    let second = oracle::data_bytes(&world.path(".ghost")) - first;
    assert!(second < 100_000, "one change in a large folder cost {second} bytes");
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
}
