//! Storing the bytes of one content: cut, hash, put, list.

use std::io::Read;

use crate::chunk::{Chunker, Follows, Params, Part};
use crate::error::{Error, Result};
use crate::object::sha256x2::hash_all;
use crate::object::{ContentRef, HashAlgo, Hasher, IndirectBuilder, ObjectId, ObjectKind};
use crate::store::{Class, LARGE_FILE_BYTES, Packer};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

/// Takes the objects of a content.
pub trait Sink {
    /// The hash of new ids.
    fn algo(&self) -> HashAlgo;
    /// Takes an object whose id is known.
    fn put_hashed(&mut self, class: Class, kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<()>;

    /// Takes an object.
    fn put(&mut self, class: Class, kind: ObjectKind, bytes: &[u8]) -> Result<ObjectId> {
        let id = ObjectId::hash(self.algo(), bytes);
        self.put_hashed(class, kind, id, bytes)?;
        Ok(id)
    }
}

impl Sink for Packer<'_> {
    fn algo(&self) -> HashAlgo {
        self.store().algo()
    }

    fn put_hashed(&mut self, class: Class, kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<()> {
        self.put_in(class, kind, id, bytes)?;
        Ok(())
    }
}

/// Computes ids and stores nothing.
#[derive(Clone, Copy, Debug)]
pub struct HashOnly(pub HashAlgo);

impl Sink for HashOnly {
    fn algo(&self) -> HashAlgo {
        self.0
    }

    fn put_hashed(&mut self, _class: Class, _kind: ObjectKind, _id: ObjectId, _bytes: &[u8]) -> Result<()> {
        Ok(())
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

/// Stores contents that are in memory as a whole. Hashing many at once is faster than one after another.
pub fn store_many(sink: &mut dyn Sink, params: Params, contents: &[&[u8]]) -> Result<Vec<Stored>> {
    // Where a content is one block there are no parts; else the whole comes before its parts.
    let mut parts: Vec<Vec<Part>> = Vec::with_capacity(contents.len());
    let mut messages: Vec<&[u8]> = Vec::with_capacity(contents.len());
    for content in contents {
        let mut cut = Vec::new();
        if content.len() > params.min {
            Chunker::new(params).cut(content, Follows::End, &mut cut);
        }
        if matches!(cut[..], [Part::Data { .. }]) {
            cut.clear();
        }
        messages.push(content);
        messages.extend(cut.iter().filter_map(|part| data_of(content, part)));
        parts.push(cut);
    }
    let mut ids = hash_all(sink.algo(), &messages).into_iter();
    let mut next = || {
        ids.next()
            .ok_or_else(|| Error::invalid("content", "hashes", "fewer than messages"))
    };
    let mut out = Vec::with_capacity(contents.len());
    for (content, parts) in contents.iter().zip(parts) {
        let class = class_of(content.len() as u64);
        let whole = next()?;
        if parts.is_empty() {
            sink.put_hashed(class, ObjectKind::Block, whole, content)?;
            let content = ContentRef::Block {
                id: whole,
                bytes: content.len() as u64,
            };
            out.push(Stored {
                content,
                fullhash: None,
            });
            continue;
        }
        let mut builder = IndirectBuilder::new(sink.algo());
        for part in &parts {
            let part = match *part {
                Part::Zeros { bytes } => ContentRef::Run { byte: 0, bytes },
                Part::Data { start, bytes, .. } => put_block(sink, class, next()?, &content[start..start + bytes])?,
            };
            builder.push(part, &mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
        }
        let content = builder.finish(&mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
        out.push(Stored {
            content,
            fullhash: Some(whole),
        });
    }
    Ok(out)
}

/// Stores the parts of a buffer and gives their refs.
pub fn store_parts(sink: &mut dyn Sink, class: Class, buffer: &[u8], parts: &[Part]) -> Result<Vec<ContentRef>> {
    let blocks: Vec<&[u8]> = parts.iter().filter_map(|part| data_of(buffer, part)).collect();
    let mut ids = hash_all(sink.algo(), &blocks).into_iter();
    let mut refs = Vec::with_capacity(parts.len());
    for part in parts {
        refs.push(match *part {
            Part::Zeros { bytes } => ContentRef::Run { byte: 0, bytes },
            Part::Data { start, bytes, .. } => {
                let id = ids
                    .next()
                    .ok_or_else(|| Error::invalid("content", "hashes", "fewer than blocks"))?;
                put_block(sink, class, id, &buffer[start..start + bytes])?
            }
        });
    }
    Ok(refs)
}

fn data_of<'b>(buffer: &'b [u8], part: &Part) -> Option<&'b [u8]> {
    match *part {
        Part::Data { start, bytes, .. } => Some(&buffer[start..start + bytes]),
        Part::Zeros { .. } => None,
    }
}

fn put_block(sink: &mut dyn Sink, class: Class, id: ObjectId, bytes: &[u8]) -> Result<ContentRef> {
    sink.put_hashed(class, ObjectKind::Block, id, bytes)?;
    Ok(ContentRef::Block {
        id,
        bytes: bytes.len() as u64,
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
            let stored = store_many(sink, params, &[&buffer[..filled]])?.pop();
            return stored.map(|stored| (stored, total)).ok_or(Error::Interrupted);
        }
        let taken = chunker.cut(
            &buffer[..filled],
            if ends { Follows::End } else { Follows::Data },
            &mut parts,
        );
        for part in store_parts(sink, Class::Large, &buffer, &parts)? {
            builder.push(part, &mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
        }
        parts.clear();
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
