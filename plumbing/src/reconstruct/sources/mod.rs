//! Content from elsewhere: for files that the store cannot give, and for those that are to be links.
//!
//! 1. A file whose blocks are missing or damaged, or that is to be a link, becomes a [`Lost`] and waits in a [`Queue`]
//!    while its batch is written ([`fill`] takes them before links and clones of the batch are made).
//! 2. The first of them makes the [`index`]: the target and all source trees are walked once, and of what they hold only
//!    the paths of files of a wanted size are kept. Nothing is read for it.
//! 3. For each lost file [`find`] tries, cheapest first: what has been hashed and fits, files of the same path or name,
//!    places where the content was seen before, then every other file of its size. A file is hashed at most once to
//!    find out what it is, only if its size is wanted by a file that is lost, and only if its sampled hash fits, where
//!    that of the content is known.
//! 4. [`take`] copies, clones or links what was found, and hashes it again while it does.
//! 5. Where nobody has the whole file, [`assemble`] puts it together from blocks of the store, of other states of the
//!    file, and of files at any path ([`blocks`]).
//!
//! Invariants:
//!
//! - What a source is said to hold never counts, only what it holds at the moment it is used: a copy is hashed while it
//!   is written, a clone after it is cloned, and both get their name only if the hash is right. A link is made to the
//!   inode that was hashed, or by the path that led to it before and after.
//! - No link in a source is followed, at any depth of its paths, and nothing inside a `.ghost` is read.
//! - Where contents are expected to come from elsewhere, what is to be removed from the target goes last, and what is
//!   replaced keeps a second name until then ([`queue`]): it may be what the tree wants under another name.
//! - A source that cannot serve is passed over with its reason, and the next is tried.

mod assemble;
mod blocks;
mod find;
mod group;
mod index;
mod known;
mod names;
mod open;
mod queue;
mod second;
mod take;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustix::io::Errno;

use super::Context;
use super::existing::open_file;
use super::last::Link;
use super::made::{Key, Made};
use super::report::Count;
use super::target::Dir;
use crate::chunk;
use crate::content::{Pieces, Source};
use crate::error::{Error, Result};
use crate::object::{ContentRef, Entry, Kind, ObjectId};
use crate::store::Store;
use crate::walk::stat_fd;
use blocks::Blocks;
use index::Index;
pub use known::{Known, NothingKnown};
pub(super) use queue::{Lost, Queue, Rescue};
use take::Refused;

/// How a file that was found elsewhere gets into the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Take {
    /// Its bytes: shared where the file system can, as [`Options::reflink`](super::Options::reflink) says, else copied.
    #[default]
    Copy,
    /// A symbolic link to it; by a relative path if asked for. What is not found elsewhere comes from the store.
    Symlink {
        /// Whether the link says how to get there from its own directory.
        relative: bool,
    },
    /// A further name of it where it is on the same device, else a copy. What is not found comes from the store.
    Hardlink,
}

/// Where content may come from beside the store, and what is told about it.
pub struct Sources<'a> {
    /// Directories whose files may be used, in order; each is an absolute path without links in it.
    pub trees: Vec<PathBuf>,
    /// Where contents were seen before.
    pub known: &'a dyn Known,
    /// How what is found gets into the target.
    pub take: Take,
    /// How the contents of the tree were cut: so are other states of a file, to find single blocks in them.
    pub chunk: chunk::Params,
    /// The tree was stored without its bytes: that a block is not there is no damage.
    pub unstored: bool,
    /// Tell also of files that were there already or came from the store.
    pub explain: bool,
    /// Told of each file that came from elsewhere or was not located, from several threads.
    pub tell: &'a (dyn Fn(&Told<'_>) + Sync),
}

impl Sources<'_> {
    /// Whether contents are expected to come from elsewhere, so that nothing may be removed before they are located.
    fn are_needed(&self) -> bool {
        self.unstored || !self.trees.is_empty() || self.take != Take::Copy
    }
}

/// What became of one file.
#[derive(Debug)]
pub struct Told<'t> {
    /// Its path in the tree.
    pub path: &'t [u8],
    /// What the tree says of it.
    pub entry: &'t Entry,
    /// What became of it.
    pub outcome: Outcome<'t>,
    /// What was tried before, with the reason why it did not serve.
    pub passed_over: &'t [PassedOver],
}

/// Where the content of a file came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'t> {
    /// The file that is there has it.
    There,
    /// The store.
    Store,
    /// A file elsewhere, by its path.
    Taken(How, &'t Path),
    /// It was not found.
    NotLocated,
}

/// How a content came from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Its bytes were copied.
    Copied,
    /// Its blocks are shared.
    Cloned,
    /// By a symbolic link.
    Symlinked,
    /// By a further name.
    Hardlinked,
    /// Its blocks are from several files, or from files and the store.
    Assembled,
}

/// A file that did not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Where it is.
    pub path: PathBuf,
    /// Why it did not serve.
    pub why: Why,
}

/// Why a file does not serve as a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing is there any more.
    #[error("it is gone")]
    Vanished,
    /// It was changed while it was read.
    #[error("it changed while it was read")]
    Changed,
    /// It has another length than the content, in bytes.
    #[error("it has {0} bytes")]
    OtherSize(u64),
    /// It has the length and other bytes.
    #[error("it has other content")]
    OtherContent,
    /// There is something else than a file.
    #[error("it is a {0}, not a file")]
    NotAFile(&'static str),
    /// A link is on the way to it, or in its place.
    #[error("a symbolic link is on its path")]
    Link,
    /// It is the very file that is to be replaced.
    #[error("it is the file that is to be made")]
    Itself,
    /// It lies inside a repository.
    #[error("it is inside a repository")]
    Repository,
    /// The system refused to read it.
    #[error("it cannot be read: {0}")]
    Unreadable(Errno),
    /// The system refused to share its blocks or to link it.
    #[error("it cannot be {0}: {1}")]
    Refused(&'static str, Errno),
    /// It is on another device than the target.
    #[error("it is on another device, so no hard link can be made to it")]
    OtherDevice,
}

/// What a job knows of content elsewhere.
pub(super) struct Elsewhere<'j> {
    sources: &'j Sources<'j>,
    tree: ObjectId,
    index: OnceLock<Index>,
    blocks: OnceLock<Blocks>,
    /// The hard-link groups of which no content was located.
    orphaned: Mutex<HashMap<[u8; 16], Arc<Entry>>>,
}

impl<'j> Elsewhere<'j> {
    /// For the content of `tree`; nothing has been looked for.
    pub fn new(sources: &'j Sources<'j>, tree: ObjectId) -> Self {
        Self {
            sources,
            tree,
            index: OnceLock::new(),
            blocks: OnceLock::new(),
            orphaned: Mutex::default(),
        }
    }

    /// Where blocks are that the store has not: looked for when that is first asked.
    fn blocks(&self, context: &Context<'_>) -> Result<&Blocks> {
        let mut failed = None;
        let found = self.blocks.get_or_init(|| {
            let found = Blocks::find(context, self);
            found.map_err(|error| failed = Some(error)).unwrap_or_default()
        });
        failed.map_or(Ok(found), Err)
    }

    /// Whether files become links, so that the store is asked last.
    pub fn links_files(&self) -> bool {
        self.sources.take != Take::Copy
    }

    /// Whether every file is told of.
    pub fn explains(&self) -> bool {
        self.sources.explain
    }

    /// Whether names are removed last.
    pub fn removes_last(&self) -> bool {
        self.sources.are_needed()
    }

    /// Tells what became of a file, if that is wanted of files that needed no source.
    pub fn explain(&self, dir: &Dir<'_>, entry: &Entry, outcome: Outcome<'_>) {
        if self.explains() && entry.kind() == Kind::File {
            self.tell(dir, entry, outcome, &[]);
        }
    }

    fn tell(&self, dir: &Dir<'_>, entry: &Entry, outcome: Outcome<'_>, passed_over: &[PassedOver]) {
        (self.sources.tell)(&Told {
            path: &dir.relative(&entry.name),
            entry,
            outcome,
            passed_over,
        });
    }
}

/// Looks at the target and the sources before anything is changed, where contents are expected to come from there.
pub(super) fn prepare(context: &Context<'_>) {
    if let Some(elsewhere) = &context.elsewhere
        && (elsewhere.sources.unstored || elsewhere.links_files())
    {
        elsewhere.index.get_or_init(|| Index::build(context, elsewhere));
    }
}

/// Makes the files that wait, with all threads.
pub(super) fn fill<'j>(context: &'j Context<'j>, made: &Made<'j>) {
    let Some(elsewhere) = &context.elsewhere else { return };
    let lost = made.queue.take_lost();
    if lost.is_empty() || context.progress.should_stop() {
        return;
    }
    let index = elsewhere.index.get_or_init(|| Index::build(context, elsewhere));
    let threads = context.options.threads.clamp(1, lost.len());
    let lost = Mutex::new(lost.into_iter());
    let work = || {
        while let Some(file) = { lost.lock().next() } {
            if context.progress.should_stop() {
                return;
            }
            find::settle(context, elsewhere, index, made, file);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

/// Makes what waited for the last files, when the whole tree has been planned and written, and removes what is not in
/// the tree.
pub(super) fn finish<'j>(context: &'j Context<'j>, made: &Made<'j>) {
    fill(context, made);
    made.queue.make_links(made);
    made.queue.remove_all(context);
}

/// Whether the store has all blocks of a content; the error names the first that it does not have. What it may get from
/// elsewhere counts as there: a rehearsal fetches nothing.
pub(super) fn check_stored(store: &Store, content: &ContentRef) -> Result<()> {
    if store.has_supply() {
        return Ok(());
    }
    for piece in Pieces::new(store, content) {
        if let Source::Block { id, .. } = piece?.source
            && store.locate_needed(&id)?.is_none()
        {
            return Err(Error::Missing { id, needed_as: "block" });
        }
    }
    Ok(())
}

/// Whether the file that is there has this plain hash. What cannot be read has it not.
pub(super) fn has_fullhash(dir: &Arc<Dir<'_>>, name: &[u8], id: &ObjectId) -> Result<bool> {
    let Ok(file) = open_file(dir.handle()?.as_fd(), name) else {
        return Ok(false);
    };
    let Ok(stat) = stat_fd(&file) else { return Ok(false) };
    let progress = dir.context().progress;
    let found = open::hash_with::<Refused>(&file, stat.size, id.algo(), &mut Vec::new(), &mut |_, _| {
        Ok(progress.check()?)
    });
    match found {
        Ok(found) => Ok(found == *id),
        Err(Refused::Source(_)) => Ok(false),
        Err(Refused::Target(error)) => Err(error),
    }
}

/// Says that a content was not found anywhere.
fn not_located<'j>(context: &'j Context<'j>, elsewhere: &Elsewhere<'j>, lost: Lost<'j>, passed_over: &[PassedOver]) {
    let Lost { dir, entry, error, .. } = lost;
    context.report.one(Count::NotLocated);
    context.progress.add(1, entry.size());
    elsewhere.tell(&dir, &entry, Outcome::NotLocated, passed_over);
    if let Some(error) = error.filter(|_| !elsewhere.sources.unstored) {
        context.report.problem(dir.path_of(&entry.name), error);
    }
    if let Some(group) = entry.meta.links {
        elsewhere.orphaned.lock().insert(group, Arc::new(entry));
    }
}

/// Says the same of a further name of a file that was not located; false where it was.
pub(super) fn link_not_located(link: &Link<'_>) -> bool {
    let Link { group, dir, name, .. } = link;
    let context = dir.context();
    let (Some(elsewhere), Key::Links(group)) = (&context.elsewhere, group) else {
        return false;
    };
    let Some(first) = elsewhere.orphaned.lock().get(group).cloned() else {
        return false;
    };
    let entry = Entry {
        name: name.clone(),
        ..Entry::clone(&first)
    };
    context.report.one(Count::NotLocated);
    context.progress.add(1, entry.size());
    elsewhere.tell(dir, &entry, Outcome::NotLocated, &[]);
    true
}
