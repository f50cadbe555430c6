//! The protocol between gc and those who write and read, model-checked with shuttle.
//!
//! What runs is the real code of all of them, each as a process of its own, on a disk in memory; every operation of that disk
//! but reading and writing at an offset is a point at which another process may go on. Two explorers decide who:
//!
//! - [`Preempting`] tries every schedule in which processes are stopped at most so many times
//!   (`GHOST_GC_PREEMPTIONS`, else 1) and otherwise run until they end or wait for a lock. Most errors of this kind need
//!   two at most (Musuvathi and Qadeer, "Iterative context bounding", 2007).
//! - shuttle's PCT stops them at random moments of a bounded number (`GHOST_GC_PCT` schedules, else 150): an error that
//!   needs two particular ones in k steps of n processes is met with probability 1/(n k) in each.
//!
//! `GHOST_TEST_MINUTES` ends each of the two after an eighth of that time, so that all models have their turn. A failure
//! prints a schedule, which `shuttle::replay` repeats.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, Runner};

use super::*;
use crate::disk::{DiskFile, LockKind, Mapped, OpenMode};

thread_local! {
    /// Whether this thread runs the processes of a model. Threads that these start run with them.
    static IS_MODEL: Cell<bool> = const { Cell::new(false) };
}

/// Lets another process go on, or this one.
fn pause() {
    if IS_MODEL.get() {
        shuttle::thread::sleep(Duration::ZERO);
    }
}

/// A disk on which processes take turns.
#[derive(Clone, Debug)]
struct ModelDisk(MemoryDisk);

#[derive(Debug)]
struct ModelFile(Arc<dyn DiskFile>);

impl DiskFile for ModelFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        pause();
        self.0.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        pause();
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        pause();
        self.0.try_lock(kind)
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        pause();
        while !self.0.try_lock(kind)? {
            shuttle::thread::yield_now();
        }
        Ok(())
    }

    fn unlock(&self) -> io::Result<()> {
        pause();
        self.0.unlock()
    }
}

impl Disk for ModelDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        pause();
        Ok(Arc::new(ModelFile(self.0.open(path, mode)?)))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        pause();
        self.0.map(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        pause();
        self.0.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.0.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        pause();
        self.0.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        pause();
        self.0.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        pause();
        self.0.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.random(bytes)
    }
}

/// Tries all schedules with at most so many preemptions, depth first.
///
/// The task that begins the others runs whenever it can. Who waits for a lock lets the next one go on, in turn.
#[derive(Debug)]
struct Preempting {
    most: usize,
    /// What was chosen at each choice of the schedule before, among how many.
    path: Vec<(usize, usize)>,
    /// Choices made in this schedule.
    at: usize,
    left: usize,
    is_begun: bool,
    /// Set when all schedules were tried.
    is_done: Arc<AtomicBool>,
}

impl Preempting {
    fn new(most: usize, is_done: Arc<AtomicBool>) -> Self {
        Self {
            most,
            path: Vec::new(),
            at: 0,
            left: most,
            is_begun: false,
            is_done,
        }
    }

    /// One of so many, as it is this schedule's turn.
    fn choose(&mut self, count: usize) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, count));
        }
        let chosen = self.path[self.at].0.min(count - 1);
        self.at += 1;
        chosen
    }
}

impl Scheduler for Preempting {
    fn new_execution(&mut self) -> Option<Schedule> {
        if std::mem::replace(&mut self.is_begun, true) {
            // What was not reached this time is not known any more.
            self.path.truncate(self.at);
            while self.path.last().is_some_and(|(chosen, count)| chosen + 1 >= *count) {
                self.path.pop();
            }
            match self.path.last_mut() {
                Some(last) => last.0 += 1,
                None => {
                    self.is_done.store(true, Ordering::Relaxed);
                    return None;
                }
            }
        }
        (self.at, self.left) = (0, self.most);
        Some(Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let ids: Vec<TaskId> = runnable.iter().map(|task| task.id()).collect();
        let at = current.and_then(|current| ids.iter().position(|id| *id == current));
        let first = TaskId::from(0);
        if ids.contains(&first) || ids.len() == 1 {
            return ids.first().copied();
        }
        match at {
            Some(at) if is_yielding => Some(ids[(at + 1) % ids.len()]),
            Some(at) if self.left == 0 => Some(ids[at]),
            Some(at) => {
                // First all others in turn come last, so that few preemptions are tried before many.
                let chosen = self.choose(ids.len());
                self.left -= usize::from(chosen > 0);
                Some(ids[(at + chosen) % ids.len()])
            }
            None => Some(ids[self.choose(ids.len())]),
        }
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

/// What snapshots hold, by id.
type Known = BTreeMap<ObjectId, Files>;

/// A process: what it does with the disk.
type Process = fn(&Arc<dyn Disk>);

const OTHER: &str = "refs/snapshots/other";

fn files(n: u64) -> Files {
    let file = |name: &str, seed| (("d".to_owned(), name.to_owned()), Dice::new(seed).bytes(400));
    Files::from([file("same", 1), file("own", n)])
}

/// A line that stays, and one that was deleted: what it held is dead, and may be wanted again.
fn begin() -> (MemoryDisk, Known) {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut known = Known::new();
    for (line, n) in [(MAIN, 2), (OTHER, 3)] {
        let id = take(&open(&disk).unwrap(), line, &files(n), line).unwrap();
        known.insert(id, files(n));
    }
    (memory, known)
}

/// Runs processes in all the orders, and looks at what is left after each. `drop_other` deletes the second line before.
fn explore(what: &str, drop_other: bool, processes: &[Process]) {
    let (memory, mut known) = begin();
    if drop_other {
        delete(&open(&(Arc::new(memory.clone()) as Arc<dyn Disk>)).unwrap(), OTHER);
    }
    // What the processes may store: the same whoever comes first.
    let scratch: Arc<dyn Disk> = Arc::new(memory.copy(1 << 40));
    for parents in [Vec::new(), known.keys().copied().collect::<Vec<_>>()] {
        for parents in parents.iter().map(|id| vec![*id]).chain([Vec::new()]) {
            let repository = open(&scratch).unwrap();
            let writer = repository.store.writer().unwrap();
            let id = put(&writer, &files(3), parents, "written").unwrap();
            known.insert(id, files(3));
        }
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<usize>().unwrap());
    let (most, is_done) = (number("GHOST_GC_PREEMPTIONS").unwrap_or(1), Arc::default());
    let preempting = Preempting::new(most, Arc::clone(&is_done));
    let random = PctScheduler::new_from_seed(7, 3, number("GHOST_GC_PCT").unwrap_or(150));
    let schedulers: [Box<dyn Scheduler + Send>; 2] = [Box::new(preempting), Box::new(random)];
    let (known, processes) = (Arc::new(known), processes.to_vec());
    let mut tried = Vec::new();
    for scheduler in schedulers {
        let (memory, known, processes) = (memory.clone(), known.clone(), processes.clone());
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        config.max_time = number("GHOST_TEST_MINUTES").map(|minutes| Duration::from_secs(60 * minutes as u64 / 8));
        IS_MODEL.set(true);
        tried.push(Runner::new(scheduler, config).run(move || {
            let memory = memory.copy(1 << 41);
            let disk: Arc<dyn Disk> = Arc::new(ModelDisk(memory.clone()));
            let start = |process: Process| {
                let disk = disk.clone();
                shuttle::thread::spawn(move || process(&disk))
            };
            let running: Vec<_> = processes.iter().map(|process| start(*process)).collect();
            running.into_iter().for_each(|process| process.join().unwrap());
            let disk: Arc<dyn Disk> = Arc::new(memory);
            for _ in 0..2 {
                check(&open(&disk).unwrap(), &known, &"afterwards");
                collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
            }
        }));
        IS_MODEL.set(false);
    }
    println!(
        "figure: {what}: {} {} schedules with at most {most} preemptions, {} at random",
        if is_done.load(Ordering::Relaxed) {
            "all"
        } else {
            "the first"
        },
        tried[0],
        tried[1]
    );
    // Where there is a limit of time, it says nothing of the model how far that goes.
    let is_limited = number("GHOST_TEST_MINUTES").is_some();
    assert!(
        tried[0] > if is_limited { 0 } else { 100 },
        "{what}: hardly any order was tried: {tried:?}"
    );
}

fn gc(disk: &Arc<dyn Disk>) {
    match open(disk).and_then(|repository| collect(&repository, Allowance::Share(0))) {
        Ok(_) | Err(Error::Busy { .. }) => {}
        Err(error) => panic!("gc: {error}"),
    }
}

/// Stores what the deleted line held, and names it.
fn writer(disk: &Arc<dyn Disk>) {
    let repository = open(disk).unwrap();
    let before = repository.refs.get(MAIN).unwrap();
    let pending = repository.store.writer().unwrap();
    let id = put(&pending, &files(3), before.into_iter().collect(), "written").unwrap();
    drop(pending);
    let change = set(MAIN, before.map_or(Expected::Absent, Expected::Is), Some(id));
    repository.commit(&[change], &who(), "", Leans::Own).unwrap();
}

/// Names the newest snapshot of the deleted line, which may be going.
fn namer(disk: &Arc<dyn Disk>) {
    let repository = open(disk).unwrap();
    let records = repository.refs.history(OTHER).unwrap();
    let old = records.iter().find_map(|record| record.old).unwrap();
    let change = set("refs/tags/t", Expected::Absent, Some(old));
    match repository.commit(&[change], &who(), "", Leans::Anything) {
        // It was collected before.
        Ok(_) | Err(Error::Incomplete { .. }) => {}
        Err(error) => panic!("namer: {error}"),
    }
}

/// Reads all that refs name at one moment, however long that takes.
fn reader(disk: &Arc<dyn Disk>) {
    let repository = open(disk).unwrap();
    let (_, values) = values(&repository.refs).unwrap();
    for (name, id) in values {
        let found = restore(&repository, &id).unwrap_or_else(|error| panic!("reader: {name}: {error}"));
        assert!(found == files(2) || found == files(3), "reader: {name}");
    }
}

/// Deletes the second line and collects.
fn dropper(disk: &Arc<dyn Disk>) {
    delete(&open(disk).unwrap(), OTHER);
    gc(disk);
}

#[test]
fn what_a_writer_leans_on_is_there_when_a_ref_names_it() {
    explore("writer and gc", true, &[writer, gc]);
}

#[test]
fn what_is_named_while_it_goes_is_whole_or_refused() {
    explore("update-ref and gc", true, &[namer, gc]);
}

#[test]
fn a_reader_goes_on_whatever_is_freed() {
    explore("reader, deletion and gc", false, &[reader, dropper]);
}

#[test]
fn two_collect_while_one_writes() {
    explore("writer and two gcs", true, &[gc, writer, gc]);
}
