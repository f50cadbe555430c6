//! Content that the store does not have: found in the target, in source trees and at known places, or not at all.

mod assemble;
mod held;
mod many;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Mutex;

use super::*;
use crate::reconstruct::sources::{How, Known, NothingKnown, Outcome, Take, Told, Why};

/// A file of which the store has nothing.
fn ghost(name: &str, bytes: &[u8]) -> Item {
    let content = ContentRef::Block {
        id: ObjectId::hash(HashAlgo::Sha256, bytes),
        bytes: bytes.len() as u64,
    };
    item(name, 0o640, What::Content(content))
}

/// What was told of a path: the outcome, and why others were passed over.
type Line = (String, String, Vec<(PathBuf, Why)>);

#[derive(Default)]
struct Lines(Mutex<Vec<Line>>);

impl Lines {
    fn tell(&self, told: &Told<'_>) {
        let outcome = match told.outcome {
            Outcome::Taken(how, path) => format!("{how:?} {}", path.display()),
            outcome => format!("{outcome:?}"),
        };
        let passed = told.passed_over.iter().map(|over| (over.path.clone(), over.why));
        let line = (
            String::from_utf8_lossy(told.path).into_owned(),
            outcome,
            passed.collect(),
        );
        self.0.lock().unwrap().push(line);
    }

    fn of(&self, path: &str) -> Line {
        let lines = self.0.lock().unwrap();
        let mut found: Vec<_> = lines.iter().filter(|line| line.0 == path).collect();
        assert_eq!(found.len(), 1, "{path}: {lines:?}");
        found.remove(0).clone()
    }
}

struct Places(Vec<PathBuf>);

impl Known for Places {
    fn places(&self, _: &ObjectId, _: u64) -> Vec<PathBuf> {
        self.0.clone()
    }
}

/// One run, after a rehearsal that must count the same.
struct Job<'b> {
    bench: &'b Bench,
    tree: ObjectId,
    options: Options,
    trees: Vec<PathBuf>,
    known: Box<dyn Known>,
    take: Take,
}

impl<'b> Job<'b> {
    fn new(bench: &'b Bench, items: Vec<Item>) -> Self {
        Self {
            bench,
            tree: bench.tree(items),
            options: options(),
            trees: vec![bench.folder.path().join("source")],
            known: Box::new(NothingKnown),
            take: Take::Copy,
        }
    }

    fn once(&self, test: bool) -> (Report, Lines) {
        let lines = Lines::default();
        let tell = |told: &Told<'_>| lines.tell(told);
        let sources = Sources {
            trees: self.trees.clone(),
            known: &*self.known,
            take: self.take,
            chunk: crate::chunk::Params::default(),
            unstored: true,
            explain: true,
            tell: &tell,
        };
        let options = Options {
            test,
            ..self.options.clone()
        };
        let bench = self.bench;
        let progress = Progress::default();
        let report = reconstruct_from(
            &bench.store,
            self.tree,
            None,
            &bench.target(),
            &options,
            &sources,
            &progress,
        )
        .unwrap();
        for problem in &report.problems {
            eprintln!("{}: {}", problem.path.display(), problem.error);
        }
        (report, lines)
    }

    fn run(&self) -> (Report, Lines) {
        let before = listing(&self.bench.target());
        let (expected, _) = self.once(true);
        assert_eq!(before, listing(&self.bench.target()), "a rehearsal wrote something");
        let (found, lines) = self.once(false);
        assert_eq!(counts(&expected), counts(&found));
        let located = |report: &Report| [report.files, report.sourced, report.linked, report.not_located];
        assert_eq!(located(&expected), located(&found));
        (found, lines)
    }
}

fn listing(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        found.push(format!(
            "{} {} {} {}",
            path.display(),
            meta.ino(),
            meta.mtime_nsec(),
            meta.ctime_nsec()
        ));
        if meta.is_dir() {
            found.extend(listing(&path));
        }
    }
    found.sort();
    found
}

fn write(path: PathBuf, bytes: &[u8]) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

impl Bench {
    fn source(&self, path: &str, bytes: &[u8]) -> PathBuf {
        write(
            self.folder.path().canonicalize().unwrap().join("source").join(path),
            bytes,
        )
    }
}

#[test]
fn content_is_found_by_size_and_hash_wherever_it_lies() {
    let bench = Bench::new();
    let big = bytes(1, 3_000_000);
    bench.source("other/name", &big);
    bench.source("deep/down/b", b"beta");
    bench.source("deep/a", b"ALPHA");
    let alpha = bench.source("x", b"alpha");
    let tree = vec![
        ghost("a", b"alpha"),
        dir(
            "d",
            vec![
                ghost("b", b"beta"),
                ghost("big", &big),
                ghost("again", b"beta"),
                file("stored", b"here"),
            ],
        ),
        ghost("gone", b"nowhere"),
        file("empty", b""),
    ];
    let (report, lines) = Job::new(&bench, tree).run();
    assert_eq!((report.files, report.sourced, report.not_located), (6, 4, 1));
    assert!(!report.is_complete() && report.problem_count() == 0);
    let target = bench.target();
    assert_eq!(fs::read(target.join("a")).unwrap(), b"alpha");
    assert!(fs::read(target.join("d/big")).unwrap() == big);
    assert_eq!(fs::read(target.join("d/again")).unwrap(), b"beta");
    assert!(!target.join("gone").exists());
    let found = target.join("a").metadata().unwrap();
    assert_eq!(
        (found.mode() & 0o7777, found.mtime(), found.mtime_nsec()),
        (0o640, 1_000_000_000, 123_456_789)
    );
    // The namesake was tried first and found to be another.
    let (_, how, passed) = lines.of("a");
    assert_eq!(how, format!("Copied {}", alpha.display()));
    assert_eq!(passed[0].1, Why::OtherContent);
    assert_eq!(lines.of("gone").1, "NotLocated");
    assert_eq!(lines.of("d/stored").1, "Store");
    // A second time there is nothing to do.
    let (again, _) = Job::new(&bench, vec![ghost("a", b"alpha")]).run();
    assert_eq!((again.unchanged, again.files), (1, 0));
}

#[test]
fn files_of_sizes_that_are_not_wanted_are_not_opened() {
    let bench = Bench::new();
    bench.source("a", b"alpha");
    let old = std::time::SystemTime::UNIX_EPOCH;
    // Whoever opens this one leaves a trace in its access time, if it is mounted so.
    let other = bench.source("other", b"not of that size");
    fs::File::open(&other)
        .unwrap()
        .set_times(fs::FileTimes::new().set_accessed(old))
        .unwrap();
    Job::new(&bench, vec![ghost("a", b"alpha")]).run();
    assert_eq!(other.metadata().unwrap().atime(), 0);
}

#[test]
fn a_source_that_is_not_what_it_was_is_passed_over() {
    let bench = Bench::new();
    let outside = write(bench.folder.path().join("outside"), b"alpha");
    let root = bench.folder.path().canonicalize().unwrap();
    let place = |name: &str| root.join("known").join(name);
    write(place("changed"), b"ALPHA");
    write(place("longer"), b"alpha!");
    fs::create_dir(place("folder")).unwrap();
    symlink(&outside, place("link")).unwrap();
    symlink(&root, place("way")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    write(place(".ghost/inside"), b"alpha");
    let right = write(place("right"), b"alpha");
    let names = [
        "gone",
        "changed",
        "longer",
        "folder",
        "link",
        "way/outside",
        "pipe",
        ".ghost/inside",
        "right",
    ];
    let mut job = Job::new(&bench, vec![ghost("a", b"alpha")]);
    job.trees.clear();
    job.known = Box::new(Places(names.map(place).to_vec()));
    let (report, lines) = job.run();
    assert_eq!((report.sourced, report.not_located), (1, 0));
    let (_, how, passed) = lines.of("a");
    assert_eq!(how, format!("Copied {}", right.display()));
    let why: Vec<Why> = passed.iter().map(|(_, why)| *why).collect();
    let expected = [
        Why::Vanished,
        Why::OtherContent,
        Why::OtherSize(6),
        Why::NotAFile("directory"),
        Why::Link,
        Why::Link,
        Why::NotAFile("pipe"),
        Why::Repository,
    ];
    assert_eq!(why, expected);
}

#[test]
fn symbolic_links_lead_to_the_source() {
    let bench = Bench::new();
    let source = bench.source("d/a", b"alpha");
    let tree = || {
        vec![
            dir("d", vec![ghost("a", b"alpha"), file("stored", b"here")]),
            ghost("gone", b"nowhere"),
        ]
    };
    for (relative, expected) in [(false, source.clone()), (true, PathBuf::from("../../source/d/a"))] {
        let mut job = Job::new(&bench, tree());
        job.take = Take::Symlink { relative };
        let (report, lines) = job.run();
        assert_eq!((report.linked, report.not_located), (1, 1));
        assert_eq!(fs::read_link(bench.target().join("d/a")).unwrap(), expected);
        assert_eq!(fs::read(bench.target().join("d/a")).unwrap(), b"alpha");
        assert_eq!(fs::read(bench.target().join("d/stored")).unwrap(), b"here");
        assert_eq!(lines.of("d/a").1, format!("Symlinked {}", source.display()));
        let (again, _) = job.run();
        assert_eq!((again.linked, again.updated, again.not_located), (0, 0, 1));
    }
    // What was a link becomes a file where no links are asked for.
    let (report, _) = Job::new(&bench, tree()).run();
    assert_eq!((report.updated, report.sourced), (1, 1));
    assert!(bench.target().join("d/a").symlink_metadata().unwrap().is_file());
}

#[test]
fn hard_links_share_the_inode_and_leave_its_metadata() {
    let bench = Bench::new();
    let source = bench.source("a", b"alpha");
    let before = source.metadata().unwrap();
    let mut job = Job::new(
        &bench,
        vec![
            ghost("a", b"alpha"),
            ghost("b", b"alpha").linked(1),
            ghost("c", b"alpha").linked(1),
        ],
    );
    job.take = Take::Hardlink;
    let (report, _) = job.run();
    assert_eq!((report.linked, report.files, report.not_located), (2, 3, 0));
    let after = source.metadata().unwrap();
    assert_eq!(
        (after.nlink(), after.mode(), after.mtime()),
        (4, before.mode(), before.mtime())
    );
    for name in ["a", "b", "c"] {
        assert_eq!(bench.target().join(name).metadata().unwrap().ino(), after.ino());
    }
    let (again, _) = job.run();
    assert_eq!((again.created, again.updated, again.linked), (0, 0, 0));
}

#[test]
fn hard_links_in_the_tree_are_kept_or_told_of_together() {
    let bench = Bench::new();
    bench.source("x", b"alpha");
    let tree = vec![
        ghost("a", b"alpha").linked(1),
        ghost("b", b"nowhere").linked(2),
        dir(
            "d",
            vec![ghost("a", b"alpha").linked(1), ghost("b", b"nowhere").linked(2)],
        ),
    ];
    let (report, lines) = Job::new(&bench, tree).run();
    assert_eq!((report.files, report.not_located), (2, 2));
    let inode = |path: &str| bench.target().join(path).metadata().unwrap().ino();
    assert_eq!(inode("a"), inode("d/a"));
    assert_eq!(lines.of("d/b").1, "NotLocated");
}

#[test]
fn what_the_target_has_elsewhere_is_used_before_it_is_removed() {
    let bench = Bench::new();
    let target = bench.target();
    write(target.join("a/old"), b"moved away");
    write(target.join("z/extra"), b"not in the tree");
    fs::create_dir_all(target.join(".ghost")).unwrap();
    let mut job = Job::new(&bench, vec![dir("b", vec![ghost("new", b"moved away")])]);
    job.trees.clear();
    job.options.delete = true;
    let (report, lines) = job.run();
    assert_eq!((report.sourced, report.not_located, report.deleted), (1, 0, 4));
    assert_eq!(fs::read(target.join("b/new")).unwrap(), b"moved away");
    assert!(!target.join("a").exists() && !target.join("z").exists());
    assert!(lines.of("b/new").1.ends_with("/a/old"));
}

#[test]
fn a_rotation_within_the_target_loses_nothing() {
    let bench = Bench::new();
    let target = bench.target();
    write(target.join("log"), b"one");
    write(target.join("log.1"), b"two");
    write(target.join("log.2"), b"san");
    let tree = vec![ghost("log", b"new"), ghost("log.1", b"one"), ghost("log.2", b"two")];
    bench.source("fresh", b"new");
    let (report, _) = Job::new(&bench, tree).run();
    assert_eq!((report.sourced, report.not_located), (3, 0));
    for (name, bytes) in [("log", b"new"), ("log.1", b"one"), ("log.2", b"two")] {
        assert_eq!(fs::read(target.join(name)).unwrap(), bytes, "{name}");
    }
    assert_eq!(listing(&target).len(), 3);
}

#[test]
fn damage_in_the_store_is_mended_from_a_source() {
    let bench = Bench::new();
    bench.source("x", b"alpha");
    let mut job = Job::new(&bench, vec![ghost("a", b"alpha"), ghost("gone", b"nowhere")]);
    job.trees.clear();
    job.known = Box::new(Places(vec![bench.source("x", b"alpha")]));
    let lines = Lines::default();
    let tell = |told: &Told<'_>| lines.tell(told);
    let sources = Sources {
        trees: Vec::new(),
        known: &*job.known,
        take: Take::Copy,
        chunk: crate::chunk::Params::default(),
        unstored: false,
        explain: false,
        tell: &tell,
    };
    let progress = Progress::default();
    let report = reconstruct_from(
        &bench.store,
        job.tree,
        None,
        &bench.target(),
        &job.options,
        &sources,
        &progress,
    )
    .unwrap();
    assert_eq!((report.sourced, report.not_located), (1, 1));
    // What is not found stays damage.
    assert!(matches!(report.problems[0].error, Error::Missing { .. }));
}

#[test]
fn sources_and_target_may_lie_in_each_other() {
    let bench = Bench::new();
    let root = bench.folder.path().canonicalize().unwrap();
    let inner = write(root.join("target/in/x"), b"alpha");
    write(root.join("outer"), b"beta");
    let mut job = Job::new(&bench, vec![ghost("a", b"alpha"), ghost("b", b"beta")]);
    job.trees = vec![root.join("target/in"), root.clone()];
    job.take = Take::Symlink { relative: false };
    let (report, _) = job.run();
    assert_eq!((report.files, report.not_located), (2, 0));
    assert_eq!(fs::read(root.join("target/a")).unwrap(), b"alpha");
    assert_eq!(fs::read_link(root.join("target/b")).unwrap(), root.join("outer"));
    assert!(inner.exists());
}

#[test]
fn shared_blocks_are_asked_for_and_holes_stay() {
    let bench = Bench::new();
    let path = bench.source("sparse", b"");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(10 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", (10 << 20) - 3).unwrap();
    let all = fs::read(&path).unwrap();
    let (report, lines) = Job::new(&bench, vec![ghost("sparse", &all)]).run();
    assert_eq!(report.sourced, 1);
    let how = lines.of("sparse").1;
    assert!(
        [How::Copied, How::Cloned]
            .iter()
            .any(|known| how.starts_with(&format!("{known:?}"))),
        "{how}"
    );
    let found = bench.target().join("sparse");
    assert!(fs::read(&found).unwrap() == all);
    assert!(found.metadata().unwrap().blocks() < 1000);
}
