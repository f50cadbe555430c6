//! Reading trees and lists to say what they need: in the order in which they lie, and by several threads where there are many.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Sender, bounded};

use super::mark::Needs;
use super::tables::Entry;
use crate::error::{Error, Result};
use crate::object::tree::Reference;
use crate::object::{ContentRef, Indirect, ObjectId, ObjectKind, TreeNode};
use crate::progress::Progress;
use crate::store::data::format::Codec;
use crate::store::data::read::Head;
use crate::store::delta::Memo;
use crate::store::{Frame, Store};

/// What is read, by its number in a batch.
pub(super) const READ_AS: [ObjectKind; 2] = [ObjectKind::Tree, ObjectKind::Indirect];

/// Objects that one thread reads alone.
const ALONE_MAX: usize = 512;
/// Objects that a thread takes at a time, and the other objects of their last frame.
const RUN: usize = 128;
/// Ids that a thread hands over at a time; 48 bytes each.
const HANDED: usize = 4 << 10;

/// An object that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) id: ObjectId,
    pub(super) kind: ObjectKind,
    pub(super) is_optional: bool,
}

impl Needs {
    pub(super) fn wanted(self, kind: ObjectKind, id: ObjectId) -> Wanted {
        let is_optional = match self {
            Self::All => false,
            Self::Descriptions => kind == ObjectKind::Block,
            Self::Nothing => true,
        };
        Wanted { id, kind, is_optional }
    }

    /// Hands over what an object needs.
    pub(super) fn of_object(self, kind: ObjectKind, id: &ObjectId, bytes: &[u8], take: &mut Take<'_>) -> Result<()> {
        let bad = |source| Error::BadObject {
            id: *id,
            source: Box::new(source),
        };
        match kind {
            ObjectKind::Tree => {
                let mut references = TreeNode::references(bytes).map_err(bad)?.into_iter();
                references.try_for_each(|reference| match reference {
                    Reference::Tree(id) => take(self.wanted(ObjectKind::Tree, id)),
                    Reference::Content(content) => self.content(&content, take),
                })
            }
            ObjectKind::Indirect => {
                let list = Indirect::decode_any(bytes).map_err(bad)?;
                list.refs.iter().try_for_each(|part| self.content(part, take))
            }
            _ => Ok(()),
        }
    }

    fn content(self, content: &ContentRef, take: &mut Take<'_>) -> Result<()> {
        let part = match content {
            ContentRef::Slice { of, .. } => of,
            part => part,
        };
        let Some((kind, id)) = part.object() else { return Ok(()) };
        // The block without bytes: it stays where it is there, and nobody misses it.
        let needs = match self {
            Self::All if content.is_empty() => Self::Descriptions,
            needs => needs,
        };
        take(needs.wanted(kind, id))
    }
}

/// Takes what is needed.
type Take<'t> = dyn FnMut(Wanted) -> Result<()> + 't;

/// Reads.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) store: &'r Store,
    pub(super) progress: &'r Progress,
    /// How much of what is read must be there.
    pub(super) needs: Needs,
    /// What was read of the same store.
    pub(super) memo: &'r Memo,
}

impl Reader<'_> {
    /// Reads these objects, sorted by where they lie, each with its number in [`READ_AS`], and hands over what they need, in any
    /// order.
    pub(super) fn read(&self, batch: &[(Entry, usize)], threads: usize, take: &mut Take<'_>) -> Result<()> {
        if threads < 2 || batch.len() <= ALONE_MAX {
            return self.read_run(batch, &mut Frame::default(), take);
        }
        let (runs, next) = (runs(batch), AtomicUsize::new(0));
        let (sender, receiver) = bounded(2 * threads);
        std::thread::scope(|scope| {
            let work = |sender: Sender<Vec<Wanted>>| self.work(&runs, &next, &sender);
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    let sender = sender.clone();
                    scope.spawn(move || work(sender))
                })
                .collect();
            drop(sender);
            let taken = receiver.iter().flatten().try_for_each(take);
            // Where it was not, nobody waits to hand over more.
            drop(receiver);
            let ended = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            let first = ended.filter_map(|ended| ended.err()).min_by_key(|(run, _)| *run);
            taken.and(first.map_or(Ok(()), |(_, error)| Err(error)))
        })
    }

    /// Reads runs until there are no more. Where one fails, it is told which, and none is begun after it.
    fn work(
        &self,
        runs: &[&[(Entry, usize)]],
        next: &AtomicUsize,
        sender: &Sender<Vec<Wanted>>,
    ) -> std::result::Result<(), (usize, Error)> {
        let (mut frame, mut wanted) = (Frame::default(), Vec::with_capacity(HANDED));
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(run) = runs.get(number) else { break };
            let read = self.read_run(run, &mut frame, &mut |item| {
                wanted.push(item);
                if wanted.len() < HANDED {
                    return Ok(());
                }
                let full = std::mem::replace(&mut wanted, Vec::with_capacity(HANDED));
                sender.send(full).map_err(|_| Error::Interrupted)
            });
            if let Err(error) = read {
                next.fetch_max(runs.len(), Ordering::Relaxed);
                return Err((number, error));
            }
        }
        sender.send(wanted).map_err(|_| (runs.len(), Error::Interrupted))
    }

    fn read_run(&self, run: &[(Entry, usize)], frame: &mut Frame, take: &mut Take<'_>) -> Result<()> {
        run.chunk_by(|(a, _), (b, _)| a.is_with(b))
            .try_for_each(|unit| self.read_frame(unit, frame, take))
    }

    /// Reads objects of one frame.
    fn read_frame(&self, unit: &[(Entry, usize)], frame: &mut Frame, take: &mut Take<'_>) -> Result<()> {
        let Some((first, _)) = unit.first() else { return Ok(()) };
        self.progress.check()?;
        let (file, head) = self.store.shared_head(first.at)?;
        let is_whole = match head.header.codec {
            // What else is in it may be dead, and what it was made from gone.
            Codec::Delta => false,
            _ => match frame.read_payload(&file, Head::clone(&head), &self.store.near()) {
                Err(e) if e.is_damage() && self.needs == Needs::Nothing => return Ok(()),
                Err(e) if e.is_damage() => false,
                read => read.map(|()| true)?,
            },
        };
        let mut bytes = Vec::new();
        for (entry, class) in unit {
            let row = head.rows.get(usize::from(entry.at.slot));
            let Some(row) = row.filter(|row| row.id.prefix() == entry.prefix) else {
                let expected = format!(
                    "an object whose id begins with {:016x}, as the index says",
                    entry.prefix
                );
                return Err(Error::damaged(&file.path, entry.at.frame, expected, "another"));
            };
            let (kind, id) = (READ_AS[*class], row.id);
            let read = match is_whole {
                true => frame.verified(entry.at.slot, &id),
                false => {
                    let read = self.memo.read(self.store, entry.at, &id, &mut bytes);
                    read.map(|()| &bytes[..])
                }
            };
            let gathered = match read {
                // Damaged, or something is gone that it is made from: another copy may read.
                Err(e) if e.is_damage() => {
                    let another = self.another(&id, e);
                    another.and_then(|bytes| self.needs.of_object(kind, &id, &bytes, take))
                }
                read => read.and_then(|bytes| self.needs.of_object(kind, &id, bytes, take)),
            };
            match gathered {
                Err(e) if e.is_damage() && self.needs == Needs::Nothing => {}
                gathered => gathered?,
            }
        }
        Ok(())
    }

    /// The bytes of an object of which one copy does not read, from any that does; else the error.
    fn another(&self, id: &ObjectId, error: Error) -> Result<Vec<u8>> {
        self.store.get(id)?.ok_or(error)
    }
}

/// What a thread reads at a time: no frame is in two of them.
fn runs(batch: &[(Entry, usize)]) -> Vec<&[(Entry, usize)]> {
    let (mut runs, mut rest) = (Vec::new(), batch);
    while let Some(last) = rest.len().checked_sub(1).map(|most| most.min(RUN - 1)) {
        let more = rest[last..]
            .chunk_by(|(a, _), (b, _)| a.is_with(b))
            .next()
            .map_or(1, <[_]>::len);
        let (run, later) = rest.split_at(last + more);
        runs.push(run);
        rest = later;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Location;

    /// Frames of so many objects, one behind the other.
    fn batch(frames: &[usize]) -> Vec<(Entry, usize)> {
        let objects = (0u64..)
            .zip(frames)
            .flat_map(|(frame, &count)| (0..count).map(move |slot| (frame, slot)));
        let entry = |(position, (frame, slot)): (usize, (u64, usize))| {
            let (file, slot) = (7, slot as u16);
            let at = Location { file, frame, slot };
            let prefix = 0;
            (Entry { at, prefix, position }, 0)
        };
        objects.enumerate().map(entry).collect()
    }

    #[test]
    fn runs_are_as_long_as_they_are_to_be_and_end_with_a_frame() {
        let lengths = |frames: &[usize]| -> Vec<usize> {
            let batch = batch(frames);
            let runs = runs(&batch);
            assert_eq!(runs.concat(), batch);
            runs.iter().map(|run| run.len()).collect()
        };
        assert_eq!(lengths(&[]), []);
        assert_eq!(lengths(&[5]), [5]);
        assert_eq!(lengths(&[1; 2 * RUN + 3]), [RUN, RUN, 3]);
        assert_eq!(lengths(&[RUN, 1]), [RUN, 1]);
        assert_eq!(lengths(&[RUN - 1, 4, 1]), [RUN + 3, 1]);
        assert_eq!(lengths(&[3 * RUN, 2]), [3 * RUN, 2]);
    }
}
