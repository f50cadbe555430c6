//! Remotes: two repositories that talk over any pair of byte streams (object-format.md, "Wire protocol").
//!
//! The way of a push, from the client's store to the server's:
//!
//! 1. [`client`] asks for the refs of the server and knows what it lacks ([`offer`], [`difference`]): a snapshot that is
//!    held implies all below it, so that single objects are never asked about.
//! 2. [`pack`] writes the frames that hold the difference, compressed as they are stored, into a channel of the
//!    [`wire`].
//! 3. [`server`] takes them into [`quarantine`], hashes every object, walks what the new refs need ([`check`]), compares
//!    the change with its rules ([`policy`]), adopts the objects and changes all refs in one record.
//!
//! A fetch is the same with the sides exchanged: who receives never trusts who sends. Single objects are asked for by
//! those who read a remote without having it ([`objects`], [`lazy`]).
//!
//! Invariants:
//!
//! - No ref changes before everything that its new value needs is durable in the store and was hashed here.
//! - What arrived before a transfer broke is kept under the id of the other repository and is not sent again.
//! - Nothing that the other side says takes more memory than a limit, and every wait ends.

mod bases;
pub mod check;
pub mod client;
pub mod difference;
pub mod folder;
mod intake;
pub mod lazy;
pub mod message;
pub mod objects;
pub mod offer;
pub mod pack;
pub mod policy;
pub mod quarantine;
pub mod receive;
pub mod rehash;
pub mod server;
pub mod wire;

#[cfg(test)]
mod tests;
