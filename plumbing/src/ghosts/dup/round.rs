//! One round: some sizes, all their files, and the groups among them.

use std::ops::Range;

use hashbrown::HashMap;

use super::{AT_ONCE_BYTES_MAX, Group, Name, Twin};
use crate::error::{Error, Result};
use crate::ghosts::fasthash::FastHash;
use crate::ghosts::hashing::{Ask, Crew};
use crate::ghosts::table::Table;
use crate::object::ObjectId;

/// A thread is worth so many sizes.
const CLASSES_PER_THREAD_MIN: usize = 256;
/// Sizes whose groups are made at once, so that they are in the processor's cache still when they are told.
const PART_CLASSES: usize = 2048;

/// An inode with its names.
struct File {
    /// Rows of its names.
    names: Range<usize>,
    /// Which size it has, by number.
    class: usize,
    full: Option<ObjectId>,
    fast: Option<FastHash>,
    /// It could not be read.
    failed: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Round {
    files: Vec<File>,
    /// The files of each size.
    classes: Vec<Range<usize>>,
    /// Sizes whose groups were given.
    given: usize,
}

impl Round {
    /// Adds the rows of one size.
    pub(super) fn add_class(&mut self, table: &Table, rows: Range<usize>) {
        let first = self.files.len();
        let class = self.classes.len();
        let mut at = rows.start;
        while at < rows.end {
            let names = table.names_at(at);
            at = names.end;
            self.files.push(File {
                full: names.clone().find_map(|row| table.hash(row)),
                fast: match table.size(rows.start) > AT_ONCE_BYTES_MAX {
                    true => names.clone().find_map(|row| table.fast(row)),
                    false => None,
                },
                names,
                class,
                failed: false,
            });
        }
        self.classes.push(first..self.files.len());
    }

    /// Reads what must be read. What cannot be is added to `problems`.
    pub(super) fn read(&mut self, table: &Table, crew: &Crew<'_>, problems: &mut Vec<Error>) -> Result<()> {
        let sampled = self.chosen(table, |round, file| {
            let class = &round.files[round.classes[file.class].clone()];
            let large = table.size(file.names.start) > AT_ONCE_BYTES_MAX;
            large && file.fast.is_none() && class.iter().any(|other| other.full.is_none())
        });
        let hashes = crew.fast(&self.asks(table, &sampled))?;
        for (file, hash) in sampled.into_iter().zip(hashes) {
            let file = &mut self.files[file];
            file.fast = hash.map_err(|problem| problems.push(problem)).ok();
            file.failed = file.fast.is_none();
        }
        let alike = self.alike();
        let read = self.chosen(table, |_, file| {
            let rivals = alike.get(&(file.class, file.fast)).copied().unwrap_or(0);
            file.full.is_none() && !file.failed && rivals > 1
        });
        let hashes = crew.full(&self.asks(table, &read))?;
        for (file, hash) in read.into_iter().zip(hashes) {
            self.files[file].full = hash.map_err(|problem| problems.push(problem)).ok();
        }
        Ok(())
    }

    /// The groups of the next sizes, in order; there may be none of them. Nothing when all sizes had their turn.
    pub(super) fn part(&mut self, table: &Table, threads: usize) -> Option<Vec<Group>> {
        let from = self.given;
        self.given = self.classes.len().min(from + PART_CLASSES);
        let part = &self.classes[from..self.given];
        (!part.is_empty()).then(|| self.groups(table, part, threads))
    }

    /// The files that `wanted` takes, in the order of reading.
    fn chosen(&self, table: &Table, wanted: impl Fn(&Self, &File) -> bool) -> Vec<usize> {
        let all = self.files.iter().enumerate();
        let mut chosen: Vec<usize> = all
            .filter(|(_, file)| wanted(self, file))
            .map(|(number, _)| number)
            .collect();
        chosen.sort_unstable_by_key(|number| table.reading_order(self.files[*number].names.start));
        chosen
    }

    fn asks(&self, table: &Table, chosen: &[usize]) -> Vec<Ask> {
        let ask = |number: &usize| table.ask(self.files[*number].names.start);
        chosen.iter().map(ask).collect()
    }

    /// How many files of a size have the same fast hash, as far as that was computed. Only of sizes of which some files are
    /// not known.
    fn alike(&self) -> HashMap<(usize, Option<FastHash>), usize> {
        let mut alike = HashMap::new();
        let open = |class: &&Range<usize>| self.files[(*class).clone()].iter().any(|file| file.full.is_none());
        for file in self
            .classes
            .iter()
            .filter(open)
            .flat_map(|class| &self.files[class.clone()])
        {
            if !file.failed {
                *alike.entry((file.class, file.fast)).or_insert(0) += 1;
            }
        }
        alike
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
        let mut known: Vec<(ObjectId, &File)> = Vec::new();
        for class in classes {
            let files = self.files[class.clone()].iter().filter(|file| !file.failed);
            known.clear();
            known.extend(files.filter_map(|file| Some((file.full?, file))));
            known.sort_unstable_by_key(|(id, _)| *id);
            let size = table.size(self.files[class.start].names.start);
            let first = groups.len();
            for equal in known.chunk_by(|a, b| a.0 == b.0).filter(|equal| equal.len() > 1) {
                let mut files: Vec<Twin> = equal.iter().map(|(_, file)| twin(table, &file.names)).collect();
                files.sort_unstable_by(|a, b| Name::in_order(&a.names[0], &b.names[0]));
                let fullhash = equal[0].0;
                groups.push(Group { size, fullhash, files });
            }
            groups[first..].sort_unstable_by(|a: &Group, b| Name::in_order(&a.files[0].names[0], &b.files[0].names[0]));
        }
        groups
    }
}

fn twin(table: &Table, names: &Range<usize>) -> Twin {
    let mut names: Vec<Name> = names.clone().map(|row| table.full_name(row)).collect();
    names.sort_unstable_by(Name::in_order);
    Twin { names }
}
