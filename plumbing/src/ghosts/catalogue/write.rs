//! What was seen goes into a catalogue: many directories in one short transaction.

use bstr::BString;
use hashbrown::{HashMap, HashSet};
use rusqlite::{CachedStatement, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::read::id_bytes;
use super::schema::Nanos;
use super::{Catalogue, split_path};
use crate::error::Result;
use crate::ghosts::fasthash::FastHash;
use crate::object::ObjectId;
use crate::time::Timestamp;
use crate::walk::Stat;

/// What a look at one directory found.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The absolute path of the directory.
    pub path: BString,
    /// When it was looked at, by the clock that stamps files.
    pub looked: Timestamp,
    /// Files that are new or changed, or of which more is known than before.
    pub files: Vec<FileSeen>,
    /// Names that were known and are no longer those of files here.
    pub gone: Vec<BString>,
    /// Whether every other file that is known to be here was looked at and is as it was.
    pub complete: bool,
}

/// A file that was looked at.
#[derive(Clone, Debug)]
pub struct FileSeen {
    /// Its name in the directory.
    pub name: BString,
    /// How it looked.
    pub stat: Stat,
    /// Whether a later change would show in its stat values ([`Cutoff::is_settled`](crate::walk::cache::Cutoff)).
    pub settled: bool,
    /// What is known of its content.
    pub facts: Facts,
}

/// What was computed of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facts {
    /// Both hashes, or the full one alone.
    Full(ObjectId, Option<FastHash>),
    /// The sampled one alone: which content it is stays open.
    Fast(FastHash),
}

/// What [`Catalogue::record`] added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Contents that were not known before.
    pub new_contents: u64,
    /// Files whose content is now at a path where it was not known to be.
    pub new_places: u64,
    /// Files that moved to the past.
    pub gone: u64,
}

impl Catalogue {
    /// Adds what was seen on a machine, all of it or nothing.
    pub fn record(&mut self, host: &str, looks: &[Look]) -> Result<Recorded> {
        let path = self.path.clone();
        let mut write = || -> rusqlite::Result<Recorded> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let recorded = Writer::new(&transaction, host)?.looks(looks)?;
            transaction.commit()?;
            Ok(recorded)
        };
        write().map_err(super::open::failed("write", &path))
    }
}

/// A directory that was never looked at as a whole.
const NEVER: Nanos = Nanos(i64::MIN);

/// One transaction.
pub(super) struct Writer<'c> {
    transaction: &'c Transaction<'c>,
    host: i64,
    directories: HashMap<BString, i64>,
    /// Directories that are known to be no longer those of a stored tree.
    forgotten: HashSet<BString>,
    recorded: Recorded,
}

/// What a place held before.
struct Before {
    content: Option<i64>,
    mtime: Nanos,
    seen_first: Nanos,
    seen_last: Nanos,
}

impl<'c> Writer<'c> {
    pub(super) fn new(transaction: &'c Transaction<'c>, host: &str) -> rusqlite::Result<Self> {
        let found = transaction
            .query_row("SELECT id FROM host WHERE name = ?1", [host], |row| row.get(0))
            .optional()?;
        let host = match found {
            Some(id) => id,
            None => {
                transaction.execute("INSERT INTO host (name) VALUES (?1)", [host])?;
                transaction.last_insert_rowid()
            }
        };
        Ok(Self {
            transaction,
            host,
            directories: HashMap::new(),
            forgotten: HashSet::new(),
            recorded: Recorded::default(),
        })
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.transaction.prepare_cached(sql)
    }

    fn looks(mut self, looks: &[Look]) -> rusqlite::Result<Recorded> {
        for look in looks {
            self.look(look)?;
        }
        Ok(self.recorded)
    }

    fn look(&mut self, look: &Look) -> rusqlite::Result<()> {
        let looked = Nanos::from(look.looked);
        let known = self.directory(&look.path)?;
        let directory = match known {
            Some(id) => id,
            // A directory without files needs no row.
            None if look.files.is_empty() => return Ok(()),
            None => self.new_directory(&look.path, if look.complete { looked } else { NEVER })?,
        };
        for name in &look.gone {
            self.gone(directory, name, looked)?;
        }
        for file in &look.files {
            let before = match known {
                Some(_) => self.before(directory, &file.name)?,
                None => None,
            };
            self.file(directory, file, looked, before, known.is_some())?;
        }
        if look.complete && known.is_some() {
            self.statement("UPDATE directory SET seen = max(seen, ?2) WHERE id = ?1")?
                .execute(params![directory, looked])?;
        }
        if known.is_some() && !(look.files.is_empty() && look.gone.is_empty()) {
            self.forget_trees(&look.path)?;
        }
        Ok(())
    }

    pub(super) fn directory(&mut self, path: &BString) -> rusqlite::Result<Option<i64>> {
        if let Some(id) = self.directories.get(path) {
            return Ok(Some(*id));
        }
        let id: Option<i64> = self
            .statement("SELECT id FROM directory WHERE host = ?1 AND path = ?2")?
            .query_row(params![self.host, path.as_slice()], |row| row.get(0))
            .optional()?;
        if let Some(id) = id {
            self.directories.insert(path.clone(), id);
        }
        Ok(id)
    }

    pub(super) fn new_directory(&mut self, path: &BString, seen: Nanos) -> rusqlite::Result<i64> {
        self.statement("INSERT INTO directory (host, path, seen) VALUES (?1, ?2, ?3)")?
            .execute(params![self.host, path.as_slice(), seen])?;
        let id = self.transaction.last_insert_rowid();
        self.directories.insert(path.clone(), id);
        self.forget_trees(path)?;
        Ok(id)
    }

    fn before(&self, directory: i64, name: &[u8]) -> rusqlite::Result<Option<Before>> {
        self.statement(
            "SELECT p.content, p.mtime, p.seen_first, max(p.seen_last, d.seen) \
             FROM place p JOIN directory d ON d.id = p.directory WHERE p.directory = ?1 AND p.name = ?2",
        )?
        .query_row(params![directory, name], |row| {
            Ok(Before {
                content: row.get(0)?,
                mtime: row.get(1)?,
                seen_first: row.get(2)?,
                seen_last: row.get(3)?,
            })
        })
        .optional()
    }

    /// A file that is there now.
    fn file(
        &mut self,
        directory: i64,
        file: &FileSeen,
        looked: Nanos,
        before: Option<Before>,
        may_have_been: bool,
    ) -> rusqlite::Result<()> {
        let mtime = Nanos::from(file.stat.mtime);
        let (content, fasthash) = match &file.facts {
            Facts::Full(fullhash, fasthash) => (
                Some(self.content(fullhash, file.stat.size, *fasthash, mtime, looked)?),
                None,
            ),
            Facts::Fast(fasthash) => (None, Some(fasthash.to_bytes())),
        };
        let same = before.as_ref().filter(|before| before.content == content);
        let mut seen_first = same.map_or(looked, |before| before.seen_first);
        if let Some(before) = before.as_ref().filter(|before| before.content != content) {
            self.past(directory, &file.name, before, looked)?;
        }
        if same.is_none() {
            self.recorded.new_places += 1;
            if let (true, Some(content)) = (may_have_been, content) {
                // Found again: it was known to be here before.
                let earlier = self.unpast(directory, &file.name, content)?;
                seen_first = earlier.map_or(seen_first, |earlier| earlier.min(seen_first));
            }
        }
        let exact = [file.stat.mtime, file.stat.ctime].into_iter().all(Nanos::is_exact);
        let settled = (file.settled && exact).then(|| (Nanos::from(file.stat.ctime), file.stat.ino.cast_signed()));
        self.statement(
            "INSERT INTO place (directory, name, content, fasthash, size, mtime, ctime, inode, seen_first, seen_last) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
             ON CONFLICT DO UPDATE SET content = excluded.content, fasthash = excluded.fasthash, size = excluded.size, \
             mtime = excluded.mtime, ctime = excluded.ctime, inode = excluded.inode, \
             seen_first = excluded.seen_first, seen_last = excluded.seen_last",
        )?
        .execute(params![
            directory,
            file.name.as_slice(),
            content,
            fasthash,
            file.stat.size.cast_signed(),
            mtime,
            settled.map(|settled| settled.0),
            settled.map(|settled| settled.1),
            seen_first,
            looked,
        ])?;
        Ok(())
    }

    /// A content that was read; gives its number.
    fn content(
        &mut self,
        fullhash: &ObjectId,
        size: u64,
        fasthash: Option<FastHash>,
        mtime: Nanos,
        looked: Nanos,
    ) -> rusqlite::Result<i64> {
        let fast = fasthash.map(FastHash::to_bytes);
        let updated: Option<i64> = self
            .statement(
                "UPDATE content SET fasthash = coalesce(?2, fasthash), lastmod = min(coalesce(lastmod, ?3), ?3), \
                 verified_full = max(coalesce(verified_full, ?4), ?4), \
                 verified_fast = iif(?2 IS NULL, verified_fast, max(coalesce(verified_fast, ?4), ?4)), \
                 found_first = min(found_first, ?4), found_last = max(found_last, ?4) \
                 WHERE fullhash = ?1 RETURNING id",
            )?
            .query_row(params![id_bytes(fullhash), fast, mtime, looked], |row| row.get(0))
            .optional()?;
        if let Some(id) = updated {
            return Ok(id);
        }
        self.statement(
            "INSERT INTO content (fullhash, size, fasthash, lastmod, verified_full, verified_fast, found_first, \
             found_last) VALUES (?1, ?5, ?2, ?3, ?4, iif(?2 IS NULL, NULL, ?4), ?4, ?4)",
        )?
        .execute(params![id_bytes(fullhash), fast, mtime, looked, size.cast_signed()])?;
        self.recorded.new_contents += 1;
        Ok(self.transaction.last_insert_rowid())
    }

    /// Moves a file that is no longer there to the past.
    fn gone(&mut self, directory: i64, name: &[u8], looked: Nanos) -> rusqlite::Result<()> {
        let Some(before) = self.before(directory, name)? else {
            return Ok(());
        };
        self.past(directory, name, &before, looked)?;
        self.statement("DELETE FROM place WHERE directory = ?1 AND name = ?2")?
            .execute(params![directory, name])?;
        self.recorded.gone += 1;
        Ok(())
    }

    fn past(&self, directory: i64, name: &[u8], before: &Before, looked: Nanos) -> rusqlite::Result<()> {
        let Some(content) = before.content else {
            // Which content it was is not known, so there is nothing to remember.
            return Ok(());
        };
        self.statement(
            "INSERT INTO past (content, directory, name, mtime, seen_first, seen_last, looked) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT DO UPDATE SET mtime = excluded.mtime, seen_first = min(seen_first, excluded.seen_first), \
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
    fn unpast(&self, directory: i64, name: &[u8], content: i64) -> rusqlite::Result<Option<Nanos>> {
        self.statement("DELETE FROM past WHERE content = ?1 AND directory = ?2 AND name = ?3 RETURNING seen_first")?
            .query_row(params![content, directory, name], |row| row.get(0))
            .optional()
    }

    /// What is here is no longer what a stored tree says, neither here nor in the directories above.
    fn forget_trees(&mut self, path: &BString) -> rusqlite::Result<()> {
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
