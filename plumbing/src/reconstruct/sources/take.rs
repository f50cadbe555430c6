//! Putting a file that was found elsewhere into the target: as a copy, a clone or a link.
//!
//! A copy is hashed while it is written, a clone after it was cloned, into a file that has no name yet; a name is given
//! only if the hash is right. What a link leads to is hashed and must be unchanged since it was opened; a hard link is
//! made to the open inode itself, and for a symbolic link the path must lead to that inode afterwards, too.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::BString;
use rustix::io::Errno;

use super::open::{Opened, hash_with, is_unchanged};
use super::{Elsewhere, How, Lost, Take, Why};
use crate::error::{Error, Result};
use crate::object::{Entry, Node, ObjectId};
use crate::progress::Progress;
use crate::reconstruct::Context;
use crate::reconstruct::apply::Wanted;
use crate::reconstruct::files::{FileJob, count_made};
use crate::reconstruct::last::{Special, put_in_place};
use crate::reconstruct::made::Made;
use crate::reconstruct::options::Reflink;
use crate::reconstruct::report::Count;
use crate::reconstruct::subject::link_handle;
use crate::reconstruct::target::Identity;
use crate::walk::stat_fd;

/// How a file is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Copy,
    Symlink { relative: bool },
    Hardlink,
}

/// Why a file was not taken.
pub(super) enum Refused {
    /// The source does not serve; another may.
    Source(Why),
    /// The target cannot be written.
    Target(Error),
}

impl From<Why> for Refused {
    fn from(why: Why) -> Self {
        Self::Source(why)
    }
}

/// Makes one file of the target from what is found.
pub(super) struct Taker<'s, 'j> {
    context: &'j Context<'j>,
    elsewhere: &'s Elsewhere<'j>,
    made: &'s Made<'j>,
    lost: &'s Lost<'j>,
    id: Option<ObjectId>,
    /// What the file that was tried last was hashed to.
    hashed: Option<ObjectId>,
    buffer: Vec<u8>,
}

impl<'s, 'j> Taker<'s, 'j> {
    /// For one file.
    pub fn new(context: &'j Context<'j>, elsewhere: &'s Elsewhere<'j>, made: &'s Made<'j>, lost: &'s Lost<'j>) -> Self {
        Self {
            context,
            elsewhere,
            made,
            lost,
            id: lost.entry.fullhash(),
            hashed: None,
            buffer: Vec::new(),
        }
    }

    /// How files are taken that are not in the target.
    pub fn mode(&self) -> Mode {
        match self.elsewhere.sources.take {
            Take::Copy => Mode::Copy,
            Take::Symlink { relative } => Mode::Symlink { relative },
            Take::Hardlink => Mode::Hardlink,
        }
    }

    /// What the file that was tried last was hashed to, if it was.
    pub fn hashed(&self) -> Option<ObjectId> {
        self.hashed
    }

    /// Takes an open file at `path`, if it has the content; `None` where the target has that link already. `note` is
    /// told what did not work before the way that did.
    pub fn take(
        &mut self,
        path: &Path,
        opened: &Opened,
        mode: Mode,
        note: &mut dyn FnMut(Why),
    ) -> Result<Option<How>, Refused> {
        self.hashed = None;
        match mode {
            Mode::Copy => {}
            // A link to itself would have no content; a further name of it is there already.
            Mode::Symlink { .. } if self.is_itself(opened)? => return Err(Why::Itself.into()),
            Mode::Hardlink if self.is_itself(opened)? => {
                self.check(opened)?;
                self.keep();
                return Ok(None);
            }
            Mode::Symlink { .. } | Mode::Hardlink => {}
        }
        if self.context.options.test {
            return self.rehearse(path, opened, mode, note);
        }
        match mode {
            Mode::Copy => self.copy(opened).map(Some),
            Mode::Symlink { relative } => self.symlink(path, opened, relative),
            Mode::Hardlink => match self.hardlink(opened) {
                Err(Refused::Source(why @ (Why::OtherDevice | Why::Refused(..)))) => {
                    note(why);
                    self.copy(opened).map(Some)
                }
                linked => linked.map(Some),
            },
        }
    }

    /// Hashes the source as the job would, and counts.
    fn rehearse(
        &mut self,
        path: &Path,
        opened: &Opened,
        mode: Mode,
        note: &mut dyn FnMut(Why),
    ) -> Result<Option<How>, Refused> {
        self.check(opened)?;
        let how = match mode {
            Mode::Copy => How::Copied,
            Mode::Symlink { relative } if self.is_linked(&self.link_target(path, relative)) => {
                self.keep();
                return Ok(None);
            }
            Mode::Symlink { .. } => How::Symlinked,
            Mode::Hardlink if self.target_device().is_some_and(|device| device != opened.stat.dev) => {
                note(Why::OtherDevice);
                How::Copied
            }
            Mode::Hardlink => How::Hardlinked,
        };
        self.count_rehearsed(how);
        Ok(Some(how))
    }

    /// Counts what would have been made.
    pub(super) fn count_rehearsed(&self, how: How) {
        let is_written = matches!(how, How::Copied | How::Assembled);
        let bytes = if is_written { self.lost.entry.size() } else { 0 };
        count_made(self.context, self.lost.replaces, bytes);
        self.count(how);
        self.context.progress.add(1, self.lost.entry.size());
    }

    /// Whether nothing is to be written.
    pub(super) fn is_rehearsal(&self) -> bool {
        self.context.options.test
    }

    /// Counts; tells when to stop.
    pub(super) fn progress(&self) -> &'j Progress {
        self.context.progress
    }

    /// What the tree says of the file.
    pub(super) fn entry(&self) -> &'s Entry {
        &self.lost.entry
    }

    /// Names a file that was written from elsewhere, and counts it.
    pub(super) fn finish_sourced(&self, job: FileJob<'j>) -> Result<(), Refused> {
        job.finish(self.made)?;
        self.context.report.one(Count::Sourced);
        Ok(())
    }

    /// Leaves the link that is there.
    fn keep(&self) {
        let Lost { dir, entry, keys, .. } = self.lost;
        if let (Some(group), Ok(Some(stat))) = (&keys[0], dir.look(&entry.name)) {
            self.made.confirm(group, Identity::of(&stat));
        }
        self.context.report.one(Count::Unchanged);
        self.context.progress.add(1, entry.size());
    }

    /// Counts a file that was located and made.
    fn count(&self, how: How) {
        let report = &self.context.report;
        report.one(Count::Files);
        report.one(match how {
            How::Copied | How::Cloned | How::Assembled => Count::Sourced,
            How::Symlinked | How::Hardlinked => Count::Linked,
        });
    }

    /// Hashes a source and compares.
    fn check(&mut self, opened: &Opened) -> Result<(), Refused> {
        let algo = self.algo()?;
        let progress = self.context.progress;
        let id = hash_with::<Refused>(&opened.file, opened.stat.size, algo, &mut self.buffer, &mut |_, _| {
            progress.check().map_err(Refused::Target)
        })?;
        if !is_unchanged(opened) {
            return Err(Why::Changed.into());
        }
        self.compare(id)
    }

    pub(super) fn algo(&self) -> Result<crate::object::HashAlgo, Refused> {
        self.id.map(|id| id.algo()).ok_or_else(|| Why::OtherContent.into())
    }

    pub(super) fn compare(&mut self, id: ObjectId) -> Result<(), Refused> {
        self.hashed = Some(id);
        match self.id == Some(id) {
            true => Ok(()),
            false => Err(Why::OtherContent.into()),
        }
    }

    /// A job that writes the file.
    pub(super) fn job(&self) -> FileJob<'j> {
        let Lost {
            dir,
            entry,
            wanted,
            keys,
            replaces,
            ..
        } = self.lost;
        let (name, bytes) = (entry.name.clone(), entry.size());
        let mut job = FileJob::new(dir.clone(), name, bytes, wanted.clone(), keys[0], *replaces);
        if let Some(key) = keys[1] {
            job.remember_content(key);
        }
        job
    }

    fn copy(&mut self, opened: &Opened) -> Result<How, Refused> {
        let job = self.job();
        let file = job.file()?;
        let reflink = self.context.options.reflink;
        let cloned = match reflink {
            Reflink::Never => Err(Errno::NOTSUP),
            Reflink::Auto | Reflink::Always => rustix::fs::ioctl_ficlone(&*file, &opened.file),
        };
        let how = match cloned {
            Ok(()) => {
                self.check_clone(&job, &file)?;
                self.context.progress.add(0, job.bytes);
                How::Cloned
            }
            Err(errno) if reflink == Reflink::Always => return Err(Why::Refused("cloned", errno).into()),
            Err(_) => {
                let algo = self.algo()?;
                let progress = self.context.progress;
                let id = hash_with::<Refused>(&opened.file, job.bytes, algo, &mut self.buffer, &mut |part, offset| {
                    progress.check()?;
                    Ok(job.write(part, offset)?)
                })?;
                self.compare(id)?;
                How::Copied
            }
        };
        self.finish_sourced(job)?;
        Ok(how)
    }

    /// Hashes what was cloned, which nobody else can change.
    fn check_clone(&mut self, job: &FileJob<'j>, file: &OwnedFd) -> Result<(), Refused> {
        let algo = self.algo()?;
        let stat = stat_fd(file).map_err(Error::io("stat", self.lost.dir.path_of(&job.name)))?;
        if stat.size != job.bytes {
            return Err(Why::Changed.into());
        }
        let progress = self.context.progress;
        let id = hash_with::<Refused>(file, job.bytes, algo, &mut self.buffer, &mut |_, _| {
            Ok(progress.check()?)
        })?;
        self.compare(id)
    }

    fn symlink(&mut self, path: &Path, opened: &Opened, relative: bool) -> Result<Option<How>, Refused> {
        self.check(opened)?;
        let leads_here =
            rustix::fs::lstat(path).is_ok_and(|now| (now.st_dev, now.st_ino) == (opened.stat.dev, opened.stat.ino));
        if !leads_here {
            return Err(Why::Vanished.into());
        }
        let target = self.link_target(path, relative);
        if self.is_linked(&target) {
            self.keep();
            return Ok(None);
        }
        let Lost {
            dir,
            entry,
            wanted,
            keys,
            replaces,
            ..
        } = self.lost;
        let special = Special {
            dir: dir.clone(),
            name: entry.name.clone(),
            node: Node::Symlink { target },
            // Attributes of a file are not for links.
            wanted: Wanted {
                xattrs: Vec::new(),
                ..wanted.clone()
            },
            group: keys[0],
            replaces: *replaces,
        };
        let identity = special.make()?;
        self.linked(How::Symlinked, identity);
        Ok(Some(How::Symlinked))
    }

    fn hardlink(&mut self, opened: &Opened) -> Result<How, Refused> {
        let Lost {
            dir, entry, replaces, ..
        } = self.lost;
        if self.target_device() != Some(opened.stat.dev) {
            return Err(Why::OtherDevice.into());
        }
        self.check(opened)?;
        let above = dir.handle()?;
        let mut refused = None;
        let create = |name: &BString| {
            let linked = link_handle(&opened.file, &above, name);
            refused = linked.err().filter(|errno| *errno != Errno::EXIST);
            linked
        };
        let placed = put_in_place(dir, &entry.name, *replaces, "link", create, |_| Ok(()));
        match refused {
            Some(errno @ (Errno::PERM | Errno::XDEV | Errno::MLINK | Errno::NOTSUP)) => {
                return Err(Why::Refused("linked", errno).into());
            }
            _ => placed?,
        }
        let stat = rustix::fs::fstat(&opened.file).map_err(dir.error("stat", &entry.name))?;
        self.linked(How::Hardlinked, Identity::of(&stat));
        Ok(How::Hardlinked)
    }

    /// Confirms and counts a link.
    fn linked(&self, how: How, identity: Identity) {
        if let Some(group) = &self.lost.keys[0] {
            self.made.confirm(group, identity);
        }
        count_made(self.context, self.lost.replaces, 0);
        self.count(how);
        self.context.progress.add(1, self.lost.entry.size());
    }

    /// Writes the file from the store.
    pub fn write_stored(&self) -> Result<()> {
        let Node::File { content, .. } = &self.lost.entry.node else {
            return Ok(());
        };
        if self.context.options.test {
            super::check_stored(self.context.store, content)?;
            count_made(self.context, self.lost.replaces, content.len());
            self.context.report.one(Count::Files);
            self.context.progress.add(1, content.len());
            return Ok(());
        }
        let job = self.job();
        job.file()?;
        job.write_in_order(content)?;
        job.finish(self.made)
    }

    /// Whether the source is the file that is in the place of what is to be made: a link to itself has no content.
    fn is_itself(&self, opened: &Opened) -> Result<bool> {
        let found = self.lost.dir.look(&self.lost.entry.name)?;
        Ok(found.is_some_and(|found| (found.st_dev, found.st_ino) == (opened.stat.dev, opened.stat.ino)))
    }

    /// The device of the directory that the file is to be in, or of the target where that would have to be made.
    fn target_device(&self) -> Option<u64> {
        let dir = &self.lost.dir;
        let stat = match dir.exists() {
            true => dir.handle().ok().and_then(|handle| rustix::fs::fstat(&*handle).ok()),
            false => self
                .context
                .target
                .ancestors()
                .find_map(|above| rustix::fs::stat(above).ok()),
        };
        stat.map(|stat| stat.st_dev)
    }

    fn link_target(&self, path: &Path, relative: bool) -> BString {
        if !relative {
            return path.as_os_str().as_bytes().into();
        }
        let folder = self.lost.dir.relative(b"");
        let folder = self.context.target.join(std::ffi::OsStr::from_bytes(&folder));
        relative_path(&folder, path)
    }

    /// Whether the target has just this link.
    fn is_linked(&self, target: &BString) -> bool {
        let Lost {
            dir, entry, replaces, ..
        } = self.lost;
        *replaces
            && dir.exists()
            && dir.handle().is_ok_and(|above| {
                rustix::fs::readlinkat(&*above, entry.name.as_slice(), Vec::new())
                    .is_ok_and(|found| found.as_bytes() == target.as_slice())
            })
    }
}

/// How to get to `path` from `folder`, both absolute and without links, dots or empty names.
fn relative_path(folder: &Path, path: &Path) -> BString {
    let common = folder.iter().zip(path.iter()).take_while(|(a, b)| a == b).count();
    let up = folder.iter().skip(common).map(|_| b"..".as_slice());
    let down = path.iter().skip(common).map(|name| name.as_bytes());
    bstr::join("/", up.chain(down).collect::<Vec<_>>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_lead_there() {
        for (folder, path, expected) in [
            ("/a/b", "/a/b/c", "c"),
            ("/a/b", "/a/x/c", "../x/c"),
            ("/a", "/usr/share/doc", "../usr/share/doc"),
            ("/", "/x", "x"),
            ("/a/b/c", "/a/f", "../../f"),
        ] {
            assert_eq!(
                relative_path(Path::new(folder), Path::new(path)),
                expected,
                "{folder} {path}"
            );
        }
    }
}
