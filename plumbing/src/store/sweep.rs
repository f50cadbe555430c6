//! How condemned data files go.
//!
//! 1. the leases: what a generation condemned goes when nobody holds a lease of an earlier one
//! 2. unlink, sync the folder
//! 3. write the index segments that name these files anew, without them
//! 4. take their ids off the list of the generation
//!
//! After a crash between any two steps the list still names what is half gone, and the next sweep goes on there. Nobody
//! puts such a file into a segment again: who might have held a lease of an earlier generation, and there is none.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::data::format::EXTENSION;
use super::data::read::hex;
use super::generation::Prepared;
use super::index::format::{Cover, EXTENSION as SEGMENT_EXTENSION, pack, unpack};
use super::index::read::Segment;
use super::index::write::SegmentWriter;
use super::lease::{CollectLock, living, while_alone};
use super::{Layout, Store};
use crate::disk::{DiskFile, LockKind, OpenMode};
use crate::error::{Error, Result};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Data files that were unlinked.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Condemned data files that some process may still read.
    pub waiting_files: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
}

impl Store {
    /// Unlinks the condemned data files that nobody can need any more.
    pub fn sweep(&self, _lock: &CollectLock) -> Result<Swept> {
        let Layout::Repository { ghost, data, index } = &self.layout else {
            return Ok(Swept::default());
        };
        let mut generation = self.read_generation()?;
        let mut swept = Swept::default();
        if generation.condemned.is_empty() {
            return Ok(swept);
        }
        // Whoever published it may have gone before its name was durable: what it names must not go before that.
        self.disk.sync_dir(ghost).map_err(Error::io("sync", ghost))?;
        let oldest = living(&*self.disk, ghost, generation.number)?.oldest;
        let mut free = BTreeSet::new();
        for (file, since) in &generation.condemned {
            let path = data.join(format!("{}.{EXTENSION}", hex(file)));
            let bytes = match self.disk.open(&path, OpenMode::Read) {
                Ok(open) => Some(open.len().map_err(Error::io("stat", &path))?),
                Err(e) if e.kind() == ErrorKind::NotFound => None,
                Err(e) => return Err(Error::io("open", &path)(e)),
            };
            if *since > oldest {
                swept.waiting_files += u64::from(bytes.is_some());
                swept.waiting_bytes += bytes.unwrap_or(0);
                continue;
            }
            if let Some(bytes) = bytes {
                self.disk.remove(&path).map_err(Error::io("remove", &path))?;
                swept.files += 1;
                swept.bytes += bytes;
            }
            free.insert(*file);
        }
        if free.is_empty() {
            return Ok(swept);
        }
        self.disk.sync_dir(data).map_err(Error::io("sync", data))?;
        self.close_files(&free);
        self.drop_from_index(index, &free)?;
        generation.condemned.retain(|file, _| !free.contains(file));
        let prepared = Prepared::new(&*self.disk, ghost, &self.repository, &generation)?;
        prepared.publish(&*self.disk)?;
        self.disk.sync_dir(ghost).map_err(Error::io("sync", ghost))?;
        self.refresh()?;
        Ok(swept)
    }

    /// The same where another process may be at it already, or something else is in the way: then it is left to the next.
    pub fn sweep_if_due(&self) {
        let is_due = !self.state.read().generation.condemned.is_empty() && self.leased() == Some(self.generation());
        if let Some(ghost_dir) = self.ghost_dir().filter(|_| is_due)
            && let Ok(Some(lock)) = CollectLock::try_take(&*self.disk, ghost_dir)
        {
            // Whoever collects next sees the same files and says what is wrong.
            let _ = self.sweep(&lock);
        }
    }

    /// Takes these data files, and others that the index knows and nobody finds, out of the index.
    pub(crate) fn forget_files(&self, gone: &BTreeSet<[u8; 16]>) -> Result<()> {
        let Layout::Repository { index, .. } = &self.layout else {
            return Ok(());
        };
        self.refresh()?;
        let mut gone = gone.clone();
        for mapped in &self.state.read().segments {
            let covers = mapped.segment.covers().iter().zip(&mapped.files);
            gone.extend(
                covers
                    .filter(|(_, number)| number.is_none())
                    .map(|(cover, _)| cover.file),
            );
        }
        self.drop_from_index(index, &gone)
    }

    /// Closes data files that are gone, so that the system can free their room.
    fn close_files(&self, gone: &BTreeSet<[u8; 16]>) {
        for known in &mut self.state.write().files {
            if known.is_condemned && gone.contains(&known.file.header.file) {
                known.file.file = Arc::new(Gone);
            }
        }
    }

    /// Writes the segments anew that name these data files.
    fn drop_from_index(&self, folder: &Path, gone: &BTreeSet<[u8; 16]>) -> Result<()> {
        let names = match self.disk.list(folder) {
            Ok(names) => names,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io("list", folder)(e)),
        };
        for path in names.into_iter().map(|name| folder.join(name)) {
            if path.extension().is_none_or(|extension| extension != SEGMENT_EXTENSION) {
                continue;
            }
            let segment = match Segment::open(&*self.disk, &path, &self.repository) {
                Ok(segment) => segment,
                // Damage is found, and removed, by who needs the segment; another process may have merged it.
                Err(e) if e.is_damage() => continue,
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if !segment.covers().iter().any(|cover| gone.contains(&cover.file)) {
                continue;
            }
            // A copy of a damaged one would have a check that holds; without it, what it covered is scanned.
            if segment.verify().is_ok() {
                self.copy_segment(folder, &segment, gone)?;
            }
            match self.disk.remove(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("remove", &path)(e)),
                _ => {}
            }
        }
        // Whoever removed some before may have gone before that was durable.
        self.disk.sync_dir(folder).map_err(Error::io("sync", folder))
    }

    fn copy_segment(&self, folder: &Path, segment: &Segment, gone: &BTreeSet<[u8; 16]>) -> Result<()> {
        let stays = |cover: &Cover| !gone.contains(&cover.file);
        let covers: Vec<Cover> = segment.covers().iter().copied().filter(stays).collect();
        if covers.is_empty() {
            return Ok(());
        }
        let mut next = 0;
        let numbers: Vec<Option<u16>> = segment
            .covers()
            .iter()
            .map(|cover| {
                let number = stays(cover).then_some(next);
                next += u16::from(number.is_some());
                number
            })
            .collect();
        let place = |at: usize| {
            let (prefix, locator) = segment.entry(at);
            let (file, frame, slot) = unpack(locator);
            let number = numbers.get(usize::from(file)).copied().flatten()?;
            Some((prefix, pack(number, frame, slot)))
        };
        let count = (0..segment.len()).filter(|&at| place(at).is_some()).count();
        let mut writer = SegmentWriter::create(&*self.disk, folder, &self.repository, &covers, count as u64)?;
        for (prefix, locator) in (0..segment.len()).filter_map(place) {
            writer.push(prefix, locator)?;
        }
        writer.finish().map(drop)
    }

    /// Removes what killed processes left under temporary names, if no other process has this repository open. Gives how
    /// many files that were.
    pub fn remove_leftovers(&self, _lock: &CollectLock) -> Result<u64> {
        let Some(ghost_dir) = self.ghost_dir() else {
            return Ok(0);
        };
        let removed = self.with_lease(|own| {
            while_alone(&*self.disk, ghost_dir, own, || {
                let folders = ["", "data", "index", "refs", "cache", "parity"].map(|name| ghost_dir.join(name));
                folders.iter().map(|folder| self.remove_temporary(folder)).sum()
            })
        })?;
        Ok(removed.flatten().unwrap_or(0))
    }

    fn remove_temporary(&self, folder: &Path) -> u64 {
        let is_temporary = |name: &std::ffi::OsString| {
            let name = name.to_string_lossy();
            let salted = name
                .rsplit_once(".tmp-")
                .is_some_and(|(_, salt)| salt.len() == 16 && salt.bytes().all(|b| b.is_ascii_hexdigit()));
            salted || (folder.ends_with("index") && name.ends_with(".tmp"))
        };
        let names = self.disk.list(folder).unwrap_or_default();
        let removed = names
            .iter()
            .filter(|name| is_temporary(name))
            .filter(|name| self.disk.remove(&folder.join(name)).is_ok());
        removed.count() as u64
    }
}

/// A data file that was unlinked: it has no bytes.
#[derive(Debug)]
struct Gone;

impl DiskFile for Gone {
    /// A segment that another process wrote may still name it: what it leads to is no hit, and no error.
    fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
        Ok(0)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> std::io::Result<()> {
        Err(ErrorKind::NotFound.into())
    }

    fn len(&self) -> std::io::Result<u64> {
        Ok(0)
    }

    fn set_len(&self, _: u64) -> std::io::Result<()> {
        Err(ErrorKind::NotFound.into())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, _: LockKind) -> std::io::Result<bool> {
        Ok(false)
    }

    fn lock(&self, _: LockKind) -> std::io::Result<()> {
        Err(ErrorKind::NotFound.into())
    }

    fn unlock(&self) -> std::io::Result<()> {
        Ok(())
    }
}
