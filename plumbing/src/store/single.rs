//! Stores of one file: bundles, and the unnamed file that gathers what a bundle is to get.
//!
//! Such a store has no index: the heads of all frames are read when it is opened and what they say is kept in
//! [`super::recent`], and where that is too much in files without a name ([`super::spill`]). An append is one group: its
//! frames are made durable, then its commit record, so that a valid record vouches for all before it and nothing but heads
//! is read on opening. Behind damage the scan goes on at the next frame, and what was hurt is one of [`Store::problems`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data::delta::NoBases;
use super::data::format::{Container, FileHeader, FrameKind};
use super::data::read::{DataFile, Frame, Head, read_header};
use super::data::verify::{Finding, walk};
use super::data::write::{Appender, Sealed};
use super::{Known, Layout, Location, Options, State, Store};
use crate::disk::{Disk, OpenMode, temporary_beside};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, ObjectKind};

/// A frame of a bundle that holds no objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: FrameKind,
    /// Where it lies; the slot is 0.
    pub at: Location,
    /// Offset of the first frame of its group, in bytes.
    pub group: u64,
}

impl Store {
    /// Opens the bundle at `path`, to read and to append to. Fails where the file is no bundle or of a newer version;
    /// damage behind its header is one of [`Store::problems`].
    pub fn open_bundle(disk: Arc<dyn Disk>, path: &Path, options: Options) -> Result<Self> {
        let file = DataFile::open_bundle(&*disk, path, OpenMode::Read)?;
        Self::of_file(disk, Layout::Bundle(path.to_owned()), file, options)
    }

    /// Makes an empty bundle at `path`, where nothing must be. Its name is not durable yet.
    pub fn create_bundle(disk: Arc<dyn Disk>, path: &Path, algo: HashAlgo, options: Options) -> Result<Self> {
        let file = Appender::create_bundle(&*disk, path, algo)?.file;
        file.file.unlock().map_err(Error::io("unlock", path))?;
        Self::of_file(disk, Layout::Bundle(path.to_owned()), file, options)
    }

    /// Makes a store in a file beside `path` that has no name and goes when the store does.
    pub fn spool(disk: Arc<dyn Disk>, path: &Path, algo: HashAlgo, options: Options) -> Result<Self> {
        let temporary = temporary_beside(&*disk, path)?;
        let file = Appender::create_bundle(&*disk, &temporary, algo)?.file;
        disk.remove(&temporary).map_err(Error::io("remove", &temporary))?;
        Self::of_file(disk, Layout::Spool, file, options)
    }

    fn of_file(disk: Arc<dyn Disk>, layout: Layout, file: DataFile, options: Options) -> Result<Self> {
        let Container::Bundle(algo) = file.header.container else {
            return Err(Error::invalid("bundle", file.path.display(), "it is a data file"));
        };
        let store = Self::empty(disk, layout, file.header.repository, algo, options);
        store.add_file(&mut store.state.write(), file, false)?;
        store.refresh()?;
        Ok(store)
    }

    /// Makes the objects of another store readable here, and known to a spool, which will not store them again. A
    /// repository that another store is attached to cannot be written to: what it leaned on would not be in it.
    ///
    /// The heads of all frames of the other are read and kept in memory: meant for bundles and small stores.
    pub fn attach(&self, other: &Store) -> Result<()> {
        let files = other.data_files();
        let mut state = self.state.write();
        for (file, _) in files {
            self.add_file(&mut state, file, true)?;
        }
        self.refresh_state(&mut state)
    }

    /// Whether objects of another store are read here.
    pub fn has_attached(&self) -> bool {
        self.state.read().files.iter().any(|known| known.is_attached)
    }

    /// Where the store is: the folder of its data files, or its file.
    pub fn place(&self) -> PathBuf {
        match &self.layout {
            Layout::Repository { data, .. } => data.clone(),
            Layout::Bundle(path) => path.clone(),
            Layout::Spool => self
                .state
                .read()
                .files
                .first()
                .map_or_else(PathBuf::new, |known| known.file.path.clone()),
        }
    }

    /// The id of the repository or bundle.
    pub fn uuid(&self) -> [u8; 16] {
        self.repository
    }

    /// Frames of a bundle without objects that are committed, in the order of the file.
    pub fn records(&self, kind: FrameKind) -> Vec<Record> {
        let state = self.state.read();
        state
            .records
            .iter()
            .filter(|record| record.kind == kind)
            .copied()
            .collect()
    }

    /// The bytes of such a frame, their digest compared.
    pub fn read_record(&self, record: &Record) -> Result<Vec<u8>> {
        let (file, head) = self.head(record.at)?;
        let mut frame = Frame::default();
        frame.read_stored_checked(&file, &head)?;
        frame.decompress_stored(&file, head, &NoBases)?;
        Ok(frame.payload().to_vec())
    }

    /// Bytes behind the last commit record of a bundle: an append that was interrupted, or is under way.
    pub fn unfinished_bytes(&self) -> u64 {
        self.state.read().files.first().map_or(0, |known| known.unfinished)
    }

    /// Notes what the frames of a bundle say, those of groups that a commit record closes.
    pub(super) fn scan_bundle(&self, number: u32, state: &mut State, problems: &mut Vec<Error>) -> Result<()> {
        let Some(known) = state.files.get(number as usize) else {
            return Ok(());
        };
        let file = known.file.clone();
        let length = file.file.len().map_err(Error::io("stat", &file.path))?;
        if length == known.scanned {
            problems.extend(
                known
                    .hurt
                    .iter()
                    .map(|(offset, expected, found)| Error::damaged(&file.path, *offset, expected, found)),
            );
            return Ok(());
        }
        let mut found = Found::default();
        walk(&file, &mut |finding| {
            match finding {
                Finding::Frame(head) => found.frames.push(head.offset),
                Finding::Commit(head) => found.committed = head.end(),
                Finding::Damage(Error::Damaged {
                    offset,
                    expected,
                    found: bytes,
                    ..
                }) => {
                    found.hurt.push((offset, expected, bytes));
                }
                Finding::Damage(error) => return Err(error),
                Finding::Tail { bytes, .. } => found.unfinished = bytes,
            }
            Ok(())
        })?;
        // Read twice, since all heads at once would be as much as all ids.
        for &offset in found.frames.iter().filter(|offset| **offset < found.committed) {
            self.note_frame(number, state, &file, offset)?;
        }
        if let Some(known) = state.files.get_mut(number as usize) {
            let damage =
                |(at, expected, bytes): &(u64, String, String)| Error::damaged(&file.path, *at, expected, bytes);
            problems.extend(found.hurt.iter().map(damage));
            known.committed = found.committed.max(known.committed);
            known.noted_records = found.committed.max(known.noted_records);
            known.noted_objects = found.committed.max(known.noted_objects);
            known.scanned = length;
            known.unfinished = found.unfinished;
            known.hurt = found.hurt;
        }
        Ok(())
    }

    /// Notes what the frame at `offset` of a bundle holds, as far as that is not noted yet.
    fn note_frame(&self, number: u32, state: &mut State, file: &DataFile, offset: u64) -> Result<()> {
        let Some(known) = state.files.get(number as usize) else {
            return Ok(());
        };
        let (is_new, has_new_objects) = (offset >= known.noted_records, offset >= known.noted_objects);
        if !is_new && !has_new_objects {
            return Ok(());
        }
        let Some(head) = file.head(offset)? else { return Ok(()) };
        let at = |slot| Location {
            file: number,
            frame: offset,
            slot,
        };
        if is_new && head.header.kind != FrameKind::Objects {
            let (kind, group) = (head.header.kind, head.header.group);
            state.records.push(Record { kind, at: at(0), group });
        }
        if has_new_objects {
            for (slot, row) in (0..).zip(&head.rows) {
                if !state.distrust.has(&at(slot)) {
                    self.recent.set(row.id, at(slot));
                }
            }
            self.spill_if_many_in(state);
        }
        Ok(())
    }

    /// Whether all objects of a bundle up to `end` are noted: then a writer that begins there notes what follows.
    pub(super) fn has_noted(&self, number: u32, end: u64) -> bool {
        let state = self.state.read();
        state
            .files
            .get(number as usize)
            .is_some_and(|known| known.noted_objects == end)
    }

    /// Notes that this process has appended all up to `end`, and knows its objects.
    pub(super) fn note_own(&self, number: u32, end: u64) {
        if let Some(known) = self.state.write().files.get_mut(number as usize) {
            known.noted_objects = known.noted_objects.max(end);
        }
    }

    /// The head of the frame at `at`, with the file that it is in.
    pub fn head(&self, at: Location) -> Result<(DataFile, Head)> {
        let file = self.data_file(at.file)?;
        let head = file.head(at.frame)?;
        let head = head.ok_or_else(|| Error::damaged(&file.path, at.frame, "a frame", "the end of the file"))?;
        Ok((file, head))
    }

    /// The file of a spool.
    pub fn spool_file(&self) -> Option<DataFile> {
        let is_spool = matches!(self.layout, Layout::Spool);
        is_spool.then(|| self.data_file(0).ok()).flatten()
    }

    /// Whether the store is one file.
    pub fn is_single(&self) -> bool {
        !matches!(self.layout, Layout::Repository { .. })
    }

    /// The appender of a store of one file.
    pub(super) fn acquire_single(&self) -> Result<Appender> {
        if let Layout::Bundle(path) = &self.layout {
            let mut adopt = |head: &Head| {
                for (slot, row) in (0..).zip(&head.rows) {
                    let (file, frame) = (0, head.offset);
                    self.recent.set(row.id, Location { file, frame, slot });
                }
            };
            let mut appender = Appender::acquire_bundle(&*self.disk, path, &mut adopt)?;
            // Who adds to a bundle syncs its name when all is there.
            appender.is_name_unsynced = false;
            return Ok(appender);
        }
        let file = self.data_file(0)?;
        let end = file.file.len().map_err(Error::io("stat", &file.path))?;
        Ok(Appender::at(file, end, false))
    }
}

/// What a walk over a bundle found.
#[derive(Default)]
struct Found {
    /// Offsets of frames.
    frames: Vec<u64>,
    committed: u64,
    unfinished: u64,
    hurt: Vec<(u64, String, String)>,
}

/// Whether a frame holds no data, only what describes it.
pub fn is_metadata(head: &Head) -> bool {
    head.rows.iter().all(|row| row.kind != ObjectKind::Block)
}

impl Known {
    pub(super) fn new(file: DataFile, is_attached: bool) -> Self {
        let start = super::data::format::FILE_HEADER_BYTES;
        Self {
            file,
            covered: start,
            committed: start,
            durable: start,
            is_attached,
            is_condemned: false,
            noted_records: start,
            noted_objects: start,
            scanned: 0,
            unfinished: 0,
            hurt: Vec::new(),
        }
    }
}

impl DataFile {
    /// Opens the bundle at `path`.
    pub fn open_bundle(disk: &dyn Disk, path: &Path, mode: OpenMode) -> Result<Self> {
        let file = disk.open(path, mode).map_err(Error::io("open", path))?;
        let header = read_header(path, &*file, FileHeader::decode_bundle)?;
        Ok(Self {
            path: path.to_owned(),
            header,
            file,
        })
    }

    /// Whether the last group must be read before it is trusted. Of a bundle it need not: its frames are durable before
    /// their commit record is written.
    pub fn is_committed_at_once(&self) -> bool {
        self.header.container == Container::Data
    }
}

impl Sealed {
    /// A frame of a file as it is stored, to be appended to another.
    pub(crate) fn of_file(file: &DataFile, head: &Head) -> Result<Self> {
        Self::of_file_in(file, head, Vec::new())
    }

    /// The same; its payload takes the place of what is in `stored`.
    pub(crate) fn of_file_in(file: &DataFile, head: &Head, mut stored: Vec<u8>) -> Result<Self> {
        file.stored_checked(head, &mut stored)?;
        let table = head.encode_table();
        Ok(Self {
            codec: head.header.codec,
            bases: head.header.bases,
            raw_bytes: head.header.raw_bytes,
            objects: head.header.objects,
            table,
            stored,
            digest: head.header.digest,
        })
    }
}
