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
    // Whoever promised no order gets them so.
    world.ghost(["dup", "t"]).ok().says(&[" = t/", "could be freed"]);
    let groups = world.ghost(["dup", "--groups", "t"]).ok();
    groups
        .says(&["\n  t/one/large\n  t/two/large\n", "could be freed"])
        .hides(&[" = "]);
    for bad in [
        &["--as-found", "--action", "remove"][..],
        &["--as-found", "--groups"],
        &["--yes"],
        &["--keep", "first"],
    ] {
        world.ghost([&["dup"], bad, &["t"]].concat()).code(2);
    }
}

#[test]
fn pairs_as_they_are_found_are_those_of_the_order() {
    let world = World::new();
    plant(&world);
    // Names of one inode count each, on both sides; files of one content are many on both.
    world
        .shell("ln t/one/large t/one/linked; cp t/two/new t/two/6/new")
        .ok();
    let field = |line: &serde_json::Value, of: &str| line[of].as_str().unwrap().to_owned();
    let whole = world.ghost(["--json", "overlap", "t/two", "t/one"]).ok().json_lines();
    let (summary, whole) = whole.split_last().unwrap();
    let mut expected: Vec<(String, Option<String>)> = Vec::new();
    for line in whole {
        let found = line["found"].as_array().unwrap();
        expected.extend(
            found
                .iter()
                .map(|twin| (field(line, "path"), Some(field(twin, "path")))),
        );
        if found.is_empty() {
            expected.push((field(line, "path"), None));
        }
    }
    expected.sort();
    let json = world
        .ghost(["--json", "overlap", "--as-found", "t/two", "t/one"])
        .ok()
        .json_lines();
    let (told, json) = json.split_last().unwrap();
    assert_eq!(told, summary);
    let mut pairs: Vec<_> = json
        .iter()
        .map(|line| (field(line, "path"), line.get("found").map(|twin| field(twin, "path"))))
        .collect();
    assert!(
        pairs.is_sorted_by_key(|(_, twin)| twin.is_none()),
        "what is alone comes last"
    );
    pairs.sort();
    assert_eq!(pairs, expected);
    let nulls = pairs_of(
        &world
            .ghost(["overlap", "--as-found", "-0", "t/two", "t/one"])
            .ok()
            .stdout,
    );
    assert_eq!(nulls, expected);
    let text = world.ghost(["overlap", "t/two", "t/one"]).ok();
    text.says(&[
        "t/two/large = t/one/linked\n",
        "\n< t/two/new\n",
        "Of 42 files in t/two",
    ]);
    world
        .ghost(["overlap", "--common", "t/two", "t/one"])
        .ok()
        .hides(&["< "]);
    world
        .ghost(["overlap", "--in-order", "t/two", "t/one"])
        .ok()
        .says(&["\n= t/two/large\n    t/one/large\n    t/one/linked\n"]);
    world
        .ghost(["overlap", "--as-found", "--in-order", "t/two", "t/one"])
        .code(2);
}

/// Paths that end with NUL, in pairs of which the second may be empty; sorted.
fn pairs_of(bytes: &[u8]) -> Vec<(String, Option<String>)> {
    let pairs = pairs(bytes).into_iter();
    let mut pairs: Vec<_> = pairs
        .map(|(path, twin)| (path, Some(twin).filter(|twin| !twin.is_empty())))
        .collect();
    pairs.sort();
    pairs
}

#[test]
fn what_is_asked_for_and_is_not_there_is_said() {
    let world = World::with_repository();
    plant(&world);
    world.ghost(["scan", "t/one"]).ok();
    fs::create_dir(world.path("empty")).unwrap();
    for (arguments, code, words) in [
        (&["where", "nothing"][..], 1, "nothing is known of nothing"),
        (&["where", "t"], 2, "t is a folder"),
        (&["where"], 2, "<FILE|ID>"),
        (&["overlap", "t/one"], 2, "<B>"),
        (&["overlap", "t/one", "nothing"], 1, "neither a path nor a revision"),
        (&["overlap", "snap:nothing.gs", "t"], 1, "nothing.gs"),
        (&["overlap", "gfs:t/one/large", "t"], 4, "it is no bundle"),
        (&["overlap", "t/one", "empty"], 0, "0 (0 B) are there too"),
        (&["find-duplicate", "t", "t"], 2, "t is no file"),
        (&["verify", "empty"], 1, "`ghost scan PATH`"),
        (&["condense", "t", "@"], 2, "name a line"),
    ] {
        world.ghost(arguments).code(code).says(&[words]);
    }
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
    let cold = world.ghost(["dup", "--groups", "t"]).ok().out();
    assert_eq!(world.ghost(["dup", "--groups", "t"]).ok().out(), cold);
    world
        .ghost(["where", "t/one/large"])
        .ok()
        .says(&["t/one/large", "t/two/large"]);
    assert_eq!(world.ghost(["dup", "--groups", "t"]).ok().out(), cold);
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
