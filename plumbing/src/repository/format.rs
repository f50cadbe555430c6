//! The file `.ghost/format` (object-format.md, "Repository folder"): what a reader must know before it reads on.
//!
//! ```text
//! ghost repository
//! version 1
//! uuid 6f9619ff-8b86-4011-b42d-00c04fc964ff
//! hash sha256
//! created 2026-11-21T09:00:00Z
//! compatible
//! read-only-compatible
//! incompatible
//! check blake3:…
//! ```
//!
//! The three lists hold names of features, sorted, with one space in front of each. A reader that does not know a
//! *compatible* feature goes on; a *read-only-compatible* one, reads but does not write; an *incompatible* one, stops
//! and names it. The check is the hash of all lines before it. There is one spelling: a file that says the same in
//! another way is damaged.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, LockKind, OpenMode, read_file, replace_file};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, ObjectId};
use crate::time::Timestamp;

/// Name of the file in a repository's folder.
pub const FILE: &str = "format";
/// The lock that is held while it is changed.
pub const LOCK: &str = "locks/init";
/// Longest format file in bytes.
pub const FORMAT_BYTES_MAX: usize = 64 << 10;
const MAGIC: &str = "ghost repository";
/// The version that this program writes.
const VERSION: &str = "1";
/// Every version that this program reads.
const VERSIONS: [&str; 1] = [VERSION];
/// Every version that was released, alone and with each feature that changes what is stored; of all, repositories are kept
/// under `t/golden/`.
pub const RELEASED: [&str; 3] = ["1", "1-delta", "1-generations"];
const KEYS: [&str; 7] = [
    "uuid",
    "hash",
    "created",
    "compatible",
    "read-only-compatible",
    "incompatible",
    "check",
];

/// What others may do who do not know a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Read.
    ReadOnlyCompatible,
    /// Nothing.
    Incompatible,
}

/// A feature that is added to a repository when it is first made use of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// As the file has it.
    pub name: &'static str,
    /// Where the file has it.
    pub list: List,
}

/// Frames of which objects are compressed against others (object-format.md, "Delta frames").
pub const DELTA: Feature = Feature {
    name: "delta",
    list: List::Incompatible,
};
/// Blocks that a snapshot names may be with somebody else (object-format.md, "Lazy repositories").
pub const LAZY: Feature = Feature {
    name: "lazy",
    list: List::Incompatible,
};
/// Data files that nothing may lean on (object-format.md, "Generations").
pub const GENERATIONS: Feature = Feature {
    name: "generations",
    list: List::ReadOnlyCompatible,
};
/// Features that this version reads and writes although they are in the list of incompatible ones.
const INCOMPATIBLE_KNOWN: [&str; 2] = [DELTA.name, LAZY.name];
/// Features that this version keeps up when it writes.
const READ_ONLY_COMPATIBLE_KNOWN: [&str; 1] = [GENERATIONS.name];

/// What a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Its identity; files that belong to it repeat it.
    pub uuid: [u8; 16],
    /// The hash that ids are made with.
    pub hash: HashAlgo,
    /// When it was made, in whole seconds.
    pub created: Timestamp,
    /// Features that others may ignore.
    pub compatible: Vec<String>,
    /// Features that others may ignore while they only read.
    pub read_only_compatible: Vec<String>,
    /// Features that nobody may ignore.
    pub incompatible: Vec<String>,
}

impl Format {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let mut out = format!("{MAGIC}\nversion {VERSION}\n");
        let [compatible, read_only, incompatible] =
            [&self.compatible, &self.read_only_compatible, &self.incompatible].map(|names| names.join(" "));
        let values = [
            uuid_text(&self.uuid),
            self.hash.name().to_owned(),
            time_text(self.created),
            compatible,
            read_only,
            incompatible,
        ];
        for (key, value) in KEYS.iter().zip(values) {
            out.push_str(key);
            if !value.is_empty() {
                out.push(' ');
                out.push_str(&value);
            }
            out.push('\n');
        }
        let check = ObjectId::hash(HashAlgo::Blake3, out.as_bytes());
        out.push_str(&format!("check {check}\n"));
        out
    }

    /// Reads the file at `path`. An error names the line.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut lines = Cursor {
            path,
            bytes,
            at: 0,
            number: 0,
        };
        let magic = lines.next()?;
        if magic != MAGIC {
            return Err(lines.damaged(MAGIC, magic));
        }
        let version = lines.value("version")?;
        if !VERSIONS.contains(&version) {
            let known = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
            return Err(match known {
                true => unsupported(path, &format!("repository format {version}")),
                false => lines.damaged("a version", version),
            });
        }
        let format = Self {
            uuid: lines.parse("uuid", "a UUID", parse_uuid)?,
            hash: lines.parse("hash", "the name of a hash", |text| HashAlgo::from_str(text).ok())?,
            created: lines.parse("created", "a time such as 2026-11-21T09:00:00Z", parse_time)?,
            compatible: lines.parse("compatible", "sorted names of features", parse_features)?,
            read_only_compatible: lines.parse("read-only-compatible", "sorted names of features", parse_features)?,
            incompatible: lines.parse("incompatible", "sorted names of features", parse_features)?,
        };
        let covered = lines.at;
        let expected = ObjectId::hash(HashAlgo::Blake3, &bytes[..covered]).to_string();
        let found = lines.value("check")?;
        if found != expected {
            return Err(lines.damaged(&format!("check {expected}"), found));
        }
        if format.encode().as_bytes() != bytes {
            return Err(Error::damaged(path, 0, "each line in its only spelling", "another"));
        }
        Ok(format)
    }

    /// Whether it has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.list(feature.list).iter().any(|name| name == feature.name)
    }

    /// Adds a feature; says whether it was not there.
    pub(crate) fn add(&mut self, feature: Feature) -> bool {
        let names = self.list_mut(feature.list);
        match names.binary_search_by(|name| name.as_str().cmp(feature.name)) {
            Ok(_) => false,
            Err(at) => {
                names.insert(at, feature.name.to_owned());
                true
            }
        }
    }

    /// Takes a feature away; says whether it was there.
    fn take_away(&mut self, feature: Feature) -> bool {
        let names = self.list_mut(feature.list);
        let before = names.len();
        names.retain(|name| name != feature.name);
        names.len() < before
    }

    fn list_mut(&mut self, list: List) -> &mut Vec<String> {
        match list {
            List::ReadOnlyCompatible => &mut self.read_only_compatible,
            List::Incompatible => &mut self.incompatible,
        }
    }

    fn list(&self, list: List) -> &[String] {
        match list {
            List::ReadOnlyCompatible => &self.read_only_compatible,
            List::Incompatible => &self.incompatible,
        }
    }

    /// Refuses features that this version does not know, by name. Gives the features that allow reading only.
    pub fn check_features(&self, path: &Path) -> Result<Vec<String>> {
        let unknown = self
            .incompatible
            .iter()
            .find(|name| !INCOMPATIBLE_KNOWN.contains(&name.as_str()));
        if let Some(name) = unknown {
            return Err(unsupported(path, name));
        }
        let read_only = self.read_only_compatible.iter();
        Ok(read_only
            .filter(|name| !READ_ONLY_COMPATIBLE_KNOWN.contains(&name.as_str()))
            .cloned()
            .collect())
    }
}

/// Adds a feature to the repository in `ghost_dir`, durably, unless it is there. To be called before anything is written
/// that others would misread.
pub fn require(disk: &dyn Disk, ghost_dir: &Path, feature: Feature) -> Result<()> {
    change(disk, ghost_dir, &|format| format.add(feature))
}

/// Takes a feature away, durably. To be called when nothing is left that needs it.
pub fn release(disk: &dyn Disk, ghost_dir: &Path, feature: Feature) -> Result<()> {
    change(disk, ghost_dir, &|format| format.take_away(feature))
}

/// Writes the file anew, if `act` says that it changed what it says.
fn change(disk: &dyn Disk, ghost_dir: &Path, act: &dyn Fn(&mut Format) -> bool) -> Result<()> {
    let _lock = lock(disk, ghost_dir)?;
    let path = ghost_dir.join(FILE);
    let mut format = Format::decode(&path, &read_file(disk, &path, FORMAT_BYTES_MAX)?)?;
    match act(&mut format) {
        true => replace_file(disk, &path, format.encode().as_bytes()),
        false => Ok(()),
    }
}

/// Keeps others from changing the file until it is dropped.
pub(crate) fn lock(disk: &dyn Disk, ghost_dir: &Path) -> Result<Arc<dyn DiskFile>> {
    let path = ghost_dir.join(LOCK);
    let lock = disk.open(&path, OpenMode::Create).map_err(Error::io("open", &path))?;
    lock.lock(LockKind::Exclusive).map_err(Error::io("lock", &path))?;
    Ok(lock)
}

/// What the lines of a damaged file say, each taken by itself. None where a line is not there, or not as it must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    pub uuid: Option<[u8; 16]>,
    pub hash: Option<HashAlgo>,
    pub created: Option<Timestamp>,
    pub compatible: Option<Vec<String>>,
    pub read_only_compatible: Option<Vec<String>>,
    pub incompatible: Option<Vec<String>>,
}

/// Whether the last line is the check of all before it, whatever these say.
pub(crate) fn has_check(bytes: &[u8]) -> bool {
    let lines = bytes.strip_suffix(b"\n").unwrap_or_default();
    let end = lines.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let check = ObjectId::hash(HashAlgo::Blake3, &bytes[..end]);
    lines[end..] == *format!("check {check}").as_bytes()
}

impl Lines {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.filter(|rest| rest.is_empty() || rest.starts_with(' '))
                .map(str::trim_start)
        };
        let features = |key| value(key).and_then(parse_features);
        Self {
            uuid: value("uuid").and_then(parse_uuid),
            hash: value("hash").and_then(|text| HashAlgo::from_str(text).ok()),
            created: value("created").and_then(parse_time),
            compatible: features("compatible"),
            read_only_compatible: features("read-only-compatible"),
            incompatible: features("incompatible"),
        }
    }
}

fn unsupported(path: &Path, feature: &str) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        feature: feature.to_owned(),
    }
}

struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
    number: usize,
}

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Result<&'a str> {
        self.number += 1;
        let rest = &self.bytes[self.at..];
        let Some(len) = rest.iter().position(|&b| b == b'\n') else {
            let number = self.number;
            let expected = format_args!("line {number} with a newline at its end");
            return Err(Error::damaged(
                self.path,
                self.at as u64,
                expected,
                "the end of the file",
            ));
        };
        match std::str::from_utf8(&rest[..len]) {
            Ok(line) => {
                self.at += len + 1;
                Ok(line)
            }
            Err(_) => Err(Error::damaged(
                self.path,
                self.at as u64,
                format_args!("text in line {}", self.number),
                "other bytes",
            )),
        }
    }

    /// The rest of the next line, which must begin with `key`.
    fn value(&mut self, key: &str) -> Result<&'a str> {
        let line = self.next()?;
        match line.strip_prefix(key) {
            Some("") => Ok(""),
            Some(rest) if rest.starts_with(' ') => Ok(&rest[1..]),
            _ => Err(self.damaged(&format!("{key} …"), line)),
        }
    }

    fn parse<T>(&mut self, key: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let value = self.value(key)?;
        parse(value).ok_or_else(|| self.damaged(&format!("{key} with {expected}"), value))
    }

    /// Damage in the line that was read last.
    fn damaged(&self, expected: &str, found: &str) -> Error {
        let line_start = self.bytes[..self.at.saturating_sub(1)]
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let found: String = found.chars().take(100).collect();
        Error::damaged(
            self.path,
            line_start as u64,
            format_args!("{expected} in line {}", self.number),
            format_args!("\"{}\"", found.escape_debug()),
        )
    }
}

/// A UUID with its dashes.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut out = String::with_capacity(36);
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

/// Reads what [`uuid_text`] wrote.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let uuid = crate::object::text::unhex(&digits)?.try_into().ok()?;
    (uuid_text(&uuid) == text).then_some(uuid)
}

/// A random UUID (version 4) from 16 random bytes.
pub fn random_uuid(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

fn time_text(time: Timestamp) -> String {
    // Years before -9999 or after 9999 have no such form; a clock that is so wrong tells nothing.
    jiff::Timestamp::from_second(time.seconds)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

fn parse_time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::new(time.as_second(), 0))
}

fn parse_features(text: &str) -> Option<Vec<String>> {
    let names: Vec<_> = text
        .split(' ')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let plain = |name: &String| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    (names.iter().all(plain) && names.windows(2).all(|pair| pair[0] < pair[1])).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Format {
        Format {
            uuid: parse_uuid("6f9619ff-8b86-4011-b42d-00c04fc964ff").unwrap(),
            hash: HashAlgo::Blake3,
            created: Timestamp::new(1_795_251_600, 0),
            compatible: vec!["one".into(), "two".into()],
            read_only_compatible: Vec::new(),
            incompatible: Vec::new(),
        }
    }

    #[test]
    fn a_format_is_read_as_it_is_written() {
        let text = sample().encode();
        assert!(
            text.starts_with("ghost repository\nversion 1\nuuid 6f9619ff-8b86-4011-b42d-00c04fc964ff\nhash blake3\n")
        );
        assert!(
            text.contains("\ncreated 2026-11-21T09:00:00Z\ncompatible one two\nread-only-compatible\nincompatible\n")
        );
        assert_eq!(Format::decode(Path::new("format"), text.as_bytes()).unwrap(), sample());
    }

    #[test]
    fn the_example_of_the_page() {
        let format = Format {
            hash: HashAlgo::Sha256,
            compatible: Vec::new(),
            ..sample()
        };
        assert_eq!(format.encode(), EXAMPLE);
    }

    const EXAMPLE: &str = "\
ghost repository
version 1
uuid 6f9619ff-8b86-4011-b42d-00c04fc964ff
hash sha256
created 2026-11-21T09:00:00Z
compatible
read-only-compatible
incompatible
check blake3:e20ce2b521640b79666ab0aaa66b49277d43db7fa28b6a333744e3fb2a963de2
";

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let good = sample().encode().into_bytes();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match Format::decode(Path::new("format"), &bytes).unwrap_err() {
                Error::Damaged { expected, .. } => assert!(expected.contains("line"), "{expected}"),
                // Another digit in the version line.
                Error::Unsupported { .. } => assert!((17..27).contains(&(bit / 8)), "{bit}"),
                e => panic!("{e}"),
            }
        }
        for len in 0..good.len() {
            assert!(
                Format::decode(Path::new("format"), &good[..len])
                    .unwrap_err()
                    .is_damage()
            );
        }
    }

    #[test]
    fn unknown_features_are_named() {
        let path = Path::new("format");
        let mut format = sample();
        assert!(format.check_features(path).unwrap().is_empty());
        format.read_only_compatible = vec!["parity".into()];
        assert_eq!(format.check_features(path).unwrap(), ["parity"]);
        format.incompatible = vec!["sealed".into()];
        let read = Format::decode(path, format.encode().as_bytes()).unwrap();
        assert!(
            read.check_features(path)
                .unwrap_err()
                .to_string()
                .contains("\"sealed\"")
        );
    }
}
