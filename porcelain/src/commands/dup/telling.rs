//! Telling what the library finds, from more than one callback.

use std::cell::RefCell;

use ghost_plumbing::Error;

use super::Run;
use crate::error::{Failure, Outcome};

/// What is told from several callbacks of the library, and what went wrong while it was.
pub(super) struct Telling<'r, 'a>(RefCell<(&'r mut Run<'a>, Option<Failure>)>);

impl<'r, 'a> Telling<'r, 'a> {
    /// Does a job that tells. What went wrong while it was told counts before what the job says of it.
    pub(super) fn with(run: &'r mut Run<'a>, job: impl FnOnce(&Self) -> Result<(), Error>) -> Outcome {
        let telling = Self(RefCell::new((run, None)));
        let done = job(&telling);
        match telling.0.into_inner().1 {
            Some(failure) => Err(failure),
            None => Ok(done?),
        }
    }

    pub(super) fn tell(&self, tell: impl FnOnce(&mut Run<'a>) -> Outcome) -> Result<(), Error> {
        let (run, failure) = &mut *self.0.borrow_mut();
        tell(run).map_err(|told| {
            *failure = Some(told);
            Error::Interrupted
        })
    }
}
