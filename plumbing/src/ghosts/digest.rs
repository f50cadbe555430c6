//! Full and fast hash of live files, each of one content only.
//!
//! 1. The caller has looked at the file by name ([`Stat`]) and opened it.
//! 2. It is read from its beginning; after the last byte the open file is looked at again.
//! 3. Only if it is what it was ([`Stat::same_content`]) and as long as it said, there is a hash. Otherwise it changed
//!    meanwhile, which is no error: the caller looks again, or lets it be.
//!
//! Small files are read into one buffer, one behind the other, and hashed together: SHA-256 runs two lanes then. Nothing
//! is allocated for a file.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::{Advice, fadvise};
use rustix::io::{pread, retry_on_intr};

use super::fasthash::{self, FastHash, Sampler, WHOLE_BYTES_MAX};
use crate::object::sha256x2::hash_all;
use crate::object::{HashAlgo, Hasher, ObjectId};
use crate::progress::Progress;
use crate::walk::{Stat, stat_fd};

/// A file of at most this many bytes is gathered with others.
pub const GATHERED_FILE_BYTES_MAX: u64 = 256 << 10;
/// Bytes that are gathered before they are hashed: they stay in the cache of a core.
const GATHERED_BYTES: usize = 512 << 10;
/// Bytes of a larger file that are read at once.
const READ_BYTES: usize = 512 << 10;

/// Both hashes of one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The plain hash of all bytes.
    pub fullhash: ObjectId,
    /// The sampled hash.
    pub fasthash: FastHash,
}

/// Hashes files, with one buffer for all of them.
#[derive(Debug)]
pub struct Digester<'p> {
    algo: HashAlgo,
    progress: &'p Progress,
    buffer: Vec<u8>,
    filled: usize,
    held: Vec<(usize, Range<usize>)>,
}

impl<'p> Digester<'p> {
    /// With nothing in it. `progress` counts the bytes that are read, and sets their pace.
    pub fn new(algo: HashAlgo, progress: &'p Progress) -> Self {
        Self {
            algo,
            progress,
            buffer: Vec::new(),
            filled: 0,
            held: Vec::new(),
        }
    }

    /// Reads a small file, to be hashed by [`finish`](Self::finish) under the number `tag`; `false` where it changed.
    /// It must have at most [`GATHERED_FILE_BYTES_MAX`] bytes.
    pub fn gather(&mut self, file: impl AsFd, before: &Stat, tag: usize) -> io::Result<bool> {
        debug_assert!(before.size <= GATHERED_FILE_BYTES_MAX, "{} bytes", before.size);
        let (start, end) = (self.filled, self.filled + before.size as usize);
        if self.buffer.len() < end {
            self.buffer.resize(end.max(GATHERED_BYTES), 0);
        }
        let stable = read_full(&file, &mut self.buffer[start..end], 0)? && is_same(&file, before)?;
        if stable {
            self.filled = end;
            self.held.push((tag, start..end));
        }
        Ok(stable)
    }

    /// Whether so much is gathered that it should be hashed now.
    pub fn is_full(&self) -> bool {
        self.filled + GATHERED_FILE_BYTES_MAX as usize > GATHERED_BYTES
    }

    /// Hashes what was gathered and gives each file's hashes with its number, in the order of gathering.
    pub fn finish(&mut self, mut each: impl FnMut(usize, Digest)) {
        let contents: Vec<&[u8]> = self.held.iter().map(|(_, range)| &self.buffer[range.clone()]).collect();
        let ids = hash_all(self.algo, &contents);
        for ((tag, _), (content, fullhash)) in self.held.iter().zip(contents.iter().zip(ids)) {
            let fasthash = fasthash::of_bytes(content);
            each(*tag, Digest { fullhash, fasthash });
        }
        self.progress.add(0, self.filled as u64);
        self.held.clear();
        self.filled = 0;
    }

    /// Both hashes of a file of any length; none where it changed. What was gathered must have been finished. Ends with
    /// an error of kind `Interrupted` where the job is to stop.
    pub fn full(&mut self, file: impl AsFd, before: &Stat) -> io::Result<Option<Digest>> {
        debug_assert!(self.held.is_empty(), "the buffer is in use");
        self.buffer.resize(self.buffer.len().max(READ_BYTES), 0);
        let mut hasher = Hasher::new(self.algo);
        let mut sampler = Sampler::new(before.size);
        let mut at = 0;
        while at < before.size {
            if self.progress.should_stop() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let wanted = usize::try_from(before.size - at).unwrap_or(READ_BYTES).min(READ_BYTES);
            let part = &mut self.buffer[..wanted];
            if !read_full(&file, part, at)? {
                return Ok(None);
            }
            hasher.update(part);
            sampler.update(part);
            at += wanted as u64;
            self.progress.add(0, wanted as u64);
        }
        let digest = Digest {
            fullhash: hasher.finish(),
            fasthash: sampler.finish(),
        };
        Ok(is_same(&file, before)?.then_some(digest))
    }
}

/// The fast hash of a file; none where it changed.
pub fn fast(file: impl AsFd, before: &Stat) -> io::Result<Option<FastHash>> {
    if before.size > WHOLE_BYTES_MAX {
        // Else the kernel reads ahead, thirty times what is wanted. Where it does not listen, that is all that is lost.
        let _ = fadvise(&file, 0, None, Advice::Random);
    }
    let mut whole = true;
    let hash = fasthash::of_parts(before.size, |offset, part| -> io::Result<()> {
        whole &= read_full(&file, part, offset)?;
        Ok(())
    })?;
    Ok((whole && is_same(&file, before)?).then_some(hash))
}

fn is_same(file: &impl AsFd, before: &Stat) -> io::Result<bool> {
    Ok(stat_fd(file)?.same_content(before))
}

/// Fills the buffer from `offset` on; `false` where the file ends before.
fn read_full(file: &impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        let space = &mut buffer[filled..];
        match retry_on_intr(|| pread(file, &mut *space, offset + filled as u64))? {
            0 => return Ok(false),
            found => filled += found,
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::process::Command;

    use super::*;
    use crate::walk::DirHandle;

    #[test]
    fn full_hashes_are_those_of_sha256sum_however_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let sizes = [0, 1, 55, 64, 4096, 16_384, 16_385, 100_000, 256 << 10, (1 << 20) + 7];
        for (number, size) in sizes.into_iter().enumerate() {
            let content: Vec<u8> = (0..size)
                .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect();
            fs::write(folder.path().join(number.to_string()), content).unwrap();
        }
        let dir = DirHandle::open_root(folder.path()).unwrap();
        let progress = Progress::default();
        let mut digester = Digester::new(HashAlgo::Sha256, &progress);
        let mut found = vec![None; sizes.len()];
        for number in 0..sizes.len() {
            let name = number.to_string();
            let (stat, file) = (dir.stat(name.as_str()).unwrap(), dir.open_file(name.as_str()).unwrap());
            if stat.size <= GATHERED_FILE_BYTES_MAX {
                assert!(digester.gather(&file, &stat, number).unwrap());
            }
            if digester.is_full() || number + 1 == sizes.len() {
                digester.finish(|tag, digest| found[tag] = Some(digest));
            }
        }
        let mut counted = 0;
        for (number, size) in sizes.into_iter().enumerate() {
            let name = number.to_string();
            let (stat, file) = (dir.stat(name.as_str()).unwrap(), dir.open_file(name.as_str()).unwrap());
            let digest = digester.full(&file, &stat).unwrap().unwrap();
            assert_eq!(found[number].unwrap_or(digest), digest, "{size} bytes");
            assert_eq!(fast(&file, &stat).unwrap(), Some(digest.fasthash), "{size} bytes");
            let said = Command::new("sha256sum")
                .arg(folder.path().join(&name))
                .output()
                .unwrap();
            assert!(
                said.stdout.starts_with(digest.fullhash.hex().as_bytes()),
                "{size} bytes"
            );
            counted += u64::from(size) * if stat.size <= GATHERED_FILE_BYTES_MAX { 2 } else { 1 };
        }
        assert_eq!(progress.counters().bytes_done, counted);
    }

    #[test]
    fn a_file_that_changed_has_no_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, vec![7; 50_000]).unwrap();
        let dir = DirHandle::open_root(folder.path()).unwrap();
        let stat = dir.stat("f").unwrap();
        let progress = Progress::default();
        let mut digester = Digester::new(HashAlgo::Sha256, &progress);
        let changes: [fn(&File); 2] = [
            |file| file.set_len(40_000).unwrap(),
            |file| file.set_len(50_000).unwrap(),
        ];
        for change in changes {
            change(&File::options().write(true).open(&path).unwrap());
            let file = dir.open_file("f").unwrap();
            assert!(!digester.gather(&file, &stat, 0).unwrap());
            assert_eq!(digester.full(&file, &stat).unwrap(), None);
            assert_eq!(fast(&file, &stat).unwrap(), None);
        }
        digester.finish(|tag, _| panic!("{tag} was gathered"));
        progress.request_stop();
        let file = dir.open_file("f").unwrap();
        assert_eq!(
            digester.full(&file, &stat).unwrap_err().kind(),
            io::ErrorKind::Interrupted
        );
    }
}
