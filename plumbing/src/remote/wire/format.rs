//! Greetings and frames as bytes (object-format.md, "Wire protocol").

use std::io::{self, Read, Write};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::error::{Error, Result};
use crate::object::codec::{Reader, put_bytes, put_varint};
use crate::object::text::escape_for_terminal;

/// What a greeting begins with: no text that a shell prints, and no line end survives a terminal.
pub const MAGIC: &[u8; 8] = b"\xffgWIRE\r\n";
/// The version that this program speaks, and the oldest that it still understands.
pub const VERSION: u16 = 1;
/// Longest body of a greeting in bytes.
pub const GREETING_BYTES_MAX: usize = 65_536;
/// Longest payload of a frame in bytes: what a peer may be asked to hold before it can check anything.
pub const PAYLOAD_BYTES_MAX: usize = 65_536;
/// Length of the header of a frame in bytes.
pub const HEADER_BYTES: usize = 16;
/// Smallest and largest window that a greeting may offer, in bytes.
pub const WINDOW_BYTES: std::ops::RangeInclusive<u64> = 65_536..=64 << 20;
/// Most capabilities in a greeting.
pub const CAPABILITIES_MAX: usize = 256;
/// Bytes of a stream that are shown where a greeting was expected.
const SHOWN_BYTES: usize = 200;

/// The first thing that each side says, without waiting for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The highest version that it speaks.
    pub version: u16,
    /// The lowest version that it speaks.
    pub version_min: u16,
    /// Its program, for people.
    pub software: String,
    /// Bytes of each channel that it takes before it grants more.
    pub window_bytes: u64,
    /// What else it can do or wants, sorted by name. Names that are not known are passed over.
    pub capabilities: Vec<(String, Vec<u8>)>,
}

impl Greeting {
    /// A greeting of this version.
    pub fn new(software: impl Into<String>, window_bytes: u64) -> Self {
        Self {
            version: VERSION,
            version_min: VERSION,
            software: software.into(),
            window_bytes,
            capabilities: Vec::new(),
        }
    }

    /// With one more capability.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.capabilities.retain(|(known, _)| known != name);
        self.capabilities.push((name.to_owned(), value.into()));
        self.capabilities.sort();
        self
    }

    /// The value of a capability.
    pub fn capability(&self, name: &str) -> Option<&[u8]> {
        let found = self.capabilities.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_bytes(&mut body, self.software.as_bytes());
        put_varint(&mut body, self.window_bytes);
        put_varint(&mut body, self.capabilities.len() as u64);
        for (name, value) in &self.capabilities {
            put_bytes(&mut body, name.as_bytes());
            put_bytes(&mut body, value);
        }
        let mut out = Vec::with_capacity(body.len() + 24);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.version_min.to_le_bytes());
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(&xxh3_64(&out).to_le_bytes());
        out
    }

    /// Reads the greeting of the far side. Anything else in its place is an error that shows how it begins.
    pub fn read(input: &mut dyn Read) -> Result<Self> {
        let mut head = read_head(input)?;
        let body_bytes = u32_at(&head, 12) as usize;
        if body_bytes > GREETING_BYTES_MAX {
            return Err(protocol(
                "a greeting",
                format_args!("at most {GREETING_BYTES_MAX} bytes"),
                format_args!("one of {body_bytes}"),
            ));
        }
        let start = head.len();
        head.resize(start + body_bytes + 8, 0);
        input.read_exact(&mut head[start..]).map_err(broken)?;
        let (bytes, check) = head.split_at(start + body_bytes);
        if xxh3_64(bytes).to_le_bytes() != check {
            return Err(protocol("a greeting", "the right check", "another"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        let version_min = u16::from_le_bytes([bytes[10], bytes[11]]);
        Self::decode_body(&bytes[16..], version, version_min)
    }

    fn decode_body(body: &[u8], version: u16, version_min: u16) -> Result<Self> {
        if version_min > VERSION || version < VERSION {
            return Err(Error::Unsupported {
                path: "the far side".into(),
                feature: format!("wire protocol {version_min} to {version}"),
            });
        }
        let mut reader = Reader::new("greeting", body);
        let software = reader.string("software", 256)?;
        let window_bytes = reader.varint_max("window", *WINDOW_BYTES.end())?;
        if window_bytes < *WINDOW_BYTES.start() {
            return Err(reader.malformed(format_args!("a window of {window_bytes} bytes")));
        }
        let count = reader.length("capabilities", CAPABILITIES_MAX)?;
        let mut capabilities: Vec<(String, Vec<u8>)> = Vec::new();
        for _ in 0..count {
            let name = reader.string("capability", 64)?;
            let value = reader.bytes("value", 4096)?.to_vec();
            if capabilities.last().is_some_and(|(last, _)| *last >= name) {
                return Err(reader.malformed("capabilities repeat or are out of order"));
            }
            capabilities.push((name, value));
        }
        // What follows belongs to later versions of the greeting.
        Ok(Self {
            version,
            version_min,
            software,
            window_bytes,
            capabilities,
        })
    }
}

/// Reads the fixed part of a greeting. What comes in its place is shown as far as it came at once.
fn read_head(input: &mut dyn Read) -> Result<Vec<u8>> {
    let mut head = [0; 16];
    let mut found = 0;
    while found < head.len() {
        let count = match input.read(&mut head[found..]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(error)),
        };
        found += count;
        let magic = found.min(MAGIC.len());
        if head[..magic] != MAGIC[..magic] {
            return Err(not_a_greeting(head[..found].to_vec(), input));
        }
    }
    if found == 0 {
        return Err(Error::Disconnected {
            reason: "it said nothing before it ended".to_owned(),
        });
    }
    if found < head.len() {
        return Err(not_a_greeting(head[..found].to_vec(), input));
    }
    Ok(head.to_vec())
}

fn not_a_greeting(mut bytes: Vec<u8>, input: &mut dyn Read) -> Error {
    // One more read: it gives what is there, and it waits at most until the heart breaks the connection.
    let mut more = [0; SHOWN_BYTES];
    if !bytes.contains(&b'\n') {
        let count = input.read(&mut more).unwrap_or(0);
        bytes.extend_from_slice(&more[..count]);
    }
    bytes.truncate(SHOWN_BYTES);
    protocol(
        "a greeting",
        "ghost's",
        format_args!("\"{}\"; does a shell print something there?", printable(&bytes)),
    )
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// Begins a request on a new channel.
    Open = 1,
    /// Bytes of a channel's stream.
    Data = 2,
    /// The end of the stream in this direction.
    End = 3,
    /// More bytes may be sent on the channel.
    Window = 4,
    /// The answer: the channel is closed.
    Reply = 5,
    /// A failure: the channel is closed; on channel 0 the connection.
    Error = 6,
    /// How far a request is.
    Progress = 7,
    /// Asks for a sign of life.
    Ping = 8,
    /// The sign of life.
    Pong = 9,
}

impl FrameType {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Open,
            2 => Self::Data,
            3 => Self::End,
            4 => Self::Window,
            5 => Self::Reply,
            6 => Self::Error,
            7 => Self::Progress,
            8 => Self::Ping,
            9 => Self::Pong,
            _ => return None,
        })
    }
}

/// Flag of a reply: its payload is JSON.
pub const FLAG_JSON: u8 = 1;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameType,
    /// [`FLAG_JSON`] or 0.
    pub flags: u8,
    /// The channel; 0 is the connection itself.
    pub channel: u32,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame without flags.
    pub fn new(kind: FrameType, channel: u32, payload: Vec<u8>) -> Self {
        Self {
            kind,
            flags: 0,
            channel,
            payload,
        }
    }

    /// Writes the frame, which is the one behind `number` others.
    pub fn write(&self, out: &mut dyn Write, number: u64) -> io::Result<()> {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&(self.payload.len() as u32).to_le_bytes());
        header[4] = self.kind as u8;
        header[5] = self.flags;
        header[8..12].copy_from_slice(&self.channel.to_le_bytes());
        let check = check(&header[..12], &self.payload, number);
        header[12..].copy_from_slice(&check.to_le_bytes());
        out.write_all(&header)?;
        out.write_all(&self.payload)
    }

    /// Reads the frame behind `number` others; none at the end of the stream.
    pub fn read(input: &mut dyn Read, number: u64) -> Result<Option<Self>> {
        let mut header = [0; HEADER_BYTES];
        let found = read_full(input, &mut header).map_err(broken)?;
        if found == 0 {
            return Ok(None);
        }
        if found < HEADER_BYTES {
            return Err(torn(found, HEADER_BYTES));
        }
        let bytes = u32_at(&header, 0) as usize;
        let shown = || printable(&header);
        let kind = FrameType::from_byte(header[4]).ok_or_else(|| {
            protocol(
                "a frame",
                "a known type",
                format_args!("{} in \"{}\"", header[4], shown()),
            )
        })?;
        if bytes > PAYLOAD_BYTES_MAX || header[5] & !FLAG_JSON != 0 || header[6..8] != [0; 2] {
            let expected = format_args!("at most {PAYLOAD_BYTES_MAX} bytes and known flags");
            return Err(protocol("a frame", expected, format_args!("\"{}\"", shown())));
        }
        let mut payload = vec![0; bytes];
        let found = read_full(input, &mut payload).map_err(broken)?;
        if found < bytes {
            return Err(torn(found, bytes));
        }
        let (expected, found) = (check(&header[..12], &payload, number), u32_at(&header, 12));
        if expected != found {
            let expected = format_args!("check {expected:08x} of frame {number}");
            return Err(protocol("a frame", expected, format_args!("{found:08x}")));
        }
        Ok(Some(Self {
            kind,
            flags: header[5],
            channel: u32_at(&header, 8),
            payload,
        }))
    }
}

/// The check of a frame: with its number as seed, so that none can be left out or repeated.
fn check(header: &[u8], payload: &[u8], number: u64) -> u32 {
    let mut hasher = Xxh3::with_seed(number);
    hasher.update(header);
    hasher.update(payload);
    hasher.digest() as u32
}

fn read_full(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut found = 0;
    while found < buffer.len() {
        match input.read(&mut buffer[found..]) {
            Ok(0) => break,
            Ok(count) => found += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn torn(found: usize, expected: usize) -> Error {
    Error::Disconnected {
        reason: format!("the stream ended within a frame, {found} bytes into a part of {expected}"),
    }
}

fn broken(error: io::Error) -> Error {
    Error::Disconnected {
        reason: error.to_string(),
    }
}

/// Bytes of a peer as they may be shown: nothing that moves a cursor, changes colours or the direction of writing.
pub fn printable(bytes: &[u8]) -> String {
    escape_for_terminal(bytes).into_owned()
}

/// An error of a peer that does not follow the protocol.
pub fn protocol(what: &'static str, expected: impl ToString, found: impl ToString) -> Error {
    Error::Protocol {
        what,
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
