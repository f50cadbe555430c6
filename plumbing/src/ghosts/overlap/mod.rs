//! What of one tree is in others: for each of its files, those with the same bytes, wherever they lie there.
//!
//! 1. The trees that are searched, B, are walked: a stat a file, and a row of a [`Table`]; nothing is read.
//! 2. The files of A come in path order, in batches that begin small, so that the first answers are known at once, and
//!    grow, so that all threads have work.
//! 3. A file whose size no file in B has is only in A, and is not read. A size that A has is hashed in B once: all of it
//!    where files are small; of larger ones, samples first, and only what agrees with a file of A as a whole.
//! 4. Answers are given in the order of A.
//!
//! Who cannot wait for the walk of B asks for pairs as they are found ([`stream()`]); one content is looked for by
//! [`holders()`].
//!
//! Invariants: a hit means equal full hashes. Each file of B is read at most once, and none that no size in A asks for. A
//! file that cannot be read is a problem that is told; of A it gives no answer, in B it is no hit.

mod holders;
mod stream;

use std::collections::VecDeque;

use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashSet, HashTable};

pub use self::holders::holders;
pub use self::stream::{Answer, Twin, stream};
use super::dup::AT_ONCE_BYTES_MAX;
use super::fasthash::FastHash;
use super::forest::{Forest, Leaf, Leaves, leaves};
use super::hashing::{Ask, Crew};
use super::names::Names;
use super::stream::meet::Chains;
use super::table::{Select, Table};
use crate::error::{Error, Result};
use crate::object::{Kind, ObjectId};
use crate::progress::{Phase, Progress};

/// Files of the first batch.
const BATCH_FILES_MIN: usize = 16;
/// Files of the largest batch.
const BATCH_FILES_MAX: usize = 8192;
/// A batch ends behind so many bytes.
const BATCH_BYTES: u64 = 512 << 20;
/// Files of B that are asked for at once: each costs its path and an answer.
const READ_FILES: usize = 8192;

/// A file of A, and where its bytes are in B.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The file.
    pub leaf: Leaf,
    /// The plain hash of its bytes; none where that was not needed to answer.
    pub fullhash: Option<ObjectId>,
    /// Files of B with the same bytes, in the order of trees and paths; empty where it is only in A.
    pub found: Names,
}

/// The answers for all files of A, each found when it is asked for. After an error there are no more.
pub struct Overlap<'a> {
    a: &'a dyn Forest,
    walk: Leaves<'a>,
    select: Select,
    sought: Sought<'a>,
    batch_files: usize,
    /// Files whose answer is known; what was found is listed when it is asked for.
    ready: VecDeque<Asked>,
    problems: Vec<Error>,
    over: bool,
}

/// B, and what is known of it.
struct Sought<'a> {
    crew: Crew<'a>,
    table: Table,
    /// Sizes whose files are hashed as far as they ever will be, or sampled.
    sizes: HashSet<u64>,
    /// Sizes whose files were all known.
    known_sizes: HashSet<u64>,
    by_hash: ByHash,
    by_sample: HashMap<(u64, FastHash), Vec<usize>>,
    failed: HashSet<usize>,
}

/// Files of B whose hash is known, by that.
#[derive(Default)]
struct ByHash {
    /// The last row of each content.
    last: HashTable<u32>,
    chains: Chains,
}

impl ByHash {
    fn add(&mut self, table: &Table, row: usize) {
        let Some(id) = table.hash_ref(row) else { return };
        let entry = self.last.entry(
            id.prefix(),
            |last| table.hash_ref(*last as usize) == Some(id),
            |last| table.hash_ref(*last as usize).map_or(0, ObjectId::prefix),
        );
        match entry {
            Entry::Vacant(vacant) => drop(vacant.insert(self.chains.push(row, None))),
            Entry::Occupied(mut last) => *last.get_mut() = self.chains.push(row, Some(*last.get())),
        }
    }

    fn rows(&self, table: &Table, id: &ObjectId) -> Vec<usize> {
        let last = self
            .last
            .find(id.prefix(), |last| table.hash_ref(*last as usize) == Some(id));
        last.map_or_else(Vec::new, |last| self.chains.of(*last))
    }
}

/// A file of a batch.
struct Asked {
    leaf: Leaf,
    full: Option<ObjectId>,
    fast: Option<FastHash>,
    failed: bool,
}

impl<'a> Overlap<'a> {
    /// Begins to look for the files of `a` that `select` takes in the trees `b`. Fails where the root of one of them cannot
    /// be read.
    pub fn find(
        a: &'a dyn Forest,
        b: &'a [&'a dyn Forest],
        select: &Select,
        threads: usize,
        progress: &'a Progress,
    ) -> Result<Self> {
        progress.set_phase(Phase::Scanning);
        let (mut table, problems) = Table::scan(b, select, threads, progress)?;
        table.sort();
        table.share_names(0..table.len());
        progress.set_phase(Phase::Reading);
        let mut by_hash = ByHash::default();
        by_hash.chains.grow(table.len());
        (0..table.len()).for_each(|row| by_hash.add(&table, row));
        let crew = Crew {
            forests: b,
            threads,
            progress,
        };
        Ok(Self {
            a,
            walk: leaves(a),
            select: select.clone(),
            sought: Sought {
                crew,
                table,
                sizes: HashSet::new(),
                known_sizes: HashSet::new(),
                by_hash,
                by_sample: HashMap::new(),
                failed: HashSet::new(),
            },
            batch_files: BATCH_FILES_MIN,
            ready: VecDeque::new(),
            problems,
            over: false,
        })
    }

    /// What could not be looked at or read so far, by path.
    pub fn take_problems(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.problems)
    }

    fn advance(&mut self) -> Result<Option<Hit>> {
        while self.ready.is_empty() && !self.over {
            let mut batch = self.batch();
            self.batch_files = BATCH_FILES_MAX.min(4 * self.batch_files);
            self.sought.crew.progress.check()?;
            self.sought.sample(&batch, &mut self.problems)?;
            self.ask(&mut batch)?;
            batch.retain(|asked| !asked.failed);
            self.ready = batch.into();
        }
        Ok(self.ready.pop_front().map(|asked| self.sought.answer(asked)))
    }

    /// The next files of A, with what is known of them.
    fn batch(&mut self) -> Vec<Asked> {
        let mut batch = Vec::new();
        let mut bytes = 0u64;
        while batch.len() < self.batch_files && bytes < BATCH_BYTES {
            match self.walk.next() {
                None => {
                    self.over = true;
                    break;
                }
                Some(Err(problem)) => self.problems.push(problem),
                Some(Ok(leaf)) if leaf.kind == Kind::File && self.select.takes(&leaf) => {
                    bytes = bytes.saturating_add(leaf.size);
                    batch.push(Asked {
                        full: leaf.fullhash,
                        fast: leaf.fasthash,
                        leaf,
                        failed: false,
                    });
                }
                Some(Ok(_)) => {}
            }
        }
        batch
    }

    /// Hashes what must be hashed to answer for a batch, in A and in B.
    fn ask(&mut self, batch: &mut [Asked]) -> Result<()> {
        let own = [self.a];
        let crew = Crew {
            forests: &own,
            ..self.sought.crew
        };
        let sampled: Vec<usize> = chosen(batch, |asked| {
            asked.fast.is_none() && self.sought.is_sampled(asked.leaf.size)
        });
        for (number, fast) in sampled.iter().zip(crew.fast(&asks(batch, &sampled))?) {
            take(
                fast,
                &mut batch[*number].failed,
                &mut self.problems,
                &mut batch[*number].fast,
            );
        }
        let read: Vec<usize> = chosen(batch, |asked| {
            asked.full.is_none() && !asked.failed && self.sought.may_have(asked.leaf.size, asked.fast)
        });
        for (number, full) in read.iter().zip(crew.full(&asks(batch, &read))?) {
            take(
                full,
                &mut batch[*number].failed,
                &mut self.problems,
                &mut batch[*number].full,
            );
        }
        let samples = batch.iter().filter_map(|asked| Some((asked.leaf.size, asked.fast?)));
        self.sought.read_samples(samples, &mut self.problems)
    }
}

/// Takes a hash, or notes that there is none.
fn take<T>(result: Result<T>, failed: &mut bool, problems: &mut Vec<Error>, into: &mut Option<T>) {
    match result {
        Ok(hash) => *into = Some(hash),
        Err(problem) => {
            *failed = true;
            problems.push(problem);
        }
    }
}

fn chosen(batch: &[Asked], wanted: impl Fn(&Asked) -> bool) -> Vec<usize> {
    let all = batch.iter().enumerate();
    all.filter(|(_, asked)| wanted(asked))
        .map(|(number, _)| number)
        .collect()
}

fn asks(batch: &[Asked], chosen: &[usize]) -> Vec<Ask> {
    let ask = |number: &usize| Ask {
        forest: 0,
        path: batch[*number].leaf.path.clone(),
        size: batch[*number].leaf.size,
    };
    chosen.iter().map(ask).collect()
}

impl Sought<'_> {
    fn is_sampled(&self, size: u64) -> bool {
        size > AT_ONCE_BYTES_MAX && self.sizes.contains(&size)
    }

    /// Whether a file of B could have these bytes.
    fn may_have(&self, size: u64, fast: Option<FastHash>) -> bool {
        match (self.is_sampled(size), fast) {
            (true, Some(fast)) => self.by_sample.contains_key(&(size, fast)),
            (true, None) => false,
            (false, _) => !self.table.class_of(size).is_empty(),
        }
    }

    /// Hashes small files of B whose size comes up for the first time in a batch, and samples large ones, unless all of
    /// that size are known.
    fn sample(&mut self, batch: &[Asked], problems: &mut Vec<Error>) -> Result<()> {
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for asked in batch {
            let size = asked.leaf.size;
            if self.sizes.contains(&size) || (asked.full.is_some() && self.known_sizes.contains(&size)) {
                continue;
            }
            let class = self.table.class_of(size);
            if asked.full.is_some() && class.clone().all(|row| self.table.hash_ref(row).is_some()) {
                self.known_sizes.insert(size);
                continue;
            }
            self.sizes.insert(size);
            let mut at = class.start;
            while at < class.end {
                match size > AT_ONCE_BYTES_MAX {
                    true => large.push(at),
                    false if self.table.hash(at).is_none() => small.push(at),
                    false => {}
                }
                at = self.table.names_at(at).end;
            }
        }
        self.read(small, problems)?;
        let (known, unknown): (Vec<usize>, Vec<usize>) =
            large.into_iter().partition(|&row| self.table.fast(row).is_some());
        let mut sampled: Vec<(usize, FastHash)> = known
            .into_iter()
            .filter_map(|row| Some((row, self.table.fast(row)?)))
            .collect();
        for part in unknown.chunks(READ_FILES) {
            for (&row, fast) in part.iter().zip(self.crew.fast(&self.asks(part))?) {
                match fast {
                    Ok(fast) => sampled.push((row, fast)),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        for (row, fast) in sampled {
            self.by_sample
                .entry((self.table.size(row), fast))
                .or_default()
                .push(row);
        }
        Ok(())
    }

    /// Hashes what has one of the samples and was not hashed yet.
    fn read_samples(
        &mut self,
        samples: impl Iterator<Item = (u64, FastHash)>,
        problems: &mut Vec<Error>,
    ) -> Result<()> {
        let mut rows: Vec<usize> = samples
            .filter_map(|sample| self.by_sample.get(&sample))
            .flatten()
            .copied()
            .collect();
        rows.sort_unstable();
        rows.dedup();
        rows.retain(|row| self.table.hash(*row).is_none() && !self.failed.contains(row));
        self.read(rows, problems)
    }

    fn read(&mut self, mut rows: Vec<usize>, problems: &mut Vec<Error>) -> Result<()> {
        rows.sort_unstable_by_key(|row| self.table.reading_order(*row));
        for part in rows.chunks(READ_FILES) {
            for (&row, hash) in part.iter().zip(self.crew.full(&self.asks(part))?) {
                match hash {
                    Ok(id) => {
                        let names = self.table.names_at(row);
                        // None of them is in a chain yet: what is known of one name is known of all.
                        self.table.learn(names.clone(), id)?;
                        names.for_each(|name| self.by_hash.add(&self.table, name));
                    }
                    Err(problem) => {
                        self.failed.insert(row);
                        problems.push(problem);
                    }
                }
            }
        }
        Ok(())
    }

    fn asks(&self, rows: &[usize]) -> Vec<Ask> {
        rows.iter().map(|&row| self.table.ask(row)).collect()
    }

    fn answer(&self, asked: Asked) -> Hit {
        let mut rows = asked
            .full
            .map(|id| self.by_hash.rows(&self.table, &id))
            .unwrap_or_default();
        rows.sort_unstable_by(|&a, &b| self.table.in_order(a, b));
        let mut found = Names::default();
        rows.into_iter().for_each(|row| self.table.add_name(row, &mut found));
        Hit {
            leaf: asked.leaf,
            fullhash: asked.full,
            found,
        }
    }
}

impl Iterator for Overlap<'_> {
    type Item = Result<Hit>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.over = true;
            self.ready.clear();
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ghosts::tests::made::Made;
    use crate::object::HashAlgo;

    /// A file that was in its chain before and came to it again made a ring of it.
    #[test]
    fn a_name_whose_hash_is_known_is_in_its_chain_once() {
        let mut a = Made::default();
        a.file("x", "asked", b"same");
        for known in [[false, true, false], [true, false, false], [false, false, true]] {
            let mut b = Made::default();
            for (name, is_known) in ["1", "2", "3"].into_iter().zip(known) {
                b.link("x", name, b"same", is_known);
            }
            let forests: [&dyn Forest; 1] = [&b];
            let progress = Progress::default();
            let mut overlap = Overlap::find(&a, &forests, &Select::default(), 1, &progress).unwrap();
            let sought = &mut overlap.sought;
            let unknown = (0..3).filter(|row| sought.table.hash(*row).is_none()).take(1);
            let unknown: Vec<usize> = unknown
                .filter(|row| *row == sought.table.names_at(*row).start)
                .collect();
            sought.read(unknown, &mut Vec::new()).unwrap();
            let id = ObjectId::hash(HashAlgo::Sha256, b"same");
            let last = sought.by_hash.last.iter().next().copied().unwrap();
            let chain = std::iter::successors(Some(last), |row| sought.by_hash.chains.before(*row));
            assert_eq!(chain.take(9).count(), 3, "{known:?}");
            let hit = overlap.next().unwrap().unwrap();
            let found: Vec<String> = hit.found.iter().map(|name| name.path.to_string()).collect();
            assert_eq!((hit.fullhash, found.join(" ")), (Some(id), "x/1 x/2 x/3".to_owned()));
        }
    }
}
