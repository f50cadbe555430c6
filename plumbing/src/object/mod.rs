//! Objects: pure bytes <-> values, no files (object-format.md, "Objects").
//!
//! - [`id`]: names of blocks: the plain hash of their bytes
//! - [`codec`]: canonical integers and byte strings
//! - [`content`]: how a file's bytes are named, and indirect blocks
//! - [`tree`]: directories, split by content when large
//! - [`snapshot`]: a tree, its parents, when, where, by whom, why
//!
//! Every encoding is canonical: one value, one byte string. A decoder refuses the second spelling.

pub mod codec;
pub mod content;
pub mod id;
pub mod sha256;
pub mod sha256x2;
pub mod snapshot;
pub mod text;
pub mod tree;

pub use content::{ContentRef, Indirect, IndirectBuilder};
pub use id::{HashAlgo, Hasher, IdPrefix, ObjectId};
pub use snapshot::{Root, Snapshot, Totals};
pub use tree::{Entry, Kind, Metadata, Node, ObjectSource, TreeBuilder, TreeNode};

/// What an object is stored as. It says where the bytes lie together, never how an id is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObjectKind {
    /// Bytes of file content.
    Block = 1,
    /// A list of content refs.
    Indirect = 2,
    /// A node of a directory.
    Tree = 3,
    /// A snapshot.
    Snapshot = 4,
}

impl ObjectKind {
    /// From the byte in a frame's table.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Block,
            2 => Self::Indirect,
            3 => Self::Tree,
            4 => Self::Snapshot,
            _ => return None,
        })
    }

    /// The word used in messages and in the output of plumbing.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Indirect => "indirect",
            Self::Tree => "tree",
            Self::Snapshot => "snapshot",
        }
    }
}
