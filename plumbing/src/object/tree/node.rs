//! Nodes of a directory as bytes.

use bstr::BString;

use super::{Entry, check_name};
use crate::error::Result;
use crate::limits::{NAME_BYTES_MAX, NODE_DEPTH_MAX, TREE_NODE_BYTES_MAX};
use crate::object::ObjectId;
use crate::object::codec::Reader;

/// The version of the encoding.
pub(super) const TREE_VERSION: u8 = 1;
/// The node of a directory with no entries.
pub const EMPTY: [u8; 2] = [TREE_VERSION, 0];

/// One child in an inner node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The first name in the child.
    pub first: BString,
    /// Entries in all leaves below it, at least one.
    pub entries: u64,
    /// The child's node.
    pub id: ObjectId,
}

/// A node of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeNode {
    /// Entries.
    Leaf(Vec<Entry>),
    /// Nodes one level below.
    Inner {
        /// 1 above leaves, and so on.
        level: u8,
        /// The children, in order of their names.
        children: Vec<Child>,
    },
}

impl TreeNode {
    /// Reads the bytes of a node.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("tree node", encoded);
        if encoded.len() > TREE_NODE_BYTES_MAX {
            return Err(reader.malformed(format_args!(
                "{} bytes, the limit is {TREE_NODE_BYTES_MAX}",
                encoded.len()
            )));
        }
        let version = reader.byte()?;
        if version != TREE_VERSION {
            return Err(reader.malformed(format_args!("version {version}, expected {TREE_VERSION}")));
        }
        let level = reader.byte()?;
        let node = match level {
            0 => {
                let mut entries: Vec<Entry> = Vec::new();
                while reader.left() > 0 {
                    let entry = Entry::decode(&mut reader)?;
                    if entries.last().is_some_and(|last| last.name >= entry.name) {
                        return Err(reader.malformed(format_args!("name {:?} repeats or is out of order", entry.name)));
                    }
                    entries.push(entry);
                }
                Self::Leaf(entries)
            }
            1..=NODE_DEPTH_MAX => {
                let mut children: Vec<Child> = Vec::new();
                while reader.left() > 0 {
                    let first = reader.bytes("name", NAME_BYTES_MAX)?;
                    check_name(first, "tree node")?;
                    if children.last().is_some_and(|last| last.first.as_slice() >= first) {
                        return Err(reader.malformed("names of children repeat or are out of order"));
                    }
                    let entries = reader.varint()?;
                    if entries == 0 {
                        return Err(reader.malformed("a child of no entries"));
                    }
                    let id = ObjectId::decode(&mut reader)?;
                    children.push(Child {
                        first: first.into(),
                        entries,
                        id,
                    });
                }
                if children.len() < 2 {
                    return Err(reader.malformed("an inner node of fewer than two children"));
                }
                Self::Inner { level, children }
            }
            _ => return Err(reader.malformed(format_args!("level {level}, the limit is {NODE_DEPTH_MAX}"))),
        };
        reader.end()?;
        Ok(node)
    }
}
