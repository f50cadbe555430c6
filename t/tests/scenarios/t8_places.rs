//! t8: repositories in bad places and at bad times: without locks, read-only, under a wrong clock, with a file gone, with
//! another process at work, or with damage in what stands beside the objects. What is refused says why and what to do next;
//! nothing live is ever deleted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Done, World, noise, oracle, trees};
use crate::t8_damage::ACTIONS;

/// A repository of which a part is dead, with parity, an index, and a generation of its own.
fn repository() -> World {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["config", "set", "data.parity", "10%"]).ok();
    world.ghost(["snapshot", "tree", "-m", "first"]).ok();
    for line in ["one", "two"] {
        world.write(format!("{line}/noise"), noise(line.len() as u64 + 40, 400_000));
        world.ghost(["snapshot", line, "--ref", line]).ok();
        world
            .ghost(["update-ref", "-d", &format!("refs/snapshots/{line}")])
            .ok();
    }
    world
}

/// One that has been collected.
fn collected() -> World {
    let world = repository();
    world.ghost(["gc", "--max-unused", "0"]).ok().says(&["Freed"]);
    world
}

fn check_main(world: &World, what: &str) {
    let verify = world.ghost(["verify", "--data"]).run();
    assert_eq!(verify.code, Some(0), "{what}: {verify}");
    let done = world.ghost(["reconstruct", "main", "out"]).run();
    assert_eq!(done.code, Some(0), "{what}: {done}");
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
    fs::remove_dir_all(world.path("out")).unwrap();
}

/// Runs it with an answer of another kernel to each call that locks.
fn with_locks(world: &World, answer: &str, arguments: &[&str]) -> Done {
    let inject = format!("inject=flock:{answer}");
    let options = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", &inject];
    let ghost = [crate::harness::GHOST.as_str()]
        .into_iter()
        .chain(arguments.iter().copied());
    world.command("strace", options.into_iter().chain(ghost)).run()
}

#[test]
fn without_locks_that_work_nothing_is_written_and_all_is_read() {
    need!("strace");
    let world = collected();
    if world.command("strace", ["-o", "/dev/null", "true"]).run().code != Some(0) {
        return crate::harness::skip(module_path!(), "processes that may be traced");
    }
    let before = oracle::listing(&world.path(".ghost/data"));
    for answer in ["error=ENOLCK", "error=EOPNOTSUPP"] {
        for command in [
            &["gc"][..],
            &["repair"],
            &["snapshot", "tree"],
            &["update-ref", "refs/tags/t", "main"],
        ] {
            let done = with_locks(&world, answer, command);
            assert_eq!(
                done.code,
                Some(if command[0] == "snapshot" || command[0] == "update-ref" {
                    1
                } else {
                    2
                }),
                "{done}"
            );
            done.says(&["lock"]);
        }
        for command in [&["log"][..], &["ls", "main:"], &["reconstruct", "main", "out"]] {
            let done = with_locks(&world, answer, command);
            assert_eq!(done.code, Some(0), "{answer}: {done}");
        }
        oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
        fs::remove_dir_all(world.path("out")).unwrap();
    }
    // Some file systems grant every lock: who frees asks twice.
    for command in [&["gc"][..], &["repair"], &["heal", "--from", "tree/."]] {
        let done = with_locks(&world, "retval=0", command);
        assert_eq!(done.code, Some(2), "{done}");
        done.says(&[
            "locks do not work on this file system",
            "granted twice",
            "local file system",
        ]);
    }
    assert_eq!(oracle::listing(&world.path(".ghost/data")), before);
    check_main(&world, "afterwards");
}

#[test]
fn a_clock_that_is_ten_years_off_deletes_nothing_that_lives() {
    for now in ["2016-01-02T03:04:05Z", "2036-01-02T03:04:05Z"] {
        let world = repository();
        let ghost = |arguments: &[&str]| world.ghost(arguments).env("GHOST_TIME", now).ok();
        ghost(&["forget", "--keep-within", "30d"]);
        ghost(&["gc", "--max-unused", "0", "-c", "gc.keep-log=30 days"]);
        check_main(&world, now);
        world.write("tree/later", noise(9, 9000));
        ghost(&["snapshot", "tree", "-m", "by a wrong clock"]);
        ghost(&["forget", "--keep-last", "1"]);
        ghost(&["gc", "--max-unused", "0"]);
        check_main(&world, now);
        // With the right time again, the newest is still the newest.
        world.ghost(["forget", "--keep-daily", "3"]).ok();
        world.ghost(["gc", "--max-unused", "0"]).ok();
        world.ghost(["log"]).ok().says(&["by a wrong clock"]);
        check_main(&world, now);
    }
}

#[test]
fn a_read_only_file_system_is_read_and_every_write_says_why_not() {
    need_root!();
    let world = collected();
    let script = "mount --bind .ghost .ghost || exit 77
        mount -o remount,ro,bind .ghost || exit 77
        trap 'umount .ghost' EXIT
        for command in log 'ls main:' 'verify --data' 'reconstruct main out' 'log --path README'; do
            ghost $command >&2; echo \"$command: $?\"
        done
        for command in 'snapshot tree' gc repair 'heal --from tree/.' 'update-ref refs/tags/t main' \
            'config set zstd.level 4' 'index-data'; do
            ghost $command >&2; code=$?; test $code -ne 0; echo \"$command refused: $?\"
        done";
    let done = world.shell(&format!("unshare -m bash -u <<'END'\n{script}\nEND")).run();
    if done.code == Some(77) || done.stderr().contains("unshare:") {
        return crate::harness::skip(module_path!(), "mounts");
    }
    for line in done.out().lines() {
        assert!(line.ends_with(": 0"), "{line} in {done}");
    }
    assert_eq!(done.out().lines().count(), 12, "{done}");
    done.says(&["Read-only file system", "mounted read-only"]);
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
    fs::remove_dir_all(world.path("out")).unwrap();
    check_main(&world, "afterwards");
}

#[test]
fn two_that_collect_at_once_are_told_apart() {
    need!("flock");
    let world = repository();
    for command in ["gc", "repair", "heal --from tree/."] {
        let script = format!("flock -x .ghost/locks/gc ghost {command}");
        world.shell("mkdir -p .ghost/locks; touch .ghost/locks/gc").ok();
        world.shell(&script).code(1).says(&[
            "another process is collecting garbage or repairing here",
            "wait until it has ended",
        ]);
    }
    // The lock went with its process, whatever became of that.
    world.shell("flock -x .ghost/locks/gc sh -c 'kill -9 $$'").run();
    world.ghost(["gc"]).ok();
    check_main(&world, "afterwards");
}

/// What flock does with `kind` on `path`, by a process that is killed at the end of `script`, which knows it as `$holder`.
fn held(path: &str, kind: &str, script: &str) -> String {
    format!(
        "flock -F {kind} {path} sleep 1000 & holder=$!
        trap 'kill -9 $holder 2>/dev/null || true' EXIT
        for _ in $(seq 6000); do flock -n -x {path} true || break; sleep 0.01; done
        {script}
        kill -9 $holder; wait $holder || true
        "
    )
}

#[test]
fn what_the_dead_held_is_free() {
    need!("flock");
    // A lock of gc, of a data file that somebody adds to, of the generation that somebody reads.
    let world = repository();
    world.shell("touch .ghost/locks/gc").ok();
    let script = held(".ghost/locks/gc", "-x", "ghost gc && exit 9");
    let done = world.shell(&(script + "ghost gc --max-unused 0")).ok();
    done.says(&["another process is collecting", "Freed"]);
    check_main(&world, "a lock of gc");

    let world = repository();
    let file = oracle::data_files(&world.path(".ghost")).remove(0);
    let before = kept_of(&world);
    let script = held(&file.display().to_string(), "-x", "ghost gc --max-unused 0");
    world.shell(&script).ok();
    assert_eq!(kept_of(&world), before, "somebody added to it");
    world.ghost(["gc", "--max-unused", "0"]).ok();
    assert!(
        kept_of(&world) < before / 2,
        "{} of {before} bytes are left",
        kept_of(&world)
    );
    check_main(&world, "a lock of a writer");

    let world = repository();
    let lease = world.path(".ghost/locks/lease-0");
    fs::write(&lease, "").unwrap();
    let script = held(&lease.display().to_string(), "-s", "ghost gc --max-unused 0");
    world
        .shell(&script)
        .ok()
        .says(&["when the processes that began before this have ended"]);
    let waiting = kept_of(&world);
    world.ghost(["gc", "--max-unused", "0"]).ok();
    assert!(
        kept_of(&world) < waiting / 2,
        "{} of {waiting} bytes are left",
        kept_of(&world)
    );
    check_main(&world, "a lease");
}

fn kept_of(world: &World) -> u64 {
    oracle::data_bytes(&world.path(".ghost"))
}

#[test]
fn a_data_file_that_vanished_is_missed_by_name_and_comes_back() {
    let world = collected();
    let file = oracle::data_files(&world.path(".ghost")).remove(0);
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    fs::rename(&file, world.path("aside")).unwrap();
    world
        .ghost(["verify"])
        .code(4)
        .says(&[&name, "no usable file", "ghost heal"]);
    world.ghost(["gc"]).code(4).says(&["nothing more was removed"]);
    let refused = world.ghost(["reconstruct", "main", "gone"]).run();
    assert!(matches!(refused.code, Some(1 | 3 | 4)), "{refused}");
    let pushed = world.ghost(["clone", ".", "clone"]).run();
    assert!(!matches!(pushed.code, Some(0)), "{pushed}");
    // A snapshot does not lean on what is gone, though no file changed.
    world.ghost(["snapshot", "tree", "--ref", "again"]).ok();
    world.ghost(["reconstruct", "again", "out"]).ok();
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
    fs::remove_dir_all(world.path("out")).unwrap();
    fs::rename(world.path("aside"), &file).unwrap();
    check_main(&world, "afterwards");
}

/// Files that say nothing which cannot be done without, relative to the repository.
fn servants(world: &World) -> Vec<PathBuf> {
    let root = world.path(".ghost");
    let mut found = vec![PathBuf::from("reserve")];
    for part in ["parity", "locks"] {
        let files = oracle::files_below(&root.join(part));
        assert!(!files.is_empty(), "nothing in {part}");
        found.extend(files.iter().map(|path| path.strip_prefix(&root).unwrap().to_owned()));
    }
    found
}

fn put_back(world: &World) {
    world.shell("rm -rf .ghost out; cp -a whole .ghost").ok();
}

#[test]
fn damage_beside_the_objects_changes_no_answer() {
    let world = collected();
    world.shell("cp -a .ghost whole").ok();
    for file in servants(&world) {
        for action in ACTIONS {
            let what = format!("{action:?} {}", file.display());
            let path = world.path(".ghost").join(&file);
            // What has no bytes cannot lose any.
            if fs::metadata(&path).unwrap().len() == 0 && !action.is_for_empty_files() {
                continue;
            }
            action.apply(&path, Path::new("/dev/null"));
            for command in [&["verify"][..], &["snapshot", "tree"], &["gc"]] {
                let done = world.ghost(command).run();
                assert_eq!(done.code, Some(0), "{what}: {done}");
            }
            put_back(&world);
        }
    }
    check_main(&world, "afterwards");
}

#[test]
fn the_files_that_say_what_a_repository_is_are_made_anew() {
    let (world, foreign) = (collected(), collected());
    world.shell("cp -a .ghost whole").ok();
    for (name, action) in ["format", "generation"]
        .into_iter()
        .flat_map(|name| ACTIONS.map(|action| (name, action)))
    {
        let what = format!("{action:?} {name}");
        let path = world.path(".ghost").join(name);
        action.apply(&path, &foreign.path(".ghost").join(name));
        for command in [&["snapshot", "tree"][..], &["gc"]] {
            let done = world.ghost(command).run();
            assert!(matches!(done.code, Some(1 | 4)), "{what}: {done}");
        }
        let dry = world.ghost(["repair", "--dry-run"]).ok();
        dry.says(&["can be made anew", name]);
        let done = world.ghost(["repair"]).run();
        assert_eq!(done.code, Some(0), "{what}: {done}");
        done.says(&["made anew", name]);
        check_main(&world, &what);
        world.ghost(["snapshot", "tree", "--ref", "again"]).ok();
        world.ghost(["gc", "--max-unused", "0"]).ok();
        check_main(&world, &what);
        world.ghost(["repair"]).ok().says(&["Nothing is damaged"]);
        put_back(&world);
    }
}

#[test]
fn damaged_bundles_are_told_and_never_give_other_bytes() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "-o", "tree.gs", "tree"]).ok();
    world.ghost(["gfs", "push", "tree", "gfs:tree.gfs"]).ok();
    world.write("tree/more", noise(3, 30_000));
    world.ghost(["gfs", "push", "tree", "gfs:tree.gfs"]).ok();
    let foreign = World::with_repository();
    foreign.write("tree/f", noise(8, 20_000));
    foreign.ghost(["snapshot", "-o", "tree.gs", "tree"]).ok();
    foreign.ghost(["gfs", "push", "tree", "gfs:tree.gfs"]).ok();
    for name in ["tree.gs", "tree.gfs"] {
        let whole = world.read(name);
        let text = format!("{}:{name}", if name == "tree.gs" { "snap" } else { "gfs" });
        for action in ACTIONS {
            let what = format!("{action:?} {name}");
            action.apply(&world.path(name), &foreign.path(name));
            for command in [&["verify", &text][..], &["ls", &text], &["reconstruct", &text, "out"]] {
                let done = world.ghost(command).run();
                assert!(matches!(done.code, Some(0..=4)), "{what}: {done}");
                if done.code != Some(0) {
                    assert!(
                        done.seen().contains("error: ")
                            || done.seen().contains("amage")
                            || done.seen().contains("located"),
                        "{what}: {done}"
                    );
                }
            }
            // What came out is what went in.
            if let Ok(there) = fs::read_dir(world.path("out")) {
                let is_foreign = format!("{action:?}") == "Foreign";
                for path in there
                    .map(|entry| entry.unwrap().path())
                    .filter(|path| path.is_file() && !is_foreign)
                {
                    let source = world.path("tree").join(path.file_name().unwrap());
                    assert_eq!(
                        fs::read(&path).unwrap(),
                        fs::read(source).unwrap(),
                        "{what}: {}",
                        path.display()
                    );
                }
            }
            fs::write(world.path(name), &whole).unwrap();
            let _ = fs::remove_dir_all(world.path("out"));
        }
        world.ghost(["verify", &text]).ok();
    }
}
