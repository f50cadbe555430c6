//! The scan of one root: what its threads share, and running them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bstr::BString;
use parking_lot::Mutex;

use super::directory::{Dir, Gone};
use super::links::Links;
use super::queue::Queue;
use super::worker::Worker;
use super::{Problem, Request};
use crate::error::{Error, Result};
use crate::object::{Kind, Metadata, ObjectId};
use crate::progress::Progress;
use crate::store::{Store, Writer};
use crate::walk::cache::{CacheSecret, CacheWriter, DirKey, Fingerprint, Fingerprinter, StatCache};
use crate::walk::{self, Owners, Stat, XattrReader, Xattrs};

/// What the threads share.
pub struct Scan<'s> {
    pub(super) store: &'s Store,
    pub(super) request: &'s Request,
    pub(super) progress: &'s Progress,
    pub(super) owners: &'s Owners,
    pub(super) xattrs: XattrReader,
    pub(super) prints: Fingerprinter,
    pub(super) secret: CacheSecret,
    pub(super) cache: Option<StatCache>,
    pub(super) records: CacheWriter,
    pub(super) links: Links,
    /// What is no longer where it was.
    pub(super) gone: Gone,
    pub(super) queue: Queue,
    pub(super) problems: Mutex<Vec<Problem>>,
    pub(super) root: Mutex<Option<ObjectId>>,
    pub(super) failed: AtomicBool,
    pub(super) excluded: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) directories: AtomicU64,
    pub(super) others: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Scan<'_> {
    pub(super) fn problem(&self, path: BString, error: Error) {
        self.problems.lock().push(Problem { path, error });
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Fails where the job is to stop: the caller asked for it, or another thread failed.
    pub(super) fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        self.progress.check()
    }

    pub(super) fn count(&self, stat: &Stat) {
        let counter = match stat.kind {
            Kind::File => {
                self.bytes.fetch_add(stat.size, Ordering::Relaxed);
                &self.files
            }
            Kind::Directory => &self.directories,
            _ => &self.others,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_excluded(&self) {
        self.excluded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn child_key(&self, parent: &DirKey, name: &[u8]) -> DirKey {
        self.secret.child(parent, name)
    }

    pub(super) fn keep_record(&self, key: DirKey, tree: ObjectId, prints: &[Fingerprint]) {
        self.records.add(key, tree, prints);
    }

    pub(super) fn set_root(&self, tree: ObjectId) {
        *self.root.lock() = Some(tree);
    }

    pub(super) fn metadata(&self, stat: &Stat, xattrs: Xattrs) -> Metadata {
        let mut meta = walk::metadata(stat, self.owners, xattrs);
        meta.btime = stat.btime.filter(|_| self.request.birth_time);
        meta
    }
}

/// Runs the threads until the walk is over.
pub(super) fn run<'s>(scan: &'s Scan<'s>, writer: &Writer<'_>, top: &Arc<Dir>) -> Result<()> {
    let mut first = Worker::new(scan, writer.packer());
    let result = with_threads(scan, writer, &mut first, |first| first.begin(top));
    let finished = result.and_then(|()| {
        for dir in scan.links.finish() {
            let mut next = first.finish(&dir)?;
            if let Some(parent) = next.take() {
                first.release(parent)?;
            }
        }
        Ok(())
    });
    first.packer.flush().and(finished)
}

/// Does `begin` in this thread and all tasks that come of it in all threads.
pub(super) fn with_threads<'s, 'w, T>(
    scan: &'s Scan<'s>,
    writer: &'w Writer<'w>,
    first: &mut Worker<'s, 'w>,
    begin: impl FnOnce(&mut Worker<'s, 'w>) -> Result<T>,
) -> Result<T> {
    let others = scan.request.threads.max(1) - 1;
    std::thread::scope(|threads| {
        let spawn = |_| {
            threads.spawn(|| {
                let mut worker = Worker::new(scan, writer.packer());
                let result = worker.run();
                // Also after an interruption: what was read need not be read again.
                worker.packer.flush().and(result)
            })
        };
        scan.queue.enter();
        let handles: Vec<_> = (0..others).map(spawn).collect();
        let begun = begin(first);
        if begun.is_err() {
            scan.fail();
            scan.queue.stop();
        }
        scan.queue.done();
        let mut result = first.run();
        // The others do the same with what they have: none should be left with all that waits.
        let flushed = first.packer.flush();
        result = result.and(flushed);
        for handle in handles {
            let other = handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = cause(result, other);
        }
        cause(begun, result)
    })
}

/// What one thread gave, unless it only stopped because another failed: then that failure.
fn cause<T>(result: Result<T>, other: Result<()>) -> Result<T> {
    match (result, other) {
        (Ok(value), Ok(())) => Ok(value),
        (Ok(_) | Err(Error::Interrupted), Err(error)) | (Err(error), _) => Err(error),
    }
}
