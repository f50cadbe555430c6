//! `ghost describe`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use ghost_plumbing::ghosts::Ghost;
use ghost_plumbing::ghosts::catalogue::Catalogue;
use ghost_plumbing::ghosts::scan::{self, Told};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::Trust;
use ghost_plumbing::time::Timestamp;
use ghost_plumbing::walk::RuleOptions;

use crate::app::App;
use crate::error::{Failure, Outcome, PARTIAL};
use crate::ghosts::{self, GhostRecord};
use crate::ui::Style;
use crate::ui::size::{Count, Size};
use crate::ui::time::local;

/// Show what is known of a file, of what a path once held, or of a content by its hash
///
/// A file or folder that is there is looked at first, as `ghost scan` does: what did not change is not read again. Of a
/// folder, every content in it is described. ID is a FULLHASH, as sha256sum prints it, or its first seven digits or
/// more.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, folders or hashes
    #[arg(value_name = "PATH|ID", required = true)]
    pub targets: Vec<OsString>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let host = app.host(repository.settings());
    let mut partial = false;
    let mut is_first = true;
    ghosts::with_catalogue(app, &repository, |app, catalogue| {
        for target in &arguments.targets {
            partial |= each_ghost(app, &repository, catalogue, target, &mut |app, ghost| {
                tell(app, &host, &ghost, std::mem::take(&mut is_first))
            })?;
        }
        Ok(())
    })?;
    match partial {
        false => Ok(()),
        true => Err(Failure::Code(PARTIAL)),
    }
}

/// Gives each content that an argument names; a path that is there is scanned first. Whether something could not be
/// read, which is said.
pub fn each_ghost(
    app: &mut App,
    repository: &Repository,
    catalogue: &mut Catalogue,
    target: &OsStr,
    take: &mut dyn FnMut(&mut App, Ghost) -> Outcome,
) -> Outcome<bool> {
    let path = app.environment.resolved(target.as_ref());
    if path.symlink_metadata().is_err() {
        for content in ghosts::known(app, repository, catalogue, target)? {
            let ghost = catalogue.ghost_of(content)?;
            take(app, ghost)?;
        }
        return Ok(false);
    }
    let mut request = ghosts::scan_request(app, repository, vec![path.clone()], RuleOptions::default());
    request.trust_hash |= catalogue.trust(&request.host, &path)? == Some(Trust::Hash);
    let progress = Arc::new(app.gentle(repository));
    let report = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        let mut tell = |told| {
            if let Told::Problem(problem) = told {
                app.output.problem(&problem.to_string());
            }
            Ok(())
        };
        scan::scan(catalogue, &request, &progress, &mut tell)?
    };
    for id in catalogue.contents_below(&request.host, path.as_os_str().as_bytes())? {
        app.check_interrupt()?;
        if let Some(content) = catalogue.content(id)? {
            let ghost = catalogue.ghost_of(content)?;
            take(app, ghost)?;
        }
    }
    Ok(report.problems > 0)
}

fn tell(app: &mut App, host: &str, ghost: &Ghost, is_first: bool) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&GhostRecord::new(ghost))?);
    }
    if !is_first {
        app.output.line("")?;
    }
    let id = app.output.paint(Style::Id, ghost.fullhash).to_string();
    app.output.line(id)?;
    let bytes = match ghost.size {
        size @ 0..1000 => Size(size).to_string(),
        size => format!("{} ({} bytes)", Size(size), Count(size)),
    };
    app.output.line(format_args!("size       {bytes}"))?;
    if let Some(fasthash) = ghost.fasthash {
        app.output.line(format_args!("fasthash   {fasthash}"))?;
    }
    let date = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), local);
    if ghost.lastmod.is_some() {
        app.output.line(format_args!("modified   {}", date(ghost.lastmod)))?;
    }
    app.output
        .line(format_args!("verified   {}", date(ghost.verified_full)))?;
    if ghost.verified_fast > ghost.verified_full {
        app.output
            .line(format_args!("fast check {}", date(ghost.verified_fast)))?;
    }
    let (first, last) = (local(ghost.found_first), local(ghost.found_last));
    match first == last {
        true => app.output.line(format_args!("found      {first}"))?,
        false => app.output.line(format_args!("found      {first} to {last}"))?,
    }
    for place in &ghost.places {
        let path = ghosts::shown(app, host, place);
        match place.present {
            // Of a stream, or of a tree that was made by hand: it was never a file of a machine.
            _ if !place.path.starts_with(b"/") => app.output.line(format_args!("named      {path}"))?,
            true => app.output.line(format_args!("at         {path}"))?,
            false => {
                let last = local(place.seen_last);
                app.output.line(format_args!("was at     {path} until {last}"))?;
            }
        }
    }
    Ok(())
}
