//! The target, reached only through directory handles.
//!
//! A [`Dir`] is a directory below the target. It knows its parent and its name and can be opened again at any time,
//! so that handles can be given back when there are many ([`Handles`]). Invariants:
//!
//! - A system call gets a directory handle and one name, never a path. Directories are opened beneath their parent
//!   with links refused (`openat2`, or `O_NOFOLLOW` where the kernel has no `openat2`); every other call is told not
//!   to follow either. So no link in the target, put there before or during the job, leads out of it.
//! - A directory that is opened again must be the inode that it was: one that somebody moved away and replaced is
//!   an error.
//! - A `Dir` is shared by everything that still has work in it. When the last holder lets go, its own metadata is
//!   set ([`apply::finish_directory`]), and then it lets go of its parent: so children come before parents, each
//!   directory is done as early as possible, and memory is bounded by what is in work.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bstr::{BStr, BString, ByteSlice};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::Context;
use super::apply::{self, Wanted};
use super::subject;
use crate::error::{Error, Result};

/// What a directory is opened with.
const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Device and inode number: what a name stood for when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of what was looked at.
    pub fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// Where a directory keeps its handle while it is open.
type Slot = Mutex<Option<Arc<OwnedFd>>>;

/// The open directory handles, so that there are never too many.
#[derive(Debug)]
pub(super) struct Handles {
    max: usize,
    /// Slots with an open handle, the oldest first.
    open: Mutex<VecDeque<Weak<Slot>>>,
}

impl Handles {
    /// Keeps at most `max` handles.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            open: Mutex::new(VecDeque::with_capacity(max + 1)),
        }
    }

    /// Notes that a slot has been filled, and closes the handle that has been open longest if there are too many.
    fn filled(&self, slot: &Arc<Slot>) {
        let mut open = self.open.lock();
        open.push_back(Arc::downgrade(slot));
        if open.len() > self.max
            && let Some(oldest) = open.pop_front().and_then(|weak| weak.upgrade())
        {
            oldest.lock().take();
        }
    }
}

/// What is still to be done to a directory when nothing else has work in it.
#[derive(Debug, Default)]
pub(super) struct Finish {
    /// The metadata it is to have.
    pub wanted: Option<Wanted>,
    /// The mode that it had before it was made accessible, to be given back where `wanted` says none.
    pub mode_before: Option<u32>,
}

/// A directory at or below the target.
pub(super) struct Dir<'j> {
    context: &'j Context<'j>,
    /// None for the target itself.
    parent: Option<Arc<Dir<'j>>>,
    /// Its name in the parent; for the target its path as given.
    name: BString,
    /// Whether this job made it, so that nothing is in it but what the job puts there.
    pub fresh: bool,
    /// Whether what is made in it begins with an access-control list that it hands down.
    pub inherits_acl: bool,
    /// None in a rehearsal, where the directory would be made.
    identity: Option<Identity>,
    handle: Arc<Slot>,
    finish: Option<Finish>,
}

impl std::fmt::Debug for Dir<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dir({})", self.path().display())
    }
}

impl<'j> Dir<'j> {
    /// The target itself. Its handle stays open until it is finished.
    fn top(context: &'j Context<'j>, path: &Path, handle: Option<OwnedFd>, fresh: bool) -> Result<Self> {
        let identity = handle.as_ref().map(identity).transpose();
        Ok(Self {
            context,
            parent: None,
            name: path.as_os_str().as_bytes().into(),
            fresh,
            inherits_acl: handle.as_ref().is_some_and(subject::has_default_acl),
            identity: identity.map_err(Error::sys("stat", path))?,
            handle: Arc::new(Mutex::new(handle.map(Arc::new))),
            finish: None,
        })
    }

    /// Makes a directory that is not there, with mode 0700 until it is finished.
    pub fn create(parent: &Arc<Self>, name: &[u8]) -> Result<Self> {
        if parent.identity.is_none() || parent.context.options.test {
            return Ok(Self::child(parent, name, None, true));
        }
        let above = parent.handle()?;
        rustix::fs::mkdirat(&above, name, Mode::RWXU).map_err(parent.error("make directory", name))?;
        let handle = open_dir(above.as_fd(), name).map_err(parent.error("open", name))?;
        Self::child(parent, name, None, true).with_handle(handle)
    }

    /// Opens a directory that is there.
    pub fn open(parent: &Arc<Self>, name: &[u8]) -> Result<Self> {
        let above = parent.handle()?;
        let mut mode_before = None;
        let handle = match open_dir(above.as_fd(), name) {
            Err(Errno::ACCESS) if !parent.context.options.test => {
                mode_before = Some(subject::make_accessible(above.as_fd(), name).map_err(parent.error("chmod", name))?);
                open_dir(above.as_fd(), name)
            }
            found => found,
        }
        .map_err(parent.error("open", name))?;
        if mode_before.is_none() && !parent.context.options.test && !parent.context.options.is_root {
            mode_before = subject::make_writable(&handle).map_err(parent.error("chmod", name))?;
        }
        let finish = mode_before.map(|mode| Finish {
            wanted: None,
            mode_before: Some(mode),
        });
        let mut dir = Self::child(parent, name, finish, false).with_handle(handle)?;
        dir.inherits_acl = dir.handle.lock().as_ref().is_some_and(subject::has_default_acl);
        Ok(dir)
    }

    fn child(parent: &Arc<Self>, name: &[u8], finish: Option<Finish>, fresh: bool) -> Self {
        Self {
            context: parent.context,
            parent: Some(parent.clone()),
            name: name.into(),
            fresh,
            inherits_acl: parent.inherits_acl,
            identity: None,
            handle: Arc::default(),
            finish,
        }
    }

    fn with_handle(mut self, handle: OwnedFd) -> Result<Self> {
        self.identity = Some(identity(&handle).map_err(self.error("stat", b""))?);
        *self.handle.lock() = Some(Arc::new(handle));
        self.context.handles.filled(&self.handle);
        Ok(self)
    }

    /// Says what metadata it is to have when everything in it is done.
    pub fn set_wanted(&mut self, wanted: Option<Wanted>) {
        if wanted.is_some() && !self.context.options.test {
            self.finish.get_or_insert_default().wanted = wanted;
        }
    }

    /// Whether there is such a directory: not in a rehearsal that would make it.
    pub fn exists(&self) -> bool {
        self.identity.is_some()
    }

    /// What the job is about.
    pub fn context(&self) -> &'j Context<'j> {
        self.context
    }

    /// An open handle. Opens the directories above it again where they have been closed.
    pub fn handle(self: &Arc<Self>) -> Result<Arc<OwnedFd>> {
        if let Some(handle) = &*self.handle.lock() {
            return Ok(handle.clone());
        }
        let mut closed = vec![self];
        let mut above = loop {
            let Some(parent) = closed.last().and_then(|dir| dir.parent.as_ref()) else {
                // The handle of the target is never closed, so this is a rehearsal.
                return Err(Error::NotFound {
                    what: "directory",
                    name: self.path().display().to_string(),
                });
            };
            if let Some(handle) = &*parent.handle.lock() {
                break handle.clone();
            }
            closed.push(parent);
        };
        while let Some(dir) = closed.pop() {
            above = Arc::new(dir.reopen(&above)?);
            *dir.handle.lock() = Some(above.clone());
            self.context.handles.filled(&dir.handle);
        }
        Ok(above)
    }

    /// Sets its own metadata, when nothing has work in it any more.
    fn finish(&mut self) {
        let Some(finish) = self.finish.take().filter(|_| self.identity.is_some()) else {
            return;
        };
        let open = self.handle.lock().take();
        let result = match (open, &self.parent) {
            (Some(handle), _) => Ok(handle),
            (None, Some(parent)) => parent.handle().and_then(|above| Ok(Arc::new(self.reopen(&above)?))),
            // The handle of the target stays open until now.
            (None, None) => return,
        };
        if let Err(error) = result.and_then(|handle| apply::finish_directory(self, &handle, &finish)) {
            self.context.report.problem(self.path(), error);
        }
    }

    fn reopen(&self, above: &OwnedFd) -> Result<OwnedFd> {
        let handle = open_dir(above.as_fd(), &self.name).map_err(self.error("open again", b""))?;
        let found = identity(&handle).map_err(self.error("stat", b""))?;
        if Some(found) != self.identity {
            return Err(Error::UnsafeName {
                name: self.name.clone(),
                what: "the target",
                problem: "the directory was replaced by another while its content was written",
            });
        }
        Ok(handle)
    }

    /// Its path, for messages only.
    pub fn path(&self) -> PathBuf {
        self.path_of(b"")
    }

    /// The path of a name in it, for messages only.
    pub fn path_of(&self, name: &[u8]) -> PathBuf {
        let mut parts: Vec<&BStr> = vec![self.name.as_bstr()];
        let mut above = self.parent.as_ref();
        while let Some(dir) = above {
            parts.push(dir.name.as_bstr());
            above = dir.parent.as_ref();
        }
        if !name.is_empty() {
            parts.insert(0, name.as_bstr());
        }
        parts.iter().rev().map(|part| part.to_path_lossy()).collect()
    }

    /// The path of a name in it, from the target.
    pub fn relative(&self, name: &[u8]) -> BString {
        let mut parts = vec![name];
        let mut dir = self;
        while let Some(above) = &dir.parent {
            parts.push(&dir.name);
            dir = above;
        }
        parts.retain(|part| !part.is_empty());
        parts.reverse();
        bstr::join("/", parts).into()
    }

    /// For `map_err`: an error about a name in it.
    pub fn error<'n>(&'n self, op: &'static str, name: &'n [u8]) -> impl FnOnce(Errno) -> Error + use<'j, 'n> {
        move |errno| Error::Io {
            op,
            path: self.path_of(name),
            source: errno.into(),
        }
    }

    /// What a name in it is, without following; `None` where there is nothing.
    pub fn look(self: &Arc<Self>, name: &[u8]) -> Result<Option<Stat>> {
        if !self.exists() {
            return Ok(None);
        }
        match rustix::fs::statat(&*self.handle()?, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("stat", name)(errno)),
        }
    }

    /// The names in it.
    pub fn list(self: &Arc<Self>) -> Result<Listing> {
        let mut names = Vec::new();
        let mut has_repository = false;
        if self.exists() {
            let entries = rustix::fs::Dir::read_from(&*self.handle()?).map_err(self.error("list", b""))?;
            for entry in entries {
                let entry = entry.map_err(self.error("list", b""))?;
                match entry.file_name().to_bytes() {
                    b"." | b".." => {}
                    name if is_repository(name) => has_repository = true,
                    name => names.push(name.into()),
                }
            }
        }
        names.sort_unstable();
        Ok(Listing { names, has_repository })
    }

    /// Removes it from its parent. It must be empty.
    pub fn remove(&mut self) -> Result<()> {
        if let Some(parent) = &self.parent {
            let above = parent.handle()?;
            rustix::fs::unlinkat(&above, self.name.as_slice(), AtFlags::REMOVEDIR)
                .map_err(parent.error("remove", &self.name))?;
        }
        self.finish = None;
        Ok(())
    }
}

/// What is in a directory.
#[derive(Debug)]
pub(super) struct Listing {
    /// The names but `.`, `..` and `.ghost`, sorted.
    pub names: Vec<Box<[u8]>>,
    /// Whether there is a `.ghost`.
    pub has_repository: bool,
}

impl Drop for Dir<'_> {
    fn drop(&mut self) {
        self.finish();
        // Let go of the parents one by one: a chain of thousands would overflow the stack.
        let mut parent = self.parent.take();
        while let Some(mut dir) = parent.and_then(Arc::into_inner) {
            dir.finish();
            parent = dir.parent.take();
        }
    }
}

/// Whether a name is that of a repository, which a job neither reads, nor writes, nor removes.
pub(super) fn is_repository(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b".ghost")
}

/// Opens the directory that the caller named, or makes it and what is missing above it. Links in this path are
/// followed: it is the caller's own. A target inside a repository is refused.
pub(super) fn open_target<'j>(context: &'j Context<'j>, path: &Path) -> Result<Dir<'j>> {
    refuse_repository(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || rustix::fs::open(path, flags, Mode::empty());
    match open() {
        Ok(handle) => Dir::top(context, path, Some(handle), false),
        Err(Errno::NOENT) if context.options.test => Dir::top(context, path, None, true),
        Err(Errno::NOENT) => {
            if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
                fs_err::create_dir_all(above).map_err(Error::io("make directory", above))?;
            }
            rustix::fs::mkdir(path, Mode::RWXU).map_err(Error::sys("make directory", path))?;
            let handle = open().map_err(Error::sys("open", path))?;
            Dir::top(context, path, Some(handle), true)
        }
        Err(errno) => Err(Error::sys("open", path)(errno)),
    }
}

/// The path of the target without links and dots, as far as it is there; as given where the system does not tell.
pub(super) fn without_links(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for above in path.ancestors() {
        let there = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        if let Ok(there) = fs_err::canonicalize(there) {
            return there.join(missing.iter().rev().collect::<PathBuf>());
        }
        missing.extend(above.file_name());
    }
    path.to_owned()
}

/// Refuses a target at or below a `.ghost`, wherever links lead.
fn refuse_repository(path: &Path) -> Result<()> {
    // What is not there yet cannot be a link, so the deepest folder that is there and the rest tell all.
    let existing = path.ancestors().find_map(|above| {
        let above = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        fs_err::canonicalize(above).ok()
    });
    let inside = |path: &Path| path.iter().any(|name| is_repository(name.as_bytes()));
    if inside(path) || existing.is_some_and(|existing| inside(&existing)) {
        let problem = "it is inside a repository, whose files only ghost itself may change";
        return Err(Error::invalid("target", path.display(), problem));
    }
    Ok(())
}

/// Opens a directory by its name in another, without following links.
fn open_dir(above: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(above, name, DIR_FLAGS, Mode::empty(), resolve) {
        // No such call, or a filter that does not know it. One name with `O_NOFOLLOW` is as safe.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(above, name, DIR_FLAGS, Mode::empty()),
        // Another process renamed something meanwhile, so that the kernel could not be sure.
        Err(Errno::AGAIN) => rustix::fs::openat(above, name, DIR_FLAGS, Mode::empty()),
        found => found,
    }
}

fn identity(handle: &OwnedFd) -> rustix::io::Result<Identity> {
    Ok(Identity::of(&rustix::fs::fstat(handle)?))
}
