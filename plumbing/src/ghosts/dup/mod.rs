//! Duplicates: groups of files with the same bytes, found with as few reads as their sizes allow.
//!
//! 1. All forests are walked; each file costs one stat, and a row of a [`Table`]. Sizes that only one inode has are
//!    dropped: those files are never read.
//! 2. Sizes are handled in rounds, the largest first, so that the first groups are known soon: [`ROUND_FILES`] or
//!    [`ROUND_BYTES`] a round, which bounds what is read before somebody sees something.
//! 3. In a round, of each inode one name is read. Files of more than [`AT_ONCE_BYTES_MAX`] bytes are told apart by their
//!    fast hash first; what is still alike, and smaller files at once, by their full hash. What is known is not read.
//! 4. Equal hashes are a group, its files in the order of forests and paths.
//! 5. Groups are told by the caller's thread while others find the next ([`each`]).
//!
//! Who cannot wait for the walk asks for matches as they are found ([`stream()`]).
//!
//! Invariants: groups come by size, the largest first, then by the first path; so what is printed does not depend on
//! threads. Names of one inode are one file. A file that cannot be read, or changed meanwhile, is a problem that is
//! told, and in no group.

mod round;
mod stream;
mod twins;

use std::collections::VecDeque;

use crossbeam_channel::bounded;

use self::round::Round;
pub use self::stream::{Match, stream};
pub use self::twins::{Twin, Twins};
use super::forest::Forest;
use super::hashing::Crew;
pub use super::names::{Name, Names};
pub use super::table::Select;
use super::table::Table;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::{Phase, Progress};

/// Files of up to so many bytes are hashed as a whole: to read that much costs about what to read three samples does.
pub(super) const AT_ONCE_BYTES_MAX: u64 = 64 << 10;
/// A round ends behind so many files.
const ROUND_FILES: usize = 16 << 10;
/// A round ends behind so many bytes of files.
const ROUND_BYTES: u64 = 1 << 30;

/// Heaps of groups that may wait to be told.
const PARTS_WAITING: usize = 2;

/// Files with the same bytes: two or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Bytes of each.
    pub size: u64,
    /// The plain hash of the bytes.
    pub fullhash: ObjectId,
    /// In the order of forests and paths.
    pub files: Twins,
}

impl Group {
    /// Bytes that all but one of the files take.
    pub fn spare_bytes(&self) -> u64 {
        self.size.saturating_mul(self.files.len() as u64 - 1)
    }
}

/// The groups of all forests, each found when it is asked for. After an error there are no more.
pub struct Duplicates<'a> {
    crew: Crew<'a>,
    table: Table,
    /// Full hashes that were known when all had been walked.
    walked_hashes: usize,
    /// The first row of the next round.
    next: usize,
    round: Round,
    ready: VecDeque<Group>,
    problems: Vec<Error>,
}

impl<'a> Duplicates<'a> {
    /// Walks all forests; nothing is read yet. Fails where the root of one cannot be read.
    pub fn find(
        forests: &'a [&'a dyn Forest],
        select: &Select,
        threads: usize,
        progress: &'a Progress,
    ) -> Result<Self> {
        progress.set_phase(Phase::Scanning);
        let (mut table, problems) = Table::scan(forests, select, threads, progress)?;
        table.sort();
        table.keep_shared();
        progress.set_phase(Phase::Reading);
        Ok(Self {
            crew: Crew {
                forests,
                threads,
                progress,
            },
            walked_hashes: table.hashes(),
            table,
            next: 0,
            round: Round::default(),
            ready: VecDeque::new(),
            problems,
        })
    }

    /// What could not be looked at or read so far, by path.
    pub fn take_problems(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.problems)
    }

    /// The next groups, in order; after the last, nothing.
    fn part(&mut self) -> Result<Option<Vec<Group>>> {
        loop {
            match self.round.part(&self.table, self.crew.threads) {
                Some(groups) if groups.is_empty() => {}
                Some(groups) => return Ok(Some(groups)),
                None if self.next < self.table.len() => self.begin_round()?,
                None => return Ok(None),
            }
        }
    }

    fn begin_round(&mut self) -> Result<()> {
        // Nobody asks again for what the round before learnt.
        self.table.forget(self.walked_hashes);
        let mut round = Round::default();
        let (mut files, mut bytes) = (0, 0u64);
        while self.next < self.table.len() && files < ROUND_FILES && bytes < ROUND_BYTES {
            let class = self.table.class_at(self.next);
            files += class.len();
            bytes = bytes.saturating_add(self.table.size(self.next).saturating_mul(class.len() as u64));
            self.next = class.end;
            round.add_class(&mut self.table, class);
        }
        round.read(&mut self.table, &self.crew, &mut self.problems)?;
        self.round = round;
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Group>> {
        if self.ready.is_empty()
            && let Some(groups) = self.part()?
        {
            self.ready = groups.into();
        }
        Ok(self.ready.pop_front())
    }
}

impl Iterator for Duplicates<'_> {
    type Item = Result<Group>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.next = self.table.len();
            self.round = Round::default();
            self.ready.clear();
        }
        next.transpose()
    }
}

/// Hands each group to `found`, in order, and what could not be looked at or read to `failed`, while other threads find
/// the next. What either fails with ends the job. Fails, too, where the root of a forest cannot be read.
pub fn each(
    forests: &[&dyn Forest],
    select: &Select,
    threads: usize,
    progress: &Progress,
    found: &mut dyn FnMut(Group) -> Result<()>,
    failed: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<()> {
    let (sender, receiver) = bounded::<(Vec<Error>, Vec<Group>)>(PARTS_WAITING);
    std::thread::scope(|scope| {
        let finding = scope.spawn(move || {
            let mut all = Duplicates::find(forests, select, threads, progress)?;
            loop {
                let part = all.part();
                let is_last = !matches!(part, Ok(Some(_)));
                let (groups, end) = match part {
                    Ok(groups) => (groups.unwrap_or_default(), Ok(())),
                    Err(error) => (Vec::new(), Err(error)),
                };
                // Nobody takes it any more: the other side says why.
                let sent = sender.send((all.take_problems(), groups));
                sent.map_err(|_| Error::Interrupted)?;
                if is_last {
                    return end;
                }
            }
        });
        // Where this fails the receiver is gone, and no more is looked for.
        let told = receiver.into_iter().try_for_each(|(problems, groups)| {
            problems.into_iter().try_for_each(&mut *failed)?;
            groups.into_iter().try_for_each(&mut *found)
        });
        let finding = finding.join();
        told.and(finding.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
