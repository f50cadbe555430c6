//! Files of the target that are replaced while the tree wants their content elsewhere.

use super::*;
use crate::reconstruct::sources::Elsewhere;

/// A name as long as a file system takes it.
fn longest(byte: u8) -> String {
    char::from(byte).to_string().repeat(255)
}

/// A job over what the target has, and nothing else.
fn within<'b>(bench: &'b Bench, take: Take, items: Vec<Item>) -> Job<'b> {
    let mut job = Job::new(bench, items);
    job.trees.clear();
    job.take = take;
    job
}

#[test]
fn files_change_places_whatever_they_are_called() {
    for take in [Take::Copy, Take::Symlink { relative: false }, Take::Hardlink] {
        let bench = Bench::new();
        let folder = bench.target().join("d");
        let (x, y) = (longest(b'x'), longest(b'y'));
        write(folder.join(&x), b"one");
        write(folder.join(&y), b"two");
        // Of one inode both names are replaced.
        fs::hard_link(folder.join(&x), folder.join("\n")).unwrap();
        write(bench.target().join("e").join(&x), b"san");
        let wanted: [(&str, &[u8]); 3] = [(&x, b"two"), (&y, b"san"), ("\n", b"two")];
        let mut items = wanted.map(|(name, bytes)| ghost(name, bytes)).into();
        items = vec![dir("d", items), dir("e", vec![ghost(&x, b"one")])];
        let (report, lines) = within(&bench, take, items).run();
        assert_eq!((report.files, report.not_located, report.problem_count()), (4, 0, 0));
        for (name, bytes) in wanted {
            assert_eq!(fs::read(folder.join(name)).unwrap(), bytes, "{name}");
        }
        assert_eq!(fs::read(bench.target().join("e").join(&x)).unwrap(), b"one");
        // No second name is left, and none is told.
        assert_eq!(listing(&bench.target()).len(), 6);
        assert!(lines.of(&format!("d/{x}")).1.ends_with(&format!("/d/{y}")));
        // What is removed last does not change the time of the directory.
        assert_eq!(folder.metadata().unwrap().mtime(), 1_000_000_000);
    }
}

#[test]
fn a_file_that_gives_way_to_a_directory_is_held() {
    let bench = Bench::new();
    write(bench.target().join("a"), b"alpha");
    let (report, lines) = within(&bench, Take::Copy, vec![dir("a", vec![ghost("a", b"alpha")])]).run();
    assert_eq!((report.sourced, report.not_located), (1, 0));
    assert_eq!(fs::read(bench.target().join("a/a")).unwrap(), b"alpha");
    assert!(lines.of("a/a").1.ends_with("/target/a"));
    assert_eq!(listing(&bench.target()).len(), 2);
}

#[test]
fn what_a_killed_job_left_under_a_second_name_is_a_file_like_any_other() {
    for delete in [false, true] {
        let bench = Bench::new();
        let left = write(bench.target().join(".~ghost-0123456789abcdef01234567"), b"alpha");
        write(bench.target().join("b"), b"beta!");
        let mut job = within(&bench, Take::Copy, vec![ghost("a", b"beta!"), ghost("b", b"alpha")]);
        job.options.delete = delete;
        let (report, lines) = job.run();
        assert_eq!((report.sourced, report.not_located), (2, 0));
        assert_eq!(report.deleted, u64::from(delete));
        assert_eq!(fs::read(bench.target().join("b")).unwrap(), b"alpha");
        assert_eq!(lines.of("b").1, format!("Copied {}", left.display()));
        assert_eq!(left.exists(), !delete);
    }
}

#[test]
fn a_file_whose_second_name_is_taken_is_not_replaced() {
    let bench = Bench::new();
    let file = write(bench.target().join("a"), b"alpha");
    let tree = bench.tree(vec![ghost("a", b"other"), ghost("b", b"alpha")]);
    let (options, progress) = (options(), Progress::default());
    let sources = Sources {
        trees: Vec::new(),
        known: &NothingKnown,
        take: Take::Copy,
        chunk: crate::chunk::Params::default(),
        unstored: true,
        explain: false,
        tell: &|_| {},
    };
    let mut context = Context::new(&bench.store, &bench.target(), &options, &progress).unwrap();
    context.elsewhere = Some(Elsewhere::new(&sources, tree));
    crate::reconstruct::sources::prepare(&context);
    let queue = crate::reconstruct::sources::Queue::default();
    let top = Arc::new(target::open_target(&context, &bench.target()).unwrap());
    queue.hold(&top, &"a".into()).unwrap();
    let second = listing(&bench.target()).remove(0);
    let second = PathBuf::from(second.split(' ').next().unwrap());
    assert_eq!(second.metadata().unwrap().ino(), file.metadata().unwrap().ino());
    // Now it is there: as if somebody else had made it.
    let error = queue.hold(&top, &"a".into()).unwrap_err();
    assert!(error.to_string().contains("give a second name to"), "{error}");
    queue.remove_all(&context);
    assert_eq!(fs::read(file).unwrap(), b"alpha");
    assert!(!second.exists());
}

#[test]
fn a_directory_that_gives_way_to_a_file_is_removed_last() {
    for take in [Take::Copy, Take::Symlink { relative: false }] {
        let bench = Bench::new();
        write(bench.target().join("a/deep/x"), b"alpha");
        write(bench.target().join("a/y"), b"not wanted");
        let items = vec![ghost("a", b"alpha"), dir("z", vec![ghost("again", b"alpha")])];
        let mut job = within(&bench, take, items);
        job.options.delete = true;
        let (report, lines) = job.run();
        assert_eq!((report.sourced, report.not_located, report.deleted), (2, 0, 4));
        assert_eq!(fs::read(bench.target().join("a")).unwrap(), b"alpha");
        assert_eq!(fs::read(bench.target().join("z/again")).unwrap(), b"alpha");
        assert!(lines.of("a").1.ends_with("/target/a/deep/x"));
        assert_eq!(listing(&bench.target()).len(), 3);
    }
}

#[test]
fn a_directory_with_a_repository_stays_with_all_that_is_in_it() {
    let bench = Bench::new();
    let other = write(bench.target().join("a/x"), b"alpha");
    write(bench.target().join("a/deep/.ghost/inside"), b"theirs");
    let mut job = within(&bench, Take::Copy, vec![ghost("a", b"alpha"), ghost("b", b"alpha")]);
    job.options.delete = true;
    let (report, _) = job.once(false);
    assert_eq!((report.sourced, report.problem_count(), report.deleted), (1, 1, 0));
    assert_eq!(fs::read(bench.target().join("b")).unwrap(), b"alpha");
    assert!(other.exists() && bench.target().join("a/deep/.ghost/inside").exists());
}
