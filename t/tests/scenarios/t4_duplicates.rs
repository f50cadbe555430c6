//! t4: duplicates, what becomes of them, and what of one tree is in another, judged by `sha256sum` and others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::harness::{World, is_root, set_mode, trees};

type Groups = BTreeSet<Vec<Vec<u8>>>;

/// The hash of each file below `tree`, as `sha256sum` says it.
fn hashes(world: &World, tree: &str) -> Vec<(String, Vec<u8>)> {
    let script = format!("find {tree} -type f -print0 | sort -z | xargs -0 sha256sum -z");
    let done = world.shell(&script).ok();
    let lines = done.stdout.split(|&byte| byte == 0).filter(|line| !line.is_empty());
    lines
        .map(|line| (String::from_utf8(line[..64].to_vec()).unwrap(), line[66..].to_vec()))
        .collect()
}

/// Groups of files with one hash, of each inode the first name.
fn expected(world: &World, tree: &str, with_empty: bool) -> Groups {
    let mut by_hash: BTreeMap<String, BTreeMap<(u64, u64), Vec<u8>>> = BTreeMap::new();
    for (hash, path) in hashes(world, tree) {
        let stat = fs::symlink_metadata(world.path(OsStr::from_bytes(&path))).unwrap();
        if stat.len() > 0 || with_empty {
            let first = by_hash
                .entry(hash)
                .or_default()
                .entry((stat.dev(), stat.ino()))
                .or_insert(path.clone());
            let parts = |path: &[u8]| path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
            if parts(&path) < parts(first) {
                *first = path;
            }
        }
    }
    let groups = by_hash.into_values().filter(|files| files.len() > 1);
    groups.map(|files| sorted(files.into_values().collect())).collect()
}

fn sorted(mut files: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    files.sort();
    files
}

/// The groups that `ghost dup -0` prints.
fn found(world: &World, arguments: &[&str]) -> Groups {
    let done = world.ghost([&["dup", "-0"], arguments].concat()).ok();
    let mut groups = Groups::new();
    let mut group = Vec::new();
    for path in done.stdout.split(|&byte| byte == 0) {
        match path.is_empty() {
            false => group.push(path.to_vec()),
            true if group.is_empty() => {}
            true => drop(groups.insert(sorted(std::mem::take(&mut group)))),
        }
    }
    groups
}

/// A tree of all sorts of names and files, twice, with a few changes in the second.
fn two_trees(world: &World) {
    trees::nasty(&world.path("t/one"), is_root());
    world
        .shell("cp -a t/one t/two; cp t/one/contents/noise t/two/third; echo more >> t/two/contents/ones")
        .ok();
    // Of one size and the same samples, and different.
    let mut bytes = vec![5; 500_000];
    world.write("t/large 1", &bytes);
    bytes[100_000] = 6;
    world.write("t/large 2", &bytes);
}

#[test]
fn groups_are_those_of_sha256sum_cold_and_warm_live_and_stored() {
    let world = World::new();
    two_trees(&world);
    let all = expected(&world, "t", true);
    assert!(all.len() > 5, "{all:?}");
    assert_eq!(found(&world, &["--min-size", "0", "t"]), all);
    assert_eq!(found(&world, &["t"]), expected(&world, "t", false));
    world.ghost(["init"]).ok();
    for _ in 0..2 {
        assert_eq!(found(&world, &["--min-size", "0", "t"]), all);
    }
    assert_eq!(
        found(&world, &["--min-size", "0", "--trust", "hash", "t/one", "t"]),
        all
    );
    world.ghost(["snapshot", "t"]).ok();
    let stored: Groups = all
        .iter()
        .map(|group| sorted(group.iter().map(|path| [b"@:", &path[2..]].concat()).collect()))
        .collect();
    assert_eq!(found(&world, &["--min-size", "0", "@"]), stored);
}

#[test]
fn what_is_printed_does_not_depend_on_threads() {
    let world = World::new();
    two_trees(&world);
    let run = |threads: &str| world.ghost(["-c", threads, "dup", "--json", "t"]).ok().stdout;
    let one = run("core.threads=1");
    assert_eq!(run("core.threads=4"), one);
    assert!(world.ghost(["dup", "t"]).ok().out().contains("could be freed"));
}

#[test]
fn links_take_the_place_of_copies_and_all_reads_as_before() {
    for (action, is_link) in [("hardlink", false), ("symlink", true)] {
        let world = World::new();
        for name in ["a/1", "b/2", "c/d/3", "4 \n"] {
            world.write(Path::new("t").join(name), "the same bytes");
            set_mode(&world.path("t").join(name), 0o640);
        }
        world.write("t/other", "of other bytes");
        let before: BTreeSet<_> = hashes(&world, "t").into_iter().collect();
        let dry = world.ghost(["dup", "t", "--action", action]).ok();
        dry.says(&["Nothing was done; --yes does it", "keep      t/4 "]);
        assert_eq!(found(&world, &["t"]).len(), 1, "a dry run does nothing");
        let kept = fs::metadata(world.path("t/c/d/3")).unwrap();
        let run = ["dup", "t", "--action", action, "--keep", "in=t/c", "--yes"];
        world.ghost(run).ok().says(&["3 names", "0 passed over"]);
        for name in ["a/1", "b/2", "c/d/3", "4 \n"] {
            let path = world.path("t").join(name);
            let stat = fs::metadata(&path).unwrap();
            assert_eq!(
                (stat.ino(), stat.mtime_nsec(), stat.mode()),
                (kept.ino(), kept.mtime_nsec(), kept.mode())
            );
            let is_kept = name == "c/d/3";
            assert_eq!(fs::symlink_metadata(&path).unwrap().is_symlink(), is_link && !is_kept);
        }
        if !is_link {
            assert_eq!(hashes(&world, "t").into_iter().collect::<BTreeSet<_>>(), before);
        }
        assert!(found(&world, &["t"]).is_empty());
        // A tree of links may move as a whole.
        fs::rename(world.path("t"), world.path("moved")).unwrap();
        assert_eq!(world.read("moved/a/1"), b"the same bytes");
    }
}

#[test]
fn one_of_each_content_is_left_by_remove() {
    let world = World::new();
    two_trees(&world);
    let before: BTreeSet<String> = hashes(&world, "t").into_iter().map(|(hash, _)| hash).collect();
    world
        .ghost(["dup", "--min-size", "0", "--action", "remove", "--yes", "t"])
        .ok();
    let after: Vec<String> = hashes(&world, "t").into_iter().map(|(hash, _)| hash).collect();
    assert_eq!(after.iter().cloned().collect::<BTreeSet<_>>(), before);
    assert!(found(&world, &["--min-size", "0", "t"]).is_empty());
}

#[test]
fn a_file_that_is_not_what_it_was_taken_for_is_passed_over() {
    need!("python3");
    let world = World::with_repository();
    world.write("t/a", "AAAA");
    world.write("t/b", "BBBB");
    // What changed just now is not trusted: these are older than the run by far.
    world.shell("touch -d 2020-01-01 t/a t/b; sleep 0.2").ok();
    assert!(found(&world, &["t"]).is_empty());
    // A catalogue that lies is like a file that changed unseen between the search and the action.
    let lie = "import hashlib, sqlite3; db = sqlite3.connect('.ghost/catalogue.db'); \
               a, b = (hashlib.sha256(bytes).digest() for bytes in (b'AAAA', b'BBBB')); \
               (at, files), = db.execute('SELECT id, files FROM memo'); \
               db.execute('UPDATE memo SET files = ? WHERE id = ?', (files.replace(b, a), at)); \
               db.commit(); print(db.total_changes)";
    assert_eq!(world.command("python3", ["-c", lie]).ok().word(), "1");
    assert_eq!(found(&world, &["t"]).len(), 1);
    for action in ["hardlink", "symlink", "remove"] {
        let done = world.ghost(["dup", "t", "--yes", "--action", action]).code(3);
        done.says(&["passed over", "no longer those"]);
        assert_eq!(
            (world.read("t/a"), world.read("t/b")),
            (b"AAAA".to_vec(), b"BBBB".to_vec())
        );
    }
    let json = world
        .ghost(["--json", "dup", "t", "--yes", "--action", "remove"])
        .code(3)
        .json_lines();
    assert_eq!(json[1]["done"], false);
    assert!(json[1]["problem"].as_str().unwrap().contains("no longer"));
    assert_eq!(json.last().unwrap()["passed_over"], 1);
}

#[test]
fn repositories_links_and_stored_files_are_not_touched() {
    let world = World::with_repository();
    world.write("t/a", "the same");
    world.ghost(["snapshot", "t"]).ok();
    world.write("t/.ghost/b", "the same");
    world.shell("ln -s a t/link").ok();
    world
        .ghost(["dup", "t", "--action", "remove", "--yes"])
        .ok()
        .says(&["0 groups"]);
    let stored = world.ghost(["dup", "t", "@", "--action", "remove", "--yes"]).ok();
    stored.says(&["1 group, 2 files", "keep      t/a", "keep      @:a", "remove: 0 names"]);
    assert_eq!(world.read("t/a"), b"the same");
    assert_eq!(world.read("t/.ghost/b"), b"the same");
}

#[test]
fn overlap_is_what_hashes_say() {
    let world = World::new();
    two_trees(&world);
    fs::create_dir(world.path("t/two/only")).unwrap();
    world.write("t/two/only/here", "nowhere else");
    let of = |tree: &str| hashes(&world, tree);
    let one: BTreeSet<String> = of("t/one").into_iter().map(|(hash, _)| hash).collect();
    let only: BTreeSet<Vec<u8>> = of("t/two")
        .into_iter()
        .filter(|(hash, _)| !one.contains(hash))
        .map(|(_, path)| path)
        .collect();
    assert!(only.len() >= 2);
    let said = world.ghost(["overlap", "-0", "--only-in-a", "t/two", "t/one"]).ok();
    let told: BTreeSet<Vec<u8>> = said
        .stdout
        .split(|&byte| byte == 0)
        .filter(|path| !path.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    assert_eq!(told, only);
    let hits = world
        .ghost(["--json", "overlap", "--common", "t/two", "t/one"])
        .ok()
        .json_lines();
    let (summary, hits) = hits.split_last().unwrap();
    assert_eq!(summary["only_in_a"], only.len());
    assert_eq!(hits.len() + only.len(), of("t/two").len());
    for hit in hits.iter().filter(|hit| hit.get("path_hex").is_none()) {
        let found = &hit["found"][0];
        if found.get("path_hex").is_none() {
            let bytes = |value: &serde_json::Value| world.read(value["path"].as_str().unwrap());
            assert!(bytes(hit) == bytes(found), "{hit}");
        }
    }
}

#[test]
fn copies_bring_what_is_missing_and_nothing_else() {
    let world = World::with_repository();
    two_trees(&world);
    world.write("t/two/only/here", "nowhere else");
    world.ghost(["snapshot", "t/one"]).ok();
    let dry = world.ghost(["copy", "-n", "t/two", "new", "--not-in", "@"]).ok();
    dry.says(&["would be copied to new"]);
    assert!(!world.path("new").exists());
    world
        .ghost(["copy", "t/two", "new", "--not-in", "@"])
        .ok()
        .says(&["0 there already, 0 passed over"]);
    assert_eq!(world.read("new/only/here"), b"nowhere else");
    let one: BTreeSet<String> = hashes(&world, "t/one").into_iter().map(|(hash, _)| hash).collect();
    let copied = hashes(&world, "new");
    assert!(copied.iter().all(|(hash, _)| !one.contains(hash)));
    for (_, path) in &copied {
        let from = Path::new("t/two").join(OsStr::from_bytes(&path[4..]));
        let (old, new) = (
            fs::metadata(world.path(from)),
            fs::metadata(world.path(OsStr::from_bytes(path))),
        );
        let key = |stat: &fs::Metadata| (stat.len(), stat.mtime(), stat.mtime_nsec(), stat.mode() & 0o777);
        assert_eq!(key(&old.unwrap()), key(&new.unwrap()));
    }
    let again = ["overlap", "t/two", "t/one", "--only-in-a", "--copy-to", "new"];
    world.ghost(again).ok().says(&["0 files of 0 B copied to new"]);
    world.write("new/only/here", "changed here!");
    world
        .ghost(again)
        .code(3)
        .says(&["passed over", "something else has its name"]);
    assert_eq!(world.read("new/only/here"), b"changed here!");
    world.ghost([&again[..], &["--overwrite"]].concat()).ok();
    assert_eq!(world.read("new/only/here"), b"nowhere else");
    world
        .ghost(["copy", "@:contents/noise", "new", "--name", "louder"])
        .ok();
    assert_eq!(world.read("new/louder"), world.read("t/one/contents/noise"));
}

#[test]
fn one_content_is_found_by_file_and_by_hash() {
    let world = World::with_repository();
    world.write("t/a", "sought");
    world.write("t/b/c", "sought");
    world.write("t/d", "others");
    let hash = world.shell("sha256sum < t/a | cut -c1-64").ok().word();
    world.ghost(["snapshot", "t"]).ok();
    for what in ["t/a", "@:b/c", hash.as_str()] {
        let done = world.ghost(["find-duplicate", what, "t", "@"]).ok();
        // The summary is the last line; what comes before it is in no order.
        let said = done.out();
        let mut files: Vec<&str> = said.lines().collect();
        let summary = files.pop().unwrap();
        files.sort_unstable();
        assert_eq!(files, ["@:a", "@:b/c", "t/a", "t/b/c"]);
        assert!(summary.starts_with("4 files with sha256:"), "{summary}");
    }
    world
        .ghost(["find-duplicate", "t", "t"])
        .code(2)
        .says(&["t is no file", "ghost overlap t TREE"]);
    world.ghost(["find-duplicate", "t/d", "@:b"]).ok().says(&["0 files"]);
}

#[test]
fn a_name_of_two_things_is_refused() {
    let world = World::with_repository();
    world.write("main/a", "1");
    world.write("main/b", "1");
    assert_eq!(found(&world, &["main"]).len(), 1, "there is no such line yet");
    world.ghost(["snapshot", "main"]).ok();
    let done = world.ghost(["dup", "main"]).code(2);
    done.says(&["main is a path and a revision", "write path:main or rev:main"]);
    assert_eq!(
        found(&world, &["path:main"]),
        Groups::from([vec![b"main/a".to_vec(), b"main/b".to_vec()]])
    );
    assert_eq!(
        found(&world, &["rev:main"]),
        Groups::from([vec![b"main:a".to_vec(), b"main:b".to_vec()]])
    );
    assert_eq!(
        found(&world, &["./main"]),
        Groups::from([vec![b"./main/a".to_vec(), b"./main/b".to_vec()]])
    );
    let nothing = world.ghost(["dup", "nothing"]).code(1);
    nothing.says(&["nothing is neither a path nor a revision"]);
}
