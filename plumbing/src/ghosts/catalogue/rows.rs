//! The rows of files and contents, as one transaction writes them.
//!
//! Invariants: a fact about a content is in its own row only; what a place held before goes to the past when something
//! else is found there, and comes back from it when it is found again.

use bstr::BString;
use rusqlite::{OptionalExtension as _, params};

use super::read::id_bytes;
use super::schema::Nanos;
use super::split_path;
use super::write::{Facts, FileSeen, Writer};
use crate::ghosts::fasthash::FastHash;
use crate::object::ObjectId;

/// Contents that a transaction remembers: about a megabyte.
const CONTENTS_MAX: usize = 8192;

/// What a place held before.
pub(super) struct Before {
    pub(super) content: Option<i64>,
    pub(super) mtime: Option<Nanos>,
    pub(super) seen_first: Nanos,
    pub(super) seen_last: Nanos,
}

/// A file that is there now.
pub(super) struct Found<'a> {
    pub(super) name: &'a [u8],
    pub(super) size: u64,
    pub(super) mtime: Nanos,
    /// ctime and inode, where a later change would show in them.
    pub(super) settled: Option<(Nanos, i64)>,
    pub(super) facts: Facts,
}

impl<'a> From<&'a FileSeen> for Found<'a> {
    fn from(seen: &'a FileSeen) -> Self {
        let exact = [seen.stat.mtime, seen.stat.ctime].into_iter().all(Nanos::is_exact);
        Self {
            name: &seen.name,
            size: seen.stat.size,
            mtime: seen.stat.mtime.into(),
            settled: (seen.settled && exact).then(|| (seen.stat.ctime.into(), seen.stat.ino.cast_signed())),
            facts: seen.facts,
        }
    }
}

/// What is said of a content.
#[derive(Clone, Copy)]
pub(super) struct ContentFacts {
    pub(super) fullhash: ObjectId,
    pub(super) size: u64,
    pub(super) fasthash: Option<FastHash>,
    pub(super) lastmod: Option<Nanos>,
    pub(super) verified_full: Option<Nanos>,
    pub(super) verified_fast: Option<Nanos>,
    pub(super) found_first: Nanos,
    pub(super) found_last: Nanos,
}

impl ContentFacts {
    /// Whether the other says nothing that this did not: then the row of the content stays as it is.
    fn covers(&self, other: &Self) -> bool {
        self.size == other.size
            && self.fasthash >= other.fasthash
            && self
                .lastmod
                .is_some_and(|own| other.lastmod.is_none_or(|other| own <= other))
            && self.verified_full >= other.verified_full
            && self.verified_fast >= other.verified_fast
            && self.found_first <= other.found_first
            && self.found_last >= other.found_last
    }
}

impl Writer<'_> {
    /// A file that is there now. `is_old`: there may be rows about it.
    pub(super) fn found(
        &mut self,
        directory: i64,
        file: &Found<'_>,
        looked: Nanos,
        is_old: bool,
    ) -> rusqlite::Result<()> {
        let before = match is_old {
            true => self.before(directory, file.name)?,
            false => None,
        };
        let (content, fasthash) = self.facts(file, looked)?;
        let (verified_full, verified_fast) = match file.facts {
            Facts::Full(..) => (Some(looked), Some(looked)),
            Facts::Same(..) | Facts::Fast(_) => (None, Some(looked)),
        };
        let same = before.as_ref().filter(|before| before.content == content);
        let mut seen_first = same.map_or(looked, |before| before.seen_first);
        if let Some(before) = before.as_ref().filter(|before| before.content != content) {
            self.past(directory, file.name, before, looked)?;
        }
        if same.is_none() {
            self.recorded.new_places += 1;
            if let (true, Some(content)) = (is_old, content) {
                // Found again: it was known to be here before.
                let earlier = self.unpast(directory, file.name, content)?;
                seen_first = earlier.map_or(seen_first, |earlier| earlier.min(seen_first));
            }
        }
        self.statement(
            "INSERT INTO place (directory, name, content, fasthash, size, mtime, ctime, inode, seen_first, seen_last, \
             verified_full, verified_fast) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT DO UPDATE SET content = excluded.content, fasthash = excluded.fasthash, size = excluded.size, \
             mtime = excluded.mtime, ctime = excluded.ctime, inode = excluded.inode, \
             seen_first = excluded.seen_first, seen_last = excluded.seen_last, \
             verified_full = iif(content IS excluded.content, coalesce(excluded.verified_full, verified_full), \
             excluded.verified_full), verified_fast = excluded.verified_fast",
        )?
        .execute(params![
            directory,
            file.name,
            content,
            fasthash,
            file.size.cast_signed(),
            file.mtime,
            file.settled.map(|settled| settled.0),
            file.settled.map(|settled| settled.1),
            seen_first,
            looked,
            verified_full,
            verified_fast,
        ])?;
        Ok(())
    }

    /// The number of a file's content, or, where that is not known, its fast hash.
    fn facts(&mut self, file: &Found<'_>, looked: Nanos) -> rusqlite::Result<(Option<i64>, Option<[u8; 17]>)> {
        let (fullhash, fasthash) = match &file.facts {
            Facts::Full(fullhash, fasthash) => (fullhash, fasthash),
            Facts::Fast(fasthash) => return Ok((None, Some(fasthash.to_bytes()))),
            Facts::Same(content, fasthash) => {
                self.statement(
                    "UPDATE content SET fasthash = coalesce(fasthash, ?2), found_last = max(found_last, ?3), \
                     verified_fast = max(coalesce(verified_fast, ?3), ?3) WHERE id = ?1",
                )?
                .execute(params![content.0, fasthash.to_bytes(), looked])?;
                return Ok((Some(content.0), None));
            }
        };
        let facts = ContentFacts {
            fullhash: *fullhash,
            size: file.size,
            fasthash: *fasthash,
            lastmod: Some(file.mtime),
            verified_full: Some(looked),
            verified_fast: fasthash.map(|_| looked),
            found_first: looked,
            found_last: looked,
        };
        if let Some((id, said)) = self.contents.get(fullhash)
            && said.covers(&facts)
        {
            return Ok((Some(*id), None));
        }
        let id = self.content(&facts)?;
        if self.contents.len() >= CONTENTS_MAX {
            self.contents.clear();
        }
        self.contents.insert(*fullhash, (id, facts));
        Ok((Some(id), None))
    }

    /// Adds what is known of a content; gives its number.
    pub(super) fn content(&mut self, facts: &ContentFacts) -> rusqlite::Result<i64> {
        let values = params![
            id_bytes(&facts.fullhash),
            facts.size.cast_signed(),
            facts.fasthash.map(FastHash::to_bytes),
            facts.lastmod,
            facts.verified_full,
            facts.verified_fast,
            facts.found_first,
            facts.found_last,
        ];
        let added = self
            .statement(
                "INSERT INTO content (fullhash, size, fasthash, lastmod, verified_full, verified_fast, found_first, \
                 found_last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            )?
            .execute(values)?;
        if added > 0 {
            self.recorded.new_contents += 1;
            return Ok(self.connection.last_insert_rowid());
        }
        // max and min of anything and NULL are NULL.
        self.statement(
            "UPDATE content SET fasthash = coalesce(max(fasthash, ?3), fasthash, ?3), \
             lastmod = coalesce(min(lastmod, ?4), lastmod, ?4), \
             verified_full = coalesce(max(verified_full, ?5), verified_full, ?5), \
             verified_fast = coalesce(max(verified_fast, ?6), verified_fast, ?6), \
             found_first = min(found_first, ?7), found_last = max(found_last, ?8) \
             WHERE fullhash = ?1 AND size = ?2 RETURNING id",
        )?
        .query_row(values, |row| row.get(0))
    }

    /// Moves a file that is no longer there to the past.
    pub(super) fn gone(&mut self, directory: i64, name: &[u8], looked: Nanos) -> rusqlite::Result<()> {
        let Some(before) = self.before(directory, name)? else {
            return Ok(());
        };
        self.past(directory, name, &before, looked)?;
        self.statement("DELETE FROM place WHERE directory = ?1 AND name = ?2")?
            .execute(params![directory, name])?;
        self.recorded.gone += 1;
        Ok(())
    }

    /// Moves all files of a directory to the past; gives how many there were.
    pub(super) fn all_gone(&self, directory: i64, looked: Nanos) -> rusqlite::Result<u64> {
        self.statement("DELETE FROM memo WHERE directory = ?1")?
            .execute([directory])?;
        self.statement(
            "INSERT INTO past (content, directory, name, mtime, seen_first, seen_last, looked) \
             SELECT p.content, p.directory, p.name, p.mtime, p.seen_first, max(p.seen_last, d.seen), ?2 \
             FROM place p JOIN directory d ON d.id = p.directory WHERE p.directory = ?1 AND p.content IS NOT NULL \
             ON CONFLICT DO UPDATE SET mtime = iif(excluded.seen_last < seen_last, mtime, excluded.mtime), seen_first = min(seen_first, excluded.seen_first), \
             seen_last = max(seen_last, excluded.seen_last), looked = max(looked, excluded.looked)",
        )?
        .execute(params![directory, looked])?;
        let gone = self
            .statement("DELETE FROM place WHERE directory = ?1")?
            .execute([directory])?;
        Ok(gone as u64)
    }

    pub(super) fn past(&self, directory: i64, name: &[u8], before: &Before, looked: Nanos) -> rusqlite::Result<()> {
        let Some(content) = before.content else {
            // Which content it was is not known, so there is nothing to remember.
            return Ok(());
        };
        self.statement(
            "INSERT INTO past (content, directory, name, mtime, seen_first, seen_last, looked) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT DO UPDATE SET mtime = iif(excluded.seen_last < seen_last, mtime, excluded.mtime), seen_first = min(seen_first, excluded.seen_first), \
             seen_last = max(seen_last, excluded.seen_last), looked = max(looked, excluded.looked)",
        )?
        .execute(params![
            content,
            directory,
            name,
            before.mtime,
            before.seen_first,
            before.seen_last,
            looked
        ])?;
        Ok(())
    }

    /// Takes a content out of the past of a place; gives when it was first seen there.
    pub(super) fn unpast(&self, directory: i64, name: &[u8], content: i64) -> rusqlite::Result<Option<Nanos>> {
        self.statement("DELETE FROM past WHERE content = ?1 AND directory = ?2 AND name = ?3 RETURNING seen_first")?
            .query_row(params![content, directory, name], |row| row.get(0))
            .optional()
    }

    /// What is here is no longer what a stored tree says, neither here nor in the directories above.
    pub(super) fn forget_trees(&mut self, path: &BString) -> rusqlite::Result<()> {
        let mut path: &[u8] = path;
        while self.forgotten.insert(path.into()) {
            self.statement("UPDATE directory SET tree = NULL WHERE host = ?1 AND path = ?2 AND tree IS NOT NULL")?
                .execute(params![self.host, path])?;
            let (above, _) = split_path(path);
            if above.len() == path.len() {
                break;
            }
            path = above;
        }
        Ok(())
    }
}
