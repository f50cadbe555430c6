//! Lost folders from folders as they are now: a tree is the same wherever names, bytes and kept metadata are.
//!
//! 1. Of each snapshot that lacks trees, the places are listed where its roots may be in the directory: at their paths below
//!    it, under their names in it, or the directory itself.
//! 2. What is there is scanned as a snapshot is, by the rules that the damaged one was taken with, into a spool, a store of
//!    one file without a name: descriptions only, no contents.
//! 3. From there the trees that are wanted are copied, and what is below them and missing, as from another store
//!    ([`super::from_store`]). A tree that differs in anything has another id, and is not wanted.
//!
//! Contents are looked for by [`super::live`], once the trees that name them are back.

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;
use hashbrown::HashSet;

use super::{Wanted, from_store};
use crate::error::Result;
use crate::object::{ObjectKind, Root, Snapshot};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::repository::{Repository, Settings};
use crate::snapshot::{self, About, Keep, Place, Request};
use crate::store::{Store, Writer};
use crate::time::Timestamp;
use crate::verify::Report as Checked;
use crate::walk::{RuleOptions, Rules};

/// Name of the spool, beside the stat caches.
const SPOOL: &str = "cache/heal";

/// Looks below `path` for trees that are wanted; what is found is put and no longer wanted. `left` says which snapshots
/// lack them.
pub fn run(
    (repository, writer): (&Repository, &Writer<'_>),
    path: &Path,
    left: &Checked,
    threads: usize,
    wanted: &mut Wanted,
    progress: &Progress,
) -> Result<()> {
    let mut seen = HashSet::new();
    for scan in scans(writer.store(), path, left)? {
        if !wanted.values().any(|kind| *kind == ObjectKind::Tree) {
            break;
        }
        if !seen.insert((scan.roots.clone(), scan.rules.clone())) {
            continue;
        }
        let spool = Store::spool(
            repository.disk.clone(),
            &repository.ghost_dir.join(SPOOL),
            repository.format.hash,
            repository.store_options(),
        )?;
        let place = Place {
            disk: &*repository.disk,
            ghost_dir: None,
            uuid: repository.format.uuid,
            store: &spool,
        };
        snapshot::take(&place, &scan.request(repository.settings(), threads), progress)?;
        from_store(writer, &spool, wanted, progress)?;
    }
    Ok(())
}

/// A look at some folders.
struct Scan {
    roots: Vec<PathBuf>,
    rules: Vec<String>,
    /// Whether times of birth were kept, where the damaged snapshot tells.
    has_birth_times: Option<bool>,
}

impl Scan {
    fn request(&self, settings: &Settings, threads: usize) -> Request {
        Request {
            roots: self.roots.clone(),
            rules: Rules::new(RuleOptions::from_lines(&self.rules)),
            rules_text: self.rules.clone(),
            trust_hash: true,
            dry_run: false,
            keep: Keep::Ghosts,
            threads,
            chunk: settings.chunk_params(),
            xattrs: settings.snapshot_xattrs,
            birth_time: self.has_birth_times.unwrap_or(settings.snapshot_birth_time),
            // Nothing is remembered of this scan.
            began: Timestamp::default(),
            coarse: std::time::Duration::ZERO,
            unless_same_as: None,
            about: About::default(),
        }
    }
}

/// What is to be scanned for the snapshots that lack trees, the most promising first.
fn scans(store: &Store, path: &Path, left: &Checked) -> Result<Vec<Scan>> {
    let mut scans = Vec::new();
    let mut targets = HashSet::new();
    let lacking = left.hurt.iter().chain(&left.recorded);
    for hurt in lacking.filter(|hurt| hurt.kind == ObjectKind::Tree) {
        if !targets.insert(hurt.target) {
            continue;
        }
        let snapshot = match store.kind_of(&hurt.target)? {
            Some(ObjectKind::Snapshot) => Some(read_snapshot(store, &hurt.target)?),
            _ => None,
        };
        let roots = snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.roots);
        scans.extend(places(path, roots).into_iter().map(|roots| {
            Scan {
                roots,
                rules: snapshot
                    .as_ref()
                    .map(|snapshot| snapshot.rules.clone())
                    .unwrap_or_default(),
                has_birth_times: snapshot.as_ref().and_then(has_birth_times),
            }
        }));
    }
    Ok(scans)
}

fn has_birth_times(snapshot: &Snapshot) -> Option<bool> {
    let mut metas = snapshot.roots.iter().filter_map(|root| root.meta.as_ref());
    metas.next().map(|meta| meta.btime.is_some())
}

/// Where these roots may be below `path`: each is a list of folders that are there.
fn places(path: &Path, roots: &[Root]) -> Vec<Vec<PathBuf>> {
    let of = |root: &Root| {
        let whole = path.join(root.path.trim_start_with(|c| c == '/').to_path_lossy());
        let named = root
            .path
            .rsplit_str("/")
            .next()
            .map(|name| path.join(name.to_path_lossy()));
        std::iter::once(whole).chain(named)
    };
    let mut places: Vec<Vec<PathBuf>> = match roots {
        [] => Vec::new(),
        // Its tree is what is in it, whatever it is called.
        [root] => of(root).map(|place| vec![place]).collect(),
        // Their trees are entries of one, under their names.
        several => vec![
            several
                .iter()
                .filter_map(|root| of(root).find(|place| is_there(place)))
                .collect(),
        ],
    };
    places.push(vec![path.to_owned()]);
    for roots in &mut places {
        roots.retain(|place| is_there(place));
    }
    places.retain(|roots| !roots.is_empty());
    places
}

/// Whether there is something to scan, which is asked without following a link.
fn is_there(path: &Path) -> bool {
    rustix::fs::lstat(path).is_ok()
}
