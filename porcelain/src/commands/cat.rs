//! `ghost cat`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use ghost_plumbing::ghosts::{Ghosts, Place};
use ghost_plumbing::object::{ObjectId, Root};
use ghost_plumbing::refs::Named;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::{Error, content};

use crate::app::App;
use crate::bundles;
use crate::commands::fetch::RateArguments;
use crate::commands::gfs::read_descriptions;
use crate::error::{Failure, Outcome};
use crate::ui::show;
use crate::ui::time::local;

/// Places of a content that are named.
const PLACES_NAMED: usize = 4;

/// Write the contents of files in snapshots to standard output
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The files, one behind the other; URL:REV:PATH is one in a remote
    #[arg(value_name = "[URL:]REV:PATH", required = true)]
    pub revisions: Vec<OsString>,
    /// How what is elsewhere comes
    #[command(flatten)]
    pub rate: RateArguments,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    arguments.rate.limit_reads(app)?;
    let repository = app.repository_for(arguments.revisions.iter().map(|text| &**text))?;
    for text in &arguments.revisions {
        let named = app.resolve(&repository, text)?.named;
        let Some(content) = named.content() else {
            let shown = show::bytes(text.as_encoded_bytes());
            let message = format!("{shown} is no file: there are no bytes to write");
            return Err(Failure::other(
                message,
                format!("`ghost ls -l {shown}` shows what it is"),
            ));
        };
        let written = content::copy_to(&repository.store, content, app.output.writer());
        match written {
            // Whoever read standard output has seen enough.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
                return Err(Failure::Output(source));
            }
            Err(Error::Missing { id, needed_as }) => {
                let Some(place) = described(app, &repository, text, &named) else {
                    return Err(Error::Missing { id, needed_as }.into());
                };
                let shown = show::bytes(text.as_encoded_bytes());
                let message = format!("the bytes of {shown} are described, not stored");
                return Err(Failure::other(message, place));
            }
            written => written?,
        }
        app.check_interrupt()?;
    }
    Ok(())
}

/// Where a file was seen whose bytes its snapshot may lack; none where they must be there.
fn described(app: &App, repository: &Repository, text: &OsStr, named: &Named) -> Option<String> {
    let Named::Entry { path, entry } = named else {
        return None;
    };
    let top = text.as_bytes().strip_suffix(path.as_slice())?.strip_suffix(b":")?;
    let snapshot = app.snapshot(repository, OsStr::from_bytes(top)).ok();
    let is_partial =
        bundles::is_named(text) || snapshot.as_ref().is_some_and(|(_, snapshot)| snapshot.is_ghosts_only());
    if !is_partial {
        return None;
    }
    let hash = entry.fullhash().map_or(String::new(), |hash| format!(" as {hash}"));
    let Some((_, snapshot)) = snapshot.filter(|(_, snapshot)| snapshot.condensed_of().is_none()) else {
        let places = entry.fullhash().and_then(|hash| places_in_bundle(app, text, &hash));
        return Some(places.unwrap_or_else(|| format!("its whole content is known{hash}")));
    };
    let under = |root: &Root| -> Option<String> {
        let mut seen = root.path.clone();
        // The tree of several roots has an entry for each, by its last name.
        let name = root.path.rsplit(|&byte| byte == b'/').next()?;
        let below = match &root.meta {
            Some(_) => path.as_slice(),
            None => path.strip_prefix(name)?,
        };
        if !below.is_empty() {
            seen.push(b'/');
            seen.extend_from_slice(below.strip_prefix(b"/").unwrap_or(below));
        }
        Some(show::bytes(&seen))
    };
    let seen = snapshot
        .roots
        .iter()
        .find_map(under)
        .unwrap_or_else(|| show::bytes(path));
    let (host, when) = (show::text(&snapshot.host), local(snapshot.time));
    Some(format!("it was seen on {host} at {seen}{hash}, {when}"))
}

/// Where the descriptions of a bundle say that a content was seen.
fn places_in_bundle(app: &App, text: &OsStr, fullhash: &ObjectId) -> Option<String> {
    if !bundles::is_named(text) {
        return None;
    }
    let mut ghosts = Ghosts::default();
    read_descriptions(&bundles::find(app, text).ok()?.bundle, &mut ghosts).ok()?;
    let ghost = ghosts.get(fullhash).ok()??;
    let place = |place: &Place| format!("on {} at {}", show::text(&place.host), show::bytes(&place.path));
    let places: Vec<String> = ghost.places.iter().take(PLACES_NAMED).map(place).collect();
    Some(format!("it was seen as {fullhash} {}", places.join(", ")))
}
