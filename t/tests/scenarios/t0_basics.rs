//! t0: the harness itself; making and finding a repository; its configuration.

use std::fs;

use crate::harness::{World, is_root, oracle, trees};

#[test]
fn the_harness_sees_how_commands_end() {
    let world = World::new();
    world.shell("exit 3").code(3);
    assert_eq!(world.shell("cat; echo $HOME").stdin("fed ").ok().word(), "fed $W/home");
    let done = world.shell("echo out; echo err >&2; kill -9 $$").run();
    assert_eq!(done.signal, Some(9));
    done.says(&["out", "err"]).hides(&["other"]);
}

/// An oracle that cannot say no proves nothing.
#[test]
fn the_oracles_see_every_difference() {
    need!("rsync");
    let world = World::new();
    let (source, copy) = (world.path("source"), world.path("copy"));
    let missing = trees::nasty(&source, is_root());
    eprintln!("not made here: {missing:?}");
    world.shell("cp -a source copy").ok();
    oracle::assert_same_for_rsync(&source, &copy);
    oracle::assert_same_listing(&source, &copy);

    let before = oracle::touched(&copy);
    trees::set_mtime(&copy.join("times/2440"), 14_831_769_600, 6);
    assert!(oracle::rsync_differences(&source, &copy).contains("times/2440"));
    assert!(oracle::listing(&source) != oracle::listing(&copy));
    assert!(oracle::touched(&copy) != before);
    fs::remove_file(copy.join("links/one/file")).unwrap();
    assert!(oracle::rsync_differences(&source, &copy).contains("links/one/file"));
}
