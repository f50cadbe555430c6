//! Reading the ref log: forwards from a checkpoint, backwards for histories.
//!
//! What lies behind the last valid record is a *torn tail* if no valid record follows it: an append that a crash cut
//! short, which was never acknowledged. It is passed over here and cut by the next writer. If a valid record does
//! follow, bytes that were acknowledged are damaged: that is an error, and nobody cuts anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, OpenMode, read_file};
use crate::error::{Error, Result};
use crate::limits::{CHECKPOINT_BYTES_MAX, REF_RECORD_BYTES_MAX};
use crate::object::ObjectId;
use crate::refs::format::{
    Check, Checkpoint, HEAD_BYTES, HEADER_BYTES, Head, Header, MARKER_BYTES, Record, TRAILER_BYTES,
    differs_in_trailing_length, hex, trailing_length,
};
use crate::refs::{CHECKPOINT_PREFIX, Place, Tail};

const WINDOW_BYTES: usize = 64 << 10;

/// What stands at an offset of the log.
pub(super) enum Step {
    /// A valid record.
    Record {
        record: Record,
        check: Check,
        /// Offset behind it.
        end: u64,
    },
    /// The end of the log.
    End,
    /// No valid record.
    Bad {
        /// What is wrong.
        found: String,
        /// Whether head and length at the end agree: more likely damage than an append cut short.
        looks_complete: bool,
    },
}

/// Reads records of one log through a window.
#[derive(Debug)]
pub(super) struct LogReader {
    file: Arc<dyn DiskFile>,
    place: Arc<Place>,
    pub(super) header: Header,
    /// Length of the log when it was opened, in bytes.
    pub(super) len: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl LogReader {
    /// Opens the log and checks that it belongs to the repository.
    pub(super) fn open(disk: &dyn Disk, place: &Arc<Place>) -> Result<Self> {
        let path = &place.log;
        let file = disk.open(path, OpenMode::Read).map_err(Error::io("open", path))?;
        let len = file.len().map_err(Error::io("stat", path))?;
        let mut bytes = [0; HEADER_BYTES];
        let count = file.read_at(&mut bytes, 0).map_err(Error::io("read", path))?;
        let header = Header::decode(path, &bytes[..count])?;
        if header.uuid != place.uuid {
            let expected = format_args!("the log of repository {}", hex(&place.uuid));
            return Err(Error::damaged(
                path,
                16,
                expected,
                format_args!("that of {}", hex(&header.uuid)),
            ));
        }
        Ok(Self::with_header(file, place, header, len))
    }

    /// Reads a log of `len` bytes whose header is known.
    pub(super) fn with_header(file: Arc<dyn DiskFile>, place: &Arc<Place>, header: Header, len: u64) -> Self {
        Self {
            file,
            place: place.clone(),
            header,
            len,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// The file that is read.
    pub(super) fn path(&self) -> &Path {
        &self.place.log
    }

    /// `count` bytes at `offset`, or none where the log ends before.
    pub(super) fn bytes(&mut self, offset: u64, count: usize) -> Result<Option<&[u8]>> {
        if offset.saturating_add(count as u64) > self.len {
            return Ok(None);
        }
        let held = offset >= self.window_at && offset + count as u64 <= self.window_at + self.window.len() as u64;
        if !held {
            let left = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
            self.window.resize(count.max(WINDOW_BYTES).min(left), 0);
            let read = self.file.read_at(&mut self.window, offset);
            let found = read.map_err(Error::io("read", &self.place.log))?;
            self.window.truncate(found);
            self.window_at = offset;
        }
        // Below the length of the window by the lines above.
        let start = (offset - self.window_at) as usize;
        Ok(self.window.get(start..start + count))
    }

    /// Whether the log ends with the length of all that is behind `offset`, as one whole record there would.
    fn ends_with_its_length(&mut self, offset: u64) -> Result<bool> {
        let left = self.len.saturating_sub(offset);
        if left < (HEAD_BYTES + TRAILER_BYTES) as u64 {
            return Ok(false);
        }
        let trailer = self.bytes(self.len - TRAILER_BYTES as u64, TRAILER_BYTES)?;
        Ok(trailer.is_some_and(|trailer| trailing_length(trailer) as u64 == left))
    }

    /// What stands at `offset`.
    pub(super) fn step(&mut self, offset: u64) -> Result<Step> {
        if offset == self.len {
            return Ok(Step::End);
        }
        let bad = |found: String, looks_complete| Ok(Step::Bad { found, looks_complete });
        let left = self.len.saturating_sub(offset);
        let header = self.header.clone();
        let Some(head) = self.bytes(offset, HEAD_BYTES)? else {
            return bad(format!("{left} bytes, too few for a record"), false);
        };
        let head = match Head::decode(&header, head) {
            Ok(head) => head,
            Err(found) => return bad(found, self.ends_with_its_length(offset)?),
        };
        let Some(bytes) = self.bytes(offset, head.bytes)? else {
            return bad(format!("{left} bytes of a record of {}", head.bytes), false);
        };
        match Record::decode(bytes) {
            Ok((record, check)) => Ok(Step::Record {
                record,
                check,
                end: offset + head.bytes as u64,
            }),
            Err(found) => {
                let trailer = &bytes[bytes.len() - TRAILER_BYTES..];
                let looks_complete = trailing_length(trailer) == head.bytes || differs_in_trailing_length(bytes);
                bad(found, looks_complete)
            }
        }
    }

    /// The first valid record at or behind `from`.
    pub(super) fn next_valid(&mut self, from: u64) -> Result<Option<u64>> {
        let marker = self.header.marker();
        let mut at = from;
        while at + MARKER_BYTES as u64 <= self.len {
            let left = usize::try_from(self.len - at).unwrap_or(usize::MAX);
            let Some(window) = self.bytes(at, left.min(WINDOW_BYTES))? else {
                break;
            };
            match bstr::ByteSlice::find(window, marker) {
                // A marker may stand across the border of two windows.
                None => at += (window.len() - (MARKER_BYTES - 1)) as u64,
                Some(found) => {
                    at += found as u64;
                    if matches!(self.step(at)?, Step::Record { .. }) {
                        return Ok(Some(at));
                    }
                    at += 1;
                }
            }
        }
        Ok(None)
    }

    /// The record that ends at `end`, and the offset where it begins. None at the header.
    pub(super) fn step_back(&mut self, end: u64) -> Result<Option<(u64, Record, Check)>> {
        if end <= HEADER_BYTES as u64 {
            return Ok(None);
        }
        let trailer_at = end.saturating_sub(TRAILER_BYTES as u64);
        let total = match self.bytes(trailer_at, TRAILER_BYTES)? {
            Some(trailer) => trailing_length(trailer) as u64,
            None => 0,
        };
        // Reading the whole window that ends here saves a read for each record before.
        let window = self.len.min(end).min(WINDOW_BYTES as u64);
        if total <= window {
            self.bytes(end - window, window as usize)?;
        }
        if total > REF_RECORD_BYTES_MAX as u64 || total + HEADER_BYTES as u64 > end {
            let expected = "the length of the record before";
            return Err(Error::damaged(
                &self.place.log,
                trailer_at,
                expected,
                format_args!("{total}"),
            ));
        }
        let start = end - total;
        match self.step(start)? {
            Step::Record {
                record,
                check,
                end: found,
            } if found == end => Ok(Some((start, record, check))),
            Step::Bad { found, .. } => Err(Error::damaged(&self.place.log, start, "a valid record", found)),
            _ => Err(Error::damaged(
                &self.place.log,
                start,
                format_args!("a record that ends at {end}"),
                "another",
            )),
        }
    }
}

/// All refs at the end of the log, as far as it was read.
#[derive(Debug)]
pub(super) struct State {
    pub(super) header: Header,
    pub(super) refs: BTreeMap<String, ObjectId>,
    /// Offset behind the last valid record.
    pub(super) end: u64,
    /// Offset of the last valid record; of the header if there is none.
    pub(super) last: u64,
    /// Number of the last record; 0 if there is none.
    pub(super) sequence: u64,
    /// Check of the last record, or of the header.
    pub(super) check: Check,
    /// Number of the record that the newest usable checkpoint covers; 0 if there is none.
    pub(super) checkpoint: u64,
    /// What stands behind `end`.
    pub(super) tail: Option<Tail>,
}

impl State {
    /// Reads the newest usable checkpoint and all records behind it.
    pub(super) fn load(disk: &dyn Disk, place: &Arc<Place>) -> Result<Self> {
        let mut reader = LogReader::open(disk, place)?;
        let mut state = Self::start(&reader.header);
        for (sequence, path) in list_checkpoints(disk, place)?.into_iter().rev() {
            match usable_checkpoint(disk, &mut reader, sequence, &path) {
                Ok(found) => {
                    state.adopt(found);
                    break;
                }
                // A checkpoint whose record is gone shows that the log lost what it had acknowledged.
                Err(e) if is_damage_of(&e, &place.log) => return Err(e),
                // The log has all that a checkpoint has; `verify` names what is wrong with it.
                Err(_) => {}
            }
        }
        state.follow(&mut reader)?;
        Ok(state)
    }

    /// The state of a log with no records.
    pub(super) fn start(header: &Header) -> Self {
        Self {
            header: header.clone(),
            refs: BTreeMap::new(),
            end: HEADER_BYTES as u64,
            last: 0,
            sequence: 0,
            check: header.check(),
            checkpoint: 0,
            tail: None,
        }
    }

    fn adopt(&mut self, (checkpoint, end): (Checkpoint, u64)) {
        self.refs = checkpoint.refs;
        self.end = end;
        self.last = checkpoint.offset;
        self.sequence = checkpoint.sequence;
        self.checkpoint = checkpoint.sequence;
        self.check = checkpoint.check;
    }

    /// Whether the log still ends where this state does, so that there is nothing to read.
    pub(super) fn is_current(&self, reader: &mut LogReader) -> Result<bool> {
        Ok(reader.len == self.end && self.is_prefix(reader)?)
    }

    /// Whether the last record that was read is still there. It is not if a writer withdrew what it could not sync.
    pub(super) fn is_prefix(&self, reader: &mut LogReader) -> Result<bool> {
        if reader.header != self.header {
            return Ok(false);
        }
        let check = reader.bytes(self.end - 32, 32)?;
        Ok(check.is_some_and(|found| found == self.check))
    }

    /// Takes what was appended since.
    pub(super) fn follow(&mut self, reader: &mut LogReader) -> Result<()> {
        self.tail = None;
        loop {
            match reader.step(self.end)? {
                Step::Record { record, check, end } => {
                    self.apply(&record)
                        .map_err(|(expected, found)| Error::damaged(&reader.place.log, self.end, expected, found))?;
                    self.last = self.end;
                    self.end = end;
                    self.check = check;
                }
                Step::End => return Ok(()),
                Step::Bad { found, looks_complete } => {
                    if let Some(next) = reader.next_valid(self.end + 1)? {
                        let expected = format_args!("record {} (the log goes on at {next})", self.sequence + 1);
                        return Err(Error::damaged(&reader.place.log, self.end, expected, found));
                    }
                    self.tail = Some(Tail {
                        offset: self.end,
                        bytes: reader.len - self.end,
                        found,
                        looks_complete,
                    });
                    return Ok(());
                }
            }
        }
    }

    /// Applies a record that must be the next one; an error is what was expected and what was found.
    pub(super) fn apply(&mut self, record: &Record) -> Result<(), (String, String)> {
        if record.sequence != self.sequence + 1 {
            return Err((
                format!("record {}", self.sequence + 1),
                format!("record {}", record.sequence),
            ));
        }
        if record.previous != self.check {
            let expected = format!("a record that follows {}", hex(&self.check));
            return Err((expected, format!("one that follows {}", hex(&record.previous))));
        }
        for change in &record.changes {
            let value = self.refs.get(&change.name);
            if value != change.old.as_ref() {
                let expected = format!("{} at {}", change.name, show(value));
                return Err((expected, format!("a change from {}", show(change.old.as_ref()))));
            }
        }
        for change in &record.changes {
            match change.new {
                Some(id) => self.refs.insert(change.name.clone(), id),
                None => self.refs.remove(&change.name),
            };
        }
        self.sequence = record.sequence;
        Ok(())
    }
}

fn is_damage_of(error: &Error, file: &Path) -> bool {
    matches!(error, Error::Damaged { path, .. } if path == file)
}

/// A value of a ref for people.
pub(super) fn show(value: Option<&ObjectId>) -> String {
    value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

/// The checkpoints that are there, oldest first.
pub(super) fn list_checkpoints(disk: &dyn Disk, place: &Place) -> Result<Vec<(u64, std::path::PathBuf)>> {
    let names = disk.list(&place.folder).map_err(Error::io("list", &place.folder))?;
    let mut found: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let digits = name.to_str()?.strip_prefix(CHECKPOINT_PREFIX)?;
            let whole = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
            Some((whole.then(|| digits.parse().ok())??, place.folder.join(name)))
        })
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Reads a checkpoint and the record that it covers; gives the offset behind that record, too.
pub(super) fn usable_checkpoint(
    disk: &dyn Disk,
    reader: &mut LogReader,
    sequence: u64,
    path: &Path,
) -> Result<(Checkpoint, u64)> {
    let bytes = read_file(disk, path, CHECKPOINT_BYTES_MAX)?;
    let checkpoint = Checkpoint::decode(path, &bytes)?;
    if (checkpoint.uuid, checkpoint.salt) != (reader.header.uuid, reader.header.salt) {
        let found = format!("one of log {} {}", hex(&checkpoint.uuid), hex(&checkpoint.salt));
        return Err(Error::damaged(path, 16, "a checkpoint of this ref log", found));
    }
    if checkpoint.sequence != sequence {
        let expected = format_args!("sequence {sequence}, as its name says");
        return Err(Error::damaged(path, 40, expected, checkpoint.sequence));
    }
    let log = reader.place.log.clone();
    let expected = format!("record {sequence}, which {CHECKPOINT_PREFIX}{sequence:020} covers");
    match reader.step(checkpoint.offset.min(reader.len))? {
        Step::Record { record, check, end } if record.sequence == sequence && check == checkpoint.check => {
            Ok((checkpoint, end))
        }
        Step::Record { record, .. } => Err(Error::damaged(
            log,
            checkpoint.offset,
            expected,
            format_args!("record {}", record.sequence),
        )),
        Step::End => Err(Error::damaged(log, reader.len, expected, "the end of the log")),
        Step::Bad { found, .. } => Err(Error::damaged(log, checkpoint.offset, expected, found)),
    }
}
