//! What is asked and answered on channels (object-format.md, "Requests").
//!
//! Every message is read to its end, each count is compared with a limit before memory is taken, and names are those of
//! refs that this program would make itself.

mod field;

use std::io::Read;

use crate::error::{Error, Result};
use crate::limits::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX, REF_CHANGES_MAX, REF_NAME_BYTES_MAX, REFS_MAX};
use crate::object::codec::{Reader, put_bytes, put_signed, put_varint};
use crate::object::{HashAlgo, ObjectId};
use crate::refs::{Expected, Who, check_ref_name};
use crate::time::Timestamp;

use self::field::{flag, number_if, optional, put_digests, put_flags, put_ids, take_digests, take_ids};
use super::wire::Channel;
use super::wire::channel::from_stream;
use super::wire::format::protocol;

/// Lists refs.
pub const LIST: u64 = 1;
/// Asks which objects the other side has.
pub const HAVE: u64 = 2;
/// Asks for snapshots.
pub const FETCH: u64 = 3;
/// Brings objects and changes refs.
pub const PUSH: u64 = 4;
/// Asks for objects by their ids.
pub const GET: u64 = 5;
/// Asks how the other side is.
pub const STATUS: u64 = 6;
/// Opens a whole connection within the channel.
pub const TUNNEL: u64 = 7;

/// Longest message in bytes, beside lists of refs: all of it is held in memory.
pub const MESSAGE_MAX: usize = 64 << 20;
/// Most ids in one message.
pub const IDS_MAX: usize = 1 << 20;
/// Most snapshots behind those asked for that one request for objects brings.
pub const HISTORY_MAX: u64 = 1 << 16;
/// Most ids that the reply to a request for objects names as missing: it is one frame.
pub const MISSING_NAMED_MAX: usize = 1024;

/// Capability of a client's greeting: the repository that it wants.
pub const REPOSITORY: &str = "repository";
/// Capability of a server's greeting: it may be asked for snapshots together with those behind them.
pub const HISTORY: &str = "history";
/// Capability of a server's greeting: asked for objects, it may be allowed to send frames whole that hold others, too.
pub const WHOLE: &str = "whole-frames";

/// Capability of a server's greeting: the same, and it may be allowed to send differences with what they are made from.
pub const LEANING: &str = "leaning-frames";
/// Capability of a client's greeting: who it is, 16 bytes; what it sends is kept under this name until it is adopted.
pub const KEY: &str = "key";

/// What a server says of itself and its refs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The repository.
    pub uuid: [u8; 16],
    /// The hash that its ids are made with.
    pub hash: HashAlgo,
    /// It only lets add.
    pub is_append_only: bool,
    /// It only lets read.
    pub is_read_only: bool,
    /// It takes and sends delta frames, and may be told which snapshots are held without their trees.
    pub knows_deltas: bool,
    /// The number of the last record of its ref log.
    pub sequence: u64,
    /// The line that `@` means there, as a full name.
    pub line: String,
    /// Its refs, sorted by name.
    pub refs: Vec<(String, ObjectId)>,
    /// Digests of frames that an earlier push of this client brought and that were not adopted.
    pub held: Vec<[u8; 32]>,
}

const APPEND_ONLY: u64 = 1;
const READ_ONLY: u64 = 2;
const KNOWS_DELTAS: u64 = 4;

impl Listing {
    /// The value of a ref.
    pub fn get(&self, name: &str) -> Option<ObjectId> {
        let at = self.refs.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.refs.get(at).map(|(_, id)| *id)
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.uuid.to_vec();
        out.push(self.hash as u8);
        put_flags(
            &mut out,
            &[
                (self.is_append_only, APPEND_ONLY),
                (self.is_read_only, READ_ONLY),
                (self.knows_deltas, KNOWS_DELTAS),
            ],
        );
        put_varint(&mut out, self.sequence);
        put_bytes(&mut out, self.line.as_bytes());
        put_varint(&mut out, self.refs.len() as u64);
        for (name, id) in &self.refs {
            put_bytes(&mut out, name.as_bytes());
            id.encode(&mut out);
        }
        put_digests(&mut out, &self.held);
        out
    }

    /// Reads the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("list of refs", bytes);
        let uuid = reader.array()?;
        let hash = HashAlgo::from_byte(reader.byte()?).ok_or_else(|| reader.malformed("an unknown hash"))?;
        let flags = reader.varint()?;
        let sequence = reader.varint()?;
        let line = reader.string("line", REF_NAME_BYTES_MAX)?;
        check_ref_name(&line)?;
        let count = reader.length("refs", REFS_MAX)?;
        let mut refs: Vec<(String, ObjectId)> = Vec::new();
        for _ in 0..count {
            let name = reader.string("ref name", REF_NAME_BYTES_MAX)?;
            check_ref_name(&name)?;
            if refs.last().is_some_and(|(last, _)| *last >= name) {
                return Err(reader.malformed("refs repeat or are out of order"));
            }
            refs.push((name, ObjectId::decode(&mut reader)?));
        }
        let held = take_digests(&mut reader)?;
        reader.end()?;
        Ok(Self {
            uuid,
            hash,
            is_append_only: flags & APPEND_ONLY != 0,
            is_read_only: flags & READ_ONLY != 0,
            knows_deltas: flags & KNOWS_DELTAS != 0,
            sequence,
            line,
            refs,
            held,
        })
    }
}

/// Which snapshots a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchRequest {
    /// Without the blocks of files.
    pub without_blocks: bool,
    /// Delta frames may come: it has the blocks of all that it holds.
    pub deltas: bool,
    /// The trees of so many snapshots of each chain; older ones come without.
    pub depth: Option<u64>,
    /// Snapshots and trees that it wants.
    pub wants: Vec<ObjectId>,
    /// Snapshots that it holds whole, with all behind them but for those of `bare`.
    pub haves: Vec<ObjectId>,
    /// Digests of frames that it has from an earlier try.
    pub held: Vec<[u8; 32]>,
    /// Snapshots behind those held whose trees it does not have.
    pub bare: Vec<ObjectId>,
}

const WITHOUT_BLOCKS: u64 = 1;
const DELTAS: u64 = 2;
const HAS_BARE: u64 = 4;

impl FetchRequest {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_flags(
            &mut out,
            &[
                (self.without_blocks, WITHOUT_BLOCKS),
                (self.deltas, DELTAS),
                (!self.bare.is_empty(), HAS_BARE),
            ],
        );
        put_varint(&mut out, self.depth.unwrap_or(0));
        put_ids(&mut out, &self.wants);
        put_ids(&mut out, &self.haves);
        put_digests(&mut out, &self.held);
        if !self.bare.is_empty() {
            put_ids(&mut out, &self.bare);
        }
        out
    }

    /// Reads the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("request for snapshots", bytes);
        let flags = reader.varint_max("flags", WITHOUT_BLOCKS | DELTAS | HAS_BARE)?;
        let depth = reader.varint()?;
        let request = Self {
            without_blocks: flags & WITHOUT_BLOCKS != 0,
            deltas: flags & DELTAS != 0,
            depth: (depth > 0).then_some(depth),
            wants: take_ids(&mut reader)?,
            haves: take_ids(&mut reader)?,
            held: take_digests(&mut reader)?,
            bare: match flags & HAS_BARE {
                0 => Vec::new(),
                _ => take_ids(&mut reader)?,
            },
        };
        reader.end()?;
        Ok(request)
    }
}

/// Which objects a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetRequest {
    /// With all that is below: trees, lists, and blocks unless `without_blocks`.
    pub closure: bool,
    /// Without the blocks of files.
    pub without_blocks: bool,
    /// Frames may come as they are stored if at least half of each, in objects and in bytes, was asked for.
    pub whole_frames: bool,
    /// The same of frames that describe if one object in 16 was; and differences may come, each behind what it is made from.
    pub leaning_frames: bool,
    /// With those, so many bytes that were not asked for, decompressed, may come in frames of which one object in 16 was.
    pub beside: u64,
    /// With so many snapshots at most that are behind those of the ids, the nearest first.
    pub history: u64,
    /// The ids.
    pub ids: Vec<ObjectId>,
}

const CLOSURE: u64 = 1;
const NO_BLOCKS: u64 = 2;
const HAS_HISTORY: u64 = 4;
const WHOLE_FRAMES: u64 = 8;
const LEANING_FRAMES: u64 = 16;

impl GetRequest {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_flags(
            &mut out,
            &[
                (self.closure, CLOSURE),
                (self.without_blocks, NO_BLOCKS),
                (self.history > 0, HAS_HISTORY),
                (self.whole_frames, WHOLE_FRAMES),
                (self.leaning_frames, LEANING_FRAMES),
            ],
        );
        put_ids(&mut out, &self.ids);
        if self.history > 0 {
            put_varint(&mut out, self.history);
        }
        if self.leaning_frames {
            put_varint(&mut out, self.beside);
        }
        out
    }

    /// Reads the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("request for objects", bytes);
        let known = CLOSURE | NO_BLOCKS | HAS_HISTORY | WHOLE_FRAMES | LEANING_FRAMES;
        let flags = reader.varint_max("flags", known)?;
        let ids = take_ids(&mut reader)?;
        let history = number_if(flags & HAS_HISTORY != 0, &mut reader, ("snapshots behind", HISTORY_MAX))?;
        let beside = number_if(flags & LEANING_FRAMES != 0, &mut reader, ("bytes beside", u64::MAX))?;
        reader.end()?;
        Ok(Self {
            closure: flags & CLOSURE != 0,
            without_blocks: flags & NO_BLOCKS != 0,
            whole_frames: flags & WHOLE_FRAMES != 0,
            leaning_frames: flags & LEANING_FRAMES != 0,
            beside,
            history,
            ids,
        })
    }
}

/// A change of a ref that a push asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushChange {
    /// Full name.
    pub name: String,
    /// What must be there now: [`Expected::Any`] never travels.
    pub expected: Option<ObjectId>,
    /// The new value; none deletes the ref.
    pub new: Option<ObjectId>,
    /// The new value need not follow the old one.
    pub force: bool,
}

impl PushChange {
    /// What the transaction compares with.
    pub fn expectation(&self) -> Expected {
        self.expected.map_or(Expected::Absent, Expected::Is)
    }
}

/// What a push asks for, in front of its pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushHead {
    /// The same for a push that is repeated.
    pub push_id: [u8; 16],
    /// Who pushes, by what the client says.
    pub who: Who,
    /// For the ref log.
    pub message: String,
    /// The refs, sorted by name; none where only objects are brought.
    pub changes: Vec<PushChange>,
    /// Objects that must be there whole afterwards, beside what refs name.
    pub roots: Vec<ObjectId>,
    /// Whether a pack follows.
    pub has_pack: bool,
}

impl PushHead {
    /// The bytes, with their length in front.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.push_id.to_vec();
        put_bytes(&mut body, self.who.author.as_bytes());
        put_bytes(&mut body, self.who.host.as_bytes());
        put_signed(&mut body, self.who.time.seconds);
        put_varint(&mut body, u64::from(self.who.time.nanos));
        put_bytes(&mut body, self.message.as_bytes());
        put_varint(&mut body, self.changes.len() as u64);
        for change in &self.changes {
            put_bytes(&mut body, change.name.as_bytes());
            body.push(u8::from(change.force));
            for id in [change.expected, change.new] {
                body.push(u8::from(id.is_some()));
                if let Some(id) = id {
                    id.encode(&mut body);
                }
            }
        }
        put_ids(&mut body, &self.roots);
        body.push(u8::from(self.has_pack));
        let mut out = (body.len() as u32).to_le_bytes().to_vec();
        out.extend_from_slice(&body);
        out
    }

    /// Reads the bytes from a stream, and nothing behind them.
    pub fn read(input: &mut dyn Read) -> Result<Self> {
        let mut length = [0; 4];
        input.read_exact(&mut length).map_err(from_stream)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MESSAGE_MAX {
            return Err(protocol(
                "a push",
                format_args!("a head of at most {MESSAGE_MAX} bytes"),
                length,
            ));
        }
        let mut body = Vec::new();
        let found = input.take(length as u64).read_to_end(&mut body).map_err(from_stream)?;
        if found < length {
            return Err(protocol("a push", format_args!("a head of {length} bytes"), found));
        }
        Self::decode(&body)
    }

    fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("push", body);
        let push_id = reader.array()?;
        let author = reader.string("author", NAME_BYTES_MAX)?;
        let host = reader.string("host", NAME_BYTES_MAX)?;
        let seconds = reader.signed()?;
        let nanos = reader.varint_max("nanoseconds", 999_999_999)? as u32;
        let message = reader.string("message", MESSAGE_BYTES_MAX)?;
        let count = reader.length("changes", REF_CHANGES_MAX)?;
        let mut changes: Vec<PushChange> = Vec::new();
        for _ in 0..count {
            let name = reader.string("ref name", REF_NAME_BYTES_MAX)?;
            check_ref_name(&name)?;
            if changes.last().is_some_and(|last| last.name >= name) {
                return Err(reader.malformed("refs repeat or are out of order"));
            }
            let force = flag(&mut reader)?;
            let expected = optional(&mut reader)?;
            let new = optional(&mut reader)?;
            changes.push(PushChange {
                name,
                expected,
                new,
                force,
            });
        }
        let roots = take_ids(&mut reader)?;
        let has_pack = flag(&mut reader)?;
        reader.end()?;
        let time = Timestamp::new(seconds, nanos);
        Ok(Self {
            push_id,
            who: Who { author, host, time },
            message,
            changes,
            roots,
            has_pack,
        })
    }
}

/// How a push ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushReply {
    /// The record of the ref log that has it.
    pub sequence: u64,
    /// It had been done before, by the same push.
    pub is_repeated: bool,
    /// Objects that were adopted.
    pub objects: u64,
}

impl PushReply {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.sequence);
        out.push(u8::from(self.is_repeated));
        put_varint(&mut out, self.objects);
        out
    }

    /// Reads the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("answer to a push", bytes);
        let reply = Self {
            sequence: reader.varint()?,
            is_repeated: flag(&mut reader)?,
            objects: reader.varint()?,
        };
        reader.end()?;
        Ok(reply)
    }
}

/// What a side has of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Have {
    /// Nothing.
    Nothing = 0,
    /// Its bytes.
    Object = 1,
    /// It is a snapshot behind a ref: all that it needs is there.
    Whole = 2,
}

impl Have {
    /// From its byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Nothing,
            1 => Self::Object,
            2 => Self::Whole,
            _ => return None,
        })
    }
}

/// A list of ids as a message.
pub fn encode_ids(ids: &[ObjectId]) -> Vec<u8> {
    let mut out = Vec::new();
    put_ids(&mut out, ids);
    out
}

/// Reads such a message.
pub fn decode_ids(bytes: &[u8]) -> Result<Vec<ObjectId>> {
    let mut reader = Reader::new("list of ids", bytes);
    let ids = take_ids(&mut reader)?;
    reader.end()?;
    Ok(ids)
}

/// Sends a message as the whole stream of a channel.
pub fn send(channel: &Channel, bytes: &[u8]) -> Result<()> {
    channel.send(bytes)?;
    channel.end()
}

/// An error for a peer that asks for what nobody knows.
pub fn unknown_method(method: u64) -> Error {
    Error::Unsupported {
        path: "this side".into(),
        feature: format!("request {method}"),
    }
}
