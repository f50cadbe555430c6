//! Small data files become few, whatever happens meanwhile.

use super::super::compact::{FILES_MIN, when_due};
use super::*;
use crate::progress::Progress;
use crate::verify;

/// Operations from one at which others come in between to the next.
const STRIDE: usize = 3;

/// A folder that got `pushes` pushes of one line, and who pushed.
fn pushed(pushes: usize) -> (MemoryDisk, Side) {
    let memory = made();
    let local = Side::new(1);
    for round in 0..pushes as u64 {
        local.commit(MAIN, &[("a", &noise(round, 700)), ("d/b", &noise(round / 5, 3000))]);
        push_into(&shared(&memory), &local, &[MAIN]).unwrap();
    }
    (memory, local)
}

fn data_files(disk: &Arc<dyn Disk>) -> usize {
    disk.list(&Path::new(ROOT).join("data")).unwrap().len()
}

/// All that was pushed comes to somebody who has nothing.
fn comes_whole(disk: &Arc<dyn Disk>, tip: ObjectId) {
    let other = Side::new(8);
    with_server(&other, &served(disk), |client| fetch(client, &other)).unwrap();
    assert_eq!(other.get("refs/remotes/origin/main"), Some(tip));
    other.verify();
}

#[test]
fn many_pushes_leave_few_files() {
    let (memory, local) = pushed(3 * FILES_MIN + 2);
    let disk = shared(&memory);
    let count = data_files(&disk);
    assert!(count < FILES_MIN, "{count} data files");
    let index = disk.list(&Path::new(ROOT).join("index")).unwrap().len();
    assert!(index < FILES_MIN, "{index} segments");
    let repository = opened(&disk);
    assert!(repository.store.is_whole() && repository.store.missing_data().is_empty());
    verify_all(&repository);
    comes_whole(&disk, local.get(MAIN).unwrap());
    // What was put aside is all that was there, and may go.
    for name in disk.list(&Path::new(ROOT).join("old")).unwrap() {
        disk.remove(&Path::new(ROOT).join("old").join(name)).unwrap();
    }
    verify_all(&opened(&disk));
    comes_whole(&disk, local.get(MAIN).unwrap());
}

/// The push that copies, cut off after each operation.
#[test]
fn a_crash_while_files_are_copied_loses_nothing() {
    let (memory, local) = pushed(FILES_MIN - 1);
    let before = local.get(MAIN).unwrap();
    let disk = SimulatedDisk::on(memory);
    let tip = local.commit(MAIN, &[("a", b"the last")]);
    push_into(&shared(&disk), &local, &[MAIN]).unwrap();
    disk.mark(1);
    assert!(data_files(&shared(&disk)) < FILES_MIN);
    let journal = disk.journal();
    for after in 0..=journal.ops().len() {
        // A kill, and one of the power cuts.
        for seed in [0, 1 + after as u64 % 3] {
            let crash = Crash {
                after,
                fate: if seed == 0 { Fate::Kill } else { Fate::PowerCut },
                sector: 512,
                tail: if seed % 2 == 0 { Tail::Zeros } else { Tail::Garbage },
                seed: seed * 1000 + after as u64,
            };
            let image = shared(&journal.image(&crash));
            let found = get(&image, MAIN);
            assert!(found == Some(tip) || found == Some(before), "{crash:?}");
            assert!(found == Some(tip) || journal.last_mark(after).is_none(), "{crash:?}");
            verify_all(&opened(&image));
            if seed == 1 {
                push_into(&image, &local, &[MAIN]).unwrap();
                assert_eq!(get(&image, MAIN), Some(tip));
                comes_whole(&image, tip);
            }
        }
    }
}

/// Does `act` before one operation after another of a push that copies, and looks at what is there then.
fn while_copying(act: impl Fn(&Arc<dyn Disk>) + Clone + Send + 'static) {
    let (memory, local) = pushed(FILES_MIN - 1);
    let tip = local.commit(MAIN, &[("a", b"the last")]);
    for at in (0..).step_by(STRIDE) {
        let memory = memory.copy(at as u64 + 5000);
        let did = Arc::new(AtomicUsize::new(0));
        let (disk, noted, act) = (shared(&memory), did.clone(), act.clone());
        let act: Act = Box::new(move || {
            act(&disk);
            noted.fetch_add(1, Ordering::Relaxed);
        });
        // Who was overtaken does it again.
        let disk = shared(&memory);
        if push_into(&meanwhile(&memory, at, act), &local, &[MAIN]).is_err() {
            with_server(&local, &served(&disk), |client| fetch(client, &local)).unwrap();
            push_into(&disk, &local, &[MAIN]).unwrap();
        }
        verify_all(&opened(&disk));
        assert_eq!(get(&disk, MAIN), Some(tip));
        if did.load(Ordering::Relaxed) == 0 {
            assert!(at > 60, "{at} operations in a push that copies");
            return;
        }
        if at % (5 * STRIDE) == 0 {
            comes_whole(&disk, tip);
        }
    }
}

#[test]
fn who_reads_meanwhile_finds_all() {
    while_copying(|disk| {
        let other = Side::new(6);
        with_server(&other, &served(disk), |client| fetch(client, &other)).unwrap();
        other.verify();
    });
}

#[test]
fn two_copy_at_once() {
    while_copying(|disk| {
        let other = Side::new(6);
        other.commit(
            "refs/snapshots/other",
            &[("x", b"of somebody else"), ("a", &noise(3, 700))],
        );
        push_into(disk, &other, &["refs/snapshots/other"]).unwrap();
        when_due(&opened(disk), &[9; 16]).unwrap();
        verify_all(&opened(disk));
    });
}

/// A reader that listed the files before they were put aside reads them to the end.
#[test]
fn who_has_it_open_reads_on() {
    let (memory, local) = pushed(FILES_MIN - 1);
    let disk = shared(&memory);
    let early = opened(&disk);
    let before = local.get(MAIN).unwrap();
    local.commit(MAIN, &[("a", b"the last")]);
    push_into(&disk, &local, &[MAIN]).unwrap();
    assert!(data_files(&disk) < FILES_MIN);
    let request = verify::Request {
        targets: vec![verify::Target::snapshot(MAIN.to_owned(), before)],
        everything: true,
        depth: verify::Depth::Data,
        threads: 2,
    };
    let report = verify::run(&early.store, None, &request, &Progress::default()).unwrap();
    assert!(
        report.is_clean() && report.data_files == FILES_MIN as u64 - 1,
        "{report:?}"
    );
}

/// What does not read is not taken for copied.
#[test]
fn a_damaged_file_stays_where_it_is() {
    let (memory, local) = pushed(FILES_MIN - 1);
    let folder = Path::new(ROOT).join("data");
    let disk = shared(&memory);
    let name = disk.list(&folder).unwrap().into_iter().min().unwrap();
    let (path, bytes) = memory
        .files()
        .into_iter()
        .find(|(path, _)| path.ends_with(&name))
        .unwrap();
    let mut hurt = bytes.to_vec();
    let middle = hurt.len() / 2;
    hurt[middle] ^= 1;
    memory.place(&path, Arc::new(hurt));
    local.commit(MAIN, &[("a", b"the last")]);
    push_into(&disk, &local, &[MAIN]).unwrap();
    let names = disk.list(&folder).unwrap();
    assert!(names.len() == FILES_MIN && names.contains(&name), "{}", names.len());
}
