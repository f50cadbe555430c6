//! Answering who asks for snapshots or objects.

use hashbrown::HashSet;

use super::Session;
use crate::error::Error;
use crate::error::Result;
use crate::remote::check::Reachable;
use crate::remote::message::{FetchRequest, GetRequest, MESSAGE_MAX, MISSING_NAMED_MAX, encode_ids};
use crate::remote::offer::{Ask, behind, prepare, prepare_closures, prepare_objects};
use crate::remote::pack::plan::Extent;
use crate::remote::pack::{PackWriter, Plan};
use crate::remote::wire::Channel;

impl Session<'_> {
    /// New snapshots with all that they need, as one pack.
    pub(super) fn fetch(&self, channel: &Channel) -> Result<Vec<u8>> {
        let request = FetchRequest::decode(&channel.receive_all(MESSAGE_MAX)?)?;
        let store = &self.repository().store;
        let mut ask = Ask {
            depth: request.depth,
            without_blocks: request.without_blocks,
            haves: request.haves,
            deltas: request.deltas,
            ..Ask::default()
        };
        for id in request.wants {
            ask.add(store, id)?;
        }
        let mut forgotten = Reachable::of_refs(&self.repository().refs)?;
        forgotten.forget(request.bare);
        let offer = prepare(store, &ask, &forgotten, self.progress)?;
        self.send(channel, &offer.plan, &request.held.into_iter().collect())
    }

    /// Objects by their ids, as one pack; the reply names those that are not here. Who may read a repository may ask for
    /// whatever is in it: as with a fetch, an id is all that is needed.
    pub(super) fn get(&self, channel: &Channel) -> Result<Vec<u8>> {
        let request = GetRequest::decode(&channel.receive_all(MESSAGE_MAX)?)?;
        let store = &self.repository().store;
        let plan = match request.closure {
            true => prepare_closures(store, &request.ids, request.without_blocks, self.progress)?,
            false => {
                let mut ids = request.ids;
                ids.extend(behind(store, &ids, request.history, self.progress)?);
                let extent = match (request.leaning_frames, request.whole_frames) {
                    (true, _) => Extent::Leaning { beside: request.beside },
                    (false, true) => Extent::Whole,
                    (false, false) => Extent::Exact,
                };
                prepare_objects(store, &ids, extent, self.progress)?
            }
        };
        self.send(channel, &plan, &HashSet::new())?;
        let missing = plan.missing.iter().take(MISSING_NAMED_MAX);
        Ok(encode_ids(&missing.map(|(_, id)| *id).collect::<Vec<_>>()))
    }

    fn send(&self, channel: &Channel, plan: &Plan, held: &HashSet<[u8; 32]>) -> Result<Vec<u8>> {
        let repository = self.repository();
        channel.tell(&plan.total)?;
        let mut random = [0; 24];
        repository
            .disk
            .random(&mut random)
            .map_err(Error::io("get random bytes for", "a pack"))?;
        let writer = PackWriter::begin(channel, repository.format.hash, random)?;
        plan.send_all(&repository.store, writer, held, self.progress, &mut |tally| {
            channel.tell(tally)
        })?;
        channel.end()?;
        Ok(Vec::new())
    }
}
