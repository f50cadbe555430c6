//! A catalogue catches up with snapshots.
//!
//! 1. From each ref, back through the parents, to snapshots that are absorbed already: what is left is taken in order of
//!    time.
//! 2. Of a snapshot the trees are walked, not their difference from another snapshot but from the catalogue: where a
//!    directory has the id of the tree that its rows say, nothing below is read; its date is all that changes.
//! 3. Files are learnt as sightings at the time of the snapshot ([`super::learn`]). What an earlier snapshot told of and
//!    this one does not hold goes to the past; what a live look told of stays, since rules may have left it out.
//! 4. When all of a directory is in the catalogue, the directory gets the id of its tree; a transaction ends every few
//!    thousand files, and the last one notes the snapshot. A run that was stopped does the rest next time.
//!
//! Memory is one node of a tree for each level.

use std::collections::HashSet;

use bstr::BString;
use rusqlite::{OptionalExtension as _, params};

use super::learn::{Known, Sighting};
use super::read::id_bytes;
use super::rows::ContentFacts;
use super::schema::Nanos;
use super::write::{Recorded, Writer, below};
use super::{Catalogue, join_path, split_path};
use crate::error::{Error, Result};
use crate::object::tree::Entries;
use crate::object::{Entry, Node, ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::progress::Progress;
use crate::refs::RefStore;
use crate::refs::revision::read_snapshot;
use crate::store::Store;

/// Files and directories that one transaction takes.
const STEPS_PER_TRANSACTION: usize = 8192;

/// Adds what the snapshots behind all refs hold that were not absorbed yet, and are not forgotten: their trees may be gone. Gives what could not be read: those snapshots
/// are tried again next time.
pub fn catch_up(catalogue: &mut Catalogue, refs: &RefStore, store: &Store, progress: &Progress) -> Result<Vec<Error>> {
    let mut problems = Vec::new();
    let forgotten = refs.forgotten()?;
    let mut found = Vec::new();
    let is_absorbed = |id: &ObjectId| catalogue.is_absorbed(id);
    each_snapshot(refs, store, progress, &is_absorbed, &mut |id, snapshot| {
        match snapshot {
            Ok(snapshot) => {
                // Of those of one instant, parents are met later and come first.
                let order = (snapshot.time, std::cmp::Reverse(found.len()), id);
                // The paths of what was condensed are no places; its descriptions are imported.
                let is_told = snapshot.condensed_of().is_none() && !forgotten.contains(&id);
                found.extend(is_told.then_some(order));
            }
            Err(error) => problems.push(error),
        }
        Ok(())
    })?;
    found.sort_unstable();
    for (_, _, id) in found {
        let absorbed = read_snapshot(store, &id).and_then(|snapshot| catalogue.absorb(&id, &snapshot, store, progress));
        match absorbed {
            Ok(_) => {}
            Err(error)
                if error.is_damage() && !matches!(&error, Error::Damaged { path, .. } if path == catalogue.path()) =>
            {
                problems.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(problems)
}

/// Hands every snapshot that refs lead to to `each`, once, children before parents; damage in place of one that cannot be read.
/// Where `is_known`, neither it nor what only it leads to is told.
pub fn each_snapshot(
    refs: &RefStore,
    store: &Store,
    progress: &Progress,
    is_known: &dyn Fn(&ObjectId) -> Result<bool>,
    each: &mut dyn FnMut(ObjectId, Result<Snapshot>) -> Result<()>,
) -> Result<()> {
    let mut pending: Vec<ObjectId> = Vec::new();
    for (_, id) in refs.tips()? {
        if store.kind_of(&id)?.is_none_or(|kind| kind == ObjectKind::Snapshot) {
            pending.push(id);
        }
    }
    let mut seen = HashSet::new();
    while let Some(id) = pending.pop() {
        progress.check()?;
        if !seen.insert(id) || is_known(&id)? {
            continue;
        }
        match read_snapshot(store, &id) {
            Ok(snapshot) => {
                pending.extend(&snapshot.parents);
                each(id, Ok(snapshot))?;
            }
            Err(error) if error.is_damage() => each(id, Err(error))?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A directory whose entries are being learnt.
struct Level<'s, S: ObjectSource + ?Sized> {
    path: BString,
    tree: ObjectId,
    directory: Known,
    entries: Entries<'s, S>,
    /// So far, the catalogue says all that the tree says.
    exact: bool,
}

/// One snapshot on its way.
struct Absorb<'a, S: ObjectSource + ?Sized> {
    writer: Writer<'a>,
    source: &'a S,
    host: &'a str,
    time: Nanos,
    levels: Vec<Level<'a, S>>,
    steps: usize,
    recorded: Recorded,
}

/// What ends a step: our own error, or SQLite's.
enum Failed {
    Sql(rusqlite::Error),
    Other(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Catalogue {
    /// Whether all that a snapshot holds is here.
    pub fn is_absorbed(&self, id: &ObjectId) -> Result<bool> {
        let find = || {
            self.connection
                .prepare_cached("SELECT 1 FROM absorbed WHERE snapshot = ?1")?
                .query_row([id_bytes(id)], |_| Ok(()))
                .optional()
        };
        Ok(find().map_err(self.failed("read"))?.is_some())
    }

    /// Adds what a snapshot holds.
    pub fn absorb<S: ObjectSource + ?Sized>(
        &mut self,
        id: &ObjectId,
        snapshot: &Snapshot,
        source: &S,
        progress: &Progress,
    ) -> Result<Recorded> {
        let connection = &self.connection;
        let run = || -> Result<Recorded, Failed> {
            let open = Chunks::begin(connection)?;
            let mut absorb = Absorb {
                writer: Writer::new(connection, &snapshot.host)?,
                source,
                host: &snapshot.host,
                time: snapshot.time.into(),
                levels: Vec::new(),
                steps: 0,
                recorded: Recorded::default(),
            };
            absorb.roots(snapshot, &open, progress)?;
            connection.execute("INSERT OR IGNORE INTO absorbed (snapshot) VALUES (?1)", [id_bytes(id)])?;
            absorb.recorded += absorb.writer.recorded;
            open.commit()?;
            Ok(absorb.recorded)
        };
        run().map_err(|failed| match failed {
            Failed::Sql(error) => self.failed("write")(error),
            Failed::Other(error) => error,
        })
    }
}

/// A row of transactions: the one that is open is rolled back where it is not committed.
struct Chunks<'c>(&'c rusqlite::Connection);

impl<'c> Chunks<'c> {
    fn begin(connection: &'c rusqlite::Connection) -> rusqlite::Result<Self> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self(connection))
    }

    /// Lets others in.
    fn next(&self) -> rusqlite::Result<()> {
        self.0.execute_batch("COMMIT; BEGIN IMMEDIATE")
    }

    fn commit(self) -> rusqlite::Result<()> {
        self.0.execute_batch("COMMIT")
    }
}

impl Drop for Chunks<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // The error that led here is the one to tell.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

impl<'a, S: ObjectSource + ?Sized> Absorb<'a, S> {
    fn roots(&mut self, snapshot: &Snapshot, open: &Chunks<'_>, progress: &Progress) -> Result<(), Failed> {
        if let [root] = &snapshot.roots[..]
            && root.meta.is_some()
        {
            self.keep_root(&root.path)?;
            self.enter(root.path.clone(), snapshot.tree)?;
            self.walk(open, progress)?;
            return self.lost(&root.path);
        }
        if snapshot.roots.is_empty() {
            // What came from a stream has names and no place.
            self.enter(BString::default(), snapshot.tree)?;
            return self.walk(open, progress);
        }
        for entry in Entries::new(self.source, snapshot.tree) {
            let entry = entry?;
            let root = snapshot
                .roots
                .iter()
                .find(|root| split_path(&root.path).1 == entry.name);
            let Some(root) = root else { continue };
            match entry.node {
                Node::Directory { tree } => {
                    self.keep_root(&root.path)?;
                    self.enter(root.path.clone(), tree)?;
                    self.walk(open, progress)?;
                    self.lost(&root.path)?;
                }
                Node::File { .. } => {
                    let directory = self.writer.known(split_path(&root.path).0)?;
                    self.file(directory, &entry)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn keep_root(&self, path: &[u8]) -> rusqlite::Result<()> {
        self.writer
            .statement("INSERT INTO root (host, path) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![self.writer.host, path])?;
        Ok(())
    }

    /// Begins with a directory, unless it is known that it says nothing new.
    fn enter(&mut self, path: BString, tree: ObjectId) -> Result<(), Failed> {
        let directory = self.writer.known(&path)?;
        if directory.is_old && self.is_tree(directory.id, &tree)? {
            self.seen_again(&path)?;
            return Ok(());
        }
        self.writer.forget_trees(&path)?;
        self.levels.push(Level {
            path,
            tree,
            directory,
            entries: Entries::new(self.source, tree),
            exact: true,
        });
        Ok(())
    }

    fn is_tree(&self, directory: i64, tree: &ObjectId) -> rusqlite::Result<bool> {
        let known: Option<Vec<u8>> = self
            .writer
            .statement("SELECT tree FROM directory WHERE id = ?1")?
            .query_row([directory], |row| row.get(0))?;
        Ok(known.is_some_and(|known| known == id_bytes(tree)))
    }

    /// All that is known at and below a directory was there at the time of the snapshot, too.
    fn seen_again(&self, path: &[u8]) -> rusqlite::Result<()> {
        let (low, high) = below(path);
        self.writer
            .statement(
                "UPDATE directory SET seen = ?5 WHERE host = ?1 AND (path = ?2 OR path >= ?3 AND path < ?4) \
                 AND tree IS NOT NULL AND seen < ?5",
            )?
            .execute(params![
                self.writer.host,
                path,
                low.as_slice(),
                high.as_slice(),
                self.time
            ])?;
        Ok(())
    }

    fn walk(&mut self, open: &Chunks<'_>, progress: &Progress) -> Result<(), Failed> {
        while let Some(level) = self.levels.last_mut() {
            progress.check()?;
            self.steps += 1;
            if self.steps >= STEPS_PER_TRANSACTION {
                self.steps = 0;
                open.next()?;
                let next = Writer::new(self.writer.connection, self.host)?;
                self.recorded += std::mem::replace(&mut self.writer, next).recorded;
                continue;
            }
            let (Some(entry), directory) = (level.entries.next(), level.directory) else {
                self.leave()?;
                continue;
            };
            let entry = entry?;
            match &entry.node {
                Node::Directory { tree } => {
                    let path = join_path(&level.path, &entry.name);
                    self.enter(path, *tree)?;
                }
                Node::File { .. } => {
                    let exact = self.file(directory, &entry)?;
                    if let Some(level) = self.levels.last_mut() {
                        level.exact &= exact;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Learns a file; whether the catalogue now says the same.
    fn file(&mut self, directory: Known, entry: &Entry) -> rusqlite::Result<bool> {
        let Some(fullhash) = entry.fullhash() else {
            return Ok(true);
        };
        let mtime = Nanos::from(entry.meta.mtime);
        let content = self.writer.content(&ContentFacts {
            fullhash,
            size: entry.size(),
            fasthash: None,
            lastmod: Some(mtime),
            // The bytes may have been read long before, and were taken for unchanged.
            verified_full: None,
            verified_fast: None,
            found_first: self.time,
            found_last: self.time,
        })?;
        let sighting = Sighting {
            content,
            size: entry.size(),
            mtime: Some(mtime),
            seen_first: self.time,
            seen_last: self.time,
            looked: self.time,
            present: true,
        };
        self.writer.learn(directory, &entry.name, &sighting)
    }

    /// Ends a directory.
    fn leave(&mut self) -> rusqlite::Result<()> {
        let Some(level) = self.levels.pop() else {
            return Ok(());
        };
        let directory = level.directory;
        let mut exact = level.exact;
        if directory.seen < self.time {
            self.forget_untold(directory.id)?;
            let others: bool = self
                .writer
                .statement("SELECT EXISTS (SELECT 1 FROM place WHERE directory = ?1 AND seen_last < ?2)")?
                .query_row(params![directory.id, self.time], |row| row.get(0))?;
            exact &= !others;
        }
        if exact {
            self.writer
                .statement("UPDATE directory SET tree = ?2, seen = max(seen, ?3) WHERE id = ?1")?
                .execute(params![directory.id, id_bytes(&level.tree), self.time])?;
        }
        if let Some(above) = self.levels.last_mut() {
            above.exact &= exact;
        }
        Ok(())
    }

    /// Moves what earlier snapshots told of a directory, and this one does not hold, to the past.
    fn forget_untold(&mut self, directory: i64) -> rusqlite::Result<()> {
        let names: Vec<BString> = self
            .writer
            .statement("SELECT name FROM place WHERE directory = ?1 AND ctime IS NULL AND seen_last < ?2")?
            .query_map(params![directory, self.time], |row| {
                Ok(row.get_ref(0)?.as_blob()?.into())
            })?
            .collect::<rusqlite::Result<_>>()?;
        for name in names {
            self.writer.gone(directory, &name, self.time)?;
        }
        Ok(())
    }

    /// Does the same in directories that the snapshot does not hold at all.
    fn lost(&mut self, root: &[u8]) -> Result<(), Failed> {
        let (low, high) = below(root);
        let lost: Vec<(i64, BString)> = self
            .writer
            .statement(
                "SELECT id, path FROM directory d WHERE host = ?1 AND path >= ?2 AND path < ?3 AND seen < ?4 \
                 AND EXISTS (SELECT 1 FROM place p WHERE p.directory = d.id AND p.ctime IS NULL AND p.seen_last < ?4)",
            )?
            .query_map(
                params![self.writer.host, low.as_slice(), high.as_slice(), self.time],
                |row| Ok((row.get(0)?, row.get_ref(1)?.as_blob()?.into())),
            )?
            .collect::<rusqlite::Result<_>>()?;
        for (id, path) in lost {
            self.forget_untold(id)?;
            self.writer.forget_trees(&path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
