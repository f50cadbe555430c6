//! What a flip comes to that is in the payload of a frame: the objects that a check of the data file finds damaged, and those
//! that do not read.
//!
//! 1. The headers of the data file are walked and all of its frames are read, as [`run_due`] does it with what is due.
//! 2. The objects that may be hurt are read: of a frame that decompresses those that came out with other bytes than before,
//!    and what is made from them. One that came out as it was reads as it did. Of one that does not decompress none reads.
//! 3. What else a check reads - index, refs, trees - does not lie in that payload, or is among these objects. So which paths it
//!    names depends on them alone. Of all flips in a payload that come to the same, one is judged by the whole check.
//!
//! Of the refs a check reads the log and the checkpoints, whole, and which losses were recorded. So a flip in them comes to one of
//! two things: these read, or they do not.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::crash_tests::life::open;
use super::super::*;
use super::sample::{Places, Sample, Stored};
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::store::Frame;

/// What a flip comes to.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    path: PathBuf,
    /// Offset of the frame; of a file of refs, whether they can be listed.
    place: u64,
    bad: Vec<ObjectId>,
    unread: Vec<ObjectId>,
}

/// The outcomes that were judged, with the paths that are hurt.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<Outcome, Places>>);

impl Seen {
    pub fn hurt_by(&self, outcome: &Outcome) -> Option<Places> {
        self.0.lock().get(outcome).cloned()
    }

    pub fn add(&self, outcome: Outcome, hurt: Places) {
        self.0.lock().insert(outcome, hurt);
    }

    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl Sample {
    /// What a flip comes to that is told; none where that takes more than reading the data file or the refs: in headers and
    /// tables, in other files, and where nothing is told.
    pub fn outcome(&self, disk: &MemoryDisk, bit: u64) -> Option<Outcome> {
        let (file, at) = self.place(bit);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        if file.path.parent()?.ends_with("refs") {
            let refs = open(&shared).ok()?.refs;
            let is_told = !refs.verify().ok()?.problems.is_empty();
            return is_told.then(|| Outcome {
                path: file.path.clone(),
                place: u64::from(refs.list(recorded::DAMAGED).is_ok()),
                bad: Vec::new(),
                unread: Vec::new(),
            });
        }
        let frame = file.frames.iter().find(|frame| frame.payload.contains(&(at as u64)))?;
        let store = open(&shared).ok()?.store;
        let mut report = Report::default();
        let walked = data::heads(&store, &|number| number == frame.at.file, &mut report).ok()?;
        let is_as_it_was =
            report.is_clean() && report.unfinished_bytes == 0 && walked.frames.len() == file.frames.len();
        if !is_as_it_was {
            return None;
        }
        let checked = data::check(&store, &walked.frames, 1, &|| false, &Progress::default(), &mut report).ok()?;
        if report.damage.is_empty() {
            return None;
        }
        let mut bad: Vec<ObjectId> = checked.bad.into_keys().collect();
        bad.sort_unstable();
        Some(Outcome {
            path: file.path.clone(),
            place: frame.at.frame,
            bad,
            unread: self.unread(&store, frame),
        })
    }

    /// Objects that do not read, if nothing but the payload of this frame is damaged.
    fn unread(&self, store: &Store, stored: &Stored) -> Vec<ObjectId> {
        let is_plain = stored.objects.iter().all(|(_, bytes)| bytes.is_some());
        let mut frame = Frame::default();
        let decompresses = is_plain && store.read_frame(stored.at, &mut frame).is_ok();
        let is_other = |(slot, (_, bytes)): &(u16, &(ObjectId, Option<Vec<u8>>))| {
            !decompresses || frame.object(*slot).map(|(_, _, bytes)| bytes) != bytes.as_deref()
        };
        let changed: HashSet<ObjectId> = (0..)
            .zip(&stored.objects)
            .filter(is_other)
            .map(|(_, (id, _))| *id)
            .collect();
        let is_made_from_it = |id: &ObjectId| self.made_from.get(id).is_some_and(|bases| !bases.is_disjoint(&changed));
        let reads = |id: &ObjectId| match store.locate(id) {
            Ok(Some(at)) => store.near().read(at, id, &mut Vec::new()).is_ok(),
            _ => false,
        };
        let is_hurt = |id: &&ObjectId| {
            let may_be = changed.contains(*id) || is_made_from_it(id);
            may_be && ((is_plain && !decompresses) || !reads(id))
        };
        stored.readers.iter().filter(is_hurt).copied().collect()
    }
}
