//! A world of its own for every scenario: a temporary folder with a home in it, no configuration of the user, a fixed
//! language, time zone, host and author; and the built `ghost` to run in it.
//!
//! A scenario reads like a session:
//!
//! ```ignore
//! let world = World::new();
//! world.write("src/hello", "hello\n");
//! world.ghost(["init", "."]).ok();
//! world.ghost(["snapshot", "src"]).ok();
//! ```

pub mod oracle;
pub mod trees;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

/// The binary that cargo built for these tests, or the one that `GHOST` names: one that is not built anew while a long run
/// goes on.
pub static GHOST: LazyLock<String> =
    LazyLock::new(|| std::env::var("GHOST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ghost").to_owned()));

/// The user and group that stand for "somebody else" when the tests run as root.
pub const NOBODY: u32 = 65534;

/// The time that every scenario believes it is, unless it says otherwise.
pub const NOW: &str = "2026-01-02T03:04:05Z";

/// Ends the test, saying so, where a tool that it compares with is not installed.
macro_rules! need {
    ($($tool:literal),+) => {
        $(if !$crate::harness::has($tool) {
            return $crate::harness::skip(module_path!(), $tool);
        })+
    };
}

/// Ends the test, saying so, where it does not run as root.
macro_rules! need_root {
    () => {
        if !$crate::harness::is_root() {
            return $crate::harness::skip(module_path!(), "root");
        }
    };
}

/// Whether a command is installed.
pub fn has(tool: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()))
}

/// Whether there is time for more in one of so many jobs, where `GHOST_TEST_MINUTES` says how much there is for all.
pub fn is_time_left(begun: Instant, jobs: usize) -> bool {
    let most = std::env::var("GHOST_TEST_MINUTES").map_or(u64::MAX, |text| 60 * text.parse::<u64>().unwrap());
    begun.elapsed().as_secs() < most / jobs as u64
}

/// Notes that a test was skipped where `t/run` finds it.
pub fn skip(module: &str, what: &str) {
    let test = std::thread::current().name().unwrap_or(module).to_owned();
    eprintln!("skipped: {test} needs {what}");
    if let Some(path) = std::env::var_os("GHOST_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: needs {what}").unwrap();
    }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A temporary folder with everything that one scenario touches.
#[derive(Debug)]
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// An empty world: `work/`, where commands run, and `home/`.
    pub fn new() -> Self {
        Self::of(tempfile::Builder::new().prefix("ghost-t-").tempdir().unwrap())
    }

    /// A world with a repository, in memory where the machine has a folder there: for many files, where the disk is not
    /// the point.
    pub fn in_memory() -> Self {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("ghost-t-");
        let folder = builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir());
        let world = Self::of(folder.unwrap());
        world.ghost(["init"]).ok();
        world
    }

    fn of(folder: tempfile::TempDir) -> Self {
        let world = Self { folder };
        // Readable to nobody too: some scenarios run as somebody else.
        set_mode(world.folder.path(), 0o755);
        fs::create_dir(world.root().join("home")).unwrap();
        fs::create_dir(world.root().join("work")).unwrap();
        world
    }

    /// A world with a repository in `work/.ghost`.
    pub fn with_repository() -> Self {
        let world = Self::new();
        world.ghost(["init"]).ok();
        world
    }

    /// The temporary folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path below `work/`.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join("work").join(name)
    }

    /// Writes a file below `work/`, with the folders that lead to it.
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Reads a file below `work/`.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
    }

    /// `ghost ARGUMENTS` in `work/`, ready to run.
    pub fn ghost<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run<'_> {
        self.command(&*GHOST, arguments)
    }

    /// Any command in the same surroundings.
    pub fn command<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Run<'_> {
        let mut command = Command::new(program);
        command.args(arguments);
        command.current_dir(self.path("")).env_clear();
        for name in ["PATH", "LLVM_PROFILE_FILE", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("HOME", self.root().join("home"));
        for (name, value) in [
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("TERM", "dumb"),
            ("GHOST_HOST", "host"),
            ("GHOST_USER", "user"),
            ("GHOST_TIME", NOW),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("RUST_BACKTRACE", "0"),
        ] {
            command.env(name, value);
        }
        Run {
            world: self,
            command,
            stdin: Vec::new(),
        }
    }

    /// A shell script with `ghost` first in its path and `set -eu -o pipefail`: where the pipeline is the point.
    pub fn shell(&self, script: &str) -> Run<'_> {
        let mut path = OsString::from(Path::new(&*GHOST).parent().unwrap());
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        self.command("bash", ["-eu", "-o", "pipefail", "-c", script])
            .env("PATH", path)
    }
}

/// A command that is ready to run.
#[derive(Debug)]
pub struct Run<'w> {
    world: &'w World,
    command: Command,
    stdin: Vec<u8>,
}

impl Run<'_> {
    /// Runs in this folder below `work/` (or an absolute one).
    pub fn at(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(self.world.path(folder));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Feeds these bytes.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// Runs as somebody who is not root and owns nothing; only root can ask for it.
    pub fn by_nobody(mut self) -> Self {
        // The built binary may lie where nobody else may look.
        let copy = self.world.root().join("ghost");
        if !copy.exists() {
            program(&copy, fs::read(&*GHOST).unwrap());
        }
        let mut command = Command::new(copy);
        command.args(self.command.get_args());
        command.env_clear();
        for (name, value) in self.command.get_envs() {
            command.env(name, value.unwrap());
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        command.uid(NOBODY).gid(NOBODY);
        self.command = command;
        self
    }

    /// Starts it and leaves it running, output thrown away.
    pub fn spawn(mut self) -> Child {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Starts it and leaves it running, with a pipe for each of its streams but standard output, which is thrown away.
    pub fn start(mut self) -> Child {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Done {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let mut pipe = child.stdin.take().unwrap();
        let bytes = std::mem::take(&mut self.stdin);
        // A child that does not read what it is fed is its own affair.
        let feeder = std::thread::spawn(move || drop(pipe.write_all(&bytes)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        let done = Done {
            what: spelled(&self.command),
            world: self.world.root().to_str().unwrap().to_owned(),
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: output.stdout,
            stderr: output.stderr,
        };
        assert!(!done.stderr().contains("panicked at"), "a panic was reached: {done}");
        done
    }

    /// Runs it and expects exit code 0.
    pub fn ok(self) -> Done {
        self.code(0)
    }

    /// Runs it and expects this exit code.
    pub fn code(self, code: i32) -> Done {
        let done = self.run();
        assert!(done.code == Some(code), "expected exit code {code} of\n{done}");
        done
    }
}

/// A command as one would type it.
fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    what: String,
    world: String,
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Bytes on standard output.
    pub stdout: Vec<u8>,
    /// Bytes on standard error.
    pub stderr: Vec<u8>,
}

impl Done {
    /// Standard output as text, the temporary folder written as `$W`.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).replace(&self.world, "$W")
    }

    /// Standard output without white space around it, as `$(…)` takes it.
    pub fn word(&self) -> String {
        self.out().trim().to_owned()
    }

    /// Standard error as text, the temporary folder written as `$W`.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).replace(&self.world, "$W")
    }

    /// Both, for snapshots of what a person sees.
    pub fn seen(&self) -> String {
        format!("{}{}", self.out(), self.stderr())
    }

    /// Expects these words in what a person sees.
    pub fn says(&self, words: &[&str]) -> &Self {
        let seen = self.seen();
        for word in words {
            assert!(seen.contains(word), "{word:?} is not said by {self}");
        }
        self
    }

    /// Expects that a person is not told these words.
    pub fn hides(&self, words: &[&str]) -> &Self {
        let seen = self.seen();
        for word in words {
            assert!(!seen.contains(word), "{word:?} is said by {self}");
        }
        self
    }

    /// Standard output as one JSON object a line.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?} of {self}")))
            .collect()
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}", self.what.replace(&self.world, "$W"))?;
        writeln!(f, "exit code {:?}, signal {:?}", self.code, self.signal)?;
        writeln!(f, "--- stdout\n{}", self.out())?;
        writeln!(f, "--- stderr\n{}", self.stderr())
    }
}

/// Writes a file that can be run.
///
/// A child does it: a file that is open for writing in this process is so in whatever another thread forks meanwhile, and
/// what is open for writing anywhere is not run (ETXTBSY).
pub fn program(path: &Path, content: impl AsRef<[u8]>) {
    let mut child = Command::new("install")
        .args(["-D", "-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(content.as_ref()).unwrap();
    assert!(child.wait().unwrap().success(), "{} was not written", path.display());
}

/// Changes the mode of a file.
pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Bytes that look random and are the same in every run.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(bytes);
    out
}
