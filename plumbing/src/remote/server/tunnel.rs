//! A connection within a channel: to another repository of the same server.
//!
//! The streams of the channel carry greetings and frames as those of any connection do, and who answers is the same server.
//! The window of the channel holds back what the inner connection sends; its heart is that of the outer one, whose end ends
//! all within. Connections nest [`DEPTH_MAX`] deep, as each takes threads.

use super::Session;
use crate::error::{Error, Result};
use crate::object::codec::Reader;
use crate::remote::wire::{Channel, Code, Connection, Greeting, Limits, Role};

/// Connections within connections.
pub const DEPTH_MAX: usize = 3;
/// Longest name of a repository in bytes.
const NAME_BYTES_MAX: usize = 4096;
/// Bytes that a channel of an inner connection takes before it grants more.
const WINDOW_BYTES: u64 = 1 << 20;

impl Session<'_> {
    /// Serves the connection that a client begins within a channel, until that ends. The argument is the name of the
    /// repository; what the greeting within says of one counts for nothing.
    pub(super) fn tunnel(&self, channel: &Channel, arguments: &[u8]) -> Result<Vec<u8>> {
        let mut reader = Reader::new("name of a repository", arguments);
        let name = reader.bytes("name", NAME_BYTES_MAX)?;
        reader.end()?;
        if self.depth >= DEPTH_MAX {
            return Err(Error::Refused {
                code: Code::Busy as u16,
                text: format!("at most {DEPTH_MAX} connections within each other"),
                detail: String::new(),
            });
        }
        let inner = Session {
            exports: self.exports,
            export: self.exports.open(name)?,
            key: self.key,
            progress: self.progress,
            depth: self.depth + 1,
        };
        let greeting = Greeting::new(concat!("ghost ", env!("CARGO_PKG_VERSION")), WINDOW_BYTES);
        let (input, output) = channel.streams();
        let connection = Connection::start(Role::Server, input, output, &greeting, Limits::default());
        connection.peer()?;
        inner.answer_all(&connection)?;
        Ok(Vec::new())
    }
}
