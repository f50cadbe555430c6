//! What others know of places of contents.

use std::path::{Path, PathBuf};

use crate::ghosts::fasthash::FastHash;
use crate::object::ObjectId;
use crate::walk::Stat;

/// Where a content was seen before.
pub trait Known: Sync {
    /// Absolute paths on this machine at which the file at `path` of the tree was when the tree was taken. They cost
    /// nothing to know, and are asked for first.
    fn origins(&self, _path: &[u8]) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Absolute paths on this machine at which a file of `bytes` bytes with this FULLHASH was seen, most promising
    /// first. They need not be right.
    fn places(&self, fullhash: &ObjectId, bytes: u64) -> Vec<PathBuf>;

    /// Trees that say of which blocks contents consist: where a content was seen that has a wanted block, that is taken.
    fn trees(&self) -> Vec<ObjectId> {
        Vec::new()
    }

    /// What the file at an absolute path, which looks like `stat` now, was found to be, where that is known and nothing
    /// changed since.
    fn recall(&self, _path: &Path, _stat: &Stat) -> Option<ObjectId> {
        None
    }

    /// The sampled hash of a content, where it is known: it tells without much reading that a file has another.
    fn fast_hash(&self, _fullhash: &ObjectId) -> Option<FastHash> {
        None
    }
}

/// Knows no place.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingKnown;

impl Known for NothingKnown {
    fn places(&self, _: &ObjectId, _: u64) -> Vec<PathBuf> {
        Vec::new()
    }
}
