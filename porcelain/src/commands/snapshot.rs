//! `ghost snapshot`.
//!
//! 1. find the repository, or make it (`--init`)
//! 2. the library reads, stores and makes durable; no ref names the result yet
//! 3. move the line, comparing with what it was at the beginning; where somebody else was faster, follow them and
//!    try again, so that snapshots which run at once all stay on the line

mod tell;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueHint;
use ghost_plumbing::object::{Metadata, ObjectId, ObjectKind, Snapshot};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::{Expected, RefChange, Who, line_ref};
use ghost_plumbing::remote::lazy;
use ghost_plumbing::repository::config::{Settings, Trust};
use ghost_plumbing::repository::{Leans, Repository};
use ghost_plumbing::snapshot::{self, About, Keep, Outcome as Taken, Place, Request, is_same};
use ghost_plumbing::walk::{RuleOptions, Rules};
use ghost_plumbing::{Error, Result};

use crate::app::App;
use crate::commands::{gfs, init};
use crate::error::{Failure, Outcome, PARTIAL};
use crate::hooks::{self, Call, Hook};
use crate::remote::source;
use crate::rules::RuleArguments;

/// Granularity of times on file systems that keep no parts of a second; two seconds on FAT, the coarsest.
pub const COARSE: Duration = Duration::from_secs(2);
/// How often the line may be moved by others while a snapshot tries to join it.
const TRIES_MAX: usize = 100;

/// Keep the state of folders or files
///
/// The snapshot of one folder has that folder's content as its tree, so that `ghost reconstruct @ DIR` fills DIR with
/// it. The snapshot of several paths has an entry for each, by its last name. Patterns in .ghostignore files leave
/// paths out, with the rules of .gitignore.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folders or files [default: the working directory]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// The line that the snapshot goes to [default: the setting core.line, which is main]
    #[arg(long = "ref", value_name = "LINE")]
    pub line: Option<String>,
    /// Why the snapshot is taken
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub message: String,
    /// A label; may be given again
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// What proves that a file did not change: its stat values, or only its bytes
    #[arg(long, value_name = "HOW", value_parser = ["stat", "hash"])]
    pub trust: Option<String>,
    /// Store nothing; tell what would be stored
    #[arg(long)]
    pub dry_run: bool,
    /// Store standard input as one file of this name
    #[arg(long, value_name = "NAME", conflicts_with = "paths")]
    pub stdin: Option<String>,
    /// Store what changed whole, not as the difference from what it replaces
    #[arg(long)]
    pub no_delta: bool,
    /// Make a repository in the working directory if there is none
    #[arg(long)]
    pub init: bool,
    /// Store no contents: only what they are and where they were seen
    ///
    /// The tree is that of a full snapshot. `ghost reconstruct` makes it again from files that are still somewhere.
    #[arg(long)]
    pub ghosts_only: bool,
    /// Write the snapshot to a new file instead of a repository: NAME.gs without contents, NAME.gfs with them
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["line", "dry_run", "stdin", "init", "skip_if_unchanged"])]
    pub output: Option<OsString>,
    /// Record nothing if the newest snapshot of the line is the same
    #[arg(long)]
    pub skip_if_unchanged: bool,
    /// The rules
    #[command(flatten)]
    pub rules: RuleArguments,
}

/// What is told at the end.
struct Done {
    line: String,
    /// None where nothing was recorded.
    id: Option<ObjectId>,
    unchanged: bool,
    /// Whether it is the first of the line that `@` means, so that its user may be new to this.
    is_first: bool,
    made: Option<PathBuf>,
    begun: Instant,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    if arguments.no_delta {
        app.overrides.push("delta.enabled=false".to_owned());
    }
    if let Some(file) = &arguments.output {
        return gfs::snapshot_into(app, file, arguments);
    }
    let made = if arguments.init { make_if_none(app)? } else { None };
    let repository = app.repository()?;
    if repository.is_lazy() {
        // What the remotes have need not be stored again.
        let promised = lazy::promised(&repository, &source::progress(app))?;
        repository.store.count_on(promised);
    }
    repository.check_writable()?;
    let settings = repository.settings();
    let line = line_ref(arguments.line.as_deref().unwrap_or(&settings.core_line))?;
    if !arguments.dry_run {
        let call = Call::new(Hook::PreSnapshot).variable("GHOST_LINE", &line);
        hooks::before(app, &repository, &call.arguments(roots(app, arguments)))?;
    }
    let parent = repository.refs.get(&line)?;
    let is_forgotten = match parent {
        Some(parent) => repository.refs.forgotten()?.contains(&parent),
        None => false,
    };
    // One that is forgotten goes on the chain of parents, but nobody may lean on its tree.
    let newest = parent.filter(|_| !is_forgotten);
    let request = request(app, &repository, arguments, parent, newest)?;
    let progress = Arc::new(app.gentle(&repository));
    let mut taken = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        take(app, &repository, &request, arguments, &progress)?
    };
    let unchanged = match newest {
        Some(parent) => is_same(&repository.store, parent, &taken.snapshot)?,
        None => false,
    };
    let skip = unchanged && (arguments.skip_if_unchanged || settings.snapshot_skip_if_unchanged);
    let mut id = None;
    if !arguments.dry_run && !skip {
        id = Some(join_line(app, &repository, &line, parent, &mut taken)?);
    }
    let is_first = parent.is_none() && line_ref(&settings.core_line)? == line;
    let done = Done {
        line,
        id,
        unchanged,
        is_first: is_first && arguments.stdin.is_none(),
        made,
        begun,
    };
    tell::tell(app, &repository, arguments, &taken, &done)?;
    if let Some(id) = done.id {
        let before = taken.snapshot.parents.first().copied();
        let call = Call::new(Hook::PostSnapshot)
            .arguments([id.to_string()])
            .change(before, Some(id), &done.line)
            .variable("GHOST_LINE", &done.line)
            .variable("GHOST_PROBLEMS", taken.problems.len().to_string());
        hooks::after(app, &repository, &call);
    }
    match taken.problems.is_empty() {
        true => Ok(()),
        false => Err(Failure::Code(PARTIAL)),
    }
}

/// Makes a repository where there is none upward from here; gives its folder if it was made.
fn make_if_none(app: &App) -> Outcome<Option<PathBuf>> {
    match app.ghost_dir() {
        Ok(_) => Ok(None),
        Err(Error::NoRepository { .. }) => {
            let named = app.repo.clone().or_else(|| app.environment.ghost_dir.clone());
            let directory = app.environment.absolute(&named.unwrap_or_default());
            Ok(Some(init::make(app, &directory, None)?.ghost_dir().to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

fn request(
    app: &App,
    repository: &Repository,
    arguments: &Arguments,
    parent: Option<ObjectId>,
    newest: Option<ObjectId>,
) -> Outcome<Request> {
    let settings = repository.settings();
    let mut request = plain_request(app, repository, arguments.rules.options(settings)?);
    if let Some(trust) = arguments.trust.as_deref() {
        request.trust_hash = trust == "hash";
    }
    request.roots = roots(app, arguments);
    request.dry_run = arguments.dry_run;
    if arguments.ghosts_only {
        request.keep = Keep::Ghosts;
    }
    if arguments.skip_if_unchanged || settings.snapshot_skip_if_unchanged {
        request.unless_same_as = newest;
    }
    request.about.message.clone_from(&arguments.message);
    request.about.tags.clone_from(&arguments.tags);
    request.about.parents = parent.into_iter().collect();
    Ok(request)
}

/// The folders and files that are meant. What comes from standard input has none that is looked at.
fn roots(app: &App, arguments: &Arguments) -> Vec<PathBuf> {
    let named = arguments.paths.iter().map(|path| app.environment.resolved(path));
    let here = app.environment.cwd.clone();
    match arguments.paths.is_empty() {
        true if arguments.stdin.is_some() => Vec::new(),
        true => vec![here],
        false => named.collect(),
    }
}

/// A request of nothing yet, by the settings.
pub fn plain_request(app: &App, repository: &Repository, rules: RuleOptions) -> Request {
    request_by(app, repository.settings(), rules)
}

/// The same by settings that belong to no repository.
pub fn request_by(app: &App, settings: &Settings, rules: RuleOptions) -> Request {
    let time = app.environment.now();
    Request {
        roots: Vec::new(),
        rules_text: rules.to_lines(),
        rules: Rules::new(rules),
        trust_hash: settings.snapshot_trust == Trust::Hash,
        dry_run: false,
        keep: Keep::Everything,
        threads: app.threads(settings),
        chunk: settings.chunk_params(),
        xattrs: settings.snapshot_xattrs,
        birth_time: settings.snapshot_birth_time,
        began: app.environment.clock(),
        coarse: COARSE,
        unless_same_as: None,
        about: About {
            time,
            offset_minutes: app.environment.offset_minutes(time),
            host: app.host(settings),
            author: app.author(settings),
            message: String::new(),
            tags: Vec::new(),
            parents: Vec::new(),
        },
    }
}

fn take(
    app: &App,
    repository: &Repository,
    request: &Request,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<Taken> {
    let place = place(repository);
    let Some(name) = &arguments.stdin else {
        return snapshot::take(&place, request, progress);
    };
    let meta = Metadata {
        mode: 0o600,
        uid: app.environment.uid,
        gid: app.environment.gid,
        mtime: request.about.time,
        ..Metadata::default()
    };
    snapshot::take_stream(
        &place,
        request,
        name.as_str().into(),
        meta,
        &mut io::stdin().lock(),
        progress,
    )
}

/// Where the library finds the parts of a repository.
pub fn place(repository: &Repository) -> Place<'_> {
    Place {
        disk: &*repository.disk,
        ghost_dir: Some(repository.ghost_dir.clone()),
        uuid: repository.format.uuid,
        store: &repository.store,
    }
}

/// Moves the line to the snapshot.
fn join_line(
    app: &App,
    repository: &Repository,
    line: &str,
    mut parent: Option<ObjectId>,
    taken: &mut Taken,
) -> Result<ObjectId> {
    let who = Who {
        author: taken.snapshot.author.clone(),
        host: taken.snapshot.host.clone(),
        time: app.environment.now(),
    };
    let mut tries = 0;
    loop {
        let change = RefChange {
            name: line.to_owned(),
            expected: parent.map_or(Expected::Absent, Expected::Is),
            new: Some(taken.id),
        };
        let moved = match repository.commit(&[change], &who, "snapshot", Leans::Own) {
            Ok(_) => return Ok(taken.id),
            Err(error @ Error::RefMoved { .. }) => error,
            Err(error) => return Err(error),
        };
        tries += 1;
        if tries == TRIES_MAX {
            return Err(moved);
        }
        parent = repository.refs.get(line)?;
        taken.snapshot.parents = parent.into_iter().collect();
        taken.id = store(repository, &taken.snapshot)?;
    }
}

fn store(repository: &Repository, snapshot: &Snapshot) -> Result<ObjectId> {
    let writer = repository.store.writer()?;
    let mut packer = writer.packer();
    let (id, _) = packer.put(ObjectKind::Snapshot, &snapshot.encode())?;
    packer.flush()?;
    drop(packer);
    writer.commit()?;
    Ok(id)
}
