//! t8: random bits of a large repository flipped; `verify --data` names the file that is hurt and no other.
//!
//! Small and short here; with `GHOST_TEST_FLIPS` so many flips in a repository of a GiB. Every bit of a small repository is
//! flipped in `verify::flip_tests`.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use crate::harness::{World, is_time_left, noise, oracle};

/// Bytes of one file in the large repository.
const FILE_BYTES: usize = 8 << 20;

#[test]
fn a_flipped_bit_of_content_hurts_one_file_and_it_is_named() {
    let asked: Option<u64> = std::env::var("GHOST_TEST_FLIPS")
        .ok()
        .map(|count| count.parse().unwrap());
    let (files, bytes, flips) = match asked {
        Some(flips) => (128, FILE_BYTES, flips),
        None => (6, 400_000, 12),
    };
    let world = World::with_repository();
    for number in 0..files {
        world.write(format!("tree/{}/file-{number}", number % 5), noise(number, bytes));
    }
    world.ghost(["snapshot", "tree", "-m", "all"]).ok();
    // What is lost would be taken from the files that are still there.
    fs::remove_dir_all(world.path("tree")).unwrap();
    let data = oracle::data_files(&world.path(".ghost"));
    let total: u64 = data.iter().map(|path| path.metadata().unwrap().len()).sum();
    let mut dice = noise(flips, 16 * flips as usize).into_iter();
    let mut roll = || u64::from_le_bytes(std::array::from_fn(|_| dice.next().unwrap()));
    let (mut named, mut other) = (0, 0);
    let (begun, mut done) = (Instant::now(), 0);
    for flip in (0..flips).take_while(|_| is_time_left(begun, 1)) {
        let mut at = roll() % total;
        let path = data.iter().find(|path| {
            let length = path.metadata().unwrap().len();
            let is_here = at < length;
            at -= if is_here { 0 } else { length };
            is_here
        });
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path.unwrap())
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << (roll() % 8)], at).unwrap();
        let what = format!("flip {flip}: byte {at} of {}", path.unwrap().display());
        let told = world.ghost(["verify", "--data", "--json"]).run();
        assert_eq!(told.code, Some(4), "{what}: {told}");
        // What is hurt does not read, and what is not named reads.
        let hurt: Vec<String> = (0..files)
            .map(|number| format!("{}/file-{number}", number % 5))
            .filter(|name| told.out().contains(&format!("{name}\"")))
            .collect();
        let _ = fs::remove_dir_all(world.path("out"));
        if flip % 8 == 0 || asked.is_none() {
            world.ghost(["reconstruct", "@", "out"]).run();
            for number in 0..files {
                let name = format!("{}/file-{number}", number % 5);
                let reads = fs::read(world.path("out").join(&name)).is_ok_and(|found| found == noise(number, bytes));
                assert_eq!(reads, !hurt.contains(&name), "{what}: {name}, hurt: {hurt:?}: {told}");
            }
        }
        if hurt.is_empty() {
            other += 1;
        } else {
            named += 1;
        }
        file.write_all_at(&byte, at).unwrap();
        done += 1;
    }
    world.ghost(["verify", "--data"]).ok();
    println!(
        "figure: {done} flips in {total} bytes: all told; in {named} files are hurt and named, {other} hurt no file"
    );
}
