//! `ghost remote`.

use std::sync::Arc;
use std::time::Instant;

use clap::Subcommand;
use ghost_plumbing::Result;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::{Expected, LINES, RefChange};
use ghost_plumbing::remote::difference::new_snapshots;
use ghost_plumbing::repository::config::{check_remote, set_remote};
use ghost_plumbing::repository::{Leans, Repository};
use serde::Serialize;

use crate::app::App;
use crate::commands::config::edit;
use crate::commands::fetch::who;
use crate::error::{FAILED, Failure, Outcome};
use crate::remote::names::{self, TRACKING};
use crate::remote::session::Reach;
use crate::remote::url::Url;
use crate::ui::show::{self, short_id};
use crate::ui::time::Length;

/// Name other repositories, and ask how they are
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do [default: list]
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What `ghost remote` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Give a repository a name
    Add {
        /// Its name: letters, digits, dashes, underscores
        name: String,
        /// Where it is: HOST:PATH, USER@HOST:PATH, ssh://…, a folder, unix:SOCKET, ext::COMMAND, dir:FOLDER
        url: String,
    },
    /// Name all of them
    List,
    /// Forget one, with the lines that were fetched from it
    Remove {
        /// Its name
        name: String,
    },
    /// Give one another name
    Rename {
        /// Its name
        old: String,
        /// Its new name
        new: String,
    },
    /// Say where one is now
    SetUrl {
        /// Its name
        name: String,
        /// Where it is
        url: String,
    },
    /// Ask them how they are: version, latency, lines ahead and behind
    Status {
        /// Their names [default: all]
        names: Vec<String>,
    },
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    match arguments.action.as_ref().unwrap_or(&Action::List) {
        Action::List => list(app),
        Action::Add { name, url } => add(app, name, url),
        Action::SetUrl { name, url } => set_url(app, name, url),
        Action::Remove { name } => remove(app, name),
        Action::Rename { old, new } => rename(app, old, new),
        Action::Status { names } => status(app, names),
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "remote")]
struct Record<'a> {
    name: &'a str,
    url: &'a str,
}

fn list(app: &mut App) -> Outcome {
    let repository = app.repository()?;
    for (name, url) in repository.config.remotes() {
        match app.output.json() {
            true => app.output.record(&Record { name, url })?,
            false => app.output.line(format_args!("{name}\t{}", show::text(url)))?,
        }
    }
    Ok(())
}

fn add(app: &mut App, name: &str, url: &str) -> Outcome {
    let repository = app.repository()?;
    check_remote(name)?;
    if repository.config.remotes().contains_key(name) {
        let message = format!("there is a remote {name} already");
        return Err(Failure::other(
            message,
            "`ghost remote set-url NAME URL` changes where it is",
        ));
    }
    write(app, name, url)
}

fn set_url(app: &mut App, name: &str, url: &str) -> Outcome {
    known(&app.repository()?, name)?;
    write(app, name, url)
}

fn write(app: &App, name: &str, url: &str) -> Outcome {
    let text = match Url::parse(url.as_ref())? {
        // A path is written down as one that is true from everywhere.
        Url::Path(path) if !url.starts_with("file:") => app.environment.absolute(&path).to_string_lossy().into_owned(),
        Url::Folder(path) => format!("dir:{}", app.environment.absolute(&path).to_string_lossy()),
        _ => url.to_owned(),
    };
    edit(app, false, |config| set_remote(config, name, Some(&text)).map(Some))
}

fn known(repository: &Repository, name: &str) -> Outcome<String> {
    let url = repository.config.remotes().get(name).cloned();
    url.ok_or_else(|| {
        Failure::other(
            format!("there is no remote {name}"),
            "`ghost remote list` names all of them",
        )
    })
}

fn remove(app: &mut App, name: &str) -> Outcome {
    let repository = app.repository()?;
    known(&repository, name)?;
    move_refs(app, &repository, name, None)?;
    edit(app, false, |config| set_remote(config, name, None).map(Some))
}

fn rename(app: &mut App, old: &str, new: &str) -> Outcome {
    let repository = app.repository()?;
    let url = known(&repository, old)?;
    add(app, new, &url)?;
    move_refs(app, &repository, old, Some(new))?;
    edit(app, false, |config| set_remote(config, old, None).map(Some))
}

/// The lines of a remote go, or get another name.
fn move_refs(app: &App, repository: &Repository, old: &str, new: Option<&str>) -> Outcome {
    let folder = format!("{TRACKING}{old}/");
    let mut changes = Vec::new();
    for (name, id) in repository.refs.list(&folder)? {
        if let Some(new) = new {
            changes.push(RefChange {
                name: format!("{TRACKING}{new}/{}", &name[folder.len()..]),
                expected: Expected::Absent,
                new: Some(id),
            });
        }
        changes.push(RefChange {
            name,
            expected: Expected::Is(id),
            new: None,
        });
    }
    if !changes.is_empty() {
        let message = format!(
            "remote {old}: {}",
            new.map_or("removed".to_owned(), |new| format!("now {new}"))
        );
        repository.commit(&changes, &who(app, repository), &message, Leans::Anything)?;
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "remote")]
struct Status {
    name: String,
    url: String,
    reachable: bool,
    problem: Option<String>,
    /// Version and mode, as the server says.
    server: Option<String>,
    latency_seconds: f64,
    start_seconds: f64,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    id: String,
    /// Snapshots that are only here; none where that is not known before a fetch.
    ahead: Option<usize>,
    /// Snapshots that are only there.
    behind: Option<usize>,
}

fn status(app: &mut App, wanted: &[String]) -> Outcome {
    let repository = app.repository()?;
    let mut failed = false;
    let all: Vec<String> = match wanted.is_empty() {
        true => repository.config.remotes().keys().cloned().collect(),
        false => wanted.to_vec(),
    };
    for name in all {
        let url = known(&repository, &name)?;
        let reach = Reach::new(app, repository.settings(), Some(repository.format.uuid))?;
        let progress = Arc::new(Progress::new(app.interrupt.clone()));
        let mut status = Status {
            name: name.clone(),
            url,
            reachable: false,
            problem: None,
            server: None,
            latency_seconds: 0.0,
            start_seconds: 0.0,
            lines: Vec::new(),
        };
        if let Err(error) = ask(&reach, &repository, &progress, &mut status) {
            status.problem = Some(error.to_string());
            failed = true;
        }
        show_status(app, &status)?;
    }
    match failed {
        false => Ok(()),
        true => Err(Failure::Code(FAILED)),
    }
}

fn ask(reach: &Reach, repository: &Repository, progress: &Progress, status: &mut Status) -> Result<()> {
    let begun = Instant::now();
    let remote = names::of_url(status.url.as_ref())?;
    let session = reach.connect(&remote.url)?;
    let client = session.client(progress)?;
    let greeting = client.connection.peer()?;
    status.start_seconds = begun.elapsed().as_secs_f64();
    let asked = Instant::now();
    let server = client.status()?;
    status.latency_seconds = asked.elapsed().as_secs_f64();
    status.server = Some(format!("{} {server}", show::text(&greeting.software)));
    status.reachable = true;
    let listing = client.list()?;
    for (name, theirs) in &listing.refs {
        let Some(line) = name.strip_prefix(LINES) else { continue };
        let ours = repository.refs.get(name)?;
        let apart = |new: Option<ObjectId>, old: Option<ObjectId>| -> Result<Option<usize>> {
            let (Some(new), Some(old)) = (new, old) else {
                return Ok(None);
            };
            if !repository.store.contains(&new)? || !repository.store.contains(&old)? {
                return Ok(None);
            }
            let mut behind = ghost_plumbing::remote::check::Reachable::of([old]);
            let is_held = &mut |id: &ObjectId| behind.contains(&repository.store, id);
            Ok(Some(
                new_snapshots(&repository.store, &[new], None, is_held, progress)?.len(),
            ))
        };
        status.lines.push(Line {
            name: line.to_owned(),
            id: theirs.to_string(),
            ahead: apart(ours, Some(*theirs))?,
            behind: apart(Some(*theirs), ours)?,
        });
    }
    Ok(())
}

/// What a server says of itself: its software, and the values of its JSON that matter to people.
fn in_words(server: &str) -> String {
    let (software, json) = server.split_at(server.find('{').unwrap_or(server.len()));
    let Ok(said) = serde_json::from_str::<serde_json::Value>(json) else {
        return show::text(server);
    };
    let mut words = vec![software.trim_end().to_owned()];
    let values = ["mode", "hash"].into_iter().filter_map(|key| said[key].as_str());
    words.extend(values.map(str::to_owned));
    if said["lazy"] == "yes" {
        words.push("lazy".to_owned());
    }
    show::text(&words.join(", "))
}

fn show_status(app: &mut App, status: &Status) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(status)?);
    }
    app.output
        .line(format_args!("{}\t{}", status.name, show::text(&status.url)))?;
    if let Some(problem) = &status.problem {
        return Ok(app
            .output
            .line(format_args!("  cannot be reached: {}", show::text(problem)))?);
    }
    let seconds = |seconds: f64| Length(std::time::Duration::from_secs_f64(seconds));
    let (start, latency) = (seconds(status.start_seconds), seconds(status.latency_seconds));
    app.output
        .line(format_args!("  reached in {start}, answers in {latency}"))?;
    if let Some(server) = &status.server {
        app.output.line(format_args!("  {}", in_words(server)))?;
    }
    for line in &status.lines {
        let apart = match (line.ahead, line.behind) {
            (Some(0), Some(0)) => "the same here".to_owned(),
            (Some(ahead), Some(behind)) => format!("here {ahead} ahead, {behind} behind"),
            _ => "not known here before a fetch".to_owned(),
        };
        let id = line
            .id
            .parse::<ObjectId>()
            .map_or_else(|_| line.id.clone(), |id| short_id(&id));
        app.output
            .line(format_args!("  {id} {}: {apart}", show::text(&line.name)))?;
    }
    Ok(())
}
