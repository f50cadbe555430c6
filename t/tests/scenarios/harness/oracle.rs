//! What other tools, or plain code that shares nothing with ghost, say of two trees.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::SeekFrom;

/// What `rsync` would change to make `target` like `source`: nothing, if every byte and all metadata are the same.
pub fn rsync_differences(options: &str, source: &Path, target: &Path) -> String {
    let mut from = source.as_os_str().to_owned();
    from.push("/");
    let mut to = target.as_os_str().to_owned();
    to.push("/");
    let output = Command::new("rsync")
        // A window of -1 compares nanoseconds too.
        .args([options, "--numeric-ids", "--delete", "--modify-window=-1"])
        .args([from, to])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Fails and shows what differs, unless `rsync` finds both trees the same.
pub fn assert_same_for_rsync(source: &Path, target: &Path) {
    let differences = rsync_differences("-naiHAXc", source, target);
    assert!(differences.is_empty(), "rsync would change:\n{differences}");
}

/// The same for all but the bytes of files that have the same length and times.
pub fn assert_same_metadata_for_rsync(source: &Path, target: &Path) {
    let differences = rsync_differences("-naiHAX", source, target);
    assert!(differences.is_empty(), "rsync would change:\n{differences}");
}

/// Fails unless two files have the same length and the same bytes. Reads only where one of them has data: what is a hole
/// in both is zeros in both.
pub fn assert_same_data(left: &Path, right: &Path) {
    let (a, b) = (fs::File::open(left).unwrap(), fs::File::open(right).unwrap());
    assert_eq!(a.metadata().unwrap().len(), b.metadata().unwrap().len());
    for (start, end) in data_ranges(&a).into_iter().chain(data_ranges(&b)) {
        let mut bytes = [vec![0; 1 << 20], vec![0; 1 << 20]];
        for at in (start..end).step_by(1 << 20) {
            let length = usize::try_from((end - at).min(1 << 20)).unwrap();
            a.read_exact_at(&mut bytes[0][..length], at).unwrap();
            b.read_exact_at(&mut bytes[1][..length], at).unwrap();
            assert!(bytes[0] == bytes[1], "{} differs behind {at}", right.display());
        }
    }
}

/// Where a file has data: first byte, and the one behind the last.
fn data_ranges(file: &fs::File) -> Vec<(u64, u64)> {
    let (mut ranges, mut at) = (Vec::new(), 0);
    while let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(at)) {
        at = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap();
        ranges.push((start, at));
    }
    ranges
}

/// The first field of what a checksum command prints for a file.
pub fn digest(command: &[&str], path: &Path) -> String {
    let output = Command::new(command[0]).args(&command[1..]).arg(path).output().unwrap();
    assert!(output.status.success(), "{command:?} {}", path.display());
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

/// Every path below a folder with what must come back: kind and mode, owner, size, time, and what it holds. Without a
/// tool, for where there is none; hard links show as the first path of their group.
pub fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut out = BTreeMap::new();
    let mut links = BTreeMap::new();
    visit(root, Path::new(""), &mut links, &mut out);
    out
}

/// Fails and shows what differs, unless both folders have the same listing.
pub fn assert_same_listing(source: &Path, target: &Path) {
    let (left, right) = (listing(source), listing(target));
    let paths: BTreeSet<&PathBuf> = left.keys().chain(right.keys()).collect();
    let differing: Vec<_> = paths
        .into_iter()
        .filter(|path| left.get(*path) != right.get(*path))
        .collect();
    for path in differing.iter().take(20) {
        eprintln!("{path:?}\n  - {:?}\n  + {:?}", left.get(*path), right.get(*path));
    }
    assert!(differing.is_empty(), "{} paths differ", differing.len());
}

type Links = BTreeMap<(u64, u64), PathBuf>;

fn visit(root: &Path, below: &Path, links: &mut Links, out: &mut BTreeMap<PathBuf, String>) {
    let mut names: Vec<OsString> = fs::read_dir(root.join(below))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let path = below.join(name);
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full).unwrap();
        let mut line = format!(
            "{:o} {}:{} {}.{:09}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        );
        if meta.is_file() {
            line += &format!(" {} {:016x}", meta.len(), fnv(&fs::read(&full).unwrap()));
        } else if meta.is_symlink() {
            line += &format!(" -> {:?}", fs::read_link(&full).unwrap());
        } else if !meta.is_dir() {
            line += &format!(" rdev {}", meta.rdev());
        }
        if !meta.is_dir() && meta.nlink() > 1 {
            let first = links.entry((meta.dev(), meta.ino())).or_insert_with(|| path.clone());
            line += &format!(" = {:?}", first.as_os_str().as_bytes().escape_ascii().to_string());
        }
        out.insert(path.clone(), line);
        if meta.is_dir() {
            visit(root, &path, links, out);
        }
    }
}

/// FNV-1a: enough to tell two files of a test apart.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Names, inodes and change times of everything below a folder: what was touched shows as a difference.
pub fn touched(root: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    listing(root)
        .into_keys()
        .map(|path| {
            let meta = fs::symlink_metadata(root.join(&path)).unwrap();
            (path, (meta.ino(), meta.ctime(), meta.ctime_nsec()))
        })
        .collect()
}

/// The data files of a repository, sorted.
pub fn data_files(repository: &Path) -> Vec<PathBuf> {
    files_below(&repository.join("data"))
}

/// All regular files below a folder, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            out.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            out.push(entry.path());
        }
    }
    out.sort();
    out
}

/// Bytes in all data files of a repository.
pub fn data_bytes(repository: &Path) -> u64 {
    let files = data_files(repository);
    files.iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}

/// Copies a folder of plain files and folders, such as a repository, modes kept.
pub fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
