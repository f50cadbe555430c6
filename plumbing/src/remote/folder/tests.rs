//! Plain folders: what is done to them, crashes at every step, and writers that meet; [`compacting`]: many pushes.

mod compacting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{FolderDisk, init, open};
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Fate, Op, SimulatedDisk, Tail};
use crate::disk::{Disk, DiskFile, Mapped, OpenMode};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::remote::client::Pushed;
use crate::remote::pack::read::PackLimits;
use crate::remote::policy::Policy;
use crate::remote::server::Export;
use crate::remote::tests::world::*;
use crate::repository::{InitOptions, OpenOptions, Repository};

const ROOT: &str = "/f";

/// A disk with an empty plain folder.
fn made() -> MemoryDisk {
    let memory = MemoryDisk::with_seed(77_000);
    for folder in ["/", ROOT] {
        memory.create_dir(Path::new(folder)).unwrap();
    }
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    assert!(init(&disk, Path::new(ROOT), &InitOptions::default()).unwrap());
    assert!(!init(&disk, Path::new(ROOT), &InitOptions::default()).unwrap());
    memory
}

fn opened(disk: &Arc<dyn Disk>) -> Repository {
    open(disk.clone(), Path::new(ROOT), &OpenOptions::default()).unwrap()
}

fn served(disk: &Arc<dyn Disk>) -> One {
    One::new(Export {
        name: "folder".to_owned(),
        repository: opened(disk),
        policy: Policy::default(),
        limits: PackLimits::default(),
    })
}

fn push_into(disk: &Arc<dyn Disk>, side: &Side, names: &[&str]) -> Result<Pushed> {
    with_server(side, &served(disk), |client| push(client, side, names))
}

fn refs(disk: &Arc<dyn Disk>) -> Vec<(String, ObjectId)> {
    opened(disk).refs.list("refs/").unwrap()
}

fn get(disk: &Arc<dyn Disk>, name: &str) -> Option<ObjectId> {
    opened(disk).refs.get(name).unwrap()
}

fn shared(disk: &(impl Disk + Clone + 'static)) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

#[test]
fn snapshots_go_there_and_come_back() {
    let disk = shared(&made());
    let local = Side::new(1);
    let first = local.commit(MAIN, &[("a", b"1"), ("d/b", &noise(1, 200_000))]);
    local.set("refs/tags/v1", Some(first));
    let pushed = push_into(&disk, &local, &[MAIN, "refs/tags/v1"]).unwrap();
    assert_eq!(pushed.snapshots, 1);
    assert!(push_into(&disk, &local, &[MAIN]).unwrap().reply.is_none());
    let second = local.commit(MAIN, &[("a", b"2"), ("d/b", &noise(1, 200_000))]);
    let count = push_into(&disk, &local, &[MAIN]).unwrap().count;
    assert!(count.bytes < 2000, "{count:?}");
    assert_eq!(get(&disk, MAIN), Some(second));
    verify_all(&opened(&disk));
    let other = Side::new(2);
    let fetched = with_server(&other, &served(&disk), |client| fetch(client, &other).unwrap());
    assert_eq!(fetched.snapshots, 2);
    other.verify();
    // What the other adds comes back to the first.
    let tip = other.get("refs/remotes/origin/main").unwrap();
    let third = other.store(&[("a", b"3")], &[tip]);
    other.set(MAIN, Some(third));
    push_into(&disk, &other, &[MAIN]).unwrap();
    with_server(&local, &served(&disk), |client| fetch(client, &local).unwrap());
    assert_eq!(local.get("refs/remotes/origin/main"), Some(third));
    local.verify();
    let error = push_into(&disk, &local, &["refs/snapshots/nobody"]);
    assert!(error.is_ok_and(|pushed| pushed.reply.is_none()));
}

/// Files are made, appended to and renamed to names that nobody has, and that is all.
#[test]
fn nothing_is_written_over_cut_or_removed() {
    let disk = SimulatedDisk::on(made());
    let folder = shared(&disk);
    let local = Side::new(1);
    for round in 0..20u8 {
        local.commit(MAIN, &[("a", &[round]), ("b", &noise(u64::from(round), 5000))]);
        push_into(&folder, &local, &[MAIN]).unwrap();
    }
    let mut ends: HashMap<u64, u64> = HashMap::new();
    let mut names: Vec<PathBuf> = Vec::new();
    for op in disk.journal().ops() {
        match op {
            Op::Create { path, .. } => names.push(path.clone()),
            Op::Write { inode, offset, bytes } => {
                let end = ends.entry(*inode).or_default();
                assert_eq!(offset, end, "{op:?}");
                *end += bytes.len() as u64;
            }
            Op::Rename { from, to } => {
                assert!(!names.contains(to), "{op:?}");
                names.retain(|name| name != from);
                names.push(to.clone());
            }
            Op::CreateDir(_) | Op::SyncData { .. } | Op::SyncDir(_) | Op::Mark(_) => {}
            Op::SetLen { .. } | Op::SyncFailed { .. } | Op::Remove(_) => panic!("{op:?}"),
        }
    }
    verify_all(&opened(&folder));
}

/// A push that a crash ended, after each operation; what is found is the old state or the new.
#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_acknowledged() {
    let local = Side::new(1);
    let first = local.commit(MAIN, &[("a", b"1"), ("b", &noise(1, 3000))]);
    let memory = made();
    push_into(&shared(&memory), &local, &[MAIN]).unwrap();
    let disk = SimulatedDisk::on(memory);
    let second = local.commit(MAIN, &[("a", b"2"), ("b", &noise(2, 3000))]);
    push_into(&shared(&disk), &local, &[MAIN]).unwrap();
    disk.mark(1);
    let journal = disk.journal();
    let other = Side::new(2);
    let aside = other.commit("refs/snapshots/other", &[("x", b"of somebody else")]);
    for after in 0..=journal.ops().len() {
        for seed in 0..12u64 {
            let crash = Crash {
                after,
                fate: if seed == 0 { Fate::Kill } else { Fate::PowerCut },
                sector: 512,
                tail: if seed % 2 == 0 { Tail::Zeros } else { Tail::Garbage },
                seed: seed * 1000 + after as u64,
            };
            let image = shared(&journal.image(&crash));
            let found = get(&image, MAIN);
            let is_new = found == Some(second);
            assert!(is_new || found == Some(first), "{crash:?}");
            assert!(is_new || journal.last_mark(after).is_none(), "{crash:?}");
            verify_all(&opened(&image));
            if seed < 3 {
                // Somebody else goes on, and so does who was interrupted.
                push_into(&image, &other, &["refs/snapshots/other"]).unwrap();
                push_into(&image, &local, &[MAIN]).unwrap();
                let expected = [(MAIN.to_owned(), second), ("refs/snapshots/other".to_owned(), aside)];
                assert_eq!(refs(&image), expected, "{crash:?}");
                verify_all(&opened(&image));
            }
        }
    }
}

type Act = Box<dyn FnOnce() + Send>;

/// A disk on which somebody else does something before one of the operations.
struct Meanwhile {
    inner: Arc<dyn Disk>,
    asked: AtomicUsize,
    at: usize,
    act: Mutex<Option<Act>>,
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Meanwhile({})", self.at)
    }
}

/// A view of `memory` on which `act` is done before the operation number `at`.
fn meanwhile(memory: &MemoryDisk, at: usize, act: Act) -> Arc<dyn Disk> {
    Arc::new(Meanwhile {
        inner: shared(memory),
        asked: AtomicUsize::new(0),
        at,
        act: Mutex::new(Some(act)),
    })
}

impl Meanwhile {
    fn step(&self) {
        if self.asked.fetch_add(1, Ordering::Relaxed) == self.at {
            let act = self.act.lock().take();
            act.into_iter().for_each(|act| act());
        }
    }
}

impl Disk for Meanwhile {
    fn open(&self, path: &Path, mode: OpenMode) -> std::io::Result<Arc<dyn DiskFile>> {
        self.step();
        self.inner.open(path, mode)
    }

    fn map(&self, path: &Path) -> std::io::Result<Mapped> {
        self.inner.map(path)
    }

    fn list(&self, path: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
        self.step();
        self.inner.list(path)
    }

    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        self.step();
        self.inner.create_dir(path)
    }

    fn folder_owner(&self, path: &Path) -> std::io::Result<u32> {
        self.inner.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.step();
        self.inner.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.step();
        self.inner.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.step();
        self.inner.sync_dir(path)
    }

    fn random(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.inner.random(bytes)
    }
}

/// Two push at once, `name` each: the second does all of it before some operation of the first, whichever that is. Tells of
/// each round what is there afterwards and who was told that it was done.
fn at_once(names: [&'static str; 2], mut check: impl FnMut(&Arc<dyn Disk>, [bool; 2], [ObjectId; 2])) {
    for at in 0.. {
        let memory = made();
        let base = Side::new(3);
        base.commit(MAIN, &[("base", b"of all")]);
        push_into(&shared(&memory), &base, &[MAIN]).unwrap();
        let sides = [Side::new(1), Side::new(2)];
        let mut tips = Vec::new();
        for (side, name) in sides.iter().zip(names) {
            with_server(side, &served(&shared(&memory)), |client| fetch(client, side).unwrap());
            let tip = side.get("refs/remotes/origin/main").unwrap();
            let content = side.open().format.uuid;
            let next = side.store(&[("base", b"of all"), ("own", &content)], &[tip]);
            side.set(name, Some(next));
            tips.push(next);
        }
        let [one, two] = sides;
        let done = Arc::new(Mutex::new(None));
        let (disk, noted) = (shared(&memory), done.clone());
        let act: Act = Box::new(move || {
            let pushed = push_into(&disk, &two, &[names[1]]);
            *noted.lock() = Some(pushed.is_ok());
        });
        let first = push_into(&meanwhile(&memory, at, act), &one, &[names[0]]);
        let Some(second) = done.lock().take() else {
            assert!(at > 20, "{at} operations in a push");
            return;
        };
        if let Err(error) = &first {
            assert!(
                matches!(error, Error::Refused { .. }) && error.to_string().contains("again") || second,
                "{error}"
            );
        }
        let disk = shared(&memory);
        verify_all(&opened(&disk));
        check(&disk, [first.is_ok(), second], [tips[0], tips[1]]);
        // Whoever was refused does it again.
        if first.is_err() && names[0] != names[1] {
            push_into(&disk, &one, &[names[0]]).unwrap();
            assert_eq!(
                (get(&disk, names[0]), get(&disk, names[1])),
                (Some(tips[0]), Some(tips[1]))
            );
        }
        verify_all(&opened(&disk));
    }
}

#[test]
fn of_two_writers_of_different_lines_none_is_lost() {
    let names = ["refs/snapshots/one", "refs/snapshots/two"];
    at_once(names, |disk, done, tips| {
        for ((name, done), tip) in names.into_iter().zip(done).zip(tips) {
            assert_eq!(get(disk, name) == Some(tip), done, "{name}");
        }
    });
}

#[test]
fn of_two_writers_of_one_line_one_is_refused() {
    at_once([MAIN, MAIN], |disk, done, tips| {
        assert!(done[0] ^ done[1], "{done:?}");
        let winner = if done[0] { tips[0] } else { tips[1] };
        assert_eq!(get(disk, MAIN), Some(winner));
    });
}

#[test]
fn of_two_who_make_it_one_says_what_it_is() {
    for at in 0..60 {
        let memory = MemoryDisk::with_seed(5);
        for folder in ["/", ROOT] {
            memory.create_dir(Path::new(folder)).unwrap();
        }
        let disk = shared(&memory);
        let act: Act = Box::new(move || {
            init(&disk, Path::new(ROOT), &InitOptions::default()).unwrap();
        });
        init(&meanwhile(&memory, at, act), Path::new(ROOT), &InitOptions::default()).unwrap();
        let local = Side::new(1);
        local.commit(MAIN, &[("a", b"1")]);
        push_into(&shared(&memory), &local, &[MAIN]).unwrap();
        verify_all(&opened(&shared(&memory)));
    }
}

/// What the folder holds is not trusted: whatever byte of it is another, a fetch fails or brings what was pushed.
#[test]
fn what_was_changed_there_is_not_believed() {
    let memory = made();
    let local = Side::new(1);
    local.commit(MAIN, &[("a", b"1")]);
    push_into(&shared(&memory), &local, &[MAIN]).unwrap();
    let tip = local.commit(MAIN, &[("a", b"2"), ("b", &noise(3, 300))]);
    push_into(&shared(&memory), &local, &[MAIN]).unwrap();
    let mut refused = 0;
    for (path, bytes) in memory.files() {
        for at in (0..bytes.len()).step_by(13) {
            let hurt = memory.copy(9);
            let mut changed = bytes.to_vec();
            changed[at] ^= 0x10;
            hurt.place(&path, Arc::new(changed));
            let disk = shared(&hurt);
            let other = Side::new(2);
            let Ok(repository) = open(disk, Path::new(ROOT), &OpenOptions::default()) else {
                refused += 1;
                continue;
            };
            let exports = One::new(Export {
                name: String::new(),
                repository,
                policy: Policy::default(),
                limits: PackLimits::default(),
            });
            match with_server(&other, &exports, |client| fetch(client, &other)) {
                Ok(_) => {
                    let found = other.get("refs/remotes/origin/main");
                    assert!(
                        found.is_none() || found == Some(tip) || local.open().store.contains(&found.unwrap()).unwrap()
                    );
                    other.verify();
                }
                Err(_) => {
                    refused += 1;
                    assert!(other.refs().is_empty());
                }
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn pieces_of_the_log_that_do_not_fit_are_an_error() {
    let local = Side::new(1);
    for (gone, added) in [(1, None), (0, Some("00000000000000ff")), (0, Some("ffffffffffffffff"))] {
        let memory = made();
        local.commit(MAIN, &[("a", b"1")]);
        push_into(&shared(&memory), &local, &[MAIN]).unwrap();
        local.commit(MAIN, &[("a", b"2")]);
        push_into(&shared(&memory), &local, &[MAIN]).unwrap();
        let folder = Path::new(ROOT).join("refs/log");
        let mut names = memory.list(&folder).unwrap();
        names.sort();
        if gone > 0 {
            memory.remove(&folder.join(&names[gone])).unwrap();
        }
        if let Some(name) = added {
            assert!(memory.place(&folder.join(name), Arc::new(vec![7; 100])));
        }
        let repository = opened(&shared(&memory));
        let read = repository.refs.list("refs/");
        assert!(read.is_err() || added.is_some(), "{read:?}");
        // Nobody writes behind what nobody can read.
        local.commit(MAIN, &[("a", b"3")]);
        let before = memory.list(&folder).unwrap().len();
        let _ = push_into(&shared(&memory), &local, &[MAIN]);
        assert!(memory.list(&folder).unwrap().len() <= before + 1);
    }
}

#[test]
fn what_a_process_needs_for_itself_is_not_in_the_folder() {
    let memory = made();
    let disk = FolderDisk::new(shared(&memory), Path::new(ROOT));
    for name in ["locks/lease-0", "refs/lock", "config", "generation", "log"] {
        disk.open(&Path::new(ROOT).join(name), OpenMode::Create).unwrap();
    }
    let names: Vec<PathBuf> = memory.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        names,
        [Path::new("/f/format"), Path::new("/f/refs/log/0000000000000000")]
    );
}
