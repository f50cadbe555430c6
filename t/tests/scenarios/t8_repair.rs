//! t8: checks that remember, repair, heal and parity, from damage to a clean repository.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::harness::{Done, World, noise, oracle};

/// A repository with one snapshot of files that share frames, and a copy of the whole of it.
fn repository() -> World {
    let world = World::with_repository();
    for (key, value) in [("data.frame-bytes", "32KiB"), ("data.meta-frame-bytes", "4KiB")] {
        world.ghost(["config", "set", key, value]).ok();
    }
    for number in 0..60_u64 {
        // Text that compresses, so that a flipped bit hurts more than one file.
        let text: String = noise(number, 2000).iter().map(|byte| format!("{byte:02x}")).collect();
        world.write(format!("tree/{}/file-{number:02}", number % 3), text);
    }
    world.write("tree/large", noise(500, 700_000));
    world.ghost(["snapshot", "tree", "-m", "first"]).ok();
    world.shell("cp -a .ghost whole").ok();
    world
}

/// Flips a bit in a data file, at so many thousandths of its length.
fn flip(world: &World, thousandths: u64) {
    let path = oracle::data_files(&world.path(".ghost")).remove(0);
    flip_at(&path, fs::metadata(&path).unwrap().len() * thousandths / 1000);
}

fn flip_at(path: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Fields of the last record of `--json`.
fn number(done: &Done, field: &str) -> u64 {
    let out = done.out();
    let last = out.lines().last().unwrap();
    let value: serde_json::Value = serde_json::from_str(last).unwrap();
    value[field].as_u64().unwrap_or_else(|| panic!("no {field} in {last}"))
}

#[test]
fn what_was_read_is_not_read_again_until_it_is_due() {
    let world = repository();
    let verify = |options: &[&str]| world.ghost([&["--json", "verify"], options].concat()).ok();
    let all = number(&verify(&["--max-age", "30d"]), "checked_objects");
    assert!(all > 60);
    let again = verify(&["--max-age", "30d"]);
    assert_eq!((number(&again, "checked_objects"), number(&again, "snapshots")), (0, 1));
    // Another clock: years later everything is due; years earlier nothing that was read later counts.
    for now in ["2040-01-01T00:00:00Z", "2001-01-01T00:00:00Z"] {
        let done = world
            .ghost(["--json", "verify", "--max-age", "30d"])
            .env("GHOST_TIME", now)
            .ok();
        assert_eq!(number(&done, "checked_objects"), all, "{now}");
    }
    // A share at a time, and no time at all: everything is read once.
    fs::remove_file(world.path(".ghost/cache/verified")).unwrap();
    let mut read = 0;
    for run in 0.. {
        let done = verify(&["--max-age", "30d", "--max-time", "0s"]);
        read += number(&done, "checked_objects");
        if number(&done, "left_bytes") == 0 {
            assert!(run > 2);
            break;
        }
    }
    assert_eq!(read, all);
    assert!(number(&verify(&["--sample", "5%"]), "checked_objects") < all);
    world.ghost(["verify", "--max-age", "1d", "--quick"]).code(2);
    world.ghost(["verify", "--sample", "5%", "@"]).code(2);
    // A ledger that is of no use costs time only.
    fs::write(world.path(".ghost/cache/verified"), "nonsense").unwrap();
    assert_eq!(number(&verify(&["--max-age", "30d"]), "checked_objects"), all);
}

#[test]
fn a_damaged_repository_is_repaired_restored_and_healed() {
    let world = repository();
    flip(&world, 300);
    let found = world.ghost(["--json", "verify", "--data"]).code(4);
    let told: Vec<serde_json::Value> = found
        .out()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| told.iter().filter(|record| record["type"] == kind).collect::<Vec<_>>();
    let file = of("damaged_file")[0];
    assert!(file["offset"].as_u64().unwrap() > 0 && file["file"].as_str().unwrap().contains("/data/"));
    let lost: Vec<String> = of("damaged_path")
        .iter()
        .map(|record| record["path"].as_str().unwrap().to_owned())
        .collect();
    assert!(!lost.is_empty() && lost.len() < 30, "{lost:?}");
    let objects: Vec<&serde_json::Value> = of("damaged_file")
        .iter()
        .flat_map(|record| record["objects"].as_array().unwrap())
        .collect();
    assert!(of("damaged_path").iter().all(|record| objects.contains(&&record["id"])));

    // First only told, then done.
    world
        .ghost(["repair", "--dry-run"])
        .code(3)
        .says(&["would be put aside", &lost[0]]);
    world.ghost(["verify", "--data"]).code(4);
    let done = world.ghost(["repair"]).code(3);
    done.says(&["put aside", "index was made anew", &lost[0]]);
    assert_eq!(fs::read_dir(world.path(".ghost/damaged")).unwrap().count(), 1);
    world.ghost(["verify", "--data"]).ok().says(&["No damage", "recorded"]);
    world.ghost(["repair"]).ok().says(&["Nothing is damaged"]);

    // The rest restores; what is lost is listed.
    let marked = world.ghost(["show-ref"]).ok().out();
    let marked = marked.lines().find(|line| line.contains("refs/damaged/")).unwrap();
    let name = marked
        .split_whitespace()
        .find(|word| word.starts_with("refs/damaged/"))
        .unwrap();
    // While the files are where they were, they are found there.
    world
        .ghost(["reconstruct", name, "found"])
        .ok()
        .says(&["0 not located"]);
    fs::rename(world.path("tree"), world.path("put-away")).unwrap();
    let restored = world.ghost(["reconstruct", name, "out"]).code(3);
    fs::rename(world.path("put-away"), world.path("tree")).unwrap();
    restored.says(&[&format!("{} not located", lost.len())]);
    for path in oracle::files_below(&world.path("tree")) {
        let inside = path.strip_prefix(world.path("tree")).unwrap();
        let is_lost = lost.iter().any(|lost| Path::new(lost) == inside);
        let there = fs::read(world.path("out").join(inside)).ok();
        assert_eq!(there.is_some(), !is_lost, "{}", inside.display());
        assert!(
            there.is_none_or(|bytes| bytes == fs::read(&path).unwrap()),
            "{}",
            inside.display()
        );
    }

    // A later snapshot leans on nothing that is lost.
    world.ghost(["snapshot", "tree", "--ref", "later"]).ok();
    world.ghost(["reconstruct", "later", "later"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("later"));
    world.ghost(["heal", "--from", "tree"]).ok();
    world.ghost(["verify", "--data"]).ok();
    assert!(!world.ghost(["show-ref"]).ok().out().contains("refs/damaged"));
    world.ghost(["reconstruct", "@", "healed"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("healed"));
}

#[test]
fn lost_blocks_come_back_from_live_files_another_repository_or_a_bundle() {
    let world = repository();
    world.ghost(["gfs", "push", "@", "gfs:all.gfs"]).ok();
    world.shell("mkdir other; cp -a whole other/.ghost; mkdir moved; find tree -type f | while read f; do cp $f moved/$(echo $f | tr / _); done").ok();
    for from in ["tree", "moved", "other", "gfs:all.gfs"] {
        flip(&world, 250);
        flip(&world, 700);
        let before = world.ghost(["--json", "verify", "--data"]).code(4);
        assert!(number(&before, "damaged_paths") > 0);
        let dry = world.ghost(["--json", "heal", "--from", from, "--dry-run"]).run();
        assert_eq!(
            number(&dry, "found_objects"),
            number(&dry, "wanted_objects"),
            "{from}: {dry}"
        );
        world.ghost(["verify", "--data"]).code(4);
        let done = world.ghost(["heal", "--from", from]).ok();
        done.says(&["put back"]);
        world.ghost(["verify", "--data"]).ok();
        fs::remove_dir_all(world.path(".ghost/index")).unwrap();
        world.ghost(["verify", "--data"]).ok();
        let _ = fs::remove_dir_all(world.path("out"));
        world.ghost(["reconstruct", "@", "out"]).ok();
        oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
        fs::remove_dir_all(world.path(".ghost")).unwrap();
        world.shell("cp -a whole .ghost").ok();
    }
    // What nobody has stays missing, and is named.
    flip(&world, 250);
    world.write("elsewhere/x", "nothing of it");
    world
        .ghost(["heal", "--from", "elsewhere"])
        .code(4)
        .says(&["missing", "not whole still"]);
    world.ghost(["heal", "--from", "no/such/place"]).code(2);
    world.ghost(["heal", "--from", "tree"]).ok();
    world.ghost(["verify", "--data"]).ok();
}

#[test]
fn parity_mends_flips_and_lost_sectors_up_to_its_bound() {
    let world = repository();
    world.ghost(["config", "set", "data.parity", "10%"]).ok();
    world.ghost(["repair", "--add-parity"]).ok().says(&["10%"]);
    let path = oracle::data_files(&world.path(".ghost")).remove(0);
    let whole = fs::read(&path).unwrap();
    let mut hurt = whole.clone();
    for at in (0..5).map(|n| n * whole.len() / 6 + 77) {
        hurt[at] ^= 1;
    }
    let sector = whole.len() / 2 / 512 * 512;
    hurt[sector..sector + 4096].fill(0);
    hurt.truncate(whole.len() - 600);
    fs::write(&path, &hurt).unwrap();
    world.ghost(["verify", "--data"]).code(4);
    world.ghost(["repair", "--dry-run"]).run().says(&["parity can mend"]);
    assert!(fs::read(&path).unwrap() == hurt);
    world.ghost(["repair"]).ok().says(&["mended by parity"]);
    assert!(fs::read(&path).unwrap() == whole);
    world.ghost(["verify", "--data"]).ok();
    // Too much: refused with the reason, and the rest is saved.
    let length = whole.len();
    hurt[length / 4..length / 2].fill(0);
    fs::write(&path, &hurt).unwrap();
    world
        .ghost(["repair"])
        .code(3)
        .says(&["more than parity can mend", "put aside"]);
    world.ghost(["verify", "--data"]).ok();
}

#[test]
fn a_data_file_that_is_full_gets_parity_by_itself() {
    let world = World::with_repository();
    for (key, value) in [
        ("data.parity", "5%"),
        ("data.file-max", "1MiB"),
        ("data.frame-bytes", "64KiB"),
    ] {
        world.ghost(["config", "set", key, value]).ok();
    }
    world.write("tree/noise", noise(1, 3_000_000));
    world.ghost(["snapshot", "tree"]).ok();
    let made = fs::read_dir(world.path(".ghost/parity")).unwrap().count();
    assert!(made >= 1, "{made}");
    let path = oracle::data_files(&world.path(".ghost"))
        .into_iter()
        .find(|path| {
            world
                .path(".ghost/parity")
                .join(format!("data-{}.par", path.file_name().unwrap().to_str().unwrap()))
                .exists()
        })
        .unwrap();
    flip_at(&path, 100_000);
    world.ghost(["verify", "--data"]).code(4);
    world.ghost(["repair"]).ok();
    world.ghost(["verify", "--data"]).ok();
}

#[test]
fn a_damaged_ref_log_and_index_are_repaired() {
    let world = repository();
    world.ghost(["snapshot", "tree", "-m", "second"]).ok();
    flip_at(&world.path(".ghost/refs/log"), 120);
    for file in oracle::files_below(&world.path(".ghost/index")) {
        flip_at(&file, 90);
    }
    world.ghost(["verify"]).code(4);
    world
        .ghost(["repair"])
        .ok()
        .says(&["ref log was damaged", "index was made anew"]);
    world.ghost(["verify", "--data"]).ok();
    world.ghost(["log"]).ok().says(&["second"]);
}
