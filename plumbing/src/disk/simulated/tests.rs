//! The simulated disk keeps what was synced and loses only what was not.

use super::*;
use crate::disk::{read_file, replace_file};

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    disk.create_dir(Path::new("/")).unwrap();
    disk.create_dir(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn crash(after: usize, seed: u64) -> Crash {
    Crash {
        after,
        fate: Fate::PowerCut,
        sector: 512,
        tail: if seed.is_multiple_of(2) {
            Tail::Zeros
        } else {
            Tail::Garbage
        },
        seed,
    }
}

fn found(image: &MemoryDisk, name: &str) -> Option<Vec<u8>> {
    read_file(image, &path(name), usize::MAX).ok()
}

#[test]
fn a_replaced_file_is_the_old_or_the_new() {
    let disk = disk();
    replace_file(&disk, &path("f"), b"old").unwrap();
    disk.mark(1);
    replace_file(&disk, &path("f"), &[7; 3000]).unwrap();
    let journal = disk.journal();
    let (mut old, mut new) = (0, 0);
    for after in 0..=journal.ops().len() {
        for seed in 0..128 {
            let image = journal.image(&crash(after, seed));
            match found(&image, "f") {
                None => assert_eq!(journal.last_mark(after), None),
                Some(bytes) if bytes == b"old" => old += 1,
                Some(bytes) => {
                    assert_eq!(bytes, [7; 3000]);
                    new += 1;
                }
            }
        }
        let killed = journal.image(&Crash {
            fate: Fate::Kill,
            ..crash(after, 0)
        });
        assert!(journal.last_mark(after).is_none() || found(&killed, "f").is_some());
    }
    assert!(old > 100 && new > 100, "{old} {new}");
    assert_eq!(
        found(&journal.image(&crash(journal.ops().len(), 3)), "f"),
        Some(vec![7; 3000])
    );
}

#[test]
fn what_was_not_synced_is_torn_in_every_way() {
    let disk = disk();
    let file = disk.open(&path("f"), OpenMode::CreateNew).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(&[1; 1000], 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(&[2; 2000], 1000).unwrap();
    let journal = disk.journal();
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let bytes = found(&journal.image(&crash(journal.ops().len(), seed)), "f").unwrap();
        assert!(bytes.len() >= 1000 && bytes[..1000] == [1; 1000]);
        let sectors: Vec<bool> = bytes[1000..].chunks(512).map(|sector| sector.contains(&2)).collect();
        kinds.insert((bytes.len(), sectors));
    }
    assert!(kinds.len() > 20, "{kinds:?}");
}

#[test]
fn a_name_that_was_not_synced_may_be_lost_and_a_lie_is_no_sync() {
    let disk = disk();
    let file = disk.open(&path("f"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"bytes", 0).unwrap();
    file.sync_data().unwrap();
    let count = disk.journal().ops().len();
    let lost = |journal: &Journal, after| {
        (0..64)
            .filter(|seed| found(&journal.image(&crash(after, *seed)), "f").is_none())
            .count()
    };
    assert!((1..64).contains(&lost(&disk.journal(), count)));
    disk.inject(Some(Injection {
        from: disk.asked(),
        count: 1,
        fault: Fault::Lies,
    }));
    disk.sync_dir(Path::new("/d")).unwrap();
    assert!(lost(&disk.journal(), disk.journal().ops().len()) > 0);
    disk.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(lost(&disk.journal(), disk.journal().ops().len()), 0);
}

#[test]
fn faults_come_when_asked_for() {
    let disk = disk();
    let file = disk.open(&path("f"), OpenMode::CreateNew).unwrap();
    let at = |from, fault| Some(Injection { from, count: 2, fault });
    disk.inject(at(disk.asked() + 1, Fault::Half(io::ErrorKind::StorageFull)));
    file.write_all_at(b"first", 0).unwrap();
    let error = file.write_all_at(b"second", 5).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(found(&disk.memory, "f").unwrap(), b"firstsec");
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    disk.inject(at(disk.asked(), Fault::Fails(io::ErrorKind::Other)));
    assert!(disk.open(&path("g"), OpenMode::Create).is_err());
    assert!(found(&disk.memory, "g").is_none());
    // Opening what is there changes nothing and is not counted.
    disk.open(&path("f"), OpenMode::Create).unwrap();
    assert!(disk.rename(&path("f"), &path("h")).is_err());
    disk.rename(&path("f"), &path("h")).unwrap();
    assert!(matches!(disk.journal().ops().last(), Some(Op::Rename { .. })));
}
