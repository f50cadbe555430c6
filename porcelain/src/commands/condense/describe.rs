//! The descriptions that `ghost condense` puts together, and where they go.

use ghost_plumbing::Result;
use ghost_plumbing::bundle::Bundle;
use ghost_plumbing::ghosts::{Ghost, Ghosts};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::store::Store;

use super::Job;
use crate::app::App;
use crate::commands::gfs::read_descriptions;
use crate::error::{Outcome, Report};
use crate::ghosts;

impl Job<'_> {
    /// Puts together what the snapshots tell of files. What was united before has descriptions instead.
    pub(super) fn describe(&mut self, store: &Store) -> Result<()> {
        for tree in &self.trees {
            let Some(snapshot) = &tree.snapshot else { continue };
            if snapshot.condensed_of().is_none() {
                let verified = tree.is_live.then_some(snapshot.time);
                self.ghosts.add_snapshot(store, snapshot, verified, &self.progress)?;
            }
        }
        Ok(())
    }

    /// The paths of what was condensed are no places, so that the catalogue cannot learn them from the snapshot: it gets the
    /// descriptions. Where it cannot be written, that is said, and the line is what it is.
    pub(super) fn keep_descriptions(&self, app: &mut App, repository: &Repository) -> Outcome {
        let Some(told) = self.told.as_ref().filter(|told| !told.is_empty()) else {
            return Ok(());
        };
        let kept = ghosts::with_catalogue(app, repository, |_, catalogue| {
            Ok(catalogue.import(told.sorted()?).map(drop)?)
        });
        match kept {
            Err(failure) if self.progress.should_stop() => Err(failure),
            Err(failure) => {
                let why = Report::of(&failure).message.unwrap_or_default();
                app.output
                    .warn(format_args!("the descriptions are not in the catalogue: {why}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// How many contents are described.
    pub(super) fn count(&self) -> Result<u64> {
        self.ghosts
            .sorted()?
            .try_fold(0, |count, ghost| ghost.map(|_| count + 1))
    }

    /// What a bundle describes already.
    pub(super) fn descriptions_of(&self, app: &App, bundle: &Bundle) -> Result<Ghosts> {
        let mut known = Ghosts::spilling(app.disk.clone(), &bundle.store().place());
        read_descriptions(bundle, &mut known)?;
        Ok(known)
    }
}

/// Those of `ghosts` that `known` does not have just so; both are sorted by content.
pub(super) fn unknown(
    ghosts: impl Iterator<Item = Result<Ghost>>,
    known: impl Iterator<Item = Result<Ghost>>,
) -> impl Iterator<Item = Result<Ghost>> {
    let mut known = known.peekable();
    ghosts.filter_map(move |ghost| {
        let ghost = match ghost {
            Ok(ghost) => ghost,
            Err(error) => return Some(Err(error)),
        };
        let is_less = |known: &Result<Ghost>| known.as_ref().is_ok_and(|known| known.fullhash < ghost.fullhash);
        while known.next_if(is_less).is_some() {}
        match known.next_if(|known| known.as_ref().map_or(true, |known| known.fullhash == ghost.fullhash)) {
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(known)) if known == ghost => None,
            _ => Some(Ok(ghost)),
        }
    })
}
