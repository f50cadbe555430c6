//! Questions for what is needed next, while the answer before is still taken in: the other side looks it up meanwhile, and its
//! first bytes are here when they are wanted.
//!
//! At most [`QUESTIONS_MAX`] are on their way so, each of which may fill a window of memory. What is asked for before that has
//! nothing to do with it is asked for beside them; a question that is not taken up is given up for a later one.
//!
//! What lies in one frame is often asked for with two questions, one behind the other. So that the other side need not pack it
//! anew for each, such a frame may come whole with the first. What came like that and was not asked for since must be less than
//! half of what was asked for and came: who asks for parts of many frames, and never for the rest, is brought little beside.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use super::history::Beside;
use super::{Brought, Question, REQUEST_IDS};
use crate::error::Result;
use crate::object::ObjectId;
use crate::remote::client::Client;
use crate::remote::pack::plan::Extent;
use crate::remote::wire::Channel;
use crate::store::{Show, Writer};

/// Questions that are on their way.
const QUESTIONS_MAX: usize = 2;

/// Objects that came beside and are remembered at most.
const BESIDE_MAX: usize = 1 << 18;

/// Questions that were asked ahead, and what came beside.
#[derive(Debug, Default)]
pub struct Ahead {
    /// The oldest first.
    questions: Mutex<VecDeque<Asked>>,
    credit: Mutex<Credit>,
}

/// What came, and was it of use.
#[derive(Debug, Default)]
struct Credit {
    /// Bytes that were asked for and came.
    asked_bytes: u64,
    /// What came beside and was not needed yet, with its bytes; and all of these.
    beside: HashMap<ObjectId, u32>,
    beside_bytes: u64,
}

impl Credit {
    /// Counts what came.
    fn came(&mut self, came: Beside) {
        self.asked_bytes += came.asked_bytes;
        for (id, bytes) in came.objects {
            if self.beside.len() < BESIDE_MAX && self.beside.insert(id, bytes).is_none() {
                self.beside_bytes += u64::from(bytes);
            }
        }
    }

    /// Counts what is needed.
    fn are_needed(&mut self, ids: &[ObjectId]) {
        for id in ids {
            let bytes = self.beside.remove(id).unwrap_or(0);
            self.beside_bytes -= u64::from(bytes);
        }
    }

    /// Bytes that may come beside with the next answer.
    fn left(&self) -> u64 {
        match self.beside.len() < BESIDE_MAX {
            true => (self.asked_bytes / 2).saturating_sub(self.beside_bytes),
            false => 0,
        }
    }
}

#[derive(Debug)]
struct Asked {
    ids: Vec<ObjectId>,
    extent: Extent,
    channel: Channel,
}

impl Ahead {
    /// Takes the question out that is about most of these, and gives the others, too. What was here when it was asked, and
    /// went meanwhile, is not in it.
    fn take(&self, ids: &[ObjectId]) -> Option<(Asked, Vec<ObjectId>)> {
        let mut all = self.questions.lock();
        for at in 0..all.len() {
            let others: Vec<ObjectId> = {
                let known: HashSet<&ObjectId> = all[at].ids.iter().collect();
                ids.iter().filter(|id| !known.contains(id)).copied().collect()
            };
            if 2 * others.len() < ids.len() {
                return all.remove(at).map(|asked| (asked, others));
            }
        }
        None
    }
}

impl Client<'_> {
    /// Asks for these, each named once; the answer is taken by [`Client::bring_ahead`]. What goes wrong shows there. `here` are
    /// those that came before and are needed now.
    pub fn ask_ahead(&self, ahead: &Ahead, ids: &[ObjectId], here: &[ObjectId]) {
        let beside = {
            let mut credit = ahead.credit.lock();
            credit.are_needed(here);
            credit.left()
        };
        if ids.is_empty() || ids.len() > REQUEST_IDS {
            return;
        }
        let ask = || -> Result<Asked> {
            let extent = match self.widest()? {
                Extent::Leaning { .. } => Extent::Leaning { beside },
                extent => extent,
            };
            let ids = ids.to_vec();
            let question = Question {
                ids: &ids,
                history: 0,
                extent,
            };
            let channel = self.ask(question)?;
            Ok(Asked { ids, extent, channel })
        };
        if let Ok(asked) = ask() {
            let mut all = ahead.questions.lock();
            if all.len() >= QUESTIONS_MAX {
                all.pop_front();
            }
            all.push_back(asked);
        }
    }

    /// As [`Client::bring_shown`], from the answer to a question that was asked ahead if there is one.
    pub fn bring_ahead(
        &self,
        ahead: &Ahead,
        writer: &Writer<'_>,
        ids: &[ObjectId],
        show: &Show<'_>,
    ) -> Result<Brought> {
        let Some((asked, others)) = ahead.take(ids) else {
            return self.bring_shown(writer, ids, show);
        };
        let mut brought = Brought::default();
        let question = Question {
            ids: &asked.ids,
            history: 0,
            extent: asked.extent,
        };
        self.take(asked.channel, question, (writer, show), &mut brought)?;
        ahead.credit.lock().came(std::mem::take(&mut brought.beside));
        if !brought.missing.is_empty() {
            let wanted: HashSet<&ObjectId> = ids.iter().collect();
            brought.missing.retain(|id| wanted.contains(id));
        }
        if !others.is_empty() {
            let rest = self.bring_shown(writer, &others, show)?;
            brought.missing.extend(rest.missing);
            brought.objects += rest.objects;
            brought.bytes += rest.bytes;
        }
        Ok(brought)
    }
}
