//! An entry as a JSON record: what its line says, with a field for each word.

use ghost_plumbing::object::Node;
use ghost_plumbing::time::Timestamp;
use serde::Serialize;

use crate::entry_line::{EntryLine, kind_name};
use crate::output::{JsonBytes, hex};

/// See the module. Fields that would say the default are left out, as in the line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JsonEntry {
    path: JsonBytes,
    mode: String,
    kind: &'static str,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u32,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<JsonBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<JsonBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<JsonTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    btime: Option<JsonTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fullhash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<JsonBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rdev: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<JsonXattr>,
}

/// An instant: seconds since 1970, rounded down, and nanoseconds after them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct JsonTime {
    seconds: i64,
    nanos: u32,
}

#[derive(Clone, Debug, Serialize)]
struct JsonXattr {
    name: JsonBytes,
    value: JsonBytes,
}

impl From<Timestamp> for JsonTime {
    fn from(time: Timestamp) -> Self {
        Self {
            seconds: time.seconds,
            nanos: time.nanos,
        }
    }
}

impl From<&EntryLine> for JsonEntry {
    fn from(line: &EntryLine) -> Self {
        let meta = &line.meta;
        let some = |bytes: &[u8]| Some(JsonBytes::from(bytes));
        let mut out = Self {
            path: line.path.as_slice().into(),
            mode: format!("{:06o}", line.kind.type_bits() | meta.mode),
            kind: kind_name(line.kind),
            uid: meta.uid,
            gid: meta.gid,
            user: some(&meta.user).filter(|_| !meta.user.is_empty()),
            group: some(&meta.group).filter(|_| !meta.group.is_empty()),
            mtime: Some(meta.mtime)
                .filter(|time| *time != Timestamp::default())
                .map(JsonTime::from),
            btime: meta.btime.map(JsonTime::from),
            links: meta.links.as_ref().map(|group| hex(group)),
            inode: line.inode.map(|inode| format!("{}:{}", inode.device, inode.number)),
            ..Self::default()
        };
        let xattr = |(name, value): &(bstr::BString, Vec<u8>)| JsonXattr {
            name: name.as_slice().into(),
            value: value.as_slice().into(),
        };
        out.xattrs = meta.xattrs.iter().map(xattr).collect();
        match &line.node {
            Some(Node::File { content, fullhash }) => {
                out.reference = Some(content.to_string());
                out.size = Some(content.len());
                out.fullhash = fullhash.map(|id| id.to_string());
            }
            Some(Node::Directory { tree }) => out.reference = Some(format!("tree:{tree}")),
            Some(Node::Symlink { target }) => out.target = some(target),
            Some(Node::CharDevice { major, minor } | Node::BlockDevice { major, minor }) => {
                out.rdev = Some((*major, *minor));
            }
            _ => {}
        }
        out
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
