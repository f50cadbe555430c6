//! Copying files of a forest into a live directory, so that no other content is ever lost and none arrives half.
//!
//! 1. The folders on the way are made where they are not there, each opened in the one above, through no link.
//! 2. What has the name already is compared by its hash: the same bytes are left as they are, others are refused unless
//!    they may be replaced.
//! 3. A temporary file in the same folder gets the bytes: it shares the blocks of a live file where the file system can,
//!    else they are written. Either way they are hashed, and must be those that were promised.
//! 4. It gets owner, permissions, times and `user.` attributes, as far as this process may set them; setuid and its like
//!    are left out. Then it gets its name, which must still be free.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::catalogue::split_path;
use super::forest::{Forest, Leaf, Origin, changed};
use crate::error::{Error, Result};
use crate::object::tree::check_name;
use crate::object::{Hasher, Kind, ObjectId};
use crate::progress::Progress;
use crate::walk::{DirHandle, XattrReader};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Permission bits that are copied.
const MODE_BITS: u32 = 0o777;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is there now.
    New,
    /// A file with these bytes was there already; it is as it was.
    Same,
}

/// A directory that files are copied to.
pub struct Copier<'a> {
    root: DirHandle,
    path: PathBuf,
    replaces: bool,
    progress: &'a Progress,
}

impl<'a> Copier<'a> {
    /// Copies to the directory at `path`, which is made if it is not there; its parent must be. With `replaces`, files
    /// with other bytes are replaced.
    pub fn new(path: &Path, replaces: bool, progress: &'a Progress) -> Result<Self> {
        match rustix::fs::mkdir(path, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::sys("make the folder", path)(errno)),
        }
        Ok(Self {
            root: DirHandle::open_root(path).map_err(Error::io("open", path))?,
            path: path.to_owned(),
            replaces,
            progress,
        })
    }

    /// Copies a file of `forest` to the path `to` below the directory. `fullhash` is what its bytes must have, where that is
    /// known.
    pub fn copy(&self, forest: &dyn Forest, file: &Leaf, fullhash: Option<ObjectId>, to: &BStr) -> Result<Copied> {
        self.progress.check()?;
        let (above, name) = split_path(to);
        let name = name.as_bstr();
        check_name(name, "path to copy to")?;
        let dir = self.folder(above)?;
        let target = self.path.join(std::ffi::OsStr::new(&*to.to_os_str_lossy()));
        let taken = self.look(&dir, name, &target)?;
        if let Some(kind) = taken {
            if kind == Kind::File && self.is_same(forest, file, fullhash, &dir, name, &target)? {
                return Ok(Copied::Same);
            }
            if !self.replaces || kind == Kind::Directory {
                let source = io::Error::new(io::ErrorKind::AlreadyExists, "something else has its name");
                return Err(Error::io("copy to", &target)(source));
            }
        }
        let place = Place {
            dir: &dir,
            name,
            path: &target,
        };
        place.fill(taken.is_some(), |temporary| {
            self.bytes(forest, file, fullhash, temporary, &target)?;
            metadata(forest, file, temporary).map_err(Error::io("set the metadata of", &target))
        })?;
        Ok(Copied::New)
    }

    fn folder(&self, path: &[u8]) -> Result<DirHandle> {
        let mut at = self.path.clone();
        let mut dir = self.root.open_child(c".").map_err(Error::io("open", &at))?;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            check_name(name, "path to copy to")?;
            at.push(&*name.to_os_str_lossy());
            match rustix::fs::mkdirat(&dir, name, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::sys("make the folder", &at)(errno)),
            }
            dir = dir.open_child(name).map_err(Error::io("open", &at))?;
        }
        Ok(dir)
    }

    fn look(&self, dir: &DirHandle, name: &[u8], target: &Path) -> Result<Option<Kind>> {
        match dir.stat(name) {
            Ok(stat) => Ok(Some(stat.kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", target)(error)),
        }
    }

    fn is_same(
        &self,
        forest: &dyn Forest,
        file: &Leaf,
        fullhash: Option<ObjectId>,
        dir: &DirHandle,
        name: &[u8],
        target: &Path,
    ) -> Result<bool> {
        let there = dir.stat(name).map_err(Error::io("look at", target))?;
        if there.size != file.size {
            return Ok(false);
        }
        let wanted = fullhash.map_or_else(|| forest.full_hash(file), Ok)?;
        let mut there = File::from(dir.open_file(name).map_err(Error::io("open", target))?);
        let found = self.pour(&mut there, Hasher::new(wanted.algo()), None, target)?;
        Ok(found.0 == wanted)
    }

    /// Gives a temporary file the bytes, which must be those that were promised.
    fn bytes(
        &self,
        forest: &dyn Forest,
        file: &Leaf,
        fullhash: Option<ObjectId>,
        into: &File,
        target: &Path,
    ) -> Result<()> {
        let algo = fullhash.map_or(forest.algo(), |id| id.algo());
        let (found, bytes) = match clone(forest, file, into) {
            true => self.pour(&mut &*into, Hasher::new(algo), None, target)?,
            false => self.pour(&mut forest.open(file)?, Hasher::new(algo), Some(into), target)?,
        };
        // Another name of the inode, or a link to it, is no change of its bytes.
        let now = forest.find(file.path.as_bstr())?;
        let held = (now.kind, now.size, now.mtime) == (file.kind, file.size, file.mtime);
        if bytes != file.size || fullhash.is_some_and(|wanted| wanted != found) || !held {
            return Err(changed(forest, file.path.as_bstr()));
        }
        Ok(())
    }

    /// Reads to the end, hashes, and writes what was read where that is wanted; the hash and the number of bytes.
    fn pour(
        &self,
        from: &mut dyn Read,
        mut hasher: Hasher,
        into: Option<&File>,
        target: &Path,
    ) -> Result<(ObjectId, u64)> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut all = 0;
        loop {
            self.progress.check()?;
            let bytes = match from.read(&mut buffer) {
                Ok(0) => return Ok((hasher.finish(), all)),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("read for", target)(error)),
            };
            hasher.update(&buffer[..bytes]);
            if let Some(mut into) = into {
                into.write_all(&buffer[..bytes]).map_err(Error::io("write", target))?;
            }
            all += bytes as u64;
            self.progress.add(0, bytes as u64);
        }
    }
}

/// Lets a new file share the blocks of a live one; `false` where that cannot be.
fn clone(forest: &dyn Forest, file: &Leaf, into: &File) -> bool {
    let open = || {
        let live = forest.as_live()?;
        let (dir, name) = live.place(&file.path).ok()?;
        dir.open_file(name.as_bytes()).ok()
    };
    open().is_some_and(|source| rustix::fs::ioctl_ficlone(into, source).is_ok())
}

/// Sets what the source has and this process may set.
fn metadata(forest: &dyn Forest, file: &Leaf, into: &File) -> io::Result<()> {
    let (uid, gid, mode, xattrs) = match &file.origin {
        Origin::Live { stat, .. } => {
            let read = || {
                let (dir, name) = forest.as_live()?.place(&file.path).ok()?;
                XattrReader::new().read_at(&dir, name, stat.dev).ok()
            };
            (stat.uid, stat.gid, stat.mode, read().unwrap_or_default())
        }
        Origin::Stored(entry) => (
            entry.meta.uid,
            entry.meta.gid,
            entry.meta.mode,
            entry.meta.xattrs.clone(),
        ),
    };
    for (name, value) in xattrs.iter().filter(|(name, _)| name.starts_with(b"user.")) {
        match rustix::fs::fsetxattr(into, name.as_slice(), value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    match rustix::fs::fchown(into, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    rustix::fs::fchmod(into, Mode::from_raw_mode(mode & MODE_BITS))?;
    let omit = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_OMIT,
    };
    let mtime = Timespec {
        tv_sec: file.mtime.seconds,
        tv_nsec: file.mtime.nanos.into(),
    };
    Ok(rustix::fs::futimens(
        into,
        &Timestamps {
            last_access: omit,
            last_modification: mtime,
        },
    )?)
}

/// Where a file is to be.
struct Place<'a> {
    dir: &'a DirHandle,
    name: &'a BStr,
    path: &'a Path,
}

impl Place<'_> {
    /// Makes a temporary file, has it filled, and gives it the name; nothing is left of it where that fails.
    fn fill(&self, replaces: bool, fill: impl FnOnce(&File) -> Result<()>) -> Result<()> {
        let number = getrandom::u64()
            .map_err(|error| Error::io("make a temporary name for", self.path)(io::Error::other(error.to_string())))?;
        let temporary = format!(".ghost-copy-{number:016x}");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.dir, &temporary, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(Error::sys("create", self.path))?);
        let done = fill(&file).and_then(|()| self.name(&temporary, replaces).map_err(Error::sys("name", self.path)));
        if done.is_err() {
            // What failed is told already.
            let _ = rustix::fs::unlinkat(self.dir, &temporary, AtFlags::empty());
        }
        done
    }

    fn name(&self, temporary: &str, replaces: bool) -> rustix::io::Result<()> {
        let name = self.name.as_bytes();
        if replaces {
            return rustix::fs::renameat(self.dir, temporary, self.dir, name);
        }
        match rustix::fs::renameat_with(self.dir, temporary, self.dir, name, RenameFlags::NOREPLACE) {
            // A file system that knows no such rename: a new link fails where the name is taken, too.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(self.dir, temporary, self.dir, name, AtFlags::empty())?;
                rustix::fs::unlinkat(self.dir, temporary, AtFlags::empty())
            }
            renamed => renamed,
        }
    }
}
