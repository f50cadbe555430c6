//! What is remembered of the contents of blocks: `cache/likeness` (object-format.md, "Likeness").
//!
//! 1. It is read when the first block comes that is not known to replace something, and only then.
//! 2. Every block that a snapshot adds gets a row, if a sketch says enough of it ([`super::sketch`]).
//! 3. When these blocks are durable the file is written anew, with the newest rows that there is room for.
//!
//! It is a cache: where it is missing, damaged or of another repository, less is found to be alike. A block that is gone
//! is not found by its row.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::sketch::{FEATURES, Row, Sketch, Table};
use crate::disk::{read_file, replace_cache};
use crate::error::{Error, Result};
use crate::limits::LIKENESS_ROWS_MAX;
use crate::object::ObjectId;
use crate::store::Store;
use crate::store::lookup::confirm;

const MAGIC: &[u8; 8] = b"ghlike\r\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 40;
const ROW_BYTES: usize = 2 * FEATURES + 4;
const CHECK_BYTES: usize = 8;

/// Rows of earlier snapshots, and new ones.
#[derive(Debug, Default)]
pub(super) struct Likeness {
    table: OnceLock<Table>,
    new: Mutex<Vec<Row>>,
}

impl Store {
    /// Notes what a block is like that a snapshot adds. Where `replaces_known` is not set it is looked for what it may be like.
    pub(in crate::store) fn alike(&self, id: &ObjectId, bytes: &[u8], replaces_known: bool) -> Result<Vec<ObjectId>> {
        let Some(row) = Row::of(id, bytes) else {
            return Ok(Vec::new());
        };
        let likeness = &self.deltas.likeness;
        likeness.new.lock().push(row);
        if replaces_known {
            return Ok(Vec::new());
        }
        let likely = self.likeness_table().like(&row.sketch);
        let found = likely.into_iter().map(|begin| self.id_that_begins(begin));
        found.filter_map(Result::transpose).collect()
    }

    /// Writes down what was noted. To be called when the blocks are durable.
    pub(in crate::store) fn keep_likeness(&self) -> Result<()> {
        let mut new = std::mem::take(&mut *self.deltas.likeness.new.lock());
        let Some(path) = self.likeness_path().filter(|_| !new.is_empty()) else {
            return Ok(());
        };
        let mut rows = self.likeness_table().rows.clone();
        rows.append(&mut new);
        let left = rows.len().saturating_sub(LIKENESS_ROWS_MAX);
        replace_cache(&*self.disk, &path, &encode(&self.repository, &rows[left..]))
    }

    /// The id of an object whose digest begins with these bytes, if a segment has one.
    fn id_that_begins(&self, begin: u32) -> Result<Option<ObjectId>> {
        let low = u64::from(begin) << 32;
        let state = self.state.read();
        for mapped in &state.segments {
            let segment = &mapped.segment;
            let entries = (segment.lower_bound(low)..segment.len()).map(|at| segment.entry(at));
            for (_, locator) in entries.take_while(|(prefix, _)| prefix >> 32 == u64::from(begin)) {
                if let Some((at, id)) = confirm(&self.deltas, &state, mapped, locator, |_| true)?
                    && !state.files[at.file as usize].is_condemned
                {
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }

    fn likeness_path(&self) -> Option<PathBuf> {
        Some(self.ghost_dir()?.join("cache").join("likeness"))
    }

    fn likeness_table(&self) -> &Table {
        self.deltas.likeness.table.get_or_init(|| {
            let read = self.likeness_path().map(|path| {
                let bytes = read_file(
                    &*self.disk,
                    &path,
                    HEADER_BYTES + ROW_BYTES * LIKENESS_ROWS_MAX + CHECK_BYTES,
                )?;
                decode(&path, &self.repository, &bytes)
            });
            // Nothing is known to be alike, then.
            Table::new(read.and_then(Result::ok).unwrap_or_default())
        })
    }
}

fn encode(repository: &[u8; 16], rows: &[Row]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + ROW_BYTES * rows.len() + CHECK_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(repository);
    out.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    for row in rows {
        row.sketch
            .iter()
            .for_each(|feature| out.extend_from_slice(&feature.to_le_bytes()));
        out.extend_from_slice(&row.id.to_be_bytes());
    }
    let check = xxh3_64(&out);
    out.extend_from_slice(&check.to_le_bytes());
    out
}

fn decode(path: &Path, repository: &[u8; 16], bytes: &[u8]) -> Result<Vec<Row>> {
    let damaged = |expected: &str| Error::damaged(path, 0, expected, "something else");
    let (body, check) = bytes
        .split_last_chunk::<CHECK_BYTES>()
        .filter(|(body, _)| body.len() >= HEADER_BYTES)
        .ok_or_else(|| damaged("a header"))?;
    if *check != xxh3_64(body).to_le_bytes() {
        return Err(damaged("a file with the check at its end"));
    }
    let (header, rows) = body.split_at(HEADER_BYTES);
    let (rows, rest) = rows.as_chunks::<ROW_BYTES>();
    let count = (rows.len() as u64).to_le_bytes();
    let expected: [&[u8]; 5] = [MAGIC, &VERSION.to_le_bytes(), &[0; 4], repository, &count];
    if header != expected.concat() || !rest.is_empty() {
        return Err(damaged(
            "a header of this version and repository that says how many rows follow",
        ));
    }
    let read = |row: &[u8; ROW_BYTES]| {
        let feature = |way: usize| u16::from_le_bytes([row[2 * way], row[2 * way + 1]]);
        let sketch: Sketch = std::array::from_fn(feature);
        let id = u32::from_be_bytes([row[6], row[7], row[8], row[9]]);
        Row { sketch, id }
    };
    Ok(rows.iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::Disk;
    use crate::store::delta::tests::{disk, open};

    fn rows() -> Vec<Row> {
        let row = |n: u16| Row {
            sketch: [n, n + 1, n + 2],
            id: u32::from(n) << 16 | 0xabcd,
        };
        vec![row(7), row(1000)]
    }

    #[test]
    fn the_worked_example_is_that_of_the_page() {
        let page = include_str!("../../../../object-format.md");
        let bytes = encode(&[7; 16], &rows());
        let line = |line: &[u8]| {
            line.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let hex = bytes.chunks(16).map(line).collect::<Vec<_>>().join("\n");
        assert!(page.contains(&format!("```hex likeness\n{hex}\n```")), "{hex}");
    }

    #[test]
    fn what_was_written_reads_and_nothing_else_does() {
        let path = Path::new("/g/cache/likeness");
        let bytes = encode(&[7; 16], &rows());
        assert_eq!(decode(path, &[7; 16], &bytes).unwrap(), rows());
        assert!(decode(path, &[8; 16], &bytes).is_err(), "of another repository");
        for at in 0..bytes.len() {
            assert!(decode(path, &[7; 16], &bytes[..at]).is_err(), "cut at {at}");
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(decode(path, &[7; 16], &flipped).is_err(), "flipped at {at}");
        }
        let mut longer = bytes[..bytes.len() - CHECK_BYTES].to_vec();
        longer.push(0);
        longer.extend_from_slice(&xxh3_64(&longer).to_le_bytes());
        assert!(decode(path, &[7; 16], &longer).is_err(), "with a byte behind the rows");
    }

    #[test]
    fn a_file_of_as_many_rows_as_may_be_is_read_and_one_of_more_is_not() {
        let likeness = |count: usize| {
            let disk = disk();
            disk.create_dir(Path::new("/g/cache")).unwrap();
            let row = Row { sketch: [7; 3], id: 9 };
            let bytes = encode(&[7; 16], &vec![row; count]);
            assert!(disk.place(Path::new("/g/cache/likeness"), Arc::new(bytes)));
            open(&disk).likeness_table().rows.len()
        };
        assert_eq!(likeness(LIKENESS_ROWS_MAX), LIKENESS_ROWS_MAX);
        assert_eq!(likeness(LIKENESS_ROWS_MAX + 1), 0);
    }
}
