//! Adding objects: shared by the packers of one job.
//!
//! Order of durability (design section 5): frames, commit record, one `fdatasync` a data file, `fsync` of the folder
//! for a new file; only then may a ref name what was added. An index segment follows when all that is done.
//!
//! Long jobs commit every [`GROUP_BYTES`]; that sync runs beside the work, and the next commit record comes when it is
//! done. Where the disk is slower than the work, groups become longer.

mod group;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::counters::Counters;
use super::data::format::{Codec, FrameKind, Row};
use super::data::read::{DataFile, Head};
use super::data::write::{Appender, Sealed};
use super::delta::pending::{Pending, Unit, Waiting};
use super::generation::keep_reserve;
use super::pack::{Packer, seal_record};
use super::recent::State;
use super::{Layout, Location, Store};
use crate::error::{Error, Result};
use crate::limits::FRAME_RAW_BYTES_MAX;
use crate::object::{ObjectId, ObjectKind};

/// A group is committed when it has grown to this many bytes.
const GROUP_BYTES: u64 = 64 << 20;
/// Ids are moved to a segment when more than these wait.
const RECENT_MAX: usize = 128 << 10;

/// Shorter objects are not compared with others: what they are like is not worth to be read.
const DELTA_BYTES_MIN: usize = 256;

#[derive(Debug, Default)]
struct Appending {
    appender: Option<Appender>,
    ordinal: u32,
    group_start: u64,
    /// The sync of the commit record before, with the offset that it makes durable.
    syncing: Option<(JoinHandle<std::io::Result<()>>, u64)>,
    /// Up to here the current file is durable.
    durable: u64,
    /// There is or was a current file.
    has_begun: bool,
    /// Of a bundle: all objects of the file are known, so that those which are appended here are all that comes.
    continues: bool,
    /// A write or sync failed, with this number of the system, if there is one: nothing more is stored.
    failure: Option<Option<i32>>,
}

/// Adds objects; shared by the threads of one job.
#[derive(Debug)]
pub struct Writer<'s> {
    store: &'s Store,
    appending: Mutex<Appending>,
    /// What is to be compressed against other objects.
    waiting: Mutex<Pending>,
    /// Whether something was left out because it lies in a range that nothing vouches for.
    leans: AtomicBool,
    /// Whether something counts as stored that was not committed: what was put, or was adopted with a file.
    has_claimed: AtomicBool,
    /// Nothing is appended.
    is_dry: bool,
    /// What an object is made from is looked for before something leans on it.
    checks_bases: bool,
    /// Blocks are added, not only what describes.
    keeps_data: bool,
    /// For blocks that replace nothing it is looked for what they are like.
    finds_alike: bool,
    /// What was added and what was there.
    pub counters: Counters,
}

impl<'s> Writer<'s> {
    pub(super) fn new(store: &'s Store, is_dry: bool) -> Self {
        let appending = Mutex::new(Appending::default());
        Self {
            store,
            appending,
            waiting: Mutex::default(),
            leans: AtomicBool::new(false),
            has_claimed: AtomicBool::new(false),
            is_dry,
            checks_bases: true,
            keeps_data: true,
            finds_alike: false,
            counters: Counters::default(),
        }
    }

    /// Whether objects are only counted.
    pub(super) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Whether blocks are added, which they are unless this says otherwise, or left out and counted.
    pub fn set_keeps_data(&mut self, keeps_data: bool) {
        self.keeps_data = keeps_data;
    }

    /// Whether this block is left out. One without bytes is kept: it takes no room, and then nothing of it is missing.
    pub(super) fn leaves_out(&self, kind: ObjectKind, bytes: usize) -> bool {
        let left_out = !self.keeps_data && kind == ObjectKind::Block && bytes > 0;
        if left_out {
            self.counters.described_objects.fetch_add(1, Ordering::Relaxed);
            self.counters.described_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        left_out
    }

    /// The counters, at the end.
    pub fn into_counters(mut self) -> Counters {
        std::mem::take(&mut self.counters)
    }

    /// The store that is written to.
    pub fn store(&self) -> &'s Store {
        self.store
    }

    /// A packer for one thread.
    pub fn packer(&self) -> Packer<'_> {
        Packer::new(self)
    }

    /// Whether the caller is the first to bring this object.
    pub(super) fn claim(&self, id: &ObjectId) -> Result<bool> {
        match self.store.recent.get(id) {
            Some(State::Pending) => return Ok(false),
            Some(State::At(at)) if self.is_usable(at)? => {
                self.leans.store(true, Ordering::Relaxed);
                return Ok(false);
            }
            Some(State::At(_)) => self.store.recent.remove(id),
            None => {}
        }
        if let Some(at) = self.store.locate_in_segments(id)?
            && self.is_usable(at)?
        {
            return Ok(false);
        }
        Ok(!self.store.counts_on(id) && self.claim_anew(id))
    }

    fn claim_anew(&self, id: &ObjectId) -> bool {
        self.has_claimed.store(true, Ordering::Relaxed);
        self.store.recent.claim(id)
    }

    /// Whether a new snapshot may lean on the object at `at`.
    fn is_usable(&self, at: Location) -> Result<bool> {
        Ok(!self.checks_bases || self.store.stands(at)?)
    }

    /// Takes for there what is there, whatever has become of what it is made from: gc is about to copy that, too.
    pub(crate) fn trust_bases(&mut self) {
        self.checks_bases = false;
    }

    /// Whether objects of this length are compared with others.
    pub(super) fn compares(&self, bytes: usize) -> bool {
        bytes >= DELTA_BYTES_MIN && !self.is_dry && self.store.allows_deltas()
    }

    /// Looks for what blocks are like that replace nothing, and remembers what is added for those to come.
    pub fn find_alike(&mut self) {
        self.finds_alike = true;
    }

    /// Whether that is done for objects of this length.
    pub(super) fn finds_alike(&self, bytes: usize) -> bool {
        self.finds_alike && self.compares(bytes)
    }

    /// Lets an object wait until there are more of its root.
    pub(super) fn let_wait(&self, object: Waiting) {
        self.waiting.lock().push(object);
    }

    /// Gives a unit, where more waits than should.
    pub(super) fn take_excess(&self) -> Option<Unit> {
        self.waiting.lock().take_excess()
    }

    /// Gives a unit of what waits.
    pub(super) fn take_waiting(&self) -> Option<Unit> {
        self.waiting.lock().take()
    }

    /// Notes that what is written leans on an object that is there.
    pub(super) fn lean_on(&self, id: &ObjectId) {
        if matches!(self.store.recent.get(id), Some(State::At(_))) {
            self.leans.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the object is there or on its way.
    pub fn knows(&self, id: &ObjectId) -> Result<bool> {
        if self.store.recent.get(id).is_some() {
            self.leans.store(true, Ordering::Relaxed);
            return Ok(true);
        }
        Ok(self.store.locate_in_segments(id)?.is_some())
    }

    pub(super) fn append(&self, frame: &Sealed, ids: &[ObjectId]) -> Result<()> {
        let mut appending = self.appending.lock();
        self.check_failed(&appending)?;
        let done = self.append_frame(&mut appending, frame, ids);
        Self::note_failure(&mut appending, &done);
        done
    }

    fn append_frame(&self, appending: &mut Appending, frame: &Sealed, ids: &[ObjectId]) -> Result<()> {
        self.acquire(appending)?;
        let ordinal = appending.ordinal;
        let Some(appender) = appending.appender.as_mut() else {
            return Ok(());
        };
        let before = appender.end();
        let offset = appender.append(frame)?;
        let end = appender.end();
        let is_single = self.store.is_single();
        self.counters.stored_bytes.fetch_add(end - before, Ordering::Relaxed);
        for (slot, id) in (0..).zip(ids) {
            self.store.recent.set(
                *id,
                Location {
                    file: ordinal,
                    frame: offset,
                    slot,
                },
            );
        }
        // What is appended to a bundle counts as a whole or not at all.
        if is_single {
            self.store.spill_if_many();
            return Ok(());
        }
        // While the disk is busy with the group before, this one grows: nobody waits.
        let is_idle = appending
            .syncing
            .as_ref()
            .is_none_or(|(handle, _)| handle.is_finished());
        if end - appending.group_start >= GROUP_BYTES && is_idle {
            self.close_group(appending)?;
            if self.store.recent.count() > RECENT_MAX {
                self.wait(appending)?;
                self.store.publish_segment()?;
            }
        }
        if end >= self.store.options.file_bytes_max {
            self.close_group(appending)?;
            self.finish_file(appending)?;
        }
        Ok(())
    }

    /// Locks a data file that has room: the longest one that no other process writes to, else a new one.
    fn acquire(&self, appending: &mut Appending) -> Result<()> {
        if appending.appender.is_some() {
            return Ok(());
        }
        let appender = match &self.store.layout {
            Layout::Repository { data, .. } => self.acquire_data_file(data)?,
            Layout::Bundle(_) | Layout::Spool => self.store.acquire_single()?,
        };
        self.begin(appending, appender)
    }

    /// Appends to this file from now on.
    fn begin(&self, appending: &mut Appending, appender: Appender) -> Result<()> {
        self.has_claimed.store(true, Ordering::Relaxed);
        appending.ordinal = self.store.register(&appender.file)?;
        appending.continues = self.store.is_single() && self.store.has_noted(appending.ordinal, appender.group());
        appending.group_start = appender.end();
        appending.durable = appender.group();
        appending.has_begun = true;
        appending.appender = Some(appender);
        Ok(())
    }

    fn acquire_data_file(&self, folder: &Path) -> Result<Appender> {
        let store = self.store;
        for (path, vouched) in store.files_to_write(true)? {
            if let Some(appender) = self.acquire_at(&path, vouched, store.options.file_bytes_max)? {
                return Ok(appender);
            }
        }
        if let Some(ghost_dir) = store.ghost_dir() {
            keep_reserve(&*store.disk, ghost_dir);
        }
        Appender::create(&*store.disk, folder, store.repository)
    }

    /// Locks a data file that is shorter than `file_bytes_max`, unless another process writes to it.
    fn acquire_at(&self, path: &Path, vouched: u64, file_bytes_max: u64) -> Result<Option<Appender>> {
        let store = self.store;
        let ordinal = store.ordinal_of(path);
        store.release(path);
        let mut adopt = |head: &Head| {
            for (slot, row) in (0..).zip(&head.rows) {
                if let Some(file) = ordinal {
                    store.recent.set(
                        row.id,
                        Location {
                            file,
                            frame: head.offset,
                            slot,
                        },
                    );
                }
            }
        };
        let repository = &store.repository;
        let found = Appender::acquire(&*store.disk, path, repository, vouched, file_bytes_max, &mut adopt)?;
        let Some(appender) = found else { return Ok(None) };
        // gc holds this lock until it has published what it condemns: now it is known whether this file is.
        store.advance()?;
        let is_condemned = ordinal.is_some_and(|number| store.is_condemned(number));
        Ok((!is_condemned).then_some(appender))
    }

    /// Appends a frame without objects to a bundle.
    pub fn append_record(&self, kind: FrameKind, payload: &[u8]) -> Result<()> {
        if payload.len() > FRAME_RAW_BYTES_MAX {
            let problem = format!("{} bytes, the limit is {FRAME_RAW_BYTES_MAX}", payload.len());
            return Err(Error::invalid("record", "of a bundle", problem));
        }
        let frame = seal_record(payload, self.store.options().zstd_level)?;
        let mut appending = self.appending.lock();
        self.acquire(&mut appending)?;
        if let Some(appender) = appending.appender.as_mut() {
            let before = appender.end();
            appender.append_kind(kind, &frame)?;
            self.counters
                .stored_bytes
                .fetch_add(appender.end() - before, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Appends a frame of another file as it is stored there, its digest compared, if none of its objects is known here.
    /// A delta frame is copied to a repository that has all of its bases. Says whether it did.
    pub fn copy_frame(&self, file: &DataFile, head: &Head) -> Result<bool> {
        if head.header.codec == Codec::Delta {
            if !self.store.allows_deltas() {
                return Ok(false);
            }
            for base in &head.bases {
                if !self.knows(&base.id)? {
                    return Ok(false);
                }
            }
            self.store.begin_deltas()?;
        }
        for row in &head.rows {
            if self.knows(&row.id)? {
                return Ok(false);
            }
        }
        self.append_sealed(&Sealed::of_file(file, head)?, &head.rows)
    }

    /// Appends a frame as it is, whose digest and rows are known to be right, if none of its objects is known here. Says
    /// whether it did.
    pub fn append_sealed(&self, frame: &Sealed, rows: &[Row]) -> Result<bool> {
        for row in rows {
            if self.knows(&row.id)? {
                return Ok(false);
            }
        }
        let ids: Vec<ObjectId> = rows.iter().map(|row| row.id).collect();
        for row in rows {
            self.claim_anew(&row.id);
            self.counters.added(row.bytes as usize);
        }
        self.append(frame, &ids)?;
        Ok(true)
    }

    /// The same, whatever of it is known here: where frames are kept for a while, an object that is there twice costs less
    /// than packing the others anew.
    pub fn append_anyway(&self, frame: &Sealed, rows: &[Row]) -> Result<()> {
        rows.iter().for_each(|row| self.counters.added(row.bytes as usize));
        let ids: Vec<ObjectId> = rows.iter().map(|row| row.id).collect();
        self.append(frame, &ids)
    }

    /// Adopts what an interrupted writer left behind the last commit record, and makes it durable.
    pub fn take_over(&self) -> Result<()> {
        if self.store.data_files().is_empty() || self.store.disk.is_plain() {
            return Ok(());
        }
        {
            let mut appending = self.appending.lock();
            // A file that was just full when its writer ended has room for nothing but its commit record.
            for (path, vouched) in self.store.files_to_write(false)? {
                if let Some(appender) = self.acquire_at(&path, vouched, u64::MAX)? {
                    self.begin(&mut appending, appender)?;
                    self.close_group(&mut appending)?;
                    self.finish_file(&mut appending)?;
                }
            }
            self.acquire(&mut appending)?;
        }
        self.commit()
    }
}
