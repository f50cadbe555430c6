//! The stat cache: what the last scan of a root saw, so that nothing unchanged is read or encoded again
//! (object-format.md, "Stat cache").
//!
//! For each directory the cache keeps the id of its tree and one [`Fingerprint`] an entry of that tree, in name order.
//!
//! 1. A scan takes the [`CacheSecret`] of the cache that it found, or a new one, and a [`Cutoff`] from its start.
//! 2. For each directory it fingerprints the entries that it keeps. If [`DirRecord::unchanged`] says so, and all child
//!    directories have the trees that they had, the directory has the tree that it had: nothing is encoded.
//! 3. Else the tree of the record is read, and an entry takes its content from there where the old fingerprint at its
//!    old position [matches](Fingerprint::matches). All others are read.
//! 4. Each directory is added to a [`CacheWriter`], by any thread in any order, whether it changed or not.
//! 5. After the commit, never before, [`CacheWriter::finish`] replaces the file: a tree that a cache names is in the
//!    store.
//!
//! Invariants: what could not be read completely, or changed while it was read, is added as [`Fingerprint::NEVER`]. No
//! damage of the file gives a wrong answer: it is checked as a whole when it is opened. Losing it costs time, never data.

mod fingerprint;
mod format;
mod key;
mod read;
mod write;

pub use fingerprint::{Cutoff, Fingerprint, Fingerprinter};
pub use key::{CacheIdentity, CacheSecret, DirKey};
pub use read::{DirRecord, Fingerprints, Rejected, StatCache};
pub use write::CacheWriter;

#[cfg(test)]
mod tests;
