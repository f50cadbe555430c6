//! `ghost scan`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::ValueHint;
use ghost_plumbing::ghosts::scan::{self, Report, Told};
use ghost_plumbing::repository::config::Trust;
use serde::Serialize;

use crate::app::App;
use crate::error::{DAMAGE, Failure, Outcome, PARTIAL};
use crate::ghosts;
use crate::records::PathField;
use crate::rules::RuleArguments;
use crate::telling::Telling;
use crate::ui::show;
use crate::ui::size::{Count, Size, counted};
use crate::ui::time::Length;

/// Find what is on a file system, without storing any of it
///
/// Hashes each file and notes in the catalogue of the repository what was seen where and when. A file that looks as it
/// did is not read again. What was known below a path and is gone stays known as gone. The same rules leave paths out
/// as for `ghost snapshot`; what they leave out stays as it is known. Ends with code 4 where the bytes of a file
/// changed though nothing wrote to it, which only --trust hash can show.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folders or files [default: the working directory]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// What proves that a file did not change: its stat values, or only its bytes; kept for the next scan of PATH
    #[arg(long, value_name = "HOW", value_parser = ["stat", "hash"])]
    pub trust: Option<String>,
    /// The rules
    #[command(flatten)]
    pub rules: RuleArguments,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "rotten")]
struct RottenRecord {
    #[serde(flatten)]
    path: PathField,
    expected: String,
    found: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    files: u64,
    directories: u64,
    total_bytes: u64,
    new: u64,
    changed: u64,
    unchanged: u64,
    gone: u64,
    read: u64,
    new_contents: u64,
    excluded: u64,
    rotten: u64,
    problems: u64,
    seconds: f64,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    let repository = app.repository()?;
    let mut roots: Vec<PathBuf> = arguments
        .paths
        .iter()
        .map(|path| app.environment.resolved(path))
        .collect();
    if roots.is_empty() {
        roots.push(app.environment.cwd.clone());
    }
    let rules = arguments.rules.options(repository.settings())?;
    let request = ghosts::scan_request(app, &repository, roots, rules);
    let trust = arguments.trust.as_deref().map(|trust| match trust {
        "hash" => Trust::Hash,
        _ => Trust::Stat,
    });
    let progress = Arc::new(app.gentle(&repository));
    let report = ghosts::with_plain_catalogue(app, &repository, |app, catalogue| {
        let _monitor = app.monitor(&progress, &repository.config)?;
        let mut report = Report::default();
        for root in &request.roots {
            let mut request = request.clone();
            request.roots = vec![root.clone()];
            request.keep_trust = trust;
            request.trust_hash = match trust {
                Some(trust) => trust == Trust::Hash,
                None => request.trust_hash || catalogue.trust(&request.host, root)? == Some(Trust::Hash),
            };
            Telling::with(app, |telling| {
                let told = &mut |told| telling.tell(|app| tell_one(app, &told));
                report += scan::scan(catalogue, &request, &progress, told)?;
                Ok(())
            })?;
        }
        Ok(report)
    })?;
    tell(app, &report, begun)?;
    match (report.rotten, report.problems) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Code(PARTIAL)),
        _ => Err(Failure::Code(DAMAGE)),
    }
}

/// Says what is wrong with one file.
fn tell_one(app: &mut App, told: &Told) -> Outcome {
    match told {
        Told::Problem(problem) => app.output.problem(&problem.to_string()),
        Told::Rotten(rotten) if app.output.json() => app.output.record(&RottenRecord {
            path: PathField::new(&rotten.path),
            expected: rotten.expected.to_string(),
            found: rotten.found.to_string(),
        })?,
        Told::Rotten(rotten) => app.output.problem(&format!(
            "{}: its bytes changed though nothing wrote to it: expected {}, found {}",
            show::bytes(&rotten.path),
            rotten.expected,
            rotten.found
        )),
    }
    Ok(())
}

fn tell(app: &mut App, report: &Report, begun: Instant) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&summary(report, begun))?);
    }
    let files = counted(report.files, "file", "files");
    let folders = counted(report.directories, "folder", "folders");
    app.output.say(format_args!(
        "Looked at {files} in {folders}, {}; {}",
        Size(report.bytes),
        Length(begun.elapsed())
    ))?;
    app.output.say(format_args!(
        "  {} new, {} changed, {} unchanged, {} gone; {} not known before",
        Count(report.new),
        Count(report.changed),
        Count(report.unchanged),
        Count(report.gone),
        counted(report.new_contents, "content", "contents")
    ))?;
    if report.excluded > 0 {
        let entries = counted(report.excluded, "entry", "entries");
        app.output.say(format_args!("  {entries} left out by rules"))?;
    }
    if report.problems > 0 {
        let entries = counted(report.problems, "entry", "entries");
        app.output
            .say(format_args!("  {entries} could not be read; each is named above"))?;
    }
    Ok(())
}

fn summary(report: &Report, begun: Instant) -> Summary {
    Summary {
        command: "scan",
        files: report.files,
        directories: report.directories,
        total_bytes: report.bytes,
        new: report.new,
        changed: report.changed,
        unchanged: report.unchanged,
        gone: report.gone,
        read: report.read,
        new_contents: report.new_contents,
        excluded: report.excluded,
        rotten: report.rotten,
        problems: report.problems,
        seconds: begun.elapsed().as_secs_f64(),
    }
}
