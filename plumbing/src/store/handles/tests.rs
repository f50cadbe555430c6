//! Few open files serve many data files: in this process by count, in another by what the system allows.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::real::RealDisk;
use crate::object::{HashAlgo, ObjectId, ObjectKind};
use crate::store::tests::asking::AskingDisk;
use crate::store::{Options, Store};

const UUID: [u8; 16] = [7; 16];

fn block(number: usize) -> Vec<u8> {
    format!("block {number}").into_bytes()
}

fn open(disk: &Arc<dyn Disk>, ghost_dir: &Path) -> Store {
    let options = Options {
        // One frame fills a file.
        file_bytes_max: 1,
        ..Options::default()
    };
    Store::open(disk.clone(), ghost_dir, UUID, HashAlgo::Sha256, options).unwrap()
}

/// A store of so many data files, each with one block.
fn fill(disk: &Arc<dyn Disk>, ghost_dir: &Path, files: usize) -> Store {
    for folder in ["data", "index"] {
        disk.create_dir(&ghost_dir.join(folder)).unwrap();
    }
    let store = open(disk, ghost_dir);
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    for number in 0..files {
        packer.put(ObjectKind::Block, &block(number)).unwrap();
        packer.flush().unwrap();
    }
    drop(packer);
    writer.commit().unwrap();
    drop(writer);
    assert_eq!(store.data_files().len(), files);
    store
}

fn read_all(store: &Store, files: usize) {
    for number in (0..files).chain((0..files).rev()) {
        let id = ObjectId::hash(HashAlgo::Sha256, &block(number));
        assert_eq!(store.get(&id).unwrap().unwrap(), block(number));
    }
}

fn memory() -> (Arc<dyn Disk>, &'static Path) {
    let disk = MemoryDisk::default();
    disk.create_dir(Path::new("/g")).unwrap();
    (Arc::new(disk), Path::new("/g"))
}

#[test]
fn what_was_read_last_stays_open_and_no_more_than_the_limit() {
    let (disk, ghost_dir) = memory();
    let files = fill(&disk, ghost_dir, 6).data_files();
    let handles = Arc::new(Handles::with_max(3));
    let pooled: Vec<DataFile> = files.into_iter().map(|(file, _)| handles.pool(&disk, file)).collect();
    let is_open = |number: usize| {
        let ring = handles.ring.lock();
        let mut slots = ring.iter().filter_map(Weak::upgrade);
        slots.any(|slot| slot.path == pooled[number].path && slot.file.lock().is_some())
    };
    let open_files = || (0..6).filter(|&number| is_open(number)).collect::<Vec<_>>();
    assert_eq!(open_files(), [3, 4, 5], "of those that were not read the newest");
    for file in &pooled[..3] {
        file.file.len().unwrap();
    }
    assert_eq!(open_files(), [0, 1, 2]);
    // The hand goes round once: all were used. From then on what is used again stays.
    pooled[3].file.len().unwrap();
    assert_eq!(open_files(), [1, 2, 3]);
    pooled[1].file.len().unwrap();
    pooled[4].file.len().unwrap();
    assert_eq!(open_files(), [1, 3, 4]);
    // Whoever is gone leaves nothing open.
    drop(pooled);
    assert!(handles.ring.lock().iter().all(|slot| slot.upgrade().is_none()));
}

#[test]
fn another_file_under_the_name_is_refused_and_nothing_is_written_or_locked() {
    let (disk, ghost_dir) = memory();
    let files = fill(&disk, ghost_dir, 2).data_files();
    let handles = Arc::new(Handles::default());
    let (first, second) = (&files[0].0, &files[1].0);
    let pooled = handles.pool(&disk, first.clone());
    assert!(pooled.head(FILE_HEADER_BYTES).unwrap().is_some());
    handles.close_all();
    assert!(pooled.head(FILE_HEADER_BYTES).unwrap().is_some(), "it is opened again");
    handles.close_all();
    disk.rename(&second.path, &first.path).unwrap();
    let error = pooled.head(FILE_HEADER_BYTES).unwrap_err().to_string();
    assert!(error.contains("another file has its name"), "{error}");
    for refused in [
        pooled.file.write_all_at(b"x", 0),
        pooled.file.set_len(0),
        pooled.file.lock(LockKind::Shared),
        pooled.file.try_lock(LockKind::Shared).map(drop),
        pooled.file.unlock(),
    ] {
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}

fn errors() -> [(io::Error, bool); 4] {
    let of = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
    [
        (of(rustix::io::Errno::MFILE), true),
        (of(rustix::io::Errno::NFILE), true),
        (of(rustix::io::Errno::NOENT), false),
        (io::ErrorKind::Other.into(), false),
    ]
}

#[test]
fn too_many_open_files_are_told_from_all_else() {
    for (error, is_too_many) in errors() {
        assert_eq!(error.is_too_many(), is_too_many, "{error}");
        let error = Error::io("open", Path::new("f"))(error);
        assert_eq!(error.is_too_many(), is_too_many, "{error}");
    }
    assert!(!Error::damaged(Path::new("f"), 0, "open", "files").is_too_many());
}

#[test]
fn where_too_many_are_open_half_as_many_are_kept_and_it_is_tried_once_more() {
    let (disk, ghost_dir) = memory();
    let files = fill(&disk, ghost_dir, 6).data_files();
    for (at, (_, is_too_many)) in errors().iter().enumerate() {
        let handles = Arc::new(Handles::default());
        let pooled: Vec<DataFile> = files
            .iter()
            .map(|(file, _)| handles.pool(&disk, file.clone()))
            .collect();
        let tries = AtomicUsize::new(0);
        let opened: io::Result<()> = handles.open(|| {
            tries.fetch_add(1, Relaxed);
            let [.., (error, _)] = &mut errors()[..=at] else {
                panic!()
            };
            Err(std::mem::replace(error, io::ErrorKind::Other.into()))
        });
        assert!(opened.is_err());
        let (count, open_max, left) = if *is_too_many { (2, 3, 0) } else { (1, OPEN_MAX, 6) };
        assert_eq!(tries.load(Relaxed), count, "{:?}", errors()[at]);
        assert_eq!(
            (handles.open_max.load(Relaxed), handles.ring.lock().len()),
            (open_max, left),
            "{:?}",
            errors()[at]
        );
        let lengths: u64 = pooled.iter().map(|file| file.file.len().unwrap()).sum();
        assert!(lengths > 0);
        assert_eq!(handles.ring.lock().len(), open_max.min(6));
    }
    // One may always be open.
    let handles = Arc::new(Handles::default());
    handles.close_all();
    assert_eq!(handles.open_max.load(Relaxed), 1);
}

#[test]
fn a_file_is_opened_once_more_where_too_many_were_open_and_only_there() {
    let (disk, ghost_dir) = memory();
    fill(&disk, ghost_dir, 4);
    for (at, (_, is_too_many)) in errors().into_iter().enumerate() {
        let fails = Arc::new(AtomicBool::new(false));
        let asked = fails.clone();
        let asking: Arc<dyn Disk> = AskingDisk::of(disk.clone(), move |op, path, _| {
            match op == "open" && path.starts_with("/g/data") && asked.swap(false, Relaxed) {
                true => Err(errors().into_iter().nth(at).unwrap().0),
                false => Ok(()),
            }
        });
        let handles = Arc::new(Handles::default());
        let files = open(&disk, ghost_dir).data_files();
        let pooled: Vec<DataFile> = files.into_iter().map(|(file, _)| handles.pool(&asking, file)).collect();
        handles.close_all();
        for file in &pooled[..3] {
            file.file.len().unwrap();
        }
        fails.store(true, Relaxed);
        assert_eq!(pooled[3].file.len().is_ok(), is_too_many, "{:?}", errors()[at]);
        // Half of the four that were open, and then half of two.
        let left = if is_too_many { 1 } else { 2 };
        assert_eq!(handles.ring.lock().len(), left, "{:?}", errors()[at]);
        assert!(pooled[3].file.len().is_ok());
    }
}

const FILES: usize = 300;
const FOLDER: &str = "GHOST_TEST_FOLDER";

#[test]
fn a_store_of_more_files_than_may_be_open_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    fill(&disk, folder.path(), FILES);
    // With the first the pool closes what is too many; with the second the system says when.
    for limit in ["220", "48"] {
        let said = Command::new("sh")
            .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", limit])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--test-threads=1"])
            .arg("store::handles::tests::reads_in_a_process_of_its_own")
            .env(FOLDER, folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success() && text.contains("1 passed"), "{limit}: {text}");
    }
}

#[test]
#[ignore = "the test above runs it in a process that may open few files"]
fn reads_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let store = open(&disk, Path::new(&folder));
    assert_eq!((store.data_files().len(), store.problems().len()), (FILES, 0));
    read_all(&store, FILES);
    store.refresh().unwrap();
    let open_files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open_files < OPEN_MAX + 40, "{open_files} files are open");
}
