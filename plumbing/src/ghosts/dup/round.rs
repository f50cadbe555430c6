//! One round: some sizes, all their files, and the groups among them.
//!
//! What is read is kept in the table, 33 bytes a file, until the round is over. Of a size that very many files have, hashes
//! are asked for, and groups are made, some at a time: paths are made of a few thousand files at once, however many there
//! are.

use std::cmp::Ordering;
use std::ops::Range;

use hashbrown::{HashMap, HashSet};

use super::{AT_ONCE_BYTES_MAX, Group, Twins};
use crate::error::{Error, Result};
use crate::ghosts::fasthash::FastHash;
use crate::ghosts::hashing::Crew;
use crate::ghosts::table::Table;

/// A thread is worth so many sizes.
const CLASSES_PER_THREAD_MIN: usize = 256;
/// Sizes whose groups are made at once, so that they are in the processor's cache still when they are told.
const PART_CLASSES: usize = 2048;
/// Files of groups that are made at once, but for one group that has more.
const PART_FILES: usize = 16 << 10;
/// Files that are asked for at once: each costs its path and an answer.
const READ_FILES: usize = 16 << 10;

/// See the module.
#[derive(Default)]
pub(super) struct Round {
    /// The rows of each size; names of one inode are next to each other.
    classes: Vec<Range<usize>>,
    /// Sizes whose groups were given.
    given: usize,
    /// The size whose groups are given some at a time.
    large: Option<Alike>,
    /// Sampled hashes that were read, by the first row of the inode.
    sampled: HashMap<usize, FastHash>,
    /// First rows of inodes that could not be read.
    failed: HashSet<usize>,
}

/// The files of one size whose hash is known, equal ones together.
#[derive(Default)]
struct Alike {
    /// First rows of inodes, by hash and place.
    rows: Vec<u32>,
    /// Those of them that are equal, two or more, in the order of the first file of each.
    groups: Vec<Range<u32>>,
    /// Groups that were given.
    given: usize,
}

/// The rows of each inode of a class.
fn inodes(table: &Table, class: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut at = class.start;
    std::iter::from_fn(move || {
        let names = (at < class.end).then(|| table.names_at(at))?;
        at = names.end;
        Some(names)
    })
}

impl Round {
    /// Adds the rows of one size.
    pub(super) fn add_class(&mut self, table: &mut Table, rows: Range<usize>) {
        table.share_names(rows.clone());
        self.classes.push(rows);
    }

    /// Reads what must be read. What cannot be is added to `problems`.
    pub(super) fn read(&mut self, table: &mut Table, crew: &Crew<'_>, problems: &mut Vec<Error>) -> Result<()> {
        self.sample(table, crew, problems)?;
        let mut unknown = Vec::new();
        for class in &self.classes {
            let rivals = self.rivals(table, class);
            unknown.extend(inodes(table, class.clone()).map(|names| names.start).filter(|row| {
                let alone =
                    || !rivals.is_empty() && rivals.get(&self.fast(table, *row)).is_some_and(|files| *files < 2);
                table.hash_ref(*row).is_none() && !self.failed.contains(row) && !alone()
            }));
        }
        unknown.sort_unstable_by_key(|&row| table.reading_order(row));
        for part in unknown.chunks(READ_FILES) {
            let asks: Vec<_> = part.iter().map(|&row| table.ask(row)).collect();
            for (&row, hash) in part.iter().zip(crew.full(&asks)?) {
                match hash {
                    Ok(id) => table.learn(table.names_at(row), id)?,
                    Err(problem) => {
                        problems.push(problem);
                        self.failed.insert(row);
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads samples of large files of sizes in which something is not known.
    fn sample(&mut self, table: &Table, crew: &Crew<'_>, problems: &mut Vec<Error>) -> Result<()> {
        let mut unknown = Vec::new();
        for class in self.classes.iter().filter(|class| is_large(table, class)) {
            if class.clone().any(|row| table.hash_ref(row).is_none()) {
                let rows = inodes(table, class.clone()).map(|names| names.start);
                unknown.extend(rows.filter(|&row| self.fast(table, row).is_none()));
            }
        }
        unknown.sort_unstable_by_key(|&row| table.reading_order(row));
        for part in unknown.chunks(READ_FILES) {
            let asks: Vec<_> = part.iter().map(|&row| table.ask(row)).collect();
            for (&row, hash) in part.iter().zip(crew.fast(&asks)?) {
                match hash {
                    Ok(hash) => drop(self.sampled.insert(row, hash)),
                    Err(problem) => {
                        problems.push(problem);
                        self.failed.insert(row);
                    }
                }
            }
        }
        Ok(())
    }

    /// The sampled hash of the inode with this first row.
    fn fast(&self, table: &Table, row: usize) -> Option<FastHash> {
        let read = self.sampled.get(&row).copied();
        read.or_else(|| table.names_at(row).find_map(|name| table.fast(name)))
    }

    /// How many files of a size of large files have the same sampled hash; nothing of smaller ones, which are not sampled.
    fn rivals(&self, table: &Table, class: &Range<usize>) -> HashMap<Option<FastHash>, usize> {
        let mut rivals = HashMap::new();
        if is_large(table, class) {
            let rows = inodes(table, class.clone()).map(|names| names.start);
            for row in rows.filter(|row| !self.failed.contains(row)) {
                *rivals.entry(self.fast(table, row)).or_insert(0) += 1;
            }
        }
        rivals
    }

    /// The groups of the next sizes, in order; there may be none of them. Nothing when all sizes had their turn.
    pub(super) fn part(&mut self, table: &Table, threads: usize) -> Option<Vec<Group>> {
        if let Some(large) = &mut self.large {
            let groups = large.next(table, PART_FILES);
            if groups.is_empty() {
                self.large = None;
            }
            return Some(groups);
        }
        let from = self.given;
        let mut files = 0;
        while let Some(class) = self.classes.get(self.given)
            && self.given - from < PART_CLASSES
            && (files == 0 || files + class.len() <= PART_FILES)
        {
            files += class.len();
            self.given += 1;
        }
        let part = &self.classes[from..self.given];
        if files > PART_FILES
            && let [class] = part
        {
            self.large = Some(self.alike(table, class.clone(), Alike::default()));
            return Some(Vec::new());
        }
        (!part.is_empty()).then(|| self.groups(table, part, threads))
    }

    /// The groups of these sizes, found by several threads where there are many.
    fn groups(&self, table: &Table, classes: &[Range<usize>], threads: usize) -> Vec<Group> {
        let share = classes.len().div_ceil(threads.max(1)).max(CLASSES_PER_THREAD_MIN);
        let mut parts = classes.chunks(share);
        let own = parts.next().unwrap_or_default();
        std::thread::scope(|scope| {
            let others: Vec<_> = parts
                .map(|part| scope.spawn(move || self.groups_of(table, part)))
                .collect();
            let mut groups = self.groups_of(table, own);
            for other in others {
                groups.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            groups
        })
    }

    fn groups_of(&self, table: &Table, classes: &[Range<usize>]) -> Vec<Group> {
        let mut groups = Vec::new();
        let mut alike = Alike::default();
        for class in classes {
            alike = self.alike(table, class.clone(), alike);
            groups.extend(alike.next(table, usize::MAX));
        }
        groups
    }

    /// The files of a size by their hashes; `old` gives its room.
    fn alike(&self, table: &Table, class: Range<usize>, old: Alike) -> Alike {
        let Alike {
            mut rows, mut groups, ..
        } = old;
        rows.clear();
        groups.clear();
        let known = inodes(table, class).map(|names| names.start);
        let known = known.filter(|row| table.hash_ref(*row).is_some() && !self.failed.contains(row));
        // A table has no more rows than that.
        rows.extend(known.map(|row| row as u32));
        let first_name = |row: u32| {
            let names = table.names_at(row as usize);
            names.min_by(|&a, &b| table.in_order(a, b)).unwrap_or(row as usize)
        };
        let by_place = |a: &u32, b: &u32| table.in_order(first_name(*a), first_name(*b));
        let hash = |row: &u32| table.hash_ref(*row as usize);
        rows.sort_unstable_by(|a, b| hash(a).cmp(&hash(b)));
        let mut start = 0;
        for equal in rows.chunk_by_mut(|a, b| hash(a) == hash(b)) {
            let end = start + equal.len() as u32;
            if equal.len() > 1 {
                equal.sort_unstable_by(by_place);
                groups.push(start..end);
            }
            start = end;
        }
        let first = |group: &Range<u32>| rows[group.start as usize];
        groups.sort_unstable_by(|a, b| -> Ordering { by_place(&first(a), &first(b)) });
        Alike { rows, groups, given: 0 }
    }
}

fn is_large(table: &Table, class: &Range<usize>) -> bool {
    table.size(class.start) > AT_ONCE_BYTES_MAX
}

impl Alike {
    /// The next groups, until they have `files` files together; none after the last.
    fn next(&mut self, table: &Table, files: usize) -> Vec<Group> {
        let mut groups = Vec::new();
        let mut count = 0;
        while let Some(group) = self.groups.get(self.given)
            && count < files
        {
            let rows = &self.rows[group.start as usize..group.end as usize];
            count += rows.len();
            self.given += 1;
            let first = rows[0] as usize;
            let Some(fullhash) = table.hash(first) else { continue };
            groups.push(Group {
                size: table.size(first),
                fullhash,
                files: twins(table, rows),
            });
        }
        groups
    }
}

/// Inodes, by their first rows, with all their names.
fn twins(table: &Table, rows: &[u32]) -> Twins {
    let mut twins = Twins::with_capacity(rows.len());
    for &row in rows {
        let rows = table.names_at(row as usize);
        twins.push(|names| {
            if rows.len() == 1 {
                return table.add_name(rows.start, names);
            }
            let mut rows: Vec<usize> = rows.collect();
            rows.sort_unstable_by(|&a, &b| table.in_order(a, b));
            rows.into_iter().for_each(|row| table.add_name(row, names));
        });
    }
    twins
}
