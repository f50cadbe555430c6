//! What a store consists of: the data files and segments that are there, and the objects that no segment covers.
//!
//! 1. Folders are listed; what is new is opened. What cannot be used is one of [`Store::problems`].
//! 2. What no segment covers is scanned, from the end of the last commit record that is known.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashSet;

use super::data::format::EXTENSION;
use super::data::read::{DataFile, Head, hex, scan};
use super::index::format::Cover;
use super::{Known, Layout, Location, Mapped, State, Store};
use crate::disk::OpenMode;
use crate::error::{Error, Result};

impl Store {
    /// Data files that the index knows and that are gone or shorter than it says. In a plain folder files go when they were
    /// copied, and the index may know them a while longer.
    pub fn missing_data(&self) -> Vec<Error> {
        let state = self.state.read();
        let mut missing = Vec::new();
        if self.disk.is_plain() {
            return missing;
        }
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
                let path = folder.join(format!("{}.{}", hex(&cover.file), EXTENSION));
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

    pub(super) fn refresh_state(&self, state: &mut State) -> Result<()> {
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
        names.retain(|name| is_data_file(name) && !state.generation.condemns(name));
        names.sort();
        let known: HashSet<PathBuf> = state.files.iter().map(|known| known.file.path.clone()).collect();
        for path in names.into_iter().map(|name| folder.join(name)) {
            if known.contains(&path) {
                continue;
            }
            let open = || DataFile::open(&*self.disk, &path, OpenMode::Read, &self.repository);
            match self.handles.open(open) {
                Ok(file) => {
                    let file = self.handles.pool(&self.disk, file);
                    self.add_file(state, file, false)?;
                }
                // A file shorter than its header is one that another process is just making, or died while making.
                Err(problem) => problems.push(problem),
            }
        }
        Ok(())
    }

    pub(super) fn add_file(&self, state: &mut State, file: DataFile, is_attached: bool) -> Result<u32> {
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

fn is_data_file(name: &OsStr) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == EXTENSION)
}
