#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        missing_docs,
        reason = "tests may fail, make files and run other tools"
    )
)]
//! The library of ghost: a content-addressed, append-only store for directories.
//!
//! Layers, each of which may use only those before it (checked by `cargo xtask layers`):
//!
//! 1. [`limits`], [`error`], [`time`], [`progress`], [`tasks`]: bounds, errors, instants, how far a job is, what it has yet
//!    to do
//! 2. [`disk`]: the one seam to the files of a repository
//! 3. [`object`]: block ids, content refs, trees, snapshots; pure bytes <-> values; [`content`]: the bytes behind a ref
//! 4. [`chunk`]: where a file is cut
//! 5. [`store`]: data files, frames, index segments
//! 6. [`refs`]: the ref log and revisions
//! 7. [`walk`]: reading directories, metadata, ignore rules, the stat cache
//! 8. [`repository`]: a `.ghost` folder: format, configuration, the parts above
//! 9. [`ghosts`]: what was seen; questions over trees, live or stored
//! 10. [`bundle`]: a store in one file
//! 11. [`snapshot`], [`reconstruct`], [`verify`], [`compare`]: the jobs
//! 12. [`repair`]: mending what is damaged
//! 13. [`history`]: questions over many snapshots; [`retention`]: which of them stay; [`rewrite`]: making
//!     them anew
//! 13. [`gc`]: removing what nothing needs
//! 14. [`remote`]: protocol, client, server
//!
//! Nothing here prints, reads the environment or asks for the time: the caller hands it what it needs.
//! Every byte on disk is described in `object-format.md`.

pub mod bundle;
pub mod chunk;
pub mod compare;
pub mod content;
pub mod disk;
pub mod error;
pub mod gc;
pub mod ghosts;
pub mod history;
pub mod limits;
pub mod object;
pub mod progress;
pub mod reconstruct;
pub mod refs;
pub mod remote;
pub mod repair;
pub mod repository;
pub mod retention;
pub mod rewrite;
pub mod snapshot;
pub mod store;
pub mod tasks;
pub mod time;
pub mod verify;
pub mod walk;

pub use error::{Error, Result};
