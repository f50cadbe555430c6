//! Names of blocks: the plain hash of their bytes, tagged with the name of the hash
//! (object-format.md, "Ids").

use std::fmt;
use std::io;
use std::str::FromStr;

use sha2::Digest as _;

use crate::error::{Error, Result};
use crate::object::codec::Reader;
use crate::object::sha256::Running;

/// Bytes of the longest digest.
pub const DIGEST_BYTES_MAX: usize = 32;

/// A hash function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum HashAlgo {
    /// SHA-256 (FIPS 180-4), the default.
    #[default]
    Sha256 = 1,
    /// BLAKE3.
    Blake3 = 2,
    /// SHA3-256 (FIPS 202).
    Sha3_256 = 3,
    /// SHA-1: ids of it are read and verified, never made.
    Sha1 = 4,
}

impl HashAlgo {
    /// Those that a repository may be made with.
    pub const WRITABLE: [HashAlgo; 3] = [HashAlgo::Sha256, HashAlgo::Blake3, HashAlgo::Sha3_256];

    /// From the byte in an encoding.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Sha256,
            2 => Self::Blake3,
            3 => Self::Sha3_256,
            4 => Self::Sha1,
            _ => return None,
        })
    }

    /// The tag in front of the hex digits.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Sha3_256 => "sha3-256",
            Self::Sha1 => "sha1",
        }
    }

    /// Length of a digest in bytes.
    pub fn digest_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            _ => 32,
        }
    }
}

impl FromStr for HashAlgo {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Sha256, Self::Blake3, Self::Sha3_256, Self::Sha1]
            .into_iter()
            .find(|algo| algo.name() == name)
            .ok_or_else(|| Error::invalid("hash", name, "expected sha256, blake3 or sha3-256"))
    }
}

impl fmt::Display for HashAlgo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Hashes a stream.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Running),
    /// BLAKE3.
    Blake3(Box<blake3::Hasher>),
    /// SHA3-256.
    Sha3_256(Box<sha3::Sha3_256>),
    /// SHA-1.
    Sha1(sha1::Sha1),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({})", self.algo())
    }
}

impl Hasher {
    /// A hasher with nothing in it.
    pub fn new(algo: HashAlgo) -> Self {
        match algo {
            HashAlgo::Sha256 => Self::Sha256(Running::default()),
            HashAlgo::Blake3 => Self::Blake3(Box::new(blake3::Hasher::new())),
            HashAlgo::Sha3_256 => Self::Sha3_256(Box::new(sha3::Sha3_256::new())),
            HashAlgo::Sha1 => Self::Sha1(sha1::Sha1::new()),
        }
    }

    /// Which function this is.
    pub fn algo(&self) -> HashAlgo {
        match self {
            Self::Sha256(_) => HashAlgo::Sha256,
            Self::Blake3(_) => HashAlgo::Blake3,
            Self::Sha3_256(_) => HashAlgo::Sha3_256,
            Self::Sha1(_) => HashAlgo::Sha1,
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(h) => h.update(bytes),
            Self::Blake3(h) => {
                h.update(bytes);
            }
            Self::Sha3_256(h) => h.update(bytes),
            Self::Sha1(h) => h.update(bytes),
        }
    }

    /// The id of all bytes taken.
    pub fn finish(self) -> ObjectId {
        let algo = self.algo();
        match self {
            Self::Sha256(h) => h.finish(),
            Self::Blake3(h) => ObjectId::from_bytes(algo, h.finalize().as_bytes()),
            Self::Sha3_256(h) => ObjectId::from_bytes(algo, &h.finalize()),
            Self::Sha1(h) => ObjectId::from_bytes(algo, &h.finalize()),
        }
    }
}

/// What is written is hashed; nothing fails.
impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The name of a block: a hash function and the digest of the block's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId {
    algo: HashAlgo,
    /// Shorter digests are followed by zeros.
    digest: [u8; DIGEST_BYTES_MAX],
}

impl std::hash::Hash for ObjectId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // Digests are uniform: eight bytes spread as well as all of them.
        state.write_u64(self.prefix());
    }
}

impl ObjectId {
    /// The id of `bytes`.
    pub fn hash(algo: HashAlgo, bytes: &[u8]) -> Self {
        match algo {
            HashAlgo::Sha256 => Self {
                algo,
                digest: sha2::Sha256::digest(bytes).into(),
            },
            HashAlgo::Blake3 => Self {
                algo,
                digest: *blake3::hash(bytes).as_bytes(),
            },
            _ => {
                let mut hasher = Hasher::new(algo);
                hasher.update(bytes);
                hasher.finish()
            }
        }
    }

    pub(super) fn from_bytes(algo: HashAlgo, bytes: &[u8]) -> Self {
        let mut digest = [0; DIGEST_BYTES_MAX];
        digest[..bytes.len()].copy_from_slice(bytes);
        Self { algo, digest }
    }

    /// An id from a digest of the right length.
    pub fn from_digest(algo: HashAlgo, digest: &[u8]) -> Option<Self> {
        (digest.len() == algo.digest_bytes()).then(|| Self::from_bytes(algo, digest))
    }

    /// An id from a digest that is padded with zeros to 32 bytes, as data files keep it.
    pub fn from_padded(algo: HashAlgo, digest: [u8; DIGEST_BYTES_MAX]) -> Option<Self> {
        digest[algo.digest_bytes()..]
            .iter()
            .all(|&b| b == 0)
            .then_some(Self { algo, digest })
    }

    /// The hash function.
    pub fn algo(&self) -> HashAlgo {
        self.algo
    }

    /// The digest.
    pub fn digest(&self) -> &[u8] {
        &self.digest[..self.algo.digest_bytes()]
    }

    /// The digest, padded with zeros to 32 bytes.
    pub fn padded(&self) -> &[u8; DIGEST_BYTES_MAX] {
        &self.digest
    }

    /// The first eight bytes of the digest, big-endian: what an index is sorted by. It never decides equality.
    pub fn prefix(&self) -> u64 {
        u64::from_be_bytes(self.digest[..8].try_into().unwrap_or_default())
    }

    /// The digest in hexadecimal digits.
    pub fn hex(&self) -> String {
        let mut out = String::with_capacity(64);
        for byte in self.digest() {
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        out
    }

    /// Appends the encoding: the byte of the hash function and the digest.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.algo as u8);
        out.extend_from_slice(self.digest());
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let byte = reader.byte()?;
        let algo =
            HashAlgo::from_byte(byte).ok_or_else(|| reader.malformed(format_args!("unknown hash function {byte}")))?;
        Ok(Self::from_bytes(algo, reader.take(algo.digest_bytes())?))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algo, self.hex())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = Error;

    /// Takes `sha256:<hex>`, `<hex>.sha256`, or a plain `<hex>` of 64 digits, which is SHA-256.
    fn from_str(text: &str) -> Result<Self> {
        let prefix = IdPrefix::from_str(text)?;
        prefix.full().ok_or_else(|| {
            Error::invalid(
                "id",
                text,
                format_args!(
                    "expected {} hexadecimal digits",
                    2 * prefix.algo_or_default().digest_bytes()
                ),
            )
        })
    }
}

/// The beginning of an id, of seven digits or more, or a whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPrefix {
    /// The hash function, where the text named one.
    pub algo: Option<HashAlgo>,
    nibbles: usize,
    digest: [u8; DIGEST_BYTES_MAX],
}

impl IdPrefix {
    /// Fewest digits that name an id.
    pub const DIGITS_MIN: usize = 7;

    fn algo_or_default(&self) -> HashAlgo {
        self.algo.unwrap_or_default()
    }

    /// The id, if no digit is missing. An untagged one is of `default`.
    pub fn full_or(&self, default: HashAlgo) -> Option<ObjectId> {
        let algo = self.algo.unwrap_or(default);
        (self.nibbles == 2 * algo.digest_bytes()).then_some(ObjectId {
            algo,
            digest: self.digest,
        })
    }

    /// The id, if no digit is missing; an untagged one is of SHA-256.
    pub fn full(&self) -> Option<ObjectId> {
        self.full_or(HashAlgo::Sha256)
    }

    /// Whether `id` begins so.
    pub fn matches(&self, id: &ObjectId) -> bool {
        let whole = self.nibbles / 2;
        self.algo.is_none_or(|algo| algo == id.algo)
            && id.digest[..whole] == self.digest[..whole]
            && (self.nibbles.is_multiple_of(2) || id.digest[whole] >> 4 == self.digest[whole] >> 4)
    }

    /// The lowest and highest [`ObjectId::prefix`] that an id with this beginning has.
    pub fn range(&self) -> (u64, u64) {
        let low = u64::from_be_bytes(self.digest[..8].try_into().unwrap_or_default());
        let free_bits = 64usize.saturating_sub(4 * self.nibbles);
        let mask = if free_bits == 0 {
            0
        } else {
            u64::MAX >> (64 - free_bits)
        };
        (low, low | mask)
    }
}

impl FromStr for IdPrefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (algo, hex) = if let Some((tag, hex)) = text.split_once(':') {
            (Some(tag.parse::<HashAlgo>()?), hex)
        } else if let Some((hex, tag)) = text.split_once('.') {
            (Some(tag.parse::<HashAlgo>()?), hex)
        } else {
            (None, text)
        };
        let digits_max = 2 * algo.unwrap_or_default().digest_bytes();
        if hex.len() < Self::DIGITS_MIN || hex.len() > digits_max {
            let problem = format!(
                "expected {} to {digits_max} hexadecimal digits, found {}",
                Self::DIGITS_MIN,
                hex.len()
            );
            return Err(Error::invalid("id", text, problem));
        }
        let mut digest = [0; DIGEST_BYTES_MAX];
        for (i, digit) in hex.bytes().enumerate() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return Err(Error::invalid("id", text, "expected hexadecimal digits")),
            };
            digest[i / 2] |= if i % 2 == 0 { value << 4 } else { value };
        }
        Ok(Self {
            algo,
            nibbles: hex.len(),
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_other_tools() {
        // `printf abc | sha256sum`, `b3sum`, `openssl dgst -sha3-256`, `sha1sum`
        let known = [
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
            "sha3-256:3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
            "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
        ];
        for text in known {
            let id: ObjectId = text.parse().unwrap();
            assert_eq!(ObjectId::hash(id.algo(), b"abc"), id);
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn prefixes() {
        let id = ObjectId::hash(HashAlgo::Sha256, b"abc");
        for text in [
            "ba7816bf8",
            "sha256:ba7816bf",
            "ba7816b.sha256",
            "BA7816BF8f01cfea414140",
        ] {
            let prefix: IdPrefix = text.parse().unwrap();
            assert!(prefix.matches(&id), "{text}");
            let (low, high) = prefix.range();
            assert!(low <= id.prefix() && id.prefix() <= high);
        }
        assert!(!"ba7816c".parse::<IdPrefix>().unwrap().matches(&id));
        assert!(!"blake3:ba7816b".parse::<IdPrefix>().unwrap().matches(&id));
        for bad in ["ba7816", "sha256:xyzxyzx", "md5:ba7816bf8", &"a".repeat(65)] {
            assert!(bad.parse::<IdPrefix>().is_err(), "{bad}");
        }
    }
}
