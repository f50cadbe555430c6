//! A disk whose operations fail, and one that lies.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use super::life::{LINES, Life, Source, check_whole, disk, go_on, make, open, parents, take};
use super::{images, is_time_left};
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Fate, Fault, Injection, Op, SimulatedDisk, Tail};
use crate::error::Result;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::verify::{Depth, Request, Target, run};

/// A disk with a repository of one snapshot, and the source ready for the next.
fn with_one(source: &Source) -> (SimulatedDisk, Arc<dyn Disk>, ObjectId) {
    let disk = disk();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    make(&shared).unwrap();
    source.set(1);
    let first = take(&shared, source, 1).unwrap();
    source.set(2);
    (disk, shared, first)
}

/// Every operation of a snapshot fails, once, or from there on until the process ends.
#[test]
fn a_failing_disk_never_earns_a_false_done_and_the_next_run_completes() {
    let source = Source::new();
    let full = [
        Fault::Fails(ErrorKind::StorageFull),
        Fault::Half(ErrorKind::StorageFull),
    ];
    let broken = [Fault::Fails(ErrorKind::Other), Fault::Half(ErrorKind::Other)];
    let interrupted = [Fault::Fails(ErrorKind::Interrupted)];
    let faults = full.into_iter().chain(broken).chain(interrupted);
    for (fault, count) in faults.flat_map(|fault| [(fault, 1), (fault, usize::MAX)]) {
        for from in 0.. {
            let (disk, shared, first) = with_one(&source);
            let injection = Injection {
                from: disk.asked() + from,
                count,
                fault,
            };
            disk.inject(Some(injection));
            let result = take(&shared, &source, 2);
            let reached = disk.asked() > injection.from;
            disk.inject(None);
            let what = (injection, result.as_ref().map_err(ToString::to_string));
            let repository = open(&shared).unwrap_or_else(|error| panic!("{what:?}: {error}"));
            let main = repository.refs.get(LINES[0]).unwrap();
            match &result {
                Ok(second) => assert_eq!(main, Some(*second), "{what:?}"),
                // What was not acknowledged may be there all the same, but nothing else. That it is whole is checked below.
                Err(_) => assert!(main == Some(first) || parents(&repository, main) == [first], "{what:?}"),
            }
            let there: Vec<ObjectId> = [Some(first), main].into_iter().flatten().collect();
            check_whole(&repository, &there, &what);
            drop(repository);
            go_on(&shared, &source, &what);
            if !reached {
                assert!(result.is_ok(), "{what:?}: nothing failed");
                break;
            }
        }
    }
}

/// What there is after a second snapshot of which `count` operations failed, from the one of number `from` on: the disk, and
/// what was said. None where none of them was a sync of a file. Also tells whether the operation was reached.
#[expect(clippy::type_complexity, reason = "one caller takes it apart")]
fn fail(
    source: &Source,
    from: usize,
    count: usize,
) -> (bool, Option<(SimulatedDisk, Arc<dyn Disk>, Result<ObjectId>)>) {
    let (disk, shared, _) = with_one(source);
    let fault = Fault::Fails(ErrorKind::Other);
    let from = disk.asked() + from;
    disk.inject(Some(Injection { from, count, fault }));
    let result = take(&shared, source, 2);
    let reached = disk.asked() > from;
    disk.inject(None);
    let is_failed = |op: &Op| matches!(op, Op::SyncFailed { .. });
    let has_failed = disk.journal().ops().iter().any(is_failed);
    (reached, has_failed.then_some((disk, shared, result)))
}

/// Linux takes pages for clean after a failed sync: whoever syncs next is told that all is well. So what a run that failed
/// has left must be written again before a later one leans on it.
#[test]
fn what_a_failed_sync_left_is_not_leant_on() {
    let source = Source::new();
    let mut syncs: Vec<usize> = Vec::new();
    // One failure at each operation shows which of them are syncs. With more than one, cleaning up fails, too.
    for from in 0.. {
        let (reached, failed) = fail(&source, from, 1);
        if !reached {
            break;
        }
        syncs.extend(failed.is_some().then_some(from));
    }
    assert!(syncs.len() >= 3, "{syncs:?}");
    for (count, from) in [1, 2, usize::MAX]
        .into_iter()
        .flat_map(|count| syncs.iter().map(move |from| (count, *from)))
    {
        let (disk, shared, result) = fail(&source, from, count).1.unwrap();
        let id = take(&shared, &source, 3).unwrap_or_else(|error| panic!("{count} from {from}: {error}"));
        let journal = disk.journal();
        let after = journal.ops().len();
        for seed in 0..6 {
            let crash = Crash {
                after,
                fate: Fate::PowerCut,
                sector: 512,
                tail: Tail::Zeros,
                seed,
            };
            let what = (count, from, result.as_ref().map_err(ToString::to_string), crash);
            let image: Arc<dyn Disk> = Arc::new(journal.image(&crash));
            let repository = open(&image).unwrap_or_else(|error| panic!("{what:?}: {error}"));
            assert_eq!(repository.refs.get(LINES[0]).unwrap(), Some(id), "{what:?}");
            check_whole(&repository, &[id], &what);
        }
    }
}

/// A disk that says that it synced and did not may lose what was acknowledged. What is lost is told: never is a repository
/// called whole of which an object does not read.
#[test]
fn what_a_lying_disk_lost_is_told() {
    let life = Life::new(4);
    let ops = life.journal.ops();
    let is_sync = |op: &Op| matches!(op, Op::SyncData { .. } | Op::SyncDir(_));
    let mut syncs: Vec<usize> = (0..ops.len()).filter(|&at| is_sync(&ops[at])).collect();
    syncs.retain(|&at| life.journal.last_mark(at).is_some());
    let (mut clean, mut told) = (0, 0);
    let begun = Instant::now();
    for seed in (0..images() / 8).take_while(|_| is_time_left(begun)) {
        let from = syncs[seed as usize % syncs.len()];
        let journal = life.journal.lying(from);
        let crash = Crash {
            after: from + seed as usize * 7 % (journal.ops().len() + 1 - from),
            fate: Fate::PowerCut,
            sector: if seed % 2 == 0 { 512 } else { 4096 },
            tail: if seed % 4 < 2 { Tail::Zeros } else { Tail::Garbage },
            seed,
        };
        match looks_whole(journal.image(&crash), &life, &crash) {
            true => clean += 1,
            false => told += 1,
        }
    }
    println!(
        "figure: {} power cuts of a disk that lies: {clean} lost nothing, {told} are told",
        clean + told
    );
    assert!(clean > 10 && told > 10, "{clean} clean, {told} told");
}

/// Whether nothing is wrong with what a crash left; then every object of what is there reads.
fn looks_whole(image: MemoryDisk, life: &Life, crash: &Crash) -> bool {
    let disk: Arc<dyn Disk> = Arc::new(image);
    let Ok(repository) = open(&disk) else { return false };
    let Ok(main) = repository.refs.get(LINES[0]) else {
        return false;
    };
    let at = life.values.iter().position(|value| *value == main);
    let at = at.unwrap_or_else(|| panic!("{crash:?}: {main:?} was never there"));
    let there = life.values[..=at].iter().flatten();
    let request = Request {
        targets: there.map(|id| Target::snapshot(id.to_string(), *id)).collect(),
        everything: true,
        depth: Depth::Data,
        threads: 1,
    };
    let (store, refs) = (&repository.store, &repository.refs);
    match run(store, Some(refs), &request, &Progress::default()) {
        Ok(report) if report.is_clean() => {}
        Ok(_) => return false,
        Err(error) => {
            assert!(error.is_damage(), "{crash:?}: {error}");
            return false;
        }
    }
    for id in life.objects_of(at) {
        assert!(
            store.get(&id).is_ok_and(|found| found.is_some()),
            "{crash:?}: {id} does not read"
        );
    }
    true
}
