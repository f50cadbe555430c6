//! Doing something while no ref can move.

use std::collections::BTreeMap;

use super::write::Lock;
use super::{RefStore, Sequence};
use crate::error::Result;
use crate::object::ObjectId;

impl RefStore {
    /// Calls `act` with the number of the last record and all refs, while no other process can change them. It must be
    /// short, and must not change refs itself.
    pub fn locked<T>(&self, act: impl FnOnce(Option<Sequence>, &BTreeMap<String, ObjectId>) -> Result<T>) -> Result<T> {
        let mut cached = self.state.lock();
        self.check_writable(&cached)?;
        let _lock = Lock::take(&*self.disk, &self.place.lock)?;
        let state = self.refresh_locked(&mut cached)?;
        act((state.sequence > 0).then_some(Sequence(state.sequence)), &state.refs)
    }
}
