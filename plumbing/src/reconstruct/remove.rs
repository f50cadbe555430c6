//! Removing what is not in the tree.
//!
//! A directory is emptied through handles, one level of a stack at a time, so depth has no limit and nothing outside
//! the target can be reached. A `.ghost` is never removed, at any depth, and neither are the directories above it.

use std::sync::Arc;

use rustix::fs::{AtFlags, FileType};

use super::report::Count;
use super::target::Dir;
use crate::error::Result;

/// A directory that is being emptied.
struct Level<'j> {
    dir: Arc<Dir<'j>>,
    names: std::vec::IntoIter<Box<[u8]>>,
    /// Something in it stays, so it stays too.
    kept: bool,
}

/// Removes a name and, where it is a directory, all that is in it; in a rehearsal only counts. What cannot be
/// removed is reported, or counted as skipped if it holds a repository.
pub(super) fn remove(dir: &Arc<Dir<'_>>, name: &[u8]) {
    if let Err(error) = remove_all(dir, name) {
        dir.context().report.problem(dir.path_of(name), error);
    }
}

fn remove_all(dir: &Arc<Dir<'_>>, name: &[u8]) -> Result<()> {
    let mut levels = Vec::new();
    levels.extend(remove_name(dir, name)?);
    while let Some(level) = levels.last_mut() {
        dir.context().progress.check()?;
        match level.names.next() {
            Some(name) => {
                let above = level.dir.clone();
                match remove_name(&above, &name) {
                    Ok(below) => levels.extend(below),
                    Err(error) => above.context().report.problem(above.path_of(&name), error),
                }
            }
            None => {
                let Some(done) = levels.pop() else { break };
                if !remove_emptied(done)?
                    && let Some(above) = levels.last_mut()
                {
                    above.kept = true;
                }
            }
        }
    }
    Ok(())
}

/// Whether a directory has a repository in it, at any depth.
pub(super) fn has_repository(dir: &Arc<Dir<'_>>, name: &[u8]) -> Result<bool> {
    let mut pending = vec![(dir.clone(), Box::from(name))];
    while let Some((above, name)) = pending.pop() {
        dir.context().progress.check()?;
        let below = Arc::new(Dir::open(&above, &name)?);
        let listing = below.list()?;
        if listing.has_repository {
            return Ok(true);
        }
        for name in listing.names {
            let stat = below.look(&name)?;
            if stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
                pending.push((below.clone(), name));
            }
        }
    }
    Ok(false)
}

/// Removes what is no directory; opens what is one.
fn remove_name<'j>(dir: &Arc<Dir<'j>>, name: &[u8]) -> Result<Option<Level<'j>>> {
    let context = dir.context();
    let Some(stat) = dir.look(name)? else {
        return Ok(None);
    };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let below = Arc::new(Dir::open(dir, name)?);
        let listing = below.list()?;
        return Ok(Some(Level {
            dir: below,
            names: listing.names.into_iter(),
            kept: listing.has_repository,
        }));
    }
    if !context.options.test {
        rustix::fs::unlinkat(&*dir.handle()?, name, AtFlags::empty()).map_err(dir.error("remove", name))?;
    }
    context.report.one(Count::Deleted);
    Ok(None)
}

/// Removes a directory that has been emptied, or says that it stays because something is left in it.
fn remove_emptied(level: Level<'_>) -> Result<bool> {
    let context = level.dir.context();
    // Nothing else holds a directory that is only opened to be emptied.
    let (Some(mut dir), false) = (Arc::into_inner(level.dir), level.kept) else {
        context.report.one(Count::Skipped);
        return Ok(false);
    };
    if !context.options.test {
        dir.remove()?;
    }
    context.report.one(Count::Deleted);
    Ok(true)
}
