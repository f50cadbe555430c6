//! All entries of the index at one moment, by position.
//!
//! The entries of each segment keep their order; those that no segment has are one more table. So a position is a small
//! number that stands for one stored copy of one object, and a set of copies is a bit for each: 1.25 MB for ten million.
//! What is written later has no position here; whoever does not find an id here asks the store.
//!
//! A prefix is eight bytes of an id. Two ids may share one; then more is kept than is needed, never less.

use crate::error::Result;
use crate::object::ObjectId;
use crate::store::data::format::Row;
use crate::store::{IndexTable, Location, StandingFile, Store};

/// All tables, with the position of the first entry of each.
#[derive(Debug)]
pub(super) struct Tables {
    tables: Vec<(usize, IndexTable)>,
    count: usize,
    /// The data files that the entries lead to, each with the length up to which all of its objects have entries. What
    /// was added later is not spoken of here, so a file that has grown is no candidate for removal.
    files: Vec<StandingFile>,
}

/// An entry: where an object lies, and the first eight bytes of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) at: Location,
    pub(super) prefix: u64,
    pub(super) position: usize,
}

impl Entry {
    /// Whether the two lie in the same frame.
    pub(super) fn is_with(&self, other: &Self) -> bool {
        (self.at.file, self.at.frame) == (other.at.file, other.at.frame)
    }
}

/// Steps in which a walk goes through the index; what a step has met stays in memory until its end.
const STEPS: usize = 16;

/// A walk through the index from its beginning to its end, which gives back the memory of what lies behind it: all of a
/// long index would be in memory at the end otherwise.
pub(super) struct Steps<'t> {
    tables: &'t Tables,
    step: usize,
}

impl Steps<'_> {
    /// The walk is at this prefix.
    pub(super) fn at_prefix(&mut self, prefix: u64) {
        self.at((prefix >> (u64::BITS - STEPS.ilog2())) as usize);
    }

    fn at_position(&mut self, position: usize) {
        self.at(position / self.tables.count.div_ceil(STEPS).max(1));
    }

    fn at(&mut self, step: usize) {
        if step != self.step {
            self.tables.release();
            self.step = step;
        }
    }
}

impl Drop for Steps<'_> {
    fn drop(&mut self) {
        self.tables.release();
    }
}

impl Tables {
    /// What the index of `store` says now.
    pub(super) fn new(store: &Store) -> Self {
        let (found, files) = store.index_tables();
        let (mut tables, mut count) = (Vec::new(), 0);
        for table in found {
            let first = count;
            count += table.len();
            tables.push((first, table));
        }
        Self { tables, count, files }
    }

    /// The data files.
    pub(super) fn files(&self) -> &[StandingFile] {
        &self.files
    }

    /// Positions in all.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Forgets entries that lead to these data files: they count as not there.
    pub(super) fn drop_files(&mut self, is_dropped: &dyn Fn(u32) -> bool) {
        for (_, table) in &mut self.tables {
            table.drop_files(is_dropped);
        }
        self.files.retain(|file| !is_dropped(file.number));
    }

    /// Begins a walk. Look-ups beside it are as good as ever.
    pub(super) fn steps(&self) -> Steps<'_> {
        Steps { tables: self, step: 0 }
    }

    fn release(&self) {
        self.tables.iter().for_each(|(_, table)| table.release());
    }

    /// The entries at these positions, which are in order; those left out that lead to data files that are not there.
    pub(super) fn entries<'t>(
        &'t self,
        positions: impl Iterator<Item = usize> + 't,
    ) -> impl Iterator<Item = Entry> + 't {
        let mut steps = self.steps();
        positions.filter_map(move |position| {
            steps.at_position(position);
            self.entry(position)
        })
    }

    /// All entries with this prefix.
    pub(super) fn find(&self, prefix: u64, into: &mut Vec<Entry>) {
        into.clear();
        for (first, table) in &self.tables {
            let mut local = table.lower_bound(prefix);
            while local < table.len() && table.prefix(local) == prefix {
                if let Some(at) = table.place(local) {
                    let position = first + local;
                    into.push(Entry { at, prefix, position });
                }
                local += 1;
            }
        }
    }

    /// The entry at a position, unless it leads to a data file that is not there.
    pub(super) fn entry(&self, position: usize) -> Option<Entry> {
        let table = self
            .tables
            .partition_point(|(first, _)| *first <= position)
            .checked_sub(1)?;
        let (first, table) = &self.tables[table];
        let local = position - first;
        let at = table.place(local)?;
        let prefix = table.prefix(local);
        Some(Entry { at, prefix, position })
    }

    /// Groups of positions whose entries share a prefix, those of one alone left out.
    pub(super) fn shared(&self, visit: &mut dyn FnMut(&[Entry]) -> Result<()>) -> Result<()> {
        let mut next = vec![0; self.tables.len()];
        let mut group: Vec<Entry> = Vec::new();
        let mut steps = self.steps();
        loop {
            let heads = self.tables.iter().zip(&next).enumerate();
            let head = heads
                .filter(|(_, ((_, table), at))| **at < table.len())
                .map(|(number, ((_, table), at))| (table.prefix(*at), number))
                .min();
            if group.first().map(|entry| entry.prefix) != head.map(|(prefix, _)| prefix) {
                if group.len() > 1 {
                    visit(&group)?;
                }
                group.clear();
            }
            let Some((prefix, number)) = head else { return Ok(()) };
            steps.at_prefix(prefix);
            let (first, table) = &self.tables[number];
            if let Some(at) = table.place(next[number]) {
                let position = first + next[number];
                group.push(Entry { at, prefix, position });
            }
            next[number] += 1;
        }
    }
}

/// The row of a frame's table that an entry leads to, if it is one of an id with that prefix.
pub(super) fn row(store: &Store, entry: &Entry) -> Result<Option<Row>> {
    let row = store.row(entry.at)?;
    Ok(row.filter(|row| row.id.prefix() == entry.prefix))
}

/// Of several entries those that lead to this id. One alone is believed: its bytes are compared when they are read.
pub(super) fn retain_id(store: &Store, entries: &mut Vec<Entry>, id: &ObjectId) -> Result<()> {
    if entries.len() < 2 {
        return Ok(());
    }
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries.drain(..) {
        if row(store, &entry)?.is_some_and(|row| row.id == *id) {
            kept.push(entry);
        }
    }
    *entries = kept;
    Ok(())
}
