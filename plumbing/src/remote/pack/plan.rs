//! From the objects that are wanted to the frames that carry them.
//!
//! 1. Each wanted object is looked up; those of one frame make a unit.
//! 2. A frame of which all is wanted goes as it is stored: nothing is decompressed, and what was compressed together
//!    stays together. So does one of which at least half is wanted, if whoever asks allows it ([`Extent::Whole`]). Of
//!    others, the wanted objects are packed anew, alike with alike.
//! 3. A delta frame goes as it is where the other side takes such frames and has, or gets in this pack, every base of its
//!    objects ([`Deltas`]); else its objects are decoded and packed anew.
//! 4. Frames that stand for themselves go first, in the order of the files, so that reading is sequential; what describes
//!    before data, but where single objects were asked for. Then what was packed anew. Delta frames follow, each behind those that hold its bases
//!    ([`super::order`]): who receives can decode every frame when it comes.
//!
//! Frames whose digest the other side has from a transfer that broke are left out: the same wishes give the same frames.

use std::collections::BTreeMap;
use std::io::Write;

use hashbrown::HashSet;

use super::order::in_order;
use super::repack::Repacker;
use super::{PackCount, PackWriter};
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectKind};
use crate::progress::Progress;
use crate::remote::wire::Tally;
use crate::store::data::format::{Codec, FrameKind, Row};
use crate::store::data::read::Head;
use crate::store::data::write::Sealed;
use crate::store::{Frame, Location, Store};

/// An object that is wanted.
pub type Wanted = (ObjectKind, ObjectId);

/// Takes out of a set of ids those that the other side has.
pub type Held<'h> = dyn FnMut(&mut HashSet<ObjectId>) -> Result<()> + 'h;

/// What may become of delta frames.
pub enum Deltas<'h> {
    /// The other side takes none.
    Decoded,
    /// They go as they are where the other side has the bases.
    AsTheyAre(&'h mut Held<'h>),
}

/// What may travel beside what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing.
    Exact,
    /// As much again in the same frame.
    Whole,
}

/// Some objects of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    objects: u64,
    bytes: u64,
}

impl Share {
    /// Counts one more, of so many bytes.
    pub fn add(&mut self, bytes: u32) {
        self.objects += 1;
        self.bytes += u64::from(bytes);
    }

    /// Whether it is at least half of all, in objects and in bytes.
    pub fn is_half_of(&self, all: Self) -> bool {
        2 * self.objects >= all.objects && 2 * self.bytes >= all.bytes
    }
}

/// How a unit travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As it is stored, and stands for itself.
    Whole,
    /// Packed anew.
    Anew,
    /// As it is stored, behind its bases.
    Delta,
}

/// Wanted objects of one frame.
#[derive(Debug)]
struct Unit {
    at: Location,
    slots: Vec<u16>,
    form: Form,
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
    pub fn new(store: &Store, wanted: &[Wanted], deltas: Deltas<'_>, progress: &Progress) -> Result<Self> {
        let mut plan = Self::default();
        let mut frames = Frames::default();
        for &(kind, id) in wanted {
            progress.check()?;
            match store.locate(&id)? {
                Some(at) => frames.add(kind == ObjectKind::Block, at),
                None => plan.missing.push((kind, id)),
            }
        }
        let leaning = plan.add_units(store, frames, Extent::Exact)?;
        plan.settle_deltas(leaning, wanted, deltas)?;
        Ok(plan)
    }

    /// Looks up objects by their ids, each of which is named once. Differences are decoded.
    pub fn of_ids(store: &Store, ids: &[ObjectId], extent: Extent, progress: &Progress) -> Result<Self> {
        let mut plan = Self::default();
        let mut frames = Frames::default();
        for &id in ids {
            progress.check()?;
            match store.locate(&id)? {
                // What describes and what is described are in frames of their own.
                Some(at) => frames.add(false, at),
                None => plan.missing.push((ObjectKind::Block, id)),
            }
        }
        let leaning = plan.add_units(store, frames, extent)?;
        plan.settle_deltas(leaning, &[], Deltas::Decoded)?;
        Ok(plan)
    }

    /// Adds what is wanted of each frame; gives the delta frames of which all is.
    fn add_units(&mut self, store: &Store, frames: Frames, extent: Extent) -> Result<Vec<(usize, Head)>> {
        let mut leaning = Vec::new();
        for ((_, file, frame), mut slots) in frames.0 {
            slots.sort_unstable();
            slots.dedup();
            let at = Location { file, frame, slot: 0 };
            let (_, head) = store.head(at)?;
            let is_delta = head.header.codec == Codec::Delta;
            let form = match slots.len() == head.rows.len() {
                true if is_delta => Form::Delta,
                true => Form::Whole,
                false if extent == Extent::Whole && !is_delta && is_mostly_wanted(&head, &slots) => Form::Whole,
                false => Form::Anew,
            };
            let (share, all) = (slots.len() as u64, (head.rows.len() as u64).max(1));
            let bytes = match form {
                Form::Whole | Form::Delta => head.header.frame_bytes(),
                Form::Anew => head.header.frame_bytes() * share / all,
            };
            self.total.objects_total += share;
            self.total.bytes_total += bytes;
            if form == Form::Delta {
                leaning.push((self.units.len(), head));
            }
            self.units.push(Unit { at, slots, form, bytes });
        }
        Ok(leaning)
    }

    /// Decides which delta frames travel as they are, and puts the units in order.
    fn settle_deltas(&mut self, leaning: Vec<(usize, Head)>, wanted: &[Wanted], deltas: Deltas<'_>) -> Result<()> {
        let order = match deltas {
            _ if leaning.is_empty() => Vec::new(),
            Deltas::Decoded => Vec::new(),
            Deltas::AsTheyAre(held) => {
                let travels: HashSet<ObjectId> = wanted.iter().map(|(_, id)| *id).collect();
                let bases = leaning.iter().flat_map(|(_, head)| &head.bases).map(|base| base.id);
                let mut lacking: HashSet<ObjectId> = bases.filter(|id| !travels.contains(id)).collect();
                if !lacking.is_empty() {
                    held(&mut lacking)?;
                }
                let stays = |head: &Head| head.bases.iter().all(|base| !lacking.contains(&base.id));
                let kept: Vec<&(usize, Head)> = leaning.iter().filter(|(_, head)| stays(head)).collect();
                let heads: Vec<&Head> = kept.iter().map(|(_, head)| head).collect();
                in_order(&heads).into_iter().map(|at| kept[at].0).collect()
            }
        };
        let is_kept: HashSet<usize> = order.iter().copied().collect();
        let (mut first, mut last): (Vec<Unit>, BTreeMap<usize, Unit>) = Default::default();
        for (number, mut unit) in self.units.drain(..).enumerate() {
            if is_kept.contains(&number) {
                last.insert(number, unit);
                continue;
            }
            if unit.form == Form::Delta {
                unit.form = Form::Anew;
            }
            first.push(unit);
        }
        self.units = first;
        self.units.extend(order.iter().filter_map(|number| last.remove(number)));
        Ok(())
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
            if unit.form == Form::Delta {
                // Its bases may be among what was packed anew.
                repacker.flush_all(held, out)?;
            }
            if unit.form == Form::Anew {
                repack(store, &head, unit, &mut frame, &mut |row, bytes| {
                    repacker.add(row, bytes, held, out)
                })?;
            } else {
                match held.contains(&head.header.digest) {
                    true => out.count.skipped += 1,
                    false => out.frame(FrameKind::Objects, &Sealed::of_file(&file, &head)?)?,
                }
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

/// Wanted objects by frames: what describes before blocks, then by place.
#[derive(Default)]
struct Frames(BTreeMap<(bool, u32, u64), Vec<u16>>);

impl Frames {
    fn add(&mut self, is_block: bool, at: Location) {
        let slots = self.0.entry((is_block, at.file, at.frame)).or_default();
        slots.push(at.slot);
    }
}

fn is_mostly_wanted(head: &Head, slots: &[u16]) -> bool {
    let (mut wanted, mut all) = (Share::default(), Share::default());
    head.rows.iter().for_each(|row| all.add(row.bytes));
    let rows = slots.iter().filter_map(|&slot| head.rows.get(usize::from(slot)));
    rows.for_each(|row| wanted.add(row.bytes));
    wanted.is_half_of(all)
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
