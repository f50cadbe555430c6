//! Reading the bytes that a content ref names, in order or from any offset.
//!
//! [`Pieces`] flattens a ref into stored blocks, runs and inline bytes, in the order of the file:
//!
//! 1. A stack holds what is still to come, the next part on top, each with the range of it that is wanted.
//! 2. A part that lies in one block, a run or inline bytes is given out.
//! 3. A slice becomes the part it names, with a narrower range.
//! 4. An indirect block is read, and its parts that touch the range are put on the stack.
//!
//! So an offset is reached by reading one path of indirect blocks, and memory is one list a level, whatever the
//! length of the file. Nothing is trusted: an indirect block must have the depth and length that its ref says, a
//! block the length, and the stack has a limit that honest contents stay far below.

use std::io::{self, Write};

use crate::error::{Error, Result};
use crate::limits::{BLOCK_BYTES_MAX, INDIRECT_REFS_MAX, NODE_DEPTH_MAX};
use crate::object::codec::Reader;
use crate::object::{ContentRef, Indirect, ObjectId, ObjectKind, ObjectSource};

/// Most parts on the stack: a full list at every level, with room for slices that begin a new tree.
const STACK_PARTS_MAX: usize = 4 * INDIRECT_REFS_MAX * NODE_DEPTH_MAX as usize;
/// Pieces that are told to the source before the first of them is read, and bytes of them at most.
const AHEAD_PIECES: usize = 1024;
const AHEAD_BYTES: u64 = 16 << 20;
/// Runs are written in units of this many bytes.
const RUN_BYTES: usize = 64 << 10;

/// Where the bytes of a piece are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a block of the store.
    Block {
        /// Its id.
        id: ObjectId,
        /// Length of the whole block in bytes.
        block_bytes: u64,
        /// Where the piece begins in it.
        from: u64,
    },
    /// One value, repeated.
    Run(u8),
    /// Here.
    Inline(Vec<u8>),
}

/// A stretch of a content that has one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset in the content, in bytes.
    pub offset: u64,
    /// Length in bytes, at least one.
    pub bytes: u64,
    /// Where the bytes are.
    pub source: Source,
}

impl Piece {
    /// A ref that names just the piece.
    pub fn content(&self) -> ContentRef {
        match &self.source {
            Source::Run(byte) => ContentRef::Run {
                byte: *byte,
                bytes: self.bytes,
            },
            Source::Inline(bytes) => ContentRef::Inline(bytes.clone()),
            Source::Block { id, block_bytes, from } => {
                let block = ContentRef::Block {
                    id: *id,
                    bytes: *block_bytes,
                };
                if self.bytes == *block_bytes {
                    return block;
                }
                ContentRef::Slice {
                    offset: *from,
                    bytes: self.bytes,
                    of: Box::new(block),
                }
            }
        }
    }
}

/// A part that is still to be given out: `bytes` of `part` from `from`, which stand at `offset` of the content.
#[derive(Debug)]
struct Pending {
    part: ContentRef,
    offset: u64,
    from: u64,
    bytes: u64,
}

/// The pieces of a content, or of a range of it, in order.
pub struct Pieces<'a, S: ObjectSource + ?Sized> {
    source: &'a S,
    stack: Vec<Pending>,
}

impl<'a, S: ObjectSource + ?Sized> Pieces<'a, S> {
    /// All pieces of `content`.
    pub fn new(source: &'a S, content: &ContentRef) -> Self {
        Self::range(source, content, 0, u64::MAX)
    }

    /// The pieces of `bytes` bytes of `content` from `offset`, less where the content ends before.
    pub fn range(source: &'a S, content: &ContentRef, offset: u64, bytes: u64) -> Self {
        let bytes = bytes.min(content.len().saturating_sub(offset));
        let mut stack = Vec::new();
        if bytes > 0 {
            stack.push(Pending {
                part: content.clone(),
                offset,
                from: offset,
                bytes,
            });
        }
        Self { source, stack }
    }

    fn advance(&mut self) -> Result<Option<Piece>> {
        while let Some(top) = self.stack.pop() {
            let Pending {
                part,
                offset,
                from,
                bytes,
            } = top;
            let source = match part {
                ContentRef::Block {
                    id, bytes: block_bytes, ..
                } => Source::Block { id, block_bytes, from },
                ContentRef::Run { byte, .. } => Source::Run(byte),
                ContentRef::Inline(all) => Source::Inline(sub_slice(&all, from, bytes)?.to_vec()),
                ContentRef::Slice { offset: skip, of, .. } => {
                    self.stack.push(Pending {
                        part: *of,
                        offset,
                        from: from.saturating_add(skip),
                        bytes,
                    });
                    continue;
                }
                ContentRef::Indirect { id, depth, bytes: len } => {
                    let list = read_indirect(self.source, &id, depth, len)?;
                    self.push_list(&id, list, offset, from, bytes)?;
                    continue;
                }
            };
            return Ok(Some(Piece { offset, bytes, source }));
        }
        Ok(None)
    }

    /// Puts those parts of a list that touch `from..from + bytes` of it on the stack, the first on top.
    fn push_list(&mut self, id: &ObjectId, list: Indirect, offset: u64, from: u64, bytes: u64) -> Result<()> {
        let below = self.stack.len();
        let end = from.saturating_add(bytes);
        let mut at = 0u64;
        for part in list.refs {
            let (start, stop) = (at, at.saturating_add(part.len()));
            at = stop;
            let (first, last) = (start.max(from), stop.min(end));
            if first < last {
                self.stack.push(Pending {
                    part,
                    offset: offset + (first - from),
                    from: first - start,
                    bytes: last - first,
                });
            }
        }
        self.stack[below..].reverse();
        if self.stack.len() > STACK_PARTS_MAX {
            let source = Reader::new("indirect block", &[]).malformed("nested deeper than the limit");
            return Err(Error::BadObject {
                id: *id,
                source: Box::new(source),
            });
        }
        Ok(())
    }
}

impl<S: ObjectSource + ?Sized> Iterator for Pieces<'_, S> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.stack.clear();
        }
        next.transpose()
    }
}

fn read_indirect<S: ObjectSource + ?Sized>(source: &S, id: &ObjectId, depth: u8, bytes: u64) -> Result<Indirect> {
    let encoded = source.object(ObjectKind::Indirect, id)?;
    Indirect::decode(&encoded, depth, bytes).map_err(|error| Error::BadObject {
        id: *id,
        source: Box::new(error),
    })
}

/// `bytes` bytes of `all` from `from`; an error where a ref claims more than there is.
pub fn sub_slice(all: &[u8], from: u64, bytes: u64) -> Result<&[u8]> {
    let range = usize::try_from(from)
        .ok()
        .zip(usize::try_from(from.saturating_add(bytes)).ok())
        .and_then(|(start, end)| all.get(start..end));
    range.ok_or_else(|| {
        Reader::new("content ref", &[]).malformed(format_args!("bytes {from}+{bytes} of {} in all", all.len()))
    })
}

/// Refuses a block that is not as long as its ref says.
pub fn check_block_bytes(id: &ObjectId, expected: u64, found: usize) -> Result<()> {
    if expected == found as u64 {
        return Ok(());
    }
    let source = Reader::new("block", &[]).malformed(format_args!("named as {expected} bytes long, has {found}"));
    Err(Error::BadObject {
        id: *id,
        source: Box::new(source),
    })
}

/// Streams `content` to `out`. An error of `out` comes back as [`Error::Io`].
pub fn copy_to<S: ObjectSource + ?Sized>(source: &S, content: &ContentRef, out: &mut dyn Write) -> Result<()> {
    copy_range(source, content, 0, u64::MAX, out)
}

/// Streams `bytes` bytes of `content` from `offset` to `out`, less where the content ends before.
pub fn copy_range<S: ObjectSource + ?Sized>(
    source: &S,
    content: &ContentRef,
    offset: u64,
    bytes: u64,
    out: &mut dyn Write,
) -> Result<()> {
    let mut pieces = Pieces::range(source, content, offset, bytes);
    loop {
        let (ahead, failed) = look_ahead(&mut pieces);
        let blocks = ahead.iter().filter_map(|piece| match &piece.source {
            Source::Block { id, .. } => Some(*id),
            _ => None,
        });
        source.will_read(&blocks.collect::<Vec<_>>())?;
        let is_end = ahead.is_empty();
        for piece in ahead {
            write_piece(source, &piece, out)?;
        }
        match failed {
            Some(error) => return Err(error),
            None if is_end => return Ok(()),
            None => {}
        }
    }
}

/// The next pieces, and what ended them early.
fn look_ahead<S: ObjectSource + ?Sized>(pieces: &mut Pieces<'_, S>) -> (Vec<Piece>, Option<Error>) {
    let (mut ahead, mut bytes) = (Vec::new(), 0);
    while ahead.len() < AHEAD_PIECES && bytes < AHEAD_BYTES {
        match pieces.next() {
            Some(Ok(piece)) => {
                bytes += piece.bytes;
                ahead.push(piece);
            }
            Some(Err(error)) => return (ahead, Some(error)),
            None => break,
        }
    }
    (ahead, None)
}

fn write_piece<S: ObjectSource + ?Sized>(source: &S, piece: &Piece, out: &mut dyn Write) -> Result<()> {
    match &piece.source {
        Source::Block { id, block_bytes, from } => {
            let block = source.object(ObjectKind::Block, id)?;
            check_block_bytes(id, *block_bytes, block.len())?;
            out.write_all(sub_slice(&block, *from, piece.bytes)?)
        }
        Source::Run(byte) => write_run(out, *byte, piece.bytes),
        Source::Inline(all) => out.write_all(all),
    }
    .map_err(Error::io("write", "the output"))
}

fn write_run(out: &mut dyn Write, byte: u8, bytes: u64) -> io::Result<()> {
    let unit = [byte; RUN_BYTES];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(RUN_BYTES as u64);
        // At most `RUN_BYTES`.
        out.write_all(&unit[..now as usize])?;
        left -= now;
    }
    Ok(())
}

/// Up to `bytes` bytes of `content` from `offset`, reached by one path of its indirect blocks. For ranges that fit
/// memory: at most [`BLOCK_BYTES_MAX`] at a time.
pub fn read_range<S: ObjectSource + ?Sized>(
    source: &S,
    content: &ContentRef,
    offset: u64,
    bytes: usize,
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    copy_range(source, content, offset, bytes.min(BLOCK_BYTES_MAX) as u64, &mut out)?;
    Ok(out)
}

/// The whole of a content that is at most `max` bytes long.
pub fn read_all<S: ObjectSource + ?Sized>(source: &S, content: &ContentRef, max: usize) -> Result<Vec<u8>> {
    if content.len() > max as u64 {
        let found = format_args!("{} bytes, the limit is {max}", content.len()).to_string();
        return Err(Error::invalid("content", "to be read at once", found));
    }
    let mut out = Vec::new();
    copy_to(source, content, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{HashAlgo, IndirectBuilder};
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[derive(Default)]
    struct Memory {
        objects: HashMap<ObjectId, Vec<u8>>,
        reads: AtomicUsize,
    }

    impl Memory {
        fn put(&mut self, bytes: Vec<u8>) -> ObjectId {
            let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
            self.objects.insert(id, bytes);
            id
        }
        fn block(&mut self, bytes: &[u8]) -> ContentRef {
            ContentRef::Block {
                id: self.put(bytes.to_vec()),
                bytes: bytes.len() as u64,
            }
        }
    }

    impl ObjectSource for Memory {
        fn object(&self, _kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
            self.reads.fetch_add(1, Relaxed);
            self.objects.get(id).cloned().ok_or(Error::Missing {
                id: *id,
                needed_as: "block",
            })
        }
    }

    /// A content of many parts of every kind, and its bytes.
    fn sample(memory: &mut Memory) -> (ContentRef, Vec<u8>) {
        let mut builder = IndirectBuilder::new(HashAlgo::Sha256);
        let mut expected = Vec::new();
        let seed = Cell::new(1u32);
        let random = || {
            seed.set(seed.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
            (seed.get() >> 16) as usize
        };
        for number in 0..5000usize {
            let bytes: Vec<u8> = (0..1 + random() % 50).map(|at| (at * 7 + number) as u8).collect();
            let part = match random() % 5 {
                0 => ContentRef::Run {
                    byte: (number % 3) as u8,
                    bytes: bytes.len() as u64,
                },
                1 => ContentRef::Inline(bytes.clone()),
                2 => {
                    let whole = [b"<<", bytes.as_slice(), b">>"].concat();
                    ContentRef::Slice {
                        offset: 2,
                        bytes: bytes.len() as u64,
                        of: Box::new(memory.block(&whole)),
                    }
                }
                _ => memory.block(&bytes),
            };
            match &part {
                ContentRef::Run { byte, bytes } => expected.extend(vec![*byte; *bytes as usize]),
                _ => expected.extend(bytes),
            }
            builder.push(part, &mut |_, bytes| Ok(memory.put(bytes))).unwrap();
        }
        let content = builder.finish(&mut |_, bytes| Ok(memory.put(bytes))).unwrap();
        (content, expected)
    }

    #[test]
    fn streams_all_and_any_range() {
        let mut memory = Memory::default();
        let (content, expected) = sample(&mut memory);
        assert!(matches!(content, ContentRef::Indirect { depth: 2.., .. }));
        let mut out = Vec::new();
        copy_to(&memory, &content, &mut out).unwrap();
        assert!(out == expected);
        for step in 0..200 {
            let offset = step * 631 % expected.len();
            let bytes = step * step % 3000;
            let end = (offset + bytes).min(expected.len());
            let found = read_range(&memory, &content, offset as u64, bytes).unwrap();
            assert!(found == expected[offset..end], "{offset}+{bytes}");
        }
        assert!(read_range(&memory, &content, u64::MAX, 5).unwrap().is_empty());
    }

    #[test]
    fn one_byte_costs_one_path() {
        let mut memory = Memory::default();
        let (content, expected) = sample(&mut memory);
        let ContentRef::Indirect { depth, .. } = content else {
            panic!("expected an indirect ref");
        };
        let offset = expected.len() / 2;
        memory.reads.store(0, Relaxed);
        assert_eq!(
            read_range(&memory, &content, offset as u64, 1).unwrap(),
            [expected[offset]]
        );
        assert!(memory.reads.load(Relaxed) <= usize::from(depth) + 1);
    }

    #[test]
    fn slices_of_indirect_blocks() {
        let mut memory = Memory::default();
        let (whole, expected) = sample(&mut memory);
        let slice = ContentRef::Slice {
            offset: 1000,
            bytes: 5000,
            of: Box::new(whole),
        };
        assert!(read_all(&memory, &slice, 5000).unwrap() == expected[1000..6000]);
        assert!(read_range(&memory, &slice, 4990, 100).unwrap() == expected[5990..6000]);
        assert!(read_all(&memory, &slice, 4999).is_err());
    }

    #[test]
    fn lying_refs_are_refused() {
        let mut memory = Memory::default();
        let (content, _) = sample(&mut memory);
        let ContentRef::Indirect { id, depth, bytes } = content else {
            panic!("expected an indirect ref");
        };
        for bad in [
            ContentRef::Indirect {
                id,
                depth,
                bytes: bytes + 1,
            },
            ContentRef::Indirect {
                id,
                depth: depth + 1,
                bytes,
            },
        ] {
            let found = copy_to(&memory, &bad, &mut io::sink());
            assert!(matches!(found, Err(Error::BadObject { .. })), "{found:?}");
        }
        let ContentRef::Block { id, bytes } = memory.block(b"hello") else {
            panic!("expected a block");
        };
        let long = ContentRef::Block { id, bytes: bytes + 1 };
        assert!(matches!(read_all(&memory, &long, 100), Err(Error::BadObject { .. })));
        let run = ContentRef::Run {
            byte: 7,
            bytes: 200_000,
        };
        assert!(read_all(&memory, &run, 200_000).unwrap() == vec![7; 200_000]);
    }
}
