//! Packing single objects anew, alike with alike.

use std::io::Write;

use hashbrown::HashSet;
use zstd::zstd_safe::{self, CCtx};

use super::PackWriter;
use crate::error::Result;
use crate::limits::{FRAME_OBJECTS_MAX, FRAME_RAW_BYTES_MAX};
use crate::object::ObjectKind;
use crate::store::data::format::{Codec, FrameKind, Row};
use crate::store::data::write::Sealed;
use crate::store::pack::{compress, logs};
use crate::store::{Class, LARGE_FILE_BYTES};

/// Objects that are packed together.
#[derive(Default)]
struct Group {
    raw: Vec<u8>,
    table: Vec<u8>,
    objects: u32,
}

/// Makes frames of single objects, alike with alike.
pub(super) struct Repacker {
    groups: [Group; 3],
    level: i32,
    zstd: CCtx<'static>,
    /// What was made last.
    stored: Vec<u8>,
}

/// Bytes of a group at which it becomes a frame: what describes, small and large contents.
const GROUP_BYTES: [usize; 3] = [512 << 10, 4 << 20, 16 << 20];
const GROUP_CLASSES: [Class; 3] = [Class::Meta, Class::Small, Class::Large];

impl Repacker {
    pub(super) fn new(level: i32) -> Self {
        Self {
            groups: Default::default(),
            level,
            zstd: CCtx::create(),
            stored: Vec::new(),
        }
    }

    pub(super) fn add<W: Write>(
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
        let mut stored = std::mem::take(&mut self.stored);
        stored.clear();
        stored.reserve(zstd_safe::compress_bound(group.raw.len()));
        compress(
            &mut self.zstd,
            self.level,
            logs(GROUP_CLASSES[class]),
            &group.raw,
            &mut stored,
        )?;
        let raw_bytes = group.raw.len() as u32;
        let (codec, stored, mut rest) = match stored.len() < group.raw.len() - group.raw.len() / 32 {
            true => (Codec::Zstd, stored, group.raw),
            false => (Codec::Raw, group.raw, stored),
        };
        let sealed = Sealed::new(codec, raw_bytes, group.objects, group.table, stored);
        match held.contains(&sealed.digest) {
            true => out.count.skipped += 1,
            false => out.frame(FrameKind::Objects, &sealed)?,
        }
        // Both buffers are used again.
        rest.clear();
        (self.groups[class].raw, self.stored) = (rest, sealed.stored);
        Ok(())
    }

    pub(super) fn flush_all<W: Write>(&mut self, held: &HashSet<[u8; 32]>, out: &mut PackWriter<W>) -> Result<()> {
        (0..self.groups.len()).try_for_each(|class| self.flush(class, held, out))
    }
}
