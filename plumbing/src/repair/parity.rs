//! Parity of the files of a repository: made, kept up, used.
//!
//! Data files that are full are covered when they are, index segments and checkpoints of the refs then and by gc; all of
//! them, and of data files that still grow the part before the last commit record, when that is asked for.

use std::path::{Path, PathBuf};

use super::{FOLDER, make_folder};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::store::data::format::FILE_HEADER_BYTES;
use crate::store::parity::keep::{cover, covered, length, remove_orphans, unchanging};
use crate::store::parity::{Examined, examine, heal};

/// A file that parity was used for.
#[derive(Debug)]
pub struct Mended {
    /// The file.
    pub path: PathBuf,
    /// Damaged shards that were put back, or would be.
    pub shards: usize,
    /// Their length in bytes.
    pub shard_bytes: u32,
    /// What could not be mended.
    pub refused: Option<Error>,
}

impl Mended {
    fn new(path: &Path, examined: &Examined) -> Self {
        Self {
            path: path.to_owned(),
            shards: examined.mended.len(),
            shard_bytes: examined.layout.shard_bytes,
            refused: examined.refusal(path),
        }
    }
}

/// Puts damaged shards of all files back that have parity; what they held is kept in `damaged/`. Only names what it would
/// do in a dry run. A parity file that is itself of no use is passed over.
pub fn mend(repository: &Repository, dry_run: bool, progress: &Progress) -> Result<Vec<Mended>> {
    let disk = &*repository.disk;
    let mut mended = Vec::new();
    for (file, parity) in covered(disk, &repository.ghost_dir)? {
        // Segments and checkpoints go when they are merged or old; a data file goes by gc.
        if length(disk, &file)?.is_none() {
            continue;
        }
        let examined = match examine(disk, &file, &parity, progress) {
            Ok(examined) => examined,
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error),
        };
        if examined.is_sound() {
            continue;
        }
        if !dry_run && !examined.mended.is_empty() {
            let folder = make_folder(repository, FOLDER)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut aside = |offset: u64, bytes: &[u8]| {
                let target = folder.join(format!("{name}.at-{offset}"));
                crate::disk::replace_file(disk, &target, bytes)
            };
            heal(disk, &file, &parity, &mut aside, progress)?;
        }
        mended.push(Mended::new(&file, &examined));
    }
    Ok(mended)
}

/// Covers all data files up to their last commit record, all index segments and checkpoints, with so many percent of
/// recovery data, where they are not covered yet or have grown; gives the files that were covered now. Parity files that
/// cover nothing any more are removed.
pub fn add(repository: &Repository, percent: u64, progress: &Progress) -> Result<Vec<PathBuf>> {
    let (disk, ghost_dir) = (&*repository.disk, &*repository.ghost_dir);
    let mut wanted: Vec<(PathBuf, u64)> = repository
        .store
        .data_files()
        .into_iter()
        .filter(|(_, committed)| *committed > FILE_HEADER_BYTES)
        .map(|(file, committed)| (file.path, committed))
        .collect();
    wanted.extend(unchanging(disk, ghost_dir)?);
    let made = cover(disk, (ghost_dir, repository.format.uuid), &wanted, percent, progress)?;
    remove_orphans(disk, ghost_dir)?;
    Ok(made)
}
