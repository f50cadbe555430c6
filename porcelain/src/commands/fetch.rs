//! `ghost fetch`.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::{LINES, Who};
use ghost_plumbing::remote::client::{Deepen, Deepened, Fetch, Fetched, Mapping};
use ghost_plumbing::remote::lazy;
use ghost_plumbing::remote::message::Listing;
use ghost_plumbing::remote::wire::Traffic;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::parse_bytes;
use ghost_plumbing::{Error, Result};

use crate::app::App;
use crate::error::{FAILED, Failure, Outcome};
use crate::remote::names::{self, Remote};
use crate::remote::session::Reach;
use crate::remote::tell::{self, Summary};
use crate::ui::size::{Size, counted};

/// Bring snapshots from another repository
///
/// Lines of the remote NAME come as refs/remotes/NAME/LINE, tags under their own names. Only what is missing travels, as it
/// is stored there, and everything is hashed before it counts. What came before a transfer broke does not travel again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The remote [default: origin]
    #[arg(value_name = "REMOTE")]
    pub remote: Option<OsString>,
    /// Only these lines of it
    #[arg(value_name = "LINE")]
    pub lines: Vec<String>,
    /// Fetch from all remotes
    #[arg(long, conflicts_with = "remote")]
    pub all: bool,
    /// So many remotes at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Remove refs/remotes/NAME/LINE where the remote has no such line any more
    #[arg(long)]
    pub prune: bool,
    /// Bring only the newest N snapshots of each line; older ones come as forgotten, without their trees
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub depth: Option<u64>,
    /// Bring also all data of files that a lazy clone lacks; it is lazy no more then
    #[arg(long, conflicts_with = "depth")]
    pub unlazy: bool,
    /// Bring the trees of N more snapshots of each line that a shallow clone left behind
    #[arg(long, value_name = "N", conflicts_with = "depth", value_parser = clap::value_parser!(u64).range(1..))]
    pub deepen: Option<u64>,
    /// Bring all of them, as far as the remote has them
    #[arg(long, conflicts_with_all = ["depth", "deepen"])]
    pub unshallow: bool,
    /// How it is done
    #[command(flatten)]
    pub rate: RateArguments,
}

/// How fast data may travel.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RateArguments {
    /// Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]
    #[arg(long, value_name = "RATE")]
    pub limit_rate: Option<String>,
}

impl RateArguments {
    /// Counts what travels, as fast as it may.
    pub fn progress(&self, app: &App) -> Result<Progress> {
        Ok(Progress::new(app.interrupt.clone()).limit(self.bytes_per_second(app)?))
    }

    /// Lets what is read from remotes on the way come as fast as it may.
    pub fn limit_reads(&self, app: &App) -> Result<()> {
        app.sources.limit(app, self.bytes_per_second(app)?);
        Ok(())
    }

    /// What the option says, or else the setting; 0 is no limit.
    fn bytes_per_second(&self, app: &App) -> Result<u64> {
        let Some(text) = &self.limit_rate else {
            return Ok(app.config()?.typed().io_remote_limit_bytes);
        };
        parse_bytes(text.trim_end_matches("/s")).ok_or_else(|| {
            Error::invalid(
                "rate",
                text,
                "expected a number of bytes with or without KiB, MiB, GiB behind it",
            )
        })
    }
}

/// What one remote gave.
pub struct Done {
    /// Its refs.
    pub listing: Listing,
    /// What changed.
    pub fetched: Fetched,
    /// What older snapshots got.
    pub deepened: Deepened,
    /// What it cost.
    pub traffic: Traffic,
    /// How long it took.
    pub took: Duration,
}

/// What is to be fetched from each remote.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// These lines; all where there are none.
    pub lines: &'a [String],
    /// Refs go whose lines are gone.
    pub prune: bool,
    /// The trees of so many snapshots.
    pub depth: Option<u64>,
    /// The trees of so many snapshots more.
    pub deepen: Option<u64>,
    /// For the ref log.
    pub who: Who,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    let remotes = match arguments.all {
        true => {
            let names = repository.config.remotes().keys();
            names
                .map(|name| names::find(&repository.config, Some(name.as_ref())))
                .collect::<Outcome<Vec<_>>>()?
        }
        false => vec![names::find(&repository.config, arguments.remote.as_deref())?],
    };
    if let Some(nameless) = remotes.iter().find(|remote| remote.name.is_none()) {
        let message = format!("{} has no name here, so its lines would have none", nameless.text);
        return Err(Failure::usage(message, "`ghost remote add NAME URL` gives it one"));
    }
    let order = Order {
        lines: &arguments.lines,
        prune: arguments.prune,
        depth: arguments.depth,
        deepen: arguments.deepen.or(arguments.unshallow.then_some(u64::MAX)),
        who: who(app, &repository),
    };
    let reach = Reach::new(app, repository.settings(), Some(repository.format.uuid))?;
    let progress = Arc::new(arguments.rate.progress(app)?);
    let monitor = app.monitor(&progress, &repository.config)?;
    let done = all(
        &reach,
        &repository,
        &remotes,
        &order,
        usize::from(arguments.jobs),
        &progress,
    );
    drop(monitor);
    let mut failed = None;
    for (remote, done) in remotes.iter().zip(done) {
        match done {
            Ok(done) => show(app, remote, &done, "fetch")?,
            Err(error) if remotes.len() == 1 => return Err(error.into()),
            Err(error) => {
                app.output.problem(&format!("{}: {error}", remote.shown()));
                failed = Some(Failure::Code(FAILED));
            }
        }
    }
    match failed {
        Some(failed) => Err(failed),
        None if arguments.unlazy => unlazy(app, &reach, &repository, &remotes, &progress),
        None => Ok(()),
    }
}

/// Brings all that a lazy repository lacks, from one remote after the other, until nothing is missing.
fn unlazy(
    app: &mut App,
    reach: &Reach,
    repository: &Repository,
    remotes: &[Remote],
    progress: &Arc<Progress>,
) -> Outcome {
    if !repository.is_lazy() {
        return Ok(app.output.say("Nothing is missing: this repository is not lazy")?);
    }
    let mut missing = Vec::new();
    for remote in remotes {
        let monitor = app.monitor(progress, &repository.config)?;
        let session = reach.connect(&remote.url)?;
        let filled = session.client(progress)?.complete(repository)?;
        drop(monitor);
        let (objects, bytes) = (counted(filled.objects, "object", "objects"), Size(filled.bytes));
        app.output
            .say(format_args!("{}: {objects}, {bytes} on the wire", remote.shown()))?;
        missing = filled.missing;
        if missing.is_empty() {
            break;
        }
    }
    if let Some(id) = missing.first() {
        let count = counted(missing.len() as u64, "object is", "objects are");
        return Err(Failure::other(
            format!("{count} still missing, the first is {id}; the repository stays lazy"),
            "ask other remotes, too: `ghost fetch --all --unlazy`",
        ));
    }
    lazy::end(repository)?;
    Ok(app.output.say("All is here: this repository is lazy no more")?)
}

/// Who moves refs, and when.
pub fn who(app: &App, repository: &Repository) -> Who {
    Who {
        author: app.author(repository.settings()),
        host: app.host(repository.settings()),
        time: app.environment.now(),
    }
}

/// Several remotes at once, in the order in which they were given.
fn all(
    reach: &Reach,
    repository: &Repository,
    remotes: &[Remote],
    order: &Order<'_>,
    jobs: usize,
    progress: &Progress,
) -> Vec<Result<Done>> {
    let mut results = Vec::new();
    for some in remotes.chunks(jobs.max(1)) {
        std::thread::scope(|threads| {
            let running: Vec<_> = some
                .iter()
                .map(|remote| threads.spawn(|| fetch(reach, repository, remote, order, progress)))
                .collect();
            for one in running {
                results.push(one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
    }
    results
}

/// One remote.
pub fn fetch(
    reach: &Reach,
    repository: &Repository,
    remote: &Remote,
    order: &Order<'_>,
    progress: &Progress,
) -> Result<Done> {
    let begun = Instant::now();
    let session = reach.connect(&remote.url)?;
    let client = session.client(progress)?;
    let listing = client.list()?;
    let mappings = mappings(remote, &listing, order.lines)?;
    let mut delete = Vec::new();
    if let (true, Some(folder)) = (order.prune, remote.tracking("")) {
        for (name, _) in repository.refs.list(&folder)? {
            let line = format!("{LINES}{}", &name[folder.len()..]);
            if listing.get(&line).is_none() {
                delete.push(name);
            }
        }
    }
    let wish = Fetch {
        mappings,
        ids: Vec::new(),
        delete,
        depth: order.depth,
        without_blocks: repository.is_lazy(),
        deltas: true,
        who: order.who.clone(),
        message: format!("fetch from {}", remote.shown()),
    };
    let fetched = client.fetch(repository, &listing, &wish)?;
    let mut deepened = Deepened::default();
    if let Some(more) = order.deepen {
        let tips = wish.mappings.iter().map(|mapping| repository.refs.get(&mapping.ours));
        let deepen = Deepen {
            tips: tips.filter_map(Result::transpose).collect::<Result<_>>()?,
            more: Some(more),
            who: order.who.clone(),
            message: format!("deepen from {}", remote.shown()),
        };
        deepened = client.deepen(repository, &listing, &deepen)?;
    }
    let traffic = client.connection.traffic();
    Ok(Done {
        listing,
        fetched,
        deepened,
        traffic,
        took: begun.elapsed(),
    })
}

/// Which ref here follows which one there.
fn mappings(remote: &Remote, listing: &Listing, lines: &[String]) -> Result<Vec<Mapping>> {
    let mut found = Vec::new();
    for (name, _) in &listing.refs {
        let line = name.strip_prefix(LINES);
        if !lines.is_empty() && !line.is_some_and(|line| lines.iter().any(|wanted| wanted == line)) {
            continue;
        }
        let ours = match line {
            Some(line) => remote.tracking(line),
            None => name.starts_with("refs/tags/").then(|| name.clone()),
        };
        found.extend(ours.map(|ours| Mapping {
            theirs: name.clone(),
            ours,
            keep: line.is_none(),
        }));
    }
    let missing = lines
        .iter()
        .find(|line| listing.get(&format!("{LINES}{line}")).is_none());
    match missing {
        None => Ok(found),
        Some(line) => Err(Error::NotFound {
            what: "line of the remote",
            name: line.clone(),
        }),
    }
}

/// Says what one remote gave.
pub fn show(app: &mut App, remote: &Remote, done: &Done, command: &'static str) -> Outcome {
    let prefix = remote.tracking("").unwrap_or_default();
    if !done.fetched.changes.is_empty() {
        app.output
            .say(format_args!("From {}", crate::ui::show::text(&remote.text)))?;
    }
    for (change, old) in &done.fetched.changes {
        let line = change.name.strip_prefix(&prefix);
        let from = line.map_or_else(|| change.name.clone(), |line| format!("{LINES}{line}"));
        tell::change(app, &change.name, &from, *old, change.new)?;
    }
    let deepened = done.deepened;
    if deepened.snapshots > 0 {
        let (one, more) = ("older snapshot is whole again", "older snapshots are whole again");
        let snapshots = counted(deepened.snapshots as u64, one, more);
        let pack = Size(deepened.count.bytes);
        app.output
            .say(format_args!("{}: {snapshots}, {pack} on the wire", remote.shown()))?;
    }
    let fetched = (done.fetched.snapshots, done.fetched.count);
    let summary = Summary::new(command, remote.shown(), fetched, done.traffic, done.took);
    if done.fetched.changes.is_empty() && !app.output.json() {
        if deepened.snapshots > 0 {
            return Ok(());
        }
        return Ok(app.output.say(format_args!("{}: nothing new", remote.shown()))?);
    }
    summary.show(app, "Received")
}
