//! t8: jobs that are killed before a call that changes files, whose calls fail, or write half; disks that are full.
//!
//! Each job is run with `t/reliability/meddle.c` in its way, which stops it at one call, counted over all threads. Whatever
//! that is, the repository stays whole; a job that says that it is done is done; and the next run completes what this one
//! did not. Here some calls are tried; with `GHOST_TEST_ALL=1` each, and kills in the recovery, for `GHOST_TEST_MINUTES`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use crate::harness::{Done, GHOST, World, is_time_left, noise, oracle, trees};

/// Builds the meddler, once; none where that cannot be.
fn meddler() -> Option<&'static PathBuf> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("meddle");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../t/reliability/meddle.c");
        let built = std::process::Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-o"])
            .arg(&program)
            .arg(source)
            .status();
        let is_built = cfg!(target_arch = "x86_64") && built.is_ok_and(|status| status.success());
        // Where processes may not be traced nothing can be tried.
        let runs = || std::process::Command::new(&program).arg("true").status();
        (is_built && runs().is_ok_and(|status| status.success())).then_some((folder, program))
    };
    BUILT.get_or_init(build).as_ref().map(|(_, program)| program)
}

/// Ends the test, saying so, where calls cannot be stopped.
macro_rules! need_meddler {
    () => {
        match meddler() {
            Some(program) => program,
            None => return crate::harness::skip(module_path!(), "cc and ptrace on x86-64"),
        }
    };
}

fn tries_all() -> bool {
    std::env::var_os("GHOST_TEST_ALL").is_some()
}

/// Something that people run.
#[derive(Clone, Copy)]
struct Job {
    name: &'static str,
    command: &'static [&'static str],
    /// What must hold when it said that it is done.
    is_done: fn(&World, &str),
    /// What must hold at any time, beside what [`assert_whole`] asks of the repository that all have.
    always: fn(&World, &str),
}

const JOBS: [Job; 14] = [
    Job {
        name: "init",
        command: &["init", "fresh"],
        is_done: |world, _| {
            world.ghost(["--repo", "fresh", "snapshot", "tree"]).ok();
        },
        always: |_, _| {},
    },
    Job {
        name: "snapshot",
        command: &["snapshot", "tree", "-m", "second"],
        is_done: |world, what| same_as_tree(world, "@", what),
        always: |_, _| {},
    },
    Job {
        name: "update-ref",
        command: &["update-ref", "refs/snapshots/by-hand", "main"],
        is_done: |world, _| {
            let value = |name| world.ghost(["rev-parse", name]).ok().word();
            assert_eq!(value("by-hand"), value("main"));
        },
        always: |_, _| {},
    },
    Job {
        name: "config set",
        command: &["config", "set", "chunk.avg", "128KiB"],
        is_done: |world, what| {
            let value = world.ghost(["config", "get", "chunk.avg"]).ok().word();
            assert_eq!(value, "128KiB", "{what}");
        },
        always: |_, _| {},
    },
    Job {
        name: "gfs push",
        command: &["gfs", "push", "tree", "gfs:old.gfs"],
        is_done: |world, what| {
            world.ghost(["verify", "gfs:old.gfs"]).ok();
            same_as_tree(world, "gfs:old.gfs", what);
        },
        always: |_, _| {},
    },
    Job {
        name: "condense",
        command: &["condense", "snap:one.gs", "snap:two.gs", "snap:both.gs"],
        is_done: |world, what| {
            world.ghost(["verify", "snap:both.gs"]).ok();
            let names = world.ghost(["ls", "snap:both.gs"]).ok().out();
            assert!(names.contains("README") && names.contains("other"), "{what}: {names}");
        },
        always: |_, _| {},
    },
    Job {
        name: "reconstruct",
        command: &["reconstruct", "@", "filled"],
        is_done: |world, _| oracle::assert_same_listing(&world.path("first"), &world.path("filled")),
        always: |_, _| {},
    },
    Job {
        name: "reconstruct over",
        command: &["reconstruct", "@", "over", "--delete"],
        is_done: |world, _| oracle::assert_same_listing(&world.path("first"), &world.path("over")),
        always: |_, _| {},
    },
    Job {
        name: "scan",
        command: &["scan", "tree"],
        is_done: |world, _| {
            world.ghost(["where", "tree/README"]).ok();
        },
        always: |_, _| {},
    },
    Job {
        name: "gc",
        command: &["--repo", "worn", "gc", "--max-unused", "0"],
        is_done: |world, what| {
            let kept = oracle::data_bytes(&world.path("worn/.ghost"));
            assert!(kept < 400_000, "{what}: {kept} bytes are left");
        },
        always: |world, what| restores(world, "worn", what),
    },
    Job {
        name: "repair",
        command: &["--repo", "hurt", "repair"],
        is_done: |world, what| clean(world, "hurt", what),
        // What no damage was done to is there.
        always: |world, what| restores(world, "hurt", what),
    },
    Job {
        name: "heal",
        command: &["--repo", "lost", "heal", "--from", "first/."],
        is_done: |world, what| {
            clean(world, "lost", what);
            restores(world, "lost", what);
        },
        always: |world, what| {
            let done = world.ghost(["--repo", "lost", "ls", "main:"]).run();
            assert_eq!(done.code, Some(0), "{what}: {done}");
        },
    },
    Job {
        name: "push",
        command: &["--repo", "near", "push", "far"],
        is_done: |world, what| same_line(world, what),
        always: |world, what| both_clean(world, what),
    },
    Job {
        name: "fetch",
        command: &["--repo", "near", "fetch", "more"],
        is_done: |world, _| {
            world.ghost(["--repo", "near", "rev-parse", "more/main"]).ok();
        },
        always: |world, what| both_clean(world, what),
    },
];

/// Everything in a repository reads.
fn clean(world: &World, repository: &str, what: &str) {
    let verify = world.ghost(["--repo", repository, "verify", "--data"]).run();
    assert_eq!(verify.code, Some(0), "{what}: {repository}: {verify}");
}

/// The newest snapshot of a repository is the tree `first`.
fn restores(world: &World, repository: &str, what: &str) {
    let _ = fs::remove_dir_all(world.path("out"));
    let done = world.ghost(["--repo", repository, "reconstruct", "main", "out"]).run();
    assert_eq!(done.code, Some(0), "{what}: {repository}: {done}");
    oracle::assert_same_listing(&world.path("first"), &world.path("out"));
    fs::remove_dir_all(world.path("out")).unwrap();
}

/// What was transferred, in part or whole, left both ends whole.
fn both_clean(world: &World, what: &str) {
    for repository in ["near", "far", "more"] {
        clean(world, repository, what);
    }
}

fn same_line(world: &World, what: &str) {
    let id = |repository| world.ghost(["--repo", repository, "rev-parse", "main"]).ok().word();
    assert_eq!(id("near"), id("far"), "{what}");
}

fn same_as_tree(world: &World, revision: &str, what: &str) {
    let _ = fs::remove_dir_all(world.path("out"));
    let done = world.ghost(["reconstruct", revision, "out"]).run();
    assert_eq!(done.code, Some(0), "{what}: {done}");
    oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
    fs::remove_dir_all(world.path("out")).unwrap();
}

/// A repository with a snapshot of `first`, which the files in `tree` are a step ahead of; bundles; a folder to fill.
fn prepare() -> World {
    let world = World::in_memory();
    trees::small(&world.path("first"));
    world.ghost(["snapshot", "first", "-m", "first"]).ok();
    world.ghost(["gfs", "push", "first", "gfs:old.gfs"]).ok();
    world.shell("cp -a first tree; cp -a first over").ok();
    world.write("tree/src/more", noise(4, 50_000));
    world.write("over/src/main.c", "changed");
    world.write("over/extra/file", "to be deleted");
    world.write("another/other", "another tree");
    world.ghost(["snapshot", "-o", "one.gs", "tree"]).ok();
    world.ghost(["snapshot", "-o", "two.gs", "another"]).ok();
    others(&world);
    keep(&world, "saved");
    world
}

/// Repositories for the jobs that need one of their own.
fn others(world: &World) {
    let noisy = |number| noise(number, 300_000);
    world.write("goes/noise", noisy(21));
    world.write("second/noise", noisy(22));
    for repository in ["worn", "hurt", "lost", "near", "far", "more"] {
        world.ghost(["init", "-q", repository]).ok();
        world.ghost(["--repo", repository, "snapshot", "-q", "first"]).ok();
    }
    for repository in ["worn", "hurt"] {
        world
            .ghost(["--repo", repository, "snapshot", "-q", "goes", "--ref", "goes"])
            .ok();
        world
            .ghost(["--repo", repository, "update-ref", "-d", "refs/snapshots/goes"])
            .ok();
    }
    // Of one repository what nobody needs is hurt, of another the content of a file.
    flip(&world.path("hurt"), &noisy(21));
    world
        .ghost(["--repo", "hurt", "verify", "--data"])
        .code(4)
        .says(&["0 damaged paths"]);
    flip(&world.path("lost"), &world.read("first/src/deep/noise"));
    world
        .ghost(["--repo", "lost", "verify", "--data"])
        .code(4)
        .hides(&["0 damaged paths"]);
    // Two that have something for the third.
    world.ghost(["--repo", "near", "remote", "add", "far", "far"]).ok();
    world.ghost(["--repo", "near", "remote", "add", "more", "more"]).ok();
    world
        .ghost(["--repo", "far", "update-ref", "-d", "refs/snapshots/main"])
        .ok();
    world.ghost(["--repo", "near", "snapshot", "-q", "second"]).ok();
    world.ghost(["--repo", "more", "snapshot", "-q", "goes"]).ok();
}

/// Flips a bit of content that does not compress. It is stored as it is, in whatever order frames were written, so that it is
/// found by its bytes.
fn flip(repository: &Path, content: &[u8]) {
    let wanted = &content[1000..1032];
    let hurt = oracle::data_files(&repository.join(".ghost")).into_iter().any(|path| {
        let mut bytes = fs::read(&path).unwrap();
        let Some(at) = bytes.windows(wanted.len()).position(|found| found == wanted) else {
            return false;
        };
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).is_ok()
    });
    assert!(hurt, "{} does not have the content as it is", repository.display());
}

/// Copies all that is below `work/`.
fn keep(world: &World, name: &str) {
    let script = format!("rm -rf ../{name}; cp -a . ../{name}");
    world.shell(&script).ok();
}

/// Puts everything below `work/` back as it was kept.
fn bring_back(world: &World, name: &str) {
    let script = format!("find . -mindepth 1 -maxdepth 1 -exec rm -rf {{}} +; cp -a ../{name}/. .");
    world.shell(&script).ok();
}

/// Runs a job with the meddler in its way.
fn meddle(world: &World, job: &Job, arguments: &[&str]) -> Done {
    let program = meddler().unwrap();
    let command = arguments
        .iter()
        .copied()
        .chain(["--", &GHOST])
        .chain(job.command.iter().copied());
    world.command(program, command).run()
}

/// How many calls of the job change files.
fn calls(world: &World, job: &Job) -> usize {
    let list = world.root().join("calls");
    meddle(world, job, &["-l", list.to_str().unwrap()]);
    fs::read_to_string(list).unwrap().lines().count() - 1
}

/// Some numbers from 1 to `count`, or all of them; `salt` chooses which.
fn some(count: usize, few: usize, salt: usize) -> Vec<usize> {
    if tries_all() {
        return (1..=count).collect();
    }
    let step = (count / few).max(1);
    (1 + salt % step..=count).step_by(step).collect()
}

/// Whatever happened: the repository, and the bundle that was there, are whole, and hold what was acknowledged.
fn assert_whole(world: &World, what: &str) {
    let verify = world.ghost(["verify", "--data"]).run();
    assert_eq!(verify.code, Some(0), "{what}: {verify}");
    let log = world.ghost(["log"]).run();
    assert!(log.code == Some(0) && log.out().contains("first"), "{what}: {log}");
    let bundle = world.ghost(["verify", "gfs:old.gfs"]).run();
    assert_eq!(bundle.code, Some(0), "{what}: {bundle}");
}

/// The job once more, without anybody in its way.
fn complete(world: &World, job: &Job, what: &str) {
    let again = world.ghost(job.command).run();
    assert_eq!(again.code, Some(0), "{what}: again: {again}");
    (job.is_done)(world, what);
    assert_whole(world, what);
}

/// Kills a job before a call, and the next run before a second one, if any; then the job completes.
fn kill(world: &World, job: &Job, calls: &[usize]) {
    bring_back(world, "saved");
    let mut what = job.name.to_owned();
    for number in calls {
        what = format!("{what}, killed before call {number}");
        let killed = meddle(world, job, &["-n", &number.to_string(), "-a", "kill"]);
        assert!(matches!(killed.code, Some(137 | 0)), "{what}: {killed}");
        assert_whole(world, &what);
        (job.always)(world, &what);
        // Killed right before it renames what is new, `reconstruct` leaves that under another name, as rsync does. A run that
        // ends by itself leaves none, and with --delete none of another run.
        let script = "[ ! -d filled ] || find filled -name '.~ghost-????????????????' -type f -delete";
        world.shell(script).ok();
    }
    complete(world, job, &what);
}

/// The `number`-th of `count` in an order that looks random, and is another for each `salt`.
fn scattered(number: usize, count: usize, salt: usize) -> usize {
    // A prime, so that each has its turn.
    (number * 2_147_483_647 + salt * 1_000_003) % count
}

#[test]
fn a_kill_before_any_call_leaves_a_repository_that_goes_on() {
    need_meddler!();
    let (world, begun) = (prepare(), Instant::now());
    let mut counts = Vec::new();
    let mut kills = [[0; 2]; JOBS.len()];
    for (at, job) in JOBS.iter().enumerate() {
        bring_back(&world, "saved");
        counts.push(calls(&world, job));
        for number in some(counts[at], 1, 3 * at) {
            if is_time_left(begun, 1) {
                kill(&world, job, &[number]);
                kills[at][0] += 1;
            }
        }
    }
    // Then pairs of calls, of all jobs in turn, as many as there is time for: in each round every call is the first once, and
    // every call the second.
    let pairs = |count: usize| if tries_all() { count * count } else { 1 };
    let most = counts.iter().map(|count| pairs(*count)).max().unwrap();
    for turn in 0..most {
        for (at, job) in JOBS.iter().enumerate() {
            let count = counts[at];
            if turn < pairs(count) && is_time_left(begun, 1) {
                let first = scattered(turn % count, count, at);
                let second = scattered(first, count, at + turn / count);
                kill(&world, job, &[1 + first, 1 + second]);
                kills[at][1] += 1;
            }
        }
    }
    for (at, job) in JOBS.iter().enumerate() {
        let (count, [once, twice]) = (counts[at], kills[at]);
        println!(
            "figure: {}: {count} calls, killed before {once} of them, and {twice} times again in the recovery, after each {} times",
            job.name,
            twice / count
        );
    }
}

/// What is done to a call that fails; with `-f` to all after it, too.
const FAILURES: [&[&str]; 6] = [
    &["-a", "EIO"],
    &["-a", "ENOSPC"],
    &["-a", "EINTR"],
    &["-a", "short"],
    &["-a", "EIO", "-f"],
    &["-a", "ENOSPC", "-f"],
];

/// Fails a call of a job, which either says so, or did all the same what it says. Whether it said so.
fn fail(world: &World, job: &Job, way: usize, number: usize) -> bool {
    bring_back(world, "saved");
    let what = format!("{}: {:?} at call {number}", job.name, FAILURES[way]);
    let number = number.to_string();
    let met = meddle(world, job, &[FAILURES[way], &["-n", &number]].concat());
    let is_told = met.code != Some(0);
    if is_told {
        assert!(matches!(met.code, Some(1..=4)), "{what}: {met}");
        let told = met.stderr();
        assert!(told.contains("error: ") || told.contains("cannot"), "{what}: {met}");
    } else {
        (job.is_done)(world, &what);
    }
    assert_whole(world, &what);
    (job.always)(world, &what);
    complete(world, job, &what);
    is_told
}

#[test]
fn a_call_that_fails_never_earns_a_false_done() {
    need_meddler!();
    let (world, begun) = (prepare(), Instant::now());
    let mut counts = Vec::new();
    for job in &JOBS {
        bring_back(&world, "saved");
        counts.push(calls(&world, job));
    }
    // Each call in each way, of all jobs in turn; or two of each job.
    let tries = |count: usize| if tries_all() { count * FAILURES.len() } else { 2 };
    let most = counts.iter().map(|count| tries(*count)).max().unwrap();
    let mut told = [[0; 2]; JOBS.len()];
    for turn in 0..most {
        for (at, job) in JOBS.iter().enumerate() {
            if turn < tries(counts[at]) && is_time_left(begun, 1) {
                let chosen = scattered(turn, counts[at] * FAILURES.len(), at);
                let is_told = fail(&world, job, chosen % FAILURES.len(), 1 + chosen / FAILURES.len());
                told[at][usize::from(is_told)] += 1;
            }
        }
    }
    for (at, job) in JOBS.iter().enumerate() {
        let (tries, [done, failed]) = (counts[at] * FAILURES.len(), told[at]);
        let tried = done + failed;
        println!(
            "figure: {}: {tried} of {tries} failures, {failed} said so, {done} done all the same",
            job.name
        );
    }
}

/// Kills at any moment, again and again. `GHOST_TEST_KILLS` says how many, `GHOST_TEST_SEED` which.
#[test]
fn random_kills_lose_nothing_that_was_acknowledged() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("GHOST_TEST_KILLS").unwrap_or(12);
    let seed = number("GHOST_TEST_SEED").unwrap_or(1);
    let mut dice = noise(seed, 8 * kills as usize).into_iter();
    let mut roll = || u64::from_le_bytes(std::array::from_fn(|_| dice.next().unwrap_or(1)));
    let (all_begun, mut tried, mut done) = (Instant::now(), 0, 0);
    // A new world now and then, so that looking at everything stays cheap.
    for batch in (0..kills).step_by(100) {
        if !is_time_left(all_begun, 1) {
            break;
        }
        let world = World::in_memory();
        let mut acknowledged = Vec::new();
        let begun = Instant::now();
        world.ghost(["snapshot", "--dry-run", "."]).ok();
        // Twice the time of a run: most are killed, some are done.
        let most = 2 * begun.elapsed().as_micros() as u64;
        for number in batch..kills.min(batch + 100) {
            world.write(format!("tree/{}", number % 7), noise(number, 30_000));
            world.write("tree/number", number.to_string());
            let message = format!("number {number} ends");
            let mut child = world.ghost(["snapshot", "tree", "-m", &message]).spawn();
            std::thread::sleep(std::time::Duration::from_micros(roll() % most));
            let _ = child.kill();
            if child.wait().unwrap().success() {
                acknowledged.push(message);
            }
            let verify = world.ghost(["verify", "--data"]).run();
            assert_eq!(verify.code, Some(0), "kill {number}: {verify}");
            let log = world.ghost(["log"]).run();
            for message in &acknowledged {
                assert!(
                    log.out().contains(message.as_str()),
                    "kill {number}: {message} is lost: {log}"
                );
            }
        }
        tried += kills.min(batch + 100) - batch;
        done += acknowledged.len();
    }
    println!(
        "figure: seed {seed}: {tried} of {kills} snapshots killed at random moments; {done} were done before, none is lost"
    );
}

/// A file system of 16 MiB, full in the middle of each job; when there is room again, the next run completes.
#[test]
fn a_full_file_system_costs_only_the_run() {
    need_root!();
    need!("mkfs.ext4", "unshare");
    let world = World::new();
    trees::small(&world.path("first"));
    world.write("large/noise", noise(1, 5_000_000));
    let done = world.shell(&format!("unshare -m bash -eu <<'END'\n{FULL}\nEND")).run();
    if done.code == Some(77) || done.stderr().contains("unshare:") {
        return crate::harness::skip(module_path!(), "loop mounts");
    }
    let expected = "snapshot: 1, whole, then 0\ngfs push: 1, whole, then 0\nreconstruct: 3, whole, then 0\n";
    assert_eq!(done.out(), expected, "{done}");
    done.says(&["No space left"]);
}

/// Each job has the file system to itself, but for what leaves it too little room.
const FULL: &str = "
    ghost -q init whole; ghost -q --repo whole snapshot large
    try() {
        truncate -s 0 image; truncate -s 16M image; mkfs.ext4 -q image; mkdir -p small
        mount -o loop image small || exit 77
        ghost init small >&2; ghost --repo small snapshot first >&2
        ghost -q gfs push first gfs:small/f.gfs >&2
        head -c 10000000 /dev/zero > small/ballast
        code=0; \"${@:2}\" >&2 || code=$?
        ghost --repo small verify --data >&2; ghost verify gfs:small/f.gfs >&2
        rm small/ballast
        again=0; \"${@:2}\" >&2 || again=$?
        ghost --repo small verify --data >&2; ghost verify gfs:small/f.gfs >&2
        echo \"$1: $code, whole, then $again\"
        umount small
    }
    trap 'umount small 2>/dev/null || true' EXIT
    try snapshot ghost --repo small snapshot large
    try 'gfs push' ghost gfs push large gfs:small/f.gfs
    try reconstruct ghost --repo whole reconstruct @ small/out
";
