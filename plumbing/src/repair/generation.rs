//! The file of the generation, made anew where it is damaged or gone.
//!
//! 1. What it condemned cannot be known, and nothing is guessed: the new one condemns nothing. Data files that were
//!    condemned and are still there count as stored again; the next gc finds them dead once more.
//! 2. Its number is one that no process has seen, so that none takes it for the one that it holds a lease of: it is
//!    after that of every lease file and of every record of the ref log.
//! 3. The damaged file is copied to `damaged/`; the new one takes its place by one rename. The caller makes the index anew,
//!    as segments may name data files that a sweep had removed.

use std::path::PathBuf;

use super::files::copy_aside;
use super::{FOLDER, make_folder};
use crate::disk::read_file;
use crate::error::{Error, Result};
use crate::refs::RefStore;
use crate::repository::Repository;
use crate::repository::format::{GENERATIONS, require};
use crate::store::generation::{self, BYTES_MAX, Generation, Prepared};
use crate::store::lease;

/// A file that was made anew, or would be.
#[derive(Debug)]
pub struct MendedGeneration {
    /// Where it is.
    pub path: PathBuf,
    /// What was wrong with it.
    pub problem: Error,
    /// The number of the new one.
    pub number: u64,
    /// A copy of the damaged file; none where there was none, or nothing was done.
    pub kept: Option<PathBuf>,
}

/// Makes it anew, unless it reads; in a dry run tells what it would be. The caller holds the lock of who collects.
pub(super) fn mend(repository: &Repository, dry_run: bool) -> Result<Option<MendedGeneration>> {
    let problem = match repository.store.read_generation() {
        Ok(_) => return Ok(None),
        Err(error) if error.is_damage() => error,
        Err(error) => return Err(error),
    };
    let (disk, ghost_dir) = (&*repository.disk, &*repository.ghost_dir);
    let newest = lease::newest(disk, ghost_dir)?.max(newest_in_log(&repository.refs)?);
    let path = generation::path(ghost_dir);
    let mut mended = MendedGeneration {
        path: path.clone(),
        problem,
        number: newest + 1,
        kept: None,
    };
    if dry_run {
        return Ok(Some(mended));
    }
    require(disk, ghost_dir, GENERATIONS)?;
    if let Ok(bytes) = read_file(disk, &path, BYTES_MAX) {
        let folder = make_folder(repository, FOLDER)?;
        mended.kept = Some(copy_aside(disk, &path, &bytes, &folder)?);
    }
    let new = Generation {
        number: mended.number,
        ..Generation::default()
    };
    lease::prepare(disk, ghost_dir, new.number);
    Prepared::new(disk, ghost_dir, &repository.format.uuid, &new)?.publish(disk)?;
    disk.sync_dir(ghost_dir).map_err(Error::io("sync", ghost_dir))?;
    Ok(Some(mended))
}

/// The newest generation that a record of the log was written in, as far as the log reads.
pub(super) fn newest_in_log(refs: &RefStore) -> Result<u64> {
    let records = match refs.records_backwards() {
        Err(error) if error.is_damage() => return Ok(0),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        records => records?,
    };
    Ok(records
        .map_while(Result::ok)
        .map(|record| record.generation)
        .max()
        .unwrap_or(0))
}
