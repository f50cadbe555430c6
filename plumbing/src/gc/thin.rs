//! Objects that are stored twice: writers that did not know of each other, or a gc that was killed after it had copied.
//!
//! One copy of each is kept, that in the file that is used best. It is read, and its hash compared, before the others
//! count as unused: a copy that cannot be read replaces none. A copy that is made from other objects replaces none
//! either: what it is made from might in turn be made from the copy that goes.
//!
//! A copy of which something is gone that it is made from is none, if there is one that stands.

use super::bits::Bits;
use super::mark::Marks;
use super::tables::{Entry, Tables, row};
use crate::error::Result;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::{Frame, Store};

/// An object with several copies: the one to keep, and the others.
struct Twice {
    id: ObjectId,
    kept: Entry,
    others: Vec<usize>,
}

/// Groups that are held at a time; about 100 bytes each.
const GROUPS_MAX: usize = 64 << 10;

/// Unmarks all copies but one of each object that lives. Gives how many that were.
pub(super) fn thin(store: &Store, tables: &Tables, marks: &mut Marks, progress: &Progress) -> Result<u64> {
    let counts = counts(tables, &marks.live);
    let (mut groups, mut unmarked) = (Vec::new(), 0);
    tables.shared(&mut |entries| {
        let entries: Vec<Entry> = entries
            .iter()
            .copied()
            .filter(|entry| marks.live.has(entry.position))
            .collect();
        if entries.len() > 1 {
            for position in gather(store, &entries, &counts, &mut groups)? {
                marks.fell(position);
                unmarked += 1;
            }
        }
        if groups.len() >= GROUPS_MAX {
            unmarked += settle(store, &mut groups, &mut marks.live, progress)?;
        }
        Ok(())
    })?;
    Ok(unmarked + settle(store, &mut groups, &mut marks.live, progress)?)
}

/// Live copies in each file.
pub(super) fn counts(tables: &Tables, live: &Bits) -> Vec<u64> {
    let mut counts = Vec::new();
    for entry in tables.entries(live.ones(0)) {
        let file = entry.at.file as usize;
        if counts.len() <= file {
            counts.resize(file + 1, 0);
        }
        counts[file] += 1;
    }
    counts
}

/// A copy of an object.
struct Copy {
    id: ObjectId,
    /// It is made from others, whether those are there or not.
    is_made: bool,
    stands: bool,
    /// Live copies in its file.
    count: u64,
    entry: Entry,
}

/// Notes objects with several copies that stand. Gives the positions of those that do not, where others do.
fn gather(store: &Store, entries: &[Entry], counts: &[u64], groups: &mut Vec<Twice>) -> Result<Vec<usize>> {
    let mut copies: Vec<Copy> = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(row) = row(store, entry)? else { continue };
        let is_made = !store.bases_at(entry.at)?.is_empty();
        copies.push(Copy {
            id: row.id,
            is_made,
            stands: !is_made || store.stands(entry.at)?,
            count: counts[entry.at.file as usize],
            entry: *entry,
        });
    }
    copies.sort_by_key(|copy| {
        let worth = (!copy.stands, copy.is_made, std::cmp::Reverse(copy.count));
        (copy.id, worth, copy.entry.at)
    });
    let mut fallen = Vec::new();
    for same in copies.chunk_by(|a, b| a.id == b.id) {
        let (standing, others) = same.split_at(same.partition_point(|copy| copy.stands));
        if !standing.is_empty() {
            fallen.extend(others.iter().map(|copy| copy.entry.position));
        }
        let Some(kept) = standing.first() else { continue };
        // Two entries may lead to one copy: two processes put it into the index at once.
        let others = standing.iter().filter(|copy| copy.entry.at != kept.entry.at);
        let others: Vec<usize> = others.map(|copy| copy.entry.position).collect();
        if !others.is_empty() {
            groups.push(Twice {
                id: kept.id,
                kept: kept.entry,
                others,
            });
        }
    }
    Ok(fallen)
}

fn settle(store: &Store, groups: &mut Vec<Twice>, live: &mut Bits, progress: &Progress) -> Result<u64> {
    groups.sort_by_key(|group| group.kept.at);
    let mut frame = Frame::default();
    let mut unmarked = 0;
    for unit in groups.chunk_by(|a, b| (a.kept.at.file, a.kept.at.frame) == (b.kept.at.file, b.kept.at.frame)) {
        progress.check()?;
        let Some(first) = unit.first() else { continue };
        match store.read_frame(first.kept.at, &mut frame) {
            // All copies stay, and whoever needs one finds one that reads.
            Err(e) if e.is_damage() => continue,
            read => read?,
        }
        if !store.bases_at(first.kept.at)?.is_empty() {
            continue;
        }
        for group in unit {
            if frame.verified(group.kept.at.slot, &group.id).is_ok() {
                group.others.iter().for_each(|position| live.clear(*position));
                unmarked += group.others.len() as u64;
            }
        }
    }
    groups.clear();
    Ok(unmarked)
}
