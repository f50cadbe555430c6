//! Crashes among snapshots whose files and folders are stored as differences, with nothing but the data files left: bases are found
//! by what the tables say, and what was acknowledged is whole.

use super::life::{Life, ghost_dir, open};
use super::{Trial, images, kills, power_cuts};
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Fate, Journal, Tail};
use crate::store::data::format::FILE_HEADER_BYTES;
use crate::store::data::read::{Head, scan};

/// A life of which a crash leaves neither index nor caches.
struct Bare(Life);

impl Trial for Bare {
    fn journal(&self) -> &Journal {
        &self.0.journal
    }

    fn check(&self, image: MemoryDisk, mark: Option<u64>, crash: &Crash, goes_on: bool) {
        for folder in ["index", "cache"] {
            let folder = ghost_dir().join(folder);
            for name in image.list(&folder).unwrap_or_default() {
                // Folders within are caches of something else.
                let _ = image.remove(&folder.join(name));
            }
        }
        self.0.check(image, mark, crash, goes_on);
    }
}

fn life() -> Bare {
    let life = Life::new(5);
    let crash = Crash {
        after: life.journal.ops().len(),
        fate: Fate::Kill,
        sector: 512,
        tail: Tail::Zeros,
        seed: 0,
    };
    let disk: std::sync::Arc<dyn Disk> = std::sync::Arc::new(life.journal.image(&crash));
    let (mut deltas, mut deepest) = (0, 0);
    for (file, committed) in open(&disk).unwrap().store.data_files() {
        let mut count = |head: &Head| {
            deltas += head.parts.len();
            deepest = head.parts.iter().map(|part| part.depth).fold(deepest, u8::max);
        };
        scan(&file, FILE_HEADER_BYTES, committed, &mut count).unwrap();
    }
    assert!(
        deltas >= 8 && deepest >= 4,
        "{deltas} differences, at most {deepest} deep"
    );
    Bare(life)
}

#[test]
fn a_kill_among_differences_costs_at_most_the_index() {
    kills(&life());
}

#[test]
fn a_power_cut_among_differences_costs_at_most_the_index() {
    power_cuts("differences without an index", &life(), images() / 3);
}
