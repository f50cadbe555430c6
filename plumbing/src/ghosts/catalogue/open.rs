//! Opening: a new file, one of this version, an older one, which is raised, a newer one, a damaged one, and one where
//! nothing can be written.

use std::cell::Cell;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::Catalogue;
use super::schema::{APPLICATION_ID, CREATE, CREATE_MEMOS, VERSION};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// How long a process waits for another that writes.
const BUSY: Duration = Duration::from_secs(30);
/// Between two tries of what does not wait by itself.
const PAUSE: Duration = Duration::from_millis(10);
/// Pages that the connection that writes keeps, in KiB: the index of a million contents is hit all over.
const CACHE_KIB: i64 = 24 << 10;
/// The same of others, which read one range after the other.
const READER_CACHE_KIB: i64 = 4 << 10;
/// The same where only memos are read and written.
const MEMO_CACHE_KIB: i64 = 2 << 10;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;
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

    /// Keeps no more pages than for memos, of which each is read once.
    pub fn with_small_cache(self) -> Result<Self> {
        let cache = self.connection.pragma_update(None, "cache_size", -MEMO_CACHE_KIB);
        cache.map_err(self.failed("open"))?;
        Ok(self)
    }

    fn try_open(path: &Path) -> Result<Self> {
        match make_private(path) {
            Ok(()) => {}
            // SQLite itself says what else is wrong.
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) if rustix::fs::stat(path).is_ok() => {
                return Self::open_read_only(path);
            }
            Err(errno) => return Err(Error::sys("open", path)(errno)),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed("open", path))?;
        configure(&connection).map_err(failed("open", path))?;
        let version = create_or_raise(&mut connection, path)?;
        refuse_newer(version, path)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            is_read_only: false,
            reads: Cell::default(),
        })
    }

    /// Opens a catalogue where nothing can be written. What is only in its log is read where the log can be; where it
    /// cannot, this fails.
    pub(super) fn open_read_only(path: &Path) -> Result<Self> {
        let log = with_suffix(path, "-wal");
        let has_log = rustix::fs::stat(&log).is_ok_and(|stat| stat.st_size > 0);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match has_log {
            true => Connection::open_with_flags(path, flags),
            // Nobody writes it, so it needs no locks, for which there might be no place.
            false => Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI),
        };
        let connection = connection.map_err(failed("open", path))?;
        connection.busy_timeout(BUSY).map_err(failed("open", path))?;
        keep_statements(&connection).map_err(failed("open", path))?;
        let version = known_version(&connection, path)?.unwrap_or_default();
        refuse_newer(version, path)?;
        if version < VERSION {
            let problem = format!("expected tables of version {VERSION}, found {version}, which cannot be raised here");
            return Err(Error::io("open", path)(io::Error::new(
                io::ErrorKind::ReadOnlyFilesystem,
                problem,
            )));
        }
        Ok(Self {
            connection,
            path: path.to_owned(),
            is_read_only: true,
            reads: Cell::default(),
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
fn make_private(path: &Path) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    retry_on_intr(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)).map(drop)
}

/// The name of a file that nobody changes, as SQLite wants it.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + "?immutable=1"
}

fn refuse_newer(version: i32, path: &Path) -> Result<()> {
    match version > VERSION {
        true => Err(Error::Unsupported {
            path: path.to_owned(),
            feature: format!("catalogue version {version}"),
        }),
        false => Ok(()),
    }
}

/// A view needs no sync of its own at each commit: in WAL mode with `NORMAL`, a crash of the machine loses the last
/// transactions and breaks nothing.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    patiently(|| connection.pragma_update(None, "journal_mode", "WAL"))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // What is sorted may be as much as all files.
    connection.pragma_update(None, "temp_store", "FILE")?;
    keep_statements(connection)
}

/// Tries again what SQLite does not wait for by itself: where several open a new database at once, and each switches it to
/// a log, all but one may be told at once that it is locked.
fn patiently<T>(job: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let mut tries = BUSY.as_millis() / PAUSE.as_millis();
    loop {
        match job() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries > 0 => {
                tries -= 1;
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// Statements are prepared once. Without the guarantee, SQLite prepares one again whenever a value in a condition is
/// bound anew, in the hope of a better plan, which takes four times as long as what it then does.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// The version of the tables; none where there are none. Fails where this is something else.
fn known_version(connection: &Connection, path: &Path) -> Result<Option<i32>> {
    // In one statement: between two of them somebody else may make the tables.
    let query = "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version";
    let known = connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)));
    match known.map_err(failed("read", path))? {
        (0, 0) => Ok(None),
        (APPLICATION_ID, version) if version > 0 => Ok(Some(version)),
        (application, version) => Err(Error::damaged(
            path,
            68,
            format_args!("application id {APPLICATION_ID:#x} and a version"),
            format_args!("{application:#x} and version {version}"),
        )),
    }
}

/// Makes the tables where there is nothing yet, and what an older version lacks; gives the version of what is there then.
fn create_or_raise(connection: &mut Connection, path: &Path) -> Result<i32> {
    let current = |known: Option<i32>| known.filter(|version| *version >= VERSION);
    if let Some(version) = current(known_version(connection, path)?) {
        return Ok(version);
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed("write", path))?;
    // Another process may have been faster.
    let known = known_version(&transaction, path)?;
    if let Some(version) = current(known) {
        return Ok(version);
    }
    if known.is_none() {
        transaction.execute_batch(CREATE).map_err(failed("write", path))?;
    }
    transaction.execute_batch(CREATE_MEMOS).map_err(failed("write", path))?;
    for (name, value) in [("application_id", APPLICATION_ID), ("user_version", VERSION)] {
        transaction
            .pragma_update(None, name, value)
            .map_err(failed("write", path))?;
    }
    transaction.commit().map_err(failed("write", path))?;
    Ok(VERSION)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Gives the file another name, beside which a new one can begin. Its log goes along: it belongs to it.
fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf> {
    let mut aside = with_suffix(path, &format!(".damaged-{}", now.seconds));
    // What was moved aside before may be all that somebody has.
    for number in 2u32.. {
        if rustix::fs::lstat(&aside).is_err() {
            break;
        }
        aside = with_suffix(path, &format!(".damaged-{}-{number}", now.seconds));
    }
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
        match rustix::fs::rename(&from, &to) {
            Err(Errno::NOENT) if !suffix.is_empty() => {}
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
