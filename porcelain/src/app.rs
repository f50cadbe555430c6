//! What commands share: the surroundings, the interrupt flag, the streams, the repository.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ghost_plumbing::disk::real::RealDisk;
use ghost_plumbing::disk::{Disk, read_file};
use ghost_plumbing::limits::CONFIG_BYTES_MAX;
use ghost_plumbing::object::{HashAlgo, ObjectId, Snapshot};
use ghost_plumbing::progress::Progress;
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::refs::{self, Named, Revision};
use ghost_plumbing::repository::config::When;
use ghost_plumbing::repository::{self, Config, Layer, OpenOptions, Repository, Settings};
use ghost_plumbing::{Error, Result};
use ghost_plumbing_commands::LazyRepository;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::bundles;
use crate::cli::Global;
use crate::environment::Environment;
use crate::error::{DONE, Failure, INTERRUPTED, Outcome, Report};
use crate::idle;
use crate::remote::source::Sources;
use crate::ui::journal::Journal;
use crate::ui::output::Manner;
use crate::ui::progress::{Monitor, Show, TEMPLATE};
use crate::ui::{ColorChoice, Output, show};

/// One run of the program.
#[derive(Debug)]
pub struct App {
    /// What surrounds the process.
    pub environment: Environment,
    /// The streams.
    pub output: Output,
    /// Set by the first Ctrl-C or SIGTERM; long jobs poll it.
    pub interrupt: Arc<AtomicBool>,
    /// `--repo`.
    pub repo: Option<PathBuf>,
    /// `-c KEY=VALUE`, in order.
    pub overrides: Vec<String>,
    /// `--progress`.
    pub progress: bool,
    /// Set by SIGUSR1: the state of a long job is asked for.
    pub asked: Arc<AtomicBool>,
    /// The files of this machine.
    pub disk: Arc<dyn Disk>,
    /// Other repositories that are read.
    pub sources: Sources,
}

impl App {
    /// From the global options.
    pub fn new(global: &Global, environment: Environment, journal: Journal) -> Self {
        let manner = Manner {
            color: global.color.enabled(environment.stdout_is_terminal, environment.plain),
            color_errors: global.color.enabled(environment.stderr_is_terminal, environment.plain),
            json: global.json,
            quiet: global.quiet,
            verbosity: global.verbose,
        };
        Self {
            environment,
            output: Output::new(manner, journal),
            interrupt: Arc::default(),
            repo: global.repo.clone(),
            overrides: global.config.clone(),
            progress: global.progress,
            asked: Arc::default(),
            disk: Arc::new(RealDisk),
            sources: Sources::default(),
        }
    }

    /// Catches signals and goes where `-C` says.
    pub fn enter(&mut self, global: &Global) -> Outcome {
        self.catch_signals().map_err(|error| Failure::Other {
            message: format!("cannot catch signals: {error}"),
            hint: None,
        })?;
        if let Some(directory) = &global.working_directory {
            self.environment.enter(directory).map_err(|source| {
                Failure::Library(ghost_plumbing::Error::Io {
                    op: "work in",
                    path: directory.clone(),
                    source,
                })
            })?;
        }
        if global.color == ColorChoice::Auto && !self.environment.plain {
            self.choose_colors();
        }
        Ok(())
    }

    /// Where no `--color` was given, the setting `ui.color` decides. Settings that cannot be read are an error of the
    /// command that needs them.
    fn choose_colors(&mut self) {
        let choice = match self.config().map(|config| config.typed().ui_color) {
            Ok(When::Always) => ColorChoice::Always,
            Ok(When::Never) => ColorChoice::Never,
            Ok(When::Auto) | Err(_) => return,
        };
        self.output.choose_colors(choice == ColorChoice::Always);
    }

    fn catch_signals(&self) -> std::io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the second signal finds the flag set by the first and ends the process at once.
            signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), self.interrupt.clone())?;
            signal_hook::flag::register(signal, self.interrupt.clone())?;
        }
        signal_hook::flag::register(SIGUSR1, self.asked.clone())?;
        Ok(())
    }

    /// The repository's folder: `--repo`, else `GHOST_DIR`, else the nearest one upward from the working directory.
    pub fn ghost_dir(&self) -> Result<PathBuf> {
        match self.repo.as_ref().or(self.environment.ghost_dir.as_ref()) {
            Some(named) => repository::locate(&*self.disk, &self.environment.absolute(named)),
            None => repository::discover(&*self.disk, &self.environment.cwd),
        }
    }

    /// Where there is no repository: the folder of one that lost its format file.
    pub fn remains(&self) -> Option<PathBuf> {
        let named = self.repo.as_ref().or(self.environment.ghost_dir.as_ref());
        let start = named.map_or_else(
            || self.environment.cwd.clone(),
            |named| self.environment.absolute(named),
        );
        repository::remains(&*self.disk, &start, named.is_some())
    }

    /// Opens the repository.
    pub fn repository(&self) -> Result<Repository> {
        self.open(&self.ghost_dir()?)
    }

    /// Opens the repository in this folder.
    pub fn open(&self, ghost_dir: &Path) -> Result<Repository> {
        let repository = Repository::open(self.disk.clone(), ghost_dir, &self.open_options()?)?;
        self.output.journal.attach(ghost_dir, repository.settings());
        Ok(repository)
    }

    /// How repositories are opened.
    pub fn open_options(&self) -> Result<OpenOptions> {
        let user_config = self.user_layer()?;
        let layers: Vec<Layer> = user_config.iter().cloned().collect();
        let safe = Config::load(&layers)?.typed().core_safe.clone();
        Ok(OpenOptions {
            user: self.environment.uid,
            behalf_of: self.environment.sudo_uid,
            allow_foreign: safe.iter().any(|folder| folder == "*"),
            safe_folders: safe.iter().map(|folder| self.environment.expand(folder)).collect(),
            user_config,
            overrides: self.override_layers(),
        })
    }

    /// The settings: those of the repository, if there is one, with those of the user and of this run.
    pub fn config(&self) -> Result<Config> {
        match self.ghost_dir() {
            Ok(ghost_dir) => Ok(self.open(&ghost_dir)?.config),
            Err(Error::NoRepository { .. }) if self.repo.is_none() && self.environment.ghost_dir.is_none() => {
                let mut layers: Vec<Layer> = self.user_layer()?.into_iter().collect();
                layers.extend(self.override_layers());
                Config::load(&layers)
            }
            Err(error) => Err(error),
        }
    }

    /// What a revision names, or a text that names something in a bundle or in a remote.
    pub fn resolve(&self, repository: &Repository, text: &OsStr) -> Result<Revision> {
        if let Some(named) = self.named_far(text) {
            return self.resolve_far(repository, &named);
        }
        let text = &*self.revision(repository, text)?;
        refs::resolve(
            repository,
            &repository.revisions(self.environment.zoned_now()),
            text.as_encoded_bytes(),
        )
    }

    /// The snapshot that a revision names.
    pub fn snapshot(&self, repository: &Repository, text: &OsStr) -> Result<(ObjectId, Snapshot)> {
        if let Some(named) = self.named_far(text) {
            let shown = show::bytes(text.as_encoded_bytes());
            return match self.resolve_far(repository, &named)?.named {
                Named::Snapshot(id) => Ok((id, read_snapshot(&repository.store, &id)?)),
                _ => Err(Error::invalid("revision", shown, "expected a snapshot")),
            };
        }
        let text = &*self.revision(repository, text)?;
        let context = repository.revisions(self.environment.zoned_now());
        refs::resolve_snapshot(repository, &context, text.as_encoded_bytes())
    }

    fn revision<'t>(&self, repository: &Repository, text: &'t OsStr) -> Result<Cow<'t, OsStr>> {
        match bundles::is_named(text) {
            true => Ok(Cow::Owned(bundles::revision(self, repository, text)?)),
            false => Ok(Cow::Borrowed(text)),
        }
    }

    /// Threads for a long job.
    pub fn threads(&self, settings: &Settings) -> usize {
        match usize::try_from(settings.core_threads) {
            Ok(threads) if threads > 0 => threads,
            _ => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The machine that new records name.
    pub fn host(&self, settings: &Settings) -> String {
        match settings.core_host.is_empty() {
            true => self.environment.host.clone(),
            false => settings.core_host.clone(),
        }
    }

    /// Who new records name.
    pub fn author(&self, settings: &Settings) -> String {
        match settings.core_author.is_empty() {
            true => self.environment.user.clone(),
            false => settings.core_author.clone(),
        }
    }

    /// Ends a command after Ctrl-C, through `?`.
    pub fn check_interrupt(&self) -> Result<()> {
        match self.interrupt.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    fn override_layers(&self) -> Vec<Layer> {
        self.overrides.iter().map(Layer::command_line).collect()
    }

    /// The user's configuration file, if there is one.
    fn user_layer(&self) -> Result<Option<Layer>> {
        let Some(path) = &self.environment.user_config else {
            return Ok(None);
        };
        Ok(self.config_text(path)?.map(|text| Layer::user(path, text)))
    }

    /// The text of a configuration file, if it is there.
    pub fn config_text(&self, path: &Path) -> Result<Option<String>> {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        let bytes = match read_file(&*self.disk, path, CONFIG_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(Error::Io { source, .. }) if matches!(source.kind(), NotFound | NotADirectory) => return Ok(None),
            Err(error) => return Err(error),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                Err(Error::invalid(
                    "configuration",
                    path.display(),
                    format_args!("not UTF-8 at offset {offset}"),
                ))
            }
        }
    }

    /// A path for people: escaped, and relative where it is below the working directory.
    pub fn shown(&self, path: &Path) -> String {
        let near = path.strip_prefix(&self.environment.cwd).unwrap_or(path);
        let near = if near.as_os_str().is_empty() {
            Path::new(".")
        } else {
            near
        };
        show::bytes(near.as_os_str().as_encoded_bytes())
    }

    /// The progress of a job that reads much: as slow and as modest as the settings want it.
    pub fn gentle(&self, repository: &Repository) -> Progress {
        self.moderate(repository.settings())
    }

    /// The same, for a job that needs no repository.
    pub fn moderate(&self, settings: &Settings) -> Progress {
        if settings.io_idle {
            // Where the system refuses, the job runs as others do.
            let _ = idle::enter();
        }
        Progress::new(self.interrupt.clone()).limit(settings.io_read_limit_bytes)
    }

    /// Begins to show a long job, until the monitor is dropped.
    pub fn monitor(&mut self, progress: &Arc<Progress>, config: &Config) -> Outcome<Monitor> {
        self.monitor_by(progress, config.typed())
    }

    /// The same by settings that belong to no repository.
    pub fn monitor_by(&mut self, progress: &Arc<Progress>, settings: &Settings) -> Outcome<Monitor> {
        // What the monitor writes must not come in front of what was written before.
        self.output.flush()?;
        let terminal = self.environment.stderr_is_terminal && !self.environment.plain;
        let manner = self.output.manner();
        let show = match settings.ui_progress {
            _ if manner.quiet => Show::Nothing,
            _ if manner.json && self.progress => Show::Records,
            _ if manner.json => Show::Nothing,
            When::Never if !self.progress => Show::Nothing,
            _ if terminal => Show::Terminal,
            When::Always => Show::Lines,
            _ if self.progress => Show::Lines,
            _ => Show::Nothing,
        };
        let template = match settings.ui_status.as_str() {
            "" => TEMPLATE.to_owned(),
            template => template.to_owned(),
        };
        Ok(Monitor::start(progress.clone(), show, template, self.asked.clone()))
    }

    /// Runs a low-level command, which writes to standard output by itself.
    pub fn run_plumbing(&mut self, command: ghost_plumbing_commands::Command) -> Outcome {
        let now = self.environment.now();
        let json = self.output.json();
        // Opened here, because the streams are lent to the command; whether it is there matters only where it is used.
        let reads_contents = matches!(
            command,
            ghost_plumbing_commands::Command::CatBlock(_) | ghost_plumbing_commands::Command::CatFile(_)
        );
        let repository = match self.repository() {
            Ok(repository) if reads_contents => self.to_read(repository),
            found => found,
        };
        let mut context = ghost_plumbing_commands::Context {
            input: &mut std::io::stdin().lock(),
            out: self.output.writer(),
            repository: LazyRepository::new(move || repository),
            algo: HashAlgo::default(),
            now,
            zone: jiff::tz::TimeZone::system(),
            host: self.environment.host.clone(),
            author: self.environment.user.clone(),
            json,
        };
        match command.run(&mut context)?.exit_code() {
            DONE => Ok(()),
            code => Err(Failure::Code(code)),
        }
    }

    /// Says what went wrong and gives the exit code.
    pub fn finish(&mut self, result: Outcome) -> ExitCode {
        let result = match self.output.flush() {
            Err(error) if result.is_ok() => Err(Failure::Output(error)),
            _ => result,
        };
        let code = match result {
            Ok(()) => DONE,
            Err(failure) => {
                let mut report = Report::of(&failure);
                if let (Failure::Library(Error::Missing { .. }), asked @ [_, ..]) = (&failure, &*self.sources.asked()) {
                    let asked: Vec<String> = asked.iter().map(|name| show::text(name)).collect();
                    report.hints = vec![format!("these were asked and do not have it: {}", asked.join(", "))];
                }
                self.output.error(&report);
                report.code
            }
        };
        self.output.journal.end(code);
        ExitCode::from(code)
    }
}
