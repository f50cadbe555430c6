//! Looking up in a mapped segment. Every offset is checked against the length of the file before it is used, so a
//! damaged segment gives wrong candidates or an error, never a panic; candidates are checked by whoever asked.

use std::path::{Path, PathBuf};

use super::format::{
    COVER_BYTES, COVERS_MAX, Cover, FOOTER_BYTES, HEADER_BYTES, Layout, MAGIC, VERSION, u32_at, u64_at,
};
use super::write::{file_check, header_check};
use crate::disk::{Disk, Mapped};
use crate::error::{Error, Result};

/// Bytes of a segment that a walk over all of it keeps in memory; a multiple of the length of a prefix.
const PIECE_BYTES: usize = 8 << 20;

/// A mapped segment.
pub struct Segment {
    path: PathBuf,
    bytes: Mapped,
    layout: Layout,
    entries: usize,
    covers: Vec<Cover>,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segment({}, {} entries)", self.path.display(), self.entries)
    }
}

impl Segment {
    /// Maps the segment at `path` and checks its header.
    pub fn open(disk: &dyn Disk, path: &Path, repository: &[u8; 16]) -> Result<Self> {
        let bytes = disk.map(path).map_err(Error::io("map", path))?;
        let damaged =
            |offset: usize, expected: &str, found: String| Error::damaged(path, offset as u64, expected, found);
        if bytes.len() < HEADER_BYTES {
            return Err(damaged(0, "a header of 64 bytes", format!("{} bytes", bytes.len())));
        }
        if &bytes[..8] != MAGIC {
            return Err(damaged(0, "the magic \"ghostidx\"", format!("{:02x?}", &bytes[..8])));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                feature: format!("index segment version {version}"),
            });
        }
        if bytes[16..32] != repository[..] {
            return Err(damaged(16, "a segment of this repository", "one of another".to_owned()));
        }
        let (entries, count) = (u64_at(&bytes, 32), u64_at(&bytes, 40));
        if entries > u64::from(u32::MAX) || count > COVERS_MAX as u64 {
            return Err(damaged(
                32,
                "counts within their limits",
                format!("{entries} and {count}"),
            ));
        }
        let head_bytes = HEADER_BYTES + count as usize * COVER_BYTES;
        let layout = Layout::new(entries, count as usize);
        if bytes.len() != layout.footer + FOOTER_BYTES {
            let expected = format!("{} bytes", layout.footer + FOOTER_BYTES);
            return Err(Error::damaged(path, 32, expected, format!("{} bytes", bytes.len())));
        }
        if header_check(&bytes[..head_bytes]) != u64_at(&bytes, HEADER_BYTES - 8) {
            return Err(damaged(
                HEADER_BYTES - 8,
                "the check of the header",
                "another".to_owned(),
            ));
        }
        let ranges = bytes[HEADER_BYTES..head_bytes].as_chunks::<COVER_BYTES>().0;
        let covers = ranges.iter().map(Cover::decode).collect();
        Ok(Self {
            path: path.to_owned(),
            layout,
            entries: entries as usize,
            covers,
            bytes,
        })
    }

    /// Where the segment is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Entries in the segment.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The ranges of data files that the segment covers; locators number them.
    pub fn covers(&self) -> &[Cover] {
        &self.covers
    }

    /// One entry: prefix and locator.
    pub fn entry(&self, at: usize) -> (u64, u64) {
        (self.prefix(at), u64_at(&self.bytes, self.layout.locators + 8 * at))
    }

    /// The prefix of one entry.
    pub fn prefix(&self, at: usize) -> u64 {
        u64_at(&self.bytes, self.layout.prefixes + 8 * at)
    }

    /// The locators of all entries with this prefix.
    pub fn candidates(&self, prefix: u64) -> impl Iterator<Item = u64> + '_ {
        let start = self.lower_bound(prefix);
        (start..self.entries)
            .map(|at| self.entry(at))
            .take_while(move |entry| entry.0 == prefix)
            .map(|entry| entry.1)
    }

    /// The place of the first entry whose prefix is `prefix` or greater, inside its bucket.
    pub fn lower_bound(&self, prefix: u64) -> usize {
        if self.entries == 0 {
            return 0;
        }
        let bucket = self.layout.bucket(prefix);
        let start = |bucket: usize| {
            let at = self.layout.buckets + 4 * bucket;
            (u32_at(&self.bytes, at) as usize).min(self.entries)
        };
        let (mut low, mut high) = (start(bucket), start(bucket + 1));
        while low < high {
            let middle = low.midpoint(high);
            if self.prefix(middle) < prefix {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    /// Gives back the memory that its bytes take; they are had from the file again.
    pub fn release(&self) {
        self.bytes.release();
    }

    /// Compares the check of the whole file, and the order of its entries.
    pub fn verify(&self) -> Result<()> {
        let mut columns = [blake3::Hasher::new(), blake3::Hasher::new()];
        let prefixes = &self.bytes[self.layout.prefixes..self.layout.locators];
        let locators = &self.bytes[self.layout.locators..self.layout.footer];
        for (column, bytes) in columns.iter_mut().zip([prefixes, locators]) {
            for piece in bytes.chunks(PIECE_BYTES) {
                column.update(piece);
                self.release_behind(piece);
            }
        }
        let check = file_check(&self.bytes[..self.layout.prefixes], &columns[0], &columns[1]);
        if self.bytes[self.layout.footer..] != check {
            return Err(Error::damaged(
                &self.path,
                self.layout.footer as u64,
                "the check of the file",
                "another",
            ));
        }
        let mut last = 0;
        for (number, piece) in prefixes.chunks(PIECE_BYTES).enumerate() {
            for (at, prefix) in piece.as_chunks().0.iter().enumerate() {
                let prefix = u64::from_le_bytes(*prefix);
                if prefix < last {
                    let offset = (self.layout.prefixes + number * PIECE_BYTES + 8 * at) as u64;
                    return Err(Error::damaged(&self.path, offset, "prefixes in order", "a smaller one"));
                }
                last = prefix;
            }
            self.release_behind(piece);
        }
        Ok(())
    }

    /// A walk over the bytes is through with a piece of them. A short one is not worth a call.
    fn release_behind(&self, piece: &[u8]) {
        if piece.len() == PIECE_BYTES {
            self.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::write::SegmentWriter;
    use super::*;
    use crate::disk::MappedBytes;
    use crate::disk::memory::MemoryDisk;

    /// Bytes that count how often their memory is given back.
    struct Counted(Vec<u8>, Arc<AtomicUsize>);

    impl std::ops::Deref for Counted {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            &self.0
        }
    }

    impl MappedBytes for Counted {
        fn release(&self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_memory_of_a_segment_is_given_back_when_asked_for() {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("/s")).unwrap();
        let mut writer = SegmentWriter::create(&disk, Path::new("/s"), &[7; 16], &[], 1).unwrap();
        writer.push(1, 2).unwrap();
        let mut segment = Segment::open(&disk, &writer.finish().unwrap(), &[7; 16]).unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        segment.bytes = Arc::new(Counted(segment.bytes.to_vec(), count.clone()));
        segment.verify().unwrap();
        segment.release_behind(&vec![0; PIECE_BYTES - 1]);
        assert_eq!(count.load(Ordering::Relaxed), 0, "short pieces are not worth it");
        segment.release_behind(&vec![0; PIECE_BYTES]);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        segment.release();
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
