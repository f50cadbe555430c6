//! Questions to a catalogue.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bstr::BString;
use hashbrown::HashSet;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, Row as SqlRow, params};

use super::schema::Nanos;
use super::write::below;
use super::{Catalogue, Content, ContentId, Row, Settled, join_path, split_path};
use crate::error::Result;
use crate::ghosts::fasthash::FastHash;
use crate::ghosts::ghost::{Ghost, Place, Places};
use crate::object::{HashAlgo, IdPrefix, ObjectId};
use crate::repository::config::Trust;
use crate::time::Timestamp;

/// A query for files; [`take_row`] says which column is what.
macro_rules! files_where {
    ($condition:literal) => {
        concat!(
            "SELECT p.name, p.content, p.fasthash, p.size, p.mtime, p.ctime, p.inode, p.seen_first, ",
            "max(p.seen_last, d.seen) ",
            "FROM host h JOIN directory d ON d.host = h.id JOIN place p ON p.directory = d.id ",
            "WHERE h.name = ?1 AND d.path = ?2",
            $condition
        )
    };
}
const FILES_AFTER: &str = files_where!(" AND p.name > ?3 ORDER BY p.name");
const FILES_BETWEEN: &str = files_where!(" AND p.name > ?3 AND p.name <= ?4 ORDER BY p.name");
const ONE_FILE: &str = files_where!(" AND p.name = ?3");

/// A query for contents; [`take_content`] says which column is what.
macro_rules! contents_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, fullhash, fasthash, size, lastmod, verified_full, verified_fast, found_first, found_last ",
            "FROM content WHERE ",
            $condition
        )
    };
}

/// The files of one directory, in order of names. Reading one directory after another into it allocates nothing.
#[derive(Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    rows: Vec<(usize, Row)>,
}

impl Listing {
    /// Names and what is known of them, ascending by bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Row)> {
        (0..self.rows.len()).map(|at| (self.name(at), &self.rows[at].1))
    }

    /// What is known of a name.
    pub fn get(&self, name: &[u8]) -> Option<&Row> {
        let (mut low, mut high) = (0, self.rows.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Equal => return Some(&self.rows[middle].1),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn clear(&mut self) {
        self.names.clear();
        self.rows.clear();
    }

    fn name(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.rows[before].0);
        &self.names[start..self.rows[at].0]
    }

    fn push(&mut self, name: &[u8], row: Row) {
        self.names.extend_from_slice(name);
        self.rows.push((self.names.len(), row));
    }
}

impl Catalogue {
    /// Reads what is known to be in the directory `path` of a machine into `listing`; nothing where it was never seen.
    pub fn list(&self, host: &str, path: &[u8], listing: &mut Listing) -> Result<()> {
        self.list_between(host, path, b"", None, listing)
    }

    /// As [`list`](Self::list), of the names behind `after` up to `to` only: very large directories are read in parts.
    pub fn list_between(
        &self,
        host: &str,
        path: &[u8],
        after: &[u8],
        to: Option<&[u8]>,
        listing: &mut Listing,
    ) -> Result<()> {
        listing.clear();
        let mut fill = || -> rusqlite::Result<()> {
            let mut after_only;
            let mut between;
            let mut rows = match to {
                None => {
                    after_only = self.connection.prepare_cached(FILES_AFTER)?;
                    after_only.query(params![host, path, after])?
                }
                Some(to) => {
                    between = self.connection.prepare_cached(FILES_BETWEEN)?;
                    between.query(params![host, path, after, to])?
                }
            };
            while let Some(row) = rows.next()? {
                listing.push(row.get_ref(0)?.as_blob()?, take_row(row)?);
            }
            Ok(())
        };
        fill().map_err(self.failed("read"))
    }

    /// What is known to be at one path of a machine.
    pub fn at(&self, host: &str, path: &[u8]) -> Result<Option<Row>> {
        let (folder, name) = split_path(path);
        let find = || -> rusqlite::Result<Option<Row>> {
            let mut statement = self.connection.prepare_cached(ONE_FILE)?;
            statement.query_row(params![host, folder, name], take_row).optional()
        };
        find().map_err(self.failed("read"))
    }

    /// The content with this number.
    pub fn content(&self, id: ContentId) -> Result<Option<Content>> {
        Ok(self.contents(contents_where!("id = ?1"), params![id.0])?.pop())
    }

    /// The content with this hash.
    pub fn by_fullhash(&self, fullhash: &ObjectId) -> Result<Option<Content>> {
        Ok(self
            .contents(contents_where!("fullhash = ?1"), params![id_bytes(fullhash)])?
            .pop())
    }

    /// Contents whose hash begins so, by hash; at most `limit`.
    pub fn by_prefix(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<Content>> {
        let algos = match prefix.algo {
            Some(algo) => vec![algo],
            None => vec![HashAlgo::Sha256, HashAlgo::Blake3, HashAlgo::Sha3_256, HashAlgo::Sha1],
        };
        let (low, high) = prefix.range();
        let mut found = Vec::new();
        for algo in algos {
            let bound = |prefix: u64, rest: u8| [&[algo as u8][..], &prefix.to_be_bytes(), &[rest; 25]].concat();
            let between = params![bound(low, 0), bound(high, 0xff)];
            found.extend(self.contents(contents_where!("fullhash BETWEEN ?1 AND ?2 ORDER BY fullhash"), between)?);
        }
        found.retain(|content| prefix.matches(&content.fullhash));
        found.truncate(limit);
        Ok(found)
    }

    /// All contents of so many bytes, by number.
    pub fn by_size(&self, bytes: u64) -> Result<Vec<Content>> {
        self.contents(contents_where!("size = ?1 ORDER BY id"), params![bytes.cast_signed()])
    }

    /// All contents of so many bytes with this fast hash, by number.
    pub fn by_fasthash(&self, bytes: u64, fasthash: &FastHash) -> Result<Vec<Content>> {
        let sought = params![bytes.cast_signed(), fasthash.to_bytes()];
        self.contents(contents_where!("size = ?1 AND fasthash = ?2 ORDER BY id"), sought)
    }

    /// The content with the next hash; all of them come one after the other.
    pub fn content_after(&self, last: Option<&ObjectId>) -> Result<Option<Content>> {
        let last = last.map(id_bytes).unwrap_or_default();
        let sql = contents_where!("fullhash > ?1 ORDER BY fullhash LIMIT 1");
        Ok(self.contents(sql, params![last])?.pop())
    }

    /// The contents that are or were at a path: what is there first, then the last that was.
    pub fn ever_at(&self, host: &str, path: &[u8]) -> Result<Vec<Content>> {
        let (folder, name) = split_path(path);
        let sql = contents_where!(
            "id IN (SELECT p.content FROM host h JOIN directory d ON d.host = h.id JOIN place p ON p.directory = d.id \
             WHERE h.name = ?1 AND d.path = ?2 AND p.name = ?3 \
             UNION SELECT p.content FROM host h JOIN directory d ON d.host = h.id JOIN past p ON p.directory = d.id \
             WHERE h.name = ?1 AND d.path = ?2 AND p.name = ?3) ORDER BY found_last DESC, id"
        );
        self.contents(sql, params![host, folder, name])
    }

    /// The contents that are at or below a path, each once, in the order of places.
    pub fn contents_below(&self, host: &str, path: &[u8]) -> Result<Vec<ContentId>> {
        let ((folder, name), (low, high)) = (split_path(path), below(path));
        let find = || -> rusqlite::Result<Vec<ContentId>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT p.content FROM host h JOIN directory d ON d.host = h.id JOIN place p ON p.directory = d.id \
                 WHERE h.name = ?1 AND p.content IS NOT NULL AND (d.path = ?2 AND p.name = ?3 \
                 OR d.path = ?4 OR d.path >= ?5 AND d.path < ?6) ORDER BY d.path, p.name",
            )?;
            let sought = params![host, folder, name, path, low.as_slice(), high.as_slice()];
            let mut seen = HashSet::new();
            let mut found = Vec::new();
            let mut rows = statement.query(sought)?;
            while let Some(row) = rows.next()? {
                let id = ContentId(row.get(0)?);
                if seen.insert(id) {
                    found.push(id);
                }
            }
            Ok(found)
        };
        find().map_err(self.failed("read"))
    }

    /// How far the innermost tree that holds `path`, and of which somebody decided it, is trusted.
    pub fn trust(&self, host: &str, path: &Path) -> Result<Option<Trust>> {
        let find = || -> rusqlite::Result<Option<Trust>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT r.trust FROM root r JOIN host h ON h.id = r.host WHERE h.name = ?1 AND r.path = ?2 \
                 AND r.trust IS NOT NULL",
            )?;
            for root in path.ancestors() {
                let sought = params![host, root.as_os_str().as_bytes()];
                let found: Option<String> = statement.query_row(sought, |row| row.get(0)).optional()?;
                if let Some(found) = found {
                    return Ok(Some(if found == "hash" { Trust::Hash } else { Trust::Stat }));
                }
            }
            Ok(None)
        };
        find().map_err(self.failed("read"))
    }

    /// The trees of a machine of which somebody decided how far they are trusted.
    pub fn decided(&self, host: &str) -> Result<Vec<(PathBuf, Trust)>> {
        let find = || -> rusqlite::Result<Vec<(PathBuf, Trust)>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT r.path, r.trust FROM root r JOIN host h ON h.id = r.host \
                 WHERE h.name = ?1 AND r.trust IS NOT NULL",
            )?;
            let rows = statement.query_map([host], |row| {
                let path = OsStr::from_bytes(row.get_ref(0)?.as_blob()?).into();
                let trust = row.get_ref(1)?.as_str()?;
                Ok((path, if trust == "hash" { Trust::Hash } else { Trust::Stat }))
            })?;
            rows.collect()
        };
        find().map_err(self.failed("read"))
    }

    fn contents(&self, sql: &'static str, sought: &[&dyn rusqlite::ToSql]) -> Result<Vec<Content>> {
        let find = || -> rusqlite::Result<Vec<Content>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map(sought, take_content)?.collect()
        };
        find().map_err(self.failed("read"))
    }

    /// Where a content is, and where it was.
    pub fn places(&self, id: ContentId) -> Result<Places> {
        let roots = self.roots()?;
        let find = || -> rusqlite::Result<Vec<Place>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT h.name, d.path, p.name, p.mtime, p.seen_first, max(p.seen_last, d.seen), NULL \
                 FROM place p JOIN directory d ON d.id = p.directory JOIN host h ON h.id = d.host \
                 WHERE p.content = ?1 \
                 UNION ALL \
                 SELECT h.name, d.path, p.name, p.mtime, p.seen_first, p.seen_last, p.looked \
                 FROM past p JOIN directory d ON d.id = p.directory JOIN host h ON h.id = d.host \
                 WHERE p.content = ?1",
            )?;
            statement.query_map([id.0], |row| take_place(row, &roots))?.collect()
        };
        Ok(find().map_err(self.failed("read"))?.into_iter().collect())
    }

    /// All that is known of a content.
    pub fn ghost(&self, fullhash: &ObjectId) -> Result<Option<Ghost>> {
        match self.by_fullhash(fullhash)? {
            Some(content) => self.ghost_of(content).map(Some),
            None => Ok(None),
        }
    }

    /// A content with its places.
    pub fn ghost_of(&self, content: Content) -> Result<Ghost> {
        let places = self.places(content.id)?;
        // What a directory was last seen with is written once for all of its files.
        let found_last = places
            .iter()
            .map(|place| place.seen_last)
            .fold(content.found_last, Ord::max);
        Ok(Ghost {
            fullhash: content.fullhash,
            fasthash: content.fasthash,
            size: content.size,
            lastmod: content.lastmod,
            verified_full: content.verified_full,
            verified_fast: content.verified_fast,
            found_first: content.found_first,
            found_last,
            places,
        })
    }

    /// All roots, the outermost of each machine first.
    fn roots(&self) -> Result<Vec<(String, BString)>> {
        let find = || -> rusqlite::Result<Vec<(String, BString)>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT h.name, r.path FROM root r JOIN host h ON h.id = r.host ORDER BY length(r.path), r.path",
            )?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get_ref(1)?.as_blob()?.into())))?;
            rows.collect()
        };
        find().map_err(self.failed("read"))
    }
}

/// The bytes that a hash is kept as: the byte of the algorithm and the digest.
pub(super) fn id_bytes(id: &ObjectId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(33);
    id.encode(&mut bytes);
    bytes
}

pub(super) fn take_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let (ctime, inode): (Option<Nanos>, Option<i64>) = (row.get(5)?, row.get(6)?);
    Ok(Row {
        content: row.get::<_, Option<i64>>(1)?.map(ContentId),
        fasthash: take_fast(row, 2)?,
        size: row.get::<_, i64>(3)?.cast_unsigned(),
        mtime: row.get::<_, Option<Nanos>>(4)?.map(Into::into),
        settled: ctime.zip(inode).map(|(ctime, inode)| Settled {
            ctime: ctime.into(),
            ino: inode.cast_unsigned(),
        }),
        seen_first: row.get::<_, Nanos>(7)?.into(),
        seen_last: row.get::<_, Nanos>(8)?.into(),
    })
}

fn take_id(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<ObjectId> {
    let bytes = row.get_ref(column)?.as_blob()?;
    let id = bytes
        .split_first()
        .and_then(|(algo, digest)| ObjectId::from_digest(HashAlgo::from_byte(*algo)?, digest));
    id.ok_or_else(|| {
        let problem = format!("expected a hash with its digest, found {bytes:02x?}");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, problem.into())
    })
}

fn take_fast(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<FastHash>> {
    Ok(row.get_ref(column)?.as_blob_or_null()?.and_then(FastHash::from_bytes))
}

fn take_content(row: &SqlRow<'_>) -> rusqlite::Result<Content> {
    let maybe_time = |at| row.get::<_, Option<Nanos>>(at).map(|time| time.map(Timestamp::from));
    let time = |at| row.get::<_, Nanos>(at).map(Timestamp::from);
    Ok(Content {
        id: ContentId(row.get(0)?),
        fullhash: take_id(row, 1)?,
        fasthash: take_fast(row, 2)?,
        size: row.get::<_, i64>(3)?.cast_unsigned(),
        lastmod: maybe_time(4)?,
        verified_full: maybe_time(5)?,
        verified_fast: maybe_time(6)?,
        found_first: time(7)?,
        found_last: time(8)?,
    })
}

fn take_place(row: &SqlRow<'_>, roots: &[(String, BString)]) -> rusqlite::Result<Place> {
    let host: String = row.get(0)?;
    let path = join_path(row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
    let root = roots
        .iter()
        .find(|(of, root)| *of == host && is_inside(&path, root))
        .map(|(_, root)| root.clone())
        .unwrap_or_default();
    let seen_last: Timestamp = row.get::<_, Nanos>(5)?.into();
    let gone: Option<Timestamp> = row.get::<_, Option<Nanos>>(6)?.map(Into::into);
    Ok(Place {
        host,
        root,
        path,
        mtime: row.get::<_, Option<Nanos>>(3)?.map(Into::into),
        seen_first: row.get::<_, Nanos>(4)?.into(),
        seen_last,
        looked: gone.unwrap_or(seen_last),
        present: gone.is_none(),
    })
}

/// Whether a path is `root` or below it.
pub(super) fn is_inside(path: &[u8], root: &[u8]) -> bool {
    match path.strip_prefix(root) {
        Some(rest) => rest.is_empty() || rest.starts_with(b"/") || root.ends_with(b"/") || root.is_empty(),
        None => false,
    }
}
