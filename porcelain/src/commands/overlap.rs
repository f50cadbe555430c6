//! `ghost overlap`.

mod as_found;

use std::ffi::OsString;
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::forest::Forest;
use ghost_plumbing::ghosts::names::Name;
use ghost_plumbing::ghosts::overlap::{Hit, Overlap};
use ghost_plumbing::ghosts::table::Select;
use ghost_plumbing::progress::Progress;
use serde::Serialize;

use crate::app::App;
use crate::copying::{CopyArguments, Copying, Counts};
use crate::error::{Failure, Outcome, PARTIAL};
use crate::records::{Lazily, PathField, tell_problem};
use crate::tree_argument::{self, Look, Manner, Trees};
use crate::ui::Style;
use crate::ui::show;
use crate::ui::size::{Count, Size};

/// Tell which files of one tree are in others, by their bytes
///
/// Each file of A that is in a B is printed with each file there that has the same bytes, whatever its name, as FILE =
/// FILE_OF_B, as soon as that is known, while folders are still walked; so these lines are in no order. What is only in A is
/// known when all was walked, and comes last, with `<` in front. Trees are directories, files, snapshots and bundles (REV,
/// REV:PATH, snap:FILE, gfs:FILE). Sizes are compared first, so that little is read.
///
/// With --in-order the files of A come in the order of their paths: `=` and below it all files of B with the same bytes, or
/// `<` where there is none; the first ones when B was walked. So it is with --json, -0, --only-in-a and --copy-to, unless
/// --as-found is given. The command ends with code 0 whatever it finds, with 3 where something could not be read.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tree whose files are asked for
    #[arg(value_name = "A", value_hint = ValueHint::AnyPath)]
    pub a: OsString,
    /// Where they are looked for
    #[arg(value_name = "B", required = true, value_hint = ValueHint::AnyPath)]
    pub b: Vec<OsString>,
    /// Tell only of files that are in no B
    #[arg(long, conflicts_with = "common")]
    pub only_in_a: bool,
    /// Tell only of files that are in a B
    #[arg(long)]
    pub common: bool,
    /// Tell of each file of A once, in the order of paths
    #[arg(long)]
    pub in_order: bool,
    /// With --json, -0 and --only-in-a, too, tell of each pair as soon as it is known, in no order
    #[arg(long, conflicts_with_all = ["in_order", "copy_to"])]
    pub as_found: bool,
    /// End each path with NUL, and each file of A, with what was found of it, with one more; with --as-found, in pairs, of
    /// which the second is empty where nothing was found
    #[arg(short = '0', long)]
    pub null: bool,
    /// What proves that a file did not change: its times and size (stat), or nothing but its bytes (hash)
    #[arg(long, value_name = "WHAT", value_parser = ["stat", "hash"], default_value = "stat")]
    pub trust: String,
    /// What is copied
    #[command(flatten)]
    pub copy: CopyArguments,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "overlap")]
struct HitRecord<F> {
    #[serde(flatten)]
    path: PathField,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fullhash: Option<String>,
    found: F,
}

#[derive(Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    common: u64,
    common_bytes: u64,
    only_in_a: u64,
    only_in_a_bytes: u64,
    unreadable: u64,
    #[serde(flatten)]
    counts: Option<Counts>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    if arguments.copy.copy_to.is_some() && !arguments.only_in_a && !arguments.common {
        let hint = "add --only-in-a or --common; `ghost copy` copies all";
        return Err(Failure::usage("--copy-to: it is not said which files are copied", hint));
    }
    let mut texts = vec![arguments.a.clone()];
    texts.extend(arguments.b.iter().cloned());
    let manner = Manner {
        reads_all: arguments.trust == "hash",
        ..Manner::default()
    };
    let trees = tree_argument::open(app, &texts, &manner)?;
    let config = app.config()?;
    let threads = app.threads(config.typed());
    let progress = Arc::new(app.moderate(config.typed()));
    let monitor = app.monitor(&progress, &config)?;
    let mut run = Run {
        app,
        arguments,
        trees: &trees,
        copying: None,
        summary: Summary {
            command: "overlap",
            ..Summary::default()
        },
    };
    let found = run.all(threads, &progress);
    let Run {
        mut summary, copying, ..
    } = run;
    drop(monitor);
    trees.finish(app);
    found?;
    summary.counts = copying.as_ref().map(|copying| copying.counts);
    finish(app, arguments, &summary, copying.as_ref())
}

struct Run<'a, 'p> {
    app: &'a mut App,
    arguments: &'a Arguments,
    trees: &'a Trees,
    copying: Option<Copying<'p>>,
    summary: Summary,
}

impl<'p> Run<'_, 'p> {
    fn all(&mut self, threads: usize, progress: &'p Progress) -> Outcome {
        let looks = self.trees.looks();
        let forests: Vec<&dyn Forest> = looks.iter().map(Look::forest).collect();
        if self.is_as_found() {
            return self.as_found(&forests, threads, progress);
        }
        let mut found = Overlap::find(forests[0], &forests[1..], &Select::default(), threads, progress)?;
        if let Some(target) = &self.arguments.copy.copy_to {
            let overwrite = self.arguments.copy.overwrite;
            self.copying = Some(Copying::new(self.app, target, overwrite, false, progress)?);
        }
        loop {
            let next = found.next().transpose();
            for problem in found.take_problems() {
                self.tell_problem(&problem)?;
            }
            let Some(hit) = next? else { return Ok(()) };
            self.hit(forests[0], &hit)?;
            self.app.check_interrupt()?;
        }
    }

    fn tell_problem(&mut self, problem: &Error) -> Outcome {
        self.summary.unreadable += 1;
        Ok(tell_problem(&mut self.app.output, problem)?)
    }

    fn count(&mut self, is_common: bool, size: u64) {
        let (files, bytes) = match is_common {
            true => (&mut self.summary.common, &mut self.summary.common_bytes),
            false => (&mut self.summary.only_in_a, &mut self.summary.only_in_a_bytes),
        };
        *files += 1;
        *bytes += size;
    }

    /// Whether nothing is to be told of what is in a B, or is not.
    fn leaves_out(&self, is_common: bool) -> bool {
        (is_common && self.arguments.only_in_a) || (!is_common && self.arguments.common)
    }

    fn hit(&mut self, a: &dyn Forest, hit: &Hit) -> Outcome {
        let is_common = !hit.found.is_empty();
        self.count(is_common, hit.leaf.size);
        let first = self.summary.common + self.summary.only_in_a == 1;
        if self.leaves_out(is_common) {
            return Ok(());
        }
        let path = self.trees.shown(0, &hit.leaf.path);
        self.tell(hit, &path)?;
        if let Some(copying) = &mut self.copying {
            let to = match hit.leaf.path.is_empty() {
                // The tree is one file: it keeps its own name.
                true => BString::from(
                    path.rsplit(|&byte| byte == b'/' || byte == b':')
                        .next()
                        .unwrap_or_default(),
                ),
                false => hit.leaf.path.clone(),
            };
            copying.file(self.app, a, &hit.leaf, hit.fullhash, &path, to.as_bstr())?;
        }
        if first || self.app.environment.stdout_is_terminal {
            // Somebody may be waiting for the first one.
            self.app.output.flush()?;
        }
        Ok(())
    }

    fn tell(&mut self, hit: &Hit, path: &BString) -> Outcome {
        let output = &mut self.app.output;
        let shown = |name: Name| self.trees.shown(name.forest + 1, &name.path);
        if self.arguments.null {
            for path in std::iter::once(path.clone()).chain(hit.found.iter().map(shown)) {
                output.bytes(&path)?;
                output.bytes(b"\0")?;
            }
            if !self.arguments.only_in_a {
                output.bytes(b"\0")?;
            }
            return Ok(());
        }
        if output.json() {
            let record = HitRecord {
                path: PathField::new(path),
                size_bytes: hit.leaf.size,
                fullhash: hit.fullhash.map(|id| id.to_string()),
                found: Lazily(|| hit.found.iter().map(|name| PathField::new(&shown(name)))),
            };
            return Ok(output.record(&record)?);
        }
        let (sign, style) = match hit.found.is_empty() {
            true => ("<", Style::Changed),
            false => ("=", Style::Added),
        };
        let sign = output.paint(style, sign);
        output.line(format_args!("{sign} {}", show::bytes(path)))?;
        for name in hit.found.iter() {
            output.line(format_args!("    {}", show::bytes(&shown(name))))?;
        }
        Ok(())
    }
}

fn finish(app: &mut App, arguments: &Arguments, summary: &Summary, copying: Option<&Copying<'_>>) -> Outcome {
    if app.output.json() {
        app.output.record(summary)?;
    } else if !arguments.null {
        let Summary {
            common,
            common_bytes,
            only_in_a,
            only_in_a_bytes,
            ..
        } = *summary;
        let a = show::bytes(arguments.a.as_encoded_bytes());
        app.output.say(format_args!(
            "Of {} files in {a}, {} ({}) are there too, {} ({}) are only in {a}",
            Count(common + only_in_a),
            Count(common),
            Size(common_bytes),
            Count(only_in_a),
            Size(only_in_a_bytes)
        ))?;
        copying.map_or(Ok(()), |copying| copying.finish(app))?;
    }
    match summary.unreadable + summary.counts.map_or(0, |counts| counts.passed_over) {
        0 => Ok(()),
        _ => Err(Failure::Code(PARTIAL)),
    }
}
