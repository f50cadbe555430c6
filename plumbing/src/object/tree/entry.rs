//! Entries: what a directory keeps of a name.

use bstr::BString;

use super::check_name;
use crate::error::Result;
use crate::limits::{NAME_BYTES_MAX, OWNER_NAME_BYTES_MAX, SYMLINK_BYTES_MAX, XATTR_VALUE_BYTES_MAX, XATTRS_MAX};
use crate::object::codec::{Reader, put_bytes, put_signed, put_varint};
use crate::object::{ContentRef, ObjectId};
use crate::time::Timestamp;

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

    /// Its word in lines and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "dir",
            Self::Symlink => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::CharDevice => "chardev",
            Self::BlockDevice => "blockdev",
            Self::Whiteout => "whiteout",
        }
    }

    /// The kind of this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        ALL_KINDS.into_iter().find(|kind| kind.name() == name)
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        EntryRef::decode(reader).map(Self::from)
    }
}

impl From<EntryRef<'_>> for Entry {
    fn from(entry: EntryRef<'_>) -> Self {
        let EntryRef { name, meta, node } = entry;
        let owned = |(name, value): (&[u8], &[u8])| (name.into(), value.to_vec());
        Self {
            name: name.into(),
            meta: Metadata {
                mode: meta.mode,
                uid: meta.uid,
                gid: meta.gid,
                user: meta.user.into(),
                group: meta.group.into(),
                mtime: meta.mtime,
                btime: meta.btime,
                xattrs: meta.xattrs.into_iter().map(owned).collect(),
                links: meta.links,
            },
            node,
        }
    }
}

/// An [`Entry`] whose names are those in its encoding: for whoever reads many and keeps little of each.
#[derive(Debug)]
pub(super) struct EntryRef<'a> {
    pub(super) name: &'a [u8],
    meta: MetadataRef<'a>,
    pub(super) node: Node,
}

/// The same of [`Metadata`].
#[derive(Debug)]
struct MetadataRef<'a> {
    mode: u32,
    uid: u32,
    gid: u32,
    user: &'a [u8],
    group: &'a [u8],
    mtime: Timestamp,
    btime: Option<Timestamp>,
    xattrs: Vec<(&'a [u8], &'a [u8])>,
    links: Option<[u8; 16]>,
}

impl<'a> EntryRef<'a> {
    /// Reads what [`Entry::encode`] wrote.
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self> {
        let name = reader.bytes("name", NAME_BYTES_MAX)?;
        check_name(name, "tree node")?;
        let byte = reader.byte()?;
        let kind =
            Kind::from_byte(byte).ok_or_else(|| reader.malformed(format_args!("unknown kind of entry {byte}")))?;
        let flags = reader.varint()?;
        if flags & !FLAGS_KNOWN != 0 || (flags & FLAG_FULLHASH != 0 && kind != Kind::File) {
            return Err(reader.malformed(format_args!("flags {flags:#x} do not belong to this entry")));
        }
        let meta = take_meta(reader, flags)?;
        if meta.links.is_some() && matches!(kind, Kind::Directory | Kind::Whiteout) {
            return Err(reader.malformed("a hard-link group on an entry that has one name"));
        }
        let node = take_node(reader, kind, flags)?;
        Ok(Self { name, meta, node })
    }
}

fn take_meta<'a>(reader: &mut Reader<'a>, flags: u64) -> Result<MetadataRef<'a>> {
    // The limits fit a u32.
    let mode = reader.varint_max("mode", 0o7777)? as u32;
    let uid = reader.varint_max("uid", u64::from(u32::MAX))? as u32;
    let gid = reader.varint_max("gid", u64::from(u32::MAX))? as u32;
    let mut owner_name = |flag, what| -> Result<&'a [u8]> {
        if flags & flag == 0 {
            return Ok(&[]);
        }
        let name = reader.bytes(what, OWNER_NAME_BYTES_MAX)?;
        if name.is_empty() || name.contains(&0) {
            return Err(reader.malformed(format_args!("{what} is empty or holds NUL")));
        }
        Ok(name)
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
    Ok(MetadataRef {
        mode,
        uid,
        gid,
        user,
        group,
        mtime,
        btime,
        xattrs,
        links,
    })
}

fn take_node(reader: &mut Reader<'_>, kind: Kind, flags: u64) -> Result<Node> {
    Ok(match kind {
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
    })
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

fn take_xattrs<'a>(reader: &mut Reader<'a>) -> Result<Vec<(&'a [u8], &'a [u8])>> {
    let count = reader.length("count of extended attributes", XATTRS_MAX)?;
    if count == 0 {
        return Err(reader.malformed("a list of no extended attributes"));
    }
    let mut xattrs: Vec<(&[u8], &[u8])> = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let name = reader.bytes("name of an extended attribute", NAME_BYTES_MAX)?;
        if name.is_empty() || name.contains(&0) || xattrs.last().is_some_and(|(last, _)| *last >= name) {
            return Err(reader.malformed("names of extended attributes are not sorted, repeated or not valid"));
        }
        let value = reader.bytes("value of an extended attribute", XATTR_VALUE_BYTES_MAX)?;
        xattrs.push((name, value));
    }
    Ok(xattrs)
}
