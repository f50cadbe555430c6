//! What others say: snapshots and imported descriptions are united with what is known, whichever is older.
//!
//! Of one path the later sighting says what is there; an older one with another content goes to the past. Nothing that
//! is learnt so can be trusted by stat values, and a live look is never undone by an older word.

use rusqlite::{OptionalExtension as _, TransactionBehavior, params};

use super::rows::{Before, ContentFacts};
use super::schema::Nanos;
use super::write::{NEVER, Recorded, Writer};
use super::{Catalogue, split_path};
use crate::error::{Error, Result};
use crate::ghosts::ghost::{Ghost, Place};

/// What is said of a content at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) content: i64,
    pub(super) size: u64,
    pub(super) mtime: Option<Nanos>,
    pub(super) seen_first: Nanos,
    pub(super) seen_last: Nanos,
    /// When somebody last looked; later than `seen_last` where the content was gone.
    pub(super) looked: Nanos,
    pub(super) present: bool,
}

/// A directory that files are learnt in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) id: i64,
    /// When all of it was last looked at.
    pub(super) seen: Nanos,
    /// It was not made just now.
    pub(super) is_old: bool,
}

impl Catalogue {
    /// Unites descriptions with what is known, all of them or, where one is an error, none; gives their number, too.
    ///
    /// Fails also where one gives a known hash another length.
    pub fn import(&mut self, ghosts: impl IntoIterator<Item = Result<Ghost>>) -> Result<(u64, Recorded)> {
        self.end_reads()?;
        let path = self.path.clone();
        let failed = || super::open::failed("write", &path);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed())?;
        let (mut count, mut recorded) = (0, Recorded::default());
        for ghost in ghosts {
            let ghost = ghost?;
            recorded += import_one(&transaction, &ghost).map_err(|error| match error {
                // The update of a known content found none of this length.
                rusqlite::Error::QueryReturnedNoRows => {
                    let problem = format!("it is known with another length than {} bytes", ghost.size);
                    Error::invalid("ghost", ghost.fullhash, problem)
                }
                error => failed()(error),
            })?;
            count += 1;
        }
        transaction.commit().map_err(failed())?;
        Ok((count, recorded))
    }
}

fn import_one(connection: &rusqlite::Connection, ghost: &Ghost) -> rusqlite::Result<Recorded> {
    let mut recorded = Recorded::default();
    let facts = ContentFacts {
        fullhash: ghost.fullhash,
        size: ghost.size,
        fasthash: ghost.fasthash,
        lastmod: ghost.lastmod.map(Nanos::from),
        verified_full: ghost.verified_full.map(Nanos::from),
        verified_fast: ghost.verified_fast.map(Nanos::from),
        found_first: ghost.found_first.into(),
        found_last: ghost.found_last.into(),
    };
    // A content belongs to no machine; each of its places does.
    let mut writer = Writer::nowhere(connection);
    let content = writer.content(&facts)?;
    recorded += writer.recorded;
    let mut places = ghost.places.iter().peekable();
    // Places are sorted by machine.
    while let Some(first) = places.peek() {
        let host = first.host.clone();
        let mut writer = Writer::new(connection, &host)?;
        while let Some(place) = places.next_if(|place| place.host == host) {
            writer.import_place(content, ghost.size, place)?;
        }
        recorded += writer.recorded;
    }
    Ok(recorded)
}

impl Writer<'_> {
    fn import_place(&mut self, content: i64, size: u64, place: &Place) -> rusqlite::Result<()> {
        let (folder, name) = split_path(&place.path);
        if !place.root.is_empty() {
            self.statement("INSERT INTO root (host, path) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute(params![self.host, place.root.as_slice()])?;
        }
        let directory = self.known(folder)?;
        self.forget_trees(&folder.into())?;
        let sighting = Sighting {
            content,
            size,
            mtime: place.mtime.map(Nanos::from),
            seen_first: place.seen_first.into(),
            seen_last: place.seen_last.into(),
            looked: place.looked.into(),
            present: place.present,
        };
        self.learn(directory, name, &sighting)?;
        Ok(())
    }

    /// A directory, made where it is not known.
    pub(super) fn known(&mut self, path: &[u8]) -> rusqlite::Result<Known> {
        let Some(id) = self.directory(&path.into())? else {
            let id = self.new_directory(&path.into(), NEVER)?;
            return Ok(Known {
                id,
                seen: NEVER,
                is_old: false,
            });
        };
        let seen = self
            .statement("SELECT seen FROM directory WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        Ok(Known { id, seen, is_old: true })
    }

    /// Unites one sighting with what is known of its place. Whether the place now is as the sighting says.
    pub(super) fn learn(&mut self, directory: Known, name: &[u8], said: &Sighting) -> rusqlite::Result<bool> {
        let before = match directory.is_old {
            true => self.before(directory.id, name)?,
            false => None,
        };
        match before {
            Some(before) if before.content == Some(said.content) => self.learn_same(directory, name, said, &before),
            _ if !said.present => {
                self.add_past(directory, name, said, said.looked)?;
                Ok(false)
            }
            // What was seen there later is something else.
            Some(before) if before.seen_last > said.seen_last => {
                self.add_past(directory, name, said, before.seen_last)?;
                Ok(false)
            }
            Some(before) => {
                self.past(directory.id, name, &before, said.seen_last)?;
                self.put(directory, name, said)?;
                Ok(true)
            }
            None => self.learn_new(directory, name, said),
        }
    }

    /// The place has this content already.
    fn learn_same(
        &mut self,
        directory: Known,
        name: &[u8],
        said: &Sighting,
        before: &Before,
    ) -> rusqlite::Result<bool> {
        self.statement(
            "UPDATE place SET seen_first = min(seen_first, ?3), seen_last = max(seen_last, ?4) \
             WHERE directory = ?1 AND name = ?2",
        )?
        .execute(params![directory.id, name, said.seen_first, said.seen_last])?;
        if said.present || before.seen_last >= said.looked {
            return Ok(said.present);
        }
        self.gone(directory.id, name, said.looked)?;
        Ok(false)
    }

    /// Nothing is known to be at the place now.
    fn learn_new(&mut self, directory: Known, name: &[u8], said: &Sighting) -> rusqlite::Result<bool> {
        if directory.seen > said.seen_last {
            self.add_past(directory, name, said, directory.seen)?;
            return Ok(false);
        }
        let gone: Option<Nanos> = match directory.is_old {
            true => self
                .statement("SELECT looked FROM past WHERE content = ?1 AND directory = ?2 AND name = ?3")?
                .query_row(params![said.content, directory.id, name], |row| row.get(0))
                .optional()?,
            false => None,
        };
        if let Some(looked) = gone.filter(|looked| *looked > said.seen_last) {
            self.add_past(directory, name, said, looked)?;
            return Ok(false);
        }
        self.put(directory, name, said)?;
        Ok(true)
    }

    /// Makes a place what a sighting says.
    fn put(&mut self, directory: Known, name: &[u8], said: &Sighting) -> rusqlite::Result<()> {
        let earlier = match directory.is_old {
            true => self.unpast(directory.id, name, said.content)?,
            false => None,
        };
        let seen_first = earlier.map_or(said.seen_first, |earlier| earlier.min(said.seen_first));
        self.recorded.new_places += 1;
        self.statement(
            "INSERT INTO place (directory, name, content, size, mtime, seen_first, seen_last) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT DO UPDATE SET content = excluded.content, fasthash = NULL, size = excluded.size, \
             mtime = excluded.mtime, ctime = NULL, inode = NULL, \
             seen_first = excluded.seen_first, seen_last = excluded.seen_last",
        )?
        .execute(params![
            directory.id,
            name,
            said.content,
            said.size.cast_signed(),
            said.mtime,
            seen_first,
            said.seen_last
        ])?;
        Ok(())
    }

    fn add_past(&self, directory: Known, name: &[u8], said: &Sighting, looked: Nanos) -> rusqlite::Result<()> {
        let before = Before {
            content: Some(said.content),
            mtime: said.mtime,
            seen_first: said.seen_first,
            seen_last: said.seen_last,
        };
        self.past(directory.id, name, &before, looked)
    }
}
