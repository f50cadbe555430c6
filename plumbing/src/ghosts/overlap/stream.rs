//! What of one tree is in others, as it is found: each pair of equal files is told while folders are still walked.
//!
//! How files come together is said in [`crate::ghosts::stream`]. Files with one full hash are two chains, one of each
//! side; a file that comes to one of them is told with each of the other. What of the first tree is in no other is known
//! when all was walked, and told last.
//!
//! Invariants: a pair is told once, and means equal full hashes; all pairs are told. Their order depends on threads.

use hashbrown::HashTable;

use crate::error::{Error, Result};
use crate::ghosts::forest::Forest;
use crate::ghosts::hashing::Crew;
use crate::ghosts::names::Name;
use crate::ghosts::stream::meet::Chains;
use crate::ghosts::stream::{Hear, Sides, examine};
use crate::ghosts::table::{Select, Table};
use crate::object::ObjectId;
use crate::progress::Progress;

/// Answers that are handed on at once.
const ANSWERS_MAX: usize = 4096;

/// Something that is known of a file of the first tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The file.
    pub file: Name,
    /// Its bytes.
    pub size: u64,
    /// A file of another tree with the same bytes; none where none has them.
    pub twin: Option<Twin>,
    /// Whether this is the first answer for the file.
    pub is_first: bool,
}

/// A file with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// Where it is.
    pub name: Name,
    /// The plain hash of the bytes.
    pub fullhash: ObjectId,
}

/// Looks for the files of the first of `forests` in all others. Hands answers to `found`, as soon as they are known, some
/// at a time; what could not be looked at or read to `failed`. What either fails with ends the job. Fails, too, where the
/// root of a forest cannot be read.
pub fn stream(
    forests: &[&dyn Forest],
    select: &Select,
    threads: usize,
    progress: &Progress,
    found: &mut dyn FnMut(Vec<Answer>) -> Result<()>,
    failed: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<()> {
    let mut pairs = Pairs {
        contents: HashTable::new(),
        chains: Chains::default(),
        is_common: Vec::new(),
        answers: Vec::new(),
        found,
    };
    let known = &mut |table: &Table, rows: &[usize]| pairs.known(table, rows);
    let crew = Crew::reading(forests, threads, progress);
    let examined = examine(crew, select, Sides::Two, Hear { known, failed })?;
    let table = &examined.table;
    pairs.is_common.resize(table.len(), false);
    for row in 0..table.len() {
        if table.forest(row) == 0 && !pairs.is_common[row] && !examined.failed.contains(&row) {
            let file = table.full_name(row);
            let size = table.size(row);
            pairs.tell(Answer {
                file,
                size,
                twin: None,
                is_first: true,
            })?;
        }
    }
    pairs.flush()
}

/// In place of a row: there is none. A table has no row of this number.
const NONE: u32 = u32::MAX;

/// The files with one content: the last row of each side, or [`NONE`]. There may be a million contents.
struct Content([u32; 2]);

impl Content {
    /// Any row with it.
    fn any(&self) -> usize {
        // One side has a row always, and rows are less than none.
        self.0[0].min(self.0[1]) as usize
    }

    /// The last row of a side.
    fn last(&self, side: usize) -> Option<u32> {
        Some(self.0[side]).filter(|last| *last != NONE)
    }
}

struct Pairs<'a> {
    contents: HashTable<Content>,
    chains: Chains,
    /// Rows of the first tree that were found in others.
    is_common: Vec<bool>,
    answers: Vec<Answer>,
    found: &'a mut dyn FnMut(Vec<Answer>) -> Result<()>,
}

impl Pairs<'_> {
    /// Tells of rows whose hash is known now.
    fn known(&mut self, table: &Table, rows: &[usize]) -> Result<()> {
        self.chains.grow(table.len());
        self.is_common.resize(table.len(), false);
        for &row in rows {
            self.pairs(table, row)?;
        }
        self.flush()
    }

    /// Adds a file to those of its content, and tells of it with each of the other side.
    fn pairs(&mut self, table: &Table, row: usize) -> Result<()> {
        let Some(fullhash) = table.hash(row) else { return Ok(()) };
        let side = Sides::Two.of(table.forest(row));
        let entry = self.contents.entry(
            fullhash.prefix(),
            |known| table.hash_ref(known.any()) == Some(&fullhash),
            |known| table.hash_ref(known.any()).map_or(0, ObjectId::prefix),
        );
        let mut entry = entry.or_insert(Content([NONE, NONE]));
        let content = entry.get_mut();
        let others = content.last(1 - side);
        content.0[side] = self.chains.push(row, content.last(side));
        let mut at = others;
        while let Some(other) = at {
            at = self.chains.before(other);
            let (file, twin) = match side {
                0 => (row, other as usize),
                _ => (other as usize, row),
            };
            let is_first = !std::mem::replace(&mut self.is_common[file], true);
            self.tell(Answer {
                file: table.full_name(file),
                size: table.size(file),
                twin: Some(Twin {
                    name: table.full_name(twin),
                    fullhash,
                }),
                is_first,
            })?;
        }
        Ok(())
    }

    fn tell(&mut self, answer: Answer) -> Result<()> {
        self.answers.push(answer);
        match self.answers.len() < ANSWERS_MAX {
            true => Ok(()),
            false => self.flush(),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self.answers.is_empty() {
            true => Ok(()),
            false => (self.found)(std::mem::take(&mut self.answers)),
        }
    }
}
