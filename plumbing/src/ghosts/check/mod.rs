//! Proving again that files are what they were seen to be.
//!
//! 1. The catalogue lists the directories with files that are due, the one that was proven longest ago first; threads,
//!    all alike ([`worker`]), take one after the other. So a run that has only so much time goes on where the last one
//!    stopped.
//! 2. A file that is not there has *vanished*. One whose size or mtime differs is read: it has *changed*, or was only
//!    touched. Any other is read, or for a fast check its samples: where its bytes differ it is *rotten*.
//! 3. What was proven, changed or vanished is written by one thread, some thousand files a transaction. What is rotten is
//!    not written: the catalogue keeps what the file should be, and it is first in line the next time.
//! 4. At the end, paths where something was and nothing is known to be are looked at: files there are *found again*.
//! 5. What was found is told in order of paths, and then what could not be read: at the end, and before that whenever
//!    [`HELD_MAX`] wait, each time in order, so that memory has a bound also where nothing is as it was.
//!
//! What cannot be read is told, and is no error.

mod worker;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use bstr::BString;
use parking_lot::Mutex;

use self::worker::Worker;
use super::catalogue::{Catalogue, Recorded, Scope};
use super::scan::{self, outbox};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, ObjectId};
use crate::progress::{Phase, Progress};
use crate::time::Timestamp;
use crate::walk::cache::Cutoff;
use crate::walk::{RuleOptions, Rules};

/// Paths where something was that are looked at again.
const LOST_PATHS_MAX: usize = 1 << 16;
/// What may wait to be told: a quarter of a KiB each.
const HELD_MAX: usize = 1 << 14;

/// What to prove, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// A directory or a file, as an absolute path without links.
    pub root: PathBuf,
    /// Compare fast hashes where they are known, and read no more.
    pub fast: bool,
    /// Pass over what was proven since then.
    pub before: Option<Timestamp>,
    /// Begin with no further file after so long.
    pub time_max: Option<Duration>,
    /// The name of this machine.
    pub host: String,
    /// The hash that new contents are named with.
    pub algo: HashAlgo,
    /// Threads that read, at least one.
    pub threads: usize,
    /// The date of the proofs.
    pub now: Timestamp,
    /// When the job begins by the clock that stamps files.
    pub began: Timestamp,
    /// The granularity of times on file systems that keep whole seconds.
    pub coarse: Duration,
}

/// What is wrong with a file, or new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its absolute path.
    pub path: BString,
    /// The content that it should have, or had.
    pub expected: ObjectId,
    /// What it is.
    pub state: State,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has another content and another size or mtime: somebody wrote to it.
    Changed,
    /// It has another content, and size and mtime as before.
    Rotten {
        /// Whether its ctime moved: then it may have been written to and its mtime set back.
        ctime_moved: bool,
    },
    /// It is no longer there.
    Vanished,
    /// It was gone, and is there again with a content that it had.
    FoundAgain,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Files that were looked at.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Files with the content that they should have.
    pub sound: u64,
    /// Files that were due and not come to for want of time.
    pub left: u64,
    /// Files with another content, size or mtime.
    pub changed: u64,
    /// Files whose bytes changed though nothing wrote to them.
    pub rotten: u64,
    /// Files that are no longer there.
    pub vanished: u64,
    /// Files that were gone and are there again.
    pub found_again: u64,
    /// What could not be looked at or read.
    pub problems: u64,
}

/// What a check says of single files.
#[derive(Debug)]
pub enum Told {
    /// It is not what it should be, or is there again.
    Finding(Finding),
    /// It could not be looked at or read.
    Problem(Error),
}

/// What waits to be told, and how much was told.
struct Telling<'t> {
    tell: &'t mut dyn FnMut(Told) -> Result<()>,
    findings: Vec<Finding>,
    problems: Vec<Error>,
    report: Report,
}

impl Telling<'_> {
    fn add(&mut self, told: Told) -> Result<()> {
        match told {
            Told::Finding(finding) => {
                *match finding.state {
                    State::Changed => &mut self.report.changed,
                    State::Rotten { .. } => &mut self.report.rotten,
                    State::Vanished => &mut self.report.vanished,
                    State::FoundAgain => &mut self.report.found_again,
                } += 1;
                self.findings.push(finding);
            }
            Told::Problem(problem) => {
                self.report.problems += 1;
                self.problems.push(problem);
            }
        }
        match self.findings.len() + self.problems.len() < HELD_MAX {
            true => Ok(()),
            false => self.flush(),
        }
    }

    /// Tells of all that waits, in order.
    fn flush(&mut self) -> Result<()> {
        self.findings.sort_by(|a, b| a.path.cmp(&b.path));
        let findings = self.findings.drain(..).map(Told::Finding);
        let problems = self.problems.drain(..).map(Told::Problem);
        findings.chain(problems).try_for_each(&mut *self.tell)
    }
}

/// What the threads share.
struct Shared<'s> {
    request: &'s Request,
    progress: &'s Progress,
    scope: Scope,
    cutoff: Cutoff,
    folders: Mutex<VecDeque<BString>>,
    deadline: Option<Instant>,
    stopped: AtomicBool,
    files: AtomicU64,
    sound: AtomicU64,
}

/// Proves what is due, and keeps the proofs; `tell` gets what is to be said of single files. Fails where nothing is known
/// at or below the root, and with what `tell` fails with.
pub fn check(
    catalogue: &mut Catalogue,
    request: &Request,
    progress: &Progress,
    tell: &mut dyn FnMut(Told) -> Result<()>,
) -> Result<Report> {
    progress.set_phase(Phase::Checking);
    let root = request.root.as_os_str().as_bytes();
    let mut scope = Scope {
        host: request.host.clone(),
        root: root.into(),
        fast: request.fast,
        before: None,
    };
    let lost = catalogue.lost_paths(&request.host, root, LOST_PATHS_MAX)?;
    if catalogue.count_due(&scope)?.0 == 0 && lost.is_empty() {
        let name = request.root.display().to_string();
        let what = "known file at or below";
        return Err(Error::NotFound { what, name });
    }
    scope.before = request.before;
    let (due, bytes) = catalogue.count_due(&scope)?;
    progress.set_totals(due, if request.fast { 0 } else { bytes });
    let shared = Shared {
        request,
        progress,
        cutoff: Cutoff::new(request.began, request.coarse),
        folders: Mutex::new(catalogue.due_folders(&scope)?.into()),
        scope,
        deadline: request.time_max.map(|time| Instant::now() + time),
        stopped: AtomicBool::new(false),
        files: AtomicU64::new(0),
        sound: AtomicU64::new(0),
    };
    let mut telling = Telling {
        tell,
        findings: Vec::new(),
        problems: Vec::new(),
        report: Report::default(),
    };
    read_and_write(catalogue, &shared, &mut telling)?;
    if !shared.stopped.into_inner() {
        find_again(catalogue, request, &lost, progress, &mut telling)?;
    }
    telling.flush()?;
    let files = shared.files.into_inner();
    Ok(Report {
        files,
        bytes: progress.counters().bytes_done,
        sound: shared.sound.into_inner(),
        left: due.saturating_sub(files),
        ..telling.report
    })
}

/// Runs the threads that read, while this one writes what they prove.
fn read_and_write(catalogue: &mut Catalogue, shared: &Shared<'_>, telling: &mut Telling<'_>) -> Result<Recorded> {
    let (outbox, inbox) = outbox::channel();
    let mut workers = Vec::new();
    for _ in 0..shared.request.threads.max(1) {
        workers.push(Worker::new(shared, catalogue.again()?, outbox.clone()));
    }
    drop(outbox);
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|mut worker| scope.spawn(move || worker.run()))
            .collect();
        let recorded = inbox.write_all(catalogue, &shared.request.host, &mut |told| telling.add(told));
        let mut read = Ok(());
        for thread in threads {
            let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read = read.and(result);
        }
        let recorded = recorded?;
        read.map(|()| recorded)
    })
}

/// Looks at paths where something was; what is there is scanned, so that it is known again.
fn find_again(
    catalogue: &mut Catalogue,
    request: &Request,
    lost: &[BString],
    progress: &Progress,
    telling: &mut Telling<'_>,
) -> Result<()> {
    for path in lost {
        progress.check()?;
        let known = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        if !is_file(&known) {
            continue;
        }
        let before = catalogue.ever_at(&request.host, path)?;
        let scan_request = scan::Request {
            roots: vec![known],
            rules: Rules::new(RuleOptions {
                no_ignore_files: true,
                ..RuleOptions::default()
            }),
            trust_hash: false,
            keep_trust: None,
            host: request.host.clone(),
            algo: request.algo,
            threads: 1,
            now: request.now,
            began: request.began,
            coarse: request.coarse,
        };
        let mut told = |told| match told {
            scan::Told::Problem(problem) => telling.add(Told::Problem(problem)),
            // Nothing is known of it by now, so it cannot have been.
            scan::Told::Rotten(_) => Ok(()),
        };
        match scan::scan(catalogue, &scan_request, progress, &mut told) {
            Ok(_) => {}
            Err(error @ Error::Io { .. }) => {
                telling.add(Told::Problem(error))?;
                continue;
            }
            Err(error) => return Err(error),
        }
        let now = catalogue.at(&request.host, path)?.and_then(|row| row.content);
        if let Some(content) = before.iter().find(|content| Some(content.id) == now) {
            telling.add(Told::Finding(Finding {
                path: path.clone(),
                expected: content.fullhash,
                state: State::FoundAgain,
            }))?;
        }
    }
    Ok(())
}

fn is_file(path: &std::path::Path) -> bool {
    let found = rustix::fs::statat(rustix::fs::CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile)
}
