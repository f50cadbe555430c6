//! Equal files of several trees as they are found: answers come while folders are still walked.
//!
//! 1. Threads walk the trees of each side ([`Sides`]) and send what they find through one bounded channel.
//! 2. The caller's thread takes what has arrived, small heaps first, and adds it to a [`Table`].
//! 3. A file waits with others of its size until one comes that it may be compared with; then all of them are examined, and
//!    later ones at once ([`meet`]): of larger files than [`AT_ONCE_BYTES_MAX`] the fast hash first, where they wait
//!    again for one with the same; what is still alike, and smaller ones at once, by their full hash, with all threads.
//! 4. Each file whose full hash is known by then is handed on, once ([`Hear`]).
//!
//! Invariants: what nothing can be equal to is not read, and nothing is read twice. Of an inode with several names one is
//! examined; what was found holds for the others. Memory is a row of the table, a hash and a few numbers a file.

pub(super) mod meet;

use std::hash::BuildHasher as _;
use std::ops::Range;

use bstr::BString;
use crossbeam_channel::{Receiver, Sender, bounded};
use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use self::meet::{Chains, Met};
use super::dup::AT_ONCE_BYTES_MAX;
use super::fasthash::FastHash;
use super::forest::{Leaf, Part, each_part};
use super::hashing::{Ask, Crew};
use super::table::{Select, Table};
use crate::error::{Error, Result};

/// Parts of folders that may be on their way. Most hold some dozens of files, some a thousand, of a third of a KiB each.
const PARTS_WAITING: usize = 8;
/// Files of the first heap.
const HEAP_FILES_MIN: usize = 64;
/// Files of the largest heap, and files that are examined at once.
const HEAP_FILES_MAX: usize = 8192;
/// What is examined at once ends behind so many bytes of files, so that answers do not wait for long reads.
const PART_BYTES: u64 = 256 << 20;

/// Which files are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sides {
    /// All with all. Other names of an inode are left out.
    One,
    /// Those of the first tree with those of all others; each name counts.
    Two,
}

impl Sides {
    /// The side of a tree.
    pub(super) fn of(self, forest: usize) -> usize {
        match self {
            Self::One => 0,
            Self::Two => usize::from(forest > 0),
        }
    }

    /// The trees of each side, of so many.
    pub(super) fn ranges(self, forests: usize) -> Vec<Range<usize>> {
        let first = match self {
            Self::One => forests,
            Self::Two => forests.min(1),
        };
        let ranges = [0..first, first..forests].into_iter();
        ranges.filter(|range| !range.is_empty()).collect()
    }
}

/// Takes what is found.
pub(super) struct Hear<'a> {
    /// The full hashes of these rows are known now. No row comes twice.
    pub known: &'a mut dyn FnMut(&Table, &[usize]) -> Result<()>,
    /// Something could not be looked at or read.
    pub failed: &'a mut dyn FnMut(Error) -> Result<()>,
}

/// What is known when all was walked and examined.
pub(super) struct Examined {
    /// All files.
    pub table: Table,
    /// Rows that could not be read.
    pub failed: HashSet<usize>,
}

/// A folder, or a part of one, that was read.
pub(super) struct Sent {
    /// The number of its tree.
    pub forest: u16,
    /// Its path there.
    pub path: BString,
    /// What is in it.
    pub part: Part,
}

/// Walks the trees of `crew` and tells `hear` of files that may be equal. What it fails with ends the job. Fails, too,
/// where the root of a tree cannot be read.
pub(super) fn examine(crew: Crew<'_>, select: &Select, sides: Sides, mut hear: Hear<'_>) -> Result<Examined> {
    for forest in crew.forests {
        forest.root()?;
    }
    let mut examining = Examining::new(crew, select, sides);
    walking(crew, sides.ranges(crew.forests.len()), |receiver| {
        examining.answer(receiver, &mut hear)
    })?;
    Ok(Examined {
        table: examining.table,
        failed: examining.failed,
    })
}

/// Does a job with what is found in the trees of `crew`; those of each range are walked one after another, the ranges
/// beside each other.
pub(super) fn walking(
    crew: Crew<'_>,
    ranges: Vec<Range<usize>>,
    job: impl FnOnce(&Receiver<Sent>) -> Result<()>,
) -> Result<()> {
    let (sender, receiver) = bounded::<Sent>(PARTS_WAITING);
    let threads = (crew.threads / ranges.len().max(1)).max(1);
    std::thread::scope(|scope| {
        let start = |forests: Range<usize>| {
            let sender = sender.clone();
            scope.spawn(move || walk(crew, forests, threads, &sender))
        };
        let walks: Vec<_> = ranges.into_iter().map(start).collect();
        drop(sender);
        let mut done = job(&receiver);
        // Where that failed, the walks end at their next folders.
        drop(receiver);
        for walk in walks {
            let walked = walk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done = done.and(walked);
        }
        done
    })
}

/// Sends the folders of some trees.
fn walk(crew: Crew<'_>, forests: Range<usize>, threads: usize, sender: &Sender<Sent>) -> Result<()> {
    for (number, forest) in (0u16..).zip(crew.forests) {
        if !forests.contains(&usize::from(number)) {
            continue;
        }
        each_part(*forest, threads, crew.progress, &|at, part| {
            crew.progress.add(part.leaves.len() as u64, 0);
            let (forest, path) = (number, at.path.clone());
            // Nobody takes it any more: the other side says why.
            let sent = sender.send(Sent { forest, path, part });
            sent.map_err(|_| Error::Interrupted)
        })?;
    }
    Ok(())
}

/// Says whether two files are compared with each other.
fn pairs(sides: Sides, table: &Table) -> impl Fn(usize, usize) -> bool {
    move |a, b| sides == Sides::One || sides.of(table.forest(a)) != sides.of(table.forest(b))
}

/// What is done with large files of one size whose full hash was known.
enum Known {
    /// They were not sampled, since all were known.
    Unsampled(Vec<usize>),
    /// They are sampled, since there is one whose hash is not.
    Sampled,
}

/// What has been found so far.
struct Examining<'a> {
    crew: Crew<'a>,
    select: &'a Select,
    sides: Sides,
    table: Table,
    /// Rows that wait, in chains.
    chains: Chains,
    sizes: HashMap<u64, Met>,
    samples: HashMap<(u64, FastHash), Met>,
    /// Sizes of large files that were examined.
    large: HashMap<u64, Known>,
    /// Rows that were handed on.
    told: Vec<bool>,
    /// The first rows of inodes that may have more names.
    linked: HashTable<u32>,
    spread: DefaultHashBuilder,
    /// Other names of inodes whose hash is not known yet: the last of a chain, by the first row.
    names: HashMap<usize, u32>,
    failed: HashSet<usize>,
}

impl<'a> Examining<'a> {
    fn new(crew: Crew<'a>, select: &'a Select, sides: Sides) -> Self {
        Self {
            crew,
            select,
            sides,
            table: Table::default(),
            chains: Chains::default(),
            sizes: HashMap::new(),
            samples: HashMap::new(),
            large: HashMap::new(),
            told: Vec::new(),
            linked: HashTable::new(),
            spread: DefaultHashBuilder::default(),
            names: HashMap::new(),
            failed: HashSet::new(),
        }
    }

    fn answer(&mut self, receiver: &Receiver<Sent>, hear: &mut Hear<'_>) -> Result<()> {
        let mut heap_files = HEAP_FILES_MIN;
        while let Ok(first) = receiver.recv() {
            let mut rows = self.add(first, hear)?;
            while rows.len() < heap_files
                && let Ok(next) = receiver.try_recv()
            {
                rows.extend(self.add(next, hear)?);
            }
            heap_files = HEAP_FILES_MAX.min(2 * heap_files);
            let mut alike = Vec::new();
            for row in rows {
                let key = self.table.size(row);
                let pairs = pairs(self.sides, &self.table);
                alike.extend(self.chains.meet(&mut self.sizes, key, row, pairs));
            }
            let mut rest = &alike[..];
            while !rest.is_empty() {
                self.crew.progress.check()?;
                let (part, behind) = rest.split_at(self.part_of(rest));
                rest = behind;
                self.part(part, hear)?;
            }
        }
        Ok(())
    }

    /// How many of these are examined at once.
    fn part_of(&self, rows: &[usize]) -> usize {
        let mut bytes = 0u64;
        let within = |row: &&usize| {
            let fits = bytes < PART_BYTES;
            bytes = bytes.saturating_add(self.table.size(**row));
            fits
        };
        rows.iter().take(HEAP_FILES_MAX).take_while(within).count()
    }

    /// Adds what was sent to the table; gives the rows of those that are to be examined.
    fn add(&mut self, sent: Sent, hear: &mut Hear<'_>) -> Result<Vec<usize>> {
        let Sent { forest, path, part } = sent;
        let from = self.table.len();
        let select = self.select;
        let selected = part.leaves.iter().filter(|leaf| select.takes(leaf));
        let several = |leaf: &&Leaf| leaf.stat().is_some_and(|stat| stat.nlink > 1);
        let linked: Vec<bool> = selected.map(|leaf| several(&leaf)).collect();
        let mut problems = Vec::new();
        self.table.add(forest, &path, part, select, &mut problems)?;
        problems.into_iter().try_for_each(|problem| (hear.failed)(problem))?;
        self.chains.grow(self.table.len());
        self.told.resize(self.table.len(), false);
        let mut rows = Vec::with_capacity(linked.len());
        let mut late = Vec::new();
        for (row, is_linked) in (from..).zip(linked) {
            let first = if is_linked { self.first_name(row) } else { row };
            if first == row {
                rows.push(row);
            } else if self.sides == Sides::Two {
                self.other_name(row, first, &mut late);
            }
        }
        match late.is_empty() {
            true => {}
            false => (hear.known)(&self.table, &late)?,
        }
        Ok(rows)
    }

    /// The first row of the inode of a row, on its side.
    fn first_name(&mut self, row: usize) -> usize {
        let (sides, table, spread) = (self.sides, &self.table, &self.spread);
        let key = |row: usize| (sides.of(table.forest(row)), table.inode(row));
        let own = key(row);
        let entry = self.linked.entry(
            spread.hash_one(own),
            |first| key(*first as usize) == own,
            |first| spread.hash_one(key(*first as usize)),
        );
        // A table has no more rows than that.
        *entry.or_insert(row as u32).get() as usize
    }

    /// A further name of an inode: it is what the first is.
    fn other_name(&mut self, row: usize, first: usize, late: &mut Vec<usize>) {
        if self.failed.contains(&first) {
            self.failed.insert(row);
        } else if self.told[first] {
            self.table.share(row, first);
            self.told[row] = true;
            late.push(row);
        } else {
            let last = self.names.get(&first).copied();
            self.names.insert(first, self.chains.push(row, last));
        }
    }

    /// Examines some files that may be equal to others, and tells of those whose hash is known then.
    fn part(&mut self, rows: &[usize], hear: &mut Hear<'_>) -> Result<()> {
        let alike = self.of_shared_samples(rows, hear)?;
        self.read(&alike, hear)?;
        let mut known = Vec::with_capacity(alike.len());
        for row in alike {
            if self.table.hash_ref(row).is_none() || std::mem::replace(&mut self.told[row], true) {
                continue;
            }
            known.push(row);
            let names = self.names.remove(&row).map(|last| self.chains.of(last));
            for name in names.into_iter().flatten() {
                self.table.share(name, row);
                self.told[name] = true;
                known.push(name);
            }
        }
        (hear.known)(&self.table, &known)
    }

    /// Those of these that are small, or known, or have the samples of another file, and the files that waited for them.
    fn of_shared_samples(&mut self, rows: &[usize], hear: &mut Hear<'_>) -> Result<Vec<usize>> {
        let (large, mut alike): (Vec<usize>, Vec<usize>) =
            rows.iter().partition(|&&row| self.table.size(row) > AT_ONCE_BYTES_MAX);
        let mut sampled = Vec::new();
        for row in large {
            let is_known = self.table.hash_ref(row).is_some();
            let size = self.large.entry(self.table.size(row));
            let size = size.or_insert_with(|| Known::Unsampled(Vec::new()));
            match (is_known, &mut *size) {
                (true, Known::Unsampled(rows)) => rows.push(row),
                (_, Known::Sampled) => sampled.push(row),
                (false, Known::Unsampled(rows)) => {
                    sampled.append(rows);
                    sampled.push(row);
                    *size = Known::Sampled;
                }
            }
            alike.extend(is_known.then_some(row));
        }
        for (row, fast) in self.sample(sampled, hear)? {
            let key = (self.table.size(row), fast);
            let pairs = pairs(self.sides, &self.table);
            alike.extend(self.chains.meet(&mut self.samples, key, row, pairs));
        }
        Ok(alike)
    }

    /// The fast hashes of files, where they can be read.
    fn sample(&mut self, rows: Vec<usize>, hear: &mut Hear<'_>) -> Result<Vec<(usize, FastHash)>> {
        let unknown: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|&row| self.table.fast(row).is_none())
            .collect();
        let mut read: HashMap<usize, FastHash> = HashMap::new();
        for (&row, hash) in unknown.iter().zip(self.crew.fast(&self.asks(&unknown))?) {
            match hash {
                Ok(hash) => drop(read.insert(row, hash)),
                Err(problem) => self.fail(row, problem, hear)?,
            }
        }
        let fast = |row: usize| self.table.fast(row).or_else(|| read.get(&row).copied());
        Ok(rows.into_iter().filter_map(|row| Some((row, fast(row)?))).collect())
    }

    /// Hashes those that are not known.
    fn read(&mut self, rows: &[usize], hear: &mut Hear<'_>) -> Result<()> {
        let mut unknown: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|&row| self.table.hash_ref(row).is_none())
            .collect();
        unknown.sort_unstable_by_key(|&row| self.table.reading_order(row));
        let hashes = self.crew.full(&self.asks(&unknown))?;
        for (row, hash) in unknown.into_iter().zip(hashes) {
            match hash {
                Ok(id) => self.table.learn(row..row + 1, id)?,
                Err(problem) => self.fail(row, problem, hear)?,
            }
        }
        Ok(())
    }

    /// A file could not be read: nothing is said of it, nor of its other names.
    fn fail(&mut self, row: usize, problem: Error, hear: &mut Hear<'_>) -> Result<()> {
        self.failed.insert(row);
        if let Some(last) = self.names.remove(&row) {
            self.failed.extend(self.chains.of(last));
        }
        (hear.failed)(problem)
    }

    fn asks(&self, rows: &[usize]) -> Vec<Ask> {
        rows.iter().map(|&row| self.table.ask(row)).collect()
    }
}
