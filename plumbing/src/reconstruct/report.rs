//! What a job did, and what it could not do.
//!
//! Threads add to a [`Recorder`]; the caller gets a [`Report`]. Counts are of names, not of inodes. A rehearsal
//! (`Options::test`) gives the counts that the job would give if nothing went wrong.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::error::Error;

/// Problems that are kept with their path; more are only counted, so that a full disk does not fill the memory.
const PROBLEMS_MAX: usize = 10_000;

/// Something that is not as the tree says because of an error.
#[derive(Debug)]
pub struct Problem {
    /// Where, in the target.
    pub path: PathBuf,
    /// Why.
    pub error: Error,
}

/// What a job did.
#[derive(Debug, Default)]
pub struct Report {
    /// Names that were not there.
    pub created: u64,
    /// Names whose content, kind or metadata was changed.
    pub updated: u64,
    /// Names that were as they should be.
    pub unchanged: u64,
    /// Names that were removed because the tree does not have them.
    pub deleted: u64,
    /// Names that were left alone: as asked (`Overwrite::Never`), or devices without `privileged`.
    pub skipped: u64,
    /// Length of all files whose content was made, with holes and clones, in bytes.
    pub bytes: u64,
    /// Files restored without setuid or setgid bits, or without `security.*` or `trusted.*` attributes, as
    /// `privileged` was not asked for.
    pub withheld: u64,
    /// Names whose group could not be set, as the user is not root and not in that group.
    pub not_owned: u64,
    /// Files that were made, from wherever their content or link came.
    pub files: u64,
    /// Of these, those whose content came from elsewhere than the store.
    pub sourced: u64,
    /// Of these, those that became links to files elsewhere.
    pub linked: u64,
    /// Of these, those that are further names of files of the tree.
    pub further_names: u64,
    /// Files whose content was found nowhere, so that they are not there or are as they were.
    pub not_located: u64,
    /// Directories of sources that could not be read, so that nothing in them was found; no problem of the target.
    pub unread_sources: Vec<Problem>,
    /// What could not be done, sorted by path.
    pub problems: Vec<Problem>,
    /// Further problems, beyond those that are listed.
    pub problems_left_out: u64,
}

impl Report {
    /// How many problems there were.
    pub fn problem_count(&self) -> u64 {
        self.problems.len() as u64 + self.problems_left_out
    }

    /// Whether the target is as the tree says, as far as was asked.
    pub fn is_complete(&self) -> bool {
        self.problem_count() == 0 && self.not_located == 0
    }
}

/// One of the counts of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Created,
    Updated,
    Unchanged,
    Deleted,
    Skipped,
    Bytes,
    Withheld,
    NotOwned,
    Files,
    Sourced,
    Linked,
    FurtherNames,
    NotLocated,
}

const COUNTS: usize = Count::NotLocated as usize + 1;

/// Collects a report from many threads.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    counts: [AtomicU64; COUNTS],
    problems: Mutex<Vec<Problem>>,
    unread_sources: Mutex<Vec<Problem>>,
    left_out: AtomicU64,
}

impl Recorder {
    /// Counts one.
    pub fn one(&self, count: Count) {
        self.add(count, 1);
    }

    /// Counts `number`.
    pub fn add(&self, count: Count, number: u64) {
        self.counts[count as usize].fetch_add(number, Relaxed);
    }

    /// Keeps a problem. That the caller wants to stop is none.
    pub fn problem(&self, path: PathBuf, error: Error) {
        if matches!(error, Error::Interrupted) {
            return;
        }
        let mut problems = self.problems.lock();
        if problems.len() < PROBLEMS_MAX {
            problems.push(Problem { path, error });
        } else {
            self.left_out.fetch_add(1, Relaxed);
        }
    }

    /// Keeps a directory of a source that cannot be read, of the first ones.
    pub fn unread_source(&self, path: PathBuf, error: Error) {
        let mut unread = self.unread_sources.lock();
        if unread.len() < PROBLEMS_MAX {
            unread.push(Problem { path, error });
        }
    }

    /// The report.
    pub fn finish(self) -> Report {
        let get = |count: Count| self.counts[count as usize].load(Relaxed);
        let mut report = Report {
            created: get(Count::Created),
            updated: get(Count::Updated),
            unchanged: get(Count::Unchanged),
            deleted: get(Count::Deleted),
            skipped: get(Count::Skipped),
            bytes: get(Count::Bytes),
            withheld: get(Count::Withheld),
            not_owned: get(Count::NotOwned),
            files: get(Count::Files),
            sourced: get(Count::Sourced),
            linked: get(Count::Linked),
            further_names: get(Count::FurtherNames),
            not_located: get(Count::NotLocated),
            unread_sources: self.unread_sources.into_inner(),
            problems: Vec::new(),
            problems_left_out: self.left_out.load(Relaxed),
        };
        report.problems = self.problems.into_inner();
        report.problems.sort_by(|a, b| a.path.cmp(&b.path));
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_sorted_and_bounded() {
        let recorder = Recorder::default();
        for number in (0..PROBLEMS_MAX + 5).rev() {
            recorder.problem(PathBuf::from(format!("{number:09}")), Error::invalid("a", "b", "c"));
        }
        recorder.problem("x".into(), Error::Interrupted);
        recorder.one(Count::Deleted);
        recorder.add(Count::Bytes, 7);
        let report = recorder.finish();
        assert_eq!(report.problems.len(), PROBLEMS_MAX);
        assert_eq!(report.problem_count(), PROBLEMS_MAX as u64 + 5);
        assert!(report.problems.is_sorted_by(|a, b| a.path < b.path));
        assert_eq!((report.deleted, report.bytes, report.created), (1, 7, 0));
        assert!(!report.is_complete());
    }
}
