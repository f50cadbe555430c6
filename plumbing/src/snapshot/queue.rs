//! The tasks of a job: a stack that its threads share, so that a walk goes deep before it goes wide and few
//! directories are open at once.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::directory::Dir;
use super::large::Batch;

/// Something to do.
pub enum Task {
    /// Open and look at a directory, which is the child at `slot` of `parent`'s window.
    Directory {
        /// The directory that holds it.
        parent: Arc<Dir>,
        /// Its place there.
        slot: usize,
    },
    /// Read some files of a directory's window.
    Files {
        /// The directory.
        dir: Arc<Dir>,
        /// Their places in the window.
        slots: Vec<usize>,
    },
    /// Hash and store a part of a large file.
    Batch(Arc<Batch>),
}

#[derive(Default)]
struct State {
    tasks: Vec<Task>,
    /// Tasks that wait or run.
    open: usize,
}

/// The stack.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    /// Adds tasks; the last is done first.
    pub fn push(&self, tasks: impl IntoIterator<Item = Task>) {
        let mut state = self.state.lock();
        let before = state.tasks.len();
        state.tasks.extend(tasks);
        state.open += state.tasks.len() - before;
        drop(state);
        self.changed.notify_all();
    }

    /// Adds a part of a large file, which is done after the parts before it and before all else.
    pub fn push_batch(&self, batch: Arc<Batch>) {
        let mut state = self.state.lock();
        let is_before = |task: &&Task| matches!(task, Task::Batch(other) if other.is_of_file_of(&batch));
        let before = state.tasks.iter().rev().take_while(is_before).count();
        let at = state.tasks.len() - before;
        state.tasks.insert(at, Task::Batch(batch));
        state.open += 1;
        drop(state);
        self.changed.notify_one();
    }

    /// Counts a task that was not pushed.
    pub fn enter(&self) {
        self.state.lock().open += 1;
    }

    /// The next task; waits while others may add some, and gives nothing when all are done.
    pub fn pop(&self) -> Option<Task> {
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

    /// The next task, if it is a part of a large file.
    pub fn pop_batch(&self) -> Option<Arc<Batch>> {
        let mut state = self.state.lock();
        match state.tasks.pop()? {
            Task::Batch(batch) => Some(batch),
            other => {
                state.tasks.push(other);
                None
            }
        }
    }

    /// Notes that a popped task is done.
    pub fn done(&self) {
        let mut state = self.state.lock();
        state.open -= 1;
        if state.open == 0 {
            self.changed.notify_all();
        }
    }

    /// Throws away what waits, but for parts of large files: somebody waits for them.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        let before = state.tasks.len();
        state.tasks.retain(|task| matches!(task, Task::Batch(_)));
        state.open -= before - state.tasks.len();
        self.changed.notify_all();
    }
}
