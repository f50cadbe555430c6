//! t7: signals in the middle of a job: SIGUSR1 asks how far it is, SIGINT and SIGTERM end it cleanly.
//!
//! Nothing here goes by time: a job that is fed through a pipe, or held up by `io.read-limit`, stays where it is until it
//! said that it is far enough.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStderr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{World, noise};

const MIB: usize = 1 << 20;

/// Asks for the progress of a running job until a line on its standard error is as `wanted`.
fn ask_until(child: &Child, lines: &Receiver<String>, wanted: impl Fn(&str) -> bool) -> String {
    let pid = Pid::from_child(child);
    while !catches_usr1(child.id()) {
        std::thread::yield_now();
    }
    loop {
        kill_process(pid, Signal::USR1).unwrap();
        match lines.recv_timeout(Duration::from_millis(300)) {
            Ok(line) if wanted(&line) => return line,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("it ended before it was far enough"),
        }
    }
}

/// Whether the process would outlive the signal: it has just begun.
fn catches_usr1(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (Signal::USR1.as_raw() - 1) & 1 == 1
}

/// The lines of a stream, as they come.
fn lines_of(stream: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // The test has what it wanted once nobody listens any more.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// The number of bytes in a line that a template of `new={new_bytes} known={known_bytes}` made.
fn field(line: &str, name: &str) -> usize {
    let value = line
        .split(' ')
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

const STATUS: &str = "ui.status=new={new_bytes} known={known_bytes}";

fn summary(world: &World, arguments: &[&str]) -> Value {
    let done = world.ghost([&["--json"], arguments].concat()).ok();
    done.json_lines().pop().unwrap()
}

#[test]
fn the_progress_that_sigusr1_asks_for_tells_new_from_known() {
    let world = World::with_repository();
    let (old, new) = (noise(1, 32 * MIB), noise(2, 16 * MIB));
    world.ghost(["snapshot", "--stdin", "f"]).stdin(&old).ok();
    let mut child = world.ghost(["-c", STATUS, "snapshot", "--stdin", "f"]).start();
    let lines = lines_of(child.stderr.take().unwrap());
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&old).unwrap();
    // What stands in the buffers is not told yet.
    let line = ask_until(&child, &lines, |line| field(line, "known") > 20 * MIB);
    assert_eq!(field(&line, "new"), 0, "{line}");
    pipe.write_all(&new).unwrap();
    let line = ask_until(&child, &lines, |line| field(line, "new") > 8 * MIB);
    assert!(field(&line, "known") > 20 * MIB, "{line}");
    drop(pipe);
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_an_interrupted_snapshot_stored_is_not_stored_again() {
    let world = World::with_repository();
    for file in 0..64 {
        world.write(format!("tree/d{}/f{file}", file % 8), noise(file, MIB));
    }
    for signal in [Signal::INT, Signal::TERM] {
        let run = ["-c", STATUS, "-c", "io.read-limit=8MiB", "snapshot", "tree"];
        let mut child = world.ghost(run).start();
        let lines = lines_of(child.stderr.take().unwrap());
        ask_until(&child, &lines, |line| {
            field(line, "new") + field(line, "known") > 10 * MIB
        });
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let said: Vec<_> = lines.iter().collect();
        assert!(said.iter().any(|line| line.contains("interrupted")), "{said:?}");
    }
    world.ghost(["log"]).ok().says(&["no snapshot yet"]);
    let again = summary(&world, &["snapshot", "tree"]);
    let bytes = |name: &str| again[name].as_u64().unwrap() as usize;
    assert!(bytes("known_bytes") > 10 * MIB, "{again}");
    // Every byte was either there or is new, and nothing is in the store twice.
    assert!(bytes("new_bytes") + bytes("known_bytes") >= 64 * MIB, "{again}");
    let held: u64 = crate::harness::oracle::files_below(&world.path(".ghost/data"))
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(
        (held as usize) < 65 * MIB,
        "{held} bytes in data files for 64 MiB of noise"
    );
    world.ghost(["verify", "--data"]).ok();
}
