//! Collecting where blocks are missed by nobody: after `repair` recorded what is lost, and where snapshots only describe.

use super::*;
use crate::repair;
use crate::verify::recorded::DAMAGED;

#[test]
fn what_is_recorded_as_lost_is_missed_no_more() {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut dice = Dice::new(3);
    let key = |name: &str| ("d".to_owned(), name.to_owned());
    let files = Files::from([(key("hurt"), dice.bytes(900)), (key("whole"), dice.bytes(900))]);
    take(
        &open(&disk).unwrap(),
        "refs/snapshots/goes",
        &Files::from([(key("dead"), dice.bytes(900))]),
        "goes",
    )
    .unwrap();
    take(&open(&disk).unwrap(), MAIN, &files, "stays").unwrap();
    delete(&open(&disk).unwrap(), "refs/snapshots/goes");
    // Noise is stored as it is.
    let wanted = &files[&key("hurt")][100..132];
    let hurt = memory.files().into_iter().find_map(|(path, bytes)| {
        let at = bytes.windows(wanted.len()).position(|found| found == wanted)?;
        let mut bytes = (*bytes).clone();
        bytes[at] ^= 1;
        memory.place(&path, Arc::new(bytes)).then_some(())
    });
    assert!(hurt.is_some());
    let refused = collect(&open(&disk).unwrap(), Allowance::Share(0));
    assert!(refused.is_err_and(|error| error.is_damage()));
    let options = repair::Options {
        dry_run: false,
        threads: 1,
    };
    let report = repair::run(&open(&disk).unwrap(), &options, &who(), &Progress::default()).unwrap();
    assert_eq!(report.marked.len(), 1, "{report:?}");
    for _ in 0..3 {
        collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
        let repository = open(&disk).unwrap();
        let whole = ObjectId::hash(repository.store.algo(), &files[&key("whole")]);
        assert_eq!(
            repository.store.get(&whole).unwrap().as_ref(),
            Some(&files[&key("whole")])
        );
        for (name, id) in repository.refs.list(DAMAGED).unwrap() {
            let snapshot = repository.store.object(ObjectKind::Snapshot, &id);
            assert!(snapshot.is_ok(), "{name}: {snapshot:?}");
        }
    }
}

#[test]
fn a_snapshot_that_only_describes_keeps_its_trees_and_misses_no_blocks() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let mut dice = Dice::new(9);
    let files: Files = (0..4)
        .map(|n| ((format!("d{n}"), "f".to_owned()), dice.bytes(700)))
        .collect();
    let repository = open(&disk).unwrap();
    let mut writer = repository.store.writer().unwrap();
    writer.set_keeps_data(false);
    let mut packer = writer.packer();
    let tree = put_tree(&mut packer, &files, None).unwrap();
    let mut snapshot = Snapshot::bare(tree);
    snapshot.set_ghosts_only(true);
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    drop(writer);
    let change = set(MAIN, Expected::Absent, Some(id));
    repository.commit(&[change], &who(), "", Leans::Own).unwrap();
    drop(repository);
    let other = Files::from([(("d0".to_owned(), "f".to_owned()), dice.bytes(700))]);
    take(&open(&disk).unwrap(), "refs/snapshots/goes", &other, "goes").unwrap();
    delete(&open(&disk).unwrap(), "refs/snapshots/goes");
    collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(settles(&disk));
    let repository = open(&disk).unwrap();
    let found = blocks(&repository.store, id);
    assert_eq!(found.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    assert!(found.values().all(|block| !repository.store.contains(block).unwrap()));
    drop(repository);
    // Of its trees none may be missing.
    let folder = Path::new("/r/.ghost/data");
    for name in disk.list(folder).unwrap() {
        disk.remove(&folder.join(name)).unwrap();
    }
    assert!(collect(&open(&disk).unwrap(), Allowance::Share(0)).is_err());
}
