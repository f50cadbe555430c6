//! What has been found out about the candidates of one size.
//!
//! 1. Who looks for a content takes the [`Group`] of its size; others who need it wait, so that no file is hashed twice.
//! 2. A candidate is handed out once: by its name, or as the next. A bit says so.
//! 3. What a candidate was hashed to is kept as the first four bytes of the hash: a table holds, for each size and these
//!    bytes, the last candidate, and where there are several, each leads to the one after it and the last to the first.
//!
//! Invariants: what is noted is a hint, since a candidate is hashed again when it is taken. So two contents that share
//! four bytes of their hashes cost time only. A candidate that nobody has asked for costs one bit, one that was hashed
//! about 20 bytes more, whatever the number of sizes: there may be a million of each.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::{HashMap, HashTable};
use parking_lot::{Mutex, MutexGuard};

use super::index::Index;
use crate::ghosts::fasthash::FastHash;
use crate::object::ObjectId;

/// How many parts there are, each with its lock. Several sizes share one.
const PARTS: usize = 64;

/// Names a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Number(pub u32);

/// What has been found out about all candidates.
#[derive(Debug)]
pub(super) struct Findings {
    /// A bit for each candidate: it was handed out.
    handed_out: Vec<AtomicU64>,
    parts: [Mutex<Part>; PARTS],
}

/// What has been found out about the candidates of some sizes.
#[derive(Debug, Default)]
struct Part {
    known: Known,
    /// By where a size begins: those handed out and given back, not hashed.
    postponed: HashMap<u32, Vec<Number>>,
    /// By where a size begins: those of which only the sampled hash is known.
    sampled: HashMap<u32, Vec<(Number, FastHash)>>,
}

/// What candidates were hashed to.
#[derive(Debug, Default)]
struct Known {
    hashed: HashTable<Hashed>,
    /// The one of the same content that was hashed after it, of the last the first; where there are several.
    next: HashMap<Number, Number>,
}

/// What some candidates of one size were hashed to.
#[derive(Clone, Copy, Debug)]
struct Hashed {
    tag: u32,
    /// The last that was hashed to it.
    last: Number,
}

impl Findings {
    /// Nothing is known of so many candidates.
    pub fn of(candidates: usize) -> Self {
        Self {
            handed_out: (0..candidates.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            parts: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// The part of the size that begins at a candidate.
    fn part(&self, start: u32) -> MutexGuard<'_, Part> {
        // Sizes of which there are equally many begin at multiples of their number.
        self.parts[start.wrapping_mul(0x9e37_79b1) as usize >> 26].lock()
    }

    /// Whether a candidate was handed out. The lock of its part orders what others did.
    fn is_out(&self, number: u32) -> bool {
        self.handed_out[number as usize / 64].load(Relaxed) & bit(number) != 0
    }

    fn hand_out(&self, number: u32) -> Number {
        self.handed_out[number as usize / 64].fetch_or(bit(number), Relaxed);
        Number(number)
    }

    /// The first in a range that was not handed out.
    fn first(&self, range: Range<u32>) -> Option<u32> {
        let mut at = range.start;
        while at < range.end {
            let free = !self.handed_out[at as usize / 64].load(Relaxed) >> (at % 64);
            if free != 0 {
                return Some(at + free.trailing_zeros()).filter(|found| *found < range.end);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }
}

fn bit(number: u32) -> u64 {
    1 << (number % 64)
}

/// What is kept of a hash.
fn tag(id: &ObjectId) -> u32 {
    // The upper half of eight bytes.
    (id.prefix() >> 32) as u32
}

/// Of the hash of a content: all bits of it are as good as random.
fn spread(tag: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(tag)
}

/// The candidates of one size, for who looks for a content among them.
#[derive(Debug)]
pub(super) struct Group<'i> {
    index: &'i Index,
    findings: &'i Findings,
    /// Where they stand among all candidates.
    range: Range<u32>,
    part: MutexGuard<'i, Part>,
}

impl<'i> Group<'i> {
    /// Those in a range, which must be all of one size. Waits while somebody else has them.
    pub fn new(index: &'i Index, findings: &'i Findings, range: Range<u32>) -> Self {
        Self {
            part: findings.part(range.start),
            index,
            findings,
            range,
        }
    }

    /// The one that was first hashed to this, or to something that cannot be told from it.
    pub fn first_known(&self, id: &ObjectId) -> Option<Number> {
        self.part.known.first(&self.range, tag(id))
    }

    /// The one that was hashed to the same after this one.
    pub fn known_after(&self, id: &ObjectId, number: Number) -> Option<Number> {
        self.part.known.after(&self.range, tag(id), number)
    }

    /// The next of this name that has not been handed out: the one with the path of the tree before all others.
    pub fn take_namesake(&mut self, path: &[u8]) -> Option<Number> {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let all = self.index.namesakes(self.range.clone(), name);
        let is_here = |at: &u32| !self.findings.is_out(*at) && self.index.is_at(Number(*at), path);
        let found = all.clone().find(is_here).or_else(|| self.findings.first(all))?;
        Some(self.findings.hand_out(found))
    }

    /// The next that has not been handed out.
    pub fn take_any(&mut self) -> Option<Number> {
        let found = self.findings.first(self.range.clone())?;
        Some(self.findings.hand_out(found))
    }

    /// Those that were given back.
    pub fn take_postponed(&mut self) -> Vec<Number> {
        self.part.postponed.remove(&self.range.start).unwrap_or_default()
    }

    /// Gives back what was handed out and not hashed, with what [`take_postponed`](Self::take_postponed) gave.
    pub fn postpone(&mut self, numbers: Vec<Number>) {
        if !numbers.is_empty() {
            self.part.postponed.insert(self.range.start, numbers);
        }
    }

    /// Whether there are some of which only the sampled hash is known.
    pub fn has_sampled(&self) -> bool {
        self.part.sampled.contains_key(&self.range.start)
    }

    /// One of which only the sampled hash is known, if it may be this; any where nothing is asked.
    pub fn take_sampled(&mut self, fast: Option<FastHash>) -> Option<Number> {
        let sampled = self.part.sampled.get_mut(&self.range.start)?;
        let fits = |(_, found): &(Number, FastHash)| fast.is_none_or(|fast| fast == *found);
        let at = sampled.iter().position(fits)?;
        let (number, _) = sampled.swap_remove(at);
        if sampled.is_empty() {
            self.part.sampled.remove(&self.range.start);
        }
        Some(number)
    }

    /// Notes the sampled hash of a candidate.
    pub fn note_sampled(&mut self, number: Number, fast: FastHash) {
        self.part
            .sampled
            .entry(self.range.start)
            .or_default()
            .push((number, fast));
    }

    /// Notes what a candidate was hashed to, once.
    pub fn note(&mut self, number: Number, id: ObjectId) {
        self.part.known.note(&self.range, tag(&id), number);
    }

    /// Forgets a candidate that is not what it was. `found` is what it is now, if that was looked at.
    pub fn forget(&mut self, number: Number, id: &ObjectId, found: Option<ObjectId>) {
        // Else it was another content all along.
        if found.is_none_or(|found| tag(&found) != tag(id)) {
            self.part.known.forget(&self.range, tag(id), number);
        }
    }
}

impl Known {
    fn last(&self, range: &Range<u32>, tag: u32) -> Option<Number> {
        let found = self.hashed.find(spread(tag), is_of(range, tag))?;
        Some(found.last)
    }

    fn next_of(&self, number: Number) -> Number {
        self.next.get(&number).copied().unwrap_or(number)
    }

    fn first(&self, range: &Range<u32>, tag: u32) -> Option<Number> {
        self.last(range, tag).map(|last| self.next_of(last))
    }

    fn after(&self, range: &Range<u32>, tag: u32, number: Number) -> Option<Number> {
        let last = self.last(range, tag)?;
        (last != number).then(|| self.next_of(number))
    }

    fn note(&mut self, range: &Range<u32>, tag: u32, number: Number) {
        if let Some(found) = self.hashed.find_mut(spread(tag), is_of(range, tag)) {
            let first = self.next.insert(found.last, number).unwrap_or(found.last);
            self.next.insert(number, first);
            found.last = number;
        } else {
            let hashed = Hashed { tag, last: number };
            self.hashed
                .insert_unique(spread(tag), hashed, |hashed| spread(hashed.tag));
        }
    }

    fn forget(&mut self, range: &Range<u32>, tag: u32, number: Number) {
        let Some(last) = self.last(range, tag) else { return };
        let mut before = last;
        while self.next_of(before) != number {
            before = self.next_of(before);
            if before == last {
                return;
            }
        }
        if before == number {
            if let Ok(found) = self.hashed.find_entry(spread(tag), is_of(range, tag)) {
                found.remove();
            }
            return;
        }
        match self.next.remove(&number) {
            Some(after) if after != before => drop(self.next.insert(before, after)),
            // It is alone now.
            _ => drop(self.next.remove(&before)),
        }
        if last == number
            && let Some(found) = self.hashed.find_mut(spread(tag), is_of(range, tag))
        {
            found.last = before;
        }
    }
}

/// Whether what is known is of a size, and of a hash with these bytes.
fn is_of(range: &Range<u32>, tag: u32) -> impl Fn(&Hashed) -> bool + use<> {
    let sizes = range.clone();
    move |hashed| hashed.tag == tag && sizes.contains(&hashed.last.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that are known, by following.
    fn listed(known: &Known, range: &Range<u32>, tag: u32) -> Vec<u32> {
        let first = known.first(range, tag);
        std::iter::successors(first, |number| known.after(range, tag, *number))
            .map(|number| number.0)
            .collect()
    }

    proptest! {
        /// Several sizes, tags that more than one content has, in any order.
        #[test]
        fn what_is_known_is_what_was_noted_and_not_forgotten(
            steps in prop::collection::vec((0u32..60, 0u32..4, prop::bool::weighted(0.7)), 0..200),
        ) {
            let size_of = |number: u32| (number / 20) * 20..(number / 20 + 1) * 20;
            let mut known = Known::default();
            let mut model: Vec<(u32, u32)> = Vec::new();
            for (number, tag, is_note) in steps {
                if is_note {
                    if model.iter().all(|(noted, _)| *noted != number) {
                        known.note(&size_of(number), tag, Number(number));
                        model.push((number, tag));
                    }
                } else {
                    known.forget(&size_of(number), tag, Number(number));
                    model.retain(|noted| *noted != (number, tag));
                }
                for (start, tag) in [0, 20, 40].into_iter().flat_map(|start| (0..4).map(move |tag| (start, tag))) {
                    let range = size_of(start);
                    let expected: Vec<u32> = model
                        .iter()
                        .filter(|(number, noted)| range.contains(number) && *noted == tag)
                        .map(|(number, _)| *number)
                        .collect();
                    prop_assert_eq!(listed(&known, &range, tag), expected);
                }
            }
        }

        #[test]
        fn each_is_handed_out_once(taken in prop::collection::vec(0u32..300, 0..400), from in 0u32..300, length in 0u32..300) {
            let findings = Findings::of(300);
            for &number in &taken {
                findings.hand_out(number);
                prop_assert!(findings.is_out(number));
            }
            let range = from..(from + length).min(300);
            prop_assert_eq!(findings.first(range.clone()), range.clone().find(|number| !taken.contains(number)));
            while let Some(next) = findings.first(range.clone()) {
                findings.hand_out(next);
            }
            prop_assert!(range.clone().all(|number| findings.is_out(number)));
        }
    }
}
