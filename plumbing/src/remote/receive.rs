//! Taking a pack in: what becomes of its frames ([`super::intake`] checks them).
//!
//! Each frame is appended as it came. A delta frame stays so if it is what it says here, too
//! ([`Store::bears`](crate::store::Store::bears)), and if the repository knows none of its objects: one of them could be what
//! another is made from. Else its objects are packed anew. What an error leaves behind is the frames in front of the one that
//! failed, all of them, in the order of the stream.

use std::io::Read;
use std::path::Path;

use parking_lot::Mutex;

pub use super::intake::Watch;
use super::intake::{Takes, take_frames};
use super::pack::PackCount;
use super::pack::read::{PackLimits, PackReader, Raw};
use crate::bundle::Root;
use crate::error::Result;
use crate::progress::Progress;
use crate::store::data::format::{Codec, FrameKind};
use crate::store::data::read::Head;
use crate::store::{Frame, Writer};

/// What was received.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// What came in the pack.
    pub count: PackCount,
    /// What the pack says that it holds.
    pub roots: Vec<Root>,
}

/// Reads a pack and appends what it holds; nothing is committed. `takes_deltas` says whether delta frames may come.
pub(super) fn take_in<R: Read>(
    writer: &Writer<'_>,
    takes_deltas: bool,
    (input, name): (R, &Path),
    limits: PackLimits,
    progress: &Progress,
    watch: &mut Watch<'_>,
) -> Result<Received> {
    let mut reader = PackReader::begin(input, name, limits)?.with_deltas(takes_deltas);
    let appends = Appends {
        writer,
        roots: Mutex::default(),
    };
    let takes = (writer.store(), &appends as &dyn Takes);
    take_frames(&mut reader, takes, (name, limits.threads), progress, watch)?;
    let (count, roots) = (reader.count(), appends.roots.into_inner());
    Ok(Received { count, roots })
}

/// Appends frames, and notes what they say that the pack holds.
struct Appends<'a> {
    writer: &'a Writer<'a>,
    roots: Mutex<Vec<Root>>,
}

impl Takes for Appends<'_> {
    fn keep(&self, raw: &Raw, frame: &Frame) -> Result<()> {
        match raw.head.header.kind {
            FrameKind::Roots => {
                let roots = crate::bundle::format::decode(frame.payload())?;
                self.roots.lock().extend(roots);
                return Ok(());
            }
            FrameKind::Descriptors | FrameKind::Commit => return Ok(()),
            FrameKind::Objects => {}
        }
        if self.stays_as_it_is(&raw.head)? && self.writer.append_sealed(&raw.sealed, &raw.head.rows)? {
            return Ok(());
        }
        let mut packer = self.writer.packer();
        for (slot, row) in (0..).zip(&raw.head.rows) {
            packer.put_hashed(row.kind, row.id, frame.verified(slot, &row.id)?)?;
        }
        // What comes next may be made from these.
        packer.flush()
    }
}

impl Appends<'_> {
    fn stays_as_it_is(&self, head: &Head) -> Result<bool> {
        if head.header.codec != Codec::Delta {
            return Ok(true);
        }
        let store = self.writer.store();
        if let Some(main) = store.elsewhere() {
            for row in &head.rows {
                if main.contains(&row.id)? {
                    return Ok(false);
                }
            }
        }
        store.bears(head)
    }
}
