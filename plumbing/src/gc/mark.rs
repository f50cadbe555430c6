//! What lives: everything that the roots need, as a bit for each stored copy.
//!
//! 1. Ids that are needed are gathered, some hundred thousand at a time, sorted, and looked up in that order; each entry
//!    found is marked, and those that describe others (trees, lists, snapshots) wait to be read, as bits too.
//! 2. Some ten thousand of those are taken, sorted by where they lie, and read in that order; a frame is decompressed
//!    once for all of its objects ([`super::reader`]). What they need is gathered again.
//!
//! So memory is a few bits an entry and two bounded lists, however large the repository is. A tree that many snapshots
//! share is read once. Roots that must be whole come first: where something of theirs is missing or damaged, the mark
//! fails, and nothing is removed.
//!
//! Ids that were stored after the index was looked at have no entry. They are found by the store, and what they need is
//! gathered too; nothing that was written that late is a candidate for removal.
//!
//! What an object of a delta frame is made from lives as long as that copy of it does ([`super::chains`]).

use std::sync::Arc;

use hashbrown::HashSet;

use super::bits::Bits;
use super::reader::{READ_AS, Reader, Wanted};
use super::tables::{Entry, Tables, retain_id};
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::store::delta::Memo;
use crate::store::{Location, Store};

/// Ids that are gathered before they are looked up; 48 bytes each.
const WANTED_MAX: usize = 128 << 10;
/// Objects that are read in one order; 40 bytes each.
const READ_MAX: usize = 64 << 10;

/// How much of a root must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Needs {
    /// All of it.
    All,
    /// All that describes; blocks may be missing.
    Descriptions,
    /// Whatever there is.
    Nothing,
}

/// Something that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root {
    /// How much of it must be there.
    pub needs: Needs,
    /// [`ObjectKind::Snapshot`], of which only the object itself stays, or [`ObjectKind::Tree`], with all below it.
    pub kind: ObjectKind,
    /// Its id.
    pub id: ObjectId,
}

/// What was marked.
#[derive(Debug)]
pub(super) struct Marks {
    /// Copies that stay.
    pub(super) live: Bits,
    /// Those that were read as a tree or as a list, with what they need.
    read: [Bits; 2],
    /// Those that are to be read as such.
    unread: [Bits; 2],
    /// Objects without an entry that were read.
    late: HashSet<(ObjectId, ObjectKind)>,
    /// Roots that were marked.
    roots: HashSet<Root>,
    /// Positions that were marked since this list was last taken.
    gained: Option<Vec<usize>>,
    /// Copies that never live: something is gone that they are made from, and there are others that stand.
    fallen: HashSet<usize>,
}

impl Marks {
    /// Nothing is marked yet.
    pub(super) fn new(tables: &Tables) -> Self {
        let bits = || Bits::new(tables.count());
        Self {
            live: bits(),
            read: [bits(), bits()],
            unread: [bits(), bits()],
            late: HashSet::new(),
            roots: HashSet::new(),
            gained: None,
            fallen: HashSet::new(),
        }
    }

    /// From now on this copy never lives.
    pub(super) fn fell(&mut self, position: usize) {
        self.fallen.insert(position);
        self.live.clear(position);
    }

    /// Only what `needed` has is marked from now on; what is marked then is noted.
    pub(super) fn restart(&mut self, needed: &Bits) {
        self.live = needed.clone();
        self.take_gained();
    }

    /// Positions that were marked since this was last asked; from the first time on they are noted.
    pub(super) fn take_gained(&mut self) -> Vec<usize> {
        self.gained.replace(Vec::new()).unwrap_or_default()
    }

    /// One of them.
    fn gained(&self, at: usize) -> Option<usize> {
        self.gained.as_ref()?.get(at).copied()
    }

    fn set_live(&mut self, position: usize) {
        if !self.fallen.contains(&position)
            && self.live.set(position)
            && let Some(gained) = &mut self.gained
        {
            gained.push(position);
        }
    }
}

/// Marks.
pub(super) struct Marker<'m> {
    store: &'m Store,
    tables: &'m Tables,
    marks: &'m mut Marks,
    progress: &'m Progress,
    wanted: Vec<Wanted>,
    /// Blocks of the root at hand may be missing.
    needs: Needs,
    entries: Vec<Entry>,
    /// Threads that read where there is much.
    threads: usize,
    /// What was read.
    memo: Arc<Memo>,
}

impl<'m> Marker<'m> {
    pub(super) fn new(store: &'m Store, tables: &'m Tables, marks: &'m mut Marks, progress: &'m Progress) -> Self {
        Self {
            store,
            tables,
            marks,
            progress,
            wanted: Vec::new(),
            needs: Needs::All,
            entries: Vec::new(),
            threads: 1,
            memo: Arc::default(),
        }
    }

    /// The same with several threads that read.
    pub(super) fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Marks all that the roots need which were not marked before.
    pub(super) fn mark(&mut self, roots: &[Root]) -> Result<()> {
        for needs in [Needs::All, Needs::Descriptions, Needs::Nothing] {
            self.needs = needs;
            for root in roots.iter().filter(|root| root.needs == needs) {
                if self.marks.roots.insert(*root) {
                    self.want(root.kind, root.id)?;
                }
            }
            loop {
                self.settle()?;
                if !self.read_some()? && self.wanted.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn want(&mut self, kind: ObjectKind, id: ObjectId) -> Result<()> {
        self.gather(self.needs.wanted(kind, id))
    }

    fn gather(&mut self, wanted: Wanted) -> Result<()> {
        self.wanted.push(wanted);
        if self.wanted.len() >= WANTED_MAX {
            self.settle()?;
        }
        Ok(())
    }

    /// Looks up what was gathered.
    fn settle(&mut self) -> Result<()> {
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.sort_unstable_by(|a, b| a.id.prefix().cmp(&b.id.prefix()).then_with(|| a.cmp(b)));
        wanted.dedup_by_key(|wanted| (wanted.id, wanted.kind));
        self.progress.check()?;
        self.progress.add(wanted.len() as u64, 0);
        let mut late = Vec::new();
        let mut entries = std::mem::take(&mut self.entries);
        let mut steps = self.tables.steps();
        for item in &wanted {
            steps.at_prefix(item.id.prefix());
            self.tables.find(item.id.prefix(), &mut entries);
            if item.kind != ObjectKind::Block {
                retain_id(self.store, &mut entries, &item.id)?;
            }
            let Some(first) = entries.first() else {
                late.push(*item);
                continue;
            };
            if let Some(class) = READ_AS.iter().position(|kind| *kind == item.kind)
                && self.marks.read[class].set(first.position)
            {
                self.marks.unread[class].set(first.position);
            }
            entries.iter().for_each(|entry| self.marks.set_live(entry.position));
        }
        drop(steps);
        self.entries = entries;
        // The buffer is used again.
        wanted.clear();
        self.wanted = wanted;
        self.find_late(late)
    }

    /// Reads some of those that wait; says whether there were any.
    fn read_some(&mut self) -> Result<bool> {
        let mut batch: Vec<(Entry, usize)> = Vec::new();
        for class in 0..READ_AS.len() {
            let room = READ_MAX - batch.len();
            let positions: Vec<usize> = self.marks.unread[class].ones(0).take(room).collect();
            for &position in &positions {
                self.marks.unread[class].clear(position);
            }
            batch.extend(self.tables.entries(positions.into_iter()).map(|entry| (entry, class)));
        }
        batch.sort_unstable();
        let (memo, threads) = (self.memo.clone(), self.threads);
        let reader = Reader {
            store: self.store,
            progress: self.progress,
            needs: self.needs,
            memo: &memo,
        };
        reader.read(&batch, threads, &mut |wanted| self.gather(wanted))?;
        Ok(!batch.is_empty())
    }

    /// Marks what other objects are made from, and what that is made from in turn. Where these are dead themselves, it
    /// may be missing.
    pub(super) fn mark_bases(&mut self, bases: &mut dyn Iterator<Item = ObjectId>, of_dead: bool) -> Result<()> {
        self.needs = if of_dead { Needs::Nothing } else { Needs::All };
        for id in bases {
            self.want(ObjectKind::Block, id)?;
        }
        while !self.wanted.is_empty() {
            self.settle()?;
        }
        self.mark_bases_of_gained()
    }

    /// Marks what those are made from that were marked since they are noted.
    pub(super) fn mark_bases_of_gained(&mut self) -> Result<()> {
        let mut done = 0;
        loop {
            let mut next: Vec<usize> = (done..).map_while(|at| self.marks.gained(at)).collect();
            if next.is_empty() && self.wanted.is_empty() {
                return Ok(());
            }
            done += next.len();
            next.sort_unstable();
            // In the order in which they lie: what they are made from stands in the heads of their frames.
            let mut places: Vec<Location> = self.tables.entries(next.into_iter()).map(|entry| entry.at).collect();
            places.sort_unstable();
            for unit in places.chunk_by(|a, b| (a.file, a.frame) == (b.file, b.frame)) {
                let head = unit.first().map(|at| self.store.delta_head(*at)).transpose()?.flatten();
                for base in unit
                    .iter()
                    .flat_map(|at| head.iter().flat_map(|head| head.bases_of(at.slot)))
                {
                    self.want(ObjectKind::Block, base.id)?;
                }
            }
            // What is gathered now may lead to more.
            self.settle()?;
        }
    }

    /// Finds what has no entry: it was stored after the index was looked at, or it is missing.
    fn find_late(&mut self, late: Vec<Wanted>) -> Result<()> {
        for item in late {
            let Some(at) = self.store.locate_needed(&item.id)? else {
                if item.is_optional {
                    continue;
                }
                return Err(Error::Missing {
                    id: item.id,
                    needed_as: item.kind.name(),
                });
            };
            for base in self.store.bases_at(at)? {
                self.want(ObjectKind::Block, base.id)?;
            }
            if READ_AS.contains(&item.kind) && self.marks.late.insert((item.id, item.kind)) {
                let bytes = self.store.get(&item.id)?.unwrap_or_default();
                let needs = self.needs;
                needs.of_object(item.kind, &item.id, &bytes, &mut |wanted| self.gather(wanted))?;
            }
        }
        Ok(())
    }
}
