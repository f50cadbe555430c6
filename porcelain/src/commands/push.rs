//! `ghost push`.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Instant;

use ghost_plumbing::Error;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::refs::{Expected, LINES, RefChange, candidates, line_ref, short_name};
use ghost_plumbing::remote::client::{Push, Pushed};
use ghost_plumbing::remote::message::{Listing, PushChange};
use ghost_plumbing::repository::{Leans, Repository};

use crate::app::App;
use crate::commands::fetch::{RateArguments, who};
use crate::error::{Failure, Outcome};
use crate::hooks::{self, Call, Hook};
use crate::remote::names::{self, Remote};
use crate::remote::session::Reach;
use crate::remote::tell::{self, Summary};

/// Bring snapshots to another repository
///
/// The lines there move forward, all of them or none. Where a line has snapshots there that are not here, the push is
/// refused: `ghost pull` gets them first.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The remote, or its URL [default: origin]
    #[arg(value_name = "REMOTE")]
    pub remote: Option<OsString>,
    /// The lines or tags; REV:OTHER brings a snapshot to the line OTHER, :OTHER removes OTHER there [default: the current line]
    #[arg(value_name = "LINE|REV:OTHER")]
    pub refs: Vec<String>,
    /// All lines
    #[arg(long, conflicts_with = "refs")]
    pub all: bool,
    /// All tags, too
    #[arg(long)]
    pub tags: bool,
    /// Let lines lose what is only there
    #[arg(short, long, conflicts_with = "force_with_lease")]
    pub force: bool,
    /// The same, but only where the lines there are as they were when they were last fetched
    #[arg(long)]
    pub force_with_lease: bool,
    /// Remove lines there that are not here
    #[arg(long)]
    pub prune: bool,
    /// Only say what would change
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// How it is done
    #[command(flatten)]
    pub rate: RateArguments,
}

/// A ref there and the value that it is to have.
struct Wish {
    theirs: String,
    new: Option<ObjectId>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    let repository = app.repository()?;
    let remote = names::find(&repository.config, arguments.remote.as_deref())?;
    let wishes = wishes(app, &repository, arguments)?;
    let reach = Reach::new(app, repository.settings(), Some(repository.format.uuid))?;
    let progress = Arc::new(arguments.rate.progress(app)?);
    let monitor = app.monitor(&progress, &repository.config)?;
    let session = reach.connect(&remote.url)?;
    let client = session.client(&progress)?;
    let listing = client.list()?;
    let changes = changes(&repository, &remote, &listing, wishes, arguments)?;
    let push = Push {
        changes,
        roots: Vec::new(),
        who: who(app, &repository),
        message: format!("push from {}", app.host(repository.settings())),
    };
    if arguments.dry_run {
        drop(monitor);
        return show(app, &remote, &listing, &push.changes);
    }
    let moved: Vec<&PushChange> = push
        .changes
        .iter()
        .filter(|change| listing.get(&change.name) != change.new)
        .collect();
    if !moved.is_empty() {
        let told = Call::new(Hook::PrePush).arguments([remote.shown(), &remote.text]);
        let told = moved.iter().fold(told, |call, change| {
            call.change(change.expected, change.new, &change.name)
        });
        hooks::before(app, &repository, &told)?;
    }
    let pushed = client.push(&repository, &listing, &push, &|_| Ok(()));
    drop(monitor);
    let pushed = pushed?;
    let traffic = client.connection.traffic();
    note(&repository, &remote, &push)?;
    show(app, &remote, &listing, &push.changes)?;
    let Pushed {
        reply,
        snapshots,
        count,
    } = pushed;
    if reply.is_none() && !app.output.json() {
        return Ok(app.output.say(format_args!("{} has it all", remote.shown()))?);
    }
    if reply.is_some_and(|reply| reply.is_repeated) {
        app.output
            .note(0, "it had been done before: only the answer had been lost");
    }
    Summary::new("push", remote.shown(), (snapshots, count), traffic, begun.elapsed()).show(app, "Sent")
}

/// What is to be where.
fn wishes(app: &App, repository: &Repository, arguments: &Arguments) -> Outcome<Vec<Wish>> {
    let refs = &repository.refs;
    let mut wishes = Vec::new();
    let same = |name: String, id| Wish {
        theirs: name,
        new: Some(id),
    };
    if arguments.all {
        wishes.extend(refs.list(LINES)?.into_iter().map(|(name, id)| same(name, id)));
    } else if arguments.refs.is_empty() && !(arguments.tags || arguments.prune) {
        wishes.push(wish(app, repository, &repository.settings().core_line)?);
    }
    for text in &arguments.refs {
        wishes.push(wish(app, repository, text)?);
    }
    if arguments.tags {
        wishes.extend(refs.list("refs/tags/")?.into_iter().map(|(name, id)| same(name, id)));
    }
    Ok(wishes)
}

/// Reads `LINE`, `REV:OTHER` or `:OTHER`.
fn wish(app: &App, repository: &Repository, text: &str) -> Outcome<Wish> {
    let (ours, theirs) = names::split_target(text);
    if ours.is_empty() {
        let theirs = line_ref(theirs.unwrap_or_default())?;
        return Ok(Wish { theirs, new: None });
    }
    for name in candidates(ours) {
        if let Some(id) = repository.refs.get(&name)? {
            let theirs = theirs.map(line_ref).transpose()?.unwrap_or_else(|| name.clone());
            return Ok(Wish { theirs, new: Some(id) });
        }
    }
    if let Some(theirs) = theirs {
        // Any snapshot may be brought to a line that is named.
        return Ok(Wish {
            theirs: line_ref(theirs)?,
            new: Some(app.snapshot(repository, ours.as_ref())?.0),
        });
    }
    let (what, name) = ("line or tag", ours.to_owned());
    Err(Error::NotFound { what, name }.into())
}

/// The wishes as changes of what the other side has.
fn changes(
    repository: &Repository,
    remote: &Remote,
    listing: &Listing,
    wishes: Vec<Wish>,
    arguments: &Arguments,
) -> Outcome<Vec<PushChange>> {
    let mut changes = Vec::new();
    let force = arguments.force || arguments.force_with_lease;
    for wish in wishes {
        let mut expected = listing.get(&wish.theirs);
        if arguments.force_with_lease {
            expected = leased(repository, remote, &wish.theirs)?;
        }
        if wish.new.is_none() && expected.is_none() {
            let (what, name) = ("line of the remote", wish.theirs);
            return Err(Error::NotFound { what, name }.into());
        }
        changes.push(PushChange {
            name: wish.theirs,
            expected,
            new: wish.new,
            force,
        });
    }
    if arguments.prune {
        for (name, id) in listing.refs.iter().filter(|(name, _)| name.starts_with(LINES)) {
            let is_wished = changes.iter().any(|change| change.name == *name);
            if !is_wished && repository.refs.get(name)?.is_none() {
                changes.push(PushChange {
                    name: name.clone(),
                    expected: Some(*id),
                    new: None,
                    force,
                });
            }
        }
    }
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = changes.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let message = format!("{} is to have two values", pair[0].name);
        return Err(Failure::Usage { message, hint: None });
    }
    Ok(changes)
}

/// The value that a line had when it was last fetched.
fn leased(repository: &Repository, remote: &Remote, theirs: &str) -> Outcome<Option<ObjectId>> {
    let line = theirs.strip_prefix(LINES).unwrap_or(theirs);
    match remote.tracking(line) {
        Some(name) => Ok(repository.refs.get(&name)?),
        None => Err(Failure::usage(
            "a remote without a name has no lease",
            "`ghost remote add NAME URL` gives it one",
        )),
    }
}

/// Notes what the remote has now.
fn note(repository: &Repository, remote: &Remote, push: &Push) -> Outcome {
    let mut changes = Vec::new();
    for change in &push.changes {
        let line = change.name.strip_prefix(LINES);
        if let Some(name) = line.and_then(|line| remote.tracking(line))
            && repository.refs.get(&name)? != change.new
        {
            changes.push(RefChange {
                name,
                expected: Expected::Any,
                new: change.new,
            });
        }
    }
    if !changes.is_empty() {
        let message = format!("push to {}", remote.shown());
        repository.commit(&changes, &push.who, &message, Leans::Anything)?;
    }
    Ok(())
}

fn show(app: &mut App, remote: &Remote, listing: &Listing, changes: &[PushChange]) -> Outcome {
    let moved: Vec<&PushChange> = changes
        .iter()
        .filter(|change| listing.get(&change.name) != change.new)
        .collect();
    if !moved.is_empty() {
        app.output
            .say(format_args!("To {}", crate::ui::show::text(&remote.text)))?;
    }
    for change in moved {
        let old = listing.get(&change.name);
        tell::change(app, &change.name, short_name(&change.name), old, change.new)?;
    }
    Ok(())
}
