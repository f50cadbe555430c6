//! What `statx` says of one inode, and whether two looks saw the same content.
//!
//! A file is read between two looks: [`Stat`] by name before it is opened, [`stat_fd`] on the open file after its last
//! byte. Only if [`Stat::same_content`] holds between the two was one content read, and only then may it be recorded.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp};

use crate::object::Kind;
use crate::time::Timestamp;

/// The fields that a scan needs; each one more costs time on network file systems.
const FIELDS: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::NLINK)
    .union(StatxFlags::UID)
    .union(StatxFlags::GID)
    .union(StatxFlags::INO)
    .union(StatxFlags::SIZE)
    .union(StatxFlags::BLOCKS)
    .union(StatxFlags::MTIME)
    .union(StatxFlags::CTIME)
    .union(StatxFlags::BTIME);

/// Unit of `st_blocks` in bytes, whatever the file system's block is.
const STAT_BLOCK_BYTES: u64 = 512;

/// An inode as `statx` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// File, directory, link, ...
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: 07777 at most.
    pub mode: u32,
    /// Names of the inode.
    pub nlink: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// The device that holds the inode. It may differ after a reboot or another mount.
    pub dev: u64,
    /// The number of the inode on its device.
    pub ino: u64,
    /// Length of the content in bytes; of a symbolic link, of its target.
    pub size: u64,
    /// Last change of the content, settable by anybody who may write.
    pub mtime: Timestamp,
    /// Last change of content or metadata, set by the kernel only.
    pub ctime: Timestamp,
    /// Birth, where the file system keeps it.
    pub btime: Option<Timestamp>,
    /// Major number of a device node, else 0.
    pub rdev_major: u32,
    /// Minor number of a device node, else 0.
    pub rdev_minor: u32,
    /// Space on disk, in units of 512 bytes.
    pub blocks: u64,
}

impl Stat {
    /// Whether two looks at one name or open file saw the same content.
    ///
    /// Compared are kind, device, inode, size, mtime and ctime. The kernel sets ctime at every write, also where mtime
    /// is set back afterwards, so nothing else is needed; a change of owner, mode or links during the read counts as a
    /// change too, which costs another read and is never wrong.
    pub fn same_content(&self, other: &Stat) -> bool {
        self.kind == other.kind
            && self.dev == other.dev
            && self.ino == other.ino
            && self.size == other.size
            && self.mtime == other.mtime
            && self.ctime == other.ctime
    }

    /// Whether fewer bytes are on disk than the content has, so that looking for holes can pay.
    pub fn may_have_holes(&self) -> bool {
        self.blocks.saturating_mul(STAT_BLOCK_BYTES) < self.size
    }
}

impl TryFrom<Statx> for Stat {
    type Error = io::Error;

    /// Fails where the type bits are none that exist.
    fn try_from(found: Statx) -> io::Result<Self> {
        let type_bits = u32::from(found.stx_mode);
        let kind = Kind::from_type_bits(type_bits).ok_or_else(|| {
            let problem = format!("expected a known file type, found mode {type_bits:o}");
            io::Error::new(io::ErrorKind::InvalidData, problem)
        })?;
        let has_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(Self {
            kind,
            mode: u32::from(found.stx_mode) & 0o7777,
            nlink: found.stx_nlink,
            uid: found.stx_uid,
            gid: found.stx_gid,
            dev: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
            ino: found.stx_ino,
            size: found.stx_size,
            mtime: instant(found.stx_mtime),
            ctime: instant(found.stx_ctime),
            btime: has_birth.then(|| instant(found.stx_btime)),
            rdev_major: found.stx_rdev_major,
            rdev_minor: found.stx_rdev_minor,
            blocks: found.stx_blocks,
        })
    }
}

fn instant(time: StatxTimestamp) -> Timestamp {
    Timestamp::new(time.tv_sec, time.tv_nsec)
}

/// Looks at the entry `name` of `dir` itself, through no link, and mounts nothing.
pub(super) fn stat_at(dir: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Stat> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_SYNC_AS_STAT;
    Stat::try_from(rustix::fs::statx(dir, name, flags, FIELDS)?)
}

/// Looks at an open file.
pub fn stat_fd(file: impl AsFd) -> io::Result<Stat> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_SYNC_AS_STAT;
    Stat::try_from(rustix::fs::statx(file, c"", flags, FIELDS)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_stat_says_what_the_standard_library_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"hello").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4751)).unwrap();
        let expected = std::fs::metadata(&path).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let found = stat_fd(&file).unwrap();
        assert_eq!(found, stat_at(rustix::fs::CWD, &path).unwrap());
        assert_eq!((found.kind, found.mode, found.size), (Kind::File, 0o4751, 5));
        assert_eq!((found.dev, found.ino), (expected.dev(), expected.ino()));
        assert_eq!((found.uid, found.gid), (expected.uid(), expected.gid()));
        assert_eq!(u64::from(found.nlink), expected.nlink());
        assert_eq!(found.blocks, expected.blocks());
        assert_eq!(found.mtime.seconds, expected.mtime());
        assert_eq!(i64::from(found.mtime.nanos), expected.mtime_nsec());
        assert_eq!(found.ctime.seconds, expected.ctime());
        assert_eq!(i64::from(found.ctime.nanos), expected.ctime_nsec());
    }

    #[test]
    fn a_device_node_has_its_numbers() {
        let null = stat_at(rustix::fs::CWD, "/dev/null").unwrap();
        assert_eq!((null.kind, null.rdev_major, null.rdev_minor), (Kind::CharDevice, 1, 3));
    }

    #[test]
    fn each_field_that_tells_of_content_counts_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let stat = stat_at(rustix::fs::CWD, folder.path()).unwrap();
        let later = Timestamp::new(stat.mtime.seconds, stat.mtime.nanos ^ 1);
        let changed = [
            Stat {
                kind: Kind::File,
                ..stat
            },
            Stat {
                dev: stat.dev + 1,
                ..stat
            },
            Stat {
                ino: stat.ino + 1,
                ..stat
            },
            Stat {
                size: stat.size + 1,
                ..stat
            },
            Stat { mtime: later, ..stat },
            Stat { ctime: later, ..stat },
        ];
        assert!(stat.same_content(&stat));
        for other in changed {
            assert!(!stat.same_content(&other), "{other:?}");
        }
        let same = Stat {
            blocks: 7,
            btime: None,
            ..stat
        };
        assert!(
            stat.same_content(&same),
            "where a content lies on disk is not the content"
        );
    }

    #[test]
    fn a_sparse_file_may_have_holes() {
        let file = tempfile::tempfile().unwrap();
        assert!(!stat_fd(&file).unwrap().may_have_holes());
        file.set_len(1 << 30).unwrap();
        assert!(stat_fd(&file).unwrap().may_have_holes());
    }
}
