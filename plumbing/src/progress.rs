//! How far a job is: counters that its threads add to and another thread shows, and the wish to stop it.
//!
//! Counters only grow while a job runs and are read without order between them: they are for showing, nothing is
//! decided by them. The flag to stop is set from outside, by a signal for instance; a job looks at it between pieces
//! of work of at most some megabytes and ends with [`Error::Interrupted`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A job that waits looks this often whether it is to stop.
const PAUSE: Duration = Duration::from_millis(50);

/// What a job is busy with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing yet.
    #[default]
    Starting = 0,
    /// Looking at directories: the totals are not known yet.
    Scanning = 1,
    /// Reading the source.
    Reading = 2,
    /// Writing the target.
    Writing = 3,
    /// Comparing with hashes.
    Checking = 4,
    /// Waiting for the disk, publishing the result.
    Finishing = 5,
}

impl Phase {
    /// The word to show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Scanning => "scanning",
            Self::Reading => "reading",
            Self::Writing => "writing",
            Self::Checking => "checking",
            Self::Finishing => "finishing",
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Scanning,
            2 => Self::Reading,
            3 => Self::Writing,
            4 => Self::Checking,
            5 => Self::Finishing,
            _ => Self::Starting,
        }
    }
}

/// Counters of one job. Totals are 0 while they are not known.
#[derive(Debug, Default)]
pub struct Progress {
    files_done: AtomicU64,
    files_total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    new_blocks: AtomicU64,
    new_bytes: AtomicU64,
    known_blocks: AtomicU64,
    known_bytes: AtomicU64,
    phase: AtomicU8,
    stop: Arc<AtomicBool>,
    pace: Option<Pace>,
}

/// How fast a job may go.
#[derive(Debug)]
struct Pace {
    bytes_per_second: u64,
    begun: Instant,
}

impl Pace {
    /// How long to wait until so many bytes in all are not too many.
    fn wait(&self, bytes: u64) -> Duration {
        let due = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        due.saturating_sub(self.begun.elapsed())
    }
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// What the job is busy with.
    pub phase: Phase,
    /// Files that are finished.
    pub files_done: u64,
    /// Files that the job is about; 0 if unknown.
    pub files_total: u64,
    /// Bytes that are finished.
    pub bytes_done: u64,
    /// Bytes that the job is about; 0 if unknown.
    pub bytes_total: u64,
    /// Objects (blocks, lists, trees) that the store did not have.
    pub new_blocks: u64,
    /// Bytes of these.
    pub new_bytes: u64,
    /// Objects that the store had already.
    pub known_blocks: u64,
    /// Bytes of these.
    pub known_bytes: u64,
}

impl Progress {
    /// Counters at zero for a job that ends early once `stop` is set.
    pub fn new(stop: Arc<AtomicBool>) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// Lets the job go through at most so many bytes a second from now on; 0 is no limit.
    pub fn limit(mut self, bytes_per_second: u64) -> Self {
        let begun = Instant::now();
        self.pace = (bytes_per_second > 0).then_some(Pace {
            bytes_per_second,
            begun,
        });
        self
    }

    /// Adds finished files and bytes, and waits where the job is faster than it may be.
    pub fn add(&self, files: u64, bytes: u64) {
        self.files_done.fetch_add(files, Relaxed);
        let all = self.bytes_done.fetch_add(bytes, Relaxed) + bytes;
        let Some(pace) = &self.pace else { return };
        while !self.should_stop() {
            let wait = pace.wait(all);
            if wait.is_zero() {
                break;
            }
            std::thread::sleep(wait.min(PAUSE));
        }
    }

    /// Says how many objects the store did not have so far. Of several threads that say so, the highest count stands.
    pub fn set_new(&self, blocks: u64, bytes: u64) {
        self.new_blocks.fetch_max(blocks, Relaxed);
        self.new_bytes.fetch_max(bytes, Relaxed);
    }

    /// Says how many objects the store had already, so far; the highest count stands.
    pub fn set_known(&self, blocks: u64, bytes: u64) {
        self.known_blocks.fetch_max(blocks, Relaxed);
        self.known_bytes.fetch_max(bytes, Relaxed);
    }

    /// Says how much there is to do.
    pub fn set_totals(&self, files: u64, bytes: u64) {
        self.files_total.store(files, Relaxed);
        self.bytes_total.store(bytes, Relaxed);
    }

    /// Adds to what there is to do, where that is found out on the way.
    pub fn add_totals(&self, files: u64, bytes: u64) {
        self.files_total.fetch_add(files, Relaxed);
        self.bytes_total.fetch_add(bytes, Relaxed);
    }

    /// Says what the job is busy with.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// All counters now.
    pub fn counters(&self) -> Counters {
        Counters {
            phase: Phase::from_byte(self.phase.load(Relaxed)),
            files_done: self.files_done.load(Relaxed),
            files_total: self.files_total.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
            new_blocks: self.new_blocks.load(Relaxed),
            new_bytes: self.new_bytes.load(Relaxed),
            known_blocks: self.known_blocks.load(Relaxed),
            known_bytes: self.known_bytes.load(Relaxed),
        }
    }

    /// Asks the job to stop.
    pub fn request_stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether the job was asked to stop.
    pub fn should_stop(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Ends a job that was asked to stop, through `?`.
    pub fn check(&self) -> Result<()> {
        if self.should_stop() {
            return Err(Error::Interrupted);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_stops() {
        let stop = Arc::new(AtomicBool::new(false));
        let progress = Progress::new(stop.clone());
        progress.set_totals(3, 10);
        progress.add_totals(1, 1);
        progress.add(2, 7);
        progress.set_new(1, 4);
        progress.set_known(2, 3);
        // What a slower thread says late takes nothing back.
        progress.set_new(0, 2);
        progress.set_known(1, 1);
        for phase in [
            Phase::Scanning,
            Phase::Reading,
            Phase::Writing,
            Phase::Checking,
            Phase::Finishing,
            Phase::Starting,
        ] {
            progress.set_phase(phase);
            assert_eq!(progress.counters().phase, phase);
        }
        let now = progress.counters();
        assert_eq!((now.files_done, now.files_total), (2, 4));
        assert_eq!((now.bytes_done, now.bytes_total), (7, 11));
        assert_eq!((now.new_blocks, now.new_bytes), (1, 4));
        assert_eq!((now.known_blocks, now.known_bytes), (2, 3));
        assert!(progress.check().is_ok());
        stop.store(true, Relaxed);
        assert!(matches!(progress.check(), Err(Error::Interrupted)));
    }

    #[test]
    fn a_limit_is_kept() {
        let pace = Pace {
            bytes_per_second: 1000,
            begun: Instant::now(),
        };
        assert!(pace.wait(0).is_zero());
        let wait = pace.wait(60_000);
        assert!(
            wait > Duration::from_secs(50) && wait <= Duration::from_secs(60),
            "{wait:?}"
        );
        let stop = Arc::new(AtomicBool::new(true));
        Progress::new(stop).limit(1).add(1, u64::from(u32::MAX));
    }
}
