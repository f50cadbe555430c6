//! What was seen goes into a catalogue: many directories in one short transaction.

use bstr::BString;
use hashbrown::{HashMap, HashSet};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, TransactionBehavior, params};

use super::read::id_bytes;
use super::schema::Nanos;
use super::{Catalogue, ContentId, join_path, split_path};
use crate::error::Result;
use crate::ghosts::fasthash::FastHash;
use crate::object::ObjectId;
use crate::repository::config::Trust;
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
    /// The sampled hash, which is still that of the content that is known to be there.
    Same(ContentId, FastHash),
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
        self.write(host, |writer| looks.iter().try_for_each(|look| writer.look(look)))
    }

    /// Remembers that a tree was scanned, and how far its stat values are to be trusted, where somebody decided it.
    pub fn keep_root(&mut self, host: &str, path: &[u8], trust: Option<Trust>, scanned: Timestamp) -> Result<()> {
        let trust = trust.map(|trust| match trust {
            Trust::Stat => "stat",
            Trust::Hash => "hash",
        });
        self.write(host, |writer| {
            writer
                .statement(
                    "INSERT INTO root (host, path, trust, scanned) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT DO UPDATE SET trust = coalesce(excluded.trust, trust), scanned = excluded.scanned",
                )?
                .execute(params![writer.host, path, trust, Nanos::from(scanned)])?;
            Ok(())
        })?;
        Ok(())
    }

    /// The directories at and below `root` that hold files as far as is known, and were not looked at since.
    pub fn not_seen_since(&self, host: &str, root: &[u8], since: Timestamp) -> Result<Vec<BString>> {
        let (low, high) = below(root);
        let find = || -> rusqlite::Result<Vec<BString>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT d.path FROM host h JOIN directory d ON d.host = h.id \
                 WHERE h.name = ?1 AND (d.path = ?2 OR d.path >= ?3 AND d.path < ?4) AND d.seen < ?5 \
                 AND EXISTS (SELECT 1 FROM place p WHERE p.directory = d.id AND p.seen_last < ?5)",
            )?;
            let sought = params![host, root, low.as_slice(), high.as_slice(), Nanos::from(since)];
            statement
                .query_map(sought, |row| Ok(row.get_ref(0)?.as_blob()?.into()))?
                .collect()
        };
        find().map_err(self.failed("read"))
    }

    /// Moves all files of a directory that is gone to the past; gives how many there were.
    pub fn lose_folder(&mut self, host: &str, path: &[u8], looked: Timestamp) -> Result<u64> {
        let looked = Nanos::from(looked);
        let recorded = self.write(host, |writer| {
            let Some(directory) = writer.directory(&path.into())? else {
                return Ok(());
            };
            writer.recorded.gone += writer.all_gone(directory, looked)?;
            writer.forget_trees(&path.into())
        })?;
        Ok(recorded.gone)
    }

    /// One transaction: all that `change` does, or nothing.
    pub(super) fn write(
        &mut self,
        host: &str,
        change: impl FnOnce(&mut Writer<'_>) -> rusqlite::Result<()>,
    ) -> Result<Recorded> {
        let path = &self.path;
        let connection = &mut self.connection;
        let run = || -> rusqlite::Result<Recorded> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut writer = Writer::new(&transaction, host)?;
            change(&mut writer)?;
            let recorded = writer.recorded;
            drop(writer);
            transaction.commit()?;
            Ok(recorded)
        };
        run().map_err(super::open::failed("write", path))
    }
}

/// The bounds of all paths below a directory: the lower one is in, the upper one is not.
pub(super) fn below(path: &[u8]) -> (BString, BString) {
    let low = join_path(path, b"");
    let mut high = low.clone();
    // The slash is always there, and what follows it in the order of bytes is 0.
    if let Some(last) = high.last_mut() {
        *last = b'0';
    }
    (low, high)
}

/// A directory that was never looked at as a whole.
pub(super) const NEVER: Nanos = Nanos(i64::MIN);

impl std::ops::AddAssign for Recorded {
    fn add_assign(&mut self, other: Self) {
        self.new_contents += other.new_contents;
        self.new_places += other.new_places;
        self.gone += other.gone;
    }
}

/// What one transaction does.
pub(super) struct Writer<'c> {
    pub(super) connection: &'c Connection,
    pub(super) host: i64,
    directories: HashMap<BString, i64>,
    /// Directories that are known to be no longer those of a stored tree.
    forgotten: HashSet<BString>,
    pub(super) recorded: Recorded,
}

/// What a place held before.
pub(super) struct Before {
    pub(super) content: Option<i64>,
    pub(super) mtime: Option<Nanos>,
    pub(super) seen_first: Nanos,
    pub(super) seen_last: Nanos,
}

/// What is said of a content.
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

impl<'c> Writer<'c> {
    pub(super) fn new(connection: &'c Connection, host: &str) -> rusqlite::Result<Self> {
        let found = connection
            .query_row("SELECT id FROM host WHERE name = ?1", [host], |row| row.get(0))
            .optional()?;
        let host = match found {
            Some(id) => id,
            None => {
                connection.execute("INSERT INTO host (name) VALUES (?1)", [host])?;
                connection.last_insert_rowid()
            }
        };
        Ok(Self {
            host,
            ..Self::nowhere(connection)
        })
    }

    /// For what belongs to no machine.
    pub(super) fn nowhere(connection: &'c Connection) -> Self {
        Self {
            connection,
            host: 0,
            directories: HashMap::new(),
            forgotten: HashSet::new(),
            recorded: Recorded::default(),
        }
    }

    pub(super) fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.connection.prepare_cached(sql)
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
        let id = self.connection.last_insert_rowid();
        self.directories.insert(path.clone(), id);
        self.forget_trees(path)?;
        Ok(id)
    }

    pub(super) fn before(&self, directory: i64, name: &[u8]) -> rusqlite::Result<Option<Before>> {
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
        let (content, fasthash) = self.facts(file, mtime, looked)?;
        let (verified_full, verified_fast) = match file.facts {
            Facts::Full(..) => (Some(looked), Some(looked)),
            Facts::Same(..) | Facts::Fast(_) => (None, Some(looked)),
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
            file.name.as_slice(),
            content,
            fasthash,
            file.stat.size.cast_signed(),
            mtime,
            settled.map(|settled| settled.0),
            settled.map(|settled| settled.1),
            seen_first,
            looked,
            verified_full,
            verified_fast,
        ])?;
        Ok(())
    }

    /// The number of a file's content, or, where that is not known, its fast hash.
    fn facts(
        &mut self,
        file: &FileSeen,
        mtime: Nanos,
        looked: Nanos,
    ) -> rusqlite::Result<(Option<i64>, Option<[u8; 17]>)> {
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
            size: file.stat.size,
            fasthash: *fasthash,
            lastmod: Some(mtime),
            verified_full: Some(looked),
            verified_fast: fasthash.map(|_| looked),
            found_first: looked,
            found_last: looked,
        };
        Ok((Some(self.content(&facts)?), None))
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
    fn all_gone(&self, directory: i64, looked: Nanos) -> rusqlite::Result<u64> {
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
