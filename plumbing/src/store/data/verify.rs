//! Reading a data file whole, and finding frames behind damage.

use super::delta::{Bases, NoBases};
use super::format::{Codec, FILE_HEADER_BYTES, FRAME_ALIGN, FrameHeader, FrameKind};
use super::read::{DataFile, Frame, Head, check_commit};
use crate::error::{Error, Result};
use crate::object::ObjectId;

/// Bytes read at once while looking for the next frame.
const SEARCH_BYTES: usize = 1 << 20;

/// One thing found in a data file.
#[derive(Debug)]
pub enum Finding {
    /// A frame that reads.
    Frame(Head),
    /// A commit record that fits the group before it.
    Commit(Head),
    /// Something that does not read; the walk goes on at the next frame, if there is one.
    Damage(Error),
    /// Bytes behind the last commit record: what a crash, or a writer that is still at work, left.
    Tail {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
}

/// Walks a data file from its header to its end and tells everything that is found, in order.
pub fn walk(file: &DataFile, tell: &mut dyn FnMut(Finding) -> Result<()>) -> Result<()> {
    let length = file.file.len().map_err(Error::io("stat", &file.path))?;
    let mut group: Vec<Head> = Vec::new();
    let mut first = FILE_HEADER_BYTES;
    let mut offset = first;
    let mut whole = true;
    while offset < length {
        match file.head(offset) {
            Ok(Some(head)) if head.end() <= length => {
                offset = head.end();
                if head.header.kind != FrameKind::Commit {
                    group.push(head.clone());
                    tell(Finding::Frame(head))?;
                    continue;
                }
                match check_commit(file, &head, &group, first) {
                    Ok(()) => tell(Finding::Commit(head))?,
                    // A group with a hole has been told already.
                    Err(e) if whole => tell(Finding::Damage(e))?,
                    Err(_) => tell(Finding::Commit(head))?,
                }
                (group, first, whole) = (Vec::new(), offset, true);
            }
            Ok(_) | Err(Error::Damaged { .. }) if !holds_commit(file, offset, length)? => {
                let start = group.first().map_or(offset, |head| head.offset.min(offset));
                return tell(Finding::Tail {
                    offset: start,
                    bytes: length - start,
                });
            }
            Ok(_) => {
                let found = "one that ends behind the file";
                tell(Finding::Damage(Error::damaged(&file.path, offset, "a frame", found)))?;
                return Ok(());
            }
            Err(error @ Error::Damaged { .. }) => {
                tell(Finding::Damage(error))?;
                whole = false;
                match next_frame(file, offset + FRAME_ALIGN, length)? {
                    Some(next) => offset = next,
                    None => return Ok(()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(head) = group.first() {
        tell(Finding::Tail {
            offset: head.offset,
            bytes: length - head.offset,
        })?;
    }
    Ok(())
}

/// Whether a whole commit record lies in `from..length`.
pub fn holds_commit(file: &DataFile, from: u64, length: u64) -> Result<bool> {
    let mut from = from;
    while let Some(offset) = next_frame(file, from, length)? {
        match file.head(offset)? {
            Some(head) if head.end() > length => return Ok(false),
            Some(head) if head.header.kind == FrameKind::Commit => return Ok(true),
            Some(head) => from = head.end(),
            None => return Ok(false),
        }
    }
    Ok(false)
}

/// The offset of the next frame whose header reads, at or behind `from`. The magic holds the file's salt, so bytes
/// that a user stored cannot look like one.
pub fn next_frame(file: &DataFile, from: u64, length: u64) -> Result<Option<u64>> {
    let mut start = from.next_multiple_of(FRAME_ALIGN);
    let mut buffer = vec![0; SEARCH_BYTES];
    while start < length {
        let found = file
            .file
            .read_at(&mut buffer, start)
            .map_err(Error::io("read", &file.path))?;
        for at in (0..found).step_by(FRAME_ALIGN as usize) {
            let offset = start + at as u64;
            if FrameHeader::begins(&buffer[at..found], file.header.salt) && matches!(file.head(offset), Ok(Some(_))) {
                return Ok(Some(offset));
            }
        }
        start += SEARCH_BYTES as u64;
    }
    Ok(None)
}

/// Reads one frame, with its bases from `bases`, and compares the hash of every object in it; without bases at hand, of a
/// delta frame only the digest. Gives the objects that are hurt, with the reason.
pub fn check_objects(
    file: &DataFile,
    head: Head,
    frame: &mut Frame,
    bases: Option<&dyn Bases>,
) -> Result<Vec<(ObjectId, Error)>> {
    let ids: Vec<ObjectId> = head.rows.iter().map(|row| row.id).collect();
    let read = match bases {
        None if head.header.codec == Codec::Delta => {
            frame.clear();
            frame.read_stored_checked(file, &head).map(|()| false)
        }
        bases => frame.read_payload(file, head, bases.unwrap_or(&NoBases)).map(|()| true),
    };
    match read {
        Ok(false) => return Ok(Vec::new()),
        Ok(true) => {}
        Err(Error::Damaged {
            path,
            offset,
            expected,
            found,
        }) => {
            let again = || Error::Damaged {
                path: path.clone(),
                offset,
                expected: expected.clone(),
                found: found.clone(),
            };
            return Ok(ids.into_iter().map(|id| (id, again())).collect());
        }
        Err(error) => return Err(error),
    }
    let mut hurt = Vec::new();
    for (slot, id) in (0..).zip(&ids) {
        if let Err(error) = frame.verified(slot, id) {
            hurt.push((*id, error));
        }
    }
    Ok(hurt)
}
