//! Parity goes with the files: what gc leaves has it, what gc takes away has none.

use super::*;
use crate::repair::parity::mend;
use crate::store::parity::keep::{covered, length, unchanging};
use crate::store::parity::path_of;

/// Files that must have parity: data files that are full, segments, checkpoints.
fn uncovered(disk: &Arc<dyn Disk>) -> Vec<std::path::PathBuf> {
    let store = open(disk).unwrap().store;
    let full = store.data_files().into_iter().filter(|(_, bytes)| *bytes >= 6000);
    let mut wanted: Vec<_> = full.map(|(file, _)| file.path).collect();
    // What was not finished is none of them.
    let unfinished = ghost_dir().join("refs/checkpoint-00000000000000000009.tmp-0123456789abcdef");
    crate::disk::replace_file(&**disk, &unfinished, b"unfinished").unwrap();
    let others = unchanging(&**disk, ghost_dir()).unwrap();
    disk.remove(&unfinished).unwrap();
    let parts = ["index", "refs"].map(|part| {
        others
            .iter()
            .filter(|(path, _)| path.starts_with(ghost_dir().join(part)))
            .count()
    });
    assert!(parts.iter().all(|count| *count > 0), "{others:?}");
    assert!(!others.iter().any(|(path, _)| *path == unfinished), "{others:?}");
    assert!(!wanted.is_empty() && others.len() > 1, "{wanted:?} {others:?}");
    wanted.extend(others.into_iter().map(|(path, _)| path));
    wanted.retain(|path| length(&**disk, &path_of(ghost_dir(), path).unwrap()).unwrap().is_none());
    wanted
}

#[test]
fn after_gc_all_that_stays_as_it_is_has_parity_and_nothing_else_does() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let (mut files, mut dice) = (Files::new(), Dice::new(5));
    // So many that there is a checkpoint: some of them change nothing, and leave no record.
    for n in 0..crate::refs::CHECKPOINT_EVERY_RECORDS * 5 / 4 {
        let repository = open_with(&disk, 20).unwrap();
        if n % 16 == 0 {
            change(&mut files, &mut dice);
            take(&repository, MAIN, &files, &n.to_string()).unwrap();
        } else {
            let main = repository.refs.get(MAIN).unwrap();
            let tag = set("refs/tags/t", Expected::Any, main.filter(|_| n % 2 == 0));
            repository.commit(&[tag], &who(), "", Leans::Anything).unwrap();
        }
    }
    let other = Files::from([(("d".to_owned(), "f".to_owned()), dice.bytes(20_000))]);
    take(&open_with(&disk, 20).unwrap(), "refs/snapshots/other", &other, "other").unwrap();
    delete(&open(&disk).unwrap(), "refs/snapshots/other");
    let before = covered(&*disk, ghost_dir()).unwrap();
    assert!(
        before
            .iter()
            .any(|(file, _)| file.starts_with(ghost_dir().join("data"))),
        "{before:?}"
    );

    let report = collect(&open_with(&disk, 20).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.swept.files > 0, "{report:?}");
    assert_eq!(uncovered(&disk), Vec::<std::path::PathBuf>::new());
    for (file, parity) in covered(&*disk, ghost_dir()).unwrap() {
        assert!(
            length(&*disk, &file).unwrap().is_some(),
            "{} covers nothing",
            parity.display()
        );
    }
    // It serves: a bit of each file that is covered.
    let all = covered(&*disk, ghost_dir()).unwrap();
    for (file, _) in &all {
        let file = disk.open(file, crate::disk::OpenMode::Write).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, 40).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 40).unwrap();
    }
    let mended = mend(&open(&disk).unwrap(), false, &Progress::default()).unwrap();
    assert_eq!(mended.len(), all.len());
    assert!(mended.iter().all(|mended| mended.refused.is_none()));
    let repository = open(&disk).unwrap();
    assert!(repository.store.is_whole() && repository.refs.verify().unwrap().problems.is_empty());
}
