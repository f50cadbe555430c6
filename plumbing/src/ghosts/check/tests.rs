use std::fs;
use std::fs::{File, FileTimes};

use super::*;
use crate::ghosts::catalogue::{Due, Facts, FileSeen, Look};
use crate::ghosts::tests::world::World;
use crate::walk::DirHandle;

impl World {
    /// Changes a file so that its size and mtime do not tell.
    fn rot(&self, name: &str, content: &str) {
        let path = self.root().join(name);
        let mtime = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, content).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_times(FileTimes::new().set_modified(mtime)).unwrap();
    }

    fn scan_at(&mut self, seconds: i64) {
        let request = self.scan_request(seconds);
        assert_eq!(self.scan(&request).problems, 0);
    }

    fn request(&self, seconds: i64) -> Request {
        Request {
            root: self.root(),
            fast: false,
            before: None,
            time_max: None,
            host: "h".to_owned(),
            algo: HashAlgo::Sha256,
            threads: 2,
            now: Timestamp::new(seconds, 0),
            began: Timestamp::new(i64::from(u32::MAX), 0),
            coarse: Duration::ZERO,
        }
    }

    fn check(&mut self, request: &Request) -> Report {
        self.check_told(request).0
    }

    /// The same, with what was found: paths below the root and what became of them.
    fn check_told(&mut self, request: &Request) -> (Report, Vec<(String, State)>) {
        let root = self.root().display().to_string();
        let mut states = Vec::new();
        let mut tell = |told| {
            let Told::Finding(finding) = told else {
                panic!("{told:?}")
            };
            states.push((finding.path.to_string()[root.len() + 1..].to_owned(), finding.state));
            Ok(())
        };
        let report = check(&mut self.catalogue, request, &Progress::default(), &mut tell).unwrap();
        self.catalogue.check().unwrap();
        (report, states)
    }

    fn verified(&self, text: &str) -> Option<i64> {
        let id = ObjectId::hash(HashAlgo::Sha256, text.as_bytes());
        let content = self.catalogue.by_fullhash(&id).unwrap().unwrap();
        content.verified_full.map(|time| time.seconds)
    }
}

#[test]
fn each_file_is_what_it_was_or_it_is_told_what_became_of_it() {
    let mut world = World::new();
    for name in ["changed", "gone", "rotten", "sound", "sub/lost", "touched"] {
        world.put(name, name);
    }
    world.scan_at(100);
    let (report, states) = world.check_told(&world.request(200));
    assert_eq!((report.files, report.sound, states), (6, 6, Vec::new()));
    assert_eq!(world.verified("sound"), Some(200));
    world.put("changed", "something else");
    world.rot("rotten", "rott3n");
    fs::remove_file(world.root().join("gone")).unwrap();
    fs::remove_dir_all(world.root().join("sub")).unwrap();
    world.put("touched", "touched");
    for _ in 0..2 {
        let (found, states) = world.check_told(&world.request(300));
        let rotten = ("rotten".to_owned(), State::Rotten { ctime_moved: true });
        assert!(states.contains(&rotten), "rot is told every time: {states:?}");
        assert_eq!(found.rotten, 1);
        if states.len() > 1 {
            let others = [
                ("changed".to_owned(), State::Changed),
                ("gone".to_owned(), State::Vanished),
                rotten,
                ("sub/lost".to_owned(), State::Vanished),
            ];
            assert_eq!((states.as_slice(), found.sound), (&others[..], 2));
            assert_eq!((found.changed, found.vanished), (1, 2));
        } else {
            assert_eq!(found.sound, 3);
        }
    }
    assert_eq!(world.verified("rotten"), Some(200), "nothing proved it since");
    world.put("gone", "gone");
    world.rot("rotten", "rotten");
    let (found, states) = world.check_told(&world.request(400));
    assert_eq!(states, [("gone".to_owned(), State::FoundAgain)]);
    assert_eq!(found.found_again, 1);
    assert_eq!(
        (world.verified("rotten"), world.verified("gone")),
        (Some(400), Some(400))
    );
}

#[test]
fn a_fast_check_reads_samples_and_proves_no_more_than_they_do() {
    let mut world = World::new();
    let long = "x".repeat(100_000);
    world.put("a", &long);
    world.scan_at(100);
    let request = Request {
        fast: true,
        ..world.request(200)
    };
    let report = world.check(&request);
    assert_eq!((report.sound, report.bytes), (1, 0));
    let content = world.catalogue.by_size(100_000).unwrap().remove(0);
    assert_eq!(content.verified_fast.unwrap().seconds, 200);
    assert_eq!(content.verified_full.unwrap().seconds, 100);
    // Between the samples: only a full check sees it.
    let mut other = long.clone().into_bytes();
    other[30_000] = b'y';
    world.rot("a", std::str::from_utf8(&other).unwrap());
    assert_eq!(world.check(&request).sound, 1);
    assert_eq!(world.check(&world.request(300)).rotten, 1);
    other[0] = b'y';
    world.rot("a", std::str::from_utf8(&other).unwrap());
    assert_eq!(world.check(&request).rotten, 1);
}

#[test]
fn a_sound_copy_hides_no_rotten_one_and_what_is_fresh_is_passed_over() {
    let mut world = World::new();
    world.put("a", "same");
    world.put("sub/b", "same");
    world.scan_at(100);
    let only_a = Request {
        root: world.root().join("a"),
        ..world.request(200)
    };
    assert_eq!(world.check(&only_a).files, 1);
    world.rot("sub/b", "s4me");
    let stale = Request {
        before: Some(Timestamp::new(150, 0)),
        ..world.request(300)
    };
    let report = world.check(&stale);
    assert_eq!((report.files, report.rotten), (1, 1));
    let unknown = Request {
        root: world.root().join("none"),
        ..world.request(300)
    };
    let none = &mut |told| panic!("{told:?}");
    let error = check(&mut world.catalogue, &unknown, &Progress::default(), none).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[test]
fn what_was_not_come_to_is_first_the_next_time() {
    let mut world = World::new();
    for at in 0..5 {
        world.put(&format!("d{at}/f"), at.to_string());
    }
    world.scan_at(100);
    let third = Request {
        root: world.root().join("d3"),
        ..world.request(50)
    };
    // Proofs of different age: d3 was seen by another look before.
    let stat = DirHandle::open_root(&third.root).unwrap().stat("f").unwrap();
    let look = Look {
        path: third.root.as_os_str().as_bytes().into(),
        looked: Timestamp::new(300, 0),
        files: vec![FileSeen {
            name: "f".into(),
            stat,
            settled: true,
            facts: Facts::Full(ObjectId::hash(HashAlgo::Sha256, b"3"), None),
        }],
        ..Look::default()
    };
    world.catalogue.record("h", &[look]).unwrap();
    let scope = Scope {
        host: "h".to_owned(),
        root: world.root().as_os_str().as_bytes().into(),
        fast: false,
        before: None,
    };
    let order = world.catalogue.due_folders(&scope).unwrap();
    assert!(order.len() == 5 && order[4].ends_with(b"/d3"), "{order:?}");
    let hasty = Request {
        time_max: Some(Duration::ZERO),
        ..world.request(400)
    };
    let report = world.check(&hasty);
    assert_eq!((report.files, report.left), (0, 5));
    let mut pages = 0;
    let mut take = |page: Vec<Due>| {
        pages += page.len();
        Ok(true)
    };
    world.catalogue.each_due(&scope, &order[0], 1, &mut take).unwrap();
    assert_eq!(pages, 1);
}

#[test]
fn what_is_proven_meanwhile_does_not_come_again() {
    let mut world = World::new();
    for at in 0..7 {
        world.put(&format!("f{at}"), at.to_string());
    }
    world.scan_at(100);
    let root: BString = world.root().as_os_str().as_bytes().into();
    let scope = Scope {
        host: "h".to_owned(),
        root: root.clone(),
        fast: false,
        before: None,
    };
    let handle = DirHandle::open_root(&world.root()).unwrap();
    let reader = world.catalogue.again().unwrap();
    let mut names = Vec::new();
    let mut prove = |page: Vec<Due>| {
        let file = |due: &Due| FileSeen {
            name: due.name.clone(),
            stat: handle.stat(due.name.as_slice()).unwrap(),
            settled: true,
            facts: Facts::Full(due.content.fullhash, None),
        };
        let look = Look {
            path: root.clone(),
            looked: Timestamp::new(200, 0),
            files: page.iter().map(file).collect(),
            ..Look::default()
        };
        world.catalogue.record("h", &[look]).unwrap();
        names.extend(page.into_iter().map(|due| due.name.to_string()));
        Ok(names.len() < 6)
    };
    reader.each_due(&scope, &root, 2, &mut prove).unwrap();
    assert_eq!(names, ["f0", "f1", "f2", "f3", "f4", "f5"]);
    // The one that was not come to is the first.
    let mut first = None;
    let mut take = |page: Vec<Due>| {
        first = first.take().or(page.into_iter().next());
        Ok(false)
    };
    reader.each_due(&scope, &root, 2, &mut take).unwrap();
    assert_eq!(first.unwrap().name, "f6");
}

#[test]
fn more_than_may_wait_is_told_in_heaps_each_in_order() {
    let mut told = Vec::new();
    let mut tell = |one| {
        told.push(one);
        Ok(())
    };
    let mut telling = Telling {
        tell: &mut tell,
        findings: Vec::new(),
        problems: Vec::new(),
        report: Report::default(),
    };
    let finding = |at: usize| Finding {
        path: format!("{at:06}").into(),
        expected: ObjectId::hash(HashAlgo::Sha256, b""),
        state: State::Vanished,
    };
    telling.add(Told::Problem(Error::Interrupted)).unwrap();
    for at in (0..HELD_MAX + 9).rev() {
        telling.add(Told::Finding(finding(at))).unwrap();
        assert!(telling.findings.len() < HELD_MAX);
    }
    telling.flush().unwrap();
    assert_eq!(
        (telling.report.vanished, telling.report.problems),
        (HELD_MAX as u64 + 9, 1)
    );
    assert_eq!(told.len(), HELD_MAX + 10);
    let heap = HELD_MAX - 1;
    assert!(matches!(told[heap], Told::Problem(_)));
    for heap in [&told[..heap], &told[heap + 1..]] {
        let path = |told: &Told| match told {
            Told::Finding(finding) => finding.path.clone(),
            Told::Problem(problem) => panic!("{problem}"),
        };
        assert!(heap.is_sorted_by_key(path));
    }
}
