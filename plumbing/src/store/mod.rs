//! (in preparation: the signatures that other parts may rely on)
use crate::error::{Error, Result};
use crate::object::{HashAlgo, IdPrefix, ObjectId, ObjectKind, ObjectSource};

/// Where an object lies. Ordered by data file, then offset, then slot: reading in this order is sequential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Number of the data file in this process.
    pub file: u32,
    /// Offset of the frame in bytes.
    pub frame: u64,
    /// Number of the object in the frame.
    pub slot: u16,
}

/// A decompressed frame.
#[derive(Debug, Default)]
pub struct Frame {}

impl Frame {
    /// Objects in the frame.
    pub fn count(&self) -> usize {
        0
    }
    /// Kind, id and bytes of one object. The bytes are not hashed: see `Frame::verify`.
    pub fn object(&self, _slot: u16) -> Option<(ObjectKind, ObjectId, &[u8])> {
        None
    }
    /// The bytes of one object after their hash was compared with `id`.
    pub fn verified(&self, _slot: u16, _id: &ObjectId) -> Result<&[u8]> {
        Err(Error::Interrupted)
    }
}

/// Whether an object was added or there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was added.
    New,
    /// It was there.
    Existing,
}

/// The objects of a repository. Cheap to share: all methods take `&self`, from any thread.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// The hash that new ids are made with.
    pub fn algo(&self) -> HashAlgo {
        HashAlgo::Sha256
    }
    /// Whether the object is there.
    pub fn contains(&self, _id: &ObjectId) -> Result<bool> {
        Ok(false)
    }
    /// The kind that the object was stored as.
    pub fn kind_of(&self, _id: &ObjectId) -> Result<Option<ObjectKind>> {
        Ok(None)
    }
    /// The bytes of an object, hash checked.
    pub fn get(&self, _id: &ObjectId) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
    /// Where an object lies.
    pub fn locate(&self, _id: &ObjectId) -> Result<Option<Location>> {
        Ok(None)
    }
    /// Reads and decompresses one frame (`slot` is not looked at), reusing the buffers of `into`.
    pub fn read_frame(&self, _at: Location, _into: &mut Frame) -> Result<()> {
        Ok(())
    }
    /// Ids that begin so: at most `limit`.
    pub fn find_prefix(&self, _prefix: &IdPrefix, _limit: usize) -> Result<Vec<ObjectId>> {
        Ok(Vec::new())
    }
    /// Begins to write. A data file is locked when the first frame is appended.
    pub fn writer(&self) -> Result<Writer<'_>> {
        Err(Error::Interrupted)
    }
}

impl ObjectSource for Store {
    fn object(&self, _kind: ObjectKind, _id: &ObjectId) -> Result<Vec<u8>> {
        Err(Error::Interrupted)
    }
}

/// Adds objects; shared by the threads of one job.
#[derive(Debug)]
pub struct Writer<'s> {
    _s: std::marker::PhantomData<&'s ()>,
}

impl Writer<'_> {
    /// A packer for one thread.
    pub fn packer(&self) -> Packer<'_> {
        Packer {
            _s: std::marker::PhantomData,
        }
    }
    /// Makes everything that packers have flushed durable. After this returns a ref may name it.
    pub fn commit(&self) -> Result<()> {
        Err(Error::Interrupted)
    }
}

/// Groups objects into frames, for one thread.
#[derive(Debug)]
pub struct Packer<'w> {
    _s: std::marker::PhantomData<&'w ()>,
}

impl Packer<'_> {
    /// Hashes and adds an object.
    pub fn put(&mut self, _kind: ObjectKind, _bytes: &[u8]) -> Result<(ObjectId, Added)> {
        Err(Error::Interrupted)
    }
    /// Adds an object whose id is known to be the hash of `bytes`.
    pub fn put_hashed(&mut self, _kind: ObjectKind, _id: ObjectId, _bytes: &[u8]) -> Result<Added> {
        Err(Error::Interrupted)
    }
    /// Hands what is grouped to the appender. Must be called before `Writer::commit`.
    pub fn flush(&mut self) -> Result<()> {
        Err(Error::Interrupted)
    }
}
