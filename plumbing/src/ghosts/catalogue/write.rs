//! What was seen goes into a catalogue: many directories in one short transaction.

use bstr::BString;
use hashbrown::{HashMap, HashSet};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, TransactionBehavior, params};

use super::memo::{Change, Memo};
use super::rows::{Before, ContentFacts};
use super::schema::Nanos;
use super::{Catalogue, ContentId, join_path};
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
            writer.unfold_directory(directory, path)?;
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
        self.end_reads()?;
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
    /// Contents that this transaction wrote last, and what was said of them: copies of one content lie close together.
    pub(super) contents: HashMap<ObjectId, (i64, ContentFacts)>,
    /// Directories that are known to be no longer those of a stored tree.
    pub(super) forgotten: HashSet<BString>,
    pub(super) recorded: Recorded,
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
        Ok(Self::at_host(connection, host))
    }

    /// For a machine by its number.
    pub(super) fn at_host(connection: &'c Connection, host: i64) -> Self {
        Self {
            host,
            ..Self::nowhere(connection)
        }
    }

    /// For what belongs to no machine.
    pub(super) fn nowhere(connection: &'c Connection) -> Self {
        Self {
            connection,
            host: 0,
            directories: HashMap::new(),
            contents: HashMap::new(),
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
        let mut is_old = false;
        if known.is_some() {
            self.unfold_directory(directory, &look.path)?;
            is_old = self.has_rows(directory)?;
        }
        for name in &look.gone {
            self.gone(directory, name, looked)?;
        }
        for file in &look.files {
            self.found(directory, &file.into(), looked, is_old)?;
        }
        self.keep_memos(directory, known.is_none(), look)?;
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

    /// The memos of a directory follow what is recorded of its files.
    fn keep_memos(&self, directory: i64, is_new: bool, look: &Look) -> rusqlite::Result<()> {
        let mut packed = Vec::new();
        let mut kept: Vec<(&[u8], Option<std::ops::Range<usize>>)> =
            look.gone.iter().map(|name| (name.as_slice(), None)).collect();
        for seen in &look.files {
            let Some(memo) = Memo::of(seen, None) else { continue };
            let from = packed.len();
            if memo.is_settled() {
                memo.encode(&mut packed);
            }
            kept.push((&seen.name, memo.is_settled().then_some(from..packed.len())));
        }
        // Of a name that is there twice, the last one is what was found.
        kept.sort_by(|a, b| a.0.cmp(b.0));
        kept.dedup_by(|next, before| {
            let same = next.0 == before.0;
            if same {
                before.1 = next.1.take();
            }
            same
        });
        let changes: Vec<Change<'_>> = kept
            .into_iter()
            .map(|(name, range)| (name, range.map(|range| &packed[range])))
            .collect();
        self.change_memos(directory, is_new, &changes)
    }

    pub(super) fn new_directory(&mut self, path: &BString, seen: Nanos) -> rusqlite::Result<i64> {
        let id = self.add_directory(path, seen)?;
        self.forget_trees(path)?;
        Ok(id)
    }

    /// A directory of which nothing is said yet.
    pub(super) fn add_directory(&mut self, path: &[u8], seen: Nanos) -> rusqlite::Result<i64> {
        self.statement("INSERT INTO directory (host, path, seen) VALUES (?1, ?2, ?3)")?
            .execute(params![self.host, path, seen])?;
        let id = self.connection.last_insert_rowid();
        self.directories.insert(path.into(), id);
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
}
