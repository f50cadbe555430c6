//! The bytes of data files and bundles (object-format.md, "Data files", "Bundles"): constants, headers, rows.

use std::path::Path;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::error::{Error, Result};
use crate::limits::{
    BLOCK_BYTES_MAX, DELTA_BASES_MAX, DELTA_DEPTH_MAX, DELTA_WEIGHT_MAX, FRAME_OBJECTS_MAX, FRAME_RAW_BYTES_MAX,
    FRAME_STORED_BYTES_MAX,
};
use crate::object::{HashAlgo, ObjectId, ObjectKind};

/// The version of data files that this program writes.
pub const VERSION: u16 = 1;
/// Length of the header of a data file in bytes.
pub const FILE_HEADER_BYTES: u64 = 64;
/// Length of a frame's header in bytes, without its table.
pub const FRAME_HEADER_BYTES: usize = 72;
/// Length of a row of a frame's table in bytes.
pub const ROW_BYTES: usize = 36;
/// Length of a part row of a delta frame's table in bytes.
pub const PART_BYTES: usize = 12;
/// Frames begin at multiples of this.
pub const FRAME_ALIGN: u64 = 16;
/// Length of the trailer behind a payload in bytes.
pub const TRAILER_BYTES: usize = 8;
/// Extension of data files.
pub const EXTENSION: &str = "gd";

/// The version of bundles that this program writes.
pub const BUNDLE_VERSION: u16 = 1;

const DATA_MAGIC: &[u8; 8] = b"ghostdat";
const BUNDLE_MAGIC: &[u8; 8] = b"ghostgfs";
const FRAME_MAGIC: u64 = u64::from_le_bytes(*b"\xffgFRAME\x01");

/// What a file of frames is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A data file of a repository.
    Data,
    /// A whole store in one file, whose new ids are made with this hash.
    Bundle(HashAlgo),
}

/// The header of a data file or bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// What the file is.
    pub container: Container,
    /// The repository it belongs to; of a bundle its own id.
    pub repository: [u8; 16],
    /// Its own id; of a data file also its name.
    pub file: [u8; 16],
    /// Makes frame headers of one file unlike those of another and unlike anything a user can store.
    pub salt: u64,
}

impl FileHeader {
    /// The bytes at offset 0.
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES as usize] {
        let mut out = [0; FILE_HEADER_BYTES as usize];
        let (magic, version) = match self.container {
            Container::Data => (DATA_MAGIC, VERSION),
            Container::Bundle(_) => (BUNDLE_MAGIC, BUNDLE_VERSION),
        };
        out[..8].copy_from_slice(magic);
        out[8..10].copy_from_slice(&version.to_le_bytes());
        out[16..32].copy_from_slice(&self.repository);
        match self.container {
            Container::Data => out[32..48].copy_from_slice(&self.file),
            Container::Bundle(algo) => out[10] = algo as u8,
        }
        out[48..56].copy_from_slice(&self.salt.to_le_bytes());
        let check = xxh3_64(&out[..56]);
        out[56..].copy_from_slice(&check.to_le_bytes());
        out
    }

    /// Reads the bytes at offset 0 of the data file at `path`.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        check_start(path, bytes, DATA_MAGIC, ("data file", VERSION))?;
        if bytes[10..16] != [0; 6] {
            return Err(unsupported(path, "data file flags"));
        }
        Ok(Self {
            container: Container::Data,
            repository: array_at(bytes, 16),
            file: array_at(bytes, 32),
            salt: u64_at(bytes, 48),
        })
    }

    /// Reads the bytes at offset 0 of the bundle at `path`.
    pub fn decode_bundle(path: &Path, bytes: &[u8]) -> Result<Self> {
        check_start(path, bytes, BUNDLE_MAGIC, ("bundle", BUNDLE_VERSION))?;
        if bytes[11..16] != [0; 5] || bytes[32..48] != [0; 16] {
            return Err(unsupported(path, "bundle flags"));
        }
        let algo = HashAlgo::from_byte(bytes[10]).filter(|algo| HashAlgo::WRITABLE.contains(algo));
        let algo = algo.ok_or_else(|| unsupported(path, &format!("hash {}", bytes[10])))?;
        Ok(Self {
            container: Container::Bundle(algo),
            repository: array_at(bytes, 16),
            file: array_at(bytes, 16),
            salt: u64_at(bytes, 48),
        })
    }
}

/// Checks length, magic, check and version of a header.
fn check_start(path: &Path, bytes: &[u8], magic: &[u8; 8], (name, known): (&str, u16)) -> Result<()> {
    if bytes.len() < FILE_HEADER_BYTES as usize {
        let found = format!("{} bytes", bytes.len());
        return Err(Error::damaged(path, 0, "a header of 64 bytes", found));
    }
    if &bytes[..8] != magic {
        let expected = format!("the magic {:?}, as a {name} has it", String::from_utf8_lossy(magic));
        return Err(Error::damaged(path, 0, expected, format_args!("{:02x?}", &bytes[..8])));
    }
    let (check, found) = (xxh3_64(&bytes[..56]), u64_at(bytes, 56));
    if check != found {
        let (expected, found) = (format!("check {check:016x}"), format!("{found:016x}"));
        return Err(Error::damaged(path, 56, expected, found));
    }
    match u16::from_le_bytes([bytes[8], bytes[9]]) {
        version if version == known => Ok(()),
        version => Err(unsupported(path, &format!("{name} version {version}"))),
    }
}

fn unsupported(path: &Path, feature: &str) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        feature: feature.to_owned(),
    }
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Objects.
    Objects = 1,
    /// The end of a group.
    Commit = 2,
    /// What a bundle holds, as a list; only in bundles.
    Roots = 3,
    /// Descriptors, as text; only in bundles.
    Descriptors = 4,
}

impl FrameKind {
    /// Whether such frames are in files of this kind.
    pub fn is_in(self, container: Container) -> bool {
        matches!(self, Self::Objects | Self::Commit) || container != Container::Data
    }
}

/// How a payload is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    Raw = 0,
    /// One zstd frame without dictionary, content size or checksum.
    Zstd = 1,
    /// Such a zstd frame for each object, with earlier objects as its prefix.
    Delta = 2,
}

impl Codec {
    /// Its name in what people and scripts read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Zstd => "zstd",
            Self::Delta => "delta",
        }
    }
}

/// The header of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame is for.
    pub kind: FrameKind,
    /// How its payload is stored.
    pub codec: Codec,
    /// Base rows in the table; 0 unless the codec is [`Codec::Delta`].
    pub bases: u16,
    /// Rows in the table.
    pub objects: u32,
    /// Length of the payload in bytes, decompressed.
    pub raw_bytes: u32,
    /// Length of the payload in bytes, as stored.
    pub stored_bytes: u32,
    /// Offset of the first frame of the group that this one belongs to.
    pub group: u64,
    /// BLAKE3 of the table and the stored payload.
    pub digest: [u8; 32],
}

impl FrameHeader {
    /// Length of the table in bytes.
    pub fn table_bytes(&self) -> usize {
        let rows = self.objects as usize * ROW_BYTES;
        match self.codec {
            Codec::Raw | Codec::Zstd => rows,
            Codec::Delta => rows + self.objects as usize * PART_BYTES + usize::from(self.bases) * ROW_BYTES,
        }
    }

    /// Length of the frame in bytes, from its first byte to that of the next.
    pub fn frame_bytes(&self) -> u64 {
        let inner = (FRAME_HEADER_BYTES + self.table_bytes() + TRAILER_BYTES) as u64 + u64::from(self.stored_bytes);
        inner.next_multiple_of(FRAME_ALIGN)
    }

    /// The bytes of the header at `offset` of a file with `salt`, in front of `table`.
    pub fn encode(&self, salt: u64, offset: u64, table: &[u8]) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[..8].copy_from_slice(&(salt ^ FRAME_MAGIC).to_le_bytes());
        out[8] = self.kind as u8;
        out[9] = self.codec as u8;
        out[10..12].copy_from_slice(&self.bases.to_le_bytes());
        out[12..16].copy_from_slice(&self.objects.to_le_bytes());
        out[16..20].copy_from_slice(&self.raw_bytes.to_le_bytes());
        out[20..24].copy_from_slice(&self.stored_bytes.to_le_bytes());
        out[24..32].copy_from_slice(&self.group.to_le_bytes());
        out[32..64].copy_from_slice(&self.digest);
        let check = header_check(&out[..64], table, salt, offset);
        out[64..].copy_from_slice(&check.to_le_bytes());
        out
    }

    /// Whether a frame of a file with `salt` begins with these bytes.
    pub fn begins(bytes: &[u8], salt: u64) -> bool {
        bytes.len() >= 8 && u64_at(bytes, 0) == salt ^ FRAME_MAGIC
    }

    /// The salt of the file, if a frame begins with these bytes.
    pub fn salt_of(bytes: &[u8]) -> Option<u64> {
        (bytes.len() >= FRAME_HEADER_BYTES).then(|| u64_at(bytes, 0) ^ FRAME_MAGIC)
    }

    /// Reads the fields and bounds of a header, before its table is at hand.
    pub fn decode(bytes: &[u8], salt: u64) -> Result<Self, String> {
        if bytes.len() < FRAME_HEADER_BYTES {
            return Err(format!("{} bytes of a header of {FRAME_HEADER_BYTES}", bytes.len()));
        }
        if !Self::begins(bytes, salt) {
            return Err(format!("no frame magic, but {:02x?}", &bytes[..8]));
        }
        let kind = match bytes[8] {
            1 => FrameKind::Objects,
            2 => FrameKind::Commit,
            3 => FrameKind::Roots,
            4 => FrameKind::Descriptors,
            kind => return Err(format!("unknown type of frame {kind}")),
        };
        let codec = match bytes[9] {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            2 => Codec::Delta,
            codec => return Err(format!("unknown codec {codec}")),
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(&bytes[32..64]);
        let header = Self {
            kind,
            codec,
            bases: u16::from_le_bytes([bytes[10], bytes[11]]),
            objects: u32_at(bytes, 12),
            raw_bytes: u32_at(bytes, 16),
            stored_bytes: u32_at(bytes, 20),
            group: u64_at(bytes, 24),
            digest,
        };
        if (codec == Codec::Delta) != (header.bases > 0) || (codec == Codec::Delta && kind != FrameKind::Objects) {
            return Err(format!("{} bases in a frame of codec {}", header.bases, codec.name()));
        }
        if header.objects as usize > FRAME_OBJECTS_MAX
            || usize::from(header.bases) > FRAME_OBJECTS_MAX
            || header.raw_bytes as usize > FRAME_RAW_BYTES_MAX
            || header.stored_bytes as usize > FRAME_STORED_BYTES_MAX
        {
            return Err("a count or length over its limit".to_owned());
        }
        Ok(header)
    }

    /// The check that belongs to these header bytes and this table, and the one that is there.
    pub fn checks(bytes: &[u8], table: &[u8], salt: u64, offset: u64) -> (u64, u64) {
        (header_check(&bytes[..64], table, salt, offset), u64_at(bytes, 64))
    }
}

/// The trailer repeats the length of the frame, so that a file can be read from its end.
pub fn trailer(frame_bytes: u64, salt: u64) -> [u8; TRAILER_BYTES] {
    (frame_bytes ^ salt).to_le_bytes()
}

/// The digest of a frame: over its table and its payload as stored.
pub fn frame_digest(table: &[u8], stored: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(table);
    hasher.update(stored);
    *hasher.finalize().as_bytes()
}

fn header_check(header: &[u8], table: &[u8], salt: u64, offset: u64) -> u64 {
    let mut hasher = Xxh3::with_seed(salt ^ offset);
    hasher.update(header);
    hasher.update(table);
    hasher.digest()
}

/// One object in a frame's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: ObjectId,
    /// Its kind.
    pub kind: ObjectKind,
    /// Its length in bytes.
    pub bytes: u32,
}

impl Row {
    /// Appends the 36 bytes: the digest, padded, then length (25 bits), kind (4 bits) and hash (3 bits).
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.padded());
        let packed = self.bytes | (self.kind as u32) << 25 | (self.id.algo() as u32) << 29;
        out.extend_from_slice(&packed.to_le_bytes());
    }

    /// Reads 36 bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let digest: [u8; 32] = bytes.get(..32)?.try_into().ok()?;
        let packed = u32_at(bytes.get(..ROW_BYTES)?, 32);
        let algo = HashAlgo::from_byte((packed >> 29) as u8)?;
        let kind = ObjectKind::from_byte((packed >> 25 & 15) as u8)?;
        let length = packed & ((1 << 25) - 1);
        if length as usize > BLOCK_BYTES_MAX {
            return None;
        }
        Some(Self {
            id: ObjectId::from_padded(algo, digest)?,
            kind,
            bytes: length,
        })
    }
}

/// How one object of a delta frame is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Length of its zstd frame in bytes.
    pub stored_bytes: u32,
    /// Its first base among the base rows.
    pub first: u16,
    /// How many bases follow each other there: at least 1.
    pub count: u8,
    /// How many objects lie between it and one that has no bases, at most, that one counted.
    pub depth: u8,
    /// How many objects are decompressed to get it, itself counted.
    pub weight: u16,
}

impl Part {
    /// Appends the 12 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stored_bytes.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&[self.count, self.depth]);
        out.extend_from_slice(&self.weight.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
    }

    /// Reads 12 bytes of a frame with so many base rows; what is beyond a limit is none.
    pub fn decode(bytes: &[u8; PART_BYTES], bases: u16) -> Option<Self> {
        let part = Self {
            stored_bytes: u32_at(bytes, 0),
            first: u16::from_le_bytes([bytes[4], bytes[5]]),
            count: bytes[6],
            depth: bytes[7],
            weight: u16::from_le_bytes([bytes[8], bytes[9]]),
        };
        let is_inside = u32::from(part.first) + u32::from(part.count) <= u32::from(bases);
        let has_bases = (1..=DELTA_BASES_MAX).contains(&usize::from(part.count));
        let is_bounded = (1..=DELTA_DEPTH_MAX).contains(&part.depth) && (2..=DELTA_WEIGHT_MAX).contains(&part.weight);
        (is_inside && has_bases && is_bounded && bytes[10..] == [0; 2]).then_some(part)
    }

    /// Its bases as a range of the base rows.
    pub fn range(&self) -> std::ops::Range<usize> {
        let first = usize::from(self.first);
        first..first + usize::from(self.count)
    }
}

/// The payload of a commit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Offset of the first frame of the group.
    pub first: u64,
    /// Frames in the group.
    pub frames: u64,
    /// Objects in the group.
    pub objects: u64,
    /// BLAKE3 of the headers of the group's frames, in order.
    pub digest: [u8; 32],
}

/// Length of a commit record's payload in bytes.
pub const COMMIT_BYTES: usize = 56;

impl Commit {
    /// The payload.
    pub fn encode(&self) -> [u8; COMMIT_BYTES] {
        let mut out = [0; COMMIT_BYTES];
        out[..8].copy_from_slice(&self.first.to_le_bytes());
        out[8..16].copy_from_slice(&self.frames.to_le_bytes());
        out[16..24].copy_from_slice(&self.objects.to_le_bytes());
        out[24..].copy_from_slice(&self.digest);
        out
    }

    /// Reads a payload.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != COMMIT_BYTES {
            return None;
        }
        let digest = bytes[24..].try_into().ok()?;
        Some(Self {
            first: u64_at(bytes, 0),
            frames: u64_at(bytes, 8),
            objects: u64_at(bytes, 16),
            digest,
        })
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
