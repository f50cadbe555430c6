//! Any history of edits restores byte for byte, however differences and whole objects are mixed in it, wherever gc was
//! stopped, and with repair in between. `GHOST_DELTA_HISTORIES` says how many are tried, from the one with the number
//! `GHOST_DELTA_SEED` on; a failure names that of its history.

use std::cell::Cell;

use super::*;
use crate::refs::line_ref;
use crate::repair;
use crate::store::DeltaOptions;
use crate::verify;

/// A history that once left gc unable to go on: a dead object stayed, and what it was made from, but not what that was made from.
const FOUND: [u64; 1] = [1759];

/// The numbers of the histories that are tried.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("GHOST_DELTA_SEED").unwrap_or(0);
    first..first + number("GHOST_DELTA_HISTORIES").unwrap_or(12)
}

/// Opens it with another idea each time of what is worth a difference.
pub(super) fn open_as(disk: &Arc<dyn Disk>, dice: &mut Dice) -> Repository {
    let mut repository = open(disk).unwrap();
    let options = StoreOptions {
        parity_percent: 20 * dice.below(2),
        delta: DeltaOptions {
            enabled: dice.below(4) > 0,
            depth: 1 + dice.below(8) as u8,
            window_bytes: 2000 << dice.below(5),
        },
        ..repository.store.options().clone()
    };
    let (uuid, hash) = (repository.format.uuid, repository.format.hash);
    repository.store = Store::open(disk.clone(), ghost_dir(), uuid, hash, options).unwrap();
    repository.store.allow_deltas(|| Ok(()));
    repository
}

/// Edits some files: most of each stays.
fn edit(files: &mut Files, dice: &mut Dice) {
    for _ in 0..1 + dice.below(4) {
        let key = (format!("d{}", dice.below(2)), format!("f{}", dice.below(5)));
        let other = (key.0.clone(), format!("f{}", dice.below(5)));
        let copied = files.get(&other).cloned();
        let bytes = files.entry(key.clone()).or_default();
        let at = dice.below(bytes.len() as u64 + 1) as usize;
        let end = (at + dice.below(60) as usize).min(bytes.len());
        match dice.below(8) {
            0 => drop(files.remove(&key)),
            1 => *bytes = copied.unwrap_or_default(),
            2 => bytes.truncate(at),
            3 => {
                let length = 300 + dice.below(3000) as usize;
                *bytes = dice.bytes(length);
            }
            4 | 5 => drop(bytes.splice(at..at, dice.bytes(40))),
            _ => drop(bytes.splice(at..end, dice.bytes(20))),
        }
    }
}

/// Collects, and is stopped after some looks at the time.
pub(super) fn collect_some(repository: &Repository, dice: &mut Dice, what: &dyn std::fmt::Debug) {
    let left = Cell::new(dice.below(4));
    let options = Options {
        unused_max: Allowance::Share(dice.below(3) as u32 * 1500),
        repack_bytes_max: 4000 << dice.below(10),
        keep_log: KeepLog::Nothing,
        threads: 1 + dice.below(2) as usize,
        dry_run: dice.below(8) == 0,
        is_over: &|| left.replace(left.get().saturating_sub(1)) == 0,
    };
    let report = run(repository, &options, &Progress::default());
    report.unwrap_or_else(|error| panic!("{what:?}: {error}"));
}

/// Fails unless verify, which reads every byte, finds nothing that a snapshot needs hurt.
pub(super) fn check_all(disk: &Arc<dyn Disk>, what: &dyn std::fmt::Debug) {
    let repository = open(disk).unwrap();
    let progress = Progress::default();
    let request = verify::Request {
        targets: verify::targets::all(&repository.store, &repository.refs, &progress).unwrap(),
        everything: true,
        depth: verify::Depth::Data,
        threads: 2,
    };
    let report = verify::run(&repository.store, Some(&repository.refs), &request, &progress).unwrap();
    assert!(report.hurt.is_empty(), "{what:?}: {:?}", report.hurt);
    assert!(report.index_damage.is_empty(), "{what:?}: {:?}", report.index_damage);
}

#[test]
fn any_mix_of_differences_restores() {
    let (begun, mut deltas, mut tried) = (Instant::now(), 0, 0);
    for seed in FOUND.into_iter().chain(seeds()).take_while(|_| is_time_left(begun)) {
        let mut dice = Dice::new(seed ^ 0xde17a);
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let mut known = BTreeMap::new();
        let mut lines: BTreeMap<String, Files> = BTreeMap::new();
        for step in 0..30 {
            let what = (seed, step);
            let line = line_ref(&format!("l{}", dice.below(2))).unwrap();
            let repository = open_as(&disk, &mut dice);
            match dice.below(12) {
                0..8 => {
                    let files = lines.entry(line.clone()).or_default();
                    edit(files, &mut dice);
                    let before = repository.refs.get(&line).unwrap();
                    // One that follows none leaves what it is made from to gc.
                    let id = match dice.below(2) {
                        0 => take(&repository, &line, files, &format!("{step}")),
                        _ => take_alone(&repository, &line, files, &format!("{step}"), before),
                    };
                    known.insert(id.unwrap_or_else(|error| panic!("{what:?}: {error}")), files.clone());
                }
                8 if lines.remove(&line).is_some() => delete(&repository, &line),
                9 => {
                    let options = repair::Options {
                        dry_run: false,
                        threads: 1,
                    };
                    let report = repair::run(&repository, &options, &who(), &Progress::default());
                    let report = report.unwrap_or_else(|error| panic!("{what:?}: {error}"));
                    assert!(report.marked.is_empty(), "{what:?}: {report:?}");
                }
                _ => collect_some(&repository, &mut dice, &what),
            }
            drop(repository);
            let repository = open(&disk).unwrap();
            check(&repository, &known, &what);
            for (file, committed) in repository.store.data_files() {
                let mut count = |head: &crate::store::data::read::Head| deltas += head.parts.len();
                crate::store::data::read::scan(&file, 64, committed, &mut count).unwrap();
            }
        }
        check_all(&disk, &seed);
        for name in disk.list(&ghost_dir().join("index")).unwrap() {
            disk.remove(&ghost_dir().join("index").join(name)).unwrap();
        }
        check(&open(&disk).unwrap(), &known, &(seed, "without an index"));
        assert!(settles(&disk), "{seed}: something unused is left");
        check(&open(&disk).unwrap(), &known, &(seed, "at the end"));
        tried += 1;
    }
    println!("figure: {tried} histories of differences, {deltas} of them");
    assert!(deltas > 4 * tried, "{deltas} differences were tried");
}
