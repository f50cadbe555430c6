//! Copying what lives out of data files that are to go.
//!
//! 1. Look-ups pass over these files from now on, so that the packer takes for new what only they hold.
//! 2. Frames in which nearly everything lives are copied as they are stored; of others, what lives is decompressed, each
//!    hash compared, and packed anew. Of a delta frame it is copied as it is stored: what it is made from lives, too.
//!    Several threads read, check and compress; one walk hands them frames in order.
//! 3. Then come the objects that [`super::chains`] wants to be made from others than they are: these are there now. So do those
//!    of which several copies live: the first that reads is taken.
//! 4. All of it is made durable. Then each object that lived there is looked up once more: it must be found elsewhere, and
//!    with all that it is made from. It may be found in a file of a writer who knew nothing of this copy and stored it as
//!    the difference from something that now goes: then it is copied whole. A copy that was there before is read, since the one
//!    that goes may be the last that is sound.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, bounded};
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::bits::Bits;
use super::chains::Chains;
use super::tables::{Tables, retain_id};
use super::usage::unused;
use super::walk::{LiveWalk, frames};
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::store::data::format::{Codec, Row};
use crate::store::data::read::{DataFile, Head};
use crate::store::{Class, Frame, Location, Packer, Store, Writer};

/// A file that is to go, with the length up to which it is committed.
pub(super) type Leaving = (u32, DataFile, u64);

/// Copies what lives.
pub(super) struct Repack<'r> {
    pub(super) store: &'r Store,
    pub(super) tables: &'r Tables,
    pub(super) live: &'r Bits,
    pub(super) chains: &'r Chains,
    pub(super) progress: &'r Progress,
    pub(super) threads: usize,
    /// A frame of which at most this share, in hundredths of a percent, is unused is copied as it is.
    pub(super) whole_share: u32,
}

/// What was appended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copied {
    pub(super) bytes: u64,
    /// Objects that are made from others than they were.
    pub(super) rewritten: u64,
}

/// What lives in one frame.
struct Work {
    number: u32,
    file: DataFile,
    head: Head,
    slots: Vec<u16>,
}

impl Repack<'_> {
    /// Copies what lives in these files and makes it durable.
    pub(super) fn copy(&self, leaving: &[Leaving]) -> Result<Copied> {
        let mut writer = self.store.writer()?;
        writer.trust_bases();
        let writer = writer;
        let (sender, receiver) = bounded::<Work>(2 * self.threads);
        let later = Mutex::new(Vec::new());
        let mut copied = Ok(());
        std::thread::scope(|threads| {
            let work = |receiver: Receiver<Work>| self.work(&writer, &receiver, &later);
            let workers: Vec<_> = (0..self.threads.max(1))
                .map(|_| {
                    let receiver = receiver.clone();
                    threads.spawn(move || work(receiver))
                })
                .collect();
            drop(receiver);
            copied = self.hand_out(leaving, sender);
            for worker in workers {
                let ended = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                // What a thread failed with is why nobody took more work.
                if ended.is_err() {
                    copied = ended;
                }
            }
        });
        copied?;
        let rewritten = self.write_again(&writer, later.into_inner())?;
        writer.commit()?;
        let bytes = writer.counters.stored_bytes.load(Ordering::Relaxed);
        drop(writer);
        let bytes = bytes + self.audit(leaving)?;
        Ok(Copied { bytes, rewritten })
    }

    fn hand_out(&self, leaving: &[Leaving], sender: Sender<Work>) -> Result<()> {
        let mut walk = LiveWalk::new(self.tables, self.live, &|number| is_among(leaving, number));
        for (number, file, committed) in leaving {
            frames(file, *committed, &mut |head| {
                self.progress.check()?;
                let slots = walk.slots(*number, file, &head)?;
                if slots.is_empty() {
                    return Ok(());
                }
                let work = Work {
                    number: *number,
                    file: file.clone(),
                    head,
                    slots,
                };
                // Only a thread that failed takes no more, and it says why.
                sender.send(work).map_err(|_| Error::Interrupted)
            })?;
            walk.end_file(*number, file)?;
        }
        Ok(())
    }

    fn work(&self, writer: &Writer<'_>, receiver: &Receiver<Work>, later: &Mutex<Vec<Location>>) -> Result<()> {
        let mut packer = writer.packer();
        let mut frame = Frame::default();
        for work in receiver {
            let raw = u64::from(work.head.header.raw_bytes);
            let wasted = unused(&work.head, &work.slots);
            let is_whole = wasted * 10_000 <= work.head.header.frame_bytes() * u64::from(self.whole_share);
            // A frame whose digest does not fit may hold objects that are sound: those are looked at one by one.
            let copied = match is_whole {
                _ if work.head.header.codec == Codec::Delta => self.copy_firm(writer, &work, later).map(|()| true),
                true => writer.copy_frame(&work.file, &work.head),
                false => Ok(false),
            };
            match copied {
                Ok(true) => {}
                Ok(false) => self.pack_anew(&mut packer, &mut frame, &work)?,
                Err(e) if e.is_damage() => self.pack_anew(&mut packer, &mut frame, &work)?,
                Err(e) => return Err(e),
            }
            self.progress.add(0, raw);
        }
        packer.flush()
    }

    /// Copies objects of a delta frame as they are stored, but for those that are written again when all others are there, and
    /// those of which there are several copies: one that reads is to be taken.
    fn copy_firm(&self, writer: &Writer<'_>, work: &Work, later: &Mutex<Vec<Location>>) -> Result<()> {
        let place = |slot: u16| Location {
            file: work.number,
            frame: work.head.offset,
            slot,
        };
        let (mut firm, mut loose) = (Vec::new(), Vec::new());
        for slot in &work.slots {
            let (row, at) = (&work.head.rows[usize::from(*slot)], place(*slot));
            match self.chains.bases_for(&at).is_none() && !self.has_others(&row.id)? {
                true => firm.push(*slot),
                false => loose.push(at),
            }
        }
        later.lock().extend(loose);
        if firm.is_empty() {
            return Ok(());
        }
        writer.copy_deltas(&work.file, &work.head, &firm)
    }

    /// Whether several copies of an object live. Then none of them is known to be sound, or all are made from others.
    fn has_others(&self, id: &ObjectId) -> Result<bool> {
        let mut entries = Vec::new();
        self.tables.find(id.prefix(), &mut entries);
        entries.retain(|entry| self.live.has(entry.position));
        retain_id(self.store, &mut entries, id)?;
        Ok(entries.len() > 1)
    }

    /// Writes objects again, made from others than they are; those that are not to be are copied if they read. Where no copy of
    /// one reads, it is copied as it is: what it is made from stays. Gives how many were written.
    fn write_again(&self, writer: &Writer<'_>, places: Vec<Location>) -> Result<u64> {
        // Those that are made from the same frame follow each other.
        let keyed = places.into_iter().map(|at| Ok((self.store.root_of(at)?, at)));
        let mut keyed = keyed.collect::<Result<Vec<_>>>()?;
        keyed.sort_unstable();
        let (mut packer, mut bytes, mut written) = (writer.packer(), Vec::new(), 0);
        let mut unread = Vec::new();
        for (_, at) in keyed {
            self.progress.check()?;
            let Some(row) = self.store.row_at(at)? else { continue };
            // Copied before, or brought by somebody else.
            if self.store.contains(&row.id)? {
                continue;
            }
            match self.store.near().quiet().read(at, &row.id, &mut bytes) {
                Ok(()) => match self.chains.bases_for(&at) {
                    Some(bases) => {
                        packer.put_on(row.kind, row.id, &bytes, bases)?;
                        written += 1;
                    }
                    None => match self.copy_as_it_is(writer, at) {
                        // What lies beside it is damaged.
                        Err(error) if error.is_damage() => drop(packer.put_hashed(row.kind, row.id, &bytes)?),
                        copied => copied?,
                    },
                },
                Err(error) if error.is_damage() => unread.push((at, row.id)),
                Err(error) => return Err(error),
            }
        }
        packer.flush()?;
        for (at, id) in unread {
            // By now those are there of which another copy reads.
            if !self.store.contains(&id)? {
                self.copy_as_it_is(writer, at)?;
            }
        }
        Ok(written)
    }

    /// Copies an object of a delta frame as it is stored.
    fn copy_as_it_is(&self, writer: &Writer<'_>, at: Location) -> Result<()> {
        let (file, head) = self.store.head(at)?;
        writer.copy_deltas(&file, &head, &[at.slot])
    }

    /// Packs objects with others of the same sort, each hash compared. Of several copies one need not read: that another was
    /// found is what the [audit](Self::audit) sees to.
    fn pack_anew(&self, packer: &mut Packer<'_>, frame: &mut Frame, work: &Work) -> Result<()> {
        let at = Location {
            file: work.number,
            frame: work.head.offset,
            slot: 0,
        };
        let is_whole = match work.head.header.codec {
            Codec::Delta => false,
            _ => match self.store.read_frame(at, frame) {
                Err(error) if error.is_damage() => false,
                read => read.map(|()| true)?,
            },
        };
        let mut decoded = Vec::new();
        // Chunks of large files lie in longer frames, and are to do so again.
        let is_large = work.head.header.raw_bytes as usize > self.store.options().frame_bytes / 2 * 3;
        for slot in &work.slots {
            let row = work.head.rows[usize::from(*slot)];
            let at = Location { slot: *slot, ..at };
            let read = match is_whole {
                true => frame.verified(*slot, &row.id),
                false => {
                    let near = self.store.near();
                    let near = if self.has_others(&row.id)? { near.quiet() } else { near };
                    near.read(at, &row.id, &mut decoded).map(|()| &decoded[..])
                }
            };
            let bytes = match read {
                Err(error) if error.is_damage() && self.has_others(&row.id)? => continue,
                read => read?,
            };
            let class = match row.kind {
                ObjectKind::Block if is_large => Class::Large,
                ObjectKind::Block => Class::Small,
                _ => Class::Meta,
            };
            packer.put_in(class, row.kind, row.id, bytes)?;
        }
        Ok(())
    }

    /// Looks for everything that lives in these files elsewhere, and copies whole what does not stand there. Gives the bytes
    /// that were appended.
    fn audit(&self, leaving: &[Leaving]) -> Result<u64> {
        let shaky = self.shaky(leaving)?;
        if shaky.is_empty() {
            return Ok(0);
        }
        // This one takes nothing for there that does not stand.
        let writer = self.store.writer()?;
        let mut packer = writer.packer();
        for copies in shaky.values() {
            let (row, bytes) = self.read_one_of(copies)?;
            packer.put_hashed(row.kind, row.id, &bytes)?;
        }
        packer.flush()?;
        drop(packer);
        writer.commit()?;
        match self.shaky(leaving)?.first_key_value() {
            None => Ok(writer.counters.stored_bytes.load(Ordering::Relaxed)),
            Some((id, _)) => Err(Error::Missing {
                id: *id,
                needed_as: "base of other objects, or made from one that is",
            }),
        }
    }

    /// What lives in these files and is found elsewhere only as made from something that is not, or not at all, with its copies
    /// here.
    fn shaky(&self, leaving: &[Leaving]) -> Result<BTreeMap<ObjectId, Copies>> {
        let mut walk = LiveWalk::new(self.tables, self.live, &|number| is_among(leaving, number));
        let before = self.tables.files().iter().map(|file| (file.number, file.committed));
        let before: HashMap<u32, u64> = before.collect();
        let was_there = |at: Location| before.get(&at.file).is_some_and(|committed| at.frame < *committed);
        let mut shaky: BTreeMap<ObjectId, Copies> = BTreeMap::new();
        for (number, file, committed) in leaving {
            frames(file, *committed, &mut |head| {
                for slot in walk.slots(*number, file, &head)? {
                    let row = head.rows[usize::from(slot)];
                    if shaky.contains_key(&row.id) || !self.is_elsewhere(&row, &was_there)? {
                        let (file, frame) = (*number, head.offset);
                        let at = Location { file, frame, slot };
                        shaky.entry(row.id).or_default().push((row, at));
                    }
                }
                Ok(())
            })?;
        }
        Ok(shaky)
    }

    /// Whether there is a copy elsewhere that stands and, where it was there before this run, reads: what was written since was
    /// compared then. Those of which this is not so are passed over from now on.
    fn is_elsewhere(&self, row: &Row, was_there: &dyn Fn(Location) -> bool) -> Result<bool> {
        let mut found = self.store.locate(&row.id)?;
        while let Some(at) = found {
            if self.store.stands(at)? && (!was_there(at) || self.reads(row, at)?) {
                return Ok(true);
            }
            self.store.distrust(&[at])?;
            found = self.store.locate(&row.id)?.filter(|next| *next != at);
        }
        Ok(false)
    }

    fn reads(&self, row: &Row, at: Location) -> Result<bool> {
        match self.store.near().quiet().read(at, &row.id, &mut Vec::new()) {
            Ok(()) => Ok(true),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The bytes of one of several copies of an object: of the first that reads.
    fn read_one_of(&self, copies: &[(Row, Location)]) -> Result<(Row, Vec<u8>)> {
        let mut bytes = Vec::new();
        let mut last = Err(Error::Interrupted);
        for (row, at) in copies {
            match self.store.near().read(*at, &row.id, &mut bytes) {
                Ok(()) => return Ok((*row, bytes)),
                Err(error) => last = Err(error),
            }
        }
        last
    }
}

/// Copies of one object, by place.
type Copies = Vec<(Row, Location)>;

fn is_among(leaving: &[Leaving], number: u32) -> bool {
    leaving.iter().any(|(leaves, _, _)| *leaves == number)
}
