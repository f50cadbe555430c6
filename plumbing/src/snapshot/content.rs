//! Storing the bytes of one content: cut, hash, put, list.

use std::io::Read;

use crate::chunk::{Chunker, Follows, Params, Part};
use crate::error::{Error, Result};
use crate::object::{ContentRef, HashAlgo, Hasher, IndirectBuilder, ObjectId, ObjectKind};
use crate::store::{Class, LARGE_FILE_BYTES, Packer};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

/// Takes the objects of a content.
pub trait Sink {
    /// The hash of new ids.
    fn algo(&self) -> HashAlgo;
    /// Takes an object.
    fn put(&mut self, class: Class, kind: ObjectKind, bytes: &[u8]) -> Result<ObjectId>;
}

impl Sink for Packer<'_> {
    fn algo(&self) -> HashAlgo {
        self.store().algo()
    }

    fn put(&mut self, class: Class, kind: ObjectKind, bytes: &[u8]) -> Result<ObjectId> {
        let id = ObjectId::hash(self.store().algo(), bytes);
        self.put_in(class, kind, id, bytes)?;
        Ok(id)
    }
}

/// Computes ids and stores nothing.
#[derive(Clone, Copy, Debug)]
pub struct HashOnly(pub HashAlgo);

impl Sink for HashOnly {
    fn algo(&self) -> HashAlgo {
        self.0
    }

    fn put(&mut self, _class: Class, _kind: ObjectKind, bytes: &[u8]) -> Result<ObjectId> {
        Ok(ObjectId::hash(self.0, bytes))
    }
}

/// The class of a file's blocks.
pub fn class_of(file_bytes: u64) -> Class {
    if file_bytes >= LARGE_FILE_BYTES {
        Class::Large
    } else {
        Class::Small
    }
}

/// A stored content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Names the bytes.
    pub content: ContentRef,
    /// The plain hash of all bytes, where the content is not one block.
    pub fullhash: Option<ObjectId>,
}

/// Stores a content that is in memory as a whole.
pub fn store_bytes(sink: &mut dyn Sink, params: Params, bytes: &[u8], parts: &mut Vec<Part>) -> Result<Stored> {
    let class = class_of(bytes.len() as u64);
    let whole = ContentRef::Block {
        id: ObjectId::hash(sink.algo(), &[]),
        bytes: bytes.len() as u64,
    };
    if bytes.len() <= params.min {
        let id = sink.put(class, ObjectKind::Block, bytes)?;
        return Ok(Stored {
            content: with_id(whole, id),
            fullhash: None,
        });
    }
    parts.clear();
    Chunker::new(params).cut(bytes, Follows::End, parts);
    if let [Part::Data { .. }] = parts[..] {
        let id = sink.put(class, ObjectKind::Block, bytes)?;
        return Ok(Stored {
            content: with_id(whole, id),
            fullhash: None,
        });
    }
    let mut builder = IndirectBuilder::new(sink.algo());
    for part in parts.iter() {
        let part = store_part(sink, class, bytes, part)?;
        builder.push(part, &mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
    }
    let content = builder.finish(&mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
    Ok(Stored {
        content,
        fullhash: Some(ObjectId::hash(sink.algo(), bytes)),
    })
}

fn with_id(block: ContentRef, id: ObjectId) -> ContentRef {
    ContentRef::Block { id, bytes: block.len() }
}

/// Stores one part of `buffer`.
pub fn store_part(sink: &mut dyn Sink, class: Class, buffer: &[u8], part: &Part) -> Result<ContentRef> {
    Ok(match *part {
        Part::Zeros { bytes } => ContentRef::Run { byte: 0, bytes },
        Part::Data { start, bytes, .. } => {
            let id = sink.put(class, ObjectKind::Block, &buffer[start..start + bytes])?;
            ContentRef::Block {
                id,
                bytes: bytes as u64,
            }
        }
    })
}

/// Stores a content of unknown length, read to its end, on one thread. Gives its length too.
pub fn store_reader(sink: &mut dyn Sink, params: Params, reader: &mut dyn Read) -> Result<(Stored, u64)> {
    let mut chunker = Chunker::new(params);
    let mut builder = IndirectBuilder::new(sink.algo());
    let mut hasher = Hasher::new(sink.algo());
    let (mut buffer, mut parts) = (vec![0; READ_BYTES.max(chunker.buffer_bytes_min())], Vec::new());
    let (mut filled, mut total) = (0, 0);
    loop {
        let found = read_full(reader, &mut buffer[filled..])?;
        let ends = filled + found < buffer.len();
        hasher.update(&buffer[filled..filled + found]);
        total += found as u64;
        filled += found;
        if ends && total == filled as u64 {
            // All of it is in memory: small ones take the short way.
            return Ok((store_bytes(sink, params, &buffer[..filled], &mut parts)?, total));
        }
        let taken = chunker.cut(
            &buffer[..filled],
            if ends { Follows::End } else { Follows::Data },
            &mut parts,
        );
        for part in parts.drain(..) {
            let part = store_part(sink, Class::Large, &buffer, &part)?;
            builder.push(part, &mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
        }
        buffer.copy_within(taken..filled, 0);
        filled -= taken;
        if ends {
            break;
        }
    }
    let content = builder.finish(&mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
    Ok((stored(content, hasher.finish()), total))
}

/// Leaves the hash of the whole out where the content says it.
pub fn stored(content: ContentRef, fullhash: ObjectId) -> Stored {
    let fullhash = (!matches!(content, ContentRef::Block { .. })).then_some(fullhash);
    Stored { content, fullhash }
}

fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(found) => filled += found,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("read", "the input")(e)),
        }
    }
    Ok(filled)
}
