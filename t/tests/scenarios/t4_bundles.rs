//! t4: bundles, snapshots of ghosts, condensing: a whole store in one file, judged by `rsync`, `cmp` and `sha256sum`.

use std::fs;
use std::path::Path;

use crate::harness::{World, noise, oracle, trees};

/// A folder outside of any repository with a tree in it.
fn world() -> World {
    let world = World::new();
    trees::small(&world.path("tree"));
    world.write("tree/large", noise(7, 700_000));
    world.write("tree/empty", b"");
    world
}

#[test]
fn a_bundle_is_a_whole_store_without_a_repository() {
    need!("rsync");
    let world = world();
    world.ghost(["gfs", "create", "tree", "gfs:f.gfs"]).ok();
    fs::rename(world.path("tree"), world.path("away")).unwrap();
    world.ghost(["reconstruct", "gfs:f.gfs", "out"]).ok();
    oracle::assert_same_for_rsync(&world.path("away"), &world.path("out"));
    let listed = world.ghost(["ls", "gfs:f.gfs"]).ok().out();
    assert_eq!(listed, world.ghost(["gfs", "ls", "f.gfs"]).ok().out());
    assert!(listed.contains("large\n"), "{listed}");
    let bytes = world.ghost(["cat", "gfs:f.gfs:large"]).ok().stdout;
    assert_eq!(bytes, noise(7, 700_000));
    world.ghost(["diff", "gfs:f.gfs", "away"]).ok().hides(&["large"]);
    // With an absolute path it looks as a host and a path do.
    let absolute = format!("gfs:{}", world.path("f.gfs").display());
    world.ghost(["diff", &absolute, "away"]).ok().hides(&["large"]);
    world.ghost(["ls", &absolute]).ok().says(&["large\n"]);
    world.ghost(["overlap", &absolute, "away"]).ok();
    let bytes = world.ghost(["cat", &format!("{absolute}:large")]).ok().stdout;
    assert_eq!(bytes, noise(7, 700_000));
    world.ghost(["reconstruct", &absolute, "again"]).ok();
    oracle::assert_same_for_rsync(&world.path("away"), &world.path("again"));
    fs::remove_dir_all(world.path("again")).unwrap();
    world.ghost(["verify", "gfs:f.gfs", "--data"]).ok().says(&["No damage"]);
    world.ghost(["log", "gfs:f.gfs"]).ok().says(&["$W/work/tree"]);
    world.ghost(["show", "gfs:f.gfs"]).ok().says(&["Holds:"]);
    assert!(!world.path(".ghost").exists());
    let left: Vec<_> = fs::read_dir(world.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 3, "nothing else is left behind: {left:?}");
}

#[test]
fn push_adds_what_is_missing_and_checks_that_the_tree_can_be_made() {
    let world = world();
    world
        .ghost(["gfs", "push", "tree", "gfs:f.gfs"])
        .ok()
        .says(&["can be made from this file alone"]);
    let before = fs::metadata(world.path("f.gfs")).unwrap().len();
    world
        .ghost(["gfs", "push", "tree", "gfs:f.gfs"])
        .ok()
        .says(&["nothing was added"]);
    assert_eq!(fs::metadata(world.path("f.gfs")).unwrap().len(), before);
    world.write("tree/new", "only this is new\n");
    let pushed = world
        .ghost(["--json", "gfs", "push", "tree", "gfs:f.gfs"])
        .ok()
        .json_lines();
    let summary = pushed.last().unwrap();
    assert_eq!(summary["complete"], true);
    // The file, the top of the tree, the snapshot.
    assert_eq!(summary["added_objects"], 3, "{summary}");
    assert!(fs::metadata(world.path("f.gfs")).unwrap().len() < before + 4096);
    world
        .ghost(["diff", "gfs:f.gfs@{1}", "gfs:f.gfs"])
        .ok()
        .says(&["A new"]);
    let roots = world.ghost(["gfs", "ls", "gfs:f.gfs", "--roots"]).ok().out();
    assert_eq!(roots.matches("tree").count(), 2, "{roots}");
}

#[test]
fn what_a_repository_holds_goes_into_a_bundle_and_back() {
    need!("rsync");
    let world = world();
    world.ghost(["init"]).ok();
    world.ghost(["snapshot", "tree", "-m", "first"]).ok();
    world.write("tree/README", "second\n");
    world.ghost(["snapshot", "tree", "-m", "second"]).ok();
    world.ghost(["gfs", "create", "main~1", "gfs:f.gfs"]).ok();
    world.ghost(["gfs", "add", "gfs:f.gfs", "main", "@:src"]).ok();
    let roots = world.ghost(["gfs", "ls", "gfs:f.gfs", "--roots"]).ok();
    roots.says(&["@{0}", "tree @:src", "snapshot main", "snapshot main~1"]);
    let other = World::new();
    fs::copy(world.path("f.gfs"), other.path("f.gfs")).unwrap();
    other.ghost(["reconstruct", "gfs:f.gfs@{main}", "out"]).ok();
    oracle::assert_same_for_rsync(&world.path("tree"), &other.path("out"));
    other.ghost(["log", "gfs:f.gfs@{main}"]).ok().says(&["second", "first"]);
    // One hash a bundle.
    other.ghost(["init", "--hash", "blake3"]).ok();
    other.write("x/y", "z");
    other.ghost(["snapshot", "x"]).ok();
    other
        .ghost(["gfs", "add", "gfs:f.gfs", "main"])
        .code(2)
        .says(&["sha256", "blake3"]);
}

#[test]
fn a_snapshot_of_ghosts_has_the_tree_of_a_full_one_and_never_stands_for_it() {
    need!("rsync");
    let world = world();
    world.ghost(["init"]).ok();
    let tree = |revision: &str| world.ghost(["rev-parse", &format!("{revision}^{{tree}}")]).ok().word();
    world
        .ghost(["snapshot", "--ghosts-only", "tree"])
        .ok()
        .says(&["described, not stored"]);
    let described = tree("@");
    assert!(oracle::data_bytes(&world.path(".ghost")) < 100_000);
    world
        .ghost(["verify", "--data"])
        .ok()
        .says(&["No damage", "not stored"]);
    world.ghost(["log"]).ok().says(&["of ghosts only"]);
    world.ghost(["stats"]).ok().says(&["Of ghosts"]);
    world.ghost(["status"]).ok().says(&["nothing changed"]);
    let sum = world.command("sha256sum", ["tree/large"]).ok().out();
    let cat = world.ghost(["cat", "@:large"]).code(1);
    cat.says(&[
        "described, not stored",
        "seen on",
        "$W/work/tree/large",
        sum.split(' ').next().unwrap(),
    ]);
    world.ghost(["cat", "@:empty"]).ok();
    // Unchanged since then, and yet it is read and stored.
    world.ghost(["snapshot", "tree", "--skip-if-unchanged"]).ok();
    assert_eq!(tree("@"), described);
    world.ghost(["reconstruct", "@", "out"]).ok();
    oracle::assert_same_for_rsync(&world.path("tree"), &world.path("out"));
    // After a full one nothing is missing, and the first is whole, too.
    world.ghost(["snapshot", "--ghosts-only", "tree"]).ok();
    assert_eq!(tree("@"), described);
    let checked = world.ghost(["verify"]).ok();
    checked.hides(&["not stored"]);
    world.ghost(["cat", "@~2:large"]).ok();
}

#[test]
fn a_gs_file_describes_a_tree_and_whoever_has_the_bytes_makes_it() {
    let world = world();
    world.ghost(["snapshot", "-o", "s.gs", "-m", "described", "tree"]).ok();
    assert!(fs::metadata(world.path("s.gs")).unwrap().len() < 50_000);
    world.ghost(["log", "snap:s.gs"]).ok().says(&["described"]);
    world.ghost(["diff", "snap:s.gs", "tree"]).ok().hides(&["README"]);
    world.write("tree/README", "changed\n");
    world.ghost(["diff", "snap:s.gs", "tree"]).ok().says(&["M README"]);
    world.ghost(["cat", "snap:s.gs:large"]).code(1).says(&["seen on"]);
    world
        .ghost(["verify", "snap:s.gs", "--data"])
        .ok()
        .says(&["not stored"]);
    world
        .ghost(["snapshot", "-o", "s.gs", "tree"])
        .code(1)
        .says(&["is a bundle already"]);
    // A repository that has the bytes completes what the file describes.
    let other = World::new();
    trees::small(&other.path("tree"));
    other.write("tree/large", noise(7, 700_000));
    other.ghost(["init"]).ok();
    other.ghost(["snapshot", "tree"]).ok();
    fs::copy(world.path("s.gs"), other.path("s.gs")).unwrap();
    other.ghost(["reconstruct", "snap:s.gs", "out"]).ok();
    assert_eq!(other.read("out/large"), noise(7, 700_000));
    // A bundle with the bytes left out is not one from which the tree can be made.
    world
        .ghost(["gfs", "push", "snap:s.gs", "gfs:p.gfs"])
        .code(3)
        .says(&["cannot be made from this file alone", "large"]);
}

#[test]
fn damage_foreign_files_and_interrupted_additions() {
    let world = world();
    world.ghost(["gfs", "create", "tree", "gfs:f.gfs"]).ok();
    let whole = world.read("f.gfs");
    // An addition that was interrupted is as if it had never been, and the next one is whole.
    world.write("tree/more", noise(8, 300_000));
    world.ghost(["gfs", "push", "tree", "gfs:f.gfs"]).ok();
    let grown = world.read("f.gfs");
    world.write("f.gfs", &grown[..grown.len() - 100_000]);
    world.ghost(["verify", "gfs:f.gfs", "--data"]).ok();
    world
        .ghost(["gfs", "ls", "gfs:f.gfs", "--roots"])
        .ok()
        .says(&["not finished"]);
    world.ghost(["ls", "gfs:f.gfs"]).ok().hides(&["more"]);
    world.ghost(["gfs", "push", "tree", "gfs:f.gfs"]).ok();
    world.ghost(["ls", "gfs:f.gfs"]).ok().says(&["more"]);
    // A byte of a file's content, wherever the threads put it: noise is stored as it is.
    let mut hurt = whole.clone();
    let content = noise(7, 700_000);
    let middle = &content[content.len() / 2..][..32];
    let at = hurt.windows(middle.len()).position(|bytes| bytes == middle).unwrap();
    hurt[at] ^= 1;
    world.write("f.gfs", &hurt);
    world.ghost(["verify", "gfs:f.gfs", "--data"]).code(4).says(&["large"]);
    // Where the file still is, its bytes come from there.
    fs::rename(world.path("tree"), world.path("away")).unwrap();
    world
        .ghost(["reconstruct", "gfs:f.gfs", "out"])
        .code(3)
        .says(&["1 not located"]);
    assert!(!world.path("out/large").exists(), "what is hurt is not there at all");
    fs::rename(world.path("away"), world.path("tree")).unwrap();
    assert!(Path::new(&world.path("out/README")).exists());
    world.write(
        "f.gfs",
        "something else, and of some length, so that it is not only too short to be one",
    );
    world.ghost(["ls", "gfs:f.gfs"]).code(4).says(&["ghostgfs"]);
    world.ghost(["ls", "gfs:no-such.gfs"]).code(1).says(&["no-such.gfs"]);
    world.ghost(["gfs", "create", "no-such-folder", "gfs:n.gfs"]).code(1);
    assert!(!world.path("n.gfs").exists(), "nothing is left where nothing was added");
    world.ghost(["gfs", "create", "tree", "gfs:no/such/n.gfs"]).code(1);
}

#[test]
fn a_gs_file_with_a_damaged_byte_is_refused_and_nothing_of_it_is_taken() {
    let world = world();
    world.ghost(["snapshot", "-o", "sound.gs", "tree"]).ok();
    world.write("other/file", "other");
    let sound = world.read("sound.gs");
    let hurt = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    // The magic, the header's check, the list of roots: its head and its bytes; and a file that is cut off.
    let states = [0, 20, 70, 150].map(hurt).into_iter().chain([sound[..400].to_vec()]);
    for (number, bytes) in states.enumerate() {
        world.write("bad.gs", &bytes);
        for arguments in [
            &["ls", "snap:bad.gs"][..],
            &["reconstruct", "snap:bad.gs", "out"],
            &["condense", "snap:bad.gs", "other", "snap:united.gs"],
            &["gfs", "add", "gfs:united.gfs", "snap:bad.gs"],
            &["overlap", "other", "snap:bad.gs"],
            &["verify", "snap:bad.gs"],
            &["condense", "other", "snap:bad.gs"],
        ] {
            if number == 4 && arguments[1] == "other" && arguments[0] == "condense" {
                // What was cut off may be an addition that was interrupted: it is made anew.
                continue;
            }
            let done = world.ghost(arguments).code(4);
            done.says(&["bad.gs is damaged at offset", "expected"]);
        }
        assert!(world.read("bad.gs") == bytes, "state {number} is as it was");
        for made in ["united.gs", "united.gfs"] {
            assert!(!world.path(made).exists(), "{made}, state {number}");
        }
        assert!(fs::read_dir(world.path("out")).map_or(true, |mut found| found.next().is_none()));
    }
}

/// Two machines' trees: one file is equal, one differs, one is only on the second.
fn machines() -> World {
    let world = World::new();
    for (machine, mtime) in [("loom", 1_700_000_000), ("tern", 1_700_000_100)] {
        world.write(format!("{machine}/etc/hosts"), "127.0.0.1 localhost\n");
        world.write(format!("{machine}/etc/name"), format!("{machine}\n"));
        if machine == "tern" {
            world.write("tern/only", "on tern only\n");
        }
        for name in ["etc/hosts", "etc/name"] {
            trees::set_mtime(&world.path(format!("{machine}/{name}")), mtime, 0);
        }
        let file = format!("{machine}.gs");
        world
            .ghost(["snapshot", "-o", &file, machine])
            .env("GHOST_HOST", machine)
            .ok();
    }
    world
}

#[test]
fn two_machines_become_one_snapshot_and_nothing_is_lost() {
    let world = machines();
    world
        .ghost(["condense", "snap:loom.gs", "snap:tern.gs", "snap:both.gs"])
        .ok()
        .says(&["4 distinct contents"]);
    let sum = world.command("sha256sum", ["loom/etc/name"]).ok().out();
    let beside = format!("etc/name~{}", &sum[..12]);
    let listed = world.ghost(["ls", "-r", "snap:both.gs"]).ok().out();
    let names: Vec<&str> = listed.lines().collect();
    assert_eq!(names, ["etc/", "etc/hosts", "etc/name", &beside, "only"]);
    world
        .ghost(["cat", &format!("snap:both.gs:{beside}")])
        .code(1)
        .says(&[sum.split(' ').next().unwrap()]);
    world
        .ghost(["log", "snap:both.gs"])
        .ok()
        .says(&["loom", "tern", "$W/work/loom", "$W/work/tern"]);
    // The order does not matter, and once more changes nothing.
    world
        .ghost(["condense", "snap:tern.gs", "snap:loom.gs", "snap:other.gs"])
        .ok();
    world
        .ghost(["diff", "snap:both.gs", "snap:other.gs"])
        .ok()
        .hides(&["etc"]);
    let before = world.read("both.gs");
    world.ghost(["condense", "snap:loom.gs", "snap:both.gs"]).ok();
    assert_eq!(world.read("both.gs"), before);
}

#[test]
fn live_folders_are_united_with_their_contents_in_a_bundle_and_in_a_line() {
    let world = machines();
    world.ghost(["condense", "loom", "tern", "gfs:both.gfs"]).ok();
    world.ghost(["init"]).ok();
    world.ghost(["snapshot", "loom"]).ok();
    world.ghost(["condense", "main", "tern", "united"]).ok();
    for (from, to) in [("gfs:both.gfs", "a"), ("united", "b")] {
        world.ghost(["reconstruct", from, to]).ok();
        let found = oracle::files_below(&world.path(to));
        let mut contents: Vec<Vec<u8>> = found.iter().map(|path| fs::read(path).unwrap()).collect();
        contents.sort();
        let expected = ["127.0.0.1 localhost\n", "loom\n", "on tern only\n", "tern\n"];
        assert_eq!(contents, expected.map(|text| text.as_bytes().to_vec()), "{from}");
        assert_eq!(
            world.read(format!("{to}/etc/name")),
            b"tern\n",
            "the newest keeps the name"
        );
    }
    world.ghost(["verify", "--data"]).ok();
    world
        .ghost(["verify", "gfs:both.gfs", "--data"])
        .ok()
        .hides(&["not stored"]);
    // What is only described stays so, and is no damage.
    let other = World::new();
    fs::copy(world.path("tern.gs"), other.path("tern.gs")).unwrap();
    other.ghost(["init"]).ok();
    other.ghost(["condense", "snap:tern.gs", "united"]).ok();
    other.ghost(["verify"]).ok().says(&["not stored"]);
    other
        .ghost(["cat", "united:only"])
        .code(1)
        .says(&["described, not stored"]);
}

#[test]
fn descriptions_alone_and_beside_trees() {
    let world = machines();
    world
        .ghost(["gfs", "create", "--descriptors", "loom", "gfs:d.gfs"])
        .ok();
    world
        .ghost(["gfs", "ls", "gfs:d.gfs"])
        .ok()
        .says(&["0 objects", "1 set of descriptions"]);
    world.ghost(["gfs", "add", "gfs:d.gfs", "snap:tern.gs"]).ok();
    world.ghost(["ls", "gfs:d.gfs"]).ok().says(&["only"]);
    world.write("bad.ghostdesc", "ghostdesc 1\nno such line\n");
    let before = world.read("d.gfs");
    world.ghost(["gfs", "add", "gfs:d.gfs", "bad.ghostdesc"]).run();
    assert_eq!(world.read("d.gfs"), before, "nothing of what does not read is taken");
}
