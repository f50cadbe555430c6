//! Targets that try to lead out, damaged stores, and jobs that are stopped.

use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::AtomicBool;

use super::*;

/// A tree with a directory, and files in it.
fn sample(bench: &Bench) -> ObjectId {
    bench.tree(vec![
        dir("d", vec![file("f", b"new"), dir("e", vec![file("g", b"new")])]),
        file("h", b"new"),
        link("l", "/etc/passwd"),
    ])
}

#[test]
fn links_in_the_target_are_replaced_and_never_followed() {
    let bench = Bench::new();
    let outside = bench.folder.path().join("outside");
    std::fs::create_dir_all(outside.join("e")).unwrap();
    for name in ["f", "e/g", "h"] {
        std::fs::write(outside.join(name), b"old").unwrap();
    }
    std::fs::create_dir(bench.target()).unwrap();
    symlink(&outside, bench.target().join("d")).unwrap();
    symlink(outside.join("h"), bench.target().join("h")).unwrap();
    let report = bench.rehearse_and_run(sample(&bench), &options());
    assert_eq!((report.updated, report.created, report.problem_count()), (2, 4, 0));
    for name in ["f", "e/g", "h"] {
        assert_eq!(std::fs::read(outside.join(name)).unwrap(), b"old", "{name}");
    }
    assert_eq!(std::fs::metadata(outside.join("h")).unwrap().nlink(), 1);
    assert!(bench.target().join("d").symlink_metadata().unwrap().is_dir());
    assert_eq!(std::fs::read(bench.target().join("d/e/g")).unwrap(), b"new");

    std::fs::remove_dir_all(bench.target().join("d/e")).unwrap();
    symlink(&outside, bench.target().join("d/e")).unwrap();
    let delete = Options {
        delete: true,
        ..options()
    };
    bench.rehearse_and_run(bench.tree(vec![]), &delete);
    assert_eq!(std::fs::read_dir(bench.target()).unwrap().count(), 0);
    assert_eq!(std::fs::read(outside.join("f")).unwrap(), b"old");
}

#[test]
fn a_pipe_in_the_way_is_replaced_without_waiting() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.target()).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(bench.target().join("h"))
        .status()
        .unwrap();
    assert!(made.success());
    let always = Options {
        overwrite: Overwrite::Always,
        ..options()
    };
    let report = bench.rehearse_and_run(sample(&bench), &always);
    assert_eq!((report.updated, report.problem_count()), (1, 0));
    assert_eq!(std::fs::read(bench.target().join("h")).unwrap(), b"new");
}

#[test]
fn an_inode_that_has_names_elsewhere_is_not_changed() {
    let bench = Bench::new();
    let outside = bench.folder.path().join("outside");
    std::fs::write(&outside, b"new").unwrap();
    let before = std::fs::metadata(&outside).unwrap();
    std::fs::create_dir(bench.target()).unwrap();
    std::fs::hard_link(&outside, bench.target().join("h")).unwrap();
    // The bytes are the same, mode and time are not.
    let tree = bench.tree(vec![file("h", b"new").with(|meta| meta.mode = 0o777).linked(1)]);
    assert_eq!(bench.rehearse_and_run(tree, &options()).updated, 1);
    let after = std::fs::metadata(&outside).unwrap();
    assert_eq!(
        (after.mode(), after.mtime(), after.nlink()),
        (before.mode(), before.mtime(), 1)
    );
    assert_eq!(
        std::fs::metadata(bench.target().join("h")).unwrap().mode() & 0o7777,
        0o777
    );
}

#[test]
fn power_is_withheld_unless_asked_for() {
    let bench = Bench::new();
    let tree = bench.tree(vec![
        file("tool", b"x").with(|meta| meta.mode = 0o6755),
        item("disk", 0o600, What::Node(Node::BlockDevice { major: 8, minor: 0 })),
        file("label", b"y").with(|meta| meta.xattrs = vec![("trusted.a".into(), b"1".to_vec())]),
    ]);
    let report = bench.rehearse_and_run(tree, &options());
    assert_eq!((report.created, report.skipped, report.withheld), (2, 1, 2));
    assert_eq!(
        std::fs::metadata(bench.target().join("tool")).unwrap().mode() & 0o7777,
        0o755
    );
    assert!(!bench.target().join("disk").exists());
    assert_eq!(bench.rehearse_and_run(tree, &options()).unchanged, 2);
    if options().is_root {
        let privileged = Options {
            privileged: true,
            ..options()
        };
        let report = bench.rehearse_and_run(tree, &privileged);
        assert_eq!((report.created, report.updated, report.withheld), (1, 2, 0));
        assert_eq!(
            std::fs::metadata(bench.target().join("tool")).unwrap().mode() & 0o7777,
            0o6755
        );
        let found = rustix::fs::getxattr(bench.target().join("label"), "trusted.a", &mut [0u8; 8][..]);
        assert_eq!(found, Ok(1));
        // What is there already is not taken away by a run without privileges.
        assert_eq!(bench.rehearse_and_run(tree, &options()).unchanged, 2);
    }
}

#[test]
fn a_repository_is_no_target() {
    let bench = Bench::new();
    let tree = sample(&bench);
    let inside = bench.folder.path().join(".ghost/data");
    std::fs::create_dir_all(&inside).unwrap();
    symlink(&inside, bench.folder.path().join("innocent")).unwrap();
    for bad in [".ghost", ".ghost/new", ".GHOST", "innocent", "innocent/deeper/still"] {
        let path = bench.folder.path().join(bad);
        let found = reconstruct(&bench.store, tree, None, &path, &options(), &Progress::default());
        assert!(
            matches!(found, Err(Error::Invalid { what: "target", .. })),
            "{bad}: {found:?}"
        );
    }
    assert_eq!(std::fs::read_dir(inside).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_read_is_named_and_leaves_nothing_half() {
    let bench = Bench::new();
    let missing = ContentRef::Block {
        id: ObjectId::hash(HashAlgo::Sha256, b"not stored"),
        bytes: 10,
    };
    let good = bench.block(&bytes(1, 5000));
    let lying = match &good {
        ContentRef::Block { id, .. } => ContentRef::Block { id: *id, bytes: 5001 },
        _ => panic!("expected a block"),
    };
    let content = |name: &str, content| item(name, 0o600, What::Content(content));
    let tree = bench.tree(vec![
        content("bad", missing.clone()),
        content("half", bench.parts(vec![good.clone(), missing.clone(), good.clone()])),
        content("kept", missing.clone()),
        content("linked", missing).linked(1),
        content("linked too", good.clone()).linked(1),
        content("lying", lying),
        content("good", good),
        dir("empty", vec![]),
        item(
            "lost",
            0o755,
            What::Node(Node::Directory {
                tree: ObjectId::hash(HashAlgo::Sha256, b"no tree"),
            }),
        ),
    ]);
    std::fs::create_dir_all(bench.target()).unwrap();
    std::fs::write(bench.target().join("kept"), b"before").unwrap();
    let report = bench.run(tree, &options());
    let found: Vec<_> = report
        .problems
        .iter()
        .map(|problem| problem.path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(found, ["bad", "half", "kept", "linked", "linked too", "lost", "lying"]);
    assert_eq!(std::fs::read(bench.target().join("kept")).unwrap(), b"before");
    let mut names: Vec<_> = std::fs::read_dir(bench.target())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["empty", "good", "kept", "lost"]);
}

#[test]
fn what_cannot_be_set_is_named_and_the_rest_is_set() {
    let bench = Bench::new();
    let refused = |item: Item| item.with(|meta| meta.xattrs = vec![("no-such-namespace.a".into(), vec![1])]);
    let tree = bench.tree(vec![
        refused(file("f", b"content")),
        refused(dir("d", vec![])),
        refused(link("l", "x")),
    ]);
    for _ in 0..2 {
        let report = bench.run(tree, &options());
        assert_eq!((report.created + report.updated, report.problem_count()), (3, 3));
        assert_eq!(std::fs::read(bench.target().join("f")).unwrap(), b"content");
        for (name, mode) in [("f", 0o644), ("d", 0o755), ("l", 0o777)] {
            let found = bench.target().join(name).symlink_metadata().unwrap();
            assert_eq!((found.mode() & 0o7777, found.mtime()), (mode, 1_000_000_000), "{name}");
        }
    }
}

#[test]
fn a_stopped_job_says_so_and_leaves_nothing_half() {
    let bench = Bench::new();
    let stop = Arc::new(AtomicBool::new(true));
    let progress = Progress::new(stop);
    let tree = sample(&bench);
    let found = reconstruct(&bench.store, tree, None, &bench.target(), &options(), &progress);
    assert!(matches!(found, Err(Error::Interrupted)), "{found:?}");
    assert_eq!(std::fs::read_dir(bench.target()).unwrap().count(), 0);
    assert_eq!(bench.rehearse_and_run(tree, &options()).created, 6);
}

#[test]
fn an_unfinished_file_is_removed() {
    let bench = Bench::new();
    std::fs::create_dir(bench.target()).unwrap();
    std::fs::write(bench.target().join("taken"), b"before").unwrap();
    let (options, progress) = (options(), Progress::default());
    let context = Context::new(&bench.store, &bench.target(), &options, &progress).unwrap();
    let top = Arc::new(target::open_target(&context, &bench.target()).unwrap());
    // In one piece with a free name it is there at once; else it has no name, where the file system knows that.
    for (name, replaces, whole, names) in [
        ("new", false, true, 2),
        ("taken", true, true, 1),
        ("long", false, false, 1),
    ] {
        let wanted = apply::Wanted::default();
        let mut job = files::FileJob::new(top.clone(), name.into(), 5, wanted, None, replaces);
        if whole {
            job.set_whole();
        }
        job.file().unwrap();
        assert_eq!(std::fs::read_dir(bench.target()).unwrap().count(), names, "{name}");
        drop(job);
        assert_eq!(std::fs::read_dir(bench.target()).unwrap().count(), 1);
    }
    assert_eq!(std::fs::read(bench.target().join("taken")).unwrap(), b"before");
}

#[test]
fn a_default_access_list_of_the_target_does_not_leak_in() {
    let bench = Bench::new();
    std::fs::create_dir(bench.target()).unwrap();
    let set = std::process::Command::new("setfacl")
        .args(["-d", "-m", "u:1234:rwx"])
        .arg(bench.target())
        .status();
    if !set.is_ok_and(|status| status.success()) {
        return;
    }
    let tree = bench.tree(vec![file("f", b"1"), dir("d", vec![file("g", b"2")])]);
    assert_eq!(bench.run(tree, &options()).created, 3);
    for name in ["f", "d", "d/g"] {
        let mut list = [0; 1000];
        let length = rustix::fs::listxattr(bench.target().join(name), &mut list[..]).unwrap();
        let found = BString::from(&list[..length]);
        assert!(!found.windows(9).any(|part| part == b"posix_acl"), "{name}: {found}");
    }
    assert_eq!(bench.rehearse_and_run(tree, &options()).unchanged, 3);
}
