//! Two repositories in memory that talk over pipes.

mod deltas;
mod hostile;
mod resume;
mod rules;
mod transfer;
pub(super) mod world;
