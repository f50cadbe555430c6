//! What is said: of each file while the job runs, and at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ghost_plumbing::object::ObjectId;
use ghost_plumbing::object::text::quote_name;
use ghost_plumbing::reconstruct::Report;
use ghost_plumbing::reconstruct::sources::{How, Outcome as Became, Told};
use ghost_plumbing::store::Store;
use parking_lot::Mutex;
use serde::Serialize;

use super::orphans::Orphans;
use super::sources::Places;
use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::records::{PathField, ProblemRecord};
use crate::ui::size::{Count, Size, counted};
use crate::ui::time::Length;
use crate::ui::{Output, show};

/// Hears of each file, from several threads: explains it if asked to, and keeps what was not located.
pub struct Teller<'a> {
    state: Mutex<State<'a>>,
    store: &'a Store,
    places: &'a Places<'a>,
    explain: bool,
}

struct State<'a> {
    output: &'a mut Output,
    orphans: &'a mut Orphans,
    /// The first thing that could not be said or kept; nothing more is.
    failed: Option<Failure>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "source")]
struct SourceRecord {
    #[serde(flatten)]
    path: PathField,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<PathField>,
    passed_over: Vec<PassedOverRecord>,
}

#[derive(Serialize)]
struct PassedOverRecord {
    #[serde(flatten)]
    path: PathField,
    reason: String,
}

impl<'a> Teller<'a> {
    /// Explains every file on `output` if asked to; `store` has the tree, `places` knows the contents.
    pub fn new(
        output: &'a mut Output,
        orphans: &'a mut Orphans,
        store: &'a Store,
        places: &'a Places<'a>,
        explain: bool,
    ) -> Self {
        let failed = None;
        Self {
            state: Mutex::new(State {
                output,
                orphans,
                failed,
            }),
            store,
            places,
            explain,
        }
    }

    /// Says and keeps what became of a file.
    pub fn tell(&self, told: &Told<'_>) {
        let mut state = self.state.lock();
        if state.failed.is_none() {
            state.failed = self.try_to_tell(&mut state, told).err();
        }
    }

    /// Fails with what could not be said or kept.
    pub fn finish(self) -> Outcome {
        self.state.into_inner().failed.map_or(Ok(()), Err)
    }

    fn try_to_tell(&self, state: &mut State<'_>, told: &Told<'_>) -> Outcome {
        if told.outcome == Became::NotLocated {
            let ghost = told.entry.fullhash().and_then(|id| self.places.ghost(&id));
            state.orphans.add(self.store, told, ghost.as_ref())?;
        }
        if !self.explain {
            return Ok(());
        }
        if state.output.json() {
            return Ok(state.output.record(&record(told))?);
        }
        let path = quote_name(told.path);
        let line = match told.outcome {
            Became::There => format!("{path}: it was there"),
            Became::Store => format!("{path}: from the repository"),
            Became::NotLocated => format!("{path}: not located"),
            Became::Taken(how, from) => {
                let from = show::bytes(from.as_os_str().as_encoded_bytes());
                format!("{path}: {} {from}", words(how))
            }
        };
        state.output.line(line)?;
        for over in told.passed_over {
            let path = show::bytes(over.path.as_os_str().as_encoded_bytes());
            state.output.line(format_args!("  passed over {path}: {}", over.why))?;
        }
        Ok(())
    }
}

fn words(how: How) -> &'static str {
    match how {
        How::Copied => "copied from",
        How::Cloned => "shares the blocks of",
        How::Symlinked => "links to",
        How::Hardlinked => "is a further name of",
        How::Assembled => "put together with blocks of",
    }
}

fn record(told: &Told<'_>) -> SourceRecord {
    let field = |path: &Path| PathField::new(path.as_os_str().as_encoded_bytes());
    let (from, source) = match told.outcome {
        Became::There => ("target", None),
        Became::Store => ("repository", None),
        Became::NotLocated => ("nowhere", None),
        Became::Taken(how, path) => {
            let from = match how {
                How::Copied => "copy",
                How::Cloned => "clone",
                How::Symlinked => "symlink",
                How::Hardlinked => "hardlink",
                How::Assembled => "blocks",
            };
            (from, Some(field(path)))
        }
    };
    let passed_over = told.passed_over.iter().map(|over| PassedOverRecord {
        path: field(&over.path),
        reason: over.why.to_string(),
    });
    SourceRecord {
        path: PathField::new(told.path),
        from,
        source,
        passed_over: passed_over.collect(),
    }
}

/// A job that has ended.
pub struct Done<'d> {
    /// What it did.
    pub report: &'d Report,
    /// What it filled.
    pub target: &'d Path,
    /// With what.
    pub tree: ObjectId,
    /// It wrote nothing.
    pub test: bool,
    /// Contents were expected to come from elsewhere.
    pub from_elsewhere: bool,
    /// The list of what was not located.
    pub orphans: Option<PathBuf>,
    /// How long it took.
    pub seconds: Duration,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    #[serde(flatten)]
    path: PathField,
    tree: String,
    test: bool,
    created: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    skipped: u64,
    written_bytes: u64,
    withheld: u64,
    not_owned: u64,
    files: u64,
    from_elsewhere: u64,
    linked: u64,
    further_names: u64,
    not_located: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    orphans: Option<PathField>,
    problems: u64,
    seconds: f64,
}

impl Done<'_> {
    /// Says what was done and what was not.
    pub fn tell(&self, app: &mut App) -> Outcome {
        for problem in &self.report.problems {
            let path = problem.path.as_os_str().as_encoded_bytes();
            if app.output.json() {
                app.output.record(&ProblemRecord::new(path, &problem.error))?;
            }
            app.output.failed_path(path, &problem.error);
        }
        if self.report.problems_left_out > 0 {
            let more = Count(self.report.problems_left_out);
            app.output.warn(format_args!("{more} more problems are not listed"));
        }
        for unread in &self.report.unread_sources {
            app.output
                .warn(format_args!("nothing below it was found: {}", unread.error));
        }
        match app.output.json() {
            true => Ok(app.output.record(&self.summary())?),
            false => self.say(app),
        }
    }

    fn summary(&self) -> Summary {
        let report = self.report;
        let field = |path: &Path| PathField::new(path.as_os_str().as_encoded_bytes());
        Summary {
            command: "reconstruct",
            path: field(self.target),
            tree: self.tree.to_string(),
            test: self.test,
            created: report.created,
            updated: report.updated,
            unchanged: report.unchanged,
            deleted: report.deleted,
            skipped: report.skipped,
            written_bytes: report.bytes,
            withheld: report.withheld,
            not_owned: report.not_owned,
            files: report.files,
            from_elsewhere: report.sourced,
            linked: report.linked,
            further_names: report.further_names,
            not_located: report.not_located,
            orphans: self.orphans.as_deref().map(field),
            problems: report.problem_count(),
            seconds: self.seconds.as_secs_f64(),
        }
    }

    fn say(&self, app: &mut App) -> Outcome {
        let report = self.report;
        let shown = app.shown(self.target);
        let heading = match self.test {
            true => format!("Would fill {shown}: {}", counts(report)),
            false => format!("Filled {shown}: {}", counts(report)),
        };
        app.output.say(format_args!("{heading}; {}", Length(self.seconds)))?;
        self.say_where_from(app)?;
        if report.withheld > 0 {
            let files = counted(report.withheld, "entry", "entries");
            app.output.say(format_args!(
                "  {files} without setuid, setgid or security attributes; --privileged restores them"
            ))?;
        }
        if report.not_owned > 0 {
            let files = counted(report.not_owned, "entry", "entries");
            app.output.say(format_args!(
                "  {files} belong to you, not to the recorded owner; root can restore owners"
            ))?;
        }
        Ok(())
    }

    /// Says what came from elsewhere, where anything was expected to or did.
    fn say_where_from(&self, app: &mut App) -> Outcome {
        let report = self.report;
        if !self.from_elsewhere && report.sourced + report.not_located == 0 {
            return Ok(());
        }
        let files = counted(report.files, "file", "files");
        let not_located = Count(report.not_located);
        let details = match &self.orphans {
            Some(path) => format!(" (see {} for details)", app.shown(path)),
            None => String::new(),
        };
        app.output.say(format_args!(
            "{files} reconstructed, {not_located} not located{details}"
        ))?;
        let elsewhere = report.sourced + report.linked + report.further_names;
        let here = report.files.saturating_sub(elsewhere);
        let parts = [
            (report.linked, "linked to where they are"),
            (report.sourced, "copied from elsewhere"),
            (here, "from the repository"),
        ];
        let mut told: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", Count(*count)))
            .collect();
        if report.further_names > 0 {
            told.push(counted(report.further_names, "further name", "further names"));
        }
        if !told.is_empty() {
            app.output.say(format_args!("  {}", told.join(", ")))?;
        }
        Ok(())
    }
}

fn counts(report: &Report) -> String {
    let parts = [
        (report.created, "created"),
        (report.updated, "updated"),
        (report.unchanged, "unchanged"),
        (report.deleted, "deleted"),
        (report.skipped, "left alone"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let mut words: Vec<String> = told.map(|(count, what)| format!("{} {what}", Count(*count))).collect();
    if words.is_empty() {
        words.push("nothing to do".to_owned());
    }
    if report.bytes > 0 {
        words.push(Size(report.bytes).to_string());
    }
    words.join(", ")
}
