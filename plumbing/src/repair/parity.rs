//! Parity of the files of a repository: made, kept up, used.
//!
//! Sealed data files, index segments and checkpoints of the refs are covered; of a data file that still grows the part
//! before its last commit record, when that is asked for. Parity files of files that are gone are removed.

use std::path::{Path, PathBuf};

use hashbrown::HashSet;

use super::{FOLDER, make_folder};
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::store::data::format::FILE_HEADER_BYTES;
use crate::store::parity::{self, EXTENSION, Examined, examine, heal, path_of, read_head};

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

/// The files that have parity, with it.
fn covered(repository: &Repository) -> Result<Vec<(PathBuf, PathBuf)>> {
    let folder = repository.ghost_dir.join(parity::FOLDER);
    let names = match repository.disk.list(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", &folder)(error)),
    };
    let mut found = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let Some(name) = name
            .to_str()
            .and_then(|name| name.strip_suffix(EXTENSION)?.strip_suffix('.'))
        else {
            continue;
        };
        let Some((part, file)) = name
            .split_once('-')
            .filter(|(part, _)| ["data", "index", "refs"].contains(part))
        else {
            continue;
        };
        found.push((repository.ghost_dir.join(part).join(file), path));
    }
    found.sort();
    Ok(found)
}

/// Puts damaged shards of all files back that have parity; what they held is kept in `damaged/`. Only names what it would
/// do in a dry run. A parity file that is itself of no use is passed over.
pub fn mend(repository: &Repository, dry_run: bool, progress: &Progress) -> Result<Vec<Mended>> {
    let disk = &*repository.disk;
    let mut mended = Vec::new();
    for (file, parity) in covered(repository)? {
        // Segments and checkpoints go when they are merged or old; a data file goes by gc.
        if !exists(disk, &file)? {
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

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool> {
    match disk.open(path, OpenMode::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("open", path)(error)),
    }
}

/// Covers all data files up to their last commit record, all index segments and checkpoints, with so many percent of
/// recovery data, where they are not covered yet or have grown; gives the files that were covered now. Parity files that
/// cover nothing any more are removed.
pub fn add(repository: &Repository, percent: u64, progress: &Progress) -> Result<Vec<PathBuf>> {
    let disk = &*repository.disk;
    make_folder(repository, parity::FOLDER)?;
    let mut wanted: Vec<(PathBuf, u64)> = repository
        .store
        .data_files()
        .into_iter()
        .filter(|(_, committed)| *committed > FILE_HEADER_BYTES)
        .map(|(file, committed)| (file.path, committed))
        .collect();
    let checkpoint = |name: &str| name.starts_with("checkpoint-");
    let segment = |name: &str| name.ends_with(".gi");
    wanted.extend(whole_files(disk, &repository.ghost_dir.join("index"), &segment)?);
    wanted.extend(whole_files(disk, &repository.ghost_dir.join("refs"), &checkpoint)?);
    let mut made = Vec::new();
    for (path, bytes) in &wanted {
        let Some(target) = path_of(&repository.ghost_dir, path) else {
            continue;
        };
        let is_covered = read_head(disk, &target).is_ok_and(|head| head.layout.bytes >= *bytes);
        if !is_covered {
            parity::write(disk, (path, *bytes), &target, repository.format.uuid, percent, progress)?;
            made.push(path.clone());
        }
    }
    let kept: HashSet<PathBuf> = wanted
        .iter()
        .filter_map(|(path, _)| path_of(&repository.ghost_dir, path))
        .collect();
    for (file, parity) in covered(repository)? {
        if !kept.contains(&parity) && !exists(disk, &file)? {
            disk.remove(&parity).map_err(Error::io("remove", &parity))?;
        }
    }
    Ok(made)
}

/// The files of a folder whose names are wanted, with their lengths.
fn whole_files(disk: &dyn Disk, folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<(PathBuf, u64)>> {
    let names = disk.list(folder).map_err(Error::io("list", folder))?;
    let mut found = Vec::new();
    for name in names
        .iter()
        .filter_map(|name| name.to_str())
        .filter(|name| wanted(name))
    {
        let path = folder.join(name);
        let file = disk.open(&path, OpenMode::Read).map_err(Error::io("open", &path))?;
        let bytes = file.len().map_err(Error::io("stat", &path))?;
        if bytes > 0 {
            found.push((path, bytes));
        }
    }
    Ok(found)
}
