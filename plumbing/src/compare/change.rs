//! What a comparison finds: [`Change`], its two sides and the fields of metadata that differ.

use std::fmt;
use std::ops::BitOr;

use bstr::BString;

use crate::object::{Entry, Kind, Metadata, Node, ObjectId};

/// How something differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is on the new side only.
    Added,
    /// It is on the old side only.
    Removed,
    /// Same kind, other content: bytes of a file, target of a link, number of a device, entries of a directory.
    Modified,
    /// Another kind.
    TypeChanged,
    /// Same content, other metadata.
    Metadata,
    /// It was removed at `from` and is here with the same content.
    Moved {
        /// The old path.
        from: BString,
    },
    /// It has the content of what was at `from`, and another path took that or it is still there.
    Copied {
        /// The path of the original on the old side.
        from: BString,
    },
}

/// One difference between two sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path below the compared directories, with slashes.
    pub path: BString,
    /// How it differs.
    pub kind: ChangeKind,
    /// What was there; none for what was added.
    pub old: Option<Item>,
    /// What is there; none for what was removed.
    pub new: Option<Item>,
    /// Which metadata differs, where both sides are there.
    pub fields: Fields,
}

/// One side of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Metadata. Of what is in a live directory, hard-link groups are not known.
    pub meta: Metadata,
    /// Kind and content.
    pub content: Content,
}

/// The content of one side of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it, as a tree has it.
    Known(Node),
    /// A regular file in a live directory.
    LiveFile {
        /// Its length in bytes.
        bytes: u64,
        /// The plain hash of its bytes, where it had to be read.
        fullhash: Option<ObjectId>,
    },
    /// A directory in a live directory.
    LiveDirectory,
}

impl Item {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match &self.content {
            Content::Known(node) => node.kind(),
            Content::LiveFile { .. } => Kind::File,
            Content::LiveDirectory => Kind::Directory,
        }
    }

    /// `st_mode`: type and permission bits.
    pub fn st_mode(&self) -> u32 {
        self.kind().type_bits() | self.meta.mode
    }

    /// Size in bytes of a file's content or a link's target; 0 for all else.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::Known(Node::File { content, .. }) => content.len(),
            Content::Known(Node::Symlink { target }) => target.len() as u64,
            Content::LiveFile { bytes, .. } => *bytes,
            Content::Known(_) | Content::LiveDirectory => 0,
        }
    }

    /// The plain hash of a file's bytes, where it is known.
    pub fn fullhash(&self) -> Option<ObjectId> {
        match &self.content {
            Content::Known(node) => node.fullhash(),
            Content::LiveFile { fullhash, .. } => *fullhash,
            Content::LiveDirectory => None,
        }
    }

    /// The node that a tree has for it, where that is known.
    pub fn node(&self) -> Option<&Node> {
        match &self.content {
            Content::Known(node) => Some(node),
            _ => None,
        }
    }
}

impl From<Entry> for Item {
    fn from(entry: Entry) -> Self {
        Self {
            meta: entry.meta,
            content: Content::Known(entry.node),
        }
    }
}

/// A set of fields of [`Metadata`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields(u16);

impl Fields {
    /// No field.
    pub const NONE: Self = Self(0);
    /// Permission bits.
    pub const MODE: Self = Self(1);
    /// Numeric owner.
    pub const UID: Self = Self(2);
    /// Numeric group.
    pub const GID: Self = Self(4);
    /// Name of the owner.
    pub const USER: Self = Self(8);
    /// Name of the group.
    pub const GROUP: Self = Self(16);
    /// Time of the last change of the content.
    pub const MTIME: Self = Self(32);
    /// Time of birth.
    pub const BTIME: Self = Self(64);
    /// Extended attributes.
    pub const XATTRS: Self = Self(128);
    /// Hard-link group.
    pub const LINKS: Self = Self(256);
    /// Every field.
    pub const ALL: Self = Self(511);
    /// What a restore brings back: all but the time of birth.
    pub const RESTORABLE: Self = Self(511 & !64);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::MODE, "mode"),
        (Self::UID, "uid"),
        (Self::GID, "gid"),
        (Self::USER, "user"),
        (Self::GROUP, "group"),
        (Self::MTIME, "mtime"),
        (Self::BTIME, "btime"),
        (Self::XATTRS, "xattrs"),
        (Self::LINKS, "links"),
    ];

    /// The fields in which two sides differ.
    pub fn differing(old: &Metadata, new: &Metadata) -> Self {
        [
            (Self::MODE, old.mode != new.mode),
            (Self::UID, old.uid != new.uid),
            (Self::GID, old.gid != new.gid),
            (Self::USER, old.user != new.user),
            (Self::GROUP, old.group != new.group),
            (Self::MTIME, old.mtime != new.mtime),
            (Self::BTIME, old.btime != new.btime),
            (Self::XATTRS, old.xattrs != new.xattrs),
            (Self::LINKS, old.links != new.links),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .fold(Self::NONE, |all, (field, _)| all | field)
    }

    /// Whether no field is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` is in the set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The fields that are in both sets.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The fields without those of `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The names of the fields, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(field, _)| self.contains(*field))
            .map(|(_, name)| name)
    }
}

impl BitOr for Fields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
