//! Which cache belongs to which scan, and the keys under which directories are found in it.

use std::fmt;
use std::io;

use crate::disk::Disk;

/// Bytes of the digest that names a directory.
pub(super) const DIR_KEY_BYTES: usize = 16;

/// Whose cache it is: a repository, and a scan of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheIdentity {
    /// The uuid of the repository that the trees are in.
    pub repository: [u8; 16],
    /// A digest of what makes two scans comparable.
    pub scan: [u8; 32],
}

impl CacheIdentity {
    /// The identity of scans that agree in all `parts`: the root's path, its rules, the hash of ids, and what else
    /// decides the tree of an unchanged directory.
    pub fn new(repository: [u8; 16], parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("ghost stat cache: identity of a scan, version 1");
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self {
            repository,
            scan: *hasher.finalize().as_bytes(),
        }
    }

    /// The name of the file under `.ghost/cache/`: 32 hexadecimal digits.
    pub fn file_name(&self) -> String {
        self.scan[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The random bytes of a cache that nobody without access to it knows. From them come the keys of fingerprints and of
/// directories, so that who controls names and times of files cannot look for two that collide.
#[derive(Clone)]
pub struct CacheSecret {
    bytes: [u8; 32],
    directories: [u8; 32],
    fingerprints: [u64; 2],
}

impl fmt::Debug for CacheSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheSecret(..)")
    }
}

impl CacheSecret {
    /// A new one.
    pub fn random(disk: &dyn Disk) -> io::Result<Self> {
        let mut bytes = [0; 32];
        disk.random(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        let derived = blake3::derive_key("ghost stat cache: fingerprints, version 1", &bytes);
        let word = |at: usize| u64::from_le_bytes(derived[at..at + 8].try_into().unwrap_or_default());
        Self {
            bytes,
            directories: blake3::derive_key("ghost stat cache: directories, version 1", &bytes),
            fingerprints: [word(0), word(8)],
        }
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(super) fn fingerprint_keys(&self) -> [u64; 2] {
        self.fingerprints
    }

    /// The key of the root.
    pub fn root(&self) -> DirKey {
        self.key(&[])
    }

    /// The key of a directory in the one that has the key `parent`. It depends on all names from the root down, and
    /// costs the same at any depth.
    pub fn child(&self, parent: &DirKey, name: &[u8]) -> DirKey {
        let mut message = Vec::with_capacity(DIR_KEY_BYTES + name.len());
        message.extend_from_slice(&parent.0);
        message.extend_from_slice(name);
        self.key(&message)
    }

    fn key(&self, message: &[u8]) -> DirKey {
        let mut key = [0; DIR_KEY_BYTES];
        key.copy_from_slice(&blake3::keyed_hash(&self.directories, message).as_bytes()[..DIR_KEY_BYTES]);
        DirKey(key)
    }
}

/// Names a directory of a root: a keyed digest of the names that lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirKey(pub(super) [u8; DIR_KEY_BYTES]);
