//! What a writer has added and found.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::progress::Progress;

/// What was added and what was there, by count and bytes before compression.
#[derive(Debug, Default)]
pub struct Counters {
    /// Objects that were added.
    pub new_objects: AtomicU64,
    /// Their bytes.
    pub new_bytes: AtomicU64,
    /// Objects that were there already.
    pub existing_objects: AtomicU64,
    /// Their bytes.
    pub existing_bytes: AtomicU64,
    /// Objects that were hashed and left out, where data is not kept; some of them may be there.
    pub described_objects: AtomicU64,
    /// Their bytes.
    pub described_bytes: AtomicU64,
    /// Bytes appended to data files.
    pub stored_bytes: AtomicU64,
    /// Objects that were stored as differences from others.
    pub delta_objects: AtomicU64,
    /// Their bytes.
    pub delta_bytes: AtomicU64,
    /// Bytes of the differences.
    pub delta_stored_bytes: AtomicU64,
}

impl Counters {
    pub(super) fn added(&self, bytes: usize) {
        self.new_objects.fetch_add(1, Ordering::Relaxed);
        self.new_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn settled(&self, objects: usize, bytes: usize, stored: usize) {
        self.delta_objects.fetch_add(objects as u64, Ordering::Relaxed);
        self.delta_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.delta_stored_bytes.fetch_add(stored as u64, Ordering::Relaxed);
    }

    pub(super) fn known(&self, bytes: usize) {
        self.existing_objects.fetch_add(1, Ordering::Relaxed);
        self.existing_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Shows the counts so far as those of a job.
    pub fn tell(&self, progress: &Progress) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        progress.set_new(get(&self.new_objects), get(&self.new_bytes));
        progress.set_known(get(&self.existing_objects), get(&self.existing_bytes));
    }
}
