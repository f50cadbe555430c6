//! Checking a repository, and naming what is hurt.
//!
//! 1. Data files: frame headers, commit records, and with [`Depth::Data`] every byte: each frame's digest and the hash
//!    of every object in it ([`data`]).
//! 2. The index and the ref log, whole.
//! 3. Reachability: from each snapshot every tree is read and every block must be there and not among the damaged
//!    ([`reach`]). So damage is told by snapshot and path, and damage that no snapshot needs is told apart.
//!
//! Contents of which a snapshot of ghosts has no bytes are counted, and are no damage. Nor is what [`crate::repair`] has
//! recorded as lost ([`recorded`]): it is told apart.
//!
//! A [`ledger`] remembers when each part of the data files was last read whole, and which snapshots were found whole. With
//! it a check reads only what is [`Due`], what was read longest ago first.
//!
//! A bundle is checked in the same way, as far as it has these parts. Nothing is changed; look-ups of this store pass over
//! what was found damaged from then on ([`Store::distrust`]), so that a second copy of an object counts.

mod data;
mod due;
pub mod ledger;
mod reach;
pub mod recorded;
pub mod targets;

use std::time::Instant;

use bstr::BString;
use hashbrown::{HashMap, HashSet};

pub use self::due::Due;
use self::due::Memory;
use self::ledger::Ledger;
use self::reach::{Reached, Readable, Scope};
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind};
use crate::progress::{Phase, Progress};
use crate::refs::RefStore;
use crate::store::index::format::EXTENSION;
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
    /// Whether its tree must be there: not that of a snapshot that was forgotten.
    pub needs_tree: bool,
}

impl Target {
    /// A snapshot of a repository.
    pub fn snapshot(name: String, id: ObjectId) -> Self {
        Self {
            name,
            kind: ObjectKind::Snapshot,
            id,
            needs_data: None,
            needs_tree: true,
        }
    }

    /// A snapshot that was forgotten: gc may have taken its tree.
    pub fn forgotten(name: String, id: ObjectId) -> Self {
        Self {
            needs_tree: false,
            ..Self::snapshot(name, id)
        }
    }

    /// A tree that a ref names, all of it.
    pub fn tree(name: String, id: ObjectId) -> Self {
        Self {
            name,
            kind: ObjectKind::Tree,
            id,
            needs_data: Some(true),
            needs_tree: true,
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
    /// The id of the snapshot or tree that was checked.
    pub target: ObjectId,
    /// The path in it; empty for the snapshot itself or its top directory.
    pub path: BString,
    /// The object that is missing or damaged.
    pub id: ObjectId,
    /// What it is needed as.
    pub kind: ObjectKind,
    /// What is wrong with it.
    pub reason: String,
}

/// Damage of a file of the repository.
#[derive(Debug)]
pub struct Damage {
    /// The file, the offset, what was expected and what was found.
    pub error: Error,
    /// Objects that do not read because of it, where that is known: not where the table that names them is hurt.
    pub objects: Vec<ObjectId>,
    /// What they are made from is gone, and was not damaged.
    pub lacks_base: bool,
}

impl From<Error> for Damage {
    fn from(error: Error) -> Self {
        Self {
            error,
            objects: Vec::new(),
            lacks_base: false,
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Snapshots that were checked, or of which was remembered that they are whole.
    pub snapshots: u64,
    /// Objects whose hash was compared.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Data files that were looked at.
    pub data_files: u64,
    /// Paths that are hurt, once for each object that is missing or damaged.
    pub hurt: Vec<Hurt>,
    /// The same of what was recorded as lost before, and is: no new damage.
    pub recorded: Vec<Hurt>,
    /// Contents of snapshots of ghosts that are not stored, each counted once.
    pub not_stored: u64,
    /// Their bytes.
    pub not_stored_bytes: u64,
    /// Damage of files of the repository, whether or not a snapshot needs what they held.
    pub damage: Vec<Damage>,
    /// What can be made anew from the data files.
    pub index_damage: Vec<Error>,
    /// Bytes that an interrupted job left behind; they do no harm.
    pub unfinished_bytes: u64,
    /// Objects that nothing needs and whose bases are gone, as a gc that ended early leaves them; they do no harm.
    pub remains: u64,
    /// Bytes of objects that were due and are left for the next run.
    pub left_bytes: u64,
    /// Places of objects that do not read.
    pub bad: Vec<Location>,
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
    Ok(check(store, refs, request, None, progress)?.0)
}

/// Reads of a repository what is due, and notes in the ledger what was read and found whole. Where something may be passed
/// over ([`Due::is_partial`]), snapshots that were found whole before are not walked again. The request must be for
/// everything, to [`Depth::Data`].
pub fn run_due(
    store: &Store,
    refs: &RefStore,
    request: &Request,
    (ledger, due): (&mut Ledger, &Due),
    progress: &Progress,
) -> Result<Report> {
    ledger.settle(store, due.now)?;
    let files = store.data_files();
    let memory = Memory {
        ledger,
        due,
        files: &files,
        begun: Instant::now(),
    };
    let (report, learnt) = check(store, Some(refs), request, Some(&memory), progress)?;
    due::note(ledger, &files, &learnt, due.now)?;
    ledger.note_proofs(
        request
            .targets
            .iter()
            .filter(|target| learnt.whole.contains(&target.id)),
    );
    Ok(report)
}

/// What a check found out that is worth to be remembered.
#[derive(Debug, Default)]
struct Learnt {
    walked: data::Walked,
    /// Frames that were to be read, and of those that were, whether they are sound.
    frames: Vec<data::Work>,
    read: Vec<(usize, bool)>,
    /// Snapshots and trees behind which nothing is missing.
    whole: HashSet<ObjectId>,
}

fn check(
    store: &Store,
    refs: Option<&RefStore>,
    request: &Request,
    memory: Option<&Memory<'_>>,
    progress: &Progress,
) -> Result<(Report, Learnt)> {
    progress.set_phase(Phase::Checking);
    let mut report = surroundings(store, refs, memory.is_none_or(Memory::has_due))?;
    let walked = data::heads(
        store,
        &|number| memory.is_none_or(|memory| memory.wants(number)),
        &mut report,
    )?;
    let mut learnt = Learnt::default();
    if request.depth == Depth::Quick {
        return Ok((report, learnt));
    }
    let reads_all = request.depth == Depth::Data && request.everything;
    if reads_all {
        learnt.frames = memory.map_or_else(|| walked.frames.clone(), |memory| memory.choose(&walked));
    }
    let lost = refs
        .map(|refs| recorded::lost(store, refs))
        .transpose()?
        .unwrap_or_default();
    let scope = Scope {
        store,
        readable: &Readable::new(&walked),
        lost: &lost,
        progress,
    };
    // Where a file is hurt, nothing that was found earlier counts.
    let trusts = memory.filter(|memory| memory.due.is_partial() && report.damage.is_empty());
    let is_due = |target: &&Target| trusts.is_none_or(|memory| !memory.ledger.has_proven(target));
    let all: Vec<&Target> = request.targets.iter().collect();
    let due: Vec<&Target> = all.iter().copied().filter(is_due).collect();
    learnt.whole = all
        .iter()
        .filter(|target| !is_due(target))
        .map(|target| target.id)
        .collect();
    progress.set_totals(0, learnt.frames.iter().map(data::Work::bytes).sum());
    let is_over = || memory.is_some_and(Memory::is_over);
    let mut reached = None;
    let mut checked = data::Checked::default();
    std::thread::scope(|threads| -> Result<()> {
        // What is reachable is found while other threads read: the damaged objects are rarely any.
        let reach = threads.spawn(|| reach::check(&scope, &due, &Bad::new(), !reads_all));
        checked = data::check(store, &learnt.frames, request.threads, &is_over, progress, &mut report)?;
        reached = Some(reach.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        Ok(())
    })?;
    let mut reached: Reached = reached.unwrap_or_default();
    if request.depth == Depth::Data && !reads_all {
        let frames = data::of_locations(store, &reached.frames, &mut report)?;
        progress.set_totals(0, frames.iter().map(data::Work::bytes).sum());
        checked = data::check(store, &frames, request.threads, &is_over, progress, &mut report)?;
    }
    if !checked.bad.is_empty() {
        report.bad = checked.bad.values().flatten().map(|(at, _)| *at).collect();
        store.distrust(&report.bad)?;
        learnt.whole.clear();
        reached = reach::check(&scope, &all, &checked.bad, false)?;
    }
    learnt.read = checked.read;
    learnt.walked = walked;
    finish(&mut report, &mut learnt, request, reached);
    Ok((report, learnt))
}

/// What is beside the objects: files that are missing or of no use, the refs, and if asked for, the index.
fn surroundings(store: &Store, refs: Option<&RefStore>, with_index: bool) -> Result<Report> {
    let mut report = Report::default();
    if !store.is_single() {
        // Of a bundle, the walk over its frames tells the same.
        let (index, data): (Vec<Error>, _) = store.take_problems().into_iter().partition(is_of_index);
        report.index_damage = index;
        report.damage.extend(data.into_iter().map(Damage::from));
    }
    report.damage.extend(store.missing_data().into_iter().map(Damage::from));
    if with_index {
        report.index_damage.extend(store.verify_index()?);
    }
    if let Some(refs) = refs {
        report
            .damage
            .extend(refs.verify()?.problems.into_iter().map(Damage::from));
    }
    Ok(report)
}

fn is_of_index(error: &Error) -> bool {
    let path = match error {
        Error::Damaged { path, .. } | Error::Unsupported { path, .. } => path,
        _ => return false,
    };
    path.extension().is_some_and(|extension| extension == EXTENSION)
}

fn finish(report: &mut Report, learnt: &mut Learnt, request: &Request, reached: Reached) {
    report.snapshots = request.targets.iter().filter(|target| target.needs_tree).count() as u64;
    let read: HashSet<usize> = learnt.read.iter().map(|(number, _)| *number).collect();
    let left = (0..).zip(&learnt.frames).filter(|(number, _)| !read.contains(number));
    report.left_bytes = left.map(|(_, frame)| frame.bytes()).sum();
    learnt.whole.extend(reached.whole);
    report.hurt = reached.hurt;
    report.recorded = reached.recorded;
    (report.not_stored, report.not_stored_bytes) = reached.not_stored;
    tell_remains_apart(report);
}

/// A gc that ended early has freed some of what nothing needs, and left objects that were made from it: no damage, as long
/// as nothing needs these. Where a base is damaged, or lay in a file that is gone, that is told by itself.
fn tell_remains_apart(report: &mut Report) {
    let needed: HashSet<ObjectId> = report.hurt.iter().chain(&report.recorded).map(|hurt| hurt.id).collect();
    let before = report.damage.len();
    report
        .damage
        .retain(|damage| !damage.lacks_base || damage.objects.iter().any(|id| needed.contains(id)));
    report.remains = (before - report.damage.len()) as u64;
}

#[cfg(test)]
mod bases_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod flip_tests;
#[cfg(test)]
mod matrix_tests;
#[cfg(test)]
mod tests;
