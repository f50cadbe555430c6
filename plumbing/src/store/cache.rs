//! A few decompressed frames, so that objects that lie together are decompressed once.

use std::sync::Arc;

use parking_lot::Mutex;

use super::data::read::Frame;

/// Frames kept. Metadata frames have at most 1 MiB, frames of large files 16.
const FRAMES: usize = 12;
/// Bytes kept, decompressed.
const BYTES_MAX: usize = 24 << 20;

type Key = (u32, u64);

/// Least recently used frames go first.
#[derive(Debug, Default)]
pub struct FrameCache {
    /// The most recently used is last.
    frames: Mutex<Vec<(Key, Arc<Frame>)>>,
}

impl FrameCache {
    /// The frame, if it is at hand.
    pub fn get(&self, key: Key) -> Option<Arc<Frame>> {
        let mut frames = self.frames.lock();
        let at = frames.iter().rposition(|(k, _)| *k == key)?;
        let hit = frames.remove(at);
        let frame = hit.1.clone();
        frames.push(hit);
        Some(frame)
    }

    /// Keeps a frame.
    pub fn put(&self, key: Key, frame: Arc<Frame>) {
        let mut frames = self.frames.lock();
        let mut bytes: usize = frames.iter().map(|(_, f)| f.raw_bytes()).sum::<usize>() + frame.raw_bytes();
        while !frames.is_empty() && (frames.len() >= FRAMES || bytes > BYTES_MAX) {
            bytes -= frames.remove(0).1.raw_bytes();
        }
        frames.push((key, frame));
    }
}
