//! Objects of delta frames, copied as they are stored.

use hashbrown::HashMap;

use super::Writer;
use super::data::format::Row;
use super::data::read::{DataFile, Head};
use super::data::write::Sealed;
use crate::error::{Error, Result};

impl Writer<'_> {
    /// Appends a frame of another file as it is stored there, its digest compared, whatever of it is known here.
    pub(crate) fn copy_whole(&self, file: &DataFile, head: &Head) -> Result<()> {
        let ids: Vec<_> = head.rows.iter().map(|row| row.id).collect();
        self.append(&Sealed::of_file(file, head)?, &ids)
    }

    /// Appends some objects of a delta frame of this store, with the same bases, as one frame; those that are known are
    /// left out. The frame's digest is compared. That the bases are there, or will be when this is relied on, is the
    /// caller's affair.
    pub(crate) fn copy_deltas(&self, file: &DataFile, head: &Head, slots: &[u16]) -> Result<()> {
        let mut stored = Vec::new();
        file.stored_checked(head, &mut stored)?;
        let (mut rows, mut parts, mut bases) = (Vec::new(), Vec::new(), Vec::<Row>::new());
        let mut payload = Vec::new();
        let mut ranges: HashMap<std::ops::Range<usize>, u16> = HashMap::new();
        let mut start = 0;
        let mut raw_bytes = 0;
        for (slot, (row, part)) in (0u16..).zip(head.rows.iter().zip(&head.parts)) {
            let end = start + part.stored_bytes as usize;
            let bytes = stored.get(start..end).ok_or_else(|| {
                let expected = format!("{end} bytes of objects, as its table says");
                Error::damaged(
                    &file.path,
                    head.offset,
                    expected,
                    format_args!("{} bytes", stored.len()),
                )
            })?;
            start = end;
            if slots.binary_search(&slot).is_err() {
                continue;
            }
            if !self.claim(&row.id)? {
                self.counters.known(row.bytes as usize);
                continue;
            }
            self.counters.added(row.bytes as usize);
            let first = *ranges.entry(part.range()).or_insert_with(|| {
                // Not more than there were.
                let first = bases.len() as u16;
                bases.extend_from_slice(head.bases_of(slot));
                first
            });
            payload.extend_from_slice(bytes);
            raw_bytes += row.bytes;
            rows.push(*row);
            parts.push(super::data::format::Part { first, ..*part });
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = Vec::new();
        rows.iter().for_each(|row| row.encode(&mut table));
        parts.iter().for_each(|part| part.encode(&mut table));
        bases.iter().for_each(|base| base.encode(&mut table));
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let sealed = Sealed::delta(bases.len() as u16, raw_bytes, rows.len() as u32, table, payload);
        self.append(&sealed, &ids)
    }
}
