//! t1: hashes, contents, trees as text, and low-level commands that compose.

use std::fs;

use crate::harness::{World, is_root, noise, oracle, trees};

/// Sizes around every limit that a content has: nothing, inline, one block, several, many.
const SIZES: [usize; 9] = [0, 1, 100, 4_096, 65_535, 65_536, 262_144, 1_048_577, 9_000_000];

#[test]
fn hashes_are_what_other_tools_print() {
    need!("openssl", "b3sum");
    let oracles: [(&str, &[&str]); 3] = [
        ("sha256", &["sha256sum"]),
        ("blake3", &["b3sum"]),
        ("sha3-256", &["openssl", "dgst", "-sha3-256", "-r"]),
    ];
    for (hash, oracle) in oracles {
        let world = World::new();
        world.ghost(["init", "--hash", hash]).ok();
        for bytes in SIZES {
            let name = bytes.to_string();
            let path = world.write(&name, noise(5, bytes));
            let expected = format!("{hash}:{}", oracle::digest(oracle, &path));
            assert_eq!(world.ghost(["hash-object", "--fullhash", &name]).ok().word(), expected);
            // A file of one block is named by the plain hash of its bytes.
            if (1..=4_096).contains(&bytes) {
                let done = world.ghost(["hash-object", &name]).ok();
                assert!(done.word().starts_with(&expected), "{expected} is not what {done}");
            }
        }
    }
}

#[test]
fn hash_object_takes_names_and_bytes_from_standard_input() {
    let world = World::with_repository();
    let hello = world.ghost(["hash-object", "--stdin"]).stdin("hello\n").ok().word();
    assert!(
        hello.contains("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
        "{hello}"
    );
    world.write("one", "hello\n");
    world.write("two", "hello\n");
    let both = world.ghost(["hash-object", "--stdin-paths"]).stdin("one\ntwo\n").ok();
    assert_eq!(both.word(), format!("{hello}\n{hello}"));
    world.ghost(["hash-object", "missing"]).run().says(&["missing"]);
}

#[test]
fn nothing_is_stored_unless_asked() {
    let world = World::with_repository();
    let content = noise(11, 50_000);
    world.write("file", &content);
    let id = world.ghost(["hash-object", "file"]).ok().word();
    assert_eq!(oracle::data_bytes(&world.path(".ghost")), 0);
    world.ghost(["cat-file", &id]).run().says(&["error: ", &id[7..20]]);
    assert_eq!(world.ghost(["hash-object", "-w", "file"]).ok().word(), id);
    assert_eq!(world.ghost(["cat-file", &id]).ok().stdout, content);
    let block = id.split('+').next().unwrap();
    assert_eq!(world.ghost(["cat-block", block]).ok().stdout, content);
}

#[test]
fn contents_of_every_size_come_back() {
    let world = World::with_repository();
    for bytes in SIZES {
        let content = noise(bytes as u64, bytes);
        world.write("file", &content);
        let id = world.ghost(["hash-object", "-w", "file"]).ok().word();
        let done = world.ghost(["cat-file", &id]).ok();
        assert!(done.stdout == content, "{bytes} bytes differ");
    }
}

#[test]
fn ids_shorten_to_unique_prefixes() {
    let world = World::with_repository();
    world.write("file", noise(1, 10_000));
    let id = world.ghost(["hash-object", "-w", "file"]).ok().word();
    let hex = id.split([':', '+']).nth(1).unwrap().to_owned();
    let read = |name: &str| world.ghost(["cat-block", name]).run();
    assert_eq!(read(&hex).code, Some(0));
    assert_eq!(read(&hex[..7]).code, Some(0));
    assert_eq!(read(&format!("sha256:{}", &hex[..9])).code, Some(0));
    assert_ne!(read(&hex[..6]).code, Some(0));
    assert_ne!(read("0123456").code, Some(0));
    read(&format!("blake3:{hex}")).says(&["blake3"]);
}

#[test]
fn ls_tree_and_mktree_are_inverse() {
    let world = World::with_repository();
    trees::nasty(&world.path("tree"), is_root());
    world.ghost(["snapshot", "tree"]).ok();
    let tree = world.ghost(["rev-parse", "@:"]).ok().word();
    for (list, make) in [("-r -t -z", "-z"), ("-r -t", ""), ("-z", "-z"), ("", "")] {
        let again = world
            .shell(&format!("ghost ls-tree {list} {tree} | ghost mktree {make}"))
            .ok()
            .word();
        assert_eq!(again, tree, "ls-tree {list}");
    }
}

#[test]
fn mktree_refuses_what_no_directory_can_hold() {
    let world = World::with_repository();
    let line = |name: &str| format!("100644 file inline:78\t{name}\n");
    let bad = ["", ".", "..", ".ghost", ".GHOST", "a//b", "/a", "a/../b", "a/./b"];
    for name in bad {
        let done = world.ghost(["mktree"]).stdin(line(name)).run();
        assert!(matches!(done.code, Some(1 | 2)), "{name:?} was taken: {done}");
    }
    let nul = world
        .ghost(["mktree", "-z"])
        .stdin("100644 file inline:78\ta\nb\0")
        .ok();
    let twice = world.ghost(["mktree"]).stdin(line("a") + &line("a")).run();
    assert!(matches!(twice.code, Some(1 | 2)), "{twice}");
    let both = world.ghost(["mktree"]).stdin(line("a") + &line("a/b")).run();
    assert!(matches!(both.code, Some(1 | 2)), "{both}");
    // What is not in the repository is not referred to, unless one insists.
    let missing = format!("100644 file sha256:{}+5\ta\n", "0".repeat(64));
    world
        .ghost(["mktree"])
        .stdin(&missing)
        .run()
        .says(&["not in this repository"]);
    world.ghost(["mktree", "--missing"]).stdin(&missing).ok();
    assert_eq!(
        world.ghost(["ls-tree", "--name-only", "-z", &nul.word()]).ok().stdout,
        b"a\nb\0"
    );
}

/// A snapshot made by a pipeline of low-level commands alone has the same tree as `ghost snapshot`.
#[test]
fn a_pipeline_makes_the_same_tree_as_snapshot() {
    let world = World::with_repository();
    trees::nasty(&world.path("tree"), is_root());
    let tree = world
        .shell("cd tree; find . -mindepth 1 -printf '%P\\0' | ghost hash-object -w --entry --stdin-paths -z | ghost mktree -z")
        .ok()
        .word();
    let snapshot = world.ghost(["mksnapshot", &tree, "-m", "by hand"]).ok().word();
    world.ghost(["update-ref", "refs/snapshots/by-hand", &snapshot]).ok();
    world.ghost(["snapshot", "tree", "--ref", "by-itself"]).ok();
    let left = world.ghost(["ls-tree", "-r", "-t", "by-hand:"]).ok().out();
    let right = world.ghost(["ls-tree", "-r", "-t", "by-itself:"]).ok().out();
    for (left, right) in left.lines().zip(right.lines()) {
        assert_eq!(left, right);
    }
    assert_eq!(world.ghost(["rev-parse", "by-itself:"]).ok().word(), tree);
    world.ghost(["log", "by-hand"]).ok().says(&["by hand"]);
    world.ghost(["reconstruct", "by-hand", "out", "--privileged"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
    world.ghost(["verify", "--data"]).ok();
}

#[test]
fn a_tree_has_one_id_wherever_it_lies() {
    let (here, there) = (World::with_repository(), World::with_repository());
    trees::nasty(&here.path("tree"), is_root());
    here.shell(&format!("cp -a tree '{}'", there.path("tree").display()))
        .ok();
    for world in [&here, &there] {
        world.ghost(["snapshot", "tree"]).ok();
    }
    let id = |world: &World| world.ghost(["rev-parse", "@:"]).ok().word();
    assert_eq!(id(&here), id(&there));
    fs::write(there.path("tree/contents/byte"), "y").unwrap();
    there.ghost(["snapshot", "tree"]).ok();
    assert_ne!(id(&here), id(&there));
}

#[test]
fn chunks_add_up_to_the_file() {
    let world = World::with_repository();
    let content = noise(2, 5_000_000);
    world.write("file", &content);
    let done = world.ghost(["chunk", "file"]).ok();
    let mut end = 0;
    for line in done.out().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (offset, bytes): (usize, usize) = (words[0].parse().unwrap(), words[1].parse().unwrap());
        assert_eq!(offset, end, "{line}");
        world.write("part", &content[offset..offset + bytes]);
        let hash = oracle::digest(&["sha256sum"], &world.path("part"));
        assert!(line.contains(&hash), "{line} is not {hash}");
        end += bytes;
    }
    assert_eq!(end, content.len());
    world.ghost(["chunk", "--histogram", "file"]).ok();
}

#[test]
fn refs_compare_and_swap() {
    let world = World::with_repository();
    world.write("file", "1");
    world.ghost(["snapshot", "-m", "one"]).ok();
    let one = world.ghost(["rev-parse", "@"]).ok().word();
    world.write("file", "2");
    world.ghost(["snapshot", "-m", "two"]).ok();
    let two = world.ghost(["rev-parse", "@"]).ok().word();
    world.ghost(["update-ref", "refs/snapshots/other", &one]).ok();
    let lost = world.ghost(["update-ref", "refs/snapshots/other", &two, &two]).code(5);
    lost.says(&["refs/snapshots/other", "moved"]);
    world.ghost(["update-ref", "refs/snapshots/other", &two, &one]).ok();
    assert_eq!(world.ghost(["rev-parse", "other"]).ok().word(), two);
    assert_eq!(world.ghost(["rev-parse", "other~1"]).ok().word(), one);
    // One of several changes is refused: none is made.
    let changes = format!("update refs/snapshots/other {one} {two}\nupdate refs/snapshots/main {one} {one}\n");
    world.ghost(["update-ref", "--stdin"]).stdin(changes).code(5);
    assert_eq!(
        world.ghost(["rev-parse", "other", "main"]).ok().word(),
        format!("{two}\n{two}")
    );
    world.ghost(["update-ref", "-d", "refs/snapshots/other", &one]).code(5);
    world.ghost(["update-ref", "-d", "refs/snapshots/other", &two]).ok();
    world.ghost(["rev-parse", "other"]).code(1).says(&["other"]);
    let listed = world.ghost(["rev-list", "@"]).ok().word();
    assert_eq!(listed, format!("{two}\n{one}"));
}

#[test]
fn rev_list_names_every_object_once() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree"]).ok();
    let listed = world.ghost(["rev-list", "--objects", "@"]).ok().out();
    let ids: Vec<&str> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
    let stored = world
        .shell("for f in .ghost/data/*; do ghost dump-data $f; done")
        .ok()
        .out();
    for id in ids {
        let hex = id.split(':').next_back().unwrap();
        assert!(stored.contains(hex), "{id} is not in what dump-data prints");
    }
}
