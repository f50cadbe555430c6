//! The next generation: the moment from which data files are condemned.
//!
//! 1. What refs have gained since the last look is marked; what of it lies only in files that are to go is copied.
//! 2. The file of the next generation is written and synced, under another name. Before the first one there is a file of
//!    generation 0, and then the repository's format says that there are generations.
//! 3. Under the lock of the refs: if no ref moved since step 1, the file is renamed, and the files are condemned. Else
//!    the lock is given back, and it begins again at step 1. So the lock is held for one look at the log and one rename.
//! 4. The folder is synced. Only behind this may anything be unlinked.
//!
//! Whoever moved refs before the rename was seen in step 1. Whoever moves them later finds, under the same lock, that
//! the generation moved, and makes sure of what he leans on.

use super::Collection;
use super::repack::Leaving;
use super::roots::values;
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::repository::format::{GENERATIONS, require};
use crate::store::LockedFile;
use crate::store::generation::{Generation, Prepared, give_up_reserve, is_full};
use crate::store::lease;

/// How often refs may move between the last look and the lock before the last look is done under the lock.
const TRIES: usize = 32;

impl Collection<'_> {
    /// Condemns files of which everything that lived when it was marked is elsewhere.
    pub(super) fn publish(&mut self, leaving: &[Leaving], locks: Vec<LockedFile>) -> Result<()> {
        let repository = self.repository;
        let (disk, ghost_dir) = (&*repository.disk, &*repository.ghost_dir);
        let uuid = &repository.format.uuid;
        let mut generation = repository.store.read_generation()?;
        announce(repository)?;
        generation.number += 1;
        let since = generation.number;
        generation
            .condemned
            .extend(leaving.iter().map(|(_, file, _)| (file.header.file, since)));
        lease::prepare(disk, ghost_dir, since);
        let prepared = Prepared::new(disk, ghost_dir, uuid, &generation)?;
        if let Err(e) = self.switch(leaving, &prepared) {
            prepared.abandon(disk);
            return Err(e);
        }
        disk.sync_dir(ghost_dir).map_err(Error::io("sync", ghost_dir))?;
        drop(locks);
        let store = &repository.store;
        store.advance()?;
        let is_gone = |number: u32| leaving.iter().any(|(leaves, _, _)| *leaves == number);
        self.tables.drop_files(&is_gone);
        self.report.generation = since;
        // From now on this process leans on nothing that is condemned.
        store.renew_lease()
    }

    fn switch(&mut self, leaving: &[Leaving], prepared: &Prepared) -> Result<()> {
        let repository = self.repository;
        let refs = &repository.refs;
        for _ in 0..TRIES {
            let (sequence, values) = values(refs)?;
            self.mark(&values)?;
            self.copy_gained(leaving)?;
            let done = refs.locked(|now, _| self.rename_if(now == sequence, prepared))?;
            if done {
                return Ok(());
            }
        }
        // Refs move all the time: the last of it is marked while they cannot.
        refs.locked(|_, values| {
            self.mark(values)?;
            self.copy_gained(leaving)?;
            self.rename_if(true, prepared).map(drop)
        })
    }

    fn rename_if(&self, is_still: bool, prepared: &Prepared) -> Result<bool> {
        if is_still {
            prepared.publish(&*self.repository.disk)?;
        }
        Ok(is_still)
    }

    /// Copies what was marked since the files were copied and lies in them.
    fn copy_gained(&mut self, leaving: &[Leaving]) -> Result<()> {
        let gained = self.marks.take_gained();
        let is_leaving = |at: u32| leaving.iter().any(|(number, _, _)| *number == at);
        let entries = gained.iter().filter_map(|position| self.tables.entry(*position));
        if entries.filter(|entry| is_leaving(entry.at.file)).count() > 0 {
            // What was copied before is found where it is now, and not copied again.
            let copied = self.repack().copy(leaving)?;
            self.count(copied);
        }
        Ok(())
    }
}

/// Makes it known, before the first data file is condemned, that there are generations: versions that do not know of them
/// no longer write here. On a full disk the reserve is given up for it.
///
/// There is a file before it is said that there must be one: whoever reads the one and then the other finds both.
fn announce(repository: &Repository) -> Result<()> {
    let (disk, ghost_dir) = (&*repository.disk, &*repository.ghost_dir);
    if repository.format.has(GENERATIONS) {
        return Ok(());
    }
    let uuid = &repository.format.uuid;
    if Generation::read(disk, ghost_dir, uuid)?.is_none() {
        Prepared::new(disk, ghost_dir, uuid, &Generation::default())?.publish(disk)?;
        disk.sync_dir(ghost_dir).map_err(Error::io("sync", ghost_dir))?;
    }
    match require(disk, ghost_dir, GENERATIONS) {
        Err(Error::Io { source, .. }) if is_full(&source) && give_up_reserve(disk, ghost_dir) => {
            require(disk, ghost_dir, GENERATIONS)
        }
        announced => announced,
    }
}
