//! One file a command. Each has `Arguments`, whose doc comment is its help, and `run`.

pub mod completions;
pub mod config;
pub mod help;
pub mod init;
