//! The tasks of a scan: a stack that its threads share, so that a walk goes deep before it goes wide, and few
//! directories are open at once.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::folder::{Folder, Window};

/// Something to do.
pub(super) enum Task {
    /// Look at the directory where the scan begins.
    Begin(Arc<Folder>),
    /// Look at one file of a directory and at nothing else.
    File(Arc<Folder>, u32),
    /// Open and look at a directory: the name with this number in its parent.
    Enter(Arc<Folder>, u32),
    /// Read some files of a window.
    Read(Arc<Window>, Range<usize>),
}

#[derive(Default)]
struct State {
    tasks: Vec<Task>,
    /// Tasks that wait or run.
    open: usize,
}

/// The stack.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    /// Adds tasks; the last is done first.
    pub(super) fn push(&self, tasks: impl IntoIterator<Item = Task>) {
        let mut state = self.state.lock();
        let before = state.tasks.len();
        state.tasks.extend(tasks);
        let added = state.tasks.len() - before;
        state.open += added;
        drop(state);
        match added {
            0 => {}
            1 => {
                self.changed.notify_one();
            }
            _ => {
                self.changed.notify_all();
            }
        }
    }

    /// The next task; waits while others may add some, and gives nothing when all are done.
    pub(super) fn pop(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if let Some(task) = state.tasks.pop() {
                return Some(task);
            }
            if state.open == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Notes that a popped task is done.
    pub(super) fn done(&self) {
        let mut state = self.state.lock();
        state.open -= 1;
        if state.open == 0 {
            self.changed.notify_all();
        }
    }

    /// Throws away what waits.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        state.open -= state.tasks.len();
        state.tasks.clear();
        self.changed.notify_all();
    }
}
