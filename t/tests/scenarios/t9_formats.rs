//! t9: a repository that any released version wrote is read by every later one.
//!
//! `t/golden/FORMAT/NAME/` holds repositories made by `t/golden/make.sh` when the format was released, and with each
//! what other tools said of the tree that it keeps. They are never changed.

use std::fs;
use std::path::{Path, PathBuf};

use ghost_plumbing::repository::FORMAT_VERSIONS;

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
    for version in FORMAT_VERSIONS {
        assert!(
            !repositories(version).is_empty(),
            "no repository of format {version} under t/golden"
        );
    }
    let kept = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap());
    let kept = kept.filter(|entry| entry.file_type().unwrap().is_dir()).count();
    assert_eq!(
        kept,
        FORMAT_VERSIONS.len(),
        "a format is no longer read, or one was not released"
    );
}

#[test]
fn every_released_format_is_read() {
    for folder in FORMAT_VERSIONS.into_iter().flat_map(repositories) {
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
    for folder in FORMAT_VERSIONS.into_iter().flat_map(repositories) {
        let world = World::new();
        oracle::copy_folder(&folder, &world.path("golden"));
        let ids = fs::read_to_string(folder.join("ids")).unwrap();
        let stored = world.ghost(["rev-list", "--objects", "--all"]).at("golden").ok().out();
        assert_eq!(stored, ids);
    }
}
