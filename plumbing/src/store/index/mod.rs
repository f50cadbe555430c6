//! Index segments: immutable, sorted, mapped files that say where objects lie (object-format.md, "Index segments").
//!
//! A segment has two columns, sorted by the first eight bytes of the id: those bytes, and locators of eight bytes
//! that name a data file of the segment's own list, a frame and a slot. A table of bucket starts leads to about 64
//! candidates with one read. The rest of an id is not repeated here: a candidate is compared with the full id in the
//! table of the frame that it leads to, so a prefix never decides.
//!
//! Segments are a cache of what the data files say. Each names the ranges of the data files that it covers, and all
//! of these were durable before the segment was written. What no segment covers is scanned when a store is opened.

pub mod format;
pub mod merge;
pub mod read;
pub mod write;

#[cfg(test)]
mod tests;
