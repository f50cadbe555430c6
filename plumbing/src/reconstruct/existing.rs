//! Comparing what is there with an entry.
//!
//! Kind, size and mtime come from a stat. Where they do not decide, a file's bytes are compared with its content ref
//! piece by piece: blocks by hashing the file, so that nothing is read from the store but indirect blocks; runs of
//! zeros by asking for holes first. An error while reading what is there means that it is not as it should be.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bstr::ByteSlice;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::apply::{self, Wanted};
use super::options::Overwrite;
use super::subject::{Subject, open_path};
use super::target::{Dir, Identity};
use crate::content::{Pieces, Source, sub_slice};
use crate::error::{Error, Result};
use crate::limits::BLOCK_BYTES_MAX;
use crate::object::{ContentRef, Entry, Node, ObjectId, ObjectKind, ObjectSource};
use crate::store::Store;

/// Bytes that are compared with a run at a time.
const RUN_BYTES: u64 = 64 << 10;

/// Whether a name has the content of its entry, as far as a stat tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It has.
    Same,
    /// It has not.
    Different,
    /// Its bytes must be read.
    Unknown,
}

/// Compares kind, size and time, and what is not a file's content.
pub(super) fn likeness(dir: &Arc<Dir<'_>>, entry: &Entry, stat: &Stat, overwrite: Overwrite) -> Result<Likeness> {
    let is_same = match (&entry.node, FileType::from_raw_mode(stat.st_mode)) {
        (Node::File { content, .. }, FileType::RegularFile) => {
            if u64::try_from(stat.st_size) != Ok(content.len()) {
                return Ok(Likeness::Different);
            }
            if overwrite == Overwrite::Always || apply::mtime_of(stat) != entry.meta.mtime {
                return Ok(Likeness::Unknown);
            }
            true
        }
        (Node::Symlink { target }, FileType::Symlink) => {
            let found = rustix::fs::readlinkat(&*dir.handle()?, entry.name.as_slice(), Vec::new())
                .map_err(dir.error("read link", &entry.name))?;
            found.as_bytes() == target.as_bytes()
        }
        (Node::CharDevice { major, minor }, FileType::CharacterDevice)
        | (Node::BlockDevice { major, minor }, FileType::BlockDevice) => {
            stat.st_rdev == rustix::fs::makedev(*major, *minor)
        }
        (Node::Fifo, FileType::Fifo) | (Node::Socket, FileType::Socket) => true,
        _ => false,
    };
    Ok(if is_same { Likeness::Same } else { Likeness::Different })
}

/// Something that is there, open for its metadata.
#[derive(Debug)]
pub(super) struct Existing {
    handle: OwnedFd,
    stat: Stat,
    /// Not opened with `O_PATH`.
    readable: bool,
}

impl Existing {
    /// Opens what `stat` was said of; `None` if something else is there now.
    pub fn open(dir: &Arc<Dir<'_>>, name: &[u8], stat: &Stat) -> Result<Option<Self>> {
        let above = dir.handle()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let (handle, readable) = match open_file(above.as_fd(), name) {
            Ok(handle) if is_file => (handle, true),
            _ => (open_path(above.as_fd(), name).map_err(dir.error("open", name))?, false),
        };
        let found = rustix::fs::fstat(&handle).map_err(dir.error("stat", name))?;
        let same = Identity::of(&found) == Identity::of(stat);
        Ok(same.then_some(Self {
            handle,
            stat: found,
            readable,
        }))
    }

    fn subject(&self) -> Subject<'_> {
        if self.readable {
            return Subject::Open(self.handle.as_fd());
        }
        let is_link = FileType::from_raw_mode(self.stat.st_mode) == FileType::Symlink;
        Subject::ByPath(self.handle.as_fd(), is_link)
    }

    /// Whether its metadata is as wanted.
    pub fn fits(&self, dir: &Dir<'_>, wanted: &Wanted) -> bool {
        apply::fits(dir.context(), self.subject(), &self.stat, wanted)
    }

    /// Whether it has other names, which a change of its metadata would change too.
    pub fn is_shared(&self) -> bool {
        self.stat.st_nlink > 1
    }

    /// The inode.
    pub fn identity(&self) -> Identity {
        Identity::of(&self.stat)
    }

    /// Changes its metadata to what is wanted.
    pub fn fix(&self, dir: &Dir<'_>, name: &[u8], wanted: &Wanted) {
        apply::fix(dir, name, self.subject(), &self.stat, wanted);
    }
}

/// Opens a file to read it, without following a link or waiting for a pipe.
pub(super) fn open_file(above: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(above, name, flags, Mode::empty())
}

/// Whether the file `name` has the bytes of `content`. Fails where the content cannot be read from the store.
pub(super) fn has_content(dir: &Arc<Dir<'_>>, name: &[u8], content: &ContentRef) -> Result<bool> {
    let context = dir.context();
    let Ok(file) = open_file(dir.handle()?.as_fd(), name) else {
        return Ok(false);
    };
    let mut buffer = Vec::new();
    for piece in Pieces::new(context.store, content) {
        context.progress.check()?;
        let piece = piece?;
        let same = match &piece.source {
            Source::Block { id, block_bytes, from } => {
                // Blocks are at most `BLOCK_BYTES_MAX` long: the decoder of refs checks it.
                buffer.resize(piece.bytes.min(BLOCK_BYTES_MAX as u64) as usize, 0);
                read_at(&file, &mut buffer, piece.offset)
                    && same_block(context.store, id, *block_bytes, *from, &buffer)?
            }
            Source::Inline(bytes) => {
                buffer.resize(bytes.len(), 0);
                read_at(&file, &mut buffer, piece.offset) && buffer == *bytes
            }
            Source::Run(byte) => same_run(&file, *byte, piece.offset, piece.bytes, &mut buffer),
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `found` is the part of the block that begins at `from`.
fn same_block(store: &Store, id: &ObjectId, block_bytes: u64, from: u64, found: &[u8]) -> Result<bool> {
    if from == 0 && found.len() as u64 == block_bytes {
        return Ok(ObjectId::hash(id.algo(), found) == *id);
    }
    let block = store.object(ObjectKind::Block, id)?;
    Ok(sub_slice(&block, from, found.len() as u64)? == found)
}

/// Whether the file has `bytes` times `byte` from `offset`. Holes are not read.
fn same_run(file: &OwnedFd, byte: u8, offset: u64, bytes: u64, buffer: &mut Vec<u8>) -> bool {
    let end = offset.saturating_add(bytes);
    let mut at = offset;
    while at < end {
        if byte == 0 {
            match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Ok(data) => at = data,
                // No data from here to the end of the file.
                Err(Errno::NXIO) => return true,
                // This file system does not tell.
                Err(_) => {}
            }
            if at >= end {
                return true;
            }
        }
        // At most `RUN_BYTES`.
        buffer.resize((end - at).min(RUN_BYTES) as usize, 0);
        if !read_at(file, buffer, at) || buffer.iter().any(|&found| found != byte) {
            return false;
        }
        at += buffer.len() as u64;
    }
    true
}

/// Fills the buffer from an offset; false where the file ends before, or cannot be read.
fn read_at(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> bool {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => return false,
            Ok(bytes) => filled += bytes,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Refuses a directory with something in it where the tree has something else, unless it may be removed.
pub(super) fn refuse_directory(dir: &Dir<'_>, name: &[u8]) -> Error {
    Error::Io {
        op: "replace the directory",
        path: dir.path_of(name),
        source: std::io::Error::new(
            std::io::ErrorKind::DirectoryNotEmpty,
            "the tree has no directory there, and what is in it is only removed with `delete`",
        ),
    }
}
