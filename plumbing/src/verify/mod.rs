//! Checking a repository, and naming what is hurt.
//!
//! 1. Data files: frame headers, commit records, and with [`Depth::Data`] every byte: each frame's digest and the hash
//!    of every object in it ([`data`]).
//! 2. The index and the ref log, whole.
//! 3. Reachability: from each snapshot every tree is read and every block must be there and not among the damaged
//!    ([`reach`]). So damage is told by snapshot and path, and damage that no snapshot needs is told apart.
//!
//! Contents of which a snapshot of ghosts has no bytes are counted, and are no damage.
//!
//! A bundle is checked in the same way, as far as it has these parts. Nothing is changed.

mod data;
mod reach;

use bstr::BString;
use hashbrown::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind};
use crate::progress::{Phase, Progress};
use crate::refs::RefStore;
use crate::store::{Location, Store};

/// How much is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Headers of data files, the index, the ref log.
    Quick,
    /// And every tree; blocks must be there.
    #[default]
    Reachable,
    /// And every stored byte.
    Data,
}

/// A snapshot or tree to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What to call it.
    pub name: String,
    /// [`ObjectKind::Snapshot`] or [`ObjectKind::Tree`].
    pub kind: ObjectKind,
    /// Its id.
    pub id: ObjectId,
    /// Whether all bytes of files must be there; none where the snapshot itself says so.
    pub needs_data: Option<bool>,
}

impl Target {
    /// A snapshot of a repository.
    pub fn snapshot(name: String, id: ObjectId) -> Self {
        Self {
            name,
            kind: ObjectKind::Snapshot,
            id,
            needs_data: None,
        }
    }

    /// A tree that a ref names, all of it.
    pub fn tree(name: String, id: ObjectId) -> Self {
        Self {
            name,
            kind: ObjectKind::Tree,
            id,
            needs_data: Some(true),
        }
    }
}

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The snapshots.
    pub targets: Vec<Target>,
    /// Whether `targets` are all there are: then all data files are read, else the frames that the targets need.
    pub everything: bool,
    /// How much is read.
    pub depth: Depth,
    /// Threads, at least one.
    pub threads: usize,
}

/// A path that cannot be restored as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hurt {
    /// The name of the snapshot.
    pub snapshot: String,
    /// The path in it; empty for the snapshot itself or its top directory.
    pub path: BString,
    /// The object that is missing or damaged.
    pub id: ObjectId,
    /// What is wrong with it.
    pub reason: String,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Snapshots that were checked.
    pub snapshots: u64,
    /// Objects whose hash was compared.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Data files that were looked at.
    pub data_files: u64,
    /// Paths that are hurt.
    pub hurt: Vec<Hurt>,
    /// Contents of snapshots of ghosts that are not stored, each counted once.
    pub not_stored: u64,
    /// Their bytes.
    pub not_stored_bytes: u64,
    /// Damage of files of the repository, whether or not a snapshot needs what they held.
    pub damage: Vec<Error>,
    /// What can be made anew from the data files.
    pub index_damage: Vec<Error>,
    /// Bytes that an interrupted job left behind; they do no harm.
    pub unfinished_bytes: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.hurt.is_empty() && self.damage.is_empty() && self.index_damage.is_empty()
    }
}

/// Objects that do not read, with the copy that does not and the reason.
type Bad = HashMap<ObjectId, Vec<(Location, String)>>;

/// Checks a repository; or a bundle, which has no refs.
pub fn run(store: &Store, refs: Option<&RefStore>, request: &Request, progress: &Progress) -> Result<Report> {
    progress.set_phase(Phase::Checking);
    let mut report = Report::default();
    if !store.is_single() {
        // Of a bundle, the walk over its frames tells the same.
        report.damage.extend(store.take_problems());
    }
    report.damage.extend(store.missing_data());
    report.index_damage = store.verify_index()?;
    if let Some(refs) = refs {
        report.damage.extend(refs.verify()?.problems);
    }
    let reads_all = request.depth == Depth::Data && request.everything;
    let heads = data::heads(store, &mut report)?;
    let readable: HashSet<(u32, u64)> = heads.iter().map(data::Work::place).collect();
    let mut frames = if reads_all { heads } else { Vec::new() };
    if request.depth == Depth::Quick {
        return Ok(report);
    }
    progress.set_totals(0, frames.iter().map(data::Work::bytes).sum());
    let mut reached = None;
    let mut bad = Bad::new();
    std::thread::scope(|threads| -> Result<()> {
        // What is reachable is found while other threads read: the damaged objects are rarely any.
        let reach =
            threads.spawn(|| reach::check(store, &request.targets, &readable, &Bad::new(), !reads_all, progress));
        if reads_all {
            bad = data::check(
                store,
                std::mem::take(&mut frames),
                request.threads,
                progress,
                &mut report,
            )?;
        }
        reached = Some(reach.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        Ok(())
    })?;
    let reached = reached.unwrap_or_default();
    if request.depth == Depth::Data && !reads_all {
        frames = data::of_locations(store, &reached.frames, &mut report)?;
        progress.set_totals(0, frames.iter().map(data::Work::bytes).sum());
        bad = data::check(store, frames, request.threads, progress, &mut report)?;
    }
    let reached = if bad.is_empty() {
        reached
    } else {
        reach::check(store, &request.targets, &readable, &bad, false, progress)?
    };
    report.snapshots = request.targets.len() as u64;
    report.hurt = reached.hurt;
    (report.not_stored, report.not_stored_bytes) = reached.not_stored;
    Ok(report)
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod flip_tests;
#[cfg(test)]
mod tests;
