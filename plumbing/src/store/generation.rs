//! Generations: which data files are condemned (object-format.md, "Generations").
//!
//! gc never changes a data file. It copies what lives, then publishes the next generation: a small file that names the
//! data files that nothing may lean on any more. That file is replaced by one rename, under the lock of the refs, so
//! a change of a ref comes either before (and is seen by the mark) or after (and compares the number).
//!
//! Invariants:
//!
//! - The number only grows, by one each time the list grows. While it stands still, no object that a data file outside
//!   of the list holds goes away.
//! - Everything that live refs need is in data files outside of the list.
//! - An id leaves the list only after its data file is gone, durably, and no index segment names it.
//! - Once there was such a file there is one: before the first is published the repository's format says so. A file that
//!   is gone, or of a generation before one that this process has seen, is damage, and nothing is written until
//!   [`crate::repair`] has put a later one in its place.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, OpenMode, read_file};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, ObjectId, text};
use crate::store::data::read::hex;

/// Name of the file in a repository's folder.
pub const FILE: &str = "generation";
/// Name of the file that gives its room to gc when the disk is full.
pub const RESERVE_FILE: &str = "reserve";
/// What that file takes: more than the file of a generation with a thousand condemned data files.
const RESERVE_BYTES: usize = 64 << 10;
const MAGIC: &str = "ghost generation";
const VERSION: &str = "1";
/// Most condemned data files: as many as a repository has.
const CONDEMNED_MAX: usize = 65_535;
/// Longest file in bytes.
pub(crate) const BYTES_MAX: usize = 1024 + CONDEMNED_MAX * 64;

/// A generation of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// Its number; 0 before the first gc that removed anything.
    pub number: u64,
    /// Data files that nothing may lean on, each with the generation that condemned it.
    pub condemned: BTreeMap<[u8; 16], u64>,
}

/// Where the file is.
pub fn path(ghost_dir: &Path) -> PathBuf {
    ghost_dir.join(FILE)
}

impl Generation {
    /// Reads the file; none where there is none, as before any was published. [`super::Store::read_generation`] knows
    /// whether that may be.
    pub fn read(disk: &dyn Disk, ghost_dir: &Path, repository: &[u8; 16]) -> Result<Option<Self>> {
        let path = path(ghost_dir);
        match read_file(disk, &path, BYTES_MAX) {
            Ok(bytes) => Self::decode(&path, &bytes, repository).map(Some),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether it condemned the data file of this name.
    pub(super) fn condemns(&self, name: &std::ffi::OsStr) -> bool {
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str());
        let id = stem.and_then(text::unhex).and_then(|id| <[u8; 16]>::try_from(id).ok());
        id.is_some_and(|id| self.condemned.contains_key(&id))
    }

    /// The text of the file.
    pub fn encode(&self, repository: &[u8; 16]) -> String {
        let mut out = format!(
            "{MAGIC}\nversion {VERSION}\nrepository {}\nnumber {}\n",
            hex(repository),
            self.number
        );
        for (file, since) in &self.condemned {
            out.push_str(&format!("condemned {} {since}\n", hex(file)));
        }
        let check = ObjectId::hash(HashAlgo::Blake3, out.as_bytes());
        out.push_str(&format!("check {check}\n"));
        out
    }

    /// Reads the file at `path`.
    pub fn decode(path: &Path, bytes: &[u8], repository: &[u8; 16]) -> Result<Self> {
        let damaged = |expected: &str, found: &str| {
            let found: String = found.chars().take(80).collect();
            Error::damaged(path, 0, expected, format_args!("\"{}\"", found.escape_debug()))
        };
        let all = std::str::from_utf8(bytes).map_err(|_| damaged("text", "other bytes"))?;
        let mut lines = all.lines();
        let mut next = |expected: &str| {
            let line = lines.next().unwrap_or_default();
            let value = line.strip_prefix(expected).map(str::trim_start);
            value.ok_or_else(|| damaged(&format!("a line that begins with \"{expected}\""), line))
        };
        next(MAGIC)?;
        let version = next("version")?;
        if version != VERSION {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                feature: format!("generation file version {version}"),
            });
        }
        let of = next("repository")?;
        if of != hex(repository) {
            return Err(damaged(&format!("repository {}", hex(repository)), of));
        }
        let number = next("number")?;
        let mut generation = Self {
            number: number.parse().map_err(|_| damaged("a number", number))?,
            condemned: BTreeMap::new(),
        };
        for line in lines {
            let Some(value) = line.strip_prefix("condemned ") else {
                break;
            };
            let row = value.split_once(' ').and_then(|(file, since)| {
                let file: [u8; 16] = text::unhex(file)?.try_into().ok()?;
                Some((file, since.parse().ok()?))
            });
            let (file, since) = row.ok_or_else(|| damaged("an id and a generation", value))?;
            generation.condemned.insert(file, since);
        }
        // One generation has one spelling, its check included.
        if generation.encode(repository) != all {
            return Err(damaged(
                "each line as this program writes it, and their check",
                "others",
            ));
        }
        Ok(generation)
    }
}

/// The next generation, written and durable under another name.
#[derive(Debug)]
pub(crate) struct Prepared {
    temporary: PathBuf,
    path: PathBuf,
}

impl Prepared {
    /// Writes it. On a full disk the reserve is given up for it.
    pub(crate) fn new(
        disk: &dyn Disk,
        ghost_dir: &Path,
        repository: &[u8; 16],
        generation: &Generation,
    ) -> Result<Self> {
        if generation.condemned.len() > CONDEMNED_MAX {
            let problem = format!(
                "{} condemned data files, the limit is {CONDEMNED_MAX}",
                generation.condemned.len()
            );
            return Err(Error::invalid("generation", ghost_dir.display(), problem));
        }
        let text = generation.encode(repository);
        match Self::write(disk, ghost_dir, &text) {
            Err(Error::Io { source, .. }) if is_full(&source) && give_up_reserve(disk, ghost_dir) => {
                Self::write(disk, ghost_dir, &text)
            }
            written => written,
        }
    }

    fn write(disk: &dyn Disk, ghost_dir: &Path, text: &str) -> Result<Self> {
        let mut random = [0; 8];
        disk.random(&mut random)
            .map_err(Error::io("get random bytes for", ghost_dir))?;
        let temporary = ghost_dir.join(format!("{FILE}.tmp-{:016x}", u64::from_le_bytes(random)));
        let written = (|| {
            let file = disk
                .open(&temporary, OpenMode::CreateNew)
                .map_err(Error::io("create", &temporary))?;
            file.write_all_at(text.as_bytes(), 0)
                .map_err(Error::io("write", &temporary))?;
            file.sync_data().map_err(Error::io("sync", &temporary))
        })();
        if written.is_err() {
            // The error that led here is the one to tell.
            let _ = disk.remove(&temporary);
        }
        let path = path(ghost_dir);
        written.map(|()| Self { temporary, path })
    }

    /// Makes it the one that stands, for every process, with one rename. The caller syncs the folder before it relies on
    /// that after a crash: before, either generation may stand, and all that either needs is there.
    pub(crate) fn publish(&self, disk: &dyn Disk) -> Result<()> {
        disk.rename(&self.temporary, &self.path)
            .map_err(Error::io("rename onto", &self.path))
    }

    /// Removes what was prepared and not published.
    pub(crate) fn abandon(self, disk: &dyn Disk) {
        let _ = disk.remove(&self.temporary);
    }
}

/// Whether there is no room left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Sets room aside that gc can give up when the disk is full, unless that was done. Failing is no harm.
pub(crate) fn keep_reserve(disk: &dyn Disk, ghost_dir: &Path) {
    let path = ghost_dir.join(RESERVE_FILE);
    if let Ok(file) = disk.open(&path, OpenMode::CreateNew) {
        // A hole would reserve nothing, and neither would zeros where a file system compresses.
        let mut noise = vec![0; RESERVE_BYTES];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        if file.write_all_at(&noise, 0).is_err() {
            let _ = disk.remove(&path);
        }
    }
}

/// Gives that room up; says whether there was any.
pub(crate) fn give_up_reserve(disk: &dyn Disk, ghost_dir: &Path) -> bool {
    disk.remove(&ghost_dir.join(RESERVE_FILE)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::simulated::{Fault, Injection, SimulatedDisk};

    fn sample() -> Generation {
        Generation {
            number: 3,
            condemned: BTreeMap::from([([0x15; 16], 3), ([0x0a; 16], 2)]),
        }
    }

    #[test]
    fn a_generation_is_read_as_it_is_written() {
        for generation in [Generation::default(), sample()] {
            let text = generation.encode(&[7; 16]);
            assert_eq!(
                Generation::decode(Path::new("g"), text.as_bytes(), &[7; 16]).unwrap(),
                generation
            );
        }
    }

    #[test]
    fn the_example_of_the_page() {
        let page = include_str!("../../../object-format.md");
        let example = page.split("```text generation\n").nth(1).unwrap();
        assert_eq!(sample().encode(&[7; 16]), example.split("```").next().unwrap());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let good = sample().encode(&[7; 16]).into_bytes();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Generation::decode(Path::new("g"), &bytes, &[7; 16]).is_err(),
                "bit {bit}"
            );
        }
        for len in 0..good.len() {
            assert!(
                Generation::decode(Path::new("g"), &good[..len], &[7; 16]).is_err(),
                "{len}"
            );
        }
        let other = Generation::decode(Path::new("g"), &good, &[8; 16]).unwrap_err();
        assert!(other.to_string().contains("repository 0808"), "{other}");
    }

    fn disk() -> (SimulatedDisk, &'static Path) {
        let disk = SimulatedDisk::default();
        let ghost_dir = Path::new("/g");
        disk.create_dir(ghost_dir).unwrap();
        (disk, ghost_dir)
    }

    #[test]
    fn room_is_kept_once_and_given_up_once() {
        let (disk, ghost_dir) = disk();
        assert!(!give_up_reserve(&disk, ghost_dir));
        keep_reserve(&disk, ghost_dir);
        let bytes = read_file(&disk, &ghost_dir.join("reserve"), 1 << 20).unwrap();
        assert_eq!(bytes.len(), 65_536);
        let zeros = bytes.iter().filter(|byte| **byte == 0).count();
        assert!(zeros < 1000, "neither holes nor what compresses: {zeros} zeros");
        let done = disk.asked();
        keep_reserve(&disk, ghost_dir);
        assert_eq!(disk.asked(), done, "it is there");
        assert!(give_up_reserve(&disk, ghost_dir) && !give_up_reserve(&disk, ghost_dir));
    }

    #[test]
    fn what_was_prepared_stands_when_it_is_published_and_leaves_nothing_when_it_is_not() {
        let (disk, ghost_dir) = disk();
        let prepare = || Prepared::new(&disk, ghost_dir, &[7; 16], &sample()).unwrap();
        let names = || disk.list(ghost_dir).unwrap();
        let prepared = prepare();
        assert_eq!(
            (names().len(), Generation::read(&disk, ghost_dir, &[7; 16]).unwrap()),
            (1, None)
        );
        prepared.abandon(&disk);
        assert!(names().is_empty());
        prepare().publish(&disk).unwrap();
        assert_eq!(names(), [FILE]);
        assert_eq!(Generation::read(&disk, ghost_dir, &[7; 16]).unwrap(), Some(sample()));
    }

    #[test]
    fn the_reserve_is_given_up_where_the_disk_is_full_and_nowhere_else() {
        use io::ErrorKind::{Other, PermissionDenied, QuotaExceeded, StorageFull};
        for (kind, is_given_up) in [
            (StorageFull, true),
            (QuotaExceeded, true),
            (PermissionDenied, false),
            (Other, false),
        ] {
            let (disk, ghost_dir) = disk();
            keep_reserve(&disk, ghost_dir);
            // The file is made, and writing to it fails.
            disk.inject(Some(Injection {
                from: disk.asked() + 1,
                count: 1,
                fault: Fault::Half(kind),
            }));
            let prepared = Prepared::new(&disk, ghost_dir, &[7; 16], &sample());
            assert_eq!(prepared.is_ok(), is_given_up, "{kind:?}");
            let names = disk.list(ghost_dir).unwrap();
            assert_eq!(names.iter().any(|name| name == RESERVE_FILE), !is_given_up, "{kind:?}");
            assert_eq!(names.len(), 1, "{names:?}");
            let Ok(prepared) = prepared else { continue };
            prepared.publish(&disk).unwrap();
            assert_eq!(Generation::read(&disk, ghost_dir, &[7; 16]).unwrap(), Some(sample()));
        }
    }
}
