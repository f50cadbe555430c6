//! Two repositories in memory that talk over pipes.

mod cache;
mod deltas;
mod hostile;
mod leaning;
mod objects;
mod quarantine;
mod rehash;
mod relay;
mod resume;
mod rules;
mod transfer;
mod tunnels;
mod whole;
pub(super) mod world;
