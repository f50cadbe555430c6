//! Failed syncs, power cuts, real locks.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::disk::real::RealDisk;
use crate::disk::simulated::{Crash, Fate, Fault, Injection, SimulatedDisk, Tail};
use crate::disk::{DiskFile, Mapped};

/// A disk whose syncs fail while told so, and whose reads are counted, and fail so often as told.
#[derive(Clone, Debug, Default)]
pub(super) struct FailingDisk {
    pub(super) disk: MemoryDisk,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    syncs_fail: AtomicBool,
    reads: AtomicUsize,
    opens_to_fail: AtomicUsize,
    reads_to_fail: AtomicUsize,
}

impl FailingDisk {
    /// How often files are read while something is done.
    pub(super) fn reads_of<T>(&self, act: impl FnOnce() -> T) -> (usize, T) {
        let before = self.faults.reads.load(Ordering::Relaxed);
        let result = act();
        (self.faults.reads.load(Ordering::Relaxed) - before, result)
    }

    /// So many of the next files cannot be opened to be read.
    pub(super) fn fail_opens(&self, count: usize) {
        self.faults.opens_to_fail.store(count, Ordering::Relaxed);
    }

    /// So many of the next reads fail.
    pub(super) fn fail_reads(&self, count: usize) {
        self.faults.reads_to_fail.store(count, Ordering::Relaxed);
    }
}

/// Fails where something is still to fail.
fn admit(to_fail: &AtomicUsize) -> io::Result<()> {
    let less = |count: usize| count.checked_sub(1);
    match to_fail.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
        Ok(_) => Err(io::ErrorKind::PermissionDenied.into()),
        Err(_) => Ok(()),
    }
}

#[derive(Debug)]
struct FailingFile(Arc<dyn DiskFile>, Arc<Faults>);

impl DiskFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.reads.fetch_add(1, Ordering::Relaxed);
        admit(&self.1.reads_to_fail)?;
        self.0.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.1.syncs_fail.load(Ordering::Relaxed) {
            return Err(io::Error::other("no"));
        }
        self.0.sync_data()
    }
    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.0.try_lock(kind)
    }
    fn lock(&self, kind: LockKind) -> io::Result<()> {
        self.0.lock(kind)
    }
    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

impl Disk for FailingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode == OpenMode::Read {
            admit(&self.faults.opens_to_fail)?;
        }
        Ok(Arc::new(FailingFile(self.disk.open(path, mode)?, self.faults.clone())))
    }
    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.disk.map(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        self.disk.list(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.disk.folder_owner(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.disk.random(bytes)
    }
}

#[test]
fn a_failed_sync_is_not_acknowledged_nor_tried_again() {
    let disk = FailingDisk::default();
    disk.create_dir(&folder()).unwrap();
    let store = RefStore::create(Arc::new(disk.clone()), &folder(), UUID).unwrap();
    let reader = RefStore::open(Arc::new(disk.clone()), &folder(), UUID);
    store
        .transaction(&[set("main", Expected::Any, Some(id(1)))], &who(1), "")
        .unwrap();
    disk.faults.syncs_fail.store(true, Ordering::Relaxed);
    assert!(
        store
            .transaction(&[set("main", Expected::Any, Some(id(2)))], &who(1), "")
            .is_err()
    );
    disk.faults.syncs_fail.store(false, Ordering::Relaxed);
    let again = store
        .transaction(&[set("main", Expected::Any, Some(id(2)))], &who(1), "")
        .unwrap_err();
    assert!(again.to_string().contains("earlier sync failed"), "{again}");
    assert_eq!(main_of(&reader).unwrap(), Some(id(1)));
    // Another run writes a record of the same length in its place, and those who saw the first see the second.
    reader
        .transaction(&[set("main", Expected::Is(id(1)), Some(id(3)))], &who(1), "")
        .unwrap();
    assert_eq!(main_of(&store).unwrap(), Some(id(3)));
    assert!(reader.verify().unwrap().problems.is_empty());
}

/// The pages of a failed sync count as clean: the next sync makes only durable what is written anew.
#[test]
fn a_record_that_was_not_synced_is_written_again_by_who_goes_on() {
    let disk = SimulatedDisk::default();
    for folder in [Path::new("/"), Path::new("/r"), &folder()] {
        disk.create_dir(folder).unwrap();
        disk.sync_dir(folder.parent().unwrap_or(folder)).unwrap();
    }
    let store = RefStore::create(Arc::new(disk.clone()), &folder(), UUID).unwrap();
    let first = set("main", Expected::Any, Some(id(1)));
    store.transaction(&[first], &who(1), "").unwrap();
    // The record is written; neither the sync nor the cut behind it is done.
    disk.inject(Some(Injection {
        from: disk.asked() + 1,
        count: 2,
        fault: Fault::Fails(io::ErrorKind::Other),
    }));
    let second = set("main", Expected::Any, Some(id(2)));
    store.transaction(&[second], &who(2), "").unwrap_err();
    disk.inject(None);
    let goes_on = RefStore::open(Arc::new(disk.clone()), &folder(), UUID);
    assert_eq!(main_of(&goes_on).unwrap(), Some(id(2)));
    let third = set("other", Expected::Any, Some(id(3)));
    goes_on.transaction(&[third], &who(3), "").unwrap();
    let journal = disk.journal();
    for seed in 0..16 {
        let crash = Crash {
            after: journal.ops().len(),
            fate: Fate::PowerCut,
            sector: 512,
            tail: Tail::Zeros,
            seed,
        };
        let found = reopen(&journal.image(&crash)).list("").unwrap();
        let found: Vec<ObjectId> = found.into_iter().map(|(_, value)| value).collect();
        assert_eq!(found, [id(2), id(3)], "{crash:?}");
    }
}

/// What a disk may hold after a power cut during an append: of each sector of 512 bytes the new content or zeros.
fn after_power_cut(before: &[u8], after: &[u8], sectors_kept: u64, cut_bytes: usize) -> Vec<u8> {
    let mut bytes = before.to_vec();
    bytes.resize(after.len().saturating_sub(cut_bytes).max(before.len()), 0);
    for at in before.len()..bytes.len() {
        let sector = at / 512 - before.len() / 512;
        if sectors_kept >> (sector % 64) & 1 == 1 {
            bytes[at] = after[at];
        }
    }
    bytes
}

proptest! {
    #[test]
    fn a_power_cut_leaves_the_old_state_or_the_new(
        message in "[a-z]{0,4000}",
        sectors_kept: u64,
        cut_bytes in prop_oneof![Just(0usize), 0..3000usize],
    ) {
        let (disk, _) = small_log();
        let before = log_bytes(&disk);
        reopen(&disk).transaction(&[set("main", Expected::Any, Some(id(4)))], &who(4), &message).unwrap();
        put_log(&disk, &after_power_cut(&before, &log_bytes(&disk), sectors_kept, cut_bytes));

        let found = main_of(&reopen(&disk)).unwrap();
        prop_assert!(found == Some(id(3)) || found == Some(id(4)));
        reopen(&disk).transaction(&[set("main", Expected::Any, Some(id(5)))], &who(5), "").unwrap();
        let report = reopen(&disk).verify().unwrap();
        prop_assert!(report.problems.is_empty() && report.torn_tail.is_none());
        prop_assert_eq!(report.records, if found == Some(id(4)) { 5 } else { 4 });
    }
}

#[test]
fn kernel_locks_let_one_racer_win() {
    let folder = tempfile::tempdir().unwrap();
    RefStore::create(Arc::new(RealDisk), folder.path(), UUID).unwrap();
    let wins = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..4u64)
            .map(|racer| {
                // Its own descriptors, as another process has.
                let store = RefStore::open(Arc::new(RealDisk), folder.path(), UUID);
                scope.spawn(move || {
                    let steps = (0..40u64).filter(|step| {
                        let expected = store.get("refs/snapshots/main").unwrap();
                        let change = set(
                            "main",
                            expected.map_or(Expected::Absent, Expected::Is),
                            Some(id(racer * 100 + step)),
                        );
                        match store.transaction(&[change], &who(1), "") {
                            Ok(_) => true,
                            Err(Error::RefMoved { .. }) => false,
                            Err(e) => panic!("{e}"),
                        }
                    });
                    steps.count() as u64
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum::<u64>()
    });
    let store = RefStore::open(Arc::new(RealDisk), folder.path(), UUID);
    let report = store.verify().unwrap();
    assert!(report.problems.is_empty() && wins >= 40);
    assert_eq!(
        (
            report.records,
            store.history("refs/snapshots/main").unwrap().len() as u64
        ),
        (wins, wins)
    );
}
