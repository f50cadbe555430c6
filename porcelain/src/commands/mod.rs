//! One file a command. Each has `Arguments`, whose doc comment is its help, and `run`.

pub mod cat;
pub mod complete_revision;
pub mod completions;
pub mod config;
pub mod copy;
pub mod describe;
pub mod diff;
pub mod dup;
pub mod export_desc;
pub mod find;
pub mod find_duplicate;
pub mod help;
pub mod import_desc;
pub mod init;
pub mod log;
pub mod ls;
pub mod overlap;
pub mod reconstruct;
pub mod scan;
pub mod show;
pub mod snapshot;
pub mod stats;
pub mod status;
pub mod verify;
pub mod verify_path;
pub mod where_is;
