//! Differences taken out of their frames and put together anew. Each is a zstd frame of its own, so nothing is decompressed.

use super::settle::Group;
use super::{Loaded, Parts};
use crate::error::{Error, Result};
use crate::store::data::write::Sealed;
use crate::store::{Location, Store};

impl Store {
    /// Hands delta frames of these objects to `take`, each of which is in such a frame here. They are as they are stored;
    /// whoever uses one compares its hash.
    pub(crate) fn regroup(&self, objects: &[Location], take: &mut dyn FnMut(Sealed) -> Result<()>) -> Result<()> {
        let mut group = Group::default();
        for &at in objects {
            match self.parts(at)?.as_deref() {
                Some(Loaded::Parts(parts)) => parts.add_to(&mut group, at.slot)?,
                _ => return Err(Error::invalid("location", at.frame, "its frame holds no differences")),
            }
            if group.is_full() {
                take(std::mem::take(&mut group).seal().0)?;
            }
        }
        match group.is_empty() {
            true => Ok(()),
            false => take(group.seal().0),
        }
    }
}

impl Parts {
    fn add_to(&self, group: &mut Group, slot: u16) -> Result<()> {
        let number = usize::from(slot);
        let (row, part) = (self.head.rows.get(number), self.head.parts.get(number));
        let found = row
            .zip(part)
            .zip(self.starts.get(number))
            .and_then(|((row, part), &start)| {
                let end = start.checked_add(part.stored_bytes)?;
                Some((row, part, self.stored.get(start as usize..end as usize)?))
            });
        let Some((row, part, stored)) = found else {
            let expected = format!("object {slot} of a frame of {}", self.head.rows.len());
            return Err(Error::damaged(
                &self.file.path,
                self.head.offset,
                expected,
                "no such object",
            ));
        };
        group.push(*row, self.head.bases_of(slot), (part.depth, part.weight), stored);
        Ok(())
    }
}
