//! What becomes of each data file. Pure: from what is measured and what is wanted.
//!
//! 1. One that holds nothing that lives goes, without a copy.
//! 2. As long as more is unused than may be, the one that is used worst is packed anew. What one keeps of others, and need not
//!    keep ([`super::chains`]), counts as unused of that one.
//! 3. Where many small ones have gathered, the smallest are packed together.

use super::usage::FileUse;

/// Small files that are left alone: each writer that runs at the same time as others needs one of its own.
const SMALL_FILES_MAX: usize = 8;
/// Small files that are left when they are packed together.
const SMALL_FILES_KEPT: usize = 3;

/// How much may stay unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// Hundredths of a percent of what the repository then takes.
    Share(u32),
    /// Bytes.
    Bytes(u64),
}

impl Allowance {
    /// Bytes that may stay unused where all files together have so many.
    pub(super) fn of(self, bytes: u64) -> u64 {
        match self {
            Self::Share(share) => (u128::from(bytes) * u128::from(share) / 10_000) as u64,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// What becomes of a data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is left as it is.
    #[default]
    Stays,
    /// Nothing in it lives.
    Goes,
    /// What lives in it is copied.
    Repacked,
    /// The same, because it is one of many small ones.
    Merged,
}

/// A data file with what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePlan {
    /// How much of it lives.
    pub usage: FileUse,
    /// What becomes of it.
    pub fate: Fate,
}

/// Decides. `file_bytes_max` is the length at which a data file is full; of what lives at most `repack_bytes_max` is
/// copied.
pub(super) fn plan(
    uses: Vec<FileUse>,
    unused_max: Allowance,
    repack_bytes_max: u64,
    file_bytes_max: u64,
) -> Vec<FilePlan> {
    let fate = |usage: &FileUse| match usage.live_objects {
        0 => Fate::Goes,
        _ => Fate::Stays,
    };
    let mut files: Vec<FilePlan> = uses
        .into_iter()
        .map(|usage| FilePlan {
            fate: fate(&usage),
            usage,
        })
        .collect();
    // The worst first; where two are as bad, the one that costs less.
    files.sort_by(|a, b| {
        let share = |of: &FileUse, other: &FileUse| u128::from(of.waste_bytes()) * u128::from(other.bytes.max(1));
        let (a, b) = (&a.usage, &b.usage);
        share(b, a)
            .cmp(&share(a, b))
            .then(a.bytes.cmp(&b.bytes))
            .then(a.file.cmp(&b.file))
    });
    let stay = |files: &[FilePlan]| -> (u64, u64) {
        let staying = files.iter().filter(|file| file.fate == Fate::Stays);
        staying.fold((0, 0), |(bytes, unused), file| {
            (bytes + file.usage.bytes, unused + file.usage.waste_bytes())
        })
    };
    let (mut bytes, mut unused) = stay(&files);
    let mut left = repack_bytes_max;
    for file in files.iter_mut().filter(|file| file.fate == Fate::Stays) {
        let waste = file.usage.waste_bytes();
        let copied = file.usage.bytes.saturating_sub(file.usage.unused_bytes);
        if unused <= unused_max.of(bytes) || waste == 0 {
            break;
        }
        if copied > left {
            continue;
        }
        left -= copied;
        bytes = bytes.saturating_sub(waste);
        unused -= waste;
        file.fate = Fate::Repacked;
    }
    merge_small(&mut files, left, file_bytes_max);
    files
}

fn merge_small(files: &mut [FilePlan], mut left: u64, file_bytes_max: u64) {
    let is_small = |file: &&mut FilePlan| file.fate == Fate::Stays && file.usage.bytes < file_bytes_max / 4;
    let mut small: Vec<&mut FilePlan> = files.iter_mut().filter(is_small).collect();
    if small.len() <= SMALL_FILES_MAX {
        return;
    }
    small.sort_by_key(|file| file.usage.bytes);
    let count = small.len() - SMALL_FILES_KEPT;
    for file in small.into_iter().take(count) {
        if file.usage.bytes > left {
            break;
        }
        left -= file.usage.bytes;
        file.fate = Fate::Merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(number: u32, mib: u64, unused: u64) -> FileUse {
        FileUse {
            number,
            file: [number as u8; 16],
            bytes: mib * MIB,
            unused_bytes: unused * MIB,
            held_bytes: 0,
            live_objects: u64::from(mib > unused),
            objects: 2,
        }
    }

    fn fates(uses: &[FileUse], unused_max: Allowance, repack: u64) -> Vec<Fate> {
        let mut files = plan(uses.to_vec(), unused_max, repack, 1024 * MIB);
        files.sort_by_key(|file| file.usage.number);
        files.into_iter().map(|file| file.fate).collect()
    }

    #[test]
    fn the_worst_are_packed_until_little_is_unused() {
        use Fate::{Goes, Repacked, Stays};
        let uses = [
            file(0, 1000, 10),
            file(1, 1000, 500),
            file(2, 1000, 1000),
            file(3, 1000, 90),
        ];
        assert_eq!(
            fates(&uses, Allowance::Share(500), u64::MAX),
            [Stays, Repacked, Goes, Stays]
        );
        assert_eq!(
            fates(&uses, Allowance::Share(0), u64::MAX),
            [Repacked, Repacked, Goes, Repacked]
        );
        assert_eq!(
            fates(&uses, Allowance::Share(10_000), u64::MAX),
            [Stays, Stays, Goes, Stays]
        );
        assert_eq!(
            fates(&uses, Allowance::Bytes(50 * MIB), u64::MAX),
            [Stays, Repacked, Goes, Repacked]
        );
        // The worst costs more than may be copied; the next does not.
        assert_eq!(
            fates(&uses, Allowance::Share(0), 400 * MIB),
            [Stays, Stays, Goes, Stays]
        );
        assert_eq!(
            fates(&uses, Allowance::Share(0), 1410 * MIB),
            [Stays, Repacked, Goes, Repacked]
        );
    }

    #[test]
    fn what_a_file_keeps_of_others_counts_with_it() {
        use Fate::{Repacked, Stays};
        let mut uses = [file(0, 1000, 0), file(1, 1000, 1)];
        assert_eq!(fates(&uses, Allowance::Share(500), u64::MAX), [Stays, Stays]);
        uses[1].held_bytes = 600 * MIB;
        assert_eq!(fates(&uses, Allowance::Share(500), u64::MAX), [Stays, Repacked]);
        // More than it has itself.
        uses[1].held_bytes = 3000 * MIB;
        assert_eq!(fates(&uses, Allowance::Share(500), u64::MAX), [Stays, Repacked]);
    }

    #[test]
    fn many_small_files_are_packed_together() {
        let small = |count: u32| {
            (0..count)
                .map(|number| file(number, 1 + u64::from(number), 0))
                .collect::<Vec<_>>()
        };
        assert!(
            fates(&small(8), Allowance::Share(500), u64::MAX)
                .iter()
                .all(|fate| *fate == Fate::Stays)
        );
        let fates = fates(&small(9), Allowance::Share(500), u64::MAX);
        assert_eq!(fates.iter().filter(|fate| **fate == Fate::Merged).count(), 6);
        assert!(fates[6..].iter().all(|fate| *fate == Fate::Stays), "the largest stay");
    }

    /// A quarter of a full file, in bytes of no round number of files.
    #[test]
    fn a_file_is_small_below_a_quarter_of_a_full_one() {
        let of = |bytes: u64, full: u64| {
            let uses: Vec<FileUse> = (0..9)
                .map(|number| FileUse {
                    bytes,
                    ..file(number, 1, 0)
                })
                .collect();
            let files = plan(uses, Allowance::Share(500), u64::MAX, full);
            files.iter().filter(|file| file.fate == Fate::Merged).count()
        };
        assert_eq!((of(255, 1024), of(256, 1024)), (6, 0));
        assert_eq!((of(1, 8), of(2, 8), of(8, 8), of(31, 8)), (6, 0, 0, 0));
    }

    #[test]
    fn small_files_are_packed_together_as_far_as_may_be_copied() {
        // Of 1, 2, 3, … the smallest first.
        let merged = |most: u64| {
            let uses: Vec<FileUse> = (0..9).map(|number| file(number, 1 + u64::from(number), 0)).collect();
            let fates = fates(&uses, Allowance::Share(500), most);
            let first = fates.iter().take_while(|fate| **fate == Fate::Merged).count();
            assert!(fates[first..].iter().all(|fate| *fate == Fate::Stays));
            first
        };
        assert_eq!(
            [0, MIB - 1, MIB, 3 * MIB - 1, 3 * MIB, 21 * MIB - 1, 21 * MIB].map(merged),
            [0, 0, 1, 1, 2, 5, 6]
        );
    }
}
