//! t8: every file of a repository damaged in every way; full disks; repositories that are not what they should be.
//!
//! A matrix, as in conserve's tests: action x place. Whatever the damage, no command panics; one that fails names the
//! file, and what the damage did not reach can still be read.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::harness::{Done, World, noise, oracle, trees};

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    Remove,
    Empty,
    CutHalf,
    CutLastByte,
    FlipFirst,
    FlipMiddle,
    FlipLast,
    Zero,
    Noise,
    Foreign,
}

pub const ACTIONS: [Action; 10] = [
    Action::Remove,
    Action::Empty,
    Action::CutHalf,
    Action::CutLastByte,
    Action::FlipFirst,
    Action::FlipMiddle,
    Action::FlipLast,
    Action::Zero,
    Action::Noise,
    Action::Foreign,
];

impl Action {
    /// Whether it can be done to a file without bytes.
    pub fn is_for_empty_files(self) -> bool {
        matches!(self, Self::Remove | Self::Empty)
    }

    /// Damages `path`; `foreign` is the file of the same kind in another repository.
    pub fn apply(self, path: &Path, foreign: &Path) {
        let bytes = fs::read(path).unwrap();
        let flip = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x20;
            fs::write(path, bytes).unwrap();
        };
        match self {
            Self::Remove => fs::remove_file(path).unwrap(),
            Self::Empty => fs::write(path, "").unwrap(),
            Self::CutHalf => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            Self::CutLastByte => fs::write(path, &bytes[..bytes.len() - 1]).unwrap(),
            Self::FlipFirst => flip(0),
            Self::FlipMiddle => flip(bytes.len() / 2),
            Self::FlipLast => flip(bytes.len() - 1),
            Self::Zero => fs::write(path, vec![0; bytes.len()]).unwrap(),
            Self::Noise => fs::write(path, noise(6, bytes.len())).unwrap(),
            Self::Foreign => fs::write(path, fs::read(foreign).unwrap()).unwrap(),
        }
    }
}

/// A repository with two snapshots, and the tree that they are of.
fn repository() -> World {
    let world = World::with_repository();
    trees::small(&world.path("tree"));
    world.ghost(["snapshot", "tree", "-m", "first"]).ok();
    world.write("tree/src/more", noise(4, 100_000));
    world.ghost(["snapshot", "tree", "-m", "second"]).ok();
    world.shell("cp -a .ghost whole").ok();
    world
}

/// Puts the repository back as it was.
fn heal(world: &World) {
    fs::remove_dir_all(world.path(".ghost")).unwrap();
    world.shell("cp -a whole .ghost").ok();
}

/// The files below a folder of the repository (or the one of that name), relative to the repository.
fn files_of(world: &World, part: &str) -> Vec<PathBuf> {
    let root = world.path(".ghost");
    let part = root.join(part);
    let files = if part.is_file() {
        vec![part]
    } else {
        oracle::files_below(&part)
    };
    // A lock holds nothing.
    files
        .into_iter()
        .filter(|path| !path.ends_with("lock"))
        .map(|path| path.strip_prefix(&root).unwrap().to_owned())
        .collect()
}

/// Runs every command that could meet the damage; each ends in an orderly way, and returns them.
fn run_all(world: &World, what: &str) -> Vec<Done> {
    let _ = fs::remove_dir_all(world.path("out"));
    let commands: [&[&str]; 6] = [
        &["log"],
        &["verify"],
        &["verify", "--data"],
        &["reconstruct", "@", "out"],
        &["status"],
        &["stats"],
    ];
    let mut all = Vec::new();
    for command in commands {
        let done = world.ghost(command).run();
        assert!(matches!(done.code, Some(0 | 1 | 3 | 4)), "{what}: {done}");
        if done.code != Some(0) {
            assert!(
                done.seen().contains("error: ") || done.seen().contains("damage"),
                "{what}: {done}"
            );
        }
        all.push(done);
    }
    all
}

fn foreign_files() -> World {
    let world = repository();
    world.write("tree/other", "other");
    world.ghost(["snapshot", "tree"]).ok();
    world
}

/// Index and stat cache are caches: whatever happens to them, every answer stays right.
#[test]
fn damaged_caches_change_no_answer() {
    let (world, foreign) = (repository(), foreign_files());
    for part in ["index", "cache"] {
        let files = files_of(&world, part);
        assert!(!files.is_empty(), "no file in {part}");
        let other = files_of(&foreign, part);
        for (file, action) in files.iter().flat_map(|file| ACTIONS.map(|action| (file, action))) {
            let what = format!("{action:?} {}", file.display());
            action.apply(
                &world.path(".ghost").join(file),
                &foreign.path(".ghost").join(&other[0]),
            );
            let _ = fs::remove_dir_all(world.path("out"));
            let done = world.ghost(["reconstruct", "@", "out"]).run();
            assert_eq!(done.code, Some(0), "{what}: {done}");
            oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
            world.write("tree/new", what.as_bytes());
            let done = world.ghost(["snapshot", "tree"]).run();
            assert_eq!(done.code, Some(0), "{what}: {done}");
            assert_eq!(world.ghost(["cat", "@:new"]).ok().word(), what);
            fs::remove_file(world.path("tree/new")).unwrap();
            heal(&world);
        }
    }
}

/// Damage to data is found, named with file and offset, and does not spread.
#[test]
fn damaged_data_is_found_and_named() {
    let (world, foreign) = (repository(), foreign_files());
    let other = files_of(&foreign, "data");
    for file in files_of(&world, "data") {
        for action in ACTIONS {
            let what = format!("{action:?} {}", file.display());
            let path = world.path(".ghost").join(&file);
            action.apply(&path, &foreign.path(".ghost").join(&other[0]));
            let all = run_all(&world, &what);
            let verify = &all[2];
            assert_eq!(verify.code, Some(4), "{what}: {verify}");
            if !matches!(action, Action::Remove) {
                verify.says(&[file.file_name().unwrap().to_str().unwrap(), "offset"]);
            }
            // The caches gone as well: the same.
            fs::remove_dir_all(world.path(".ghost/index")).unwrap();
            let done = world.ghost(["verify", "--data"]).run();
            assert_eq!(done.code, Some(4), "{what} without index: {done}");
            // Taking a snapshot over the damage must not make it worse: what is stored now can be read.
            world.write("tree/new", what.as_bytes());
            let done = world
                .ghost(["snapshot", "tree", "--ref", "after", "--trust", "hash"])
                .run();
            if done.code == Some(0) {
                assert_eq!(world.ghost(["cat", "after:new"]).ok().word(), what);
            }
            fs::remove_file(world.path("tree/new")).unwrap();
            heal(&world);
        }
    }
}

#[test]
fn damaged_refs_are_found_and_named() {
    let (world, foreign) = (repository(), foreign_files());
    let other = files_of(&foreign, "refs");
    for file in files_of(&world, "refs") {
        for action in ACTIONS {
            let what = format!("{action:?} {}", file.display());
            let path = world.path(".ghost").join(&file);
            let same_kind = other
                .iter()
                .find(|other| other.extension() == file.extension())
                .unwrap();
            action.apply(&path, &foreign.path(".ghost").join(same_kind));
            let all = run_all(&world, &what);
            let verify = &all[1];
            // A log that was cut within its last record ends with the one before: a torn tail, which is no damage.
            let torn = matches!(action, Action::CutLastByte | Action::CutHalf | Action::FlipLast);
            assert!(
                verify.code == Some(4) || verify.code == Some(1) || torn,
                "{what}: {verify}"
            );
            if verify.code != Some(0) && !matches!(action, Action::Remove) {
                verify.says(&["refs"]);
            }
            // Data is untouched whatever the refs say.
            heal(&world);
            world.ghost(["verify", "--data"]).ok();
        }
    }
}

#[test]
fn a_damaged_format_or_configuration_is_named() {
    let (world, foreign) = (repository(), foreign_files());
    for action in ACTIONS {
        let path = world.path(".ghost/format");
        action.apply(&path, &foreign.path(".ghost/format"));
        let all = run_all(&world, &format!("{action:?} format"));
        // Without its format a folder is no repository; with another's it is not the one its files belong to.
        assert_ne!(all[1].code, Some(0), "{action:?}: {}", all[1]);
        assert!(
            all[1].seen().contains("format") || all[1].seen().contains("repository"),
            "{}",
            all[1]
        );
        heal(&world);
    }
    for text in [
        "\0\0\0",
        "[zstd]\nlevel = 99\n",
        "zstd = 1\n",
        "[core]\nsafe = [\"*\"]\n",
    ] {
        world.write(".ghost/config", text);
        let done = world.ghost(["log"]).code(2);
        done.says(&[".ghost/config"]);
        heal(&world);
    }
}

#[test]
fn swapped_data_files_are_found() {
    let world = World::with_repository();
    // Two writers at once use a data file each.
    for number in 0..2_u64 {
        world.write(format!("tree{number}/file"), noise(number, 8_000_000));
    }
    let children: Vec<_> = ["tree0", "tree1"]
        .map(|tree| world.ghost(["snapshot", tree, "--ref", tree]).spawn())
        .into();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let files = oracle::data_files(&world.path(".ghost"));
    if files.len() < 2 {
        return;
    }
    let (one, two) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    fs::write(&files[0], two).unwrap();
    fs::write(&files[1], one).unwrap();
    let name = files[0].file_name().unwrap().to_str().unwrap();
    world.ghost(["verify", "--data"]).code(4).says(&[name]);
}

/// Every byte of a small repository, one at a time: verify finds the change, or nothing that is stored depends on it.
#[test]
fn every_byte_counts() {
    let world = World::with_repository();
    world.write("tree/text", "some text that compresses, compresses, compresses");
    world.write("tree/noise", noise(1, 700));
    world.ghost(["snapshot", "tree", "-m", "small"]).ok();
    world.shell("cp -a .ghost whole").ok();
    let log = world.ghost(["log"]).ok().out();
    let (mut told, mut harmless) = (0, 0);
    for file in ["data", "refs", "format"]
        .iter()
        .flat_map(|part| files_of(&world, part))
    {
        let path = world.path(".ghost").join(&file);
        let bytes = fs::read(&path).unwrap();
        // A step that meets every field in some run of bytes; GHOST_TEST_ALL=1 takes each byte.
        let step = if std::env::var_os("GHOST_TEST_ALL").is_some() {
            1
        } else {
            13
        };
        for at in (0..bytes.len()).step_by(step) {
            let handle = fs::OpenOptions::new().write(true).open(&path).unwrap();
            handle.write_all_at(&[bytes[at] ^ (1 << (at % 8))], at as u64).unwrap();
            let done = world.ghost(["verify", "--data"]).run();
            assert!(
                matches!(done.code, Some(0 | 1 | 4)),
                "{} byte {at}: {done}",
                file.display()
            );
            told += u64::from(done.code != Some(0));
            if done.code == Some(0) {
                harmless += 1;
                let _ = fs::remove_dir_all(world.path("out"));
                world.ghost(["reconstruct", "@", "out"]).ok();
                oracle::assert_same_listing(&world.path("tree"), &world.path("out"));
                assert_eq!(
                    world.ghost(["log"]).ok().out(),
                    log,
                    "{} byte {at} goes unseen",
                    file.display()
                );
            }
            handle.write_all_at(&[bytes[at]], at as u64).unwrap();
        }
    }
    world.ghost(["verify", "--data"]).ok();
    println!("figure: bytes of a small repository changed: {told} told, {harmless} on which nothing depends");
}

#[test]
fn a_full_disk_costs_only_the_run() {
    need_root!();
    let world = World::new();
    world.write("tree/large", noise(1, 40_000_000));
    world.write("first/file", "kept before");
    let script = "mkdir small; mount -t tmpfs -o size=16m none small || exit 77
        trap 'umount small' EXIT
        ghost init small >&2; cd small
        ghost snapshot ../first >&2
        code=0; ghost snapshot ../tree >&2 || code=$?
        echo code $code
        ghost cat @:file; echo
        ghost verify --data >&2; echo verified $?
        mount -o remount,size=200m none .
        ghost snapshot ../tree >&2; echo again $?
        ghost verify --data >&2; echo verified $?
        cd ..";
    let done = world.shell(&format!("unshare -m bash -u <<'END'\n{script}\nEND")).run();
    if done.code == Some(77) || done.stderr().contains("unshare:") {
        return crate::harness::skip(module_path!(), "mounts");
    }
    assert_eq!(
        done.out(),
        "code 1\nkept before\nverified 0\nagain 0\nverified 0\n",
        "{done}"
    );
    done.says(&["No space left", ".ghost/data"]);
}

#[test]
fn features_that_are_not_known_are_named() {
    let world = repository();
    let path = world.path(".ghost/format");
    let format = ghost_plumbing::repository::Format::decode(&path, &fs::read(&path).unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut ghost_plumbing::repository::Format)| {
        let mut format = format.clone();
        change(&mut format);
        fs::write(&path, format.encode()).unwrap();
    };
    with(&|format| format.incompatible = vec!["sealed".into()]);
    world.ghost(["log"]).code(1).says(&["sealed", "newer"]);
    with(&|format| format.read_only_compatible = vec!["parity".into()]);
    world.ghost(["log"]).ok().says(&["second"]);
    world.ghost(["snapshot", "tree"]).code(1).says(&["parity"]);
    with(&|format| format.compatible = vec!["notes".into()]);
    world.ghost(["snapshot", "tree"]).ok();
}

/// A stored name must not lead out of the folder that is filled, whoever stored it.
#[test]
fn objects_of_the_wrong_kind_are_refused() {
    let world = repository();
    let block = world
        .ghost(["hash-object", "-w", "--stdin"])
        .stdin(noise(2, 2_000))
        .ok()
        .word();
    let hex = block.split([':', '+']).nth(1).unwrap().to_owned();
    for arguments in [
        ["ls-tree", hex.as_str()],
        ["log", hex.as_str()],
        ["rev-list", hex.as_str()],
    ] {
        let done = world.ghost(arguments).run();
        assert!(matches!(done.code, Some(1 | 2 | 4)), "{done}");
    }
    let snapshot = world.ghost(["mksnapshot", &hex]).run();
    assert!(matches!(snapshot.code, Some(1 | 2 | 4)), "{snapshot}");
}
