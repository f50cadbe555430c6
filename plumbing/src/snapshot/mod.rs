//! Taking a snapshot: the one place that knows the order of the job.
//!
//! What is asked for and what comes of it are plain values ([`request`]).
//!
//! 1. The stat cache of the last scan of each root is opened (`walk::cache`), and the root is scanned ([`roots`]).
//! 2. The threads of a scan ([`scan`]) share a stack of tasks ([`queue`]): each opens a directory, looks at its
//!    entries, reads what changed ([`worker`], [`large`]), cuts, hashes and puts it ([`content`]), and adds finished
//!    entries to the directory's tree ([`directory`]). The threads are alike: each reads, hashes and compresses.
//!    What replaces something that is known from before is handed on with its name ([`before`]), so that the store can
//!    keep the difference.
//! 3. When the walk is over, directories that waited for names of hard links ([`links`]) are finished.
//! 4. The snapshot object is put, packers are flushed, and the store makes all of it durable.
//! 5. Only then the stat cache is replaced; the caller moves a ref.
//!
//! An entry that cannot be read is a problem of the outcome, not an error: everything else is stored.

mod before;
pub mod content;
mod directory;
mod large;
mod links;
mod queue;
mod request;
mod roots;
mod scan;
mod stream;
mod worker;

pub use self::request::{About, Keep, Outcome, Place, Problem, Request};
pub use self::roots::last_scan;
pub use self::stream::take_stream;

use self::roots::{Roots, Taken};
use self::scan::Scan;
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::progress::{Phase, Progress};
use crate::store::{Store, Writer};

/// Takes a snapshot and makes it durable. No ref names it yet.
pub fn take(place: &Place<'_>, request: &Request, progress: &Progress) -> Result<Outcome> {
    progress.set_phase(Phase::Reading);
    let writer = writer(place, request)?;
    let mut roots = Roots::new(place, request, progress)?;
    let taken = match roots.take(&writer) {
        Ok(taken) => taken,
        Err(Error::Interrupted) => {
            // What was stored is kept, so that the next run need not store it again.
            writer.commit()?;
            return Err(Error::Interrupted);
        }
        Err(error) => return Err(error),
    };
    progress.set_phase(Phase::Finishing);
    let snapshot = describe(request, &taken);
    let id = put(&writer, request, &snapshot)?;
    writer.counters.tell(progress);
    writer.commit()?;
    if !request.dry_run {
        for (records, path) in taken
            .caches
            .into_iter()
            .filter_map(|(records, path)| Some((records, path?)))
        {
            // A cache: without it the next run reads more.
            let _ = records.finish(place.disk, &path);
        }
    }
    Ok(Outcome {
        snapshot,
        id,
        problems: roots.problems,
        excluded: roots.excluded,
        counters: writer.into_counters(),
        cache_rejected: roots.cache_rejected,
    })
}

/// What the objects of a job go to.
fn writer<'s>(place: &Place<'s>, request: &Request) -> Result<Writer<'s>> {
    let mut writer = match request.dry_run {
        true => place.store.dry_writer(),
        false => place.store.writer()?,
    };
    writer.set_keeps_data(request.keep == Keep::Everything);
    writer.find_alike();
    Ok(writer)
}

/// The snapshot object of what was taken.
fn describe(request: &Request, taken: &Taken) -> Snapshot {
    let about = request.about.clone();
    let mut tags = about.tags;
    tags.sort();
    tags.dedup();
    let mut snapshot = Snapshot {
        tree: taken.tree,
        parents: about.parents,
        time: about.time,
        offset_minutes: about.offset_minutes,
        host: about.host,
        author: about.author,
        message: about.message,
        tags,
        roots: taken.roots.clone(),
        rules: request.rules_text.clone(),
        totals: taken.totals,
        extra: Vec::new(),
    };
    snapshot.set_ghosts_only(request.keep == Keep::Ghosts);
    snapshot
}

/// Puts the snapshot object, unless it tells nothing new: then the earlier one stands for it.
fn put(writer: &Writer<'_>, request: &Request, snapshot: &Snapshot) -> Result<ObjectId> {
    if let Some(before) = request.unless_same_as
        && is_same(writer.store(), before, snapshot)?
    {
        return Ok(before);
    }
    let mut packer = writer.packer();
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode())?;
    packer.flush()?;
    Ok(id)
}

/// Whether an earlier snapshot holds what a new one does, of the same roots. One without the bytes does not.
pub fn is_same(store: &Store, earlier: ObjectId, snapshot: &Snapshot) -> Result<bool> {
    let earlier = Snapshot::decode(&store.object(ObjectKind::Snapshot, &earlier)?)?;
    let holds_less = earlier.is_ghosts_only() && !snapshot.is_ghosts_only();
    Ok(earlier.tree == snapshot.tree && earlier.roots == snapshot.roots && !holds_less)
}

#[cfg(test)]
mod tests;
