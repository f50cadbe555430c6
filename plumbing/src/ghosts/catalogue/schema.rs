//! The tables, and how values are kept in them (object-format.md, "Catalogue").

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::time::Timestamp;

/// `PRAGMA application_id`: "ghst", so that `file` and others can tell whose database it is.
pub const APPLICATION_ID: i32 = 0x6768_7374;
/// `PRAGMA user_version`: the version of the tables.
pub const VERSION: i32 = 2;

/// Everything in one transaction: a database has all of it or nothing.
pub const CREATE: &str = "
CREATE TABLE host (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE root (
    host INTEGER NOT NULL REFERENCES host,
    path BLOB NOT NULL,
    trust TEXT CHECK (trust IN ('stat', 'hash')),
    scanned INTEGER,
    PRIMARY KEY (host, path)
) WITHOUT ROWID;
CREATE TABLE directory (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL REFERENCES host,
    path BLOB NOT NULL,
    seen INTEGER NOT NULL,
    tree BLOB,
    UNIQUE (host, path)
);
CREATE TABLE content (
    id INTEGER PRIMARY KEY,
    fullhash BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    fasthash BLOB,
    lastmod INTEGER,
    verified_full INTEGER,
    verified_fast INTEGER,
    found_first INTEGER NOT NULL,
    found_last INTEGER NOT NULL
);
CREATE INDEX content_size ON content (size, fasthash);
CREATE TABLE place (
    directory INTEGER NOT NULL REFERENCES directory,
    name BLOB NOT NULL,
    content INTEGER REFERENCES content,
    fasthash BLOB,
    size INTEGER NOT NULL,
    mtime INTEGER,
    ctime INTEGER,
    inode INTEGER,
    seen_first INTEGER NOT NULL,
    seen_last INTEGER NOT NULL,
    verified_full INTEGER,
    verified_fast INTEGER,
    PRIMARY KEY (directory, name)
) WITHOUT ROWID;
CREATE INDEX place_content ON place (content) WHERE content IS NOT NULL;
CREATE TABLE past (
    content INTEGER NOT NULL REFERENCES content,
    directory INTEGER NOT NULL REFERENCES directory,
    name BLOB NOT NULL,
    mtime INTEGER,
    seen_first INTEGER NOT NULL,
    seen_last INTEGER NOT NULL,
    looked INTEGER NOT NULL,
    PRIMARY KEY (content, directory, name)
) WITHOUT ROWID;
CREATE INDEX past_directory ON past (directory, name);
CREATE TABLE absorbed (
    snapshot BLOB PRIMARY KEY
) WITHOUT ROWID;
";

/// What version 2 added.
pub const CREATE_MEMOS: &str = "
CREATE TABLE memo (
    id INTEGER PRIMARY KEY,
    directory INTEGER NOT NULL REFERENCES directory,
    first BLOB NOT NULL,
    pending INTEGER NOT NULL,
    files BLOB NOT NULL,
    UNIQUE (directory, first)
);
CREATE INDEX memo_pending ON memo (directory) WHERE pending > 0;
";

/// An instant as nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub i64);

impl Nanos {
    /// Whether the number says the instant exactly: from 1677 to 2262.
    pub fn is_exact(time: Timestamp) -> bool {
        Timestamp::from(Self::from(time)) == time
    }
}

impl From<Timestamp> for Nanos {
    /// Instants that the number has no room for become the nearest that it has.
    fn from(time: Timestamp) -> Self {
        let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
        let bound = if nanos < 0 { i64::MIN } else { i64::MAX };
        Self(i64::try_from(nanos).unwrap_or(bound))
    }
}

impl From<Nanos> for Timestamp {
    fn from(nanos: Nanos) -> Self {
        let rest = u32::try_from(nanos.0.rem_euclid(1_000_000_000)).unwrap_or_default();
        Timestamp::new(nanos.0.div_euclid(1_000_000_000), rest)
    }
}

impl ToSql for Nanos {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Nanos {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_exact_within_five_centuries() {
        for (seconds, nanos) in [
            (0, 0),
            (-1, 999_999_999),
            (1_795_000_000, 123_456_789),
            (-9_000_000_000, 1),
        ] {
            let time = Timestamp::new(seconds, nanos);
            assert_eq!(Timestamp::from(Nanos::from(time)), time);
            assert!(Nanos::is_exact(time));
        }
        for seconds in [i64::MIN, i64::MAX, 15_000_000_000] {
            assert!(!Nanos::is_exact(Timestamp::new(seconds, 0)));
        }
        assert!(Nanos::from(Timestamp::new(i64::MIN, 0)) < Nanos::from(Timestamp::new(i64::MAX, 0)));
    }
}
