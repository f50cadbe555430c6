//! What commands share that ask about ghosts: the catalogue of the repository, contents by path or hash, and how a
//! description is shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ghost_plumbing::Error;
use ghost_plumbing::ghosts::catalogue::{self, Catalogue, Content};
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

/// Opens the catalogue for walks that recall what it knows of files. One that is damaged is moved aside, which is said.
pub fn open_to_recall(app: &mut App, repository: &Repository) -> Outcome<Catalogue> {
    let path = repository.ghost_dir.join(catalogue::FILE);
    let opened = Catalogue::open(&path, app.environment.clock())?;
    if let Some(aside) = opened.moved_aside {
        tell_abandoned(app, &aside);
    }
    Ok(opened.catalogue)
}

/// Opens the catalogue, with rows for all that is known of live files.
fn open(app: &mut App, repository: &Repository) -> Outcome<Catalogue> {
    let mut catalogue = open_to_recall(app, repository)?;
    match unfold(app, repository, &mut catalogue) {
        Err(Failure::Library(error)) if is_damage(repository, &error) => {
            drop(catalogue);
            abandon(app, repository)?;
            open_to_recall(app, repository)
        }
        result => result.map(|()| catalogue),
    }
}

fn unfold(app: &mut App, repository: &Repository, catalogue: &mut Catalogue) -> Outcome {
    if catalogue.is_read_only() {
        app.output
            .warn("nothing can be written where the catalogue is: what was found last may be missing");
        return Ok(());
    }
    let progress = Arc::new(app.gentle(repository));
    let _monitor = app.monitor(&progress, &repository.config)?;
    catalogue.unfold(&progress)?;
    Ok(())
}

/// Opens the catalogue and adds what snapshots hold that were taken since.
pub fn open_current(app: &mut App, repository: &Repository) -> Outcome<Catalogue> {
    let mut catalogue = open(app, repository)?;
    match catch_up(app, repository, &mut catalogue) {
        Err(Failure::Library(error)) if is_damage(repository, &error) => {
            drop(catalogue);
            abandon(app, repository)?;
            let mut catalogue = open(app, repository)?;
            catch_up(app, repository, &mut catalogue)?;
            Ok(catalogue)
        }
        result => result.map(|()| catalogue),
    }
}

fn catch_up(app: &mut App, repository: &Repository, catalogue: &mut Catalogue) -> Outcome {
    if catalogue.is_read_only() {
        return Ok(());
    }
    let progress = Arc::new(app.gentle(repository));
    let problems = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        catalogue::catch_up(catalogue, &repository.refs, &repository.store, &progress)
    };
    for problem in problems? {
        app.output.problem(&format!("a snapshot is passed over: {problem}"));
    }
    Ok(())
}

/// Whether an error tells of damage in the catalogue itself.
fn is_damage(repository: &Repository, error: &Error) -> bool {
    matches!(error, Error::Damaged { path, .. } if *path == repository.ghost_dir.join(catalogue::FILE))
}

/// Moves a damaged catalogue aside, and says so.
fn abandon(app: &mut App, repository: &Repository) -> Outcome {
    let path = repository.ghost_dir.join(catalogue::FILE);
    let aside = Catalogue::abandon(&path, app.environment.clock())?;
    tell_abandoned(app, &aside);
    Ok(())
}

fn tell_abandoned(app: &mut App, aside: &Path) {
    app.output.warn(format_args!(
        "the catalogue was damaged and is now {}; a new one begins with what snapshots hold",
        app.shown(aside)
    ));
    app.output.warn("`ghost scan` finds again what else it knew");
}

/// Does a job with the catalogue, which knows all snapshots.
pub fn with_catalogue<T>(
    app: &mut App,
    repository: &Repository,
    job: impl FnMut(&mut App, &mut Catalogue) -> Outcome<T>,
) -> Outcome<T> {
    again_if_damaged(app, repository, open_current, job)
}

/// Does a job with the catalogue as it is.
pub fn with_plain_catalogue<T>(
    app: &mut App,
    repository: &Repository,
    job: impl FnMut(&mut App, &mut Catalogue) -> Outcome<T>,
) -> Outcome<T> {
    again_if_damaged(app, repository, open, job)
}

/// Where a job finds the catalogue damaged, it is moved aside and the job begins again, once.
fn again_if_damaged<T>(
    app: &mut App,
    repository: &Repository,
    open: impl Fn(&mut App, &Repository) -> Outcome<Catalogue>,
    mut job: impl FnMut(&mut App, &mut Catalogue) -> Outcome<T>,
) -> Outcome<T> {
    let mut catalogue = open(app, repository)?;
    match job(app, &mut catalogue) {
        Err(Failure::Library(error)) if is_damage(repository, &error) => {
            drop(catalogue);
            abandon(app, repository)?;
            let mut catalogue = open(app, repository)?;
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
        keep_trust: None,
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
    match place.host == host {
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
