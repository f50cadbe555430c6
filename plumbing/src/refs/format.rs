//! Bytes of the ref log and its checkpoints (object-format.md, "Ref log" and "Checkpoints"): values <-> bytes, no files.
//!
//! A record has a head of fixed size with a check of its own, so that a damaged length steers nobody; a body; the
//! length once more, so that the log can be read backwards; and a BLAKE3 hash over all of it, which the next record
//! repeats. The magic is followed by the salt of the log, which nobody outside knows: bytes of a message cannot pass
//! for a record when a reader looks for the next valid one behind damage.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::limits::{
    MESSAGE_BYTES_MAX, NAME_BYTES_MAX, REF_CHANGES_MAX, REF_NAME_BYTES_MAX, REF_RECORD_BYTES_MAX, REFS_MAX,
};
use crate::object::ObjectId;
use crate::object::codec::{Reader, put_bytes, put_signed, put_varint};
use crate::refs::name::check_ref_name;
use crate::time::Timestamp;

const LOG_MAGIC: &[u8; 8] = b"ghostref";
const CHECKPOINT_MAGIC: &[u8; 8] = b"ghostcpt";
const RECORD_MAGIC: &[u8; 4] = b"ref\x01";
const LOG_VERSION: u32 = 1;
const CHECKPOINT_VERSION: u32 = 1;
const BODY_VERSION: u8 = 1;

/// Length of the header of a log in bytes.
pub const HEADER_BYTES: usize = 80;
/// Length of the head of a record in bytes.
pub const HEAD_BYTES: usize = 64;
/// Length of what stands behind the body of a record: its length once more, and the check.
pub const TRAILER_BYTES: usize = 36;
/// Length of the marker that a record begins with: magic and salt.
pub const MARKER_BYTES: usize = 12;
const CHECKPOINT_HEAD_BYTES: usize = 104;

/// Lengths are written with 32 bits.
const _: () = assert!(REF_RECORD_BYTES_MAX < u32::MAX as usize);

/// A BLAKE3 hash.
pub type Check = [u8; 32];

fn check_of(bytes: &[u8]) -> Check {
    *blake3::hash(bytes).as_bytes()
}

/// A fixed part of `bytes`; zeros where `bytes` is shorter, which callers rule out first.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(slice) = bytes.get(at..at + N) {
        out.copy_from_slice(slice);
    }
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(part(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(part(bytes, at))
}

/// What a log begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The repository that the log belongs to.
    pub uuid: [u8; 16],
    /// Random bytes, part of every record's marker.
    pub salt: [u8; 8],
}

impl Header {
    /// The bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(LOG_MAGIC);
        out[8..12].copy_from_slice(&LOG_VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.uuid);
        out[32..40].copy_from_slice(&self.salt);
        let check = check_of(&out[..48]);
        out[48..].copy_from_slice(&check);
        out
    }

    /// What the first record repeats as the check of the record before it.
    pub fn check(&self) -> Check {
        part(&self.encode(), 48)
    }

    /// Reads the bytes of the log at `path`.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        if bytes.len() < HEADER_BYTES {
            let found = format_args!("{} bytes", bytes.len());
            return Err(Error::damaged(path, 0, "a header of 80 bytes", found));
        }
        if &bytes[..8] != LOG_MAGIC {
            return Err(Error::damaged(path, 0, "the magic of a ref log", hex(&bytes[..8])));
        }
        let (expected, found) = (check_of(&bytes[..48]), part::<32>(bytes, 48));
        if expected != found {
            return Err(Error::damaged(
                path,
                0,
                format_args!("check {}", hex(&expected)),
                hex(&found),
            ));
        }
        let version = u32_at(bytes, 8);
        if version != LOG_VERSION || u32_at(bytes, 12) != 0 || u64_at(bytes, 40) != 0 {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                feature: format!("ref log version {version}"),
            });
        }
        Ok(Self {
            uuid: part(bytes, 16),
            salt: part(bytes, 32),
        })
    }

    /// What every record of this log begins with.
    pub fn marker(&self) -> [u8; MARKER_BYTES] {
        let mut out = [0; MARKER_BYTES];
        out[..4].copy_from_slice(RECORD_MAGIC);
        out[4..].copy_from_slice(&self.salt);
        out
    }
}

/// Lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The change of one ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Full name.
    pub name: String,
    /// The value before; none where the ref was absent.
    pub old: Option<ObjectId>,
    /// The value after; none where the ref was deleted.
    pub new: Option<ObjectId>,
}

/// One record: changes of refs that happened together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number of the record, from 1, without gaps.
    pub sequence: u64,
    /// The check of the record before, or of the header.
    pub previous: Check,
    /// When.
    pub time: Timestamp,
    /// By whom.
    pub author: String,
    /// On which machine.
    pub host: String,
    /// Why.
    pub message: String,
    /// The generation of the store that the writer relied on.
    pub generation: u64,
    /// Names a push, so that one that is repeated does no harm.
    pub push_id: Option<[u8; 16]>,
    /// The changes, sorted by name, each name once.
    pub changes: Vec<Change>,
}

/// The head of a record: as much as is needed to find its end.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Length of the whole record in bytes.
    pub bytes: usize,
}

impl Head {
    /// Reads the first [`HEAD_BYTES`] of a record; an error says what is wrong with it.
    pub fn decode(header: &Header, bytes: &[u8]) -> Result<Self, String> {
        if bytes[..MARKER_BYTES] != header.marker() {
            return Err(format!(
                "{} instead of the marker of a record",
                hex(&bytes[..MARKER_BYTES])
            ));
        }
        let (expected, found) = (xxhash_rust::xxh3::xxh3_64(&bytes[..56]), u64_at(bytes, 56));
        if expected != found {
            return Err(format!("head check {found:016x} where {expected:016x} belongs"));
        }
        let body = u32_at(bytes, 12) as usize;
        let bytes = HEAD_BYTES + body + TRAILER_BYTES;
        if bytes > REF_RECORD_BYTES_MAX {
            return Err(format!(
                "a record of {bytes} bytes, the limit is {REF_RECORD_BYTES_MAX}"
            ));
        }
        Ok(Self { bytes })
    }
}

/// The length of the record that ends with these [`TRAILER_BYTES`].
pub fn trailing_length(trailer: &[u8]) -> usize {
    u32_at(trailer, 0) as usize
}

/// Whether the bytes of a record, whose head is valid, are what was written but for the length in its trailer: the check is
/// right with the other one.
pub fn differs_in_trailing_length(bytes: &[u8]) -> bool {
    let Some(split) = bytes.len().checked_sub(32).filter(|split| *split >= HEAD_BYTES + 4) else {
        return false;
    };
    let mut written = bytes[..split].to_vec();
    // Below the limit of a record, 16 MiB.
    written[split - 4..].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    check_of(&written) == part::<32>(bytes, split)
}

impl Record {
    /// The bytes in a log with this header.
    pub fn encode(&self, header: &Header) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&header.marker());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.previous);
        out.extend_from_slice(&[0; 8]);
        self.encode_body(&mut out);
        let total = out.len() + TRAILER_BYTES;
        if total > REF_RECORD_BYTES_MAX {
            let problem = format_args!("{total} bytes, the limit is {REF_RECORD_BYTES_MAX}");
            return Err(Error::invalid(
                "change of refs",
                format_args!("{} refs", self.changes.len()),
                problem,
            ));
        }
        // Both lengths are below the limit of a record, 16 MiB.
        let body = (out.len() - HEAD_BYTES) as u32;
        out[12..16].copy_from_slice(&body.to_le_bytes());
        let head_check = xxhash_rust::xxh3::xxh3_64(&out[..56]);
        out[56..64].copy_from_slice(&head_check.to_le_bytes());
        out.extend_from_slice(&(total as u32).to_le_bytes());
        let check = check_of(&out);
        out.extend_from_slice(&check);
        Ok(out)
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        out.push(BODY_VERSION);
        put_signed(out, self.time.seconds);
        put_varint(out, u64::from(self.time.nanos));
        for text in [&self.author, &self.host, &self.message] {
            put_bytes(out, text.as_bytes());
        }
        put_varint(out, self.generation);
        out.push(u8::from(self.push_id.is_some()));
        out.extend_from_slice(self.push_id.as_ref().map_or(&[], |id| id.as_slice()));
        put_varint(out, self.changes.len() as u64);
        for change in &self.changes {
            put_bytes(out, change.name.as_bytes());
            for value in [&change.old, &change.new] {
                put_optional_id(out, value.as_ref());
            }
        }
    }

    /// Reads a whole record whose head is valid. Gives its check, which the next record repeats, too.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Check), String> {
        if bytes.len() < HEAD_BYTES + TRAILER_BYTES {
            return Err(format!("a record of {} bytes", bytes.len()));
        }
        let split = bytes.len() - 32;
        let (expected, found) = (check_of(&bytes[..split]), part::<32>(bytes, split));
        if expected != found {
            return Err(format!("check {} where {} belongs", hex(&found), hex(&expected)));
        }
        let copy = u32_at(bytes, split - 4) as usize;
        if copy != bytes.len() {
            return Err(format!("length {copy} behind a record of {} bytes", bytes.len()));
        }
        let body = &bytes[HEAD_BYTES..bytes.len() - TRAILER_BYTES];
        let record = Self::decode_body(u64_at(bytes, 16), part(bytes, 24), body).map_err(|e| e.to_string())?;
        Ok((record, found))
    }

    fn decode_body(sequence: u64, previous: Check, body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("ref record", body);
        let version = reader.byte()?;
        if version != BODY_VERSION {
            return Err(reader.malformed(format_args!("version {version}, expected {BODY_VERSION}")));
        }
        let time = Timestamp {
            seconds: reader.signed()?,
            nanos: reader.varint_max("nanoseconds", 999_999_999)? as u32,
        };
        let author = reader.string("author", NAME_BYTES_MAX)?;
        let host = reader.string("host", NAME_BYTES_MAX)?;
        let message = reader.string("message", MESSAGE_BYTES_MAX)?;
        let generation = reader.varint()?;
        let push_id = if take_flag(&mut reader)? {
            Some(reader.array()?)
        } else {
            None
        };
        let count = reader.length("count of changes", REF_CHANGES_MAX)?;
        let mut changes: Vec<Change> = Vec::with_capacity(count.min(64));
        for _ in 0..count {
            let change = Change {
                name: take_name(&mut reader)?,
                old: take_optional_id(&mut reader)?,
                new: take_optional_id(&mut reader)?,
            };
            if changes.last().is_some_and(|last| last.name >= change.name) {
                return Err(reader.malformed("names repeat or are out of order"));
            }
            if change.old == change.new {
                return Err(reader.malformed("a change that changes nothing"));
            }
            changes.push(change);
        }
        if changes.is_empty() {
            return Err(reader.malformed("a record of no changes"));
        }
        reader.end()?;
        Ok(Self {
            sequence,
            previous,
            time,
            author,
            host,
            message,
            generation,
            push_id,
            changes,
        })
    }
}

fn put_optional_id(out: &mut Vec<u8>, id: Option<&ObjectId>) {
    out.push(u8::from(id.is_some()));
    if let Some(id) = id {
        id.encode(out);
    }
}

fn take_flag(reader: &mut Reader<'_>) -> Result<bool> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        byte => Err(reader.malformed(format_args!("expected 0 or 1, found {byte}"))),
    }
}

fn take_optional_id(reader: &mut Reader<'_>) -> Result<Option<ObjectId>> {
    Ok(if take_flag(reader)? {
        Some(ObjectId::decode(reader)?)
    } else {
        None
    })
}

fn take_name(reader: &mut Reader<'_>) -> Result<String> {
    let name = reader.string("ref name", REF_NAME_BYTES_MAX)?;
    check_ref_name(&name).map_err(|e| reader.malformed(e))?;
    Ok(name)
}

/// The values of all refs after one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The repository.
    pub uuid: [u8; 16],
    /// The salt of the log.
    pub salt: [u8; 8],
    /// The last record that is covered.
    pub sequence: u64,
    /// Offset of that record in the log.
    pub offset: u64,
    /// The check of that record.
    pub check: Check,
    /// Full name -> value.
    pub refs: BTreeMap<String, ObjectId>,
}

impl Checkpoint {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CHECKPOINT_HEAD_BYTES + self.refs.len() * 64);
        out.extend_from_slice(CHECKPOINT_MAGIC);
        out.extend_from_slice(&CHECKPOINT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.uuid);
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.check);
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&(self.refs.len() as u64).to_le_bytes());
        for (name, id) in &self.refs {
            put_bytes(&mut out, name.as_bytes());
            id.encode(&mut out);
        }
        let check = check_of(&out);
        out.extend_from_slice(&check);
        out
    }

    /// Reads the bytes of the checkpoint at `path`.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        if bytes.len() < CHECKPOINT_HEAD_BYTES + 32 || &bytes[..8] != CHECKPOINT_MAGIC {
            let found = format_args!("{} bytes that begin with {}", bytes.len(), hex(&part::<8>(bytes, 0)));
            return Err(Error::damaged(path, 0, "a checkpoint", found));
        }
        let split = bytes.len() - 32;
        let (expected, found) = (check_of(&bytes[..split]), part::<32>(bytes, split));
        if expected != found {
            let expected = format_args!("check {}", hex(&expected));
            return Err(Error::damaged(path, split as u64, expected, hex(&found)));
        }
        let version = u32_at(bytes, 8);
        if version != CHECKPOINT_VERSION || u32_at(bytes, 12) != 0 || u64_at(bytes, 88) != 0 {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                feature: format!("checkpoint version {version}"),
            });
        }
        let refs = decode_refs(u64_at(bytes, 96), &bytes[CHECKPOINT_HEAD_BYTES..split])
            .map_err(|e| Error::damaged(path, CHECKPOINT_HEAD_BYTES as u64, "sorted refs", e))?;
        Ok(Self {
            uuid: part(bytes, 16),
            salt: part(bytes, 32),
            sequence: u64_at(bytes, 40),
            offset: u64_at(bytes, 48),
            check: part(bytes, 56),
            refs,
        })
    }
}

fn decode_refs(count: u64, bytes: &[u8]) -> Result<BTreeMap<String, ObjectId>> {
    let mut reader = Reader::new("checkpoint", bytes);
    if count > REFS_MAX as u64 {
        return Err(reader.malformed(format_args!("{count} refs, the limit is {REFS_MAX}")));
    }
    let mut refs = BTreeMap::new();
    for _ in 0..count {
        let name = take_name(&mut reader)?;
        if refs.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(reader.malformed("names repeat or are out of order"));
        }
        refs.insert(name, ObjectId::decode(&mut reader)?);
    }
    reader.end()?;
    Ok(refs)
}
