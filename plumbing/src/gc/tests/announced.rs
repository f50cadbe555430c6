//! That there are generations is known before the first data file is condemned, also on a disk that is full.

use std::io::ErrorKind;

use super::places::cover;
use super::*;
use crate::disk::simulated::{Fault, Injection, Op, SimulatedDisk};
use crate::repository::format::GENERATIONS;

/// A data file of which half lives, so that gc packs it anew and condemns it: the first that ever is here.
fn half_dead() -> (MemoryDisk, BTreeMap<ObjectId, Files>) {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut known = BTreeMap::new();
    for (seed, line) in [(1, MAIN), (2, "refs/snapshots/goes")] {
        let files = Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(seed).bytes(900))]);
        let id = take_alone(&open(&disk).unwrap(), line, &files, line, None).unwrap();
        known.insert(id, files);
    }
    delete(&open(&disk).unwrap(), "refs/snapshots/goes");
    cover(&disk);
    (memory, known)
}

/// Collects on a copy of it where one of the operations fails.
fn collect_failing(memory: &MemoryDisk, failing: Option<(usize, ErrorKind)>) -> (SimulatedDisk, Result<Report>) {
    let simulated = SimulatedDisk::on(memory.copy(1 << 40));
    simulated.inject(failing.map(|(from, kind)| Injection {
        from,
        count: 1,
        fault: Fault::Fails(kind),
    }));
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    let report = open(&disk).and_then(|repository| collect(&repository, Allowance::Share(0)));
    simulated.inject(None);
    (simulated, report)
}

fn has_generations(disk: &SimulatedDisk) -> bool {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    open(&disk).unwrap().format.has(GENERATIONS)
}

fn has_reserve(disk: &SimulatedDisk) -> bool {
    disk.open(&ghost_dir().join("reserve"), crate::disk::OpenMode::Read)
        .is_ok()
}

#[test]
fn that_there_are_generations_is_said_before_the_first_file_is_condemned() {
    let (memory, known) = half_dead();
    let before = SimulatedDisk::on(memory.copy(1 << 40));
    assert!(!has_generations(&before) && has_reserve(&before));
    let (simulated, report) = collect_failing(&memory, None);
    assert_eq!(report.unwrap().generation, 1);
    assert!(has_generations(&simulated));
    let journal = simulated.journal();
    let renames = |name: &str| -> Vec<usize> {
        let path = ghost_dir().join(name);
        let ops = journal.ops().iter().enumerate();
        ops.filter(|(_, op)| matches!(op, Op::Rename { to, .. } if *to == path))
            .map(|(at, _)| at)
            .collect()
    };
    let (format, generations) = (renames("format"), renames("generation"));
    // The first of none, one with what is condemned, and one when that has gone.
    assert_eq!((format.len(), generations.len()), (1, 3));
    assert!(generations[0] < format[0] && format[0] < generations[1]);

    // The operations that write the format: whichever of them meets a full disk, the reserve makes room for it.
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    check(&open(&disk).unwrap(), &known, &"afterwards");
    let writes = format[0] - 2..=format[0];
    assert!(matches!(journal.ops()[format[0] - 2], Op::Write { .. }));
    for at in writes {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            let (simulated, report) = collect_failing(&memory, Some((at, kind)));
            let report = report.unwrap_or_else(|error| panic!("operation {at}: {error}"));
            assert_eq!((report.stopped, report.generation), (None, 1), "{report:?}");
            assert!(has_generations(&simulated));
        }
        // What else fails is not helped by room.
        let (simulated, report) = collect_failing(&memory, Some((at, ErrorKind::Other)));
        assert!(matches!(report, Err(Error::Io { .. })), "operation {at}: {report:?}");
        assert!(!has_generations(&simulated) && has_reserve(&simulated));
    }
}
