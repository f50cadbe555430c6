//! Making recovery data.

use std::path::Path;

use reed_solomon_simd::ReedSolomonEncoder;

use super::format::{Head, Layout, shard_hash, trailer};
use super::{MEMORY_BYTES, READ_BYTES};
use crate::disk::{Disk, DiskFile, OpenMode, folder_of};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// Covers the first `bytes` bytes of the file at `source`, which must never change again, by the parity file at `target`,
/// with so many percent of recovery data. What was at `target` is replaced when the new one is durable.
pub fn write(
    disk: &dyn Disk,
    (source, bytes): (&Path, u64),
    target: &Path,
    repository: [u8; 16],
    percent: u64,
    progress: &Progress,
) -> Result<()> {
    let layout = Layout::new(bytes, percent);
    let file = disk.open(source, OpenMode::Read).map_err(Error::io("open", source))?;
    let (digest, data) = hash_shards(source, &*file, &layout, progress)?;
    let mut random = [0; 8];
    disk.random(&mut random)
        .map_err(Error::io("get random bytes for", target))?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{:016x}", u64::from_le_bytes(random)));
    let temporary = target.with_file_name(name);
    let result = (|| {
        let out = disk
            .open(&temporary, OpenMode::CreateNew)
            .map_err(Error::io("create", &temporary))?;
        let mut head = Head {
            repository,
            layout,
            digest,
            data,
            recovery: Vec::new(),
        };
        encode_stripes((source, &*file), (&temporary, &*out), &mut head, progress)?;
        let encoded = head.encode();
        let end = layout.head_bytes() + layout.recovery_shards() * u64::from(layout.shard_bytes);
        let put = |bytes: &[u8], at: u64| out.write_all_at(bytes, at).map_err(Error::io("write", &temporary));
        put(&encoded, 0)?;
        put(&encoded, end)?;
        put(&trailer(encoded.len() as u64), end + encoded.len() as u64)?;
        out.sync_data().map_err(Error::io("sync", &temporary))?;
        disk.rename(&temporary, target)
            .map_err(Error::io("rename onto", target))?;
        let folder = folder_of(target);
        disk.sync_dir(folder).map_err(Error::io("sync", folder))
    })();
    if result.is_err() {
        // The error that led here is the one to tell.
        let _ = disk.remove(&temporary);
    }
    result
}

/// The digest of all covered bytes, and the hash of each shard.
fn hash_shards(path: &Path, file: &dyn DiskFile, layout: &Layout, progress: &Progress) -> Result<([u8; 32], Vec<u64>)> {
    let mut hasher = blake3::Hasher::new();
    let mut hashes = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut at = 0;
    while at < layout.bytes {
        progress.check()?;
        let wanted = (layout.bytes - at).min(READ_BYTES as u64) as usize;
        let found = file
            .read_at(&mut buffer[..wanted], at)
            .map_err(Error::io("read", path))?;
        if found < wanted {
            return Err(Error::damaged(
                path,
                at,
                format_args!("{} bytes", layout.bytes),
                "its end",
            ));
        }
        hasher.update(&buffer[..wanted]);
        for shard in buffer[..wanted].chunks(layout.shard_bytes as usize) {
            hashes.push(shard_hash(shard, hashes.len() as u64));
        }
        at += wanted as u64;
    }
    Ok((*hasher.finalize().as_bytes(), hashes))
}

/// Writes the recovery shards of all stripes behind the place of the head, and notes their hashes. Neighbouring stripes are
/// gathered together, so that what is read is not a shard at a time.
fn encode_stripes(
    (source, file): (&Path, &dyn DiskFile),
    (target, out): (&Path, &dyn DiskFile),
    head: &mut Head,
    progress: &Progress,
) -> Result<()> {
    let layout = head.layout;
    let shard = layout.shard_bytes as usize;
    let together = (MEMORY_BYTES / (u64::from(layout.data) * shard as u64)).clamp(1, layout.stripes);
    let mut encoder = ReedSolomonEncoder::new(layout.data as usize, layout.recovery as usize, shard)
        .map_err(|error| failed(target, error))?;
    let mut rows = vec![0; together as usize * shard * layout.data as usize];
    let mut end = layout.head_bytes();
    let mut first = 0;
    while first < layout.stripes {
        progress.check()?;
        let count = together.min(layout.stripes - first) as usize;
        for (number, row) in (0..).zip(rows.chunks_mut(together as usize * shard)) {
            read_row((source, file), &layout, (number, first), &mut row[..count * shard])?;
        }
        for column in 0..count {
            for row in rows.chunks(together as usize * shard) {
                let bytes = &row[column * shard..][..shard];
                encoder
                    .add_original_shard(bytes)
                    .map_err(|error| failed(target, error))?;
            }
            let encoded = encoder.encode().map_err(|error| failed(target, error))?;
            for bytes in encoded.recovery_iter() {
                head.recovery
                    .push(shard_hash(bytes, layout.shards() + head.recovery.len() as u64));
                out.write_all_at(bytes, end).map_err(Error::io("write", target))?;
                end += shard as u64;
            }
        }
        progress.add(0, count as u64 * u64::from(layout.data) * shard as u64);
        first += count as u64;
    }
    Ok(())
}

/// Reads data shard `number` of some stripes from `first` on, which lie behind each other; zeros behind the end.
fn read_row(
    (path, file): (&Path, &dyn DiskFile),
    layout: &Layout,
    (number, first): (u64, u64),
    row: &mut [u8],
) -> Result<()> {
    row.fill(0);
    let at = (number * layout.stripes + first) * u64::from(layout.shard_bytes);
    let wanted = layout.bytes.saturating_sub(at).min(row.len() as u64) as usize;
    let found = file.read_at(&mut row[..wanted], at).map_err(Error::io("read", path))?;
    match found < wanted {
        true => Err(Error::damaged(
            path,
            at,
            format_args!("{wanted} bytes"),
            format_args!("{found}"),
        )),
        false => Ok(()),
    }
}

pub(super) fn failed(path: &Path, error: reed_solomon_simd::Error) -> Error {
    Error::invalid("parity", path.display(), error)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::disk::LockKind;
    use crate::disk::memory::MemoryDisk;

    /// A file that is only read, and notes the longest read.
    #[derive(Debug)]
    struct Noting(Arc<dyn DiskFile>, AtomicUsize);

    impl DiskFile for Noting {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.1.fetch_max(buffer.len(), Ordering::Relaxed);
            self.0.read_at(buffer, offset)
        }
        fn write_all_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn set_len(&self, _bytes: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn sync_data(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
            self.0.try_lock(kind)
        }
        fn lock(&self, kind: LockKind) -> io::Result<()> {
            self.0.lock(kind)
        }
        fn unlock(&self) -> io::Result<()> {
            self.0.unlock()
        }
    }

    #[test]
    fn as_many_stripes_are_gathered_as_fit_into_memory_and_no_more() {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("/f")).unwrap();
        let open = |name: &str| disk.open(Path::new(name), OpenMode::Create).unwrap();
        // Five stripes of 3.4 million bytes; then all of a file that fits.
        for (bytes, together) in [(17_000_000, 4), (5_000_000, 2)] {
            let (source, target) = (Path::new("/f/source"), Path::new("/f/target"));
            let layout = Layout::new(bytes, 1);
            let file = open("/f/source");
            file.set_len(bytes).unwrap();
            let noting = Noting(file, AtomicUsize::new(0));
            let mut head = Head {
                repository: [7; 16],
                layout,
                digest: [0; 32],
                data: Vec::new(),
                recovery: Vec::new(),
            };
            let out = open("/f/target");
            encode_stripes((source, &noting), (target, &*out), &mut head, &Progress::default()).unwrap();
            assert_eq!(head.recovery.len() as u64, layout.recovery_shards());
            // What is gathered of a stripe lies together in each row.
            assert_eq!(noting.1.load(Ordering::Relaxed), together * 4096);
        }
    }

    #[test]
    fn a_row_is_of_shards_that_lie_behind_each_other_and_zeros_behind_the_end() {
        // Nine shards and a bit in three stripes.
        let bytes: Vec<u8> = (0..580_u32).map(|n| 1 + (n % 251) as u8).collect();
        let layout = Layout {
            bytes: 580,
            shard_bytes: 64,
            data: 4,
            recovery: 2,
            stripes: 3,
        };
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("/f")).unwrap();
        let path = Path::new("/f/file");
        let file = disk.open(path, OpenMode::Create).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        for (number, first, count) in [
            (0, 0, 3),
            (0, 2, 1),
            (2, 0, 3),
            (2, 1, 2),
            (2, 2, 1),
            (3, 0, 2),
            (3, 2, 1),
        ] {
            let mut row = vec![0xff; count * 64];
            read_row((path, &*file), &layout, (number, first), &mut row).unwrap();
            let shards = bytes.chunks(64).skip((number * 3 + first) as usize).take(count);
            let mut expected = shards.collect::<Vec<_>>().concat();
            expected.resize(count * 64, 0);
            assert_eq!(row, expected, "{number}, {count} from {first}");
        }
        file.set_len(579).unwrap();
        let error = read_row((path, &*file), &layout, (3, 0), &mut [0; 64]).unwrap_err();
        assert!(error.to_string().contains("offset 576"), "{error}");
    }
}
