//! Copies are whole, checked, and never in the place of something else.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use bstr::ByteSlice;

use super::{Memory, plant};
use crate::ghosts::copy::{Copied, Copier};
use crate::ghosts::forest::{Forest, leaves};
use crate::ghosts::live::Live;
use crate::ghosts::stored::Stored;
use crate::object::tree::Node;
use crate::object::{HashAlgo, Kind, ObjectId};
use crate::progress::Progress;
use crate::walk::{RuleOptions, Rules};

fn live(path: &Path) -> Live {
    Live::open(path, b"live", HashAlgo::Sha256, Rules::new(RuleOptions::default())).unwrap()
}

fn all(forest: &dyn Forest, copier: &Copier<'_>) -> Vec<Result<Copied, String>> {
    let files = leaves(forest)
        .map(Result::unwrap)
        .filter(|leaf| leaf.kind == Kind::File);
    let copy = |leaf: crate::ghosts::forest::Leaf| {
        copier
            .copy(forest, &leaf, leaf.fullhash, leaf.path.as_bstr())
            .map_err(|error| error.to_string())
    };
    files.map(copy).collect()
}

#[test]
fn files_arrive_with_bytes_and_metadata_and_are_not_copied_twice() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    plant(&source);
    std::fs::set_permissions(source.join("z"), std::fs::Permissions::from_mode(0o4751)).unwrap();
    let memory = Memory::default();
    let tree = memory.store(&source, 100_000);
    let stored = Stored::new(&memory, Node::Directory { tree }, b"stored", HashAlgo::Sha256);
    let live = live(&source);
    let progress = Progress::default();
    for (forest, name) in [(&live as &dyn Forest, "from-live"), (&stored, "from-stored")] {
        let target = folder.path().join(name);
        let copier = Copier::new(&target, false, &progress).unwrap();
        assert!(all(forest, &copier).iter().all(|result| *result == Ok(Copied::New)));
        let compare = std::process::Command::new("diff")
            .arg("-r")
            .arg(&source)
            .arg(&target)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&compare.stdout).into_owned();
        let other = said
            .lines()
            .filter(|line| !line.ends_with(": link") && !line.ends_with(": nothing"));
        assert_eq!(other.count(), 0, "{said}");
        assert!(all(forest, &copier).iter().all(|result| *result == Ok(Copied::Same)));
    }
    let (old, new) = (
        source.join("z").metadata().unwrap(),
        folder.path().join("from-live/z").metadata().unwrap(),
    );
    assert_eq!((old.mtime(), old.mtime_nsec()), (new.mtime(), new.mtime_nsec()));
    assert_eq!(new.mode() & 0o7777, 0o751);
}

#[test]
fn what_has_the_name_stays_unless_it_may_go() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("source")).unwrap();
    std::fs::create_dir_all(at("target/dir")).unwrap();
    for name in ["file", "dir", "link"] {
        std::fs::write(at("source").join(name), "new").unwrap();
    }
    std::fs::write(at("target/file"), "old").unwrap();
    std::fs::write(at("outside"), "old").unwrap();
    std::os::unix::fs::symlink(at("outside"), at("target/link")).unwrap();
    let live = live(&at("source"));
    let progress = Progress::default();
    let copier = Copier::new(&at("target"), false, &progress).unwrap();
    assert!(
        all(&live, &copier)
            .iter()
            .all(|result| result.as_ref().unwrap_err().contains("its name"))
    );
    let copier = Copier::new(&at("target"), true, &progress).unwrap();
    let told = all(&live, &copier);
    assert!(
        told[0].is_err() && told[1..] == [Ok(Copied::New), Ok(Copied::New)],
        "{told:?}"
    );
    assert_eq!(std::fs::read(at("target/link")).unwrap(), b"new");
    assert_eq!(std::fs::read(at("outside")).unwrap(), b"old");
    let names = std::fs::read_dir(at("target")).unwrap();
    assert_eq!(names.count(), 3, "no temporary file is left");
}

#[test]
fn what_is_not_what_was_promised_does_not_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("source")).unwrap();
    std::fs::write(at("source/f"), "what it is").unwrap();
    let live = live(&at("source"));
    let leaf = leaves(&live).next().unwrap().unwrap();
    let progress = Progress::default();
    let copier = Copier::new(&at("target"), false, &progress).unwrap();
    let wrong = ObjectId::hash(HashAlgo::Sha256, b"what it was");
    assert!(copier.copy(&live, &leaf, Some(wrong), b"f".as_bstr()).is_err());
    for path in ["../f", "a/../f", ".ghost", "a/.ghost/f", ""] {
        assert!(
            copier.copy(&live, &leaf, None, path.as_bytes().as_bstr()).is_err(),
            "{path}"
        );
    }
    std::os::unix::fs::symlink(at("source"), at("target/out")).unwrap();
    assert!(copier.copy(&live, &leaf, None, b"out/g".as_bstr()).is_err());
    let found = std::fs::read_dir(at("target"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(found.into_iter().all(|name| name == "out" || name == "a"));
}
