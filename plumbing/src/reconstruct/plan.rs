//! The walk through the tree: decides for each entry what is to be done, and collects what is to be written.
//!
//! 1. A stack of levels, one a directory; entries are taken in the order of the tree, which is also the order in
//!    which a snapshot stores blocks. Directories are made or opened on the way down.
//! 2. In a directory that this job made nothing is looked up. Elsewhere each name is looked at; files whose bytes must
//!    be read to decide wait until there are [`UNDECIDED_MAX`] and are then compared by all threads.
//! 3. Where extra names are removed, the listing of a directory is merged with its entries: what sorts before the next
//!    entry and is not it is not in the tree. A directory whose entries cannot all be read keeps the rest.
//! 4. What is to be written goes into a batch, content as pieces; a batch is handed on when it is full, also
//!    in the middle of a long file. In a rehearsal it is only counted.

mod make;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bstr::{BString, ByteSlice};
use crossbeam_channel::Sender;
use hashbrown::HashMap;
use rustix::fs::{AtFlags, FileType, Stat};

use super::Context;
use super::apply::Wanted;
use super::batch::Batch;
use super::existing::{self, Existing, Likeness};
use super::made::{Key, Made};
use super::options::Overwrite;
use super::remove::remove;
use super::report::Count;
use super::select::{self, Selection};
use super::sources::{self, Outcome, Queue};
use super::target::{Dir, Identity};
use crate::error::{Error, Result};
use crate::limits::DIRECTORY_DEPTH_MAX;
use crate::object::{Entry, Kind, Metadata, Node, ObjectId};

/// Files that wait for their bytes to be compared.
const UNDECIDED_MAX: usize = 512;
/// Files shorter than this in bytes are written again rather than cloned.
const CLONE_BYTES_MIN: u64 = 128 << 10;

/// A directory that the walk is in.
struct Level<'j> {
    dir: Arc<Dir<'j>>,
    entries: select::Wanted<'j>,
    /// Names that are there and that no entry has been met for, where extra names are removed.
    extra: std::iter::Peekable<std::vec::IntoIter<Box<[u8]>>>,
}

/// An entry with what the options make of it.
struct Item<'j> {
    dir: Arc<Dir<'j>>,
    entry: Entry,
    wanted: Wanted,
}

/// A file that is there, whose bytes decide what is to be done.
struct Undecided<'j> {
    item: Item<'j>,
    stat: Stat,
}

/// Walks a tree and hands batches on.
pub(super) struct Planner<'j, 'm> {
    context: &'j Context<'j>,
    made: &'m Made<'j>,
    send: Sender<Batch<'j>>,
    batch: Batch<'j>,
    undecided: Vec<Undecided<'j>>,
    users: HashMap<BString, u32>,
    groups: HashMap<BString, u32>,
}

impl<'j, 'm> Planner<'j, 'm> {
    /// A planner with nothing planned.
    pub fn new(context: &'j Context<'j>, made: &'m Made<'j>, send: Sender<Batch<'j>>) -> Self {
        let owners = &context.options.owners;
        let by_name = !context.options.numeric_owner;
        let invert = |(number, name): (u32, &bstr::BStr)| by_name.then(|| (name.to_owned(), number));
        Self {
            context,
            made,
            send,
            batch: Batch::default(),
            undecided: Vec::new(),
            users: owners.users().filter_map(invert).collect(),
            groups: owners.groups().filter_map(invert).collect(),
        }
    }

    /// Walks the whole tree. Fails only when the job is stopped.
    pub fn run(
        mut self,
        mut top: Dir<'j>,
        tree: ObjectId,
        root: Option<&Metadata>,
        selection: Selection,
    ) -> Result<()> {
        let wanted = root
            .filter(|_| top.fresh || (selection.is_all() && self.context.options.overwrite != Overwrite::Never))
            .map(|meta| self.wanted(Kind::Directory, meta));
        top.set_wanted(wanted);
        let mut levels = vec![self.level(Arc::new(top), tree, selection)];
        while let Some(level) = levels.last_mut() {
            self.context.progress.check()?;
            let below = match level.entries.next() {
                Some(Ok((entry, selection))) => {
                    level.remove_before(&entry.name, &self.made.queue);
                    let dir = level.dir.clone();
                    let name = entry.name.clone();
                    let deep = levels.len() >= DIRECTORY_DEPTH_MAX;
                    match self.entry(&dir, entry, selection, deep) {
                        Err(error) if error.ends_job() => return Err(error),
                        Err(error) => {
                            self.context.report.problem(dir.path_of(&name), error);
                            None
                        }
                        Ok(below) => below,
                    }
                }
                Some(Err(error)) if error.ends_job() => return Err(error),
                Some(Err(error)) => {
                    level.extra = Vec::new().into_iter().peekable();
                    self.context.report.problem(level.dir.path(), error);
                    None
                }
                None => {
                    level.remove_rest(&self.made.queue);
                    levels.pop();
                    None
                }
            };
            levels.extend(below);
        }
        self.decide()?;
        self.hand_on()
    }

    fn level(&self, dir: Arc<Dir<'j>>, tree: ObjectId, selection: Selection) -> Level<'j> {
        let mut extra = Vec::new();
        if self.context.options.delete && selection.is_all() && !dir.fresh {
            match dir.list() {
                Ok(listing) => extra = listing.names,
                Err(error) => self.context.report.problem(dir.path(), error),
            }
        }
        Level {
            entries: selection.entries(self.context.store, tree),
            dir,
            extra: extra.into_iter().peekable(),
        }
    }

    fn wanted(&self, kind: Kind, meta: &Metadata) -> Wanted {
        let uid = self.users.get(&meta.user).copied().unwrap_or(meta.uid);
        let gid = self.groups.get(&meta.group).copied().unwrap_or(meta.gid);
        Wanted::new(self.context, kind, meta, uid, gid)
    }

    /// Plans one entry; a directory gives the level below.
    fn entry(
        &mut self,
        dir: &Arc<Dir<'j>>,
        entry: Entry,
        selection: Selection,
        deep: bool,
    ) -> Result<Option<Level<'j>>> {
        let options = self.context.options;
        let wanted = self.wanted(entry.kind(), &entry.meta);
        if wanted.withholds(&entry.meta) {
            self.context.report.one(Count::Withheld);
        }
        match entry.node {
            Node::Directory { .. } if deep => Err(Error::invalid(
                "tree",
                &entry.name,
                format_args!("expected at most {DIRECTORY_DEPTH_MAX} directories in each other"),
            )),
            Node::Directory { tree } => {
                let below = self.directory(dir, &entry.name, wanted, selection.is_all())?;
                Ok(below.map(|below| self.level(below, tree, selection)))
            }
            Node::Whiteout => {
                if options.delete {
                    self.made.queue.remove(dir, &entry.name);
                }
                Ok(None)
            }
            Node::CharDevice { .. } | Node::BlockDevice { .. } if !options.privileged => {
                self.context.report.one(Count::Skipped);
                Ok(None)
            }
            _ => {
                let dir = dir.clone();
                self.place(Item { dir, entry, wanted }).map(|()| None)
            }
        }
    }

    /// Makes or opens a directory. `None` if it is to be left alone with all that is in it.
    fn directory(
        &mut self,
        above: &Arc<Dir<'j>>,
        name: &BString,
        wanted: Wanted,
        whole: bool,
    ) -> Result<Option<Arc<Dir<'j>>>> {
        let Context { options, report, .. } = self.context;
        let found = if above.fresh { None } else { above.look(name)? };
        let mut count = Count::Created;
        if let Some(stat) = found {
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let mut dir = Dir::open(above, name)?;
                // The way to what was asked for is not itself asked for.
                if whole && options.overwrite != Overwrite::Never {
                    let fits = Existing::open(above, name, &stat)?.is_some_and(|found| found.fits(above, &wanted));
                    report.one(if fits { Count::Unchanged } else { Count::Updated });
                    dir.set_wanted(Some(wanted));
                }
                return Ok(Some(Arc::new(dir)));
            }
            if options.overwrite == Overwrite::Never {
                report.one(Count::Skipped);
                return Ok(None);
            }
            if !options.test {
                self.made.queue.hold(above, name)?;
                rustix::fs::unlinkat(&*above.handle()?, name.as_slice(), AtFlags::empty())
                    .map_err(above.error("remove", name))?;
            }
            count = Count::Updated;
        }
        let mut dir = Dir::create(above, name)?;
        dir.set_wanted(Some(wanted));
        report.one(count);
        self.batch.add_weight(std::mem::size_of::<Dir<'_>>() + name.len());
        Ok(Some(Arc::new(dir)))
    }

    /// Plans anything but a directory.
    fn place(&mut self, item: Item<'j>) -> Result<()> {
        let Context {
            options,
            report,
            progress,
            ..
        } = self.context;
        let Item { dir, entry, .. } = &item;
        let found = if dir.fresh { None } else { dir.look(&entry.name)? };
        let Some(stat) = found else {
            return self.make(item, false);
        };
        if options.overwrite == Overwrite::Never {
            report.one(Count::Skipped);
            progress.add(1, entry.size());
            return Ok(());
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            self.clear(dir, &entry.name)?;
            return self.make(item, true);
        }
        if let Some(place) = entry.meta.links.and_then(|group| self.made.get(&Key::Links(group))) {
            return if place.identity == Some(Identity::of(&stat)) {
                report.one(Count::Unchanged);
                progress.add(1, entry.size());
                Ok(())
            } else {
                self.make(item, true)
            };
        }
        match existing::likeness(dir, entry, &stat, options.overwrite)? {
            Likeness::Same => self.settle(item, &stat, true),
            Likeness::Different => self.settle(item, &stat, false),
            // Later names of a group need to know what became of the first.
            Likeness::Unknown if entry.meta.links.is_some() => {
                let same = compare(&item)?;
                self.settle(item, &stat, same)
            }
            Likeness::Unknown => {
                self.undecided.push(Undecided { item, stat });
                if self.undecided.len() >= UNDECIDED_MAX {
                    self.decide()?;
                }
                Ok(())
            }
        }
    }

    /// Removes a directory where the tree has something else.
    fn clear(&self, dir: &Arc<Dir<'j>>, name: &[u8]) -> Result<()> {
        let below = Arc::new(Dir::open(dir, name)?);
        let listing = below.list()?;
        drop(below);
        if listing.has_repository || !(listing.names.is_empty() || self.context.options.delete) {
            return Err(existing::refuse_directory(dir, name));
        }
        if listing.names.is_empty() || !self.made.queue.set_aside(dir, name)? {
            remove(dir, name);
        }
        if !self.context.options.test && dir.look(name)?.is_some() {
            return Err(existing::refuse_directory(dir, name));
        }
        Ok(())
    }

    /// Compares the bytes of the files that wait, with all threads.
    fn decide(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.undecided);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut results = Vec::new();
            while let Some((at, undecided)) = {
                let at = next.fetch_add(1, Relaxed);
                waiting.get(at).map(|undecided| (at, undecided))
            } {
                results.push((at, compare(&undecided.item)));
            }
            results
        };
        let mut results = Vec::with_capacity(waiting.len());
        std::thread::scope(|scope| {
            let threads = self.context.options.threads.clamp(1, waiting.len().max(1));
            let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            results.extend(work());
            for worker in workers {
                results.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        results.sort_unstable_by_key(|(at, _)| *at);
        for (Undecided { item, stat }, (_, same)) in waiting.into_iter().zip(results) {
            let (dir, name) = (item.dir.clone(), item.entry.name.clone());
            match same.and_then(|same| self.settle(item, &stat, same)) {
                Err(error) if error.ends_job() => return Err(error),
                Err(error) => self.context.report.problem(dir.path_of(&name), error),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Plans what is to be done to a name whose content is known to be right, or not.
    fn settle(&mut self, item: Item<'j>, stat: &Stat, same: bool) -> Result<()> {
        let Context {
            options,
            report,
            progress,
            ..
        } = self.context;
        let Item { dir, entry, wanted } = &item;
        let group = entry.meta.links;
        let found = if same {
            Existing::open(dir, &entry.name, stat)?
        } else {
            None
        };
        let Some(found) = found else {
            return self.make(item, true);
        };
        let fits = found.fits(dir, wanted);
        // Changing an inode that has other names would change what this job was not asked to change.
        if found.is_shared() && (group.is_none() || !fits) {
            return self.make(item, true);
        }
        if !fits && !options.test {
            found.fix(dir, &entry.name, wanted);
        }
        if let Some(group) = group {
            self.made
                .announce(Key::Links(group), dir, &entry.name, Some(found.identity()));
        }
        report.one(if fits { Count::Unchanged } else { Count::Updated });
        if let Some(elsewhere) = &self.context.elsewhere {
            elsewhere.explain(dir, entry, Outcome::There);
        }
        progress.add(1, entry.size());
        Ok(())
    }

    fn hand_on_if_full(&mut self) -> Result<()> {
        if self.batch.is_full(self.context) {
            self.hand_on()
        } else {
            Ok(())
        }
    }

    /// Hands the batch to those who write; waits while they are busy with the one before.
    fn hand_on(&mut self) -> Result<()> {
        let mut batch = self.batch.take();
        batch.expect(self.context, &self.made.waiting)?;
        // Who does not receive any more has been stopped.
        self.send.send(batch).map_err(|_| Error::Interrupted)
    }
}

impl<'j> Level<'j> {
    /// Removes what is there and sorts before `name`; `name` itself is in the tree.
    fn remove_before(&mut self, name: &[u8], queue: &Queue<'j>) {
        while let Some(extra) = self.extra.next_if(|extra| extra.as_ref() < name) {
            queue.remove(&self.dir, &extra);
        }
        self.extra.next_if(|extra| extra.as_bytes() == name);
    }

    /// Removes what is there after the last entry.
    fn remove_rest(&mut self, queue: &Queue<'j>) {
        for extra in self.extra.by_ref() {
            queue.remove(&self.dir, &extra);
        }
    }
}

/// Whether the file that is there has the bytes of its entry. Where the store cannot tell, the plain hash does.
fn compare(item: &Item<'_>) -> Result<bool> {
    let Node::File { content, .. } = &item.entry.node else {
        return Ok(false);
    };
    match (
        existing::has_content(&item.dir, &item.entry.name, content),
        item.entry.fullhash(),
    ) {
        (Err(error), Some(id)) if error.is_damage() => sources::has_fullhash(&item.dir, &item.entry.name, &id),
        (same, _) => same,
    }
}
