//! Which files have parity, and what becomes of it when they are gone.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::*;
use crate::disk::real::RealDisk;
use crate::disk::simulated::{Fault, Injection, SimulatedDisk};
use crate::object::HashAlgo;
use crate::store::index::write::SegmentWriter;
use crate::store::parity::keep::{cover, covered, length, remove_orphans};
use crate::store::{Options, Store};

const GHOST_DIR: &str = "/g";

fn data_file(name: &str) -> PathBuf {
    Path::new("/g/data").join(name)
}

/// Three data files of 100 bytes.
fn three_files() -> (SimulatedDisk, Vec<PathBuf>) {
    let memory = MemoryDisk::default();
    for folder in ["/g", "/g/data"] {
        memory.create_dir(Path::new(folder)).unwrap();
    }
    let files: Vec<PathBuf> = ["a.gd", "b.gd", "c.gd"].map(data_file).into();
    for file in &files {
        put(&memory, file.to_str().unwrap(), &noise(1, 100));
    }
    (SimulatedDisk::on(memory), files)
}

fn cover_all(disk: &dyn Disk, wanted: &[(PathBuf, u64)]) -> Result<Vec<PathBuf>> {
    cover(disk, (Path::new(GHOST_DIR), UUID), wanted, 5, &Progress::default())
}

#[test]
fn a_file_that_is_gone_is_passed_over_and_one_that_is_too_short_is_not() {
    let (disk, files) = three_files();
    let wanted = [
        (files[0].clone(), 100),
        (data_file("gone.gd"), 100),
        (files[1].clone(), 50),
    ];
    let made = cover_all(&disk, &wanted).unwrap();
    assert_eq!(made, [files[0].clone(), files[1].clone()]);
    let error = cover_all(&disk, &[(files[2].clone(), 101)]).unwrap_err();
    let told = "/g/data/c.gd is damaged at offset 0: expected 101 bytes, found its end";
    assert_eq!(error.to_string(), told);
    // What is covered up to there stays; what has grown is covered anew.
    let wanted = [(files[0].clone(), 100), (files[1].clone(), 51)];
    assert_eq!(cover_all(&disk, &wanted).unwrap(), [files[1].clone()]);
}

#[test]
fn parity_of_files_that_are_gone_is_counted_as_it_is_removed() {
    for fault in [None, Some(ErrorKind::NotFound), Some(ErrorKind::PermissionDenied)] {
        let (disk, files) = three_files();
        let wanted: Vec<_> = files.iter().map(|file| (file.clone(), 100)).collect();
        cover_all(&disk, &wanted).unwrap();
        assert_eq!(remove_orphans(&disk, Path::new(GHOST_DIR)).unwrap(), 0);
        disk.remove(&files[0]).unwrap();
        disk.remove(&files[2]).unwrap();
        disk.inject(fault.map(|kind| Injection {
            from: disk.asked(),
            count: 1,
            fault: Fault::Fails(kind),
        }));
        let removed = remove_orphans(&disk, Path::new(GHOST_DIR));
        disk.inject(None);
        match fault {
            // Another process may be first.
            None | Some(ErrorKind::NotFound) => assert_eq!(removed.unwrap(), 2, "{fault:?}"),
            Some(_) => assert!(matches!(removed, Err(Error::Io { .. }))),
        }
        remove_orphans(&disk, Path::new(GHOST_DIR)).unwrap();
        let left: Vec<PathBuf> = covered(&disk, Path::new(GHOST_DIR))
            .unwrap()
            .into_iter()
            .map(|(file, _)| file)
            .collect();
        assert_eq!(left, [files[1].clone()], "{fault:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_and_one_that_is_there_is_none() {
    let (disk, _) = three_files();
    disk.inject(Some(Injection {
        from: disk.asked(),
        count: 1,
        fault: Fault::Fails(ErrorKind::PermissionDenied),
    }));
    let error = cover_all(&disk, &[]).unwrap_err();
    assert!(error.to_string().contains("make folder"), "{error}");
    for _ in 0..2 {
        assert_eq!(cover_all(&disk, &[]).unwrap(), [] as [PathBuf; 0]);
    }
}

#[test]
fn parity_that_cannot_be_listed_is_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(covered(&RealDisk, folder.path()).unwrap(), []);
    // A file where the folder belongs.
    let path = folder.path().join(FOLDER);
    RealDisk.open(&path, OpenMode::CreateNew).unwrap();
    let error = covered(&RealDisk, folder.path()).unwrap_err();
    assert!(error.to_string().contains("list"), "{error}");
}

#[test]
fn what_no_parity_is_wished_for_gets_none() {
    for (percent, expected) in [(0, 0), (5, 1)] {
        let disk = Arc::new(MemoryDisk::default());
        for folder in ["/g", "/g/data", "/g/index"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        let options = Options {
            parity_percent: percent,
            ..Options::default()
        };
        let ghost_dir = Path::new(GHOST_DIR);
        let store = Store::open(disk.clone(), ghost_dir, UUID, HashAlgo::Sha256, options).unwrap();
        let segment = SegmentWriter::create(&*disk, &ghost_dir.join("index"), &UUID, &[], 0);
        segment.and_then(SegmentWriter::finish).unwrap();
        store.keep_parity(&Progress::default());
        assert!(store.problems().is_empty(), "{:?}", store.problems());
        let made = disk.list(&ghost_dir.join(FOLDER)).map_or(0, |names| names.len());
        assert_eq!(made, expected, "{percent} percent");
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_not_taken_for_one_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (file, parity) = (folder.path().join("file"), folder.path().join("file.par"));
    let opened = RealDisk.open(&file, OpenMode::CreateNew).unwrap();
    opened.write_all_at(&noise(1, 100), 0).unwrap();
    let progress = Progress::default();
    write(&RealDisk, (&file, 100), &parity, UUID, 5, &progress).unwrap();
    let (gone, below_a_file) = (folder.path().join("gone"), file.join("below"));
    assert_eq!(length(&RealDisk, &file).unwrap(), Some(100));
    assert_eq!(length(&RealDisk, &gone).unwrap(), None);
    assert!(length(&RealDisk, &below_a_file).is_err());
    assert_eq!(examine(&RealDisk, &gone, &parity, &progress).unwrap().damaged, [0, 1]);
    let error = examine(&RealDisk, &below_a_file, &parity, &progress).unwrap_err();
    assert!(matches!(error, Error::Io { op: "open", .. }), "{error}");
}
