//! Open directories, and access to what is in them by name alone.
//!
//! A path is used once, to open the root. Everything below is reached by one name in an open directory, so depth has no
//! limit and nothing that others rename or link meanwhile can lead elsewhere: no link is followed, no fifo waits for a
//! writer, no access time is changed where the kernel lets us keep it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use bstr::BString;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::names::Names;
use super::stat::{Stat, stat_at, stat_fd};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// An open directory. Names that its methods take are single components.
#[derive(Debug)]
pub struct DirHandle {
    fd: OwnedFd,
}

impl DirHandle {
    /// Opens the directory at `path`. This alone follows links: somebody named the path.
    pub fn open_root(path: &Path) -> io::Result<Self> {
        let fd = open_quietly(CWD, path, DIRECTORY)?;
        Ok(Self { fd })
    }

    /// Opens a directory in this one; a link to one is refused.
    pub fn open_child(&self, name: impl Arg) -> io::Result<Self> {
        let fd = open_quietly(self.fd.as_fd(), name, DIRECTORY.union(OFlags::NOFOLLOW))?;
        Ok(Self { fd })
    }

    /// Opens the directory at a path of any length below this one; the empty path is this one. A link in any place of
    /// it is refused, as is every name that leads upward.
    pub fn open_below(&self, path: &[u8]) -> io::Result<Self> {
        if path.is_empty() {
            return self.open_child(c".");
        }
        let names = || path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        if names().any(|name| name == b"." || name == b"..") {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if let Some(fd) = self.open_at_once(path)? {
            return Ok(Self { fd });
        }
        let mut dir = None;
        for name in names() {
            dir = Some(dir.as_ref().unwrap_or(self).open_child(name)?);
        }
        dir.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Opens a directory below in one call; none where the path is too long for that, or the system does not know the
    /// call or forbids it.
    fn open_at_once(&self, path: &[u8]) -> io::Result<Option<OwnedFd>> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = DIRECTORY.union(OFlags::NOATIME);
        match retry_on_intr(|| rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve)) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::NAMETOOLONG) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens the directory above, if it is still the one that `expected` shows.
    ///
    /// A walk that goes deep can so close the handles of the levels above and come back to them.
    pub fn open_parent(&self, expected: &Stat) -> io::Result<Self> {
        let parent = self.open_child(c"..")?;
        let found = parent.stat_self()?;
        if (found.dev, found.ino) != (expected.dev, expected.ino) {
            let problem = format!(
                "the directory was moved: expected {}:{} above it, found {}:{}",
                expected.dev, expected.ino, found.dev, found.ino
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, problem));
        }
        Ok(parent)
    }

    /// All names, sorted.
    pub fn read_names(&self) -> io::Result<Names> {
        Names::read(self.fd.as_fd())
    }

    /// Looks at an entry, not at what a link leads to.
    pub fn stat(&self, name: impl Arg) -> io::Result<Stat> {
        stat_at(self.fd.as_fd(), name)
    }

    /// Looks at the directory itself.
    pub fn stat_self(&self) -> io::Result<Stat> {
        stat_fd(self.fd.as_fd())
    }

    /// Opens a file to read. A link is refused; a fifo or device that took the file's place opens without waiting, so
    /// the caller compares [`stat_fd`] with what was seen before it believes what it read.
    pub fn open_file(&self, name: impl Arg) -> io::Result<OwnedFd> {
        open_quietly(self.fd.as_fd(), name, FILE.union(OFlags::NOFOLLOW))
    }

    /// The target of a symbolic link, of any length.
    pub fn read_link(&self, name: impl Arg) -> io::Result<BString> {
        let target = rustix::fs::readlinkat(self.fd.as_fd(), name, Vec::new())?;
        Ok(target.into_bytes().into())
    }
}

impl AsFd for DirHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets this process hold as many open files as it is allowed to ask for, and gives that number, if there is one.
///
/// A walk holds a handle for each level above it, and the limit that programs begin with (1024 on most systems) is less
/// deep than folders can be. Where raising it fails it stays as it is.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Opens without changing the access time. Only owners may ask for that: others open without it.
fn open_quietly(dir: BorrowedFd<'_>, name: impl Arg, flags: OFlags) -> io::Result<OwnedFd> {
    let open = |name: &std::ffi::CStr, flags| retry_on_intr(|| rustix::fs::openat(dir, name, flags, Mode::empty()));
    let fd = name.into_with_c_str(|name| match open(name, flags.union(OFlags::NOATIME)) {
        Err(Errno::PERM) => open(name, flags),
        result => result,
    })?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use rustix::fs::{AtFlags, mkdirat, unlinkat};

    use super::*;
    use crate::object::Kind;

    #[test]
    fn names_of_every_byte_are_listed_stated_and_opened() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected: Vec<Vec<u8>> = (1..=255u8)
            .filter(|&byte| byte != b'/' && byte != b'.')
            .map(|byte| vec![byte])
            .collect();
        expected.push(vec![0xff; 255]);
        expected.push(b"..a".to_vec());
        for name in &expected {
            std::fs::write(folder.path().join(OsStr::from_bytes(name)), name).unwrap();
        }
        expected.sort();
        let dir = DirHandle::open_root(folder.path()).unwrap();
        // Twice: reading begins at the beginning each time.
        for _ in 0..2 {
            let names = dir.read_names().unwrap();
            assert_eq!(names.iter().collect::<Vec<_>>(), expected);
            for index in 0..names.len() {
                let stat = dir.stat(names.c_str(index)).unwrap();
                assert_eq!((stat.kind, stat.size), (Kind::File, names.get(index).len() as u64));
                assert!(matches!(names.kind(index), None | Some(Kind::File)));
                let file = std::fs::File::from(dir.open_file(names.get(index)).unwrap());
                assert_eq!(std::io::read_to_string(file).is_ok(), names.get(index).is_ascii());
            }
        }
    }

    #[test]
    fn a_directory_of_many_names_is_read_over_several_buffers() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..3000 {
            std::fs::write(folder.path().join(format!("{:0>100}", number * 7919 % 3000)), b"").unwrap();
        }
        let names = DirHandle::open_root(folder.path()).unwrap().read_names().unwrap();
        assert_eq!(names.len(), 3000);
        assert!(names.iter().is_sorted());
    }

    #[test]
    fn paths_deeper_than_path_max_are_walked_down_and_up() {
        let folder = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let levels = 40;
        let mut dir = DirHandle::open_root(folder.path()).unwrap();
        let mut above = Vec::new();
        for _ in 0..levels {
            mkdirat(&dir, name.as_str(), Mode::RWXU).unwrap();
            above.push(dir.stat_self().unwrap());
            dir = dir.open_child(name.as_str()).unwrap();
        }
        let path = vec![name.as_str(); levels].join("/");
        let again = DirHandle::open_root(folder.path())
            .unwrap()
            .open_below(path.as_bytes())
            .unwrap();
        assert_eq!(again.stat_self().unwrap().ino, dir.stat_self().unwrap().ino);
        rustix::fs::symlinkat("target", &dir, "link").unwrap();
        assert_eq!(dir.read_link("link").unwrap(), "target");
        assert_eq!(dir.read_names().unwrap().iter().collect::<Vec<_>>(), [b"link"]);
        let wrong = dir.stat_self().unwrap();
        assert!(dir.open_parent(&wrong).is_err());
        unlinkat(&dir, "link", AtFlags::empty()).unwrap();
        while let Some(expected) = above.pop() {
            dir = dir.open_parent(&expected).unwrap();
            assert_eq!(dir.read_names().unwrap().iter().collect::<Vec<_>>(), [name.as_bytes()]);
            unlinkat(&dir, name.as_str(), AtFlags::REMOVEDIR).unwrap();
        }
    }

    #[test]
    fn a_path_below_is_opened_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        symlink("a", folder.path().join("link")).unwrap();
        let dir = DirHandle::open_root(folder.path()).unwrap();
        let ino = |path: &[u8]| dir.open_below(path).unwrap().stat_self().unwrap().ino;
        assert_eq!(ino(b""), dir.stat_self().unwrap().ino);
        assert_eq!(ino(b"a/b"), dir.open_child("a").unwrap().stat("b").unwrap().ino);
        for path in [&b"link"[..], b"link/b", b"a/../a", b"a/c"] {
            assert!(dir.open_below(path).is_err());
        }
    }

    #[test]
    fn links_are_read_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = "x/".repeat(2000);
        symlink(&target, folder.path().join("long")).unwrap();
        symlink(folder.path(), folder.path().join("up")).unwrap();
        std::fs::write(folder.path().join("f"), b"1").unwrap();
        symlink("f", folder.path().join("to-f")).unwrap();
        let dir = DirHandle::open_root(folder.path()).unwrap();
        assert_eq!(dir.read_link("long").unwrap(), target.as_bytes());
        assert_eq!(dir.stat("up").unwrap().kind, Kind::Symlink);
        assert!(dir.open_child("up").is_err());
        assert!(dir.open_file("to-f").is_err());
        assert!(dir.open_child("f").is_err());
        assert_eq!(dir.stat("gone").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_fifo_in_place_of_a_file_never_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DirHandle::open_root(folder.path()).unwrap();
        rustix::fs::mknodat(&dir, "p", rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let fifo = dir.open_file("p").unwrap();
        assert_eq!(stat_fd(&fifo).unwrap().kind, Kind::Fifo);
    }

    /// Only root can become somebody else, and only for one thread.
    fn as_nobody(test: impl FnOnce() + Send) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let outcome = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                rustix::thread::set_thread_groups(&[]).unwrap();
                rustix::thread::set_thread_gid(rustix::fs::Gid::from_raw(65534)).unwrap();
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
                test();
            });
            thread.join()
        });
        outcome.unwrap();
    }

    #[test]
    fn files_of_others_are_read_where_that_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let set_mode = |name: &str, mode| {
            let path = folder.path().join(name);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        std::fs::write(folder.path().join("open"), b"1").unwrap();
        std::fs::write(folder.path().join("closed"), b"1").unwrap();
        std::fs::create_dir(folder.path().join("locked")).unwrap();
        for (name, mode) in [("", 0o755), ("open", 0o644), ("closed", 0o600), ("locked", 0o700)] {
            set_mode(name, mode);
        }
        let acl = folder.path().join("closed");
        rustix::fs::lsetxattr(&acl, "trusted.a", b"1", rustix::fs::XattrFlags::empty()).ok();
        as_nobody(|| {
            let dir = DirHandle::open_root(folder.path()).unwrap();
            let names = dir.read_names().unwrap();
            assert_eq!(names.iter().collect::<Vec<_>>(), [&b"closed"[..], b"locked", b"open"]);
            assert!(dir.open_file("open").is_ok());
            let refused = io::ErrorKind::PermissionDenied;
            assert_eq!(dir.open_file("closed").unwrap_err().kind(), refused);
            assert_eq!(dir.open_child("locked").unwrap_err().kind(), refused);
            // What cannot be opened still tells its metadata; `trusted` attributes are for root alone.
            assert_eq!(dir.stat("closed").unwrap().mode, 0o600);
            let dev = dir.stat_self().unwrap().dev;
            assert_eq!(
                super::super::XattrReader::new().read_at(&dir, b"closed", dev).unwrap(),
                []
            );
        });
    }

    #[test]
    fn the_limit_of_open_files_is_raised_to_what_is_allowed() {
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(raise_open_files(), limit.maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }

    #[test]
    fn reading_leaves_access_times_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"1").unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH;
        for path in [&path, folder.path()] {
            let times = std::fs::FileTimes::new().set_accessed(old);
            std::fs::File::open(path).unwrap().set_times(times).unwrap();
        }
        let dir = DirHandle::open_root(folder.path()).unwrap();
        dir.read_names().unwrap();
        std::io::read_to_string(std::fs::File::from(dir.open_file("f").unwrap())).unwrap();
        for path in [&path, folder.path()] {
            assert_eq!(std::fs::metadata(path).unwrap().atime(), 0);
        }
    }
}
