//! Where content may come from beside the repository, as the options and the snapshot say.

use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bstr::BString;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::catalogue::{self, Catalogue, catch_up, each_snapshot};
use ghost_plumbing::ghosts::fasthash::FastHash;
use ghost_plumbing::ghosts::{Ghost, Ghosts};
use ghost_plumbing::object::{ObjectId, Snapshot};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::reconstruct::sources::Known;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::Trust;
use ghost_plumbing::time::Timestamp;
use ghost_plumbing::walk::Stat;
use parking_lot::Mutex;

use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::tree_argument::{self, TreeArgument};
use crate::ui::show;

/// The directories that `--source` names. Contents of revisions and bundles become readable through the repository.
pub fn trees(app: &App, repository: &Repository, sources: &[OsString]) -> Outcome<Vec<PathBuf>> {
    let mut trees = Vec::new();
    for text in sources {
        match tree_argument::parse(app, text)? {
            TreeArgument::Live(path) => trees.push(folder(app, &path)?),
            TreeArgument::Revision(revision) => match app.resolve(repository, &revision) {
                Err(Error::NotFound { .. }) => return Err(no_source(&revision)),
                found => drop(found?),
            },
            TreeArgument::SnapshotFile(_) | TreeArgument::Bundle(_) => drop(app.resolve(repository, text)?),
        }
    }
    Ok(trees)
}

fn folder(app: &App, path: &Path) -> Outcome<PathBuf> {
    let absolute = app.environment.absolute(path);
    let found = match fs_err::canonicalize(&absolute) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_source(path.as_os_str())),
        found => found.map_err(Error::io("open the source", &absolute))?,
    };
    if !found.is_dir() {
        let shown = show::bytes(path.as_os_str().as_bytes());
        return Err(Failure::usage(
            format!("the source {shown} is not a directory"),
            "name the directory that the file is in",
        ));
    }
    Ok(found)
}

fn no_source(text: &OsStr) -> Failure {
    let shown = show::bytes(text.as_bytes());
    let message = format!("there is no source {shown}: expected a folder, a revision, snap:FILE or gfs:FILE");
    Failure::other(
        message,
        "name where the files may be, as in --source=/mnt/disk; `ghost log` lists the snapshots",
    )
}

/// A directory of this machine that a snapshot was taken of.
struct Root {
    /// Where it was.
    path: PathBuf,
    /// What paths of the tree begin with that were in it.
    prefix: BString,
}

/// What is known of places on this machine: where the snapshot was taken, what descriptions say that came with the tree,
/// and what the catalogue has seen.
pub struct Places<'r> {
    repository: &'r Repository,
    host: String,
    roots: Vec<Root>,
    /// The path of what is reconstructed, in the tree of its snapshot.
    inside: BString,
    described: Ghosts,
    now: Timestamp,
    catalogue: OnceLock<Option<Mutex<Catalogue>>>,
    /// Trees of which somebody decided how far they are trusted.
    untrusted: OnceLock<Vec<(PathBuf, Trust)>>,
    problem: OnceLock<Error>,
}

impl<'r> Places<'r> {
    /// Places of the contents of `snapshot`, if there is one, of which the directory at `inside` is wanted.
    pub fn new(app: &App, repository: &'r Repository, snapshot: Option<&Snapshot>, inside: BString) -> Self {
        let host = app.host(repository.settings());
        let taken_here = snapshot.filter(|snapshot| snapshot.host == host);
        let roots = taken_here
            .map_or(&[][..], |snapshot| &snapshot.roots)
            .iter()
            .map(|root| {
                let path = PathBuf::from(OsString::from_vec(root.path.to_vec()));
                // A root with metadata of its own is the tree; else the tree has an entry of its name.
                let prefix = match (&root.meta, path.file_name()) {
                    (None, Some(name)) => BString::from(name.as_bytes()),
                    _ => BString::default(),
                };
                Root { path, prefix }
            });
        Self {
            repository,
            host,
            roots: roots.collect(),
            inside,
            described: Ghosts::spilling(app.disk.clone(), &app.environment.temporary.join("ghost-described")),
            now: app.environment.clock(),
            catalogue: OnceLock::new(),
            untrusted: OnceLock::new(),
            problem: OnceLock::new(),
        }
    }

    /// Adds descriptions that came with the tree. One that contradicts an earlier one of its content is left out.
    pub fn describe(&mut self, ghosts: impl IntoIterator<Item = Ghost>) -> Outcome {
        for ghost in ghosts {
            if let Err(error @ Error::Io { .. }) = self.described.add(ghost) {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// What came with the tree is known of a content.
    fn described(&self, fullhash: &ObjectId) -> Option<Ghost> {
        // Descriptions that contradict each other say nothing.
        self.described.get(fullhash).ok().flatten()
    }

    /// Whether nothing but bytes says what a file at this path is: `ghost scan --trust=hash`, or the settings, said so.
    fn distrusts(&self, path: &Path) -> bool {
        let decided = self
            .untrusted
            .get_or_init(|| self.ask(|catalogue| catalogue.decided(&self.host)).unwrap_or_default());
        let innermost = decided
            .iter()
            .filter(|(root, _)| path.starts_with(root))
            .max_by_key(|(root, _)| root.as_os_str().len());
        let default = self.repository.settings().snapshot_trust;
        innermost.map_or(default, |(_, trust)| *trust) == Trust::Hash
    }

    /// Why the catalogue could not be asked, if it could not.
    pub fn problem(&self) -> Option<&Error> {
        self.problem.get()
    }

    /// All that is known of a content.
    pub fn ghost(&self, fullhash: &ObjectId) -> Option<Ghost> {
        let found = self.ask(|catalogue| catalogue.ghost(fullhash)).flatten();
        match (found, self.described(fullhash)) {
            (Some(mut found), Some(described)) => {
                // Descriptions that contradict each other leave that of this repository.
                let _ = found.merge(&described);
                Some(found)
            }
            (found, described) => found.or(described),
        }
    }

    /// Asks the catalogue, which is opened, and catches up with the snapshots, when it is first asked: most jobs never do.
    fn ask<T>(&self, question: impl FnOnce(&Catalogue) -> Result<T, Error>) -> Option<T> {
        let catalogue = self
            .catalogue
            .get_or_init(|| self.note(self.open()).flatten())
            .as_ref()?;
        self.note(question(&catalogue.lock()))
    }

    fn open(&self) -> Result<Option<Mutex<Catalogue>>, Error> {
        let Repository {
            ghost_dir, refs, store, ..
        } = self.repository;
        // A repository that only is in memory has none.
        if !ghost_dir.is_dir() {
            return Ok(None);
        }
        let mut catalogue = Catalogue::open(&ghost_dir.join(catalogue::FILE), self.now)?.catalogue;
        // Where nothing can be written it tells what it knew before.
        if !catalogue.is_read_only() {
            catalogue.unfold(&Progress::default())?;
            // A snapshot that cannot be read knows no places.
            catch_up(&mut catalogue, refs, store, &Progress::default())?;
        }
        Ok(Some(Mutex::new(catalogue)))
    }

    fn note<T>(&self, answer: Result<T, Error>) -> Option<T> {
        answer.map_err(|error| self.problem.set(error)).ok()
    }
}

impl Known for Places<'_> {
    fn origins(&self, path: &[u8]) -> Vec<PathBuf> {
        let whole: BString = match self.inside.is_empty() {
            true => path.into(),
            false => bstr::join("/", [&self.inside, path]).into(),
        };
        let places = self.roots.iter().filter_map(|root| {
            let rest = match root.prefix.is_empty() {
                true => whole.as_slice(),
                false => whole.strip_prefix(root.prefix.as_slice())?.strip_prefix(b"/")?,
            };
            Some(root.path.join(OsStr::from_bytes(rest)))
        });
        places.filter(|path| path.is_absolute()).collect()
    }

    fn places(&self, fullhash: &ObjectId, _: u64) -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> = Vec::new();
        if let Some(ghost) = self.ghost(fullhash) {
            let mut seen: Vec<_> = ghost.places.iter().filter(|place| place.host == self.host).collect();
            // Where it was last seen to be comes before where it was once.
            seen.sort_by_key(|place| (!place.present, Reverse(place.seen_last)));
            places.extend(
                seen.into_iter()
                    .map(|place| PathBuf::from(OsStr::from_bytes(&place.path))),
            );
        }
        places.retain(|path| path.is_absolute());
        places
    }

    fn trees(&self) -> Vec<ObjectId> {
        let Repository { refs, store, .. } = self.repository;
        let mut trees = Vec::new();
        let listed = each_snapshot(refs, store, &Progress::default(), &|_| Ok(false), &mut |_, snapshot| {
            // One that cannot be read says nothing.
            trees.extend(snapshot.map(|snapshot| snapshot.tree));
            Ok(())
        });
        self.note(listed);
        trees
    }

    fn recall(&self, path: &Path, stat: &Stat) -> Option<ObjectId> {
        if self.distrusts(path) {
            return None;
        }
        let path = path.as_os_str().as_bytes();
        let row = self.ask(|catalogue| catalogue.at(&self.host, path))??;
        let content = row.content.filter(|_| row.is_unchanged(stat))?;
        Some(self.ask(|catalogue| catalogue.content(content))??.fullhash)
    }

    fn fast_hash(&self, fullhash: &ObjectId) -> Option<FastHash> {
        let described = self.described(fullhash).and_then(|ghost| ghost.fasthash);
        described.or_else(|| self.ask(|catalogue| catalogue.by_fullhash(fullhash))??.fasthash)
    }
}
