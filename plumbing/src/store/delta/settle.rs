//! Compressing what waits.
//!
//! 1. For each object its bases are located, and what they cost is looked up; where that is over a limit an older one in
//!    the chain takes their place ([`Plan`]).
//! 2. Objects are sorted by the frames of their roots. Of a frame, the bases are read, and their hashes compared: what is
//!    made from a damaged base would be lost when that is mended.
//! 3. Each is compressed with its bases as prefix. If that pays it goes to a delta frame, else where it would have gone.

use crate::error::Result;
use crate::limits::{DELTA_BASES_MAX, DELTA_LINKS_MAX, DELTA_PREFIX_BYTES_MAX, DELTA_WEIGHT_MAX, FRAME_OBJECTS_MAX};
use crate::object::sha256x2::hash_all;
use crate::object::{ObjectId, ObjectKind};
use crate::store::data::delta::Encoder;
use crate::store::data::format::{Part, Row};
use crate::store::data::write::Sealed;
use crate::store::{Class, Frame, Location, Near, Packer, Store};

use super::pending::{Pending, Waiting};

/// Bytes of prefixes that are in memory at a time, unless one alone is longer.
const PREFIX_BYTES: usize = 4 << 20;
/// A delta of less than one in so many of the object's bytes pays in any case: nothing else compresses so well.
const SURELY: usize = 10;

/// How an object is to be compressed.
struct Plan {
    /// Its place in the list.
    object: usize,
    bases: Vec<(Location, Row)>,
    depth: u8,
    weight: u16,
    root: Location,
}

/// A delta frame on its way.
#[derive(Default)]
struct Group {
    ids: Vec<ObjectId>,
    rows: Vec<u8>,
    parts: Vec<u8>,
    bases: Vec<Row>,
    stored: Vec<u8>,
    raw_bytes: usize,
}

impl Packer<'_> {
    /// Compresses what waits and hands it to the appender.
    pub(in crate::store) fn settle(&mut self, list: &Pending) -> Result<()> {
        let mut plans = Vec::with_capacity(list.objects.len());
        for (number, object) in list.objects.iter().enumerate() {
            match self.plan(number, object)? {
                Some(plan) => plans.push(plan),
                None => self.settle_plain(list, object)?,
            }
        }
        plans.sort_by_key(|plan| (plan.root.file, plan.root.frame, plan.bases.first().map(|base| base.0)));
        // Contents and what describes them are read at different times.
        let mut groups = [Group::default(), Group::default()];
        let mut frame = Frame::default();
        for unit in plans.chunk_by(|a, b| (a.root.file, a.root.frame) == (b.root.file, b.root.frame)) {
            self.settle_unit(list, unit, &mut frame, &mut groups)?;
        }
        for group in &mut groups {
            self.seal_delta(group)?;
        }
        Ok(())
    }

    fn settle_plain(&mut self, list: &Pending, object: &Waiting) -> Result<()> {
        self.group(object.class, object.kind, object.id, list.bytes(object))
    }

    /// What an object is compressed against; nothing where no base is at hand.
    fn plan(&self, number: usize, object: &Waiting) -> Result<Option<Plan>> {
        let store = self.store();
        let options = &store.options().delta;
        let mut plan = Plan {
            object: number,
            bases: Vec::new(),
            depth: 0,
            weight: 1,
            root: Location {
                file: 0,
                frame: 0,
                slot: 0,
            },
        };
        let window = options.window_bytes.min(DELTA_PREFIX_BYTES_MAX);
        let mut prefix_bytes = 0;
        for id in object.bases.iter().take(DELTA_BASES_MAX) {
            self.lean_on(id);
            let Some(at) = store.locate(id)? else { continue };
            let weight_left = DELTA_WEIGHT_MAX - plan.weight;
            let Some(link) = shallow(store, at, options.depth, weight_left)? else {
                continue;
            };
            let (at, row) = (link.at, link.row);
            let is_known = row.id == object.id || plan.bases.iter().any(|(_, known)| known.id == row.id);
            if is_known || prefix_bytes + row.bytes as usize > window {
                continue;
            }
            prefix_bytes += row.bytes as usize;
            plan.depth = plan.depth.max(link.depth + 1);
            plan.weight += link.weight;
            plan.bases.push((at, row));
        }
        let Some((first, _)) = plan.bases.first() else {
            return Ok(None);
        };
        plan.root = store.root_of(*first)?;
        Ok(Some(plan))
    }

    /// Compresses objects whose roots lie in one frame.
    fn settle_unit(&mut self, list: &Pending, unit: &[Plan], frame: &mut Frame, groups: &mut [Group; 2]) -> Result<()> {
        let Some(root) = unit.first().map(|plan| plan.root) else {
            return Ok(());
        };
        let store = self.store();
        let readable = match store.read_frame(root, frame) {
            Ok(()) => true,
            Err(error) if error.is_damage() => false,
            Err(error) => return Err(error),
        };
        let mut rest = unit;
        while !rest.is_empty() {
            let mut prefixes: Vec<Option<Vec<u8>>> = Vec::new();
            let mut bytes = 0;
            for plan in rest {
                if bytes >= PREFIX_BYTES {
                    break;
                }
                let near = Near::new(store, root, frame);
                let id = list.objects[plan.object].id;
                let prefix = if readable { prefix(near, plan, &id)? } else { None };
                bytes += prefix.as_ref().map_or(0, Vec::len);
                prefixes.push(prefix);
            }
            let (now, later) = rest.split_at(prefixes.len());
            self.compress(list, now, &prefixes, groups)?;
            rest = later;
        }
        Ok(())
    }

    fn compress(
        &mut self,
        list: &Pending,
        plans: &[Plan],
        prefixes: &[Option<Vec<u8>>],
        groups: &mut [Group; 2],
    ) -> Result<()> {
        let mut encoder = Encoder::new(self.store().options().zstd_level);
        let (mut stored, mut alone) = (Vec::new(), Vec::new());
        for (plan, prefix) in plans.iter().zip(prefixes) {
            let object = &list.objects[plan.object];
            let raw = list.bytes(object);
            let Some(prefix) = prefix else {
                self.settle_plain(list, object)?;
                continue;
            };
            let bytes = encoder.compress(prefix, raw, &mut stored)?;
            let pays = bytes < raw.len() / SURELY || {
                // In a frame with others it takes less than alone.
                let plain = match object.class {
                    Class::Dense => raw.len(),
                    _ => encoder.compress(&[], raw, &mut alone)?,
                };
                bytes < plain / 4 * 3
            };
            if !pays {
                self.settle_plain(list, object)?;
                continue;
            }
            let group = &mut groups[usize::from(object.kind == ObjectKind::Block)];
            group.push(object, raw.len(), plan, &stored);
            if group.ids.len() == FRAME_OBJECTS_MAX || group.bases.len() > FRAME_OBJECTS_MAX - DELTA_BASES_MAX {
                self.seal_delta(group)?;
            }
        }
        Ok(())
    }

    fn seal_delta(&mut self, group: &mut Group) -> Result<()> {
        let mut group = std::mem::take(group);
        if group.ids.is_empty() {
            return Ok(());
        }
        self.store().begin_deltas()?;
        self.counters()
            .settled(group.ids.len(), group.raw_bytes, group.stored.len());
        let mut table = group.rows;
        table.append(&mut group.parts);
        group.bases.iter().for_each(|row| row.encode(&mut table));
        let (bases, objects) = (group.bases.len() as u16, group.ids.len() as u32);
        let sealed = Sealed::delta(bases, group.raw_bytes as u32, objects, table, group.stored);
        self.append(&sealed, &group.ids)
    }
}

impl Group {
    fn push(&mut self, object: &Waiting, bytes: usize, plan: &Plan, stored: &[u8]) {
        let row = Row {
            id: object.id,
            kind: object.kind,
            bytes: bytes as u32,
        };
        row.encode(&mut self.rows);
        let needed: Vec<Row> = plan.bases.iter().map(|(_, row)| *row).collect();
        // Neighbours often have bases in common.
        let shared = (0..=needed.len()).rev().find(|&n| self.bases.ends_with(&needed[..n]));
        let shared = shared.unwrap_or(0);
        let part = Part {
            stored_bytes: stored.len() as u32,
            first: (self.bases.len() - shared) as u16,
            count: needed.len() as u8,
            depth: plan.depth,
            weight: plan.weight,
        };
        part.encode(&mut self.parts);
        self.bases.extend_from_slice(&needed[shared..]);
        self.stored.extend_from_slice(stored);
        self.raw_bytes += bytes;
        self.ids.push(object.id);
    }
}

/// The bytes of all bases, one behind the other, their hashes compared; none where one does not read, or is itself made
/// from the object: such a thing can only be when two processes stored both at once.
fn prefix(near: Near<'_>, plan: &Plan, object: &ObjectId) -> Result<Option<Vec<u8>>> {
    let mut prefix = Vec::with_capacity(plan.bases.iter().map(|(_, row)| row.bytes as usize).sum());
    let mut ends = Vec::with_capacity(plan.bases.len());
    for (at, row) in &plan.bases {
        match near.append_without(*at, row, object, &mut prefix) {
            Ok(()) => ends.push(prefix.len()),
            Err(error) if error.is_damage() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let messages: Vec<&[u8]> = starts.zip(&ends).map(|(start, &end)| &prefix[start..end]).collect();
    let whole = plan.bases.iter().zip(&messages).all(|((_, row), bytes)| {
        let hash = hash_all(row.id.algo(), &[bytes]);
        hash.first() == Some(&row.id)
    });
    Ok(whole.then_some(prefix))
}

/// An object that can be a base.
struct Link {
    at: Location,
    row: Row,
    depth: u8,
    weight: u16,
}

/// The object at `at`, or where its chain is too long an older one in it, about half as deep: so a file that changes
/// every time is stored whole or against something far back only now and then.
fn shallow(store: &Store, at: Location, depth_max: u8, weight_max: u16) -> Result<Option<Link>> {
    let fits = |depth: u8, weight: u16, depth_max: u8| depth < depth_max && weight <= weight_max;
    let (mut at, mut limit) = (at, depth_max);
    for _ in 0..DELTA_LINKS_MAX {
        let (depth, weight) = store.depth_and_weight(at)?;
        if fits(depth, weight, limit) {
            let row = store.row_at(at)?;
            return Ok(row.map(|row| Link { at, row, depth, weight }));
        }
        limit = depth_max / 2 + 1;
        let base = store
            .bases_at(at)?
            .first()
            .map(|base| store.locate(&base.id))
            .transpose()?;
        match base.flatten() {
            Some(base) => at = base,
            None => break,
        }
    }
    Ok(None)
}
