//! Extended attributes, with ACLs among them under their raw names `system.posix_acl_*`.
//!
//! One `listxattr` a call tells that most inodes have none. Values are read into buffers that grow until the value
//! fits, as others may write meanwhile. What cannot be opened (links, devices, fifos, sockets, files without
//! permission) is reached as `/proc/self/fd/N/NAME`, where N is the open directory: that works at any depth and follows
//! no link. A file system that knows no attributes at all is asked once.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use bstr::{BString, ByteSlice};
use parking_lot::RwLock;
use rustix::io::Errno;

use super::dir::DirHandle;
use crate::limits::{XATTR_VALUE_BYTES_MAX, XATTRS_MAX};

/// Full names and values, sorted by name.
pub type Xattrs = Vec<(BString, Vec<u8>)>;

/// Length in bytes of the buffers that are tried first.
const FIRST_BYTES: usize = 1024;
/// Longest list of names in bytes that is read: Linux has 64 KiB.
const LIST_BYTES_MAX: usize = 1 << 20;

/// Reads attributes and remembers devices that have none. Shared by the threads of a scan.
#[derive(Debug, Default)]
pub struct XattrReader {
    /// Devices whose file system does not support attributes: few, so a list.
    without: RwLock<Vec<u64>>,
}

impl XattrReader {
    /// A reader that knows of no device yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The attributes of an open file or directory on the device `dev`.
    pub fn read(&self, file: &impl AsFd, dev: u64) -> io::Result<Xattrs> {
        if self.without.read().contains(&dev) {
            return Ok(Xattrs::new());
        }
        let file = file.as_fd();
        let names = match grow(LIST_BYTES_MAX, |buffer| rustix::fs::flistxattr(file, buffer)) {
            // Only an open inode speaks for its device: some file systems refuse links alone.
            Err(Errno::NOTSUP) => {
                let mut without = self.without.write();
                if !without.contains(&dev) {
                    without.push(dev);
                }
                return Ok(Xattrs::new());
            }
            result => result?,
        };
        collect(&names, |name, buffer| rustix::fs::fgetxattr(file, name, buffer))
    }

    /// The attributes of an entry of `dir`, on the device `dev`, that is not opened.
    pub fn read_at(&self, dir: &DirHandle, name: &[u8], dev: u64) -> io::Result<Xattrs> {
        if self.without.read().contains(&dev) {
            return Ok(Xattrs::new());
        }
        let mut path = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        let path = path.as_slice();
        let names = match grow(LIST_BYTES_MAX, |buffer| rustix::fs::llistxattr(path, buffer)) {
            Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
            result => result?,
        };
        collect(&names, |name, buffer| rustix::fs::lgetxattr(path, name, buffer))
    }
}

/// Reads the value of each name in a list of NUL-terminated ones.
fn collect(list: &[u8], get: impl Fn(&CStr, &mut [u8]) -> Result<usize, Errno>) -> io::Result<Xattrs> {
    let mut xattrs = Xattrs::new();
    for name in list.split_inclusive(|&byte| byte == 0) {
        let name = CStr::from_bytes_with_nul(name).map_err(io::Error::other)?;
        match grow(XATTR_VALUE_BYTES_MAX, |buffer| get(name, buffer)) {
            Ok(value) => xattrs.push((name.to_bytes().into(), value)),
            // Removed meanwhile, or listed by a security module that keeps no value.
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(errno) => {
                let problem = format!("attribute {}: {errno}", name.to_bytes().as_bstr());
                return Err(io::Error::new(io::Error::from(errno).kind(), problem));
            }
        }
    }
    if xattrs.len() > XATTRS_MAX {
        let problem = format!(
            "expected at most {XATTRS_MAX} extended attributes, found {}",
            xattrs.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    xattrs.sort_unstable();
    xattrs.dedup_by(|a, b| a.0 == b.0);
    Ok(xattrs)
}

/// Calls with a larger buffer as long as the result does not fit, up to `max_bytes`.
fn grow(max_bytes: usize, mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut first = [0; FIRST_BYTES];
    match call(&mut first) {
        Err(Errno::RANGE) => {}
        Ok(bytes) => return Ok(first[..bytes].to_vec()),
        Err(errno) => return Err(errno),
    }
    let mut buffer = vec![0; 64 << 10];
    loop {
        match call(&mut buffer) {
            Err(Errno::RANGE) if buffer.len() < max_bytes => buffer.resize(max_bytes.min(buffer.len() * 4), 0),
            Ok(bytes) => {
                buffer.truncate(bytes);
                return Ok(buffer);
            }
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use rustix::fs::{XattrFlags, fsetxattr, lsetxattr};

    use super::*;

    fn folder() -> (tempfile::TempDir, DirHandle, u64) {
        let folder = tempfile::tempdir().unwrap();
        let dir = DirHandle::open_root(folder.path()).unwrap();
        let dev = dir.stat_self().unwrap().dev;
        (folder, dir, dev)
    }

    #[test]
    fn attributes_of_all_lengths_are_sorted_and_the_same_by_both_ways() {
        let (folder, dir, dev) = folder();
        let path = folder.path().join("f");
        std::fs::write(&path, b"1").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let reader = XattrReader::new();
        assert_eq!(reader.read(&file, dev).unwrap(), []);
        let mut expected: Xattrs = vec![
            ("user.z".into(), Vec::new()),
            ("user.a".into(), vec![0xff; 3]),
            ("user.long".into(), vec![7; 2000]),
        ];
        expected.extend((0..20).map(|n| (format!("user.{n:0>60}").into(), vec![n])));
        for (name, value) in &expected {
            match fsetxattr(&file, name.as_slice(), value, XattrFlags::empty()) {
                // A tmpfs of an older kernel.
                Err(Errno::NOTSUP) => return,
                result => result.unwrap(),
            }
        }
        expected.sort();
        assert_eq!(reader.read(&file, dev).unwrap(), expected);
        assert_eq!(reader.read_at(&dir, b"f", dev).unwrap(), expected);
    }

    #[test]
    fn acls_are_kept_raw() {
        let (folder, dir, dev) = folder();
        let path = folder.path().join("f");
        std::fs::write(&path, b"1").unwrap();
        // Version 2, then tag, permissions and id of each entry: u::rw-, u:1234:r--, g::r--, m::r--, o::r--
        let mut acl = vec![2, 0, 0, 0];
        for (tag, bits, id) in [
            (1u16, 6u16, u32::MAX),
            (2, 4, 1234),
            (4, 4, u32::MAX),
            (16, 4, u32::MAX),
            (32, 4, u32::MAX),
        ] {
            acl.extend(tag.to_le_bytes());
            acl.extend(bits.to_le_bytes());
            acl.extend(id.to_le_bytes());
        }
        match lsetxattr(&path, "system.posix_acl_access", &acl, XattrFlags::empty()) {
            Err(Errno::NOTSUP) => return,
            result => result.unwrap(),
        }
        let found = XattrReader::new().read_at(&dir, b"f", dev).unwrap();
        assert_eq!(found, [("system.posix_acl_access".into(), acl)]);
    }

    #[test]
    fn attributes_of_a_link_are_its_own() {
        let (folder, dir, dev) = folder();
        std::fs::write(folder.path().join("f"), b"1").unwrap();
        // Where there are none, following the link would show nothing either.
        lsetxattr(folder.path().join("f"), "user.a", b"1", XattrFlags::empty()).ok();
        symlink("f", folder.path().join("l")).unwrap();
        rustix::fs::mkfifoat(&dir, "p", rustix::fs::Mode::RUSR).unwrap();
        let reader = XattrReader::new();
        assert_eq!(reader.read_at(&dir, b"p", dev).unwrap(), []);
        assert_eq!(reader.read_at(&dir, b"l", dev).unwrap(), []);
        if rustix::process::geteuid().is_root() {
            lsetxattr(folder.path().join("l"), "trusted.b", b"2", XattrFlags::empty()).unwrap();
            let found = reader.read_at(&dir, b"l", dev).unwrap();
            assert_eq!(found, [("trusted.b".into(), b"2".to_vec())]);
        }
    }

    #[test]
    fn capabilities_are_kept() {
        let (folder, dir, dev) = folder();
        let path = folder.path().join("f");
        std::fs::write(&path, b"1").unwrap();
        let set = Command::new("setcap").arg("cap_net_raw=ep").arg(&path).status();
        if set.is_ok_and(|status| status.success()) {
            let found = XattrReader::new().read_at(&dir, b"f", dev).unwrap();
            assert_eq!(found[0].0, "security.capability");
            assert_eq!(found[0].1.len(), 20);
        }
    }

    #[test]
    fn a_file_system_without_attributes_is_asked_once() {
        let reader = XattrReader::new();
        reader.without.write().push(7);
        let (folder, dir, dev) = folder();
        let set = lsetxattr(folder.path(), "user.a", b"1", XattrFlags::empty());
        assert_eq!(reader.read(&dir, 7).unwrap(), []);
        assert_eq!(reader.read(&dir, dev).unwrap().len(), usize::from(set.is_ok()));
        let gone = reader.read_at(&dir, b"gone", dev).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
