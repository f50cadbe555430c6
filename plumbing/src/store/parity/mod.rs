//! Recovery data for files that no longer change (object-format.md, "Parity").
//!
//! A file is cut into shards; shards far apart make a stripe, and a stripe gets some recovery shards by a Reed-Solomon code:
//! as many damaged shards of a stripe, of data and of recovery together, can be computed again. The hash of every shard
//! says which are damaged.
//!
//! 1. [`mod@write`] covers a file from its beginning to an offset up to which it never changes.
//! 2. [`examine`] reads a file and says which of its shards are damaged, and whether they can be computed.
//! 3. [`keep`] says which files of a repository are to be covered, and makes parity go with them.
//! 4. [`mod@heal`] writes what can be computed back to where it belongs. Each shard is compared with its hash before it is
//!    written, and the whole file afterwards.
//!
//! Invariants:
//!
//! - A parity file is complete or not there. It may be deleted: then there is less to mend with, and nothing else.
//! - Healing writes into damaged shards only. If it is stopped, these are as damaged as before, and no others.
//! - What a sector or a flipped bit damages counts as one shard (two, where it lies across); so the bound holds for damage
//!   of any kind.

pub mod format;
mod heal;
pub mod keep;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};

pub use self::format::{Head, Layout};
pub use self::heal::{Examined, Hopeless, examine, heal};
pub use self::write::write;
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, Result};

/// Name of the folder of parity files in a repository.
pub const FOLDER: &str = "parity";
/// Extension of parity files.
pub const EXTENSION: &str = "par";
/// Bytes that are gathered in memory at a time.
const MEMORY_BYTES: u64 = 16 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// Where the parity of a file of a repository is: of `data/X` it is `parity/data-X.par`.
pub fn path_of(ghost_dir: &Path, file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?;
    let folder = file.parent()?.file_name()?;
    let mut own = folder.to_owned();
    own.push("-");
    own.push(name);
    own.push(".");
    own.push(EXTENSION);
    Some(ghost_dir.join(FOLDER).join(own))
}

/// Reads the head of a parity file: the one in front, or where that is damaged the one at the end.
pub fn read_head(disk: &dyn Disk, path: &Path) -> Result<Head> {
    let file = disk.open(path, OpenMode::Read).map_err(Error::io("open", path))?;
    let length = file.len().map_err(Error::io("stat", path))?;
    let read = |from: u64, bytes: u64| -> Result<Vec<u8>> {
        let mut buffer = vec![0; bytes.min(length.saturating_sub(from)) as usize];
        let found = file.read_at(&mut buffer, from).map_err(Error::io("read", path))?;
        buffer.truncate(found);
        Ok(buffer)
    };
    let front = Head::layout_of(path, &read(0, format::HEADER_BYTES as u64)?)
        .and_then(|layout| Head::decode(path, &read(0, layout.head_bytes())?));
    let error = match front {
        Ok(head) => return Ok(head),
        Err(error) => error,
    };
    let end = length.saturating_sub(format::TRAILER_BYTES as u64);
    let trailer = read(end, format::TRAILER_BYTES as u64)?;
    let bytes = trailer
        .first_chunk()
        .and_then(format::head_bytes_of)
        .filter(|bytes| *bytes <= end);
    match bytes {
        Some(bytes) => Head::decode(path, &read(end - bytes, bytes)?),
        None => Err(error),
    }
}
