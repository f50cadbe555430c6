//! Lost folders come back from folders as they are now.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::snapshot::{self, About, Keep};
use crate::verify::Hurt;
use crate::walk::{RuleOptions, Rules};

/// A folder with files and folders in it, and a repository with a snapshot of it.
struct Live {
    folder: TempDir,
    world: World,
    /// The snapshot.
    id: ObjectId,
}

fn fill(folder: &Path) {
    for (path, text) in [
        ("top", "top"),
        ("a/one", "one"),
        ("a/deep/two", "two"),
        ("a/deep/three.o", "left out"),
        ("b/four", "four"),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.repeat(50)).unwrap();
    }
    std::os::unix::fs::symlink("top", folder.join("b/link")).unwrap();
    fs::hard_link(folder.join("top"), folder.join("b/again")).unwrap();
}

/// Takes a snapshot of these folders below `folder`, without `*.o`, into an empty repository.
fn live(roots: &[&str]) -> Live {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let disk = Arc::new(MemoryDisk::default());
    let shared: Arc<dyn Disk> = disk.clone();
    init(&shared, Path::new("/r"), &InitOptions::default()).unwrap();
    let repository = open(&disk);
    let rules = RuleOptions {
        exclude: vec!["*.o".into()],
        ..RuleOptions::default()
    };
    let settings = repository.settings();
    let request = snapshot::Request {
        roots: roots.iter().map(|root| folder.path().join(root)).collect(),
        rules_text: rules.to_lines(),
        rules: Rules::new(rules),
        trust_hash: true,
        dry_run: false,
        keep: Keep::Everything,
        threads: 1,
        chunk: settings.chunk_params(),
        xattrs: settings.snapshot_xattrs,
        birth_time: settings.snapshot_birth_time,
        began: Timestamp::default(),
        coarse: std::time::Duration::ZERO,
        unless_same_as: None,
        about: About::default(),
    };
    let place = snapshot::Place {
        disk: &*repository.disk,
        ghost_dir: None,
        uuid: repository.format.uuid,
        store: &repository.store,
    };
    let taken = snapshot::take(&place, &request, &Progress::default()).unwrap();
    assert!(taken.problems.is_empty() && taken.excluded > 0);
    let change = RefChange {
        name: "refs/snapshots/main".to_owned(),
        expected: Expected::Absent,
        new: Some(taken.id),
    };
    repository.refs.transaction(&[change], &who(), "first").unwrap();
    let (world, id) = (World { disk, id: taken.id }, taken.id);
    Live { folder, world, id }
}

impl Live {
    /// Makes all trees of the snapshot unreadable, and the content of `a/one`.
    fn hurt(&self) {
        let repository = self.world.repository();
        let tree = crate::refs::revision::read_snapshot(&repository.store, &self.id)
            .unwrap()
            .tree;
        let content = ObjectId::hash(HashAlgo::Sha256, "one".repeat(50).as_bytes());
        for id in [tree, content] {
            let at = repository.store.locate(&id).unwrap().unwrap();
            let (file, head) = repository.store.head(at).unwrap();
            let payload = head.offset + (FRAME_HEADER_BYTES + head.header.table_bytes()) as u64;
            let file = self.world.disk.open(&file.path, OpenMode::Write).unwrap();
            file.write_all_at(&vec![0xaa; head.header.stored_bytes as usize], payload)
                .unwrap();
        }
        let hurt = self.world.check().hurt;
        assert!(
            hurt.iter()
                .any(|hurt| hurt.kind == ObjectKind::Tree && hurt.path.is_empty()),
            "{hurt:?}"
        );
    }

    fn heal_from(&self, path: &Path, options: &Options) -> Healed {
        self.world.heal(&[Place::Tree(path.to_owned())], options)
    }
}

fn missing(healed: &Healed) -> BTreeSet<String> {
    let all = healed.left.hurt.iter().chain(&healed.left.recorded);
    all.map(|hurt: &Hurt| hurt.path.to_string()).collect()
}

#[test]
fn the_folders_that_a_snapshot_was_taken_of_give_back_its_trees_and_contents() {
    for repaired in [false, true] {
        let live = live(&[""]);
        live.hurt();
        if repaired {
            assert!(!live.world.repair(&MEND).marked.is_empty());
        }
        let dry = live.heal_from(live.folder.path(), &NOTHING);
        assert!(dry.objects > 0 && !missing(&dry).is_empty());
        let healed = live.heal_from(live.folder.path(), &MEND);
        assert_eq!(missing(&healed), BTreeSet::new(), "{healed:?}");
        let after = live.world.check();
        assert!(after.is_clean() && after.recorded.is_empty(), "{after:?}");
        assert_eq!(live.world.repository().refs.get(&ref_of(&live.id)).unwrap(), None);
        let names = live.world.disk.list(Path::new("/r/.ghost/cache")).unwrap();
        assert!(names.is_empty(), "the spool is gone: {names:?}");
    }
}

#[test]
fn a_folder_is_found_where_it_was_and_below_another_top() {
    // As if the file system of the folder were mounted, or the folder were copied, elsewhere.
    for roots in [&["a"][..], &["a", "b"][..], &["a", "top"]] {
        let live = live(roots);
        live.hurt();
        let empty = tempfile::tempdir().unwrap();
        let healed = live.heal_from(empty.path(), &NOTHING);
        assert!(healed.objects == 0, "{roots:?}");
        let healed = live.heal_from(live.folder.path(), &MEND);
        assert_eq!(missing(&healed), BTreeSet::new(), "{roots:?}: {healed:?}");
        assert!(live.world.check().is_clean());
    }
    let live = live(&["a"]);
    live.hurt();
    let healed = live.heal_from(&live.folder.path().join("a"), &MEND);
    assert_eq!(missing(&healed), BTreeSet::new(), "the folder itself");
}

#[test]
fn what_is_another_folder_by_now_stays_lost_and_the_rest_comes_back() {
    let live = live(&["a", "b"]);
    live.hurt();
    let four = live.folder.path().join("b/four");
    let time = fs::metadata(&four).unwrap().modified().unwrap();
    fs::write(&four, "changed").unwrap();
    let healed = live.heal_from(live.folder.path(), &MEND);
    // The tree of both names the changed one, so it is another; what is in it is not known without it.
    assert_eq!(missing(&healed), BTreeSet::from([String::new()]), "{healed:?}");
    // When it is as it was, with its time, all is back.
    fs::write(&four, "four".repeat(50)).unwrap();
    let healed = live.heal_from(live.folder.path(), &MEND);
    assert_eq!(
        missing(&healed),
        BTreeSet::from([String::new()]),
        "another time is another tree"
    );
    fs::File::options()
        .write(true)
        .open(&four)
        .unwrap()
        .set_modified(time)
        .unwrap();
    let healed = live.heal_from(live.folder.path(), &MEND);
    assert_eq!(missing(&healed), BTreeSet::new(), "{healed:?}");
}
