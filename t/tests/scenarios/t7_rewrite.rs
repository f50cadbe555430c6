//! t7: changing what was: tags, amending, rewriting, and taking it all back.

use std::fs;

use super::t7_retention::{days, listed, short, snapshot_at};
use crate::harness::{World, noise};

#[test]
fn tags_are_made_moved_listed_and_taken_away() {
    let (world, ids) = days(2);
    world.ghost(["tag"]).ok();
    world
        .ghost(["tag", "v1", "@~1"])
        .ok()
        .says(&["Tag v1 names", short(&ids[0])]);
    world.ghost(["tag", "tree", "@:"]).ok();
    world
        .ghost(["tag", "v1"])
        .code(1)
        .says(&["there is a tag v1", "--force"]);
    world.ghost(["tag", "v1", "@~1"]).ok();
    world
        .ghost(["tag", "--force", "v1"])
        .ok()
        .says(&["not", short(&ids[0])]);
    world
        .ghost(["tag", "main"])
        .ok()
        .says(&["the line main goes before the tag"]);
    assert_eq!(world.ghost(["rev-parse", "v1"]).ok().word(), ids[1]);
    world
        .ghost(["tag", "-l", "v*"])
        .ok()
        .says(&["v1 ", short(&ids[1])])
        .hides(&["tree"]);
    assert_eq!(world.ghost(["tag", "--json"]).ok().json_lines().len(), 4);
    world.ghost(["tag", "-d", "v1", "main"]).ok().says(&["Tag v1 is gone"]);
    world.ghost(["tag", "-d", "v1"]).code(1).says(&["there is no tag v1"]);
    for wrong in ["a b", "a..b", "-x", "a~1"] {
        world.ghost(["tag", "--", wrong]).code(2);
    }
    world.ghost(["tag", "v2", "nothing"]).code(1);
    world.ghost(["tag", "v2", "@", "@~1"]).code(2);
}

#[test]
fn an_amended_snapshot_keeps_its_tree_and_its_children_follow() {
    let (world, ids) = days(3);
    world.ghost(["tag", "v1", "@~1"]).ok();
    world.ghost(["update-ref", "refs/snapshots/side", "@~1"]).ok();
    let tree = world.ghost(["rev-parse", "@~1^{tree}"]).ok().word();
    let done = world
        .ghost([
            "amend",
            "@~1",
            "-m",
            "second day",
            "--tag",
            "+good",
            "--host",
            "elsewhere",
        ])
        .ok();
    done.says(&["1 snapshot after it made anew", "line main, line side, tag v1"]);
    let [tip, second, first] = &listed(&world, &["main"])[..] else {
        panic!()
    };
    assert_eq!(first, &ids[0]);
    assert!(tip != &ids[2] && second != &ids[1]);
    assert_eq!(&world.ghost(["rev-parse", "v1"]).ok().word(), second);
    assert_eq!(&world.ghost(["rev-parse", "side"]).ok().word(), second);
    assert_eq!(world.ghost(["rev-parse", "@~1^{tree}"]).ok().word(), tree);
    world
        .ghost(["show", "@~1"])
        .ok()
        .says(&["second day", "elsewhere", "Tags:    good"]);
    world.ghost(["verify", "--data"]).ok();
    world
        .ghost(["amend", "@~1", "-m", "second day"])
        .ok()
        .says(&["says that already"]);
    world
        .ghost(["amend", "--tag", "-none"])
        .code(1)
        .says(&["no label of this snapshot"]);
    world.ghost(["amend"]).code(2).says(&["nothing is to be changed"]);
    world
        .ghost(["amend", &ids[1], "-m", "x"])
        .code(1)
        .says(&["no line or tag leads to"]);
    world
        .ghost(["amend", "@", "--time", "2025-12-24T18:00", "--tag", "-good"])
        .code(1);
    world.ghost(["amend", "@", "--time", "2025-12-24T18:00"]).ok();
    world.ghost(["log", "-n", "1"]).ok().says(&["2025-12-24 18:00:00"]);
    // Two records back is where it was.
    world.ghost(["undo", "-n", "2"]).ok();
    assert_eq!(world.ghost(["rev-parse", "@"]).ok().word(), ids[2]);
    // What was forgotten stays so under its new id.
    world.ghost(["forget", "@~1"]).code(1);
    world.ghost(["tag", "-d", "v1"]).ok();
    world.ghost(["forget", "@~1"]).ok();
    world
        .ghost(["amend", "@~1", "-m", "first day"])
        .ok()
        .says(&["2 snapshots after it made anew"]);
    assert_eq!(listed(&world, &["main"]).len(), 2);
    assert_eq!(listed(&world, &["--all"]).len(), 3);
}

#[test]
fn a_rewritten_history_never_had_the_files() {
    let world = World::with_repository();
    world.write("tree/keep/a", "a");
    world.write("tree/secret/key", noise(1, 100_000));
    world.write("tree/b.tmp", "tmp");
    fs::hard_link(world.path("tree/b.tmp"), world.path("tree/keep/b")).unwrap();
    fs::hard_link(world.path("tree/b.tmp"), world.path("tree/keep/c")).unwrap();
    let secret = world.ghost(["hash-object", "tree/secret/key"]).ok().word();
    for day in 1..=3 {
        snapshot_at(&world, &format!("2025-11-{day:02}T12:00:00Z"), &[]);
    }
    let old = listed(&world, &["main"]);
    world.ghost(["tag", "v1", "@~1"]).ok();
    world.ghost(["update-ref", "refs/remotes/away/main", "@~1"]).ok();
    let arguments = ["rewrite", "--exclude", "/secret", "--exclude", "*.tmp"];
    let dry = world.ghost([&arguments[..], &["--dry-run"]].concat()).ok();
    dry.says(&["3 snapshots would change", "without 2 files, 1 folder, 97.7 KiB"]);
    assert_eq!(listed(&world, &["main"]), old);
    let done = world.ghost(arguments).ok();
    done.says(&[
        "3 snapshots changed",
        "line main, tag v1",
        "`ghost gc` frees",
        "holds it again unless",
    ]);
    done.says(&["warning: remote line away/main still leads to old snapshots"]);
    let new = listed(&world, &["main"]);
    assert!(new.iter().all(|id| !old.contains(id)) && new.len() == 3);
    // Nothing behind the line leads to it; judged by the list of all objects.
    let objects = world.ghost(["rev-list", "--objects", "main"]).ok();
    assert!(!objects.out().contains(&secret));
    world.ghost(["find", "key"]).ok().hides(&["key"]);
    // What is restored is the tree without the files, and names of one inode are still that.
    fs::remove_dir_all(world.path("tree/secret")).unwrap();
    fs::remove_file(world.path("tree/b.tmp")).unwrap();
    world.ghost(["reconstruct", "@", "out"]).ok();
    world.command("diff", ["-r", "tree", "out"]).ok();
    let inode = |name: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(world.path(name)).unwrap());
    assert_eq!(inode("out/keep/b"), inode("out/keep/c"));
    let show = world.ghost(["show", "@"]).ok();
    show.says(&["Rule:    exclude /secret", "Rule:    exclude *.tmp", "Holds:   4 files"]);
    world.ghost(["status"]).at("tree").ok().says(&["0 "]);
    world.ghost(["verify", "--data"]).ok();
    world.ghost(arguments).ok().says(&["No snapshot holds any of that"]);
    world.ghost(["rewrite"]).code(2);
    world.ghost(["rewrite", "--exclude", "x", "nothing"]).code(1);
    // One record takes all of it back.
    world.ghost(["undo"]).ok();
    assert_eq!(listed(&world, &["main"]), old);
    assert_eq!(world.ghost(["cat", "v1:secret/key"]).ok().stdout, noise(1, 100_000));
}

#[test]
fn undo_refuses_what_moved_since() {
    let (world, ids) = days(3);
    world.ghost(["tag", "a", &ids[0]]).ok();
    world.ghost(["tag", "b", &ids[0]]).ok();
    world.ghost(["tag", "-f", "a", &ids[1]]).ok();
    let reflog = world.ghost(["reflog", "a"]).ok();
    reflog.says(&[
        "6 ",
        "user@host  tag",
        &format!("tag a {} -> {}", short(&ids[0]), short(&ids[1])),
        "tag a new at",
    ]);
    assert_eq!(world.ghost(["reflog", "--json"]).ok().json_lines().len(), 7);
    world.ghost(["reflog", "nothing"]).code(1).says(&["no ref in the log"]);
    let refused = world.ghost(["undo", "4"]).code(5);
    refused.says(&["record 4 cannot be taken back: tag a moved since", "ghost reflog a"]);
    world.ghost(["undo", "--dry-run", "4"]).code(5);
    world
        .ghost(["undo", "--dry-run", "5"])
        .ok()
        .says(&["Would take back record 5", "tag b gone, was"]);
    world.ghost(["undo", "5"]).ok().says(&["Took back record 5"]);
    assert_eq!(world.ghost(["tag"]).ok().out().lines().count(), 1);
    for wrong in [&["undo", "99"][..], &["undo", "0"], &["undo", "-n", "99"]] {
        world
            .ghost(wrong)
            .code(1)
            .says(&["no record of the ref log", "ghost reflog"]);
    }
    world.ghost(["undo", "-n", "0"]).code(2);
    world.ghost(["undo", "-n", "1", "3"]).code(2);
    // All of it: as it was before the first snapshot, and there again.
    world.ghost(["undo", "-n", "7"]).ok();
    world.ghost(["log"]).ok().says(&["There is no snapshot yet"]);
    world.ghost(["undo"]).ok();
    assert_eq!(world.ghost(["rev-parse", "main"]).ok().word(), ids[2]);
}

#[test]
fn lines_that_move_meanwhile_lose_nothing() {
    let world = World::with_repository();
    world.write("tree/a", "a");
    world.write("tree/secret", "s");
    snapshot_at(&world, "2025-11-01T12:00:00Z", &[]);
    world.ghost(["tag", "first"]).ok();
    fs::remove_file(world.path("tree/secret")).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| (0..6).for_each(|_| drop(world.ghost(["snapshot", "-q", "tree"]).ok())));
        }
        threads.spawn(|| {
            for number in 0..4 {
                world
                    .ghost(["-q", "amend", "first", "-m", &format!("number {number}")])
                    .ok();
            }
        });
        threads.spawn(|| {
            world.ghost(["-q", "rewrite", "--exclude", "secret"]).ok();
            world.ghost(["-q", "forget", "--keep-last", "100"]).ok();
        });
    });
    assert_eq!(listed(&world, &["main"]).len(), 13);
    let first = world.ghost(["rev-parse", "first"]).ok().word();
    assert_eq!(listed(&world, &["main"]).last(), Some(&first));
    world
        .ghost(["show", "first"])
        .ok()
        .says(&["number 3", "Rule:    exclude secret"]);
    world.ghost(["cat", "first:secret"]).code(1);
    world
        .ghost(["verify", "--data"])
        .ok()
        .says(&["No damage in 13 snapshots"]);
}
