//! What the arguments of `diff` name, as pairs of directories.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use ghost_plumbing::compare::{Change, ChangeKind, Item, Live, Side, Trust};
use ghost_plumbing::object::tree::lookup;
use ghost_plumbing::object::{Entry, HashAlgo, Hasher, Node, ObjectId, Snapshot};
use ghost_plumbing::refs::Named;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::remote::objects::walk::{Below, bring_differing};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::snapshot::last_scan;
use ghost_plumbing::walk::cache::{Cutoff, StatCache};
use ghost_plumbing::walk::{Owners, RuleOptions, Rules};
use ghost_plumbing::{Error, Result};
use rustix::fs::{Mode, OFlags};

use super::Arguments;
use crate::app::App;
use crate::commands::snapshot::{COARSE, place, plain_request};
use crate::error::{Failure, Outcome};
use crate::history;
use crate::remote::source;
use crate::ui::show;

/// Everything that is compared.
#[derive(Default)]
pub struct Sides {
    /// Directories.
    pub pairs: Vec<Pair>,
    /// Two stored entries that are no directories.
    pub files: Vec<(BString, Item, Item)>,
    /// Roots that are not there any more: all that a snapshot has of them counts as deleted.
    pub gone: Vec<PathBuf>,
}

/// Two directories, or one entry of each.
pub struct Pair {
    /// Stands in front of all paths: empty, or a name with a slash.
    pub prefix: BString,
    /// The old side.
    pub old: End,
    /// The new side.
    pub new: End,
}

/// One directory, or one entry of it.
pub enum End {
    /// It is not there.
    Nothing,
    /// In the store.
    Stored(ObjectId),
    /// One entry in the store.
    StoredEntry(Box<Entry>),
    /// On the disk.
    Live(LiveEnd),
}

/// A directory as it is now.
pub struct LiveEnd {
    path: PathBuf,
    rules: Arc<Rules>,
    trust: Trust,
    cache: Option<(StatCache, Cutoff)>,
    /// The only name in it that counts, where not all do.
    only: Option<BString>,
}

impl End {
    /// As the library takes it.
    pub fn side<'a>(&'a self, repository: &'a Repository, owners: &'a Owners) -> Side<'a> {
        match self {
            Self::Nothing => Side::Nothing,
            Self::Stored(tree) => Side::Stored {
                source: &repository.store,
                tree: *tree,
            },
            Self::StoredEntry(entry) => Side::Entry {
                source: &repository.store,
                entry: (**entry).clone(),
            },
            Self::Live(live) => Side::Live(Live {
                path: &live.path,
                rules: live.rules.clone(),
                owners,
                trust: live.trust,
                cache: live.cache.as_ref().map(|(cache, cutoff)| (cache, *cutoff)),
                only: live.only.as_ref().map(|name| name.as_slice()),
            }),
        }
    }

    /// A live directory without rules or anything known of it.
    pub fn plain_live(app: &App, repository: &Repository, path: &Path, trust: Trust) -> Self {
        let rules = RuleOptions {
            no_ignore_files: true,
            ..RuleOptions::default()
        };
        live(app, repository, path.to_owned(), rules, trust)
    }

    /// Opens a live file at a path below, never a link; none where this side is not live.
    pub fn open(&self, path: &[u8]) -> Option<io::Result<File>> {
        let Self::Live(live) = self else { return None };
        let path = live.path.join(OsStr::from_bytes(path));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        Some(opened.map(File::from).map_err(io::Error::from))
    }

    /// The hash of a live file; none if it cannot be read.
    pub fn hash(&self, algo: HashAlgo, path: &[u8]) -> Option<ObjectId> {
        let mut file = self.open(path)?.ok()?;
        let mut hasher = Hasher::new(algo);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer).ok()? {
                0 => return Some(hasher.finish()),
                count => hasher.update(&buffer[..count]),
            }
        }
    }
}

impl Pair {
    /// Two directories at the top.
    pub fn new(old: End, new: End) -> Self {
        Self {
            prefix: BString::default(),
            old,
            new,
        }
    }

    /// Brings what a comparison of the two reads, where some of it is in a remote.
    pub fn bring(&self, app: &App, repository: &Repository) -> Result<()> {
        let store = &repository.store;
        match (&self.old, &self.new) {
            (End::Stored(old), End::Stored(new)) => bring_differing(store, *old, *new, &source::progress(app)),
            (End::Stored(tree), _) | (_, End::Stored(tree)) => {
                source::bring_below(app, store, *tree, &[], Below::Lists)
            }
            _ => Ok(()),
        }
    }

    /// For entries that are compared by themselves: nothing of them is on a disk.
    pub fn stored_files() -> Self {
        Self::new(End::Nothing, End::Nothing)
    }

    /// Makes the paths of a change those from the top.
    pub fn put_prefix(&self, change: &mut Change) {
        if self.prefix.is_empty() {
            return;
        }
        let below = |path: &BString| -> BString { [self.prefix.as_slice(), path.as_slice()].concat().into() };
        change.path = below(&change.path);
        if let ChangeKind::Moved { from } | ChangeKind::Copied { from } = &mut change.kind {
            *from = below(from);
        }
    }
}

/// What one argument names.
enum Subject {
    Snapshot(Box<Snapshot>),
    /// A directory in the store, and where it was on the disk, with the rules then, if that is known.
    Tree(ObjectId, Option<(PathBuf, Vec<String>)>),
    File(BString, Box<Entry>),
    Folder(PathBuf),
}

/// What the arguments name.
pub fn find(app: &App, repository: &Repository, arguments: &Arguments) -> Outcome<Sides> {
    let parse = |text: &Option<OsString>| text.as_ref().map(|text| subject(app, repository, text)).transpose();
    let trust = trust(&arguments.trust);
    match (parse(&arguments.old)?, parse(&arguments.new)?) {
        (Some(Subject::Folder(folder)), None) => {
            let newest = Subject::Snapshot(Box::new(newest(repository)?));
            between(app, repository, &newest, &Subject::Folder(folder), trust)
        }
        (Some(old), Some(new)) => between(app, repository, &old, &new, trust),
        (Some(Subject::Snapshot(snapshot)), None) => with_now(app, repository, &snapshot, trust),
        (Some(Subject::Tree(tree, Some((path, lines)))), None) => {
            let now = live(app, repository, path, RuleOptions::from_lines(&lines), trust);
            Ok(Sides {
                pairs: vec![Pair::new(End::Stored(tree), now)],
                ..Sides::default()
            })
        }
        (Some(_), None) => Err(Failure::usage(
            "there is no folder to compare this with",
            "name the other side: `ghost diff OLD NEW`",
        )),
        (None, _) => with_now(app, repository, &newest(repository)?, trust),
    }
}

/// The value of `--trust`.
pub fn trust(word: &str) -> Trust {
    match word {
        "hash" => Trust::Hash,
        _ => Trust::Stat,
    }
}

fn newest(repository: &Repository) -> Result<Snapshot> {
    let line = &repository.settings().core_line;
    let newest = history::newest(repository, line)?;
    newest
        .map(|(_, snapshot)| snapshot)
        .ok_or_else(|| history::nothing_yet(line))
}

fn subject(app: &App, repository: &Repository, text: &OsStr) -> Outcome<Subject> {
    let path = app.environment.resolved(Path::new(text));
    let bytes = text.as_bytes();
    if (bytes.starts_with(b".") || bytes.starts_with(b"/")) && path.is_dir() {
        return Ok(Subject::Folder(path));
    }
    let named = match app.resolve(repository, text) {
        Ok(revision) => revision.named,
        Err(Error::NotFound { .. } | Error::Invalid { .. }) if path.is_dir() => return Ok(Subject::Folder(path)),
        Err(error) => return Err(error.into()),
    };
    Ok(match named {
        Named::Snapshot(id) => Subject::Snapshot(Box::new(read_snapshot(&repository.store, &id)?)),
        Named::Entry { entry, path } if !matches!(entry.node, Node::Directory { .. }) => Subject::File(path, entry),
        named => {
            let tree = named.tree(&repository.store)?;
            let below = match &named {
                Named::Entry { path, .. } => path.as_bytes(),
                _ => b"",
            };
            Subject::Tree(tree, origin(app, repository, bytes, below))
        }
    })
}

/// Where the directory at `below` in the snapshot in front of the colon was, and the rules of that snapshot.
fn origin(app: &App, repository: &Repository, text: &[u8], below: &[u8]) -> Option<(PathBuf, Vec<String>)> {
    if app.named_far(OsStr::from_bytes(text)).is_some() {
        return None;
    }
    let colon = text.find_byte(b':')?;
    let (_, snapshot) = app.snapshot(repository, OsStr::from_bytes(&text[..colon])).ok()?;
    match &snapshot.roots[..] {
        [root] if root.meta.is_some() => {
            let path = Path::new(OsStr::from_bytes(&root.path)).join(OsStr::from_bytes(below));
            Some((path, snapshot.rules))
        }
        _ => None,
    }
}

/// A directory as it is now, looked at with the rules of a snapshot.
fn live(app: &App, repository: &Repository, path: PathBuf, rules: RuleOptions, trust: Trust) -> End {
    let request = plain_request(app, repository, rules);
    let cutoff = Cutoff::new(request.about.time, COARSE);
    let cache = last_scan(&place(repository), &request, &path);
    End::Live(LiveEnd {
        path,
        rules: request.rules,
        trust,
        cache: cache.map(|cache| (cache, cutoff)),
        only: None,
    })
}

/// What is at a path now, which may be no directory; the scans of directories know nothing of it.
fn live_entry(app: &App, repository: &Repository, path: &Path, rules: RuleOptions, trust: Trust) -> End {
    // A file system does not end in `..`, and the paths of roots are resolved.
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return End::Nothing;
    };
    End::Live(LiveEnd {
        path: folder.to_owned(),
        rules: plain_request(app, repository, rules).rules,
        trust,
        cache: None,
        only: Some(name.as_bytes().into()),
    })
}

fn between(app: &App, repository: &Repository, old: &Subject, new: &Subject, trust: Trust) -> Outcome<Sides> {
    let mut sides = Sides::default();
    if let (Subject::File(_, old), Subject::File(path, new)) = (old, new) {
        let (old, new) = (Item::from((**old).clone()), Item::from((**new).clone()));
        sides.files.push((path.clone(), old, new));
        return Ok(sides);
    }
    let lines = [old, new].into_iter().find_map(|subject| match subject {
        Subject::Snapshot(snapshot) => Some(snapshot.rules.clone()),
        Subject::Tree(_, Some((_, lines))) => Some(lines.clone()),
        _ => None,
    });
    let rules = RuleOptions::from_lines(&lines.unwrap_or_default());
    let end = |subject: &Subject| match subject {
        Subject::Snapshot(snapshot) => Ok(End::Stored(snapshot.tree)),
        Subject::Tree(tree, _) => Ok(End::Stored(*tree)),
        Subject::Folder(path) => Ok(live(app, repository, path.clone(), rules.clone(), trust)),
        Subject::File(path, _) => {
            let message = format!("{} is a file, and the other side is none", show::bytes(path));
            Err(Failure::usage(message, "compare two files, or two folders"))
        }
    };
    sides.pairs.push(Pair::new(end(old)?, end(new)?));
    Ok(sides)
}

/// A snapshot with what it was taken of, as that is now. Of a root that is gone, everything is on the old side only.
pub fn with_now(app: &App, repository: &Repository, snapshot: &Snapshot, trust: Trust) -> Outcome<Sides> {
    if snapshot.roots.is_empty() {
        let hint = "name the other side: `ghost diff OLD NEW`";
        return Err(Failure::usage("this snapshot was taken of no folder", hint));
    }
    let mut sides = Sides::default();
    let rules = RuleOptions::from_lines(&snapshot.rules);
    for root in &snapshot.roots {
        let path = PathBuf::from(OsStr::from_bytes(&root.path));
        let is_gone = is_gone(&path);
        if is_gone {
            sides.gone.push(path.clone());
        }
        if root.meta.is_some() {
            let now = match is_gone {
                true => End::Nothing,
                false => live(app, repository, path, rules.clone(), trust),
            };
            sides.pairs.push(Pair::new(End::Stored(snapshot.tree), now));
            continue;
        }
        let name = path.file_name().map_or(&b""[..], OsStr::as_bytes);
        let Some(entry) = lookup(&repository.store, snapshot.tree, name)? else {
            // It could not be read when the snapshot was taken, which was told then.
            let now = live_entry(app, repository, &path, rules.clone(), trust);
            sides.pairs.push(Pair::new(End::Nothing, now));
            continue;
        };
        sides.pairs.push(match entry.node {
            Node::Directory { tree } if path.is_dir() => {
                let new = live(app, repository, path.clone(), rules.clone(), trust);
                let old = End::Stored(tree);
                let prefix = [name, b"/"].concat().into();
                Pair { prefix, old, new }
            }
            _ => {
                let now = match is_gone {
                    true => End::Nothing,
                    false => live_entry(app, repository, &path, rules.clone(), trust),
                };
                Pair::new(End::StoredEntry(Box::new(entry)), now)
            }
        });
    }
    Ok(sides)
}

/// Whether nothing is at a path. What cannot be looked at may be there.
fn is_gone(path: &Path) -> bool {
    let looked = path.symlink_metadata().map_err(|error| error.kind());
    matches!(looked, Err(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}
