//! What this job has made, where something later in the tree may refer to it: the first name of each hard-link
//! group, and the first file of each longer content.
//!
//! A place is announced when it is planned and confirmed, with the inode, when it is complete. Only confirmed places
//! are used, and only while their name still leads to that inode: so nothing is linked or cloned that this job has
//! not made or found to be right.

use std::sync::Arc;

use bstr::BString;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::batch::Waiting;
use super::sources::Queue;
use super::target::{Dir, Identity};
use crate::object::{ObjectId, ObjectKind};

/// Most contents that are remembered: more are written again where they are needed.
const CONTENTS_MAX: usize = 16_384;

/// A name in a directory, with the inode once it is complete.
#[derive(Clone, Debug)]
pub(super) struct Place<'j> {
    pub dir: Arc<Dir<'j>>,
    pub name: BString,
    pub identity: Option<Identity>,
}

/// What a place is remembered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A hard-link group.
    Links([u8; 16]),
    /// A content, by its topmost object and what that is.
    Content(ObjectKind, ObjectId),
}

/// What this job has made. The directories of all places stay unfinished until it is dropped.
#[derive(Default)]
pub(super) struct Made<'j> {
    /// What waits for content from elsewhere.
    pub queue: Arc<Queue<'j>>,
    /// What waits for blocks that others have.
    pub waiting: Waiting<'j>,
    links: Mutex<HashMap<[u8; 16], Place<'j>>>,
    contents: Mutex<HashMap<(ObjectKind, ObjectId), Place<'j>>>,
}

impl<'j> Made<'j> {
    /// What is known of a key.
    pub fn get(&self, key: &Key) -> Option<Place<'j>> {
        match key {
            Key::Links(group) => self.links.lock().get(group).cloned(),
            Key::Content(kind, id) => self.contents.lock().get(&(*kind, *id)).cloned(),
        }
    }

    /// Whether what is remembered by a key is complete.
    pub fn has(&self, key: &Key) -> bool {
        self.get(key).is_some_and(|place| place.identity.is_some())
    }

    /// Says that the key will be at a place.
    pub fn announce(&self, key: Key, dir: &Arc<Dir<'j>>, name: &BString, identity: Option<Identity>) {
        let place = Place {
            dir: dir.clone(),
            name: name.clone(),
            identity,
        };
        match key {
            Key::Links(group) => {
                self.links.lock().insert(group, place);
            }
            Key::Content(kind, id) => {
                let mut contents = self.contents.lock();
                if contents.len() < CONTENTS_MAX {
                    contents.insert((kind, id), place);
                }
            }
        }
    }

    /// Says that the place announced for the key is complete.
    pub fn confirm(&self, key: &Key, identity: Identity) {
        match key {
            Key::Links(group) => {
                if let Some(place) = self.links.lock().get_mut(group) {
                    place.identity = Some(identity);
                }
            }
            Key::Content(kind, id) => {
                if let Some(place) = self.contents.lock().get_mut(&(*kind, *id)) {
                    place.identity = Some(identity);
                }
            }
        }
    }
}
