//! Many channels over one pair of streams.
//!
//! Two threads serve a connection. One reads frames and puts them into the inboxes of their channels; it never writes
//! and never waits for a consumer, since no peer may send more than it was granted. The other writes what is queued.
//! Threads that send wait while too much is queued or no window is left; threads that receive wait for their inbox.
//! Whatever breaks the connection wakes all of them with the same error.
//!
//! Time comes from outside: [`Connection::tick`] is called now and then with the time since any fixed moment, asks for
//! signs of life, and breaks the connection when
//!
//! - no whole frame came for [`Limits::silence`], however many single bytes did; or
//! - a thread waited all through [`Limits::stall`] and nothing came that brings a request forward: data (a KiB at
//!   least), window, progress, an answer.
//!
//! A client opens channels with odd, growing numbers. Frames for a channel that is closed already are dropped: they
//! were under way when it closed. Frames for one that was never opened break the connection.

use std::io::{BufWriter, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use super::channel::Channel;
use super::failure::Failure;
use super::format::{Frame, FrameType, Greeting, HEADER_BYTES, PAYLOAD_BYTES_MAX};
use super::shared::{End, Heart, Shared, cancelled};
use crate::error::{Error, Result};
use crate::object::codec::put_varint;

/// Which side this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It asks.
    Client,
    /// It answers.
    Server,
}

/// What one connection may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Channels that are open at once.
    pub channels: usize,
    /// No whole frame for so long breaks the connection.
    pub silence: Duration,
    /// A sign of life is asked for after so long without a frame.
    pub ping: Duration,
    /// No headway for so long, while somebody waits, breaks the connection.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels: 16,
            silence: Duration::from_secs(60),
            ping: Duration::from_secs(15),
            stall: Duration::from_secs(600),
        }
    }
}

/// Bytes on the wire, with the headers of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
    /// Times that this side waited for an answer of the other.
    pub round_trips: u64,
}

/// A request that a client sent.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub method: u64,
    /// Its arguments.
    pub arguments: Vec<u8>,
    /// Where it is answered.
    pub channel: Channel,
}

/// One connection. Dropped, it writes what is queued and ends its side of the stream.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
}

impl Connection {
    /// Sends a greeting and begins to read and write, each in a thread of its own.
    pub fn start(
        role: Role,
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        greeting: &Greeting,
        limits: Limits,
    ) -> Self {
        let shared = Arc::new(Shared::new(role, limits, greeting.window_bytes));
        let bytes = greeting.encode();
        let (reads, writes) = (shared.clone(), shared.clone());
        std::thread::spawn(move || {
            let ended = read_all(&reads, input);
            let mut state = reads.lock();
            match ended {
                Ok(()) => state.end = state.end.take().or(Some(End::Closed)),
                Err(error) => {
                    // The last that this side says: why it hangs up.
                    if state.end.is_none()
                        && matches!(
                            error,
                            Error::Protocol { .. } | Error::Malformed { .. } | Error::Unsupported { .. }
                        )
                    {
                        let payload = Failure::of(&error).encode();
                        state.control.push_back(Frame::new(FrameType::Error, 0, payload));
                    }
                    reads.break_off(&mut state, error);
                }
            }
            reads.notify();
        });
        std::thread::spawn(move || {
            // What the peer said before it ended tells more than that nobody listens: the reader says how it ends, and
            // if nothing comes, the heart.
            if let Err(error) = write_all(&writes, output, &bytes)
                && role == Role::Server
            {
                // A client that is gone has nothing more to say.
                let reason = format!("cannot send: {error}");
                writes.break_off(&mut writes.lock(), Error::Disconnected { reason });
            }
        });
        Self { shared }
    }

    /// The greeting of the other side, once it is there.
    pub fn peer(&self) -> Result<Greeting> {
        let mut state = self.shared.lock();
        loop {
            if let Some(greeting) = &state.greeting {
                return Ok(greeting.clone());
            }
            self.shared.wait(&mut state)?;
        }
    }

    /// Begins a request.
    pub fn open(&self, method: u64, arguments: &[u8]) -> Result<Channel> {
        self.peer()?;
        let mut payload = Vec::with_capacity(arguments.len() + 2);
        put_varint(&mut payload, method);
        payload.extend_from_slice(arguments);
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Error::invalid("request", method, "its arguments are too long"));
        }
        let mut state = self.shared.lock();
        let channel = match state.last_channel {
            0 => 1,
            last => last.checked_add(2).ok_or_else(cancelled)?,
        };
        state.last_channel = channel;
        self.shared.new_line(&mut state, channel);
        self.shared
            .queue(&mut state, Frame::new(FrameType::Open, channel, payload))?;
        drop(state);
        Ok(Channel::new(self.shared.clone(), channel))
    }

    /// The next request of the client; none when it has ended the connection.
    pub fn accept(&self) -> Result<Option<Request>> {
        let mut state = self.shared.lock();
        loop {
            if let Some((channel, method, arguments)) = state.requests.pop_front() {
                let channel = Channel::new(self.shared.clone(), channel);
                return Ok(Some(Request {
                    method,
                    arguments,
                    channel,
                }));
            }
            match &state.end {
                Some(End::Closed) => return Ok(None),
                Some(end) => return Err(end.error()),
                None if state.is_closing => return Ok(None),
                None => {}
            }
            // Nobody waits for a request to get ahead.
            self.shared.changed.wait(&mut state);
        }
    }

    /// Looks at the clock: `now` is the time since any moment, the same each time.
    pub fn tick(&self, now: Duration) {
        let mut state = self.shared.lock();
        let limits = self.shared.limits;
        let mut heart = state.heart.unwrap_or(Heart {
            frames: state.frames_in,
            frames_at: now,
            headway: state.headway,
            headway_at: now,
            pinged_at: now,
        });
        if heart.frames != state.frames_in {
            (heart.frames, heart.frames_at) = (state.frames_in, now);
        }
        if heart.headway != state.headway || state.waiting == 0 {
            (heart.headway, heart.headway_at) = (state.headway, now);
        }
        let silent = now.saturating_sub(heart.frames_at);
        let stalled = now.saturating_sub(heart.headway_at);
        if silent >= limits.silence {
            let reason = format!("nothing came for {} seconds", silent.as_secs());
            self.shared.break_off(&mut state, Error::Disconnected { reason });
        } else if stalled >= limits.stall {
            let reason = format!("it is there, but nothing got ahead for {} seconds", stalled.as_secs());
            self.shared.break_off(&mut state, Error::Disconnected { reason });
        } else if silent >= limits.ping
            && now.saturating_sub(heart.pinged_at) >= limits.ping
            && state.greeting.is_some()
        {
            heart.pinged_at = now;
            let ping = Frame::new(FrameType::Ping, 0, (now.as_millis() as u64).to_le_bytes().to_vec());
            // A connection that has ended needs no sign of life.
            let _ = self.shared.queue(&mut state, ping);
        }
        state.heart = Some(heart);
    }

    /// Ends the connection at once: whoever waits is told that it was interrupted.
    pub fn interrupt(&self) {
        self.shared.break_off(&mut self.shared.lock(), Error::Interrupted);
    }

    /// Takes no more requests; [`Connection::accept`] ends. What is under way goes on.
    pub fn shut_down(&self) {
        self.shared.lock().is_closing = true;
        self.shared.notify();
    }

    /// Bytes on the wire so far.
    pub fn traffic(&self) -> Traffic {
        self.shared.lock().traffic
    }

    /// Tells the peer why the connection ends.
    pub fn refuse(&self, error: &Error) {
        let frame = Frame::new(FrameType::Error, 0, Failure::of(error).encode());
        // Where nobody listens there is nobody to tell.
        let _ = self.shared.queue(&mut self.shared.lock(), frame);
    }

    /// Waits until what is queued is written.
    pub fn flush(&self) {
        let mut state = self.shared.lock();
        while state.end.is_none() && !(state.control.is_empty() && state.data.is_empty()) {
            self.shared.changed.wait(&mut state);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.notify();
    }
}

fn read_all(shared: &Shared, mut input: impl Read) -> Result<()> {
    let greeting = Greeting::read(&mut input)?;
    {
        let mut state = shared.lock();
        state.frames_in += 1;
        state.greet(greeting);
        shared.notify();
    }
    let mut input = std::io::BufReader::with_capacity(128 << 10, input);
    let mut number = 0;
    while let Some(frame) = Frame::read(&mut input, number)? {
        shared.take(frame)?;
        number += 1;
    }
    Ok(())
}

fn write_all(shared: &Shared, output: impl Write, greeting: &[u8]) -> std::io::Result<()> {
    let mut output = BufWriter::with_capacity(128 << 10, output);
    output.write_all(greeting)?;
    output.flush()?;
    let mut number = 0;
    loop {
        let Some(frame) = next_frame(shared) else {
            return output.flush();
        };
        frame.write(&mut output, number)?;
        number += 1;
        let mut state = shared.lock();
        state.traffic.sent += (HEADER_BYTES + frame.payload.len()) as u64;
        let is_idle = state.control.is_empty() && state.data.is_empty();
        drop(state);
        if is_idle {
            output.flush()?;
            shared.notify();
        }
    }
}

/// The next frame to write; none when the connection is over. Control goes first: windows and signs of life must not
/// wait behind data.
fn next_frame(shared: &Shared) -> Option<Frame> {
    let mut state = shared.lock();
    loop {
        if let Some(frame) = state.control.pop_front() {
            return Some(frame);
        }
        if let Some(frame) = state.data.pop_front() {
            if frame.kind == FrameType::Data {
                state.data_bytes -= frame.payload.len();
            }
            shared.notify();
            return Some(frame);
        }
        let is_over = state.end.is_some() || state.is_closing && state.lines.is_empty();
        if is_over {
            return None;
        }
        shared.changed.wait(&mut state);
    }
}
