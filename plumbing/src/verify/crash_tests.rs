//! Crashes at every step of a repository's life: it opens to the old state or the new, what was acknowledged is there,
//! everything reachable verifies, and the next snapshot finds a repository to go on with.
//!
//! `GHOST_CRASH_IMAGES` says how many power cuts are tried; a failure prints the [`Crash`] that repeats it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Fate, Fault, Injection, Journal, SimulatedDisk, Tail};
use crate::refs::{Expected, RefChange, Who};
use crate::repository::{InitOptions, OpenOptions, Repository, init};
use crate::snapshot::{self, About, Keep, Place};
use crate::time::Timestamp;
use crate::walk::{RuleOptions, Rules};

const LINES: [&str; 2] = ["refs/snapshots/main", "refs/snapshots/other"];
const BEGIN: u64 = 1_795_251_600;

/// A source directory whose content is a function of a number.
struct Source(tempfile::TempDir);

impl Source {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Puts the directory into its `n`th state; times are set, so that every run sees the same.
    fn set(&self, n: u64) {
        let folder = self.0.path();
        fs::create_dir_all(folder.join("folder")).unwrap();
        let noise: Vec<u8> = (0..200_000 * (n % 2) as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761 + n as u32) >> 13) as u8)
            .collect();
        fs::write(folder.join("noise"), noise).unwrap();
        fs::write(folder.join("folder/changes"), format!("state {n} ").repeat(100)).unwrap();
        fs::write(folder.join(format!("folder/new-{n}")), n.to_le_bytes()).unwrap();
        fs::write(folder.join("stays"), "stays").unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN);
        for name in [
            "stays",
            "noise",
            "folder/changes",
            &format!("folder/new-{n}"),
            "folder",
            ".",
        ] {
            let later = Duration::from_secs(if name == "stays" { 0 } else { n });
            fs::File::open(folder.join(name))
                .unwrap()
                .set_modified(at + later)
                .unwrap();
        }
    }
}

fn ghost_dir() -> &'static Path {
    Path::new("/r/.ghost")
}

fn open(disk: &Arc<dyn Disk>) -> Result<Repository> {
    Repository::open(disk.clone(), ghost_dir(), &OpenOptions::default())
}

fn make(disk: &Arc<dyn Disk>) -> Result<()> {
    let options = InitOptions {
        created: Timestamp::new(BEGIN as i64, 0),
        ..InitOptions::default()
    };
    init(disk, Path::new("/r"), &options).map(drop)
}

/// Takes the `n`th snapshot and moves both lines to it in one record.
fn take(disk: &Arc<dyn Disk>, source: &Source, n: u64) -> Result<ObjectId> {
    let repository = open(disk)?;
    let time = Timestamp::new(4_000_000_000 + n as i64, 0);
    let before = repository.refs.get(LINES[0])?;
    let request = snapshot::Request {
        roots: vec![source.0.path().to_owned()],
        rules: Rules::new(RuleOptions::default()),
        rules_text: Vec::new(),
        trust_hash: false,
        dry_run: false,
        keep: Keep::Everything,
        threads: 1,
        chunk: repository.settings().chunk_params(),
        xattrs: true,
        birth_time: false,
        began: time,
        coarse: Duration::from_secs(1),
        unless_same_as: None,
        about: About {
            time,
            offset_minutes: 0,
            host: "host".into(),
            author: "who".into(),
            message: n.to_string(),
            tags: Vec::new(),
            parents: before.into_iter().collect(),
        },
    };
    let place = Place {
        disk: &**disk,
        ghost_dir: Some(ghost_dir().to_owned()),
        uuid: repository.format.uuid,
        store: &repository.store,
    };
    let id = snapshot::take(&place, &request, &Progress::default())?.id;
    let change = |name: &str| RefChange {
        name: name.to_owned(),
        expected: before.map_or(Expected::Absent, Expected::Is),
        new: Some(id),
    };
    let who = Who {
        author: "who".into(),
        host: "host".into(),
        time,
    };
    repository.refs.transaction(&LINES.map(change), &who, "")?;
    Ok(id)
}

/// A life on a recorded disk: the values that the lines took, none first, and what was done. Mark n is written when
/// value n is acknowledged, mark 0 with the repository.
fn life(source: &Source, snapshots: u64) -> (Vec<Option<ObjectId>>, Journal) {
    let disk = SimulatedDisk::default();
    for folder in ["/", "/r"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    disk.sync_dir(Path::new("/")).unwrap();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    make(&shared).unwrap();
    disk.mark(0);
    let mut values = vec![None];
    for n in 1..=snapshots {
        source.set(n);
        values.push(Some(take(&shared, source, n).unwrap()));
        disk.mark(n);
    }
    (values, disk.journal())
}

/// Reads everything and asks for it to be whole.
fn check_whole(repository: &Repository, snapshots: &[ObjectId], crash: &dyn std::fmt::Debug) {
    let targets = snapshots
        .iter()
        .map(|id| Target::snapshot(id.to_string(), *id))
        .collect();
    let request = Request {
        targets,
        everything: true,
        depth: Depth::Data,
        threads: 1,
    };
    let report = run(
        &repository.store,
        Some(&repository.refs),
        &request,
        &Progress::default(),
    );
    let mut report = report.unwrap_or_else(|error| panic!("{crash:?}: {error}"));
    let refs = repository.refs.verify().unwrap();
    if let Some(tail) = refs.torn_tail.filter(|tail| tail.looks_complete) {
        // An append that lost its middle looks like a last record that was damaged later; verify says so to be safe.
        let log = repository.refs.log_path();
        let is_tail = |error: &Error| matches!(error, Error::Damaged { path, offset, .. } if path == log && *offset == tail.offset);
        report.damage.retain(|error| !is_tail(error));
    }
    assert!(report.is_clean(), "{crash:?}: {report:?}");
}

/// Looks at what a crash left: the state must be one of those that the marks allow, and whole.
fn check(image: MemoryDisk, values: &[Option<ObjectId>], mark: Option<u64>, crash: &Crash) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(image);
    let repository = match (open(&disk), mark) {
        (Ok(repository), _) => repository,
        (Err(_), None) => {
            make(&disk).unwrap_or_else(|error| panic!("{crash:?}: init again: {error}"));
            open(&disk).unwrap_or_else(|error| panic!("{crash:?}: after init again: {error}"))
        }
        (Err(error), Some(_)) => panic!("{crash:?}: {error}"),
    };
    let [main, other] = LINES.map(|name| repository.refs.get(name));
    let main = main.unwrap_or_else(|error| panic!("{crash:?}: {error}"));
    assert_eq!(main, other.unwrap(), "{crash:?}: half of a record");
    let at = values.iter().position(|value| *value == main);
    let acknowledged = mark.unwrap_or(0) as usize;
    let allowed = acknowledged..=acknowledged + 1;
    assert!(
        at.is_some_and(|at| allowed.contains(&at)),
        "{crash:?}: {at:?}, not in {allowed:?}"
    );
    let there: Vec<ObjectId> = values[..=at.unwrap_or(0)].iter().flatten().copied().collect();
    check_whole(&repository, &there, crash);
    disk
}

/// Goes on where a crash stopped, and asks for everything to be whole afterwards.
fn go_on(disk: &Arc<dyn Disk>, source: &Source, crash: &dyn std::fmt::Debug) {
    let before = open(disk).unwrap().refs.get(LINES[0]).unwrap();
    let id = take(disk, source, 99).unwrap_or_else(|error| panic!("{crash:?}: the next snapshot: {error}"));
    let repository = open(disk).unwrap();
    assert_eq!(repository.refs.get(LINES[0]).unwrap(), Some(id), "{crash:?}");
    let snapshots: Vec<ObjectId> = before.into_iter().chain([id]).collect();
    check_whole(&repository, &snapshots, crash);
}

fn parents(repository: &Repository, snapshot: Option<ObjectId>) -> Vec<ObjectId> {
    let read = |id| crate::refs::revision::read_snapshot(&repository.store, &id);
    snapshot.map_or(Vec::new(), |id| read(id).unwrap().parents)
}

fn images() -> u64 {
    std::env::var("GHOST_CRASH_IMAGES").map_or(3000, |count| count.parse().unwrap())
}

#[test]
fn a_kill_after_any_operation_leaves_the_old_state_or_the_new() {
    let source = Source::new();
    let (values, journal) = life(&source, 4);
    for after in 3..=journal.ops().len() {
        let crash = Crash {
            after,
            fate: Fate::Kill,
            sector: 512,
            tail: Tail::Zeros,
            seed: 0,
        };
        let disk = check(journal.image(&crash), &values, journal.last_mark(after), &crash);
        go_on(&disk, &source, &crash);
    }
}

#[test]
fn a_power_cut_leaves_the_old_state_or_the_new() {
    let source = Source::new();
    let (values, journal) = life(&source, 4);
    let steps = journal.ops().len() as u64 - 2;
    for seed in 0..images() {
        let crash = Crash {
            after: 3 + (seed % steps) as usize,
            fate: Fate::PowerCut,
            sector: if (seed / steps).is_multiple_of(2) { 512 } else { 4096 },
            tail: if (seed / steps / 2).is_multiple_of(2) {
                Tail::Zeros
            } else {
                Tail::Garbage
            },
            seed,
        };
        let disk = check(journal.image(&crash), &values, journal.last_mark(crash.after), &crash);
        if (seed / steps).is_multiple_of(4) {
            go_on(&disk, &source, &crash);
        }
    }
}

#[test]
fn a_failing_disk_never_earns_a_false_done_and_the_next_run_completes() {
    let source = Source::new();
    let kinds = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other];
    let faults = kinds
        .into_iter()
        .flat_map(|kind| [Fault::Fails(kind), Fault::Half(kind)]);
    for (fault, count) in faults.flat_map(|fault| [(fault, 1), (fault, usize::MAX)]) {
        for from in 0.. {
            let disk = SimulatedDisk::default();
            for folder in ["/", "/r"] {
                disk.create_dir(Path::new(folder)).unwrap();
            }
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            make(&shared).unwrap();
            source.set(1);
            let first = take(&shared, &source, 1).unwrap();
            source.set(2);
            let injection = Injection {
                from: disk.asked() + from,
                count,
                fault,
            };
            disk.inject(Some(injection));
            let result = take(&shared, &source, 2);
            let reached = disk.asked() > injection.from;
            disk.inject(None);
            let what = (injection, result.as_ref().map_err(ToString::to_string));
            let repository = open(&shared).unwrap_or_else(|error| panic!("{what:?}: {error}"));
            let main = repository.refs.get(LINES[0]).unwrap();
            match &result {
                Ok(second) => assert_eq!(main, Some(*second), "{what:?}"),
                // What was not acknowledged may be there all the same, but nothing else. That it is whole is checked below.
                Err(_) => assert!(main == Some(first) || parents(&repository, main) == [first], "{what:?}"),
            }
            let there: Vec<ObjectId> = [Some(first), main].into_iter().flatten().collect();
            check_whole(&repository, &there, &what);
            drop(repository);
            go_on(&shared, &source, &what);
            if !reached {
                assert!(result.is_ok(), "{what:?}: nothing failed");
                break;
            }
        }
    }
}

/// A log with checkpoints: each record moves two refs.
fn life_of_refs(records: u64) -> Journal {
    let disk = SimulatedDisk::default();
    for folder in ["/", "/refs"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    disk.sync_dir(Path::new("/")).unwrap();
    let refs = RefStore::create(Arc::new(disk.clone()), Path::new("/refs"), [7; 16]).unwrap();
    disk.mark(0);
    for n in 1..=records {
        move_refs(&refs, n).unwrap();
        disk.mark(n);
    }
    disk.journal()
}

fn move_refs(refs: &RefStore, n: u64) -> Result<()> {
    let change = |name: &str| RefChange {
        name: name.to_owned(),
        expected: Expected::Any,
        new: Some(ref_value(n)),
    };
    let who = Who {
        author: "who".into(),
        host: "host".into(),
        time: Timestamp::new(n as i64, 0),
    };
    refs.transaction(&LINES.map(change), &who, "").map(drop)
}

fn ref_value(n: u64) -> ObjectId {
    ObjectId::hash(crate::object::HashAlgo::Sha256, &n.to_le_bytes())
}

#[test]
fn a_power_cut_leaves_a_log_with_its_checkpoints_whole() {
    let records = crate::refs::CHECKPOINT_EVERY_RECORDS + 20;
    let journal = life_of_refs(records);
    // Most of what happens around a checkpoint is at the end.
    let steps = journal.ops().len() as u64 - 2;
    for seed in 0..images() / 4 {
        let back = if seed % 2 == 0 { seed % 120 } else { seed * 7 % steps };
        let crash = Crash {
            after: journal.ops().len() - back as usize,
            fate: Fate::PowerCut,
            sector: if seed % 3 == 0 { 4096 } else { 512 },
            tail: if seed % 5 < 2 { Tail::Garbage } else { Tail::Zeros },
            seed,
        };
        let Some(mark) = journal.last_mark(crash.after) else {
            continue;
        };
        let image: Arc<dyn Disk> = Arc::new(journal.image(&crash));
        let refs = RefStore::open(image, Path::new("/refs"), [7; 16]);
        let [main, other] = LINES.map(|name| refs.get(name).unwrap_or_else(|error| panic!("{crash:?}: {error}")));
        assert_eq!(main, other, "{crash:?}");
        let value = |n| (n > 0).then(|| ref_value(n));
        assert!(main == value(mark) || main == value(mark + 1), "{crash:?}");
        move_refs(&refs, 1000).unwrap_or_else(|error| panic!("{crash:?}: {error}"));
        let report = refs.verify().unwrap();
        assert!(
            report.problems.is_empty() && report.torn_tail.is_none(),
            "{crash:?}: {report:?}"
        );
        assert_eq!(refs.get(LINES[0]).unwrap(), Some(ref_value(1000)), "{crash:?}");
    }
}
