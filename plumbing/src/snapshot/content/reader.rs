//! Storing contents that are read to their end, of a length that nobody knows before, on one thread.

use std::io::Read;

use super::{Sink, Stored, hash_run, name_parts, put_parts, store_changed, stored};
use crate::chunk::{Chunker, Follows, Params, RUN_BYTES_MIN};
use crate::content::{Piece, Pieces, read_range};
use crate::error::{Error, Result};
use crate::limits::BLOCK_BYTES_MAX;
use crate::object::{ContentRef, HashAlgo, Hasher, IndirectBuilder, ObjectSource};
use crate::snapshot::before::Before;
use crate::store::Class;

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

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

    use super::super::store_many;
    use super::*;
    use crate::object::{ObjectId, ObjectKind};

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
