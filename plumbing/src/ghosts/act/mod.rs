//! Acting on duplicates: a file becomes a link to its twin, shares its blocks, or goes, and no content is ever lost.
//!
//! For one file that stays and one that does not ([`Job::run`]):
//!
//! 1. Both are opened by name in their folders, no link followed; they must be two inodes of the expected length.
//! 2. All bytes of both are read and compared, and those of the one that stays are hashed: it must have the hash of its
//!    group.
//! 3. Both are looked at again, open and by name. What changed since step 1 is passed over.
//! 4. Every name of the file that does not stay is replaced: the new link is made under a temporary name in the same
//!    folder, and the two names are exchanged. What then goes by the temporary name must still be the file that was
//!    compared, else they are exchanged back. Blocks are shared by the kernel, which compares once more by itself.
//!
//! Invariants: the file that stays keeps its name, bytes, owner, mode and times; at every moment, also after a kill, each
//! content has a name that it had before, or the one of the file that stays. Only files of live trees are touched.

mod keep;
mod share;

pub use self::keep::{Keep, KeepRules, Plan};

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BString, ByteSlice};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::dup::{Group, Name, Twin};
use super::forest::Forest;
use super::live::{Live, read_full_at};
use crate::error::{Error, Result};
use crate::object::{Hasher, Kind, ObjectId};
use crate::progress::Progress;
use crate::walk::{DirHandle, Stat, XattrReader, stat_fd};

/// Bytes that are compared at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What becomes of a file that has a twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Its names become names of the twin's inode. Owner, mode and attributes must be equal, as they are lost.
    Hardlink,
    /// It shares the twin's blocks and stays as it is: needs a file system such as btrfs or XFS.
    Reflink,
    /// Its names become symbolic links to the twin.
    Symlink,
    /// Its names go.
    Remove,
}

/// What is done to the files of a group.
pub struct Job<'a> {
    /// All forests, by number.
    pub forests: &'a [&'a dyn Forest],
    /// What is done.
    pub action: Action,
    /// Link files together also where owner, mode or attributes differ, which are then those of the file that stays.
    pub mixes_owners: bool,
    /// Counts bytes; tells when to stop.
    pub progress: &'a Progress,
}

/// A file between the looks at it.
struct Opened {
    dir: Arc<DirHandle>,
    name: BString,
    path: PathBuf,
    file: File,
    stat: Stat,
}

impl Job<'_> {
    /// Does it to `twin`, whose bytes are those of `keep`; tells of each name whether it was done. An error means that
    /// the name is as it was.
    pub fn run(&self, group: &Group, keep: &Name, twin: &Twin, each: &mut dyn FnMut(&Name, Result<()>)) {
        let Some(first) = twin.names.first() else { return };
        let verified = self.progress.check().and_then(|()| self.verify(group, keep, first));
        let (keep, other) = match verified {
            Ok(both) => both,
            Err(error) => return each(first, Err(error)),
        };
        if self.action == Action::Reflink {
            return each(first, share::share(&keep, &other));
        }
        for name in &twin.names {
            each(name, self.replace(name, &keep, &other));
        }
    }

    /// Steps 1 to 3.
    fn verify(&self, group: &Group, keep: &Name, other: &Name) -> Result<(Opened, Opened)> {
        let writes = self.action == Action::Reflink;
        let keep = self.open(keep, group.size, false)?;
        let other = self.open(other, group.size, writes)?;
        if (keep.stat.dev, keep.stat.ino) == (other.stat.dev, other.stat.ino) {
            return Err(passed_over(&other.path, "it is the same inode as the file that stays"));
        }
        self.check_linkable(&keep, &other)?;
        self.compare(&keep, &other, &group.fullhash)?;
        keep.check_unchanged()?;
        other.check_unchanged()?;
        Ok((keep, other))
    }

    fn live(&self, name: &Name) -> Result<&Live> {
        let live = self.forests.get(name.forest).and_then(|forest| forest.as_live());
        live.ok_or_else(|| {
            Error::invalid(
                "file to act upon",
                &name.path,
                "it is in a stored tree, which never changes",
            )
        })
    }

    fn open(&self, name: &Name, size: u64, writes: bool) -> Result<Opened> {
        let live = self.live(name)?;
        let path = live.full_path(&name.path);
        let open = || -> io::Result<Opened> {
            let (dir, last) = live.place(&name.path)?;
            let file = match writes {
                true => rustix::fs::openat(
                    &*dir,
                    last.as_bytes(),
                    OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
                    Mode::empty(),
                )?,
                false => dir.open_file(last.as_bytes())?,
            };
            Ok(Opened {
                stat: stat_fd(&file)?,
                file: File::from(file),
                name: last.into(),
                path: path.clone(),
                dir,
            })
        };
        let opened = open().map_err(Error::io("open", &path))?;
        match opened.stat.kind == Kind::File && opened.stat.size == size {
            true => Ok(opened),
            false => Err(passed_over(&path, "it changed since it was looked at")),
        }
    }

    /// Refuses early what would fail late, or would give somebody a file that is not theirs.
    fn check_linkable(&self, keep: &Opened, other: &Opened) -> Result<()> {
        if matches!(self.action, Action::Symlink | Action::Remove) {
            return Ok(());
        }
        if keep.stat.dev != other.stat.dev {
            return Err(passed_over(
                &other.path,
                "it is on another file system than the file that stays",
            ));
        }
        if self.action == Action::Reflink || self.mixes_owners {
            return Ok(());
        }
        let owner = |stat: &Stat| (stat.uid, stat.gid, stat.mode);
        let reader = XattrReader::new();
        let attributes = |opened: &Opened| reader.read(&opened.file, opened.stat.dev);
        let same = owner(&keep.stat) == owner(&other.stat)
            && attributes(keep).map_err(Error::io("read attributes of", &keep.path))?
                == attributes(other).map_err(Error::io("read attributes of", &other.path))?;
        match same {
            true => Ok(()),
            false => Err(passed_over(
                &other.path,
                "its owner, mode or attributes differ from those of the file that stays",
            )),
        }
    }

    fn compare(&self, keep: &Opened, other: &Opened, fullhash: &ObjectId) -> Result<()> {
        let mut buffers = [vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]];
        let [ours, theirs] = &mut buffers;
        let mut hasher = Hasher::new(fullhash.algo());
        let mut offset = 0;
        loop {
            self.progress.check()?;
            let found = read_full_at(&keep.file, offset, ours).map_err(Error::io("read", &keep.path))?;
            let same = read_full_at(&other.file, offset, theirs).map_err(Error::io("read", &other.path))?;
            if ours[..found] != theirs[..same] {
                return Err(passed_over(
                    &other.path,
                    "its bytes are no longer those of the file that stays",
                ));
            }
            if found == 0 {
                break;
            }
            hasher.update(&ours[..found]);
            offset += found as u64;
            self.progress.add(0, 2 * found as u64);
        }
        match hasher.finish() == *fullhash {
            true => Ok(()),
            false => Err(passed_over(&keep.path, "its bytes are no longer those of its group")),
        }
    }

    /// Step 4, for one name.
    fn replace(&self, name: &Name, keep: &Opened, other: &Opened) -> Result<()> {
        let live = self.live(name)?;
        let path = live.full_path(&name.path);
        let (dir, last) = live.place(&name.path).map_err(Error::io("open", &path))?;
        let place = Place {
            dir: &dir,
            name: last.as_bytes(),
            path: &path,
            held: &other.stat,
        };
        place.check_held(place.name)?;
        keep.check_named()?;
        let target = (keep.stat.dev, keep.stat.ino);
        match self.action {
            Action::Remove => {
                rustix::fs::unlinkat(&*dir, place.name, AtFlags::empty()).map_err(Error::sys("remove", &path))
            }
            Action::Hardlink => place.exchange(|temporary| {
                rustix::fs::linkat(&*keep.dir, keep.name.as_slice(), &*dir, temporary, AtFlags::empty())?;
                let made = dir.stat(temporary)?;
                Ok((made.dev, made.ino) == target)
            }),
            Action::Symlink => place.exchange(|temporary| {
                rustix::fs::symlinkat(link_target(&keep.path, &path), &*dir, temporary)?;
                let made = rustix::fs::statat(&*dir, temporary, AtFlags::empty())?;
                Ok((made.st_dev, made.st_ino) == target)
            }),
            Action::Reflink => share::share(keep, other),
        }
    }
}

impl Opened {
    fn check_unchanged(&self) -> Result<()> {
        let now = stat_fd(&self.file).map_err(Error::io("look at", &self.path))?;
        if !now.same_content(&self.stat) {
            return Err(passed_over(&self.path, "it changed while it was compared"));
        }
        self.check_named()
    }

    /// Whether its name still leads to it. Its ctime moves with every link to it.
    fn check_named(&self) -> Result<()> {
        let now = self
            .dir
            .stat(self.name.as_slice())
            .map_err(Error::io("look at", &self.path))?;
        match is_held(&self.stat, &now) {
            true => Ok(()),
            false => Err(passed_over(&self.path, "another file has its name by now")),
        }
    }
}

/// Whether two looks saw one inode with one content, whatever links were made meanwhile.
fn is_held(before: &Stat, now: &Stat) -> bool {
    let key = |stat: &Stat| (stat.kind, stat.dev, stat.ino, stat.size, stat.mtime);
    key(before) == key(now)
}

/// A name that is to be replaced.
struct Place<'a> {
    dir: &'a DirHandle,
    name: &'a [u8],
    path: &'a Path,
    /// The file that must be there.
    held: &'a Stat,
}

impl Place<'_> {
    fn check_held(&self, name: &[u8]) -> Result<()> {
        let now = self.dir.stat(name).map_err(Error::io("look at", self.path))?;
        match is_held(self.held, &now) {
            true => Ok(()),
            false => Err(passed_over(self.path, "it changed while it was compared")),
        }
    }

    /// Makes something under a temporary name, which `make` finds to be right or not, and gives it this name.
    fn exchange(&self, make: impl FnOnce(&[u8]) -> io::Result<bool>) -> Result<()> {
        let temporary = temporary_name(self.path)?;
        let put = || -> Result<()> {
            match make(&temporary).map_err(Error::io("make a link beside", self.path))? {
                true => self.swap(&temporary),
                false => Err(passed_over(
                    self.path,
                    "another file has the name of the one that stays by now",
                )),
            }
        };
        let result = put();
        if result.is_err() {
            // It may not have been made.
            let _ = rustix::fs::unlinkat(self.dir, temporary.as_slice(), AtFlags::empty());
        }
        result
    }

    /// Exchanges the two names, and lets go of the file that was replaced, if it is the one that was compared.
    fn swap(&self, temporary: &[u8]) -> Result<()> {
        let swap = || rustix::fs::renameat_with(self.dir, temporary, self.dir, self.name, RenameFlags::EXCHANGE);
        match swap() {
            Ok(()) => {}
            // A file system that cannot exchange names: the last look is right before the rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                self.check_held(self.name)?;
                let renamed = rustix::fs::renameat(self.dir, temporary, self.dir, self.name);
                return renamed.map_err(Error::sys("replace", self.path));
            }
            Err(errno) => return Err(Error::sys("replace", self.path)(errno)),
        }
        if let Err(changed) = self.check_held(temporary) {
            swap().map_err(Error::sys("put back", self.path))?;
            return Err(changed);
        }
        rustix::fs::unlinkat(self.dir, temporary, AtFlags::empty()).map_err(Error::sys("remove", self.path))
    }
}

fn temporary_name(path: &Path) -> Result<Vec<u8>> {
    let number = getrandom::u64().map_err(|error| Error::Io {
        op: "make a temporary name for",
        path: path.to_owned(),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(format!(".ghost-link-{number:016x}").into_bytes())
}

/// What a link at `link` must say to lead to `target`; both are absolute. Relative, so that a tree may move as a whole.
fn link_target(target: &Path, link: &Path) -> PathBuf {
    let folder = link.parent().unwrap_or(link);
    let shared = folder.iter().zip(target.iter()).take_while(|(a, b)| a == b).count();
    let up = folder.iter().skip(shared).map(|_| std::ffi::OsStr::new(".."));
    up.chain(target.iter().skip(shared)).collect()
}

/// An action that was not done, and why.
fn passed_over(path: &Path, why: &'static str) -> Error {
    Error::io("act upon", path)(io::Error::other(why))
}
