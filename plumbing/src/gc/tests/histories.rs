//! Any history of snapshots, deletions and gcs restores byte for byte. `GHOST_GC_HISTORIES` says how many are tried,
//! `GHOST_TEST_MINUTES` for how long at most.

use super::*;
use crate::refs::line_ref;

fn count() -> u64 {
    std::env::var("GHOST_GC_HISTORIES").map_or(25, |count| count.parse().unwrap())
}

#[test]
fn any_history_restores() {
    let (begun, mut tried) = (Instant::now(), 0);
    for seed in (0..count()).take_while(|_| is_time_left(begun)) {
        let mut dice = Dice::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let mut known = BTreeMap::new();
        let mut lines: BTreeMap<String, Files> = BTreeMap::new();
        // Some processes stay for a while.
        let mut early: Vec<Repository> = Vec::new();
        for step in 0..40 {
            let what = (seed, step);
            let line = line_ref(&format!("l{}", dice.below(3))).unwrap();
            match dice.below(10) {
                0..5 => {
                    let files = lines.entry(line.clone()).or_default();
                    change(files, &mut dice);
                    let repository = match early.pop() {
                        Some(repository) if dice.below(2) == 0 => repository,
                        _ => open(&disk).unwrap(),
                    };
                    let id = take(&repository, &line, files, &format!("{step}"));
                    known.insert(id.unwrap_or_else(|error| panic!("{what:?}: {error}")), files.clone());
                    if dice.below(3) == 0 {
                        early.push(repository);
                    }
                }
                5 if lines.remove(&line).is_some() => delete(&open(&disk).unwrap(), &line),
                6 => early.push(open(&disk).unwrap()),
                7 => early.truncate(dice.below(2) as usize),
                _ => {
                    let unused_max = Allowance::Share(dice.below(3) as u32 * 1500);
                    let report = collect(&open(&disk).unwrap(), unused_max);
                    report.unwrap_or_else(|error| panic!("{what:?}: {error}"));
                }
            }
            check(&open(&disk).unwrap(), &known, &what);
        }
        early.clear();
        let repository = open(&disk).unwrap();
        let report = collect(&repository, Allowance::Share(0)).unwrap();
        assert_eq!(report.swept.waiting_files, 0, "{seed}: {report:?}");
        drop(repository);
        let repository = open(&disk).unwrap();
        check(&repository, &known, &seed);
        assert!(
            repository.store.is_whole() && repository.store.missing_data().is_empty(),
            "{seed}"
        );
        assert!(settles(&disk), "{seed}: something unused is left");
        tried += 1;
    }
    println!("figure: {tried} histories of 40 steps with gc in them");
}
