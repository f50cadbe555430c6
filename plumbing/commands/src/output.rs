//! How plumbing commands write names, values and records.
//!
//! Names are bytes. Where a record ends with a newline, a name that could break it or mislead who reads it is quoted
//! as git quotes it: in double quotes, with C escapes. With `-z` records end with NUL and names stand as they are.
//! Values of `key=value` words escape with `%XX` whatever is not a plain visible ASCII character.
//!
//! Invariants: `unquote(quote(name)) == name` and `unescape(escape(value)) == value` for all bytes; neither form holds
//! a tab, a newline, an escape sequence or a character that changes the direction of text.

use std::borrow::Cow;
use std::io::{self, Write};

use bstr::{BStr, BString, ByteSlice};
use serde::Serialize;

/// How records end and whether names are quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// A newline; names are quoted where they need it.
    Line,
    /// NUL; names are raw.
    Nul,
}

impl Termination {
    /// From the flag `-z`.
    pub fn from_flag(nul: bool) -> Self {
        if nul { Self::Nul } else { Self::Line }
    }

    /// The byte after each record.
    pub fn byte(self) -> u8 {
        match self {
            Self::Line => b'\n',
            Self::Nul => 0,
        }
    }

    /// A name as it is printed.
    pub fn name(self, name: &[u8]) -> Cow<'_, BStr> {
        match self {
            Self::Line => quote(name),
            Self::Nul => Cow::Borrowed(name.as_bstr()),
        }
    }

    /// What was printed by [`name`](Self::name).
    pub fn parse_name(self, text: &[u8]) -> Option<BString> {
        match self {
            Self::Line => unquote(text),
            Self::Nul => Some(text.into()),
        }
    }
}

/// Quotes a name as git does where it holds control characters, quotes, backslashes, bytes that are not UTF-8, or
/// characters that a terminal does not show as they are.
pub fn quote(name: &[u8]) -> Cow<'_, BStr> {
    if !name.is_empty() && name.char_indices().all(|(start, end, c)| is_plain(c, end - start)) {
        return Cow::Borrowed(name.as_bstr());
    }
    let mut out = BString::from("\"");
    for (start, end, c) in name.char_indices() {
        if is_plain(c, end - start) {
            out.extend_from_slice(&name[start..end]);
        } else {
            name[start..end].iter().for_each(|&byte| quote_byte(&mut out, byte));
        }
    }
    out.push(b'"');
    Cow::Owned(out)
}

fn is_plain(c: char, bytes: usize) -> bool {
    // A replacement character that is not three bytes long stands for bytes that are not UTF-8.
    let invalid = c == char::REPLACEMENT_CHARACTER && bytes != 3;
    !(invalid || c.is_control() || c == '"' || c == '\\' || is_misleading(c))
}

/// Marks that change the direction of text, or that are not seen at all.
fn is_misleading(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn quote_byte(out: &mut BString, byte: u8) {
    let letter = match byte {
        0x07 => b'a',
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0b => b'v',
        0x0c => b'f',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Reads a name that may be quoted; none where the quoting is broken.
pub fn unquote(text: &[u8]) -> Option<BString> {
    let Some(inner) = text.strip_prefix(b"\"") else {
        return Some(text.into());
    };
    let inner = inner.strip_suffix(b"\"")?;
    let mut out = BString::default();
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => out.push(unquote_escape(&mut bytes)?),
            _ => out.push(byte),
        }
    }
    Some(out)
}

fn unquote_escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match bytes.next()? {
        b'a' => 0x07,
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        byte @ (b'"' | b'\\') => byte,
        high @ b'0'..=b'3' => {
            let mut value = high - b'0';
            for _ in 0..2 {
                let digit = bytes.next().filter(|digit| matches!(digit, b'0'..=b'7'))?;
                value = value << 3 | (digit - b'0');
            }
            value
        }
        _ => return None,
    })
}

/// Appends `value` with `%XX` for every byte that is not a visible ASCII character, and for `%` and `=`.
pub fn escape(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b'=' {
            out.push(byte);
        } else {
            let digits = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
    }
}

/// Reads what [`escape`] wrote; none where a `%` is not followed by two hexadecimal digits.
pub fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        out.push(u8::try_from(digit()? << 4 | digit()?).ok()?);
    }
    Some(out)
}

/// A byte string in JSON: `text` for people, with U+FFFD for what is not UTF-8, and then also `hex`, which is exact.
#[derive(Clone, Debug, Serialize)]
pub struct JsonBytes {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl From<&[u8]> for JsonBytes {
    fn from(bytes: &[u8]) -> Self {
        let exact = std::str::from_utf8(bytes).is_ok();
        Self {
            text: bytes.to_str_lossy().into_owned(),
            hex: (!exact).then(|| hex(bytes)),
        }
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Writes one record as one line of JSON.
pub fn json_line(out: &mut dyn Write, record: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_as_git_does() {
        // `git ls-files` with core.quotePath=false prints these.
        for (name, quoted) in [
            (&b"plain name"[..], &b"plain name"[..]),
            (b"tab\there", b"\"tab\\there\""),
            (b"quo\"te\\", b"\"quo\\\"te\\\\\""),
            (b"bell\x07\x1b[31m\x7f", b"\"bell\\a\\033[31m\\177\""),
            ("grün".as_bytes(), "grün".as_bytes()),
            (b"latin\xfc", b"\"latin\\374\""),
            ("evil\u{202e}txt".as_bytes(), b"\"evil\\342\\200\\256txt\""),
        ] {
            assert_eq!(quote(name), quoted.as_bstr());
        }
    }

    #[test]
    fn broken_quotes_and_escapes_are_refused() {
        for bad in [
            &b"\"open"[..],
            b"\"a\"b\"",
            b"\"\\\"",
            b"\"\\x\"",
            b"\"\\400\"",
            b"\"\\18\"",
            b"\"",
        ] {
            assert_eq!(unquote(bad), None, "{:?}", bad.as_bstr());
        }
        for bad in [&b"%"[..], b"%4", b"%4g", b"a%zz"] {
            assert_eq!(unescape(bad), None, "{:?}", bad.as_bstr());
        }
    }

    #[test]
    fn json_keeps_bytes_that_are_not_text() {
        let mut out = Vec::new();
        json_line(&mut out, &JsonBytes::from(&b"a\xff"[..])).unwrap();
        assert_eq!(out.as_bstr(), "{\"text\":\"a\u{fffd}\",\"hex\":\"61ff\"}\n");
    }

    proptest! {
        #[test]
        fn quoting_is_reversible(name: Vec<u8>) {
            let quoted = quote(&name);
            prop_assert!(!quoted.iter().any(u8::is_ascii_control));
            let found = unquote(&quoted);
            prop_assert_eq!(found, Some(BString::from(name.clone())));
        }

        #[test]
        fn escaping_is_reversible(value: Vec<u8>) {
            let mut escaped = Vec::new();
            escape(&mut escaped, &value);
            prop_assert!(escaped.iter().all(u8::is_ascii_graphic));
            prop_assert_eq!(unescape(&escaped), Some(value));
        }
    }
}
