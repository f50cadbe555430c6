//! `ghost where`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ghost_plumbing::Error;
use ghost_plumbing::ghosts::catalogue::{Catalogue, Look, split_path};
use ghost_plumbing::ghosts::{Ghost, Place, scan};
use ghost_plumbing::object::{ObjectId, ObjectKind, Snapshot};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::revision::{entry_at, read_snapshot};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::walk::RuleOptions;
use serde::Serialize;

use crate::app::App;
use crate::commands::verify::all_targets;
use crate::error::{Failure, Outcome};
use crate::ghosts::{self, GhostRecord};
use crate::records::PathField;
use crate::ui::show::{self, short_id};
use crate::ui::size::Size;
use crate::ui::time::local;
use crate::ui::{Style, time};

/// Find every place where a content is or was
///
/// Names the files of this machine that hold it, each looked at now; where it was, here and on other machines, as far as
/// is known; the snapshots that have it; and whether the repository stores it. FILE is a file, or a path where one was;
/// ID a FULLHASH or its first seven digits or more.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files or hashes
    #[arg(value_name = "FILE|ID", required = true)]
    pub targets: Vec<OsString>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "in_snapshot")]
struct InSnapshotRecord<'a> {
    fullhash: String,
    snapshot: String,
    name: &'a str,
    time: String,
    #[serde(flatten)]
    path: PathField,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    fullhash: String,
    present: u64,
    gone: u64,
    snapshots: u64,
    stored: bool,
}

/// A snapshot that holds the content, and where in it.
struct Held {
    name: String,
    id: ObjectId,
    snapshot: Snapshot,
    path: Vec<u8>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    ghosts::with_catalogue(app, &repository, |app, catalogue| {
        let mut is_first = true;
        for target in &arguments.targets {
            for fullhash in contents(app, &repository, catalogue, target)? {
                if !std::mem::take(&mut is_first) && !app.output.json() {
                    app.output.line("")?;
                }
                one(app, &repository, catalogue, &fullhash)?;
            }
        }
        Ok(())
    })
}

/// The contents that an argument names.
fn contents(
    app: &mut App,
    repository: &Repository,
    catalogue: &mut Catalogue,
    target: &OsString,
) -> Outcome<Vec<ObjectId>> {
    let path = app.environment.resolved(target.as_ref());
    if path.is_file() {
        look_at(app, repository, catalogue, &path)?;
        let host = app.host(repository.settings());
        if let Some(row) = catalogue.at(&host, path.as_os_str().as_bytes())?
            && let Some(id) = row.content
        {
            return Ok(catalogue
                .content(id)?
                .into_iter()
                .map(|content| content.fullhash)
                .collect());
        }
    }
    if path.is_dir() {
        let shown = show::bytes(target.as_bytes());
        let hint = format!("`ghost overlap {shown} TREE` asks for all files of a folder; name a file or a hash");
        return Err(Failure::usage(format!("{shown} is a folder"), hint));
    }
    let known = ghosts::known(app, repository, catalogue, target)?;
    Ok(known.into_iter().map(|content| content.fullhash).collect())
}

/// Brings what is known of one file up to date.
fn look_at(app: &App, repository: &Repository, catalogue: &mut Catalogue, path: &Path) -> Outcome {
    let request = ghosts::scan_request(app, repository, vec![path.to_owned()], RuleOptions::default());
    // What cannot be read is not among the answers.
    scan::scan(catalogue, &request, &Progress::new(app.interrupt.clone()), &mut |_| {
        Ok(())
    })?;
    Ok(())
}

/// Looks at every place of this machine where the content is known to be or to have been.
fn look_again(app: &App, repository: &Repository, catalogue: &mut Catalogue, ghost: &Ghost) -> Outcome {
    let host = app.host(repository.settings());
    for place in ghost
        .places
        .iter()
        .filter(|place| place.host == host && place.path.starts_with(b"/"))
    {
        app.check_interrupt()?;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(&place.path));
        let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
        if is_file {
            // What cannot be read now stays as it is known.
            let _ = look_at(app, repository, catalogue, &path);
        } else if place.present {
            let (folder, name) = split_path(&place.path);
            let look = Look {
                path: folder.into(),
                looked: app.environment.now(),
                gone: vec![name.into()],
                ..Look::default()
            };
            catalogue.record(&host, &[look])?;
        }
    }
    Ok(())
}

fn one(app: &mut App, repository: &Repository, catalogue: &mut Catalogue, fullhash: &ObjectId) -> Outcome {
    let ghost = |catalogue: &Catalogue| -> Outcome<Ghost> {
        let name = fullhash.to_string();
        let what = "content";
        Ok(catalogue.ghost(fullhash)?.ok_or(Error::NotFound { what, name })?)
    };
    let known = ghost(catalogue)?;
    look_again(app, repository, catalogue, &known)?;
    let ghost = ghost(catalogue)?;
    let held = snapshots(app, repository, &ghost)?;
    let is_block = repository.store.kind_of(fullhash)? == Some(ObjectKind::Block);
    let stored = is_block || held.iter().any(|held| !held.snapshot.is_ghosts_only());
    if app.output.json() {
        return tell_json(app, &ghost, &held, stored);
    }
    let id = app.output.paint(Style::Id, fullhash).to_string();
    app.output.line(format_args!("{id}  {}", Size(ghost.size)))?;
    let host = app.host(repository.settings());
    // What was never a file of a machine is named by the snapshot that holds it.
    for place in ghost.places.iter().filter(|place| place.path.starts_with(b"/")) {
        tell_place(app, &host, place)?;
    }
    for held in &held {
        let id = app.output.paint(Style::Id, short_id(&held.id)).to_string();
        let (name, path) = (show::text(&held.name), show::bytes(&held.path));
        let taken = local(held.snapshot.time);
        app.output
            .line(format_args!("snapshot   {id} {name}:{path}, {taken}"))?;
    }
    let stored = match stored {
        true => "stored     in this repository",
        false => "stored     nowhere in this repository",
    };
    app.output.line(stored)?;
    Ok(())
}

fn tell_place(app: &mut App, host: &str, place: &Place) -> Outcome {
    let path = ghosts::shown(app, host, place);
    let (first, last) = (local(place.seen_first), local(place.seen_last));
    let line = match place.present {
        true => format!("at         {path}, since {first}, seen {last}"),
        false => format!("was at     {path}, {first} to {last}"),
    };
    Ok(app.output.line(line)?)
}

fn tell_json(app: &mut App, ghost: &Ghost, held: &[Held], stored: bool) -> Outcome {
    app.output.record(&GhostRecord::new(ghost))?;
    for held in held {
        app.output.record(&InSnapshotRecord {
            fullhash: ghost.fullhash.to_string(),
            snapshot: held.id.to_string(),
            name: &held.name,
            time: time::rfc3339(held.snapshot.time, held.snapshot.offset_minutes),
            path: PathField::new(&held.path),
        })?;
    }
    let present = ghost.present().count() as u64;
    Ok(app.output.record(&Summary {
        command: "where",
        fullhash: ghost.fullhash.to_string(),
        present,
        gone: ghost.places.len() as u64 - present,
        snapshots: held.len() as u64,
        stored,
    })?)
}

/// The snapshots that hold the content. Each of them told the catalogue where, so nothing is searched: the places that
/// are known are looked up.
fn snapshots(app: &App, repository: &Repository, ghost: &Ghost) -> Outcome<Vec<Held>> {
    let mut held = Vec::new();
    for target in all_targets(app, repository)? {
        app.check_interrupt()?;
        if target.kind != ObjectKind::Snapshot || !target.needs_tree {
            continue;
        }
        let snapshot = match read_snapshot(&repository.store, &target.id) {
            Ok(snapshot) => snapshot,
            // `ghost verify` tells of it.
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error.into()),
        };
        let paths = ghost.places.iter().filter(|place| place.host == snapshot.host);
        for path in paths.filter_map(|place| path_in(&snapshot, &place.path)) {
            let entry = entry_at(&repository.store, snapshot.tree, &path);
            if entry.is_ok_and(|entry| entry.and_then(|entry| entry.fullhash()) == Some(ghost.fullhash)) {
                held.push(Held {
                    name: target.name.clone(),
                    id: target.id,
                    snapshot: snapshot.clone(),
                    path,
                });
            }
        }
    }
    Ok(held)
}

/// Where in a snapshot a path of its machine is.
fn path_in(snapshot: &Snapshot, path: &[u8]) -> Option<Vec<u8>> {
    if snapshot.roots.is_empty() {
        return (!path.starts_with(b"/")).then(|| path.to_vec());
    }
    snapshot.roots.iter().find_map(|root| {
        let below = path.strip_prefix(root.path.as_slice())?;
        let below = match below.strip_prefix(b"/") {
            Some(below) => below,
            None if below.is_empty() || root.path.ends_with(b"/") => below,
            None => return None,
        };
        if root.meta.is_some() {
            return Some(below.to_vec());
        }
        let name = split_path(&root.path).1;
        let slash: &[u8] = if below.is_empty() { b"" } else { b"/" };
        Some([name, slash, below].concat())
    })
}
