//! Fields that messages have in common.

use super::IDS_MAX;
use crate::error::Result;
use crate::object::ObjectId;
use crate::object::codec::{Reader, put_varint};

/// Flags that are set, as one number.
pub fn put_flags(out: &mut Vec<u8>, flags: &[(bool, u64)]) {
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    put_varint(out, set.map(|(_, flag)| flag).sum());
}

/// A list of ids.
pub fn put_ids(out: &mut Vec<u8>, ids: &[ObjectId]) {
    put_varint(out, ids.len() as u64);
    ids.iter().for_each(|id| id.encode(out));
}

/// Reads a list of ids, of [`IDS_MAX`] at most.
pub fn take_ids(reader: &mut Reader<'_>) -> Result<Vec<ObjectId>> {
    let count = reader.length("ids", IDS_MAX)?;
    // An id has 21 bytes at least: what is not there takes no memory.
    let mut ids = Vec::with_capacity(count.min(reader.left() / 21));
    for _ in 0..count {
        ids.push(ObjectId::decode(reader)?);
    }
    Ok(ids)
}

/// A list of digests.
pub fn put_digests(out: &mut Vec<u8>, digests: &[[u8; 32]]) {
    put_varint(out, digests.len() as u64);
    digests.iter().for_each(|digest| out.extend_from_slice(digest));
}

/// Reads a list of digests, of [`IDS_MAX`] at most.
pub fn take_digests(reader: &mut Reader<'_>) -> Result<Vec<[u8; 32]>> {
    let count = reader.length("digests", IDS_MAX)?;
    let mut digests = Vec::with_capacity(count.min(reader.left() / 32));
    for _ in 0..count {
        digests.push(reader.array()?);
    }
    Ok(digests)
}

/// Reads a number that is 0 or 1.
pub fn flag(reader: &mut Reader<'_>) -> Result<bool> {
    Ok(reader.varint_max("flag", 1)? == 1)
}

/// Reads an id that may be left out.
pub fn optional(reader: &mut Reader<'_>) -> Result<Option<ObjectId>> {
    match flag(reader)? {
        true => Ok(Some(ObjectId::decode(reader)?)),
        false => Ok(None),
    }
}

/// Reads a number, called so and at most so much, if it is there; 0 if not.
pub fn number_if(is_there: bool, reader: &mut Reader<'_>, (what, most): (&'static str, u64)) -> Result<u64> {
    match is_there {
        true => reader.varint_max(what, most),
        false => Ok(0),
    }
}
