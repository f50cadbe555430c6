//! Reading what other repositories have, without having it: `URL[:REV[:PATH]]` wherever a revision may stand.
//!
//! 1. [`super::named`] takes the text apart; the remote is connected to, once in a run, and tells its refs.
//! 2. The revision is looked up among those refs. Objects come when they are read: the store of the repository at hand, or
//!    of an empty one in memory where there is none, asks the remote for what it does not have itself.
//! 3. What came goes to files without names in the folder for temporary ones, which take no more than [`SPOOL_BYTES`]
//!    and what is being read.
//!
//! Commands say beforehand what they will read ([`bring_below`], [`bring_changes`]), so that it comes in few answers.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bstr::BString;
use ghost_plumbing::compare::{Change, Content, Item};
use ghost_plumbing::object::{ContentRef, IdPrefix, Node, ObjectId, ObjectKind, ObjectSource};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::revision::entry_at;
use ghost_plumbing::refs::{self, Forgotten, HistoryEntry, Revision, RevisionContext, RevisionSource, short_name};
use ghost_plumbing::remote::client::Client;
use ghost_plumbing::remote::message::Listing;
use ghost_plumbing::remote::objects::Brought;
use ghost_plumbing::remote::objects::ahead::Ahead;
use ghost_plumbing::remote::objects::cache::{Cache, Keeping, Place};
use ghost_plumbing::remote::objects::supply::{Peer, Peers};
use ghost_plumbing::remote::objects::walk::{Below, bring_contents, bring_trees};
use ghost_plumbing::repository::{self, Repository};
use ghost_plumbing::store::{Show, Store, Writer};
use ghost_plumbing::{Error, Result};
use parking_lot::Mutex;

use super::named::{Named, split};
use super::session::{Reach, Session};
use super::url::Url;
use crate::app::App;
use crate::bundles;

/// Bytes of what came that are kept for a while, in case it is read again.
const SPOOL_BYTES: u64 = 128 << 20;

/// The remotes that a run reads from.
#[derive(Debug, Default)]
pub struct Sources {
    opened: Mutex<Vec<Arc<Far>>>,
    peers: Mutex<Option<Arc<Peers>>>,
    /// Counts what is read from all of them together, as fast as it may be.
    progress: OnceLock<Arc<Progress>>,
}

/// A remote that is connected.
#[derive(Debug)]
pub struct Far {
    url: std::ffi::OsString,
    /// In front of the session, which ends when nothing is asked any more.
    ahead: Ahead,
    session: Session,
    progress: Arc<Progress>,
    /// Its refs.
    pub listing: Listing,
}

impl Peer for Far {
    fn name(&self) -> String {
        self.url.to_string_lossy().into_owned()
    }

    fn bring(&self, writer: &Writer<'_>, ids: &[ObjectId], show: &Show<'_>) -> Result<Brought> {
        let client = self.session.client(&self.progress)?;
        client.bring_ahead(&self.ahead, writer, ids, show)
    }

    fn expect(&self, ids: &[ObjectId], here: &[ObjectId]) {
        // What is wrong with the connection shows when the answer is needed.
        if let Ok(client) = self.session.client(&self.progress) {
            client.ask_ahead(&self.ahead, ids, here);
        }
    }

    fn bring_history(&self, writer: &Writer<'_>, id: ObjectId, most: u64) -> Result<Brought> {
        self.session.client(&self.progress)?.bring_history(writer, id, most)
    }
}

impl Far {
    /// Asks over its connection.
    pub fn client<'f>(&'f self, progress: &'f Progress) -> Result<Client<'f>> {
        self.session.client(progress)
    }
}

impl Sources {
    /// Lets at most so many bytes a second come from all remotes together; 0 is no limit. Said before any is asked.
    pub fn limit(&self, app: &App, bytes_per_second: u64) {
        let progress = Progress::new(app.interrupt.clone()).limit(bytes_per_second);
        let _ = self.progress.set(Arc::new(progress));
    }

    /// Counts what is read from remotes.
    pub fn progress(&self, app: &App) -> Arc<Progress> {
        let begin = || {
            // Settings that cannot be read are an error of the command that needs them.
            let limit = app.config().map_or(0, |config| config.typed().io_remote_limit_bytes);
            Arc::new(Progress::new(app.interrupt.clone()).limit(limit))
        };
        self.progress.get_or_init(begin).clone()
    }

    /// Those that are asked for objects; `begin` makes them where there are none yet.
    pub fn peers(&self, begin: impl FnOnce() -> Result<Peers>) -> Result<Arc<Peers>> {
        let mut peers = self.peers.lock();
        if let Some(peers) = &*peers {
            return Ok(peers.clone());
        }
        let begun = Arc::new(begin()?);
        *peers = Some(begun.clone());
        Ok(begun)
    }

    /// What those are called that were asked.
    pub fn asked(&self) -> Vec<String> {
        self.peers.lock().as_ref().map_or_else(Vec::new, |peers| peers.names())
    }
}

impl App {
    /// What a text names in a remote, if it does.
    pub fn named_far(&self, text: &OsStr) -> Option<Named> {
        let is_repository = |path: &OsStr| {
            let path = self.environment.absolute(Path::new(path));
            repository::locate(&*self.disk, &path).is_ok()
        };
        split(text, &is_repository)
    }

    /// The remote of a URL, connected.
    pub fn far(&self, named: &Named) -> Result<Arc<Far>> {
        let mut opened = self.sources.opened.lock();
        if let Some(far) = opened.iter().find(|far| far.url == named.url) {
            return Ok(far.clone());
        }
        let url = match Url::parse(&named.url)? {
            Url::Path(path) => Url::Path(self.environment.absolute(&path)),
            url => url,
        };
        let reach = Reach::new(self, self.config()?.typed(), None)?;
        let progress = self.sources.progress(self);
        let session = reach.connect(&url)?;
        let listing = session.client(&progress)?.list()?;
        let far = Arc::new(Far {
            url: named.url.clone(),
            session,
            progress,
            ahead: Ahead::default(),
            listing,
        });
        opened.push(far.clone());
        Ok(far)
    }

    /// Lets the store of `repository` read what a remote has.
    pub fn read_from(&self, repository: &Repository, far: &Arc<Far>) -> Result<()> {
        let peers = self.sources.peers(|| self.spool(repository))?;
        if !peers.names().contains(&far.name()) {
            peers.add(far.clone());
        }
        peers.supply(&repository.store)
    }

    /// What a text names in a remote. The store of `repository` reads what is there from now on.
    pub fn resolve_far(&self, repository: &Repository, named: &Named) -> Result<Revision> {
        let far = self.far(named)?;
        self.read_from(repository, &far)?;
        let context = RevisionContext {
            line: short_name(&far.listing.line).to_owned(),
            now: self.environment.zoned_now(),
            algo: far.listing.hash,
        };
        let theirs = Theirs {
            listing: &far.listing,
            store: &repository.store,
        };
        let rest = match named.rest.as_bytes() {
            b"" => b"@",
            rest => rest,
        };
        refs::resolve(&theirs, &context, rest)
    }

    /// The repository that something in a remote is read through: that at hand, unless there is none or its ids are made
    /// by another hash.
    pub fn repository_far(&self, named: &Named) -> Result<Repository> {
        let algo = self.far(named)?.listing.hash;
        match self.repository() {
            Ok(repository) if repository.store.algo() == algo => self.to_read(repository),
            Ok(_) | Err(Error::NoRepository { .. }) => bundles::scratch(self, algo),
            Err(error) => Err(error),
        }
    }

    /// Nobody to ask yet, and files without names for what comes.
    fn spool(&self, repository: &Repository) -> Result<Peers> {
        let keeping = Keeping {
            place: Place::Spool(self.environment.temporary.join("ghost")),
            bytes_max: SPOOL_BYTES,
            time: None,
            now: self.environment.clock(),
        };
        let options = repository.store.options().clone();
        let cache = Cache::open(self.disk.clone(), repository.store.algo(), options, keeping)?;
        Ok(Peers::new(cache))
    }
}

/// The refs of a remote, and its objects as far as they are read.
struct Theirs<'a> {
    listing: &'a Listing,
    store: &'a Store,
}

impl RevisionSource for Theirs<'_> {
    fn ref_value(&self, name: &str) -> Result<Option<ObjectId>> {
        Ok(self.listing.get(name))
    }

    fn walk_history(&self, name: &str, _visit: &mut dyn FnMut(HistoryEntry) -> ControlFlow<()>) -> Result<()> {
        let problem = "the log of a remote's refs is not read; name an ancestor, or fetch";
        Err(Error::invalid(
            "revision",
            format_args!("{}@{{…}}", short_name(name)),
            problem,
        ))
    }

    /// Among the snapshots that refs name, those behind them, and whatever else was read.
    fn find_prefix(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<ObjectId>> {
        let named = self.listing.refs.iter().map(|(_, id)| *id);
        let mut found: Vec<ObjectId> = named.filter(|id| prefix.matches(id)).collect();
        found.extend(self.store.find_prefix(prefix, limit)?);
        found.sort();
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    fn kind_of(&self, id: &ObjectId) -> Result<Option<ObjectKind>> {
        self.store.kind_of(id)
    }

    fn objects(&self) -> &dyn ObjectSource {
        self.store
    }

    fn forgotten(&self) -> Result<Forgotten> {
        Ok(Forgotten::of(
            self.listing.refs.iter().map(|(name, id)| (name.as_str(), *id)),
        ))
    }
}

/// Brings what a walk over a tree needs, or over these paths in it. What is not there, the walk finds out.
pub fn bring_below(app: &App, store: &Store, tree: ObjectId, paths: &[BString], below: Below) -> Result<()> {
    if !store.has_supply() {
        return Ok(());
    }
    let mut tops = Vec::new();
    for path in paths {
        match entry_at(store, tree, path) {
            Ok(Some(entry)) => match entry.node {
                Node::Directory { tree } => tops.push(tree),
                Node::File { content, .. } => bring_contents(store, &[content], below, &progress(app))?,
                _ => {}
            },
            Ok(None) => tops.push(tree),
            Err(error) if error.ends_job() => return Err(error),
            Err(_) => {}
        }
    }
    if paths.is_empty() {
        tops.push(tree);
    }
    bring_trees(store, &tops, below, &progress(app))
}

/// Brings the contents on both sides of changes, of files that are no longer than `bytes_max`.
pub fn bring_changes(app: &App, store: &Store, changes: &[Change], bytes_max: u64) -> Result<()> {
    if !store.has_supply() {
        return Ok(());
    }
    let content = |item: &Item| match &item.content {
        Content::Known(Node::File { content, .. }) if content.len() <= bytes_max => Some(content.clone()),
        _ => None,
    };
    let sides = changes.iter().flat_map(|change| [&change.old, &change.new]);
    let contents: Vec<ContentRef> = sides.flatten().filter_map(content).collect();
    bring_contents(store, &contents, Below::Blocks, &progress(app))
}

/// Nothing to show, and the interrupt to look at.
pub fn progress(app: &App) -> Progress {
    Progress::new(app.interrupt.clone())
}
