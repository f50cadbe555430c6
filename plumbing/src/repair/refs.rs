//! The refs of a damaged repository.

use super::files::{Aside, move_aside};
use super::{FOLDER, make_folder};
use crate::error::{Error, Result};
use crate::refs::{RefStore, Salvaged, Who};
use crate::repository::Repository;

/// Makes a usable log of a damaged one.
pub fn salvage(repository: &Repository, who: &Who) -> Result<Option<Salvaged>> {
    let refs = &repository.refs;
    match refs.salvage(who) {
        // The log is gone altogether: an empty one takes its place, and checkpoints give what they know.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let folder = repository.ghost_dir.join("refs");
            RefStore::create(repository.disk.clone(), &folder, repository.format.uuid)?;
            refs.salvage(who)
        }
        salvaged => salvaged,
    }
}

/// Moves checkpoints that do not read, or that the log does not bear out, out of the way. They are a cache.
pub fn put_checkpoints_aside(repository: &Repository) -> Result<Vec<Aside>> {
    let mut aside: Vec<Aside> = Vec::new();
    for problem in repository.refs.verify()?.problems {
        let Error::Damaged { path, .. } = problem else { continue };
        let is_checkpoint = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"checkpoint-"));
        if is_checkpoint && aside.iter().all(|aside| aside.path != path) {
            let folder = make_folder(repository, FOLDER)?;
            let moved = move_aside(&*repository.disk, &path, &folder)?;
            aside.push(Aside {
                moved: Some(moved),
                ..Aside::new(&path)
            });
        }
    }
    Ok(aside)
}
