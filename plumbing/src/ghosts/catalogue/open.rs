//! Opening: a new file, one of this version, a newer one, a damaged one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;

use super::Catalogue;
use super::schema::{APPLICATION_ID, CREATE, VERSION};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// How long a process waits for another that writes.
const BUSY: Duration = Duration::from_secs(30);
/// Pages that the connection that writes keeps, in KiB: the index of a million contents is hit all over.
const CACHE_KIB: i64 = 24 << 10;
/// The same of others, which read one range after the other.
const READER_CACHE_KIB: i64 = 4 << 10;
/// Pages in the log before they go to the database: a scan of a hundred thousand files, so that few scans wait for the
/// disk before they end.
const LOG_PAGES: i64 = 16 << 10;

/// A catalogue, and what had to be done to get it.
#[derive(Debug)]
pub struct Opened {
    /// The catalogue.
    pub catalogue: Catalogue,
    /// Where a damaged one was moved to. What it knew beyond snapshots is there for a rescue, and no longer here.
    pub moved_aside: Option<PathBuf>,
}

impl Catalogue {
    /// Opens the catalogue at `path`, or makes it. One that is damaged is moved aside, to a name with the time `now`.
    ///
    /// Fails where it is of a newer version, or no database of ghosts at all, and where the system refuses.
    pub fn open(path: &Path, now: Timestamp) -> Result<Opened> {
        match Self::try_open(path) {
            Ok(catalogue) => Ok(Opened {
                catalogue,
                moved_aside: None,
            }),
            Err(Error::Damaged { .. }) => {
                let aside = move_aside(path, now)?;
                Ok(Opened {
                    catalogue: Self::try_open(path)?,
                    moved_aside: Some(aside),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Moves a catalogue that turned out to be damaged aside; gives its new name.
    pub fn abandon(path: &Path, now: Timestamp) -> Result<PathBuf> {
        move_aside(path, now)
    }

    /// A second connection to the same catalogue, for another thread.
    pub fn again(&self) -> Result<Self> {
        let again = Self::try_open(&self.path)?;
        let cache = again.connection.pragma_update(None, "cache_size", -READER_CACHE_KIB);
        cache.map_err(again.failed("open"))?;
        Ok(again)
    }

    fn try_open(path: &Path) -> Result<Self> {
        make_private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed("open", path))?;
        configure(&connection).map_err(failed("open", path))?;
        let version = create_if_new(&mut connection, path)?;
        if version > VERSION {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                feature: format!("catalogue version {version}"),
            });
        }
        Ok(Self {
            connection,
            path: path.to_owned(),
        })
    }

    /// Reads all of it and compares its tables with their indexes; an error tells the first damage.
    pub fn check(&self) -> Result<()> {
        let found: String = self
            .connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(self.failed("check"))?;
        match found.as_str() {
            "ok" => Ok(()),
            found => Err(self.malformed("a whole database", found)),
        }
    }
}

/// Makes the file where there is none, for its owner alone; SQLite gives its logs the same mode.
fn make_private(path: &Path) -> Result<()> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let made = retry_on_intr(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR));
    made.map(drop).map_err(Error::sys("open", path))
}

/// A view needs no sync of its own at each commit: in WAL mode with `NORMAL`, a crash of the machine loses the last
/// transactions and breaks nothing.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Makes the tables where there is nothing yet; gives the version of what is there.
fn create_if_new(connection: &mut Connection, path: &Path) -> Result<i32> {
    let pragma = |connection: &Connection, name: &str| -> Result<i32> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(failed("read", path))
    };
    let known = |connection: &Connection| -> Result<Option<i32>> {
        let (application, version) = (
            pragma(connection, "application_id")?,
            pragma(connection, "user_version")?,
        );
        match (application, version) {
            (0, 0) => Ok(None),
            (APPLICATION_ID, version) if version > 0 => Ok(Some(version)),
            _ => Err(Error::damaged(
                path,
                68,
                format_args!("application id {APPLICATION_ID:#x} and a version"),
                format_args!("{application:#x} and version {version}"),
            )),
        }
    };
    if let Some(version) = known(connection)? {
        return Ok(version);
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed("write", path))?;
    // Another process may have been faster.
    if let Some(version) = known(&transaction)? {
        return Ok(version);
    }
    transaction.execute_batch(CREATE).map_err(failed("write", path))?;
    for (name, value) in [("application_id", APPLICATION_ID), ("user_version", VERSION)] {
        transaction
            .pragma_update(None, name, value)
            .map_err(failed("write", path))?;
    }
    transaction.commit().map_err(failed("write", path))?;
    Ok(VERSION)
}

/// Gives the file another name, beside which a new one can begin. Its log goes along: it belongs to it.
fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf> {
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".damaged-{}", now.seconds));
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (with(path, suffix), with(&aside, suffix));
        match rustix::fs::rename(&from, &to) {
            Err(rustix::io::Errno::NOENT) if !suffix.is_empty() => {}
            result => result.map_err(Error::sys("move aside", &from))?,
        }
    }
    Ok(aside)
}

/// For `map_err`: what SQLite said, as one of our errors.
pub(super) fn failed(op: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Error {
    move |error| {
        let damaged = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ) || matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
        );
        if damaged {
            return Error::damaged(path, 0, "a database of ghosts", error);
        }
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
            Some(ErrorCode::ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
            Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
                io::ErrorKind::PermissionDenied
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => io::ErrorKind::ResourceBusy,
            _ => io::ErrorKind::Other,
        };
        Error::Io {
            op,
            path: path.to_owned(),
            source: io::Error::new(kind, error),
        }
    }
}
