//! Damage is mended as far as it can be, and what is lost is named and recorded.

mod bases;
mod made_anew;
mod trees;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bstr::BString;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::{Disk, OpenMode};
use crate::object::{ContentRef, Entry, HashAlgo, Metadata, Node, ObjectId, ObjectKind, Snapshot, TreeBuilder};
use crate::refs::{Expected, RefChange};
use crate::repository::{InitOptions, OpenOptions, init};
use crate::snapshot::content::store_many;
use crate::store::data::format::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES};
use crate::time::Timestamp;
use crate::verify::recorded::{losses, ref_of, replaces};

const FILES: u32 = 60;

/// Text that compresses a little, so that files share a frame that is hurt as a whole.
fn body(i: u32) -> Vec<u8> {
    let mut noise = u64::from(i) + 1;
    let mut next = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:02x}", noise >> 56)
    };
    (0..1500).map(|_| next()).collect::<String>().into_bytes()
}

fn who() -> Who {
    Who {
        author: "ann".into(),
        host: "loom".into(),
        time: Timestamp::new(1_800_000_000, 0),
    }
}

struct World {
    disk: Arc<MemoryDisk>,
    id: ObjectId,
}

/// A repository with small frames: `FILES` files in two folders, and a snapshot of them.
fn world() -> World {
    let disk = Arc::new(MemoryDisk::default());
    let shared: Arc<dyn Disk> = disk.clone();
    init(&shared, Path::new("/r"), &InitOptions::default()).unwrap();
    let config = disk.open(Path::new("/r/.ghost/config"), OpenMode::Create).unwrap();
    let text = b"[data]\nframe-bytes = 16384\nmeta-frame-bytes = 4096\n";
    config.set_len(0).unwrap();
    config.write_all_at(text, 0).unwrap();
    let repository = open(&disk);
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    let mut top = TreeBuilder::new();
    for folder in ["a", "b"] {
        let mut builder = TreeBuilder::new();
        for i in (0..FILES).filter(|i| (i % 2 == 0) == (folder == "a")) {
            let params = repository.settings().chunk_params();
            let stored = store_many(&mut packer, params, &[&body(i)]).unwrap().remove(0);
            let node = Node::File {
                content: stored.content,
                fullhash: stored.fullhash,
            };
            push(&mut builder, &mut packer, &format!("f{i:02}"), node);
        }
        let tree = builder
            .finish(&mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))
            .unwrap();
        // What describes a folder lies in a frame of its own.
        packer.flush().unwrap();
        push(&mut top, &mut packer, folder, Node::Directory { tree });
    }
    let tree = top.finish(&mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0)).unwrap();
    packer.flush().unwrap();
    let snapshot = Snapshot::bare(tree);
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    set_main(&repository, id, "first");
    World { disk, id }
}

/// Makes the line `main`, with this snapshot.
fn set_main(repository: &Repository, id: ObjectId, message: &str) {
    let change = RefChange {
        name: "refs/snapshots/main".to_owned(),
        expected: Expected::Absent,
        new: Some(id),
    };
    repository.refs.transaction(&[change], &who(), message).unwrap();
}

fn push(builder: &mut TreeBuilder, packer: &mut crate::store::Packer<'_>, name: &str, node: Node) {
    let entry = Entry {
        name: name.into(),
        meta: Metadata::default(),
        node,
    };
    builder
        .push(&entry, &mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))
        .unwrap();
}

fn open(disk: &Arc<MemoryDisk>) -> Repository {
    Repository::open(disk.clone(), Path::new("/r/.ghost"), &OpenOptions::default()).unwrap()
}

const NOTHING: Options = Options {
    dry_run: true,
    threads: 2,
};
const MEND: Options = Options {
    dry_run: false,
    threads: 2,
};

impl World {
    fn repository(&self) -> Repository {
        open(&self.disk)
    }

    fn check(&self) -> Checked {
        let repository = self.repository();
        check(&repository.store, &repository, Depth::Data, 2, &Progress::default()).unwrap()
    }

    fn repair(&self, options: &Options) -> Report {
        run(&self.repository(), options, &who(), &Progress::default()).unwrap()
    }

    fn heal(&self, places: &[Place<'_>], options: &Options) -> Healed {
        heal(&self.repository(), places, options, &who(), &Progress::default()).unwrap()
    }

    /// Files that read, of the snapshot.
    fn reads(&self) -> BTreeSet<u32> {
        let store = self.repository().store;
        let id = |i| ObjectId::hash(HashAlgo::Sha256, &body(i));
        (0..FILES)
            .filter(|i| store.get(&id(*i)).is_ok_and(|found| found.is_some()))
            .collect()
    }

    fn data_file(&self) -> PathBuf {
        self.repository().store.data_files().remove(0).0.path
    }

    /// Flips a bit in the frame that holds the file `i`.
    fn hurt(&self, i: u32) {
        let repository = self.repository();
        let at = repository
            .store
            .locate(&ObjectId::hash(HashAlgo::Sha256, &body(i)))
            .unwrap()
            .unwrap();
        let (file, head) = repository.store.head(at).unwrap();
        let payload = head.offset + (FRAME_HEADER_BYTES + head.header.table_bytes()) as u64;
        self.flip(&file.path, payload + 20);
    }

    fn flip(&self, path: &Path, at: u64) {
        let file = self.disk.open(path, OpenMode::Write).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 8], at).unwrap();
    }
}

fn name_of(i: u32) -> BString {
    let folder = if i.is_multiple_of(2) { "a" } else { "b" };
    format!("{folder}/f{i:02}").into()
}

#[test]
fn nothing_is_done_where_nothing_is_wrong() {
    let world = world();
    for options in [NOTHING, MEND] {
        let report = world.repair(&options);
        assert!(report.is_sound && report.aside.is_empty() && report.marked.is_empty() && report.indexed.is_none());
    }
    assert!(world.disk.list(Path::new("/r/.ghost/damaged")).is_err());
}

#[test]
fn what_reads_is_saved_and_what_is_lost_is_recorded_and_no_more() {
    let world = world();
    let old = world.data_file();
    world.hurt(7);
    let hurt: BTreeSet<BString> = world.check().hurt.into_iter().map(|hurt| hurt.path).collect();
    assert!(
        hurt.contains(&name_of(7)) && hurt.len() < FILES as usize / 2,
        "{hurt:?}"
    );
    let reads = world.reads();

    let dry = world.repair(&NOTHING);
    assert_eq!(dry.marked[0].paths().into_iter().collect::<BTreeSet<_>>(), hurt);
    assert_eq!(
        (dry.aside[0].path.clone(), dry.aside[0].moved.clone()),
        (old.clone(), None)
    );
    assert_eq!(world.data_file(), old, "nothing was done");

    let report = world.repair(&MEND);
    assert_eq!(report.marked[0].paths().into_iter().collect::<BTreeSet<_>>(), hurt);
    assert_eq!(report.marked[0].losses.len() as u64, report.aside[0].lost_objects);
    assert!(report.aside[0].moved.as_ref().unwrap().starts_with("/r/.ghost/damaged"));
    assert_eq!(world.reads(), reads, "all that read reads");
    let after = world.check();
    assert!(after.is_clean(), "{after:?}");
    assert_eq!(
        after.recorded.len(),
        2 * report.marked[0].losses.len(),
        "the snapshot and its replacement"
    );

    // The replacement says what it is.
    let repository = world.repository();
    let id = repository.refs.get(&ref_of(&world.id)).unwrap().unwrap();
    assert_eq!(Some(id), report.marked[0].replacement);
    let replacement = crate::refs::revision::read_snapshot(&repository.store, &id).unwrap();
    assert_eq!(replaces(&replacement), Some(world.id));
    assert_eq!(
        losses(&repository.store, &replacement).unwrap(),
        report.marked[0].losses
    );
    // Again: nothing to do.
    let again = world.repair(&MEND);
    assert!(
        again.is_sound && again.aside.is_empty() && again.marked.is_empty(),
        "{again:?}"
    );
}

#[test]
fn a_folder_that_does_not_read_is_empty_in_the_replacement_and_the_rest_is_there() {
    let world = world();
    let repository = world.repository();
    let top = crate::refs::revision::read_snapshot(&repository.store, &world.id)
        .unwrap()
        .tree;
    let entry = crate::refs::revision::entry_at(&repository.store, top, b"a")
        .unwrap()
        .unwrap();
    let Node::Directory { tree } = entry.node else { panic!() };
    let (file, head) = repository
        .store
        .head(repository.store.locate(&tree).unwrap().unwrap())
        .unwrap();
    world.flip(&file.path, head.end() - 50);
    let report = world.repair(&MEND);
    let lost = &report.marked[0];
    assert_eq!(lost.paths(), [BString::from("a")]);
    let repository = world.repository();
    let left = crate::refs::revision::read_snapshot(&repository.store, &lost.replacement.unwrap()).unwrap();
    assert!(crate::refs::revision::entry_at(&repository.store, left.tree, b"a/f00").is_err());
    assert!(
        crate::refs::revision::entry_at(&repository.store, left.tree, b"b/f01")
            .unwrap()
            .is_some()
    );
    assert!(world.check().is_clean());
}

#[test]
fn headers_cuts_and_missing_files_are_mended_like_the_rest() {
    // The header: all objects are saved, nothing is lost.
    for at in [0, 9, 20, 40, 50, 60] {
        let world = world();
        world.flip(&world.data_file(), at);
        let report = world.repair(&MEND);
        assert!(report.marked.is_empty(), "{at}: {report:?}");
        assert_eq!(world.reads().len(), FILES as usize);
        assert!(world.check().is_clean());
    }
    // A cut tail.
    let world = self::world();
    let file = world.disk.open(&world.data_file(), OpenMode::Write).unwrap();
    file.set_len(file.len().unwrap() / 2).unwrap();
    let reads = world.reads();
    let report = world.repair(&MEND);
    assert!(!report.marked.is_empty() && world.check().is_clean());
    assert!(world.reads().is_superset(&reads) && !reads.is_empty());
    // Gone altogether: the snapshot itself is lost.
    let world = self::world();
    world.disk.remove(&world.data_file()).unwrap();
    let report = world.repair(&MEND);
    assert_eq!(report.marked[0].losses[0].kind, ObjectKind::Snapshot);
    assert!(world.check().is_clean(), "{:?}", world.check());
}

#[test]
fn another_store_gives_back_what_is_lost_before_and_after_a_repair() {
    let other = world().repository();
    for repaired in [false, true] {
        let world = world();
        world.hurt(7);
        world.hurt(30);
        if repaired {
            world.repair(&MEND);
            assert!(!world.check().recorded.is_empty());
        }
        let places = [Place::Store(&other.store)];
        let dry = world.heal(&places, &NOTHING);
        assert!(dry.wanted > 0 && dry.objects == dry.wanted, "{dry:?}");
        let healed = world.heal(&places, &MEND);
        assert_eq!((healed.objects, healed.wanted), (dry.objects, dry.wanted));
        assert!(healed.left.hurt.is_empty());
        assert_eq!(world.reads().len(), FILES as usize);
        let after = world.check();
        assert!(after.is_clean() && after.recorded.is_empty(), "{after:?}");
        assert_eq!(world.repository().refs.get(&ref_of(&world.id)).unwrap(), None);
        // An index from the data files alone leads to the good copies, too.
        world.repository().store.rebuild_index().unwrap();
        assert_eq!(world.reads().len(), FILES as usize);
    }
    // With a second place behind it, for which all is checked again in between.
    let empty = tempfile::tempdir().unwrap();
    let world = self::world();
    world.hurt(7);
    world.hurt(30);
    world.heal(
        &[Place::Store(&other.store), Place::Tree(empty.path().to_owned())],
        &MEND,
    );
    assert_eq!(world.reads().len(), FILES as usize);
    assert!(world.check().is_clean(), "{:?}", world.check());
    // Everything.
    let world = self::world();
    world.disk.remove(&world.data_file()).unwrap();
    world.heal(&[Place::Store(&other.store)], &MEND);
    assert_eq!(world.reads().len(), FILES as usize);
    assert!(world.check().is_clean());
}

#[test]
fn live_files_give_back_what_is_lost_whatever_they_are_called() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let world = world();
    world.hurt(7);
    let wanted = world.check().hurt;
    let numbers: Vec<u32> = (0..FILES)
        .filter(|i| wanted.iter().any(|hurt| hurt.path == name_of(*i)))
        .collect();
    assert!(numbers.len() > 2);
    // At its path; under another name; not at all, but in a `.ghost`, and with other bytes at its path.
    put(&name_of(numbers[0]).to_string(), &body(numbers[0]));
    put("elsewhere/renamed", &body(numbers[1]));
    put(&name_of(numbers[2]).to_string(), &body(99));
    put(".ghost/f", &body(numbers[2]));
    let place = [Place::Tree(folder.path().to_owned())];
    let healed = world.heal(&place, &MEND);
    assert_eq!(healed.objects, 2, "{healed:?}");
    assert_eq!(healed.left.hurt.len(), numbers.len() - 2);
    assert!(world.reads().contains(&numbers[0]) && world.reads().contains(&numbers[1]));
    for number in numbers {
        put(&format!("new/{number}"), &body(number));
    }
    let healed = world.heal(&place, &MEND);
    assert!(healed.left.hurt.is_empty() && world.check().is_clean());
    assert_eq!(world.reads().len(), FILES as usize);
}

#[test]
fn a_second_copy_counts_and_is_found_by_readers() {
    let world = world();
    let repository = world.repository();
    let id = ObjectId::hash(HashAlgo::Sha256, &body(7));
    let at = repository.store.locate(&id).unwrap().unwrap();
    // A process that did not know of the first copy stored a second one.
    repository.store.distrust(&[at]).unwrap();
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    assert_eq!(
        packer.put(ObjectKind::Block, &body(7)).unwrap().1,
        crate::store::Added::New
    );
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    drop(writer);
    world.hurt(7);
    assert_eq!(world.repository().store.get(&id).unwrap(), Some(body(7)));
    let report = world.check();
    assert!(!report.damage.is_empty());
    assert!(report.hurt.iter().all(|hurt| hurt.path != name_of(7)), "{report:?}");
    world.repository().store.rebuild_index().unwrap();
    assert_eq!(world.repository().store.get(&id).unwrap(), Some(body(7)));
}

#[test]
fn parity_mends_before_anything_is_lost() {
    let world = world();
    let made = parity::add(&world.repository(), 20, &Progress::default()).unwrap();
    assert!(made.len() >= 2, "a data file and a segment: {made:?}");
    assert!(
        parity::add(&world.repository(), 20, &Progress::default())
            .unwrap()
            .is_empty(),
        "all are covered"
    );
    let path = world.data_file();
    let whole = crate::disk::read_file(&*world.disk, &path, usize::MAX).unwrap();
    world.hurt(7);
    world.flip(&path, 3);
    let dry = world.repair(&NOTHING);
    assert_eq!(dry.mended.len(), 1);
    let report = world.repair(&MEND);
    assert_eq!(report.mended[0].shards, 2);
    assert!(report.marked.is_empty() && report.aside.is_empty());
    assert_eq!(crate::disk::read_file(&*world.disk, &path, usize::MAX).unwrap(), whole);
    assert_eq!(
        world.disk.list(Path::new("/r/.ghost/damaged")).unwrap().len(),
        2,
        "what was there is kept"
    );
    assert!(world.check().is_clean());
    // More than it can mend: said, and the rest is saved as ever.
    let file = world.disk.open(&path, OpenMode::Write).unwrap();
    file.write_all_at(&vec![0; whole.len() / 2], FILE_HEADER_BYTES).unwrap();
    let report = world.repair(&MEND);
    assert!(report.mended[0].refused.is_some() && !report.marked.is_empty());
    assert!(world.check().is_clean());
}

#[test]
fn lists_of_losses_are_read_as_they_were_written() {
    use crate::verify::recorded::{Loss, decode, encode};
    let id = ObjectId::hash(HashAlgo::Blake3, b"x");
    let content = ContentRef::Block { id, bytes: 1 };
    let all = vec![
        Loss {
            path: "".into(),
            kind: ObjectKind::Tree,
            id,
        },
        Loss {
            path: "a\tb\n\u{e4}".into(),
            kind: ObjectKind::Block,
            id,
        },
    ];
    assert_eq!(decode(&encode(&all)).unwrap(), all);
    let id = ObjectId::hash(HashAlgo::Sha256, b"abc");
    let example = encode(&[Loss {
        path: "a/b".into(),
        kind: ObjectKind::Block,
        id,
    }]);
    let page = include_str!("../../../object-format.md");
    let example = String::from_utf8(example).unwrap();
    assert!(page.contains(&format!("```text losses\n{example}```")), "{example}");
    assert!(decode(b"ghost lost 2\n").is_err());
    assert!(decode(b"ghost lost 1\nblock x\ta\n").is_err());
    assert_eq!(content.len(), 1);
}
