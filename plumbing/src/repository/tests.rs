use super::*;
use crate::disk::memory::MemoryDisk;
use crate::disk::real::RealDisk;
use crate::disk::{OpenMode, replace_file};
use crate::object::HashAlgo;
use crate::time::Timestamp;

fn options() -> InitOptions {
    InitOptions {
        created: Timestamp::new(1_795_251_600, 0),
        uuid: Some(*b"0123456789abcdef"),
        ..InitOptions::default()
    }
}

fn memory() -> Arc<dyn Disk> {
    let disk = MemoryDisk::default();
    disk.create_dir(Path::new("/r")).unwrap();
    Arc::new(disk)
}

fn open(disk: &Arc<dyn Disk>) -> Result<Repository> {
    Repository::open(disk.clone(), Path::new("/r/.ghost"), &OpenOptions::default())
}

#[test]
fn init_twice_is_harmless() {
    let disk = memory();
    let made = init(&disk, Path::new("/r"), &options()).unwrap();
    assert_eq!(made, Initialised::Created("/r/.ghost".into()));
    let before = open(&disk).unwrap();
    assert_eq!(before.format.uuid, *b"0123456789abcdef");
    assert_eq!(before.settings(), &Settings::default());
    assert!(
        before
            .config
            .origin("chunk.avg")
            .to_string()
            .starts_with("/r/.ghost/config:")
    );

    let other = InitOptions {
        uuid: None,
        created: Timestamp::new(0, 0),
        hash: Some(HashAlgo::Sha256),
        ..options()
    };
    let again = init(&disk, Path::new("/r"), &other).unwrap();
    assert_eq!(again, Initialised::AlreadyThere("/r/.ghost".into()));
    assert_eq!(open(&disk).unwrap().format, before.format);

    let other = InitOptions {
        hash: Some(HashAlgo::Blake3),
        ..options()
    };
    let error = init(&disk, Path::new("/r"), &other).unwrap_err().to_string();
    assert!(error.contains("was made with sha256"), "{error}");
    let unwritable = InitOptions {
        hash: Some(HashAlgo::Sha1),
        ..options()
    };
    assert!(init(&memory(), Path::new("/r"), &unwritable).is_err());
}

#[test]
fn an_interrupted_init_is_completed() {
    let disk = memory();
    init(&disk, Path::new("/r"), &options()).unwrap();
    // As if it had stopped before the last step, with the log made.
    disk.remove(Path::new("/r/.ghost/format")).unwrap();
    disk.remove(Path::new("/r/.ghost/config")).unwrap();
    assert!(matches!(
        discover(&*disk, Path::new("/r/a/b")),
        Err(Error::NoRepository { .. })
    ));
    let other = InitOptions {
        uuid: None,
        ..options()
    };
    assert!(matches!(
        init(&disk, Path::new("/r"), &other).unwrap(),
        Initialised::Created(_)
    ));
    assert_eq!(open(&disk).unwrap().format.uuid, *b"0123456789abcdef");
    assert_eq!(discover(&*disk, Path::new("/r/a/b")).unwrap(), Path::new("/r/.ghost"));
    assert_eq!(locate(&*disk, Path::new("/r/.ghost")).unwrap(), Path::new("/r/.ghost"));
    assert_eq!(locate(&*disk, Path::new("/r")).unwrap(), Path::new("/r/.ghost"));
}

#[test]
fn settings_given_at_init_are_kept_and_checked() {
    let disk = memory();
    let with = |key: &str, value: &str| InitOptions {
        settings: vec![(key.into(), value.into())],
        ..options()
    };
    assert!(init(&disk, Path::new("/r"), &with("chunk.min", "8M")).is_err());
    assert!(init(&disk, Path::new("/r"), &with("chunk.mean", "8M")).is_err());
    init(&disk, Path::new("/r"), &with("chunk.avg", "128K")).unwrap();
    assert_eq!(open(&disk).unwrap().settings().chunk_avg_bytes, 128 << 10);
}

#[test]
fn features_decide_what_may_be_done() {
    let disk = memory();
    init(&disk, Path::new("/r"), &options()).unwrap();
    let path = Path::new("/r/.ghost/format");
    let mut format = open(&disk).unwrap().format;
    format.compatible = vec!["harmless".into()];
    format.read_only_compatible = vec!["parity".into()];
    replace_file(&*disk, path, format.encode().as_bytes()).unwrap();
    let repository = open(&disk).unwrap();
    assert!(repository.check_writable().unwrap_err().to_string().contains("parity"));
    assert_eq!(repository.refs.list("").unwrap(), []);

    format.incompatible = vec!["sealed".into()];
    replace_file(&*disk, path, format.encode().as_bytes()).unwrap();
    for error in [
        open(&disk).unwrap_err(),
        init(&disk, Path::new("/r"), &options()).unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Unsupported { feature, .. } if feature == "sealed"),
            "{error}"
        );
    }
}

#[test]
fn blocks_may_be_elsewhere_where_the_format_says_so() {
    let disk = memory();
    init(&disk, Path::new("/r"), &options()).unwrap();
    let ghost_dir = Path::new("/r/.ghost");
    assert!(!open(&disk).unwrap().is_lazy());
    format::require(&*disk, ghost_dir, format::LAZY).unwrap();
    assert!(open(&disk).unwrap().is_lazy());
    format::release(&*disk, ghost_dir, format::LAZY).unwrap();
    assert!(!open(&disk).unwrap().is_lazy());
}

#[test]
fn layers_of_an_open_repository() {
    let disk = memory();
    init(&disk, Path::new("/r"), &options()).unwrap();
    let options = OpenOptions {
        user_config: Some(Layer::user(
            "/home/u/.config/ghost/config",
            "[chunk]\navg = '300K'\n[zstd]\nlevel = 9",
        )),
        overrides: vec![Layer::command_line("core.line=other")],
        ..OpenOptions::default()
    };
    let repository = Repository::open(disk.clone(), Path::new("/r/.ghost"), &options).unwrap();
    let settings = repository.settings();
    // What init wrote down holds against the user's own taste.
    assert_eq!(
        (settings.chunk_avg_bytes, settings.zstd_level),
        (Settings::default().chunk_avg_bytes, 9)
    );
    assert_eq!(settings.core_line, "other");

    replace_file(&*disk, Path::new("/r/.ghost/config"), b"[zstd]\nlevel = \xff").unwrap();
    assert!(matches!(open(&disk), Err(Error::Damaged { offset: 15, .. })));
}

#[test]
fn a_repository_of_somebody_else_is_refused_unread() {
    let disk = memory();
    init(&disk, Path::new("/r"), &options()).unwrap();
    replace_file(&*disk, Path::new("/r/.ghost/config"), b"not even TOML [").unwrap();
    let ghost_dir = Path::new("/r/.ghost");
    // The disk in memory belongs to user 0.
    let mut options = OpenOptions {
        user: 1000,
        ..OpenOptions::default()
    };
    let refused = Repository::open(disk.clone(), ghost_dir, &options).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Foreign {
                owner: 0,
                user: 1000,
                ..
            }
        ),
        "{refused}"
    );
    options.safe_folders = vec!["/r/a".into()];
    assert!(matches!(
        Repository::open(disk.clone(), ghost_dir, &options),
        Err(Error::Foreign { .. })
    ));
    options.safe_folders = vec!["/r".into()];
    assert!(matches!(
        Repository::open(disk, ghost_dir, &options),
        Err(Error::Invalid { .. })
    ));
}

#[test]
fn on_a_real_disk_nobody_else_reads_it() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let made = init(&disk, folder.path(), &InitOptions::default()).unwrap();
    let mode = |path: &Path| rustix::fs::stat(path).unwrap().st_mode & 0o7777;
    assert_eq!(mode(made.ghost_dir()), 0o700);
    for name in FOLDERS {
        assert_eq!(mode(&made.ghost_dir().join(name)), 0o700, "{name}");
    }
    for name in ["format", "config", "refs/log"] {
        assert_eq!(mode(&made.ghost_dir().join(name)), 0o600, "{name}");
    }
    let user = rustix::fs::stat(folder.path()).unwrap().st_uid;
    let options = OpenOptions {
        user,
        ..OpenOptions::default()
    };
    let below = folder.path().join("a/b");
    assert_eq!(discover(&*disk, &below).unwrap(), made.ghost_dir());
    Repository::open(disk.clone(), made.ghost_dir(), &options).unwrap();

    // A link to a repository is not followed.
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(made.ghost_dir(), elsewhere.path().join(FOLDER)).unwrap();
    assert!(matches!(
        discover(&*disk, elsewhere.path()),
        Err(Error::NoRepository { .. })
    ));
    assert!(init(&disk, elsewhere.path(), &InitOptions::default()).is_err());
    assert!(disk.open(&made.ghost_dir().join("config"), OpenMode::Read).is_ok());
}
