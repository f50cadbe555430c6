//! Into a directory that holds something.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use super::*;

fn touch(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

fn inode(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).unwrap().ino()
}

#[test]
fn only_what_differs_is_touched() {
    let bench = Bench::new();
    let names = ["same", "touched", "longer", "edited", "sneaky", "mode"];
    let tree = bench.tree(names.iter().map(|name| file(name, b"content")).collect());
    assert_eq!(bench.run(tree, &options()).created, 6);
    let path = |name: &str| bench.target().join(name);
    let before: Vec<u64> = names.iter().map(|name| inode(&path(name))).collect();
    touch(&path("touched"), 5);
    std::fs::write(path("longer"), b"longer content").unwrap();
    std::fs::write(path("edited"), b"CONTENT").unwrap();
    let kept = std::fs::metadata(path("sneaky")).unwrap().modified().unwrap();
    std::fs::write(path("sneaky"), b"SNEAKY!").unwrap();
    std::fs::File::open(path("sneaky")).unwrap().set_modified(kept).unwrap();
    std::fs::set_permissions(path("mode"), std::fs::Permissions::from_mode(0o600)).unwrap();

    let never = Options {
        overwrite: Overwrite::Never,
        ..options()
    };
    assert_eq!(counts(&bench.rehearse_and_run(tree, &never)), [0, 0, 0, 0, 6, 0]);
    assert_eq!(counts(&bench.rehearse_and_run(tree, &options())), [0, 4, 2, 0, 0, 14]);
    assert_eq!(
        std::fs::read(path("sneaky")).unwrap(),
        b"SNEAKY!",
        "size and time were the same"
    );
    let always = Options {
        overwrite: Overwrite::Always,
        ..options()
    };
    assert_eq!(counts(&bench.rehearse_and_run(tree, &always)), [0, 1, 5, 0, 0, 7]);
    let rewritten = ["longer", "edited", "sneaky"];
    for (name, before) in names.iter().zip(before) {
        let found = std::fs::metadata(path(name)).unwrap();
        assert_eq!(std::fs::read(path(name)).unwrap(), b"content");
        assert_eq!((found.mtime(), found.mode() & 0o7777), (1_000_000_000, 0o644));
        assert_eq!(found.ino() != before, rewritten.contains(name), "{name}");
    }
}

#[test]
fn attributes_are_set_and_removed() {
    let bench = Bench::new();
    let tagged = file("f", b"1").with(|meta| {
        meta.xattrs = vec![("user.a".into(), b"1".to_vec()), ("user.b".into(), b"2".to_vec())];
    });
    let tree = bench.tree(vec![tagged]);
    bench.run(tree, &options());
    let path = bench.target().join("f");
    let set = |name, value: &[u8]| rustix::fs::setxattr(&path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    set("user.b", b"3");
    set("user.c", b"4");
    let before = inode(&path);
    assert_eq!(counts(&bench.rehearse_and_run(tree, &options())), [0, 1, 0, 0, 0, 0]);
    let mut buffer = [0; 100];
    let length = rustix::fs::getxattr(&path, "user.b", &mut buffer[..]).unwrap();
    assert_eq!(buffer[..length], *b"2");
    assert!(rustix::fs::getxattr(&path, "user.c", &mut buffer[..]).is_err());
    assert_eq!(inode(&path), before);
    assert_eq!(bench.rehearse_and_run(tree, &options()).unchanged, 1);
}

#[test]
fn extra_names_go_only_when_asked() {
    let bench = Bench::new();
    let tree = bench.tree(vec![dir("b", vec![file("keep", b"1")]), file("d", b"2")]);
    bench.run(tree, &options());
    let target = bench.target();
    for folder in ["a/x/y", "b/z", "e/.ghost/data", ".ghost"] {
        std::fs::create_dir_all(target.join(folder)).unwrap();
    }
    for name in ["a/x/y/1", "a/2", "b/3", "c", "e/4", "e/.ghost/data/5", ".ghost/6"] {
        std::fs::write(target.join(name), b"extra").unwrap();
    }
    std::os::unix::fs::symlink("/etc", target.join("a/link")).unwrap();
    let kept = bench.rehearse_and_run(tree, &options());
    assert_eq!((kept.deleted, kept.unchanged, kept.updated), (0, 2, 1));
    assert!(target.join("a/x/y/1").exists());
    let delete = Options {
        delete: true,
        ..options()
    };
    let report = bench.rehearse_and_run(tree, &delete);
    // a, a/x, a/x/y, a/x/y/1, a/2, a/link, b/3, b/z, c, e/4; `e` stays for the repository in it.
    assert_eq!((report.deleted, report.skipped, report.problem_count()), (10, 1, 0));
    assert!(target.join("e/.ghost/data/5").exists() && target.join(".ghost/6").exists());
    assert!(!target.join("a").exists() && !target.join("c").exists() && !target.join("b/3").exists());
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn a_whiteout_removes_only_with_delete() {
    let bench = Bench::new();
    let tree = bench.tree(vec![item("gone", 0, What::Node(Node::Whiteout))]);
    std::fs::create_dir_all(bench.target().join("gone/below")).unwrap();
    assert_eq!(counts(&bench.rehearse_and_run(tree, &options())), [0; 6]);
    let delete = Options {
        delete: true,
        ..options()
    };
    assert_eq!(bench.rehearse_and_run(tree, &delete).deleted, 2);
    assert!(!bench.target().join("gone").exists());
}

#[test]
fn only_the_paths_that_were_asked_for() {
    let bench = Bench::new();
    let tree = bench.tree(vec![
        dir(
            "a",
            vec![dir("b", vec![file("1", b"1"), file("2", b"2")]), file("3", b"3")],
        ),
        file("4", b"4"),
    ]);
    std::fs::create_dir_all(bench.target().join("a/b")).unwrap();
    std::fs::write(bench.target().join("a/extra"), b"stays").unwrap();
    std::fs::write(bench.target().join("a/b/extra"), b"goes").unwrap();
    let some = |paths: &[&str]| Options {
        paths: paths.iter().map(|path| BString::from(*path)).collect(),
        delete: true,
        ..options()
    };
    let report = bench.rehearse_and_run(tree, &some(&["a/b/", "./4"]));
    assert_eq!(counts(&report), [3, 1, 0, 1, 0, 3]);
    assert!(bench.target().join("a/extra").exists() && !bench.target().join("a/b/extra").exists());
    assert!(!bench.target().join("a/3").exists());
    assert_ne!(
        std::fs::metadata(bench.target().join("a")).unwrap().mtime(),
        1_000_000_000
    );
    assert_eq!(
        std::fs::metadata(bench.target().join("a/b")).unwrap().mtime(),
        1_000_000_000
    );
    for missing in ["a/x", "4/y", "nothing"] {
        let options = some(&[missing]);
        let found = reconstruct(
            &bench.store,
            tree,
            None,
            &bench.target(),
            &options,
            &Progress::default(),
        );
        assert!(matches!(found, Err(Error::NotFound { what: "path", .. })), "{found:?}");
    }
}

#[test]
fn kinds_take_the_place_of_each_other() {
    let bench = Bench::new();
    let shapes: [fn(&str) -> Item; 4] = [
        |name| file(name, b"content"),
        |name| dir(name, vec![file("in", b"1")]),
        |name| link(name, "elsewhere"),
        |name| item(name, 0o600, What::Node(Node::Fifo)),
    ];
    for before in shapes {
        for after in shapes {
            let delete = Options {
                delete: true,
                ..options()
            };
            bench.run(bench.tree(vec![before("x")]), &delete);
            let tree = bench.tree(vec![after("x")]);
            let report = bench.rehearse_and_run(tree, &delete);
            assert_eq!(report.problem_count(), 0);
            assert_eq!(bench.rehearse_and_run(tree, &delete).created, 0);
            assert_eq!(
                report.created + report.updated > 0,
                !std::ptr::fn_addr_eq(before, after)
            );
        }
    }
    // Without `delete` a directory with something in it stays.
    bench.run(bench.tree(vec![shapes[1]("x")]), &options());
    let report = bench.rehearse_and_run(bench.tree(vec![shapes[0]("x")]), &options());
    assert_eq!((report.problem_count(), counts(&report)), (1, [0; 6]));
    assert!(bench.target().join("x/in").exists());
}
