//! Metadata: what a name is to have, whether it has it, and giving it.
//!
//! Everything is done through a handle ([`Subject`]), so that no name can be swapped in between. The order is owner,
//! extended attributes, mode, times:
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

use std::os::fd::{AsFd, OwnedFd};

use bstr::BString;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::Context;
use super::report::Count;
use super::subject::Subject;
use super::target::{Dir, Finish};
use crate::error::Result;
use crate::object::{Kind, Metadata};
use crate::time::Timestamp;

/// Setuid and setgid.
const TRUSTED_BITS: u32 = 0o6000;
/// The owner reads and writes.
const OWN_BITS: u32 = 0o600;

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

    /// The permissions that a new file may be born with: its own if nobody, its owner apart, can do more with it on the
    /// way than in the end, whichever group it is born with; else none but its owner's. A process can always write what
    /// it has made, so bits without which it could not set attributes are for later, too.
    pub fn birth_mode(&self) -> u32 {
        let born_owned = self.uid.is_none_or(|uid| uid == 0);
        let group_as_others = (self.mode >> 3) & 0o7 == self.mode & 0o7;
        let plain = self.mode & 0o7000 == 0 && self.mode & OWN_BITS == OWN_BITS && self.xattrs.is_empty();
        if born_owned && group_as_others && plain {
            self.mode
        } else {
            OWN_BITS
        }
    }

    /// The mode to set. A file that could not be given to its owner does not get bits that act for an owner.
    fn mode_if(&self, owned: bool, stat: &Stat) -> u32 {
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if owned || is_directory {
            self.mode
        } else {
            self.mode & !TRUSTED_BITS
        }
    }

    fn owner_fits(&self, stat: &Stat) -> bool {
        self.uid.is_none_or(|uid| uid == stat.st_uid) && self.gid.is_none_or(|gid| gid == stat.st_gid)
    }
}

/// Whether an attribute is restored only with `privileged`.
fn is_trusted(name: &[u8]) -> bool {
    name.starts_with(b"security.") || name.starts_with(b"trusted.")
}

/// A failed call, without the name it was about.
type Refused = (&'static str, Errno);

/// Sets one thing after the other. What fails is kept to be told, and the rest is still set.
struct Steps<'s, 'j> {
    context: &'s Context<'j>,
    subject: Subject<'s>,
    failed: Option<Refused>,
}

impl<'s, 'j> Steps<'s, 'j> {
    fn new(dir: &'s Dir<'j>, subject: Subject<'s>) -> Self {
        Self {
            context: dir.context(),
            subject,
            failed: None,
        }
    }

    fn keep(&mut self, op: &'static str, result: rustix::io::Result<()>) -> bool {
        if let Err(errno) = result {
            self.failed.get_or_insert((op, errno));
        }
        result.is_ok()
    }

    /// Sets owner and group where they differ, and says whether they are right now.
    fn owner(&mut self, stat: &Stat, wanted: &Wanted) -> bool {
        if wanted.owner_fits(stat) {
            return true;
        }
        match self.subject.set_owner(wanted.uid, wanted.gid) {
            Err(Errno::PERM | Errno::INVAL) if !self.context.options.is_root => {
                self.context.report.one(Count::NotOwned);
                false
            }
            result => self.keep("chown", result),
        }
    }

    fn mode(&mut self, mode: u32) {
        let result = self.subject.set_mode(mode);
        self.keep("chmod", result);
    }

    fn set_xattrs<'x>(&mut self, xattrs: impl IntoIterator<Item = &'x (BString, Vec<u8>)>) {
        for (name, value) in xattrs {
            let result = self.subject.set_xattr(name, value);
            self.keep("set an extended attribute of", result);
        }
    }

    /// Sets what is missing or differs, and removes what is not wanted.
    fn sync_xattrs(&mut self, wanted: &Wanted) {
        let has = match managed_xattrs(self.context, self.subject) {
            Ok(has) => has,
            Err(errno) => {
                self.keep("read the extended attributes of", Err(errno));
                Vec::new()
            }
        };
        self.set_xattrs(wanted.xattrs.iter().filter(|pair| !has.contains(pair)));
        for (name, _) in has {
            if wanted.xattrs.iter().all(|(kept, _)| *kept != name) {
                let result = self.subject.remove_xattr(&name);
                self.keep("remove an extended attribute of", result);
            }
        }
    }

    /// Sets the times, the last step, and reports the first that failed.
    fn end(mut self, dir: &Dir<'_>, name: &[u8], mtime: Timestamp) {
        let result = self.subject.set_mtime(mtime);
        self.keep("set the times of", result);
        if let Some((op, errno)) = self.failed {
            self.context
                .report
                .problem(dir.path_of(name), dir.error(op, name)(errno));
        }
    }
}

/// Gives everything to something that this job has just made, in `dir`. `stat` is how it was born. What cannot be
/// set is reported.
pub(super) fn give(dir: &Dir<'_>, name: &[u8], subject: Subject<'_>, stat: &Stat, wanted: &Wanted) {
    let mut steps = Steps::new(dir, subject);
    let owned = steps.owner(stat, wanted);
    if dir.inherits_acl {
        steps.sync_xattrs(wanted);
    } else {
        steps.set_xattrs(&wanted.xattrs);
    }
    let mode = wanted.mode_if(owned, stat);
    // Only what nothing has touched since is as it was born.
    let untouched = wanted.owner_fits(stat) && wanted.xattrs.is_empty() && !dir.inherits_acl;
    if !untouched || stat.st_mode & 0o7777 != mode {
        steps.mode(mode);
    }
    steps.end(dir, name, wanted.mtime);
}

/// Changes what differs on something that was there. What cannot be set is reported.
pub(super) fn fix(dir: &Dir<'_>, name: &[u8], subject: Subject<'_>, stat: &Stat, wanted: &Wanted) {
    let mut steps = Steps::new(dir, subject);
    let locked = !dir.context().options.is_root && stat.st_mode & 0o600 != 0o600;
    if locked {
        // Attributes need permission to read and write, also of the owner.
        steps.mode(stat.st_mode & 0o7777 | 0o600);
    }
    let moves = !wanted.owner_fits(stat);
    let owned = steps.owner(stat, wanted);
    steps.sync_xattrs(wanted);
    if moves || locked || !wanted.mode_fits(stat) || !wanted.xattrs.is_empty() {
        steps.mode(wanted.mode_if(owned, stat));
    }
    steps.end(dir, name, wanted.mtime);
}

/// Whether something that is there has the wanted metadata.
pub(super) fn fits(context: &Context<'_>, subject: Subject<'_>, stat: &Stat, wanted: &Wanted) -> bool {
    let is_link = matches!(subject, Subject::ByPath(_, true));
    // A group that may not be set is no reason to touch the rest.
    let owner_fits = wanted.owner_fits(stat) || !context.options.is_root;
    owner_fits
        && mtime_of(stat) == wanted.mtime
        && (is_link || wanted.mode_fits(stat))
        && managed_xattrs(context, subject).is_ok_and(|has| has == wanted.xattrs)
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

/// Sets the metadata of a directory when everything in it is done.
pub(super) fn finish_directory(dir: &Dir<'_>, handle: &OwnedFd, finish: &Finish) -> Result<()> {
    let subject = Subject::Open(handle.as_fd());
    let stat = rustix::fs::fstat(handle).map_err(dir.error("stat", b""))?;
    match (&finish.wanted, finish.mode_before) {
        (Some(wanted), _) if dir.fresh => give(dir, b"", subject, &stat, wanted),
        (Some(wanted), _) if fits(dir.context(), subject, &stat, wanted) => {}
        (Some(wanted), _) => fix(dir, b"", subject, &stat, wanted),
        (None, Some(mode)) => subject.set_mode(mode).map_err(dir.error("chmod", b""))?,
        (None, None) => {}
    }
    Ok(())
}

/// The mtime in a stat.
pub(super) fn mtime_of(stat: &Stat) -> Timestamp {
    // The kernel gives less than a second of nanoseconds.
    Timestamp::new(stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))
}
