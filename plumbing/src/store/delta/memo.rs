//! Reading many objects that are made from each other, in any order and by several threads: what one is made from is remembered
//! for the next, in bounds.
//!
//! What is remembered is not hashed, but whatever is made from it is. Where that is not right, it is read once more without.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Near;
use super::aging::Aging;
use crate::error::Result;
use crate::object::ObjectId;
use crate::store::data::delta::{Bases, Decoder};
use crate::store::data::format::Row;
use crate::store::{Location, Store};

/// Bytes of each of the two ages.
const BYTES_MAX: usize = 8 << 20;

/// Objects that were decompressed lately.
#[derive(Debug)]
pub struct Memo(Mutex<Aging<ObjectId, Arc<[u8]>>>);

impl Default for Memo {
    fn default() -> Self {
        let bytes_of = |bytes: &Arc<[u8]>| bytes.len() + size_of::<(ObjectId, Arc<[u8]>)>();
        Self(Mutex::new(Aging::new(BYTES_MAX, bytes_of)))
    }
}

/// A store whose objects are remembered.
struct Remembering<'a> {
    near: Near<'a>,
    memo: &'a Memo,
}

impl Bases for Remembering<'_> {
    fn append(&self, base: &Row, out: &mut Vec<u8>, decoder: &mut Decoder) -> Result<()> {
        let known = self.memo.0.lock().get(&base.id);
        if let Some(bytes) = known {
            out.extend_from_slice(&bytes);
            return Ok(());
        }
        let start = out.len();
        self.near.append_base(base, out, self, decoder)?;
        self.memo.put(base.id, &out[start..]);
        Ok(())
    }
}

impl Memo {
    fn put(&self, id: ObjectId, bytes: &[u8]) {
        let bytes = Arc::from(bytes);
        self.0.lock().put(id, bytes);
    }

    /// Puts the bytes of the object at `at` of a store, always the same, in place of those of `out`; `id` must be its id, and
    /// their hash is compared.
    pub fn read(&self, store: &Store, at: Location, id: &ObjectId, out: &mut Vec<u8>) -> Result<()> {
        let (near, memo) = (store.near(), self);
        out.clear();
        let read = store.with_scratch(|scratch| {
            scratch.decoder.begin();
            near.append_at(at, id, out, &Remembering { near, memo }, &mut scratch.decoder)
        });
        match read {
            Ok(()) if ObjectId::hash(id.algo(), out) == *id => {
                self.put(*id, out);
                Ok(())
            }
            Err(error) if !error.is_damage() => Err(error),
            _ => near.read(at, id, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::HashAlgo;
    use crate::store::delta::tests::{delta, disk, edited, forge, id, open, put, row, text};

    /// Versions of a text, each made from the one before.
    fn versions(store: &Store, count: usize) -> Vec<(ObjectId, Vec<u8>)> {
        let mut versions: Vec<(ObjectId, Vec<u8>)> = Vec::new();
        for n in 0..count {
            let (base, bytes) = match versions.last() {
                None => (None, text(0..200)),
                Some((id, bytes)) => (Some(*id), edited(bytes, 100 * n)),
            };
            versions.push((put(store, &bytes, base.as_slice()), bytes));
        }
        versions
    }

    fn read(memo: &Memo, store: &Store, id: &ObjectId) -> Result<Vec<u8>> {
        let (at, mut bytes) = (store.locate(id)?.unwrap(), b"something else".to_vec());
        memo.read(store, at, id, &mut bytes).map(|()| bytes)
    }

    #[test]
    fn what_is_remembered_is_read_as_ever_in_any_order() {
        let disk = disk();
        let versions = versions(&open(&disk), 6);
        for first in 0..6 {
            let (store, memo) = (open(&disk), Memo::default());
            for (id, bytes) in versions[first..].iter().chain(&versions[..first]).rev() {
                assert_eq!(read(&memo, &store, id).unwrap(), *bytes);
                assert_eq!(memo.0.lock().get(id).as_deref(), Some(&bytes[..]));
            }
        }
    }

    #[test]
    fn what_something_is_made_from_is_remembered_with_it() {
        let disk = disk();
        let versions = versions(&open(&disk), 4);
        let (store, memo) = (open(&disk), Memo::default());
        read(&memo, &store, &versions[3].0).unwrap();
        for (id, bytes) in &versions {
            assert_eq!(memo.0.lock().get(id).as_deref(), Some(&bytes[..]));
        }
    }

    /// What is made from an object that is not there reads where it is remembered, and only there.
    #[test]
    fn what_is_remembered_is_used() {
        let (disk, base) = (disk(), text(0..50));
        let (gone, made) = (row(id(&base), base.len()), edited(&base, 60));
        let length = made.len() as u32;
        let store = open(&disk);
        forge(&store, &[(id(&made), length, &[gone], &delta(&base, &made))], |part| {
            part
        });
        let memo = Memo::default();
        let error = read(&memo, &store, &id(&made)).unwrap_err();
        assert!(error.to_string().contains("no such base"), "{error}");
        let store = open(&disk);
        memo.put(gone.id, &base);
        assert_eq!(read(&memo, &store, &id(&made)).unwrap(), made);
    }

    /// It may be a copy that was damaged, of which another was found since.
    #[test]
    fn what_is_remembered_wrongly_is_read_once_more() {
        let disk = disk();
        let versions = versions(&open(&disk), 2);
        let (base, (made, bytes)) = (&versions[0], &versions[1]);
        let mut other = base.1.clone();
        other[300] ^= 1;
        for wrong in [&other[..], &base.1[1..]] {
            let (store, memo) = (open(&disk), Memo::default());
            memo.put(base.0, wrong);
            assert_eq!(read(&memo, &store, made).unwrap(), *bytes);
        }
    }

    #[test]
    fn what_does_not_read_is_told_as_without() {
        let (disk, base) = (disk(), text(0..50));
        let store = open(&disk);
        let (like, made) = (put(&store, &base, &[]), edited(&base, 60));
        let other = ObjectId::hash(HashAlgo::Sha256, b"other");
        let rows = [row(like, base.len())];
        forge(
            &store,
            &[(other, made.len() as u32, &rows, &delta(&base, &made))],
            |part| part,
        );
        let memo = Memo::default();
        let told = read(&memo, &store, &other).unwrap_err().to_string();
        let at = store.locate(&other).unwrap().unwrap();
        let without = store.near().read(at, &other, &mut Vec::new()).unwrap_err();
        assert_eq!(told, without.to_string());
        assert!(memo.0.lock().get(&other).is_none());
    }

    #[test]
    fn so_many_bytes_are_remembered_and_no_more() {
        let (memo, mib) = (Memo::default(), vec![7; 1 << 20]);
        let kept = |memo: &Memo| (0..100).filter(|n| memo.0.lock().get(&id(&[*n])).is_some()).count();
        for n in 0..16 {
            memo.put(id(&[n]), &mib);
        }
        let few = kept(&memo);
        assert!((8..=16).contains(&few), "{few}");
        for n in 16..100 {
            memo.put(id(&[n]), &mib);
        }
        let many = kept(&memo);
        assert!((7..=16).contains(&many), "{many}");
    }
}
