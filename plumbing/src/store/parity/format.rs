//! The bytes of parity files (object-format.md, "Parity").

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"ghostpar";
const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 96;
pub(super) const CHECK_BYTES: usize = 32;
/// The end of a parity file: the length of the head that stands in front of it.
pub(super) const TRAILER_BYTES: usize = 16;
const TRAILER_MAGIC: u64 = u64::from_le_bytes(*b"endghpar");

/// Data shards of a stripe at most.
const STRIPE_SHARDS_MAX: u64 = 1000;
/// Shards that a reader accepts: a file of 2^40 bytes has 2^28.
const SHARDS_MAX: u64 = 1 << 28;
/// Recovery shards of a stripe at least: one damaged place often touches two shards.
const RECOVERY_MIN: u64 = 2;

/// How the bytes of a file are laid out in shards and stripes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the file that are covered, from its beginning.
    pub bytes: u64,
    /// Length of a shard in bytes.
    pub shard_bytes: u32,
    /// Data shards of a stripe; in some stripes the last one is beyond the end and counts as zeros.
    pub data: u32,
    /// Recovery shards of a stripe.
    pub recovery: u32,
    /// Stripes. Data shard `n` of the file is in stripe `n % stripes`: so damage of one stretch is spread over all of them.
    pub stripes: u64,
}

impl Layout {
    /// For a file of so many bytes, with so many percent of recovery data.
    pub fn new(bytes: u64, percent: u64) -> Self {
        let shard_bytes: u32 = match bytes {
            0..0x8000 => 64,
            0x8000..0x10_0000 => 512,
            _ => 4096,
        };
        let shards = bytes.div_ceil(u64::from(shard_bytes)).max(1);
        let stripes = shards.div_ceil(STRIPE_SHARDS_MAX);
        let data = shards.div_ceil(stripes);
        let recovery = (data * percent).div_ceil(100).max(RECOVERY_MIN);
        Self {
            bytes,
            shard_bytes,
            // At most `STRIPE_SHARDS_MAX`, and as many.
            data: data as u32,
            recovery: recovery.min(STRIPE_SHARDS_MAX) as u32,
            stripes,
        }
    }

    /// Data shards of the file.
    pub fn shards(&self) -> u64 {
        self.bytes.div_ceil(u64::from(self.shard_bytes))
    }

    /// Recovery shards of all stripes.
    pub fn recovery_shards(&self) -> u64 {
        self.stripes * u64::from(self.recovery)
    }

    /// Whether a reader can work with it.
    fn is_valid(&self) -> bool {
        let fits = |count: u32| (1..=STRIPE_SHARDS_MAX).contains(&u64::from(count));
        matches!(self.shard_bytes, 64 | 512 | 4096)
            && fits(self.data)
            && fits(self.recovery)
            && (1..=SHARDS_MAX).contains(&self.shards())
            && self.stripes <= self.shards()
            && self.shards().div_ceil(self.stripes.max(1)) == u64::from(self.data)
    }

    /// Length of the head in bytes.
    pub(super) fn head_bytes(&self) -> u64 {
        (HEADER_BYTES + CHECK_BYTES) as u64 + 8 * (self.shards() + self.recovery_shards())
    }
}

/// The head of a parity file: what is covered, and the hash of every shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The repository.
    pub repository: [u8; 16],
    /// The layout.
    pub layout: Layout,
    /// BLAKE3 of the covered bytes.
    pub digest: [u8; 32],
    /// XXH3-64 of each data shard, its number as seed; the last one without padding.
    pub data: Vec<u64>,
    /// XXH3-64 of each recovery shard, stripe after stripe, their number behind those of the data shards as seed.
    pub recovery: Vec<u64>,
}

/// The hash of a shard.
pub fn shard_hash(bytes: &[u8], number: u64) -> u64 {
    xxh3_64_with_seed(bytes, number)
}

impl Head {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let layout = &self.layout;
        let mut out = Vec::with_capacity(HEADER_BYTES + CHECK_BYTES + 8 * (self.data.len() + self.recovery.len()));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&layout.shard_bytes.to_le_bytes());
        out.extend_from_slice(&self.repository);
        out.extend_from_slice(&layout.bytes.to_le_bytes());
        out.extend_from_slice(&layout.data.to_le_bytes());
        out.extend_from_slice(&layout.recovery.to_le_bytes());
        out.extend_from_slice(&layout.stripes.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.digest);
        for hash in self.data.iter().chain(&self.recovery) {
            out.extend_from_slice(&hash.to_le_bytes());
        }
        let check = blake3::hash(&out);
        out.extend_from_slice(check.as_bytes());
        out
    }

    /// Reads the layout of a head that begins with these bytes; nothing is checked but its bounds.
    pub(super) fn layout_of(path: &Path, bytes: &[u8]) -> Result<Layout> {
        let damaged = |at: u64, expected: &str| Error::damaged(path, at, expected, "something else");
        if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC {
            return Err(damaged(0, "the magic \"ghostpar\""));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(damaged(8, "version 1"));
        }
        let layout = Layout {
            shard_bytes: u32_at(bytes, 12),
            bytes: u64_at(bytes, 32),
            data: u32_at(bytes, 40),
            recovery: u32_at(bytes, 44),
            stripes: u64_at(bytes, 48),
        };
        match layout.is_valid() {
            true => Ok(layout),
            false => Err(damaged(12, "a layout within its bounds")),
        }
    }

    /// Reads a head.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let damaged = |at: usize, expected: &str| Error::damaged(path, at as u64, expected, "something else");
        let layout = Self::layout_of(path, bytes)?;
        let length = layout.head_bytes() as usize;
        if bytes.len() != length {
            return Err(damaged(bytes.len(), "a hash of every shard and a check"));
        }
        let (body, check) = bytes.split_at(length - CHECK_BYTES);
        if blake3::hash(body).as_bytes() != check {
            return Err(damaged(body.len(), "the check of the head"));
        }
        let mut repository = [0; 16];
        repository.copy_from_slice(&body[16..32]);
        let mut digest = [0; 32];
        digest.copy_from_slice(&body[64..96]);
        let hashes: Vec<u64> = body[HEADER_BYTES..]
            .as_chunks::<8>()
            .0
            .iter()
            .map(|hash| u64::from_le_bytes(*hash))
            .collect();
        let (data, recovery) = hashes.split_at(layout.shards() as usize);
        Ok(Self {
            repository,
            layout,
            digest,
            data: data.to_vec(),
            recovery: recovery.to_vec(),
        })
    }
}

/// The end of a parity file whose head has so many bytes.
pub(super) fn trailer(head_bytes: u64) -> [u8; TRAILER_BYTES] {
    let mut out = [0; TRAILER_BYTES];
    out[..8].copy_from_slice(&head_bytes.to_le_bytes());
    out[8..].copy_from_slice(&(head_bytes ^ TRAILER_MAGIC).to_le_bytes());
    out
}

/// The length of the head in front of these last bytes.
pub(super) fn head_bytes_of(trailer: &[u8; TRAILER_BYTES]) -> Option<u64> {
    let (length, check) = (u64_at(trailer, 0), u64_at(trailer, 8));
    (length ^ TRAILER_MAGIC == check).then_some(length)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
