//! Keeping the parity of a repository up with its files.
//!
//! 1. [`cover`] makes parity files for what has none, or has grown behind the part that is covered.
//! 2. [`remove_orphans`] removes those of files that are gone: merged segments, old checkpoints, data files that gc freed.
//!
//! Other processes make and remove files meanwhile: one that is gone when its turn comes is passed over.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{EXTENSION, FOLDER, path_of, read_head, write};
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::store::Store;
use crate::store::index::format::EXTENSION as SEGMENT_EXTENSION;

/// Folders whose files may have parity.
const PARTS: [&str; 3] = ["data", "index", "refs"];
/// How the names of checkpoints of the refs begin.
const CHECKPOINT_PREFIX: &str = "checkpoint-";

/// The files that have parity, with it, sorted.
pub fn covered(disk: &dyn Disk, ghost_dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let folder = ghost_dir.join(FOLDER);
    let mut found = Vec::new();
    for name in names_in(disk, &folder)? {
        let stem = name.strip_suffix(EXTENSION).and_then(|name| name.strip_suffix('.'));
        let Some((part, file)) = stem.and_then(|stem| stem.split_once('-')) else {
            continue;
        };
        if PARTS.contains(&part) {
            found.push((ghost_dir.join(part).join(file), folder.join(&name)));
        }
    }
    found.sort();
    Ok(found)
}

/// Index segments and checkpoints of the refs, which never change, with their lengths in bytes.
pub fn unchanging(disk: &dyn Disk, ghost_dir: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let is_segment = |name: &str| Path::new(name).extension().is_some_and(|it| it == SEGMENT_EXTENSION);
    let is_checkpoint = |name: &str| name.starts_with(CHECKPOINT_PREFIX) && !name.contains('.');
    let mut found = Vec::new();
    for part in ["index", "refs"] {
        let folder = ghost_dir.join(part);
        let mut names = names_in(disk, &folder)?;
        names.retain(|name| {
            if part == "index" {
                is_segment(name)
            } else {
                is_checkpoint(name)
            }
        });
        for name in names {
            let path = folder.join(name);
            match length(disk, &path)? {
                None | Some(0) => {}
                Some(bytes) => found.push((path, bytes)),
            }
        }
    }
    Ok(found)
}

/// Covers files up to these offsets, behind which they may still grow, with so many percent of recovery data, where that
/// is not done yet. Gives the files that were covered now.
pub fn cover(
    disk: &dyn Disk,
    (ghost_dir, repository): (&Path, [u8; 16]),
    wanted: &[(PathBuf, u64)],
    percent: u64,
    progress: &Progress,
) -> Result<Vec<PathBuf>> {
    let folder = ghost_dir.join(FOLDER);
    match disk.create_dir(&folder) {
        Ok(()) => disk.sync_dir(ghost_dir).map_err(Error::io("sync", ghost_dir))?,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Error::io("make folder", &folder)(e)),
    }
    let mut made = Vec::new();
    for (path, bytes) in wanted {
        let Some(target) = path_of(ghost_dir, path) else {
            continue;
        };
        if read_head(disk, &target).is_ok_and(|head| head.layout.bytes >= *bytes) {
            continue;
        }
        match write(disk, (path, *bytes), &target, repository, percent, progress) {
            Err(_) if length(disk, path)?.is_none() => {}
            Err(error) => return Err(error),
            Ok(()) => made.push(path.clone()),
        }
    }
    Ok(made)
}

/// Removes the parity of files that are gone; gives how many.
pub fn remove_orphans(disk: &dyn Disk, ghost_dir: &Path) -> Result<u64> {
    let mut removed = 0;
    for (file, parity) in covered(disk, ghost_dir)? {
        if length(disk, &file)?.is_some() {
            continue;
        }
        match disk.remove(&parity) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("remove", &parity)(e)),
            _ => removed += 1,
        }
    }
    Ok(removed)
}

/// The length of a file in bytes; none where it is gone.
pub fn length(disk: &dyn Disk, path: &Path) -> Result<Option<u64>> {
    match disk.open(path, OpenMode::Read) {
        Ok(file) => file.len().map(Some).map_err(Error::io("stat", path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("open", path)(e)),
    }
}

/// The names in a folder that are text; none where there is no such folder.
fn names_in(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>> {
    match disk.list(folder) {
        Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("list", folder)(e)),
    }
}

impl Store {
    /// Brings the parity of all files but data files up to date, if parity is wished for, and removes that of files that
    /// are gone. What was stored is durable without it, so an error is one of [`Store::problems`] only.
    pub(crate) fn keep_parity(&self, progress: &Progress) {
        let kept = self.ghost_dir().map(|ghost_dir| {
            let percent = self.options.parity_percent;
            if percent > 0 {
                let wanted = unchanging(&*self.disk, ghost_dir)?;
                cover(&*self.disk, (ghost_dir, self.repository), &wanted, percent, progress)?;
            }
            remove_orphans(&*self.disk, ghost_dir).map(drop)
        });
        self.problems.lock().extend(kept.and_then(Result::err));
    }

    /// Covers a data file that is full, and whatever else has no parity yet, if that is wished for.
    pub(crate) fn cover(&self, file: &Path, bytes: u64) {
        let percent = self.options.parity_percent;
        let Some(ghost_dir) = self.ghost_dir().filter(|_| percent > 0) else {
            return;
        };
        let (wanted, progress) = ([(file.to_owned(), bytes)], Progress::default());
        let covered = cover(&*self.disk, (ghost_dir, self.repository), &wanted, percent, &progress);
        self.problems.lock().extend(covered.err());
        self.keep_parity(&progress);
    }
}
