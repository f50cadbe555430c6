//! t4: answers while folders are still walked, trees inside of bundles, and what one question leaves for the next.

use std::collections::BTreeMap;
use std::fs;

use crate::harness::{World, noise};

/// Two trees with files in common: `t/one` and `t/two`.
fn plant(world: &World) {
    for number in 0..40 {
        world.write(
            format!("t/one/{}/{number}", number % 7),
            format!("content {}", number % 11),
        );
    }
    world.write("t/one/large", noise(3, 300_000));
    world
        .shell("cp -a t/one t/two; rm t/two/3/3; echo new > t/two/new")
        .ok();
}

/// Paths that end with NUL, in pairs.
fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let paths: Vec<&str> = text.split_terminator('\0').collect();
    paths
        .chunks(2)
        .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
        .collect()
}

#[test]
fn duplicates_as_they_are_found_are_those_of_whole_groups() {
    let world = World::new();
    plant(&world);
    let whole = world.ghost(["dup", "--json", "t"]).ok().json_lines();
    let mut expected: Vec<Vec<String>> = Vec::new();
    for group in whole.iter().filter(|line| line["type"] == "duplicates") {
        let files = group["files"].as_array().unwrap();
        expected.push(
            files
                .iter()
                .map(|file| file["path"].as_str().unwrap().to_owned())
                .collect(),
        );
    }
    let check = |printed: Vec<(String, String)>| {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, first) in printed {
            groups.entry(first.clone()).or_insert_with(|| vec![first]).push(path);
        }
        let sorted = |mut groups: Vec<Vec<String>>| {
            groups.iter_mut().for_each(|files| files.sort());
            groups.sort();
            groups
        };
        assert_eq!(sorted(groups.into_values().collect()), sorted(expected.clone()));
    };
    check(pairs(&world.ghost(["dup", "--as-found", "-0", "t"]).ok().stdout));
    let json = world.ghost(["dup", "--as-found", "--json", "t"]).ok().json_lines();
    let field = |line: &serde_json::Value, of: &str| line[of].as_str().unwrap().to_owned();
    let matches = json.iter().filter(|line| line["type"] == "duplicate");
    check(
        matches
            .map(|line| (field(line, "path"), line["first"]["path"].as_str().unwrap().to_owned()))
            .collect(),
    );
    let summary = |lines: &[serde_json::Value]| {
        let last = lines.last().unwrap().clone();
        ["groups", "files", "spare_bytes"].map(|name| last[name].as_u64())
    };
    assert_eq!(summary(&json), summary(&whole));
    world
        .ghost(["dup", "--as-found", "t"])
        .ok()
        .says(&[" = t/", "could be freed"]);
    world.ghost(["dup", "--as-found", "--action", "remove", "t"]).code(2);
}

#[test]
fn trees_in_bundles_are_named_by_their_paths() {
    let world = World::new();
    plant(&world);
    world.ghost(["gfs", "push", "t", "gfs:all.gfs"]).ok();
    world.ghost(["snapshot", "-o", "all.gs", "t"]).ok();
    let live = world.ghost(["dup", "--json", "t/one"]).ok().json_lines();
    for tag in ["gfs:all.gfs", "snap:all.gs"] {
        let (one, two) = (format!("{tag}:one"), format!("{tag}:two"));
        let stored = world.ghost(["dup", "--json", &one]).ok().json_lines();
        assert_eq!(stored.len(), live.len());
        assert_eq!(stored[0]["fullhash"], live[0]["fullhash"]);
        let path = stored[0]["files"][0]["path"].as_str().unwrap().to_owned();
        assert!(path.starts_with(&format!("{one}/")), "{path}");
        let over = world.ghost(["overlap", "--only-in-a", &two, &one]).ok();
        over.says(&[&format!("{two}/new")]);
        over.hides(&[&format!("{two}/large")]);
        world.ghost(["dup", &format!("{tag}:nothing")]).code(1);
    }
    world
        .ghost(["copy", "gfs:all.gfs:two", "out", "--not-in", "gfs:all.gfs:one"])
        .ok();
    assert_eq!(world.shell("find out -type f").ok().out(), "out/new\n");
    world
        .ghost(["condense", "gfs:all.gfs:one", "snap:all.gs:two", "gfs:both.gfs"])
        .ok();
    world.ghost(["ls", "gfs:both.gfs"]).ok().says(&["large", "new"]);
}

#[test]
fn a_content_comes_back_by_its_hash() {
    let world = World::new();
    plant(&world);
    world.ghost(["gfs", "push", "t", "gfs:all.gfs"]).ok();
    let id = world.ghost(["hash-object", "--fullhash", "t/one/large"]).ok().word();
    fs::remove_dir_all(world.path("t")).unwrap();
    world
        .ghost(["find-duplicate", &id, "gfs:all.gfs", "--copy-to", "back"])
        .ok()
        .says(&["2 files", "1 file of 293 KiB copied to back"]);
    assert!(world.read("back/large") == noise(3, 300_000));
}

#[test]
fn times_prove_nothing_where_somebody_said_so() {
    let world = World::with_repository();
    world.write("t/a", "AAAA");
    world.write("t/b", "BBBB");
    world.shell("touch -d 2020-01-01 t/a t/b; sleep 0.2").ok();
    let read = || {
        let last = world
            .ghost(["--json", "-v", "dup", "t"])
            .ok()
            .json_lines()
            .pop()
            .unwrap();
        last["groups"].as_u64()
    };
    assert_eq!(read(), Some(0));
    need!("python3");
    let lie = "import hashlib, sqlite3; db = sqlite3.connect('.ghost/catalogue.db'); \
               a, b = (hashlib.sha256(bytes).digest() for bytes in (b'AAAA', b'BBBB')); \
               (at, files), = db.execute('SELECT id, files FROM memo'); \
               db.execute('UPDATE memo SET files = ? WHERE id = ?', (files.replace(b, a), at)); db.commit()";
    world.command("python3", ["-c", lie]).ok();
    assert_eq!(read(), Some(1), "what is known is believed");
    // Two scans: the first one says how far the tree is trusted, and finds what the lie is.
    world.ghost(["scan", "--trust=hash", "t"]).run();
    world.command("python3", ["-c", lie]).ok();
    assert_eq!(read(), Some(0));
}

#[test]
fn what_was_hashed_to_find_duplicates_is_known_afterwards() {
    let world = World::with_repository();
    plant(&world);
    // What changed just now is not trusted later.
    world
        .shell("find t -type f -exec touch -d 2020-01-01 {} +; sleep 0.2")
        .ok();
    let cold = world.ghost(["dup", "t"]).ok().out();
    assert_eq!(world.ghost(["dup", "t"]).ok().out(), cold);
    world
        .ghost(["where", "t/one/large"])
        .ok()
        .says(&["t/one/large", "t/two/large"]);
    assert_eq!(world.ghost(["dup", "t"]).ok().out(), cold);
    // What changes is seen by the next question, whoever asks it.
    fs::remove_file(world.path("t/one/large")).unwrap();
    world.write("t/one/2/2", "other");
    world.ghost(["dup", "t"]).ok().hides(&["large"]);
    world.ghost(["scan", "t"]).ok().says(&["1 gone"]);
    world
        .ghost(["where", "t/two/large"])
        .ok()
        .says(&["was at", "t/one/large"]);
    world.ghost(["verify", "t"]).ok();
    world.ghost(["dup", "t"]).ok().hides(&["large"]);
    world.ghost(["describe", "t/one/2/2"]).ok();
}

#[test]
fn descriptions_of_a_bundle_go_with_it_into_a_line() {
    let world = World::new();
    world.write("far/a", "from afar");
    world
        .ghost(["gfs", "push", "far", "gfs:far.gfs"])
        .env("GHOST_HOST", "tern")
        .ok();
    world.ghost(["condense", "gfs:far.gfs", "snap:far.gs"]).ok();
    let id = world.ghost(["hash-object", "far/a"]).ok().word();
    fs::remove_dir_all(world.path("far")).unwrap();
    world.ghost(["init"]).ok();
    world.ghost(["condense", "snap:far.gs", "main"]).ok();
    world.ghost(["where", &id]).ok().says(&["tern:", "far/a"]);
}

#[test]
fn blocks_of_a_file_come_from_several_origins() {
    let world = World::with_repository();
    let content = noise(9, 2_000_000);
    let path = world.write("t/big", &content);
    world.ghost(["snapshot", "--ghosts-only", "t"]).ok();
    // Its beginning is here, its end there, and neither is where it was.
    let mut first = content.clone();
    first.truncate(1_300_000);
    world.write("a/big", &first);
    world.write("b/big", [b"more in front".as_slice(), &content[700_000..]].concat());
    fs::remove_file(path).unwrap();
    world
        .ghost(["reconstruct", "--source=a", "@", "out"])
        .code(3)
        .says(&["1 not located"]);
    let done = world
        .ghost(["reconstruct", "--explain", "--source=a", "--source=b", "@", "out"])
        .ok();
    done.says(&["big: put together with blocks of"]);
    assert!(world.read("out/big") == content);
}
