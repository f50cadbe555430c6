//! Reading data files: which frames there are, and whether their bytes are what their headers say.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::{Bad, Report};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::data::read::{DataFile, Head, scan};
use crate::store::data::verify::{Finding, walk};
use crate::store::{Frame, Location, Store};

/// A frame to read.
pub struct Work {
    file: DataFile,
    number: u32,
    offset: u64,
    raw_bytes: u64,
}

impl Work {
    /// Number of the data file and offset in it.
    pub fn place(&self) -> (u32, u64) {
        (self.number, self.offset)
    }

    /// Bytes in it, decompressed.
    pub fn bytes(&self) -> u64 {
        self.raw_bytes
    }
}

/// Walks the headers of all data files. Damage goes to the report.
pub fn heads(store: &Store, report: &mut Report) -> Result<Vec<Work>> {
    let mut work = Vec::new();
    for (number, (file, committed)) in (0..).zip(store.data_files()) {
        report.data_files += 1;
        let mut found = FileFindings::default();
        walk(&file, &mut |finding| {
            match finding {
                Finding::Frame(head) => {
                    let raw_bytes = u64::from(head.header.raw_bytes);
                    found.work.push(Work {
                        file: file.clone(),
                        number,
                        offset: head.offset,
                        raw_bytes,
                    });
                }
                Finding::Commit(head) => found.commits.push(head.end()),
                Finding::Damage(error) => found.damage.push(error),
                Finding::Tail { bytes, .. } => found.tail_bytes = bytes,
            }
            Ok(())
        })?;
        found.tell(&file, committed, report)?;
        work.append(&mut found.work);
    }
    Ok(work)
}

/// What the walk over one data file found.
#[derive(Default)]
struct FileFindings {
    work: Vec<Work>,
    /// Ends of commit records.
    commits: Vec<u64>,
    damage: Vec<Error>,
    /// Bytes at the end that no commit record closes.
    tail_bytes: u64,
}

impl FileFindings {
    /// Reports damage, and what an interrupted job left behind the last group that is known to be `committed`.
    ///
    /// A writer writes a commit record only after the group before it is durable. So of what a power cut tore there is at
    /// most one commit record, the last one; nothing was acknowledged that leans on it, and the store does not read it.
    /// Where more follow, or where the index knows of them, the same findings are damage.
    fn tell(&mut self, file: &DataFile, committed: u64, report: &mut Report) -> Result<()> {
        let begun = committed > crate::store::data::format::FILE_HEADER_BYTES;
        if begun && self.commits.last().is_none_or(|end| *end < committed) {
            let expected = format!("commit records up to offset {committed}, as the index says");
            let end = self.commits.last().copied().unwrap_or(0);
            let error = Error::damaged(&file.path, end, expected, "none that fits");
            report.damage.push(error);
        }
        let behind = self.commits.iter().filter(|end| **end > committed).count();
        if behind <= 1 && !store_reads(file, committed)? {
            let length = file.file.len().map_err(Error::io("stat", &file.path))?;
            report.unfinished_bytes += length.saturating_sub(committed);
            self.work.retain(|work| work.offset < committed);
            self.damage.retain(|error| offset_of(error) < committed);
        } else {
            report.unfinished_bytes += self.tail_bytes;
        }
        report.damage.append(&mut self.damage);
        Ok(())
    }
}

/// Whether a reader that opens the file now takes what is behind `committed`: another process may have written it.
fn store_reads(file: &DataFile, committed: u64) -> Result<bool> {
    Ok(scan(file, committed, committed, &mut |_| {})?.committed > committed)
}

fn offset_of(error: &Error) -> u64 {
    match error {
        Error::Damaged { offset, .. } => *offset,
        _ => 0,
    }
}

/// The frames that hold these objects.
pub fn of_locations(store: &Store, frames: &[(u32, u64)], report: &mut Report) -> Result<Vec<Work>> {
    let files = store.data_files();
    let mut work = Vec::with_capacity(frames.len());
    for &(number, offset) in frames {
        let Some((file, _)) = files.get(number as usize) else {
            continue;
        };
        match file.head(offset) {
            Ok(Some(head)) => {
                let raw_bytes = u64::from(head.header.raw_bytes);
                work.push(Work {
                    file: file.clone(),
                    number,
                    offset,
                    raw_bytes,
                });
            }
            Ok(None) => report
                .damage
                .push(Error::damaged(&file.path, offset, "a frame", "the end of the file")),
            Err(e) if e.is_damage() => report.damage.push(e),
            Err(e) => return Err(e),
        }
    }
    Ok(work)
}

#[derive(Default)]
struct Found {
    bad: Bad,
    damage: Vec<Error>,
    objects: u64,
    bytes: u64,
}

/// Reads frames with all threads and compares digests and hashes.
pub fn check(work: Vec<Work>, threads: usize, progress: &Progress, report: &mut Report) -> Result<Bad> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        let run = || -> Result<()> {
            let mut frame = Frame::default();
            while let Some(work) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                progress.check()?;
                check_frame(work, &mut frame, &found)?;
                progress.add(0, work.raw_bytes);
            }
            Ok(())
        };
        let handles: Vec<_> = (1..threads.max(1)).map(|_| scope.spawn(run)).collect();
        let mut result = run();
        for handle in handles {
            result = result.and(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        result
    })?;
    let found = found.into_inner();
    report.damage.extend(found.damage);
    report.objects += found.objects;
    report.bytes += found.bytes;
    Ok(found.bad)
}

fn check_frame(work: &Work, frame: &mut Frame, found: &Mutex<Found>) -> Result<()> {
    let head = match work.file.head(work.offset) {
        Ok(Some(head)) => head,
        // It read a moment ago; the file changes under the hands.
        Ok(None) => {
            return Err(Error::damaged(
                &work.file.path,
                work.offset,
                "a frame",
                "the end of the file",
            ));
        }
        Err(error) if error.is_damage() => {
            found.lock().damage.push(error);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let (objects, bytes) = (head.rows.len() as u64, u64::from(head.header.raw_bytes));
    let ids: Vec<ObjectId> = head.rows.iter().map(|row| row.id).collect();
    let at = |slot: usize| Location {
        file: work.number,
        frame: work.offset,
        slot: slot as u16,
    };
    match read_checked(work, frame, head) {
        Ok(damage) => {
            let mut wrong = Vec::new();
            if !frame.all_match() {
                let check = |(slot, id): (usize, &ObjectId)| {
                    frame
                        .verified(slot as u16, id)
                        .err()
                        .map(|error| (*id, at(slot), error))
                };
                wrong = ids.iter().enumerate().filter_map(check).collect();
            }
            let mut found = found.lock();
            found.objects += objects - wrong.len() as u64;
            found.bytes += bytes;
            // A frame whose objects are whole in spite of its digest is still told.
            found.damage.extend(damage);
            for (id, at, error) in wrong {
                found.bad.entry(id).or_default().push((at, error.to_string()));
                found.damage.push(error);
            }
            Ok(())
        }
        Err(error) if error.is_damage() => {
            let mut found = found.lock();
            for (slot, id) in ids.into_iter().enumerate() {
                found.bad.entry(id).or_default().push((at(slot), error.to_string()));
            }
            found.damage.push(error);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Reads a frame; gives damage that does not keep it from being read.
fn read_checked(work: &Work, frame: &mut Frame, head: Head) -> Result<Option<Error>> {
    let digest = frame.read_stored_checked(&work.file, &head);
    match digest {
        Ok(()) => frame.decompress_stored(&work.file, head).map(|()| None),
        Err(error) if error.is_damage() => frame.decompress_stored(&work.file, head).map(|()| Some(error)),
        Err(error) => Err(error),
    }
}
