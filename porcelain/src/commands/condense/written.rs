//! What `ghost condense` writes, and how much it was.

use std::sync::atomic::Ordering::Relaxed;

use ghost_plumbing::Result;
use ghost_plumbing::object::{ObjectId, ObjectKind, Snapshot};
use ghost_plumbing::store::{Counters, Store};

/// What was written.
#[derive(Default)]
pub struct Written {
    /// Objects that were not there.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
    /// Files of which some bytes are nowhere.
    pub missing_files: u64,
}

impl Written {
    /// Adds what a job counted.
    pub fn add(&mut self, counters: &Counters) {
        self.objects += counters.new_objects.load(Relaxed);
        self.bytes += counters.new_bytes.load(Relaxed);
        self.stored_bytes += counters.stored_bytes.load(Relaxed);
    }
}

/// Stores a snapshot and makes it durable.
pub fn put(store: &Store, snapshot: &Snapshot) -> Result<ObjectId> {
    let writer = store.writer()?;
    let mut packer = writer.packer();
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode())?;
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    Ok(id)
}
