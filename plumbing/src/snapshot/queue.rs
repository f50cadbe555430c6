//! The tasks of a job.

use std::sync::Arc;

use super::directory::Dir;
use super::large::Batch;
use crate::tasks::Stack;

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

/// All of them.
pub type Queue = Stack<Task>;

impl Stack<Task> {
    /// Adds a part of a large file, which is done after the parts before it and before all else.
    pub fn push_batch(&self, batch: Arc<Batch>) {
        let of_same = batch.clone();
        let is_before = move |task: &Task| matches!(task, Task::Batch(other) if other.is_of_file_of(&of_same));
        self.push_behind(Task::Batch(batch), is_before);
    }

    /// The next task, if it is a part of a large file.
    pub fn pop_batch(&self) -> Option<Arc<Batch>> {
        match self.pop_if(|task| matches!(task, Task::Batch(_)))? {
            Task::Batch(batch) => Some(batch),
            _ => None,
        }
    }

    /// Throws away what waits, but for parts of large files: somebody waits for them.
    pub fn stop(&self) {
        self.retain(|task| matches!(task, Task::Batch(_)));
    }
}
