//! Copying snapshots between repositories of which none need be that at hand.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ghost_plumbing::object::ObjectId;
use ghost_plumbing::refs::{LINES, Who, candidates, line_ref, short_name};
use ghost_plumbing::remote::client::Push;
use ghost_plumbing::remote::client::relay::{End, Relayed, relay};
use ghost_plumbing::remote::message::{Listing, PushChange};
use ghost_plumbing::repository::{self, Repository};
use ghost_plumbing::{Error, Result};
use serde::Serialize;

use super::{Arguments, rehash};
use crate::app::App;
use crate::bundles;
use crate::error::{Failure, Outcome};
use crate::remote::named::Named;
use crate::remote::names::split_target;
use crate::remote::session::Reach;
use crate::remote::source::Far;
use crate::remote::tell;
use crate::remote::url::Url;
use crate::ui::show;
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

const TAGS: &str = "refs/tags/";
/// What ends the name of a line in a revision.
const BEHIND_NAME: [char; 3] = ['~', '^', '@'];

/// A repository, as it was named.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) url: OsString,
    text: OsString,
}

impl Place {
    /// Both operands as repositories; none where one of them is something else.
    pub fn pair(app: &App, arguments: &Arguments) -> Option<(Self, Self)> {
        let target = Self::of(app, &arguments.target, true)?;
        Some((Self::of(app, &arguments.source, false)?, target))
    }

    /// The repository that a text names. What could be a revision here is one, where a revision may stand.
    fn of(app: &App, text: &OsStr, is_target: bool) -> Option<Self> {
        let place = |url: &OsStr| Self {
            url: url.to_owned(),
            text: text.to_owned(),
        };
        let whole = app.environment.absolute(Path::new(text));
        if repository::locate(&*app.disk, &whole).is_ok() {
            return Some(place(whole.as_os_str()));
        }
        if whole.exists() {
            return None;
        }
        let config = app.config().ok()?;
        if let Some(url) = text.to_str().and_then(|name| config.remotes().get(name)) {
            return Some(place(url.as_ref()));
        }
        if let Some(named) = app.named_far(text) {
            return named.rest.is_empty().then(|| place(&named.url));
        }
        let is_host = matches!(Url::parse(text), Ok(Url::Ssh { path, .. }) if !path.as_encoded_bytes().contains(&b':'));
        (is_host && (is_target || !is_revision(app, text))).then(|| place(text))
    }

    /// As it was named.
    pub(super) fn shown(&self) -> String {
        show::bytes(self.text.as_encoded_bytes())
    }
}

fn is_revision(app: &App, text: &OsStr) -> bool {
    app.repository()
        .is_ok_and(|repository| app.resolve(&repository, text).is_ok())
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(super) struct Summary {
    pub command: &'static str,
    pub from: String,
    pub to: String,
    pub dry_run: bool,
    pub snapshots: usize,
    pub objects: u64,
    /// Bytes that travelled, or that were stored under other ids.
    pub pack_bytes: u64,
    pub seconds: f64,
}

/// Copies.
pub fn run(app: &mut App, arguments: &Arguments, source: &Place, target: &Place) -> Outcome {
    let begun = Instant::now();
    let progress = Arc::new(arguments.rate.progress(app)?);
    let named = |rest: &str| Named {
        url: source.url.clone(),
        rest: rest.into(),
        may_be_folder: false,
    };
    let from = app.far(&named(""))?;
    let store = bundles::scratch(app, from.listing.hash)?;
    app.read_from(&store, &from)?;
    let config = app.config()?;
    let url = match Url::parse(&target.url)? {
        Url::Path(path) => Url::Path(app.environment.absolute(&path)),
        url => url,
    };
    // What a try that broke left there is found by the id of the sender.
    let session = Reach::new(app, config.typed(), Some(from.listing.uuid))?.connect(&url)?;
    let client = session.client(&progress)?;
    let listing = client.list()?;
    let wishes = wishes(app, &store, &from, arguments, &named)?;
    if listing.hash != from.listing.hash {
        drop(session);
        let job = rehash::Job {
            from: &from,
            store: &store,
            wishes,
            progress: &progress,
            begun,
        };
        return rehash::run(app, arguments, job, source, target);
    }
    let push = Push {
        changes: changes(&|name| listing.get(name), wishes, arguments.force)?,
        roots: Vec::new(),
        who: Who {
            author: app.author(config.typed()),
            host: app.host(config.typed()),
            time: app.environment.now(),
        },
        message: format!("copy from {}", source.shown()),
    };
    let done = match arguments.dry_run {
        true => Relayed::default(),
        false => {
            let reader = from.client(&progress)?;
            let ends = [(&reader, &from.listing), (&client, &listing)].map(|(client, listing)| End { client, listing });
            let monitor = app.monitor(&progress, &config)?;
            let done = relay(ends[0], ends[1], &store.store, &push);
            drop(monitor);
            done?
        }
    };
    show_changes(app, target, &|name| listing.get(name), &push.changes)?;
    let summary = Summary {
        command: "copy",
        from: source.shown(),
        to: target.shown(),
        dry_run: arguments.dry_run,
        snapshots: done.snapshots,
        objects: done.reply.map_or(0, |reply| reply.objects),
        pack_bytes: done.bytes,
        seconds: begun.elapsed().as_secs_f64(),
    };
    tell_summary(app, &summary, done.reply.is_some(), "on the wire")
}

/// Says what was done; `how` is what the bytes are.
pub(super) fn tell_summary(app: &mut App, summary: &Summary, did: bool, how: &str) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(summary)?);
    }
    let took = Length(std::time::Duration::from_secs_f64(summary.seconds));
    let said = match (summary.dry_run, did) {
        (true, _) => "Nothing was done".to_owned(),
        (false, false) => format!("{} has it all", summary.to),
        (false, true) if summary.objects == 0 => format!("Copied nothing but refs; {took}"),
        (false, true) => {
            let snapshots = counted(summary.snapshots as u64, "snapshot", "snapshots");
            let objects = counted(summary.objects, "object", "objects");
            let pack = Size(summary.pack_bytes);
            format!("Copied {snapshots}: {objects}, {pack} {how}; {took}")
        }
    };
    Ok(app.output.say(said)?)
}

/// A ref of the target and the value that it is to have.
pub(super) type Wish = (String, ObjectId);

fn wishes(
    app: &App,
    store: &Repository,
    from: &Arc<Far>,
    arguments: &Arguments,
    named: &dyn Fn(&str) -> Named,
) -> Outcome<Vec<Wish>> {
    if arguments.revisions.is_empty() {
        let refs = from.listing.refs.iter();
        let wanted = refs.filter(|(name, _)| name.starts_with(LINES) || name.starts_with(TAGS));
        return Ok(wanted.cloned().collect());
    }
    let mut found = Vec::new();
    for text in &arguments.revisions {
        let (ours, theirs) = split_target(text);
        let known = candidates(ours)
            .into_iter()
            .find_map(|name| Some((name.clone(), from.listing.get(&name)?)));
        let theirs = theirs.map(line_ref).transpose()?;
        found.push(match (known, theirs) {
            (Some((name, id)), None) => (name, id),
            (Some((_, id)), Some(theirs)) => (theirs, id),
            (None, theirs) => {
                let id = snapshot(app, store, &named(ours))?;
                (theirs.map_or_else(|| line_of(&from.listing, text), Ok)?, id)
            }
        });
    }
    Ok(found)
}

/// The snapshot that a revision names there.
fn snapshot(app: &App, store: &Repository, named: &Named) -> Result<ObjectId> {
    match app.resolve_far(store, named)?.named {
        ghost_plumbing::refs::Named::Snapshot(id) => Ok(id),
        _ => {
            let shown = show::bytes(named.rest.as_encoded_bytes());
            Err(Error::invalid("revision", shown, "expected a snapshot"))
        }
    }
}

/// The line that a revision such as `main~3` is of.
fn line_of(listing: &Listing, text: &str) -> Outcome<String> {
    let name = text.split(BEHIND_NAME).next().unwrap_or_default();
    let name = if name.is_empty() {
        short_name(&listing.line)
    } else {
        name
    };
    let mut lines = candidates(name).into_iter();
    let line = lines.find(|name| name.starts_with(LINES) && listing.get(name).is_some());
    line.ok_or_else(|| {
        let message = format!("\"{}\" is of no line, so nothing would name it there", show::text(text));
        Failure::usage(message, "REV:LINE says which line it comes to")
    })
}

/// What a ref of the target is at.
pub(super) type At<'a> = dyn Fn(&str) -> Option<ObjectId> + 'a;

/// The wishes as changes of what the target has.
pub(super) fn changes(at: &At<'_>, mut wishes: Vec<Wish>, force: bool) -> Outcome<Vec<PushChange>> {
    wishes.sort();
    wishes.dedup();
    if let Some(pair) = wishes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let message = format!("{} is to have two values", pair[0].0);
        return Err(Failure::Usage { message, hint: None });
    }
    let change = |(name, id): Wish| PushChange {
        expected: at(&name),
        name,
        new: Some(id),
        force,
    };
    Ok(wishes.into_iter().map(change).collect())
}

/// Names the refs that change.
pub(super) fn show_changes(app: &mut App, target: &Place, at: &At<'_>, changes: &[PushChange]) -> Outcome {
    let is_moved = |change: &&PushChange| at(&change.name) != change.new;
    let moved: Vec<&PushChange> = changes.iter().filter(is_moved).collect();
    if !moved.is_empty() {
        app.output.say(format_args!("To {}", target.shown()))?;
    }
    for change in moved {
        let old = at(&change.name);
        tell::change(app, &change.name, short_name(&change.name), old, change.new)?;
    }
    Ok(())
}
