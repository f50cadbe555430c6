//! From what `statx` and the attributes say to what a tree keeps of an inode.

use std::io;

use super::{DirHandle, Owners, Stat, Xattrs};
use crate::object::{Kind, Metadata, Node};

/// The metadata that a tree keeps. The hard-link group is not known before all names are.
pub fn metadata(stat: &Stat, owners: &Owners, xattrs: Xattrs) -> Metadata {
    Metadata {
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        user: owners.user(stat.uid).to_owned(),
        group: owners.group(stat.gid).to_owned(),
        mtime: stat.mtime,
        btime: stat.btime,
        xattrs,
        links: None,
    }
}

/// The node of the entry `name` of `dir`, where its inode says all of it; none of files and directories.
pub fn special_node(dir: &DirHandle, name: &[u8], stat: &Stat) -> io::Result<Option<Node>> {
    let (major, minor) = (stat.rdev_major, stat.rdev_minor);
    Ok(Some(match stat.kind {
        Kind::File | Kind::Directory => return Ok(None),
        Kind::Symlink => Node::Symlink {
            target: dir.read_link(name)?,
        },
        Kind::Fifo => Node::Fifo,
        Kind::Socket => Node::Socket,
        Kind::CharDevice => Node::CharDevice { major, minor },
        Kind::BlockDevice => Node::BlockDevice { major, minor },
        Kind::Whiteout => Node::Whiteout,
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_kind_has_its_node() {
        let folder = tempfile::tempdir().unwrap();
        symlink("to", folder.path().join("l")).unwrap();
        std::fs::write(folder.path().join("f"), b"1").unwrap();
        let dir = DirHandle::open_root(folder.path()).unwrap();
        rustix::fs::mkfifoat(&dir, "p", rustix::fs::Mode::RUSR).unwrap();
        let node = |dir: &DirHandle, name: &[u8]| special_node(dir, name, &dir.stat(name).unwrap()).unwrap();
        assert_eq!(node(&dir, b"l"), Some(Node::Symlink { target: "to".into() }));
        assert_eq!(node(&dir, b"p"), Some(Node::Fifo));
        assert_eq!(node(&dir, b"f"), None);
        let dev = DirHandle::open_root("/dev".as_ref()).unwrap();
        assert_eq!(node(&dev, b"null"), Some(Node::CharDevice { major: 1, minor: 3 }));
    }

    #[test]
    fn metadata_is_that_of_the_inode() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DirHandle::open_root(folder.path()).unwrap();
        let stat = dir.stat_self().unwrap();
        let owners = Owners::from_files(format!("me:x:{}:0", stat.uid).as_bytes(), b"");
        let meta = metadata(&stat, &owners, vec![("user.a".into(), vec![1])]);
        assert_eq!((meta.mode, meta.uid, meta.gid), (stat.mode, stat.uid, stat.gid));
        assert_eq!((meta.user.as_slice(), meta.group.as_slice()), (&b"me"[..], &b""[..]));
        assert_eq!((meta.mtime, meta.btime, meta.links), (stat.mtime, stat.btime, None));
        assert_eq!(meta.xattrs.len(), 1);
    }
}
