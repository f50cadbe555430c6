//! Telling what the library finds, from more than one callback.

use std::cell::RefCell;

use ghost_plumbing::Error;

use crate::error::{Failure, Outcome};

/// What is told from several callbacks of the library by one `R`, and what went wrong while it was.
pub struct Telling<'r, R>(RefCell<(&'r mut R, Option<Failure>)>);

impl<'r, R> Telling<'r, R> {
    /// Does a job that tells. What went wrong while it was told counts before what the job says of it.
    pub fn with(run: &'r mut R, job: impl FnOnce(&Self) -> Result<(), Error>) -> Outcome {
        let telling = Self(RefCell::new((run, None)));
        let done = job(&telling);
        match telling.0.into_inner().1 {
            Some(failure) => Err(failure),
            None => Ok(done?),
        }
    }

    /// Tells something. Where that fails, the job that found it is to end.
    pub fn tell(&self, tell: impl FnOnce(&mut R) -> Outcome) -> Result<(), Error> {
        let (run, failure) = &mut *self.0.borrow_mut();
        tell(run).map_err(|told| {
            *failure = Some(told);
            Error::Interrupted
        })
    }
}
