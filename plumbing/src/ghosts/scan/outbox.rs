//! From the threads that read to the one that writes: a channel that holds so many files, however they are spread over
//! directories.
//!
//! Who has something to send waits while too much is on the way; the writer gives room back when it has written. When the
//! writer ends, whatever the reason, nobody waits any more and sending fails. What is to be told goes the same way, so
//! that however much there is to tell, little of it waits.

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

/// What is on its way.
#[derive(Debug)]
enum Parcel<T> {
    /// To be written.
    Look(Look),
    /// To be told.
    Told(T),
}

/// How much is on the way; none when the writer has ended.
#[derive(Debug)]
struct Room {
    taken: Mutex<Option<usize>>,
    changed: Condvar,
}

/// Where readers send to.
#[derive(Debug)]
pub(in crate::ghosts) struct Outbox<T> {
    sender: Sender<Parcel<T>>,
    room: Arc<Room>,
}

// Derived, it would want `T` to be cloned as well.
impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            room: self.room.clone(),
        }
    }
}

/// Where the writer takes from.
#[derive(Debug)]
pub(in crate::ghosts) struct Inbox<T> {
    parcels: Receiver<Parcel<T>>,
    room: Arc<Room>,
}

/// Both ends.
pub(in crate::ghosts) fn channel<T>() -> (Outbox<T>, Inbox<T>) {
    let (sender, parcels) = crossbeam_channel::unbounded();
    let room = Arc::new(Room {
        taken: Mutex::new(Some(0)),
        changed: Condvar::new(),
    });
    let inbox = Inbox {
        parcels,
        room: room.clone(),
    };
    (Outbox { sender, room }, inbox)
}

fn weight(look: &Look) -> usize {
    1 + look.files.len() + look.gone.len()
}

impl<T> Outbox<T> {
    /// Hands something over to be written. Fails where the writer has ended, whose error is the one to tell.
    pub(in crate::ghosts) fn send(&self, look: Look) -> Result<()> {
        self.put(weight(&look), Parcel::Look(look))
    }

    /// Hands something over to be told; fails as [`send`](Self::send) does.
    pub(in crate::ghosts) fn tell(&self, told: T) -> Result<()> {
        self.put(1, Parcel::Told(told))
    }

    fn put(&self, weight: usize, parcel: Parcel<T>) -> Result<()> {
        let mut taken = self.room.taken.lock();
        loop {
            match &mut *taken {
                None => return Err(Error::Interrupted),
                // One that is larger than all room goes alone.
                Some(files) if *files == 0 || *files + weight <= FILES_WAITING => {
                    *files += weight;
                    break;
                }
                Some(_) => self.room.changed.wait(&mut taken),
            }
        }
        drop(taken);
        self.sender.send(parcel).map_err(|_| Error::Interrupted)
    }
}

impl<T> Inbox<T> {
    /// Writes what comes, and hands to `tell` what is to be told, until nothing more can come.
    pub(in crate::ghosts) fn write_all(
        self,
        catalogue: &mut Catalogue,
        host: &str,
        tell: &mut dyn FnMut(T) -> Result<()>,
    ) -> Result<Recorded> {
        let mut all = Recorded::default();
        let mut waiting: Vec<Look> = Vec::new();
        let mut files = 0;
        loop {
            let next = self.parcels.recv_timeout(PAUSE);
            let is_end = matches!(next, Err(RecvTimeoutError::Disconnected));
            let is_pause = next.is_err();
            match next {
                Ok(Parcel::Look(look)) => {
                    files += weight(&look);
                    waiting.push(look);
                }
                Ok(Parcel::Told(told)) => {
                    tell(told)?;
                    self.give_back(1);
                }
                Err(_) => {}
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

impl<T> Drop for Inbox<T> {
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
        let (outbox, inbox) = channel::<()>();
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
