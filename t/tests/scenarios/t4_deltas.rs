//! t4: what replaces something is stored as the difference from it, and all of it comes back.

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
