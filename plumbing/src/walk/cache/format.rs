//! Constants of the file (object-format.md, "Stat cache"). All integers have their lowest byte first.

use super::key::DIR_KEY_BYTES;

/// The first eight bytes.
pub(super) const MAGIC: [u8; 8] = *b"ghstat\r\n";
/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;

/// Length of the header in bytes.
pub(super) const HEADER_BYTES: usize = 128;
/// Offset of the version, 4 bytes; 4 zero bytes follow.
pub(super) const VERSION_AT: usize = 8;
/// Offset of the uuid of the repository, 16 bytes.
pub(super) const REPOSITORY_AT: usize = 16;
/// Offset of the digest of what is scanned, 32 bytes.
pub(super) const SCAN_AT: usize = 32;
/// Offset of the secret, 32 bytes.
pub(super) const SECRET_AT: usize = 64;
/// Offset of the count of fingerprints, 8 bytes.
pub(super) const FINGERPRINTS_AT: usize = 96;
/// Offset of the count of directories, 8 bytes.
pub(super) const DIRECTORIES_AT: usize = 104;
/// Offset of the generation of the store that the scan relied on, 8 bytes.
pub(super) const GENERATION_AT: usize = 112;
/// Offset of the XXH3-64 of the header before it, 8 bytes.
pub(super) const HEADER_CHECK_AT: usize = 120;

/// Length of a fingerprint in bytes.
pub(super) const FINGERPRINT_BYTES: usize = 8;

/// Length of a directory in bytes.
pub(super) const DIRECTORY_BYTES: usize = 64;
/// Offset of its tree's digest in a directory, 32 bytes.
pub(super) const DIGEST_AT: usize = DIR_KEY_BYTES;
/// Offset of the number of its first fingerprint, 8 bytes.
pub(super) const START_AT: usize = 48;
/// Offset of the count of its fingerprints, 4 bytes.
pub(super) const COUNT_AT: usize = 56;
/// Offset of the hash function of its tree's id, 1 byte; 3 zero bytes follow.
pub(super) const ALGO_AT: usize = 60;

/// Length of the XXH3-128 of all bytes before it, at the end of the file.
pub(super) const CHECK_BYTES: usize = 16;

/// The integer at an offset that is known to lie within `bytes`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// The array at an offset that is known to lie within `bytes`.
pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
