//! t7: keeping and forgetting: policies, names, clocks that are wrong, what a gc leaves.

use std::fs;

use crate::harness::{Done, World, noise};

/// Takes a snapshot of `tree` at a time, with a file that is only in it; gives its id.
pub fn snapshot_at(world: &World, time: &str, arguments: &[&str]) -> String {
    world.write("tree/when", time);
    let arguments = [&["snapshot", "-q", "tree"], arguments].concat();
    world.ghost(arguments).env("GHOST_TIME", time).ok();
    world.ghost(["rev-parse", "main"]).ok().word()
}

/// A world with a snapshot for each day from the first of November on, oldest first.
pub fn days(count: usize) -> (World, Vec<String>) {
    let world = World::with_repository();
    world.write("tree/always", "here\n");
    let day = |day: usize| snapshot_at(&world, &format!("2025-11-{day:02}T12:00:00Z"), &[]);
    let ids = (1..=count).map(day).collect();
    (world, ids)
}

pub fn listed(world: &World, arguments: &[&str]) -> Vec<String> {
    let done = world.ghost([&["rev-list"], arguments].concat()).ok();
    done.out().lines().map(str::to_owned).collect()
}

/// The first digits of an id, as people see them.
pub fn short(id: &str) -> &str {
    &id["sha256:".len()..]["".len()..10]
}

fn summary(done: &Done) -> serde_json::Value {
    done.json_lines().pop().unwrap()
}

#[test]
fn a_policy_forgets_and_undo_brings_back() {
    let (world, ids) = days(10);
    let before = fs::metadata(world.path(".ghost/refs/log")).unwrap().len();
    let dry = world
        .ghost(["forget", "--keep-last", "2", "--keep-weekly", "2", "--dry-run"])
        .ok();
    // The 9th is a Sunday: weeks are those of the 10th and of the 9th.
    dry.says(&[
        "Line main, host host, of $W/work/tree: 2 stay, 8 would go",
        &format!(
            "keep   {} 2025-11-10 12:00:00 +00:00  newest of line main, one of the last, weekly",
            short(&ids[9])
        ),
        &format!(
            "keep   {} 2025-11-09 12:00:00 +00:00  one of the last, weekly",
            short(&ids[8])
        ),
        &format!(
            "forget {} 2025-11-08 12:00:00 +00:00  same week as {}",
            short(&ids[7]),
            short(&ids[8])
        ),
        &format!("forget {} 2025-11-02 12:00:00 +00:00  no rule keeps it", short(&ids[1])),
        "8 snapshots would be forgotten; nothing was changed",
    ]);
    assert_eq!(fs::metadata(world.path(".ghost/refs/log")).unwrap().len(), before);

    world
        .ghost(["forget", "--keep-last", "2", "--keep-weekly", "2"])
        .ok()
        .says(&["8 snapshots forgotten; `ghost undo` brings back"]);
    let kept = [ids[9].clone(), ids[8].clone()];
    assert_eq!(listed(&world, &["main"]), kept);
    assert_eq!(world.ghost(["log", "--oneline"]).ok().out().lines().count(), 2);
    world.ghost(["log", "--all"]).ok().says(&["(forgotten)", &ids[0]]);
    assert_eq!(listed(&world, &["--all"]).len(), 10);
    // Revisions count what is left; ids and the log of the line say what they say.
    assert_eq!(world.ghost(["rev-parse", "main~1"]).ok().word(), ids[8]);
    world.ghost(["rev-parse", "main~2"]).code(1).says(&["are forgotten"]);
    assert_eq!(world.ghost(["rev-parse", "main@{3}"]).ok().word(), ids[6]);
    world.ghost(["rev-parse", "main@{2025-11-05}"]).code(1);
    assert_eq!(
        world.ghost(["rev-parse", "main@{2025-11-09 13:00}"]).ok().word(),
        ids[8]
    );
    assert_eq!(
        world.ghost(["cat", &format!("{}:when", ids[3])]).ok().out(),
        "2025-11-04T12:00:00Z"
    );
    world
        .ghost(["verify", "--data"])
        .ok()
        .says(&["No damage in 2 snapshots"]);
    world.ghost(["stats"]).ok().says(&["Forgotten  8 snapshots"]);
    world.ghost(["show", &ids[3]]).ok().says(&["It is forgotten"]);
    let found = world.ghost(["find", "when"]).ok();
    assert_eq!(found.out().lines().count(), 2);
    // A second run has nothing to do, and the next snapshot goes on.
    world
        .ghost(["forget", "--keep-last", "2", "--keep-weekly", "2"])
        .ok()
        .says(&["Nothing is forgotten."]);

    world
        .ghost(["undo"])
        .ok()
        .says(&["Took back record 11", "no longer forgotten"]);
    assert_eq!(listed(&world, &["main"]).len(), 10);
    world.ghost(["undo"]).ok();
    assert_eq!(listed(&world, &["main"]), kept);
    world
        .ghost(["forget", "--restore", &ids[0], &ids[5]])
        .ok()
        .says(&["2 snapshots brought back"]);
    assert_eq!(listed(&world, &["main"]), [9, 8, 5, 0].map(|at: usize| ids[at].clone()));
    world
        .ghost(["forget", "--restore", &ids[0]])
        .code(1)
        .says(&["is not forgotten"]);
}

#[test]
fn policies_come_from_the_configuration_too() {
    let (world, ids) = days(4);
    world
        .ghost(["forget"])
        .code(2)
        .says(&["there is no policy", "--keep-daily"]);
    world
        .ghost(["forget", "--keep-last", "0"])
        .code(2)
        .says(&["all would be forgotten"]);
    world
        .ghost(["config", "set", "retention.keep-within", "6 moons"])
        .code(2);
    world.ghost(["config", "set", "retention.keep-within", "36h"]).ok();
    let done = world.ghost(["forget", "--json"]).ok();
    assert_eq!(summary(&done)["kept"], 2);
    assert_eq!(listed(&world, &["main"]), [3, 2].map(|at: usize| ids[at].clone()));
    // Options replace all of it.
    world.ghost(["undo"]).ok();
    let done = world.ghost(["forget", "--json", "--keep-last", "3"]).ok();
    assert_eq!(
        (&summary(&done)["kept"], &summary(&done)["forgotten"]),
        (&3.into(), &1.into())
    );
    let decisions = done.json_lines();
    assert_eq!(decisions[0]["id"], ids[3].as_str());
    assert_eq!(decisions[0]["reasons"][1], "one of the last");
    assert_eq!(decisions[3]["keep"], false);
    for wrong in [
        &["forget", "--keep-last", "x"][..],
        &["forget", "--keep-within", "1x"],
        &["forget", "--keep-last", "1", "--group-by", "tree"],
        &["forget", "--keep-last", "1", "@"],
        &["forget", "--host", "h", "@"],
        &["forget", "--restore"],
    ] {
        world.ghost(wrong).code(2);
    }
    world
        .ghost(["forget", "--keep-last", "1", "--line", "none"])
        .code(1)
        .says(&["there is no line none", "lines are: main"]);
}

#[test]
fn hosts_roots_labels_and_lines_are_kept_apart() {
    let world = World::with_repository();
    world.write("tree/a", "a");
    world.write("other/b", "b");
    for (number, (host, root)) in [("loom", "tree"), ("tern", "tree"), ("loom", "other"), ("loom", "tree")]
        .into_iter()
        .cycle()
        .take(8)
        .enumerate()
    {
        let time = format!("2025-11-{:02}T12:00:00Z", number + 1);
        world.write(format!("{root}/when"), &time);
        let label = if number == 0 { "first" } else { "later" };
        world
            .ghost(["snapshot", "-q", root, "--tag", label])
            .env("GHOST_TIME", &time)
            .env("GHOST_HOST", host)
            .ok();
    }
    let count = |arguments: &[&str]| {
        let done = world
            .ghost([&["forget", "--json", "--dry-run"], arguments].concat())
            .ok();
        let summary = summary(&done);
        (
            summary["groups"].as_u64().unwrap(),
            summary["forgotten"].as_u64().unwrap(),
        )
    };
    assert_eq!(count(&["--keep-last", "1"]), (3, 5));
    assert_eq!(count(&["--keep-last", "1", "--group-by", "host"]), (2, 6));
    assert_eq!(count(&["--keep-last", "1", "--group-by", ""]), (1, 7));
    assert_eq!(count(&["--keep-last", "1", "--host", "loom"]), (2, 4));
    assert_eq!(count(&["--keep-last", "1", "--path", "other"]), (1, 1));
    assert_eq!(count(&["--keep-last", "1", "--tag", "first"]), (1, 0));
    assert_eq!(count(&["--keep-tag", "first", "--group-by", ""]), (1, 6));
    // A tag keeps what it names.
    world.ghost(["tag", "v1", "main~4"]).ok();
    assert_eq!(count(&["--keep-last", "1", "--group-by", ""]), (1, 6));
    // What is on another line, too, stays while that line keeps it or is not asked about.
    world.ghost(["update-ref", "refs/snapshots/side", "main~5"]).ok();
    let shared = world.ghost(["rev-parse", "side~1"]).ok().word();
    let done = world
        .ghost(["forget", "--dry-run", "--keep-last", "2", "--group-by", "line"])
        .ok();
    done.says(&[&format!(
        "{} 2025-11-02 12:00:00 +00:00  kept on line side",
        short(&shared)
    )]);
    let done = world
        .ghost([
            "forget",
            "--dry-run",
            "--keep-last",
            "1",
            "--line",
            "main",
            "--group-by",
            "",
        ])
        .ok();
    done.says(&["on line side too", "3 snapshots would be forgotten"]);
}

#[test]
fn snapshots_are_forgotten_by_name() {
    let (world, ids) = days(4);
    world.ghost(["tag", "keep", &ids[1]]).ok();
    world
        .ghost(["forget", "keep"])
        .code(1)
        .says(&["stays: tag keep names it", "ghost tag -d keep"]);
    let done = world.ghost(["forget", "@", &ids[3], "main~1"]).ok();
    done.says(&["2 snapshots forgotten", "named, on line main"]);
    assert_eq!(world.ghost(["rev-parse", "@"]).ok().word(), ids[1]);
    world
        .ghost(["forget", &ids[3]])
        .ok()
        .says(&["was forgotten before", "Nothing is forgotten"]);
    world.ghost(["forget", "no-such-thing"]).code(1);
    world.ghost(["forget", "0000000"]).code(1);
    // Status and diff compare with what is left.
    world.ghost(["status"]).ok().says(&[short(&ids[1])]);
    // The next snapshot is no copy of a forgotten one, though nothing changed since.
    world
        .ghost(["snapshot", "--skip-if-unchanged", "tree"])
        .ok()
        .says(&["on line main"]);
    let newest = world.ghost(["rev-parse", "@"]).ok().word();
    assert_eq!(world.ghost(["rev-parse", "@~1"]).ok().word(), ids[1]);
    let raw = world.ghost(["rev-list", "--parents", "-n", "1", "main"]).ok().word();
    assert_eq!(
        raw,
        format!("{newest} {}", ids[3]),
        "the chain goes on through what is forgotten"
    );
    // A whole line can go by name.
    world.ghost(["tag", "-d", "keep"]).ok();
    world.ghost(["forget", &newest, &ids[1], &ids[0]]).ok();
    world
        .ghost(["show", "@"])
        .code(1)
        .says(&["snapshot left on line", "ghost log --all"]);
    world.ghost(["log"]).ok().says(&["are forgotten; `ghost log --all`"]);
    // What no line leads to cannot be forgotten, and no tag takes what is forgotten.
    world
        .ghost(["tag", "v1", &ids[0]])
        .code(1)
        .says(&["is forgotten", "--restore"]);
    world.ghost(["undo", "-n", "1"]).ok();
    world.ghost(["update-ref", "refs/snapshots/main", &ids[0]]).ok();
    world.ghost(["forget", &newest]).code(1).says(&["no line leads to"]);
}

#[test]
fn clocks_that_are_wrong_lose_nothing() {
    let world = World::with_repository();
    world.write("tree/a", "a");
    let mut ids: Vec<String> = (1..=3)
        .map(|day| snapshot_at(&world, &format!("2025-11-{day:02}T12:00:00Z"), &[]))
        .collect();
    // Ten years ahead, ten years back, right again.
    ids.push(snapshot_at(&world, "2035-11-04T12:00:00Z", &[]));
    ids.push(snapshot_at(&world, "2015-11-05T12:00:00Z", &[]));
    ids.push(snapshot_at(&world, "2025-11-06T12:00:00Z", &[]));
    let done = world.ghost(["forget", "--keep-last", "2", "--dry-run"]).ok();
    done.says(&[
        &format!("keep   {} 2035-11-04 12:00:00 +00:00  in the future", short(&ids[3])),
        &format!("keep   {} 2015-11-05 12:00:00 +00:00  one of the last", short(&ids[4])),
        "3 snapshots would be forgotten",
    ]);
    world
        .ghost(["forget", "--keep-within", "4d", "--dry-run"])
        .ok()
        .says(&["3 stay, 3 would go"]);
    // The clock of this run is ten years back: all but the oldest lie in the future.
    let back = world
        .ghost(["forget", "--keep-last", "1", "--dry-run"])
        .env("GHOST_TIME", "2015-12-01T00:00:00Z");
    back.ok().says(&["Nothing is forgotten"]);
}

#[test]
fn a_backup_in_ci_restores_what_it_keeps() {
    let world = World::new();
    world.write("public/index.html", "<p>\n");
    world.write("dump.sql", "select 1;\n");
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("contrib/ci/backup.sh");
    let run = |number: &str| {
        let command = format!("{} public dump.sql", script.display());
        world
            .shell(&command)
            .env("GHOST_REPO", world.path("repo"))
            .env("GHOST_RUN", number)
    };
    run("1").ok().says(&["Snapshot ", "No damage"]);
    run("2").ok().says(&["Nothing changed"]);
    world.write("public/index.html", "<p>new\n");
    run("3").ok();
    let log = world.ghost(["--repo", "repo", "log"]).ok();
    log.says(&["Tags:    ci, run-3", "run 1"]).hides(&["run 2"]);
    // What cannot be read fails the job.
    if crate::harness::is_root() {
        return;
    }
    crate::harness::set_mode(&world.path("dump.sql"), 0);
    run("4").code(3);
}

#[test]
fn what_a_gc_freed_cannot_be_brought_back_and_all_else_goes_on() {
    let world = World::with_repository();
    world.write("tree/always", noise(1, 50_000));
    let ids: Vec<String> = (1..=4)
        .map(|day| {
            world.write("tree/big", noise(day, 400_000));
            snapshot_at(&world, &format!("2025-11-{day:02}T12:00:00Z"), &[])
        })
        .collect();
    let stored = || crate::harness::oracle::data_bytes(&world.path(".ghost"));
    let before = stored();
    world.ghost(["forget", "--keep-last", "2"]).ok();
    assert_eq!(stored(), before, "forgetting frees nothing");
    world.ghost(["gc", "--max-unused", "0%"]).ok();
    assert!(stored() < before - 700_000, "{} of {before}", stored());
    // What is left is whole; what went says so.
    world
        .ghost(["verify", "--data"])
        .ok()
        .says(&["No damage in 2 snapshots"]);
    let refused = ["freed", "ghost log --all"];
    world
        .ghost(["forget", "--restore", &ids[0]])
        .code(1)
        .says(&refused[..1]);
    world.ghost(["undo"]).code(1).says(&refused[..1]);
    world.ghost(["log"]).ok().hides(&[&ids[0]]);
    world.ghost(["log", "--all"]).ok().says(&["(forgotten)", &ids[0]]);
    world.ghost(["show", &ids[0]]).ok().says(&["It is forgotten"]);
    world.ghost(["find", "big"]).ok();
    world.ghost(["stats"]).ok();
    assert_eq!(listed(&world, &["--all"]).len(), 4);
    world.ghost(["rev-list", "--all", "--objects"]).ok();
    // History is changed all the same: forgotten snapshots stay forgotten, and are made anew without their trees.
    world.ghost(["amend", &ids[2], "-m", "third"]).ok();
    world.ghost(["amend", &ids[0], "-m", "first"]).ok();
    world
        .ghost(["rewrite", "--exclude", "always"])
        .ok()
        .says(&["2 snapshots changed"]);
    assert_eq!(listed(&world, &["--all"]).len(), 4);
    assert_eq!(listed(&world, &["main"]).len(), 2);
    // What an amendment left behind goes with the next gc, and with it the way back.
    world.ghost(["undo"]).ok();
    world.ghost(["gc", "--max-unused", "0%"]).ok();
    world.ghost(["undo"]).code(1);
    world.ghost(["verify", "--data"]).ok();
    // A state that was forgotten and freed is stored again as a new one.
    world.write("tree/big", noise(1, 400_000));
    let again = snapshot_at(&world, "2025-12-01T12:00:00Z", &[]);
    assert_eq!(
        world.ghost(["cat", &format!("{again}:big")]).ok().stdout,
        noise(1, 400_000)
    );
    world
        .ghost(["verify", "--data"])
        .ok()
        .says(&["No damage in 3 snapshots"]);
}
