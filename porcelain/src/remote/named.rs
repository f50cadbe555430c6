//! Something in a remote repository, as people name it: `URL[:REV[:PATH]]`.
//!
//! | what a text begins with | where the URL in it ends |
//! | --- | --- |
//! | `ssh://HOST/PATH`, `file://PATH`, `dir:PATH` | at the first colon of PATH |
//! | `unix:SOCKET[#NAME]` | at the first colon behind `unix:` |
//! | `HOST:/PATH`, `USER@HOST:PATH` | at the second colon |
//! | `/PATH`, `./PATH`, `../PATH` | behind the longest beginning that is a repository; if none is, it is no URL |
//! | `ext::COMMAND` | at the next `::`, only there |
//! | `url:` and any of these, or `HOST:PATH` | as above |
//!
//! In all of them `::` ends the URL, so that a path may have colons. Without REV it is `@`, the current line there.
//!
//! `snap:`, `gfs:`, `path:` and `rev:` say that it is none; a host of such a name is written with `url:` or `ssh://`.
//! What is also a revision of the repository at hand is no URL: `main:etc/passwd` is a path in the line `main`, and the
//! path `etc` on the host `main` is written `url:main:etc` or `ssh://main/~/etc`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// What says that a URL follows.
const TAG: &[u8] = b"url:";
/// What names of trees that are in no remote begin with ([`crate::tree_argument`]); a path may follow, as in a URL.
const TREE_TAGS: [&[u8]; 4] = [b"snap:", b"gfs:", b"path:", b"rev:"];
/// What a URL that can be nothing else begins with.
const SCHEMES: [&[u8]; 5] = [b"ssh://", b"file://", b"dir:", b"unix:", b"ext::"];

/// A text that names something in a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The URL, as [`super::url::Url::parse`] takes it.
    pub url: OsString,
    /// The revision there, with a path; may be empty.
    pub rest: OsString,
    /// It has no tag and no revision, and is a path: it may be meant as a folder of this machine.
    pub may_be_folder: bool,
}

/// Takes a text apart; none where it names nothing in a remote. `is_repository` says whether a path is one on this
/// machine.
pub fn split(text: &OsStr, is_repository: &dyn Fn(&OsStr) -> bool) -> Option<Named> {
    let all = text.as_bytes();
    if TREE_TAGS.iter().any(|tag| all.starts_with(tag)) {
        return None;
    }
    let (bytes, is_tagged) = match all.strip_prefix(TAG) {
        Some(bytes) => (bytes, true),
        None => (all, false),
    };
    let is_path = is_path(bytes);
    let (from, end) = match scheme_end(bytes) {
        // A command has colons of its own.
        Some(from) if bytes.starts_with(b"ext::") => (from, bytes.len()),
        Some(from) => (from, find(bytes, from, b":")),
        None if is_path => match longest(bytes, is_repository) {
            Some(end) => (end, end),
            None if is_tagged => (0, find(bytes, 0, b":")),
            None => return None,
        },
        None => host_end(bytes, is_tagged)?,
    };
    Some(named(bytes, (from, end), is_path && !is_tagged))
}

/// Whether it begins with a path that is told from a name: an absolute one, or one that begins at `.` or `..`.
fn is_path(bytes: &[u8]) -> bool {
    let first = bytes.split(|&byte| byte == b'/' || byte == b':').next();
    bytes.starts_with(b"/") || matches!(first, Some(b"." | b".."))
}

/// Where the path of a URL begins, of one that says what it is.
fn scheme_end(bytes: &[u8]) -> Option<usize> {
    let scheme = SCHEMES.into_iter().find(|scheme| bytes.starts_with(scheme))?;
    Some(match scheme {
        // The host may have a port, and colons in brackets.
        b"ssh://" => find(bytes, scheme.len(), b"/"),
        scheme => scheme.len(),
    })
}

/// The end of a path that is a repository.
fn longest(bytes: &[u8], is_repository: &dyn Fn(&OsStr) -> bool) -> Option<usize> {
    let colons = (1..bytes.len()).rev().filter(|&at| bytes[at] == b':');
    std::iter::once(bytes.len())
        .chain(colons)
        .find(|&end| is_repository(OsStr::from_bytes(&bytes[..end])))
}

/// Begin of the path and end of `HOST:/PATH` or `USER@HOST:PATH`; with a tag, of `HOST:PATH`, or of a relative path.
fn host_end(bytes: &[u8], is_tagged: bool) -> Option<(usize, usize)> {
    let colon = match bytes.first()? {
        // An address in brackets.
        b'[' => find(bytes, 0, b"]:") + 1,
        _ => find(bytes, 0, b":"),
    };
    if colon >= bytes.len() || bytes[..colon].contains(&b'/') {
        return is_tagged.then_some((0, colon.min(bytes.len())));
    }
    let (host, path) = (&bytes[..colon], &bytes[colon + 1..]);
    let special = |byte: &u8| b"@{}~^".contains(byte);
    let mut parts = host.splitn(2, |&byte| byte == b'@');
    let has_user = match (parts.next(), parts.next()) {
        (Some(user), Some(host)) => {
            !user.is_empty() && !host.is_empty() && !user.iter().any(special) && !host.iter().any(special)
        }
        _ => false,
    };
    let is_url = is_tagged || has_user || (path.starts_with(b"/") && !host.is_empty() && !host.iter().any(special));
    is_url.then(|| (colon + 1, find(bytes, colon + 1, b":")))
}

/// Where `what` stands behind `from`; the end where it does not.
fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let found = bytes
        .get(from..)
        .and_then(|rest| rest.windows(what.len()).position(|part| part == what));
    found.map_or(bytes.len(), |at| from + at)
}

/// The parts around `end`, or around the first `::` behind `from`, if there is one: before that a colon belongs to the
/// path, which begins at `from`.
fn named(bytes: &[u8], (from, end): (usize, usize), is_path: bool) -> Named {
    let double = find(bytes, from, b"::");
    let is_double = double < bytes.len() && (!is_path || double == end);
    let (end, skip) = if is_double { (double, 2) } else { (end, 1) };
    let rest = bytes.get(end + skip..).unwrap_or_default();
    Named {
        url: OsString::from_vec(bytes[..end].to_vec()),
        rest: OsString::from_vec(rest.to_vec()),
        may_be_folder: is_path && end == bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, String)> {
        let is_repository = |path: &OsStr| matches!(path.to_str(), Some("/srv/a" | "./a" | "/srv/b:c" | "."));
        let named = split(OsStr::new(text), &is_repository)?;
        Some((named.url.into_string().unwrap(), named.rest.into_string().unwrap()))
    }

    #[test]
    fn the_url_ends_where_the_table_says() {
        for (text, url, rest) in [
            (
                "ssh://ann@loom:2222/srv/a:main:etc/x:y",
                "ssh://ann@loom:2222/srv/a",
                "main:etc/x:y",
            ),
            ("ssh://[::1]:22/a:@", "ssh://[::1]:22/a", "@"),
            ("ssh://loom/srv/a", "ssh://loom/srv/a", ""),
            ("ssh://loom/srv/a:b::main:x", "ssh://loom/srv/a:b", "main:x"),
            ("file:///srv/a:main~2", "file:///srv/a", "main~2"),
            ("unix:/run/g.sock#photos:@:a", "unix:/run/g.sock#photos", "@:a"),
            ("loom:/srv/a:main:b", "loom:/srv/a", "main:b"),
            ("ann@loom:a:main", "ann@loom:a", "main"),
            ("[fe80::1%eth0]:/a:main", "[fe80::1%eth0]:/a", "main"),
            ("/srv/a:main:b", "/srv/a", "main:b"),
            ("/srv/b:c:main", "/srv/b:c", "main"),
            ("./a", "./a", ""),
            (".:@:b", ".", "@:b"),
            ("ext::sh -c 'ssh x: y'::main:b", "ext::sh -c 'ssh x: y'", "main:b"),
            ("ext::ghost serve --stdio:x", "ext::ghost serve --stdio:x", ""),
            ("url:loom:a:main", "loom:a", "main"),
            ("url:/new/repo:main", "/new/repo", "main"),
            ("dir:/mnt/stick:main", "dir:/mnt/stick", "main"),
        ] {
            assert_eq!(parts(text), Some((url.to_owned(), rest.to_owned())), "{text}");
        }
    }

    #[test]
    fn revisions_and_paths_are_no_urls() {
        for text in [
            "main",
            "@",
            "@:",
            "@:a/b",
            "@~2:a",
            "main:etc/passwd",
            "main@{2 days ago}:x",
            "main@{2026-11-01 10:00}",
            "main^2:a",
            "sha256:0123456",
            "tree:sha256:0123456",
            "snap:x.gs:a",
            "snap:/srv/x.gs",
            "gfs:/srv/x.gfs:main:a",
            "path:/srv/a",
            "rev:/srv/a",
            "/home/ann",
            "./b:main",
            "loom:a:b",
            "",
            "refs/snapshots/main:a",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn a_folder_may_be_meant() {
        let of = |text: &str| split(OsStr::new(text), &|_| true).unwrap().may_be_folder;
        assert!(of("/srv/a"));
        assert!(!of("url:/srv/a") && !of("file:///srv/a"));
        let of = |text: &str| split(OsStr::new(text), &|path| path == "/srv/a").unwrap().may_be_folder;
        assert!(!of("/srv/a:main") && !of("/srv/a:"));
    }
}
