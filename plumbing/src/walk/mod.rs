//! Reading what is backed up: directories, metadata, ignore rules, and the stat cache.
//!
//! A scan of one directory goes like this, with nothing but names and open directories, at any depth:
//!
//! 1. [`DirHandle::open_child`], [`DirHandle::read_names`]: all names, sorted as a tree has them
//! 2. [`DirHandle::stat`] of each name that the ignore rules keep
//! 3. a fingerprint of each entry, compared with those of the last scan in the [`cache`]: where all are equal nothing
//!    is read, and the id of the tree is known
//! 4. of what changed: [`DirHandle::open_file`], [`hole_map`], [`XattrReader`], [`DirHandle::read_link`], and after the
//!    last byte [`stat_fd`] with [`Stat::same_content`]
//!
//! Nothing here follows a link, blocks on a fifo, or changes an access time where that can be avoided. Unlike the files
//! of a repository, sources are read by system calls and not through [`crate::disk`].

pub mod cache;
mod dir;
mod holes;
pub mod ignore;
mod meta;
mod names;
mod owners;
mod stat;
mod xattr;

pub use dir::{DirHandle, raise_open_files};
pub use holes::{DataRanges, Range, hole_map};
pub use ignore::{Reason, RuleOptions, Rules, Scope};
pub use meta::{metadata, special_node};
pub use names::Names;
pub use owners::Owners;
pub use stat::{Stat, stat_fd};
pub use xattr::{XattrReader, Xattrs};
