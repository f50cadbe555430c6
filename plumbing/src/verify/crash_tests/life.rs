//! The life of a repository on a recorded disk, and what must hold of it whatever happened.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Trial;
use crate::chunk;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Fate, Journal, SimulatedDisk, Tail};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::refs::{Expected, RefChange, Who};
use crate::repository::{InitOptions, Leans, OpenOptions, Repository, init};
use crate::snapshot::{self, About, Keep, Place};
use crate::store::data::format::FILE_HEADER_BYTES;
use crate::store::data::read::{Head, scan};
use crate::time::Timestamp;
use crate::verify::{Depth, Request, Target, run};
use crate::walk::{RuleOptions, Rules};

pub const LINES: [&str; 2] = ["refs/snapshots/main", "refs/snapshots/other"];
const BEGIN: u64 = 1_795_251_600;
/// So small that a file of some sectors has several blocks and an indirect one.
const CHUNKS: chunk::Params = chunk::Params {
    method: chunk::Method::FastCdc,
    min: 1 << 10,
    avg: 4 << 10,
    max: 16 << 10,
};

/// A source directory whose content is a function of a number.
pub struct Source(tempfile::TempDir);

impl Source {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file with the folders that lead to it.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Puts the directory into its `n`th state; times are set, so that every run sees the same.
    pub fn set(&self, n: u64) {
        let folder = self.0.path();
        fs::create_dir_all(folder.join("folder")).unwrap();
        let noise: Vec<u8> = (0..24_000 * (n % 2) as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761 + n as u32) >> 13) as u8)
            .collect();
        fs::write(folder.join("noise"), noise).unwrap();
        fs::write(folder.join("folder/changes"), format!("state {n} ").repeat(100)).unwrap();
        fs::write(folder.join(format!("folder/new-{n}")), n.to_le_bytes()).unwrap();
        fs::write(folder.join("stays"), "stays").unwrap();
        // Stored as the difference from what it was.
        let lines = (0..100u32).map(|i| format!("{:08x}\n", i.wrapping_mul(2_654_435_761)));
        let text: String = lines.chain(Some(n.to_string())).collect();
        fs::write(folder.join("grows"), text).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN);
        for name in [
            "stays",
            "noise",
            "folder/changes",
            "grows",
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

pub fn ghost_dir() -> &'static Path {
    Path::new("/r/.ghost")
}

pub fn open(disk: &Arc<dyn Disk>) -> Result<Repository> {
    Repository::open(disk.clone(), ghost_dir(), &OpenOptions::default())
}

pub fn make(disk: &Arc<dyn Disk>) -> Result<()> {
    let options = InitOptions {
        created: Timestamp::new(BEGIN as i64, 0),
        ..InitOptions::default()
    };
    init(disk, Path::new("/r"), &options).map(drop)
}

/// Takes the `n`th snapshot and moves both lines to it in one record.
pub fn take(disk: &Arc<dyn Disk>, source: &Source, n: u64) -> Result<ObjectId> {
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
        chunk: CHUNKS,
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
    repository.commit(&LINES.map(change), &who, "", Leans::Own)?;
    Ok(id)
}

/// Moves a line back and forth between values: one record of the log.
pub fn move_line(disk: &Arc<dyn Disk>, name: &str, values: &[ObjectId]) -> Result<()> {
    let refs = open(disk)?.refs;
    let now = refs.get(name)?;
    let change = RefChange {
        name: name.to_owned(),
        expected: Expected::Any,
        new: values.iter().find(|id| Some(**id) != now).copied(),
    };
    let who = Who {
        author: "who".into(),
        host: "host".into(),
        time: Timestamp::new(4_000_000_000, 0),
    };
    refs.transaction(&[change], &who, "").map(drop)
}

/// A life on a recorded disk. Mark n is written when value n is acknowledged, mark 0 with the repository.
pub struct Life {
    pub source: Source,
    /// The values that the lines took, none first.
    pub values: Vec<Option<ObjectId>>,
    pub journal: Journal,
}

/// A disk with the folder that the repository goes into.
pub fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    for folder in ["/", "/r"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

impl Life {
    /// A repository is made and takes this many snapshots, each of which moves both lines.
    pub fn new(snapshots: u64) -> Self {
        let source = Source::new();
        let disk = disk();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        make(&shared).unwrap();
        disk.mark(0);
        let mut values = vec![None];
        for n in 1..=snapshots {
            source.set(n);
            values.push(Some(take(&shared, &source, n).unwrap()));
            disk.mark(n);
        }
        Self {
            source,
            values,
            journal: disk.journal(),
        }
    }

    /// The objects that the repository held when it took the value number `at`.
    pub fn objects_of(&self, at: usize) -> Vec<ObjectId> {
        let mark = |count: &usize| self.journal.last_mark(*count) == Some(at as u64);
        let after = (0..=self.journal.ops().len()).find(mark).unwrap();
        let crash = Crash {
            after,
            fate: Fate::Kill,
            sector: 512,
            tail: Tail::Zeros,
            seed: 0,
        };
        let disk: Arc<dyn Disk> = Arc::new(self.journal.image(&crash));
        let store = open(&disk).unwrap().store;
        let mut ids = Vec::new();
        for (file, _) in store.data_files() {
            let mut note = |head: &Head| ids.extend(head.rows.iter().map(|row| row.id));
            scan(&file, FILE_HEADER_BYTES, 0, &mut note).unwrap();
        }
        ids
    }
}

impl Trial for Life {
    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn check(&self, image: MemoryDisk, mark: Option<u64>, crash: &Crash, goes_on: bool) {
        let disk = check(image, &self.values, mark, crash);
        if goes_on {
            go_on(&disk, &self.source, crash);
        }
    }
}

/// Reads everything and asks for it to be whole.
pub fn check_whole(repository: &Repository, snapshots: &[ObjectId], crash: &dyn std::fmt::Debug) {
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
        report.damage.retain(|error| !is_tail(&error.error));
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
pub fn go_on(disk: &Arc<dyn Disk>, source: &Source, crash: &dyn std::fmt::Debug) {
    let before = open(disk).unwrap().refs.get(LINES[0]).unwrap();
    let id = take(disk, source, 99).unwrap_or_else(|error| panic!("{crash:?}: the next snapshot: {error}"));
    let repository = open(disk).unwrap();
    assert_eq!(repository.refs.get(LINES[0]).unwrap(), Some(id), "{crash:?}");
    let snapshots: Vec<ObjectId> = before.into_iter().chain([id]).collect();
    check_whole(&repository, &snapshots, crash);
}

pub fn parents(repository: &Repository, snapshot: Option<ObjectId>) -> Vec<ObjectId> {
    let read = |id| crate::refs::revision::read_snapshot(&repository.store, &id);
    snapshot.map_or(Vec::new(), |id| read(id).unwrap().parents)
}
