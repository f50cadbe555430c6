//! t7: ghosts: what a scan finds, what is remembered of what is gone, descriptions that travel, rot.

use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::harness::{World, noise, trees};

/// A world in which the clock of the scans is far from the times of the files, so that their stat values are trusted.
fn world() -> World {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    for entry in fs::read_dir(world.path("tree")).unwrap() {
        set_old(&entry.unwrap().path());
    }
    world
}

fn set_old(path: &Path) {
    if path.is_file() {
        let time = FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000));
        File::options().write(true).open(path).unwrap().set_times(time).unwrap();
    }
}

/// Changes bytes of a file so that its size and mtime do not tell.
fn rot(path: &Path) {
    let mtime = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 0x20;
    fs::write(path, bytes).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(mtime)).unwrap();
}

fn sha256(world: &World, name: &str) -> String {
    let said = world.command("sha256sum", [world.path(name)]).ok();
    said.out().split(' ').next().unwrap().to_owned()
}

#[test]
fn what_is_found_is_what_sha256sum_says_and_nothing_is_stored() {
    let world = world();
    let before = crate::harness::oracle::data_bytes(&world.path(".ghost"));
    world.ghost(["scan", "tree"]).ok().says(&["Looked at", "0 gone"]);
    assert_eq!(crate::harness::oracle::data_bytes(&world.path(".ghost")), before);
    let sums = world
        .shell("find tree -type f -print0 | sort -z | xargs -0 sha256sum -z | cut -z -c1-64 | tr '\\0' '\\n' | sort -u")
        .ok();
    let told = world.ghost(["describe", "tree", "--json"]).ok();
    let mut found: Vec<String> = told
        .json_lines()
        .iter()
        .map(|record| {
            record["fullhash"]
                .as_str()
                .unwrap()
                .trim_start_matches("sha256:")
                .to_owned()
        })
        .collect();
    found.sort();
    assert_eq!(found.join("\n"), sums.word());
}

#[test]
fn a_ghost_outlives_its_file() {
    let world = world();
    world.write("tree/lost", "a content that is lost\n");
    world.ghost(["scan", "tree"]).ok();
    let id = sha256(&world, "tree/lost");
    fs::remove_file(world.path("tree/lost")).unwrap();
    // By its path, and by the beginning of its hash.
    for name in ["tree/lost", &id[..9]] {
        world
            .ghost(["where", name])
            .ok()
            .says(&[&id, "was at     tree/lost", "nowhere in this repository"]);
    }
    world.write("tree/again", "a content that is lost\n");
    world.ghost(["snapshot", "tree", "-m", "kept"]).ok();
    let told = world.ghost(["where", &id]).ok();
    told.says(&[
        "was at     tree/lost",
        "at         tree/again",
        "main:again",
        "stored     in this repository",
    ]);
    let summary = world.ghost(["where", &id, "--json"]).ok().json_lines().pop().unwrap();
    assert_eq!(
        (&summary["present"], &summary["gone"], &summary["snapshots"]),
        (&1.into(), &1.into(), &1.into())
    );
    world
        .ghost(["where", "no-such-thing"])
        .code(1)
        .says(&["nothing is known of"]);
}

#[test]
fn the_catalogue_can_be_deleted_and_comes_back() {
    let world = world();
    world.ghost(["snapshot", "tree"]).ok();
    let id = sha256(&world, "tree/README");
    world.ghost(["describe", &id]).ok().says(&["at         tree/README"]);
    for damage in [None, Some(&b"SQLite format 3\0 or not"[..])] {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(world.path(format!(".ghost/catalogue.db{suffix}")));
        }
        match damage {
            None => fs::remove_file(world.path(".ghost/catalogue.db")).unwrap(),
            Some(bytes) => fs::write(world.path(".ghost/catalogue.db"), bytes).unwrap(),
        }
        let told = world.ghost(["describe", &id]).ok();
        told.says(&["at         tree/README"]);
        assert_eq!(
            told.stderr().contains("catalogue.db.damaged-"),
            damage.is_some(),
            "{told}"
        );
    }
    // A page in the middle is found out only when it is read.
    let path = world.path(".ghost/catalogue.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    world
        .ghost(["describe", &id])
        .ok()
        .says(&["damaged", "at         tree/README"]);
}

#[test]
fn descriptions_travel_between_repositories_whole_or_not_at_all() {
    let world = world();
    let odd = std::ffi::OsStr::from_bytes(b"tree/odd\n\xff\tname");
    world.write(odd, "odd");
    world.ghost(["scan", "tree"]).ok();
    world.ghost(["export-desc", "--all", "-o", "all.ghostdesc"]).ok();
    let piped = world.ghost(["export-desc", "tree"]).ok();
    let sorted = |text: &[u8]| {
        let mut lines: Vec<String> = String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("check"));
        lines.sort();
        lines
    };
    assert_eq!(
        sorted(&piped.stdout),
        sorted(&world.read("all.ghostdesc")),
        "both name what is in the tree"
    );
    fs::create_dir(world.path("other")).unwrap();
    world.ghost(["init", "other"]).ok();
    let there = |arguments: &[&str]| {
        let mut all = vec!["-C", "other"];
        all.extend(arguments);
        world.ghost(all)
    };
    let text = String::from_utf8(world.read("all.ghostdesc")).unwrap();
    // Right in all but one digit, or cut off: nothing is taken.
    let at = text.rfind("\tsha256:").unwrap() + 12;
    let mut other = text.clone().into_bytes();
    other[at] = if other[at] == b'0' { b'1' } else { b'0' };
    world.write("bad", &other);
    there(&["import-desc", "../bad"])
        .code(1)
        .says(&["in line", "check blake3:"]);
    let cut = &text[..text.rfind("check").unwrap()];
    world.write("bad", cut);
    there(&["import-desc", "../bad"])
        .code(1)
        .says(&["in line", "the end of the file"]);
    there(&["export-desc", "--all", "-o", "nothing"])
        .ok()
        .says(&["0 contents"]);
    there(&["import-desc", "../all.ghostdesc"]).ok();
    there(&["export-desc", "--all", "-o", "back"]).ok();
    assert_eq!(String::from_utf8(world.read("other/back")).unwrap(), text);
    // Read twice, it says nothing new.
    there(&["import-desc", "../all.ghostdesc"])
        .ok()
        .says(&["0 not known before"]);
}

#[test]
fn rot_is_told_and_what_was_written_is_not_rot() {
    let world = world();
    world.write("tree/large", noise(3, 400_000));
    world.ghost(["scan", "tree"]).ok();
    world.ghost(["verify", "./tree"]).ok().says(&["sound"]);
    rot(&world.path("tree/large"));
    world.write("tree/README", "written since\n");
    fs::remove_file(world.path("tree/src/main.c")).unwrap();
    let told = world.ghost(["verify", "tree"]).code(4);
    told.says(&[
        "rotten: tree/large",
        "changed: tree/README",
        "vanished: tree/src/main.c",
    ]);
    // It stays so until the bytes are right again.
    let record = world
        .ghost(["verify", "--path", "tree/large", "--fast", "--json"])
        .code(4);
    assert_eq!(record.json_lines()[0]["state"], "rotten");
    rot(&world.path("tree/large"));
    world.ghost(["verify", "tree"]).ok().hides(&["rotten"]);
    // What is fresh is passed over; what is stored is checked as ever.
    world
        .ghost(["verify", "tree", "--max-age", "30d"])
        .ok()
        .says(&["Checked 0 files"]);
    world
        .ghost(["verify", "tree", "--max-time", "0s"])
        .ok()
        .says(&["left for want of time"]);
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["verify", "--data"]).ok().says(&["No damage"]);
    world.ghost(["verify", "main"]).ok().says(&["No damage"]);
    for wrong in [
        &["verify", "tree", "main"][..],
        &["verify", "--fast"],
        &["verify", "--data", "tree"],
    ] {
        world.ghost(wrong).code(2);
    }
    world.ghost(["verify", "/proc/self"]).code(1).says(&["known file"]);
}

#[test]
fn a_scan_keeps_the_trust_it_was_given() {
    let world = world();
    world.ghost(["scan", "tree", "--trust", "hash"]).ok();
    rot(&world.path("tree/README"));
    // Its ctime moved, so it is read and has another content.
    world.ghost(["scan", "tree"]).ok().says(&["1 changed"]);
    let summary = world.ghost(["scan", "tree", "--json"]).ok().json_lines().pop().unwrap();
    assert_eq!(
        summary["read"], summary["files"],
        "every file is read, as was asked for once"
    );
    let summary = world
        .ghost(["scan", "tree", "--trust", "stat", "--json"])
        .ok()
        .json_lines()
        .pop()
        .unwrap();
    assert_eq!(summary["unchanged"], summary["files"]);
    world.ghost(["scan", "no-such-folder"]).code(1);
}
