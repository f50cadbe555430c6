//! Canonical integers and byte strings (object-format.md, "Primitives").
//!
//! Integers are LEB128 in their shortest form; signed ones are zigzag-mapped first; byte strings carry their length.
//! A [`Reader`] refuses longer spellings, lengths over a stated limit and trailing bytes.

use crate::error::{Error, Result};

/// Appends `value` as LEB128.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` zigzag-mapped as LEB128.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends the length of `bytes` and `bytes`.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the `put_*` functions wrote, and refuses every other spelling.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which are a `what`.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error at the current place.
    pub fn malformed(&self, problem: impl ToString) -> Error {
        Error::Malformed {
            what: self.what,
            at: self.at,
            problem: problem.to_string(),
        }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        if self.left() < len {
            return Err(self.malformed(format_args!("expected {len} more bytes, found {}", self.left())));
        }
        let slice = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(slice)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned integer in its shortest form.
    pub fn varint(&mut self) -> Result<u64> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                break;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    self.at = start;
                    return Err(self.malformed("integer is not in its shortest form"));
                }
                return Ok(value);
            }
        }
        self.at = start;
        Err(self.malformed("integer is longer than 64 bits"))
    }

    /// An unsigned integer of at most `max`.
    pub fn varint_max(&mut self, name: &str, max: u64) -> Result<u64> {
        let start = self.at;
        let value = self.varint()?;
        if value > max {
            self.at = start;
            return Err(self.malformed(format_args!("{name} is {value}, the limit is {max}")));
        }
        Ok(value)
    }

    /// A count or length of at most `max`.
    pub fn length(&mut self, name: &str, max: usize) -> Result<usize> {
        // `max` is a usize, so what passes the check fits one.
        Ok(self.varint_max(name, max as u64)? as usize)
    }

    /// A signed integer.
    pub fn signed(&mut self) -> Result<i64> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A byte string of at most `max` bytes.
    pub fn bytes(&mut self, name: &str, max: usize) -> Result<&'a [u8]> {
        let len = self.length(name, max)?;
        self.take(len)
    }

    /// A string of at most `max` bytes that must be UTF-8.
    pub fn string(&mut self, name: &str, max: usize) -> Result<String> {
        let bytes = self.bytes(name, max)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.malformed(format_args!("{name} is not UTF-8"))),
        }
    }

    /// Ends the reading: bytes that are left are an error.
    pub fn end(self) -> Result<()> {
        if self.left() != 0 {
            return Err(self.malformed(format_args!("expected the end, found {} more bytes", self.left())));
        }
        Ok(())
    }
}
