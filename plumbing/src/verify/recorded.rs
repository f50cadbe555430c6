//! What was lost for good and is recorded so (object-format.md, "Losses").
//!
//! A snapshot of which something is lost has a ref `refs/damaged/DIGITS`, DIGITS those of its id, to a replacement: a
//! snapshot of what is left, with two extra fields: `repaired-from`, the id of the damaged one, and `lost`, a content ref
//! of a list of the objects that are gone and the paths that need them. [`crate::repair`] writes them; a check tells such
//! losses apart from new damage.

use bstr::{BString, ByteSlice as _};
use hashbrown::HashSet;

use crate::content::read_all;
use crate::error::{Error, Result};
use crate::object::text::quote::{quote_name, unquote_name};
use crate::object::{ContentRef, ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::refs::RefStore;

/// Where the refs to replacements are.
pub const DAMAGED: &str = "refs/damaged/";
/// The extra field of a replacement that names what it replaces.
pub const REPAIRED_FROM: &str = "repaired-from";
/// The extra field of a replacement that names the list of what is lost.
pub const LOST: &str = "lost";
/// Bytes of a list that are read at most.
pub const LIST_BYTES_MAX: usize = 256 << 20;
const TITLE: &str = "ghost lost 1";

/// An object that is gone, and a path that needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// The path in the snapshot; empty for its top directory.
    pub path: BString,
    /// What the object is needed as.
    pub kind: ObjectKind,
    /// Its id.
    pub id: ObjectId,
}

/// The text of a list, sorted.
pub fn encode(losses: &[Loss]) -> Vec<u8> {
    let mut sorted: Vec<&Loss> = losses.iter().collect();
    sorted.sort();
    sorted.dedup();
    let mut out = format!("{TITLE}\n");
    for Loss { path, kind, id } in sorted {
        out.push_str(&format!("{} {id}\t{}\n", kind.name(), quote_name(path)));
    }
    out.into_bytes()
}

/// Reads the text of a list.
pub fn decode(text: &[u8]) -> Result<Vec<Loss>> {
    let bad = |number: usize| Error::invalid("list of losses", format_args!("line {}", number + 1), "not understood");
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, line)| line != TITLE.as_bytes()) {
        return Err(bad(0));
    }
    lines
        .map(|(number, line)| loss(line).ok_or_else(|| bad(number)))
        .collect()
}

fn loss(line: &[u8]) -> Option<Loss> {
    let (object, path) = line.split_once_str("\t")?;
    let (kind, id) = object.to_str().ok()?.split_once(' ')?;
    let kind = [
        ObjectKind::Block,
        ObjectKind::Indirect,
        ObjectKind::Tree,
        ObjectKind::Snapshot,
    ]
    .into_iter()
    .find(|known| known.name() == kind)?;
    Some(Loss {
        path: unquote_name(path).ok()?,
        kind,
        id: id.parse().ok()?,
    })
}

/// The name of the ref to the replacement of a snapshot.
pub fn ref_of(damaged: &ObjectId) -> String {
    format!("{DAMAGED}{}", damaged.hex())
}

/// What a snapshot replaces, if it is a replacement.
pub fn replaces(snapshot: &Snapshot) -> Option<ObjectId> {
    let value = extra(snapshot, REPAIRED_FROM)?;
    value.to_str().ok()?.parse().ok()
}

/// The list of what is lost of a replacement.
pub fn losses(source: &dyn ObjectSource, replacement: &Snapshot) -> Result<Vec<Loss>> {
    let Some(value) = extra(replacement, LOST) else {
        return Ok(Vec::new());
    };
    let content: Option<ContentRef> = value.to_str().ok().and_then(|text| text.parse().ok());
    let Some(content) = content else {
        return Err(Error::invalid(
            "list of losses",
            value.as_bstr(),
            "expected the text form of a content ref",
        ));
    };
    decode(&read_all(source, &content, LIST_BYTES_MAX)?)
}

/// The text of a content ref, as the field holds it.
pub fn list_value(content: &ContentRef) -> Vec<u8> {
    content.to_string().into_bytes()
}

fn extra<'s>(snapshot: &'s Snapshot, key: &str) -> Option<&'s [u8]> {
    let found = snapshot.extra.iter().find(|(found, _)| found == key)?;
    Some(&found.1)
}

/// Every object that is recorded as lost. A record that does not read says nothing.
pub fn lost(source: &dyn ObjectSource, refs: &RefStore) -> Result<HashSet<ObjectId>> {
    let recorded = match refs.list(DAMAGED) {
        Ok(recorded) => recorded,
        // The check of the log tells of it.
        Err(error) if error.is_damage() => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut lost = HashSet::new();
    for (_, id) in recorded {
        let read = source
            .object(ObjectKind::Snapshot, &id)
            .and_then(|encoded| losses(source, &Snapshot::decode(&encoded)?));
        match read {
            Ok(losses) => lost.extend(losses.into_iter().map(|loss| loss.id)),
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(lost)
}
