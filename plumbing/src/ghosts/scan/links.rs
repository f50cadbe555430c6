//! Files with several names are read once: what was found is kept until all their names were seen, of so many files as
//! memory has room for. Of others, each name is read.

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::ghosts::digest::Digest;
use crate::walk::Stat;

/// Inodes that are kept, of a quarter of a KiB each.
const INODES_MAX: usize = 64 << 10;

/// What was read of inodes with several names.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<HashMap<(u64, u64), Known>>);

#[derive(Debug)]
struct Known {
    stat: Stat,
    digest: Digest,
    /// Names that were not seen yet.
    left: u32,
}

impl Links {
    /// What another name of the same inode was found to be, if it still looks as it did.
    pub(super) fn get(&self, stat: &Stat) -> Option<Digest> {
        if stat.nlink < 2 {
            return None;
        }
        let key = (stat.dev, stat.ino);
        let mut known = self.0.lock();
        let found = known.get_mut(&key).filter(|known| known.stat.same_content(stat))?;
        let digest = found.digest;
        found.left = found.left.saturating_sub(1);
        if found.left == 0 {
            known.remove(&key);
        }
        Some(digest)
    }

    /// Keeps what was read. Two threads may have read two names at once; the second changes nothing.
    pub(super) fn set(&self, stat: &Stat, digest: Digest) {
        if stat.nlink < 2 {
            return;
        }
        let known = Known {
            stat: *stat,
            digest,
            left: stat.nlink - 1,
        };
        let mut all = self.0.lock();
        if all.len() < INODES_MAX {
            all.entry((stat.dev, stat.ino)).or_insert(known);
        }
    }
}
