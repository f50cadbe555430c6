//! What commands share that ask about ghosts: the catalogue of the repository, contents by path or hash, and how a
//! description is shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ghost_plumbing::Error;
use ghost_plumbing::ghosts::catalogue::{self, Catalogue, Content, catch_up};
use ghost_plumbing::ghosts::scan::Request;
use ghost_plumbing::ghosts::{Ghost, Place};
use ghost_plumbing::object::IdPrefix;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::Trust;
use ghost_plumbing::walk::{RuleOptions, Rules};
use serde::Serialize;

use crate::app::App;
use crate::commands::snapshot::COARSE;
use crate::error::{Failure, Outcome};
use crate::records::PathField;
use crate::ui::show;
use crate::ui::time::rfc3339;

/// Contents that one prefix may name before it is called ambiguous.
const CANDIDATES_MAX: usize = 16;

/// Opens the catalogue. One that is damaged is moved aside, which is said.
pub fn open(app: &mut App, repository: &Repository) -> Outcome<Catalogue> {
    let path = repository.ghost_dir.join(catalogue::FILE);
    let opened = Catalogue::open(&path, app.environment.clock())?;
    if let Some(aside) = opened.moved_aside {
        app.output.warn(format_args!(
            "the catalogue was damaged and is now {}; a new one begins with what snapshots hold",
            app.shown(&aside)
        ));
        app.output.warn("`ghost scan` finds again what else it knew");
    }
    Ok(opened.catalogue)
}

/// Opens the catalogue and adds what snapshots hold that were taken since.
pub fn open_current(app: &mut App, repository: &Repository) -> Outcome<Catalogue> {
    let mut catalogue = open(app, repository)?;
    let progress = Arc::new(app.gentle(repository));
    let problems = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        catch_up(&mut catalogue, &repository.refs, &repository.store, &progress)
    };
    for problem in problems? {
        app.output.problem(&format!("a snapshot is passed over: {problem}"));
    }
    Ok(catalogue)
}

/// Does a job with the catalogue. Where the job finds it damaged, it is moved aside and the job begins again, once.
pub fn with_catalogue<T>(
    app: &mut App,
    repository: &Repository,
    mut job: impl FnMut(&mut App, &mut Catalogue) -> Outcome<T>,
) -> Outcome<T> {
    let mut catalogue = open_current(app, repository)?;
    match job(app, &mut catalogue) {
        Err(Failure::Library(Error::Damaged { path, .. })) if path == catalogue.path() => {
            let aside = catalogue.abandon(app.environment.clock())?;
            app.output.warn(format_args!(
                "the catalogue is damaged and now {}; it is made anew from the snapshots",
                app.shown(&aside)
            ));
            let mut catalogue = open_current(app, repository)?;
            job(app, &mut catalogue)
        }
        result => result,
    }
}

/// A scan of `roots` as the settings want it.
pub fn scan_request(app: &App, repository: &Repository, roots: Vec<PathBuf>, rules: RuleOptions) -> Request {
    let settings = repository.settings();
    Request {
        roots,
        rules: Rules::new(rules),
        trust_hash: settings.snapshot_trust == Trust::Hash,
        host: app.host(settings),
        algo: repository.format.hash,
        threads: app.threads(settings),
        now: app.environment.now(),
        began: app.environment.clock(),
        coarse: COARSE,
    }
}

/// A place for people: on this machine as [`App::shown`] has it, on others with the machine in front.
pub fn shown(app: &App, host: &str, place: &Place) -> String {
    match place.host == host && place.path.starts_with(b"/") {
        true => app.shown(Path::new(OsStr::from_bytes(&place.path))),
        false => format!("{}:{}", show::text(&place.host), show::bytes(&place.path)),
    }
}

/// The content whose hash, or the beginning of it, is given; none where the text is no hash.
pub fn by_hash(catalogue: &Catalogue, text: &OsStr) -> Outcome<Option<Content>> {
    let Some(prefix) = text.to_str().and_then(|text| text.parse::<IdPrefix>().ok()) else {
        return Ok(None);
    };
    let mut found = catalogue.by_prefix(&prefix, CANDIDATES_MAX)?;
    match found.len() {
        0 => Ok(None),
        1 => Ok(found.pop()),
        _ => Err(Failure::Library(Error::Ambiguous {
            prefix: text.to_string_lossy().into_owned(),
            candidates: found.iter().map(|content| content.fullhash).collect(),
        })),
    }
}

/// What an argument names, where it is no file that is there: a hash, or a path at which something was.
pub fn known(app: &App, repository: &Repository, catalogue: &Catalogue, text: &OsStr) -> Outcome<Vec<Content>> {
    if let Some(content) = by_hash(catalogue, text)? {
        return Ok(vec![content]);
    }
    let path = app.environment.resolved(text.as_ref());
    let host = app.host(repository.settings());
    let found = catalogue.ever_at(&host, path.as_os_str().as_bytes())?;
    if found.is_empty() {
        let message = format!("nothing is known of {}", show::bytes(text.as_bytes()));
        let hint = "it is neither there, nor the hash of a known content, nor a path where one was; `ghost scan PATH` \
                    finds what is on a file system";
        return Err(Failure::other(message, hint));
    }
    Ok(found)
}

/// A description, for `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "ghost")]
pub struct GhostRecord {
    fullhash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fasthash: Option<String>,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lastmod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_full: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_fast: Option<String>,
    found_first: String,
    found_last: String,
    places: Vec<PlaceRecord>,
}

/// One place of a description.
#[derive(Debug, Serialize)]
pub struct PlaceRecord {
    host: String,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_hex: Option<String>,
    #[serde(flatten)]
    path: PathField,
    present: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    seen_first: String,
    seen_last: String,
    looked: String,
}

impl PlaceRecord {
    /// From a place.
    pub fn new(place: &Place) -> Self {
        let time = |time| rfc3339(time, 0);
        let is_text = std::str::from_utf8(&place.root).is_ok();
        Self {
            host: place.host.clone(),
            root: place.root.to_string(),
            root_hex: (!is_text).then(|| crate::records::hex(&place.root)),
            path: PathField::new(&place.path),
            present: place.present,
            mtime: place.mtime.map(time),
            seen_first: time(place.seen_first),
            seen_last: time(place.seen_last),
            looked: time(place.looked),
        }
    }
}

impl GhostRecord {
    /// From a description.
    pub fn new(ghost: &Ghost) -> Self {
        let time = |time| rfc3339(time, 0);
        Self {
            fullhash: ghost.fullhash.to_string(),
            fasthash: ghost.fasthash.map(|hash| hash.to_string()),
            size_bytes: ghost.size,
            lastmod: ghost.lastmod.map(time),
            verified_full: ghost.verified_full.map(time),
            verified_fast: ghost.verified_fast.map(time),
            found_first: time(ghost.found_first),
            found_last: time(ghost.found_last),
            places: ghost.places.iter().map(PlaceRecord::new).collect(),
        }
    }
}
