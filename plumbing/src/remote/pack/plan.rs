//! From the objects that are wanted to the frames that carry them.
//!
//! 1. Each wanted object is looked up; those of one frame make a unit.
//! 2. A frame of which all is wanted goes as it is stored: nothing is decompressed, and what was compressed together
//!    stays together. Of others, the wanted objects are packed anew, alike with alike.
//! 3. What describes goes first, then data, each in the order of the files: reading is sequential, and who receives
//!    can tell early what the rest is for.
//!
//! Frames whose digest the other side has from a transfer that broke are left out: the same wishes give the same frames.

use std::collections::BTreeMap;
use std::io::Write;

use hashbrown::HashSet;
use zstd::zstd_safe::{self, CCtx};

use super::{PackCount, PackWriter};
use crate::error::{Error, Result};
use crate::limits::{FRAME_OBJECTS_MAX, FRAME_RAW_BYTES_MAX};
use crate::object::{ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::remote::wire::Tally;
use crate::store::data::format::{Codec, FrameKind, Row};
use crate::store::data::read::Head;
use crate::store::data::write::Sealed;
use crate::store::pack::{compress, logs};
use crate::store::{Class, Frame, LARGE_FILE_BYTES, Location, Store};

/// An object that is wanted.
pub type Wanted = (ObjectKind, ObjectId);

/// Wanted objects of one frame.
#[derive(Debug)]
struct Unit {
    at: Location,
    slots: Vec<u16>,
    is_whole: bool,
    /// About what it will take in the pack.
    bytes: u64,
}

/// What is to be sent.
#[derive(Debug, Default)]
pub struct Plan {
    units: Vec<Unit>,
    /// How much it is: `objects_total` and `bytes_total`.
    pub total: Tally,
    /// Wanted objects that are not here.
    pub missing: Vec<Wanted>,
}

impl Plan {
    /// Looks up all that is wanted.
    pub fn new(store: &Store, wanted: &[Wanted], progress: &Progress) -> Result<Self> {
        let mut plan = Self::default();
        let mut frames: BTreeMap<(bool, u32, u64), Vec<u16>> = BTreeMap::new();
        for &(kind, id) in wanted {
            progress.check()?;
            match store.locate(&id)? {
                Some(at) => frames
                    .entry((kind == ObjectKind::Block, at.file, at.frame))
                    .or_default()
                    .push(at.slot),
                None => plan.missing.push((kind, id)),
            }
        }
        for ((_, file, frame), mut slots) in frames {
            slots.sort_unstable();
            slots.dedup();
            let at = Location { file, frame, slot: 0 };
            let (_, head) = store.head(at)?;
            // What leans on other objects is packed anew: who receives need not have them.
            let is_whole = slots.len() == head.rows.len() && head.header.codec != Codec::Delta;
            let share = slots.len() as u64;
            let bytes = head.header.frame_bytes() * share / (head.rows.len() as u64).max(1);
            plan.total.objects_total += share;
            plan.total.bytes_total += bytes;
            plan.units.push(Unit {
                at,
                slots,
                is_whole,
                bytes,
            });
        }
        Ok(plan)
    }

    /// Nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Writes the frames. `held` are digests of frames that the other side has; `tell` is shown how far it is.
    pub fn send<W: Write>(
        &self,
        store: &Store,
        out: &mut PackWriter<W>,
        held: &HashSet<[u8; 32]>,
        progress: &Progress,
        tell: &mut dyn FnMut(&Tally) -> Result<()>,
    ) -> Result<()> {
        let mut repacker = Repacker::new(store.options().zstd_level);
        let mut tally = self.total;
        let mut frame = Frame::default();
        for unit in &self.units {
            progress.check()?;
            let (file, head) = store.head(unit.at)?;
            let before = out.bytes();
            if unit.is_whole {
                match held.contains(&head.header.digest) {
                    true => out.count.skipped += 1,
                    false => out.frame(FrameKind::Objects, &Sealed::of_file(&file, &head)?)?,
                }
            } else {
                repack(store, &head, unit, &mut frame, &mut |row, bytes| {
                    repacker.add(row, bytes, held, out)
                })?;
            }
            tally.objects += unit.slots.len() as u64;
            tally.bytes += unit.bytes;
            progress.add(0, out.bytes() - before);
            tell(&tally)?;
        }
        repacker.flush_all(held, out)
    }

    /// Writes a whole pack of its own.
    pub fn send_all<W: Write>(
        &self,
        store: &Store,
        mut out: PackWriter<W>,
        held: &HashSet<[u8; 32]>,
        progress: &Progress,
        tell: &mut dyn FnMut(&Tally) -> Result<()>,
    ) -> Result<PackCount> {
        self.send(store, &mut out, held, progress, tell)?;
        out.finish()
    }
}

type Add<'a> = dyn FnMut(Row, &[u8]) -> Result<()> + 'a;

/// Hands the wanted objects of a frame on, their hashes compared.
fn repack(store: &Store, head: &Head, unit: &Unit, frame: &mut Frame, add: &mut Add<'_>) -> Result<()> {
    store.read_frame(unit.at, frame)?;
    for &slot in &unit.slots {
        let Some(row) = head.rows.get(usize::from(slot)) else {
            return Err(Error::invalid("location", slot, "its frame has no such object"));
        };
        add(*row, frame.verified(slot, &row.id)?)?;
    }
    Ok(())
}

/// Objects that are packed together.
#[derive(Default)]
struct Group {
    raw: Vec<u8>,
    table: Vec<u8>,
    objects: u32,
}

/// Makes frames of single objects, alike with alike.
struct Repacker {
    groups: [Group; 3],
    level: i32,
    zstd: CCtx<'static>,
}

/// Bytes of a group at which it becomes a frame: what describes, small and large contents.
const GROUP_BYTES: [usize; 3] = [512 << 10, 4 << 20, 16 << 20];
const GROUP_CLASSES: [Class; 3] = [Class::Meta, Class::Small, Class::Large];

impl Repacker {
    fn new(level: i32) -> Self {
        Self {
            groups: Default::default(),
            level,
            zstd: CCtx::create(),
        }
    }

    fn add<W: Write>(
        &mut self,
        row: Row,
        bytes: &[u8],
        held: &HashSet<[u8; 32]>,
        out: &mut PackWriter<W>,
    ) -> Result<()> {
        let class = match row.kind {
            ObjectKind::Block if bytes.len() as u64 >= LARGE_FILE_BYTES => 2,
            ObjectKind::Block => 1,
            _ => 0,
        };
        let is_full = self.groups[class].raw.len() + bytes.len() > FRAME_RAW_BYTES_MAX.min(2 * GROUP_BYTES[class]);
        if is_full {
            self.flush(class, held, out)?;
        }
        let group = &mut self.groups[class];
        group.raw.extend_from_slice(bytes);
        row.encode(&mut group.table);
        group.objects += 1;
        if group.raw.len() >= GROUP_BYTES[class] || group.objects as usize == FRAME_OBJECTS_MAX {
            self.flush(class, held, out)?;
        }
        Ok(())
    }

    fn flush<W: Write>(&mut self, class: usize, held: &HashSet<[u8; 32]>, out: &mut PackWriter<W>) -> Result<()> {
        let group = std::mem::take(&mut self.groups[class]);
        if group.objects == 0 {
            return Ok(());
        }
        let mut stored = Vec::with_capacity(zstd_safe::compress_bound(group.raw.len()));
        compress(
            &mut self.zstd,
            self.level,
            logs(GROUP_CLASSES[class]),
            &group.raw,
            &mut stored,
        )?;
        let raw_bytes = group.raw.len() as u32;
        let (codec, stored) = match stored.len() < group.raw.len() - group.raw.len() / 32 {
            true => (Codec::Zstd, stored),
            false => (Codec::Raw, group.raw),
        };
        let sealed = Sealed::new(codec, raw_bytes, group.objects, group.table, stored);
        if held.contains(&sealed.digest) {
            out.count.skipped += 1;
            return Ok(());
        }
        out.frame(FrameKind::Objects, &sealed)
    }

    fn flush_all<W: Write>(&mut self, held: &HashSet<[u8; 32]>, out: &mut PackWriter<W>) -> Result<()> {
        (0..self.groups.len()).try_for_each(|class| self.flush(class, held, out))
    }
}
