//! A stack of tasks that the threads of a job share: what was added last is done first, so that a walk goes deep before it
//! goes wide and few folders are open at once.
//!
//! Invariant: each task that was taken is reported as [`done`](Stack::done), also where it failed; when none waits or runs,
//! nobody waits for one.

use parking_lot::{Condvar, Mutex};

struct State<T> {
    tasks: Vec<T>,
    /// Tasks that wait or run.
    open: usize,
}

/// See the module.
pub struct Stack<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Default for Stack<T> {
    fn default() -> Self {
        let tasks = Vec::new();
        Self {
            state: Mutex::new(State { tasks, open: 0 }),
            changed: Condvar::new(),
        }
    }
}

impl<T> std::fmt::Debug for Stack<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        write!(f, "Stack({} of {} tasks wait)", state.tasks.len(), state.open)
    }
}

impl<T> Stack<T> {
    /// Adds tasks; the last is done first.
    pub fn push(&self, tasks: impl IntoIterator<Item = T>) {
        let mut state = self.state.lock();
        let before = state.tasks.len();
        state.tasks.extend(tasks);
        let added = state.tasks.len() - before;
        state.open += added;
        drop(state);
        match added {
            0 => {}
            1 => drop(self.changed.notify_one()),
            _ => drop(self.changed.notify_all()),
        }
    }

    /// Adds a task that is done after those on top which are `before` it.
    pub fn push_behind(&self, task: T, before: impl Fn(&T) -> bool) {
        let mut state = self.state.lock();
        let above = state.tasks.iter().rev().take_while(|other| before(other)).count();
        let at = state.tasks.len() - above;
        state.tasks.insert(at, task);
        state.open += 1;
        drop(state);
        self.changed.notify_one();
    }

    /// Counts a task that was not pushed.
    pub fn enter(&self) {
        self.state.lock().open += 1;
    }

    /// The next task; waits while others may add some, and gives nothing when all are done.
    pub fn pop(&self) -> Option<T> {
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

    /// The next task, if it is one of these; nobody waits.
    pub fn pop_if(&self, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        self.state.lock().tasks.pop_if(|task| is_wanted(task))
    }

    /// Notes that a task which was taken is done.
    pub fn done(&self) {
        let mut state = self.state.lock();
        state.open -= 1;
        if state.open == 0 {
            self.changed.notify_all();
        }
    }

    /// Throws away what waits and is not to stay.
    pub fn retain(&self, stays: impl FnMut(&T) -> bool) {
        let mut state = self.state.lock();
        let before = state.tasks.len();
        state.tasks.retain(stays);
        state.open -= before - state.tasks.len();
        self.changed.notify_all();
    }

    /// Throws away all that waits.
    pub fn clear(&self) {
        self.retain(|_| false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    #[test]
    fn the_last_is_done_first_and_some_wait_behind_others() {
        let stack = Stack::default();
        stack.push([1, 2, 30]);
        stack.push_behind(20, |other| *other >= 30);
        stack.push_behind(3, |other| *other > 100);
        assert_eq!(stack.pop_if(|task| *task > 10), None);
        assert_eq!(stack.pop(), Some(3));
        assert_eq!(stack.pop_if(|task| *task > 10), Some(30));
        stack.retain(|task| *task < 20);
        assert_eq!((stack.pop(), stack.pop()), (Some(2), Some(1)));
        assert_eq!(format!("{stack:?}"), "Stack(0 of 4 tasks wait)");
    }

    #[test]
    fn threads_wait_for_what_others_may_add_and_end_with_the_last() {
        let stack = Stack::default();
        let sum = AtomicU32::new(0);
        stack.push([10u32]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(task) = stack.pop() {
                        sum.fetch_add(task, Relaxed);
                        stack.push((0..2).map(|_| task / 2).filter(|half| *half > 0));
                        stack.done();
                    }
                });
            }
        });
        // 10, 2 of 5, 4 of 2, 8 of 1.
        assert_eq!(sum.into_inner(), 36);
    }
}
