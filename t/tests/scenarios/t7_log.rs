//! t7: the log of a repository: what is in it, how it is put aside, and that no command depends on it.

use std::fs;

use crate::harness::World;

fn log(world: &World) -> String {
    String::from_utf8(world.read(".ghost/log")).unwrap()
}

#[test]
fn jobs_and_errors_are_in_the_log() {
    let world = World::with_repository();
    world.write("tree/a", "a\n");
    world.ghost(["snapshot", "tree", "-m", "line\nbreak \u{1b}[31m"]).ok();
    let id = world.ghost(["rev-parse", "@"]).ok().word();
    world.ghost(["show", "no-such-line"]).code(1);
    world.ghost(["-q", "--json", "cat", "@:no/such/file"]).code(1);
    let log = log(&world);
    for words in [
        " info snapshot: begun: ghost snapshot tree -m line",
        &format!(" info snapshot: snapshot {id} on refs/snapshots/main: 1 file"),
        " info snapshot: ended: exit code 0, ",
        " error show: ",
        "no-such-line",
        " error cat: ",
    ] {
        assert!(log.contains(words), "{words:?} is not in\n{log}");
    }
    for line in log.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        assert_eq!(words[0], "2026-01-02T03:04:05.000Z", "{line}");
        assert!(
            words[1].parse::<u32>().is_ok() && ["info", "error"].contains(&words[2]),
            "{line}"
        );
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    // What only reads leaves no trace.
    world.ghost(["log"]).ok();
    world.ghost(["ls", "@:"]).ok();
    assert_eq!(self::log(&world), log);
}

#[test]
fn a_log_is_put_aside_and_the_oldest_goes() {
    let world = World::with_repository();
    world.write("tree/a", "a\n");
    for (key, value) in [("log.max-size", "200"), ("log.keep", "2")] {
        world.ghost(["config", "set", key, value]).ok();
    }
    for _ in 0..6 {
        world.ghost(["snapshot", "tree"]).ok();
    }
    for (name, there) in [("log", true), ("log.1", true), ("log.2", true), ("log.3", false)] {
        assert_eq!(world.path(".ghost").join(name).exists(), there, "{name}");
    }
    world.ghost(["config", "set", "log.max-age", "30"]).ok();
    world.ghost(["config", "set", "log.max-size", "0"]).ok();
    world.ghost(["snapshot", "tree"]).ok();
    assert!(log(&world).contains("2026-01-02"));
    let later = world
        .ghost(["snapshot", "tree"])
        .env("GHOST_TIME", "2026-02-02T00:00:00Z");
    later.ok();
    assert!(!log(&world).contains("2026-01-02"));
    world.ghost(["-c", "log.level=off", "show", "nothing"]).code(1);
    assert!(!log(&world).contains("nothing"));
}

#[test]
fn no_command_depends_on_the_log() {
    let world = World::with_repository();
    world.write("tree/a", "a\n");
    let path = world.path(".ghost/log");
    let _ = fs::remove_file(&path);
    // A disk without room, a folder in the way, a link that leads out: the snapshot is taken all the same.
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    assert_eq!(world.ghost(["snapshot", "tree"]).ok().stderr(), "");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(world.ghost(["snapshot", "tree"]).ok().stderr(), "");
    fs::remove_dir(&path).unwrap();
    let outside = world.write("outside", "");
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    world.ghost(["snapshot", "tree"]).ok();
    assert_eq!(world.read("outside"), b"");
    world.ghost(["verify", "--data"]).ok();
}
