//! What surrounds the process: variables, home, clock, host, user. Read here once and handed on as plain values, so
//! that neither the library nor a command asks for them.

use std::env;
use std::io::IsTerminal as _;
use std::path::{Component, Path, PathBuf};

use ghost_plumbing::time::Timestamp;
use ghost_plumbing::walk::Owners;

/// What a run of `ghost` knows of its surroundings.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The working directory; empty if it is gone.
    pub cwd: PathBuf,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `GHOST_DIR`: the repository to use.
    pub ghost_dir: Option<PathBuf>,
    /// The user's configuration file: `GHOST_CONFIG`, else `$XDG_CONFIG_HOME/ghost/config`, else
    /// `~/.config/ghost/config`.
    pub user_config: Option<PathBuf>,
    /// Whether `NO_COLOR` is set and not empty, or `TERM` is `dumb`.
    pub plain: bool,
    /// `GHOST_TIME`: what the time is taken to be.
    pub time: Option<jiff::Timestamp>,
    /// The name of this machine, or `GHOST_HOST`.
    pub host: String,
    /// The name of the user, or `GHOST_USER`.
    pub user: String,
    /// Whether a hook started this process: `GHOST_HOOK` is set.
    pub in_hook: bool,
    /// `GHOST_SSH`: a program that is called like ssh.
    pub ssh: Option<std::ffi::OsString>,
    /// `GHOST_SSH_COMMAND`: a command line for a shell, that is called like ssh.
    pub ssh_command: Option<std::ffi::OsString>,
    /// The folder for temporary files: `TMPDIR`, else /tmp.
    pub temporary: PathBuf,
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// `SUDO_UID`, for root: the user on whose behalf the process runs.
    pub sudo_uid: Option<u32>,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
}

impl Environment {
    /// The surroundings of this process.
    pub fn of_process() -> Self {
        let home = path_variable("HOME");
        let user_config = path_variable("GHOST_CONFIG").or_else(|| {
            let folder = path_variable("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
            Some(folder?.join("ghost").join("config"))
        });
        let uid = rustix::process::geteuid().as_raw();
        let sudo_uid = env::var("SUDO_UID").ok().and_then(|text| text.parse().ok());
        Self {
            uid,
            gid: rustix::process::getegid().as_raw(),
            sudo_uid: sudo_uid.filter(|_| uid == 0),
            cwd: env::current_dir().unwrap_or_default(),
            ghost_dir: path_variable("GHOST_DIR"),
            in_hook: set("GHOST_HOOK"),
            ssh: env::var_os("GHOST_SSH").filter(|value| !value.is_empty()),
            ssh_command: env::var_os("GHOST_SSH_COMMAND").filter(|value| !value.is_empty()),
            temporary: env::temp_dir(),
            plain: set("NO_COLOR") || env::var_os("TERM").is_some_and(|term| term == "dumb"),
            host: text_variable("GHOST_HOST")
                .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned()),
            user: text_variable("GHOST_USER").unwrap_or_else(|| user_name(uid)),
            time: text_variable("GHOST_TIME").as_deref().and_then(parse_time),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            home,
            user_config,
        }
    }

    /// Changes the working directory, as `-C` asks for.
    pub fn enter(&mut self, directory: &Path) -> std::io::Result<()> {
        env::set_current_dir(directory)?;
        self.cwd = env::current_dir()?;
        Ok(())
    }

    /// A path as seen from the top of the file system, without looking at any file.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        let mut out = self.cwd.clone();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                part => out.push(part),
            }
        }
        out
    }

    /// A path without `.`, `..` and links on the way; a link at its end stays where it leads to no folder.
    pub fn resolved(&self, path: &Path) -> PathBuf {
        let absolute = self.absolute(path);
        if absolute.is_dir() || absolute.file_name().is_none() {
            return absolute.canonicalize().unwrap_or(absolute);
        }
        let folder = absolute.parent().and_then(|folder| folder.canonicalize().ok());
        match (folder, absolute.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => absolute,
        }
    }

    /// A path without links, also at its end: for files that are not to be reached through one.
    pub fn real(&self, path: &Path) -> PathBuf {
        let absolute = self.absolute(path);
        absolute.canonicalize().unwrap_or_else(|_| self.resolved(path))
    }

    /// A path from a configuration file, in which `~/` stands for the home directory.
    pub fn expand(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        }
    }

    /// The time by the clock of this machine, whatever `GHOST_TIME` says: what times of files are compared with.
    pub fn clock(&self) -> Timestamp {
        timestamp(jiff::Timestamp::now())
    }

    /// The time now, or `GHOST_TIME`.
    pub fn now(&self) -> Timestamp {
        timestamp(self.time.unwrap_or_else(jiff::Timestamp::now))
    }

    /// The time now in the local zone.
    pub fn zoned_now(&self) -> jiff::Zoned {
        crate::ui::time::zoned(self.now()).unwrap_or_default()
    }

    /// Minutes east of UTC at `time` in the local time zone.
    pub fn offset_minutes(&self, time: Timestamp) -> i64 {
        crate::ui::time::zoned(time).map_or(0, |zoned| i64::from(zoned.offset().seconds()) / 60)
    }
}

fn timestamp(time: jiff::Timestamp) -> Timestamp {
    let nanos = time.as_nanosecond();
    Timestamp::new(
        i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or_default(),
        u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default(),
    )
}

fn set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn text_variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// RFC 3339, or seconds since 1970.
fn parse_time(text: &str) -> Option<jiff::Timestamp> {
    let seconds = text.strip_prefix('@').unwrap_or(text).parse().ok();
    seconds
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .or_else(|| text.parse().ok())
}

fn path_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The name that the user database has for the number, as for the owners of files, else the number.
fn user_name(uid: u32) -> String {
    let owners = Owners::system().unwrap_or_default();
    match owners.user(uid) {
        name if name.is_empty() => format!("uid {uid}"),
        name => name.to_string(),
    }
}
