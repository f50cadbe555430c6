//! `ghost clone`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::{FromArgMatches as _, ValueHint};
use ghost_plumbing::refs::{Expected, LINES, RefChange, line_ref, short_name};
use ghost_plumbing::remote::client::{Client, Fetch, Mapping};
use ghost_plumbing::remote::lazy;
use ghost_plumbing::remote::message::Listing;
use ghost_plumbing::repository::{self, InitOptions, Initialised, Leans, Repository, config};

use crate::app::App;
use crate::cli::{self, Cli, Command};
use crate::commands::fetch::{RateArguments, who};
use crate::commands::reconstruct;
use crate::error::{Failure, Outcome};
use crate::remote::names::{self, DEFAULT, Remote};
use crate::remote::session::Reach;
use crate::remote::tell::Summary;
use crate::remote::url::Url;
use crate::ui::show;

/// Make a repository of what another one has
///
/// The new one knows the other as the remote `origin`. Its current line is that of the other, and DIR is filled with the
/// newest snapshot of it. A clone that was interrupted goes on when it is run again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the other repository is: HOST:PATH, USER@HOST:PATH, ssh://…, a folder, unix:SOCKET, ext::COMMAND
    #[arg(value_name = "URL")]
    pub url: OsString,
    /// The folder to make [default: the last part of the URL]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Make the repository alone: DIR is not filled
    #[arg(long)]
    pub bare: bool,
    /// The line to have [default: the current line of the other]
    #[arg(long = "ref", value_name = "LINE")]
    pub line: Option<String>,
    /// Bring only the newest N snapshots of each line; older ones come as forgotten, without their trees
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub depth: Option<u64>,
    /// Bring refs, snapshots and folders; the data of files comes when it is read first
    ///
    /// What came is kept in .ghost/lazy as cache.max, cache.time and cache.only say. What is snapshotted here is stored
    /// here. `ghost fetch --unlazy` brings all that is missing.
    #[arg(long)]
    pub lazy: bool,
    /// How it is done
    #[command(flatten)]
    pub rate: RateArguments,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    // A path is written down as one that is true from everywhere.
    let mut remote = names::of_url(&arguments.url)?;
    if let Url::Path(path) = &remote.url {
        let whole = app.environment.absolute(path);
        remote.text = whole.to_string_lossy().into_owned();
        remote.url = Url::Path(whole);
    } else if let Url::Folder(path) = &remote.url {
        let whole = app.environment.absolute(path);
        remote.text = format!("dir:{}", whole.to_string_lossy());
        remote.url = Url::Folder(whole);
    }
    remote.name = Some(DEFAULT.to_owned());
    let directory = match &arguments.directory {
        Some(directory) => app.environment.absolute(directory),
        None => app.environment.absolute(&last_part(&remote)?),
    };
    let settings = app.config()?.typed().clone();
    let progress = Arc::new(arguments.rate.progress(app)?);
    arguments.rate.limit_reads(app)?;
    // Nothing is made before the other side has answered.
    let probe = Reach::new(app, &settings, None)?;
    let session = probe.connect(&remote.url)?;
    let client = session.client(&progress)?;
    let listing = client.list()?;
    let line = line(&listing, arguments)?;
    let mut repository = make(app, &directory, &remote, &listing, &line)?;
    if arguments.lazy {
        repository = make_lazy(app, repository, &remote, &client)?;
    }
    let monitor = app.monitor(&progress, &repository.config)?;
    let fetch = Fetch {
        mappings: mappings(&remote, &listing, arguments, &line),
        ids: Vec::new(),
        delete: Vec::new(),
        depth: arguments.depth,
        without_blocks: repository.is_lazy(),
        deltas: true,
        who: who(app, &repository),
        message: format!("clone of {}", remote.text),
    };
    let fetched = client.fetch(&repository, &listing, &fetch);
    drop(monitor);
    let fetched = fetched?;
    let traffic = client.connection.traffic();
    drop(session);
    let tip = listing.get(&line);
    if tip.is_some() {
        let change = RefChange {
            name: line.clone(),
            expected: Expected::Absent,
            new: tip,
        };
        repository.commit(&[change], &fetch.who, &fetch.message, Leans::Anything)?;
    }
    let shown = app.shown(&directory);
    app.output.say(format_args!(
        "Made a repository in {shown}, a clone of {}",
        show::text(&remote.text)
    ))?;
    let counts = (fetched.snapshots, fetched.count);
    Summary::new("clone", &remote.text, counts, traffic, begun.elapsed()).show(app, "Received")?;
    if arguments.bare || tip.is_none() {
        return Ok(());
    }
    drop(repository);
    fill(app, directory, &line)
}

/// The folder that a URL ends with, without `.ghost`.
fn last_part(remote: &Remote) -> Outcome<PathBuf> {
    let path: PathBuf = match &remote.url {
        Url::Path(path) | Url::Folder(path) => path.clone(),
        Url::Ssh { path, .. } => path.into(),
        Url::Unix { name, .. } => name.into(),
        Url::Ext(_) => PathBuf::new(),
    };
    let mut names = path.components().rev().map(|part| part.as_os_str().to_owned());
    let name = names.find(|name| name != OsStr::new(repository::FOLDER) && name != OsStr::new("/"));
    name.filter(|name| name != OsStr::new("..") && !name.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| {
            Failure::usage(
                format!("{} says no name for the new folder", remote.text),
                "give one: ghost clone URL DIR",
            )
        })
}

/// The line to have, in full.
fn line(listing: &Listing, arguments: &Arguments) -> Outcome<String> {
    let line = match &arguments.line {
        Some(line) => line_ref(line)?,
        None => listing.line.clone(),
    };
    let has_lines = listing.refs.iter().any(|(name, _)| name.starts_with(LINES));
    if has_lines && listing.get(&line).is_none() {
        let known: Vec<&str> = listing
            .refs
            .iter()
            .filter_map(|(name, _)| name.strip_prefix(LINES))
            .take(20)
            .collect();
        return Err(Failure::other(
            format!("there is no line {} there", short_name(&line)),
            format!("--ref takes one of: {}", known.join(", ")),
        ));
    }
    Ok(line)
}

/// Makes the repository, or goes on with what an interrupted run made.
fn make(app: &App, directory: &std::path::Path, remote: &Remote, listing: &Listing, line: &str) -> Outcome<Repository> {
    fs_err::create_dir_all(directory).map_err(|source| ghost_plumbing::Error::Io {
        op: "make folder",
        path: directory.to_owned(),
        source,
    })?;
    let options = InitOptions {
        hash: Some(listing.hash),
        created: app.environment.now(),
        settings: vec![("core.line".to_owned(), short_name(line).to_owned())],
        ..InitOptions::default()
    };
    let made = repository::init(&app.disk, directory, &options)?;
    let ghost_dir = made.ghost_dir().to_owned();
    let repository = app.open(&ghost_dir)?;
    if matches!(made, Initialised::AlreadyThere(_)) {
        let is_same = repository.config.remotes().get(DEFAULT) == Some(&remote.text);
        if !is_same || !repository.refs.list(LINES)?.is_empty() {
            let message = format!("there is a repository in {} already", app.shown(directory));
            return Err(Failure::other(
                message,
                "`ghost remote add` and `ghost fetch` bring snapshots to it",
            ));
        }
        return Ok(repository);
    }
    let path = repository.config_path();
    let text = app.config_text(&path)?.unwrap_or_default();
    let text = config::set_remote(&text, DEFAULT, Some(&remote.text))?;
    ghost_plumbing::disk::replace_file(&*app.disk, &path, text.as_bytes())?;
    Ok(app.open(&ghost_dir)?)
}

/// Makes the new repository lazy. Where the other one is lazy itself and on this machine, those that it asks for blocks
/// are remotes of the new one, too; elsewhere only their owner can say where they are.
fn make_lazy(app: &mut App, repository: Repository, remote: &Remote, client: &Client<'_>) -> Outcome<Repository> {
    lazy::begin(&repository)?;
    let answer = client.status()?;
    let status: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
    if status["lazy"] == "yes" {
        match &remote.url {
            Url::Path(path) => add_remotes_of(app, &repository, path)?,
            url => add_blocks_of(app, &repository, url, status["blocks"].as_str().unwrap_or_default())?,
        }
    }
    Ok(app.open(&repository.ghost_dir)?)
}

fn add_remotes_of(app: &App, repository: &Repository, path: &std::path::Path) -> Outcome {
    let theirs = app.open(&repository::locate(&*app.disk, path)?)?;
    for (name, url) in theirs.config.remotes() {
        add_remote(app, repository, name, url)?;
    }
    Ok(())
}

/// Makes remotes of those places that a lazy repository elsewhere says that it has its blocks from: of a folder on its own
/// machine, which is reached as that repository was. Other places are told, with what to do: nobody connects to where a
/// server says.
fn add_blocks_of(app: &mut App, repository: &Repository, url: &Url, said: &str) -> Outcome {
    let mut is_told = false;
    for (name, theirs) in said.lines().filter_map(|line| line.split_once(' ')) {
        if config::check_remote(name).is_err() {
            continue;
        }
        let near = Url::parse(theirs.as_ref())
            .ok()
            .and_then(|theirs| theirs.seen_from(url));
        is_told = true;
        if let Some(near) = near {
            let name = add_remote(app, repository, name, &near)?;
            let near = show::text(&near);
            app.output.note(
                0,
                format!("the other one is lazy, too: its blocks come from {near}, the remote {name} here"),
            );
            continue;
        }
        let name = name_for(repository, name);
        let (theirs, shown) = (show::text(theirs), app.shown(&repository.ghost_dir));
        app.output.note(
            0,
            format!(
                "the other one is lazy, too, and has its blocks from {theirs}: if you trust that place, `ghost --repo \
                 {shown} remote add {name} {theirs}`"
            ),
        );
    }
    if !is_told {
        app.output.note(
            0,
            "the other one is lazy, too, and does not say where it has its blocks from: `ghost remote add NAME URL` names it",
        );
    }
    Ok(())
}

/// The name here of a remote that the other side calls so.
fn name_for(repository: &Repository, name: &str) -> String {
    match name == DEFAULT || repository.config.remotes().contains_key(name) {
        true => format!("{name}-of-{DEFAULT}"),
        false => name.to_owned(),
    }
}

fn add_remote(app: &App, repository: &Repository, name: &str, url: &str) -> Outcome<String> {
    let path = repository.config_path();
    let name = name_for(repository, name);
    let text = app.config_text(&path)?.unwrap_or_default();
    let text = config::set_remote(&text, &name, Some(url))?;
    ghost_plumbing::disk::replace_file(&*app.disk, &path, text.as_bytes())?;
    Ok(name)
}

fn mappings(remote: &Remote, listing: &Listing, arguments: &Arguments, line: &str) -> Vec<Mapping> {
    let mut found = Vec::new();
    for (name, _) in &listing.refs {
        let ours = match name.strip_prefix(LINES) {
            Some(_) if arguments.line.is_some() && name != line => None,
            Some(short) => remote.tracking(short),
            None => (name.starts_with("refs/tags/") && arguments.line.is_none()).then(|| name.clone()),
        };
        found.extend(ours.map(|ours| Mapping {
            theirs: name.clone(),
            ours,
            keep: false,
        }));
    }
    found
}

/// Fills the folder, as `ghost reconstruct` does.
fn fill(app: &mut App, directory: PathBuf, line: &str) -> Outcome {
    let words: [OsString; 5] = [
        "ghost".into(),
        "reconstruct".into(),
        "--".into(),
        line.into(),
        directory.clone().into(),
    ];
    let parsed = cli::command()
        .try_get_matches_from(words)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let Ok(Cli {
        command: Command::Reconstruct(arguments),
        ..
    }) = parsed
    else {
        return Ok(());
    };
    app.repo = Some(directory);
    reconstruct::run(app, &arguments)
}
