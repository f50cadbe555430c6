//! A forest that is made up: folders of files in memory, of which one may be slow to be read.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bstr::{BStr, BString, ByteSlice as _};
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::ghosts::forest::{Forest, Leaf, Origin, Part, Parts};
use crate::object::{ContentRef, Entry, HashAlgo, Metadata, Node, ObjectId};
use crate::time::Timestamp;

/// The folder that is not read before somebody was told something.
const LATE: &str = "late";
/// A walk that waits so long for an answer waits in vain.
const PATIENCE: Duration = Duration::from_secs(100);

/// Names with their bytes, in order.
type Files = Vec<(BString, Vec<u8>)>;

#[derive(Default)]
pub(in crate::ghosts) struct Made {
    folders: Vec<(BString, Files)>,
    /// Names of one inode, and whether the hash is known by each.
    linked: BTreeMap<BString, bool>,
    gate: Option<Mutex<Receiver<()>>>,
}

impl Made {
    /// Adds one name of the only file with several; its hash may be known by this one.
    pub(in crate::ghosts) fn link(&mut self, folder: &str, name: &str, bytes: &[u8], is_known: bool) {
        self.file(folder, name, bytes);
        self.linked.insert(format!("{folder}/{name}").into(), is_known);
    }

    pub(in crate::ghosts) fn file(&mut self, folder: &str, name: &str, bytes: &[u8]) {
        if self.folders.last().is_none_or(|(last, _)| last != folder) {
            self.folders.push((folder.into(), Vec::new()));
        }
        let last = self.folders.len() - 1;
        self.folders[last].1.push((name.into(), bytes.to_vec()));
    }

    /// From now on, the folder `late` waits for word of an answer.
    pub(in crate::ghosts) fn wait(&mut self) -> Sender<()> {
        let (sender, receiver) = channel();
        self.gate = Some(Mutex::new(receiver));
        sender
    }

    fn bytes(&self, path: &BStr) -> Result<&[u8]> {
        let (folder, name) = path.split_once_str("/").unwrap_or((b"", path.as_bytes()));
        let files = self.folders.iter().find(|(at, _)| at == folder).map(|(_, files)| files);
        // Names ascend.
        let found = files.and_then(|files| {
            let at = files.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok()?;
            Some(files[at].1.as_slice())
        });
        found.ok_or_else(|| Error::io("open", path.to_string())(io::ErrorKind::NotFound.into()))
    }
}

fn leaf(path: BString, node: Node, size: u64) -> Leaf {
    let entry = Entry {
        name: path.clone(),
        meta: Metadata::default(),
        node,
    };
    Leaf {
        path,
        kind: entry.kind(),
        size,
        mtime: Timestamp::default(),
        fullhash: None,
        fasthash: None,
        origin: Origin::Stored(Box::new(entry)),
    }
}

fn folder(path: &BString) -> Leaf {
    let tree = ObjectId::hash(HashAlgo::Sha256, b"");
    leaf(path.clone(), Node::Directory { tree }, 0)
}

fn file(path: BString, bytes: &[u8]) -> Leaf {
    let content = ContentRef::Inline(Vec::new());
    leaf(
        path,
        Node::File {
            content,
            fullhash: None,
        },
        bytes.len() as u64,
    )
}

/// A folder in one part.
fn whole(leaves: Vec<Leaf>) -> Parts<'static> {
    let is_last = true;
    let problems = Vec::new();
    Box::new(std::iter::once(Part {
        leaves,
        problems,
        is_last,
    }))
}

impl Forest for Made {
    fn label(&self) -> &BStr {
        b"made".as_bstr()
    }

    fn algo(&self) -> HashAlgo {
        HashAlgo::Sha256
    }

    fn root(&self) -> Result<Leaf> {
        Ok(folder(&BString::default()))
    }

    fn enter(&self, at: &Leaf) -> Result<Parts<'_>> {
        if at.path.is_empty() {
            return Ok(whole(self.folders.iter().map(|(path, _)| folder(path)).collect()));
        }
        if at.path == LATE
            && let Some(gate) = &self.gate
        {
            let told = gate.lock().recv_timeout(PATIENCE);
            told.map_err(|_| Error::invalid("walk", "late", "nothing was told before it ended"))?;
        }
        let files = self.folders.iter().find(|(path, _)| *path == at.path);
        let files = files.map(|(_, files)| files.as_slice()).unwrap_or_default();
        let leaf = |(name, bytes): &(BString, Vec<u8>)| {
            let mut leaf = file(at.child_path(name), bytes);
            if let (Some(is_known), Origin::Stored(entry)) = (self.linked.get(&leaf.path), &mut leaf.origin) {
                entry.meta.links = Some([7; 16]);
                leaf.fullhash = is_known.then(|| ObjectId::hash(HashAlgo::Sha256, bytes));
            }
            leaf
        };
        Ok(whole(files.iter().map(leaf).collect()))
    }

    fn open(&self, file: &Leaf) -> Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.bytes(file.path.as_bstr())?))
    }

    fn read_at(&self, file: &Leaf, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        let all = self.bytes(file.path.as_bstr())?;
        let from = usize::try_from(offset).unwrap().min(all.len());
        Ok(all[from..all.len().min(from + bytes)].to_vec())
    }

    fn full_hash(&self, file: &Leaf) -> Result<ObjectId> {
        Ok(ObjectId::hash(HashAlgo::Sha256, self.bytes(file.path.as_bstr())?))
    }

    fn find(&self, path: &BStr) -> Result<Leaf> {
        Ok(file(path.into(), self.bytes(path)?))
    }

    fn live_path(&self, _: &BStr) -> Option<PathBuf> {
        None
    }
}
