//! Reads that fail: that is no damage, and nothing of it says that something is gone. gc ends with what the disk says.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::places::{Place, cover, dry, places, point};
use super::twice::{copies, put_links_snapshot};
use super::*;
use crate::disk::{DiskFile, LockKind, Mapped, OpenMode};

/// One of the reads at a place, which fails.
#[derive(Debug)]
struct Failing {
    path: PathBuf,
    offset: u64,
    /// Which of them, from 0.
    number: usize,
    /// How many there were.
    asked: AtomicUsize,
}

#[derive(Clone, Debug)]
struct FailingDisk(MemoryDisk, Arc<Failing>);

#[derive(Debug)]
struct FailingFile(Arc<dyn DiskFile>, Arc<Failing>);

impl DiskFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset == self.1.offset && self.1.asked.fetch_add(1, Ordering::Relaxed) == self.1.number {
            return Err(io::Error::other("a cable is loose"));
        }
        self.0.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.0.try_lock(kind)
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        self.0.lock(kind)
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

impl Disk for FailingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.open(path, mode)?;
        match path == self.1.path {
            true => Ok(Arc::new(FailingFile(file, self.1.clone()))),
            false => Ok(file),
        }
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.0.map(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.0.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn folder_owner(&self, path: &Path) -> io::Result<u32> {
        self.0.folder_owner(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.random(bytes)
    }
}

/// Collects as often as there are reads at an offset of a data file, each time with another of them failing, on a disk of its
/// own. Each must end gc, and lose nothing. Gives how many there are.
fn fail_each(
    memory: &MemoryDisk,
    known: &BTreeMap<ObjectId, Files>,
    keep_log: KeepLog,
    (path, offset): (&Path, u64),
) -> usize {
    for number in 0..1000 {
        let memory = memory.copy(1 << 40);
        let (path, asked) = (path.to_owned(), AtomicUsize::new(0));
        let failing = Arc::new(Failing {
            path,
            offset,
            number,
            asked,
        });
        let disk: Arc<dyn Disk> = Arc::new(FailingDisk(memory.clone(), failing.clone()));
        let options = Options {
            unused_max: Allowance::Share(0),
            repack_bytes_max: u64::MAX,
            keep_log,
            threads: 1,
            dry_run: false,
            is_over: &|| false,
        };
        let done = open(&disk).and_then(|repository| run(&repository, &options, &Progress::default()));
        drop(disk);
        let is_met = failing.asked.load(Ordering::Relaxed) > number;
        match done {
            Ok(_) if !is_met => return number,
            Err(Error::Io { .. }) if is_met => {}
            done => panic!("read {number} at {offset}: {done:?}"),
        }
        let disk: Arc<dyn Disk> = Arc::new(memory);
        check(&open(&disk).unwrap(), known, &(number, "after the failure"));
        run(&open(&disk).unwrap(), &options, &Progress::default()).unwrap();
        check(&open(&disk).unwrap(), known, &(number, "after the next"));
    }
    panic!("there is no end of reads");
}

fn shared(memory: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(memory.clone())
}

fn noise(name: &str, seed: u64, bytes: usize) -> Files {
    Files::from([(("d".to_owned(), name.to_owned()), Dice::new(seed).bytes(bytes))])
}

fn id_of(files: &Files) -> ObjectId {
    ObjectId::hash(crate::object::HashAlgo::Sha256, files.values().next().unwrap())
}

/// Where one copy of an object lies.
fn place(disk: &Arc<dyn Disk>, id: &ObjectId) -> Place {
    let mut found = places(disk, id);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn a_read_that_fails_of_what_is_copied_ends_gc() {
    let memory = new_disk();
    let disk = shared(&memory);
    let (stays, goes) = (noise("stays", 1, 1200), noise("goes", 2, 1200));
    let id = take_alone(&open(&disk).unwrap(), MAIN, &stays, "stays", None).unwrap();
    take_alone(&open(&disk).unwrap(), "refs/snapshots/goes", &goes, "goes", None).unwrap();
    delete(&open(&disk).unwrap(), "refs/snapshots/goes");
    cover(&disk);
    let known = BTreeMap::from([(id, stays.clone())]);
    let Place { path, head, .. } = place(&disk, &id_of(&stays));
    let reads = fail_each(&memory, &known, KeepLog::Nothing, (&path, head.payload_offset()));
    assert_eq!(reads, 1, "what is copied is read once");
    assert!(fail_each(&memory, &known, KeepLog::Nothing, (&path, head.offset)) >= 2);
    // Of what nothing needs the head is read all the same.
    let Place { path, head, .. } = place(&disk, &id_of(&goes));
    assert!(fail_each(&memory, &known, KeepLog::Nothing, (&path, head.offset)) >= 2);
}

#[test]
fn a_read_that_fails_of_what_is_packed_anew_ends_gc() {
    let memory = new_disk();
    let disk = shared(&memory);
    let stays = noise("stays", 1, 400);
    let mut both = stays.clone();
    both.extend(noise("goes", 2, 400));
    take_alone(&open(&disk).unwrap(), "refs/snapshots/goes", &both, "goes", None).unwrap();
    let id = take_alone(&open(&disk).unwrap(), MAIN, &stays, "stays", None).unwrap();
    delete(&open(&disk).unwrap(), "refs/snapshots/goes");
    cover(&disk);
    let Place { path, head, .. } = place(&disk, &id_of(&stays));
    assert_eq!(head.rows.len(), 2, "one of the two is dead");
    let known = BTreeMap::from([(id, stays)]);
    let reads = fail_each(&memory, &known, KeepLog::Nothing, (&path, head.payload_offset()));
    assert_eq!(reads, 1);
}

#[test]
fn a_read_that_fails_of_one_of_two_copies_ends_gc() {
    let memory = new_disk();
    let disk = shared(&memory);
    let files = noise("f", 3, 900);
    let (one, two) = (open(&disk).unwrap(), open(&disk).unwrap());
    let (first, second) = (one.store.writer().unwrap(), two.store.writer().unwrap());
    let mut known = BTreeMap::new();
    for (writer, repository, name) in [(&first, &one, "refs/tags/one"), (&second, &two, "refs/tags/two")] {
        let id = put(writer, &files, Vec::new(), name).unwrap();
        point(repository, name, id);
        known.insert(id, files.clone());
    }
    drop((first, second));
    drop((one, two));
    cover(&disk);
    let found = places(&disk, &id_of(&files));
    assert_eq!(found.len(), 2);
    let reads = found
        .iter()
        .map(|Place { path, head, .. }| fail_each(&memory, &known, KeepLog::Nothing, (path, head.payload_offset())));
    let reads: usize = reads.sum();
    assert!(reads >= 1, "the copy that is kept is read");
}

/// A base that stays, and what is made from it in a file in which something else goes, and perhaps in others.
fn made_from(times: usize) -> (MemoryDisk, BTreeMap<ObjectId, Files>, ObjectId) {
    let memory = new_disk();
    let disk = shared(&memory);
    let mut base = noise("f", 4, 900);
    let mut changed = base.clone();
    changed.values_mut().for_each(|bytes| bytes[450] ^= 1);
    // A data file that is full.
    base.extend(noise("fill", 5, 6000));
    let like = take_alone(&open(&disk).unwrap(), "refs/snapshots/base", &base, "base", None).unwrap();
    let mut known = BTreeMap::from([(like, base)]);
    let object = id_of(&changed);
    let repositories: Vec<Repository> = (0..times).map(|_| open(&disk).unwrap()).collect();
    let writers: Vec<Writer<'_>> = repositories.iter().map(|it| it.store.writer().unwrap()).collect();
    for (n, (writer, repository)) in writers.iter().zip(&repositories).enumerate() {
        let mut files = changed.clone();
        files.extend(noise(&format!("own{n}"), 6 + n as u64, 400));
        let id = put_like(writer, &files, Vec::new(), "made", Some(like)).unwrap();
        if n == 0 {
            put(writer, &noise("goes", 99, 900), Vec::new(), "goes").unwrap();
        }
        point(repository, &format!("refs/snapshots/made{n}"), id);
        known.insert(id, files);
    }
    drop(writers);
    drop(repositories);
    cover(&disk);
    let found = copies(&disk, &object);
    assert_eq!(found.iter().filter(|(_, is_made)| *is_made).count(), times);
    (memory, known, object)
}

#[test]
fn a_read_that_fails_of_the_copy_that_is_to_stand_for_another_ends_gc() {
    let (memory, known, object) = made_from(2);
    let disk = shared(&memory);
    // The file in which nothing else goes stays, with its copy.
    let stays = staying(&disk);
    let found = places(&disk, &object);
    let Place { path, head, .. } = found.iter().find(|place| place.file == stays).unwrap();
    let reads = fail_each(&memory, &known, KeepLog::Nothing, (path, head.payload_offset()));
    assert!(reads >= 1, "{reads}");
}

/// The one data file of which nothing is unused, beside that of the base.
fn staying(disk: &Arc<dyn Disk>) -> [u8; 16] {
    let report = dry(disk, KeepLog::Nothing).unwrap();
    let stays = report.files.iter().filter(|file| file.fate == Fate::Stays);
    let stays: Vec<_> = stays.filter(|file| file.usage.bytes < 6000).collect();
    assert_eq!(stays.len(), 1, "{report:?}");
    stays[0].usage.file
}

/// What is found elsewhere, and reads, is not stored a second time.
#[test]
fn where_another_copy_stands_and_reads_none_is_made() {
    let (memory, known, object) = made_from(2);
    let disk = shared(&memory);
    let stays = staying(&disk);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert_eq!(report.condemned_files, 1, "{report:?}");
    assert_eq!(copies(&disk, &object), [(stays, true)]);
    check(&open(&disk).unwrap(), &known, &"afterwards");
}

/// The same where some of the others do not read, whichever are found first; where none does, what goes is stored whole.
#[test]
fn of_the_other_copies_each_is_looked_at_until_one_reads() {
    let (memory, known, object) = made_from(4);
    let found = places(&shared(&memory), &object);
    let report = dry(&shared(&memory), KeepLog::Nothing).unwrap();
    let is_staying = |file: &[u8; 16]| {
        report
            .files
            .iter()
            .any(|plan| plan.usage.file == *file && plan.fate == Fate::Stays)
    };
    let others: Vec<&Place> = found.iter().filter(|place| is_staying(&place.file)).collect();
    assert_eq!(others.len(), 3, "{report:?}");
    let mut expected: Vec<_> = others.iter().map(|place| (place.file, true)).collect();
    expected.sort_unstable();
    for which in 1..8 {
        let memory = memory.copy(1 << 40);
        let disk = shared(&memory);
        for (_, hurt) in others.iter().enumerate().filter(|(n, _)| which >> n & 1 == 1) {
            hurt.hurt(&disk, hurt.head.payload_offset() + 4);
        }
        let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
        assert_eq!(report.condemned_files, 1, "{report:?}");
        let (mut left, whole): (Vec<_>, Vec<_>) = copies(&disk, &object).into_iter().partition(|(_, is_made)| *is_made);
        left.sort_unstable();
        assert_eq!(left, expected);
        assert_eq!(whole.len(), usize::from(which == 7), "{which:03b} are hurt");
        check(&open(&disk).unwrap(), &known, &"afterwards");
    }
}

#[test]
fn a_read_that_fails_of_a_directory_ends_gc_whether_it_is_stored_whole_or_as_a_difference() {
    let memory = new_disk();
    let disk = shared(&memory);
    let repository = open(&disk).unwrap();
    let writer = repository.store.writer().unwrap();
    let (first, whole) = put_links_snapshot(&writer, 0, None);
    let (second, made) = put_links_snapshot(&writer, 1, Some(whole));
    point(&repository, "refs/snapshots/first", first);
    point(&repository, "refs/snapshots/second", second);
    drop(writer);
    drop(repository);
    cover(&disk);
    let known = BTreeMap::from([(first, Files::new()), (second, Files::new())]);
    let (whole, made) = (place(&disk, &whole), place(&disk, &made));
    assert!(whole.head.bases.is_empty() && !made.head.bases.is_empty());
    for place in [&whole, &made] {
        let at = (&*place.path, place.head.payload_offset());
        assert!(fail_each(&memory, &known, KeepLog::Nothing, at) >= 1);
    }
    // Also where nothing of it must be there.
    delete(&open(&disk).unwrap(), "refs/snapshots/first");
    delete(&open(&disk).unwrap(), "refs/snapshots/second");
    for place in [&whole, &made] {
        let at = (&*place.path, place.head.payload_offset());
        assert!(fail_each(&memory, &BTreeMap::new(), KeepLog::Records(100), at) >= 1);
    }
}

/// What is written again is read from what it is made from.
#[test]
fn a_read_that_fails_of_what_others_are_made_from_ends_gc() {
    let (memory, known) = props::on_a_full_file(4);
    let disk = shared(&memory);
    chains::forget(&disk, [1, 2]);
    let base = place(&disk, &chains::block(0));
    let at = (&*base.path, base.head.payload_offset());
    assert!(fail_each(&memory, &known, KeepLog::Nothing, at) >= 1);
}

/// What follows from a base that does not even decompress is kept as it is until that is mended.
#[test]
fn what_does_not_read_because_of_its_base_is_copied_as_it_is() {
    let memory = new_disk();
    let disk = shared(&memory);
    let mut dice = Dice::new(13);
    let mut text: Vec<u8> = (0..300)
        .flat_map(|_| format!("{:09}\n", dice.below(1000)).into_bytes())
        .collect();
    let (mut last, mut ids) = (None, Vec::new());
    for n in 0..4 {
        text[100 * n..100 * n + 20].copy_from_slice(&dice.bytes(20));
        let mut files = Files::from([(("d".to_owned(), "f".to_owned()), text.clone())]);
        ids.push(id_of(&files));
        if n == 0 {
            // A data file that is full, and in which nothing goes.
            files.extend(noise("fill", 14, 6000));
        }
        last = Some(take_alone(&open(&disk).unwrap(), &chains::line(n), &files, "", last).unwrap());
    }
    cover(&disk);
    chains::forget(&disk, [1, 2]);
    let before = chains::chain(&disk, 3);
    assert_eq!(before, [ids[3], ids[2], ids[1], ids[0]]);
    let base = place(&disk, &ids[0]);
    let payload = base.head.payload_offset()..base.head.end() - 8;
    let does_not_read = |at: &u64| {
        base.hurt(&disk, *at);
        let repository = open(&disk).unwrap();
        let located = repository.store.locate(&ids[0]).unwrap().unwrap();
        let read = repository
            .store
            .read_frame(located, &mut crate::store::Frame::default());
        base.hurt(&disk, *at);
        read.is_err()
    };
    let at = payload.into_iter().find(does_not_read).unwrap();
    base.hurt(&disk, at);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(
        report.condemned_files >= 1 && report.rewritten_objects == 0,
        "{report:?}"
    );
    assert_eq!(chains::chain(&disk, 3), before);
    // With the byte it reads again, and what is between goes.
    base.hurt(&disk, at);
    assert!(settles(&disk));
    assert_eq!(chains::chain(&disk, 3), [ids[3], ids[0]]);
}

/// Nor is more lost where it does decompress, and only the hashes tell.
#[test]
fn what_has_another_hash_because_of_its_base_is_copied_as_it_is() {
    let (memory, known) = props::on_a_full_file(4);
    let disk = shared(&memory);
    chains::forget(&disk, [1, 2]);
    let before = chains::chain(&disk, 3);
    let base = place(&disk, &chains::block(0));
    base.hurt(&disk, base.head.end() - 1000);
    let repository = open(&disk).unwrap();
    let at = repository.store.locate(&chains::block(0)).unwrap().unwrap();
    repository
        .store
        .read_frame(at, &mut crate::store::Frame::default())
        .unwrap();
    let report = collect(&repository, Allowance::Share(0)).unwrap();
    assert!(
        report.condemned_files >= 1 && report.rewritten_objects == 0,
        "{report:?}"
    );
    drop(repository);
    assert_eq!(chains::chain(&disk, 3), before);
    base.hurt(&disk, base.head.end() - 1000);
    assert!(settles(&disk));
    check(&open(&disk).unwrap(), &known, &"mended");
    assert_eq!(chains::chain(&disk, 3), [chains::block(3), chains::block(0)]);
}
