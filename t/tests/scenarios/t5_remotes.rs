//! t5: repositories that talk to each other, over pipes and sockets, judged by `rsync` and `cmp`.

use std::fs;

use crate::harness::{World, noise, oracle, program, trees};

/// A repository `a` of the folder `a`, with two snapshots.
fn world() -> World {
    let world = World::new();
    trees::small(&world.path("a"));
    world.write("a/large", noise(7, 700_000));
    world.ghost(["snapshot", "--init", "-q", "."]).at("a").ok();
    world.write("a/more", "second\n");
    world.ghost(["snapshot", "-q", "."]).at("a").ok();
    world
}

fn id(world: &World, folder: &str, revision: &str) -> String {
    world.ghost(["rev-parse", revision]).at(folder).ok().word()
}

/// The last record of a command with `--json`.
fn summary(world: &World, folder: &str, arguments: &[&str]) -> serde_json::Value {
    let mut words = vec!["--json"];
    words.extend_from_slice(arguments);
    world.ghost(words).at(folder).ok().json_lines().pop().unwrap()
}

#[test]
fn a_clone_has_everything_and_knows_where_from() {
    need!("rsync");
    let world = world();
    world
        .ghost(["clone", "a", "b"])
        .ok()
        .says(&["Made a repository in b", "2 snapshots"]);
    fs::rename(world.path("a/.ghost"), world.path("a.ghost")).unwrap();
    fs::rename(world.path("b/.ghost"), world.path("b.ghost")).unwrap();
    oracle::assert_same_for_rsync(&world.path("a"), &world.path("b"));
    fs::rename(world.path("a.ghost"), world.path("a/.ghost")).unwrap();
    fs::rename(world.path("b.ghost"), world.path("b/.ghost")).unwrap();
    assert_eq!(id(&world, "a", "main"), id(&world, "b", "main"));
    assert_eq!(id(&world, "a", "main"), id(&world, "b", "origin/main"));
    world
        .ghost(["verify", "--data"])
        .at("b")
        .ok()
        .says(&["No damage in 2 snapshots"]);
    world.ghost(["remote"]).at("b").ok().says(&["origin\t$W/work/a"]);
    world.ghost(["fetch"]).at("b").ok().says(&["origin: nothing new"]);
    world.ghost(["clone", "a", "b"]).code(1).says(&["already"]);
    world.ghost(["clone", "--bare", "a", "c"]).ok();
    let names: Vec<_> = fs::read_dir(world.path("c"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, [".ghost"]);
    world
        .ghost(["clone", "--ref", "nothing", "a", "d"])
        .code(1)
        .says(&["there is no line nothing", "main"]);
    assert!(!world.path("d").exists());
}

#[test]
fn a_shallow_clone_knows_what_it_left_behind() {
    let world = world();
    world.ghost(["clone", "--depth", "1", "a", "b"]).ok();
    let first = id(&world, "a", "main~1");
    world.ghost(["log"]).at("b").ok().hides(&[&first]);
    world.ghost(["verify", "--data"]).at("b").ok().says(&["No damage"]);
    world.write("b/more", "third\n");
    world.ghost(["snapshot", "-q", "."]).at("b").ok();
    world.ghost(["push"]).at("b").ok();
    world.ghost(["log"]).at("a").ok().says(&[&first]);
    // What stayed behind comes when it is asked for.
    world.ghost(["clone", "--depth", "1", "--bare", "a", "d"]).ok();
    world
        .ghost(["fetch", "--deepen", "1"])
        .at("d")
        .ok()
        .says(&["origin: 1 older snapshot is whole again"]);
    world
        .ghost(["fetch", "--unshallow"])
        .at("d")
        .ok()
        .says(&["whole again"]);
    world.ghost(["log", "origin/main"]).at("d").ok().says(&[&first]);
    world
        .ghost(["fetch", "--unshallow"])
        .at("d")
        .ok()
        .says(&["nothing new"]);
    world.ghost(["verify", "--data"]).at("d").ok().says(&["No damage"]);
    world
        .ghost(["verify", "--data"])
        .at("a")
        .ok()
        .says(&["No damage in 3 snapshots"]);
}

#[test]
fn lines_go_back_and_forth_and_say_when_they_part() {
    let world = world();
    world.ghost(["clone", "a", "b"]).ok();
    world.write("b/from-b", "b\n");
    world.ghost(["snapshot", "-q", "."]).at("b").ok();
    let pushed = summary(&world, "b", &["push"]);
    assert_eq!(
        (pushed["snapshots"].as_u64(), pushed["round_trips"].as_u64()),
        (Some(1), Some(2)),
        "{pushed}"
    );
    assert!(pushed["sent_bytes"].as_u64().unwrap() < 20_000, "{pushed}");
    assert_eq!(id(&world, "a", "main"), id(&world, "b", "main"));
    world.ghost(["push"]).at("b").ok().says(&["origin has it all"]);
    let again = summary(&world, "b", &["push"]);
    assert_eq!(again["round_trips"], 1, "{again}");
    // Both go on.
    world.write("a/from-a", "a\n");
    world.ghost(["snapshot", "-q", "."]).at("a").ok();
    world.write("b/from-b", "b again\n");
    world.ghost(["snapshot", "-q", "."]).at("b").ok();
    world
        .ghost(["push"])
        .at("b")
        .code(1)
        .says(&["would lose what it has: the lines have parted"]);
    let (ours, theirs) = (id(&world, "b", "main"), id(&world, "a", "main"));
    world.ghost(["pull"]).at("b").code(1).says(&["have parted"]);
    assert_eq!(id(&world, "b", "main"), ours);
    assert_eq!(id(&world, "b", "origin/main"), theirs);
    world
        .ghost(["remote", "status"])
        .at("b")
        .ok()
        .says(&["main: here 1 ahead, 1 behind", "read-write"]);
    // Now that it was seen, it may be replaced; but not twice by the same lease.
    world.ghost(["push", "--force-with-lease"]).at("b").ok();
    assert_eq!(id(&world, "a", "main"), ours);
    world.ghost(["update-ref", "refs/snapshots/main", &theirs]).at("a").ok();
    world
        .ghost(["push", "--force-with-lease"])
        .at("b")
        .code(5)
        .says(&["moved"]);
    world.ghost(["push", "--force"]).at("b").ok();
    world.ghost(["pull"]).at("a").code(1);
    world.ghost(["verify", "--data"]).at("a").ok();
}

#[test]
fn a_pull_moves_forward() {
    let world = world();
    world.ghost(["clone", "a", "b"]).ok();
    world.write("a/more", "third\n");
    world.ghost(["snapshot", "-q", "."]).at("a").ok();
    world.ghost(["pull"]).at("b").ok().says(&["origin/main -> main"]);
    assert_eq!(id(&world, "a", "main"), id(&world, "b", "main"));
    world.ghost(["pull"]).at("b").ok().says(&["main is there already"]);
}

#[test]
fn lines_and_tags_are_named_pruned_and_renamed() {
    let world = world();
    let first = id(&world, "a", "main~1");
    world.ghost(["update-ref", "refs/tags/v1", &first]).at("a").ok();
    world.ghost(["update-ref", "refs/snapshots/side", &first]).at("a").ok();
    world.ghost(["init", "b"]).ok();
    world.ghost(["remote", "add", "origin", "../b"]).at("a").ok();
    world
        .ghost(["push", "origin", "main:trunk", "-n"])
        .at("a")
        .ok()
        .says(&["trunk"]);
    assert_eq!(world.ghost(["show-ref"]).at("b").run().out(), "");
    world.ghost(["push", "--all", "--tags"]).at("a").ok();
    for name in ["main", "side", "refs/tags/v1"] {
        assert_eq!(id(&world, "a", name), id(&world, "b", name));
    }
    world.ghost(["push", "origin", "main:trunk"]).at("a").ok();
    world.ghost(["push", "origin", ":side"]).at("a").ok().says(&["gone"]);
    world.ghost(["update-ref", "-d", "refs/snapshots/side"]).at("a").run();
    world.ghost(["push", "--prune"]).at("a").ok().says(&["trunk", "gone"]);
    world
        .ghost(["show-ref"])
        .at("b")
        .ok()
        .hides(&["trunk", "side"])
        .says(&["main", "v1"]);
    world.ghost(["remote", "rename", "origin", "backup"]).at("a").ok();
    world
        .ghost(["show-ref"])
        .at("a")
        .ok()
        .says(&["refs/remotes/backup/main"])
        .hides(&["origin"]);
    world
        .ghost(["fetch", "--all", "-j", "2"])
        .at("a")
        .ok()
        .says(&["backup"]);
    world.ghost(["remote", "remove", "backup"]).at("a").ok();
    world.ghost(["remote", "list"]).at("a").ok().hides(&["backup"]);
    world
        .ghost(["fetch", "nowhere"])
        .at("a")
        .code(1)
        .says(&["there is no remote \"nowhere\""]);
}

#[test]
fn any_program_can_be_the_pipe_and_servers_keep_their_root() {
    let world = world();
    let cloned = world.shell("ghost clone 'ext::ghost serve --stdio a' b");
    cloned.ok().says(&["2 snapshots"]);
    fs::create_dir_all(world.path("srv/deep")).unwrap();
    world.ghost(["init", "srv/deep/r"]).ok();
    let served = "ghost serve --stdio --root srv --append-only deep/r";
    world.shell(&format!("cd a; ghost push 'ext::cd ..; {served}'")).ok();
    assert_eq!(id(&world, "a", "main"), id(&world, "srv/deep/r", "main"));
    // Whatever a client asks for, it stays below, and is only added to.
    for (name, code) in [("../a", 1), ("/../a", 1), ("deep/../../a", 1)] {
        let script = format!("cd a; ghost push 'ext::cd ..; ghost serve --stdio --root srv {name}'");
        world.shell(&script).code(code).says(&["no repository"]);
    }
    let script = format!("cd a; ghost push --force 'ext::cd ..; {served}' main~1:main");
    world.shell(&script).code(1).says(&["only lets add"]);
    let script = format!("cd a; ghost push 'ext::cd ..; {served}' :main");
    world.shell(&script).code(1).says(&["only lets add"]);
    let script = "cd a; ghost push 'ext::cd ..; ghost serve --stdio --read-only srv/deep/r' main:other";
    world.shell(script).code(1).says(&["only lets read"]);
    assert_eq!(id(&world, "a", "main"), id(&world, "srv/deep/r", "main"));
}

#[test]
fn what_is_no_ghost_is_shown_and_steers_no_terminal() {
    let world = world();
    let banner = r#"cd a; ghost remote add x 'ext::printf "Welcome\033[2J to loom\n"; printf "\033]0;x\007bad\n" >&2; cat'
        ghost fetch x"#;
    let done = world.shell(banner).code(1);
    done.says(&[
        "Welcome\\x1b[2J to loom",
        "does a shell print something there?",
        "remote: \\x1b]0;x",
    ]);
    assert!(!done.seen().contains('\x1b'), "{done}");
    for url in ["-oProxyCommand=touch\u{20}x:/a", "ssh://-x/a", "loom:-x", "ext::"] {
        world.ghost(["remote", "add", "y", url]).at("a").code(2);
    }
    world.ghost(["remote"]).at("a").ok().hides(&["y	"]);
    world
        .shell("cd a; ghost clone ext::true ../z")
        .code(1)
        .says(&["said nothing before it ended"]);
    world.shell("cd a; ghost clone ext::'exit 7' ../z").code(1);
    assert!(!world.path("z").exists());
}

#[test]
fn what_came_before_a_break_does_not_travel_again() {
    need!("stdbuf");
    let world = World::new();
    for n in 0..6 {
        world.write(format!("a/{n}"), noise(n, 5 << 20));
    }
    world.ghost(["snapshot", "--init", "-q", "."]).at("a").ok();
    world.ghost(["init", "b"]).ok();
    let script = "cd a; ghost push 'ext::stdbuf -o0 head -c 20000000 | ghost serve --stdio ../b'";
    world.shell(script).code(1);
    assert_eq!(world.ghost(["show-ref"]).at("b").run().out(), "");
    let pushed = world
        .shell("cd a; ghost --json push ../b")
        .ok()
        .json_lines()
        .pop()
        .unwrap();
    assert!(pushed["pack_bytes"].as_u64().unwrap() < 18_000_000, "{pushed}");
    assert!(pushed["resumed_frames"].as_u64().unwrap() >= 3, "{pushed}");
    world
        .ghost(["verify", "--data"])
        .at("b")
        .ok()
        .says(&["No damage in 1 snapshot"]);
    // The same the other way round, into a clone that is run again.
    let script = "ghost clone 'ext::ghost serve --stdio a | stdbuf -o0 head -c 20000000' c";
    world.shell(script).code(1);
    world
        .shell("ghost clone 'ext::ghost serve --stdio a | stdbuf -o0 head -c 20000000' c")
        .ok();
    assert_eq!(id(&world, "a", "main"), id(&world, "c", "main"));
}

#[test]
fn packs_go_through_pipelines_and_into_files() {
    let world = world();
    world.ghost(["init", "b"]).ok();
    world
        .shell("ghost -C a send-pack main | ghost -C b receive-pack --ref main")
        .ok();
    assert_eq!(id(&world, "a", "main"), id(&world, "b", "main"));
    world.shell("ghost -C a send-pack main~1 > first.gfs").ok();
    world.ghost(["ls", "gfs:first.gfs"]).ok().says(&["large"]);
    world
        .ghost(["verify", "--data", "gfs:first.gfs"])
        .ok()
        .says(&["No damage"]);
    // A pack of what is new needs the rest to be there.
    world
        .shell("ghost -C a send-pack main --not main~1 > rest.gfs; test $(stat -c %s rest.gfs) -lt 4000")
        .ok();
    world.ghost(["init", "c"]).ok();
    world
        .shell("ghost -C c receive-pack --ref main < rest.gfs")
        .code(4)
        .says(&["is not in this repository"]);
    assert_eq!(world.ghost(["show-ref"]).at("c").run().out(), "");
    world
        .shell("ghost -C c receive-pack --ref main < first.gfs; ghost -C c receive-pack --ref main < rest.gfs")
        .ok();
    assert_eq!(id(&world, "a", "main"), id(&world, "c", "main"));
    world
        .shell("head -c 3000 first.gfs | ghost -C c receive-pack")
        .code(4)
        .says(&["standard input is damaged at offset"]);
    world.ghost(["verify", "--data"]).at("c").ok();
}

#[test]
fn a_socket_serves_several_repositories_and_ends_in_order() {
    let world = world();
    world.ghost(["init", "b"]).ok();
    let script = "
        ghost --repo a serve --socket s.sock --export main,other:b & server=$!
        until test -S s.sock; do sleep 0.05; done
        ghost clone unix:s.sock c
        cd c; ghost push unix:../s.sock#other
        ghost push unix:../s.sock#nothing && exit 9
        cd ..; kill -TERM $server; wait $server
        test ! -e s.sock";
    world.shell(script).ok().says(&["no repository \"nothing\""]);
    assert_eq!(id(&world, "a", "main"), id(&world, "b", "main"));
}

#[test]
fn hooks_of_either_side_may_refuse() {
    let world = world();
    world.ghost(["init", "b"]).ok();
    let hook = |path: &str, script: &str| {
        program(&world.path(path), format!("#!/bin/sh\n{script}\n"));
    };
    hook("b/.ghost/hooks/pre-receive", "cat >&2; echo 'not \x1b[1mtoday'; exit 3");
    let refused = world.ghost(["push", "../b"]).at("a").code(1);
    refused.says(&[
        "the hook pre-receive ended with exit code 3",
        "refs/snapshots/main",
        "not \\x1b[1mtoday",
    ]);
    assert_eq!(world.ghost(["show-ref"]).at("b").run().out(), "");
    hook("b/.ghost/hooks/pre-receive", "exit 0");
    hook("b/.ghost/hooks/update", "test \"$1\" != refs/snapshots/main");
    world
        .ghost(["push", "../b"])
        .at("a")
        .code(1)
        .says(&["the hook update ended with exit code 1"]);
    world.ghost(["push", "../b", "main:other"]).at("a").ok();
    hook(
        "a/.ghost/hooks/pre-push",
        "grep -q refs/snapshots/secret && exit 1; exit 0",
    );
    world
        .ghost(["push", "../b", "main:secret"])
        .at("a")
        .code(1)
        .says(&["pre-push"]);
    world
        .ghost(["show-ref"])
        .at("b")
        .ok()
        .hides(&["secret"])
        .says(&["other"]);
}
