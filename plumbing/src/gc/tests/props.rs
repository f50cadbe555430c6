//! What stays for differences, exactly: how much it is, how long it stays, and what is made from what afterwards.

use super::chains::{block, chain, forget, line, versions};
use super::places::{dry, places, point};
use super::*;
use crate::store::DeltaOptions;

/// The name of what fills a data file.
fn fill() -> (String, String) {
    ("d".to_owned(), "fill".to_owned())
}

/// Versions of one file, each made from the last; the first in a data file in which nothing ever goes.
pub(super) fn on_a_full_file(count: usize) -> (MemoryDisk, BTreeMap<ObjectId, Files>) {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let (mut known, mut last) = (BTreeMap::new(), None);
    for (n, mut files) in versions(count).into_iter().enumerate() {
        if n == 0 {
            files.insert(fill(), Dice::new(77).bytes(6000));
        }
        let id = take_alone(&open(&disk).unwrap(), &line(n), &files, &n.to_string(), last).unwrap();
        known.insert(id, files);
        last = Some(id);
    }
    super::places::cover(&disk);
    (memory, known)
}

/// The same, each version in a data file of its own, in which something is dead.
fn in_files_of_their_own(count: usize) -> (Arc<dyn Disk>, BTreeMap<ObjectId, Files>) {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let (mut known, mut last) = (BTreeMap::new(), None);
    for (n, files) in versions(count).into_iter().enumerate() {
        let repository = open(&disk).unwrap();
        let id = take_alone(&repository, &line(n), &files, &n.to_string(), last).unwrap();
        let noise = Files::from([(fill(), Dice::new(200 + n as u64).bytes(7000))]);
        put(&repository.store.writer().unwrap(), &noise, Vec::new(), "dead").unwrap();
        known.insert(id, files);
        last = Some(id);
    }
    let files = |n| places(&disk, &block(n))[0].file;
    assert!((1..count).all(|n| files(n) != files(n - 1)));
    (disk, known)
}

/// Nobody waits for the end of a gc to read: what a difference leads to in many steps is there until it is written again.
#[test]
fn all_that_a_difference_leads_to_stays_until_it_is_written_again() {
    let (disk, known) = in_files_of_their_own(6);
    forget(&disk, 0..5);
    let report = dry(&disk, KeepLog::Nothing).unwrap();
    assert_eq!(report.base_objects, 5, "{report:?}");
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert_eq!(report.rewritten_objects, 1, "{report:?}");
    assert_eq!(chain(&disk, 5), [block(5)]);
    check(&open(&disk).unwrap(), &known, &"afterwards");
    assert!(settles(&disk));
    assert!((0..5).all(|n| places(&disk, &block(n)).is_empty()));
}

#[test]
fn where_time_is_over_before_anything_is_copied_what_stands_on_others_reads_as_before() {
    let (disk, known) = in_files_of_their_own(5);
    forget(&disk, 0..4);
    let options = Options {
        unused_max: Allowance::Share(0),
        repack_bytes_max: u64::MAX,
        keep_log: KeepLog::Nothing,
        threads: 1,
        dry_run: false,
        is_over: &|| true,
    };
    let report = run(&open(&disk).unwrap(), &options, &Progress::default()).unwrap();
    assert_eq!(report.stopped, Some(Stopped::Time), "{report:?}");
    assert_eq!(chain(&disk, 4), [4, 3, 2, 1, 0].map(block));
    check(&open(&disk).unwrap(), &known, &"afterwards");
}

#[test]
fn props_are_counted_with_their_shares_of_the_frames_that_they_lie_in() {
    let (memory, _) = super::chains::history(6);
    let disk: Arc<dyn Disk> = Arc::new(memory);
    // Two of them in one frame with something that is needed.
    let repository = open(&disk).unwrap();
    let writer = repository.store.writer().unwrap();
    let mut files = versions(6).pop().unwrap();
    for (n, name) in ["f", "g", "h"].into_iter().enumerate() {
        let mut bytes = versions(6).pop().unwrap().into_values().next().unwrap();
        bytes[2500 + n] ^= 1;
        files.insert(("d".to_owned(), name.to_owned()), bytes);
    }
    let like = versions(6).pop().unwrap();
    let mut packer = writer.packer();
    let base = ObjectId::hash(repository.store.algo(), like.values().next().unwrap());
    for bytes in files.values() {
        let id = ObjectId::hash(repository.store.algo(), bytes);
        packer
            .put_against(Class::Small, ObjectKind::Block, id, bytes, &[base])
            .unwrap();
    }
    packer.flush().unwrap();
    drop(packer);
    let middle = put(&writer, &files, Vec::new(), "middle").unwrap();
    drop(writer);
    point(&repository, "refs/snapshots/middle", middle);
    // What is kept is made from two of these three.
    let mut kept = Files::new();
    for name in ["f", "g"] {
        let key = ("d".to_owned(), name.to_owned());
        let mut bytes = files[&key].clone();
        bytes[2700] ^= 1;
        kept.insert(key, bytes);
    }
    take_alone(&repository, MAIN, &kept, "kept", Some(middle)).unwrap();
    drop(repository);
    forget(&disk, 0..6);
    delete(&open(&disk).unwrap(), "refs/snapshots/middle");
    let props: Vec<ObjectId> = (0..6)
        .map(block)
        .chain(["f", "g"].map(|name| {
            let bytes = &files[&("d".to_owned(), name.to_owned())];
            ObjectId::hash(crate::object::HashAlgo::Sha256, bytes)
        }))
        .collect();
    let (mut expected, mut frames) = (0, 0);
    for (file, committed) in open(&disk).unwrap().store.data_files() {
        walk::frames(&file, committed, &mut |head| {
            let slots: Vec<u16> = (0u16..)
                .zip(&head.rows)
                .filter(|(_, row)| props.contains(&row.id))
                .map(|(slot, _)| slot)
                .collect();
            frames += usize::from(!slots.is_empty());
            expected += usage::share(&head, &slots);
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(frames, 7, "two of eight share a frame");
    let report = dry(&disk, KeepLog::Nothing).unwrap();
    assert_eq!((report.base_objects, report.base_bytes), (8, expected), "{report:?}");
    let counted = super::props(&open(&disk).unwrap(), KeepLog::Nothing, &Progress::default()).unwrap();
    assert_eq!((counted.objects, counted.bytes), (8, expected));
}

/// Opens it with this `delta.depth`.
fn open_to_depth(disk: &Arc<dyn Disk>, depth: u8) -> Repository {
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
    repository
}

/// Of 0 1 2 3 4 the one before the last is forgotten: 2 is the nearest, and two deep.
#[test]
fn the_nearest_is_taken_that_is_less_deep_than_may_be() {
    for (depth, expected) in [
        (9, [4, 2, 1, 0].as_slice()),
        (3, &[4, 2, 1, 0]),
        (2, &[4, 1, 0]),
        (1, &[4, 0]),
    ] {
        let (memory, known) = super::chains::history(5);
        let disk: Arc<dyn Disk> = Arc::new(memory);
        forget(&disk, [3]);
        let report = collect(&open_to_depth(&disk, depth), Allowance::Share(0)).unwrap();
        assert!(report.rewritten_objects >= 1, "{depth}: {report:?}");
        let expected: Vec<ObjectId> = expected.iter().map(|n| block(*n)).collect();
        assert_eq!(chain(&disk, 4), expected, "at most {depth} deep");
        check(&open(&disk).unwrap(), &known, &depth);
    }
}

/// The error says what a missing object is needed for, whether differences may be written here or not.
#[test]
fn a_base_that_is_gone_is_told_as_one() {
    for allows in [true, false] {
        let (memory, _) = on_a_full_file(2);
        let disk: Arc<dyn Disk> = Arc::new(memory);
        forget(&disk, [0]);
        let gone = places(&disk, &block(0)).remove(0);
        disk.remove(&gone.path).unwrap();
        let before = data_bytes(&disk);
        let mut repository = open(&disk).unwrap();
        if !allows {
            let options = repository.store.options().clone();
            let (uuid, hash) = (repository.format.uuid, repository.format.hash);
            repository.store = Store::open(disk.clone(), ghost_dir(), uuid, hash, options).unwrap();
        }
        let error = collect(&repository, Allowance::Share(0)).unwrap_err();
        assert!(
            matches!(error, Error::Missing { id, needed_as: "base of other objects" } if id == block(0)),
            "{allows}: {error:?}"
        );
        assert_eq!(data_bytes(&disk), before);
    }
}

/// The bytes of a frame may not be what its digest says; what is sound of it is copied, whatever is beside it, and also where it
/// is stored twice like that.
#[test]
fn of_a_frame_of_differences_in_which_something_dead_is_hurt_the_rest_is_copied() {
    for times in [1, 2] {
        copies_what_is_sound(times);
    }
}

fn copies_what_is_sound(times: usize) {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut base = versions(1).remove(0);
    let original = base.values().next().unwrap().clone();
    base.insert(fill(), Dice::new(78).bytes(6000));
    let based = take_alone(&open(&disk).unwrap(), "refs/snapshots/base", &base, "base", None).unwrap();
    let algo = crate::object::HashAlgo::Sha256;
    let edited = |at: usize| {
        let mut bytes = original.clone();
        bytes[at..at + 60].copy_from_slice(&Dice::new(at as u64).bytes(60));
        bytes
    };
    let (stays, goes) = (edited(500), edited(1500));
    let mut known = BTreeMap::from([(based, base)]);
    // None knows of the others.
    let repositories: Vec<Repository> = (0..times).map(|_| open(&disk).unwrap()).collect();
    let writers: Vec<Writer<'_>> = repositories.iter().map(|it| it.store.writer().unwrap()).collect();
    for (n, (writer, repository)) in writers.iter().zip(&repositories).enumerate() {
        let mut packer = writer.packer();
        let like = ObjectId::hash(algo, &original);
        for bytes in [&goes, &stays] {
            let id = ObjectId::hash(algo, bytes);
            packer
                .put_against(Class::Small, ObjectKind::Block, id, bytes, &[like])
                .unwrap();
        }
        packer.flush().unwrap();
        drop(packer);
        let files = Files::from([(("d".to_owned(), "f".to_owned()), stays.clone())]);
        let id = put(writer, &files, Vec::new(), &format!("stays {n}")).unwrap();
        point(repository, &format!("refs/snapshots/stays{n}"), id);
        known.insert(id, files);
    }
    drop(writers);
    drop(repositories);
    super::places::cover(&disk);
    let goes = ObjectId::hash(algo, &goes);
    let found = places(&disk, &goes);
    assert_eq!(found.len(), times);
    let place = &found[0];
    assert_eq!((place.head.rows.len(), place.head.parts.len()), (2, 2));
    let slot = place.head.rows.iter().position(|row| row.id == goes).unwrap();
    let length = |slot: usize| u64::from(place.head.parts[slot].stored_bytes);
    let start = place.head.payload_offset() + if slot == 1 { length(0) } else { 0 };
    let mut unreadable = 0;
    // What its compressed form begins with, and some of the rest.
    for at in (0..length(slot)).filter(|at| *at < 10 || at.is_multiple_of(10)) {
        let disk: Arc<dyn Disk> = Arc::new(memory.copy(1 << 40));
        for copy in &found {
            copy.hurt(&disk, start - place.head.offset + copy.head.offset + at);
        }
        let repository = open(&disk).unwrap();
        let located = repository.store.locate(&goes).unwrap().unwrap();
        let read = repository
            .store
            .read_frame(located, &mut crate::store::Frame::default());
        unreadable += u64::from(read.is_err());
        drop(repository);
        let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
        assert_eq!(report.condemned_files, times as u64, "{report:?}");
        check(&open(&disk).unwrap(), &known, &at);
    }
    assert!(unreadable > 0);
}

/// Who stores a dead object again finds it whole, as long as it is there: what it is made from is copied with what lives.
#[test]
fn what_a_dead_difference_of_a_file_that_stays_is_made_from_stays() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let noise = |name: &str, seed: u64, bytes| (("d".to_owned(), name.to_owned()), Dice::new(seed).bytes(bytes));
    let (name, original) = noise("f", 1, 1000);
    let base = Files::from([(name.clone(), original.clone())]);
    let goes = "refs/snapshots/goes";
    let based = take_alone(&open(&disk).unwrap(), goes, &base, "base", None).unwrap();
    let more = Files::from([noise("f", 2, 5000)]);
    take_alone(&open(&disk).unwrap(), "refs/snapshots/more", &more, "more", None).unwrap();
    let mut changed = original;
    changed[500] ^= 1;
    // In a data file of its own, in which something lives.
    let stays: Files = (0..4).map(|n| noise(&format!("l{n}"), 3 + n, 1000)).collect();
    let mut dead = stays.clone();
    dead.insert(name, changed.clone());
    take_alone(&open(&disk).unwrap(), goes, &dead, "dead", Some(based)).unwrap();
    let id = take_alone(&open(&disk).unwrap(), MAIN, &stays, "stays", None).unwrap();
    for name in [goes, "refs/snapshots/more"] {
        delete(&open(&disk).unwrap(), name);
    }
    let algo = crate::object::HashAlgo::Sha256;
    let (base, made) = (
        ObjectId::hash(algo, base.values().next().unwrap()),
        ObjectId::hash(algo, &changed),
    );
    let place_of = |id| places(&disk, &id).remove(0);
    let (before, stays_here) = (place_of(base), place_of(made));
    assert_ne!(before.file, stays_here.file);
    assert!(!stays_here.head.bases.is_empty());
    let report = dry(&disk, KeepLog::Nothing).unwrap();
    let held: Vec<_> = report.files.iter().filter(|file| file.usage.held_bytes > 0).collect();
    let share = usage::share(&before.head, &[0]);
    assert_eq!((held.len(), report.base_objects, report.base_bytes), (1, 1, share));
    assert_eq!((held[0].usage.file, held[0].usage.held_bytes), (stays_here.file, share));
    // As much may stay unused as the second has.
    let report = collect(&open(&disk).unwrap(), Allowance::Bytes(2500)).unwrap();
    assert!(report.condemned_files >= 1, "{report:?}");
    let (base_now, made_now) = (place_of(base), place_of(made));
    assert!(base_now.file != before.file && made_now.file == stays_here.file);
    let repository = open(&disk).unwrap();
    assert_eq!(repository.store.get(&made).unwrap(), Some(changed));
    check(&repository, &BTreeMap::from([(id, stays)]), &"afterwards");
}
