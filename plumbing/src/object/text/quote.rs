//! Names and messages as text: C quotes as git writes them, percent escapes, and what may be shown to people.
//!
//! Invariants: `unquote_name(quote_name(name)) == name` and `percent_decode(percent_encode(bytes)) == bytes` for all
//! bytes; no output holds a control character, an escape sequence or a mark that changes the direction of text.

use std::borrow::Cow;
use std::fmt::Write as _;

use bstr::BString;

use crate::error::{Error, Result};
use crate::object::text::unhex;

/// A name as git prints it with `core.quotePath`: as it is if all of its bytes are visible ASCII or spaces and neither
/// `"` nor `\` is among them; else in double quotes with C escapes, other bytes as three octal digits.
pub fn quote_name(name: &[u8]) -> Cow<'_, str> {
    let plain = name
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
    if let (true, Ok(text)) = (plain, std::str::from_utf8(name)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(name.len() + 8);
    out.push('"');
    for &byte in name {
        match letter_of(byte) {
            Some(letter) => out.extend(['\\', letter]),
            None if matches!(byte, b' '..=b'~') => out.push(char::from(byte)),
            None => {
                out.push('\\');
                out.extend([byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| char::from(b'0' + digit)));
            }
        }
    }
    out.push('"');
    Cow::Owned(out)
}

const LETTERS: [(u8, char); 9] = [
    (0x07, 'a'),
    (0x08, 'b'),
    (b'\t', 't'),
    (b'\n', 'n'),
    (0x0b, 'v'),
    (0x0c, 'f'),
    (b'\r', 'r'),
    (b'"', '"'),
    (b'\\', '\\'),
];

fn letter_of(byte: u8) -> Option<char> {
    LETTERS
        .iter()
        .find(|(value, _)| *value == byte)
        .map(|(_, letter)| *letter)
}

/// Reads a name that [`quote_name`] or git wrote: what does not begin with `"` stands for itself.
pub fn unquote_name(text: &[u8]) -> Result<BString> {
    let Some(rest) = text.strip_prefix(b"\"") else {
        return Ok(text.into());
    };
    let invalid = |problem| Error::invalid("quoted name", escape_for_terminal(text), problem);
    let inner = rest
        .strip_suffix(b"\"")
        .ok_or_else(|| invalid("expected \" at the end"))?;
    let mut out = BString::default();
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return Err(invalid("expected \\ in front of \"")),
            b'\\' => {
                let escape = unescape(&mut bytes);
                out.push(escape.ok_or_else(|| invalid("expected \\ with one of abtnvfr\"\\ or three octal digits"))?);
            }
            _ => out.push(byte),
        }
    }
    Ok(out)
}

fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if let Some((value, _)) = LETTERS.iter().find(|(_, letter)| *letter == char::from(first)) {
        return Some(*value);
    }
    let octal = |digit: u8| matches!(digit, b'0'..=b'7').then(|| u32::from(digit - b'0'));
    let value = octal(first)? << 6 | octal(bytes.next()?)? << 3 | octal(bytes.next()?)?;
    u8::try_from(value).ok()
}

/// Bytes with `%XX` for all but letters, digits, `-._~` and the ASCII characters in `also_plain`.
pub fn percent_encode(bytes: &[u8], also_plain: &str) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also_plain.as_bytes().contains(&byte);
        if plain && byte.is_ascii_graphic() && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Reads what [`percent_encode`] wrote.
pub fn percent_decode(text: &str) -> Result<Vec<u8>> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).and_then(unhex);
        let (Some(byte), Some(rest)) = (digits, part.get(2..)) else {
            return Err(Error::invalid(
                "escaped text",
                text,
                "expected % with two hexadecimal digits",
            ));
        };
        out.extend(byte);
        out.extend_from_slice(rest.as_bytes());
    }
    Ok(out)
}

/// Text as it may be shown: control characters, escape sequences, marks that change the direction of text or are not
/// seen, and bytes that are not UTF-8 are shown as `\n`, `\x1b`, `\u{202e}`.
pub fn escape_for_terminal(text: &[u8]) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// As [`escape_for_terminal`], but newlines and tabs stay: for messages of several lines.
pub fn escape_lines_for_terminal(text: &[u8]) -> Cow<'_, str> {
    escape(text, |c| c == '\n' || c == '\t')
}

fn escape(text: &[u8], keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if let Ok(clean) = std::str::from_utf8(text)
        && clean.chars().all(|c| keep(c) || !(c.is_control() || is_misleading(c)))
    {
        return Cow::Borrowed(clean);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                _ if keep(c) => out.push(c),
                '\n' | '\t' | '\r' => out.extend(c.escape_default()),
                _ if c.is_ascii_control() => push_hex(&mut out, u32::from(c) as u8),
                _ if c.is_control() || is_misleading(c) => out.extend(c.escape_unicode()),
                _ => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_hex(&mut out, byte));
    }
    Cow::Owned(out)
}

fn push_hex(out: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\\x{byte:02x}");
}

/// Marks that change the direction of text, break lines, or are not seen at all.
fn is_misleading(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_quoted_as_git_quotes_them() {
        // As `git ls-files` prints them.
        let known: [(&[u8], &str); 9] = [
            (b"a b", "a b"),
            (b"a\"b", r#""a\"b""#),
            (b"a\\b", r#""a\\b""#),
            (b"\x01\x07\x08\t\n\x0b\x0c\r\x1b", r#""\001\a\b\t\n\v\f\r\033""#),
            (b"\x7f", r#""\177""#),
            ("ä".as_bytes(), r#""\303\244""#),
            (b"\xff", r#""\377""#),
            (b"'~`$", "'~`$"),
            (b"a/b", "a/b"),
        ];
        for (name, text) in known {
            assert_eq!(quote_name(name), text);
            assert_eq!(unquote_name(text.as_bytes()).unwrap(), name);
        }
        for bad in [
            r#"""#,
            r#""a"#,
            r#""a"b""#,
            r#""\q""#,
            r#""\40""#,
            r#""\777""#,
            r#""a\""#,
        ] {
            assert!(unquote_name(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_dangerous_reaches_a_terminal() {
        assert_eq!(escape_for_terminal("déjà vu 🎉".as_bytes()), "déjà vu 🎉");
        assert_eq!(escape_for_terminal(b"\x1b[2Jx\r\n"), r"\x1b[2Jx\r\n");
        assert_eq!(
            escape_for_terminal("a\u{202e}b\u{9b}c\u{2066}".as_bytes()),
            r"a\u{202e}b\u{9b}c\u{2066}"
        );
        assert_eq!(escape_for_terminal(b"a\xffb"), r"a\xffb");
        assert_eq!(escape_lines_for_terminal(b"a\n\tb\x07"), "a\n\tb\\x07");
    }

    proptest! {
        #[test]
        fn all_bytes_survive(name in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(unquote_name(quote_name(&name).as_bytes()).unwrap(), name.as_slice());
            let percent = percent_encode(&name, "/=% ");
            prop_assert!(percent.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(percent_decode(&percent).unwrap(), name.clone());
            prop_assert!(!escape_for_terminal(&name).contains(|c: char| c.is_control() || is_misleading(c)));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = percent_decode(&text);
            let _ = unquote_name(text.as_bytes());
            let _ = unquote_name(format!("\"{text}\"").as_bytes());
        }
    }
}
