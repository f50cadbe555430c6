//! t4: what replaces something is stored as the difference from it, and all of it comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::harness::{World, noise, oracle};

/// Lines that differ from each other.
fn text(lines: std::ops::Range<u32>) -> String {
    lines
        .map(|n| format!("{:08x} line {n}\n", n.wrapping_mul(2_654_435_761)))
        .collect()
}

fn grown_by(world: &World, arguments: &[&str]) -> u64 {
    let before = oracle::data_bytes(&world.path(".ghost"));
    world.ghost(arguments).ok();
    oracle::data_bytes(&world.path(".ghost")) - before
}

fn format(world: &World) -> String {
    fs::read_to_string(world.path(".ghost/format")).unwrap()
}

/// Ten versions of a folder: each costs what changed, each comes back byte for byte, also without index and caches.
#[test]
fn a_history_of_edits() {
    let world = World::with_repository();
    for n in 0..20 {
        world.write(format!("tree/folder/f{n}"), text(n * 2000..n * 2000 + 1000));
    }
    world.write("tree/dump", text(0..100_000));
    world.write("tree/noise", noise(1, 300_000));
    let whole = grown_by(&world, &["snapshot", "tree"]);
    assert!(!format(&world).contains("delta"), "nothing leans on anything yet");
    let mut dump: Vec<String> = text(0..100_000).lines().map(str::to_owned).collect();
    for version in 1..10u32 {
        oracle::copy_folder(&world.path("tree"), &world.path(format!("kept-{version}")));
        for n in (version % 3..20).step_by(3) {
            let path = format!("tree/folder/f{n}");
            let edited = String::from_utf8(world.read(&path)).unwrap();
            world.write(
                path,
                edited.replacen(&format!("line {}", n * 2000 + version), "edited", 1) + "more\n",
            );
        }
        for line in (version as usize..dump.len()).step_by(211) {
            dump[line] = format!("{version} is now in line {line}");
        }
        world.write("tree/dump", dump.join("\n"));
        let grown = grown_by(&world, &["snapshot", "tree"]);
        assert!(grown < whole / 8, "{grown} of {whole} bytes for version {version}");
    }
    assert!(format(&world).contains("\nincompatible delta\n"));
    world.ghost(["verify", "--data"]).ok();
    for folder in [".ghost/index", ".ghost/cache"] {
        fs::remove_dir_all(world.path(folder)).unwrap();
    }
    world.ghost(["verify", "--data"]).ok();
    for version in 1..10u32 {
        let out = format!("out-{version}");
        world.ghost(["reconstruct", &format!("@~{}", 10 - version), &out]).ok();
        oracle::assert_same_for_rsync(&world.path(format!("kept-{version}")), &world.path(out));
    }
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_for_rsync(&world.path("tree"), &world.path("out"));
    world.ghost(["stats"]).ok().says(&["Deltas", "of differences"]);
}

#[test]
fn without_deltas_nothing_leans_on_anything() {
    let world = World::with_repository();
    world.write("tree/file", text(0..3000));
    world.ghost(["snapshot", "tree"]).ok();
    world.write("tree/file", text(1..3000));
    world.ghost(["snapshot", "tree", "--no-delta"]).ok();
    world.ghost(["config", "set", "delta.enabled", "false"]).ok();
    world.write("tree/file", text(2..3000));
    world.ghost(["snapshot", "tree"]).ok();
    assert!(!format(&world).contains("delta"));
    world.ghost(["config", "set", "delta.enabled", "true"]).ok();
    world.write("tree/file", text(3..3000));
    let summary = world.ghost(["snapshot", "tree", "--json"]).ok().json_lines();
    assert!(
        summary.last().unwrap()["delta_objects"].as_u64().unwrap() >= 1,
        "{summary:?}"
    );
    let file = oracle::data_files(&world.path(".ghost")).remove(0);
    let dump = world.ghost(["dump-data", file.to_str().unwrap()]).ok().out();
    assert!(dump.contains("codec=delta bases="), "{dump}");
    assert!(dump.contains(" depth=1 weight=2 bases=sha256:"), "{dump}");
    world.ghost(["verify-data"]).ok();
}

#[test]
fn depth_and_window_are_as_they_are_asked_for() {
    let world = World::with_repository();
    let mut edits = 0;
    let mut edit = || {
        edits += 1;
        world.write("tree/file", text(edits..3000));
    };
    world.ghost(["config", "set", "delta.depth", "2"]).ok();
    for _ in 0..5 {
        edit();
        world.ghost(["snapshot", "tree"]).ok();
    }
    let deepest = || world.ghost(["--json", "stats"]).ok().json_lines().pop().unwrap()["delta_depth_max"].clone();
    assert_eq!(deepest(), 2);
    edit();
    world.ghost(["-c", "delta.depth=4", "snapshot", "tree"]).ok();
    assert_eq!(deepest(), 3);
    // The file is longer than that.
    edit();
    let whole = grown_by(&world, &["-c", "delta.window=4KiB", "snapshot", "tree"]);
    edit();
    let difference = grown_by(&world, &["snapshot", "tree"]);
    assert!(difference < whole / 10, "{difference} and {whole} bytes");
    for wrong in [
        "delta.depth=0",
        "delta.depth=9",
        "delta.window=1KiB",
        "delta.window=17MiB",
    ] {
        world.ghost(["-c", wrong, "stats"]).code(2);
    }
    world.ghost(["verify", "--data"]).ok();
}

#[test]
fn what_is_moved_or_copied_and_edited_costs_the_edit() {
    let world = World::with_repository();
    for n in 0..10 {
        world.write(format!("tree/old/f{n}"), text(n * 2000..n * 2000 + 1000));
    }
    let whole = grown_by(&world, &["snapshot", "tree"]);
    fs::rename(world.path("tree/old"), world.path("tree/new")).unwrap();
    for n in 0..10 {
        world.write(format!("tree/new/f{n}"), text(n * 2000 + 1..n * 2000 + 1000));
    }
    world.write("tree/copies/of-the-third", text(6003..7000));
    world.write("tree/copies/of-the-fourth", "first\n".to_owned() + &text(8000..8999));
    let grown = grown_by(&world, &["snapshot", "tree"]);
    assert!(grown < whole / 10, "{grown} of {whole} bytes");
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_for_rsync(&world.path("tree"), &world.path("out"));
}

/// Damage of what others lean on is told of all of them, by path, and costs nothing else.
#[test]
fn damage_in_a_base_is_told_by_path() {
    let world = World::with_repository();
    world.write("tree/changes", text(0..20_000));
    world.write("tree/stays", noise(7, 50_000));
    world.ghost(["snapshot", "tree"]).ok();
    let file = oracle::data_files(&world.path(".ghost")).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    world.write("tree/changes", text(1..20_000));
    world.ghost(["snapshot", "tree"]).ok();
    let dump = world
        .ghost(["dump-data", "--no-objects", file.to_str().unwrap()])
        .ok()
        .out();
    let frame = dump.lines().find(|line| line.contains("codec=zstd")).unwrap();
    let offset: usize = frame["frame ".len()..frame.find('+').unwrap()].parse().unwrap();
    let all = fs::read(&file).unwrap();
    bytes.clear();
    bytes.extend_from_slice(&all);
    bytes[offset + 4000] ^= 0x10;
    fs::write(&file, &bytes).unwrap();
    let told = world.ghost(["verify", "--data"]).code(4);
    assert!(told.seen().matches("changes").count() >= 2, "{}", told.seen());
    assert!(!told.seen().contains("stays"), "{}", told.seen());
    world.ghost(["cat", "@:stays"]).ok();
    world.ghost(["cat", "@:changes"]).code(4);
    fs::write(&file, &all).unwrap();
    world.ghost(["verify", "--data"]).ok();
}

/// What each stored object is made from, by id, as `dump-data` tells.
fn bases(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for file in oracle::data_files(&world.path(".ghost")) {
        let dump = world.ghost(["--json", "dump-data", file.to_str().unwrap()]).ok();
        for record in dump.json_lines().iter().filter(|record| record["type"] == "object") {
            let bases = record["base_ids"].as_array().into_iter().flatten();
            let bases = bases.map(|base| base.as_str().unwrap().to_owned()).collect();
            found.insert(record["id"].as_str().unwrap().to_owned(), bases);
        }
    }
    found
}

/// Whether one object is another, or is made from it. A content of several chunks is no object.
fn needs(bases: &BTreeMap<String, Vec<String>>, id: &str, damaged: &str) -> bool {
    let mut below = bases.get(id).into_iter().flatten();
    id == damaged || below.any(|base| needs(bases, base, damaged))
}

/// Flips a bit of an object that is stored as it is, in the middle of its bytes.
fn flip_block(world: &World, bytes: &[u8]) {
    for file in oracle::data_files(&world.path(".ghost")) {
        let mut stored = fs::read(&file).unwrap();
        if let Some(at) = stored.windows(bytes.len()).position(|window| window == bytes) {
            stored[at + bytes.len() / 2] ^= 4;
            return fs::write(&file, stored).unwrap();
        }
    }
    panic!("no data file has these bytes");
}

/// Snapshots of files of noise: one is edited again and again, a copy of what it was stays, others are like none of its versions.
/// Gives its first version, and the ids of all files by snapshot and path.
fn chained(world: &World, third_bytes: usize) -> (Vec<u8>, BTreeMap<(String, String), String>) {
    let (mut first, mut ids) = (Vec::new(), BTreeMap::new());
    for (name, seed, bytes) in [
        ("edited", 1, 30_000),
        ("other", 2, 30_000),
        ("folder/third", 3, third_bytes),
    ] {
        world.write(format!("tree/{name}"), noise(seed, bytes));
    }
    let versions = 5;
    for version in 0..versions {
        let mut bytes = world.read("tree/edited");
        if version == 0 {
            first.clone_from(&bytes);
        } else {
            world.write(format!("tree/folder/copy-{version}"), &bytes);
            bytes[version * 1000] ^= 1;
            world.write("tree/edited", &bytes);
            let mut other = world.read("tree/other");
            other[version * 1000] ^= 1;
            world.write("tree/other", other);
        }
        world.ghost(["snapshot", "tree"]).ok();
        for path in oracle::files_below(&world.path("tree")) {
            let name = path
                .strip_prefix(world.path("tree"))
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let revision = match versions - 1 - version {
                0 => "main".to_owned(),
                back => format!("main~{back}"),
            };
            ids.insert(
                (revision, name),
                format!("sha256:{}", oracle::digest(&["sha256sum"], &path)),
            );
        }
    }
    (first, ids)
}

/// Whatever needs an object through however many others is named, and nothing else; each read of such a file fails, each of
/// another works.
#[test]
fn damage_in_a_base_is_told_of_exactly_what_needs_it() {
    let world = World::with_repository();
    let (first, ids) = chained(&world, 30_000);
    let (bases, hurt) = (bases(&world), ids[&("main~4".to_owned(), "edited".to_owned())].clone());
    let is_hurt = |id: &String| needs(&bases, id, &hurt);
    let expected: BTreeSet<(String, String)> = ids
        .iter()
        .filter(|(_, id)| is_hurt(id))
        .map(|(place, _)| place.clone())
        .collect();
    assert!(
        expected.len() > 10,
        "each version is made from the one before: {expected:?}"
    );
    flip_block(&world, &first);
    let told = world.ghost(["--json", "verify", "--data"]).code(4).json_lines();
    let word = |record: &serde_json::Value, field: &str| record[field].as_str().unwrap().to_owned();
    let paths = told.iter().filter(|record| record["type"] == "damaged_path");
    let found: BTreeSet<_> = paths
        .map(|record| (word(record, "snapshot"), word(record, "path")))
        .collect();
    assert_eq!(found, expected);
    // However long the chain is: the object, what it is made from, and where the damage is.
    let messages = told.iter().filter(|record| record["type"] == "damaged_file");
    for message in messages.map(|record| word(record, "message")) {
        assert!(message.len() < 1500, "{} bytes: {message}", message.len());
    }
    for ((revision, path), id) in &ids {
        let cat = world.ghost(["cat", &format!("{revision}:{path}")]);
        match is_hurt(id) {
            true => cat.code(4).says(&[&hurt]),
            false => cat.ok().says(&[]),
        };
    }
}

/// Parity mends what others are made from; without it what they need is recorded as lost, and all else is kept.
#[test]
fn repair_mends_or_records_what_is_made_from_damage() {
    for parity in ["20", "0"] {
        let world = World::with_repository();
        for (key, value) in [("data.parity", parity), ("data.file-max", "1MiB")] {
            world.ghost(["config", "set", key, value]).ok();
        }
        // So long that the first data file is full.
        let (first, ids) = chained(&world, 1_200_000);
        let (bases, hurt) = (bases(&world), ids[&("main~4".to_owned(), "edited".to_owned())].clone());
        flip_block(&world, &first);
        world.ghost(["verify", "--data"]).code(4);
        if parity == "20" {
            world.ghost(["repair"]).ok().says(&["parity"]).hides(&["lost:"]);
            world.ghost(["verify", "--data"]).ok();
            world.ghost(["reconstruct", "@", "out"]).ok();
            oracle::assert_same_for_rsync(&world.path("tree"), &world.path("out"));
            continue;
        }
        let lost: BTreeSet<String> = ids
            .iter()
            .filter(|(_, id)| needs(&bases, id, &hurt))
            .map(|((revision, path), _)| format!("lost: {revision}:{path}"))
            .collect();
        let told = world.ghost(["repair"]).code(3).seen();
        let found = told.lines().filter(|line| line.starts_with("lost: "));
        assert_eq!(found.map(str::to_owned).collect::<BTreeSet<_>>(), lost);
        for ((revision, path), _) in ids.iter().filter(|(_, id)| !needs(&bases, id, &hurt)) {
            world.ghost(["cat", &format!("{revision}:{path}")]).ok();
        }
    }
}

/// What gc does with differences whose bases nothing needs any more, as a user sees it.
#[test]
fn gc_tells_what_stays_for_differences_and_lets_go_of_it() {
    let world = World::with_repository();
    world.write("tree/stays", noise(9, 1000));
    for version in 0..6 {
        // One block: shorter than the shortest chunk.
        let mut bytes = noise(1, 12_000);
        for edit in 0..version {
            bytes.splice(edit * 500..edit * 500, noise(edit as u64 + 50, 300));
        }
        world.write("tree/file", bytes);
        world.ghost(["snapshot", "tree"]).ok();
    }
    let before = oracle::data_bytes(&world.path(".ghost"));
    world.ghost(["stats"]).ok().says(&["Deltas", "saved", "at most 5 deep"]);
    world.ghost(["forget", "--keep-last", "1"]).ok();
    let dry = world.ghost(["gc", "--dry-run", "--max-unused", "0%"]).ok();
    dry.says(&[
        "held",
        "are there only because others are stored as differences from what nothing else needs",
    ]);
    assert_eq!(oracle::data_bytes(&world.path(".ghost")), before);
    let stats = kept_for_differences(&world);
    world.ghost(["stats"]).ok().says(&["Bases", "nothing else needs"]);
    let summary = world.ghost(["--json", "gc", "--max-unused", "0%"]).ok().json_lines();
    let summary = summary.last().unwrap();
    assert!(summary["rewritten_objects"].as_u64().unwrap() >= 1, "{summary}");
    assert!(summary["base_objects"].as_u64().unwrap() >= 5, "{summary}");
    let told = ["base_objects", "base_bytes"].map(|field| summary[field].as_u64());
    assert_eq!(told, stats, "stats and gc count the same");
    let left = oracle::data_bytes(&world.path(".ghost"));
    assert!(left < before, "{before} bytes before, {left} after");
    world.ghost(["verify", "--data"]).ok();
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_for_rsync(&world.path("tree"), &world.path("out"));
    let summary = world.ghost(["--json", "gc", "--dry-run"]).ok().json_lines();
    assert_eq!(summary.last().unwrap()["base_objects"], 0, "{summary:?}");
    assert_eq!(kept_for_differences(&world), [Some(0); 2]);
}

/// What `stats` says is there only for differences: objects, and their bytes.
fn kept_for_differences(world: &World) -> [Option<u64>; 2] {
    let stats = world.ghost(["--json", "stats"]).ok().json_lines();
    let stats = stats.last().unwrap();
    ["base_objects", "base_bytes"].map(|field| stats[field].as_u64())
}

/// A bundle has all that it needs in itself.
#[test]
fn a_bundle_of_what_leans_on_others_explains_itself() {
    let world = World::with_repository();
    world.write("tree/file", text(0..3000));
    world.ghost(["snapshot", "tree"]).ok();
    world.write("tree/file", text(1..3000));
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["gfs", "create", "@", "gfs:all.gfs"]).ok();
    world.ghost(["gfs", "push", "@", "gfs:all.gfs"]).ok();
    fs::rename(world.path(".ghost"), world.path("away")).unwrap();
    world.ghost(["reconstruct", "gfs:all.gfs", "out"]).ok();
    oracle::assert_same_for_rsync(&world.path("tree"), &world.path("out"));
}
