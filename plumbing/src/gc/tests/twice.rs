//! Objects that are stored twice, once as the difference from something that goes: the other copy must not go for that one.
//!
//! A writer that knows nothing of a copy stores another. Nobody who needs that one has to keep what it is made from, as long as
//! no ref names it: such a copy falls when gc removes that, and must stand for nothing.

use super::*;

const GOES: &str = "refs/snapshots/goes";
const STAYS: &str = "refs/snapshots/stays";

fn key(name: &str) -> (String, String) {
    ("d".to_owned(), name.to_owned())
}

/// What is tried: contents that are alike, and enough beside them to fill a data file.
struct Contents {
    base: Files,
    changed: Files,
}

impl Contents {
    fn new() -> Self {
        let mut dice = Dice::new(5);
        let mut base: Files = (0..8).map(|n| (key(&format!("fill{n}")), dice.bytes(900))).collect();
        base.insert(key("f"), dice.bytes(900));
        let mut bytes = base[&key("f")].clone();
        bytes[450] ^= 1;
        let changed = Files::from([(key("f"), bytes)]);
        Self { base, changed }
    }

    /// The object of which there are two copies.
    fn object(&self) -> ObjectId {
        ObjectId::hash(crate::object::HashAlgo::Sha256, &self.changed[&key("f")])
    }
}

/// Copies of an object: data file, and whether it is made from others.
pub(super) fn copies(disk: &Arc<dyn Disk>, id: &ObjectId) -> Vec<([u8; 16], bool)> {
    let mut found = Vec::new();
    for (file, committed) in open(disk).unwrap().store.data_files() {
        walk::frames(&file, committed, &mut |head| {
            for (slot, row) in (0..).zip(&head.rows) {
                if row.id == *id {
                    found.push((file.header.file, !head.bases_of(slot).is_empty()));
                }
            }
            Ok(())
        })
        .unwrap();
    }
    found
}

/// The base, in a full data file; then the object twice: as a difference by a writer that no ref follows, and whole in what a
/// line holds, by one that began before. Then the base dies. Gives the first writer's process, which has its file still.
fn stored_twice(disk: &Arc<dyn Disk>, contents: &Contents) -> (Repository, BTreeMap<ObjectId, Files>) {
    let like = take(&open(disk).unwrap(), GOES, &contents.base, "goes").unwrap();
    let (lost, other) = (open(disk).unwrap(), open(disk).unwrap());
    let pending = lost.store.writer().unwrap();
    put_like(&pending, &contents.changed, Vec::new(), "lost", Some(like)).unwrap();
    // Something dead beside it, so that it is packed anew.
    let writer = other.store.writer().unwrap();
    let mut files = contents.changed.clone();
    files.insert(key("more"), Dice::new(6).bytes(900));
    put(&writer, &files, Vec::new(), "dead").unwrap();
    let id = put(&writer, &contents.changed, Vec::new(), "stays").unwrap();
    drop(writer);
    let change = set(STAYS, Expected::Absent, Some(id));
    other.commit(&[change], &who(), "", Leans::Own).unwrap();
    drop(pending);
    drop(other);
    delete(&open(disk).unwrap(), GOES);
    let copies = copies(disk, &contents.object());
    let made = copies.iter().filter(|(_, is_made)| *is_made).count();
    assert!(
        (copies.len(), made) == (2, 1) && copies[0].0 != copies[1].0,
        "{copies:?}"
    );
    (lost, BTreeMap::from([(id, contents.changed.clone())]))
}

fn check_all(disk: &Arc<dyn Disk>, known: &BTreeMap<ObjectId, Files>, what: &str) {
    let repository = open(disk).unwrap();
    check(&repository, known, &what);
    let progress = Progress::default();
    let request = crate::verify::Request {
        targets: crate::verify::targets::all(&repository.store, &repository.refs, &progress).unwrap(),
        everything: false,
        depth: crate::verify::Depth::Data,
        threads: 1,
    };
    let report = crate::verify::run(&repository.store, Some(&repository.refs), &request, &progress).unwrap();
    assert!(report.hurt.is_empty(), "{what}: {:?}", report.hurt);
}

#[test]
fn a_copy_that_falls_with_what_it_is_made_from_replaces_none() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let contents = Contents::new();
    let (lost, known) = stored_twice(&disk, &contents);
    // The file of who stores without a ref is let alone; all others are packed anew, and the base goes.
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert!(report.busy_files == 1 && report.condemned_files > 1, "{report:?}");
    check_all(&disk, &known, "while what goes is still there");
    drop(lost);
    open(&disk).unwrap().store.sweep_if_due();
    assert_eq!(open(&disk).unwrap().store.read_generation().unwrap().condemned.len(), 0);
    check_all(&disk, &known, "when it has gone");
    assert!(settles(&disk));
    check_all(&disk, &known, "at the end");
}

/// A copy that has fallen counts among those that are there twice, like one that reads.
#[test]
fn copies_that_stand_for_nothing_are_counted() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let contents = Contents::new();
    let (lost, known) = stored_twice(&disk, &contents);
    collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    let mut twice = vec![contents.object()];
    let repository = open(&disk).unwrap();
    for id in known.keys() {
        let bytes = repository.store.object(ObjectKind::Snapshot, id).unwrap();
        let tree = Snapshot::decode(&bytes).unwrap().tree;
        twice.push(tree);
        for folder in Entries::new(&repository.store, tree) {
            let Node::Directory { tree } = folder.unwrap().node else {
                panic!("only folders")
            };
            twice.push(tree);
        }
    }
    drop(repository);
    let found: Vec<usize> = twice.iter().map(|id| copies(&disk, id).len()).collect();
    assert_eq!((found.len(), found[0]), (3, 2), "{found:?}");
    let report = super::places::dry(&disk, KeepLog::Nothing).unwrap();
    let expected = found.iter().sum::<usize>() - found.len();
    assert_eq!(report.double_objects, expected as u64, "{report:?}");
    drop(lost);
}

#[test]
fn a_copy_that_has_fallen_is_in_nobodys_way() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let contents = Contents::new();
    let (lost, mut known) = stored_twice(&disk, &contents);
    delete(&open(&disk).unwrap(), STAYS);
    known.clear();
    let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    assert_eq!(report.busy_files, 1, "{report:?}");
    // Now there is the fallen copy alone, in a file that somebody has.
    drop(lost);
    open(&disk).unwrap().store.sweep_if_due();
    assert_eq!(copies(&disk, &contents.object()).len(), 1);
    // It is stored again, as the difference from something that lives, and something else as one from it.
    let repository = open(&disk).unwrap();
    let mut second = None;
    for (number, at) in [Some(200), None, Some(10)].into_iter().enumerate() {
        let mut files = contents.changed.clone();
        if let (Some(bytes), Some(at)) = (files.get_mut(&key("f")), at) {
            bytes[at] ^= 1;
        }
        let id = take(&repository, MAIN, &files, &number.to_string()).unwrap();
        second = second.or(at.is_none().then_some(id));
        known.insert(id, files);
    }
    drop(repository);
    check_all(&disk, &known, "beside the fallen one");
    // Who names it finds the copy that stands.
    let repository = open(&disk).unwrap();
    let change = set("refs/tags/t", Expected::Absent, second);
    repository.commit(&[change], &who(), "", Leans::Anything).unwrap();
    drop(repository);
    collect(&open(&disk).unwrap(), Allowance::Share(10_000)).unwrap();
    check_all(&disk, &known, "after a gc that packs nothing");
    collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
    check_all(&disk, &known, "at the end");
    assert!(settles(&disk));
}

/// Puts a directory of many links, of which this one leads elsewhere, as the difference from an earlier one.
fn put_links(packer: &mut Packer<'_>, odd: u64, base: Option<ObjectId>) -> ObjectId {
    let mut put = |kind, bytes: Vec<u8>| {
        let id = ObjectId::hash(packer.store().algo(), &bytes);
        packer
            .put_against(Class::Meta, kind, id, &bytes, base.as_slice())
            .map(|_| id)
    };
    let mut builder = TreeBuilder::new();
    let mut dice = Dice::new(11);
    for n in 0..30 {
        let target = format!("{:016x}", dice.below(u64::MAX) ^ u64::from(n == odd));
        let node = Node::Symlink { target: target.into() };
        builder.push(&entry(&format!("{n:02}"), node), &mut put).unwrap();
    }
    builder.finish(&mut put).unwrap()
}

/// A snapshot of such a directory.
pub(super) fn put_links_snapshot(writer: &Writer<'_>, odd: u64, base: Option<ObjectId>) -> (ObjectId, ObjectId) {
    let mut packer = writer.packer();
    let tree = put_links(&mut packer, odd, base);
    let (id, _) = packer
        .put(ObjectKind::Snapshot, &Snapshot::bare(tree).encode())
        .unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    (id, tree)
}

#[test]
fn a_directory_of_which_one_copy_has_fallen_is_read_from_the_other() {
    let disk: Arc<dyn Disk> = Arc::new(new_disk());
    let point = |repository: &Repository, name: &str, id| {
        let change = set(name, Expected::Absent, Some(id));
        repository.commit(&[change], &who(), "", Leans::Own).unwrap();
    };
    let first = open(&disk).unwrap();
    let writer = first.store.writer().unwrap();
    let (goes, base) = put_links_snapshot(&writer, 0, None);
    point(&first, GOES, goes);
    // Its data file is full: others take others.
    put(&writer, &Contents::new().base, Vec::new(), "dead").unwrap();
    drop(writer);
    drop(first);
    // One writer knows nothing of the other's copy.
    let (lost, other) = (open(&disk).unwrap(), open(&disk).unwrap());
    let pending = lost.store.writer().unwrap();
    let (_, tree) = put_links_snapshot(&pending, 1, Some(base));
    let (stays, same) = put_links_snapshot(&other.store.writer().unwrap(), 1, None);
    point(&other, STAYS, stays);
    assert_eq!(tree, same);
    drop(other);
    delete(&open(&disk).unwrap(), GOES);
    let found = copies(&disk, &tree);
    assert_eq!(found.iter().filter(|(_, is_made)| *is_made).count(), 1);
    // The base goes with the first. The next meet the copy that has fallen, in a file that somebody has, and then in one of nobody.
    let is_there = |id: &ObjectId| open(&disk).unwrap().store.contains(id).unwrap();
    for _ in 0..2 {
        let report = collect(&open(&disk).unwrap(), Allowance::Share(0)).unwrap();
        assert_eq!(report.busy_files, 1, "{report:?}");
        assert!(!is_there(&base) && copies(&disk, &tree).len() == 2);
    }
    drop(pending);
    drop(lost);
    let repository = open(&disk).unwrap();
    repository.store.sweep_if_due();
    collect(&repository, Allowance::Share(0)).unwrap();
    drop(repository);
    assert!(settles(&disk));
    let repository = open(&disk).unwrap();
    assert_eq!(Entries::new(&repository.store, tree).map(Result::unwrap).count(), 30);
}

/// Of two copies one does not read: the other is needed all the more, whichever it is.
#[test]
fn where_one_of_two_copies_does_not_read_the_other_stays() {
    // As it is, and in a frame that is compressed, of which then nothing reads.
    for (damaged, is_text) in [(0, false), (1, false), (0, true), (1, true)] {
        let disk: Arc<dyn Disk> = Arc::new(new_disk());
        let (first, second) = (open(&disk).unwrap(), open(&disk).unwrap());
        let mut dice = Dice::new(8);
        let mut content = || match is_text {
            false => dice.bytes(900),
            true => dice
                .bytes(300)
                .iter()
                .map(|byte| format!("{byte:03}"))
                .collect::<String>()
                .into_bytes(),
        };
        let files: Files = (0..3).map(|n| (key(&format!("f{n}")), content())).collect();
        let pending = [first.store.writer().unwrap(), second.store.writer().unwrap()];
        let mut known = BTreeMap::new();
        for ((writer, line), repository) in pending.iter().zip([STAYS, GOES]).zip([&first, &second]) {
            // Both files are packed anew.
            let dead = Files::from([(key("dead"), dice.bytes(900))]);
            put(writer, &dead, Vec::new(), "dead").unwrap();
            let id = put(writer, &files, Vec::new(), line).unwrap();
            repository
                .commit(&[set(line, Expected::Absent, Some(id))], &who(), "", Leans::Own)
                .unwrap();
            known.insert(id, files.clone());
        }
        drop(pending);
        drop((first, second));
        let object = ObjectId::hash(crate::object::HashAlgo::Sha256, &files[&key("f1")]);
        let mut places = Vec::new();
        for (file, committed) in open(&disk).unwrap().store.data_files() {
            walk::frames(&file, committed, &mut |head| {
                if head.rows.iter().any(|row| row.id == object) {
                    places.push((file.path.clone(), head.payload_offset()));
                }
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(places.len(), 2, "{places:?}");
        let (path, at) = &places[damaged];
        let file = disk.open(path, crate::disk::OpenMode::Write).unwrap();
        file.write_all_at(&[0xee; 8], *at).unwrap();
        check(&open(&disk).unwrap(), &known, &("before", damaged));
        let report = collect(&open(&disk).unwrap(), Allowance::Share(0));
        let report = report.unwrap_or_else(|error| panic!("copy {damaged}: {error}"));
        assert!(report.condemned_files > 0, "{report:?}");
        check(&open(&disk).unwrap(), &known, &damaged);
        // Nor is it lost later, whatever of it is packed anew.
        for line in [GOES, STAYS] {
            delete(&open(&disk).unwrap(), line);
            let again = collect(&open(&disk).unwrap(), Allowance::Share(0));
            again.unwrap_or_else(|error| panic!("copy {damaged}, {line}: {error}"));
            check(&open(&disk).unwrap(), &known, &(damaged, line));
        }
    }
}

/// Two copies, each made from something else, of which one is hurt: the copy that reads is kept, whichever that is, whether it
/// is copied as it is stored, or written again because what is between goes.
#[test]
fn of_two_copies_that_are_made_from_others_the_one_that_reads_is_kept() {
    let mut dice = Dice::new(21);
    let text = dice.bytes(900);
    let changed = |at: usize| {
        let mut bytes = text.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (hurt, is_direct) in [(0, true), (1, true), (0, false), (1, false)] {
        let memory = new_disk();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        let files = Files::from([(key("f"), text.clone())]);
        let bases = [100, 800].map(changed);
        let take = |name: &str, n: usize, files: &Files, like| {
            let line = format!("refs/snapshots/{name}{n}");
            take_alone(&open(&disk).unwrap(), &line, files, name, like).unwrap()
        };
        let mut likes = bases.each_ref().map(|base| {
            // In a file that is full, and of which nothing goes.
            let mut files: Files = (0..8).map(|n| (key(&format!("fill{n}")), dice.bytes(900))).collect();
            files.insert(key("f"), base.clone());
            take("base", usize::from(*base == bases[1]), &files, None)
        });
        for (n, like) in likes.iter_mut().enumerate().filter(|_| !is_direct) {
            let between = Files::from([(key("f"), changed(300 + 200 * n))]);
            *like = take("between", n, &between, Some(*like));
        }
        let others = [open(&disk).unwrap(), open(&disk).unwrap()];
        let pending = others.each_ref().map(|other| other.store.writer().unwrap());
        for (n, (writer, like)) in pending.iter().zip(&likes).enumerate() {
            put(
                writer,
                &Files::from([(key("dead"), dice.bytes(900))]),
                Vec::new(),
                "dead",
            )
            .unwrap();
            let id = put_like(writer, &files, Vec::new(), &n.to_string(), Some(*like)).unwrap();
            super::places::point(&others[n], &format!("refs/snapshots/made{n}"), id);
        }
        drop(pending);
        drop(others);
        let object = ObjectId::hash(crate::object::HashAlgo::Sha256, &text);
        let made: Vec<bool> = copies(&disk, &object).iter().map(|(_, is_made)| *is_made).collect();
        assert_eq!(made, [true, true]);
        if !is_direct {
            (0..2).for_each(|n| delete(&open(&disk).unwrap(), &format!("refs/snapshots/between{n}")));
        }
        // In the middle of the base, which is stored as it is.
        let wanted = &bases[hurt][400..432];
        let other = &bases[1 - hurt][90..110];
        let found = memory.files().into_iter().find_map(|(path, bytes)| {
            let is_other = bytes.windows(other.len()).any(|window| window == other);
            let at = bytes.windows(wanted.len()).position(|window| window == wanted)?;
            (!is_other).then_some((path, at))
        });
        let (path, at) = found.unwrap();
        let file = disk.open(&path, crate::disk::OpenMode::Write).unwrap();
        file.write_all_at(&[!wanted[0]], at as u64).unwrap();
        let report = collect(&open(&disk).unwrap(), Allowance::Share(0));
        let report = report.unwrap_or_else(|error| panic!("{hurt}, {is_direct}: {error}"));
        assert!(report.condemned_files >= 2, "{report:?}");
        assert_eq!(report.rewritten_objects > 0, !is_direct, "{report:?}");
        let read = open(&disk).unwrap().store.get(&object);
        let read = read.unwrap_or_else(|error| panic!("{hurt}, {is_direct}: {error}"));
        assert_eq!(read.as_ref(), Some(&text));
    }
}

/// Nor does it end where a directory or a snapshot does not read of which another copy does, whichever byte it is.
#[test]
fn where_one_of_two_copies_of_a_directory_does_not_read_the_other_tells_what_is_in_it() {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let files: Files = (0..3)
        .map(|n| (key(&format!("f{n}")), Dice::new(n).bytes(300)))
        .collect();
    let others = [open(&disk).unwrap(), open(&disk).unwrap()];
    let pending = others.each_ref().map(|other| other.store.writer().unwrap());
    let id = pending
        .each_ref()
        .map(|writer| put(writer, &files, Vec::new(), "both").unwrap())[0];
    super::places::point(&others[0], STAYS, id);
    drop(pending);
    drop(others);
    let known = BTreeMap::from([(id, files)]);
    let tree = {
        let repository = open(&disk).unwrap();
        let snapshot = repository.store.object(ObjectKind::Snapshot, &id).unwrap();
        Snapshot::decode(&snapshot).unwrap().tree
    };
    let found = super::places::places(&disk, &tree);
    assert_eq!(found.len(), 2);
    for place in &found {
        for at in place.head.payload_offset()..place.head.end() {
            let disk: Arc<dyn Disk> = Arc::new(memory.copy(1 << 40));
            place.hurt(&disk, at);
            let report = collect(&open(&disk).unwrap(), Allowance::Share(0));
            report.unwrap_or_else(|error| panic!("byte {at} of {}: {error}", place.path.display()));
            check(&open(&disk).unwrap(), &known, &at);
        }
    }
}

/// The same where bytes of one of the copies are hurt, or of what lies beside it and is dead.
#[test]
fn wherever_one_of_two_differences_is_hurt_its_object_is_kept() {
    let memory = new_disk();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut dice = Dice::new(22);
    let mut base: Files = (0..8).map(|n| (key(&format!("fill{n}")), dice.bytes(900))).collect();
    let (mut files, mut both) = (Files::new(), Files::new());
    for name in ["f", "g"] {
        let mut bytes = dice.bytes(700);
        base.insert(key(name), bytes.clone());
        bytes.splice(300..303, dice.bytes(60));
        both.insert(key(name), bytes);
    }
    files.insert(key("f"), both[&key("f")].clone());
    let like = take_alone(&open(&disk).unwrap(), GOES, &base, "base", None).unwrap();
    let mut known = BTreeMap::from([(like, base)]);
    let others = [open(&disk).unwrap(), open(&disk).unwrap()];
    let pending = others.each_ref().map(|other| other.store.writer().unwrap());
    for (n, (writer, other)) in pending.iter().zip(&others).enumerate() {
        put_like(writer, &both, Vec::new(), "dead", Some(like)).unwrap();
        let id = put_like(writer, &files, Vec::new(), &n.to_string(), Some(like)).unwrap();
        super::places::point(other, &format!("refs/snapshots/made{n}"), id);
        known.insert(id, files.clone());
    }
    drop(pending);
    drop(others);
    let object = ObjectId::hash(crate::object::HashAlgo::Sha256, &files[&key("f")]);
    let found = super::places::places(&disk, &object);
    assert_eq!(found.len(), 2);
    for place in &found {
        assert!(place.head.parts.len() == 2, "with what is dead");
        for at in place.head.payload_offset()..place.head.end() {
            let disk: Arc<dyn Disk> = Arc::new(memory.copy(1 << 40));
            place.hurt(&disk, at);
            let report = collect(&open(&disk).unwrap(), Allowance::Share(0));
            let report = report.unwrap_or_else(|error| panic!("byte {at} of {}: {error}", place.path.display()));
            assert!(report.condemned_files >= 2, "{report:?}");
            check(&open(&disk).unwrap(), &known, &at);
        }
    }
}
