//! Names of one inode, found while the walk goes on.
//!
//! An entry carries a hard-link group only if the snapshot holds at least two names of its inode, so that a tree does
//! not depend on links from elsewhere. The group is named by its first path. Both are known when as many names were
//! seen as the inode has, or when the walk is over; directories that need to know earlier wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::directory::Dir;
use crate::object::Node;
use crate::object::tree::{compare_paths, link_group};
use crate::walk::Stat;

/// Device and inode.
pub type Key = (u64, u64);

struct Inode {
    nlink: u32,
    seen: u32,
    first: Box<[u8]>,
    content: Option<(Stat, Node)>,
}

/// What is known of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// More names may come.
    Unknown,
    /// The only name.
    Single,
    /// Names of this group.
    Named([u8; 16]),
}

/// All inodes with several names.
#[derive(Default)]
pub struct Links {
    inodes: Mutex<HashMap<Key, Inode>>,
    over: AtomicBool,
    waiting: Mutex<Vec<Arc<Dir>>>,
}

impl Links {
    /// Notes a name of an inode.
    pub fn see(&self, stat: &Stat, path: &[u8]) -> Key {
        let key = (stat.dev, stat.ino);
        let mut inodes = self.inodes.lock();
        let inode = inodes.entry(key).or_insert_with(|| Inode {
            nlink: stat.nlink,
            seen: 0,
            first: path.into(),
            content: None,
        });
        inode.seen += 1;
        if compare_paths(path, &inode.first).is_lt() {
            inode.first = path.into();
        }
        key
    }

    /// What is known of the group of an inode.
    pub fn group(&self, key: &Key) -> Group {
        let over = self.over.load(Ordering::Acquire);
        match self.inodes.lock().get(key) {
            Some(inode) if inode.seen >= 2 && (over || inode.seen >= inode.nlink) => {
                Group::Named(link_group(&inode.first))
            }
            Some(_) if !over => Group::Unknown,
            _ => Group::Single,
        }
    }

    /// The content that was read under another name, if the inode still looks the same.
    pub fn content(&self, key: &Key, stat: &Stat) -> Option<Node> {
        let inodes = self.inodes.lock();
        let (seen, node) = inodes.get(key)?.content.as_ref()?;
        seen.same_content(stat).then(|| node.clone())
    }

    /// Notes the content of an inode.
    pub fn set_content(&self, key: &Key, stat: Stat, node: Node) {
        if let Some(inode) = self.inodes.lock().get_mut(key) {
            inode.content = Some((stat, node));
        }
    }

    /// Keeps a directory until the walk is over; `false` if it is over.
    pub fn defer(&self, dir: &Arc<Dir>) -> bool {
        if self.over.load(Ordering::Acquire) {
            return false;
        }
        self.waiting.lock().push(dir.clone());
        true
    }

    /// Notes that all names were seen, and gives the directories that wait.
    pub fn finish(&self) -> Vec<Arc<Dir>> {
        self.over.store(true, Ordering::Release);
        std::mem::take(&mut *self.waiting.lock())
    }
}
