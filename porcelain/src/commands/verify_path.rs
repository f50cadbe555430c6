//! `ghost verify PATH`: files as they are now, against what is known of them.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ghost_plumbing::ghosts::check::{self, Finding, Report, Request, State, Told};
use ghost_plumbing::repository::Repository;
use ghost_plumbing::time::Timestamp;
use jiff::{Span, SpanRelativeTo};
use serde::Serialize;

use crate::app::App;
use crate::commands::snapshot::COARSE;
use crate::error::{DAMAGE, Failure, Outcome, PARTIAL};
use crate::ghosts;
use crate::records::PathField;
use crate::telling::Telling;
use crate::ui::Style;
use crate::ui::show::short_id;
use crate::ui::size::{Count, Size, counted};
use crate::ui::time::Length;

/// How files are checked.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "A part of it")]
pub struct PathOptions {
    /// Of files: compare sampled hashes where they are known, a few pages of each file
    #[arg(long)]
    pub fast: bool,
    /// Pass over what was read within AGE, such as 30d or 12h; of what is stored this means --data
    #[arg(long, value_name = "AGE", value_parser = parse_length)]
    pub max_age: Option<Duration>,
    /// Begin to read nothing more after TIME, such as 10m; the next run goes on there
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub max_time: Option<Duration>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "finding")]
struct FindingRecord {
    state: &'static str,
    #[serde(flatten)]
    path: PathField,
    expected: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctime_moved: Option<bool>,
}

#[derive(Debug, Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    files: u64,
    checked_bytes: u64,
    sound: u64,
    changed: u64,
    rotten: u64,
    vanished: u64,
    found_again: u64,
    left: u64,
    problems: u64,
    seconds: f64,
}

/// A length of time such as `30d`, `10m` or `1h 30m`; days have 24 hours.
pub fn parse_length(text: &str) -> Result<Duration, String> {
    let expected = "expected a length of time such as 30d, 12h or 10m";
    let span: Span = text.parse().map_err(|_| expected.to_owned())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours());
    length
        .ok()
        .and_then(|length| Duration::try_from(length).ok())
        .ok_or_else(|| expected.to_owned())
}

/// Runs the command on files.
pub fn run(app: &mut App, repository: &Repository, paths: &[PathBuf], options: &PathOptions) -> Outcome {
    let begun = Instant::now();
    let mut summary = Summary {
        command: "verify",
        ..Summary::default()
    };
    for path in paths {
        let request = request(app, repository, path, options, begun);
        let progress = Arc::new(app.gentle(repository));
        let report = ghosts::with_catalogue(app, repository, |app, catalogue| {
            let _monitor = app.monitor(&progress, &repository.config)?;
            let mut report = Report::default();
            Telling::with(app, |telling| {
                let told = &mut |told| telling.tell(|app| tell(app, &told));
                report = check::check(catalogue, &request, &progress, told)?;
                Ok(())
            })?;
            Ok(report)
        })?;
        summary.add(&report);
    }
    summary.seconds = begun.elapsed().as_secs_f64();
    if app.output.json() {
        app.output.record(&summary)?;
    } else {
        tell_summary(app, &summary, begun)?;
    }
    match (summary.rotten, summary.problems) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Code(PARTIAL)),
        _ => Err(Failure::Code(DAMAGE)),
    }
}

fn request(app: &App, repository: &Repository, path: &Path, options: &PathOptions, begun: Instant) -> Request {
    let settings = repository.settings();
    let now = app.environment.now();
    Request {
        root: app.environment.resolved(path),
        fast: options.fast,
        before: options.max_age.map(|age| earlier(now, age)),
        time_max: options.max_time.map(|time| time.saturating_sub(begun.elapsed())),
        host: app.host(settings),
        algo: repository.format.hash,
        threads: app.threads(settings),
        now,
        began: app.environment.clock(),
        coarse: COARSE,
    }
}

/// The instant so long before, to the second.
pub fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
    Timestamp::new(time.seconds.saturating_sub(seconds), time.nanos)
}

impl Summary {
    fn add(&mut self, report: &Report) {
        self.files += report.files;
        self.checked_bytes += report.bytes;
        self.sound += report.sound;
        self.left += report.left;
        self.changed += report.changed;
        self.rotten += report.rotten;
        self.vanished += report.vanished;
        self.found_again += report.found_again;
        self.problems += report.problems;
    }
}

fn tell(app: &mut App, told: &Told) -> Outcome {
    match told {
        Told::Finding(finding) => tell_finding(app, finding),
        Told::Problem(problem) => {
            app.output.problem(&problem.to_string());
            Ok(())
        }
    }
}

fn tell_finding(app: &mut App, finding: &Finding) -> Outcome {
    let (name, word, style) = match finding.state {
        State::Changed => ("changed", "changed:", Style::Changed),
        State::Rotten { .. } => ("rotten", "rotten:", Style::Deleted),
        State::Vanished => ("vanished", "vanished:", Style::Deleted),
        State::FoundAgain => ("found_again", "found again:", Style::Added),
    };
    let ctime_moved = match finding.state {
        State::Rotten { ctime_moved } => Some(ctime_moved),
        _ => None,
    };
    if app.output.json() {
        return Ok(app.output.record(&FindingRecord {
            state: name,
            path: PathField::new(&finding.path),
            expected: finding.expected.to_string(),
            ctime_moved,
        })?);
    }
    let word = app.output.paint(style, word).to_string();
    let path = app.shown(Path::new(std::ffi::OsStr::from_bytes(&finding.path)));
    let more = match ctime_moved {
        None => String::new(),
        Some(false) => format!(" should be {}", short_id(&finding.expected)),
        Some(true) => format!(
            " should be {}; its ctime moved: its mtime may have been set back",
            short_id(&finding.expected)
        ),
    };
    Ok(app.output.line(format_args!("{word} {path}{more}"))?)
}

fn tell_summary(app: &mut App, summary: &Summary, begun: Instant) -> Outcome {
    let files = counted(summary.files, "file", "files");
    let mut found = vec![format!("{} sound", Count(summary.sound))];
    for (count, word) in [
        (summary.changed, "changed"),
        (summary.rotten, "rotten"),
        (summary.vanished, "vanished"),
        (summary.found_again, "found again"),
    ] {
        if count > 0 {
            found.push(format!("{} {word}", Count(count)));
        }
    }
    app.output.say(format_args!(
        "Checked {files}, read {}: {}; {}",
        Size(summary.checked_bytes),
        found.join(", "),
        Length(begun.elapsed())
    ))?;
    if summary.left > 0 {
        let left = counted(summary.left, "file", "files");
        app.output.say(format_args!(
            "{left} left for want of time: the next run begins with them"
        ))?;
    }
    if summary.rotten > 0 {
        app.output
            .say("`ghost where ID` names other places that have what a rotten file should be.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in [
            ("30d", 2_592_000),
            ("10m", 600),
            ("1h 30m", 5400),
            ("0s", 0),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse_length(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "30", "1mo", "-5m", "soon"] {
            assert!(parse_length(bad).is_err(), "{bad}");
        }
    }
}
