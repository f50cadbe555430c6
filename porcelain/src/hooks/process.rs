//! Running one program with a limit on its time, and showing what it prints while it runs.
//!
//! 1. The program gets a process group of its own, so that all that it starts can be stopped with it.
//! 2. One thread feeds its input, one for each stream reads what it prints and hands lines on; the caller shows them.
//! 3. It ends; or its time is over, or the caller is interrupted: then the group gets SIGTERM, and a few seconds later
//!    SIGKILL.
//!
//! What it leaves running in the background keeps its output open: that is waited for only briefly. Memory is one line a
//! stream and a few lines on their way.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A longer line is shown in pieces.
const LINE_BYTES_MAX: u64 = 4096;
/// Lines that were read and not shown yet.
const LINES_MAX: usize = 64;
/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(3);
/// How long output is waited for that something in the background holds open.
const LINGER: Duration = Duration::from_millis(500);

/// What is run, and how.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// Where it runs.
    pub folder: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What is added to its environment.
    pub variables: Vec<(&'static str, OsString)>,
    /// Its standard input. It may leave it unread.
    pub input: Vec<u8>,
    /// How long it may run; none is no limit.
    pub time_max: Option<Duration>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It took longer than this and was ended.
    TooLong(Duration),
    /// The caller was interrupted, and it was ended.
    Interrupted,
}

impl End {
    /// What is said of it.
    pub fn words(&self) -> String {
        match self {
            Self::Code(code) => format!("ended with exit code {code}"),
            Self::Signal(signal) => format!("was ended by signal {signal}"),
            Self::TooLong(limit) => format!("took longer than {} s (hooks.timeout) and was ended", limit.as_secs()),
            Self::Interrupted => "was interrupted".to_owned(),
        }
    }
}

/// Runs a program to its end; `tell` gets each line that it prints, on either stream, without its end.
pub fn run(program: &Program, interrupt: &AtomicBool, tell: &mut dyn FnMut(&[u8])) -> io::Result<End> {
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .envs(program.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&program.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = program.input.clone();
        // Who does not read its input has no need of it.
        thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let (sender, lines) = sync_channel(LINES_MAX);
    if let Some(stream) = child.stdout.take() {
        read(stream, sender.clone());
    }
    if let Some(stream) = child.stderr.take() {
        read(stream, sender.clone());
    }
    drop(sender);
    let end = wait(&mut child, program.time_max, interrupt, &lines, tell)?;
    let until = Instant::now() + LINGER;
    while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
        tell(&line);
    }
    Ok(end)
}

/// Hands on the lines of a stream.
fn read(stream: impl Read + Send + 'static, lines: SyncSender<Vec<u8>>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            // Nobody listens any more: what is left running may go on printing.
            let _ = lines.send(line);
        }
    });
}

fn wait(
    child: &mut Child,
    time_max: Option<Duration>,
    interrupt: &AtomicBool,
    lines: &Receiver<Vec<u8>>,
    tell: &mut dyn FnMut(&[u8]),
) -> io::Result<End> {
    let begun = Instant::now();
    let mut stopped: Option<(End, Instant)> = None;
    loop {
        match lines.recv_timeout(PAUSE) {
            Ok(line) => tell(&line),
            Err(RecvTimeoutError::Timeout) => {}
            // Both streams are closed, but it may run on.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(PAUSE),
        }
        if let Some(status) = child.try_wait()? {
            return Ok(stopped.map_or_else(|| end_of(status), |(end, _)| end));
        }
        match stopped {
            None if interrupt.load(Ordering::Relaxed) => {
                stopped = Some((stop(child, End::Interrupted), Instant::now()));
            }
            None => {
                if let Some(limit) = time_max.filter(|limit| begun.elapsed() >= *limit) {
                    stopped = Some((stop(child, End::TooLong(limit)), Instant::now()));
                }
            }
            Some((_, since)) if since.elapsed() >= GRACE => signal(child, Signal::KILL),
            Some(_) => {}
        }
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}

fn stop(child: &Child, end: End) -> End {
    signal(child, Signal::TERM);
    end
}

/// To the whole group; the child is not waited for yet, so its number is still its own.
fn signal(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // A group that is gone needs no signal.
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, seconds: Option<u64>) -> (End, Vec<String>) {
        let program = Program {
            path: "/bin/sh".into(),
            folder: "/".into(),
            arguments: vec![
                "-c".into(),
                script.into(),
                "hook".into(),
                "one".into(),
                "two words".into(),
            ],
            variables: vec![("GHOST_TEST", "value".into())],
            input: b"first\nsecond\n".to_vec(),
            time_max: seconds.map(Duration::from_secs),
        };
        let mut lines = Vec::new();
        let mut tell = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
        let end = run(&program, &AtomicBool::new(false), &mut tell).unwrap();
        lines.sort();
        (end, lines)
    }

    #[test]
    fn input_arguments_and_variables_arrive_and_lines_come_back() {
        let (end, lines) = shell("cat; echo \"$1,$2,$GHOST_TEST\"; pwd; echo wrong >&2; exit 3", None);
        assert_eq!(end, End::Code(3));
        assert_eq!(lines, ["/", "first", "one,two words,value", "second", "wrong"]);
    }

    #[test]
    fn long_lines_and_much_output_are_no_harm() {
        let (end, lines) = shell("head -c 10000 /dev/zero | tr '\\0' x; seq 5000", None);
        assert_eq!(end, End::Code(0));
        assert_eq!(lines.iter().map(String::len).sum::<usize>(), 10_000 + 18_893);
        assert!(lines.iter().all(|line| line.len() <= 4096));
    }

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        // The child of the shell holds the streams open; it must go, too.
        let (end, lines) = shell("trap 'echo asked; exit 0' TERM; echo begun; sleep 1000 & wait", Some(1));
        assert_eq!(end, End::TooLong(Duration::from_secs(1)));
        assert_eq!(lines, ["asked", "begun"]);
        assert_eq!(shell("kill -9 $$", None).0, End::Signal(9));
    }

    #[test]
    fn what_is_left_in_the_background_is_not_waited_for() {
        let (end, lines) = shell("sleep 5 & echo done", None);
        assert_eq!((end, lines), (End::Code(0), vec!["done".to_owned()]));
    }
}
