//! t7: what people see: exit codes, JSON, colours, names that try to speak to the terminal, manuals, completions.

use std::fs;
use std::path::Path;

use crate::harness::{World, oracle, trees};

fn world_with_history() -> World {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree", "-m", "first", "--tag", "keep"]).ok();
    world.write("tree/README", "A small tree, changed.\n");
    world.write("tree/new", "new\n");
    fs::remove_file(world.path("tree/src/main.c")).unwrap();
    world.ghost(["snapshot", "tree", "-m", "second"]).ok();
    world
}

#[test]
fn wrong_usage_is_2_and_a_failure_is_1() {
    let world = world_with_history();
    for arguments in [
        &["no-such-command"][..],
        &["snapshot", "--no-such-option"],
        &["reconstruct"],
        &["snapshot", "--trust", "nobody"],
        &[],
    ] {
        world.ghost(arguments).code(2);
    }
    for arguments in [
        &["show", "no-such-line"][..],
        &["cat", "@:no/such/file"],
        &["snapshot", "no-such-folder"],
        &["cat", "main~99:README"],
        &["reconstruct", "@:README", "/proc/no/such"],
    ] {
        let done = world.ghost(arguments).code(1);
        done.says(&["error: "]);
    }
    world.ghost(["help", "exit-codes"]).ok().says(&["130"]);
    world.ghost(["--version"]).ok().says(&["ghost 0.1"]);
}

#[test]
fn every_command_speaks_json() {
    let world = world_with_history();
    for arguments in [
        &["log"][..],
        &["show", "@"],
        &["ls", "@:"],
        &["status"],
        &["diff", "@~1", "@"],
        &["verify"],
        &["verify", "--data"],
        &["stats"],
        &["snapshot", "tree"],
        &["reconstruct", "@", "out"],
        &["ls-tree", "@:"],
        &["show-ref"],
        &["config", "list"],
    ] {
        let done = world.ghost([&["--json"], arguments].concat()).ok();
        let lines = done.json_lines();
        assert!(!lines.is_empty(), "{done}");
        assert!(lines.iter().all(serde_json::Value::is_object), "{done}");
    }
    let snapshot = world.ghost(["--json", "snapshot", "tree"]).ok().json_lines();
    let summary = snapshot.last().unwrap();
    let id = world.ghost(["rev-parse", "@"]).ok().word();
    assert!(summary.to_string().contains(&id), "{summary} does not name {id}");
}

#[test]
fn a_pipe_gets_no_progress_and_quiet_is_quiet() {
    let world = world_with_history();
    let done = world.ghost(["snapshot", "tree"]).ok();
    done.hides(&["\r", "\u{1b}"]);
    assert_eq!(world.ghost(["-q", "snapshot", "tree"]).ok().seen(), "");
    assert_eq!(world.ghost(["-q", "reconstruct", "@", "out"]).ok().seen(), "");
    world.ghost(["--color", "always", "log"]).ok().says(&["\u{1b}["]);
    world.ghost(["--color", "never", "log"]).ok().hides(&["\u{1b}["]);
    world.ghost(["log"]).ok().hides(&["\u{1b}["]);
}

#[test]
fn a_reader_that_leaves_ends_the_writer_quietly() {
    let world = world_with_history();
    let done = world
        .shell("set +o pipefail; ghost ls-tree -r -t @: | head -1; ghost log | true")
        .ok();
    done.hides(&["panicked", "roken pipe"]);
    // A full disk behind standard output is an error like any other.
    let full = world.shell("ghost log > /dev/full").code(1);
    full.says(&["No space left"]);
    world.shell("ghost log >&-").run();
}

#[test]
fn names_and_messages_cannot_speak_to_the_terminal() {
    let world = World::with_repository();
    world.write("tree/\u{1b}]0;title\u{7}", "x");
    world.write("tree/\u{202e}txt.exe", "x");
    world.write("tree/line\nbreak", "x");
    world
        .ghost(["snapshot", "tree", "-m", "bell \u{7} and \u{1b}[31mred"])
        .ok();
    world.write("tree/\u{1b}]0;title\u{7}", "changed");
    for arguments in [
        &["log"][..],
        &["show", "@"],
        &["ls", "@:"],
        &["ls-tree", "@:"],
        &["status"],
        &["diff", "@:", "tree"],
        &["reconstruct", "@", "out", "--test"],
        &["snapshot", "tree", "-v"],
        &["rev-list", "--objects", "@"],
    ] {
        world
            .ghost(arguments)
            .run()
            .hides(&["\u{1b}", "\u{7}", "\u{202e}", "line\nbreak"]);
    }
}

#[test]
fn status_and_diff_tell_what_changed() {
    let world = world_with_history();
    let names = world.ghost(["diff", "@~1", "@"]).ok();
    names.says(&["README", "new", "src/main.c"]).hides(&["deep/noise"]);
    world.ghost(["diff", "--stat", "@~1", "@"]).ok().says(&["README"]);
    let unchanged = world.ghost(["status"]).ok();
    unchanged.hides(&["README"]);
    world.write("tree/README", "again\n");
    world.write("tree/untracked", "x");
    world.ghost(["status"]).ok().says(&["README", "untracked"]);
    world.ghost(["diff", "@:", "tree"]).ok().says(&["README", "untracked"]);
    world
        .ghost(["diff", "-p", "@~1:README", "@:README"])
        .ok()
        .says(&["-A small tree.", "+A small tree, changed."]);
}

#[test]
fn history_is_shown_newest_first() {
    let world = world_with_history();
    let log = world.ghost(["log"]).ok().out();
    let (first, second) = (log.find("first").unwrap(), log.find("second").unwrap());
    assert!(second < first, "{log}");
    world.ghost(["show", "@~1"]).ok().says(&["first", "keep"]);
    world
        .ghost(["cat", "@~1:README"])
        .ok()
        .says(&["A small tree.\n"])
        .hides(&["changed"]);
    world.ghost(["ls", "@:src"]).ok().says(&["deep"]).hides(&["main.c"]);
    world.ghost(["ls", "@~1:src"]).ok().says(&["main.c"]);
    world.ghost(["stats"]).ok();
}

#[test]
fn files_are_found_in_all_snapshots() {
    let world = world_with_history();
    let ids: Vec<String> = world
        .ghost(["log", "--oneline"])
        .ok()
        .out()
        .lines()
        .map(|line| line[..10].to_owned())
        .collect();
    let [second, first] = &ids[..] else { panic!("{ids:?}") };
    let find = |arguments: &[&str]| world.ghost([&["find"], arguments].concat()).ok().out();
    // A file that changed is there twice, each with the snapshots that have it; one that is gone is there still.
    let readme = find(&["README"]);
    assert_eq!(readme.lines().count(), 2, "{readme}");
    assert!(
        readme.lines().next().unwrap().starts_with(&format!("{first} ")),
        "{readme}"
    );
    assert!(
        readme.lines().nth(1).unwrap().starts_with(&format!("{second} ")),
        "{readme}"
    );
    assert!(
        find(&["*.c"]).contains(&format!("{first} ")),
        "main.c is gone and found"
    );
    assert!(
        find(&["src/**"]).contains(&format!("{first}..{second}")),
        "what stayed has a range"
    );
    assert_eq!(find(&["src"]), find(&["--kind", "dir", "SRC", "-i"]));
    assert_eq!(find(&["no-such-name"]), "");
    assert_eq!(find(&["-0", "new", "--rev", "@"]), "new\0");
    assert_eq!(find(&["new", "--rev", "@~1"]), "");
    // By content: the file as it is now, and as it was, by its hash.
    let now = world.path("tree/README");
    assert_eq!(find(&["-0", "--content", now.to_str().unwrap()]), "README\0");
    let was = world
        .ghost(["hash-object", "--fullhash", "--stdin"])
        .stdin("A small tree.\n")
        .ok()
        .word();
    assert!(find(&["--content", &was]).starts_with(first.as_str()));
    // By size and time.
    assert_eq!(
        find(&["--min-size", "22", "--max-size", "24", "README", "-0"]),
        "README\0"
    );
    assert_eq!(find(&["--older", "1970-01-01"]), "");
    let json = world.ghost(["find", "README", "--json"]).ok().json_lines();
    assert_eq!((json.len(), json[2]["found"].as_u64()), (3, Some(2)));
    world
        .ghost(["find", "--min-size", "much"])
        .code(2)
        .says(&["expected a size"]);
    world.ghost(["find", "--kind", "thing"]).code(2).says(&["symlink"]);
    world.ghost(["find", "a[b"]).code(2);
}

#[test]
fn a_tree_that_a_ref_names_is_verified() {
    let world = world_with_history();
    let tree = world.ghost(["rev-parse", "@~1:"]).ok().word();
    world.ghost(["update-ref", "refs/trees/kept", &tree]).ok();
    world.ghost(["update-ref", "-d", "refs/snapshots/main"]).ok();
    let done = world.ghost(["verify", "--json"]).ok();
    assert_eq!(
        done.json_lines().last().unwrap()["snapshots"].as_u64(),
        Some(1),
        "{}",
        done.out()
    );
}

#[test]
fn the_history_of_a_path_follows_moves() {
    let world = world_with_history();
    fs::rename(world.path("tree/README"), world.path("tree/MANUAL")).unwrap();
    world.ghost(["snapshot", "tree", "-m", "third"]).ok();
    let log = |arguments: &[&str]| world.ghost([&["log", "--oneline"], arguments].concat()).ok().out();
    assert_eq!(log(&["--path", "deep"]).lines().count(), 0);
    let gone = log(&["--path", "README"]);
    for words in [
        "third\nPath:    README removed",
        "second\nPath:    README modified",
        "first\nPath:    README added",
    ] {
        assert!(gone.contains(words), "{words:?} is not in\n{gone}");
    }
    let alone = log(&["--path", "MANUAL"]);
    assert!(alone.contains("MANUAL added") && !alone.contains("second"), "{alone}");
    let followed = log(&["--path", "MANUAL", "--follow"]);
    for words in [
        "third\nPath:    MANUAL moved from README",
        "README modified",
        "README added",
    ] {
        assert!(followed.contains(words), "{words:?} is not in\n{followed}");
    }
    let records = world.ghost(["--json", "log", "--path", "src/main.c"]).ok().json_lines();
    let changes: Vec<_> = records.iter().filter_map(|record| record["change"].as_str()).collect();
    assert_eq!(changes, ["removed", "added"]);
}

fn repository_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn manuals_are_well_formed() {
    need!("mandoc");
    let pages: Vec<_> = oracle::files_below(&repository_root().join("contrib"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "1"))
        .collect();
    assert!(pages.len() > 20, "{} manual pages", pages.len());
    let world = World::new();
    let mut arguments = vec!["-T".into(), "lint".into(), "-W".into(), "error".into()];
    arguments.extend(pages.into_iter().map(std::path::PathBuf::into_os_string));
    world.command("mandoc", arguments).ok();
}

#[test]
fn completions_are_scripts() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.ghost(["completions", shell]).ok();
        for word in ["reconstruct", "hash-object", "exclude-caches"] {
            script.says(&[word]);
        }
    }
    world.shell("ghost completions bash > c && bash -n c").ok();
    world
        .shell("command -v zsh || exit 0; ghost completions zsh > c && zsh -n c")
        .ok();
    world
        .shell("command -v fish || exit 0; ghost completions fish > c && fish -n c")
        .ok();
}
