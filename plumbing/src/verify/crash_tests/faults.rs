//! A disk whose operations fail, and one that lies.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use super::life::{LINES, Life, Source, check_whole, disk, go_on, make, open, parents, take};
use super::{images, is_time_left};
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Fate, Fault, Injection, Journal, Op, SimulatedDisk, Tail};
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind};
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
        let what = (count, from, result.as_ref().map_err(ToString::to_string));
        check_after_power_cut(&disk, id, 6, &what);
    }
}

/// Who goes on where another was stopped leans on names that are not durable yet, and on bytes that are not, either.
#[test]
fn what_a_killed_process_left_is_durable_when_the_next_one_is_done() {
    let source = Source::new();
    for stage in [Stage::Init, Stage::First, Stage::Second] {
        for from in 0.. {
            let Some((disk, shared)) = stop(&source, stage, from) else {
                assert!(from > 3, "{stage:?}");
                break;
            };
            if stage == Stage::Init && open(&shared).is_err() {
                make(&shared).unwrap_or_else(|error| panic!("init anew, stopped at {from}: {error}"));
            }
            if stage == Stage::Init && from % 2 == 0 {
                check_put_is_durable(&disk, &shared, &from);
                continue;
            }
            source.set(3);
            let id = take(&shared, &source, 3).unwrap_or_else(|error| panic!("{stage:?}, {from}: {error}"));
            check_after_power_cut(&disk, id, 4, &(stage, from));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Init,
    First,
    Second,
}

/// A disk on which nothing was done any more from the `from`th operation of this stage on; none where it has fewer.
fn stop(source: &Source, stage: Stage, from: usize) -> Option<(SimulatedDisk, Arc<dyn Disk>)> {
    let (disk, shared) = match stage {
        Stage::Second => {
            let (disk, shared, _) = with_one(source);
            (disk, shared)
        }
        Stage::Init | Stage::First => {
            let disk = disk();
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            if stage == Stage::First {
                make(&shared).unwrap();
                source.set(1);
            }
            (disk, shared)
        }
    };
    let injection = Injection {
        from: disk.asked() + from,
        count: usize::MAX,
        fault: Fault::Fails(ErrorKind::Other),
    };
    disk.inject(Some(injection));
    let _ = match stage {
        Stage::Init => make(&shared),
        Stage::First | Stage::Second => take(&shared, source, 2).map(drop),
    };
    let reached = disk.asked() > injection.from;
    disk.inject(None);
    reached.then_some((disk, shared))
}

/// Whether an object that is put is there whatever a power cut loses then, without any ref.
fn check_put_is_durable(disk: &SimulatedDisk, shared: &Arc<dyn Disk>, what: &dyn std::fmt::Debug) {
    let repository = open(shared).unwrap();
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    let (id, _) = packer.put(ObjectKind::Block, b"put").unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    let journal = disk.journal();
    for seed in 0..8 {
        let crash = power_cut(&journal, seed);
        let image: Arc<dyn Disk> = Arc::new(journal.image(&crash));
        let repository = open(&image).unwrap_or_else(|error| panic!("{what:?}, {crash:?}: {error}"));
        assert_eq!(
            repository.refs.list("").map_err(|error| error.to_string()),
            Ok(Vec::new()),
            "{what:?}, {crash:?}"
        );
        assert_eq!(
            repository.store.get(&id).unwrap().as_deref(),
            Some(&b"put"[..]),
            "{what:?}, {crash:?}"
        );
    }
}

/// A power cut when all was done.
fn power_cut(journal: &Journal, seed: u64) -> Crash {
    Crash {
        after: journal.ops().len(),
        fate: Fate::PowerCut,
        sector: 512,
        tail: Tail::Zeros,
        seed,
    }
}

/// Whether the main line is at this snapshot, and that whole, whatever a power cut loses now.
fn check_after_power_cut(disk: &SimulatedDisk, id: ObjectId, seeds: u64, what: &dyn std::fmt::Debug) {
    let journal = disk.journal();
    for seed in 0..seeds {
        let crash = power_cut(&journal, seed);
        let image: Arc<dyn Disk> = Arc::new(journal.image(&crash));
        let repository = open(&image).unwrap_or_else(|error| panic!("{what:?}, {crash:?}: {error}"));
        let main = repository.refs.get(LINES[0]);
        let main = main.unwrap_or_else(|error| panic!("{what:?}, {crash:?}: {error}"));
        assert_eq!(main, Some(id), "{what:?}, {crash:?}");
        check_whole(&repository, &[id], &(what, crash));
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
