use std::fs;
use std::process::Command;

use bstr::ByteSlice as _;

use super::*;
use crate::ghosts::catalogue::{Facts, FileSeen, Listing, Look};
use crate::ghosts::tests::world::World;
use crate::walk::RuleOptions;

/// New, changed, unchanged, gone, read.
fn counts(report: &Report) -> [u64; 5] {
    [report.new, report.changed, report.unchanged, report.gone, report.read]
}

#[test]
fn what_is_found_is_what_sha256sum_says() {
    let mut world = World::new();
    for at in 0..300 {
        world.put(&format!("many/{at}"), vec![7; at * 37]);
    }
    world.put("a/b/c/deep", "x");
    world.put("large", vec![1; 3 << 20]);
    world.put("odd\n\u{1}", "");
    fs::hard_link(world.root().join("large"), world.root().join("linked")).unwrap();
    std::os::unix::fs::symlink("large", world.root().join("link")).unwrap();
    let report = world.scan(&world.scan_request(100));
    assert_eq!((report.problems, report.rotten), (0, 0), "{report:?}");
    assert_eq!(counts(&report), [304, 0, 0, 0, 304]);
    assert_eq!((report.files, report.directories, report.new_contents), (304, 5, 302));
    let sums = Command::new("sh")
        .args(["-c", "cd \"$0\" && find . -type f -print0 | xargs -0 sha256sum -z"])
        .arg(world.root())
        .output()
        .unwrap();
    let mut lines = 0;
    for line in sums.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let (hex, name) = (line[..64].to_str().unwrap(), line[68..].to_str().unwrap());
        assert_eq!(world.known(name).unwrap().hex(), hex, "{name}");
        lines += 1;
    }
    assert_eq!(lines, 304);
}

#[test]
fn what_looks_the_same_is_not_read_and_what_changed_is() {
    let mut world = World::new();
    for name in ["a", "b", "sub/c", "sub/d", "lost/e"] {
        world.put(name, name);
    }
    assert_eq!(counts(&world.scan(&world.scan_request(100))), [5, 0, 0, 0, 5]);
    assert_eq!(counts(&world.scan(&world.scan_request(200))), [0, 0, 5, 0, 0]);
    let old = world.known("a").unwrap();
    world.put("a", "other");
    world.put("new", "b");
    fs::remove_file(world.root().join("sub/d")).unwrap();
    fs::remove_dir_all(world.root().join("lost")).unwrap();
    let report = world.scan(&world.scan_request(300));
    assert_eq!(counts(&report), [1, 1, 2, 2, 2]);
    assert_eq!(report.new_contents, 1, "the content of `new` was known");
    assert_eq!((world.known("sub/d"), world.known("lost/e")), (None, None));
    // What was there is remembered, with its times.
    let ghost = world.catalogue.ghost(&old).unwrap().unwrap();
    let place = ghost.places.iter().next().unwrap();
    assert_eq!((place.present, place.looked.seconds), (false, 300));
    assert_eq!((place.seen_first.seconds, place.seen_last.seconds), (100, 200));
    assert_eq!(place.root, world.root().as_os_str().as_bytes());
    assert_eq!((place.relative(), ghost.found_last.seconds), (&b"a"[..], 200));
    // What comes back is the ghost that it was.
    world.put("a", "a");
    assert_eq!(counts(&world.scan(&world.scan_request(400))), [0, 1, 3, 0, 1]);
    let ghost = world.catalogue.ghost(&old).unwrap().unwrap();
    let place = ghost.places.iter().next().unwrap();
    assert_eq!((ghost.places.len(), place.present), (1, true));
    assert_eq!((place.seen_first.seconds, place.seen_last.seconds), (100, 400));
}

#[test]
fn what_rules_leave_out_stays_as_it_is_known() {
    let mut world = World::new();
    for name in ["a.o", "b", "out/c", "out/d.o"] {
        world.put(name, name);
    }
    world.scan(&world.scan_request(100));
    let mut request = world.scan_request(200);
    request.rules = Rules::new(RuleOptions {
        exclude: vec!["*.o".into(), "/out".into()],
        ..RuleOptions::default()
    });
    let report = world.scan(&request);
    assert_eq!((counts(&report), report.excluded), ([0, 0, 1, 0, 0], 2));
    for name in ["a.o", "b", "out/c", "out/d.o"] {
        assert!(world.known(name).is_some(), "{name}");
    }
    let path = world.root().join("out/c");
    let row = world.catalogue.at("h", path.as_os_str().as_bytes()).unwrap().unwrap();
    assert_eq!(row.seen_last.seconds, 100, "it was not looked at");
}

#[test]
fn times_too_close_to_the_scan_prove_nothing() {
    let mut world = World::new();
    world.put("a", "a");
    let mut request = world.scan_request(100);
    request.began = Timestamp::default();
    assert_eq!(counts(&world.scan(&request)), [1, 0, 0, 0, 1]);
    assert_eq!(counts(&world.scan(&world.scan_request(200))), [0, 0, 1, 0, 1]);
    assert_eq!(counts(&world.scan(&world.scan_request(300))), [0, 0, 1, 0, 0]);
}

#[test]
fn rot_shows_where_only_bytes_are_trusted() {
    let mut world = World::new();
    world.put("a", "rotten");
    let handle = DirHandle::open_root(&world.root()).unwrap();
    let sound = ObjectId::hash(HashAlgo::Sha256, b"sound!");
    let look = Look {
        path: world.root().as_os_str().as_bytes().into(),
        looked: Timestamp::new(50, 0),
        files: vec![FileSeen {
            name: "a".into(),
            stat: handle.stat("a").unwrap(),
            settled: true,
            facts: Facts::Full(sound, None),
        }],
        gone: Vec::new(),
        complete: true,
    };
    world.catalogue.record("h", &[look]).unwrap();
    assert_eq!(world.scan(&world.scan_request(100)).rotten, 0);
    let mut request = world.scan_request(200);
    request.trust_hash = true;
    let (report, told) = world.scan_told(&request);
    let [Told::Rotten(rotten)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((report.rotten, report.problems), (1, 0));
    assert!(rotten.path.ends_with(b"/a"));
    assert_eq!(
        (rotten.expected, rotten.found),
        (sound, ObjectId::hash(HashAlgo::Sha256, b"rotten"))
    );
}

#[test]
fn one_file_is_a_root() {
    let mut world = World::new();
    world.put("a", "a");
    world.put("b", "b");
    let mut request = world.scan_request(100);
    request.roots = vec![world.root().join("b")];
    assert_eq!(counts(&world.scan(&request)), [1, 0, 0, 0, 1]);
    assert_eq!(counts(&world.scan(&request)), [0, 0, 1, 0, 0]);
    assert_eq!((world.known("a"), world.known("b").is_some()), (None, true));
    request.roots = vec![world.root().join("none")];
    let none = &mut |told| panic!("{told:?}");
    assert!(scan(&mut world.catalogue, &request, &Progress::default(), none).is_err());
}

#[test]
fn a_large_directory_is_looked_at_in_windows() {
    let mut world = World::new();
    for at in 0..2 * folder::WINDOW + 10 {
        world.put(&format!("n{at:05}"), at.to_string());
    }
    let all = 2 * folder::WINDOW as u64 + 10;
    assert_eq!(counts(&world.scan(&world.scan_request(100))), [all, 0, 0, 0, all]);
    // At the ends of the windows.
    for at in [0, folder::WINDOW - 1, folder::WINDOW, 2 * folder::WINDOW + 9] {
        fs::remove_file(world.root().join(format!("n{at:05}"))).unwrap();
    }
    world.put("n04096x", "new");
    assert_eq!(counts(&world.scan(&world.scan_request(200))), [1, 0, all - 4, 4, 1]);
    let mut listing = Listing::default();
    world
        .catalogue
        .list("h", world.root().as_os_str().as_bytes(), &mut listing)
        .unwrap();
    assert_eq!(listing.len() as u64, all - 3);
    assert!(listing.iter().all(|(_, row)| row.seen_last.seconds == 200));
}

#[test]
fn a_scan_that_is_stopped_keeps_what_is_known() {
    let mut world = World::new();
    world.put("a", "a");
    world.put("sub/b", "b");
    world.scan(&world.scan_request(100));
    let stop = Progress::default();
    stop.request_stop();
    let request = world.scan_request(200);
    let result = scan(&mut world.catalogue, &request, &stop, &mut |told| panic!("{told:?}"));
    assert!(matches!(result, Err(Error::Interrupted)));
    assert!(world.known("sub/b").is_some());
}
