//! Crashes at every step of gc, and operations that fail: everything that refs lead to is there, and the next gc ends
//! what was begun. `GHOST_CRASH_IMAGES` says how many power cuts are tried, `GHOST_TEST_MINUTES` for how long at most.

use super::*;
use crate::disk::simulated::{Crash, Fate, Fault, Injection, Journal, SimulatedDisk, Tail};

/// A repository in which much is dead, the rest spread over all data files.
fn worn() -> (MemoryDisk, BTreeMap<ObjectId, Files>) {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let (mut known, mut dice) = (BTreeMap::new(), Dice::new(7));
    let mut files = [Files::new(), Files::new()];
    for n in 0..8 {
        for (line, files) in [MAIN, "refs/snapshots/other"].into_iter().zip(&mut files) {
            change(files, &mut dice);
            let id = take(&open(&disk).unwrap(), line, files, &format!("{line} {n}")).unwrap();
            known.insert(id, files.clone());
        }
    }
    delete(&open(&disk).unwrap(), MAIN);
    (memory, known)
}

/// A gc that was recorded, and a snapshot after it.
fn life() -> (Journal, BTreeMap<ObjectId, Files>) {
    let (memory, mut known) = worn();
    let simulated = SimulatedDisk::on(memory);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.condemned_files > 3 && report.copied_bytes > 0, "{report:?}");
    let files = Files::from([(("d".to_owned(), "new".to_owned()), Dice::new(9).bytes(500))]);
    let id = take(&open(&disk).unwrap(), "refs/snapshots/other", &files, "after").unwrap();
    known.insert(id, files);
    (simulated.journal(), known)
}

pub(super) fn check_and_go_on(disk: &Arc<dyn Disk>, known: &BTreeMap<ObjectId, Files>, what: &dyn std::fmt::Debug) {
    check(
        &open(disk).unwrap_or_else(|error| panic!("{what:?}: {error}")),
        known,
        what,
    );
    let report = collect(&open(disk).unwrap(), Allowance::Share(0));
    let report = report.unwrap_or_else(|error| panic!("{what:?}: gc again: {error}"));
    assert_eq!(report.swept.waiting_files, 0, "{what:?}");
    let repository = open(disk).unwrap();
    check(&repository, known, what);
    assert!(
        repository.store.is_whole() && repository.store.missing_data().is_empty(),
        "{what:?}"
    );
    drop(repository);
    assert!(settles(disk), "{what:?}");
}

#[test]
fn a_kill_after_any_operation_loses_nothing() {
    let (journal, known) = life();
    for after in 0..=journal.ops().len() {
        let crash = Crash {
            after,
            fate: Fate::Kill,
            sector: 512,
            tail: Tail::Zeros,
            seed: 0,
        };
        let disk: Arc<dyn Disk> = Arc::new(journal.image(&crash));
        check_and_go_on(&disk, &known, &crash);
    }
}

#[test]
fn a_power_cut_loses_nothing() {
    let (journal, known) = life();
    let steps = journal.ops().len() as u64 + 1;
    let images: u64 = std::env::var("GHOST_CRASH_IMAGES").map_or(500, |count| count.parse().unwrap());
    let (begun, mut tried) = (Instant::now(), 0);
    for seed in (0..images).take_while(|_| is_time_left(begun)) {
        let crash = Crash {
            after: (seed % steps) as usize,
            fate: Fate::PowerCut,
            sector: if (seed / steps).is_multiple_of(2) { 512 } else { 4096 },
            tail: if (seed / steps / 2).is_multiple_of(2) {
                Tail::Zeros
            } else {
                Tail::Garbage
            },
            seed,
        };
        let disk: Arc<dyn Disk> = Arc::new(journal.image(&crash));
        match (seed / steps).is_multiple_of(3) {
            true => check_and_go_on(&disk, &known, &crash),
            false => check(&open(&disk).unwrap(), &known, &crash),
        }
        tried += 1;
    }
    println!("figure: {tried} power cuts of a gc at {steps} moments");
}

#[test]
fn a_failing_disk_loses_nothing_and_the_next_gc_completes() {
    let (memory, known) = worn();
    let kinds = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other];
    for (kind, count) in kinds.into_iter().flat_map(|kind| [(kind, 1), (kind, usize::MAX)]) {
        for from in 0.. {
            let simulated = SimulatedDisk::on(memory.copy(1 << 40));
            let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
            let injection = Injection {
                from: simulated.asked() + from,
                count,
                fault: Fault::Fails(kind),
            };
            simulated.inject(Some(injection));
            let result = open(&disk).and_then(|repository| collect(&repository, Allowance::Share(0)));
            let reached = simulated.asked() > injection.from;
            simulated.inject(None);
            let what = (injection, result.as_ref().map_err(ToString::to_string));
            match from % 3 {
                0 => check_and_go_on(&disk, &known, &what),
                _ => check(&open(&disk).unwrap(), &known, &what),
            }
            if !reached {
                assert!(result.is_ok(), "{what:?}");
                break;
            }
        }
    }
}

/// Who goes on where a gc was stopped leans on names that are not durable yet.
#[test]
fn what_a_stopped_gc_left_is_durable_before_the_next_one_goes_on() {
    let (memory, known) = worn();
    for collects in [true, false] {
        for from in 0.. {
            let simulated = SimulatedDisk::on(memory.copy(1 << 40));
            let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
            let injection = Injection {
                from: simulated.asked() + from,
                count: usize::MAX,
                fault: Fault::Fails(std::io::ErrorKind::Other),
            };
            simulated.inject(Some(injection));
            let result = open(&disk).and_then(|repository| collect(&repository, Allowance::Share(0)));
            let reached = simulated.asked() > injection.from;
            simulated.inject(None);
            if !reached {
                result.unwrap();
                break;
            }
            let stopped = simulated.journal().ops().len();
            let mut known = known.clone();
            if collects {
                collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
            } else {
                // Whoever changes refs sweeps what is due.
                let files = Files::from([(("d".to_owned(), "new".to_owned()), Dice::new(9).bytes(500))]);
                let id = take(&open(&disk).unwrap(), "refs/snapshots/other", &files, "after").unwrap();
                known.insert(id, files);
            }
            let journal = simulated.journal();
            let ended = journal.ops().len();
            for seed in 0..12 {
                // Most at the end, the others on the way.
                let after = match seed % 3 {
                    0 => stopped + Dice::new(seed + from as u64).index(ended - stopped + 1),
                    _ => ended,
                };
                let crash = Crash {
                    after,
                    fate: Fate::PowerCut,
                    sector: 512,
                    tail: Tail::Zeros,
                    seed,
                };
                let what = (collects, from, crash);
                let image: Arc<dyn Disk> = Arc::new(journal.image(&crash));
                let repository = open(&image).unwrap_or_else(|error| panic!("{what:?}: {error}"));
                check(&repository, &known, &what);
                let missing = repository.store.missing_data();
                assert!(missing.is_empty(), "{what:?}: {missing:?}");
            }
        }
    }
}
