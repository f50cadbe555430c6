//! Lazy repositories: who is asked for blocks that are not here, and where they are kept.
//!
//! All remotes of the configuration are asked in turn, `origin` first; each is connected to when something is first asked
//! of it. What came is kept in `.ghost/lazy` as `cache.max` and `cache.time` say; with `cache.only` nobody is asked.

use std::sync::Arc;
use std::time::Duration;

use ghost_plumbing::object::ObjectId;
use ghost_plumbing::progress::Progress;
use ghost_plumbing::remote::client::Client;
use ghost_plumbing::remote::lazy;
use ghost_plumbing::remote::objects::Brought;
use ghost_plumbing::remote::objects::cache::{Cache, Keeping, Place};
use ghost_plumbing::remote::objects::supply::{Peer, Peers};
use ghost_plumbing::repository::{Repository, Settings};
use ghost_plumbing::store::{Show, Writer};
use ghost_plumbing::time::CalendarSpan;
use ghost_plumbing::{Error, Result};
use parking_lot::Mutex;

use super::names::DEFAULT;
use super::session::{Reach, Session};
use super::url::Url;
use crate::app::App;

/// A remote that is connected when it is first asked.
struct Distant {
    name: String,
    url: Url,
    reach: Reach,
    progress: Arc<Progress>,
    session: Mutex<Option<Session>>,
}

impl std::fmt::Debug for Distant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Distant({})", self.name)
    }
}

impl Peer for Distant {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn bring(&self, writer: &Writer<'_>, ids: &[ObjectId], show: &Show<'_>) -> Result<Brought> {
        self.ask(&|client| client.bring_shown(writer, ids, show))
    }

    fn bring_history(&self, writer: &Writer<'_>, id: ObjectId, most: u64) -> Result<Brought> {
        self.ask(&|client| client.bring_history(writer, id, most))
    }
}

impl Distant {
    fn ask(&self, ask: &dyn Fn(&Client<'_>) -> Result<Brought>) -> Result<Brought> {
        let mut session = self.session.lock();
        if session.is_none() {
            *session = Some(self.reach.connect(&self.url).map_err(as_lost)?);
        }
        let brought = match &*session {
            Some(session) => ask(&session.client(&self.progress)?),
            None => return Ok(Brought::default()),
        };
        if matches!(brought, Err(Error::Disconnected { .. })) {
            // The next question begins anew.
            *session = None;
        }
        brought
    }
}

/// A remote that cannot be reached is one matter, a disk that is full another.
fn as_lost(error: Error) -> Error {
    match error {
        Error::Io { .. } => Error::Disconnected {
            reason: error.to_string(),
        },
        error => error,
    }
}

impl App {
    /// A repository to read from. Of a lazy one, blocks that are not here come from its remotes when they are read; it
    /// cannot be written to then.
    pub fn to_read(&self, repository: Repository) -> Result<Repository> {
        if repository.is_lazy() {
            self.sources
                .peers(|| peers(self, &repository))?
                .supply(&repository.store)?;
        }
        Ok(repository)
    }
}

fn peers(app: &App, repository: &Repository) -> Result<Peers> {
    let settings = repository.settings();
    let keep = |place: Place| {
        let keeping = Keeping {
            bytes_max: settings.cache_bytes_max,
            time: time_of(app, settings)?,
            now: app.environment.now(),
            place,
        };
        let options = repository.store.options().clone();
        Cache::open(app.disk.clone(), repository.store.algo(), options, keeping)
    };
    let folder = repository.ghost_dir.join(lazy::FOLDER);
    let spool = || keep(Place::Spool(app.environment.temporary.join("ghost")));
    let cache = match settings.cache_bytes_max {
        0 => spool()?,
        // Where nothing can be written, what comes is kept for this run.
        _ => match keep(Place::Folder(folder)) {
            Err(Error::Io { .. }) => spool()?,
            cache => cache?,
        },
    };
    let peers = Peers::new(cache);
    if settings.cache_only {
        return Ok(peers);
    }
    let mut remotes: Vec<(&String, &String)> = repository.config.remotes().iter().collect();
    remotes.sort_by_key(|(name, _)| (name.as_str() != DEFAULT, name.as_str()));
    for (name, url) in remotes {
        let distant = Distant {
            name: name.clone(),
            url: Url::parse(url.as_ref())?,
            reach: Reach::new(app, settings, Some(repository.format.uuid))?,
            progress: app.sources.progress(app),
            session: Mutex::new(None),
        };
        peers.add(Arc::new(distant));
    }
    Ok(peers)
}

/// The setting `cache.time` as a length; none is no limit.
fn time_of(app: &App, settings: &Settings) -> Result<Option<Duration>> {
    if settings.cache_time.is_empty() {
        return Ok(None);
    }
    let span: CalendarSpan = settings.cache_time.parse()?;
    let now = app.environment.zoned_now();
    let seconds = now.timestamp().as_second() - span.before(&now).timestamp().as_second();
    Ok(Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))))
}
