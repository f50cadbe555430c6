//! From a tree to a directory: the mirror image of [`crate::snapshot`].
//!
//! The way of a tree, each stage handing plain values on:
//!
//! 1. [`plan`] walks the tree in its order, in a thread of its own. It makes directories, compares names that are
//!    there with their entries ([`existing`]), removes what is not in the tree if asked ([`remove`]), and collects
//!    what is to be written in batches of bounded size.
//! 2. The pieces of content of a [`batch`] are sorted by where their blocks lie. Workers ([`work`]) take one frame at a
//!    time, decompress it once, check its blocks and write all pieces that are in it to their [`files`]. A file is
//!    finished when its last piece is written. Meanwhile the next batch is planned. Blocks that come from elsewhere are
//!    written as they come.
//! 3. [`last`] makes what needs all files of the batch: clones of equal contents, hard links, and then pipes,
//!    sockets, devices and symbolic links.
//! 4. A file whose content the store cannot give is looked for elsewhere ([`sources`]).
//! 5. [`apply`] sets metadata through the handle of each thing when it is complete; of a directory, when everything
//!    in it is done ([`target`]).
//!
//! Invariants:
//!
//! - Only handles of directories below the target are used, with one name at a time, and no link is followed.
//! - Files are born with mode 0600, owned before they get their mode, and have their mtime last. What takes long gets
//!   its name when it is complete, and a name that is taken is replaced whole, by a rename: nobody sees half of a
//!   file, and nothing is ever written into what was there. What is not complete when the job ends is removed; of a
//!   small file that a kill interrupts, the wrong mtime tells the next run.
//! - Every block is hashed after it was read.
//! - Memory is bounded by two batches and one frame a thread, whatever the number and the length of files; open
//!   handles by a part of `RLIMIT_NOFILE`.
//! - What cannot be written is named in the report, and the job goes on.

mod apply;
mod batch;
mod existing;
mod files;
mod last;
mod made;
mod options;
mod plan;
mod remove;
mod report;
mod select;
pub mod sources;
mod subject;
mod target;
#[cfg(test)]
mod tests;
mod work;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bstr::BString;
use rustix::process::Resource;

pub use options::{Options, Overwrite, Reflink};
pub use report::{Problem, Report};
pub use sources::Sources;

use crate::error::{Error, Result};
use crate::object::{Metadata, ObjectId, ObjectSource};
use crate::progress::{Phase, Progress};
use crate::store::{Frame, Store};
use report::Recorder;
use select::Selection;
use sources::Elsewhere;
use target::{Dir, Handles};

/// Most handles of directories that stay open.
const DIRECTORY_HANDLES_MAX: usize = 512;
/// Most files of several pieces that are in work at once, each with an open handle.
const OPEN_FILES_MAX: usize = 256;

/// What every part of a job needs.
pub(crate) struct Context<'j> {
    store: &'j Store,
    options: &'j Options,
    progress: &'j Progress,
    report: Recorder,
    handles: Handles,
    open_files_max: usize,
    /// The path of the target without links, for messages and for what is found by path.
    target: PathBuf,
    /// Where content comes from that the store does not give.
    elsewhere: Option<Elsewhere<'j>>,
    /// Makes temporary names of this job differ from those of others and of each other.
    temporary: (u64, AtomicU64),
}

impl<'j> Context<'j> {
    fn new(store: &'j Store, target: &Path, options: &'j Options, progress: &'j Progress) -> Result<Self> {
        let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let share = usize::try_from(limit / 4).unwrap_or(usize::MAX).max(8);
        let seed = getrandom::u64().map_err(|error| Error::Io {
            op: "get random bytes for",
            path: "temporary names".into(),
            source: std::io::Error::other(error),
        })?;
        Ok(Self {
            store,
            options,
            progress,
            report: Recorder::default(),
            handles: Handles::new(share.min(DIRECTORY_HANDLES_MAX)),
            open_files_max: share.min(OPEN_FILES_MAX),
            target: target::without_links(target),
            elsewhere: None,
            temporary: (seed, AtomicU64::new(0)),
        })
    }

    /// A name that nothing has.
    fn temporary_name(&self) -> BString {
        let number = self.temporary.1.fetch_add(1, Relaxed);
        format!(".~ghost-{:016x}", self.temporary.0.wrapping_add(number)).into()
    }
}

/// Makes the directory `target` what the tree says, as far as `options` ask for it.
///
/// `root` is the metadata for `target` itself. Fails at once where the target cannot be opened, a path of
/// `options.paths` is not in the tree or the tree cannot be read; with [`Error::Interrupted`] when it was
/// stopped through `progress`; all else is in the report.
pub fn reconstruct(
    store: &Store,
    tree: ObjectId,
    root: Option<&Metadata>,
    target: &Path,
    options: &Options,
    progress: &Progress,
) -> Result<Report> {
    let context = Context::new(store, target, options, progress)?;
    run_whole(&context, tree, root, target)?;
    Ok(context.report.finish())
}

/// The same with content from elsewhere where the store cannot give it, and in place of it where files are to be links
/// ([`sources`]). Files that were not located are counted, told of, and no problem unless the store should have them.
pub fn reconstruct_from(
    store: &Store,
    tree: ObjectId,
    root: Option<&Metadata>,
    target: &Path,
    options: &Options,
    sources: &Sources<'_>,
    progress: &Progress,
) -> Result<Report> {
    let mut context = Context::new(store, target, options, progress)?;
    context.elsewhere = Some(Elsewhere::new(sources, tree));
    run_whole(&context, tree, root, target)?;
    Ok(context.report.finish())
}

fn run_whole<'j>(context: &'j Context<'j>, tree: ObjectId, root: Option<&Metadata>, target: &Path) -> Result<()> {
    let Context {
        store,
        options,
        progress,
        ..
    } = *context;
    let selection = Selection::parse(&options.paths)?;
    selection.check(store, tree)?;
    store.tree_node(&tree)?;
    progress.set_phase(Phase::Writing);
    let top = target::open_target(context, target)?;
    let outcome = run(context, top, tree, root, selection);
    progress.check()?;
    outcome
}

/// Plans in one thread and writes in others, one batch behind.
fn run<'j>(
    context: &'j Context<'j>,
    top: Dir<'j>,
    tree: ObjectId,
    root: Option<&Metadata>,
    selection: Selection,
) -> Result<()> {
    sources::prepare(context);
    let made = made::Made::default();
    let (send, batches) = crossbeam_channel::bounded(0);
    let mut frames: Vec<Frame> = Vec::new();
    frames.resize_with(context.options.threads.max(1), Frame::default);
    std::thread::scope(|scope| {
        let planner = scope.spawn(|| plan::Planner::new(context, &made, send).run(top, tree, root, selection));
        let mut batches = batches.into_iter();
        let written = batches.try_for_each(|batch| work::write(context, &made, batch, &mut frames));
        // Where writing ended, so does planning: nobody takes the next batch.
        drop(batches);
        let planned = planner.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(planned)
    })?;
    sources::finish(context, &made);
    Ok(())
}
