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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Disk;
    use crate::disk::memory::MemoryDisk;
    use crate::object::{HashAlgo, ObjectKind};
    use crate::store::{Options, Store};

    /// Reads a frame of so many bytes, again and again.
    fn frames(bytes: usize) -> impl Fn() -> Frame {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("/f")).unwrap();
        let store = Store::spool(Arc::new(disk), Path::new("/f/b"), HashAlgo::Blake3, Options::default()).unwrap();
        let writer = store.writer().unwrap();
        let mut packer = writer.packer();
        let (id, _) = packer.put(ObjectKind::Block, &vec![7; bytes]).unwrap();
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
        drop(writer);
        let at = store.locate(&id).unwrap().unwrap();
        move || {
            let mut frame = Frame::default();
            store.read_frame(at, &mut frame).unwrap();
            assert!(frame.memory_bytes() >= bytes && frame.memory_bytes() < 2 * bytes);
            frame
        }
    }

    fn kept(cache: &FrameCache, keys: u64) -> Vec<u64> {
        let frames = cache.frames.lock();
        (0..keys)
            .filter(|n| frames.iter().any(|(key, _)| *key == (0, *n)))
            .collect()
    }

    #[test]
    fn the_frames_that_were_used_last_are_kept_and_not_too_many() {
        let (cache, frame) = (FrameCache::default(), frames(1200));
        let put = |n| cache.put((0, n), Arc::new(Loaded::Whole(frame())));
        (0..256).for_each(put);
        assert_eq!(kept(&cache, 300), (0..256).collect::<Vec<_>>());
        assert!(cache.get((0, 0)).is_some() && cache.get((0, 256)).is_none());
        (256..258).for_each(put);
        assert_eq!(kept(&cache, 300), [&[0][..], &(3..258).collect::<Vec<_>>()].concat());
        // The same one again takes no more room than it had.
        put(257);
        assert_eq!(cache.frames.lock().len(), 256);
    }

    #[test]
    fn frames_go_where_another_does_not_fit_and_one_that_goes_is_used_again() {
        const BYTES: usize = 3 << 20;
        let (cache, frame) = (FrameCache::default(), frames(BYTES));
        let put = |n| cache.put((0, n), Arc::new(Loaded::Whole(frame())));
        (0..7).for_each(put);
        assert!(cache.make_room(100).is_none());
        assert_eq!(kept(&cache, 9), [0, 1, 2, 3, 4, 5, 6]);
        let left = 7 * frame().memory_bytes();
        assert!(cache.make_room(BYTES_MAX - left).is_none());
        assert_eq!(kept(&cache, 9).len(), 7, "it just fits");
        put(7);
        assert_eq!(kept(&cache, 9), [1, 2, 3, 4, 5, 6, 7]);
        put(8);
        assert_eq!(
            kept(&cache, 9),
            [2, 3, 4, 5, 6, 7, 8],
            "24 MiB and some bytes would be too much"
        );
        let spare = cache.make_room(BYTES).unwrap();
        assert!(spare.memory_bytes() >= BYTES);
        assert_eq!(kept(&cache, 9), [3, 4, 5, 6, 7, 8]);
        // Somebody reads it, it is too short, it is much too long: then it is only let go.
        let read = cache.get((0, 8));
        cache.frames.lock().rotate_right(1);
        assert!(cache.make_room(2 * BYTES).is_none());
        assert_eq!((kept(&cache, 9), read.is_some()), (vec![3, 4, 5, 6, 7], true));
        assert!(cache.make_room(4 * BYTES).is_none());
        assert_eq!(kept(&cache, 9), [5, 6, 7]);
        // For what never fits all go.
        assert!(cache.make_room(BYTES_MAX + 1).is_none() && kept(&cache, 9).is_empty());
    }
}
