//! t4: trees rebuilt from whatever still has their bytes: sources, the target itself, where they were, lists of orphans.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::harness::oracle::{self, assert_same_for_rsync, assert_same_listing, digest};
use crate::harness::{World, is_root, noise, trees};

/// A world with a tree `src` and a snapshot of it without a byte.
fn ghosts_of(make: impl FnOnce(&Path)) -> World {
    let world = World::with_repository();
    make(&world.path("src"));
    world.ghost(["snapshot", "--ghosts-only", "src"]).ok();
    world
}

/// All files, moved to one folder under other names.
fn scatter(world: &World, from: &str, to: &str) {
    fs::create_dir_all(world.path(to)).unwrap();
    for (number, path) in oracle::files_below(&world.path(from)).into_iter().enumerate() {
        fs::rename(path, world.path(to).join(format!("{number:x}.bin"))).unwrap();
    }
}

fn orphans(world: &World) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(world.path(".ghost/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".orphaned.txt"))
        .collect();
    found.sort_by_key(|path| path.metadata().unwrap().mtime_nsec() + path.metadata().unwrap().mtime() * 1_000_000_000);
    found
}

#[test]
fn everything_comes_back_from_where_it_was() {
    need!("rsync");
    let world = ghosts_of(|src| {
        fs::create_dir(src).unwrap();
        trees::nasty(src, is_root());
    });
    let privileged: &[&str] = if is_root() { &["--privileged"] } else { &[] };
    let done = world
        .ghost([&["reconstruct", "@", "out", "--numeric-owner"], privileged].concat())
        .ok();
    done.says(&[" 0 not located", "copied from elsewhere"]);
    assert_same_for_rsync(&world.path("src"), &world.path("out"));
    assert_same_listing(&world.path("src"), &world.path("out"));
    assert!(orphans(&world).is_empty());
}

#[test]
fn files_are_found_under_any_name() {
    need!("rsync", "sha256sum");
    let world = ghosts_of(trees::small);
    let copy = world.path("copy");
    world.shell("cp -a src copy").ok();
    scatter(&world, "src", "elsewhere");
    // Decoys of the same sizes.
    for path in oracle::files_below(&world.path("elsewhere")) {
        let bytes = fs::metadata(&path).unwrap().len() as usize;
        fs::write(path.with_extension("decoy"), noise(7, bytes)).unwrap();
    }
    let test = world
        .ghost(["reconstruct", "--test", "--source=elsewhere", "@", "out"])
        .ok();
    assert!(!world.path("out").exists());
    let done = world.ghost(["reconstruct", "--source=elsewhere", "@", "out"]).ok();
    let counts = |seen: String| {
        seen.lines()
            .find(|line| line.contains("not located"))
            .map(str::to_owned)
    };
    assert!(counts(done.seen()).is_some());
    assert_eq!(counts(test.seen()), counts(done.seen()));
    assert_same_for_rsync(&copy, &world.path("out"));
    for path in oracle::files_below(&copy) {
        let out = world.path("out").join(path.strip_prefix(&copy).unwrap());
        assert_eq!(digest(&["sha256sum"], &path), digest(&["sha256sum"], &out));
    }
    // The decoys and the sources are as they were, and nothing was added to the repository.
    world.ghost(["verify", "--data"]).ok();
}

#[test]
fn orphans_are_listed_and_completed_by_further_runs() {
    need!("rsync");
    let world = ghosts_of(|src| {
        trees::small(src);
        fs::create_dir(src.join("odd")).unwrap();
        let name = std::ffi::OsStr::from_bytes(b"tab\t\xff\nline");
        fs::write(src.join("odd").join(name), noise(3, 5000)).unwrap();
        fs::hard_link(src.join("odd").join(name), src.join("odd/second")).unwrap();
        trees::set_mtime(&src.join("odd"), 1_000_000_000, 5);
        trees::set_mtime(src, 1_000_000_001, 5);
    });
    world
        .shell("cp -a src copy; mkdir first second; mv src/odd second/; mv src first/")
        .ok();
    let done = world.ghost(["reconstruct", "@", "out"]).code(3);
    done.says(&["not located (see .ghost/runs/ghostrun.", ".orphaned.txt for details)"]);
    let lists = orphans(&world);
    assert_eq!(lists.len(), 1);
    assert_eq!(fs::metadata(&lists[0]).unwrap().mode() & 0o777, 0o600);
    fs::write(world.path("out/extra"), "mine").unwrap();
    let done = world
        .ghost(["reconstruct", "--source=first", lists[0].to_str().unwrap(), "out"])
        .code(3);
    done.says(&["2 not located"]);
    let lists = orphans(&world);
    assert_eq!(lists.len(), 2);
    let text = fs::read_to_string(&lists[1]).unwrap();
    assert!(
        text.contains("\"odd/tab\\t\\377\\nline\"") && text.contains("odd/second"),
        "{text}"
    );
    world
        .ghost(["reconstruct", "--source=second", lists[1].to_str().unwrap(), "out"])
        .ok()
        .says(&["2 files reconstructed, 0 not located"]);
    assert_eq!(fs::read(world.path("out/extra")).unwrap(), b"mine");
    fs::remove_file(world.path("out/extra")).unwrap();
    trees::set_mtime(&world.path("out"), 1_000_000_001, 5);
    assert_same_for_rsync(&world.path("copy"), &world.path("out"));
}

#[test]
fn a_list_of_orphans_that_was_changed_is_refused_by_line() {
    let world = ghosts_of(trees::small);
    fs::remove_dir_all(world.path("src")).unwrap();
    world.ghost(["reconstruct", "@", "out"]).code(3);
    let list = orphans(&world).remove(0);
    let text = fs::read_to_string(&list).unwrap();
    let with = |text: String| world.write("list", text);
    with(text.replace("\tREADME", "\t../README"));
    world.ghost(["reconstruct", "list", "out"]).code(1);
    assert!(!world.path("README").exists());
    with(text.trim_end().to_owned());
    world.ghost(["reconstruct", "list", "out"]).code(2).says(&["cut off"]);
    with(text.replace("ghost orphans 1", "ghost orphans 9"));
    world.ghost(["reconstruct", "list", "out"]).code(2).says(&["list:1"]);
    world
        .ghost(["reconstruct", "--delete", list.to_str().unwrap(), "out"])
        .code(2);
}

#[test]
fn links_lay_a_tree_out_again_without_a_copy() {
    let world = ghosts_of(trees::small);
    world
        .ghost(["reconstruct", "--symlink", "@", "links"])
        .ok()
        .says(&["linked to where they are"]);
    world
        .ghost(["reconstruct", "--symlink", "--relative", "@", "relative"])
        .ok();
    world.ghost(["reconstruct", "--hardlink", "@", "hard"]).ok();
    for path in oracle::files_below(&world.path("src")) {
        let below = path.strip_prefix(world.path("src")).unwrap();
        let bytes = fs::read(&path).unwrap();
        for folder in ["links", "relative", "hard"] {
            assert!(
                fs::read(world.path(folder).join(below)).unwrap() == bytes,
                "{folder}/{}",
                below.display()
            );
        }
        if bytes.is_empty() {
            continue;
        }
        let real = path.canonicalize().unwrap();
        assert_eq!(fs::read_link(world.path("links").join(below)).unwrap(), real);
        assert!(fs::read_link(world.path("relative").join(below)).unwrap().is_relative());
        let hard = world.path("hard").join(below).metadata().unwrap();
        assert_eq!(
            (hard.dev(), hard.ino()),
            (real.metadata().unwrap().dev(), real.metadata().unwrap().ino())
        );
    }
    // Nothing is to be done a second time.
    for (option, folder) in [("--symlink", "links"), ("--hardlink", "hard")] {
        world
            .ghost(["reconstruct", option, "@", folder])
            .ok()
            .says(&["0 files reconstructed, 0 not located"]);
    }
    world
        .ghost([
            "reconstruct",
            "--delete",
            "--symlink",
            "--source=links/src",
            "@",
            "links",
        ])
        .code(2);
}

#[test]
fn sources_that_changed_are_passed_over_and_said() {
    let world = ghosts_of(|src| {
        fs::create_dir(src).unwrap();
        for name in ["changed", "gone", "link", "pipe", "folder", "longer", "same"] {
            fs::write(src.join(name), format!("this is {name:>20}")).unwrap();
        }
    });
    world.shell("cp -a src copy").ok();
    let src = world.path("src");
    fs::write(src.join("changed"), format!("this is {:>20}", "another")).unwrap();
    fs::write(src.join("longer"), "x".repeat(100)).unwrap();
    for name in ["gone", "link", "pipe", "folder"] {
        fs::remove_file(src.join(name)).unwrap();
    }
    symlink(world.path("copy/link"), src.join("link")).unwrap();
    fs::create_dir(src.join("folder")).unwrap();
    let done = world
        .shell("mkfifo src/pipe; timeout 60 ghost reconstruct --explain @ out")
        .code(3);
    done.says(&["same: copied from $W", "6 not located"]);
    for (name, why) in [
        ("changed", "it has other content"),
        ("gone", "it is gone"),
        ("link", "a symbolic link is on its path"),
        ("pipe", "it is a pipe, not a file"),
        ("folder", "it is a directory, not a file"),
        ("longer", "it has 100 bytes"),
    ] {
        done.says(&[&format!("{name}: not located"), &format!("src/{name}: {why}")]);
        assert!(world.path("out").join(name).symlink_metadata().is_err(), "{name}");
    }
    let records = world
        .ghost(["--json", "reconstruct", "--source=copy", "--explain", "@", "out"])
        .ok()
        .json_lines();
    let changed = records.iter().find(|record| record["path"] == "changed").unwrap();
    assert_eq!((&changed["type"], &changed["from"]), (&"source".into(), &"copy".into()));
    let summary = records.last().unwrap();
    assert_eq!((&summary["files"], &summary["not_located"]), (&6.into(), &0.into()));
}

#[test]
fn a_source_that_is_written_to_meanwhile_never_gives_a_wrong_file() {
    let world = ghosts_of(|src| {
        fs::create_dir(src).unwrap();
        fs::write(src.join("big"), noise(1, 30_000_000)).unwrap();
    });
    world.shell("cp -a src copy").ok();
    // One writer changes bytes in the middle, another lets it grow, while it is read again and again.
    let script = "
        (for n in $(seq 100); do
            if [ -e stop ]; then break; fi
            printf x | dd of=src/big bs=1 seek=15000000 conv=notrunc status=none
            printf y >> src/big
            cp copy/big src/big
        done) &
        for n in 1 2 3 4; do
            rm -rf out
            ghost -q reconstruct @ out || true
            if [ -e out/big ]; then cmp out/big copy/big || echo DIFFERENT; fi
        done
        touch stop; wait";
    world.shell(script).ok().hides(&["DIFFERENT", "differ"]);
}

/// The lines of a description that tell of contents and not of places and dates.
fn contents(world: &World, folder: &str) -> Vec<String> {
    world.ghost(["scan", folder]).ok();
    let text = world.ghost(["export-desc", folder]).ok().out();
    let told = text
        .lines()
        .filter(|line| ["ghost\t", "fasthash\t"].iter().any(|word| line.starts_with(word)));
    let mut found: Vec<String> = told.map(str::to_owned).collect();
    found.sort();
    found
}

#[test]
fn what_is_rebuilt_has_the_descriptions_of_what_was() {
    for seed in 0..5u64 {
        let world = ghosts_of(|src| {
            let random = noise(seed, 4096);
            for (number, pair) in random.chunks(2).take(60).enumerate() {
                let folder = src.join(format!("{}", pair[0] % 5)).join(format!("{}", pair[1] % 3));
                fs::create_dir_all(&folder).unwrap();
                // Few lengths, so that many files have the same, and some the same content.
                let bytes = [0, 1, 5000, 20_000, 300_000][usize::from(pair[0]) % 5];
                fs::write(folder.join(format!("f{number}")), noise(u64::from(pair[1]) % 7, bytes)).unwrap();
            }
        });
        let before = contents(&world, "src");
        scatter(&world, "src", "elsewhere");
        world.ghost(["reconstruct", "--source=elsewhere", "@", "out"]).ok();
        assert_eq!(before, contents(&world, "out"), "seed {seed}");
    }
}

#[test]
fn what_is_damaged_in_the_repository_is_taken_from_a_source() {
    let world = World::with_repository();
    world.write("src/file", noise(1, 400_000));
    world.write("src/other", noise(2, 400_000));
    world.ghost(["snapshot", "src"]).ok();
    world.shell("cp -a src copy; rm -r src").ok();
    let data = oracle::data_files(&world.path(".ghost")).remove(0);
    let mut bytes = fs::read(&data).unwrap();
    bytes[150_000..150_100].fill(0x55);
    fs::write(&data, bytes).unwrap();
    world
        .ghost(["reconstruct", "@", "out"])
        .code(4)
        .says(&["1 not located"]);
    let done = world.ghost(["reconstruct", "--source=copy", "@", "out"]).ok();
    done.says(&["1 copied from elsewhere"]);
    assert_same_listing(&world.path("copy"), &world.path("out"));
}

#[test]
fn a_complete_repository_asks_no_source() {
    let world = World::with_repository();
    trees::small(&world.path("src"));
    world.ghost(["snapshot", "src"]).ok();
    let done = world.ghost(["reconstruct", "--explain", "@", "out"]).ok();
    done.says(&["README: from the repository"]).hides(&["not located"]);
    world
        .ghost(["reconstruct", "--explain", "@", "out"])
        .ok()
        .says(&["README: it was there"]);
    for wrong in [
        &["reconstruct", "--source=README", "@", "out"][..],
        &["reconstruct", "--symlink", "--hardlink", "@", "out"],
        &["reconstruct", "--relative", "@", "out"],
    ] {
        world.ghost(wrong).at("src").code(2);
    }
    for none in ["nothing", "no/such/folder", "./nothing", "path:nothing", "main~7"] {
        let shown = none.strip_prefix("path:").unwrap_or(none);
        world
            .ghost(["reconstruct", &format!("--source={none}"), "@", "made"])
            .code(1)
            .says(&[
                &format!("there is no source {shown}: expected a folder, a revision, snap:FILE or gfs:FILE"),
                "--source=/mnt/disk",
            ]);
        assert!(!world.path("made").exists());
    }
    for none in ["snap:no.gs", "gfs:no.gfs"] {
        let source = format!("--source={none}");
        world
            .ghost(["reconstruct", &source, "@", "made"])
            .code(1)
            .says(&["no."]);
    }
}

/// As README shows it of all of /usr/share, which is tried where everything is.
#[test]
fn what_a_system_holds_is_laid_out_again_by_links_alone() {
    let folder = match std::env::var_os("GHOST_TEST_ALL") {
        Some(_) => Path::new("/usr/share"),
        None => Path::new("/usr/share/dpkg"),
    };
    if !folder.is_dir() {
        return crate::harness::skip(module_path!(), "/usr/share/dpkg");
    }
    let world = World::with_repository();
    let taken = world
        .ghost(["snapshot", "--ghosts-only", folder.to_str().unwrap()])
        .ok();
    taken.says(&["of ghosts only: contents are described, not stored"]);
    let rebuilt = world.ghost(["reconstruct", "--symlink", "@", "rebuilt"]).ok();
    rebuilt.says(&["files reconstructed, 0 not located", "linked to where they are"]);
    let mut linked = 0;
    for path in oracle::files_below(folder) {
        let made = world.path("rebuilt").join(path.strip_prefix(folder).unwrap());
        let (held, found) = (fs::metadata(&path).unwrap(), fs::metadata(&made).unwrap());
        if held.len() > 0 {
            assert!(made.is_symlink(), "{}", made.display());
            assert_eq!(
                (held.dev(), held.ino()),
                (found.dev(), found.ino()),
                "{}",
                made.display()
            );
            linked += 1;
        }
    }
    assert!(linked > 0);
    let bytes = world.shell("find rebuilt -type f -size +0 | wc -l").ok();
    bytes.says(&["0"]);
}

#[test]
fn what_was_seen_rules_nothing_out_where_times_prove_nothing() {
    need!("python3");
    let world = World::with_repository();
    world.write("tree/x", "AAAA");
    world.ghost(["snapshot", "--ghosts-only", "tree"]).ok();
    fs::remove_file(world.path("tree/x")).unwrap();
    world.write("source/a", "AAAA");
    world.write("source/b", "BBBB");
    // The catalogue takes each for the other, and their times for proof of it.
    let lie = "import os, sqlite3; db = sqlite3.connect('.ghost/catalogue.db'); \
               hashes = db.execute('SELECT name, content FROM place WHERE name IN (?, ?)', (b'a', b'b')).fetchall(); \
               other = {b'a': dict(hashes)[b'b'], b'b': dict(hashes)[b'a']}; \
               stat = lambda name: os.stat(b'source/' + name); \
               [db.execute('UPDATE place SET content = ?, mtime = ?, ctime = ?, inode = ? WHERE name = ?', \
               (other[n], stat(n).st_mtime_ns, stat(n).st_ctime_ns, stat(n).st_ino, n)) for n in other]; db.commit()";
    let rebuild = |target: &str| world.ghost(["reconstruct", "--source=source", "@", target]);
    world.ghost(["scan", "source"]).ok();
    world.command("python3", ["-c", lie]).ok();
    rebuild("believed").code(3).says(&["1 not located"]);
    world.ghost(["scan", "--trust=hash", "source"]).run();
    world.command("python3", ["-c", lie]).ok();
    rebuild("read").ok().says(&["1 file reconstructed, 0 not located"]);
    assert_eq!(world.read("read/x"), b"AAAA");
}
