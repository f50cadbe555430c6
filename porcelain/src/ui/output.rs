//! Lines: what was asked for goes to standard output, notes and errors to standard error, records of `--json` to
//! standard output, one object a line.
//!
//! Every call that writes to standard output can fail with a closed pipe, which ends a command quietly.

use std::fmt::Display;
use std::io::{self, BufWriter, Write as _};

use bstr::ByteSlice as _;
use ghost_plumbing::repository::config::LogLevel;
use serde::Serialize;

use crate::error::Report;
use crate::ui::journal::Journal;
use crate::ui::{Style, show};

/// How much is said, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Colours on standard output.
    pub color: bool,
    /// Colours on standard error.
    pub color_errors: bool,
    /// One JSON object a line.
    pub json: bool,
    /// Nothing but errors and what was asked for.
    pub quiet: bool,
    /// How often `-v` was given.
    pub verbosity: u8,
}

/// Where a command writes.
#[derive(Debug)]
pub struct Output {
    out: BufWriter<io::Stdout>,
    manner: Manner,
    /// What complaints go to as well.
    pub journal: Journal,
}

impl Output {
    /// The streams of this process.
    pub fn new(manner: Manner, journal: Journal) -> Self {
        Self {
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            manner,
            journal,
        }
    }

    /// How much is said, and how.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// Turns colours on or off.
    pub fn choose_colors(&mut self, enabled: bool) {
        self.manner.color = enabled;
        self.manner.color_errors = enabled;
    }

    /// Whether records are wanted instead of lines.
    pub fn json(&self) -> bool {
        self.manner.json
    }

    /// Text in a style, for standard output.
    pub fn paint<T: Display>(&self, style: Style, text: T) -> super::color::Painted<T> {
        style.paint(text, self.manner.color)
    }

    /// A line of what was asked for.
    pub fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Bytes of what was asked for.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// A line for a person: not with `-q`, not with `--json`.
    pub fn say(&mut self, text: impl Display) -> io::Result<()> {
        if self.manner.quiet || self.manner.json {
            return Ok(());
        }
        self.line(text)
    }

    /// An object, for `--json`.
    pub fn record(&mut self, record: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, record)?;
        self.out.write_all(b"\n")
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The stream itself, for what writes much.
    pub fn writer(&mut self) -> &mut BufWriter<io::Stdout> {
        &mut self.out
    }

    /// A detail on standard error, from `-v` on (`level` 1) or `-vv` (2).
    pub fn note(&mut self, level: u8, text: impl Display) {
        self.journal.write(LogLevel::Debug, &text.to_string());
        if self.manner.verbosity >= level {
            self.complain(format_args!("{text}"));
        }
    }

    /// A warning on standard error.
    pub fn warn(&mut self, text: impl Display) {
        self.journal.write(LogLevel::Warn, &text.to_string());
        let word = Style::Hint.paint("warning:", self.manner.color_errors);
        self.complain(format_args!("{word} {text}"));
    }

    /// A line that a hook printed, escaped by the caller, on standard error.
    pub fn of_hook(&mut self, hook: &str, line: &str) {
        if self.manner.json {
            let record = HookRecord { hook, line };
            self.complain(serde_json::to_string(&record).unwrap_or_default());
            return;
        }
        self.complain(format_args!("{hook}: {line}"));
    }

    /// An error on standard error, with its hints.
    pub fn error(&mut self, report: &Report) {
        let Some(message) = &report.message else { return };
        if self.manner.json {
            self.journal.write(LogLevel::Error, message);
            let record = ErrorRecord {
                message,
                hints: &report.hints,
                exit_code: report.code,
            };
            self.complain(serde_json::to_string(&record).unwrap_or_default());
            return;
        }
        self.problem(message);
        for hint in &report.hints {
            let word = Style::Hint.paint("hint:", self.manner.color_errors);
            self.complain(format_args!("{word} {}", show::lines(hint)));
        }
    }

    /// One thing that failed, of a job that goes on.
    pub fn problem(&mut self, message: &str) {
        self.journal.write(LogLevel::Error, message);
        let word = Style::Deleted.paint("error:", self.manner.color_errors);
        self.complain(format_args!("{word} {}", show::lines(message)));
    }

    /// One path that a job could not do, and why; many reasons name the path by themselves.
    pub fn failed_path(&mut self, path: &[u8], error: &ghost_plumbing::Error) {
        let (path, text) = (path.to_str_lossy(), error.to_string());
        match text.contains(&*path) {
            true => self.problem(&text),
            false => self.problem(&format!("{path}: {text}")),
        }
    }

    /// What was said before on standard output comes first, also where both streams are one terminal.
    fn complain(&mut self, text: impl Display) {
        // There is nobody left to tell when these fail.
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// A line of a hook, on standard error.
#[derive(Serialize)]
#[serde(tag = "type", rename = "hook")]
struct HookRecord<'a> {
    hook: &'a str,
    line: &'a str,
}

/// An error, on standard error.
#[derive(Serialize)]
#[serde(tag = "type", rename = "error")]
struct ErrorRecord<'a> {
    message: &'a str,
    hints: &'a [String],
    exit_code: u8,
}
