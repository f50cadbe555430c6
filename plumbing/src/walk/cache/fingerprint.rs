//! One keyed 64-bit number for all that shows whether an entry is what it was.
//!
//! The number is SipHash-1-3 of 80 fixed bytes and the name (object-format.md, "Stat cache"): a function made so that
//! nobody without the key can provoke a collision, and that costs some 30 ns an entry.
//!
//! Counted are name, kind, mode, uid and gid with the names that they have on this system, size, mtime and ctime with
//! nanoseconds, inode, and the numbers of a device node. Left out are
//!
//! - the device that holds the inode: its number changes with reboots and mounts. Another file system mounted in its
//!   place shows by inode and ctime;
//! - the number of links and attributes: whatever changes them sets ctime;
//! - blocks, atime and birth: they say nothing of content, or cannot change without ctime.

use std::time::Duration;

use hashbrown::HashMap;

use super::key::CacheSecret;
use crate::time::Timestamp;
use crate::walk::{Owners, Stat};

/// How far the kernel's coarse clock, which stamps files, may lag behind the exact one that began the scan: two ticks at
/// 100 Hz.
const TICK_SLACK: Duration = Duration::from_millis(20);

/// What one entry looked like; never compared to itself where it tells nothing.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint(pub(super) u64);

impl Fingerprint {
    /// Matches nothing: an entry that changed too close to the scan, or was not read completely.
    pub const NEVER: Self = Self(0);

    /// Whether an entry with this fingerprint is the one that had the fingerprint `before`.
    pub fn matches(self, before: Fingerprint) -> bool {
        self.0 != 0 && self.0 == before.0
    }

    /// Whether it can match anything.
    pub fn is_never(self) -> bool {
        self.0 == 0
    }
}

/// Since when changes of files are too fresh to be told apart by their times.
///
/// A file that is written twice within one unit of its file system's clock keeps its times. So what changed less than
/// such a unit before the scan began may change after it was read and look the same. The unit is one tick of the kernel
/// for times with nanoseconds, and a given one for times in whole seconds, which only coarse file systems set.
#[derive(Clone, Copy, Debug)]
pub struct Cutoff {
    fine: Timestamp,
    coarse: Timestamp,
}

impl Cutoff {
    /// For a scan that began at `scan_start`; `coarse` is the granularity of file systems that keep whole seconds: 1 s
    /// for most, 2 s for FAT.
    pub fn new(scan_start: Timestamp, coarse: Duration) -> Self {
        Self {
            fine: earlier(scan_start, TICK_SLACK),
            coarse: earlier(scan_start, coarse.max(TICK_SLACK)),
        }
    }

    /// Whether both times are so old that a later change would show.
    pub fn is_settled(&self, stat: &Stat) -> bool {
        [stat.mtime, stat.ctime]
            .into_iter()
            .all(|time| time < if time.nanos == 0 { self.coarse } else { self.fine })
    }
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    let borrow = time.nanos < by.subsec_nanos();
    let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
    Timestamp {
        seconds: time.seconds.saturating_sub(seconds).saturating_sub(i64::from(borrow)),
        nanos: time.nanos + if borrow { 1_000_000_000 } else { 0 } - by.subsec_nanos(),
    }
}

/// Makes fingerprints. Shared by the threads of a scan as it is.
#[derive(Debug)]
pub struct Fingerprinter {
    keys: [u64; 2],
    cutoff: Cutoff,
    /// Digests of names by number, so that a renamed user makes the files of that user differ, and no others.
    users: HashMap<u32, u64>,
    groups: HashMap<u32, u64>,
}

impl Fingerprinter {
    /// For a scan with the keys of a cache, the names that numbers have now, and the time that it began.
    pub fn new(secret: &CacheSecret, owners: &Owners, cutoff: Cutoff) -> Self {
        let keys = secret.fingerprint_keys();
        let digest = |(number, name): (u32, &bstr::BStr)| (number, sip_1_3(keys, &[], name));
        Self {
            keys,
            cutoff,
            users: owners.users().map(digest).collect(),
            groups: owners.groups().map(digest).collect(),
        }
    }

    /// The fingerprint of an entry; [`Fingerprint::NEVER`] if it changed too close to the scan.
    pub fn entry(&self, name: &[u8], stat: &Stat) -> Fingerprint {
        if !self.cutoff.is_settled(stat) {
            return Fingerprint::NEVER;
        }
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let name_bytes = u32::try_from(name.len()).unwrap_or(u32::MAX);
        let words = [
            pair(u32::from(stat.kind as u8) | stat.mode << 16, name_bytes),
            pair(stat.uid, stat.gid),
            self.users.get(&stat.uid).copied().unwrap_or(0),
            self.groups.get(&stat.gid).copied().unwrap_or(0),
            stat.size,
            stat.mtime.seconds.cast_unsigned(),
            stat.ctime.seconds.cast_unsigned(),
            pair(stat.mtime.nanos, stat.ctime.nanos),
            stat.ino,
            pair(stat.rdev_major, stat.rdev_minor),
        ];
        Fingerprint(sip_1_3(self.keys, &words, name).max(1))
    }

    /// The fingerprint of the hard-link groups of a directory's entries, by their places; none where there are none. It
    /// stands behind those of the entries: a group changes when a name far away does, and no time of this directory.
    pub fn links(&self, groups: &[(usize, [u8; 16])]) -> Option<Fingerprint> {
        let mut bytes = Vec::with_capacity(groups.len() * 24);
        for (at, group) in groups {
            bytes.extend_from_slice(&(*at as u64).to_le_bytes());
            bytes.extend_from_slice(group);
        }
        (!groups.is_empty()).then(|| Fingerprint(sip_1_3(self.keys, &[], &bytes).max(1)))
    }
}

/// SipHash-1-3 of `words`, each as eight bytes with the lowest first, and `tail`.
fn sip_1_3(keys: [u64; 2], words: &[u64], tail: &[u8]) -> u64 {
    let mut v = [
        keys[0] ^ 0x736f_6d65_7073_6575,
        keys[1] ^ 0x646f_7261_6e64_6f6d,
        keys[0] ^ 0x6c79_6765_6e65_7261,
        keys[1] ^ 0x7465_6462_7974_6573,
    ];
    let mut compress = |word: u64| {
        v[3] ^= word;
        sip_round(&mut v);
        v[0] ^= word;
    };
    words.iter().copied().for_each(&mut compress);
    let (chunks, rest) = tail.as_chunks::<8>();
    chunks
        .iter()
        .map(|chunk| u64::from_le_bytes(*chunk))
        .for_each(&mut compress);
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    // The highest byte of the last word is the length of the message, cut to eight bits.
    last[7] = ((words.len() * 8 + tail.len()) & 0xff) as u8;
    compress(u64::from_le_bytes(last));
    v[2] ^= 0xff;
    for _ in 0..3 {
        sip_round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline]
fn sip_round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher};

    use super::*;
    use crate::object::Kind;

    const START: Timestamp = Timestamp {
        seconds: 1_000_000,
        nanos: 500_000_000,
    };

    fn stat() -> Stat {
        Stat {
            kind: Kind::File,
            mode: 0o644,
            nlink: 1,
            uid: 1000,
            gid: 100,
            dev: 7,
            ino: 42,
            size: 4096,
            mtime: Timestamp::new(1000, 1),
            ctime: Timestamp::new(2000, 2),
            btime: None,
            rdev_major: 0,
            rdev_minor: 0,
            blocks: 8,
        }
    }

    fn fingerprinter(passwd: &[u8], group: &[u8]) -> Fingerprinter {
        let secret = CacheSecret::from_bytes([9; 32]);
        let cutoff = Cutoff::new(START, Duration::from_secs(1));
        Fingerprinter::new(&secret, &Owners::from_files(passwd, group), cutoff)
    }

    /// The standard library's default hasher is SipHash-1-3 with zero keys.
    #[test]
    fn the_hash_is_the_one_of_the_standard_library() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..bytes.len() {
            let mut expected = DefaultHasher::new();
            expected.write(&bytes[..len]);
            assert_eq!(sip_1_3([0, 0], &[], &bytes[..len]), expected.finish(), "{len} bytes");
        }
        let mut expected = DefaultHasher::new();
        expected.write_u64(7_u64.to_le());
        expected.write_u64((u64::MAX - 1).to_le());
        expected.write(b"name of a file");
        assert_eq!(
            sip_1_3([0, 0], &[7, u64::MAX - 1], b"name of a file"),
            expected.finish()
        );
    }

    #[test]
    fn both_halves_of_the_key_count() {
        let values = [[0, 0], [1, 0], [0, 1]].map(|keys| sip_1_3(keys, &[1], b"a"));
        assert!(values[0] != values[1] && values[0] != values[2] && values[1] != values[2]);
    }

    #[test]
    fn each_clause_counts_by_itself() {
        let make = fingerprinter(b"", b"");
        let was = make.entry(b"name", &stat());
        assert!(was.matches(make.entry(b"name", &stat())));
        let time = Timestamp::new(1000, 3);
        let next_second = |time: Timestamp| Timestamp::new(time.seconds + 1, time.nanos);
        let changed = [
            Stat {
                kind: Kind::Symlink,
                ..stat()
            },
            Stat { mode: 0o4644, ..stat() },
            Stat { mode: 0o645, ..stat() },
            Stat { uid: 1001, ..stat() },
            Stat { gid: 101, ..stat() },
            Stat {
                uid: 100,
                gid: 1000,
                ..stat()
            },
            Stat { size: 4097, ..stat() },
            Stat {
                size: 4096 + (1 << 32),
                ..stat()
            },
            Stat { mtime: time, ..stat() },
            Stat { ctime: time, ..stat() },
            Stat {
                mtime: next_second(stat().mtime),
                ..stat()
            },
            Stat {
                ctime: next_second(stat().ctime),
                ..stat()
            },
            Stat { ino: 43, ..stat() },
            Stat {
                rdev_major: 1,
                ..stat()
            },
            Stat {
                rdev_minor: 1,
                ..stat()
            },
        ];
        for other in changed {
            assert!(!make.entry(b"name", &other).matches(was), "{other:?}");
        }
        for name in [b"nam".as_slice(), b"name ", b"Name", b"name\xff", b""] {
            assert!(!make.entry(name, &stat()).matches(was), "{name:?}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_content_does_not_count() {
        let make = fingerprinter(b"", b"");
        let other = Stat {
            dev: 8,
            nlink: 2,
            blocks: 0,
            btime: Some(START),
            ..stat()
        };
        assert!(make.entry(b"n", &other).matches(make.entry(b"n", &stat())));
    }

    #[test]
    fn the_names_of_owners_count_for_their_files_only() {
        let was = fingerprinter(b"a:x:1000:\nb:x:1:", b"g:x:100:").entry(b"n", &stat());
        let same = fingerprinter(b"a:x:1000:\nc:x:1:\nd:x:2:", b"g:x:100:").entry(b"n", &stat());
        assert!(same.matches(was));
        let user = fingerprinter(b"aa:x:1000:", b"g:x:100:").entry(b"n", &stat());
        let group = fingerprinter(b"a:x:1000:", b"").entry(b"n", &stat());
        assert!(!user.matches(was) && !group.matches(was));
    }

    #[test]
    fn hard_link_groups_count_with_their_places() {
        let make = fingerprinter(b"", b"");
        let (one, two) = ([1; 16], [2; 16]);
        assert!(make.links(&[]).is_none());
        let was = make.links(&[(0, one), (3, two)]).unwrap();
        assert!(was.matches(make.links(&[(0, one), (3, two)]).unwrap()));
        for other in [
            vec![(0, one)],
            vec![(0, two), (3, two)],
            vec![(1, one), (3, two)],
            vec![(0, one), (3, one)],
        ] {
            assert!(!was.matches(make.links(&other).unwrap()), "{other:?}");
        }
    }

    #[test]
    fn entries_that_changed_close_to_the_scan_are_never_trusted() {
        let make = fingerprinter(b"", b"");
        let at = |seconds, nanos| Timestamp::new(seconds, nanos);
        // Nanoseconds: one tick before the start. Whole seconds: the granularity before it.
        let settled = [at(1_000_000, 479_999_999), at(999_999, 1), at(999_999, 0), at(-5, 0)];
        let fresh = [
            at(1_000_000, 480_000_000),
            at(1_000_000, 0),
            START,
            at(1_000_001, 1),
            at(4_000_000_000, 0),
        ];
        for time in settled {
            assert!(
                !make.entry(b"n", &Stat { mtime: time, ..stat() }).is_never(),
                "mtime {time:?}"
            );
            assert!(
                !make.entry(b"n", &Stat { ctime: time, ..stat() }).is_never(),
                "ctime {time:?}"
            );
        }
        for time in fresh {
            let found = make.entry(b"n", &Stat { mtime: time, ..stat() });
            assert!(found.is_never() && !found.matches(found), "mtime {time:?}");
            assert!(
                make.entry(b"n", &Stat { ctime: time, ..stat() }).is_never(),
                "ctime {time:?}"
            );
        }
    }

    #[test]
    fn the_cutoff_borrows_from_the_seconds() {
        let time = earlier(Timestamp::new(0, 5), Duration::from_nanos(1_000_000_006));
        assert_eq!(time, Timestamp::new(-2, 999_999_999));
        assert_eq!(earlier(Timestamp::new(i64::MIN, 0), Duration::MAX).seconds, i64::MIN);
    }
}
