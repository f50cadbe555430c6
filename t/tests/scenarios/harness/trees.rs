//! Trees to snapshot: small ordinary ones, and one that holds everything that a file system can.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, Dev, FileType, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::{has, noise, set_mode};

/// A few ordinary files: text, a larger one that does not compress, an empty one, a folder in a folder.
pub fn small(root: &Path) {
    fs::create_dir_all(root.join("src/deep/er")).unwrap();
    fs::write(root.join("README"), "A small tree.\n").unwrap();
    fs::write(root.join("src/main.c"), "int main(void) { return 0; }\n").unwrap();
    fs::write(root.join("src/deep/er/empty"), "").unwrap();
    fs::write(root.join("src/deep/noise"), noise(1, 300_000)).unwrap();
    fs::write(root.join("src/deep/zeros"), vec![0; 200_000]).unwrap();
}

/// Sets the modification time, of the link itself where `path` is a link.
pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Makes a file of this apparent size with a few written bytes and holes between.
pub fn sparse(path: &Path, bytes: u64) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::File::create(path).unwrap();
    file.set_len(bytes).unwrap();
    for at in [0, bytes / 3, bytes / 2 + 12_345, bytes - 70_000] {
        file.write_all_at(&noise(at, 50_000), at).unwrap();
    }
}

/// What `nasty` could not make here, by name.
pub type Missing = Vec<&'static str>;

/// Makes everything that a file system can hold, in `root`: names in every byte, links of all sorts, holes, odd times,
/// extended attributes, and as root owners, devices and capabilities. Returns what the machine could not do.
pub fn nasty(root: &Path, as_root: bool) -> Missing {
    let mut missing = Vec::new();
    fs::create_dir_all(root).unwrap();
    names(&root.join("names"));
    contents(&root.join("contents"));
    links(&root.join("links"), as_root);
    special(&root.join("special"), as_root, &mut missing);
    modes(&root.join("modes"), as_root);
    attributes(&root.join("attributes"), as_root, &mut missing);
    if as_root {
        owners(&root.join("owners"));
    }
    // Last, and deepest first: making entries sets the times of folders.
    times(&root.join("times"));
    settle(root);
    missing
}

/// Gives every folder a time of its own, deepest first.
fn settle(root: &Path) {
    let mut folders = Vec::new();
    let mut queue = vec![root.to_owned()];
    while let Some(folder) = queue.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                queue.push(entry.path());
            }
        }
        folders.push(folder);
    }
    for (number, folder) in (0_i64..).zip(folders.iter().rev()) {
        set_mtime(folder, 1_000_000_000 + number * 86_400, 123_456_789 + number);
    }
}

fn names(root: &Path) {
    fs::create_dir(root).unwrap();
    let every_byte: Vec<u8> = (1..=255_u8).filter(|byte| *byte != b'/').collect();
    for byte in &every_byte {
        // `.` alone is no name.
        fs::write(root.join(OsStr::from_bytes(&[*byte, b'x'])), [*byte]).unwrap();
    }
    fs::write(root.join(OsStr::from_bytes(&every_byte)), "all of them").unwrap();
    for letter in ["a", "\u{e4}", "\u{1f47b}"] {
        let name: String = letter.repeat(255 / letter.len());
        fs::write(root.join(&name), letter).unwrap();
    }
    for name in [
        "...", "..a", "-rf", " ", "a\nb", "a\tb", "\\", "con.", "*", "~", "#x#", ".git", ".hidden",
    ] {
        fs::create_dir(root.join(name)).unwrap();
    }
    fs::create_dir(root.join("d".repeat(255))).unwrap();
    fs::write(root.join("d".repeat(255)).join("f".repeat(255)), "").unwrap();
}

fn contents(root: &Path) {
    fs::create_dir(root).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("byte"), "x").unwrap();
    fs::write(root.join("zeros"), vec![0; 3_000_000]).unwrap();
    fs::write(root.join("ones"), vec![1; 3_000_000]).unwrap();
    let noisy = noise(7, 6_000_000);
    fs::write(root.join("noise"), &noisy).unwrap();
    fs::write(root.join("noise again"), &noisy).unwrap();
    let shifted = [b"inserted", &noisy[..3_000_000], b"here", &noisy[3_000_000..]].concat();
    fs::write(root.join("noise shifted"), shifted).unwrap();
    for bytes in [4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 1_048_575, 1_048_577] {
        fs::write(root.join(format!("{bytes} bytes")), noise(bytes, bytes as usize)).unwrap();
    }
    sparse(&root.join("sparse"), 50_000_000);
    fs::File::create(root.join("only a hole"))
        .unwrap()
        .set_len(10_000_000)
        .unwrap();
    fs::create_dir(root.join("empty folder")).unwrap();
}

fn links(root: &Path, as_root: bool) {
    fs::create_dir_all(root.join("one/two")).unwrap();
    fs::write(root.join("file"), "linked three times").unwrap();
    fs::hard_link(root.join("file"), root.join("one/file")).unwrap();
    fs::hard_link(root.join("file"), root.join("one/two/before everything")).unwrap();
    fs::write(root.join("one/pair"), "linked twice").unwrap();
    fs::hard_link(root.join("one/pair"), root.join("a pair")).unwrap();
    let targets: [&[u8]; 7] = [
        b"file",
        b"nowhere",
        b"/",
        b"../..",
        b".",
        b"\xff\xfe\n\t'\"",
        &[b'l'; 4_000],
    ];
    for (number, target) in targets.into_iter().enumerate() {
        let path = root.join(format!("symlink {number}"));
        std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).unwrap();
        set_mtime(&path, 1_234_567_890 + number as i64, 987_654_321);
    }
    fs::hard_link(root.join("symlink 1"), root.join("one/symlink linked")).unwrap();
    if as_root {
        // Links need no longer belong to whom their target belongs.
        rustix::fs::chownat(
            CWD,
            root.join("symlink 0"),
            Some(Uid::from_raw(1234)),
            None,
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }
}

fn special(root: &Path, as_root: bool, missing: &mut Missing) {
    fs::create_dir(root).unwrap();
    let node = |name: &str, kind, device: Dev| {
        rustix::fs::mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o640), device)
    };
    node("fifo", FileType::Fifo, 0).unwrap();
    fs::hard_link(root.join("fifo"), root.join("fifo linked")).unwrap();
    node("socket", FileType::Socket, 0).unwrap();
    if as_root {
        let made = node("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3))
            .and_then(|()| node("big minor", FileType::CharacterDevice, rustix::fs::makedev(240, 70_000)))
            .and_then(|()| node("loop7", FileType::BlockDevice, rustix::fs::makedev(7, 7)));
        if made.is_err() {
            missing.push("device nodes");
        }
    }
}

fn modes(root: &Path, as_root: bool) {
    fs::create_dir(root).unwrap();
    for mode in [0o000, 0o400, 0o200, 0o100, 0o777, 0o644, 0o1644] {
        let path = root.join(format!("file {mode:o}"));
        fs::write(&path, format!("{mode:o}")).unwrap();
        // Somebody who is not root must be able to read what is kept.
        set_mode(&path, if as_root { mode } else { mode | 0o400 });
    }
    for mode in [0o700, 0o500, 0o755, 0o2755, 0o1777, 0o3770] {
        let path = root.join(format!("folder {mode:o}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "").unwrap();
        set_mode(&path, mode);
    }
    if as_root {
        for mode in [0o4755, 0o2755, 0o6711] {
            let path = root.join(format!("program {mode:o}"));
            fs::write(&path, "#!/bin/sh\n").unwrap();
            set_mode(&path, mode);
        }
        let closed = root.join("closed folder");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("inside"), "").unwrap();
        set_mode(&closed, 0o000);
    }
}

/// Sets an extended attribute; `false` if the file system has none of that kind.
fn set_xattr(path: &Path, name: &str, value: &[u8]) -> bool {
    rustix::fs::lsetxattr(path, CString::new(name).unwrap(), value, XattrFlags::empty()).is_ok()
}

fn attributes(root: &Path, as_root: bool, missing: &mut Missing) {
    fs::create_dir(root).unwrap();
    let file = root.join("with attributes");
    fs::write(&file, "x").unwrap();
    let user = set_xattr(&file, "user.text", b"value")
        && set_xattr(&file, "user.empty", b"")
        && set_xattr(&file, "user.\u{e4}", &noise(3, 1_000))
        && set_xattr(root, "user.folder", b"\0\n\xff");
    if !user {
        missing.push("user xattrs");
    }
    if as_root {
        let fifo = root.join("fifo with attribute");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        std::os::unix::fs::symlink("x", root.join("link with attribute")).unwrap();
        let trusted = set_xattr(&file, "trusted.secret", b"t")
            && set_xattr(&fifo, "trusted.fifo", b"f")
            && set_xattr(&root.join("link with attribute"), "trusted.link", b"l");
        if !trusted {
            missing.push("trusted xattrs");
        }
        let program = root.join("with capability");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        // VFS_CAP_REVISION_2, cap_net_bind_service permitted and effective.
        let mut capability = [0; 20];
        capability[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
        capability[4..8].copy_from_slice(&(1_u32 << 10).to_le_bytes());
        if !set_xattr(&program, "security.capability", &capability) {
            missing.push("capabilities");
        }
    }
    acls(root, missing);
}

fn acls(root: &Path, missing: &mut Missing) {
    if !has("setfacl") {
        missing.push("ACLs (no setfacl)");
        return;
    }
    let file = root.join("with acl");
    let folder = root.join("with default acl");
    fs::write(&file, "x").unwrap();
    fs::create_dir(&folder).unwrap();
    let set = |arguments: &[&str], path: &PathBuf| {
        Command::new("setfacl")
            .args(arguments)
            .arg(path)
            .output()
            .unwrap()
            .status
            .success()
    };
    let done = set(&["-m", "u:1234:rw-,g:4321:r--,m::rw-"], &file)
        && set(&["-m", "u:1234:rwx,d:u:1234:r-x,d:g:99:---,d:o::-"], &folder);
    if !done {
        missing.push("ACLs");
    }
    // Born below a default ACL, with one of its own taken from it.
    fs::write(folder.join("heir"), "x").unwrap();
}

fn owners(root: &Path) {
    fs::create_dir(root).unwrap();
    for (name, uid, gid) in [
        ("user", 1234, 0),
        ("group", 0, 5678),
        ("both", 70_000, 70_001),
        ("large", 4_000_000_000, 7),
    ] {
        let path = root.join(name);
        fs::write(&path, name).unwrap();
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
    }
    let folder = root.join("setgid of others");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(1234), Some(5678)).unwrap();
    set_mode(&folder, 0o2775);
    fs::write(folder.join("heir"), "").unwrap();
}

fn times(root: &Path) {
    fs::create_dir(root).unwrap();
    for (name, seconds, nanoseconds) in [
        ("epoch", 0, 0),
        ("just before the epoch", -1, 999_999_999),
        ("1930", -1_234_567_890, 123_456_789),
        ("2038", 2_147_483_648, 1),
        ("2100", 4_102_444_800, 999_999_999),
        ("2440", 14_831_769_600, 5),
    ] {
        fs::write(root.join(name), name).unwrap();
        set_mtime(&root.join(name), seconds, nanoseconds);
    }
}
