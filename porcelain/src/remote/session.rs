//! A connection to a remote, from its start to its end.
//!
//! The far side is a program of which this one has standard input and output (`ssh`, or any other), a socket, or a thread
//! of this process. Beside the connection a thread looks at the clock, and at Ctrl-C; another one shows what the far
//! side says on standard error, escaped.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ghost_plumbing::progress::Progress;
use ghost_plumbing::remote::client::Client;
use ghost_plumbing::remote::message::{HISTORY, KEY, LEANING, REPOSITORY, WHOLE};
use ghost_plumbing::remote::pack::read::PackLimits;
use ghost_plumbing::remote::policy::Policy;
use ghost_plumbing::remote::server::serve;
use ghost_plumbing::remote::wire::{Connection, Greeting, Limits, Role};
use ghost_plumbing::repository::{OpenOptions, Settings};
use ghost_plumbing::{Error, Result};

use super::local::{Offer, Served};
use super::url::{Url, quoted};
use crate::app::App;
use crate::ui::show;

/// Bytes of a channel that this program takes before it grants more: at 100 ms there and back, 160 MB a second.
const WINDOW_BYTES: u64 = 16 << 20;
/// Bytes that a pipe to or from a program may hold, where the system allows it: at 64 KiB, the default, both sides wait for
/// each other some thousand times a second.
const PIPE_BYTES: usize = 1 << 20;
/// How often the clock is looked at.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long a program may take to end when its input has: it may still make durable what it was sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Threads that check what one pack brings: a stream does not feed more.
const THREADS_MAX: usize = 8;
/// Longest line of the far side's standard error that is shown, in bytes.
const LINE_BYTES_MAX: u64 = 4096;

/// What this program says of itself.
pub fn greeting() -> Greeting {
    Greeting::new(concat!("ghost ", env!("CARGO_PKG_VERSION")), WINDOW_BYTES)
        .with(HISTORY, [])
        .with(WHOLE, [])
        .with(LEANING, [])
}

/// What a pack may be; it is checked on all processors.
pub fn limits() -> PackLimits {
    PackLimits {
        threads: std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(THREADS_MAX),
        ..PackLimits::default()
    }
}

/// How remotes are reached.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The repository that asks, if there is one.
    pub key: Option<[u8; 16]>,
    /// `GHOST_SSH`: a program that is called like ssh.
    pub ssh: Option<OsString>,
    /// `GHOST_SSH_COMMAND` or `core.sshCommand`: a command line for a shell, that is called like ssh.
    pub ssh_command: Option<OsString>,
    /// What ghost is called there.
    pub ghost: OsString,
    /// How repositories of this machine are opened.
    pub served: Served,
    /// Set by Ctrl-C.
    pub interrupt: Arc<AtomicBool>,
}

impl Reach {
    /// As the surroundings and settings say.
    pub fn new(app: &App, settings: &Settings, key: Option<[u8; 16]>) -> Result<Self> {
        let text = |text: &String| (!text.is_empty()).then(|| OsString::from(text));
        let environment = &app.environment;
        Ok(Self {
            key,
            ssh: environment.ssh.clone(),
            ssh_command: environment
                .ssh_command
                .clone()
                .or_else(|| text(&settings.core_ssh_command)),
            ghost: text(&settings.core_remote_ghost).unwrap_or_else(|| "ghost".into()),
            served: Served {
                disk: app.disk.clone(),
                options: app.open_options().unwrap_or_else(|_| OpenOptions::default()),
                offer: Offer::Named(Vec::new()),
                policy: Policy::default(),
                hooks_of: (!environment.in_hook).then_some(environment.uid),
                interrupt: app.interrupt.clone(),
            },
            interrupt: app.interrupt.clone(),
        })
    }

    /// Connects.
    pub fn connect(&self, url: &Url) -> Result<Session> {
        let mut greeting = greeting();
        if let Some(key) = self.key {
            greeting = greeting.with(KEY, key);
        }
        match url {
            Url::Path(path) => {
                let path = std::path::absolute(path).map_err(lost)?;
                let greeting = greeting.with(REPOSITORY, path.as_os_str().as_bytes());
                self.in_thread(Offer::One(path), &greeting)
            }
            Url::Folder(path) => {
                let path = std::path::absolute(path).map_err(lost)?;
                self.in_thread(Offer::Folder(path), &greeting)
            }
            Url::Unix { socket, name } => {
                let stream = UnixStream::connect(socket).map_err(|source| Error::Io {
                    op: "connect to",
                    path: socket.clone(),
                    source,
                })?;
                let input = stream.try_clone().map_err(lost)?;
                let greeting = greeting.with(REPOSITORY, name.as_bytes());
                let connection = Connection::start(Role::Client, input, Hangup(stream), &greeting, Limits::default());
                Ok(self.session(connection, Far::Socket))
            }
            Url::Ssh { host, port, path } => {
                let greeting = greeting.with(REPOSITORY, path.as_bytes());
                let mut command = self.ssh();
                if let Some(port) = port {
                    command.arg("-p").arg(port.to_string());
                }
                command.arg(host).arg(self.remote_command(path));
                self.spawn(command, &greeting)
            }
            Url::Ext(words) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(words);
                self.spawn(command, &greeting)
            }
        }
    }

    /// `ssh`, or what stands for it.
    fn ssh(&self) -> Command {
        match (&self.ssh_command, &self.ssh) {
            (Some(line), _) => {
                let mut command = Command::new("sh");
                let mut script = line.clone();
                script.push(" \"$@\"");
                command.arg("-c").arg(script).arg("ssh");
                command
            }
            (None, Some(program)) => Command::new(program),
            (None, None) => Command::new("ssh"),
        }
    }

    /// One word for the far shell.
    fn remote_command(&self, path: &OsStr) -> OsString {
        let words = [
            &*self.ghost,
            OsStr::new("serve"),
            OsStr::new("--stdio"),
            OsStr::new("--"),
            path,
        ];
        words.map(quoted).join(OsStr::new(" "))
    }

    fn spawn(&self, mut command: Command, greeting: &Greeting) -> Result<Session> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let program = command.get_program().to_owned();
        let mut child = command.spawn().map_err(|source| Error::Io {
            op: "start",
            path: program.into(),
            source,
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(lost("the program has no standard streams"));
        };
        widen(&stdin);
        widen(&stdout);
        let said = std::thread::spawn(move || show_lines(stderr));
        let connection = Connection::start(Role::Client, stdout, stdin, greeting, Limits::default());
        Ok(self.session(connection, Far::Program { child, said }))
    }

    /// A repository of this machine, served by a thread.
    fn in_thread(&self, offer: Offer, greeting: &Greeting) -> Result<Session> {
        let (client_in, server_out) = std::io::pipe().map_err(lost)?;
        let (server_in, client_out) = std::io::pipe().map_err(lost)?;
        let served = Served {
            offer,
            ..self.served.clone()
        };
        let thread = std::thread::spawn(move || {
            let own = super::session::greeting();
            let connection = Connection::start(Role::Server, server_in, server_out, &own, Limits::default());
            // What goes wrong there is told to the client.
            let _ = serve(&connection, &served, &Progress::default());
        });
        let connection = Connection::start(Role::Client, client_in, client_out, greeting, Limits::default());
        Ok(self.session(connection, Far::Thread(thread)))
    }

    fn session(&self, connection: Connection, far: Far) -> Session {
        let connection = Arc::new(connection);
        let done = Arc::new(AtomicBool::new(false));
        let (heart, until, interrupt) = (connection.clone(), done.clone(), self.interrupt.clone());
        let begun = Instant::now();
        let heart = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                heart.tick(begun.elapsed());
                if interrupt.load(Ordering::Relaxed) {
                    heart.interrupt();
                }
                std::thread::park_timeout(HEARTBEAT);
            }
        });
        Session {
            connection: Some(connection),
            done,
            heart: Some(heart),
            far: Some(far),
            begun,
        }
    }
}

/// Who is at the other end.
#[derive(Debug)]
enum Far {
    Program { child: Child, said: JoinHandle<()> },
    Thread(JoinHandle<()>),
    Socket,
}

/// A connection to a remote. Dropped, it ends, and what it started ends with it.
#[derive(Debug)]
pub struct Session {
    connection: Option<Arc<Connection>>,
    done: Arc<AtomicBool>,
    heart: Option<JoinHandle<()>>,
    far: Option<Far>,
    /// When it began.
    pub begun: Instant,
}

impl Session {
    /// Asks over it.
    pub fn client<'s>(&'s self, progress: &'s Progress) -> Result<Client<'s>> {
        match &self.connection {
            Some(connection) => Ok(Client {
                limits: limits(),
                ..Client::new(connection, progress)
            }),
            None => Err(lost("the session has ended")),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(heart) = self.heart.take() {
            heart.thread().unpark();
            let _ = heart.join();
        }
        // The last holder: what is queued is written, then the far side sees the end.
        self.connection = None;
        match self.far.take() {
            Some(Far::Program { mut child, said }) => {
                wait(&mut child);
                let _ = said.join();
            }
            Some(Far::Thread(thread)) => drop(thread.join()),
            Some(Far::Socket) | None => {}
        }
    }
}

/// Lets a pipe hold more.
pub fn widen(pipe: impl AsFd) {
    // It works without, only slower: what is no pipe, or may not be longer, stays as it is.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}

/// Waits for a program whose input has ended, and ends it where that is not enough.
fn wait(child: &mut Child) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Shows what the far side says beside the protocol.
fn show_lines(stderr: ChildStderr) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            return;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        // Nobody is left to tell where that fails.
        let _ = writeln!(std::io::stderr(), "remote: {}", show::bytes(text));
    }
}

/// A socket whose other end sees the end of the stream when this is dropped.
struct Hangup(UnixStream);

impl std::io::Write for Hangup {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}

fn lost(reason: impl ToString) -> Error {
    Error::Disconnected {
        reason: reason.to_string(),
    }
}
