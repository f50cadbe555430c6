//! The list of roots of a bundle as bytes (object-format.md, "Bundles").

use crate::error::Result;
use crate::limits::{BUNDLE_ROOTS_MAX, NAME_BYTES_MAX};
use crate::object::codec::{Reader, put_bytes, put_signed, put_varint};
use crate::object::{ObjectId, ObjectKind};
use crate::time::Timestamp;

/// The version of the encoding.
const ROOTS_VERSION: u8 = 1;
/// All bytes of the root were in the bundle when it was added.
const FLAG_COMPLETE: u8 = 1;

/// A snapshot or tree that a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// [`ObjectKind::Snapshot`] or [`ObjectKind::Tree`].
    pub kind: ObjectKind,
    /// Its id.
    pub id: ObjectId,
    /// Whether all bytes that it needs were in the bundle when it was added; else some or all are described only.
    pub is_complete: bool,
    /// When it was added.
    pub added: Timestamp,
    /// What it was called where it came from, a revision or a path; may be empty.
    pub label: String,
}

/// The bytes of a list.
pub fn encode(roots: &[Root]) -> Vec<u8> {
    let mut out = vec![ROOTS_VERSION];
    put_varint(&mut out, roots.len() as u64);
    for root in roots {
        out.push(root.kind as u8);
        root.id.encode(&mut out);
        out.push(if root.is_complete { FLAG_COMPLETE } else { 0 });
        put_signed(&mut out, root.added.seconds);
        put_varint(&mut out, u64::from(root.added.nanos));
        put_bytes(&mut out, root.label.as_bytes());
    }
    out
}

/// Reads what [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Vec<Root>> {
    let mut reader = Reader::new("list of roots", bytes);
    let version = reader.byte()?;
    if version != ROOTS_VERSION {
        return Err(reader.malformed(format_args!("version {version}, expected {ROOTS_VERSION}")));
    }
    let count = reader.length("count of roots", BUNDLE_ROOTS_MAX)?;
    let mut roots: Vec<Root> = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let kind = ObjectKind::from_byte(reader.byte()?);
        let Some(kind @ (ObjectKind::Snapshot | ObjectKind::Tree)) = kind else {
            return Err(reader.malformed("a root that is neither a tree nor a snapshot"));
        };
        let id = ObjectId::decode(&mut reader)?;
        let flags = reader.byte()?;
        if flags > FLAG_COMPLETE {
            return Err(reader.malformed(format_args!("unknown flags {flags:02x} of a root")));
        }
        let seconds = reader.signed()?;
        let nanos = reader.varint_max("nanoseconds", 999_999_999)? as u32;
        roots.push(Root {
            kind,
            id,
            is_complete: flags == FLAG_COMPLETE,
            added: Timestamp { seconds, nanos },
            label: reader.string("label", NAME_BYTES_MAX)?,
        });
    }
    reader.end()?;
    Ok(roots)
}
