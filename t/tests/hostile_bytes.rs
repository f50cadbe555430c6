#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests: a failed unwrap is a failed test"
)]
#![allow(clippy::disallowed_methods, reason = "the golden repositories are read as files")]
//! The fuzz targets with simple mutations, so that `t/run` tries them on a stable compiler: no panic, and no more memory than
//! a target's limit. `GHOST_FUZZ_ROUNDS` says how many inputs are made from each seed.
//!
//! A binary of its own, since the allocator that counts is one for the whole process.

#[path = "../../fuzz/src/memory.rs"]
mod memory;
#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::path::Path;

use ghost_plumbing::disk::simulated::Dice;
use targets::{BYTES_PER_BYTE, TARGETS, seeds};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Numbers at which things change.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x0100_0000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 40,
    u64::MAX,
];

/// Changes some bytes: bits, numbers, pieces moved, doubled, cut out, put in from another seed.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    for _ in 0..=dice.index(4) {
        // Headers stand in front: half of the changes are there.
        let near = if dice.index(2) == 0 { 160 } else { usize::MAX };
        let at = dice.index(bytes.len().min(near));
        let length = dice.index(64.min(bytes.len() - at + 1));
        match dice.index(8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << dice.index(8),
            2 if at < bytes.len() => bytes[at] = dice.roll() as u8,
            3 => {
                let number = NUMBERS[dice.index(NUMBERS.len())].to_le_bytes();
                let width = [1, 2, 4, 8][dice.index(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            4 => drop(bytes.drain(at..at + length)),
            5 => {
                let piece = bytes[at..at + length].to_vec();
                let to = dice.index(bytes.len());
                bytes.splice(to..to, piece);
            }
            6 => {
                let from = dice.index(other.len());
                let piece = other[from..other.len().min(from + 64)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.truncate(bytes.len() - dice.index(bytes.len().min(200))),
        }
    }
}

#[test]
fn no_bytes_make_a_reader_panic_or_take_too_much_memory() {
    let rounds: u64 = std::env::var("GHOST_FUZZ_ROUNDS").map_or(60, |count| count.parse().unwrap());
    let seeds = seeds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../t/golden"));
    for target in &TARGETS {
        let own: Vec<&Vec<u8>> = seeds
            .iter()
            .filter(|seed| seed.0 == target.name)
            .map(|seed| &seed.1)
            .collect();
        assert!(!own.is_empty(), "no seed for {}", target.name);
        let (mut count, mut most) = (0, 0);
        for (at, seed) in own.iter().enumerate() {
            (target.run)(seed);
            for round in 0..rounds {
                let mut dice = Dice::new(round << 16 | at as u64);
                let mut bytes = (*seed).clone();
                mutate(&mut bytes, own[dice.index(own.len())], &mut dice);
                // A panic prints this test's name; the input is the one of these two numbers.
                let run = || std::panic::catch_unwind(|| (target.run)(&bytes));
                let (result, held) = memory::measured(run);
                assert!(result.is_ok(), "{}: seed {at}, round {round}", target.name);
                let limit = target.bytes_max + BYTES_PER_BYTE * bytes.len();
                assert!(
                    held <= limit,
                    "{}: seed {at}, round {round}: {held} bytes held, the limit is {limit}",
                    target.name
                );
                count += 1;
                most = most.max(held);
            }
        }
        println!(
            "figure: {}: {count} inputs, at most {} KiB held",
            target.name,
            most >> 10
        );
    }
}
