//! A few frames, so that objects that lie together are decompressed once: delta frames as they are stored, others
//! decompressed.

use std::sync::Arc;

use parking_lot::Mutex;

use super::delta::Loaded;

/// Frames kept. Metadata frames have at most 1 MiB, frames of large files 16; delta frames some ten KiB, and a chain of
/// objects leads through several.
const FRAMES: usize = 64;
/// Bytes kept.
const BYTES_MAX: usize = 24 << 20;

type Key = (u32, u64);

/// Least recently used frames go first.
#[derive(Debug, Default)]
pub struct FrameCache {
    /// The most recently used is last.
    frames: Mutex<Vec<(Key, Arc<Loaded>)>>,
}

impl FrameCache {
    /// The frame, if it is at hand.
    pub(super) fn get(&self, key: Key) -> Option<Arc<Loaded>> {
        let mut frames = self.frames.lock();
        let at = frames.iter().rposition(|(k, _)| *k == key)?;
        let hit = frames.remove(at);
        let frame = hit.1.clone();
        frames.push(hit);
        Some(frame)
    }

    /// Keeps a frame.
    pub(super) fn put(&self, key: Key, frame: Arc<Loaded>) {
        let mut frames = self.frames.lock();
        let mut bytes: usize = frames.iter().map(|(_, f)| f.bytes()).sum::<usize>() + frame.bytes();
        while !frames.is_empty() && (frames.len() >= FRAMES || bytes > BYTES_MAX) {
            bytes -= frames.remove(0).1.bytes();
        }
        frames.push((key, frame));
    }
}
