//! Where a sparse file has data, by `SEEK_DATA` and `SEEK_HOLE`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// A run of bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Offset of its first byte.
    pub offset: u64,
    /// Length in bytes, at least one.
    pub bytes: u64,
}

/// The ranges of data among the first `size` bytes of `file`, in order; what lies between them is holes.
///
/// The whole file is one range where the file system does not tell. The iterator moves the file's position, so read
/// with positional reads. A file that others write to may gain data in what was told to be a hole: compare
/// [`stat_fd`](super::stat_fd) afterwards.
pub fn hole_map(file: &impl AsFd, size: u64) -> DataRanges<'_> {
    DataRanges {
        file: file.as_fd(),
        at: 0,
        size,
    }
}

/// The ranges of data of a file, in order.
#[derive(Debug)]
pub struct DataRanges<'f> {
    file: BorrowedFd<'f>,
    at: u64,
    size: u64,
}

impl DataRanges<'_> {
    fn advance(&mut self) -> io::Result<Option<Range>> {
        if self.at >= self.size {
            return Ok(None);
        }
        let start = match rustix::fs::seek(self.file, SeekFrom::Data(self.at)) {
            Ok(start) => start,
            // No data from here to the end.
            Err(Errno::NXIO) => self.size,
            Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => self.at,
            Err(e) => return Err(e.into()),
        };
        if start >= self.size {
            self.at = self.size;
            return Ok(None);
        }
        let end = match rustix::fs::seek(self.file, SeekFrom::Hole(start)) {
            // A file that shrank or a driver that stands still must not turn this into an endless loop.
            Ok(end) if end > start => end.min(self.size),
            Ok(_) | Err(Errno::INVAL | Errno::NXIO | Errno::NOTSUP | Errno::NOSYS) => self.size,
            Err(e) => return Err(e.into()),
        };
        self.at = end;
        Ok(Some(Range {
            offset: start,
            bytes: end - start,
        }))
    }
}

impl Iterator for DataRanges<'_> {
    type Item = io::Result<Range>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.at = self.size;
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn ranges(file: &std::fs::File, size: u64) -> Vec<(u64, u64)> {
        hole_map(file, size)
            .map(|range| range.map(|range| (range.offset, range.bytes)).unwrap())
            .collect()
    }

    #[test]
    fn data_between_holes_is_found() {
        let file = tempfile::tempfile().unwrap();
        let size = 10 << 30;
        file.set_len(size).unwrap();
        assert_eq!(ranges(&file, size), []);
        let page = vec![7; 65_536];
        file.write_all_at(&page, 1 << 30).unwrap();
        file.write_all_at(&page, size - 65_536).unwrap();
        assert_eq!(ranges(&file, size), [(1 << 30, 65_536), (size - 65_536, 65_536)]);
    }

    #[test]
    fn ranges_end_where_the_caller_says_the_file_does() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 100_000], 0).unwrap();
        assert_eq!(ranges(&file, 100_000), [(0, 100_000)]);
        assert_eq!(ranges(&file, 5), [(0, 5)]);
        assert_eq!(ranges(&file, 0), []);
        // A file that shrank after its size was seen: what is gone is a hole, and the second stat will tell.
        assert_eq!(ranges(&file, 1 << 40), [(0, 100_000)]);
    }

    #[test]
    fn what_cannot_seek_to_data_is_one_range() {
        let file = std::fs::File::open("/proc/self/maps").unwrap();
        assert_eq!(ranges(&file, 10), [(0, 10)]);
    }
}
