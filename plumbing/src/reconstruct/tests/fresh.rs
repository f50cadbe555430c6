//! Into a directory that is not there or empty.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::*;

#[test]
fn every_kind_and_all_metadata() {
    let bench = Bench::new();
    let root = options().is_root;
    let times = [
        Timestamp::new(-1, 999_999_999),
        Timestamp::new(1 << 32, 1),
        Timestamp::new(0, 0),
    ];
    let long = "n".repeat(255);
    let tree = bench.tree(vec![
        file("plain", b"hello").with(|meta| meta.mtime = times[0]),
        file("empty", b"").with(|meta| meta.mode = 0),
        file(&long, b"long").with(|meta| meta.mtime = times[1]),
        item(&b"\x01\n\xff\\"[..], 0o444, What::Bytes(b"odd name".to_vec())),
        item("fifo", 0o622, What::Node(Node::Fifo)),
        item("socket", 0o711, What::Node(Node::Socket)),
        item("null", 0o666, What::Node(Node::CharDevice { major: 1, minor: 3 })),
        item("gone", 0, What::Node(Node::Whiteout)),
        link("link", "no where").with(|meta| meta.mtime = times[1]),
        dir("locked", vec![file("inside", b"x"), dir("deeper", vec![])]).with(|meta| {
            meta.mode = 0o111;
            meta.mtime = times[2];
        }),
        dir("setgid", vec![file("a", b"1")]).with(|meta| meta.mode = 0o2775),
        file("tagged", b"t").with(|meta| meta.xattrs = vec![("user.note".into(), vec![0, 1, 255])]),
    ]);
    let options = Options {
        privileged: root,
        ..options()
    };
    let report = bench.rehearse_and_run(tree, &options);
    let devices = u64::from(root);
    assert_eq!(
        counts(&report),
        [13 + devices, 0, 0, 0, 1 - devices, 5 + 4 + 8 + 1 + 1 + 1]
    );

    let target = bench.target();
    let at = |name: &str| std::fs::symlink_metadata(target.join(name)).unwrap();
    assert_eq!(std::fs::read(target.join("plain")).unwrap(), b"hello");
    assert_eq!((at("plain").mtime(), at("plain").mtime_nsec()), (-1, 999_999_999));
    assert_eq!((at(&long).mtime(), at(&long).mtime_nsec()), (1 << 32, 1));
    assert_eq!((at("empty").mode(), at("empty").len()), (0o100_000, 0));
    let odd = target.join(std::ffi::OsStr::from_bytes(b"\x01\n\xff\\"));
    assert_eq!(std::fs::read(odd).unwrap(), b"odd name");
    assert!(at("fifo").file_type().is_fifo() && at("fifo").mode() & 0o7777 == 0o622);
    assert!(at("socket").file_type().is_socket() && at("socket").mode() & 0o7777 == 0o711);
    if root {
        assert_eq!((at("null").rdev(), at("null").mode()), (0x103, 0o020_666));
    }
    assert_eq!(std::fs::read_link(target.join("link")).unwrap(), Path::new("no where"));
    assert_eq!((at("link").mtime(), at("link").mtime_nsec()), (1 << 32, 1));
    assert_eq!((at("locked").mode() & 0o7777, at("locked").mtime()), (0o111, 0));
    assert_eq!(at("locked/inside").len(), 1);
    assert_eq!(at("setgid").mode() & 0o7777, 0o2775);
    assert_eq!(
        (at("setgid").mtime(), at("setgid").mtime_nsec()),
        (1_000_000_000, 123_456_789)
    );
    let mut value = [0; 10];
    let length = rustix::fs::getxattr(target.join("tagged"), "user.note", &mut value[..]).unwrap();
    assert_eq!(value[..length], [0, 1, 255]);
    assert!(!target.join("gone").exists());

    let again = bench.rehearse_and_run(tree, &options);
    assert_eq!(counts(&again), [0, 0, 13 + devices, 0, 1 - devices, 0]);
}

#[test]
fn every_form_of_content() {
    let bench = Bench::new();
    let (first, second) = (bytes(1, 100_000), bytes(2, 70_000));
    let (one, two) = (bench.block(&first), bench.block(&second));
    let zeros = |bytes| ContentRef::Run { byte: 0, bytes };
    let sparse = bench.parts(vec![zeros(10 << 30), one.clone(), zeros(1 << 30)]);
    let mixed = bench.parts(vec![
        one.clone(),
        ContentRef::Inline(b"inline".to_vec()),
        ContentRef::Run {
            byte: 7,
            bytes: 200_000,
        },
        two.clone(),
        one.clone(),
        ContentRef::Slice {
            offset: 10,
            bytes: 20,
            of: Box::new(two.clone()),
        },
    ]);
    let slice = ContentRef::Slice {
        offset: 99_990,
        bytes: 16,
        of: Box::new(mixed.clone()),
    };
    let content = |name, content| item(name, 0o600, What::Content(content));
    let tree = bench.tree(vec![
        content("sparse", sparse),
        content("mixed", mixed.clone()),
        content("mixed again", mixed),
        content("slice", slice),
        content("inline", ContentRef::Inline(b"few".to_vec())),
        content("hole", zeros(5 << 30)),
        content("sevens", ContentRef::Run { byte: 7, bytes: 100 }),
    ]);
    let report = bench.rehearse_and_run(tree, &options());
    assert_eq!((report.created, report.problem_count()), (7, 0));
    let target = bench.target();
    let expected = [&first[..], b"inline", &[7; 200_000], &second, &first, &second[10..30]].concat();
    assert!(std::fs::read(target.join("mixed")).unwrap() == expected);
    assert!(std::fs::read(target.join("mixed again")).unwrap() == expected);
    assert!(std::fs::read(target.join("slice")).unwrap() == expected[99_990..100_006]);
    assert_eq!(std::fs::read(target.join("inline")).unwrap(), b"few");
    assert_eq!(std::fs::read(target.join("sevens")).unwrap(), [7; 100]);
    for (name, length, on_disk_max) in [("sparse", (11 << 30) + 100_000, 200_000), ("hole", 5 << 30, 0)] {
        let found = std::fs::metadata(target.join(name)).unwrap();
        assert_eq!(found.len(), length);
        assert!(found.blocks() * 512 <= on_disk_max, "{name}: {} blocks", found.blocks());
    }
    // Bytes are read, and are right, so only the time is set.
    let always = Options {
        overwrite: Overwrite::Always,
        ..options()
    };
    assert_eq!(bench.rehearse_and_run(tree, &always).unchanged, 7);
}

#[test]
fn hard_links_of_files_and_others() {
    let bench = Bench::new();
    let tree = bench.tree(vec![
        file("a", b"1").linked(1),
        dir("b", vec![file("c", b"1").linked(1), link("l", "x").linked(2)]),
        file("d", b"1"),
        link("e", "x").linked(2),
        item("f", 0o600, What::Node(Node::Fifo)).linked(3),
        item("g", 0o600, What::Node(Node::Fifo)).linked(3),
    ]);
    assert_eq!(counts(&bench.rehearse_and_run(tree, &options()))[0], 8);
    let inode = |name: &str| std::fs::symlink_metadata(bench.target().join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("b/c"));
    assert_eq!(inode("b/l"), inode("e"));
    assert_eq!(inode("f"), inode("g"));
    assert_ne!(inode("a"), inode("d"));
    assert_eq!(counts(&bench.rehearse_and_run(tree, &options())), [0, 0, 8, 0, 0, 0]);
    // A name that lost its link gets it back, and one that has a link too many loses it.
    std::fs::remove_file(bench.target().join("b/c")).unwrap();
    std::fs::write(bench.target().join("b/c"), b"1").unwrap();
    std::fs::remove_file(bench.target().join("d")).unwrap();
    std::fs::hard_link(bench.target().join("a"), bench.target().join("d")).unwrap();
    let report = bench.rehearse_and_run(tree, &options());
    assert_eq!(
        (report.updated, report.problem_count()),
        (3, 0),
        "two names and the time of `b`"
    );
    assert_eq!(inode("a"), inode("b/c"));
    assert_ne!(inode("a"), inode("d"));
}

#[test]
fn deeper_than_any_path_and_wider_than_the_handles() {
    let bench = Bench::new();
    let mut items = vec![file("bottom", b"deep")];
    for level in 0..1500 {
        let side = dir("side", vec![file("f", b"side")]);
        items = vec![dir(&format!("level-{level}"), items), side];
    }
    let tree = bench.tree(items);
    assert_eq!(
        counts(&bench.rehearse_and_run(tree, &options())),
        [4501, 0, 0, 0, 0, 1500 * 4 + 4]
    );
    assert_eq!(bench.rehearse_and_run(tree, &options()).unchanged, 4501);
    let listed = std::process::Command::new("find")
        .arg(bench.target())
        .args(["-type", "f", "-newermt", "2001-01-01", "!", "-newermt", "2002-01-01"])
        .output()
        .unwrap();
    assert_eq!(listed.stdout.split(|&byte| byte == b'\n').count(), 1502);
    let empty = bench.tree(vec![]);
    let delete = Options {
        delete: true,
        ..options()
    };
    assert_eq!(bench.rehearse_and_run(empty, &delete).deleted, 4501);
}

#[test]
fn many_files_share_blocks_and_frames() {
    let bench = Bench::new();
    let folders = (0..30).map(|folder| {
        let files = (0..200).map(|number| file(&format!("{number}"), &bytes(number % 97 + folder % 3, 3000)));
        dir(&format!("d{folder}"), files.collect())
    });
    let tree = bench.tree(folders.collect());
    let report = bench.run(tree, &options());
    assert_eq!(counts(&report), [6030, 0, 0, 0, 0, 6000 * 3000]);
    for (folder, number) in [(0u64, 0u64), (7, 150), (29, 199)] {
        let found = std::fs::read(bench.target().join(format!("d{folder}/{number}"))).unwrap();
        assert!(found == bytes(number % 97 + folder % 3, 3000));
    }
}

#[test]
fn the_top_directory_gets_its_metadata() {
    let bench = Bench::new();
    let tree = bench.tree(vec![file("a", b"1")]);
    let progress = Progress::default();
    let root = Metadata { mode: 0o750, ..meta(0) };
    let report = reconstruct(&bench.store, tree, Some(&root), &bench.target(), &options(), &progress).unwrap();
    assert_eq!((report.created, report.problem_count()), (1, 0));
    let found = std::fs::metadata(bench.target()).unwrap();
    assert_eq!((found.mode() & 0o7777, found.mtime()), (0o750, 1_000_000_000));
    assert_eq!(progress.counters().files_done, 1);
    assert_eq!(progress.counters().bytes_done, 1);
}

#[test]
fn sparse_files_and_reflinks_as_asked() {
    let bench = Bench::new();
    let mut half = vec![0; 400_000];
    half[200_000..300_000].copy_from_slice(&bytes(5, 100_000));
    let tree = bench.tree(vec![file("a", &half), file("b", &half)]);
    for (sparse, reflink) in [(true, Reflink::Auto), (true, Reflink::Never), (false, Reflink::Auto)] {
        let options = Options {
            sparse,
            reflink,
            ..options()
        };
        let report = bench.run(tree, &options);
        assert_eq!((report.created, report.problem_count()), (2, 0));
        for name in ["a", "b"] {
            let path = bench.target().join(name);
            assert!(std::fs::read(&path).unwrap() == half);
            let on_disk = std::fs::metadata(&path).unwrap().blocks() * 512;
            assert_eq!(on_disk < 120_000, sparse, "{name}: {on_disk} with {options:?}");
        }
        std::fs::remove_dir_all(bench.target()).unwrap();
    }
    let always = Options {
        reflink: Reflink::Always,
        ..options()
    };
    let report = bench.run(tree, &always);
    // Whether the file system can share decides; what it cannot is named and not there.
    assert_eq!(report.created + report.problem_count(), 2);
    assert_eq!(bench.target().join("b").exists(), report.is_complete());
}

#[test]
fn a_file_is_never_born_with_more_than_it_ends_with() {
    use crate::reconstruct::apply::Wanted;
    let wanted = |mode, uid, xattrs: &[&str]| Wanted {
        mode,
        uid,
        xattrs: xattrs.iter().map(|&name| (name.into(), Vec::new())).collect(),
        ..Wanted::default()
    };
    for (mode, uid, xattrs, born) in [
        (0o644, None, &[][..], 0o644),
        (0o755, Some(0), &[], 0o755),
        // Whose group is not known yet, who is given away, and what nobody may write.
        (0o640, None, &[], 0o600),
        (0o664, Some(0), &[], 0o600),
        (0o644, Some(1000), &[], 0o600),
        (0o444, None, &[], 0o600),
        (0o4755, Some(0), &[], 0o600),
        (0o644, None, &["system.posix_acl_access"], 0o600),
    ] {
        assert_eq!(wanted(mode, uid, xattrs).birth_mode(), born, "{mode:o} {uid:?}");
    }
}
