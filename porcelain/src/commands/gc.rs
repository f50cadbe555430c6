//! `ghost gc`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ghost_plumbing::gc::{self, Allowance, Fate, FilePlan, Options, Report, Stopped};
use ghost_plumbing::remote::quarantine::{self, Abandoned};
use ghost_plumbing::repository::Settings;
use ghost_plumbing::repository::config::{LogLevel, parse_bytes};
use ghost_plumbing::retention::KeepLog;
use ghost_plumbing::time::Timestamp;
use serde::Serialize;

use crate::app::App;
use crate::commands::verify_path::parse_length;
use crate::error::{self, DAMAGE, Failure, Outcome, PARTIAL};
use crate::hooks::{self, Call, Hook};
use crate::ui::size::{Count, Size, counted};
use crate::ui::time::Length;

/// Digits of a data file's name that are shown.
const NAME_DIGITS: usize = 12;

/// Free the room of everything that no ref needs any more
///
/// Snapshots that were forgotten, lines and tags that were deleted, and what interrupted runs left behind are still stored
/// until this command removes them: then they cannot be brought back. So is what transfers brought that broke, unless one is
/// under way: the next try would have gone on there. Everything else may go on meanwhile: snapshots,
/// restores and checks. What a process still reads is freed when it ends, by the next gc or snapshot. Ends with code 3 where
/// a full disk kept it from copying what lives: what was dead altogether is freed even so.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leave as much unused as this: a share of the repository, such as 5%, or a size [default: gc.max-unused, which is 5%]
    #[arg(long, value_name = "SHARE|SIZE", value_parser = parse_allowance)]
    pub max_unused: Option<Allowance>,
    /// Copy at most so many bytes of what lives
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_repack: Option<u64>,
    /// Begin with no further data file after TIME, such as 10m; the next run goes on there
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub max_time: Option<Duration>,
    /// Change nothing; tell what would become of each data file
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "data_file")]
struct FileRecord {
    file: String,
    bytes: u64,
    unused_bytes: u64,
    held_bytes: u64,
    objects: u64,
    live_objects: u64,
    fate: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    dry_run: bool,
    data_files: u64,
    bytes: u64,
    unused_bytes: u64,
    live_objects: u64,
    double_objects: u64,
    base_objects: u64,
    base_bytes: u64,
    rewritten_objects: u64,
    condemned_files: u64,
    condemned_bytes: u64,
    copied_bytes: u64,
    freed_files: u64,
    freed_bytes: u64,
    waiting_files: u64,
    waiting_bytes: u64,
    busy_files: u64,
    leftovers: u64,
    abandoned_transfers: u64,
    abandoned_bytes: u64,
    stopped: Option<&'static str>,
    seconds: f64,
}

fn parse_size(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "expected a size such as 10GiB".to_owned())
}

/// `5%`, `0.5%`, `2GiB`.
fn parse_allowance(text: &str) -> Result<Allowance, String> {
    let expected = || "expected a share such as 5% or a size such as 10GiB".to_owned();
    let Some(share) = text.strip_suffix('%') else {
        return parse_bytes(text).map(Allowance::Bytes).ok_or_else(expected);
    };
    let (whole, part) = share.split_once('.').unwrap_or((share, ""));
    let is_number = !share.is_empty() && share.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let hundredths = format!("{whole}{part:0<2}");
    match hundredths.parse() {
        Ok(share) if is_number && part.len() <= 2 && share <= 10_000 => Ok(Allowance::Share(share)),
        _ => Err(expected()),
    }
}

/// `0`, `100 records`, `30 days`, `12h`.
fn parse_keep_log(text: &str, now: Timestamp) -> Result<KeepLog, String> {
    let text = text.trim();
    if text.is_empty() || text == "0" {
        return Ok(KeepLog::Nothing);
    }
    if let Some(count) = text.strip_suffix("records").or_else(|| text.strip_suffix("record")) {
        let expected = "expected a number of records, such as `100 records`";
        return count
            .trim()
            .parse()
            .map(KeepLog::Records)
            .map_err(|_| expected.to_owned());
    }
    let length = parse_length(text)?;
    let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    Ok(KeepLog::Since(Timestamp::new(
        now.seconds.saturating_sub(seconds),
        now.nanos,
    )))
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let begun = Instant::now();
    let repository = app.repository()?;
    repository.check_writable()?;
    let settings = repository.settings();
    let (unused_max, keep_log) = wanted(app, settings, arguments)?;
    let time_max = arguments.max_time;
    let is_over = || time_max.is_some_and(|time| begun.elapsed() >= time);
    let options = Options {
        unused_max,
        repack_bytes_max: arguments.max_repack.unwrap_or(u64::MAX),
        keep_log,
        threads: app.threads(settings),
        dry_run: arguments.dry_run,
        is_over: &is_over,
    };
    if !arguments.dry_run {
        hooks::before(app, &repository, &Call::new(Hook::PrePrune))?;
    }
    let progress = Arc::new(app.gentle(&repository));
    let done = {
        let _monitor = app.monitor(&progress, &repository.config)?;
        gc::run(&repository, &options, &progress)
    };
    match done {
        Ok(report) => {
            let abandoned = quarantine::empty_abandoned(&repository, arguments.dry_run)?;
            tell(app, arguments, (&report, abandoned), begun)?;
            // The caller asked for an end in time, but not for a full disk.
            match report.stopped {
                Some(Stopped::Full) => {
                    app.output.problem(&format!(
                        "{}: there is no room to copy what lives; free some, and run it again",
                        repository.ghost_dir.display()
                    ));
                    Err(Failure::Code(PARTIAL))
                }
                Some(Stopped::Time) | None => Ok(()),
            }
        }
        Err(error) if error.is_damage() => {
            app.output.error(&error::Report {
                message: Some(format!("nothing more was removed: {error}")),
                hints: vec![
                    "`ghost verify` names what is hurt; `ghost repair` salvages what is left, `ghost snapshot --trust \
                     hash` stores again what is still there"
                        .to_owned(),
                ],
                code: DAMAGE,
            });
            Err(Failure::Code(DAMAGE))
        }
        Err(error) => Err(error.into()),
    }
}

fn wanted(app: &App, settings: &Settings, arguments: &Arguments) -> Outcome<(Allowance, KeepLog)> {
    let unused_max = match arguments.max_unused {
        Some(unused_max) => unused_max,
        None => parse_allowance(&settings.gc_max_unused).map_err(|problem| bad("gc.max-unused", &problem))?,
    };
    Ok((unused_max, keep_log(app, settings)?))
}

/// What `gc.keep-log` says.
pub(super) fn keep_log(app: &App, settings: &Settings) -> Outcome<KeepLog> {
    let keep_log = parse_keep_log(&settings.gc_keep_log, app.environment.now());
    keep_log.map_err(|problem| bad("gc.keep-log", &problem))
}

fn bad(key: &str, problem: &str) -> Failure {
    Failure::usage(format!("setting {key}: {problem}"), format!("`ghost config get {key}`"))
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Stays => "stays",
        Fate::Goes => "goes",
        Fate::Repacked => "repacked",
        Fate::Merged => "merged",
    }
}

fn stopped_name(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Time => "time",
        Stopped::Full => "full",
    }
}

fn name(file: &FilePlan) -> String {
    file.usage.file.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tell(app: &mut App, arguments: &Arguments, (report, abandoned): (&Report, Abandoned), begun: Instant) -> Outcome {
    app.output.journal.write(
        LogLevel::Info,
        &format!(
            "gc: {} data files of {} bytes condemned, {} bytes copied, {} files of {} bytes freed",
            report.condemned_files, report.condemned_bytes, report.copied_bytes, report.swept.files, report.swept.bytes
        ),
    );
    if app.output.json() {
        return tell_json(app, arguments, (report, abandoned), begun);
    }
    let length = Length(begun.elapsed());
    let (bytes, unused) = report.totals();
    if arguments.dry_run {
        tell_table(app, report)?;
        let share = Share(unused, bytes);
        app.output.say(format_args!(
            "{} of {}, {} of it unused ({share}); nothing was done; {length}",
            counted(report.files.len() as u64, "data file", "data files"),
            Size(bytes),
            Size(unused)
        ))?;
        tell_bases(app, report)?;
    } else {
        tell_freed(app, report, length)?;
    }
    if abandoned.transfers > 0 {
        let transfers = counted(abandoned.transfers, "transfer", "transfers");
        let begins = if arguments.dry_run {
            "would be removed"
        } else {
            "removed; the next try begins anew"
        };
        app.output.say(format_args!(
            "  what {transfers} left that broke, {}: {begins}",
            Size(abandoned.bytes)
        ))?;
    }
    Ok(())
}

/// What nothing needs, but for others that are stored as differences from it.
fn tell_bases(app: &mut App, report: &Report) -> Outcome {
    if report.base_objects > 0 {
        app.output.say(format_args!(
            "  {} in {} there only because others are stored as differences from what nothing else needs",
            Size(report.base_bytes),
            counted(report.base_objects, "object is", "objects are")
        ))?;
    }
    Ok(())
}

fn tell_freed(app: &mut App, report: &Report, length: Length) -> Outcome {
    let swept = report.swept;
    let stay = report.files.iter().filter(|file| file.fate == Fate::Stays);
    let unused: u64 = stay.map(|file| file.usage.waste_bytes()).sum();
    let freed = swept.bytes.saturating_sub(report.copied_bytes);
    app.output.say(format_args!(
        "Freed {} in {}; {} live, {} unused; {length}",
        Size(freed),
        counted(swept.files, "data file", "data files"),
        counted(report.live_objects, "object", "objects"),
        Size(unused)
    ))?;
    if report.copied_bytes > 0 {
        app.output
            .say(format_args!("  copied: {}", Size(report.copied_bytes)))?;
    }
    if report.rewritten_objects > 0 {
        let objects = counted(report.rewritten_objects, "object is", "objects are");
        app.output
            .say(format_args!("  {objects} no longer made from what nothing else needs"))?;
    }
    if swept.waiting_files > 0 {
        let go = if swept.waiting_files == 1 { "goes" } else { "go" };
        app.output.say(format_args!(
            "  {} of {} {go} when the processes that began before this have ended: with the next gc or snapshot",
            counted(swept.waiting_files, "data file", "data files"),
            Size(swept.waiting_bytes)
        ))?;
    }
    if report.busy_files > 0 {
        let files = counted(report.busy_files, "data file stays", "data files stay");
        let them = if report.busy_files == 1 { "it" } else { "them" };
        app.output
            .say(format_args!("  {files} for now: another process adds to {them}"))?;
    }
    if report.stopped == Some(Stopped::Time) {
        app.output.say("  The time was over; the next gc goes on.")?;
    }
    Ok(())
}

fn tell_table(app: &mut App, report: &Report) -> Outcome {
    for file in &report.files {
        let usage = &file.usage;
        app.output.line(format_args!(
            "{}  {:>9}  {:>9} unused{}  {:>9} of {:>9} objects live  {}",
            &name(file)[..NAME_DIGITS],
            Size(usage.bytes),
            Size(usage.unused_bytes),
            held(usage.held_bytes),
            Count(usage.live_objects),
            Count(usage.objects),
            fate_name(file.fate)
        ))?;
    }
    Ok(())
}

/// What of other files a file keeps and need not, if something.
fn held(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(" and {} held", Size(bytes)),
    }
}

fn tell_json(
    app: &mut App,
    arguments: &Arguments,
    (report, abandoned): (&Report, Abandoned),
    begun: Instant,
) -> Outcome {
    for file in report.files.iter().filter(|_| arguments.dry_run) {
        app.output.record(&FileRecord {
            file: name(file),
            bytes: file.usage.bytes,
            unused_bytes: file.usage.unused_bytes,
            held_bytes: file.usage.held_bytes,
            objects: file.usage.objects,
            live_objects: file.usage.live_objects,
            fate: fate_name(file.fate),
        })?;
    }
    let (bytes, unused_bytes) = report.totals();
    app.output.record(&Summary {
        command: "gc",
        dry_run: arguments.dry_run,
        data_files: report.files.len() as u64,
        bytes,
        unused_bytes,
        live_objects: report.live_objects,
        double_objects: report.double_objects,
        base_objects: report.base_objects,
        base_bytes: report.base_bytes,
        rewritten_objects: report.rewritten_objects,
        condemned_files: report.condemned_files,
        condemned_bytes: report.condemned_bytes,
        copied_bytes: report.copied_bytes,
        freed_files: report.swept.files,
        freed_bytes: report.swept.bytes,
        waiting_files: report.swept.waiting_files,
        waiting_bytes: report.swept.waiting_bytes,
        busy_files: report.busy_files,
        leftovers: report.leftovers,
        abandoned_transfers: abandoned.transfers,
        abandoned_bytes: abandoned.bytes,
        stopped: report.stopped.map(stopped_name),
        seconds: begun.elapsed().as_secs_f64(),
    })?;
    Ok(())
}

/// A part of a whole, in percent.
struct Share(u64, u64);

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A figure to look at needs no precision.
        write!(f, "{:.1} %", 100.0 * self.0 as f64 / self.1.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowances_are_shares_or_sizes() {
        for (text, allowance) in [
            ("5%", Allowance::Share(500)),
            ("0%", Allowance::Share(0)),
            ("0.5%", Allowance::Share(50)),
            ("12.25%", Allowance::Share(1225)),
            ("100%", Allowance::Share(10_000)),
            ("0", Allowance::Bytes(0)),
            ("2GiB", Allowance::Bytes(2 << 30)),
        ] {
            assert_eq!(parse_allowance(text), Ok(allowance), "{text}");
        }
        for text in ["", "%", "101%", "1.234%", "-1%", "1.2.3%", "x"] {
            assert!(parse_allowance(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_the_log_keeps_is_records_or_time() {
        let now = Timestamp::new(1_000_000, 0);
        for (text, keep) in [
            ("0", KeepLog::Nothing),
            ("", KeepLog::Nothing),
            ("100 records", KeepLog::Records(100)),
            ("1 record", KeepLog::Records(1)),
            ("1d", KeepLog::Since(Timestamp::new(1_000_000 - 86_400, 0))),
        ] {
            assert_eq!(parse_keep_log(text, now), Ok(keep), "{text}");
        }
        assert!(parse_keep_log("many records", now).is_err());
        assert!(parse_keep_log("soon", now).is_err());
    }
}
