//! Snapshots of real directories.
