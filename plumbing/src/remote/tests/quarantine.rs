//! Damage of what a transfer left: the next one brings it again, and what is adopted is what was sent.
//!
//! Some bits are flipped here, in the order of a step that meets each once; with `GHOST_TEST_ALL` all of them, for
//! `GHOST_TEST_MINUTES` at most.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::world::*;
use crate::disk::Disk as _;
use crate::disk::memory::MemoryDisk;
use crate::remote::policy::Policy;
use crate::remote::quarantine::FOLDER;

const FLIPS: u64 = 60;
/// A prime that is no factor of any count of bits here.
const STEP: u64 = 2_147_483_647;

/// A repository to which most of a push has come, whose end is still to come.
struct Left {
    local: Side,
    memory: MemoryDisk,
    files: Vec<(PathBuf, Arc<Vec<u8>>)>,
}

fn side(memory: &MemoryDisk) -> Side {
    Side {
        disk: Arc::new(memory.clone()),
    }
}

impl Left {
    fn new() -> Self {
        let (local, memory) = (Side::new(1), MemoryDisk::with_seed(5));
        // Frames travel as they are stored: many short ones.
        for n in 0..6 {
            let text = format!("What is number {n}? ").repeat(40);
            local.commit(MAIN, &[("noise", &noise(n, 6000)), ("text", text.as_bytes())]);
        }
        let remote = Side::new_on(memory.clone());
        let whole = Side::new(3);
        let sent = with_server(&local, &exports(&whole, Policy::default()), |client| {
            push(client, &local, &[MAIN]).unwrap()
        });
        let most = sent.count.bytes / 10 * 9;
        let served = exports(&remote, Policy::default());
        let cut = with_server_cut(&local, &served, (most, u64::MAX), |client| {
            push(client, &local, &[MAIN])
        });
        assert!(cut.is_err() && remote.refs().is_empty());
        drop(served);
        let mut files = memory.files();
        files.retain(|(path, bytes)| path.starts_with(format!("/r/.ghost/{FOLDER}")) && !bytes.is_empty());
        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes as u64 > most / 2, "{bytes} bytes of {most} were kept");
        Self { local, memory, files }
    }

    /// The push once more, to a copy in which `path` has these bytes, or is gone.
    fn go_on(&self, seed: u64, path: &Path, bytes: Option<Vec<u8>>, what: &str) {
        let memory = self.memory.copy(1 << 40 | seed);
        match bytes {
            Some(bytes) => assert!(memory.place(path, Arc::new(bytes))),
            None => memory.remove(path).unwrap(),
        }
        let remote = side(&memory);
        let pushed = with_server(&self.local, &exports(&remote, Policy::default()), |client| {
            push(client, &self.local, &[MAIN])
        });
        pushed.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(remote.get(MAIN), self.local.get(MAIN), "{what}");
        remote.verify();
    }
}

#[test]
fn a_flipped_bit_of_what_was_left_does_no_harm() {
    let left = Left::new();
    let bits: u64 = left.files.iter().map(|(_, bytes)| 8 * bytes.len() as u64).sum();
    let flips = if std::env::var_os("GHOST_TEST_ALL").is_some() {
        bits
    } else {
        FLIPS
    };
    let most = std::env::var("GHOST_TEST_MINUTES").map_or(u64::MAX, |text| 60 * text.parse::<u64>().unwrap());
    let (begun, mut done) = (Instant::now(), 0);
    for number in (0..flips).take_while(|_| begun.elapsed().as_secs() < most) {
        let bit = u64::try_from(u128::from(number) * u128::from(STEP) % u128::from(bits)).unwrap();
        let mut at = (bit / 8) as usize;
        let found = left.files.iter().find(|(_, bytes)| {
            let is_here = at < bytes.len();
            at -= if is_here { 0 } else { bytes.len() };
            is_here
        });
        let (path, bytes) = found.unwrap();
        let mut bytes = (**bytes).clone();
        bytes[at] ^= 1 << (bit % 8);
        let what = format!("bit {} of byte {at} of {}", bit % 8, path.display());
        left.go_on(number, path, Some(bytes), &what);
        done += 1;
    }
    println!("figure: {done} of {bits} bits of a quarantine flipped: what was pushed then is whole each time");
}

#[test]
fn files_of_what_was_left_that_are_not_what_they_were_do_no_harm() {
    let left = Left::new();
    for (seed, (path, bytes)) in (1 << 20..).zip(&left.files) {
        let name = path.display();
        left.go_on(seed, path, None, &format!("{name} is gone"));
        left.go_on(seed, path, Some(Vec::new()), &format!("{name} is empty"));
        for part in 1..8 {
            let cut = bytes[..bytes.len() * part / 8].to_vec();
            left.go_on(seed, path, Some(cut), &format!("{name}: {part} of 8 parts"));
        }
        for more in [vec![0; 5000], noise(9, 5000), (**bytes).clone()] {
            let extended = [bytes.as_slice(), &more].concat();
            left.go_on(
                seed,
                path,
                Some(extended),
                &format!("{name} is longer by {}", more.len()),
            );
        }
    }
}
