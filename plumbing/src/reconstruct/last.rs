//! What is made when the files of a batch are complete: clones, hard links, and what has no content.
//!
//! Nothing is linked to or cloned but an inode that this job has made or found to be right: its name is opened, and
//! the link or copy is made from the handle only if that is still the same inode.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bstr::BString;
use rustix::fs::{AtFlags, FileType, Mode, SeekFrom};
use rustix::io::Errno;

use super::apply::{self, Wanted};
use super::existing::open_file;
use super::files::{FileJob, count_made, with_temporary_name};
use super::made::{Key, Made, Place};
use super::options::Reflink;
use super::report::Count;
use super::sources;
use super::subject::{Subject, link_handle, open_path};
use super::target::{Dir, Identity};
use crate::error::{Error, Result};
use crate::object::{ContentRef, Entry, Kind, Node};

/// Something that is made after the files.
pub(super) enum Last<'j> {
    /// A further name of an inode.
    Link(Link<'j>),
    /// A file of the same content as one before.
    Clone {
        job: FileJob<'j>,
        key: Key,
        content: ContentRef,
    },
    /// What has no content.
    Special(Special<'j>),
}

/// A further name of an inode.
pub(super) struct Link<'j> {
    pub group: Key,
    pub dir: Arc<Dir<'j>>,
    pub name: BString,
    pub replaces: bool,
    /// Length of the content.
    pub bytes: u64,
    /// Whether the tree has a regular file here.
    pub is_file: bool,
}

/// A symbolic link, pipe, socket or device.
pub(super) struct Special<'j> {
    pub dir: Arc<Dir<'j>>,
    pub name: BString,
    pub node: Node,
    pub wanted: Wanted,
    pub group: Option<Key>,
    pub replaces: bool,
}

/// Makes one; what goes wrong is reported.
pub(super) fn make<'j>(made: &Made<'j>, item: Last<'j>) {
    match item {
        // Its file may still come from elsewhere.
        Last::Link(link) if link.dir.context().elsewhere.is_some() && !made.has(&link.group) => {
            made.queue.push_link(link);
        }
        Last::Link(link) => link.make(made),
        Last::Clone { job, key, content } => {
            if let Err(error) = clone(made, &job, &key, &content).and_then(|()| job.finish(made)) {
                job.fail(error);
            }
        }
        Last::Special(special) => match special.make() {
            Ok(identity) => {
                if let Some(group) = &special.group {
                    made.confirm(group, identity);
                }
                count_made(special.dir.context(), special.replaces, 0);
                special.dir.context().progress.add(1, 0);
            }
            Err(error) => {
                let path = special.dir.path_of(&special.name);
                special.dir.context().report.problem(path, error);
            }
        },
    }
}

impl<'j> Link<'j> {
    /// For an entry of a group of which another name came before.
    pub fn new(group: Key, dir: Arc<Dir<'j>>, entry: Entry, replaces: bool) -> Self {
        Self {
            group,
            bytes: entry.size(),
            is_file: entry.kind() == Kind::File,
            dir,
            name: entry.name,
            replaces,
        }
    }

    /// Makes it when everything else is made.
    pub fn make_late(&self, made: &Made<'j>) {
        if made.has(&self.group) || !sources::link_not_located(self) {
            self.make(made);
        }
    }

    /// Makes or, in a rehearsal, counts it; what goes wrong is reported.
    fn make(&self, made: &Made<'j>) {
        let Self { dir, name, bytes, .. } = self;
        let context = dir.context();
        let there = dir.look(name).ok().flatten().map(|stat| Identity::of(&stat));
        // A rename onto another name of the same inode would do nothing.
        if there.is_some() && made.get(&self.group).is_some_and(|first| first.identity == there) {
            context.report.one(Count::Unchanged);
            context.progress.add(1, *bytes);
            return;
        }
        let linked = match context.options.test {
            true => Ok(()),
            false => link(made, &self.group, dir, name, self.replaces),
        };
        match linked {
            Ok(()) => {
                count_made(context, self.replaces, 0);
                context.report.add(Count::Files, self.is_file.into());
                context.report.add(Count::FurtherNames, self.is_file.into());
                context.progress.add(1, *bytes);
            }
            Err(error) => context.report.problem(dir.path_of(name), error),
        }
    }
}

/// Makes a name with `create`: at once, or beside a name that is taken and renamed over it.
pub(super) fn put_in_place(
    dir: &Arc<Dir<'_>>,
    name: &BString,
    replaces: bool,
    op: &'static str,
    mut create: impl FnMut(&BString) -> rustix::io::Result<()>,
    complete: impl FnOnce(&BString) -> Result<()>,
) -> Result<()> {
    let current = if replaces {
        with_temporary_name(dir.context(), create).map(|((), temporary)| temporary)
    } else {
        create(name).map(|()| name.clone())
    }
    .map_err(dir.error(op, name))?;
    let above = dir.handle()?;
    let finished = complete(&current).and_then(|()| {
        if replaces {
            rustix::fs::renameat(&above, current.as_slice(), &above, name.as_slice())
                .map_err(dir.error("put a new version in place of", name))?;
        }
        Ok(())
    });
    if finished.is_err() {
        // The error that led here is the one to tell.
        let _ = rustix::fs::unlinkat(&above, current.as_slice(), AtFlags::empty());
    }
    finished
}

/// Gives an inode of this job one more name.
fn link<'j>(made: &Made<'j>, group: &Key, dir: &Arc<Dir<'j>>, name: &BString, replaces: bool) -> Result<()> {
    let first = made.get(group).filter(|place| place.identity.is_some());
    let lost = || Error::NotFound {
        what: "first name of the hard link",
        name: dir.path_of(name).display().to_string(),
    };
    let first = first.ok_or_else(lost)?;
    let handle = open_path(first.dir.handle()?.as_fd(), &first.name).map_err(dir.error("open", &first.name))?;
    if !is_at(&handle, &first) {
        return Err(lost());
    }
    let above = dir.handle()?;
    let create = |name: &BString| link_handle(&handle, &above, name);
    put_in_place(dir, name, replaces, "link", create, |_| Ok(()))
}

/// Whether an open handle is the inode that was confirmed for a place.
fn is_at(handle: &OwnedFd, place: &Place<'_>) -> bool {
    rustix::fs::fstat(handle).is_ok_and(|stat| Some(Identity::of(&stat)) == place.identity)
}

/// Fills a file with the bytes of one that has them; where that does not work, from the store.
fn clone<'j>(made: &Made<'j>, job: &FileJob<'j>, key: &Key, content: &ContentRef) -> Result<()> {
    let context = job.dir.context();
    let only_share = context.options.reflink == Reflink::Always;
    let shared = match made.get(key) {
        Some(place) => share(&place, job, only_share)?,
        None => Err(Errno::NOENT),
    };
    match shared {
        Ok(()) => {
            context.progress.add(0, job.bytes);
            Ok(())
        }
        Err(errno) if only_share => Err(job.dir.error("clone", &job.name)(errno)),
        Err(_) => {
            let failed = job.dir.error("set the length of", &job.name);
            let file = job.file()?;
            rustix::fs::ftruncate(&file, 0)
                .and_then(|()| rustix::fs::ftruncate(&file, job.bytes))
                .map_err(failed)?;
            job.write_in_order(content)
        }
    }
}

/// The inner result says whether the bytes could be shared or copied.
fn share(place: &Place<'_>, job: &FileJob<'_>, only_share: bool) -> Result<rustix::io::Result<()>> {
    let source = match open_file(place.dir.handle()?.as_fd(), &place.name) {
        Ok(source) => source,
        Err(errno) => return Ok(Err(errno)),
    };
    let length = rustix::fs::fstat(&source).map(|stat| stat.st_size);
    if !is_at(&source, place) || length.ok().and_then(|length| u64::try_from(length).ok()) != Some(job.bytes) {
        return Ok(Err(Errno::STALE));
    }
    let file = job.file()?;
    Ok(match rustix::fs::ioctl_ficlone(&file, &source) {
        Ok(()) => Ok(()),
        Err(errno) if only_share => Err(errno),
        Err(_) => copy_data(&source, &file, job.bytes),
    })
}

/// Copies what is not a hole within the kernel.
fn copy_data(source: &OwnedFd, target: &OwnedFd, bytes: u64) -> rustix::io::Result<()> {
    let mut at = 0;
    while at < bytes {
        at = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let end = rustix::fs::seek(source, SeekFrom::Hole(at))?.min(bytes);
        while at < end {
            let (mut from, mut to) = (at, at);
            // What does not fit a usize is copied the next time round.
            let length = usize::try_from(end - at).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), length)? {
                0 => return Err(Errno::IO),
                copied => at += copied as u64,
            }
        }
    }
    Ok(())
}

impl Special<'_> {
    /// Makes it, with its metadata, and says which inode it is.
    pub fn make(&self) -> Result<Identity> {
        let above = self.dir.handle()?;
        let mut identity = None;
        let create = |name: &BString| create_node(&above, name, &self.node);
        put_in_place(&self.dir, &self.name, self.replaces, "create", create, |current| {
            let handle = open_path(above.as_fd(), current).map_err(self.dir.error("open", &self.name))?;
            let stat = rustix::fs::fstat(&handle).map_err(self.dir.error("stat", &self.name))?;
            if Kind::from_type_bits(stat.st_mode) != Some(self.node.kind()) {
                return Err(self.dir.error("open", &self.name)(Errno::STALE));
            }
            identity = Some(Identity::of(&stat));
            let subject = Subject::ByPath(handle.as_fd(), self.node.kind() == Kind::Symlink);
            apply::give(&self.dir, &self.name, subject, &stat, &self.wanted);
            Ok(())
        })?;
        identity.ok_or(Error::Interrupted)
    }
}

fn create_node(above: &OwnedFd, name: &BString, node: &Node) -> rustix::io::Result<()> {
    let name = name.as_slice();
    let (kind, device) = match node {
        Node::Symlink { target } => return rustix::fs::symlinkat(target.as_slice(), above, name),
        Node::Fifo => (FileType::Fifo, 0),
        Node::Socket => (FileType::Socket, 0),
        Node::CharDevice { major, minor } => (FileType::CharacterDevice, rustix::fs::makedev(*major, *minor)),
        Node::BlockDevice { major, minor } => (FileType::BlockDevice, rustix::fs::makedev(*major, *minor)),
        Node::File { .. } | Node::Directory { .. } | Node::Whiteout => return Err(Errno::INVAL),
    };
    rustix::fs::mknodat(above, name, kind, Mode::RUSR | Mode::WUSR, device)
}
