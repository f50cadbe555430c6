//! One request and its answer.
//!
//! A channel has a stream each way and ends with a reply or an error of the side that answers. Either side may give it
//! up. A channel that is dropped before it was answered is given up.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::failure::{Code, Failure, Tally};
use super::format::{FLAG_JSON, Frame, FrameType, protocol};
use super::shared::{Shared, cancelled};
use crate::error::{Error, Result};

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Whether they are JSON.
    pub is_json: bool,
}

/// One side of a channel. Data is sent and received from any thread.
#[derive(Debug)]
pub struct Channel {
    shared: Arc<Shared>,
    id: u32,
}

impl Channel {
    pub(super) fn new(shared: Arc<Shared>, id: u32) -> Self {
        Self { shared, id }
    }

    /// Sends all bytes, as fast as the other side takes them.
    pub fn send(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let count = self.shared.queue_data(self.id, bytes)?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Sends no more data. Where the answer is there already, the other side wants no end, and may even have hung up.
    pub fn end(&self) -> Result<()> {
        end(&self.shared, self.id)
    }

    /// Receives some data; 0 bytes at its end.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        self.shared.consume(self.id, buffer)
    }

    /// Receives all data, at most `max` bytes.
    pub fn receive_all(&self, max: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            match self.receive(&mut buffer)? {
                0 => return Ok(out),
                count if out.len() + count > max => {
                    return Err(protocol("data", format_args!("at most {max} bytes"), "more"));
                }
                count => out.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Tells the other side how far this one is.
    pub fn tell(&self, tally: &Tally) -> Result<()> {
        let frame = Frame::new(FrameType::Progress, self.id, tally.encode());
        self.shared.queue(&mut self.shared.lock(), frame)
    }

    /// Answers the request.
    pub fn reply(self, payload: Vec<u8>) -> Result<()> {
        self.answer(payload, 0)
    }

    /// Answers the request with JSON.
    pub fn reply_json(self, json: String) -> Result<()> {
        self.answer(json.into_bytes(), FLAG_JSON)
    }

    fn answer(&self, payload: Vec<u8>, flags: u8) -> Result<()> {
        let mut state = self.shared.lock();
        let Some(line) = state.lines.remove(&self.id) else {
            return Err(cancelled());
        };
        if let Some(Err(failure)) = line.answer {
            return Err(failure.into_error());
        }
        let mut frame = Frame::new(FrameType::Reply, self.id, payload);
        frame.flags = flags;
        // Data that was sent before is read before.
        self.shared.queue_behind(&mut state, frame)
    }

    /// Answers that the request failed, or gives it up.
    pub fn fail(self, error: &Error) {
        self.give_up(Failure::of(error));
    }

    fn give_up(&self, failure: Failure) {
        let mut state = self.shared.lock();
        let Some(line) = state.lines.remove(&self.id) else {
            return;
        };
        if line.answer.is_none() {
            let frame = Frame::new(FrameType::Error, self.id, failure.encode());
            // Where nobody listens there is nobody to tell.
            let _ = self.shared.queue_behind(&mut state, frame);
        }
        self.shared.notify();
    }

    /// Waits for the answer and shows `watch` how far the other side is. Data that was not received is passed over.
    pub fn finish(self, watch: &mut dyn FnMut(&Tally)) -> Result<Reply> {
        let mut state = self.shared.lock();
        state.count_round_trip();
        let mut shown = None;
        loop {
            let Some(line) = state.lines.get_mut(&self.id) else {
                return Err(cancelled());
            };
            if line.tally != shown
                && let Some(tally) = line.tally
            {
                shown = Some(tally);
                watch(&tally);
            }
            let discarded = line.discard();
            if let Some(answer) = line.answer.take() {
                state.lines.remove(&self.id);
                self.shared.notify();
                return answer.map_err(Failure::into_error);
            }
            if discarded > 0 {
                self.shared.grant(&mut state, self.id, discarded)?;
                continue;
            }
            self.shared.wait(&mut state)?;
        }
    }

    /// The two directions as streams that may be read and written by other threads, as long as the channel is there. When
    /// the one that is written to is dropped, this side's stream has ended.
    pub fn streams(&self) -> (Incoming, Outgoing) {
        let (shared, id) = (self.shared.clone(), self.id);
        let incoming = Incoming {
            shared: shared.clone(),
            id,
        };
        (incoming, Outgoing { shared, id })
    }

    /// How far the other side is, if it said so.
    pub fn tally(&self) -> Option<Tally> {
        self.shared.lock().lines.get(&self.id).and_then(|line| line.tally)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.give_up(Failure {
            code: Code::Cancelled,
            text: "the request was given up".to_owned(),
            detail: String::new(),
        });
    }
}

impl Read for &Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer).map_err(io::Error::other)
    }
}

impl Write for &Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        queue(&self.shared, self.id, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn queue(shared: &Shared, id: u32, bytes: &[u8]) -> io::Result<usize> {
    match bytes.is_empty() {
        true => Ok(0),
        false => shared.queue_data(id, bytes).map_err(io::Error::other),
    }
}

fn end(shared: &Shared, id: u32) -> Result<()> {
    let mut state = shared.lock();
    let Some(line) = state.lines.get_mut(&id) else {
        return Err(cancelled());
    };
    if let Some(Err(failure)) = &line.answer {
        return Err(failure.clone().into_error());
    }
    if std::mem::replace(&mut line.has_ended, true) || line.answer.is_some() {
        return Ok(());
    }
    shared.queue_behind(&mut state, Frame::new(FrameType::End, id, Vec::new()))
}

/// What comes on a channel. Dropping it does not give the channel up.
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
    id: u32,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.shared.consume(self.id, buffer).map_err(io::Error::other)
    }
}

/// What is sent on a channel. Dropping it ends this side's stream, and does not give the channel up.
#[derive(Debug)]
pub struct Outgoing {
    shared: Arc<Shared>,
    id: u32,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        queue(&self.shared, self.id, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // Where nobody listens there is nobody to tell.
        let _ = end(&self.shared, self.id);
    }
}

/// The error of the library within an error of a stream, or one that says that the stream broke.
pub fn from_stream(error: io::Error) -> Error {
    let reason = error.to_string();
    match error.into_inner().map(|inner| inner.downcast::<Error>()) {
        Some(Ok(inner)) => *inner,
        _ => Error::Disconnected { reason },
    }
}
