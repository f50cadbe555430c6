//! An entry as a JSON record: what its line says, with a field for each word. Fields that the porcelain has too have
//! its names.

use bstr::ByteSlice;
use ghost_plumbing::object::Node;
use serde::Serialize;

use crate::entry_line::EntryLine;
use crate::output::{JsonPath, hex, inexact_hex, json_time};

/// See the module.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JsonEntry {
    #[serde(flatten)]
    path: JsonPath,
    kind: &'static str,
    mode: String,
    uid: u32,
    gid: u32,
    user: String,
    group: String,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    btime: Option<String>,
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
    target_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<String>,
    xattrs: Vec<String>,
    /// In the order of `xattrs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattr_values_hex: Vec<String>,
}

impl From<&EntryLine> for JsonEntry {
    fn from(line: &EntryLine) -> Self {
        let meta = &line.meta;
        let mut out = Self {
            path: JsonPath::new(&line.path),
            kind: line.kind.name(),
            mode: format!("{:06o}", line.kind.type_bits() | meta.mode),
            uid: meta.uid,
            gid: meta.gid,
            user: meta.user.to_string(),
            group: meta.group.to_string(),
            mtime: json_time(meta.mtime),
            btime: meta.btime.map(json_time),
            links: meta.links.as_ref().map(|group| hex(group)),
            inode: line.inode.map(|inode| format!("{}:{}", inode.device, inode.number)),
            xattrs: meta.xattrs.iter().map(|(name, _)| name.to_string()).collect(),
            xattr_values_hex: meta.xattrs.iter().map(|(_, value)| hex(value)).collect(),
            ..Self::default()
        };
        match &line.node {
            Some(node @ Node::File { content, .. }) => {
                out.size_bytes = content.len();
                out.content = Some(content.to_string());
                out.fullhash = node.fullhash().map(|id| id.to_string());
            }
            Some(Node::Directory { tree }) => out.tree = Some(tree.to_string()),
            Some(Node::Symlink { target }) => {
                out.size_bytes = target.len() as u64;
                out.target = Some(target.to_str_lossy().into_owned());
                out.target_hex = inexact_hex(target);
            }
            Some(Node::CharDevice { major, minor } | Node::BlockDevice { major, minor }) => {
                out.device = Some((*major, *minor));
            }
            _ => {}
        }
        out
    }
}
