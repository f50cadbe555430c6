//! Taking in what a client brings.
//!
//! 1. The head says which refs are to change; what no rule would allow is refused before anything is received.
//! 2. The pack goes to quarantine; every object is hashed.
//! 3. What the new values need is walked: it is all there, or nothing happens.
//! 4. The values are compared with the rules: forward, not back.
//! 5. Hooks may object. The objects are adopted, durable; then all refs change in one record, or none.
//! 6. The answer has the number of the record.
//!
//! The record has the id of the push. A client that lost the answer pushes again and is told that it was done.

use std::path::Path;

use super::Session;
use crate::error::Error;
use crate::error::Result;
use crate::object::{ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::refs::{FORGOTTEN, Forgotten, RefChange};
use crate::remote::check::{Reachable, Tips, check};
use crate::remote::folder::compact;
use crate::remote::message::{PushHead, PushReply};
use crate::remote::objects::fill::check_content;
use crate::remote::policy::forbidden;
use crate::remote::quarantine::{Both, Quarantine};
use crate::remote::wire::{Channel, Code};
use crate::repository::{Leans, Repository};

/// Records of the ref log that are looked through for a push that may have been done.
const REPEATS_LOOKED_AT: usize = 1024;

/// Digests of frames that a client brought before; none while another push of it is under way.
pub(super) fn held(repository: &Repository, key: &[u8; 16]) -> Result<Vec<[u8; 32]>> {
    if !Quarantine::is_there(repository, key)? {
        return Ok(Vec::new());
    }
    match Quarantine::open(repository, key)? {
        Some(quarantine) => quarantine.digests(),
        None => Ok(Vec::new()),
    }
}

impl Session<'_> {
    /// Takes a pack in and changes refs.
    pub(super) fn push(&self, channel: &Channel) -> Result<Vec<u8>> {
        let policy = self.export.policy;
        policy.check_writable()?;
        self.repository().check_writable()?;
        let head = PushHead::read(&mut { channel })?;
        if let Some(sequence) = self.done_before(&head)? {
            // What it sends again is not needed.
            let reply = PushReply {
                sequence,
                is_repeated: true,
                objects: 0,
            };
            return Ok(reply.encode());
        }
        for change in &head.changes {
            policy.check_name(&self.repository().refs, change)?;
        }
        self.check_expected(&head)?;
        let key = self.key.unwrap_or(head.push_id);
        let quarantine = Quarantine::open(self.repository(), &key)?.ok_or_else(|| Error::Refused {
            code: Code::Busy as u16,
            text: "another push of the same repository is under way".to_owned(),
            detail: String::new(),
        })?;
        if head.has_pack {
            let limits = self.export.limits;
            let name = Path::new("the pack of the client");
            quarantine.receive(channel, name, limits, self.progress, &mut |tally| {
                // A client that hears no more may have sent more: all that came is kept for its next try.
                let _ = channel.tell(tally);
            })?;
        }
        self.finish(channel, &head, quarantine)
    }

    /// Checks, adopts, changes refs.
    fn finish(&self, channel: &Channel, head: &PushHead, quarantine: Quarantine) -> Result<Vec<u8>> {
        let repository = self.repository();
        let both = Both {
            main: &repository.store,
            arrived: quarantine.store(),
        };
        let mut held = Reachable::of_refs(&repository.refs)?;
        let is_forgetting = |name: &str| name.starts_with(FORGOTTEN);
        let named = head
            .changes
            .iter()
            .filter_map(|change| Some((change.name.as_str(), change.new?)));
        held.forget(Forgotten::of(named).iter().copied());
        let mut tips = Tips::default();
        let named = head.changes.iter().filter(|change| !is_forgetting(&change.name));
        for id in named.filter_map(|change| change.new) {
            sort(&both, id, &mut tips)?;
        }
        for &id in &head.roots {
            match both.kind_of(&id)? {
                Some(ObjectKind::Block | ObjectKind::Indirect) => check_content(&both, id, self.progress)?,
                _ => sort(&both, id, &mut tips)?,
            }
        }
        let new = check(&both, &tips, &mut held, self.progress)?;
        let is_new = |id: &ObjectId| new.iter().any(|snapshot| snapshot.id == *id);
        let mut changes = Vec::new();
        for change in &head.changes {
            let old = repository.refs.get(&change.name)?;
            self.export.policy.check_value(&both, change, old, &is_new)?;
            changes.push(RefChange {
                name: change.name.clone(),
                expected: change.expectation(),
                new: change.new,
            });
        }
        self.exports.pre_receive(&self.export, &changes)?;
        for change in &changes {
            self.exports.update(&self.export, change)?;
        }
        let objects = quarantine.objects()?;
        quarantine.adopt(repository)?;
        let sequence = self.commit(head, &changes)?;
        self.exports.post_receive(&self.export, &changes);
        if repository.disk.is_plain() {
            // What fails here is done another time: what is there is whole.
            let _ = compact::when_due(repository, &self.key.unwrap_or(head.push_id));
        }
        // A client that has gone is told when it asks again.
        let _ = channel.tell(&Default::default());
        let reply = PushReply {
            sequence,
            is_repeated: false,
            objects,
        };
        Ok(reply.encode())
    }

    fn commit(&self, head: &PushHead, changes: &[RefChange]) -> Result<u64> {
        let repository = self.repository();
        if changes.is_empty() {
            return Ok(repository.refs.sequence()?.map_or(0, |sequence| sequence.0));
        }
        let done = repository.commit_with(changes, &head.who, &head.message, Leans::Anything, Some(head.push_id))?;
        Ok(done.0)
    }

    /// Refuses early what would fail late: a ref that is not where the client thinks it is.
    fn check_expected(&self, head: &PushHead) -> Result<()> {
        for change in &head.changes {
            let found = self.repository().refs.get(&change.name)?;
            if found != change.expected {
                let show = |id: Option<ObjectId>| id.map_or_else(|| "nothing".to_owned(), |id| id.to_string());
                return Err(Error::RefMoved {
                    name: change.name.clone(),
                    expected: show(change.expected),
                    found: show(found),
                });
            }
        }
        Ok(())
    }

    /// The record that has this push, if its refs are still where it put them.
    fn done_before(&self, head: &PushHead) -> Result<Option<u64>> {
        let refs = &self.repository().refs;
        for change in &head.changes {
            if refs.get(&change.name)? != change.new {
                return Ok(None);
            }
        }
        for record in refs.records_backwards()?.take(REPEATS_LOOKED_AT) {
            let record = record?;
            if record.push_id == Some(head.push_id) {
                return Ok(Some(record.sequence));
            }
        }
        Ok(None)
    }
}

/// Whether an id that a ref is to have is a snapshot or a tree.
fn sort(both: &Both<'_>, id: ObjectId, tips: &mut Tips) -> Result<()> {
    let bytes = both.object(ObjectKind::Snapshot, &id)?;
    if Snapshot::decode(&bytes).is_ok() {
        tips.snapshots.push(id);
    } else if crate::object::TreeNode::decode(&bytes).is_ok() {
        tips.trees.push(id);
    } else {
        return Err(forbidden(&format!("{id} is neither a snapshot nor a tree")));
    }
    Ok(())
}
