//! Changed lines of text.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ghost_plumbing::compare::{Change, ChangeKind, Content, Item};
use ghost_plumbing::content::read_all;
use ghost_plumbing::object::Node;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::{Error, Result};
use similar::{ChangeTag, TextDiff};

use super::sides::{End, Pair};

/// Longer contents are not compared by lines.
pub const TEXT_BYTES_MAX: u64 = 16 << 20;
/// As git does: a NUL in the first bytes makes a content binary.
const PROBE_BYTES: usize = 8000;

/// The two contents of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Contents {
    /// Both are text; what is not there is empty.
    Text(Vec<u8>, Vec<u8>),
    /// At least one is not, or is too long.
    Binary,
    /// Neither has bytes.
    None,
}

/// Reads both contents of a change.
pub fn contents(repository: &Repository, pair: &Pair, change: &Change) -> Result<Contents> {
    let inside = &change.path[pair.prefix.len()..];
    let from = match &change.kind {
        ChangeKind::Moved { from } | ChangeKind::Copied { from } => &from[pair.prefix.len()..],
        _ => inside,
    };
    let old = one(repository, &pair.old, from, change.old.as_ref())?;
    let new = one(repository, &pair.new, inside, change.new.as_ref())?;
    Ok(match (old, new) {
        (Bytes::Nothing, Bytes::Nothing) => Contents::None,
        (Bytes::TooLong, _) | (_, Bytes::TooLong) => Contents::Binary,
        (old, new) => {
            let (old, new) = (old.into_vec(), new.into_vec());
            if is_binary(&old) || is_binary(&new) {
                Contents::Binary
            } else {
                Contents::Text(old, new)
            }
        }
    })
}

enum Bytes {
    Nothing,
    TooLong,
    Some(Vec<u8>),
}

impl Bytes {
    fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Some(bytes) => bytes,
            Self::Nothing | Self::TooLong => Vec::new(),
        }
    }
}

fn one(repository: &Repository, end: &End, path: &[u8], item: Option<&Item>) -> Result<Bytes> {
    let Some(item) = item else { return Ok(Bytes::Nothing) };
    let max = usize::try_from(TEXT_BYTES_MAX).unwrap_or(usize::MAX);
    Ok(match &item.content {
        Content::Known(Node::Symlink { target }) => Bytes::Some(target.to_vec()),
        Content::Known(Node::File { .. }) | Content::LiveFile { .. } if item.size() > TEXT_BYTES_MAX => Bytes::TooLong,
        Content::Known(Node::File { content, .. }) => Bytes::Some(read_all(&repository.store, content, max)?),
        Content::LiveFile { .. } => Bytes::Some(live_bytes(end, path)?),
        Content::Known(_) | Content::LiveDirectory => Bytes::Nothing,
    })
}

fn live_bytes(end: &End, path: &[u8]) -> Result<Vec<u8>> {
    let shown = Path::new(OsStr::from_bytes(path));
    let mut out = Vec::new();
    if let Some(file) = end.open(path) {
        let file = file.map_err(Error::io("open", shown))?;
        file.take(TEXT_BYTES_MAX)
            .read_to_end(&mut out)
            .map_err(Error::io("read", shown))?;
    }
    Ok(out)
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(PROBE_BYTES)].contains(&0)
}

/// The hunks, as `diff -u` prints them without its two lines of names.
pub fn hunks(old: &[u8], new: &[u8], context: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let diff = TextDiff::from_lines(old, new);
    // Writing to memory cannot fail.
    let _ = diff.unified_diff().context_radius(context).to_writer(&mut out);
    out
}

/// Lines that were put in and taken out.
pub fn counts(old: &[u8], new: &[u8]) -> (u64, u64) {
    let (mut inserted, mut deleted) = (0, 0);
    for change in TextDiff::from_lines(old, new).iter_all_changes() {
        match change.tag() {
            ChangeTag::Insert => inserted += 1,
            ChangeTag::Delete => deleted += 1,
            ChangeTag::Equal => {}
        }
    }
    (inserted, deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_as_diff_prints_them() {
        // `printf 'a\nb\nc\n' >1; printf 'a\nx\nc' >2; diff -U1 1 2 | tail -n +3`
        let expected = "@@ -1,3 +1,3 @@\n a\n-b\n-c\n+x\n+c\n\\ No newline at end of file\n";
        assert_eq!(String::from_utf8(hunks(b"a\nb\nc\n", b"a\nx\nc", 1)).unwrap(), expected);
        assert_eq!(counts(b"a\nb\nc\n", b"a\nx\nc"), (2, 2));
        assert!(hunks(b"a\n", b"a\n", 3).is_empty());
    }

    #[test]
    fn binary_is_what_git_takes_for_it() {
        assert!(is_binary(b"a\0b"));
        assert!(!is_binary(b"\xff\xfe"));
        let mut late = vec![b'a'; PROBE_BYTES];
        late.push(0);
        assert!(!is_binary(&late));
    }
}
