//! Commands together: what one prints another reads.

use bstr::ByteSlice;
use ghost_plumbing::object::tree::link_group;

use crate::output::hex;
use crate::testing::Shell;

const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const NONE: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A tree with folders, metadata and names that need quotes; the blocks are not there.
fn lines() -> String {
    [
        "040700 dir - uid=7 mtime=1.000000005\ta".to_owned(),
        format!("100644 file {ABC}+3 gid=8 xattr.user.x=%00\ta/b"),
        "120777 symlink - target=b%20c\ta/c".to_owned(),
        "040755 dir -\ta/empty".to_owned(),
        format!("100644 file {NONE}+0\ta.txt"),
        "020600 chardev - rdev=1:3\t\"tab\\there\"".to_owned(),
    ]
    .map(|line| line + "\n")
    .concat()
}

#[test]
fn mktree_and_ls_tree_are_each_others_inverse() {
    let shell = Shell::new();
    let tree = shell.line("mktree --missing", lines());
    let listed = shell.run(&format!("ls-tree -r -t {tree}"), "");
    assert_eq!(shell.line("mktree --missing", &listed), tree);
    // Any order gives the same tree, and NUL in place of newlines as well.
    let mut backwards: Vec<&[u8]> = listed.lines_with_terminator().collect();
    backwards.reverse();
    assert_eq!(shell.line("mktree --missing", backwards.concat()), tree);
    let listed = shell.run(&format!("ls-tree -z -r -t {tree}"), "");
    assert_eq!(shell.line("mktree -z --missing", &listed), tree);
    // One level is enough where folders are named by their trees.
    let listed = shell.run(&format!("ls-tree {tree}"), "");
    assert_eq!(listed.lines().count(), 3);
    assert_eq!(shell.line("mktree --missing", &listed), tree);
}

#[test]
fn ls_tree_selects() {
    let shell = Shell::new();
    let tree = shell.line("mktree --missing", lines());
    let names = |args: &str| shell.run(&format!("ls-tree --name-only {args}"), "").to_string();
    assert_eq!(names(&tree), "a\na.txt\n\"tab\\there\"\n");
    assert_eq!(names(&format!("-r {tree}")), "a/b\na/c\na.txt\n\"tab\\there\"\n");
    assert_eq!(
        names(&format!("-r -t {tree}")),
        "a\na/b\na/c\na/empty\na.txt\n\"tab\\there\"\n"
    );
    assert_eq!(names(&format!("-r -d {tree}")), "a\na/empty\n");
    assert_eq!(names(&format!("-z {tree}")), "a\0a.txt\0tab\there\0");
    assert_eq!(names(&format!("{tree} a")), "a\n");
    assert_eq!(names(&format!("{tree} a/c a.txt")), "a/c\na.txt\n");
    assert_eq!(names(&format!("-r {tree} a/")), "a/b\na/c\n");
    assert_eq!(names(&format!("{tree}:a")), "b\nc\nempty\n");
    let long = shell.run(&format!("ls-tree -l {tree}:a"), "").to_string();
    assert!(
        long.starts_with(&format!("100644 file {ABC}+3       3 gid=8 ")),
        "{long}"
    );
    assert!(long.contains("120777 symlink -       - target=b%20c\tc\n"), "{long}");
    let json = shell.run(&format!("--json ls-tree {tree}:a"), "").to_string();
    assert!(
        json.starts_with(r#"{"type":"entry","path":"b","kind":"file","mode":"100644","uid":0,"gid":8,"#),
        "{json}"
    );
}

#[test]
fn mktree_makes_folders_and_link_groups() {
    let shell = Shell::new();
    let input = format!(
        "100644 file {ABC}+3 inode=1:5\td/two\n100644 file {ABC}+3 inode=1:5\td.x\n\
         100644 file {ABC}+3 inode=1:6\tsingle\n"
    );
    let tree = shell.line("mktree --missing", input);
    let group = hex(&link_group(b"d/two"));
    let expected = format!(
        "040755 dir TREE\td\n100644 file {ABC}+3 links={group}\td/two\n\
         100644 file {ABC}+3 links={group}\td.x\n100644 file {ABC}+3\tsingle\n"
    );
    let below = shell.line(&format!("rev-parse --form ref {tree}:d"), "");
    let listed = shell.run(&format!("ls-tree -r -t {tree}"), "").to_string();
    assert_eq!(listed, expected.replace("TREE", &below));
}

#[test]
fn mktree_refuses() {
    let shell = Shell::new();
    let file = |name: &str| format!("100644 file {ABC}+3\t{name}\n");
    for (input, message) in [
        (file("a") + &file("a"), "repeats"),
        (file("a") + &file("a/b"), "repeats"),
        (file("a/../b"), "names this folder"),
        (file("/a"), "it is empty"),
        (file("a/"), "it is empty"),
        (file(".Ghost"), "reserved"),
        (
            "040755 dir - links=00000000000000000000000000000000\td\n".to_owned(),
            "hard-link group",
        ),
        ("120777 symlink - target=\tl\n".to_owned(), "link target"),
    ] {
        let (error, _) = shell.fail("mktree --missing", &input);
        assert!(error.contains(message), "{input:?}: {error}");
    }
    let (error, code) = shell.fail("mktree", &file("a"));
    assert!(error.contains("needed as block"), "{error}");
    assert_eq!(code, 4);
    let (error, code) = shell.fail("mktree", &(file("a") + "nonsense\n"));
    assert_eq!(
        (error.as_str(), code),
        ("entry 2 is malformed: expected a tab in front of the path", 1)
    );
}

#[test]
fn snapshots_are_made_named_and_listed() {
    let shell = Shell::new();
    let tree = shell.line("mktree --missing", lines());
    let first = shell.line(
        &format!("mksnapshot {tree} -m one --tag b --tag a --tag b --time @100"),
        "",
    );
    let second = shell.line(&format!("mksnapshot {tree} -p {first} --time @300"), "");
    let side = shell.line(&format!("mksnapshot {tree} -p {first} --time @200"), "");
    let merge = shell.line(&format!("mksnapshot {tree} -p {second} -p {side} --time @400"), "");
    let read = |id: &str| {
        let repository = shell.repository();
        ghost_plumbing::refs::revision::read_snapshot(&repository.store, &id.parse().unwrap()).unwrap()
    };
    let snapshot = read(&first);
    assert_eq!(
        (
            snapshot.tags.join(","),
            snapshot.message.as_str(),
            snapshot.offset_minutes
        ),
        ("a,b".into(), "one", 120)
    );
    let totals = snapshot.totals;
    assert_eq!(
        (totals.files, totals.directories, totals.others, totals.bytes),
        (2, 2, 2, 3)
    );

    let list = |args: &str| shell.run(&format!("rev-list {args}"), "").to_string();
    let joined = |ids: &[&String]| ids.iter().map(|id| format!("{id}\n")).collect::<String>();
    assert_eq!(list(&merge), joined(&[&merge, &second, &side, &first]));
    assert_eq!(
        list(&format!("--reverse {merge}")),
        joined(&[&first, &side, &second, &merge])
    );
    assert_eq!(list(&format!("-n 2 {merge}")), joined(&[&merge, &second]));
    assert_eq!(
        list(&format!("--first-parent {merge}")),
        joined(&[&merge, &second, &first])
    );
    assert_eq!(list(&format!("{merge} ^{second}")), joined(&[&merge, &side]));
    assert_eq!(
        list(&format!("--parents -n 1 {merge}")),
        format!("{merge} {second} {side}\n")
    );
    let objects = list(&format!("--objects {first}"));
    let below = shell.line(&format!("rev-parse {tree}:a"), "");
    let empty = shell.line(&format!("rev-parse {tree}:a/empty"), "");
    let expected =
        format!("{first}\n{tree} tree \n{below} tree a\n{ABC} block a/b\n{empty} tree a/empty\n{NONE} block a.txt\n");
    assert_eq!(objects, expected);
    assert_eq!(list(&format!("--objects {second} ^{first}")), format!("{second}\n"));
}

#[test]
fn refs_change_by_compare_and_swap() {
    let shell = Shell::new();
    for content in ["abc", ""] {
        shell.line("hash-object -w --stdin", content);
    }
    let tree = shell.line("mktree --missing", lines());
    let [one, two] = ["@100", "@200"].map(|time| shell.line(&format!("mksnapshot {tree} --time {time}"), ""));
    let (result, out) = shell.try_run(["show-ref"], b"");
    assert_eq!((result.unwrap().exit_code(), out.as_slice()), (1, &b""[..]));
    shell.run(&format!("update-ref refs/snapshots/main {one}"), "");
    assert_eq!(shell.line("rev-parse @", ""), one);
    assert_eq!(
        shell.line("rev-parse --symbolic-full-name @", ""),
        "refs/snapshots/main"
    );
    let zeros = "0".repeat(64);
    let (error, code) = shell.fail(&format!("update-ref refs/snapshots/main {two} {zeros}"), "");
    assert!(error.contains("refs/snapshots/main moved"), "{error}");
    assert_eq!(code, 5);
    shell.run(&format!("update-ref refs/snapshots/main {two} main"), "");
    assert_eq!(shell.line("rev-parse main@{1}", ""), one);

    let input = format!("create refs/tags/t {one}\nverify refs/snapshots/main {two}\nverify refs/none\n");
    shell.run("update-ref --stdin", &input);
    let input = format!("update refs/tags/u {one}\ncreate refs/tags/t {one}\n");
    assert_eq!(shell.fail("update-ref --stdin", &input).1, 5);
    let input = format!("start\0update refs/tags/v {one}\0abort\0start\0delete refs/tags/t {one}\0commit\0");
    shell.run("update-ref --stdin -z", &input);
    assert_eq!(shell.line("show-ref", ""), format!("{two} refs/snapshots/main"));
    for (input, message) in [
        ("commit\n", "without `start`"),
        ("start\nstart\n", "a transaction is open"),
        ("sing refs/x\n", "is not a command"),
        ("delete refs/tags/none\n", "no ref"),
    ] {
        let (error, _) = shell.fail("update-ref --stdin", input);
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(
        shell.run("--json show-ref main", "").to_string(),
        format!(
            "{{\"type\":\"ref\",\"name\":\"refs/snapshots/main\",\"id\":\"{two}\"}}\n\
             {{\"type\":\"summary\",\"command\":\"show-ref\"}}\n"
        )
    );
    assert_eq!(shell.line("show-ref -s refs/snapshots/*", ""), two);
    let expected = format!("{two} @\n{two} refs/snapshots/main\n{tree} refs/snapshots/main^{{tree}}\n");
    assert_eq!(shell.run("show-ref --head -d main", "").to_string(), expected);
    shell.run(&format!("update-ref -d refs/snapshots/main {two}"), "");
    assert_eq!(shell.try_run(["show-ref", "main"], b"").0.unwrap().exit_code(), 1);
    assert!(
        shell
            .fail(&format!("update-ref refs/snapshots/main {ABC}"), "")
            .0
            .contains("sha256:ba7816")
    );
}

#[test]
fn rev_parse_turns_forms_into_one_another() {
    let shell = Shell::new();
    let tree = shell.line("mktree --missing", lines());
    let content = shell.line(&format!("rev-parse --form ref {tree}:a/b"), "");
    assert_eq!(content, format!("{ABC}+3"));
    let hex = ABC.trim_start_matches("sha256:");
    for (form, expected) in [
        ("id", ABC.to_owned()),
        ("hex", hex.to_owned()),
        ("dotted", format!("{hex}.sha256")),
        ("ref", content.clone()),
        ("uri", format!("x-ghost:/{content}")),
        ("kind", "block".to_owned()),
    ] {
        for given in [content.clone(), format!("x-ghost:/{content}"), format!("{tree}:a/b")] {
            assert_eq!(
                shell.line(&format!("rev-parse --form {form} {given}"), ""),
                expected,
                "{given}"
            );
        }
    }
    let short = shell.line(&format!("rev-parse --short {tree}"), "");
    assert_eq!(short.len(), 7);
    assert_eq!(shell.line(&format!("rev-parse --verify {short}"), ""), tree);
    assert_eq!(shell.line(&format!("rev-parse --short=12 {tree}"), "").len(), 12);
    assert!(
        shell
            .fail(&format!("rev-parse --verify {tree}:a/b"), "")
            .0
            .contains("is not in this repository")
    );
    let (result, out) = shell.try_run(["rev-parse", "--verify", "-q", "nothing"], b"");
    assert_eq!((result.unwrap().exit_code(), out.as_slice()), (1, &b""[..]));
}

#[test]
fn diff_tree_tells_what_differs() {
    let shell = Shell::new();
    let old = shell.line("mktree --missing", lines());
    let new = lines()
        .replace("100644 file", "100755 file")
        .replace("a.txt", "b.txt")
        .replace("target=b%20c", "target=d")
        .replace("040755 dir -\ta/empty\n", "");
    let new = shell.line("mktree --missing", new);
    let diff = |args: &str| shell.run(&format!("diff-tree {args} {old} {new}"), "").to_string();
    let expected = "P\ta/b\nM\ta/c\nD\ta/empty\nD\ta.txt\nA\tb.txt\n";
    assert_eq!(diff("-r --name-status"), expected);
    assert_eq!(diff("-r --name-only"), "a/b\na/c\na/empty\na.txt\nb.txt\n");
    assert_eq!(diff("--name-status"), "M\ta\nD\ta.txt\nA\tb.txt\n");
    assert_eq!(diff("-r --name-status --no-metadata"), expected.replace("P\ta/b\n", ""));
    let raw = diff("-r");
    let first = format!(":100644 100755 {ABC}+3 {ABC}+3 P fields=mode\ta/b\n");
    assert!(raw.starts_with(&first), "{raw}");
    assert!(raw.ends_with(&format!(":000000 100755 - {NONE}+0 A\tb.txt\n")), "{raw}");
    assert!(diff("-r -z").starts_with(&first.replace(['\t', '\n'], "\0")));
    let json = shell.run(&format!("--json diff-tree -r {old} {new}"), "");
    assert!(
        json.starts_with_str(r#"{"type":"change","path":"a/b","status":"P","fields":["mode"],"old":{"path""#),
        "{json}"
    );
    assert_eq!(shell.run(&format!("diff-tree -r {old} {old}"), ""), "");
}

#[test]
fn objects_and_contents_are_printed() {
    let shell = Shell::new();
    let tree = shell.line("mktree --missing", "010644 fifo -\tp\n");
    assert_eq!(shell.run(&format!("cat-block {tree}"), "")[..2], [1, 0]);
    assert_eq!(shell.line(&format!("cat-block -t {tree}"), ""), "tree");
    assert_eq!(shell.run("cat-file inline:616263", ""), "abc");
    assert_eq!(shell.run("cat-file --range 1+1 inline:616263", ""), "b");
    assert_eq!(shell.run("cat-file --range 2 inline:616263", ""), "c");
    assert_eq!(shell.run("cat-file --range 3+9 inline:616263", ""), "");
    assert_eq!(shell.fail("cat-file --range 4 inline:616263", "").1, 2);
    assert_eq!(shell.run("cat-file run:61+5", ""), "aaaaa");
    let (error, code) = shell.fail(&format!("cat-file {ABC}+3"), "");
    assert!(error.contains("is not in this repository"), "{error}");
    assert_eq!(code, 4);
    assert_eq!(shell.fail(&format!("cat-block {ABC}"), "").1, 4);
}

#[test]
fn data_files_are_dumped_verified_and_indexed() {
    let shell = Shell::new();
    let tree = shell.line("mktree --missing", lines());
    let file = shell.repository().store.data_files().remove(0).0;
    let path = file.path.to_str().unwrap();
    let dump = shell.run(&format!("dump-data {path}"), "").to_string();
    let words: Vec<&str> = dump.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["header", "frame", "object", "object", "object", "commit"]);
    assert!(dump.contains(&format!(" tree {tree} ")), "{dump}");
    assert!(dump.contains("frame 64+"), "{dump}");
    let json = shell
        .run(&format!("--json dump-data --no-objects {path}"), "")
        .to_string();
    assert_eq!(json.lines().count(), 4);
    assert!(json.contains("{\"type\":\"frame\",\"offset_bytes\":64,"), "{json}");

    let ok = shell.line("verify-data", "");
    assert!(ok.starts_with("ok 1 3 ") && ok.ends_with(path), "{ok}");
    assert_eq!(shell.line(&format!("verify-data --quick {path}"), ""), ok);
    assert_eq!(shell.line("index-data", ""), "3");
    assert_eq!(shell.run("index-data --check", ""), "");
    assert_eq!(shell.line(&format!("cat-block -t {tree}"), ""), "tree");

    // One byte of the payload.
    let head = file.head(64).unwrap().unwrap();
    let at = head.end() - 40;
    let disk = shell.repository().disk.clone();
    let raw = disk.open(&file.path, ghost_plumbing::disk::OpenMode::Write).unwrap();
    let mut byte = [0];
    raw.read_at(&mut byte, at).unwrap();
    raw.write_all_at(&[byte[0] ^ 1], at).unwrap();
    let (result, out) = shell.try_run(["verify-data"], b"");
    assert_eq!(result.unwrap().exit_code(), 4);
    let out = out.to_string();
    assert!(out.starts_with("damage ") && out.contains(path), "{out}");
    assert!(out.lines().last().unwrap().starts_with("damaged 1 3 "), "{out}");
}

/// The digest that sha256sum prints.
fn sha256sum(path: &std::path::Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    assert!(output.status.success());
    format!("sha256:{}", output.stdout[..64].as_bstr())
}

#[test]
fn ids_are_what_sha256sum_prints() {
    let shell = Shell::new();
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::write(&small, b"hello").unwrap();
    // No two chunks alike, and long enough for many.
    let large = folder.path().join("large");
    let bytes: Vec<u8> = (0..3_000_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    std::fs::write(&large, &bytes).unwrap();
    let (small_text, large_text) = (small.to_str().unwrap(), large.to_str().unwrap());

    assert_eq!(shell.line(&format!("hash-object {small_text}"), ""), sha256sum(&small));
    assert_eq!(
        shell.line(&format!("hash-object --fullhash {large_text}"), ""),
        sha256sum(&large)
    );
    let both = shell.run(
        "hash-object --stdin-paths --fullhash",
        format!("{small_text}\n{large_text}\n"),
    );
    assert_eq!(
        both.to_string(),
        format!("{}\n{}\n", sha256sum(&small), sha256sum(&large))
    );
    assert_eq!(shell.line("hash-object --stdin", b"hello"), sha256sum(&small));
    assert_eq!(
        shell.line("hash-object --ref --stdin", b"hello"),
        format!("{}+5", sha256sum(&small))
    );

    // Nothing is stored without -w.
    let reference = shell.line(&format!("hash-object --ref {large_text}"), "");
    assert!(reference.starts_with("indirect:"), "{reference}");
    assert_eq!(shell.fail(&format!("cat-file {reference}"), "").1, 4);
    assert_eq!(shell.line(&format!("hash-object -w --ref {large_text}"), ""), reference);
    assert!(shell.run(&format!("cat-file {reference}"), "") == bytes);
    assert_eq!(
        shell.run(&format!("cat-file --range 70001+13 {reference}"), ""),
        bytes[70_001..70_014]
    );
    let json = shell.run(&format!("--json hash-object --fullhash -w {large_text}"), "");
    assert!(
        json.contains_str(format!(
            "\"fullhash\":\"{}\",\"size_bytes\":12000000}}",
            sha256sum(&large)
        )),
        "{json}"
    );
    assert_eq!(shell.line("hash-object --stdin", vec![0; 1 << 20]), "run:00+1048576");
    assert!(
        shell
            .fail("hash-object /nowhere", "")
            .0
            .contains("cannot open /nowhere")
    );

    // Where it is cut, and that the blocks are those of the content.
    let chunks = shell.run(&format!("chunk {large_text}"), "");
    let mut offset = 0;
    for line in chunks.lines() {
        let [at, length, id] = line
            .to_str()
            .unwrap()
            .split(' ')
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        assert_eq!(at, offset.to_string());
        let block = shell.run(&format!("cat-block {id}"), "");
        assert_eq!(length, block.len().to_string());
        assert!(block == bytes[offset..offset + block.len()]);
        offset += block.len();
    }
    assert_eq!(offset, bytes.len());
    let stat = shell.run(&format!("chunk --stat {large_text}"), "").to_string();
    let count = chunks.lines().count();
    assert!(
        stat.starts_with(&format!("chunks {count}\ntotal-bytes 12000000\n")),
        "{stat}"
    );
    let histogram = shell.run(&format!("chunk --histogram {large_text}"), "").to_string();
    let sum = |column| {
        histogram
            .lines()
            .map(|line| line.split(' ').nth(column).unwrap().parse::<usize>().unwrap())
            .sum()
    };
    let (chunks, total): (usize, usize) = (sum(2), sum(3));
    assert_eq!((chunks, total), (count, bytes.len()));
    assert_eq!(
        shell.fail(&format!("chunk --min 1MiB --max 64KiB {large_text}"), "").1,
        1
    );
    assert_eq!(shell.run("chunk -", vec![0; 100_000]), "0 100000 run:00\n");
}

#[test]
fn entries_are_what_is_at_the_paths() {
    let shell = Shell::new();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("f"), b"abc").unwrap();
    std::fs::hard_link(at("f"), at("g")).unwrap();
    std::os::unix::fs::symlink("to here", at("l")).unwrap();
    std::fs::create_dir(at("d")).unwrap();
    let line = |name: &str| {
        let path = at(name).to_str().unwrap().to_owned();
        let line = shell.line(&format!("hash-object --entry -w {path}"), "");
        let line = line.strip_suffix(&format!("\t{path}")).unwrap().to_owned();
        crate::entry_line::EntryLine::parse(format!("{line}\tx").as_bytes(), crate::output::Termination::Line).unwrap()
    };
    let (f, g, l, d) = (line("f"), line("g"), line("l"), line("d"));
    assert_eq!(
        (f.clone().inode.is_some(), f == g, l.inode, d.inode),
        (true, true, None, None)
    );
    assert_eq!(d.node, None);
    assert_eq!(shell.run(&format!("cat-block {ABC}"), ""), "abc");
    let stat = std::process::Command::new("stat")
        .args(["-c", "%a %u %g %U %Y"])
        .arg(at("f"))
        .output()
        .unwrap();
    let meta = f.meta;
    let found = format!(
        "{:o} {} {} {} {}\n",
        meta.mode, meta.uid, meta.gid, meta.user, meta.mtime.seconds
    );
    assert_eq!(stat.stdout.as_bstr(), found.as_str());
    assert!(shell.fail("hash-object --entry /", "").0.contains("ends with a name"));
}
