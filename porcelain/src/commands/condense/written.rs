//! What `ghost condense` writes, and how much it was.

use std::ffi::OsStr;
use std::sync::atomic::Ordering::Relaxed;

use ghost_plumbing::Result;
use ghost_plumbing::object::{ObjectId, ObjectKind, Snapshot};
use ghost_plumbing::refs::line_ref;
use ghost_plumbing::store::{Counters, Store};

use crate::error::{Failure, Outcome};
use crate::ui::show;

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

/// The line that is the output. A revision is none: `@` would be a line of its own that nobody could name.
pub fn line_of(output: &OsStr) -> Outcome<String> {
    let shown = show::bytes(output.as_encoded_bytes());
    let hint = "name a line, such as main; snap:FILE or gfs:FILE";
    if shown.starts_with('@') {
        return Err(Failure::usage(
            format!("{shown} is a revision, not the name of a line"),
            hint,
        ));
    }
    match output.to_str() {
        Some(name) => Ok(line_ref(name)?),
        None => Err(Failure::usage(
            format!("the name of the line {shown} is not UTF-8"),
            hint,
        )),
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
