//! The line that `ls-tree` and `hash-object --entry` print and `mktree` reads.
//!
//! ```text
//! MODE KIND REF [SIZE] [KEY=VALUE]...<tab>PATH
//! ```
//!
//! MODE is `st_mode` in six octal digits; KIND the word for its type; REF the text form of a content ref, `tree:` and
//! an id for a directory, and `-` where there is none: for kinds without content, and for a directory whose content
//! is said by other lines. SIZE, in bytes, is for people and only checked. The words have this order, and one that
//! would say the default is left out: `uid` `gid` `user` `group` `mtime` `btime` `links` `inode` `fullhash` `target`
//! `rdev` `xattr.NAME`. Times are SECONDS.NANOS with seconds rounded down, so half a second before 1970 is
//! `-1.500000000`. `inode=DEVICE:NUMBER` stands for `links` until the whole tree is known.
//!
//! Invariant: what is written is read back as the same entry, and an entry has one line.

use std::str::FromStr;

use bstr::{BString, ByteSlice};
use ghost_plumbing::object::text::{percent_decode, unhex};
use ghost_plumbing::object::{ContentRef, Entry, Kind, Metadata, Node, ObjectId};
use ghost_plumbing::time::Timestamp;

use crate::output::{Termination, hex, put, put_escaped};

/// Names one inode of the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode {
    /// The device it is on.
    pub device: u64,
    /// Its number there.
    pub number: u64,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLine {
    /// The path, with slashes.
    pub path: BString,
    /// Kind, and metadata without links.
    pub kind: Kind,
    /// Metadata.
    pub meta: Metadata,
    /// What the kind has; none for a directory whose content is said by other lines.
    pub node: Option<Node>,
    /// The inode, where other names of it may be in the tree.
    pub inode: Option<Inode>,
}

impl EntryLine {
    /// The line of an entry that is at `path`.
    pub fn new(path: BString, entry: Entry) -> Self {
        Self {
            path,
            kind: entry.kind(),
            meta: entry.meta,
            node: Some(entry.node),
            inode: None,
        }
    }

    /// Appends the line, with its end.
    pub fn write(&self, out: &mut Vec<u8>, with_size: bool, end: Termination) {
        let mode = self.kind.type_bits() | self.meta.mode;
        put(out, format_args!("{mode:06o} {} ", self.kind.name()));
        match &self.node {
            Some(Node::File { content, .. }) => put(out, format_args!("{content}")),
            Some(Node::Directory { tree }) => put(out, format_args!("tree:{tree}")),
            _ => out.push(b'-'),
        }
        if with_size {
            match &self.node {
                Some(Node::File { content, .. }) => put(out, format_args!(" {:>7}", content.len())),
                _ => put(out, format_args!(" {:>7}", "-")),
            }
        }
        self.write_words(out);
        out.push(b'\t');
        out.extend_from_slice(&end.name(&self.path));
        out.push(end.byte());
    }

    fn write_words(&self, out: &mut Vec<u8>) {
        let meta = &self.meta;
        for (key, number) in [("uid", meta.uid), ("gid", meta.gid)] {
            if number != 0 {
                put(out, format_args!(" {key}={number}"));
            }
        }
        for (key, name) in [("user", &meta.user), ("group", &meta.group)] {
            if !name.is_empty() {
                put_word(out, key, name);
            }
        }
        if meta.mtime != Timestamp::default() {
            put_time(out, "mtime", meta.mtime);
        }
        if let Some(btime) = meta.btime {
            put_time(out, "btime", btime);
        }
        if let Some(links) = &meta.links {
            put(out, format_args!(" links={}", hex(links)));
        }
        if let Some(Inode { device, number }) = self.inode {
            put(out, format_args!(" inode={device}:{number}"));
        }
        match &self.node {
            Some(Node::File { fullhash: Some(id), .. }) => put(out, format_args!(" fullhash={id}")),
            Some(Node::Symlink { target }) => put_word(out, "target", target),
            Some(Node::CharDevice { major, minor } | Node::BlockDevice { major, minor }) => {
                put(out, format_args!(" rdev={major}:{minor}"));
            }
            _ => {}
        }
        for (name, value) in &meta.xattrs {
            out.extend_from_slice(b" xattr.");
            put_escaped(out, name);
            out.push(b'=');
            put_escaped(out, value);
        }
    }

    /// Reads a line, without its end; the error says what is wrong with it.
    pub fn parse(line: &[u8], end: Termination) -> Result<Self, String> {
        let (head, path) = line
            .split_once_str(b"\t")
            .ok_or("expected a tab in front of the path")?;
        let path = end.parse_name(path).map_err(|error| error.to_string())?;
        let mut words = head.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let mut column = |name: &str| -> Result<&str, String> {
            let word = words.next().ok_or_else(|| format!("expected {name}, found the tab"))?;
            word.to_str().map_err(|_| format!("{name} is not ASCII"))
        };
        let (mode, kind, reference) = (column("a mode")?, column("a kind")?, column("a ref")?);
        let kind = parse_kind(kind)?;
        let mut found = Words::default();
        words.try_for_each(|word| found.take(word))?;
        let node = found.node(kind, reference)?;
        found.check_size(&node)?;
        found.meta.mode = parse_mode(mode, kind)?;
        let Words { meta, inode, .. } = found.sorted()?;
        Ok(Self {
            path,
            kind,
            meta,
            node,
            inode,
        })
    }
}

/// The words of a line as they are found.
#[derive(Default)]
struct Words<'a> {
    meta: Metadata,
    inode: Option<Inode>,
    fullhash: Option<ObjectId>,
    target: Option<BString>,
    device: Option<(u32, u32)>,
    size: Option<u64>,
    seen: Vec<&'a [u8]>,
}

impl<'a> Words<'a> {
    fn take(&mut self, word: &'a [u8]) -> Result<(), String> {
        let Some((key, value)) = word.split_once_str(b"=") else {
            return self.take_size(word);
        };
        let bad = || format!("the word {:?} is not valid", word.as_bstr());
        if self.seen.contains(&key) {
            return Err(format!("the word {:?} is there twice", key.as_bstr()));
        }
        self.seen.push(key);
        let text = value.to_str().map_err(|_| bad())?;
        let unescaped = percent_decode(text).map_err(|_| bad())?;
        if let Some(name) = key.strip_prefix(b"xattr.") {
            let name = name.to_str().ok().and_then(|name| percent_decode(name).ok());
            self.meta.xattrs.push((name.ok_or_else(bad)?.into(), unescaped));
            return Ok(());
        }
        match key {
            b"uid" => self.meta.uid = text.parse().map_err(|_| bad())?,
            b"gid" => self.meta.gid = text.parse().map_err(|_| bad())?,
            b"user" => self.meta.user = unescaped.into(),
            b"group" => self.meta.group = unescaped.into(),
            b"mtime" => self.meta.mtime = parse_seconds(text).ok_or_else(bad)?,
            b"btime" => self.meta.btime = Some(parse_seconds(text).ok_or_else(bad)?),
            b"links" => self.meta.links = Some(parse_group(text).ok_or_else(bad)?),
            b"inode" => {
                let (device, number) = parse_pair(text).ok_or_else(bad)?;
                self.inode = Some(Inode { device, number });
            }
            b"fullhash" => self.fullhash = Some(text.parse().map_err(|_| bad())?),
            b"target" => self.target = Some(unescaped.into()),
            b"rdev" => self.device = Some(parse_pair(text).ok_or_else(bad)?),
            _ => return Err(format!("the word {:?} is not known", key.as_bstr())),
        }
        Ok(())
    }

    fn take_size(&mut self, word: &[u8]) -> Result<(), String> {
        if word == b"-" {
            return Ok(());
        }
        let size = word.to_str().ok().and_then(|word| word.parse().ok());
        self.size = Some(size.ok_or_else(|| format!("expected KEY=VALUE, found {:?}", word.as_bstr()))?);
        Ok(())
    }

    fn node(&mut self, kind: Kind, reference: &str) -> Result<Option<Node>, String> {
        let has_ref = matches!(kind, Kind::File | Kind::Directory);
        if !has_ref && reference != "-" {
            return Err(format!("a {} has no content: expected - as ref", kind.name()));
        }
        let (fullhash, target, device) = (self.fullhash.take(), self.target.take(), self.device.take());
        let belongs = (fullhash.is_none() || kind == Kind::File)
            && (target.is_some() == (kind == Kind::Symlink))
            && (device.is_some() == matches!(kind, Kind::CharDevice | Kind::BlockDevice));
        if !belongs {
            let expected = match kind {
                Kind::Symlink => "target= and no other",
                Kind::CharDevice | Kind::BlockDevice => "rdev= and no other",
                Kind::File => "fullhash= at most",
                _ => "none",
            };
            return Err(format!(
                "of fullhash=, target= and rdev= a {} has {expected}",
                kind.name()
            ));
        }
        Ok(Some(match kind {
            Kind::File => Node::File {
                content: ContentRef::from_str(reference).map_err(|error| error.to_string())?,
                fullhash,
            },
            Kind::Directory if reference == "-" => return Ok(None),
            Kind::Directory => {
                let id = reference.strip_prefix("tree:").unwrap_or(reference);
                let tree = id.parse().map_err(|error: ghost_plumbing::Error| error.to_string())?;
                Node::Directory { tree }
            }
            Kind::Symlink => Node::Symlink {
                target: target.unwrap_or_default(),
            },
            Kind::CharDevice => {
                let (major, minor) = device.unwrap_or_default();
                Node::CharDevice { major, minor }
            }
            Kind::BlockDevice => {
                let (major, minor) = device.unwrap_or_default();
                Node::BlockDevice { major, minor }
            }
            Kind::Fifo => Node::Fifo,
            Kind::Socket => Node::Socket,
            Kind::Whiteout => Node::Whiteout,
        }))
    }

    fn check_size(&self, node: &Option<Node>) -> Result<(), String> {
        let expected = match node {
            Some(Node::File { content, .. }) => Some(content.len()),
            _ => None,
        };
        match (self.size, expected) {
            (Some(size), expected) if expected != Some(size) => {
                let expected = expected.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
                Err(format!("the size is {size}, the ref says {expected}"))
            }
            _ => Ok(()),
        }
    }

    /// Extended attributes are sorted in an entry, and may come in any order in a line.
    fn sorted(mut self) -> Result<Self, String> {
        self.meta.xattrs.sort();
        if self.meta.xattrs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("an extended attribute is there twice".to_owned());
        }
        Ok(self)
    }
}

fn parse_kind(word: &str) -> Result<Kind, String> {
    Kind::from_name(word).ok_or_else(|| format!("{word:?} is not a kind of entry"))
}

fn parse_mode(word: &str, kind: Kind) -> Result<u32, String> {
    let octal = word.len() == 6 && word.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(word, 8).ok().filter(|_| octal);
    let mode = mode.ok_or_else(|| format!("the mode {word:?} is not six octal digits"))?;
    if mode & 0o170_000 != kind.type_bits() {
        let (name, bits) = (kind.name(), kind.type_bits());
        return Err(format!(
            "the mode {word} is not that of a {name}: expected {bits:06o} and permissions"
        ));
    }
    Ok(mode & 0o7777)
}

/// Reads SECONDS or SECONDS.NANOS, with seconds rounded down.
pub fn parse_seconds(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Timestamp::new(seconds.parse().ok()?, nanos))
}

fn parse_group(text: &str) -> Option<[u8; 16]> {
    unhex(text)?.try_into().ok()
}

fn parse_pair<T: FromStr>(text: &str) -> Option<(T, T)> {
    let (first, second) = text.split_once(':')?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

fn put_word(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    put(out, format_args!(" {key}="));
    put_escaped(out, value);
}

fn put_time(out: &mut Vec<u8>, key: &str, time: Timestamp) {
    put(out, format_args!(" {key}={}.{:09}", time.seconds, time.nanos));
}

#[cfg(test)]
mod tests;
