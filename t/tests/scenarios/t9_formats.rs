//! t9: a repository that any released version wrote is read by every later one.
//!
//! `t/golden/FORMAT/NAME/` holds repositories made by `t/golden/make.sh` when the format was released, and with each
//! what other tools said of the tree that it keeps; `t/golden/bundles/FORMAT/` the bundles and the descriptor file that
//! `t/golden/make-bundle.sh` made. They are never changed.

use std::fs;
use std::path::{Path, PathBuf};

use ghost_plumbing::repository::FORMATS_RELEASED;
use ghost_plumbing::store::data::format::BUNDLE_VERSION;

use crate::harness::{World, oracle};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("t/golden")
}

/// The repositories kept of a version.
fn repositories(version: &str) -> Vec<PathBuf> {
    let folder = golden().join(format!("v{version}"));
    let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("no repository of format {version} under t/golden"));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn every_released_format_is_kept_and_nothing_else() {
    for version in FORMATS_RELEASED {
        assert!(
            !repositories(version).is_empty(),
            "no repository of format {version} under t/golden"
        );
    }
    let kept = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap());
    let kept = kept.filter(|entry| entry.file_name() != "bundles" && entry.file_type().unwrap().is_dir());
    let kept = kept.count();
    assert_eq!(
        kept,
        FORMATS_RELEASED.len(),
        "a format is no longer read, or one was not released"
    );
}

#[test]
fn every_released_format_is_read() {
    for folder in FORMATS_RELEASED.into_iter().flat_map(repositories) {
        let world = World::new();
        oracle::copy_folder(&folder, &world.path("golden"));
        // Git keeps no empty folders, and whoever cloned owns the rest.
        world.shell("find golden -type d -empty -delete").ok();
        // `expected` is what t/golden/describe.sh said of the tree: it uses nothing of ghost.
        let expected = fs::read(folder.join("expected")).unwrap();
        let log = world.ghost(["log"]).at("golden").ok();
        log.says(&["the first state", "the second state"]);
        world.ghost(["verify", "--data"]).at("golden").ok();
        world.ghost(["reconstruct", "@", "out"]).at("golden").ok();
        let described = world.command(golden().join("describe.sh"), ["golden/out"]).ok().stdout;
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\n", "\n");
        assert_eq!(text(&described), text(&expected), "{}", folder.display());
        world
            .ghost(["ls-tree", "@:", "hello"])
            .at("golden")
            .ok()
            .says(&["xattr.user.note=value"]);
        // Also written to.
        world
            .ghost(["snapshot", "out", "-m", "the third state"])
            .at("golden")
            .ok();
        world.ghost(["verify", "--data"]).at("golden").ok();
        world
            .ghost(["log"])
            .at("golden")
            .ok()
            .says(&["the first state", "the third state"]);
        // And read without what can be made again.
        for cache in ["index", "cache"] {
            let _ = fs::remove_dir_all(world.path("golden/.ghost").join(cache));
        }
        world.ghost(["verify", "--data"]).at("golden").ok();
    }
}

#[test]
fn objects_of_golden_repositories_keep_their_ids() {
    for folder in FORMATS_RELEASED.into_iter().flat_map(repositories) {
        let world = World::new();
        oracle::copy_folder(&folder, &world.path("golden"));
        let ids = fs::read_to_string(folder.join("ids")).unwrap();
        let stored = world.ghost(["rev-list", "--objects", "--all"]).at("golden").ok().out();
        assert_eq!(stored, ids);
    }
}

/// The folders with bundles, one a version.
fn bundles() -> Vec<PathBuf> {
    let folder = golden().join("bundles");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

#[test]
fn every_released_bundle_is_kept_and_read() {
    assert_eq!(
        bundles().len(),
        usize::from(BUNDLE_VERSION),
        "a version of bundles was not kept"
    );
    for folder in bundles() {
        let world = World::new();
        oracle::copy_folder(&folder, &world.path("golden"));
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\n", "\n");
        let expected = |name: &str| text(&fs::read(folder.join(name)).unwrap());
        world.ghost(["reconstruct", "gfs:golden/tree.gfs", "out"]).ok();
        let described = world.command(golden().join("describe.sh"), ["out"]).ok();
        assert_eq!(text(&described.stdout), expected("expected"), "{}", folder.display());
        world.ghost(["verify", "--data", "gfs:golden/tree.gfs"]).ok();
        world.ghost(["ls", "gfs:golden/tree.gfs@{1}:src"]).ok().hides(&["new"]);
        assert_eq!(
            world
                .ghost(["diff", "snap:golden/tree.gs", "gfs:golden/tree.gfs"])
                .ok()
                .out(),
            ""
        );
        let condensed = world.ghost(["ls", "-r", "gfs:golden/condensed.gfs"]).ok();
        assert_eq!(text(&condensed.stdout), expected("condensed"));
        let hello = world.ghost(["cat", "gfs:golden/condensed.gfs:hello"]).ok().out();
        assert_eq!(hello, "other\n");
        // Also added to.
        world.write("out/added", "one more");
        world.ghost(["gfs", "push", "out", "gfs:golden/tree.gfs"]).ok();
        assert_eq!(world.ghost(["cat", "gfs:golden/tree.gfs:added"]).ok().out(), "one more");
        world.ghost(["ls", "gfs:golden/tree.gfs@{2}:src"]).ok().hides(&["new"]);
    }
}

#[test]
fn every_released_descriptor_file_is_read() {
    for folder in bundles() {
        let world = World::with_repository();
        world
            .ghost([
                std::ffi::OsStr::new("import-desc"),
                folder.join("all.ghostdesc").as_os_str(),
            ])
            .ok();
        world.ghost(["export-desc", "--all", "-o", "again.ghostdesc"]).ok();
        let again = String::from_utf8(world.read("again.ghostdesc")).unwrap();
        assert_eq!(again, fs::read_to_string(folder.join("all.ghostdesc")).unwrap());
        assert!(again.contains("\tfar\t"));
    }
}
