//! Removing what no ref needs, while others write and read.
//!
//! 1. Alone: one process collects at a time ([`CollectLock`]). What an earlier gc condemned goes, if nobody reads it any
//!    more; so do files that killed processes left under temporary names.
//! 2. The index is looked at ([`tables`]), then the refs ([`roots`]); all that these need is marked ([`mark`]), without a
//!    lock. Where something is missing or damaged that must be there, gc ends here.
//! 3. Of objects that are stored several times one copy is kept ([`thin`]). What others are stored as differences from stays,
//!    too ([`chains`]). All data files are measured ([`usage`]) by what their own tables say ([`walk`]); the [`plan`] says what
//!    becomes of each.
//! 4. Files in which nothing lives are condemned without a copy. This needs no room to speak of, and frees some.
//! 5. The others, some at a time: each is locked, so that nobody adds to it; one that a writer has is left alone. What
//!    lives is copied and made durable ([`repack`]). Then the next generation is published ([`publish`]), and the files are
//!    unlinked as soon as nobody can read them any more ([`crate::store::sweep`]).
//! 6. Where files that went let go of more in others than may stay unused, all of it is done once more from step 2 on.
//!
//! Invariants:
//!
//! - Until a generation is published, nothing was changed: a crash leaves extra copies.
//! - What is condemned was measured as dead, or every live object in it was found elsewhere, durable, right before.
//! - Whatever a ref named at the moment of publication lives; whoever names something later makes sure of it
//!   ([`crate::repository::Repository::commit`]).
//! - No clock is asked. A caller that is short of time says so through [`Options::is_over`], and what was packed by then
//!   is published.

mod bits;
mod chains;
mod mark;
mod plan;
mod publish;
mod reader;
mod repack;
mod roots;
mod tables;
mod thin;
mod usage;
mod walk;

use std::collections::BTreeMap;

pub use self::plan::{Allowance, Fate, FilePlan};
pub use self::usage::FileUse;

use self::bits::Bits;
use self::chains::Chains;
use self::mark::{Marker, Marks};
use self::repack::{Copied, Leaving, Repack};
use self::roots::{Roots, values};
use self::tables::Tables;
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::{Phase, Progress};
use crate::repository::Repository;
use crate::retention::{KeepLog, Logged};
use crate::store::generation::{is_full, keep_reserve};
use crate::store::lease::CollectLock;
use crate::store::sweep::Swept;

/// Bytes that are copied before they are published: what an interruption costs at most, and the room that is needed.
const ROUND_BYTES: u64 = 1 << 30;

/// How often all is done at most: objects that were written again let go of others, and these in turn of others.
const PASSES_MAX: usize = 3;

/// How gc runs.
pub struct Options<'o> {
    /// How much may stay unused.
    pub unused_max: Allowance,
    /// Bytes that are copied at most.
    pub repack_bytes_max: u64,
    /// Records of the ref log that keep what they name.
    pub keep_log: KeepLog,
    /// Threads that read, check and compress, at least one.
    pub threads: usize,
    /// Nothing is changed.
    pub dry_run: bool,
    /// Whether it is time to end with what is done.
    pub is_over: &'o dyn Fn() -> bool,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("unused_max", &self.unused_max)
            .field("repack_bytes_max", &self.repack_bytes_max)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

/// Why gc ended before all was done that was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Its time was over.
    Time,
    /// There was no room for copies.
    Full,
}

/// What gc found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every data file, the worst used first.
    pub files: Vec<FilePlan>,
    /// Copies of objects that live.
    pub live_objects: u64,
    /// Copies of objects that are stored elsewhere too.
    pub double_objects: u64,
    /// Objects that nothing needs and that stay, when this run begins, because others are stored as differences from them.
    pub base_objects: u64,
    /// What they take, in bytes as they are stored.
    pub base_bytes: u64,
    /// Differences that were written again: against something that is needed, or as whole objects.
    pub rewritten_objects: u64,
    /// Data files that were unlinked, those of earlier runs included, and what waits for other processes.
    pub swept: Swept,
    /// Data files that were condemned.
    pub condemned_files: u64,
    /// Their bytes.
    pub condemned_bytes: u64,
    /// Bytes that were copied, as they are stored.
    pub copied_bytes: u64,
    /// Data files that were to be packed anew, but to which somebody wrote.
    pub busy_files: u64,
    /// Files that killed processes had left.
    pub leftovers: u64,
    /// The generation that stands, if this run published one.
    pub generation: u64,
    /// Why it ended early.
    pub stopped: Option<Stopped>,
}

impl Report {
    /// Bytes of all data files, and how many of them are unused.
    pub fn totals(&self) -> (u64, u64) {
        let sum = |of: fn(&FileUse) -> u64| self.files.iter().map(|file| of(&file.usage)).sum();
        (sum(|usage| usage.bytes), sum(FileUse::waste_bytes))
    }

    /// Bytes of the files that stay, how many of them are unused, and how many more are since others went.
    fn left(&self) -> (u64, u64, u64) {
        let (mut bytes, mut unused, mut let_go) = (0, 0, 0);
        for FilePlan { usage, fate } in &self.files {
            match fate {
                Fate::Stays => (bytes, unused) = (bytes + usage.bytes, unused + usage.waste_bytes()),
                Fate::Goes | Fate::Repacked | Fate::Merged => let_go += usage.held_bytes,
            }
        }
        // What went with them is not there any more.
        let gone = self.files.iter().filter(|file| file.fate == Fate::Goes);
        let kept: u64 = gone.map(|file| file.usage.bytes - file.usage.unused_bytes).sum();
        (bytes + self.copied_bytes, unused, let_go.saturating_sub(kept))
    }

    /// Adds what a later pass did.
    fn add(&mut self, later: Self) {
        self.files = later.files;
        self.live_objects = later.live_objects;
        self.double_objects += later.double_objects;
        self.rewritten_objects += later.rewritten_objects;
        self.swept.files += later.swept.files;
        self.swept.bytes += later.swept.bytes;
        if later.condemned_files > 0 {
            (self.swept.waiting_files, self.swept.waiting_bytes) =
                (later.swept.waiting_files, later.swept.waiting_bytes);
        }
        self.condemned_files += later.condemned_files;
        self.condemned_bytes += later.condemned_bytes;
        self.copied_bytes += later.copied_bytes;
        self.busy_files = later.busy_files;
        self.generation = self.generation.max(later.generation);
        self.stopped = later.stopped;
    }
}

/// Collects. `repository` must have been opened by the caller for this, and not be used by other threads meanwhile.
pub fn run(repository: &Repository, options: &Options<'_>, progress: &Progress) -> Result<Report> {
    let lock = CollectLock::take(&*repository.disk, &repository.ghost_dir)?;
    let store = &repository.store;
    progress.set_phase(Phase::Checking);
    let mut report = Report::default();
    if !options.dry_run {
        store.renew_lease()?;
        report.swept = store.sweep(&lock)?;
        report.leftovers = store.remove_leftovers(&lock)?;
        // Without a segment what no segment covers is held in memory; on a full disk there is none.
        let _ = store.publish_segment();
    }
    pass(repository, options, &lock, &mut report, progress)?;
    for _ in 1..PASSES_MAX {
        let (bytes, unused, let_go) = report.left();
        let is_enough = let_go == 0 || unused + let_go <= options.unused_max.of(bytes);
        if options.dry_run || is_enough || report.stopped.is_some() || (options.is_over)() {
            break;
        }
        progress.set_phase(Phase::Checking);
        let mut later = Report::default();
        pass(repository, options, &lock, &mut later, progress)?;
        report.add(later);
    }
    if !options.dry_run {
        keep_reserve(&*repository.disk, &repository.ghost_dir);
        store.keep_parity(progress);
    }
    progress.set_phase(Phase::Finishing);
    Ok(report)
}

/// What is stored only because other objects are differences from it: nothing else needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Props {
    /// Objects.
    pub objects: u64,
    /// What they take, in bytes as they are stored.
    pub bytes: u64,
}

/// Counts what is stored only for differences, as [`run`] does and reports. Nothing is changed, and no lock is waited for.
/// Where something is missing or damaged that must be there, it cannot be told, and the error says what.
pub fn props(repository: &Repository, keep_log: KeepLog, progress: &Progress) -> Result<Props> {
    let options = Options {
        unused_max: Allowance::Bytes(0),
        repack_bytes_max: 0,
        keep_log,
        threads: 1,
        dry_run: true,
        is_over: &|| false,
    };
    let mut report = Report::default();
    Collection::begin(repository, &options, &mut report, progress)?.measure()?;
    let (objects, bytes) = (report.base_objects, report.base_bytes);
    Ok(Props { objects, bytes })
}

/// Looks at all there is and frees what it may.
fn pass(
    repository: &Repository,
    options: &Options<'_>,
    lock: &CollectLock,
    report: &mut Report,
    progress: &Progress,
) -> Result<()> {
    let mut collection = Collection::begin(repository, options, report, progress)?;
    collection.plan()?;
    if options.dry_run {
        return Ok(());
    }
    collection.drop_dead(lock)?;
    collection.pack_anew(lock)
}

/// A gc under way.
struct Collection<'c> {
    repository: &'c Repository,
    options: &'c Options<'c>,
    progress: &'c Progress,
    roots: Roots,
    tables: Tables,
    marks: Marks,
    chains: Chains,
    report: &'c mut Report,
}

impl<'c> Collection<'c> {
    /// Looks at the index.
    fn begin(
        repository: &'c Repository,
        options: &'c Options<'c>,
        report: &'c mut Report,
        progress: &'c Progress,
    ) -> Result<Self> {
        let store = &repository.store;
        // What a pass before this one copied is in use now, and no longer this process's affair.
        store.release_all();
        store.refresh()?;
        // What a damaged segment covers is read from the data files.
        store.verify_index()?;
        let tables = Tables::new(store);
        let marks = Marks::new(&tables);
        Ok(Self {
            repository,
            options,
            progress,
            roots: Roots {
                logged: Logged::read(&repository.refs, options.keep_log)?,
                ..Roots::default()
            },
            tables,
            marks,
            chains: Chains::default(),
            report,
        })
    }

    /// Marks and measures. Gives how much of each file lives, and what roots need.
    fn measure(&mut self) -> Result<(Vec<FileUse>, Bits)> {
        let store = &self.repository.store;
        let (_, values) = values(&self.repository.refs)?;
        self.mark(&values)?;
        self.report.double_objects = thin::thin(store, &self.tables, &mut self.marks, self.progress)?;
        let needed: Bits = self.marks.live.clone();
        Ok((self.weigh(&needed)?, needed))
    }

    /// Marks, measures and decides.
    fn plan(&mut self) -> Result<()> {
        let (uses, needed) = self.measure()?;
        self.report.live_objects = uses.iter().map(|usage| usage.live_objects).sum();
        let (unused, repack) = (self.options.unused_max, self.options.repack_bytes_max);
        self.report.files = plan::plan(uses, unused, repack, self.repository.store.options().file_bytes_max);
        self.keep_props(&needed)?;
        self.drop_let_go();
        Ok(())
    }

    /// Marks what these values of refs keep, as far as it is not marked.
    fn mark(&mut self, values: &BTreeMap<String, ObjectId>) -> Result<()> {
        let store = &self.repository.store;
        let roots = self.roots.of(store, values)?;
        let marker = Marker::new(store, &self.tables, &mut self.marks, self.progress);
        let mut marker = marker.with_threads(self.options.threads);
        marker.mark(&roots)?;
        marker.mark_bases_of_gained()
    }

    fn repack(&self) -> Repack<'_> {
        Repack {
            store: &self.repository.store,
            tables: &self.tables,
            live: &self.marks.live,
            chains: &self.chains,
            progress: self.progress,
            threads: self.options.threads.max(1),
            whole_share: match self.options.unused_max {
                Allowance::Share(share) => share.min(1000),
                Allowance::Bytes(_) => 0,
            },
        }
    }

    /// Condemns files in which nothing lives.
    fn drop_dead(&mut self, lock: &CollectLock) -> Result<()> {
        let dead: Vec<FileUse> = self.planned(|fate| fate == Fate::Goes);
        if !dead.is_empty() {
            self.round(&dead, lock)?;
        }
        Ok(())
    }

    /// Packs anew what the plan says, some files at a time.
    fn pack_anew(&mut self, lock: &CollectLock) -> Result<()> {
        self.progress.set_phase(Phase::Writing);
        let mut left = self
            .planned(|fate| matches!(fate, Fate::Repacked | Fate::Merged))
            .into_iter()
            .peekable();
        while left.peek().is_some() {
            if (self.options.is_over)() {
                self.report.stopped = Some(Stopped::Time);
                return Ok(());
            }
            let (mut some, mut bytes) = (Vec::new(), 0);
            while let Some(usage) = left.next_if(|usage| some.is_empty() || bytes + usage.bytes <= ROUND_BYTES) {
                bytes += usage.bytes;
                some.push(usage);
            }
            match self.round(&some, lock) {
                Err(Error::Io { source, .. }) if is_full(&source) => {
                    self.report.stopped = Some(Stopped::Full);
                    return Ok(());
                }
                done => done?,
            }
        }
        Ok(())
    }

    fn planned(&self, is_wanted: impl Fn(Fate) -> bool) -> Vec<FileUse> {
        let planned = self.report.files.iter().filter(|file| is_wanted(file.fate));
        planned.map(|file| file.usage.clone()).collect()
    }

    /// Empties these files and condemns them.
    fn round(&mut self, files: &[FileUse], lock: &CollectLock) -> Result<()> {
        let repository = self.repository;
        let store = &repository.store;
        let (mut leaving, mut locks): (Vec<Leaving>, Vec<_>) = (Vec::new(), Vec::new());
        for usage in files {
            let Some(known) = self.tables.files().iter().find(|file| file.number == usage.number) else {
                continue;
            };
            match store.lock_data_file(known.number, known.committed)? {
                Some(locked) => {
                    locks.push(locked);
                    leaving.push((known.number, known.file.clone(), known.committed));
                }
                None => self.report.busy_files += 1,
            }
        }
        if leaving.is_empty() {
            return Ok(());
        }
        // In the order in which what lives is walked over.
        leaving.sort_by_key(|(number, _, _)| *number);
        let numbers: Vec<u32> = leaving.iter().map(|(number, _, _)| *number).collect();
        store.pass_over(&numbers);
        let done = self.empty_and_publish(&leaving, locks);
        if done.is_err() {
            // They stay: what was copied is there twice until the next gc.
            store.pass_over_no_more(&numbers);
        }
        done?;
        self.report.condemned_files += leaving.len() as u64;
        self.report.condemned_bytes += leaving.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
        drop(leaving);
        let swept = store.sweep(lock)?;
        self.report.swept.files += swept.files;
        self.report.swept.bytes += swept.bytes;
        (self.report.swept.waiting_files, self.report.swept.waiting_bytes) = (swept.waiting_files, swept.waiting_bytes);
        Ok(())
    }

    fn empty_and_publish(&mut self, leaving: &[Leaving], locks: Vec<crate::store::LockedFile>) -> Result<()> {
        let copied = self.repack().copy(leaving)?;
        self.count(copied);
        self.publish(leaving, locks)
    }

    fn count(&mut self, copied: Copied) {
        self.report.copied_bytes += copied.bytes;
        self.report.rewritten_objects += copied.rewritten;
    }
}

#[cfg(test)]
mod tests;
