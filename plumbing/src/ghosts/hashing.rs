//! Hashing many files of several forests with all threads.
//!
//! 1. Files are sorted into the order of their folders, which is near to that of a disk.
//! 2. They are cut into jobs of at most [`JOB_FILES`] files and, but for single large ones, [`JOB_BYTES`] bytes, of one
//!    forest each.
//! 3. Threads take the next job until there is none. What fails fails alone.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bstr::{BString, ByteSlice};
use parking_lot::Mutex;

use super::fasthash::FastHash;
use super::forest::{Forest, Sought};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::{Phase, Progress};

/// Most files of one job.
const JOB_FILES: usize = 64;
/// A job ends behind so many bytes.
const JOB_BYTES: u64 = 4 << 20;

/// A file to hash.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// Number of its forest.
    pub forest: usize,
    /// Its path there.
    pub path: BString,
    /// Its length in bytes; one that has another by now fails.
    pub size: u64,
}

impl<'a> From<&'a Ask> for Sought<'a> {
    fn from(ask: &'a Ask) -> Self {
        Self {
            path: ask.path.as_bstr(),
            size: ask.size,
        }
    }
}

/// What all threads share.
#[derive(Clone, Copy)]
pub(super) struct Crew<'a> {
    /// The forests by number.
    pub(super) forests: &'a [&'a dyn Forest],
    /// How many threads work.
    pub(super) threads: usize,
    /// Counts bytes; tells when to stop.
    pub(super) progress: &'a Progress,
}

impl<'a> Crew<'a> {
    /// For a job that reads while it walks.
    pub(super) fn reading(forests: &'a [&'a dyn Forest], threads: usize, progress: &'a Progress) -> Self {
        progress.set_phase(Phase::Reading);
        Self {
            forests,
            threads,
            progress,
        }
    }

    /// The full hashes of files, in the order in which they were given, which should be that of reading.
    pub(super) fn full(&self, asks: &[Ask]) -> Result<Vec<Result<ObjectId>>> {
        self.spread(asks, |forest, asks, each| {
            let sought: Vec<Sought<'_>> = asks.iter().map(Sought::from).collect();
            forest.full_hashes(&sought, self.progress, each);
        })
    }

    /// Their fast hashes.
    pub(super) fn fast(&self, asks: &[Ask]) -> Result<Vec<Result<FastHash>>> {
        self.spread(asks, |forest, asks, each| {
            for (number, ask) in asks.iter().enumerate() {
                each(number, forest.fast_hash(&Sought::from(ask)));
            }
        })
    }

    fn spread<T: Send>(
        &self,
        asks: &[Ask],
        hash: impl Fn(&dyn Forest, &[Ask], &mut dyn FnMut(usize, Result<T>)) + Sync,
    ) -> Result<Vec<Result<T>>> {
        let jobs = cut(asks);
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::with_capacity(asks.len()));
        let work = || {
            let mut own = Vec::new();
            while let Some(job) = jobs.get(next.fetch_add(1, Relaxed)) {
                if self.progress.should_stop() {
                    break;
                }
                let part = &asks[job.clone()];
                hash(self.forests[part[0].forest], part, &mut |number, result| {
                    own.push((job.start + number, result));
                });
            }
            found.lock().append(&mut own);
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(jobs.len()) {
                scope.spawn(work);
            }
            work();
        });
        self.progress.check()?;
        let mut found = found.into_inner();
        found.sort_unstable_by_key(|(number, _)| *number);
        if found.len() != asks.len() {
            // A forest that skips a file would move all answers behind it.
            return Err(Error::invalid(
                "forest",
                "hashes",
                "it gave fewer answers than it was asked for",
            ));
        }
        Ok(found.into_iter().map(|(_, result)| result).collect())
    }
}

fn cut(asks: &[Ask]) -> Vec<std::ops::Range<usize>> {
    let mut jobs = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (at, ask) in asks.iter().enumerate() {
        let full = at - start >= JOB_FILES || bytes >= JOB_BYTES || ask.forest != asks[start].forest;
        if full && at > start {
            jobs.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += ask.size;
    }
    if start < asks.len() {
        jobs.push(start..asks.len());
    }
    jobs
}
