//! Directories (object-format.md, "Trees").
//!
//! A directory is a sorted list of entries in one or more nodes. A leaf holds entries; when it has grown past
//! [`LEAF_BYTES_MIN`] it ends after an entry whose name hashes to six zero bits, so that the cut depends on names
//! alone and a change touches one leaf. Inner nodes list the first name and the id of their children, and are cut
//! in the same way. The id of the topmost node is the id of the directory.

mod build;
mod entry;
mod node;
mod read;

pub use build::{LEAF_BYTES_CUT, LEAF_BYTES_MIN, TreeBuilder};
pub use entry::{Entry, Kind, Metadata, Node};
pub use node::{Child, EMPTY, Reference, TreeNode};
pub use read::{Entries, ObjectSource, lookup};

use crate::error::{Error, Result};
use crate::limits::NAME_BYTES_MAX;

/// Refuses names that no entry may have.
pub fn check_name(name: &[u8], what: &'static str) -> Result<()> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name == b"." || name == b".." {
        "it names this folder or the one above"
    } else if name.contains(&b'/') || name.contains(&0) {
        "it holds a slash or NUL"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 4096 bytes"
    } else if name.eq_ignore_ascii_case(b".ghost") {
        "it is reserved for repositories"
    } else {
        return Ok(());
    };
    Err(Error::UnsafeName {
        name: name.into(),
        what,
        problem,
    })
}

/// The hard-link group of an inode, from the first of its names that is in the tree: the path from the top of the
/// tree with slashes, first in [`compare_paths`] order. So it is the same wherever the same tree is built.
pub fn link_group(first_path: &[u8]) -> [u8; 16] {
    let mut group = [0; 16];
    group.copy_from_slice(&blake3::hash(first_path).as_bytes()[..16]);
    group
}

/// The order in which a walk that goes into each directory at once meets paths: names compared one after another.
pub fn compare_paths(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.split(|&byte| byte == b'/').cmp(b.split(|&byte| byte == b'/'))
}
