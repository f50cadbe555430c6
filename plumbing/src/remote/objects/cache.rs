//! Where objects of others are kept while, and after, they are read (object-format.md, "Cache of a lazy repository").
//!
//! A cache is a few files, each a bundle without roots, the newest last; what comes goes to the newest of its [`Use`]. They
//! are attached to the store that reads ([`Store::attach`]), and it checks what it reads of them as it checks all.
//!
//! 1. A file takes no more when it has an eighth of the room, many answers, or an eighth of its time behind it.
//! 2. Where there is more than the room, the oldest files go, but for those that the last questions were about: who
//!    plans and writes at the same time, one question behind, finds both. What was brought to be read later goes last, and
//!    has half of the room: the directories of a tree are brought first, and read until its last file is written. A file
//!    that goes is given up by the store that reads it, too ([`Store::retire`]), and its room is free at once.
//! 3. What is older than its time goes when the cache is opened.
//!
//! Nothing here is the only copy of anything: only what another repository gave is put here, and every file may be
//! removed at any time. What does not read is fetched again.
//!
//! Processes share the folder of a cache. Who finds the newest file locked begins another one; who reads a file that
//! goes has it open.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashSet;

use super::lent::LendingDisk;
use crate::disk::{Disk, LockKind, OpenMode};
use crate::error::{Error, Result};
use crate::object::HashAlgo;
use crate::store::{Options, Store, Writer};
use crate::time::Timestamp;

/// What the names of cached files end with.
pub const EXTENSION: &str = "cache";
/// Files that a cache is divided into: so much of it goes at once.
const PARTS: u64 = 8;
/// Shortest file in bytes that begins another one.
const PART_BYTES_MIN: u64 = 1 << 20;
/// Answers in one file: each costs a look at all frames of it.
const ANSWERS_MAX: u32 = 256;
/// So many questions back a file was used that must stay.
const QUESTIONS_BACK: u64 = 3;

/// Where a cache is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In files beside this path that have no names and go with the process.
    Spool(PathBuf),
    /// In this folder, for later runs, too.
    Folder(PathBuf),
}

/// How a cache keeps.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// Where.
    pub place: Place,
    /// Bytes of files at most, beside what is being read.
    pub bytes_max: u64,
    /// How long what came stays; none is for good.
    pub time: Option<Duration>,
    /// The time now.
    pub now: Timestamp,
}

/// What is done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It was used as it came: what is kept of it is kept in case it is needed again.
    AsItComes,
    /// It is read later.
    Later,
}

/// One file.
#[derive(Debug)]
struct Kept {
    /// Its path; none where it has no name.
    path: Option<PathBuf>,
    store: Store,
    disk: Arc<LendingDisk>,
    /// Its number in the store that reads.
    number: Option<u32>,
    /// What for its answers came; that of files of earlier runs is over.
    purpose: Use,
    /// When it was begun, in seconds since 1970.
    begun: i64,
    bytes: u64,
    answers: u32,
    /// The question that it was last used for.
    used: u64,
    /// No more is added.
    is_full: bool,
}

/// Objects of others.
#[derive(Debug)]
pub struct Cache {
    disk: Arc<dyn Disk>,
    algo: HashAlgo,
    options: Options,
    keeping: Keeping,
    /// The oldest first.
    files: Vec<Kept>,
    /// Questions so far.
    question: u64,
}

impl Cache {
    /// Opens what is there. Files that are too old, or that are no bundles, are removed.
    pub fn open(disk: Arc<dyn Disk>, algo: HashAlgo, options: Options, keeping: Keeping) -> Result<Self> {
        let mut cache = Self {
            disk,
            algo,
            options,
            keeping,
            files: Vec::new(),
            question: 0,
        };
        if let Place::Folder(folder) = &cache.keeping.place {
            let folder = folder.clone();
            make_folder(&*cache.disk, &folder)?;
            for (begun, path) in files_in(&*cache.disk, &folder)? {
                match cache.is_old(begun) {
                    true => remove(&*cache.disk, &path)?,
                    false => cache.reopen(path, begun)?,
                }
            }
            cache.make_room(None)?;
        }
        Ok(cache)
    }

    /// Lets `store` read all that is here.
    pub fn attach_to(&mut self, store: &Store) -> Result<()> {
        for kept in &mut self.files {
            store.attach(&kept.store)?;
            kept.number = store.number_of(&kept.store);
        }
        Ok(())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|kept| kept.bytes).sum()
    }

    /// Lets `fetch` add what comes, attaches it to `store`, and makes room. `beside` are the numbers of files that are
    /// read along with it.
    pub fn take<T>(
        &mut self,
        store: &Store,
        (beside, purpose): (&HashSet<u32>, Use),
        fetch: impl FnOnce(&Writer<'_>) -> Result<T>,
    ) -> Result<T> {
        self.question += 1;
        let question = self.question;
        for kept in &mut self.files {
            if kept.number.is_some_and(|number| beside.contains(&number)) {
                kept.used = question;
            }
        }
        let at = self.newest(purpose)?;
        let kept = &mut self.files[at];
        kept.used = question;
        kept.answers += 1;
        let writer = kept.store.writer()?;
        let fetched = fetch(&writer);
        // What came before it broke is good, but the packer may have more: nothing follows it.
        kept.is_full |= fetched.is_err();
        writer.commit()?;
        drop(writer);
        kept.bytes = bytes_of(&kept.store)?;
        store.attach(&kept.store)?;
        kept.number = store.number_of(&kept.store);
        self.make_room(Some(store))?;
        fetched
    }

    /// Removes all that is here.
    pub fn clear(disk: &dyn Disk, folder: &Path) -> Result<()> {
        for (_, path) in files_in(disk, folder)? {
            remove(disk, &path)?;
        }
        Ok(())
    }

    fn is_old(&self, begun: i64) -> bool {
        let age = self.keeping.now.seconds.saturating_sub(begun);
        self.keeping
            .time
            .is_some_and(|time| i64::try_from(time.as_secs()).is_ok_and(|time| age > time))
    }

    /// Whether a file takes no more.
    fn is_full(&self, kept: &Kept) -> bool {
        let part = (self.keeping.bytes_max / PARTS).max(PART_BYTES_MIN);
        let age = self.keeping.now.seconds.saturating_sub(kept.begun);
        let is_aged = |time: Duration| i64::try_from(time.as_secs() / PARTS).is_ok_and(|time| age > time);
        kept.is_full || kept.bytes >= part || kept.answers >= ANSWERS_MAX || self.keeping.time.is_some_and(is_aged)
    }

    /// The file that takes what comes next.
    fn newest(&mut self, purpose: Use) -> Result<usize> {
        let takes = |kept: &Kept| !self.is_full(kept) && kept.path.as_ref().is_none_or(|path| self.is_free(path));
        let last = self.files.iter().rposition(|kept| kept.purpose == purpose);
        match last.filter(|&at| takes(&self.files[at])) {
            Some(at) => Ok(at),
            None => {
                self.begin(purpose)?;
                Ok(self.files.len() - 1)
            }
        }
    }

    /// Whether nobody else adds to a file.
    fn is_free(&self, path: &Path) -> bool {
        let opened = self.disk.open(path, OpenMode::Write);
        opened.is_ok_and(|file| matches!(file.try_lock(LockKind::Exclusive), Ok(true)) && file.unlock().is_ok())
    }

    fn begin(&mut self, purpose: Use) -> Result<()> {
        let disk = Arc::new(LendingDisk::new(self.disk.clone()));
        let begun = self.keeping.now.seconds;
        let (path, store) = match &self.keeping.place {
            Place::Spool(path) => (None, Store::spool(disk.clone(), path, self.algo, self.options.clone())?),
            Place::Folder(folder) => {
                let mut random = [0; 8];
                let failed = Error::io("get random bytes for", folder);
                self.disk.random(&mut random).map_err(failed)?;
                let random = u64::from_le_bytes(random);
                let path = folder.join(format!("{begun:020}-{random:016x}.{EXTENSION}"));
                let store = Store::create_bundle(disk.clone(), &path, self.algo, self.options.clone())?;
                (Some(path), store)
            }
        };
        self.files.push(Kept {
            path,
            store,
            disk,
            number: None,
            purpose,
            begun,
            bytes: 0,
            answers: 0,
            used: self.question,
            is_full: false,
        });
        Ok(())
    }

    /// Opens a file of an earlier run.
    fn reopen(&mut self, path: PathBuf, begun: i64) -> Result<()> {
        let disk = Arc::new(LendingDisk::new(self.disk.clone()));
        let opened = Store::open_bundle(disk.clone(), &path, self.options.clone());
        let store = match opened {
            Ok(store) if store.algo() == self.algo && store.problems().is_empty() => store,
            Ok(_) => return remove(&*self.disk, &path),
            Err(error) if error.is_damage() => return remove(&*self.disk, &path),
            // Another process has removed it.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let bytes = bytes_of(&store)?;
        self.files.push(Kept {
            path: Some(path),
            store,
            disk,
            number: None,
            purpose: Use::AsItComes,
            begun,
            bytes,
            answers: 0,
            used: 0,
            is_full: false,
        });
        Ok(())
    }

    /// Which files stay: those in use, and of what is read later the newest in half of the room, in any case; the others
    /// as far as there is room beside them, first those that were used as they came, the newest first.
    fn which_stay(&self, is_reading: bool) -> Vec<bool> {
        let (bytes_max, mut stays) = (self.keeping.bytes_max, vec![false; self.files.len()]);
        let mut bytes = 0;
        for (file, stays) in self.files.iter().zip(&mut stays) {
            *stays = is_reading && file.used + QUESTIONS_BACK > self.question;
            bytes += if *stays { file.bytes } else { 0 };
        }
        let half = bytes + bytes_max / 2;
        for (purpose, most) in [(Use::Later, half), (Use::AsItComes, bytes_max), (Use::Later, bytes_max)] {
            let files = self.files.iter().zip(&mut stays).rev();
            for (file, stays) in files.filter(|(file, stays)| file.purpose == purpose && !**stays) {
                // What is older than one that goes, goes.
                if bytes + file.bytes > most {
                    break;
                }
                bytes += file.bytes;
                *stays = true;
            }
        }
        stays
    }

    /// Removes the oldest files while there is too much, and lets the store that reads them know.
    fn make_room(&mut self, store: Option<&Store>) -> Result<()> {
        let stays = self.which_stay(store.is_some());
        let (mut kept, mut gone) = (Vec::with_capacity(self.files.len()), Vec::new());
        for (file, stays) in self.files.drain(..).zip(stays) {
            if stays { &mut kept } else { &mut gone }.push(file);
        }
        self.files = kept;
        if let Some(store) = store {
            let numbers: Vec<u32> = gone.iter().filter_map(|file| file.number).collect();
            if !numbers.is_empty() {
                store.retire(&numbers);
            }
        }
        for file in gone {
            if let Some(path) = &file.path {
                remove(&*self.disk, path)?;
            }
            file.disk.take_back();
        }
        Ok(())
    }
}

fn bytes_of(store: &Store) -> Result<u64> {
    let mut bytes = 0;
    for (file, _) in store.data_files() {
        bytes += file.file.len().map_err(Error::io("stat", &file.path))?;
    }
    Ok(bytes)
}

/// The files of a cache with the seconds at which they were begun, the oldest first.
fn files_in(disk: &dyn Disk, folder: &Path) -> Result<Vec<(i64, PathBuf)>> {
    let names = match disk.list(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    let begun = |path: &Path| -> Option<i64> {
        path.extension().filter(|extension| *extension == EXTENSION)?;
        path.file_stem()?.to_str()?.split_once('-')?.0.parse().ok()
    };
    let paths = names.into_iter().map(|name| folder.join(name));
    let mut found: Vec<_> = paths.filter_map(|path| Some((begun(&path)?, path))).collect();
    found.sort();
    Ok(found)
}

fn make_folder(disk: &dyn Disk, folder: &Path) -> Result<()> {
    match disk.create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::io("create", folder)(error)),
        _ => Ok(()),
    }
}

/// Removes a file that another process may have removed.
fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
