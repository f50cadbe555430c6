//! What the threads of a connection share: channels with their inboxes, queues, and how it ended.
//!
//! Everything stands behind one lock and one condition. A change that somebody may wait for is told to all.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::channel::Reply;
use super::connection::{Limits, Role, Traffic};
use super::failure::{Code, Failure, Tally};
use super::format::{Frame, FrameType, Greeting, HEADER_BYTES, protocol};
use crate::error::{Error, Result};
use crate::object::codec::{Reader, put_varint};

/// Bytes of data that may wait to be written.
const QUEUED_BYTES_MAX: usize = 1 << 20;
/// Frames that may wait to be written beside data: a peer that asks for more and does not read is cut off.
const QUEUED_CONTROL_MAX: usize = 4096;
/// Data that counts as getting ahead.
const HEADWAY_BYTES: u64 = 1024;

/// Why a connection is no more.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// One of the sides is done.
    Closed,
    Lost(String),
    Protocol(&'static str, String, String),
    Unsupported(String),
    Refused(Failure),
    Interrupted,
}

impl End {
    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::Protocol { what, expected, found } => Self::Protocol(what, expected, found),
            Error::Malformed { what, at, problem } => {
                Self::Protocol(what, "a well-formed one".to_owned(), format!("at byte {at}: {problem}"))
            }
            Error::Unsupported { feature, .. } => Self::Unsupported(feature),
            Error::Interrupted => Self::Interrupted,
            Error::Disconnected { reason } => Self::Lost(reason),
            error => Self::Lost(error.to_string()),
        }
    }

    pub(super) fn error(&self) -> Error {
        match self.clone() {
            Self::Closed => Error::Disconnected {
                reason: "it ended the connection".to_owned(),
            },
            Self::Lost(reason) => Error::Disconnected { reason },
            Self::Protocol(what, expected, found) => Error::Protocol { what, expected, found },
            Self::Unsupported(feature) => Error::Unsupported {
                path: "the far side".into(),
                feature,
            },
            Self::Refused(failure) => failure.into_error(),
            Self::Interrupted => Error::Interrupted,
        }
    }
}

/// One channel, as the connection knows it.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Data that was not consumed yet.
    inbox: VecDeque<Vec<u8>>,
    /// Bytes of the first piece of the inbox that were consumed.
    consumed: usize,
    /// Bytes that the peer may still send.
    granted: u64,
    /// Bytes that were consumed since the last grant.
    ungranted: u64,
    /// Bytes that may still be sent.
    credit: u64,
    /// The peer sends no more.
    is_ended: bool,
    /// This side sends no more.
    pub(super) has_ended: bool,
    pub(super) answer: Option<Result<Reply, Failure>>,
    pub(super) tally: Option<Tally>,
}

impl Line {
    /// Drops what is in the inbox; gives its bytes.
    pub(super) fn discard(&mut self) -> u64 {
        let bytes: usize = self.inbox.drain(..).map(|piece| piece.len()).sum();
        let consumed = std::mem::take(&mut self.consumed);
        (bytes - consumed) as u64
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) control: VecDeque<Frame>,
    pub(super) data: VecDeque<Frame>,
    pub(super) data_bytes: usize,
    pub(super) lines: HashMap<u32, Line>,
    pub(super) requests: VecDeque<(u32, u64, Vec<u8>)>,
    pub(super) greeting: Option<Greeting>,
    /// The channel that was opened last.
    pub(super) last_channel: u32,
    pub(super) end: Option<End>,
    /// Nothing more will be queued; what is queued is still written.
    pub(super) is_closing: bool,
    pub(super) traffic: Traffic,
    pub(super) frames_in: u64,
    pub(super) headway: u64,
    pub(super) data_since_headway: u64,
    pub(super) waiting: usize,
    pub(super) heart: Option<Heart>,
}

impl State {
    /// Takes the other side's greeting. Requests that were opened before it came have no credit yet.
    pub(super) fn greet(&mut self, greeting: Greeting) {
        for line in self.lines.values_mut() {
            line.credit = greeting.window_bytes;
        }
        self.greeting = Some(greeting);
    }

    pub(super) fn count_round_trip(&mut self) {
        self.traffic.round_trips += 1;
    }
}

/// What was seen when, by the clock of who calls `Connection::tick`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heart {
    pub(super) frames: u64,
    pub(super) frames_at: Duration,
    pub(super) headway: u64,
    pub(super) headway_at: Duration,
    pub(super) pinged_at: Duration,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) role: Role,
    pub(super) limits: Limits,
    pub(super) window_bytes: u64,
}

impl Shared {
    pub(super) fn new(role: Role, limits: Limits, window_bytes: u64) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            role,
            limits,
            window_bytes,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Waits for a change; an error when there is nothing to wait for any more.
    pub(super) fn wait(&self, state: &mut MutexGuard<'_, State>) -> Result<()> {
        if let Some(end) = &state.end {
            return Err(end.error());
        }
        state.waiting += 1;
        self.changed.wait(state);
        state.waiting -= 1;
        Ok(())
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    pub(super) fn queue(&self, state: &mut State, frame: Frame) -> Result<()> {
        if let Some(end) = &state.end {
            return Err(end.error());
        }
        if state.control.len() >= QUEUED_CONTROL_MAX {
            let error = protocol(
                "a connection",
                "a peer that reads what it asks for",
                "one that does not",
            );
            self.break_off(state, error);
            return Err(protocol(
                "a connection",
                "a peer that reads what it asks for",
                "one that does not",
            ));
        }
        state.control.push_back(frame);
        self.notify();
        Ok(())
    }

    /// Queues data of a channel as its window allows; gives how much.
    pub(super) fn queue_data(&self, channel: u32, bytes: &[u8]) -> Result<usize> {
        let mut state = self.lock();
        loop {
            let has_room = state.data_bytes < QUEUED_BYTES_MAX && state.end.is_none();
            let Some(line) = state.lines.get_mut(&channel) else {
                return Err(cancelled());
            };
            if let Some(Err(failure)) = &line.answer {
                return Err(failure.clone().into_error());
            }
            // Who has answered wants to hear no more.
            if line.answer.is_some() {
                return Ok(bytes.len());
            }
            if line.credit > 0 && has_room {
                let count = bytes
                    .len()
                    .min(super::format::PAYLOAD_BYTES_MAX)
                    .min(line.credit as usize);
                line.credit -= count as u64;
                state.data_bytes += count;
                state
                    .data
                    .push_back(Frame::new(FrameType::Data, channel, bytes[..count].to_vec()));
                self.notify();
                return Ok(count);
            }
            self.wait(&mut state)?;
        }
    }

    /// Queues the frame that must come behind the data of its channel.
    pub(super) fn queue_behind(&self, state: &mut State, frame: Frame) -> Result<()> {
        if let Some(end) = &state.end {
            return Err(end.error());
        }
        state.data.push_back(frame);
        self.notify();
        Ok(())
    }

    /// Takes data out of an inbox: 0 at the end of the stream.
    pub(super) fn consume(&self, channel: u32, buffer: &mut [u8]) -> Result<usize> {
        let mut state = self.lock();
        loop {
            let Some(line) = state.lines.get_mut(&channel) else {
                return Err(cancelled());
            };
            if let Some(first) = line.inbox.front() {
                let count = buffer.len().min(first.len() - line.consumed);
                buffer[..count].copy_from_slice(&first[line.consumed..line.consumed + count]);
                line.consumed += count;
                if line.consumed == first.len() {
                    line.inbox.pop_front();
                    line.consumed = 0;
                }
                self.grant(&mut state, channel, count as u64)?;
                return Ok(count);
            }
            if let Some(Err(failure)) = &line.answer {
                return Err(failure.clone().into_error());
            }
            if line.is_ended || line.answer.is_some() {
                return Ok(0);
            }
            self.wait(&mut state)?;
        }
    }

    /// Lets the peer send as much again as was consumed, when that is worth a frame.
    pub(super) fn grant(&self, state: &mut State, channel: u32, bytes: u64) -> Result<()> {
        let Some(line) = state.lines.get_mut(&channel) else {
            return Ok(());
        };
        line.ungranted += bytes;
        if line.ungranted < self.window_bytes / 4 || line.is_ended || state.end.is_some() {
            return Ok(());
        }
        let more = std::mem::take(&mut line.ungranted);
        line.granted += more;
        let mut payload = Vec::new();
        put_varint(&mut payload, more);
        self.queue(state, Frame::new(FrameType::Window, channel, payload))
    }

    pub(super) fn break_off(&self, state: &mut State, error: Error) {
        if state.end.is_none() {
            state.end = Some(End::of(error));
        }
        self.notify();
    }

    pub(super) fn new_line(&self, state: &mut State, channel: u32) {
        let credit = state.greeting.as_ref().map_or(0, |greeting| greeting.window_bytes);
        let line = Line {
            granted: self.window_bytes,
            credit,
            ..Line::default()
        };
        state.lines.insert(channel, line);
    }

    /// Takes one frame of the peer.
    pub(super) fn take(&self, frame: Frame) -> Result<()> {
        let mut state = self.lock();
        state.frames_in += 1;
        state.traffic.received += (HEADER_BYTES + frame.payload.len()) as u64;
        if frame.channel == 0 {
            return self.take_own(&mut state, frame);
        }
        if frame.kind == FrameType::Open {
            return self.take_open(&mut state, frame);
        }
        if frame.channel > state.last_channel || frame.channel.is_multiple_of(2) {
            return Err(protocol("a frame", "an open channel", frame.channel));
        }
        let headway = !matches!(frame.kind, FrameType::Data);
        if headway {
            state.headway += 1;
        } else {
            state.data_since_headway += frame.payload.len() as u64;
            if state.data_since_headway >= HEADWAY_BYTES {
                state.data_since_headway = 0;
                state.headway += 1;
            }
        }
        if let Some(line) = state.lines.get_mut(&frame.channel) {
            take_for(line, frame, self.role)?;
        }
        self.notify();
        Ok(())
    }

    fn take_own(&self, state: &mut State, frame: Frame) -> Result<()> {
        match frame.kind {
            FrameType::Ping if frame.payload.len() == 8 => {
                self.queue(state, Frame::new(FrameType::Pong, 0, frame.payload))
            }
            FrameType::Pong if frame.payload.len() == 8 => Ok(()),
            FrameType::Error => {
                state.end = Some(End::Refused(Failure::decode(&frame.payload)?));
                self.notify();
                Ok(())
            }
            kind => Err(protocol("a frame", "a channel", format_args!("{kind:?} without one"))),
        }
    }

    fn take_open(&self, state: &mut State, frame: Frame) -> Result<()> {
        if self.role == Role::Client {
            return Err(protocol("a frame", "an answer", "a request of the side that answers"));
        }
        if frame.channel <= state.last_channel || frame.channel.is_multiple_of(2) {
            let expected = format_args!("an odd channel above {}", state.last_channel);
            return Err(protocol("a request", expected, frame.channel));
        }
        state.last_channel = frame.channel;
        let mut reader = Reader::new("request", &frame.payload);
        let method = reader.varint()?;
        let arguments = frame.payload[reader.at()..].to_vec();
        if state.is_closing || state.lines.len() >= self.limits.channels {
            let failure = Failure {
                code: Code::Busy,
                text: format!(
                    "at most {} requests at once, and none while it shuts down",
                    self.limits.channels
                ),
                detail: String::new(),
            };
            return self.queue(state, Frame::new(FrameType::Error, frame.channel, failure.encode()));
        }
        self.new_line(state, frame.channel);
        state.requests.push_back((frame.channel, method, arguments));
        self.notify();
        Ok(())
    }
}

fn take_for(line: &mut Line, frame: Frame, role: Role) -> Result<()> {
    match frame.kind {
        FrameType::Data if line.is_ended => return Err(protocol("a frame", "nothing behind the end", "data")),
        FrameType::Data => {
            let bytes = frame.payload.len() as u64;
            if bytes > line.granted {
                let expected = format_args!("at most {} bytes, as granted", line.granted);
                return Err(protocol("data", expected, bytes));
            }
            line.granted -= bytes;
            if bytes > 0 && line.answer.is_none() {
                line.inbox.push_back(frame.payload);
            }
        }
        FrameType::End => line.is_ended = true,
        FrameType::Window => {
            let mut reader = Reader::new("window frame", &frame.payload);
            let more = reader.varint_max("window", u64::from(u32::MAX))?;
            reader.end()?;
            line.credit = line.credit.saturating_add(more);
        }
        FrameType::Reply if role == Role::Client && line.answer.is_none() => {
            line.is_ended = true;
            let is_json = frame.flags & super::format::FLAG_JSON != 0;
            line.answer = Some(Ok(Reply {
                payload: frame.payload,
                is_json,
            }));
        }
        FrameType::Error if line.answer.is_none() => line.answer = Some(Err(Failure::decode(&frame.payload)?)),
        FrameType::Progress => line.tally = Some(Tally::decode(&frame.payload)?),
        kind => {
            return Err(protocol(
                "a frame",
                "one that fits its channel",
                format_args!("{kind:?}"),
            ));
        }
    }
    Ok(())
}

pub(super) fn cancelled() -> Error {
    Error::Disconnected {
        reason: "the request was given up".to_owned(),
    }
}
