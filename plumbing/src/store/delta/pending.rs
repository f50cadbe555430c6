//! What waits to be compressed against bases: gathered by all threads of a job, so that what lies together in old frames
//! comes together, and each of these is decompressed about once.

use std::ops::Range;

use crate::object::{ObjectId, ObjectKind};
use crate::store::Class;

/// Bytes that are gathered. Two lists are in memory at a time, one of which a thread works on.
const RAW_BYTES: usize = 8 << 20;
/// Objects that are gathered.
const OBJECTS: usize = 2048;

/// Objects that wait.
#[derive(Debug, Default)]
pub struct Pending {
    raw: Vec<u8>,
    pub objects: Vec<Waiting>,
}

/// One of them.
#[derive(Debug)]
pub struct Waiting {
    pub id: ObjectId,
    pub kind: ObjectKind,
    /// Where it goes if a delta does not pay.
    pub class: Class,
    /// What it may be like, in the order in which it would follow.
    pub bases: Vec<ObjectId>,
    range: Range<usize>,
}

impl Pending {
    /// Adds an object and says whether the list is full.
    pub fn push(&mut self, (class, kind, id): (Class, ObjectKind, ObjectId), bytes: &[u8], bases: &[ObjectId]) -> bool {
        let start = self.raw.len();
        self.raw.extend_from_slice(bytes);
        self.objects.push(Waiting {
            id,
            kind,
            class,
            bases: bases.to_vec(),
            range: start..self.raw.len(),
        });
        self.raw.len() >= RAW_BYTES || self.objects.len() >= OBJECTS
    }

    /// The bytes of an object.
    pub fn bytes(&self, object: &Waiting) -> &[u8] {
        &self.raw[object.range.clone()]
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}
