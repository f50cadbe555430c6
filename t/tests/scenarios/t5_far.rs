//! t5: reading from a repository that is elsewhere, and lazy clones, judged by `diff` and `rsync`.

use std::fs;

use crate::harness::{World, noise, oracle, trees};

/// A repository `a` with two snapshots of `src`.
fn world() -> World {
    let world = World::new();
    trees::small(&world.path("src"));
    world.write("src/deep/er/large", noise(7, 700_000));
    world.write("src/deep/text", "one\ntwo\n");
    world.ghost(["init", "-q", "a"]).ok();
    world.ghost(["--repo", "a", "snapshot", "-q", "src"]).ok();
    world.write("src/deep/text", "one\n2\n");
    world.write("src/added", "new\n");
    world.ghost(["--repo", "a", "snapshot", "-q", "src"]).ok();
    fs::create_dir(world.path("elsewhere")).unwrap();
    world
}

/// All kinds of URLs of the repository `a` that need no ssh.
fn urls(world: &World) -> Vec<String> {
    let (a, ghost) = (world.path("a"), env!("CARGO_BIN_EXE_ghost"));
    let a = a.display();
    vec![
        format!("{a}:"),
        "../a:".to_owned(),
        format!("file://{a}:"),
        format!("url:{a}:"),
        format!("ext::'{ghost}' serve --stdio {a}::"),
    ]
}

#[test]
fn every_url_is_read_without_a_repository() {
    let world = world();
    for url in urls(&world) {
        let run = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| word.replace("URL:", &url)).collect();
            world.ghost(words).at("elsewhere")
        };
        assert_eq!(run(&["ls", "URL:@:deep"]).ok().out(), "er/\ntext\n", "{url}");
        assert_eq!(run(&["cat", "URL:main:deep/text"]).ok().out(), "one\n2\n", "{url}");
        assert_eq!(run(&["cat", "URL:main~1:deep/text"]).ok().out(), "one\ntwo\n", "{url}");
        run(&["diff", "URL:@~1", "URL:@"])
            .ok()
            .says(&["A added", "M deep/text"]);
        run(&["reconstruct", "URL:@", "out"]).ok();
        world.shell("diff -r src elsewhere/out").ok();
        fs::remove_dir_all(world.path("elsewhere/out")).unwrap();
    }
    let large = world.ghost(["cat", "../a:@:deep/er/large"]).at("elsewhere").ok();
    assert!(large.stdout == noise(7, 700_000));
    let names: Vec<_> = fs::read_dir(world.path("elsewhere")).unwrap().collect();
    assert!(names.is_empty(), "nothing is left behind: {names:?}");
}

#[test]
fn parts_of_it_are_restored_and_compared_with_what_is_here() {
    need!("rsync");
    let world = world();
    let at = |words: &[&str]| world.ghost(words).at("elsewhere");
    at(&["reconstruct", "../a:@", "out", "deep/er"]).ok();
    oracle::assert_same_for_rsync(&world.path("src/deep/er"), &world.path("elsewhere/out/deep/er"));
    assert!(!world.path("elsewhere/out/added").exists());
    at(&["reconstruct", "../a:@:deep", "deep"]).ok();
    oracle::assert_same_for_rsync(&world.path("src/deep"), &world.path("elsewhere/deep"));
    at(&["overlap", "../a:@", "../src"]).ok().says(&["deep/er/large"]);
    at(&["diff", "../a:@", "../src"]).ok().hides(&["M ", "A ", "D "]);
    at(&["diff", "../a:@~1", "../src"])
        .ok()
        .says(&["A added", "M deep/text"]);
    at(&["diff", "-p", "../a:@~1", "../a:@"])
        .ok()
        .says(&["-two", "+2", "+new"]);
    at(&["reconstruct", "--test", "../a:@", "fresh"])
        .ok()
        .says(&["A added"]);
    assert!(!world.path("elsewhere/fresh").exists());
    // With a repository here, too: what it has does not travel, and nothing is added to it.
    world.ghost(["clone", "-q", "--bare", "a", "b"]).ok();
    world.write("src/added", "newer\n");
    world.ghost(["--repo", "a", "snapshot", "-q", "src"]).ok();
    let before = oracle::data_bytes(&world.path("b/.ghost"));
    world
        .ghost(["diff", "main", "../a:main"])
        .at("b")
        .ok()
        .says(&["M added"]);
    assert_eq!(oracle::data_bytes(&world.path("b/.ghost")), before);
}

#[test]
fn what_is_not_there_is_named() {
    let world = world();
    let at = |words: &[&str]| world.ghost(words).at("elsewhere");
    at(&["cat", "../a:@:nope"]).code(1).says(&["no path \"nope\""]);
    at(&["ls", "../a:nope"]).code(1).says(&["no revision \"nope\""]);
    at(&["ls", "../a:main@{1}"])
        .code(2)
        .says(&["the log of a remote's refs is not read"]);
    at(&["ls", "file:///nowhere/at/all:@"]).code(1);
    at(&["ls", "ext::exit 3"])
        .code(1)
        .says(&["it said nothing before it ended"]);
    // Damage there ends in an error here, whatever is asked.
    for path in oracle::data_files(&world.path("a/.ghost")) {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    at(&["reconstruct", "../a:@", "out"]).run().hides(&["panicked"]);
}

/// The blocks of `a` as a lazy clone `b` reads them; its data files hold no content.
/// Slow enough to be seen, and never waited for: what is said is looked at.
#[test]
fn what_is_read_from_afar_may_be_limited() {
    let world = lazy_world();
    for words in [
        &["cat", "../a:@:added"][..],
        &["ls", "../a"],
        &["diff", "../a:@~1", "../a:@"],
        &["reconstruct", "../a:@", "out", "added"],
    ] {
        let limited = |rate: &str| {
            let words = [words, &["--limit-rate", rate]].concat();
            world.ghost(words).at("elsewhere")
        };
        limited("1GiB/s").ok();
        limited("much").code(2).says(&["rate", "expected a number of bytes"]);
    }
    let set = |rate: &str| {
        world
            .ghost(["-c", &format!("io.remote-limit={rate}"), "cat", "@:added"])
            .at("b")
    };
    set("much").code(2);
    set("1GiB").ok();
}

fn lazy_world() -> World {
    let world = world();
    world.ghost(["clone", "-q", "--lazy", "--bare", "a", "b"]).ok();
    world
}

#[test]
fn a_lazy_clone_gets_blocks_when_they_are_read() {
    need!("rsync");
    let world = lazy_world();
    let data = oracle::data_bytes(&world.path("b/.ghost"));
    assert!(data < 100_000, "700,000 bytes of content are not here: {data}");
    assert!(world.read("b/.ghost/format").windows(5).any(|bytes| bytes == b"lazy\n"));
    world.ghost(["ls", "-r", "@:"]).at("b").ok().says(&["deep/er/large"]);
    world
        .ghost(["verify", "--data"])
        .at("b")
        .ok()
        .says(&["No damage in 2 snapshots", "are not here: they come from a remote"]);
    assert_eq!(world.ghost(["cat", "@:deep/text"]).at("b").ok().out(), "one\n2\n");
    // From here on the remote is away: what was read stays, the rest is asked for in vain.
    fs::rename(world.path("a"), world.path("gone")).unwrap();
    assert_eq!(world.ghost(["cat", "@:deep/text"]).at("b").ok().out(), "one\n2\n");
    world
        .ghost(["cat", "@:deep/er/large"])
        .at("b")
        .code(1)
        .says(&["asking origin for it failed", "ghost remote set-url"]);
    world
        .ghost(["-c", "cache.only=true", "cat", "@:deep/er/large"])
        .at("b")
        .code(4)
        .says(&["is not in this repository"]);
    world
        .ghost(["reconstruct", "@", "out"])
        .at("b")
        .code(1)
        .says(&["asking origin"]);
    world.ghost(["verify", "--data"]).at("b").ok();
    world.ghost(["gc"]).at("b").ok();
    let gone = world.path("gone");
    world
        .ghost([
            "remote".as_ref(),
            "set-url".as_ref(),
            "origin".as_ref(),
            gone.as_os_str(),
        ])
        .at("b")
        .ok();
    world.ghost(["reconstruct", "@", "../out"]).at("b").ok();
    oracle::assert_same_for_rsync(&world.path("src"), &world.path("out"));
    assert_eq!(
        oracle::data_bytes(&world.path("b/.ghost")),
        data,
        "what came is not part of the repository"
    );
}

#[test]
fn work_in_a_lazy_clone_is_stored_and_pushed() {
    let world = world();
    world.ghost(["clone", "-q", "--lazy", "a", "b"]).ok();
    world.shell("diff -r -x .ghost src b").ok();
    world.write("b/mine", noise(8, 50_000));
    fs::rename(world.path("b/deep/er/large"), world.path("b/moved")).unwrap();
    world.ghost(["snapshot", "-q", "."]).at("b").ok();
    let data = oracle::data_bytes(&world.path("b/.ghost"));
    assert!(data < 200_000, "what the remote has is not stored again: {data}");
    world
        .ghost(["verify", "--data"])
        .at("b")
        .ok()
        .says(&["No damage in 3 snapshots"]);
    world.ghost(["gc"]).at("b").ok();
    world.ghost(["push"]).at("b").ok();
    world
        .ghost(["verify", "--data"])
        .at("a")
        .ok()
        .says(&["No damage in 3 snapshots"]);
    assert!(world.ghost(["cat", "@:moved"]).at("a").ok().stdout == noise(7, 700_000));
    assert!(world.ghost(["cat", "@:mine"]).at("a").ok().stdout == noise(8, 50_000));
    // What others add comes, lazily too.
    world.write("src/added", noise(9, 300_000));
    world
        .ghost(["-c", "core.line=other", "--repo", "a", "snapshot", "-q", "src"])
        .ok();
    world.ghost(["fetch"]).at("b").ok();
    assert!(oracle::data_bytes(&world.path("b/.ghost")) < data + 100_000);
    assert!(world.ghost(["cat", "origin/other:added"]).at("b").ok().stdout == noise(9, 300_000));
}

#[test]
fn what_is_lost_of_own_work_is_damage_in_a_lazy_clone_too() {
    let world = lazy_world();
    world.write("own/x", noise(8, 50_000));
    world.ghost(["--repo", "b", "snapshot", "-q", "own"]).ok();
    let id = world.shell("sha256sum own/x | cut -c1-64").ok().word();
    world.ghost(["--repo", "b", "verify"]).ok();
    for path in oracle::data_files(&world.path("b/.ghost")) {
        let mut bytes = fs::read(&path).unwrap();
        let content = noise(8, 50_000);
        if let Some(at) = bytes.windows(64).position(|part| part == &content[..64]) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    world
        .ghost(["--repo", "b", "verify", "--data"])
        .code(4)
        .says(&[&id, "x"]);
}

#[test]
fn a_lazy_clone_becomes_a_whole_one() {
    need!("rsync");
    let world = lazy_world();
    world.ghost(["fetch", "--unlazy"]).at("b").ok().says(&["lazy no more"]);
    fs::rename(world.path("a"), world.path("gone")).unwrap();
    world
        .ghost(["verify", "--data"])
        .at("b")
        .ok()
        .says(&["No damage in 2 snapshots"])
        .hides(&["not here"]);
    world.ghost(["reconstruct", "@", "../out"]).at("b").ok();
    oracle::assert_same_for_rsync(&world.path("src"), &world.path("out"));
    assert!(!world.read("b/.ghost/format").windows(4).any(|bytes| bytes == b"lazy"));
    world.ghost(["clone", "-q", "b", "c"]).ok();
}

#[test]
fn a_lazy_clone_of_a_lazy_clone_asks_whom_that_one_asks() {
    let world = lazy_world();
    world.ghost(["clone", "-q", "--lazy", "--bare", "b", "c"]).ok();
    world
        .ghost(["remote"])
        .at("c")
        .ok()
        .says(&["origin\t$W/work/b", "origin-of-origin\t$W/work/a"]);
    assert_eq!(world.ghost(["cat", "@:deep/text"]).at("c").ok().out(), "one\n2\n");
    world
        .ghost(["fetch", "--unlazy"])
        .at("c")
        .code(1)
        .says(&["still missing", "--all --unlazy"]);
    world
        .ghost(["fetch", "--all", "--unlazy"])
        .at("c")
        .ok()
        .says(&["lazy no more"]);
    // A whole clone of a lazy one has nobody to ask.
    world.ghost(["clone", "-q", "--bare", "b", "d"]).run().says(&["error"]);
}

#[test]
fn one_tree_and_one_block_are_filled_in_both_ways() {
    let world = lazy_world();
    let at = |words: &[&str]| world.ghost(words).at("b");
    at(&["sync-tree", "origin", "@:deep/er"]).ok().says(&["Received"]);
    at(&["sync-tree", "origin", "@:deep/er"])
        .ok()
        .says(&["Received 0 objects"]);
    let id = world.shell("sha256sum src/added | cut -c1-64").ok().word();
    at(&["cat-block", &id]).ok();
    at(&["sync-block", "origin", &id]).ok().says(&["Received 1 object"]);
    fs::rename(world.path("a"), world.path("gone")).unwrap();
    assert!(at(&["cat", "@:deep/er/large"]).ok().stdout == noise(7, 700_000));
    at(&["-c", "cache.only=true", "cat-block", &id]).ok();
    fs::rename(world.path("gone"), world.path("a")).unwrap();
    // The other way, to a repository that has nothing of it.
    world.ghost(["init", "-q", "c"]).ok();
    let tree = at(&["rev-parse", "@:deep/er"]).ok().word();
    at(&["sync-tree", "--push", "../c", &tree]).ok().says(&["Sent"]);
    at(&["sync-tree", "--push", "../c", &tree])
        .ok()
        .says(&["Sent 0 objects"]);
    let large = world.ghost(["cat", &format!("{tree}:large")]).at("c").ok();
    assert!(large.stdout == noise(7, 700_000));
    at(&["sync-block", "origin", &"0".repeat(64)])
        .code(4)
        .says(&["neither here nor at origin"]);
    at(&["sync-block", "origin", "abc"])
        .code(2)
        .says(&["expected a whole one"]);
    let (ghost, c) = (env!("CARGO_BIN_EXE_ghost"), world.path("c"));
    let read_only = format!("ext::'{ghost}' serve --stdio --read-only {}", c.display());
    at(&["sync-block", "--push", &read_only, &id])
        .code(1)
        .says(&["only lets read"]);
}
