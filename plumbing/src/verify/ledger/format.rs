//! The bytes of the ledger (object-format.md, "Checked data").

use std::collections::BTreeMap;
use std::path::Path;

use hashbrown::HashSet;

use super::{Extent, Ledger, Proof, Read};
use crate::error::{Error, Result};
use crate::object::{HashAlgo, ObjectId, ObjectKind};

const MAGIC: &[u8; 8] = b"ghchck\r\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
const CHECK_BYTES: usize = 32;
const FILE_BYTES: usize = 48;
const PROOF_BYTES: usize = 36;

impl Ledger {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + CHECK_BYTES + FILE_BYTES * self.files.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.repository);
        for count in [self.files.len(), self.proven.len(), 0, 0] {
            out.extend_from_slice(&(count as u64).to_le_bytes());
        }
        for (id, read) in &self.files {
            out.extend_from_slice(id);
            out.extend_from_slice(&read.mark);
            out.extend_from_slice(&read.bytes.to_le_bytes());
            out.extend_from_slice(&(read.extents.len() as u64).to_le_bytes());
            for extent in &read.extents {
                out.extend_from_slice(&extent.from.to_le_bytes());
                out.extend_from_slice(&extent.to.to_le_bytes());
                out.extend_from_slice(&extent.seconds.to_le_bytes());
            }
        }
        let mut proofs: Vec<[u8; PROOF_BYTES]> = self.proven.iter().map(encode_proof).collect();
        proofs.sort_unstable();
        proofs.iter().for_each(|proof| out.extend_from_slice(proof));
        let check = blake3::hash(&out);
        out.extend_from_slice(check.as_bytes());
        out
    }

    /// Reads the bytes of the file at `path`.
    pub fn decode(path: &Path, bytes: &[u8], repository: [u8; 16]) -> Result<Self> {
        let damaged = |offset: usize, expected: &str| Error::damaged(path, offset as u64, expected, "something else");
        let Some((body, check)) = bytes.split_last_chunk::<CHECK_BYTES>() else {
            return Err(damaged(0, "a header and a check"));
        };
        if body.len() < HEADER_BYTES || &body[..8] != MAGIC {
            return Err(damaged(0, "the magic \"ghchck\""));
        }
        if blake3::hash(body) != *check {
            return Err(damaged(body.len(), "the check of the file"));
        }
        let mut reader = Reader { bytes: body, at: 8 };
        if u32::from_le_bytes(reader.take().ok_or_else(|| damaged(8, "a version"))?) != VERSION {
            return Err(damaged(8, "version 1"));
        }
        let read = reader.ledger(repository);
        read.filter(|_| reader.at == body.len())
            .ok_or_else(|| damaged(reader.at, "the records that the header announces, of this repository"))
    }
}

fn encode_proof(proof: &Proof) -> [u8; PROOF_BYTES] {
    let mut out = [0; PROOF_BYTES];
    out[..32].copy_from_slice(proof.id.padded());
    out[32] = proof.id.algo() as u8;
    out[33] = proof.kind as u8;
    out[34] = match proof.needs_data {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    };
    out
}

/// Reads fields from front to back; `None` behind the end and where a field has no meaning.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let field = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn ledger(&mut self, repository: [u8; 16]) -> Option<Ledger> {
        let reserved: [u8; 4] = self.take()?;
        let uuid: [u8; 16] = self.take()?;
        let (files, proofs) = (self.number()?, self.number()?);
        let zeros: [u8; 16] = self.take()?;
        if reserved != [0; 4] || uuid != repository || zeros != [0; 16] {
            return None;
        }
        let mut found = BTreeMap::new();
        for _ in 0..files {
            let (id, read) = self.file()?;
            found.insert(id, read);
        }
        let mut proven = HashSet::new();
        for _ in 0..proofs {
            proven.insert(self.proof()?);
        }
        Some(Ledger {
            repository,
            files: found,
            proven,
        })
    }

    fn file(&mut self) -> Option<([u8; 16], Read)> {
        let (id, mark, bytes, count) = (self.take()?, self.take()?, self.number()?, self.number()?);
        let mut extents = Vec::new();
        for _ in 0..count {
            let (from, to) = (self.number()?, self.number()?);
            let seconds = i64::from_le_bytes(self.take()?);
            let in_order = extents.last().is_none_or(|last: &Extent| last.to <= from);
            if from >= to || to > bytes || !in_order {
                return None;
            }
            extents.push(Extent { from, to, seconds });
        }
        Some((id, Read { mark, bytes, extents }))
    }

    fn proof(&mut self) -> Option<Proof> {
        let digest: [u8; 32] = self.take()?;
        let [algo, kind, needs_data, zero] = self.take()?;
        let needs_data = match needs_data {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            _ => return None,
        };
        (zero == 0).then_some(())?;
        Some(Proof {
            id: ObjectId::from_padded(HashAlgo::from_byte(algo)?, digest)?,
            kind: ObjectKind::from_byte(kind)?,
            needs_data,
        })
    }
}
