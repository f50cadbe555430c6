//! Leases and locks where the file system refuses, or others come in between.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;

use super::asking::AskingDisk;
use super::*;
use crate::error::Error;
use crate::store::generation::Generation;
use crate::store::lease::{CollectLock, Lease, living, newest, prepare};

const FOLDER: &str = "/g/locks";

fn take(disk: &dyn Disk) -> Result<(Generation, Lease)> {
    Lease::take(disk, Path::new("/g"), &|| Ok(Generation::default()))
}

/// What an operation failed with.
fn told(error: &Error) -> (&'static str, ErrorKind) {
    match error {
        Error::Io { op, source, .. } => (*op, source.kind()),
        other => panic!("{other}"),
    }
}

/// A disk on which an operation on the locks fails the first time.
fn failing(disk: &MemoryDisk, op: &'static str, error: fn() -> io::Error) -> Arc<AskingDisk> {
    let is_done = AtomicBool::new(false);
    AskingDisk::on(disk, move |now, path, _| {
        let is_it = now == op && path.starts_with(FOLDER);
        match is_it && !is_done.swap(true, Ordering::Relaxed) {
            true => Err(error()),
            false => Ok(()),
        }
    })
}

#[test]
fn the_newest_lease_is_the_first_where_there_was_none() {
    let disk = disk();
    assert_eq!(newest(&*disk, Path::new("/g")).unwrap(), 0);
    for number in [3, 12, 9] {
        prepare(&*disk, Path::new("/g"), number);
        disk.place(&Path::new(FOLDER).join("lease-x"), Arc::default());
    }
    assert_eq!(newest(&*disk, Path::new("/g")).unwrap(), 12);
    let refuses = failing(&disk, "list", || ErrorKind::TimedOut.into());
    let error = newest(&*refuses, Path::new("/g")).unwrap_err();
    assert_eq!(told(&error), ("list", ErrorKind::TimedOut));
}

#[test]
fn a_lease_that_is_gone_when_it_is_looked_at_is_nobodys() {
    let disk = disk();
    prepare(&*disk, Path::new("/g"), 2);
    let gone = failing(&disk, "change", || ErrorKind::NotFound.into());
    assert_eq!(living(&*gone, Path::new("/g"), 5).unwrap().oldest, 5);
    let refuses = failing(&disk, "change", || ErrorKind::TimedOut.into());
    let error = living(&*refuses, Path::new("/g"), 5).unwrap_err();
    assert_eq!(told(&error), ("open", ErrorKind::TimedOut));
}

#[test]
fn why_a_lease_is_not_made_is_told_as_it_was() {
    let denied = || ErrorKind::PermissionDenied.into();
    let fresh = disk();
    let error = take(&*failing(&fresh, "make folder", denied)).unwrap_err();
    assert_eq!(told(&error), ("make folder", ErrorKind::PermissionDenied));
    let error = take(&*failing(&fresh, "open", denied)).unwrap_err();
    assert_eq!(told(&error), ("open", ErrorKind::PermissionDenied));
    let error = take(&*failing(&fresh, "create", denied)).unwrap_err();
    assert_eq!(told(&error), ("create", ErrorKind::PermissionDenied));
    assert!(
        !fresh.folders().contains(&PathBuf::from(FOLDER)),
        "nothing else is tried"
    );
    // Another process makes the folder at the same time.
    let inner = (*fresh).clone();
    let meanwhile = AskingDisk::on(&fresh, move |op, path, _| {
        if op == "make folder" {
            inner.create_dir(path).unwrap();
        }
        Ok(())
    });
    assert_eq!(take(&*meanwhile).unwrap().1.number(), 0);
}

#[test]
fn a_lock_that_fails_is_told_apart_from_locks_that_are_not_there() {
    let disk = disk();
    let take = |error| CollectLock::take(&*failing(&disk, "lock", error), Path::new("/g")).unwrap_err();
    let error = take(|| ErrorKind::TimedOut.into());
    assert_eq!(told(&error), ("lock", ErrorKind::TimedOut));
    let error = CollectLock::take(
        &*failing(&disk, "change", || ErrorKind::TimedOut.into()),
        Path::new("/g"),
    );
    assert_eq!(told(&error.unwrap_err()), ("open", ErrorKind::TimedOut));
    for number in [rustix::io::Errno::NOLCK, rustix::io::Errno::NOSYS] {
        let without = CollectLock::take(
            &*AskingDisk::on(&disk, move |op, _, _| match op {
                "lock" => Err(number.into()),
                _ => Ok(()),
            }),
            Path::new("/g"),
        );
        let error = without.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert!(
            error.to_string().contains("locks do not work on this file system"),
            "{error}"
        );
    }
    CollectLock::take(&*disk, Path::new("/g")).unwrap();
}
