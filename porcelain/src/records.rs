//! What `--json` prints that several commands share. Names of fields are stable (`ghost help json`).

use bstr::ByteSlice as _;
use ghost_plumbing::object::{Kind, Node, ObjectId, Snapshot};
use serde::Serialize;

use crate::ui::time::rfc3339;

/// A path: as text, and exactly where it is not UTF-8.
#[derive(Debug, Serialize)]
pub struct PathField {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl PathField {
    /// From the bytes of a path.
    pub fn new(path: &[u8]) -> Self {
        Self {
            path: path.to_str_lossy().into_owned(),
            path_hex: path.to_str().is_err().then(|| hex(path)),
        }
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A snapshot.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "snapshot")]
pub struct SnapshotRecord {
    id: String,
    tree: String,
    parents: Vec<String>,
    refs: Vec<String>,
    time: String,
    host: String,
    author: String,
    message: String,
    tags: Vec<String>,
    roots: Vec<PathField>,
    rules: Vec<String>,
    files: u64,
    directories: u64,
    others: u64,
    total_bytes: u64,
    ghosts_only: bool,
}

impl SnapshotRecord {
    /// From a snapshot and the full names of the refs that name it.
    pub fn new(id: &ObjectId, snapshot: &Snapshot, refs: Vec<String>) -> Self {
        Self {
            id: id.to_string(),
            tree: snapshot.tree.to_string(),
            parents: snapshot.parents.iter().map(ToString::to_string).collect(),
            refs,
            time: rfc3339(snapshot.time, snapshot.offset_minutes),
            host: snapshot.host.clone(),
            author: snapshot.author.clone(),
            message: snapshot.message.clone(),
            tags: snapshot.tags.clone(),
            roots: snapshot.roots.iter().map(|root| PathField::new(&root.path)).collect(),
            rules: snapshot.rules.clone(),
            files: snapshot.totals.files,
            directories: snapshot.totals.directories,
            others: snapshot.totals.others,
            total_bytes: snapshot.totals.bytes,
            ghosts_only: snapshot.is_ghosts_only(),
        }
    }
}

/// Something that could not be read or written.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "problem")]
pub struct ProblemRecord {
    #[serde(flatten)]
    path: PathField,
    message: String,
}

impl ProblemRecord {
    /// From a path and what went wrong there.
    pub fn new(path: &[u8], error: &ghost_plumbing::Error) -> Self {
        Self {
            path: PathField::new(path),
            message: error.to_string(),
        }
    }

    /// From an error that names its path, if it is about one.
    pub fn of(error: &ghost_plumbing::Error) -> Self {
        let path = match error {
            ghost_plumbing::Error::Io { path, .. } => path.as_os_str().as_encoded_bytes(),
            _ => b"",
        };
        Self::new(path, error)
    }
}

/// An entry of a tree.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "entry")]
pub struct EntryRecord {
    #[serde(flatten)]
    path: PathField,
    kind: &'static str,
    mode: String,
    uid: u32,
    gid: u32,
    user: String,
    group: String,
    mtime: String,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fullhash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    xattrs: Vec<String>,
}

impl EntryRecord {
    /// From an entry at `path`.
    pub fn new(path: &[u8], entry: &ghost_plumbing::object::Entry) -> Self {
        let meta = &entry.meta;
        let (mut content, mut tree, mut target, mut device) = (None, None, None, None);
        match &entry.node {
            Node::File { content: bytes, .. } => content = Some(bytes.to_string()),
            Node::Directory { tree: id } => tree = Some(id.to_string()),
            Node::Symlink { target: bytes } => target = Some(bytes.to_str_lossy().into_owned()),
            Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => device = Some((*major, *minor)),
            Node::Fifo | Node::Socket | Node::Whiteout => {}
        }
        Self {
            path: PathField::new(path),
            kind: kind_name(entry.kind()),
            mode: format!("{:06o}", entry.st_mode()),
            uid: meta.uid,
            gid: meta.gid,
            user: meta.user.to_string(),
            group: meta.group.to_string(),
            mtime: rfc3339(meta.mtime, 0),
            size_bytes: entry.size(),
            content,
            fullhash: entry.fullhash().map(|id| id.to_string()),
            tree,
            target,
            device,
            xattrs: meta.xattrs.iter().map(|(name, _)| name.to_string()).collect(),
        }
    }
}

/// The word for a kind of entry.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "dir",
        Kind::Symlink => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "chardev",
        Kind::BlockDevice => "blockdev",
        Kind::Whiteout => "whiteout",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_exact_where_text_is_not() {
        let json = |path: &[u8]| serde_json::to_string(&PathField::new(path)).unwrap();
        assert_eq!(json(b"a b"), r#"{"path":"a b"}"#);
        assert_eq!(json(b"a\xff"), "{\"path\":\"a\u{fffd}\",\"path_hex\":\"61ff\"}");
    }
}
