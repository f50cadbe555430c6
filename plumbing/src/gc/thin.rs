//! Objects that are stored twice: writers that did not know of each other, or a gc that was killed after it had copied.
//!
//! One copy of each is kept, that in the file that is used best. It is read, and its hash compared, before the others
//! count as unused: a copy that cannot be read replaces none. A copy that is made from other objects replaces none
//! either: what it is made from might in turn be made from the copy that goes.

use super::bits::Bits;
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
pub(super) fn thin(store: &Store, tables: &Tables, live: &mut Bits, progress: &Progress) -> Result<u64> {
    let counts = counts(tables, live);
    let (mut groups, mut unmarked) = (Vec::new(), 0);
    tables.shared(&mut |entries| {
        let entries: Vec<Entry> = entries
            .iter()
            .copied()
            .filter(|entry| live.has(entry.position))
            .collect();
        if entries.len() > 1 {
            gather(store, &entries, &counts, &mut groups)?;
        }
        if groups.len() >= GROUPS_MAX {
            unmarked += settle(store, &mut groups, live, progress)?;
        }
        Ok(())
    })?;
    Ok(unmarked + settle(store, &mut groups, live, progress)?)
}

/// Live copies in each file.
fn counts(tables: &Tables, live: &Bits) -> Vec<u64> {
    let mut counts = Vec::new();
    for entry in live.ones(0).filter_map(|position| tables.entry(position)) {
        let file = entry.at.file as usize;
        if counts.len() <= file {
            counts.resize(file + 1, 0);
        }
        counts[file] += 1;
    }
    counts
}

fn gather(store: &Store, entries: &[Entry], counts: &[u64], groups: &mut Vec<Twice>) -> Result<()> {
    let mut copies: Vec<(ObjectId, Entry)> = Vec::with_capacity(entries.len());
    for entry in entries {
        copies.extend(row(store, entry)?.map(|row| (row.id, *entry)));
    }
    let mut keyed = Vec::with_capacity(copies.len());
    for (id, entry) in copies {
        let is_made = !store.bases_at(entry.at)?.is_empty();
        keyed.push((
            id,
            is_made,
            std::cmp::Reverse(counts[entry.at.file as usize]),
            entry.at,
            entry,
        ));
    }
    keyed.sort_by_key(|(id, is_made, count, at, _)| (*id, *is_made, *count, *at));
    let copies: Vec<(ObjectId, Entry)> = keyed.into_iter().map(|(id, _, _, _, entry)| (id, entry)).collect();
    for same in copies.chunk_by(|a, b| a.0 == b.0) {
        let [(id, kept), others @ ..] = same else { continue };
        if !others.is_empty() {
            groups.push(Twice {
                id: *id,
                kept: *kept,
                others: others.iter().map(|(_, entry)| entry.position).collect(),
            });
        }
    }
    Ok(())
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
