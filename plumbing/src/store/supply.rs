//! Objects that come from elsewhere when they are needed: those of a remote that is read, or of a lazy repository.
//!
//! 1. A store that has a [`Supply`] asks it for what it does not find itself, at the end of a look-up that fails
//!    otherwise. Whoever knows what he will need says so at once ([`Store::bring`]), so that it comes in one answer.
//! 2. The supply puts what came, hashed, into stores of one file, and attaches them. So everything that reads a store
//!    reads them: frame by frame, with the same checks. Who can use it at once is shown each frame when it comes
//!    ([`Store::bring_shown`]), and need not read it again.
//! 3. What is needed no more is retired ([`Store::retire`]): look-ups pass over it, and who still reads it finds the end
//!    of the file, takes that for damage, and asks again.
//!
//! Nothing is ever added to a store that others are attached to, so nothing that stays leans on what came like that.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::HashSet;

use super::{Frame, Location, Store};
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind, ObjectSource};

/// Is shown frames that come, their objects hashed: several at a time, in any order, and what was asked for among others.
pub type Show<'s> = dyn Fn(&Frame) + Sync + 's;

/// Where objects come from that are not here.
pub trait Supply: Send + Sync + Debug {
    /// Brings what it can of these and attaches it to `store`; what nobody has is left out. `beside` are the numbers of
    /// data files in which others lie that were asked for along with them. What nobody is shown is read later. Fails where
    /// nobody could be asked.
    fn bring(&self, store: &Store, absent: &[ObjectId], beside: &HashSet<u32>, show: Option<&Show<'_>>) -> Result<()>;

    /// Says that these will be asked for next, so that the question may be on its way, and what is needed along with them and
    /// is here. What comes of that shows later.
    fn expect(&self, _absent: &[ObjectId], _here: &[ObjectId]) {}

    /// The same for a snapshot, perhaps with some of those behind it: who reads one may read the next.
    fn bring_history(&self, store: &Store, id: ObjectId) -> Result<()>;
}

/// What a store expects of others.
#[derive(Debug, Default)]
pub(super) struct Supplied {
    supply: OnceLock<Arc<dyn Supply>>,
    /// Blocks that snapshots need may be elsewhere.
    may_lack_blocks: AtomicBool,
    /// Blocks that need not be stored here, since somebody keeps them.
    promised: OnceLock<HashSet<ObjectId>>,
}

impl Store {
    /// From now on objects that are not here are asked for there. The first supply stays.
    pub fn supply_from(&self, supply: Arc<dyn Supply>) {
        let _ = self.supplied.supply.set(supply);
    }

    /// Whether objects that are not here may come from elsewhere.
    pub fn has_supply(&self) -> bool {
        self.supplied.supply.get().is_some()
    }

    /// Says that blocks which snapshots need may be elsewhere: the repository is lazy.
    pub fn let_blocks_be_absent(&self) {
        self.supplied.may_lack_blocks.store(true, Ordering::Relaxed);
    }

    /// Whether blocks that snapshots need may be elsewhere.
    pub fn may_lack_blocks(&self) -> bool {
        self.supplied.may_lack_blocks.load(Ordering::Relaxed)
    }

    /// From now on these count as stored for whoever adds objects, though they are not here. The first such set stays.
    pub fn count_on(&self, promised: HashSet<ObjectId>) {
        let _ = self.supplied.promised.set(promised);
    }

    /// Whether an object that is not here need not be stored.
    pub(super) fn counts_on(&self, id: &ObjectId) -> bool {
        self.supplied
            .promised
            .get()
            .is_some_and(|promised| promised.contains(id))
    }

    /// Brings those of these objects that are not here, with one question. Without a supply, and where they are here or
    /// nowhere, nothing happens.
    pub fn bring(&self, ids: &[ObjectId]) -> Result<()> {
        self.bring_by(ids, None)
    }

    /// The same; what comes is shown when it comes. What is here already is not shown.
    pub fn bring_shown(&self, ids: &[ObjectId], show: &Show<'_>) -> Result<()> {
        self.bring_by(ids, Some(show))
    }

    fn bring_by(&self, ids: &[ObjectId], show: Option<&Show<'_>>) -> Result<()> {
        let Some(supply) = self.supplied.supply.get() else {
            return Ok(());
        };
        let (mut absent, mut beside) = (Vec::new(), HashSet::new());
        let mut seen = HashSet::with_capacity(ids.len());
        for id in ids.iter().filter(|id| seen.insert(**id)) {
            match self.locate(id)? {
                Some(at) => drop(beside.insert(at.file)),
                None => absent.push(*id),
            }
        }
        match absent.is_empty() {
            true => Ok(()),
            false => supply.bring(self, &absent, &beside, show),
        }
    }

    /// Says what will be brought next, all of it with one question, while something else is still under way.
    pub fn expect(&self, ids: &[ObjectId]) -> Result<()> {
        let Some(supply) = self.supplied.supply.get() else {
            return Ok(());
        };
        let mut seen = HashSet::with_capacity(ids.len());
        let (mut absent, mut here) = (Vec::new(), Vec::new());
        for id in ids.iter().filter(|id| seen.insert(**id)) {
            match self.locate(id)? {
                None => absent.push(*id),
                Some(_) => here.push(*id),
            }
        }
        supply.expect(&absent, &here);
        Ok(())
    }

    /// Where an object lies that is needed: on a miss, after a look at what other processes have added and then at
    /// whether the index is whole; and then at what comes from elsewhere, if the store has a supply.
    pub fn locate_needed(&self, id: &ObjectId) -> Result<Option<Location>> {
        if let Some(at) = self.locate(id)? {
            return Ok(Some(at));
        }
        self.refresh()?;
        if self.locate(id)?.is_none() {
            self.distrust_damaged_segments()?;
        }
        self.locate_or_bring(id)
    }

    /// Where an object lies, here or, if need be, in what is brought now.
    pub(super) fn locate_or_bring(&self, id: &ObjectId) -> Result<Option<Location>> {
        match self.locate(id)? {
            None if self.has_supply() => {
                self.bring(std::slice::from_ref(id))?;
                self.locate(id)
            }
            found => Ok(found),
        }
    }

    /// The number that the file of a store of one file has here, once it is attached.
    pub fn number_of(&self, attached: &Store) -> Option<u32> {
        self.state.read().by_id.get(&attached.file_id()?).copied()
    }

    fn file_id(&self) -> Option<[u8; 16]> {
        Some(self.state.read().files.first()?.file.header.file)
    }

    /// Passes over all that is in these attached files from now on.
    pub fn retire(&self, numbers: &[u32]) {
        let mut state = self.state.write();
        for &number in numbers {
            if let Some(known) = state.files.get_mut(number as usize)
                && known.is_attached
            {
                known.is_condemned = true;
            }
        }
        self.recent.forget(&|at| numbers.contains(&at.file));
    }
}

impl ObjectSource for Store {
    fn object(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        if let (ObjectKind::Snapshot, Some(supply)) = (kind, self.supplied.supply.get())
            && self.locate(id)?.is_none()
        {
            supply.bring_history(self, *id)?;
        }
        self.get(id)?.ok_or(Error::Missing {
            id: *id,
            needed_as: kind.name(),
        })
    }

    fn will_read(&self, ids: &[ObjectId]) -> Result<()> {
        self.bring(ids)
    }
}
