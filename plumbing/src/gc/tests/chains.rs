//! What stays only because others are stored as differences from it: it is counted, and goes when these are packed anew.

use super::*;
use crate::store::DeltaOptions;

/// Versions of one file of noise, each with an edit more than the one before. Compressed they take what they are long.
pub(super) fn versions(count: usize) -> Vec<Files> {
    let mut dice = Dice::new(41);
    let mut bytes = dice.bytes(3000);
    let version = |n: usize| {
        bytes[100 * n..100 * n + 20].copy_from_slice(&dice.bytes(20));
        Files::from([(("d".to_owned(), "f".to_owned()), bytes.clone())])
    };
    (0..count).map(version).collect()
}

pub(super) fn line(n: usize) -> String {
    format!("refs/snapshots/v{n}")
}

/// A repository of snapshots that do not follow each other, each a line of its own, each stored as the difference from the last.
pub(super) fn history(count: usize) -> (MemoryDisk, BTreeMap<ObjectId, Files>) {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let (mut known, mut last) = (BTreeMap::new(), None);
    for (n, files) in versions(count).into_iter().enumerate() {
        let id = take_alone(&open(&disk).unwrap(), &line(n), &files, &n.to_string(), last).unwrap();
        known.insert(id, files);
        last = Some(id);
    }
    (memory, known)
}

/// The same, shared.
fn shared(count: usize) -> (Arc<dyn Disk>, BTreeMap<ObjectId, Files>) {
    let (memory, known) = history(count);
    (Arc::new(memory), known)
}

/// The file of a version, and what it is made from in turn.
pub(super) fn chain(disk: &Arc<dyn Disk>, n: usize) -> Vec<ObjectId> {
    let repository = open(disk).unwrap();
    let snapshot = repository.refs.get(&line(n)).unwrap().unwrap();
    let key = ("d".to_owned(), "f".to_owned());
    let mut chain = vec![blocks(&repository.store, snapshot)[&key]];
    loop {
        let at = repository.store.locate(chain.last().unwrap()).unwrap().unwrap();
        match repository.store.bases_at(at).unwrap().first() {
            Some(base) => chain.push(base.id),
            None => return chain,
        }
    }
}

pub(super) fn block(n: usize) -> ObjectId {
    let files = versions(n + 1).pop().unwrap();
    ObjectId::hash(crate::object::HashAlgo::Sha256, files.values().next().unwrap())
}

pub(super) fn forget(disk: &Arc<dyn Disk>, versions: impl IntoIterator<Item = usize>) {
    let repository = open(disk).unwrap();
    versions.into_iter().for_each(|n| delete(&repository, &line(n)));
}

pub(super) fn contains(disk: &Arc<dyn Disk>, n: usize) -> bool {
    open(disk).unwrap().store.contains(&block(n)).unwrap()
}

fn dry(disk: &Arc<dyn Disk>) -> Report {
    let options = Options {
        unused_max: Allowance::Share(0),
        repack_bytes_max: u64::MAX,
        keep_log: KeepLog::Nothing,
        threads: 1,
        dry_run: true,
        is_over: &|| false,
    };
    run(&open(disk).unwrap(), &options, &Progress::default()).unwrap()
}

#[test]
fn what_was_made_from_the_forgotten_is_made_from_the_nearest_that_is_needed() {
    let (disk, known) = shared(8);
    assert_eq!(chain(&disk, 7).len(), 8, "each is made from the last");
    assert_eq!(dry(&disk).base_objects, 0, "all of it is needed");
    forget(&disk, [1, 2, 3, 5, 6]);
    let (before, report) = (data_bytes(&disk), dry(&disk));
    // Five files; and of what describes them as much as was worth a difference.
    assert!(report.base_objects >= 5 && report.base_bytes < 3000, "{report:?}");
    assert_eq!(report.rewritten_objects, 0);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.rewritten_objects >= 2, "{report:?}");
    assert!(settles(&disk));
    assert_eq!(chain(&disk, 4), [block(4), block(0)]);
    let long = chain(&disk, 7);
    assert!(
        long == [block(7), block(0)] || long == [block(7), block(4), block(0)],
        "{long:?}"
    );
    assert!([1, 2, 3, 5, 6].iter().all(|n| !contains(&disk, *n)));
    assert_eq!(dry(&disk).base_objects, 0);
    assert!(data_bytes(&disk) < before);
    check(&open(&disk).unwrap(), &known, &"afterwards");
}

#[test]
fn the_last_that_stands_on_what_nothing_needs_is_stored_whole() {
    let (disk, known) = shared(6);
    forget(&disk, 0..5);
    let report = dry(&disk);
    // The first version, and all differences between.
    assert!(report.base_objects >= 5 && report.base_bytes > 3000, "{report:?}");
    let counted = props(&open(&disk).unwrap(), KeepLog::Nothing, &Progress::default()).unwrap();
    assert_eq!(
        (counted.objects, counted.bytes),
        (report.base_objects, report.base_bytes)
    );
    collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(settles(&disk));
    assert_eq!(chain(&disk, 5), [block(5)]);
    assert!((0..5).all(|n| !contains(&disk, n)));
    check(&open(&disk).unwrap(), &known, &"afterwards");
    // Nothing but one version is left.
    let bytes = data_bytes(&disk);
    assert!(bytes < 5000, "{bytes}");
}

#[test]
fn where_several_stand_on_one_end_it_stays_and_what_is_between_goes() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let (mut known, all) = (BTreeMap::new(), versions(7));
    let mut ids = Vec::new();
    // Two branches, 0 1 2 3 and 0 4 5 6.
    for (n, files) in all.iter().enumerate() {
        let last = match n {
            0 => None,
            4 => Some(ids[0]),
            _ => Some(ids[n - 1]),
        };
        let id = take_alone(&open(&disk).unwrap(), &line(n), files, &n.to_string(), last).unwrap();
        known.insert(id, files.clone());
        ids.push(id);
    }
    forget(&disk, [0, 1, 2, 4, 5]);
    collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(settles(&disk));
    assert_eq!(chain(&disk, 3), [block(3), block(0)]);
    assert_eq!(chain(&disk, 6), [block(6), block(0)]);
    assert!([1, 2, 4, 5].iter().all(|n| !contains(&disk, *n)));
    let report = dry(&disk);
    assert!(report.base_objects >= 1, "the end is counted: {report:?}");
    assert!(report.base_bytes >= 3000 && report.totals().1 == 0, "{report:?}");
    check(&open(&disk).unwrap(), &known, &"afterwards");
}

/// Collects with this `delta.depth`, where something in each file is dead: all are packed anew.
fn collect_to_depth(disk: &Arc<dyn Disk>, depth: u8) -> Report {
    let mut repository = open(disk).unwrap();
    let options = StoreOptions {
        delta: DeltaOptions {
            depth,
            ..DeltaOptions::default()
        },
        ..repository.store.options().clone()
    };
    let (uuid, hash) = (repository.format.uuid, repository.format.hash);
    repository.store = Store::open(disk.clone(), ghost_dir(), uuid, hash, options).unwrap();
    repository.store.allow_deltas(|| Ok(()));
    let noise = Files::from([(("d".to_owned(), "noise".to_owned()), Dice::new(1).bytes(300))]);
    take(&repository, MAIN, &noise, "goes").unwrap();
    delete(&repository, MAIN);
    collect(&repository, Allowance::Share(0)).unwrap()
}

/// A lower `delta.depth` holds for what is packed anew, too.
#[test]
fn chains_longer_than_is_wanted_are_cut() {
    let (disk, known) = shared(8);
    let lengths = || -> Vec<usize> { (0..8).map(|n| chain(&disk, n).len()).collect() };
    let before = lengths();
    let report = collect_to_depth(&disk, 7);
    assert_eq!(
        (report.rewritten_objects, lengths()),
        (0, before.clone()),
        "7 are as deep as is wanted"
    );
    let report = collect_to_depth(&disk, 2);
    let after = lengths();
    assert!(
        after.iter().zip(&before).all(|(after, before)| after <= before),
        "{before:?} {after:?}"
    );
    assert!(after < before, "{after:?}");
    assert_eq!(after[..3], before[..3], "{report:?}");
    check(&open(&disk).unwrap(), &known, &"afterwards");
}

/// What a few dead differences keep counts with the file that they lie in; it is not copied to and fro.
#[test]
fn what_only_dead_differences_keep_is_freed_with_them() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let files = |seed: u64| Files::from([(("d".to_owned(), "f".to_owned()), Dice::new(seed).bytes(5000))]);
    let id = take(&open(&disk).unwrap(), MAIN, &files(1), "base").unwrap();
    // A file of its own, in which most lives.
    let repository = open(&disk).unwrap();
    let mut changed = files(1);
    changed.values_mut().for_each(|bytes| bytes[7] ^= 1);
    take_alone(&repository, "refs/snapshots/gone", &changed, "gone", Some(id)).unwrap();
    let kept = take_alone(&repository, "refs/snapshots/kept", &files(3), "kept", None).unwrap();
    drop(repository);
    for name in [MAIN, "refs/snapshots/gone"] {
        delete(&open(&disk).unwrap(), name);
    }
    let report = dry(&disk);
    let held: u64 = report.files.iter().map(|file| file.usage.held_bytes).sum();
    let unused = report.totals().1;
    assert!(
        unused > 5000,
        "what nobody needs is unused, whoever keeps it: {report:?}"
    );
    let wanted = Allowance::Share(1000);
    let first = collect(&open(&disk).unwrap(), wanted).unwrap();
    let second = collect(&open(&disk).unwrap(), wanted).unwrap();
    assert_eq!(second.copied_bytes, 0, "held {held}; {first:?}, then {second:?}");
    assert!(data_bytes(&disk) < 7000, "{first:?} {second:?}");
    check(
        &open(&disk).unwrap(),
        &BTreeMap::from([(kept, files(3))]),
        &"afterwards",
    );
}

/// An object that does not read is copied as it is: what it is made from stays, too.
#[test]
fn what_cannot_be_read_is_not_written_again() {
    let (disk, mut known) = shared(4);
    let base = open(&disk).unwrap().store.locate(&block(0)).unwrap().unwrap();
    let repository = open(&disk).unwrap();
    let (file, head) = repository.store.head(base).unwrap();
    let at = head.end() - 1000;
    let writable = disk.open(&file.path, crate::disk::OpenMode::Write).unwrap();
    let mut byte = [0];
    writable.read_at(&mut byte, at).unwrap();
    writable.write_all_at(&[byte[0] ^ 1], at).unwrap();
    drop(repository);
    forget(&disk, [1, 2]);
    known.retain(|_, files| *files == versions(1)[0]);
    let before = chain(&disk, 3);
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0));
    assert_eq!(chain(&disk, 3), before, "{report:?}");
    // With the byte it reads again, and goes on.
    let repository = open(&disk).unwrap();
    let at_now = repository.store.locate(&block(0)).unwrap().unwrap();
    let (file, head) = repository.store.head(at_now).unwrap();
    let writable = disk.open(&file.path, crate::disk::OpenMode::Write).unwrap();
    writable.write_all_at(&byte, head.end() - 1000).unwrap();
    drop(repository);
    collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(settles(&disk));
    assert_eq!(chain(&disk, 3), [block(3), block(0)]);
}
