//! The bytes of index segments (object-format.md, "Index segments").

/// The version of segments that this program writes.
pub const VERSION: u16 = 1;
/// The magic at offset 0.
pub const MAGIC: &[u8; 8] = b"ghostidx";
/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 64;
/// Length of one covered range in bytes: id of the data file, first offset, end offset.
pub const COVER_BYTES: usize = 32;
/// Extension of segments.
pub const EXTENSION: &str = "gi";
/// Entries per bucket, about.
pub const BUCKET_ENTRIES: u64 = 64;
/// Most data files that one segment covers: a locator has 16 bits for them.
pub const COVERS_MAX: usize = 65_536;
/// Length of the check of the whole file at its end in bytes.
pub const FOOTER_BYTES: usize = 32;

const SLOT_BITS: u32 = 12;
const FRAME_BITS: u32 = 36;

/// Packs a place: 16 bits of the data file's number, 36 bits of the frame's offset / 16, 12 bits of the slot.
pub fn pack(file: u16, frame: u64, slot: u16) -> u64 {
    u64::from(file) << (SLOT_BITS + FRAME_BITS) | (frame / 16) << SLOT_BITS | u64::from(slot)
}

/// Unpacks what [`pack`] packed.
pub fn unpack(locator: u64) -> (u16, u64, u16) {
    let file = (locator >> (SLOT_BITS + FRAME_BITS)) as u16;
    let frame = (locator >> SLOT_BITS & ((1 << FRAME_BITS) - 1)) * 16;
    (file, frame, (locator & ((1 << SLOT_BITS) - 1)) as u16)
}

/// A range of a data file that a segment covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cover {
    /// The data file.
    pub file: [u8; 16],
    /// The first offset.
    pub from: u64,
    /// The offset behind the last.
    pub to: u64,
}

impl Cover {
    /// Appends the 32 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.file);
        out.extend_from_slice(&self.from.to_le_bytes());
        out.extend_from_slice(&self.to.to_le_bytes());
    }

    /// Reads 32 bytes.
    pub fn decode(bytes: &[u8; COVER_BYTES]) -> Self {
        let mut file = [0; 16];
        file.copy_from_slice(&bytes[..16]);
        Self {
            file,
            from: u64_at(bytes, 16),
            to: u64_at(bytes, 24),
        }
    }
}

/// The parts of a segment with `entries` entries and `covers` ranges, as offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The upper bits of a prefix that choose a bucket.
    pub bucket_bits: u32,
    /// Bucket starts: one more than buckets, 4 bytes each.
    pub buckets: usize,
    /// Prefixes, 8 bytes each.
    pub prefixes: usize,
    /// Locators, 8 bytes each.
    pub locators: usize,
    /// The check of everything before it.
    pub footer: usize,
}

impl Layout {
    /// The layout of a segment.
    pub fn new(entries: u64, covers: usize) -> Self {
        let bucket_bits = (entries / BUCKET_ENTRIES).max(1).ilog2();
        let buckets = (HEADER_BYTES + covers * COVER_BYTES).next_multiple_of(8);
        let prefixes = (buckets + 4 * ((1 << bucket_bits) + 1)).next_multiple_of(8);
        let locators = prefixes + 8 * entries as usize;
        Self {
            bucket_bits,
            buckets,
            prefixes,
            locators,
            footer: locators + 8 * entries as usize,
        }
    }

    /// The bucket of a prefix.
    pub fn bucket(&self, prefix: u64) -> usize {
        if self.bucket_bits == 0 {
            0
        } else {
            (prefix >> (64 - self.bucket_bits)) as usize
        }
    }
}

/// A little-endian integer of eight bytes.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

/// A little-endian integer of four bytes.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}
