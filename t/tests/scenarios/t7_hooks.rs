//! t7: hooks: when they run, what they are told, what stops a job, and what is never run.

use std::fs;
use std::path::Path;

use crate::harness::{World, noise, program, set_mode};

/// Puts a hook into the repository.
fn hook(world: &World, name: &str, script: &str) {
    program(
        &world.path(format!(".ghost/hooks/{name}")),
        format!("#!/bin/sh\n{script}\n"),
    );
}

fn world() -> World {
    let world = World::with_repository();
    world.write("tree/a", "a\n");
    world
}

#[test]
fn a_snapshot_runs_hooks_that_know_about_it() {
    let world = world();
    let told = "{ echo $# \"$@\"; pwd; echo $GHOST_DIR $GHOST_HOOK $GHOST_LINE $GHOST_PROBLEMS; cat; } >";
    hook(
        &world,
        "pre-snapshot",
        &format!("{told} ../pre; [ -e \"$1/dump\" ] || echo made here > \"$1/dump\""),
    );
    hook(&world, "post-snapshot", &format!("{told} ../post; echo well done >&2"));
    let done = world.ghost(["snapshot", "tree"]).ok();
    done.says(&["2 files", "post-snapshot: well done"]);
    let read = |name: &str| {
        let text = String::from_utf8(world.read(name)).unwrap();
        text.replace(world.root().to_str().unwrap(), "$W")
    };
    let expected = "1 $W/work/tree\n$W/work/.ghost\n$W/work/.ghost pre-snapshot refs/snapshots/main\n";
    assert_eq!(read("pre"), expected);
    // What the hook made is in the snapshot that it came before.
    assert_eq!(world.ghost(["cat", "@:dump"]).ok().out(), "made here\n");
    let id = world.ghost(["rev-parse", "@"]).ok().word();
    let zeros = "0".repeat(64);
    let expected = format!(
        "1 {id}\n$W/work/.ghost\n$W/work/.ghost post-snapshot refs/snapshots/main 0\n{zeros} {id} refs/snapshots/main\n"
    );
    assert_eq!(read("post"), expected);
    // Quiet is quiet, JSON is JSON, nothing runs for what changes nothing or is told not to.
    assert_eq!(world.ghost(["-q", "snapshot", "tree"]).ok().seen(), "");
    let json = world.ghost(["--json", "snapshot", "tree"]).ok();
    assert_eq!(
        json.stderr(),
        "{\"type\":\"hook\",\"hook\":\"post-snapshot\",\"line\":\"well done\"}\n"
    );
    for name in ["pre", "post"] {
        fs::remove_file(world.path(name)).unwrap();
    }
    world.ghost(["snapshot", "--dry-run", "tree"]).ok();
    world.ghost(["-c", "hooks.enabled=false", "snapshot", "tree"]).ok();
    assert!(!world.path("pre").exists() && !world.path("post").exists());
    world.ghost(["snapshot", "--skip-if-unchanged", "tree"]).ok();
    assert!(world.path("pre").exists() && !world.path("post").exists());
}

#[test]
fn a_failing_pre_hook_stops_the_job_before_anything_is_acknowledged() {
    let world = world();
    hook(&world, "pre-snapshot", "echo no room for dumps; exit 3");
    let done = world.ghost(["snapshot", "tree"]).code(1);
    done.says(&[
        "pre-snapshot: no room for dumps",
        "the hook pre-snapshot ended with exit code 3; nothing was changed",
        "hooks.enabled=false",
    ]);
    // Quiet or not, why it failed is said.
    world
        .ghost(["-q", "snapshot", "tree"])
        .code(1)
        .says(&["no room for dumps"]);
    assert_eq!(world.ghost(["show-ref"]).code(1).out(), "");
    assert_eq!(fs::read_dir(world.path(".ghost/data")).unwrap().count(), 0);
    hook(&world, "pre-snapshot", "kill -TERM $$");
    world
        .ghost(["snapshot", "tree"])
        .code(1)
        .says(&["was ended by signal 15"]);
    hook(&world, "pre-snapshot", "exec /no/such/program");
    world.ghost(["snapshot", "tree"]).code(1).says(&["exit code 127"]);
    fs::write(world.path(".ghost/hooks/pre-snapshot"), "#!/no/such/shell\n").unwrap();
    world
        .ghost(["snapshot", "tree"])
        .code(1)
        .says(&["cannot be run", "nothing was changed"]);
    // One that fails afterwards changes nothing.
    fs::remove_file(world.path(".ghost/hooks/pre-snapshot")).unwrap();
    hook(&world, "post-snapshot", "exit 1");
    world
        .ghost(["snapshot", "tree"])
        .ok()
        .says(&["warning: the hook post-snapshot ended with exit code 1"]);
    world.ghost(["verify", "--data"]).ok();
}

#[test]
fn a_hook_that_hangs_is_ended_with_all_that_it_started() {
    let world = world();
    hook(&world, "pre-snapshot", "sleep 1000 & echo $! > ../pid; wait");
    let done = world.ghost(["-c", "hooks.timeout=1", "snapshot", "tree"]).code(1);
    done.says(&["took longer than 1 s (hooks.timeout) and was ended; nothing was changed"]);
    if let Ok(pid) = fs::read_to_string(world.path("pid")) {
        // Gone, or a zombie that nobody has waited for.
        let status = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
        assert!(status.is_empty() || status.contains(") Z "), "{status}");
    }
}

#[test]
fn what_hooks_print_steers_no_terminal_and_goes_to_the_log() {
    let world = world();
    hook(
        &world,
        "post-snapshot",
        "printf '\\033[31mred\\nno end'; head -c 5000 /dev/zero",
    );
    let done = world.ghost(["snapshot", "tree"]).ok();
    done.says(&["post-snapshot: \\x1b[31mred", "post-snapshot: no end\\x00"]);
    assert!(!done.stderr().contains('\u{1b}') && !done.stderr().contains('\0'));
    let log = String::from_utf8(world.read(".ghost/log")).unwrap();
    assert!(
        log.contains("info snapshot: hook post-snapshot ended with exit code 0"),
        "{log}"
    );
}

#[test]
fn only_programs_that_the_user_put_there_are_run() {
    let world = world();
    let script = "touch \"$GHOST_DIR/../ran\"";
    hook(&world, "pre-snapshot", script);
    let path = world.path(".ghost/hooks/pre-snapshot");
    set_mode(&path, 0o644);
    world.ghost(["snapshot", "tree"]).ok();
    for (mode, words) in [(0o777, "others may write it"), (0o775, "others may write it")] {
        set_mode(&path, mode);
        world.ghost(["snapshot", "tree"]).code(1).says(&[words, "is not run"]);
    }
    set_mode(&path, 0o755);
    set_mode(&world.path(".ghost/hooks"), 0o777);
    world
        .ghost(["snapshot", "tree"])
        .code(1)
        .says(&["others may write its folder"]);
    set_mode(&world.path(".ghost/hooks"), 0o700);
    // A link into a tree would run content.
    fs::rename(&path, world.path("tree/program")).unwrap();
    std::os::unix::fs::symlink(world.path("tree/program"), &path).unwrap();
    world.ghost(["snapshot", "tree"]).code(1).says(&["no file of its own"]);
    fs::remove_file(&path).unwrap();
    fs::remove_file(world.path("tree/program")).unwrap();
    // A tree that brings a folder of hooks brings nothing that is run, and restoring it puts none into a repository.
    world.write("tree/hooks/pre-snapshot", format!("#!/bin/sh\n{script}\n"));
    set_mode(&world.path("tree/hooks/pre-snapshot"), 0o755);
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["reconstruct", "@", ".ghost"]).run();
    world.ghost(["snapshot", "tree"]).run();
    assert!(!world.path("ran").exists());
}

#[test]
fn a_hook_may_use_ghost_and_starts_no_further_hooks() {
    let world = world();
    let ghost = crate::harness::GHOST.as_str();
    hook(
        &world,
        "pre-snapshot",
        &format!("echo once >> ../count; cd ../tree && {ghost} -q snapshot --ref inner ."),
    );
    world.ghost(["snapshot", "tree"]).ok();
    assert_eq!(world.read("count"), b"once\n");
    world.ghost(["rev-parse", "inner"]).ok();
}

#[test]
fn checks_and_failures_have_hooks_too() {
    let world = world();
    hook(&world, "post-verify", "echo verified: $1");
    hook(&world, "on-failure", "echo failed: $1 $2; cat");
    world.ghost(["snapshot", "tree"]).ok();
    world.ghost(["verify"]).ok().says(&["post-verify: verified: clean"]);
    world.write("tree/b", noise(1, 100_000));
    world.ghost(["snapshot", "tree"]).ok();
    let file = fs::read_dir(world.path(".ghost/data"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    world
        .ghost(["verify", "--data"])
        .code(4)
        .says(&["post-verify: verified: damaged"]);
    let done = world.ghost(["snapshot", "no/such/folder"]).run();
    if done.code != Some(0) && done.code != Some(3) {
        done.says(&["on-failure: failed: snapshot", "no/such"]);
    }
    world
        .ghost(["tag", "v1", "nothing"])
        .code(1)
        .says(&["on-failure: failed: tag 1", "on-failure: no revision"]);
    hook(&world, "pre-prune", "echo not today; exit 1");
    world
        .ghost(["gc"])
        .code(1)
        .says(&["pre-prune: not today", "on-failure: failed: gc 1"]);
    world.ghost(["gc", "--dry-run"]).run().hides(&["not today"]);
    // What only reads fails without it.
    world.ghost(["show", "nothing"]).code(1).hides(&["on-failure"]);
}

#[test]
fn the_examples_do_what_they_say() {
    need!("sqlite3");
    let world = world();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("contrib/hooks");
    let install = |example: &str, name: &str| {
        let path = world.path(".ghost/hooks").join(name);
        program(&path, fs::read(examples.join(example)).unwrap());
    };
    install("pre-snapshot.sqlite", "pre-snapshot");
    let database = world.path("tree/it's.sqlite");
    let sql = |database: &Path, text: &str| {
        world
            .command("sqlite3", [database.as_os_str(), text.as_ref()])
            .ok()
            .word()
    };
    sql(
        &database,
        "pragma journal_mode=wal; create table t(x); insert into t values(42)",
    );
    world.write("tree/.ghostignore", "*.sqlite\n*.sqlite-*\n");
    world
        .ghost(["snapshot", "tree"])
        .ok()
        .says(&["pre-snapshot: copied", "it's.sqlite"]);
    world.ghost(["reconstruct", "@", "out"]).ok();
    assert_eq!(sql(&world.path("out/it's.sqlite.ghost-copy"), "select x from t"), "42");
    assert!(!world.path("out/it's.sqlite").exists());
    // Nothing changed: the copy keeps its file.
    let copy = world.path("tree/it's.sqlite.ghost-copy");
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&copy).unwrap());
    let before = inode();
    world.ghost(["snapshot", "tree"]).ok();
    assert_eq!(inode(), before);
    // The others are good shell.
    for example in fs::read_dir(&examples).unwrap() {
        let path = example.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            world.command("sh", ["-n".as_ref(), path.as_os_str()]).ok();
        }
    }
}

#[test]
fn a_push_that_drops_history_is_refused_by_the_example() {
    let world = world();
    let example = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("contrib/hooks/pre-receive.keep-history");
    for _ in 0..3 {
        world.ghost(["snapshot", "tree"]).ok();
    }
    let id = |revision: &str| world.ghost(["rev-parse", revision]).ok().word();
    let zeros = "0".repeat(64);
    let script = format!("sh {}", example.display());
    let judge = |old: &str, new: &str, name: &str| {
        let input = format!("{old} {new} {name}\n");
        world.shell(&script).stdin(input).run().code == Some(0)
    };
    let (newest, middle, oldest) = (id("@"), id("@~1"), id("@~2"));
    for (old, new, name, good) in [
        (&oldest, &newest, "refs/snapshots/main", true),
        (&middle, &newest, "refs/snapshots/main", true),
        (&newest, &newest, "refs/snapshots/main", true),
        (&zeros, &newest, "refs/snapshots/main", true),
        (&newest, &oldest, "refs/snapshots/main", false),
        (&newest, &zeros, "refs/snapshots/main", false),
        (&zeros, &newest, "refs/tags/v1", true),
        (&oldest, &newest, "refs/tags/v1", false),
        (&zeros, &oldest, "refs/forgotten/x", false),
        (&oldest, &zeros, "refs/forgotten/x", true),
    ] {
        assert_eq!(judge(old, new, name), good, "{old} {new} {name}");
    }
}
