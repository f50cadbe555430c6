//! Duplicates as they are found: each file that equals one met before is told while folders are still walked.
//!
//! 1. Threads walk all forests, one after the other, and send what they find through a bounded channel.
//! 2. The caller's thread takes what has arrived, small heaps first, and adds it to a [`Table`].
//! 3. The first file of a size waits. When a second inode has that size, both are examined: larger files than
//!    [`AT_ONCE_BYTES_MAX`] by their fast hash first, where the first of each waits again; what is still alike, and
//!    smaller ones at once, by their full hash, with all threads.
//! 4. The first file with a full hash stands for it; each later one is a [`Match`].
//!
//! Invariants: what is told stays true, since groups only grow; the same files are read as for whole groups, each once;
//! the matches of one content name the same first file, so that together they are the group. Their order depends on
//! threads. Other names of an inode are no matches.

use bstr::BString;
use crossbeam_channel::{Receiver, bounded};
use hashbrown::{HashMap, HashSet, HashTable};

use super::{AT_ONCE_BYTES_MAX, Name, Select};
use crate::error::{Error, Result};
use crate::ghosts::fasthash::FastHash;
use crate::ghosts::forest::{Folder, Forest, Leaf, each_folder};
use crate::ghosts::hashing::{Ask, Crew};
use crate::ghosts::table::Table;
use crate::object::ObjectId;
use crate::progress::{Phase, Progress};

/// Folders that may be on their way. Most hold some dozens of files, some thousands, of a quarter of a KiB each.
const FOLDERS_WAITING: usize = 32;
/// Files of the first heap.
const HEAP_FILES_MIN: usize = 64;
/// Files of the largest heap.
const HEAP_FILES_MAX: usize = 8192;

/// A file with the bytes of one that was met before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Bytes of each.
    pub size: u64,
    /// The plain hash of the bytes.
    pub fullhash: ObjectId,
    /// The file.
    pub file: Name,
    /// The first file that was met with these bytes.
    pub first: Name,
}

/// A folder that was read.
struct Sent {
    forest: u16,
    path: BString,
    folder: Folder,
}

/// What is known of the files of one size, or of one size and fast hash.
enum Met {
    /// One file, which has not been looked into.
    One(usize),
    /// All of them are looked into.
    Many,
}

/// What has been met so far.
struct Stream<'a> {
    crew: Crew<'a>,
    select: &'a Select,
    table: Table,
    sizes: HashMap<u64, Met>,
    samples: HashMap<(u64, FastHash), Met>,
    /// The first row of each content, by its hash, which the table has.
    contents: HashTable<usize>,
    /// Inodes with several names that were met.
    linked: HashSet<(u64, u64)>,
    problems: Vec<Error>,
}

/// Hands each file that equals one met before to `found`, as soon as that is known; what could not be looked at or read
/// to `failed`. What either fails with ends the job. Fails, too, where the root of a forest cannot be read.
pub fn stream(
    forests: &[&dyn Forest],
    select: &Select,
    threads: usize,
    progress: &Progress,
    found: &mut dyn FnMut(Match) -> Result<()>,
    failed: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<()> {
    progress.set_phase(Phase::Reading);
    let (sender, receiver) = bounded::<Sent>(FOLDERS_WAITING);
    let mut stream = Stream {
        crew: Crew {
            forests,
            threads,
            progress,
        },
        select,
        table: Table::default(),
        sizes: HashMap::new(),
        samples: HashMap::new(),
        contents: HashTable::new(),
        linked: HashSet::new(),
        problems: Vec::new(),
    };
    std::thread::scope(|scope| {
        let walk = scope.spawn(move || {
            for (number, forest) in (0u16..).zip(forests) {
                each_folder(*forest, threads, progress, &|at, folder| {
                    progress.add(folder.leaves.len() as u64, 0);
                    let (forest, path) = (number, at.path.clone());
                    // Nobody takes it any more: the other side says why.
                    sender
                        .send(Sent { forest, path, folder })
                        .map_err(|_| Error::Interrupted)
                })?;
            }
            Ok(())
        });
        // Where this fails the receiver is gone, and the walk ends at its next folder.
        let answered = stream.answer(receiver, found, failed);
        let walked = walk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        answered.and(walked)
    })
}

impl Stream<'_> {
    fn answer(
        &mut self,
        receiver: Receiver<Sent>,
        found: &mut dyn FnMut(Match) -> Result<()>,
        failed: &mut dyn FnMut(Error) -> Result<()>,
    ) -> Result<()> {
        let mut heap_files = HEAP_FILES_MIN;
        while let Ok(first) = receiver.recv() {
            self.crew.progress.check()?;
            let mut rows = self.add(first)?;
            while rows.len() < heap_files
                && let Ok(next) = receiver.try_recv()
            {
                rows.extend(self.add(next)?);
            }
            heap_files = HEAP_FILES_MAX.min(2 * heap_files);
            let alike = self.of_shared_sizes(rows);
            let alike = self.of_shared_samples(alike)?;
            self.read(&alike)?;
            for problem in std::mem::take(&mut self.problems) {
                failed(problem)?;
            }
            for row in alike {
                if let Some(found_match) = self.matched(row) {
                    found(found_match)?;
                }
            }
        }
        Ok(())
    }

    /// Adds the files of a folder to the table; gives their rows.
    fn add(&mut self, sent: Sent) -> Result<Vec<usize>> {
        let Sent {
            forest,
            path,
            mut folder,
        } = sent;
        let (select, linked) = (self.select, &mut self.linked);
        folder.leaves.retain(|leaf| {
            let mut is_first = |leaf: &Leaf| match leaf.stat() {
                Some(stat) if stat.nlink > 1 => linked.insert((stat.dev, stat.ino)),
                _ => true,
            };
            select.takes(leaf) && is_first(leaf)
        });
        let from = self.table.len();
        self.table.add(forest, &path, folder, select, &mut self.problems)?;
        Ok((from..self.table.len()).collect())
    }

    /// Those of a size that another file has, too, and the files that waited for them.
    fn of_shared_sizes(&mut self, rows: Vec<usize>) -> Vec<usize> {
        let mut alike = Vec::new();
        for row in rows {
            meet(&mut self.sizes, self.table.size(row), row, &mut alike);
        }
        alike
    }

    /// Those of these that are small, or have the samples of another file, and the files that waited for them.
    fn of_shared_samples(&mut self, rows: Vec<usize>) -> Result<Vec<usize>> {
        let (large, mut alike): (Vec<usize>, Vec<usize>) = rows
            .into_iter()
            .partition(|&row| self.table.size(row) > AT_ONCE_BYTES_MAX);
        let unknown: Vec<usize> = large
            .iter()
            .copied()
            .filter(|&row| self.table.fast(row).is_none())
            .collect();
        let hashes = self.crew.fast(&self.asks(&unknown))?;
        let mut read: HashMap<usize, FastHash> = HashMap::new();
        for (row, hash) in unknown.into_iter().zip(hashes) {
            match hash {
                Ok(hash) => drop(read.insert(row, hash)),
                Err(problem) => self.problems.push(problem),
            }
        }
        for row in large {
            if let Some(fast) = self.table.fast(row).or_else(|| read.get(&row).copied()) {
                meet(&mut self.samples, (self.table.size(row), fast), row, &mut alike);
            }
        }
        Ok(alike)
    }

    /// Hashes those that are not known.
    fn read(&mut self, rows: &[usize]) -> Result<()> {
        let mut unknown: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|&row| self.table.hash(row).is_none())
            .collect();
        unknown.sort_unstable_by_key(|&row| self.table.reading_order(row));
        let hashes = self.crew.full(&self.asks(&unknown))?;
        for (row, hash) in unknown.into_iter().zip(hashes) {
            match hash {
                Ok(id) => self.table.learn(row..row + 1, id)?,
                Err(problem) => self.problems.push(problem),
            }
        }
        Ok(())
    }

    fn asks(&self, rows: &[usize]) -> Vec<Ask> {
        rows.iter().map(|&row| self.table.ask(row)).collect()
    }

    /// What a file equals, if that was met before; else it is the first.
    fn matched(&mut self, row: usize) -> Option<Match> {
        let fullhash = self.table.hash(row)?;
        let table = &self.table;
        let same = |known: &usize| table.hash(*known) == Some(fullhash);
        // Digests are uniform: eight bytes of them spread as well as a hash of them would.
        let spread = |known: &usize| table.hash(*known).map_or(0, |id| id.prefix());
        let entry = self.contents.entry(fullhash.prefix(), same, spread);
        let first = *entry.or_insert(row).get();
        (first != row).then(|| Match {
            size: self.table.size(row),
            fullhash,
            file: self.table.full_name(row),
            first: self.table.full_name(first),
        })
    }
}

/// Notes that a file has `key`: it is alike to those that have it, too; the first waits.
fn meet<K: std::hash::Hash + Eq>(met: &mut HashMap<K, Met>, key: K, row: usize, alike: &mut Vec<usize>) {
    use hashbrown::hash_map::Entry;
    match met.entry(key) {
        Entry::Vacant(vacant) => drop(vacant.insert(Met::One(row))),
        Entry::Occupied(mut known) => {
            if let Met::One(first) = known.insert(Met::Many) {
                alike.push(first);
            }
            alike.push(row);
        }
    }
}
