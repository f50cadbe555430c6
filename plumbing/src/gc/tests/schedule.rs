//! Several processes on one disk, one of which runs at a time: a seed decides at each operation who goes on.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::Dice;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, DiskFile, LockKind, Mapped, OpenMode};

thread_local! {
    /// The process that this thread is; threads that a process starts run with it.
    static PROCESS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Who runs.
#[derive(Debug)]
pub(super) struct Scheduler {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    running: Option<usize>,
    alive: Vec<usize>,
    begun: bool,
}

impl Scheduler {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let state = State {
            dice: Dice::new(seed),
            running: None,
            alive: Vec::new(),
            begun: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Runs all processes to their ends.
    pub(super) fn run(self: &Arc<Self>, processes: Vec<Box<dyn FnOnce() + Send>>) {
        self.state.lock().alive = (0..processes.len()).collect();
        std::thread::scope(|threads| {
            for (number, process) in processes.into_iter().enumerate() {
                let this = self.clone();
                threads.spawn(move || {
                    PROCESS.set(Some(number));
                    // Given back whether the process ends or panics.
                    let _end = End(&this, number);
                    this.wait(number);
                    process();
                });
            }
            let mut state = self.state.lock();
            state.begun = true;
            state.running = Some(0);
            drop(state);
            self.changed.notify_all();
        });
    }

    fn wait(&self, number: usize) {
        let mut state = self.state.lock();
        while state.running != Some(number) {
            self.changed.wait(&mut state);
        }
    }

    /// Lets another process go on, or this one.
    fn pause(&self) {
        let Some(number) = PROCESS.get() else { return };
        let mut state = self.state.lock();
        if !state.begun {
            return;
        }
        let count = state.alive.len() as u64;
        // Mostly the same goes on, so that others meet it at any distance.
        if state.dice.below(3) != 0 {
            return;
        }
        let next = state.dice.below(count) as usize;
        state.running = state.alive.get(next).copied();
        drop(state);
        self.changed.notify_all();
        self.wait(number);
    }
}

struct End<'s>(&'s Scheduler, usize);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.alive.retain(|number| *number != self.1);
        let count = state.alive.len() as u64;
        state.running = match count {
            0 => None,
            count => {
                let next = state.dice.below(count) as usize;
                state.alive.get(next).copied()
            }
        };
        drop(state);
        self.0.changed.notify_all();
    }
}

/// A disk on which processes take turns.
#[derive(Clone, Debug)]
pub(super) struct ScheduledDisk {
    pub(super) memory: MemoryDisk,
    pub(super) scheduler: Arc<Scheduler>,
}

#[derive(Debug)]
struct ScheduledFile {
    file: Arc<dyn DiskFile>,
    scheduler: Arc<Scheduler>,
}

impl DiskFile for ScheduledFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.scheduler.pause();
        self.file.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.scheduler.pause();
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.scheduler.pause();
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.scheduler.pause();
        self.file.sync_data()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.scheduler.pause();
        self.file.try_lock(kind)
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        while !self.file.try_lock(kind)? {
            self.scheduler.pause();
        }
        Ok(())
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

impl Disk for ScheduledDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.scheduler.pause();
        let file = self.memory.open(path, mode)?;
        let scheduler = self.scheduler.clone();
        Ok(Arc::new(ScheduledFile { file, scheduler }))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.scheduler.pause();
        self.memory.map(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.scheduler.pause();
        self.memory.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.memory.create_dir(path)
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.memory.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.scheduler.pause();
        self.memory.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.scheduler.pause();
        self.memory.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.scheduler.pause();
        self.memory.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.memory.sync_dir(path)
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.memory.random(bytes)
    }
}
