//! Sharing blocks in place: `FIDEDUPERANGE`, by which the kernel locks both files, compares them and shares what is
//! equal, in one step. Nothing of the files but where their bytes lie is changed.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::io::Errno;
use rustix::ioctl::{Direction, Opcode, Updater, ioctl, opcode};

use super::{Opened, passed_over};
use crate::error::{Error, Result};

/// Bytes that one call is asked for: more than some file systems do at once, and a multiple of every block.
const STEP_BYTES: u64 = 16 << 20;
/// `_IOWR(0x94, 54, struct file_dedupe_range)`, whose size is that of its head.
const FIDEDUPERANGE: Opcode = opcode::from_components(Direction::ReadWrite, 0x94, 54, 24);
/// `FILE_DEDUPE_RANGE_DIFFERS`.
const DIFFERS: i32 = 1;

/// `struct file_dedupe_range` with one `struct file_dedupe_range_info` (linux/fs.h).
#[repr(C)]
struct Request {
    src_offset: u64,
    src_length: u64,
    dest_count: u16,
    reserved1: u16,
    reserved2: u32,
    dest_fd: i64,
    dest_offset: u64,
    bytes_deduped: u64,
    status: i32,
    reserved: u32,
}

/// Lets `other` share the blocks of `keep`, whose bytes are the same.
pub(super) fn share(keep: &Opened, other: &Opened) -> Result<()> {
    let mut offset = 0;
    while offset < keep.stat.size {
        let wanted = STEP_BYTES.min(keep.stat.size - offset);
        let (status, done) =
            step(keep, other.file.as_raw_fd(), offset, wanted).map_err(|errno| refused(other, errno))?;
        match status {
            0 if done > 0 => offset += done,
            DIFFERS | 0 => {
                return Err(passed_over(
                    &other.path,
                    "its bytes are no longer those of the file that stays",
                ));
            }
            status => return Err(refused(other, Errno::from_raw_os_error(-status))),
        }
    }
    Ok(())
}

fn refused(other: &Opened, errno: Errno) -> Error {
    match errno {
        Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL => Error::io("share the blocks of", &other.path)(
            io::Error::new(io::ErrorKind::Unsupported, "its file system does not share blocks"),
        ),
        errno => Error::sys("share the blocks of", &other.path)(errno),
    }
}

/// One call: its status, and how many bytes are shared now.
fn step(keep: &Opened, dest: RawFd, offset: u64, bytes: u64) -> rustix::io::Result<(i32, u64)> {
    let mut request = Request {
        src_offset: offset,
        src_length: bytes,
        dest_count: 1,
        reserved1: 0,
        reserved2: 0,
        dest_fd: i64::from(dest),
        dest_offset: offset,
        bytes_deduped: 0,
        status: 0,
        reserved: 0,
    };
    // SAFETY: the request has the layout that the call reads and writes: a head that says one destination, and that
    // destination. `dest` is open as long as the `Opened` that it came from.
    unsafe {
        let call = Updater::<{ FIDEDUPERANGE }, Request>::new(&mut request);
        ioctl(&keep.file, call)?;
    }
    Ok((request.status, request.bytes_deduped))
}
