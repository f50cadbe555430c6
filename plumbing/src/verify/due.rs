//! Which frames are read, where a ledger says what was read before.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::Learnt;
use super::data::{Walked, Work};
use super::ledger::{Extent, Ledger};
use crate::error::Result;
use crate::store::data::format::FILE_HEADER_BYTES;
use crate::store::data::read::DataFile;
use crate::time::Timestamp;

/// Which of the stored bytes are read. What was never read, or was found hurt, comes first, then what was read longest
/// ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The date of this run.
    pub now: Timestamp,
    /// Pass over what was read since then.
    pub before: Option<Timestamp>,
    /// Begin to read no further frame after so long; one is always read.
    pub time_max: Option<Duration>,
    /// Read this share of all stored bytes, in hundredths of a percent.
    pub share: Option<u64>,
}

impl Due {
    /// Everything.
    pub fn all(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// Whether something may be passed over.
    pub fn is_partial(&self) -> bool {
        self.before.is_some() || self.time_max.is_some() || self.share.is_some()
    }
}

/// What a check that reads what is due goes by.
pub struct Memory<'m> {
    pub ledger: &'m Ledger,
    pub due: &'m Due,
    /// The data files, with the length up to which each is committed.
    pub files: &'m [(DataFile, u64)],
    pub begun: Instant,
}

impl Memory<'_> {
    /// Whether anything of a data file is due, so that its headers are walked.
    pub fn wants(&self, number: u32) -> bool {
        let Some((file, committed)) = self.files.get(number as usize) else {
            return true;
        };
        !self.due.is_partial() || self.is_due(&file.header.file, FILE_HEADER_BYTES, *committed)
    }

    /// Whether anything is due. Where nothing is, the run that read the last of it walked the index, too, which would take
    /// longer than all else.
    pub fn has_due(&self) -> bool {
        (0..).zip(self.files).any(|(number, _)| self.wants(number))
    }

    fn is_due(&self, file: &[u8; 16], from: u64, to: u64) -> bool {
        let read = self.ledger.last_read(file, from, to);
        match (read, self.due.before) {
            (None, _) => from < to,
            (Some(read), Some(before)) => read < before.seconds,
            (Some(_), None) => true,
        }
    }

    /// The frames that are due, in the order in which they are read.
    pub fn choose(&self, walked: &Walked) -> Vec<Work> {
        let dated = |work: &Work| {
            (
                self.ledger.last_read(work.file(), work.range().start, work.range().end),
                work.place(),
            )
        };
        let is_due = |work: &&Work| self.is_due(work.file(), work.range().start, work.range().end);
        let mut frames: Vec<Work> = walked.frames.iter().filter(is_due).cloned().collect();
        // What has no date comes first.
        frames.sort_by_cached_key(dated);
        if let Some(share) = self.due.share {
            let all: u64 = self
                .files
                .iter()
                .map(|(_, committed)| committed - FILE_HEADER_BYTES)
                .sum();
            let mut wanted = (u128::from(all) * u128::from(share)).div_ceil(10_000);
            let fits = frames.iter().take_while(|work| {
                let goes_on = wanted > 0;
                let range = work.range();
                wanted = wanted.saturating_sub(u128::from(range.end - range.start));
                goes_on
            });
            let count = fits.count();
            frames.truncate(count);
        }
        frames
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.due.time_max.is_some_and(|max| self.begun.elapsed() >= max)
    }
}

/// Notes in the ledger what was read.
pub fn note(ledger: &mut Ledger, files: &[(DataFile, u64)], learnt: &Learnt, now: Timestamp) -> Result<()> {
    let read: HashMap<(u32, u64), bool> = learnt
        .read
        .iter()
        .filter_map(|(number, is_sound)| Some((learnt.frames.get(*number)?.place(), *is_sound)))
        .collect();
    for (number, (file, committed)) in (0..).zip(files) {
        if !learnt.walked.files.contains(&number) {
            ledger.note_unread(file, *committed)?;
            continue;
        }
        let extents = extents(ledger, &learnt.walked, &read, number, now);
        ledger.note_file(file, *committed, extents)?;
    }
    Ok(())
}

/// The stretches of a data file that have a date. A commit record was read with the headers; it takes the date of the
/// frame before it, so that a group is one stretch.
fn extents(
    ledger: &Ledger,
    walked: &Walked,
    read: &HashMap<(u32, u64), bool>,
    number: u32,
    now: Timestamp,
) -> Vec<Extent> {
    let frames = walked.frames.iter().filter(|work| work.place().0 == number);
    let mut spans: Vec<(std::ops::Range<u64>, Option<&Work>)> = frames.map(|work| (work.range(), Some(work))).collect();
    let commits = walked.commits.iter().filter(|(file, _)| *file == number);
    spans.extend(commits.map(|(_, range)| (range.clone(), None)));
    spans.sort_by_key(|(range, _)| range.start);
    let mut extents: Vec<Extent> = Vec::new();
    for (range, work) in spans {
        let seconds = match work {
            None => extents
                .last()
                .filter(|last| last.to == range.start)
                .map_or(now.seconds, |last| last.seconds),
            Some(work) => match read.get(&work.place()) {
                Some(true) => now.seconds,
                Some(false) => continue,
                None => match ledger.last_read(work.file(), range.start, range.end) {
                    Some(seconds) => seconds,
                    None => continue,
                },
            },
        };
        extents.push(Extent {
            from: range.start,
            to: range.end,
            seconds,
        });
    }
    extents
}
