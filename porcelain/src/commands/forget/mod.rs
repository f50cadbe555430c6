//! `ghost forget`.
//!
//! 1. Snapshots that are named are marked, or brought back (`named`); without names a policy decides ([`rules`]).
//! 2. The marks are one record of the ref log. Where a line moved meanwhile, the policy decides again.

mod named;
mod rules;
mod tell;

use std::ffi::OsString;

use bstr::BString;
use ghost_plumbing::refs::{LINES, line_ref};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::retention::{Filter, Group, Plan, Scene, decide};

use self::rules::PolicyArguments;
use self::tell::Told;
use crate::app::App;
use crate::changing::{self, TRIES_MAX};
use crate::error::{Failure, Outcome};

/// Forget snapshots, by a policy or by name
///
/// A forgotten snapshot is no longer listed, and revisions pass it over; its contents go with the next `ghost gc`, if no
/// other snapshot has them. Until then `ghost undo` and --restore bring it back.
///
/// Without REV a policy decides: the --keep options, or retention.* of the configuration where none is given. It is applied
/// to each group of snapshots by itself (--group-by). A snapshot is kept if any rule keeps it. The newest of each line, and
/// what a tag names, is always kept; so is what lies in the future by the clock, and it counts for no rule. Hours, days,
/// weeks, months and years are those of the calendar where the snapshot was taken; only those with snapshots count. Where
/// there are fewer than N, the oldest snapshot is kept too. `within` counts back from the newest snapshot of the group.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What is kept
    #[command(flatten)]
    pub policy: PolicyArguments,
    /// Which snapshots are looked at
    #[command(flatten)]
    pub which: Which,
    /// Change nothing; tell what would be done with each snapshot, and why
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Bring back the forgotten snapshots REV
    #[arg(long, requires = "revisions")]
    pub restore: bool,
    /// Forget these snapshots, whatever a policy would say
    #[arg(value_name = "REV")]
    pub revisions: Vec<OsString>,
}

/// Which snapshots a policy looks at.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which are looked at")]
pub struct Which {
    /// Only snapshots of this machine; may be given again
    #[arg(long = "host", value_name = "HOST", conflicts_with = "revisions")]
    pub hosts: Vec<String>,
    /// Only snapshots taken of this folder or file; given again, of both
    #[arg(long = "path", value_name = "PATH", conflicts_with = "revisions")]
    pub paths: Vec<OsString>,
    /// Only snapshots with this label; one,two is both; given again, either; '' those without labels
    #[arg(long = "tag", value_name = "LABELS", conflicts_with = "revisions")]
    pub tags: Vec<String>,
    /// Only snapshots of this line; may be given again
    #[arg(long = "line", value_name = "LINE", conflicts_with = "revisions")]
    pub lines: Vec<String>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    if !arguments.dry_run {
        repository.check_writable()?;
    }
    if arguments.policy.is_given() && !arguments.revisions.is_empty() {
        let message = "a policy decides, or names do, not both";
        return Err(Failure::usage(
            message,
            "leave out the --keep options to forget just what is named",
        ));
    }
    if arguments.restore {
        return named::restore(app, &repository, arguments);
    }
    if !arguments.revisions.is_empty() {
        return named::forget(app, &repository, arguments);
    }
    by_policy(app, &repository, arguments)
}

fn by_policy(app: &mut App, repository: &Repository, arguments: &Arguments) -> Outcome {
    let policy = arguments.policy.policy(repository)?;
    let by = arguments.policy.group_by(repository)?;
    let filter = filter(app, &arguments.which);
    let now = app.environment.now();
    let mut tries = 0;
    loop {
        let values = repository.refs.list("refs/")?;
        let lines = lines(&arguments.which, &values)?;
        let scene = Scene::read(&values, &repository.store)?;
        let mut candidates = scene.candidates();
        candidates.retain(|candidate| filter.fits(candidate));
        let selected = |line: &str| lines.is_empty() || lines.iter().any(|known| known == line);
        let groups = decide(&candidates, &policy, by, &selected, now)?;
        let plan = Plan::of(&groups, &candidates);
        let mut told = Told::new(arguments.dry_run, plan.forget.len());
        if !arguments.dry_run {
            match mark(app, repository, &plan, &values, &format!("forget {policy}")) {
                Ok(sequence) => told.sequence = sequence,
                Err(Failure::Library(error)) if changing::lost_race(&error) && tries < TRIES_MAX => {
                    tries += 1;
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        return tell(app, &groups, &candidates, &told);
    }
}

fn tell(app: &mut App, groups: &[Group], candidates: &[ghost_plumbing::retention::Candidate], told: &Told) -> Outcome {
    for group in groups {
        tell::group(app, group, candidates, told.dry_run)?;
    }
    if groups.is_empty() {
        app.output.say("There is no snapshot to decide about.")?;
    }
    tell::summary(app, told, groups)
}

/// Carries a plan out; gives the number of the last record, if there was something to do.
fn mark(
    app: &App,
    repository: &Repository,
    plan: &Plan,
    values: &[(String, ghost_plumbing::object::ObjectId)],
    message: &str,
) -> Outcome<Option<u64>> {
    let mut sequence = None;
    for changes in plan.changes(values) {
        sequence = Some(changing::commit(app, repository, &changes, message)?.0);
    }
    Ok(sequence)
}

fn filter(app: &App, which: &Which) -> Filter {
    let path = |path: &OsString| {
        let resolved = app.environment.resolved(path.as_ref());
        BString::from(resolved.as_os_str().as_encoded_bytes())
    };
    Filter {
        hosts: which.hosts.clone(),
        paths: which.paths.iter().map(path).collect(),
        tags: which.tags.iter().map(|text| rules::labels(text)).collect(),
    }
}

/// The full names of the lines that are asked about; none are all.
fn lines(which: &Which, values: &[(String, ghost_plumbing::object::ObjectId)]) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    for name in &which.lines {
        let line = line_ref(name)?;
        if !values.iter().any(|(known, _)| *known == line) {
            let message = format!("there is no line {name}");
            let known = values.iter().filter_map(|(name, _)| name.strip_prefix(LINES));
            let known: Vec<_> = known.collect();
            return Err(Failure::other(message, format!("lines are: {}", known.join(", "))));
        }
        lines.push(line);
    }
    Ok(lines)
}
