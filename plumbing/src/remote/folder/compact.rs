//! Making few data files of many small ones, while others push and fetch, without locks.
//!
//! Each push brings a data file. When [`FILES_MIN`] of about the same length are there, who pushed copies them into one:
//!
//! 1. The frames of all of them go, as they are, into a store of its own (`quarantine/KEY`); it is durable.
//! 2. Its data file is renamed into `data/`, and the folder synced: everything is there twice.
//! 3. The files that were copied are renamed into `old/`, and the index is written without them.
//!
//! Invariants:
//!
//! - A file leaves `data/` only when all of its frames are durable in a file there that this process made of it and of
//!   others that it read whole; what other files have is not counted on. A file made of others is younger than they are,
//!   so that no two can have been made of each other, whoever copies at the same time: what was in `data/` once stays.
//! - Nothing is removed: who listed the folder before finds a file in `old/` ([`super::FolderDisk`]).
//! - Several at once copy the same twice. The next one finds frames that are alike, and keeps one.
//! - A crash leaves copies, or files that the next copies again.
//!
//! Each frame is copied once for each sixteenfold growth of its file, four times at most: longer files stay. Fewer than 16 files
//! of each of three lengths stay, and one for each 16 MiB of the rest.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use crate::error::{Error, Result};
use crate::remote::quarantine::Quarantine;
use crate::repository::Repository;
use crate::store::data::read::DataFile;

/// So many files of one length become one.
pub const FILES_MIN: usize = 16;
/// Shorter files are all of one length.
const SHORT_BYTES: u64 = 64 << 10;
/// A file of so many bytes or more stays.
const LONG_BYTES: u64 = 16 << 20;
/// Bytes that are copied at once; more wait for the next push.
const COPIED_BYTES_MAX: u64 = 256 << 20;

/// Makes one data file of small ones if there are many. `key` is the client's, which works here alone. Gives how many files it
/// put aside.
pub fn when_due(repository: &Repository, key: &[u8; 16]) -> Result<usize> {
    let chosen = choose(repository.store.data_files());
    if chosen.is_empty() {
        return Ok(0);
    }
    let Some(quarantine) = Quarantine::open(repository, &own_key(key))? else {
        return Ok(0);
    };
    quarantine.gather(&chosen)?;
    quarantine.adopt(repository)?;
    let mut gone = BTreeSet::new();
    for (file, _) in &chosen {
        match repository.disk.remove(&file.path) {
            // Somebody else has copied it, too.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.map_err(Error::io("put aside", &file.path))?,
        }
        gone.insert(file.header.file);
    }
    repository.store.forget_files(&gone)?;
    Ok(chosen.len())
}

/// The quarantine for copies: not that of the client's pushes, which may have what one left that broke.
fn own_key(key: &[u8; 16]) -> [u8; 16] {
    let mut own = [0; 16];
    let hash = blake3::derive_key("ghost plain folder: quarantine for copies, version 1", key);
    own.copy_from_slice(&hash[..16]);
    own
}

/// The files to copy, with their lengths: those of the first length of which there are many.
fn choose(files: Vec<(DataFile, u64)>) -> Vec<(DataFile, u64)> {
    let mut files: Vec<_> = files
        .into_iter()
        .filter_map(|file| Some((class(file.1)?, file)))
        .collect();
    files.sort_by_key(|(class, (file, bytes))| (*class, *bytes, file.header.file));
    for some in files.chunk_by(|(a, _), (b, _)| a == b) {
        if some.len() < FILES_MIN {
            continue;
        }
        let mut sum = 0;
        let fits = some.iter().take_while(|(_, (_, bytes))| {
            sum += bytes;
            sum <= COPIED_BYTES_MAX
        });
        return fits.map(|(_, file)| file.clone()).collect();
    }
    Vec::new()
}

/// Of what length a file is: each class is sixteen times the one before. None stays as it is.
fn class(bytes: u64) -> Option<u32> {
    match bytes {
        0..SHORT_BYTES => Some(0),
        SHORT_BYTES..LONG_BYTES => Some(1 + (bytes / SHORT_BYTES).ilog(16)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_apart_by_sixteen() {
        for (bytes, expected) in [
            (0, Some(0)),
            ((64 << 10) - 1, Some(0)),
            (64 << 10, Some(1)),
            ((1 << 20) - 1, Some(1)),
            (1 << 20, Some(2)),
            ((16 << 20) - 1, Some(2)),
            (16 << 20, None),
            (u64::MAX, None),
        ] {
            assert_eq!(class(bytes), expected, "{bytes}");
        }
    }
}
