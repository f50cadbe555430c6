//! Names of refs (object-format.md, "Ref names").
//!
//! A name is one that `git check-ref-format` takes, begins with `refs/`, is UTF-8 and at most
//! [`REF_NAME_BYTES_MAX`] bytes long. So a name can stand in a revision (`~ ^ : @{` are free for operators), in a
//! shell without quotes, and in a path.

use crate::error::{Error, Result};
use crate::limits::REF_NAME_BYTES_MAX;

/// Where lines live: `refs/snapshots/NAME`.
pub const LINES: &str = "refs/snapshots/";

/// Prefixes that a short name is tried with, in this order. The first that names a ref wins.
pub const SHORT_NAME_PREFIXES: [&str; 4] = [LINES, "refs/tags/", "refs/", "refs/remotes/"];

/// Refuses what is not a full name of a ref.
pub fn check_ref_name(name: &str) -> Result<()> {
    match problem(name) {
        None => Ok(()),
        Some(problem) => Err(Error::invalid("ref name", name, problem)),
    }
}

/// The full name of the line `short`, which may be given with or without its folder.
pub fn line_ref(short: &str) -> Result<String> {
    let full = if short.starts_with("refs/") {
        short.to_owned()
    } else {
        format!("{LINES}{short}")
    };
    check_ref_name(&full)?;
    Ok(full)
}

/// The full names that `name` may stand for, the likeliest first; none where `name` can stand in none.
pub fn candidates(name: &str) -> Vec<String> {
    if name.starts_with("refs/") && problem(name).is_none() {
        return vec![name.to_owned()];
    }
    SHORT_NAME_PREFIXES
        .iter()
        .map(|prefix| format!("{prefix}{name}"))
        .filter(|full| problem(full).is_none())
        .collect()
}

/// A name without the folder of lines or tags, for people.
pub fn short_name(name: &str) -> &str {
    [LINES, "refs/tags/", "refs/remotes/"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

fn problem(name: &str) -> Option<&'static str> {
    let refused = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    if !name.starts_with("refs/") {
        Some("expected a name that begins with refs/")
    } else if name.len() > REF_NAME_BYTES_MAX {
        Some("expected at most 512 bytes")
    } else if name.contains(refused) {
        Some("expected no space, control character or any of ~ ^ : ? * [ \\")
    } else if name.contains("..") || name.contains("@{") {
        Some("expected neither \"..\" nor \"@{\"")
    } else if name.ends_with('.') {
        Some("expected no dot at the end")
    } else if name.split('/').any(str::is_empty) {
        Some("expected no empty part between slashes")
    } else if name
        .split('/')
        .any(|part| part.starts_with('.') || part.ends_with(".lock"))
    {
        Some("expected no part that begins with a dot or ends with .lock")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_git_does() {
        // Each verdict is that of `git check-ref-format NAME` (git 2.47).
        let good = [
            "refs/snapshots/main",
            "refs/a",
            "refs/a/b.c/d-e",
            "refs/a@b",
            "refs/@",
            "refs/ä/ö",
            "refs/a.lockx",
            "refs/{a}",
            "refs/-",
            "refs/a/\"quoted\"",
        ];
        let bad = [
            "refs/",
            "refs//a",
            "refs/a/",
            "refs/.a",
            "refs/a/.b",
            "refs/a.lock",
            "refs/a.lock/b",
            "refs/a..b",
            "refs/a b",
            "refs/a~b",
            "refs/a^b",
            "refs/a:b",
            "refs/a?",
            "refs/a*",
            "refs/a[b",
            "refs/a\\b",
            "refs/a@{b",
            "refs/a.",
            "refs/a\n",
            "refs/a\u{7f}",
            "/refs/a",
        ];
        for name in good {
            assert!(check_ref_name(name).is_ok(), "{name:?}");
        }
        for name in bad {
            assert!(check_ref_name(name).is_err(), "{name:?}");
        }
        // Ghost is stricter than git here: everything is under refs/, and names end somewhere.
        assert!(check_ref_name("heads/main").is_err());
        let long = |bytes: usize| format!("refs/{}", "a".repeat(bytes - 5));
        assert!(check_ref_name(&long(REF_NAME_BYTES_MAX)).is_ok());
        assert!(check_ref_name(&long(REF_NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn short_names_are_tried_in_order() {
        assert_eq!(
            candidates("main"),
            [
                "refs/snapshots/main",
                "refs/tags/main",
                "refs/main",
                "refs/remotes/main"
            ]
        );
        assert_eq!(candidates("refs/tags/v1"), ["refs/tags/v1"]);
        assert!(candidates("a b").is_empty());
        assert!(candidates("refs/a..b").is_empty(), "it begins as a name and is none");
        assert_eq!(line_ref("main").unwrap(), "refs/snapshots/main");
        assert_eq!(short_name("refs/snapshots/a/b"), "a/b");
        assert_eq!(short_name("refs/x"), "refs/x");
    }
}
