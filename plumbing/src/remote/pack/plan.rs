//! From the objects that are wanted to the frames that carry them.
//!
//! 1. Each wanted object is looked up; those of one frame make a unit.
//! 2. A frame of which all is wanted goes as it is stored: nothing is decompressed, and what was compressed together
//!    stays together. So does one of which at least half is wanted, if whoever asks allows it ([`Extent::Whole`]), and one
//!    of which less is, as far as he allows that: he will ask for the rest ([`Extent::Leaning`]). Of others, the wanted
//!    objects are packed anew, alike with alike.
//! 3. A delta frame goes as it is where the other side takes such frames and has, or gets in this pack, every base of its
//!    objects ([`Deltas`]). Of who asks for single objects and takes differences ([`Extent::Leaning`]), objects of such frames
//!    go right behind the frame that holds what they are made from ([`super::leaning`]). All others are decoded and packed
//!    anew, with the frame at hand in which the chain of their bases ends: each is decompressed once.
//! 4. Frames that stand for themselves go first, in the order of the files, so that reading is sequential; what describes
//!    before data, but where single objects were asked for. Then what was packed anew. Delta frames follow, each behind those that hold its bases
//!    ([`super::order`]): who receives can decode every frame when it comes.
//!
//! Frames whose digest the other side has from a transfer that broke are left out: the same wishes give the same frames.

use std::collections::BTreeMap;
use std::io::Write;

use hashbrown::{HashMap, HashSet};

use super::leaning::{Behind, Placing};
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
use crate::store::single::is_metadata;
use crate::store::{Frame, Location, Near, Store};

/// The zstd level for what is read at once: half the time of the usual one, for a tenth more bytes.
const FAST_LEVEL: i32 = 1;

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
    /// The same, of what describes [`SHARE_MIN`] times as much; and objects come as differences, with what they are made
    /// from.
    Leaning {
        /// So many bytes, decompressed, in frames of which less than half was asked for.
        beside: u64,
    },
}

impl Extent {
    /// Whether differences may come.
    pub fn is_leaning(self) -> bool {
        matches!(self, Self::Leaning { .. })
    }
}

/// Of a frame one object in so many is wanted at least, where more than as much again may come: who goes down a tree finds the
/// next levels in one that describes.
pub const SHARE_MIN: usize = 16;

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

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of all that are not of it.
    pub fn beside(&self, all: Self) -> u64 {
        all.bytes.saturating_sub(self.bytes)
    }

    /// Whether it is at least one object of [`SHARE_MIN`].
    pub fn is_enough_of(&self, all: Self) -> bool {
        SHARE_MIN as u64 * self.objects >= all.objects
    }

    /// Whether it is at least half of all, in objects and in bytes.
    pub fn is_half_of(&self, all: Self) -> bool {
        2 * self.objects >= all.objects && 2 * self.bytes >= all.bytes
    }
}

/// How a unit travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is stored, and stands for itself.
    Whole,
    /// Packed anew.
    Anew,
    /// As it is stored, behind its bases.
    Delta,
}

/// Wanted objects of one frame.
#[derive(Debug)]
pub(super) struct Unit {
    pub at: Location,
    slots: Vec<u16>,
    pub form: Form,
    /// About what it will take in the pack.
    bytes: u64,
    /// Differences from what is in the frame, to be decoded and packed anew.
    decoded: Vec<Location>,
    /// Differences that travel as they are, behind the frame.
    pub behind: Behind,
}

impl Unit {
    fn new(at: Location, slots: Vec<u16>, form: Form, bytes: u64) -> Self {
        Self {
            at,
            slots,
            form,
            bytes,
            decoded: Vec::new(),
            behind: Behind::default(),
        }
    }
}

/// Wanted objects of a delta frame.
struct Differences {
    at: Location,
    head: Head,
    slots: Vec<u16>,
}

impl Differences {
    /// About what so many of its objects take.
    fn bytes(&self, objects: usize) -> u64 {
        self.head.header.frame_bytes() * objects as u64 / self.head.rows.len().max(1) as u64
    }

    fn places(&self) -> impl Iterator<Item = Location> {
        let Location { file, frame, .. } = self.at;
        self.slots.iter().map(move |&slot| Location { file, frame, slot })
    }
}

/// What is to be sent.
#[derive(Debug, Default)]
pub struct Plan {
    units: Vec<Unit>,
    /// How much it is: `objects_total` and `bytes_total`.
    pub total: Tally,
    /// Wanted objects that are not here.
    pub missing: Vec<Wanted>,
    /// What is packed anew is read at once and not kept: it is compressed in less time.
    is_for_now: bool,
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
        let differences = plan.add_units(store, frames, Extent::Exact)?;
        plan.settle_deltas(store, differences, wanted, deltas)?;
        Ok(plan)
    }

    /// Looks up objects by their ids, each of which is named once.
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
        plan.is_for_now = extent.is_leaning();
        let differences = plan.add_units(store, frames, extent)?;
        let mut places: Vec<Location> = differences.iter().flat_map(Differences::places).collect();
        differences
            .iter()
            .for_each(|of_frame| plan.total.bytes_total += of_frame.bytes(of_frame.slots.len()));
        if extent.is_leaning() {
            places = Placing::new(store, &plan.units).place_all(&places, &mut plan.units)?;
        }
        plan.decode(store, places)?;
        Ok(plan)
    }

    /// Adds what is wanted of each frame; gives what is wanted of delta frames.
    fn add_units(&mut self, store: &Store, frames: Frames, extent: Extent) -> Result<Vec<Differences>> {
        let (mut differences, mut partial) = (Vec::new(), Vec::new());
        for ((_, file, frame), mut slots) in frames.0 {
            slots.sort_unstable();
            slots.dedup();
            let at = Location { file, frame, slot: 0 };
            let (_, head) = store.head(at)?;
            self.total.objects_total += slots.len() as u64;
            if head.header.codec == Codec::Delta {
                differences.push(Differences { at, head, slots });
                continue;
            }
            let (share, all) = (slots.len() as u64, (head.rows.len() as u64).max(1));
            let (form, bytes) = match may_go_whole(&head, &slots, extent) {
                true => (Form::Whole, head.header.frame_bytes()),
                false => (Form::Anew, head.header.frame_bytes() * share / all),
            };
            if form == Form::Anew {
                partial.push((self.units.len(), shares(&head, &slots), head.header.frame_bytes()));
            }
            self.units.push(Unit::new(at, slots, form, bytes));
        }
        if let Extent::Leaning { beside } = extent {
            self.let_go_whole(partial, beside);
        }
        self.total.bytes_total += self.units.iter().map(|unit| unit.bytes).sum::<u64>();
        Ok(differences)
    }

    /// Lets frames go whole of which less than half is wanted, those first of which most is, until so many bytes come
    /// beside. Each is given by the number of its unit, what is wanted of it with all of it, and its length.
    fn let_go_whole(&mut self, mut partial: Vec<(usize, (Share, Share), u64)>, mut beside: u64) {
        partial.sort_by_key(|(_, (wanted, all), _)| wanted.beside(*all));
        for (number, (wanted, all), bytes) in partial {
            let Some(left) = beside.checked_sub(wanted.beside(all)) else {
                return;
            };
            if wanted.is_enough_of(all) {
                beside = left;
                let unit = &mut self.units[number];
                (unit.form, unit.bytes) = (Form::Whole, bytes);
            }
        }
    }

    /// Decides which delta frames travel as they are, and adds them behind all others in their order.
    fn settle_deltas(
        &mut self,
        store: &Store,
        differences: Vec<Differences>,
        wanted: &[Wanted],
        deltas: Deltas<'_>,
    ) -> Result<()> {
        let is_whole = |of_frame: &&Differences| of_frame.slots.len() == of_frame.head.rows.len();
        let whole: Vec<&Differences> = differences.iter().filter(is_whole).collect();
        let kept: Vec<&Differences> = match deltas {
            Deltas::Decoded => Vec::new(),
            Deltas::AsTheyAre(_) if whole.is_empty() => Vec::new(),
            Deltas::AsTheyAre(held) => {
                let travels: HashSet<ObjectId> = wanted.iter().map(|(_, id)| *id).collect();
                let bases = whole
                    .iter()
                    .flat_map(|of_frame| &of_frame.head.bases)
                    .map(|base| base.id);
                let mut lacking: HashSet<ObjectId> = bases.filter(|id| !travels.contains(id)).collect();
                if !lacking.is_empty() {
                    held(&mut lacking)?;
                }
                let stays = |head: &Head| head.bases.iter().all(|base| !lacking.contains(&base.id));
                let stay: Vec<&Differences> = whole.into_iter().filter(|whole| stays(&whole.head)).collect();
                let heads: Vec<&Head> = stay.iter().map(|of_frame| &of_frame.head).collect();
                in_order(&heads).into_iter().map(|at| stay[at]).collect()
            }
        };
        let is_kept: HashSet<Location> = kept.iter().map(|of_frame| of_frame.at).collect();
        let decoded = differences.iter().filter(|of_frame| !is_kept.contains(&of_frame.at));
        let mut places = Vec::new();
        for of_frame in decoded {
            self.total.bytes_total += of_frame.bytes(of_frame.slots.len());
            places.extend(of_frame.places());
        }
        self.decode(store, places)?;
        for of_frame in kept {
            let bytes = of_frame.head.header.frame_bytes();
            self.total.bytes_total += bytes;
            let unit = Unit::new(of_frame.at, of_frame.slots.clone(), Form::Delta, bytes);
            self.units.push(unit);
        }
        Ok(())
    }

    /// Adds differences that are packed anew to the frames in which the chains of their bases end.
    fn decode(&mut self, store: &Store, differences: Vec<Location>) -> Result<()> {
        let mut by_root: BTreeMap<(u32, u64), (Location, Vec<Location>)> = BTreeMap::new();
        for at in differences {
            let root = store.root_of(at)?;
            let of_root = by_root.entry((root.file, root.frame));
            of_root.or_insert_with(|| (root, Vec::new())).1.push(at);
        }
        let anew = (0..).zip(&self.units).filter(|(_, unit)| unit.form == Form::Anew);
        let numbers: HashMap<(u32, u64), usize> = anew
            .map(|(number, unit)| ((unit.at.file, unit.at.frame), number))
            .collect();
        for (key, (root, decoded)) in by_root {
            match numbers.get(&key).and_then(|&number| self.units.get_mut(number)) {
                Some(unit) => unit.decoded = decoded,
                None => self.units.push(Unit {
                    decoded,
                    ..Unit::new(root, Vec::new(), Form::Anew, 0)
                }),
            }
        }
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
        let level = store.options().zstd_level;
        let mut repacker = Repacker::new(if self.is_for_now { level.min(FAST_LEVEL) } else { level });
        let mut tally = self.total;
        let (mut frame, mut stored) = (Frame::default(), Vec::new());
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
                if held.contains(&head.header.digest) {
                    out.count.skipped += 1;
                } else {
                    let sealed = Sealed::of_file_in(&file, &head, std::mem::take(&mut stored))?;
                    out.frame(FrameKind::Objects, &sealed)?;
                    stored = sealed.stored;
                }
                unit.behind.send(store, out)?;
            }
            tally.objects += (unit.slots.len() + unit.decoded.len() + unit.behind.wanted) as u64;
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

/// Whether a frame of which these objects are wanted may go as it is stored.
fn may_go_whole(head: &Head, slots: &[u16], extent: Extent) -> bool {
    if slots.len() == head.rows.len() {
        return true;
    }
    let (wanted, all) = shares(head, slots);
    if extent.is_leaning() && is_metadata(head) {
        return wanted.is_enough_of(all);
    }
    extent != Extent::Exact && wanted.is_half_of(all)
}

/// These objects of a frame, and all.
fn shares(head: &Head, slots: &[u16]) -> (Share, Share) {
    let (mut wanted, mut all) = (Share::default(), Share::default());
    head.rows.iter().for_each(|row| all.add(row.bytes));
    let rows = slots.iter().filter_map(|&slot| head.rows.get(usize::from(slot)));
    rows.for_each(|row| wanted.add(row.bytes));
    (wanted, all)
}

type Add<'a> = dyn FnMut(Row, &[u8]) -> Result<()> + 'a;

/// Hands the wanted objects of a frame on, and those that are made from what is in it, their hashes compared.
fn repack(store: &Store, head: &Head, unit: &Unit, frame: &mut Frame, add: &mut Add<'_>) -> Result<()> {
    let near = match store.read_frame(unit.at, frame) {
        Ok(()) => Near::new(store, unit.at, frame),
        // There may be another copy of what they are made from.
        Err(error) if error.is_damage() && unit.slots.is_empty() => store.near(),
        Err(error) => return Err(error),
    };
    let no_such = |slot: u16| Error::invalid("location", slot, "its frame has no such object");
    for &slot in &unit.slots {
        let row = head.rows.get(usize::from(slot)).ok_or_else(|| no_such(slot))?;
        add(*row, frame.verified(slot, &row.id)?)?;
    }
    let mut bytes = Vec::new();
    for &at in &unit.decoded {
        let row = store.row_at(at)?.ok_or_else(|| no_such(at.slot))?;
        near.read(at, &row.id, &mut bytes)?;
        add(row, &bytes)?;
    }
    Ok(())
}
