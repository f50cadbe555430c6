//! Ignore rules against git, and the rules that git has not.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

/// Files and, with a slash at the end, directories of each case.
#[rustfmt::skip]
const TREE: &[&[u8]] = &[
    b"a", b"b", b"ab", b"a.log", b"keep.log", b"A.LOG", b"foo", b"a b", b"trailing ", b"trailing", b"tab\t", b"#hash",
    b"!bang", b"\\back", b"a\\b", b"[x]", b"x", b"{a,b}", b"a,b", b"caf\xc3\xa9", b"caf\xe9", b"-", b"]", b"^", b"$x",
    b"new\nline", b"cr\r", b"a*b", b"**", b"a**b", b"dir/", b"dir/a", b"dir/foo", b"dir/a.log", b"dir/sub/",
    b"dir/sub/a", b"dir/sub/foo", b"dir/sub/deep/", b"dir/sub/deep/a.log", b"dir/sub/deep/b", b"foo.d/", b"foo.d/foo",
    b"foo.d/a.log", b"build/", b"build/foo", b"build/build/", b"build/build/a", b"other/", b"other/dir/",
    b"other/dir/a", b"other/dir/sub/", b"other/dir/sub/a", b"other/a.log",
];

/// Lists for the root and for `dir` of one case.
type Lists = (Vec<u8>, Vec<u8>);

const TABLE: &[(&[u8], &[u8])] = &[
    (b"*.log\n!keep.log\n", b""),
    (b"!keep.log\n*.log\n", b""),
    (b"*.log", b"!a.log"),
    (b"!a.log", b"*.log"),
    (b"dir/\n", b"!a"),
    (b"dir/*\n!dir/sub\n", b""),
    (b"dir/**\n!dir/sub/\n", b""),
    (b"/a\n", b"/a\n"),
    (b"a", b"!a"),
    (b"foo/", b"foo"),
    (b"sub/a", b"sub/a"),
    (b"/dir/sub", b""),
    (b"dir/sub/", b""),
    (b"**/a\n", b""),
    (b"**/sub/a", b""),
    (b"dir/**/a", b""),
    (b"dir/**/a.log", b""),
    (b"dir/**", b""),
    (b"**/", b""),
    (b"**", b"!**"),
    (b"*/", b""),
    (b"*", b"!foo"),
    (b"/*\n!/dir\n", b""),
    (b"/*\n!/dir/\n/dir/*\n!/dir/sub\n", b""),
    (b"a**b\n", b""),
    (b"dir**a", b""),
    (b"a\\*b", b""),
    (b"other/**/sub/a", b""),
    (b"**foo", b""),
    (b"foo**", b""),
    (b"/**/dir/a", b""),
    (b"dir//a", b""),
    (b"//a", b""),
    (b"/", b""),
    (b"!", b""),
    (b"!/", b""),
    (b"\\", b""),
    (b"a\\", b""),
    (b"\\a", b""),
    (b"\\\\back", b""),
    (b"a\\\\b", b""),
    (b"#hash", b""),
    (b"\\#hash", b""),
    (b"!bang", b""),
    (b"\\!bang", b""),
    (b"!!bang", b""),
    (b"trailing ", b""),
    (b"trailing\\ ", b""),
    (b"trailing\\  ", b""),
    (b"trailing   \n", b""),
    (b"tab\t", b""),
    (b"tab\t  ", b""),
    (b"a b", b""),
    (b" a", b""),
    (b"  \n\t\n\na\n", b""),
    (b"a\r\nb\r\n", b""),
    (b"a\rb", b""),
    (b"cr\r\n", b""),
    (b"cr\r\r\n", b""),
    (b"b\r", b""),
    (b"\xef\xbb\xbfa\n", b""),
    (b"b\n\xef\xbb\xbfa\n", b""),
    (b"[ab]", b""),
    (b"[!ab]", b""),
    (b"[^ab]", b""),
    (b"[a-b]", b""),
    (b"[b-a]", b""),
    (b"[]]", b""),
    (b"[!]]", b""),
    (b"[]-^]", b""),
    (b"[-]", b""),
    (b"[a-]", b""),
    (b"[", b""),
    (b"[a", b""),
    (b"[x]", b""),
    (b"\\[x]", b""),
    (b"[[]x]", b""),
    (b"[\\[]x]", b""),
    (b"[[:alpha:]]", b""),
    (b"[[:upper:]].*", b""),
    (b"[[:digit:]a]", b""),
    (b"[[:bogus:]]", b""),
    (b"[[:space:]]*", b""),
    (b"a[[:space:]]b", b""),
    (b"[\\]]", b""),
    (b"{a,b}", b""),
    (b"a,b", b""),
    (b"dir[/]a", b""),
    (b"dir?a", b""),
    (b"dir/?", b""),
    (b"??", b""),
    (b"caf?", b""),
    (b"caf??", b""),
    (b"caf\xe9", b""),
    (b"caf\xc3\xa9", b""),
    (b"caf[\xe8-\xea]", b""),
    (b"$x", b""),
    (b"\\$x", b""),
    (b"*.LOG", b""),
    (b"a.log/", b""),
    (b"./a", b""),
    (b"dir/../a", b""),
    (b"../a", b""),
    (b"dir/", b"*\n!.gitignore\n!.ghostignore\n"),
    (b"build\n!build/build", b""),
    (b"*\n!*/\n!*.log\n", b""),
    (b"*\\", b""),
    (b"**/**/a", b""),
    (b"dir/*/a", b""),
    (b"dir/*a", b""),
    (b"*/a", b""),
    (b"*/*/a", b""),
    (b"sub", b"!sub"),
    (b"sub", b"!/sub/"),
];

/// A folder in memory where the machine has one: thousands of empty files cost a disk more than all that is compared.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn make_tree(root: &Path, lists: &Lists) {
    std::fs::create_dir(root).unwrap();
    for path in TREE {
        match path.strip_suffix(b"/") {
            Some(path) => std::fs::create_dir(root.join(OsStr::from_bytes(path))).unwrap(),
            None => std::fs::write(root.join(OsStr::from_bytes(path)), b"").unwrap(),
        }
    }
    for name in [".gitignore", IGNORE_FILE] {
        std::fs::write(root.join(name), &lists.0).unwrap();
        std::fs::write(root.join("dir").join(name), &lists.1).unwrap();
    }
}

/// All paths that a scan leaves out, with all that is below.
fn left_out(root: &Path, rules: &Arc<Rules>) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let dir = DirHandle::open_root(root).unwrap();
    let names = dir.read_names().unwrap();
    let scope = rules.root(dir.stat_self().unwrap().dev, &dir, &names);
    let mut pending = vec![(dir, scope, Vec::new(), false)];
    while let Some((dir, scope, path, is_out)) = pending.pop() {
        for name in dir.read_names().unwrap().iter() {
            let stat = dir.stat(name).unwrap();
            let below = [&path, name].concat();
            let is_out = is_out || scope.excluded(name, stat.kind, stat.size).is_some();
            if stat.kind == Kind::Directory {
                let child = dir.open_child(name).unwrap();
                let scope = scope.enter(name, stat.dev, &child, &child.read_names().unwrap());
                pending.push((child, scope, [&below[..], b"/"].concat(), is_out));
            }
            if is_out {
                found.insert(below);
            }
        }
    }
    found
}

fn git(folder: &Path, arguments: &[&OsStr], input: &[u8]) -> Vec<Vec<u8>> {
    let mut child = Command::new("git")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    let records = output
        .stdout
        .split(|&byte| byte == 0)
        .filter(|record| !record.is_empty());
    records.map(<[u8]>::to_vec).collect()
}

/// Makes a folder for each case, and compares what git and we leave out of it.
fn compare_with_git(cases: &[Lists]) {
    let folder = scratch();
    git(folder.path(), &["init".as_ref(), "-q".as_ref()], b"");
    let mut input = Vec::new();
    for (number, lists) in cases.iter().enumerate() {
        make_tree(&folder.path().join(format!("{number:05}")), lists);
        for path in TREE {
            input.extend_from_slice(format!("{number:05}/").as_bytes());
            input.extend_from_slice(path.strip_suffix(b"/").unwrap_or(path));
            input.push(0);
        }
    }
    let arguments = ["check-ignore", "--no-index", "--stdin", "-z"].map(OsStr::new);
    let by_git: BTreeSet<Vec<u8>> = git(folder.path(), &arguments, &input).into_iter().collect();
    assert!(!by_git.is_empty(), "git must be there, and leave something out");
    let rules = Rules::new(RuleOptions::default());
    let mut differences = Vec::new();
    for (number, lists) in cases.iter().enumerate() {
        let ours = left_out(&folder.path().join(format!("{number:05}")), &rules);
        for path in TREE {
            let path = path.strip_suffix(b"/").unwrap_or(path);
            let whole = [format!("{number:05}/").as_bytes(), path].concat();
            if by_git.contains(&whole) != ours.contains(path) {
                differences.push(format!(
                    "{:?} in dir {:?}: {:?} git {} ours {}",
                    BStr::new(&lists.0),
                    BStr::new(&lists.1),
                    BStr::new(path),
                    by_git.contains(&whole),
                    ours.contains(path)
                ));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn a_table_of_patterns_is_read_as_git_reads_it() {
    let cases: Vec<Lists> = TABLE.iter().map(|(root, dir)| (root.to_vec(), dir.to_vec())).collect();
    compare_with_git(&cases);
}

#[test]
fn random_patterns_are_read_as_git_reads_them() {
    let piece = prop::sample::select(vec![
        "a", "b", "foo", "dir", "sub", "deep", ".log", "/", "/", "*", "*", "**", "**/", "/**", "?", "!", "[ab]",
        "[!a]", "\\", " ", "#", "build", "\n", "\n", "[", "]", "-", "\r", "\t",
    ]);
    let list = prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat().into_bytes());
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Lists> = (0..150)
        .map(|_| {
            (
                list.new_tree(&mut runner).unwrap().current(),
                list.new_tree(&mut runner).unwrap().current(),
            )
        })
        .collect();
    compare_with_git(&cases);
}

/// git's own order: the command line before files in folders.
#[test]
fn patterns_of_the_command_line_come_first() {
    let cases: &[(&[&str], Lists)] = &[
        (&["*.log"], (b"!keep.log".to_vec(), b"!a.log".to_vec())),
        (&["!keep.log"], (b"*.log".to_vec(), Vec::new())),
        (&["*.log", "!/other/*.log"], (Vec::new(), Vec::new())),
        (&["!/other/*.log", "*.log"], (b"b".to_vec(), b"!b".to_vec())),
        (&["/dir/sub/a", "foo"], (Vec::new(), b"!foo".to_vec())),
        (&["dir/**/deep"], (Vec::new(), Vec::new())),
    ];
    for (patterns, lists) in cases {
        let folder = scratch();
        let root = folder.path().join("root");
        make_tree(&root, lists);
        git(&root, &["init".as_ref(), "-q".as_ref()], b"");
        let mut arguments = vec!["ls-files", "-o", "-z", "--exclude-per-directory=.gitignore"];
        arguments.extend(patterns.iter().flat_map(|pattern| ["-x", pattern]));
        let arguments: Vec<&OsStr> = arguments.into_iter().map(OsStr::new).collect();
        let kept: BTreeSet<Vec<u8>> = git(&root, &arguments, b"").into_iter().collect();
        let one_by_one = RuleOptions {
            exclude: patterns.iter().map(|&pattern| pattern.into()).collect(),
            ..RuleOptions::default()
        };
        let as_file = RuleOptions {
            exclude_from: vec![patterns.join("\n").into_bytes()],
            ..RuleOptions::default()
        };
        for options in [one_by_one, as_file] {
            let ours = left_out(&root, &Rules::new(options));
            for path in TREE.iter().filter(|path| !path.ends_with(b"/")) {
                assert_eq!(
                    kept.contains(*path),
                    !ours.contains(*path),
                    "{patterns:?} {:?}",
                    BStr::new(path)
                );
            }
        }
    }
}

/// Paths that are left out of a folder with these files.
fn left_out_of(files: &[(&str, &[u8])], options: RuleOptions) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let found = left_out(folder.path(), &Rules::new(options));
    found.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
}

const SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n# by a program";

#[test]
fn repositories_are_left_out_whatever_the_rules_say() {
    let files: &[(&str, &[u8])] = &[
        (".ghost/data/1", b""),
        ("a/.GHOST/x", b""),
        ("a/.Ghost2", b""),
        ("b/.ghosT", b""),
        (IGNORE_FILE, b"!.ghost\n!/a/.GHOST\n"),
    ];
    let expected = [
        ".ghost",
        ".ghost/data",
        ".ghost/data/1",
        "a/.GHOST",
        "a/.GHOST/x",
        "b/.ghosT",
    ];
    assert_eq!(left_out_of(files, RuleOptions::default()), expected);
}

#[test]
fn tagged_caches_keep_their_tag_only() {
    let files: &[(&str, &[u8])] = &[
        ("cache/CACHEDIR.TAG", SIGNATURE),
        ("cache/x/CACHEDIR.TAG", SIGNATURE),
        ("cache/y", b""),
        ("fake/CACHEDIR.TAG", b"Signature: other"),
        ("fake/x", b""),
        ("kept/x", b""),
    ];
    let options = RuleOptions {
        exclude_caches: true,
        ..RuleOptions::default()
    };
    assert_eq!(
        left_out_of(files, options),
        ["cache/x", "cache/x/CACHEDIR.TAG", "cache/y"]
    );
    assert!(left_out_of(files, RuleOptions::default()).is_empty());
}

#[test]
fn a_tag_must_be_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("target"), SIGNATURE).unwrap();
    std::os::unix::fs::symlink("target", folder.path().join("CACHEDIR.TAG")).unwrap();
    std::fs::create_dir(folder.path().join(IGNORE_FILE)).unwrap();
    let options = RuleOptions {
        exclude_caches: true,
        ..RuleOptions::default()
    };
    assert!(left_out(folder.path(), &Rules::new(options)).is_empty());
}

#[test]
fn directories_with_a_marker_keep_it_only() {
    let files: &[(&str, &[u8])] = &[
        ("a/.nobackup", b""),
        ("a/x", b""),
        ("a/sub/y", b""),
        ("b/.git/config", b""),
        ("b/x", b""),
        ("c/x", b""),
    ];
    let options = RuleOptions {
        exclude_if_present: vec![".nobackup".into(), ".git".into()],
        ..RuleOptions::default()
    };
    assert_eq!(
        left_out_of(files, options),
        ["a/sub", "a/sub/y", "a/x", "b/.git/config", "b/x"]
    );
}

#[test]
fn large_files_are_left_out_and_nothing_else() {
    let files: &[(&str, &[u8])] = &[("four", b"1234"), ("five", b"12345"), ("dir/six", b"123456")];
    let options = RuleOptions {
        exclude_larger_than: Some(4),
        ..RuleOptions::default()
    };
    assert_eq!(left_out_of(files, options), ["dir/six", "five"]);
}

#[test]
fn a_mount_point_is_kept_empty() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x"), b"").unwrap();
    let dir = DirHandle::open_root(folder.path()).unwrap();
    let names = dir.read_names().unwrap();
    let dev = dir.stat_self().unwrap().dev;
    let options = RuleOptions {
        one_file_system: true,
        ..RuleOptions::default()
    };
    let root = Rules::new(options).root(dev, &dir, &names);
    let (same, other) = (
        root.enter(b"m", dev, &dir, &names),
        root.enter(b"m", dev + 1, &dir, &names),
    );
    assert_eq!(root.excluded(b"m", Kind::Directory, 0), None);
    assert!(same.excluded(b"x", Kind::File, 0).is_none() && !same.keeps_nothing());
    assert_eq!(other.excluded(b"x", Kind::File, 0), Some(Reason::OtherFileSystem));
    assert!(other.keeps_nothing());
    assert!(
        other.enter(b"d", dev, &dir, &names).keeps_nothing(),
        "nothing below comes back"
    );
    let all = Rules::new(RuleOptions::default()).root(dev, &dir, &names);
    assert_eq!(
        all.enter(b"m", dev + 1, &dir, &names).excluded(b"x", Kind::File, 0),
        None
    );
}

#[test]
fn ignore_files_can_be_passed_over() {
    let files: &[(&str, &[u8])] = &[("x", b""), (IGNORE_FILE, b"x")];
    assert_eq!(left_out_of(files, RuleOptions::default()), ["x"]);
    let options = RuleOptions {
        no_ignore_files: true,
        ..RuleOptions::default()
    };
    assert!(left_out_of(files, options).is_empty());
}

#[test]
fn a_list_over_the_limit_is_not_half_read() {
    let mut list = vec![b'#'; IGNORE_FILE_BYTES_MAX - 2];
    list.extend_from_slice(b"\nx");
    assert_eq!(
        left_out_of(&[("x", b""), (IGNORE_FILE, &list)], RuleOptions::default()),
        ["x"]
    );
    list.extend_from_slice(b"\n!x");
    assert!(left_out_of(&[("x", b""), (IGNORE_FILE, &list)], RuleOptions::default()).is_empty());
}

#[test]
fn lists_nest_as_deep_as_folders() {
    let mut innermost = None;
    for _ in 0..crate::limits::DIRECTORY_DEPTH_MAX * 8 {
        let patterns = Patterns::default();
        innermost = Some(Arc::new(Level {
            patterns,
            base: 0,
            above: innermost,
        }));
    }
    drop(innermost);
}
