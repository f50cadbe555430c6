//! Making a usable ref log of a damaged one, when somebody asks for it. Nothing is thrown away.
//!
//! 1. lock; a log that can be read is left as it is
//! 2. copy the damaged log to `refs/damaged-HASH`
//! 3. the records before the damage go into a new log as they are
//! 4. valid records behind it, and checkpoints in its gaps, give the newest values that are known; one more record sets
//!    the refs to them and says where the old log is
//! 5. put the new log in place; remove the checkpoints of the old one
//!
//! A ref that only a damaged record named, and no checkpoint, is lost to the log. Its snapshot is still in the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disk::{OpenMode, read_file, replace_file};
use crate::error::{Error, Result};
use crate::limits::{CHECKPOINT_BYTES_MAX, REF_CHANGES_MAX};
use crate::object::ObjectId;
use crate::refs::format::{Change, Checkpoint, HEADER_BYTES, Header, MARKER_BYTES, Record, hex};
use crate::refs::read::{LogReader, State, Step, list_checkpoints};
use crate::refs::{RefStore, Who, write};

/// What became of a damaged log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// A copy of the damaged log.
    pub kept: PathBuf,
    /// Records that were taken over as they were.
    pub records: u64,
    /// Numbers of records that are damaged or missing.
    pub lost: Vec<u64>,
    /// Refs that there are now.
    pub refs: usize,
}

/// Most numbers of lost records that are listed.
const LOST_MAX: usize = 1000;

/// What can be read of a damaged log.
struct Survey {
    /// The records before the damage, and the state that they give.
    prefix: Vec<Record>,
    state: State,
    /// The newest values that are known.
    values: BTreeMap<String, ObjectId>,
    lost: Vec<u64>,
}

impl RefStore {
    /// Makes a usable log of a damaged one; none where it is not damaged.
    pub fn salvage(&self, who: &Who) -> Result<Option<Salvaged>> {
        let mut cached = self.state.lock();
        self.check_writable(&cached)?;
        let _lock = write::Lock::take(&*self.disk, &self.place.lock)?;
        cached.state = None;
        match State::load(&*self.disk, &self.place) {
            Ok(_) => return Ok(None),
            Err(e) if e.is_damage() => {}
            Err(e) => return Err(e),
        }
        let log = &self.place.log;
        let bytes = read_file(&*self.disk, log, usize::MAX)?;
        let survey = self.survey(&bytes)?;
        let name = format!("damaged-{}", &blake3::hash(&bytes).to_hex()[..16]);
        let kept = self.place.folder.join(&name);
        replace_file(&*self.disk, &kept, &bytes)?;

        let records = survey.prefix.len() as u64;
        let (lost, refs) = (survey.lost.clone(), survey.values.len());
        let new = self.rewrite(survey, who, &name)?;
        replace_file(&*self.disk, log, &new)?;
        for (_, path) in list_checkpoints(&*self.disk, &self.place)? {
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(Some(Salvaged {
            kept,
            records,
            lost,
            refs,
        }))
    }

    /// Reads what can be read.
    fn survey(&self, bytes: &[u8]) -> Result<Survey> {
        let log = &self.place.log;
        let header = match Header::decode(log, &bytes[..bytes.len().min(HEADER_BYTES)]) {
            Ok(header) if header.uuid != self.place.uuid => {
                let expected = format_args!("the log of repository {}", hex(&self.place.uuid));
                return Err(Error::damaged(log, 16, expected, hex(&header.uuid)));
            }
            Ok(header) => header,
            // The first record repeats the salt.
            Err(Error::Damaged { .. }) => Header {
                uuid: self.place.uuid,
                salt: bytes
                    .get(HEADER_BYTES + 4..HEADER_BYTES + MARKER_BYTES)
                    .map_or([0; 8], |salt| {
                        let mut out = [0; 8];
                        out.copy_from_slice(salt);
                        out
                    }),
            },
            Err(e) => return Err(e),
        };
        let file = self.disk.open(log, OpenMode::Read).map_err(Error::io("open", log))?;
        let mut reader = LogReader::with_header(file, &self.place, header, bytes.len() as u64);
        let mut survey = Survey {
            prefix: Vec::new(),
            state: State::start(&reader.header),
            values: BTreeMap::new(),
            lost: Vec::new(),
        };
        let mut checkpoints = self.valid_checkpoints()?;
        let (mut at, mut last, mut whole) = (HEADER_BYTES as u64, 0, true);
        loop {
            match reader.step(at)? {
                Step::End => break,
                Step::Record { record, check, end } => {
                    survey.fill_gap(&mut checkpoints, last, record.sequence);
                    apply(&mut survey.values, &record.changes);
                    last = record.sequence;
                    at = end;
                    whole = whole && survey.state.apply(&record).is_ok();
                    if whole {
                        survey.state.check = check;
                        survey.prefix.push(record);
                    }
                }
                Step::Bad { .. } => match reader.next_valid(at + 1)? {
                    Some(next) => (at, whole) = (next, false),
                    None => break,
                },
            }
        }
        let newest = checkpoints.last_key_value().map_or(last, |(sequence, _)| *sequence);
        survey.fill_gap(&mut checkpoints, last, newest.max(last) + 1);
        Ok(survey)
    }

    fn valid_checkpoints(&self) -> Result<BTreeMap<u64, Checkpoint>> {
        let mut found = BTreeMap::new();
        for (sequence, path) in list_checkpoints(&*self.disk, &self.place)? {
            let bytes = read_file(&*self.disk, &path, CHECKPOINT_BYTES_MAX)?;
            let valid = Checkpoint::decode(&path, &bytes).ok();
            if let Some(checkpoint) = valid.filter(|c| c.uuid == self.place.uuid && c.sequence == sequence) {
                found.insert(sequence, checkpoint);
            }
        }
        Ok(found)
    }

    /// The bytes of the new log.
    fn rewrite(&self, survey: Survey, who: &Who, kept: &str) -> Result<Vec<u8>> {
        let log: &Path = &self.place.log;
        let mut salt = [0; 8];
        self.disk
            .random(&mut salt)
            .map_err(Error::io("get random bytes for", log))?;
        let header = Header {
            uuid: self.place.uuid,
            salt,
        };
        let changes = differences(&survey.state.refs, &survey.values);
        let first = survey.prefix.len() as u64 + 1;
        let message = format!("salvaged: the damaged log is kept as refs/{kept}");
        let added = changes
            .chunks(REF_CHANGES_MAX)
            .zip(first..)
            .map(|(changes, sequence)| Record {
                sequence,
                previous: [0; 32],
                time: who.time,
                author: who.author.clone(),
                host: who.host.clone(),
                message: message.clone(),
                generation: 0,
                push_id: None,
                changes: changes.to_vec(),
            });
        let mut out = header.encode().to_vec();
        let mut previous = header.check();
        for mut record in survey.prefix.into_iter().chain(added) {
            record.previous = previous;
            out.extend(record.encode(&header)?);
            previous.copy_from_slice(&out[out.len() - 32..]);
        }
        Ok(out)
    }
}

impl Survey {
    /// Records between `last` and `next` are lost; a checkpoint among them tells the values after it.
    fn fill_gap(&mut self, checkpoints: &mut BTreeMap<u64, Checkpoint>, last: u64, next: u64) {
        let lost = last.saturating_add(1)..next;
        if let Some((_, checkpoint)) = checkpoints.range(lost.clone()).next_back() {
            self.values.clone_from(&checkpoint.refs);
        }
        checkpoints.retain(|sequence, _| *sequence >= next);
        self.lost.extend(lost.take(LOST_MAX));
    }
}

fn apply(values: &mut BTreeMap<String, ObjectId>, changes: &[Change]) {
    for change in changes {
        match change.new {
            Some(id) => values.insert(change.name.clone(), id),
            None => values.remove(&change.name),
        };
    }
}

/// The changes that lead from one state to another, sorted by name.
fn differences(from: &BTreeMap<String, ObjectId>, to: &BTreeMap<String, ObjectId>) -> Vec<Change> {
    let names: std::collections::BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let changes = names.into_iter().map(|name| Change {
        name: name.clone(),
        old: from.get(name).copied(),
        new: to.get(name).copied(),
    });
    changes.filter(|change| change.old != change.new).collect()
}
