//! A few frames, so that objects that lie together are decompressed once: delta frames as they are stored, others
//! decompressed.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Frame;
use super::delta::Loaded;

/// Frames kept. Metadata frames have at most 1 MiB, frames of large files 16; delta frames some ten KiB, and the chains of
/// the objects in one lead through many.
const FRAMES: usize = 256;
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

    /// Lets frames go until one of so many bytes fits. Gives one of them, if nobody else reads it and its buffer is neither
    /// too short nor much too long.
    pub(super) fn make_room(&self, bytes: usize) -> Option<Frame> {
        let mut frames = self.frames.lock();
        let mut spare = None;
        for gone in drop_for(&mut frames, bytes) {
            if let Some(Loaded::Whole(frame)) = Arc::into_inner(gone)
                && (bytes..=2 * bytes).contains(&frame.memory_bytes())
            {
                spare = Some(frame);
            }
        }
        spare
    }

    /// Keeps nothing.
    #[cfg(test)]
    pub(super) fn drop_all(&self) {
        self.frames.lock().clear();
    }

    /// Keeps a frame.
    pub(super) fn put(&self, key: Key, frame: Arc<Loaded>) {
        let mut frames = self.frames.lock();
        // Two threads may have read it at once.
        frames.retain(|(known, _)| *known != key);
        drop(drop_for(&mut frames, frame.bytes()));
        frames.push((key, frame));
    }
}

/// Takes those out that were not used for longest until there is room for another of so many bytes.
fn drop_for(frames: &mut Vec<(Key, Arc<Loaded>)>, bytes: usize) -> Vec<Arc<Loaded>> {
    let mut left: usize = frames.iter().map(|(_, frame)| frame.bytes()).sum();
    let mut count = 0;
    while count < frames.len() && (frames.len() - count >= FRAMES || left + bytes > BYTES_MAX) {
        left -= frames[count].1.bytes();
        count += 1;
    }
    frames.drain(..count).map(|(_, frame)| frame).collect()
}
