//! What the parts have in common in their tests: a store in memory, a tree of files of many shapes.

mod act;
mod copy;
mod dup;
mod early;
mod forest;
pub(super) mod made;
mod overlap;
mod recall;
pub(super) mod world;

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;

use bstr::BString;

use crate::Error;
use crate::object::tree::{Node, TreeBuilder};
use crate::object::{ContentRef, Entry, HashAlgo, IndirectBuilder, Metadata, ObjectId, ObjectKind, ObjectSource};

/// Objects in memory.
#[derive(Default)]
pub(super) struct Memory(Mutex<HashMap<ObjectId, Vec<u8>>>);

impl ObjectSource for Memory {
    fn object(&self, kind: ObjectKind, id: &ObjectId) -> crate::Result<Vec<u8>> {
        let found = self.0.lock().unwrap().get(id).cloned();
        found.ok_or(Error::Missing {
            id: *id,
            needed_as: kind.name(),
        })
    }
}

impl Memory {
    pub(super) fn put(&self, bytes: Vec<u8>) -> ObjectId {
        let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
        self.0.lock().unwrap().insert(id, bytes);
        id
    }

    /// Stores a live directory as `part`-byte blocks, files, folders and links only.
    pub(super) fn store(&self, folder: &Path, part: usize) -> ObjectId {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        let mut builder = TreeBuilder::new();
        let mut put = |_: ObjectKind, bytes: Vec<u8>| Ok(self.put(bytes));
        for name in names {
            let path = folder.join(&name);
            let kind = std::fs::symlink_metadata(&path).unwrap();
            let node = if kind.is_dir() {
                Node::Directory {
                    tree: self.store(&path, part),
                }
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                Node::Symlink {
                    target: target.as_os_str().as_bytes().into(),
                }
            } else {
                self.file(&std::fs::read(&path).unwrap(), part)
            };
            let entry = Entry {
                name: BString::from(name.as_bytes()),
                meta: Metadata::default(),
                node,
            };
            builder.push(&entry, &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap()
    }

    fn file(&self, bytes: &[u8], part: usize) -> Node {
        let mut builder = IndirectBuilder::new(HashAlgo::Sha256);
        let mut put = |_: ObjectKind, bytes: Vec<u8>| Ok(self.put(bytes));
        for chunk in bytes.chunks(part) {
            let content = ContentRef::Block {
                id: self.put(chunk.to_vec()),
                bytes: chunk.len() as u64,
            };
            builder.push(content, &mut put).unwrap();
        }
        let content = match bytes.is_empty() {
            true => ContentRef::Inline(Vec::new()),
            false => builder.finish(&mut put).unwrap(),
        };
        let fullhash = (bytes.len() > part).then(|| ObjectId::hash(HashAlgo::Sha256, bytes));
        Node::File { content, fullhash }
    }
}

/// Files of many sizes under names of many bytes, some equal, with links and an empty folder; the paths of all files.
pub(super) fn plant(folder: &Path) -> Vec<BString> {
    let big = vec![7u8; 700_000];
    let files: [(&[u8], &[u8]); 9] = [
        (b"a/x", b"same"),
        (b"a/c/deep\xff", b"same"),
        (b"a/d", b"other"),
        (b"a.b", b"same"),
        (b"a b", b""),
        (b"new\nline", b""),
        (b"big", &big),
        (b"a/c/big", &big),
        (b"z", b"sane"),
    ];
    for (path, bytes) in files {
        let path = folder.join(std::ffi::OsStr::from_bytes(path));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::create_dir(folder.join("nothing")).unwrap();
    std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
    files.iter().map(|(path, _)| BString::from(*path)).collect()
}
