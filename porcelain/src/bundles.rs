//! Bundles as arguments: `snap:FILE` and `gfs:FILE`, wherever a revision may stand.
//!
//! | text | meaning |
//! | --- | --- |
//! | `gfs:FILE` | what was added to the bundle last |
//! | `gfs:FILE@{N}`, `gfs:FILE@{LABEL}` | what was added N additions ago; what was added under this name |
//! | `gfs:FILE:PATH`, `gfs:FILE~1`, `gfs:FILE^{tree}` | as behind any revision |
//!
//! `snap:` means the same. FILE is the longest beginning of what follows that is a file, so that a colon in its name does
//! no harm. The bundle is attached to the repository's store, so that what it does not hold is looked for there; where
//! there is no repository, an empty one in memory stands for it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ghost_plumbing::bundle::{Bundle, Root};
use ghost_plumbing::disk::Disk;
use ghost_plumbing::disk::memory::MemoryDisk;
use ghost_plumbing::object::HashAlgo;
use ghost_plumbing::object::ObjectKind;
use ghost_plumbing::object::text::TextRef;
use ghost_plumbing::repository::{self, InitOptions, OpenOptions, Repository};
use ghost_plumbing::{Error, Result};

use crate::app::App;
use crate::ui::show;

/// What stands in front of the name of a bundle.
const TAGS: [&[u8]; 2] = [b"snap:", b"gfs:"];

/// Whether a text names a bundle or something in one.
pub fn is_named(text: &OsStr) -> bool {
    TAGS.iter().any(|tag| text.as_bytes().starts_with(tag))
}

/// The text behind the tag; all of it where there is none.
pub fn without_tag(text: &OsStr) -> &OsStr {
    let bytes = text.as_bytes();
    let behind = TAGS.iter().find_map(|tag| bytes.strip_prefix(*tag));
    behind.map_or(text, OsStr::from_bytes)
}

/// A file and what stands behind its name.
fn split(app: &App, text: &OsStr) -> (PathBuf, OsString) {
    let bytes = without_tag(text).as_bytes();
    let is_file = |end: usize| {
        app.environment
            .absolute(Path::new(OsStr::from_bytes(&bytes[..end])))
            .is_file()
    };
    let ends = (1..bytes.len()).rev().filter(|&at| b":~^@".contains(&bytes[at]));
    let end = std::iter::once(bytes.len()).chain(ends).find(|&end| is_file(end));
    let (file, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    (
        app.environment.real(Path::new(OsStr::from_bytes(file))),
        OsStr::from_bytes(rest).to_owned(),
    )
}

/// Opens a bundle to read.
pub fn open(app: &App, path: &Path) -> Result<Bundle> {
    Bundle::open(app.disk.clone(), &app.environment.real(path))
}

/// Opens a bundle whose contents are to be taken over. One of which something does not read is refused.
pub fn open_whole(app: &App, path: &Path) -> Result<Bundle> {
    let mut bundle = open(app, path)?;
    bundle.check_whole()?;
    Ok(bundle)
}

/// Something in a bundle.
pub struct Found {
    /// The bundle.
    pub bundle: Bundle,
    /// The root that is meant.
    pub root: Root,
    /// What follows: a path or a way to an ancestor; may be empty.
    pub rest: OsString,
}

/// Opens the bundle that `text` names, and finds the root in it.
pub fn find(app: &App, text: &OsStr) -> Result<Found> {
    let (path, rest) = split(app, text);
    let mut bundle = open(app, &path)?;
    let (selector, rest) = selector(&rest);
    let root = match selector {
        None => bundle.top().cloned(),
        Some(selector) => select(bundle.roots(), selector).cloned(),
    };
    let Some(root) = root else {
        let shown = show::bytes(text.as_bytes());
        return Err(match bundle.roots().len() {
            0 => bundle.nothing_inside(),
            count => Error::invalid(
                "bundle",
                shown,
                format!("it holds {count}; `ghost gfs ls --roots` names them"),
            ),
        });
    };
    Ok(Found {
        rest: rest.to_owned(),
        bundle,
        root,
    })
}

/// `@{…}` at the beginning, and what follows it.
fn selector(rest: &OsStr) -> (Option<&str>, &OsStr) {
    let bytes = rest.as_bytes();
    let inner = bytes.strip_prefix(b"@{").and_then(|inner| {
        let end = inner.iter().position(|&byte| byte == b'}')?;
        Some((
            std::str::from_utf8(&inner[..end]).ok()?,
            OsStr::from_bytes(&inner[end + 1..]),
        ))
    });
    inner.map_or((None, rest), |(selector, rest)| (Some(selector), rest))
}

fn select<'r>(roots: &'r [Root], selector: &str) -> Option<&'r Root> {
    let by_label = roots.iter().find(|root| root.label == selector);
    by_label.or_else(|| roots.get(selector.parse::<usize>().ok()?))
}

/// The text form of a root.
pub fn text_of(root: &Root) -> String {
    match root.kind {
        ObjectKind::Snapshot => TextRef::Snapshot(root.id).to_string(),
        _ => TextRef::Tree(root.id).to_string(),
    }
}

/// The revision that stands for a text that names something in a bundle, which is attached to the repository's store.
pub fn revision(app: &App, repository: &Repository, text: &OsStr) -> Result<OsString> {
    let Found { bundle, root, rest } = find(app, text)?;
    repository.store.attach(bundle.store())?;
    let mut revision = text_of(&root).into_bytes();
    revision.extend_from_slice(rest.as_bytes());
    Ok(OsString::from_vec(revision))
}

/// The hash of the ids in the bundle that `text` names.
pub fn algo(app: &App, text: &OsStr) -> Result<HashAlgo> {
    Ok(open(app, &split(app, text).0)?.store().algo())
}

/// The repository that the bundle which `text` names is attached to: that of the working directory, unless there is none
/// or its ids are made by another hash.
pub fn repository_of(app: &App, text: &OsStr) -> Result<Repository> {
    let algo = algo(app, text)?;
    match app.repository() {
        Ok(repository) if repository.store.algo() == algo => Ok(repository),
        Ok(_) | Err(Error::NoRepository { .. }) => scratch(app, algo),
        Err(error) => Err(error),
    }
}

/// An empty repository in memory, with the settings of the user and of this run.
pub fn scratch(app: &App, algo: HashAlgo) -> Result<Repository> {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let options = InitOptions {
        hash: Some(algo),
        created: app.environment.now(),
        ..InitOptions::default()
    };
    // A path at which there is nothing, since a repository was looked for there.
    let made = repository::init(&disk, &app.environment.cwd, &options)?;
    let options = OpenOptions {
        allow_foreign: true,
        ..app.open_options()?
    };
    Repository::open(disk, made.ghost_dir(), &options)
}

impl App {
    /// Opens the repository; where there is none, and one of `texts` names something in a bundle or in a remote, an empty
    /// one to read it through.
    pub fn repository_for<'t>(&self, texts: impl IntoIterator<Item = &'t OsStr>) -> Result<Repository> {
        let texts: Vec<&OsStr> = texts.into_iter().collect();
        if let Some(named) = texts.iter().find_map(|text| self.named_far(text)) {
            return self.repository_far(&named);
        }
        let no_repository = match self.repository() {
            Err(error @ Error::NoRepository { .. }) => error,
            found => return self.to_read(found?),
        };
        let Some(text) = texts.into_iter().find(|text| is_named(text)) else {
            return Err(no_repository);
        };
        let (path, _) = split(self, text);
        scratch(self, open(self, &path)?.store().algo())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghost_plumbing::object::ObjectId;
    use ghost_plumbing::time::Timestamp;

    #[test]
    fn a_root_is_named_by_number_or_label() {
        let root = |label: &str| Root {
            kind: ObjectKind::Tree,
            id: ObjectId::hash(HashAlgo::Sha256, label.as_bytes()),
            is_complete: true,
            added: Timestamp::default(),
            label: label.to_owned(),
        };
        let roots = [root("/etc"), root("0"), root("main")];
        let label = |selector| select(&roots, selector).map(|root| root.label.as_str());
        assert_eq!(label("main"), Some("main"));
        assert_eq!(label("0"), Some("0"), "a label goes before a number");
        assert_eq!(label("2"), Some("main"));
        assert_eq!((label("3"), label("x")), (None, None));
        let take = |text: &'static str| selector(OsStr::new(text));
        assert_eq!(take("@{1}:a"), (Some("1"), OsStr::new(":a")));
        assert_eq!(take("~2"), (None, OsStr::new("~2")));
    }
}
