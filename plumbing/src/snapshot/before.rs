//! What a file held before: what its new contents are compressed against.
//!
//! A content that is one block replaces that block. Of longer ones, a new chunk replaces what stood where it stands:
//!
//! 1. A chunk beside it that is not new says how far things have moved, if the old content has it near where it would be.
//! 2. Where there is none the last such distance holds. Where there never was one, as in a dump in which every chunk has
//!    changed, the place is taken as it is, and also in proportion to the lengths of both contents.
//! 3. The old blocks that lie there are named, those that only touch it left out.
//!
//! Nothing is read but lists of blocks. A wrong guess costs room, never data.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::content::{Pieces, Source};
use crate::error::Result;
use crate::object::tree::Entries;
use crate::object::{ContentRef, Node, ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::store::Store;

/// How far from where it is expected an unchanged chunk is looked for, in bytes.
const SEARCH_BYTES: u64 = 4 << 20;
/// No old block is named that overlaps with less than one in so many bytes of a new chunk.
const OVERLAP: u64 = 8;
/// Most blocks that are named for one place.
const BLOCKS_MAX: usize = 3;
/// Nothing is known of how far things have moved.
const UNKNOWN: i64 = i64::MIN;

/// What was at a root in the snapshot that the new one follows: the tree of a directory that it was of alone, else what had
/// this name in its tree. Where that does not read there is nothing.
pub fn in_parent(store: &Store, parents: &[ObjectId], name: &[u8], is_directory: bool) -> Option<Node> {
    let parent = store.object(ObjectKind::Snapshot, parents.first()?).ok()?;
    let parent = Snapshot::decode(&parent).ok()?;
    if is_directory && matches!(&parent.roots[..], [root] if root.meta.is_some()) {
        return Some(Node::Directory { tree: parent.tree });
    }
    let entries = Entries::new(store, parent.tree).map_while(Result::ok);
    let found = entries.take_while(|entry| entry.name.as_slice() <= name).last();
    found
        .filter(|entry| entry.name.as_slice() == name)
        .map(|entry| entry.node)
}

/// The tree that a directory had, if it was one.
pub fn tree_of(before: Option<&Node>) -> Option<ObjectId> {
    match before {
        Some(Node::Directory { tree }) => Some(*tree),
        _ => None,
    }
}

/// The content that a file had, if it was one.
pub fn content_of(before: Option<Box<Node>>) -> Option<ContentRef> {
    match before.map(|before| *before) {
        Some(Node::File { content, .. }) => Some(content),
        _ => None,
    }
}

/// What a file held before.
#[derive(Debug)]
pub struct Before {
    content: ContentRef,
    /// Length of the new content, if it is known.
    bytes: Option<u64>,
    /// What is to be added to an offset to get that of before.
    shift: AtomicI64,
}

/// A chunk of the new content.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Offset in the file.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Its block.
    pub id: ObjectId,
    /// Whether it has to be stored.
    pub is_new: bool,
}

impl Before {
    /// The file held `content`, and now has so many bytes, if that is known.
    pub fn new(content: ContentRef, bytes: Option<u64>) -> Self {
        let shift = AtomicI64::new(UNKNOWN);
        Self { content, bytes, shift }
    }

    /// The blocks that each of these chunks replaces, which follow each other in the file; none for those that are there.
    pub fn bases(&self, store: &Store, spans: &[Span]) -> Vec<Vec<ObjectId>> {
        let mut out = vec![Vec::new(); spans.len()];
        if let ContentRef::Block { id, .. } = self.content {
            let new = spans.iter().zip(&mut out).filter(|(span, _)| span.is_new);
            new.for_each(|(_, bases)| bases.push(id));
            return out;
        }
        let mut from = 0;
        for run in spans.chunk_by(|a, b| a.is_new == b.is_new) {
            let to = from + run.len();
            if run.first().is_some_and(|span| span.is_new) {
                let anchor = from.checked_sub(1).and_then(|at| self.shift_of(store, &spans[at]));
                let anchor = anchor.or_else(|| self.shift_of(store, spans.get(to)?));
                if let Some(shift) = anchor {
                    self.shift.store(shift, Ordering::Relaxed);
                }
                for (span, bases) in run.iter().zip(&mut out[from..to]) {
                    // What cannot be read is nothing to compare with.
                    let _ = self.replaced(store, span, bases);
                }
            }
            from = to;
        }
        out
    }

    /// How far an unchanged chunk has moved.
    fn shift_of(&self, store: &Store, span: &Span) -> Option<i64> {
        let near = self.moved(span.offset);
        let start = near.saturating_sub(SEARCH_BYTES);
        for piece in Pieces::range(store, &self.content, start, near - start + SEARCH_BYTES + span.bytes) {
            let piece = piece.ok()?;
            if matches!(piece.source, Source::Block { id, from: 0, .. } if id == span.id) {
                return Some(piece.offset as i64 - span.offset as i64);
            }
        }
        None
    }

    /// Where what is at `offset` was, by the last distance that is known.
    fn moved(&self, offset: u64) -> u64 {
        match self.shift.load(Ordering::Relaxed) {
            UNKNOWN => offset,
            shift => offset.saturating_add_signed(shift),
        }
    }

    /// Names the blocks that a chunk replaces.
    fn replaced(&self, store: &Store, span: &Span, out: &mut Vec<ObjectId>) -> Result<()> {
        let at = self.moved(span.offset);
        self.overlapping(store, at, span.bytes, out)?;
        if let (UNKNOWN, Some(bytes)) = (self.shift.load(Ordering::Relaxed), self.bytes) {
            let before = u128::from(self.content.len());
            let scaled = u128::from(span.offset) * before / u128::from(bytes.max(1));
            let scaled = u64::try_from(scaled).unwrap_or(u64::MAX);
            if scaled.abs_diff(at) > span.bytes / OVERLAP {
                self.overlapping(store, scaled, span.bytes, out)?;
            }
        }
        Ok(())
    }

    fn overlapping(&self, store: &Store, at: u64, bytes: u64, out: &mut Vec<ObjectId>) -> Result<()> {
        let mut named = 0;
        for piece in Pieces::range(store, &self.content, at, bytes) {
            let piece = piece?;
            if let Source::Block { id, .. } = piece.source
                && piece.bytes >= bytes / OVERLAP
                && !out.contains(&id)
                && named < BLOCKS_MAX
            {
                out.push(id);
                named += 1;
            }
        }
        Ok(())
    }
}
