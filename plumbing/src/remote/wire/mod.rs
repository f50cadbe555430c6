//! The wire: two programs that talk over any pair of byte streams (object-format.md, "Wire protocol").
//!
//! - [`mod@format`]: greetings and frames, pure bytes <-> values
//! - [`failure`]: errors and progress as they are told
//! - [`connection`]: many channels over one pair of streams, with flow control and a heart; [`shared`] is what its
//!   threads share
//! - [`channel`]: one request and its answer: a stream each way, then a reply or an error
//!
//! Invariants:
//!
//! - Nothing that a peer announces makes this side take memory: a frame has at most [`format::PAYLOAD_BYTES_MAX`] bytes, a
//!   channel holds at most a window, and there are at most as many channels as the [`connection::Limits`] say.
//! - The thread that reads never writes and never waits for anything but bytes, so two sides cannot wait for each other.
//! - Every wait ends: with what was waited for, or with the connection, which breaks by itself at the end of the
//!   stream, at the first byte that does not follow the protocol, and by [`connection::Connection::tick`].

pub mod channel;
pub mod connection;
pub mod failure;
pub mod format;
mod shared;

pub use channel::{Channel, Reply};
pub use connection::{Connection, Limits, Request, Role, Traffic};
pub use failure::{Code, Failure, Tally};
pub use format::Greeting;

#[cfg(test)]
mod tests;
