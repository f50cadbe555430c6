//! Reading a stat cache. It is mapped and checked as a whole when it is opened; directories are found by binary search.

use std::io;
use std::path::Path;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::fingerprint::Fingerprint;
use super::format::{
    ALGO_AT, CHECK_BYTES, COUNT_AT, DIGEST_AT, DIRECTORIES_AT, DIRECTORY_BYTES, FINGERPRINT_BYTES, FINGERPRINTS_AT,
    GENERATION_AT, HEADER_BYTES, HEADER_CHECK_AT, MAGIC, REPOSITORY_AT, SCAN_AT, SECRET_AT, START_AT, VERSION,
    VERSION_AT, array_at, u64_at,
};
use super::key::{CacheIdentity, CacheSecret, DirKey};
use crate::disk::{Disk, Mapped};
use crate::object::{HashAlgo, ObjectId};

/// Why a stat cache is not used. Never a failure of the scan: without a cache everything is read.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// The operating system refused it.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("it does not begin as a stat cache does")]
    NotACache,
    /// It is of a version that this program does not know.
    #[error("it has version {found}, this program reads version {VERSION}")]
    OtherVersion {
        /// The version that it names.
        found: u32,
    },
    /// It is not what was written.
    #[error("it is damaged at offset {offset}: expected {expected}, found {found}")]
    Damaged {
        /// Byte offset in the file.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// It belongs to another repository.
    #[error("it belongs to another repository")]
    OtherRepository,
    /// gc removed what it leads to.
    #[error("what it leads to was collected as garbage")]
    Collected,
    /// It is of another root, or of other rules.
    #[error("it is of a scan with another root or other rules")]
    OtherScan,
}

impl Rejected {
    fn damaged(offset: usize, expected: impl ToString, found: impl ToString) -> Self {
        Self::Damaged {
            offset: offset as u64,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// An open stat cache.
pub struct StatCache {
    file: Mapped,
    secret: CacheSecret,
    fingerprints: usize,
    directories: usize,
}

impl std::fmt::Debug for StatCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatCache")
            .field("fingerprints", &self.fingerprints)
            .field("directories", &self.directories)
            .finish_non_exhaustive()
    }
}

impl StatCache {
    /// Opens the cache at `path`, if there is one and it is the one of `expected`.
    pub fn open(disk: &dyn Disk, path: &Path, expected: &CacheIdentity) -> Result<Option<Self>, Rejected> {
        let file = match disk.map(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let (fingerprints, directories) = check_header(&file, expected)?;
        check_whole(&file)?;
        let cache = Self {
            secret: CacheSecret::from_bytes(array_at(&file, SECRET_AT)),
            file,
            fingerprints,
            directories,
        };
        cache.check_directories()?;
        Ok(Some(cache))
    }

    /// The secret that its fingerprints and keys were made with.
    pub fn secret(&self) -> &CacheSecret {
        &self.secret
    }

    /// The generation of the store that the scan relied on. While it stands, all that the trees need is there.
    pub fn generation(&self) -> u64 {
        u64_at(&self.file, GENERATION_AT)
    }

    /// How many directories it holds.
    pub fn directories(&self) -> usize {
        self.directories
    }

    /// How many fingerprints it holds.
    pub fn fingerprints(&self) -> usize {
        self.fingerprints
    }

    /// What the last scan saw of a directory.
    pub fn directory(&self, key: &DirKey) -> Option<DirRecord<'_>> {
        let table = &self.file[self.table_at()..];
        let (mut low, mut high) = (0, self.directories);
        while low < high {
            let middle = low + (high - low) / 2;
            let row = &table[middle * DIRECTORY_BYTES..][..DIRECTORY_BYTES];
            match row[..DIGEST_AT].cmp(&key.0) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.record(row).ok(),
            }
        }
        None
    }

    fn table_at(&self) -> usize {
        HEADER_BYTES + self.fingerprints * FINGERPRINT_BYTES
    }

    /// What a row of the table says, or what is wrong with it.
    fn record(&self, row: &[u8]) -> Result<DirRecord<'_>, &'static str> {
        let algo = HashAlgo::from_byte(row[ALGO_AT]).ok_or("an unknown hash function")?;
        let tree = ObjectId::from_padded(algo, array_at(row, DIGEST_AT)).ok_or("a digest that is too long")?;
        let start = usize::try_from(u64_at(row, START_AT)).map_err(|_| "fingerprints outside the file")?;
        let count = u32::from_le_bytes(array_at(row, COUNT_AT)) as usize;
        if start.checked_add(count).is_none_or(|end| end > self.fingerprints) {
            return Err("fingerprints outside the file");
        }
        if row[ALGO_AT + 1..] != [0; 3] {
            return Err("reserved bytes that are not zero");
        }
        let bytes = &self.file[HEADER_BYTES + start * FINGERPRINT_BYTES..][..count * FINGERPRINT_BYTES];
        let fingerprints = Fingerprints { bytes };
        Ok(DirRecord { tree, fingerprints })
    }

    fn check_directories(&self) -> Result<(), Rejected> {
        let mut last: Option<&[u8]> = None;
        let end = self.file.len() - CHECK_BYTES;
        for (index, row) in self.file[self.table_at()..end]
            .chunks_exact(DIRECTORY_BYTES)
            .enumerate()
        {
            let offset = self.table_at() + index * DIRECTORY_BYTES;
            if last.is_some_and(|last| last >= &row[..DIGEST_AT]) {
                return Err(Rejected::damaged(
                    offset,
                    "ascending keys",
                    "one that repeats or is out of order",
                ));
            }
            last = Some(&row[..DIGEST_AT]);
            self.record(row)
                .map_err(|problem| Rejected::damaged(offset, "a directory", problem))?;
        }
        Ok(())
    }
}

/// Checks the header, and that the file is as long as it says. Gives the counts of fingerprints and directories.
fn check_header(file: &[u8], expected: &CacheIdentity) -> Result<(usize, usize), Rejected> {
    if !file.starts_with(&MAGIC) {
        return Err(Rejected::NotACache);
    }
    if file.len() < HEADER_BYTES + CHECK_BYTES {
        let least = format!("{} bytes or more", HEADER_BYTES + CHECK_BYTES);
        return Err(Rejected::damaged(0, least, format_args!("{} bytes", file.len())));
    }
    let version = u32::from_le_bytes(array_at(file, VERSION_AT));
    if version != VERSION {
        return Err(Rejected::OtherVersion { found: version });
    }
    let check = xxh3_64(&file[..HEADER_CHECK_AT]);
    if u64_at(file, HEADER_CHECK_AT) != check {
        return Err(Rejected::damaged(0, "a header that its check fits", "another check"));
    }
    if file[REPOSITORY_AT..SCAN_AT] != expected.repository {
        return Err(Rejected::OtherRepository);
    }
    if file[SCAN_AT..SECRET_AT] != expected.scan {
        return Err(Rejected::OtherScan);
    }
    let (fingerprints, directories) = (u64_at(file, FINGERPRINTS_AT), u64_at(file, DIRECTORIES_AT));
    let bytes = u128::from(fingerprints) * FINGERPRINT_BYTES as u128
        + u128::from(directories) * DIRECTORY_BYTES as u128
        + (HEADER_BYTES + CHECK_BYTES) as u128;
    if bytes != file.len() as u128 {
        return Err(Rejected::damaged(
            0,
            format_args!("a file of {bytes} bytes"),
            format_args!("{} bytes", file.len()),
        ));
    }
    // Both are smaller than the length of the file, which is in memory.
    Ok((fingerprints as usize, directories as usize))
}

fn check_whole(file: &[u8]) -> Result<(), Rejected> {
    let (bytes, check) = file.split_at(file.len() - CHECK_BYTES);
    if check != xxh3_128(bytes).to_le_bytes() {
        return Err(Rejected::damaged(
            bytes.len(),
            "the check of the whole file",
            "another check",
        ));
    }
    Ok(())
}

/// What the last scan saw of one directory.
#[derive(Clone, Copy, Debug)]
pub struct DirRecord<'c> {
    /// The tree that it had.
    pub tree: ObjectId,
    /// One fingerprint an entry of that tree, in the order of the entries.
    pub fingerprints: Fingerprints<'c>,
}

impl DirRecord<'_> {
    /// Whether `now`, the fingerprints of the entries that would be in the tree, are those of then, one by one. The tree
    /// is the same if also the trees of all child directories are.
    pub fn unchanged(&self, now: &[Fingerprint]) -> bool {
        now.len() == self.fingerprints.len()
            && now
                .iter()
                .zip(self.fingerprints.iter())
                .all(|(now, was)| now.matches(was))
    }
}

/// The fingerprints of one directory, in the order of its entries.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprints<'c> {
    bytes: &'c [u8],
}

impl<'c> Fingerprints<'c> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / FINGERPRINT_BYTES
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The one of the entry at `position` in the tree; [`Fingerprint::NEVER`] past the end.
    pub fn get(&self, position: usize) -> Fingerprint {
        self.iter().nth(position).unwrap_or(Fingerprint::NEVER)
    }

    /// All in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Fingerprint> + use<'c> {
        let (chunks, _) = self.bytes.as_chunks::<FINGERPRINT_BYTES>();
        chunks.iter().map(|chunk| Fingerprint(u64::from_le_bytes(*chunk)))
    }
}
