//! Duplicates as they are found: each file that equals one met before is told while folders are still walked.
//!
//! How files come together is said in [`crate::ghosts::stream`]. The first file with a full hash stands for it; each later
//! one is a [`Match`].
//!
//! Invariants: what is told stays true, since groups only grow; the same files are read as for whole groups, each once;
//! the matches of one content name the same first file, so that together they are the group. Their order depends on
//! threads. Other names of an inode are no matches.

use hashbrown::HashTable;

use super::{Name, Select};
use crate::error::{Error, Result};
use crate::ghosts::forest::Forest;
use crate::ghosts::hashing::Crew;
use crate::ghosts::stream::{Hear, Sides, examine};
use crate::ghosts::table::Table;
use crate::object::ObjectId;
use crate::progress::Progress;

/// A file with the bytes of one that was met before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Bytes of each.
    pub size: u64,
    /// The plain hash of the bytes.
    pub fullhash: ObjectId,
    /// The file.
    pub file: Name,
    /// The first file that was met with these bytes.
    pub first: Name,
    /// Whether this is the first match of that one: a group begins.
    pub begins: bool,
}

/// Hands files that equal one met before to `found`, as soon as that is known, some at a time; what could not be looked
/// at or read to `failed`. What either fails with ends the job. Fails, too, where the root of a forest cannot be read.
pub fn stream(
    forests: &[&dyn Forest],
    select: &Select,
    threads: usize,
    progress: &Progress,
    found: &mut dyn FnMut(Vec<Match>) -> Result<()>,
    failed: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<()> {
    let mut matches = Matches::default();
    let known = &mut |table: &Table, rows: &[usize]| {
        let matches = matches.among(table, rows);
        match matches.is_empty() {
            true => Ok(()),
            false => found(matches),
        }
    };
    let crew = Crew::reading(forests, threads, progress);
    examine(crew, select, Sides::One, Hear { known, failed }).map(drop)
}

#[derive(Default)]
struct Matches {
    /// The first row of each content.
    contents: HashTable<u32>,
    /// First rows of contents of which a match was told.
    has_match: Vec<bool>,
}

impl Matches {
    /// What is told of rows whose hash is known now.
    fn among(&mut self, table: &Table, rows: &[usize]) -> Vec<Match> {
        self.has_match.resize(table.len(), false);
        rows.iter().filter_map(|&row| self.matched(table, row)).collect()
    }

    /// What a file equals, if that was met before; else it is the first.
    fn matched(&mut self, table: &Table, row: usize) -> Option<Match> {
        let fullhash = table.hash(row)?;
        let entry = self.contents.entry(
            fullhash.prefix(),
            |first| table.hash_ref(*first as usize) == Some(&fullhash),
            // Digests are uniform: eight bytes of them spread as well as a hash of them would.
            |first| table.hash_ref(*first as usize).map_or(0, ObjectId::prefix),
        );
        // A table has no more rows than that.
        let first = *entry.or_insert(row as u32).get() as usize;
        (first != row).then(|| Match {
            size: table.size(row),
            fullhash,
            file: table.full_name(row),
            first: table.full_name(first),
            begins: !std::mem::replace(&mut self.has_match[first], true),
        })
    }
}
