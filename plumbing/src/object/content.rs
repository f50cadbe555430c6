//! How a file's bytes are named, and indirect blocks (object-format.md, "Content refs" and "Indirect blocks").
//!
//! A content of one block is named by that block. A longer one is a list of refs, kept in indirect blocks that
//! nest. Lists are cut by content, after a ref whose hash has seven zero bits, so an insertion in the middle of a
//! large file rewrites a few short blocks and not the rest of the list.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::Result;
use crate::limits::{BLOCK_BYTES_MAX, CONTENT_BYTES_MAX, INDIRECT_REFS_MAX, INLINE_BYTES_MAX, NODE_DEPTH_MAX};
use crate::object::codec::{Reader, put_bytes, put_varint};
use crate::object::{HashAlgo, ObjectId, ObjectKind};

/// Version of the encoding of indirect blocks.
const INDIRECT_VERSION: u8 = 1;
/// Fewest refs before a cut.
const CUT_REFS_MIN: usize = 16;
/// A cut follows a ref whose hash has these bits clear: one in 128.
const CUT_MASK: u64 = 127;

const TAG_BLOCK: u8 = 1;
const TAG_INDIRECT: u8 = 2;
const TAG_RUN: u8 = 3;
const TAG_INLINE: u8 = 4;
const TAG_SLICE: u8 = 5;

/// Names a run of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContentRef {
    /// One block.
    Block {
        /// Its id.
        id: ObjectId,
        /// Its length in bytes.
        bytes: u64,
    },
    /// The contents listed by an indirect block.
    Indirect {
        /// The id of the indirect block.
        id: ObjectId,
        /// 1 when the list names blocks and runs, else one more than the lists it names.
        depth: u8,
        /// Length of the content in bytes.
        bytes: u64,
    },
    /// One byte value, repeated. Holes are runs of zero.
    Run {
        /// The value.
        byte: u8,
        /// How often, at least once.
        bytes: u64,
    },
    /// The bytes themselves.
    Inline(Vec<u8>),
    /// A part of a block or of the contents of an indirect block.
    Slice {
        /// Offset of the first byte in `of`.
        offset: u64,
        /// Length in bytes, at least one.
        bytes: u64,
        /// A block or an indirect block.
        of: Box<ContentRef>,
    },
}

impl ContentRef {
    /// Length of the content in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Block { bytes, .. }
            | Self::Indirect { bytes, .. }
            | Self::Run { bytes, .. }
            | Self::Slice { bytes, .. } => *bytes,
            Self::Inline(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object that the ref leads to, if it leads to one.
    pub fn object(&self) -> Option<(ObjectKind, ObjectId)> {
        match self {
            Self::Block { id, .. } => Some((ObjectKind::Block, *id)),
            Self::Indirect { id, .. } => Some((ObjectKind::Indirect, *id)),
            Self::Slice { of, .. } => of.object(),
            Self::Run { .. } | Self::Inline(_) => None,
        }
    }

    /// Appends the encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Block { id, bytes } => {
                out.push(TAG_BLOCK);
                id.encode(out);
                put_varint(out, *bytes);
            }
            Self::Indirect { id, depth, bytes } => {
                out.push(TAG_INDIRECT);
                out.push(*depth);
                id.encode(out);
                put_varint(out, *bytes);
            }
            Self::Run { byte, bytes } => {
                out.push(TAG_RUN);
                out.push(*byte);
                put_varint(out, *bytes);
            }
            Self::Inline(bytes) => {
                out.push(TAG_INLINE);
                put_bytes(out, bytes);
            }
            Self::Slice { offset, bytes, of } => {
                out.push(TAG_SLICE);
                put_varint(out, *offset);
                put_varint(out, *bytes);
                of.encode(out);
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.byte()? {
            TAG_SLICE => {
                let offset = reader.varint_max("offset of a slice", CONTENT_BYTES_MAX)?;
                let bytes = reader.varint_max("length of a slice", CONTENT_BYTES_MAX)?;
                let tag = reader.byte()?;
                if !matches!(tag, TAG_BLOCK | TAG_INDIRECT) {
                    return Err(reader.malformed(format_args!("a slice of a ref of type {tag}")));
                }
                let of = Self::decode_tagged(reader, tag)?;
                if bytes == 0 || bytes == of.len() || offset.saturating_add(bytes) > of.len() {
                    return Err(reader.malformed(format_args!(
                        "slice {offset}+{bytes} is not a proper part of {} bytes",
                        of.len()
                    )));
                }
                Ok(Self::Slice {
                    offset,
                    bytes,
                    of: Box::new(of),
                })
            }
            tag => Self::decode_tagged(reader, tag),
        }
    }

    fn decode_tagged(reader: &mut Reader<'_>, tag: u8) -> Result<Self> {
        Ok(match tag {
            TAG_BLOCK => {
                let id = ObjectId::decode(reader)?;
                let bytes = reader.varint_max("length of a block", BLOCK_BYTES_MAX as u64)?;
                Self::Block { id, bytes }
            }
            TAG_INDIRECT => {
                let depth = reader.byte()?;
                if depth == 0 || depth > NODE_DEPTH_MAX {
                    return Err(reader.malformed(format_args!("depth {depth}, expected 1 to {NODE_DEPTH_MAX}")));
                }
                let id = ObjectId::decode(reader)?;
                let bytes = reader.varint_max("length of a content", CONTENT_BYTES_MAX)?;
                Self::Indirect { id, depth, bytes }
            }
            TAG_RUN => {
                let byte = reader.byte()?;
                let bytes = reader.varint_max("length of a run", CONTENT_BYTES_MAX)?;
                if bytes == 0 {
                    return Err(reader.malformed("a run of no bytes"));
                }
                Self::Run { byte, bytes }
            }
            TAG_INLINE => Self::Inline(reader.bytes("inline content", INLINE_BYTES_MAX)?.to_vec()),
            _ => return Err(reader.malformed(format_args!("unknown type of content ref {tag}"))),
        })
    }
}

/// The list in an indirect block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indirect {
    /// 1 when `refs` are blocks, runs, inline bytes or slices; else they are indirect refs of one less.
    pub depth: u8,
    /// The parts, in order.
    pub refs: Vec<ContentRef>,
}

impl Indirect {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.refs.len() * 40);
        out.push(INDIRECT_VERSION);
        out.push(self.depth);
        put_varint(&mut out, self.refs.len() as u64);
        for part in &self.refs {
            part.encode(&mut out);
        }
        out
    }

    /// Reads the bytes of an indirect block that was named as `depth` and `bytes` long.
    pub fn decode(encoded: &[u8], depth: u8, bytes: u64) -> Result<Self> {
        let found = Self::decode_any(encoded)?;
        let reader = Reader::new("indirect block", encoded);
        if found.depth != depth {
            return Err(reader.malformed(format_args!("named with depth {depth}, has {}", found.depth)));
        }
        if found.len() != bytes {
            return Err(reader.malformed(format_args!("named as {bytes} bytes long, lists {}", found.len())));
        }
        Ok(found)
    }

    /// Reads the bytes of an indirect block of which nothing else is known.
    pub fn decode_any(encoded: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("indirect block", encoded);
        let version = reader.byte()?;
        if version != INDIRECT_VERSION {
            return Err(reader.malformed(format_args!("version {version}, expected {INDIRECT_VERSION}")));
        }
        let depth = reader.byte()?;
        if depth == 0 || depth > NODE_DEPTH_MAX {
            return Err(reader.malformed(format_args!("depth {depth}, expected 1 to {NODE_DEPTH_MAX}")));
        }
        let count = reader.length("count of refs", INDIRECT_REFS_MAX)?;
        let mut refs = Vec::with_capacity(count);
        let mut total = 0u64;
        for _ in 0..count {
            let part = ContentRef::decode(&mut reader)?;
            let fits = match &part {
                ContentRef::Indirect { depth: below, .. } => below + 1 == depth,
                _ => depth == 1,
            };
            if !fits {
                return Err(reader.malformed(format_args!("a part that does not belong at depth {depth}")));
            }
            if part.is_empty() {
                return Err(reader.malformed("a part of no bytes"));
            }
            total = total.saturating_add(part.len());
            refs.push(part);
        }
        if total > CONTENT_BYTES_MAX {
            return Err(reader.malformed(format_args!("lists {total} bytes, the limit is {CONTENT_BYTES_MAX}")));
        }
        reader.end()?;
        Ok(Self { depth, refs })
    }

    /// Length of the content in bytes.
    pub fn len(&self) -> u64 {
        self.refs.iter().fold(0, |sum, part| sum.saturating_add(part.len()))
    }

    /// Whether there are no parts.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }
}

/// Stores an object and gives its id.
pub type PutObject<'a> = dyn FnMut(ObjectKind, Vec<u8>) -> Result<ObjectId> + 'a;

/// Makes one ref of a sequence of parts. Memory is one list a level.
#[derive(Debug)]
pub struct IndirectBuilder {
    algo: HashAlgo,
    /// `levels[d]` is the open list of depth `d + 1`.
    levels: Vec<Vec<ContentRef>>,
}

impl IndirectBuilder {
    /// A builder with no parts. An empty content is named by the empty block of `algo`.
    pub fn new(algo: HashAlgo) -> Self {
        Self {
            algo,
            levels: vec![Vec::new()],
        }
    }

    /// Adds a part of at least one byte; neighbouring runs of the same byte become one.
    pub fn push(&mut self, part: ContentRef, put: &mut PutObject<'_>) -> Result<()> {
        if let (
            Some(ContentRef::Run { byte, bytes }),
            ContentRef::Run {
                byte: next,
                bytes: more,
            },
        ) = (self.levels[0].last_mut(), &part)
            && byte == next
        {
            *bytes += more;
            return Ok(());
        }
        self.push_at(0, part, put)
    }

    fn push_at(&mut self, level: usize, part: ContentRef, put: &mut PutObject<'_>) -> Result<()> {
        if level == self.levels.len() {
            self.levels.push(Vec::new());
        }
        // A run may still grow, so a cut is decided when the next part arrives.
        let list = &self.levels[level];
        let full = list
            .last()
            .is_some_and(|last| list.len() >= CUT_REFS_MIN && is_cut(last, level))
            || list.len() >= INDIRECT_REFS_MAX;
        if full {
            self.close(level, put)?;
        }
        self.levels[level].push(part);
        Ok(())
    }

    fn close(&mut self, level: usize, put: &mut PutObject<'_>) -> Result<()> {
        let refs = std::mem::take(&mut self.levels[level]);
        let list = Indirect {
            depth: depth_of(level),
            refs,
        };
        let bytes = list.len();
        let id = put(ObjectKind::Indirect, list.encode())?;
        self.push_at(
            level + 1,
            ContentRef::Indirect {
                id,
                depth: list.depth,
                bytes,
            },
            put,
        )
    }

    /// The ref of everything that was added.
    pub fn finish(mut self, put: &mut PutObject<'_>) -> Result<ContentRef> {
        let mut level = 0;
        loop {
            let top = level + 1 == self.levels.len();
            match self.levels[level].len() {
                0 if top => {
                    let id = put(ObjectKind::Block, Vec::new())?;
                    debug_assert_eq!(id.algo(), self.algo);
                    return Ok(ContentRef::Block { id, bytes: 0 });
                }
                1 if top => return Ok(self.levels[level].remove(0)),
                0 => {}
                _ => self.close(level, put)?,
            }
            level += 1;
        }
    }
}

fn depth_of(level: usize) -> u8 {
    u8::try_from(level + 1).unwrap_or(NODE_DEPTH_MAX)
}

fn is_cut(part: &ContentRef, level: usize) -> bool {
    let mut encoded = Vec::with_capacity(48);
    part.encode(&mut encoded);
    xxh3_64_with_seed(&encoded, level as u64) & CUT_MASK == 0
}
