//! Compressing what waits.
//!
//! 1. A unit is taken: objects whose chains of bases end in one frame. That is decompressed, once.
//! 2. The bases are read, and their hashes compared: what is made from a damaged base would be lost when that is mended.
//! 3. Each object is compressed with its bases as prefix. If that pays it goes to a delta frame, else where it would have
//!    gone. What it would take there is guessed from how well the frame of its root is compressed.

use std::borrow::Cow;

use crate::error::Result;
use crate::limits::{DELTA_BASES_MAX, FRAME_OBJECTS_MAX};
use crate::object::sha256x2::hash_all;
use crate::object::{ObjectId, ObjectKind};
use crate::store::data::delta::Encoder;
use crate::store::data::format::{Part, Row};
use crate::store::data::write::Sealed;
use crate::store::{Class, Frame, Near, Packer};

use super::Loaded;
use super::pending::{Unit, Waiting};

/// Bytes of prefixes that are in memory at a time, beside the frame of the root, unless one alone is longer.
const PREFIX_BYTES: usize = 2 << 20;
/// A delta of less than one in so many of the object's bytes pays in any case: nothing else compresses so well.
const SURELY: usize = 10;
/// Bytes of objects in one delta frame: what is decompressed where all of it is wanted.
const FRAME_BYTES: usize = 8 << 20;

/// A delta frame on its way.
#[derive(Default)]
pub(in crate::store) struct Group {
    ids: Vec<ObjectId>,
    rows: Vec<u8>,
    parts: Vec<u8>,
    bases: Vec<Row>,
    stored: Vec<u8>,
    raw_bytes: usize,
}

impl Packer<'_> {
    /// Compresses a unit of what waited.
    pub(in crate::store) fn settle(&mut self, mut unit: Unit) -> Result<()> {
        let store = self.store();
        let root = unit.root;
        // What describes is often at hand, as the walk has just read it. Frames of contents are too long to be kept.
        let kept = store.at_hand(root, unit.last_slot());
        let mut own = std::mem::take(&mut self.frame);
        let read = match &kept {
            Some(_) => Ok(()),
            None => store.read_front(root, unit.last_slot(), &mut own),
        };
        let done = match (read, kept.as_deref()) {
            (Ok(()), Some(Loaded::Whole(frame))) => self.settle_with(&mut unit, frame),
            (Ok(()), _) => self.settle_with(&mut unit, &own),
            (Err(error), _) if error.is_damage() => {
                unit.objects.iter().try_for_each(|object| self.settle_plain(object))
            }
            (Err(error), _) => Err(error),
        };
        self.frame = own;
        done
    }

    /// Compresses a unit, of whose root the frame is at hand.
    fn settle_with(&mut self, unit: &mut Unit, frame: &Frame) -> Result<()> {
        let near = Near::new(self.store(), unit.root, frame).sparing();
        unit.objects
            .sort_by_key(|object| object.plan.bases.first().map(|base| base.0));
        let mut rest = &unit.objects[..];
        while !rest.is_empty() {
            let (mut prefixes, mut bytes) = (Vec::new(), 0);
            for object in rest {
                if bytes >= PREFIX_BYTES {
                    break;
                }
                bytes += object.plan.prefix_bytes();
                prefixes.push(prefix(&near, object)?);
            }
            check(rest, &mut prefixes);
            let (now, later) = rest.split_at(prefixes.len());
            self.compress(now, &prefixes, frame)?;
            rest = later;
        }
        Ok(())
    }

    fn settle_plain(&mut self, object: &Waiting) -> Result<()> {
        self.group(object.class, object.kind, object.id, &object.raw)
    }

    fn compress(&mut self, objects: &[Waiting], prefixes: &[Option<Cow<'_, [u8]>>], root: &Frame) -> Result<()> {
        let mut encoder = Encoder::new(self.store().options().zstd_level);
        let mut stored = Vec::new();
        for (object, prefix) in objects.iter().zip(prefixes) {
            let raw = &object.raw[..];
            let Some(prefix) = prefix else {
                self.settle_plain(object)?;
                continue;
            };
            let bytes = encoder.compress(prefix, raw, &mut stored)?;
            let plain = match object.class {
                Class::Dense => raw.len(),
                _ => root.stored_share(raw.len()),
            };
            if bytes >= raw.len() / SURELY && bytes >= plain / 4 * 3 {
                self.settle_plain(object)?;
                continue;
            }
            let group = &mut self.deltas[usize::from(object.kind == ObjectKind::Block)];
            let needed: Vec<Row> = object.plan.bases.iter().map(|(_, row)| *row).collect();
            group.push(object.row(), &needed, (object.plan.depth, object.plan.weight), &stored);
            if group.is_full() {
                self.seal_delta(usize::from(object.kind == ObjectKind::Block))?;
            }
        }
        Ok(())
    }

    /// Hands the delta frames that were begun to the appender.
    pub(in crate::store) fn seal_deltas(&mut self) -> Result<()> {
        (0..self.deltas.len()).try_for_each(|number| self.seal_delta(number))
    }

    fn seal_delta(&mut self, number: usize) -> Result<()> {
        let group = std::mem::take(&mut self.deltas[number]);
        if group.is_empty() {
            return Ok(());
        }
        self.store().begin_deltas()?;
        self.counters()
            .settled(group.ids.len(), group.raw_bytes, group.stored.len());
        let (sealed, ids) = group.seal();
        self.append(&sealed, &ids)
    }
}

impl Group {
    /// Adds an object as it is stored; `reach` is the depth and the weight of its row.
    pub(super) fn push(&mut self, row: Row, needed: &[Row], reach: (u8, u16), stored: &[u8]) {
        row.encode(&mut self.rows);
        // Neighbours often have bases in common.
        let shared = (0..=needed.len()).rev().find(|&n| self.bases.ends_with(&needed[..n]));
        let shared = shared.unwrap_or(0);
        let part = Part {
            stored_bytes: stored.len() as u32,
            first: (self.bases.len() - shared) as u16,
            count: needed.len() as u8,
            depth: reach.0,
            weight: reach.1,
        };
        part.encode(&mut self.parts);
        self.bases.extend_from_slice(&needed[shared..]);
        self.stored.extend_from_slice(stored);
        self.raw_bytes += row.bytes as usize;
        self.ids.push(row.id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The frame, and the ids of its objects.
    pub(super) fn seal(self) -> (Sealed, Vec<ObjectId>) {
        let mut table = self.rows;
        table.extend_from_slice(&self.parts);
        self.bases.iter().for_each(|row| row.encode(&mut table));
        let (bases, objects) = (self.bases.len() as u16, self.ids.len() as u32);
        let sealed = Sealed::delta(bases, self.raw_bytes as u32, objects, table, self.stored);
        (sealed, self.ids)
    }

    /// Whether one more object might not fit.
    pub(super) fn is_full(&self) -> bool {
        self.ids.len() == FRAME_OBJECTS_MAX
            || self.bases.len() > FRAME_OBJECTS_MAX - DELTA_BASES_MAX
            || self.raw_bytes >= FRAME_BYTES
    }
}

/// The bytes of all bases, one behind the other; none where one does not read, or is itself made from the object: such a
/// thing can only be when two processes stored both at once.
fn prefix<'f>(near: &Near<'f>, object: &Waiting) -> Result<Option<Cow<'f, [u8]>>> {
    if let [(at, row)] = &object.plan.bases[..]
        && let Some(bytes) = near.at_hand(*at, &row.id)
    {
        return Ok(Some(bytes.into()));
    }
    let mut prefix = Vec::with_capacity(object.plan.prefix_bytes());
    for (at, row) in &object.plan.bases {
        match near.append_without(*at, row, &object.id, &mut prefix) {
            Ok(()) => {}
            Err(error) if error.is_damage() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(prefix.into()))
}

/// Takes those away of which a base has another hash than its row says.
fn check(objects: &[Waiting], prefixes: &mut [Option<Cow<'_, [u8]>>]) {
    let mut expected = Vec::new();
    let mut messages: Vec<&[u8]> = Vec::new();
    for (object, prefix) in objects.iter().zip(&*prefixes) {
        let mut rest = prefix.as_deref().unwrap_or_default();
        for (_, row) in &object.plan.bases {
            let (base, behind) = rest.split_at((row.bytes as usize).min(rest.len()));
            messages.push(base);
            expected.push(row.id);
            rest = behind;
        }
    }
    let Some(algo) = expected.first().map(ObjectId::algo) else {
        return;
    };
    let hashes = match expected.iter().all(|id| id.algo() == algo) {
        true => hash_all(algo, &messages),
        false => expected
            .iter()
            .zip(&messages)
            .map(|(id, bytes)| ObjectId::hash(id.algo(), bytes))
            .collect(),
    };
    let mut is_right = expected.iter().zip(&hashes).map(|(id, hash)| id == hash);
    let right: Vec<bool> = objects
        .iter()
        .map(|object| {
            is_right
                .by_ref()
                .take(object.plan.bases.len())
                .fold(true, |all, one| all & one)
        })
        .collect();
    for (prefix, _) in prefixes.iter_mut().zip(right).filter(|(_, right)| !right) {
        *prefix = None;
    }
}

#[cfg(test)]
mod tests;
