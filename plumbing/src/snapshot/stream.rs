//! A snapshot of bytes that come through a pipe: one file, read to its end on one thread.

use std::io::{self, Read};

use bstr::BString;

use super::before::{Before, Span, in_parent};
use super::content::{Sink, store_stream};
use super::{About, Keep, Outcome, Place, Request};
use crate::error::{Error, Result};
use crate::object::{Entry, HashAlgo, Metadata, Node, ObjectId, ObjectKind, Snapshot, Totals, TreeBuilder};
use crate::progress::{Phase, Progress};
use crate::store::{Class, Packer};

/// Stores all that `reader` gives as a file of this name and metadata, in a tree of that one entry, and makes it
/// durable. Of `request`, the rules, the roots and the times that are kept do not matter.
pub fn take_stream(
    place: &Place<'_>,
    request: &Request,
    name: BString,
    meta: Metadata,
    reader: &mut dyn Read,
    progress: &Progress,
) -> Result<Outcome> {
    progress.set_phase(Phase::Reading);
    let writer = super::writer(place, request)?;
    let mut packer = writer.packer();
    let mut counted = Counted { reader, progress };
    let mut sink = Telling {
        packer: &mut packer,
        progress,
    };
    let before = match in_parent(place.store, &request.about.parents, &name, false) {
        Some(Node::File { content, .. }) => Some(Before::new(content, None)),
        _ => None,
    };
    let stored = store_stream(&mut sink, request.chunk, before, &mut counted);
    if progress.should_stop() {
        packer.flush()?;
        drop(packer);
        writer.commit()?;
        return Err(Error::Interrupted);
    }
    let (stored, bytes) = stored?;
    let node = Node::File {
        content: stored.content,
        fullhash: stored.fullhash,
    };
    let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
    let mut builder = TreeBuilder::new();
    builder.push(&Entry { name, meta, node }, &mut put)?;
    let tree = builder.finish(&mut put)?;
    let totals = Totals {
        files: 1,
        bytes,
        ..Totals::default()
    };
    let mut snapshot = about(request.about.clone(), tree, totals);
    snapshot.set_ghosts_only(request.keep == Keep::Ghosts);
    progress.add(1, 0);
    progress.set_phase(Phase::Finishing);
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode())?;
    packer.counters().tell(progress);
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    Ok(Outcome {
        snapshot,
        id,
        problems: Vec::new(),
        excluded: 0,
        counters: writer.into_counters(),
        cache_rejected: None,
    })
}

/// The snapshot object; it has no roots, since nothing on a disk is behind it.
fn about(about: About, tree: ObjectId, totals: Totals) -> Snapshot {
    let mut tags = about.tags;
    tags.sort();
    tags.dedup();
    Snapshot {
        tree,
        parents: about.parents,
        time: about.time,
        offset_minutes: about.offset_minutes,
        host: about.host,
        author: about.author,
        message: about.message,
        tags,
        roots: Vec::new(),
        rules: Vec::new(),
        totals,
        extra: Vec::new(),
    }
}

/// Tells the progress of what is stored.
struct Telling<'a, 'w> {
    packer: &'a mut Packer<'w>,
    progress: &'a Progress,
}

impl Sink for Telling<'_, '_> {
    fn algo(&self) -> HashAlgo {
        Sink::algo(self.packer)
    }

    fn put_hashed(&mut self, class: Class, kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<()> {
        self.put_against(class, kind, id, bytes, &[])
    }

    fn put_against(
        &mut self,
        class: Class,
        kind: ObjectKind,
        id: ObjectId,
        bytes: &[u8],
        bases: &[ObjectId],
    ) -> Result<()> {
        self.packer.put_against(class, kind, id, bytes, bases)?;
        self.packer.counters().tell(self.progress);
        Ok(())
    }

    fn bases(&mut self, before: &Before, spans: &mut [Span]) -> Result<Vec<Vec<ObjectId>>> {
        Sink::bases(self.packer, before, spans)
    }
}

/// Counts what is read, and fails once the job is to stop.
struct Counted<'a> {
    reader: &'a mut dyn Read,
    progress: &'a Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.should_stop() {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.reader.read(buffer)?;
        self.progress.add(0, count as u64);
        Ok(count)
    }
}
