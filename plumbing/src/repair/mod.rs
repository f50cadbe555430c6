//! Mending a repository: what reads is saved, what is lost is named, nothing original is removed.
//!
//! [`run`]:
//!
//! 1. Nobody else collects meanwhile: gc's lock is held.
//! 2. Where there is parity, damaged shards are computed and written back ([`parity`]).
//! 3. The ref log is salvaged and checkpoints that are of no use are put aside ([`refs`]).
//! 4. The file of the generation is made anew where it does not read ([`generation`]).
//! 5. Headers of data files that do not read are made anew. Everything is checked. Of each data file that is hurt all that
//!    reads is copied into new data files; when that is durable the file is moved to `damaged/` ([`files`]). So are files of
//!    which something is made from what does not read: it may read all the same, until the damaged file is gone.
//! 6. The index is made anew.
//! 7. What snapshots need and nobody has is recorded: each of them gets a replacement, in which folders that do not read
//!    hold what is left of them, with a list of what is lost ([`mark`]). The snapshots themselves stay as they are.
//!
//! Before all that [`mend_format`] makes the file `format` anew, without which no repository can be opened.
//!
//! [`heal()`] puts back what is missing from elsewhere, and then does steps 5 and 6; records of what is whole again go.
//!
//! Invariants:
//!
//! - A data file is moved only when what could be read of it is durable elsewhere. A crash leaves a copy too many.
//! - Both may be run again at any time; where nothing is wrong, nothing is done.
//! - Blocks that are put back are compared with their hashes, wherever they come from.

mod files;
mod format;
mod generation;
mod heal;
mod mark;
pub mod parity;
mod refs;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use self::files::Aside;
pub use self::format::{MendedFormat, mend_format};
pub use self::generation::MendedGeneration;
pub use self::heal::{Healed, Place, heal};
pub use self::mark::Marked;
pub use self::parity::Mended;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::refs::Who;
use crate::repository::Repository;
use crate::store::Store;
use crate::store::lease::CollectLock;
use crate::verify::{self, Depth, Report as Checked, Request};

/// Folder of a repository that damaged files are moved to.
pub const FOLDER: &str = "damaged";

/// How a repository is mended.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Change nothing; tell what is wrong and what would be done.
    pub dry_run: bool,
    /// Threads that read, at least one.
    pub threads: usize,
}

/// What was wrong and what was done.
#[derive(Debug, Default)]
pub struct Report {
    /// What the first check found, after parity was used.
    pub found: Checked,
    /// Files that parity has mended, or would.
    pub mended: Vec<Mended>,
    /// Data files whose headers were made anew, or would be.
    pub headers: Vec<PathBuf>,
    /// What became of the ref log, if it was damaged.
    pub refs: Option<crate::refs::Salvaged>,
    /// The file of the generation, if it was made anew, or would be.
    pub generation: Option<MendedGeneration>,
    /// Damaged files that were put aside, or would be.
    pub aside: Vec<Aside>,
    /// Objects of which the index was made anew; none if it was left.
    pub indexed: Option<usize>,
    /// Snapshots of which something is lost, with their replacements.
    pub marked: Vec<Marked>,
    /// Nothing was wrong.
    pub is_sound: bool,
}

/// Saves what reads, and records what does not.
pub fn run(repository: &Repository, options: &Options, who: &Who, progress: &Progress) -> Result<Report> {
    let mut report = Report::default();
    let _alone = match options.dry_run {
        true => None,
        false => Some(alone(repository)?),
    };
    report.mended = parity::mend(repository, options.dry_run, progress)?;
    if !options.dry_run {
        report.refs = refs::salvage(repository, who)?;
        report.aside = refs::put_checkpoints_aside(repository)?;
    }
    report.generation = generation::mend(repository, options.dry_run)?;
    report.headers = files::mend_headers(repository, options.dry_run)?;
    let store = fresh(repository)?;
    let hurt = files::Hurt::find(&store, repository)?;
    report.found = check(&store, repository, Depth::Data, options.threads, progress)?;
    let hurt = hurt.with(&store, &report.found)?;
    let data_is_hurt = !hurt.is_empty() || !hurt.gone.is_empty();
    let index_is_hurt = !report.found.index_damage.is_empty() || data_is_hurt || report.generation.is_some();
    let unrecorded = !report.found.hurt.is_empty();
    let had_nothing = report.mended.is_empty() && report.headers.is_empty() && report.refs.is_none();
    let had_nothing = had_nothing && report.generation.is_none() && report.aside.is_empty();
    report.is_sound = report.found.is_clean() && hurt.is_empty() && had_nothing;
    if options.dry_run {
        report.aside.extend(hurt.preview());
        report.marked = mark::preview(&report.found);
        return Ok(report);
    }
    report.aside.extend(hurt.put_aside(&store, repository, progress)?);
    let store = match index_is_hurt {
        true => {
            let store = fresh(repository)?;
            report.indexed = Some(store.rebuild_index()?);
            fresh(repository)?
        }
        false => store,
    };
    if unrecorded || index_is_hurt {
        let left = check(&store, repository, Depth::Reachable, options.threads, progress)?;
        report.marked = mark::record(&store, repository, &left, who, progress)?;
        if !report.marked.is_empty() {
            forget_stat_caches(repository)?;
        }
    }
    Ok(report)
}

/// Checks all of a repository.
fn check(store: &Store, repository: &Repository, depth: Depth, threads: usize, progress: &Progress) -> Result<Checked> {
    let request = Request {
        targets: verify::targets::all(store, &repository.refs, progress)?,
        everything: true,
        depth,
        threads,
    };
    verify::run(store, Some(&repository.refs), &request, progress)
}

/// The store as it is now on disk, with nothing remembered.
fn fresh(repository: &Repository) -> Result<Store> {
    Store::open(
        repository.disk.clone(),
        &repository.ghost_dir,
        repository.format.uuid,
        repository.format.hash,
        repository.store_options(),
    )
}

/// Keeps gc and other repairs out until it is dropped.
fn alone(repository: &Repository) -> Result<CollectLock> {
    repository.check_writable()?;
    CollectLock::take(&*repository.disk, &repository.ghost_dir)
}

/// Makes a folder of the repository, if it is not there.
fn make_folder(repository: &Repository, name: &str) -> Result<PathBuf> {
    make_folder_in(&*repository.disk, &repository.ghost_dir, name)
}

fn make_folder_in(disk: &dyn Disk, ghost_dir: &Path, name: &str) -> Result<PathBuf> {
    let folder = ghost_dir.join(name);
    match disk.create_dir(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::io("make folder", &folder)(error));
        }
        _ => {}
    }
    disk.sync_dir(ghost_dir).map_err(Error::io("sync", ghost_dir))?;
    Ok(folder)
}

/// Removes the stat caches: a snapshot must not lean on a tree that is lost because its folder did not change.
fn forget_stat_caches(repository: &Repository) -> Result<()> {
    let folder = repository.ghost_dir.join("cache");
    let names = match repository.disk.list(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("list", &folder)(error)),
    };
    for name in names {
        let is_cache = name.len() == 32 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
        let path = folder.join(name);
        if is_cache {
            repository.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}
