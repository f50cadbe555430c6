//! The objects of a repository: put, get, make durable.
//!
//! - [`data`]: append-only files of frames, the truth
//! - [`index`]: sorted, mapped segments that say where an object lies; a cache of what the data files say
//! - [`delta`]: objects that are compressed against others
//! - [`recent`]: what no segment covers yet
//! - [`handles`]: which of the data files are open
//! - [`lookup`], [`refresh`]: finding objects; what the store consists of
//! - [`pack`], [`writer`]: grouping, compressing, appending, committing
//! - [`single`]: stores of one file, without an index: bundles; [`spill`]: what they have in its place
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
mod counters;
pub mod data;
pub mod delta;
mod distrust;
pub mod generation;
mod handles;
pub mod index;
pub mod lease;
mod lookup;
mod options;
pub mod pack;
pub mod parity;
pub mod recent;
mod refresh;
mod segments;
pub mod single;
mod spill;
mod supply;
pub mod sweep;
mod tables;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::object::HashAlgo;

pub use counters::Counters;
pub use data::read::Frame;
use data::read::{DataFile, Window};
pub use delta::{Checking, Gathered, Leaning, Near};
use generation::Generation;
use index::read::Segment;
pub use options::{DeltaOptions, Options};
pub use pack::{Class, HUGE_FILE_BYTES, LARGE_FILE_BYTES, Packer};
use recent::Recent;
pub use supply::{Show, Supply};
pub use tables::{IndexTable, LockedFile, StandingFile};
pub use writer::Writer;

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
    /// Up to here this process has made it durable.
    durable: u64,
    /// It belongs to another store: read here, never written.
    is_attached: bool,
    /// A later generation condemned it: look-ups pass it over.
    is_condemned: bool,
    /// Of a bundle: up to here its records are known, and in `records`.
    noted_records: u64,
    /// Of a bundle: up to here its objects are known. It is behind the records where this process has added to it.
    noted_objects: u64,
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
    /// Those of bundles, which have no names.
    spilled: Vec<Arc<Mapped>>,
    /// Segments that are damaged: not used, and removed by the next writer that writes one.
    distrusted: Vec<PathBuf>,
    /// Frames of bundles without objects.
    records: Vec<single::Record>,
    /// The generation that was read last; files that it condemned before this store was opened are not among `files`.
    generation: Generation,
    /// What look-ups pass over.
    distrust: distrust::Distrust,
    /// Rows that were looked at last.
    window: Mutex<Window>,
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
    handles: Arc<handles::Handles>,
    recent: Recent,
    /// So many ids of bundles are kept in memory.
    recent_max: AtomicUsize,
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
            handles: Arc::default(),
            recent: Recent::default(),
            recent_max: AtomicUsize::new(spill::IDS_MAX),
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

    /// All data files, with the length up to which each is committed.
    pub fn data_files(&self) -> Vec<(DataFile, u64)> {
        self.state
            .read()
            .files
            .iter()
            .map(|known| (known.file.clone(), known.committed))
            .collect()
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
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod examples;
