//! Where a remote is, as people write it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use ghost_plumbing::{Error, Result};

/// A place that a repository can be talked to at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Url {
    /// A folder of this machine.
    Path(PathBuf),
    /// A plain folder that is a remote, with no program at the other end.
    Folder(PathBuf),
    /// A folder of another machine, through ssh.
    Ssh {
        /// `HOST` or `USER@HOST`.
        host: String,
        /// Its port, if it is not the usual one.
        port: Option<u16>,
        /// The folder there; relative ones begin in the home directory.
        path: OsString,
    },
    /// A socket that a server listens on.
    Unix {
        /// The socket.
        socket: PathBuf,
        /// The name of the repository there; empty is the default one.
        name: String,
    },
    /// A program whose standard input and output are the pipe.
    Ext(OsString),
}

impl Url {
    /// Reads `ssh://[USER@]HOST[:PORT]/PATH`, `HOST:PATH`, `file://PATH`, `dir:PATH`, `unix:SOCKET[#NAME]`, `ext::COMMAND` or a
    /// path. A host that is called `dir` is reached as `ssh://dir/`.
    ///
    /// A host, user or path that begins with `-` is refused: a program that gets it could take it for an option.
    pub fn parse(text: &OsStr) -> Result<Self> {
        let bytes = text.as_bytes();
        let url = if let Some(command) = bytes.strip_prefix(b"ext::") {
            Self::Ext(os(command))
        } else if let Some(rest) = bytes.strip_prefix(b"ssh://") {
            ssh(text, rest)?
        } else if let Some(path) = bytes.strip_prefix(b"file://") {
            Self::Path(os(path).into())
        } else if let Some(path) = bytes.strip_prefix(b"dir:") {
            Self::Folder(os(path).into())
        } else if let Some(rest) = bytes.strip_prefix(b"unix:") {
            let (socket, name) = split(rest, b'#').unwrap_or((rest, b""));
            Self::Unix {
                socket: os(socket).into(),
                name: utf8(text, name)?.to_owned(),
            }
        } else {
            match host_and_path(bytes) {
                Some((host, path)) => Self::Ssh {
                    host: check_host(text, host)?,
                    port: None,
                    path: os(path),
                },
                None => Self::Path(text.into()),
            }
        };
        url.check(text)
    }

    /// This place of the machine at which the repository at `there` is, as a URL for this machine; none where it is not a
    /// folder of that machine, or not reached through ssh.
    pub fn seen_from(&self, there: &Self) -> Option<String> {
        let (Self::Path(path), Self::Ssh { host, port, .. }) = (self, there) else {
            return None;
        };
        let path = path.to_str().filter(|path| path.starts_with('/'))?;
        let (user, name) = host.rsplit_once('@').map_or(("", &**host), |(user, name)| (user, name));
        let user = if user.is_empty() {
            String::new()
        } else {
            format!("{user}@")
        };
        let name = if name.contains(':') {
            format!("[{name}]")
        } else {
            name.to_owned()
        };
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        Some(format!("ssh://{user}{name}{port}{path}"))
    }

    fn check(self, text: &OsStr) -> Result<Self> {
        let path: &[u8] = match &self {
            Self::Path(path) | Self::Folder(path) => path.as_os_str().as_bytes(),
            Self::Unix { socket, .. } => socket.as_os_str().as_bytes(),
            Self::Ssh { path, .. } => path.as_bytes(),
            Self::Ext(command) => command.as_bytes(),
        };
        if path.is_empty() {
            return Err(invalid(text, "expected a path"));
        }
        if path.starts_with(b"-") {
            return Err(invalid(
                text,
                "a path that begins with \"-\" could be taken for an option; write ./ in front",
            ));
        }
        if path.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r')) {
            return Err(invalid(text, "expected no line end and no NUL"));
        }
        Ok(self)
    }
}

/// Whether a text can only be meant as a URL.
pub fn is_url(text: &OsStr) -> bool {
    let bytes = text.as_bytes();
    let has = |prefix: &str| bytes.starts_with(prefix.as_bytes());
    ["ext::", "ssh://", "file://", "unix:", "dir:"].into_iter().any(has)
}

/// `HOST:PATH`: a colon before any slash, and no brackets of its own.
fn host_and_path(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.starts_with(b"[") {
        let end = bytes.iter().position(|&byte| byte == b']')?;
        return bytes[end + 1..].strip_prefix(b":").map(|path| (&bytes[..=end], path));
    }
    let (host, path) = split(bytes, b':')?;
    (!host.is_empty() && !host.contains(&b'/')).then_some((host, path))
}

fn ssh(text: &OsStr, rest: &[u8]) -> Result<Url> {
    let (authority, path) = split(rest, b'/').ok_or_else(|| invalid(text, "expected a path behind the host"))?;
    let (host, port) = match port_of(authority) {
        Some((host, digits)) => {
            let port = utf8(text, digits)?.parse().ok().filter(|&port| port > 0);
            (
                host,
                Some(port.ok_or_else(|| invalid(text, "expected a port from 1 to 65535"))?),
            )
        }
        None => (authority, None),
    };
    // `/~/x` is below the home directory, where ssh begins.
    let path = match path.strip_prefix(b"~/") {
        Some(below) => os(below),
        None => os(&[b"/", path].concat()),
    };
    Ok(Url::Ssh {
        host: check_host(text, host)?,
        port,
        path,
    })
}

fn port_of(authority: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = authority.iter().rposition(|&byte| byte == b':')?;
    // The colons of an IPv6 address stand in brackets.
    let is_inside = authority[at..].contains(&b']');
    (!is_inside).then(|| (&authority[..at], &authority[at + 1..]))
}

/// A host with or without a user, as ssh takes it.
fn check_host(text: &OsStr, host: &[u8]) -> Result<String> {
    let host = utf8(text, host)?;
    let (user, name) = host
        .rsplit_once('@')
        .map_or((None, host), |(user, name)| (Some(user), name));
    let name = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    for part in [user.unwrap_or("x"), name] {
        let fits = |c: char| c.is_alphanumeric() || "-._:%+".contains(c);
        if part.is_empty() || part.starts_with('-') || !part.chars().all(fits) {
            return Err(invalid(text, format_args!("\"{part}\" is no name of a host or user")));
        }
    }
    Ok(user.map_or_else(|| name.to_owned(), |user| format!("{user}@{name}")))
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == at)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn utf8<'t>(text: &OsStr, bytes: &'t [u8]) -> Result<&'t str> {
    std::str::from_utf8(bytes).map_err(|_| invalid(text, "expected UTF-8"))
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn invalid(text: &OsStr, problem: impl ToString) -> Error {
    Error::invalid("URL", text.to_string_lossy(), problem)
}

/// A word as one for a POSIX shell, whatever is in it.
pub fn quoted(word: &OsStr) -> OsString {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./+,@%:=".contains(byte);
    if !word.is_empty() && word.as_bytes().iter().all(plain) {
        return word.to_owned();
    }
    let mut out = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            byte => out.push(byte),
        }
    }
    out.push(b'\'');
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Url> {
        Url::parse(OsStr::new(text))
    }

    fn ssh(host: &str, port: Option<u16>, path: &str) -> Url {
        Url::Ssh {
            host: host.to_owned(),
            port,
            path: path.into(),
        }
    }

    #[test]
    fn places_are_read_as_git_reads_them() {
        for (text, expected) in [
            ("ssh://ann@loom:2222/srv/a", ssh("ann@loom", Some(2222), "/srv/a")),
            ("ssh://loom/~/a b", ssh("loom", None, "a b")),
            ("ssh://[::1]:22/a", ssh("::1", Some(22), "/a")),
            ("loom:a/b", ssh("loom", None, "a/b")),
            ("ann@loom:/a", ssh("ann@loom", None, "/a")),
            ("[fe80::1%eth0]:/a", ssh("fe80::1%eth0", None, "/a")),
            ("/srv/a:b", Url::Path("/srv/a:b".into())),
            ("./loom:a", Url::Path("./loom:a".into())),
            ("file:///srv/a", Url::Path("/srv/a".into())),
            ("dir:/mnt/stick/a b", Url::Folder("/mnt/stick/a b".into())),
            ("ext::sh -c x", Url::Ext("sh -c x".into())),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        let unix = |name: &str| Url::Unix {
            socket: "/run/g.sock".into(),
            name: name.to_owned(),
        };
        assert_eq!(parse("unix:/run/g.sock").unwrap(), unix(""));
        assert_eq!(parse("unix:/run/g.sock#photos").unwrap(), unix("photos"));
    }

    #[test]
    fn a_folder_of_another_machine_is_reached_as_its_neighbour() {
        for (there, here) in [
            ("loom:thin", Some("ssh://loom/srv/a b")),
            ("ssh://ann@loom:2222/srv/thin", Some("ssh://ann@loom:2222/srv/a b")),
            ("ssh://[::1]:22/thin", Some("ssh://[::1]:22/srv/a b")),
            ("unix:/run/g.sock", None),
            ("ext::x", None),
        ] {
            let seen = parse("/srv/a b").unwrap().seen_from(&parse(there).unwrap());
            assert_eq!(seen.as_deref(), here, "{there}");
            assert!(seen.is_none_or(|url| parse(&url).is_ok()));
        }
        for theirs in ["a", "loom:/srv/a", "ext::sh", "dir:/srv/a"] {
            assert_eq!(
                parse(theirs).unwrap().seen_from(&parse("loom:thin").unwrap()),
                None,
                "{theirs}"
            );
        }
    }

    #[test]
    fn what_could_be_an_option_or_a_command_is_refused() {
        for text in [
            "-oProxyCommand=touch x:/a",
            "ssh://-oProxyCommand=touch/a",
            "ssh://-l@loom/a",
            "ann@-x:/a",
            "loom:-x",
            "-x",
            "file://-x",
            "dir:-x",
            "dir:",
            "ssh://loom",
            "ssh:///a",
            "ssh://loom:0/a",
            "ssh://loom:99999/a",
            "lo om:/a",
            "loom;x:/a",
            "loom:a\nb",
            "",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in [
            "plain/path-1.2",
            "",
            "a b",
            "it's",
            "$(touch x)",
            "a'b'\"c\"\\",
            "*?~",
            "-x",
        ] {
            let mut command = OsString::from("printf %s ");
            command.push(quoted(OsStr::new(word)));
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(command)
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }
}
