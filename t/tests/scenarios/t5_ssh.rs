//! t5: through OpenSSH, client and server, on loopback. Skipped where there is no sshd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{World, noise, set_mode};

/// An sshd of the current user on a port of its own, with keys of its own, that ends with this value.
struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sshd() -> Option<PathBuf> {
    let found = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].map(PathBuf::from);
    found.into_iter().find(|path| path.is_file())
}

impl Server {
    /// Begins to listen; `authorized` stands in front of the key in authorized_keys.
    fn start(world: &World, authorized: &str) -> Option<Self> {
        let program = sshd()?;
        let folder = world.root().join("ssh");
        fs::create_dir_all(&folder).unwrap();
        set_mode(&folder, 0o700);
        for key in ["host", "user"] {
            let path = folder.join(key);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(&path)
                .status();
            assert!(made.unwrap().success());
        }
        let public = fs::read_to_string(folder.join("user.pub")).unwrap();
        fs::write(folder.join("authorized"), format!("{authorized} {public}")).unwrap();
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let shown = folder.display();
        let path = format!(
            "{}:{}",
            ghost_folder().display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n\
             SetEnv PATH={path} GHOST_TIME=2026-01-02T03:04:05Z GHOST_HOST=server GHOST_USER=user\n"
        );
        fs::write(folder.join("config"), config).unwrap();
        if rustix::process::geteuid().is_root() {
            let _ = fs::create_dir_all("/run/sshd");
        }
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(folder.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .ok()?;
        let mut server = Self { child, folder, port };
        server.wait().then_some(server)
    }

    /// Whether it listens; it says so in its log, or ends.
    fn wait(&mut self) -> bool {
        loop {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if log.contains("Server listening") {
                return true;
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                eprintln!("sshd ended: {log}");
                return false;
            }
            std::thread::yield_now();
        }
    }

    /// What `GHOST_SSH_COMMAND` is.
    fn command(&self) -> String {
        let folder = self.folder.display();
        format!(
            "ssh -F none -i {folder}/user -o IdentitiesOnly=yes -o UserKnownHostsFile={folder}/known \
             -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR -o BatchMode=yes"
        )
    }

    fn url(&self, path: &Path) -> String {
        format!("ssh://127.0.0.1:{}{}", self.port, path.display())
    }
}

fn ghost_folder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ghost")).parent().unwrap().to_owned()
}

macro_rules! server {
    ($world:expr, $authorized:expr) => {
        match Server::start($world, $authorized) {
            Some(server) => server,
            None => return crate::harness::skip(module_path!(), "an sshd that this user can run"),
        }
    };
}

fn world() -> World {
    let world = World::new();
    world.write("a/large", noise(3, 900_000));
    world.write("a/text", "one\n");
    world.ghost(["snapshot", "--init", "-q", "."]).at("a").ok();
    world
}

#[test]
fn clone_push_and_pull_through_ssh() {
    need!("ssh", "ssh-keygen");
    let world = world();
    let server = server!(&world, "");
    let ssh = server.command();
    let run = |folder: &str, words: &[&str]| {
        world
            .ghost(words.iter().copied())
            .at(folder)
            .env("GHOST_SSH_COMMAND", &ssh)
    };
    let url = server.url(&world.path("a"));
    run("", &["clone", &url, "b"]).ok().says(&["1 snapshot"]);
    world.write("b/text", "two\n");
    world.ghost(["snapshot", "-q", "."]).at("b").ok();
    run("b", &["push"]).ok();
    run("b", &["push"]).ok().says(&["origin has it all"]);
    run("b", &["remote", "status"]).ok().says(&["the same here"]);
    let of = |folder: &str| world.ghost(["rev-parse", "main"]).at(folder).ok().word();
    assert_eq!(of("a"), of("b"));
    world.ghost(["verify", "--data"]).at("a").ok().says(&["2 snapshots"]);
    // A name that a shell would take apart is one word.
    let odd = "it's $(touch pwned); a\"b";
    fs::rename(world.path("a"), world.path(odd)).unwrap();
    run("", &["clone", &server.url(&world.path(odd)), "c"]).ok();
    assert_eq!(of("b"), of("c"));
    assert!(!world.path("pwned").exists() && !world.root().join("home/pwned").exists());
    run("", &["clone", &server.url(&world.path("nothing")), "d"])
        .code(1)
        .says(&["no ghost repository"]);
}

#[test]
fn a_forced_command_lets_add_and_nothing_else() {
    need!("ssh", "ssh-keygen");
    let world = world();
    let root = world.path("srv");
    fs::create_dir_all(&root).unwrap();
    world.ghost(["init", "srv/r"]).ok();
    let authorized = format!(
        "restrict,command=\"ghost serve --stdio --root {} --append-only\"",
        root.display()
    );
    let server = server!(&world, &authorized);
    let ssh = server.command();
    let run = |words: &[&str]| {
        world
            .ghost(words.iter().copied())
            .at("a")
            .env("GHOST_SSH_COMMAND", &ssh)
    };
    let url = format!("ssh://127.0.0.1:{}/r", server.port);
    run(&["remote", "add", "backup", &url]).ok();
    run(&["push", "backup"]).ok();
    world.write("a/text", "two\n");
    world.ghost(["snapshot", "-q", "."]).at("a").ok();
    run(&["push", "backup"]).ok();
    let before = world.ghost(["show-ref"]).at("srv/r").ok().out();
    run(&["push", "backup", ":main"]).code(1).says(&["only lets add"]);
    let first = world.ghost(["rev-parse", "main~1"]).at("a").ok().word();
    world.ghost(["update-ref", "refs/snapshots/old", &first]).at("a").ok();
    run(&["push", "--force", "backup", "old:main"])
        .code(1)
        .says(&["only lets add"]);
    let outside = format!("ssh://127.0.0.1:{}{}", server.port, world.path("a").display());
    run(&["push", &outside, "main:x"]).code(1).says(&["no repository"]);
    assert_eq!(world.ghost(["show-ref"]).at("srv/r").ok().out(), before);
    // The key opens no shell.
    let shell = format!("{ssh} -p {} 127.0.0.1 'touch pwned; echo here'", server.port);
    world
        .shell(&format!("{shell} </dev/null || true"))
        .run()
        .hides(&["here"]);
    assert!(!world.root().join("home/pwned").exists());
}

#[test]
fn two_repositories_behind_ssh_are_joined() {
    need!("ssh", "ssh-keygen");
    let world = world();
    world.ghost(["init", "-q", "far"]).ok();
    fs::create_dir(world.path("elsewhere")).unwrap();
    let server = server!(&world, "");
    let (a, far) = (server.url(&world.path("a")), server.url(&world.path("far")));
    let run = |words: &[&str]| {
        let done = world.ghost([&["copy"], words].concat()).at("elsewhere");
        done.env("GHOST_SSH_COMMAND", server.command())
    };
    run(&[&a, &far]).ok().says(&["main -> main  new", "Copied 1 snapshot"]);
    run(&[&a, &far]).ok().says(&["has it all"]);
    world.ghost(["--repo", "far", "verify", "--data"]).ok();
    let host = format!("127.0.0.1:{}", world.path("far").display());
    // `HOST:PATH` cannot name the port; that it is taken for a repository is what matters.
    run(&["../a", &host]).code(1).hides(&["copied to"]);
}

/// A lazy clone of a lazy clone gets its blocks from where that one does, or is told how.
#[test]
fn a_lazy_clone_of_a_lazy_clone_behind_ssh_finds_blocks() {
    need!("ssh", "ssh-keygen");
    let world = world();
    world.ghost(["clone", "-q", "--lazy", "--bare", "a", "thin"]).ok();
    let server = server!(&world, "");
    let run = |words: &[&str]| {
        world
            .ghost(words.iter().copied())
            .env("GHOST_SSH_COMMAND", server.command())
    };
    let url = server.url(&world.path("thin"));
    let near = server.url(&world.path("a"));
    run(&["clone", "--lazy", "--bare", &url, "thinner"])
        .ok()
        .says(&["lazy, too", "origin-of-origin"]);
    run(&["--repo", "thinner", "remote"]).ok().says(&[&format!(
        "origin-of-origin\t{}",
        near.replace(&world.root().display().to_string(), "$W")
    )]);
    assert!(run(&["--repo", "thinner", "cat", "main:large"]).ok().stdout == noise(3, 900_000));
    // Where it would be led to another machine, it is told and not done.
    world
        .ghost([
            "--repo",
            "thin",
            "remote",
            "set-url",
            "origin",
            "elsewhere.invalid:/srv/a",
        ])
        .ok();
    run(&["clone", "--lazy", "--bare", &url, "told"]).ok().says(&[
        "if you trust that place",
        "remote add origin-of-origin elsewhere.invalid:/srv/a",
    ]);
    run(&["--repo", "told", "remote"]).ok().hides(&["elsewhere.invalid"]);
    world
        .ghost(["--repo", "thin", "remote", "set-url", "origin", "ext::secret words"])
        .ok();
    run(&["clone", "--lazy", "--bare", &url, "silent"])
        .ok()
        .hides(&["secret"]);
}

#[test]
fn what_is_behind_ssh_is_read_without_having_it() {
    need!("ssh", "ssh-keygen");
    let world = world();
    world.write("a/text", "two\n");
    world.ghost(["snapshot", "-q", "."]).at("a").ok();
    fs::create_dir(world.path("elsewhere")).unwrap();
    let server = server!(&world, "restrict,command=\"ghost serve --stdio --root / --read-only\"");
    let ssh = server.command();
    let url = server.url(&world.path("a"));
    let run = |folder: &str, words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| word.replace("URL", &url)).collect();
        world.ghost(words).at(folder).env("GHOST_SSH_COMMAND", &ssh)
    };
    assert_eq!(run("elsewhere", &["ls", "URL"]).ok().out(), "large\ntext\n");
    assert_eq!(run("elsewhere", &["cat", "URL:main~1:text"]).ok().out(), "one\n");
    run("elsewhere", &["diff", "URL:@~1", "URL:@"]).ok().says(&["M text"]);
    run("elsewhere", &["reconstruct", "URL:@", "out", "large"]).ok();
    assert!(world.read("elsewhere/out/large") == noise(3, 900_000));
    run("", &["clone", "-q", "--lazy", "URL", "b"]).ok();
    assert!(world.read("b/large") == noise(3, 900_000));
    assert_eq!(run("b", &["cat", "@~1:text"]).ok().out(), "one\n");
    drop(server);
    run("b", &["-c", "cache.max=0", "cat", "@~1:text"])
        .code(1)
        .says(&["asking origin for it failed"]);
    run("b", &["cat", "@~1:text"]).ok();
}
