//! `ghost serve`.
//!
//! One client over standard input and output, or any number over a socket. A server answers and starts nothing. The
//! first SIGTERM or SIGINT lets requests that are under way finish and takes no more.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueHint;
use ghost_plumbing::progress::Progress;
use ghost_plumbing::remote::policy::Policy;
use ghost_plumbing::remote::server::serve;
use ghost_plumbing::remote::wire::{Connection, Limits, Role};
use ghost_plumbing::{Error, Result};

use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::remote::local::{Offer, Served};
use crate::remote::session::{greeting, widen};

/// How often a server looks at the clock and for signals.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// Most clients of a socket at once.
const CLIENTS_MAX: usize = 64;

/// Answer other programs that fetch and push
///
/// `ghost fetch` and `ghost push` start `ghost serve --stdio PATH` at the other end of ssh by themselves. A key in
/// authorized_keys may be bound to it: restrict,command="ghost serve --stdio --root DIR --append-only" lets its owner add
/// snapshots to repositories below DIR, and nothing else.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The repository [default: the one that the client names, below --root]
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub path: Option<PathBuf>,
    /// Talk to one client over standard input and output
    #[arg(long, required_unless_present = "socket", conflicts_with = "socket")]
    pub stdio: bool,
    /// Listen on this socket, for clients of the same user
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
    /// Offer the repositories below this folder, by their paths in it, and no others
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// Offer repositories by names, of which the first is the default one; without PATH, that at hand; may be given again
    #[arg(long = "export", value_name = "NAME[:PATH],…", requires = "socket", conflicts_with_all = ["root", "path"])]
    pub exports: Vec<OsString>,
    /// Let clients add, and neither delete nor replace nor hide
    #[arg(long)]
    pub append_only: bool,
    /// Let clients read only
    #[arg(long, conflicts_with = "append_only")]
    pub read_only: bool,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let served = Served {
        disk: app.disk.clone(),
        options: app.open_options()?,
        offer: offer(app, arguments)?,
        policy: Policy {
            read_only: arguments.read_only,
            append_only: arguments.append_only,
        },
        hooks_of: (!app.environment.in_hook).then_some(app.environment.uid),
        interrupt: Arc::default(),
    };
    match &arguments.socket {
        Some(socket) => listen(&app.environment.absolute(socket), &served, &app.interrupt),
        None => {
            let own = |descriptor: std::io::Result<std::os::fd::OwnedFd>| {
                descriptor
                    .map(File::from)
                    .map_err(Error::io("take over", "standard input and output"))
            };
            let input = own(std::io::stdin().as_fd().try_clone_to_owned())?;
            let output = own(std::io::stdout().as_fd().try_clone_to_owned())?;
            widen(&input);
            widen(&output);
            let connection = Connection::start(Role::Server, input, output, &greeting(), Limits::default());
            Ok(answer(connection, &served, &app.interrupt)?)
        }
    }
}

fn offer(app: &App, arguments: &Arguments) -> Outcome<Offer> {
    if let Some(root) = &arguments.root {
        return Ok(Offer::Below {
            root: app.environment.absolute(root),
            default: arguments.path.clone(),
        });
    }
    if let Some(path) = &arguments.path {
        return Ok(Offer::One(app.environment.absolute(path)));
    }
    if arguments.exports.is_empty() {
        return Ok(Offer::One(app.ghost_dir()?));
    }
    let mut named: Vec<(String, PathBuf)> = Vec::new();
    for (name, path) in arguments.exports.iter().flat_map(|text| exports(app, text)) {
        if name.is_empty() {
            let message = "an export has no name";
            return Err(Failure::usage(message, "--export NAME[:PATH],NAME[:PATH],…"));
        }
        if named.iter().any(|(known, _)| *known == name) {
            return Err(Failure::usage(
                format!("two exports are called {name}"),
                "give each a name of its own",
            ));
        }
        let folder = match path {
            Some(path) => app.environment.absolute(Path::new(&path)),
            None => app.ghost_dir()?,
        };
        named.push((name, folder));
    }
    Ok(Offer::Named(named))
}

/// Names with paths, if they have one. A path with a comma is whole where it is there.
fn exports(app: &App, text: &OsStr) -> Vec<(String, Option<String>)> {
    let text = text.to_string_lossy();
    let part = |text: &str| match text.split_once(':') {
        Some((name, path)) => (name.to_owned(), Some(path.to_owned())),
        None => (text.to_owned(), None),
    };
    match part(&text) {
        (name, Some(path)) if !name.contains(',') && app.environment.absolute(Path::new(&path)).exists() => {
            vec![(name, Some(path))]
        }
        _ => text.split(',').map(part).collect(),
    }
}

/// Answers one client, with an eye on the clock.
fn answer(connection: Connection, served: &Served, interrupt: &AtomicBool) -> Result<()> {
    let (begun, done) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|threads| {
        let heart = threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                connection.tick(begun.elapsed());
                if interrupt.load(Ordering::Relaxed) {
                    connection.shut_down();
                }
                std::thread::park_timeout(HEARTBEAT);
            }
        });
        // Requests are not interrupted: they finish.
        let result = serve(&connection, served, &Progress::default());
        done.store(true, Ordering::Relaxed);
        heart.thread().unpark();
        result
    })
}

/// Answers all clients of a socket, until a signal comes.
fn listen(path: &Path, served: &Served, interrupt: &Arc<AtomicBool>) -> Outcome {
    let listener = bind(path)?;
    listener.set_nonblocking(true).map_err(Error::io("listen on", path))?;
    let clients = Arc::new(());
    std::thread::scope(|threads| {
        while !interrupt.load(Ordering::Relaxed) {
            let stream = match listener.accept() {
                Ok((stream, _)) if Arc::strong_count(&clients) <= CLIENTS_MAX => stream,
                // One too many is hung up on; so is nobody.
                Ok(_) | Err(_) => {
                    std::thread::sleep(HEARTBEAT);
                    continue;
                }
            };
            let counted = clients.clone();
            threads.spawn(move || {
                // What goes wrong with one client is told to that client.
                let _ = talk(stream, served, interrupt);
                drop(counted);
            });
        }
    });
    // Whoever comes next finds no socket instead of a dead one.
    let _ = fs_err::remove_file(path);
    Ok(())
}

fn talk(stream: UnixStream, served: &Served, interrupt: &AtomicBool) -> Result<()> {
    let failed = Error::io("talk over", "a socket");
    let input = stream
        .set_nonblocking(false)
        .and_then(|()| stream.try_clone())
        .map_err(failed)?;
    let last = stream.try_clone().map_err(Error::io("talk over", "a socket"))?;
    let connection = Connection::start(Role::Server, input, stream, &greeting(), Limits::default());
    let result = answer(connection, served, interrupt);
    let _ = last.shutdown(std::net::Shutdown::Write);
    result
}

/// A socket for this user alone. What a killed server left in its place goes.
fn bind(path: &Path) -> Outcome<UnixListener> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                let message = format!("another server listens on {}", path.display());
                return Err(Failure::other(message, "end it, or choose another path"));
            }
            let is_socket = fs_err::symlink_metadata(path).is_ok_and(|found| {
                use std::os::unix::fs::FileTypeExt as _;
                found.file_type().is_socket()
            });
            if is_socket {
                fs_err::remove_file(path).map_err(Error::io("remove", path))?;
            }
            UnixListener::bind(path)
        }
        bound => bound,
    };
    let listener = bound.map_err(Error::io("listen on", path))?;
    fs_err::set_permissions(path, Permissions::from_mode(0o600)).map_err(Error::io("set the mode of", path))?;
    Ok(listener)
}
