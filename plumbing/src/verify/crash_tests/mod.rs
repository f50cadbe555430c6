//! Crashes at every step of a repository's life: it opens to the old state or the new, what was acknowledged is there,
//! everything reachable verifies, and the next job finds a repository to go on with.
//!
//! 1. A [`Trial`] is a job that was recorded on a simulated disk, with a check of what may be found after a crash.
//! 2. [`kills`] ends the process after each operation; [`power_cuts`] cuts the power there, many times, each time losing
//!    other sectors and names of what was not synced.
//! 3. `faults` makes each operation fail, or syncs lie.
//!
//! `GHOST_CRASH_IMAGES` says how many power cuts are tried, `GHOST_TEST_MINUTES` for how long at most. A failure prints the
//! [`Crash`]; `GHOST_CRASH_SEED`, with the name of the test, repeats that one alone.

mod bundles;
mod deltas;
mod faults;
pub(super) mod life;
mod refs;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use self::life::Life;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Fate, Journal, Op, Tail};

/// From this many images on, all processors work on one trial.
const IMAGES_FOR_ALL: u64 = 20_000;
/// The next job is tried on one image in so many.
const GOES_ON_EVERY: u64 = 8;
/// Images of one moment that are made one after another. Then comes the next moment, so that a run that is stopped early
/// has met all of them.
const ROUNDS: usize = 64;

/// Something that was recorded, and how to tell whether what a crash left of it is as it must be.
trait Trial: Sync {
    /// What was done.
    fn journal(&self) -> &Journal;

    /// After how many operations crashes are tried: after each, once there is a folder to work in.
    fn moments(&self) -> Vec<usize> {
        (3..=self.journal().ops().len()).collect()
    }

    /// Panics where what a crash left is not as it must be. `mark` is the last one before the crash; `goes_on` asks for
    /// the next job to be done on it as well.
    fn check(&self, image: MemoryDisk, mark: Option<u64>, crash: &Crash, goes_on: bool);
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// Whether there is time for more.
fn is_time_left(begun: Instant) -> bool {
    number("GHOST_TEST_MINUTES").is_none_or(|most| begun.elapsed().as_secs() < 60 * most)
}

fn images() -> u64 {
    number("GHOST_CRASH_IMAGES").unwrap_or(1200)
}

/// The power cut number `seed` of a trial that has these moments.
fn crash_of(seed: u64, moments: &[usize]) -> Crash {
    let count = moments.len() as u64;
    let round = seed / count;
    Crash {
        after: moments[(seed % count) as usize],
        fate: Fate::PowerCut,
        sector: if round.is_multiple_of(2) { 512 } else { 4096 },
        tail: if (round / 2).is_multiple_of(2) {
            Tail::Zeros
        } else {
            Tail::Garbage
        },
        seed,
    }
}

/// Kills the process after each operation.
fn kills(trial: &impl Trial) {
    for after in trial.moments() {
        let crash = Crash {
            after,
            fate: Fate::Kill,
            sector: 512,
            tail: Tail::Zeros,
            seed: 0,
        };
        let mark = trial.journal().last_mark(after);
        trial.check(trial.journal().image(&crash), mark, &crash, true);
    }
}

/// Cuts the power `images` times. Images of one moment that are alike are checked once.
fn power_cuts(what: &str, trial: &impl Trial, images: u64) {
    let moments = trial.moments();
    let journal = trial.journal();
    if let Some(seed) = number("GHOST_CRASH_SEED") {
        let crash = crash_of(seed, &moments);
        trial.check(journal.image(&crash), journal.last_mark(crash.after), &crash, true);
        return;
    }
    let threads = match std::thread::available_parallelism() {
        Ok(count) if images >= IMAGES_FOR_ALL => count.get(),
        _ => 1,
    };
    let count = moments.len();
    let seen: Vec<Mutex<HashSet<blake3::Hash>>> = moments.iter().map(|_| Mutex::default()).collect();
    let (next, made, begun) = (AtomicUsize::new(0), AtomicU64::new(0), Instant::now());
    let used = processor_seconds();
    let work = || {
        while is_time_left(begun) {
            let item = next.fetch_add(1, Ordering::Relaxed);
            let (at, first) = (item % count, (item / count * ROUNDS) as u64 * count as u64);
            if first >= images {
                return;
            }
            let (moment, mark) = (journal.at(moments[at]), journal.last_mark(moments[at]));
            let seeds = (first + at as u64..images).step_by(count).take(ROUNDS);
            for (round, seed) in (0..).zip(seeds) {
                let crash = crash_of(seed, &moments);
                let image = moment.image(&crash);
                made.fetch_add(1, Ordering::Relaxed);
                if seen[at].lock().insert(fingerprint(&image)) {
                    trial.check(image, mark, &crash, u64::is_multiple_of(round, GOES_ON_EVERY));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (seconds, made) = (begun.elapsed().as_secs_f64(), made.into_inner());
    let distinct: usize = seen.into_iter().map(|seen| seen.into_inner().len()).sum();
    // Other work on the machine does not count.
    let used = processor_seconds() - used;
    eprintln!(
        "figure: {what}: {made} images of {count} moments, {distinct} distinct, {seconds:.1} s on {threads} threads, {:.0} a \
         second of one processor",
        made as f64 / used
    );
}

/// What this process has used of all processors.
pub(super) fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Names and bytes of all files.
fn fingerprint(image: &MemoryDisk) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for (path, bytes) in image.files() {
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    hasher.finalize()
}

#[test]
fn a_kill_after_any_operation_leaves_the_old_state_or_the_new() {
    kills(&Life::new(6));
}

#[test]
fn a_power_cut_leaves_the_old_state_or_the_new() {
    power_cuts("snapshots", &Life::new(4), images());
}

/// So many snapshots that index segments are merged: their entries move to a new file and the old ones are removed.
#[test]
fn a_power_cut_while_the_index_is_merged_leaves_every_object_in_reach() {
    let life = Life::new(6);
    let removed = |op: &&Op| matches!(op, Op::Remove(path) if path.extension().is_some_and(|it| it == "gi"));
    assert!(
        life.journal.ops().iter().filter(removed).count() >= 4,
        "nothing was merged"
    );
    power_cuts("index merge", &life, images() / 4);
}
