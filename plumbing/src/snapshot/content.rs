//! Storing the bytes of one content: cut, hash, put, list.

mod reader;

pub use self::reader::{append_reader, store_reader, store_stream};

use super::before::{Before, Span};
use crate::chunk::{Chunker, Follows, Params, Part};
use crate::error::{Error, Result};
use crate::object::sha256x2::{hash_all, hash_beside};
use crate::object::{ContentRef, HashAlgo, Hasher, IndirectBuilder, ObjectId, ObjectKind};
use crate::store::{Class, HUGE_FILE_BYTES, LARGE_FILE_BYTES, Packer};

/// Takes the objects of a content.
pub trait Sink {
    /// The hash of new ids.
    fn algo(&self) -> HashAlgo;
    /// Takes an object whose id is known.
    fn put_hashed(&mut self, class: Class, kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<()>;

    /// Takes an object whose id is known, and which may be like `bases`.
    fn put_against(
        &mut self,
        class: Class,
        kind: ObjectKind,
        id: ObjectId,
        bytes: &[u8],
        _bases: &[ObjectId],
    ) -> Result<()> {
        self.put_hashed(class, kind, id, bytes)
    }

    /// What chunks of a file that held `before` replace; nothing where that is of no use.
    fn bases(&mut self, _before: &Before, _spans: &mut [Span]) -> Result<Vec<Vec<ObjectId>>> {
        Ok(Vec::new())
    }

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

    fn put_against(
        &mut self,
        class: Class,
        kind: ObjectKind,
        id: ObjectId,
        bytes: &[u8],
        bases: &[ObjectId],
    ) -> Result<()> {
        Packer::put_against(self, class, kind, id, bytes, bases)?;
        Ok(())
    }

    fn bases(&mut self, before: &Before, spans: &mut [Span]) -> Result<Vec<Vec<ObjectId>>> {
        if !self.takes_bases() {
            return Ok(Vec::new());
        }
        for span in &mut *spans {
            span.is_new = !self.knows(&span.id)?;
        }
        Ok(before.bases(self.store(), spans))
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
    if file_bytes >= HUGE_FILE_BYTES {
        Class::Huge
    } else if file_bytes >= LARGE_FILE_BYTES {
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
    let contents: Vec<_> = contents.iter().map(|content| (*content, None)).collect();
    store_changed(sink, params, &contents)
}

/// The same for contents of files of which it is known what they held before.
pub fn store_changed(sink: &mut dyn Sink, params: Params, contents: &[(&[u8], Option<Before>)]) -> Result<Vec<Stored>> {
    let (parts, messages) = cut_all(params, contents);
    let mut ids = hash_all(sink.algo(), &messages).into_iter();
    let mut next = || {
        ids.next()
            .ok_or_else(|| Error::invalid("content", "hashes", "fewer than messages"))
    };
    let mut out = Vec::with_capacity(contents.len());
    for ((content, before), parts) in contents.iter().zip(parts) {
        let class = class_of(content.len() as u64);
        let whole = next()?;
        if parts.is_empty() {
            let chunk = Chunk {
                offset: 0,
                id: whole,
                bytes: content,
            };
            put_chunks(sink, class, &[chunk], before.as_ref())?;
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
        let refs = parts.iter().map(|part| {
            Ok(match *part {
                Part::Zeros { bytes } => ContentRef::Run { byte: 0, bytes },
                Part::Data { bytes, .. } => ContentRef::Block {
                    id: next()?,
                    bytes: bytes as u64,
                },
            })
        });
        let refs = refs.collect::<Result<Vec<ContentRef>>>()?;
        put_parts(
            sink,
            class,
            content,
            &parts,
            &refs,
            before.as_ref().map(|before| (before, 0)),
        )?;
        let mut builder = IndirectBuilder::new(sink.algo());
        for part in refs {
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

/// The parts of each content, none where it is one block, and all that is to be hashed: each whole, with its parts behind it.
fn cut_all<'b>(params: Params, contents: &[(&'b [u8], Option<Before>)]) -> (Vec<Vec<Part>>, Vec<&'b [u8]>) {
    let mut parts: Vec<Vec<Part>> = Vec::with_capacity(contents.len());
    let mut messages: Vec<&[u8]> = Vec::with_capacity(contents.len());
    for (content, _) in contents {
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
    (parts, messages)
}

/// The refs of the parts of a buffer.
pub fn name_parts(algo: HashAlgo, buffer: &[u8], parts: &[Part]) -> Vec<ContentRef> {
    refs_of(parts, hash_all(algo, &blocks_of(buffer, parts)))
}

/// The same, while `bytes` go to a hash of their own.
pub fn name_parts_beside(stream: &mut Hasher, bytes: &[u8], buffer: &[u8], parts: &[Part]) -> Vec<ContentRef> {
    refs_of(parts, hash_beside(stream, bytes, &blocks_of(buffer, parts)))
}

fn blocks_of<'b>(buffer: &'b [u8], parts: &[Part]) -> Vec<&'b [u8]> {
    parts.iter().filter_map(|part| data_of(buffer, part)).collect()
}

/// `ids` are those of the blocks among the parts.
fn refs_of(parts: &[Part], ids: Vec<ObjectId>) -> Vec<ContentRef> {
    let mut ids = ids.into_iter();
    let name = |part: &Part| match *part {
        Part::Zeros { bytes } => Some(ContentRef::Run { byte: 0, bytes }),
        Part::Data { bytes, .. } => ids.next().map(|id| ContentRef::Block {
            id,
            bytes: bytes as u64,
        }),
    };
    parts.iter().filter_map(name).collect()
}

/// Stores the parts of a buffer under the names that [`name_parts`] gave them. `before` is what the file held before, with
/// the offset of the buffer in it now.
pub fn put_parts(
    sink: &mut dyn Sink,
    class: Class,
    buffer: &[u8],
    parts: &[Part],
    refs: &[ContentRef],
    before: Option<(&Before, u64)>,
) -> Result<()> {
    let mut offset = before.map_or(0, |(_, offset)| offset);
    let mut chunks = Vec::with_capacity(parts.len());
    for (part, name) in parts.iter().zip(refs) {
        if let (Some(bytes), ContentRef::Block { id, .. }) = (data_of(buffer, part), name) {
            let id = *id;
            chunks.push(Chunk { offset, id, bytes });
        }
        offset += name.len();
    }
    put_chunks(sink, class, &chunks, before.map(|(before, _)| before))
}

/// A part of a content that is to be stored.
struct Chunk<'b> {
    offset: u64,
    id: ObjectId,
    bytes: &'b [u8],
}

fn put_chunks(sink: &mut dyn Sink, class: Class, chunks: &[Chunk<'_>], before: Option<&Before>) -> Result<()> {
    let span = |chunk: &Chunk<'_>| Span {
        offset: chunk.offset,
        bytes: chunk.bytes.len() as u64,
        id: chunk.id,
        is_new: true,
    };
    let bases = match before {
        Some(before) => sink.bases(before, &mut chunks.iter().map(span).collect::<Vec<_>>())?,
        None => Vec::new(),
    };
    for (at, chunk) in chunks.iter().enumerate() {
        let bases = bases.get(at).map(Vec::as_slice).unwrap_or_default();
        sink.put_against(class, ObjectKind::Block, chunk.id, chunk.bytes, bases)?;
    }
    Ok(())
}

fn data_of<'b>(buffer: &'b [u8], part: &Part) -> Option<&'b [u8]> {
    match *part {
        Part::Data { start, bytes, .. } => Some(&buffer[start..start + bytes]),
        Part::Zeros { .. } => None,
    }
}

/// Hashes one value, repeated.
pub fn hash_run(hasher: &mut Hasher, byte: u8, mut bytes: u64) {
    let unit = [byte; 4096];
    while bytes > 0 {
        let step = bytes.min(unit.len() as u64);
        hasher.update(&unit[..step as usize]);
        bytes -= step;
    }
}

/// Leaves the hash of the whole out where the content says it.
pub fn stored(content: ContentRef, fullhash: ObjectId) -> Stored {
    let fullhash = (!matches!(content, ContentRef::Block { .. })).then_some(fullhash);
    Stored { content, fullhash }
}
