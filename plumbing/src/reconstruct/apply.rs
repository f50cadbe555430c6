//! Metadata: what a name is to have, whether it has it, and giving it.
//!
//! Everything is done through a handle, so that no name can be swapped in between: directories and regular files by
//! their descriptor, all else by one opened with `O_PATH`, which `/proc/self/fd` makes usable for what takes only
//! paths. The order is owner, extended attributes, mode, times:
//!
//! - a change of the owner clears setuid bits and capabilities, so it comes first;
//! - attributes need write permission, which the mode may take away;
//! - times come last: a file has its final mtime only when it is complete.
//!
//! What needs trust is withheld unless `privileged` is asked for: setuid and setgid bits of files, and the
//! attributes `security.*` and `trusted.*`. Setgid on directories is ordinary. Who is not root restores the group
//! where the system allows it, and no owner.
//!
//! Access-control lists are the attributes `system.posix_acl_*` and name users by number.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use bstr::BString;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Context;
use super::report::Count;
use super::target::{Dir, Finish};
use crate::error::Result;
use crate::limits::XATTR_VALUE_BYTES_MAX;
use crate::object::{Kind, Metadata};
use crate::time::Timestamp;

/// Setuid and setgid.
const TRUSTED_BITS: u32 = 0o6000;
/// Longest list of attribute names that is read, in bytes (Linux: 64 KiB).
const XATTR_LIST_BYTES_MAX: usize = 1 << 20;
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// The metadata that a name is to have, after the options were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Permission bits; not for symbolic links.
    pub mode: u32,
    /// Bits that the tree has and that are withheld.
    pub withheld_bits: u32,
    /// None: leave it.
    pub uid: Option<u32>,
    /// None: leave it.
    pub gid: Option<u32>,
    /// Time of last change.
    pub mtime: Timestamp,
    /// Extended attributes, sorted, without those that are withheld.
    pub xattrs: Vec<(BString, Vec<u8>)>,
}

impl Wanted {
    /// What an entry of `kind` with `meta` is to have. `uid` and `gid` are those that its names stand for here.
    pub fn new(context: &Context<'_>, kind: Kind, meta: &Metadata, uid: u32, gid: u32) -> Self {
        let options = context.options;
        let withheld_bits = if kind != Kind::Directory && !options.privileged {
            meta.mode & TRUSTED_BITS
        } else {
            0
        };
        let xattrs: Vec<_> = meta
            .xattrs
            .iter()
            .filter(|(name, _)| options.privileged || !is_trusted(name))
            .cloned()
            .collect();
        Self {
            mode: meta.mode & !withheld_bits,
            withheld_bits,
            uid: options.is_root.then_some(uid),
            gid: Some(gid),
            mtime: meta.mtime,
            xattrs,
        }
    }

    /// Whether something of `meta` is withheld.
    pub fn withholds(&self, meta: &Metadata) -> bool {
        self.withheld_bits != 0 || self.xattrs.len() != meta.xattrs.len()
    }

    /// Bytes of memory behind it.
    pub fn weight(&self) -> usize {
        let each = |(name, value): &(BString, Vec<u8>)| name.len() + value.len() + 80;
        self.xattrs.iter().map(each).sum()
    }

    /// Whether the mode in `stat` is good: as wanted, or as in the tree with the bits that would be withheld.
    fn mode_fits(&self, stat: &Stat) -> bool {
        let mode = stat.st_mode & 0o7777;
        mode == self.mode || mode == self.mode | self.withheld_bits
    }

    fn owner_fits(&self, stat: &Stat) -> bool {
        self.uid.is_none_or(|uid| uid == stat.st_uid) && self.gid.is_none_or(|gid| gid == stat.st_gid)
    }
}

/// Whether an attribute is restored only with `privileged`.
fn is_trusted(name: &[u8]) -> bool {
    name.starts_with(b"security.") || name.starts_with(b"trusted.")
}

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

    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> rustix::io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        rustix::fs::chownat(self.fd(), c"", uid, gid, AtFlags::EMPTY_PATH)
    }

    fn set_mode(&self, mode: u32) -> rustix::io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode),
            Self::ByPath(_, true) => Ok(()),
            Self::ByPath(_, false) => rustix::fs::chmod(self.proc_path(), mode),
        }
    }

    fn set_mtime(&self, mtime: Timestamp) -> rustix::io::Result<()> {
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

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::ByPath(..) => rustix::fs::setxattr(self.proc_path(), name, value, XattrFlags::empty()),
        }
    }

    fn remove_xattr(&self, name: &[u8]) -> rustix::io::Result<()> {
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
    fn xattr_names(&self) -> rustix::io::Result<Vec<BString>> {
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
    fn xattr_value(&self, name: &[u8]) -> rustix::io::Result<Option<Vec<u8>>> {
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

/// A failed call, without the name it was about.
type Refused = (&'static str, Errno);

/// Gives everything to something that this job has just made, in `dir`. `stat` is how it was born.
pub(super) fn give(dir: &Dir<'_>, name: &[u8], subject: Subject<'_>, stat: &Stat, wanted: &Wanted) -> Result<()> {
    give_all(dir, subject, stat, wanted).map_err(|(op, errno)| dir.error(op, name)(errno))
}

fn give_all(dir: &Dir<'_>, subject: Subject<'_>, stat: &Stat, wanted: &Wanted) -> Result<(), Refused> {
    give_owner(dir.context(), subject, stat, wanted)?;
    if dir.inherits_acl {
        sync_xattrs(dir.context(), subject, wanted)?;
    } else {
        for (name, value) in &wanted.xattrs {
            subject
                .set_xattr(name, value)
                .map_err(|errno| ("set an extended attribute of", errno))?;
        }
    }
    subject.set_mode(wanted.mode).map_err(|errno| ("chmod", errno))?;
    subject
        .set_mtime(wanted.mtime)
        .map_err(|errno| ("set the times of", errno))
}

/// Sets owner and group where they differ. Says whether something was changed.
fn give_owner(context: &Context<'_>, subject: Subject<'_>, stat: &Stat, wanted: &Wanted) -> Result<bool, Refused> {
    if wanted.owner_fits(stat) {
        return Ok(false);
    }
    match subject.set_owner(wanted.uid, wanted.gid) {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::INVAL) if !context.options.is_root => {
            context.report.one(Count::NotOwned);
            Ok(false)
        }
        Err(errno) => Err(("chown", errno)),
    }
}

/// Whether something that is there has the wanted metadata.
pub(super) fn fits(context: &Context<'_>, subject: Subject<'_>, stat: &Stat, wanted: &Wanted) -> Result<bool, Errno> {
    let is_link = matches!(subject, Subject::ByPath(_, true));
    // A group that may not be set is no reason to touch the rest.
    let owner_fits = wanted.owner_fits(stat) || !context.options.is_root;
    if !owner_fits || mtime_of(stat) != wanted.mtime || !(is_link || wanted.mode_fits(stat)) {
        return Ok(false);
    }
    let has = managed_xattrs(context, subject)?;
    Ok(has == wanted.xattrs)
}

/// Changes what differs on something that was there.
pub(super) fn fix(dir: &Dir<'_>, name: &[u8], subject: Subject<'_>, stat: &Stat, wanted: &Wanted) -> Result<()> {
    fix_all(dir.context(), subject, stat, wanted).map_err(|(op, errno)| dir.error(op, name)(errno))
}

fn fix_all(context: &Context<'_>, subject: Subject<'_>, stat: &Stat, wanted: &Wanted) -> Result<(), Refused> {
    let locked = !context.options.is_root && stat.st_mode & 0o600 != 0o600;
    if locked {
        // Attributes need permission to read and write, also of the owner.
        subject
            .set_mode(stat.st_mode & 0o7777 | 0o600)
            .map_err(|errno| ("chmod", errno))?;
    }
    let owned = give_owner(context, subject, stat, wanted)?;
    sync_xattrs(context, subject, wanted)?;
    if owned || locked || !wanted.mode_fits(stat) || !wanted.xattrs.is_empty() {
        subject.set_mode(wanted.mode).map_err(|errno| ("chmod", errno))?;
    }
    subject
        .set_mtime(wanted.mtime)
        .map_err(|errno| ("set the times of", errno))
}

/// The attributes that this job is answerable for, sorted by name.
fn managed_xattrs(context: &Context<'_>, subject: Subject<'_>) -> Result<Vec<(BString, Vec<u8>)>, Errno> {
    let mut names = subject.xattr_names()?;
    names.retain(|name| context.options.privileged || !is_trusted(name));
    names.sort_unstable();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        if let Some(value) = subject.xattr_value(&name)? {
            found.push((name, value));
        }
    }
    Ok(found)
}

/// Sets what is missing or differs, and removes what is not wanted.
fn sync_xattrs(context: &Context<'_>, subject: Subject<'_>, wanted: &Wanted) -> Result<(), Refused> {
    let has = managed_xattrs(context, subject).map_err(|errno| ("read the extended attributes of", errno))?;
    for pair in wanted.xattrs.iter().filter(|pair| !has.contains(pair)) {
        subject
            .set_xattr(&pair.0, &pair.1)
            .map_err(|errno| ("set an extended attribute of", errno))?;
    }
    for (name, _) in has {
        if wanted.xattrs.iter().all(|(kept, _)| *kept != name) {
            subject
                .remove_xattr(&name)
                .map_err(|errno| ("remove an extended attribute of", errno))?;
        }
    }
    Ok(())
}

/// Sets the metadata of a directory when everything in it is done.
pub(super) fn finish_directory(dir: &Dir<'_>, handle: &OwnedFd, finish: &Finish) -> Result<()> {
    let subject = Subject::Open(handle.as_fd());
    let failed = |(op, errno): Refused| dir.error(op, b"")(errno);
    let stat = rustix::fs::fstat(handle).map_err(dir.error("stat", b""))?;
    match (&finish.wanted, finish.mode_before) {
        (Some(wanted), _) if dir.fresh => give_all(dir, subject, &stat, wanted).map_err(failed),
        (Some(wanted), _) => match fits(dir.context(), subject, &stat, wanted) {
            Ok(true) => Ok(()),
            _ => fix_all(dir.context(), subject, &stat, wanted).map_err(failed),
        },
        (None, Some(mode)) => subject.set_mode(mode).map_err(dir.error("chmod", b"")),
        (None, None) => Ok(()),
    }
}

/// The mtime in a stat.
pub(super) fn mtime_of(stat: &Stat) -> Timestamp {
    // The kernel gives less than a second of nanoseconds.
    Timestamp::new(stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))
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
