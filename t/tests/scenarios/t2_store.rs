//! t2: several writers, torn tails, lost indexes, interruptions, the number of files.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::harness::{World, noise, oracle, trees};

#[test]
fn eight_writers_at_once() {
    let world = World::with_repository();
    for writer in 0..8_u64 {
        trees::small(&world.path(format!("tree{writer}")));
        world.write(format!("tree{writer}/own"), noise(writer + 100, 2_000_000));
    }
    let mut children = Vec::new();
    for writer in 0..8 {
        let (tree, line) = (format!("tree{writer}"), format!("line{writer}"));
        children.push(world.ghost(["snapshot", &tree, "--ref", &line]).spawn());
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    world.ghost(["verify", "--data"]).ok();
    for writer in 0..8 {
        let (line, out) = (format!("line{writer}"), format!("out{writer}"));
        world.ghost(["reconstruct", &line, &out]).ok();
        oracle::assert_same_listing(&world.path(format!("tree{writer}")), &world.path(out));
    }
}

/// Writers to one line follow each other, or one of them learns that it lost.
#[test]
fn writers_to_one_line_lose_no_snapshot() {
    let world = World::with_repository();
    let mut children = Vec::new();
    for writer in 0..6 {
        let tree = format!("tree{writer}");
        world.write(format!("{tree}/file"), noise(writer, 100_000));
        children.push(world.ghost(["snapshot", &tree, "-m", &tree]).spawn());
    }
    let codes: Vec<Option<i32>> = children
        .into_iter()
        .map(|mut child| child.wait().unwrap().code())
        .collect();
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 5))), "{codes:?}");
    let log = world.ghost(["log"]).ok().out();
    for (writer, code) in codes.iter().enumerate() {
        assert_eq!(
            log.contains(&format!("tree{writer}")),
            *code == Some(0),
            "tree{writer} in {log}"
        );
    }
}

fn newest_data_file(world: &World) -> PathBuf {
    let files = oracle::data_files(&world.path(".ghost"));
    files
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

#[test]
fn a_torn_tail_costs_nothing_that_was_acknowledged() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree"]).ok();
    let path = newest_data_file(&world);
    let bytes = fs::metadata(&path).unwrap().len();
    let tails: [Vec<u8>; 3] = [
        noise(1, 10_000),
        vec![0; 8_192],
        fs::read(&path).unwrap()[64..5_000].to_vec(),
    ];
    for (round, tail) in tails.iter().enumerate() {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(tail, fs::metadata(&path).unwrap().len()).unwrap();
        world.ghost(["verify", "--data"]).ok();
        world.ghost(["ls", "@:src"]).ok().says(&["main.c"]);
        // The next writer goes on behind what is whole.
        world.write("tree/new", noise(round as u64 + 50, 20_000));
        world.ghost(["snapshot", "tree"]).ok();
        world.ghost(["verify", "--data"]).ok();
    }
    assert!(fs::metadata(&path).unwrap().len() >= bytes);
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
}

#[test]
fn a_lost_index_costs_time_only() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree"]).ok();
    for _ in 0..3 {
        world.write("tree/new", noise(9, 40_000));
        world.ghost(["snapshot", "tree"]).ok();
    }
    let before = oracle::data_bytes(&world.path(".ghost"));
    fs::remove_dir_all(world.path(".ghost/index")).unwrap();
    world.ghost(["cat", "@:README"]).ok().says(&["A small tree."]);
    fs::remove_dir_all(world.path(".ghost/cache")).unwrap();
    world.ghost(["snapshot", "tree", "--skip-if-unchanged"]).ok();
    let again = oracle::data_bytes(&world.path(".ghost")) - before;
    assert!(again < 1_000, "{again} bytes of known blocks were stored again");
    world.ghost(["index-data"]).ok();
    assert!(!oracle::files_below(&world.path(".ghost/index")).is_empty());
    world.ghost(["verify", "--data"]).ok();
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
}

#[test]
fn many_small_snapshots_make_few_files() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    for round in 0..100_u64 {
        world.write("tree/round", noise(round, 2_000));
        world.ghost(["snapshot", "tree"]).ok();
    }
    let data = oracle::data_files(&world.path(".ghost")).len();
    let all = oracle::files_below(&world.path(".ghost")).len();
    assert!(data <= 4, "{data} data files");
    assert!(all <= 60, "{all} files");
    assert_eq!(world.ghost(["rev-list", "@"]).ok().out().lines().count(), 100);
    world.ghost(["verify", "--data"]).ok();
}

/// How many bytes the same tree takes without an interruption.
fn bytes_uninterrupted(world: &World, tree: &str) -> u64 {
    world.ghost(["init", "calm"]).ok();
    world.ghost(["-C", "calm", "snapshot", &format!("../{tree}")]).ok();
    oracle::data_bytes(&world.path("calm/.ghost"))
}

/// A tree that takes many writes to keep.
fn large_tree(world: &World) {
    for number in 0..40 {
        world.write(format!("tree/{number}"), noise(number, 1_500_000));
    }
}

fn can_trace(world: &World) -> bool {
    world.command("strace", ["-o", "/dev/null", "true"]).run().code == Some(0)
}

#[test]
fn an_interrupted_snapshot_ends_with_130_and_is_continued() {
    need!("strace");
    let world = World::with_repository();
    if !can_trace(&world) {
        return crate::harness::skip(module_path!(), "ptrace");
    }
    large_tree(&world);
    let calm = bytes_uninterrupted(&world, "tree");
    let script = "strace -f -o trace -e trace=pwrite64,pwritev,pwritev2 -e inject=pwrite64,pwritev,pwritev2:signal=SIGINT:when=12 ghost snapshot tree";
    let stopped = world.shell(script).code(130);
    stopped.says(&["nterrupt"]);
    world.ghost(["rev-parse", "@"]).code(1);
    world.ghost(["verify", "--data"]).ok();
    let kept = oracle::data_bytes(&world.path(".ghost"));
    assert!(kept > calm / 20, "{kept} of {calm} bytes were kept");
    assert!(kept < calm, "the signal came too late");
    world.ghost(["snapshot", "tree"]).ok();
    let after = oracle::data_bytes(&world.path(".ghost"));
    assert!(
        after < calm + calm / 50,
        "{after} bytes, {calm} without an interruption"
    );
    world.ghost(["verify", "--data"]).ok();
}

#[test]
fn a_killed_snapshot_leaves_a_whole_repository() {
    need!("strace");
    let world = World::with_repository();
    if !can_trace(&world) {
        return crate::harness::skip(module_path!(), "ptrace");
    }
    large_tree(&world);
    world.write("first/file", "kept before");
    world.ghost(["snapshot", "first"]).ok();
    for (calls, when) in [
        ("pwrite64,pwritev,pwritev2", 5),
        ("pwrite64,pwritev,pwritev2", 30),
        ("fdatasync,fsync", 1),
        ("fdatasync,fsync", 2),
    ] {
        let script = format!(
            "strace -f -o trace -e trace={calls} -e inject={calls}:signal=SIGKILL:when={when} ghost snapshot tree"
        );
        let killed = world.shell(&script).run();
        assert_ne!(killed.code, Some(0), "{killed}");
        world.ghost(["verify", "--data"]).ok();
        // It may be there though nobody was told of it: killed before the sync of its record, and not before the write.
        world
            .shell("ghost cat @:file || ghost cat @~1:file")
            .ok()
            .says(&["kept before"]);
    }
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
    world.ghost(["verify", "--data"]).ok();
}

/// A call that fails is an error that names the file; nothing kept before is lost, and the next run works.
#[test]
fn every_failing_write_is_told() {
    need!("strace");
    let world = World::with_repository();
    if !can_trace(&world) {
        return crate::harness::skip(module_path!(), "ptrace");
    }
    world.write("first/file", "kept before");
    world.ghost(["snapshot", "first"]).ok();
    trees::small(&world.path("tree"));
    for (calls, error) in [
        ("pwrite64,pwritev,pwritev2", "ENOSPC"),
        ("pwrite64,pwritev,pwritev2", "EIO"),
        ("fdatasync,fsync", "EIO"),
    ] {
        for when in 1..4 {
            let script = format!(
                "strace -f -o trace -e trace={calls} -e inject={calls}:error={error}:when={when} ghost snapshot tree"
            );
            let failed = world.shell(&script).run();
            if failed.code != Some(0) {
                assert_eq!(failed.code, Some(1), "{failed}");
                failed.says(&[".ghost/"]);
                assert!(world.ghost(["cat", "@:file"]).ok().out().contains("kept before"));
            } else {
                // What the failed call was for is no part of the answer, such as an index or a cache.
                world.ghost(["update-ref", "refs/snapshots/main", "@~1"]).ok();
            }
            world.ghost(["verify", "--data"]).ok();
        }
    }
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["verify", "--data"]).ok();
}
