//! Making the nodes of a directory from its entries in order.

use bstr::BString;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::node::TREE_VERSION;
use super::{EMPTY, Entry, check_name};
use crate::error::{Error, Result};
use crate::limits::NAME_BYTES_MAX;
use crate::object::codec::{Reader, put_bytes, put_varint};
use crate::object::content::PutObject;
use crate::object::{ObjectId, ObjectKind};

/// A node shorter than this is not cut.
pub const LEAF_BYTES_MIN: usize = 4096;
/// A node is cut at the first entry that brings it to this length.
pub const LEAF_BYTES_CUT: usize = 65_536;
/// A cut follows a name whose hash has these bits clear: one in 64.
const CUT_MASK: u64 = 63;

/// An open node while a directory is built.
#[derive(Debug, Default)]
struct OpenNode {
    encoded: Vec<u8>,
    first: BString,
    last: BString,
    entries: u64,
    children: usize,
}

/// Makes the nodes of a directory from its entries in order. Memory is one node a level.
#[derive(Debug)]
pub struct TreeBuilder {
    levels: Vec<OpenNode>,
}

impl Default for TreeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeBuilder {
    /// A directory with no entries yet.
    pub fn new() -> Self {
        Self {
            levels: vec![OpenNode::default()],
        }
    }

    /// Adds the next entry; its name must be greater than the one before.
    pub fn push(&mut self, entry: &Entry, put: &mut PutObject<'_>) -> Result<()> {
        check_name(&entry.name, "directory")?;
        self.open(0, &entry.name, put)?;
        let node = &mut self.levels[0];
        entry.encode(&mut node.encoded);
        node.entries += 1;
        Ok(())
    }

    /// Makes the node at `level` ready for something that begins with `name`.
    fn open(&mut self, level: usize, name: &BString, put: &mut PutObject<'_>) -> Result<()> {
        if level == self.levels.len() {
            self.levels.push(OpenNode::default());
        }
        let node = &self.levels[level];
        if node.children > 0 {
            if node.last >= *name {
                return Err(Error::UnsafeName {
                    name: name.clone(),
                    what: "directory",
                    problem: "it repeats or is out of order",
                });
            }
            // An inner node has at least two children, so that levels shrink.
            let may_cut = node.encoded.len() >= LEAF_BYTES_MIN && (level == 0 || node.children >= 2);
            let cut = xxh3_64_with_seed(&node.last, level as u64) & CUT_MASK == 0;
            if may_cut && (cut || node.encoded.len() >= LEAF_BYTES_CUT) {
                self.close(level, put)?;
            }
        }
        let node = &mut self.levels[level];
        if node.children == 0 {
            node.encoded
                .extend_from_slice(&[TREE_VERSION, u8::try_from(level).unwrap_or(u8::MAX)]);
            node.first.clone_from(name);
        }
        node.children += 1;
        node.last.clone_from(name);
        Ok(())
    }

    fn close(&mut self, level: usize, put: &mut PutObject<'_>) -> Result<()> {
        let node = std::mem::take(&mut self.levels[level]);
        // A last child that stands alone is handed up as it is, without a node of one child around it.
        let (id, entries) = if level > 0 && node.children == 1 {
            let mut reader = Reader::new("tree node", &node.encoded[2..]);
            reader.bytes("name", NAME_BYTES_MAX)?;
            reader.varint()?;
            (ObjectId::decode(&mut reader)?, node.entries)
        } else {
            (put(ObjectKind::Tree, node.encoded)?, node.entries)
        };
        self.open(level + 1, &node.first, put)?;
        let above = &mut self.levels[level + 1];
        put_bytes(&mut above.encoded, &node.first);
        put_varint(&mut above.encoded, entries);
        id.encode(&mut above.encoded);
        above.entries += entries;
        Ok(())
    }

    /// The id of the directory.
    pub fn finish(mut self, put: &mut PutObject<'_>) -> Result<ObjectId> {
        if self.levels[0].children == 0 {
            return put(ObjectKind::Tree, EMPTY.to_vec());
        }
        let mut level = 0;
        while level + 1 < self.levels.len() {
            if self.levels[level].children > 0 {
                self.close(level, put)?;
            }
            level += 1;
        }
        let top = &mut self.levels[level];
        if level > 0 && top.children == 1 {
            let mut reader = Reader::new("tree node", &top.encoded[2..]);
            reader.bytes("name", NAME_BYTES_MAX)?;
            reader.varint()?;
            return ObjectId::decode(&mut reader);
        }
        let encoded = std::mem::take(&mut top.encoded);
        put(ObjectKind::Tree, encoded)
    }
}
