//! From an argument to what is to be added to a bundle.
//!
//! A live folder is read into a spool, a store in a nameless file beside the bundle that takes only what the bundle does
//! not have. A revision is copied from its repository, something in another bundle from there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ghost_plumbing::bundle::{Addition, Bundle, Root};
use ghost_plumbing::ghosts::Ghosts;
use ghost_plumbing::object::{ObjectId, ObjectKind};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::Named;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::Settings;
use ghost_plumbing::snapshot::{self, Keep, Outcome as Taken, Place, Request};
use ghost_plumbing::store::Store;
use ghost_plumbing::{Error, Result};

use super::descriptions::{self, write_descriptions};
use crate::app::App;
use crate::bundles;
use crate::commands::snapshot::request_by;
use crate::error::{Failure, Outcome};
use crate::rules::RuleArguments;
use crate::tree_argument::{self, TreeArgument};
use crate::ui::show;

/// What an argument stands for.
pub enum Subject {
    /// Folders and files as they are now.
    Live(Vec<PathBuf>),
    /// A snapshot or tree in a repository.
    Stored(Box<Repository>, Root),
    /// What was selected of another bundle, with its descriptions.
    Bundle(Box<Bundle>, Vec<Root>),
    /// The text of a `.ghostdesc` file.
    Descriptors(Vec<u8>),
}

/// How things are added.
pub struct Manner<'a> {
    /// The settings of the repository, if there is one, of the user and of this run.
    pub settings: &'a Settings,
    pub keep: Keep,
    /// Descriptions in place of trees.
    pub only_descriptors: bool,
    pub rules: &'a RuleArguments,
    /// The message of a snapshot that is taken.
    pub message: &'a str,
    /// Its labels.
    pub tags: &'a [String],
}

/// What is to be added, and from where.
pub struct Gathered {
    from: From,
    /// Descriptions in place of trees.
    described: Option<Ghosts>,
    pub addition: Addition,
    /// Whether bytes are known to be missing where it comes from.
    pub is_partial: bool,
    /// What a live folder gave, with what could not be read.
    pub taken: Option<Taken>,
}

enum From {
    Spool(Box<Store>),
    Repository(Box<Repository>),
    Bundle(Box<Bundle>),
    /// There is nothing to copy.
    Nothing,
}

/// Longest `.ghostdesc` file that is added at once, in bytes.
const DESCRIPTORS_BYTES_MAX: u64 = 32 << 20;

impl Subject {
    /// What `text` stands for.
    pub fn parse(app: &App, text: &OsStr) -> Outcome<Self> {
        if Path::new(text)
            .extension()
            .is_some_and(|extension| extension == "ghostdesc")
        {
            return read_descriptors(app, Path::new(text));
        }
        match tree_argument::parse(app, text)? {
            TreeArgument::Live(path) => Ok(Self::Live(vec![app.environment.resolved(&path)])),
            TreeArgument::SnapshotFile(_) | TreeArgument::Bundle(_) => in_bundle(app, text),
            TreeArgument::Revision(revision) => {
                let repository = app.repository()?;
                let named = app.resolve(&repository, &revision)?.named;
                let (kind, id) = match &named {
                    Named::Snapshot(id) => (ObjectKind::Snapshot, *id),
                    named => (ObjectKind::Tree, named.tree(&repository.store)?),
                };
                let root = root(app, kind, id, show::bytes(text.as_encoded_bytes()));
                Ok(Self::Stored(Box::new(repository), root))
            }
        }
    }

    /// The hash of its ids, where that is known.
    pub fn algo(&self) -> Option<ghost_plumbing::object::HashAlgo> {
        match self {
            Self::Stored(repository, _) => Some(repository.store.algo()),
            Self::Bundle(bundle, _) => Some(bundle.store().algo()),
            Self::Live(_) | Self::Descriptors(_) => None,
        }
    }

    /// What of it `bundle` is to get.
    pub fn gather(self, app: &App, bundle: &Bundle, manner: &Manner<'_>, progress: &Progress) -> Outcome<Gathered> {
        let mut addition = Addition {
            without_data: manner.keep == Keep::Ghosts,
            ..Addition::default()
        };
        let (mut taken, mut is_partial) = (None, false);
        let from = match self {
            Self::Live(paths) => {
                let request = request(app, bundle, paths, manner)?;
                let (spool, outcome) = read(app, bundle, &request, progress)?;
                let names: Vec<String> = request
                    .roots
                    .iter()
                    .map(|path| show::bytes(path.as_os_str().as_encoded_bytes()))
                    .collect();
                addition.roots = vec![root(app, ObjectKind::Snapshot, outcome.id, names.join(", "))];
                taken = Some(outcome);
                From::Spool(Box::new(spool))
            }
            Self::Stored(repository, root) => {
                if root.kind == ObjectKind::Snapshot {
                    is_partial = read_snapshot(&repository.store, &root.id)?.is_ghosts_only();
                }
                addition.roots = vec![root];
                From::Repository(repository)
            }
            Self::Bundle(other, roots) => {
                is_partial = roots.iter().any(|root| !root.is_complete);
                addition.roots = roots;
                From::Bundle(other)
            }
            Self::Descriptors(text) => {
                addition.descriptors = vec![text];
                From::Nothing
            }
        };
        let mut gathered = Gathered {
            from,
            described: None,
            addition,
            is_partial,
            taken,
        };
        if manner.only_descriptors {
            gathered.describe(Ghosts::spilling(app.disk.clone(), &bundle.store().place()), progress)?;
        }
        Ok(gathered)
    }
}

impl Gathered {
    /// Puts descriptions of the contents of all snapshots in place of the snapshots.
    fn describe(&mut self, mut ghosts: Ghosts, progress: &Progress) -> Outcome {
        let roots = std::mem::take(&mut self.addition.roots);
        let Some(from) = self.from() else { return Ok(()) };
        for root in roots {
            if root.kind != ObjectKind::Snapshot {
                let message = format!(
                    "{} is a tree: where and when its files were seen is not known",
                    root.label
                );
                return Err(Failure::usage(message, "describe a snapshot or a folder"));
            }
            let snapshot = read_snapshot(from, &root.id)?;
            let verified = self.taken.as_ref().map(|_| snapshot.time);
            ghosts.add_snapshot(from, &snapshot, verified, progress)?;
        }
        self.described = Some(ghosts);
        Ok(())
    }

    /// Descriptions that go with it: those of a bundle, and those in place of trees.
    pub fn texts(&self) -> Result<impl Iterator<Item = Result<Vec<u8>>>> {
        let of_bundle = match &self.from {
            From::Bundle(bundle) => Some(bundle.descriptors()),
            From::Spool(_) | From::Repository(_) | From::Nothing => None,
        };
        let described = self.described.as_ref().map(Ghosts::sorted).transpose()?;
        Ok(of_bundle
            .into_iter()
            .flatten()
            .chain(described.into_iter().flat_map(write_descriptions)))
    }

    /// The store to copy from, where there is something to copy.
    pub fn from(&self) -> Option<&Store> {
        match &self.from {
            _ if self.described.is_some() => None,
            From::Spool(store) => Some(store),
            From::Repository(repository) => Some(&repository.store),
            From::Bundle(bundle) => Some(bundle.store()),
            From::Nothing => None,
        }
    }
}

fn root(app: &App, kind: ObjectKind, id: ObjectId, label: String) -> Root {
    Root {
        kind,
        id,
        is_complete: false,
        added: app.environment.now(),
        label,
    }
}

/// What a text that names a bundle stands for: all that it holds, or what is named of it.
fn in_bundle(app: &App, text: &OsStr) -> Outcome<Subject> {
    let whole = app.environment.absolute(Path::new(bundles::without_tag(text)));
    if whole.is_file() {
        let bundle = bundles::open_whole(app, &whole)?;
        let roots = bundle.roots().to_vec();
        return Ok(Subject::Bundle(Box::new(bundle), roots));
    }
    let found = bundles::find(app, text)?;
    if found.rest.is_empty() {
        return Ok(Subject::Bundle(Box::new(found.bundle), vec![found.root]));
    }
    let repository = bundles::scratch(app, found.bundle.store().algo())?;
    let tree = app.resolve(&repository, text)?.named.tree(&repository.store)?;
    let label = show::bytes(text.as_encoded_bytes());
    Ok(Subject::Bundle(
        Box::new(found.bundle),
        vec![root(app, ObjectKind::Tree, tree, label)],
    ))
}

fn read_descriptors(app: &App, path: &Path) -> Outcome<Subject> {
    let path = app.environment.absolute(path);
    let failed = |op| {
        let path = path.clone();
        move |source| Error::Io { op, path, source }
    };
    let bytes = fs_err::metadata(&path).map_err(failed("stat"))?.len();
    if bytes > DESCRIPTORS_BYTES_MAX {
        let message = format!(
            "{} has {bytes} bytes; at most {DESCRIPTORS_BYTES_MAX} can be added at once",
            app.shown(&path)
        );
        return Err(Failure::other(message, "split it: each line stands for itself"));
    }
    let text = fs_err::read(&path).map_err(failed("read"))?;
    descriptions::check(&path, &text)?;
    Ok(Subject::Descriptors(text))
}

fn request(app: &App, bundle: &Bundle, roots: Vec<PathBuf>, manner: &Manner<'_>) -> Outcome<Request> {
    let mut request = request_by(app, manner.settings, manner.rules.options(manner.settings)?);
    request.roots = roots;
    request.keep = manner.keep;
    request.about.message = manner.message.to_owned();
    request.about.tags = manner.tags.to_vec();
    request.unless_same_as = bundle
        .top()
        .filter(|top| top.kind == ObjectKind::Snapshot)
        .map(|top| top.id);
    Ok(request)
}

/// Takes a snapshot into a spool beside the bundle.
fn read(app: &App, bundle: &Bundle, request: &Request, progress: &Progress) -> Result<(Store, Taken)> {
    let (path, algo) = (bundle.store().place(), bundle.store().algo());
    let spool = Store::spool(app.disk.clone(), &path, algo, bundle.store().options().clone())?;
    spool.attach(bundle.store())?;
    let place = Place {
        disk: &*app.disk,
        ghost_dir: None,
        uuid: spool.uuid(),
        store: &spool,
    };
    let taken = snapshot::take(&place, request, progress)?;
    Ok((spool, taken))
}
