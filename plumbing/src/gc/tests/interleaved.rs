//! Writers, readers and gc at the same time, in any order of their operations: no reference ever dangles.
//! `GHOST_GC_SEEDS` says how many orders are tried, `GHOST_TEST_MINUTES` for how long at most; a failure names its seed, which
//! repeats it with `GHOST_GC_SEED`.

use parking_lot::Mutex;

use super::schedule::{ScheduledDisk, Scheduler};
use super::*;

/// What snapshots hold, by id; written before a ref can name them.
type Known = Arc<Mutex<BTreeMap<ObjectId, Files>>>;

fn seeds() -> u64 {
    std::env::var("GHOST_GC_SEEDS").map_or(60, |count| count.parse().unwrap())
}

/// Takes snapshots on a line of its own, of contents that others have had; now and then deletes the line.
fn writer(disk: Arc<dyn Disk>, known: Known, seed: u64) {
    let mut dice = Dice::new(seed);
    // Few different states, so that what is put was there before and may just be going.
    let line = format!("refs/snapshots/l{}", seed % 2);
    for round in 0..5 {
        let repository = open(&disk).unwrap();
        for step in 0..1 + dice.below(2) {
            let mut files = Files::new();
            let mut state = Dice::new(dice.below(4));
            (0..3).for_each(|_| change(&mut files, &mut state));
            if let Some(bytes) = files.values_mut().next().filter(|bytes| !bytes.is_empty()) {
                bytes[0] = dice.roll() as u8;
            }
            let message = format!("{seed} {round} {step}");
            let before = repository.refs.get(&line).unwrap();
            let pending = repository.store.writer().unwrap();
            let parents = before.into_iter().filter(|_| dice.below(2) == 0).collect();
            let id = put_like(&pending, &files, parents, &message, before).unwrap();
            drop(pending);
            known.lock().insert(id, files);
            let change = set(&line, before.map_or(Expected::Absent, Expected::Is), Some(id));
            match repository.commit(&[change], &who(), "", Leans::Own) {
                Ok(_) | Err(Error::RefMoved { .. }) => {}
                Err(error) => panic!("writer {seed}: {error}"),
            }
        }
        if dice.below(3) == 0 {
            let change = set(&line, Expected::Any, None);
            repository.commit(&[change], &who(), "", Leans::Anything).unwrap();
        }
    }
}

/// Names what other processes stored, as `update-ref` does: trees that may have gone.
fn pipeline(disk: Arc<dyn Disk>, known: Known, seed: u64) {
    let mut dice = Dice::new(seed);
    for _ in 0..5 {
        let ids: Vec<ObjectId> = known.lock().keys().copied().collect();
        if ids.is_empty() {
            drop(open(&disk).unwrap());
            continue;
        }
        let id = ids[dice.below(ids.len() as u64) as usize];
        let repository = open(&disk).unwrap();
        let new = (dice.below(3) > 0).then_some(id);
        let change = set("refs/tags/t", Expected::Any, new);
        match repository.commit(&[change], &who(), "", Leans::Anything) {
            // It, or one that it follows, was collected: then no ref may name it.
            Ok(_) | Err(Error::Incomplete { .. }) => {}
            Err(error) => panic!("pipeline {seed}: {error}"),
        }
    }
}

fn collector(disk: Arc<dyn Disk>, seed: u64) {
    let mut dice = Dice::new(seed);
    for _ in 0..4 {
        let unused_max = Allowance::Share(dice.below(2) as u32 * 2000);
        match collect(&open(&disk).unwrap(), unused_max) {
            Ok(_) | Err(Error::Busy { .. }) => {}
            Err(error) => panic!("gc {seed}: {error}"),
        }
    }
}

/// Restores what refs name, while that may be deleted and collected.
fn reader(disk: Arc<dyn Disk>, known: Known) {
    for _ in 0..6 {
        let repository = open(&disk).unwrap();
        let (_, values) = values(&repository.refs).unwrap();
        for (name, id) in values {
            let found = restore(&repository, &id).unwrap_or_else(|error| panic!("reader: {name} {id}: {error}"));
            assert!(found == known.lock()[&id], "reader: {name} {id}");
        }
    }
}

#[test]
fn no_reference_dangles_whatever_the_order() {
    let first = std::env::var("GHOST_GC_SEED").map_or(0, |seed| seed.parse().unwrap());
    let (begun, mut tried) = (Instant::now(), 0);
    for seed in (first..first + seeds()).take_while(|_| is_time_left(begun)) {
        let scheduler = Scheduler::new(seed);
        let memory = new_disk();
        let disk: Arc<dyn Disk> = Arc::new(ScheduledDisk {
            memory: memory.clone(),
            scheduler: scheduler.clone(),
        });
        let known = Known::default();
        let mut processes: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        for number in 0..3 {
            let (disk, known) = (disk.clone(), known.clone());
            processes.push(Box::new(move || writer(disk, known, seed * 10 + number)));
        }
        for number in 0..2 {
            let disk = disk.clone();
            processes.push(Box::new(move || collector(disk, seed * 10 + number)));
        }
        let (a, b) = (disk.clone(), known.clone());
        processes.push(Box::new(move || pipeline(a, b, seed)));
        let (a, b) = (disk.clone(), known.clone());
        processes.push(Box::new(move || reader(a, b)));
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scheduler.run(processes)));
        assert!(ran.is_ok(), "seed {seed}: a process failed");
        let disk: Arc<dyn Disk> = Arc::new(memory);
        check(&open(&disk).unwrap(), &known.lock(), &seed);
        collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
        check(&open(&disk).unwrap(), &known.lock(), &seed);
        tried += 1;
    }
    println!("figure: writers, gc and readers in {tried} orders: no reference dangles");
}
