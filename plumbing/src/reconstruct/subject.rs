//! A handle to read and set metadata through, of whatever kind the thing is.
//!
//! Directories and regular files are reached by their descriptor, all else by one opened with `O_PATH`, which
//! `/proc/self/fd` makes usable for calls that take only paths. Such a path leads to the inode of the handle, also
//! where that is a symbolic link, and no further.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use bstr::BString;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::limits::XATTR_VALUE_BYTES_MAX;
use crate::time::Timestamp;

/// Longest list of attribute names that is read, in bytes (Linux: 64 KiB).
const XATTR_LIST_BYTES_MAX: usize = 1 << 20;
/// The access-control list that a directory hands down.
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// A handle to set metadata through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// A directory or regular file, open to read or write.
    Open(BorrowedFd<'a>),
    /// Anything else, opened with `O_PATH`; `true` for a symbolic link, which has no mode.
    ByPath(BorrowedFd<'a>, bool),
}

impl Subject<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Open(fd) | Self::ByPath(fd, _) => *fd,
        }
    }

    /// A path that leads to what the handle stands for, and no further where that is a link.
    fn proc_path(&self) -> String {
        format!("/proc/self/fd/{}", self.fd().as_raw_fd())
    }

    /// Sets owner and group; `None` leaves it.
    pub fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> rustix::io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        rustix::fs::chownat(self.fd(), c"", uid, gid, AtFlags::EMPTY_PATH)
    }

    /// Sets the permission bits; a symbolic link has none.
    pub fn set_mode(&self, mode: u32) -> rustix::io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode),
            Self::ByPath(_, true) => Ok(()),
            Self::ByPath(_, false) => rustix::fs::chmod(self.proc_path(), mode),
        }
    }

    /// Sets the time of last change and leaves that of last access.
    pub fn set_mtime(&self, mtime: Timestamp) -> rustix::io::Result<()> {
        let omit = Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        };
        let times = Timestamps {
            last_access: omit,
            last_modification: Timespec {
                tv_sec: mtime.seconds,
                tv_nsec: mtime.nanos.into(),
            },
        };
        match self {
            Self::Open(fd) => rustix::fs::futimens(fd, &times),
            Self::ByPath(..) => rustix::fs::utimensat(rustix::fs::CWD, self.proc_path(), &times, AtFlags::empty()),
        }
    }

    /// Sets an extended attribute.
    pub fn set_xattr(&self, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::ByPath(..) => rustix::fs::setxattr(self.proc_path(), name, value, XattrFlags::empty()),
        }
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, name: &[u8]) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Self::ByPath(..) => rustix::fs::removexattr(self.proc_path(), name),
        }
    }

    fn list_xattrs(&self, list: &mut Vec<u8>) -> rustix::io::Result<usize> {
        match self {
            Self::Open(fd) => rustix::fs::flistxattr(fd, list.as_mut_slice()),
            Self::ByPath(..) => rustix::fs::listxattr(self.proc_path(), list.as_mut_slice()),
        }
    }

    fn get_xattr(&self, name: &[u8], value: &mut Vec<u8>) -> rustix::io::Result<usize> {
        match self {
            Self::Open(fd) => rustix::fs::fgetxattr(fd, name, value.as_mut_slice()),
            Self::ByPath(..) => rustix::fs::getxattr(self.proc_path(), name, value.as_mut_slice()),
        }
    }

    /// The names of all attributes; none where the file system has no attributes.
    pub fn xattr_names(&self) -> rustix::io::Result<Vec<BString>> {
        let mut list = Vec::new();
        let found = grown(&mut list, XATTR_LIST_BYTES_MAX, |list| self.list_xattrs(list));
        let used = match found {
            Ok(used) => used,
            Err(Errno::NOTSUP) => 0,
            Err(errno) => return Err(errno),
        };
        let names = list[..used].split(|&byte| byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(BString::from).collect())
    }

    /// The value of an attribute; `None` where it is gone.
    pub fn xattr_value(&self, name: &[u8]) -> rustix::io::Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        match grown(&mut value, XATTR_VALUE_BYTES_MAX, |value| self.get_xattr(name, value)) {
            Ok(used) => {
                value.truncate(used);
                Ok(Some(value))
            }
            Err(Errno::NODATA) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

/// Calls `read` with a buffer that grows until what is there fits it.
fn grown(
    buffer: &mut Vec<u8>,
    bytes_max: usize,
    mut read: impl FnMut(&mut Vec<u8>) -> rustix::io::Result<usize>,
) -> rustix::io::Result<usize> {
    let mut bytes = 1024;
    loop {
        buffer.resize(bytes, 0);
        match read(buffer) {
            Err(Errno::RANGE) if bytes < bytes_max => bytes *= 8,
            found => return found,
        }
    }
}

/// Whether a directory hands an access-control list down to what is made in it.
pub(super) fn has_default_acl(handle: impl AsFd) -> bool {
    rustix::fs::fgetxattr(handle, ACL_DEFAULT, &mut [0u8; 0][..]).is_ok_and(|_| true)
}

/// Opens anything without following or waiting, only to look at it and to set its metadata.
pub(super) fn open_path(above: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(above, name, flags, Mode::empty())
}

/// Gives oneself access to a directory that one owns and may not open. Returns the mode it had.
pub(super) fn make_accessible(above: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<u32> {
    let handle = open_path(above, name)?;
    let stat = rustix::fs::fstat(&handle)?;
    Subject::ByPath(handle.as_fd(), false).set_mode(stat.st_mode & 0o7777 | 0o700)?;
    Ok(stat.st_mode & 0o7777)
}

/// The same for an open directory that one may not write or search. Returns the mode it had if that was changed.
pub(super) fn make_writable(handle: &OwnedFd) -> rustix::io::Result<Option<u32>> {
    let stat = rustix::fs::fstat(handle)?;
    if stat.st_mode & 0o700 == 0o700 || rustix::process::geteuid().as_raw() != stat.st_uid {
        return Ok(None);
    }
    Subject::Open(handle.as_fd()).set_mode(stat.st_mode & 0o7777 | 0o700)?;
    Ok(Some(stat.st_mode & 0o7777))
}

/// Gives what a handle stands for a new name. It may be a link, a file that has no name yet, or anything else.
pub(super) fn link_handle(handle: &OwnedFd, above: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::linkat(handle, c"", above, name, AtFlags::EMPTY_PATH) {
        // Only for the privileged, or for who opened it, depending on the kernel.
        Err(Errno::NOENT | Errno::PERM) => {
            let inode = format!("/proc/self/fd/{}", handle.as_raw_fd());
            rustix::fs::linkat(rustix::fs::CWD, inode, above, name, AtFlags::SYMLINK_FOLLOW)
        }
        linked => linked,
    }
}
