//! t5: snapshots that are copied between repositories by somebody who has neither, judged by `diff` and `sha256sum`.

use std::fs;

use crate::harness::{Run, World, noise, oracle, trees};

/// A repository `a` with three snapshots on `main`, one on `side` and a tag, an empty one `b`, and a folder without one.
fn world() -> World {
    let world = World::new();
    trees::small(&world.path("src"));
    world.ghost(["init", "-q", "a"]).ok();
    world.ghost(["init", "-q", "b"]).ok();
    for round in 0..3 {
        world.write("src/large", noise(round, 300_000));
        world.ghost(["--repo", "a", "snapshot", "-q", "src"]).ok();
    }
    world.write("src/aside", "of another line\n");
    world
        .ghost(["--repo", "a", "-c", "core.line=side", "snapshot", "-q", "src"])
        .ok();
    world.ghost(["--repo", "a", "tag", "v1", "main~1"]).ok();
    fs::create_dir(world.path("elsewhere")).unwrap();
    world
}

fn refs(world: &World, repository: &str) -> String {
    world.ghost(["--repo", repository, "show-ref"]).run().out()
}

fn copy<'w>(world: &'w World, words: &[&str]) -> Run<'w> {
    world.ghost([&["copy"], words].concat()).at("elsewhere")
}

fn verify(world: &World, repository: &str) {
    world
        .ghost(["--repo", repository, "verify", "--data"])
        .ok()
        .says(&["No damage"]);
}

#[test]
fn all_lines_and_tags_go_over_whatever_leads_there() {
    let world = world();
    let (a, b, ghost) = (world.path("a"), world.path("b"), env!("CARGO_BIN_EXE_ghost"));
    let (a, b) = (a.display(), b.display());
    for (number, (from, to)) in [
        ("../a".to_owned(), "../b".to_owned()),
        (format!("file://{a}"), format!("file://{b}/.ghost")),
        (
            format!("ext::'{ghost}' serve --stdio {a}"),
            format!("ext::'{ghost}' serve --stdio {b}"),
        ),
        ("../a/.ghost".to_owned(), format!("ext::'{ghost}' serve --stdio {b}")),
        (format!("ext::'{ghost}' serve --stdio {a}"), format!("url:{b}")),
    ]
    .into_iter()
    .enumerate()
    {
        let dry = copy(&world, &["-n", &from, &to]).ok();
        dry.says(&["main -> main  new", "side -> side", "v1 -> v1", "Nothing was done"]);
        assert!(refs(&world, "b").is_empty(), "{from} {to}");
        copy(&world, &[&from, &to]).ok().says(&["Copied 4 snapshots: "]);
        assert_eq!(refs(&world, "a"), refs(&world, "b"), "{from} {to}");
        verify(&world, "b");
        copy(&world, &[&from, &to]).ok().says(&["has it all"]);
        fs::remove_dir_all(world.path("b")).unwrap();
        world.ghost(["init", "-q", "b"]).ok();
        let left = fs::read_dir(world.path("elsewhere")).unwrap().count();
        assert_eq!(left, 0, "nothing is kept on the way ({number})");
    }
    world.ghost(["init", "--plain", "stick"]).ok();
    copy(&world, &["../a", "dir:../stick"]).ok();
    copy(&world, &["dir:../stick", "../b"])
        .ok()
        .says(&["Copied 4 snapshots"]);
    assert_eq!(refs(&world, "a"), refs(&world, "b"));
    world.ghost(["--repo", "b", "reconstruct", "side", "out"]).ok();
    world.shell("diff -r src out").ok();
}

#[test]
fn the_revisions_that_are_named_go_with_all_before_them() {
    let world = world();
    let at = |repository: &str, revision: &str| {
        let done = world.ghost(["--repo", repository, "rev-parse", revision]).ok();
        done.word()
    };
    copy(&world, &["../a", "../b", "main~1"])
        .ok()
        .says(&["main -> main  new", "Copied 2 snapshots"]);
    assert_eq!(at("b", "main"), at("a", "main~1"));
    copy(&world, &["../a", "../b", "main", "v1", "side:other"])
        .ok()
        .says(&["Copied 2 snapshots"]);
    assert_eq!(
        [at("b", "main"), at("b", "other"), at("b", "v1")],
        [at("a", "main"), at("a", "side"), at("a", "v1")]
    );
    let id = at("a", "main~2");
    copy(&world, &["../a", "../b", &id])
        .code(2)
        .says(&["is of no line", "REV:LINE"]);
    copy(&world, &["../a", "../b", &format!("{id}:old")])
        .ok()
        .says(&["Copied nothing but refs"]);
    copy(&world, &["../a", "../b", "nothing"]).run().says(&["nothing"]);
    copy(&world, &["../a", "../b", "main:x", "side:x"])
        .code(2)
        .says(&["two values"]);
    verify(&world, "b");
    let record = world
        .ghost(["--json", "copy", "../a", "../b", "side"])
        .at("elsewhere")
        .ok()
        .json_lines()
        .pop()
        .unwrap();
    assert_eq!((&record["command"], &record["snapshots"]), (&"copy".into(), &0.into()));
}

#[test]
fn lines_that_have_parted_are_said_and_nothing_moves() {
    let world = world();
    copy(&world, &["../a", "../b", "main~1"]).ok();
    world.ghost(["--repo", "b", "snapshot", "-q", "src/aside"]).ok();
    let before = refs(&world, "b");
    // What both have of the history does not travel, though no ref there says so.
    copy(&world, &["../a", "../b"]).code(1).says(&["parted"]);
    assert_eq!(refs(&world, "b"), before);
    copy(&world, &["../a", "../b", "main:theirs"])
        .ok()
        .says(&["Copied 1 snapshot"]);
    copy(&world, &["-f", "../a", "../b", "main"])
        .ok()
        .says(&["Copied nothing but refs"]);
    // A server that only lets add does so here, too.
    let ghost = env!("CARGO_BIN_EXE_ghost");
    let url = format!("ext::'{ghost}' serve --stdio --append-only ../b");
    copy(&world, &["-f", "../a", &url, "main~2:main"])
        .code(1)
        .says(&["only lets add"]);
    copy(&world, &["../b", "../a", "theirs"]).ok();
    verify(&world, "b");
}

#[test]
fn a_shallow_repository_is_copied_as_it_is() {
    let world = world();
    world.ghost(["clone", "-q", "--bare", "--depth", "1", "a", "c"]).ok();
    let done = copy(&world, &["../c", "../b"]).ok();
    done.says(&["Copied 3 snapshots"]);
    let history = |repository: &str| world.ghost(["--repo", repository, "rev-list", "main"]).ok().out();
    assert_eq!(history("b"), history("c"));
    verify(&world, "b");
}

#[test]
fn what_came_before_a_break_stays() {
    need!("stdbuf");
    let world = World::new();
    for n in 0..6 {
        world.write(format!("src/{n}"), noise(n, 5 << 20));
    }
    world.ghost(["init", "-q", "a"]).ok();
    world.ghost(["init", "-q", "b"]).ok();
    world.ghost(["--repo", "a", "snapshot", "-q", "src"]).ok();
    let broken = "ghost copy a 'ext::stdbuf -o0 head -c 20000000 | ghost serve --stdio b'";
    world.shell(broken).code(1);
    assert!(refs(&world, "b").is_empty());
    let record = world.shell("ghost --json copy a b").ok().json_lines().pop().unwrap();
    let bytes = record["pack_bytes"].as_u64().unwrap();
    assert!(bytes < 18_000_000, "{record}");
    verify(&world, "b");
    // What a break left is no garbage for snapshots, but for who asks: gc takes it away.
    world.ghost(["init", "-q", "c"]).ok();
    world.shell(&broken.replace("stdio b", "stdio c")).code(1);
    let size = || {
        let files = oracle::files_below(&world.path("c/.ghost/quarantine"));
        let data = files
            .iter()
            .filter(|path| path.components().any(|part| part.as_os_str() == "data"));
        data.map(|path| fs::metadata(path).unwrap().len()).sum::<u64>()
    };
    assert!(size() > 5_000_000, "{}", size());
    world
        .ghost(["--repo", "c", "gc", "--dry-run"])
        .ok()
        .says(&["what 1 transfer left that broke", "would be removed"]);
    assert!(size() > 5_000_000, "{}", size());
    world
        .ghost(["--repo", "c", "gc"])
        .ok()
        .says(&["what 1 transfer left that broke", "begins anew"]);
    assert_eq!(size(), 0);
    world.ghost(["--repo", "c", "gc"]).ok().hides(&["transfer"]);
    world.shell("ghost copy a c").ok();
    verify(&world, "c");
}

#[test]
fn files_are_copied_where_files_are_meant() {
    let world = world();
    let of = |words: &[&str]| world.ghost([&["copy"], words].concat());
    // A repository and a folder: files, as ever.
    of(&["src", "out"]).ok().says(&["copied to out"]);
    world.shell("cmp src/large out/large").ok();
    assert!(world.path("out/aside").exists());
    // Two repositories: files only if it is said so.
    of(&["--files", "src", "b"]).ok().says(&["copied to b"]);
    world.shell("cmp src/large b/large").ok();
    world.write("a/note", "beside\n");
    of(&["--files", "a", "b"]).ok().says(&["1 file of 7 B copied to b"]);
    of(&["--overwrite", "a", "b"])
        .ok()
        .says(&["0 files", "1 there already"]);
    assert!(refs(&world, "b").is_empty());
    for words in [
        &["src", "out", "main"][..],
        &["-f", "src", "out"],
        &["src", "ssh://loom/srv/a"],
        &["--files", "a", "b", "main"],
    ] {
        of(words).code(2);
    }
    // A revision is one, whatever it looks like.
    world
        .ghost(["copy", "main:large", "../b", "--name", "taken"])
        .at("a")
        .ok();
    assert!(world.read("b/taken") == noise(2, 300_000));
}

#[test]
fn another_hash_makes_other_ids_of_the_same_bytes() {
    let world = world();
    for hash in ["blake3", "sha3-256"] {
        world.ghost(["init", "-q", "--hash", hash, hash]).ok();
        let to = format!("../{hash}");
        copy(&world, &["-n", "../a", &to])
            .ok()
            .says(&["hashed anew", "Nothing was done"]);
        assert!(refs(&world, hash).is_empty());
        copy(&world, &["../a", &to]).ok().says(&["Copied 4 snapshots: "]);
        verify(&world, hash);
        copy(&world, &["../a", &to]).ok().says(&["has it all"]);
        for revision in ["main", "main~2", "side", "v1"] {
            world
                .ghost(["--repo", "a", "reconstruct", "-q", revision, "expected"])
                .ok();
            world
                .ghost(["--repo", hash, "reconstruct", "-q", revision, "found"])
                .ok();
            world
                .shell("diff -r --no-dereference expected found && rm -r expected found")
                .ok();
        }
        world.ghost(["--repo", hash, "ls", "main"]).ok();
    }
    // Whole files are known by their plain hashes, also those of many blocks.
    let found = world
        .ghost(["--repo", "sha3-256", "ls", "--json", "main:large"])
        .run()
        .out();
    let expected = world
        .shell("openssl dgst -sha3-256 -r src/large | cut -d' ' -f1")
        .run()
        .out();
    assert!(found.contains(expected.trim()), "{found} {expected}");
    // What is new comes on top; a line that parted is left alone.
    world.write("src/new", "later\n");
    world.ghost(["--repo", "a", "snapshot", "-q", "src"]).ok();
    copy(&world, &["../a", "../blake3", "main"])
        .ok()
        .says(&["Copied 1 snapshot: "]);
    world.ghost(["--repo", "sha3-256", "snapshot", "-q", "src"]).ok();
    let before = refs(&world, "sha3-256");
    copy(&world, &["../a", "../sha3-256"])
        .code(1)
        .says(&["the lines have parted"]);
    assert_eq!(refs(&world, "sha3-256"), before);
    copy(&world, &["--force", "../a", "../sha3-256"]).ok();
    verify(&world, "sha3-256");
    let ghost = env!("CARGO_BIN_EXE_ghost");
    let far = format!("ext::'{ghost}' serve --stdio {}", world.path("blake3").display());
    copy(&world, &["../a", &far]).code(2).says(&["push from there"]);
}
