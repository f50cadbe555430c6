//! Two repositories in memory that talk over pipes.

mod hostile;
mod resume;
mod rules;
mod transfer;
mod world;
