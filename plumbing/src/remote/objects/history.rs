//! Snapshots with those behind them, in one answer: a walk over history costs few round trips, however long it is.
//!
//! 1. Who reads a snapshot that is not here asks for some of those behind it, too: none the first time, then ever more
//!    ([`step`]), since who reads one may never read the next, and who reads ten will read a hundred.
//! 2. The answer holds what was asked for and snapshots that lead to it, and nothing else: each that comes unasked must be
//!    named as a parent by one that came ([`Awaited::unconnected`]), and they are no more than were allowed.
//!
//! A server that does not say that it can ([`HISTORY`]) is asked for one at a time.

use hashbrown::{HashMap, HashSet};

use super::{Brought, Question};
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind, Snapshot};
use crate::remote::client::Client;
use crate::remote::message::HISTORY;
use crate::remote::pack::leaning::WEIGHT_MAX;
use crate::remote::pack::plan::{Extent, SHARE_MIN, Share};
use crate::store::data::format::{Codec, Row};
use crate::store::data::read::Head;
use crate::store::single::is_metadata;
use crate::store::{Frame, Writer};

/// Most snapshots behind one that are asked for at once: some hundred KiB.
const STEP_MAX: u64 = 4096;

/// How many snapshots behind the one that is read to ask for, when so many were asked for before.
pub(super) fn step(questions: u32) -> u64 {
    match questions {
        0 => 0,
        _ => 8u64.saturating_pow(questions).min(STEP_MAX),
    }
}

impl Client<'_> {
    /// Whether the other side gives snapshots together with those behind them.
    fn knows_history(&self) -> Result<bool> {
        Ok(self.connection.peer()?.capability(HISTORY).is_some())
    }

    /// Brings a snapshot into a store, and as many as `most` of those behind it, the nearest first, where the other side
    /// knows how. As with [`Client::bring_objects`], what it does not have is told.
    pub fn bring_history(&self, writer: &Writer<'_>, id: ObjectId, most: u64) -> Result<Brought> {
        if most == 0 || !self.knows_history()? {
            return self.bring_objects(writer, &[id]);
        }
        let mut brought = Brought::default();
        let question = Question {
            ids: &[id],
            history: most,
            extent: Extent::Exact,
        };
        self.take(self.ask(question)?, question, (writer, &|_| ()), &mut brought)?;
        Ok(brought)
    }
}

impl Beside {
    /// Counts what came with another answer, too.
    pub fn add(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.asked_bytes += other.asked_bytes;
        self.spent_bytes += other.spent_bytes;
    }
}

/// What an answer may hold.
pub(super) struct Awaited {
    /// What was asked for, and whether it came.
    ids: HashMap<ObjectId, bool>,
    asked: Vec<ObjectId>,
    /// Snapshots that may come beside.
    history: u64,
    /// What came of snapshots, with the parents of each.
    parents: HashMap<ObjectId, Vec<ObjectId>>,
    /// Objects of delta frames that came and were not asked for.
    bases: u64,
    /// What came beside in frames of others.
    pub beside: Beside,
}

/// What came without being asked for, in frames that describe nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// It, with its lengths in bytes.
    pub objects: Vec<(ObjectId, u32)>,
    /// Bytes that were asked for and came.
    pub asked_bytes: u64,
    /// Bytes of it in frames of which less than half was asked for.
    spent_bytes: u64,
}

impl Awaited {
    pub fn new(ids: &[ObjectId], history: u64) -> Self {
        Self {
            ids: ids.iter().map(|id| (*id, false)).collect(),
            asked: if history > 0 { ids.to_vec() } else { Vec::new() },
            history,
            parents: HashMap::new(),
            bases: 0,
            beside: Beside::default(),
        }
    }

    /// Objects at most that may come.
    pub fn most(&self, extent: Extent) -> u64 {
        let most = self.ids.len() as u64 + self.history;
        match extent {
            Extent::Exact => most,
            // Of whole frames half was asked for.
            Extent::Whole => 2 * most,
            Extent::Leaning { .. } => most * (SHARE_MIN as u64 + u64::from(WEIGHT_MAX)),
        }
    }

    /// Takes a frame of which everything was asked for and did not come before; else gives what may not come now.
    pub fn take_exactly(&mut self, rows: &[Row], frame: &Frame) -> Option<ObjectId> {
        for (slot, row) in (0..).zip(rows) {
            let bytes = frame.object(slot).map_or(&[][..], |(_, _, bytes)| bytes);
            if !self.take(row, bytes) {
                return Some(row.id);
            }
        }
        None
    }

    /// Takes a frame of which at least half was asked for, whether it came before or not: an object may lie in several
    /// frames; and one of which less was, where so many bytes may come `beside`. Else gives something that was not asked for.
    pub fn take_whole(&mut self, rows: &[Row], beside: u64) -> Option<ObjectId> {
        let (mut asked, mut all, mut other) = (Share::default(), Share::default(), None);
        for row in rows {
            all.add(row.bytes);
            match self.ids.get_mut(&row.id) {
                Some(came) => {
                    *came = true;
                    asked.add(row.bytes);
                }
                None => {
                    self.beside.objects.push((row.id, row.bytes));
                    other = Some(row.id);
                }
            }
        }
        self.beside.asked_bytes += asked.bytes();
        if asked.is_half_of(all) {
            return None;
        }
        self.beside.spent_bytes += asked.beside(all);
        other.filter(|_| !asked.is_enough_of(all) || self.beside.spent_bytes > beside)
    }

    /// Takes a frame by the rules of [`Extent::Leaning`]; else gives something that was not asked for.
    pub fn take_leaning(&mut self, head: &Head, beside: u64) -> Option<ObjectId> {
        let is_delta = head.header.codec == Codec::Delta;
        if !is_delta && !is_metadata(head) {
            return self.take_whole(&head.rows, beside);
        }
        let (mut asked, mut other) = (0, None);
        for row in &head.rows {
            match self.ids.get_mut(&row.id) {
                Some(came) => {
                    *came = true;
                    asked += 1;
                }
                None => other = Some(row.id),
            }
        }
        let is_enough = match is_delta {
            true => {
                self.bases += (head.rows.len() - asked) as u64;
                self.bases <= self.ids.len() as u64 * u64::from(WEIGHT_MAX)
            }
            false => SHARE_MIN * asked >= head.rows.len(),
        };
        other.filter(|_| !is_enough)
    }

    fn take(&mut self, row: &Row, bytes: &[u8]) -> bool {
        let is_asked = self
            .ids
            .get_mut(&row.id)
            .is_some_and(|came| !std::mem::replace(came, true));
        if self.asked.is_empty() {
            return is_asked;
        }
        let snapshot = (row.kind == ObjectKind::Snapshot).then(|| Snapshot::decode(bytes).ok());
        let Some(snapshot) = snapshot.flatten() else {
            return is_asked;
        };
        self.parents.insert(row.id, snapshot.parents).is_none()
    }

    /// A snapshot that came and to which none leads that was asked for.
    pub fn unconnected(&self) -> Option<ObjectId> {
        let mut led_to: HashSet<ObjectId> = HashSet::with_capacity(self.parents.len());
        let mut open = self.asked.clone();
        while let Some(id) = open.pop() {
            if let Some(parents) = self.parents.get(&id)
                && led_to.insert(id)
            {
                open.extend(parents);
            }
        }
        self.parents.keys().find(|id| !led_to.contains(*id)).copied()
    }

    /// What was asked for and did not come.
    pub fn into_missing(self) -> HashSet<ObjectId> {
        let absent = self.ids.into_iter().filter(|(_, came)| !came);
        absent.map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::HashAlgo;

    #[test]
    fn who_goes_on_reading_is_brought_more() {
        assert_eq!((0..6).map(step).collect::<Vec<_>>(), [0, 8, 64, 512, 4096, 4096]);
        assert_eq!(step(u32::MAX), 4096);
    }

    #[test]
    fn no_more_comes_beside_than_is_allowed() {
        let row = |number: u8| Row {
            kind: ObjectKind::Block,
            bytes: 100,
            id: ObjectId::hash(HashAlgo::Sha256, &[number]),
        };
        let rows = |numbers: std::ops::Range<u8>| numbers.map(row).collect::<Vec<Row>>();
        let ids: Vec<ObjectId> = rows(0..4).iter().map(|row| row.id).collect();
        let taken = |frames: &[Vec<Row>], beside| {
            let mut awaited = Awaited::new(&ids, 0);
            let refused = frames.iter().any(|frame| awaited.take_whole(frame, beside).is_some());
            (!refused).then_some((awaited.beside.asked_bytes, awaited.beside.objects.len()))
        };
        // Half of it was asked for; less; less of two; one of 17.
        assert_eq!(taken(&[rows(0..8)], 0), Some((400, 4)));
        assert_eq!(taken(&[rows(0..9)], 499), None);
        assert_eq!(taken(&[rows(0..9)], 500), Some((400, 5)));
        assert_eq!(taken(&[rows(3..9), rows(2..8)], 899), None);
        assert_eq!(taken(&[rows(3..9), rows(2..8)], 900), Some((300, 9)));
        assert_eq!(taken(&[rows(3..19)], 1500), Some((100, 15)));
        assert_eq!(taken(&[rows(3..20)], 1 << 20), None);
    }
}
