//! Questions for what is needed next, while the answer before is still taken in: the other side looks it up meanwhile, and its
//! first bytes are here when they are wanted.
//!
//! At most [`QUESTIONS_MAX`] are on their way so, each of which may fill a window of memory. What is asked for before that has
//! nothing to do with it is asked for beside them; a question that is not taken up is given up for a later one.

use std::collections::VecDeque;

use hashbrown::HashSet;
use parking_lot::Mutex;

use super::{Brought, Question, REQUEST_IDS};
use crate::error::Result;
use crate::object::ObjectId;
use crate::remote::client::Client;
use crate::remote::pack::plan::Extent;
use crate::remote::wire::Channel;
use crate::store::{Show, Writer};

/// Questions that are on their way.
const QUESTIONS_MAX: usize = 2;

/// Questions that were asked ahead, the oldest first.
#[derive(Debug, Default)]
pub struct Ahead(Mutex<VecDeque<Asked>>);

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
        let mut all = self.0.lock();
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
    /// Asks for these, each named once; the answer is taken by [`Client::bring_ahead`]. What goes wrong shows there.
    pub fn ask_ahead(&self, ahead: &Ahead, ids: &[ObjectId]) {
        if ids.len() > REQUEST_IDS {
            return;
        }
        let ask = || -> Result<Asked> {
            let (ids, extent) = (ids.to_vec(), self.widest()?);
            let question = Question {
                ids: &ids,
                history: 0,
                extent,
            };
            let channel = self.ask(question)?;
            Ok(Asked { ids, extent, channel })
        };
        if let Ok(asked) = ask() {
            let mut all = ahead.0.lock();
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
