//! One file a command. Each has `Arguments`, whose doc comment is its help, and `run`.

pub mod cat;
pub mod complete_revision;
pub mod completions;
pub mod config;
pub mod diff;
pub mod help;
pub mod init;
pub mod log;
pub mod ls;
pub mod reconstruct;
pub mod show;
pub mod snapshot;
pub mod stats;
pub mod status;
pub mod verify;
