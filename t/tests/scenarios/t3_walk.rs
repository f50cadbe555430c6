//! t3: ignore rules, file system borders, what cannot be read, what changes while it is read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::harness::{World, noise, set_mode, trees};

/// The files that a snapshot of `tree` holds, as paths.
fn kept(world: &World, revision: &str) -> BTreeSet<String> {
    let done = world.ghost(["ls-tree", "-r", "-z", "--name-only", revision]).ok();
    let text = String::from_utf8(done.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// The files that git would add, had `.ghostignore` been its `.gitignore`.
fn git_would_keep(world: &World, tree: &str) -> BTreeSet<String> {
    world.shell(&format!("cd {tree}; [ -d .git ] || git init -q .")).ok();
    let done = world
        .shell(&format!(
            "cd {tree}; git ls-files -z --others --exclude-per-directory=.ghostignore"
        ))
        .ok();
    fs::remove_dir_all(world.path(tree).join(".git")).unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Names that meet every sort of pattern, three folders deep.
fn forest(root: &Path) {
    let folders = [
        "",
        "a",
        "a/b",
        "a/build",
        "build",
        "build/keep",
        "src",
        "src/build",
        "x.d",
        "deep/er/est",
    ];
    let files = [
        "one.o",
        "two.c",
        "keep.o",
        "build.txt",
        "Foo",
        "foo",
        "a b",
        "trailing ",
        "#hash",
        "!bang",
        "b",
        "[x]",
        "\\back",
    ];
    for folder in folders {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for folder in folders {
        for file in files {
            // A folder may have the name already.
            let _ = fs::write(root.join(folder).join(file), file);
        }
    }
}

#[test]
fn ignore_files_mean_what_git_means() {
    need!("git");
    let patterns: [&[(&str, &str)]; 14] = [
        &[("", "*.o\n")],
        &[("", "*.o\n!keep.o\n")],
        &[("", "build/\n")],
        &[("", "/build\n"), ("a", "!build\n")],
        &[("", "build\n!build/keep\n")],
        &[("", "*\n!*/\n!*.c\n")],
        &[("", "**/b\n"), ("src", "/*.c\n")],
        &[("", "a/**\n!a/b/\n")],
        &[("", "a/**/one.o\n")],
        &[("", "[Ff]oo\n[!a-z]*\n")],
        &[("", "\\#hash\n\\!bang\n#two.c\n")],
        &[("", "trailing\\ \ntwo.c   \n")],
        &[("", "\\[x]\n\\\\back\n")],
        &[
            ("", "/*\n!/src\n/src/*\n!/src/two.c\n"),
            ("deep", "er\n"),
            ("a/b", "*\n!.ghostignore\n"),
        ],
    ];
    for (number, files) in patterns.iter().enumerate() {
        let world = World::with_repository();
        forest(&world.path("tree"));
        for (folder, text) in *files {
            world.write(Path::new("tree").join(folder).join(".ghostignore"), text);
        }
        world.ghost(["snapshot", "tree"]).ok();
        let (kept, expected) = (kept(&world, "@:"), git_would_keep(&world, "tree"));
        assert!(!expected.is_empty(), "pattern {number} keeps nothing");
        let differing: Vec<_> = kept.symmetric_difference(&expected).collect();
        assert!(differing.is_empty(), "{files:?}: ghost and git differ in {differing:?}");
    }
}

#[test]
fn excludes_caches_markers_and_sizes() {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.write(
        "tree/cache/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n# more\n",
    );
    world.write("tree/cache/cached", "x");
    world.write("tree/no cache/CACHEDIR.TAG", "no signature");
    world.write("tree/marked/.nobackup", "");
    world.write("tree/marked/inside", "x");
    world.write("patterns", "*.c\n# a comment\n\nREADME\n");
    let with = |arguments: &[&str]| {
        world.ghost([&["snapshot", "tree"], arguments].concat()).ok();
        kept(&world, "@:")
    };
    let all = with(&[]);
    assert!(all.contains("cache/cached") && all.contains("marked/inside") && all.contains("src/deep/noise"));
    let without = |arguments: &[&str]| -> Vec<String> { all.difference(&with(arguments)).cloned().collect() };
    assert_eq!(without(&["--exclude", "*.c"]), ["src/main.c"]);
    assert_eq!(without(&["--exclude", "/src/deep", "--exclude", "README"]).len(), 4);
    assert_eq!(without(&["--exclude-from", "patterns"]), ["README", "src/main.c"]);
    assert_eq!(without(&["--exclude-caches"]), ["cache/cached"]);
    assert_eq!(without(&["--exclude-if-present", ".nobackup"]), ["marked/inside"]);
    assert_eq!(without(&["--exclude-larger-than", "250k"]), ["src/deep/noise"]);
}

#[test]
fn one_file_system_stops_at_mounts() {
    need_root!();
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    fs::create_dir(world.path("tree/mounted")).unwrap();
    let script = "mount -t tmpfs none tree/mounted || exit 77
        trap 'umount tree/mounted' EXIT
        echo inside > tree/mounted/file
        ghost snapshot tree --ref crossed
        ghost snapshot tree --ref stayed --one-file-system";
    // A mount namespace of its own: nothing is left behind whatever happens.
    let done = world
        .shell(&format!("unshare -m bash -eu <<'END'\n{script}\nEND"))
        .run();
    if done.code == Some(77) || done.stderr().contains("unshare") {
        return crate::harness::skip(module_path!(), "mounts");
    }
    assert_eq!(done.code, Some(0), "{done}");
    assert!(kept(&world, "crossed:").contains("mounted/file"));
    assert!(!kept(&world, "stayed:").contains("mounted/file"));
    // The folder itself stays, so that there is something to mount on.
    world.ghost(["ls-tree", "stayed:"]).ok().says(&["mounted"]);
}

/// A world whose files belong to nobody in particular, for commands that run without root's powers.
fn owned_by_nobody() -> World {
    let world = World::new();
    if crate::harness::is_root() {
        world.shell("chown -R 65534:65534 .").ok();
    }
    world
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_kept() {
    let world = owned_by_nobody();
    trees::small(&world.path("tree"));
    world.write("tree/closed/inside", "x");
    world.write("tree/secret", "x");
    world.write("tree/bad\u{1b}[31mname", "x");
    if crate::harness::is_root() {
        world.shell("chown -R 65534:65534 .").ok();
    }
    for name in ["tree/secret", "tree/bad\u{1b}[31mname", "tree/closed"] {
        set_mode(&world.path(name), 0o000);
    }
    let run = |arguments: &[&str]| {
        let run = world.ghost(arguments);
        if crate::harness::is_root() {
            run.by_nobody()
        } else {
            run
        }
    };
    run(&["init"]).ok();
    let done = run(&["snapshot", "tree"]).code(3);
    done.says(&["closed", "secret", "ermission denied"]);
    // A name cannot speak to the terminal.
    done.hides(&["\u{1b}"]);
    run(&["cat", "@:README"]).ok().says(&["A small tree."]);
    run(&["verify", "--data"]).ok();
    let again = run(&["snapshot", "tree"]).code(3);
    again.says(&["closed", "secret"]);
    for name in ["tree/secret", "tree/bad\u{1b}[31mname"] {
        set_mode(&world.path(name), 0o600);
    }
    set_mode(&world.path("tree/closed"), 0o700);
    run(&["snapshot", "tree"]).ok();
    run(&["ls-tree", "-r", "@:"]).ok().says(&["closed/inside", "secret"]);
}

/// Runs a snapshot in which a system call on one file goes another way, as if the file had changed meanwhile.
fn disturbed(world: &World, file: &str, calls: &str, what: &str) -> crate::harness::Done {
    let script = format!(
        "strace -f -o trace -P \"$PWD/{file}\" -P {file} -e trace={calls} -e inject={calls}:{what} ghost snapshot \"$PWD/tree\""
    );
    world.shell(&script).run()
}

#[test]
fn a_file_that_vanishes_or_shrinks_or_fails_while_it_is_read() {
    need!("strace");
    let world = World::with_repository();
    if world.command("strace", ["-o", "/dev/null", "true"]).run().code != Some(0) {
        return crate::harness::skip(module_path!(), "ptrace");
    }
    trees::small(&world.path("tree"));
    world.write("tree/victim", noise(3, 4_000_000));
    let reads = "read,pread64,readv,preadv,preadv2";
    let content = noise(4, 4_000_000);
    for (what, code, words) in [
        ("error=EIO:when=1", 3, &["victim", "Input/output error"][..]),
        // It ends early once: it is read again. It always does: what came is kept, and never taken for the whole.
        ("retval=0:when=1", 0, &[]),
        ("retval=0", 3, &["victim", "ended early"]),
    ] {
        // Changed, so that it is read again.
        world.write("tree/victim", &content);
        let done = disturbed(&world, "tree/victim", reads, what);
        assert_eq!(done.code, Some(code), "{what}: {done}");
        done.says(words);
        world.ghost(["verify", "--data"]).ok();
        world.ghost(["cat", "@:README"]).ok();
        world.ghost(["snapshot", "tree"]).ok();
        assert!(world.ghost(["cat", "@:victim"]).ok().stdout == content, "{what}");
    }
}

/// What changed within the tick of a clock must not be taken for unchanged ("racy clean").
#[test]
fn a_change_that_stat_cannot_show_is_seen() {
    let world = World::with_repository();
    world.write("tree/file", "first!");
    trees::set_mtime(&world.path("tree/file"), 1_700_000_000, 0);
    world.ghost(["snapshot", "tree"]).ok();
    world.write("tree/file", "second");
    trees::set_mtime(&world.path("tree/file"), 1_700_000_000, 0);
    world.ghost(["snapshot", "tree"]).ok();
    assert_eq!(world.ghost(["cat", "@:file"]).ok().word(), "second");
}

#[test]
fn only_what_changed_is_read_again() {
    need!("strace");
    let world = World::with_repository();
    if world.command("strace", ["-o", "/dev/null", "true"]).run().code != Some(0) {
        return crate::harness::skip(module_path!(), "ptrace");
    }
    trees::small(&world.path("tree"));
    // Old enough that no clock is in doubt.
    world.shell("find tree -exec touch -d 2001-02-03 {} +").ok();
    world.ghost(["snapshot", "tree"]).ok();
    // Taken again once the ctime is older than the scan, too: the kernel's clock needs two ticks for that.
    world.shell("sleep 0.2").ok();
    world.ghost(["snapshot", "tree"]).ok();
    world.write("tree/src/main.c", "int main(void) { return 1; }\n");
    let opened = |arguments: &str| {
        world
            .shell(&format!(
                "strace -f -o trace -e trace=openat,openat2 ghost snapshot tree {arguments}"
            ))
            .ok();
        String::from_utf8(world.read("trace")).unwrap()
    };
    let trace = opened("");
    assert!(
        trace.contains("main.c") && !trace.contains("\"README\"") && !trace.contains("\"noise\""),
        "{trace}"
    );
    let trace = opened("--trust hash");
    assert!(trace.contains("README") && trace.contains("noise"), "{trace}");
}
