//! The order of frames that lean on each other.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::object::ObjectId;
use crate::store::data::read::Head;

/// The numbers of these frames so that each comes behind all that hold a base of its objects, as near to their own order as
/// that allows. Frames that lean on each other in a ring, and those that lean on them, are left out: they must be decoded.
pub(super) fn in_order(heads: &[&Head]) -> Vec<usize> {
    let mut holder: HashMap<ObjectId, usize> = HashMap::new();
    for (number, head) in heads.iter().enumerate() {
        holder.extend(head.rows.iter().map(|row| (row.id, number)));
    }
    let needs = |head: &Head| -> BTreeSet<usize> {
        let bases = head.bases.iter();
        bases.filter_map(|base| holder.get(&base.id).copied()).collect()
    };
    let mut open: BTreeMap<usize, BTreeSet<usize>> = heads.iter().map(|head| needs(head)).enumerate().collect();
    let mut needed_by: HashMap<usize, Vec<usize>> = HashMap::new();
    for (number, needs) in &open {
        for need in needs {
            needed_by.entry(*need).or_default().push(*number);
        }
    }
    let is_free = |(number, needs): (&usize, &BTreeSet<usize>)| needs.is_empty().then_some(*number);
    let mut free: BTreeSet<usize> = open.iter().filter_map(is_free).collect();
    let mut order = Vec::with_capacity(heads.len());
    while let Some(number) = free.pop_first() {
        open.remove(&number);
        order.push(number);
        for behind in needed_by.remove(&number).unwrap_or_default() {
            if let Some(needs) = open.get_mut(&behind) {
                needs.remove(&number);
                if needs.is_empty() {
                    free.insert(behind);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{HashAlgo, ObjectKind};
    use crate::store::data::format::{Codec, Row};

    fn row(name: &str) -> Row {
        Row {
            id: ObjectId::hash(HashAlgo::Sha256, name.as_bytes()),
            kind: ObjectKind::Block,
            bytes: 1,
        }
    }

    fn head(objects: &str, bases: &str) -> Head {
        let rows = |names: &str| -> Vec<Row> { names.split_whitespace().map(row).collect() };
        Head::nowhere(Codec::Delta, rows(objects), rows(bases))
    }

    #[test]
    fn bases_come_first_and_rings_are_left_out() {
        let frames = [
            head("a", "b"),
            head("b", "c elsewhere"),
            head("c", "elsewhere"),
            head("d", "e"),
            head("e", "d"),
            head("f", "d"),
            head("g", "a c"),
        ];
        let heads: Vec<&Head> = frames.iter().collect();
        assert_eq!(in_order(&heads), [2, 1, 0, 6]);
        assert!(in_order(&[]).is_empty());
    }
}
