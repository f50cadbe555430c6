//! The table of a frame: rows, and of a delta frame part rows and base rows (object-format.md, "Frame", "Delta frames").

use super::format::{Codec, FrameHeader, PART_BYTES, Part, ROW_BYTES, Row};

/// A table, read.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The objects.
    pub rows: Vec<Row>,
    /// Of a delta frame: how each object is stored.
    pub parts: Vec<Part>,
    /// Of a delta frame: what its objects are compressed against.
    pub bases: Vec<Row>,
}

impl Table {
    /// Reads the bytes of the table that belongs to `header`. Of a row that cannot be, its offset in the table and what was
    /// expected there.
    pub fn decode(header: &FrameHeader, table: &[u8]) -> Result<Self, (usize, &'static str)> {
        let rows_bytes = (header.objects as usize * ROW_BYTES).min(table.len());
        let (rows, rest) = table.split_at(rows_bytes);
        let bases_bytes = match header.codec {
            Codec::Delta => usize::from(header.bases) * ROW_BYTES,
            Codec::Raw | Codec::Zstd => 0,
        };
        let (parts, bases) = rest.split_at(rest.len().saturating_sub(bases_bytes));
        let read_part = |(slot, bytes): (usize, &[u8; PART_BYTES])| {
            let at = rows_bytes + slot * PART_BYTES;
            Part::decode(bytes, header.bases).ok_or((at, "a part row within the limits"))
        };
        let found = parts.as_chunks::<PART_BYTES>().0.iter().enumerate().map(read_part);
        let found = found.collect::<Result<Vec<Part>, _>>()?;
        Ok(Self {
            rows: read_rows(0, rows)?,
            parts: found,
            bases: read_rows(rows_bytes + parts.len(), bases)?,
        })
    }
}

fn read_rows(from: usize, bytes: &[u8]) -> Result<Vec<Row>, (usize, &'static str)> {
    let read =
        |(slot, bytes): (usize, &[u8])| Row::decode(bytes).ok_or((from + slot * ROW_BYTES, "a row of a frame's table"));
    bytes.chunks_exact(ROW_BYTES).enumerate().map(read).collect()
}
