//! What a side tells of its errors, and of how far it is (object-format.md, "Wire protocol").

use super::format::printable;
use crate::error::{Error, Result};
use crate::object::codec::{Reader, put_bytes, put_varint};

/// Longest text of an error in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Longest JSON detail of an error in bytes.
pub const DETAIL_BYTES_MAX: usize = 16_384;

/// What went wrong, as peers tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// The other did not follow the protocol.
    Protocol = 1,
    /// A method, feature or version that is not known.
    Unsupported = 2,
    /// There is no such repository, ref or object.
    NotFound = 3,
    /// A rule of the far side forbids it.
    Forbidden = 4,
    /// A ref is not at the value that was expected.
    Moved = 5,
    /// Too much at once: try again later.
    Busy = 6,
    /// Stored bytes are damaged.
    Damaged = 7,
    /// Anything else, such as a full disk.
    Failed = 8,
    /// The request was given up.
    Cancelled = 9,
    /// Objects are missing that were needed.
    Incomplete = 10,
}

impl Code {
    /// From the number in an error frame; one that is not known is [`Code::Failed`].
    pub fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Protocol,
            2 => Self::Unsupported,
            3 => Self::NotFound,
            4 => Self::Forbidden,
            5 => Self::Moved,
            6 => Self::Busy,
            7 => Self::Damaged,
            9 => Self::Cancelled,
            10 => Self::Incomplete,
            _ => Self::Failed,
        }
    }

    /// The code that goes with an error of the library.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Protocol { .. } => Self::Protocol,
            Error::Refused { code, .. } => Self::from_number(u64::from(*code)),
            Error::Unsupported { .. } => Self::Unsupported,
            Error::NotFound { .. } | Error::NoRepository { .. } => Self::NotFound,
            Error::RefMoved { .. } => Self::Moved,
            Error::Foreign { .. } | Error::UnsafeName { .. } => Self::Forbidden,
            Error::Missing { .. } | Error::Incomplete { .. } => Self::Incomplete,
            Error::Busy { .. } => Self::Busy,
            Error::Interrupted | Error::Disconnected { .. } => Self::Cancelled,
            error if error.is_damage() => Self::Damaged,
            _ => Self::Failed,
        }
    }
}

/// The payload of an error frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub code: Code,
    /// In words, for people.
    pub text: String,
    /// One JSON object with the parts of it; empty where there is nothing more to say.
    pub detail: String,
}

impl Failure {
    /// What is told of an error. It names no files of this machine beyond those in the error's own words.
    pub fn of(error: &Error) -> Self {
        let (code, mut text) = (Code::of(error), error.to_string());
        let detail = match error {
            Error::RefMoved { name, expected, found } => {
                json(&[("ref", name), ("expected", expected), ("found", found)])
            }
            Error::Missing { id, needed_as } => json(&[("missing", &id.to_string()), ("needed-as", needed_as)]),
            Error::Refused {
                text: inner, detail, ..
            } => {
                text.clone_from(inner);
                detail.clone()
            }
            _ => String::new(),
        };
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        text.truncate(end);
        Self { code, text, detail }
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.code as u64);
        put_bytes(&mut out, self.text.as_bytes());
        put_bytes(&mut out, self.detail.as_bytes());
        out
    }

    /// Reads a payload. Its texts are made fit to be shown.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("error frame", payload);
        let code = Code::from_number(reader.varint()?);
        let text = printable(reader.bytes("text", TEXT_BYTES_MAX)?);
        let detail = printable(reader.bytes("detail", DETAIL_BYTES_MAX)?);
        reader.end()?;
        Ok(Self { code, text, detail })
    }

    /// As an error of this side.
    pub fn into_error(self) -> Error {
        Error::Refused {
            code: self.code as u16,
            text: self.text,
            detail: self.detail,
        }
    }
}

/// A JSON object of texts.
pub fn json(fields: &[(&str, &str)]) -> String {
    let quoted = |text: &str| {
        let mut out = String::from('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
        out + "\""
    };
    let fields: Vec<String> = fields
        .iter()
        .map(|(k, v)| format!("{}:{}", quoted(k), quoted(v)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// How far a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects that are done.
    pub objects: u64,
    /// All objects; 0 while that is not known.
    pub objects_total: u64,
    /// Bytes as stored that are done.
    pub bytes: u64,
    /// All bytes; 0 while that is not known.
    pub bytes_total: u64,
}

impl Tally {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.objects, self.objects_total, self.bytes, self.bytes_total] {
            put_varint(&mut out, number);
        }
        out
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("progress frame", payload);
        let tally = Self {
            objects: reader.varint()?,
            objects_total: reader.varint()?,
            bytes: reader.varint()?,
            bytes_total: reader.varint()?,
        };
        reader.end()?;
        Ok(tally)
    }
}
