//! From the threads that read to the one that writes: a channel that holds so many files, however they are spread over
//! directories.
//!
//! Who has something to send waits while too much is on the way; the writer gives room back when it has written. When the
//! writer ends, whatever the reason, nobody waits any more and sending fails.

use std::sync::Arc;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::ghosts::catalogue::{Catalogue, Look, Recorded};

/// Files that may be on their way: some megabytes.
const FILES_WAITING: usize = 32 << 10;
/// Files that one transaction takes, about: it lasts some tens of milliseconds, and others wait for it.
const FILES_PER_TRANSACTION: usize = 8192;
/// What waits is written when nothing came for so long.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// How much is on the way; none when the writer has ended.
#[derive(Debug)]
struct Room {
    taken: Mutex<Option<usize>>,
    changed: Condvar,
}

/// Where readers send to.
#[derive(Clone, Debug)]
pub(in crate::ghosts) struct Outbox {
    sender: Sender<Look>,
    room: Arc<Room>,
}

/// Where the writer takes from.
#[derive(Debug)]
pub(in crate::ghosts) struct Inbox {
    looks: Receiver<Look>,
    room: Arc<Room>,
}

/// Both ends.
pub(in crate::ghosts) fn channel() -> (Outbox, Inbox) {
    let (sender, looks) = crossbeam_channel::unbounded();
    let room = Arc::new(Room {
        taken: Mutex::new(Some(0)),
        changed: Condvar::new(),
    });
    let inbox = Inbox {
        looks,
        room: room.clone(),
    };
    (Outbox { sender, room }, inbox)
}

fn weight(look: &Look) -> usize {
    1 + look.files.len() + look.gone.len()
}

impl Outbox {
    /// Hands something over. Fails where the writer has ended, whose error is the one to tell.
    pub(in crate::ghosts) fn send(&self, look: Look) -> Result<()> {
        let mut taken = self.room.taken.lock();
        loop {
            match &mut *taken {
                None => return Err(Error::Interrupted),
                // One that is larger than all room goes alone.
                Some(files) if *files == 0 || *files + weight(&look) <= FILES_WAITING => {
                    *files += weight(&look);
                    break;
                }
                Some(_) => self.room.changed.wait(&mut taken),
            }
        }
        drop(taken);
        self.sender.send(look).map_err(|_| Error::Interrupted)
    }
}

impl Inbox {
    /// Writes what comes until nothing more can come.
    pub(in crate::ghosts) fn write_all(self, catalogue: &mut Catalogue, host: &str) -> Result<Recorded> {
        let mut all = Recorded::default();
        let mut waiting: Vec<Look> = Vec::new();
        let mut files = 0;
        loop {
            let next = self.looks.recv_timeout(PAUSE);
            let is_end = matches!(next, Err(RecvTimeoutError::Disconnected));
            let is_pause = next.is_err();
            if let Ok(look) = next {
                files += weight(&look);
                waiting.push(look);
            }
            if (files >= FILES_PER_TRANSACTION || is_pause) && !waiting.is_empty() {
                all += catalogue.record(host, &waiting)?;
                waiting.clear();
                self.give_back(files);
                files = 0;
            }
            if is_end {
                return Ok(all);
            }
        }
    }

    fn give_back(&self, files: usize) {
        if let Some(taken) = &mut *self.room.taken.lock() {
            *taken = taken.saturating_sub(files);
        }
        self.room.changed.notify_all();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        *self.room.taken.lock() = None;
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: usize) -> Look {
        Look {
            gone: vec!["x".into(); files],
            ..Look::default()
        }
    }

    #[test]
    fn too_much_waits_and_an_ended_writer_lets_nobody_wait() {
        let (outbox, inbox) = channel();
        outbox.send(look(2 * FILES_WAITING)).unwrap();
        let waits = std::thread::spawn({
            let outbox = outbox.clone();
            move || outbox.send(look(1))
        });
        inbox.give_back(2 * FILES_WAITING + 1);
        waits.join().unwrap().unwrap();
        outbox.send(look(FILES_WAITING - 10)).unwrap();
        let waits = std::thread::spawn({
            let outbox = outbox.clone();
            move || outbox.send(look(100))
        });
        drop(inbox);
        assert!(waits.join().unwrap().is_err());
        assert!(outbox.send(look(0)).is_err());
    }
}
