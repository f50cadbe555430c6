//! Bundles: a whole store in one file, `.gfs` and `.gs` (object-format.md, "Bundles").
//!
//! A bundle is the frames of a data file behind a header of its own, with two more types of frames: a list of roots and
//! descriptors. It is read and written as a [`Store`] of one file ([`crate::store::single`]), so that whatever works on
//! a store works on a bundle.
//!
//! It grows by groups, each of which counts as a whole or not at all ([`append`]):
//!
//! 1. What is to be added is walked once: which trees and lists are not here yet, and are all bytes to be had?
//! 2. The list of all roots is written, the new ones in front; then trees and indirect blocks, descriptors, data. So
//!    whoever reads from the front sees what there is before the bytes come.
//! 3. The frames are synced, then the commit record is written and synced.
//!
//! Invariants:
//!
//! - Nothing that is here is written again; frames of which all is wanted are copied as they are stored.
//! - The last list of roots of the last committed group counts. A group without a commit record is not read; the next
//!   writer takes over what is whole of it and cuts the rest.
//! - A root is marked as complete only if every block that it needs was found.

pub mod append;
mod copy;
pub mod format;
mod reach;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use append::{Added, Addition, Missing};
pub use copy::{copy_roots, count_missing};
pub use format::Root;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::object::{HashAlgo, ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::store::data::format::{FILE_HEADER_BYTES, FrameKind};
use crate::store::{Options, Store};

/// An open bundle.
#[derive(Debug)]
pub struct Bundle {
    store: Store,
    disk: Arc<dyn Disk>,
    roots: Vec<Root>,
    problems: Vec<Error>,
}

impl Bundle {
    /// Opens the bundle at `path`: reads the heads of its frames and the list of its roots.
    ///
    /// Fails where the file is no bundle or of a version that is not known. Damage behind the header is one of
    /// [`Bundle::problems`]; what can still be read is read.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        Self::with(Store::open_bundle(disk.clone(), path, Options::default())?, disk)
    }

    /// Makes an empty bundle at `path`, where nothing must be, whose new ids are made with `algo`. Its name is durable
    /// when something was added.
    pub fn create(disk: Arc<dyn Disk>, path: &Path, algo: HashAlgo, options: Options) -> Result<Self> {
        Self::with(Store::create_bundle(disk.clone(), path, algo, options)?, disk)
    }

    /// Opens the bundle at `path` to add to it, or makes it.
    pub fn open_or_create(disk: Arc<dyn Disk>, path: &Path, algo: HashAlgo, options: Options) -> Result<Self> {
        match Store::open_bundle(disk.clone(), path, options.clone()) {
            Ok(store) => Self::with(store, disk),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Self::create(disk, path, algo, options)
            }
            Err(error) => Err(error),
        }
    }

    fn with(store: Store, disk: Arc<dyn Disk>) -> Result<Self> {
        let mut bundle = Self {
            problems: store.take_problems(),
            store,
            disk,
            roots: Vec::new(),
        };
        bundle.read_roots()?;
        Ok(bundle)
    }

    /// Reads the newest list of roots that reads.
    fn read_roots(&mut self) -> Result<()> {
        for record in self.store.records(FrameKind::Roots).iter().rev() {
            let read = self.store.read_record(record).and_then(|bytes| format::decode(&bytes));
            match read {
                Ok(roots) => {
                    self.roots = roots;
                    return Ok(());
                }
                Err(error) if error.is_damage() => self.problems.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Its objects. Whatever works on a store works on it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What it holds, the last added first. Where the same was added twice it is here once.
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// What was added last.
    pub fn top(&self) -> Option<&Root> {
        self.roots.first()
    }

    /// Damage that was found when it was opened.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }

    /// The first damage that was found when it was opened, given away.
    pub fn take_problem(&mut self) -> Option<Error> {
        (!self.problems.is_empty()).then(|| self.problems.remove(0))
    }

    /// The tree of a root, with its snapshot if it is one.
    pub fn tree_of(&self, root: &Root) -> Result<(ObjectId, Option<Snapshot>)> {
        if root.kind != ObjectKind::Snapshot {
            return Ok((root.id, None));
        }
        let snapshot = Snapshot::decode(&self.store.object(ObjectKind::Snapshot, &root.id)?)?;
        Ok((snapshot.tree, Some(snapshot)))
    }

    /// Refuses a bundle of which something does not read, or that holds neither a tree nor a description: who takes over
    /// what it tells would take over a part.
    pub fn check_whole(&mut self) -> Result<()> {
        match self.take_problem() {
            Some(problem) => Err(problem),
            None if self.roots.is_empty() && self.store.records(FrameKind::Descriptors).is_empty() => {
                Err(self.nothing_inside())
            }
            None => Ok(()),
        }
    }

    /// Why there is nothing to read, where no root is: the damage, or an addition that was cut off.
    pub fn nothing_inside(&mut self) -> Error {
        let place = self.store.place();
        if let Some(problem) = self.take_problem() {
            return problem;
        }
        match self.store.unfinished_bytes() {
            0 => Error::invalid("bundle", place.display(), "it holds no tree"),
            bytes => {
                let found =
                    format!("{bytes} bytes of an addition that was not finished, or of a file that was cut off");
                Error::damaged(
                    &place,
                    FILE_HEADER_BYTES,
                    "a tree, and a commit record behind it",
                    found,
                )
            }
        }
    }

    /// Its descriptors, in the order in which they were added: each item is the text of one `.ghostdesc` file, read when it is
    /// asked for.
    pub fn descriptors(&self) -> impl Iterator<Item = Result<Vec<u8>>> {
        let records = self.store.records(FrameKind::Descriptors);
        records.into_iter().map(|record| self.store.read_record(&record))
    }
}

impl ObjectSource for Bundle {
    fn object(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        self.store.object(kind, id)
    }
}
