//! The text of a revision taken apart: a base, operators behind it, a path.

use bstr::ByteSlice;

use crate::object::{HashAlgo, IdPrefix};

/// Most ancestors or changes that a number in a revision may count.
const COUNT_MAX: u64 = 1 << 32;

/// One operator behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffix<'t> {
    /// `~N`
    Ancestor(u64),
    /// `^N`
    Parent(u64),
    /// `@{…}`
    At(&'t str),
    /// `^{…}`
    Peel(&'t str),
}

/// Splits at the colon in front of a path: not the one in a tagged id, nor one in `@{…}`.
pub(super) fn split_path(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let from = tags_bytes(text);
    let mut in_braces = false;
    for (at, byte) in text.iter().enumerate().skip(from) {
        match byte {
            b'{' => in_braces = true,
            b'}' => in_braces = false,
            b':' if !in_braces => return (&text[..at], Some(&text[at + 1..])),
            _ => {}
        }
    }
    (text, None)
}

/// Length of the tags that `text` begins with, if they are those of an id: `sha256:`, `tree:sha256:`.
fn tags_bytes(text: &[u8]) -> usize {
    if let Some(rest) = [&b"tree:"[..], b"snapshot:"]
        .iter()
        .find_map(|tag| text.strip_prefix(*tag))
    {
        let behind = tags_bytes(rest);
        return if behind == 0 {
            0
        } else {
            text.len() - rest.len() + behind
        };
    }
    let tag = text.find_byte(b':').map_or(0, |colon| colon + 1);
    let is_algo = text[..tag]
        .to_str()
        .is_ok_and(|tag| tag.trim_end_matches(':').parse::<HashAlgo>().is_ok());
    let digits = text[tag..]
        .iter()
        .take(IdPrefix::DIGITS_MIN)
        .filter(|byte| byte.is_ascii_hexdigit())
        .count();
    if is_algo && digits == IdPrefix::DIGITS_MIN {
        tag
    } else {
        0
    }
}

/// Splits `main@{1}~2^` into `main` and its operators.
pub(super) fn split_suffixes(rev: &str) -> Result<(&str, Vec<Suffix<'_>>), &'static str> {
    let end = rev.find(['~', '^']).unwrap_or(rev.len());
    let end = rev.find("@{").map_or(end, |at| at.min(end));
    let (base, mut rest) = rev.split_at(end);
    if base.is_empty() && !rest.starts_with("@{") {
        return Err("expected @, the name of a ref, or an id");
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (suffix, behind) = if let Some(inner) = rest.strip_prefix("@{") {
            let (when, behind) = inner.split_once('}').ok_or("expected } behind @{")?;
            if !found.is_empty() {
                return Err("expected @{…} right behind the name of a ref");
            }
            (Suffix::At(when), behind)
        } else if let Some(inner) = rest.strip_prefix("^{") {
            let (kind, behind) = inner.split_once('}').ok_or("expected } behind ^{")?;
            (Suffix::Peel(kind), behind)
        } else {
            let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            let (count, behind) = rest[1..].split_at(digits);
            let count = if count.is_empty() { Some(1) } else { number(count) };
            let count = count.ok_or("expected a smaller number behind ~ or ^")?;
            match rest.as_bytes()[0] {
                b'~' => (Suffix::Ancestor(count), behind),
                b'^' => (Suffix::Parent(count), behind),
                _ => return Err("expected ~, ^ or : behind a revision"),
            }
        };
        found.push(suffix);
        rest = behind;
    }
    Ok((base, found))
}

/// A number that a revision counts ancestors, parents or changes with.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number <= COUNT_MAX)
}
