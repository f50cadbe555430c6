//! The segments of an open store: listing, publishing, merging.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::data::format::FILE_HEADER_BYTES;
use super::data::write::renew_committed;
use super::index::format::{Cover, EXTENSION, pack};
use super::index::merge::{merge, plan, unite};
use super::index::read::Segment;
use super::index::write::SegmentWriter;
use super::{Known, Layout, Location, Mapped, State, Store};
use crate::error::{Error, Result};

/// How often the folder is listed again where segments vanish that were listed: others merge them meanwhile.
const LISTS_MAX: usize = 10;

impl Store {
    pub(super) fn list_segments(&self, folder: &Path, state: &mut State, problems: &mut Vec<Error>) -> Result<()> {
        let before = problems.len();
        for _ in 0..LISTS_MAX {
            problems.truncate(before);
            if self.try_list_segments(folder, state, problems)? {
                break;
            }
        }
        Ok(())
    }

    /// Lists and opens all segments; says whether each that was listed was still there.
    fn try_list_segments(&self, folder: &Path, state: &mut State, problems: &mut Vec<Error>) -> Result<bool> {
        let names = match self.disk.list(folder) {
            Ok(names) => names,
            // Somebody removed the index, which may be: it is a cache.
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("list", folder)(error)),
        };
        let mut paths: Vec<PathBuf> = names.into_iter().map(|name| folder.join(name)).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        paths.retain(|path| !state.distrusted.contains(path));
        let mut segments = Vec::with_capacity(paths.len());
        let mut all_there = true;
        for path in paths {
            let known = state.segments.iter().find(|mapped| mapped.segment.path() == path);
            if let Some(mapped) = known.filter(|mapped| !mapped.names_unknown(state)) {
                segments.push(mapped.clone());
                continue;
            }
            match Segment::open(&*self.disk, &path, &self.repository) {
                Ok(segment) => segments.push(Arc::new(with_numbers(state, segment))),
                // Another process has merged it since the folder was listed.
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => all_there = false,
                Err(problem) => {
                    if problem.is_damage() {
                        state.distrusted.push(path);
                    }
                    problems.push(problem);
                }
            }
        }
        // The largest first: most objects are there.
        segments.sort_by_key(|mapped| std::cmp::Reverse(mapped.segment.len()));
        state.segments = segments;
        note_covers(state);
        Ok(all_there)
    }

    /// Data files that may be written to and have, or have no, room, the longest first, with the offset up to which segments
    /// vouch for them. Where there are no locks a file is of who made it.
    pub(super) fn files_to_write(&self, with_room: bool) -> Result<Vec<(PathBuf, u64)>> {
        if self.disk.is_plain() {
            return Ok(Vec::new());
        }
        let state = self.state.read();
        let mut found = Vec::new();
        for (number, known) in (0..).zip(&state.files) {
            let length = known.file.file.len().map_err(Error::io("stat", &known.file.path))?;
            let is_usable = !known.is_attached && !known.is_condemned && !state.distrust.has_file(number);
            if (length < self.options.file_bytes_max) == with_room && is_usable {
                found.push((length, known.file.path.clone(), known.covered));
            }
        }
        found.sort_by(|a, b| b.cmp(a));
        Ok(found.into_iter().map(|(_, path, covered)| (path, covered)).collect())
    }

    pub(super) fn ordinal_of(&self, path: &Path) -> Option<u32> {
        let state = self.state.read();
        (0..)
            .zip(&state.files)
            .find(|(_, known)| known.file.path == path)
            .map(|(number, _)| number)
    }

    pub(super) fn register(&self, file: &super::data::read::DataFile) -> Result<u32> {
        self.add_file(&mut self.state.write(), file.clone(), false)
    }

    /// Notes that this process has made a data file durable up to `end`.
    pub(super) fn committed(&self, number: u32, end: u64) {
        if let Some(known) = self.state.write().files.get_mut(number as usize) {
            known.committed = known.committed.max(end);
            known.durable = known.durable.max(end);
        }
    }

    /// Makes durable what other processes have committed but may not have synced yet, as far as this store has seen it; then
    /// a ref may name it. Fails where that is there no more: it was lost with a sync of theirs.
    pub fn make_durable(&self) -> Result<()> {
        self.sync_uncovered(None)
    }

    pub(super) fn sync_uncovered(&self, except: Option<u32>) -> Result<()> {
        let is_due = |number: u32, known: &Known| {
            let synced = known.covered.max(known.durable);
            Some(number) != except && known.committed > synced && !known.is_condemned
        };
        let due: Vec<(u32, u64)> = {
            let state = self.state.read();
            let due = (0..).zip(&state.files).filter(|(number, known)| is_due(*number, known));
            due.map(|(number, known)| (number, known.committed)).collect()
        };
        if let Layout::Repository { data, .. } = &self.layout
            && !due.is_empty()
        {
            // Who made a file may have gone before its name was durable.
            self.disk.sync_dir(data).map_err(Error::io("sync", data))?;
        }
        for (number, committed) in due {
            self.sync_file(number, committed)?;
            if let Some(known) = self.state.write().files.get_mut(number as usize) {
                known.durable = known.durable.max(committed);
            }
        }
        Ok(())
    }

    fn sync_file(&self, number: u32, committed: u64) -> Result<()> {
        let state = self.state.read();
        let Some(known) = state.files.get(number as usize) else {
            return Ok(());
        };
        // In a plain folder files are those of who made them, and nobody else writes.
        let is_shared = !known.is_attached && !self.disk.is_plain();
        if is_shared && known.file.is_committed_at_once() {
            let path = &known.file.path;
            let end = renew_committed(&*self.disk, path, &self.repository, known.covered)?;
            if end < committed {
                let expected = format!("a commit record that ends at {committed}, of another process");
                let found = "none: its sync has failed; run this again, and what it stored is stored anew";
                return Err(Error::damaged(path, end, expected, found));
            }
        }
        let synced = known.file.file.sync_data();
        synced.map_err(Error::io("sync", &known.file.path))
    }

    /// Checks every segment whole and stops using those that are damaged; gives what is wrong with them.
    pub fn verify_index(&self) -> Result<Vec<Error>> {
        let segments = self.state.read().segments.clone();
        let check = |mapped: &Arc<Mapped>| Some((mapped.segment.path().to_owned(), mapped.segment.verify().err()?));
        let (paths, problems): (Vec<PathBuf>, Vec<Error>) = segments.iter().filter_map(check).unzip();
        if !paths.is_empty() {
            let mut state = self.state.write();
            state.distrusted.extend(paths);
            for known in &mut state.files {
                known.committed = FILE_HEADER_BYTES;
            }
            self.refresh_state(&mut state)?;
        }
        Ok(problems)
    }

    /// After a miss of something that should be there, once: checks the segments. Tells whether any was damaged.
    pub(super) fn distrust_damaged_segments(&self) -> Result<bool> {
        if self.checked.swap(true, Ordering::Relaxed) {
            return Ok(false);
        }
        Ok(!self.verify_index()?.is_empty())
    }

    /// Removes segments that were found damaged, now that others cover what they covered.
    fn remove_distrusted(&self) {
        for path in std::mem::take(&mut self.state.write().distrusted) {
            // Another process may have removed it too.
            let _ = self.disk.remove(&path);
        }
    }

    /// Writes a segment of everything that is committed and not covered, and merges small segments.
    pub fn publish_segment(&self) -> Result<()> {
        let Layout::Repository { index: folder, .. } = &self.layout else {
            return Ok(());
        };
        // Who holds no lease may know less than what the index says by now.
        self.need_lease()?;
        let ranges: Vec<(u32, Cover)> = {
            let state = self.state.read();
            let ours = |known: &Known| !known.is_attached && !known.is_condemned;
            let uncovered = |known: &&Known| known.committed > known.covered && ours(known);
            let files = (0..).zip(&state.files).filter(|(_, known)| uncovered(known));
            let range = |known: &Known| Cover {
                file: known.file.header.file,
                from: known.covered,
                to: known.committed,
            };
            files.map(|(number, known)| (number, range(known))).collect()
        };
        if ranges.is_empty() {
            return Ok(());
        }
        self.make_index_folder(folder)?;
        self.sync_uncovered(None)?;
        let mut covers: Vec<Cover> = ranges.iter().map(|(_, cover)| *cover).collect();
        covers.sort();
        let place = |number: u32| ranges.iter().find(|(n, _)| *n == number);
        let is_inside = |at: Location| place(at.file).is_some_and(|(_, cover)| at.frame < cover.to);
        let mut entries: Vec<(u64, u64)> = Vec::new();
        self.recent.each(&mut |id, at| {
            let Some((_, cover)) = place(at.file).filter(|_| is_inside(at)) else {
                return;
            };
            let file = covers.partition_point(|c| c.file < cover.file) as u16;
            entries.push((id.prefix(), pack(file, at.frame, at.slot)));
        });
        entries.sort_unstable();
        let count = entries.len() as u64;
        let mut writer = SegmentWriter::create(&*self.disk, folder, &self.repository, &covers, count)?;
        for (prefix, locator) in entries {
            writer.push(prefix, locator)?;
        }
        let path = writer.finish()?;
        let segment = Segment::open(&*self.disk, &path, &self.repository)?;
        let mut state = self.state.write();
        let mapped = Arc::new(with_numbers(&state, segment));
        state.segments.push(mapped);
        note_covers(&mut state);
        drop(state);
        self.recent.forget(&is_inside);
        self.remove_distrusted();
        self.merge_segments(folder)
    }

    fn make_index_folder(&self, folder: &Path) -> Result<()> {
        match self.disk.create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(Error::io("make folder", folder)(error)),
            _ => Ok(()),
        }
    }

    /// Merges the smallest segments, if they have become many.
    fn merge_segments(&self, folder: &Path) -> Result<()> {
        let mut segments = {
            let state = self.state.read();
            // Those that name condemned files are for whoever began before; they go when the files go.
            let is_of_now = |mapped: &&Arc<Mapped>| !state.names_condemned(mapped.segment.covers());
            state.segments.iter().filter(is_of_now).cloned().collect::<Vec<_>>()
        };
        segments.sort_by_key(|mapped| mapped.segment.len());
        let sizes: Vec<usize> = segments.iter().map(|mapped| mapped.segment.len()).collect();
        let mut count = plan(&sizes);
        if count < 2 {
            return Ok(());
        }
        let all: Vec<&Segment> = segments.iter().map(|mapped| &mapped.segment).collect();
        while count < all.len() && !is_gapless(&all[..count]) {
            count += 1;
        }
        let inputs = &all[..count];
        // Merging a damaged one would give its entries a check that holds. It is found when something is missed.
        if !is_gapless(inputs) || inputs.iter().any(|segment| segment.verify().is_err()) {
            return Ok(());
        }
        let path = merge(&*self.disk, folder, &self.repository, inputs)?;
        self.disk.sync_dir(folder).map_err(Error::io("sync", folder))?;
        let merged = Segment::open(&*self.disk, &path, &self.repository)?;
        let mut state = self.state.write();
        let mapped = Arc::new(with_numbers(&state, merged));
        state
            .segments
            .retain(|mapped| !segments[..count].iter().any(|old| Arc::ptr_eq(old, mapped)));
        state.segments.push(mapped);
        state
            .segments
            .sort_by_key(|mapped| std::cmp::Reverse(mapped.segment.len()));
        drop(state);
        for old in &segments[..count] {
            // Another process may have merged it too.
            let _ = self.disk.remove(old.segment.path());
        }
        Ok(())
    }

    /// Throws all segments away and writes one from the data files alone. Gives the number of objects.
    ///
    /// What this store distrusts is left out, and so missed by all until an index is made anew, though it may read again when
    /// what it is made from is healed. So [`crate::repair`] opens the store anew for this.
    pub fn rebuild_index(&self) -> Result<usize> {
        let Layout::Repository { index: folder, .. } = &self.layout else {
            return Ok(0);
        };
        self.need_lease()?;
        self.make_index_folder(folder)?;
        let names = self.disk.list(folder).map_err(Error::io("list", folder))?;
        {
            let mut state = self.state.write();
            state.segments.clear();
            state.distrusted.clear();
            for known in &mut state.files {
                known.covered = FILE_HEADER_BYTES;
                known.committed = FILE_HEADER_BYTES;
            }
        }
        for name in names {
            let path = folder.join(name);
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        self.refresh()?;
        self.publish_segment()?;
        Ok(self
            .state
            .read()
            .segments
            .iter()
            .map(|mapped| mapped.segment.len())
            .sum())
    }

    /// Entries of each segment.
    pub fn segment_sizes(&self) -> Vec<usize> {
        self.state
            .read()
            .segments
            .iter()
            .map(|mapped| mapped.segment.len())
            .collect()
    }
}

pub(super) fn with_numbers(state: &State, segment: Segment) -> Mapped {
    let files = segment
        .covers()
        .iter()
        .map(|cover| state.by_id.get(&cover.file).copied())
        .collect();
    Mapped { segment, files }
}

/// Sets for each data file how far segments cover it without a gap from its beginning.
fn note_covers(state: &mut State) {
    let covers = unite(
        state
            .segments
            .iter()
            .flat_map(|mapped| mapped.segment.covers().iter().copied())
            .collect(),
    );
    for known in &mut state.files {
        let found = covers.binary_search_by_key(&known.file.header.file, |cover| cover.file);
        let cover = found
            .ok()
            .map(|at| covers[at])
            .filter(|cover| cover.from == FILE_HEADER_BYTES);
        let covered = cover.map_or(FILE_HEADER_BYTES, |cover| cover.to);
        if covered < known.covered {
            // What a segment said that is gone is nowhere now: it is scanned again.
            known.committed = covered;
        }
        known.covered = covered;
        known.committed = known.committed.max(known.covered);
    }
}

/// Whether the ranges of each data file in these segments touch: a merged segment has one range a file.
fn is_gapless(inputs: &[&Segment]) -> bool {
    let mut covers: Vec<Cover> = inputs
        .iter()
        .flat_map(|segment| segment.covers().iter().copied())
        .collect();
    covers.sort();
    let mut end: Option<Cover> = None;
    covers.into_iter().all(|cover| {
        let fits = end.is_none_or(|last| last.file != cover.file || cover.from <= last.to);
        let to = end
            .filter(|last| last.file == cover.file)
            .map_or(cover.to, |last| last.to.max(cover.to));
        end = Some(Cover { to, ..cover });
        fits
    })
}
