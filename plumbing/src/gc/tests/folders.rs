//! Any history of edits of a folder, taken as snapshots are, restores byte for byte: files of no bytes and of many chunks, moved,
//! copied, with chunks replaced, some snapshots with differences and some without, gc stopped anywhere in between.
//! `GHOST_DELTA_FOLDERS` says how many histories are tried.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::deltas::{check_all, collect_some, open_as};
use super::*;
use crate::chunk;
use crate::content::copy_to;
use crate::snapshot::{self, About, Keep, Place};
use crate::walk::{RuleOptions, Rules};

/// What a folder holds: path and bytes.
type Content = BTreeMap<String, Vec<u8>>;

const BEGIN: u64 = 1_795_251_600;
/// Several chunks are some ten kilobytes.
const CHUNKS: chunk::Params = chunk::Params {
    method: chunk::Method::FastCdc,
    min: 1 << 10,
    avg: 4 << 10,
    max: 16 << 10,
};

fn count() -> u64 {
    std::env::var("GHOST_DELTA_FOLDERS").map_or(6, |count| count.parse().unwrap())
}

/// A folder on disk that follows what it is to hold.
struct Folder {
    folder: tempfile::TempDir,
    now: Content,
    step: u64,
}

impl Folder {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            now: Content::new(),
            step: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes it hold this; what changes gets a time of its own, so that no clock decides what is read.
    fn set(&mut self, wanted: Content) {
        self.step += 1;
        for name in self.now.keys().filter(|name| !wanted.contains_key(*name)) {
            fs::remove_file(self.path(name)).unwrap();
        }
        for (name, bytes) in wanted.iter().filter(|(name, bytes)| self.now.get(*name) != Some(bytes)) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN + self.step);
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        self.now = wanted;
    }

    /// Takes a snapshot after the last one of a line, or beside it.
    fn take(&self, repository: &Repository, line: &str, follows: bool) -> ObjectId {
        let before = repository.refs.get(line).unwrap();
        let time = Timestamp::new(4_000_000_000 + self.step as i64, 0);
        let request = snapshot::Request {
            roots: vec![self.folder.path().to_owned()],
            rules: Rules::new(RuleOptions::default()),
            rules_text: Vec::new(),
            trust_hash: false,
            dry_run: false,
            keep: Keep::Everything,
            threads: 2,
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
                message: self.step.to_string(),
                tags: Vec::new(),
                parents: before.into_iter().filter(|_| follows).collect(),
            },
        };
        let place = Place {
            disk: &*repository.disk,
            ghost_dir: Some(ghost_dir().to_owned()),
            uuid: repository.format.uuid,
            store: &repository.store,
        };
        let outcome = snapshot::take(&place, &request, &Progress::default()).unwrap();
        assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
        let change = set(line, Expected::Any, Some(outcome.id));
        repository.commit(&[change], &who(), "", Leans::Own).unwrap();
        outcome.id
    }
}

/// Lines, which compress, or noise, which does not.
fn fresh(dice: &mut Dice) -> Vec<u8> {
    let length = match dice.below(6) {
        0 => 0,
        1 => dice.below(300) as usize,
        2 | 3 => 1000 + dice.below(6000) as usize,
        _ => 20_000 + dice.below(60_000) as usize,
    };
    if dice.below(2) == 0 {
        return dice.bytes(length);
    }
    let mut text = Vec::with_capacity(length + 20);
    while text.len() < length {
        text.extend_from_slice(format!("{:08x} is a line\n", dice.roll() as u32).as_bytes());
    }
    text
}

fn name(dice: &mut Dice) -> String {
    let folder = ["", "a/", "a/b/", "c/"][dice.below(4) as usize];
    format!("{folder}f{}", dice.below(4))
}

/// A few changes, as people and programs make them.
fn edit(files: &mut Content, dice: &mut Dice) {
    for _ in 0..1 + dice.below(5) {
        let (name, other) = (name(dice), name(dice));
        let Some(mut bytes) = files.get(&name).cloned() else {
            files.insert(name, fresh(dice));
            continue;
        };
        let at = dice.below(bytes.len() as u64 + 1) as usize;
        let end = (at + dice.below(5000) as usize).min(bytes.len());
        match dice.below(10) {
            0 => drop(files.remove(&name)),
            // Moved, copied, copied and changed.
            1 => {
                files.remove(&name);
                files.insert(other, bytes);
            }
            2 => drop(files.insert(other, bytes)),
            3 => {
                bytes.splice(at..at, dice.bytes(10));
                files.insert(other, bytes);
            }
            // Cut off, appended to, written anew.
            4 => drop(files.insert(name, bytes[..at].to_vec())),
            5 => {
                let count = dice.below(3000) as usize;
                bytes.extend(dice.bytes(count));
                files.insert(name, bytes);
            }
            6 => drop(files.insert(name, fresh(dice))),
            // A stretch of a few chunks has other bytes, others than were there by count too.
            7 => {
                let noise = dice.bytes(end - at);
                bytes[at..end].copy_from_slice(&noise);
                files.insert(name, bytes);
            }
            _ => {
                let count = dice.below(200) as usize;
                bytes.splice(at..end.min(at + 100), dice.bytes(count));
                files.insert(name, bytes);
            }
        }
    }
}

/// What a snapshot holds.
fn restore(store: &Store, snapshot: &ObjectId) -> Content {
    let bytes = store.object(ObjectKind::Snapshot, snapshot).unwrap();
    let mut pending = vec![(String::new(), Snapshot::decode(&bytes).unwrap().tree)];
    let mut found = Content::new();
    while let Some((prefix, tree)) = pending.pop() {
        for entry in Entries::new(store, tree) {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.name);
            match entry.node {
                Node::Directory { tree } => pending.push((format!("{name}/"), tree)),
                Node::File { content, .. } => {
                    let mut bytes = Vec::new();
                    copy_to(store, &content, &mut bytes).unwrap();
                    found.insert(name, bytes);
                }
                _ => {}
            }
        }
    }
    found
}

/// Compares all that refs lead to with what was there when it was taken.
fn check_contents(disk: &Arc<dyn Disk>, known: &BTreeMap<ObjectId, Content>, what: &dyn std::fmt::Debug) {
    let repository = open(disk).unwrap();
    let (_, values) = values(&repository.refs).unwrap();
    let mut pending: Vec<ObjectId> = values.values().copied().collect();
    while let Some(id) = pending.pop() {
        assert!(
            restore(&repository.store, &id) == known[&id],
            "{what:?}: {id} is something else"
        );
        let bytes = repository.store.object(ObjectKind::Snapshot, &id).unwrap();
        pending.extend(Snapshot::decode(&bytes).unwrap().parents);
    }
}

fn deltas_of(disk: &Arc<dyn Disk>) -> usize {
    let repository = open(disk).unwrap();
    let mut count = 0;
    for (file, committed) in repository.store.data_files() {
        let mut add = |head: &crate::store::data::read::Head| count += head.parts.len();
        crate::store::data::read::scan(&file, 64, committed, &mut add).unwrap();
    }
    count
}

#[test]
fn any_history_of_a_folder_restores() {
    let mut most = 0;
    for seed in 0..count() {
        let mut dice = Dice::new(seed ^ 0xf01de5);
        let memory = new_disk();
        let disk: Arc<dyn Disk> = Arc::new(memory);
        let (mut folder, mut known) = (Folder::new(), BTreeMap::new());
        for step in 0..24 {
            let what = (seed, step);
            let line = crate::refs::line_ref(&format!("l{}", dice.below(2))).unwrap();
            let repository = open_as(&disk, &mut dice);
            match dice.below(10) {
                0..7 => {
                    let mut wanted = folder.now.clone();
                    edit(&mut wanted, &mut dice);
                    folder.set(wanted);
                    let id = folder.take(&repository, &line, dice.below(2) == 0);
                    known.insert(id, folder.now.clone());
                }
                7 => delete(&repository, &line),
                _ => collect_some(&repository, &mut dice, &what),
            }
            drop(repository);
            if step % 4 == 3 {
                check_contents(&disk, &known, &what);
            }
            most = most.max(deltas_of(&disk));
        }
        check_all(&disk, &seed);
        for name in disk.list(&ghost_dir().join("index")).unwrap() {
            disk.remove(&ghost_dir().join("index").join(name)).unwrap();
        }
        check_contents(&disk, &known, &(seed, "without an index"));
        assert!(settles(&disk), "{seed}: something unused is left");
        check_contents(&disk, &known, &(seed, "at the end"));
    }
    assert!(most > 20, "{most} differences at most");
}
