//! `ghost gfs create`, `push` and `add`, and `ghost snapshot -o`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ghost_plumbing::Error;
use ghost_plumbing::bundle::{Added, Bundle, Root};
use ghost_plumbing::object::{HashAlgo, ObjectKind};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::repository::Config;
use ghost_plumbing::snapshot::Keep;
use ghost_plumbing::verify::{self, Depth, Report, Request, Target};
use serde::Serialize;

use super::gather::{Gathered, Manner, Subject};
use super::{AddArguments, CreateArguments, KeepArguments, PushArguments};
use crate::app::App;
use crate::bundles::without_tag;
use crate::commands::snapshot;
use crate::error::{DAMAGE, Failure, Outcome, PARTIAL};
use crate::records::{PathField, ProblemRecord};
use crate::rules::RuleArguments;
use crate::ui::show;
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

/// Paths of missing contents that are named.
const MISSING_NAMED: usize = 20;

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    #[serde(flatten)]
    path: PathField,
    roots: Vec<String>,
    complete: bool,
    added_objects: u64,
    added_bytes: u64,
    stored_bytes: u64,
    missing_files: u64,
    checked_objects: Option<u64>,
    checked_bytes: Option<u64>,
    problems: u64,
    seconds: f64,
}

/// A bundle that is written to, and what came of it.
struct Job<'a> {
    command: &'static str,
    path: PathBuf,
    bundle: Bundle,
    manner: Manner<'a>,
    begun: Instant,
    added: Added,
    roots: Vec<Root>,
    problems: u64,
    /// Whether the trees must be whole afterwards.
    needs_all: bool,
    checked: Option<Report>,
}

/// `ghost gfs create`.
pub fn create(app: &mut App, arguments: &CreateArguments) -> Outcome {
    let subject = Subject::parse(app, &arguments.tree)?;
    let config = app.config()?;
    let manner = manner(&config, &arguments.keep, &arguments.rules);
    let hash = arguments.hash.as_deref().map(str::parse::<HashAlgo>).transpose()?;
    make(app, "gfs create", &arguments.bundle, hash, manner, subject)
}

/// `ghost snapshot -o FILE`.
pub fn snapshot_into(app: &mut App, file: &OsStr, arguments: &snapshot::Arguments) -> Outcome {
    let config = app.config()?;
    let manner = Manner {
        message: &arguments.message,
        tags: &arguments.tags,
        ..manner(
            &config,
            &KeepArguments::ghosts(arguments.ghosts_only || is_gs(file)),
            &arguments.rules,
        )
    };
    let mut paths: Vec<PathBuf> = arguments
        .paths
        .iter()
        .map(|path| app.environment.resolved(path))
        .collect();
    if paths.is_empty() {
        paths.push(app.environment.cwd.clone());
    }
    make(app, "snapshot", file, None, manner, Subject::Live(paths))
}

/// Makes a bundle that must not be there, or only as what an interrupted run has left.
fn make(
    app: &mut App,
    command: &'static str,
    file: &OsStr,
    hash: Option<HashAlgo>,
    manner: Manner<'_>,
    subject: Subject,
) -> Outcome {
    let (mut job, is_new) = Job::open(app, command, file, hash, manner, &subject)?;
    let is_empty = job.bundle.roots().is_empty() && job.bundle.descriptors().next().is_none();
    if !is_new && !is_empty {
        let shown = app.shown(&job.path);
        let hint = format!("`ghost gfs push` and `ghost gfs add` add to it; `ghost gfs ls gfs:{shown}` lists it");
        return Err(Failure::other(format!("{shown} is a bundle already"), hint));
    }
    let path = job.path.clone();
    let result = job.add(app, subject).and_then(|()| job.finish(app));
    if result.is_err() && is_new && job.roots.is_empty() {
        // Nothing was committed to it; the error that led here is the one to tell.
        let _ = app.disk.remove(&path);
    }
    result
}

/// `ghost gfs push`.
pub fn push(app: &mut App, arguments: &PushArguments) -> Outcome {
    let subject = Subject::parse(app, &arguments.tree)?;
    if matches!(subject, Subject::Descriptors(_)) {
        let hint = "`ghost gfs add gfs:FILE WHAT.ghostdesc` adds descriptions";
        return Err(Failure::usage("descriptions are not a tree that could be made", hint));
    }
    let config = app.config()?;
    let manner = manner(&config, &KeepArguments::default(), &arguments.rules);
    let (mut job, _) = Job::open(app, "gfs push", &arguments.bundle, None, manner, &subject)?;
    job.needs_all = true;
    job.add(app, subject)?;
    job.check(app)?;
    job.finish(app)
}

/// `ghost gfs add`.
pub fn add(app: &mut App, arguments: &AddArguments) -> Outcome {
    let subjects = arguments.what.iter().map(|text| Subject::parse(app, text));
    let subjects = subjects.collect::<Outcome<Vec<_>>>()?;
    let config = app.config()?;
    let manner = manner(&config, &arguments.keep, &arguments.rules);
    let first = subjects
        .iter()
        .find(|subject| subject.algo().is_some())
        .or(subjects.first());
    let Some(first) = first else { return Ok(()) };
    let (mut job, _) = Job::open(app, "gfs add", &arguments.bundle, None, manner, first)?;
    for subject in subjects {
        job.add(app, subject)?;
    }
    job.finish(app)
}

/// Whether a file is by its name one that holds no contents.
pub fn is_gs(file: &OsStr) -> bool {
    Path::new(without_tag(file))
        .extension()
        .is_some_and(|extension| extension == "gs")
}

fn manner<'a>(config: &'a Config, keep: &KeepArguments, rules: &'a RuleArguments) -> Manner<'a> {
    Manner {
        settings: config.typed(),
        keep: match keep.ghosts_only || keep.descriptors {
            true => Keep::Ghosts,
            false => Keep::Everything,
        },
        only_descriptors: keep.descriptors,
        rules,
        message: "",
        tags: &[],
    }
}

impl<'a> Job<'a> {
    /// Opens the bundle, or makes it; says whether it was made.
    fn open(
        app: &App,
        command: &'static str,
        file: &OsStr,
        hash: Option<HashAlgo>,
        manner: Manner<'a>,
        subject: &Subject,
    ) -> Outcome<(Self, bool)> {
        let path = app.environment.real(Path::new(without_tag(file)));
        let repository = app.repository().ok().map(|repository| repository.format.hash);
        let algo = hash.or(subject.algo()).or(repository).unwrap_or_default();
        let is_new = !path.exists();
        let bundle = Bundle::open_or_create(app.disk.clone(), &path, algo, manner.settings.store_options())?;
        let job = Self {
            command,
            path,
            bundle,
            manner,
            begun: Instant::now(),
            added: Added::default(),
            roots: Vec::new(),
            problems: 0,
            needs_all: false,
            checked: None,
        };
        Ok((job, is_new))
    }

    fn add(&mut self, app: &mut App, subject: Subject) -> Outcome {
        let progress = Arc::new(Progress::new(app.interrupt.clone()));
        let (gathered, added) = {
            let _monitor = app.monitor_by(&progress, self.manner.settings)?;
            let gathered = subject.gather(app, &self.bundle, &self.manner, &progress)?;
            let addition = gathered.addition.clone();
            let texts = gathered.texts()?;
            let added = match gathered.from() {
                Some(from) => self.bundle.add_described(from, addition, texts, &progress)?,
                None => self
                    .bundle
                    .add_descriptors(addition.descriptors.into_iter().map(Ok).chain(texts))?,
            };
            (gathered, added)
        };
        self.problems += tell_problems(app, &gathered)?;
        let ids: Vec<_> = gathered.addition.roots.iter().map(|root| root.id).collect();
        let roots = self.bundle.roots().iter().filter(|root| ids.contains(&root.id));
        self.roots.extend(roots.cloned());
        let sum = &mut self.added;
        sum.objects += added.objects;
        sum.bytes += added.bytes;
        sum.stored_bytes += added.stored_bytes;
        // What is only described where it comes from is only described here; a push wants it all.
        if !gathered.is_partial || self.needs_all {
            sum.missing_files += added.missing_files;
            sum.missing.extend(added.missing);
        }
        Ok(())
    }

    /// Opens the bundle anew and reads all that the new roots need, with every hash compared.
    fn check(&mut self, app: &mut App) -> Outcome {
        let bundle = Bundle::open(app.disk.clone(), &self.path)?;
        let target = |root: &Root| Target {
            name: root.label.clone(),
            kind: root.kind,
            id: root.id,
            // What is known to be missing has been told.
            needs_data: Some(root.is_complete),
            needs_tree: true,
        };
        let request = Request {
            targets: self.roots.iter().map(target).collect(),
            everything: false,
            depth: Depth::Data,
            threads: app.threads(self.manner.settings),
        };
        let progress = Arc::new(Progress::new(app.interrupt.clone()));
        let report = {
            let _monitor = app.monitor_by(&progress, self.manner.settings)?;
            verify::run(bundle.store(), None, &request, &progress)?
        };
        self.checked = Some(report);
        Ok(())
    }

    fn finish(&self, app: &mut App) -> Outcome {
        let is_ghosts_only = self.manner.keep == Keep::Ghosts;
        if !is_ghosts_only {
            self.tell_missing(app)?;
        }
        let hurt = self.checked.as_ref().is_some_and(|report| !report.is_clean());
        match app.output.json() {
            true => app.output.record(&self.summary())?,
            false => self.tell(app)?,
        }
        match (hurt, is_ghosts_only) {
            (true, _) => Err(Failure::Code(DAMAGE)),
            (_, false) if self.problems + self.added.missing_files > 0 => Err(Failure::Code(PARTIAL)),
            _ if self.problems > 0 => Err(Failure::Code(PARTIAL)),
            _ => Ok(()),
        }
    }

    fn tell_missing(&self, app: &mut App) -> Outcome {
        for missing in self.added.missing.iter().take(MISSING_NAMED) {
            let error = Error::Missing {
                id: missing.id,
                needed_as: ObjectKind::Block.name(),
            };
            if app.output.json() {
                app.output.record(&ProblemRecord::new(&missing.path, &error))?;
            }
            app.output.failed_path(&missing.path, &error);
        }
        let more = self.added.missing_files.saturating_sub(MISSING_NAMED as u64);
        if more > 0 {
            let files = counted(more, "more file is", "more files are");
            app.output.warn(format_args!("the bytes of {files} nowhere to be had"));
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.roots.iter().all(|root| root.is_complete)
    }

    fn summary(&self) -> Summary {
        Summary {
            command: self.command,
            path: PathField::new(self.path.as_os_str().as_encoded_bytes()),
            roots: self.roots.iter().map(crate::bundles::text_of).collect(),
            complete: self.is_complete(),
            added_objects: self.added.objects,
            added_bytes: self.added.bytes,
            stored_bytes: self.added.stored_bytes,
            missing_files: self.added.missing_files,
            checked_objects: self.checked.as_ref().map(|report| report.objects),
            checked_bytes: self.checked.as_ref().map(|report| report.bytes),
            problems: self.problems,
            seconds: self.begun.elapsed().as_secs_f64(),
        }
    }

    fn tell(&self, app: &mut App) -> Outcome {
        let shown = app.shown(&self.path);
        let length = Length(self.begun.elapsed());
        let added = &self.added;
        if added.stored_bytes == 0 {
            app.output
                .say(format_args!("{shown} has it all; nothing was added; {length}"))?;
        } else {
            let objects = counted(added.objects, "object", "objects");
            let (bytes, stored) = (Size(added.bytes), Size(added.stored_bytes));
            app.output.say(format_args!(
                "Added to {shown}: {bytes} in {objects}, {stored} on disk; {length}"
            ))?;
        }
        for root in &self.roots {
            // What was read from a folder is shown as the folder would be typed.
            let label = match root.label.starts_with('/') {
                true => app.shown(Path::new(&root.label)),
                false => show::text(&root.label),
            };
            app.output.say(format_args!("  {} {label}", super::list::what(root)))?;
        }
        let Some(report) = &self.checked else { return Ok(()) };
        for hurt in &report.hurt {
            app.output
                .problem(&format!("{}: {}", show::bytes(&hurt.path), hurt.reason));
        }
        let objects = counted(report.objects, "object", "objects");
        let bytes = Size(report.bytes);
        let told = match report.is_clean() && self.is_complete() {
            true => format!("checked: {objects} of {bytes} read again; the tree can be made from this file alone"),
            false => "the tree cannot be made from this file alone: see above".to_owned(),
        };
        Ok(app.output.say(format_args!("  {told}"))?)
    }
}

/// Names what of a live folder could not be read; gives how much.
fn tell_problems(app: &mut App, gathered: &Gathered) -> Outcome<u64> {
    let Some(taken) = &gathered.taken else { return Ok(0) };
    for problem in &taken.problems {
        if app.output.json() {
            app.output.record(&ProblemRecord::new(&problem.path, &problem.error))?;
        }
        app.output.failed_path(&problem.path, &problem.error);
    }
    Ok(taken.problems.len() as u64)
}
