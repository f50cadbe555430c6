//! The log of a repository: what commands complained of, and when jobs that change it began and ended
//! (object-format.md, "Log").
//!
//! 1. A run has a [`Journal`] from its beginning, but messages have nowhere to go before the repository is known.
//! 2. [`Journal::attach`] says where: then the line that a job began is written, if this run is one.
//! 3. Each message opens the file, puts it aside if it is too long or too old, and appends one line with one `write`.
//!
//! Invariants: lines of several processes never mix (`O_APPEND`, one write); a rotation is done by the one process that
//! holds the lock of the file that still has the name; a log that cannot be written is nobody's failure. Messages are
//! rare, so opening the file each time costs nothing and lets any process rotate at any time.

use std::cell::{Cell, OnceCell};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{self as fs, File, OpenOptions};
use ghost_plumbing::repository::Settings;
use ghost_plumbing::repository::config::LogLevel;
use jiff::{SignedDuration, Timestamp};

use crate::ui::show;

/// The file in the folder of a repository.
const NAME: &str = "log";
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 4096;
const HOURS_A_DAY: i64 = 24;

/// The log of one run.
#[derive(Debug)]
pub struct Journal {
    /// The command, as each line names it.
    command: String,
    /// What was typed, of a job that changes a repository.
    job: Option<String>,
    began: Instant,
    /// What the time is taken to be; none is the clock.
    time: Option<Timestamp>,
    place: OnceCell<Place>,
    /// The beginning was written, so the end is too.
    is_open: Cell<bool>,
}

/// Where lines go, and which.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    level: LogLevel,
    bytes_max: u64,
    age_max: Option<SignedDuration>,
    keep: u64,
}

impl Journal {
    /// The log of a run of `command`; `job` is what was typed, if it changes a repository.
    pub fn new(command: String, job: Option<String>, time: Option<Timestamp>) -> Self {
        Self {
            command,
            job,
            began: Instant::now(),
            time,
            place: OnceCell::new(),
            is_open: Cell::new(false),
        }
    }

    /// Says which repository the run is about. The first one counts.
    pub fn attach(&self, ghost_dir: &Path, settings: &Settings) {
        let days = i64::try_from(settings.log_age_days_max).unwrap_or(i64::MAX);
        let place = Place {
            path: ghost_dir.join(NAME),
            level: settings.log_level,
            bytes_max: settings.log_size_bytes_max,
            age_max: (days > 0).then(|| SignedDuration::from_hours(days.saturating_mul(HOURS_A_DAY))),
            keep: settings.log_keep,
        };
        if self.place.set(place).is_ok()
            && let Some(job) = &self.job
        {
            self.is_open.set(true);
            self.write(LogLevel::Info, &format!("begun: {job}"));
        }
    }

    /// Says how the run ended.
    pub fn end(&self, exit_code: u8) {
        if self.is_open.replace(false) {
            let seconds = self.began.elapsed().as_secs_f64();
            self.write(LogLevel::Info, &format!("ended: exit code {exit_code}, {seconds:.3} s"));
        }
    }

    /// Writes a message, if the repository is known and its level is wanted.
    pub fn write(&self, level: LogLevel, message: &str) {
        let Some(place) = self.place.get().filter(|place| level as u8 <= place.level as u8) else {
            return;
        };
        let now = self.time.unwrap_or_else(Timestamp::now);
        let line = line(now, std::process::id(), level, &self.command, message);
        // A full disk, a read-only one, a folder of somebody else: the command itself says what matters of that.
        let _ = place.append(now, line.as_bytes());
    }
}

/// One line, with its end.
fn line(now: Timestamp, pid: u32, level: LogLevel, command: &str, message: &str) -> String {
    let level = level.name();
    let message = show::text(message);
    let mut line = format!("{now:.3} {pid} {level} {command}: {message}");
    if line.len() >= LINE_BYTES_MAX {
        line.truncate(line.floor_char_boundary(LINE_BYTES_MAX - '…'.len_utf8() - 1));
        line.push('…');
    }
    line.push('\n');
    line
}

impl Place {
    fn append(&self, now: Timestamp, line: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        if self.is_over(&file, now)? && self.rotate(&file)? {
            file = self.open()?;
        }
        match file.write(line)? {
            written if written == line.len() => Ok(()),
            // The disk is full. The rest would stand behind another process's line.
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        // The folder is the user's own, but a link in it would lead elsewhere.
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        options.open(&self.path)
    }

    /// Whether the file is too long or too old.
    fn is_over(&self, file: &File, now: Timestamp) -> io::Result<bool> {
        if self.bytes_max > 0 && file.metadata()?.len() >= self.bytes_max {
            return Ok(true);
        }
        let Some(age_max) = self.age_max else { return Ok(false) };
        let mut first = Vec::new();
        BufReader::new(file)
            .take(LINE_BYTES_MAX as u64)
            .read_until(b' ', &mut first)?;
        let begun = str::from_utf8(&first)
            .ok()
            .and_then(|text| text.trim_end().parse::<Timestamp>().ok());
        Ok(begun.is_some_and(|begun| now.duration_since(begun) >= age_max))
    }

    /// Puts the file aside, unless another process is doing that or has done it.
    fn rotate(&self, file: &File) -> io::Result<bool> {
        if file.file().try_lock().is_err() {
            return Ok(false);
        }
        let named = match fs::symlink_metadata(&self.path) {
            // Put aside by another, who has not begun the next one yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            named => named?,
        };
        let ours = file.metadata()?;
        if (ours.dev(), ours.ino()) != (named.dev(), named.ino()) {
            return Ok(true);
        }
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
            return Ok(true);
        }
        for number in (1..self.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))?;
        Ok(true)
    }

    fn numbered(&self, number: u64) -> PathBuf {
        self.path.with_extension(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(folder: &Path, time: &str, change: impl FnOnce(&mut Settings)) -> Journal {
        let journal = Journal::new("test".to_owned(), None, Some(time.parse().unwrap()));
        let mut settings = Settings::default();
        change(&mut settings);
        journal.attach(folder, &settings);
        journal
    }

    #[test]
    fn a_line_is_one_line() {
        let time = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(
            line(time, 4711, LogLevel::Info, "snapshot", "begun: ghost snapshot src"),
            "2026-01-02T03:04:05.000Z 4711 info snapshot: begun: ghost snapshot src\n"
        );
        let hostile = line(time, 1, LogLevel::Warn, "x", "a\nb\u{1b}[31m\u{202e}");
        assert_eq!(hostile.matches(['\n', '\u{1b}', '\u{202e}']).count(), 1, "{hostile:?}");
        let long = line(time, 1, LogLevel::Warn, "x", &"ä".repeat(9000));
        assert!(long.len() <= LINE_BYTES_MAX && long.ends_with("…\n"), "{}", long.len());
    }

    #[test]
    fn levels_ages_and_lengths_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        journal(folder.path(), "2026-01-01T00:00:00Z", |_| ()).write(LogLevel::Debug, "not wanted");
        assert!(!folder.path().join("log").exists());
        journal(folder.path(), "2026-01-01T00:00:00Z", |_| ()).write(LogLevel::Warn, "first");
        journal(folder.path(), "2026-03-31T00:00:00Z", |_| ()).write(LogLevel::Warn, "second");
        assert_eq!(read("log").lines().count(), 2);
        journal(folder.path(), "2026-04-01T00:00:00Z", |_| ()).write(LogLevel::Warn, "third");
        assert!(read("log").contains("third") && !read("log").contains("second"));
        assert!(read("log.1").contains("second"));
        for number in 0..20 {
            let one = |settings: &mut Settings| (settings.log_size_bytes_max, settings.log_keep) = (1, 2);
            journal(folder.path(), "2026-04-01T00:00:00Z", one).write(LogLevel::Error, &format!("m{number}"));
        }
        assert!(read("log").contains("m19") && read("log.1").contains("m18") && read("log.2").contains("m17"));
        assert!(!folder.path().join("log.3").exists());
    }

    #[test]
    fn processes_lose_no_line_while_they_rotate() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|threads| {
            for writer in 0..4 {
                let path = folder.path();
                threads.spawn(move || {
                    let often =
                        |settings: &mut Settings| (settings.log_size_bytes_max, settings.log_keep) = (2000, 100);
                    let journal = journal(path, "2026-01-01T00:00:00Z", often);
                    for number in 0..200 {
                        journal.write(LogLevel::Error, &format!("{writer}-{number}."));
                    }
                });
            }
        });
        let logs: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        // How often depends on who holds the lock when.
        assert!(logs.len() > 1, "{logs:?}");
        let all: String = logs.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(all.lines().count(), 800);
        for writer in 0..4 {
            for number in 0..200 {
                assert!(all.contains(&format!(" error test: {writer}-{number}.\n")));
            }
        }
    }

    #[test]
    fn what_another_has_just_put_aside_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(folder.path(), "2026-01-01T00:00:00Z", |_| ());
        journal.write(LogLevel::Error, "old");
        let place = journal.place.get().unwrap();
        let file = place.open().unwrap();
        fs::rename(&place.path, place.numbered(1)).unwrap();
        assert!(place.rotate(&file).unwrap());
        journal.write(LogLevel::Error, "new");
        assert!(fs::read_to_string(&place.path).unwrap().ends_with(" new\n"));
    }
}
