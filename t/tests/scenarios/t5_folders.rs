//! t5: plain folders as remotes, with nothing running there, judged by `rsync` and `find`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{World, noise, oracle, set_mode, trees};

/// A folder `a` with a snapshot, and a plain folder `stick` that is its remote.
fn world() -> World {
    let world = World::new();
    trees::small(&world.path("a"));
    world.write("a/large", noise(7, 300_000));
    world.ghost(["snapshot", "--init", "-q", "."]).at("a").ok();
    world
        .ghost(["init", "--plain", "stick"])
        .ok()
        .says(&["Made a remote of stick", "dir:stick"]);
    world.ghost(["remote", "add", "origin", "dir:../stick"]).at("a").ok();
    world
}

fn id(world: &World, folder: &str, revision: &str) -> String {
    world.ghost(["rev-parse", revision]).at(folder).ok().word()
}

#[test]
fn snapshots_travel_on_a_stick() {
    need!("rsync");
    let world = world();
    world
        .ghost(["init", "--plain", "stick"])
        .ok()
        .says(&["is a remote already"]);
    world.ghost(["remote"]).at("a").ok().says(&["dir:$W/work/a/../stick"]);
    world.ghost(["push"]).at("a").ok().says(&["Sent 1 snapshot"]);
    world.ghost(["push"]).at("a").ok().says(&["origin has it all"]);
    world
        .ghost(["clone", "dir:stick", "b"])
        .ok()
        .says(&["Made a repository in b", "1 snapshot"]);
    for folder in ["a", "b"] {
        fs::rename(
            world.path(format!("{folder}/.ghost")),
            world.path(format!("{folder}.ghost")),
        )
        .unwrap();
    }
    oracle::assert_same_for_rsync(&world.path("a"), &world.path("b"));
    for folder in ["a", "b"] {
        fs::rename(
            world.path(format!("{folder}.ghost")),
            world.path(format!("{folder}/.ghost")),
        )
        .unwrap();
    }
    // Each side goes on from what the other brought.
    world.write("b/more", "of b\n");
    world.ghost(["snapshot", "-q", "."]).at("b").ok();
    world.ghost(["push"]).at("b").ok();
    world.write("a/aside", "of a\n");
    world.ghost(["snapshot", "-q", "."]).at("a").ok();
    world.ghost(["push"]).at("a").code(1).says(&["parted"]);
    world.ghost(["fetch"]).at("a").ok();
    assert_eq!(id(&world, "a", "origin/main"), id(&world, "b", "main"));
    world.ghost(["push", "--force"]).at("a").ok();
    world.ghost(["verify", "--data"]).at("a").ok().says(&["No damage"]);
    world.ghost(["remote", "status"]).at("b").ok().says(&["origin"]);
    // Nothing there is a lock, a setting or a hook.
    let found = world
        .shell("cd stick && find . -type f | sed -E 's/[0-9a-f]{16,}/ID/g' | sort -u")
        .ok()
        .out();
    let expected = ["./data/ID.gd", "./format", "./index/ID.gi", "./refs/log/ID"];
    assert!(
        found
            .lines()
            .all(|line| expected.contains(&line) || line.starts_with("./old/")),
        "{found}"
    );
}

/// A folder for several users is one for all that is in it.
#[test]
fn who_may_use_the_folder_may_use_what_is_in_it() {
    let world = world();
    for (folder, mode) in [("open", 0o755), ("group", 0o2770), ("own", 0o700)] {
        fs::create_dir(world.path(folder)).unwrap();
        set_mode(&world.path(folder), mode);
        world.shell(&format!("umask 077; ghost init -q --plain {folder}")).ok();
        world
            .shell(&format!("umask 077; cd a; ghost push -q dir:../{folder}"))
            .ok();
        let found = world
            .shell(&format!("find {folder} -printf '%y %m\\n' | sort -u"))
            .ok()
            .out();
        assert_eq!(found, format!("d {mode:o}\nf {:o}\n", mode & 0o666), "{folder}");
    }
}

/// Each push brings a file, and there are few of them in the end.
#[test]
fn many_pushes_leave_few_files() {
    let world = world();
    for round in 0..20 {
        world.write("a/round", format!("{round}\n"));
        world.ghost(["snapshot", "-q", "."]).at("a").ok();
        world.ghost(["push", "-q"]).at("a").ok();
    }
    let count = fs::read_dir(world.path("stick/data")).unwrap().count();
    assert!(count < 10, "{count} data files of 20 pushes");
    fs::remove_dir_all(world.path("stick/old")).unwrap();
    world.ghost(["clone", "-q", "--bare", "dir:stick", "c"]).ok();
    world
        .ghost(["--repo", "c", "verify", "--data"])
        .ok()
        .says(&["No damage in 21 snapshots"]);
}

#[test]
fn what_is_no_such_folder_is_said_and_left_alone() {
    let world = world();
    fs::create_dir(world.path("empty")).unwrap();
    for url in ["dir:../empty", "dir:../nothing", "dir:../a"] {
        world.ghost(["push", url]).at("a").code(1);
    }
    assert_eq!(fs::read_dir(world.path("empty")).unwrap().count(), 0);
    // A program that somebody put there does not run.
    fs::create_dir(world.path("stick/hooks")).unwrap();
    let hook = world.write("stick/hooks/pre-receive", "#!/bin/sh\ntouch ran\nexit 1\n");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    world.ghost(["push"]).at("a").ok();
    assert!(!world.path("ran").exists() && !world.path("a/ran").exists() && !world.path("stick/ran").exists());
}

/// Whatever piece of it is cut short or gone, nothing of it reaches a repository that is whole.
#[test]
fn a_stick_that_lost_something_is_refused() {
    let world = world();
    world.ghost(["push"]).at("a").ok();
    world.ghost(["init", "c"]).ok();
    world.ghost(["remote", "add", "origin", "dir:../stick"]).at("c").ok();
    let data: Vec<_> = fs::read_dir(world.path("stick/data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let whole = fs::read(&data[0]).unwrap();
    fs::write(&data[0], &whole[..whole.len() / 2]).unwrap();
    world.ghost(["fetch"]).at("c").code(1);
    fs::write(&data[0], &whole).unwrap();
    world.ghost(["fetch"]).at("c").ok();
    world.ghost(["verify", "--data"]).at("c").ok();
}
