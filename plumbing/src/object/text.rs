//! Objects as text: one line that needs no store to be understood (object-format.md, "Text forms").
//!
//! | value | text |
//! | --- | --- |
//! | id | `sha256:HEX`; `HEX.sha256` is read, too |
//! | block | `sha256:HEX+LENGTH` |
//! | indirect block | `indirect:DEPTH:sha256:HEX+LENGTH` |
//! | run | `run:BYTE+LENGTH`, the byte as two hexadecimal digits |
//! | inline bytes | `inline:HEX` |
//! | slice | `slice:OFFSET+LENGTH:(REF)` of a block or an indirect block |
//! | tree, snapshot | `tree:sha256:HEX`, `snapshot:sha256:HEX` |
//!
//! Numbers are decimal without leading zeros, hexadecimal digits are written in lowercase and read in either case.
//! What the binary encoding refuses, the text form refuses, too: parsing ends by passing the value through the
//! decoder. [`quote`] holds the escapes for names, [`uri`] the `x-ghost:` forms.

pub mod quote;
pub mod uri;

use std::fmt;
use std::str::FromStr;

pub use quote::{
    escape_for_terminal, escape_lines_for_terminal, percent_decode, percent_encode, quote_name, unquote_name,
};
pub use uri::{Uri, UriTarget};

use crate::error::{Error, Result};
use crate::object::codec::Reader;
use crate::object::{ContentRef, ObjectId};

/// Anything that can be named by one line of text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextRef {
    /// An object of which nothing but the id is said.
    Id(ObjectId),
    /// The content of a file.
    Content(ContentRef),
    /// A directory.
    Tree(ObjectId),
    /// A snapshot.
    Snapshot(ObjectId),
}

impl TextRef {
    /// The id of the object that is named, if one is.
    pub fn id(&self) -> Option<ObjectId> {
        match self {
            Self::Id(id) | Self::Tree(id) | Self::Snapshot(id) => Some(*id),
            Self::Content(content) => content.object().map(|(_, id)| id),
        }
    }
}

impl fmt::Display for TextRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Content(content) => write!(f, "{content}"),
            Self::Tree(id) => write!(f, "tree:{id}"),
            Self::Snapshot(id) => write!(f, "snapshot:{id}"),
        }
    }
}

impl FromStr for TextRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(id) = text.strip_prefix("tree:") {
            Ok(Self::Tree(id.parse()?))
        } else if let Some(id) = text.strip_prefix("snapshot:") {
            Ok(Self::Snapshot(id.parse()?))
        } else if text.contains('+') || text.starts_with("inline:") {
            Ok(Self::Content(text.parse()?))
        } else {
            Ok(Self::Id(text.parse()?))
        }
    }
}

impl fmt::Display for ContentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { id, bytes } => write!(f, "{id}+{bytes}"),
            Self::Indirect { id, depth, bytes } => write!(f, "indirect:{depth}:{id}+{bytes}"),
            Self::Run { byte, bytes } => write!(f, "run:{byte:02x}+{bytes}"),
            Self::Inline(bytes) => {
                f.write_str("inline:")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Slice { offset, bytes, of } => write!(f, "slice:{offset}+{bytes}:({of})"),
        }
    }
}

impl FromStr for ContentRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |problem: String| Error::invalid("content ref", text, problem);
        let found = parse_content(text).map_err(|problem| invalid(problem.to_string()))?;
        // The decoder knows all limits.
        let mut encoded = Vec::with_capacity(64);
        found.encode(&mut encoded);
        match Self::decode(&mut Reader::new("content ref", &encoded)) {
            Ok(decoded) => Ok(decoded),
            Err(Error::Malformed { problem, .. }) => Err(invalid(problem)),
            Err(e) => Err(e),
        }
    }
}

fn parse_content(text: &str) -> Result<ContentRef, &'static str> {
    if let Some(rest) = text.strip_prefix("slice:") {
        let (range, of) = rest.split_once(":(").ok_or("expected slice:OFFSET+LENGTH:(REF)")?;
        let (offset, bytes) = split_length(range)?;
        let of = of.strip_suffix(')').ok_or("expected ) at the end")?;
        if of.starts_with("slice:") {
            return Err("expected a block or an indirect block in the slice");
        }
        return Ok(ContentRef::Slice {
            offset: decimal(offset)?,
            bytes,
            of: Box::new(parse_content(of)?),
        });
    }
    if let Some(digits) = text.strip_prefix("inline:") {
        return Ok(ContentRef::Inline(
            unhex(digits).ok_or("expected pairs of hexadecimal digits")?,
        ));
    }
    let (name, bytes) = split_length(text)?;
    if let Some(byte) = name.strip_prefix("run:") {
        return match unhex(byte).as_deref() {
            Some([byte]) => Ok(ContentRef::Run { byte: *byte, bytes }),
            _ => Err("expected the byte of a run as two hexadecimal digits"),
        };
    }
    let parse_id = |id: &str| {
        id.parse()
            .map_err(|_| "expected an id such as sha256:HEX with all its digits")
    };
    if let Some(rest) = name.strip_prefix("indirect:") {
        let (depth, id) = rest.split_once(':').ok_or("expected indirect:DEPTH:ID+LENGTH")?;
        let depth = u8::try_from(decimal(depth)?).map_err(|_| "expected a depth below 256")?;
        let id = parse_id(id)?;
        return Ok(ContentRef::Indirect { id, depth, bytes });
    }
    Ok(ContentRef::Block {
        id: parse_id(name)?,
        bytes,
    })
}

fn split_length(text: &str) -> Result<(&str, u64), &'static str> {
    let (name, length) = text.rsplit_once('+').ok_or("expected +LENGTH at the end")?;
    Ok((name, decimal(length)?))
}

/// A decimal number in its only spelling.
fn decimal(text: &str) -> Result<u64, &'static str> {
    let problem = "expected a decimal number without leading zeros, below 2 to the 64th";
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if !canonical {
        return Err(problem);
    }
    text.parse().map_err(|_| problem)
}

/// Bytes from pairs of hexadecimal digits.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::object::HashAlgo;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn each_form_is_read_as_it_is_written() {
        for text in [
            ABC.to_owned(),
            format!("{ABC}+3"),
            format!("indirect:2:{ABC}+70000000000"),
            "run:00+4096".to_owned(),
            "inline:".to_owned(),
            "inline:00ff61".to_owned(),
            format!("slice:1+1:({ABC}+3)"),
            format!("slice:5+60:(indirect:1:{ABC}+100)"),
            format!("tree:{ABC}"),
            format!("snapshot:{ABC}"),
        ] {
            assert_eq!(text.parse::<TextRef>().unwrap().to_string(), text);
        }
        let hex = ABC.trim_start_matches("sha256:");
        assert_eq!(
            format!("{hex}.sha256+3").parse::<TextRef>().unwrap().to_string(),
            format!("{ABC}+3")
        );
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            format!("{ABC}+"),
            format!("{ABC}+03"),
            format!("{ABC}++3"),
            format!("{ABC}+-3"),
            format!("{ABC}+99999999"), // no block is so long
            "sha256:ba7816b+3".to_owned(),
            "run:0+1".to_owned(),
            "run:00+0".to_owned(),
            "run:00+18446744073709551616".to_owned(),
            "inline:0".to_owned(),
            "inline:xx".to_owned(),
            format!("inline:{}", "00".repeat(5000)),
            format!("indirect:0:{ABC}+1"),
            format!("indirect:17:{ABC}+1"),
            format!("slice:1+3:({ABC}+3)"),
            format!("slice:0+3:({ABC}+3)"),
            "slice:0+1:(run:00+3)".to_owned(),
            format!("slice:0+1:(slice:0+2:({ABC}+3))"),
            format!("slice:0+1:({ABC}+3"),
            "tree:main".to_owned(),
            String::new(),
        ] {
            assert!(text.parse::<TextRef>().is_err(), "{text}");
        }
    }

    fn any_id() -> impl Strategy<Value = ObjectId> {
        (any::<u64>(), prop::sample::select(HashAlgo::WRITABLE.to_vec()))
            .prop_map(|(n, algo)| ObjectId::hash(algo, &n.to_le_bytes()))
    }

    pub(super) fn any_text_ref() -> impl Strategy<Value = TextRef> {
        let leaf = prop_oneof![
            (any_id(), 2..10_000u64).prop_map(|(id, bytes)| ContentRef::Block { id, bytes }),
            (any_id(), 1..16u8, 2..u64::MAX >> 1).prop_map(|(id, depth, bytes)| ContentRef::Indirect {
                id,
                depth,
                bytes
            }),
        ];
        let content = prop_oneof![
            leaf.clone(),
            (any::<u8>(), 1..u64::MAX >> 1).prop_map(|(byte, bytes)| ContentRef::Run { byte, bytes }),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(ContentRef::Inline),
            (leaf, any::<u64>(), any::<u64>()).prop_map(|(of, a, b)| {
                let offset = a % (of.len() - 1);
                let bytes = 1 + b % (of.len() - 1 - offset);
                ContentRef::Slice {
                    offset,
                    bytes,
                    of: Box::new(of),
                }
            }),
        ];
        prop_oneof![
            content.prop_map(TextRef::Content),
            any_id().prop_map(TextRef::Id),
            any_id().prop_map(TextRef::Tree),
            any_id().prop_map(TextRef::Snapshot),
        ]
    }

    proptest! {
        #[test]
        fn values_survive_text(value in any_text_ref()) {
            prop_assert_eq!(value.to_string().parse::<TextRef>().unwrap(), value);
        }

        #[test]
        fn any_text_is_refused_or_read(text in "(slice:|run:|indirect:|inline:|tree:)?[0-9a-f:+()]{0,40}") {
            if let Ok(value) = text.parse::<TextRef>() {
                prop_assert_eq!(value.to_string().parse::<TextRef>().unwrap(), value);
            }
        }
    }
}
