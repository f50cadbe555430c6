//! What stays only because others are stored as differences from it, and how it becomes less.
//!
//! An object that nothing needs, and that another one is made from, is a *prop*. It takes room, and reading takes longer the
//! more of them stand under each other. So:
//!
//! 1. A live object that is made from a prop, or lies deeper than `delta.depth` allows, is *loose*. When its file is packed anew
//!    it is written again, made from the nearest object of its chain that is needed, stands on none but needed ones, and is not
//!    too deep; where there is none, from the one in which its chain ends.
//! 2. If nobody else would be made from that end, the object is stored whole: that takes no more than both.
//! 3. What a file would let go of if it were packed anew counts as unused with *that* file, wherever it lies: props that its
//!    loose objects alone keep, and what its dead objects are made from. So a few differences do not keep much for ever.
//!
//! Invariant: props stay while the run lasts that writes again what stood on them. So every copy of an object that stands can
//! be read, wherever the run ends; the next one, or the next pass of the same, finds them unused.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::Collection;
use super::bits::Bits;
use super::mark::Marker;
use super::plan::Fate;
use super::tables::{Entry, Tables, retain_id};
use super::thin::counts;
use super::usage::{FileUse, Usage};
use super::walk::{LiveWalk, frames};
use crate::error::{Error, Result};
use crate::limits::DELTA_LINKS_MAX;
use crate::object::ObjectId;
use crate::store::data::format::Row;
use crate::store::data::read::Head;
use crate::store::{Location, Store};

/// Objects of which is remembered what their nearest one is.
const NEAREST_MAX: usize = 64 << 10;

/// What the differences of one data file are made from.
#[derive(Debug, Default)]
struct Held {
    /// The bases of loose objects.
    of_loose: HashSet<ObjectId>,
    /// The bases of dead ones.
    of_dead: HashSet<ObjectId>,
}

/// Objects that are to be written again, and what stays because of them and of others.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// What each loose object is to be made from; nothing where it is to be stored whole.
    loose: HashMap<Location, Vec<ObjectId>>,
    /// Objects that nothing needs and that stay even if all files are packed anew.
    kept: HashSet<ObjectId>,
    /// By the number of the data file.
    held: BTreeMap<u32, Held>,
}

impl Chains {
    /// Looks at all objects that have bases. `needed` has what roots need: how much of all files that is, is given, too.
    pub(super) fn find(store: &Store, tables: &Tables, needed: &Bits) -> Result<(Self, Usage)> {
        let mut finder = Finder {
            store,
            tables,
            needed,
            // Where no differences are written, none can be written again.
            depth_max: store.allows_deltas().then_some(store.options().delta.depth),
            entries: Vec::new(),
            nearest: HashMap::new(),
            users: HashMap::new(),
            chains: Self::default(),
        };
        let mut usage = Usage::default();
        let mut walk = LiveWalk::new(tables, needed, &|_| true);
        for standing in tables.files() {
            let (number, file) = (standing.number, &standing.file);
            usage.begin(standing);
            frames(file, standing.committed, &mut |head| {
                let slots = walk.slots(number, file, &head)?;
                usage.count(number, &head, &slots);
                finder.frame(number, &head, &slots)
            })?;
            walk.end_file(number, file)?;
        }
        Ok((finder.finish(), usage))
    }

    /// What the object at a place is to be made from, if it is to be written again.
    pub(super) fn bases_for(&self, at: &Location) -> Option<&[ObjectId]> {
        self.loose.get(at).map(Vec::as_slice)
    }
}

struct Finder<'f> {
    store: &'f Store,
    tables: &'f Tables,
    needed: &'f Bits,
    /// How deep an object may lie; none where nothing is written again.
    depth_max: Option<u8>,
    entries: Vec<Entry>,
    /// What [`Finder::nearest`] found of objects; about 80 bytes each.
    nearest: HashMap<ObjectId, ObjectId>,
    /// Ends of chains that nothing needs: how many loose objects would be made from each.
    users: HashMap<ObjectId, usize>,
    chains: Chains,
}

impl Finder<'_> {
    /// Looks at the objects of a frame, of which those in `slots` are needed.
    fn frame(&mut self, number: u32, head: &Head, slots: &[u16]) -> Result<()> {
        for (slot, part) in (0u16..).zip(&head.parts) {
            let is_dead = slots.binary_search(&slot).is_err();
            let mut props = Vec::new();
            for base in head.bases_of(slot) {
                match self.is_needed(&base.id)? {
                    Some(true) => {}
                    None if !is_dead => drop(self.store.locate_needed(&base.id)?.ok_or_else(|| missing(base.id))?),
                    _ => props.push(base.id),
                }
            }
            let chains = &mut self.chains;
            match self.depth_max {
                _ if is_dead => chains.held.entry(number).or_default().of_dead.extend(props),
                None => chains.kept.extend(props),
                Some(depth_max) if !props.is_empty() || part.depth > depth_max => {
                    chains.held.entry(number).or_default().of_loose.extend(props);
                    let frame = head.offset;
                    let at = Location {
                        file: number,
                        frame,
                        slot,
                    };
                    self.loosen(at, head.bases_of(slot), depth_max)?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Notes what an object is to be made from.
    fn loosen(&mut self, at: Location, bases: &[Row], depth_max: u8) -> Result<()> {
        let mut wanted = Vec::new();
        for base in bases {
            let nearest = self.nearest(base.id, depth_max)?;
            if !wanted.contains(&nearest) {
                wanted.push(nearest);
            }
        }
        for id in &wanted {
            if self.is_needed(id)? != Some(true) {
                *self.users.entry(*id).or_default() += 1;
            }
        }
        self.chains.loose.insert(at, wanted);
        Ok(())
    }

    /// The first object from `base` down its chain that others can be made from for good; else that in which the chain ends.
    fn nearest(&mut self, base: ObjectId, depth_max: u8) -> Result<ObjectId> {
        let (mut id, mut passed) = (base, Vec::new());
        // What is wrong with a longer one shows when it is read.
        for _ in 0..DELTA_LINKS_MAX {
            if let Some(known) = self.nearest.get(&id) {
                id = *known;
                break;
            }
            let at = self.store.locate_needed(&id)?.ok_or_else(|| missing(id))?;
            let bases = self.store.bases_at(at)?;
            let Some(first) = bases.first() else { break };
            let (depth, _) = self.store.depth_and_weight(at)?;
            if depth < depth_max && self.is_needed(&id)? == Some(true) && self.are_needed(&bases)? {
                break;
            }
            passed.push(id);
            id = first.id;
        }
        if self.nearest.len() >= NEAREST_MAX {
            self.nearest.clear();
        }
        self.nearest
            .extend(passed.into_iter().chain([id]).map(|passed| (passed, id)));
        Ok(id)
    }

    fn are_needed(&mut self, rows: &[Row]) -> Result<bool> {
        for row in rows {
            if self.is_needed(&row.id)? != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether roots need an object; none where it is missing. One without an entry was stored just now, and is needed.
    fn is_needed(&mut self, id: &ObjectId) -> Result<Option<bool>> {
        self.tables.find(id.prefix(), &mut self.entries);
        retain_id(self.store, &mut self.entries, id)?;
        if self.entries.is_empty() {
            return Ok(self.store.locate(id)?.map(|_| true));
        }
        Ok(Some(self.entries.iter().any(|entry| self.needed.has(entry.position))))
    }

    fn finish(self) -> Chains {
        let (mut chains, users) = (self.chains, self.users);
        for wanted in chains.loose.values_mut() {
            if wanted.iter().all(|id| users.get(id) == Some(&1)) {
                wanted.clear();
            }
            chains.kept.extend(wanted.iter().filter(|id| users.contains_key(*id)));
        }
        chains
    }
}

fn missing(id: ObjectId) -> Error {
    let needed_as = "base of other objects";
    Error::Missing { id, needed_as }
}

impl Collection<'_> {
    /// Measures all files: what of each is unused, and what of others is free when it is packed anew. `needed` has what roots
    /// need.
    pub(super) fn weigh(&mut self, needed: &Bits) -> Result<Vec<FileUse>> {
        let (mut chains, mut usage) = Chains::find(&self.repository.store, &self.tables, needed)?;
        self.marks.restart(needed);
        self.mark_props(&chains.kept, false)?;
        self.add_gained(&mut usage)?;
        let mut lets_go = BTreeMap::new();
        for (number, held) in &mut chains.held {
            held.of_dead = self.standing(&held.of_dead)?;
            self.mark_props(&held.of_loose, false)?;
            self.mark_props(&held.of_dead, true)?;
            lets_go.insert(*number, self.add_gained(&mut usage)?);
        }
        (self.report.base_objects, self.report.base_bytes) = usage.added();
        let mut uses = usage.files();
        for usage in &mut uses {
            usage.held_bytes = lets_go.get(&usage.number).copied().unwrap_or(0);
        }
        self.chains = chains;
        Ok(uses)
    }

    /// Marks what stays, now that it is known which files go: all that loose objects are made from, and what dead objects of
    /// files that stay are, so that whoever stores one of these again finds it whole.
    pub(super) fn keep_props(&mut self, needed: &Bits) -> Result<()> {
        let stay: Vec<u32> = self
            .planned(|fate| fate == Fate::Stays)
            .iter()
            .map(|usage| usage.number)
            .collect();
        if self.chains.held.keys().all(|number| stay.contains(number)) {
            // All of it was marked to be measured.
            return Ok(());
        }
        let chains = std::mem::take(&mut self.chains);
        self.marks.restart(needed);
        self.mark_props(&chains.kept, false)?;
        for held in chains.held.values() {
            self.mark_props(&held.of_loose, false)?;
        }
        for held in stay.iter().filter_map(|number| chains.held.get(number)) {
            self.mark_props(&held.of_dead, true)?;
        }
        self.marks.take_gained();
        self.chains = chains;
        Ok(())
    }

    /// Files in which nothing lives, now that it is known what goes, need not be copied: what was made from it goes, too.
    pub(super) fn drop_let_go(&mut self) {
        let counts = counts(&self.tables, &self.marks.live);
        for file in &mut self.report.files {
            if counts.get(file.usage.number as usize).is_none_or(|live| *live == 0) {
                file.fate = Fate::Goes;
            }
        }
    }

    /// Marks props, with what these are made from.
    fn mark_props(&mut self, ids: &HashSet<ObjectId>, of_dead: bool) -> Result<()> {
        let store = &self.repository.store;
        let mut marker = Marker::new(store, &self.tables, &mut self.marks, self.progress);
        marker.mark_bases(&mut ids.iter().copied(), of_dead)
    }

    /// Adds what was marked since this was last asked. Gives what it takes, in bytes as it is stored.
    fn add_gained(&mut self, usage: &mut Usage) -> Result<u64> {
        let gained = self.marks.take_gained().into_iter();
        let entries = gained.filter_map(|position| self.tables.entry(position)).collect();
        usage.add(&self.repository.store, entries)
    }

    /// Of what dead objects are made from only what stands: with any other nobody finds the object whole, and it could not be
    /// copied.
    fn standing(&self, ids: &HashSet<ObjectId>) -> Result<HashSet<ObjectId>> {
        let store = &self.repository.store;
        let mut places = Vec::new();
        for id in ids {
            places.extend(store.locate(id)?.map(|at| (at, *id)));
        }
        // In the order in which they lie: their frames are looked at again and again.
        places.sort_unstable();
        // And what they are made from.
        let mut standing = HashSet::new();
        for (at, id) in places {
            if !standing.contains(&id) && store.has_bases(at, &mut standing)? {
                standing.insert(id);
            }
        }
        standing.retain(|id| ids.contains(id));
        Ok(standing)
    }
}
