//! How plumbing commands read and write records, names and values.
//!
//! Names are bytes. Where a record ends with a newline, a name is quoted as git quotes it where it needs that; with `-z`
//! records end with NUL and names stand as they are. Values of `key=value` words escape with `%XX` whatever is not a
//! plain visible ASCII character. With `--json` a record is one object on one line.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _, Write};

use bstr::{BString, ByteSlice};
use ghost_plumbing::object::text::{percent_encode, quote_name, unquote_name};
use ghost_plumbing::time::Timestamp;
use jiff::tz::Offset;
use serde::Serialize;

use crate::context::{CommandError, CommandResult};

/// Longest record of the input in bytes: room for an entry with all that its limits allow in extended attributes of
/// common length.
pub const RECORD_BYTES_MAX: u64 = 64 << 20;

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
    pub fn name(self, name: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Nul => Cow::Borrowed(name),
            Self::Line => match quote_name(name) {
                Cow::Borrowed(_) => Cow::Borrowed(name),
                Cow::Owned(quoted) => Cow::Owned(quoted.into_bytes()),
            },
        }
    }

    /// What was printed by [`name`](Self::name).
    pub fn parse_name(self, text: &[u8]) -> ghost_plumbing::Result<BString> {
        match self {
            Self::Line => unquote_name(text),
            Self::Nul => Ok(text.into()),
        }
    }
}

/// Reads records that end with `end`, without their ends; the last may lack it. A record of more than
/// [`RECORD_BYTES_MAX`] bytes is refused.
pub fn read_record(input: &mut dyn BufRead, end: Termination, into: &mut Vec<u8>) -> io::Result<bool> {
    into.clear();
    let mut limited = input.take(RECORD_BYTES_MAX);
    if limited.read_until(end.byte(), into)? == 0 {
        return Ok(false);
    }
    if into.last() == Some(&end.byte()) {
        into.pop();
    } else if limited.limit() == 0 {
        let problem = format!("a record of more than {RECORD_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(true)
}

/// Appends `value` with `%XX` for every byte that is not a visible ASCII character, and for `%` and `=`.
pub fn put_escaped(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(percent_encode(value, "!\"#$&'()*+,/:;<>?@[\\]^`{|}").as_bytes());
}

/// A path in JSON: as text, and exactly where it is not UTF-8.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JsonPath {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl JsonPath {
    /// From the bytes of a path.
    pub fn new(path: &[u8]) -> Self {
        Self {
            path: path.to_str_lossy().into_owned(),
            path_hex: inexact_hex(path),
        }
    }
}

/// The hexadecimal digits of bytes that text cannot give exactly.
pub fn inexact_hex(bytes: &[u8]) -> Option<String> {
    bytes.to_str().is_err().then(|| hex(bytes))
}

/// An instant in JSON: RFC 3339 with nanoseconds, or `@SECONDS.NANOS` in years that no calendar here reaches.
pub fn json_time(time: Timestamp) -> String {
    let instant = i32::try_from(time.nanos).ok();
    match instant.and_then(|nanos| jiff::Timestamp::new(time.seconds, nanos).ok()) {
        Some(instant) => instant.display_with_offset(Offset::UTC).to_string(),
        None => format!("@{}.{:09}", time.seconds, time.nanos),
    }
}

/// Appends formatted text.
pub fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(text);
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// A record with its type in front.
#[derive(Serialize)]
struct Typed<'r, R: Serialize> {
    #[serde(rename = "type")]
    kind: &'r str,
    #[serde(flatten)]
    record: &'r R,
}

/// Writes one record that says its type itself.
pub fn json_record(out: &mut dyn Write, record: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

/// Writes one record of the type `kind` as one line of JSON.
pub fn json_line(out: &mut dyn Write, kind: &str, record: &impl Serialize) -> io::Result<()> {
    json_record(out, &Typed { kind, record })
}

/// Standard output for library functions that write and wrap what goes wrong: keeps the error as it was, so that a
/// reader that has gone away is told from a disk that fails.
pub struct Unwrapped<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl<'a> Unwrapped<'a> {
    /// Writes to `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, error: None }
    }

    /// The error of the output if there was one, else `result`.
    pub fn end<T>(self, result: ghost_plumbing::Result<T>) -> CommandResult<T> {
        match self.error {
            Some(error) => Err(CommandError::Output(error)),
            None => Ok(result?),
        }
    }
}

impl Write for Unwrapped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(|error| self.keep(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(|error| self.keep(error))
    }
}

impl Unwrapped<'_> {
    fn keep(&mut self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if kind != io::ErrorKind::Interrupted {
            self.error = Some(error);
        }
        kind.into()
    }
}

#[cfg(test)]
mod tests {
    use ghost_plumbing::object::text::percent_decode;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_keeps_bytes_that_are_not_text() {
        let json = |path: &[u8]| {
            let mut out = Vec::new();
            json_line(&mut out, "x", &JsonPath::new(path)).unwrap();
            BString::from(out)
        };
        assert_eq!(json(b"a b"), "{\"type\":\"x\",\"path\":\"a b\"}\n");
        assert_eq!(
            json(b"a\xff"),
            "{\"type\":\"x\",\"path\":\"a\u{fffd}\",\"path_hex\":\"61ff\"}\n"
        );
        assert_eq!(json_time(Timestamp::new(-1, 5)), "1969-12-31T23:59:59.000000005+00:00");
        assert_eq!(json_time(Timestamp::new(i64::MAX, 5)), "@9223372036854775807.000000005");
    }

    #[test]
    fn records_end_with_their_end_or_with_the_input() {
        let mut input = &b"a\nb\0c"[..];
        let mut read = |end| {
            let mut record = Vec::new();
            read_record(&mut input, end, &mut record).unwrap().then_some(record)
        };
        assert_eq!(read(Termination::Line).as_deref(), Some(&b"a"[..]));
        assert_eq!(read(Termination::Nul).as_deref(), Some(&b"b"[..]));
        assert_eq!(read(Termination::Line).as_deref(), Some(&b"c"[..]));
        assert_eq!(read(Termination::Line), None);
    }

    proptest! {
        #[test]
        fn escaping_is_reversible(value: Vec<u8>) {
            let mut escaped = Vec::new();
            put_escaped(&mut escaped, &value);
            let plain = escaped.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'=');
            prop_assert!(plain);
            let text = std::str::from_utf8(&escaped).unwrap();
            prop_assert_eq!(percent_decode(text).unwrap(), value);
        }
    }
}
