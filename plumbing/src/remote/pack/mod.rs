//! Packs: objects on their way from one store to another (object-format.md, "Packs").
//!
//! A pack is the bytes of a bundle, header to commit record, written to a stream and read from one. So what
//! `send-pack` writes to a file can be listed, restored and verified like any bundle, and frames travel as they are
//! stored, those of differences to somebody who has what they are made from.
//!
//! - [`plan`]: which frames hold the objects that are wanted, and which of these go as they are; `order`, `leaning` and
//!   `repack` do that
//! - [`mod@write`]: header, frames, commit record to a stream
//! - [`read`]: the same from a stream, every byte checked, every object hashed
//!
//! Invariants: a reader hands on a frame only when its digest and the hash of each of its objects were right; it ends
//! well only at a commit record that closes over all frames; it takes memory for one frame at a time.

pub(super) mod leaning;
mod order;
pub mod plan;
pub mod read;
mod repack;
pub mod write;

pub use plan::Plan;
pub use read::PackReader;
pub use write::PackWriter;

/// What went through a pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackCount {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub raw_bytes: u64,
    /// Frames.
    pub frames: u64,
    /// Bytes of the pack.
    pub bytes: u64,
    /// Frames that were left out, since the other side has them from before.
    pub skipped: u64,
}
