//! What generations mean for a store that is open.
//!
//! A store takes a lease when it is opened and does not open what is condemned by then. When it later learns of a newer
//! generation ([`Store::advance`]), look-ups pass over what that condemned, so that nothing new leans on it; but its
//! bytes can still be read ([`Store::get`]), for they are not unlinked while the lease is held: whoever has leaned on
//! them writes them again from there.
//!
//! A process keeps a shared lock on the data files that it added to, so that gc leaves alone what no ref names yet.
//! That is a courtesy: without it, the process would write all of it again before it moves a ref. It protects files and not
//! what their objects are made from, and nothing that lives may rest on it: gc looks at every copy for which it lets
//! another one go ([`Store::stands`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashSet;
use parking_lot::Mutex;

use super::generation::{self, Generation};
use super::index::format::Cover;
use super::lease::Lease;
use super::lookup::confirm;
use super::recent::{Recent, State as RecentState};
use super::{Layout, Location, State, Store};
use crate::disk::{DiskFile, LockKind};
use crate::error::{Error, Result};
use crate::limits::DELTA_WEIGHT_MAX;
use crate::object::ObjectId;

/// Where a store stands among the generations.
#[derive(Debug, Default)]
pub(super) struct Standing {
    lease: Mutex<Option<Lease>>,
    /// Why the generation could not be read: where, what was expected, what was found.
    problem: Mutex<Option<(PathBuf, String, String)>>,
    /// Where objects lie in files that were condemned since, if no segment says so.
    dropped: Recent,
    /// Data files that this process added to, locked against gc.
    held: Mutex<Vec<(PathBuf, Arc<dyn DiskFile>)>>,
    /// Look-ups pass over files that no generation condemned yet: this process is gc.
    passes_over: AtomicBool,
}

impl Standing {
    /// Whether something is wrong with the file of the generation.
    pub(super) fn has_problem(&self) -> bool {
        self.problem.lock().is_some()
    }

    /// What is wrong with the file of the generation.
    pub(super) fn problem(&self) -> Option<Error> {
        let problem = self.problem.lock();
        problem
            .as_ref()
            .map(|(path, expected, found)| Error::damaged(path, 0, expected, found))
    }
}

impl State {
    /// Whether some of these data files are condemned.
    pub(super) fn names_condemned(&self, covers: &[Cover]) -> bool {
        covers
            .iter()
            .any(|cover| self.generation.condemned.contains_key(&cover.file))
    }
}

impl Store {
    /// The folder of the repository; none of a store of one file.
    pub(crate) fn ghost_dir(&self) -> Option<&Path> {
        match &self.layout {
            Layout::Repository { ghost, .. } => Some(ghost),
            Layout::Bundle(_) | Layout::Spool => None,
        }
    }

    /// The number of the generation that this store last read.
    pub fn generation(&self) -> u64 {
        self.state.read().generation.number
    }

    /// The generation of which this store holds a lease; none where the file system refused one, and of a bundle.
    pub fn leased(&self) -> Option<u64> {
        self.standing.lease.lock().as_ref().map(Lease::number)
    }

    /// Reads the generation that stands; the first where none was ever published. Fails where its file is damaged, gone
    /// although the repository says that there is one, or of an earlier generation than this store has read.
    pub(crate) fn read_generation(&self) -> Result<Generation> {
        let Some(ghost_dir) = self.ghost_dir() else {
            return Ok(Generation::default());
        };
        let seen = self.generation();
        let wrong = |found: String| {
            let expected = format!("generation {seen} or a later one");
            Err(Error::damaged(generation::path(ghost_dir), 0, expected, found))
        };
        match Generation::read(&*self.disk, ghost_dir, &self.repository)? {
            Some(found) if found.number < seen => wrong(format!("generation {}", found.number)),
            None if seen > 0 || self.options.has_generations => wrong("no file".to_owned()),
            found => Ok(found.unwrap_or_default()),
        }
    }

    /// Reads the generation and takes a lease of it.
    pub(super) fn begin_generation(&self) -> Result<()> {
        let Some(ghost_dir) = self.ghost_dir() else {
            return Ok(());
        };
        match Lease::take_to_read(&*self.disk, ghost_dir, &|| self.read_generation()) {
            Ok((generation, lease)) => {
                self.state.write().generation = generation;
                *self.standing.lease.lock() = lease;
                Ok(())
            }
            // Without the list all that is there is read, and nothing written: see `need_lease`.
            Err(Error::Damaged {
                path, expected, found, ..
            }) => {
                *self.standing.problem.lock() = Some((path, expected, found));
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    /// Refuses to write where no lease can be had: gc could not know that somebody leans on what is there.
    pub(super) fn need_lease(&self) -> Result<()> {
        let mut lease = self.standing.lease.lock();
        let Some(ghost_dir) = self.ghost_dir().filter(|_| lease.is_none()) else {
            return Ok(());
        };
        let (_, taken) = Lease::take(&*self.disk, ghost_dir, &|| self.read_generation())?;
        *lease = Some(taken);
        drop(lease);
        // It may have moved since this store was opened without a lease.
        self.advance().map(drop)
    }

    /// Reads the generation that stands. Where it moved, look-ups pass over what it condemned from now on. Gives its
    /// number.
    pub fn advance(&self) -> Result<u64> {
        let generation = self.read_generation()?;
        let number = generation.number;
        if number == self.generation() {
            return Ok(number);
        }
        let mut state = self.state.write();
        for known in &mut state.files {
            known.is_condemned |= generation.condemned.contains_key(&known.file.header.file);
        }
        state.generation = generation;
        drop(state);
        self.forget_condemned();
        Ok(number)
    }

    /// Look-ups pass over these data files from now on, as if they were condemned: gc is about to empty them.
    pub(crate) fn pass_over(&self, numbers: &[u32]) {
        self.standing.passes_over.store(true, Ordering::Relaxed);
        self.set_condemned(numbers, true);
        self.forget_condemned();
    }

    /// The same taken back, where they stay.
    pub(crate) fn pass_over_no_more(&self, numbers: &[u32]) {
        self.set_condemned(numbers, false);
        // What was forgotten of them is found again by a scan; if that fails, they are as good as not there.
        let _ = self.refresh();
    }

    fn set_condemned(&self, numbers: &[u32], is_condemned: bool) {
        let mut state = self.state.write();
        for number in numbers {
            if let Some(known) = state.files.get_mut(*number as usize) {
                known.is_condemned = is_condemned;
                if !is_condemned {
                    known.committed = known.covered;
                }
            }
        }
    }

    fn forget_condemned(&self) {
        let is_condemned: Vec<bool> = {
            let state = self.state.read();
            state.files.iter().map(|known| known.is_condemned).collect()
        };
        let condemned = |at: Location| is_condemned.get(at.file as usize).copied().unwrap_or(false);
        self.recent.each(&mut |id, at| {
            if condemned(at) {
                self.standing.dropped.set(*id, at);
            }
        });
        self.recent.forget(&condemned);
    }

    /// Gives the lease back for one of the generation that stands. For processes that live long, at a moment when they
    /// lean on nothing: what was condemned meanwhile can then go.
    pub fn renew_lease(&self) -> Result<()> {
        let Some(ghost_dir) = self.ghost_dir() else {
            return Ok(());
        };
        let (_, lease) = Lease::take(&*self.disk, ghost_dir, &|| self.read_generation())?;
        *self.standing.lease.lock() = Some(lease);
        self.advance().map(drop)
    }

    /// Hands the lease to `act`, which gives one of the same generation back.
    pub(super) fn with_lease<T>(&self, act: impl FnOnce(Lease) -> Result<(Lease, T)>) -> Result<Option<T>> {
        let mut lease = self.standing.lease.lock();
        let Some(own) = lease.take() else { return Ok(None) };
        let (own, done) = act(own)?;
        *lease = Some(own);
        Ok(Some(done))
    }

    /// Where an object lies in a file that was condemned since this store was opened.
    pub fn locate_condemned(&self, id: &ObjectId) -> Result<Option<Location>> {
        if let Some(RecentState::At(at)) = self.standing.dropped.get(id) {
            return Ok(Some(at));
        }
        let state = self.state.read();
        for mapped in &state.segments {
            for locator in mapped.segment.candidates(id.prefix()) {
                if let Some((at, _)) = confirm(&self.deltas, &state, mapped, locator, |found| found == id)?
                    && state.files[at.file as usize].is_condemned
                {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    /// Where an object lies that is to be read: also in a file that was condemned since this store was opened.
    pub(super) fn locate_to_read(&self, id: &ObjectId) -> Result<Option<Location>> {
        match self.locate(id)? {
            None => match self.locate_condemned(id)? {
                None => self.locate_needed(id),
                found => Ok(found),
            },
            found => Ok(found),
        }
    }

    /// Whether all that the object at `at` is made from is there, in files that are not condemned. It may not be where a
    /// process stored an object that no ref names, and gc went on without knowing of it, or of nobody who needs it.
    pub(crate) fn stands(&self, at: Location) -> Result<bool> {
        if self.generation() == 0 && !self.standing.passes_over.load(Ordering::Relaxed) {
            return Ok(true);
        }
        self.has_bases(at, &mut HashSet::new())
    }

    /// The same, asked also where no gc ever ran: what a killed process left may be made from something that was not written.
    /// What `standing` has is known to stand; if it does, all is put there that it is made from.
    pub(crate) fn has_bases(&self, at: Location, standing: &mut HashSet<ObjectId>) -> Result<bool> {
        let (mut pending, mut found) = (self.bases_at(at)?, Vec::new());
        for _ in 0..DELTA_WEIGHT_MAX {
            let Some(base) = pending.pop() else {
                standing.extend(found);
                return Ok(true);
            };
            if standing.contains(&base.id) {
                continue;
            }
            match self.locate(&base.id)? {
                Some(at) => pending.extend(self.bases_at(at)?),
                None => return Ok(false),
            }
            found.push(base.id);
        }
        Ok(pending.is_empty())
    }

    /// Whether the data file of this number is condemned.
    pub(super) fn is_condemned(&self, number: u32) -> bool {
        let state = self.state.read();
        state.files.get(number as usize).is_some_and(|known| known.is_condemned)
    }

    /// Keeps gc away from a data file that this process added to, until the store is closed.
    pub(super) fn hold(&self, path: PathBuf, file: Arc<dyn DiskFile>) {
        // Where this fails, what is in the file may have to be written again.
        if matches!(file.try_lock(LockKind::Shared), Ok(true)) {
            self.standing.held.lock().push((path, file));
        }
    }

    /// Gives such a lock back, to add to the file once more.
    pub(super) fn release(&self, path: &Path) {
        self.let_go_where(|held| held == path);
    }

    /// Gives all such locks back: refs name what was added.
    pub(crate) fn release_all(&self) {
        self.let_go_where(|_| true);
    }

    fn let_go_where(&self, is_given_back: impl Fn(&Path) -> bool) {
        for (_, file) in self
            .standing
            .held
            .lock()
            .extract_if(.., |(path, _)| is_given_back(path))
        {
            // Readers share the handle, so the lock does not end with this one. One that stays keeps gc away, no more.
            let _ = file.unlock();
        }
    }
}
