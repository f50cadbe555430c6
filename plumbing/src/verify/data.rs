//! Reading data files: which frames there are, and whether their bytes are what their headers say.
//!
//! Objects that are stored as differences are checked together with the frame in which the chain of their bases ends, so
//! that each frame is decompressed once; of the frames that they lie in, the digests are compared.

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashSet;
use parking_lot::Mutex;

use super::{Bad, Damage, Report};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::store::data::format::Codec;
use crate::store::data::read::{DataFile, Head, scan};
use crate::store::data::verify::{Finding, walk};
use crate::store::{Checking, Frame, Gathered, Leaning, Location, Store};

/// Objects with bases that are sorted by their roots, 56 bytes each. What is beyond is read one by one, which takes longer.
const LEANING_MAX: usize = 1 << 20;

/// A frame to read.
#[derive(Clone, Debug)]
pub struct Work {
    file: DataFile,
    number: u32,
    offset: u64,
    /// Offset of the byte behind it.
    end: u64,
    raw_bytes: u64,
    /// It is a delta frame.
    pub has_bases: bool,
}

impl Work {
    /// Number of the data file and offset in it.
    pub fn place(&self) -> (u32, u64) {
        (self.number, self.offset)
    }

    /// The id of the data file.
    pub fn file(&self) -> &[u8; 16] {
        &self.file.header.file
    }

    /// Where it lies in its file.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.end
    }

    /// Bytes in it, decompressed.
    pub fn bytes(&self) -> u64 {
        self.raw_bytes
    }
}

/// The frames of the data files whose headers were read.
#[derive(Debug, Default)]
pub struct Walked {
    /// Frames with objects, in the order of the files.
    pub frames: Vec<Work>,
    /// Commit records: number of the data file, where they lie.
    pub commits: Vec<(u32, std::ops::Range<u64>)>,
    /// Numbers of the files that were walked.
    pub files: HashSet<u32>,
}

/// Walks the headers of all data files for which `wanted` says so, by their number. Damage goes to the report.
pub fn heads(store: &Store, wanted: &dyn Fn(u32) -> bool, report: &mut Report) -> Result<Walked> {
    let mut walked = Walked::default();
    for (number, (file, committed)) in (0..).zip(store.data_files()) {
        report.data_files += 1;
        if !wanted(number) {
            continue;
        }
        walked.files.insert(number);
        let mut found = FileFindings::default();
        walk(&file, &mut |finding| {
            match finding {
                Finding::Frame(head) => {
                    let raw_bytes = u64::from(head.header.raw_bytes);
                    found.work.push(Work {
                        file: file.clone(),
                        number,
                        offset: head.offset,
                        end: head.end(),
                        raw_bytes,
                        has_bases: head.header.codec == Codec::Delta,
                    });
                }
                Finding::Commit(head) => found.commits.push(head.offset..head.end()),
                Finding::Damage(error) => found.damage.push(error),
                Finding::Tail { bytes, .. } => found.tail_bytes = bytes,
            }
            Ok(())
        })?;
        found.tell(&file, committed, report)?;
        walked.frames.append(&mut found.work);
        walked
            .commits
            .extend(found.commits.into_iter().map(|range| (number, range)));
    }
    Ok(walked)
}

/// What the walk over one data file found.
#[derive(Default)]
struct FileFindings {
    work: Vec<Work>,
    /// Where commit records lie.
    commits: Vec<std::ops::Range<u64>>,
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
        if begun && self.commits.last().is_none_or(|commit| commit.end < committed) {
            let expected = format!("commit records up to offset {committed}, as the index says");
            let end = self.commits.last().map_or(0, |commit| commit.end);
            let error = Error::damaged(&file.path, end, expected, "none that fits");
            report.damage.push(error.into());
        }
        let behind = self.commits.iter().filter(|commit| commit.end > committed).count();
        if behind <= 1 && !store_reads(file, committed)? {
            let length = file.file.len().map_err(Error::io("stat", &file.path))?;
            report.unfinished_bytes += length.saturating_sub(committed);
            self.work.retain(|work| work.offset < committed);
            self.damage.retain(|error| offset_of(error) < committed);
        } else {
            report.unfinished_bytes += self.tail_bytes;
        }
        report.damage.extend(self.damage.drain(..).map(Damage::from));
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
                    end: head.end(),
                    raw_bytes,
                    has_bases: head.header.codec == Codec::Delta,
                });
            }
            Ok(None) => report
                .damage
                .push(Error::damaged(&file.path, offset, "a frame", "the end of the file").into()),
            Err(e) if e.is_damage() => report.damage.push(e.into()),
            Err(e) => return Err(e),
        }
    }
    Ok(work)
}

#[derive(Default)]
struct Found {
    bad: Bad,
    damage: Vec<Damage>,
    /// Frames that were read, by their place in the list; whether each is sound.
    read: Vec<(usize, bool)>,
    objects: u64,
    bytes: u64,
}

/// What a check of frames found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Objects that do not read.
    pub bad: Bad,
    /// Frames that were read, by their place in the list; whether each is sound.
    pub read: Vec<(usize, bool)>,
}

/// Reads frames, in this order, with all threads and compares digests and hashes. Begins no further frame but the first
/// when `is_over` says so.
pub fn check(
    store: &Store,
    work: &[Work],
    threads: usize,
    is_over: &(dyn Fn() -> bool + Sync),
    progress: &Progress,
    report: &mut Report,
) -> Result<Checked> {
    let sweep = Sweep::new(store, work)?;
    let orphans = sweep.orphans(work);
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        let run = || -> Result<()> {
            let mut hands = Hands::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                progress.check()?;
                if number > 0 && is_over() {
                    return Ok(());
                }
                if let Some(work) = work.get(number) {
                    let is_sound = check_frame(store, work, &sweep, &mut hands, &found)?;
                    found.lock().read.push((number, is_sound));
                    progress.add(0, work.raw_bytes);
                } else if let Some(unit) = orphans.get(number - work.len()) {
                    check_orphans(store, unit, &mut hands, &found)?;
                } else {
                    return Ok(());
                }
            }
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
    Ok(Checked {
        bad: found.bad,
        read: found.read,
    })
}

/// What a thread checks with.
#[derive(Default)]
struct Hands {
    frame: Frame,
    leaning: Checking,
}

/// Objects with bases that are checked with the frames of their roots, sorted by these.
struct Sweep(Gathered);

impl Sweep {
    /// Looks for the roots of all objects of delta frames, as far as memory is to be spent on it.
    fn new(store: &Store, work: &[Work]) -> Result<Self> {
        let mut gathered = Gathered::default();
        for work in work.iter().filter(|work| work.has_bases) {
            if gathered.count() >= LEANING_MAX {
                break;
            }
            // What does not read now does not read later, and is told then.
            if let Ok(Some(head)) = work.file.head(work.offset) {
                let _ = gathered.add(store, work.number, &head);
            }
        }
        gathered.sort();
        Ok(Self(gathered))
    }

    /// The objects whose chains end in a frame.
    fn unit(&self, root: (u32, u64)) -> &[Leaning] {
        let all = self.0.objects();
        let start = all.partition_point(|object| object.root < root);
        let length = all[start..].partition_point(|object| object.root == root);
        &all[start..start + length]
    }

    /// Objects whose roots are not among the frames to be read, by root.
    fn orphans(&self, work: &[Work]) -> Vec<&[Leaning]> {
        let plain = work.iter().filter(|work| !work.has_bases).map(Work::place);
        let plain: HashSet<(u32, u64)> = plain.collect();
        let units = self.0.objects().chunk_by(|a, b| a.root == b.root);
        units
            .filter(|unit| unit.first().is_some_and(|first| !plain.contains(&first.root)))
            .collect()
    }
}

fn check_orphans(store: &Store, unit: &[Leaning], hands: &mut Hands, found: &Mutex<Found>) -> Result<()> {
    let Some(first) = unit.first() else { return Ok(()) };
    let root = Location {
        file: first.root.0,
        frame: first.root.1,
        slot: 0,
    };
    let readable = match store.read_frame(root, &mut hands.frame) {
        Ok(()) => true,
        Err(error) if error.is_damage() => false,
        Err(error) => return Err(error),
    };
    check_unit(store, unit, readable, hands, found)
}

/// Checks objects of one root, or of several if no frame is at hand.
fn check_unit(
    store: &Store,
    unit: &[Leaning],
    is_at_hand: bool,
    hands: &mut Hands,
    found: &Mutex<Found>,
) -> Result<()> {
    let frame = is_at_hand.then_some(&hands.frame);
    store.check_leaning(unit, frame, &mut hands.leaning, &mut |at, id, checked| {
        // What cannot be told stands.
        let lacks_base = checked.is_err() && !store.stands(at).unwrap_or(true);
        let mut found = found.lock();
        match checked {
            Ok(bytes) => {
                found.objects += 1;
                found.bytes += bytes as u64;
            }
            Err(error) if error.is_damage() => {
                found.bad.entry(id).or_default().push((at, error.to_string()));
                found.damage.push(Damage {
                    error,
                    objects: vec![id],
                    lacks_base,
                });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    })
}

/// Checks one frame; says whether nothing is wrong with it.
fn check_frame(store: &Store, work: &Work, sweep: &Sweep, hands: &mut Hands, found: &Mutex<Found>) -> Result<bool> {
    let head = match work.file.head(work.offset) {
        Ok(Some(head)) => head,
        // It read a moment ago; the file changes under the hands.
        Ok(None) => {
            let end = "the end of the file";
            return Err(Error::damaged(&work.file.path, work.offset, "a frame", end));
        }
        Err(error) if error.is_damage() => {
            found.lock().damage.push(error.into());
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    if work.has_bases {
        return check_delta_frame(store, work, &head, sweep, (hands, found));
    }
    let (objects, bytes) = (head.rows.len() as u64, u64::from(head.header.raw_bytes));
    let ids: Vec<ObjectId> = head.rows.iter().map(|row| row.id).collect();
    let at = |slot: usize| Location {
        file: work.number,
        frame: work.offset,
        slot: slot as u16,
    };
    let frame = &mut hands.frame;
    let damage = match read_checked(store, work, frame, head) {
        Ok(damage) => damage,
        Err(error) if error.is_damage() => {
            check_unit(store, sweep.unit(work.place()), false, hands, found)?;
            let mut found = found.lock();
            for (slot, id) in ids.iter().enumerate() {
                found.bad.entry(*id).or_default().push((at(slot), error.to_string()));
            }
            found.damage.push(Damage {
                objects: ids,
                ..Damage::from(error)
            });
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let mut wrong = Vec::new();
    if !frame.all_match() {
        let check = |(slot, id): (usize, &ObjectId)| Some((*id, at(slot), frame.verified(slot as u16, id).err()?));
        wrong = ids.iter().enumerate().filter_map(check).collect();
    }
    let is_sound = damage.is_none() && wrong.is_empty();
    {
        let mut found = found.lock();
        found.objects += objects - wrong.len() as u64;
        found.bytes += bytes;
        // A frame whose objects are whole in spite of its digest is still told.
        found.damage.extend(damage.map(Damage::from));
        for (id, at, error) in wrong {
            found.bad.entry(id).or_default().push((at, error.to_string()));
            found.damage.push(Damage {
                objects: vec![id],
                ..Damage::from(error)
            });
        }
    }
    check_unit(store, sweep.unit(work.place()), true, hands, found)?;
    Ok(is_sound)
}

/// Compares the digest of a delta frame. Its objects are checked with their roots, if there was room to sort them.
fn check_delta_frame(
    store: &Store,
    work: &Work,
    head: &Head,
    sweep: &Sweep,
    (hands, found): (&mut Hands, &Mutex<Found>),
) -> Result<bool> {
    let told = |error: Error| match error.is_damage() {
        true => {
            found.lock().damage.push(error.into());
            Ok(false)
        }
        false => Err(error),
    };
    if let Err(error) = hands.frame.read_stored_checked(&work.file, head) {
        return told(error);
    }
    if !sweep.0.has_frame(work.place()) {
        match store.leaning(work.number, head) {
            Err(error) => return told(error),
            Ok(objects) => check_unit(store, &objects, false, hands, found)?,
        }
    }
    Ok(true)
}

/// Reads a frame; gives damage that does not keep it from being read.
fn read_checked(store: &Store, work: &Work, frame: &mut Frame, head: Head) -> Result<Option<Error>> {
    let digest = frame.read_stored_checked(&work.file, &head);
    match digest {
        Ok(()) => frame.decompress_stored(&work.file, head, &store.near()).map(|()| None),
        Err(error) if error.is_damage() => frame
            .decompress_stored(&work.file, head, &store.near())
            .map(|()| Some(error)),
        Err(error) => Err(error),
    }
}
