//! The objects of a repository: put, get, make durable.
//!
//! - [`data`]: append-only files of frames, the truth
//! - [`index`]: sorted, mapped segments that say where an object lies; a cache of what the data files say
//! - [`delta`]: objects that are compressed against others
//! - [`recent`]: what no segment covers yet
//! - [`pack`], [`writer`]: grouping, compressing, appending, committing
//! - [`single`]: stores of one file, without an index: bundles
//! - [`generation`], [`lease`]: which data files are condemned, and who still reads them; [`condemned`], [`sweep`]: what
//!   that means for a store that is open, and how they go
//!
//! Opening reads the headers of segments and data files and scans what no segment covers. Looking up asks `recent`,
//! then each segment; every hit is compared with the full id in the data file. A miss is believed at once where new
//! objects are expected, which are then at worst stored twice; where an object is needed, only after the segments were
//! checked whole: what a damaged one covers is scanned instead. Any number of processes may read and add at once: each
//! writer holds the kernel's lock on a data file of its own.

pub mod cache;
pub mod condemned;
mod copy;
pub mod data;
pub mod delta;
mod distrust;
pub mod generation;
pub mod index;
pub mod lease;
mod options;
pub mod pack;
pub mod parity;
pub mod recent;
mod segments;
pub mod single;
mod supply;
pub mod sweep;
mod tables;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::disk::{Disk, OpenMode};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, IdPrefix, ObjectId, ObjectKind};

use data::format::Row;
pub use data::read::Frame;
use data::read::{DataFile, Head, scan};
pub use delta::{Leaning, Near};
use generation::Generation;
use index::format::{Cover, unpack};
use index::read::Segment;
pub use options::{DeltaOptions, Options};
pub use pack::{Class, HUGE_FILE_BYTES, LARGE_FILE_BYTES, Packer};
use recent::{Recent, State as RecentState};
pub use supply::Supply;
pub use tables::{IndexTable, LockedFile, StandingFile};
pub use writer::{Counters, Writer};

/// Where an object lies. Ordered by data file, then offset, then slot: reading in this order is sequential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Number of the data file in this process.
    pub file: u32,
    /// Offset of the frame in bytes.
    pub frame: u64,
    /// Number of the object in the frame.
    pub slot: u16,
}

/// Whether an object was added or there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was added.
    New,
    /// It was there.
    Existing,
}

/// A data file and what is known of it.
#[derive(Debug)]
struct Known {
    file: DataFile,
    /// Up to here segments cover it.
    covered: u64,
    /// Up to here it is committed.
    committed: u64,
    /// It belongs to another store: read here, never written.
    is_attached: bool,
    /// A later generation condemned it: look-ups pass it over.
    is_condemned: bool,
    /// Of a bundle: its length when it was scanned.
    scanned: u64,
    /// Of a bundle: bytes behind the last commit record.
    unfinished: u64,
    /// Of a bundle: damage by offset, with what was expected and found.
    hurt: Vec<(u64, String, String)>,
}

/// The files that a store consists of.
#[derive(Clone, Debug)]
enum Layout {
    /// Folders of data files and index segments.
    Repository {
        ghost: PathBuf,
        data: PathBuf,
        index: PathBuf,
    },
    /// One file.
    Bundle(PathBuf),
    /// One file without a name.
    Spool,
}

/// A segment with the numbers that its data files have in this process.
#[derive(Debug)]
struct Mapped {
    segment: Segment,
    files: Vec<Option<u32>>,
}

impl Mapped {
    /// Whether it covers a data file that had no number when it was opened, and is not condemned.
    fn names_unknown(&self, state: &State) -> bool {
        let mut covers = self.segment.covers().iter().zip(&self.files);
        covers.any(|(cover, number)| number.is_none() && !state.generation.condemned.contains_key(&cover.file))
    }
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Known>,
    by_id: HashMap<[u8; 16], u32>,
    segments: Vec<Arc<Mapped>>,
    /// Segments that are damaged: not used, and removed by the next writer that writes one.
    distrusted: Vec<PathBuf>,
    /// Frames of bundles without objects.
    records: Vec<single::Record>,
    /// The generation that was read last; files that it condemned before this store was opened are not among `files`.
    generation: Generation,
    /// What look-ups pass over.
    distrust: distrust::Distrust,
}

/// The objects of a repository. Cheap to share: all methods take `&self`, from any thread.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    layout: Layout,
    repository: [u8; 16],
    algo: HashAlgo,
    options: Options,
    state: RwLock<State>,
    recent: Recent,
    frames: cache::FrameCache,
    deltas: delta::Deltas,
    problems: Mutex<Vec<Error>>,
    standing: condemned::Standing,
    supplied: supply::Supplied,
    /// Whether the segments were checked whole because of a miss.
    checked: AtomicBool,
}

impl Store {
    /// Opens the store in the folders `data` and `index` of `ghost_dir`, which must be there.
    pub fn open(
        disk: Arc<dyn Disk>,
        ghost_dir: &Path,
        repository: [u8; 16],
        algo: HashAlgo,
        options: Options,
    ) -> Result<Self> {
        let layout = Layout::Repository {
            ghost: ghost_dir.to_owned(),
            data: ghost_dir.join("data"),
            index: ghost_dir.join("index"),
        };
        let store = Self::empty(disk, layout, repository, algo, options);
        store.begin_generation()?;
        store.refresh()?;
        Ok(store)
    }

    fn empty(disk: Arc<dyn Disk>, layout: Layout, repository: [u8; 16], algo: HashAlgo, options: Options) -> Self {
        Self {
            disk,
            layout,
            repository,
            algo,
            options,
            state: RwLock::new(State::default()),
            recent: Recent::default(),
            frames: cache::FrameCache::default(),
            deltas: delta::Deltas::default(),
            problems: Mutex::new(Vec::new()),
            standing: condemned::Standing::default(),
            supplied: supply::Supplied::default(),
            checked: AtomicBool::new(false),
        }
    }

    /// The hash that new ids are made with.
    pub fn algo(&self) -> HashAlgo {
        self.algo
    }

    /// How the store writes.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Files that could not be used when the store was opened, with the reason. What they hold is missing.
    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().iter().map(ToString::to_string).collect()
    }

    /// The same as errors; the store forgets them.
    pub fn take_problems(&self) -> Vec<Error> {
        std::mem::take(&mut *self.problems.lock())
    }

    /// Data files that the index knows and that are gone or shorter than it says.
    pub fn missing_data(&self) -> Vec<Error> {
        let state = self.state.read();
        let mut missing = Vec::new();
        let Layout::Repository { data: folder, .. } = &self.layout else {
            return missing;
        };
        let covers = state.segments.iter().flat_map(|mapped| mapped.segment.covers());
        for cover in covers.filter(|cover| !state.generation.condemned.contains_key(&cover.file)) {
            let known = state
                .by_id
                .get(&cover.file)
                .and_then(|&number| state.files.get(number as usize));
            let length = known.map_or(0, |known| known.file.file.len().unwrap_or(0));
            if length < cover.to {
                let path = folder.join(format!("{}.{}", data::read::hex(&cover.file), data::format::EXTENSION));
                let found = if known.is_some() {
                    format!("{length} bytes")
                } else {
                    "no usable file".to_owned()
                };
                let expected = format!("at least {} bytes, as the index says", cover.to);
                missing.push(Error::damaged(path, length, expected, found));
            }
        }
        missing
    }

    /// Looks for data files, ranges and segments that other processes have added.
    pub fn refresh(&self) -> Result<()> {
        self.refresh_state(&mut self.state.write())
    }

    fn refresh_state(&self, state: &mut State) -> Result<()> {
        let mut problems: Vec<Error> = self.standing.problem().into_iter().collect();
        if let Layout::Repository { data, index, .. } = &self.layout {
            self.list_files(data, state, &mut problems)?;
            self.list_segments(index, state, &mut problems)?;
            if state.segments.iter().any(|mapped| mapped.names_unknown(state)) {
                // Another process has made a data file and its segment since the folder was listed.
                problems.truncate(usize::from(self.standing.has_problem()));
                self.list_files(data, state, &mut problems)?;
                self.list_segments(index, state, &mut problems)?;
            }
        }
        self.scan_uncovered(state, &mut problems)?;
        *self.problems.lock() = problems;
        Ok(())
    }

    fn list_files(&self, folder: &Path, state: &mut State, problems: &mut Vec<Error>) -> Result<()> {
        let mut names = self.disk.list(folder).map_err(Error::io("list", folder))?;
        names.retain(|name| writer::is_data_file(name) && !state.generation.condemns(name));
        names.sort();
        for name in names {
            let path = folder.join(name);
            if state.files.iter().any(|known| known.file.path == path) {
                continue;
            }
            match DataFile::open(&*self.disk, &path, OpenMode::Read, &self.repository) {
                Ok(file) => {
                    self.add_file(state, file, false)?;
                }
                // A file shorter than its header is one that another process is just making, or died while making.
                Err(problem) => problems.push(problem),
            }
        }
        Ok(())
    }

    fn add_file(&self, state: &mut State, file: DataFile, is_attached: bool) -> Result<u32> {
        if let Some(&known) = state.by_id.get(&file.header.file) {
            return Ok(known);
        }
        let number = state.files.len() as u32;
        if number >= u32::from(u16::MAX) {
            let problem = "more than 65,535 data files; raise data.file-max";
            return Err(Error::invalid("repository", file.path.display(), problem));
        }
        state.by_id.insert(file.header.file, number);
        state.files.push(Known::new(file, is_attached));
        Ok(number)
    }

    fn scan_uncovered(&self, state: &mut State, problems: &mut Vec<Error>) -> Result<()> {
        let is_bundle = |known: &Known| !known.file.is_committed_at_once();
        let bundles: Vec<u32> = (0..)
            .zip(&state.files)
            .filter(|(_, known)| is_bundle(known) && !known.is_condemned)
            .map(|(n, _)| n)
            .collect();
        for number in bundles {
            self.scan_bundle(number, state, problems)?;
        }
        let is_due = |known: &Known| !is_bundle(known) && !known.is_condemned;
        let State { files, distrust, .. } = state;
        for (number, known) in (0..).zip(files).filter(|(_, known)| is_due(known)) {
            let length = known.file.file.len().map_err(Error::io("stat", &known.file.path))?;
            let from = known.covered.max(known.committed);
            if length <= from {
                known.committed = from;
                continue;
            }
            let mut note = |head: &Head| {
                for (slot, row) in (0..).zip(&head.rows) {
                    let at = Location {
                        file: number,
                        frame: head.offset,
                        slot,
                    };
                    if !distrust.has(&at) {
                        self.recent.set(row.id, at);
                    }
                }
            };
            known.committed = scan(&known.file, from, known.covered, &mut note)?.committed;
        }
        Ok(())
    }

    /// Where an object lies.
    pub fn locate(&self, id: &ObjectId) -> Result<Option<Location>> {
        match self.recent.get(id) {
            Some(RecentState::At(at)) => Ok(Some(at)),
            _ => self.locate_in_segments(id),
        }
    }

    fn locate_in_segments(&self, id: &ObjectId) -> Result<Option<Location>> {
        let state = self.state.read();
        for mapped in &state.segments {
            for locator in mapped.segment.candidates(id.prefix()) {
                if let Some((at, _)) = confirm(&state, mapped, locator, |found| found == id)?
                    && !state.files[at.file as usize].is_condemned
                {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    /// Whether the object is there.
    pub fn contains(&self, id: &ObjectId) -> Result<bool> {
        Ok(self.locate(id)?.is_some())
    }

    /// The kind that the object was stored as.
    pub fn kind_of(&self, id: &ObjectId) -> Result<Option<ObjectKind>> {
        let Some(at) = self.locate_to_read(id)? else {
            return Ok(None);
        };
        Ok(self.row_at(at)?.map(|row| row.kind))
    }

    /// The row of the object at `at`, unchecked but for the row itself.
    pub(crate) fn row_at(&self, at: Location) -> Result<Option<Row>> {
        self.data_file(at.file)?.row(at.frame, at.slot)
    }

    /// The bytes of an object, hash checked. Where one copy does not read, another is looked for.
    pub fn get(&self, id: &ObjectId) -> Result<Option<Vec<u8>>> {
        let Some(at) = self.locate_to_read(id)? else {
            return self.reason_of(id).map_or(Ok(None), Err);
        };
        match self.get_at(id, at) {
            Err(error) if error.is_damage() => self.get_elsewhere(id, at, error).map(Some),
            read => read.map(Some),
        }
    }

    fn get_at(&self, id: &ObjectId, at: Location) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.near().read(at, id, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads and decompresses one frame (the slot is not looked at), reusing the buffers of `into`.
    pub fn read_frame(&self, at: Location, into: &mut Frame) -> Result<()> {
        into.clear();
        let (file, head) = self.head(at)?;
        into.read_payload(&file, head, &self.near())
    }

    fn data_file(&self, number: u32) -> Result<DataFile> {
        let state = self.state.read();
        let known = state.files.get(number as usize);
        known.map(|known| known.file.clone()).ok_or_else(|| {
            Error::invalid(
                "location",
                number,
                "no data file has that number; it is from another run",
            )
        })
    }

    /// All data files, with the length up to which each is committed.
    pub fn data_files(&self) -> Vec<(DataFile, u64)> {
        self.state
            .read()
            .files
            .iter()
            .map(|known| (known.file.clone(), known.committed))
            .collect()
    }

    /// Ids that begin so: at most `limit`.
    pub fn find_prefix(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<ObjectId>> {
        let (low, high) = prefix.range();
        let mut found: Vec<ObjectId> = Vec::new();
        self.recent.each(&mut |id, _| {
            if prefix.matches(id) && found.len() < limit {
                found.push(*id);
            }
        });
        let state = self.state.read();
        for mapped in &state.segments {
            let segment = &mapped.segment;
            for at in segment.lower_bound(low)..segment.len() {
                let (found_prefix, locator) = segment.entry(at);
                if found_prefix > high || found.len() >= limit {
                    break;
                }
                if let Some((_, id)) = confirm(&state, mapped, locator, |id| prefix.matches(id))? {
                    found.push(id);
                }
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Begins to write. A data file is locked when the first frame is appended. Refused where another store is attached
    /// to a repository.
    pub fn writer(&self) -> Result<Writer<'_>> {
        self.need_lease()?;
        if !self.is_single() && self.has_attached() {
            let problem = "a bundle is attached to it, so that it can only be read";
            return Err(Error::invalid("store", self.place().display(), problem));
        }
        Ok(Writer::new(self, false))
    }

    /// Begins to count what writing would add. The store cannot be written to afterwards.
    pub fn dry_writer(&self) -> Writer<'_> {
        Writer::new(self, true)
    }

    /// Whether every data file that the index knows is there and every file could be used.
    pub fn is_whole(&self) -> bool {
        let state = self.state.read();
        let is_gone = |(cover, number): (&Cover, &Option<u32>)| {
            number.is_none() && !state.generation.condemned.contains_key(&cover.file)
        };
        let known = |mapped: &Arc<Mapped>| !mapped.segment.covers().iter().zip(&mapped.files).any(is_gone);
        self.problems.lock().is_empty() && state.segments.iter().all(known)
    }
}

/// Follows a locator and compares the id in the data file; a locator that leads nowhere is no hit.
fn confirm(
    state: &State,
    mapped: &Mapped,
    locator: u64,
    is_wanted: impl Fn(&ObjectId) -> bool,
) -> Result<Option<(Location, ObjectId)>> {
    let (file, frame, slot) = unpack(locator);
    let Some(Some(number)) = mapped.files.get(usize::from(file)) else {
        return Ok(None);
    };
    let Some(known) = state.files.get(*number as usize) else {
        return Ok(None);
    };
    let at = Location {
        file: *number,
        frame,
        slot,
    };
    if state.distrust.has(&at) {
        return Ok(None);
    }
    let row = known.file.row(frame, slot)?;
    Ok(row.filter(|row| is_wanted(&row.id)).map(|row| (at, row.id)))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod examples;
