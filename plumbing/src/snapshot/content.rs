//! Storing the bytes of one content: cut, hash, put, list.

use std::io::Read;

use super::before::{Before, Span};
use crate::chunk::{Chunker, Follows, Params, Part, RUN_BYTES_MIN};
use crate::content::{Piece, Pieces, read_range};
use crate::error::{Error, Result};
use crate::limits::BLOCK_BYTES_MAX;
use crate::object::sha256x2::hash_all;
use crate::object::{ContentRef, HashAlgo, Hasher, IndirectBuilder, ObjectId, ObjectKind, ObjectSource};
use crate::store::{Class, HUGE_FILE_BYTES, LARGE_FILE_BYTES, Packer};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

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
    let blocks: Vec<&[u8]> = parts.iter().filter_map(|part| data_of(buffer, part)).collect();
    let mut ids = hash_all(algo, &blocks).into_iter();
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

/// Stores a content of unknown length, read to its end, on one thread. Gives its length too.
pub fn store_reader(sink: &mut dyn Sink, params: Params, reader: &mut dyn Read) -> Result<(Stored, u64)> {
    store_stream(sink, params, None, reader)
}

/// The same where it is known what stood in its place before.
pub fn store_stream(
    sink: &mut dyn Sink,
    params: Params,
    before: Option<Before>,
    reader: &mut dyn Read,
) -> Result<(Stored, u64)> {
    let mut stream = Stream::new(sink.algo(), params);
    if stream.fill(reader)? {
        // All of it is in memory: small ones take the short way.
        let stored = store_changed(sink, params, &[(&stream.buffer[..stream.filled], before)])?.pop();
        return stored.map(|stored| (stored, stream.total)).ok_or(Error::Interrupted);
    }
    stream.store(sink, reader, false, before.as_ref())
}

/// Stores what `before` names with the bytes of `reader` behind it. Blocks of `before` stay as they are but for the last
/// one, which is the front of what is cut. Gives the length of the whole too.
pub fn append_reader<S: ObjectSource + ?Sized>(
    sink: &mut dyn Sink,
    params: Params,
    source: &S,
    before: &ContentRef,
    reader: &mut dyn Read,
) -> Result<(Stored, u64)> {
    let mut stream = Stream::new(sink.algo(), params);
    let mut pieces = Pieces::new(source, before).peekable();
    while let Some(piece) = pieces.next() {
        stream.keep(sink, source, piece?, pieces.peek().is_none())?;
    }
    let ends = stream.fill(reader)?;
    stream.store(sink, reader, ends, None)
}

/// A content that is read, cut and listed.
struct Stream {
    chunker: Chunker,
    builder: IndirectBuilder,
    hasher: Hasher,
    buffer: Vec<u8>,
    filled: usize,
    total: u64,
}

impl Stream {
    fn new(algo: HashAlgo, params: Params) -> Self {
        let chunker = Chunker::new(params);
        let buffer = vec![0; READ_BYTES.max(chunker.buffer_bytes_min())];
        Self {
            chunker,
            builder: IndirectBuilder::new(algo),
            hasher: Hasher::new(algo),
            buffer,
            filled: 0,
            total: 0,
        }
    }

    /// Reads until the buffer is full; says whether the input has ended.
    fn fill(&mut self, reader: &mut dyn Read) -> Result<bool> {
        let found = read_full(reader, &mut self.buffer[self.filled..])?;
        self.hasher.update(&self.buffer[self.filled..self.filled + found]);
        self.filled += found;
        self.total += found as u64;
        Ok(self.filled < self.buffer.len())
    }

    /// Takes over a piece of an earlier content. Only the last is cut again.
    fn keep<S: ObjectSource + ?Sized>(
        &mut self,
        sink: &mut dyn Sink,
        source: &S,
        piece: Piece,
        is_last: bool,
    ) -> Result<()> {
        let content = piece.content();
        self.total += piece.bytes;
        if let ContentRef::Run { byte, bytes } = content {
            hash_run(&mut self.hasher, byte, bytes);
            if is_last && byte == 0 && bytes >= RUN_BYTES_MIN as u64 {
                // More zeros may follow.
                self.chunker.cut(&[], Follows::Hole(bytes), &mut Vec::new());
                return Ok(());
            }
            self.chunker.pass(byte == 0 && bytes >= RUN_BYTES_MIN as u64);
            return self
                .builder
                .push(content, &mut |kind, bytes| sink.put(Class::Meta, kind, &bytes));
        }
        let bytes = read_range(source, &content, 0, BLOCK_BYTES_MAX)?;
        self.hasher.update(&bytes);
        if !is_last || bytes.len() > self.buffer.len() / 2 {
            self.chunker.pass(false);
            return self
                .builder
                .push(content, &mut |kind, bytes| sink.put(Class::Meta, kind, &bytes));
        }
        self.buffer[..bytes.len()].copy_from_slice(&bytes);
        self.filled = bytes.len();
        Ok(())
    }

    /// Cuts and lists what is in the buffer, and all that the reader still has.
    fn store(
        mut self,
        sink: &mut dyn Sink,
        reader: &mut dyn Read,
        mut ends: bool,
        before: Option<&Before>,
    ) -> Result<(Stored, u64)> {
        let mut parts = Vec::new();
        loop {
            let follows = if ends { Follows::End } else { Follows::Data };
            let taken = self.chunker.cut(&self.buffer[..self.filled], follows, &mut parts);
            let refs = name_parts(sink.algo(), &self.buffer, &parts);
            let before = before.map(|before| (before, self.total - self.filled as u64));
            put_parts(sink, Class::Large, &self.buffer, &parts, &refs, before)?;
            for part in refs {
                self.builder
                    .push(part, &mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
            }
            parts.clear();
            self.buffer.copy_within(taken..self.filled, 0);
            self.filled -= taken;
            if ends {
                break;
            }
            ends = self.fill(reader)?;
        }
        let content = self
            .builder
            .finish(&mut |kind, bytes| sink.put(Class::Meta, kind, &bytes))?;
        Ok((stored(content, self.hasher.finish()), self.total))
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use parking_lot::Mutex;

    use super::*;

    /// Keeps objects in memory.
    #[derive(Default)]
    struct Shelf(Mutex<HashMap<ObjectId, Vec<u8>>>);

    impl Sink for &Shelf {
        fn algo(&self) -> HashAlgo {
            HashAlgo::Sha256
        }

        fn put_hashed(&mut self, _class: Class, _kind: ObjectKind, id: ObjectId, bytes: &[u8]) -> Result<()> {
            assert_eq!(ObjectId::hash(HashAlgo::Sha256, bytes), id);
            self.0.lock().insert(id, bytes.to_vec());
            Ok(())
        }
    }

    impl ObjectSource for Shelf {
        fn object(&self, _kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
            Ok(self.0.lock()[id].clone())
        }
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count as u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 ^ (i >> 9) as u8)
            .collect()
    }

    #[test]
    fn a_content_is_the_same_whole_streamed_and_appended() {
        let shelf = Shelf::default();
        let mut all = bytes(5 << 20);
        all.extend(vec![0; 300_000]);
        all.extend(bytes(700_000));
        // One block, a few, many; with a run.
        for total in [200_000, 400_000, all.len()] {
            let all = &all[..total];
            let whole = store_many(&mut &shelf, Params::default(), &[all]).unwrap().remove(0);
            let (streamed, length) = store_reader(&mut &shelf, Params::default(), &mut &*all).unwrap();
            assert_eq!((&streamed, length), (&whole, total as u64));
            // Cut in the data, at its end, inside of the zeros, behind them.
            for at in [
                0,
                1,
                10_000,
                300_000,
                1 << 20,
                5 << 20,
                (5 << 20) + 150_000,
                (5 << 20) + 300_000,
                total,
            ] {
                let at = at.min(total);
                let (front, _) = store_reader(&mut &shelf, Params::default(), &mut &all[..at]).unwrap();
                let mut rest = &all[at..];
                let (content, length) =
                    append_reader(&mut &shelf, Params::default(), &shelf, &front.content, &mut rest).unwrap();
                assert_eq!((&content, length), (&whole, total as u64), "appended at {at}");
            }
        }
    }
}
