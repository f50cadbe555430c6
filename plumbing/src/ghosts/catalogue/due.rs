//! Which files are to be proven again, the one that was proven longest ago first.

use bstr::BString;
use rusqlite::{ToSql, params, params_from_iter};

use super::read::take_row;
use super::schema::Nanos;
use super::write::below;
use super::{Catalogue, Content, Row, split_path};
use crate::error::Result;
use crate::time::Timestamp;

/// When a file was last proven, for those never proven long ago: `?7` says whether the proof of a fast hash counts.
macro_rules! proven {
    () => {
        "iif(?7, max(coalesce(p.verified_fast, -1 << 62), coalesce(p.verified_full, -1 << 62)), \
         coalesce(p.verified_full, -1 << 62))"
    };
}

/// A query for the files that a [`Scope`] means, with its values as `?1` to `?8`.
macro_rules! due_where {
    ($columns:expr, $rest:expr) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM host h JOIN directory d ON d.host = h.id JOIN place p ON p.directory = d.id ",
            "WHERE h.name = ?1 AND p.content IS NOT NULL ",
            "AND (d.path = ?2 OR d.path >= ?5 AND d.path < ?6 OR d.path = ?3 AND p.name = ?4) ",
            "AND (?8 IS NULL OR ",
            proven!(),
            " < ?8) ",
            $rest
        )
    };
}

/// Which files are meant.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The machine.
    pub host: String,
    /// A directory or a file, as an absolute path.
    pub root: BString,
    /// Whether the proof of a fast hash counts, too.
    pub fast: bool,
    /// Leave out what was proven at this time or later.
    pub before: Option<Timestamp>,
}

impl Scope {
    fn values(&self) -> Vec<Box<dyn ToSql>> {
        let ((folder, name), (low, high)) = (split_path(&self.root), below(&self.root));
        vec![
            Box::new(self.host.clone()),
            Box::new(self.root.to_vec()),
            Box::new(folder.to_vec()),
            Box::new(name.to_vec()),
            Box::new(low.to_vec()),
            Box::new(high.to_vec()),
            Box::new(self.fast),
            Box::new(self.before.map(Nanos::from)),
        ]
    }
}

/// A file that is to be proven.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its name in the directory.
    pub name: BString,
    /// What is known of it.
    pub row: Row,
    /// The content that it should have.
    pub content: Content,
}

impl Catalogue {
    /// How many files are due, and their bytes.
    pub fn count_due(&self, scope: &Scope) -> Result<(u64, u64)> {
        let count = || {
            let sql = due_where!("count(*), coalesce(sum(p.size), 0)", "");
            self.connection
                .prepare_cached(sql)?
                .query_row(params_from_iter(scope.values()), |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
                })
        };
        let (files, bytes) = count().map_err(self.failed("read"))?;
        Ok((files.cast_unsigned(), bytes.cast_unsigned()))
    }

    /// The directories that hold due files, the one whose oldest proof is the oldest first.
    pub fn due_folders(&self, scope: &Scope) -> Result<Vec<BString>> {
        let find = || -> rusqlite::Result<Vec<BString>> {
            // One row a directory is sorted, not one a file.
            let sql = concat!(
                "SELECT path FROM (SELECT d.path AS path, (SELECT min(",
                proven!(),
                ") FROM place p WHERE p.directory = d.id AND p.content IS NOT NULL ",
                "AND (d.path = ?2 OR d.path >= ?5 AND d.path < ?6 OR p.name = ?4) ",
                "AND (?8 IS NULL OR ",
                proven!(),
                " < ?8)) AS oldest ",
                "FROM host h JOIN directory d ON d.host = h.id ",
                "WHERE h.name = ?1 AND (d.path = ?2 OR d.path >= ?5 AND d.path < ?6 OR d.path = ?3)) ",
                "WHERE oldest IS NOT NULL ORDER BY oldest, path"
            );
            let mut statement = self.connection.prepare_cached(sql)?;
            let path = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_blob()?.into());
            statement.query_map(params_from_iter(scope.values()), path)?.collect()
        };
        find().map_err(self.failed("read"))
    }

    /// Hands the due files of one of these directories to `each`, by their proofs, at most `limit` at a time, until that
    /// says `false`. They are those that were due at the beginning: what is proven meanwhile does not come again.
    ///
    /// SQLite sorts them once, in a file where they are many. While they are handed out, its log is not cut.
    pub fn each_due(
        &self,
        scope: &Scope,
        folder: &[u8],
        limit: usize,
        each: &mut dyn FnMut(Vec<Due>) -> Result<bool>,
    ) -> Result<()> {
        let sql = due_where!(
            concat!(
                "p.name, p.content, p.fasthash, p.size, p.mtime, p.ctime, p.inode, p.seen_first, ",
                "max(p.seen_last, d.seen)"
            ),
            concat!("AND d.path = ?9 ORDER BY ", proven!(), ", p.name")
        );
        let mut values = scope.values();
        values.push(Box::new(folder.to_vec()));
        let failed = || self.failed("read");
        let mut statement = self.connection.prepare_cached(sql).map_err(failed())?;
        let mut rows = statement.query(params_from_iter(values)).map_err(failed())?;
        loop {
            let mut page = Vec::new();
            while page.len() < limit
                && let Some(row) = rows.next().map_err(failed())?
            {
                page.extend(self.due(row)?);
            }
            let is_over = page.len() < limit;
            if page.is_empty() || !each(page)? || is_over {
                return Ok(());
            }
        }
    }

    fn due(&self, row: &rusqlite::Row<'_>) -> Result<Option<Due>> {
        let take = || Ok((row.get_ref(0)?.as_blob()?.into(), take_row(row)?));
        let (name, row) = take().map_err(self.failed("read"))?;
        let content = row.content.map(|id| self.content(id)).transpose()?.flatten();
        Ok(content.map(|content| Due { name, row, content }))
    }

    /// The paths at and below `root` where something was and nothing is, as far as is known; at most `limit`, the last
    /// ones that were seen first.
    pub fn lost_paths(&self, host: &str, root: &[u8], limit: usize) -> Result<Vec<BString>> {
        let ((folder, name), (low, high)) = (split_path(root), below(root));
        let find = || -> rusqlite::Result<Vec<BString>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT d.path, p.name FROM host h JOIN directory d ON d.host = h.id JOIN past p ON p.directory = d.id \
                 WHERE h.name = ?1 AND (d.path = ?2 OR d.path >= ?5 AND d.path < ?6 OR d.path = ?3 AND p.name = ?4) \
                 AND NOT EXISTS (SELECT 1 FROM place q WHERE q.directory = p.directory AND q.name = p.name) \
                 GROUP BY p.directory, p.name ORDER BY max(p.seen_last) DESC LIMIT ?7",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let sought = params![host, root, folder, name, low.as_slice(), high.as_slice(), limit];
            let path =
                |row: &rusqlite::Row<'_>| Ok(super::join_path(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?));
            statement.query_map(sought, path)?.collect()
        };
        find().map_err(self.failed("read"))
    }
}
