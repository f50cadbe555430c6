//! Damage of every sort to a repository that holds every type of record: all of it is told, and of it exactly the paths that
//! do not read.
//!
//! 1. A repository in memory; what each of its snapshots needs is listed while it is whole ([`sample`]).
//! 2. A bit is flipped, or a file is removed, cut, extended, swapped or doubled, in a copy.
//! 3. The oracle is reading: an object is hurt if the store does not give its bytes.
//! 4. [`run`] must tell the damage, and as hurt just the paths for which reading fails.
//!
//! Short cuts, which change no answer, make a flip about as cheap as reading the one data file that it is in. Two go by what is
//! read of the whole repository ([`reads`]): what does not read the flipped byte is as it was. So an object is only asked
//! for if a byte that was read to open the repository, or to get that object, is flipped. And where opening does not read
//! the byte, and it is in a data file or in the refs, the other data files count as read whole ([`run_due`], what
//! `verify --max-age` does). The third is that of several flips in one payload that hurt the same objects the first is
//! judged by all of [`run_due`], the others by its reading of the data file ([`outcome`]).
//! One flip in [`WHOLE_EVERY`] (or `GHOST_TEST_WHOLE_EVERY`) is judged without any of them, too, and must come to the same.
//!
//! Caches of other modules and the configuration, which people edit, are left out: nothing is stored there.
//! `GHOST_TEST_ALL` flips each bit of a repository of 1 MiB, in an order that looks random, for `GHOST_TEST_MINUTES` at most;
//! `GHOST_TEST_PART=K/N` each that is part K of N, so that several runs make one.

mod outcome;
mod reads;
mod sample;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use self::outcome::Seen;
use self::sample::Sample;
use super::crash_tests::processor_seconds;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;

/// Flips that are tried if nobody asks for all.
const FLIPS: u64 = 150;
/// A prime that is no factor of any count of bits here: steps of it meet every bit once.
const STEP: u64 = 2_147_483_647;
/// One flip in so many is judged by everything, if only few are tried.
const WHOLE_EVERY_OF_FEW: u64 = 16;
/// The same if all are.
const WHOLE_EVERY: u64 = 1024;

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut out);
    out
}

/// Which part of how many, from 0.
fn part() -> (u64, u64) {
    let Ok(text) = std::env::var("GHOST_TEST_PART") else {
        return (0, 1);
    };
    let (part, of) = text.split_once('/').unwrap();
    let (part, of): (u64, u64) = (part.parse().unwrap(), of.parse().unwrap());
    assert!(
        (1..=of).contains(&part),
        "GHOST_TEST_PART is {text}, not one of 1/{of} to {of}/{of}"
    );
    (part - 1, of)
}

#[test]
fn every_flipped_bit_is_told_with_just_the_paths_that_it_hurts() {
    let all = std::env::var_os("GHOST_TEST_ALL").is_some();
    let most = std::env::var("GHOST_TEST_MINUTES").map_or(u64::MAX, |text| 60 * text.parse::<u64>().unwrap());
    let sample = match all {
        true => Sample::new(1_000_000, 8),
        false => Sample::new(60_000, 3),
    };
    let (is_damaged, _) = sample.look(&sample.disk.copy(1), "nothing is wrong", &sample.whole());
    assert!(!is_damaged, "damage where there is none");
    let bits = sample.bits();
    let (part, parts) = part();
    let flips = if all { (bits - part).div_ceil(parts) } else { FLIPS };
    let asked = std::env::var("GHOST_TEST_WHOLE_EVERY").map(|text| text.parse().unwrap());
    let whole_every = asked.unwrap_or(if all { WHOLE_EVERY } else { WHOLE_EVERY_OF_FEW });
    let seen = Seen::default();
    let (next, done, missed, begun) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    let work = || {
        while begun.elapsed().as_secs() < most {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= flips {
                return;
            }
            let step = u128::from(number * parts + part) * u128::from(STEP);
            let bit = u64::try_from(step % u128::from(bits)).unwrap();
            if !is_told(&sample, &seen, bit, number.is_multiple_of(whole_every)) {
                missed.fetch_add(1, Ordering::Relaxed);
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let threads = match std::thread::available_parallelism() {
        Ok(count) if all => count.get(),
        _ => 1,
    };
    let used = processor_seconds();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (done, used) = (done.into_inner(), processor_seconds() - used);
    eprintln!(
        "figure: part {} of {parts}: {done} of {flips} bits flipped, of {bits} in {} files, {} not told, {} different \
         outcomes, {:.0} s, {:.0} a second of one processor",
        part + 1,
        sample.files.len(),
        missed.load(Ordering::Relaxed),
        seen.count(),
        begun.elapsed().as_secs_f64(),
        done as f64 / used
    );
    assert_eq!(missed.into_inner(), 0, "bits whose flip was not told");
}

/// Whether a flip is told as it must be, by the shortest way and if asked for by all.
fn is_told(sample: &Sample, seen: &Seen, bit: u64, by_everything: bool) -> bool {
    let (disk, what) = sample.flipped(bit);
    let outcome = sample.outcome(&disk, bit);
    let known = outcome.as_ref().and_then(|outcome| seen.hurt_by(outcome));
    if known.is_some() && !by_everything {
        return true;
    }
    let (is_told, hurt) = sample.look(&disk, &what, &sample.short(bit));
    if by_everything {
        let whole = sample.look(&disk, &what, &sample.whole());
        assert_eq!(
            (is_told, &hurt),
            (whole.0, &whole.1),
            "{what}: two ways to look at it differ"
        );
    }
    if let Some(known) = known {
        assert_eq!(
            (true, known),
            (is_told, hurt),
            "{what}: another that hurt the same differs"
        );
        return true;
    }
    match outcome {
        Some(outcome) if is_told => seen.add(outcome, hurt),
        _ if is_told => {}
        _ => eprintln!("{what} is not told"),
    }
    is_told
}

/// Files removed, emptied, cut, extended, swapped and doubled.
#[test]
fn every_file_that_is_not_what_it_was_is_told() {
    let sample = Sample::new(60_000, 3);
    let mut counts: BTreeMap<(&str, &str), (u32, u32)> = BTreeMap::new();
    for (at, file) in sample.files.iter().enumerate() {
        let (path, bytes) = (&file.path, &file.bytes);
        let other = &sample.files[(at + 1) % sample.files.len()];
        let with = |change: &dyn Fn(&MemoryDisk)| {
            let disk = sample.disk.copy(at as u64);
            change(&disk);
            disk
        };
        let holding = |bytes: &[u8]| with(&|disk| assert!(disk.place(path, Arc::new(bytes.to_vec()))));
        let mut tries = vec![
            ("remove", with(&|disk| disk.remove(path).unwrap())),
            ("empty", holding(&[])),
            ("extend by zeros", holding(&[bytes.as_slice(), &[0; 5000]].concat())),
            (
                "extend by noise",
                holding(&[bytes.as_slice(), &noise(3, 5000)].concat()),
            ),
            (
                "extend by itself",
                holding(&[bytes.as_slice(), bytes.as_slice()].concat()),
            ),
            (
                "swap",
                with(&|disk| {
                    disk.place(path, other.bytes.clone());
                    disk.place(&other.path, bytes.clone());
                }),
            ),
            (
                "double",
                with(&|disk| assert!(disk.place(&doubled(path), bytes.clone()))),
            ),
        ];
        tries.extend((1..64).map(|part| ("cut", holding(&bytes[..bytes.len() * part / 64]))));
        let part = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        for (action, disk) in tries {
            let what = format!("{action} {}", path.display());
            let (is_told, _) = sample.look(&disk, &what, &sample.whole());
            let count = counts.entry((part, action)).or_default();
            *(if is_told { &mut count.0 } else { &mut count.1 }) += 1;
            // What is not told must do no harm: a segment that is gone or there twice, a log that ends a record earlier.
            assert!(is_told || sample.is_harmless(&disk), "{what} is not told");
            assert!(is_told || part != "data", "{what} is not told");
        }
    }
    for ((part, action), (told, harmless)) in counts {
        eprintln!("figure: {action} in {part}: {told} told, {harmless} harmless");
    }
}

/// A name of the same sort beside `path`.
fn doubled(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    let last = name.find('.').unwrap_or(name.len()) - 1;
    let other = if name.as_bytes()[last] == b'0' { "1" } else { "0" };
    path.with_file_name(format!("{}{other}{}", &name[..last], &name[last + 1..]))
}
