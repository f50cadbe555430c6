//! Checking the whole ref log and all checkpoints.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::refs::format::{Checkpoint, HEADER_BYTES};
use crate::refs::read::{LogReader, State, Step, list_checkpoints, usable_checkpoint};
use crate::refs::{LockKind, OpenMode, RefStore, Tail};

/// What a check of the refs found.
#[derive(Debug, Default)]
pub struct RefReport {
    /// Valid records that were read.
    pub records: u64,
    /// Checkpoints that were read and agree with the log.
    pub checkpoints: u64,
    /// Damage, each with its file and offset.
    pub problems: Vec<Error>,
    /// Bytes of an append that was cut short: no damage, the next change of a ref removes them. Where they look like a
    /// whole record they are among the problems, too.
    pub torn_tail: Option<Tail>,
}

impl RefStore {
    /// Reads the whole log and all checkpoints, and lists what is wrong. Fails only where a file cannot be read.
    pub fn verify(&self) -> Result<RefReport> {
        // Without a writer nothing moves; where the lock cannot be opened there is no writer either.
        let lock = self.disk.open(&self.place.lock, OpenMode::Read).ok();
        if let Some(lock) = &lock {
            lock.lock(LockKind::Shared)
                .map_err(Error::io("lock", &self.place.lock))?;
        }
        let mut report = RefReport::default();
        let mut reader = match LogReader::open(&*self.disk, &self.place) {
            Ok(reader) => reader,
            Err(e) if e.is_damage() => {
                report.problems.push(e);
                return Ok(report);
            }
            Err(e) => return Err(e),
        };
        let checkpoints = list_checkpoints(&*self.disk, &self.place)?;
        let mut due: BTreeMap<u64, Checkpoint> = BTreeMap::new();
        for (sequence, path) in &checkpoints {
            match usable_checkpoint(&*self.disk, &mut reader, *sequence, path) {
                Ok((checkpoint, _)) => drop(due.insert(*sequence, checkpoint)),
                Err(e) => report.problems.push(e),
            }
        }
        self.verify_records(&mut reader, due, &mut report)?;
        Ok(report)
    }

    fn verify_records(
        &self,
        reader: &mut LogReader,
        mut due: BTreeMap<u64, Checkpoint>,
        report: &mut RefReport,
    ) -> Result<()> {
        let log = &self.place.log;
        let mut state = State::start(&reader.header);
        let mut at = HEADER_BYTES as u64;
        // Behind damage the link to the record before is lost once, and values until a checkpoint tells them.
        let (mut after_gap, mut values_known) = (false, true);
        loop {
            match reader.step(at)? {
                Step::End => break,
                Step::Record { record, check, end } => {
                    if std::mem::take(&mut after_gap) {
                        state.check = record.previous;
                        state.sequence = record.sequence.saturating_sub(1);
                    }
                    if !values_known {
                        state.refs = record
                            .changes
                            .iter()
                            .filter_map(|c| Some((c.name.clone(), c.old?)))
                            .collect();
                    }
                    if let Err((expected, found)) = state.apply(&record) {
                        report.problems.push(Error::damaged(log, at, expected, found));
                        state.sequence = record.sequence;
                        values_known = false;
                    }
                    state.check = check;
                    report.records += 1;
                    if let Some(checkpoint) = due.remove(&record.sequence) {
                        if values_known && checkpoint.refs != state.refs {
                            report.problems.push(differs(self, &checkpoint, &state.refs));
                        } else {
                            report.checkpoints += 1;
                        }
                        state.refs = checkpoint.refs;
                        values_known = true;
                    }
                    at = end;
                }
                Step::Bad { found, looks_complete } => {
                    let expected = format!("record {}", state.sequence + 1);
                    let next = reader.next_valid(at + 1)?;
                    if next.is_some() || looks_complete {
                        report.problems.push(Error::damaged(log, at, expected, &found));
                    }
                    let Some(next) = next else {
                        report.torn_tail = Some(Tail {
                            offset: at,
                            bytes: reader.len - at,
                            found,
                            looks_complete,
                        });
                        break;
                    };
                    at = next;
                    (after_gap, values_known) = (true, false);
                }
            }
        }
        Ok(())
    }
}

fn differs(store: &RefStore, checkpoint: &Checkpoint, refs: &BTreeMap<String, ObjectId>) -> Error {
    let name = checkpoint
        .refs
        .iter()
        .chain(refs)
        .map(|(name, _)| name)
        .find(|name| checkpoint.refs.get(*name) != refs.get(*name));
    let path = store
        .place
        .folder
        .join(format!("{}{:020}", super::CHECKPOINT_PREFIX, checkpoint.sequence));
    let found = format!("another value of {}", name.map_or("a ref", String::as_str));
    Error::damaged(path, 0, "the values that the log gives", found)
}
