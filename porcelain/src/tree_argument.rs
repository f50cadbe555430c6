//! Tree arguments: what stands for a tree of files wherever a command takes one.
//!
//! | text | meaning |
//! | --- | --- |
//! | `snap:FILE.gs` | the snapshot in a file |
//! | `gfs:FILE.gfs` | the newest tree of a bundle |
//! | `path:PATH` | a directory or file as it is now |
//! | `rev:REV` | a snapshot, tree or path in one: `ghost help revisions` |
//! | anything else | a path if there is something, else a revision |
//!
//! What is both a path and a revision is refused, unless it begins with `.` or `/`: then it is a path.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ghost_plumbing::Error;
use ghost_plumbing::object::Node;
use ghost_plumbing::refs::Named;

use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::ui::show;

/// What a tree argument names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeArgument {
    /// `snap:FILE.gs`.
    SnapshotFile(PathBuf),
    /// `gfs:FILE.gfs`.
    Bundle(PathBuf),
    /// A directory or file on this machine.
    Live(PathBuf),
    /// A revision, to be looked up in the repository.
    Revision(OsString),
}

/// What a text is by its form alone; none where that depends on what is there.
fn by_form(text: &OsStr) -> Option<TreeArgument> {
    let bytes = text.as_bytes();
    let after = |tag: &[u8]| bytes.strip_prefix(tag).map(OsStr::from_bytes);
    if let Some(file) = after(b"snap:") {
        return Some(TreeArgument::SnapshotFile(file.into()));
    }
    if let Some(file) = after(b"gfs:") {
        return Some(TreeArgument::Bundle(file.into()));
    }
    if let Some(path) = after(b"path:") {
        return Some(TreeArgument::Live(path.into()));
    }
    if let Some(revision) = after(b"rev:") {
        return Some(TreeArgument::Revision(revision.into()));
    }
    let is_path = bytes.starts_with(b".") || bytes.starts_with(b"/");
    is_path.then(|| TreeArgument::Live(text.into()))
}

/// Says what a tree argument names. An empty one, and one that is both a path and a revision, is refused.
pub fn parse(app: &App, text: &OsStr) -> Outcome<TreeArgument> {
    if text.is_empty() {
        return Err(Failure::usage(
            "the name of a tree is empty",
            "name a path or a revision",
        ));
    }
    if let Some(argument) = by_form(text) {
        return Ok(argument);
    }
    let exists = app.environment.absolute(Path::new(text)).symlink_metadata().is_ok();
    if !exists {
        return Ok(TreeArgument::Revision(text.to_owned()));
    }
    let is_revision = app
        .repository()
        .is_ok_and(|repository| names_tree(app, &repository, text));
    if is_revision {
        let shown = show::bytes(text.as_bytes());
        let message = format!("{shown} is a path and a revision");
        let hint = format!("write path:{shown} or rev:{shown}");
        return Err(Failure::usage(message, hint));
    }
    Ok(TreeArgument::Live(text.into()))
}

fn names_tree(app: &App, repository: &ghost_plumbing::repository::Repository, text: &OsStr) -> bool {
    match app.resolve(repository, text) {
        Ok(revision) => !matches!(revision.named, Named::Content(_)),
        // A beginning of several ids is a revision that somebody may have meant.
        Err(error) => matches!(error, Error::Ambiguous { .. }),
    }
}

/// The node that a revision names: a directory, or a file.
pub fn node_of(app: &App, repository: &ghost_plumbing::repository::Repository, text: &OsStr) -> Outcome<Node> {
    let named = match app.resolve(repository, text) {
        Err(Error::NotFound { .. }) => {
            let message = format!("{} is neither a path nor a revision", show::bytes(text.as_bytes()));
            return Err(Failure::other(
                message,
                "check the spelling; `ghost log` lists the snapshots",
            ));
        }
        named => named?.named,
    };
    Ok(match named {
        Named::Entry { entry, .. } => entry.node,
        Named::Content(content) => Node::File {
            content,
            fullhash: None,
        },
        named => Node::Directory {
            tree: named.tree(&repository.store)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_decides_where_it_can() {
        let of = |text: &str| by_form(OsStr::new(text));
        assert_eq!(of("snap:a.gs"), Some(TreeArgument::SnapshotFile("a.gs".into())));
        assert_eq!(of("gfs:/x/a.gfs"), Some(TreeArgument::Bundle("/x/a.gfs".into())));
        assert_eq!(of("path:main"), Some(TreeArgument::Live("main".into())));
        assert_eq!(of("rev:./x"), Some(TreeArgument::Revision("./x".into())));
        assert_eq!(of("./main"), Some(TreeArgument::Live("./main".into())));
        assert_eq!(of("/"), Some(TreeArgument::Live("/".into())));
        for text in ["main", "@", "@~1:a/b", "snapshot:1234567", "a.gs"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
