//! Snapshots: a tree, its parents, when, where, by whom, why, and with which rules it was taken
//! (object-format.md, "Snapshots").

use bstr::BString;

use crate::error::Result;
use crate::limits::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX, SNAPSHOT_BYTES_MAX, SNAPSHOT_LIST_MAX};
use crate::object::ObjectId;
use crate::object::codec::{Reader, put_bytes, put_signed, put_varint};
use crate::object::tree::{Entry, Kind, Metadata, Node};
use crate::time::Timestamp;

const SNAPSHOT_VERSION: u8 = 1;
/// The extra field that says what of the contents was stored.
const EXTRA_CONTENT: &str = "content";
/// The extra field of a tree that was put together of several: where they were.
const EXTRA_CONDENSED: &str = "condensed";
/// Its value where nothing was: contents are described only.
const CONTENT_GHOSTS: &[u8] = b"ghosts";
const PATH_BYTES_MAX: usize = 1 << 20;

/// A directory or file that a snapshot was taken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its absolute path when the snapshot was taken.
    pub path: BString,
    /// The metadata of the directory whose content is the snapshot's tree; none where the tree has an entry for it.
    pub meta: Option<Metadata>,
}

/// What a snapshot holds, counted when it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Directories, without the root.
    pub directories: u64,
    /// Links, pipes, sockets, devices, whiteouts.
    pub others: u64,
    /// Bytes of all regular files.
    pub bytes: u64,
}

/// One recorded state of one or more directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The top directory.
    pub tree: ObjectId,
    /// The snapshots it follows, the main one first.
    pub parents: Vec<ObjectId>,
    /// When it was taken.
    pub time: Timestamp,
    /// Minutes east of UTC where it was taken.
    pub offset_minutes: i64,
    /// The machine.
    pub host: String,
    /// Who took it.
    pub author: String,
    /// Why; may be empty.
    pub message: String,
    /// Labels, sorted.
    pub tags: Vec<String>,
    /// What it was taken of.
    pub roots: Vec<Root>,
    /// The rules by which paths were left out, as they were given.
    pub rules: Vec<String>,
    /// What it holds.
    pub totals: Totals,
    /// For later additions that old readers may ignore: sorted keys with values.
    pub extra: Vec<(String, Vec<u8>)>,
}

impl Snapshot {
    /// A snapshot of a tree of which nothing else is known, taken at the beginning of 1970.
    pub fn bare(tree: ObjectId) -> Self {
        Self {
            tree,
            parents: Vec::new(),
            time: Timestamp::default(),
            offset_minutes: 0,
            host: String::new(),
            author: String::new(),
            message: String::new(),
            tags: Vec::new(),
            roots: Vec::new(),
            rules: Vec::new(),
            totals: Totals::default(),
            extra: Vec::new(),
        }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(SNAPSHOT_VERSION);
        self.tree.encode(&mut out);
        put_varint(&mut out, self.parents.len() as u64);
        for parent in &self.parents {
            parent.encode(&mut out);
        }
        put_signed(&mut out, self.time.seconds);
        put_varint(&mut out, u64::from(self.time.nanos));
        put_signed(&mut out, self.offset_minutes);
        for text in [&self.host, &self.author, &self.message] {
            put_bytes(&mut out, text.as_bytes());
        }
        put_varint(&mut out, self.tags.len() as u64);
        for tag in &self.tags {
            put_bytes(&mut out, tag.as_bytes());
        }
        put_varint(&mut out, self.roots.len() as u64);
        for root in &self.roots {
            put_bytes(&mut out, &root.path);
            match &root.meta {
                None => out.push(0),
                Some(meta) => {
                    out.push(1);
                    root_entry(meta.clone(), self.tree).encode(&mut out);
                }
            }
        }
        put_varint(&mut out, self.rules.len() as u64);
        for rule in &self.rules {
            put_bytes(&mut out, rule.as_bytes());
        }
        let totals = &self.totals;
        for count in [totals.files, totals.directories, totals.others, totals.bytes] {
            put_varint(&mut out, count);
        }
        put_varint(&mut out, self.extra.len() as u64);
        for (key, value) in &self.extra {
            put_bytes(&mut out, key.as_bytes());
            put_bytes(&mut out, value);
        }
        out
    }

    /// Reads the bytes of a snapshot.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("snapshot", encoded);
        if encoded.len() > SNAPSHOT_BYTES_MAX {
            return Err(reader.malformed(format_args!(
                "{} bytes, the limit is {SNAPSHOT_BYTES_MAX}",
                encoded.len()
            )));
        }
        let version = reader.byte()?;
        if version != SNAPSHOT_VERSION {
            return Err(reader.malformed(format_args!("version {version}, expected {SNAPSHOT_VERSION}")));
        }
        let tree = ObjectId::decode(&mut reader)?;
        let parents = list(&mut reader, "parents", ObjectId::decode)?;
        let seconds = reader.signed()?;
        let nanos = reader.varint_max("nanoseconds", 999_999_999)? as u32;
        let offset_minutes = reader.signed()?;
        let host = reader.string("host", NAME_BYTES_MAX)?;
        let author = reader.string("author", NAME_BYTES_MAX)?;
        let message = reader.string("message", MESSAGE_BYTES_MAX)?;
        let tags = list(&mut reader, "tags", |reader| reader.string("tag", NAME_BYTES_MAX))?;
        if tags.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(reader.malformed("tags repeat or are out of order"));
        }
        let roots = list(&mut reader, "roots", |reader| take_root(reader, tree))?;
        let rules = list(&mut reader, "rules", |reader| reader.string("rule", PATH_BYTES_MAX))?;
        let totals = Totals {
            files: reader.varint()?,
            directories: reader.varint()?,
            others: reader.varint()?,
            bytes: reader.varint()?,
        };
        let extra = list(&mut reader, "extra fields", |reader| {
            Ok((
                reader.string("key", NAME_BYTES_MAX)?,
                reader.bytes("value", SNAPSHOT_BYTES_MAX)?.to_vec(),
            ))
        })?;
        if extra.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(reader.malformed("extra fields repeat or are out of order"));
        }
        reader.end()?;
        let time = Timestamp { seconds, nanos };
        Ok(Self {
            tree,
            parents,
            time,
            offset_minutes,
            host,
            author,
            message,
            tags,
            roots,
            rules,
            totals,
            extra,
        })
    }

    /// Whether the bytes of files were only hashed, not stored, when it was taken. Some or all may be there since.
    pub fn is_ghosts_only(&self) -> bool {
        let is_mark = |(key, value): &(String, Vec<u8>)| key == EXTRA_CONTENT && value == CONTENT_GHOSTS;
        self.extra.iter().any(is_mark)
    }

    /// Where the trees were that were put together to its tree, one a line; none where it was taken of folders. Its paths
    /// are then not those of files that were seen.
    pub fn condensed_of(&self) -> Option<&[u8]> {
        let found = self.extra.iter().find(|(key, _)| key == EXTRA_CONDENSED);
        found.map(|(_, value)| value.as_slice())
    }

    /// Notes where the trees were that were put together to its tree.
    pub fn set_condensed_of(&mut self, places: Vec<u8>) {
        self.extra.retain(|(key, _)| key != EXTRA_CONDENSED);
        self.extra.push((EXTRA_CONDENSED.to_owned(), places));
        self.extra.sort();
    }

    /// Notes that the bytes of files were only hashed, or not.
    pub fn set_ghosts_only(&mut self, is_ghosts_only: bool) {
        self.extra.retain(|(key, _)| key != EXTRA_CONTENT);
        if is_ghosts_only {
            self.extra.push((EXTRA_CONTENT.to_owned(), CONTENT_GHOSTS.to_vec()));
            self.extra.sort();
        }
    }

    /// The metadata of the top directory, where the snapshot is of one directory.
    pub fn root_meta(&self) -> Option<&Metadata> {
        self.roots.iter().find_map(|root| root.meta.as_ref())
    }
}

/// Metadata of a root is kept as an entry of the fixed name `root`, so that there is one encoding of metadata.
fn root_entry(meta: Metadata, tree: ObjectId) -> Entry {
    Entry {
        name: "root".into(),
        meta,
        node: Node::Directory { tree },
    }
}

fn take_root(reader: &mut Reader<'_>, tree: ObjectId) -> Result<Root> {
    let path = reader.bytes("path of a root", PATH_BYTES_MAX)?.into();
    let meta = match reader.byte()? {
        0 => None,
        1 => {
            let entry = Entry::decode(reader)?;
            if entry.name != "root" || entry.kind() != Kind::Directory || entry.node != (Node::Directory { tree }) {
                return Err(reader.malformed("metadata of a root is not that of the snapshot's tree"));
            }
            Some(entry.meta)
        }
        byte => return Err(reader.malformed(format_args!("expected 0 or 1, found {byte}"))),
    };
    Ok(Root { path, meta })
}

fn list<T>(reader: &mut Reader<'_>, name: &str, mut one: impl FnMut(&mut Reader<'_>) -> Result<T>) -> Result<Vec<T>> {
    let count = reader.length(name, SNAPSHOT_LIST_MAX)?;
    let mut out = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        out.push(one(reader)?);
    }
    Ok(out)
}
