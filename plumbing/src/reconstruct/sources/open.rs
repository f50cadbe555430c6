//! Reaching and hashing a file that may serve as a source.
//!
//! A path is gone down one name at a time from an open directory, and no name is followed where it is a link. What is
//! opened is a regular file of the wanted length, or it does not serve; neither a fifo nor a device that took its place
//! is waited for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Why;
use super::second::SecondNames;
use crate::object::{HashAlgo, Hasher, Kind, ObjectId};
use crate::reconstruct::existing::open_file;
use crate::reconstruct::target::is_repository;
use crate::walk::{Stat, hole_map, stat_fd};

/// Files are read in units of this many bytes.
pub(super) const READ_BYTES: usize = 256 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A regular file, open to read, and what it was when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub file: OwnedFd,
    pub stat: Stat,
}

/// Opens the file `names` below an open directory, which must have `bytes` bytes. Where `second` names are given, it is
/// what had these names before they were.
pub(super) fn open_beneath(
    root: BorrowedFd<'_>,
    names: &[&[u8]],
    second: Option<&SecondNames>,
    bytes: u64,
) -> Result<Opened, Why> {
    let opened = open_any_beneath(root, names, second)?;
    match opened.stat.size == bytes {
        true => Ok(opened),
        false => Err(Why::OtherSize(opened.stat.size)),
    }
}

/// The same, however long the file is.
pub(super) fn open_any_beneath(
    root: BorrowedFd<'_>,
    names: &[&[u8]],
    second: Option<&SecondNames>,
) -> Result<Opened, Why> {
    let Some((name, folders)) = names.split_last() else {
        return Err(Why::NotAFile("directory"));
    };
    if names.iter().any(|name| is_repository(name)) {
        return Err(Why::Repository);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: Option<OwnedFd> = None;
    for folder in folders {
        let above = at.as_ref().map_or(root, |at| at.as_fd());
        let open = |name: &[u8]| rustix::fs::openat(above, name, flags, Mode::empty());
        // One that has a second name gave way to something else than a directory.
        let found = open(folder).or_else(|errno| match second.and_then(|second| second.given(folder)) {
            Some(second) => open(&second).map_err(|_| errno),
            None => Err(errno),
        });
        at = Some(found.map_err(|errno| refused(above, folder, errno))?);
    }
    let above = at.as_ref().map_or(root, |at| at.as_fd());
    let held = second.and_then(|second| second.given(name));
    let file = match held.map(|second| open_file(above, &second)) {
        None | Some(Err(Errno::NOENT)) => open_file(above, name),
        Some(found) => found,
    };
    let file = file.map_err(|errno| refused(above, name, errno))?;
    let stat = stat_fd(&file).map_err(|error| Why::Unreadable(errno_of(&error)))?;
    match stat.kind {
        Kind::File => Ok(Opened { file, stat }),
        kind => Err(Why::NotAFile(kind_name(kind))),
    }
}

/// Opens a file by an absolute path on which no link is followed, however long it is.
pub(super) fn open_absolute_any(path: &Path) -> Result<Opened, Why> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.as_bytes()),
            Component::RootDir => {}
            // Nobody writes such a path down.
            _ => return Err(Why::Vanished),
        }
    }
    let top: OwnedFd = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Why::Unreadable)?;
    open_any_beneath(top.as_fd(), &names, None)
}

/// What it means that a name was not opened. A link on the way is `ENOTDIR` where a directory was asked for.
fn refused(above: BorrowedFd<'_>, name: &[u8], errno: Errno) -> Why {
    let is_link = || {
        rustix::fs::statat(above, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| Kind::from_type_bits(stat.st_mode) == Some(Kind::Symlink))
    };
    match errno {
        Errno::NOENT => Why::Vanished,
        Errno::LOOP | Errno::NOTDIR if is_link() => Why::Link,
        Errno::NOTDIR => Why::Vanished,
        // A socket cannot be opened.
        Errno::NXIO => Why::NotAFile("socket"),
        errno => Why::Unreadable(errno),
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symbolic link",
        Kind::Fifo => "pipe",
        Kind::Socket => "socket",
        Kind::CharDevice | Kind::BlockDevice => "device",
        Kind::Whiteout => "whiteout",
    }
}

/// The system's number of an error, where it has one.
pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// What gets each stretch of data, and says whether to go on.
pub(super) type Step<'s, E> = &'s mut dyn FnMut(&[u8], u64) -> Result<(), E>;

/// Hashes the first `bytes` bytes of a file and hands each stretch of data on with its offset; holes are hashed and not
/// handed on. `E` is what the receiver may fail with.
pub(super) fn hash_with<E: From<Why>>(
    file: &OwnedFd,
    bytes: u64,
    algo: HashAlgo,
    buffer: &mut Vec<u8>,
    step: Step<'_, E>,
) -> Result<ObjectId, E> {
    let mut hasher = Hasher::new(algo);
    let mut at = 0;
    buffer.resize(READ_BYTES, 0);
    for range in hole_map(file, bytes) {
        let range = range.map_err(|error| Why::Unreadable(errno_of(&error)))?;
        hash_zeros(&mut hasher, range.offset - at);
        at = range.offset;
        let end = range.offset + range.bytes;
        while at < end {
            // At most `READ_BYTES`.
            let now = (end - at).min(READ_BYTES as u64) as usize;
            match rustix::io::pread(file, &mut buffer[..now], at) {
                Ok(0) => return Err(Why::Changed.into()),
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    step(&buffer[..count], at)?;
                    at += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Why::Unreadable(errno).into()),
            }
        }
    }
    hash_zeros(&mut hasher, bytes - at);
    Ok(hasher.finish())
}

/// Fills a buffer from an offset.
pub(super) fn read_exact_at(file: &OwnedFd, mut buffer: &mut [u8], mut offset: u64) -> Result<(), Why> {
    while !buffer.is_empty() {
        match rustix::io::pread(file, &mut *buffer, offset) {
            Ok(0) => return Err(Why::Changed),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Why::Unreadable(errno)),
        }
    }
    Ok(())
}

fn hash_zeros(hasher: &mut Hasher, mut bytes: u64) {
    while bytes > 0 {
        // At most the length of `ZEROS`.
        let now = bytes.min(ZEROS.len() as u64) as usize;
        hasher.update(&ZEROS[..now]);
        bytes -= now as u64;
    }
}

/// Whether an open file is still what it was when it was opened.
pub(super) fn is_unchanged(opened: &Opened) -> bool {
    stat_fd(&opened.file).is_ok_and(|now| now.same_content(&opened.stat))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn open(root: &Path, path: &str, bytes: u64) -> Result<Opened, Why> {
        let root: OwnedFd = fs::File::open(root).unwrap().into();
        let names: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        open_beneath(root.as_fd(), &names, None, bytes)
    }

    #[test]
    fn only_files_of_the_length_are_opened_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(root.join(".ghost")).unwrap();
        fs::write(root.join("a/b/file"), b"12345").unwrap();
        fs::write(root.join(".ghost/file"), b"12345").unwrap();
        symlink("a", root.join("way")).unwrap();
        symlink("b/file", root.join("a/link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        assert!(open(root, "a/b/file", 5).is_ok());
        for (path, why) in [
            ("a/b", Why::NotAFile("directory")),
            ("a/b/gone", Why::Vanished),
            ("a/b/file/x", Why::Vanished),
            ("way/b/file", Why::Link),
            ("a/link", Why::Link),
            ("pipe", Why::NotAFile("pipe")),
            ("socket", Why::NotAFile("socket")),
            (".ghost/file", Why::Repository),
        ] {
            assert_eq!(open(root, path, 5).unwrap_err(), why, "{path}");
        }
        assert_eq!(open(root, "a/b/file", 4).unwrap_err(), Why::OtherSize(5));
    }

    #[test]
    fn holes_count_as_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        let mut bytes = vec![0; 700_000];
        bytes[300_000..300_005].copy_from_slice(b"hello");
        let file = fs::File::create(&path).unwrap();
        file.set_len(700_000).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"hello", 300_000).unwrap();
        let opened = open(folder.path(), "sparse", 700_000).unwrap();
        let mut handed = 0;
        let id = hash_with::<Why>(
            &opened.file,
            700_000,
            HashAlgo::Sha256,
            &mut Vec::new(),
            &mut |part, offset| {
                assert!(offset <= 300_000);
                handed += part.len();
                Ok(())
            },
        );
        assert_eq!(id.unwrap(), ObjectId::hash(HashAlgo::Sha256, &bytes));
        assert!(handed < 100_000, "{handed}");
        assert!(is_unchanged(&opened));
        // A file that shrank ends before its length.
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(400_000)
            .unwrap();
        let id = hash_with::<Why>(&opened.file, 700_000, HashAlgo::Sha256, &mut Vec::new(), &mut |_, _| {
            Ok(())
        });
        assert_ne!(id, Ok(ObjectId::hash(HashAlgo::Sha256, b"")));
        assert!(!is_unchanged(&opened));
    }
}
