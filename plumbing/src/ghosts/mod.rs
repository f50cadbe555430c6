//! Ghosts: what was seen, where and when, and when it was last proven (object-format.md, "Ghosts"); and questions over
//! trees, wherever they are.
//!
//! - [`ghost`]: the description of one content, and how two are united
//! - [`fasthash`], [`digest`]: the sampled hash; both hashes of live files
//! - [`catalogue`]: all ghosts of a repository, in a database that is a view: delete it, and snapshots and scans make it
//!   anew
//! - [`scan`]: finding what is on a file system, without storing any of it
//! - [`check`]: proving again that files are what they were seen to be
//! - [`text`]: descriptions as `.ghostdesc` files
//! - [`forest`]: the one algebra: a live directory ([`live`]), a stored tree ([`stored`]) and a bundle answer the same
//!   three questions. What compares, copies or acts is written once, over it
//! - [`recall`]: what a catalogue knows of live files, read by folder, and what is learnt of them
//! - [`table`], [`names`]: very many files, and where they are, in little room
//! - [`dup`]: groups of equal files; [`act`]: what becomes of them
//! - [`overlap`]: what of one tree is in others; [`copy`]: bringing it there
//! - `stream`: how both answer while folders are still walked
//! - [`condense`]: trees put together; [`pile`]: so are descriptions, however many

pub mod act;
pub mod catalogue;
pub mod check;
pub mod condense;
pub mod copy;
pub mod digest;
pub mod dup;
pub mod fasthash;
pub mod forest;
pub mod ghost;
mod hashing;
pub mod live;
pub mod names;
pub mod overlap;
pub mod pile;
pub mod recall;
pub mod scan;
pub mod stored;
mod stream;
pub mod table;
pub mod text;

#[cfg(test)]
mod tests;

pub use catalogue::Catalogue;
pub use fasthash::FastHash;
pub use ghost::{Ghost, Place, Places};
pub use pile::Ghosts;
