//! A connection to another repository of the same server, within this one.

use super::Client;
use crate::error::Result;
use crate::object::codec::put_bytes;
use crate::remote::message;
use crate::remote::wire::{Channel, Connection, Greeting, Limits, Role, Tally};

/// A connection within a channel of another one.
#[derive(Debug)]
pub struct Tunnel {
    /// It, as good as any.
    pub connection: Connection,
    channel: Channel,
}

impl Client<'_> {
    /// Begins a connection to the repository `name` of the same server. `greeting` is what this side says there. It needs no
    /// ticks: where the outer connection ends, it ends.
    pub fn tunnel(&self, name: &[u8], greeting: &Greeting) -> Result<Tunnel> {
        let mut arguments = Vec::new();
        put_bytes(&mut arguments, name);
        let channel = self.connection.open(message::TUNNEL, &arguments)?;
        let (input, output) = channel.streams();
        let connection = Connection::start(Role::Client, input, output, greeting, Limits::default());
        Ok(Tunnel { connection, channel })
    }
}

impl Tunnel {
    /// Ends it, and waits until the server has; an error says why it did not serve.
    pub fn finish(self) -> Result<()> {
        drop(self.connection);
        self.channel.finish(&mut |_: &Tally| ())?;
        Ok(())
    }
}
