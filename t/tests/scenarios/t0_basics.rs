//! t0: the harness itself; making and finding a repository; its configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::harness::{NOBODY, World, is_root, oracle, set_mode, trees};

#[test]
fn the_harness_sees_how_commands_end() {
    let world = World::new();
    world.shell("exit 3").code(3);
    assert_eq!(world.shell("cat; echo $HOME").stdin("fed ").ok().word(), "fed $W/home");
    let done = world.shell("echo out; echo err >&2; kill -9 $$").run();
    assert_eq!(done.signal, Some(9));
    done.says(&["out", "err"]).hides(&["other"]);
}

/// An oracle that cannot say no proves nothing.
#[test]
fn the_oracles_see_every_difference() {
    need!("rsync");
    let world = World::new();
    let (source, copy) = (world.path("source"), world.path("copy"));
    let missing = trees::nasty(&source, is_root());
    eprintln!("not made here: {missing:?}");
    world.shell("cp -a source copy").ok();
    oracle::assert_same_for_rsync(&source, &copy);
    oracle::assert_same_listing(&source, &copy);

    let before = oracle::touched(&copy);
    trees::set_mtime(&copy.join("times/2440"), 14_831_769_600, 6);
    assert!(oracle::rsync_differences("-naiHAXc", &source, &copy).contains("times/2440"));
    assert!(oracle::listing(&source) != oracle::listing(&copy));
    assert!(oracle::touched(&copy) != before);
    fs::remove_file(copy.join("links/one/file")).unwrap();
    assert!(oracle::rsync_differences("-naiHAXc", &source, &copy).contains("links/one/file"));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn init_makes_a_private_folder_and_again_is_harmless() {
    let world = World::new();
    // A generous umask must not open the repository to others.
    world.shell("umask 000; ghost init").ok().says(&[".ghost"]);
    assert_eq!(mode(&world.path(".ghost")), 0o700);
    for file in oracle::files_below(&world.path(".ghost")) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let format = world.read(".ghost/format");
    world.write("file", "content");
    world.ghost(["snapshot"]).ok();
    world.ghost(["init"]).ok();
    assert_eq!(world.read(".ghost/format"), format);
    world.ghost(["cat", "@:file"]).ok().says(&["content"]);
    for file in oracle::files_below(&world.path(".ghost")) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn init_takes_a_folder_and_a_hash() {
    let world = World::new();
    world.ghost(["init", "a/new/one", "--hash", "blake3"]).ok();
    world.write("a/new/one/file", "x");
    let done = world.ghost(["hash-object", "file"]).at("a/new/one").ok();
    assert!(done.word().starts_with("blake3:"), "{done}");
    world.ghost(["init", "other", "--hash", "md5"]).code(2);
    assert!(!world.path("other/.ghost").exists());
    // The hash of a repository is decided once.
    world
        .ghost(["init", "a/new/one", "--hash", "sha256"])
        .code(2)
        .says(&["blake3"]);
}

#[test]
fn a_repository_is_found_upwards_or_where_one_says() {
    let world = World::new();
    world.write("one/deep/file", "one");
    world.write("two/file", "two");
    for repository in ["one", "two"] {
        world
            .ghost(["-C", repository, "snapshot", "--init", "-m", repository])
            .ok();
    }
    let log_at = |folder: &str, arguments: &[&str], ghost_dir: Option<&str>| {
        let mut run = world.ghost([arguments, &["log"]].concat()).at(folder);
        if let Some(dir) = ghost_dir {
            run = run.env("GHOST_DIR", world.path(dir));
        }
        run.ok()
    };
    log_at("one/deep", &[], None).says(&["one"]).hides(&["two"]);
    log_at("one", &["-C", "../two"], None).says(&["two"]);
    log_at("one", &["--repo", "../two"], None).says(&["two"]);
    log_at("one", &["--repo", "../two/.ghost"], None).says(&["two"]);
    log_at("one", &[], Some("two/.ghost")).says(&["two"]);
    // The command line has the last word.
    log_at("one", &["--repo", "../one"], Some("two/.ghost")).says(&["one"]);
    let lost = world.ghost(["log"]).code(1);
    lost.says(&["no ghost repository", "ghost init"]);
}

#[test]
fn a_repository_can_stand_apart_from_what_it_keeps() {
    let world = World::new();
    trees::small(&world.path("home/me"));
    world.ghost(["init", "backup"]).ok();
    world.ghost(["-C", "backup", "snapshot", "../home/me"]).ok();
    world.ghost(["-C", "backup", "reconstruct", "@", "../out"]).ok();
    oracle::assert_same_listing(&world.path("home/me"), &world.path("out"));
    assert!(!world.path("home/me/.ghost").exists());
}

#[test]
fn the_repository_itself_is_never_kept() {
    let world = World::with_repository();
    world.write("file", "x");
    world.write("deep/.ghost/secret", "of another repository");
    world.ghost(["snapshot"]).ok();
    let names = world.ghost(["ls-tree", "-r", "@:"]).ok().out();
    assert!(names.contains("file"));
    assert!(!names.contains(".ghost"), "{names}");
}

#[test]
fn a_repository_of_somebody_else_is_refused() {
    need_root!();
    let world = World::with_repository();
    world.write("file", "x");
    world.write(".ghost/config", "this is not TOML: it must not be read");
    set_mode(&world.path(".ghost"), 0o777);
    set_mode(&world.path(".ghost/format"), 0o644);
    set_mode(&world.path(".ghost/config"), 0o644);
    let refused = world.ghost(["log"]).by_nobody().code(1);
    refused.says(&["belongs to", "65534"]).hides(&["TOML"]);
    std::os::unix::fs::chown(world.path(".ghost"), Some(NOBODY), None).unwrap();
    world.ghost(["snapshot"]).code(1).says(&["belongs to"]);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let world = World::with_repository();
    let path = world.path(".ghost/format");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("version 1\n", "version 7\n")).unwrap();
    world.ghost(["log"]).code(1).says(&["format", "repository format 7"]);
    world.ghost(["init"]).code(1).says(&["repository format 7"]);
}

#[test]
fn configuration_comes_in_layers_and_says_from_where() {
    let world = World::with_repository();
    let get = |arguments: &[&str]| {
        world
            .ghost([arguments, &["config", "get", "zstd.level"]].concat())
            .ok()
            .word()
    };
    let default = get(&[]);
    let user = world.root().join("home/.config/ghost/config");
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    fs::write(&user, "[zstd]\nlevel = 7\n").unwrap();
    assert_eq!(get(&[]), "7");
    world.ghost(["config", "set", "zstd.level", "9"]).ok();
    assert_eq!(get(&[]), "9");
    assert_eq!(get(&["-c", "zstd.level=11"]), "11");
    let dump = world.ghost(["config", "dump"]).ok().out();
    let line = dump.lines().find(|line| line.contains("zstd.level")).unwrap();
    assert!(line.contains('9') && line.contains(".ghost/config"), "{line}");
    world.ghost(["config", "unset", "zstd.level"]).ok();
    assert_eq!(get(&[]), "7");
    fs::remove_file(user).unwrap();
    assert_eq!(get(&[]), default);
}

#[test]
fn a_wrong_configuration_names_file_line_and_key() {
    let world = World::with_repository();
    world.write(".ghost/config", "[chunk]\n\navg = \"many\"\n");
    world.ghost(["log"]).code(2).says(&[".ghost/config:3", "chunk.avg"]);
    world.write(".ghost/config", "[chunk]\nunheard = 1\n");
    world.ghost(["log"]).code(2).says(&[".ghost/config:2", "chunk.unheard"]);
    world.write(".ghost/config", "[chunk\n");
    world.ghost(["log"]).code(2).says(&[".ghost/config"]);
    world.ghost(["config", "set", "no.such.key", "1"]).code(2);
}
