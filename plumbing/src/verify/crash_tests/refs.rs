//! The ref log and its checkpoints.

use std::path::Path;
use std::sync::Arc;

use super::life::LINES;
use super::{Trial, images, kills, power_cuts};
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Journal, SimulatedDisk};
use crate::error::Result;
use crate::object::{HashAlgo, ObjectId};
use crate::refs::{CHECKPOINT_EVERY_RECORDS, Expected, RefChange, RefStore, Who};
use crate::time::Timestamp;

/// A log with checkpoints: each record moves two refs. Mark n is written when record n is acknowledged.
struct Log(Journal);

impl Log {
    fn new(records: u64) -> Self {
        let disk = SimulatedDisk::default();
        for folder in ["/", "/refs"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        disk.sync_dir(Path::new("/")).unwrap();
        let refs = RefStore::create(Arc::new(disk.clone()), Path::new("/refs"), [7; 16]).unwrap();
        disk.mark(0);
        for n in 1..=records {
            move_refs(&refs, n).unwrap();
            disk.mark(n);
        }
        Self(disk.journal())
    }
}

impl Trial for Log {
    fn journal(&self) -> &Journal {
        &self.0
    }

    /// What is before the last checkpoint is like what is behind it: only some of it is tried.
    fn moments(&self) -> Vec<usize> {
        let end = self.0.ops().len();
        let near = end.saturating_sub(120);
        (3..near).step_by(17).chain(near..=end).collect()
    }

    fn check(&self, image: MemoryDisk, mark: Option<u64>, crash: &Crash, goes_on: bool) {
        let Some(mark) = mark else { return };
        let image: Arc<dyn Disk> = Arc::new(image);
        let refs = RefStore::open(image, Path::new("/refs"), [7; 16]);
        let [main, other] = LINES.map(|name| refs.get(name).unwrap_or_else(|error| panic!("{crash:?}: {error}")));
        assert_eq!(main, other, "{crash:?}");
        let value = |n| (n > 0).then(|| ref_value(n));
        assert!(main == value(mark) || main == value(mark + 1), "{crash:?}");
        if !goes_on {
            return;
        }
        move_refs(&refs, 10_000).unwrap_or_else(|error| panic!("{crash:?}: {error}"));
        let report = refs.verify().unwrap();
        assert!(
            report.problems.is_empty() && report.torn_tail.is_none(),
            "{crash:?}: {report:?}"
        );
        assert_eq!(refs.get(LINES[0]).unwrap(), Some(ref_value(10_000)), "{crash:?}");
    }
}

fn move_refs(refs: &RefStore, n: u64) -> Result<()> {
    let change = |name: &str| RefChange {
        name: name.to_owned(),
        expected: Expected::Any,
        new: Some(ref_value(n)),
    };
    let who = Who {
        author: "who".into(),
        host: "host".into(),
        time: Timestamp::new(n as i64, 0),
    };
    refs.transaction(&LINES.map(change), &who, "").map(drop)
}

fn ref_value(n: u64) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, &n.to_le_bytes())
}

#[test]
fn a_kill_leaves_a_log_with_its_checkpoints_whole() {
    kills(&Log::new(CHECKPOINT_EVERY_RECORDS + 20));
}

#[test]
fn a_power_cut_leaves_a_log_with_its_checkpoints_whole() {
    power_cuts("ref log", &Log::new(CHECKPOINT_EVERY_RECORDS + 20), images() / 4);
}
