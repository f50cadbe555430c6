//! t2: what gc frees and what it leaves, with other processes at work, on full and read-only disks.

use std::fs;

use crate::harness::{World, is_root, noise, oracle, trees};

/// A repository with a line that stays and one whose data is larger.
fn two_lines() -> World {
    let world = World::with_repository();
    trees::small(&world.path("stays"));
    for n in 0..4_u64 {
        world.write(format!("goes/f{n}"), noise(n + 10, 700_000));
    }
    world.write("stays/own", noise(77, 300_000));
    world.ghost(["snapshot", "stays", "--ref", "main"]).ok();
    world.ghost(["snapshot", "goes", "--ref", "goes"]).ok();
    world
}

fn check_main(world: &World) {
    world.ghost(["verify", "--data"]).ok().says(&["No damage"]);
    world.ghost(["reconstruct", "main", "out"]).ok();
    oracle::assert_same_listing(&world.path("stays"), &world.path("out"));
    fs::remove_dir_all(world.path("out")).unwrap();
}

#[test]
fn a_line_that_was_deleted_is_freed_and_the_rest_stays() {
    let world = two_lines();
    let full = oracle::data_bytes(&world.path(".ghost"));
    world.ghost(["gc"]).ok().says(&["Freed 0 B in 0 data files"]);
    world.ghost(["update-ref", "-d", "refs/snapshots/goes"]).ok();
    world
        .ghost(["gc", "--dry-run"])
        .ok()
        .says(&["repacked", "nothing was done"]);
    assert_eq!(oracle::data_bytes(&world.path(".ghost")), full);
    let done = world.ghost(["gc", "--json"]).ok().json_lines();
    let summary = done.last().unwrap();
    assert!(summary["freed_bytes"].as_u64().unwrap() > 2_800_000, "{summary}");
    let left = oracle::data_bytes(&world.path(".ghost"));
    assert!(left < full - 2_700_000, "{left} of {full}");
    check_main(&world);
    // The stat cache of the line that is gone says that all of it is stored; it is not.
    world.ghost(["snapshot", "goes", "--ref", "again"]).ok();
    world.ghost(["verify", "--data"]).ok().says(&["No damage"]);
    world.ghost(["reconstruct", "again", "out"]).ok();
    oracle::assert_same_listing(&world.path("goes"), &world.path("out"));
}

#[test]
fn a_forgotten_snapshot_comes_back_until_gc() {
    let world = two_lines();
    world.ghost(["forget", "goes"]).ok();
    world.ghost(["undo"]).ok();
    world.ghost(["verify"]).ok();
    world.ghost(["forget", "goes"]).ok();
    world.ghost(["gc"]).ok().says(&["Freed"]);
    world
        .ghost(["undo"])
        .code(1)
        .says(&["cannot be brought back", "a gc has freed"]);
    check_main(&world);
    world.ghost(["log", "--all", "--ref", "goes"]).run();
}

#[test]
fn pipelines_name_only_what_is_whole() {
    let world = two_lines();
    let tree = world.ghost(["rev-parse", "goes:"]).ok().word();
    world.ghost(["update-ref", "-d", "refs/snapshots/goes"]).ok();
    // It is still there, and so a pipeline may name it.
    world.ghost(["update-ref", "refs/trees/t", &tree]).ok();
    world.ghost(["gc"]).ok();
    world.ghost(["verify", "--data"]).ok();
    world.ghost(["update-ref", "-d", "refs/trees/t"]).ok();
    world.ghost(["gc"]).ok();
    world.ghost(["update-ref", "refs/trees/t", &tree]).code(1);
    // What one process stored and no ref named may go before the next names it: that one is told.
    let block = world.ghost(["hash-object", "-w", "goes/f1"]).ok().word();
    let made = world
        .ghost(["mktree"])
        .stdin(format!("100644 file {block}+700000\tf\n"))
        .ok()
        .word();
    world.ghost(["gc", "--max-unused", "0"]).ok();
    assert_ne!(
        world.ghost(["update-ref", "refs/trees/late", &made]).run().code,
        Some(0)
    );
}

#[test]
fn snapshots_restores_and_gc_at_once() {
    let world = two_lines();
    let mut children = Vec::new();
    for round in 0..4_u64 {
        world.write(format!("w{round}/f"), noise(round + 50, 400_000));
        world.write(format!("w{round}/same"), noise(12, 700_000));
        let (tree, line) = (format!("w{round}"), format!("l{round}"));
        if round == 1 {
            world.ghost(["update-ref", "-d", "refs/snapshots/goes"]).ok();
        }
        children.push(world.ghost(["snapshot", &tree, "--ref", &line]).spawn());
        children.push(world.ghost(["gc", "--max-unused", "0"]).spawn());
        children.push(world.ghost(["reconstruct", "main", &format!("out{round}")]).spawn());
    }
    for mut child in children {
        // A gc that finds another at work says so, and ends with 1.
        assert!(matches!(child.wait().unwrap().code(), Some(0 | 1)));
    }
    world.ghost(["gc", "--max-unused", "0"]).ok();
    for round in 0..4 {
        let (line, out) = (format!("l{round}"), format!("again{round}"));
        world.ghost(["reconstruct", &line, &out]).ok();
        oracle::assert_same_listing(&world.path(format!("w{round}")), &world.path(out));
        oracle::assert_same_listing(&world.path("stays"), &world.path(format!("out{round}")));
    }
    check_main(&world);
}

#[test]
fn what_is_reachable_and_missing_stops_gc() {
    let world = two_lines();
    world
        .ghost(["snapshot", "stays", "--ref", "other", "-c", "data.file-max=1MiB"])
        .ok();
    world.ghost(["update-ref", "-d", "refs/snapshots/goes"]).ok();
    let file = oracle::data_files(&world.path(".ghost")).remove(0);
    let aside = world.path("aside");
    fs::rename(&file, &aside).unwrap();
    world
        .ghost(["gc"])
        .code(4)
        .says(&["nothing more was removed", "ghost repair"]);
    fs::rename(&aside, &file).unwrap();
    world.ghost(["gc"]).ok();
    check_main(&world);
}

#[test]
fn a_repository_that_may_not_be_written_is_refused_and_can_be_read() {
    if is_root() {
        return;
    }
    let world = two_lines();
    let folders = ["", "data", "index", "refs", "locks"];
    let set = |mode| {
        use std::os::unix::fs::PermissionsExt as _;
        for folder in folders {
            let path = world.path(".ghost").join(folder);
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o500);
    world.ghost(["gc"]).code(1);
    world.ghost(["ls", "main:"]).ok();
    set(0o700);
    check_main(&world);
}

#[test]
fn settings_are_checked() {
    let world = two_lines();
    world.ghost(["gc", "--max-unused", "120%"]).code(2);
    world
        .ghost(["gc", "-c", "gc.max-unused=much"])
        .code(2)
        .says(&["gc.max-unused"]);
    world
        .ghost(["gc", "-c", "gc.keep-log=soon"])
        .code(2)
        .says(&["gc.keep-log"]);
    // What the log still names stays if that is wanted, whatever the clock says.
    world.ghost(["update-ref", "-d", "refs/snapshots/goes"]).ok();
    world.ghost(["gc", "-c", "gc.keep-log=100 records"]).ok();
    world.ghost(["undo"]).ok();
    world
        .ghost(["verify", "--data"])
        .ok()
        .says(&["No damage in 2 snapshots"]);
}

#[test]
fn where_there_is_no_room_to_pack_gc_says_so_and_goes_on_later() {
    need_root!();
    let world = World::new();
    world.write("keep/f", noise(1, 3_000_000));
    world.write("drop/f", noise(2, 3_000_000));
    let script = "mkdir small; mount -t tmpfs -o size=12m none small || exit 77
        trap 'umount small' EXIT
        ghost init small/r >&2; export GHOST_DIR=$PWD/small/r
        ghost snapshot keep --ref keep >&2
        ghost snapshot drop --ref drop >&2
        ghost update-ref -d refs/snapshots/drop
        dd if=/dev/zero of=small/fill bs=4096 2>/dev/null
        ghost --quiet gc --max-unused 0; echo gc $?
        ghost verify --data >&2; echo verified $?
        rm small/fill
        ghost --quiet gc --max-unused 0; echo gc $?
        ghost verify --data >&2; echo verified $?
        test $(stat -f -c %a small) -gt 1500; echo room $?";
    let done = world.shell(&format!("unshare -m bash -u <<'END'\n{script}\nEND")).run();
    if done.code == Some(77) || done.stderr().contains("unshare:") {
        return crate::harness::skip(module_path!(), "mounts");
    }
    assert_eq!(done.out(), "gc 3\nverified 0\ngc 0\nverified 0\nroom 0\n", "{done}");
    done.says(&[
        "error: ",
        "small/r/.ghost: there is no room to copy what lives; free some, and run it again",
    ]);
}

#[test]
fn a_full_disk_can_be_pruned() {
    need_root!();
    let world = World::new();
    world.write("keep/f", noise(1, 3_000_000));
    world.write("drop/f", noise(2, 5_000_000));
    let script = "mkdir small; mount -t tmpfs -o size=12m none small || exit 77
        trap 'umount small' EXIT
        ghost init small/r >&2; export GHOST_DIR=$PWD/small/r
        ghost snapshot keep --ref keep >&2
        ghost -c data.file-max=1MiB snapshot drop --ref drop >&2
        ghost update-ref -d refs/snapshots/drop
        dd if=/dev/zero of=small/fill bs=4096 >&2
        ghost gc >&2; echo gc $?
        test $(stat -f -c %a small) -gt 1000; echo room $?
        ghost verify --data >&2; echo verified $?
        test -e small/r/.ghost/reserve; echo reserve $?";
    let done = world.shell(&format!("unshare -m bash -u <<'END'\n{script}\nEND")).run();
    if done.code == Some(77) || done.stderr().contains("unshare:") {
        return crate::harness::skip(module_path!(), "mounts");
    }
    assert_eq!(done.out(), "gc 0\nroom 0\nverified 0\nreserve 0\n", "{done}");
    done.says(&["Freed 4.77 MiB in "]);
}
