//! Crashes in a gc that writes differences again: whatever stands can be read, with its index and without.

use super::chains::{forget, history};
use super::crash::check_and_go_on;
use super::*;
use crate::disk::simulated::{Crash, Fate, Journal, SimulatedDisk, Tail};

/// A gc that was recorded, of versions each made from the last, most of which were forgotten; then a snapshot like the newest.
fn life() -> (Journal, BTreeMap<ObjectId, Files>) {
    let (memory, mut known) = history(8);
    let shared: Arc<dyn Disk> = Arc::new(memory.clone());
    forget(&shared, [0, 1, 2, 4, 6]);
    let newest = open(&shared).unwrap().refs.get("refs/snapshots/v7").unwrap().unwrap();
    let mut files = known[&newest].clone();
    let simulated = SimulatedDisk::on(memory);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.rewritten_objects > 1 && report.condemned_files > 1, "{report:?}");
    files.values_mut().for_each(|bytes| bytes[9] ^= 1);
    let id = take_alone(&open(&disk).unwrap(), MAIN, &files, "after", Some(newest)).unwrap();
    known.insert(id, files);
    (simulated.journal(), known)
}

fn without_index(disk: &Arc<dyn Disk>) {
    let folder = ghost_dir().join("index");
    for name in disk.list(&folder).unwrap() {
        disk.remove(&folder.join(name)).unwrap();
    }
}

#[test]
fn a_kill_in_a_gc_that_writes_differences_again_loses_nothing() {
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
        if after % 2 == 0 {
            without_index(&disk);
        }
        check_and_go_on(&disk, &known, &crash);
    }
}

#[test]
fn a_power_cut_in_a_gc_that_writes_differences_again_loses_nothing() {
    let (journal, known) = life();
    let steps = journal.ops().len() as u64 + 1;
    let images: u64 = std::env::var("GHOST_CRASH_IMAGES").map_or(300, |count| count.parse().unwrap());
    for seed in 0..images {
        let crash = Crash {
            after: (seed % steps) as usize,
            fate: Fate::PowerCut,
            sector: if (seed / steps).is_multiple_of(2) { 512 } else { 4096 },
            tail: Tail::Garbage,
            seed,
        };
        let disk: Arc<dyn Disk> = Arc::new(journal.image(&crash));
        if seed % 3 == 0 {
            without_index(&disk);
        }
        match seed % 4 {
            0 => check_and_go_on(&disk, &known, &crash),
            _ => check(&open(&disk).unwrap(), &known, &crash),
        }
    }
}
