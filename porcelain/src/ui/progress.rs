//! How far a long job is: a line that renews itself on a terminal, nothing in a pipe, records with
//! `--json --progress`, one line whenever SIGUSR1 comes.
//!
//! The library counts in a [`Progress`]; a thread of this module reads it ten times a second and never holds the job
//! up. What the line says is a template, `ui.status`: `{field}` is a number, `{field|human}` a number for people, and a
//! part in brackets is left out while a field in it is not known. Fields: phase, files, files_total, bytes,
//! bytes_total, percent, rate, new_count, new_bytes, known_count, known_bytes, elapsed, left. `add_count` and
//! `add_bytes` are other names of the new ones.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ghost_plumbing::progress::{Counters, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::ui::size::{Count, Size};
use crate::ui::time::Length;

/// The line where the configuration says nothing else.
pub const TEMPLATE: &str = "{phase} {files|human}[ of {files_total|human}] files, {bytes|human}\
                            [ of {bytes_total|human}], {rate|human}/s[, {new_bytes|human} new]\
                            [, {known_bytes|human} known][, {left|human} left]";

const TICK: Duration = Duration::from_millis(100);
/// Ticks between two lines or records that stay.
const TICKS_A_LINE: u32 = 10;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// Not at all, but for SIGUSR1.
    #[default]
    Nothing,
    /// A line that renews itself.
    Terminal,
    /// A line a second on standard error.
    Lines,
    /// A record a second on standard output.
    Records,
}

/// Shows one job from another thread until it is dropped.
#[derive(Debug)]
pub struct Monitor {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Begins to show `progress`. When `asked` is set, the state is told once and `asked` is cleared.
    pub fn start(progress: Arc<Progress>, show: Show, template: String, asked: Arc<AtomicBool>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let shown = Shown {
            progress,
            template,
            begun: Instant::now(),
            show,
        };
        let until = done.clone();
        let thread = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || shown.run(&until, &asked))
            .ok();
        Self { done, thread }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.done.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Only a panic of the thread could be lost here, and nothing depends on it.
            let _ = thread.join();
        }
    }
}

struct Shown {
    progress: Arc<Progress>,
    template: String,
    begun: Instant,
    show: Show,
}

impl Shown {
    fn run(&self, done: &AtomicBool, asked: &AtomicBool) {
        let bar = (self.show == Show::Terminal).then(terminal_bar);
        let mut ticks = 0u32;
        while !done.load(Relaxed) {
            thread::park_timeout(TICK);
            ticks = ticks.wrapping_add(1);
            let state = State::new(self.progress.counters(), self.begun.elapsed());
            if asked.swap(false, Relaxed) {
                let line = state.render(&self.template);
                match &bar {
                    Some(bar) => bar.suspend(|| tell(&line)),
                    None => tell(&line),
                }
            }
            self.tick(&bar, &state, ticks);
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    fn tick(&self, bar: &Option<ProgressBar>, state: &State, ticks: u32) {
        if let Some(bar) = bar {
            bar.set_message(state.render(&self.template));
            bar.tick();
            return;
        }
        if !ticks.is_multiple_of(TICKS_A_LINE) {
            return;
        }
        match self.show {
            Show::Lines => tell(&state.render(&self.template)),
            Show::Records => {
                let record = serde_json::to_string(&state.record()).unwrap_or_default();
                // A closed pipe is noticed by the command when it writes its result.
                let _ = writeln!(io::stdout(), "{record}");
            }
            Show::Nothing | Show::Terminal => {}
        }
    }
}

fn tell(line: &str) {
    // There is nobody left to tell when this fails.
    let _ = writeln!(io::stderr(), "{line}");
}

fn terminal_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {wide_msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// The state of a job at one moment.
#[derive(Clone, Copy, Debug)]
struct State {
    counters: Counters,
    elapsed: Duration,
}

/// A value of the template.
enum Value {
    Word(&'static str),
    Count(u64),
    Bytes(u64),
    Time(Duration),
}

impl State {
    fn new(counters: Counters, elapsed: Duration) -> Self {
        Self { counters, elapsed }
    }

    /// Bytes a second since the job began.
    fn rate(&self) -> u64 {
        let millis = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        self.counters.bytes_done.saturating_mul(1000) / millis
    }

    /// The time left if the rest goes as what was done, by bytes where they are known, else by files.
    fn left(&self) -> Option<Duration> {
        let now = &self.counters;
        let (done, total) = match now.bytes_total {
            0 => (now.files_done, now.files_total),
            total => (now.bytes_done, total),
        };
        let rest = total.checked_sub(done).filter(|_| done > 0 && total > 0)?;
        // A guess needs no precision.
        Some(self.elapsed.mul_f64(rest as f64 / done as f64))
    }

    fn value(&self, field: &str) -> Option<Value> {
        let now = &self.counters;
        let known = |count: u64| (count > 0).then_some(count);
        Some(match field {
            "phase" => Value::Word(now.phase.name()),
            "files" => Value::Count(now.files_done),
            "files_total" => Value::Count(known(now.files_total)?),
            "bytes" => Value::Bytes(now.bytes_done),
            "bytes_total" => Value::Bytes(known(now.bytes_total)?),
            "percent" => Value::Count(now.bytes_done.saturating_mul(100) / known(now.bytes_total)?),
            "rate" => Value::Bytes(self.rate()),
            "new_count" | "add_count" => Value::Count(known(now.new_blocks)?),
            "new_bytes" | "add_bytes" => Value::Bytes(known(now.new_bytes)?),
            "known_count" => Value::Count(known(now.known_blocks)?),
            "known_bytes" => Value::Bytes(known(now.known_bytes)?),
            "elapsed" => Value::Time(self.elapsed),
            "left" => Value::Time(self.left()?),
            _ => return None,
        })
    }

    /// Fills in a template.
    fn render(&self, template: &str) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some(open) = rest.find('[') {
            let Some(length) = rest[open..].find(']') else { break };
            self.fill(&rest[..open], &mut out);
            let mut part = String::new();
            if self.fill(&rest[open + 1..open + length], &mut part) {
                out.push_str(&part);
            }
            rest = &rest[open + length + 1..];
        }
        self.fill(rest, &mut out);
        out
    }

    /// Fills in a part without brackets; false if a field in it is not known.
    fn fill(&self, part: &str, out: &mut String) -> bool {
        let mut all_known = true;
        let mut rest = part;
        while let Some(open) = rest.find('{') {
            let Some(length) = rest[open..].find('}') else { break };
            out.push_str(&rest[..open]);
            let inside = &rest[open + 1..open + length];
            let (field, human) = match inside.strip_suffix("|human") {
                Some(field) => (field, true),
                None => (inside, false),
            };
            match self.value(field) {
                Some(value) => out.push_str(&value.text(human)),
                None => {
                    all_known = false;
                    out.push('?');
                }
            }
            rest = &rest[open + length + 1..];
        }
        out.push_str(rest);
        all_known
    }

    fn record(&self) -> Record {
        let now = &self.counters;
        Record {
            phase: now.phase.name(),
            elapsed_seconds: self.elapsed.as_secs_f64(),
            files_done: now.files_done,
            files_total: now.files_total,
            bytes_done: now.bytes_done,
            bytes_total: now.bytes_total,
            new_blocks: now.new_blocks,
            new_bytes: now.new_bytes,
            known_blocks: now.known_blocks,
            known_bytes: now.known_bytes,
            bytes_per_second: self.rate(),
            seconds_left: self.left().map(|left| left.as_secs_f64()),
        }
    }
}

impl Value {
    fn text(&self, human: bool) -> String {
        match (self, human) {
            (Self::Word(word), _) => (*word).to_owned(),
            (Self::Count(count), true) => Count(*count).to_string(),
            (Self::Bytes(bytes), true) => Size(*bytes).to_string(),
            (Self::Count(number) | Self::Bytes(number), false) => number.to_string(),
            (Self::Time(time), true) => Length(*time).to_string(),
            (Self::Time(time), false) => time.as_secs().to_string(),
        }
    }
}

/// The state of a job, with `--json --progress`.
#[derive(Serialize)]
#[serde(tag = "type", rename = "progress")]
struct Record {
    phase: &'static str,
    elapsed_seconds: f64,
    files_done: u64,
    files_total: u64,
    bytes_done: u64,
    bytes_total: u64,
    new_blocks: u64,
    new_bytes: u64,
    known_blocks: u64,
    known_bytes: u64,
    bytes_per_second: u64,
    seconds_left: Option<f64>,
}

#[cfg(test)]
mod tests {
    use ghost_plumbing::progress::Phase;

    use super::*;

    fn state() -> State {
        let counters = Counters {
            phase: Phase::Reading,
            files_done: 1500,
            bytes_done: 3 << 20,
            ..Counters::default()
        };
        State::new(counters, Duration::from_secs(2))
    }

    #[test]
    fn unknown_parts_are_left_out() {
        assert_eq!(state().render(TEMPLATE), "reading 1,500 files, 3.00 MiB, 1.50 MiB/s");
        let mut known = state();
        known.counters.files_total = 3000;
        known.counters.bytes_total = 9 << 20;
        known.counters.new_bytes = 1 << 20;
        known.counters.known_bytes = 2 << 20;
        assert_eq!(
            known.render(TEMPLATE),
            "reading 1,500 of 3,000 files, 3.00 MiB of 9.00 MiB, 1.50 MiB/s, 1.00 MiB new, 2.00 MiB known, 4.00 s left"
        );
        assert_eq!(known.render("{percent}% {new_count} {elapsed}"), "33% ? 2");
    }

    #[test]
    fn any_template_is_harmless() {
        for template in [
            "",
            "{",
            "}",
            "[",
            "]",
            "[{bytes",
            "{nothing}",
            "{bytes|human|human}",
            "][",
            "{}",
        ] {
            state().render(template);
        }
    }

    #[test]
    fn the_time_left_goes_by_files_where_bytes_are_unknown() {
        let mut by_files = state();
        by_files.counters.files_total = 1500;
        assert_eq!(by_files.left(), Some(Duration::ZERO));
        assert_eq!(state().left(), None);
        assert_eq!(state().record().seconds_left, None);
    }
}
