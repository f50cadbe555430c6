//! Memos: what live looks found of a folder's files, packed, so that to keep and to read them costs little beside looking at
//! the files (object-format.md, "Catalogue", Memos).
//!
//! 1. A job that hashes files for another reason than to describe them hands in packed entries by folder
//!    ([`Catalogue::note`]): a blob a folder, no row and no index entry a file.
//! 2. A walk reads the blob of each folder that it comes to ([`Catalogue::recall`]) and compares names and stat values.
//! 3. Entries that are in no row yet are pending. Before a question about contents and places, they become rows
//!    ([`Catalogue::unfold`]), as if the look had been recorded then; they stay as memos.
//! 4. Looks that are recorded as rows at once (scans, verification) bring the memos of their files up to date.
//!
//! A folder's entries are cut into chunks of about [`CHUNK_BYTES`], so that a change in a folder of a million files
//! rewrites a few of them; memory is one chunk, however many there are.
//!
//! Invariants: in a folder each name is once, entries ascend, and `first` of a chunk is at most its first name and more
//! than the last name of the chunk before. An entry says of a file that looks so which hash it has; it says nothing about
//! files that are not there. Nothing pending is lost: it is unfolded before another content takes its name.

use rusqlite::types::Type;
use rusqlite::{CachedStatement, OptionalExtension as _, TransactionBehavior, params};

use super::rows::Found;
use super::schema::Nanos;
use super::write::{NEVER, Recorded, Writer};
use super::{Catalogue, FileSeen};
use crate::error::Result;
use crate::ghosts::catalogue::Facts;
use crate::ghosts::fasthash::{DIGEST_BYTES, FastHash};
use crate::limits::NAME_BYTES_MAX;
use crate::object::ObjectId;
use crate::object::codec::{Reader, put_bytes, put_varint};
use crate::progress::Progress;
use crate::time::Timestamp;
use crate::walk::Stat;

/// A chunk ends behind so many bytes.
const CHUNK_BYTES: usize = 64 << 10;
/// Folders that are read in one transaction: to begin one takes as long as to read a folder, and while one lasts the log
/// cannot be cut.
const READS_PER_TRANSACTION: u32 = 256;
/// Chunks that are unfolded in one transaction.
const UNFOLD_CHUNKS: usize = 512;

/// The chunks of a folder.
const MEMOS: &str = "SELECT m.files FROM host h JOIN directory d ON d.host = h.id JOIN memo m ON m.directory = d.id \
     WHERE h.name = ?1 AND d.path = ?2 ORDER BY m.first";
/// Those that may hold names from one to another.
const MEMOS_BETWEEN: &str = "SELECT m.files FROM host h JOIN directory d ON d.host = h.id \
     JOIN memo m ON m.directory = d.id WHERE h.name = ?1 AND d.path = ?2 AND m.first <= ?4 AND m.first >= \
     coalesce((SELECT max(first) FROM memo WHERE directory = d.id AND first <= ?3), x'') ORDER BY m.first";

/// Equal size, mtime, ctime and inode prove an equal content.
const SETTLED: u8 = 1;
/// In no row yet.
const PENDING: u8 = 2;
const FULL: u8 = 4;
const FAST: u8 = 8;

/// What was found of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memo<'a> {
    /// Its name in the folder.
    pub name: &'a [u8],
    /// Length in bytes.
    pub size: u64,
    mtime: Nanos,
    /// ctime and inode, where a later change would show.
    settled: Option<(Nanos, u64)>,
    /// When it was looked at, until that is a row.
    pending: Option<Nanos>,
    /// The plain hash of all bytes, where it was computed.
    pub fullhash: Option<ObjectId>,
    /// The sampled hash.
    pub fasthash: Option<FastHash>,
}

impl<'a> Memo<'a> {
    /// A file as it was seen; `looked` where nobody records the look as rows. None where that says nothing new.
    pub fn of(seen: &'a FileSeen, looked: Option<Timestamp>) -> Option<Self> {
        let exact = [seen.stat.mtime, seen.stat.ctime].into_iter().all(Nanos::is_exact);
        let (fullhash, fasthash) = match seen.facts {
            Facts::Full(full, fast) => (Some(full), fast),
            Facts::Fast(fast) => (None, Some(fast)),
            Facts::Same(..) => return None,
        };
        Some(Self {
            name: &seen.name,
            size: seen.stat.size,
            mtime: seen.stat.mtime.into(),
            settled: (seen.settled && exact).then(|| (seen.stat.ctime.into(), seen.stat.ino)),
            pending: looked.map(Nanos::from),
            fullhash,
            fasthash,
        })
    }

    /// Whether its stat values prove anything.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// Whether a file that looks so now still has this content.
    pub fn is_unchanged(&self, stat: &Stat) -> bool {
        self.size == stat.size
            && self
                .settled
                .is_some_and(|(ctime, ino)| ino == stat.ino && Timestamp::from(ctime) == stat.ctime)
            && Timestamp::from(self.mtime) == stat.mtime
    }

    /// Appends the packed form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.name);
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        out.push(
            flag(self.settled.is_some(), SETTLED)
                | flag(self.pending.is_some(), PENDING)
                | flag(self.fullhash.is_some(), FULL)
                | flag(self.fasthash.is_some(), FAST),
        );
        put_varint(out, self.size);
        out.extend_from_slice(&self.mtime.0.to_le_bytes());
        if let Some((ctime, ino)) = self.settled {
            out.extend_from_slice(&ctime.0.to_le_bytes());
            put_varint(out, ino);
        }
        if let Some(looked) = self.pending {
            out.extend_from_slice(&looked.0.to_le_bytes());
        }
        if let Some(id) = &self.fullhash {
            id.encode(out);
        }
        if let Some(fast) = self.fasthash {
            out.extend_from_slice(&fast.to_bytes());
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self> {
        let name = reader.bytes("name", NAME_BYTES_MAX)?;
        let flags = reader.byte()?;
        let has = |flag: u8| flags & flag != 0;
        if flags > SETTLED | PENDING | FULL | FAST {
            return Err(reader.malformed(format_args!("unknown flags {flags:#x}")));
        }
        let size = reader.varint()?;
        let instant = |reader: &mut Reader<'a>| reader.array().map(|bytes| Nanos(i64::from_le_bytes(bytes)));
        let mtime = instant(reader)?;
        let settled = match has(SETTLED) {
            true => Some((instant(reader)?, reader.varint()?)),
            false => None,
        };
        let pending = has(PENDING).then(|| instant(reader)).transpose()?;
        let fullhash = has(FULL).then(|| ObjectId::decode(reader)).transpose()?;
        let fasthash = match has(FAST) {
            true => FastHash::from_bytes(reader.take(1 + DIGEST_BYTES)?),
            false => None,
        };
        Ok(Self {
            name,
            size,
            mtime,
            settled,
            pending,
            fullhash,
            fasthash,
        })
    }

    fn facts(&self) -> Option<Facts> {
        match (self.fullhash, self.fasthash) {
            (Some(full), fast) => Some(Facts::Full(full, fast)),
            (None, Some(fast)) => Some(Facts::Fast(fast)),
            (None, None) => None,
        }
    }
}

/// The name in front of a packed entry.
pub fn name_of(entry: &[u8]) -> &[u8] {
    Reader::new("memo", entry)
        .bytes("name", NAME_BYTES_MAX)
        .unwrap_or_default()
}

/// The entries of a chunk with their packed forms, in order of names.
fn entries(chunk: &[u8]) -> impl Iterator<Item = rusqlite::Result<(Memo<'_>, &[u8])>> {
    let mut reader = Reader::new("memo", chunk);
    std::iter::from_fn(move || {
        let from = reader.at();
        (reader.left() > 0).then(|| match Memo::decode(&mut reader) {
            Ok(memo) => Ok((memo, &chunk[from..reader.at()])),
            Err(error) => {
                let _ = reader.take(reader.left());
                Err(rusqlite::Error::FromSqlConversionFailure(
                    0,
                    Type::Blob,
                    error.to_string().into(),
                ))
            }
        })
    })
}

/// What becomes of one name: its new entry, or none where it is gone.
pub(super) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

impl Catalogue {
    /// Keeps what was found, all of it or nothing: folders of a machine by their absolute paths, each with packed entries
    /// in order of names, each name once.
    pub fn note<'n>(&mut self, host: &str, folders: impl IntoIterator<Item = (&'n [u8], Vec<&'n [u8]>)>) -> Result<()> {
        self.write(host, |writer| {
            for (path, files) in folders {
                let (directory, is_new) = match writer.directory(&path.into())? {
                    Some(directory) => (directory, false),
                    None => (writer.add_directory(path, NEVER)?, true),
                };
                let changes: Vec<Change<'_>> = files.iter().map(|file| (name_of(file), Some(*file))).collect();
                if !is_new && writer.hides_pending(directory, &changes)? {
                    writer.unfold_directory(directory, path)?;
                }
                writer.change_memos(directory, is_new, &changes)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Hands each memo of a folder to `each`, in order of names. Where `ends` are given, all of the names from one to the
    /// other are among them, and of others as few as can be.
    pub fn recall(
        &self,
        host: &str,
        folder: &[u8],
        ends: Option<(&[u8], &[u8])>,
        mut each: impl FnMut(&Memo<'_>),
    ) -> Result<()> {
        let mut read = || -> rusqlite::Result<()> {
            if self.reads.replace(self.reads.get() + 1) == 0 {
                self.connection.prepare_cached("BEGIN")?.execute([])?;
            }
            let (mut all, mut between);
            let mut rows = match ends {
                None => {
                    all = self.connection.prepare_cached(MEMOS)?;
                    all.query(params![host, folder])?
                }
                Some((low, high)) => {
                    between = self.connection.prepare_cached(MEMOS_BETWEEN)?;
                    between.query(params![host, folder, low, high])?
                }
            };
            while let Some(row) = rows.next()? {
                for entry in entries(row.get_ref(0)?.as_blob()?) {
                    each(&entry?.0);
                }
            }
            Ok(())
        };
        let found = read().map_err(self.failed("read"));
        if found.is_err() || self.reads.get() >= READS_PER_TRANSACTION {
            self.end_reads()?;
        }
        found
    }

    /// Ends the transaction in which memos are read: before anything is written, and now and then.
    pub(super) fn end_reads(&self) -> Result<()> {
        if self.reads.replace(0) > 0 {
            let end = || self.connection.prepare_cached("COMMIT")?.execute([]);
            end().map_err(self.failed("read"))?;
        }
        Ok(())
    }

    /// Makes rows of all that is pending. What was done is kept where it is stopped.
    pub fn unfold(&mut self, progress: &Progress) -> Result<Recorded> {
        let mut all = Recorded::default();
        self.end_reads()?;
        loop {
            progress.check()?;
            let recorded = self.unfold_some().map_err(super::open::failed("write", &self.path))?;
            match recorded {
                Some(recorded) => all += recorded,
                None => return Ok(all),
            }
        }
    }

    fn unfold_some(&mut self) -> rusqlite::Result<Option<Recorded>> {
        let is_over = "SELECT 1 FROM memo WHERE pending > 0 LIMIT 1";
        let some: Option<i64> = self.connection.query_row(is_over, [], |row| row.get(0)).optional()?;
        if some.is_none() {
            return Ok(None);
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let folders: Vec<(i64, i64, Vec<u8>)> = transaction
            .prepare_cached(
                "SELECT DISTINCT d.id, d.host, d.path FROM memo m JOIN directory d ON d.id = m.directory \
                 WHERE m.pending > 0 ORDER BY m.directory LIMIT ?1",
            )?
            .query_map([UNFOLD_CHUNKS as i64], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut recorded = Recorded::default();
        let mut writer = Writer::nowhere(&transaction);
        for (directory, host, path) in folders {
            if writer.host != host {
                recorded += writer.recorded;
                writer = Writer::at_host(&transaction, host);
            }
            writer.unfold_directory(directory, &path)?;
        }
        recorded += writer.recorded;
        drop(writer);
        transaction.commit()?;
        Ok(Some(recorded))
    }
}

impl<'c> Writer<'c> {
    /// Makes rows of what is pending in a directory.
    pub(super) fn unfold_directory(&mut self, directory: i64, path: &[u8]) -> rusqlite::Result<()> {
        let pending = "SELECT id FROM memo WHERE directory = ?1 AND pending > 0 ORDER BY first";
        let chunks = ids(&mut self.statement(pending)?, params![directory])?;
        if chunks.is_empty() {
            return Ok(());
        }
        let is_old = self.has_rows(directory)?;
        for chunk in chunks {
            self.unfold_chunk(directory, chunk, is_old)?;
        }
        self.forget_trees(&path.into())
    }

    fn unfold_chunk(&mut self, directory: i64, chunk: i64, is_old: bool) -> rusqlite::Result<()> {
        let files: Vec<u8> = self
            .statement("SELECT files FROM memo WHERE id = ?1")?
            .query_row([chunk], |row| row.get(0))?;
        let mut kept = Vec::with_capacity(files.len());
        for entry in entries(&files) {
            let (memo, packed) = entry?;
            let (Some(looked), Some(facts)) = (memo.pending, memo.facts()) else {
                kept.extend_from_slice(packed);
                continue;
            };
            let found = Found {
                name: memo.name,
                size: memo.size,
                mtime: memo.mtime,
                settled: memo.settled.map(|(ctime, ino)| (ctime, ino.cast_signed())),
                facts,
            };
            self.found(directory, &found, looked, is_old)?;
            if memo.settled.is_some() {
                Memo { pending: None, ..memo }.encode(&mut kept);
            }
        }
        match kept.is_empty() {
            true => self.statement("DELETE FROM memo WHERE id = ?1")?.execute([chunk])?,
            false => self
                .statement("UPDATE memo SET pending = 0, files = ?2 WHERE id = ?1")?
                .execute(params![chunk, kept])?,
        };
        Ok(())
    }

    /// Whether a pending entry would be replaced by one of another content.
    fn hides_pending(&self, directory: i64, changes: &[Change<'_>]) -> rusqlite::Result<bool> {
        let (Some((low, _)), Some((high, _))) = (changes.first(), changes.last()) else {
            return Ok(false);
        };
        let mut statement = self.statement(
            "SELECT files FROM memo WHERE directory = ?1 AND pending > 0 AND first <= ?3 AND first >= \
             coalesce((SELECT max(first) FROM memo WHERE directory = ?1 AND first <= ?2), x'') ORDER BY first",
        )?;
        let mut rows = statement.query(params![directory, low, high])?;
        while let Some(row) = rows.next()? {
            for entry in entries(row.get_ref(0)?.as_blob()?) {
                let (memo, _) = entry?;
                let at = changes.binary_search_by_key(&memo.name, |(name, _)| name);
                let Some(new) = at.ok().and_then(|at| changes[at].1).filter(|_| memo.pending.is_some()) else {
                    continue;
                };
                let new = entries(new).next().transpose()?;
                if memo.fullhash.is_some() && new.is_none_or(|(new, _)| new.fullhash != memo.fullhash) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether a row says something about a file of this directory.
    pub(super) fn has_rows(&self, directory: i64) -> rusqlite::Result<bool> {
        self.statement(
            "SELECT EXISTS (SELECT 1 FROM place WHERE directory = ?1) OR EXISTS (SELECT 1 FROM past WHERE directory = ?1)",
        )?
        .query_row([directory], |row| row.get(0))
    }

    /// Changes the entries of a directory. `changes` must ascend by name, each once.
    pub(super) fn change_memos(&self, directory: i64, is_new: bool, changes: &[Change<'_>]) -> rusqlite::Result<()> {
        let (Some((low, _)), Some((high, _))) = (changes.first(), changes.last()) else {
            return Ok(());
        };
        let mut old = Vec::new();
        if !is_new {
            let mut statement = self.statement(
                "SELECT id FROM memo WHERE directory = ?1 AND first <= ?3 AND first >= \
                 coalesce((SELECT max(first) FROM memo WHERE directory = ?1 AND first <= ?2), x'') ORDER BY first",
            )?;
            old = ids(&mut statement, params![directory, low, high])?;
        }
        let mut packing = Packing {
            writer: self,
            directory,
            files: Vec::new(),
        };
        let mut changes = changes.iter().peekable();
        for chunk in old {
            // Names are packed when the chunk that they were in is gone, and never run ahead of the next, so no two chunks
            // have the same first one.
            let files: Vec<u8> = self
                .statement("DELETE FROM memo WHERE id = ?1 RETURNING files")?
                .query_row([chunk], |row| row.get(0))?;
            for entry in entries(&files) {
                let (memo, packed) = entry?;
                while let Some((_, new)) = changes.next_if(|(name, _)| *name < memo.name) {
                    packing.add(*new)?;
                }
                match changes.next_if(|(name, _)| *name == memo.name) {
                    Some((_, new)) => packing.add(*new)?,
                    None => packing.add(Some(packed))?,
                }
            }
        }
        changes.try_for_each(|(_, new)| packing.add(*new))?;
        packing.flush()
    }
}

/// Entries on their way into chunks, in order of names.
struct Packing<'w, 'c> {
    writer: &'w Writer<'c>,
    directory: i64,
    /// Those of the next chunk.
    files: Vec<u8>,
}

impl Packing<'_, '_> {
    fn add(&mut self, entry: Option<&[u8]>) -> rusqlite::Result<()> {
        let Some(entry) = entry else { return Ok(()) };
        if self.files.len() + entry.len() > CHUNK_BYTES {
            self.flush()?;
        }
        self.files.extend_from_slice(entry);
        Ok(())
    }

    fn flush(&mut self) -> rusqlite::Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        let mut pending = 0i64;
        for entry in entries(&self.files) {
            pending += i64::from(entry?.0.pending.is_some());
        }
        self.writer
            .statement("INSERT INTO memo (directory, first, pending, files) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![self.directory, name_of(&self.files), pending, self.files])?;
        self.files.clear();
        Ok(())
    }
}

/// The numbers of chunks.
fn ids(statement: &mut CachedStatement<'_>, sought: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Vec<i64>> {
    statement.query_map(sought, |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests;
