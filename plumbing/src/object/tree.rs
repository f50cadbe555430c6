//! Directories (object-format.md, "Trees").
//!
//! A directory is a sorted list of entries in one or more nodes. A leaf holds entries; when it has grown past
//! [`LEAF_BYTES_MIN`] it ends after an entry whose name hashes to six zero bits, so that the cut depends on names
//! alone and a change touches one leaf. Inner nodes list the first name and the id of their children, and are cut
//! in the same way. The id of the topmost node is the id of the directory.

use bstr::BString;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Result};
use crate::limits::{
    NAME_BYTES_MAX, NODE_DEPTH_MAX, OWNER_NAME_BYTES_MAX, SYMLINK_BYTES_MAX, TREE_NODE_BYTES_MAX,
    XATTR_VALUE_BYTES_MAX, XATTRS_MAX,
};
use crate::object::codec::{Reader, put_bytes, put_signed, put_varint};
use crate::object::content::PutObject;
use crate::object::{ContentRef, ObjectId, ObjectKind};
use crate::time::Timestamp;

const TREE_VERSION: u8 = 1;
/// The node of a directory with no entries.
pub const EMPTY: [u8; 2] = [TREE_VERSION, 0];
/// A node shorter than this is not cut.
pub const LEAF_BYTES_MIN: usize = 4096;
/// A node is cut at the first entry that brings it to this length.
pub const LEAF_BYTES_CUT: usize = 65_536;
/// A cut follows a name whose hash has these bits clear: one in 64.
const CUT_MASK: u64 = 63;

const FLAG_USER: u64 = 1;
const FLAG_GROUP: u64 = 2;
const FLAG_BIRTH: u64 = 4;
const FLAG_XATTRS: u64 = 8;
const FLAG_LINKS: u64 = 16;
const FLAG_FULLHASH: u64 = 32;
const FLAGS_KNOWN: u64 = 63;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    File = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A named pipe.
    Fifo = 4,
    /// A UNIX socket.
    Socket = 5,
    /// A character device.
    CharDevice = 6,
    /// A block device.
    BlockDevice = 7,
    /// A deleted name, for overlays.
    Whiteout = 8,
}

impl Kind {
    /// The file-type bits of `st_mode`; a whiteout has `S_IFWHT`, 0160000.
    pub fn type_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
            Self::CharDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
            Self::Whiteout => 0o160_000,
        }
    }

    /// From the file-type bits of `st_mode`.
    pub fn from_type_bits(mode: u32) -> Option<Self> {
        ALL_KINDS.into_iter().find(|kind| kind.type_bits() == mode & 0o170_000)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        ALL_KINDS.into_iter().find(|kind| *kind as u8 == byte)
    }
}

const ALL_KINDS: [Kind; 8] = [
    Kind::File,
    Kind::Directory,
    Kind::Symlink,
    Kind::Fifo,
    Kind::Socket,
    Kind::CharDevice,
    Kind::BlockDevice,
    Kind::Whiteout,
];

/// What is kept of an inode beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: 07777 at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Name of the owner; empty if unknown.
    pub user: BString,
    /// Name of the group; empty if unknown.
    pub group: BString,
    /// Time of the last change of the content.
    pub mtime: Timestamp,
    /// Time of birth, where it is kept.
    pub btime: Option<Timestamp>,
    /// Extended attributes with their full names, sorted; ACLs are among them.
    pub xattrs: Vec<(BString, Vec<u8>)>,
    /// Entries of one snapshot with the same value are names of one inode.
    pub links: Option<[u8; 16]>,
}

/// The kind of an entry and what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Its bytes.
        content: ContentRef,
        /// The plain hash of all bytes, where `content` is not one block of the same hash.
        fullhash: Option<ObjectId>,
    },
    /// A directory.
    Directory {
        /// Its topmost node.
        tree: ObjectId,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points; not empty, no NUL.
        target: BString,
    },
    /// A named pipe.
    Fifo,
    /// A UNIX socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A deleted name.
    Whiteout,
}

impl Node {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::File { .. } => Kind::File,
            Self::Directory { .. } => Kind::Directory,
            Self::Symlink { .. } => Kind::Symlink,
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
            Self::CharDevice { .. } => Kind::CharDevice,
            Self::BlockDevice { .. } => Kind::BlockDevice,
            Self::Whiteout => Kind::Whiteout,
        }
    }

    /// The plain hash of a file's bytes.
    pub fn fullhash(&self) -> Option<ObjectId> {
        match self {
            Self::File { fullhash: Some(id), .. } => Some(*id),
            Self::File {
                content: ContentRef::Block { id, .. },
                ..
            } => Some(*id),
            _ => None,
        }
    }
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name: any bytes but `/` and NUL, not `.`, `..` or `.ghost`.
    pub name: BString,
    /// Metadata.
    pub meta: Metadata,
    /// Kind and content.
    pub node: Node,
}

/// Refuses names that no entry may have.
pub fn check_name(name: &[u8], what: &'static str) -> Result<()> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name == b"." || name == b".." {
        "it names this folder or the one above"
    } else if name.contains(&b'/') || name.contains(&0) {
        "it holds a slash or NUL"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 4096 bytes"
    } else if name.eq_ignore_ascii_case(b".ghost") {
        "it is reserved for repositories"
    } else {
        return Ok(());
    };
    Err(Error::UnsafeName {
        name: name.into(),
        what,
        problem,
    })
}

/// The hard-link group of an inode, from the first of its names that is in the tree: the path from the top of the
/// tree with slashes, first in [`compare_paths`] order. So it is the same wherever the same tree is built.
pub fn link_group(first_path: &[u8]) -> [u8; 16] {
    let mut group = [0; 16];
    group.copy_from_slice(&blake3::hash(first_path).as_bytes()[..16]);
    group
}

/// The order in which a walk that goes into each directory at once meets paths: names compared one after another.
pub fn compare_paths(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.split(|&byte| byte == b'/').cmp(b.split(|&byte| byte == b'/'))
}

impl Entry {
    /// The kind.
    pub fn kind(&self) -> Kind {
        self.node.kind()
    }

    /// `st_mode`: type and permission bits.
    pub fn st_mode(&self) -> u32 {
        self.kind().type_bits() | self.meta.mode
    }

    /// Size in bytes of a file's content or a link's target; 0 for all else.
    pub fn size(&self) -> u64 {
        match &self.node {
            Node::File { content, .. } => content.len(),
            Node::Symlink { target } => target.len() as u64,
            _ => 0,
        }
    }

    /// The plain hash of a file's bytes.
    pub fn fullhash(&self) -> Option<ObjectId> {
        self.node.fullhash()
    }

    /// Appends the encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let meta = &self.meta;
        put_bytes(out, &self.name);
        out.push(self.kind() as u8);
        let mut flags = 0;
        let fullhash = match &self.node {
            Node::File { fullhash, .. } => *fullhash,
            _ => None,
        };
        for (flag, present) in [
            (FLAG_USER, !meta.user.is_empty()),
            (FLAG_GROUP, !meta.group.is_empty()),
            (FLAG_BIRTH, meta.btime.is_some()),
            (FLAG_XATTRS, !meta.xattrs.is_empty()),
            (FLAG_LINKS, meta.links.is_some()),
            (FLAG_FULLHASH, fullhash.is_some()),
        ] {
            flags |= if present { flag } else { 0 };
        }
        put_varint(out, flags);
        put_varint(out, u64::from(meta.mode));
        put_varint(out, u64::from(meta.uid));
        put_varint(out, u64::from(meta.gid));
        if !meta.user.is_empty() {
            put_bytes(out, &meta.user);
        }
        if !meta.group.is_empty() {
            put_bytes(out, &meta.group);
        }
        put_time(out, meta.mtime);
        if let Some(btime) = meta.btime {
            put_time(out, btime);
        }
        if !meta.xattrs.is_empty() {
            put_varint(out, meta.xattrs.len() as u64);
            for (name, value) in &meta.xattrs {
                put_bytes(out, name);
                put_bytes(out, value);
            }
        }
        if let Some(links) = &meta.links {
            out.extend_from_slice(links);
        }
        match &self.node {
            Node::File { content, .. } => content.encode(out),
            Node::Directory { tree } => tree.encode(out),
            Node::Symlink { target } => put_bytes(out, target),
            Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => {
                put_varint(out, u64::from(*major));
                put_varint(out, u64::from(*minor));
            }
            Node::Fifo | Node::Socket | Node::Whiteout => {}
        }
        if let Some(id) = fullhash {
            id.encode(out);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let name = reader.bytes("name", NAME_BYTES_MAX)?;
        check_name(name, "tree node")?;
        let byte = reader.byte()?;
        let kind =
            Kind::from_byte(byte).ok_or_else(|| reader.malformed(format_args!("unknown kind of entry {byte}")))?;
        let flags = reader.varint()?;
        if flags & !FLAGS_KNOWN != 0 || (flags & FLAG_FULLHASH != 0 && kind != Kind::File) {
            return Err(reader.malformed(format_args!("flags {flags:#x} do not belong to this entry")));
        }
        // The limits fit a u32.
        let mode = reader.varint_max("mode", 0o7777)? as u32;
        let uid = reader.varint_max("uid", u64::from(u32::MAX))? as u32;
        let gid = reader.varint_max("gid", u64::from(u32::MAX))? as u32;
        let mut owner_name = |flag, what| -> Result<BString> {
            if flags & flag == 0 {
                return Ok(BString::default());
            }
            let name = reader.bytes(what, OWNER_NAME_BYTES_MAX)?;
            if name.is_empty() || name.contains(&0) {
                return Err(reader.malformed(format_args!("{what} is empty or holds NUL")));
            }
            Ok(name.into())
        };
        let user = owner_name(FLAG_USER, "user name")?;
        let group = owner_name(FLAG_GROUP, "group name")?;
        let mtime = take_time(reader)?;
        let btime = if flags & FLAG_BIRTH != 0 {
            Some(take_time(reader)?)
        } else {
            None
        };
        let xattrs = if flags & FLAG_XATTRS != 0 {
            take_xattrs(reader)?
        } else {
            Vec::new()
        };
        let links = if flags & FLAG_LINKS != 0 {
            Some(reader.array::<16>()?)
        } else {
            None
        };
        if links.is_some() && matches!(kind, Kind::Directory | Kind::Whiteout) {
            return Err(reader.malformed("a hard-link group on an entry that has one name"));
        }
        let node = match kind {
            Kind::File => {
                let content = ContentRef::decode(reader)?;
                let fullhash = if flags & FLAG_FULLHASH != 0 {
                    Some(ObjectId::decode(reader)?)
                } else {
                    None
                };
                if let (Some(full), ContentRef::Block { id, .. }) = (&fullhash, &content)
                    && full.algo() == id.algo()
                {
                    return Err(reader.malformed("a file hash beside the one block that says it"));
                }
                Node::File { content, fullhash }
            }
            Kind::Directory => Node::Directory {
                tree: ObjectId::decode(reader)?,
            },
            Kind::Symlink => {
                let target = reader.bytes("link target", SYMLINK_BYTES_MAX)?;
                if target.is_empty() || target.contains(&0) {
                    return Err(reader.malformed("a link target that is empty or holds NUL"));
                }
                Node::Symlink { target: target.into() }
            }
            Kind::CharDevice | Kind::BlockDevice => {
                let major = reader.varint_max("major number", u64::from(u32::MAX))? as u32;
                let minor = reader.varint_max("minor number", u64::from(u32::MAX))? as u32;
                if kind == Kind::CharDevice {
                    Node::CharDevice { major, minor }
                } else {
                    Node::BlockDevice { major, minor }
                }
            }
            Kind::Fifo => Node::Fifo,
            Kind::Socket => Node::Socket,
            Kind::Whiteout => Node::Whiteout,
        };
        let meta = Metadata {
            mode,
            uid,
            gid,
            user,
            group,
            mtime,
            btime,
            xattrs,
            links,
        };
        Ok(Self {
            name: name.into(),
            meta,
            node,
        })
    }
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    put_signed(out, time.seconds);
    put_varint(out, u64::from(time.nanos));
}

fn take_time(reader: &mut Reader<'_>) -> Result<Timestamp> {
    let seconds = reader.signed()?;
    let nanos = reader.varint_max("nanoseconds", 999_999_999)? as u32;
    Ok(Timestamp { seconds, nanos })
}

fn take_xattrs(reader: &mut Reader<'_>) -> Result<Vec<(BString, Vec<u8>)>> {
    let count = reader.length("count of extended attributes", XATTRS_MAX)?;
    if count == 0 {
        return Err(reader.malformed("a list of no extended attributes"));
    }
    let mut xattrs: Vec<(BString, Vec<u8>)> = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let name = reader.bytes("name of an extended attribute", NAME_BYTES_MAX)?;
        if name.is_empty() || name.contains(&0) || xattrs.last().is_some_and(|(last, _)| last.as_slice() >= name) {
            return Err(reader.malformed("names of extended attributes are not sorted, repeated or not valid"));
        }
        let value = reader.bytes("value of an extended attribute", XATTR_VALUE_BYTES_MAX)?;
        xattrs.push((name.into(), value.to_vec()));
    }
    Ok(xattrs)
}

/// One child in an inner node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The first name in the child.
    pub first: BString,
    /// Entries in all leaves below it, at least one.
    pub entries: u64,
    /// The child's node.
    pub id: ObjectId,
}

/// A node of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeNode {
    /// Entries.
    Leaf(Vec<Entry>),
    /// Nodes one level below.
    Inner {
        /// 1 above leaves, and so on.
        level: u8,
        /// The children, in order of their names.
        children: Vec<Child>,
    },
}

impl TreeNode {
    /// Reads the bytes of a node.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("tree node", encoded);
        if encoded.len() > TREE_NODE_BYTES_MAX {
            return Err(reader.malformed(format_args!(
                "{} bytes, the limit is {TREE_NODE_BYTES_MAX}",
                encoded.len()
            )));
        }
        let version = reader.byte()?;
        if version != TREE_VERSION {
            return Err(reader.malformed(format_args!("version {version}, expected {TREE_VERSION}")));
        }
        let level = reader.byte()?;
        let node = match level {
            0 => {
                let mut entries: Vec<Entry> = Vec::new();
                while reader.left() > 0 {
                    let entry = Entry::decode(&mut reader)?;
                    if entries.last().is_some_and(|last| last.name >= entry.name) {
                        return Err(reader.malformed(format_args!("name {:?} repeats or is out of order", entry.name)));
                    }
                    entries.push(entry);
                }
                Self::Leaf(entries)
            }
            1..=NODE_DEPTH_MAX => {
                let mut children: Vec<Child> = Vec::new();
                while reader.left() > 0 {
                    let first = reader.bytes("name", NAME_BYTES_MAX)?;
                    check_name(first, "tree node")?;
                    if children.last().is_some_and(|last| last.first.as_slice() >= first) {
                        return Err(reader.malformed("names of children repeat or are out of order"));
                    }
                    let entries = reader.varint()?;
                    if entries == 0 {
                        return Err(reader.malformed("a child of no entries"));
                    }
                    let id = ObjectId::decode(&mut reader)?;
                    children.push(Child {
                        first: first.into(),
                        entries,
                        id,
                    });
                }
                if children.len() < 2 {
                    return Err(reader.malformed("an inner node of fewer than two children"));
                }
                Self::Inner { level, children }
            }
            _ => return Err(reader.malformed(format_args!("level {level}, the limit is {NODE_DEPTH_MAX}"))),
        };
        reader.end()?;
        Ok(node)
    }
}

/// An open node while a directory is built.
#[derive(Debug, Default)]
struct OpenNode {
    encoded: Vec<u8>,
    first: BString,
    last: BString,
    entries: u64,
    children: usize,
}

/// Makes the nodes of a directory from its entries in order. Memory is one node a level.
#[derive(Debug)]
pub struct TreeBuilder {
    levels: Vec<OpenNode>,
}

impl Default for TreeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeBuilder {
    /// A directory with no entries yet.
    pub fn new() -> Self {
        Self {
            levels: vec![OpenNode::default()],
        }
    }

    /// Adds the next entry; its name must be greater than the one before.
    pub fn push(&mut self, entry: &Entry, put: &mut PutObject<'_>) -> Result<()> {
        check_name(&entry.name, "directory")?;
        self.open(0, &entry.name, put)?;
        let node = &mut self.levels[0];
        entry.encode(&mut node.encoded);
        node.entries += 1;
        Ok(())
    }

    /// Makes the node at `level` ready for something that begins with `name`.
    fn open(&mut self, level: usize, name: &BString, put: &mut PutObject<'_>) -> Result<()> {
        if level == self.levels.len() {
            self.levels.push(OpenNode::default());
        }
        let node = &self.levels[level];
        if node.children > 0 {
            if node.last >= *name {
                return Err(Error::UnsafeName {
                    name: name.clone(),
                    what: "directory",
                    problem: "it repeats or is out of order",
                });
            }
            // An inner node has at least two children, so that levels shrink.
            let may_cut = node.encoded.len() >= LEAF_BYTES_MIN && (level == 0 || node.children >= 2);
            let cut = xxh3_64_with_seed(&node.last, level as u64) & CUT_MASK == 0;
            if may_cut && (cut || node.encoded.len() >= LEAF_BYTES_CUT) {
                self.close(level, put)?;
            }
        }
        let node = &mut self.levels[level];
        if node.children == 0 {
            node.encoded
                .extend_from_slice(&[TREE_VERSION, u8::try_from(level).unwrap_or(u8::MAX)]);
            node.first.clone_from(name);
        }
        node.children += 1;
        node.last.clone_from(name);
        Ok(())
    }

    fn close(&mut self, level: usize, put: &mut PutObject<'_>) -> Result<()> {
        let node = std::mem::take(&mut self.levels[level]);
        // A last child that stands alone is handed up as it is, without a node of one child around it.
        let (id, entries) = if level > 0 && node.children == 1 {
            let mut reader = Reader::new("tree node", &node.encoded[2..]);
            reader.bytes("name", NAME_BYTES_MAX)?;
            reader.varint()?;
            (ObjectId::decode(&mut reader)?, node.entries)
        } else {
            (put(ObjectKind::Tree, node.encoded)?, node.entries)
        };
        self.open(level + 1, &node.first, put)?;
        let above = &mut self.levels[level + 1];
        put_bytes(&mut above.encoded, &node.first);
        put_varint(&mut above.encoded, entries);
        id.encode(&mut above.encoded);
        above.entries += entries;
        Ok(())
    }

    /// The id of the directory.
    pub fn finish(mut self, put: &mut PutObject<'_>) -> Result<ObjectId> {
        if self.levels[0].children == 0 {
            return put(ObjectKind::Tree, EMPTY.to_vec());
        }
        let mut level = 0;
        while level + 1 < self.levels.len() {
            if self.levels[level].children > 0 {
                self.close(level, put)?;
            }
            level += 1;
        }
        let top = &mut self.levels[level];
        if level > 0 && top.children == 1 {
            let mut reader = Reader::new("tree node", &top.encoded[2..]);
            reader.bytes("name", NAME_BYTES_MAX)?;
            reader.varint()?;
            return ObjectId::decode(&mut reader);
        }
        let encoded = std::mem::take(&mut top.encoded);
        put(ObjectKind::Tree, encoded)
    }
}

/// Gives the bytes of objects: a store, a bundle, a remote.
pub trait ObjectSource: Sync {
    /// The bytes of an object that is needed as `kind`, with their hash checked.
    fn object(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>>;

    /// Reads one node of a directory; an error names its id.
    fn tree_node(&self, id: &ObjectId) -> Result<TreeNode> {
        let encoded = self.object(ObjectKind::Tree, id)?;
        TreeNode::decode(&encoded).map_err(|source| Error::BadObject {
            id: *id,
            source: Box::new(source),
        })
    }
}

/// Streams the entries of one directory in order. Memory is one node a level.
pub struct Entries<'a, S: ObjectSource + ?Sized> {
    source: &'a S,
    /// Nodes still to read, the next one last, with the level they must have.
    pending: Vec<(ObjectId, Option<u8>)>,
    leaf: std::vec::IntoIter<Entry>,
    last: Option<BString>,
}

impl<'a, S: ObjectSource + ?Sized> Entries<'a, S> {
    /// The entries of the directory `tree`.
    pub fn new(source: &'a S, tree: ObjectId) -> Self {
        Self {
            source,
            pending: vec![(tree, None)],
            leaf: Vec::new().into_iter(),
            last: None,
        }
    }

    fn advance(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.leaf.next() {
                if self.last.as_ref().is_some_and(|last| *last >= entry.name) {
                    let problem = "it repeats or is out of order";
                    return Err(Error::UnsafeName {
                        name: entry.name,
                        what: "directory",
                        problem,
                    });
                }
                if self.leaf.len() == 0 {
                    self.last = Some(entry.name.clone());
                }
                return Ok(Some(entry));
            }
            let Some((id, level)) = self.pending.pop() else {
                return Ok(None);
            };
            let node = self.source.tree_node(&id)?;
            let found = match &node {
                TreeNode::Leaf(_) => 0,
                TreeNode::Inner { level, .. } => *level,
            };
            if level.is_some_and(|level| level <= found) {
                let source =
                    Reader::new("tree node", &[]).malformed(format_args!("level {found} below level {level:?}"));
                return Err(Error::BadObject {
                    id,
                    source: Box::new(source),
                });
            }
            match node {
                TreeNode::Leaf(entries) => self.leaf = entries.into_iter(),
                TreeNode::Inner { children, .. } => {
                    self.pending
                        .extend(children.into_iter().rev().map(|child| (child.id, Some(found))));
                }
            }
        }
    }
}

impl<S: ObjectSource + ?Sized> Iterator for Entries<'_, S> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.pending.clear();
            self.leaf = Vec::new().into_iter();
        }
        next.transpose()
    }
}

/// Finds one name in a directory by reading one path of its nodes.
pub fn lookup<S: ObjectSource + ?Sized>(source: &S, tree: ObjectId, name: &[u8]) -> Result<Option<Entry>> {
    let mut id = tree;
    for _ in 0..=NODE_DEPTH_MAX {
        match source.tree_node(&id)? {
            TreeNode::Leaf(entries) => {
                let found = entries.binary_search_by(|entry| entry.name.as_slice().cmp(name));
                return Ok(found.ok().and_then(|at| entries.into_iter().nth(at)));
            }
            TreeNode::Inner { children, .. } => {
                let after = children.partition_point(|child| child.first.as_slice() <= name);
                let Some(at) = after.checked_sub(1) else {
                    return Ok(None);
                };
                id = children[at].id;
            }
        }
    }
    let source = Reader::new("tree node", &[]).malformed("nested deeper than the limit");
    Err(Error::BadObject {
        id: tree,
        source: Box::new(source),
    })
}
