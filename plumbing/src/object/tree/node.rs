//! Nodes of a directory as bytes.

use bstr::{BStr, BString};

use super::entry::EntryRef;
use super::{Entry, Node, check_name};
use crate::error::Result;
use crate::limits::{NAME_BYTES_MAX, NODE_DEPTH_MAX, TREE_NODE_BYTES_MAX};
use crate::object::codec::Reader;
use crate::object::{ContentRef, ObjectId};

/// The version of the encoding.
pub(super) const TREE_VERSION: u8 = 1;
/// The node of a directory with no entries.
pub const EMPTY: [u8; 2] = [TREE_VERSION, 0];

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

/// What a node refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A node below it: of the same directory or of one in it.
    Tree(ObjectId),
    /// The content of a file.
    Content(ContentRef),
}

/// What is in a node.
enum Part<'a> {
    Entry(EntryRef<'a>),
    Child {
        first: &'a [u8],
        entries: u64,
        id: ObjectId,
    },
}

impl TreeNode {
    /// Reads the bytes of a node.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let (mut leaf, mut children) = (Vec::new(), Vec::new());
        let level = read(encoded, &mut |part| match part {
            Part::Entry(entry) => leaf.push(entry.into()),
            Part::Child { first, entries, id } => children.push(Child {
                first: first.into(),
                entries,
                id,
            }),
        })?;
        Ok(match level {
            0 => Self::Leaf(leaf),
            _ => Self::Inner { level, children },
        })
    }

    /// What a node of these bytes refers to, in its order: all that [`decode`](Self::decode) reads is read and checked, and
    /// nothing else of it is kept.
    pub fn references(encoded: &[u8]) -> Result<Vec<Reference>> {
        // Most entries are longer.
        let mut found = Vec::with_capacity(encoded.len().min(TREE_NODE_BYTES_MAX) / 64);
        read(encoded, &mut |part| match part {
            Part::Child { id, .. } => found.push(Reference::Tree(id)),
            Part::Entry(EntryRef { node, .. }) => match node {
                Node::Directory { tree } => found.push(Reference::Tree(tree)),
                Node::File { content, .. } => found.push(Reference::Content(content)),
                _ => {}
            },
        })?;
        Ok(found)
    }
}

/// Reads the bytes of a node, and hands over what is in it. Gives its level.
fn read<'a>(encoded: &'a [u8], take: &mut dyn FnMut(Part<'a>)) -> Result<u8> {
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
    let mut last: Option<&[u8]> = None;
    match level {
        0 => {
            while reader.left() > 0 {
                let entry = EntryRef::decode(&mut reader)?;
                let name = entry.name;
                if last.is_some_and(|last| last >= name) {
                    let name = BStr::new(name);
                    return Err(reader.malformed(format_args!("name {name:?} repeats or is out of order")));
                }
                last = Some(name);
                take(Part::Entry(entry));
            }
        }
        1..=NODE_DEPTH_MAX => {
            let mut children = 0;
            while reader.left() > 0 {
                let first = reader.bytes("name", NAME_BYTES_MAX)?;
                check_name(first, "tree node")?;
                if last.is_some_and(|last| last >= first) {
                    return Err(reader.malformed("names of children repeat or are out of order"));
                }
                let entries = reader.varint()?;
                if entries == 0 {
                    return Err(reader.malformed("a child of no entries"));
                }
                let id = ObjectId::decode(&mut reader)?;
                last = Some(first);
                children += 1;
                take(Part::Child { first, entries, id });
            }
            if children < 2 {
                return Err(reader.malformed("an inner node of fewer than two children"));
            }
        }
        _ => return Err(reader.malformed(format_args!("level {level}, the limit is {NODE_DEPTH_MAX}"))),
    }
    reader.end()?;
    Ok(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{HashAlgo, Metadata};
    use crate::time::Timestamp;

    fn id(n: u8) -> ObjectId {
        ObjectId::hash(HashAlgo::Sha256, &[n])
    }

    fn entry(name: &str, node: Node) -> Entry {
        let meta = Metadata {
            mode: 0o640,
            uid: 1000,
            user: "me".into(),
            mtime: Timestamp {
                seconds: 1_700_000_000,
                nanos: 7,
            },
            btime: Some(Timestamp::default()),
            xattrs: vec![("user.a".into(), b"1".to_vec()), ("user.b".into(), Vec::new())],
            ..Metadata::default()
        };
        let name = name.into();
        Entry { name, meta, node }
    }

    fn file(name: &str, content: ContentRef, fullhash: Option<ObjectId>) -> Entry {
        entry(name, Node::File { content, fullhash })
    }

    /// A node of every kind of entry, and what it refers to.
    fn leaf() -> (Vec<u8>, Vec<Entry>, Vec<Reference>) {
        let block = ContentRef::Block { id: id(1), bytes: 5 };
        let list = ContentRef::Indirect {
            id: id(2),
            depth: 1,
            bytes: 9,
        };
        let slice = ContentRef::Slice {
            offset: 1,
            bytes: 3,
            of: Box::new(block.clone()),
        };
        let run = ContentRef::Run { byte: 0, bytes: 3 };
        let inline = ContentRef::Inline(b"few".to_vec());
        let (major, minor) = (1, 2);
        let entries = vec![
            file("a", block.clone(), None),
            entry("b", Node::Directory { tree: id(3) }),
            file("c", list.clone(), Some(id(4))),
            entry("d", Node::Symlink { target: "a".into() }),
            file("e", slice.clone(), Some(id(5))),
            entry("f", Node::Fifo),
            file("g", run.clone(), None),
            entry("h", Node::CharDevice { major, minor }),
            file("i", inline.clone(), None),
            entry("j", Node::Directory { tree: id(6) }),
        ];
        let mut encoded = vec![TREE_VERSION, 0];
        entries.iter().for_each(|entry| entry.encode(&mut encoded));
        let (a, c, e, g, i) = (block, list, slice, run, inline);
        let content = Reference::Content;
        let references = vec![
            content(a),
            Reference::Tree(id(3)),
            content(c),
            content(e),
            content(g),
            content(i),
            Reference::Tree(id(6)),
        ];
        (encoded, entries, references)
    }

    fn inner() -> Vec<u8> {
        let mut encoded = vec![TREE_VERSION, 1];
        for (n, name) in [(1, b"a"), (2, b"m")] {
            encoded.extend([1, name[0], 3]);
            id(n).encode(&mut encoded);
        }
        encoded
    }

    #[test]
    fn what_a_node_refers_to_is_what_is_in_it() {
        let (encoded, entries, references) = leaf();
        assert_eq!(TreeNode::decode(&encoded).unwrap(), TreeNode::Leaf(entries));
        assert_eq!(TreeNode::references(&encoded).unwrap(), references);
        let children = [Reference::Tree(id(1)), Reference::Tree(id(2))];
        assert_eq!(TreeNode::references(&inner()).unwrap(), children);
        assert_eq!(TreeNode::references(&EMPTY).unwrap(), []);
    }

    #[test]
    fn what_cannot_be_read_refers_to_nothing() {
        let error = |encoded: &[u8]| {
            let errors = (TreeNode::decode(encoded).err(), TreeNode::references(encoded).err());
            let (read, referred) = (errors.0.map(|e| e.to_string()), errors.1.map(|e| e.to_string()));
            assert_eq!(read, referred);
            read
        };
        let mut refused = 0;
        for sound in [leaf().0, inner()] {
            assert_eq!(error(&sound), None);
            for length in 0..sound.len() {
                refused += usize::from(error(&sound[..length]).is_some());
                for bit in 0..8 {
                    let mut other = sound.clone();
                    other[length] ^= 1 << bit;
                    refused += usize::from(error(&other).is_some());
                }
            }
        }
        assert!(refused > 1000, "{refused}");
        let swapped = |a: &[u8], b: &[u8]| [&[TREE_VERSION, 0], b, a].concat();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        entry("a", Node::Fifo).encode(&mut a);
        entry("b", Node::Fifo).encode(&mut b);
        assert_eq!(error(&swapped(&b, &a)), None);
        assert!(
            error(&swapped(&a, &b))
                .unwrap()
                .contains("\"a\" repeats or is out of order")
        );
        assert!(error(&swapped(&a, &a)).unwrap().contains("repeats"));
        let mut twice = inner();
        twice[2 + 3 + 33 + 1] = b'a';
        assert!(error(&twice).unwrap().contains("children repeat"));
        assert!(
            error(&inner()[..2 + 3 + 33])
                .unwrap()
                .contains("fewer than two children")
        );
        assert!(
            error(&vec![0; TREE_NODE_BYTES_MAX + 1])
                .unwrap()
                .contains("the limit is")
        );
    }
}
