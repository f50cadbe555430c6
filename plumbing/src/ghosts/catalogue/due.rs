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

/// Where a list of due files goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    proven: Nanos,
    name: BString,
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

    /// Up to `limit` due files of one of these directories behind `after`, by their proofs, and where the list goes on.
    pub fn due(
        &self,
        scope: &Scope,
        folder: &[u8],
        after: Option<&Position>,
        limit: usize,
    ) -> Result<(Vec<Due>, Option<Position>)> {
        let mut last = None;
        let mut find = || -> rusqlite::Result<Vec<(BString, Row)>> {
            let mut statement = self.connection.prepare_cached(due_where!(
                concat!(
                    "p.name, p.content, p.fasthash, p.size, p.mtime, p.ctime, p.inode, p.seen_first, ",
                    "max(p.seen_last, d.seen), ",
                    proven!(),
                    " AS proven"
                ),
                "AND d.path = ?9 AND (?10 IS NULL OR (proven, p.name) > (?10, ?11)) ORDER BY proven, p.name LIMIT ?12"
            ))?;
            let mut values = scope.values();
            values.push(Box::new(folder.to_vec()));
            values.push(Box::new(after.map(|after| after.proven)));
            values.push(Box::new(after.map(|after| after.name.to_vec())));
            values.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX)));
            let mut found = Vec::new();
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                let name: BString = row.get_ref(0)?.as_blob()?.into();
                last = Some(Position {
                    proven: row.get(9)?,
                    name: name.clone(),
                });
                found.push((name, take_row(row)?));
            }
            Ok(found)
        };
        let found = find().map_err(self.failed("read"))?;
        let mut due = Vec::with_capacity(found.len());
        for (name, row) in found {
            let Some(id) = row.content else { continue };
            if let Some(content) = self.content(id)? {
                due.push(Due { name, row, content });
            }
        }
        Ok((due, last))
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
