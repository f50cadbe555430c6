//! Bytes from one store to another.
//!
//! Of a spool everything is wanted, so its frames are copied as they are. Elsewhere the blocks that are wanted are sorted
//! by where they lie, a bounded number at a time; a frame of which all is wanted is copied as it is stored, and of others
//! the wanted blocks are decompressed and packed anew.

use bstr::BString;
use hashbrown::HashSet;

use super::Root;
use super::reach::{Needed, walk};
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind, ObjectSource as _};
use crate::progress::Progress;
use crate::store::data::format::{FILE_HEADER_BYTES, FrameKind};
use crate::store::single::is_metadata;
use crate::store::{Counters, Frame, Location, Packer, Store, Writer};

/// Blocks that are sorted at a time; about 60 bytes each.
const BATCH_BLOCKS: usize = 128 << 10;

/// Copies all that `roots` need from one store to another and makes it durable: what describes, and the blocks that
/// `from` has unless they are to be left out. Fails where an object that describes is missing.
pub fn copy_roots(
    from: &Store,
    to: &Store,
    roots: &[Root],
    without_data: bool,
    progress: &Progress,
) -> Result<Counters> {
    let writer = to.writer()?;
    let mut packer = writer.packer();
    walk(from, roots, progress, &mut |needed| {
        if let Needed::Metadata(kind, id) = needed
            && !writer.knows(&id)?
        {
            packer.put_hashed(kind, id, &from.object(kind, &id)?)?;
        }
        Ok(())
    })?;
    if !without_data {
        copy_blocks(from, &writer, &mut packer, roots, progress)?;
    }
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    Ok(writer.into_counters())
}

/// Counts the files below `roots` of which some bytes are not in `store`.
pub fn count_missing(store: &Store, roots: &[Root], progress: &Progress) -> Result<u64> {
    let (mut files, mut last) = (0, BString::default());
    walk(store, roots, progress, &mut |needed| {
        if let Needed::Block { id, bytes: 1.., path } = needed
            && last != path
            && !store.contains(&id)?
        {
            files += 1;
            last = path.to_owned();
        }
        Ok(())
    })?;
    Ok(files)
}

/// Copies all frames of a spool that hold only what describes, or only others.
pub fn whole_frames(from: &Store, writer: &Writer<'_>, metadata: bool) -> Result<()> {
    let Some(file) = from.spool_file() else {
        return Ok(());
    };
    let mut offset = FILE_HEADER_BYTES;
    while let Some(head) = file.head(offset)? {
        if head.header.kind == FrameKind::Objects && is_metadata(&head) == metadata {
            writer.copy_frame(&file, &head)?;
        }
        offset = head.end();
    }
    Ok(())
}

/// Copies the blocks that `roots` need, that are in `from` and not yet in the store of `writer`.
pub fn copy_blocks(
    from: &Store,
    writer: &Writer<'_>,
    packer: &mut Packer<'_>,
    roots: &[Root],
    progress: &Progress,
) -> Result<()> {
    let mut batch: Vec<(Location, ObjectId)> = Vec::new();
    let mut waiting: HashSet<ObjectId> = HashSet::new();
    walk(from, roots, progress, &mut |needed| {
        let Needed::Block { id, .. } = needed else {
            return Ok(());
        };
        if waiting.contains(&id) || writer.knows(&id)? {
            return Ok(());
        }
        let Some(at) = from.locate(&id)? else { return Ok(()) };
        waiting.insert(id);
        batch.push((at, id));
        if batch.len() < BATCH_BLOCKS {
            return Ok(());
        }
        waiting.clear();
        copy_batch(from, writer, packer, &mut batch, progress)
    })?;
    copy_batch(from, writer, packer, &mut batch, progress)
}

fn copy_batch(
    from: &Store,
    writer: &Writer<'_>,
    packer: &mut Packer<'_>,
    batch: &mut Vec<(Location, ObjectId)>,
    progress: &Progress,
) -> Result<()> {
    batch.sort_unstable_by_key(|(at, _)| *at);
    let mut frame = Frame::default();
    for unit in batch.chunk_by(|a, b| (a.0.file, a.0.frame) == (b.0.file, b.0.frame)) {
        progress.check()?;
        let Some((first, _)) = unit.first() else { continue };
        let (file, head) = from.head(*first)?;
        if head.rows.len() == unit.len() && writer.copy_frame(&file, &head)? {
            progress.add(0, u64::from(head.header.raw_bytes));
            continue;
        }
        from.read_frame(*first, &mut frame)?;
        for (at, id) in unit {
            let bytes = frame.verified(at.slot, id)?;
            packer.put_hashed(ObjectKind::Block, *id, bytes)?;
            progress.add(0, bytes.len() as u64);
        }
    }
    batch.clear();
    Ok(())
}
