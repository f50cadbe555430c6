//! Data files: append-only files of frames (object-format.md, "Data files").
//!
//! A frame carries objects, compressed together, and describes itself: the ids and lengths of its objects stand
//! uncompressed in front of the payload, so that an index can be rebuilt without decompressing anything. A commit
//! record closes a group of frames with a strong hash over their headers, each of which holds a strong hash of its
//! frame. A reader trusts what lies before the last valid commit record and nothing behind it.
//!
//! A delta frame ([`delta`]) holds objects of which each is compressed against earlier ones.
//!
//! Invariants:
//! - Bytes before a commit record never change, and a data file never becomes shorter than its last one.
//! - A commit record is written only after the one before it was made durable. So of the groups in a file only the
//!   last may have lost something in a crash, and only that one is read in full when nothing else vouches for it.

pub mod delta;
pub mod format;
pub mod frame;
pub mod read;
pub mod table;
pub mod verify;
pub mod write;
