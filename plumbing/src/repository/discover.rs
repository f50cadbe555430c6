//! Finding a repository from where one stands.

use std::path::{Path, PathBuf};

use super::{FOLDER, format};
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, Result};
use crate::store::data::format::EXTENSION;

/// The repository's folder for `start`, an absolute path: `.ghost` in it or in the nearest folder above it.
///
/// A `.ghost` without a format file, or one that is a link, is passed by. The search ends at the top of the file
/// system. It crosses mount points, unlike git's: a repository at the top of a machine may keep all that is mounted
/// below it.
pub fn discover(disk: &dyn Disk, start: &Path) -> Result<PathBuf> {
    for folder in start.ancestors() {
        let candidate = folder.join(FOLDER);
        if is_repository(disk, &candidate)? {
            return Ok(candidate);
        }
    }
    Err(Error::NoRepository { path: start.to_owned() })
}

/// The repository's folder for a path that somebody named: `path/.ghost`, or `path` itself where it is one.
pub fn locate(disk: &dyn Disk, path: &Path) -> Result<PathBuf> {
    for candidate in [path.join(FOLDER), path.to_owned()] {
        if is_repository(disk, &candidate)? {
            return Ok(candidate);
        }
    }
    Err(Error::NoRepository { path: path.to_owned() })
}

/// The folder of a repository that lost its format file, which both others pass by: there are data files in it. `start` is
/// where one stands, or, where `is_named`, a path that somebody named.
pub fn remains(disk: &dyn Disk, start: &Path, is_named: bool) -> Option<PathBuf> {
    let mut candidates: Vec<PathBuf> = match is_named {
        true => vec![start.join(FOLDER), start.to_owned()],
        false => start.ancestors().map(|folder| folder.join(FOLDER)).collect(),
    };
    candidates.retain(|folder| disk.folder_owner(folder).is_ok() && has_data(disk, folder));
    candidates.into_iter().next()
}

/// Whether there are data files.
pub(super) fn has_data(disk: &dyn Disk, folder: &Path) -> bool {
    let names = disk.list(&folder.join("data")).unwrap_or_default();
    let is_data = |name: &std::ffi::OsString| Path::new(name).extension().is_some_and(|it| it == EXTENSION);
    names.iter().any(is_data)
}

fn is_repository(disk: &dyn Disk, folder: &Path) -> Result<bool> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let path = folder.join(format::FILE);
    let found = disk.folder_owner(folder).and_then(|_| disk.open(&path, OpenMode::Read));
    match found {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), NotFound | NotADirectory) => Ok(false),
        Err(e) => Err(Error::io("open", &path)(e)),
    }
}
